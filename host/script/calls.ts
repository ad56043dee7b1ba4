// A call of a script on its way through the kernel: into a frame, through traps, and where it
// sleeps, until it completes.
import * as OP from '../../assembly/uapi/op.ts';
import { EFAULT, ENOSYS, ERESTART_RESTARTBLOCK, ERESTARTSYS } from '../../assembly/uapi/errno.ts';
import { ASSIST_CLOEXEC, ASSIST_NONBLOCK } from '../../assembly/uapi/frame.ts';
import type { Frame } from '../frame.ts';
import { DISP_DRAIN, DISP_NEED, type Kernel } from '../kernel.ts';
import { type AbiName, opTable, type SyscallRow, syscallTable } from '../syscall-abi.ts';
import type { CallEvent, Num } from '../trace/script.ts';
import { enterGate, loadFrame, REG, regIndex, Registers } from '../x86-trap.ts';
import { CallMemory } from './memory.ts';

/** One call: asleep, interrupted by a signal that is not taken yet, or over. */
export interface PendingCall {
  readonly line: number;
  tid: number;
  readonly name: string;
  readonly row: SyscallRow | undefined;
  readonly compat: boolean;
  readonly frame: Frame;
  readonly memory: CallMemory;
  state: 'asleep' | 'interrupted' | 'over';
  /** once it is over */
  result: bigint;
}

/** The kernel's tables, registered when a line first needs them. */
export class Tables {
  readonly #kernel: Kernel;
  readonly #index = new Map<string, number>();

  constructor(kernel: Kernel) {
    this.#kernel = kernel;
  }

  index(abi: AbiName, privateCalls: boolean): number {
    const key = `${abi} ${privateCalls}`;
    let index = this.#index.get(key);
    if (index === undefined) {
      const table = syscallTable(abi, privateCalls);
      index = this.#kernel.registerTable(opTable(table), table.compat);
      this.#index.set(key, index);
    }
    return index;
  }
}

const ARGS_64 = ['rdi', 'rsi', 'rdx', 'r10', 'r8', 'r9'] as const;
const ARGS_32 = ['rbx', 'rcx', 'rdx', 'rsi', 'rdi', 'rbp'] as const;

/** Fills the kernel's next frame with a call of the script. */
export function beginCall(
  kernel: Kernel,
  tables: Tables,
  tid: number,
  e: CallEvent,
  resolve: (num: Num) => bigint,
): PendingCall {
  const table = syscallTable(e.abi, e.privateCall);
  const frame = kernel.frame.begin(tid, tables.index(e.abi, e.privateCall), 0);
  const memory = new CallMemory();
  const regs = new Registers();
  const { trap } = e;
  if (trap.by === 'regs') {
    for (const [name, value] of trap.regs) {
      const reg = regIndex(name);
      if (reg !== undefined) regs.setBig(reg, memory.place(value, resolve));
    }
  } else {
    regs.set(REG.rax, trap.nr);
    const names = table.compat ? ARGS_32 : ARGS_64;
    trap.args.forEach((value, i) => {
      const name = names[i];
      if (name) regs.setBig(REG[name], memory.place(value, resolve));
    });
  }
  enterGate(regs, trap.by === 'regs' ? trap.gate : table.compat ? 'int80' : 'syscall');
  loadFrame(kernel, frame, regs);
  const nr = regs.hi(REG.rax) !== 0 && !table.compat ? -1 : regs.lo(REG.rax);
  const row = table.byNumber.get(nr);
  const name = row?.name ?? e.name ?? `nr ${regs.lo(REG.rax)}`;
  const { compat } = table;
  return { line: e.line, tid, name, row, compat, frame, memory, state: 'over', result: 0n };
}

/** Value of an argument's register, by its position. */
export function argument(call: PendingCall, i: number): bigint {
  const name = (call.compat ? ARGS_32 : ARGS_64)[i];
  return name ? call.frame.getReg(name) : 0n;
}

/**
 * What the world would decide. A script has no recorded world: every path that can be read names a
 * program, unless the line says which errno comes instead; a file that needs no path is there.
 */
export function assist(call: PendingCall, ret: bigint | undefined): void {
  const { row, frame } = call;
  if (!row) return;
  if (row.op === OP.OP_EXECVE || row.op === OP.OP_EXECVEAT) {
    const errno = ret !== undefined && ret < 0n ? Number(-ret) : 0;
    // a bad address is the kernel's to find
    if (errno && errno !== EFAULT) frame.assistErrno(errno);
    return;
  }
  if (!NEEDS_NO_PATH.has(row.name)) return;
  frame.assistRet(0);
  const { newFd } = row;
  if (!newFd) return;
  const flags = newFd.arg === undefined ? 0n : argument(call, newFd.arg);
  if (newFd.always || (flags & newFd.cloexec) !== 0n) frame.assistFlags(ASSIST_CLOEXEC);
  if ((flags & newFd.nonblock) !== 0n) frame.assistFlags(ASSIST_NONBLOCK);
}

const NEEDS_NO_PATH = new Set(['socketpair', 'memfd_create', 'memfd_secret', 'userfaultfd']);

/** Does this kernel have what the call needs? Where not, no result of it is worth comparing. */
export function isSupported(call: PendingCall): boolean {
  const { row } = call;
  if (!row) return true;
  if (row.support === 'none') return false;
  if (BY_NAME.has(row.op)) return true;
  return !OPENS.has(row.op) || NEEDS_NO_PATH.has(row.name);
}

const OPENS = new Set([OP.OP_WORLD_FD, OP.OP_CREAT, OP.OP_CHROOT]);
/** Opens of a name: some names are the kernel's own. */
const BY_NAME = new Set([OP.OP_OPEN, OP.OP_OPENAT, OP.OP_OPENAT2]);

/** Was it an open of a name that the kernel has no file of? */
export function lacksFile(call: PendingCall): boolean {
  if (!call.row || call.state !== 'over') return false;
  return BY_NAME.has(call.row.op) && call.result === BigInt(-ENOSYS);
}

/** How often a call may ask for memory or room before it is given up. */
const TRIES = 20;

/** Traps with the call's frame, as often as it needs memory or room for events. */
export function trapCall(kernel: Kernel, call: PendingCall, drain: () => void): number {
  const { frame, memory } = call;
  const spare = kernel.frame;
  kernel.frame = frame;
  let disposition = kernel.trap();
  for (let i = 0; i < TRIES; ++i) {
    if (disposition === DISP_NEED) memory.answer(frame);
    else if (disposition === DISP_DRAIN) drain();
    else break;
    disposition = kernel.trap();
  }
  // a call that sleeps keeps its frame, and the kernel has a fresh one
  if (spare !== frame && kernel.frame === frame) kernel.frame = spare;
  else if (spare !== frame) kernel.freeFrame(spare);
  return disposition;
}

/** The result as the caller sees it: 64 bits, eax on i386. */
function resultOf(call: PendingCall): bigint {
  return BigInt.asIntN(call.compat ? 32 : 64, call.frame.resultBig);
}

/** Has a signal ended the sleep, and its action is still to be chosen? */
function isRestart(result: bigint): boolean {
  return -result >= BigInt(ERESTARTSYS) && -result <= BigInt(ERESTART_RESTARTBLOCK);
}

/** Takes the result out of the frame: the call is over, or a signal's action decides. */
export function settleCall(call: PendingCall): void {
  call.result = resultOf(call);
  call.state = isRestart(call.result) ? 'interrupted' : 'over';
  if (call.state === 'over') call.memory.settle(call.frame);
}
