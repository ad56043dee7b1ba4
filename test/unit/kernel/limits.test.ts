// Protects: what is counted by user: tasks against RLIMIT_NPROC, queued signals against
// RLIMIT_SIGPENDING; who is above a limit, and what a user namespace inherits of one.
import { beforeEach, describe, expect, it } from 'vitest';
import * as E from '../../../assembly/uapi/errno.ts';
import * as OP from '../../../assembly/uapi/op.ts';
import * as R from '../../../assembly/uapi/resource.ts';
import * as C from '../../../assembly/uapi/sched.ts';
import * as N from '../../../assembly/uapi/signal.ts';
import { type Driver, driver, longs, USER, words } from './driver.ts';

let d: Driver;
beforeEach(async () => {
  d = await driver();
  return () => expect(d.k.check()).toEqual([]);
});

const limit = (tid: number, resource: number, soft: number): number =>
  d.mem(tid, OP.OP_PRLIMIT64, [0, resource, USER, 0], longs(soft, soft));
const exec = (tid: number): number =>
  d.mem(tid, OP.OP_EXECVE, [USER, 0, 0], new TextEncoder().encode('/bin/x\0'));
const setuid = (tid: number, uid: number): number => d.call(tid, OP.OP_SETUID, uid);

describe('RLIMIT_NPROC', () => {
  it('counts the tasks of a user, whoever made them, threads too', () => {
    const a = d.unprivileged();
    const b = d.unprivileged();
    limit(a, R.RLIMIT_NPROC, 3);
    expect(d.fork(a)).toBeGreaterThan(0);
    expect(d.fork(a)).toBe(-E.EAGAIN);
    expect(d.call(a, OP.OP_CLONE, 0x10900)).toBe(-E.EAGAIN);
    // who has no limit of its own is not held by another's
    const c = d.fork(b);
    expect(c).toBeGreaterThan(0);
    d.exit(c);
    expect(d.fork(a)).toBe(-E.EAGAIN);
    d.wait(b, c);
    d.exit(b);
    d.wait(1, b);
    expect(d.fork(a)).toBeGreaterThan(0);
  });

  it('does not hold root, nor CAP_SYS_RESOURCE', () => {
    limit(1, R.RLIMIT_NPROC, 1);
    const child = d.fork();
    expect(child).toBeGreaterThan(0);
    // keeps its capabilities over the change of ids
    d.call(child, OP.OP_PRCTL, 8, 1);
    setuid(child, 1000);
    const mask = 1 << 24;
    const header = words(0x20080522, 0, mask, mask, 0, 0, 0, 0);
    expect(d.mem(child, OP.OP_CAPSET, [USER, USER + 8], header)).toBe(0);
    expect(d.fork(child)).toBeGreaterThan(0);
  });

  it('lets whoever becomes such a user go on, but not call exec', () => {
    const a = d.unprivileged();
    d.fork(a);
    const late = d.fork();
    limit(late, R.RLIMIT_NPROC, 1);
    expect(setuid(late, 1000)).toBe(0);
    expect(exec(late)).toBe(-E.EAGAIN);
    const other = d.fork();
    limit(other, R.RLIMIT_NPROC, 4);
    setuid(other, 1000);
    expect(exec(other)).toBe(0);
  });

  it('holds in a user namespace for all that its maker has there', () => {
    const a = d.unprivileged();
    limit(a, R.RLIMIT_NPROC, 3);
    expect(d.call(a, OP.OP_UNSHARE, C.CLONE_NEWUSER)).toBe(0);
    expect(d.fork(a)).toBeGreaterThan(0);
    expect(d.fork(a)).toBeGreaterThan(0);
    expect(d.fork(a)).toBe(-E.EAGAIN);
  });
});

describe('RLIMIT_SIGPENDING', () => {
  const info = (sig: number): Uint8Array => words(sig, 0, N.SI_QUEUE, 0, 1, 0, 7, 0, 0, 0, 0, 0);
  const queue = (tid: number, to: number, sig: number): number =>
    d.mem(tid, OP.OP_RT_SIGQUEUEINFO, [to, sig, USER], info(sig));
  let child: number;
  beforeEach(() => {
    child = d.fork();
    d.k.setBlocked(child, 0xffff_ffff_ffff_ffffn);
  });

  it("refuses real-time signals, root's too; kill sends them without siginfo", () => {
    limit(child, R.RLIMIT_SIGPENDING, 2);
    expect(queue(1, child, 34)).toBe(0);
    expect(queue(1, child, 34)).toBe(0);
    expect(queue(1, child, 34)).toBe(-E.EAGAIN);
    expect(d.call(1, OP.OP_TKILL, child, 35)).toBe(-E.EAGAIN);
    expect(d.call(1, OP.OP_KILL, child, 36)).toBe(0);
    expect((d.k.task(child)!.pending >> 35n) & 1n).toBe(1n);
    expect(d.k.counts().sigqueues).toBe(2);
  });

  it('is of the target, counted for its user; what is taken no longer counts', () => {
    limit(child, R.RLIMIT_SIGPENDING, 1);
    expect(queue(1, child, 34)).toBe(0);
    const other = d.fork();
    d.k.setBlocked(other, 0xffff_ffff_ffff_ffffn);
    expect(queue(1, other, 34)).toBe(0);
    expect(queue(1, child, 35)).toBe(-E.EAGAIN);
    const set = longs(1n << 33n);
    expect(d.mem(other, OP.OP_RT_SIGTIMEDWAIT, [USER, 0, 0, 8], set)).toBe(34);
    expect(queue(1, child, 35)).toBe(-E.EAGAIN);
    expect(d.mem(child, OP.OP_RT_SIGTIMEDWAIT, [USER, 0, 0, 8], set)).toBe(34);
    expect(queue(1, child, 35)).toBe(0);
  });

  it('lets standard signals of the kernel and of kill carry their siginfo all the same', () => {
    limit(child, R.RLIMIT_SIGPENDING, 0);
    expect(d.call(1, OP.OP_KILL, child, N.SIGUSR1)).toBe(0);
    expect(d.call(1, OP.OP_TKILL, child, N.SIGUSR2)).toBe(0);
    d.mem(child, OP.OP_RT_SIGACTION, [N.SIGUSR1, USER, 0, 8], longs(0x4000, 4, 0, 0));
    d.k.setBlocked(child, ~(1n << 9n));
    expect(d.k.exitToUser(child).info).toMatchObject({ signo: N.SIGUSR1, pid: 1 });
    d.k.setBlocked(child, ~(1n << 11n));
    d.mem(child, OP.OP_RT_SIGACTION, [N.SIGUSR2, USER, 0, 8], longs(0x4000, 4, 0, 0));
    expect(d.k.exitToUser(child).info).toMatchObject({ signo: N.SIGUSR2, code: 0, pid: 0 });
  });

  it('counts timers of timer_create', () => {
    limit(child, R.RLIMIT_SIGPENDING, 1);
    expect(d.mem(child, OP.OP_TIMER_CREATE, [0, 0, USER], 4)).toBe(0);
    expect(d.mem(child, OP.OP_TIMER_CREATE, [0, 0, USER], 4)).toBe(-E.EAGAIN);
    expect(d.call(child, OP.OP_TIMER_DELETE, 0)).toBe(0);
    expect(d.mem(child, OP.OP_TIMER_CREATE, [0, 0, USER], 4)).toBe(0);
  });
});
