// Timers of a process: the three of setitimer(2) and those of timer_create(2). What time it is and
// when a timer goes off the host says (clock_set, fire_timer); the kernel keeps what is armed,
// sends the signals and counts overruns.
import { nil } from "../lib/err.ts";
import { emit } from "../lib/event.ts";
import { list_at, list_head } from "../lib/list.ts";
import { pid, put_pid } from "../process/pid.ts";
import { root } from "../lib/root.ts";
import { scratch_siginfo, send_signal, send_sigqueue, sigmask } from "./signal.ts";
import { siginfo, sigqueue, sigqueue_alloc, sigqueue_free } from "./sigqueue.ts";
import { signal_struct } from "../process/signal-struct.ts";
import { CACHE_ITIMER, kmem_cache_free, kmem_cache_init, kmem_cache_zalloc } from "../lib/slab.ts";
import { cold, task_struct } from "../process/task.ts";
import { EVENT_TIMER } from "../uapi/frame.ts";
import { SI_KERNEL, SI_TIMER, SIGALRM, SIGPROF, SIGVTALRM } from "../uapi/signal.ts";
import * as U from "../uapi/time.ts";

/** struct k_itimer - 96 bytes. The first of a process's chain is its head and no timer. */
@unmanaged
export class k_itimer {
  next: k_itimer; // chain from signal.timers
  id: i32; // [C] timer_t; -1 - ITIMER_* of setitimer(2); head: the next timer_t
  armed_next: u32; // list_head on root.armed, while expires is set
  armed_prev: u32;
  signal: signal_struct; // [C] whose it is; no reference: it goes first
  clock: i32; // [C] CLOCK_*
  notify: i32; // [C] SIGEV_*
  signo: i32; // [C]
  target: pid; // [C] SIGEV_THREAD_ID: the thread; holds a reference
  queue: sigqueue; // its signal, queued or not; null for setitimer(2)
  expires: u64; // on the kernel's clock, or what is left of a CPU timer; 0: disarmed
  interval: u64; // ns, 0: once
  value: u64; // [C] sigval
  overrun: i32; // expirations since the one whose signal is pending
  overrun_last: i32; // what the signal that was delivered last said
}

/** Least time that an armed timer says it has left. */
const NS_LEFT_MIN: u64 = 1000;

export function itimer_caches_init(): void {
  kmem_cache_init(CACHE_ITIMER, <u32>offsetof<k_itimer>());
}

function armed_link(t: k_itimer): list_head {
  return list_at(changetype<usize>(t), offsetof<k_itimer>("armed_next"));
}
function from_armed(l: list_head): k_itimer {
  return changetype<k_itimer>(changetype<usize>(l) - offsetof<k_itimer>("armed_next"));
}

/** Does the clock run with the process's own CPU time? */
function is_cpu_clock(clock: i32): bool {
  if (clock < 0) return (clock & 7) != 3;
  return clock == U.CLOCK_PROCESS_CPUTIME_ID || clock == U.CLOCK_THREAD_CPUTIME_ID;
}

/** The head of the chain, made when there is none; null when memory is exhausted. */
function timers_head(s: signal_struct): k_itimer {
  if (nil(s.timers)) s.timers = changetype<k_itimer>(kmem_cache_zalloc(CACHE_ITIMER));
  return s.timers;
}

/** Timer `id` of a process, or null. */
export function find_itimer(s: signal_struct, id: i32): k_itimer {
  if (nil(s.timers)) return changetype<k_itimer>(0);
  let t = s.timers.next;
  while (!nil(t) && t.id != id) t = t.next;
  return t;
}

/** A disarmed timer on the process's chain; null when memory is exhausted. */
function alloc_itimer(s: signal_struct, id: i32): k_itimer {
  const head = timers_head(s);
  if (nil(head)) return head;
  const t = changetype<k_itimer>(kmem_cache_zalloc(CACHE_ITIMER));
  if (nil(t)) return t;
  t.id = id;
  t.signal = s;
  t.next = head.next;
  head.next = t;
  return t;
}

/** The timer of setitimer(2) `which`, made when it is missing; null when memory is exhausted. */
export function get_itimer(s: signal_struct, which: i32): k_itimer {
  const id = -1 - which;
  let t = find_itimer(s, id);
  if (!nil(t)) return t;
  t = alloc_itimer(s, id);
  if (nil(t)) return t;
  const cpu = which != U.ITIMER_REAL;
  t.clock = cpu ? U.CLOCK_PROCESS_CPUTIME_ID : U.CLOCK_MONOTONIC;
  t.signo = which == U.ITIMER_REAL ? SIGALRM : which == U.ITIMER_PROF ? SIGPROF : SIGVTALRM;
  return t;
}

/** A timer of timer_create(2) with its number and its signal; null: too many, or no memory. */
export function create_itimer(p: task_struct): k_itimer {
  const s = p.signal;
  const queue = sigqueue_alloc(p, false);
  if (nil(queue)) return changetype<k_itimer>(0);
  const head = timers_head(s);
  const t = nil(head) ? head : alloc_itimer(s, head.id);
  if (nil(t)) {
    sigqueue_free(queue);
    return t;
  }
  head.id = (head.id + 1) & i32.MAX_VALUE;
  queue.link_next = 0;
  queue.timer = t;
  t.queue = queue;
  return t;
}

/** ns until the timer goes off; 0 when it is disarmed. */
export function itimer_left(t: k_itimer): u64 {
  if (nil(t) || !t.expires) return 0;
  if (is_cpu_clock(t.clock)) return t.expires;
  const now = root().clock;
  return t.expires > now + NS_LEFT_MIN ? t.expires - now : NS_LEFT_MIN;
}

/** Arms (`value` ns from now, or at it when `absolute`) or, with 0, disarms. The host is told. */
export function itimer_set(t: k_itimer, value: u64, interval: u64, absolute: bool): void {
  const was = t.expires != 0;
  const relative = !absolute && !is_cpu_clock(t.clock);
  t.expires = value && relative ? value + root().clock : value;
  t.interval = interval;
  if (was && !value) list_head.del(armed_link(t));
  if (!was && value) list_head.add_tail(armed_link(t), root().armed);
  const tgid = t.signal.leader.pid;
  emit(EVENT_TIMER, tgid, t.id, t.clock, 0, t.expires);
}

/** A signal that is still pending says nothing any more: the timer was set anew, or is gone. */
export function itimer_unqueue(t: k_itimer): void {
  t.overrun = 0;
  const q = t.queue;
  if (nil(q) || !q.link_next) return;
  list_head.del(q.link);
  q.link_next = 0;
  const s = t.signal;
  const thread = nil(t.target) ? changetype<task_struct>(0) : t.target.task;
  const head = nil(thread) ? s.queue : cold(thread).queue;
  for (let at = head.next; at !== head; at = at.next) {
    if (changetype<sigqueue>(changetype<usize>(at)).signo == t.signo) return;
  }
  if (nil(thread)) s.shared_pending &= ~sigmask(t.signo);
  else thread.pending &= ~sigmask(t.signo);
}

/** Sends what the expiry of a timer of setitimer(2) sends: a signal of the kernel's. */
function send_alarm(t: k_itimer): void {
  const info = scratch_siginfo();
  memory.fill(changetype<usize>(info), 0, 32);
  info.signo = t.signo;
  info.code = SI_KERNEL;
  send_signal(t.signal.leader, info, true, true);
}

/** Queues the timer's signal, or counts an overrun while the last one is still pending. */
function post_timer(t: k_itimer, times: u32): void {
  if (t.notify == U.SIGEV_NONE) return;
  const thread = !nil(t.target);
  const p = thread ? t.target.task : t.signal.leader;
  if (nil(p)) return;
  const q = t.queue;
  if (q.link_next) {
    t.overrun += times;
    return;
  }
  t.overrun = times - 1;
  const info = q.info;
  info.signo = t.signo;
  info.errno = 0;
  info.code = SI_TIMER;
  info.pid = t.id;
  info.uid = 0;
  info.status = 0;
  info.value = t.value;
  send_sigqueue(p, q, !thread);
}

/** The timer has gone off `times` times. */
export function itimer_fire(t: k_itimer, times: u32): void {
  const interval = t.interval;
  let next: u64 = 0;
  if (interval) next = is_cpu_clock(t.clock) ? interval : t.expires + interval * times;
  itimer_set(t, next, interval, true);
  if (t.id < 0) send_alarm(t);
  else post_timer(t, times);
}

/** The signal of a timer is taken: `info` tells how often the timer went off meanwhile. */
export function itimer_taken(q: sigqueue, info: siginfo): void {
  const t = q.timer;
  info.uid = t.overrun;
  t.overrun_last = t.overrun;
  t.overrun = 0;
  q.link_next = 0;
}

/** The clock stands at `now`: every timer that is due by then goes off. */
export function run_itimers(now: u64): void {
  const head = root().armed;
  let at = head.next;
  while (at !== head) {
    const next = at.next;
    const t = from_armed(at);
    at = next;
    if (is_cpu_clock(t.clock) || t.expires > now) continue;
    const late = now - t.expires;
    itimer_fire(t, t.interval ? <u32>(late / t.interval) + 1 : 1);
  }
}

/** Takes a timer off its process's chain and frees it. */
export function itimer_free(t: k_itimer): void {
  itimer_unqueue(t);
  if (t.expires) list_head.del(armed_link(t));
  let before = t.signal.timers;
  while (changetype<usize>(before.next) != changetype<usize>(t)) before = before.next;
  before.next = t.next;
  if (!nil(t.queue)) sigqueue_free(t.queue);
  put_pid(t.target);
  kmem_cache_free(CACHE_ITIMER, changetype<usize>(t));
}

/** exec: timers of timer_create(2) go, those of setitimer(2) go on. */
export function exec_itimers(s: signal_struct): void {
  if (nil(s.timers)) return;
  let t = s.timers.next;
  while (!nil(t)) {
    const next = t.next;
    if (t.id >= 0) itimer_free(t);
    t = next;
  }
}

/** The process is dead: all of them go. */
export function exit_itimers(s: signal_struct): void {
  const head = s.timers;
  if (nil(head)) return;
  while (!nil(head.next)) itimer_free(head.next);
  s.timers = changetype<k_itimer>(0);
  kmem_cache_free(CACHE_ITIMER, changetype<usize>(head));
}
