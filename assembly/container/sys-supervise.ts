// Supervision: calls in a container that are refused with EPERM sleep until its supervisor, or the
// host, has said what comes of them; and the supervisor's side of it.
import { container_dead, in_tree, is_init_container } from "./container.ts";
import { IS_ERR, nil, PTR_ERR, RET_NEED, RET_RAW } from "../lib/err.ts";
import * as FD from "../fs/file.ts";
import { file } from "../fs/file.ts";
import { frame } from "../lib/frame.ts";
import { pid_nr_ns, task_active_pid_ns } from "../process/pid.ts";
import { root, SCRATCH_USER } from "../lib/root.ts";
import { sigmask } from "../signal/signal.ts";
import { alloc_supervisor, next_request, supervisor_of } from "./supervisor.ts";
import { container_permission } from "./sys-container.ts";
import { TASK_INTERRUPTIBLE, task_struct } from "../process/task.ts";
import { access_ok, copy_from_user, copy_to_user } from "../lib/uaccess.ts";
import { CONTAINER_FD_CLOEXEC } from "../uapi/container.ts";
import * as E from "../uapi/errno.ts";
import { O_NONBLOCK, O_RDWR } from "../uapi/fcntl.ts";
import { WINDOW_WRITE } from "../uapi/frame.ts";
import { SIGKILL } from "../uapi/signal.ts";
import * as V from "../uapi/supervise.ts";
import * as U from "./upcall.ts";
import { upcall } from "./upcall.ts";
import { add_file_waiter, remove_waiters, signal_pending } from "../process/waitqueue.ts";
import { sleep_on } from "../process/waitqueue.ts";
import { from_kuid_munged } from "../namespace/user-namespace.ts";

/** Is anybody to be asked about refusals? What do_syscall tests before everything else. */
export function is_supervised(): bool {
  const r = root();
  return r.nr_supervisors != 0 || (r.hooks & V.HOOK_SUPERVISE) != 0;
}

/** Does `p` sleep because its call was refused? */
export function is_refused(p: task_struct): bool {
  const u = U.upcall_of(p);
  return !nil(u) && u.kind == V.UPCALL_REFUSED;
}

/** Is `u` about this very call? */
function same_call(u: upcall, f: frame): bool {
  if (u.kind != V.UPCALL_REFUSED || u.op != f.op) return false;
  return u.a0 == f.a0 && u.a1 == f.a1 && u.a2 == f.a2 && u.a3 == f.r10 && u.a4 == f.r8;
}

/**
 * The call of `f` is refused: who watches over its caller is asked. Return: RET_UPCALL,
 * RET_BLOCKED; -EPERM when there is nobody, or no memory to ask with; 0 when the call is to be made
 * once more under override_cred.
 */
export function ask_supervisor(p: task_struct, f: frame, compat: bool): i32 {
  const c = p.signal.leader.container;
  const granted = U.upcall_of(p);
  if (!nil(granted)) {
    // asked for guest memory in the middle of a granted call: the grant is still good
    if (granted.answer == V.ANSWER_GRANT && same_call(granted, f)) return begin_override(granted);
    U.forget_upcall(p);
  }
  if (nil(c)) return -E.EPERM;
  const s = supervisor_of(c);
  const host = (root().hooks & V.HOOK_SUPERVISE) != 0 && !is_init_container(c);
  if (nil(s) && !host) return -E.EPERM;
  const u = U.ask(p, V.UPCALL_REFUSED, s);
  if (nil(u)) return -E.EPERM;
  // DEVIATION: seccomp's notifications race with the caller's memory; these are copies
  u.op = f.op;
  u.nr = <u32>f.orig_rax;
  u.flags = compat ? V.SUPERVISOR_COMPAT : 0;
  u.a0 = f.a0;
  u.a1 = f.a1;
  u.a2 = f.a2;
  u.a3 = f.r10;
  u.a4 = f.r8;
  u.a5 = f.r9;
  return U.sleep_on_upcall(p, f, u);
}

function begin_override(u: upcall): i32 {
  root().override_cred = <u32>changetype<usize>(u.cred);
  return 0;
}

/** After a granted call: `result` as it came. The grant goes unless the call has still to begin. */
export function end_override(p: task_struct, result: i32): void {
  root().override_cred = 0;
  if (result != RET_NEED) U.forget_upcall(p);
}

/**
 * A refused call goes on. Return: its result; RET_UPCALL, RET_BLOCKED while there is no answer; 0
 * with override_cred set when the call is to be made once more.
 */
export function supervised_result(p: task_struct, f: frame, u: upcall): i32 {
  if (u.state != U.UPCALL_ANSWERED) {
    if (!(p.pending & sigmask(SIGKILL))) return U.sleep_on_upcall(p, f, u);
    U.forget_upcall(p);
    return -E.EPERM;
  }
  const answer = u.answer;
  if (answer == V.ANSWER_GRANT) return begin_override(u);
  const error = u.error;
  const value = u.value;
  U.forget_upcall(p);
  if (answer == V.ANSWER_ERROR) return -error;
  if (answer == V.ANSWER_CONTINUE) return -E.EPERM;
  f.rax = <u64>value;
  return RET_RAW;
}

/** container_supervise(cfd, flags): a descriptor that refused calls are read from. */
export function sys_container_supervise(p: task_struct, f: frame): i32 {
  const c = FD.container_of_fd(p, <i32>f.a0);
  if (IS_ERR(c)) return PTR_ERR(c);
  const bad = container_permission(p, c);
  if (bad) return bad;
  const flags = <u32>f.a1;
  if (flags & ~(<u32>CONTAINER_FD_CLOEXEC)) return -E.EINVAL;
  // nobody is its own supervisor: it would wait for itself
  if (in_tree(p.signal.leader.container, c)) return -E.EINVAL;
  if (!nil(c.supervisor)) return -E.EBUSY;
  const fd = FD.get_unused_fd(p, 0);
  if (fd < 0) return fd;
  const at = FD.alloc_file(FD.FILE_SUPERVISOR, O_RDWR, 0);
  if (nil(at)) return -E.ENOMEM;
  const s = alloc_supervisor(c);
  if (nil(s)) {
    FD.free_file(at);
    return -E.ENOMEM;
  }
  at.private_data = <u32>changetype<usize>(s);
  FD.fd_install(p, fd, at, (flags & CONTAINER_FD_CLOEXEC) != 0);
  return fd;
}

/** read(2) of a supervisor's descriptor: the oldest question that was not read yet. */
export function supervisor_read(p: task_struct, f: frame, at: file): i32 {
  const s = at.supervisor;
  const size: u32 = V.SUPERVISOR_REQUEST_BYTES;
  if (f.a2 < <u64>size) return -E.EINVAL;
  const ok = access_ok(f, f.a1, size, WINDOW_WRITE);
  if (ok) return ok;
  const u = next_request(s);
  if (!nil(u)) {
    const result = put_request(p, f, u);
    if (f.phase) remove_waiters(p);
    return result;
  }
  if (container_dead(s.container) || at.flags & O_NONBLOCK || signal_pending(p)) {
    const dead = container_dead(s.container);
    const nonblock = (at.flags & O_NONBLOCK) != 0;
    if (f.phase) remove_waiters(p);
    return dead ? 0 : nonblock ? -E.EAGAIN : -E.ERESTARTSYS;
  }
  if (!f.phase && !add_file_waiter(p, s.waitq, at)) return -E.ENOMEM;
  f.phase = 1;
  return sleep_on(p, f, TASK_INTERRUPTIBLE);
}

function put_request(p: task_struct, f: frame, u: upcall): i32 {
  const to = SCRATCH_USER;
  store<u64>(to, <u64>u.id);
  store<i32>(to, pid_nr_ns(u.task.thread_pid, task_active_pid_ns(p)), 8);
  store<u32>(to, u.nr, 12);
  memory.copy(to + 16, changetype<usize>(u) + offsetof<upcall>("a0"), 48);
  store<u64>(to, u.task.signal.leader.container.id, 64);
  store<u32>(to, u.flags, 72);
  store<i32>(to, from_kuid_munged(p.cred.user_ns, u.task.cred.uid), 76);
  u.state = U.UPCALL_RECEIVED;
  copy_to_user(f, f.a1, to, V.SUPERVISOR_REQUEST_BYTES);
  return V.SUPERVISOR_REQUEST_BYTES;
}

/** write(2) to it: the answer to one question. */
export function supervisor_write(p: task_struct, f: frame, at: file): i32 {
  if (f.a2 != <u64>V.SUPERVISOR_REPLY_BYTES) return -E.EINVAL;
  const from = SCRATCH_USER;
  const bad = copy_from_user(f, from, f.a1, V.SUPERVISOR_REPLY_BYTES);
  if (bad) return bad;
  const id = load<u64>(from);
  const u = U.find_upcall(at.supervisor.requests, <u32>id);
  if (nil(u) || id >> 32) return -E.ENOENT;
  const error = load<i32>(from, 16);
  const r = U.answer_upcall(u, load<u32>(from, 20), error, load<i64>(from, 8), p.cred);
  return r ? r : V.SUPERVISOR_REPLY_BYTES;
}
