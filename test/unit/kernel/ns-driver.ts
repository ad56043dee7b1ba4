// What tests about users and namespaces do again and again: files of /proc, creds, capabilities.
import { AT_FDCWD, O_RDWR } from '../../../assembly/uapi/fcntl.ts';
import * as OP from '../../../assembly/uapi/op.ts';
import { _LINUX_CAPABILITY_VERSION_3 } from '../../../assembly/uapi/capability.ts';
import { createKernel, DISP_DONE, type KernelTarget } from '../../../host/index.ts';
import type { BootConfig } from '../../../host/index.ts';
import { Driver, USER, words } from './driver.ts';

const OTHER = 0x9000;
const text = (s: string): Uint8Array => new TextEncoder().encode(s);

export class NsDriver extends Driver {
  /** Opens what the world has: the descriptor. */
  open(tid: number, path: string, flags = O_RDWR, dirfd = AT_FDCWD): number {
    const frame = this.k.frame.begin(tid, 0, OP.OP_OPENAT);
    frame.setArg(0, dirfd).setArg(1, USER).setArg(2, flags).assistRet(0);
    frame.window(USER, text(`${path}\0`), 'r');
    if (this.k.trap() !== DISP_DONE) throw new Error('open');
    return frame.result;
  }

  write(tid: number, fd: number, data: string): number {
    return this.mem(tid, OP.OP_WRITE, [fd, USER, data.length], text(`${data}\0`));
  }

  read(tid: number, fd: number, room = 4096): string {
    const n = this.mem(tid, OP.OP_READ, [fd, USER, room], room);
    return n < 0 ? String(n) : new TextDecoder().decode(this.out.subarray(0, n));
  }

  /** Opens a file of /proc, writes to it, closes it. */
  put(tid: number, path: string, data: string): number {
    const fd = this.open(tid, path);
    const result = this.write(tid, fd, data);
    this.call(tid, OP.OP_CLOSE, fd);
    return result;
  }

  /** Both maps of the namespace of `pid`, written by `tid`: one extent each. */
  map(tid: number, pid: number | 'self', line: string): void {
    for (const name of ['uid_map', 'gid_map']) {
      const n = this.put(tid, `/proc/${pid}/${name}`, line);
      if (n !== line.length) throw new Error(`${name}: ${n}`);
    }
  }

  ids(tid: number, op: number): number[] {
    this.mem(tid, op, [USER, USER + 4, USER + 8], 12);
    return [this.word(0), this.word(1), this.word(2)];
  }
  uids(tid: number): number[] {
    return this.ids(tid, OP.OP_GETRESUID);
  }
  gids(tid: number): number[] {
    return this.ids(tid, OP.OP_GETRESGID);
  }

  /** capget: effective, permitted, inheritable. */
  caps(tid: number): [bigint, bigint, bigint] {
    const frame = this.k.frame.begin(tid, 0, OP.OP_CAPGET).setArg(0, USER).setArg(1, OTHER);
    frame.window(USER, words(_LINUX_CAPABILITY_VERSION_3, 0), 'rw').window(OTHER, 24, 'w');
    this.k.trap();
    const view = new DataView(frame.output(OTHER, 24)!.buffer);
    const set = (i: number): bigint =>
      BigInt(view.getUint32(i * 4, true)) | (BigInt(view.getUint32(12 + i * 4, true)) << 32n);
    return [set(0), set(1), set(2)];
  }

  capset(tid: number, sets: readonly bigint[], version = _LINUX_CAPABILITY_VERSION_3): number {
    const low = sets.map((set) => Number(set & 0xffffffffn));
    const high = sets.map((set) => Number(set >> 32n));
    const frame = this.k.frame.begin(tid, 0, OP.OP_CAPSET).setArg(0, USER).setArg(1, OTHER);
    frame.window(USER, words(version, 0), 'rw').window(OTHER, words(...low, ...high), 'r');
    this.k.trap();
    return frame.result;
  }

  exec(tid: number): number {
    return this.mem(tid, OP.OP_EXECVE, [USER], text('/bin/true\0'));
  }
}

export async function nsDriver(
  target: KernelTarget = 'debug',
  boot?: BootConfig,
): Promise<NsDriver> {
  return new NsDriver(await createKernel(boot ? { target, boot } : { target }));
}
