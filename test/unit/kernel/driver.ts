// Drives a kernel in tests: a call by its operation, its result as a number, guest memory at USER.
import { createKernel, DISP_BLOCKED, DISP_DONE, DISP_EXITED } from '../../../host/index.ts';
import type { Kernel, KernelTarget } from '../../../host/index.ts';
import * as OP from '../../../assembly/uapi/op.ts';

/** Where the guest memory of a call begins. */
export const USER = 0x1000;
/** The call sleeps. */
export const SLEEPS = -5000;
/** The caller is gone. */
export const GONE = -5001;

type Arg = number | bigint;

/** Words of 32 bits as guest memory. */
export function words(...values: number[]): Uint8Array {
  return new Uint8Array(Int32Array.from(values).buffer.slice(0));
}

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

  run(tid: number, op: number, args: Arg[], memory?: Uint8Array | number | 'unmapped'): number {
    const frame = this.k.frame.begin(tid, 0, op);
    args.forEach((arg, i) => frame.setArg(i, arg));
    if (memory === 'unmapped') frame.window(USER, 4096, 'unmapped');
    else if (memory !== undefined) frame.window(USER, memory, 'rw');
    const disposition = this.k.trap();
    if (disposition === DISP_BLOCKED) return SLEEPS;
    if (disposition === DISP_EXITED) return GONE;
    if (disposition !== DISP_DONE) throw new Error(`disposition ${disposition}`);
    if (memory instanceof Uint8Array) this.out = frame.output(USER, memory.length)!;
    else if (typeof memory === 'number') this.out = frame.output(USER, memory)!;
    return frame.result;
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
