// execve's effect on a process (fs/exec.c): the file and its contents are the world's, what
// becomes of threads, descriptors, signal actions and the name is the kernel's.
import { audit_exec } from "../audit/audit-record.ts";
import { cap_bprm_creds, prepare_bprm_creds } from "../cred/capability.ts";
import { container_replace_leader } from "../container/container.ts";
import { IS_ERR, NULL, nil, RET_NEED, same } from "../lib/err.ts";
import { commit_creds, put_cred } from "../cred/cred.ts";
import { emit } from "../lib/event.ts";
import { exit_shm } from "../ipc/shm.ts";
import { mm_release, release_task } from "./exit.ts";
import { do_close_on_exec, unshare_files } from "../fs/file.ts";
import { frame } from "../lib/frame.ts";
import { exec_itimers } from "../signal/itimer.ts";
import { list_head } from "../lib/list.ts";
import { create_new_namespaces, put_nsproxy, timens_on_fork } from "../namespace/nsproxy.ts";
import { task_active_pid_ns, upid_ns } from "./pid.ts";
import { exec_keyrings, has_private_keyrings } from "../keys/process-keys.ts";
import { root, SCRATCH_USER, SCRATCH_USER_BYTES } from "../lib/root.ts";
import { mark_fatal, recalc_sigpending, sigmask, signal_wake_up } from "../signal/signal.ts";
import { drop_sigframes } from "../signal/sigqueue.ts";
import * as S from "./signal-struct.ts";
import * as T from "./task.ts";
import { cold, task_struct } from "./task.ts";
import { altstack_exec } from "../signal/sys-altstack.ts";
import { strncpy_from_user } from "../lib/uaccess.ts";
import { EAGAIN, EFAULT, EINTR, ENAMETOOLONG, ENOMEM, ERESTARTNOINTR } from "../uapi/errno.ts";
import { ASSIST_ERRNO, EVENT_EXEC } from "../uapi/frame.ts";
import { RLIMIT_NPROC } from "../uapi/resource.ts";
import { nproc_over } from "../cred/ucounts.ts";
import { SIGCHLD, SIGKILL } from "../uapi/signal.ts";
import { sleep_on } from "./waitqueue.ts";
import { vfs_may_exec } from "../vfs/exec-file.ts";

/** Marks every thread but `p` for death; exec or exit_group waits for them. */
function zap_other_threads(p: task_struct): void {
  const head = p.signal.threads;
  for (let at = head.next; at !== head; at = at.next) {
    const t = T.from_thread_node(at);
    if (same(t, p) || t.flags & T.PF_EXITING) continue;
    t.pending |= sigmask(SIGKILL);
    mark_fatal(t);
    signal_wake_up(t, true);
  }
}

/**
 * `p`, not the leader, takes over the leader's number and place: to its parent nothing changed.
 * The old leader is a zombie that nobody may see.
 */
function take_over_leader(p: task_struct): void {
  const signal = p.signal;
  const leader = signal.leader;
  const k = cold(p);
  const l = cold(leader);
  const number = p.thread_pid;
  container_replace_leader(leader, p);
  p.thread_pid = leader.thread_pid;
  leader.thread_pid = number;
  p.thread_pid.task = p;
  number.task = leader;
  const nr = p.pid;
  p.pid = leader.pid;
  leader.pid = nr;
  replace_reaper(leader, p, p.thread_pid.level);
  // the sibling link of the old leader becomes the new one's
  p.real_parent = leader.real_parent;
  list_head.add_tail(p.sibling, leader.sibling);
  list_head.del_init(leader.sibling);
  while (!list_head.empty(leader.children)) {
    const link = leader.children.next;
    list_head.del(link);
    task_struct.from_sibling(link).real_parent = p;
    list_head.add_tail(link, p.children);
  }
  signal.leader = p;
  k.exit_signal = SIGCHLD;
  l.exit_signal = -1;
  list_head.del(k.thread_node);
  list_head.add(k.thread_node, signal.threads);
  release_task(leader);
}

function replace_reaper(leader: task_struct, p: task_struct, level: i32): void {
  for (let i = 0; i <= level; ++i) {
    const ns = upid_ns(p.thread_pid, i);
    if (same(ns.child_reaper, leader)) ns.child_reaper = p;
  }
}

/** The namespaces for one's own, when the one of time is to change. */
function prepare_exec_namespaces(p: task_struct): bool {
  const old = cold(p).nsproxy;
  if (old.count == 1 || same(old.time_ns, old.time_ns_for_children)) return true;
  const c = p.cred;
  const ns = create_new_namespaces(0, old, task_active_pid_ns(p), c.user_ns, c.euid);
  if (IS_ERR(ns)) return false;
  cold(p).nsproxy = ns;
  put_nsproxy(old);
  return true;
}

/** Alone in the group again? Return: 0, RET_BLOCKED while others are alive, -EINTR when killed. */
function de_thread(p: task_struct, f: frame): i32 {
  const signal = p.signal;
  if (signal.nr_threads > 1) {
    if (!f.phase) {
      if (signal.flags & S.SIGNAL_GROUP_EXIT) return -ERESTARTNOINTR;
      if (p.pending & sigmask(SIGKILL)) return -EINTR;
      f.phase = 1;
      signal.exec_task = p;
      zap_other_threads(p);
    } else if (p.pending & sigmask(SIGKILL)) {
      signal.exec_task = NULL<task_struct>();
      return -EINTR;
    }
    const leader = signal.leader;
    const only_zombie_leader =
      signal.nr_threads == 2 && !same(leader, p) && leader.state == T.EXIT_ZOMBIE;
    if (!only_zombie_leader) return sleep_on(p, f, T.TASK_KILLABLE);
  }
  if (!same(signal.leader, p)) take_over_leader(p);
  signal.exec_task = NULL<task_struct>();
  p.flags &= ~T.PF_THREADED;
  return 0;
}

/** The last part of a path, at most 15 bytes, as the task's name. `at`, `len`: the path. */
export function set_comm(p: task_struct, at: usize, len: i32): void {
  let start = 0;
  for (let i = 0; i < len; ++i) if (load<u8>(at + i) == 47) start = i + 1;
  const k = cold(p);
  const to = changetype<usize>(k) + offsetof<T.task_cold>("comm0");
  k.comm0 = 0;
  k.comm1 = 0;
  const n = min(len - start, 15);
  memory.copy(to, at + start, n);
}

/** Private tables of descriptors and actions, a private cred where it will change, a private set
 * of namespaces where time changes: all of them, or false and nothing has changed. */
function unshare_for_exec(p: task_struct): bool {
  const k = cold(p);
  // a copy of a cred is the same cred: it may stay when the rest fails
  if (!prepare_bprm_creds(p) || !prepare_exec_namespaces(p)) return false;
  const old = k.sighand;
  let own = old;
  if (old.count > 1) {
    own = S.copy_sighand(old);
    if (nil(own)) return false;
  }
  if (!unshare_files(p)) {
    if (!same(own, old)) S.put_sighand(own);
    return false;
  }
  if (same(own, old)) old.shared = 0;
  if (!same(own, old)) {
    k.sighand = own;
    S.put_sighand(old);
  }
  return true;
}

/** What of an exec may fail for lack of memory: all of it is done, or false and none is. */
function prepare_exec(p: task_struct): bool {
  if (!has_private_keyrings(p.cred)) return unshare_for_exec(p);
  const own = exec_keyrings(p.cred);
  if (nil(own)) return false;
  if (!unshare_for_exec(p)) {
    put_cred(own);
    return false;
  }
  commit_creds(p, own);
  return true;
}

/**
 * execve(2) and execveat(2): `path` is the guest address of the file's name (0: none given). The
 * world's refusal comes as ASSIST_ERRNO; a file of the kernel's it looks into itself.
 */
export function do_execve(p: task_struct, f: frame, dirfd: i32, path: u64, flags: u32): i32 {
  if (f.assist & ASSIST_ERRNO) return -f.assist_val;
  const refused = f.phase ? 0 : vfs_may_exec(p, f, dirfd, path, flags);
  if (refused) return refused;
  const len = strncpy_from_user(f, SCRATCH_USER, path, SCRATCH_USER_BYTES);
  if (len == RET_NEED || len == -EFAULT) return len;
  if (len == <i32>SCRATCH_USER_BYTES) return -ENAMETOOLONG;
  const k = cold(p);
  if (p.flags & T.PF_NPROC_EXCEEDED && !f.phase) {
    if (nproc_over(p.cred.ucounts, S.rlimit(p.signal, RLIMIT_NPROC), 0)) return -EAGAIN;
    p.flags &= ~T.PF_NPROC_EXCEEDED;
  }
  // what can fail comes before what cannot be undone
  if (!f.phase && !prepare_exec(p)) return -ENOMEM;
  const old_tid = p.pid;
  const waited = de_thread(p, f);
  if (waited) return waited;
  mm_release(p);
  timens_on_fork(k.nsproxy);
  cap_bprm_creds(p);
  do_close_on_exec(p);
  S.clear_handlers(k.sighand);
  drop_sigframes(p);
  recalc_sigpending(p);
  k.exit_signal = SIGCHLD;
  altstack_exec(p);
  exec_itimers(p.signal);
  if (p.signal.flags & S.SIGNAL_SHM) exit_shm(p);
  p.signal.flags &= ~S.SIGNAL_NOT_DUMPABLE;
  p.flags &= ~T.PF_FORKNOEXEC;
  set_comm(p, SCRATCH_USER, len);
  if (root().audit) audit_exec(p, SCRATCH_USER, len);
  emit(EVENT_EXEC, p.pid, old_tid, 0, 0, 0);
  return 0;
}

/** A private table of actions; false when memory is exhausted. */
export function unshare_sighand(p: task_struct): bool {
  const k = cold(p);
  const h = k.sighand;
  if (h.count == 1) {
    h.shared = 0;
    return true;
  }
  const own = S.copy_sighand(h);
  if (nil(own)) return false;
  k.sighand = own;
  S.put_sighand(h);
  return true;
}
