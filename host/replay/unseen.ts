// Calls whose memory the log does not show, but whose answer does not depend on it: with any memory
// that is there they would answer the same. They are given some that changes nothing, their answer
// is compared, and what they did is not known.
import * as OP from '../../assembly/uapi/op.ts';
import { SIG_SETMASK } from '../../assembly/uapi/signal.ts';
import type { Kernel } from '../kernel.ts';
import { Views } from '../views.ts';
import { type Call, failed } from './call.ts';
import { valueOf } from './value.ts';

function bytesOf(mask: bigint): Uint8Array {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, BigInt.asUintN(64, mask), true);
  return bytes;
}

/** The action that a signal has now, as the caller's ABI lays it out. */
function actionNow(kernel: Kernel, call: Call): Uint8Array {
  const bytes = new Views(kernel).action(call.pid, Number(valueOf(call.args[0]) ?? 0n));
  if (!call.table.compat) return bytes;
  const word = (at: number): Uint8Array => bytes.subarray(at, at + 4);
  return Uint8Array.from([...word(0), ...word(8), ...word(16), ...bytes.subarray(24)]);
}

/**
 * Memory that a call may find where the log shows none, such that it has no effect; undefined:
 * there is none, or it was refused for being no memory.
 */
export function harmless(kernel: Kernel, call: Call): Uint8Array | undefined {
  if (failed(call) && call.errno === 'EFAULT') return undefined;
  switch (call.row!.op) {
    case OP.OP_RT_SIGPROCMASK: {
      const how = valueOf(call.args[0]);
      const now = kernel.task(call.pid)?.blocked ?? 0n;
      return bytesOf(how === BigInt(SIG_SETMASK) ? now : 0n);
    }
    case OP.OP_RT_SIGACTION:
      return actionNow(kernel, call);
    default:
      return undefined;
  }
}
