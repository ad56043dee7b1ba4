// The export surface: numbers in, numbers out. Everything else is behind it. Return values are
// dispositions (DISP_*), actions (ACTION_*), addresses, counts, or a negative errno.
import {
  adopt_cred,
  adopt_file,
  adopt_group,
  adopt_ns,
  adopt_parent,
  adopt_task,
  adopt_tty,
  find_task,
  living_task,
} from "./process/adopt.ts";
import { audit_ctl, audit_mark_tables } from "./audit/auditsc.ts";
import { start_kernel } from "./boot.ts";
import { do_batch } from "./batch.ts";
import * as K from "./calls.ts";
import { nil } from "./lib/err.ts";
import { begin_group_exit, die_now, fatal_signal } from "./process/exit.ts";
import { file } from "./fs/file.ts";
import { expire_sleep, run_timers, tell_file } from "./fs/hostfile.ts";
import { boot_config, frame, syscall_table, MAX_TABLES } from "./lib/frame.ts";
import { run_itimers } from "./signal/itimer.ts";
import { list_head } from "./lib/list.ts";
import { next_pid_nr } from "./process/pid.ts";
import { adopt_memory } from "./ipc/shm.ts";
import { read_proc_path } from "./proc/proc-text.ts";
import { root, ROOT_ADDRESS, SCRATCH_TAKEN } from "./lib/root.ts";
import { exit_to_user_step, peek_signal } from "./signal/sigdeliver.ts";
import * as G from "./signal/signal.ts";
import { SIGNAL_GROUP_EXIT } from "./process/signal-struct.ts";
import { kfree, kzalloc } from "./lib/slab.ts";
import { zero } from "./lib/zero.ts";
import { do_resume, do_syscall } from "./syscall.ts";
import { is_fault, unprotect } from "./signal/fault.ts";
import { fire_itimer } from "./signal/sys-timer.ts";
import * as T from "./process/task.ts";
import { ENOMEM, ESRCH } from "./uapi/errno.ts";
import { forget_upcall, host_answer } from "./container/upcall.ts";
import { adopt_name } from "./namespace/uts.ts";
import { abort_sleep } from "./process/waitqueue.ts";
import { last_wait_status } from "./process/wait.ts";
import * as F from "./uapi/frame.ts";
import { SIGKILL } from "./uapi/signal.ts";

/** Version of this interface; changes with every incompatible change of exports or layouts. */
export function abi_version(): i32 {
  return 1;
}

/** Makes the machine from the boot_config at `config` (0: defaults). 0 or -ENOMEM. */
export function boot(config: usize): i32 {
  if (!config) {
    memory.fill(0x10000, 0, offsetof<boot_config>());
    config = 0x10000;
  }
  return start_kernel(config);
}

/** Address of struct kernel_root. */
export function root_ptr(): usize {
  return ROOT_ADDRESS;
}

/** End of the used memory, bytes: what a snapshot has to hold. */
export function high_water(): u32 {
  return root().high_water;
}

/** A block for the host's own use (frames, window contents, tables); 0 when exhausted. */
export function host_alloc(size: u32): usize {
  return kzalloc(size);
}

export function host_free(at: usize, size: u32): void {
  kfree(at, size);
}

/**
 * Registers a syscall table: `len` u16 operations at `ops`, which the caller leaves alone from now
 * on; `flags`: TABLE_COMPAT. Return: the table's index or -ENOMEM.
 */
export function register_table(ops: usize, len: u32, flags: u32): i32 {
  const r = root();
  const index = r.nr_tables;
  if (index >= MAX_TABLES) return -ENOMEM;
  const table = changetype<syscall_table>(<usize>(r.tables + (index << 4)));
  table.ops = <u32>ops;
  table.len = len;
  table.flags = flags;
  table.pad = 0;
  r.nr_tables = index + 1;
  audit_mark_tables();
  return <i32>index;
}

/** Runs the call of the frame at `at`. Return: DISP_*. */
export function do_syscall_64(at: usize): i32 {
  if (CONFIG_DEBUG) root().alloc_seen = 0;
  return do_syscall(changetype<frame>(at));
}

/**
 * Runs the frames whose addresses are the `n` u32 at `ring`, in order. After a frame that blocks,
 * exits or needs something, later ones of the same task are DISP_NOT_RUN. Return: frames done.
 */
export function do_syscall_batch(ring: usize, n: u32): u32 {
  return do_batch(ring, n);
}

/**
 * Typed calls: what the trap of that name does for task `tid`, without a frame. Return: the result,
 * a negative errno, or CALL_TRAP where it has to be a trap (it would sleep, or cannot be made now).
 */
export function call_getpid(tid: i32): i32 {
  return K.do_call_getpid(tid);
}

export function call_getppid(tid: i32): i32 {
  return K.do_call_getppid(tid);
}

export function call_fork(tid: i32): i32 {
  return K.do_call_fork(tid);
}

/** clone(2) with flags that need no memory of the caller's; their low byte: the exit signal. */
export function call_clone(tid: i32, flags: u32): i32 {
  return K.do_call_clone(tid, flags);
}

export function call_fork_into_container(tid: i32, fd: i32): i32 {
  return K.do_call_fork_into_container(tid, fd);
}

export function call_exit(tid: i32, code: i32): i32 {
  return K.do_call_exit(tid, code);
}

export function call_exit_group(tid: i32, code: i32): i32 {
  return K.do_call_exit_group(tid, code);
}

/** wait4(2); the status is wait_status(). */
export function call_wait4(tid: i32, pid: i32, options: i32): i32 {
  return K.do_call_wait4(tid, pid, options);
}

/** Wait status of the child that the last call_wait4() has returned. */
export function wait_status(): i32 {
  return last_wait_status();
}

export function call_kill(tid: i32, pid: i32, sig: i32): i32 {
  return K.do_call_kill(tid, pid, sig);
}

export function call_close(tid: i32, fd: i32): i32 {
  return K.do_call_close(tid, fd);
}

/** `name`: address of a NUL-terminated string in a block of host_alloc(), 24 bytes at least. */
export function call_container_create(tid: i32, name: u32, flags: u32): i32 {
  return K.do_call_container_create(tid, name, flags);
}

/** A woken task goes on with its sleeping call. Return: DISP_*. */
export function resume(tid: i32): i32 {
  const p = find_task(tid);
  if (CONFIG_DEBUG) root().alloc_seen = 0;
  return nil(p) ? F.DISP_NOT_RUN : do_resume(p);
}

/** Resumes every task that is woken now, in order of waking. Return: how many. */
export function run_woken(max: i32): i32 {
  const r = root();
  let n = 0;
  while (n < max && !list_head.empty(r.woken)) {
    do_resume(T.from_woken(r.woken.next));
    n += 1;
  }
  return n;
}

/** First woken task's number, 0 when there is none. */
export function first_woken(): i32 {
  const r = root();
  return list_head.empty(r.woken) ? 0 : T.from_woken(r.woken.next).pid;
}

/**
 * One step of the return to user mode of `tid`; `at`: its last frame or 0; `want`: which of the
 * pending signals, 0 for the kernel's choice. The siginfo of the signal taken is at
 * siginfo_ptr(). Return: ACTION_* or -ESRCH.
 */
export function exit_to_user(tid: i32, at: usize, want: i32): i32 {
  const p = find_task(tid);
  if (nil(p)) return -ESRCH;
  return exit_to_user_step(p, changetype<frame>(at), want);
}

/** The signal that exit_to_user() would take next from `tid`, 0 when there is none. */
export function next_signal(tid: i32): i32 {
  const p = find_task(tid);
  return nil(p) ? 0 : peek_signal(p);
}

/** A group's signal that `tid` lets through interrupts this thread: which one it is in truth is the
 * scheduler's to say, and the host has seen it. 0 or -ESRCH. */
export function retarget(tid: i32): i32 {
  const p = find_task(tid);
  if (nil(p)) return -ESRCH;
  G.recalc_sigpending(p);
  if (p.flags & T.TIF_SIGPENDING) G.signal_wake_up(p, false);
  return 0;
}

/** The number that the next child of `tid` gets in its innermost pid namespace, or -errno. */
export function next_pid(tid: i32): i32 {
  const p = find_task(tid);
  return nil(p) ? -ESRCH : next_pid_nr(T.cold(p).nsproxy.pid_ns_for_children);
}

/** Address of the siginfo that the last exit_to_user() took. */
export function siginfo_ptr(): usize {
  return SCRATCH_TAKEN;
}

/** Tasks marked for death die, in order of marking, at most `max`. Return: how many. */
export function run_pending(max: i32): i32 {
  const r = root();
  let n = 0;
  while (n < max && r.kill_head != r.kill_tail) {
    const at = r.kill_queue + ((r.kill_head & (r.kill_capacity - 1)) << 2);
    const p = changetype<T.task_struct>(<usize>load<u32>(at));
    if (nil(p)) {
      r.kill_head += 1;
      continue;
    }
    die_now(p);
    n += 1;
  }
  return n;
}

/** Wait status that `tid` is about to die with, -1 when no end is pending. */
export function fatal_pending(tid: i32): i32 {
  const p = find_task(tid);
  if (nil(p) || !p.kill_slot) return -1;
  if (p.signal.flags & SIGNAL_GROUP_EXIT) return p.signal.group_exit_code;
  // a thread that an exec gets rid of ends with status 0
  if (!nil(p.signal.exec_task)) return 0;
  if (T.rare(p).fatal_signo) return T.rare(p).fatal_signo;
  return p.pending & G.sigmask(SIGKILL) ? SIGKILL : fatal_signal(p);
}

/** Carries out the end that is pending for `tid` alone. Return: 0 or -ESRCH. */
export function die(tid: i32): i32 {
  const p = find_task(tid);
  if (nil(p) || p.flags & T.PF_EXITING) return -ESRCH;
  die_now(p);
  return 0;
}

/** A task that the host knows and the kernel does not. `flags`: 1 thread of parent, 2 traced. */
export function adopt(tid: i32, parent: i32, flags: i32): i32 {
  return adopt_task(tid, parent, (flags & 1) != 0, (flags & 2) != 0);
}

/** An open descriptor that the host knows and the kernel does not. `fd` or a negative errno. */
export function adopt_fd(tid: i32, fd: i32, cloexec: i32): i32 {
  return adopt_file(living_task(tid), fd, cloexec != 0);
}

/** What the host knows of the open file at `at`: see FILE_EVENT_*. 0 or -EINVAL. */
export function file_event(at: usize, what: i32, value: u32): i32 {
  return tell_file(changetype<file>(at), what, value);
}

/** The timeout of the sleeping call of `tid` runs out. 0, -ESRCH, -EINVAL: it sleeps for ever. */
export function expire(tid: i32): i32 {
  const p = find_task(tid);
  return nil(p) ? -ESRCH : expire_sleep(p);
}

/** Gives up a sleeping call: the host knows that it ended otherwise. 0 or -ESRCH. */
export function abort_call(tid: i32): i32 {
  const p = find_task(tid);
  if (nil(p)) return -ESRCH;
  abort_sleep(p);
  forget_upcall(p);
  return 0;
}

/** A parent that the host knows: `tid`'s process becomes a child of `parent`. 0 or -ESRCH. */
export function set_parent(tid: i32, parent: i32): i32 {
  return adopt_parent(find_task(tid), find_task(parent));
}

/** A process group and session that the host knows, named by tasks of theirs. 0 or -ESRCH. */
export function set_group(tid: i32, pgid: i32, sid: i32): i32 {
  return adopt_group(find_task(tid), find_task(pgid), find_task(sid));
}

/** Who `tid` is, as far as the host knows: a field of its cred (see adopt_cred). 0 or errno. */
export function set_cred(tid: i32, field: i32, lo: u32, hi: u32): i32 {
  return adopt_cred(find_task(tid), field, (<u64>lo) | ((<u64>hi) << 32));
}

/** Descriptor `fd` of `tid` is a namespace's file, as the host knows (see adopt_ns). 0 or errno. */
export function set_ns(tid: i32, fd: i32, type: i32, inum: u32): i32 {
  return adopt_ns(living_task(tid), fd, type, inum);
}

/** What the host knows of `tid`'s terminal: TTY_* (see adopt_tty). 0 or errno. */
export function set_tty(tid: i32, fd: i32, what: i32, value: i32): i32 {
  return adopt_tty(living_task(tid), fd, what, value);
}

/** What the host knows of `tid`'s memory: MEMORY_* (see adopt_memory). 0 or errno. */
export function set_memory(tid: i32, what: i32, lo: u32, hi: u32, n: u32, to: u32, up: u32): i32 {
  return adopt_memory(living_task(tid), what, lo | ((<u64>hi) << 32), n, to | ((<u64>up) << 32));
}

/** The name of `tid`'s machine (or domain), as the host knows: `len` bytes at `at`. 0 or errno. */
export function set_name(tid: i32, domain: i32, at: usize, len: u32): i32 {
  return adopt_name(living_task(tid), domain, at, len);
}

/** The end that is pending for `tid`'s group leaves a core: its status says so. */
export function set_core(tid: i32): i32 {
  const p = find_task(tid);
  if (nil(p)) return -ESRCH;
  const signal = p.signal;
  if (T.rare(p).fatal_signo) T.rare(p).fatal_signo |= 0x80;
  if (signal.flags & SIGNAL_GROUP_EXIT && signal.group_exit_code & 0x7f) {
    signal.group_exit_code |= 0x80;
  }
  return 0;
}

/** A traced task's death began with the signal it had taken, before the SIGKILL that came after.
 * 0 or -ESRCH. */
export function prefer_taken(tid: i32): i32 {
  const p = find_task(tid);
  if (nil(p) || !T.rare(p).fatal_signo) return -ESRCH;
  p.signal.flags |= SIGNAL_GROUP_EXIT;
  p.signal.group_exit_code = T.rare(p).fatal_signo;
  return 0;
}

/** The group of `tid` has called exit_group(2) with `status`: a signal that kills comes too late.
 * Its end itself is yet to come. 0 or -ESRCH. */
export function begin_exit(tid: i32, status: i32): i32 {
  const p = find_task(tid);
  if (nil(p) || p.flags & T.PF_EXITING) return -ESRCH;
  begin_group_exit(p, status);
  return 0;
}

/** A fault of its own that nothing can handle ends `tid`: the world saw it happen. 0 or -ESRCH. */
export function fault(tid: i32, signo: i32): i32 {
  const p = find_task(tid);
  if (nil(p) || p.flags & T.PF_EXITING) return -ESRCH;
  T.rare_for_write(p).fatal_signo = signo;
  G.mark_fatal(p);
  return 0;
}

/** The traced flag of a task. */
export function set_traced(tid: i32, on: i32): i32 {
  const p = find_task(tid);
  if (nil(p)) return -ESRCH;
  if (on) p.flags |= T.PF_TRACED;
  else p.flags &= ~T.PF_TRACED;
  return 0;
}

/** Sets the signal mask of a task: an observation of the host. */
export function set_blocked(tid: i32, lo: u32, hi: u32): i32 {
  const p = find_task(tid);
  if (nil(p)) return -ESRCH;
  T.cold(p).blocked = ((<u64>lo) | ((<u64>hi) << 32)) & ~G.KERNEL_ONLY;
  G.recalc_sigpending(p);
  return 0;
}

/** A mask for the time of one call that the kernel does not run (pselect6, ppoll): the old one
 * comes back with the next handler's frame. 0 or -ESRCH. */
export function set_temporary_mask(tid: i32, lo: u32, hi: u32): i32 {
  const p = find_task(tid);
  if (nil(p)) return -ESRCH;
  T.rare_for_write(p).saved_sigmask = T.cold(p).blocked;
  p.flags |= T.PF_RESTORE_SIGMASK;
  return set_blocked(tid, lo, hi);
}

/** A signal of the world's (a timer, a fault, a terminal): to `tid` or, with `group`, its group. */
export function raise(
  tid: i32,
  group: i32,
  signo: i32,
  code: i32,
  pid: i32,
  uid: i32,
  status: i32,
  value_lo: u32,
  value_hi: u32,
): i32 {
  const p = find_task(tid);
  if (nil(p) || signo < 1 || signo > 64) return -ESRCH;
  const info = G.scratch_siginfo();
  zero(changetype<usize>(info), 32);
  info.signo = signo;
  info.code = code;
  info.pid = pid;
  info.uid = uid;
  info.status = status;
  info.value = (<u64>value_lo) | ((<u64>value_hi) << 32);
  if (!group && code > 0 && is_fault(signo)) unprotect(p, signo);
  G.send_signal(p, info, group != 0, true);
  return 0;
}

/** Timer `id` of `tid`'s process (-1, -2, -3: of setitimer(2)) went off. 0, -ESRCH: not armed. */
export function fire_timer(tid: i32, id: i32, times: u32): i32 {
  const p = find_task(tid);
  return nil(p) ? -ESRCH : fire_itimer(p, id, times);
}

/** HOOK_* bits: what the host wants to be asked. */
export function hooks_set(hooks: u32): void {
  root().hooks = hooks;
}

/**
 * Answers upcall `id` with ANSWER_*; `error`: positive errno of ANSWER_ERROR; the value of
 * ANSWER_VALUE in two halves. 0, -ENOENT when nothing is asked by that number, -EINVAL.
 */
export function upcall_answer(id: u32, answer: u32, error: i32, value_lo: u32, value_hi: u32): i32 {
  return host_answer(id, answer, error, <i64>((<u64>value_lo) | ((<u64>value_hi) << 32)));
}

/** Address of a task's hot record, 0 when there is none; the others: cold_ptr(), rare_ptr(). */
export function task_ptr(tid: i32): usize {
  return changetype<usize>(find_task(tid));
}

export function cold_ptr(task: usize): usize {
  return changetype<usize>(T.cold(changetype<T.task_struct>(task)));
}

export function rare_ptr(task: usize): usize {
  return changetype<usize>(T.rare(changetype<T.task_struct>(task)));
}

/** What `tid` reads at the path in /proc of `len` bytes at `path`, into `size` bytes at `to`.
 * Return: its whole length, -ENOENT or -ESRCH. */
export function proc_read(tid: i32, path: usize, len: u32, to: usize, size: u32): i32 {
  const p = find_task(tid);
  return nil(p) ? -ESRCH : read_proc_path(p, path, len, to, size);
}

/** Nanoseconds since 1970; timers that are due by then go off. */
export function clock_set(lo: u32, hi: u32): void {
  const now = (<u64>lo) | ((<u64>hi) << 32);
  root().clock = now;
  run_itimers(now);
  run_timers();
}

/** Debug: the n-th allocation of the next call fails (0: none). */
export function alloc_fail(n: u32): void {
  root().alloc_fail_at = n;
  root().alloc_seen = 0;
}

/** Debug: allocations that the last call made. */
export function alloc_count(): u32 {
  return root().alloc_seen;
}

/** Debug: switches a seeded fault on (0: none). */
export function seed_fault(id: i32): void {
  root().fault = id;
}

/** What the host wants of the audit log: AUDIT_CTL_*. Return: 0 or a negative errno. */
export function audit_control(what: i32, value: u32): i32 {
  return audit_ctl(what, value);
}
