// Signal handlers in a replay. What rt_sigreturn(2) restores the kernel has saved: the mask, and
// the register as the signal found it. Of the register the log says what was in it when the signal
// was taken at the end of a call; else the program had put something there, which nobody shows. So
// that the return tells the one from the other, the instruction pointer that the kernel saves along
// says which it was.
import * as OP from '../../assembly/uapi/op.ts';
import type { Frame } from '../frame.ts';
import type { Kernel } from '../kernel.ts';
import { isInterrupted } from '../trace/event.ts';
import { fieldOf, sigsetOf } from '../trace/values.ts';
import { type Call, expectedRax, type ReplayTask } from './call.ts';
import { SENDS } from './op-sets.ts';

/** Instruction pointers; a restarted call's is a little less. */
const IN_CALL = 0x40_0000n;
const IN_PROGRAM = 0x20_0000n;

/** Calls by which a task may raise or let through a signal of its own, taken at their end. */
const RAISES: ReadonlySet<number> = new Set([...SENDS, OP.OP_RT_SIGPROCMASK]);

/** Does a signal that is taken next find the result of this call in its register? */
export function leavesResult(kernel: Kernel, call: Call): boolean {
  if (isInterrupted(call)) return true;
  return RAISES.has(call.row?.op ?? 0) && kernel.nextSignal(call.pid) !== 0;
}

/** The registers of a task as a signal finds them. */
export function putRegisters(frame: Frame, task: ReplayTask): void {
  frame.setReg('rax', task.lastRet).setReg('orig_rax', task.lastNr);
  frame.setReg('rip', task.interrupted ? IN_CALL : IN_PROGRAM);
}

/** A handler begins, which no further signal has found doing anything. */
export function enterHandler(kernel: Kernel, task: ReplayTask, signo: number): void {
  task.lastRet = task.lastTable.compat ? BigInt(signo) : 0n;
  task.interrupted = kernel.nextSignal(task.pid) !== 0;
}

/** The mask that a handler's return shows. */
export function shownMask(call: Call): bigint | undefined {
  const mask = sigsetOf(fieldOf(call.args[0], 'mask'));
  return mask === undefined ? undefined : BigInt.asUintN(64, mask);
}

/** Had the kernel saved what this return goes back to? */
export function hadHandler(frame: Frame): boolean {
  return frame.getReg('rip') !== 0n;
}

/** Is the register that it restores one that a call's end had filled? */
export function restoresResult(frame: Frame): boolean {
  return frame.getReg('rip') >= IN_CALL - 2n;
}

/** What differs of the mask and the register that rt_sigreturn restored. */
export function judgeReturn(call: Call, frame: Frame, rax: bigint): string | undefined {
  if (!hadHandler(frame)) return undefined;
  const want = shownMask(call);
  const have = frame.assistedMask;
  if (want !== undefined && have !== want) {
    return `mask 0x${have.toString(16)}, recorded 0x${want.toString(16)}`;
  }
  const result = expectedRax(call);
  if (!restoresResult(frame) || result === undefined || result === rax) return undefined;
  return `restores ${rax}`;
}
