// Pidfds: descriptors that stand for a process or a thread (pidfd_open(2), pidfd_send_signal(2),
// pidfd_getfd(2)), and what poll sees at them.
import { seeded_fault } from "../lib/bug.ts";
import { cred, cred_ns_capable } from "../cred/cred.ts";
import { IS_ERR, nil, PTR_ERR, same } from "../lib/err.ts";
import * as FD from "../fs/file.ts";
import { file } from "../fs/file.ts";
import { frame } from "../lib/frame.ts";
import { PROC_PID, proc_inode } from "../proc/procfs.ts";
import { place_of } from "../vfs/lookup.ts";
import { find_pid_ns, get_pid, ns_of_pid, pid, pid_namespace, task_active_pid_ns } from "./pid.ts";
import * as G from "../signal/signal.ts";
import { SIGNAL_NOT_DUMPABLE } from "./signal-struct.ts";
import {
  kill_one,
  kill_pgrp_info,
  send_own_info,
  siginfo_from_user,
} from "../signal/sys-signal.ts";
import { EXIT_ZOMBIE, PF_EXITING, task_struct, thread_group_leader } from "./task.ts";
import { CAP_SYS_PTRACE } from "../uapi/capability.ts";
import * as E from "../uapi/errno.ts";
import { O_PATH, O_RDWR, POLLHUP, POLLIN, POLLRDNORM } from "../uapi/fcntl.ts";
import * as P from "../uapi/pidfd.ts";
import { SI_TKILL, SI_USER } from "../uapi/signal.ts";

// Seeded fault (debug builds only): pidfds survive an exec.
const F_PIDFD_CLOEXEC = 201;

/** What is ready at a pidfd: readable when its process is dead, hung up once it is reaped. */
export function pidfd_poll(number: pid): u32 {
  const t = number.task;
  if (nil(t)) return POLLIN | POLLRDNORM | POLLHUP;
  // a leader that left before its threads is no dead process yet
  const delayed = thread_group_leader(t) && t.signal.nr_threads > 1;
  return t.state == EXIT_ZOMBIE && !delayed ? POLLIN | POLLRDNORM : 0;
}

/**
 * A pidfd of `number` at the lowest free descriptor, always close-on-exec. `flags`: PIDFD_*.
 * Return: the descriptor, -EMFILE, -ENOMEM.
 */
export function pidfd_create(p: task_struct, number: pid, flags: u32): i32 {
  const file = FD.alloc_file(FD.FILE_PIDFD, O_RDWR | flags, changetype<usize>(number));
  if (nil(file)) return -E.ENOMEM;
  const fd = FD.get_unused_fd(p, 0);
  if (fd < 0) {
    FD.free_file(file);
    return fd;
  }
  get_pid(number);
  FD.fd_install(p, fd, file, !seeded_fault(F_PIDFD_CLOEXEC));
  return fd;
}

/** pidfd_open(2): pid, flags. */
export function sys_pidfd_open(p: task_struct, nr: i32, flags: u32): i32 {
  if (flags & ~(<u32>(P.PIDFD_NONBLOCK | P.PIDFD_THREAD))) return -E.EINVAL;
  if (nr <= 0) return -E.EINVAL;
  const number = find_pid_ns(nr, task_active_pid_ns(p));
  if (nil(number) || nil(number.task)) return -E.ESRCH;
  // a thread that leads no group needs PIDFD_THREAD to be meant
  if (!(flags & P.PIDFD_THREAD) && !thread_group_leader(number.task)) return -E.ENOENT;
  return pidfd_create(p, number, flags);
}

/** The process of a pidfd. ERR_PTR of EBADF when the descriptor is closed or something else. */
function pidfd_pid(p: task_struct, fd: i32): pid {
  const file = FD.fget(p, fd);
  if (nil(file) || file.kind != FD.FILE_PIDFD) return changetype<pid>(<usize>-E.EBADF);
  return file.pid;
}

/** The same for sending a signal, where the directory of a process in /proc does too. */
function signalled_pid(p: task_struct, fd: i32): pid {
  const file = FD.fget(p, fd);
  const number = nil(file) ? changetype<pid>(0) : proc_dir_pid(file);
  if (nil(number)) return pidfd_pid(p, fd);
  // that of a thread does not
  const thread = !nil(number.task) && !thread_group_leader(number.task);
  return thread ? changetype<pid>(<usize>-E.EBADF) : number;
}

/** The process whose directory of /proc is open, the world's or a mounted one; null: another. */
function proc_dir_pid(at: file): pid {
  if (at.kind == FD.FILE_PROC) return at.proc.what == PROC_PID ? at.proc.pid : changetype<pid>(0);
  if (at.kind != FD.FILE_VFS || at.flags & O_PATH) return changetype<pid>(0);
  const info: proc_inode = place_of(at).dentry.inode.proc;
  return nil(info) || info.what != PROC_PID ? changetype<pid>(0) : info.pid;
}

/** Has `number` a number in the caller's pid namespace, were it alive? */
function access_pidfd_pidns(p: task_struct, number: pid): bool {
  const active = task_active_pid_ns(p);
  let ns = ns_of_pid(number);
  while (!nil(ns)) {
    if (same(ns, active)) return true;
    ns = changetype<pid_namespace>(ns.parent);
  }
  return false;
}

/** pidfd_send_signal(2): fd, sig, info (0: as kill), flags. */
export function sys_pidfd_send_signal(p: task_struct, f: frame, compat: bool): i32 {
  const fd = <i32>f.a0;
  const scope = <u32>f.r10;
  const known: u32 =
    P.PIDFD_SIGNAL_THREAD | P.PIDFD_SIGNAL_THREAD_GROUP | P.PIDFD_SIGNAL_PROCESS_GROUP;
  if (scope & ~known || popcnt(scope) > 1) return -E.EINVAL;
  if (fd == P.PIDFD_SELF_THREAD) return send_to(p, f, p.thread_pid, true, compat);
  if (fd == P.PIDFD_SELF_THREAD_GROUP) return send_to(p, f, p.signal.tgid_pid, false, compat);
  const number = signalled_pid(p, fd);
  if (IS_ERR(number)) return PTR_ERR(number);
  if (!access_pidfd_pidns(p, number)) return -E.EINVAL;
  const file = FD.fget(p, fd);
  const thread = file.kind == FD.FILE_PIDFD && (file.flags & P.PIDFD_THREAD) != 0;
  return send_to(p, f, number, thread, compat);
}

/** Sends to the thread of `number`, its group, or the process group of that number. */
function send_to(p: task_struct, f: frame, number: pid, thread: bool, compat: bool): i32 {
  const sig = <i32>f.a1;
  const scope = <u32>f.r10;
  const pgrp = scope == P.PIDFD_SIGNAL_PROCESS_GROUP;
  if (scope) thread = scope == P.PIDFD_SIGNAL_THREAD;
  const own_info = f.a2 != 0;
  const info = G.scratch_siginfo();
  if (own_info) {
    const bad = siginfo_from_user(f, f.a2, info, compat);
    if (bad) return bad;
    if (info.signo != sig) return -E.EINVAL;
    // only the kernel may claim to be the kernel, but to oneself
    const kernels = info.code >= 0 || info.code == SI_TKILL;
    if (kernels && (pgrp || !same(p.thread_pid, number))) return -E.EPERM;
  }
  const code = thread ? SI_TKILL : SI_USER;
  if (pgrp) return kill_pgrp_info(p, sig, own_info, number);
  const t = number.task;
  if (nil(t)) return -E.ESRCH;
  if (<u32>sig > 64) return -E.EINVAL;
  return own_info ? send_own_info(p, t, sig, !thread) : kill_one(p, t, sig, code, !thread);
}

/** May `p` look into `t` as a debugger would (ptrace(2), PTRACE_MODE_ATTACH_REALCREDS)? */
export function ptrace_may_access(p: task_struct, t: task_struct): bool {
  if (same(p.signal, t.signal)) return true;
  const c = p.cred;
  return may_access(c, c.uid, c.gid, c.cap_permitted, t);
}

/** The same with what a walk through /proc asks for: ids and capabilities of file systems. */
export function ptrace_may_access_as(p: task_struct, t: task_struct, c: cred): bool {
  if (same(p.signal, t.signal)) return true;
  return may_access(c, c.fsuid, c.fsgid, c.cap_effective, t);
}

function may_access(mine: cred, uid: i32, gid: i32, caps: u64, t: task_struct): bool {
  const theirs = t.cred;
  const capable = cred_ns_capable(mine, theirs.user_ns, CAP_SYS_PTRACE);
  if (capable) return true;
  if (t.signal.flags & SIGNAL_NOT_DUMPABLE) return false;
  if (theirs.euid != uid || theirs.suid != uid || theirs.uid != uid) return false;
  if (theirs.egid != gid || theirs.sgid != gid || theirs.gid != gid) return false;
  if (!same(mine.user_ns, theirs.user_ns)) return false;
  return (theirs.cap_permitted & ~caps) == 0;
}

/** pidfd_getfd(2): a second descriptor, close-on-exec, of an open file of another process. */
export function sys_pidfd_getfd(p: task_struct, pidfd: i32, target: i32, flags: u32): i32 {
  if (flags) return -E.EINVAL;
  const number = pidfd_pid(p, pidfd);
  if (IS_ERR(number)) return PTR_ERR(number);
  const t = number.task;
  if (nil(t)) return -E.ESRCH;
  if (!ptrace_may_access(p, t)) return -E.EPERM;
  const file = FD.fget(t, target);
  if (nil(file)) return t.flags & PF_EXITING ? -E.ESRCH : -E.EBADF;
  FD.get_file(file);
  const fd = FD.get_unused_fd(p, 0);
  if (fd < 0) {
    FD.fput(file);
    return fd;
  }
  FD.fd_install(p, fd, file, true);
  return fd;
}
