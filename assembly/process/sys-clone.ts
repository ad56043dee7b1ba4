// fork, vfork, clone, clone3, fork_into_container: argument fetching and the checks of each.
import { seeded_fault } from "../lib/bug.ts";
import { zero } from "../lib/zero.ts";
import { container_of_fd } from "../fs/file.ts";
import { container } from "../container/container.ts";
import { cred_ns_capable } from "../cred/cred.ts";
import { IS_ERR, NULL, nil, PTR_ERR, RET_NEED, same } from "../lib/err.ts";
import { emit } from "../lib/event.ts";
import { kernel_clone, kernel_clone_args } from "./fork.ts";
import { enter_plain, fork_plain } from "./fork-plain.ts";
import { frame } from "../lib/frame.ts";
import { pid_nr_ns, task_active_pid_ns } from "./pid.ts";
import { CLONE_ARGS, SCRATCH_USER } from "../lib/root.ts";
import { container_is_below } from "../container/sys-container.ts";
import { task_struct } from "./task.ts";
import { copy_from_user, prepare_write, put_user32 } from "../lib/uaccess.ts";
import { CAP_SYS_ADMIN } from "../uapi/capability.ts";
import * as E from "../uapi/errno.ts";
import { ASSIST_PID, EVENT_FORK } from "../uapi/frame.ts";
import * as C from "../uapi/sched.ts";
import { SIGCHLD } from "../uapi/signal.ts";

// Seeded faults (debug builds only): the posted patch's defects, by number.
const D_36 = 36;
const D_37 = 37;

/** Cleared arguments with what the recorder knows of the child's number. */
function clone_args(f: frame): kernel_clone_args {
  const args = changetype<kernel_clone_args>(CLONE_ARGS);
  zero(CLONE_ARGS, (<u32>(offsetof<kernel_clone_args>() + 7)) & ~7);
  args.exit_signal = SIGCHLD;
  args.frame = f;
  if (f.assist & ASSIST_PID) args.forced_pid = f.assist_pid;
  return args;
}

/** The addresses that a clone writes must be there before the child is. */
function clone(p: task_struct, f: frame, args: kernel_clone_args): i32 {
  let need: i32 = 0;
  if (args.flags & C.CLONE_PARENT_SETTID) need |= prepare_write(f, args.parent_tid, 4);
  if (args.flags & C.CLONE_PIDFD) need |= prepare_write(f, args.pidfd, 4);
  if (need) return need;
  const both = C.CLONE_PIDFD | C.CLONE_PARENT_SETTID;
  if ((args.flags & both) == both && args.pidfd == args.parent_tid) return -E.EINVAL;
  const first = f.phase == 0;
  const r = kernel_clone(p, f, args);
  if (!first || (r < 0 && f.phase == 0)) return r;
  // the child exists: its number is in the cookie also while a vfork sleeps
  const nr = <i32>f.cookie;
  if (args.flags & C.CLONE_PARENT_SETTID && args.parent_tid) put_user32(f, args.parent_tid, nr);
  return r;
}

export function sys_fork(p: task_struct, f: frame): i32 {
  if (!f.assist) {
    const child = fork_plain(p);
    if (!nil(child)) return fork_result(p, f, child);
  }
  return kernel_clone(p, f, clone_args(f));
}

/** Tells of the child that fork_plain() made, or of its error. */
function fork_result(p: task_struct, f: frame, child: task_struct): i32 {
  if (IS_ERR(child)) return PTR_ERR(child);
  emit(EVENT_FORK, p.pid, child.pid, 0, p.pid, 0);
  const nr = pid_nr_ns(child.thread_pid, task_active_pid_ns(p));
  f.cookie = <u32>nr;
  return nr;
}

export function sys_vfork(p: task_struct, f: frame): i32 {
  const args = clone_args(f);
  args.flags = C.CLONE_VFORK | C.CLONE_VM;
  return kernel_clone(p, f, args);
}

/** clone(2): flags, stack, parent_tid, child_tid, tls; i386 swaps the last two. */
export function sys_clone(p: task_struct, f: frame, parent_tid: u64, child_tid: u64): i32 {
  const args = clone_args(f);
  const flags = <u32>f.a0;
  args.flags = flags & ~(<u32>C.CSIGNAL);
  args.exit_signal = <i32>(flags & C.CSIGNAL);
  args.parent_tid = parent_tid;
  args.child_tid = child_tid;
  args.pidfd = parent_tid;
  return clone(p, f, args);
}

/** What of clone(2) needs the caller's memory, or puts it to sleep. */
const NEEDS_TRAP: u32 =
  C.CLONE_PARENT_SETTID |
  C.CLONE_CHILD_SETTID |
  C.CLONE_CHILD_CLEARTID |
  C.CLONE_PIDFD |
  C.CLONE_VFORK;

/** clone(2) with flags alone; RET_NEED when that is not enough. */
export function clone_by_flags(p: task_struct, f: frame, flags: u32): i32 {
  if (flags & NEEDS_TRAP) return RET_NEED;
  const args = clone_args(f);
  args.flags = flags & ~(<u32>C.CSIGNAL);
  args.exit_signal = <i32>(flags & C.CSIGNAL);
  return kernel_clone(p, f, args);
}

/** struct clone_args of clone3(2), 11 fields of 8 bytes. */
function clone3_field(i: i32): u64 {
  return load<u64>(SCRATCH_USER + ((<usize>i) << 3));
}

/** Ends of a user stack lie below this. */
const TASK_SIZE_MAX: u64 = 0x7ffffffff000;

/** clone3's own checks, in Linux's order. */
function clone3_valid(args: kernel_clone_args, flags: u64): i32 {
  const known: u64 = 0x3ffffff00 | (<u64>C.CLONE_NEWTIME);
  if (flags & ~known) return -E.EINVAL;
  if (args.flags & (C.CLONE_DETACHED | (C.CSIGNAL & ~C.CLONE_NEWTIME))) return -E.EINVAL;
  if (args.flags & C.CLONE_SIGHAND && args.flags_hi & C.CLONE_CLEAR_SIGHAND_HI) return -E.EINVAL;
  if (args.flags & (C.CLONE_THREAD | C.CLONE_PARENT) && args.exit_signal) return -E.EINVAL;
  const stack = clone3_field(5);
  const stack_size = clone3_field(6);
  if ((stack == 0) != (stack_size == 0)) return -E.EINVAL;
  if (stack > TASK_SIZE_MAX || stack_size > TASK_SIZE_MAX - stack) return -E.EINVAL;
  return 0;
}

/** The wanted numbers, innermost namespace first. */
function clone3_set_tid(f: frame, args: kernel_clone_args): i32 {
  const size = clone3_field(9);
  const at = clone3_field(8);
  if (!size) return 0;
  const to = SCRATCH_USER + 256;
  const bad = copy_from_user(f, to, at, (<u32>size) << 2);
  if (bad) return bad;
  args.set_tid = <u32>to;
  args.set_tid_size = <i32>size;
  return 0;
}

/** clone3(2): struct, size. */
export function sys_clone3(p: task_struct, f: frame): i32 {
  const size = <u32>f.a1;
  if (f.a1 > 4096) return -E.E2BIG;
  if (size < <u32>C.CLONE_ARGS_SIZE_VER0) return -E.EINVAL;
  memory.fill(SCRATCH_USER, 0, 128);
  let bad: i32 = 0;
  // what is behind the struct that this kernel knows must be zero
  for (let at = <u32>C.CLONE_ARGS_SIZE_VER2; at < size; ++at) {
    bad = copy_from_user(f, SCRATCH_USER + 512, f.a0 + at, 1);
    if (bad) return bad;
    if (load<u8>(SCRATCH_USER + 512)) return -E.E2BIG;
  }
  bad = copy_from_user(f, SCRATCH_USER, f.a0, min<u32>(size, <u32>C.CLONE_ARGS_SIZE_VER2));
  if (bad) return bad;
  const args = clone_args(f);
  const flags = clone3_field(0);
  args.flags = <u32>flags;
  args.flags_hi = <u32>(flags >> 32);
  args.pidfd = clone3_field(1);
  args.child_tid = clone3_field(2);
  args.parent_tid = clone3_field(3);
  const exit_signal = clone3_field(4);
  if (clone3_field(9) > <u64>C.MAX_PID_NS_LEVEL) return -E.EINVAL;
  if ((clone3_field(8) == 0) != (clone3_field(9) == 0)) return -E.EINVAL;
  if (exit_signal & ~(<u64>C.CSIGNAL) || exit_signal > 64) return -E.EINVAL;
  args.exit_signal = <i32>exit_signal;
  if (args.flags_hi & C.CLONE_INTO_CGROUP_HI) {
    if (clone3_field(10) > <u64>i32.MAX_VALUE || size < <u32>C.CLONE_ARGS_SIZE_VER2)
      return -E.EINVAL;
    args.cgroup = <i32>clone3_field(10);
  }
  bad = clone3_set_tid(f, args);
  if (bad) return bad;
  bad = clone3_valid(args, flags);
  if (bad) return bad;
  args.newtime = args.flags & C.CLONE_NEWTIME;
  args.flags &= ~(<u32>C.CSIGNAL);
  return clone(p, f, args);
}

/** fork_into_container(cfd): a plain fork whose child is the container's. */
export function sys_fork_into_container(p: task_struct, f: frame): i32 {
  const c = container_of_fd(p, <i32>f.a0);
  if (IS_ERR(c)) return PTR_ERR(c);
  if (f.phase == 0) {
    const bad = may_enter(p, c);
    if (bad) return bad;
    const child = f.assist ? NULL<task_struct>() : enter_plain(p, c);
    if (!nil(child)) return fork_result(p, f, child);
  }
  const args = clone_args(f);
  args.dest = c;
  return kernel_clone(p, f, args);
}

/**
 * DEVIATION: D-36, D-37 - the child would have the container's cred and its number in the
 * container's namespace: the caller needs the one or an equal one, and must be able to see the
 * other, else fork would return 0 to the parent.
 */
function may_enter(p: task_struct, c: container): i32 {
  if (nil(c.ns.mnt_ns)) return -E.ENOENT;
  const mine = p.cred;
  const theirs = c.cred;
  if (!cred_ns_capable(mine, theirs.user_ns, CAP_SYS_ADMIN) && !seeded_fault(D_37)) {
    const subset = (theirs.cap_permitted & ~mine.cap_permitted) == 0;
    const same_ns = same(mine.user_ns, theirs.user_ns);
    if (mine.euid != c.opener_euid || !subset || !same_ns) return -E.EPERM;
  }
  return container_is_below(p, c) || seeded_fault(D_36) ? 0 : -E.EINVAL;
}
