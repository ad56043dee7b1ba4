// Protects: signals of files with O_ASYNC: which events send one, to whom, what it says, and that
// it needs the right to signal. The order of events is that of a recorded program.
import { beforeEach, describe, expect, it } from 'vitest';
import { EAGAIN, ENOTTY } from '../../../assembly/uapi/errno.ts';
import { FIOASYNC } from '../../../assembly/uapi/epoll.ts';
import * as O from '../../../assembly/uapi/fcntl.ts';
import * as OP from '../../../assembly/uapi/op.ts';
import * as N from '../../../assembly/uapi/signal.ts';
import * as K from '../../../assembly/uapi/socket.ts';
import { type Driver, driver, SLEEPS, USER, words } from '../kernel/driver.ts';

const RT = 40;
const HANDLER = 0x1000;
const IN = 0x41;
const OUT = 0x304;
const HUP = 0x18;

let d: Driver;
beforeEach(async () => {
  d = await driver();
  for (const sig of [N.SIGIO, N.SIGUSR1, RT]) handle(1, sig);
  return () => expect(d.k.check()).toEqual([]);
});

function handle(tid: number, sig: number): void {
  d.mem(tid, OP.OP_RT_SIGACTION, [sig, USER, 0, 8], words(HANDLER, 0, 0, 0, 0, 0, 0, 0));
}
const fcntl = (fd: number, cmd: number, arg = 0, tid = 1): number =>
  d.call(tid, OP.OP_FCNTL, fd, cmd, arg);
const write = (fd: number, n: number, tid = 1): number =>
  d.mem(tid, OP.OP_WRITE, [fd, USER, n], new Uint8Array(n));
const read = (fd: number, n: number, tid = 1): number => d.mem(tid, OP.OP_READ, [fd, USER, n], n);
const close = (fd: number, tid = 1): number => d.call(tid, OP.OP_CLOSE, fd);
function pipe(): [number, number] {
  d.mem(1, OP.OP_PIPE2, [USER, 0], 8);
  return [d.word(0), d.word(1)];
}
function pair(type: number): [number, number] {
  d.mem(1, OP.OP_SOCKETPAIR, [K.AF_UNIX, type, 0, USER], 8);
  return [d.word(0), d.word(1)];
}
/** `fd` tells process `owner`, by `sig`. */
function async(fd: number, sig: number, owner = 1, tid = 1): void {
  expect(fcntl(fd, O.F_SETOWN, owner, tid)).toBe(0);
  expect(fcntl(fd, O.F_SETSIG, sig, tid)).toBe(0);
  const flags = fcntl(fd, O.F_GETFL, 0, tid) | O.O_ASYNC | O.O_NONBLOCK;
  expect(fcntl(fd, O.F_SETFL, flags, tid)).toBe(0);
}
/** What `tid` takes: [signal, si_code, si_band, si_fd] each. */
function taken(tid = 1): number[][] {
  const all: number[][] = [];
  for (let step = 0; step < 20; ++step) {
    const { info } = d.k.exitToUser(tid);
    if (!info.signo) return all;
    all.push([info.signo, info.code, info.pid, Number(info.value)]);
    d.call(tid, OP.OP_RT_SIGRETURN);
  }
  return all;
}
const KERNEL = [N.SIGIO, N.SI_KERNEL, 0, 0];

describe('pipes', () => {
  it('tell of every write, of every read, and when the other end is gone', () => {
    const [r, w] = pipe();
    async(r, 0);
    async(w, RT);
    const room = [[RT, N.POLL_OUT, OUT, w]];
    write(w, 3);
    expect(taken()).toEqual([KERNEL]);
    write(w, 3);
    expect(taken()).toEqual([KERNEL]);
    expect(read(r, 1)).toBe(1);
    expect(taken()).toEqual(room);
    expect(read(r, 9)).toBe(5);
    expect(taken()).toEqual(room);
    expect(read(r, 9)).toBe(-EAGAIN);
    expect(taken()).toEqual(room);
    expect(read(r, 0)).toBe(0);
    const copy = d.call(1, OP.OP_DUP, w);
    close(w);
    expect(taken()).toEqual([]);
    close(copy);
    expect(taken()).toEqual([KERNEL]);
  });

  it('tell of the last reader', () => {
    const [r, w] = pipe();
    async(w, RT);
    close(r);
    expect(taken()).toEqual([[RT, N.POLL_OUT, OUT, w]]);
  });

  it('tell of nothing once O_ASYNC is off', () => {
    const [r, w] = pipe();
    const set = (on: number): number => d.mem(1, OP.OP_IOCTL, [r, FIOASYNC, USER], words(on));
    fcntl(r, O.F_SETOWN, 1);
    expect(set(1)).toBe(0);
    write(w, 1);
    expect(taken()).toEqual([KERNEL]);
    expect([set(0), fcntl(r, O.F_GETFL)]).toEqual([0, 0]);
    write(w, 1);
    expect(taken()).toEqual([]);
  });

  it('queue each signal of a number that queues; one without F_SETSIG is pending once', () => {
    const [r, w] = pipe();
    async(r, RT);
    for (let i = 0; i < 3; ++i) write(w, 1);
    expect(taken()).toHaveLength(3);
    fcntl(r, O.F_SETSIG, 0);
    for (let i = 0; i < 3; ++i) write(w, 1);
    expect(taken()).toEqual([KERNEL]);
  });

  it('fall back to SIGIO when the queue is full', () => {
    const [r, w] = pipe();
    async(r, RT);
    d.mem(1, OP.OP_PRLIMIT64, [0, 11, USER, 0], words(1, 0, 100, 0));
    write(w, 1);
    write(w, 1);
    expect(taken()).toEqual([KERNEL, [RT, N.POLL_IN, IN, r]]);
  });
});

describe('sockets', () => {
  for (const [name, type] of [
    ['streams', K.SOCK_STREAM],
    ['sequenced packets', K.SOCK_SEQPACKET],
    ['datagrams', K.SOCK_DGRAM],
  ] as const) {
    it(`${name}: data, room after there was none, the end`, () => {
      const [a, b] = pair(type);
      const connected = type !== K.SOCK_DGRAM;
      async(a, RT);
      write(b, 3);
      expect(taken()).toEqual([[RT, N.POLL_IN, IN, a]]);
      expect(read(a, 9)).toBe(3);
      expect(read(a, 9)).toBe(-EAGAIN);
      expect(taken()).toEqual([]);
      let n = 0;
      while (write(a, 5000) > 0) n += 1;
      expect([n > 0, taken()]).toEqual([true, []]);
      for (let i = 0; i < n; ++i) read(b, 5000);
      expect(taken()).toEqual([[RT, N.POLL_OUT, OUT, a]]);
      d.call(1, OP.OP_SHUTDOWN, b, 1);
      expect(taken()).toEqual(connected ? [[RT, N.POLL_IN, IN, a]] : []);
      d.call(1, OP.OP_SHUTDOWN, b, 0);
      expect(taken()).toEqual([]);
      close(b);
      expect(taken()).toEqual(connected ? [[RT, N.POLL_HUP, HUP, a]] : []);
    });
  }

  it('a stream that somebody reads from tells of nothing', () => {
    const [a, b] = pair(K.SOCK_STREAM);
    const reader = d.fork();
    async(a, RT);
    fcntl(a, O.F_SETFL, O.O_RDWR | O.O_ASYNC);
    expect(read(a, 5, reader)).toBe(SLEEPS);
    write(b, 3);
    expect(taken()).toEqual([]);
    expect(d.resume(reader)).toBe(3);
  });
});

describe('owners', () => {
  it('die of SIGIO by default', () => {
    const [r, w] = pipe();
    const child = d.fork();
    d.mem(child, OP.OP_RT_SIGACTION, [N.SIGIO, USER, 0, 8], words(0, 0, 0, 0, 0, 0, 0, 0));
    async(r, 0, child);
    write(w, 1);
    d.k.runPending();
    expect(d.wait(1)).toBe(child);
  });

  it('are groups by a negative number', () => {
    const [r, w] = pipe();
    const first = d.fork();
    d.call(first, OP.OP_SETPGID, 0, 0);
    const second = d.fork(first);
    async(r, RT, -first);
    write(w, 1);
    const told = [[RT, N.POLL_IN, IN, r]];
    expect([taken(1), taken(first), taken(second)]).toEqual([[], told, told]);
  });

  it('are told only where whoever set them may', () => {
    const [r, w] = pipe();
    const other = d.unprivileged(1000);
    async(r, RT, 1, other);
    write(w, 1);
    expect(taken()).toEqual([]);
    async(r, RT, other, other);
    write(w, 1);
    expect(taken(other)).toEqual([[RT, N.POLL_IN, IN, r]]);
    d.call(other, OP.OP_SETPGID, 0, 0);
    fcntl(r, O.F_SETOWN, 1);
    write(w, 1);
    expect(taken()).toEqual([[RT, N.POLL_IN, IN, r]]);
  });

  it('that are gone are told nothing', () => {
    const [r, w] = pipe();
    const child = d.fork();
    async(r, RT, child);
    d.exit(child);
    expect(d.wait(1)).toBe(child);
    expect(fcntl(r, O.F_GETOWN)).toBe(0);
    write(w, 1);
    expect(taken()).toEqual([]);
  });

  it('say SI_SIGIO by a signal whose codes mean something else', () => {
    const [r, w] = pipe();
    handle(1, N.SIGCHLD);
    async(r, N.SIGCHLD);
    write(w, 1);
    expect(taken()).toEqual([[N.SIGCHLD, N.SI_SIGIO, IN, r]]);
  });
});

it('what cannot tell says so to FIOASYNC', () => {
  const counter = d.call(1, OP.OP_EVENTFD2, 0, 0);
  expect(d.mem(1, OP.OP_IOCTL, [counter, FIOASYNC, USER], words(1))).toBe(-ENOTTY);
});

it('a signalfd shows which file it was', () => {
  const [r, w] = pipe();
  d.mem(1, OP.OP_RT_SIGPROCMASK, [0, USER, 0, 8], words(0, 1 << (RT - 33)));
  const fd = d.mem(1, OP.OP_SIGNALFD4, [-1, USER, 8, 0], words(0, 1 << (RT - 33)));
  async(r, RT);
  write(w, 1);
  expect(read(fd, 128)).toBe(128);
  expect([d.word(0), d.word(2), d.word(5), d.word(7)]).toEqual([RT, N.POLL_IN, r, IN]);
});
