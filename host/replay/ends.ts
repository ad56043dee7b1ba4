// Signal lines, exit lines, and the line that says whose number an exec took over.
import * as OP from '../../assembly/uapi/op.ts';
import { EFBIG, EPIPE } from '../../assembly/uapi/errno.ts';
import { DISP_DONE, type SigInfo } from '../kernel.ts';
import { signalName } from '../abi/constants.ts';
import type { SigInfoFields, TraceLine } from '../trace/event.ts';
import { spanAt } from '../trace/index.ts';
import type { ReplayTask } from './call.ts';
import { adoptSender } from './creds.ts';
import { killedByFilter } from './filtered.ts';
import { exitNow, INIT } from './deaths.ts';
import type { Replay } from './engine.ts';
import { resume, runNow } from './execute.ts';
import { bring, help } from './order.ts';
import { enterHandler, putRegisters } from './handlers.ts';
import { addReason, countCall, countEvent } from './result.ts';
import { adoptHandler } from './sparse.ts';
import { fireBySignal } from './timers.ts';

const SIGPIPE = 13;
const SIGCHLD = 17;
const SIGCONT = 18;
const SIGXFSZ = 25;
const CLD_DUMPED = 3;
const CLD_STOPPED = 5;
const CLD_CONTINUED = 6;
/** How many SIGCHLD lines of a parent are searched for the next one of the same child. */
const LOOK_AHEAD = 64;
const SI_KERNEL = 128;
const SI_TIMER = -2;
const SI_QUEUE = -1;
/** SIGILL SIGTRAP SIGBUS SIGFPE SIGSEGV SIGSYS */
export const FAULTS = new Set([4, 5, 7, 8, 11, 31]);
/** exitToUser: let a due notice or stop out, take no signal; or a notice alone. */
const STOP_ONLY = -2;
const CONTINUE_ONLY = -1;

/** Is this signal deliverable to the task right now? */
export function deliverable(r: Replay, pid: number, signo: number): boolean {
  return r.kernel.views.deliverable(pid, signo);
}

/** What of the siginfo differs from what the log shows. */
function compareInfo(have: SigInfo, want: SigInfoFields | undefined): string | undefined {
  if (!want) return undefined;
  const checks: [string, number, number | undefined][] = [
    ['si_code', have.code, want.code],
    ['si_pid', have.pid, want.pid],
    ['si_uid', have.uid, want.uid],
    ['si_status', have.status, want.status],
  ];
  const fault = want.code !== undefined && want.code > 0 && want.signo !== 17;
  // what a program queued with a siginfo that its call did not show
  if (have.code === SI_QUEUE && !have.pid && !want.pid && (want.code ?? 0) < 0) return undefined;
  for (const [name, a, b] of checks) {
    if (b === undefined || a === b || (fault && name !== 'si_code')) continue;
    if (name === 'si_status' && want.signo !== 17) continue;
    return `${name} ${a}, recorded ${b}`;
  }
  return undefined;
}

/** Did the world raise it: a fault, a timer, a terminal, a process that the log doesn't have? */
export function worldly(r: Replay, info: SigInfoFields | undefined, signo: number): boolean {
  if (!info) return true;
  const code = info.code ?? 0;
  if (signo === 17 && code > 0)
    return info.pid === undefined || !r.tasks.has(info.pid) || r.gaps.forks;
  if (code === SI_KERNEL || code === SI_TIMER || code > 0) return true;
  if (r.gaps.sent(info)) return true;
  return info.pid === undefined || info.pid === 0 || !r.tasks.has(info.pid) || signo === 14;
}

/**
 * Did a call on a file of the world's raise it for the caller itself: the file had grown as large
 * as the limit allows, or nobody read from a pipe or socket whose contents are not known?
 */
function byOwnCall(r: Replay, task: ReplayTask, info: SigInfoFields | undefined): boolean {
  if (!info || info.code !== 0 || info.pid !== task.pid) return false;
  if (info.signo === SIGPIPE && r.gaps.hides('write')) return true;
  if (info.signo === SIGXFSZ) return Number(task.lastRet) === -EFBIG;
  return info.signo === SIGPIPE && Number(task.lastRet) === -EPIPE;
}

/** A stop or continue that is due in the kernel, though its line comes later. */
export function letNoticesOut(r: Replay, pid: number, want = STOP_ONLY): boolean {
  if (r.tasks.get(pid)?.exiting) return false;
  return r.kernel.exitToUser(pid, undefined, want).action !== 'none';
}

/** Takes the signal out of the kernel: steps before it are stops and continues. */
export function take(r: Replay, task: ReplayTask, signo: number): SigInfo | undefined {
  const frame = r.kernel.allocFrame();
  frame.begin(task.pid, 0, 0);
  putRegisters(frame, task);
  let taken: SigInfo | undefined;
  for (let step = 0; step < 8 && !taken; ++step) {
    const next = r.kernel.nextSignal(task.pid);
    const want = next === signo || next === 0 ? 0 : signo;
    const { action, info } = r.kernel.exitToUser(task.pid, frame, want);
    if (action === 'died') task.took = info.signo;
    if (action === 'handled') enterHandler(r.kernel, task, info.signo);
    if (info.signo === signo) taken = info;
    else if (action === 'none' || action === 'died') break;
  }
  r.kernel.freeFrame(frame);
  return taken;
}

/**
 * A stop or continue whose SIGCHLD came while the one of this line was still pending was never
 * told. That it was not is seen from the next one that the parent took.
 */
function dropUntold(r: Replay, task: ReplayTask, info: SigInfoFields, at: number): void {
  if (info.code !== CLD_STOPPED && info.code !== CLD_CONTINUED) return;
  const sender = info.pidInRecorderNs ?? info.pid ?? 0;
  const list = r.index.childSignals.get(task.pid) ?? [];
  let next = at + 2;
  const end = Math.min(list.length, next + 2 * LOOK_AHEAD);
  while (next < end && list[next + 1] !== sender) next += 2;
  if (!r.tasks.has(sender) || !deliverable(r, task.pid, SIGCHLD)) return;
  // what was stopped and runs had been continued, even if its end is told next
  const told = list[next] ?? info.code;
  const gone = told > 0 && told <= CLD_DUMPED && info.code === CLD_STOPPED;
  if (told !== info.code && !(gone && r.kernel.views.state(sender) !== 'T')) return;
  // behind a stop it is the continue that was lost: another stop may be due
  const want = info.code === CLD_STOPPED ? CONTINUE_ONLY : STOP_ONLY;
  if (letNoticesOut(r, sender, want))
    r.reordered('a stop or continue was not told: one was pending');
}

function isDeath(info: SigInfoFields | undefined): boolean {
  return info?.signo === 17 && (info.code === 1 || info.code === 2 || info.code === 3);
}

/**
 * A tracer may print a SIGCHLD late: it was taken before the next child's was sent, though that
 * child's end stands above it. In the kernel the second one found the first still pending. Return:
 * whether this line tells of such a death, which then is compared with the child's own end.
 */
function outOfTurn(r: Replay, task: ReplayTask, line: TraceLine): boolean {
  const info = line.siginfo!;
  const child = r.tasks.get(info.pidInRecorderNs ?? info.pid ?? 0);
  const pending = deliverable(r, task.pid, 17);
  if (!child?.dead || child.told || child.end === undefined) return false;
  if (r.kernel.queuedSender(task.pid, SIGCHLD) === child.pid) {
    child.told = true;
    return false;
  }
  if (r.kernel.task(task.pid)?.nsLevel !== 0) return false;
  child.told = true;
  const status = child.end & 0x7f ? child.end & 0x7f : child.end >> 8;
  const wrong = info.status !== undefined && info.status !== status;
  if (!pending) raiseFromWorld(r, task, line.signo, line.siginfo, false);
  if (take(r, task, SIGCHLD)) addReason(r.result.signals, 'SIGCHLD');
  countEvent(r.result, 'signal', wrong ? 'diverged' : 'matched');
  if (wrong) r.diverge(line.line, task, 'signal', line.text, `status ${status}`, line.text);
  else r.reordered('a SIGCHLD was taken before the next was sent');
  return true;
}

/** Was it taken just before a signal that drops it? Then it has left nothing behind. */
function wasDropped(r: Replay, task: ReplayTask, line: TraceLine): boolean {
  const { flushed } = task;
  const info = line.siginfo;
  if (flushed?.signo !== line.signo || info?.code !== 0 || flushed.sender !== info.pid) {
    return false;
  }
  task.flushed = undefined;
  addReason(r.result.signals, signalName(line.signo));
  countEvent(r.result, 'signal', 'matched');
  r.compared?.set(line.seq, 'result');
  r.reordered('a stop or continue was taken before the one that drops it');
  return true;
}

/** What is stopped takes no signal: somebody outside has continued it, which may be shown later. */
function continuedByWorld(r: Replay, task: ReplayTask, line: TraceLine): void {
  if (r.kernel.views.state(task.pid) !== 'T' || !worldly(r, line.siginfo, line.signo)) return;
  const { pid, uid } = line.siginfo ?? {};
  r.kernel.raise(task.pid, true, { signo: SIGCONT, pid: pid ?? 0, uid: uid ?? 0 });
  r.adopted('a continue from outside the log');
}

/** A signal of a call that this log of chosen calls leaves out: of a parent's end, or by pidfd. */
function unseenCause(r: Replay, task: ReplayTask, info: SigInfoFields | undefined): boolean {
  const from = r.tasks.get(info?.pid ?? 0);
  if (!from || info?.code !== 0) return false;
  if (from.dead && from.pid === task.parent && r.gaps.hides('prctl')) return true;
  return r.gaps.hides('pidfd_open') && r.index.names.has('pidfd_send_signal');
}

/** A signal that is not there, or blocked, as far as the log shows. Return: can it be taken now? */
function letThrough(r: Replay, task: ReplayTask, line: TraceLine): boolean {
  const info = line.siginfo;
  if (wasDropped(r, task, line)) return false;
  // the mask was from before the log
  if (!task.mask.known && r.adopter.unblock(task, line.signo)) return true;
  // a call with a mask of its own let it through
  if (r.adopter.temporaryMask(task, line.signo)) return true;
  if (worldly(r, info, line.signo) || byOwnCall(r, task, info) || unseenCause(r, task, info)) {
    raiseFromWorld(r, task, line.signo, line.siginfo);
    return true;
  }
  countEvent(r.result, 'signal', 'diverged');
  const want = `${signalName(line.signo)} from ${info?.pid ?? '?'}`;
  r.diverge(line.line, task, 'signal', want, 'not pending', line.text);
  raiseFromWorld(r, task, line.signo, line.siginfo);
  take(r, task, line.signo);
  return false;
}

export function onSignalLine(r: Replay, line: TraceLine): void {
  const task = r.task(line.pid, line.seq);
  const info = line.siginfo;
  task.history.note(line.line, signalName(line.signo));
  if (!line.signo) return;
  if (!r.traced && !deliverable(r, task.pid, line.signo)) adoptHandler(r, task.pid, line.signo);
  // whatever a call that does not show it has made of this signal, it does not end its task
  if (task.actionsUnseen.has(line.signo) && spanAt(r.index, task.pid, line.seq)?.left) {
    adoptHandler(r, task.pid, line.signo);
  }
  let unseen = false;
  if (isDeath(info) && info) {
    const status = info.status ?? 0;
    unseen = r.adopter.endUnseen(info.pid ?? 0, info.code === 1 ? status << 8 : status, line.seq);
  }
  if (!deliverable(r, task.pid, line.signo) && !fireBySignal(r, task.pid, info)) {
    bring(r, task, line.signo, info);
    if (!deliverable(r, task.pid, line.signo)) fireBySignal(r, task.pid, info);
  }
  if (line.signo === SIGCHLD && info) dropUntold(r, task, info, r.childSignal(task.pid));
  if (isDeath(info) && outOfTurn(r, task, line)) return;
  continuedByWorld(r, task, line);
  if (!deliverable(r, task.pid, line.signo) && !letThrough(r, task, line)) return;
  r.gaps.beforeSignal(task, line);
  const taken = take(r, task, line.signo);
  if (taken) addReason(r.result.signals, signalName(line.signo));
  let wrong = taken ? compareInfo(taken, info) : 'not taken';
  if (wrong?.startsWith('si_uid') && info?.uid !== undefined) {
    const sender = r.tasks.get(info.pidInRecorderNs ?? info.pid ?? 0);
    if (r.gaps.hidesIds() || adoptSender(r.kernel, sender, info.uid)) {
      r.adopted('user from before the log');
      wrong = undefined;
    }
  }
  if (!wrong && unseen) {
    countEvent(r.result, 'signal', 'blind');
    addReason(r.result.reasons.blind, 'signal: the end of a task that is not recorded');
    return;
  }
  if (!wrong) {
    countEvent(r.result, 'signal', 'matched');
    r.compared?.set(line.seq, 'result');
    return;
  }
  if (info && info.uid !== taken?.uid && worldly(r, info, line.signo)) {
    countEvent(r.result, 'signal', 'blind');
    addReason(r.result.reasons.blind, 'signal: from outside the log');
    return;
  }
  countEvent(r.result, 'signal', 'diverged');
  r.diverge(
    line.line,
    task,
    'signal',
    line.text.replace(/^.*?--- /, '').slice(0, 160),
    wrong,
    line.text,
  );
}

export function raiseFromWorld(
  r: Replay,
  task: ReplayTask,
  signo: number,
  info: SigInfoFields | undefined,
  adopted = true,
): void {
  r.kernel.raise(task.pid, false, {
    signo,
    code: info?.code ?? 0,
    pid: info?.pid ?? 0,
    uid: info?.uid ?? 0,
    status: info?.status ?? 0,
    value: info?.value ?? 0n,
  });
  if (adopted) r.adopted('signal raised by the world');
  if (!deliverable(r, task.pid, signo)) r.adopter.unblock(task, signo);
}

/** The wait status that a line shows, without the core flag. */
function statusOf(line: TraceLine): number {
  return line.kind === 'killed' ? line.signo : (line.exitCode & 0xff) << 8;
}

/** Is the task already dead in the kernel, or on its way with this status? */
function pendingStatus(r: Replay, pid: number): number {
  return r.kernel.exports.fatal_pending(pid);
}

export function onExitLine(r: Replay, line: TraceLine): void {
  const task = r.task(line.pid, line.seq);
  const view = r.kernel.task(task.pid);
  const status = statusOf(line);
  if (task.open?.row?.op === OP.OP_REBOOT) runNow(r, task.open);
  task.open = undefined;
  task.end = status;
  const end = line.kind === 'killed' ? signalName(line.signo) : `exit ${line.exitCode}`;
  r.processes.end(line.pid, end, view);
  if (task.pid === INIT) {
    r.bury(task);
    countEvent(r.result, 'exit', 'blind');
    addReason(r.result.reasons.blind, "exit: the kernel's init goes on");
    return;
  }
  if (task.exiting) {
    exitNow(r, task);
  } else if (view && view.state !== 'Z') {
    const tgid = r.kernel.task(task.pid)?.tgid;
    // an exit of the whole group that another thread has called is the nearest cause
    const other = [...r.living].find(
      (one) => one.exiting?.group && r.kernel.task(one.pid)?.tgid === tgid,
    );
    if (other && pendingStatus(r, task.pid) < 0 && exitNow(r, other)) {
      r.reordered("an end needed another thread's exit");
    }
    if (pendingStatus(r, task.pid) < 0) r.gaps.endUnasked(task, line);
    for (let tries = 0; tries < 64 && pendingStatus(r, task.pid) < 0; ++tries) {
      if (r.kernel.views.state(task.pid) === 'Z' || !help(r, undefined, task.pid)) break;
      r.reordered('an end needed an open call');
    }
    if (pendingStatus(r, task.pid) < 0) r.gaps.hiddenReboot(task, line);
    if (pendingStatus(r, task.pid) < 0 && line.kind === 'killed') {
      killedByFilter(r, task, line.signo);
    }
    if (pendingStatus(r, task.pid) < 0) r.gaps.killUnasked(task, line);
    if ((r.kernel.views.state(task.pid) ?? 'Z') === 'Z') {
      r.kernel.events();
      finishEnd(r, task, line, status);
      return;
    }
    // a handler that could not be entered, a fault inside one: the CPU's doing
    if (pendingStatus(r, task.pid) < 0 && line.kind === 'killed' && FAULTS.has(line.signo)) {
      r.kernel.fault(task.pid, line.signo);
      r.adopted('a fault that ended its task');
    }
    if (pendingStatus(r, task.pid) < 0 && r.kernel.views.state(task.pid) !== 'Z') {
      forceEnd(r, task, line);
      return;
    }
    if (
      line.kind === 'killed' &&
      pendingStatus(r, task.pid) !== status &&
      task.took === line.signo
    ) {
      r.kernel.preferTaken(task.pid);
      r.reordered('a death began before the SIGKILL that came during it');
    }
    if (line.kind === 'killed' && line.core) r.kernel.setCore(task.pid);
    const pending = pendingStatus(r, task.pid);
    if (pending >= 0) task.ended = pending;
    if (r.kernel.views.state(task.pid) !== 'Z') r.kernel.die(task.pid, false);
  }
  r.kernel.events();
  finishEnd(r, task, line, status);
}

function finishEnd(r: Replay, task: ReplayTask, line: TraceLine, status: number): void {
  const view = r.kernel.task(task.pid);
  const leader = view && view.tgid === view.tid;
  // a task that nobody waits for is gone at once: what it ended with was noted before
  const have = view?.state === 'Z' ? view.exitCode : task.ended;
  // a leader that left early says its own code, the process's is the group's
  if (have !== undefined && leader && (have & ~0x80) !== status && view.threads > 1) {
    countEvent(r.result, 'exit', 'blind');
    addReason(r.result.reasons.blind, 'exit: a leader that left before its threads');
    r.bury(task);
    return;
  }
  const wrong = have !== undefined && (have & ~0x80) !== status;
  countEvent(r.result, 'exit', wrong ? 'diverged' : 'matched');
  if (have !== undefined && !wrong) r.compared?.set(line.seq, 'result');
  if (wrong) r.diverge(line.line, task, 'exit', `status ${status}`, `status ${have}`, line.text);
  r.bury(task);
}

/** The log says that a task is dead which lives on in the kernel: it dies now. */
function forceEnd(r: Replay, task: ReplayTask, line: TraceLine): void {
  countEvent(r.result, 'exit', 'diverged');
  r.diverge(
    line.line,
    task,
    'exit',
    line.text.replace(/^.*?\+\+\+ /, ''),
    'alive, no end pending',
    line.text,
  );
  if (line.kind === 'killed') {
    r.kernel.raise(task.pid, true, { signo: 9 });
    r.kernel.die(task.pid, false);
  } else {
    r.kernel.frame.begin(task.pid, 0, OP.OP_EXIT).setArg(0, line.exitCode);
    r.kernel.trap();
  }
  r.bury(task);
}

/** `+++ superseded by execve in pid N +++`: task N goes on under this line's pid. */
export function onSuperseded(r: Replay, line: TraceLine): void {
  const task = r.tasks.get(line.otherPid);
  const leader = r.task(line.pid, line.seq);
  const call = task?.open;
  if (!task || !call) return;
  if (!call.done) runNow(r, call);
  const view = r.kernel.task(leader.pid);
  if (view && view.state !== 'Z' && pendingStatus(r, leader.pid) >= 0)
    r.kernel.die(leader.pid, false);
  r.kernel.events();
  const resumed = r.kernel.isWoken(task.pid) && resume(r, call) === DISP_DONE;
  r.audit?.conclude(call);
  task.open = undefined;
  // the thread's own state goes on under the leader's number
  const merged: ReplayTask = { ...task, pid: line.pid, answered: call.name };
  r.bury(task);
  r.enter(merged);
  countCall(r.result, call.name, 'assisted', resumed ? 'matched' : 'diverged');
  countEvent(r.result, 'exit', 'matched');
  if (!resumed) r.diverge(line.line, merged, call.name, '0', 'the call sleeps', call.text);
}
