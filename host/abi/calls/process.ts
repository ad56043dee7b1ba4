// Processes: their life, limits and settings.
import * as OP from '../../../assembly/uapi/op.ts';
import { type CallDef, own, part } from '../def.ts';

const REBOOT = "in the initial pid namespace the world's";

const CLOCK = 'times are on the clock that the host sets; the host says when a timer goes off';

/** Timers of a process. */
export const TIMER_CALLS: Readonly<Record<string, CallDef>> = {
  alarm: own(OP.OP_ALARM, 'int', 'uint', { note: CLOCK }),
  getitimer: own(OP.OP_GETITIMER, 'zero', 'op out:itimerval', { note: CLOCK }),
  setitimer: own(OP.OP_SETITIMER, 'zero', 'op in:itimerval out:itimerval', { note: CLOCK }),
  timer_create: own(OP.OP_TIMER_CREATE, 'zero', 'op in:sigevent out:i32', { note: CLOCK }),
  timer_settime: own(OP.OP_TIMER_SETTIME, 'zero', 'id flags:timer in:itimerspec out:itimerspec', {
    note: CLOCK,
  }),
  timer_settime64: own(
    OP.OP_TIMER_SETTIME64,
    'zero',
    'id flags:timer in:itimerspec64 out:itimerspec64',
    { note: CLOCK },
  ),
  timer_gettime: own(OP.OP_TIMER_GETTIME, 'zero', 'id out:itimerspec', { note: CLOCK }),
  timer_gettime64: own(OP.OP_TIMER_GETTIME64, 'zero', 'id out:itimerspec64', { note: CLOCK }),
  timer_getoverrun: own(OP.OP_TIMER_GETOVERRUN, 'int', 'id', { note: CLOCK }),
  timer_delete: own(OP.OP_TIMER_DELETE, 'zero', 'id'),
};

/** Calls on processes. */
export const PROCESS_CALLS: Readonly<Record<string, CallDef>> = {
  exit: own(OP.OP_EXIT, 'never', 'int'),
  exit_group: own(OP.OP_EXIT_GROUP, 'never', 'int'),
  fork: own(OP.OP_FORK, 'pid'),
  vfork: own(OP.OP_VFORK, 'pid'),
  clone: own(OP.OP_CLONE, 'pid', 'flags:clone addr out:i32 addr ulong'),
  clone3: own(OP.OP_CLONE3, 'pid', 'in:clone_args@1 ulong'),
  wait4: own(OP.OP_WAIT4, 'pid', 'pid out:i32 flags:wait out:rusage', {
    note: 'rusage is all zero: no time passes in the kernel',
  }),
  waitid: own(OP.OP_WAITID, 'zero', 'op id out:siginfo flags:wait out:rusage'),
  execve: part(OP.OP_EXECVE, 'zero', 'str strs strs', "whether the file runs is the world's", {
    class: 'assisted',
  }),
  execveat: part(
    OP.OP_EXECVEAT,
    'zero',
    'dirfd str strs strs flags:at',
    "whether the file runs is the world's",
    { class: 'assisted' },
  ),
  prctl: part(
    OP.OP_PRCTL,
    'int',
    'op ulong ulong ulong ulong',
    'names, subreapers, death signals, dumpable, timer slack, capabilities, no_new_privs',
    {
      classBy: 'byOption',
    },
  ),
  reboot: part(OP.OP_REBOOT, 'zero', 'flags:reboot flags:reboot flags:reboot addr', REBOOT),
  set_tid_address: own(OP.OP_SET_TID_ADDRESS, 'pid', 'addr'),
  set_robust_list: own(OP.OP_SET_ROBUST_LIST, 'zero', 'addr ulong', {
    note: "the futexes on it are guest memory: an event tells the host of the owner's end",
  }),
  get_robust_list: own(OP.OP_GET_ROBUST_LIST, 'zero', 'pid out:long out:long'),
  umask: own(OP.OP_UMASK, 'mask', 'mode'),
  pidfd_open: own(OP.OP_PIDFD_OPEN, 'fd', 'pid flags:pidfd'),
  pidfd_send_signal: own(OP.OP_PIDFD_SEND_SIGNAL, 'zero', 'fd sig in:siginfo flags:pidfd_signal'),
  pidfd_getfd: own(OP.OP_PIDFD_GETFD, 'fd', 'fd fd uint'),
};
