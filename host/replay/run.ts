// Running one recorded call on the kernel, and judging what came of it.
import * as OP from '../../assembly/uapi/op.ts';
import { ASSIST_CLOEXEC, ASSIST_NONBLOCK } from '../../assembly/uapi/frame.ts';
import { errnoName, errnoNumber } from '../abi/constants.ts';
import {
  DISP_BLOCKED,
  DISP_DONE,
  DISP_DRAIN,
  DISP_EXITED,
  DISP_NEED,
  type Kernel,
} from '../kernel.ts';
import type { Frame } from '../frame.ts';
import { isInterrupted } from '../trace/event.ts';
import { fieldOf, sigsetOf } from '../trace/values.ts';
import { type Call, expectedRax, expectedText, failed } from './call.ts';
import { OPENS, OWN_LIMITS } from './fd-calls.ts';
import { encodeFileCall, encodesFileCall } from './file-encode.ts';
import { judgeFileOutputs } from './file-judge.ts';
import { judgeReturn, shownMask } from './handlers.ts';
import type { Files } from './files.ts';
import { encodeNs, encodesNs, FILE_OPENS, judgeNs, type Known } from './namespaces.ts';
import type { Stencil, Stencils } from './stencil.ts';
import { hasNoTerminal } from './terminals.ts';
import { addressOf, compareOutput, encodeArg, isOfArgument } from './memory.ts';
import { harmless } from './unseen.ts';
import { valueOf } from './value.ts';

/** What the kernel did with a call. */
export interface Outcome {
  disposition: number;
  rax: bigint;
  frame: Frame;
  /** the log doesn't show what the call depends on */
  unknown: boolean;
  /** nor, here, what it changed: of such a call only the answer is compared */
  unseen?: boolean;
  /** what its first descriptor is */
  kind: string;
  /** how it was put into the frame, where that depended on its arguments alone */
  stencil?: Stencil | undefined;
}

const FORKS = new Set([
  OP.OP_FORK,
  OP.OP_VFORK,
  OP.OP_CLONE,
  OP.OP_CLONE3,
  OP.OP_FORK_INTO_CONTAINER,
]);

export function isFork(op: number): boolean {
  return FORKS.has(op);
}

/** clone(2) is printed by name and in another order than it is called. */
function encodeClone(frame: Frame, call: Call): boolean {
  const flags = fieldOf(call.args, 'flags');
  if (!flags) {
    call.args.forEach((node, i) => frame.setArg(i, valueOf(node) ?? 0n));
    const raw = valueOf(call.args[0]);
    const parent = valueOf(call.args[2]);
    if (parent) frame.window(parent, 4, 'w');
    return raw !== undefined;
  }
  const value = valueOf(flags);
  const at = (name: string): bigint => valueOf(fieldOf(call.args, name)) ?? 0n;
  const parent = BigInt(addressOf(2));
  const child = at('child_tidptr');
  const wantsParent =
    fieldOf(call.args, 'parent_tid') !== undefined || fieldOf(call.args, 'pidfd') !== undefined;
  if (wantsParent) frame.window(parent, 4, 'w');
  const order = call.table.compat
    ? [value ?? 0n, at('child_stack'), wantsParent ? parent : 0n, 0n, child]
    : [value ?? 0n, at('child_stack'), wantsParent ? parent : 0n, child, at('tls')];
  order.forEach((v, i) => frame.setArg(i, v));
  return value !== undefined;
}

/** Files of the kernel's that are known by their names. */
function isNamed(kind: string): boolean {
  return kind === 'proc' || kind === 'nsfs';
}

/** Calls that are put into a frame by the kinds of their arguments and by nothing else. */
function isByKinds(op: number): boolean {
  return !encodesNs(op) && !encodesFileCall(op);
}

/** Is a call put into a frame by its arguments alone? What is opened the log may say elsewhere. */
function isByArguments(call: Call): boolean {
  const { op } = call.row!;
  return FILE_OPENS.has(op) ? !call.retText.includes('<') : isByKinds(op);
}

/** Puts a call into the frame. */
function encode(r: Runner, call: Call, tableIndex: number, kind: string): Encoding {
  const { frame } = r.kernel;
  const row = call.row!;
  const byArguments = isByArguments(call);
  const stencil = byArguments ? r.stencils.find(call, tableIndex) : undefined;
  if (stencil) {
    frame.repeat(stencil.image, call.pid);
    return { known: true, stencil };
  }
  frame.begin(call.pid, tableIndex, row.nr);
  if (byArguments) {
    const known = isByKinds(row.op) ? encodeByKinds(frame, call) : encodeNs(frame, call)!;
    const kept = known === true ? r.stencils.keep(call, tableIndex, frame) : undefined;
    return { known, stencil: kept };
  }
  const known = isNamed(kind) ? undefined : encodeFileCall(frame, call, kind);
  if (known !== undefined) return { known, stencil: undefined };
  const other = encodeNs(frame, call) ?? encodeFileCall(frame, call, kind)!;
  return { known: other, stencil: undefined };
}

interface Encoding {
  known: Known;
  stencil: Stencil | undefined;
}

function encodeByKinds(frame: Frame, call: Call): boolean {
  const row = call.row!;
  if (row.op === OP.OP_CLONE) return encodeClone(frame, call);
  const fault = call.errno === 'EFAULT';
  const refused = call.errno === 'EPERM';
  const { compat } = call.table;
  const size = row.op === OP.OP_CLONE3 ? Number(valueOf(call.args[1]) ?? 88n) : 0;
  let known = true;
  row.args.forEach((kind, i) => {
    const node = call.args[i];
    const { value, unknown } = encodeArg(frame, i, kind, node, compat, fault, size, refused);
    // memory that is not shown: whether the call gets as far as reading it is to be seen
    if (unknown && !kind.includes(':')) known = false;
    frame.setArg(i, value ?? 0n);
  });
  if (row.op === OP.OP_SIGSUSPEND || row.op === OP.OP_SSETMASK) known = encodeMask(frame, call);
  // without its mask it is not known which frame it goes back to
  if (row.op === OP.OP_RT_SIGRETURN && call.args.length === 0) known = false;
  if (row.op === OP.OP_PRCTL) known = encodePrctl(frame, call);
  if (row.op === OP.OP_EXECVE || row.op === OP.OP_EXECVEAT) known = true;
  return known;
}

/** A signal set in a register: the only argument that is shown. */
function encodeMask(frame: Frame, call: Call): boolean {
  const shown = call.args.at(-1);
  const set = sigsetOf(shown) ?? valueOf(shown);
  const i = call.row!.op === OP.OP_SIGSUSPEND ? 2 : 0;
  frame.setArg(i, BigInt.asUintN(32, set ?? 0n));
  return set !== undefined;
}

/** Options of prctl whose result is what is asked for. */
const PRCTL_VALUES = /^PR_GET_(NO_NEW_PRIVS|DUMPABLE|TIMERSLACK|KEEPCAPS|SECUREBITS)$/;

/** The second argument of prctl is a number, a name or an address, as the first one says. */
function encodePrctl(frame: Frame, call: Call): boolean {
  const option = call.args[0];
  const name = option?.kind === 'sym' ? option.text : '';
  const second = call.args[1];
  if (name === 'PR_SET_NAME' && second?.kind === 'str') {
    frame
      .window(addressOf(1), Buffer.from(`${second.value}\0`, 'latin1'), 'r')
      .setArg(1, addressOf(1));
    return true;
  }
  // a name that is not shown
  if (name === 'PR_SET_NAME' && second?.kind === 'int' && call.errno !== 'EFAULT') return false;
  const writes = name.startsWith('PR_GET_') && !PRCTL_VALUES.test(name);
  if (writes && second && second.kind !== 'null') {
    if (call.errno === 'EFAULT') {
      frame.window(addressOf(1), 16, 'unmapped').setArg(1, addressOf(1));
      return true;
    }
    frame.window(addressOf(1), 16, 'w').setArg(1, addressOf(1));
    return true;
  }
  const value = second ? valueOf(second) : 0n;
  frame.setArg(1, value ?? 0n);
  return value !== undefined;
}

/** What only the world knows of this call. */
function assist(frame: Frame, call: Call, childPid: number): void {
  const op = call.row!.op;
  if (isFork(op) && childPid > 0) frame.assistPid(childPid);
  if (isFork(op) && forkRefused(call)) frame.assistErrno(errnoNumber(call.errno!)!);
  if (op === OP.OP_ALARM || op === OP.OP_TIMER_GETOVERRUN) {
    if (typeof call.ret === 'number' && call.ret > 0) frame.assistRet(call.ret);
  }
  if (worldRefuses(call)) frame.assistErrno(errnoNumber(call.errno!)!);
  if (op === OP.OP_PRCTL && call.ret === SUID_DUMP_ROOT) frame.assistRet(SUID_DUMP_ROOT);
  const worldDecides = call.row!.class === 'assisted';
  if (worldDecides) {
    // no descriptor left: that is the kernel's to find
    const full = call.errno === 'EMFILE' && !OWN_LIMITS.has(call.name);
    if (full || hasNoTerminal(call)) frame.assistRet(0);
    else if (failed(call)) frame.assistErrno(errnoNumber(call.errno ?? '') ?? 5);
    else if (typeof call.ret === 'number') frame.assistRet(call.ret);
  }
  if (OPENS.has(op)) assistOpenFlags(frame, call);
  const command = call.args[1]?.kind === 'sym' ? call.args[1].text : callText(call);
  if (op === OP.OP_FCNTL && call.ret !== undefined && /F_GETFL\b/.test(command)) {
    frame.assistRet(Number(call.ret));
  }
  if (op === OP.OP_RT_SIGRETURN) {
    const mask = shownMask(call);
    if (mask !== undefined) frame.assistMask(mask);
  }
}

/** prctl(PR_GET_DUMPABLE) where fs.suid_dumpable says so. */
const SUID_DUMP_ROOT = 2;
/** Refusals that may be the world's: a cgroup without real-time, a mask without a CPU, a queue. */
const REFUSALS = new Map([
  [OP.OP_SCHED_SETSCHEDULER, /^(EPERM|EBUSY)$/],
  [OP.OP_SCHED_SETPARAM, /^(EPERM|EBUSY)$/],
  [OP.OP_SCHED_SETATTR, /^(EPERM|EBUSY)$/],
  [OP.OP_SCHED_SETAFFINITY, /^EINVAL$/],
  [OP.OP_RT_SIGQUEUEINFO, /^EAGAIN$/],
  [OP.OP_RT_TGSIGQUEUEINFO, /^EAGAIN$/],
  [OP.OP_TIMER_CREATE, /^EAGAIN$/],
]);

function worldRefuses(call: Call): boolean {
  return REFUSALS.get(call.row!.op)?.test(call.errno ?? '') ?? false;
}

const PID_MAX_DEFAULT = 32768;

/**
 * Did the world refuse this child: its cgroup, by a limit or CLONE_INTO_CGROUP, or the machine's
 * pid_max?
 */
export function forkRefused(call: Call): boolean {
  if (call.retKind !== 'error') return false;
  if (call.errno === 'EAGAIN') return true;
  // a number above the machine's pid_max
  const asked = /\bset_tid=\[([^\]]*)\]/.exec(callText(call))?.[1] ?? '';
  const most = Math.max(0, ...asked.split(/[ ,]+/).map(Number));
  if (call.errno === 'EINVAL' && most >= PID_MAX_DEFAULT) return true;
  const into = /\bCLONE_INTO_CGROUP\b/.test(callText(call));
  return into && /^(EBADF|ENODEV|EACCES|EOPNOTSUPP|EBUSY|ENOENT)$/.test(call.errno!);
}

/** How a descriptor is opened: by the bits where the log shows a number, else by their names. */
function assistOpenFlags(frame: Frame, call: Call): void {
  const how = call.row!.newFd;
  const node = how?.arg === undefined || how.indirect ? undefined : call.args[how.arg];
  const bits = node?.kind === 'int' ? BigInt(node.value) : undefined;
  const text = callText(call);
  const cloexec = bits === undefined ? /\bO_CLOEXEC|_CLOEXEC\b/.test(text) : bits & how!.cloexec;
  const nonblock = bits === undefined ? /NONBLOCK\b/.test(text) : bits & how!.nonblock;
  if (cloexec) frame.assistFlags(ASSIST_CLOEXEC);
  if (nonblock) frame.assistFlags(ASSIST_NONBLOCK);
}

export function callText(call: Call): string {
  return call.text;
}

/** What running a call needs of its replay. */
export interface Runner {
  readonly kernel: Kernel;
  readonly files: Files;
  readonly stencils: Stencils;
}

/**
 * Traps into the kernel; guest memory that nobody showed is declared missing. `peek`: the call is
 * looked at ahead, without its effect.
 */
export function runCall(
  r: Runner,
  call: Call,
  tableIndex: number,
  childPid: number,
  peek = false,
): Outcome {
  const { kernel, files } = r;
  const row = call.row!;
  const kind = files.kindOf(call);
  const { frame } = kernel;
  const { known, stencil } = encode(r, call, tableIndex, kind);
  assist(frame, call, childPid);
  files.assist(frame, call);
  if (peek) frame.assistPeek();
  if (!known) return { disposition: DISP_DONE, rax: 0n, frame, unknown: true, kind };
  if (row.op === OP.OP_EXECVE || row.op === OP.OP_EXECVEAT) ensurePath(frame, call);
  const about = { unknown: known === 'partly', kind, stencil };
  return finishRun(kernel, frame, kernel.trap(), about, call);
}

/**
 * What came of a trap: memory that the kernel asks for and nobody showed is not there, or is some
 * that changes nothing.
 */
export function finishRun(
  kernel: Kernel,
  frame: Frame,
  trapped: number,
  about: Pick<Outcome, 'unknown' | 'kind' | 'stencil'>,
  call: Call,
): Outcome {
  let disposition = trapped;
  let unseen = false;
  for (
    let tries = 0;
    tries < 8 && (disposition === DISP_NEED || disposition === DISP_DRAIN);
    ++tries
  ) {
    const hidden = disposition === DISP_NEED && isOfArgument(frame.needAddr);
    const bytes = hidden ? harmless(kernel, call) : undefined;
    if (hidden && !bytes)
      return { ...about, disposition: DISP_DONE, rax: 0n, frame, unknown: true };
    if (bytes) {
      unseen = true;
      frame.window(frame.needAddr, bytes, 'r');
    } else if (disposition === DISP_NEED) {
      frame.window(frame.needAddr, frame.needLen, 'unmapped');
    } else {
      kernel.events();
    }
    disposition = kernel.trap();
  }
  const { unknown, kind, stencil } = about;
  return { disposition, rax: frame.resultBig, frame, unknown, kind, stencil, unseen };
}

/** A path that the log doesn't show: some name, since only the world needs it. */
function ensurePath(frame: Frame, call: Call): void {
  const i = call.row!.op === OP.OP_EXECVE ? 0 : 1;
  if (call.args[i]?.kind !== 'str') {
    frame.window(addressOf(i), Buffer.from('?\0'), 'r').setArg(i, addressOf(i));
  }
}

export function raxText(rax: bigint): string {
  return rax < 0n && rax > -4096n ? `-1 ${errnoName(Number(-rax))}` : String(rax);
}

/** Calls whose time may be over, and the errno that they end with then. */
const TIMED = new Map<number, string>([
  [OP.OP_RT_SIGTIMEDWAIT, 'EAGAIN'],
  [OP.OP_SEMTIMEDOP, 'EAGAIN'],
  [OP.OP_MQ_TIMEDSEND, 'ETIMEDOUT'],
  [OP.OP_MQ_TIMEDRECEIVE, 'ETIMEDOUT'],
]);

/**
 * Why the outcome isn't what was recorded; undefined when it is. `worldTimers`: the log has timers,
 * and when one fires is the world's to say.
 */
export function judge(call: Call, outcome: Outcome, worldTimers: boolean): string | undefined {
  if (outcome.disposition === DISP_BLOCKED) {
    // how long a timeout lasted is the world's to say
    // it never came back, in the log too
    if (call.retKind === 'unknown') return undefined;
    if (isInterrupted(call) && worldTimers) return undefined;
    const timeout =
      (call.errno !== undefined && TIMED.get(call.row!.op) === call.errno) ||
      (call.row!.op === OP.OP_RESTART_SYSCALL && call.ret === 0);
    return timeout ? undefined : 'the call sleeps';
  }
  if (outcome.disposition === DISP_EXITED) return call.retKind === 'unknown' ? undefined : 'exited';
  if (outcome.disposition !== DISP_DONE) return `not run (${outcome.disposition})`;
  if (call.row!.op === OP.OP_RT_SIGRETURN) return judgeReturn(call, outcome.frame, outcome.rax);
  const expected = expectedRax(call);
  if (expected !== undefined && expected !== outcome.rax) return raxText(outcome.rax);
  if (failed(call) || expected === undefined) return undefined;
  const { frame, rax, kind, stencil } = outcome;
  if (stencil?.agrees(frame, rax)) return undefined;
  const wrong = judgeOutputs(call, outcome) ?? judgeFileOutputs(call, frame, rax, kind);
  if (!wrong) stencil?.agreed(frame, rax);
  return wrong;
}

/** Calls on files that are judged by what the file is. */
const BY_FILE: ReadonlySet<number> = new Set([OP.OP_READ, OP.OP_IOCTL]);

function judgeOutputs(call: Call, { frame, rax, kind }: Outcome): string | undefined {
  const row = call.row!;
  const ns = BY_FILE.has(row.op) && !isNamed(kind) ? null : judgeNs(frame, call, rax);
  if (ns !== null) return ns;
  // nothing was waited for: nothing is written
  if ((row.op === OP.OP_WAIT4 || row.op === OP.OP_WAITPID) && rax === 0n) return undefined;
  for (const [i, kind] of row.args.entries()) {
    if (!kind.startsWith('out:') || kind === 'out:rusage') continue;
    const different = compareOutput(frame, i, kind, call.args[i], call.table.compat);
    if (different) return `${different} (argument ${i + 1})`;
  }
  return undefined;
}

/** Can a failed judgement be repeated, because the kernel's answer changed nothing? */
export function unchanged(call: Call, outcome: Outcome): boolean {
  if (outcome.disposition !== DISP_DONE) return outcome.disposition !== DISP_EXITED;
  if (outcome.rax < 0n) return true;
  const op = call.row!.op;
  if ((op === OP.OP_WAIT4 || op === OP.OP_WAITID || op === OP.OP_WAITPID) && outcome.rax === 0n)
    return true;
  return (
    op === OP.OP_GETPPID ||
    op === OP.OP_KILL ||
    op === OP.OP_TGKILL ||
    op === OP.OP_GETPGID ||
    op === OP.OP_GETSID ||
    op === OP.OP_GETPGRP ||
    op === OP.OP_GETPID
  );
}

/** Number of a call's argument. */
export function numberArg(call: Call, i: number): number | undefined {
  const value = valueOf(call.args[i]);
  return value === undefined ? undefined : Number(value);
}

export { expectedText };
