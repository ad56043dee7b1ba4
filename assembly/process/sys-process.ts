// The calls around processes: ids of processes, groups and sessions; prctl, limits, unshare,
// reboot.
import { audit_move, prepare_move } from "../audit/audit-ns.ts";
import { cap_task_prctl } from "../cred/capability.ts";
import { dup_files, put_files } from "../fs/file.ts";
import { commit_creds, cred, cred_ns_capable, prepare_creds, put_cred } from "../cred/cred.ts";
import { IS_ERR, NULL, nil, PTR_ERR, RET_EXITED, same } from "../lib/err.ts";
import { set_comm } from "./exec.ts";
import { exit_sem } from "../ipc/sem.ts";
import { frame } from "../lib/frame.ts";
import { copy_fs_struct, put_fs } from "../fs/fs.ts";
import { list_head } from "../lib/list.ts";
import { get_ns, put_ns } from "../namespace/namespace.ts";
import { fs_follow_ns } from "../vfs/mnt-namespace.ts";
import { CLONE_NS_FLAGS, create_new_namespaces, put_nsproxy } from "../namespace/nsproxy.ts";
import {
  find_pid_ns,
  find_task_by_pid_ns,
  get_pid,
  pid,
  pid_nr_ns,
  put_pid,
  task_active_pid_ns,
} from "./pid.ts";
import { root, SCRATCH_USER } from "../lib/root.ts";
import * as S from "./signal-struct.ts";
import { thread_prctl } from "./sys-thread.ts";
import * as T from "./task.ts";
import { cold, task_struct } from "./task.ts";
import { copy_to_user, prepare_write, put_user32, strncpy_from_user } from "../lib/uaccess.ts";
import { enter_new_user_ns, user_namespace } from "../namespace/user-namespace.ts";
import { CAP_SYS_ADMIN, CAP_SYS_BOOT } from "../uapi/capability.ts";
import * as E from "../uapi/errno.ts";
import * as P from "../uapi/prctl.ts";
import * as C from "../uapi/sched.ts";
import { SIGHUP, SIGINT, SIGKILL } from "../uapi/signal.ts";
import { do_exit, number_left } from "./exit.ts";
import * as X from "../uapi/reboot.ts";
import { start_group_exit } from "../signal/signal.ts";
import { sys_world_call } from "../fs/sys-file.ts";

export function sys_getpid(p: task_struct): i32 {
  return pid_nr_ns(p.signal.tgid_pid, task_active_pid_ns(p));
}

/** 0 when the parent has no number in the caller's namespace. */
export function sys_getppid(p: task_struct): i32 {
  const parent = p.signal.leader.real_parent;
  return pid_nr_ns(parent.signal.tgid_pid, task_active_pid_ns(p));
}

/** Task of a pid argument (0: the caller), null when there is none. */
function task_of(p: task_struct, nr: i32): task_struct {
  return nr == 0 ? p : find_task_by_pid_ns(nr, task_active_pid_ns(p));
}

export function sys_getpgid(p: task_struct, nr: i32): i32 {
  const t = task_of(p, nr);
  return nil(t) ? -E.ESRCH : pid_nr_ns(t.signal.pgrp, task_active_pid_ns(p));
}

export function sys_getsid(p: task_struct, nr: i32): i32 {
  const t = task_of(p, nr);
  return nil(t) ? -E.ESRCH : pid_nr_ns(t.signal.session, task_active_pid_ns(p));
}

/** Moves a process to the group of number `to`. */
export function change_pgrp(signal: S.signal_struct, to: pid): void {
  const from = signal.pgrp;
  get_pid(to);
  list_head.del(signal.pgrp_link);
  signal.pgrp = to;
  list_head.add_tail(signal.pgrp_link, to.members);
  number_left(from);
  put_pid(from);
}

/** Moves a process to the session of number `to`. */
export function change_session(signal: S.signal_struct, to: pid): void {
  const from = signal.session;
  get_pid(to);
  to.nr_sessions += 1;
  from.nr_sessions -= 1;
  signal.session = to;
  number_left(from);
  put_pid(from);
}

/** setpgid(2): errors in the order of the man page's rules. */
export function sys_setpgid(p: task_struct, f: frame): i32 {
  const ns = task_active_pid_ns(p);
  let nr = <i32>f.a0;
  let pgid = <i32>f.a1;
  if (!nr) nr = sys_getpid(p);
  if (!pgid) pgid = nr;
  if (pgid < 0) return -E.EINVAL;
  const t = find_task_by_pid_ns(nr, ns);
  if (nil(t)) return -E.ESRCH;
  if (!T.thread_group_leader(t)) return -E.EINVAL;
  const signal = t.signal;
  const leader = p.signal.leader;
  if (same(t.real_parent.signal, p.signal)) {
    if (!same(signal.session, p.signal.session)) return -E.EPERM;
    if (!(t.flags & T.PF_FORKNOEXEC)) return -E.EACCES;
  } else if (!same(t, leader)) {
    return -E.ESRCH;
  }
  if (same(signal.session, signal.tgid_pid)) return -E.EPERM;
  let to = signal.tgid_pid;
  if (pgid != nr) {
    to = find_pid_ns(pgid, ns);
    if (nil(to) || list_head.empty(to.members)) return -E.EPERM;
    const other = S.signal_struct.from_pgrp_link(to.members.next);
    if (!same(other.session, p.signal.session)) return -E.EPERM;
  }
  if (!same(to, signal.pgrp)) change_pgrp(signal, to);
  return 0;
}

export function sys_setsid(p: task_struct): i32 {
  const signal = p.signal;
  const number = signal.tgid_pid;
  if (same(signal.session, number) || !list_head.empty(number.members)) return -E.EPERM;
  change_pgrp(signal, number);
  change_session(signal, number);
  signal.tty = 0;
  return pid_nr_ns(number, task_active_pid_ns(p));
}

/** prctl(2): what concerns processes here; other options are EINVAL. */
export function sys_prctl(p: task_struct, f: frame): i32 {
  const signal = p.signal;
  switch (<i32>f.a0) {
    case P.PR_SET_PDEATHSIG:
      if (f.a1 > 64) return -E.EINVAL;
      T.rare_for_write(p).pdeath_signal = <i32>f.a1;
      return 0;
    case P.PR_GET_PDEATHSIG: {
      const need = prepare_write(f, f.a1, 4);
      if (need) return need;
      return put_user32(f, f.a1, T.rare(p).pdeath_signal) ? -E.EFAULT : 0;
    }
    case P.PR_SET_CHILD_SUBREAPER:
      if (f.a1) {
        signal.flags |= S.SIGNAL_CHILD_SUBREAPER;
        mark_descendants(p);
      } else {
        signal.flags &= ~S.SIGNAL_CHILD_SUBREAPER;
      }
      return 0;
    case P.PR_GET_CHILD_SUBREAPER: {
      const need = prepare_write(f, f.a1, 4);
      if (need) return need;
      const on = signal.flags & S.SIGNAL_CHILD_SUBREAPER ? 1 : 0;
      return put_user32(f, f.a1, on) ? -E.EFAULT : 0;
    }
    case P.PR_SET_NAME: {
      const len = strncpy_from_user(f, SCRATCH_USER, f.a1, 16);
      if (len < 0) return len;
      set_comm(p, SCRATCH_USER, len);
      return 0;
    }
    case P.PR_GET_NAME: {
      const need = prepare_write(f, f.a1, 16);
      if (need) return need;
      const at = changetype<usize>(cold(p)) + offsetof<T.task_cold>("comm0");
      return copy_to_user(f, f.a1, at, 16) ? -E.EFAULT : 0;
    }
    case P.PR_SET_NO_NEW_PRIVS:
      if (f.a1 != 1 || f.a2 || f.r10 || f.r8) return -E.EINVAL;
      p.flags |= T.PF_NO_NEW_PRIVS;
      return 0;
    case P.PR_GET_NO_NEW_PRIVS:
      if (f.a1 || f.a2 || f.r10 || f.r8) return -E.EINVAL;
      return p.flags & T.PF_NO_NEW_PRIVS ? 1 : 0;
    default: {
      let r = thread_prctl(p, f);
      if (r == -E.ENOSYS) r = cap_task_prctl(p, f);
      return r == -E.ENOSYS ? -E.EINVAL : r;
    }
  }
}

/** Every present descendant has to look for a subreaper from now on. Preorder, no recursion. */
function mark_descendants(top: task_struct): void {
  let p = top;
  while (true) {
    if (!list_head.empty(p.children)) {
      p = task_struct.from_sibling(p.children.next);
    } else {
      while (!same(p, top) && p.sibling.next === p.real_parent.children) p = p.real_parent;
      if (same(p, top)) return;
      p = task_struct.from_sibling(p.sibling.next);
    }
    p.signal.flags |= S.SIGNAL_HAS_SUBREAPER;
  }
}

/** unshare(2). */
export function sys_unshare(p: task_struct, f: frame): i32 {
  let flags = <u32>f.a0;
  const known: u32 =
    C.CLONE_THREAD |
    C.CLONE_FS |
    C.CLONE_SIGHAND |
    C.CLONE_VM |
    C.CLONE_FILES |
    C.CLONE_SYSVSEM |
    C.CLONE_NEWUSER |
    C.CLONE_NEWTIME |
    CLONE_NS_FLAGS;
  if (flags & C.CLONE_NEWUSER) flags |= C.CLONE_THREAD | C.CLONE_FS;
  if (flags & C.CLONE_VM) flags |= C.CLONE_SIGHAND;
  if (flags & C.CLONE_SIGHAND) flags |= C.CLONE_THREAD;
  if (flags & C.CLONE_NEWNS) flags |= C.CLONE_FS;
  if (f.a0 & ~(<u64>known)) return -E.EINVAL;
  const k = cold(p);
  if (flags & (C.CLONE_THREAD | C.CLONE_SIGHAND | C.CLONE_VM)) {
    if (p.signal.nr_threads > 1) return -E.EINVAL;
  }
  if (flags & (C.CLONE_SIGHAND | C.CLONE_VM) && k.sighand.shared && k.sighand.count > 1) {
    return -E.EINVAL;
  }
  return unshare_shares(p, flags);
}

/** Copies of what is shared first, all or none; then the namespaces; then the copies take over. */
function unshare_shares(p: task_struct, flags: u32): i32 {
  const k = cold(p);
  let fs = k.fs;
  let files = k.files;
  let sighand = k.sighand;
  if (flags & C.CLONE_FS && fs.count > 1) fs = copy_fs_struct(fs);
  if (!nil(fs) && flags & C.CLONE_FILES && files.count > 1) files = dup_files(files);
  if (!nil(fs) && !nil(files) && flags & C.CLONE_SIGHAND && sighand.count > 1) {
    sighand = S.copy_sighand(sighand);
  }
  // its mounts lead to their copies, also when nobody else was in it
  const old_mnt = k.nsproxy.mnt_ns;
  const follows = (flags & C.CLONE_NEWNS) != 0 && !nil(k.fs.root_mnt) && !nil(old_mnt);
  if (follows) get_ns(old_mnt);
  let error = nil(fs) || nil(files) || nil(sighand) ? -E.ENOMEM : 0;
  if (!error) error = unshare_namespaces(p, flags);
  // whichever of the two sets is not kept is dropped
  const old_fs = k.fs;
  const old_files = k.files;
  const old_sighand = k.sighand;
  if (!error) {
    if (follows) fs_follow_ns(fs, old_mnt, k.nsproxy.mnt_ns);
    k.fs = fs;
    k.files = files;
    k.sighand = sighand;
  }
  if (follows) put_ns(old_mnt);
  if (!same(fs, old_fs)) put_fs(error ? fs : old_fs);
  if (!same(files, old_files)) put_files(error ? files : old_files);
  if (!same(sighand, old_sighand) && !nil(sighand)) S.put_sighand(error ? sighand : old_sighand);
  return error;
}

function unshare_namespaces(p: task_struct, flags: u32): i32 {
  let mine = p.cred;
  let fresh = NULL<cred>();
  if (flags & C.CLONE_NEWUSER) {
    fresh = prepare_creds(mine);
    if (nil(fresh)) return -E.ENOMEM;
    const error = enter_new_user_ns(fresh, cold(p).fs, p.signal);
    if (error) {
      put_cred(fresh);
      return error;
    }
    mine = fresh;
  }
  const ns_flags = flags & (CLONE_NS_FLAGS | C.CLONE_NEWTIME);
  const old = cold(p).nsproxy;
  let to = old;
  let error = 0;
  if (ns_flags) {
    if (!cred_ns_capable(mine, mine.user_ns, CAP_SYS_ADMIN)) error = -E.EPERM;
    else {
      to = create_new_namespaces(ns_flags, old, task_active_pid_ns(p), mine.user_ns, mine.euid);
      if (IS_ERR(to)) error = PTR_ERR(to);
    }
  }
  if (!error && root().audit && (ns_flags || !nil(fresh))) {
    const home = prepare_move(p, flags, to, mine, false);
    if (!IS_ERR(home)) {
      audit_move(p, home, to, mine);
    } else {
      error = PTR_ERR(home);
      if (!same(to, old)) put_nsproxy(to);
    }
  }
  if (error) {
    put_cred(fresh);
    return error;
  }
  if (flags & (C.CLONE_NEWIPC | C.CLONE_SYSVSEM)) exit_sem(p);
  if (!same(to, old)) {
    cold(p).nsproxy = to;
    put_nsproxy(old);
  }
  if (!nil(fresh)) commit_creds(p, fresh);
  return 0;
}

/** reboot(2) in a pid namespace of its own ends that namespace; in the initial one, the world's. */
export function sys_reboot(p: task_struct, f: frame): i32 {
  const ns = task_active_pid_ns(p);
  if (!cred_ns_capable(p.cred, changetype<user_namespace>(ns.user_ns), CAP_SYS_BOOT)) {
    return -E.EPERM;
  }
  if (<i32>f.a0 != X.LINUX_REBOOT_MAGIC1) return -E.EINVAL;
  if (<u32>changetype<usize>(ns) == root().init_pid_ns) return sys_world_call(f, -E.EPERM);
  const cmd = <i32>f.a2;
  if (cmd == X.LINUX_REBOOT_CMD_RESTART || cmd == X.LINUX_REBOOT_CMD_RESTART2) ns.reboot = SIGHUP;
  else if (cmd == X.LINUX_REBOOT_CMD_HALT || cmd == X.LINUX_REBOOT_CMD_POWER_OFF)
    ns.reboot = SIGINT;
  else return -E.EINVAL;
  const init = ns.child_reaper;
  if (!nil(init)) start_group_exit(init.signal, SIGKILL);
  do_exit(p, 0);
  return RET_EXITED;
}
