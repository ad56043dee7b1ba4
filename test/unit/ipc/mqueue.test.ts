// Protects: POSIX message queues: names and permissions, attributes and limits, order by priority,
// who sleeps and what wakes it, notification, readiness.
import { beforeEach, describe, expect, it } from 'vitest';
import * as E from '../../../assembly/uapi/errno.ts';
import * as O from '../../../assembly/uapi/fcntl.ts';
import * as OP from '../../../assembly/uapi/op.ts';
import * as C from '../../../assembly/uapi/sched.ts';
import { SIGCHLD } from '../../../assembly/uapi/signal.ts';
import { Fs, SLEEPS } from '../vfs/driver.ts';
import { attr, BUFFER, getattr, open, receive, RW, send, small, unlink, woken } from './queues.ts';

const BUF = BigInt(BUFFER);
const RLIMIT_MSGQUEUE = 12;
const CLOCK = 1_000_000_000_000n;

let fs: Fs;
beforeEach(async () => {
  fs = await Fs.boot({ clockNs: CLOCK });
});

const limit = (by: Fs, bytes: number): void => {
  const both = new Uint8Array(new BigUint64Array([bytes, bytes].map(BigInt)).buffer);
  expect(by.call(OP.OP_PRLIMIT64, 0, RLIMIT_MSGQUEUE, both, 0)).toBe(0);
};
const drop = (by: Fs): void => {
  by.become(1000);
};

describe('names', () => {
  it.each([
    ['q', RW, 0],
    ['q', O.O_RDONLY, E.ENOENT],
    ['', RW, E.ENOENT],
    ['.', RW, E.EACCES],
    ['..', RW, E.EACCES],
    ['a/b', RW, E.EACCES],
    ['/a', RW, E.EACCES],
    ['x'.repeat(256), RW, E.ENAMETOOLONG],
    ['x'.repeat(255), RW, 0],
    ['there', RW | O.O_EXCL, E.EEXIST],
    ['there', O.O_RDONLY, 0],
    ['there', O.O_WRONLY | O.O_RDWR, E.EINVAL],
  ])('%.10s with flags %i', (name, flags, errno) => {
    fs.close(open(fs, 'there'));
    const fd = open(fs, name, flags);
    expect(errno ? fd : Math.min(fd, 0)).toBe(0 - errno);
    expect(fs.check()).toEqual([]);
  });

  it('are for who has permission', () => {
    open(fs, 'q', RW, 0o640);
    const user = fs.fork();
    drop(user);
    expect([open(user, 'q', O.O_RDONLY), unlink(user, 'q')]).toEqual([-E.EACCES, -E.EPERM]);
    expect(open(user, 'own', RW, 0o666)).toBeGreaterThan(0);
    expect([open(fs, 'own', O.O_RDWR) > 0, unlink(fs, 'own')]).toEqual([true, 0]);
    expect([unlink(fs, 'q'), unlink(fs, 'q'), unlink(fs, 'a/b')]).toEqual([
      0,
      -E.ENOENT,
      -E.EACCES,
    ]);
  });

  it('go while the queue stays for who has it open', () => {
    const fd = small(fs, 'q');
    expect(unlink(fs, 'q')).toBe(0);
    expect([send(fs, fd, 'x'), open(fs, 'q', O.O_RDWR)]).toEqual([0, -E.ENOENT]);
    const other = small(fs, 'q');
    expect([getattr(fs, fd)[3], getattr(fs, other)[3]]).toEqual([1, 0]);
    fs.close(fd);
    fs.close(other);
    expect(fs.check()).toEqual([]);
  });

  it('are of an ipc namespace, and go with it', () => {
    const fd = small(fs, 'q');
    const inner = fs.as(fs.call(OP.OP_CLONE, C.CLONE_NEWIPC | SIGCHLD));
    expect(open(inner, 'q', O.O_RDONLY)).toBe(-E.ENOENT);
    const own = small(inner, 'own');
    expect([send(inner, own, 'x'), open(fs, 'own', O.O_RDONLY)]).toEqual([0, -E.ENOENT]);
    // the descriptor that it got from outside is still of the outer queue
    expect([send(inner, fd, 'up'), receive(fs, fd)]).toEqual([0, ['up', 0]]);
    expect(fs.check()).toEqual([]);
    inner.run(OP.OP_EXIT, 0);
    fs.call(OP.OP_WAIT4, inner.tid, 0, 0, 0);
    expect(fs.check()).toEqual([]);
  });
});

describe('limits', () => {
  it.each([
    [0, 8, E.EINVAL],
    [1, 0, E.EINVAL],
    [65_537, 1, E.EINVAL],
    [1, 16_777_217, E.EINVAL],
    [65_536, 1, E.EMFILE],
    [11, 8193, 0],
  ])('of the privileged: %i messages of %i bytes', (maxmsg, msgsize, errno) => {
    const fd = open(fs, 'q', RW, 0o600, attr(maxmsg, msgsize));
    expect(errno ? fd : Math.min(fd, 0)).toBe(0 - errno);
    expect([unlink(fs, 'q'), fs.check()]).toEqual([errno ? -E.ENOENT : 0, []]);
  });

  it('of others are those of the namespace', () => {
    drop(fs);
    expect([
      open(fs, 'q', RW, 0o600, attr(11, 8)),
      open(fs, 'q', RW, 0o600, attr(1, 8193)),
    ]).toEqual([-E.EINVAL, -E.EINVAL]);
    expect(getattr(fs, open(fs, 'q'))).toEqual([0, 10, 8192, 0]);
  });

  it('RLIMIT_MSGQUEUE is of the user', () => {
    // 10 messages of 8192 bytes and what they are counted besides
    const each = 10 * (8192 + 96);
    limit(fs, 2 * each);
    const a = open(fs, 'a');
    expect([open(fs, 'b') > 0, open(fs, 'c')]).toEqual([true, -E.EMFILE]);
    expect(unlink(fs, 'a')).toBe(0);
    expect(open(fs, 'c')).toBe(-E.EMFILE);
    fs.close(a);
    expect([open(fs, 'c') > 0, fs.check()]).toEqual([true, []]);
  });

  it('so many queues are in a namespace, for the unprivileged', () => {
    limit(fs, 1_000_000_000);
    drop(fs);
    for (let i = 0; i < 256; ++i) fs.close(open(fs, `q${i}`, RW, 0o600, attr(1, 1)));
    expect(open(fs, 'more', RW, 0o600, attr(1, 1))).toBe(-E.ENOSPC);
    unlink(fs, 'q7');
    expect([open(fs, 'more', RW, 0o600, attr(1, 1)) > 0, fs.check()]).toEqual([true, []]);
  });

  it('the descriptor is close-on-exec, and needs a free number', async () => {
    expect(fs.call(OP.OP_FCNTL, small(fs, 'q'), O.F_GETFD, 0)).toBe(1);
    const none = await Fs.boot({ nofile: 3 });
    expect([open(none, 'q'), open(none, 'a/b'), open(none, 'q', O.O_RDONLY)]).toEqual(
      Array(3).fill(-E.EMFILE),
    );
  });
});

describe('messages', () => {
  it('come by priority, then by age', () => {
    const fd = open(fs, 'q', RW, 0o600, attr(8, 8));
    for (const [text, prio] of [
      ['a', 1],
      ['b', 5],
      ['c', 1],
      ['d', 5],
      ['e', 9],
      ['f', 0],
    ] as const) {
      expect(send(fs, fd, text, prio)).toBe(0);
    }
    expect([getattr(fs, fd), fs.check()]).toEqual([[0, 8, 8, 6], []]);
    const order = Array.from({ length: 6 }, () => receive(fs, fd));
    expect(order).toEqual([
      ['e', 9],
      ['b', 5],
      ['d', 5],
      ['a', 1],
      ['c', 1],
      ['f', 0],
    ]);
  });

  it('have bounds', () => {
    const fd = small(fs, 'q');
    expect([send(fs, fd, '123456789'), send(fs, fd, '', 32_767), send(fs, fd, '', 32_768)]).toEqual(
      [-E.EMSGSIZE, 0, -E.EINVAL],
    );
    const short = fs.call(OP.OP_MQ_TIMEDRECEIVE, fd, new Uint8Array(7), 7, 0, 0);
    expect([short, receive(fs, fd)]).toEqual([-E.EMSGSIZE, ['', 32_767]]);
  });

  it('need a descriptor that is open for it', () => {
    const r = small(fs, 'q', O.O_CREAT | O.O_RDONLY);
    const w = open(fs, 'q', O.O_WRONLY);
    expect([send(fs, r, 'x'), receive(fs, w), send(fs, 99, 'x'), receive(fs, 0)]).toEqual(
      Array(4).fill(-E.EBADF),
    );
    expect(fs.call(OP.OP_WRITE, w, new Uint8Array(1), 1)).toBe(-E.EINVAL);
    expect(fs.call(OP.OP_MQ_GETSETATTR, 0, 0, new Uint8Array(64))).toBe(-E.EBADF);
  });

  it('without waiting there are none, or no room', () => {
    const fd = small(fs, 'q', RW | O.O_NONBLOCK);
    expect([receive(fs, fd), send(fs, fd, 'a'), send(fs, fd, 'b'), send(fs, fd, 'c')]).toEqual([
      -E.EAGAIN,
      0,
      0,
      -E.EAGAIN,
    ]);
    expect(getattr(fs, fd)).toEqual([O.O_NONBLOCK, 2, 8, 2]);
    expect(fs.call(OP.OP_MQ_GETSETATTR, fd, attr(99, 99), 0)).toBe(0);
    expect(getattr(fs, fd)).toEqual([0, 2, 8, 2]);
    expect(fs.call(OP.OP_MQ_GETSETATTR, fd, attr(0, 0, 1), 0)).toBe(-E.EINVAL);
  });
});

describe('waiting', () => {
  it('a receiver gets the next message', () => {
    const fd = small(fs, 'q');
    const other = fs.fork();
    const third = fs.fork();
    expect([receive(other, fd), receive(third, fd)]).toEqual([SLEEPS, SLEEPS]);
    expect([send(fs, fd, 'one', 3), send(fs, fd, 'two', 4)]).toEqual([0, 0]);
    expect(getattr(fs, fd)[3]).toBe(0);
    expect([woken(other), woken(third), fs.check()]).toEqual([['one', 3], ['two', 4], []]);
  });

  it('a sender’s message takes the room that comes', () => {
    const fd = small(fs, 'q');
    send(fs, fd, 'a');
    send(fs, fd, 'b');
    const other = fs.fork();
    expect(send(other, fd, 'c', 7)).toBe(SLEEPS);
    expect([receive(fs, fd), getattr(fs, fd)[3]]).toEqual([['a', 0], 2]);
    expect([fs.k.resume(other.tid), other.k.frameOf(other.tid)!.result]).toEqual([0, 0]);
    expect([receive(fs, fd), receive(fs, fd), fs.check()]).toEqual([['c', 7], ['b', 0], []]);
  });

  it('ends at a time', () => {
    const fd = small(fs, 'q');
    expect([receive(fs, fd, CLOCK - 1n), receive(fs, fd, 0n)]).toEqual([
      -E.ETIMEDOUT,
      -E.ETIMEDOUT,
    ]);
    const other = fs.fork();
    expect(receive(other, fd, CLOCK + 1000n)).toBe(SLEEPS);
    fs.k.clockSet(CLOCK + 2000n);
    expect([woken(other), fs.check()]).toEqual([-E.ETIMEDOUT, []]);
    const bad = new Uint8Array(new BigInt64Array([0n, 1_000_000_000n]).buffer);
    expect(fs.call(OP.OP_MQ_TIMEDRECEIVE, fd, BUFFER, 8, 0, bad)).toBe(-E.EINVAL);
    expect(fs.call(OP.OP_MQ_TIMEDSEND, 99, BUFFER, 8, 99_999, bad)).toBe(-E.EINVAL);
  });

  it('ends with a signal', () => {
    const fd = small(fs, 'q');
    const other = fs.fork();
    other.call(
      OP.OP_RT_SIGACTION,
      10,
      new Uint8Array(new BigUint64Array([4096n, 0n, 0n, 0n]).buffer),
      0,
      8,
    );
    expect(receive(other, fd)).toBe(SLEEPS);
    fs.call(OP.OP_KILL, other.tid, 10);
    fs.k.resume(other.tid);
    const frame = fs.k.frameOf(other.tid)!;
    fs.k.exitToUser(other.tid, frame);
    expect([send(fs, fd, 'x'), getattr(fs, fd)[3], fs.check()]).toEqual([0, 1, []]);
  });

  it('leaves nothing behind when the process dies', () => {
    const fd = small(fs, 'q');
    const other = fs.fork();
    expect(receive(other, fd)).toBe(SLEEPS);
    fs.call(OP.OP_KILL, other.tid, 9);
    fs.k.runPending();
    expect([send(fs, fd, 'x'), getattr(fs, fd)[3], fs.check()]).toEqual([0, 1, []]);
  });
});

describe('notification', () => {
  const sigevent = (how: number, signo: number, value = 0n): Uint8Array => {
    const b = Buffer.alloc(64);
    b.writeBigUInt64LE(value, 0);
    b.writeInt32LE(signo, 8);
    b.writeInt32LE(how, 12);
    return new Uint8Array(b);
  };
  const notify = (by: Fs, fd: number, how: number, signo: number, value = 0n): number =>
    by.call(OP.OP_MQ_NOTIFY, fd, sigevent(how, signo, value));
  const pending = (by: Fs): number => {
    by.call(OP.OP_RT_SIGPENDING, new Uint8Array(8), 8);
    return Buffer.from(by.out).readUInt32LE(0);
  };
  const USR1 = 1 << 9;
  beforeEach(() => {
    fs.call(OP.OP_RT_SIGPROCMASK, 0, new Uint8Array(8).fill(255), 0, 8);
  });

  it('is for one process, once, of a message into the empty queue', () => {
    const fd = small(fs, 'q');
    const other = fs.fork();
    expect([notify(fs, fd, 0, 10, 77n), notify(other, fd, 0, 10)]).toEqual([0, -E.EBUSY]);
    expect(fs.read(fd, 99)).toMatch(/^QSIZE:0 +NOTIFY:0 +SIGNO:10 +NOTIFY_PID:1 +\n$/);
    send(other, fd, 'x');
    expect([pending(fs), notify(other, fd, 1, 0)]).toEqual([USR1, 0]);
    expect(fs.call(OP.OP_RT_SIGTIMEDWAIT, new Uint8Array(128).fill(255), BUFFER, 0, 8)).toBe(10);
    const info = Buffer.from(fs.out);
    // si_code, si_pid and si_value
    expect([info.readInt32LE(8), info.readInt32LE(16), info.readInt32LE(24)]).toEqual([
      -3,
      other.tid,
      77,
    ]);
    send(other, fd, 'y');
    expect([pending(fs), fs.check()]).toEqual([0, []]);
  });

  it('does not tell of what a receiver takes at once', () => {
    const fd = small(fs, 'q');
    const other = fs.fork();
    notify(fs, fd, 0, 10);
    expect(receive(other, fd)).toBe(SLEEPS);
    send(fs, fd, 'x');
    expect([pending(fs), woken(other)]).toEqual([0, ['x', 0]]);
    send(fs, fd, 'y');
    expect(pending(fs)).toBe(USR1);
  });

  it('ends with null, and with any close of the queue', () => {
    const fd = small(fs, 'q');
    const other = fs.fork();
    notify(fs, fd, 0, 10);
    expect([other.call(OP.OP_MQ_NOTIFY, fd, 0), notify(other, fd, 0, 10)]).toEqual([0, -E.EBUSY]);
    expect([fs.call(OP.OP_MQ_NOTIFY, fd, 0), notify(other, fd, 0, 10)]).toEqual([0, 0]);
    const again = other.call(OP.OP_DUP, fd);
    expect(notify(fs, fd, 0, 10)).toBe(-E.EBUSY);
    other.close(again);
    expect([notify(fs, fd, 0, 10), fs.check()]).toEqual([0, []]);
    const child = fs.fork();
    child.close(fd);
    expect(notify(other, fd, 0, 10)).toBe(-E.EBUSY);
    fs.close(fd);
    expect([notify(other, fd, 0, 10), fs.check()]).toEqual([0, []]);
    other.run(OP.OP_EXIT, 0);
    expect(fs.check()).toEqual([]);
  });

  it('by a socket gives its cookie', () => {
    const fd = small(fs, 'q');
    const sock = fs.call(OP.OP_SOCKET, 16, 3, 0);
    const event = sigevent(2, sock, BigInt(BUFFER + 16));
    event.set(Buffer.from('0123456789abcdef'), 16);
    expect(fs.call(OP.OP_MQ_NOTIFY, fd, event)).toBe(0);
    expect(fs.check()).toEqual([]);
    send(fs, fd, 'x');
    const n = fs.call(OP.OP_RECVFROM, sock, new Uint8Array(64), 64, 0, 0, 0);
    expect([n, fs.out[0], fs.out[31]]).toEqual([32, 48, 1]);
    receive(fs, fd);
    expect(fs.call(OP.OP_MQ_NOTIFY, fd, event)).toBe(0);
    expect(fs.call(OP.OP_MQ_NOTIFY, fd, 0)).toBe(0);
    fs.call(OP.OP_RECVFROM, sock, new Uint8Array(64), 64, 0, 0, 0);
    expect([fs.out[31], fs.check()]).toEqual([2, []]);
  });

  it('is asked for in its terms', () => {
    const fd = small(fs, 'q');
    expect([notify(fs, fd, 3, 0), notify(fs, fd, 0, 65), notify(fs, 99, 0, 10)]).toEqual([
      -E.EINVAL,
      -E.EINVAL,
      -E.EBADF,
    ]);
    expect([notify(fs, fd, 2, 99, BUF), notify(fs, fd, 2, fd, BUF)]).toEqual([-E.EBADF, -E.EINVAL]);
    expect(fs.call(OP.OP_MQ_NOTIFY, 0, 0)).toBe(-E.EBADF);
  });
});

describe('readiness', () => {
  const poll = (by: Fs, fd: number): number | typeof SLEEPS => {
    const bytes = new Uint8Array(8);
    new DataView(bytes.buffer).setInt32(0, fd, true);
    new DataView(bytes.buffer).setInt16(4, O.POLLIN | O.POLLOUT, true);
    const r = by.run(OP.OP_POLL, bytes, 1, -1);
    return r === SLEEPS ? r : new DataView(by.out.buffer, by.out.byteOffset).getInt16(6, true);
  };

  it('is room and messages', () => {
    const fd = small(fs, 'q');
    expect(poll(fs, fd)).toBe(O.POLLOUT);
    send(fs, fd, 'a');
    expect(poll(fs, fd)).toBe(O.POLLIN | O.POLLOUT);
    send(fs, fd, 'b');
    expect(poll(fs, fd)).toBe(O.POLLIN);
  });

  it('wakes who polls', () => {
    const fd = small(fs, 'q');
    const other = fs.fork();
    const bytes = new Uint8Array(8);
    new DataView(bytes.buffer).setInt32(0, fd, true);
    new DataView(bytes.buffer).setInt16(4, O.POLLIN, true);
    expect(other.run(OP.OP_POLL, bytes, 1, -1)).toBe(SLEEPS);
    send(fs, fd, 'x');
    expect([fs.k.resume(other.tid), fs.k.frameOf(other.tid)!.result]).toEqual([0, 1]);
  });
});
