// fork, vfork, clone, clone3, fork_into_container: copy_process() and its unwind ladder
// (kernel/fork.c). What a child shares until written costs one reference.
import { audit_free } from "../audit/audit-context.ts";
import { audit_birth, audit_born, audit_home } from "../audit/audit-ns.ts";
import { copy_shm, uncopy_shm } from "../ipc/shm.ts";
import { seeded_fault } from "../lib/bug.ts";
import {
  container,
  container_dead,
  container_join,
  container_start,
  free_container,
  kill_container,
  reserve_member,
} from "../container/container.ts";
import { is_init_container } from "../container/container.ts";
import { copy_rare, finish_clone, too_many } from "./clone-parts.ts";
import { put_cred } from "../cred/cred.ts";
import { IS_ERR, NULL, nil, PTR_ERR, same } from "../lib/err.ts";
import { emit } from "../lib/event.ts";
import { files_struct, put_files } from "../fs/file.ts";
import * as H from "./fork-share.ts";
import { frame } from "../lib/frame.ts";
import { fs_struct, put_fs } from "../fs/fs.ts";
import { list_head } from "../lib/list.ts";
import { inc_nproc } from "../cred/ucounts.ts";
import { copy_namespaces, put_nsproxy } from "../namespace/nsproxy.ts";
import { alloc_pid, get_pid, pid_nr_ns, put_pid, rewind_pid } from "./pid.ts";
import { task_active_pid_ns, unhash_pid, upid_nr } from "./pid.ts";
import { refcount_inc } from "../lib/refcount.ts";
import { root } from "../lib/root.ts";
import { reserve_kill_queue, sigmask } from "../signal/signal.ts";
import { sched_free } from "./sched.ts";
import { drop_sigframes } from "../signal/sigqueue.ts";
import * as S from "./signal-struct.ts";
import {
  alloc_task,
  cold,
  free_task,
  PF_AUDIT,
  PF_EXITING,
  PF_FORKNOEXEC,
  PF_INHERITED,
  PF_RARE,
  PF_THREADED,
  rare,
  rare_for_write,
} from "./task.ts";
import { TASK_KILLABLE, task_struct } from "./task.ts";
import { signal_pending, sleep_on } from "./waitqueue.ts";
import * as E from "../uapi/errno.ts";
import { ASSIST_ERRNO, EVENT_FORK } from "../uapi/frame.ts";
import * as C from "../uapi/sched.ts";
import { SIGKILL } from "../uapi/signal.ts";

/** struct kernel_clone_args - what every fork-like call comes down to. */
@unmanaged
export class kernel_clone_args {
  flags: u32; // CLONE_* below bit 32, without CSIGNAL
  flags_hi: u32; // clone3's upper half
  exit_signal: i32;
  pidfd: u64; // guest addresses; 0: none
  child_tid: u64;
  parent_tid: u64;
  set_tid: u32; // i32[set_tid_size], innermost namespace first
  set_tid_size: i32;
  forced_pid: i32; // number in the initial namespace that the recorder saw
  frame: frame; // CLONE_PIDFD: where the descriptor is written; CLONE_INTO_CGROUP
  cgroup: i32; // descriptor
  dest: container; // fork_into_container's; null otherwise
  made: container; // made for the child's namespaces, and not published yet; null otherwise
  newtime: u32;
  // what this call took a private copy of, to be given back when it fails: the parent's shares
  parent: task_struct;
  old_files: files_struct;
  old_fs: fs_struct;
  old_sighand: S.sighand_struct;
}

// Seeded faults (debug builds only): a posted defect by number, and one of our own.
const D_13 = 13;
const F_MASK = 102;

// How far copy_process() has come: the rung from which bad_fork() undoes.
const BAD_FORK_FREE = 0;
const BAD_FORK_CRED = 1;
const BAD_FORK_FILES = 2;
const BAD_FORK_FS = 3;
const BAD_FORK_SIGHAND = 4;
const BAD_FORK_SIGNAL = 5;
const BAD_FORK_NAMESPACES = 6;
const BAD_FORK_FRAMES = 7;
const BAD_FORK_PID = 8;

/** Undoes copy_process() from rung `stage` down; returns `error` as an ERR_PTR. */
function bad_fork(p: task_struct, args: kernel_clone_args, stage: i32, error: i32): task_struct {
  const k = cold(p);
  const parent = args.parent;
  if (!nil(args.made)) free_container(args.made, 0);
  if (p.flags & PF_AUDIT) audit_free(p);
  switch (stage) {
    case BAD_FORK_PID:
      if (!(args.flags & C.CLONE_THREAD)) uncopy_shm(p.signal);
      rewind_pid(p.thread_pid);
      unhash_pid(p.thread_pid);
      put_pid(p.thread_pid); // fallthrough
    case BAD_FORK_FRAMES:
      drop_sigframes(p);
      sched_free(p); // fallthrough
    case BAD_FORK_NAMESPACES:
      put_nsproxy(k.nsproxy); // fallthrough
    case BAD_FORK_SIGNAL:
      if (!(args.flags & C.CLONE_THREAD)) S.put_signal_struct(p.signal); // fallthrough
    case BAD_FORK_SIGHAND:
      S.put_sighand(k.sighand); // fallthrough
    case BAD_FORK_FS:
      put_fs(k.fs); // fallthrough
    case BAD_FORK_FILES:
      put_files(k.files); // fallthrough
    case BAD_FORK_CRED:
      put_cred(p.cred); // fallthrough
    default:
      free_task(p);
  }
  H.share_again(parent, args);
  if (seeded_fault(D_13) && !nil(args.dest)) kill_container(args.dest, 0);
  return changetype<task_struct>(<usize>error);
}

/** Flags of which check_flags() has something to say. */
const CHECKED_FLAGS: u32 =
  C.CLONE_NEWNS |
  C.CLONE_FS |
  C.CLONE_NEWUSER |
  C.CLONE_THREAD |
  C.CLONE_SIGHAND |
  C.CLONE_PARENT |
  C.CLONE_PIDFD |
  C.CLONE_NEWIPC;

/** Which flags exclude each other (clone(2)). Return: 0 or -EINVAL. */
function check_flags(p: task_struct, args: kernel_clone_args): i32 {
  const flags = args.flags;
  if (!(flags & CHECKED_FLAGS)) return 0;
  const both_fs = C.CLONE_NEWNS | C.CLONE_FS;
  if ((flags & both_fs) == both_fs) return -E.EINVAL;
  const user_fs = C.CLONE_NEWUSER | C.CLONE_FS;
  if ((flags & user_fs) == user_fs) return -E.EINVAL;
  if (flags & C.CLONE_THREAD && !(flags & C.CLONE_SIGHAND)) return -E.EINVAL;
  if (flags & C.CLONE_SIGHAND && !(flags & C.CLONE_VM)) return -E.EINVAL;
  if (flags & C.CLONE_PARENT && p.signal.flags & S.SIGNAL_UNKILLABLE) return -E.EINVAL;
  if (flags & C.CLONE_THREAD) {
    if (flags & (C.CLONE_NEWUSER | C.CLONE_NEWPID)) return -E.EINVAL;
    const children = cold(p).nsproxy.pid_ns_for_children;
    if (!same(task_active_pid_ns(p), children)) return -E.EINVAL;
  }
  if (flags & C.CLONE_PIDFD && flags & C.CLONE_DETACHED) return -E.EINVAL;
  return 0;
}

/** Fields that are plain copies of the parent's. */
function copy_fields(p: task_struct, parent: task_struct, args: kernel_clone_args): void {
  const k = cold(p);
  const from = cold(parent);
  const flags = args.flags;
  p.flags |= PF_FORKNOEXEC | (parent.flags & PF_INHERITED);
  if (!seeded_fault(F_MASK)) k.blocked = from.blocked;
  k.comm0 = from.comm0;
  k.comm1 = from.comm1;
  if (flags & C.CLONE_CHILD_CLEARTID) rare_for_write(p).clear_child_tid = args.child_tid;
  if (flags & C.CLONE_THREAD) {
    k.exit_signal = -1;
  } else {
    k.exit_signal =
      flags & C.CLONE_PARENT ? cold(parent.signal.leader).exit_signal : args.exit_signal;
  }
}

/** The lists, when nothing can fail any more. */
function attach(
  p: task_struct,
  parent: task_struct,
  args: kernel_clone_args,
  dest: container,
): void {
  const signal = p.signal;
  const number = p.thread_pid;
  const r = root();
  number.task = p;
  inc_nproc(p.cred.ucounts);
  p.pid = upid_nr(number, 0);
  if (args.flags & (C.CLONE_PARENT | C.CLONE_THREAD)) p.real_parent = parent.real_parent;
  else p.real_parent = parent;
  list_head.add_tail(cold(p).thread_node, signal.threads);
  r.nr_threads += 1;
  if (args.flags & C.CLONE_THREAD) {
    signal.nr_threads += 1;
    signal.live += 1;
    refcount_inc(changetype<usize>(signal));
    p.container = signal.leader.container;
    p.flags |= PF_THREADED;
    signal.leader.flags |= PF_THREADED;
    return;
  }
  attach_process(p, parent);
  const ns = number.ns;
  if (nil(ns.child_reaper)) {
    ns.child_reaper = p;
    signal.flags |= S.SIGNAL_UNKILLABLE;
  }
  const starts = !nil(args.dest) && nil(dest.init) && !is_init_container(dest);
  if (r.audit) audit_birth(p, parent, dest, args.dest);
  container_join(dest, p);
  if (starts) container_start(dest, signal, number);
  if (r.audit) audit_born(p, parent, dest, starts, !nil(args.made));
}

/** The leader of a new group: ids, lists. Its container is the caller's to join. */
function attach_process(p: task_struct, parent: task_struct): void {
  const signal = p.signal;
  const number = p.thread_pid;
  const old = parent.signal;
  const pgrp = old.pgrp;
  const session = old.session;
  signal.nr_threads = 1;
  signal.live = 1;
  signal.tgid_pid = number;
  signal.pgrp = get_pid(pgrp);
  signal.session = get_pid(session);
  session.nr_sessions += 1;
  list_head.add_tail(signal.pgrp_link, pgrp.members);
  list_head.add_tail(p.sibling, p.real_parent.children);
  root().nr_processes += 1;
}

/** Tests that need no allocation, in Linux's order. Return: 0 or a negative errno. */
function may_fork(parent: task_struct, args: kernel_clone_args, dest: container): i32 {
  const bad = check_flags(parent, args);
  if (bad) return bad;
  // a caller that is on its way through the kernel gets a definite answer, not a restart
  if (container_dead(dest)) return -E.ECANCELED;
  if (signal_pending(parent)) {
    return parent.pending & sigmask(SIGKILL) ? -E.EINTR : -E.ERESTARTNOINTR;
  }
  if (root().nr_threads >= root().threads_max) return -E.EAGAIN;
  return 0;
}

/** A child of `parent`, attached and ready to run; ERR_PTR otherwise, with nothing changed. */
export function copy_process(parent: task_struct, args: kernel_clone_args): task_struct {
  const flags = args.flags;
  const dest = nil(args.dest) ? parent.signal.leader.container : args.dest;
  let error = may_fork(parent, args, dest);
  if (error) return changetype<task_struct>(<usize>error);
  if (!reserve_kill_queue()) return changetype<task_struct>(<usize>-E.ENOMEM);
  if (!(flags & C.CLONE_THREAD) && !reserve_member(dest)) {
    return changetype<task_struct>(<usize>-E.ENOMEM);
  }
  const p = alloc_task();
  if (nil(p)) return changetype<task_struct>(<usize>-E.ENOMEM);
  args.parent = parent;
  error = H.copy_creds(p, parent, args);
  if (error) return bad_fork(p, args, BAD_FORK_FREE, error);
  if (p.cred.uid != 0 && too_many(p, parent)) return bad_fork(p, args, BAD_FORK_CRED, -E.EAGAIN);
  error = H.copy_files(p, parent, args);
  if (error) return bad_fork(p, args, BAD_FORK_CRED, error);
  error = H.copy_fs(p, parent, args);
  if (error) return bad_fork(p, args, BAD_FORK_FILES, error);
  error = H.copy_sighand(p, parent, args);
  if (error) return bad_fork(p, args, BAD_FORK_FS, error);
  error = H.copy_signal(p, parent, flags);
  if (error) return bad_fork(p, args, BAD_FORK_SIGHAND, error);
  error = copy_namespaces(p, parent, args);
  if (error) return bad_fork(p, args, BAD_FORK_SIGNAL, error);
  copy_fields(p, parent, args);
  if (parent.flags & PF_RARE) {
    if (!copy_rare(p, parent, flags)) return bad_fork(p, args, BAD_FORK_NAMESPACES, -E.ENOMEM);
  }
  let home = dest;
  if (root().audit) {
    home = audit_home(p, parent, args, dest);
    if (IS_ERR(home)) return bad_fork(p, args, BAD_FORK_FRAMES, PTR_ERR(home));
  }
  const ns = cold(p).nsproxy.pid_ns_for_children;
  // DEVIATION: a container's own namespace stays open after a failed first fork (decisions).
  if (ns.dying) return bad_fork(p, args, BAD_FORK_FRAMES, -E.ENOMEM);
  const number = alloc_pid(ns, args.forced_pid, args.set_tid, args.set_tid_size, parent.cred);
  if (IS_ERR(number)) return bad_fork(p, args, BAD_FORK_FRAMES, PTR_ERR(number));
  p.thread_pid = number;
  if (parent.signal.flags & S.SIGNAL_SHM && !(flags & (C.CLONE_VM | C.CLONE_THREAD))) {
    if (!copy_shm(parent, p.signal)) return bad_fork(p, args, BAD_FORK_PID, -E.ENOMEM);
  }
  const world = !nil(args.frame) && args.frame.assist & ASSIST_ERRNO;
  if (world || flags & C.CLONE_PIDFD || args.flags_hi & C.CLONE_INTO_CGROUP_HI) {
    error = finish_clone(parent, args, number);
    if (error) return bad_fork(p, args, BAD_FORK_PID, error);
  }
  // DEVIATION: D-13, D-14 - the child joins its container when nothing can fail any more, so a
  // failed first fork leaves the container startable.
  attach(p, parent, args, home);
  H.drop_shares(args);
  return p;
}

/** fork and its relatives. Return: the child's number as the caller sees it, errno, RET_BLOCKED. */
export function kernel_clone(parent: task_struct, f: frame, args: kernel_clone_args): i32 {
  if (f.phase) return vfork_done(parent, f);
  const p = copy_process(parent, args);
  if (IS_ERR(p)) return PTR_ERR(p);
  const nr = pid_nr_ns(p.thread_pid, task_active_pid_ns(parent));
  emit(EVENT_FORK, parent.pid, p.pid, <i32>args.flags, p.real_parent.pid, 0);
  f.cookie = <u32>nr;
  if (args.flags & C.CLONE_VFORK) {
    rare_for_write(p).vfork_parent = parent;
    rare_for_write(parent).vfork_child = p;
    f.phase = 1;
    return sleep_on(parent, f, TASK_KILLABLE);
  }
  return nr;
}

/** vfork goes on: its child has called exec or is gone, or a signal kills the caller. */
function vfork_done(parent: task_struct, f: frame): i32 {
  const k = rare(parent);
  if (!nil(k.vfork_child)) {
    if (!(parent.pending & sigmask(SIGKILL)) && !(parent.flags & PF_EXITING)) {
      return sleep_on(parent, f, TASK_KILLABLE);
    }
    rare(k.vfork_child).vfork_parent = NULL<task_struct>();
    k.vfork_child = NULL<task_struct>();
  }
  return <i32>f.cookie;
}
