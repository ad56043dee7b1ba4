// Signals.
import * as OP from '../../../assembly/uapi/op.ts';
import { type CallDef, own } from '../def.ts';

/** Calls that i386 alone has: masks of 32 bits. */
export const OLD_SIGNAL_CALLS: Readonly<Record<string, CallDef>> = {
  sigaction: own(OP.OP_SIGACTION, 'zero', 'sig in:oldsigaction out:oldsigaction'),
  signal: own(OP.OP_SIGNAL, 'addr', 'sig addr'),
  sigprocmask: own(OP.OP_SIGPROCMASK, 'zero', 'op in:oldsigset out:oldsigset'),
  sigpending: own(OP.OP_SIGPENDING, 'zero', 'out:oldsigset'),
  sigsuspend: own(OP.OP_SIGSUSPEND, 'int', 'int int ulong'),
  sgetmask: own(OP.OP_SGETMASK, 'mask'),
  ssetmask: own(OP.OP_SSETMASK, 'mask', 'ulong'),
};

/** Calls on signals. */
export const SIGNAL_CALLS: Readonly<Record<string, CallDef>> = {
  kill: own(OP.OP_KILL, 'zero', 'pid sig'),
  tkill: own(OP.OP_TKILL, 'zero', 'pid sig'),
  tgkill: own(OP.OP_TGKILL, 'zero', 'pid pid sig'),
  rt_sigqueueinfo: own(OP.OP_RT_SIGQUEUEINFO, 'zero', 'pid sig in:siginfo'),
  rt_tgsigqueueinfo: own(OP.OP_RT_TGSIGQUEUEINFO, 'zero', 'pid pid sig in:siginfo'),
  rt_sigaction: own(OP.OP_RT_SIGACTION, 'zero', 'sig in:sigaction out:sigaction ulong'),
  rt_sigprocmask: own(OP.OP_RT_SIGPROCMASK, 'zero', 'op in:sigset@3 out:sigset@3 ulong'),
  rt_sigpending: own(OP.OP_RT_SIGPENDING, 'zero', 'out:sigset@1 ulong'),
  rt_sigsuspend: own(OP.OP_RT_SIGSUSPEND, 'int', 'in:sigset@1 ulong'),
  rt_sigreturn: own(OP.OP_RT_SIGRETURN, 'int', '', { note: 'takes the saved frame of its mask' }),
  rt_sigtimedwait: own(OP.OP_RT_SIGTIMEDWAIT, 'int', 'in:sigset@3 out:siginfo in:timespec ulong'),
  restart_syscall: own(OP.OP_RESTART_SYSCALL, 'int', '', {
    class: 'assisted',
    support: 'partial',
    note: "poll goes on in the kernel; other calls that it resumes are the world's",
  }),
  pause: own(OP.OP_PAUSE, 'int'),
  sigaltstack: own(OP.OP_SIGALTSTACK, 'zero', 'in:stack out:stack', {
    note: 'without a stack pointer in the frame, entered handlers say whether it is in use',
  }),
};
