// The order problem: effects lie somewhere inside their open intervals. When a result, a signal or
// an end that the log shows is not there yet, open intervals that can bring it about are carried
// out, nearest cause first; what has nothing to do with it stays open.
import * as OP from '../../assembly/uapi/op.ts';
import { isInterrupted, type SigInfoFields } from '../trace/event.ts';
import { sigInfoOf } from '../trace/strace.ts';
import { fieldOf } from '../trace/values.ts';
import { type Call, failed, type ReplayTask } from './call.ts';
import { closeLast, endEarly, reaps } from './deaths.ts';
import { deliverable, letNoticesOut, raiseFromWorld, worldly } from './ends.ts';
import type { Replay } from './engine.ts';
import { runNow } from './execute.ts';
import { isListed } from './listed.ts';
import { addReason, countCall } from './result.ts';
import { fdOf } from './file-class.ts';
import { valueOf } from './value.ts';
import { nextFds } from './peek.ts';
import { isFork } from './run.ts';

/** How many steps one fact may take: no log needs more, and a search must end. */
export const STEPS = 64;
const SIGCHLD = 17;

/** Calls that sleep until something happens: not run early unless nothing else helps. */
const SLEEPERS = new Set([
  OP.OP_WAIT4,
  OP.OP_WAITID,
  OP.OP_WAITPID,
  OP.OP_PAUSE,
  OP.OP_RT_SIGSUSPEND,
  OP.OP_SIGSUSPEND,
  OP.OP_RT_SIGTIMEDWAIT,
]);

export const WAITS = new Set([OP.OP_WAIT4, OP.OP_WAITPID]);

export const TIMERS = ['setitimer', 'alarm', 'timer_settime'];

/** Runs the first open call of the wanted sort. */
function runOpen(
  r: Replay,
  tasks: ReplayTask[],
  call: Call | undefined,
  sleepers: boolean,
): boolean {
  for (const task of tasks) {
    const open = task.open;
    if (!open || open === call || open.done || !open.row) continue;
    if (SLEEPERS.has(open.row.op) !== sleepers) continue;
    if (runNow(r, open)) return true;
  }
  return false;
}

/** Does a death of `task` matter to a call of `about`, and how nearly? Infinity: not at all. */
function nearness(r: Replay, task: ReplayTask, call: Call | undefined, about: number): number {
  // an interrupted wait did not see this end
  if (call && isInterrupted(call) && reaps(call, task.pid)) return Infinity;
  const view = r.kernel.task(task.pid);
  const self = r.kernel.task(about);
  const named = call && typeof call.ret === 'number' ? call.ret : 0;
  if (task.pid === named) return 0;
  if (view && view.tgid === named) return 1;
  // a wait that found this child has nothing from the others' ends
  const waited = named > 0 && call?.row !== undefined && SLEEPERS.has(call.row.op);
  if (view && self && view.ppid === self.tgid) return waited ? Infinity : 2;
  if (view && self && (view.tgid === self.tgid || view.tgid === self.ppid)) return 3;
  return call && !SLEEPERS.has(call.row?.op ?? 0) ? 4 : Infinity;
}

/** Tasks that are about to end, as far as that matters, nearest first. */
function deathsFirst(
  r: Replay,
  tasks: ReplayTask[],
  call: Call | undefined,
  about: number,
): ReplayTask[] {
  return tasks
    .map((task) => ({ task, rank: nearness(r, task, call, about) }))
    .filter(({ rank }) => rank < Infinity)
    .sort((a, b) => a.rank - b.rank)
    .map(({ task }) => task);
}

/**
 * Carries out one open interval that may matter to `call`, or to a line of task `about`: calls
 * that act first, then deaths, then sleepers. Return: whether anything happened.
 */
export function help(r: Replay, call: Call | undefined, about: number): boolean {
  if (senderFirst(r, call) || messageFirst(r, call)) return true;
  const tasks = [...r.living];
  if (runOpen(r, tasks, call, false)) return true;
  const dying = deathsFirst(r, tasks, call, about);
  const closes = call !== undefined && r.flows.concerns(call);
  if (closes && dying.some((task) => closeLast(r, task))) return true;
  for (const task of dying) if (endEarly(r, task)) return true;
  for (const task of tasks) if (letNoticesOut(r, task.pid)) return true;
  return runOpen(r, tasks, call, true);
}

/** The task that a siginfo names, in whatever namespace the receiver sees it. */
export function senderOf(
  r: Replay,
  receiver: number,
  info: SigInfoFields | undefined,
): ReplayTask | undefined {
  if (!info) return undefined;
  if (info.pidInRecorderNs !== undefined) return r.tasks.get(info.pidInRecorderNs);
  const view = r.kernel.task(receiver);
  if (!view || view.nsLevel === 0 || !info.pid) return r.tasks.get(info.pid ?? 0);
  for (const task of r.living) {
    const other = task.dead ? undefined : r.kernel.task(task.pid);
    if (other?.nspid === info.pid && other.nsLevel === view.nsLevel) return task;
  }
  return undefined;
}

/** Whom a wait for signals shows as the sender of the one that it got: his call comes first. */
function senderFirst(r: Replay, call: Call | undefined): boolean {
  const node = call?.row?.op === OP.OP_RT_SIGTIMEDWAIT ? call.args[1] : undefined;
  if (node?.kind !== 'struct') return false;
  const open = senderOf(r, call!.pid, sigInfoOf(node))?.open;
  return open !== undefined && !open.done && runNow(r, open);
}

/** The message that a msgrcv shows to have got is sent before others to the same queue. */
function messageFirst(r: Replay, call: Call | undefined): boolean {
  if (call?.row?.op !== OP.OP_MSGRCV || failed(call)) return false;
  const type = valueOf(fieldOf(call.args[1], 'mtype'));
  const queue = valueOf(call.args[0]);
  for (const { open } of r.living) {
    if (open?.row?.op !== OP.OP_MSGSND || open.done || open.retKind !== 'value') continue;
    const same = valueOf(open.args[0]) === queue;
    if (same && valueOf(fieldOf(open.args[1], 'mtype')) === type && runNow(r, open)) return true;
  }
  return false;
}

/** One step towards a signal that `task` takes. Return: why, when anything happened. */
function stepTowards(
  r: Replay,
  task: ReplayTask,
  signo: number,
  info: SigInfoFields | undefined,
): string | undefined {
  const from = senderOf(r, task.pid, info);
  if (from && !from.dead) {
    if (signo === SIGCHLD && letNoticesOut(r, from.pid))
      return 'a stop or continue was told before its line';
    if (endEarly(r, from)) return 'a death was seen before its line';
    if (from.open && runNow(r, from.open)) return 'a signal was seen before its call returned';
  }
  if (worldly(r, info, signo)) return undefined;
  // what became of the sender is another's doing
  const tasks = [...r.living];
  if (runOpen(r, tasks, undefined, false)) return 'a signal needed an open call';
  return undefined;
}

/** Runs open intervals until the signal is there that the log shows for `task`. */
export function bring(
  r: Replay,
  task: ReplayTask,
  signo: number,
  info: SigInfoFields | undefined,
): void {
  for (let tries = 0; tries < STEPS && !deliverable(r, task.pid, signo); ++tries) {
    const reason = stepTowards(r, task, signo, info);
    if (!reason) return;
    r.reordered(reason);
  }
}

/** A restart code needs a pending signal: whatever is open and may send it is run first. */
export function expectSignal(r: Replay, call: Call, early: boolean): void {
  const task = r.tasks.get(call.pid);
  const cause = r.index.interruptions.get(call.seq);
  if (!task || !r.kernel.task(call.pid)) return;
  // which of its threads a group's signal interrupts is the scheduler's to say
  r.kernel.exports.retarget(call.pid);
  if (early || r.kernel.nextSignal(call.pid)) return;
  const from = cause && senderOf(r, task.pid, cause.info);
  const waits = ((r.kernel.task(call.pid)?.pending ?? 0n) >> BigInt(SIGCHLD - 1)) & 1n;
  const missed = from?.dead && !from.told && from.end !== undefined && !waits;
  if (cause?.signo === SIGCHLD && missed) {
    // its end found that of another still pending, which in truth had been taken
    raiseFromWorld(r, task, SIGCHLD, cause.info, false);
    r.reordered('a SIGCHLD was taken before the next was sent');
    return;
  }
  if (cause) {
    bring(r, task, cause.signo, cause.info);
    return;
  }
  if (call.row?.op === OP.OP_RT_SIGSUSPEND || call.row?.op === OP.OP_RT_SIGTIMEDWAIT) return;
  for (let tries = 0; tries < STEPS; ++tries) {
    if (!r.kernel.task(call.pid) || r.kernel.nextSignal(call.pid)) return;
    if (!help(r, call, call.pid)) return;
    r.reordered(`${call.name} was interrupted by an open call's effect`);
  }
}

/** The end of the log: calls whose end it does not show are counted, blind where they mattered. */
export function closeOpenCalls(r: Replay): void {
  for (const task of r.living) {
    const open = task.open;
    task.open = undefined;
    if (!open || open.done) continue;
    const cls = r.adopter.classOf(task, open);
    const blind = cls === 'emulated' || cls === 'assisted';
    if (blind) addReason(r.result.reasons.blind, `${open.name}: the log does not show its end`);
    const verdict = blind ? 'blind' : undefined;
    countCall(r.result, open.name, cls, verdict, { listed: isListed(r, open) });
  }
}

/** Number of the child that a fork-like call made, as the recorder numbers it; 0: not known. */
export function childOf(r: Replay, call: Call): number {
  if (!call.row || !isFork(call.row.op)) return 0;
  const entry = r.index.forks.get(call.seq);
  if (entry?.child) return entry.child;
  const level = r.kernel.task(call.pid)?.nsLevel ?? 0;
  return level === 0 && typeof call.ret === 'number' && call.ret > 0 ? call.ret : 0;
}

/** Would this fork make the pidfd that the log shows? */
function pidfdFits(r: Replay, call: Call): boolean {
  if (!call.text.includes('CLONE_PIDFD')) return true;
  const threads = call.row!.op === OP.OP_CLONE3;
  const out = threads ? fieldOf(call.args[0], 'pidfd') : fieldOf(call.args, 'parent_tid');
  const shown = out?.kind === 'array' ? Number(valueOf(out.items[0]) ?? -1n) : -1;
  return shown < 0 || nextFds(r, call.pid, 1)[0] === shown;
}

/**
 * Would this fork get the numbers that the log shows: in an inner pid namespace the kernel numbers
 * the children, and everywhere the pidfds?
 */
export function numberFits(r: Replay, call: Call): boolean {
  if (!pidfdFits(r, call)) return false;
  const level = r.kernel.task(call.pid)?.nsLevel ?? 0;
  if (level === 0 || typeof call.ret !== 'number') return true;
  return r.kernel.exports.next_pid(call.pid) === call.ret;
}

/** Of threads that close the same descriptor one succeeds: it comes first. */
export function closeOthersFirst(r: Replay, call: Call): void {
  if (call.row!.op !== OP.OP_CLOSE || call.errno !== 'EBADF') return;
  const fd = fdOf(call.args[0]);
  for (let tries = 0; tries < STEPS && r.kernel.file(call.pid, fd); ++tries) {
    const group = r.kernel.task(call.pid)?.tgid;
    const other = [...r.living].find(({ open }) => {
      const closes = open && open !== call && !open.done && open.row?.op === OP.OP_CLOSE;
      if (!closes || open.ret !== 0 || fdOf(open.args[0]) !== fd) return false;
      return r.kernel.task(open.pid)?.tgid === group;
    });
    if (!other || !runNow(r, other.open!)) return;
    r.reordered('a descriptor was closed by another thread first');
  }
}

/** Open forks that took the numbers before that of `call` come first. */
export function forkOthersFirst(r: Replay, call: Call): void {
  for (let tries = 0; tries < STEPS && !numberFits(r, call); ++tries) {
    const number = r.kernel.exports.next_pid(call.pid);
    const open = [...r.living].map((task) => task.open);
    const before = open.find(
      (one) => one && one !== call && !one.done && one.ret === number && numberFits(r, one),
    );
    if (!before || !runNow(r, before)) return;
    r.reordered(`${call.name} came after a fork with a smaller number`);
  }
}
