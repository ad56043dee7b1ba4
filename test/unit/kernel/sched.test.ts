// Protects: priorities, scheduling policies, personality, limits and what prctl says of a thread:
// values kept and inherited, who may change whose, each errno in Linux's order.
import { beforeEach, describe, expect, it } from 'vitest';
import * as E from '../../../assembly/uapi/errno.ts';
import * as OP from '../../../assembly/uapi/op.ts';
import * as P from '../../../assembly/uapi/prctl.ts';
import * as R from '../../../assembly/uapi/resource.ts';
import * as C from '../../../assembly/uapi/sched.ts';
import { type Driver, driver, longs, USER, words } from './driver.ts';

let d: Driver;
let user: number;
beforeEach(async () => {
  d = await driver();
  user = d.unprivileged();
  return () => expect(d.k.check()).toEqual([]);
});

const setprio = (tid: number, which: number, who: number, nice: number): number =>
  d.call(tid, OP.OP_SETPRIORITY, which, who, nice);
const getprio = (tid: number, which: number, who: number): number =>
  d.call(tid, OP.OP_GETPRIORITY, which, who);
const setsched = (tid: number, pid: number, policy: number, priority: number): number =>
  d.mem(tid, OP.OP_SCHED_SETSCHEDULER, [pid, policy, USER], words(priority));
const getsched = (tid: number, pid: number): number => d.call(tid, OP.OP_SCHED_GETSCHEDULER, pid);
const prlimit = (tid: number, pid: number, resource: number, soft: number, hard = soft): number =>
  d.mem(tid, OP.OP_PRLIMIT64, [pid, resource, USER, USER + 16], longs(soft, hard, 0, 0));
const exec = (tid: number): number =>
  d.mem(tid, OP.OP_EXECVE, [USER, 0, 0], new TextEncoder().encode('/bin/x\0'));

describe('setpriority and getpriority', () => {
  it('refuse an unknown sort, nobody, others, and less niceness, in this order', () => {
    expect(getprio(1, 3, 0)).toBe(-E.EINVAL);
    expect(getprio(1, C.PRIO_PROCESS, 99)).toBe(-E.ESRCH);
    expect(getprio(1, C.PRIO_USER, 77)).toBe(-E.ESRCH);
    expect(getprio(1, C.PRIO_PGRP, 99)).toBe(-E.ESRCH);
    expect(setprio(user, -1, 99, 0)).toBe(-E.EINVAL);
    expect(setprio(user, C.PRIO_PROCESS, 99, 0)).toBe(-E.ESRCH);
    expect(setprio(user, C.PRIO_PROCESS, 1, -5)).toBe(-E.EPERM);
    expect(setprio(user, C.PRIO_PROCESS, 0, -5)).toBe(-E.EACCES);
    expect(setprio(user, C.PRIO_PROCESS, 0, 5)).toBe(0);
    expect(setprio(user, C.PRIO_PROCESS, 0, 4)).toBe(-E.EACCES);
    expect(getprio(1, C.PRIO_PROCESS, user)).toBe(15);
  });

  it('go as far down as RLIMIT_NICE says', () => {
    prlimit(1, user, R.RLIMIT_NICE, 25);
    expect(setprio(user, C.PRIO_PROCESS, 0, -5)).toBe(0);
    expect(setprio(user, C.PRIO_PROCESS, 0, -6)).toBe(-E.EACCES);
    expect(getprio(user, C.PRIO_PROCESS, 0)).toBe(25);
  });

  it('name a group or a user, and tell the highest priority there', () => {
    const other = d.fork(user);
    expect(setprio(1, C.PRIO_PROCESS, other, -50)).toBe(0);
    expect(getprio(1, C.PRIO_USER, 1000)).toBe(40);
    expect(setprio(1, C.PRIO_USER, 1000, 7)).toBe(0);
    expect([user, other].map((tid) => getprio(1, C.PRIO_PROCESS, tid))).toEqual([13, 13]);
    d.call(other, OP.OP_SETPGID, 0, 0);
    expect(setprio(1, C.PRIO_PGRP, other, 19)).toBe(0);
    expect([user, other].map((tid) => getprio(1, C.PRIO_PROCESS, tid))).toEqual([13, 1]);
    // one refusal does not undo what was done
    expect(setprio(user, C.PRIO_PGRP, 1, 10)).toBe(-E.EPERM);
  });

  it('are inherited; nice moves by steps', () => {
    expect(d.call(user, OP.OP_NICE, 3)).toBe(0);
    expect(d.call(user, OP.OP_NICE, -1)).toBe(-E.EPERM);
    expect(d.call(user, OP.OP_NICE, 100)).toBe(0);
    expect(getprio(d.fork(user), C.PRIO_PROCESS, 0)).toBe(1);
  });
});

describe('sched_setscheduler and its relatives', () => {
  it('check arguments, memory, task and policy in this order', () => {
    expect(setsched(1, 0, -1, 0)).toBe(-E.EINVAL);
    expect(d.call(1, OP.OP_SCHED_SETSCHEDULER, 99, 99, 0)).toBe(-E.EINVAL);
    expect(setsched(1, -1, 99, 0)).toBe(-E.EINVAL);
    expect(d.fault(1, OP.OP_SCHED_SETSCHEDULER, 99, 99, USER)).toBe(-E.EFAULT);
    expect(setsched(1, 99, 99, 0)).toBe(-E.ESRCH);
    expect(setsched(1, 0, 99, 0)).toBe(-E.EINVAL);
    expect(setsched(1, 0, C.SCHED_FIFO, 0)).toBe(-E.EINVAL);
    expect(setsched(1, 0, C.SCHED_FIFO, 100)).toBe(-E.EINVAL);
    expect(setsched(1, 0, C.SCHED_OTHER, 1)).toBe(-E.EINVAL);
    expect(setsched(1, 0, C.SCHED_DEADLINE, 0)).toBe(-E.EINVAL);
    expect(getsched(1, -1)).toBe(-E.EINVAL);
    expect(getsched(1, 99)).toBe(-E.ESRCH);
  });

  it('keep the policy; real time needs privilege or RLIMIT_RTPRIO', () => {
    expect(setsched(user, 0, C.SCHED_FIFO, 10)).toBe(-E.EPERM);
    prlimit(1, user, R.RLIMIT_RTPRIO, 10);
    expect(setsched(user, 0, C.SCHED_FIFO, 11)).toBe(-E.EPERM);
    expect(setsched(user, 0, C.SCHED_RR, 10)).toBe(0);
    expect(getsched(1, user)).toBe(C.SCHED_RR);
    expect(d.mem(1, OP.OP_SCHED_GETPARAM, [user, USER], 4)).toBe(0);
    expect(d.word(0)).toBe(10);
    expect(d.mem(user, OP.OP_SCHED_SETPARAM, [0, USER], words(3))).toBe(0);
    expect(setsched(user, 1, C.SCHED_OTHER, 0)).toBe(-E.EPERM);
    expect(d.mem(user, OP.OP_SCHED_RR_GET_INTERVAL, [0, USER], 16)).toBe(0);
    expect(d.long(1)).toBe(100_000_000n);
  });

  it('a child has the policy, unless it is reset on fork', () => {
    setsched(1, 0, C.SCHED_FIFO, 5);
    expect(getsched(d.fork(), 0)).toBe(C.SCHED_FIFO);
    expect(setsched(1, 0, C.SCHED_FIFO | C.SCHED_RESET_ON_FORK, 5)).toBe(0);
    expect(getsched(1, 0)).toBe(C.SCHED_FIFO | C.SCHED_RESET_ON_FORK);
    expect(getsched(d.fork(), 0)).toBe(C.SCHED_OTHER);
  });

  it('the world may refuse real time', () => {
    const frame = d.k.frame.begin(1, 0, OP.OP_SCHED_SETSCHEDULER).setArg(1, C.SCHED_FIFO);
    frame.setArg(2, USER).window(USER, words(5), 'r').assistErrno(E.EPERM);
    d.k.trap();
    expect([frame.result, getsched(1, 0)]).toEqual([-E.EPERM, C.SCHED_OTHER]);
  });

  const attr = (tid: number, pid: number, bytes: Uint8Array, flags = 0): number =>
    d.mem(tid, OP.OP_SCHED_SETATTR, [pid, USER, flags], bytes);
  const attrOf = (size: number, policy: number, flags: number, nice: number): Uint8Array =>
    words(size, policy, flags, 0, nice, 0, 0, 0, 0, 0, 0, 0, 0, 0);

  it('sched_setattr measures its struct, and deadlines are in order', () => {
    expect(attr(1, -1, attrOf(48, 0, 0, 0))).toBe(-E.EINVAL);
    expect(attr(1, 0, attrOf(48, 0, 0, 0), 1)).toBe(-E.EINVAL);
    expect(attr(1, 0, attrOf(40, 0, 0, 0))).toBe(-E.E2BIG);
    expect(d.word(0)).toBe(56);
    expect(attr(1, 0, attrOf(5000, 0, 0, 0))).toBe(-E.E2BIG);
    expect(attr(1, 0, attrOf(48, -1, 0, 0))).toBe(-E.EINVAL);
    expect(attr(1, 99, attrOf(48, 0, 0, 0))).toBe(-E.ESRCH);
    expect(attr(1, 0, attrOf(48, 0, 32, 0))).toBe(-E.EINVAL);
    expect(attr(1, 0, attrOf(48, 0, 0x100, 0))).toBe(-E.EINVAL);
    expect(attr(1, 0, attrOf(48, C.SCHED_BATCH, 0, -50))).toBe(0);
    expect(d.mem(1, OP.OP_SCHED_GETATTR, [0, USER, 56, 0], 56)).toBe(0);
    expect([d.word(0), d.word(1), d.word(4)]).toEqual([56, C.SCHED_BATCH, -20]);
    expect(d.mem(1, OP.OP_SCHED_GETATTR, [0, USER, 47, 0], 56)).toBe(-E.EINVAL);
    expect(d.mem(1, OP.OP_SCHED_GETATTR, [99, USER, 48, 0], 56)).toBe(-E.ESRCH);
    const deadline = (runtime: number, relative: number, period: number): number => {
      const bytes = attrOf(48, C.SCHED_DEADLINE, 0, 0);
      bytes.set(longs(runtime, relative, period), 24);
      return attr(1, 0, bytes);
    };
    expect(deadline(1000, 2_000_000, 2_000_000)).toBe(-E.EINVAL);
    expect(deadline(3_000_000, 2_000_000, 2_000_000)).toBe(-E.EINVAL);
    expect(deadline(1_000_000, 2_000_000, 1_000_000)).toBe(-E.EINVAL);
    expect(deadline(1_000_000, 2_000_000, 0)).toBe(0);
    expect(getsched(1, 0)).toBe(C.SCHED_DEADLINE);
  });

  it('priorities of policies, and affinity', () => {
    const max = (policy: number): number => d.call(1, OP.OP_SCHED_GET_PRIORITY_MAX, policy);
    expect([C.SCHED_FIFO, C.SCHED_OTHER, 4].map(max)).toEqual([99, 0, -E.EINVAL]);
    expect(d.call(1, OP.OP_SCHED_GET_PRIORITY_MIN, C.SCHED_RR)).toBe(1);
    const affinity = (op: number, tid: number, pid: number, size: number): number =>
      d.mem(tid, op, [pid, size, USER], 8);
    expect(affinity(OP.OP_SCHED_GETAFFINITY, 1, 99, 4)).toBe(-E.EINVAL);
    expect(affinity(OP.OP_SCHED_GETAFFINITY, 1, 99, 8)).toBe(-E.ESRCH);
    expect(affinity(OP.OP_SCHED_GETAFFINITY, 1, 0, 8)).toBe(8);
    expect(d.fault(1, OP.OP_SCHED_SETAFFINITY, 99, 8, USER)).toBe(-E.EFAULT);
    expect(affinity(OP.OP_SCHED_SETAFFINITY, 1, 99, 8)).toBe(-E.ESRCH);
    expect(affinity(OP.OP_SCHED_SETAFFINITY, user, 1, 8)).toBe(-E.EPERM);
    expect(affinity(OP.OP_SCHED_SETAFFINITY, user, 0, 8)).toBe(0);
  });
});

describe('limits', () => {
  it('prlimit64 checks memory, task, permission, resource, order and privilege', () => {
    expect(d.fault(user, OP.OP_PRLIMIT64, 99, 99, USER, 0)).toBe(-E.EFAULT);
    expect(prlimit(user, 99, 99, 2, 1)).toBe(-E.ESRCH);
    expect(prlimit(user, 1, 99, 2, 1)).toBe(-E.EPERM);
    expect(prlimit(user, 0, 99, 2, 1)).toBe(-E.EINVAL);
    expect(prlimit(user, 0, R.RLIMIT_CPU, 2, 1)).toBe(-E.EINVAL);
    expect(prlimit(user, 0, R.RLIMIT_CPU, 1, 5)).toBe(0);
    expect(prlimit(user, 0, R.RLIMIT_CPU, 5, 6)).toBe(-E.EPERM);
    expect(prlimit(user, 0, R.RLIMIT_CPU, 5)).toBe(0);
    expect([d.long(2), d.long(3)]).toEqual([1n, 5n]);
    expect(prlimit(1, user, R.RLIMIT_CPU, 9)).toBe(0);
    expect(prlimit(1, user, R.RLIMIT_NOFILE, 9, 2_000_000)).toBe(-E.EPERM);
    expect(d.fault(1, OP.OP_PRLIMIT64, 0, R.RLIMIT_CPU, 0, USER)).toBe(-E.EFAULT);
  });

  it('of i386 have 32 bits, of which all ones are no limit', () => {
    const ops = new Uint16Array(200);
    ops[75] = OP.OP_SETRLIMIT;
    ops[76] = OP.OP_OLD_GETRLIMIT;
    ops[191] = OP.OP_GETRLIMIT;
    const table = d.k.registerTable(ops, true);
    const call = (nr: number, bytes: Uint8Array): number[] => {
      const frame = d.k.frame.begin(1, table, nr).setArg(0, R.RLIMIT_CORE).setArg(1, USER);
      frame.window(USER, bytes, 'rw');
      d.k.trap();
      const out = frame.output(USER, 8)!;
      const view = new DataView(out.buffer);
      return [frame.result, view.getUint32(0, true), view.getUint32(4, true)];
    };
    expect(call(75, words(7, -1))[0]).toBe(0);
    expect(call(191, words(0, 0))).toEqual([0, 7, 0xffff_ffff]);
    expect(call(76, words(0, 0))).toEqual([0, 7, 0x7fff_ffff]);
  });

  it('getrusage and times give zeros where they may', () => {
    expect(d.fault(1, OP.OP_GETRUSAGE, 2, USER)).toBe(-E.EINVAL);
    expect(d.fault(1, OP.OP_GETRUSAGE, 0, USER)).toBe(-E.EFAULT);
    expect(d.mem(1, OP.OP_GETRUSAGE, [-1, USER], 144)).toBe(0);
    expect(d.fault(1, OP.OP_TIMES, USER)).toBe(-E.EFAULT);
    d.k.clockSet(30_000_000_000n);
    expect(d.call(1, OP.OP_TIMES, 0)).toBe(3000);
  });
});

describe('personality', () => {
  it('tells the old one, is inherited, and all ones only ask', () => {
    const persona = (tid: number, value: number): number => d.call(tid, OP.OP_PERSONALITY, value);
    expect(persona(1, 0x0040000)).toBe(0);
    expect(persona(1, 0xffff_ffff)).toBe(0x0040000);
    expect(persona(d.fork(), 0)).toBe(0x0040000);
    // a number with bit 31 is no errno
    expect(persona(1, 0xbad0_4650)).toBe(0x0040000);
    expect(persona(1, 0xffff_ffff)).toBe(0xbad0_4650);
  });
});

describe('prctl', () => {
  const prctl = (tid: number, ...args: number[]): number => d.call(tid, OP.OP_PRCTL, ...args);

  it('dumpable is 0 or 1, gone with a change of ids, back with exec', () => {
    expect(prctl(1, P.PR_GET_DUMPABLE)).toBe(1);
    expect(prctl(1, P.PR_SET_DUMPABLE, 2)).toBe(-E.EINVAL);
    expect(prctl(1, P.PR_SET_DUMPABLE, 0)).toBe(0);
    const child = d.fork();
    expect(prctl(child, P.PR_GET_DUMPABLE)).toBe(0);
    exec(child);
    expect(prctl(child, P.PR_GET_DUMPABLE)).toBe(1);
    d.call(child, OP.OP_SETUID, 1000);
    expect(prctl(child, P.PR_GET_DUMPABLE)).toBe(0);
  });

  it('whoever is not dumpable cannot be looked into', () => {
    const other = d.fork(user);
    exec(other);
    exec(user);
    const pidfd = d.call(other, OP.OP_PIDFD_OPEN, user);
    expect(d.call(other, OP.OP_PIDFD_GETFD, pidfd, 0, 0)).toBeGreaterThan(0);
    prctl(user, P.PR_SET_DUMPABLE, 0);
    expect(d.call(other, OP.OP_PIDFD_GETFD, pidfd, 0, 0)).toBe(-E.EPERM);
  });

  it("timer slack is what was set, the parent's otherwise", () => {
    expect(prctl(user, P.PR_GET_TIMERSLACK)).toBe(50_000);
    expect(prctl(user, P.PR_SET_TIMERSLACK, 7)).toBe(0);
    const child = d.fork(user);
    expect(prctl(child, P.PR_SET_TIMERSLACK, 9)).toBe(0);
    expect(prctl(child, P.PR_GET_TIMERSLACK)).toBe(9);
    expect(prctl(child, P.PR_SET_TIMERSLACK, 0)).toBe(0);
    expect(prctl(child, P.PR_GET_TIMERSLACK)).toBe(7);
  });

  it('tells where the number is cleared', () => {
    d.call(1, OP.OP_SET_TID_ADDRESS, 0x7700);
    expect(d.mem(1, OP.OP_PRCTL, [P.PR_GET_TID_ADDRESS, USER], 8)).toBe(0);
    expect(d.long(0)).toBe(0x7700n);
  });
});
