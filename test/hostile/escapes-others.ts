// Attempts to get out of a container by what is not a path: processes, namespaces, ids, containers,
// keys, sockets, objects of System V.
import { NETLINK_ROUTE } from '../../assembly/uapi/netlink.ts';
import * as K from '../../assembly/uapi/keyctl.ts';
import * as O from '../../assembly/uapi/fcntl.ts';
import * as N from '../../assembly/uapi/nsfs.ts';
import * as OP from '../../assembly/uapi/op.ts';
import * as C from '../../assembly/uapi/sched.ts';
import * as X from '../../assembly/uapi/socket.ts';
import { type Fs } from '../unit/vfs/driver.ts';
import { type Attempts, attempts, call, cstr, IDS, type Prison } from './prison.ts';

const SIGKILL = 9;
const IPC_PRIVATE_NOT = 77;
/** A number that only the outside has. */
const ABSENT = 9;

const setns = (p: Prison, flag: number): number =>
  call(p.root, OP.OP_SETNS, p.kept.ns.get(flag)!, flag);

function sockaddrUn(name: string): Uint8Array {
  const bytes = Buffer.alloc(110);
  bytes.writeUInt16LE(X.AF_UNIX, 0);
  bytes.write(name.replace('@', '\0'), 2);
  return new Uint8Array(bytes.subarray(0, 2 + name.length));
}
function sockaddrIn(port: number): Uint8Array {
  const bytes = Buffer.alloc(16);
  bytes.writeUInt16LE(X.AF_INET, 0);
  bytes.writeUInt16BE(port, 2);
  bytes.writeUInt32BE(0x7f000001, 4);
  return new Uint8Array(bytes);
}
/** A socket that listens at an address. */
function server(by: Fs, family: number, at: Uint8Array): number {
  const fd = by.call(OP.OP_SOCKET, family, X.SOCK_STREAM, 0);
  by.call(OP.OP_BIND, fd, at, at.length);
  by.call(OP.OP_LISTEN, fd, 5);
  return fd;
}
function connect(by: Fs, family: number, to: Uint8Array): number {
  const fd = by.call(OP.OP_SOCKET, family, X.SOCK_STREAM, 0);
  return by.call(OP.OP_CONNECT, fd, to, to.length);
}

/** A map for a new user namespace of `by`, written from inside it. */
function mapIn(by: Fs, file: string, text: string): number {
  by.call(OP.OP_UNSHARE, C.CLONE_NEWUSER);
  return by.write(by.open(`/proc/self/${file}`, O.O_WRONLY), text);
}

export const OTHERS: Attempts = {
  Processes: attempts(
    ['a signal to a process outside', 'ESRCH', (p) => call(p.root, OP.OP_KILL, ABSENT, SIGKILL)],
    [
      'a signal to a thread outside',
      'ESRCH',
      (p) => call(p.root, OP.OP_TGKILL, ABSENT, ABSENT, SIGKILL),
    ],
    ['a signal to the group outside', 'ESRCH', (p) => call(p.root, OP.OP_KILL, -ABSENT, SIGKILL)],
    ['SIGKILL to the own init, by who may', 'EPERM', (p) => call(p.user, OP.OP_KILL, 1, SIGKILL)],
    ['a pidfd of a process outside', 'ESRCH', (p) => call(p.root, OP.OP_PIDFD_OPEN, ABSENT, 0)],
    [
      'a signal by a pidfd that was left open',
      'EINVAL',
      (p) => call(p.root, OP.OP_PIDFD_SEND_SIGNAL, p.kept.pidfd, SIGKILL, 0, 0),
    ],
    [
      'a signal by a directory of /proc that was left open',
      'EINVAL',
      (p) => call(p.root, OP.OP_PIDFD_SEND_SIGNAL, p.kept.proc, SIGKILL, 0, 0),
    ],
    [
      'a descriptor of the supervisor, by its pidfd',
      'EPERM',
      (p) => call(p.root, OP.OP_PIDFD_GETFD, p.kept.pidfd, 0, 0),
    ],
    [
      'all namespaces of the supervisor, by its pidfd',
      'EPERM',
      (p) => call(p.root, OP.OP_SETNS, p.kept.pidfd, C.CLONE_NEWNS | C.CLONE_NEWUSER),
    ],
    [
      'limits of a process outside',
      'ESRCH',
      (p) => call(p.root, OP.OP_PRLIMIT64, ABSENT, 7, 0, new Uint8Array(16)),
    ],
    [
      'limits beyond the hard ones',
      'EPERM',
      (p) => {
        const wide = new Uint8Array(new BigUint64Array([1n << 40n, 1n << 41n]).buffer);
        return call(p.root, OP.OP_PRLIMIT64, 0, 7, wide, 0);
      },
    ],
    [
      'the priority of a process outside',
      'ESRCH',
      (p) => call(p.root, OP.OP_SETPRIORITY, 0, ABSENT, 5),
    ],
    [
      'a real-time class',
      'EPERM',
      (p) => call(p.root, OP.OP_SCHED_SETSCHEDULER, 0, 1, new Uint8Array([50, 0, 0, 0])),
    ],
    ['the session of a process outside', 'ESRCH', (p) => call(p.root, OP.OP_GETSID, ABSENT)],
    ['a process outside, waited for', 'ECHILD', (p) => call(p.root, OP.OP_WAIT4, ABSENT, 0, 0, 0)],
    [
      'descriptors of two processes compared',
      'ESRCH',
      (p) => call(p.root, OP.OP_KCMP, 1, ABSENT, 0, 0, 0),
    ],
    [
      'a number of one’s own choice for a child outside the namespace',
      'EINVAL',
      (p) => clone3WithPid(p.root, 0),
    ],
  ),
  Namespaces: attempts(
    ['setns to the user namespace outside', 'EPERM', (p) => setns(p, C.CLONE_NEWUSER)],
    ['to the mounts', 'EPERM', (p) => setns(p, C.CLONE_NEWNS)],
    ['to the processes', 'EPERM', (p) => setns(p, C.CLONE_NEWPID)],
    ['to the network', 'EPERM', (p) => setns(p, C.CLONE_NEWNET)],
    ['to the names', 'EPERM', (p) => setns(p, C.CLONE_NEWUTS)],
    ['to the objects of System V', 'EPERM', (p) => setns(p, C.CLONE_NEWIPC)],
    ['to the control groups', 'EPERM', (p) => setns(p, C.CLONE_NEWCGROUP)],
    [
      'to the mounts, after a user namespace of one’s own',
      'EPERM',
      (p) => {
        call(p.root, OP.OP_UNSHARE, C.CLONE_NEWUSER);
        return setns(p, C.CLONE_NEWNS);
      },
    ],
    [
      'to the own user namespace once more',
      'EINVAL',
      (p) => call(p.root, OP.OP_SETNS, p.root.open('/proc/self/ns/user'), 0),
    ],
    [
      'the owner of the outside’s mounts',
      'EPERM',
      (p) => call(p.root, OP.OP_IOCTL, p.kept.ns.get(C.CLONE_NEWNS)!, N.NS_GET_USERNS, 0),
    ],
    [
      'the parent of the own user namespace',
      'EPERM',
      (p) => call(p.root, OP.OP_IOCTL, p.root.open('/proc/self/ns/user'), N.NS_GET_PARENT, 0),
    ],
    [
      'the parent of the own pid namespace',
      'EPERM',
      (p) => call(p.root, OP.OP_IOCTL, p.root.open('/proc/self/ns/pid'), N.NS_GET_PARENT, 0),
    ],
    [
      'new mounts by who has no capability',
      'EPERM',
      (p) => call(p.user, OP.OP_UNSHARE, C.CLONE_NEWNS),
    ],
    [
      'a new host name by who has no capability',
      'EPERM',
      (p) => call(p.user, OP.OP_SETHOSTNAME, new Uint8Array([120]), 1),
    ],
  ),
  Ids: attempts(
    [
      'the own map, a second time',
      'EPERM',
      (p) => p.root.write(p.root.open('/proc/self/uid_map', O.O_WRONLY), '0 0 1'),
    ],
    ['an id that is not in the map', 'EINVAL', (p) => call(p.root, OP.OP_SETUID, IDS)],
    ['a group that is not in the map', 'EINVAL', (p) => call(p.root, OP.OP_SETGID, IDS)],
    ['a file for an id that is not in the map', 'EINVAL', (p) => p.root.chown('/tmp', IDS, -1)],
    ['a file of the outside’s root', 'EPERM', (p) => p.root.chown('/dev/null', 0, 0)],
    [
      'a nested map with an id that the own one has not',
      'EPERM',
      (p) => mapIn(p.helper(), 'uid_map', `0 ${IDS} 1`),
    ],
    [
      'a nested map of more than oneself, by the user',
      'EPERM',
      (p) => mapIn(p.user, 'uid_map', '0 0 1000'),
    ],
    [
      'a nested map of groups while groups may be dropped',
      'EPERM',
      (p) => mapIn(p.user, 'gid_map', '0 1000 1'),
    ],
    [
      'capabilities back',
      'EPERM',
      (p) => {
        const want = new Uint8Array(new Uint32Array([0x20080522, 0]).buffer);
        const data = new Uint8Array(new Uint32Array([1, 1, 0, 0, 0, 0]).buffer);
        const both = new Uint8Array(32);
        both.set(want);
        both.set(data, 8);
        return call(p.user, OP.OP_CAPSET, both, 0x30008);
      },
    ],
    ['the id of root, by the user', 'EPERM', (p) => call(p.user, OP.OP_SETUID, 0)],
    [
      'the log-in id of another process',
      'EPERM',
      (p) => {
        const fd = p.root.open('/proc/2/loginuid', O.O_WRONLY);
        return p.root.write(fd, '0');
      },
    ],
  ),
  Containers: attempts(
    [
      'the container around it, by number',
      'ENOENT',
      (p) => call(p.root, OP.OP_CONTAINER_OPEN, 1, 0),
    ],
    ['itself, by number', 'ENOENT', (p) => call(p.root, OP.OP_CONTAINER_OPEN, 3, 0)],
    [
      'another one entered by a descriptor that was left open',
      'EPERM',
      (p) => call(p.root, OP.OP_FORK_INTO_CONTAINER, p.kept.other),
    ],
    [
      'another one killed',
      'ESRCH',
      (p) => call(p.root, OP.OP_CONTAINER_KILL, p.kept.other, 0, SIGKILL),
    ],
    [
      'another one waited for',
      'EPERM',
      (p) => call(p.root, OP.OP_CONTAINER_WAIT, p.kept.other, 0, 0, 0),
    ],
    [
      'another one supervised',
      'EPERM',
      (p) => call(p.root, OP.OP_CONTAINER_SUPERVISE, p.kept.other, 0),
    ],
    [
      'a socket in another one’s network',
      'EPERM',
      (p) => call(p.root, OP.OP_CONTAINER_SOCKET, p.kept.other, X.AF_INET, X.SOCK_STREAM, 0),
    ],
    ['itself supervised', 'EINVAL', (p) => call(p.root, OP.OP_CONTAINER_SUPERVISE, p.kept.cfd, 0)],
    [
      'itself killed by who is not its root',
      'EPERM',
      (p) => call(p.user, OP.OP_CONTAINER_KILL, p.kept.cfd, 1, SIGKILL),
    ],
  ),
  Keys: attempts(
    [
      'a key outside, by its number',
      'EACCES',
      (p) => call(p.root, OP.OP_KEYCTL, K.KEYCTL_READ, p.key, 0, 0),
    ],
    ['described', 'EACCES', (p) => call(p.root, OP.OP_KEYCTL, K.KEYCTL_DESCRIBE, p.key, 0, 0)],
    [
      'linked into the own keyring',
      'EACCES',
      (p) => call(p.root, OP.OP_KEYCTL, K.KEYCTL_LINK, p.key, K.KEY_SPEC_PROCESS_KEYRING),
    ],
    ['revoked', 'EACCES', (p) => call(p.root, OP.OP_KEYCTL, K.KEYCTL_REVOKE, p.key)],
    [
      'its permissions',
      'EACCES',
      (p) => call(p.root, OP.OP_KEYCTL, K.KEYCTL_SETPERM, p.key, 0x3f3f3f3f),
    ],
    ['its owner', 'EACCES', (p) => call(p.root, OP.OP_KEYCTL, K.KEYCTL_CHOWN, p.key, 0, 0)],
    [
      'found by its name',
      'ENOKEY',
      (p) => call(p.root, OP.OP_REQUEST_KEY, cstr('user'), 'outer', 0, 0),
    ],
  ),
  Sockets: attempts(
    [
      'an abstract name of the outside’s network',
      'ECONNREFUSED',
      (p) => {
        server(p.outer, X.AF_UNIX, sockaddrUn('@outer'));
        return connect(p.root, X.AF_UNIX, sockaddrUn('@outer'));
      },
    ],
    [
      'a socket of the outside by its path',
      'ENOENT',
      (p) => {
        server(p.outer, X.AF_UNIX, sockaddrUn('/tmp/sock'));
        const r = connect(p.root, X.AF_UNIX, sockaddrUn('/tmp/sock'));
        p.outer.unlink('/tmp/sock');
        return r;
      },
    ],
    [
      'a port of the outside',
      'ENETUNREACH',
      (p) => {
        server(p.outer, X.AF_INET, sockaddrIn(80));
        return connect(p.root, X.AF_INET, sockaddrIn(80));
      },
    ],
    [
      'a privileged port, by the user',
      'EACCES',
      (p) => {
        const fd = call(p.user, OP.OP_SOCKET, X.AF_INET, X.SOCK_STREAM, 0);
        return call(p.user, OP.OP_BIND, fd, sockaddrIn(80), 16);
      },
    ],
    [
      'raw packets, by the user',
      'EPERM',
      (p) => call(p.user, OP.OP_SOCKET, X.AF_INET, X.SOCK_RAW, 1),
    ],
    ['an interface by netlink, by the user', 'EPERM', (p) => newLink(p.user)],
    [
      'names of System V: a queue',
      'ENOENT',
      (p) => {
        call(p.outer, OP.OP_MSGGET, IPC_PRIVATE_NOT, 0o1666);
        return call(p.root, OP.OP_MSGGET, IPC_PRIVATE_NOT, 0);
      },
    ],
    [
      'a message queue of POSIX',
      'ENOENT',
      (p) => {
        call(p.outer, OP.OP_MQ_OPEN, 'outer', O.O_CREAT | O.O_RDWR, 0o666, 0);
        return call(p.root, OP.OP_MQ_OPEN, 'outer', O.O_RDWR, 0, 0);
      },
    ],
    [
      'shared memory',
      'ENOENT',
      (p) => {
        call(p.outer, OP.OP_SHMGET, IPC_PRIVATE_NOT, 4096, 0o1666);
        return call(p.root, OP.OP_SHMGET, IPC_PRIVATE_NOT, 0, 0);
      },
    ],
  ),
};

/** clone3 that wants a number in each of two pid namespaces. */
function clone3WithPid(by: Fs, nr: number): number {
  const bytes = Buffer.alloc(96);
  bytes.writeBigUInt64LE(17n, 32);
  bytes.writeBigUInt64LE(BigInt(0x30000 + 88), 64);
  bytes.writeBigUInt64LE(2n, 72);
  bytes.writeInt32LE(nr, 88);
  return call(by, OP.OP_CLONE3, new Uint8Array(bytes), 80);
}

/** RTM_NEWLINK of a dummy interface: the errno that the answer has. */
function newLink(by: Fs): number {
  const fd = call(by, OP.OP_SOCKET, X.AF_NETLINK, X.SOCK_RAW, NETLINK_ROUTE);
  const kind = Buffer.from('dummy\0\0\0');
  const message = Buffer.alloc(32 + 16);
  message.writeUInt32LE(message.length, 0);
  message.writeUInt16LE(16, 4);
  message.writeUInt16LE(0x0605, 6);
  message.writeUInt32LE(1, 8);
  message.writeUInt16LE(16, 32);
  message.writeUInt16LE(18, 34);
  message.writeUInt16LE(10, 36);
  message.writeUInt16LE(1, 38);
  kind.copy(message, 40);
  const address = new Uint8Array(message);
  call(by, OP.OP_SENDTO, fd, address, address.length, 0, 0, 0);
  const n = call(by, OP.OP_RECVFROM, fd, new Uint8Array(256), 256, 0, 0, 0);
  return n < 20 ? n : Buffer.from(by.out).readInt32LE(16);
}
