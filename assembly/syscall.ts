// The dispatch: number -> operation by the active table, one switch, one result. Reads as a table.
import { audit_exit_call, audit_exit_unseen, audit_syscall_exit } from "./audit/auditsc.ts";
import * as R from "./lib/err.ts";
import { event_ring_full } from "./lib/event.ts";
import { do_execve } from "./process/exec.ts";
import { do_exit, do_group_exit } from "./process/exit.ts";
import { exit_plain } from "./process/exit-plain.ts";
import { close_fd, close_range } from "./fs/file.ts";
import { ENTRY_AUDITED, ENTRY_OP, frame, syscall_table } from "./lib/frame.ts";
import {
  find_task_by_pid_ns,
  pid_namespace,
  pid_nr_ns,
  task_active_pid_ns,
} from "./process/pid.ts";
import { root } from "./lib/root.ts";
import { sys_rt_sigreturn } from "./signal/sigdeliver.ts";
import { recalc_sigpending } from "./signal/signal.ts";
import * as N from "./container/sys-container.ts";
import { sys_fcntl } from "./fs/sys-fcntl.ts";
import * as D from "./fs/sys-file.ts";
import { ask_supervisor, end_override, is_refused } from "./container/sys-supervise.ts";
import { is_supervised, supervised_result } from "./container/sys-supervise.ts";
import * as I from "./cred/sys-ids.ts";
import { do_op_files } from "./dispatch-files.ts";
import { do_op_jobctl } from "./dispatch-jobctl.ts";
import { do_op_mq } from "./dispatch-mq.ts";
import { do_op_xattr } from "./dispatch-xattr.ts";
import { do_op_net } from "./dispatch-net.ts";
import { do_op_id16, do_op_ns } from "./dispatch-ns.ts";
import * as X from "./process/sys-clone.ts";
import { do_op_process } from "./dispatch-process.ts";
import { do_op_mount } from "./dispatch-mount.ts";
import { do_op_vfs, is_vfs_op } from "./dispatch-vfs.ts";
import * as H from "./process/sys-thread.ts";
import { sys_sigaltstack } from "./signal/sys-altstack.ts";
import * as Q from "./process/sys-pidfd.ts";
import * as L from "./process/sys-limit.ts";
import * as Y from "./process/sys-process.ts";
import { sys_read, sys_write } from "./fs/sys-rw.ts";
import * as G from "./signal/sys-signal.ts";
import * as T from "./process/task.ts";
import { rare, task_struct } from "./process/task.ts";
import * as E from "./uapi/errno.ts";
import { AT_FDCWD } from "./uapi/fcntl.ts";
import * as F from "./uapi/frame.ts";
import { MAX_ERRNO } from "./uapi/limits.ts";
import * as O from "./uapi/op.ts";
import { upcall_of } from "./container/upcall.ts";
import { clear_woken } from "./process/waitqueue.ts";
import { kernel_wait4, kernel_waitid } from "./process/wait.ts";

/** Runs operation `op` of frame `f` for `p`. Return: result, -errno, RET_*. */
function do_op(op: u32, p: task_struct, f: frame, compat: bool): i32 {
  switch (op) {
    case O.OP_FORK:
      return X.sys_fork(p, f);
    case O.OP_WAIT4:
      return kernel_wait4(p, f, f.i0, f.a1, f.i2, f.r10, compat ? 72 : 144);
    case O.OP_EXIT_GROUP:
      if (audit_exit_unseen(f) && exit_plain(p, (f.i0 & 0xff) << 8)) return R.RET_EXITED;
      audit_exit_call(p, f, compat);
      do_group_exit(p, (f.i0 & 0xff) << 8);
      return R.RET_EXITED;
    case O.OP_EXIT:
      if (audit_exit_unseen(f) && exit_plain(p, (f.i0 & 0xff) << 8)) return R.RET_EXITED;
      audit_exit_call(p, f, compat);
      do_exit(p, (f.i0 & 0xff) << 8);
      return R.RET_EXITED;
    case O.OP_VFORK:
      return X.sys_vfork(p, f);
    case O.OP_CLONE:
      return compat ? X.sys_clone(p, f, f.a2, f.r8) : X.sys_clone(p, f, f.a2, f.r10);
    case O.OP_CLONE3:
      return X.sys_clone3(p, f);
    case O.OP_WAITPID:
      return kernel_wait4(p, f, f.i0, f.a1, f.i2, 0, 0);
    case O.OP_WAITID:
      return kernel_waitid(p, f, f.i0, f.i1, f.a2, <i32>f.r10, f.r8, compat);
    case O.OP_EXECVE:
      return do_execve(p, f, AT_FDCWD, f.a0, 0);
    case O.OP_EXECVEAT:
      return do_execve(p, f, f.i0, f.a1, <u32>f.r8);
    case O.OP_RESTART_SYSCALL:
      return restart_syscall(p, f, compat);
    case O.OP_GETPID:
      return Y.sys_getpid(p);
    case O.OP_GETPPID:
      return Y.sys_getppid(p);
    case O.OP_GETTID:
      return pid_nr_ns(p.thread_pid, task_active_pid_ns(p));
    case O.OP_GETPGID:
      return Y.sys_getpgid(p, f.i0);
    case O.OP_GETPGRP:
      return Y.sys_getpgid(p, 0);
    case O.OP_SETPGID:
      return Y.sys_setpgid(p, f);
    case O.OP_SETSID:
      return Y.sys_setsid(p);
    case O.OP_GETSID:
      return Y.sys_getsid(p, f.i0);
    case O.OP_SET_TID_ADDRESS:
      return H.sys_set_tid_address(p, f);
    case O.OP_GETUID:
      return I.sys_getuid(p);
    case O.OP_GETEUID:
      return I.sys_geteuid(p);
    case O.OP_GETGID:
      return I.sys_getgid(p);
    case O.OP_GETEGID:
      return I.sys_getegid(p);
    case O.OP_SETUID:
      return I.sys_setuid(p, f.i0);
    case O.OP_SETGID:
      return I.sys_setgid(p, f.i0);
    case O.OP_SETREUID:
      return I.sys_setreuid(p, f.i0, f.i1);
    case O.OP_SETREGID:
      return I.sys_setregid(p, f.i0, f.i1);
    case O.OP_SETRESUID:
      return I.sys_setresuid(p, f.i0, f.i1, f.i2);
    case O.OP_GETRESUID:
      return I.sys_getresuid(p, f, true);
    case O.OP_SETRESGID:
      return I.sys_setresgid(p, f.i0, f.i1, f.i2);
    case O.OP_GETRESGID:
      return I.sys_getresgid(p, f, true);
    case O.OP_KILL:
      return G.sys_kill(p, f.i0, f.i1);
    case O.OP_CLOSE:
      return close_fd(p, f.i0);
    case O.OP_CONTAINER_CREATE:
    case O.OP_FORK_INTO_CONTAINER:
      return N.do_op_container_call(op, p, f, compat);
    default:
      return do_op_signal_or_file(op, p, f, compat);
  }
}

/** restart_syscall(2): the interrupted call goes on; the world's, if it is not ours. */
function restart_syscall(p: task_struct, f: frame, compat: bool): i32 {
  const k = rare(p);
  if (!k.restart_op) return D.sys_world_call(f, -E.EINTR);
  f.op = k.restart_op;
  f.set_args(k.restart_a0, k.restart_a1, k.restart_a2);
  return do_op(f.op, p, f, compat);
}

/** The second half of the table. */
function do_op_signal_or_file(op: u32, p: task_struct, f: frame, compat: bool): i32 {
  switch (op) {
    case O.OP_TKILL:
      return G.sys_tkill(p, f.i0, f.i1);
    case O.OP_TGKILL:
      return G.sys_tgkill(p, f.i0, f.i1, f.i2);
    case O.OP_RT_SIGQUEUEINFO:
      return G.sys_rt_sigqueueinfo(p, f, compat);
    case O.OP_RT_TGSIGQUEUEINFO:
      return G.sys_rt_tgsigqueueinfo(p, f, compat);
    case O.OP_RT_SIGACTION:
      return G.sys_rt_sigaction(p, f, compat);
    case O.OP_RT_SIGPROCMASK:
      return G.sys_rt_sigprocmask(p, f);
    case O.OP_RT_SIGPENDING:
      return G.sys_rt_sigpending(p, f);
    case O.OP_RT_SIGSUSPEND:
      return G.sys_rt_sigsuspend(p, f);
    case O.OP_RT_SIGRETURN:
      return sys_rt_sigreturn(p, f);
    case O.OP_RT_SIGTIMEDWAIT:
      return G.sys_rt_sigtimedwait(p, f, compat);
    case O.OP_PAUSE:
      return G.sys_pause(p, f);
    case O.OP_CLOSE_RANGE:
      return close_range(p, <u32>f.i0, <u32>f.i1, <u32>f.i2);
    case O.OP_DUP:
      return D.sys_dup(p, f.i0);
    case O.OP_DUP2:
      return D.sys_dup2(p, f.i0, f.i1);
    case O.OP_DUP3:
      return D.sys_dup3(p, f.i0, f.i1, <u32>f.i2);
    case O.OP_FCNTL:
      return sys_fcntl(p, f, f.i0, f.i1, compat);
    case O.OP_PIPE:
      return D.sys_pipe2(p, f, f.a0, 0);
    case O.OP_PIPE2:
      return D.sys_pipe2(p, f, f.a0, <u32>f.i1);
    case O.OP_READ:
      return sys_read(p, f, f.i0);
    case O.OP_WRITE:
      return sys_write(p, f, f.i0);
    case O.OP_WORLD_FD:
      return D.sys_world_fd(p, f);
    case O.OP_WORLD_CALL:
      return D.sys_world_call(f, -E.ENOSYS);
    case O.OP_PRCTL:
      return Y.sys_prctl(p, f);
    case O.OP_PRLIMIT64:
      return L.sys_prlimit64(p, f);
    case O.OP_GETRLIMIT:
      return L.sys_getrlimit(p, f, compat, u32.MAX_VALUE);
    case O.OP_SETRLIMIT:
      return L.sys_setrlimit(p, f, compat);
    case O.OP_UMASK:
      return D.sys_umask(p, <u32>f.i0);
    case O.OP_PIDFD_OPEN:
      return Q.sys_pidfd_open(p, f.i0, <u32>f.i1);
    case O.OP_PIDFD_SEND_SIGNAL:
      return Q.sys_pidfd_send_signal(p, f, compat);
    case O.OP_SIGALTSTACK:
      return sys_sigaltstack(p, f, compat);
    case O.OP_REBOOT:
      return Y.sys_reboot(p, f);
    case O.OP_UNSHARE:
      return Y.sys_unshare(p, f);
    case O.OP_FSOPEN:
    case O.OP_FSMOUNT:
      return do_op_mount(op, p, f);
    default:
      return do_op_area(op, p, f, compat);
  }
}

/** Areas with a range of operations of their own. */
function do_op_area(op: u32, p: task_struct, f: frame, compat: bool): i32 {
  if (is_vfs_op(op)) return do_op_vfs(op, p, f, compat);
  if (op - O.OP_CONTAINER_CREATE <= 3) return N.do_op_container_call(op, p, f, compat);
  const span: u32 = O.CONTAINER_OPS_LAST - O.CONTAINER_OPS_FIRST;
  if (op - O.CONTAINER_OPS_FIRST <= span) {
    return N.do_op_container(op, p, f, compat);
  }
  if (op - O.MQ_OPS_FIRST <= <u32>(O.MQ_OPS_LAST - O.MQ_OPS_FIRST))
    return do_op_mq(op, p, f, compat);
  const xattr_span: u32 = O.XATTR_OPS_LAST - O.XATTR_OPS_FIRST;
  if (op - O.XATTR_OPS_FIRST <= xattr_span) return do_op_xattr(op, p, f);
  const process_span: u32 = O.PROCESS_OPS_LAST - O.PROCESS_OPS_FIRST;
  if (op - O.PROCESS_OPS_FIRST <= process_span) return do_op_process(op, p, f, compat);
  const file_span: u32 = O.FILE_OPS_LAST - O.FILE_OPS_FIRST;
  if (op - O.FILE_OPS_FIRST <= file_span) return do_op_files(op, p, f, compat);
  if (op == O.OP_POLL || op == O.OP_PPOLL) return do_op_files(op, p, f, compat);
  const jobctl_span: u32 = O.JOBCTL_OPS_LAST - O.JOBCTL_OPS_FIRST;
  if (op - O.JOBCTL_OPS_FIRST <= jobctl_span) return do_op_jobctl(op, p, f, compat);
  if (op >= <u32>O.OP_ID16) return do_op_id16(op, p, f);
  if (op >= <u32>O.NS_OPS_FIRST && op <= <u32>O.NS_OPS_LAST) return do_op_ns(op, p, f);
  if (op >= <u32>O.NET_OPS_FIRST && op <= <u32>O.NET_OPS_LAST) return do_op_net(op, p, f, compat);
  if (op >= <u32>O.MOUNT_OPS_FIRST && op <= <u32>O.MOUNT_OPS_LAST) return do_op_mount(op, p, f);
  // of the older numbers, what concerns ids and namespaces
  if (op < <u32>O.NS_OPS_FIRST) return do_op_ns(op, p, f);
  return -E.ENOSYS;
}

/** The task that a frame names, or null. */
export function task_of_frame(f: frame): task_struct {
  return find_task_by_pid_ns(f.tid, changetype<pid_namespace>(<usize>root().init_pid_ns));
}

function set_disposition(f: frame, disposition: i32): i32 {
  f.disposition = disposition;
  return disposition;
}

/** Puts the result where the caller looks for it and says what became of the trap. */
function finish(f: frame, r: i32): i32 {
  if (r < -MAX_ERRNO) {
    if (r == R.RET_EXITED) return set_disposition(f, F.DISP_EXITED);
    if (r == R.RET_BLOCKED) return set_disposition(f, F.DISP_BLOCKED);
    if (r == R.RET_NEED) return set_disposition(f, F.DISP_NEED);
    if (r == R.RET_SLEEPS) return set_disposition(f, F.DISP_SLEEPS);
    if (r == R.RET_UPCALL) return set_disposition(f, F.DISP_UPCALL);
    return set_disposition(f, F.DISP_DONE);
  }
  f.rax = <u64>(<i64>r);
  return set_disposition(f, F.DISP_DONE);
}

/** Arguments of a 32-bit call, widened: three of them beside the registers, three in place. */
function widen_args(f: frame): void {
  f.set_args(<u64>(<u32>f.rbx), <u64>(<u32>f.rcx), <u64>(<u32>f.rdx));
  f.r10 = <u64>(<u32>f.rsi);
  f.r8 = <u64>(<u32>f.rdi);
  f.r9 = <u64>(<u32>f.rbp);
}

/** Why task `p` (may be null) cannot make a call now. */
function why_not(p: task_struct): i32 {
  if (R.nil(p) || p.state == T.EXIT_ZOMBIE) return F.DISP_NOT_RUN;
  return runs(p) ? F.DISP_DRAIN : F.DISP_BUSY;
}

/** Is `p` in user mode? */
export function runs(p: task_struct): bool {
  return p.state == T.TASK_RUNNING && !(p.flags & (T.PF_WOKEN | T.PF_EXITING));
}

/** Looks the number up, finds the arguments, runs the call. */
export function do_syscall(f: frame): i32 {
  const p = task_of_frame(f);
  if (R.nil(p)) return set_disposition(f, F.DISP_NOT_RUN);
  const flags = p.flags;
  const away = p.state | (flags & (T.PF_WOKEN | T.PF_EXITING));
  if (away || event_ring_full()) return set_disposition(f, why_not(p));
  // the group's signal that interrupted it may have been taken by another thread since
  if (flags & T.TIF_SIGPENDING) recalc_sigpending(p);
  const r = root();
  const index = f.table;
  if (index >= r.nr_tables) return set_disposition(f, F.DISP_NOT_RUN);
  const table = changetype<syscall_table>(<usize>(r.tables + (index << 4)));
  const compat = (table.flags & F.TABLE_COMPAT) != 0;
  const at = changetype<usize>(f);
  const nr = load<u32>(at, offsetof<frame>("rax"));
  const nr_hi = load<u32>(at, offsetof<frame>("rax") + 4);
  store<u32>(at, nr, offsetof<frame>("orig_rax"));
  store<u32>(at, nr_hi, offsetof<frame>("orig_rax") + 4);
  f.phase = 0;
  f.args = <u32>(at + offsetof<frame>("rdx"));
  if (compat) widen_args(f);
  // a 64-bit number with a bit above 31 set is no number of the table
  const known = nr < table.len && (compat || !nr_hi);
  const entry: u32 = known ? load<u16>(table.ops + (nr << 1)) : ENTRY_AUDITED;
  const op = entry & ENTRY_OP;
  f.op = op;
  let result = op ? do_op(op, p, f, compat) : -E.ENOSYS;
  if (result == -E.EPERM && is_supervised()) result = refused(p, f, compat);
  if ((entry & ENTRY_AUDITED) | r.audit_pending) audit_syscall_exit(p, f, compat, result);
  if (result < -MAX_ERRNO) return finish(f, result);
  f.rax = <u64>(<i64>result);
  f.disposition = F.DISP_DONE;
  return F.DISP_DONE;
}

/** The call is refused, and somebody may have another word on that. */
function refused(p: task_struct, f: frame, compat: bool): i32 {
  const r = ask_supervisor(p, f, compat);
  return r == 0 ? granted(p, f, compat) : r;
}

/** Makes a refused call once more, with the capabilities that a supervisor lends to it. */
function granted(p: task_struct, f: frame, compat: bool): i32 {
  f.phase = 0;
  const r = do_op(f.op, p, f, compat);
  end_override(p, r);
  return r;
}

/** A refused call goes on, answered or not. */
function answered(p: task_struct, f: frame, compat: bool): i32 {
  const r = supervised_result(p, f, upcall_of(p));
  return r == 0 && root().override_cred ? granted(p, f, compat) : r;
}

/** A woken task goes on with its sleeping call. */
export function do_resume(p: task_struct): i32 {
  const f = rare(p).frame;
  if (R.nil(f) || !(p.flags & T.PF_WOKEN)) return F.DISP_BUSY;
  if (event_ring_full()) return F.DISP_DRAIN;
  clear_woken(p);
  const table = changetype<syscall_table>(<usize>(root().tables + (f.table << 4)));
  const compat = (table.flags & F.TABLE_COMPAT) != 0;
  if (!f.phase) f.phase = 1;
  let result: i32;
  if (is_refused(p)) {
    result = answered(p, f, compat);
  } else {
    result = do_op(f.op, p, f, compat);
    if (result == -E.EPERM && is_supervised()) result = refused(p, f, compat);
  }
  audit_syscall_exit(p, f, compat, result);
  return finish(f, result);
}
