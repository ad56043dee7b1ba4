// Protects: setns by a namespace's file and by a pidfd, each errno in its order; what ioctl and
// readlink tell of namespaces; who holds one alive.
import { beforeEach, describe, expect, it } from 'vitest';
import * as E from '../../../assembly/uapi/errno.ts';
import { O_RDONLY } from '../../../assembly/uapi/fcntl.ts';
import * as N from '../../../assembly/uapi/nsfs.ts';
import * as OP from '../../../assembly/uapi/op.ts';
import * as C from '../../../assembly/uapi/sched.ts';
import { SIGCHLD, SIGKILL } from '../../../assembly/uapi/signal.ts';
import { USER } from './driver.ts';
import { type NsDriver, nsDriver } from './ns-driver.ts';

const TYPES: [string, number][] = [
  ['mnt', C.CLONE_NEWNS],
  ['uts', C.CLONE_NEWUTS],
  ['ipc', C.CLONE_NEWIPC],
  ['net', C.CLONE_NEWNET],
  ['pid', C.CLONE_NEWPID],
  ['cgroup', C.CLONE_NEWCGROUP],
  ['time', C.CLONE_NEWTIME],
  ['user', C.CLONE_NEWUSER],
];
const ALL_BUT_USER =
  C.CLONE_NEWNS |
  C.CLONE_NEWUTS |
  C.CLONE_NEWIPC |
  C.CLONE_NEWNET |
  C.CLONE_NEWPID |
  C.CLONE_NEWCGROUP;
const THREAD = C.CLONE_VM | C.CLONE_FS | C.CLONE_FILES | C.CLONE_SIGHAND | C.CLONE_THREAD;

let d: NsDriver;
const setns = (tid: number, fd: number, flags = 0): number => d.call(tid, OP.OP_SETNS, fd, flags);
const ns = (tid: number, name: string, pid: number | string = 'self'): number =>
  d.open(tid, `/proc/${pid}/ns/${name}`, O_RDONLY);
const link = (tid: number, name: string, pid: number | string = 'self'): string => {
  const path = new TextEncoder().encode(`/proc/${pid}/ns/${name}\0`);
  const frame = d.k.frame.begin(tid, 0, OP.OP_READLINK).setArg(0, USER).setArg(1, 0x9000);
  frame.setArg(2, 64).window(USER, path, 'r').window(0x9000, 64, 'w');
  d.k.trap();
  return new TextDecoder().decode(frame.output(0x9000, frame.result));
};
const clone = (tid: number, flags: number): number => d.call(tid, OP.OP_CLONE, flags | SIGCHLD);

beforeEach(async () => {
  d = await nsDriver();
  return () => expect(d.k.check()).toEqual([]);
});

describe('by file', () => {
  it.each(TYPES)('enters the %s namespace of another, and only as such', (name, type) => {
    const time = type === C.CLONE_NEWTIME;
    const other = time ? d.fork() : clone(1, type);
    if (time) {
      d.call(other, OP.OP_UNSHARE, type);
      // the children and the next program are in it, the caller is not yet
      expect(link(other, 'time')).not.toBe(link(other, 'time_for_children'));
      d.exec(other);
    }
    const fd = ns(1, name, other);
    const wrong = type === C.CLONE_NEWUTS ? C.CLONE_NEWIPC : C.CLONE_NEWUTS;
    expect(setns(1, fd, wrong)).toBe(-E.EINVAL);
    expect(setns(1, fd, type | wrong)).toBe(-E.EINVAL);
    expect(link(1, name)).not.toBe(link(1, name, other));
    expect(setns(1, fd, type)).toBe(0);
    const mine = name === 'pid' ? 'pid_for_children' : name;
    expect(link(1, mine)).toBe(link(1, name, other));
    if (type !== C.CLONE_NEWUSER) expect(setns(1, fd)).toBe(0);
    const back = setns(1, fd);
    expect(back).toBe(type === C.CLONE_NEWUSER ? -E.EINVAL : 0);
  });

  it('says what is no namespace', () => {
    expect(setns(1, -1)).toBe(-E.EBADF);
    expect(setns(1, 9)).toBe(-E.EBADF);
    expect(setns(1, 0)).toBe(-E.EINVAL);
    expect(setns(1, d.open(1, '/proc/self/ns'), C.CLONE_NEWNS)).toBe(-E.EINVAL);
    expect(setns(1, d.open(1, '/proc/self/uid_map'), C.CLONE_NEWUSER)).toBe(-E.EINVAL);
  });

  it('needs CAP_SYS_ADMIN over the owner and over oneself, and CAP_SYS_CHROOT for mounts', () => {
    const u = d.unprivileged();
    for (const [name, type] of TYPES) {
      const want = type === C.CLONE_NEWUSER ? -E.EINVAL : -E.EPERM;
      expect(setns(u, ns(u, name), type), name).toBe(want);
    }
    // in a namespace of one's own one may enter what it owns, and nothing else
    const outer = ns(u, 'uts');
    expect(d.call(u, OP.OP_UNSHARE, C.CLONE_NEWUSER | C.CLONE_NEWUTS)).toBe(0);
    expect(setns(u, ns(u, 'uts'))).toBe(0);
    expect(setns(u, outer)).toBe(-E.EPERM);
    // up there is no way
    expect(setns(u, ns(u, 'user', 1))).toBe(-E.EPERM);
  });

  it('enters a user namespace as its owner, with all capabilities', () => {
    const u = d.unprivileged();
    const owned = clone(u, C.CLONE_NEWUSER);
    const fd = ns(u, 'user', owned);
    expect(setns(d.unprivileged(1001), 3)).toBe(-E.EBADF);
    expect(setns(u, fd)).toBe(0);
    expect(d.caps(u)[0]).toBe((1n << 41n) - 1n);
    const stranger = d.unprivileged(1001);
    expect(setns(stranger, ns(stranger, 'user', owned))).toBe(-E.EPERM);
  });

  it('refuses what the threads of a group or the sharers of a directory must have together', () => {
    const p = d.fork();
    const user = ns(p, 'user', clone(1, C.CLONE_NEWUSER));
    const mnt = ns(p, 'mnt');
    const time = ns(p, 'time');
    const sharer = d.call(p, OP.OP_CLONE, C.CLONE_FS | SIGCHLD);
    expect(setns(p, user)).toBe(-E.EINVAL);
    expect(setns(p, mnt)).toBe(-E.EINVAL);
    expect(setns(p, time)).toBe(0);
    d.exit(sharer);
    d.wait(p, sharer);
    expect(setns(p, mnt)).toBe(0);
    const thread = d.call(p, OP.OP_CLONE, THREAD);
    expect(thread).toBeGreaterThan(0);
    expect(setns(p, user)).toBe(-E.EINVAL);
    expect(setns(p, time)).toBe(-E.EUSERS);
    expect(setns(p, ns(p, 'uts'))).toBe(0);
  });

  it('enters pid namespaces downwards only', () => {
    const inner = clone(1, C.CLONE_NEWPID);
    const up = ns(inner, 'pid', 1);
    expect(setns(inner, up)).toBe(0);
    // its own number one is the one that /proc/1 is for it
    const upper = d.k.fds(inner).find(({ fd }) => fd === up)!.link;
    expect(upper).toBe(link(inner, 'pid'));
    const sibling = clone(1, C.CLONE_NEWPID);
    expect(setns(1, ns(1, 'pid', sibling))).toBe(0);
    const child = d.fork();
    expect(d.call(child, OP.OP_GETPID)).toBe(2);
    expect(d.call(child, OP.OP_GETPPID)).toBe(0);
    expect(setns(1, ns(1, 'pid'))).toBe(0);
    expect(d.call(d.fork(), OP.OP_GETPPID)).toBe(1);
    // a way back up from below: the file was opened above
    const fd = ns(1, 'pid');
    const low = clone(1, C.CLONE_NEWPID);
    expect(setns(low, fd)).toBe(-E.EINVAL);
    expect(d.call(low, OP.OP_UNSHARE, C.CLONE_NEWPID)).toBe(0);
    expect(d.call(low, OP.OP_UNSHARE, C.CLONE_NEWPID)).toBe(-E.EINVAL);
  });

  it('goes back to the root directory of the mount namespace', () => {
    const p = d.fork();
    const frame = d.k.frame.begin(p, 0, OP.OP_CHROOT).setArg(0, USER);
    frame.window(USER, new TextEncoder().encode('/tmp\0'), 'r');
    d.k.trap();
    expect(d.call(p, OP.OP_UNSHARE, C.CLONE_NEWUSER)).toBe(-E.EPERM);
    expect(setns(p, ns(p, 'mnt'))).toBe(0);
    expect(d.call(p, OP.OP_UNSHARE, C.CLONE_NEWUSER)).toBe(0);
  });
});

describe('by pidfd', () => {
  const names = ['mnt', 'uts', 'ipc', 'net', 'cgroup'];

  it('enters several at once, all or none', () => {
    const other = clone(1, ALL_BUT_USER);
    const fd = d.call(1, OP.OP_PIDFD_OPEN, other, 0);
    expect(setns(1, fd, 0)).toBe(-E.EINVAL);
    expect(setns(1, fd, C.CLONE_NEWUTS | 1)).toBe(-E.EINVAL);
    expect(setns(1, fd, C.CLONE_NEWUTS | C.CLONE_NEWUSER)).toBe(-E.EINVAL);
    expect(link(1, 'uts')).not.toBe(link(1, 'uts', other));
    expect(setns(1, fd, ALL_BUT_USER)).toBe(0);
    for (const name of names) expect(link(1, name), name).toBe(link(1, name, other));
    expect(link(1, 'pid_for_children')).toBe(link(1, 'pid', other));
    d.call(1, OP.OP_KILL, other, SIGKILL);
    d.k.runPending();
    expect(setns(1, fd, C.CLONE_NEWUTS)).toBe(-E.ESRCH);
    d.wait(1, other);
    expect(setns(1, fd, C.CLONE_NEWUTS)).toBe(-E.ESRCH);
  });

  it('enters a user namespace with what it owns', () => {
    const u = d.unprivileged();
    const other = clone(u, C.CLONE_NEWUSER | C.CLONE_NEWUTS | C.CLONE_NEWNS);
    const fd = d.call(u, OP.OP_PIDFD_OPEN, other, 0);
    expect(setns(u, fd, C.CLONE_NEWUTS)).toBe(-E.EPERM);
    expect(setns(u, fd, C.CLONE_NEWUSER | C.CLONE_NEWUTS | C.CLONE_NEWNS)).toBe(0);
    expect(link(u, 'uts')).toBe(link(u, 'uts', other));
    expect(setns(u, d.call(u, OP.OP_PIDFD_OPEN, 1, 0), C.CLONE_NEWUTS)).toBe(-E.EPERM);
  });
});

describe('what is told of namespaces', () => {
  const ioctl = (tid: number, fd: number, cmd: number, arg = 0): number =>
    d.call(tid, OP.OP_IOCTL, fd, cmd, arg);

  it('gives type, owner and parent', () => {
    for (const [name, type] of TYPES) {
      const fd = ns(1, name);
      expect(ioctl(1, fd, N.NS_GET_NSTYPE)).toBe(type);
      const owner = ioctl(1, fd, N.NS_GET_USERNS);
      if (type === C.CLONE_NEWUSER) expect(owner).toBe(-E.EPERM);
      else expect(d.k.fds(1).find((one) => one.fd === owner)?.link).toBe(link(1, 'user'));
      const nested = type === C.CLONE_NEWPID || type === C.CLONE_NEWUSER;
      expect(ioctl(1, fd, N.NS_GET_PARENT), name).toBe(nested ? -E.EPERM : -E.EINVAL);
      expect(ioctl(1, fd, 0x5401)).toBe(-E.ENOTTY);
    }
    const u = d.unprivileged();
    const c = clone(u, C.CLONE_NEWUSER | C.CLONE_NEWPID);
    for (const name of ['user', 'pid']) {
      const parent = ioctl(1, ns(1, name, c), N.NS_GET_PARENT);
      const shown = d.k.fds(1).find((one) => one.fd === parent)!;
      expect([shown.link, shown.cloexec]).toEqual([link(1, name), true]);
      // from inside, what is above is not shown
      expect(ioctl(c, ns(c, name), N.NS_GET_PARENT)).toBe(-E.EPERM);
    }
    const fd = ns(1, 'user', c);
    expect(d.mem(1, OP.OP_IOCTL, [fd, N.NS_GET_OWNER_UID, USER], 4)).toBe(0);
    expect(d.word(0)).toBe(1000);
    expect(d.fault(1, OP.OP_IOCTL, fd, N.NS_GET_OWNER_UID, USER)).toBe(-E.EFAULT);
    expect(ioctl(1, ns(1, 'pid'), N.NS_GET_OWNER_UID)).toBe(-E.EINVAL);
  });

  it('translates numbers between pid namespaces', () => {
    const inner = clone(1, C.CLONE_NEWPID);
    const child = d.fork(inner);
    const global = d.k.tasks().at(-1)!.tid;
    expect(child).toBe(2);
    const fd = ns(1, 'pid', inner);
    expect(ioctl(1, fd, N.NS_GET_PID_FROM_PIDNS, 2)).toBe(global);
    expect(ioctl(1, fd, N.NS_GET_TGID_IN_PIDNS, global)).toBe(2);
    expect(ioctl(1, fd, N.NS_GET_PID_IN_PIDNS, 1)).toBe(-E.ESRCH);
    expect(ioctl(1, fd, N.NS_GET_TGID_FROM_PIDNS, 9)).toBe(-E.ESRCH);
    expect(ioctl(1, ns(1, 'uts'), N.NS_GET_PID_IN_PIDNS, 1)).toBe(-E.EINVAL);
  });

  it('shows links that compare, cut to the room there is', () => {
    expect(link(1, 'mnt')).toMatch(/^mnt:\[\d+\]$/);
    expect(link(1, 'pid')).toBe('pid:[4026531836]');
    const path = new TextEncoder().encode('/proc/self/ns/net\0');
    const frame = d.k.frame.begin(1, 0, OP.OP_READLINKAT).setArg(0, -100).setArg(1, USER);
    frame.setArg(2, 0x9000).setArg(3, 3).window(USER, path, 'r').window(0x9000, 3, 'w');
    d.k.trap();
    expect(new TextDecoder().decode(frame.output(0x9000, 3))).toBe('net');
    expect(d.mem(1, OP.OP_READLINK, [USER, USER, 0], path)).toBe(-E.EINVAL);
  });

  it('holds a namespace by its file after the last process has left', () => {
    const before = d.k.counts().namespaces;
    const other = clone(1, C.CLONE_NEWNET);
    const fd = ns(1, 'net', other);
    const inner = clone(1, C.CLONE_NEWUSER | C.CLONE_NEWPID);
    const pid = ns(1, 'pid', inner);
    d.exit(other);
    d.exit(inner);
    d.wait(1, other);
    d.wait(1, inner);
    expect(d.k.counts().namespaces).toBe(before + 3);
    expect(setns(1, fd)).toBe(0);
    expect(setns(1, pid)).toBe(0);
    // its init is gone: nobody comes after it
    expect(d.fork()).toBe(-E.ENOMEM);
    d.call(1, OP.OP_CLOSE, pid);
    setns(1, ns(1, 'pid'));
    expect(d.k.counts().namespaces).toBe(before + 1);
  });

  it('keeps what is mounted at a path until it is unmounted', () => {
    const p = d.fork();
    d.call(p, OP.OP_UNSHARE, C.CLONE_NEWNET);
    const mount = (tid: number, op: number, source: string, target: string): number => {
      const bytes = (text: string): Uint8Array => new TextEncoder().encode(`${text}\0`);
      const frame = d.k.frame.begin(tid, 0, op).assistRet(0);
      if (op === OP.OP_MOUNT) frame.setArg(0, USER).setArg(1, 0x9000).setArg(3, 4096);
      else frame.setArg(0, 0x9000);
      frame.window(USER, bytes(source), 'r').window(0x9000, bytes(target), 'r');
      d.k.trap();
      return frame.result;
    };
    expect(mount(p, OP.OP_MOUNT, '/proc/self/ns/net', '/run/a')).toBe(0);
    expect(mount(p, OP.OP_MOUNT, '/run/a', '/run/b')).toBe(0);
    const name = link(p, 'net');
    d.exit(p);
    d.wait(1, p);
    const fd = d.open(1, '/run/b', O_RDONLY);
    expect(d.k.fds(1).find((one) => one.fd === fd)?.link).toBe(name);
    expect(mount(1, OP.OP_UMOUNT2, '', '/run/a')).toBe(0);
    expect(mount(1, OP.OP_UMOUNT2, '', '/run/b')).toBe(0);
    expect(setns(1, fd)).toBe(0);
    const gone = d.open(1, '/run/b', O_RDONLY);
    expect(d.k.fds(1).find((one) => one.fd === gone)?.kind).toBe('world');
    expect(mount(d.unprivileged(), OP.OP_MOUNT, '/a', '/b')).toBe(-E.EPERM);
    expect(d.call(1, OP.OP_UMOUNT2, 0, 0x100)).toBe(-E.EINVAL);
  });
});
