// Ends of tasks inside their intervals: from exit_group, or from the signal that kills, to the
// `+++` line. What is seen of an end before its line lets it happen earlier.
import * as OP from '../../assembly/uapi/op.ts';
import type { Call, ReplayTask } from './call.ts';
import type { Replay } from './engine.ts';
import { runNow } from './execute.ts';
import { bring } from './order.ts';
import { numberArg } from './run.ts';

/** The kernel's init outlives the log: without it there is no one to be a parent. */
export const INIT = 1;

const WAITS = new Set([OP.OP_WAIT4, OP.OP_WAITID, OP.OP_WAITPID]);

/** Carries out the exit that a task has called. */
export function exitNow(r: Replay, task: ReplayTask): boolean {
  const exiting = task.exiting;
  if (!exiting || task.dead || task.pid === INIT) return false;
  settleWaitsBefore(r, task);
  task.exiting = undefined;
  const alone = r.kernel.task(task.pid)?.threads === 1;
  const table = r.tableIndex.get(exiting.table) ?? 0;
  r.kernel.frame.begin(task.pid, table, exiting.nr).setArg(0, exiting.code);
  r.audit?.settle();
  r.kernel.trap();
  r.audit?.exited();
  r.kernel.events();
  if (alone || exiting.group) task.ended = (exiting.code & 0xff) << 8;
  r.settleInterrupted();
  return true;
}

/** Ends a task before its line: the exit that it has called, or the signal that kills it. */
export function endEarly(r: Replay, task: ReplayTask): boolean {
  if (task.dead) return false;
  if (task.exiting) return exitNow(r, task);
  const status = r.kernel.exports.fatal_pending(task.pid);
  if (status < 0 || r.kernel.task(task.pid)?.state === 'Z') return false;
  settleWaitsBefore(r, task);
  task.ended = status;
  r.kernel.die(task.pid, false);
  r.kernel.events();
  r.settleInterrupted();
  return true;
}

/** Would this open wait find the child, were it dead? */
export function reaps(call: Call, child: number): boolean {
  if (!call.row || !WAITS.has(call.row.op)) return false;
  const id = numberArg(call, call.row.op === OP.OP_WAITID ? 1 : 0);
  return id === undefined || id <= 0 || id === child || call.row.op === OP.OP_WAITID;
}

/**
 * A wait that was interrupted did not see this end: the signal of another came first. That other
 * cause is carried out, and the wait is over, before the task dies.
 */
function settleWaitsBefore(r: Replay, task: ReplayTask): void {
  const dying = r.kernel.task(task.pid);
  if (!dying) return;
  for (const call of r.interruptible) {
    const waiter = r.tasks.get(call.pid);
    const cause = r.index.interruptions.get(call.seq);
    if (call.done || call.settling || !waiter || !cause || !reaps(call, task.pid)) continue;
    if (cause.sender === task.pid || r.kernel.task(call.pid)?.tgid !== dying.ppid) continue;
    if (r.kernel.nextSignal(call.pid)) continue;
    call.settling = true;
    bring(r, waiter, cause.signo, cause.info);
    call.settling = false;
    if (!call.done) runNow(r, call);
  }
}
