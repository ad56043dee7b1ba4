// Protects: eventfd, timerfd, signalfd and inotify: values, sleeping, what the host tells, and the
// errno of each wrong use in Linux's order.
import { beforeEach, describe, expect, it } from 'vitest';
import * as N from '../../../assembly/uapi/epoll.ts';
import * as E from '../../../assembly/uapi/errno.ts';
import * as O from '../../../assembly/uapi/fcntl.ts';
import { FILE_EVENT_QUEUED, FILE_EVENT_TICKS } from '../../../assembly/uapi/frame.ts';
import * as OP from '../../../assembly/uapi/op.ts';
import * as S from '../../../assembly/uapi/signal.ts';
import { type Driver, driver, longs, SLEEPS, USER, words } from '../kernel/driver.ts';

const SECOND = 1_000_000_000n;
const MAX = (1n << 64n) - 1n;

let d: Driver;
beforeEach(async () => {
  d = await driver();
  return () => expect(d.k.check()).toEqual([]);
});

const poll = (fd: number, events = O.POLLIN | O.POLLOUT, tid = 1): number =>
  d.mem(tid, OP.OP_POLL, [USER, 1, 0], words(fd, events)) ? d.word(1) >>> 16 : 0;
/** A read of `n` bytes: its result, or the 64-bit value that it gave. */
const value = (fd: number, tid = 1): bigint | number => {
  const n = d.mem(tid, OP.OP_READ, [fd, USER, 8], 8);
  return n === 8 ? BigInt.asUintN(64, d.long(0)) : n;
};
const add = (fd: number, n: bigint, tid = 1): number =>
  d.mem(tid, OP.OP_WRITE, [fd, USER, 8], new Uint8Array(BigUint64Array.of(n).buffer));

describe('eventfd', () => {
  const make = (count: number, flags = 0): number => d.call(1, OP.OP_EVENTFD2, count, flags);

  it('adds up, and gives all at once or one by one', () => {
    const fd = make(3, N.EFD_NONBLOCK);
    expect([add(fd, 4n), value(fd), value(fd)]).toEqual([8, 7n, -E.EAGAIN]);
    const sem = make(2, N.EFD_SEMAPHORE | N.EFD_NONBLOCK);
    expect([value(sem), value(sem), value(sem)]).toEqual([1n, 1n, -E.EAGAIN]);
  });

  it('ends at 2^64-2, where writers wait', () => {
    const fd = make(0);
    expect(add(fd, MAX)).toBe(-E.EINVAL);
    expect(add(fd, MAX - 1n)).toBe(8);
    expect(poll(fd)).toBe(O.POLLIN);
    const child = d.fork();
    expect(add(fd, 5n, child)).toBe(SLEEPS);
    expect(value(fd)).toBe(MAX - 1n);
    expect([d.k.woken(), d.resume(child), value(fd)]).toEqual([[child], 8, 5n]);
  });

  it('lets readers sleep until something is added', () => {
    const fd = make(0);
    const child = d.fork();
    expect(value(fd, child)).toBe(SLEEPS);
    expect(poll(fd)).toBe(O.POLLOUT);
    add(fd, 1n);
    expect(d.resume(child)).toBe(8);
    expect(value(fd, child)).toBe(SLEEPS);
    d.call(1, OP.OP_KILL, child, S.SIGUSR1);
    expect(d.resume(child)).toBe(-E.ERESTARTSYS);
  });

  it('wants eight bytes, known flags, and an address', () => {
    const fd = make(1);
    expect(d.mem(1, OP.OP_READ, [fd, USER, 7], 8)).toBe(-E.EINVAL);
    expect(d.mem(1, OP.OP_WRITE, [fd, USER, 7], 8)).toBe(-E.EINVAL);
    expect(d.mem(1, OP.OP_WRITE, [fd, USER, 9], 16)).toBe(-E.EINVAL);
    expect(d.fault(1, OP.OP_WRITE, fd, USER, 8)).toBe(-E.EFAULT);
    expect(make(0, 8)).toBe(-E.EINVAL);
    // as in Linux the value is gone
    expect([d.fault(1, OP.OP_READ, fd, USER, 8), poll(fd)]).toEqual([-E.EFAULT, O.POLLOUT]);
    expect(d.call(1, OP.OP_EVENTFD, 0)).toBe(4);
    expect(d.call(1, OP.OP_FCNTL, make(0, N.EFD_NONBLOCK), O.F_GETFL)).toBe(
      O.O_RDWR | O.O_NONBLOCK,
    );
    const shut = make(0, N.EFD_CLOEXEC);
    expect(d.k.fds(1)[shut]?.cloexec).toBe(true);
  });
});

describe('timerfd', () => {
  const make = (flags = 0): number => d.call(1, OP.OP_TIMERFD_CREATE, N.CLOCK_MONOTONIC, flags);
  /** interval and value in seconds */
  const set = (fd: number, interval: number, at: number, flags = 0): number =>
    d.mem(1, OP.OP_TIMERFD_SETTIME, [fd, flags, USER, 0], longs(interval, 0, at, 0));
  const left = (fd: number): bigint[] => {
    expect(d.mem(1, OP.OP_TIMERFD_GETTIME, [fd, USER], 32)).toBe(0);
    return [d.long(0), d.long(2), d.long(3)];
  };

  it('goes off by the clock, once or again and again', () => {
    d.k.clockSet(10n * SECOND);
    const fd = make(N.TFD_NONBLOCK);
    expect([value(fd), set(fd, 0, 5), left(fd)]).toEqual([-E.EAGAIN, 0, [0n, 5n, 0n]]);
    d.k.clockSet(16n * SECOND);
    expect([poll(fd), value(fd), value(fd), left(fd)]).toEqual([
      O.POLLIN,
      1n,
      -E.EAGAIN,
      [0n, 0n, 0n],
    ]);
    set(fd, 2, 1);
    d.k.clockSet(22n * SECOND);
    expect([value(fd), left(fd)]).toEqual([3n, [2n, 1n, 0n]]);
    set(fd, 0, 30, N.TFD_TIMER_ABSTIME);
    expect(left(fd)).toEqual([0n, 8n, 0n]);
    set(fd, 0, 5, N.TFD_TIMER_ABSTIME);
    expect(value(fd)).toBe(1n);
    set(fd, 0, 0);
    expect(left(fd)).toEqual([0n, 0n, 0n]);
  });

  it('wakes who sleeps on it, by the clock or by the host', () => {
    const fd = make();
    const child = d.fork();
    set(fd, 1, 1);
    expect(value(fd, child)).toBe(SLEEPS);
    const file = d.k.file(1, fd)!;
    expect(d.k.fileEvent(file, FILE_EVENT_TICKS, 4)).toBe(true);
    expect(d.resume(child)).toBe(8);
    expect(d.k.file(1, fd)!.ticks).toBe(0);
    // one that is not armed does not go off
    set(fd, 0, 0);
    d.k.fileEvent(file, FILE_EVENT_TICKS, 4);
    expect(d.k.file(1, fd)!.ticks).toBe(0);
    expect(d.k.fileEvent(d.k.file(1, 0)!, FILE_EVENT_TICKS, 1)).toBe(false);
  });

  it('is set in this order: memory, flags and times, descriptor', () => {
    const fd = make();
    expect(d.fault(1, OP.OP_TIMERFD_SETTIME, 99, 8, USER, 0)).toBe(-E.EFAULT);
    expect(set(99, 0, 1, 8)).toBe(-E.EINVAL);
    const wrong = longs(0, SECOND, 0, 0);
    expect(d.mem(1, OP.OP_TIMERFD_SETTIME, [99, 0, USER, 0], wrong)).toBe(-E.EINVAL);
    expect(set(99, 0, 1)).toBe(-E.EBADF);
    expect(set(0, 0, 1)).toBe(-E.EINVAL);
    expect(d.mem(1, OP.OP_TIMERFD_GETTIME, [99, USER], 32)).toBe(-E.EBADF);
    expect(d.mem(1, OP.OP_TIMERFD_GETTIME, [0, USER], 32)).toBe(-E.EINVAL);
    set(fd, 3, 4);
    expect(d.mem(1, OP.OP_TIMERFD_SETTIME, [fd, 0, USER, USER], longs(0, 0, 9, 0))).toBe(0);
    expect([d.long(0), d.long(2)]).toEqual([3n, 4n]);
    expect(d.mem(1, OP.OP_READ, [fd, USER, 4], 8)).toBe(-E.EINVAL);
    expect(add(fd, 1n)).toBe(-E.EINVAL);
  });

  it('takes five clocks, two of them with a capability', () => {
    const create = (clock: number, flags = 0, tid = 1): number =>
      d.call(tid, OP.OP_TIMERFD_CREATE, clock, flags);
    expect([create(99), create(0, 1), create(2)]).toEqual([-E.EINVAL, -E.EINVAL, -E.EINVAL]);
    expect([create(0), create(1), create(7), create(8), create(9)]).toEqual([3, 4, 5, 6, 7]);
    expect(create(N.CLOCK_BOOTTIME_ALARM, 0, d.unprivileged())).toBe(-E.EPERM);
  });
});

describe('signalfd', () => {
  const block = (mask: bigint, tid = 1): number =>
    d.mem(tid, OP.OP_RT_SIGPROCMASK, [S.SIG_BLOCK, USER, 0, 8], longs(mask));
  const bit = (...signals: number[]): bigint =>
    signals.reduce((sum, signo) => sum | (1n << BigInt(signo - 1)), 0n);
  const make = (mask: bigint, flags = 0, fd = -1): number =>
    d.mem(1, OP.OP_SIGNALFD4, [fd, USER, 8, flags], longs(mask));
  const USR = bit(S.SIGUSR1, S.SIGUSR2);

  it('gives signals of the set, and takes them out of the queues', () => {
    block(USR);
    const fd = make(USR, N.SFD_NONBLOCK);
    expect([poll(fd), d.mem(1, OP.OP_READ, [fd, USER, 128], 128)]).toEqual([0, -E.EAGAIN]);
    const child = d.unprivileged(1000);
    d.call(1, OP.OP_KILL, 1, S.SIGUSR1);
    d.mem(1, OP.OP_RT_SIGQUEUEINFO, [1, S.SIGUSR2, USER], words(0, 0, -1, 0, child, 5, 77, 0));
    expect(poll(fd)).toBe(O.POLLIN);
    expect(d.mem(1, OP.OP_READ, [fd, USER, 300], 300)).toBe(256);
    expect([d.word(0), d.word(2), d.word(3), d.word(4)]).toEqual([S.SIGUSR1, S.SI_USER, 1, 0]);
    expect([d.word(32), d.word(34), d.word(43)]).toEqual([S.SIGUSR2, S.SI_QUEUE, 77]);
    expect([poll(fd), d.k.nextSignal(1)]).toEqual([0, 0]);
  });

  it('is about the reader, whoever made it; a child tells its status', () => {
    block(bit(S.SIGCHLD) | USR);
    const fd = make(bit(S.SIGCHLD) | USR, N.SFD_NONBLOCK);
    const child = d.fork();
    d.call(1, OP.OP_KILL, child, S.SIGUSR1);
    expect([poll(fd), poll(fd, O.POLLIN, child)]).toEqual([0, O.POLLIN]);
    d.exit(child, 6);
    expect(d.mem(1, OP.OP_READ, [fd, USER, 128], 128)).toBe(128);
    expect([d.word(0), d.word(3), d.word(10)]).toEqual([S.SIGCHLD, child, 6]);
  });

  it('wakes who sleeps for one of its signals, and nobody else', () => {
    block(USR);
    const fd = make(bit(S.SIGUSR1));
    const child = d.fork();
    expect(d.mem(child, OP.OP_READ, [fd, USER, 128], 128)).toBe(SLEEPS);
    d.call(1, OP.OP_KILL, 1, S.SIGUSR1);
    expect(d.k.isWoken(child)).toBe(false);
    d.call(1, OP.OP_KILL, child, S.SIGUSR2);
    expect([d.k.isWoken(child), d.resume(child)]).toEqual([true, SLEEPS]);
    d.call(1, OP.OP_KILL, child, S.SIGUSR1);
    expect(d.resume(child)).toBe(128);
  });

  it('changes its set, and fails in order: size, address, flags, descriptor, room', () => {
    const fd = make(USR);
    expect(make(bit(S.SIGHUP), 0, fd)).toBe(fd);
    expect(d.mem(1, OP.OP_SIGNALFD4, [99, USER, 4, 1], 8)).toBe(-E.EINVAL);
    expect(d.fault(1, OP.OP_SIGNALFD4, 99, USER, 8, 1)).toBe(-E.EFAULT);
    expect([make(0n, 1, 99), make(0n, 0, 99), make(0n, 0, 0)]).toEqual([
      -E.EINVAL,
      -E.EBADF,
      -E.EINVAL,
    ]);
    expect(d.mem(1, OP.OP_READ, [fd, USER, 127], 128)).toBe(-E.EINVAL);
    expect(d.mem(1, OP.OP_SIGNALFD, [-1, USER, 8], 8)).toBe(4);
    block(USR);
    d.call(1, OP.OP_KILL, 1, S.SIGUSR1);
    make(USR, 0, fd);
    expect(d.fault(1, OP.OP_READ, fd, USER, 128)).toBe(-E.EFAULT);
    expect(poll(fd)).toBe(O.POLLIN);
  });
});

describe('inotify', () => {
  const make = (flags = 0): number => d.call(1, OP.OP_INOTIFY_INIT1, flags);
  /** A watch on what the world calls number `inode` (0: it does not say). */
  const watch = (fd: number, inode: number, mask: number, errno = 0): number => {
    const frame = d.k.frame.begin(1, 0, OP.OP_INOTIFY_ADD_WATCH);
    frame.setArg(0, fd).setArg(1, 0x5000).setArg(2, mask);
    if (inode) frame.assistFile(0, inode);
    if (errno) frame.assistErrno(errno);
    d.k.trap();
    return frame.result;
  };
  const remove = (fd: number, wd: number): number => d.call(1, OP.OP_INOTIFY_RM_WATCH, fd, wd);

  it('numbers its watches, one for each file, and no number twice', () => {
    const fd = make();
    expect([watch(fd, 7, N.IN_OPEN), watch(fd, 8, N.IN_OPEN), watch(fd, 0, N.IN_OPEN)]).toEqual([
      1, 2, 3,
    ]);
    expect([watch(fd, 7, N.IN_CREATE), watch(fd, 0, N.IN_OPEN)]).toEqual([1, 4]);
    expect(watch(fd, 8, N.IN_CREATE | N.IN_MASK_CREATE)).toBe(-E.EEXIST);
    expect([remove(fd, 1), remove(fd, 1), watch(fd, 7, N.IN_OPEN)]).toEqual([0, -E.EINVAL, 5]);
    expect(watch(make(), 7, N.IN_OPEN)).toBe(1);
  });

  it('fails in order: mask, descriptor, what the world says', () => {
    const fd = make();
    expect(watch(99, 1, 0)).toBe(-E.EINVAL);
    expect(watch(99, 1, N.IN_MASK_ADD | N.IN_MASK_CREATE)).toBe(-E.EINVAL);
    expect(watch(99, 1, N.IN_OPEN)).toBe(-E.EBADF);
    expect(watch(0, 1, N.IN_OPEN)).toBe(-E.EINVAL);
    expect(watch(fd, 1, N.IN_OPEN, E.ENOENT)).toBe(-E.ENOENT);
    expect([remove(99, 1), remove(0, 1)]).toEqual([-E.EBADF, -E.EINVAL]);
    expect([make(1), d.call(1, OP.OP_INOTIFY_INIT)]).toEqual([-E.EINVAL, 4]);
    expect(add(fd, 1n)).toBe(-E.EBADF);
  });

  it('is ready when the host says so', () => {
    const fd = make();
    const child = d.fork();
    const file = d.k.file(1, fd)!;
    expect(d.mem(child, OP.OP_POLL, [USER, 1, -1], words(fd, O.POLLIN))).toBe(SLEEPS);
    d.k.fileEvent(file, FILE_EVENT_QUEUED, 32);
    expect([d.resume(child), poll(fd)]).toEqual([1, O.POLLIN]);
    expect(d.mem(1, OP.OP_IOCTL, [fd, N.FIONREAD, USER], 4)).toBe(0);
    expect(d.word(0)).toBe(32);
    d.k.fileEvent(file, FILE_EVENT_QUEUED, 0);
    expect(poll(fd)).toBe(0);
  });
});
