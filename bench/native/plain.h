/*
 * The C twin's short ways for what most processes do: forks with nothing unusual, ends with nothing
 * of one's own to give back (assembly/process/fork-plain.ts, exit-plain.ts). Included by exit.h.
 */
#ifndef TWIN_PLAIN_H
#define TWIN_PLAIN_H
#include "process.h"

#define PF_UNPLAIN (PF_EXITING | PF_RARE | PF_THREADED | TIF_SIGPENDING | JOBCTL_STOP_PENDING)
static inline void refcount_dec(int32_t *count) { *count -= 1; }

static inline bool is_awaited(task *p, signal_struct *signal) {
  task *parent = AT(task, p->real_parent);
  signal_struct *up = AT(signal_struct, parent->signal);
  sighand *h = AT(sighand, cold(parent)->sighand);
  if (!h || parent->state == TASK_ZAPPING || cold(p)->exit_signal != BH_SIGCHLD) return false;
  k_sigaction *action = action_of(h, BH_SIGCHLD);
  if (action->handler == BH_SIG_IGN || action->flags & BH_SA_NOCLDWAIT) return false;
  if (!sig_ignored(parent, BH_SIGCHLD, false)) return false;
  return up->pgrp == signal->pgrp || up->session != signal->session;
}
static inline bool ends_plainly(task *p, signal_struct *signal) {
  if (p->flags & PF_UNPLAIN || p->kill_slot || signal->flags & SIGNAL_GROUP_EXIT) return false;
  if (signal->timers || !list_empty(LIST(p, children))) return false;
  task_cold *k = cold(p);
  if (AT(files_struct, k->files)->count <= 1 || AT(fs_struct, k->fs)->count <= 1) return false;
  if (AT(nsproxy, k->nsproxy)->count <= 1) return false;
  container *c = AT(container, p->container);
  if (!c || c->init == REF(signal) || c->usage <= 1) return false;
  if (c->nr_members == 1 && !is_init_container(c)) return false;
  return ns_of_pid(AT(pid, p->thread_pid))->child_reaper != REF(p) && is_awaited(p, signal);
}
static bool exit_plain(task *p, int code) {
  signal_struct *signal = AT(signal_struct, p->signal);
  if (!ends_plainly(p, signal)) return false;
  task_cold *k = cold(p);
  p->flags |= PF_EXITING;
  signal->live = 0;
  signal->flags |= SIGNAL_GROUP_EXIT;
  signal->group_exit_code = code;
  k->exit_code = code;
  refcount_dec(&AT(files_struct, k->files)->count);
  k->files = 0;
  refcount_dec(&AT(fs_struct, k->fs)->count);
  k->fs = 0;
  refcount_dec(&AT(nsproxy, k->nsproxy)->count);
  k->nsproxy = 0;
  container *c = AT(container, p->container);
  c->nr_members -= 1;
  if (!is_init_container(c)) {
    uint32_t slot = p->member_slot;
    AT(ref, c->members)[slot] = 0;
    if (slot + 1 == c->members_len) c->members_len = slot;
  }
  refcount_dec(&c->usage);
  p->container = 0;
  emit(BH_EVENT_EXIT);
  p->state = EXIT_ZOMBIE;
  wake_up_all(LIST(AT(pid, p->thread_pid), waitq));
  wake_up_all(LIST(AT(signal_struct, AT(task, p->real_parent)->signal), wait));
  return true;
}

static inline bool goes_plainly(task *p, signal_struct *signal, pid *number) {
  if (p->flags & PF_RARE || signal->nr_threads != 1 || signal->sigcnt != 1) return false;
  if (number->level | (number->count - 1)) return false;
  task_cold *k = cold(p);
  if (!list_empty(LIST(k, queue)) || !list_empty(LIST(signal, queue))) return false;
  if (!AT(pid, signal->pgrp)->task || !AT(pid, signal->session)->task) return false;
  return AT(sighand, k->sighand)->count > 1 && AT(cred, p->cred)->count > 1 &&
         AT(rlimit_table, signal->rlim)->count > 1;
}
static bool release_plain(task *p) {
  signal_struct *signal = AT(signal_struct, p->signal);
  pid *number = AT(pid, p->thread_pid);
  if (!goes_plainly(p, signal, number)) return false;
  pid_namespace *ns = ns_of_pid(number);
  emit(BH_EVENT_REAP);
  root->nr_threads -= 1;
  root->nr_processes -= 1;
  list_del(LIST(p, sibling));
  list_del(LIST(signal, pgrp));
  pid *session = AT(pid, signal->session);
  session->nr_sessions -= 1;
  refcount_dec(&AT(pid, signal->pgrp)->count);
  refcount_dec(&session->count);
  refcount_dec(&AT(sighand, cold(p)->sighand)->count);
  cred *c = AT(cred, p->cred);
  dec_nproc(AT(ucounts, c->ucounts));
  refcount_dec(&c->count);
  refcount_dec(&AT(rlimit_table, signal->rlim)->count);
  hash_number(ns, upid_of(number, 0)->nr, 0, -1);
  refcount_dec(&NS(ns)->count);
  wake_up_all(LIST(number, waitq));
  cache_free(CACHE_SIGNAL, signal);
  put_task(p);
  cache_free(CACHE_PID, number);
  return true;
}

static inline void attach_process(task *p, task *parent) {
  signal_struct *signal = AT(signal_struct, p->signal);
  signal_struct *old = AT(signal_struct, parent->signal);
  pid *pgrp = AT(pid, old->pgrp);
  pid *session = AT(pid, old->session);
  signal->nr_threads = 1;
  signal->live = 1;
  signal->tgid_pid = p->thread_pid;
  signal->pgrp = REF(get_pid(old->pgrp));
  signal->session = REF(get_pid(old->session));
  session->nr_sessions += 1;
  list_add_tail(LIST(signal, pgrp), LIST(pgrp, members));
  list_add_tail(LIST(p, sibling), LIST(AT(task, p->real_parent), children));
  root->nr_processes += 1;
}

static bool is_plain(task *parent, container *dest, pid_namespace *ns) {
  task_cold *k = cold(parent);
  files_struct *files = AT(files_struct, k->files);
  uint32_t shared = files->shared | files->locks | AT(fs_struct, k->fs)->shared |
                    AT(sighand, k->sighand)->shared;
  if (shared | ns->dying | (uint32_t)NS(ns)->level | (parent->flags & TIF_SIGPENDING)) return false;
  if (parent->flags & PF_RARE) {
    task_rare *r = rare(parent);
    if (parent->flags & PF_AUDIT || r->sched || r->sigframes || r->sas_size) return false;
  }
  if (container_dead(dest) || !ns->child_reaper) return false;
  int32_t threads = root->nr_threads;
  if (threads >= root->threads_max || (uint32_t)threads >= root->kill_capacity) return false;
  return is_init_container(dest) || dest->members_len < dest->members_cap;
}
static task *new_child(task *parent, container *dest, ref cr, ref proxy) {
  signal_struct *old = AT(signal_struct, parent->signal);
  task_cold *from = cold(parent);
  pid_namespace *ns = AT(pid_namespace, AT(nsproxy, proxy)->pid_ns_for_children);
  if (!is_plain(parent, dest, ns)) return NULL;
  leaf_slot *slot = next_at_hand(ns);
  if (!slot) return NULL;
  task *p = alloc_task();
  signal_struct *signal = p ? alloc_signal() : NULL;
  pid *number = signal ? new_struct_pid(0) : NULL;
  if (!number) NOT_IN_TWIN();
  task_cold *k = cold(p);
  p->cred = get_cred(cr);
  k->sighand = from->sighand;
  refcount_inc(&AT(sighand, from->sighand)->count);
  k->files = from->files;
  refcount_inc(&AT(files_struct, from->files)->count);
  k->fs = from->fs;
  refcount_inc(&AT(fs_struct, from->fs)->count);
  k->nsproxy = proxy;
  refcount_inc(&AT(nsproxy, proxy)->count);
  k->blocked = from->blocked;
  k->comm0 = from->comm0;
  k->comm1 = from->comm1;
  inherit_signal(p, signal, old);
  p->flags = PF_FORKNOEXEC | (parent->flags & (PF_TRACED | PF_NO_NEW_PRIVS));
  k->exit_signal = BH_SIGCHLD;
  p->pid = take_next(ns, slot, number);
  upid_of(number, 0)->nr = p->pid;
  upid_of(number, 0)->ns = REF(ns);
  number->ns = REF(ns);
  refcount_inc(&NS(ns)->count);
  p->thread_pid = REF(number);
  number->task = REF(p);
  p->real_parent = REF(parent);
  list_add_tail(LIST(k, thread), LIST(signal, threads));
  root->nr_threads += 1;
  inc_nproc(AT(ucounts, AT(cred, p->cred)->ucounts));
  attach_process(p, parent);
  container_join(dest, p);
  return p;
}
static task *fork_plain(task *parent) {
  cred *c = AT(cred, parent->cred);
  if (c->keyrings || c->uid != 0) NOT_IN_TWIN();
  container *dest = AT(container, AT(task, AT(signal_struct, parent->signal)->leader)->container);
  return new_child(parent, dest, parent->cred, cold(parent)->nsproxy);
}
static task *enter_plain(task *parent, container *into) {
  if (root->audit || AT(cred, into->cred)->uid != 0) NOT_IN_TWIN();
  if (!into->init && !is_init_container(into)) return NULL;
  return new_child(parent, into, into->cred, into->ns);
}
#endif
