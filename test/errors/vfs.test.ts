// Protects: a call on paths or mounts that runs out of memory has no effect. Each allocation of
// each call fails in turn; the call says ENOMEM, nothing is left behind, and then it succeeds.
import { beforeEach, describe, expect, it } from 'vitest';
import { ENOMEM } from '../../assembly/uapi/errno.ts';
import * as O from '../../assembly/uapi/fcntl.ts';
import * as M from '../../assembly/uapi/mount.ts';
import * as OP from '../../assembly/uapi/op.ts';
import { CLONE_NEWNS, CLONE_NEWUSER } from '../../assembly/uapi/sched.ts';
import { SIGCHLD } from '../../assembly/uapi/signal.ts';
import { AT_RECURSIVE, S_IFIFO } from '../../assembly/uapi/stat.ts';
import type { Counts } from '../../host/index.ts';
import type { Arg } from '../unit/vfs/driver.ts';
import { Fs, SLEEPS } from '../unit/vfs/driver.ts';

type Call = readonly [op: number, ...args: Arg[]];
interface Case {
  call: Call;
  before?: Call[];
  /** the caller's copies of what is shared may have been made already */
  copies?: boolean;
  /** what is made for all calls to come stays when this one fails then */
  keeps?: (keyof Counts)[];
}

const CREATE = O.O_CREAT | O.O_RDWR;
const mkdir = (path: string): Call => [OP.OP_MKDIR, path, 0o755];
const tmpfs = (target: string): Call => [OP.OP_MOUNT, 0, target, new Uint8Array(TMPFS), 0, 0];
const TMPFS = Buffer.from('tmpfs\0');
const proc = (target: string): Call => [OP.OP_MOUNT, 0, target, new Uint8Array(PROC), 0, 0];
const PROC = Buffer.from('proc\0');
const stat = (path: string): Call => [OP.OP_LSTAT, path, new Uint8Array(144)];
/** mq_open(2) of a queue that is made. */
const queue = (name: string): Call => [
  OP.OP_MQ_OPEN,
  name,
  CREATE,
  0o600,
  new Uint8Array(new BigInt64Array([0n, 2n, 8n, 0n, 0n, 0n, 0n, 0n]).buffer),
];
/** Zeros: a message, or a sigevent of no signal. */
const message = (): Uint8Array => new Uint8Array(64);
const bind = (from: string, to: string, flags = 0): Call => [
  OP.OP_MOUNT,
  from,
  to,
  0,
  M.MS_BIND | flags,
  0,
];
const shared = (path: string): Call => [OP.OP_MOUNT, 0, path, 0, M.MS_SHARED, 0];
const PEERS: Call[] = [mkdir('/a'), mkdir('/b'), tmpfs('/a'), shared('/a'), bind('/a', '/b')];

const CASES: Record<string, Case> = {
  mkdir: { call: mkdir('/d') },
  'mkdir that makes the hash grow': {
    call: mkdir('/d'),
    before: Array.from({ length: 12 }, (_, i) => mkdir(`/n${i}`)),
  },
  'mknod of a fifo': { call: [OP.OP_MKNOD, '/p', S_IFIFO | 0o600, 0] },
  symlink: { call: [OP.OP_SYMLINK, 'text', '/l'] },
  link: { call: [OP.OP_LINK, '/dev/null', '/n'] },
  rename: { call: [OP.OP_RENAME, '/dev/null', '/n'] },
  'rename that leaves a whiteout': {
    call: [OP.OP_RENAMEAT2, O.AT_FDCWD, '/dev/null', O.AT_FDCWD, '/n', 4],
  },
  'open that makes a file': { call: [OP.OP_OPENAT, O.AT_FDCWD, '/f', CREATE, 0o644] },
  'open of a directory': { call: [OP.OP_OPENAT, O.AT_FDCWD, '/tmp', O.O_DIRECTORY, 0] },
  'open of a file without a name': {
    call: [OP.OP_OPENAT, O.AT_FDCWD, '/tmp', O.O_TMPFILE | O.O_RDWR, 0o600],
  },
  'open of a fifo': {
    call: [OP.OP_OPENAT, O.AT_FDCWD, '/p', O.O_RDWR, 0],
    before: [[OP.OP_MKNOD, '/p', S_IFIFO | 0o600, 0]],
  },
  'open of a fifo that sleeps': {
    call: [OP.OP_OPENAT, O.AT_FDCWD, '/p', O.O_RDONLY, 0],
    before: [[OP.OP_MKNOD, '/p', S_IFIFO | 0o600, 0]],
  },
  'the first write': {
    call: [OP.OP_WRITE, 3, new Uint8Array(9), 9],
    before: [[OP.OP_OPENAT, O.AT_FDCWD, '/f', CREATE, 0o644]],
  },
  'chdir after fork': { call: [OP.OP_CHDIR, '/tmp'], before: [[OP.OP_FORK]], copies: true },
  'chroot after fork': { call: [OP.OP_CHROOT, '/tmp'], before: [[OP.OP_FORK]], copies: true },
  'mount of a new file system': { call: tmpfs('/tmp') },
  'mount of devtmpfs': {
    call: [OP.OP_MOUNT, 0, '/tmp', new Uint8Array(Buffer.from('devtmpfs\0')), 0, 0],
  },
  'mount of proc': { call: proc('/tmp') },
  'the first walk to a name of proc': { call: stat('/tmp/self'), before: [proc('/tmp')] },
  'open of a text of proc': {
    call: [OP.OP_OPENAT, O.AT_FDCWD, '/tmp/1/status', 0, 0],
    before: [proc('/tmp'), stat('/tmp/1/status')],
  },
  'open of an id map': {
    call: [OP.OP_OPENAT, O.AT_FDCWD, '/tmp/1/uid_map', 0, 0],
    before: [proc('/tmp'), stat('/tmp/1/uid_map')],
  },
  'open of a namespace': {
    call: [OP.OP_OPENAT, O.AT_FDCWD, '/tmp/1/ns/mnt', 0, 0],
    before: [proc('/tmp'), stat('/tmp/1/ns/mnt')],
  },
  setxattr: { call: [OP.OP_SETXATTR, '/bin', 'user.a', message(), 64, 0] },
  'flock of a file': {
    call: [OP.OP_FLOCK, 3, 2],
    before: [[OP.OP_OPENAT, O.AT_FDCWD, '/f', CREATE, 0o644]],
    keeps: ['inodes'],
  },
  'a record lock': {
    call: [OP.OP_FCNTL, 3, O.F_SETLK, message()],
    before: [[OP.OP_OPENAT, O.AT_FDCWD, '/f', CREATE, 0o644]],
    keeps: ['inodes'],
  },
  'mq_open of a new queue': { call: queue('q'), before: [queue('before')] },
  'the first mq_open of a namespace': {
    call: queue('q'),
    keeps: ['dentries', 'vfsInodes', 'mounts', 'ipc'],
  },
  'mq_open of an old queue': { call: queue('q'), before: [queue('q')] },
  mq_timedsend: { call: [OP.OP_MQ_TIMEDSEND, 3, message(), 4, 7, 0], before: [queue('q')] },
  'mq_timedreceive that sleeps': {
    call: [OP.OP_MQ_TIMEDRECEIVE, 3, new Uint8Array(8), 8, 0, 0],
    before: [queue('q')],
  },
  'mq_notify after fork': {
    call: [OP.OP_MQ_NOTIFY, 3, message()],
    before: [queue('q'), [OP.OP_FORK]],
  },
  'a mount of the queues': {
    call: [OP.OP_MOUNT, 0, '/tmp', new Uint8Array(Buffer.from('mqueue\0')), 0, 0],
    before: [queue('q')],
  },
  'a bind mount': { call: bind('/dev', '/tmp') },
  'a bind mount of a tree': {
    call: bind('/a', '/tmp', M.MS_REC),
    before: [...PEERS, mkdir('/a/x'), tmpfs('/a/x')],
  },
  'a mount that peers see': { call: tmpfs('/a/x'), before: [...PEERS, mkdir('/a/x')] },
  'unshare of the mounts': { call: [OP.OP_UNSHARE, CLONE_NEWNS], before: [...PEERS] },
  'clone with new mounts': { call: [OP.OP_CLONE, CLONE_NEWNS | SIGCHLD], before: [...PEERS] },
  'clone with a new owner of mounts': {
    call: [OP.OP_CLONE, CLONE_NEWNS | CLONE_NEWUSER | SIGCHLD],
    before: [...PEERS],
  },
  'a container with mounts of its own': {
    call: [OP.OP_CONTAINER_CREATE, 'box', 1],
    before: [...PEERS],
  },
  'fork into a container': {
    call: [OP.OP_FORK_INTO_CONTAINER, 3],
    before: [[OP.OP_CONTAINER_CREATE, 'box', 1]],
  },
};

const EMPTY = M.MOVE_MOUNT_F_EMPTY_PATH;
const text = (value: string): Uint8Array => new Uint8Array(Buffer.from(`${value}\0`));
const fsopen = (type = 'tmpfs'): Call => [OP.OP_FSOPEN_TODAY, type, 0];
const config = (fd: number, cmd: number): Call => [OP.OP_FSCONFIG, fd, cmd, 0, 0, 0];
/** A file system that is attached nowhere, as descriptor 4. */
const DETACHED: Call[] = [
  fsopen(),
  config(3, M.FSCONFIG_CMD_CREATE),
  [OP.OP_FSMOUNT_TODAY, 3, 0, 0],
];
const put = (fd: number, target: string): Call => [
  OP.OP_MOVE_MOUNT,
  fd,
  '',
  O.AT_FDCWD,
  target,
  EMPTY,
];
const container = (flags: number): Call => [OP.OP_CONTAINER_CREATE, 'box', flags];
const cmount = (fd: number, target: string | number): Call => [
  OP.OP_CONTAINER_MOUNT,
  fd,
  0,
  target,
  text('tmpfs'),
  0,
  0,
];

/** The newer mount calls, and those that furnish a container. */
const TREES: Record<string, Case> = {
  fsopen: { call: fsopen() },
  fspick: { call: [OP.OP_FSPICK, O.AT_FDCWD, '/', 0] },
  'fsconfig of a source': {
    call: [OP.OP_FSCONFIG, 3, M.FSCONFIG_SET_STRING, 'source', 'here', 0],
    before: [fsopen()],
  },
  'fsconfig that creates': { call: config(3, M.FSCONFIG_CMD_CREATE), before: [fsopen()] },
  'fsconfig that creates devices': {
    call: config(3, M.FSCONFIG_CMD_CREATE),
    before: [fsopen('devtmpfs')],
  },
  fsmount: { call: DETACHED[2]!, before: DETACHED.slice(0, 2) },
  open_tree: { call: [OP.OP_OPEN_TREE, O.AT_FDCWD, '/dev', 0] },
  'open_tree that copies': {
    call: [OP.OP_OPEN_TREE, O.AT_FDCWD, '/a', M.OPEN_TREE_CLONE | AT_RECURSIVE],
    before: [...PEERS, mkdir('/a/x'), tmpfs('/a/x')],
  },
  'a tree that peers see': {
    call: put(4, '/a/x'),
    before: [...PEERS, mkdir('/a/x'), ...DETACHED],
  },
  'container_mount of a root': { call: cmount(3, 0), before: [container(2)] },
  'container_mount in it': { call: cmount(3, '/tmp'), before: [container(1)] },
  container_bind_mount_across: {
    call: [OP.OP_CONTAINER_BIND_MOUNT_ACROSS, 3, '/dev', '/tmp'],
    before: [container(1)],
  },
  'the root of a container by move_mount': {
    call: [OP.OP_MOVE_MOUNT, 4, '', 5, '/', EMPTY | M.MOVE_MOUNT_T_CONTAINER_ROOT],
    before: [...DETACHED, container(2)],
  },
  'fsopen of the proposal': { call: [OP.OP_FSOPEN, 'tmpfs', 3, 0], before: [container(2)] },
  'fsmount of the proposal': {
    call: [OP.OP_FSMOUNT, 4, 3, '/', 0, 0],
    before: [container(2), [OP.OP_FSOPEN, 'tmpfs', 3, 0]],
  },
};
Object.assign(CASES, TREES);

describe('each allocation fails in turn', () => {
  let fs: Fs;
  beforeEach(async () => {
    fs = await Fs.boot();
  });

  it.each(Object.entries(CASES))('%s', (_name, { call, before = [], copies, keeps = [] }) => {
    for (const one of before) expect(fs.call(...one)).toBeGreaterThanOrEqual(0);
    const start = fs.k.snapshot();
    const had = fs.k.counts();
    let n = 1;
    for (; n < 80; ++n) {
      fs.k.restore(start);
      fs.k.freeFrame(fs.k.allocFrame());
      fs.k.allocFail(n);
      const result = fs.run(...call);
      if (fs.k.allocCount() < n) {
        if (result !== SLEEPS) expect(result).toBeGreaterThanOrEqual(0);
        break;
      }
      fs.k.allocFail(0);
      expect(result, `allocation ${n}`).toBe(-ENOMEM);
      expect(fs.check(), `allocation ${n}`).toEqual([]);
      const has = fs.k.counts();
      if (copies) has.fs = Math.min(has.fs, had.fs);
      for (const kept of keeps) has[kept] = Math.min(has[kept], had[kept]);
      expect(has, `allocation ${n}`).toEqual(had);
    }
    fs.k.allocFail(0);
    expect(fs.check()).toEqual([]);
    expect(n).toBeGreaterThan(1);
    expect(n).toBeLessThan(80);
  });
});
