// Protects: semaphores of System V: each errno in its order, numbers with their sequence, waiting
// in order, what is undone at an end, removal under sleepers, namespaces, permissions.
import { beforeEach, describe, expect, it } from 'vitest';
import * as E from '../../../assembly/uapi/errno.ts';
import * as I from '../../../assembly/uapi/ipc.ts';
import * as OP from '../../../assembly/uapi/op.ts';
import * as C from '../../../assembly/uapi/sched.ts';
import { type Driver, driver, longs, SLEEPS, USER } from '../kernel/driver.ts';

let d: Driver;
beforeEach(async () => {
  d = await driver();
  return () => expect(d.k.check()).toEqual([]);
});

const PRIVATE = I.IPC_PRIVATE;
const semget = (tid: number, key: number, n: number, flags = 0o600): number =>
  d.call(tid, OP.OP_SEMGET, key, n, flags);
type Sop = readonly [num: number, op: number, flags?: number];
const bytes = (sops: readonly Sop[]): Uint8Array =>
  new Uint8Array(Int16Array.from(sops.flatMap(([n, op, flags = 0]) => [n, op, flags])).buffer);
const semop = (tid: number, id: number, ...sops: Sop[]): number =>
  d.mem(tid, OP.OP_SEMOP, [id, USER, sops.length], bytes(sops));
const semctl = (tid: number, id: number, num: number, cmd: number, arg = 0): number =>
  d.call(tid, OP.OP_SEMCTL, id, num, cmd, arg);
const getval = (id: number, num = 0): number => semctl(1, id, num, I.GETVAL);
const setval = (id: number, num: number, value: number): number =>
  semctl(1, id, num, I.SETVAL, value);

describe('semget', () => {
  it('checks the size, the key, the flags, then what is there', () => {
    expect(semget(1, PRIVATE, -1)).toBe(-E.EINVAL);
    expect(semget(1, PRIVATE, I.SEMMSL + 1)).toBe(-E.EINVAL);
    expect(semget(1, PRIVATE, 0)).toBe(-E.EINVAL);
    expect(semget(1, 7, 1, 0)).toBe(-E.ENOENT);
    expect(semget(1, 7, 0, I.IPC_CREAT)).toBe(-E.EINVAL);
    const id = semget(1, 7, 2, I.IPC_CREAT | 0o600);
    expect(semget(1, 7, 9, I.IPC_CREAT | I.IPC_EXCL)).toBe(-E.EEXIST);
    expect(semget(1, 7, 3, 0)).toBe(-E.EINVAL);
    expect(semget(1, 7, 2, 0)).toBe(id);
    expect(semget(1, 7, 0, I.IPC_EXCL)).toBe(id);
    const user = d.unprivileged();
    expect(semget(user, 7, 3, 0o600)).toBe(-E.EINVAL);
    expect(semget(user, 7, 1, 0o600)).toBe(-E.EACCES);
    expect(semget(user, 7, 1, 0)).toBe(id);
  });

  it('numbers go round, with a sequence that counts the rounds', () => {
    const ids = Array.from({ length: 64 }, () => {
      const id = semget(1, PRIVATE, 1);
      semctl(1, id, 0, I.IPC_RMID);
      return id;
    });
    expect(ids).toEqual(Array.from({ length: 64 }, (_, i) => i));
    expect(semget(1, PRIVATE, 1)).toBe(I.IPCMNI);
    expect(semop(1, 0, [0, 1])).toBe(-E.EIDRM);
    expect(semop(1, 2 * I.IPCMNI, [0, 1])).toBe(-E.EIDRM);
    expect(semop(1, 1, [0, 1])).toBe(-E.EINVAL);
  });

  it('each namespace has its own; they go with it', () => {
    const id = semget(1, 7, 1, I.IPC_CREAT | 0o600);
    const child = d.fork();
    d.call(child, OP.OP_UNSHARE, C.CLONE_NEWIPC);
    expect(semget(child, 7, 1, 0)).toBe(-E.ENOENT);
    expect(semget(child, 7, 5, I.IPC_CREAT | 0o600)).toBe(id);
    semop(child, id, [0, 1, I.SEM_UNDO]);
    expect(getval(id)).toBe(0);
    expect(d.k.counts().ipc).toBe(3);
    d.exit(child);
    expect(d.k.counts().ipc).toBe(1);
  });

  it('at most SEMMNI sets', () => {
    for (let i = 0; i < I.SEMMNI; ++i) if (semget(1, PRIVATE, 1) < 0) throw new Error(`at ${i}`);
    expect(semget(1, PRIVATE, 1)).toBe(-E.ENOSPC);
  });
});

describe('semop', () => {
  it('checks number, size, memory, set, semaphores, permission, values', () => {
    const id = semget(1, PRIVATE, 2);
    expect(d.fault(1, OP.OP_SEMOP, id, USER, 0)).toBe(-E.EINVAL);
    expect(d.fault(1, OP.OP_SEMOP, -1, USER, 1)).toBe(-E.EINVAL);
    expect(d.fault(1, OP.OP_SEMOP, id, USER, I.SEMOPM + 1)).toBe(-E.E2BIG);
    expect(d.fault(1, OP.OP_SEMOP, id + 5, USER, 1)).toBe(-E.EFAULT);
    expect(semop(1, id + 5, [0, 1])).toBe(-E.EINVAL);
    const user = d.unprivileged();
    expect(semop(user, id, [2, 1])).toBe(-E.EFBIG);
    expect(semop(user, id, [1, 1])).toBe(-E.EACCES);
    expect(semop(1, id, [0, 1], [1, -1, I.IPC_NOWAIT])).toBe(-E.EAGAIN);
    expect(getval(id)).toBe(0);
    expect(semop(1, id, [0, 32767], [0, 1])).toBe(-E.ERANGE);
    expect(getval(id)).toBe(0);
    expect(semop(1, id, [0, 5], [0, -2], [1, 0])).toBe(0);
    expect([getval(id), semctl(1, id, 0, I.GETPID)]).toEqual([3, 1]);
  });

  it('reading needs permission to read alone', () => {
    const id = semget(1, PRIVATE, 1, 0o644);
    const user = d.unprivileged();
    expect(semop(user, id, [0, 0])).toBe(0);
    expect(semop(user, id, [0, 1])).toBe(-E.EACCES);
    expect(semctl(user, id, 0, I.SETVAL, 1)).toBe(-E.EACCES);
    expect(semctl(user, id, 0, I.IPC_RMID)).toBe(-E.EPERM);
  });

  it('those that sleep go on in order, and have done so before they run', () => {
    const id = semget(1, PRIVATE, 1);
    const [a, b, c] = [d.fork(), d.fork(), d.fork()];
    expect(semop(a, id, [0, -2])).toBe(SLEEPS);
    expect(semop(b, id, [0, -1])).toBe(SLEEPS);
    expect(semctl(1, id, 0, I.GETNCNT)).toBe(2);
    expect(semop(1, id, [0, 1])).toBe(0);
    // the first one still waits, the second could go on
    expect(getval(id)).toBe(0);
    expect(d.k.woken()).toEqual([b]);
    expect(semop(c, id, [0, -1, I.IPC_NOWAIT])).toBe(-E.EAGAIN);
    expect(d.resume(b)).toBe(0);
    setval(id, 0, 5);
    expect(getval(id)).toBe(3);
    expect(d.resume(a)).toBe(0);
    expect(semctl(1, id, 0, I.GETPID)).toBe(a);
  });

  it('waits for zero', () => {
    const id = semget(1, PRIVATE, 2);
    setval(id, 1, 1);
    const child = d.fork();
    expect(semop(child, id, [1, 0], [0, 1])).toBe(SLEEPS);
    expect([semctl(1, id, 1, I.GETZCNT), semctl(1, id, 0, I.GETZCNT)]).toEqual([1, 0]);
    expect(semctl(1, id, 1, I.GETNCNT)).toBe(0);
    semop(1, id, [1, -1]);
    expect(d.resume(child)).toBe(0);
    expect(getval(id, 0)).toBe(1);
  });

  it('ends by a signal, its timeout, or the removal of the set', () => {
    const id = semget(1, PRIVATE, 1);
    const [a, b, c] = [d.fork(), d.fork(), d.fork()];
    semop(a, id, [0, -1]);
    const timeout = new Uint8Array(32);
    timeout.set(bytes([[0, -1]]));
    timeout.set(longs(1, 0), 16);
    expect(d.mem(b, OP.OP_SEMTIMEDOP, [id, USER, 1, USER + 16], timeout)).toBe(SLEEPS);
    semop(c, id, [0, -1]);
    d.call(1, OP.OP_KILL, c, 9);
    d.k.runPending();
    d.k.expire(b);
    expect(d.resume(b)).toBe(-E.EAGAIN);
    expect(semctl(1, id, 0, I.GETNCNT)).toBe(1);
    expect(semctl(1, id, 0, I.IPC_RMID)).toBe(0);
    expect(d.resume(a)).toBe(-E.EIDRM);
    d.wait(1);
    const bad = new Uint8Array(32);
    bad.set(longs(0, 1_000_000_000), 16);
    expect(d.mem(1, OP.OP_SEMTIMEDOP, [id, USER, 1, USER + 16], bad)).toBe(-E.EINVAL);
  });

  it('a handled signal ends it with EINTR', () => {
    const id = semget(1, PRIVATE, 1);
    const child = d.fork();
    d.mem(child, OP.OP_RT_SIGACTION, [10, USER, 0, 8], longs(0x4000, 0x10000000, 0, 0));
    semop(child, id, [0, -1]);
    d.call(1, OP.OP_KILL, child, 10);
    expect(d.resume(child)).toBe(-E.EINTR);
    expect(semctl(1, id, 0, I.GETNCNT)).toBe(0);
  });
});

describe('SEM_UNDO', () => {
  it('is undone at the end of the process, and wakes who waits for that', () => {
    const id = semget(1, PRIVATE, 2);
    setval(id, 0, 1);
    const [a, b] = [d.fork(), d.fork()];
    expect(semop(a, id, [0, -1, I.SEM_UNDO], [1, 3, I.SEM_UNDO])).toBe(0);
    expect(semop(b, id, [0, -1])).toBe(SLEEPS);
    d.exit(a);
    expect(d.resume(b)).toBe(0);
    expect([getval(id, 0), getval(id, 1)]).toEqual([0, 0]);
    expect(semctl(1, id, 1, I.GETPID)).toBe(a);
    d.wait(1);
  });

  it('survives exec, and is not inherited by fork', () => {
    const id = semget(1, PRIVATE, 1);
    const a = d.fork();
    semop(a, id, [0, 4, I.SEM_UNDO]);
    const child = d.fork(a);
    d.exit(child);
    d.wait(a);
    expect(getval(id)).toBe(4);
    expect(d.mem(a, OP.OP_EXECVE, [USER, 0, 0], Buffer.from('/x\0'))).toBe(0);
    d.exit(a);
    expect(getval(id)).toBe(0);
    d.wait(1);
  });

  it('is done by unshare(CLONE_NEWIPC); stays within bounds; SETVAL forgets it', () => {
    const id = semget(1, PRIVATE, 1);
    const a = d.fork();
    semop(a, id, [0, 4, I.SEM_UNDO]);
    expect(semop(a, id, [0, 32760, I.SEM_UNDO])).toBe(0);
    setval(id, 0, 2);
    semop(a, id, [0, 1, I.SEM_UNDO]);
    semop(1, id, [0, -3]);
    d.call(a, OP.OP_UNSHARE, C.CLONE_NEWIPC);
    expect(getval(id)).toBe(0);
    expect(d.k.counts().ipc).toBe(1);
  });
});

describe('semctl', () => {
  it('checks command and set, then permission or number', () => {
    const id = semget(1, PRIVATE, 2);
    expect(semctl(1, -1, 0, I.GETVAL)).toBe(-E.EINVAL);
    expect(semctl(1, id, 2, I.GETVAL)).toBe(-E.EINVAL);
    expect(semctl(1, 99, 0, I.SETVAL, 40_000)).toBe(-E.ERANGE);
    expect(semctl(1, id, 5, I.SETVAL, 1)).toBe(-E.EINVAL);
    expect(semctl(1, id, 0, 77)).toBe(-E.EINVAL);
    expect(semctl(d.unprivileged(), id, 2, I.GETVAL)).toBe(-E.EACCES);
    expect(d.fault(1, OP.OP_SEMCTL, id, 0, I.IPC_SET, USER)).toBe(-E.EFAULT);
  });

  it('all values at once; what there is', () => {
    const id = semget(1, 9, 3, I.IPC_CREAT | 0o640);
    const all = (cmd: number, ...values: number[]): number =>
      d.mem(1, OP.OP_SEMCTL, [id, 0, cmd, USER], new Uint8Array(Uint16Array.from(values).buffer));
    expect(all(I.SETALL, 1, 2, 40_000)).toBe(-E.ERANGE);
    expect(getval(id)).toBe(0);
    expect(all(I.SETALL, 1, 2, 3)).toBe(0);
    expect(all(I.GETALL, 0, 0, 0)).toBe(0);
    expect([...d.out]).toEqual([1, 0, 2, 0, 3, 0]);
    expect(d.mem(1, OP.OP_SEMCTL, [id, 0, I.IPC_STAT, USER], 104)).toBe(0);
    expect([d.word(0), d.word(5), d.word(20)]).toEqual([9, 0o640, 3]);
    expect(d.mem(1, OP.OP_SEMCTL, [0, 0, I.SEM_STAT, USER], 104)).toBe(id);
    expect(d.mem(1, OP.OP_SEMCTL, [0, 0, I.SEM_INFO, USER], 40)).toBe(0);
    expect([d.word(7), d.word(9)]).toEqual([1, 3]);
    expect(d.mem(1, OP.OP_SEMCTL, [0, 0, I.IPC_INFO, USER], 40)).toBe(0);
    expect([d.word(1), d.word(4), d.word(5)]).toEqual([I.SEMMNI, I.SEMMSL, I.SEMOPM]);
  });

  it('IPC_SET gives it to somebody else', () => {
    const id = semget(1, PRIVATE, 1);
    const user = d.unprivileged(5);
    const perm = new Uint8Array(104);
    new Int32Array(perm.buffer).set([0, 5, 5, 0, 0, 0o600]);
    expect(d.mem(user, OP.OP_SEMCTL, [id, 0, I.IPC_SET, USER], perm.slice())).toBe(-E.EPERM);
    expect(d.mem(1, OP.OP_SEMCTL, [id, 0, I.IPC_SET, USER], perm.slice())).toBe(0);
    expect(semop(user, id, [0, 1])).toBe(0);
    expect(semctl(user, id, 0, I.IPC_RMID)).toBe(0);
  });
});
