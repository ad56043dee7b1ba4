// exit: what a thread gives back, who is told, who inherits the children (kernel/exit.c).
import { audit_free } from "../audit/audit-context.ts";
import { audit_exit_done } from "../audit/auditsc.ts";
import { seeded_fault } from "../lib/bug.ts";
import { container, exit_container } from "../container/container.ts";
import { put_cred } from "../cred/cred.ts";
import { NULL, nil, same } from "../lib/err.ts";
import { emit } from "../lib/event.ts";
import { release_plain } from "./exit-plain.ts";
import { put_files, files_struct } from "../fs/file.ts";
import { put_fs, fs_struct } from "../fs/fs.ts";
import { exit_ipc } from "../ipc/ipc-ns.ts";
import { exit_itimers } from "../signal/itimer.ts";
import { list_head } from "../lib/list.ts";
import { nsproxy, put_nsproxy } from "../namespace/nsproxy.ts";
import {
  find_ge_pid,
  ns_of_pid,
  pid,
  pid_detached,
  pid_namespace,
  pid_nr_ns,
  put_pid,
  task_active_pid_ns,
  tgid_nr,
} from "./pid.ts";
import { root } from "../lib/root.ts";
import * as G from "../signal/signal.ts";
import { sched_free } from "./sched.ts";
import { has_stopped_jobs, is_orphaned_pgrp, kill_pgrp_kernel } from "../signal/pgrp.ts";
import { drop_sigframes, flush_sigqueue_mask } from "../signal/sigqueue.ts";
import * as S from "./signal-struct.ts";
import * as T from "./task.ts";
import { cold, task_struct } from "./task.ts";
import { disassociate_ctty } from "../tty/tty.ts";
import { EVENT_EXIT, EVENT_REAP, EVENT_ROBUST, EVENT_STORE } from "../uapi/frame.ts";
import * as N from "../uapi/signal.ts";
import { dec_nproc } from "../cred/ucounts.ts";
import { forget_upcall } from "../container/upcall.ts";
import { clear_woken, remove_waiters, wake_up_all, wake_up_process } from "./waitqueue.ts";

// Seeded faults (debug builds only): a posted defect by number, and one of our own.
const D_12 = 12;
const F_FS_LEAK = 101;
/** Who was waited for still counts for its user. */
const F_NPROC = 205;

/**
 * exec or exit: the futexes of the robust list are released, then nobody waits at clear_child_tid
 * any more (both are guest memory: the host does it), then the parent of a vfork may go on.
 */
export function mm_release(p: task_struct): void {
  if (!(p.flags & T.PF_RARE)) return;
  const k = T.rare(p);
  if (k.robust_list) {
    emit(EVENT_ROBUST, p.pid, 0, 0, 0, k.robust_list);
    k.robust_list = 0;
  }
  if (k.clear_child_tid) {
    emit(EVENT_STORE, p.pid, 0, 0, 0, k.clear_child_tid);
    k.clear_child_tid = 0;
  }
  const parent = k.vfork_parent;
  if (nil(parent)) return;
  k.vfork_parent = NULL<task_struct>();
  T.rare(parent).vfork_child = NULL<task_struct>();
  wake_up_process(parent);
}

/** Is every thread but the leader gone? */
export function thread_group_empty(p: task_struct): bool {
  return p.signal.nr_threads == 1;
}

/** Wait status of a group: the group's code when it ended as one, else the leader's own. */
export function group_status(p: task_struct): i32 {
  const s = p.signal;
  return s.flags & S.SIGNAL_GROUP_EXIT ? s.group_exit_code : cold(p).exit_code;
}

/** A live thread of `p`'s group other than `p`, or null. */
function find_alive_thread(p: task_struct): task_struct {
  const head = p.signal.threads;
  for (let at = head.next; at !== head; at = at.next) {
    const t = T.from_thread_node(at);
    if (!(t.flags & T.PF_EXITING)) return t;
  }
  return NULL<task_struct>();
}

/** Who inherits the children of `father` (prctl(2), PR_SET_CHILD_SUBREAPER). */
function find_new_reaper(father: task_struct): task_struct {
  const thread = find_alive_thread(father);
  if (!nil(thread)) return thread;
  const ns = task_active_pid_ns(father);
  if (father.signal.flags & S.SIGNAL_HAS_SUBREAPER) {
    let reaper = father.real_parent;
    while (!nil(reaper) && ns_of_pid(reaper.thread_pid).level == ns.level) {
      if (same(reaper, ns.child_reaper) || same(reaper, reaper.real_parent)) break;
      if (reaper.signal.flags & S.SIGNAL_CHILD_SUBREAPER) {
        const alive = find_alive_thread(reaper);
        if (!nil(alive)) return alive;
      }
      reaper = reaper.real_parent;
    }
  }
  return ns.child_reaper;
}

/** Gives every child of `father` a new parent; zombies are announced to it. */
function forget_original_parent(father: task_struct): void {
  const head = father.children;
  if (list_head.empty(head)) return;
  const reaper = find_new_reaper(father);
  if (nil(reaper) || same(reaper, father)) return;
  while (!list_head.empty(head)) {
    const link = head.next;
    const child = task_struct.from_sibling(link);
    list_head.del(link);
    const signal = child.signal;
    const threads = signal.threads;
    for (let at = threads.next; at !== threads; at = at.next) {
      const t = T.from_thread_node(at);
      t.real_parent = reaper;
      const death = t.flags & T.PF_RARE ? T.rare(t).pdeath_signal : 0;
      if (death && !same(reaper.signal, father.signal)) {
        const info = G.scratch_siginfo();
        G.fill_siginfo(info, death, N.SI_USER, father, t);
        G.send_signal(t, info, true, G.from_ancestor_ns(father, t));
      }
    }
    list_head.add_tail(link, reaper.children);
    if (!same(reaper.signal, father.signal)) reparent_leader(father, child);
  }
}

function reparent_leader(father: task_struct, child: task_struct): void {
  cold(child).exit_signal = N.SIGCHLD;
  if (child.state == T.EXIT_ZOMBIE && thread_group_empty(child)) {
    if (zap_reaps(child) || do_notify_parent(child)) {
      release_task(child);
      return;
    }
  }
  kill_orphaned_pgrp(child, father);
}

/** SIGHUP and SIGCONT for a group with stopped jobs that `p`'s end (or `parent`'s) orphans. */
function kill_orphaned_pgrp(p: task_struct, parent: task_struct): void {
  const pgrp = p.signal.pgrp;
  let ignored = p;
  let up = parent;
  if (nil(up)) up = p.real_parent;
  else ignored = NULL<task_struct>();
  if (same(up.signal.pgrp, pgrp) || !same(up.signal.session, p.signal.session)) return;
  if (!is_orphaned_pgrp(pgrp, ignored) || !has_stopped_jobs(pgrp)) return;
  kill_pgrp_kernel(pgrp, N.SIGHUP);
  kill_pgrp_kernel(pgrp, N.SIGCONT);
}

/**
 * Tells the parent that `p`'s group is dead. Return: true when nobody will wait for it, so that
 * it is released at once (SIGCHLD ignored, SA_NOCLDWAIT).
 */
export function do_notify_parent(p: task_struct): bool {
  const k = cold(p);
  const parent = p.real_parent;
  let sig = k.exit_signal;
  let autoreap = false;
  // as Linux tells it: the leader's own code, which a reboot(2) inside does not touch
  const status = k.exit_code;
  const sighand = cold(parent).sighand;
  wake_up_all(p.thread_pid.waitq);
  if (nil(sighand)) {
    wake_up_all(parent.signal.wait_chldexit);
    return false;
  }
  if (sig == N.SIGCHLD) {
    const action = S.action_of(sighand, N.SIGCHLD);
    if (action.handler == N.SIG_IGN || action.flags & N.SA_NOCLDWAIT) {
      autoreap = true;
      if (action.handler == N.SIG_IGN) sig = 0;
    }
  }
  // the notice that most parents ignore is not even written
  const ignored = sig == N.SIGCHLD && G.sig_ignored(parent, N.SIGCHLD, false);
  if (sig > 0 && sig <= 64 && !ignored) send_death(p, parent, sig, status);
  wake_up_all(parent.signal.wait_chldexit);
  return autoreap;
}

/** The signal that tells `parent` of the end of `p` with `status`. */
function send_death(p: task_struct, parent: task_struct, sig: i32, status: i32): void {
  const info = G.scratch_siginfo();
  G.fill_siginfo(info, sig, N.CLD_EXITED, p, parent);
  if (status & 0x7f) {
    info.code = status & 0x80 ? N.CLD_DUMPED : N.CLD_KILLED;
    info.status = status & 0x7f;
  } else {
    info.status = status >> 8;
  }
  G.send_signal(parent, info, true, false);
}

/** The same for what most tasks do not have: the rare record. */
function exit_rare(p: task_struct): void {
  const k = T.rare(p);
  remove_waiters(p);
  forget_upcall(p);
  clear_woken(p);
  if (!nil(k.vfork_child)) {
    T.rare(k.vfork_child).vfork_parent = NULL<task_struct>();
    k.vfork_child = NULL<task_struct>();
  }
  mm_release(p);
  drop_sigframes(p);
  audit_free(p);
}

/** Everything of a dead thread but its record's number, parent and status. */
function exit_resources(p: task_struct): void {
  const k = cold(p);
  G.unmark_fatal(p);
  if (p.flags & T.PF_RARE) exit_rare(p);
  const files = k.files;
  k.files = NULL<files_struct>();
  put_files(files);
  const fs = k.fs;
  k.fs = NULL<fs_struct>();
  if (!seeded_fault(F_FS_LEAK)) put_fs(fs);
  const ns = k.nsproxy;
  k.nsproxy = NULL<nsproxy>();
  put_nsproxy(ns);
}

/**
 * Ends thread `p` with `code` (wait status form). When it was the group's last one the process is
 * dead: its container, children and parent learn of it.
 */
export function do_exit(p: task_struct, code: i32): void {
  if (p.flags & T.PF_EXITING) return;
  p.flags = (p.flags | T.PF_EXITING) & ~(T.TIF_SIGPENDING | T.JOBCTL_STOP);
  const k = cold(p);
  const signal = p.signal;
  signal.live -= 1;
  const group_dead = signal.live == 0;
  k.exit_code = code;
  // the last thread's code is the process's, when nothing else ended it
  if (group_dead && !(signal.flags & S.SIGNAL_GROUP_EXIT)) {
    signal.flags |= S.SIGNAL_GROUP_EXIT;
    signal.group_exit_code = code;
  }
  // a stopped thread that is killed was running for a moment
  p.state = T.TASK_RUNNING;
  // an exec that was killed while it waited for the others
  if (same(signal.exec_task, p)) signal.exec_task = NULL<task_struct>();
  if (group_dead && signal.flags & S.SIGNAL_IPC) exit_ipc(p);
  exit_resources(p);
  if (group_dead) {
    if (!nil(signal.timers)) exit_itimers(signal);
    if (signal.tty) disassociate_ctty(p, true);
    const leader = signal.leader;
    // DEVIATION: D-12 - the code that wait4 reports, not the leader's own
    exit_container(leader, seeded_fault(D_12) ? cold(leader).exit_code : group_status(leader));
    // the last thread need not be the leader, and may stay a while as a namespace's init
    p.container = NULL<container>();
  }
  if (root().audit) audit_exit_done();
  emit(EVENT_EXIT, p.pid, code, tgid_nr(signal), group_dead ? 1 : 0, 0);
  const ns = task_active_pid_ns(p);
  if (same(ns.child_reaper, p)) {
    const other = find_alive_thread(p);
    if (!nil(other)) ns.child_reaper = other;
    else if (begin_zap(p, ns)) return;
  }
  exit_notify(p);
}

/** The end of a pid namespace's init: true when it has to wait for the others to be gone. */
function begin_zap(p: task_struct, ns: pid_namespace): bool {
  if (ns.reboot) {
    p.signal.flags |= S.SIGNAL_GROUP_EXIT;
    p.signal.group_exit_code = ns.reboot;
  }
  // children that die now are reaped by nobody: their zombies must not keep the namespace
  for (let nr = 1; ;) {
    const number = find_ge_pid(nr, ns);
    if (nil(number)) break;
    nr = pid_nr_ns(number, ns) + 1;
    const t = number.task;
    if (nil(t) || same(t.signal, p.signal)) continue;
    if (!(t.signal.flags & S.SIGNAL_GROUP_EXIT)) S_kill(t);
  }
  // the namespace counts as dying only afterwards: nobody is to finish `p` amid this
  p.state = T.TASK_ZAPPING;
  reap_zombie_children(p);
  ns.dying = 1;
  return ns.nr_hashed > p.signal.nr_threads;
}

function S_kill(t: task_struct): void {
  G.start_group_exit(t.signal, N.SIGKILL);
}

function reap_zombie_children(p: task_struct): void {
  const head = p.children;
  let at = head.next;
  while (at !== head) {
    const child = task_struct.from_sibling(at);
    at = at.next;
    if (child.state != T.EXIT_ZOMBIE || !thread_group_empty(child)) continue;
    const others = root().nr_threads - 1;
    release_task(child);
    // the init of a namespace below that waited for this one alone is gone with it
    if (root().nr_threads != others) at = head.next;
  }
}

/** The last other process of a dying namespace is gone: its init's own death is reported now. */
function finish_zap(ns: pid_namespace): void {
  const init = ns.child_reaper;
  if (nil(init) || init.state != T.TASK_ZAPPING) return;
  if (ns.nr_hashed > init.signal.nr_threads) return;
  init.state = T.TASK_RUNNING;
  exit_notify(init);
}

/** Children get a new parent; the group's death, if it is one, is announced. */
function exit_notify(p: task_struct): void {
  const signal = p.signal;
  forget_original_parent(p);
  if (signal.live == 0) kill_orphaned_pgrp(p, NULL<task_struct>());
  const leader = T.thread_group_leader(p);
  p.state = T.EXIT_ZOMBIE;
  if (leader) {
    if (!thread_group_empty(p)) wake_exec(signal);
    else if (zap_reaps(p) || do_notify_parent(p)) release_task(p);
    return;
  }
  release_task(p);
}

/** Is the parent a namespace's init that only waits for the end? Then nobody asks for statuses. */
function zap_reaps(p: task_struct): bool {
  return p.real_parent.state == T.TASK_ZAPPING;
}

/** An exec waits for the other threads of its group to be gone. */
function wake_exec(signal: S.signal_struct): void {
  if (!nil(signal.exec_task)) wake_up_process(signal.exec_task);
}

/** Takes a dead thread out of every list and frees it. */
export function release_task(p: task_struct): void {
  if (release_plain(p)) return;
  const k = cold(p);
  const signal = p.signal;
  const number = p.thread_pid;
  const leader = T.thread_group_leader(p);
  const r = root();
  if (leader) emit(EVENT_REAP, p.pid, p.real_parent.pid, 0, 0, 0);
  if (!list_head.empty(k.queue)) flush_sigqueue_mask(k.queue, ~(<u64>0));
  if (p.flags & T.PF_RARE) sched_free(p);
  list_head.del(k.thread_node);
  signal.nr_threads -= 1;
  r.nr_threads -= 1;
  if (leader) {
    list_head.del(p.sibling);
    detach_group(signal, number);
    r.nr_processes -= 1;
  }
  number.task = NULL<task_struct>();
  pid_detached(number);
  wake_up_all(number.waitq);
  const ns = number.ns;
  const level = number.level;
  // the last of a namespace's init, which need not be its leader: there is none any more
  if (level && same(ns.child_reaper, p)) ns.child_reaper = NULL<task_struct>();
  S.put_sighand(k.sighand);
  if (!seeded_fault(F_NPROC)) dec_nproc(p.cred.ucounts);
  put_cred(p.cred);
  const waiting = leader ? NULL<task_struct>() : signal.leader;
  const last = signal.nr_threads == 0;
  if (last) {
    if (!list_head.empty(signal.queue)) flush_sigqueue_mask(signal.queue, ~(<u64>0));
    remove_group_waiters(signal);
  }
  S.put_signal_struct(signal);
  T.free_task(p);
  if (!nil(waiting)) leader_alone(waiting);
  if (level) namespaces_shrank(ns, level);
  put_pid(number);
}

/** The numbers that end with a process may have kept dying namespaces waiting. */
function namespaces_shrank(ns: pid_namespace, level: i32): void {
  for (let i = level; i > 0; --i) {
    const parent = changetype<pid_namespace>(ns.parent);
    if (ns.dying) finish_zap(ns);
    ns = parent;
  }
}

/** A zombie leader whose last thread is gone is announced now (delayed group leader). */
function leader_alone(leader: task_struct): void {
  const signal = leader.signal;
  if (leader.state == T.EXIT_ZOMBIE && signal.nr_threads == 1 && nil(signal.exec_task)) {
    if (signal.flags & S.SIGNAL_GROUP_EXIT) cold(leader).exit_code = signal.group_exit_code;
    if (zap_reaps(leader) || do_notify_parent(leader)) {
      release_task(leader);
      return;
    }
  }
  if (signal.nr_threads == 1) leader.flags &= ~T.PF_THREADED;
  wake_exec(signal);
}

/** The group leaves its process group and session, which may bear the number of another. */
function detach_group(signal: S.signal_struct, number: pid): void {
  const pgrp = signal.pgrp;
  const session = signal.session;
  list_head.del(signal.pgrp_link);
  session.nr_sessions -= 1;
  if (nil(pgrp.task) && !same(pgrp, number)) number_left(pgrp);
  if (nil(session.task) && !same(session, number)) number_left(session);
  put_pid(pgrp);
  put_pid(session);
}

/** A process has left the group or session of number `p`. */
export function number_left(p: pid): void {
  if (pid_detached(p)) namespaces_shrank(ns_of_pid(p), p.level);
}

function remove_group_waiters(signal: S.signal_struct): void {
  // only the group's own threads wait on it, and they are gone
  list_head.init(signal.wait_chldexit);
}

/** exit_group(2): the first code wins; the caller ends now, the others are marked. */
export function do_group_exit(p: task_struct, code: i32): void {
  begin_group_exit(p, code);
  do_exit(p, p.signal.group_exit_code);
}

/** From here on the group of `p` ends with `code`, unless another code came first. */
export function begin_group_exit(p: task_struct, code: i32): void {
  const signal = p.signal;
  if (signal.flags & S.SIGNAL_GROUP_EXIT) return;
  if (signal.nr_threads > 1) {
    p.flags |= T.PF_EXITING; // not to be marked itself
    G.start_group_exit(signal, code);
    p.flags &= ~T.PF_EXITING;
  } else {
    signal.flags |= S.SIGNAL_GROUP_EXIT;
    signal.group_exit_code = code;
  }
}

/** Ends a task that is marked: with its group's code, or by the SIGKILL that marked it. */
export function die_now(p: task_struct): void {
  const signal = p.signal;
  if (signal.flags & S.SIGNAL_GROUP_EXIT) do_exit(p, signal.group_exit_code);
  else if (!nil(signal.exec_task) && !same(signal.exec_task, p)) do_exit(p, 0);
  else if (T.rare(p).fatal_signo) do_group_exit(p, T.rare(p).fatal_signo);
  else do_group_exit(p, fatal_signal(p));
}

/** The signal that ends `p` next: SIGKILL, or the first deliverable one whose default is death. */
export function fatal_signal(p: task_struct): i32 {
  const ready = (p.pending | p.signal.shared_pending) & ~cold(p).blocked;
  if (ready & G.sigmask(N.SIGKILL)) return N.SIGKILL;
  for (let sig = 1; sig <= 64; ++sig) {
    if (!((ready >> (sig - 1)) & 1) || G.sig_handler(p, sig) != N.SIG_DFL) continue;
    if (G.sig_kernel_ignore(sig) || G.sig_kernel_stop(sig)) continue;
    return sig;
  }
  return 0;
}
