// Protects: shared memory and message queues of System V: each errno in its order, how often a
// segment is attached through fork, exec and exit, which message goes to whom, who waits for what.
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
const AT = 0x7000_0000;

describe('shared memory', () => {
  const shmget = (tid: number, key: number, size: number, flags = 0o600): number =>
    d.call(tid, OP.OP_SHMGET, key, size, flags);
  const shmat = (tid: number, id: number, at = AT, flags = 0): number =>
    d.call(tid, OP.OP_SHMAT, id, at, flags);
  const shmdt = (tid: number, at = AT): number => d.call(tid, OP.OP_SHMDT, at);
  const rmid = (tid: number, id: number): number => d.call(tid, OP.OP_SHMCTL, id, I.IPC_RMID, 0);
  /** mode, creator, last one, attachments */
  function stat(id: number): number[] {
    expect(d.mem(1, OP.OP_SHMCTL, [id, I.IPC_STAT, USER], 112)).toBe(0);
    return [d.word(5), d.word(20), d.word(21), d.word(22)];
  }

  it('shmget: key, size, permission', () => {
    expect(shmget(1, PRIVATE, 0)).toBe(-E.EINVAL);
    expect(d.call(1, OP.OP_SHMGET, PRIVATE, -1n, 0o600)).toBe(-E.EINVAL);
    expect(shmget(1, 5, 100, 0)).toBe(-E.ENOENT);
    const id = shmget(1, 5, 100, I.IPC_CREAT | 0o400);
    expect(shmget(1, 5, 101, 0)).toBe(-E.EINVAL);
    expect(shmget(1, 5, 0, 0)).toBe(id);
    expect(shmget(d.unprivileged(), 5, 100, 0o400)).toBe(-E.EACCES);
    for (let i = 1; i < I.SHMMNI; ++i) shmget(1, PRIVATE, 1);
    expect(shmget(1, PRIVATE, 1)).toBe(-E.ENOSPC);
  });

  it('shmat: address, segment, permission; shmdt', () => {
    const id = shmget(1, PRIVATE, 10_000, 0o400);
    expect(shmat(1, -1)).toBe(-E.EINVAL);
    expect(shmat(1, id, AT + 1)).toBe(-E.EINVAL);
    expect(shmat(1, id, 0, I.SHM_REMAP)).toBe(-E.EINVAL);
    expect(shmat(1, id + 1)).toBe(-E.EINVAL);
    expect(shmat(d.unprivileged(), id, AT, I.SHM_RDONLY)).toBe(-E.EACCES);
    expect(shmat(1, id, AT + 5, I.SHM_RND)).toBe(AT);
    expect(shmdt(1, AT + 1)).toBe(-E.EINVAL);
    expect(shmdt(1, AT + 4096)).toBe(-E.EINVAL);
    expect(shmdt(1)).toBe(0);
    expect(shmdt(1)).toBe(-E.EINVAL);
  });

  it('a host tells what becomes of the memory', () => {
    const id = shmget(1, PRIVATE, 3 * 4096);
    shmat(1, id);
    const tell = (what: number, page: number, pages: number, to = 0): number =>
      d.k.exports.set_memory(1, what, AT + page * 4096, 0, pages, to, 0);
    expect(tell(I.MEMORY_LOCK, 1, 1, 1)).toBe(0);
    expect(stat(id)[3]).toBe(3);
    expect(tell(I.MEMORY_PROTECT, 0, 3, 3)).toBe(0);
    expect(stat(id)[3]).toBe(3);
    const child = d.call(1, OP.OP_FORK);
    expect(stat(id)[3]).toBe(6);
    expect(tell(I.MEMORY_MOVE, 2, 1, 0x100000)).toBe(0);
    expect(tell(I.MEMORY_UNMAP, 0, 9)).toBe(0);
    expect(stat(id)[3]).toBe(4);
    expect(shmdt(1)).toBe(-E.EINVAL);
    expect(shmdt(1, 0x100000 - 0x2000)).toBe(0);
    expect(shmdt(child)).toBe(0);
    expect(stat(id)[3]).toBe(0);
    expect(d.k.exports.set_memory(99, I.MEMORY_UNMAP, AT, 0, 1, 0, 0)).toBe(-E.ESRCH);
  });

  it('the world says where it lies', () => {
    const id = shmget(1, PRIVATE, 10);
    const frame = d.k.frame.begin(1, 0, OP.OP_SHMAT).setArg(0, id).setArg(1, 0);
    frame.assistMask(0x7f00_1234_5000n);
    d.k.trap();
    expect(frame.resultBig).toBe(0x7f00_1234_5000n);
    expect(d.call(1, OP.OP_SHMDT, 0x7f00_1234_5000n)).toBe(0);
  });

  it('attachments are inherited, and go with exec and exit', () => {
    const id = shmget(1, PRIVATE, 10);
    shmat(1, id);
    shmat(1, id, AT + 4096);
    const child = d.fork();
    expect(stat(id)).toEqual([0o600, 1, 1, 4]);
    shmdt(child);
    expect(stat(id)).toEqual([0o600, 1, child, 3]);
    const other = d.fork();
    d.mem(other, OP.OP_EXECVE, [USER, 0, 0], Buffer.from('/x\0'));
    expect(stat(id)).toEqual([0o600, 1, other, 3]);
    d.exit(child);
    expect(stat(id)).toEqual([0o600, 1, child, 2]);
    // a thread, and a child that shares the memory, have none of their own
    d.call(1, OP.OP_CLONE, C.CLONE_VM | 17);
    expect(stat(id)[3]).toBe(2);
    d.wait(1);
  });

  it('is removed with its last attachment', () => {
    const id = shmget(1, 5, 10, I.IPC_CREAT | 0o600);
    const user = d.unprivileged();
    shmat(1, id);
    expect(rmid(user, id)).toBe(-E.EPERM);
    expect(rmid(1, id)).toBe(0);
    expect(shmget(1, 5, 10, 0)).toBe(-E.ENOENT);
    expect(stat(id)[0]).toBe(0o600 | I.SHM_DEST);
    const child = d.fork();
    shmdt(1);
    expect(stat(id)[3]).toBe(1);
    d.exit(child);
    expect(d.fault(1, OP.OP_SHMCTL, id, I.IPC_STAT, USER)).toBe(-E.EINVAL);
    expect(d.k.counts().ipc).toBe(0);
    d.wait(1);
  });

  it('keeps its namespace while it is attached', () => {
    const child = d.fork();
    d.call(child, OP.OP_UNSHARE, C.CLONE_NEWIPC);
    const id = shmget(child, PRIVATE, 10);
    shmat(child, id);
    d.call(child, OP.OP_UNSHARE, C.CLONE_NEWIPC);
    expect(d.k.counts().ipc).toBe(2);
    expect(shmdt(child)).toBe(0);
    expect(d.k.counts().ipc).toBe(0);
  });

  it('SHM_LOCK, SHM_STAT, SHM_INFO', () => {
    const id = shmget(1, PRIVATE, 5000, 0o666);
    const ctl = (tid: number, cmd: number): number => d.call(tid, OP.OP_SHMCTL, id, cmd, 0);
    expect(ctl(d.unprivileged(), I.SHM_LOCK)).toBe(-E.EPERM);
    expect(ctl(1, I.SHM_LOCK)).toBe(0);
    expect(stat(id)[0]).toBe(0o666 | I.SHM_LOCKED);
    expect(ctl(1, I.SHM_UNLOCK)).toBe(0);
    expect(ctl(1, -1)).toBe(-E.EINVAL);
    expect(ctl(1, 99)).toBe(-E.EINVAL);
    expect(d.mem(1, OP.OP_SHMCTL, [0, I.SHM_STAT, USER], 112)).toBe(id);
    expect(d.mem(1, OP.OP_SHMCTL, [0, I.SHM_INFO, USER], 48)).toBe(0);
    expect([d.word(0), d.long(1)]).toEqual([1, 2n]);
    expect(d.mem(1, OP.OP_SHMCTL, [0, I.IPC_INFO, USER], 72)).toBe(0);
    expect(d.long(2)).toBe(BigInt(I.SHMMNI));
  });
});

describe('message queues', () => {
  const msgget = (tid: number, key: number, flags = 0o600): number =>
    d.call(tid, OP.OP_MSGGET, key, flags);
  function message(type: number, text: string | number): Uint8Array {
    const body = typeof text === 'string' ? Buffer.from(text) : new Uint8Array(text);
    const bytes = new Uint8Array(8 + body.length);
    bytes.set(longs(type));
    bytes.set(body, 8);
    return bytes;
  }
  const send = (tid: number, q: number, type: number, text: string | number, flags = 0): number => {
    const bytes = message(type, text);
    return d.mem(tid, OP.OP_MSGSND, [q, USER, bytes.length - 8, flags], bytes);
  };
  const receive = (tid: number, q: number, size: number, type = 0, flags = 0): number =>
    d.mem(tid, OP.OP_MSGRCV, [q, USER, size, type, flags], 8 + size);
  /** The message that the last call received. */
  const got = (length: number): [bigint, string] => [
    d.long(0),
    Buffer.from(d.out.subarray(8, 8 + length)).toString(),
  ];
  /** messages, limit, last sender, last receiver */
  function stat(q: number): number[] {
    expect(d.mem(1, OP.OP_MSGCTL, [q, I.IPC_STAT, USER], 120)).toBe(0);
    return [d.word(20), d.word(22), d.word(24), d.word(25)];
  }

  it('msgsnd: memory, sizes, type, queue, permission, room', () => {
    const q = msgget(1, PRIVATE);
    expect(d.fault(1, OP.OP_MSGSND, -1, USER, 4, 0)).toBe(-E.EFAULT);
    expect(send(1, -1, 1, 'a')).toBe(-E.EINVAL);
    expect(d.mem(1, OP.OP_MSGSND, [q, USER, I.MSGMAX + 1, 0], longs(1))).toBe(-E.EINVAL);
    expect(send(1, q, 0, 'a')).toBe(-E.EINVAL);
    expect(send(1, q + 1, 1, 'a')).toBe(-E.EINVAL);
    expect(send(d.unprivileged(), q, 1, 'a')).toBe(-E.EACCES);
    expect([send(1, q, 1, 8192), send(1, q, 2, 8192)]).toEqual([0, 0]);
    expect(send(1, q, 1, 'a', I.IPC_NOWAIT)).toBe(-E.EAGAIN);
    expect(stat(q)).toEqual([2, I.MSGMNB, 1, 0]);
  });

  it('msgrcv: by order, type, lowest type, all but a type; a copy by its place', () => {
    const q = msgget(1, PRIVATE);
    for (const [type, text] of [
      [5, 'five'],
      [3, 'three'],
      [9, 'nine'],
      [3, 'again'],
    ] as const) {
      send(1, q, type, text);
    }
    expect(receive(1, q, 8, 1, I.MSG_COPY | I.IPC_NOWAIT)).toBe(5);
    expect(got(5)).toEqual([3n, 'three']);
    expect(receive(1, q, 8, 9, I.MSG_COPY | I.IPC_NOWAIT)).toBe(-E.ENOMSG);
    expect(receive(1, q, 8, 1, I.MSG_COPY)).toBe(-E.EINVAL);
    expect(receive(1, q, 8, 3, I.MSG_EXCEPT)).toBe(4);
    expect(got(4)).toEqual([5n, 'five']);
    expect(receive(1, q, 8, -8)).toBe(5);
    expect(got(5)).toEqual([3n, 'three']);
    expect(receive(1, q, 8, 9)).toBe(4);
    expect(receive(1, q, 2)).toBe(-E.E2BIG);
    expect(receive(1, q, 2, 0, I.MSG_NOERROR)).toBe(2);
    expect(got(2)).toEqual([3n, 'ag']);
    expect(receive(1, q, 8, 0, I.IPC_NOWAIT)).toBe(-E.ENOMSG);
    expect(receive(1, -1, 8)).toBe(-E.EINVAL);
    expect(d.call(1, OP.OP_MSGRCV, q, USER, -1n, 0, 0)).toBe(-E.EINVAL);
    expect(receive(d.unprivileged(), q, 8)).toBe(-E.EACCES);
  });

  it('a message goes to the first sleeper that wants it', () => {
    const q = msgget(1, PRIVATE);
    const [a, b, c] = [d.fork(), d.fork(), d.fork()];
    expect(receive(a, q, 2, 7)).toBe(SLEEPS);
    expect(receive(b, q, 9, 0)).toBe(SLEEPS);
    expect(receive(c, q, 9, 7)).toBe(SLEEPS);
    // too long for the first one, which is told so
    send(1, q, 7, 'long');
    expect(stat(q)).toEqual([0, I.MSGMNB, 1, b]);
    expect(d.resume(a)).toBe(-E.E2BIG);
    expect(d.resume(b)).toBe(4);
    const frame = d.k.frameOf(b)!;
    expect(Buffer.from(frame.output(USER, 12)!).toString('latin1')).toBe(
      '\x07' + '\0'.repeat(7) + 'long',
    );
    send(1, q, 1, 'other');
    expect(d.k.woken()).toEqual([]);
    d.call(1, OP.OP_KILL, c, 9);
    d.k.runPending();
    d.wait(1);
  });

  it('senders sleep until there is room; both hear of a removal and of signals', () => {
    const q = msgget(1, PRIVATE);
    send(1, q, 1, 8192);
    send(1, q, 1, 8192);
    const [a, b, c] = [d.fork(), d.fork(), d.fork()];
    expect(send(a, q, 2, 'x')).toBe(SLEEPS);
    expect(receive(1, q, 8192)).toBe(8192);
    expect(d.resume(a)).toBe(0);
    expect(send(b, q, 2, 8192)).toBe(SLEEPS);
    expect(receive(c, q, 8, 77)).toBe(SLEEPS);
    d.call(1, OP.OP_MSGCTL, q, I.IPC_RMID, 0);
    expect([d.resume(b), d.resume(c)]).toEqual([-E.EIDRM, -E.EIDRM]);
    const p = msgget(1, PRIVATE);
    const e = d.fork();
    d.mem(e, OP.OP_RT_SIGACTION, [10, USER, 0, 8], longs(0x4000, 0x10000000, 0, 0));
    expect(receive(e, p, 8)).toBe(SLEEPS);
    d.call(1, OP.OP_KILL, e, 10);
    expect(d.resume(e)).toBe(-E.ERESTARTNOHAND);
  });

  it('msgctl: owner, limits, what there is', () => {
    const q = msgget(1, 4, I.IPC_CREAT | 0o666);
    expect(msgget(1, 4, I.IPC_CREAT | I.IPC_EXCL)).toBe(-E.EEXIST);
    const user = d.unprivileged(5);
    const set = (tid: number, qbytes: number): number => {
      const ds = new Uint8Array(120);
      new Int32Array(ds.buffer).set([0, 5, 5, 0, 0, 0o600]);
      new DataView(ds.buffer).setBigUint64(88, BigInt(qbytes), true);
      return d.mem(tid, OP.OP_MSGCTL, [q, I.IPC_SET, USER], ds);
    };
    expect(set(user, 10)).toBe(-E.EPERM);
    expect(set(1, 10)).toBe(0);
    expect(set(user, I.MSGMNB + 1)).toBe(-E.EPERM);
    expect(send(user, q, 1, 'elevenbytes', I.IPC_NOWAIT)).toBe(-E.EAGAIN);
    expect(send(user, q, 1, 'tenletters', I.IPC_NOWAIT)).toBe(0);
    expect(d.mem(1, OP.OP_MSGCTL, [0, I.MSG_INFO, USER], 32)).toBe(0);
    expect([d.word(0), d.word(1), d.word(6)]).toEqual([1, 1, 10]);
    expect(d.mem(1, OP.OP_MSGCTL, [0, I.MSG_STAT, USER], 120)).toBe(q);
    expect(d.call(user, OP.OP_MSGCTL, q, 99, 0)).toBe(-E.EINVAL);
    expect(d.call(user, OP.OP_MSGCTL, q, I.IPC_RMID, 0)).toBe(0);
  });
});
