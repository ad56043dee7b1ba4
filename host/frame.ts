// A trap frame in the kernel's memory, as the host sees it: registers in, windows of guest memory,
// what the world decided, result out. No BigInt on the way of 32-bit values.
import { layout } from './generated/layout.ts';
import { S_IFBLK, S_IFCHR } from '../assembly/uapi/fcntl.ts';
import * as F from '../assembly/uapi/frame.ts';
import type { KernelExports } from './exports.ts';

const L = layout.frame;
const W = layout.user_window;
/** Bytes of one frame block: header, windows, window contents. */
export const FRAME_BLOCK = 8192;
const MAX_WINDOWS = 24;
const DATA_AT = L.size + MAX_WINDOWS * W.size;
const TWO32 = 0x1_0000_0000;
const EXACT = 0x20_0000;
const MAX_EXACT = BigInt(Number.MAX_SAFE_INTEGER);

export type WindowMode = 'r' | 'w' | 'rw' | 'unmapped';
const MODES: Record<WindowMode, number> = {
  r: F.WINDOW_READ,
  w: F.WINDOW_WRITE,
  rw: F.WINDOW_READ | F.WINDOW_WRITE,
  unmapped: F.WINDOW_UNMAPPED,
};

/** Argument registers of the x86-64 and of the i386 convention. */
const ARGS_64 = [L.rdi, L.rsi, L.rdx, L.r10, L.r8, L.r9] as const;
const ARGS_32 = [L.rbx, L.rcx, L.rdx, L.rsi, L.rdi, L.rbp] as const;

/** What has been put into a frame, to be put there again: registers, windows, their contents. */
export interface FrameImage {
  /** of the frame that it was taken from */
  readonly address: number;
  readonly compat: boolean;
  readonly header: Uint32Array;
  readonly windows: Uint32Array;
  readonly data: Uint32Array;
}

/** What a frame needs of its kernel: the memory's present views and the allocator. */
export interface FrameOwner {
  readonly exports: KernelExports;
  u32: Uint32Array;
  u8: Uint8Array;
  refresh(): void;
  isCompat(table: number): boolean;
}

export class Frame {
  /** Address in the kernel's memory. */
  readonly address: number;
  readonly #owner: FrameOwner;
  #used = DATA_AT;
  #extra: { at: number; size: number }[] = [];
  #compat = false;

  constructor(owner: FrameOwner, address: number) {
    this.#owner = owner;
    this.address = address;
  }

  /** Begins a call: number `nr` of `table` by task `tid`; arguments and windows are cleared. */
  begin(tid: number, table: number, nr: number): this {
    const o = this.#owner;
    if (this.#extra.length > 0) this.#free();
    o.refresh();
    const word = this.address >>> 2;
    o.u32.fill(0, word, word + (L.size >>> 2));
    this.#used = DATA_AT;
    this.#compat = o.isCompat(table);
    o.u32[word + (L.tid >>> 2)] = tid;
    o.u32[word + (L.table >>> 2)] = table;
    o.u32[word + (L.rax >>> 2)] = nr;
    o.u32[word + (L.windows >>> 2)] = this.address + L.size;
    return this;
  }

  /** A copy of what stands in the frame; undefined when windows lie outside of its block. */
  capture(): FrameImage | undefined {
    if (this.#extra.length > 0) return undefined;
    const { u32 } = this.#owner;
    const word = this.address >>> 2;
    const windows = word + (L.size >>> 2);
    return {
      address: this.address,
      compat: this.#compat,
      header: u32.slice(word, windows),
      windows: u32.slice(windows, windows + this.nrWindows * (W.size >>> 2)),
      data: this.contents(),
    };
  }

  /** Begins a call of `tid` with everything as it was captured, in whatever frame that was. */
  repeat(image: FrameImage, tid: number): this {
    const o = this.#owner;
    if (this.#extra.length > 0) this.#free();
    o.refresh();
    const { u32 } = o;
    const word = this.address >>> 2;
    const windows = word + (L.size >>> 2);
    u32.set(image.header, word);
    u32.set(image.windows, windows);
    u32.set(image.data, word + (DATA_AT >>> 2));
    u32[word + (L.tid >>> 2)] = tid;
    u32[word + (L.windows >>> 2)] = this.address + L.size;
    const moved = this.address - image.address;
    for (let i = W.place >>> 2; moved && i < image.windows.length; i += W.size >>> 2) {
      if (u32[windows + i]) u32[windows + i]! += moved;
    }
    this.#used = DATA_AT + image.data.length * 4;
    this.#compat = image.compat;
    return this;
  }

  /** A copy of the contents of all windows, as they lie in the block. */
  contents(): Uint32Array {
    const word = this.address >>> 2;
    return this.#owner.u32.slice(word + (DATA_AT >>> 2), word + (this.#used >>> 2));
  }

  holds(contents: Uint32Array): boolean {
    const { u32 } = this.#owner;
    const at = (this.address + DATA_AT) >>> 2;
    for (let i = 0; i < contents.length; ++i) if (u32[at + i] !== contents[i]) return false;
    return this.#used === DATA_AT + contents.length * 4;
  }

  #free(): void {
    for (const block of this.#extra) this.#owner.exports.host_free(block.at, block.size);
    this.#extra.length = 0;
  }

  #put64(offset: number, v: number | bigint): void {
    const at = (this.address + offset) >>> 2;
    const u32 = this.#owner.u32;
    if (typeof v === 'bigint') {
      u32[at] = Number(v & 0xffffffffn);
      u32[at + 1] = Number((v >> 32n) & 0xffffffffn);
      return;
    }
    u32[at] = v;
    u32[at + 1] = Math.floor(v / TWO32);
  }

  #get64(offset: number): bigint {
    const at = (this.address + offset) >>> 2;
    const u32 = this.#owner.u32;
    const high = u32[at + 1]! | 0;
    // what a double holds needs no arithmetic of BigInts
    if (high < EXACT && high >= -EXACT) return BigInt(high * TWO32 + u32[at]!);
    return BigInt.asIntN(64, (BigInt(high) << 32n) | BigInt(u32[at]!));
  }

  /** Argument 0..5, sign-extended to 64 bits. */
  setArg(i: number, v: number | bigint): this {
    const offset = (this.#compat ? ARGS_32 : ARGS_64)[i];
    if (offset === undefined) throw new RangeError(`argument ${i}: a call has six`);
    this.#put64(offset, v);
    return this;
  }

  /** Register by the kernel's name (rax, rdi, rip, eflags, ...). */
  setReg(name: string, v: number | bigint): this {
    this.#put64(registerOffset(name), v);
    return this;
  }

  getReg(name: string): bigint {
    return this.#get64(registerOffset(name));
  }

  /** The two halves of a register without a BigInt. */
  setRegHalves(offset: number, lo: number, hi: number): void {
    const at = (this.address + offset) >>> 2;
    this.#owner.u32[at] = lo;
    this.#owner.u32[at + 1] = hi;
  }

  /**
   * Shows guest memory at `addr` to the call: a copy of `bytes`, or that many zero bytes. Mode
   * `unmapped` declares the range to be no memory at all.
   */
  window(addr: number | bigint, bytes: Uint8Array | number, mode: WindowMode): this {
    const o = this.#owner;
    const count = this.nrWindows;
    if (count >= MAX_WINDOWS) throw new RangeError(`more than ${MAX_WINDOWS} windows in a frame`);
    const len = typeof bytes === 'number' ? bytes : bytes.length;
    let place = 0;
    if (mode !== 'unmapped') {
      place = this.#place(len);
      if (typeof bytes === 'number') o.u8.fill(0, place, place + len);
      else o.u8.set(bytes, place);
    }
    const at = L.size + count * W.size;
    this.#put64(at + W.addr, addr);
    const word = (this.address + at) >>> 2;
    o.u32[word + (W.len >>> 2)] = len;
    o.u32[word + (W.place >>> 2)] = place;
    o.u32[word + (W.mode >>> 2)] = MODES[mode];
    o.u32[(this.address + L.nr_windows) >>> 2] = count + 1;
    return this;
  }

  /** Room for window contents: in the frame's block while it lasts. */
  #place(len: number): number {
    const aligned = (len + 7) & ~7;
    if (this.#used + aligned <= FRAME_BLOCK) {
      const place = this.address + this.#used;
      this.#used += aligned;
      return place;
    }
    const at = this.#owner.exports.host_alloc(aligned) >>> 0;
    if (!at) throw new RangeError('the kernel has no memory left for a window');
    this.#extra.push({ at, size: aligned });
    this.#owner.refresh();
    return at;
  }

  #assist(flag: number, offset: number, v: number): this {
    this.#owner.u32[(this.address + L.assist) >>> 2]! |= flag;
    if (offset) this.#owner.u32[(this.address + offset) >>> 2] = v;
    return this;
  }

  /** The child of this fork-like call has number `pid` in the initial namespace. */
  assistPid(pid: number): this {
    return this.#assist(F.ASSIST_PID, L.assist_pid, pid);
  }

  /** The world makes this call fail with `errno` (positive). */
  assistErrno(errno: number): this {
    return this.#assist(F.ASSIST_ERRNO, L.assist_val, errno);
  }

  /** The world lets this call succeed with `v`. */
  assistRet(v: number): this {
    return this.#assist(F.ASSIST_RET, L.assist_val, v);
  }

  /** ASSIST_CLOEXEC, ASSIST_NONBLOCK: how the world's new file was opened. */
  assistFlags(flags: number): this {
    return this.#assist(flags, 0, 0);
  }

  /** What this call opens is a device node: `c` or `b`, major and minor. */
  assistDevice(type: 'c' | 'b', major: number, minor: number): this {
    const mode = type === 'c' ? S_IFCHR : S_IFBLK;
    this.#put64(L.assist_mask, (BigInt(mode) << 48n) | (BigInt(major) << 32n) | BigInt(minor));
    return this.#assist(F.ASSIST_DEVICE, 0, 0);
  }

  /** rt_sigreturn goes back to the saved frame with this mask. */
  assistMask(mask: bigint): this {
    this.#put64(L.assist_mask, mask);
    return this.#assist(F.ASSIST_MASK, 0, 0);
  }

  /** The mask that rt_sigreturn went back to. */
  get assistedMask(): bigint {
    return BigInt.asUintN(64, this.#get64(L.assist_mask));
  }

  /** Looks ahead: what the call would answer now, without its effect. */
  assistPeek(): this {
    return this.#assist(F.ASSIST_PEEK, 0, 0);
  }

  /** The world's new file is open with these O_ flags; `inode`: what it is, 0: not known. */
  assistFile(flags: number, inode: number): this {
    this.#put64(L.assist_mask, flags);
    return this.#assist(F.ASSIST_FILE, L.assist_pid, inode);
  }

  /** Did the call fail because the world said so, and not by what the kernel found? */
  get heardWorld(): boolean {
    return (this.#owner.u32[(this.address + L.assist) >>> 2]! & F.ASSIST_HEARD) !== 0;
  }

  get nrWindows(): number {
    return this.#owner.u32[(this.address + L.nr_windows) >>> 2]!;
  }

  get disposition(): number {
    return this.#owner.u32[(this.address + L.disposition) >>> 2]!;
  }

  /** Signed rax; exact up to 2^53. */
  get result(): number {
    const at = (this.address + L.rax) >>> 2;
    const u32 = this.#owner.u32;
    return (u32[at + 1]! | 0) * TWO32 + u32[at]!;
  }

  get resultBig(): bigint {
    return this.#get64(L.rax);
  }

  get needAddr(): bigint {
    return BigInt.asUintN(64, this.#get64(L.need_addr));
  }

  get needLen(): number {
    return this.#owner.u32[(this.address + L.need_len) >>> 2]!;
  }

  /** A copy of the `len` bytes at guest address `addr`, when one window holds them. */
  output(addr: number | bigint, len: number): Uint8Array | undefined {
    const { u32, u8 } = this.#owner;
    const wide = typeof addr === 'bigint' && (addr < 0n || addr > MAX_EXACT);
    const want = wide ? BigInt.asUintN(64, addr) : 0n;
    for (let i = 0; i < this.nrWindows; ++i) {
      const at = L.size + i * W.size;
      const word = (this.address + at) >>> 2;
      const size = u32[word + (W.len >>> 2)]!;
      const place = u32[word + (W.place >>> 2)]!;
      if (!place) continue;
      const low = u32[word + (W.addr >>> 2)]!;
      const high = u32[word + (W.addr >>> 2) + 1]!;
      // what a double holds needs no arithmetic of BigInts
      const into = wide
        ? Number(want - BigInt.asUintN(64, this.#get64(at + W.addr)))
        : Number(addr) - (high * TWO32 + low);
      if (into < 0 || into + len > size) continue;
      return u8.slice(place + into, place + into + len);
    }
    return undefined;
  }
}

function registerOffset(name: string): number {
  const offset = (L as Record<string, number>)[name === 'rflags' ? 'eflags' : name];
  if (offset === undefined || offset >= L.args)
    throw new RangeError(`no register is called ${name}`);
  return offset;
}
