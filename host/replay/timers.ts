// Timers of a process in a replay: the kernel knows what is armed, the log tells when one goes off:
// by its signal, by a result that shows it disarmed, by a wait that found its signal.
import * as OP from '../../assembly/uapi/op.ts';
import type { SigInfoFields } from '../trace/event.ts';
import { fieldOf, sigsetOf } from '../trace/values.ts';
import { type TimerView, timersOf } from '../timers.ts';
import { type Call, failed, type ReplayTask } from './call.ts';
import type { Replay } from './engine.ts';
import { valueOf } from './value.ts';

const SI_TIMER = -2;
const SI_KERNEL = 128;
/** ITIMER_REAL, ITIMER_VIRTUAL and ITIMER_PROF by their signals, as the kernel numbers them. */
const ITIMER_SIGNALS = new Map([
  [14, -1],
  [26, -2],
  [27, -3],
]);

/** Number of the timer whose signal this is; undefined for other signals. */
function timerOf(info: SigInfoFields): number | undefined {
  if (info.code === SI_TIMER) return Number(valueOf(info.fields.get('si_timerid')) ?? -9n);
  return info.code === SI_KERNEL ? ITIMER_SIGNALS.get(info.signo) : undefined;
}

/** The signal that a line shows is a timer's: it goes off. Return: whether it was armed. */
export function fireBySignal(r: Replay, pid: number, info: SigInfoFields | undefined): boolean {
  const id = info && timerOf(info);
  if (id === undefined) return false;
  const overrun = Number(valueOf(info!.fields.get('si_overrun')) ?? 0n);
  return r.kernel.fireTimer(pid, id, 1 + Math.max(0, overrun));
}

/** Does argument `i`, a struct itimerval or itimerspec, show a timer that is not armed? */
function shownDisarmed(call: Call, i: number): boolean {
  const value = fieldOf(call.args[i], 'it_value');
  if (!value) return false;
  const sec = valueOf(fieldOf(value, 'tv_sec'));
  const fraction = valueOf(fieldOf(value, 'tv_usec') ?? fieldOf(value, 'tv_nsec'));
  return sec === 0n && fraction === 0n;
}

/** The timer that a call shows to have gone off, if it is armed in the kernel. */
function shownFired(call: Call, number: number): number | undefined {
  switch (call.row!.op) {
    case OP.OP_ALARM:
      return call.ret === 0 ? -1 : undefined;
    case OP.OP_GETITIMER:
      return shownDisarmed(call, 1) ? -1 - number : undefined;
    case OP.OP_SETITIMER:
      return shownDisarmed(call, 2) ? -1 - number : undefined;
    case OP.OP_TIMER_GETTIME:
    case OP.OP_TIMER_GETTIME64:
      return shownDisarmed(call, 1) ? number : undefined;
    case OP.OP_TIMER_SETTIME:
    case OP.OP_TIMER_SETTIME64:
      return shownDisarmed(call, 3) ? number : undefined;
    default:
      return undefined;
  }
}

/** Calls whose results may show that a timer went off. */
const SHOW_TIMERS: ReadonlySet<number> = new Set([
  OP.OP_ALARM,
  OP.OP_GETITIMER,
  OP.OP_SETITIMER,
  OP.OP_TIMER_GETTIME,
  OP.OP_TIMER_GETTIME64,
  OP.OP_TIMER_SETTIME,
  OP.OP_TIMER_SETTIME64,
  OP.OP_RT_SIGTIMEDWAIT,
  OP.OP_RT_SIGPENDING,
]);

/** A call whose result shows that a timer went off before it. */
export function fireByCall(r: Replay, task: ReplayTask, call: Call): void {
  const op = call.row!.op;
  if (!SHOW_TIMERS.has(op) || (failed(call) && op !== OP.OP_ALARM)) return;
  const armed = (): TimerView[] => timersOf(r.kernel, task.pid).filter((timer) => timer.armed);
  const id = shownFired(call, Number(valueOf(call.args[0]) ?? -1n));
  if (id !== undefined) {
    if (armed().some((timer) => timer.id === id) && r.kernel.fireTimer(task.pid, id)) {
      r.adopted('a timer that went off unseen');
    }
    return;
  }
  let wanted = 0n;
  if (op === OP.OP_RT_SIGTIMEDWAIT && typeof call.ret === 'number' && call.ret > 0) {
    wanted = 1n << BigInt(call.ret - 1);
  } else if (op === OP.OP_RT_SIGPENDING) {
    wanted = sigsetOf(call.args[0]) ?? 0n;
  }
  if (!wanted) return;
  const pending = r.kernel.task(task.pid)?.pending ?? 0n;
  for (const timer of armed()) {
    const bit = 1n << BigInt(timer.signo - 1);
    if (wanted & bit & ~pending) r.kernel.fireTimer(task.pid, timer.id);
  }
}
