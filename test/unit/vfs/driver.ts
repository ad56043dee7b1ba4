// File-system calls by name, on a kernel whose first process has a root of the kernel's.
import { expect } from 'vitest';
import * as OP from '../../../assembly/uapi/op.ts';
import { AT_FDCWD } from '../../../assembly/uapi/fcntl.ts';
import {
  type BootConfig,
  createKernel,
  DISP_BLOCKED,
  DISP_DONE,
  DISP_EXITED,
  type Kernel,
} from '../../../host/index.ts';

const PATH = 0x10000;
const PATH2 = 0x20000;
const BUFFER = 0x30000;
export const SLEEPS = 'sleeps';

/** A path, a descriptor's directory and a path, or bytes. */
export type Arg = number | bigint | string | Uint8Array;

const bytesOf = (text: string): Uint8Array => Buffer.from(`${text}\0`, 'latin1');

/** What stat(2) says. */
export interface Stat {
  ino: number;
  nlink: number;
  mode: number;
  uid: number;
  gid: number;
  rdev: number;
  size: number;
  dev: number;
  mtime: number;
}

export class Fs {
  readonly k: Kernel;
  tid = 1;

  constructor(k: Kernel) {
    this.k = k;
  }

  static async boot(config: BootConfig = {}): Promise<Fs> {
    return new Fs(await createKernel({ target: 'debug', boot: { root: 'ramfs', ...config } }));
  }

  /** The same kernel by another task. */
  as(tid: number): Fs {
    const other = new Fs(this.k);
    other.tid = tid;
    return other;
  }

  /** A call; texts become paths in memory, bytes a buffer. The result, or that it sleeps. */
  call(op: number, ...args: Arg[]): number {
    const r = this.run(op, ...args);
    if (r === SLEEPS) throw new Error('the call sleeps');
    return r;
  }

  run(op: number, ...args: Arg[]): number | typeof SLEEPS {
    const frame = this.k.frame.begin(this.tid, 0, op);
    let paths = 0;
    args.forEach((arg, i) => {
      if (typeof arg === 'string') {
        const at = paths === 0 ? PATH : PATH2;
        paths += 1;
        frame.window(at, bytesOf(arg), 'r');
        frame.setArg(i, at);
      } else if (arg instanceof Uint8Array) {
        frame.window(BUFFER, arg, 'rw');
        frame.setArg(i, BUFFER);
      } else {
        frame.setArg(i, arg);
      }
    });
    const d = this.k.trap();
    if (d === DISP_BLOCKED) return SLEEPS;
    if (d !== DISP_DONE && d !== DISP_EXITED) throw new Error(`disposition ${d}`);
    this.out = args.some((a) => a instanceof Uint8Array)
      ? frame.output(BUFFER, (args.find((a) => a instanceof Uint8Array) as Uint8Array).length)!
      : new Uint8Array();
    return frame.result;
  }

  /** What the last call left in its buffer. */
  out: Uint8Array = new Uint8Array();

  mkdir(path: string, mode = 0o755): number {
    return this.call(OP.OP_MKDIR, path, mode);
  }
  mknod(path: string, mode: number, dev = 0): number {
    return this.call(OP.OP_MKNOD, path, mode, dev);
  }
  rmdir(path: string): number {
    return this.call(OP.OP_RMDIR, path);
  }
  unlink(path: string): number {
    return this.call(OP.OP_UNLINK, path);
  }
  symlink(text: string, path: string): number {
    return this.call(OP.OP_SYMLINK, text, path);
  }
  link(from: string, to: string): number {
    return this.call(OP.OP_LINK, from, to);
  }
  rename(from: string, to: string, flags = 0): number {
    return this.call(OP.OP_RENAMEAT2, AT_FDCWD, from, AT_FDCWD, to, flags);
  }
  open(path: string, flags = 0, mode = 0o644, dirfd = AT_FDCWD): number {
    return this.call(OP.OP_OPENAT, dirfd, path, flags, mode);
  }
  openat2(path: string, flags: number, resolve: number, dirfd = AT_FDCWD, mode = 0): number {
    const how = Buffer.alloc(24);
    how.writeBigUInt64LE(BigInt(flags), 0);
    how.writeBigUInt64LE(BigInt(mode), 8);
    how.writeBigUInt64LE(BigInt(resolve), 16);
    return this.call(OP.OP_OPENAT2, dirfd, path, new Uint8Array(how), 24);
  }
  close(fd: number): number {
    return this.call(OP.OP_CLOSE, fd);
  }
  read(fd: number, n: number): string {
    const r = this.call(OP.OP_READ, fd, new Uint8Array(n), n);
    expect(r).toBeGreaterThanOrEqual(0);
    return Buffer.from(this.out.subarray(0, r)).toString('latin1');
  }
  write(fd: number, text: string): number {
    const bytes = Buffer.from(text, 'latin1');
    return this.call(OP.OP_WRITE, fd, new Uint8Array(bytes), bytes.length);
  }
  chdir(path: string): number {
    return this.call(OP.OP_CHDIR, path);
  }
  getcwd(): string | number {
    const r = this.call(OP.OP_GETCWD, new Uint8Array(4096), 4096);
    return r < 0 ? r : Buffer.from(this.out.subarray(0, r - 1)).toString('latin1');
  }
  readlink(path: string): string | number {
    const r = this.call(OP.OP_READLINK, path, new Uint8Array(4096), 4096);
    return r < 0 ? r : Buffer.from(this.out.subarray(0, r)).toString('latin1');
  }
  chmod(path: string, mode: number): number {
    return this.call(OP.OP_CHMOD, path, mode);
  }
  chown(path: string, uid: number, gid: number): number {
    return this.call(OP.OP_CHOWN, path, uid, gid);
  }
  access(path: string, mode: number): number {
    return this.call(OP.OP_ACCESS, path, mode);
  }

  /** stat or lstat; an errno when it fails. */
  stat(path: string, follow = true): Stat | number {
    const r = this.call(follow ? OP.OP_STAT : OP.OP_LSTAT, path, new Uint8Array(144));
    return r < 0 ? r : this.#stat();
  }
  fstat(fd: number): Stat | number {
    const r = this.call(OP.OP_FSTAT, fd, new Uint8Array(144));
    return r < 0 ? r : this.#stat();
  }
  #stat(): Stat {
    const b = Buffer.from(this.out);
    return {
      dev: Number(b.readBigUInt64LE(0)),
      ino: Number(b.readBigUInt64LE(8)),
      nlink: Number(b.readBigUInt64LE(16)),
      mode: b.readUInt32LE(24),
      uid: b.readUInt32LE(28),
      gid: b.readUInt32LE(32),
      rdev: Number(b.readBigUInt64LE(40)),
      size: Number(b.readBigUInt64LE(48)),
      mtime: Number(b.readBigUInt64LE(88)),
    };
  }

  /** Names in a directory, as getdents64 gives them; an errno when it cannot be read. */
  ls(path: string): string[] | number {
    const fd = this.open(path, 0x10000);
    if (fd < 0) return fd;
    const names: string[] = [];
    for (;;) {
      const n = this.call(OP.OP_GETDENTS64, fd, new Uint8Array(512), 512);
      if (n < 0) return n;
      if (n === 0) break;
      const b = Buffer.from(this.out.subarray(0, n));
      for (let at = 0; at < n; at += b.readUInt16LE(at + 16)) {
        const end = b.indexOf(0, at + 19);
        names.push(b.subarray(at + 19, end).toString('latin1'));
      }
    }
    this.close(fd);
    return names;
  }

  /** A child of the task. */
  fork(): Fs {
    return this.as(this.call(OP.OP_FORK));
  }

  /** uid and gid of the task, all of them, its groups gone. */
  become(uid: number, gid = uid): void {
    expect(this.call(OP.OP_SETGROUPS, 0, 0)).toBe(0);
    expect(this.call(OP.OP_SETRESGID, gid, gid, gid)).toBe(0);
    expect(this.call(OP.OP_SETRESUID, uid, uid, uid)).toBe(0);
  }

  /** Everything the invariant checker finds wrong. */
  check(): string[] {
    return this.k.check();
  }
}
