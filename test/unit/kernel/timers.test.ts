// Protects: alarm, interval timers and POSIX timers: who has them, what they send, overruns, what
// exec, fork and exit do to them, and each errno in Linux's order.
import { beforeEach, describe, expect, it } from 'vitest';
import * as E from '../../../assembly/uapi/errno.ts';
import * as OP from '../../../assembly/uapi/op.ts';
import * as C from '../../../assembly/uapi/sched.ts';
import * as N from '../../../assembly/uapi/signal.ts';
import * as U from '../../../assembly/uapi/time.ts';
import { timersOf } from '../../../host/timers.ts';
import { type Driver, driver, longs, USER, words } from './driver.ts';

const SEC = 1_000_000_000n;
const HANDLER = 0x4000;

let d: Driver;
let child: number;
beforeEach(async () => {
  d = await driver();
  child = d.fork();
  return () => expect(d.k.check()).toEqual([]);
});

const handle = (tid: number, sig: number): number =>
  d.mem(tid, OP.OP_RT_SIGACTION, [sig, USER, 0, 8], longs(HANDLER, 4, 0, 0));
const alarm = (tid: number, seconds: number): number => d.call(tid, OP.OP_ALARM, seconds);
const setitimer = (tid: number, which: number, interval: bigint, value: bigint): number =>
  d.mem(
    tid,
    OP.OP_SETITIMER,
    [which, USER, USER + 32],
    longs(interval / SEC, (interval % SEC) / 1000n, value / SEC, (value % SEC) / 1000n, 0, 0, 0, 0),
  );
/** What is left of a timer of setitimer, microseconds. */
function left(tid: number, which: number): bigint {
  expect(d.mem(tid, OP.OP_GETITIMER, [which, USER], 32)).toBe(0);
  return d.long(2) * 1_000_000n + d.long(3);
}
function create(tid: number, clock: number, signo: number, notify: number, thread = 0): number {
  const event = new Uint8Array(72);
  event.set(longs(0x77), 0);
  event.set(words(signo, notify, thread), 8);
  const r = d.mem(tid, OP.OP_TIMER_CREATE, [clock, USER, USER + 64], event);
  return r < 0 ? r : d.word(16);
}
const settime = (tid: number, id: number, interval: bigint, value: bigint, flags = 0): number =>
  d.mem(
    tid,
    OP.OP_TIMER_SETTIME,
    [id, flags, USER, USER + 32],
    longs(interval / SEC, interval % SEC, value / SEC, value % SEC, 0, 0, 0, 0),
  );
const overrun = (tid: number, id: number): number => d.call(tid, OP.OP_TIMER_GETOVERRUN, id);

describe('alarm and setitimer', () => {
  it('tell what was left, rounded, and disarm with 0', () => {
    expect(alarm(child, 10)).toBe(0);
    expect(alarm(child, 5)).toBe(10);
    d.k.clockSet(4_600_000_000n);
    expect(alarm(child, 0)).toBe(1);
    expect(alarm(child, 0)).toBe(0);
  });

  it('send their signals from the kernel, once or again and again', () => {
    for (const sig of [N.SIGALRM, N.SIGVTALRM, N.SIGPROF]) handle(child, sig);
    setitimer(child, U.ITIMER_REAL, 0n, SEC);
    setitimer(child, U.ITIMER_VIRTUAL, SEC, SEC);
    setitimer(child, U.ITIMER_PROF, 0n, SEC);
    for (const id of [-1, -2, -3]) expect(d.k.fireTimer(child, id)).toBe(true);
    expect(d.k.fireTimer(child, -1)).toBe(false);
    expect(d.k.fireTimer(child, -2)).toBe(true);
    const first = d.k.exitToUser(child).info;
    expect(first).toMatchObject({ signo: N.SIGALRM, code: N.SI_KERNEL, pid: 0 });
    expect(d.deliver(child)).toEqual([N.SIGVTALRM, N.SIGPROF]);
  });

  it('go off by the clock, and say how long they still run', () => {
    handle(child, N.SIGALRM);
    setitimer(child, U.ITIMER_REAL, 3n * SEC, 2n * SEC);
    d.k.clockSet(1_500_000_000n);
    expect(left(child, U.ITIMER_REAL)).toBe(500_000n);
    d.k.clockSet(6n * SEC);
    expect(d.deliver(child)).toEqual([N.SIGALRM]);
    expect(left(child, U.ITIMER_REAL)).toBe(2_000_000n);
    expect(setitimer(child, U.ITIMER_REAL, 0n, 0n)).toBe(0);
    expect([d.long(4), d.long(6)]).toEqual([3n, 2n]);
    expect(left(child, U.ITIMER_REAL)).toBe(0n);
  });

  it('check memory, times, then which', () => {
    expect(d.fault(child, OP.OP_SETITIMER, 9, USER, 0)).toBe(-E.EFAULT);
    const bad = longs(0, 0, 0, 1_000_000);
    expect(d.mem(child, OP.OP_SETITIMER, [9, USER, 0], bad)).toBe(-E.EINVAL);
    expect(d.mem(child, OP.OP_SETITIMER, [0, USER, 0], bad)).toBe(-E.EINVAL);
    expect(d.mem(child, OP.OP_SETITIMER, [0, USER, 0], longs(0, 0, -1, 0))).toBe(-E.EINVAL);
    expect(d.call(child, OP.OP_SETITIMER, 9, 0, 0)).toBe(-E.EINVAL);
    expect(d.fault(child, OP.OP_GETITIMER, 9, USER)).toBe(-E.EINVAL);
    expect(d.fault(child, OP.OP_GETITIMER, 0, USER)).toBe(-E.EFAULT);
    expect(d.fault(child, OP.OP_SETITIMER, 0, 0, USER)).toBe(-E.EFAULT);
  });

  it('stay over exec and are not inherited', () => {
    alarm(child, 10);
    expect(alarm(d.fork(child), 0)).toBe(0);
    d.mem(child, OP.OP_EXECVE, [USER, 0, 0], new TextEncoder().encode('/bin/x\0'));
    expect(alarm(child, 0)).toBe(10);
  });

  it('tell the host when they go off', () => {
    d.k.clockSet(100n);
    d.k.events();
    alarm(child, 1);
    alarm(child, 0);
    const told = d.k.events().filter((e) => e.type === 'timer');
    expect(told).toMatchObject([
      { tid: child, id: -1, expires: SEC + 100n },
      { tid: child, id: -1, expires: 0n },
    ]);
  });
});

describe('timer_create', () => {
  it('numbers timers from 0 and never gives a number twice', () => {
    expect(create(child, U.CLOCK_REALTIME, N.SIGUSR1, U.SIGEV_SIGNAL)).toBe(0);
    expect(create(child, U.CLOCK_MONOTONIC, N.SIGUSR1, U.SIGEV_THREAD)).toBe(1);
    expect(d.call(child, OP.OP_TIMER_DELETE, 1)).toBe(0);
    expect(create(child, U.CLOCK_BOOTTIME, 0, U.SIGEV_NONE)).toBe(2);
    expect(create(1, U.CLOCK_TAI, N.SIGUSR1, U.SIGEV_SIGNAL)).toBe(0);
  });

  it('checks memory, clock, event and the place of the number in this order', () => {
    expect(d.fault(child, OP.OP_TIMER_CREATE, 99, USER, 0)).toBe(-E.EFAULT);
    expect(create(child, 99, 99, 99)).toBe(-E.EINVAL);
    expect(create(child, U.CLOCK_MONOTONIC_RAW, 99, 99)).toBe(-E.EOPNOTSUPP);
    expect(create(child, U.CLOCK_REALTIME_COARSE, 99, 99)).toBe(-E.EOPNOTSUPP);
    expect(create(child, 3 - 8, 99, 99)).toBe(-E.EOPNOTSUPP);
    expect(create(child, U.CLOCK_REALTIME, 0, U.SIGEV_SIGNAL)).toBe(-E.EINVAL);
    expect(create(child, U.CLOCK_REALTIME, 65, U.SIGEV_SIGNAL)).toBe(-E.EINVAL);
    expect(create(child, U.CLOCK_REALTIME, 10, 3)).toBe(-E.EINVAL);
    expect(create(child, U.CLOCK_REALTIME, 10, U.SIGEV_THREAD_ID, 1)).toBe(-E.EINVAL);
    expect(d.fault(child, OP.OP_TIMER_CREATE, 0, 0, USER)).toBe(-E.EFAULT);
    const user = d.unprivileged();
    expect(create(user, U.CLOCK_REALTIME_ALARM, 10, U.SIGEV_SIGNAL)).toBe(-E.EPERM);
    expect(create(user, U.CLOCK_REALTIME_ALARM, 99, U.SIGEV_SIGNAL)).toBe(-E.EINVAL);
    // a number that was given to nobody is gone all the same
    expect(create(child, U.CLOCK_REALTIME, 10, U.SIGEV_SIGNAL)).toBeGreaterThan(0);
  });

  it("is made on the CPU clocks of processes and of the caller's own threads", () => {
    const clock = (pid: number, what: number): number => (~pid << 3) | what;
    const flags = C.CLONE_VM | C.CLONE_SIGHAND | C.CLONE_THREAD;
    const thread = d.call(child, OP.OP_CLONE, flags, 0, 0, 0, 0);
    const made = (tid: number, of: number, what: number): boolean =>
      create(tid, clock(of, what), 10, U.SIGEV_SIGNAL) >= 0;
    for (const what of [0, 1, 2]) {
      expect(made(child, 0, what)).toBe(true);
      expect(made(child, 1, what)).toBe(true);
      expect(made(child, thread, what | 4)).toBe(true);
      // neither a process nor a thread of one's own
      expect(made(child, thread, what)).toBe(false);
      expect(made(child, 1, what | 4)).toBe(false);
    }
    expect(create(child, clock(0, 3 | 4), 10, U.SIGEV_SIGNAL)).toBe(-E.EINVAL);
    expect(create(child, clock(9999, 0), 10, U.SIGEV_SIGNAL)).toBe(-E.EINVAL);
  });

  it('sends SIGALRM with the number of the timer when no event is given', () => {
    handle(child, N.SIGALRM);
    expect(d.mem(child, OP.OP_TIMER_CREATE, [U.CLOCK_REALTIME, 0, USER], 4)).toBe(0);
    settime(child, 0, 0n, SEC);
    d.k.fireTimer(child, 0);
    const { info } = d.k.exitToUser(child);
    expect(info).toMatchObject({ signo: N.SIGALRM, code: N.SI_TIMER, pid: 0, value: 0n });
  });
});

describe('timer_settime and what follows', () => {
  it('sends the value with the overruns, which getoverrun then tells', () => {
    handle(child, 40);
    const id = create(child, U.CLOCK_REALTIME, 40, U.SIGEV_SIGNAL);
    settime(child, id, SEC, SEC);
    for (let n = 0; n < 3; ++n) d.k.fireTimer(child, id);
    const { info } = d.k.exitToUser(child);
    expect(info).toMatchObject({ signo: 40, code: N.SI_TIMER, pid: id, uid: 2, value: 0x77n });
    expect(overrun(child, id)).toBe(2);
    d.k.setBlocked(child, 0n);
    d.k.fireTimer(child, id);
    expect(d.k.exitToUser(child).info).toMatchObject({ uid: 0 });
    expect(overrun(child, id)).toBe(0);
  });

  it('catches up with a clock that jumps', () => {
    handle(child, 40);
    const id = create(child, U.CLOCK_MONOTONIC, 40, U.SIGEV_SIGNAL);
    settime(child, id, SEC, 2n * SEC);
    d.k.clockSet(5_500_000_000n);
    expect(d.k.exitToUser(child).info).toMatchObject({ signo: 40, uid: 3 });
    expect(d.mem(child, OP.OP_TIMER_GETTIME, [id, USER], 32)).toBe(0);
    expect([d.long(0), d.long(2), d.long(3)]).toEqual([1n, 0n, 500_000_000n]);
  });

  it('reaches one thread with SIGEV_THREAD_ID, nobody with SIGEV_NONE', () => {
    const flags = C.CLONE_VM | C.CLONE_FS | C.CLONE_FILES | C.CLONE_SIGHAND | C.CLONE_THREAD;
    const thread = d.call(child, OP.OP_CLONE, flags);
    d.k.setBlocked(thread, 1n << 39n);
    const id = create(child, U.CLOCK_REALTIME, 40, U.SIGEV_THREAD_ID, thread);
    const none = create(child, U.CLOCK_REALTIME, 0, U.SIGEV_NONE);
    for (const timer of [id, none]) {
      settime(child, timer, SEC, SEC);
      expect(d.k.fireTimer(child, timer)).toBe(true);
    }
    expect([d.k.task(child)!.pending, d.k.task(thread)!.pending]).toEqual([0n, 1n << 39n]);
    expect(d.k.check()).toEqual([]);
    d.call(thread, OP.OP_EXIT, 0);
    expect(d.k.fireTimer(child, id)).toBe(true);
  });

  it('setting anew or deleting takes back a signal that is pending', () => {
    d.k.setBlocked(child, 1n << 39n);
    const id = create(child, U.CLOCK_REALTIME, 40, U.SIGEV_SIGNAL);
    const rearm = (): number => settime(child, id, SEC, SEC);
    for (const undo of [rearm, () => d.call(child, OP.OP_TIMER_DELETE, id)]) {
      rearm();
      d.k.fireTimer(child, id);
      expect(d.k.task(child)!.pending).toBe(1n << 39n);
      expect(undo()).toBe(0);
      expect(d.k.task(child)!.pending).toBe(0n);
    }
  });

  it('refuses a missing struct, bad memory, bad times, an unknown timer, in this order', () => {
    expect(d.call(child, OP.OP_TIMER_SETTIME, 9, 0, 0, 0)).toBe(-E.EINVAL);
    expect(d.fault(child, OP.OP_TIMER_SETTIME, 9, 0, USER, 0)).toBe(-E.EFAULT);
    expect(settime(child, 9, 0n, -1n)).toBe(-E.EINVAL);
    expect(settime(child, 9, 0n, SEC)).toBe(-E.EINVAL);
    for (const op of [OP.OP_TIMER_GETTIME, OP.OP_TIMER_GETOVERRUN, OP.OP_TIMER_DELETE]) {
      expect(d.fault(child, op, 9, USER)).toBe(-E.EINVAL);
      expect(d.fault(child, op, -1, USER)).toBe(-E.EINVAL);
    }
    const id = create(child, U.CLOCK_REALTIME, 10, U.SIGEV_SIGNAL);
    expect(d.fault(child, OP.OP_TIMER_GETTIME, id, USER)).toBe(-E.EFAULT);
  });

  it('timers of timer_create go with exec, all go with the process', () => {
    const id = create(child, U.CLOCK_REALTIME, 40, U.SIGEV_SIGNAL);
    d.k.setBlocked(child, 1n << 39n);
    settime(child, id, SEC, SEC);
    d.k.fireTimer(child, id);
    alarm(child, 3);
    expect(timersOf(d.k, child)).toHaveLength(2);
    d.mem(child, OP.OP_EXECVE, [USER, 0, 0], new TextEncoder().encode('/bin/x\0'));
    expect(timersOf(d.k, child)).toEqual([{ id: -1, signo: N.SIGALRM, armed: true }]);
    expect(create(child, U.CLOCK_REALTIME, 40, U.SIGEV_SIGNAL)).toBe(1);
    d.exit(child);
    expect(d.k.counts()).toMatchObject({ itimers: 0, sigqueues: 0 });
  });
});
