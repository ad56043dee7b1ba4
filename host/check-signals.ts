// The invariant checker's part about signals: queued siginfo, timers and what they hold. Counts of
// objects are compared with the slab caches; whoever finds references tells check.ts of them.
import { layout as L } from './generated/layout.ts';
import type { Counts } from './counts.ts';
import type { Views } from './views.ts';

/** A chain longer than this does not end. */
const CHAIN_MAX = 1_000_000;

export interface SignalWalk {
  views: Views;
  counts: Counts;
  /** addresses of thread groups and of tasks */
  groups: Iterable<number>;
  tasks: Iterable<number>;
  /** entries of a list, checked both ways */
  list(head: number, what: string): Iterable<number>;
  /** a reference to a struct pid was found */
  pid(at: number): void;
  /** a queued signal was found */
  queued(at: number): void;
  say(text: string): void;
}

/** Walks the queues and timers of every process. */
export function checkSignals(w: SignalWalk): void {
  const { views: v } = w;
  const queued = new Set<number>();
  const armed = new Set<number>();
  let timers = 0;
  let idle = 0;
  let scheds = 0;
  const queue = (head: number, bits: bigint, what: string): void => {
    for (const entry of w.list(head, what)) {
      queued.add(entry);
      const signo = v.word(entry + L.sigqueue.signo);
      if (!((bits >> BigInt(signo - 1)) & 1n)) w.say(`${what}: ${signo} is queued, not pending`);
    }
  };
  const wide = (at: number): bigint => (BigInt(v.word(at + 4)) << 32n) | BigInt(v.word(at));
  for (const task of w.tasks) {
    if ((v.word(task + L.task_struct.flags) | 0) < 0) {
      if (v.word(v.rare(task) + L.task_rare.sched)) scheds += 1;
    }
    const what = `signals of thread ${v.word(task + L.task_struct.pid)}`;
    queue(v.cold(task) + L.task_cold.queue_next, wide(task + L.task_struct.pending), what);
  }
  for (const signal of w.groups) {
    if (!v.word(signal + L.signal_struct.nr_threads)) continue;
    const what = `signals of group ${signal.toString(16)}`;
    const pending = wide(signal + L.signal_struct.shared_pending);
    queue(signal + L.signal_struct.queue_next, pending, what);
    const head = v.word(signal + L.signal_struct.timers);
    for (let t = head, n = 0; t && n < CHAIN_MAX; ++n) {
      timers += 1;
      if (t !== head) {
        if (v.word(t + L.k_itimer.signal) !== signal) w.say(`${what}: a timer of another process`);
        const own = v.word(t + L.k_itimer.queue);
        if (own && !v.word(own)) idle += 1;
        if (own && !v.word(own)) w.queued(own);
        const target = v.word(t + L.k_itimer.target);
        if (target) w.pid(target);
        if (wide(t + L.k_itimer.expires)) armed.add(t);
      }
      t = v.word(t + L.k_itimer.next);
    }
  }
  const root = w.list(v.rootAt('armed_next'), 'armed timers');
  for (const link of root) {
    if (!armed.delete(link - L.k_itimer.armed_next)) w.say("an armed timer is no process's");
  }
  if (armed.size) w.say(`${armed.size} armed timers are not on the list of armed ones`);
  if (timers !== w.counts.itimers) w.say(`timers: ${w.counts.itimers} live, ${timers} reachable`);
  if (scheds !== w.counts.scheds) w.say(`schedulings: ${w.counts.scheds} live, ${scheds} found`);
  for (const entry of queued) w.queued(entry);
  const found = queued.size + idle;
  if (found !== w.counts.sigqueues) {
    w.say(`queued signals: ${w.counts.sigqueues} live, ${found} reachable`);
  }
}
