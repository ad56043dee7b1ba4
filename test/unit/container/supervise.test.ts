// Protects: what the kernel asks others: the LSM hooks around the life of a container, refused
// calls that a supervisor or the host may override, and the list of devices.
import { beforeEach, describe, expect, it } from 'vitest';
import { CAP_SYS_ADMIN } from '../../../assembly/uapi/capability.ts';
import * as U from '../../../assembly/uapi/container.ts';
import * as E from '../../../assembly/uapi/errno.ts';
import { POLLHUP, POLLIN, S_IFBLK, S_IFCHR } from '../../../assembly/uapi/fcntl.ts';
import * as OP from '../../../assembly/uapi/op.ts';
import * as C from '../../../assembly/uapi/sched.ts';
import { SIGKILL } from '../../../assembly/uapi/signal.ts';
import * as V from '../../../assembly/uapi/supervise.ts';
import { DISP_BLOCKED, DISP_DONE, DISP_UPCALL, type Upcall } from '../../../host/index.ts';
import { fine, type Machine, machine, SLEEPS, TARGETS, text, USER } from './machine.ts';

describe.each(TARGETS)('hooks on the %s kernel', (target) => {
  let m: Machine;
  const begin = (tid: number, name: string, flags = 0): number => {
    m.k.frame.begin(tid, 0, OP.OP_CONTAINER_CREATE).setArg(0, USER).setArg(1, flags);
    m.k.frame.window(USER, text(name), 'r');
    return m.k.trap();
  };
  const freed = (): number[] =>
    m.k.events().flatMap((e) => (e.type === 'containerFree' ? [e.id] : []));

  beforeEach(async () => {
    m = await machine(target);
    m.k.setHooks({ containerAlloc: true, containerFree: true });
    return () => expect(m.k.check()).toEqual([]);
  });

  // spec: LSM hook container_alloc
  it('container_alloc sees name, flags and parent before anybody sees the container', () => {
    const before = m.k.counts();
    expect(begin(1, 'asked', 0xf9 | U.CONTAINER_KILL_ON_CLOSE)).toBe(DISP_UPCALL);
    const [upcall] = m.k.upcalls();
    const wanted = { kind: 'containerAlloc', tid: 1, name: 'asked', flags: 0x1f9, parentId: 1 };
    expect(upcall).toMatchObject(wanted);
    expect(m.k.events()).toMatchObject([{ type: 'upcall', tid: 1, id: upcall!.id }]);
    expect([m.k.counts().containers, m.k.fds(1).length]).toEqual([1, 3]);
    expect(m.k.check()).toEqual([]);
    // only a fatal signal ends the sleep, and nothing else can be called meanwhile
    m.k.raise(1, false, { signo: 10 });
    expect(m.k.isBlocked(1)).toBe(true);
    expect(m.k.answer(upcall!.id + 1, 'continue')).toBe(false);
    expect(m.k.answer(upcall!.id, 'continue')).toBe(true);
    expect(m.k.answer(upcall!.id, 'continue')).toBe(false);
    expect(m.k.upcalls()).toEqual([]);
    expect(m.resume(1)).toBe(3);
    expect(m.container('asked')).toMatchObject({ id: 2, usage: 1, parentId: 1, flags: 4 });
    m.close(1, 3);
    expect(freed()).toEqual([2]);
    expect(m.k.counts()).toEqual({ ...before, sigqueues: m.k.counts().sigqueues });
  });

  // spec: D-19; LSM hook container_free
  it('a refusal leaves nothing, and no free hook for what was never allowed', () => {
    const before = m.k.counts();
    begin(1, 'refused', 0xfd);
    m.k.answer(m.k.upcalls()[0]!.id, { errno: E.EACCES });
    expect(m.resume(1)).toBe(-E.EACCES);
    expect(m.k.counts()).toEqual(before);
    expect(freed()).toEqual([]);
    // a container from before the hook was on is not its to hear of
    m.k.setHooks({});
    m.create(1, 'before');
    m.k.setHooks({ containerAlloc: true, containerFree: true });
    m.close(1, 3);
    expect(freed()).toEqual([]);
  });

  it('finds again what has changed during the question', () => {
    const outer = m.fork(1);
    begin(outer, 'x');
    const [first] = m.k.upcalls();
    m.call(
      1,
      OP.OP_PRLIMIT64,
      [outer, 7, USER, 0],
      new Uint8Array(BigUint64Array.of(3n, 3n).buffer),
    );
    m.k.answer(first!.id, 'continue');
    expect(m.resume(outer)).toBe(-E.EMFILE);
    // the hook had allowed it: it hears of its end, and no id was taken
    expect(freed()).toEqual([0]);
    m.k.setHooks({});
    const fd = m.create(1, 'box');
    const init = m.enter(1, fd);
    const member = m.enter(1, fd);
    m.k.setHooks({ containerAlloc: true });
    begin(member, 'late');
    m.exit(init);
    // the caller is being killed: it gives up
    expect(m.resume(member)).toBe(-E.EINTR);
    expect(m.k.upcalls()).toEqual([]);
  });

  it('goes with a caller that dies', () => {
    const p = m.fork(1);
    begin(p, 'gone', 0xfd);
    m.kill(1, p, SIGKILL);
    m.k.runPending();
    expect(m.k.upcalls()).toEqual([]);
    expect(m.k.counts().upcalls).toBe(0);
  });

  it('loses no free hook, however many go at once', () => {
    const ids: number[] = [];
    let task = 1;
    m.k.boot({ containerDepthMax: 3000, nofile: 8 });
    m.k.setHooks({ containerAlloc: true, containerFree: true });
    for (let i = 0; i < 2500; ++i) {
      begin(task, 'n');
      m.k.answer(m.k.upcalls()[0]!.id, 'continue');
      const fd = fine(m.resume(task));
      const next = m.enter(task, fd);
      m.close(next, fd);
      m.close(task, fd);
      task = next;
      m.k.events();
    }
    m.exit(m.k.tasks()[1]!.tid);
    for (let i = 0; i < 20; ++i) {
      m.k.runPending();
      ids.push(...freed());
      // while some wait for room, a call asks for it first
      m.k.frame.begin(1, 0, OP.OP_GETPPID);
      m.k.trap();
    }
    ids.push(...freed());
    expect(ids.length).toBe(2500);
    expect([...ids].sort((a, b) => a - b)).toEqual(Array.from({ length: 2500 }, (_, i) => i + 2));
  });
});

describe.each(TARGETS)('supervision on the %s kernel', (target) => {
  let m: Machine;
  let box: number;
  let init: number;
  let sup: number;

  beforeEach(async () => {
    m = await machine(target);
    box = m.create(1, 'box');
    init = m.enter(1, box);
    sup = fine(m.call(1, OP.OP_CONTAINER_SUPERVISE, [box, U.CONTAINER_FD_CLOEXEC]));
    // no privileges in the container
    m.call(init, OP.OP_SETRESUID, [1000, 1000, 1000]);
    return () => expect(m.k.check()).toEqual([]);
  });

  const unshare = (tid: number) => m.call(tid, OP.OP_UNSHARE, [C.CLONE_NEWUTS]);
  const read = () => m.call(1, OP.OP_READ, [sup, USER, 80], 80);
  const reply = (id: number, answer: number, error = 0, value = 0n) => {
    const bytes = new DataView(new ArrayBuffer(24));
    bytes.setBigUint64(0, BigInt(id), true);
    bytes.setBigInt64(8, value, true);
    bytes.setInt32(16, error, true);
    bytes.setUint32(20, answer, true);
    return m.call(1, OP.OP_WRITE, [sup, USER, 24], new Uint8Array(bytes.buffer));
  };
  const request = () => {
    expect(read()).toBe(80);
    const view = new DataView(m.out.buffer, m.out.byteOffset);
    const args = [0, 1].map((i) => Number(view.getBigUint64(16 + i * 8, true)));
    return { id: view.getInt32(0, true), pid: view.getInt32(8, true), args };
  };

  // spec: supervision; container_supervise EPERM
  it('puts a refused call to whoever holds the descriptor', () => {
    expect(m.poll(1, sup, POLLIN)).toBe(0);
    expect(unshare(init)).toBe(SLEEPS);
    expect(m.poll(1, sup, POLLIN)).toBe(POLLIN);
    const { id, pid, args } = request();
    expect([pid, args[0]]).toEqual([init, C.CLONE_NEWUTS]);
    expect(m.poll(1, sup, POLLIN)).toBe(0);
    expect(reply(id, V.ANSWER_CONTINUE)).toBe(24);
    expect(m.resume(init)).toBe(-E.EPERM);
    expect(reply(id, V.ANSWER_CONTINUE)).toBe(-E.ENOENT);
    // what is not refused is nobody's business
    expect(m.call(init, OP.OP_GETPPID)).toBe(1);
    expect(m.call(init, OP.OP_UNSHARE, [1])).toBe(-E.EINVAL);
  });

  // spec: supervision answers errno, value or continue
  it('takes an errno or a value instead of the refusal', () => {
    expect(unshare(init)).toBe(SLEEPS);
    expect(reply(request().id, V.ANSWER_ERROR, E.EBUSY)).toBe(24);
    expect(m.resume(init)).toBe(-E.EBUSY);
    expect(unshare(init)).toBe(SLEEPS);
    reply(request().id, V.ANSWER_VALUE, 0, 0x1_0000_0007n);
    expect(m.resume(init)).toBe(0x1_0000_0007);
    unshare(init);
    const { id } = request();
    expect(reply(id, V.ANSWER_ERROR, 0)).toBe(-E.EINVAL);
    expect(reply(id, V.ANSWER_ERROR, 4096)).toBe(-E.EINVAL);
    expect(reply(id, V.ANSWER_VALUE, 0, -1n)).toBe(-E.EINVAL);
    expect(reply(id, 4)).toBe(-E.EINVAL);
    expect(reply(id, V.ANSWER_CONTINUE)).toBe(24);
    expect(m.resume(init)).toBe(-E.EPERM);
  });

  it('makes the call with the capabilities of the supervisor, for that call alone', () => {
    expect(unshare(init)).toBe(SLEEPS);
    reply(request().id, V.ANSWER_GRANT);
    expect(m.resume(init)).toBe(0);
    expect(unshare(init)).toBe(SLEEPS);
    // a supervisor lends no more than it has
    const user = m.user(1000);
    reply(request().id, V.ANSWER_CONTINUE);
    m.resume(init);
    expect(CAP_SYS_ADMIN).toBe(21);
    const own = m.create(user, 'own');
    const lamb = m.enter(user, own);
    const weak = fine(m.call(user, OP.OP_CONTAINER_SUPERVISE, [own, 0]));
    expect(unshare(lamb)).toBe(SLEEPS);
    m.call(user, OP.OP_READ, [weak, USER, 80], 80);
    const bytes = m.out.slice(0, 24).fill(0, 8);
    bytes[20] = V.ANSWER_GRANT;
    expect(m.call(user, OP.OP_WRITE, [weak, USER, 24], bytes)).toBe(24);
    expect(m.resume(lamb)).toBe(-E.EPERM);
  });

  it('grants a call that has still to ask for its memory', () => {
    const frame = m.k.frame.begin(init, 0, OP.OP_CONTAINER_CREATE);
    frame.setArg(0, USER).setArg(1, U.CONTAINER_NEW_UTS_NS).window(USER, text('inner'), 'r');
    expect(m.k.trap()).toBe(DISP_BLOCKED);
    reply(request().id, V.ANSWER_GRANT);
    expect(m.resume(init)).toBe(4);
    expect(m.container('inner')?.parent).toBe('box');
  });

  it('reaches into nested containers, the nearest supervisor first', () => {
    const inner = m.create(init, 'inner');
    const deep = m.enter(init, inner);
    expect(unshare(deep)).toBe(SLEEPS);
    expect(request().pid).toBe(deep);
    m.k.abortCall(deep);
    const near = fine(m.call(init, OP.OP_CONTAINER_SUPERVISE, [inner, 0]));
    expect(unshare(deep)).toBe(SLEEPS);
    expect(m.poll(1, sup, POLLIN)).toBe(0);
    expect(m.poll(init, near, POLLIN)).toBe(POLLIN);
  });

  // spec: supervisor gone
  it('ends with the descriptor: what waits is refused as ever', () => {
    const child = m.fork(1);
    unshare(init);
    m.close(1, sup);
    expect(m.k.woken()).toEqual([]);
    m.exit(child);
    expect(m.k.woken()).toContain(init);
    expect(m.resume(init)).toBe(-E.EPERM);
    expect(unshare(init)).toBe(-E.EPERM);
    expect(m.k.counts()).toMatchObject({ upcalls: 0, supervisors: 0 });
  });

  it('sleeps killably, and a request of the dead is no more', () => {
    const member = m.fork(init);
    unshare(member);
    const { id } = request();
    m.kill(1, member, SIGKILL);
    m.k.runPending();
    expect(reply(id, V.ANSWER_GRANT)).toBe(-E.ENOENT);
    unshare(init);
    m.exit(m.fork(1));
    m.kill(1, init, SIGKILL);
    m.k.runPending();
    expect(m.poll(1, sup, POLLIN)).toBe(POLLHUP);
    expect(read()).toBe(0);
  });

  it('waits for requests, and is told when there are none', () => {
    const reader = m.fork(1);
    const r = () => m.call(reader, OP.OP_READ, [sup, USER, 80], 80);
    expect(r()).toBe(SLEEPS);
    unshare(init);
    expect(m.k.woken()).toEqual([reader]);
    expect(m.k.resume(reader)).toBe(DISP_DONE);
    expect(m.k.frameOf(reader)?.result).toBe(80);
    m.call(reader, OP.OP_FCNTL, [sup, 4, 0o4000]);
    expect(r()).toBe(-E.EAGAIN);
    expect(m.call(reader, OP.OP_READ, [sup, USER, 79], 80)).toBe(-E.EINVAL);
    expect(m.call(reader, OP.OP_READ, [sup, USER, 80], 'unmapped')).toBe(-E.EFAULT);
    expect(m.call(reader, OP.OP_WRITE, [sup, USER, 25], 25)).toBe(-E.EINVAL);
    expect(m.call(reader, OP.OP_WRITE, [sup, USER, 24], 'unmapped')).toBe(-E.EFAULT);
  });

  // spec: container_supervise EBADF; container_supervise EINVAL; container_supervise EBUSY
  it('needs a container outside of which one is, and may use, and that has no supervisor', () => {
    const call = (tid: number, fd: number, flags = 0) =>
      m.call(tid, OP.OP_CONTAINER_SUPERVISE, [fd, flags]);
    expect(call(1, 99)).toBe(-E.EBADF);
    expect(call(1, 0)).toBe(-E.EINVAL);
    expect(call(m.user(7), box)).toBe(-E.EPERM);
    expect(call(1, box, 1)).toBe(-E.EINVAL);
    expect(call(1, box)).toBe(-E.EBUSY);
    const other = m.create(1, 'other');
    expect(call(m.enter(1, other), other)).toBe(-E.EINVAL);
    expect(m.k.fds(1).at(-2)).toMatchObject({ link: 'anon_inode:[container-supervisor]' });
  });
});

describe('supervision by the host', () => {
  // spec: supervision by the host
  it('asks for every refusal in a container, and gives what is answered', async () => {
    const m = await machine();
    m.k.setHooks({ supervise: true });
    const init = m.enter(1, m.create(1, 'box'));
    m.call(init, OP.OP_SETRESUID, [1000, 1000, 1000]);
    const unshare = () => {
      m.k.frame.begin(init, 0, OP.OP_UNSHARE).setArg(0, C.CLONE_NEWNET);
      return m.k.trap();
    };
    expect(unshare()).toBe(DISP_UPCALL);
    const asked = m.k.upcalls()[0] as Extract<Upcall, { kind: 'refused' }>;
    expect(asked).toMatchObject({ tid: init, op: OP.OP_UNSHARE, containerId: 2, compat: false });
    expect(asked.args[0]).toBe(BigInt(C.CLONE_NEWNET));
    m.k.answer(asked.id, 'grant');
    expect(m.resume(init)).toBe(0);
    for (const answer of ['continue', { errno: E.EIO }, { value: 42 }] as const) {
      unshare();
      m.k.answer(m.k.upcalls()[0]!.id, answer);
      const wanted = answer === 'continue' ? -E.EPERM : 'errno' in answer ? -E.EIO : 42;
      expect(m.resume(init)).toBe(wanted);
    }
    unshare();
    expect(() => m.k.answer(m.k.upcalls()[0]!.id, { errno: 0 })).toThrow(RangeError);
    // outside of every container nobody is asked
    const user = m.user(1000);
    expect(m.call(user, OP.OP_UNSHARE, [C.CLONE_NEWNET])).toBe(-E.EPERM);
    expect(m.k.check()).toEqual([]);
  });
});

describe('devices', () => {
  let m: Machine;
  const NULL_DEVICE = { type: S_IFCHR, major: 1, minors: [3, 5] };
  const list = (...entries: { type: number; major: number; minors: number[] }[]): Uint8Array => {
    const bytes = new DataView(new ArrayBuffer(entries.length * 40));
    entries.forEach(({ type, major, minors }, i) => {
      bytes.setUint32(i * 40, type, true);
      bytes.setUint32(i * 40 + 4, major, true);
      for (const minor of minors) {
        const at = i * 40 + 8 + (minor >> 3);
        bytes.setUint8(at, bytes.getUint8(at) | (1 << (minor & 7)));
      }
    });
    return new Uint8Array(bytes.buffer);
  };
  const restrict = (tid: number, fd: number, memory: Uint8Array | 'unmapped', n?: number) => {
    const count = n ?? (memory === 'unmapped' ? 1 : memory.length / 40);
    return m.call(tid, OP.OP_CONTAINER_DEVICES, [fd, USER, count], memory);
  };
  const mknod = (tid: number, type: number, major: number, minor: number) => {
    const dev = (minor & 0xff) | (major << 8) | ((minor >> 8) << 20);
    m.k.frame
      .begin(tid, 0, OP.OP_MKNODAT)
      .setArg(2, type | 0o666)
      .setArg(3, dev)
      .assistRet(0);
    m.k.trap();
    return m.k.frame.result;
  };
  const open = (tid: number, type: 'c' | 'b', major: number, minor: number) => {
    m.k.frame.begin(tid, 0, OP.OP_WORLD_FD).assistRet(0).assistDevice(type, major, minor);
    m.k.trap();
    const fd = m.k.frame.result;
    if (fd >= 0) m.close(tid, fd);
    return fd < 0 ? fd : 0;
  };

  beforeEach(async () => {
    m = await machine();
    return () => expect(m.k.check()).toEqual([]);
  });

  // spec: container_devices EBADF; container_devices EINVAL; container_devices EPERM
  // spec: container_devices EFAULT; container_devices EBUSY; container_devices ENOMEM
  it('are listed before the start, by the creator', () => {
    const fd = m.create(1, 'box');
    expect(restrict(1, 99, list(NULL_DEVICE))).toBe(-E.EBADF);
    expect(restrict(1, 0, list(NULL_DEVICE))).toBe(-E.EINVAL);
    expect(restrict(m.user(1000), fd, list(NULL_DEVICE))).toBe(-E.EPERM);
    expect(restrict(1, fd, 'unmapped')).toBe(-E.EFAULT);
    expect(restrict(1, fd, 'unmapped', 257)).toBe(-E.EINVAL);
    expect(restrict(1, fd, list({ ...NULL_DEVICE, type: 0x8000 }))).toBe(-E.EINVAL);
    m.k.allocFail(1);
    expect(restrict(1, fd, list(NULL_DEVICE))).toBe(-E.ENOMEM);
    m.k.allocFail(0);
    expect(restrict(1, fd, list(NULL_DEVICE))).toBe(0);
    expect(restrict(1, fd, list(NULL_DEVICE, { type: S_IFBLK, major: 8, minors: [0] }))).toBe(0);
    m.enter(1, fd);
    expect(restrict(1, fd, list(NULL_DEVICE))).toBe(-E.EBUSY);
  });

  // spec: devices by type, major and minor; enforced on mknod and open
  it('are enforced where they are made and where they are opened', () => {
    const fd = m.create(1, 'box');
    restrict(1, fd, list(NULL_DEVICE, { type: S_IFBLK, major: 8, minors: [0, 255] }));
    const task = m.enter(1, fd);
    for (const act of [
      (type: number, major: number, minor: number) => mknod(task, type, major, minor),
      (type: number, major: number, minor: number) =>
        open(task, type === S_IFCHR ? 'c' : 'b', major, minor),
    ]) {
      expect(act(S_IFCHR, 1, 3)).toBe(0);
      expect(act(S_IFCHR, 1, 5)).toBe(0);
      expect(act(S_IFCHR, 1, 4)).toBe(-E.EPERM);
      expect(act(S_IFCHR, 2, 3)).toBe(-E.EPERM);
      expect(act(S_IFBLK, 1, 3)).toBe(-E.EPERM);
      expect(act(S_IFBLK, 8, 255)).toBe(0);
      expect(act(S_IFBLK, 8, 256)).toBe(-E.EPERM);
      expect(act(S_IFBLK, 8, 64)).toBe(-E.EPERM);
    }
    // fifos and files are no devices
    expect(mknod(task, 0x1000, 0, 0)).toBe(0);
    // what hides a name in an overlay is none either, and needs no privilege
    expect(mknod(task, S_IFCHR, 0, 0)).toBe(0);
    expect(mknod(m.user(1000), S_IFCHR, 0, 0)).toBe(0);
    expect(mknod(task, S_IFBLK, 0, 0)).toBe(-E.EPERM);
    // outside everything is as ever
    expect(mknod(1, S_IFCHR, 1, 4)).toBe(0);
    expect(open(1, 'c', 1, 4)).toBe(0);
    // making one needs the privilege as well
    expect(mknod(m.user(1000), S_IFCHR, 1, 3)).toBe(-E.EPERM);
  });

  // spec: devices are inherited by intersection; an empty list allows none
  it('are inherited, by intersection; an empty list allows none', () => {
    const outer = m.create(1, 'outer');
    restrict(1, outer, list(NULL_DEVICE));
    const task = m.enter(1, outer);
    const plain = m.create(task, 'plain');
    const wider = m.create(task, 'wider');
    const none = m.create(task, 'none');
    restrict(task, wider, list({ type: S_IFCHR, major: 1, minors: [3, 4] }));
    expect(restrict(task, none, new Uint8Array(0), 0)).toBe(0);
    const may = (tid: number) => [3, 4, 5].map((minor) => open(tid, 'c', 1, minor) === 0);
    expect(may(task)).toEqual([true, false, true]);
    expect(may(m.enter(task, plain))).toEqual([true, false, true]);
    expect(may(m.enter(task, wider))).toEqual([true, false, false]);
    expect(may(m.enter(task, none))).toEqual([false, false, false]);
    expect(may(1)).toEqual([true, true, true]);
  });
});
