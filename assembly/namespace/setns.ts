// setns(2): by the file of one namespace, or by a pidfd of a process, of which several at once. All
// of what is asked for is tested before anything changes.
import { audit_move, prepare_move } from "../audit/audit-ns.ts";
import { seeded_fault } from "../lib/bug.ts";
import * as K from "../cred/cred.ts";
import { cred, cred_ns_capable } from "../cred/cred.ts";
import { container } from "../container/container.ts";
import { IS_ERR, NULL, nil, PTR_ERR, same } from "../lib/err.ts";
import { fget, FILE_NSFS, FILE_PIDFD } from "../fs/file.ts";
import { fs_for_write, fs_is_shared } from "../fs/fs.ts";
import { get_ns, ns_common, put_ns } from "./namespace.ts";
import { exit_sem } from "../ipc/sem.ts";
import { create_new_namespaces, nsproxy, put_nsproxy } from "./nsproxy.ts";
import { pid, pid_namespace, task_active_pid_ns } from "../process/pid.ts";
import { root } from "../lib/root.ts";
import { ptrace_may_access } from "../process/sys-pidfd.ts";
import { cold, task_struct } from "../process/task.ts";
import { CAP_SYS_ADMIN, CAP_SYS_CHROOT } from "../uapi/capability.ts";
import * as E from "../uapi/errno.ts";
import * as C from "../uapi/sched.ts";
import { user_namespace } from "./user-namespace.ts";
import { fs_enter_ns } from "../vfs/mnt-namespace.ts";

// Seeded fault (debug builds only): the caller's own user namespace may be entered again.
const F_REENTER_USERNS = 135;

const NS_TYPES: u32 =
  C.CLONE_NEWNS |
  C.CLONE_NEWUTS |
  C.CLONE_NEWIPC |
  C.CLONE_NEWNET |
  C.CLONE_NEWTIME |
  C.CLONE_NEWUSER |
  C.CLONE_NEWPID |
  C.CLONE_NEWCGROUP;

/** May `p` administer both the namespace's owner and the one where it will be? */
function may_enter(p: task_struct, ns: ns_common, c: cred): bool {
  const owner = changetype<user_namespace>(ns.user_ns);
  if (!cred_ns_capable(p.cred, owner, CAP_SYS_ADMIN)) return false;
  return cred_ns_capable(p.cred, c.user_ns, CAP_SYS_ADMIN);
}

/** Puts a namespace into a field of the proxy that is being made. */
function replace(at: usize, ns: ns_common): void {
  put_ns(changetype<ns_common>(load<u32>(at)));
  get_ns(ns);
  store<u32>(at, <u32>changetype<usize>(ns));
}

/** The new cred becomes one of user namespace `ns`. */
function userns_install(p: task_struct, c: cred, ns: user_namespace): i32 {
  if (same(ns, p.cred.user_ns) && !seeded_fault(F_REENTER_USERNS)) return -E.EINVAL;
  if (p.signal.nr_threads > 1 || fs_is_shared(p)) return -E.EINVAL;
  if (!cred_ns_capable(p.cred, ns, CAP_SYS_ADMIN)) return -E.EPERM;
  get_ns(ns);
  return K.set_cred_user_ns(c, ns) ? 0 : -E.ENOMEM;
}

function mntns_install(p: task_struct, to: nsproxy, c: cred, ns: ns_common): i32 {
  if (!may_enter(p, ns, c) || !cred_ns_capable(p.cred, c.user_ns, CAP_SYS_CHROOT)) {
    return -E.EPERM;
  }
  if (fs_is_shared(p)) return -E.EINVAL;
  replace(changetype<usize>(to) + offsetof<nsproxy>("mnt_ns"), ns);
  to.empty_mnt = 0;
  return 0;
}

function pidns_install(p: task_struct, to: nsproxy, c: cred, ns: pid_namespace): i32 {
  if (!may_enter(p, ns, c)) return -E.EPERM;
  // one's own or one below: who has a number keeps it
  const active = task_active_pid_ns(p);
  let at = ns;
  while (at.level > active.level) at = changetype<pid_namespace>(at.parent);
  if (!same(at, active)) return -E.EINVAL;
  replace(changetype<usize>(to) + offsetof<nsproxy>("pid_ns_for_children"), ns);
  return 0;
}

function timens_install(p: task_struct, to: nsproxy, c: cred, ns: ns_common): i32 {
  if (p.signal.live != 1) return -E.EUSERS;
  if (!may_enter(p, ns, c)) return -E.EPERM;
  replace(changetype<usize>(to) + offsetof<nsproxy>("time_ns"), ns);
  replace(changetype<usize>(to) + offsetof<nsproxy>("time_ns_for_children"), ns);
  return 0;
}

/** Where a proxy holds the namespaces that ask for nothing special. */
function field_of(type: i32): usize {
  if (type == C.CLONE_NEWUTS) return offsetof<nsproxy>("uts_ns");
  if (type == C.CLONE_NEWIPC) return offsetof<nsproxy>("ipc_ns");
  if (type == C.CLONE_NEWNET) return offsetof<nsproxy>("net_ns");
  return offsetof<nsproxy>("cgroup_ns");
}

/** `p` would be in namespace `ns` with proxy `to` and cred `c`. Return: 0 or errno. */
function validate_ns(p: task_struct, to: nsproxy, c: cred, ns: ns_common): i32 {
  const type = ns.type;
  if (type == C.CLONE_NEWUSER) return userns_install(p, c, changetype<user_namespace>(ns));
  if (type == C.CLONE_NEWNS) return mntns_install(p, to, c, ns);
  if (type == C.CLONE_NEWPID) return pidns_install(p, to, c, changetype<pid_namespace>(ns));
  if (type == C.CLONE_NEWTIME) return timens_install(p, to, c, ns);
  if (!may_enter(p, ns, c)) return -E.EPERM;
  replace(changetype<usize>(to) + field_of(type), ns);
  return 0;
}

/** The same for the namespaces of `t` that `flags` names, in this order. */
function validate_task(p: task_struct, to: nsproxy, c: cred, t: task_struct, flags: u32): i32 {
  const from = cold(t).nsproxy;
  let error = 0;
  if (flags & C.CLONE_NEWUSER) error = validate_ns(p, to, c, t.cred.user_ns);
  if (!error && flags & C.CLONE_NEWNS) {
    // an empty mount namespace has no root to go to
    error = nil(from.mnt_ns) ? -E.EINVAL : validate_ns(p, to, c, from.mnt_ns);
  }
  if (!error && flags & C.CLONE_NEWUTS) error = validate_ns(p, to, c, from.uts_ns);
  if (!error && flags & C.CLONE_NEWIPC) error = validate_ns(p, to, c, from.ipc_ns);
  if (!error && flags & C.CLONE_NEWPID) error = validate_ns(p, to, c, task_active_pid_ns(t));
  if (!error && flags & C.CLONE_NEWCGROUP) error = validate_ns(p, to, c, from.cgroup_ns);
  if (!error && flags & C.CLONE_NEWNET) error = validate_ns(p, to, c, from.net_ns);
  if (!error && flags & C.CLONE_NEWTIME) error = validate_ns(p, to, c, from.time_ns);
  return error;
}

/** The process of a pidfd, as long as the caller may look into it. ERR_PTR of ESRCH, EPERM. */
function target_of(p: task_struct, number: pid): task_struct {
  const t = number.task;
  if (nil(t)) return changetype<task_struct>(<usize>-E.ESRCH);
  if (!ptrace_may_access(p, t)) return changetype<task_struct>(<usize>-E.EPERM);
  if (nil(cold(t).nsproxy)) return changetype<task_struct>(<usize>-E.ESRCH);
  return t;
}

/** setns(2): fd, flags. */
export function sys_setns(p: task_struct, fd: i32, flags: u32): i32 {
  const at = fget(p, fd);
  if (nil(at)) return -E.EBADF;
  const by_file = at.kind == FILE_NSFS;
  if (by_file) {
    const type = <u32>at.ns.type;
    if (flags && flags != type) return -E.EINVAL;
    flags = type;
  } else if (at.kind != FILE_PIDFD || !flags || flags & ~NS_TYPES) {
    return -E.EINVAL;
  }
  const old = cold(p).nsproxy;
  const to = create_new_namespaces(0, old, task_active_pid_ns(p), p.cred.user_ns, p.cred.euid);
  if (IS_ERR(to)) return PTR_ERR(to);
  const c = K.prepare_creds(p.cred);
  // a root directory of the new namespace is set on one's own copy
  if (nil(c) || (flags & C.CLONE_NEWNS && !fs_for_write(p))) {
    K.put_cred(c);
    put_nsproxy(to);
    return -E.ENOMEM;
  }
  let error = 0;
  if (by_file) {
    error = validate_ns(p, to, c, at.ns);
  } else {
    const t = target_of(p, at.pid);
    error = IS_ERR(t) ? PTR_ERR(t) : validate_task(p, to, c, t, flags);
  }
  let home = NULL<container>();
  if (!error && root().audit) {
    home = prepare_move(p, flags, to, c, true);
    if (IS_ERR(home)) error = PTR_ERR(home);
  }
  if (error) {
    K.put_cred(c);
    put_nsproxy(to);
    return error;
  }
  if (root().audit) audit_move(p, home, to, c);
  if (flags & C.CLONE_NEWNS) fs_enter_ns(cold(p).fs, to.mnt_ns);
  if (flags & C.CLONE_NEWIPC) exit_sem(p);
  if (flags & C.CLONE_NEWUSER) K.commit_creds(p, c);
  else K.put_cred(c);
  cold(p).nsproxy = to;
  put_nsproxy(old);
  return 0;
}
