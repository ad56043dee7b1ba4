// wait4, waitpid, waitid: which child, which news, what of it is written (kernel/exit.c).
import { seeded_fault } from "../lib/bug.ts";
import { nil, same } from "../lib/err.ts";
import { group_status, release_task, thread_group_empty } from "./exit.ts";
import { fget, FILE_PIDFD } from "../fs/file.ts";
import { frame } from "../lib/frame.ts";
import { find_pid_ns, pid, pid_nr_ns, task_active_pid_ns } from "./pid.ts";
import { SCRATCH_USER } from "../lib/root.ts";
import { SIGNAL_GROUP_EXIT, SIGNAL_STOP_CONTINUED, SIGNAL_STOP_STOPPED } from "./signal-struct.ts";
import { cold, EXIT_ZOMBIE, from_thread_node, task_struct, thread_group_leader } from "./task.ts";
import { copy_to_user, prepare_write, put_user32 } from "../lib/uaccess.ts";
import { from_kuid_munged } from "../namespace/user-namespace.ts";
import * as E from "../uapi/errno.ts";
import { O_NONBLOCK } from "../uapi/fcntl.ts";
import * as N from "../uapi/signal.ts";
import * as W from "../uapi/wait.ts";
import { remove_waiters, signal_pending, wait_on } from "./waitqueue.ts";

/** struct wait_opts - what is waited for, and the news that was found. */
@unmanaged
export class wait_opts {
  type: i32; // P_ALL, P_PID, P_PGID
  options: i32;
  id: pid; // of P_PID and P_PGID; null: no process has that number
  // found:
  nr: i32; // the child's number as the caller sees it, 0 = nothing
  status: i32; // wait status form
  uid: i32; // kuid of the child
  found_child: u32; // some child matches, ready or not
}
const WAIT_OPTS: usize = 0x2300;

// Seeded fault (debug builds only): WNOWAIT reaps.
const F_WNOWAIT = 104;

/** Wait status that the last wait4 has found. */
export function last_wait_status(): i32 {
  return opts().status;
}

function opts(): wait_opts {
  return changetype<wait_opts>(WAIT_OPTS);
}

/** Does `child` match the id and the kind of child that is waited for? */
function eligible(w: wait_opts, child: task_struct): bool {
  if (w.type == W.P_PID && !same(child.thread_pid, w.id)) return false;
  if (w.type == W.P_PGID && !same(child.signal.pgrp, w.id)) return false;
  if (w.options & W.__WALL) return true;
  const clone_child = cold(child).exit_signal != N.SIGCHLD;
  return clone_child == ((w.options & W.__WCLONE) != 0);
}

function found(w: wait_opts, waiter: task_struct, child: task_struct, status: i32): bool {
  w.nr = pid_nr_ns(child.thread_pid, task_active_pid_ns(waiter));
  w.uid = child.cred.uid;
  w.status = status;
  return true;
}

function wait_task_zombie(w: wait_opts, waiter: task_struct, child: task_struct): bool {
  if (!(w.options & W.WEXITED)) return false;
  w.found_child = 1;
  const status = group_status(child);
  found(w, waiter, child, status);
  if (!(w.options & W.WNOWAIT) || seeded_fault(F_WNOWAIT)) release_task(child);
  return true;
}

function wait_task_stopped(w: wait_opts, waiter: task_struct, child: task_struct): bool {
  if (!(w.options & W.WUNTRACED)) return false;
  const s = child.signal;
  if (!(s.flags & SIGNAL_STOP_STOPPED) || !s.group_exit_code) return false;
  const sig = s.group_exit_code;
  if (!(w.options & W.WNOWAIT)) s.group_exit_code = 0;
  return found(w, waiter, child, (sig << 8) | 0x7f);
}

function wait_task_continued(w: wait_opts, waiter: task_struct, child: task_struct): bool {
  if (!(w.options & W.WCONTINUED)) return false;
  const s = child.signal;
  if (!(s.flags & SIGNAL_STOP_CONTINUED)) return false;
  if (!(w.options & W.WNOWAIT)) s.flags &= ~SIGNAL_STOP_CONTINUED;
  return found(w, waiter, child, 0xffff);
}

/** News of one child? */
function wait_consider_task(w: wait_opts, waiter: task_struct, child: task_struct): bool {
  if (!eligible(w, child)) return false;
  if (child.state == EXIT_ZOMBIE) {
    // a dead child has no news but its end; a leader whose threads still run is not dead yet
    if (thread_group_empty(child)) return wait_task_zombie(w, waiter, child);
    w.found_child = 1;
    if (child.signal.flags & SIGNAL_GROUP_EXIT) return false;
  }
  w.found_child = 1;
  return wait_task_stopped(w, waiter, child) || wait_task_continued(w, waiter, child);
}

/** One child is asked for by its number: no list is walked (Linux: do_wait_pid). */
function do_wait_pid(w: wait_opts, p: task_struct): bool {
  if (nil(w.id)) return false;
  const child = w.id.task;
  if (nil(child) || !thread_group_leader(child)) return false;
  const parent = child.real_parent;
  const mine = w.options & W.__WNOTHREAD ? same(parent, p) : same(parent.signal, p.signal);
  return mine && wait_consider_task(w, p, child);
}

/** Looks at the children of `p`, and of the other threads of its group unless told not to. */
function do_wait_scan(w: wait_opts, p: task_struct): bool {
  if (w.type == W.P_PID) return do_wait_pid(w, p);
  const threads = p.signal.threads;
  for (let at = threads.next; at !== threads; at = at.next) {
    const t = from_thread_node(at);
    if (w.options & W.__WNOTHREAD && !same(t, p)) continue;
    const head = t.children;
    for (let link = head.next; link !== head; link = link.next) {
      if (wait_consider_task(w, p, task_struct.from_sibling(link))) return true;
    }
  }
  return false;
}

/** Return: 1 found, 0 nothing yet and WNOHANG, errno, RET_BLOCKED. */
function do_wait(w: wait_opts, p: task_struct, f: frame): i32 {
  if (f.phase) remove_waiters(p);
  w.nr = 0;
  w.found_child = 0;
  if (do_wait_scan(w, p)) return 1;
  if (!w.found_child) return -E.ECHILD;
  if (w.options & W.WNOHANG) return 0;
  if (signal_pending(p)) return -E.ERESTARTSYS;
  f.phase = 1;
  return wait_on(p, f, p.signal.wait_chldexit);
}

/** The rusage that wait reports is the world's: the kernel gives zeros where it is asked for. */
function put_rusage(f: frame, addr: u64, len: u32): i32 {
  if (!addr) return 0;
  memory.fill(SCRATCH_USER, 0, len);
  return copy_to_user(f, addr, SCRATCH_USER, len);
}

/**
 * The child of number `nr`, if it is dead and there is nothing about it that do_wait() is needed
 * for: it is released. Return: its wait status, -1 when do_wait() has to look.
 */
function wait_plain(p: task_struct, nr: i32): i32 {
  const number = find_pid_ns(nr, task_active_pid_ns(p));
  if (nil(number)) return -1;
  const child = number.task;
  if (nil(child) || child.state != EXIT_ZOMBIE || !same(child.real_parent, p)) return -1;
  if (cold(child).exit_signal != N.SIGCHLD || !thread_group_empty(child)) return -1;
  const status = group_status(child);
  release_task(child);
  return status;
}

/** wait4(2): pid, status, options, rusage. */
export function kernel_wait4(
  p: task_struct,
  f: frame,
  upid: i32,
  status: u64,
  options: i32,
  rusage: u64,
  rusage_bytes: u32,
): i32 {
  const known = W.WNOHANG | W.WUNTRACED | W.WCONTINUED | W.__WNOTHREAD | W.__WCLONE | W.__WALL;
  if (options & ~known) return -E.EINVAL;
  if (upid == i32.MIN_VALUE) return -E.ESRCH;
  if (status || rusage) {
    const need = prepare_write(f, status, 4) | prepare_write(f, rusage, rusage_bytes);
    if (need) return need;
  }
  const w = opts();
  if (upid > 0 && !(options & ~W.WNOHANG) && !f.phase) {
    const found = wait_plain(p, upid);
    if (found >= 0) {
      w.status = found;
      return put_wait4(f, status, found, rusage, rusage_bytes) ? -E.EFAULT : upid;
    }
  }
  const ns = task_active_pid_ns(p);
  w.options = options | W.WEXITED;
  w.id = changetype<pid>(0);
  w.type = W.P_PID;
  if (upid == -1) {
    w.type = W.P_ALL;
  } else if (upid < 0) {
    w.type = W.P_PGID;
    w.id = find_pid_ns(-upid, ns);
  } else if (upid == 0) {
    w.type = W.P_PGID;
    w.id = p.signal.pgrp;
  } else {
    w.id = find_pid_ns(upid, ns);
  }
  const r = do_wait(w, p, f);
  if (r <= 0) return r;
  return put_wait4(f, status, w.status, rusage, rusage_bytes) ? -E.EFAULT : w.nr;
}

/** A bad address is reported after the child is gone, as Linux does. */
function put_wait4(f: frame, at: u64, status: i32, rusage: u64, rusage_bytes: u32): bool {
  if (at && put_user32(f, at, status)) return true;
  return rusage != 0 && put_rusage(f, rusage, rusage_bytes) != 0;
}

/** What kind of news a wait status is. */
function cld_code(status: i32): i32 {
  if (status == 0xffff) return N.CLD_CONTINUED;
  if ((status & 0x7f) == 0x7f) return N.CLD_STOPPED;
  if (!(status & 0x7f)) return N.CLD_EXITED;
  return status & 0x80 ? N.CLD_DUMPED : N.CLD_KILLED;
}

/** siginfo of waitid: 64-bit and compat layouts differ in where si_pid begins. */
function put_waitid_info(p: task_struct, f: frame, addr: u64, w: wait_opts, compat: bool): i32 {
  if (!addr) return 0;
  const at = SCRATCH_USER;
  const fields: usize = compat ? 12 : 16;
  memory.fill(at, 0, 32);
  if (w.nr) {
    store<i32>(at, N.SIGCHLD);
    const code = cld_code(w.status);
    store<i32>(at, code, 8);
    store<i32>(at + fields, w.nr);
    store<i32>(at + fields, from_kuid_munged(p.cred.user_ns, w.uid), 4);
    let status = w.status;
    if (code == N.CLD_EXITED || code == N.CLD_STOPPED) status >>= 8;
    else if (code == N.CLD_CONTINUED) status = N.SIGCONT;
    else status &= 0x7f;
    store<i32>(at + fields, status & 0xff, 8);
  }
  return copy_to_user(f, addr, at, <u32>fields + 12);
}

/** waitid(2): idtype, id, siginfo, options, rusage. */
export function kernel_waitid(
  p: task_struct,
  f: frame,
  which: i32,
  upid: i32,
  info: u64,
  options: i32,
  rusage: u64,
  compat: bool,
): i32 {
  const rusage_bytes: u32 = compat ? 72 : 144;
  const need = prepare_write(f, info, compat ? 24 : 28) | prepare_write(f, rusage, rusage_bytes);
  if (need) return need;
  const r = do_waitid(p, f, which, upid, options);
  if (r < -4096) return r;
  // who finds nothing, for whatever reason, is told so there too: a bad address is the last word
  const w = opts();
  if (r <= 0) w.nr = 0;
  if (put_waitid_info(p, f, info, w, compat)) return -E.EFAULT;
  if (r > 0 && put_rusage(f, rusage, rusage_bytes)) return -E.EFAULT;
  return r < 0 ? r : 0;
}

/** Return: the child's number, 0: nothing yet, or a negative errno. */
function do_waitid(p: task_struct, f: frame, which: i32, upid: i32, options: i32): i32 {
  const known =
    W.WNOHANG |
    W.WNOWAIT |
    W.WEXITED |
    W.WSTOPPED |
    W.WCONTINUED |
    W.__WNOTHREAD |
    W.__WCLONE |
    W.__WALL;
  if (options & ~known) return -E.EINVAL;
  if (!(options & (W.WEXITED | W.WSTOPPED | W.WCONTINUED))) return -E.EINVAL;
  const w = opts();
  const ns = task_active_pid_ns(p);
  w.options = options;
  w.type = which;
  w.id = changetype<pid>(0);
  let nonblock = false;
  if (which == W.P_PID) {
    if (upid <= 0) return -E.EINVAL;
    w.id = find_pid_ns(upid, ns);
  } else if (which == W.P_PGID) {
    if (upid < 0) return -E.EINVAL;
    w.id = upid ? find_pid_ns(upid, ns) : p.signal.pgrp;
  } else if (which == W.P_PIDFD) {
    if (upid < 0) return -E.EINVAL;
    const file = fget(p, upid);
    if (nil(file) || file.kind != FILE_PIDFD) return -E.EBADF;
    w.type = W.P_PID;
    w.id = file.pid;
    nonblock = (file.flags & O_NONBLOCK) != 0;
    if (nonblock) w.options |= W.WNOHANG;
  } else if (which != W.P_ALL) {
    return -E.EINVAL;
  }
  const r = do_wait(w, p, f);
  return r == 0 && nonblock && !(options & W.WNOHANG) ? -E.EAGAIN : r;
}
