// Ends of tasks inside their intervals: from exit_group, or from the signal that kills, to the
// `+++` line. What is seen of an end before its line lets it happen earlier.
import * as OP from '../../assembly/uapi/op.ts';
import type { Call, ReplayTask } from './call.ts';
import type { Replay } from './engine.ts';
import { runNow } from './execute.ts';
import { bring } from './order.ts';
import { SENDS, WAITS } from './op-sets.ts';
import { numberArg } from './run.ts';
import { spanAt } from '../trace/index.ts';
import { type TaskView, Views } from '../views.ts';

/** The kernel's init outlives the log: without it there is no one to be a parent. */
export const INIT = 1;

const SIGCONT = 18;
/** SIGSTOP SIGTSTP SIGTTIN SIGTTOU */
const STOPS = [19, 20, 21, 22];

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

/** Files whose other ends see that they are closed. */
const ENDS: ReadonlySet<string> = new Set(['pipe', 'socket']);

/**
 * Of a process that ends, the last descriptors are gone first, each by itself: another may see
 * that of one and not yet of the next. Closes the last one that somebody may see.
 */
export function closeLast(r: Replay, task: ReplayTask): boolean {
  const { kernel } = r;
  const view = kernel.task(task.pid);
  if (task.dead || !view || view.state === 'Z' || new Views(kernel).sharesFiles(task.pid))
    return false;
  if (!task.exiting && kernel.exports.fatal_pending(task.pid) < 0) return false;
  const last = kernel.fds(task.pid).findLast(({ kind }) => ENDS.has(kind));
  if (!last) return false;
  r.audit?.settle();
  kernel.frame.begin(task.pid, 0, OP.OP_CLOSE).setArg(0, last.fd);
  kernel.trap();
  r.audit?.drop();
  return true;
}

/** Which processes a call signals, as far as it shows: those that `r` knows of. */
function signalled(r: Replay, call: Call): (task: ReplayTask) => boolean {
  const op = call.row!.op;
  const id = numberArg(call, 0) ?? 0;
  const view = (task: ReplayTask): TaskView | undefined => r.kernel.task(task.pid);
  if (op === OP.OP_TKILL || op === OP.OP_TGKILL || op === OP.OP_RT_TGSIGQUEUEINFO) {
    return (task) => task.pid === (numberArg(call, op === OP.OP_TKILL ? 0 : 1) ?? 0);
  }
  if (op === OP.OP_PIDFD_SEND_SIGNAL) return () => true;
  if (id > 0) return (task) => view(task)?.tgid === id;
  if (id === -1) return () => true;
  const group = id === 0 ? r.kernel.task(call.pid)?.pgid : -id;
  return (task) => view(task)?.pgid === group;
}

/**
 * A continue drops the stop signals that are pending, a stop signal the continue. Whichever was
 * taken just before, as its line below will show, leaves the same state behind: it is noted.
 */
function noteFlushed(r: Replay, call: Call): void {
  const at = call.row!.op === OP.OP_TGKILL || call.row!.op === OP.OP_RT_TGSIGQUEUEINFO ? 2 : 1;
  const signo = numberArg(call, at) ?? 0;
  const drops = signo === SIGCONT ? STOPS : STOPS.includes(signo) ? [SIGCONT] : [];
  if (!drops.length) return;
  const hit = signalled(r, call);
  for (const task of r.living) {
    const pending = r.kernel.task(task.pid)?.pending ?? 0n;
    const dropped = drops.find((one) => (pending >> BigInt(one - 1)) & 1n);
    if (!dropped || !hit(task)) continue;
    task.flushed = { signo: dropped, sender: r.kernel.queuedSender(task.pid, dropped) };
  }
}

/**
 * A task that had called exit and, as its last line says, left by itself had begun to before a
 * signal could kill it.
 */
export function leaveBefore(r: Replay, call: Call): void {
  if (!SENDS.has(call.row!.op)) return;
  noteFlushed(r, call);
  const leaving = [...r.living].filter((task) => task.exiting && task.pid !== call.pid);
  if (!leaving.length) return;
  const hit = signalled(r, call);
  for (const task of leaving) {
    if (!hit(task) || !spanAt(r.index, task.pid, call.seq)?.left) continue;
    // its end itself is where the log shows it
    r.kernel.exports.begin_exit(task.pid, (task.exiting!.code & 0xff) << 8);
  }
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
