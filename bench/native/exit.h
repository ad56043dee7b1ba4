/* The C twin's ends: exit, reaping, wait, the end of a pid namespace. */
#ifndef TWIN_EXIT_H
#define TWIN_EXIT_H
#include "plain.h"

static void release_task(task *p);
static void exit_notify(task *p);

static inline bool thread_group_empty(task *p) {
  return AT(signal_struct, p->signal)->nr_threads == 1;
}
static inline int group_status(task *p) {
  signal_struct *s = AT(signal_struct, p->signal);
  return s->flags & SIGNAL_GROUP_EXIT ? s->group_exit_code : cold(p)->exit_code;
}
static task *find_alive_thread(task *p) {
  list_each(at, LIST(AT(signal_struct, p->signal), threads)) {
    task *t = from_thread_node(at);
    if (!(t->flags & PF_EXITING)) return t;
  }
  return NULL;
}
static inline bool zap_reaps(task *p) { return AT(task, p->real_parent)->state == TASK_ZAPPING; }

static bool do_notify_parent(task *p) {
  task_cold *k = cold(p);
  task *parent = AT(task, p->real_parent);
  int sig = k->exit_signal;
  bool autoreap = false;
  int status = k->exit_code;
  sighand *h = AT(sighand, cold(parent)->sighand);
  list_head *queue = LIST(AT(signal_struct, parent->signal), wait);
  wake_up_all(LIST(AT(pid, p->thread_pid), waitq));
  if (!h) {
    wake_up_all(queue);
    return false;
  }
  if (sig == BH_SIGCHLD) {
    k_sigaction *action = action_of(h, BH_SIGCHLD);
    if (action->handler == BH_SIG_IGN || action->flags & BH_SA_NOCLDWAIT) {
      autoreap = true;
      if (action->handler == BH_SIG_IGN) sig = 0;
    }
  }
  bool ignored = sig == BH_SIGCHLD && sig_ignored(parent, BH_SIGCHLD, false);
  if (sig > 0 && sig <= 64 && !ignored) {
    siginfo *info = SCRATCH_INFO;
    fill_siginfo(info, sig, BH_CLD_EXITED, p, parent);
    if (status & 0x7f) {
      info->code = status & 0x80 ? BH_CLD_DUMPED : BH_CLD_KILLED;
      info->status = status & 0x7f;
    } else {
      info->status = status >> 8;
    }
    send_signal(parent, info, true, false);
  }
  wake_up_all(queue);
  return autoreap;
}

/* ---- children of the dead, orphaned process groups */

static bool will_become_orphaned(pid *pgrp, task *ignored) {
  list_each(at, LIST(pgrp, members)) {
    signal_struct *s = ENTRY(signal_struct, at, pgrp);
    task *p = AT(task, s->leader);
    if (p == ignored || p->state == EXIT_ZOMBIE) continue;
    task *parent = AT(task, p->real_parent);
    if (REF(parent) == root->init_task) continue;
    signal_struct *theirs = AT(signal_struct, parent->signal);
    if (theirs->pgrp != REF(pgrp) && theirs->session == s->session) return false;
  }
  return true;
}
static void kill_orphaned_pgrp(task *p, task *parent) {
  signal_struct *mine = AT(signal_struct, p->signal);
  task *up = parent ? parent : AT(task, p->real_parent);
  task *ignored = parent ? NULL : p;
  signal_struct *theirs = AT(signal_struct, up->signal);
  if (theirs->pgrp == mine->pgrp || theirs->session != mine->session) return;
  pid *pgrp = AT(pid, mine->pgrp);
  if (!will_become_orphaned(pgrp, ignored)) return;
  list_each(at, LIST(pgrp, members))
    if (ENTRY(signal_struct, at, pgrp)->flags & SIGNAL_STOP_STOPPED) NOT_IN_TWIN();
}
static void reparent_leader(task *father, task *child) {
  cold(child)->exit_signal = BH_SIGCHLD;
  if (child->state == EXIT_ZOMBIE && thread_group_empty(child)) {
    if (zap_reaps(child) || do_notify_parent(child)) {
      release_task(child);
      return;
    }
  }
  kill_orphaned_pgrp(child, father);
}
static task *find_new_reaper(task *father) {
  task *thread = find_alive_thread(father);
  if (thread) return thread;
  if (AT(signal_struct, father->signal)->flags & SIGNAL_HAS_SUBREAPER) NOT_IN_TWIN();
  return AT(task, task_active_pid_ns(father)->child_reaper);
}
static void forget_original_parent(task *father) {
  list_head *head = LIST(father, children);
  if (list_empty(head)) return;
  task *reaper = find_new_reaper(father);
  if (!reaper || reaper == father) return;
  while (!list_empty(head)) {
    list_head *link = AT(list_head, head->next);
    task *child = ENTRY(task, link, sibling);
    list_del(link);
    list_each(at, LIST(AT(signal_struct, child->signal), threads)) {
      task *t = from_thread_node(at);
      t->real_parent = REF(reaper);
      if (t->flags & PF_RARE && rare(t)->pdeath_signal) NOT_IN_TWIN();
    }
    list_add_tail(link, LIST(reaper, children));
    if (reaper->signal != father->signal) reparent_leader(father, child);
  }
}

/* ---- the end of a thread */

static void exit_rare(task *p) {
  task_rare *k = rare(p);
  if (k->waiters || k->upcall || p->flags & (PF_WOKEN | PF_AUDIT)) NOT_IN_TWIN();
  if (k->vfork_child || k->vfork_parent || k->robust_list || k->clear_child_tid) NOT_IN_TWIN();
  for (sigframe *f = AT(sigframe, k->sigframes); f;) {
    sigframe *next = AT(sigframe, f->next);
    cache_free(CACHE_SIGFRAME, f);
    f = next;
  }
  k->sigframes = 0;
}
static void exit_resources(task *p) {
  task_cold *k = cold(p);
  unmark_fatal(p);
  if (p->flags & PF_RARE) exit_rare(p);
  files_struct *files = AT(files_struct, k->files);
  k->files = 0;
  put_files(files);
  fs_struct *fs = AT(fs_struct, k->fs);
  k->fs = 0;
  put_fs(fs);
  nsproxy *ns = AT(nsproxy, k->nsproxy);
  k->nsproxy = 0;
  put_nsproxy(ns);
}
static bool begin_zap(task *p, pid_namespace *ns) {
  signal_struct *mine = AT(signal_struct, p->signal);
  if (ns->reboot) NOT_IN_TWIN();
  for (int index = 0; index < ns->nr_leaves; ++index) {
    leaf_slot *slot = &AT(leaf_slot, ns->table)[index];
    if (!slot->numbers || !slot->used) continue;
    for (int i = 0; i < LEAF_NUMBERS; ++i) {
      pid *number = AT(pid, AT(ref, slot->numbers)[i]);
      task *t = number ? AT(task, number->task) : NULL;
      if (!t || t->signal == p->signal) continue;
      signal_struct *s = AT(signal_struct, t->signal);
      if (!(s->flags & SIGNAL_GROUP_EXIT)) start_group_exit(s, BH_SIGKILL);
    }
  }
  p->state = TASK_ZAPPING;
  list_head *head = LIST(p, children);
  for (list_head *at = AT(list_head, head->next); at != head;) {
    task *child = ENTRY(task, at, sibling);
    at = AT(list_head, at->next);
    if (child->state != EXIT_ZOMBIE || !thread_group_empty(child)) continue;
    uint32_t others = (uint32_t)root->nr_threads - 1;
    release_task(child);
    if ((uint32_t)root->nr_threads != others) at = AT(list_head, head->next);
  }
  ns->dying = 1;
  return ns->nr_hashed > mine->nr_threads;
}
static void finish_zap(pid_namespace *ns) {
  task *init = AT(task, ns->child_reaper);
  if (!init || init->state != TASK_ZAPPING) return;
  if (ns->nr_hashed > AT(signal_struct, init->signal)->nr_threads) return;
  init->state = TASK_RUNNING;
  exit_notify(init);
}
static void do_exit(task *p, int code) {
  if (p->flags & PF_EXITING) return;
  p->flags = (p->flags | PF_EXITING) & ~(TIF_SIGPENDING | JOBCTL_STOP_PENDING);
  task_cold *k = cold(p);
  signal_struct *signal = AT(signal_struct, p->signal);
  signal->live -= 1;
  bool group_dead = signal->live == 0;
  k->exit_code = code;
  if (group_dead && !(signal->flags & SIGNAL_GROUP_EXIT)) {
    signal->flags |= SIGNAL_GROUP_EXIT;
    signal->group_exit_code = code;
  }
  p->state = TASK_RUNNING;
  exit_resources(p);
  if (group_dead) {
    if (signal->timers) NOT_IN_TWIN();
    task *leader = AT(task, signal->leader);
    exit_container(leader, group_status(leader));
    p->container = 0;
  }
  if (root->audit) NOT_IN_TWIN();
  emit(BH_EVENT_EXIT);
  pid_namespace *ns = task_active_pid_ns(p);
  if (ns->child_reaper == REF(p)) {
    task *other = find_alive_thread(p);
    if (other) ns->child_reaper = REF(other);
    else if (begin_zap(p, ns)) return;
  }
  exit_notify(p);
}
static void exit_notify(task *p) {
  signal_struct *signal = AT(signal_struct, p->signal);
  forget_original_parent(p);
  if (signal->live == 0) kill_orphaned_pgrp(p, NULL);
  bool leader = thread_group_leader(p);
  p->state = EXIT_ZOMBIE;
  if (leader) {
    if (!thread_group_empty(p)) {
      if (signal->exec_task) NOT_IN_TWIN();
    } else if (zap_reaps(p) || do_notify_parent(p)) {
      release_task(p);
    }
    return;
  }
  release_task(p);
}
static void namespaces_shrank(pid_namespace *ns, int level) {
  for (int i = level; i > 0; --i) {
    pid_namespace *parent = AT(pid_namespace, NS(ns)->parent);
    if (ns->dying) finish_zap(ns);
    ns = parent;
  }
}
static void number_left(pid *p) {
  if (pid_detached(p)) namespaces_shrank(ns_of_pid(p), p->level);
}
static void detach_group(signal_struct *signal, pid *number) {
  pid *pgrp = AT(pid, signal->pgrp);
  pid *session = AT(pid, signal->session);
  list_del(LIST(signal, pgrp));
  session->nr_sessions -= 1;
  if (!pgrp->task && pgrp != number) number_left(pgrp);
  if (!session->task && session != number) number_left(session);
  put_pid(pgrp);
  put_pid(session);
}
static void leader_alone(task *leader) {
  signal_struct *signal = AT(signal_struct, leader->signal);
  if (leader->state == EXIT_ZOMBIE && signal->nr_threads == 1 && !signal->exec_task) {
    if (signal->flags & SIGNAL_GROUP_EXIT) cold(leader)->exit_code = signal->group_exit_code;
    if (zap_reaps(leader) || do_notify_parent(leader)) {
      release_task(leader);
      return;
    }
  }
  if (signal->nr_threads == 1) leader->flags &= ~PF_THREADED;
  if (signal->exec_task) NOT_IN_TWIN();
}
static void release_task(task *p) {
  if (release_plain(p)) return;
  task_cold *k = cold(p);
  signal_struct *signal = AT(signal_struct, p->signal);
  pid *number = AT(pid, p->thread_pid);
  bool leader = thread_group_leader(p);
  if (leader) emit(BH_EVENT_REAP);
  if (!list_empty(LIST(k, queue))) flush_sigqueue_mask(LIST(k, queue), ~0ull);
  if (p->flags & PF_RARE && rare(p)->sched) NOT_IN_TWIN();
  list_del(LIST(k, thread));
  signal->nr_threads -= 1;
  root->nr_threads -= 1;
  if (leader) {
    list_del(LIST(p, sibling));
    detach_group(signal, number);
    root->nr_processes -= 1;
  }
  number->task = 0;
  pid_detached(number);
  wake_up_all(LIST(number, waitq));
  pid_namespace *ns = ns_of_pid(number);
  int level = number->level;
  put_sighand(AT(sighand, k->sighand));
  cred *c = AT(cred, p->cred);
  dec_nproc(AT(ucounts, c->ucounts));
  put_cred(c);
  task *waiting = leader ? NULL : AT(task, signal->leader);
  if (signal->nr_threads == 0) {
    if (!list_empty(LIST(signal, queue))) flush_sigqueue_mask(LIST(signal, queue), ~0ull);
    list_init(LIST(signal, wait));
  }
  put_signal_struct(signal);
  free_task(p);
  if (waiting) leader_alone(waiting);
  if (level) namespaces_shrank(ns, level);
  put_pid(number);
}
static void do_group_exit(task *p, int code) {
  signal_struct *signal = AT(signal_struct, p->signal);
  if (signal->flags & SIGNAL_GROUP_EXIT) {
    do_exit(p, signal->group_exit_code);
    return;
  }
  if (signal->nr_threads > 1) {
    p->flags |= PF_EXITING;
    start_group_exit(signal, code);
    p->flags &= ~PF_EXITING;
  } else {
    signal->flags |= SIGNAL_GROUP_EXIT;
    signal->group_exit_code = code;
  }
  do_exit(p, code);
}
static void die_now(task *p) {
  signal_struct *signal = AT(signal_struct, p->signal);
  if (signal->flags & SIGNAL_GROUP_EXIT) do_exit(p, signal->group_exit_code);
  else if (signal->exec_task || rare(p)->fatal_signo) NOT_IN_TWIN();
  else if (p->pending & ~cold(p)->blocked & sigmask(BH_SIGKILL)) do_group_exit(p, BH_SIGKILL);
  else NOT_IN_TWIN();
}

/* ---- wait4 */

static bool eligible(wait_opts *w, task *child) {
  if (w->type == BH_P_PID && child->thread_pid != w->id) return false;
  if (w->type == BH_P_PGID && AT(signal_struct, child->signal)->pgrp != w->id) return false;
  if (w->options & BH___WALL) return true;
  bool clone_child = cold(child)->exit_signal != BH_SIGCHLD;
  return clone_child == ((w->options & BH___WCLONE) != 0);
}
static bool wait_consider_task(wait_opts *w, task *waiter_, task *child) {
  if (!eligible(w, child)) return false;
  signal_struct *s = AT(signal_struct, child->signal);
  w->found_child = 1;
  if (child->state == EXIT_ZOMBIE && thread_group_empty(child)) {
    int status = group_status(child);
    w->nr = pid_nr_ns(AT(pid, child->thread_pid), task_active_pid_ns(waiter_));
    w->uid = AT(cred, child->cred)->uid;
    w->status = status;
    if (!(w->options & BH_WNOWAIT)) release_task(child);
    return true;
  }
  if (child->state == EXIT_ZOMBIE && s->flags & SIGNAL_GROUP_EXIT) return false;
  if (w->options & BH_WUNTRACED && s->flags & SIGNAL_STOP_STOPPED) NOT_IN_TWIN();
  if (w->options & BH_WCONTINUED && s->flags & SIGNAL_STOP_CONTINUED) NOT_IN_TWIN();
  return false;
}
static bool do_wait_scan(wait_opts *w, task *p) {
  if (w->type == BH_P_PID) {
    pid *id = AT(pid, w->id);
    if (!id || !id->task) return false;
    task *child = AT(task, id->task);
    if (!thread_group_leader(child)) return false;
    task *parent = AT(task, child->real_parent);
    bool mine = w->options & BH___WNOTHREAD ? parent == p : parent->signal == p->signal;
    return mine && wait_consider_task(w, p, child);
  }
  list_each(at, LIST(AT(signal_struct, p->signal), threads)) {
    task *t = from_thread_node(at);
    if (w->options & BH___WNOTHREAD && t != p) continue;
    list_each(link, LIST(t, children))
      if (wait_consider_task(w, p, ENTRY(task, link, sibling))) return true;
  }
  return false;
}
/* one child, dead already, of this very thread: its status, or -1 */
static inline int wait_plain(task *p, int nr) {
  pid *number = find_pid_ns(nr, task_active_pid_ns(p));
  if (!number) return -1;
  task *child = AT(task, number->task);
  if (!child || child->state != EXIT_ZOMBIE || child->real_parent != REF(p)) return -1;
  if (cold(child)->exit_signal != BH_SIGCHLD || !thread_group_empty(child)) return -1;
  int status = group_status(child);
  release_task(child);
  return status;
}
static int kernel_wait4(task *p, frame *f) {
  int upid_ = (int32_t)arg(f, 0);
  uint64_t status = arg(f, 1);
  int options = (int32_t)arg(f, 2);
  const int known = BH_WNOHANG | BH_WUNTRACED | BH_WCONTINUED | BH___WNOTHREAD | BH___WCLONE |
                    BH___WALL;
  if (options & ~known) return -BH_EINVAL;
  if (upid_ == INT32_MIN) return -BH_ESRCH;
  if (status || f->r10) NOT_IN_TWIN();
  wait_opts *w = WAIT_OPTS;
  if (upid_ > 0 && !(options & ~BH_WNOHANG) && !f->phase) {
    int found = wait_plain(p, upid_);
    if (found >= 0) {
      w->status = found;
      return upid_;
    }
  }
  w->options = options | BH_WEXITED;
  w->id = 0;
  w->type = BH_P_PID;
  if (upid_ == -1) w->type = BH_P_ALL;
  else if (upid_ <= 0) NOT_IN_TWIN();
  else w->id = REF(find_pid_ns(upid_, task_active_pid_ns(p)));
  if (f->phase) NOT_IN_TWIN();
  w->nr = 0;
  w->found_child = 0;
  if (do_wait_scan(w, p)) return w->nr;
  if (!w->found_child) return -BH_ECHILD;
  if (w->options & BH_WNOHANG) return 0;
  NOT_IN_TWIN();
}
#endif
