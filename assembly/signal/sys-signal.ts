// The signal calls: kill and its relatives, actions, masks, waiting for signals (kernel/signal.c).
import { copy_words, zero } from "../lib/zero.ts";
import { seeded_fault } from "../lib/bug.ts";
import { nil, same } from "../lib/err.ts";
import { unshare_sighand } from "../process/exec.ts";
import { frame } from "../lib/frame.ts";
import { list_head } from "../lib/list.ts";
import {
  find_ge_pid,
  find_pid_ns,
  find_task_by_pid_ns,
  pid,
  pid_nr_ns,
  task_active_pid_ns,
} from "../process/pid.ts";
import { SCRATCH_USER } from "../lib/root.ts";
import * as G from "./signal.ts";
import { flush_sigqueue_mask, siginfo } from "./sigqueue.ts";
import { dequeue_signal, taken_signal } from "./sigdeliver.ts";
import * as S from "../process/signal-struct.ts";
import * as T from "../process/task.ts";
import { cold, task_struct } from "../process/task.ts";
import { access_ok, copy_from_user, copy_to_user, prepare_write } from "../lib/uaccess.ts";
import * as E from "../uapi/errno.ts";
import { ASSIST_ERRNO, WINDOW_WRITE } from "../uapi/frame.ts";
import * as N from "../uapi/signal.ts";
import { remove_waiters, signal_pending, sleep_on } from "../process/waitqueue.ts";

/** Sends `sig` from `p` to `t`'s group (or thread) if it may. Signal 0 only asks. */
export function kill_one(p: task_struct, t: task_struct, sig: i32, code: i32, group: bool): i32 {
  const error = G.check_kill_permission(sig, p, t);
  if (error || !sig) return error;
  const info = G.scratch_siginfo();
  G.fill_siginfo(info, sig, code, p, t);
  info.uid = G.sender_uid(p, t);
  return G.send_signal(t, info, group, G.from_ancestor_ns(p, t));
}

/** Sends the siginfo in scratch_siginfo(), which the sender has written itself. */
export function send_own_info(p: task_struct, t: task_struct, sig: i32, group: bool): i32 {
  const error = G.check_kill_permission(sig, p, t);
  if (error || !sig) return error;
  const info = G.scratch_siginfo();
  G.translate_siginfo(info, p, t);
  return G.send_signal(t, info, group, G.from_ancestor_ns(p, t));
}

/** One success is a success; else the last refusal counts, ESRCH when nobody was there. */
function kill_pgrp(p: task_struct, sig: i32, pgrp: pid): i32 {
  if (nil(pgrp)) return -E.ESRCH;
  return kill_pgrp_info(p, sig, false, pgrp);
}

/** The same; with `own_info` each gets the siginfo in scratch_siginfo(), which is the sender's. */
export function kill_pgrp_info(p: task_struct, sig: i32, own_info: bool, pgrp: pid): i32 {
  const head = pgrp.members;
  let result = -E.ESRCH;
  for (let at = head.next; at !== head; at = at.next) {
    const leader = S.signal_struct.from_pgrp_link(at).leader;
    let error = -E.EINVAL;
    if (<u32>sig <= 64) {
      error = own_info
        ? send_own_info(p, leader, sig, true)
        : kill_one(p, leader, sig, N.SI_USER, true);
    }
    if (result) result = error;
  }
  return result;
}

/** kill(-1): everybody but the namespace's init and the caller's own group. */
function kill_everyone(p: task_struct, sig: i32): i32 {
  const ns = task_active_pid_ns(p);
  let result = 0;
  let count = 0;
  for (let nr = 2; ;) {
    const number = find_ge_pid(nr, ns);
    if (nil(number)) break;
    nr = pid_nr_ns(number, ns) + 1;
    const t = number.task;
    if (nil(t) || !T.thread_group_leader(t) || same(t.signal, p.signal)) continue;
    const error = kill_one(p, t, sig, N.SI_USER, true);
    count += 1;
    if (error != -E.EPERM) result = error;
  }
  return count ? result : -E.ESRCH;
}

/** kill(2): pid, sig. */
export function sys_kill(p: task_struct, nr: i32, sig: i32): i32 {
  if (nr == i32.MIN_VALUE) return -E.ESRCH;
  const ns = task_active_pid_ns(p);
  if (<u32>sig > 64) return kill_bad_signal(p, nr);
  if (nr > 0) {
    const t = find_task_by_pid_ns(nr, ns);
    return nil(t) ? -E.ESRCH : kill_one(p, t, sig, N.SI_USER, true);
  }
  if (nr == -1) return kill_everyone(p, sig);
  return kill_pgrp(p, sig, nr == 0 ? p.signal.pgrp : find_pid_ns(-nr, ns));
}

/** A target is looked for before the signal's number is: ESRCH wins over EINVAL. */
function kill_bad_signal(p: task_struct, nr: i32): i32 {
  const ns = task_active_pid_ns(p);
  if (nr > 0 && nil(find_task_by_pid_ns(nr, ns))) return -E.ESRCH;
  if (nr < -1) {
    const pgrp = find_pid_ns(-nr, ns);
    if (nil(pgrp) || list_head.empty(pgrp.members)) return -E.ESRCH;
  }
  return -E.EINVAL;
}

/** tgkill(2), and tkill(2) with tgid 0. */
export function do_tkill(p: task_struct, tgid: i32, tid: i32, sig: i32): i32 {
  const ns = task_active_pid_ns(p);
  const t = find_task_by_pid_ns(tid, ns);
  if (nil(t)) return -E.ESRCH;
  if (tgid > 0 && pid_nr_ns(t.signal.tgid_pid, ns) != tgid) return -E.ESRCH;
  if (<u32>sig > 64) return -E.EINVAL;
  return kill_one(p, t, sig, N.SI_TKILL, false);
}

export function sys_tgkill(p: task_struct, tgid: i32, tid: i32, sig: i32): i32 {
  if (tgid <= 0 || tid <= 0) return -E.EINVAL;
  return do_tkill(p, tgid, tid, sig);
}

export function sys_tkill(p: task_struct, tid: i32, sig: i32): i32 {
  return tid <= 0 ? -E.EINVAL : do_tkill(p, 0, tid, sig);
}

/** A siginfo as user space passes it, in the layout of a queued signal. 0, -EFAULT, RET_NEED. */
export function siginfo_from_user(f: frame, addr: u64, to: siginfo, compat: bool): i32 {
  const bad = copy_from_user(f, SCRATCH_USER, addr, 32);
  if (bad) return bad;
  const at = SCRATCH_USER;
  const fields: usize = compat ? 12 : 16;
  zero(changetype<usize>(to), 32);
  to.signo = load<i32>(at);
  to.errno = load<i32>(at, 4);
  to.code = load<i32>(at, 8);
  to.pid = load<i32>(at + fields);
  to.uid = load<i32>(at + fields, 4);
  to.value = compat ? <u64>load<u32>(at, 20) : load<u64>(at, 24);
  return 0;
}

/** rt_sigqueueinfo(2): pid, sig, info. */
export function sys_rt_sigqueueinfo(p: task_struct, f: frame, compat: bool): i32 {
  return do_sigqueueinfo(p, f, 0, <i32>f.a0, <i32>f.a1, f.a2, compat);
}

/** rt_tgsigqueueinfo(2): tgid, tid, sig, info. */
export function sys_rt_tgsigqueueinfo(p: task_struct, f: frame, compat: bool): i32 {
  const tgid = <i32>f.a0;
  const tid = <i32>f.a1;
  const known = copy_from_user(f, SCRATCH_USER, f.r10, 32);
  if (known) return known;
  if (tid <= 0 || tgid <= 0) return -E.EINVAL;
  return do_sigqueueinfo(p, f, tgid, tid, <i32>f.a2, f.r10, compat);
}

/** To thread `target` of group `tgid`, or to the group of `target` when `tgid` is 0. */
function do_sigqueueinfo(
  p: task_struct,
  f: frame,
  tgid: i32,
  target: i32,
  sig: i32,
  addr: u64,
  compat: bool,
): i32 {
  const info = G.scratch_siginfo();
  const bad = siginfo_from_user(f, addr, info, compat);
  if (bad) return bad;
  info.signo = sig;
  const ns = task_active_pid_ns(p);
  // only the kernel may claim to be the kernel
  if ((info.code >= 0 || info.code == N.SI_TKILL) && pid_nr_ns(p.thread_pid, ns) != target) {
    return -E.EPERM;
  }
  const t = find_task_by_pid_ns(target, ns);
  if (nil(t)) return -E.ESRCH;
  if (tgid && pid_nr_ns(t.signal.tgid_pid, ns) != tgid) return -E.ESRCH;
  if (<u32>sig > 64) return -E.EINVAL;
  // what else is queued for this user the world knows
  if (f.assist & ASSIST_ERRNO) return -f.assist_val;
  return send_own_info(p, t, sig, tgid == 0);
}

/** A struct sigaction between user layout and k_sigaction. */
function action_from_user(f: frame, addr: u64, to: usize, compat: bool): i32 {
  if (!compat) return copy_from_user(f, to, addr, 32);
  const bad = copy_from_user(f, to + 32, addr, 20);
  if (bad) return bad;
  store<u64>(to, <u64>load<u32>(to, 32));
  store<u64>(to, <u64>load<u32>(to, 36), 8);
  store<u64>(to, <u64>load<u32>(to, 40), 16);
  store<u64>(to, load<u64>(to, 44), 24);
  return 0;
}

function action_to_user(f: frame, addr: u64, from: usize, compat: bool): i32 {
  if (!compat) return copy_to_user(f, addr, from, 32);
  const at = SCRATCH_USER + 256;
  store<u32>(at, <u32>load<u64>(from));
  store<u32>(at, <u32>load<u64>(from, 8), 4);
  store<u32>(at, <u32>load<u64>(from, 16), 8);
  store<u64>(at, load<u64>(from, 24), 12);
  return copy_to_user(f, addr, at, 20);
}

/** Flags of sa_flags that this kernel keeps. */
const UAPI_SA_FLAGS: u64 = 0xdc000807;

/** rt_sigaction(2): sig, new, old, size of the mask. */
export function sys_rt_sigaction(p: task_struct, f: frame, compat: bool): i32 {
  const sig = <i32>f.a0;
  const set = f.a1;
  const old = f.a2;
  if (<u32>f.r10 != 8) return -E.EINVAL;
  const to = SCRATCH_USER;
  if (set) {
    const bad = action_from_user(f, set, to, compat);
    if (bad) return bad;
  }
  const bytes: u32 = compat ? 20 : 32;
  const need = prepare_write(f, old, bytes);
  if (need) return need;
  const before = changetype<S.k_sigaction>(SCRATCH_USER + 128);
  const act = changetype<S.k_sigaction>(set ? to : 0);
  const error = do_sigaction(p, sig, act, before);
  if (error || !old) return error;
  return action_to_user(f, old, changetype<usize>(before), compat) ? -E.EFAULT : 0;
}

/** Copies the action of `sig` to `before` and sets it to `act`, if there is one. 0 or errno. */
export function do_sigaction(
  p: task_struct,
  sig: i32,
  act: S.k_sigaction,
  before: S.k_sigaction,
): i32 {
  if (<u32>sig > 64 || sig < 1) return -E.EINVAL;
  if (!nil(act) && G.sigmask(sig) & G.KERNEL_ONLY) return -E.EINVAL;
  const k = cold(p);
  const from = changetype<usize>(S.action_of(k.sighand, sig));
  copy_words(changetype<usize>(before), from, S.SIGACTION_BYTES);
  if (nil(act)) return 0;
  if (S.sighand_must_copy(k.sighand) && !unshare_sighand(p)) return -E.ENOMEM;
  const action = S.action_of(k.sighand, sig);
  const handler = act.handler;
  action.handler = handler;
  action.flags = act.flags & UAPI_SA_FLAGS;
  action.restorer = act.restorer;
  action.mask = act.mask & ~G.KERNEL_ONLY;
  const ignored = handler == N.SIG_DFL && G.sig_kernel_ignore(sig);
  if (handler == N.SIG_IGN || ignored) discard_signal(p, sig);
  return 0;
}

/** A signal that is ignored from now on is no longer pending anywhere in the group. */
function discard_signal(p: task_struct, sig: i32): void {
  const mask = G.sigmask(sig);
  const signal = p.signal;
  signal.shared_pending &= ~mask;
  flush_sigqueue_mask(signal.queue, mask);
  const head = signal.threads;
  for (let at = head.next; at !== head; at = at.next) {
    const t = T.from_thread_node(at);
    t.pending &= ~mask;
    flush_sigqueue_mask(cold(t).queue, mask);
    G.recalc_sigpending(t);
  }
}

// Seeded fault (debug builds only): SIGKILL can be blocked.
const F_KILL_MASK = 105;

/** Sets the mask of the caller; what can never be blocked stays out of it. */
export function set_current_blocked(p: task_struct, mask: u64): void {
  cold(p).blocked = seeded_fault(F_KILL_MASK) ? mask : mask & ~G.KERNEL_ONLY;
  G.recalc_sigpending(p);
}

/** rt_sigprocmask(2): how, set, old, size. */
export function sys_rt_sigprocmask(p: task_struct, f: frame): i32 {
  if (<u32>f.r10 != 8) return -E.EINVAL;
  const k = cold(p);
  const old = k.blocked;
  let blocked = old;
  const need = prepare_write(f, f.a2, 8);
  if (need) return need;
  if (f.a1) {
    const bad = copy_from_user(f, SCRATCH_USER, f.a1, 8);
    if (bad) return bad;
    const set = load<u64>(SCRATCH_USER);
    const how = <i32>f.a0;
    if (how == N.SIG_BLOCK) blocked = old | set;
    else if (how == N.SIG_UNBLOCK) blocked = old & ~set;
    else if (how == N.SIG_SETMASK) blocked = set;
    else return -E.EINVAL;
  }
  set_current_blocked(p, blocked);
  if (f.a2) {
    store<u64>(SCRATCH_USER, old);
    if (copy_to_user(f, f.a2, SCRATCH_USER, 8)) return -E.EFAULT;
  }
  return 0;
}

/** rt_sigpending(2): set, size. */
export function sys_rt_sigpending(p: task_struct, f: frame): i32 {
  if (f.a1 > 8) return -E.EINVAL;
  store<u64>(SCRATCH_USER, (p.pending | p.signal.shared_pending) & cold(p).blocked);
  return copy_to_user(f, f.a0, SCRATCH_USER, <u32>f.a1);
}

/** pause(2), and the rest of rt_sigsuspend: asleep until a signal is there. */
export function sys_pause(p: task_struct, f: frame): i32 {
  if (signal_pending(p)) return -E.ERESTARTNOHAND;
  return sleep_on(p, f, T.TASK_INTERRUPTIBLE);
}

/** rt_sigsuspend(2): mask, size. */
export function sys_rt_sigsuspend(p: task_struct, f: frame): i32 {
  if (f.phase) return sys_pause(p, f);
  if (<u32>f.a1 != 8) return -E.EINVAL;
  const bad = copy_from_user(f, SCRATCH_USER, f.a0, 8);
  return bad ? bad : do_sigsuspend(p, f, load<u64>(SCRATCH_USER));
}

/** Sleeps with `mask` until a signal is there; the old mask comes back with the handler's frame. */
export function do_sigsuspend(p: task_struct, f: frame, mask: u64): i32 {
  if (!f.phase) {
    T.rare_for_write(p).saved_sigmask = cold(p).blocked;
    p.flags |= T.PF_RESTORE_SIGMASK;
    set_current_blocked(p, mask);
    f.phase = 1;
  }
  return sys_pause(p, f);
}

/** rt_sigtimedwait(2): set, info, timeout, size. A timeout of zero never sleeps. */
export function sys_rt_sigtimedwait(p: task_struct, f: frame, compat: bool): i32 {
  if (<u32>f.r10 != 8) return -E.EINVAL;
  const bad = copy_from_user(f, SCRATCH_USER, f.a0, 8);
  if (bad) return bad;
  const set = load<u64>(SCRATCH_USER) & ~G.KERNEL_ONLY;
  let poll = false;
  if (f.a2) {
    const bytes: u32 = compat ? 8 : 16;
    const bad_time = copy_from_user(f, SCRATCH_USER, f.a2, bytes);
    if (bad_time) return bad_time;
    if (!compat && load<u64>(SCRATCH_USER, 8) > 999999999) return -E.EINVAL;
    poll = load<u64>(SCRATCH_USER) == 0;
    if (!compat && load<u64>(SCRATCH_USER, 8) != 0) poll = false;
  }
  if (f.a1 && access_ok(f, f.a1, 48, WINDOW_WRITE) < -4096) return prepare_write(f, f.a1, 48);
  const k = cold(p);
  if (f.phase) {
    // while asleep the set was let through: the mask comes back first
    k.blocked = T.rare(p).saved_sigmask;
    remove_waiters(p);
  }
  const info = taken_signal();
  const sig = dequeue_signal(p, ~set, info);
  if (sig) return put_taken(f, sig, info, compat);
  if (poll) return -E.EAGAIN;
  if (f.phase && signal_pending(p)) return -E.EINTR;
  if (signal_pending(p)) return -E.EINTR;
  T.rare_for_write(p).saved_sigmask = k.blocked;
  k.blocked &= ~set;
  f.phase = 1;
  G.recalc_sigpending(p);
  return sleep_on(p, f, T.TASK_INTERRUPTIBLE);
}

function put_taken(f: frame, sig: i32, info: siginfo, compat: bool): i32 {
  if (!f.a1) return sig;
  const at = SCRATCH_USER;
  const fields: usize = compat ? 12 : 16;
  memory.fill(at, 0, 48);
  store<i32>(at, info.signo);
  store<i32>(at, info.errno, 4);
  store<i32>(at, info.code, 8);
  store<i32>(at + fields, info.pid);
  store<i32>(at + fields, info.uid, 4);
  if (info.signo == N.SIGCHLD) store<i32>(at + fields, info.status, 8);
  else store<u64>(at + fields, info.value, 8);
  // there si_band takes up one word only
  if (compat && G.tells_file(info)) store<i32>(at + fields, <i32>info.value, 4);
  return copy_to_user(f, f.a1, at, 48) ? -E.EFAULT : sig;
}
