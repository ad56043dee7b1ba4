// Protects: the alternate stack, the old signal calls of i386, queued siginfo and who may send it,
// restarts of interrupted calls, frames that siglongjmp leaves behind.
import { beforeEach, describe, expect, it } from 'vitest';
import * as E from '../../../assembly/uapi/errno.ts';
import * as OP from '../../../assembly/uapi/op.ts';
import * as C from '../../../assembly/uapi/sched.ts';
import * as N from '../../../assembly/uapi/signal.ts';
import { DISP_DONE } from '../../../host/index.ts';
import { type Driver, driver, longs, SLEEPS, USER, words } from './driver.ts';

const HANDLER = 0x4000;
const bit = (sig: number): bigint => 1n << BigInt(sig - 1);

let d: Driver;
beforeEach(async () => {
  d = await driver();
  return () => expect(d.k.check()).toEqual([]);
});

const handle = (tid: number, sig: number, flags = 0): number =>
  d.mem(tid, OP.OP_RT_SIGACTION, [sig, USER, 0, 8], longs(HANDLER, flags >>> 0, 0, 0));
const altstack = (tid: number, sp: number, size: number, flags = 0): number =>
  d.mem(tid, OP.OP_SIGALTSTACK, [USER, 0], longs(sp, flags >>> 0, size));
/** The alternate stack as sigaltstack tells it. */
function stackOf(tid: number): [sp: bigint, flags: number, size: bigint] {
  expect(d.mem(tid, OP.OP_SIGALTSTACK, [0, USER], 24)).toBe(0);
  return [d.long(0), d.word(2), d.long(2)];
}
/** Returns from the handler that `tid` is in. */
function sigreturn(tid: number): void {
  d.k.frame.begin(tid, 0, OP.OP_RT_SIGRETURN);
  expect(d.k.trap()).toBe(DISP_DONE);
}

describe('sigaltstack', () => {
  const NONE = [0n, N.SS_DISABLE, 0n];

  it('reads, checks flags, then the size', () => {
    expect(stackOf(1)).toEqual(NONE);
    expect(d.fault(1, OP.OP_SIGALTSTACK, USER, 0)).toBe(-E.EFAULT);
    expect(altstack(1, 0x8000, 10, 4)).toBe(-E.EINVAL);
    expect(altstack(1, 0x8000, N.MINSIGSTKSZ - 1)).toBe(-E.ENOMEM);
    expect(altstack(1, 0x8000, N.MINSIGSTKSZ)).toBe(0);
    expect(stackOf(1)).toEqual([0x8000n, 0, 2048n]);
    expect(altstack(1, 0x9999, 77, N.SS_DISABLE)).toBe(0);
    expect(stackOf(1)).toEqual(NONE);
  });

  it('cannot be changed while a handler runs on it', () => {
    const child = d.fork();
    altstack(child, 0x8000, 8192);
    handle(child, N.SIGUSR1, N.SA_ONSTACK);
    d.call(1, OP.OP_KILL, child, N.SIGUSR1);
    d.deliver(child);
    expect(stackOf(child)).toEqual([0x8000n, N.SS_ONSTACK, 8192n]);
    expect(altstack(child, 0x9000, 8192)).toBe(-E.EPERM);
    sigreturn(child);
    expect(altstack(child, 0x9000, 8192)).toBe(0);
  });

  it('goes by the stack pointer where the host gives one', () => {
    altstack(1, 0x8000, 8192);
    const at = (rsp: number): number => {
      const frame = d.k.frame.begin(1, 0, OP.OP_SIGALTSTACK).setArg(0, USER).setReg('rsp', rsp);
      frame.window(USER, longs(0, N.SS_DISABLE, 0), 'rw');
      d.k.trap();
      return frame.result;
    };
    expect(at(0x8001)).toBe(-E.EPERM);
    expect(at(0xa000)).toBe(-E.EPERM);
    expect(at(0xa001)).toBe(0);
  });

  it('is off while a handler runs on it with SS_AUTODISARM, and comes back', () => {
    const child = d.fork();
    altstack(child, 0x8000, 8192, N.SS_AUTODISARM);
    handle(child, N.SIGUSR1, N.SA_ONSTACK);
    d.call(1, OP.OP_KILL, child, N.SIGUSR1);
    d.deliver(child);
    expect(stackOf(child)).toEqual(NONE);
    expect(altstack(child, 0x9000, 8192)).toBe(0);
    sigreturn(child);
    expect(stackOf(child)).toEqual([0x8000n, N.SS_AUTODISARM, 8192n]);
  });

  it('is inherited by fork and vfork, not by threads, and lost by exec', () => {
    altstack(1, 0x8000, 8192);
    expect(stackOf(d.fork())[2]).toBe(8192n);
    expect(stackOf(d.call(1, OP.OP_CLONE, C.CLONE_VM | N.SIGCHLD))).toEqual(NONE);
    expect(d.call(1, OP.OP_VFORK)).toBe(SLEEPS);
    const vforked = 4;
    expect(stackOf(vforked)[2]).toBe(8192n);
    d.mem(vforked, OP.OP_EXECVE, [USER, 0, 0], new TextEncoder().encode('/bin/x\0'));
    expect(stackOf(vforked)).toEqual(NONE);
  });
});

describe('signal calls of i386', () => {
  it('sigaction takes and gives words of 32 bits', () => {
    const action = words(HANDLER, 0x4, N.SA_RESTART, 0x5000);
    expect(d.mem(1, OP.OP_SIGACTION, [N.SIGUSR1, USER, 0], action)).toBe(0);
    expect(d.mem(1, OP.OP_SIGACTION, [N.SIGUSR1, 0, USER], 16)).toBe(0);
    expect([d.word(0), d.word(1), d.word(2), d.word(3)]).toEqual([
      HANDLER,
      4,
      N.SA_RESTART,
      0x5000,
    ]);
    expect(d.mem(1, OP.OP_SIGACTION, [N.SIGKILL, USER, 0], action)).toBe(-E.EINVAL);
    expect(d.mem(1, OP.OP_SIGACTION, [65, 0, USER], 16)).toBe(-E.EINVAL);
    expect(d.fault(1, OP.OP_SIGACTION, 65, USER, 0)).toBe(-E.EFAULT);
  });

  it('signal gives the old handler and runs once', () => {
    const child = d.fork();
    expect(d.call(child, OP.OP_SIGNAL, N.SIGUSR1, HANDLER)).toBe(0);
    expect(d.call(child, OP.OP_SIGNAL, N.SIGUSR1, 0xf000_0000)).toBe(HANDLER);
    expect(d.call(child, OP.OP_SIGNAL, N.SIGSTOP, HANDLER)).toBe(-E.EINVAL);
    d.call(1, OP.OP_KILL, child, N.SIGUSR1);
    expect(d.deliver(child)).toEqual([N.SIGUSR1]);
    expect(d.call(child, OP.OP_SIGNAL, N.SIGUSR1, N.SIG_IGN)).toBe(N.SIG_DFL);
    expect(d.k.task(child)!.blocked).toBe(0n);
  });

  it('sigprocmask changes the lower half, sigpending shows it', () => {
    d.k.setBlocked(1, bit(40));
    expect(d.mem(1, OP.OP_SIGPROCMASK, [N.SIG_SETMASK, USER, USER], words(0x200))).toBe(0);
    expect(d.word(0)).toBe(0);
    expect(d.k.task(1)!.blocked).toBe(bit(40) | 0x200n);
    expect(d.mem(1, OP.OP_SIGPROCMASK, [N.SIG_BLOCK, USER, 0], words(0x100 | 0x800))).toBe(0);
    expect(d.k.task(1)!.blocked).toBe(bit(40) | 0xa00n);
    expect(d.mem(1, OP.OP_SIGPROCMASK, [9, USER, 0], words(0))).toBe(-E.EINVAL);
    expect(d.fault(1, OP.OP_SIGPROCMASK, 9, USER, 0)).toBe(-E.EFAULT);
    d.k.raise(1, false, { signo: N.SIGUSR1 });
    expect(d.mem(1, OP.OP_SIGPENDING, [USER], 4)).toBe(0);
    expect(d.word(0)).toBe(0x200);
    expect(d.fault(1, OP.OP_SIGPENDING, USER)).toBe(-E.EFAULT);
  });

  it('ssetmask sets the whole mask by its lower half, sgetmask reads it', () => {
    d.k.setBlocked(1, bit(40) | bit(32));
    expect(d.call(1, OP.OP_SGETMASK)).toBe(0x8000_0000);
    expect(d.call(1, OP.OP_SSETMASK, 0xffff_ffff)).toBe(0x8000_0000);
    expect(d.k.task(1)!.blocked).toBe(0xffff_ffffn & ~(bit(9) | bit(19)));
  });

  it('sigsuspend sleeps with the mask in its third argument', () => {
    const child = d.fork();
    handle(child, N.SIGUSR2);
    expect(d.call(child, OP.OP_SIGSUSPEND, 0, 0, 0x200)).toBe(SLEEPS);
    d.call(1, OP.OP_KILL, child, N.SIGUSR1);
    expect(d.k.woken()).toEqual([]);
    d.call(1, OP.OP_KILL, child, N.SIGUSR2);
    expect(d.resume(child)).toBe(-E.ERESTARTNOHAND);
  });
});

describe('queued signals', () => {
  const info = (sig: number, code: number, value: number): Uint8Array =>
    words(sig, 0, code, 0, 77, 0, value, 0, 0, 0, 0, 0);
  const queue = (to: number, sig: number, value: number, code = N.SI_QUEUE): number =>
    d.mem(1, OP.OP_RT_SIGQUEUEINFO, [to, sig, USER], info(sig, code, value));

  it('real-time ones come one by one, lowest number first, in order of sending', () => {
    const child = d.fork();
    for (const sig of [34, 35, N.SIGUSR1]) handle(child, sig, N.SA_SIGINFO);
    d.k.setBlocked(child, 0xffff_ffff_ffff_fffen);
    queue(child, 35, 1);
    queue(child, 34, 2);
    queue(child, 35, 3);
    queue(child, 34, 4);
    queue(child, N.SIGUSR1, 5);
    queue(child, N.SIGUSR1, 6);
    const taken: number[][] = [];
    for (let n = 0; n < 6; ++n) {
      d.k.setBlocked(child, 0n);
      const { info: one } = d.k.exitToUser(child);
      if (one.signo) taken.push([one.signo, Number(one.value)]);
    }
    expect(taken).toEqual([
      [N.SIGUSR1, 5],
      [34, 2],
      [34, 4],
      [35, 1],
      [35, 3],
    ]);
  });

  it('rt_sigqueueinfo checks memory, forgery, target and signal in this order', () => {
    const child = d.fork();
    expect(d.fault(1, OP.OP_RT_SIGQUEUEINFO, 99, 65, USER)).toBe(-E.EFAULT);
    expect(queue(99, 65, 0, N.SI_USER)).toBe(-E.EPERM);
    expect(queue(99, 65, 0, N.SI_TKILL)).toBe(-E.EPERM);
    expect(queue(99, 65, 0)).toBe(-E.ESRCH);
    expect(queue(child, 65, 0)).toBe(-E.EINVAL);
    expect(queue(1, N.SIGCHLD, 0, N.SI_USER)).toBe(0);
    const user = d.unprivileged();
    const args = [1, N.SIGUSR1, USER];
    expect(d.mem(user, OP.OP_RT_SIGQUEUEINFO, args, info(N.SIGUSR1, -1, 0))).toBe(-E.EPERM);
  });

  it('rt_tgsigqueueinfo wants a thread of that group', () => {
    const child = d.fork();
    const send = (tgid: number, tid: number, sig = 34, code = N.SI_QUEUE): number =>
      d.mem(1, OP.OP_RT_TGSIGQUEUEINFO, [tgid, tid, sig, USER], info(sig, code, 1));
    expect(d.fault(1, OP.OP_RT_TGSIGQUEUEINFO, 0, 0, 34, USER)).toBe(-E.EFAULT);
    expect(send(0, child)).toBe(-E.EINVAL);
    expect(send(child, 0)).toBe(-E.EINVAL);
    expect(send(child, child, 34, N.SI_USER)).toBe(-E.EPERM);
    expect(send(1, child)).toBe(-E.ESRCH);
    expect(send(child, child, 65)).toBe(-E.EINVAL);
    handle(child, 34);
    expect(send(child, child)).toBe(0);
    expect(d.k.exitToUser(child).info).toMatchObject({ signo: 34, pid: 77, value: 1n });
  });

  it('a sender from an ancestor namespace has no number there', () => {
    const child = d.call(1, OP.OP_CLONE, C.CLONE_NEWPID | N.SIGCHLD);
    handle(child, 34);
    expect(queue(child, 34, 9)).toBe(0);
    expect(d.k.exitToUser(child).info).toMatchObject({ pid: 0, value: 9n });
  });
});

describe('restarts', () => {
  it('poll goes on with restart_syscall, unless a handler makes it EINTR', () => {
    const child = d.fork();
    handle(child, N.SIGUSR1);
    d.mem(child, OP.OP_PIPE2, [USER, 0], 8);
    const fds = words(3, 1);
    const poll = (): number => d.mem(child, OP.OP_POLL, [USER, 1, -1], fds);
    expect(poll()).toBe(SLEEPS);
    d.call(1, OP.OP_KILL, child, N.SIGCONT);
    d.call(1, OP.OP_KILL, child, N.SIGUSR1);
    expect(d.resume(child)).toBe(-E.ERESTART_RESTARTBLOCK);
    const frame = d.k.frameOf(child)!;
    d.k.exitToUser(child, frame);
    expect(frame.result).toBe(-E.EINTR);
    sigreturn(child);
    expect(d.call(child, OP.OP_RESTART_SYSCALL)).toBe(-E.EINTR);

    // an ignored signal only interrupts a traced task
    d.k.setTraced(child, true);
    expect(poll()).toBe(SLEEPS);
    d.call(1, OP.OP_KILL, child, N.SIGWINCH);
    expect(d.resume(child)).toBe(-E.ERESTART_RESTARTBLOCK);
    const again = d.k.frameOf(child)!;
    expect(d.k.exitToUser(child, again).action).toBe('ignored');
    d.k.exitToUser(child, again);
    expect(again.getReg('rax')).toBe(BigInt(OP.OP_RESTART_SYSCALL));
    expect(d.mem(child, OP.OP_RESTART_SYSCALL, [], fds)).toBe(SLEEPS);
    d.k.setTraced(child, false);
  });
});

describe('faults', () => {
  it('kill whoever blocks or ignores them, an init too', () => {
    const child = d.fork();
    d.k.setBlocked(child, bit(N.SIGSEGV));
    d.k.raise(child, false, { signo: N.SIGSEGV, code: N.SEGV_MAPERR });
    expect(d.deliver(child)).toEqual([N.SIGSEGV]);
    expect(d.k.task(child)).toMatchObject({ state: 'Z', exitCode: N.SIGSEGV });
    const init = d.call(1, OP.OP_CLONE, C.CLONE_NEWPID | N.SIGCHLD);
    d.k.raise(init, false, { signo: N.SIGSEGV });
    expect(d.k.task(init)!.state).toBe('R');
    d.k.raise(init, false, { signo: N.SIGSEGV, code: N.SEGV_MAPERR });
    expect(d.deliver(init)).toEqual([N.SIGSEGV]);
    expect(d.k.task(init)!.state).toBe('Z');
  });
});

describe('rt_sigreturn', () => {
  it('drops the frames that siglongjmp left', () => {
    const child = d.fork();
    handle(child, N.SIGUSR1);
    handle(child, N.SIGUSR2);
    d.k.setBlocked(child, bit(N.SIGHUP));
    d.call(1, OP.OP_KILL, child, N.SIGUSR1);
    d.deliver(child);
    d.call(1, OP.OP_KILL, child, N.SIGUSR2);
    d.deliver(child);
    expect(d.k.counts().sigframes).toBe(2);
    d.k.frame.begin(child, 0, OP.OP_RT_SIGRETURN).assistMask(bit(N.SIGHUP));
    expect(d.k.trap()).toBe(DISP_DONE);
    expect(d.k.task(child)!.blocked).toBe(bit(N.SIGHUP));
    expect(d.k.counts().sigframes).toBe(0);
  });

  it('without a frame is a broken stack', () => {
    const child = d.fork();
    d.call(child, OP.OP_RT_SIGRETURN);
    expect(d.deliver(child)).toEqual([N.SIGSEGV]);
    expect(d.k.task(child)).toMatchObject({ state: 'Z', exitCode: N.SIGSEGV });
  });
});
