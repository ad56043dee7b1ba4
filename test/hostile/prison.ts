// A container as a careful supervisor makes it, and who is in it: every namespace its own, a root
// of its own by pivot_root, a user namespace whose ids are nobody's outside, some mounts that it
// must not uncover. Descriptors of the outside are left open in it on purpose.
import { expect } from 'vitest';
import * as U from '../../assembly/uapi/container.ts';
import * as E from '../../assembly/uapi/errno.ts';
import * as O from '../../assembly/uapi/fcntl.ts';
import * as M from '../../assembly/uapi/mount.ts';
import * as OP from '../../assembly/uapi/op.ts';
import * as C from '../../assembly/uapi/sched.ts';
import { AF_UNIX, SCM_RIGHTS, SOCK_STREAM, SOL_SOCKET } from '../../assembly/uapi/socket.ts';
import { type Arg, Fs } from '../unit/vfs/driver.ts';

/** What the outside does not want read; nothing inside has this text. */
export const SECRET = 'outside';
/** First id outside of those that the container has, and how many. */
export const IDS_FROM = 100_000;
export const IDS = 65_536;
const PR_SET_DUMPABLE = 4;
/** Where the driver puts the buffer of a call. */
const BUFFER = 0x30000;

export const cstr = (text: string): Uint8Array => new Uint8Array(Buffer.from(`${text}\0`));

/** mount(2) by name. */
export function mount(by: Fs, type: string, target: string, flags = 0): number {
  return by.call(OP.OP_MOUNT, 0, target, cstr(type), flags, 0);
}
export function bind(by: Fs, from: string, to: string, flags = 0): number {
  return by.call(OP.OP_MOUNT, from, to, 0, M.MS_BIND | flags, 0);
}
export function remount(by: Fs, target: string, flags: number): number {
  return by.call(OP.OP_MOUNT, 0, target, 0, M.MS_REMOUNT | flags, 0);
}

function fine(r: number): number {
  expect(r).toBeGreaterThanOrEqual(0);
  return r;
}

/** A child of somebody inside: its number there is not the one that frames have. */
function forkInside(outer: Fs, by: Fs, op = OP.OP_FORK, ...args: Arg[]): Fs {
  const before = new Set(outer.ls('/proc') as string[]);
  fine(by.call(op, ...args));
  return outer.as(Number((outer.ls('/proc') as string[]).find((name) => !before.has(name))));
}

function fill(fs: Fs, path: string, text: string, mode = 0o644): void {
  const fd = fine(fs.open(path, O.O_CREAT | O.O_WRONLY, mode));
  fine(fs.write(fd, text));
  fs.close(fd);
}

/** What was left open: descriptors of the outside that whoever is in the container has. */
export interface Kept {
  /** a directory of the outside that only root may enter, and one that all may */
  closed: number;
  open: number;
  /** namespaces of the outside, by their CLONE_NEW* flag */
  ns: Map<number, number>;
  /** a pidfd of the supervisor; the container's own descriptor, and that of another one */
  pidfd: number;
  cfd: number;
  other: number;
  /** a proc directory of the supervisor */
  proc: number;
  /** two sockets that are connected: one for the outside, one for the inside */
  ours: number;
  theirs: number;
}

export class Prison {
  readonly outer: Fs;
  /** root in the container: every capability, in its user namespace */
  readonly root: Fs;
  /** uid and gid 1000 in the container, no capability */
  readonly user: Fs;
  readonly kept: Kept;
  /** key of the outside's keyrings */
  readonly key: number;

  private constructor(outer: Fs, root: Fs, user: Fs, kept: Kept, key: number) {
    this.outer = outer;
    this.root = root;
    this.user = user;
    this.kept = kept;
    this.key = key;
  }

  static async build(): Promise<Prison> {
    const outer = await Fs.boot();
    fine(mount(outer, 'proc', '/proc'));
    // as on most machines, everything is shared
    fine(outer.call(OP.OP_MOUNT, 0, '/', 0, M.MS_SHARED | M.MS_REC, 0));
    outer.mkdir('/secret', 0o700);
    outer.mkdir('/public', 0o755);
    outer.mkdir('/box');
    for (const dir of ['/secret', '/public']) fill(outer, `${dir}/key`, SECRET);
    const key = fine(outer.call(OP.OP_ADD_KEY, cstr('user'), 'outer', 0x30000, 4, -4));
    const guard = outer.fork();
    furnish(guard);
    const cfd = fine(takeOver(outer, guard, makeContainer(guard, 'prison')));
    const other = fine(outer.call(OP.OP_CONTAINER_CREATE, 'other', 0));
    const kept = leak(outer, cfd, other);
    const devices = new Uint8Array(new Uint32Array([O.S_IFCHR, 1, 8, 0, 0, 0, 0, 0, 0, 0]).buffer);
    fine(outer.call(OP.OP_CONTAINER_DEVICES, cfd, devices, 1));
    const root = outer.as(fine(outer.call(OP.OP_FORK_INTO_CONTAINER, cfd)));
    for (const map of ['uid_map', 'gid_map']) {
      const fd = fine(outer.open(`/proc/${root.tid}/${map}`, O.O_WRONLY));
      fine(outer.write(fd, `0 ${IDS_FROM} ${IDS}`));
      outer.close(fd);
    }
    root.become(0);
    fine(root.call(OP.OP_PRCTL, PR_SET_DUMPABLE, 1));
    fine(mount(root, 'proc', '/proc'));
    const user = forkInside(outer, root);
    user.become(1000);
    fine(user.call(OP.OP_PRCTL, PR_SET_DUMPABLE, 1));
    return new Prison(outer, root, user, kept, key);
  }

  /** Another process of the container's root. */
  helper(): Fs {
    return forkInside(this.outer, this.root);
  }

  /** The first process of a container that somebody inside has made. */
  forkInto(fd: number): Fs {
    return forkInside(this.outer, this.root, OP.OP_FORK_INTO_CONTAINER, fd);
  }

  /** What is seen at a path, by whoever is in the container: an errno, or whether it is theirs. */
  read(by: Fs, path: string, dirfd = O.AT_FDCWD): number {
    const fd = by.open(path, 0, 0, dirfd);
    if (fd < 0) return fd;
    if (by.read(fd, 64).includes(SECRET)) throw new Error(`${path} is the outside's`);
    return 0;
  }

  /** Nothing outside has changed: its mounts, its files, its processes. */
  intact(): string[] {
    const said = this.outer.check();
    if (this.outer.getcwd() !== '/') said.push('the outside is somewhere else');
    const names = this.outer.ls('/');
    const wanted = ['.', '..', 'bin', 'box', 'dev', 'proc', 'public', 'secret', 'tmp'];
    if (JSON.stringify([...(names as string[])].sort()) !== JSON.stringify(wanted)) {
      said.push(`the outside has ${String(names)}`);
    }
    for (const dir of ['/secret', '/public']) {
      if (JSON.stringify(this.outer.ls(dir)) !== '[".","..","key"]') said.push(`${dir} differs`);
      const fd = this.outer.open(`${dir}/key`);
      if (this.outer.read(fd, 64) !== SECRET) said.push(`${dir}/key differs`);
    }
    if ((this.outer.ls('/box') as string[]).length !== 2) said.push('/box has names in it');
    return said;
  }

  /** An errno is how each call on a descriptor of the outside ends; its text. */
  static nameOf(errno: number): string {
    return Object.entries(E).find(([, n]) => n === errno)?.[0] ?? String(errno);
  }
}

/** The guard makes what will be the container's root, and loses the rest. */
function furnish(guard: Fs): void {
  fine(guard.call(OP.OP_UNSHARE, C.CLONE_NEWNS));
  fine(guard.call(OP.OP_MOUNT, 0, '/', 0, M.MS_SLAVE | M.MS_REC, 0));
  fine(mount(guard, 'tmpfs', '/box'));
  const dirs = ['dev', 'proc', 'tmp', 'old', 'data', 'data/masked', 'data/sub', 'data/sub/deep'];
  for (const dir of [...dirs, 'data/out', 'mnt', 'ro', 'sys']) {
    fine(guard.mkdir(`/box/${dir}`));
    if (dir !== 'data/masked') fine(guard.chown(`/box/${dir}`, IDS_FROM, IDS_FROM));
  }
  fill(guard, '/box/data/masked/key', SECRET);
  fine(mount(guard, 'tmpfs', '/box/data/masked', M.MS_RDONLY));
  fine(mount(guard, 'tmpfs', '/box/ro'));
  fill(guard, '/box/ro/file', 'given', 0o644);
  fine(guard.chown('/box/ro/file', IDS_FROM, IDS_FROM));
  fine(guard.mknod('/box/ro/null', O.S_IFCHR | 0o666, 0x103));
  const locked = M.MS_RDONLY | M.MS_NOSUID | M.MS_NODEV | M.MS_NOEXEC;
  fine(remount(guard, '/box/ro', M.MS_BIND | locked));
  fine(bind(guard, '/dev', '/box/dev'));
  fine(mount(guard, 'proc', '/box/proc'));
  fine(guard.chmod('/box/tmp', 0o1777));
  fine(guard.chown('/box', IDS_FROM, IDS_FROM));
  fine(guard.call(OP.OP_PIVOT_ROOT, '/box', '/box/old'));
  fine(guard.chdir('/'));
  fine(guard.call(OP.OP_UMOUNT2, '/old', M.MNT_DETACH));
  fine(guard.rmdir('/old'));
}

function makeContainer(guard: Fs, name: string): number {
  const flags = U.CONTAINER__FLAG_MASK & ~U.CONTAINER_NEW_EMPTY_FS_NS;
  return fine(guard.call(OP.OP_CONTAINER_CREATE, name, flags));
}

function takeOver(outer: Fs, from: Fs, fd: number): number {
  const pidfd = fine(outer.call(OP.OP_PIDFD_OPEN, from.tid, 0));
  const got = fine(outer.call(OP.OP_PIDFD_GETFD, pidfd, fd, 0));
  outer.close(pidfd);
  return got;
}

const NAMESPACES: [name: string, flag: number][] = [
  ['user', C.CLONE_NEWUSER],
  ['mnt', C.CLONE_NEWNS],
  ['pid', C.CLONE_NEWPID],
  ['net', C.CLONE_NEWNET],
  ['uts', C.CLONE_NEWUTS],
  ['ipc', C.CLONE_NEWIPC],
  ['cgroup', C.CLONE_NEWCGROUP],
];

/** Descriptors that a careless supervisor has open when it forks into the container. */
function leak(outer: Fs, cfd: number, other: number): Kept {
  const ns = new Map<number, number>();
  for (const [name, flag] of NAMESPACES) ns.set(flag, fine(outer.open(`/proc/self/ns/${name}`)));
  fine(outer.call(OP.OP_SOCKETPAIR, AF_UNIX, SOCK_STREAM, 0, new Uint8Array(8)));
  const ends = new Int32Array(outer.out.slice().buffer);
  return {
    ours: ends[0]!,
    theirs: ends[1]!,
    closed: fine(outer.open('/secret')),
    open: fine(outer.open('/public')),
    ns,
    pidfd: fine(outer.call(OP.OP_PIDFD_OPEN, 1, 0)),
    cfd,
    other,
    proc: fine(outer.open('/proc/1')),
  };
}

/** A message header with room for one byte and one descriptor, where the driver puts buffers. */
function header(fd: number): Buffer {
  const bytes = Buffer.alloc(128);
  const fields = [0, 0, BUFFER + 64, 1, BUFFER + 80, 24, 0, 0, BUFFER + 120, 1, 20];
  fields.forEach((field, i) => bytes.writeBigUInt64LE(BigInt(field), i * 8));
  [SOL_SOCKET, SCM_RIGHTS, fd].forEach((word, i) => bytes.writeInt32LE(word, 88 + i * 4));
  return bytes;
}

/** sendmsg(2) of one byte with a descriptor. */
export function sendFile(by: Fs, to: number, fd: number): number {
  return by.call(OP.OP_SENDMSG, to, new Uint8Array(header(fd)), 0);
}

/** recvmsg(2) of it: the new descriptor. */
export function receiveFile(by: Fs, from: number): number {
  fine(by.call(OP.OP_RECVMSG, from, new Uint8Array(header(-1)), 0));
  return Buffer.from(by.out).readInt32LE(96);
}

/** One attempt to get out: who tries what, and the errno that it ends with. */
export interface Attempt {
  what: string;
  errno: keyof typeof E;
  by(p: Prison): number;
}
export type Attempts = Record<string, Attempt[]>;

/** Rows of a group: text, errno, what is tried. */
export function attempts(...rows: [string, keyof typeof E, (p: Prison) => number][]): Attempt[] {
  return rows.map(([what, errno, by]) => ({ what, errno, by }));
}

/** A call of which only the result counts. */
export function call(by: Fs, op: number, ...args: Arg[]): number {
  return by.call(op, ...args);
}
