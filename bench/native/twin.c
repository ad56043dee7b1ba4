/*
 * The kernel's hot half in C: what the benchmarks' calls do, with the structures, the checks and
 * the writes of the kernel in assembly/, reached by the same frames. What no benchmark reaches
 * traps (NOT_IN_TWIN). One translation unit, so that the compiler sees as much as it likes to.
 */
#include "boot.h"
#include "twin.h"

/* what a host that reads the memory itself asks for */
uint16_t twin_table[BH_NR_OPS];
uint16_t *twin_ops(void) { return twin_table; }
kernel_root *twin_root(void) { return root; }
task *twin_task(int nr) { return find_task(nr, AT(pid_namespace, root->init_pid_ns)); }
task_cold *twin_cold(task *p) { return cold(p); }
int twin_next_pid(int tid) {
  nsproxy *ns = AT(nsproxy, cold(twin_task(tid))->nsproxy);
  return next_free(AT(pid_namespace, ns->pid_ns_for_children));
}
uint32_t twin_high_water(void) { return root->high_water; }
void *twin_alloc(uint32_t size) { return kzalloc(size); }

/* ---- fork: the last steps (assembly/process/fork.ts) */

static void attach(task *p, task *parent, clone_args *args, container *dest) {
  signal_struct *signal = AT(signal_struct, p->signal);
  pid *number = AT(pid, p->thread_pid);
  pid_namespace *ns = ns_of_pid(number);
  uint32_t flags = args->flags;
  number->task = REF(p);
  inc_nproc(AT(ucounts, AT(cred, p->cred)->ucounts));
  p->pid = upid_of(number, 0)->nr;
  bool sibling = flags & (BH_CLONE_PARENT | BH_CLONE_THREAD);
  p->real_parent = sibling ? parent->real_parent : REF(parent);
  list_add_tail(LIST(cold(p), thread), LIST(signal, threads));
  root->nr_threads += 1;
  if (flags & BH_CLONE_THREAD) {
    signal->nr_threads += 1;
    signal->live += 1;
    refcount_inc(&signal->sigcnt);
    task *leader = AT(task, signal->leader);
    p->container = leader->container;
    p->flags |= PF_THREADED;
    leader->flags |= PF_THREADED;
    return;
  }
  attach_process(p, parent);
  if (!ns->child_reaper) {
    ns->child_reaper = REF(p);
    signal->flags |= SIGNAL_UNKILLABLE;
  }
  bool starts = args->dest && !dest->init && !is_init_container(dest);
  if (root->audit) NOT_IN_TWIN();
  container_join(dest, p);
  if (!starts) return;
  refcount_inc(&signal->sigcnt);
  dest->init = REF(signal);
  put_pid(AT(pid, dest->init_pid));
  refcount_inc(&number->count);
  dest->init_pid = REF(number);
  dest->flags |= BH_CONTAINER_FLAG_INIT_STARTED;
}
static int kernel_clone(task *parent, frame *f, clone_args *args) {
  uint32_t flags = args->flags;
  task *leader = AT(task, AT(signal_struct, parent->signal)->leader);
  container *dest = args->dest ? AT(container, args->dest) : AT(container, leader->container);
  if (f->phase) NOT_IN_TWIN();
  int error = may_fork(parent, args, dest);
  if (error) return error;
  if (!reserve_kill_queue()) return -BH_ENOMEM;
  if (!(flags & BH_CLONE_THREAD) && !reserve_member(dest)) return -BH_ENOMEM;
  task *p = alloc_task();
  if (!p) return -BH_ENOMEM;
  args->parent = REF(parent);
  cred *mine = AT(cred, parent->cred);
  if (flags & BH_CLONE_NEWUSER || mine->keyrings) NOT_IN_TWIN();
  p->cred = get_cred(args->dest ? dest->cred : parent->cred);
  if (AT(cred, p->cred)->uid != 0) NOT_IN_TWIN();
  bool done = copy_shares(p, parent, args) && copy_sighand_of(p, parent, args) &&
              copy_signal(p, parent, flags) && copy_namespaces(p, parent, args);
  if (!done) NOT_IN_TWIN();
  copy_fields(p, parent, args);
  if (parent->flags & PF_RARE) {
    task_rare *k = rare(parent);
    if (parent->flags & PF_AUDIT || k->sas_size || k->sched || k->sigframes) NOT_IN_TWIN();
  }
  if (root->audit) NOT_IN_TWIN();
  pid_namespace *ns = AT(pid_namespace, AT(nsproxy, cold(p)->nsproxy)->pid_ns_for_children);
  if (ns->dying) NOT_IN_TWIN();
  pid *number = alloc_pid(ns, args->forced_pid, args->set_tid_size);
  if (!number) NOT_IN_TWIN();
  p->thread_pid = REF(number);
  uint32_t into_cgroup = args->flags_hi & BH_CLONE_INTO_CGROUP_HI;
  if (f->assist & BH_ASSIST_ERRNO || flags & BH_CLONE_PIDFD || into_cgroup) NOT_IN_TWIN();
  attach(p, parent, args, dest);
  if (args->old_files) put_files(AT(files_struct, args->old_files));
  if (args->old_fs) put_fs(AT(fs_struct, args->old_fs));
  if (args->old_sighand) put_sighand(AT(sighand, args->old_sighand));
  int nr = pid_nr_ns(number, task_active_pid_ns(parent));
  emit(BH_EVENT_FORK);
  f->cookie = (uint32_t)nr;
  if (flags & BH_CLONE_VFORK) NOT_IN_TWIN();
  return nr;
}
static int fork_result(task *p, frame *f, task *child) {
  emit(BH_EVENT_FORK);
  int nr = pid_nr_ns(AT(pid, child->thread_pid), task_active_pid_ns(p));
  f->cookie = (uint32_t)nr;
  return nr;
}
static int sys_fork(task *p, frame *f) {
  task *child = f->assist ? NULL : fork_plain(p);
  return child ? fork_result(p, f, child) : kernel_clone(p, f, clear_clone_args(f));
}
static int sys_clone(task *p, frame *f) {
  clone_args *args = clear_clone_args(f);
  uint32_t flags = (uint32_t)arg(f, 0);
  args->flags = flags & ~(uint32_t)BH_CSIGNAL;
  args->exit_signal = (int)(flags & BH_CSIGNAL);
  args->parent_tid = arg(f, 2);
  args->child_tid = f->r10;
  args->pidfd = arg(f, 2);
  if (flags & (BH_CLONE_PARENT_SETTID | BH_CLONE_PIDFD)) NOT_IN_TWIN();
  return kernel_clone(p, f, args);
}
static int sys_fork_into_container(task *p, frame *f) {
  file *at = fget(p, (int32_t)arg(f, 0));
  if (!at) return -BH_EBADF;
  if (at->kind != FILE_CONTAINER) return -BH_EINVAL;
  container *c = AT(container, at->private_data);
  nsproxy *ns = AT(nsproxy, c->ns);
  if (!ns->mnt_ns) return -BH_ENOENT;
  if (!ns_capable(AT(cred, p->cred), AT(ns_common, AT(cred, c->cred)->user_ns), BH_CAP_SYS_ADMIN))
    return -BH_EPERM;
  ref mine = REF(task_active_pid_ns(p));
  ref below = ns->pid_ns_for_children;
  while (below && below != mine) below = AT(ns_common, below)->parent;
  if (!below) return -BH_EINVAL;
  task *child = f->assist ? NULL : enter_plain(p, c);
  if (child) return fork_result(p, f, child);
  clone_args *args = clear_clone_args(f);
  args->dest = REF(c);
  return kernel_clone(p, f, args);
}

static inline int sys_getppid(task *p) {
  task *leader = AT(task, AT(signal_struct, p->signal)->leader);
  signal_struct *parent = AT(signal_struct, AT(task, leader->real_parent)->signal);
  return pid_nr_ns(AT(pid, parent->tgid_pid), task_active_pid_ns(p));
}
static int sys_kill(task *p, int nr, int sig) {
  if (nr <= 0 || (uint32_t)sig > 64) NOT_IN_TWIN();
  task *t = find_task(nr, task_active_pid_ns(p));
  return t ? kill_one(p, t, sig, BH_SI_USER, true) : -BH_ESRCH;
}

/* ---- dispatch (assembly/syscall.ts) */

static int do_op(uint32_t op, task *p, frame *f) {
  int a0 = (int32_t)arg(f, 0);
  switch (op) {
    case BH_OP_FORK:
      return sys_fork(p, f);
    case BH_OP_CLONE:
      return sys_clone(p, f);
    case BH_OP_WAIT4:
      return kernel_wait4(p, f);
    case BH_OP_EXIT_GROUP:
      if (root->audit) NOT_IN_TWIN();
      if (!exit_plain(p, (a0 & 0xff) << 8)) do_group_exit(p, (a0 & 0xff) << 8);
      return RET_EXITED;
    case BH_OP_EXIT:
      if (root->audit) NOT_IN_TWIN();
      if (!exit_plain(p, (a0 & 0xff) << 8)) do_exit(p, (a0 & 0xff) << 8);
      return RET_EXITED;
    case BH_OP_GETPPID:
      return sys_getppid(p);
    case BH_OP_KILL:
      return sys_kill(p, a0, (int32_t)arg(f, 1));
    case BH_OP_RT_SIGACTION:
      return sys_rt_sigaction(p, f);
    case BH_OP_RT_SIGRETURN:
      return sys_rt_sigreturn(p, f);
    case BH_OP_CLOSE:
      return close_fd(p, a0);
    case BH_OP_CONTAINER_CREATE:
      return sys_container_create(p, f);
    case BH_OP_FORK_INTO_CONTAINER:
      return sys_fork_into_container(p, f);
    default:
      return -BH_ENOSYS;
  }
}
static inline int set_disposition(frame *f, int disposition) {
  f->disposition = disposition;
  return disposition;
}
static inline task *task_of_frame(frame *f) {
  return find_task(f->tid, AT(pid_namespace, root->init_pid_ns));
}
static inline int do_syscall(frame *f) {
  task *p = task_of_frame(f);
  bool runs = p && p->state == TASK_RUNNING && !(p->flags & (PF_WOKEN | PF_EXITING));
  if (!runs || event_ring_full()) return set_disposition(f, BH_DISP_NOT_RUN);
  if (p->flags & TIF_SIGPENDING) recalc_sigpending(p);
  if (f->table >= root->nr_tables) return set_disposition(f, BH_DISP_NOT_RUN);
  syscall_table *table = AT(syscall_table, root->tables) + f->table;
  if (table->flags & BH_TABLE_COMPAT) NOT_IN_TWIN();
  uint64_t nr = f->rax;
  f->orig_rax = nr;
  f->phase = 0;
  f->args = REF(&f->rdx);
  uint32_t op = nr < table->len ? AT(uint16_t, table->ops)[nr] & 0x7fff : 0;
  f->op = op;
  int result = op ? do_op(op, p, f) : -BH_ENOSYS;
  if (result == -BH_EPERM && root->nr_supervisors) NOT_IN_TWIN();
  if (root->audit) NOT_IN_TWIN();
  if (result < -4095) {
    if (result == RET_EXITED) return set_disposition(f, BH_DISP_EXITED);
    if (result == RET_BLOCKED) return set_disposition(f, BH_DISP_BLOCKED);
    if (result == RET_NEED) return set_disposition(f, BH_DISP_NEED);
    return set_disposition(f, BH_DISP_DONE);
  }
  f->rax = (uint64_t)(int64_t)result;
  return set_disposition(f, BH_DISP_DONE);
}

int twin_trap(frame *f) { return do_syscall(f); }

uint32_t twin_batch(const uint32_t *ring, uint32_t n) {
  uint32_t done = 0;
  for (uint32_t i = 0; i < n; ++i) done += do_syscall(AT(frame, ring[i])) == BH_DISP_DONE;
  return done;
}

/* ---- typed calls: no frame, numbers alone (assembly/calls.ts) */

#define CALL_FRAME AT(frame, BASE + 0x2600)
#define CALL_WINDOW AT(user_window, BASE + 0x2780)
static inline task *caller(int tid) {
  task *p = find_task(tid, AT(pid_namespace, root->init_pid_ns));
  bool runs = p && p->state == TASK_RUNNING && !(p->flags & (PF_WOKEN | PF_EXITING));
  if (!runs || event_ring_full() || root->audit) NOT_IN_TWIN();
  if (p->flags & TIF_SIGPENDING) recalc_sigpending(p);
  return p;
}
static inline frame *call_frame(uint64_t a0, uint64_t a1, uint64_t a2) {
  frame *f = CALL_FRAME;
  f->arg0 = a0;
  f->arg1 = a1;
  f->arg2 = a2;
  f->args = REF(&f->arg2);
  return f;
}
int twin_call_getppid(int tid) { return sys_getppid(caller(tid)); }
int twin_call_fork(int tid) { return sys_fork(caller(tid), CALL_FRAME); }
int twin_call_clone(int tid, uint32_t flags) {
  return sys_clone(caller(tid), call_frame(flags, 0, 0));
}
int twin_call_enter(int tid, int fd) {
  return sys_fork_into_container(caller(tid), call_frame((uint64_t)fd, 0, 0));
}
int twin_call_exit(int tid, int code) {
  task *p = caller(tid);
  if (!exit_plain(p, (code & 0xff) << 8)) do_exit(p, (code & 0xff) << 8);
  return 0;
}
int twin_call_exit_group(int tid, int code) {
  task *p = caller(tid);
  if (!exit_plain(p, (code & 0xff) << 8)) do_group_exit(p, (code & 0xff) << 8);
  return 0;
}
int twin_call_wait4(int tid, int child, int options) {
  return kernel_wait4(caller(tid), call_frame((uint64_t)child, 0, (uint64_t)options));
}
int twin_call_kill(int tid, int to, int sig) { return sys_kill(caller(tid), to, sig); }
int twin_call_close(int tid, int fd) { return close_fd(caller(tid), fd); }
int twin_call_create(int tid, uint32_t name, uint32_t flags) {
  frame *f = call_frame(name, flags, 0);
  user_window *w = CALL_WINDOW;
  f->windows = REF(w);
  f->nr_windows = 1;
  w->addr = name;
  w->place = name;
  w->len = BH_CONTAINER_NAME_LEN;
  w->mode = BH_WINDOW_READ;
  int r = sys_container_create(caller(tid), f);
  f->nr_windows = 0;
  return r;
}

int twin_run_pending(int max) {
  int n = 0;
  while (n < max && root->kill_head != root->kill_tail) {
    ref at = AT(ref, root->kill_queue)[root->kill_head & (root->kill_capacity - 1)];
    if (!at) {
      root->kill_head += 1;
      continue;
    }
    die_now(AT(task, at));
    n += 1;
  }
  return n;
}

int twin_exit_to_user(int tid, frame *f) {
  task *p = find_task(tid, AT(pid_namespace, root->init_pid_ns));
  if (!p) return -BH_ESRCH;
  siginfo *info = SCRATCH_TAKEN;
  info->signo = 0;
  signal_struct *signal = AT(signal_struct, p->signal);
  if (p->flags & PF_EXITING || p->state == TASK_STOPPED) return BH_ACTION_NONE;
  if (signal->flags & SIGNAL_GROUP_EXIT || p->pending & sigmask(BH_SIGKILL)) NOT_IN_TWIN();
  if (signal->flags & (SIGNAL_CLD_STOPPED | SIGNAL_CLD_CONTINUED)) NOT_IN_TWIN();
  if (p->flags & JOBCTL_STOP_PENDING) NOT_IN_TWIN();
  int sig = dequeue_signal(p, cold(p)->blocked, info);
  if (!sig) {
    recalc_sigpending(p);
    return BH_ACTION_NONE;
  }
  if (sig_handler(p, sig) <= BH_SIG_IGN) NOT_IN_TWIN();
  int64_t rax = f ? (int64_t)f->rax : 0;
  if (rax <= -BH_ERESTARTSYS && rax >= -BH_ERESTART_RESTARTBLOCK) NOT_IN_TWIN();
  if (!setup_frame(p, f, sig)) NOT_IN_TWIN();
  recalc_sigpending(p);
  return BH_ACTION_HANDLED;
}
