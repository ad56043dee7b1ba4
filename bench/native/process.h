/* The C twin's processes and containers: fork, exit, wait, container_create and their ends. */
#ifndef TWIN_PROCESS_H
#define TWIN_PROCESS_H
#include "files.h"
#include "signals.h"

static inline bool is_init_container(container *c) { return REF(c) == root->init_container; }
static inline bool container_dead(container *c) { return c->flags & BH_CONTAINER_FLAG_DEAD; }

/* ---- containers */

static void free_uid(user_struct *u) {
  if (u && refcount_dec_and_test(&u->count)) NOT_IN_TWIN();
}
static inline uint32_t members_bytes(container *c) {
  return c->members_cap * (uint32_t)sizeof(ref);
}
static void put_container(container *c) {
  while (c && refcount_dec_and_test(&c->usage)) {
    container *parent = AT(container, c->parent);
    list_del(LIST(c, child));
    root->nr_containers -= 1;
    user_struct *u = AT(user_struct, c->user);
    u->nr_containers -= 1;
    free_uid(u);
    put_cred(AT(cred, c->cred));
    put_nsproxy(AT(nsproxy, c->ns));
    put_pid(AT(pid, c->init_pid));
    kfree(AT(void, c->members), members_bytes(c));
    if (c->devices || c->keyring) NOT_IN_TWIN();
    if (c->hooked) NOT_IN_TWIN();
    cache_free(CACHE_CONTAINER, c);
    c = parent;
  }
}
static bool reserve_member(container *c) {
  if (is_init_container(c) || c->members_len < c->members_cap) return true;
  ref *old = AT(ref, c->members);
  if (c->members_cap >= 16 && c->nr_members <= c->members_cap >> 1) {
    uint32_t to = 0;
    for (uint32_t from = 0; from < c->members_len; ++from) {
      if (!old[from]) continue;
      old[to] = old[from];
      AT(task, old[to])->member_slot = to;
      to += 1;
    }
    c->members_len = to;
    return true;
  }
  uint32_t cap = c->members_cap ? c->members_cap << 1 : 4;
  ref *vector = kmalloc(cap * (uint32_t)sizeof(ref));
  if (!vector) return false;
  memcpy(vector, old, c->members_len * sizeof(ref));
  kfree(old, members_bytes(c));
  c->members = REF(vector);
  c->members_cap = cap;
  return true;
}
static inline void container_join(container *c, task *leader) {
  refcount_inc(&c->usage);
  leader->container = REF(c);
  c->nr_members += 1;
  if (is_init_container(c)) return;
  uint32_t slot = c->members_len;
  AT(ref, c->members)[slot] = REF(leader);
  leader->member_slot = slot;
  c->members_len = slot + 1;
}
static void container_leave(task *leader) {
  container *c = AT(container, leader->container);
  c->nr_members -= 1;
  if (!is_init_container(c)) {
    uint32_t slot = leader->member_slot;
    AT(ref, c->members)[slot] = 0;
    if (slot + 1 == c->members_len) c->members_len = slot;
    if (c->nr_members == 0) {
      if (root->audit) NOT_IN_TWIN();
      if (container_dead(c)) wake_up_all(LIST(c, waitq));
    }
  }
  put_container(c);
}
static container *next_in_tree(container *c, container *top) {
  list_head *first = AT(list_head, c->children_next);
  if (first != LIST(c, children)) return ENTRY(container, first, child);
  while (c != top) {
    list_head *next = AT(list_head, c->child_next);
    if (next != LIST(AT(container, c->parent), children)) return ENTRY(container, next, child);
    c = AT(container, c->parent);
  }
  return NULL;
}
static void mark_dead(container *c, int exit_code) {
  if (container_dead(c)) return;
  c->exit_code = exit_code;
  c->flags |= BH_CONTAINER_FLAG_DEAD;
  signal_struct *init = AT(signal_struct, c->init);
  c->init = 0;
  if (init) put_signal_struct(init);
  wake_up_all(LIST(c, waitq));
  if (c->supervisor) NOT_IN_TWIN();
}
static void kill_members(container *c) {
  ref *members = AT(ref, c->members);
  uint32_t len = c->members_len;
  for (uint32_t i = 0; i < len; ++i)
    if (members[i]) send_sigkill_group(AT(task, members[i]));
}
static void kill_container(container *c, int exit_code) {
  if (root->audit) NOT_IN_TWIN();
  if (!container_dead(c)) emit(BH_EVENT_CONTAINER_DEAD);
  for (container *at = c; at; at = next_in_tree(at, c)) mark_dead(at, exit_code);
  for (container *at = c; at; at = next_in_tree(at, c)) kill_members(at);
}
static inline void exit_container(task *leader, int exit_code) {
  container *c = AT(container, leader->container);
  if (!c) return;
  if (c->init == leader->signal && c->init) kill_container(c, exit_code);
  container_leave(leader);
  leader->container = 0;
}
static void container_file_release(container *c) {
  c->nr_files -= 1;
  if (c->nr_files == 0 && c->flags & BH_CONTAINER_FLAG_KILL_ON_CLOSE) NOT_IN_TWIN();
  put_container(c);
}

static int copy_name(frame *f, uint64_t addr) {
  memset(AT(void, SCRATCH_USER), 0, BH_CONTAINER_NAME_LEN);
  char *name = AT(char, SCRATCH_USER);
  int len = strncpy_from_user(f, name, addr, BH_CONTAINER_NAME_LEN);
  if (len < 0) return len;
  if (len >= BH_CONTAINER_NAME_LEN) return -BH_ENAMETOOLONG;
  for (int i = 0; i < len; ++i)
    if (name[i] == '/' || (unsigned char)name[i] < 32 || name[i] == 127) return -BH_EINVAL;
  return 0;
}
static user_struct *alloc_uid(int uid) {
  user_struct *u = AT(user_struct, AT(ref, root->users)[(uint32_t)uid & (root->user_buckets - 1)]);
  while (u && u->uid != uid) u = AT(user_struct, u->next);
  if (!u) NOT_IN_TWIN();
  refcount_inc(&u->count);
  return u;
}
/* Shared with the creator: the twin has no keyrings, and ids that are all the same. */
static cred *share_container_cred(task *p) {
  cred *c = AT(cred, p->cred);
  int uid = c->euid;
  int gid = c->egid;
  uint32_t uids = (c->uid ^ uid) | (c->suid ^ uid) | (c->fsuid ^ uid);
  if (uids | (c->gid ^ gid) | (c->sgid ^ gid) | (c->fsgid ^ gid) | c->keyrings) NOT_IN_TWIN();
  refcount_inc(&c->count);
  return c;
}
static int sys_container_create(task *p, frame *f) {
  if (f->phase) NOT_IN_TWIN();
  uint32_t flags = (uint32_t)arg(f, 1);
  if (!arg(f, 0) || flags & ~(uint32_t)BH_CONTAINER__FLAG_MASK) return -BH_EINVAL;
  if (arg(f, 2) || f->r10 || f->r8) return -BH_EINVAL;
  if (flags) NOT_IN_TWIN();
  int bad = copy_name(f, arg(f, 0));
  if (bad) return bad;
  container *parent = AT(container, AT(task, AT(signal_struct, p->signal)->leader)->container);
  if (container_dead(parent)) return -BH_ECANCELED;
  user_struct *user = alloc_uid(AT(cred, p->cred)->euid);
  bool full = parent->depth >= root->container_depth_max ||
              root->nr_containers >= root->containers_max ||
              user->nr_containers >= root->containers_per_user;
  if (full) NOT_IN_TWIN();
  int fd = get_unused_fd(p, 0);
  if (fd < 0) return fd;
  file *at = alloc_file(FILE_CONTAINER, BH_O_RDWR);
  container *c = cache_zalloc(CACHE_CONTAINER);
  if (!at || !c) return -BH_ENOMEM;
  memcpy(&c->name0, AT(void, SCRATCH_USER), 24);
  c->user = REF(user);
  c->cred = REF(share_container_cred(p));
  nsproxy *ns = AT(nsproxy, cold(p)->nsproxy);
  refcount_inc(&ns->count);
  c->usage = 1;
  c->nr_files = 1;
  c->depth = parent->depth + 1;
  c->ns = REF(ns);
  c->opener_euid = AT(cred, p->cred)->euid;
  list_init(LIST(c, children));
  list_init(LIST(c, waitq));
  if (root->hooks) NOT_IN_TWIN();
  root->container_id += 1;
  if (root->audit) NOT_IN_TWIN();
  c->id = root->container_id;
  refcount_inc(&parent->usage);
  c->parent = REF(parent);
  list_add_tail(LIST(c, child), LIST(parent, children));
  root->nr_containers += 1;
  user->nr_containers += 1;
  at->private_data = REF(c);
  fd_install(p, fd, at);
  return fd;
}

/* ---- fork */

static clone_args *clear_clone_args(frame *f) {
  clone_args *args = CLONE_ARGS;
  zero(args, sizeof *args);
  args->exit_signal = BH_SIGCHLD;
  args->frame = REF(f);
  if (f->assist) NOT_IN_TWIN();
  return args;
}
static int check_flags(task *p, clone_args *args) {
  uint32_t flags = args->flags;
  const uint32_t checked = BH_CLONE_NEWNS | BH_CLONE_FS | BH_CLONE_NEWUSER | BH_CLONE_THREAD |
                           BH_CLONE_SIGHAND | BH_CLONE_PARENT | BH_CLONE_PIDFD | BH_CLONE_NEWIPC;
  if (!(flags & checked)) return 0;
  uint32_t both_fs = BH_CLONE_NEWNS | BH_CLONE_FS;
  if ((flags & both_fs) == both_fs) return -BH_EINVAL;
  uint32_t user_fs = BH_CLONE_NEWUSER | BH_CLONE_FS;
  if ((flags & user_fs) == user_fs) return -BH_EINVAL;
  if (flags & BH_CLONE_THREAD && !(flags & BH_CLONE_SIGHAND)) return -BH_EINVAL;
  if (flags & BH_CLONE_SIGHAND && !(flags & BH_CLONE_VM)) return -BH_EINVAL;
  signal_struct *signal = AT(signal_struct, p->signal);
  if (flags & BH_CLONE_PARENT && signal->flags & SIGNAL_UNKILLABLE) return -BH_EINVAL;
  if (flags & BH_CLONE_THREAD) {
    if (flags & (BH_CLONE_NEWUSER | BH_CLONE_NEWPID)) return -BH_EINVAL;
    if (REF(task_active_pid_ns(p)) != AT(nsproxy, cold(p)->nsproxy)->pid_ns_for_children)
      return -BH_EINVAL;
  }
  if (flags & BH_CLONE_PIDFD && flags & BH_CLONE_DETACHED) return -BH_EINVAL;
  return 0;
}
static int may_fork(task *parent, clone_args *args, container *dest) {
  int bad = check_flags(parent, args);
  if (bad) return bad;
  if (container_dead(dest)) return -BH_ECANCELED;
  if (parent->flags & TIF_SIGPENDING) NOT_IN_TWIN();
  if (root->nr_threads >= root->threads_max) return -BH_EAGAIN;
  return 0;
}
static bool copy_shares(task *p, task *parent, clone_args *args) {
  task_cold *k = cold(p);
  task_cold *from = cold(parent);
  files_struct *files = AT(files_struct, from->files);
  if (args->flags & BH_CLONE_FILES) {
    if (files->count > 1 && !files->shared) {
      files_struct *own = dup_files(files);
      if (!own) return false;
      args->old_files = REF(files);
      from->files = REF(own);
      files = own;
    }
    files->shared = 1;
    refcount_inc(&files->count);
  } else if ((files->shared && files->count > 1) || files->locks) {
    files = dup_files(files);
    if (!files) return false;
  } else {
    files->shared = 0;
    refcount_inc(&files->count);
  }
  k->files = REF(files);
  fs_struct *fs = AT(fs_struct, from->fs);
  bool share_fs = args->flags & BH_CLONE_FS;
  bool copy_fs = share_fs ? fs->count > 1 && !fs->shared : fs->shared && fs->count > 1;
  if (copy_fs) {
    fs_struct *own = cache_alloc(CACHE_FS);
    if (!own) return false;
    *own = *fs;
    own->count = 1;
    own->shared = 0;
    if (share_fs) {
      args->old_fs = REF(fs);
      from->fs = REF(own);
      own->shared = 1;
      refcount_inc(&own->count);
    }
    fs = own;
  } else {
    fs->shared = share_fs;
    refcount_inc(&fs->count);
  }
  k->fs = REF(fs);
  return true;
}
static bool copy_sighand_of(task *p, task *parent, clone_args *args) {
  sighand *h = AT(sighand, cold(parent)->sighand);
  if (args->flags & BH_CLONE_SIGHAND) {
    if (sighand_must_copy(h)) {
      sighand *own = copy_sighand(h);
      if (!own) return false;
      args->old_sighand = REF(h);
      cold(parent)->sighand = REF(own);
      h = own;
    }
    h->shared = 1;
    refcount_inc(&h->count);
    cold(p)->sighand = REF(h);
    return true;
  }
  if (args->flags_hi & BH_CLONE_CLEAR_SIGHAND_HI) NOT_IN_TWIN();
  if (h->shared && h->count > 1) {
    h = copy_sighand(h);
    if (!h) return false;
  } else {
    h->shared = 0;
    refcount_inc(&h->count);
  }
  cold(p)->sighand = REF(h);
  return true;
}
static inline void inherit_signal(task *p, signal_struct *s, signal_struct *old) {
  s->rlim = old->rlim;
  refcount_inc(&AT(rlimit_table, s->rlim)->count);
  s->leader = REF(p);
  if (old->flags & (SIGNAL_HAS_SUBREAPER | SIGNAL_CHILD_SUBREAPER | SIGNAL_NOT_DUMPABLE))
    NOT_IN_TWIN();
  p->signal = REF(s);
}
static bool copy_signal(task *p, task *parent, uint32_t flags) {
  if (flags & BH_CLONE_THREAD) {
    p->signal = parent->signal;
    return true;
  }
  signal_struct *s = alloc_signal();
  if (!s) return false;
  inherit_signal(p, s, AT(signal_struct, parent->signal));
  s->tgid_pid = 0;
  return true;
}
static bool copy_namespaces(task *p, task *parent, clone_args *args) {
  container *dest = AT(container, args->dest);
  nsproxy *ns = dest ? AT(nsproxy, dest->ns) : AT(nsproxy, cold(parent)->nsproxy);
  uint32_t all = BH_CLONE_NEWNS | BH_CLONE_NEWUTS | BH_CLONE_NEWIPC | BH_CLONE_NEWPID |
                 BH_CLONE_NEWCGROUP | BH_CLONE_NEWNET;
  uint32_t flags = dest ? 0 : (args->flags & all) | args->newtime;
  if (!flags) {
    bool same_time = ns->time_ns == ns->time_ns_for_children;
    if (!dest && !(args->flags & BH_CLONE_VM) && !same_time) NOT_IN_TWIN();
    refcount_inc(&ns->count);
    cold(p)->nsproxy = REF(ns);
    return true;
  }
  cred *c = AT(cred, p->cred);
  ns_common *user = AT(ns_common, c->user_ns);
  if (!ns_capable(c, user, BH_CAP_SYS_ADMIN)) NOT_IN_TWIN();
  int euid = AT(cred, parent->cred)->euid;
  nsproxy *made = create_new_namespaces(flags, ns, task_active_pid_ns(parent), user, euid);
  if (made) cold(p)->nsproxy = REF(made);
  return made != NULL;
}
static void copy_fields(task *p, task *parent, clone_args *args) {
  task_cold *k = cold(p);
  task_cold *from = cold(parent);
  p->flags |= PF_FORKNOEXEC | (parent->flags & (PF_TRACED | PF_NO_NEW_PRIVS));
  k->blocked = from->blocked;
  k->comm0 = from->comm0;
  k->comm1 = from->comm1;
  if (args->flags & BH_CLONE_CHILD_CLEARTID) NOT_IN_TWIN();
  if (args->flags & BH_CLONE_THREAD) {
    k->exit_signal = -1;
  } else {
    task *leader = AT(task, AT(signal_struct, parent->signal)->leader);
    k->exit_signal = args->flags & BH_CLONE_PARENT ? cold(leader)->exit_signal : args->exit_signal;
  }
}
#endif
