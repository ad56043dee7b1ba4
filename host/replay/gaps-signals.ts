// Signals that the log does not show: `strace -e signal=none` leaves all of them out, others some.
// Whoever makes a new call has come back from the one before, and has taken by then what was due:
// a signal that its task ignores or handles. What would end or stop the task is left alone, since
// the log shows it to go on.
import { SIG_IGN } from '../../assembly/uapi/signal.ts';
import { signalName } from '../abi/constants.ts';
import { isInterrupted } from '../trace/event.ts';
import { HARMLESS } from '../trace/signals-taken.ts';
import type { Call, ReplayTask } from './call.ts';
import type { Replay } from './engine.ts';
import { take } from './ends.ts';
import { handlerOf, setAction } from './sparse.ts';

/** Calls that fetch a signal, of which no line tells. */
const FETCHES = ['rt_sigtimedwait', 'signalfd', 'signalfd4'];
/** More signals than these do not wait for one task. */
const STEPS = 64;

/** Does this log leave out signal lines of `signo`? */
function isHidden(r: Replay, signo: number): boolean {
  const { signals, names } = r.index;
  if (!r.traced || r.sparse || signals.shown.has(signo)) return false;
  // where lines of other signals stand, this one may only ever have been waited for
  return signals.shown.size === 0 || !FETCHES.some((name) => names.has(name));
}

/** Takes back a signal that its task never got: what is ignored does not stay pending. */
function drop(r: Replay, pid: number, signo: number, handler: number): void {
  setAction(r, pid, signo, SIG_IGN);
  setAction(r, pid, signo, handler);
  r.adopted('a group that the log does not show');
}

/** Before a call: what its task has taken since the last one, without a line of the log. */
export function takeHidden(r: Replay, task: ReplayTask, call: Call): void {
  // one that a signal is known to have ended is to find it
  if (isInterrupted(call)) return;
  for (let step = 0; step < STEPS; ++step) {
    const signo = r.kernel.nextSignal(task.pid);
    if (!signo) return;
    const handler = handlerOf(r, task.pid, signo);
    if (!isHidden(r, signo)) {
      if (!r.gaps.missed(task.pid, signo)) return;
      drop(r, task.pid, signo, handler);
      continue;
    }
    if (handler === 0 && !HARMLESS.has(signo)) return;
    if (!take(r, task, signo)) return;
    r.adopted(`${signalName(signo)}, which the log does not show`);
  }
}
