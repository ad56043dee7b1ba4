// Parts of a fork that most do without: a user's limit on tasks, rare fields, CLONE_PIDFD, the
// word of the world on cgroups.
import { audit_inherit } from "../audit/audit-context.ts";
import { cred_ns_capable } from "../cred/cred.ts";
import { nil } from "../lib/err.ts";
import { close_fd, fget } from "../fs/file.ts";
import { kernel_clone_args } from "./fork.ts";
import { pid } from "./pid.ts";
import { sched_fork, sched_free } from "./sched.ts";
import { copy_sigframes } from "../signal/sigqueue.ts";
import * as S from "./signal-struct.ts";
import { altstack_clone } from "../signal/sys-altstack.ts";
import { sys_world_call } from "../fs/sys-file.ts";
import { pidfd_create } from "./sys-pidfd.ts";
import { PF_AUDIT, rare, task_struct } from "./task.ts";
import { put_user32 } from "../lib/uaccess.ts";
import { nproc_over } from "../cred/ucounts.ts";
import { CAP_SYS_ADMIN, CAP_SYS_RESOURCE } from "../uapi/capability.ts";
import * as E from "../uapi/errno.ts";
import { PIDFD_THREAD } from "../uapi/pidfd.ts";
import { RLIMIT_NPROC } from "../uapi/resource.ts";
import * as C from "../uapi/sched.ts";
import { init_user_ns } from "../namespace/user-namespace.ts";

/** Has the child's user as many tasks as RLIMIT_NPROC allows? Privilege is above the limit. */
export function too_many(p: task_struct, parent: task_struct): bool {
  const limit = S.rlimit(parent.signal, RLIMIT_NPROC);
  if (!nproc_over(p.cred.ucounts, limit, 1)) return false;
  const c = parent.cred;
  const all = init_user_ns();
  return !cred_ns_capable(c, all, CAP_SYS_RESOURCE) && !cred_ns_capable(c, all, CAP_SYS_ADMIN);
}

/** Has copy_rare() anything to do for a fork by `parent`, which has PF_RARE? */
export function has_rare_heritage(parent: task_struct): bool {
  if (parent.flags & PF_AUDIT) return true;
  const k = rare(parent);
  return !nil(k.sched) || k.sigframes != 0 || k.sas_size != 0;
}

/** What a child has of its parent's rare fields; false when memory is exhausted. */
export function copy_rare(p: task_struct, parent: task_struct, flags: u32): bool {
  if (parent.flags & PF_AUDIT && !audit_inherit(p, parent)) return false;
  altstack_clone(p, parent, (flags & (C.CLONE_VM | C.CLONE_VFORK)) == C.CLONE_VM);
  if (!sched_fork(p, parent)) return false;
  if (flags & C.CLONE_VM || !rare(parent).sigframes) return true;
  if (copy_sigframes(parent, p)) return true;
  sched_free(p);
  return false;
}

/** CLONE_PIDFD, and whether the world lets the child into its cgroup. */
export function finish_clone(parent: task_struct, args: kernel_clone_args, number: pid): i32 {
  let fd = -1;
  if (args.flags & C.CLONE_PIDFD) {
    // the child's table was taken before: only CLONE_FILES shows it the descriptor
    fd = pidfd_create(parent, number, args.flags & C.CLONE_THREAD ? PIDFD_THREAD : 0);
    if (fd < 0) return fd;
    if (put_user32(args.frame, args.pidfd, fd)) {
      close_fd(parent, fd);
      return -E.EFAULT;
    }
  }
  const into = (args.flags_hi & C.CLONE_INTO_CGROUP_HI) != 0;
  let error = -E.EBADF;
  if (!into || !nil(fget(parent, args.cgroup))) error = sys_world_call(args.frame, 0);
  if (error < 0 && fd >= 0) close_fd(parent, fd);
  return error < 0 ? error : 0;
}
