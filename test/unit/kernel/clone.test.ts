// Protects: clone and clone3: every combination of flags that excludes itself, in Linux's order of
// tests; set_tid; CLONE_PARENT; cleared handlers; what a thread's end tells the host.
import { beforeEach, describe, expect, it } from 'vitest';
import * as E from '../../../assembly/uapi/errno.ts';
import * as OP from '../../../assembly/uapi/op.ts';
import * as C from '../../../assembly/uapi/sched.ts';
import * as N from '../../../assembly/uapi/signal.ts';
import { type Driver, driver, longs, USER, words } from './driver.ts';

let d: Driver;
beforeEach(async () => {
  d = await driver();
  return () => expect(d.k.check()).toEqual([]);
});

const clone = (tid: number, flags: number, parentTid = 0): number =>
  d.call(tid, OP.OP_CLONE, flags, 0, parentTid, 0, 0);
const FIELDS = [
  'flags',
  'pidfd',
  'child_tid',
  'parent_tid',
  'exit_signal',
  'stack',
  'stack_size',
  'tls',
  'set_tid',
  'set_tid_size',
  'cgroup',
];
type Fields = Record<string, number | bigint>;
/** Behind the struct in guest memory: numbers of set_tid, then room for what is written. */
const TIDS = USER + 88;
const OUT = USER + 120;

function clone3(tid: number, fields: Fields, size = 88, tids: number[] = []): number {
  const memory = new Uint8Array(Math.max(size, 160));
  memory.set(longs(...FIELDS.map((name) => fields[name] ?? 0)));
  memory.set(words(...tids), 88);
  return d.mem(tid, OP.OP_CLONE3, [USER, size], memory);
}

const THREAD = C.CLONE_VM | C.CLONE_SIGHAND | C.CLONE_THREAD;

describe('flags that exclude each other', () => {
  it.each([
    ['NEWNS and FS', C.CLONE_NEWNS | C.CLONE_FS],
    ['NEWUSER and FS', C.CLONE_NEWUSER | C.CLONE_FS],
    ['THREAD without SIGHAND', C.CLONE_THREAD | C.CLONE_VM],
    ['SIGHAND without VM', C.CLONE_SIGHAND],
    ['PARENT by an init', C.CLONE_PARENT],
    ['THREAD and NEWUSER', THREAD | C.CLONE_NEWUSER],
    ['THREAD and NEWPID', THREAD | C.CLONE_NEWPID],
    ['PIDFD and DETACHED', C.CLONE_PIDFD | C.CLONE_DETACHED],
    ['NEWIPC and SYSVSEM', C.CLONE_NEWIPC | C.CLONE_SYSVSEM],
  ])('%s', (_name, flags) => {
    expect(clone(1, flags | N.SIGCHLD)).toBe(-E.EINVAL);
    expect(d.k.counts().tasks).toBe(1);
  });

  it('PIDFD and PARENT_SETTID at the same address, before everything else', () => {
    const both = C.CLONE_PIDFD | C.CLONE_PARENT_SETTID;
    expect(d.mem(1, OP.OP_CLONE, [both, 0, USER], 4)).toBe(-E.EINVAL);
    expect(clone3(1, { flags: both, pidfd: OUT, parent_tid: OUT })).toBe(-E.EINVAL);
    expect(clone3(1, { flags: both, pidfd: OUT, parent_tid: OUT + 4, exit_signal: 17 })).toBe(2);
    expect([d.word(30), d.word(31)]).toEqual([3, 2]);
  });

  it('a thread once unshare has chosen another pid namespace for children', () => {
    d.call(1, OP.OP_UNSHARE, C.CLONE_NEWPID);
    expect(clone(1, THREAD)).toBe(-E.EINVAL);
  });

  it('NEWIPC and SYSVSEM after the privilege for namespaces', () => {
    const user = d.unprivileged();
    expect(clone(user, C.CLONE_NEWIPC | C.CLONE_SYSVSEM | N.SIGCHLD)).toBe(-E.EPERM);
  });

  it('clone takes any exit signal and ignores DETACHED', () => {
    expect(clone(1, C.CLONE_DETACHED | 200)).toBe(2);
    d.exit(2);
    expect(d.call(1, OP.OP_WAIT4, -1, 0, 0x80000000, 0)).toBe(2);
  });
});

describe('clone3', () => {
  it('measures its struct first', () => {
    expect(d.fault(1, OP.OP_CLONE3, USER, 4097)).toBe(-E.E2BIG);
    expect(d.fault(1, OP.OP_CLONE3, USER, 63)).toBe(-E.EINVAL);
    expect(d.fault(1, OP.OP_CLONE3, USER, 88)).toBe(-E.EFAULT);
    expect(clone3(1, { exit_signal: N.SIGCHLD }, 64)).toBe(2);
    expect(clone3(1, { exit_signal: N.SIGCHLD }, 4096)).toBe(3);
    const long = new Uint8Array(96);
    long.set(longs(1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1));
    expect(d.mem(1, OP.OP_CLONE3, [USER, 96], long)).toBe(-E.E2BIG);
  });

  it.each([
    ['33 numbers', { set_tid: TIDS, set_tid_size: 33 }, E.EINVAL],
    ['numbers without an address', { set_tid_size: 1 }, E.EINVAL],
    ['an address without numbers', { set_tid: TIDS }, E.EINVAL],
    ['an exit signal above 64', { exit_signal: 65 }, E.EINVAL],
    ['an exit signal of 33 bits', { exit_signal: 1n << 32n }, E.EINVAL],
    ['a cgroup above the descriptors', { flags: 1n << 33n, cgroup: 1n << 31n }, E.EINVAL],
    ['an unknown flag', { flags: 1n << 34n }, E.EINVAL],
    ['DETACHED', { flags: C.CLONE_DETACHED }, E.EINVAL],
    ['a signal in the flags', { flags: 1 }, E.EINVAL],
    ['cleared and shared handlers', { flags: 0x100000900n }, E.EINVAL],
    ['a thread with an exit signal', { flags: THREAD, exit_signal: N.SIGCHLD }, E.EINVAL],
    ['PARENT with an exit signal', { flags: C.CLONE_PARENT, exit_signal: N.SIGCHLD }, E.EINVAL],
    ['a stack without a size', { stack: 4096 }, E.EINVAL],
    ['a size without a stack', { stack_size: 4096 }, E.EINVAL],
    ['a stack beyond user space', { stack: 4096, stack_size: 1n << 47n }, E.EINVAL],
    ['a cgroup that is not open', { flags: 1n << 33n, cgroup: 99 }, E.EBADF],
  ])('refuses %s', (_name, fields: Fields, errno) => {
    expect(clone3(1, fields)).toBe(-errno);
    expect(d.k.counts().tasks).toBe(1);
  });

  it('needs the third version of the struct for a cgroup', () => {
    expect(clone3(1, { flags: 1n << 33n }, 80)).toBe(-E.EINVAL);
  });

  it('lets the world say whether a cgroup takes the child', () => {
    expect(clone3(1, { flags: 1n << 33n, cgroup: 0, exit_signal: N.SIGCHLD })).toBe(2);
    const frame = d.k.frame.begin(1, 0, OP.OP_CLONE3).setArg(0, USER).setArg(1, 88);
    const fields = longs(1n << 33n, 0, 0, 0, 17, 0, 0, 0, 0, 0, 0);
    frame.window(USER, fields, 'rw').assistErrno(E.EBUSY);
    d.k.trap();
    expect(frame.result).toBe(-E.EBUSY);
    expect(d.k.counts().tasks).toBe(2);
  });

  it('lets a fork be refused by its cgroup', () => {
    const frame = d.k.frame.begin(1, 0, OP.OP_FORK).assistErrno(E.EAGAIN);
    d.k.trap();
    expect(frame.result).toBe(-E.EAGAIN);
    expect(d.fork()).toBe(2);
  });
});

describe('set_tid', () => {
  const wanted = (tids: number[], flags = 0): Fields => ({
    flags,
    exit_signal: N.SIGCHLD,
    set_tid: TIDS,
    set_tid_size: tids.length,
  });
  const withTids = (tid: number, tids: number[], flags = 0): number =>
    clone3(tid, wanted(tids, flags), 88, tids);

  it('gives the wanted number, in each namespace', () => {
    expect(withTids(1, [500])).toBe(500);
    expect(withTids(1, [1, 600], C.CLONE_NEWPID)).toBe(600);
    expect(d.k.task(600)).toMatchObject({ nspid: 1, nsLevel: 1 });
    expect(withTids(600, [44])).toBe(44);
    expect(d.fork()).toBe(3);
  });

  it('refuses levels, numbers, taken ones and callers without privilege', () => {
    expect(withTids(1, [1, 2])).toBe(-E.EINVAL);
    expect(withTids(1, [0])).toBe(-E.EINVAL);
    expect(withTids(1, [-5])).toBe(-E.EINVAL);
    expect(withTids(1, [32768])).toBe(-E.EINVAL);
    expect(withTids(1, [2, 70], C.CLONE_NEWPID)).toBe(-E.EINVAL);
    expect(withTids(1, [1])).toBe(-E.EEXIST);
    const user = d.unprivileged();
    expect(withTids(user, [70])).toBe(-E.EPERM);
    expect(withTids(user, [0])).toBe(-E.EINVAL);
    expect(d.k.counts().tasks).toBe(2);
  });
});

describe('what a clone inherits', () => {
  it('CLONE_PARENT makes a sibling with the exit signal of the caller', () => {
    const child = clone(1, N.SIGUSR1);
    const sibling = clone(child, C.CLONE_PARENT | N.SIGUSR2);
    expect(d.call(sibling, OP.OP_GETPPID)).toBe(1);
    d.exit(sibling);
    // the exit signal is not SIGCHLD: only __WCLONE and __WALL see it
    expect(d.call(1, OP.OP_WAIT4, sibling, 0, 1, 0)).toBe(-E.ECHILD);
    expect(d.call(1, OP.OP_WAIT4, sibling, 0, 0x80000001, 0)).toBe(sibling);
  });

  it('CLONE_CLEAR_SIGHAND resets handlers and keeps what is ignored', () => {
    d.mem(1, OP.OP_RT_SIGACTION, [N.SIGUSR1, USER, 0, 8], longs(0x4000, 4, 0, 0));
    d.mem(1, OP.OP_RT_SIGACTION, [N.SIGUSR2, USER, 0, 8], longs(N.SIG_IGN, 0, 0, 0));
    expect(clone3(1, { flags: 1n << 32n, exit_signal: N.SIGCHLD })).toBe(2);
    const handler = (tid: number, sig: number): bigint => {
      d.mem(tid, OP.OP_RT_SIGACTION, [sig, 0, USER, 8], 32);
      return d.long(0);
    };
    expect([handler(2, N.SIGUSR1), handler(2, N.SIGUSR2)]).toEqual([0n, 1n]);
    expect(handler(1, N.SIGUSR1)).toBe(0x4000n);
  });
});

describe("what a thread's end tells the host", () => {
  it('the robust list first, then the cleared number', () => {
    const child = d.fork();
    expect(d.call(child, OP.OP_SET_TID_ADDRESS, 0x5000)).toBe(child);
    expect(d.call(child, OP.OP_SET_ROBUST_LIST, 0x6000, 23)).toBe(-E.EINVAL);
    expect(d.call(child, OP.OP_SET_ROBUST_LIST, 0x6000, 24)).toBe(0);
    const grandchild = d.fork(child);
    d.k.events();
    d.exit(child);
    const told = d.k.events().filter((e) => e.type === 'robust' || e.type === 'store');
    expect(told).toMatchObject([
      { type: 'robust', tid: child, addr: 0x6000n },
      { type: 'store', tid: child, addr: 0x5000n, value: 0 },
    ]);
    // neither is inherited
    d.exit(grandchild);
    expect(d.k.events().filter((e) => e.type === 'robust' || e.type === 'store')).toEqual([]);
  });

  it('the list can be asked for by whoever may look into the thread', () => {
    d.call(1, OP.OP_SET_ROBUST_LIST, 0x6000, 24);
    const get = (tid: number, of: number): number =>
      d.mem(tid, OP.OP_GET_ROBUST_LIST, [of, USER, USER + 8], 16);
    expect(get(1, 0)).toBe(0);
    expect([d.long(0), d.long(1)]).toEqual([0x6000n, 24n]);
    expect(get(1, 99)).toBe(-E.ESRCH);
    expect(get(d.unprivileged(), 1)).toBe(-E.EPERM);
    expect(d.fault(1, OP.OP_GET_ROBUST_LIST, 0, USER, USER)).toBe(-E.EFAULT);
  });
});

describe('numbers', () => {
  it('wrap around and are given again once nothing bears them', async () => {
    d.k.boot({ pidMax: 310 });
    const last = (): number => {
      const child = d.fork();
      d.exit(child);
      d.wait(1);
      return child;
    };
    const given = Array.from({ length: 320 }, last);
    expect(given.slice(306, 309)).toEqual([308, 309, 300]);
    expect(given.at(-1)).toBeGreaterThanOrEqual(300);
  });

  it('are EAGAIN when all are taken', () => {
    d.k.boot({ pidMax: 310, events: 0 });
    let made = 0;
    while (d.fork() > 0) made += 1;
    expect(made).toBe(308);
    expect(d.fork()).toBe(-E.EAGAIN);
  });
});
