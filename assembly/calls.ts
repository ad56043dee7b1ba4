// Calls by typed exports: no frame, no table, numbers alone, for hosts whose tasks make the same
// few calls over and over. They do what the traps do. A call that would sleep, that the task cannot
// make now, or that somebody else has a word in has to be a trap: CALL_TRAP says so, and nothing
// has changed.
import { find_task } from "./process/adopt.ts";
import { containers_enabled } from "./container/container.ts";
import { sys_container_create } from "./container/containerfs.ts";
import { NULL, nil } from "./lib/err.ts";
import { event_ring_full } from "./lib/event.ts";
import { do_exit, do_group_exit } from "./process/exit.ts";
import { exit_plain } from "./process/exit-plain.ts";
import { close_fd } from "./fs/file.ts";
import { frame, user_window } from "./lib/frame.ts";
import { CALL_FRAME, CALL_WINDOW, root } from "./lib/root.ts";
import { recalc_sigpending } from "./signal/signal.ts";
import * as X from "./process/sys-clone.ts";
import { sys_getpid, sys_getppid } from "./process/sys-process.ts";
import { sys_kill } from "./signal/sys-signal.ts";
import { is_supervised } from "./container/sys-supervise.ts";
import { runs } from "./syscall.ts";
import { task_struct, TIF_SIGPENDING } from "./process/task.ts";
import { CONTAINER_NAME_LEN } from "./uapi/container.ts";
import { ENOSYS, EPERM } from "./uapi/errno.ts";
import { CALL_TRAP, WINDOW_READ } from "./uapi/frame.ts";
import { MAX_ERRNO } from "./uapi/limits.ts";
import { WNOHANG } from "./uapi/wait.ts";
import { kernel_wait4 } from "./process/wait.ts";

/** The frame of a call that needs one: all zero but for its arguments. */
function call_frame(): frame {
  return changetype<frame>(CALL_FRAME);
}

/** The task that calls, null when it cannot now, or when calls are logged: by number and frame. */
function caller(tid: i32): task_struct {
  const p = find_task(tid);
  if (nil(p) || !runs(p) || event_ring_full() || root().audit) return NULL<task_struct>();
  if (CONFIG_DEBUG) root().alloc_seen = 0;
  if (p.flags & TIF_SIGPENDING) recalc_sigpending(p);
  return p;
}

/** A refusal that a supervisor may lift is told by the trap. */
function settled(r: i32): i32 {
  if (r == -EPERM && is_supervised()) return CALL_TRAP;
  return r < -MAX_ERRNO ? CALL_TRAP : r;
}

export function do_call_getpid(tid: i32): i32 {
  const p = caller(tid);
  return nil(p) ? CALL_TRAP : sys_getpid(p);
}

export function do_call_getppid(tid: i32): i32 {
  const p = caller(tid);
  return nil(p) ? CALL_TRAP : sys_getppid(p);
}

export function do_call_fork(tid: i32): i32 {
  const p = caller(tid);
  return nil(p) ? CALL_TRAP : settled(X.sys_fork(p, call_frame()));
}

export function do_call_clone(tid: i32, flags: u32): i32 {
  const p = caller(tid);
  return nil(p) ? CALL_TRAP : settled(X.clone_by_flags(p, call_frame(), flags));
}

export function do_call_fork_into_container(tid: i32, fd: i32): i32 {
  const p = caller(tid);
  if (nil(p)) return CALL_TRAP;
  if (!containers_enabled()) return -ENOSYS;
  const f = call_frame();
  f.set_args(fd, 0, 0);
  return settled(X.sys_fork_into_container(p, f));
}

export function do_call_exit(tid: i32, code: i32): i32 {
  const p = caller(tid);
  if (nil(p)) return CALL_TRAP;
  if (!exit_plain(p, (code & 0xff) << 8)) do_exit(p, (code & 0xff) << 8);
  return 0;
}

export function do_call_exit_group(tid: i32, code: i32): i32 {
  const p = caller(tid);
  if (nil(p)) return CALL_TRAP;
  if (!exit_plain(p, (code & 0xff) << 8)) do_group_exit(p, (code & 0xff) << 8);
  return 0;
}

export function do_call_wait4(tid: i32, pid: i32, options: i32): i32 {
  const p = caller(tid);
  if (nil(p)) return CALL_TRAP;
  const r = kernel_wait4(p, call_frame(), pid, 0, options | WNOHANG, 0, 0);
  return r || options & WNOHANG ? r : CALL_TRAP;
}

export function do_call_kill(tid: i32, pid: i32, sig: i32): i32 {
  const p = caller(tid);
  return nil(p) ? CALL_TRAP : settled(sys_kill(p, pid, sig));
}

export function do_call_close(tid: i32, fd: i32): i32 {
  const p = caller(tid);
  return nil(p) ? CALL_TRAP : settled(close_fd(p, fd));
}

/** `name`: address of a string in the kernel's memory. */
export function do_call_container_create(tid: i32, name: u32, flags: u32): i32 {
  const p = caller(tid);
  // a host that wants to be asked is asked by the trap
  if (nil(p) || root().hooks) return CALL_TRAP;
  if (!containers_enabled()) return -ENOSYS;
  const f = call_frame();
  const w = changetype<user_window>(CALL_WINDOW);
  f.set_args(name, flags, 0);
  f.windows = CALL_WINDOW;
  f.nr_windows = 1;
  w.addr = name;
  w.place = name;
  w.len = CONTAINER_NAME_LEN;
  w.mode = WINDOW_READ;
  const r = sys_container_create(p, f);
  f.nr_windows = 0;
  return settled(r);
}
