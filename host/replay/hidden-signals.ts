// Signals that the log does not show: `strace -e signal=none` leaves all of them out, others some.
// Whoever makes a new call has come back from the one before, and has taken by then what was due:
// a signal that its task ignores or handles. What would end or stop the task is left alone, since
// the log shows it to go on.
import * as OP from '../../assembly/uapi/op.ts';
import { SIG_IGN, SIGCHLD, SIGCONT, SIGURG, SIGWINCH } from '../../assembly/uapi/signal.ts';
import { signalName } from '../abi/constants.ts';
import { DISP_DONE } from '../kernel.ts';
import { isInterrupted } from '../trace/event.ts';
import type { Call, ReplayTask } from './call.ts';
import type { Replay } from './engine.ts';
import { take } from './ends.ts';

const USER = 0x1000;
const ACTION_BYTES = 32;
/** Calls that fetch a signal, of which no line tells. */
const FETCHES = ['rt_sigtimedwait', 'signalfd', 'signalfd4'];
/** More signals than these do not wait for one task. */
const STEPS = 64;
/** What is ignored by default. */
const DULL: ReadonlySet<number> = new Set([SIGCHLD, SIGCONT, SIGURG, SIGWINCH]);

/** The first word of the action of a signal: SIG_DFL, SIG_IGN, or that there is a handler. */
function handlerOf(r: Replay, pid: number, signo: number): number {
  const frame = r.kernel.frame.begin(pid, 0, OP.OP_RT_SIGACTION).setArg(0, signo);
  frame.setArg(2, USER).setArg(3, 8).window(USER, ACTION_BYTES, 'w');
  if (r.kernel.trap() !== DISP_DONE) return 0;
  const bytes = frame.output(USER, 8);
  if (!bytes) return 0;
  const word = new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true);
  return word > BigInt(SIG_IGN) ? 2 : Number(word);
}

/** Does this log leave out signal lines of `signo`? */
function isHidden(r: Replay, signo: number): boolean {
  const { signals, names } = r.index;
  if (!r.traced || r.sparse || signals.has(signo)) return false;
  // where lines of other signals stand, this one may only ever have been waited for
  return signals.size === 0 || !FETCHES.some((name) => names.has(name));
}

/** Before a call: what its task has taken since the last one, without a line of the log. */
export function takeHidden(r: Replay, task: ReplayTask, call: Call): void {
  // one that a signal is known to have ended is to find it
  if (isInterrupted(call)) return;
  for (let step = 0; step < STEPS; ++step) {
    const signo = r.kernel.nextSignal(task.pid);
    if (!signo || !isHidden(r, signo)) return;
    const handler = handlerOf(r, task.pid, signo);
    if (handler === 0 && !DULL.has(signo)) return;
    if (!take(r, task, signo)) return;
    r.adopted(`${signalName(signo)}, which the log does not show`);
  }
}
