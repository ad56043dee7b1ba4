// What one thread tells the kernel of itself: where its number is cleared when it ends, its list of
// robust futexes. The memory behind both is the guest's: the host acts on the events.
import { nil } from "./err.ts";
import { frame } from "./frame.ts";
import { find_task_by_pid_ns, pid_nr_ns, task_active_pid_ns } from "./pid.ts";
import { SCRATCH_USER } from "./root.ts";
import { ptrace_may_access } from "./sys-pidfd.ts";
import { rare, rare_for_write, task_struct } from "./task.ts";
import { copy_to_user, prepare_write } from "./uaccess.ts";
import { EFAULT, EINVAL, EPERM, ESRCH } from "./uapi/errno.ts";

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
