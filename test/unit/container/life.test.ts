// Protects: who becomes init and who stays it, what a container's death takes along, what the last
// close does, and who gets in: the defects of the posted patch, one by one.
import { beforeEach, describe, expect, it } from 'vitest';
import * as U from '../../../assembly/uapi/container.ts';
import * as E from '../../../assembly/uapi/errno.ts';
import * as OP from '../../../assembly/uapi/op.ts';
import * as C from '../../../assembly/uapi/sched.ts';
import * as S from '../../../assembly/uapi/signal.ts';
import { layout as L } from '../../../host/generated/layout.ts';
import { fine, type Machine, machine, SLEEPS, text, USER } from './machine.ts';

const THREAD = C.CLONE_VM | C.CLONE_FS | C.CLONE_FILES | C.CLONE_SIGHAND | C.CLONE_THREAD;
const KOC = U.CONTAINER_KILL_ON_CLOSE;
let m: Machine;

beforeEach(async () => {
  m = await machine();
  return () => expect(m.k.check()).toEqual([]);
});

/** execve by `tid`; the path is at USER. */
const exec = (tid: number) => m.call(tid, OP.OP_EXECVE, [USER, 0, 0], text('/bin/x'));

describe('entering', () => {
  // spec: fork_into_container attributes; D-35
  it('makes a child of the caller with the cred and namespaces of the container', () => {
    const fd = m.create(1, 'box', 0xf9);
    const before = m.k.fds(1).length;
    const child = m.enter(1, fd);
    const task = m.k.task(child)!;
    expect(task).toMatchObject({
      ppid: 1,
      container: 'box',
      nspid: 1,
      nsLevel: 1,
      pgid: 1,
      sid: 1,
    });
    // the caller's descriptors, this one included: close-on-exec is there for that
    expect(m.k.fds(child).length).toBe(before);
    // in the container neither its group nor its parent has a number
    expect(m.call(child, OP.OP_GETPGRP)).toBe(0);
    expect(m.call(child, OP.OP_GETPPID)).toBe(0);
    expect(m.wait(1, child)).toBe(SLEEPS);
    m.exit(child, 1);
    expect([m.resume(1), m.word(0)]).toEqual([child, 256]);
  });

  // spec: second entry adds a member; INIT_STARTED
  it('a second time adds an ordinary member', () => {
    const fd = m.create(1, 'box');
    const init = m.enter(1, fd);
    const member = m.enter(1, fd);
    m.exit(member);
    expect(m.container('box')).toMatchObject({ flags: 1, members: 1 });
    m.exit(init);
    expect(m.container('box')).toMatchObject({ flags: 3, members: 0 });
  });

  // spec: fork_into_container EBADF; fork_into_container EINVAL
  it('needs the descriptor of a container', () => {
    expect(m.tryEnter(1, 99)).toBe(-E.EBADF);
    expect(m.tryEnter(1, -1)).toBe(-E.EBADF);
    expect(m.tryEnter(1, 0)).toBe(-E.EINVAL);
  });

  // spec: fork_into_container EPERM; D-37; enter needs the creator or CAP_SYS_ADMIN
  it("needs the creator's euid and capabilities, or CAP_SYS_ADMIN in the container", () => {
    const root = m.create(1, 'root');
    const user = m.user(1000);
    expect(m.tryEnter(user, root)).toBe(-E.EPERM);
    const own = m.create(user, 'own');
    const child = m.fork(user);
    expect(m.tryEnter(child, own)).toBeGreaterThan(0);
    const lord = m.create(user, 'lord', U.CONTAINER_NEW_USER_NS);
    // the creator's euid is not enough in another user namespace
    const other = m.fork(user);
    m.call(other, OP.OP_UNSHARE, [C.CLONE_NEWUSER]);
    expect(m.tryEnter(other, own)).toBe(-E.EPERM);
    expect(m.tryEnter(other, lord)).toBe(-E.EPERM);
    expect(m.tryEnter(user, lord)).toBeGreaterThan(0);
    // root may everywhere below
    expect(m.tryEnter(1, m.create(1, 'plain'))).toBeGreaterThan(0);
  });

  // spec: D-36
  it('needs a number for the child in the pid namespace of the caller', () => {
    const plain = m.create(1, 'plain');
    const a = m.create(1, 'a', U.CONTAINER_NEW_PID_NS);
    const b = m.create(1, 'b', U.CONTAINER_NEW_PID_NS);
    const inA = m.enter(1, a);
    expect(m.tryEnter(inA, b)).toBe(-E.EINVAL);
    expect(m.tryEnter(inA, plain)).toBe(-E.EINVAL);
    expect(m.tryEnter(inA, a)).toBe(2);
  });

  // spec: fork_into_container ECANCELED; container_create ECANCELED; D-24; D-25
  it('ends with the death: nothing begins in a dead container', () => {
    const fd = m.create(1, 'box');
    const init = m.enter(1, fd);
    const member = m.enter(1, fd);
    const nested = m.create(member, 'nested');
    m.exit(init);
    expect(m.tryEnter(1, fd)).toBe(-E.ECANCELED);
    for (const flag of [S.SIGCHLD, THREAD, C.CLONE_VFORK | C.CLONE_VM]) {
      expect(m.clone(member, flag)).toBe(-E.ECANCELED);
    }
    expect(m.tryCreate(member, 'late')).toBe(-E.ECANCELED);
    expect(m.tryEnter(member, nested)).toBe(-E.ECANCELED);
  });

  // spec: fork_into_container EAGAIN; D-13
  it('that fails leaves the container startable, and pid 1 free', async () => {
    m = await machine('debug', { threadsMax: 2 });
    const fd = m.create(1, 'box', U.CONTAINER_NEW_PID_NS);
    const child = m.fork(1);
    expect(m.tryEnter(1, fd)).toBe(-E.EAGAIN);
    expect(m.container('box')).toMatchObject({ flags: 0, usage: 1, members: 0 });
    m.exit(child);
    m.wait(1, child);
    const init = m.enter(1, fd);
    expect(m.k.task(init)).toMatchObject({ nspid: 1, container: 'box' });
  });

  // spec: fork_into_container ENOMEM; D-14
  it('joins when nothing can fail any more', () => {
    const fd = m.create(1, 'box', U.CONTAINER_NEW_PID_NS);
    for (let n = 1; ; ++n) {
      m.k.allocFail(n);
      const result = m.tryEnter(1, fd);
      m.k.allocFail(0);
      expect(m.k.check()).toEqual([]);
      if (result !== -E.ENOMEM) break;
      expect(m.container('box')).toMatchObject({ flags: 0, usage: 1, members: 0 });
    }
    expect(m.container('box')).toMatchObject({ flags: 1, usage: 2, members: 1 });
  });

  // spec: fork_into_container EINTR
  it('by a task that is being killed is EINTR', () => {
    const fd = m.create(1, 'box');
    const p = m.fork(1);
    m.kill(1, p, S.SIGKILL);
    expect(m.tryEnter(p, fd)).toBe(-E.EINTR);
  });
});

describe('init', () => {
  // spec: D-8; D-9
  it('is a thread group: its leader may end, another thread may execute a program', () => {
    const fd = m.create(1, 'box');
    const init = m.enter(1, fd);
    const other = m.enter(1, fd);
    const t1 = fine(m.clone(init, THREAD));
    const t2 = fine(m.clone(init, THREAD));
    expect(m.container('box')).toMatchObject({ members: 2, usage: 3 });
    m.call(init, OP.OP_EXIT, [1]);
    expect(m.container('box')).toMatchObject({ flags: 1, members: 2 });
    expect(exec(t1)).toBe(SLEEPS);
    m.k.runPending();
    expect(m.k.task(t2)).toBeUndefined();
    expect(m.k.resume(t1)).toBe(0);
    expect(m.k.task(init)).toMatchObject({ container: 'box', comm: 'x', threads: 1 });
    expect(m.container('box')).toMatchObject({ flags: 1, members: 2, usage: 3 });
    expect(m.k.check()).toEqual([]);
    m.exit(init, 4);
    expect(m.container('box')).toMatchObject({ flags: 3, exitCode: 4 << 8 });
    m.k.runPending();
    expect(m.state(other)).toBe('Z');
  });

  it('that waits for its namespace is in no container any more, whoever was last', () => {
    const fd = m.create(1, 'box', U.CONTAINER_NEW_PID_NS);
    const init = m.enter(1, fd);
    const member = m.enter(1, fd);
    const thread = fine(m.clone(init, THREAD));
    const tid = m.k.tasks().find((task) => task.nspid === thread && task.tgid === init)!.tid;
    m.call(init, OP.OP_EXIT, [1]);
    m.call(tid, OP.OP_EXIT, [2]);
    // the member is not dead yet
    expect([m.state(tid), m.state(member)]).toEqual(['Z', 'R']);
    expect(m.k.task(tid)).toMatchObject({ container: '', containerId: 0 });
    expect(m.k.task(init)).toMatchObject({ container: '', containerId: 0 });
    m.k.runPending();
    expect([m.wait(1, member), m.wait(1, init)]).toEqual([member, init]);
  });

  it('of one pid namespace that is waited for ends no other one’s wait for its members', () => {
    const first = m.enter(1, m.create(1, 'first', U.CONTAINER_NEW_PID_NS));
    const thread = fine(m.clone(first, THREAD));
    const tid = m.k.tasks().find((task) => task.nspid === thread && task.tgid === first)!.tid;
    m.call(first, OP.OP_EXIT, [1]);
    // the task that was init at the end is gone, its record is the next one's
    m.call(tid, OP.OP_EXIT, [1]);
    const fd = m.create(1, 'second', U.CONTAINER_NEW_PID_NS);
    const init = m.enter(1, fd);
    const member = m.enter(1, fd);
    m.exit(init, 2);
    expect(m.wait(1, first)).toBe(first);
    const early = m.call(1, OP.OP_WAIT4, [init, USER, 1, 0], 4);
    expect([early, m.state(member)]).toEqual([0, 'R']);
    m.k.runPending();
    expect([m.wait(1, member), m.wait(1, init), m.word(0)]).toEqual([member, init, 2 << 8]);
  });

  it.each(['kept', 'ignored'])(
    'reaps the init of a namespace below that had waited for another child: SIGCHLD %s',
    (how) => {
      const outer = m.enter(1, m.create(1, 'outer', U.CONTAINER_NEW_PID_NS));
      if (how === 'ignored') m.call(outer, OP.OP_SIGNAL, [S.SIGCHLD, S.SIG_IGN]);
      const fd = m.create(outer, 'inner', U.CONTAINER_NEW_PID_NS);
      m.enter(outer, fd);
      m.enter(outer, fd);
      const inner = m.k.tasks().filter((task) => task.nsLevel === 2);
      const [init, member] = inner.map((task) => task.tid) as [number, number];
      // it waits for its namespace to be empty
      m.exit(init, 1);
      expect([m.state(init), m.state(member)]).toEqual(['Z', 'R']);
      m.kill(1, outer, S.SIGKILL);
      m.k.runPending();
      expect([m.state(init), m.state(member)]).toEqual([undefined, undefined]);
      expect([m.wait(1, outer), m.word(0)]).toEqual([outer, 9]);
    },
  );

  it('below goes in the middle of that reaping, where it stands next among the children', () => {
    const outer = m.enter(1, m.create(1, 'outer', U.CONTAINER_NEW_PID_NS));
    const fd = m.create(outer, 'inner', U.CONTAINER_NEW_PID_NS);
    m.fork(outer);
    const maker = m.k.tasks().find((task) => task.ppid === outer)!.tid;
    m.enter(maker, fd);
    m.enter(outer, fd);
    // its init comes to the outer one last, behind the member that it waits for
    m.exit(maker);
    const inner = m.k.tasks().filter((task) => task.nsLevel === 2);
    m.exit(inner[0]!.tid, 1);
    m.kill(1, outer, S.SIGKILL);
    m.k.runPending();
    expect(m.k.tasks().map((task) => task.tid)).toEqual([1, outer]);
    expect([m.wait(1, outer), m.word(0)]).toEqual([outer, 9]);
  });

  it('that is killed in an exec is waited for as any other', () => {
    const init = m.enter(1, m.create(1, 'box'));
    const thread = fine(m.clone(init, THREAD));
    expect(exec(thread)).toBe(SLEEPS);
    m.kill(1, init, S.SIGKILL);
    m.k.runPending();
    expect([m.wait(1, init), m.word(0)]).toEqual([init, 9]);
  });

  // spec: DEAD; init's death kills the members
  it('takes every member along, in the order of entry', () => {
    const fd = m.create(1, 'box');
    const init = m.enter(1, fd);
    const members = [m.enter(1, fd), m.fork(init), m.enter(1, fd)];
    m.k.events();
    m.exit(init, 2);
    expect(m.k.runPending()).toBe(3);
    const ends = m.k.events().filter((e) => e.type === 'exit' || e.type === 'containerDead');
    expect(ends.map((e) => (e.type === 'exit' ? e.tid : -1))).toEqual([-1, init, ...members]);
    for (const pid of members) expect(m.k.task(pid)?.exitCode).toBe(S.SIGKILL);
  });

  // spec: D-7
  it('of an outer container ends all that is nested, whatever its pid namespace', () => {
    for (const flags of [0, U.CONTAINER_NEW_PID_NS]) {
      const fd = m.create(1, 'outer', flags);
      const outer = m.enter(1, fd);
      const mid = m.enter(outer, m.create(outer, 'mid', flags));
      const deep = fine(
        m.tryEnter(m.k.tasks().at(-1)!.tid, m.create(m.k.tasks().at(-1)!.tid, 'deep')),
      );
      expect([mid, deep].length).toBe(2);
      const before = m.k.tasks().filter((t) => t.container !== '.init' && t.state !== 'Z').length;
      m.exit(outer);
      expect(
        m.k
          .containers()
          .slice(1)
          .map((c) => c.flags),
      ).toEqual([3, 3, 3]);
      expect(m.k.runPending()).toBe(before - 1);
      m.close(1, fd);
      for (const task of m.k.tasks()) if (task.ppid === 1) m.wait(1, task.tid);
      expect(m.k.counts()).toMatchObject({ tasks: 1, containers: 1 });
    }
  });

  // spec: D-10; D-11
  it("kills a nested pid namespace's init too, by a signal of the kernel", () => {
    const fd = m.create(1, 'box');
    const init = m.enter(1, fd);
    const p = m.fork(init);
    m.call(p, OP.OP_UNSHARE, [C.CLONE_NEWPID]);
    const one = m.fork(p);
    expect(one).toBe(p + 1);
    m.exit(init);
    expect(m.k.diesNext(one)).toEqual({ kind: 'signal', value: S.SIGKILL });
    // no siginfo that would name a sender: nothing is queued for it
    expect(m.k.counts().sigqueues).toBeLessThanOrEqual(1);
    m.k.runPending();
    expect(m.state(one)).not.toBe('R');
  });

  // spec: D-2; D-15; D-20
  it('leaves code before DEAD: who sees the one sees the other', () => {
    const fd = m.create(1, 'box');
    const init = m.enter(1, fd);
    const p = m.fork(1);
    expect(m.containerWait(p, fd)).toBe(SLEEPS);
    m.exit(init, 9);
    expect(m.container('box')).toMatchObject({ flags: 3, exitCode: 9 << 8 });
    expect([m.resume(p), m.word(0)]).toEqual([init, 9 << 8]);
  });
});

describe('the last close', () => {
  // spec: D-3; D-34; CONTAINER_KILL_ON_CLOSE
  it('kills members and what is nested, not the close of one of several', () => {
    const fd = m.create(1, 'koc', KOC | U.CONTAINER_FD_CLOEXEC);
    const init = m.enter(1, fd);
    m.close(init, fd);
    const nestedFd = m.create(init, 'nested');
    const nested = m.enter(init, nestedFd);
    const copy = fine(m.call(1, OP.OP_DUP, [fd]));
    const holder = m.fork(1);
    m.close(1, fd);
    m.close(1, copy);
    expect(m.k.diesNext(init)).toBeNull();
    m.exit(holder);
    expect([init, nested].map((tid) => m.k.diesNext(tid)?.value)).toEqual([9, 9]);
    m.k.runPending();
    expect(m.k.counts().containers).toBe(1);
  });

  // spec: D-27
  it('by init itself, on its way out, finds its own container in order', () => {
    const fd = m.create(1, 'koc', KOC);
    const init = m.enter(1, fd);
    const member = m.enter(1, fd);
    m.close(1, fd);
    m.close(member, fd);
    m.exit(init, 5);
    expect(m.container('koc')?.exitCode).toBe(5 << 8);
    m.k.runPending();
    expect(m.k.task(init)?.exitCode).toBe(5 << 8);
    expect(m.k.counts().containers).toBe(1);
  });

  it('by a member on its way out takes the others along', () => {
    const fd = m.create(1, 'koc', KOC);
    const init = m.enter(1, fd);
    const member = m.enter(1, fd);
    m.close(1, fd);
    m.close(init, fd);
    m.exit(member, 5);
    expect(m.k.task(member)?.exitCode).toBe(5 << 8);
    expect(m.k.diesNext(init)?.value).toBe(S.SIGKILL);
  });

  // spec: close before the start destroys; KILL_ON_CLOSE
  it('destroys what was never started, and leaves running what has no KILL_ON_CLOSE', () => {
    m.close(1, m.create(1, 'never', KOC));
    expect(m.k.counts().containers).toBe(1);
    const fd = m.create(1, 'plain');
    const init = m.enter(1, fd);
    m.close(init, fd);
    m.close(1, fd);
    expect(m.k.diesNext(init)).toBeNull();
    expect(m.container('plain')).toMatchObject({ usage: 1, members: 1 });
    m.exit(init);
    expect(m.k.counts().containers).toBe(1);
  });

  // spec: D-4; D-17; D-18; D-19; D-30
  it('gives everything back: creds, namespaces, file system structs, users', () => {
    const before = m.k.counts();
    for (let i = 0; i < 100; ++i) m.close(1, m.create(1, 'x', 0xfd));
    const task = m.enter(1, m.create(1, 'y', 0xfd));
    m.exit(task);
    m.wait(1, task);
    m.close(1, 3);
    expect(m.k.counts()).toEqual(before);
  });

  // spec: D-23
  it('costs the root container no list: it keeps no members', () => {
    const members = m.k.counts().tasks;
    for (let i = 0; i < 10; ++i) m.fork(1);
    expect(m.k.containers()[0]?.members).toBe(members + 10);
    const { u32, exports } = m.k;
    const init = u32[(exports.root_ptr() + L.kernel_root.init_container) >>> 2]!;
    expect(u32[(init + L.container.members) >>> 2]).toBe(0);
    expect(u32[(init + L.container.members_cap) >>> 2]).toBe(0);
  });
});

describe('membership', () => {
  // spec: D-26
  it('stays when namespaces change', () => {
    const task = m.enter(1, m.create(1, 'box'));
    expect(m.call(task, OP.OP_UNSHARE, [C.CLONE_NEWNET | C.CLONE_NEWUTS])).toBe(0);
    expect(m.k.task(task)?.container).toBe('box');
    expect(m.k.task(m.fork(task))?.container).toBe('box');
  });
});

describe('container_open', () => {
  // spec: container_open; container_open ENOENT; container_open EPERM; container_open EINVAL
  // spec: container_open EMFILE; D-25
  it('finds what is nested in the own container, for who may use it', () => {
    const fd = m.create(1, 'outer');
    const task = m.enter(1, fd);
    const inner = m.create(task, 'inner');
    expect(m.open(1, 2, U.CONTAINER_NEW_FS_NS)).toBe(-E.EINVAL);
    for (const id of [1, 4, -1]) expect(m.open(1, id)).toBe(-E.ENOENT);
    // neither one's own nor anything outside
    for (const id of [1, 2]) expect(m.open(task, id)).toBe(-E.ENOENT);
    expect(m.open(m.user(1000), 2)).toBe(-E.EPERM);
    const again = fine(m.open(1, 3, U.CONTAINER_FD_CLOEXEC));
    expect(m.k.fds(1).at(-1)).toMatchObject({ fd: again, cloexec: true, link: 'container:[3]' });
    expect(m.container('inner')?.usage).toBe(2);
    m.close(task, inner);
    expect(m.tryEnter(1, again)).toBeGreaterThan(0);
    m.call(1, OP.OP_PRLIMIT64, [0, 7, USER, 0], new Uint8Array(BigUint64Array.of(3n, 3n).buffer));
    expect(m.open(1, 3)).toBe(-E.EMFILE);
  });

  // spec: CONTAINER_KILL_ON_CLOSE
  it('counts for KILL_ON_CLOSE, and finds a container whose descriptors are all gone', () => {
    const fd = m.create(1, 'koc', KOC);
    const init = m.enter(1, fd);
    m.close(init, fd);
    const again = fine(m.open(1, 2));
    m.close(1, fd);
    expect(m.k.diesNext(init)).toBeNull();
    m.close(1, again);
    expect(m.k.diesNext(init)?.value).toBe(S.SIGKILL);
    const plain = m.create(1, 'plain');
    const p = m.enter(1, plain);
    m.close(p, plain);
    m.close(1, plain);
    const found = fine(m.open(1, 3));
    m.exit(p, 3);
    expect([m.containerWait(1, found), m.word(0)]).toEqual([p, 3 << 8]);
  });
});
