// Drives a kernel in tests: a call by its operation, its result as a number, guest memory at USER.
import { createKernel, DISP_DONE } from '../../../host/index.ts';
import type { Kernel, KernelTarget } from '../../../host/index.ts';
import * as OP from '../../../assembly/uapi/op.ts';
import { type Memory, trap } from '../trap.ts';

export { USER, words } from '../trap.ts';
/** The call sleeps. */
export const SLEEPS = -5000;
/** The caller is gone. */
export const GONE = -5001;

type Arg = number | bigint;

/** Words of 64 bits as guest memory. */
export function longs(...values: Arg[]): Uint8Array {
  return new Uint8Array(BigInt64Array.from(values.map(BigInt)).buffer.slice(0));
}

export class Driver {
  readonly k: Kernel;
  /** what the last call wrote at USER */
  out: Uint8Array = new Uint8Array();

  constructor(k: Kernel) {
    this.k = k;
  }

  /** A call without memory. */
  call(tid: number, op: number, ...args: Arg[]): number {
    return this.run(tid, op, args);
  }

  /** A call whose guest memory at USER is `memory`. */
  mem(tid: number, op: number, args: Arg[], memory: Uint8Array | number): number {
    return this.run(tid, op, args, memory);
  }

  /** A call with an address that is no memory. */
  fault(tid: number, op: number, ...args: Arg[]): number {
    return this.run(tid, op, args, 'unmapped');
  }

  run(tid: number, op: number, args: Arg[], memory?: Memory): number {
    const done = trap(this.k, tid, op, args, memory);
    if (done.kind !== 'done') return done.kind === 'sleeps' ? SLEEPS : GONE;
    if (done.out) this.out = done.out;
    return done.result;
  }

  /** The sleeping call of `tid` goes on: its result, or SLEEPS. */
  resume(tid: number): number {
    return this.k.resume(tid) === DISP_DONE ? this.k.frameOf(tid)!.result : SLEEPS;
  }

  fork(tid = 1): number {
    return this.call(tid, OP.OP_FORK);
  }

  exit(tid: number, code = 0): void {
    this.call(tid, OP.OP_EXIT_GROUP, code);
  }

  wait(tid: number, child = -1): number {
    return this.call(tid, OP.OP_WAIT4, child, 0, 0, 0);
  }

  /** A child of `tid` without privileges. */
  unprivileged(uid = 1000, tid = 1): number {
    const child = this.fork(tid);
    this.call(child, OP.OP_SETRESGID, uid, uid, uid);
    this.call(child, OP.OP_SETRESUID, uid, uid, uid);
    return child;
  }

  /** 32-bit word `i` of what the last call wrote. */
  word(i: number): number {
    return new DataView(this.out.buffer, this.out.byteOffset).getInt32(i * 4, true);
  }

  /** 64-bit word `i` of what the last call wrote. */
  long(i: number): bigint {
    return new DataView(this.out.buffer, this.out.byteOffset).getBigInt64(i * 8, true);
  }

  /** Every pending signal of `tid` acts; numbers of those that were taken. */
  deliver(tid: number): number[] {
    const taken: number[] = [];
    for (let step = 0; step < 100; ++step) {
      const { action, info } = this.k.exitToUser(tid);
      if (info.signo) taken.push(info.signo);
      if (action === 'none' || action === 'died' || action === 'stopped') break;
    }
    return taken;
  }
}

export async function driver(target: KernelTarget = 'debug'): Promise<Driver> {
  return new Driver(await createKernel({ target }));
}
