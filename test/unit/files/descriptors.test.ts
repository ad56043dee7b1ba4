// Protects: fcntl, record locks, flock, kcmp and what poll and select say of descriptors: results,
// the errno of each wrong use in Linux's order, and who owns a lock.
import { beforeEach, describe, expect, it } from 'vitest';
import * as E from '../../../assembly/uapi/errno.ts';
import * as O from '../../../assembly/uapi/fcntl.ts';
import { FILE_EVENT_READY } from '../../../assembly/uapi/frame.ts';
import * as OP from '../../../assembly/uapi/op.ts';
import * as C from '../../../assembly/uapi/sched.ts';
import * as S from '../../../assembly/uapi/signal.ts';
import { type Driver, driver, longs, SLEEPS, USER, words } from '../kernel/driver.ts';

const AT = 0x9000;

let d: Driver;
beforeEach(async () => {
  d = await driver();
  return () => expect(d.k.check()).toEqual([]);
});

/** A file of the world's that is open with `flags`; `inode` says which one. */
function open(flags: number, inode = 0, tid = 1): number {
  d.k.frame.begin(tid, 0, OP.OP_WORLD_FD).assistRet(0).assistFile(flags, inode);
  d.k.trap();
  return d.k.frame.result;
}
const fcntl = (fd: number, cmd: number, arg = 0, tid = 1): number =>
  d.call(tid, OP.OP_FCNTL, fd, cmd, arg);
const close = (fd: number, tid = 1): number => d.call(tid, OP.OP_CLOSE, fd);
function pipe(): [number, number] {
  d.mem(1, OP.OP_PIPE2, [USER, 0], 8);
  return [d.word(0), d.word(1)];
}

describe('status flags', () => {
  it('belong to the open file; only some can be set', () => {
    const fd = open(O.O_WRONLY | O.O_LARGEFILE);
    const copy = d.call(1, OP.OP_DUP, fd);
    expect(fcntl(copy, O.F_SETFL, O.O_RDWR | O.O_CREAT | O.O_APPEND | O.O_NONBLOCK)).toBe(0);
    const flags = O.O_WRONLY | O.O_LARGEFILE | O.O_APPEND | O.O_NONBLOCK;
    expect(fcntl(fd, O.F_GETFL)).toBe(flags);
    const child = d.fork();
    fcntl(fd, O.F_SETFL, 0, child);
    expect(fcntl(fd, O.F_GETFL)).toBe(O.O_WRONLY | O.O_LARGEFILE);
  });

  it('O_DIRECT is for pipes, O_ASYNC for what has an owner', () => {
    const [r] = pipe();
    const counter = d.call(1, OP.OP_EVENTFD, 0);
    expect(fcntl(r, O.F_SETFL, O.O_DIRECT | O.O_ASYNC)).toBe(0);
    expect(fcntl(r, O.F_GETFL)).toBe(O.O_DIRECT | O.O_ASYNC);
    expect(fcntl(counter, O.F_SETFL, O.O_DIRECT)).toBe(-E.EINVAL);
    fcntl(counter, O.F_SETFL, O.O_ASYNC);
    expect(fcntl(counter, O.F_GETFL)).toBe(O.O_RDWR);
  });

  it('FIONBIO and FIOCLEX do the same by ioctl', () => {
    const [r] = pipe();
    expect(d.mem(1, OP.OP_IOCTL, [r, 0x5421, USER], words(1))).toBe(0);
    expect(d.call(1, OP.OP_IOCTL, r, 0x5451, 0)).toBe(0);
    expect([fcntl(r, O.F_GETFL), fcntl(r, O.F_GETFD)]).toEqual([O.O_NONBLOCK, 1]);
    expect(d.mem(1, OP.OP_IOCTL, [r, 0x5421, USER], words(0))).toBe(0);
    expect(d.call(1, OP.OP_IOCTL, r, 0x5450, 0)).toBe(0);
    expect([fcntl(r, O.F_GETFL), fcntl(r, O.F_GETFD)]).toEqual([0, 0]);
    expect(d.call(1, OP.OP_IOCTL, 99, 0x5451, 0)).toBe(-E.EBADF);
  });

  it('a mere path allows copies and nothing else', () => {
    const fd = open(O.O_PATH);
    expect(fcntl(fd, O.F_GETFL)).toBe(O.O_PATH);
    expect(fcntl(fd, O.F_SETFD, 1)).toBe(0);
    const copy = fcntl(fd, O.F_DUPFD, 0);
    expect(copy).toBe(4);
    for (const cmd of [O.F_SETFL, O.F_GETOWN, O.F_GETLK, O.F_GETPIPE_SZ, 1234]) {
      expect(fcntl(fd, cmd)).toBe(-E.EBADF);
    }
    expect(d.call(1, OP.OP_READ, fd, AT, 1)).toBe(-E.EBADF);
    expect(d.call(1, OP.OP_LSEEK, fd, 0, 0)).toBe(-E.EBADF);
    expect(d.call(1, OP.OP_FLOCK, fd, O.LOCK_SH)).toBe(-E.EBADF);
    expect(d.mem(1, OP.OP_POLL, [USER, 1, 0], words(fd, O.POLLIN))).toBe(1);
    expect(d.word(1) >>> 16).toBe(O.POLLNVAL);
    expect(close(fd)).toBe(0);
  });
});

describe('copies', () => {
  it('begin at a number, below the limit', () => {
    expect([fcntl(0, O.F_DUPFD, 7), fcntl(0, O.F_DUPFD_CLOEXEC, 7)]).toEqual([7, 8]);
    expect([fcntl(7, O.F_GETFD), fcntl(8, O.F_GETFD)]).toEqual([0, 1]);
    expect([fcntl(0, O.F_DUPFD, 1024), fcntl(0, O.F_DUPFD, -1)]).toEqual([-E.EINVAL, -E.EINVAL]);
    d.mem(1, OP.OP_PRLIMIT64, [0, 7, USER, 0], longs(9, 9));
    expect([fcntl(0, O.F_DUPFD, 8), fcntl(0, O.F_DUPFD, 9)]).toEqual([-E.EMFILE, -E.EINVAL]);
    expect(fcntl(0, O.F_DUPFD_QUERY, 7)).toBe(1);
    expect(fcntl(0, O.F_DUPFD_QUERY, 1)).toBe(0);
    expect([fcntl(99, O.F_GETFD), fcntl(0, 1234)]).toEqual([-E.EBADF, -E.EINVAL]);
  });
});

describe('owners', () => {
  it('are processes or groups, as the caller numbers them', () => {
    const [r] = pipe();
    expect([fcntl(r, O.F_GETOWN), fcntl(r, O.F_SETOWN, 1), fcntl(r, O.F_GETOWN)]).toEqual([
      0, 0, 1,
    ]);
    const child = d.call(1, OP.OP_CLONE, C.CLONE_NEWPID | S.SIGCHLD);
    expect(fcntl(r, O.F_GETOWN, 0, child)).toBe(0);
    expect(fcntl(r, O.F_SETOWN, 1, child)).toBe(0);
    expect([fcntl(r, O.F_GETOWN), fcntl(r, O.F_GETOWN, 0, child)]).toEqual([child, 1]);
    expect(fcntl(r, O.F_SETOWN, -1)).toBe(0);
    expect(fcntl(r, O.F_GETOWN)).toBe(-1);
    expect(fcntl(r, O.F_SETOWN, 4321)).toBe(-E.ESRCH);
    expect(fcntl(r, O.F_SETOWN, -0x80000000)).toBe(-E.EINVAL);
    d.exit(child);
    d.wait(1);
    expect(fcntl(r, O.F_GETOWN)).toBe(-1);
  });

  it('say by F_SETOWN_EX what they are', () => {
    const [r] = pipe();
    const set = (...owner: number[]): number =>
      d.mem(1, OP.OP_FCNTL, [r, O.F_SETOWN_EX, USER], words(...owner));
    expect([set(O.F_OWNER_TID, 1), set(3, 1), set(1, 4321)]).toEqual([0, -E.EINVAL, -E.ESRCH]);
    expect(d.mem(1, OP.OP_FCNTL, [r, O.F_GETOWN_EX, USER], 8)).toBe(0);
    expect([d.word(0), d.word(1)]).toEqual([O.F_OWNER_TID, 1]);
    expect(d.fault(1, OP.OP_FCNTL, r, O.F_SETOWN_EX, USER)).toBe(-E.EFAULT);
    expect([fcntl(r, O.F_SETSIG, 65), fcntl(r, O.F_SETSIG, 10), fcntl(r, O.F_GETSIG)]).toEqual([
      -E.EINVAL,
      0,
      10,
    ]);
  });
});

/** struct flock of x86-64. */
function flock(type: number, start = 0, length = 0, whence = 0, pid = 0): Uint8Array {
  const bytes = new Uint8Array(32);
  const view = new DataView(bytes.buffer);
  view.setInt16(0, type, true);
  view.setInt16(2, whence, true);
  view.setBigInt64(8, BigInt(start), true);
  view.setBigInt64(16, BigInt(length), true);
  view.setInt32(24, pid, true);
  return bytes;
}
const lock = (fd: number, cmd: number, request: Uint8Array, tid = 1): number =>
  d.mem(tid, OP.OP_FCNTL, [fd, cmd, USER], request);
/** The lock in the way of a write lock: [type, start, length, pid]. */
function inTheWay(fd: number, tid: number, start = 0, length = 0): number[] {
  expect(lock(fd, O.F_GETLK, flock(O.F_WRLCK, start, length), tid)).toBe(0);
  const view = new DataView(d.out.buffer, d.out.byteOffset);
  const type = view.getInt16(0, true);
  if (type === O.F_UNLCK) return [];
  return [
    type,
    Number(view.getBigInt64(8, true)),
    Number(view.getBigInt64(16, true)),
    view.getInt32(24, true),
  ];
}

describe('record locks', () => {
  it('keep others out, and join, split and give way for their owner', () => {
    const fd = open(O.O_RDWR, 5);
    const child = d.fork();
    expect(lock(fd, O.F_SETLK, flock(O.F_WRLCK, 10, 10))).toBe(0);
    expect(lock(fd, O.F_SETLK, flock(O.F_WRLCK, 20, 10))).toBe(0);
    expect(inTheWay(fd, child)).toEqual([O.F_WRLCK, 10, 20, 1]);
    expect(lock(fd, O.F_SETLK, flock(O.F_UNLCK, 15, 5))).toBe(0);
    expect(inTheWay(fd, child, 13)).toEqual([O.F_WRLCK, 10, 5, 1]);
    expect(inTheWay(fd, child, 15, 5)).toEqual([]);
    expect(inTheWay(fd, child, 16)).toEqual([O.F_WRLCK, 20, 10, 1]);
    expect(lock(fd, O.F_SETLK, flock(O.F_RDLCK, 12, 1))).toBe(0);
    expect(lock(fd, O.F_SETLK, flock(O.F_RDLCK, 12, 1), child)).toBe(0);
    expect(lock(fd, O.F_SETLK, flock(O.F_WRLCK, 12, 1), child)).toBe(-E.EAGAIN);
    expect(lock(fd, O.F_SETLK, flock(O.F_WRLCK, 15, 5), child)).toBe(0);
    expect(lock(fd, O.F_SETLK, flock(O.F_UNLCK))).toBe(0);
    expect(inTheWay(fd, 1)).toEqual([O.F_RDLCK, 12, 1, child]);
    expect(inTheWay(fd, child)).toEqual([]);
  });

  it('are not inherited, and go with any descriptor of the file that the owner closes', () => {
    const fd = open(O.O_RDWR, 5);
    lock(fd, O.F_SETLK, flock(O.F_WRLCK));
    const child = d.fork();
    // the child's close takes nothing away
    close(fd, child);
    const other = open(O.O_RDWR, 5, child);
    expect(lock(other, O.F_SETLK, flock(O.F_RDLCK), child)).toBe(-E.EAGAIN);
    const second = open(O.O_RDONLY, 5);
    close(second);
    expect(lock(other, O.F_SETLK, flock(O.F_RDLCK), child)).toBe(0);
    expect(lock(fd, O.F_SETLK, flock(O.F_WRLCK))).toBe(-E.EAGAIN);
    d.exit(child);
    expect(lock(fd, O.F_SETLK, flock(O.F_WRLCK))).toBe(0);
    d.call(1, OP.OP_DUP2, 0, fd);
    expect(d.k.counts().fileLocks).toBe(0);
  });

  it('belong to those that share a descriptor table', () => {
    const fd = open(O.O_RDWR, 5);
    const twin = d.call(1, OP.OP_CLONE, C.CLONE_FILES | S.SIGCHLD);
    lock(fd, O.F_SETLK, flock(O.F_WRLCK));
    expect(lock(fd, O.F_SETLK, flock(O.F_WRLCK), twin)).toBe(0);
    d.exit(twin);
    expect(d.k.counts().fileLocks).toBe(1);
  });

  it('are waited for, until they are free, a signal comes, or it would never end', () => {
    const fd = open(O.O_RDWR, 5);
    const [a, b, c] = [d.fork(), d.fork(), d.fork()];
    lock(fd, O.F_SETLK, flock(O.F_WRLCK, 0, 1), a);
    lock(fd, O.F_SETLK, flock(O.F_WRLCK, 1, 1), b);
    lock(fd, O.F_SETLK, flock(O.F_WRLCK, 2, 1), c);
    expect(lock(fd, O.F_SETLKW, flock(O.F_WRLCK, 1, 1), a)).toBe(SLEEPS);
    expect(lock(fd, O.F_SETLKW, flock(O.F_WRLCK, 2, 1), b)).toBe(SLEEPS);
    expect(lock(fd, O.F_SETLKW, flock(O.F_RDLCK, 0, 1), c)).toBe(-E.EDEADLK);
    expect(lock(fd, O.F_SETLK, flock(O.F_UNLCK, 2, 1), c)).toBe(0);
    expect([d.resume(a), d.resume(b)]).toEqual([SLEEPS, 0]);
    d.call(1, OP.OP_KILL, a, S.SIGUSR1);
    expect(d.resume(a)).toBe(-E.ERESTARTSYS);
    expect(d.k.counts().waiters).toBe(0);
  });

  it('of open files are shared by their copies and gone with the last of them', () => {
    const fd = open(O.O_RDWR, 5);
    const child = d.fork();
    expect(lock(fd, O.F_OFD_SETLK, flock(O.F_WRLCK))).toBe(0);
    expect(lock(fd, O.F_OFD_SETLK, flock(O.F_WRLCK), child)).toBe(0);
    const other = open(O.O_RDWR, 5);
    expect(lock(other, O.F_OFD_SETLK, flock(O.F_RDLCK))).toBe(-E.EAGAIN);
    expect(lock(other, O.F_SETLK, flock(O.F_RDLCK))).toBe(-E.EAGAIN);
    expect(inTheWay(other, 1)).toEqual([O.F_WRLCK, 0, 0, -1]);
    close(fd);
    expect(lock(other, O.F_OFD_SETLKW, flock(O.F_RDLCK))).toBe(SLEEPS);
    close(fd, child);
    expect(d.resume(1)).toBe(0);
    expect(lock(other, O.F_OFD_SETLK, flock(O.F_RDLCK, 0, 0, 0, 7))).toBe(-E.EINVAL);
  });

  it('fail in this order: memory, request, direction', () => {
    const fd = open(O.O_RDONLY, 5);
    const out = open(O.O_WRONLY, 5);
    expect(d.fault(1, OP.OP_FCNTL, fd, O.F_SETLK, USER)).toBe(-E.EFAULT);
    expect(lock(fd, O.F_SETLK, flock(O.F_RDLCK, 0, 0, 7))).toBe(-E.EINVAL);
    expect(lock(fd, O.F_SETLK, flock(7))).toBe(-E.EINVAL);
    expect(lock(fd, O.F_SETLK, flock(O.F_RDLCK, -1))).toBe(-E.EINVAL);
    expect(lock(fd, O.F_SETLK, flock(O.F_RDLCK, 5, -6))).toBe(-E.EINVAL);
    const most = new Uint8Array(flock(O.F_RDLCK));
    new DataView(most.buffer).setBigInt64(8, (1n << 63n) - 2n, true);
    new DataView(most.buffer).setBigInt64(16, 9n, true);
    expect(lock(fd, O.F_SETLK, most)).toBe(-E.EOVERFLOW);
    expect(lock(fd, O.F_SETLK, flock(O.F_WRLCK))).toBe(-E.EBADF);
    expect(lock(out, O.F_SETLK, flock(O.F_RDLCK))).toBe(-E.EBADF);
    expect(lock(fd, O.F_GETLK, flock(O.F_UNLCK))).toBe(-E.EINVAL);
    expect(lock(fd, O.F_SETLK, flock(O.F_RDLCK, 5, -5))).toBe(0);
    expect(inTheWay(fd, d.fork())).toEqual([O.F_RDLCK, 0, 5, 1]);
    expect(d.k.counts().fileLocks).toBe(1);
  });
});

describe('flock', () => {
  const flockOf = (fd: number, how: number, tid = 1): number => d.call(tid, OP.OP_FLOCK, fd, how);

  it('belongs to the open file', () => {
    const fd = open(O.O_RDONLY, 9);
    const child = d.fork();
    const other = open(O.O_RDONLY, 9, child);
    expect([flockOf(fd, O.LOCK_EX), flockOf(fd, O.LOCK_EX, child)]).toEqual([0, 0]);
    expect(flockOf(other, O.LOCK_SH | O.LOCK_NB, child)).toBe(-E.EAGAIN);
    expect(flockOf(fd, O.LOCK_SH)).toBe(0);
    expect(flockOf(other, O.LOCK_SH | O.LOCK_NB, child)).toBe(0);
    // a conversion gives up first what is held
    expect(flockOf(fd, O.LOCK_EX | O.LOCK_NB)).toBe(-E.EAGAIN);
    expect(flockOf(other, O.LOCK_EX, child)).toBe(0);
    expect(flockOf(fd, O.LOCK_SH)).toBe(SLEEPS);
    d.exit(child);
    expect(d.resume(1)).toBe(0);
    close(fd);
    expect(d.k.counts()).toMatchObject({ fileLocks: 0, inodes: 0 });
  });

  it('fails in this order: operation, descriptor', () => {
    expect([flockOf(99, 0), flockOf(99, 3), flockOf(99, O.LOCK_EX)]).toEqual([
      -E.EINVAL,
      -E.EINVAL,
      -E.EBADF,
    ]);
    expect(flockOf(open(0, 9), O.LOCK_UN)).toBe(0);
  });
});

describe('kcmp', () => {
  const kcmp = (type: number, a: number, b: number, x = 0, y = 0): number =>
    d.call(1, OP.OP_KCMP, a, b, type, x, y);

  it('tells what two processes share', () => {
    const twin = d.call(1, OP.OP_CLONE, C.CLONE_FILES | C.CLONE_FS | S.SIGCHLD);
    const child = d.fork();
    const copy = d.call(1, OP.OP_DUP, 0);
    expect(kcmp(O.KCMP_FILE, 1, 1, 0, copy)).toBe(0);
    expect(kcmp(O.KCMP_FILE, 1, child, 0, 0)).toBe(0);
    expect([1, 2]).toContain(kcmp(O.KCMP_FILE, 1, 1, 0, 1));
    expect([kcmp(O.KCMP_FILES, 1, twin), kcmp(O.KCMP_FS, 1, twin)]).toEqual([0, 0]);
    expect(kcmp(O.KCMP_FILES, 1, child)).toBeGreaterThan(0);
    expect(kcmp(O.KCMP_FS, 1, child)).toBeGreaterThan(0);
    expect(kcmp(O.KCMP_SIGHAND, 1, child)).toBeGreaterThan(0);
    expect(kcmp(O.KCMP_SIGHAND, child, child)).toBe(0);
    expect(kcmp(O.KCMP_VM, 1, 1)).toBe(0);
    expect([kcmp(O.KCMP_FILE, 1, 1, 0, 99), kcmp(99, 1, 1), kcmp(0, 1, 4321)]).toEqual([
      -E.EBADF,
      -E.EINVAL,
      -E.ESRCH,
    ]);
  });
});

describe('poll and select', () => {
  const set = (...fds: number[]): Uint8Array => {
    const bytes = new Uint8Array(128);
    for (const fd of fds) bytes[fd >> 3]! |= 1 << (fd & 7);
    return bytes;
  };
  /** A select on readable ones: result, and the set that it leaves (`null`: as it was). */
  function select(n: number, fds: number[], sec = 0, tid = 1): [number, number[]] {
    const memory = new Uint8Array(256);
    memory.set(set(...fds));
    memory.set(longs(sec, 0), 192);
    const r = d.mem(tid, OP.OP_SELECT, [n, USER, 0, 0, USER + 192], memory);
    const left = fds.filter((fd) => d.out[fd >> 3]! & (1 << (fd & 7)));
    return [r, left];
  }

  it('poll takes no more than the limit, skips -1, and tells closed ones', () => {
    expect(d.mem(1, OP.OP_POLL, [USER, 1025, 0], 16)).toBe(-E.EINVAL);
    expect(d.fault(1, OP.OP_POLL, USER, 1, 0)).toBe(-E.EFAULT);
    expect(d.mem(1, OP.OP_POLL, [USER, 2, 0], words(-1, 0x10021, 77, 1))).toBe(1);
    expect([d.word(1), d.word(3) >>> 16]).toEqual([0x21, O.POLLNVAL]);
    expect(d.call(1, OP.OP_POLL, 0, 0, 0)).toBe(0);
    const many = new Uint8Array(1000 * 8);
    for (let i = 0; i < 1000; ++i) new DataView(many.buffer).setInt32(i * 8, -1, true);
    new DataView(many.buffer).setInt32(7992, 0, true);
    new DataView(many.buffer).setInt16(7996, O.POLLIN, true);
    expect(d.mem(1, OP.OP_POLL, [USER, 1000, 0], many)).toBe(1);
  });

  it('poll looks its descriptors up again when it goes on', () => {
    const [r, w] = pipe();
    const thread = d.call(1, OP.OP_CLONE, 0x10f00);
    const pollfd = words(r, O.POLLIN);
    expect(d.mem(thread, OP.OP_POLL, [USER, 1, -1], pollfd)).toBe(SLEEPS);
    close(r);
    expect(d.k.isWoken(thread)).toBe(false);
    d.call(1, OP.OP_WRITE, w, AT, 1);
    expect(d.resume(thread)).toBe(1);
  });

  it('select leaves what is ready, and does not look above its table', () => {
    const [r, w] = pipe();
    expect(select(r + 1, [r])).toEqual([0, []]);
    d.call(1, OP.OP_WRITE, w, AT, 1);
    expect(select(r + 1, [0, r])).toEqual([2, [0, r]]);
    // nothing is written up there
    expect(select(501, [500])).toEqual([0, [500]]);
    expect(select(-1, [])[0]).toBe(-E.EINVAL);
    expect(select(40, [39])).toEqual([-E.EBADF, [39]]);
    expect(d.mem(1, OP.OP_SELECT, [1, USER, 0, 0, USER], longs(1, -1))).toBe(-E.EINVAL);
    expect(d.fault(1, OP.OP_SELECT, 1, USER, 0, 0, 0)).toBe(-E.EFAULT);
  });

  it('select tells writable and exceptional ones in sets of their own', () => {
    const [r, w] = pipe();
    const memory = new Uint8Array(384);
    memory.set(set(r), 0);
    memory.set(set(w), 128);
    memory.set(set(r, w), 256);
    expect(d.mem(1, OP.OP_SELECT, [w + 1, USER, USER + 128, USER + 256, 0], memory)).toBe(1);
    expect([d.out[0], d.out[128], d.out[256]]).toEqual([0, 1 << w, 0]);
  });

  it('both end by events, signals and timeouts', () => {
    const [r, w] = pipe();
    const [a, b] = [d.fork(), d.fork()];
    expect(select(r + 1, [r], 5, a)[0]).toBe(SLEEPS);
    expect(select(r + 1, [r], 9, b)[0]).toBe(SLEEPS);
    d.k.clockSet(5_000_000_000n);
    expect([d.k.woken(), d.resume(a)]).toEqual([[a], 0]);
    d.call(1, OP.OP_WRITE, w, AT, 1);
    expect(d.resume(b)).toBe(1);
    d.call(1, OP.OP_READ, r, AT, 1);
    expect(d.call(a, OP.OP_PSELECT6, 0, 0, 0, 0, 0, 0)).toBe(SLEEPS);
    d.call(1, OP.OP_KILL, a, S.SIGUSR1);
    expect(d.resume(a)).toBe(-E.ERESTARTNOHAND);
    expect(d.call(b, OP.OP_POLL, 0, 0, -1)).toBe(SLEEPS);
    d.call(1, OP.OP_KILL, b, S.SIGUSR1);
    expect(d.resume(b)).toBe(-E.ERESTART_RESTARTBLOCK);
  });

  it('pselect6 and ppoll have a mask while they last', () => {
    const child = d.fork();
    const mask = (): bigint => d.k.task(child)!.blocked;
    const memory = longs(1, 0, USER + 32, 8, 0x200);
    const args = [0, 0, 0, 0, USER, USER + 16];
    expect(d.mem(child, OP.OP_PSELECT6, args, memory)).toBe(SLEEPS);
    expect(mask()).toBe(0x200n);
    d.k.expire(child);
    expect([d.resume(child), mask()]).toEqual([0, 0n]);
    expect(d.mem(child, OP.OP_PPOLL, [0, 0, USER, USER + 32, 4], memory)).toBe(-E.EINVAL);
    expect(d.mem(child, OP.OP_PPOLL, [0, 0, USER, USER + 32, 8], memory)).toBe(SLEEPS);
    d.call(1, OP.OP_KILL, child, S.SIGUSR2);
    expect([d.resume(child), mask()]).toEqual([-E.ERESTARTNOHAND, 0x200n]);
    d.call(1, OP.OP_KILL, child, S.SIGUSR1);
    expect(mask()).toBe(0x200n);
  });

  it('the readiness of a file of the world is what the host says', () => {
    const fd = open(O.O_RDWR);
    const file = d.k.file(1, fd)!;
    const child = d.fork();
    d.k.fileEvent(file, FILE_EVENT_READY, 0);
    expect(d.mem(child, OP.OP_POLL, [USER, 1, -1], words(fd, O.POLLIN))).toBe(SLEEPS);
    d.k.fileEvent(file, FILE_EVENT_READY, O.POLLPRI);
    expect(d.resume(child)).toBe(SLEEPS);
    d.k.fileEvent(file, FILE_EVENT_READY, O.POLLIN);
    expect(d.resume(child)).toBe(1);
  });
});
