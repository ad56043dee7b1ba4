// Protects: whatever is asked of the mount calls, by several tasks in several namespaces, with each
// other's descriptors and containers, no invariant breaks, and nothing of it is left in the end.
import { expect, it } from 'vitest';
import * as U from '../../assembly/uapi/container.ts';
import {
  AT_EMPTY_PATH,
  AT_FDCWD,
  O_CREAT,
  O_DIRECTORY,
  O_RDWR,
} from '../../assembly/uapi/fcntl.ts';
import * as M from '../../assembly/uapi/mount.ts';
import * as OP from '../../assembly/uapi/op.ts';
import { CLONE_NEWNS, CLONE_NEWUSER } from '../../assembly/uapi/sched.ts';
import { AT_RECURSIVE } from '../../assembly/uapi/stat.ts';
import { type Arg, Fs } from '../unit/vfs/driver.ts';
import { attrBytes, many } from '../unit/vfs/mount-calls.ts';

const STEPS = Number(process.env.BULKHEAD_RUNS ?? 300) * 5;
const FIRST = Number(process.env.BULKHEAD_SEED ?? 20170814);
const CHECK_EACH = 50;

/** xorshift32: the same program for the same seed. */
function random(seed: number): (n: number) => number {
  let x = seed | 0 || 1;
  return (n) => {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    return (x >>> 0) % n;
  };
}

const PLACES = ['/a', '/b', '/c', '/a/x', '/b/x', '/a/x/y'];
const PATHS = [...PLACES, ...PLACES, '/', '/file', '', 'x', '..', '/none'];
const TYPES = ['tmpfs', 'tmpfs', 'ramfs', 'proc', 'sysfs', 'mqueue', 'devtmpfs', 'nofs'];
const OPTIONS = ['size', 'mode', 'ro', 'rw', 'source', 'uid', 'nr_inodes', 'nosuch', ''];
const VALUES = ['1', '1M', '700', '0', '8k', '-1', 'x', '', '99999999999999999999'];
const CHANGES = [M.MS_SHARED, M.MS_PRIVATE, M.MS_SLAVE, M.MS_UNBINDABLE];
const WRITES = ['o size=1M', 'o ro', 's here', 'x create', 'x reconfigure', 'o', 'q x', 'x  '];

type Kind = 'context' | 'tree' | 'container';
const MAKES = new Map<number, Kind>([
  [OP.OP_FSOPEN_TODAY, 'context'],
  [OP.OP_FSPICK, 'context'],
  [OP.OP_FSOPEN, 'context'],
  [OP.OP_FSMOUNT_TODAY, 'tree'],
  [OP.OP_OPEN_TREE, 'tree'],
  [OP.OP_OPEN_TREE_ATTR, 'tree'],
  [OP.OP_CONTAINER_CREATE, 'container'],
]);

class Program {
  readonly fs: Fs;
  readonly #n: (n: number) => number;
  /** descriptors that calls have given, by what they stand for: most are passed to fitting calls */
  readonly #known: Record<Kind, number[]> = { context: [], tree: [], container: [] };

  constructor(fs: Fs, seed: number) {
    this.fs = fs;
    this.#n = random(seed);
  }

  #of<T>(list: readonly T[]): T {
    return list[this.#n(list.length)]!;
  }
  #path(): Arg {
    return this.#n(40) === 0 ? this.#n(3) : this.#of(PATHS);
  }
  #fd(kind?: Kind): number {
    const known = kind ? this.#known[kind] : [];
    if (known.length && this.#n(8)) return this.#of(known);
    return this.#n(3) === 0 ? AT_FDCWD : this.#n(25) - 1;
  }

  /** A place to mount on, a container, a new file system behind a descriptor: what others need. */
  prepare(by: Fs): void {
    const what = this.#n(5);
    if (what < 2) {
      many(by, OP.OP_MKDIR, this.#of(PLACES), 0o755);
      return;
    }
    if (what === 2) {
      const flags = this.#of([1, 2, 1 | U.CONTAINER_NEW_USER_NS, 2 | U.CONTAINER_NEW_USER_NS]);
      this.learn(OP.OP_CONTAINER_CREATE, many(by, OP.OP_CONTAINER_CREATE, 'box', flags));
      return;
    }
    const fd = many(by, OP.OP_FSOPEN_TODAY, this.#of(TYPES), 0);
    if (fd < 0) return;
    many(by, OP.OP_FSCONFIG, fd, M.FSCONFIG_CMD_CREATE, 0, 0, 0);
    this.learn(OP.OP_FSMOUNT_TODAY, many(by, OP.OP_FSMOUNT_TODAY, fd, 0, 0));
    by.close(fd);
  }

  /** What a call has given. */
  learn(op: number, r: number): void {
    const kind = MAKES.get(op);
    if (!kind || r < 0) return;
    for (const list of Object.values(this.#known)) {
      const at = list.indexOf(r);
      if (at >= 0) list.splice(at, 1);
    }
    this.#known[kind].push(r);
  }
  #bits(...bits: number[]): number {
    return bits.reduce((sum, bit) => (this.#n(3) === 0 ? sum | bit : sum), 0);
  }
  /** Flags that a call knows, now and then others. */
  #flags(...bits: number[]): number {
    return this.#n(30) === 0 ? this.#n(0x40000000) : this.#bits(...bits);
  }

  #old(): [number, ...Arg[]] {
    const kind = this.#n(5);
    if (kind === 0)
      return [OP.OP_MOUNT, 'none', this.#path(), this.#of(TYPES), this.#bits(1, 2, 4), 0];
    if (kind === 1) {
      const flags = M.MS_BIND | this.#bits(M.MS_REC);
      return [OP.OP_MOUNT, this.#path(), this.#path(), 0, flags, 0];
    }
    if (kind === 2) {
      return [OP.OP_MOUNT, 0, this.#path(), 0, this.#of(CHANGES) | this.#bits(M.MS_REC), 0];
    }
    if (kind === 3) {
      const flags = M.MS_REMOUNT | this.#bits(M.MS_BIND, M.MS_RDONLY);
      return [OP.OP_MOUNT, 0, this.#path(), 0, flags, this.#of([0, 'size=1M', 'mode=x'])];
    }
    return [OP.OP_UMOUNT2, this.#path(), this.#bits(M.MNT_DETACH)];
  }

  #config(): [number, ...Arg[]] {
    const cmd = this.#n(3) === 0 ? M.FSCONFIG_CMD_CREATE : this.#n(11);
    const key = cmd < 6 || this.#n(9) === 0 ? this.#of(OPTIONS) : 0;
    const value = cmd === 1 || this.#n(9) === 0 ? this.#of(VALUES) : 0;
    const aux = cmd === M.FSCONFIG_SET_CONTAINER ? this.#fd('container') : 0;
    return [OP.OP_FSCONFIG, this.#fd('context'), cmd, key, value, aux];
  }

  #tree(): [number, ...Arg[]] {
    const flags = this.#flags(M.OPEN_TREE_CLONE, AT_RECURSIVE, AT_EMPTY_PATH);
    const attr = attrBytes({
      set: this.#bits(1, 2, 4),
      clear: this.#bits(1, 8),
      propagation: this.#n(3) === 0 ? this.#of(CHANGES) : 0,
    });
    switch (this.#n(6)) {
      case 0:
        return [OP.OP_OPEN_TREE, this.#fd('tree'), this.#path(), flags];
      case 1:
        return [OP.OP_OPEN_TREE_ATTR, this.#fd(), this.#path(), flags, attr, 32];
      case 2: {
        const how = this.#flags(AT_RECURSIVE, AT_EMPTY_PATH);
        return [OP.OP_MOUNT_SETATTR, this.#fd('tree'), this.#path(), how, attr, 32];
      }
      default: {
        const rare = this.#n(3) === 0 ? this.#flags(0x10, 0x40, 0x80, 0x100, 0x200) : 0;
        const how = rare | M.MOVE_MOUNT_F_EMPTY_PATH;
        const from = this.#n(3) === 0 ? this.#path() : '';
        const to = this.#n(3) === 0 ? this.#fd('container') : AT_FDCWD;
        return [OP.OP_MOVE_MOUNT, this.#fd('tree'), from, to, this.#path(), how];
      }
    }
  }

  #container(): [number, ...Arg[]] {
    const fd = this.#fd('container');
    switch (this.#n(7)) {
      case 0: {
        const flags = this.#of([1, 2, 1 | U.CONTAINER_NEW_USER_NS, 2 | U.CONTAINER_NEW_USER_NS, 0]);
        return [OP.OP_CONTAINER_CREATE, 'box', flags];
      }
      case 1:
        return [
          OP.OP_CONTAINER_MOUNT,
          fd,
          'none',
          this.#of([0, this.#path()]),
          this.#of(TYPES),
          0,
          0,
        ];
      case 2:
        return [OP.OP_CONTAINER_MOUNT, fd, this.#path(), this.#path(), 0, M.MS_BIND, 0];
      case 3:
        return [OP.OP_CONTAINER_CHROOT, fd, this.#path()];
      case 4:
        return [OP.OP_CONTAINER_BIND_MOUNT_ACROSS, fd, this.#path(), this.#of([0, this.#path()])];
      case 5:
        return [OP.OP_FSOPEN, this.#of(TYPES), this.#of([-1, fd]), 0];
      default:
        return [OP.OP_FSMOUNT, this.#fd('context'), fd, this.#path(), 0, this.#bits(1, 2, 4)];
    }
  }

  /** The next call, by one of the tasks. */
  next(): [number, ...Arg[]] {
    switch (this.#n(15)) {
      case 0:
      case 1:
        return this.#old();
      case 2:
        return [OP.OP_FSOPEN_TODAY, this.#of(TYPES), this.#flags(1)];
      case 3:
        return this.#config();
      case 4:
        return [OP.OP_FSMOUNT_TODAY, this.#fd('context'), this.#flags(1), this.#bits(1, 2, 4, 16)];
      case 5:
        return [OP.OP_FSPICK, this.#fd(), this.#path(), this.#flags(1, 2, 8)];
      case 6:
      case 7:
        return this.#tree();
      case 8:
      case 14:
        return this.#container();
      case 9:
      case 12:
      case 13:
        return [OP.OP_CLOSE, this.#n(24)];
      case 10: {
        const bytes = new Uint8Array(Buffer.from(this.#of(WRITES)));
        return [this.#of([OP.OP_READ, OP.OP_WRITE]), 3 + this.#n(9), bytes, bytes.length];
      }
      default:
        return this.#of<[number, ...Arg[]]>([
          [OP.OP_MKDIR, this.#path(), 0o755],
          [OP.OP_OPENAT, this.#fd(), this.#path(), this.#bits(O_CREAT, O_DIRECTORY, O_RDWR), 0o644],
          [OP.OP_RMDIR, this.#path()],
          [OP.OP_CHDIR, this.#path()],
          [OP.OP_FCHDIR, this.#fd()],
          [OP.OP_UNSHARE, CLONE_NEWNS],
          [OP.OP_PIVOT_ROOT, '/a', '/a/x'],
          [OP.OP_FORK_INTO_CONTAINER, this.#fd('container')],
        ]);
    }
  }

  task(tasks: readonly Fs[]): Fs {
    return this.#of(tasks);
  }
}

it.each([0, 1, 2, 3])(`${STEPS} calls, program %i`, async (i) => {
  const fs = await Fs.boot({ mountsMax: 60, nofile: 24 });
  const program = new Program(fs, FIRST + i * 7919);
  const start = fs.k.counts();
  const lord = fs.fork();
  for (const dir of ['/a', '/b', '/c', '/a/x', '/b/x']) expect(lord.mkdir(dir)).toBe(0);
  lord.close(lord.open('/file', O_CREAT));
  const other = lord.fork();
  const user = lord.fork();
  user.become(1000);
  expect(other.call(OP.OP_UNSHARE, CLONE_NEWNS)).toBe(0);
  expect(user.call(OP.OP_UNSHARE, CLONE_NEWUSER | CLONE_NEWNS)).toBe(0);
  let tasks = [lord, lord, other, user];
  let done = 0;
  for (let step = 0; step < STEPS; ++step) {
    const by = program.task(tasks);
    if (step % 3 === 0) program.prepare(by);
    const [op, ...args] = program.next();
    const r = many(by, op, ...args);
    if (r >= 0) done += 1;
    program.learn(op, r);
    if (op === OP.OP_FORK_INTO_CONTAINER && r > 0) tasks = [...tasks.slice(0, 6), fs.as(r)];
    if (step % CHECK_EACH === 0) {
      const wrong = fs.check();
      expect(wrong, `step ${step}, program ${FIRST + i * 7919}`).toEqual([]);
    }
  }
  expect(done).toBeGreaterThan(STEPS / 8);
  for (const { tid } of fs.k.tasks()) if (tid !== 1) fs.as(tid).run(OP.OP_EXIT_GROUP, 0);
  fs.k.runPending();
  expect(fs.check()).toEqual([]);
  while (fs.call(OP.OP_WAIT4, -1, 0, 1, 0) > 0);
  // what was made of directories is there, mounts of others are gone
  const { mounts, namespaces, fsContexts, containers, files } = fs.k.counts();
  expect({ namespaces, fsContexts, containers, files }).toEqual({
    namespaces: start.namespaces,
    fsContexts: 0,
    containers: start.containers,
    files: start.files,
  });
  expect(mounts).toBeGreaterThanOrEqual(1);
});
