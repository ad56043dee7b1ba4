// Protects: epoll: items and their errors, level, edge and one-shot, nesting and its limits, items
// that go with their file, exclusive wake-ups; waiting with timeouts and masks.
import { beforeEach, describe, expect, it } from 'vitest';
import * as N from '../../../assembly/uapi/epoll.ts';
import * as E from '../../../assembly/uapi/errno.ts';
import { FILE_EVENT_READY } from '../../../assembly/uapi/frame.ts';
import * as OP from '../../../assembly/uapi/op.ts';
import * as S from '../../../assembly/uapi/signal.ts';
import { type Driver, driver, longs, SLEEPS, USER } from '../kernel/driver.ts';

const AT = 0x9000;
const IN = N.EPOLLIN;

let d: Driver;
beforeEach(async () => {
  d = await driver();
  return () => expect(d.k.check()).toEqual([]);
});

const create = (): number => d.call(1, OP.OP_EPOLL_CREATE1, 0);
function pipe(flags = 0): [number, number] {
  expect(d.mem(1, OP.OP_PIPE2, [USER, flags], 8)).toBe(0);
  return [d.word(0), d.word(1)];
}
const write = (fd: number, n: number): number => d.call(1, OP.OP_WRITE, fd, AT, n);
const read = (fd: number, n: number): number => d.call(1, OP.OP_READ, fd, AT, n);
const close = (fd: number): number => d.call(1, OP.OP_CLOSE, fd);
function event(events: number, data: number): Uint8Array {
  const bytes = new Uint8Array(12);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, events >>> 0, true);
  view.setBigUint64(4, BigInt(data), true);
  return bytes;
}
const ctl = (ep: number, op: number, fd: number, events = IN, data = fd): number =>
  d.mem(1, OP.OP_EPOLL_CTL, [ep, op, fd, USER], event(events, data));
const add = (ep: number, fd: number, events = IN, data = fd): number =>
  ctl(ep, N.EPOLL_CTL_ADD, fd, events, data);
/** What is ready: [data, events] each. */
function ready(ep: number, max = 8): number[][] {
  const n = d.mem(1, OP.OP_EPOLL_WAIT, [ep, USER, max, 0], max * 12);
  const view = new DataView(d.out.buffer, d.out.byteOffset);
  return Array.from({ length: n }, (_, i) => [
    Number(view.getBigUint64(i * 12 + 4, true)),
    view.getUint32(i * 12, true),
  ]);
}
const wait = (ep: number, timeout: number, tid = 1): number =>
  d.mem(tid, OP.OP_EPOLL_WAIT, [ep, USER, 4, timeout], 48);

describe('epoll_create', () => {
  it('wants a positive size, or known flags', () => {
    expect(d.call(1, OP.OP_EPOLL_CREATE, 0)).toBe(-E.EINVAL);
    expect(d.call(1, OP.OP_EPOLL_CREATE1, 1)).toBe(-E.EINVAL);
    expect([d.call(1, OP.OP_EPOLL_CREATE, 1), create()]).toEqual([3, 4]);
    expect(d.call(1, OP.OP_EPOLL_CREATE1, N.EPOLL_CLOEXEC)).toBe(5);
    expect(d.k.fds(1)[5]).toMatchObject({ kind: 'epoll', cloexec: true });
    expect([read(3, 1), write(3, 1)]).toEqual([-E.EINVAL, -E.EINVAL]);
  });
});

describe('epoll_ctl', () => {
  it('fails in this order: memory, descriptors, unwatchable, itself, what is there', () => {
    const ep = create();
    const [r, w] = pipe();
    expect(d.fault(1, OP.OP_EPOLL_CTL, 99, N.EPOLL_CTL_ADD, 98, USER)).toBe(-E.EFAULT);
    expect([add(99, 98), add(ep, 98)]).toEqual([-E.EBADF, -E.EBADF]);
    expect([add(r, 0), add(r, w), add(ep, ep)]).toEqual([-E.EPERM, -E.EINVAL, -E.EINVAL]);
    expect(ctl(ep, 9, r)).toBe(-E.EINVAL);
    expect([add(ep, r), add(ep, r)]).toEqual([0, -E.EEXIST]);
    expect(ctl(ep, N.EPOLL_CTL_MOD, w)).toBe(-E.ENOENT);
    expect(d.call(1, OP.OP_EPOLL_CTL, ep, N.EPOLL_CTL_DEL, w, 0)).toBe(-E.ENOENT);
    expect(d.call(1, OP.OP_EPOLL_CTL, ep, N.EPOLL_CTL_DEL, r, 0)).toBe(0);
    expect(add(ep, r)).toBe(0);
  });

  it('one file may be watched by several descriptors', () => {
    const ep = create();
    const [r, w] = pipe();
    const copy = d.call(1, OP.OP_DUP, r);
    expect([add(ep, r), add(ep, copy)]).toEqual([0, 0]);
    write(w, 1);
    expect(ready(ep).map(([data]) => data)).toEqual([copy, r]);
  });

  it('an exclusive item is not changed, and watches no epoll file', () => {
    const ep = create();
    const [r] = pipe();
    const exclusive = N.EPOLLEXCLUSIVE | IN;
    expect(add(ep, r, exclusive | N.EPOLLONESHOT)).toBe(-E.EINVAL);
    expect(add(ep, create(), exclusive)).toBe(-E.EINVAL);
    expect(add(ep, r, exclusive)).toBe(0);
    expect(ctl(ep, N.EPOLL_CTL_MOD, r, exclusive)).toBe(-E.EINVAL);
    expect(ctl(ep, N.EPOLL_CTL_MOD, r)).toBe(-E.EINVAL);
  });

  it('items go with the open file, not with the descriptor', () => {
    const ep = create();
    const [r, w] = pipe();
    add(ep, r, IN, 7);
    const copy = d.call(1, OP.OP_DUP, r);
    close(r);
    write(w, 1);
    expect(ready(ep)).toEqual([[7, IN]]);
    close(copy);
    expect(ready(ep)).toEqual([]);
    expect(d.k.counts().epollItems).toBe(0);
  });
});

describe('what is ready', () => {
  it('is told as long as it is so', () => {
    const ep = create();
    const [r, w] = pipe();
    add(ep, r);
    add(ep, w, N.EPOLLOUT);
    write(w, 3);
    expect(ready(ep)).toEqual([
      [w, N.EPOLLOUT],
      [r, IN],
    ]);
    expect(ready(ep, 1)).toEqual([[w, N.EPOLLOUT]]);
    // fairly: who was told last comes last
    expect(ready(ep, 1)).toEqual([[r, IN]]);
    read(r, 9);
    expect(ready(ep)).toEqual([[w, N.EPOLLOUT]]);
    close(w);
    expect(ready(ep)).toEqual([[r, N.EPOLLHUP]]);
  });

  it('is told once for each event with EPOLLET', () => {
    const ep = create();
    const [r, w] = pipe();
    write(w, 1);
    add(ep, r, IN | N.EPOLLET);
    expect([ready(ep), ready(ep)]).toEqual([[[r, IN]], []]);
    write(w, 1);
    expect([ready(ep), ready(ep)]).toEqual([[[r, IN]], []]);
    ctl(ep, N.EPOLL_CTL_MOD, r, IN | N.EPOLLET);
    expect(ready(ep)).toEqual([[r, IN]]);
  });

  it('is told once at all with EPOLLONESHOT, until it is asked for again', () => {
    const ep = create();
    const [r, w] = pipe();
    add(ep, r, IN | N.EPOLLONESHOT);
    write(w, 1);
    expect([ready(ep), ready(ep)]).toEqual([[[r, IN]], []]);
    write(w, 1);
    close(w);
    expect(ready(ep)).toEqual([]);
    ctl(ep, N.EPOLL_CTL_MOD, r, IN);
    expect(ready(ep)).toEqual([[r, IN | N.EPOLLHUP]]);
  });

  it('of a file of the world is what the host says', () => {
    const ep = create();
    d.k.frame.begin(1, 0, OP.OP_WORLD_FD).assistRet(0);
    d.k.trap();
    const fd = d.k.frame.result;
    const file = d.k.file(1, fd)!;
    d.k.fileEvent(file, FILE_EVENT_READY, 0);
    add(ep, fd, IN | N.EPOLLET);
    expect(ready(ep)).toEqual([]);
    d.k.fileEvent(file, FILE_EVENT_READY, IN);
    expect([ready(ep), ready(ep)]).toEqual([[[fd, IN]], []]);
    const frame = d.k.frame.begin(1, 0, OP.OP_EPOLL_CTL).assistErrno(E.EPERM);
    frame.setArg(0, ep).setArg(1, N.EPOLL_CTL_MOD).setArg(2, fd).setArg(3, USER);
    frame.window(USER, event(IN, 1), 'r');
    d.k.trap();
    expect(frame.result).toBe(-E.EPERM);
  });
});

describe('epoll files that watch epoll files', () => {
  it('are ready when something in them is', () => {
    const [outer, inner] = [create(), create()];
    const [r, w] = pipe();
    add(outer, inner);
    add(inner, r);
    expect(ready(outer)).toEqual([]);
    const child = d.fork();
    expect(wait(outer, -1, child)).toBe(SLEEPS);
    write(w, 1);
    expect(d.resume(child)).toBe(1);
    expect(ready(outer)).toEqual([[inner, IN]]);
    read(r, 1);
    expect(ready(outer)).toEqual([]);
  });

  it('form no circle, and no chain of more than five', () => {
    const eps = Array.from({ length: 7 }, create);
    for (let i = 1; i < 5; ++i) expect(add(eps[i]!, eps[i - 1]!)).toBe(0);
    expect(add(eps[5]!, eps[4]!)).toBe(-E.ELOOP);
    expect(add(eps[0]!, eps[4]!)).toBe(-E.ELOOP);
    expect(add(eps[0]!, eps[0]!)).toBe(-E.EINVAL);
    expect(add(eps[0]!, eps[6]!)).toBe(-E.ELOOP);
    expect(add(eps[6]!, eps[3]!)).toBe(0);
    expect(add(eps[0]!, pipe()[0])).toBe(0);
  });

  it('are not watched over too many ways', () => {
    const [r] = pipe();
    const inner = create();
    expect(add(inner, r)).toBe(0);
    d.mem(1, OP.OP_PRLIMIT64, [0, 7, USER, 0], longs(2000, 2000));
    let n = 0;
    while (n < 600 && add(create(), inner) === 0) n += 1;
    expect(n).toBe(500);
    expect(add(create(), inner)).toBe(-E.EINVAL);
  });
});

describe('waiting', () => {
  it('fails in this order: descriptor, number of events, kind, memory', () => {
    const ep = create();
    const [r, w] = pipe();
    expect(d.mem(1, OP.OP_EPOLL_WAIT, [99, USER, 0, 0], 12)).toBe(-E.EBADF);
    expect(d.mem(1, OP.OP_EPOLL_WAIT, [r, USER, 0, 0], 12)).toBe(-E.EINVAL);
    expect(d.mem(1, OP.OP_EPOLL_WAIT, [ep, USER, -1, 0], 12)).toBe(-E.EINVAL);
    expect(d.mem(1, OP.OP_EPOLL_WAIT, [r, USER, 1, 0], 12)).toBe(-E.EINVAL);
    expect(d.fault(1, OP.OP_EPOLL_WAIT, ep, USER, 1, 0)).toBe(0);
    add(ep, r);
    write(w, 1);
    expect(d.fault(1, OP.OP_EPOLL_WAIT, ep, USER, 1, 0)).toBe(-E.EFAULT);
    expect(ready(ep)).toEqual([[r, IN]]);
  });

  it('ends by an event, a signal, the clock, or the host', () => {
    const ep = create();
    const [r, w] = pipe();
    add(ep, r);
    const child = d.fork();
    expect(wait(ep, -1, child)).toBe(SLEEPS);
    expect(d.k.expire(child)).toBe(false);
    write(w, 1);
    expect(d.resume(child)).toBe(1);
    read(r, 1);
    expect(wait(ep, -1, child)).toBe(SLEEPS);
    d.call(1, OP.OP_KILL, child, S.SIGUSR1);
    expect(d.resume(child)).toBe(-E.EINTR);
    const other = d.fork();
    d.k.clockSet(1_000_000n);
    expect(wait(ep, 5, other)).toBe(SLEEPS);
    d.k.clockSet(5_999_999n);
    expect(d.k.isWoken(other)).toBe(false);
    d.k.clockSet(6_000_000n);
    expect([d.k.isWoken(other), d.resume(other)]).toEqual([true, 0]);
    expect(wait(ep, 5, other)).toBe(SLEEPS);
    expect([d.k.expire(other), d.resume(other)]).toEqual([true, 0]);
  });

  it('wakes one of several exclusive waiters, all of the others', () => {
    const [r, w] = pipe();
    const sleepers = [0, 1, 2].map(() => {
      const ep = create();
      expect(add(ep, r, IN | N.EPOLLEXCLUSIVE)).toBe(0);
      const child = d.fork();
      expect(wait(ep, -1, child)).toBe(SLEEPS);
      return child;
    });
    const plain = create();
    add(plain, r);
    const other = d.fork();
    expect(wait(plain, -1, other)).toBe(SLEEPS);
    write(w, 1);
    expect(d.k.woken()).toEqual([other, sleepers[0]]);
  });

  it('has a mask of its own while it lasts', () => {
    const ep = create();
    const child = d.fork();
    const mask = (): bigint => d.k.task(child)!.blocked;
    d.mem(child, OP.OP_RT_SIGPROCMASK, [S.SIG_SETMASK, USER, 0, 8], longs(0x200));
    const pwait = (bits: number, size = 8): number =>
      d.mem(
        child,
        OP.OP_EPOLL_PWAIT,
        [ep, USER + 64, 1, 9, USER, size],
        longs(bits, ...[0, 0, 0, 0, 0, 0, 0, 0, 0]),
      );
    expect(pwait(0, 4)).toBe(-E.EINVAL);
    expect(pwait(0x800)).toBe(SLEEPS);
    expect(mask()).toBe(0x800n);
    d.k.expire(child);
    expect([d.resume(child), mask()]).toEqual([0, 0x200n]);
    expect(pwait(0)).toBe(SLEEPS);
    d.call(1, OP.OP_KILL, child, S.SIGUSR1);
    // until the handler runs, which the mask of the call lets in
    expect([d.resume(child), mask()]).toEqual([-E.EINTR, 0n]);
    const two = d.mem(
      child,
      OP.OP_EPOLL_PWAIT2,
      [ep, USER, 1, USER, 0, 0],
      longs(0, 2_000_000_000),
    );
    expect(two).toBe(-E.EINVAL);
  });
});
