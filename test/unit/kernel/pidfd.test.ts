// Protects: pidfds: what they name, when they are ready, whom they signal, what they lend, and the
// errno of each wrong use in Linux's order.
import { beforeEach, describe, expect, it } from 'vitest';
import * as E from '../../../assembly/uapi/errno.ts';
import * as O from '../../../assembly/uapi/fcntl.ts';
import * as OP from '../../../assembly/uapi/op.ts';
import * as P from '../../../assembly/uapi/pidfd.ts';
import * as C from '../../../assembly/uapi/sched.ts';
import * as N from '../../../assembly/uapi/signal.ts';
import * as W from '../../../assembly/uapi/wait.ts';
import { type Driver, driver, GONE, longs, SLEEPS, USER, words } from './driver.ts';

const THREAD = C.CLONE_VM | C.CLONE_FS | C.CLONE_FILES | C.CLONE_SIGHAND | C.CLONE_THREAD;

let d: Driver;
beforeEach(async () => {
  d = await driver();
  return () => expect(d.k.check()).toEqual([]);
});

const open = (tid: number, pid: number, flags = 0): number =>
  d.call(tid, OP.OP_PIDFD_OPEN, pid, flags);
const send = (tid: number, fd: number, sig: number, flags = 0): number =>
  d.call(tid, OP.OP_PIDFD_SEND_SIGNAL, fd, sig, 0, flags);
const poll = (tid: number, fd: number, timeout = 0): number =>
  d.mem(tid, OP.OP_POLL, [USER, 1, timeout], words(fd, O.POLLIN));
const revents = (): number => d.word(1) >>> 16;
const waitid = (tid: number, fd: number, options: number): number =>
  d.mem(tid, OP.OP_WAITID, [W.P_PIDFD, fd, USER, options, 0], 128);

describe('pidfd_open', () => {
  it('refuses flags, numbers and threads in this order', () => {
    expect(open(1, 0, 1)).toBe(-E.EINVAL);
    expect(open(1, 0)).toBe(-E.EINVAL);
    expect(open(1, -1)).toBe(-E.EINVAL);
    expect(open(1, 77)).toBe(-E.ESRCH);
    expect(open(1, 4_194_305)).toBe(-E.ESRCH);
    const thread = d.call(1, OP.OP_CLONE, THREAD);
    expect(open(1, thread)).toBe(-E.ENOENT);
    expect(open(1, thread, P.PIDFD_THREAD)).toBe(3);
    expect(open(1, thread, P.PIDFD_THREAD | P.PIDFD_NONBLOCK)).toBe(4);
  });

  it('gives a close-on-exec descriptor whose flags say how it was opened', () => {
    const fd = open(1, d.fork(), P.PIDFD_NONBLOCK);
    expect(d.call(1, OP.OP_FCNTL, fd, O.F_GETFD)).toBe(O.FD_CLOEXEC);
    expect(d.call(1, OP.OP_FCNTL, fd, O.F_GETFL)).toBe(O.O_RDWR | O.O_NONBLOCK);
    expect(d.k.fds(1)[fd]).toMatchObject({ kind: 'pidfd', cloexec: true });
  });

  it('is EMFILE in a full table, and knows no number of another namespace', () => {
    const child = d.call(1, OP.OP_CLONE, C.CLONE_NEWPID | N.SIGCHLD);
    expect(open(child, 1)).toBe(3);
    expect(open(child, child)).toBe(-E.ESRCH);
    d.mem(1, OP.OP_PRLIMIT64, [0, 7, USER, 0], longs(3, 3));
    expect(open(1, child)).toBe(-E.EMFILE);
  });

  it('names a zombie, and nobody once it is reaped, though its group lives on', () => {
    const child = d.fork();
    d.call(child, OP.OP_SETPGID, 0, 0);
    const other = d.fork(child);
    d.exit(child);
    expect(open(1, child)).toBe(3);
    d.wait(1, child);
    expect(open(1, child)).toBe(-E.ESRCH);
    expect(send(1, 3, 0)).toBe(-E.ESRCH);
    expect(send(1, 3, N.SIGTERM, P.PIDFD_SIGNAL_PROCESS_GROUP)).toBe(0);
    expect(d.k.diesNext(other)).toEqual({ kind: 'signal', value: N.SIGTERM });
  });
});

describe('poll of a pidfd', () => {
  it('is readable at death and hung up after the wait', () => {
    const child = d.fork();
    const fd = open(1, child);
    expect(poll(1, fd)).toBe(0);
    expect(poll(1, fd, -1)).toBe(SLEEPS);
    d.exit(child);
    expect(d.k.woken()).toEqual([1]);
    expect(d.resume(1)).toBe(1);
    expect(poll(1, fd)).toBe(1);
    expect(revents()).toBe(O.POLLIN);
    d.wait(1);
    expect(poll(1, fd)).toBe(1);
    expect(revents()).toBe(O.POLLIN | O.POLLHUP);
  });

  it('waits for the last thread of a leader that left first', () => {
    const child = d.fork();
    const thread = d.call(child, OP.OP_CLONE, THREAD);
    const fd = open(1, child);
    const own = open(1, thread, P.PIDFD_THREAD);
    expect(d.call(child, OP.OP_EXIT, 0)).toBe(GONE);
    expect(poll(1, fd)).toBe(0);
    expect(d.call(thread, OP.OP_EXIT, 0)).toBe(GONE);
    expect(poll(1, fd)).toBe(1);
    expect(poll(1, own)).toBe(1);
    expect(revents()).toBe(O.POLLIN | O.POLLHUP);
  });
});

describe('pidfd_send_signal', () => {
  it('checks scope, descriptor, siginfo, target and signal in this order', () => {
    const fd = open(1, d.fork());
    expect(send(1, 99, 65, 8)).toBe(-E.EINVAL);
    expect(send(1, 99, 65, P.PIDFD_SIGNAL_THREAD | P.PIDFD_SIGNAL_THREAD_GROUP)).toBe(-E.EINVAL);
    expect(send(1, 99, 65)).toBe(-E.EBADF);
    expect(send(1, 0, N.SIGTERM)).toBe(-E.EBADF);
    expect(d.fault(1, OP.OP_PIDFD_SEND_SIGNAL, fd, 65, USER, 0)).toBe(-E.EFAULT);
    const info = words(N.SIGUSR2, 0, N.SI_QUEUE, 0, 1, 0, 7, 0);
    expect(d.mem(1, OP.OP_PIDFD_SEND_SIGNAL, [fd, N.SIGUSR1, USER, 0], info)).toBe(-E.EINVAL);
    const forged = words(N.SIGUSR1, 0, N.SI_USER, 0, 1, 0, 7, 0);
    expect(d.mem(1, OP.OP_PIDFD_SEND_SIGNAL, [fd, N.SIGUSR1, USER, 0], forged)).toBe(-E.EPERM);
    expect(send(1, fd, 65)).toBe(-E.EINVAL);
    expect(send(1, fd, 0)).toBe(0);
  });

  it('says SI_USER for a group, SI_TKILL for a thread, and what the sender wrote', () => {
    const child = d.fork();
    const fd = open(1, child);
    d.mem(child, OP.OP_RT_SIGACTION, [N.SIGUSR1, USER, 0, 8], longs(0x4000, 0, 0, 0));
    d.mem(child, OP.OP_RT_SIGACTION, [N.SIGUSR2, USER, 0, 8], longs(0x4000, 0, 0, 0));
    send(1, fd, N.SIGUSR1);
    expect(d.k.exitToUser(child).info).toMatchObject({ code: N.SI_USER, pid: 1 });
    send(1, fd, N.SIGUSR2, P.PIDFD_SIGNAL_THREAD);
    expect(d.k.exitToUser(child).info).toMatchObject({ code: N.SI_TKILL, pid: 1 });
    const info = words(34, 0, N.SI_QUEUE, 0, 99, 0, 7, 0);
    d.mem(child, OP.OP_RT_SIGACTION, [34, USER, 0, 8], longs(0x4000, 0, 0, 0));
    expect(d.mem(1, OP.OP_PIDFD_SEND_SIGNAL, [fd, 34, USER, 0], info)).toBe(0);
    expect(d.k.exitToUser(child).info).toMatchObject({ code: N.SI_QUEUE, pid: 99, value: 7n });
  });

  it('reaches oneself without a descriptor, with any siginfo', () => {
    d.mem(1, OP.OP_RT_SIGACTION, [N.SIGUSR1, USER, 0, 8], longs(0x4000, 0, 0, 0));
    expect(send(1, P.PIDFD_SELF_THREAD, N.SIGUSR1)).toBe(0);
    expect(d.k.exitToUser(1).info).toMatchObject({ code: N.SI_TKILL });
    const forged = words(N.SIGUSR1, 0, N.SI_USER, 0, 55, 0, 0, 0);
    const args = [P.PIDFD_SELF_THREAD_GROUP, N.SIGUSR1, USER, 0];
    d.k.setBlocked(1, 0n);
    expect(d.mem(1, OP.OP_PIDFD_SEND_SIGNAL, args, forged)).toBe(0);
    expect(d.k.exitToUser(1).info).toMatchObject({ code: N.SI_USER, pid: 55 });
  });

  it('needs permission, and a target that the caller could see', () => {
    const user = d.unprivileged();
    expect(send(user, open(user, 1), 0)).toBe(-E.EPERM);
    const fd = open(1, d.fork());
    const boxed = d.call(1, OP.OP_CLONE, C.CLONE_NEWPID | N.SIGCHLD);
    expect(send(boxed, fd, N.SIGTERM)).toBe(-E.EINVAL);
  });
});

describe('pidfd_getfd', () => {
  const get = (tid: number, pidfd: number, fd: number, flags = 0): number =>
    d.call(tid, OP.OP_PIDFD_GETFD, pidfd, fd, flags);

  it('lends an open file, close-on-exec', () => {
    const child = d.fork();
    expect(d.mem(child, OP.OP_PIPE2, [USER, 0], 8)).toBe(0);
    const pidfd = open(1, child);
    expect(get(1, pidfd, 4)).toBe(4);
    expect(d.k.fds(1)[4]).toMatchObject({ kind: 'pipe', cloexec: true });
    expect(d.k.fds(1)[4]!.link).toBe(d.k.fds(child)[4]!.link);
  });

  it('checks flags, descriptor, process, permission and target in this order', () => {
    const child = d.fork();
    const pidfd = open(1, child);
    expect(get(1, 99, 0, 1)).toBe(-E.EINVAL);
    expect(get(1, 99, 0)).toBe(-E.EBADF);
    expect(get(1, 0, 0)).toBe(-E.EBADF);
    expect(get(1, pidfd, 99)).toBe(-E.EBADF);
    const user = d.unprivileged();
    expect(get(user, open(user, 1), 99)).toBe(-E.EPERM);
    d.exit(child);
    expect(get(1, pidfd, 0)).toBe(-E.ESRCH);
    d.wait(1, child);
    expect(get(1, pidfd, 0)).toBe(-E.ESRCH);
  });
});

describe('waitid with P_PIDFD', () => {
  it('waits for that child, and is EAGAIN on a pidfd that does not block', () => {
    const child = d.fork();
    const fd = open(1, child);
    const nonblock = open(1, child, P.PIDFD_NONBLOCK);
    expect(waitid(1, -1, W.WEXITED)).toBe(-E.EINVAL);
    expect(waitid(1, 0, W.WEXITED)).toBe(-E.EBADF);
    expect(waitid(1, nonblock, W.WEXITED)).toBe(-E.EAGAIN);
    expect(waitid(1, nonblock, W.WEXITED | W.WNOHANG)).toBe(0);
    expect(waitid(1, fd, W.WEXITED)).toBe(SLEEPS);
    d.exit(child, 5);
    expect(d.resume(1)).toBe(0);
    expect(waitid(1, fd, W.WEXITED)).toBe(-E.ECHILD);
  });
});

describe('CLONE_PIDFD', () => {
  it('gives the parent a pidfd that the child does not have', () => {
    expect(d.mem(1, OP.OP_CLONE, [C.CLONE_PIDFD | N.SIGCHLD, 0, USER], 4)).toBe(2);
    expect(d.word(0)).toBe(3);
    expect(d.k.fds(1)[3]).toMatchObject({ kind: 'pidfd', cloexec: true });
    expect(d.k.fds(2)).toHaveLength(3);
    expect(waitid(1, 3, W.WEXITED)).toBe(SLEEPS);
    d.exit(2);
    expect(d.resume(1)).toBe(0);
  });

  it('names a thread when it makes one', () => {
    const child = d.fork();
    d.k.setBlocked(child, 512n);
    expect(d.mem(child, OP.OP_CLONE, [THREAD | C.CLONE_PIDFD, 0, USER], 4)).toBe(3);
    expect(d.call(child, OP.OP_FCNTL, 3, O.F_GETFL)).toBe(O.O_RDWR | P.PIDFD_THREAD);
    expect(send(child, 3, N.SIGUSR1)).toBe(0);
    expect([d.k.task(child)!.pending, d.k.task(3)!.pending]).toEqual([0n, 512n]);
  });

  it('leaves nothing behind when the descriptor cannot be written or given', () => {
    const before = d.k.counts();
    expect(d.fault(1, OP.OP_CLONE, C.CLONE_PIDFD | N.SIGCHLD, 0, USER)).toBe(-E.EFAULT);
    expect(d.k.counts()).toEqual(before);
    d.mem(1, OP.OP_PRLIMIT64, [0, 7, USER, 0], longs(3, 3));
    expect(d.mem(1, OP.OP_CLONE, [C.CLONE_PIDFD | N.SIGCHLD, 0, USER], 4)).toBe(-E.EMFILE);
    expect(d.fork()).toBe(2);
  });
});
