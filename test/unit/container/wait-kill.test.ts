// Protects: container_wait and container_kill: who may, what they say, whom they reach, and that
// nothing escapes; poll of the container's descriptor in both of its states.
import { beforeEach, describe, expect, it } from 'vitest';
import * as U from '../../../assembly/uapi/container.ts';
import * as E from '../../../assembly/uapi/errno.ts';
import { POLLHUP, POLLIN, POLLRDHUP, POLLRDNORM } from '../../../assembly/uapi/fcntl.ts';
import * as OP from '../../../assembly/uapi/op.ts';
import * as C from '../../../assembly/uapi/sched.ts';
import * as S from '../../../assembly/uapi/signal.ts';
import { WNOHANG, WNOWAIT } from '../../../assembly/uapi/wait.ts';
import { fine, GONE, type Machine, machine, SLEEPS, USER, words } from './machine.ts';

let m: Machine;
let fd: number;

beforeEach(async () => {
  m = await machine();
  fd = m.create(1, 'box');
  return () => expect(m.k.check()).toEqual([]);
});

/** SIGTERM has a handler in `tid`. */
function handle(tid: number, sig: number): void {
  const action = words(0x401000, 0, 0x04000000, 0, 0x402000, 0, 0, 0);
  expect(m.call(tid, OP.OP_RT_SIGACTION, [sig, USER, 0, 8], action)).toBe(0);
}

describe('container_wait', () => {
  // spec: container_wait WNOHANG; container_wait WNOWAIT; container_wait several waiters
  it('tells any number of holders, blocks before the start too, and reaps nothing', () => {
    const [a, b] = [m.fork(1), m.fork(1)];
    expect(m.containerWait(1, fd, WNOHANG)).toBe(0);
    expect(m.containerWait(a, fd)).toBe(SLEEPS);
    const init = m.enter(1, fd);
    expect(m.containerWait(b, fd, WNOWAIT)).toBe(SLEEPS);
    expect(m.containerWait(1, fd, WNOHANG)).toBe(0);
    m.exit(init, 7);
    expect(m.k.woken()).toEqual([a, b]);
    expect([m.resume(a), m.word(0)]).toEqual([init, 7 << 8]);
    expect([m.resume(b), m.word(0)]).toEqual([init, 7 << 8]);
    expect([m.containerWait(1, fd, WNOHANG | WNOWAIT), m.word(0)]).toEqual([init, 7 << 8]);
    expect(m.state(init)).toBe('Z');
    expect([m.wait(1, init), m.word(0)]).toEqual([init, 7 << 8]);
    // also after init was reaped
    expect([m.containerWait(1, fd), m.word(0)]).toEqual([init, 7 << 8]);
  });

  // spec: container_wait EBADF; container_wait EINVAL; container_wait EPERM; container_wait EFAULT
  // spec: D-32; wait needs the creator or CAP_SYS_ADMIN
  it('refuses in order: descriptor, permission, options, addresses', () => {
    const user = m.user(1000);
    expect(m.containerWait(user, 99, 0x80)).toBe(-E.EBADF);
    expect(m.containerWait(user, 0, 0x80)).toBe(-E.EINVAL);
    expect(m.containerWait(user, fd, 0x80)).toBe(-E.EPERM);
    for (const bad of [2, 4, 8, 0x20000000, 0x80000000]) {
      expect(m.containerWait(1, fd, WNOHANG | bad)).toBe(-E.EINVAL);
    }
    const mine = m.create(user, 'mine');
    expect(m.containerWait(user, mine, WNOHANG)).toBe(0);
    // root of the namespace around it may
    const init = m.enter(1, fd);
    m.exit(init);
    expect(m.call(1, OP.OP_CONTAINER_WAIT, [fd, USER, 0, 0], 'unmapped')).toBe(-E.EFAULT);
    expect(m.call(1, OP.OP_CONTAINER_WAIT, [fd, 0, 0, USER], 'unmapped')).toBe(-E.EFAULT);
    expect(m.containerWait(1, fd)).toBe(init);
  });

  // spec: container_wait rusage
  it('writes a rusage of the size that the ABI has', () => {
    const init = m.enter(1, fd);
    m.exit(init);
    const memory = new Uint8Array(160).fill(0xee);
    m.call(1, OP.OP_CONTAINER_WAIT, [fd, 0, 0, USER], memory);
    expect([m.out.lastIndexOf(0), m.out[144]]).toEqual([143, 0xee]);
    const compat = m.k.registerTable(Uint16Array.of(0, OP.OP_CONTAINER_WAIT), true);
    const frame = m.k.frame.begin(1, compat, 1).setReg('rbx', fd).setReg('rsi', USER);
    frame.window(USER, memory, 'rw');
    m.k.trap();
    expect(frame.result).toBe(init);
    const out = frame.output(USER, 160)!;
    expect([out.lastIndexOf(0), out[72]]).toEqual([71, 0xee]);
  });

  // spec: container_wait EINTR
  it('is ended by a handled signal and begins again without one', () => {
    const a = m.fork(1);
    handle(a, S.SIGTERM);
    expect(m.containerWait(a, fd)).toBe(SLEEPS);
    m.kill(1, a, S.SIGTERM);
    expect(m.resume(a)).toBe(-E.ERESTARTSYS);
    const frame = m.k.frameOf(a)!;
    expect(m.k.exitToUser(a, frame).action).toBe('handled');
    expect(frame.result).toBe(-E.EINTR);
  });

  // spec: container_wait ENOMEM
  it('sleeps or fails, when there is no memory for the sleep', () => {
    m.k.allocFail(1);
    expect(m.containerWait(1, fd)).toBe(-E.ENOMEM);
  });

  it('keeps its file while it sleeps, whoever closes the descriptor', () => {
    const child = m.fork(1);
    m.close(1, fd);
    const thread = fine(
      m.clone(child, C.CLONE_VM | C.CLONE_FS | C.CLONE_FILES | C.CLONE_SIGHAND | C.CLONE_THREAD),
    );
    expect(m.containerWait(thread, fd)).toBe(SLEEPS);
    expect(m.close(child, fd)).toBe(0);
    expect(m.k.check()).toEqual([]);
    expect(m.container('box')?.usage).toBe(1);
    m.kill(1, child, S.SIGKILL);
    m.k.runPending();
    expect(m.container('box')).toBeUndefined();
  });

  // spec: D-36
  it('refuses a waiter to whom init has no number', () => {
    const inside = m.enter(1, m.create(1, 'pid', U.CONTAINER_NEW_PID_NS));
    expect(m.containerWait(inside, fd, WNOHANG)).toBe(-E.EINVAL);
  });

  // spec: container_wait ECANCELED
  it('tells of a container that died before it began', () => {
    const outer = m.enter(1, fd);
    const inner = m.create(outer, 'inner');
    m.exit(m.fork(outer));
    const holder = m.fork(outer);
    m.exit(outer);
    expect(m.containerWait(holder, inner)).toBe(-E.ECANCELED);
  });

  // spec: D-12
  it("gives the group's code, as wait4 does", () => {
    const init = m.enter(1, fd);
    m.k.adopt({ pid: 50, tgid: init });
    m.call(init, OP.OP_EXIT, [1]);
    m.exit(50, 3);
    expect([m.containerWait(1, fd), m.word(0)]).toEqual([init, 3 << 8]);
    expect([m.wait(1, init), m.word(0)]).toEqual([init, 3 << 8]);
  });

  it('gives the signal that killed init', () => {
    const init = m.enter(1, fd);
    m.kill(1, init, S.SIGKILL);
    m.k.runPending();
    expect([m.containerWait(1, fd), m.word(0)]).toEqual([init, S.SIGKILL]);
  });
});

describe('container_kill', () => {
  // spec: container_kill EBADF; container_kill EINVAL; container_kill ESRCH
  it('refuses in order: descriptor, arguments, nobody there', () => {
    expect(m.containerKill(1, 99, 5, 99)).toBe(-E.EBADF);
    expect(m.containerKill(1, 0, 5, 99)).toBe(-E.EINVAL);
    for (const only of [2, -1]) expect(m.containerKill(1, fd, only, 9)).toBe(-E.EINVAL);
    for (const sig of [65, -1]) expect(m.containerKill(1, fd, 0, sig)).toBe(-E.EINVAL);
    for (const only of [0, 1]) expect(m.containerKill(1, fd, only, 0)).toBe(-E.ESRCH);
    const init = m.enter(1, fd);
    const member = m.enter(1, fd);
    for (const only of [0, 1]) expect(m.containerKill(1, fd, only, 0)).toBe(0);
    m.exit(init);
    expect(m.containerKill(1, fd, 1, 0)).toBe(-E.ESRCH);
    expect(m.containerKill(1, fd, 0, 0)).toBe(0);
    m.k.runPending();
    expect(m.state(member)).toBe('Z');
    expect(m.containerKill(1, fd, 0, 0)).toBe(-E.ESRCH);
  });

  // spec: container_kill initonly
  it('reaches init alone, or each process once, nested containers included', () => {
    const init = m.enter(1, fd);
    const member = m.enter(1, fd);
    const thread = C.CLONE_VM | C.CLONE_FS | C.CLONE_FILES | C.CLONE_SIGHAND | C.CLONE_THREAD;
    fine(m.clone(member, thread));
    const inner = m.enter(init, m.create(init, 'inner'));
    const outside = m.fork(1);
    const pending = (tid: number): boolean => (m.k.task(tid)!.pending & (1n << 33n)) !== 0n;
    for (const tid of [init, member, inner, outside]) handle(tid, 34);
    expect(m.containerKill(1, fd, 1, 34)).toBe(0);
    expect([init, member, inner, outside].map(pending)).toEqual([true, false, false, false]);
    // a real-time signal is queued each time that it is sent
    const queued = m.k.counts().sigqueues;
    expect(m.containerKill(1, fd, 0, 34)).toBe(0);
    expect([init, member, inner, outside].map(pending)).toEqual([true, true, true, false]);
    expect(m.k.counts().sigqueues - queued).toBe(3);
  });

  // spec: container_kill EPERM; kill needs the rule of kill(2)
  it('needs the right to signal; EPERM only when nobody was signalled', () => {
    const user = m.user(1000);
    const init = m.enter(1, fd);
    expect(m.containerKill(user, fd, 0, 0)).toBe(-E.EPERM);
    expect(m.containerKill(user, fd, 1, 9)).toBe(-E.EPERM);
    const member = m.enter(1, fd);
    m.call(member, OP.OP_SETRESUID, [1000, 1000, 1000]);
    expect(m.containerKill(user, fd, 1, 9)).toBe(-E.EPERM);
    expect(m.containerKill(user, fd, 0, 9)).toBe(0);
    m.k.runPending();
    expect([m.state(init), m.state(member)]).toEqual(['R', 'Z']);
    // the namespace's owner has CAP_KILL in it
    const own = m.create(user, 'own', U.CONTAINER_NEW_USER_NS);
    const lord = m.enter(user, own);
    expect(m.containerKill(user, own, 1, 0)).toBe(0);
    expect(m.kill(user, lord, 0)).toBe(0);
  });

  // spec: a pid namespace's init and signals from outside
  it('forces SIGKILL and SIGSTOP on an init of its own pid namespace, nothing else', () => {
    const pid = m.create(1, 'pid', U.CONTAINER_NEW_PID_NS);
    const init = m.enter(1, pid);
    m.containerKill(1, pid, 1, S.SIGTERM);
    expect(m.k.diesNext(init)).toBeNull();
    m.containerKill(1, pid, 1, S.SIGSTOP);
    expect(m.k.exitToUser(init).action).toBe('stopped');
    m.containerKill(1, pid, 1, S.SIGKILL);
    m.k.runPending();
    expect(m.state(init)).toBe('Z');
  });

  // spec: no escape by forking
  it('lets nobody get away by forking', () => {
    const init = m.enter(1, fd);
    const member = m.enter(1, fd);
    m.containerKill(1, fd, 0, S.SIGKILL);
    const flags = [S.SIGCHLD, C.CLONE_VFORK | C.CLONE_VM | S.SIGCHLD, C.CLONE_PARENT | S.SIGCHLD];
    for (const tid of [init, member]) {
      for (const flag of flags) expect(m.clone(tid, flag)).toBe(-E.EINTR);
      expect(m.tryEnter(tid, fd)).toBe(-E.EINTR);
    }
    m.k.runPending();
    expect(m.container('box')).toMatchObject({ members: 0, flags: 3 });
  });
});

describe('poll', () => {
  // spec: POLLHUP; POLLIN; D-1; D-16
  it('says that init is dead, level-triggered and for ever', () => {
    const asked = POLLIN | POLLRDNORM;
    expect(m.poll(1, fd, asked)).toBe(0);
    const [a, b] = [m.fork(1), m.fork(1)];
    const init = m.enter(1, fd);
    const member = m.enter(1, fd);
    expect(m.poll(1, fd, asked)).toBe(0);
    expect(m.poll(a, fd, asked, -1)).toBe(SLEEPS);
    expect(m.poll(b, fd, POLLRDHUP | asked, -1)).toBe(SLEEPS);
    m.exit(init);
    expect(m.k.woken()).toEqual([a, b]);
    expect([m.resume(a), m.resume(b)]).toEqual([1, 1]);
    expect(m.poll(1, fd, asked)).toBe(POLLHUP | asked);
    expect(m.poll(1, fd, 0)).toBe(POLLHUP);
    expect(m.poll(1, fd, POLLRDHUP)).toBe(POLLHUP);
    m.k.runPending();
    expect(m.state(member)).toBe('Z');
    expect(m.poll(1, fd, asked)).toBe(POLLHUP | asked);
  });

  // spec: POLLRDHUP
  it('says, when asked, that nobody is left', () => {
    const init = m.enter(1, fd);
    const members = [m.enter(1, fd), m.enter(1, fd)];
    m.exit(init);
    expect(m.poll(1, fd, POLLRDHUP)).toBe(POLLHUP);
    m.exit(members[0]!);
    expect(m.poll(1, fd, POLLRDHUP)).toBe(POLLHUP);
    m.exit(members[1]!);
    expect(m.poll(1, fd, POLLRDHUP)).toBe(POLLHUP | POLLRDHUP);
    expect(m.poll(1, fd, 0)).toBe(POLLHUP);
  });

  // spec: poll of a container that is never started
  it('never says anything of a container that is not started, until the one around it dies', () => {
    const outer = m.enter(1, fd);
    const inner = m.create(outer, 'inner');
    const keep = m.fork(outer);
    expect(m.poll(keep, inner, POLLIN | POLLRDHUP)).toBe(0);
    expect(m.poll(keep, inner, POLLIN, -1)).toBe(SLEEPS);
    expect(m.exit(outer)).toBe(GONE);
    m.k.abortCall(keep);
    expect(m.poll(keep, inner, POLLIN | POLLRDHUP)).toBe(POLLHUP | POLLIN | POLLRDHUP);
  });
});
