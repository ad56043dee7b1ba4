// Sending signals (kernel/signal.c): who may, what is ignored, whom it wakes, what is fatal.
import { audit_signal_info } from "../audit/audit-record.ts";
import { seeded_fault } from "../lib/bug.ts";
import { zero } from "../lib/zero.ts";
import { cred_ns_capable } from "../cred/cred.ts";
import { nil, same } from "../lib/err.ts";
import { list_head } from "../lib/list.ts";
import { pid_nr_ns, task_active_pid_ns } from "../process/pid.ts";
import { root, SCRATCH_SIGINFO } from "../lib/root.ts";
import {
  flush_sigqueue_mask,
  queue_siginfo,
  siginfo,
  SIGINFO_BYTES,
  sigqueue,
} from "./sigqueue.ts";
import {
  action_of,
  SIGNAL_CLD_CONTINUED,
  SIGNAL_CLD_STOPPED,
  SIGNAL_GROUP_EXIT,
  SIGNAL_STOP_CONTINUED,
  SIGNAL_STOP_STOPPED,
  signal_struct,
  SIGNAL_UNKILLABLE,
} from "../process/signal-struct.ts";
import { kfree, kmalloc } from "../lib/slab.ts";
import {
  cold,
  from_thread_node,
  JOBCTL_STOP,
  JOBCTL_STOP_DEQUEUED,
  JOBCTL_STOP_PENDING,
  PF_EXITING,
  PF_THREADED,
  PF_TRACED,
  TASK_INTERRUPTIBLE,
  TASK_KILLABLE,
  TASK_RUNNING,
  TASK_STOPPED,
  task_struct,
  TIF_SIGPENDING,
} from "../process/task.ts";
import { CAP_KILL } from "../uapi/capability.ts";
import { EAGAIN, EPERM } from "../uapi/errno.ts";
import {
  POLL_HUP,
  SI_SIGIO,
  SI_USER,
  SIG_DFL,
  SIG_IGN,
  SIGCHLD,
  SIGCONT,
  SIGIO,
  SIGKILL,
  SIGRTMIN,
  SIGSTOP,
  SIGTSTP,
  SIGTTIN,
  SIGTTOU,
  SIGURG,
  SIGWINCH,
} from "../uapi/signal.ts";
import { from_kuid_munged, make_kuid } from "../namespace/user-namespace.ts";
import { signalfd_notify, wake_up_process } from "../process/waitqueue.ts";

// Seeded fault (debug builds only): a nested pid namespace's init survives its container.
const D_10 = 10;

/** Bit of a signal in a 64-bit set. */
export function sigmask(sig: i32): u64 {
  return (<u64>1) << (sig - 1);
}

const KERNEL_STOP: u64 =
  ((<u64>1) << (SIGSTOP - 1)) |
  ((<u64>1) << (SIGTSTP - 1)) |
  ((<u64>1) << (SIGTTIN - 1)) |
  ((<u64>1) << (SIGTTOU - 1));
const KERNEL_IGNORE: u64 =
  ((<u64>1) << (SIGCONT - 1)) |
  ((<u64>1) << (SIGCHLD - 1)) |
  ((<u64>1) << (SIGWINCH - 1)) |
  ((<u64>1) << (SIGURG - 1));
/** QUIT ILL TRAP ABRT BUS FPE SEGV XCPU XFSZ SYS. */
const KERNEL_COREDUMP: u64 = 0x418004fc;
/** ILL TRAP BUS FPE SEGV CHLD IO SYS: positive codes of theirs have meanings of their own. */
const OWN_CODES: u64 = 0x500104d8;
/** SIGKILL and SIGSTOP: never blocked, caught or ignored. */
export const KERNEL_ONLY: u64 = ((<u64>1) << (SIGKILL - 1)) | ((<u64>1) << (SIGSTOP - 1));

export function sig_kernel_stop(sig: i32): bool {
  return sig < SIGRTMIN && (KERNEL_STOP & sigmask(sig)) != 0;
}
export function sig_kernel_ignore(sig: i32): bool {
  return sig < SIGRTMIN && (KERNEL_IGNORE & sigmask(sig)) != 0;
}
export function sig_kernel_coredump(sig: i32): bool {
  return sig < SIGRTMIN && (KERNEL_COREDUMP & sigmask(sig)) != 0;
}

export function has_own_codes(sig: i32): bool {
  return sig < SIGRTMIN && (OWN_CODES & sigmask(sig)) != 0;
}
/** Does `info` tell of a file: its si_band stands in `pid`, its si_fd in `value`? */
export function tells_file(info: siginfo): bool {
  const code = info.code;
  if (code == SI_SIGIO) return true;
  const own = info.signo != SIGIO && has_own_codes(info.signo);
  return code > 0 && code <= POLL_HUP && !own;
}

export function sig_handler(p: task_struct, sig: i32): u64 {
  return action_of(cold(p).sighand, sig).handler;
}

/** Would `sig` do nothing at all if it were sent to `p`? */
export function sig_ignored(p: task_struct, sig: i32, force: bool): bool {
  const k = cold(p);
  const bit = sigmask(sig);
  // blocked signals are kept: their action may change before they are let through
  if (k.blocked & bit) return false;
  // a tracer wants to see even what is ignored
  if (p.flags & PF_TRACED && sig != SIGKILL) return false;
  return sig_task_ignored(p, sig, force);
}

function sig_task_ignored(p: task_struct, sig: i32, force: bool): bool {
  const handler = sig_handler(p, sig);
  if (p.signal.flags & SIGNAL_UNKILLABLE && handler == SIG_DFL) {
    if (!(force && (sigmask(sig) & KERNEL_ONLY) != 0)) return true;
  }
  return handler == SIG_IGN || (handler == SIG_DFL && sig_kernel_ignore(sig));
}

/** Recomputes whether `p` has something to take before it returns to user mode. */
export function recalc_sigpending(p: task_struct): void {
  const k = cold(p);
  const ready = (p.pending | p.signal.shared_pending) & ~k.blocked;
  if (ready != 0 || p.flags & (JOBCTL_STOP_PENDING | JOBCTL_STOP_DEQUEUED))
    p.flags |= TIF_SIGPENDING;
  else p.flags &= ~TIF_SIGPENDING;
}

/** Makes `p` look at its signals: ends its sleep if that may be ended. */
export function signal_wake_up(p: task_struct, fatal: bool): void {
  p.flags |= TIF_SIGPENDING;
  const state = p.state;
  if (state == TASK_INTERRUPTIBLE || (fatal && state == TASK_KILLABLE)) wake_up_process(p);
  else if (fatal && state == TASK_STOPPED) p.state = TASK_RUNNING;
}

/** Room in the kill queue for every thread there is: marking must not fail. fork calls it. */
export function reserve_kill_queue(): bool {
  const r = root();
  if (<u32>r.nr_threads < r.kill_capacity) return true;
  const capacity = r.kill_capacity ? r.kill_capacity << 1 : 64;
  const queue = kmalloc(capacity << 2);
  if (!queue) return false;
  // the ring is copied to its new positions: a slot is a position modulo the capacity
  for (let at = r.kill_head; at != r.kill_tail; ++at) {
    const entry = load<u32>(r.kill_queue + ((at & (r.kill_capacity - 1)) << 2));
    store<u32>(queue + ((at & (capacity - 1)) << 2), entry);
  }
  kfree(r.kill_queue, r.kill_capacity << 2);
  r.kill_queue = <u32>queue;
  r.kill_capacity = capacity;
  return true;
}

/** Marks `p` for death: it stands in the queue that run_pending() works off. */
export function mark_fatal(p: task_struct): void {
  if (p.kill_slot || p.flags & PF_EXITING) return;
  const r = root();
  const at = r.kill_tail;
  // tombstones of tasks that died by themselves may fill the ring: close the gaps
  if (at - r.kill_head >= r.kill_capacity) {
    compact_kill_queue();
    mark_fatal(p);
    return;
  }
  store<u32>(r.kill_queue + ((at & (r.kill_capacity - 1)) << 2), <u32>changetype<usize>(p));
  p.kill_slot = at + 1;
  r.kill_tail = at + 1;
}

function compact_kill_queue(): void {
  const r = root();
  const mask = r.kill_capacity - 1;
  let to = r.kill_head;
  for (let from = r.kill_head; from != r.kill_tail; ++from) {
    const entry = load<u32>(r.kill_queue + ((from & mask) << 2));
    if (!entry) continue;
    store<u32>(r.kill_queue + ((to & mask) << 2), entry);
    changetype<task_struct>(<usize>entry).kill_slot = to + 1;
    to += 1;
  }
  r.kill_tail = to;
}

/** Takes `p` out of the kill queue: it dies now. */
export function unmark_fatal(p: task_struct): void {
  if (!p.kill_slot) return;
  const r = root();
  const at = p.kill_slot - 1;
  store<u32>(r.kill_queue + ((at & (r.kill_capacity - 1)) << 2), 0);
  p.kill_slot = 0;
  while (
    r.kill_head != r.kill_tail &&
    !load<u32>(r.kill_queue + ((r.kill_head & (r.kill_capacity - 1)) << 2))
  ) {
    r.kill_head += 1;
  }
}

/** The whole group ends with `code` (wait status form): every other thread is marked. */
export function start_group_exit(signal: signal_struct, code: i32): void {
  signal.flags =
    (signal.flags & ~(SIGNAL_STOP_STOPPED | SIGNAL_STOP_CONTINUED)) | SIGNAL_GROUP_EXIT;
  signal.group_exit_code = code;
  signal.group_stop_count = 0;
  const head = signal.threads;
  for (let at = head.next; at !== head; at = at.next) {
    const t = from_thread_node(at);
    t.flags &= ~JOBCTL_STOP;
    if (t.flags & PF_EXITING) continue;
    t.pending |= sigmask(SIGKILL);
    mark_fatal(t);
    signal_wake_up(t, true);
  }
}

/**
 * SIGKILL from the kernel to a whole group, the container's kill loop: no siginfo, no test of
 * permission, nothing protects from it.
 */
export function send_sigkill_group(leader: task_struct): void {
  if (seeded_fault(D_10) && leader.signal.flags & SIGNAL_UNKILLABLE) return;
  if (leader.flags & (PF_THREADED | PF_EXITING)) {
    if (!(leader.signal.flags & SIGNAL_GROUP_EXIT)) start_group_exit(leader.signal, SIGKILL);
    return;
  }
  // one thread: the hot record is all there is to touch
  leader.pending |= sigmask(SIGKILL);
  mark_fatal(leader);
  signal_wake_up(leader, true);
}

/** Stops and continues cancel each other before anything is queued. Return: worth sending? */
function prepare_signal(sig: i32, p: task_struct, force: bool): bool {
  const signal = p.signal;
  if (signal.flags & SIGNAL_GROUP_EXIT) return sig == SIGKILL;
  if (sig_kernel_stop(sig)) {
    discard_pending(signal, sigmask(SIGCONT));
  } else if (sig == SIGCONT) {
    discard_pending(signal, KERNEL_STOP);
    continue_group(signal);
  }
  return !sig_ignored(p, sig, force);
}

function discard_pending(signal: signal_struct, mask: u64): void {
  if (signal.shared_pending & mask) {
    signal.shared_pending &= ~mask;
    flush_sigqueue_mask(signal.queue, mask);
  }
  const head = signal.threads;
  for (let at = head.next; at !== head; at = at.next) {
    const t = from_thread_node(at);
    if (!(t.pending & mask)) continue;
    t.pending &= ~mask;
    flush_sigqueue_mask(cold(t).queue, mask);
  }
}

/** SIGCONT: every thread goes on, whatever becomes of the signal itself. */
function continue_group(signal: signal_struct): void {
  const head = signal.threads;
  for (let at = head.next; at !== head; at = at.next) {
    const t = from_thread_node(at);
    t.flags &= ~JOBCTL_STOP;
    if (t.state == TASK_STOPPED) {
      t.state = TASK_RUNNING;
      t.flags |= TIF_SIGPENDING;
    }
  }
  let why: u32 = 0;
  if (signal.flags & SIGNAL_STOP_STOPPED) why = SIGNAL_CLD_CONTINUED;
  else if (signal.group_stop_count) why = SIGNAL_CLD_STOPPED;
  if (why) {
    signal.flags &= ~(SIGNAL_STOP_STOPPED | SIGNAL_CLD_STOPPED | SIGNAL_CLD_CONTINUED);
    signal.flags |= why | SIGNAL_STOP_CONTINUED;
    signal.group_stop_count = 0;
    signal.group_exit_code = 0;
    const leader = signal.leader;
    if (!nil(leader)) leader.flags |= TIF_SIGPENDING;
  }
}

/** May `p` be the one that takes `sig`? */
function wants_signal(sig: i32, p: task_struct): bool {
  if (cold(p).blocked & sigmask(sig)) return false;
  if (p.flags & PF_EXITING) return false;
  if (sig == SIGKILL) return true;
  return p.state != TASK_STOPPED && !(p.flags & TIF_SIGPENDING);
}

/** Chooses the thread that will take the signal, and ends the group at once if it is fatal. */
function complete_signal(sig: i32, p: task_struct, group: bool): void {
  const signal = p.signal;
  let t = p;
  if (!wants_signal(sig, p)) {
    if (!group || signal.nr_threads <= 1) return;
    let found = false;
    const head = signal.threads;
    for (let at = head.next; at !== head; at = at.next) {
      t = from_thread_node(at);
      if (wants_signal(sig, t)) {
        found = true;
        break;
      }
    }
    if (!found) return;
  }
  const fatal = sig_fatal(t, sig);
  if (fatal && !(signal.flags & SIGNAL_GROUP_EXIT) && !(cold(t).blocked & sigmask(sig))) {
    if (sig == SIGKILL || !(t.flags & PF_TRACED)) {
      if (!sig_kernel_coredump(sig)) {
        start_group_exit(signal, sig);
        return;
      }
      mark_fatal(t);
    }
  }
  signal_wake_up(t, sig == SIGKILL);
}

/** Does the default action of `sig` end the process? */
function sig_fatal(p: task_struct, sig: i32): bool {
  if (sig_kernel_ignore(sig) || sig_kernel_stop(sig)) return false;
  if (p.signal.flags & SIGNAL_UNKILLABLE && sig != SIGKILL) return false;
  return sig_handler(p, sig) == SIG_DFL;
}

/**
 * Sends `info.signo` to thread `p` or, with `group`, to its group. `force`: from the kernel or
 * from an ancestor pid namespace. Return: 0, or -EAGAIN for a real-time signal by another call than
 * kill(2) that cannot be queued.
 */
export function send_signal(p: task_struct, info: siginfo, group: bool, force: bool): i32 {
  const sig = info.signo;
  if (!prepare_signal(sig, p, force)) return 0;
  const signal = p.signal;
  const bit = sigmask(sig);
  const pending = group ? signal.shared_pending : p.pending;
  // a standard signal that is pending already is not queued again
  const standard = sig < SIGRTMIN;
  if (standard && pending & bit) return 0;
  if (sig != SIGKILL) {
    const queue = group ? signal.queue : cold(p).queue;
    const queued = queue_siginfo(p, queue, info, standard && info.code >= 0);
    // a standard signal without its siginfo is still sent
    if (!queued && !standard && info.code != SI_USER) return -EAGAIN;
  }
  if (group) signal.shared_pending = pending | bit;
  else p.pending = pending | bit;
  if (!list_head.empty(root().sigwait)) signalfd_notify(signal);
  complete_signal(sig, p, group);
  return 0;
}

/** Sends the signal of a timer, which is queued even where one of its number is. */
export function send_sigqueue(p: task_struct, q: sigqueue, group: bool): void {
  const sig = q.signo;
  if (!prepare_signal(sig, p, false)) return;
  list_head.add_tail(q.link, group ? p.signal.queue : cold(p).queue);
  if (group) p.signal.shared_pending |= sigmask(sig);
  else p.pending |= sigmask(sig);
  complete_signal(sig, p, group);
}

/** A siginfo from task `from` to task `to`: its pid and uid as the receiver sees them. */
export function fill_siginfo(
  info: siginfo,
  sig: i32,
  code: i32,
  from: task_struct,
  to: task_struct,
): void {
  zero(changetype<usize>(info), SIGINFO_BYTES);
  info.signo = sig;
  info.code = code;
  info.pid = pid_nr_ns(from.signal.tgid_pid, task_active_pid_ns(to));
  info.uid = from_kuid_munged(to.cred.user_ns, from.cred.uid);
}

/** The uid of a signal that `from` sends by kill(2): first as its own namespace has it. */
export function sender_uid(from: task_struct, to: task_struct): i32 {
  const ns = from.cred.user_ns;
  const uid = from_kuid_munged(ns, from.cred.uid);
  if (same(ns, to.cred.user_ns)) return uid;
  return from_kuid_munged(to.cred.user_ns, make_kuid(ns, uid));
}

/** A siginfo that task `from` has filled in itself: its ids become those that `to` sees. */
export function translate_siginfo(info: siginfo, from: task_struct, to: task_struct): void {
  const ns = from.cred.user_ns;
  if (!same(ns, to.cred.user_ns)) {
    info.uid = from_kuid_munged(to.cred.user_ns, make_kuid(ns, info.uid));
  }
  // a sender that has no number there cannot be named
  if (from_ancestor_ns(from, to)) info.pid = 0;
}

/** Does the signal come from an ancestor namespace of the target's (or has no sender there)? */
export function from_ancestor_ns(from: task_struct, to: task_struct): bool {
  return pid_nr_ns(from.thread_pid, task_active_pid_ns(to)) == 0;
}

/** kill(2)'s rule. Return: 0 or -EPERM. */
export function check_kill_permission(sig: i32, from: task_struct, to: task_struct): i32 {
  if (root().audit) audit_signal_info(to);
  if (same(from.signal, to.signal)) return 0;
  const a = from.cred;
  const b = to.cred;
  if (a.euid == b.suid || a.euid == b.uid || a.uid == b.suid || a.uid == b.uid) return 0;
  if (cred_ns_capable(a, b.user_ns, CAP_KILL)) return 0;
  if (sig == SIGCONT && same(from.signal.session, to.signal.session)) return 0;
  return -EPERM;
}

/** A siginfo to fill: a call sends one signal at a time. */
export function scratch_siginfo(): siginfo {
  return changetype<siginfo>(SCRATCH_SIGINFO);
}
