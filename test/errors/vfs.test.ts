// Protects: a call on paths or mounts that runs out of memory has no effect. Each allocation of
// each call fails in turn; the call says ENOMEM, nothing is left behind, and then it succeeds.
import { beforeEach, describe, expect, it } from 'vitest';
import { ENOMEM } from '../../assembly/uapi/errno.ts';
import * as O from '../../assembly/uapi/fcntl.ts';
import * as M from '../../assembly/uapi/mount.ts';
import * as OP from '../../assembly/uapi/op.ts';
import { CLONE_NEWNS, CLONE_NEWUSER } from '../../assembly/uapi/sched.ts';
import { SIGCHLD } from '../../assembly/uapi/signal.ts';
import { S_IFIFO } from '../../assembly/uapi/stat.ts';
import type { Arg } from '../unit/vfs/driver.ts';
import { Fs, SLEEPS } from '../unit/vfs/driver.ts';

type Call = readonly [op: number, ...args: Arg[]];
interface Case {
  call: Call;
  before?: Call[];
  /** the caller's copies of what is shared may have been made already */
  copies?: boolean;
}

const CREATE = O.O_CREAT | O.O_RDWR;
const mkdir = (path: string): Call => [OP.OP_MKDIR, path, 0o755];
const tmpfs = (target: string): Call => [OP.OP_MOUNT, 0, target, new Uint8Array(TMPFS), 0, 0];
const TMPFS = Buffer.from('tmpfs\0');
const proc = (target: string): Call => [OP.OP_MOUNT, 0, target, new Uint8Array(PROC), 0, 0];
const PROC = Buffer.from('proc\0');
const stat = (path: string): Call => [OP.OP_LSTAT, path, new Uint8Array(144)];
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

describe('each allocation fails in turn', () => {
  let fs: Fs;
  beforeEach(async () => {
    fs = await Fs.boot();
  });

  it.each(Object.entries(CASES))('%s', (_name, { call, before = [], copies }) => {
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
      expect(has, `allocation ${n}`).toEqual(had);
    }
    fs.k.allocFail(0);
    expect(fs.check()).toEqual([]);
    expect(n).toBeGreaterThan(1);
    expect(n).toBeLessThan(80);
  });
});
