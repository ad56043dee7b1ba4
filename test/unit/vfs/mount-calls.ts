// The newer mount calls by name, as tests make them.
import { expect } from 'vitest';
import { AT_FDCWD } from '../../../assembly/uapi/fcntl.ts';
import * as M from '../../../assembly/uapi/mount.ts';
import * as OP from '../../../assembly/uapi/op.ts';
import type { Arg, Fs } from './driver.ts';

const AT = [0x40000, 0x50000, 0x60000, 0x70000, 0x80000, 0x90000];

/** A call all of whose texts and bytes lie in places of their own. */
export function many(fs: Fs, op: number, ...args: Arg[]): number {
  const frame = fs.k.frame.begin(fs.tid, 0, op);
  args.forEach((arg, i) => {
    if (typeof arg === 'number' || typeof arg === 'bigint') {
      frame.setArg(i, arg);
      return;
    }
    const bytes = typeof arg === 'string' ? Buffer.from(`${arg}\0`, 'latin1') : arg;
    frame.window(AT[i]!, bytes, 'rw').setArg(i, AT[i]!);
  });
  // an address that nobody gave memory is none
  let disposition = fs.k.trap();
  for (let tries = 0; disposition === 3 && tries < 4; ++tries) {
    frame.window(frame.needAddr, frame.needLen, 'unmapped');
    disposition = fs.k.trap();
  }
  return frame.result;
}

export class Mounts {
  readonly fs: Fs;

  constructor(fs: Fs) {
    this.fs = fs;
  }

  open(type: string, flags = 0): number {
    return many(this.fs, OP.OP_FSOPEN_TODAY, type, flags);
  }
  pick(path: string, flags = 0, dirfd = AT_FDCWD): number {
    return many(this.fs, OP.OP_FSPICK, dirfd, path, flags);
  }
  config(fd: number, cmd: number, key: Arg = 0, value: Arg = 0, aux = 0): number {
    return many(this.fs, OP.OP_FSCONFIG, fd, cmd, key, value, aux);
  }
  set(fd: number, key: string, value?: string): number {
    if (value === undefined) return this.config(fd, M.FSCONFIG_SET_FLAG, key);
    return this.config(fd, M.FSCONFIG_SET_STRING, key, value);
  }
  create(fd: number): number {
    return this.config(fd, M.FSCONFIG_CMD_CREATE);
  }
  mount(fd: number, flags = 0, attr = 0): number {
    return many(this.fs, OP.OP_FSMOUNT_TODAY, fd, flags, attr);
  }
  move(from: number, source: string, to: number, target: string, flags = 0): number {
    return many(this.fs, OP.OP_MOVE_MOUNT, from, source, to, target, flags);
  }
  /** The tree behind a descriptor goes to a path. */
  put(fd: number, target: string, flags = 0): number {
    return this.move(fd, '', AT_FDCWD, target, M.MOVE_MOUNT_F_EMPTY_PATH | flags);
  }
  tree(path: string, flags = 0, dirfd = AT_FDCWD): number {
    return many(this.fs, OP.OP_OPEN_TREE, dirfd, path, flags);
  }
  setattr(path: string, a: Attr, flags = 0, dirfd = AT_FDCWD): number {
    return many(this.fs, OP.OP_MOUNT_SETATTR, dirfd, path, flags, attrBytes(a), 32);
  }
  /** A new file system, attached nowhere: its descriptor. */
  made(type = 'tmpfs', attr = 0): number {
    const fd = this.open(type);
    expect([fd > 0, this.create(fd)]).toEqual([true, 0]);
    const at = this.mount(fd, 0, attr);
    expect(at).toBeGreaterThan(0);
    this.fs.close(fd);
    return at;
  }
  /** mount(2). */
  old(source: Arg, target: Arg, type: Arg, flags = 0, data: Arg = 0): number {
    return many(this.fs, OP.OP_MOUNT, source, target, type, flags, data);
  }
}

/** struct mount_attr. */
export interface Attr {
  set?: number;
  clear?: number;
  propagation?: number;
  userns?: number;
}

export function attrBytes(a: Attr, size = 32): Uint8Array {
  const bytes = Buffer.alloc(size);
  bytes.writeBigUInt64LE(BigInt(a.set ?? 0), 0);
  bytes.writeBigUInt64LE(BigInt(a.clear ?? 0), 8);
  bytes.writeBigUInt64LE(BigInt(a.propagation ?? 0), 16);
  bytes.writeBigUInt64LE(BigInt(a.userns ?? 0), 24);
  return new Uint8Array(bytes);
}
