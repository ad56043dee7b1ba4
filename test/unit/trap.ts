// One call in a test: arguments in registers, guest memory at USER.
import { DISP_BLOCKED, DISP_DONE, DISP_EXITED, type Kernel } from '../../host/index.ts';

/** Where the guest memory of a call begins. */
export const USER = 0x1000;
/** Guest memory at USER: bytes, that many zero bytes, or no memory at all. */
export type Memory = Uint8Array | number | 'unmapped';

/** Words of 32 bits as guest memory. */
export function words(...values: number[]): Uint8Array {
  return new Uint8Array(Int32Array.from(values).buffer.slice(0));
}

/** What came of a call: its result and what it left at USER, or what its task does instead. */
export type Outcome =
  { kind: 'done'; result: number; out?: Uint8Array } | { kind: 'sleeps' } | { kind: 'gone' };

/** Traps. Throws where the kernel neither runs the call nor puts its task to sleep. */
export function trap(
  k: Kernel,
  tid: number,
  op: number,
  args: readonly (number | bigint)[],
  memory?: Memory,
): Outcome {
  const frame = k.frame.begin(tid, 0, op);
  args.forEach((arg, i) => frame.setArg(i, arg));
  if (memory === 'unmapped') frame.window(USER, 4096, 'unmapped');
  else if (memory !== undefined) frame.window(USER, memory, 'rw');
  const disposition = k.trap();
  if (disposition === DISP_BLOCKED) return { kind: 'sleeps' };
  if (disposition === DISP_EXITED) return { kind: 'gone' };
  if (disposition !== DISP_DONE) throw new Error(`disposition ${disposition}`);
  const length = memory instanceof Uint8Array ? memory.length : memory;
  if (typeof length !== 'number') return { kind: 'done', result: frame.result };
  return { kind: 'done', result: frame.result, out: frame.output(USER, length)! };
}
