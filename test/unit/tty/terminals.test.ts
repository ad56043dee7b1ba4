// Protects: whose a terminal is, who may change its foreground group and who is stopped by asking,
// what a hangup does, orphaned process groups, pairs of pseudo-terminals; each errno in its order.
import { beforeEach, describe, expect, it } from 'vitest';
import * as E from '../../../assembly/uapi/errno.ts';
import * as FC from '../../../assembly/uapi/fcntl.ts';
import * as OP from '../../../assembly/uapi/op.ts';
import * as N from '../../../assembly/uapi/signal.ts';
import * as Y from '../../../assembly/uapi/tty.ts';
import { WUNTRACED } from '../../../assembly/uapi/wait.ts';
import { type Driver, driver, longs, USER, words } from '../kernel/driver.ts';

let d: Driver;
beforeEach(async () => {
  d = await driver();
  return () => expect(d.k.check()).toEqual([]);
});

/** open(2) of a path, which the world lets happen. */
function open(tid: number, path: string, flags: number = FC.O_RDWR): number {
  const frame = d.k.frame.begin(tid, 0, OP.OP_OPENAT).setArg(0, FC.AT_FDCWD);
  frame
    .window(USER, Buffer.from(`${path}\0`), 'r')
    .setArg(1, USER)
    .setArg(2, flags);
  frame.assistRet(0);
  d.k.trap();
  return frame.result;
}
const ioctl = (tid: number, fd: number, cmd: number, arg: number = 0): number =>
  d.call(tid, OP.OP_IOCTL, fd, cmd, arg);
/** An ioctl with an int behind its address. */
const with_int = (tid: number, fd: number, cmd: number, value = 0): number =>
  d.mem(tid, OP.OP_IOCTL, [fd, cmd, USER], words(value));
const setsid = (tid: number): number => d.call(tid, OP.OP_SETSID);
const setpgid = (tid: number, pid: number, pgid: number): number =>
  d.call(tid, OP.OP_SETPGID, pid, pgid);
const getpgrp = (tid: number, fd: number): number => with_int(tid, fd, Y.TIOCGPGRP) || d.word(0);
const setpgrp = (tid: number, fd: number, pgrp: number): number =>
  with_int(tid, fd, Y.TIOCSPGRP, pgrp);
const action = (tid: number, sig: number, handler: number): number =>
  d.mem(tid, OP.OP_RT_SIGACTION, [sig, USER, 0, 8], longs(handler, 0, 0, 0));
const block = (tid: number, sig: number): number =>
  d.mem(tid, OP.OP_RT_SIGPROCMASK, [0, USER, 0, 8], longs(1n << BigInt(sig - 1)));
const close = (tid: number, fd: number): number => d.call(tid, OP.OP_CLOSE, fd);
const read = (tid: number, fd: number): number => d.call(tid, OP.OP_READ, fd, 0x9000, 8);
const write = (tid: number, fd: number): number => d.call(tid, OP.OP_WRITE, fd, 0x9000, 8);
const pending = (tid: number): bigint => d.k.task(tid)?.pending ?? -1n;
const bits = (...sigs: number[]): bigint =>
  sigs.reduce((sum, s) => sum | (1n << BigInt(s - 1)), 0n);

interface Session {
  leader: number;
  master: number;
  slave: number;
}

/** A session with a terminal: the master's descriptor and the other one are the leader's. */
function session(): Session {
  const leader = d.fork();
  setsid(leader);
  const master = open(leader, '/dev/ptmx');
  with_int(leader, master, Y.TIOCSPTLCK, 0);
  with_int(leader, master, Y.TIOCGPTN);
  const slave = open(leader, `/dev/pts/${d.word(0)}`);
  return { leader, master, slave };
}

/** A child of the leader in a group of its own. */
function job(leader: number): number {
  const child = d.fork(leader);
  setpgid(child, 0, 0);
  return child;
}

describe('a pair', () => {
  it('has the lowest free number, and is locked at first', () => {
    const a = open(1, '/dev/ptmx');
    const b = open(1, '/dev/pts/ptmx');
    with_int(1, a, Y.TIOCGPTN);
    expect(d.word(0)).toBe(0);
    with_int(1, b, Y.TIOCGPTN);
    expect(d.word(0)).toBe(1);
    expect(with_int(1, b, Y.TIOCGPTLCK)).toBe(0);
    expect(d.word(0)).toBe(1);
    expect(open(1, '/dev/pts/1')).toBe(-E.EIO);
    expect(ioctl(1, b, Y.TIOCGPTPEER, FC.O_RDWR)).toBe(-E.EIO);
    expect(with_int(1, b, Y.TIOCSPTLCK, 0)).toBe(0);
    const slave = open(1, '/dev/pts/1', FC.O_RDWR | FC.O_NOCTTY);
    expect(slave).toBeGreaterThan(b);
    expect(ioctl(1, b, Y.TIOCGPTPEER, FC.O_RDWR | FC.O_NOCTTY)).toBe(slave + 1);
    close(1, a);
    expect(d.k.counts().ttys).toBe(1);
    with_int(1, open(1, '/dev/ptmx'), Y.TIOCGPTN);
    expect(d.word(0)).toBe(0);
  });

  it('answers questions about itself on the master alone', () => {
    const { leader, slave } = session();
    for (const cmd of [Y.TIOCGPTN, Y.TIOCSPTLCK, Y.TIOCGPTLCK, Y.TIOCGPTPEER]) {
      expect(ioctl(leader, slave, cmd)).toBe(-E.ENOTTY);
    }
    expect(d.fault(leader, OP.OP_IOCTL, slave, Y.TIOCGPGRP, USER)).toBe(-E.EFAULT);
  });

  it('takes the number that the world gives', () => {
    const a = open(1, '/dev/ptmx');
    const frame = d.k.frame.begin(1, 0, OP.OP_IOCTL).setArg(0, a).setArg(1, Y.TIOCGPTN);
    frame.window(USER, 4, 'w').setArg(2, USER).assistPid(7);
    d.k.trap();
    expect(frame.result).toBe(0);
    with_int(1, a, Y.TIOCSPTLCK, 0);
    expect(d.k.file(1, open(1, '/dev/pts/7'))?.terminal?.index).toBe(7);
  });

  it('keeps its settings; its size is told to the foreground', () => {
    const { leader, master, slave } = session();
    const settings = words(1, 2, 3, 4, 5, 6, 7, 8, 9);
    expect(d.mem(leader, OP.OP_IOCTL, [slave, Y.TCSETSW, USER], settings)).toBe(0);
    expect(d.mem(leader, OP.OP_IOCTL, [master, Y.TCGETS, USER], 36)).toBe(0);
    expect(d.out).toEqual(settings);
    expect(d.mem(leader, OP.OP_IOCTL, [slave, Y.TCGETS2, USER], 44)).toBe(0);
    expect(d.word(9)).toBe(38400);
    action(leader, N.SIGWINCH, 0x4000);
    const size = [slave, Y.TIOCSWINSZ, USER];
    expect(d.mem(leader, OP.OP_IOCTL, size, words(80, 24))).toBe(0);
    expect(d.deliver(leader)).toEqual([N.SIGWINCH]);
    expect(d.mem(leader, OP.OP_IOCTL, size, words(80, 24))).toBe(0);
    expect(d.deliver(leader)).toEqual([]);
    expect(d.mem(leader, OP.OP_IOCTL, [master, Y.TIOCGWINSZ, USER], 8)).toBe(0);
    expect([d.word(0), d.word(1)]).toEqual([80, 24]);
  });
});

describe('a controlling terminal', () => {
  it('is acquired by a session leader that opens one', () => {
    const { leader, slave } = session();
    expect(open(leader, '/dev/tty')).toBeGreaterThan(slave);
    expect(getpgrp(leader, slave)).toBe(leader);
    expect(with_int(leader, slave, Y.TIOCGSID)).toBe(0);
    expect(d.word(0)).toBe(leader);
  });

  it('is not acquired with O_NOCTTY, for writing alone, by others than leaders', () => {
    const leader = d.fork();
    setsid(leader);
    const master = open(leader, '/dev/ptmx');
    with_int(leader, master, Y.TIOCSPTLCK, 0);
    const child = d.fork(leader);
    open(leader, '/dev/pts/0', FC.O_RDWR | FC.O_NOCTTY);
    open(leader, '/dev/pts/0', FC.O_WRONLY);
    open(child, '/dev/pts/0');
    for (const tid of [leader, child]) expect(open(tid, '/dev/tty')).toBe(-E.ENXIO);
    const path = open(leader, '/dev/tty', FC.O_PATH);
    expect(path).toBeGreaterThan(0);
    expect(ioctl(leader, path, Y.TIOCGPGRP)).toBe(-E.EBADF);
  });

  it('is inherited by fork, left by setsid, and acquired for the leader alone', () => {
    const { leader, slave } = session();
    const child = d.fork(leader);
    expect(getpgrp(child, slave)).toBe(leader);
    setsid(child);
    expect(open(child, '/dev/tty')).toBe(-E.ENXIO);
    expect(getpgrp(child, slave)).toBe(-E.ENOTTY);
    // a child from before has none, although its session has
    const other = d.fork();
    setsid(other);
    const early = d.fork(other);
    const master = open(other, '/dev/ptmx');
    with_int(other, master, Y.TIOCSPTLCK, 0);
    open(other, '/dev/pts/1');
    expect(open(other, '/dev/tty')).toBeGreaterThan(0);
    expect(open(early, '/dev/tty')).toBe(-E.ENXIO);
  });

  it('TIOCSCTTY: leaders without one, of nobody; stolen by force with CAP_SYS_ADMIN', () => {
    const { leader, slave } = session();
    expect(ioctl(leader, slave, Y.TIOCSCTTY)).toBe(0);
    const child = d.fork(leader);
    expect(ioctl(child, slave, Y.TIOCSCTTY)).toBe(-E.EPERM);
    setsid(child);
    expect(ioctl(child, slave, Y.TIOCSCTTY)).toBe(-E.EPERM);
    expect(ioctl(child, slave, Y.TIOCSCTTY, 2)).toBe(-E.EPERM);
    const user = d.fork(leader);
    d.call(user, OP.OP_SETRESUID, 9, 9, 9);
    setsid(user);
    expect(ioctl(user, slave, Y.TIOCSCTTY, 1)).toBe(-E.EPERM);
    expect(ioctl(child, slave, Y.TIOCSCTTY, 1)).toBe(0);
    expect(getpgrp(child, slave)).toBe(child);
    expect(getpgrp(leader, slave)).toBe(-E.ENOTTY);
    expect(pending(leader)).toBe(0n);
    // a leader that has another one
    const second = open(child, '/dev/ptmx');
    expect(ioctl(child, second, Y.TIOCSCTTY, 1)).toBe(-E.EPERM);
  });

  it('TIOCSCTTY on a file that is for writing alone', () => {
    const master = open(1, '/dev/ptmx');
    with_int(1, master, Y.TIOCSPTLCK, 0);
    const slave = open(1, '/dev/pts/0', FC.O_WRONLY | FC.O_NOCTTY);
    const user = d.unprivileged();
    setsid(user);
    expect(ioctl(user, slave, Y.TIOCSCTTY)).toBe(-E.EPERM);
    const root = d.fork();
    setsid(root);
    expect(ioctl(root, slave, Y.TIOCSCTTY)).toBe(0);
  });

  it('TIOCNOTTY: of one process, or by the leader of the whole session', () => {
    const { leader, master, slave } = session();
    const [a, b] = [d.fork(leader), d.fork(leader)];
    expect(ioctl(a, slave, Y.TIOCNOTTY)).toBe(0);
    expect(ioctl(a, slave, Y.TIOCNOTTY)).toBe(-E.ENOTTY);
    expect(ioctl(b, master, Y.TIOCNOTTY)).toBe(-E.ENOTTY);
    for (const tid of [leader, a, b]) action(tid, N.SIGHUP, 0x4000);
    expect(ioctl(leader, slave, Y.TIOCNOTTY)).toBe(0);
    const { k } = d;
    const taken = k.exitToUser(b);
    expect(taken.info).toMatchObject({ signo: N.SIGHUP, code: N.SI_USER, pid: leader });
    expect(pending(b)).toBe(0n);
    for (const tid of [leader, b]) expect(open(tid, '/dev/tty')).toBe(-E.ENXIO);
    expect(with_int(leader, master, Y.TIOCGSID)).toBe(-E.ENOTTY);
    expect(getpgrp(leader, master)).toBe(0);
  });
});

describe('the foreground group', () => {
  it('TIOCSPGRP: EFAULT, EINVAL, ENOTTY, ESRCH, EPERM, in this order', () => {
    const { leader, master, slave } = session();
    expect(d.fault(leader, OP.OP_IOCTL, slave, Y.TIOCSPGRP, USER)).toBe(-E.EFAULT);
    const stranger = d.fork(leader);
    setsid(stranger);
    expect(setpgrp(stranger, slave, -5)).toBe(-E.EINVAL);
    expect(setpgrp(stranger, slave, stranger)).toBe(-E.ENOTTY);
    expect(setpgrp(leader, slave, 99_999)).toBe(-E.ESRCH);
    expect(setpgrp(leader, slave, stranger)).toBe(-E.EPERM);
    const child = job(leader);
    expect(setpgrp(leader, master, child)).toBe(0);
    expect(getpgrp(leader, slave)).toBe(child);
    expect(getpgrp(stranger, slave)).toBe(-E.ENOTTY);
    expect(getpgrp(stranger, master)).toBe(child);
  });

  it('stops who changes it from the background', () => {
    const { leader, slave } = session();
    const child = job(leader);
    expect(setpgrp(child, slave, child)).toBe(-E.ERESTARTSYS);
    expect(pending(child)).toBe(bits(N.SIGTTOU));
    expect(d.deliver(child)).toEqual([N.SIGTTOU]);
    expect(d.call(leader, OP.OP_WAIT4, child, 0, WUNTRACED, 0)).toBe(child);
    expect(getpgrp(leader, slave)).toBe(leader);
  });

  it('is changed by who blocks or ignores SIGTTOU', () => {
    const { leader, slave } = session();
    const [a, b] = [job(leader), job(leader)];
    block(a, N.SIGTTOU);
    expect(setpgrp(a, slave, a)).toBe(0);
    action(b, N.SIGTTOU, 1);
    expect(setpgrp(b, slave, b)).toBe(0);
    expect(getpgrp(leader, slave)).toBe(b);
  });

  it('is not to be had for an orphaned group: ENOTTY, EIO', () => {
    const { leader, slave } = session();
    const middle = job(leader);
    const orphan = d.fork(middle);
    setpgid(orphan, 0, 0);
    d.exit(middle);
    d.wait(leader);
    expect(setpgrp(orphan, slave, orphan)).toBe(-E.ENOTTY);
    expect(d.mem(orphan, OP.OP_IOCTL, [slave, Y.TCSETS, USER], 36)).toBe(-E.EIO);
    expect(read(orphan, slave)).toBe(-E.EIO);
    expect(pending(orphan)).toBe(0n);
    // neither does it stop by itself
    d.call(leader, OP.OP_KILL, orphan, N.SIGTSTP);
    expect(d.deliver(orphan)).toEqual([N.SIGTSTP]);
    expect(d.k.task(orphan)?.state).toBe('R');
  });
});

describe('reads and writes', () => {
  it('a read in the background: SIGTTIN, or EIO for who does not listen', () => {
    const { leader, slave } = session();
    const [a, b, c] = [job(leader), job(leader), job(leader)];
    expect(read(leader, slave)).toBe(0);
    expect(read(a, slave)).toBe(-E.ERESTARTSYS);
    expect(d.deliver(a)).toEqual([N.SIGTTIN]);
    block(b, N.SIGTTIN);
    expect(read(b, slave)).toBe(-E.EIO);
    action(c, N.SIGTTIN, 1);
    expect(read(c, slave)).toBe(-E.EIO);
    expect(d.mem(c, OP.OP_READV, [slave, USER, 1], longs(0x9000, 4))).toBe(-E.EIO);
  });

  it('a write in the background stops with TOSTOP alone', () => {
    const { leader, slave } = session();
    const child = job(leader);
    expect(write(child, slave)).toBe(8);
    const settings = words(0, 0, 0, Y.TOSTOP, 0, 0, 0, 0, 0);
    expect(d.mem(child, OP.OP_IOCTL, [slave, Y.TCSETS, USER], settings)).toBe(-E.ERESTARTSYS);
    expect(d.deliver(child)).toEqual([N.SIGTTOU]);
    d.call(leader, OP.OP_KILL, child, N.SIGCONT);
    d.deliver(child);
    expect(d.mem(leader, OP.OP_IOCTL, [slave, Y.TCSETS, USER], settings)).toBe(0);
    expect(write(child, slave)).toBe(-E.ERESTARTSYS);
    expect(write(leader, slave)).toBe(8);
    action(child, N.SIGTTOU, 1);
    expect(write(child, slave)).toBe(8);
  });

  it('the master is nobody’s to be stopped by', () => {
    const { leader, master } = session();
    const child = job(leader);
    expect(read(child, master)).toBe(0);
    expect(write(child, master)).toBe(8);
  });
});

describe('a hangup', () => {
  it('by the end of the session’s leader: SIGHUP for the foreground group', () => {
    const { leader, slave } = session();
    const child = job(leader);
    setpgrp(leader, slave, child);
    action(child, N.SIGHUP, 0x4000);
    d.exit(leader);
    const { info } = d.k.exitToUser(child);
    expect(info).toMatchObject({ signo: N.SIGHUP, code: N.SI_KERNEL });
    expect(d.k.task(child)?.pending).toBe(0n);
    expect(open(child, '/dev/tty')).toBe(-E.ENXIO);
    // the terminal may be another session's now
    const next = d.fork(child);
    setsid(next);
    expect(ioctl(next, slave, Y.TIOCSCTTY)).toBe(0);
  });

  it('by the last close of the master: the leader hears of it, then its foreground group', () => {
    const leader = d.fork();
    setsid(leader);
    const master = open(1, '/dev/ptmx');
    with_int(1, master, Y.TIOCSPTLCK, 0);
    const slave = open(leader, '/dev/pts/0');
    const child = job(leader);
    for (const tid of [leader, child]) {
      for (const sig of [N.SIGHUP, N.SIGCONT]) action(tid, sig, 0x4000);
    }
    setpgrp(leader, slave, child);
    close(1, master);
    expect(d.deliver(leader)).toEqual([N.SIGHUP, N.SIGCONT]);
    expect(pending(child)).toBe(0n);
    expect(open(leader, '/dev/tty')).toBe(-E.ENXIO);
    expect(read(leader, slave)).toBe(0);
    expect(write(leader, slave)).toBe(-E.EIO);
    expect(setpgrp(leader, slave, leader)).toBe(-E.ENOTTY);
    expect(getpgrp(leader, slave)).toBe(-E.EIO);
    expect(ioctl(leader, slave, Y.TCGETS)).toBe(-E.EIO);
    expect(d.k.check()).toEqual([]);
    // a fork does not inherit what the leader remembers
    d.fork(leader);
    d.exit(leader);
    expect(d.deliver(child)).toEqual([N.SIGHUP, N.SIGCONT]);
    close(child, slave);
  });

  it('by vhangup: what is open then is of no use, what is opened later is', () => {
    const { leader, slave } = session();
    const user = d.fork(leader);
    d.call(user, OP.OP_SETRESUID, 9, 9, 9);
    expect(d.call(user, OP.OP_VHANGUP)).toBe(-E.EPERM);
    expect(ioctl(user, slave, Y.TIOCVHANGUP)).toBe(-E.EPERM);
    action(leader, N.SIGHUP, 1);
    expect(d.call(leader, OP.OP_VHANGUP)).toBe(0);
    expect(write(leader, slave)).toBe(-E.EIO);
    const again = open(leader, '/dev/pts/0');
    expect(write(leader, again)).toBe(8);
    expect(getpgrp(leader, again)).toBe(leader);
    expect(ioctl(leader, again, Y.TIOCVHANGUP)).toBe(0);
    expect(d.call(leader, OP.OP_VHANGUP)).toBe(0);
  });

  it('by the end of a leader that has nothing of its own', () => {
    const master = open(1, '/dev/ptmx');
    with_int(1, master, Y.TIOCSPTLCK, 0);
    const slave = open(1, '/dev/pts/0', FC.O_RDWR | FC.O_NOCTTY);
    const leader = d.fork();
    setsid(leader);
    expect(ioctl(leader, slave, Y.TIOCSCTTY)).toBe(0);
    d.exit(leader);
    expect(with_int(1, master, Y.TIOCGSID)).toBe(-E.ENOTTY);
    d.wait(1);
  });

  it('a session without members left frees its pair with the last descriptor', () => {
    const { leader } = session();
    d.exit(leader);
    expect(d.k.counts().ttys).toBe(0);
    d.wait(1);
  });
});

describe('an orphaned process group', () => {
  it('with a stopped member gets SIGHUP, then SIGCONT', () => {
    const shell = d.fork();
    setsid(shell);
    const middle = job(shell);
    const child = d.fork(middle);
    setpgid(child, 0, 0);
    action(child, N.SIGHUP, 0x4000);
    d.call(shell, OP.OP_KILL, child, N.SIGSTOP);
    d.deliver(child);
    expect(d.k.task(child)?.state).toBe('T');
    d.exit(middle);
    expect(d.k.task(child)?.state).not.toBe('T');
    expect(d.deliver(child)).toContain(N.SIGHUP);
  });
});
