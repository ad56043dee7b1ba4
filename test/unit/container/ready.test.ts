// Protects: a container's descriptor where many are watched (select, epoll), and where it travels:
// both readiness bits, and what counts as open.
import { beforeEach, describe, expect, it } from 'vitest';
import * as U from '../../../assembly/uapi/container.ts';
import * as N from '../../../assembly/uapi/epoll.ts';
import * as E from '../../../assembly/uapi/errno.ts';
import * as OP from '../../../assembly/uapi/op.ts';
import * as K from '../../../assembly/uapi/socket.ts';
import { fine, GONE, type Machine, machine, SLEEPS, USER, words } from './machine.ts';

let m: Machine;
let fd: number;
beforeEach(async () => {
  m = await machine();
  fd = m.create(1, 'box');
  return () => expect(m.k.check()).toEqual([]);
});

const DEAD = N.EPOLLIN | N.EPOLLHUP;
const GONE_TOO = N.EPOLLRDHUP;

function watch(ep: number, at: number, events: number, op = N.EPOLL_CTL_ADD) {
  const memory = new Uint8Array(12);
  new DataView(memory.buffer).setUint32(0, events >>> 0, true);
  return m.call(1, OP.OP_EPOLL_CTL, [ep, op, at, USER], memory);
}
/** Events of the one watched descriptor; 0: not ready. */
function ready(ep: number, timeout = 0): number | string {
  const n = m.call(1, OP.OP_EPOLL_WAIT, [ep, USER, 4, timeout], 48);
  return n === 1 ? m.word(0) : n;
}
const epoll = (): number => fine(m.call(1, OP.OP_EPOLL_CREATE1, [0]));

describe('epoll', () => {
  // spec: epoll of a container
  it('tells of the end of init, and of the last member to whom it asks', () => {
    const [ends, empty] = [epoll(), epoll()];
    expect([watch(ends, fd, N.EPOLLIN), watch(empty, fd, N.EPOLLRDHUP)]).toEqual([0, 0]);
    const init = m.enter(1, fd);
    const member = m.enter(1, fd);
    expect([ready(ends), ready(empty)]).toEqual([0, 0]);
    m.exit(init, 3);
    // level: as often as one asks; EPOLLHUP is told to everybody
    expect([ready(ends), ready(ends), ready(empty)]).toEqual([DEAD, DEAD, N.EPOLLHUP]);
    m.k.runPending();
    expect(m.state(member)).toBe('Z');
    expect([ready(ends), ready(empty)]).toEqual([DEAD, N.EPOLLHUP | GONE_TOO]);
  });

  it('wakes a sleeper, once for each change at an edge', () => {
    const ep = epoll();
    watch(ep, fd, N.EPOLLIN | N.EPOLLRDHUP | N.EPOLLET);
    const init = m.enter(1, fd);
    const member = m.enter(1, fd);
    expect(ready(ep, -1)).toBe(SLEEPS);
    m.exit(init);
    expect(m.k.woken()).toEqual([1]);
    expect(m.resume(1)).toBe(1);
    expect(ready(ep)).toBe(0);
    m.k.runPending();
    expect(m.state(member)).toBe('Z');
    expect(ready(ep)).toBe(DEAD | GONE_TOO);
    expect(ready(ep)).toBe(0);
  });

  it('forgets the container with its last descriptor', () => {
    const ep = epoll();
    watch(ep, fd, N.EPOLLIN);
    const copy = fine(m.call(1, OP.OP_DUP, [fd]));
    m.close(1, fd);
    expect(m.container('box')).toBeDefined();
    m.close(1, copy);
    expect([m.container('box'), ready(ep)]).toEqual([undefined, 0]);
  });
});

describe('select', () => {
  const select = (sets: [number, number, number], timeout = true) => {
    const memory = new Uint8Array(64);
    sets.forEach((bits, i) => (memory[i * 16] = bits));
    const args = [fd + 1, USER, USER + 16, USER + 32, timeout ? USER + 48 : 0];
    const n = m.call(1, OP.OP_SELECT, args, memory);
    return [n, ...[0, 1, 2].map((i) => m.out[i * 16])];
  };

  // spec: select of a container
  it('has a dead container readable, and neither writable nor exceptional', () => {
    const bit = 1 << fd;
    expect(select([bit, bit, bit])).toEqual([0, 0, 0, 0]);
    const init = m.enter(1, fd);
    m.exit(init);
    expect(select([bit, bit, bit])).toEqual([1, bit, 0, 0]);
  });

  it('sleeps until then', () => {
    const init = m.enter(1, fd);
    expect(select([1 << fd, 0, 0], false)[0]).toBe(SLEEPS);
    m.exit(init);
    expect([m.k.woken(), m.resume(1)]).toEqual([[1], 1]);
  });
});

describe('a descriptor that is passed on', () => {
  const CONTROL = 24;
  const header = (passed: number): Uint8Array => {
    const memory = new Uint8Array(128);
    const view = new DataView(memory.buffer);
    const longs = [0, 0, USER + 64, 1, USER + 88, CONTROL, 0, 0, USER + 80, 1, 0, 20];
    longs.forEach((long, i) => view.setBigUint64(i * 8, BigInt(long), true));
    memory.set(words(K.SOL_SOCKET, K.SCM_RIGHTS, passed), 96);
    return memory;
  };

  // spec: passing a container's descriptor; CONTAINER_KILL_ON_CLOSE
  it('is the same open file; on its way it keeps the container open', () => {
    const kill = m.create(1, 'kill', U.CONTAINER_KILL_ON_CLOSE | U.CONTAINER_FD_CLOEXEC);
    m.call(1, OP.OP_SOCKETPAIR, [K.AF_UNIX, K.SOCK_DGRAM, 0, USER], 8);
    const [a, b] = [m.word(0), m.word(1)];
    const other = m.fork(1);
    const member = m.enter(1, kill);
    m.close(member, kill);
    m.close(other, kill);
    expect(m.call(1, OP.OP_SENDMSG, [a, USER, 0], header(kill))).toBe(1);
    m.close(1, kill);
    expect(m.k.diesNext(member)).toBe(null);
    expect(m.call(other, OP.OP_RECVMSG, [b, USER, 0], header(0))).toBe(1);
    const link = `container:[${m.container('kill')!.id}]`;
    const got = m.k.fds(other).find((at) => at.link === link)!;
    expect(got).toMatchObject({ fd: kill, cloexec: false });
    expect(m.containerWait(other, got.fd, 1)).toBe(0);
    m.close(other, got.fd);
    expect(m.k.diesNext(member)).toEqual({ kind: 'signal', value: 9 });
  });

  it('that nobody takes is closed with the socket', () => {
    const kill = m.create(1, 'kill', U.CONTAINER_KILL_ON_CLOSE);
    m.call(1, OP.OP_SOCKETPAIR, [K.AF_UNIX, K.SOCK_DGRAM, 0, USER], 8);
    const [a, b] = [m.word(0), m.word(1)];
    m.call(1, OP.OP_SENDMSG, [a, USER, 0], header(kill));
    m.close(1, kill);
    expect(m.container('kill')).toBeDefined();
    m.close(1, b);
    expect(m.container('kill')).toBeUndefined();
    expect(m.close(1, a)).toBe(0);
  });

  it('gives no right that its receiver has not', () => {
    const user = m.user(1000);
    expect(m.tryEnter(user, fd)).toBe(-E.EPERM);
    expect(m.containerWait(user, fd)).toBe(-E.EPERM);
    expect(m.poll(user, fd, N.EPOLLIN)).toBe(0);
    expect(m.exit(user)).toBe(GONE);
  });
});
