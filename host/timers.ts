// The timers that a process has in the kernel, read by the generated layout.
import { layout as L } from './generated/layout.ts';
import type { Kernel } from './kernel.ts';

/** A timer of a process. */
export interface TimerView {
  /** of timer_create(2); -1, -2, -3: ITIMER_REAL, ITIMER_VIRTUAL, ITIMER_PROF */
  id: number;
  signo: number;
  armed: boolean;
}

/** Timers of the process of `tid`, newest first. */
export function timersOf(kernel: Kernel, tid: number): TimerView[] {
  kernel.refresh();
  const word = (at: number): number => kernel.u32[at >>> 2]!;
  const K = L.k_itimer;
  const found: TimerView[] = [];
  const at = kernel.exports.task_ptr(tid) >>> 0;
  const head = at && word(word(at + L.task_struct.signal) + L.signal_struct.timers);
  for (let t = head && word(head + K.next); t; t = word(t + K.next)) {
    const armed = (word(t + K.expires) | word(t + K.expires + 4)) !== 0;
    found.push({ id: word(t + K.id) | 0, signo: word(t + K.signo), armed });
  }
  return found;
}
