// The calls on a container that is there: waiting, killing, opening by id; and the dispatch of
// everything around containers (seed: future development).
import { audit_container_kill } from "../audit/audit-record.ts";
import {
  container,
  container_dead,
  containers_enabled,
  get_container_file,
  next_in_tree,
} from "./container.ts";
import { sys_container_create } from "./containerfs.ts";
import { do_op_containerfs } from "./containerfs-stat.ts";
import { cred_ns_capable } from "../cred/cred.ts";
import { IS_ERR, nil, PTR_ERR, same } from "../lib/err.ts";
import * as FD from "../fs/file.ts";
import { file } from "../fs/file.ts";
import { frame } from "../lib/frame.ts";
import { pid_namespace, pid_nr_ns, task_active_pid_ns } from "../process/pid.ts";
import { root, SCRATCH_USER } from "../lib/root.ts";
import * as G from "../signal/signal.ts";
import { TASK_INTERRUPTIBLE, task_struct } from "../process/task.ts";
import { sys_container_devices } from "./sys-device.ts";
import { sys_container_supervise } from "./sys-supervise.ts";
import { sys_fork_into_container } from "../process/sys-clone.ts";
import { sys_add_key, sys_container_add_key, sys_request_key } from "../keys/sys-key.ts";
import { sys_keyctl } from "../keys/sys-keyctl.ts";
import { copy_to_user, prepare_write, put_user32 } from "../lib/uaccess.ts";
import { CAP_SYS_ADMIN } from "../uapi/capability.ts";
import { CONTAINER_FD_CLOEXEC } from "../uapi/container.ts";
import * as E from "../uapi/errno.ts";
import { O_RDWR } from "../uapi/fcntl.ts";
import * as O from "../uapi/op.ts";
import { SI_USER } from "../uapi/signal.ts";
import { WNOHANG, WNOWAIT } from "../uapi/wait.ts";
import {
  add_file_waiter,
  remove_waiters,
  signal_pending,
  sleep_on,
  waited_file,
} from "../process/waitqueue.ts";

/**
 * DEVIATION: D-32 - holding the descriptor is not enough: who uses it is its creator, or has
 * CAP_SYS_ADMIN in the container's user namespace. Return: 0 or -EPERM.
 */
export function container_permission(p: task_struct, c: container): i32 {
  if (p.cred.euid == c.opener_euid) return 0;
  return cred_ns_capable(p.cred, c.cred.user_ns, CAP_SYS_ADMIN) ? 0 : -E.EPERM;
}

/** Do the container's processes have numbers in the pid namespace of `p`? (D-36) */
export function container_is_below(p: task_struct, c: container): bool {
  const ns = task_active_pid_ns(p);
  let at = c.ns.pid_ns_for_children;
  while (!nil(at) && !same(at, ns)) at = changetype<pid_namespace>(at.parent);
  return !nil(at);
}

/** The container file that a call begins with or sleeps on. */
function file_of_wait(p: task_struct, f: frame): file {
  return f.phase ? waited_file(p) : FD.fget(p, <i32>f.a0);
}

/** Ends a wait: what the sleep held goes. */
function end_wait(p: task_struct, result: i32): i32 {
  remove_waiters(p);
  return result;
}

/** container_wait(cfd, status, options, rusage): init's end, told to any holder. */
function sys_container_wait(p: task_struct, f: frame, rusage_bytes: u32): i32 {
  const at = file_of_wait(p, f);
  if (nil(at)) return -E.EBADF;
  if (at.kind != FD.FILE_CONTAINER) return -E.EINVAL;
  const c = at.container;
  const options = <i32>f.a2;
  if (!f.phase) {
    const bad = container_permission(p, c);
    if (bad) return bad;
    if (options & ~(WNOHANG | WNOWAIT)) return -E.EINVAL;
    // its number would read as 0, and 0 as nothing yet
    if (!container_is_below(p, c)) return -E.EINVAL;
    const need = prepare_write(f, f.a1, 4) | prepare_write(f, f.r10, rusage_bytes);
    if (need) return need;
  }
  if (!container_dead(c)) {
    if (options & WNOHANG) return 0;
    if (signal_pending(p)) return end_wait(p, -E.ERESTARTSYS);
    if (!f.phase && !add_file_waiter(p, c.waitq, at)) return -E.ENOMEM;
    f.phase = 1;
    return sleep_on(p, f, TASK_INTERRUPTIBLE);
  }
  return end_wait(p, tell_end(p, f, c, rusage_bytes));
}

/** Writes what container_wait says of a dead container. */
function tell_end(p: task_struct, f: frame, c: container, rusage_bytes: u32): i32 {
  // died with the container around it, before it began
  if (nil(c.init_pid)) return -E.ECANCELED;
  if (f.a1 && put_user32(f, f.a1, c.exit_code)) return -E.EFAULT;
  if (f.r10) {
    memory.fill(SCRATCH_USER, 0, rusage_bytes);
    if (copy_to_user(f, f.r10, SCRATCH_USER, rusage_bytes)) return -E.EFAULT;
  }
  return pid_nr_ns(c.init_pid, task_active_pid_ns(p));
}

/** One success is a success; -EPERM only when nobody could be signalled. */
function kill_member(p: task_struct, leader: task_struct, sig: i32, result: i32): i32 {
  const error = G.check_kill_permission(sig, p, leader);
  if (!error && sig) {
    const info = G.scratch_siginfo();
    G.fill_siginfo(info, sig, SI_USER, p, leader);
    G.send_signal(leader, info, true, G.from_ancestor_ns(p, leader));
  }
  return result == 0 ? 0 : error;
}

/** container_kill(cfd, initonly, signal): init, or each process in it and in what is nested. */
function sys_container_kill(p: task_struct, f: frame): i32 {
  const c = FD.container_of_fd(p, <i32>f.a0);
  if (IS_ERR(c)) return PTR_ERR(c);
  const init_only = <i32>f.a1;
  const sig = <i32>f.a2;
  if (<u32>init_only > 1 || <u32>sig > 64) return -E.EINVAL;
  if (init_only) {
    if (nil(c.init)) return -E.ESRCH;
    const error = kill_member(p, c.init.leader, sig, -E.ESRCH);
    if (root().audit) audit_container_kill(p, c, sig, true, error);
    return error;
  }
  let result = -E.ESRCH;
  for (let at = c; !nil(at); at = next_in_tree(at, c)) {
    const members = at.members;
    for (let i: u32 = 0; i < at.members_len; ++i) {
      const entry = load<u32>(members + (i << 2));
      if (entry) result = kill_member(p, changetype<task_struct>(<usize>entry), sig, result);
    }
  }
  if (root().audit) audit_container_kill(p, c, sig, false, result);
  return result;
}

/** The container of number `id` that is nested in the caller's, null when there is none. */
function find_nested(p: task_struct, id: u64): container {
  const top = p.signal.leader.container;
  let at = next_in_tree(top, top);
  while (!nil(at) && at.id != id) at = next_in_tree(at, top);
  return at;
}

/**
 * container_open(id, flags): another file of a container that is nested in the caller's.
 * DEVIATION: D-25 - the seed has no way back to a container whose descriptor is gone.
 */
function sys_container_open(p: task_struct, f: frame): i32 {
  const flags = <u32>f.a1;
  if (flags & ~(<u32>CONTAINER_FD_CLOEXEC)) return -E.EINVAL;
  const c = find_nested(p, f.a0);
  if (nil(c)) return -E.ENOENT;
  const bad = container_permission(p, c);
  if (bad) return bad;
  const fd = FD.get_unused_fd(p, 0);
  if (fd < 0) return fd;
  const at = FD.alloc_file(FD.FILE_CONTAINER, O_RDWR, changetype<usize>(c));
  if (nil(at)) return -E.ENOMEM;
  get_container_file(c);
  FD.fd_install(p, fd, at, (flags & CONTAINER_FD_CLOEXEC) != 0);
  return fd;
}

/** The container calls: ENOSYS in a kernel without containers. */
export function do_op_container_call(op: u32, p: task_struct, f: frame, compat: bool): i32 {
  if (!containers_enabled()) return -E.ENOSYS;
  switch (op) {
    case O.OP_CONTAINER_CREATE:
      return sys_container_create(p, f);
    case O.OP_FORK_INTO_CONTAINER:
      return sys_fork_into_container(p, f);
    case O.OP_CONTAINER_WAIT:
      return sys_container_wait(p, f, compat ? 72 : 144);
    case O.OP_CONTAINER_KILL:
      return sys_container_kill(p, f);
    case O.OP_CONTAINER_OPEN:
      return sys_container_open(p, f);
    case O.OP_CONTAINER_SUPERVISE:
      return sys_container_supervise(p, f);
    case O.OP_CONTAINER_DEVICES:
      return sys_container_devices(p, f);
    case O.OP_CONTAINER_ADD_KEY:
      return sys_container_add_key(p, f);
    default:
      return -E.ENOSYS;
  }
}

/** Operations around containers that have no place in the main table. */
export function do_op_container(op: u32, p: task_struct, f: frame, compat: bool): i32 {
  if (op <= <u32>O.CONTAINER_CALLS_LAST) return do_op_container_call(op, p, f, compat);
  if (op == O.OP_ADD_KEY) return sys_add_key(p, f);
  if (op == O.OP_REQUEST_KEY) return sys_request_key(p, f);
  if (op == O.OP_KEYCTL) return sys_keyctl(p, f);
  return do_op_containerfs(op, p, f, compat);
}
