// The return to user mode: the one place where pending signals act (get_signal, handle_signal),
// group stops, and rt_sigreturn with the frames that siglongjmp leaves behind.
import { NULL, nil, RET_RAW } from "../lib/err.ts";
import { emit } from "../lib/event.ts";
import { unshare_sighand } from "../process/exec.ts";
import { die_now, do_group_exit } from "../process/exit.ts";
import { ENTRY_OP, frame, syscall_table } from "../lib/frame.ts";
import { is_orphaned_pgrp } from "./pgrp.ts";
import { root, SCRATCH_TAKEN } from "../lib/root.ts";
import * as G from "./signal.ts";
import { collect_signal, sigframe, siginfo } from "./sigqueue.ts";
import * as S from "../process/signal-struct.ts";
import { CACHE_SIGFRAME, kmem_cache_alloc, kmem_cache_free } from "../lib/slab.ts";
import * as T from "../process/task.ts";
import { cold, task_struct } from "../process/task.ts";
import * as E from "../uapi/errno.ts";
import * as F from "../uapi/frame.ts";
import { OP_RESTART_SYSCALL } from "../uapi/op.ts";
import * as N from "../uapi/signal.ts";
import { altstack_enter } from "./sys-altstack.ts";
import { wake_up_all } from "../process/waitqueue.ts";

/** The signal that the last exit_to_user took. */
export function taken_signal(): siginfo {
  return changetype<siginfo>(SCRATCH_TAKEN);
}

/** Faults of the task's own making come before everything else. */
const SYNCHRONOUS: u64 =
  ((<u64>1) << (N.SIGSEGV - 1)) |
  ((<u64>1) << (N.SIGBUS - 1)) |
  ((<u64>1) << (N.SIGILL - 1)) |
  ((<u64>1) << (N.SIGTRAP - 1)) |
  ((<u64>1) << (N.SIGFPE - 1)) |
  ((<u64>1) << (N.SIGSYS - 1));

function next_signal(pending: u64, blocked: u64): i32 {
  const ready = pending & ~blocked;
  if (!ready) return 0;
  const sync = ready & SYNCHRONOUS;
  return <i32>ctz(sync ? sync : ready) + 1;
}

/** Takes the next signal that `blocked` lets through into `info`: own ones first. 0: none. */
export function dequeue_signal(p: task_struct, blocked: u64, info: siginfo): i32 {
  const signal = p.signal;
  let sig = next_signal(p.pending, blocked);
  if (sig) {
    if (!collect_signal(cold(p).queue, sig, info)) p.pending &= ~G.sigmask(sig);
  } else {
    sig = next_signal(signal.shared_pending, blocked);
    if (!sig) return 0;
    if (!collect_signal(signal.queue, sig, info)) signal.shared_pending &= ~G.sigmask(sig);
  }
  G.recalc_sigpending(p);
  return sig;
}

/** Tells the parent of a stop or a continue, unless it does not want to know. */
function notify_parent_cldstop(p: task_struct, why: i32): void {
  const leader = p.signal.leader;
  const parent = leader.real_parent;
  const sighand = cold(parent).sighand;
  if (!nil(sighand)) {
    const action = S.action_of(sighand, N.SIGCHLD);
    if (action.handler != N.SIG_IGN && !(action.flags & N.SA_NOCLDSTOP)) {
      const info = G.scratch_siginfo();
      G.fill_siginfo(info, N.SIGCHLD, why, leader, parent);
      info.status = why == N.CLD_STOPPED ? p.signal.group_exit_code & 0x7f : N.SIGCONT;
      G.send_signal(parent, info, true, false);
    }
  }
  wake_up_all(parent.signal.wait_chldexit);
}

/** Begins a group stop by `sig`, or joins the one under way. */
function start_group_stop(p: task_struct, sig: i32): void {
  const signal = p.signal;
  if (!(signal.flags & S.SIGNAL_STOP_STOPPED)) signal.group_exit_code = sig;
  signal.group_stop_count = 0;
  const head = signal.threads;
  for (let at = head.next; at !== head; at = at.next) {
    const t = T.from_thread_node(at);
    if (t.flags & T.PF_EXITING || t.state == T.TASK_STOPPED) continue;
    t.flags |= T.JOBCTL_STOP_PENDING | T.JOBCTL_STOP_CONSUME;
    signal.group_stop_count += 1;
    if (changetype<usize>(t) != changetype<usize>(p)) G.signal_wake_up(t, false);
  }
}

/** `p` stops for its group; the last one to do so makes the group a stopped one. */
function do_signal_stop(p: task_struct): void {
  const signal = p.signal;
  if (p.flags & T.JOBCTL_STOP_CONSUME && signal.group_stop_count > 0) signal.group_stop_count -= 1;
  p.flags &= ~(T.JOBCTL_STOP_PENDING | T.JOBCTL_STOP_CONSUME);
  p.state = T.TASK_STOPPED;
  emit(F.EVENT_STOP, p.pid, signal.group_exit_code, 0, 0, 0);
  if (signal.group_stop_count == 0 && !(signal.flags & S.SIGNAL_STOP_STOPPED)) {
    signal.flags = (signal.flags & ~S.SIGNAL_STOP_CONTINUED) | S.SIGNAL_STOP_STOPPED;
    notify_parent_cldstop(p, N.CLD_STOPPED);
  }
  G.recalc_sigpending(p);
}

/** The parent's notice of a continue is due when a thread of the group next runs. */
function pending_cld_notice(p: task_struct): i32 {
  const signal = p.signal;
  const mask = S.SIGNAL_CLD_STOPPED | S.SIGNAL_CLD_CONTINUED;
  if (!(signal.flags & mask)) return 0;
  const why = signal.flags & S.SIGNAL_CLD_CONTINUED ? N.CLD_CONTINUED : N.CLD_STOPPED;
  signal.flags &= ~mask;
  notify_parent_cldstop(p, why);
  return why;
}

function action_flags(p: task_struct, sig: i32): u64 {
  return S.action_of(cold(p).sighand, sig).flags;
}

/** Saves the frame that rt_sigreturn comes back to, and enters the handler's mask. */
function setup_frame(p: task_struct, f: frame, sig: i32): bool {
  const k = cold(p);
  // the table is shared until written, and SA_RESETHAND writes
  const resets = action_flags(p, sig) & (<u64>(<u32>N.SA_RESETHAND));
  if (resets && S.sighand_must_copy(k.sighand) && !unshare_sighand(p)) return false;
  const action = S.action_of(k.sighand, sig);
  const saved = changetype<sigframe>(kmem_cache_alloc(CACHE_SIGFRAME));
  if (nil(saved)) return false;
  saved.mask = p.flags & T.PF_RESTORE_SIGMASK ? T.rare(p).saved_sigmask : k.blocked;
  p.flags &= ~T.PF_RESTORE_SIGMASK;
  saved.restart = 0;
  saved.rax = nil(f) ? 0 : f.rax;
  saved.orig_rax = nil(f) ? 0 : f.orig_rax;
  saved.rip = nil(f) ? 0 : f.rip;
  const own = T.rare_for_write(p);
  saved.next = changetype<sigframe>(own.sigframes);
  own.sigframes = <u32>changetype<usize>(saved);
  saved.sas_sp = own.sas_sp;
  saved.sas_size = own.sas_size;
  saved.sas_flags = own.sas_flags;
  saved.sas_on = own.sas_on;
  if (action.flags & N.SA_ONSTACK) altstack_enter(own);
  let blocked = k.blocked | action.mask;
  if (!(action.flags & N.SA_NODEFER)) blocked |= G.sigmask(sig);
  k.blocked = blocked & ~G.KERNEL_ONLY;
  if (resets) action.handler = N.SIG_DFL;
  return true;
}

/** The restart code that the frame's result is, 0 when it is none. */
function restart_code(f: frame): i32 {
  if (nil(f)) return 0;
  const rax = <i64>f.rax;
  return rax <= -E.ERESTARTSYS && rax >= -E.ERESTART_RESTARTBLOCK ? -(<i32>rax) : 0;
}

/** A handler runs: a restart code becomes EINTR, or a restart where the action asks for it. */
function settle_restart(f: frame, action: S.k_sigaction): void {
  const code = restart_code(f);
  if (!code) return;
  const restarts =
    code == E.ERESTARTNOINTR || (code == E.ERESTARTSYS && (action.flags & N.SA_RESTART) != 0);
  if (restarts) {
    f.rax = f.orig_rax;
    f.rip -= 2;
  } else {
    f.rax = <u64>(<i64>-E.EINTR);
  }
}

/** Number of restart_syscall(2) in the frame's table, or of the call itself where there is none. */
function nr_restart_syscall(f: frame): u64 {
  const table = changetype<syscall_table>(<usize>(root().tables + (f.table << 4)));
  for (let nr: u32 = 0; nr < table.len; ++nr) {
    const entry = load<u16>(table.ops + (nr << 1));
    if ((entry & ENTRY_OP) == OP_RESTART_SYSCALL) return nr;
  }
  return f.orig_rax;
}

/** Nothing was delivered: the call that a signal interrupted begins again. */
function restart_syscall(p: task_struct, f: frame): void {
  const k = cold(p);
  const code = restart_code(f);
  if (code) {
    f.rax = code == E.ERESTART_RESTARTBLOCK ? nr_restart_syscall(f) : f.orig_rax;
    f.rip -= 2;
  }
  if (p.flags & T.PF_RESTORE_SIGMASK) {
    p.flags &= ~T.PF_RESTORE_SIGMASK;
    k.blocked = T.rare(p).saved_sigmask;
    G.recalc_sigpending(p);
  }
}

/** What the default or the handler of the taken signal does. Return: ACTION_*. */
function act_on(p: task_struct, f: frame, sig: i32): i32 {
  const signal = p.signal;
  const action = S.action_of(cold(p).sighand, sig);
  if (action.handler == N.SIG_IGN) return F.ACTION_IGNORED;
  if (action.handler != N.SIG_DFL) {
    settle_restart(f, action);
    if (!setup_frame(p, f, sig)) {
      do_group_exit(p, N.SIGSEGV);
      return F.ACTION_DIED;
    }
    G.recalc_sigpending(p);
    return F.ACTION_HANDLED;
  }
  if (G.sig_kernel_ignore(sig)) return F.ACTION_IGNORED;
  if (signal.flags & S.SIGNAL_UNKILLABLE && !((G.sigmask(sig) & G.KERNEL_ONLY) != 0)) {
    return F.ACTION_IGNORED;
  }
  if (G.sig_kernel_stop(sig)) {
    // an orphaned process group is not stopped from the keyboard
    if (sig != N.SIGSTOP && is_orphaned_pgrp(signal.pgrp, NULL<task_struct>())) {
      return F.ACTION_IGNORED;
    }
    // a tracer sees the signal first; the stop itself is a step of its own
    if (p.flags & T.PF_TRACED) {
      T.rare_for_write(p).stop_signo = sig;
      p.flags |= T.JOBCTL_STOP_DEQUEUED | T.TIF_SIGPENDING;
    } else {
      start_group_stop(p, sig);
      do_signal_stop(p);
    }
    return F.ACTION_STOPPED;
  }
  if (p.flags & T.PF_TRACED) {
    // the tracer has seen the signal; until the death itself a SIGKILL may still overtake it
    if (signal.nr_threads == 1) {
      T.rare_for_write(p).fatal_signo = sig;
      G.mark_fatal(p);
    } else {
      G.start_group_exit(signal, sig);
    }
    return F.ACTION_DIED;
  }
  do_group_exit(p, sig);
  return F.ACTION_DIED;
}

/** The signal that the return to user mode of `p` would take next, 0 when there is none. */
export function peek_signal(p: task_struct): i32 {
  const blocked = cold(p).blocked;
  const own = next_signal(p.pending, blocked);
  return own ? own : next_signal(p.signal.shared_pending, blocked);
}

/**
 * One step of the return to user mode of `p`, whose last frame is `f` (may be null). Takes at most
 * one signal; its siginfo is at taken_signal(). `want`: a host that knows in which order signals
 * came may ask for one of the pending ones; 0 takes the kernel's choice, -1 takes none and only
 * lets a due notice of a continue out, -2 also a due stop. Return: ACTION_*;
 * ACTION_NONE ends the return.
 */
export function exit_to_user_step(p: task_struct, f: frame, want: i32): i32 {
  taken_signal().signo = 0;
  const signal = p.signal;
  if (p.flags & T.PF_EXITING || p.state == T.TASK_STOPPED) return F.ACTION_NONE;
  if (signal.flags & S.SIGNAL_GROUP_EXIT || p.pending & G.sigmask(N.SIGKILL)) {
    die_now(p);
    return F.ACTION_DIED;
  }
  if (pending_cld_notice(p)) {
    emit(F.EVENT_CONT, p.pid, 0, 0, 0, 0);
    return F.ACTION_CONTINUED;
  }
  if (want == -1) return F.ACTION_NONE;
  if (p.flags & (T.JOBCTL_STOP_PENDING | T.JOBCTL_STOP_DEQUEUED)) {
    // the tracer lets it go on: unless a continue came in between, it stops, and the group with it
    if (!(p.flags & T.JOBCTL_STOP_PENDING)) start_group_stop(p, T.rare(p).stop_signo);
    p.flags &= ~T.JOBCTL_STOP_DEQUEUED;
    do_signal_stop(p);
    return F.ACTION_STOPPED;
  }
  if (want < 0) return F.ACTION_NONE;
  let blocked = cold(p).blocked;
  if (want > 0) blocked |= ~G.sigmask(want);
  const sig = dequeue_signal(p, blocked, taken_signal());
  if (!sig) {
    if (want > 0) return F.ACTION_NONE;
    G.recalc_sigpending(p);
    restart_syscall(p, f);
    return F.ACTION_NONE;
  }
  return act_on(p, f, sig);
}

/**
 * rt_sigreturn(2): back to the newest saved frame; with ASSIST_MASK to the newest whose mask is
 * that one, if there is one, dropping the stale ones above it. Without any frame the stack is
 * broken: SIGSEGV. What the mask is now goes into assist_mask.
 */
export function sys_rt_sigreturn(p: task_struct, f: frame): i32 {
  const k = cold(p);
  const own = T.rare(p);
  let at = changetype<sigframe>(own.sigframes);
  if (f.assist & F.ASSIST_MASK) {
    if (nil(at)) {
      // it was in a handler before anybody looked
      k.blocked = f.assist_mask & ~G.KERNEL_ONLY;
      G.recalc_sigpending(p);
      return 0;
    }
    const newest = at;
    while (!nil(at) && at.mask != f.assist_mask) at = at.next;
    if (nil(at)) at = newest;
  }
  if (nil(at)) {
    const info = G.scratch_siginfo();
    memory.fill(changetype<usize>(info), 0, 32);
    info.signo = N.SIGSEGV;
    info.code = N.SI_KERNEL;
    G.send_signal(p, info, false, true);
    return 0;
  }
  let top = changetype<sigframe>(own.sigframes);
  k.blocked = at.mask & ~G.KERNEL_ONLY;
  f.assist_mask = k.blocked;
  f.rax = at.rax;
  f.rip = at.rip;
  // what the handler made of the alternate stack is undone with it
  own.sas_sp = at.sas_sp;
  own.sas_size = at.sas_size;
  own.sas_flags = at.sas_flags;
  own.sas_on = at.sas_on;
  own.restart_op = 0;
  own.sigframes = <u32>changetype<usize>(at.next);
  while (true) {
    const next = top.next;
    const last = changetype<usize>(top) == changetype<usize>(at);
    kmem_cache_free(CACHE_SIGFRAME, changetype<usize>(top));
    if (last) break;
    top = next;
  }
  G.recalc_sigpending(p);
  return RET_RAW;
}
