// Protects: pairs of unix sockets: streams and messages, shutting down, files and credentials that
// travel, what becomes of files that only messages refer to, and errnos in Linux's order.
import { beforeEach, describe, expect, it } from 'vitest';
import * as E from '../../../assembly/uapi/errno.ts';
import * as O from '../../../assembly/uapi/fcntl.ts';
import * as OP from '../../../assembly/uapi/op.ts';
import * as C from '../../../assembly/uapi/sched.ts';
import * as N from '../../../assembly/uapi/signal.ts';
import * as K from '../../../assembly/uapi/socket.ts';
import { type Driver, driver, longs, SLEEPS, USER, words } from '../kernel/driver.ts';

const AT = 0x9000;
const CONTROL = USER + 256;

let d: Driver;
beforeEach(async () => {
  d = await driver();
  return () => expect(d.k.check()).toEqual([]);
});

function pair(type = K.SOCK_STREAM, tid = 1): [number, number] {
  expect(d.mem(tid, OP.OP_SOCKETPAIR, [K.AF_UNIX, type, 0, USER], 8)).toBe(0);
  return [d.word(0), d.word(1)];
}
const read = (fd: number, n: number, tid = 1): number => d.call(tid, OP.OP_READ, fd, AT, n);
const write = (fd: number, n: number, tid = 1): number => d.call(tid, OP.OP_WRITE, fd, AT, n);
const close = (fd: number, tid = 1): number => d.call(tid, OP.OP_CLOSE, fd);
const poll = (fd: number): number => {
  const all = O.POLLIN | O.POLLOUT | O.POLLRDHUP;
  return d.mem(1, OP.OP_POLL, [USER, 1, 0], words(fd, all)) ? d.word(1) >>> 16 : 0;
};

/** struct msghdr at USER, its one buffer of `bytes` at USER + 64, control at USER + 256. */
function header(bytes: number, control: Uint8Array): Uint8Array {
  const memory = new Uint8Array(256 + Math.max(control.length, 8));
  const room = control.length;
  memory.set(longs(0, 0, USER + 64, 1, room ? CONTROL : 0, room, 0));
  memory.set(longs(AT, bytes), 64);
  memory.set(control, 256);
  return memory;
}
function cmsg(type: number, ...data: number[]): Uint8Array {
  const length = 16 + data.length * 4;
  const out = new Uint8Array((length + 7) & ~7);
  out.set(longs(length));
  out.set(words(K.SOL_SOCKET, type, ...data), 8);
  return out;
}
const rights = (...fds: number[]): Uint8Array => cmsg(K.SCM_RIGHTS, ...fds);
const sendmsg = (
  fd: number,
  bytes: number,
  control: Uint8Array = new Uint8Array(),
  tid = 1,
  flags = 0,
) => d.mem(tid, OP.OP_SENDMSG, [fd, USER, flags], header(bytes, control));

interface Received {
  n: number;
  flags: number;
  controllen: number;
  /** type, then the words behind it */
  messages: number[][];
}
function recvmsg(fd: number, bytes: number, room = 128, tid = 1, flags = 0): Received {
  const n = d.mem(tid, OP.OP_RECVMSG, [fd, USER, flags], header(bytes, new Uint8Array(room)));
  if (n < 0) return { n, flags: 0, controllen: 0, messages: [] };
  const view = new DataView(d.out.buffer, d.out.byteOffset);
  const controllen = Number(view.getBigUint64(40, true));
  const messages: number[][] = [];
  for (let at = 256; at + 16 <= 256 + controllen;) {
    const length = Number(view.getBigUint64(at, true));
    const words = [view.getInt32(at + 12, true)];
    for (let i = 16; i < length; i += 4) words.push(view.getInt32(at + i, true));
    messages.push(words);
    at += (length + 7) & ~7;
  }
  return { n, flags: view.getUint32(48, true), controllen, messages };
}

describe('socketpair', () => {
  const make = (...args: number[]): number => d.mem(1, OP.OP_SOCKETPAIR, [...args, USER], 8);

  it('fails in this order: flags, address, numbers, family, type, protocol', () => {
    expect(make(99, 1 | 0x10, 9)).toBe(-E.EINVAL);
    expect(make(K.AF_MAX, 99, 9)).toBe(-E.EINVAL);
    expect(make(K.AF_MAX, 1, 9)).toBe(-E.EAFNOSUPPORT);
    expect(make(K.AF_INET, 1, 0)).toBe(-E.EOPNOTSUPP);
    expect(make(K.AF_UNIX, 12, 0)).toBe(-E.EINVAL);
    expect(make(K.AF_UNIX, 1, 7)).toBe(-E.EPROTONOSUPPORT);
    expect(make(K.AF_UNIX, 4, 0)).toBe(-E.ESOCKTNOSUPPORT);
    expect(d.fault(1, OP.OP_SOCKETPAIR, K.AF_UNIX, 1, 0, USER)).toBe(-E.EFAULT);
    d.mem(1, OP.OP_PRLIMIT64, [0, 7, USER, 0], longs(4, 4));
    expect(make(K.AF_MAX, 1, 0)).toBe(-E.EMFILE);
    expect(d.k.fds(1)).toHaveLength(3);
  });

  it('takes SOCK_CLOEXEC and SOCK_NONBLOCK, and raw for datagrams', () => {
    const [a] = pair(K.SOCK_STREAM | K.SOCK_CLOEXEC | K.SOCK_NONBLOCK);
    expect(d.k.fds(1)[a]).toMatchObject({ kind: 'socket', cloexec: true });
    expect(d.call(1, OP.OP_FCNTL, a, O.F_GETFL)).toBe(O.O_RDWR | O.O_NONBLOCK);
    const [raw] = pair(K.SOCK_RAW);
    const type = d.mem(1, OP.OP_GETSOCKOPT, [raw, 1, K.SO_TYPE, USER, USER + 8], words(0, 0, 4));
    expect([type, d.word(0)]).toEqual([0, K.SOCK_DGRAM]);
  });
});

describe('streams', () => {
  it('carry bytes both ways, across the writes', () => {
    const [a, b] = pair();
    expect([write(a, 5), write(a, 7), read(b, 100), write(b, 3), read(a, 2)]).toEqual([
      5, 7, 12, 3, 2,
    ]);
    expect(d.mem(1, OP.OP_IOCTL, [a, 0x541b, USER], 4)).toBe(0);
    expect(d.word(0)).toBe(1);
  });

  it('sleep without data, and go on when it comes', () => {
    const [a, b] = pair();
    const child = d.fork();
    expect(read(a, 5, child)).toBe(SLEEPS);
    write(b, 2);
    expect(d.resume(child)).toBe(2);
    expect(d.call(1, OP.OP_RECVFROM, a, AT, 5, K.MSG_DONTWAIT, 0, 0)).toBe(-E.EAGAIN);
    expect(d.call(child, OP.OP_RECVFROM, a, AT, 5, K.MSG_WAITALL, 0, 0)).toBe(SLEEPS);
    write(b, 2);
    expect(d.resume(child)).toBe(SLEEPS);
    write(b, 9);
    expect(d.resume(child)).toBe(5);
    expect(d.call(1, OP.OP_RECVFROM, a, AT, 99, K.MSG_PEEK, 0, 0)).toBe(6);
    expect(read(a, 99)).toBe(6);
  });

  it('fill a buffer, then a writer sleeps or is EAGAIN', () => {
    const [a, b] = pair(K.SOCK_STREAM | K.SOCK_NONBLOCK);
    let n = 0;
    while (write(a, 1) === 1) n += 1;
    // 896 bytes of bookkeeping each in 212992
    expect(n).toBe(238);
    expect([write(a, 1), poll(a) & O.POLLOUT, read(b, 999)]).toEqual([-E.EAGAIN, 0, n]);
    expect(poll(a) & O.POLLOUT).toBe(O.POLLOUT);
    d.call(1, OP.OP_FCNTL, a, O.F_SETFL, 0);
    const child = d.fork();
    expect(write(a, 1_000_000, child)).toBe(SLEEPS);
    let sum = 0;
    for (let i = 0; i < 50 && sum < 1_000_000; ++i) {
      sum += read(b, 1_000_000);
      if (d.k.isWoken(child) && d.resume(child) === 1_000_000) break;
    }
    expect(sum + Math.max(0, read(b, 1_000_000))).toBe(1_000_000);
  });

  it('end when the other side is closed, or shut down', () => {
    const [a, b] = pair();
    write(b, 3);
    close(b);
    expect([read(a, 9), read(a, 9), poll(a)]).toEqual([
      3,
      0,
      O.POLLIN | O.POLLOUT | O.POLLHUP | O.POLLRDHUP,
    ]);
    expect(write(a, 1)).toBe(-E.EPIPE);
    expect(d.deliver(1)).toEqual([]);
    const [c, e] = pair();
    expect(d.call(1, OP.OP_SHUTDOWN, c, K.SHUT_WR)).toBe(0);
    expect([read(e, 1), write(c, 1), write(e, 4), read(c, 9)]).toEqual([0, -E.EPIPE, 4, 4]);
    expect(d.call(1, OP.OP_SENDTO, c, AT, 1, K.MSG_NOSIGNAL, 0, 0)).toBe(-E.EPIPE);
    expect(poll(e)).toBe(O.POLLIN | O.POLLOUT | O.POLLRDHUP);
  });

  it('are reset when unread bytes go with the other side', () => {
    const [a, b] = pair();
    write(a, 3);
    close(b);
    expect(poll(a) & O.POLLERR).toBe(O.POLLERR);
    expect([read(a, 1), read(a, 1)]).toEqual([-E.ECONNRESET, 0]);
  });

  it('send SIGPIPE to the writer', () => {
    const child = d.fork();
    const [a, b] = pair(K.SOCK_STREAM, child);
    close(b, child);
    expect(write(a, 1, child)).toBe(-E.EPIPE);
    expect(d.k.diesNext(child)).toEqual({ kind: 'signal', value: N.SIGPIPE });
  });
});

describe('messages', () => {
  it('stay apart, and lose what is not read of them', () => {
    const [a, b] = pair(K.SOCK_DGRAM);
    write(a, 5);
    write(a, 7);
    const first = recvmsg(b, 3);
    expect([first.n, first.flags & K.MSG_TRUNC]).toEqual([3, K.MSG_TRUNC]);
    expect(d.call(1, OP.OP_RECVFROM, b, AT, 3, K.MSG_TRUNC, 0, 0)).toBe(7);
    expect(d.call(1, OP.OP_RECVFROM, b, AT, 3, K.MSG_DONTWAIT, 0, 0)).toBe(-E.EAGAIN);
    expect(write(a, 0)).toBe(0);
    expect(d.call(1, OP.OP_RECVFROM, b, AT, 9, 0, 0, 0)).toBe(0);
    expect(write(a, 212992)).toBe(-E.EMSGSIZE);
  });

  it('find nobody: ECONNREFUSED once, then ENOTCONN; in a sequence EPIPE', () => {
    const [a, b] = pair(K.SOCK_DGRAM);
    close(b);
    expect([write(a, 1), write(a, 1)]).toEqual([-E.ECONNREFUSED, -E.ENOTCONN]);
    expect(d.call(1, OP.OP_RECVFROM, a, AT, 9, K.MSG_DONTWAIT, 0, 0)).toBe(-E.EAGAIN);
    const [c, e] = pair(K.SOCK_SEQPACKET);
    close(e);
    expect([write(c, 1), read(c, 1)]).toEqual([-E.EPIPE, 0]);
    expect(d.k.nextSignal(1)).toBe(0);
  });
});

describe('files in messages', () => {
  it('become the lowest descriptors of the receiver, the same open file', () => {
    const [a, b] = pair();
    d.mem(1, OP.OP_PIPE2, [USER, 0], 8);
    const [r, w] = [d.word(0), d.word(1)];
    expect(sendmsg(a, 1, rights(w))).toBe(1);
    close(w);
    const got = recvmsg(b, 1, 128, 1, K.MSG_CMSG_CLOEXEC);
    expect(got).toEqual({
      n: 1,
      flags: K.MSG_CMSG_CLOEXEC,
      controllen: 24,
      messages: [[K.SCM_RIGHTS, w]],
    });
    expect(d.k.fds(1)[w]).toMatchObject({ kind: 'pipe', cloexec: true });
    expect([write(w, 4), read(r, 9)]).toEqual([4, 4]);
  });

  it('end a read of the stream, and are lost to a plain one', () => {
    const [a, b] = pair();
    write(a, 2);
    sendmsg(a, 3, rights(0, 1));
    write(a, 5);
    const files = d.k.counts().files;
    expect(read(b, 4)).toBe(4);
    expect(d.k.fds(1)).toHaveLength(5);
    expect(read(b, 99)).toBe(6);
    expect(d.k.counts().files).toBe(files);
    sendmsg(a, 3, rights(0));
    write(a, 5);
    expect([recvmsg(b, 99).n, read(b, 99)]).toEqual([3, 5]);
  });

  it('are cut off where room or numbers end: MSG_CTRUNC', () => {
    const [a, b] = pair();
    sendmsg(a, 1, rights(0, 1, 2));
    expect(recvmsg(b, 1, 24)).toMatchObject({
      flags: K.MSG_CTRUNC,
      messages: [[K.SCM_RIGHTS, 5, 6]],
    });
    sendmsg(a, 1, rights(0));
    expect(recvmsg(b, 1, 0)).toMatchObject({ flags: K.MSG_CTRUNC, messages: [] });
    sendmsg(a, 1, rights(0, 1));
    d.mem(1, OP.OP_PRLIMIT64, [0, 7, USER, 0], longs(8, 8));
    expect(recvmsg(b, 1)).toMatchObject({ flags: K.MSG_CTRUNC, messages: [[K.SCM_RIGHTS, 7]] });
  });

  it('are seen twice with MSG_PEEK', () => {
    const [a, b] = pair();
    sendmsg(a, 1, rights(0));
    expect(recvmsg(b, 1, 64, 1, K.MSG_PEEK).messages).toEqual([[K.SCM_RIGHTS, 5]]);
    expect(recvmsg(b, 1).messages).toEqual([[K.SCM_RIGHTS, 6]]);
  });

  it('are refused: not open, too many, of another kind, too many in flight', () => {
    const [a] = pair();
    expect(sendmsg(a, 1, rights(99))).toBe(-E.EBADF);
    expect(sendmsg(a, 1, rights(...Array<number>(254).fill(0)))).toBe(-E.EINVAL);
    expect(sendmsg(a, 1, rights(...Array<number>(253).fill(0)))).toBe(1);
    expect(sendmsg(a, 1, cmsg(77, 0))).toBe(-E.EINVAL);
    const broken = rights(0);
    broken.set(longs(8));
    expect(sendmsg(a, 1, broken)).toBe(-E.EINVAL);
    const child = d.unprivileged();
    d.mem(child, OP.OP_PRLIMIT64, [0, 7, USER, 0], longs(10, 10));
    expect(sendmsg(a, 1, rights(0), child)).toBe(-E.ETOOMANYREFS);
    expect(sendmsg(0, 1)).toBe(-E.ENOTSOCK);
    expect(sendmsg(99, 1)).toBe(-E.EBADF);
    expect(d.fault(1, OP.OP_SENDMSG, a, USER, 0)).toBe(-E.EFAULT);
  });

  it('live as long as the message: a chain of sockets is closed without a stack', () => {
    const before = d.k.counts();
    let [a, b] = pair();
    for (let i = 0; i < 3000; ++i) {
      const [c, e] = pair();
      expect(sendmsg(c, 1, rights(a, b))).toBe(1);
      close(a);
      close(b);
      [a, b] = [c, e];
    }
    expect(d.k.counts().sockets).toBe(before.sockets + 6002);
    close(a);
    close(b);
    expect(d.k.counts()).toEqual({ ...before, fdTables: before.fdTables });
  });

  it('are collected when sockets lie in each other, and only then', () => {
    const before = d.k.counts();
    const [a, b] = pair();
    const [c, e] = pair();
    sendmsg(a, 1, rights(e));
    sendmsg(c, 1, rights(b));
    for (const fd of [a, b, c]) close(fd);
    // who reads from the last one gets the other back
    expect(d.k.counts().messages).toBe(2);
    const kept = d.call(1, OP.OP_DUP, e);
    close(e);
    expect(d.k.counts().messages).toBe(2);
    close(kept);
    // as in Linux the next socket that goes takes them along
    expect(d.k.check()).toEqual([]);
    expect(d.k.counts().messages).toBe(2);
    d.call(1, OP.OP_CLOSE_RANGE, ...pair(), 0);
    expect(d.k.counts()).toEqual(before);
    const [x, y] = pair();
    sendmsg(x, 1, rights(x));
    sendmsg(y, 1, rights(x, y));
    d.call(1, OP.OP_CLOSE_RANGE, x, y, 0);
    d.call(1, OP.OP_CLOSE_RANGE, ...pair(), 0);
    expect(d.k.counts()).toEqual(before);
  });
});

describe('credentials in messages', () => {
  const passcred = (fd: number, tid = 1): number =>
    d.mem(tid, OP.OP_SETSOCKOPT, [fd, 1, K.SO_PASSCRED, USER, 4], words(1));

  it('are told where the receiver asks for them', () => {
    const [a, b] = pair();
    write(a, 1);
    expect(passcred(b)).toBe(0);
    // sent before: nobody is known
    expect(recvmsg(b, 9).messages).toEqual([[K.SCM_CREDENTIALS, 0, 65534, 65534]]);
    const child = d.unprivileged();
    write(a, 2, child);
    write(a, 3);
    // pieces of different writers are not read together
    expect(recvmsg(b, 9)).toMatchObject({
      n: 2,
      messages: [[K.SCM_CREDENTIALS, child, 1000, 1000]],
    });
    expect(recvmsg(b, 9)).toMatchObject({ n: 3, messages: [[K.SCM_CREDENTIALS, 1, 0, 0]] });
  });

  it('are what the sender may say: its own, or what its capabilities allow', () => {
    const [a, b] = pair();
    passcred(b);
    const child = d.unprivileged();
    const say = (...ids: number[]): Uint8Array => cmsg(K.SCM_CREDENTIALS, ...ids);
    expect(sendmsg(a, 1, say(child, 1000, 1000), child)).toBe(1);
    expect(sendmsg(a, 1, say(1, 1000, 1000), child)).toBe(-E.EPERM);
    expect(sendmsg(a, 1, say(child, 0, 1000), child)).toBe(-E.EPERM);
    expect(sendmsg(a, 1, say(child, 1000, 0), child)).toBe(-E.EPERM);
    expect(sendmsg(a, 1, say(4321, 5, 6))).toBe(-E.ESRCH);
    expect(sendmsg(a, 1, cmsg(K.SCM_CREDENTIALS, 1, 0))).toBe(-E.EINVAL);
    expect(sendmsg(a, 1, say(child, 5, 6))).toBe(1);
    expect(recvmsg(b, 1).messages).toEqual([[K.SCM_CREDENTIALS, child, 1000, 1000]]);
    expect(recvmsg(b, 1).messages).toEqual([[K.SCM_CREDENTIALS, child, 5, 6]]);
  });

  it('are numbers of the receiver, 0 where it has none for the sender', () => {
    const [a, b] = pair();
    const inside = d.call(1, OP.OP_CLONE, C.CLONE_NEWPID | N.SIGCHLD);
    passcred(b);
    write(a, 1, inside);
    write(a, 1);
    expect(recvmsg(b, 1, 64, 1).messages[0]?.[1]).toBe(inside);
    expect(recvmsg(b, 1, 64, inside).messages[0]?.[1]).toBe(0);
  });

  it('SO_PEERCRED names the maker of the pair', () => {
    const child = d.unprivileged();
    const [a] = pair(K.SOCK_STREAM, child);
    const option = d.mem(child, OP.OP_GETSOCKOPT, [a, 1, K.SO_PEERCRED, USER, USER + 16], 24);
    // no room was given: nothing is written
    expect(option).toBe(0);
    const memory = words(0, 0, 0, 0, 12);
    expect(d.mem(child, OP.OP_GETSOCKOPT, [a, 1, K.SO_PEERCRED, USER, USER + 16], memory)).toBe(0);
    expect([d.word(0), d.word(1), d.word(2), d.word(4)]).toEqual([child, 1000, 1000, 12]);
  });
});

describe('names and options', () => {
  it('a pair has none', () => {
    const [a, b] = pair();
    for (const op of [OP.OP_GETSOCKNAME, OP.OP_GETPEERNAME]) {
      expect(d.mem(1, op, [a, USER, USER + 16], words(0, 0, 0, 0, 16))).toBe(0);
      expect([d.word(0) & 0xffff, d.word(4)]).toEqual([K.AF_UNIX, 2]);
      expect(d.mem(1, op, [a, USER, USER + 16], words(0, 0, 0, 0, -1))).toBe(-E.EINVAL);
      expect(d.mem(1, op, [0, USER, USER + 16], 20)).toBe(-E.ENOTSOCK);
    }
    close(b);
    expect(d.mem(1, OP.OP_GETPEERNAME, [a, USER, USER + 16], words(0, 0, 0, 0, 16))).toBe(0);
  });

  it('SO_ERROR is told once; sizes are doubled', () => {
    const [a, b] = pair();
    const get = (option: number): number => {
      const memory = words(0, 4);
      expect(d.mem(1, OP.OP_GETSOCKOPT, [a, 1, option, USER, USER + 4], memory)).toBe(0);
      return d.word(0);
    };
    write(a, 1);
    close(b);
    expect([get(K.SO_ERROR), get(K.SO_ERROR)]).toEqual([E.ECONNRESET, 0]);
    expect([get(K.SO_SNDBUF), get(K.SO_DOMAIN), get(K.SO_PROTOCOL)]).toEqual([212992, 1, 0]);
    expect(d.mem(1, OP.OP_SETSOCKOPT, [a, 1, K.SO_SNDBUF, USER, 4], words(10000))).toBe(0);
    expect(get(K.SO_SNDBUF)).toBe(20000);
    expect(d.mem(1, OP.OP_SETSOCKOPT, [a, 1, K.SO_TYPE, USER, 4], words(1))).toBe(-E.ENOPROTOOPT);
    expect(d.mem(1, OP.OP_SETSOCKOPT, [a, 1, K.SO_PASSCRED, USER, 3], words(1))).toBe(-E.EINVAL);
    expect(d.call(1, OP.OP_SHUTDOWN, a, 3)).toBe(-E.EINVAL);
    expect(d.call(1, OP.OP_SHUTDOWN, 0, 0)).toBe(-E.ENOTSOCK);
  });
});
