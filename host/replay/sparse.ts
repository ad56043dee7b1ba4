// Logs that show calls and nothing else: no signals, no ends but those that were called for, often
// not every call. What the records determine is carried out; what they leave open is adopted.
import * as OP from '../../assembly/uapi/op.ts';
import { INR_OPEN_MAX } from '../../assembly/uapi/limits.ts';
import { SIG_IGN } from '../../assembly/uapi/signal.ts';
import { WCONTINUED, WUNTRACED } from '../../assembly/uapi/wait.ts';
import { signalName } from '../abi/constants.ts';
import { DISP_BLOCKED, DISP_DONE } from '../kernel.ts';
import type { TraceLine } from '../trace/event.ts';
import { HARMLESS } from '../trace/signals-taken.ts';
import { adoptTask } from './adopt-task.ts';
import type { Call, ReplayTask } from './call.ts';
import { exitNow } from './deaths.ts';
import { MAKES_FD, MAKES_PAIR } from './fd-calls.ts';
import type { Replay } from './engine.ts';
import { WAITS } from './op-sets.ts';
import { numberArg, type Outcome } from './run.ts';

const USES = new Set([OP.OP_CLOSE, OP.OP_DUP2, OP.OP_DUP3, ...MAKES_FD]);
/** Some address of user code. */
const HANDLER = 0x1000;
const USER = 0x1000;
const ACTION_BYTES = 32;

/** The records show that a task has ended. */
export function onGone(r: Replay, line: TraceLine): void {
  const task = r.tasks.get(line.pid);
  const view = r.kernel.task(line.pid);
  if (!task || task.dead) return;
  let end = 'ended';
  if (task.exiting) {
    end = `exit ${task.exiting.code & 0xff}`;
    exitNow(r, task);
  } else if (view && view.state !== 'Z') {
    end = endUntold(r, line, view.tgid !== view.tid);
  }
  r.kernel.events();
  r.processes.end(line.pid, end, view);
  task.open = undefined;
  r.bury(task);
  if (line.reaped) r.adopter.removeStale(line.pid);
}

/** An end without a record: by the signal that is pending, by the one named, or somehow. */
function endUntold(r: Replay, line: TraceLine, thread: boolean): string {
  const { kernel } = r;
  let status = kernel.exports.fatal_pending(line.pid);
  if (status < 0 && line.signo > 0) {
    kernel.fault(line.pid, line.signo);
    status = kernel.exports.fatal_pending(line.pid);
  }
  if (status >= 0) {
    kernel.die(line.pid, false);
    return status & 0x7f ? signalName(status & 0x7f) : `exit ${status >> 8}`;
  }
  r.adopted(`end that no record shows: ${line.note}`);
  kernel.frame.begin(line.pid, 0, thread ? OP.OP_EXIT : OP.OP_EXIT_GROUP).setArg(0, 0);
  kernel.trap();
  return 'ended';
}

/** Each record names the caller's parent: compared, or adopted where the log cannot tell. */
export function checkParent(r: Replay, task: ReplayTask, line: TraceLine): void {
  const ppid = line.ppid ?? 0;
  const view = r.kernel.task(line.pid);
  if (ppid === 0 || !view || view.ppid === ppid || line.pid === ppid) return;
  const parent = r.tasks.get(view.ppid);
  if (parent && !parent.dead) {
    r.diverge(line.line, task, 'ppid', String(ppid), String(view.ppid), line.text);
  } else {
    r.adopted('parent that the record names');
  }
  if (r.kernel.task(ppid)?.state === 'Z') r.adopter.removeStale(ppid);
  if (!r.kernel.task(ppid)) adoptTask(r.kernel, { pid: ppid });
  if (!isAncestor(r, line.pid, ppid)) r.kernel.setParent(line.pid, ppid);
  task.ppidKnown = true;
}

/** Is `pid` among the parents of `of`? A mangled log may say that a task is its own ancestor. */
function isAncestor(r: Replay, pid: number, of: number): boolean {
  const seen = new Set<number>();
  for (let at = of; at > 1 && !seen.has(at); at = r.kernel.task(at)?.ppid ?? 0) {
    if (at === pid) return true;
    seen.add(at);
  }
  return false;
}

/** A signal that its target survives had a handler, or was ignored: no record shows which. */
export function beforeKill(r: Replay, call: Call): void {
  const op = call.row?.op;
  if (call.retKind !== 'value' || !op) return;
  const signo = numberArg(call, op === OP.OP_TGKILL ? 2 : 1) ?? 0;
  if (signo < 1 || signo > 64 || signo === 9 || signo === 19 || HARMLESS.has(signo)) return;
  for (const pid of targets(r, call, op)) {
    const spans = r.index.tasks.get(pid) ?? [];
    if (!spans.some((span) => span.first <= call.seq && span.last > call.seq + 1)) continue;
    if (setAction(r, pid, signo, SIG_IGN)) r.adopted('signal that its target survived');
  }
}

/** The action of a signal: SIG_DFL, SIG_IGN or the handler's address. */
export function handlerOf(r: Replay, pid: number, signo: number): number {
  const frame = r.kernel.frame.begin(pid, 0, OP.OP_RT_SIGACTION).setArg(0, signo);
  frame.setArg(2, USER).setArg(3, 8).window(USER, ACTION_BYTES, 'w');
  const bytes = r.kernel.trap() === DISP_DONE ? frame.output(USER, 8) : undefined;
  return bytes ? Number(new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true)) : 0;
}

/** A signal that was delivered has a handler, though the log does not show which one. */
export function adoptHandler(r: Replay, pid: number, signo: number): void {
  if (handlerOf(r, pid, signo) > SIG_IGN) return;
  if (setAction(r, pid, signo, HANDLER)) r.adopted('handler of a signal that was delivered');
}

/** Return: whether the task has got this action. */
export function setAction(r: Replay, pid: number, signo: number, handler: number): boolean {
  const action = new Uint8Array(ACTION_BYTES);
  new DataView(action.buffer).setBigUint64(0, BigInt(handler), true);
  const frame = r.kernel.frame.begin(pid, 0, OP.OP_RT_SIGACTION);
  frame.setArg(0, signo).setArg(1, USER).setArg(3, 8).window(USER, action, 'r');
  return r.kernel.trap() === DISP_DONE;
}

function targets(r: Replay, call: Call, op: number): number[] {
  const id = numberArg(call, 0) ?? 0;
  if (op === OP.OP_TKILL || op === OP.OP_TGKILL) return [id];
  if (op !== OP.OP_KILL) return [];
  if (id > 0) return [id];
  const group = id === 0 ? r.kernel.task(call.pid)?.pgid : -id;
  const alive = [...r.living].filter((task) => task.pid !== call.pid);
  const inGroup = alive.filter((task) => r.kernel.task(task.pid)?.pgid === group);
  return (id === -1 ? alive : inGroup).map((task) => task.pid);
}

/** What the log leaves open explains the difference. Return: what that is. */
export function adoptSparse(r: Replay, call: Call, outcome: Outcome): string | undefined {
  const op = call.row!.op;
  if (outcome.disposition === DISP_BLOCKED) {
    if (call.retKind === 'restart' || call.errno === 'EINTR') return 'a signal is not shown';
    if (!WAITS.has(op) || call.retKind !== 'value') return undefined;
    const child = Number(call.ret);
    const task = r.tasks.get(child);
    const stops = (numberArg(call, 2) ?? WUNTRACED) & (WUNTRACED | WCONTINUED);
    if (task && child > 1 && op !== OP.OP_WAITID && !stops) {
      r.processes.end(child, 'ended', r.kernel.task(child));
      r.bury(task);
      r.adopter.removeStale(child);
    }
    return 'the end of a child is not shown';
  }
  if (outcome.disposition !== DISP_DONE) return undefined;
  if (call.retKind === 'restart') return 'a signal is not shown';
  if (MAKES_FD.has(op) || MAKES_PAIR.has(op) || USES.has(op))
    return adoptDescriptors(r, call, outcome);
  return undefined;
}

function symbol(call: Call, i: number): string {
  const node = call.args[i];
  return node?.kind === 'sym' ? node.text : '';
}

/** Calls that are not logged open and close descriptors too: the recorded numbers hold. */
function adoptDescriptors(r: Replay, call: Call, outcome: Outcome): string | undefined {
  const { kernel } = r;
  const close = (fd: number): void => {
    kernel.frame.begin(call.pid, 0, OP.OP_CLOSE).setArg(0, fd);
    kernel.trap();
  };
  const op = call.row!.op;
  if (USES.has(op) && call.errno === 'EBADF' && outcome.rax >= 0n) {
    if (op !== OP.OP_CLOSE) close(Number(outcome.rax));
    close(numberArg(call, 0) ?? -1);
    return 'descriptors of calls that are not logged';
  }
  if (op === OP.OP_FCNTL && !/^F_DUPFD/.test(symbol(call, 1))) return undefined;
  if (!MAKES_FD.has(op) || typeof call.ret !== 'number' || outcome.rax < 0n) return undefined;
  if (call.ret > INR_OPEN_MAX) return undefined;
  const made = Number(outcome.rax);
  if (call.ret > made) for (let fd = made + 1; fd < call.ret; ++fd) kernel.adoptFd(call.pid, fd);
  if (!kernel.fds(call.pid).some((one) => one.fd === call.ret)) kernel.adoptFd(call.pid, call.ret);
  else if (call.ret < made) close(made);
  return 'descriptors of calls that are not logged';
}

/** The end of the log: what it does not show of its tasks is said. */
export function closeLives(r: Replay): void {
  for (const task of r.living) {
    if (!task.dead) r.processes.end(task.pid, 'end not shown', r.kernel.task(task.pid));
  }
}
