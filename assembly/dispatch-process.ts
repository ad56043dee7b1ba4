// The part of the dispatch that is about processes and their signals beyond the calls of every
// program: one switch that reads as a table, reached from syscall.ts by the range of its numbers.
import { frame } from "./lib/frame.ts";
import * as Q from "./process/sys-pidfd.ts";
import * as O from "./uapi/op.ts";
import * as H from "./process/sys-thread.ts";
import * as L from "./process/sys-limit.ts";
import * as D from "./process/sys-sched.ts";
import * as M from "./signal/sys-timer.ts";
import * as Z from "./signal/sys-sigold.ts";
import { task_struct } from "./process/task.ts";
import { EINVAL, ENOSYS } from "./uapi/errno.ts";

/** Runs operation `op` (PROCESS_OPS_FIRST to PROCESS_OPS_LAST). Return: result, -errno, RET_*. */
export function do_op_process(op: u32, p: task_struct, f: frame, compat: bool): i32 {
  switch (op) {
    case O.OP_PIDFD_GETFD:
      return Q.sys_pidfd_getfd(p, <i32>f.a0, <i32>f.a1, <u32>f.a2);
    case O.OP_SET_ROBUST_LIST:
      return H.sys_set_robust_list(p, f, compat);
    case O.OP_GET_ROBUST_LIST:
      return H.sys_get_robust_list(p, f, compat);
    case O.OP_SIGACTION:
      return Z.sys_sigaction(p, f);
    case O.OP_SIGNAL:
      return Z.sys_signal(p, f);
    case O.OP_SIGPROCMASK:
      return Z.sys_sigprocmask(p, f);
    case O.OP_SIGPENDING:
      return Z.sys_sigpending(p, f);
    case O.OP_SIGSUSPEND:
      return Z.sys_sigsuspend(p, f);
    case O.OP_SGETMASK:
      return Z.sys_sgetmask(p, f);
    case O.OP_SSETMASK:
      return Z.sys_ssetmask(p, f);
    case O.OP_ALARM:
      return M.sys_alarm(p, f);
    case O.OP_GETITIMER:
      return M.sys_getitimer(p, f, compat);
    case O.OP_SETITIMER:
      return M.sys_setitimer(p, f, compat);
    case O.OP_TIMER_CREATE:
      return M.sys_timer_create(p, f, compat);
    case O.OP_TIMER_SETTIME:
      return M.sys_timer_settime(p, f, compat);
    case O.OP_TIMER_SETTIME64:
      return M.sys_timer_settime(p, f, false);
    case O.OP_TIMER_GETTIME:
      return M.sys_timer_gettime(p, f, compat);
    case O.OP_TIMER_GETTIME64:
      return M.sys_timer_gettime(p, f, false);
    case O.OP_TIMER_GETOVERRUN:
      return M.sys_timer_getoverrun(p, f);
    case O.OP_TIMER_DELETE:
      return M.sys_timer_delete(p, f);
    case O.OP_OLD_GETRLIMIT:
      return L.sys_getrlimit(p, f, true, 0x7fffffff);
    case O.OP_GETPRIORITY:
      return D.sys_getpriority(p, <i32>f.a0, <i32>f.a1);
    case O.OP_SETPRIORITY:
      return D.sys_setpriority(p, <i32>f.a0, <i32>f.a1, <i32>f.a2);
    case O.OP_NICE:
      return D.sys_nice(p, <i32>f.a0);
    case O.OP_PERSONALITY:
      return D.sys_personality(p, f, <u32>f.a0);
    case O.OP_SCHED_SETSCHEDULER:
      if (<i32>f.a1 < 0) return -EINVAL;
      return D.sys_sched_setscheduler(p, f, <i32>f.a0, <i32>f.a1, f.a2);
    case O.OP_SCHED_GETSCHEDULER:
      return D.sys_sched_getscheduler(p, <i32>f.a0);
    case O.OP_SCHED_SETPARAM:
      return D.sys_sched_setscheduler(p, f, <i32>f.a0, -1, f.a1);
    case O.OP_SCHED_GETPARAM:
      return D.sys_sched_getparam(p, f, <i32>f.a0, f.a1);
    case O.OP_SCHED_SETATTR:
      return D.sys_sched_setattr(p, f);
    case O.OP_SCHED_GETATTR:
      return D.sys_sched_getattr(p, f);
    case O.OP_SCHED_SETAFFINITY:
      return D.sys_sched_setaffinity(p, f);
    case O.OP_SCHED_GETAFFINITY:
      return D.sys_sched_getaffinity(p, f, compat);
    case O.OP_SCHED_GET_PRIORITY_MAX:
      return D.sys_sched_get_priority(<i32>f.a0, 99);
    case O.OP_SCHED_GET_PRIORITY_MIN:
      return D.sys_sched_get_priority(<i32>f.a0, 1);
    case O.OP_SCHED_RR_GET_INTERVAL:
      return D.sys_sched_rr_get_interval(p, f, compat);
    case O.OP_GETRUSAGE:
      return L.sys_getrusage(f, compat);
    case O.OP_TIMES:
      return L.sys_times(f, compat);
    default:
      return -ENOSYS;
  }
}
