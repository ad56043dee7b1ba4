/* The C twin's signals: who may, what is ignored, the queue, the kill queue, handlers. */
#ifndef TWIN_SIGNALS_H
#define TWIN_SIGNALS_H
#include "objects.h"

#define SIGNAL_GROUP_EXIT 0x1u
#define SIGNAL_STOP_STOPPED 0x2u
#define SIGNAL_STOP_CONTINUED 0x4u
#define SIGNAL_CLD_STOPPED 0x8u
#define SIGNAL_CLD_CONTINUED 0x10u
#define SIGNAL_UNKILLABLE 0x20u
#define SIGNAL_CHILD_SUBREAPER 0x40u
#define SIGNAL_HAS_SUBREAPER 0x80u
#define SIGNAL_NOT_DUMPABLE 0x100u

static inline uint64_t sigmask(int sig) { return 1ull << (sig - 1); }
#define KERNEL_STOP                                                                               \
  (sigmask(BH_SIGSTOP) | sigmask(BH_SIGTSTP) | sigmask(BH_SIGTTIN) | sigmask(BH_SIGTTOU))
#define KERNEL_IGNORE                                                                             \
  (sigmask(BH_SIGCONT) | sigmask(BH_SIGCHLD) | sigmask(BH_SIGWINCH) | sigmask(BH_SIGURG))
#define KERNEL_COREDUMP 0x418004fcull
#define KERNEL_ONLY (sigmask(BH_SIGKILL) | sigmask(BH_SIGSTOP))

static inline bool in_set(uint64_t set, int sig) {
  return sig < BH_SIGRTMIN && (set & sigmask(sig)) != 0;
}
static inline uint64_t sig_handler(task *p, int sig) {
  return action_of(AT(sighand, cold(p)->sighand), sig)->handler;
}
static bool sig_ignored(task *p, int sig, bool force) {
  if (cold(p)->blocked & sigmask(sig)) return false;
  if (p->flags & PF_TRACED && sig != BH_SIGKILL) return false;
  uint64_t handler = sig_handler(p, sig);
  if (AT(signal_struct, p->signal)->flags & SIGNAL_UNKILLABLE && handler == BH_SIG_DFL)
    if (!(force && (sigmask(sig) & KERNEL_ONLY))) return true;
  return handler == BH_SIG_IGN || (handler == BH_SIG_DFL && in_set(KERNEL_IGNORE, sig));
}
static void recalc_sigpending(task *p) {
  uint64_t pending = p->pending | AT(signal_struct, p->signal)->shared_pending;
  if (pending & ~cold(p)->blocked || p->flags & JOBCTL_STOP_PENDING) p->flags |= TIF_SIGPENDING;
  else p->flags &= ~TIF_SIGPENDING;
}

static void wake_up_process(task *p) {
  if (p->state != TASK_INTERRUPTIBLE && p->state != TASK_KILLABLE) return;
  p->state = TASK_RUNNING;
  p->flags |= PF_WOKEN;
  list_add_tail(LIST(rare_for_write(p), woken), LIST(root, woken));
}
static __attribute__((noinline)) void wake_up_sleepers(list_head *queue) {
  for (list_head *at = AT(list_head, queue->next); at != queue;) {
    list_head *next = AT(list_head, at->next);
    task *sleeper = AT(task, ((waiter *)(void *)at)->task);
    if (!sleeper) NOT_IN_TWIN();
    wake_up_process(sleeper);
    at = next;
  }
}
static inline void wake_up_all(list_head *queue) {
  if (!list_empty(queue)) wake_up_sleepers(queue);
}
static inline void signal_wake_up(task *p, bool fatal) {
  p->flags |= TIF_SIGPENDING;
  uint32_t state = p->state;
  if (state == TASK_INTERRUPTIBLE || (fatal && state == TASK_KILLABLE)) wake_up_process(p);
  else if (fatal && state == TASK_STOPPED) p->state = TASK_RUNNING;
}

/* ---- the queue of tasks that are to die */

static bool reserve_kill_queue(void) {
  uint32_t old = root->kill_capacity;
  if ((uint32_t)root->nr_threads < old) return true;
  uint32_t capacity = old ? old << 1 : 64;
  ref *queue = kmalloc(capacity * (uint32_t)sizeof(ref));
  if (!queue) return false;
  ref *from = AT(ref, root->kill_queue);
  for (uint32_t at = root->kill_head; at != root->kill_tail; ++at)
    queue[at & (capacity - 1)] = from[at & (old - 1)];
  kfree(from, old * (uint32_t)sizeof(ref));
  root->kill_queue = REF(queue);
  root->kill_capacity = capacity;
  return true;
}
static __attribute__((noinline)) void compact_kill_queue(void) {
  ref *queue = AT(ref, root->kill_queue);
  uint32_t mask = root->kill_capacity - 1;
  uint32_t to = root->kill_head;
  for (uint32_t from = root->kill_head; from != root->kill_tail; ++from) {
    ref entry = queue[from & mask];
    if (!entry) continue;
    queue[to & mask] = entry;
    AT(task, entry)->kill_slot = to + 1;
    to += 1;
  }
  root->kill_tail = to;
}
static inline void mark_fatal(task *p) {
  if (p->kill_slot || p->flags & PF_EXITING) return;
  if (unlikely(root->kill_tail - root->kill_head >= root->kill_capacity)) compact_kill_queue();
  uint32_t at = root->kill_tail;
  AT(ref, root->kill_queue)[at & (root->kill_capacity - 1)] = REF(p);
  p->kill_slot = at + 1;
  root->kill_tail = at + 1;
}
static void unmark_fatal(task *p) {
  if (!p->kill_slot) return;
  ref *queue = AT(ref, root->kill_queue);
  uint32_t mask = root->kill_capacity - 1;
  queue[(p->kill_slot - 1) & mask] = 0;
  p->kill_slot = 0;
  while (root->kill_head != root->kill_tail && !queue[root->kill_head & mask]) root->kill_head += 1;
}

static void start_group_exit(signal_struct *signal, int code) {
  signal->flags &= ~(SIGNAL_STOP_STOPPED | SIGNAL_STOP_CONTINUED);
  signal->flags |= SIGNAL_GROUP_EXIT;
  signal->group_exit_code = code;
  signal->group_stop_count = 0;
  list_each(at, LIST(signal, threads)) {
    task *t = from_thread_node(at);
    t->flags &= ~(JOBCTL_STOP_PENDING | JOBCTL_STOP_CONSUME);
    if (t->flags & PF_EXITING) continue;
    t->pending |= sigmask(BH_SIGKILL);
    mark_fatal(t);
    signal_wake_up(t, true);
  }
}
static inline void send_sigkill_group(task *leader) {
  if (leader->flags & (PF_THREADED | PF_EXITING)) {
    signal_struct *signal = AT(signal_struct, leader->signal);
    if (!(signal->flags & SIGNAL_GROUP_EXIT)) start_group_exit(signal, BH_SIGKILL);
    return;
  }
  leader->pending |= sigmask(BH_SIGKILL);
  mark_fatal(leader);
  signal_wake_up(leader, true);
}

/* ---- queued siginfo */

static sigqueue *sigqueue_alloc(task *p, bool always) {
  ucounts *user = AT(ucounts, AT(cred, p->cred)->ucounts);
  uint64_t most = always ? UINT64_MAX : rlimit(AT(signal_struct, p->signal), BH_RLIMIT_SIGPENDING);
  for (ucounts *at = user; at; at = above(at)) {
    if (at->sigpending >= most) NOT_IN_TWIN();
    at->sigpending += 1;
  }
  refcount_inc(&user->count);
  get_ns(user->ns);
  sigqueue *q = cache_alloc(CACHE_SIGQUEUE);
  if (q) q->user = REF(user);
  return q;
}
static void sigqueue_free(sigqueue *q) {
  ucounts *user = AT(ucounts, q->user);
  ns_common *ns = AT(ns_common, user->ns);
  for (ucounts *at = user; at; at = above(at)) at->sigpending -= 1;
  put_ucounts(user);
  put_ns(ns);
  cache_free(CACHE_SIGQUEUE, q);
}
static bool collect_signal(list_head *head, int sig, siginfo *info) {
  sigqueue *first = NULL;
  bool more = false;
  list_each(at, head) {
    sigqueue *q = (sigqueue *)(void *)at;
    if (q->signo != sig) continue;
    if (first) {
      more = true;
      break;
    }
    first = q;
  }
  if (!first) {
    memset(info, 0, sizeof *info);
    info->signo = sig;
    return false;
  }
  memcpy(info, &first->signo, sizeof *info);
  list_del(LIST(first, link));
  if (first->timer) NOT_IN_TWIN();
  sigqueue_free(first);
  return more;
}
static void flush_sigqueue_mask(list_head *head, uint64_t mask) {
  for (list_head *at = AT(list_head, head->next); at != head;) {
    list_head *next = AT(list_head, at->next);
    sigqueue *q = (sigqueue *)(void *)at;
    if ((mask >> (q->signo - 1)) & 1) {
      list_del(at);
      if (q->timer) NOT_IN_TWIN();
      sigqueue_free(q);
    }
    at = next;
  }
}

/* ---- sending */

static bool prepare_signal(int sig, task *p, bool force) {
  signal_struct *signal = AT(signal_struct, p->signal);
  if (signal->flags & SIGNAL_GROUP_EXIT) return sig == BH_SIGKILL;
  if (in_set(KERNEL_STOP, sig) || sig == BH_SIGCONT) NOT_IN_TWIN();
  return !sig_ignored(p, sig, force);
}
static inline bool wants_signal(int sig, task *p) {
  if (cold(p)->blocked & sigmask(sig)) return false;
  if (p->flags & PF_EXITING) return false;
  if (sig == BH_SIGKILL) return true;
  return p->state != TASK_STOPPED && !(p->flags & TIF_SIGPENDING);
}
static bool sig_fatal(task *p, int sig) {
  if (in_set(KERNEL_IGNORE | KERNEL_STOP, sig)) return false;
  if (AT(signal_struct, p->signal)->flags & SIGNAL_UNKILLABLE && sig != BH_SIGKILL) return false;
  return sig_handler(p, sig) == BH_SIG_DFL;
}
static void complete_signal(int sig, task *p, bool group) {
  signal_struct *signal = AT(signal_struct, p->signal);
  task *t = p;
  if (!wants_signal(sig, p)) {
    if (!group || signal->nr_threads <= 1) return;
    bool found = false;
    list_each(at, LIST(signal, threads)) {
      t = from_thread_node(at);
      if ((found = wants_signal(sig, t))) break;
    }
    if (!found) return;
  }
  bool fatal = sig_fatal(t, sig);
  if (fatal && !(signal->flags & SIGNAL_GROUP_EXIT) && !(cold(t)->blocked & sigmask(sig))) {
    if (sig == BH_SIGKILL || !(t->flags & PF_TRACED)) {
      if (!in_set(KERNEL_COREDUMP, sig)) {
        start_group_exit(signal, sig);
        return;
      }
      mark_fatal(t);
    }
  }
  signal_wake_up(t, sig == BH_SIGKILL);
}
static int send_signal(task *p, siginfo *info, bool group, bool force) {
  int sig = info->signo;
  if (!prepare_signal(sig, p, force)) return 0;
  signal_struct *signal = AT(signal_struct, p->signal);
  uint64_t bit = sigmask(sig);
  uint64_t pending = group ? signal->shared_pending : p->pending;
  bool standard = sig < BH_SIGRTMIN;
  if (standard && pending & bit) return 0;
  if (sig != BH_SIGKILL) {
    list_head *queue = group ? LIST(signal, queue) : LIST(cold(p), queue);
    sigqueue *q = sigqueue_alloc(p, standard && info->code >= 0);
    if (q) {
      q->timer = 0;
      memcpy(&q->signo, info, sizeof *info);
      list_add_tail(LIST(q, link), queue);
    } else if (!standard && info->code != BH_SI_USER) {
      return -BH_EAGAIN;
    }
  }
  if (group) signal->shared_pending = pending | bit;
  else p->pending = pending | bit;
  if (!list_empty(LIST(root, sigwait))) NOT_IN_TWIN();
  complete_signal(sig, p, group);
  return 0;
}
static void fill_siginfo(siginfo *info, int sig, int code, task *from, task *to) {
  zero(info, sizeof *info);
  info->signo = sig;
  info->code = code;
  pid *tgid = AT(pid, AT(signal_struct, from->signal)->tgid_pid);
  info->pid = pid_nr_ns(tgid, task_active_pid_ns(to));
  if (AT(cred, to->cred)->user_ns != root->init_user_ns) NOT_IN_TWIN();
  info->uid = AT(cred, from->cred)->uid;
}
static int check_kill_permission(int sig, task *from, task *to) {
  if (root->audit) NOT_IN_TWIN();
  if (from->signal == to->signal) return 0;
  cred *a = AT(cred, from->cred);
  cred *b = AT(cred, to->cred);
  if (a->euid == b->suid || a->euid == b->uid || a->uid == b->suid || a->uid == b->uid) return 0;
  if (ns_capable(a, AT(ns_common, b->user_ns), BH_CAP_KILL)) return 0;
  signal_struct *mine = AT(signal_struct, from->signal);
  if (sig == BH_SIGCONT && mine->session == AT(signal_struct, to->signal)->session) return 0;
  return -BH_EPERM;
}
static int kill_one(task *p, task *t, int sig, int code, bool group) {
  int error = check_kill_permission(sig, p, t);
  if (error || !sig) return error;
  siginfo *info = SCRATCH_INFO;
  fill_siginfo(info, sig, code, p, t);
  return send_signal(t, info, group, pid_nr_ns(AT(pid, p->thread_pid), task_active_pid_ns(t)) == 0);
}

/* ---- taking them: handlers and the way back */

static bool unshare_sighand(task *p) {
  sighand *old = AT(sighand, cold(p)->sighand);
  sighand *copy = copy_sighand(old);
  if (!copy) return false;
  cold(p)->sighand = REF(copy);
  put_sighand(old);
  return true;
}
static bool setup_frame(task *p, frame *f, int sig) {
  task_cold *k = cold(p);
  k_sigaction *action = action_of(AT(sighand, k->sighand), sig);
  if (action->flags & (uint32_t)BH_SA_RESETHAND) NOT_IN_TWIN();
  sigframe *saved = cache_alloc(CACHE_SIGFRAME);
  if (!saved) return false;
  saved->mask = p->flags & PF_RESTORE_SIGMASK ? rare(p)->saved_sigmask : k->blocked;
  p->flags &= ~PF_RESTORE_SIGMASK;
  saved->restart = 0;
  saved->rax = f ? f->rax : 0;
  saved->orig_rax = f ? f->orig_rax : 0;
  saved->rip = f ? f->rip : 0;
  task_rare *own = rare_for_write(p);
  saved->next = own->sigframes;
  own->sigframes = REF(saved);
  saved->sas_sp = own->sas_sp;
  saved->sas_size = own->sas_size;
  saved->sas_flags = own->sas_flags;
  saved->sas_on = own->sas_on;
  if (action->flags & BH_SA_ONSTACK) NOT_IN_TWIN();
  uint64_t blocked = k->blocked | action->mask;
  if (!(action->flags & BH_SA_NODEFER)) blocked |= sigmask(sig);
  k->blocked = blocked & ~KERNEL_ONLY;
  return true;
}
static inline int next_signal(uint64_t pending, uint64_t blocked) {
  const uint64_t synchronous = sigmask(BH_SIGSEGV) | sigmask(BH_SIGBUS) | sigmask(BH_SIGILL) |
                               sigmask(BH_SIGTRAP) | sigmask(BH_SIGFPE) | sigmask(BH_SIGSYS);
  uint64_t ready = pending & ~blocked;
  if (!ready) return 0;
  uint64_t sync = ready & synchronous;
  return __builtin_ctzll(sync ? sync : ready) + 1;
}
static int dequeue_signal(task *p, uint64_t blocked, siginfo *info) {
  signal_struct *signal = AT(signal_struct, p->signal);
  int sig = next_signal(p->pending, blocked);
  if (sig) {
    if (!collect_signal(LIST(cold(p), queue), sig, info)) p->pending &= ~sigmask(sig);
  } else {
    sig = next_signal(signal->shared_pending, blocked);
    if (!sig) return 0;
    if (!collect_signal(LIST(signal, queue), sig, info)) signal->shared_pending &= ~sigmask(sig);
  }
  recalc_sigpending(p);
  return sig;
}
static int sys_rt_sigreturn(task *p, frame *f) {
  task_cold *k = cold(p);
  task_rare *own = rare(p);
  sigframe *at = AT(sigframe, own->sigframes);
  if (f->assist & BH_ASSIST_MASK || !at) NOT_IN_TWIN();
  k->blocked = at->mask & ~KERNEL_ONLY;
  f->rax = at->rax;
  f->rip = at->rip;
  own->sas_sp = at->sas_sp;
  own->sas_size = at->sas_size;
  own->sas_flags = at->sas_flags;
  own->sas_on = at->sas_on;
  own->restart_op = 0;
  own->sigframes = at->next;
  cache_free(CACHE_SIGFRAME, at);
  recalc_sigpending(p);
  return RET_RAW;
}
static int sys_rt_sigaction(task *p, frame *f) {
  int sig = (int32_t)arg(f, 0);
  if ((uint32_t)f->r10 != 8 || arg(f, 2) || !arg(f, 1)) NOT_IN_TWIN();
  k_sigaction act;
  int bad = copy_from_user(f, &act, arg(f, 1), sizeof act);
  if (bad) return bad;
  task_cold *k = cold(p);
  if (sighand_must_copy(AT(sighand, k->sighand)) && !unshare_sighand(p)) return -BH_ENOMEM;
  k_sigaction *action = action_of(AT(sighand, k->sighand), sig);
  *action = act;
  action->mask &= ~KERNEL_ONLY;
  return 0;
}
#endif
