// The calls on timers: alarm, getitimer, setitimer, timer_create and its relatives. What is wrong
// with their arguments the kernel decides; times are on its clock, which the host sets.
import { seeded_fault } from "../lib/bug.ts";
import { cred_ns_capable } from "../cred/cred.ts";
import { nil, same } from "../lib/err.ts";
import { frame } from "../lib/frame.ts";
import * as I from "./itimer.ts";
import { k_itimer } from "./itimer.ts";
import { find_pid_ns, get_pid, task_active_pid_ns } from "../process/pid.ts";
import { SCRATCH_USER } from "../lib/root.ts";
import { task_struct, thread_group_leader } from "../process/task.ts";
import { copy_from_user, copy_to_user, prepare_write, put_user32 } from "../lib/uaccess.ts";
import { CAP_WAKE_ALARM } from "../uapi/capability.ts";
import * as E from "../uapi/errno.ts";
import { ASSIST_ERRNO, ASSIST_RET } from "../uapi/frame.ts";
import { SIGALRM } from "../uapi/signal.ts";
import * as U from "../uapi/time.ts";

// Seeded fault (debug builds only): alarm(0) does not disarm.
const F_ALARM = 204;

const NS_PER_SEC: u64 = 1000000000;
/** Times beyond this are for ever. */
const SEC_MAX: u64 = 9000000000;

/** Seconds and a fraction of `unit` ns as ns; all ones when they are no time. */
function to_ns(sec: i64, fraction: i64, unit: u64): u64 {
  if (sec < 0 || fraction < 0 || <u64>fraction * unit >= NS_PER_SEC) return u64.MAX_VALUE;
  const whole = <u64>sec > SEC_MAX ? SEC_MAX : <u64>sec;
  return whole * NS_PER_SEC + <u64>fraction * unit;
}

/** Bytes of a struct itimerval or itimerspec: four words. */
function itimer_bytes(compat: bool): u32 {
  return compat ? 16 : 32;
}

function word(i: usize, compat: bool): i64 {
  const at = SCRATCH_USER;
  return compat ? <i64>load<i32>(at + (i << 2)) : load<i64>(at + (i << 3));
}

/** ns of interval (0) or value (1) in the struct that was copied to SCRATCH_USER. */
function ns_of(which: usize, unit: u64, compat: bool): u64 {
  return to_ns(word(which << 1, compat), word((which << 1) + 1, compat), unit);
}

/** Writes a struct itimerval or itimerspec. Return: 0 or -EFAULT. */
function put_itimer(f: frame, addr: u64, interval: u64, left: u64, unit: u64, compat: bool): i32 {
  const at = SCRATCH_USER;
  for (let i: usize = 0; i < 2; ++i) {
    const ns = i ? left : interval;
    const sec = ns / NS_PER_SEC;
    const fraction = (ns % NS_PER_SEC) / unit;
    if (compat) {
      store<u32>(at + (i << 3), <u32>sec);
      store<u32>(at + (i << 3), <u32>fraction, 4);
    } else {
      store<u64>(at + (i << 4), sec);
      store<u64>(at + (i << 4), fraction, 8);
    }
  }
  return copy_to_user(f, addr, at, itimer_bytes(compat)) ? -E.EFAULT : 0;
}

const USEC: u64 = 1000;
const NSEC: u64 = 1;

/** alarm(2): seconds. Return: what was left of the last one, in seconds, at least 1. */
export function sys_alarm(p: task_struct, f: frame): i32 {
  const seconds = <u32>f.a0;
  let t = I.find_itimer(p.signal, -1 - U.ITIMER_REAL);
  const left = I.itimer_left(t);
  if (nil(t) && seconds) {
    t = I.get_itimer(p.signal, U.ITIMER_REAL);
    if (nil(t)) return -E.ENOMEM;
  }
  const keep = !seconds && seeded_fault(F_ALARM);
  if (!nil(t) && !keep) I.itimer_set(t, <u64>seconds * NS_PER_SEC, 0, false);
  if (!left) return 0;
  const sec = (left + NS_PER_SEC / 2) / NS_PER_SEC;
  const most = sec ? <i32>sec : 1;
  // how much of it has passed the recorder knows
  if (f.assist & ASSIST_RET && f.assist_val > 0 && f.assist_val <= most) return f.assist_val;
  return most;
}

/** getitimer(2): which, value. */
export function sys_getitimer(p: task_struct, f: frame, compat: bool): i32 {
  const which = <u32>f.a0;
  const need = prepare_write(f, f.a1, itimer_bytes(compat));
  if (need) return need;
  if (which > <u32>U.ITIMER_PROF) return -E.EINVAL;
  const t = I.find_itimer(p.signal, -1 - <i32>which);
  const interval = nil(t) ? 0 : t.interval;
  return put_itimer(f, f.a1, interval, I.itimer_left(t), USEC, compat);
}

/** setitimer(2): which, new (0: disarm), old. */
export function sys_setitimer(p: task_struct, f: frame, compat: bool): i32 {
  const which = <u32>f.a0;
  const bytes = itimer_bytes(compat);
  const need = prepare_write(f, f.a2, bytes);
  if (need) return need;
  let interval: u64 = 0;
  let value: u64 = 0;
  if (f.a1) {
    const bad = copy_from_user(f, SCRATCH_USER, f.a1, bytes);
    if (bad) return bad;
    interval = ns_of(0, USEC, compat);
    value = ns_of(1, USEC, compat);
    if (interval == u64.MAX_VALUE || value == u64.MAX_VALUE) return -E.EINVAL;
  }
  if (which > <u32>U.ITIMER_PROF) return -E.EINVAL;
  const old = I.find_itimer(p.signal, -1 - <i32>which);
  const old_interval = nil(old) ? 0 : old.interval;
  const left = I.itimer_left(old);
  if (!nil(old) || value) {
    const t = I.get_itimer(p.signal, <i32>which);
    if (nil(t)) return -E.ENOMEM;
    // an interval without a value is kept nowhere
    I.itimer_set(t, value, value ? interval : 0, false);
  }
  return f.a2 ? put_itimer(f, f.a2, old_interval, left, USEC, compat) : 0;
}

/** Low bits of the clock of a device's descriptor, and of a CPU clock what it counts. */
const CLOCKFD = 3;
const CPUCLOCK_MAX = 3;
const CPUCLOCK_PERTHREAD = 4;

/** The clock of a process, or of a thread of the caller's own. Return: 0, or -EINVAL: no clock. */
function check_cpu_clock(p: task_struct, clock: i32): i32 {
  if ((clock & 3) >= CPUCLOCK_MAX) return -E.EINVAL;
  const nr = ~(clock >> 3);
  if (!nr) return 0;
  const number = find_pid_ns(nr, task_active_pid_ns(p));
  if (nil(number) || nil(number.task)) return -E.EINVAL;
  if (clock & CPUCLOCK_PERTHREAD) return same(number.task.signal, p.signal) ? 0 : -E.EINVAL;
  return thread_group_leader(number.task) ? 0 : -E.EINVAL;
}

/** Is this a clock on which timers are made? Return: 0, -EINVAL, -EOPNOTSUPP. */
function check_clock(clock: i32): i32 {
  if (clock < 0) return (clock & 7) == CLOCKFD ? -E.EOPNOTSUPP : 0;
  switch (clock) {
    case U.CLOCK_REALTIME:
    case U.CLOCK_MONOTONIC:
    case U.CLOCK_PROCESS_CPUTIME_ID:
    case U.CLOCK_THREAD_CPUTIME_ID:
    case U.CLOCK_BOOTTIME:
    case U.CLOCK_TAI:
    case U.CLOCK_REALTIME_ALARM:
    case U.CLOCK_BOOTTIME_ALARM:
      return 0;
    case U.CLOCK_MONOTONIC_RAW:
    case U.CLOCK_REALTIME_COARSE:
    case U.CLOCK_MONOTONIC_COARSE:
      return -E.EOPNOTSUPP;
    default:
      return -E.EINVAL;
  }
}

/** May `p` make a timer on this clock? Return: 0, -EINVAL, -EPERM. */
function may_use_clock(p: task_struct, clock: i32): i32 {
  if (clock < 0) return check_cpu_clock(p, clock);
  const alarm = clock == U.CLOCK_REALTIME_ALARM || clock == U.CLOCK_BOOTTIME_ALARM;
  return !alarm || cred_ns_capable(p.cred, p.cred.user_ns, CAP_WAKE_ALARM) ? 0 : -E.EPERM;
}

/** Whom a struct sigevent in SCRATCH_USER wants to be told, into `t`. Return: 0 or -EINVAL. */
function good_sigevent(p: task_struct, t: k_itimer, compat: bool): i32 {
  const at = SCRATCH_USER + (compat ? 4 : 8);
  t.value = compat ? <u64>load<u32>(SCRATCH_USER) : load<u64>(SCRATCH_USER);
  t.signo = load<i32>(at);
  t.notify = load<i32>(at, 4);
  if (t.notify == U.SIGEV_NONE) return 0;
  if (t.notify == U.SIGEV_THREAD_ID) {
    const number = find_pid_ns(load<i32>(at, 8), task_active_pid_ns(p));
    if (nil(number) || nil(number.task) || !same(number.task.signal, p.signal)) return -E.EINVAL;
    t.target = get_pid(number);
  } else if (t.notify != U.SIGEV_SIGNAL && t.notify != U.SIGEV_THREAD) {
    return -E.EINVAL;
  }
  return t.signo <= 0 || t.signo > 64 ? -E.EINVAL : 0;
}

/** timer_create(2): clock, sigevent (0: SIGALRM with the timer's number), where the number goes. */
export function sys_timer_create(p: task_struct, f: frame, compat: bool): i32 {
  const clock = <i32>f.a0;
  const need = prepare_write(f, f.a2, 4);
  if (need) return need;
  if (f.a1) {
    const bad = copy_from_user(f, SCRATCH_USER, f.a1, 64);
    if (bad) return bad;
  }
  let error = check_clock(clock);
  if (error) return error;
  // what else is queued for this user the world knows
  if (f.assist & ASSIST_ERRNO) return -f.assist_val;
  const t = I.create_itimer(p);
  if (nil(t)) return -E.EAGAIN;
  t.clock = clock;
  if (f.a1) {
    const bad = good_sigevent(p, t, compat);
    if (bad) error = bad;
  } else {
    t.notify = U.SIGEV_SIGNAL;
    t.signo = SIGALRM;
    t.value = <u64>t.id;
  }
  if (!error && put_user32(f, f.a2, t.id)) error = -E.EFAULT;
  if (!error) error = may_use_clock(p, clock);
  if (error) I.itimer_free(t);
  return error;
}

/** The caller's timer of that number, null when there is none. */
function timer_of(p: task_struct, id: i32): k_itimer {
  return id < 0 ? changetype<k_itimer>(0) : I.find_itimer(p.signal, id);
}

/** timer_settime(2): id, flags, new, old. */
export function sys_timer_settime(p: task_struct, f: frame, compat: bool): i32 {
  const bytes = itimer_bytes(compat);
  const need = prepare_write(f, f.r10, bytes);
  if (need) return need;
  if (!f.a2) return -E.EINVAL;
  const bad = copy_from_user(f, SCRATCH_USER, f.a2, bytes);
  if (bad) return bad;
  const interval = ns_of(0, NSEC, compat);
  const value = ns_of(1, NSEC, compat);
  if (interval == u64.MAX_VALUE || value == u64.MAX_VALUE) return -E.EINVAL;
  const t = timer_of(p, <i32>f.a0);
  if (nil(t)) return -E.EINVAL;
  const old_interval = t.interval;
  const left = I.itimer_left(t);
  I.itimer_unqueue(t);
  t.overrun_last = 0;
  I.itimer_set(t, value, value ? interval : 0, (f.a1 & U.TIMER_ABSTIME) != 0);
  return f.r10 ? put_itimer(f, f.r10, old_interval, left, NSEC, compat) : 0;
}

/** timer_gettime(2): id, value. */
export function sys_timer_gettime(p: task_struct, f: frame, compat: bool): i32 {
  const need = prepare_write(f, f.a1, itimer_bytes(compat));
  if (need) return need;
  const t = timer_of(p, <i32>f.a0);
  if (nil(t)) return -E.EINVAL;
  return put_itimer(f, f.a1, t.interval, I.itimer_left(t), NSEC, compat);
}

/** timer_getoverrun(2): as the signal delivered last had it. */
export function sys_timer_getoverrun(p: task_struct, f: frame): i32 {
  const t = timer_of(p, <i32>f.a0);
  if (nil(t)) return -E.EINVAL;
  return f.assist & ASSIST_RET ? f.assist_val : t.overrun_last;
}

/** timer_delete(2). */
export function sys_timer_delete(p: task_struct, f: frame): i32 {
  const t = timer_of(p, <i32>f.a0);
  if (nil(t)) return -E.EINVAL;
  I.itimer_free(t);
  return 0;
}

/** The host says that a timer went off `times` times. Return: 0, or -ESRCH: it is not armed. */
export function fire_itimer(p: task_struct, id: i32, times: u32): i32 {
  const t = I.find_itimer(p.signal, id);
  if (nil(t) || !t.expires || !times) return -E.ESRCH;
  I.itimer_fire(t, times);
  return 0;
}
