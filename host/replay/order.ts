// The order problem: effects lie somewhere inside their open intervals. When a result, a signal or
// an end that the log shows is not there yet, one open interval after the other is carried out.
import * as OP from '../../assembly/uapi/op.ts';
import type { Call, ReplayTask } from './call.ts';
import { letNoticesOut } from './ends.ts';
import type { Replay } from './engine.ts';
import { addReason, countCall } from './result.ts';
import { isFork } from './run.ts';

/** Calls that sleep until something happens: not run early unless nothing else helps. */
const SLEEPERS = new Set([
  OP.OP_WAIT4,
  OP.OP_WAITID,
  OP.OP_WAITPID,
  OP.OP_PAUSE,
  OP.OP_RT_SIGSUSPEND,
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
    if (r.runNow(open)) return true;
  }
  return false;
}

/** Tasks whose exit is under way; the one that the call's result names comes first. */
function deathsFirst(
  r: Replay,
  tasks: ReplayTask[],
  call: Call | undefined,
  about: number,
): ReplayTask[] {
  const named = call && typeof call.ret === 'number' ? call.ret : 0;
  const rank = (task: ReplayTask): number => {
    if (task.pid === named) return 0;
    return r.kernel.task(task.pid)?.ppid === about ? 1 : 2;
  };
  return tasks.filter((task) => task.exiting).sort((a, b) => rank(a) - rank(b));
}

/**
 * Carries out one open interval that may matter to `call`, or to a line of task `about`: calls
 * that act first, then deaths, then sleepers. Return: whether anything happened.
 */
export function help(r: Replay, call: Call | undefined, about: number): boolean {
  const tasks = [...r.tasks.values()].filter((task) => !task.dead);
  if (runOpen(r, tasks, call, false)) return true;
  for (const task of deathsFirst(r, tasks, call, about)) if (r.exitNow(task)) return true;
  for (const task of tasks) if (letNoticesOut(r, task.pid)) return true;
  return runOpen(r, tasks, call, true);
}

/** A restart code needs a pending signal: whatever is open and may send it is run first. */
export function expectSignal(r: Replay, call: Call): void {
  for (let tries = 0; tries < 64; ++tries) {
    if (!r.kernel.task(call.pid) || r.kernel.nextSignal(call.pid)) return;
    if (call.row?.op === OP.OP_RT_SIGSUSPEND || call.row?.op === OP.OP_RT_SIGTIMEDWAIT) return;
    if (!help(r, call, call.pid)) return;
    r.reordered(`${call.name} was interrupted by an open call's effect`);
  }
}

/** The end of the log: calls whose end it does not show are counted, blind where they mattered. */
export function closeOpenCalls(r: Replay): void {
  for (const task of r.tasks.values()) {
    const open = task.open;
    task.open = undefined;
    if (!open || open.done) continue;
    const cls = r.adopter.classOf(task, open);
    const blind = cls === 'emulated' || cls === 'assisted';
    if (blind) addReason(r.result.reasons.blind, `${open.name}: the log does not show its end`);
    countCall(r.result, open.name, cls, blind ? 'blind' : undefined);
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
