// What one thread tells the kernel of itself: where its number is cleared when it ends, its list of
// robust futexes. The memory behind both is the guest's: the host acts on the events.
import { nil, RET_RAW } from "../lib/err.ts";
import { frame } from "../lib/frame.ts";
import { find_task_by_pid_ns, pid_nr_ns, task_active_pid_ns } from "./pid.ts";
import { SCRATCH_USER } from "../lib/root.ts";
import { ptrace_may_access } from "./sys-pidfd.ts";
import { rt_policy, sched_for_write, task_policy, task_slack } from "./sched.ts";
import { SIGNAL_NOT_DUMPABLE } from "./signal-struct.ts";
import { rare, rare_for_write, task_struct } from "./task.ts";
import { copy_to_user, prepare_write } from "../lib/uaccess.ts";
import { EFAULT, EINVAL, ENOMEM, ENOSYS, EPERM, ESRCH } from "../uapi/errno.ts";
import { ASSIST_RET } from "../uapi/frame.ts";
import * as P from "../uapi/prctl.ts";

/** sizeof(struct robust_list_head): three words. */
const ROBUST_LIST_HEAD: u64 = 24;
const ROBUST_LIST_HEAD_COMPAT: u64 = 12;

/** set_tid_address(2). */
export function sys_set_tid_address(p: task_struct, f: frame): i32 {
  rare_for_write(p).clear_child_tid = f.a0;
  return pid_nr_ns(p.thread_pid, task_active_pid_ns(p));
}

/** set_robust_list(2): head, size of it. */
export function sys_set_robust_list(p: task_struct, f: frame, compat: bool): i32 {
  if (f.a1 != (compat ? ROBUST_LIST_HEAD_COMPAT : ROBUST_LIST_HEAD)) return -EINVAL;
  rare_for_write(p).robust_list = f.a0;
  return 0;
}

/** get_robust_list(2): pid (0: oneself), where the head and its size go. */
export function sys_get_robust_list(p: task_struct, f: frame, compat: bool): i32 {
  const bytes: u32 = compat ? 4 : 8;
  const need = prepare_write(f, f.a1, bytes) | prepare_write(f, f.a2, bytes);
  if (need) return need;
  const nr = <i32>f.a0;
  const t = nr ? find_task_by_pid_ns(nr, task_active_pid_ns(p)) : p;
  if (nil(t)) return -ESRCH;
  if (!ptrace_may_access(p, t)) return -EPERM;
  const at = SCRATCH_USER;
  store<u64>(at, compat ? ROBUST_LIST_HEAD_COMPAT : ROBUST_LIST_HEAD);
  store<u64>(at, rare(t).robust_list, 8);
  if (copy_to_user(f, f.a2, at, bytes)) return -EFAULT;
  return copy_to_user(f, f.a1, at + 8, bytes) ? -EFAULT : 0;
}

/** What fs.suid_dumpable makes of a process whose ids changed: the world's, 0 or 2. */
const SUID_DUMP_ROOT = 2;

/** The options of prctl(2) about a thread and its memory; -ENOSYS: it is none of them. */
export function thread_prctl(p: task_struct, f: frame): i32 {
  switch (<i32>f.a0) {
    case P.PR_GET_DUMPABLE: {
      if (!(p.signal.flags & SIGNAL_NOT_DUMPABLE)) return 1;
      const root_only = f.assist & ASSIST_RET && f.assist_val == SUID_DUMP_ROOT;
      return root_only ? SUID_DUMP_ROOT : 0;
    }
    case P.PR_SET_DUMPABLE:
      if (f.a1 > 1) return -EINVAL;
      if (f.a1) p.signal.flags &= ~SIGNAL_NOT_DUMPABLE;
      else p.signal.flags |= SIGNAL_NOT_DUMPABLE;
      return 0;
    case P.PR_SET_TIMERSLACK: {
      // threads in real time are never late
      if (rt_policy(task_policy(p))) return 0;
      const s = sched_for_write(p);
      if (nil(s)) return -ENOMEM;
      s.slack = <i64>f.a1 <= 0 ? 0 : f.a1;
      return 0;
    }
    case P.PR_GET_TIMERSLACK:
      f.rax = task_slack(p);
      return RET_RAW;
    case P.PR_GET_TID_ADDRESS: {
      const need = prepare_write(f, f.a1, 8);
      if (need) return need;
      store<u64>(SCRATCH_USER, rare(p).clear_child_tid);
      return copy_to_user(f, f.a1, SCRATCH_USER, 8) ? -EFAULT : 0;
    }
    default:
      return -ENOSYS;
  }
}
