/*
 * The C twin's objects: tasks, numbers, namespaces, credentials, files, thread groups. Each
 * function does what the kernel's function of the same name does, write for write.
 */
#ifndef TWIN_OBJECTS_H
#define TWIN_OBJECTS_H
#include "base.h"

/* ---- task: hot, cold and rare records of one index in a chunk (assembly/process/task.ts) */

#define TASK_RUNNING 0
#define TASK_INTERRUPTIBLE 1
#define TASK_KILLABLE 2
#define TASK_STOPPED 4
#define TASK_ZAPPING 8
#define EXIT_ZOMBIE 16
#define TASK_DEAD 32

#define PF_EXITING 0x1u
#define PF_FORKNOEXEC 0x2u
#define PF_TRACED 0x4u
#define PF_WOKEN 0x8u
#define TIF_SIGPENDING 0x10u
#define PF_RESTORE_SIGMASK 0x20u
#define JOBCTL_STOP_PENDING 0x40u
#define JOBCTL_STOP_CONSUME 0x80u
#define PF_NO_NEW_PRIVS 0x100u
#define PF_THREADED 0x200u
#define PF_BATCH_HELD 0x400u
#define PF_AUDIT 0x1000000u
#define PF_RARE 0x80000000u

#define CHUNK_TASKS 1021u
#ifdef NATURAL
/* links of 8 bytes: the records are as wide as they come, in whole lines */
#define TASK_BYTES 128u
#define CHUNK_ORDER 3
#else
#define TASK_BYTES 64u
#define CHUNK_ORDER 2
#endif
#define CHUNK_BYTES (PAGE_BYTES << CHUNK_ORDER)
#define COLD_PART ((CHUNK_BYTES >> 2) + 0x40u)
#define RARE_PART ((CHUNK_BYTES >> 1) + 0x80u)
#define RARE_BYTES (TASK_BYTES << 1)
_Static_assert(sizeof(task) <= TASK_BYTES && sizeof(task_cold) <= TASK_BYTES, "task records");
_Static_assert(sizeof(task_rare) <= RARE_BYTES, "rare record");
_Static_assert(RARE_PART + CHUNK_TASKS * RARE_BYTES <= CHUNK_BYTES, "chunk");

static inline task_cold *cold(task *p) { return AT(task_cold, REF(p) + COLD_PART); }
static inline task_rare *rare(task *p) {
  return AT(task_rare, REF(p) + (REF(p) & (CHUNK_BYTES - 1)) + RARE_PART);
}
static inline task_rare *rare_for_write(task *p) {
  p->flags |= PF_RARE;
  return rare(p);
}
static inline task *from_thread_node(list_head *at) {
  return AT(task, REF(ENTRY(task_cold, at, thread)) - COLD_PART);
}

/* pages handed out one by one until the next is aligned are kept, not lost */
static void *alloc_task_chunk(void) {
  while (root->high_water & (CHUNK_BYTES - 1)) {
    ref saved = page_lists[0];
    page_lists[0] = 0;
    void *page = alloc_pages(0);
    page_lists[0] = saved;
    if (!page) return NULL;
    free_pages(page, 0);
  }
  return alloc_pages(CHUNK_ORDER);
}
static __attribute__((noinline)) bool task_cache_grow(kmem_cache *c) {
  uint32_t fresh = root->high_water;
  char *chunk = alloc_task_chunk();
  if (!chunk) return false;
  if (REF(chunk) < fresh) memset(chunk + RARE_PART, 0, CHUNK_TASKS * RARE_BYTES);
  c->bump = REF(chunk);
  c->bump_end = REF(chunk) + CHUNK_TASKS * TASK_BYTES;
  c->pages += 1u << CHUNK_ORDER;
  return true;
}
static task *alloc_task(void) {
  kmem_cache *c = &caches[CACHE_TASK];
  ref at = c->free;
  if (at) {
    c->free = *AT(ref, at);
  } else {
    at = c->bump;
    if (at == c->bump_end) {
      if (!task_cache_grow(c)) return NULL;
      at = c->bump;
    }
    c->bump = at + TASK_BYTES;
  }
  c->live += 1;
  task *p = AT(task, at);
  task_cold *k = cold(p);
  p->state = TASK_RUNNING;
  p->flags = 0;
  p->pending = 0;
  p->kill_slot = 0;
  p->container = 0;
  list_init(LIST(p, children));
  k->exit_code = 0;
  list_init(LIST(k, queue));
  return p;
}
static inline void put_task(task *p) {
  kmem_cache *c = &caches[CACHE_TASK];
  p->pid = 0;
  *(ref *)p = c->free;
  c->free = REF(p);
  c->live -= 1;
}
static void free_task(task *p) {
  if (p->flags & PF_RARE) memset(rare(p), 0, RARE_BYTES);
  put_task(p);
}
#define NS(namespace) ((ns_common *)(void *)(namespace))
static inline bool thread_group_leader(task *p) { return cold(p)->exit_signal >= 0; }

/* ---- users' counts and namespaces */

static inline void put_ucounts(ucounts *u) {
  if (!u || !refcount_dec_and_test(&u->count)) return;
  NOT_IN_TWIN(); /* init holds its own for good, and no other user is there */
}
static inline ucounts *above(ucounts *u) {
  return AT(ucounts, AT(ns_common, u->ns)->ucounts);
}
static inline void inc_nproc(ucounts *u) {
  for (; u; u = above(u)) u->processes += 1;
}
static inline void dec_nproc(ucounts *u) {
  for (; u; u = above(u)) u->processes -= 1;
}
static uint32_t *counter_of(ucounts *u, int type) {
  int bit = __builtin_ctz((unsigned)type);
  return &u->nr0 + (bit == 7 ? 0 : bit == 17 ? 1 : bit - 23);
}
static ucounts *inc_ucount(ns_common *ns, int uid, int type) {
  ref *chain = AT(ref, root->ucounts_hash);
  uint32_t key = ((uint32_t)REF(ns) >> 4) + (uint32_t)uid;
  ucounts *u = AT(ucounts, chain[(key * 0x9e3779b1u) >> 26]);
  while (u && (u->uid != uid || u->ns != REF(ns))) u = AT(ucounts, u->next);
  if (!u) NOT_IN_TWIN();
  refcount_inc(&u->count);
  for (ucounts *at = u; at; at = above(at)) *counter_of(at, type) += 1;
  return u;
}
static void dec_ucount(ucounts *u, int type) {
  if (!u) return;
  for (ucounts *at = u; at; at = above(at)) *counter_of(at, type) -= 1;
  put_ucounts(u);
}

static ns_common *create_ns(int type, ns_common *parent, ns_common *user_ns, int uid) {
  ucounts *u = NULL;
  if (user_ns && root->magic) u = inc_ucount(user_ns, uid, type);
  ns_common *ns = cache_zalloc(CACHE_NAMESPACE);
  if (!ns) return NULL;
  ns->count = 1;
  ns->type = type;
  ns->inum = root->inum_next++;
  ns->parent = REF(parent);
  ns->user_ns = REF(user_ns);
  ns->ucounts = REF(u);
  if (parent) refcount_inc(&parent->count);
  if (user_ns) refcount_inc(&user_ns->count);
  return ns;
}
#define LEAF_SHIFT 8
#define LEAF_NUMBERS 256
typedef struct {
  ref numbers; /* ref[LEAF_NUMBERS] of pids */
  uint32_t used;
} leaf_slot;
#define LEAF_BYTES ((uint32_t)sizeof(ref) * LEAF_NUMBERS)

static void free_ns(ns_common *ns) {
  int type = ns->type;
  if (type == BH_CLONE_NEWPID) {
    pid_namespace *at = (pid_namespace *)(void *)ns;
    leaf_slot *table = AT(leaf_slot, at->table);
    for (int i = 0; i < at->nr_leaves; ++i) kfree(AT(void, table[i].numbers), LEAF_BYTES);
    kfree(table, (uint32_t)(at->nr_leaves * (int)sizeof(leaf_slot)));
  }
  dec_ucount(AT(ucounts, ns->ucounts), type);
  cache_free(CACHE_NAMESPACE, ns);
}
static void put_user_ns(ns_common *ns) {
  while (ns && refcount_dec_and_test(&ns->count)) {
    ns_common *parent = AT(ns_common, ns->parent);
    free_ns(ns);
    ns = parent;
  }
}
static void put_ns(ns_common *ns) {
  while (ns && refcount_dec_and_test(&ns->count)) {
    ns_common *parent = AT(ns_common, ns->parent);
    ns_common *owner = AT(ns_common, ns->user_ns);
    free_ns(ns);
    put_user_ns(owner);
    ns = parent;
  }
}
static inline ns_common *get_ns(ref at) {
  refcount_inc(&AT(ns_common, at)->count);
  return AT(ns_common, at);
}

/* ---- struct pid and the tables of numbers (assembly/process/pid.ts) */

typedef struct {
  int32_t nr;
  ref ns;
} upid;
#define SMALL_LEVELS 3
static inline upid *upid_of(pid *p, int level) { return (upid *)(void *)(p + 1) + level; }
static inline int pid_cache(pid *p) { return p->level < SMALL_LEVELS ? CACHE_PID : CACHE_PID_BIG; }
static inline pid_namespace *ns_of_pid(pid *p) { return AT(pid_namespace, p->ns); }
static inline pid_namespace *task_active_pid_ns(task *p) {
  return ns_of_pid(AT(pid, p->thread_pid));
}
static inline int pid_nr_ns(pid *p, pid_namespace *ns) {
  if (!p) return 0;
  if (p->ns == REF(ns)) return upid_of(p, p->level)->nr;
  int level = NS(ns)->level;
  if (level > p->level || upid_of(p, level)->ns != REF(ns)) return 0;
  return upid_of(p, level)->nr;
}

static bool reserve_leaf(pid_namespace *ns, int nr) {
  int index = nr >> LEAF_SHIFT;
  leaf_slot *table = AT(leaf_slot, ns->table);
  if (index >= ns->nr_leaves) {
    int leaves = ns->nr_leaves ? ns->nr_leaves : 4;
    while (leaves <= index) leaves <<= 1;
    leaf_slot *more = kzalloc((uint32_t)leaves * (uint32_t)sizeof(leaf_slot));
    if (!more) return false;
    uint32_t old = (uint32_t)ns->nr_leaves * (uint32_t)sizeof(leaf_slot);
    memcpy(more, table, old);
    kfree(table, old);
    ns->table = REF(more);
    ns->nr_leaves = leaves;
    table = more;
  }
  if (table[index].numbers) return true;
  void *leaf = kzalloc(LEAF_BYTES);
  if (!leaf) return false;
  table[index].numbers = REF(leaf);
  return true;
}
static inline pid *find_pid_ns(int nr, pid_namespace *ns) {
  int index = nr >> LEAF_SHIFT;
  if ((uint32_t)index >= (uint32_t)ns->nr_leaves) return NULL;
  ref leaf = AT(leaf_slot, ns->table)[index].numbers;
  return leaf ? AT(pid, AT(ref, leaf)[nr & (LEAF_NUMBERS - 1)]) : NULL;
}
static inline task *find_task(int nr, pid_namespace *ns) {
  pid *p = find_pid_ns(nr, ns);
  return p ? AT(task, p->task) : NULL;
}
static int next_free(pid_namespace *ns) {
  int max = root->pid_max;
  int nr = ns->last + 1;
  bool wrapped = false;
  for (;;) {
    if (nr >= max) {
      if (wrapped) return -BH_EAGAIN;
      wrapped = true;
      nr = BH_RESERVED_PIDS;
      if (nr >= max) nr = 1;
    }
    int index = nr >> LEAF_SHIFT;
    if (index >= ns->nr_leaves) return nr;
    leaf_slot *slot = &AT(leaf_slot, ns->table)[index];
    if (!slot->numbers) return nr;
    if (slot->used < LEAF_NUMBERS) {
      if (!AT(ref, slot->numbers)[nr & (LEAF_NUMBERS - 1)]) return nr;
      nr += 1;
    } else {
      nr = (nr | (LEAF_NUMBERS - 1)) + 1;
    }
  }
}
static inline void hash_number(pid_namespace *ns, int nr, ref p, int change) {
  leaf_slot *slot = &AT(leaf_slot, ns->table)[nr >> LEAF_SHIFT];
  AT(ref, slot->numbers)[nr & (LEAF_NUMBERS - 1)] = p;
  slot->used += (uint32_t)change;
  ns->nr_hashed += change;
}
static leaf_slot *next_at_hand(pid_namespace *ns) {
  int nr = ns->last + 1;
  if (nr >= root->pid_max || nr >> LEAF_SHIFT >= ns->nr_leaves) return NULL;
  leaf_slot *slot = &AT(leaf_slot, ns->table)[nr >> LEAF_SHIFT];
  bool at_hand = slot->numbers && !AT(ref, slot->numbers)[nr & (LEAF_NUMBERS - 1)];
  return at_hand ? slot : NULL;
}
static inline int take_next(pid_namespace *ns, leaf_slot *slot, pid *p) {
  int nr = ns->last + 1;
  AT(ref, slot->numbers)[nr & (LEAF_NUMBERS - 1)] = REF(p);
  slot->used += 1;
  ns->nr_hashed += 1;
  ns->last = nr;
  return nr;
}
static inline pid *new_struct_pid(int level) {
  pid *p = cache_alloc(level < SMALL_LEVELS ? CACHE_PID : CACHE_PID_BIG);
  if (!p) return NULL;
  p->count = 1;
  p->level = level;
  p->task = 0;
  list_init(LIST(p, members));
  list_init(LIST(p, waitq));
  p->nr_sessions = 0;
  p->unhashed = 0;
  return p;
}
static pid *alloc_pid(pid_namespace *ns, int forced, int nr_wanted) {
  int level = NS(ns)->level;
  if (nr_wanted > 0) NOT_IN_TWIN();
  pid *p = new_struct_pid(level);
  if (!p) return NULL;
  pid_namespace *at = ns;
  for (int i = level; i >= 0; --i) {
    if (i == 0 && forced > 0) NOT_IN_TWIN();
    leaf_slot *slot = next_at_hand(at);
    int nr;
    if (slot) {
      nr = take_next(at, slot, p);
    } else {
      nr = next_free(at);
      if (nr < 0 || !reserve_leaf(at, nr)) NOT_IN_TWIN();
      at->last = nr;
      hash_number(at, nr, REF(p), 1);
    }
    upid_of(p, i)->nr = nr;
    upid_of(p, i)->ns = REF(at);
    at = AT(pid_namespace, NS(at)->parent);
  }
  p->ns = REF(ns);
  refcount_inc(&NS(ns)->count);
  return p;
}
static bool pid_detached(pid *p) {
  if (p->task || p->unhashed) return false;
  if (p->nr_sessions != 0 || !list_empty(LIST(p, members))) return false;
  p->unhashed = 1;
  for (int i = 0; i <= p->level; ++i) {
    upid *u = upid_of(p, i);
    hash_number(AT(pid_namespace, u->ns), u->nr, 0, -1);
  }
  return true;
}
static inline pid *get_pid(ref at) {
  refcount_inc(&AT(pid, at)->count);
  return AT(pid, at);
}
static void put_pid(pid *p) {
  if (!p || !refcount_dec_and_test(&p->count)) return;
  pid_namespace *ns = ns_of_pid(p);
  cache_free(pid_cache(p), p);
  put_ns(NS(ns));
}

/* ---- credentials */

static inline ref get_cred(ref at) {
  refcount_inc(&AT(cred, at)->count);
  return at;
}
static void put_cred(cred *c) {
  if (!c || !refcount_dec_and_test(&c->count)) return;
  if (c->groups || c->keyrings) NOT_IN_TWIN();
  put_ucounts(AT(ucounts, c->ucounts));
  put_ns(AT(ns_common, c->user_ns));
  cache_free(CACHE_CRED, c);
}
static bool ns_capable(cred *c, ns_common *target, int cap) {
  if (c->user_ns != REF(target)) NOT_IN_TWIN();
  return (c->cap_effective >> cap) & 1;
}

/* ---- nsproxy */

static void free_nsproxy(nsproxy *ns) {
  put_ns(AT(ns_common, ns->mnt_ns));
  put_ns(AT(ns_common, ns->uts_ns));
  put_ns(AT(ns_common, ns->ipc_ns));
  put_ns(AT(ns_common, ns->pid_ns_for_children));
  put_ns(AT(ns_common, ns->cgroup_ns));
  put_ns(AT(ns_common, ns->net_ns));
  put_ns(AT(ns_common, ns->time_ns));
  put_ns(AT(ns_common, ns->time_ns_for_children));
  cache_free(CACHE_NSPROXY, ns);
}
static void put_nsproxy(nsproxy *ns) {
  if (!ns || !refcount_dec_and_test(&ns->count)) return;
  free_nsproxy(ns);
}
static nsproxy *create_new_namespaces(uint32_t flags, nsproxy *old, pid_namespace *active,
                                      ns_common *user, int uid) {
  nsproxy *ns = cache_zalloc(CACHE_NSPROXY);
  if (!ns) return NULL;
  ns->count = 1;
  if (flags & ~(uint32_t)BH_CLONE_NEWPID) NOT_IN_TWIN();
  ns->mnt_ns = REF(get_ns(old->mnt_ns));
  ns->uts_ns = REF(get_ns(old->uts_ns));
  ns->ipc_ns = REF(get_ns(old->ipc_ns));
  if (flags & BH_CLONE_NEWPID) {
    if (REF(active) != old->pid_ns_for_children) NOT_IN_TWIN();
    ns_common *made = create_ns(BH_CLONE_NEWPID, NS(active), user, uid);
    if (!made) return NULL;
    made->level = NS(active)->level + 1;
    ns->pid_ns_for_children = REF(made);
  } else {
    ns->pid_ns_for_children = REF(get_ns(old->pid_ns_for_children));
  }
  ns->cgroup_ns = REF(get_ns(old->cgroup_ns));
  ns->net_ns = REF(get_ns(old->net_ns));
  ns->time_ns_for_children = REF(get_ns(old->time_ns_for_children));
  ns->time_ns = REF(get_ns(old->time_ns));
  return ns;
}

/* ---- what the threads of a group share */

static signal_struct *alloc_signal(void) {
  signal_struct *s = cache_alloc(CACHE_SIGNAL);
  if (!s) return s;
  s->sigcnt = 1;
  s->live = 0;
  s->nr_threads = 0;
  s->flags = 0;
  s->group_exit_code = 0;
  s->group_stop_count = 0;
  s->exec_task = 0;
  s->shared_pending = 0;
  s->timers = 0;
  s->tty = 0;
  list_init(LIST(s, queue));
  list_init(LIST(s, threads));
  list_init(LIST(s, wait));
  return s;
}
static void put_rlimits(rlimit_table *r) {
  if (r && refcount_dec_and_test(&r->count)) cache_free(CACHE_RLIMITS, r);
}
static void put_signal_struct(signal_struct *s) {
  if (!refcount_dec_and_test(&s->sigcnt)) return;
  put_rlimits(AT(rlimit_table, s->rlim));
  cache_free(CACHE_SIGNAL, s);
}
static inline k_sigaction *action_of(sighand *h, int sig) {
  return (k_sigaction *)(void *)(h + 1) + (sig - 1);
}
static void put_sighand(sighand *h) {
  if (refcount_dec_and_test(&h->count)) cache_free(CACHE_SIGHAND, h);
}
static inline uint64_t rlimit(signal_struct *s, int resource) {
  return ((uint64_t *)(void *)(AT(rlimit_table, s->rlim) + 1))[resource * 2];
}
static inline bool sighand_must_copy(sighand *h) { return h->count != 1 && h->shared == 0; }
static sighand *copy_sighand(sighand *h) {
  sighand *copy = cache_alloc(CACHE_SIGHAND);
  if (!copy) return copy;
  memcpy(copy, h, sizeof(sighand) + 64 * sizeof(k_sigaction));
  copy->count = 1;
  copy->shared = 0;
  copy->lock = 0;
  return copy;
}

static void put_fs(fs_struct *fs) {
  if (fs && refcount_dec_and_test(&fs->count)) cache_free(CACHE_FS, fs);
}
#endif
