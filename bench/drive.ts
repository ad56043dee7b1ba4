// Drives the kernel as fast as a host can: frames are laid out once, a call is two stores and one
// crossing.
import { createKernel, type Kernel } from '../host/index.ts';
import { layout } from '../host/generated/layout.ts';
import type { BootConfig } from '../host/kernel.ts';

const L = layout.frame;

/** One call, ready to be made again and again. */
export class Prepared {
  readonly #k: Kernel;
  readonly #word: number;
  readonly #address: number;
  readonly #op: number;
  readonly #trap: (at: number) => number;

  constructor(k: Kernel, tid: number, op: number, ...args: number[]) {
    const frame = k.allocFrame().begin(tid, 0, op);
    args.forEach((arg, i) => frame.setArg(i, arg));
    this.#k = k;
    this.#op = op;
    this.#trap = k.exports.do_syscall_64;
    this.#address = frame.address;
    this.#word = frame.address >>> 2;
  }

  /** For task `tid` (0: as before), with first argument `arg`. Return: low half of rax. */
  call(tid = 0, arg?: number): number {
    const u32 = this.#k.u32;
    if (tid) u32[this.#word + (L.tid >>> 2)] = tid;
    if (arg !== undefined) {
      u32[this.#word + (L.rdi >>> 2)] = arg;
      u32[this.#word + (L.rdi >>> 2) + 1] = arg < 0 ? 0xffffffff : 0;
    }
    u32[this.#word + (L.rax >>> 2)] = this.#op;
    u32[this.#word + (L.rax >>> 2) + 1] = 0;
    this.#trap(this.#address);
    if (u32.length === 0) this.#k.refresh();
    return this.#k.u32[this.#word + (L.rax >>> 2)]! | 0;
  }
}

export async function bigKernel(boot: BootConfig): Promise<Kernel> {
  return createKernel({ boot: { events: 0, ...boot } });
}

/** Nanoseconds of a piece of work. */
export function time(work: () => number): { ns: number; checksum: number } {
  const started = process.hrtime.bigint();
  const checksum = work();
  return { ns: Number(process.hrtime.bigint() - started), checksum };
}

export function median(values: number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[sorted.length >> 1] ?? Number.NaN;
}
