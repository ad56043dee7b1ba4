// Protects: pipes: what fits, what is read, who sleeps and who is woken, the ends of either side,
// splice and tee, and the errno of each wrong use in Linux's order.
import { beforeEach, describe, expect, it } from 'vitest';
import * as E from '../../../assembly/uapi/errno.ts';
import * as O from '../../../assembly/uapi/fcntl.ts';
import * as OP from '../../../assembly/uapi/op.ts';
import * as N from '../../../assembly/uapi/signal.ts';
import { type Driver, driver, longs, SLEEPS, USER, words } from '../kernel/driver.ts';

const PAGE = 4096;
const CAPACITY = 65536;
const AT = 0x9000;

let d: Driver;
beforeEach(async () => {
  d = await driver();
  return () => expect(d.k.check()).toEqual([]);
});

/** A pipe of task 1: [reader, writer]. */
function pipe(flags = 0): [number, number] {
  expect(d.mem(1, OP.OP_PIPE2, [USER, flags], 8)).toBe(0);
  return [d.word(0), d.word(1)];
}
const read = (fd: number, n: number, tid = 1): number => d.call(tid, OP.OP_READ, fd, AT, n);
const write = (fd: number, n: number, tid = 1): number => d.call(tid, OP.OP_WRITE, fd, AT, n);
const close = (fd: number, tid = 1): number => d.call(tid, OP.OP_CLOSE, fd);
const poll = (fd: number, events: number): number => {
  const n = d.mem(1, OP.OP_POLL, [USER, 1, 0], words(fd, events));
  return n ? d.word(1) >>> 16 : 0;
};

describe('what is in a pipe', () => {
  it('comes out in order, as much as is asked for', () => {
    const [r, w] = pipe();
    expect([write(w, 10), write(w, 5), read(r, 12), read(r, 100)]).toEqual([10, 5, 12, 3]);
  });

  it('is nothing for zero bytes, whatever the pipe holds', () => {
    const [r, w] = pipe();
    expect([write(w, 0), read(r, 0)]).toEqual([0, 0]);
  });

  it('fills 16 pages: small writes share one, what does not fit whole begins another', () => {
    const [, w] = pipe(O.O_NONBLOCK);
    for (let i = 0; i < CAPACITY / 64; ++i) expect(write(w, 64)).toBe(64);
    expect(write(w, 1)).toBe(-E.EAGAIN);
    const [, other] = pipe(O.O_NONBLOCK);
    // two of these do not go into one page
    for (let i = 0; i < 16; ++i) expect(write(other, 3000)).toBe(3000);
    expect([write(other, 3000), write(other, 1096)]).toEqual([-E.EAGAIN, 1096]);
  });

  it('takes a part of a large write, all or nothing of one up to a page', () => {
    const [r, w] = pipe(O.O_NONBLOCK);
    expect(write(w, 70000)).toBe(CAPACITY);
    expect(read(r, PAGE - 1)).toBe(PAGE - 1);
    expect(write(w, PAGE)).toBe(-E.EAGAIN);
    expect(read(r, 1)).toBe(1);
    expect(write(w, PAGE)).toBe(PAGE);
  });

  it('is packets under O_DIRECT: one a read, the rest of it lost', () => {
    const [r, w] = pipe(O.O_DIRECT | O.O_NONBLOCK);
    expect([write(w, 10), write(w, 20)]).toEqual([10, 20]);
    expect([read(r, 4), read(r, 100), read(r, 1)]).toEqual([4, 20, -E.EAGAIN]);
  });

  it('is counted over vectors', () => {
    const [r, w] = pipe(O.O_NONBLOCK);
    const iov = longs(AT, 10, AT, 0, AT, 7);
    expect(d.mem(1, OP.OP_WRITEV, [w, USER, 3], iov)).toBe(17);
    expect(d.mem(1, OP.OP_READV, [r, USER, 2], iov)).toBe(10);
    expect(d.mem(1, OP.OP_READV, [r, USER, 1025], iov)).toBe(-E.EINVAL);
    expect(d.mem(1, OP.OP_WRITEV, [w, USER, 1], longs(AT, -1))).toBe(-E.EINVAL);
    expect(d.fault(1, OP.OP_WRITEV, w, USER, 1)).toBe(-E.EFAULT);
    expect(d.mem(1, OP.OP_IOCTL, [r, 0x541b, USER], 4)).toBe(0);
    expect(d.word(0)).toBe(7);
  });
});

describe('sleeping at a pipe', () => {
  it('a reader goes on when something is written, the first one first', () => {
    const [r, w] = pipe();
    const [a, b] = [d.fork(), d.fork()];
    expect([read(r, 5, a), read(r, 5, b)]).toEqual([SLEEPS, SLEEPS]);
    write(w, 7);
    expect(d.k.woken()).toEqual([a, b]);
    expect([d.resume(a), d.resume(b)]).toEqual([5, 2]);
    expect(read(r, 5, a)).toBe(SLEEPS);
    expect(d.k.isWoken(a)).toBe(false);
  });

  it('a writer goes on as pages become free, and has written all in the end', () => {
    const [r, w] = pipe();
    const child = d.fork();
    expect(write(w, CAPACITY + 2 * PAGE, child)).toBe(SLEEPS);
    expect(read(r, PAGE - 1)).toBe(PAGE - 1);
    expect(d.k.isWoken(child)).toBe(false);
    expect(read(r, 1)).toBe(1);
    expect([d.k.isWoken(child), d.resume(child)]).toEqual([true, SLEEPS]);
    expect(read(r, CAPACITY)).toBe(CAPACITY);
    expect(d.resume(child)).toBe(CAPACITY + 2 * PAGE);
    expect(read(r, CAPACITY)).toBe(PAGE);
  });

  it('a signal ends it: with what was written so far, or to be restarted', () => {
    const [r, w] = pipe();
    const [a, b] = [d.fork(), d.fork()];
    expect(write(w, 2 * CAPACITY, a)).toBe(SLEEPS);
    d.call(1, OP.OP_KILL, a, N.SIGUSR1);
    expect(d.resume(a)).toBe(CAPACITY);
    expect(read(r, 2 * CAPACITY)).toBe(CAPACITY);
    expect(read(r, 1, b)).toBe(SLEEPS);
    d.call(1, OP.OP_KILL, b, N.SIGUSR1);
    expect(d.resume(b)).toBe(-E.ERESTARTSYS);
  });

  it('a descriptor that another thread closes stays open for the sleeper', () => {
    const [r, w] = pipe();
    const thread = d.call(1, OP.OP_CLONE, 0x10f00);
    expect(read(r, 1, thread)).toBe(SLEEPS);
    close(r);
    expect(write(w, 1)).toBe(1);
    expect(d.resume(thread)).toBe(1);
    expect(write(w, 1)).toBe(-E.EPIPE);
  });
});

describe('the ends of a pipe', () => {
  it('no writer is the end of what can be read, and wakes who waits for it', () => {
    const [r, w] = pipe();
    const child = d.fork();
    close(w, child);
    write(w, 3);
    expect(read(r, 10, child)).toBe(3);
    expect(read(r, 10, child)).toBe(SLEEPS);
    close(w);
    expect([d.k.woken(), d.resume(child), read(r, 1)]).toEqual([[child], 0, 0]);
  });

  it('an exit closes an end like any other', () => {
    const [r, w] = pipe();
    const child = d.fork();
    close(w);
    expect(read(r, 1)).toBe(SLEEPS);
    d.exit(child);
    // what it waited for is there: the SIGCHLD does not matter
    expect([d.k.isWoken(1), d.resume(1)]).toEqual([true, 0]);
  });

  it('no reader is EPIPE with SIGPIPE, also for a writer that sleeps', () => {
    const [r, w] = pipe();
    const child = d.fork();
    const action = longs(0x4000, 0, 0, 0);
    d.mem(child, OP.OP_RT_SIGACTION, [N.SIGPIPE, USER, 0, 8], action);
    close(r, child);
    expect(write(w, CAPACITY + 1, child)).toBe(SLEEPS);
    close(r);
    expect(d.resume(child)).toBe(CAPACITY);
    expect(d.deliver(child)).toEqual([N.SIGPIPE]);
    expect([write(w, 0, child), write(w, 1, child)]).toEqual([0, -E.EPIPE]);
    expect(d.k.nextSignal(child)).toBe(0);
    d.call(child, OP.OP_RT_SIGRETURN);
    expect(d.k.nextSignal(child)).toBe(N.SIGPIPE);
  });

  it('are told by poll', () => {
    const [r, w] = pipe();
    const all = O.POLLIN | O.POLLOUT;
    expect([poll(r, all), poll(w, all)]).toEqual([0, O.POLLOUT]);
    write(w, 1);
    expect(poll(r, all)).toBe(O.POLLIN);
    write(w, CAPACITY - PAGE);
    expect(poll(w, all)).toBe(0);
    d.call(1, OP.OP_DUP, w);
    close(r);
    expect(poll(w, all)).toBe(O.POLLERR);
    const [r2, w2] = pipe();
    close(w2);
    expect(poll(r2, all)).toBe(O.POLLHUP);
  });
});

describe('errors of reads and writes', () => {
  it('EBADF: closed, or the wrong way round; EINVAL: no such operation; ESPIPE: no offset', () => {
    const [r, w] = pipe();
    expect([read(99, 1), read(w, 1), write(r, 1)]).toEqual([-E.EBADF, -E.EBADF, -E.EBADF]);
    expect(d.call(1, OP.OP_PREAD, r, AT, 1, -1)).toBe(-E.EINVAL);
    expect(d.call(1, OP.OP_PREAD, 99, AT, 1, 0)).toBe(-E.EBADF);
    expect(d.call(1, OP.OP_PREAD, r, AT, 1, 0)).toBe(-E.ESPIPE);
    expect(d.call(1, OP.OP_LSEEK, r, 0, 9)).toBe(-E.EINVAL);
    expect(d.call(1, OP.OP_LSEEK, r, 0, 0)).toBe(-E.ESPIPE);
    expect(d.call(1, OP.OP_LSEEK, 99, 0, 0)).toBe(-E.EBADF);
  });

  it('EFAULT comes where there is something to transfer', () => {
    const [r, w] = pipe(O.O_NONBLOCK);
    expect(d.fault(1, OP.OP_READ, r, USER, 4)).toBe(-E.EAGAIN);
    expect(d.fault(1, OP.OP_WRITE, w, USER, 4)).toBe(-E.EFAULT);
    write(w, 4);
    expect(d.fault(1, OP.OP_READ, r, USER, 4)).toBe(-E.EFAULT);
    expect(read(r, 9)).toBe(4);
  });
});

describe('F_SETPIPE_SZ', () => {
  const size = (fd: number, n: number, tid = 1): number =>
    d.call(tid, OP.OP_FCNTL, fd, O.F_SETPIPE_SZ, n);

  it('rounds up to a power of two of pages', () => {
    const [r, w] = pipe(O.O_NONBLOCK);
    expect(d.call(1, OP.OP_FCNTL, r, O.F_GETPIPE_SZ)).toBe(CAPACITY);
    expect([size(w, 1), size(w, 5000), size(w, 300000)]).toEqual([PAGE, 2 * PAGE, 524288]);
    expect(write(w, 600000)).toBe(524288);
    expect(size(w, 0x80000001)).toBe(-E.EINVAL);
  });

  it('is EBUSY below what lies in it, EPERM above a mebibyte, EBADF on anything else', () => {
    const [r, w] = pipe(O.O_NONBLOCK);
    write(w, 3 * PAGE);
    expect([size(w, PAGE), size(w, 2 * PAGE), size(w, 4 * PAGE)]).toEqual([
      -E.EBUSY,
      -E.EBUSY,
      4 * PAGE,
    ]);
    expect(read(r, 9 * PAGE)).toBe(3 * PAGE);
    const child = d.unprivileged();
    expect(size(r, 2097152, child)).toBe(-E.EPERM);
    expect(size(r, 1048576, child)).toBe(1048576);
    expect(size(r, 2097152)).toBe(2097152);
    expect(size(0, PAGE)).toBe(-E.EBADF);
  });
});

describe('splice and tee', () => {
  const splice = (a: number, b: number, n: number, flags = 0): number =>
    d.call(1, OP.OP_SPLICE, a, 0, b, 0, n, flags);

  it('move and repeat what lies in a pipe', () => {
    const [r, w] = pipe(O.O_NONBLOCK);
    const [r2, w2] = pipe(O.O_NONBLOCK);
    write(w, 100);
    expect(d.call(1, OP.OP_TEE, r, w2, 40, 0)).toBe(40);
    expect(splice(r, w2, 30)).toBe(30);
    expect([read(r, 999), read(r2, 999)]).toEqual([70, 70]);
    expect([splice(r, w2, 5), read(r2, 1)]).toEqual([-E.EAGAIN, -E.EAGAIN]);
  });

  it('sleep for either pipe, and end with the last writer', () => {
    const [r, w] = pipe();
    const [r2, w2] = pipe();
    const child = d.fork();
    close(w, child);
    expect(d.call(child, OP.OP_SPLICE, r, 0, w2, 0, 10, 0)).toBe(SLEEPS);
    write(w, 4);
    expect(d.resume(child)).toBe(4);
    expect(d.call(child, OP.OP_SPLICE, r, 0, w2, 0, 10, 0)).toBe(SLEEPS);
    close(w);
    expect(d.resume(child)).toBe(0);
    expect(read(r2, 10)).toBe(4);
  });

  it('take the world at its word as far as there is something, or room', () => {
    const [r, w] = pipe(O.O_NONBLOCK);
    d.k.frame.begin(1, 0, OP.OP_WORLD_FD).assistRet(0);
    d.k.trap();
    const file = d.k.frame.result;
    const world = (args: number[], n: number): number => {
      const frame = d.k.frame.begin(1, 0, OP.OP_SPLICE).assistRet(n);
      args.forEach((arg, i) => frame.setArg(i, arg));
      d.k.trap();
      return frame.result;
    };
    expect(world([file, 0, w, 0, 5000, 0], 5000)).toBe(5000);
    expect(write(w, 10)).toBe(10);
    expect(world([r, 0, file, 0, 9999, 0], 4096)).toBe(4096);
    expect(read(r, 9999)).toBe(914);
  });

  it('fail in this order: nothing to do, flags, descriptors, offsets, direction', () => {
    const [r, w] = pipe();
    const [r2] = pipe();
    expect(splice(99, 98, 0, 64)).toBe(0);
    expect(splice(99, 98, 1, 64)).toBe(-E.EINVAL);
    expect(splice(99, w, 1)).toBe(-E.EBADF);
    expect(d.call(1, OP.OP_SPLICE, r, 1, w, 0, 1, 0)).toBe(-E.ESPIPE);
    expect(d.call(1, OP.OP_SPLICE, r, 0, w, 1, 1, 0)).toBe(-E.ESPIPE);
    expect(splice(r, r2, 1)).toBe(-E.EBADF);
    expect(splice(r, w, 1)).toBe(-E.EINVAL);
    expect(d.call(1, OP.OP_TEE, r, w, 1, 0)).toBe(-E.EINVAL);
    expect(d.call(1, OP.OP_TEE, r, w, 0, 0)).toBe(0);
    expect(d.call(1, OP.OP_SENDFILE, w, r, 0, 5)).toBe(-E.EINVAL);
    expect(d.call(1, OP.OP_SENDFILE, w, r, 8, 5)).toBe(-E.ESPIPE);
  });

  it('vmsplice puts pages in and takes bytes out', () => {
    const [r, w] = pipe(O.O_NONBLOCK);
    expect(d.mem(1, OP.OP_VMSPLICE, [w, USER, 1, 0], longs(AT, 5000))).toBe(5000);
    expect(d.mem(1, OP.OP_VMSPLICE, [r, USER, 1, 0], longs(AT, 200))).toBe(200);
    expect(read(r, 9999)).toBe(4800);
    expect(d.mem(1, OP.OP_VMSPLICE, [0, USER, 1, 0], longs(AT, 1))).toBe(-E.EBADF);
  });
});
