/* The C twin's first objects (assembly/boot.ts). */
#ifndef TWIN_BOOT_H
#define TWIN_BOOT_H
#include "exit.h"
#include "twin.h"

static ns_common *init_ns(int type, ns_common *user, uint32_t inum) {
  ns_common *ns = create_ns(type, NULL, user, 0);
  ns->inum = inum;
  return ns;
}
static void init_caches(void) {
  uint32_t upids = (uint32_t)sizeof(upid);
  cache_init(CACHE_SIGNAL, sizeof(signal_struct));
  cache_init(CACHE_PID, (uint32_t)sizeof(pid) + SMALL_LEVELS * upids);
  cache_init(CACHE_PID_BIG, (uint32_t)sizeof(pid) + (BH_MAX_PID_NS_LEVEL + 2) * upids);
  cache_init(CACHE_CONTAINER, sizeof(container));
  cache_init(CACHE_CRED, sizeof(cred));
  cache_init(CACHE_NSPROXY, sizeof(nsproxy));
  cache_init(CACHE_NAMESPACE, sizeof(ref) == 4 ? 96 : 160);
  cache_init(CACHE_FILE, sizeof(file));
  cache_init(CACHE_FILES, (uint32_t)sizeof(files_struct) + INLINE_FDS * (uint32_t)sizeof(ref));
  cache_init(CACHE_SIGHAND, (uint32_t)sizeof(sighand) + 64 * (uint32_t)sizeof(k_sigaction));
  cache_init(CACHE_FS, sizeof(fs_struct));
  cache_init(CACHE_RLIMITS, (uint32_t)sizeof(rlimit_table) + BH_RLIM_NLIMITS * 16);
  cache_init(CACHE_SIGQUEUE, sizeof(sigqueue));
  cache_init(CACHE_WAITER, sizeof(waiter));
  cache_init(CACHE_SIGFRAME, sizeof(sigframe));
  cache_init(CACHE_USER, sizeof(user_struct));
  cache_init(CACHE_UCOUNTS, sizeof(ucounts));
  for (int i = 0; i < 12; ++i) cache_init(CACHE_KMALLOC + i, 1u << (KMALLOC_MIN_SHIFT + i));
}
static void init_namespaces(void) {
  ns_common *user = init_ns(BH_CLONE_NEWUSER, NULL, 0xeffffffd);
  nsproxy *ns = cache_zalloc(CACHE_NSPROXY);
  ns->count = 1;
  ns->pid_ns_for_children = REF(init_ns(BH_CLONE_NEWPID, user, 0xeffffffc));
  ns->mnt_ns = REF(init_ns(BH_CLONE_NEWNS, user, 0xeffffff8));
  ns->uts_ns = REF(init_ns(BH_CLONE_NEWUTS, user, 0xeffffffe));
  ns->ipc_ns = REF(init_ns(BH_CLONE_NEWIPC, user, 0xefffffff));
  ns->cgroup_ns = REF(init_ns(BH_CLONE_NEWCGROUP, user, 0xeffffffb));
  ns->net_ns = REF(init_ns(BH_CLONE_NEWNET, user, 0xeffffff9));
  ns->time_ns = REF(init_ns(BH_CLONE_NEWTIME, user, 0xeffffffa));
  ns->time_ns_for_children = REF(get_ns(ns->time_ns));
  root->init_user_ns = REF(user);
  root->init_pid_ns = ns->pid_ns_for_children;
  root->init_nsproxy = REF(ns);
  root->inum_next = 0xf0000100;
}
static void init_cred(void) {
  cred *c = cache_zalloc(CACHE_CRED);
  c->count = 1;
  c->user_ns = REF(get_ns(root->init_user_ns));
  ucounts *u = cache_zalloc(CACHE_UCOUNTS);
  u->count = 1;
  u->ns = root->init_user_ns;
  uint32_t key = (uint32_t)(root->init_user_ns >> 4);
  AT(ref, root->ucounts_hash)[(key * 0x9e3779b1u) >> 26] = REF(u);
  c->ucounts = REF(u);
  c->cap_permitted = c->cap_effective = c->cap_bset = 0x1ffffffffffull;
  root->init_cred = REF(c);
  user_struct *user = cache_zalloc(CACHE_USER);
  user->count = 1;
  root->user_buckets = 16;
  root->users = REF(kzalloc(16 * (uint32_t)sizeof(ref)));
  AT(ref, root->users)[0] = REF(user);
}
static void init_init_container(void) {
  container *c = cache_zalloc(CACHE_CONTAINER);
  c->usage = 1;
  c->flags = BH_CONTAINER_FLAG_INIT_STARTED;
  c->id = 1;
  c->cred = get_cred(root->init_cred);
  refcount_inc(&AT(nsproxy, root->init_nsproxy)->count);
  c->ns = root->init_nsproxy;
  c->name0 = 0x74696e692eull;
  list_init(LIST(c, children));
  list_init(LIST(c, child));
  list_init(LIST(c, waitq));
  root->container_id = 1;
  root->nr_containers = 1;
  root->init_container = REF(c);
}
static task *first_task(signal_struct *s) {
  task *p = alloc_task();
  s->leader = REF(p);
  s->live = 1;
  s->nr_threads = 1;
  p->signal = REF(s);
  p->cred = get_cred(root->init_cred);
  list_add_tail(LIST(cold(p), thread), LIST(s, threads));
  return p;
}
static void init_init(task *idle) {
  signal_struct *s = alloc_signal();
  task *p = first_task(s);
  task_cold *k = cold(p);
  pid_namespace *ns = AT(pid_namespace, root->init_pid_ns);
  pid *number = alloc_pid(ns, 0, 0);
  p->thread_pid = REF(number);
  sighand *h = cache_zalloc(CACHE_SIGHAND);
  h->count = 1;
  k->sighand = REF(h);
  fs_struct *fs = cache_zalloc(CACHE_FS);
  fs->count = 1;
  fs->umask = 022;
  k->fs = REF(fs);
  k->files = REF(alloc_files());
  refcount_inc(&AT(nsproxy, root->init_nsproxy)->count);
  k->nsproxy = root->init_nsproxy;
  k->exit_signal = BH_SIGCHLD;
  k->comm0 = 0x74696e69;
  k->comm1 = 0;
  k->blocked = 0;
  rlimit_table *r = cache_zalloc(CACHE_RLIMITS);
  r->count = 1;
  uint64_t *limits = (uint64_t *)(void *)(r + 1);
  for (int i = 0; i < BH_RLIM_NLIMITS * 2; ++i) limits[i] = UINT64_MAX;
  limits[BH_RLIMIT_NOFILE * 2] = (uint64_t)root->nofile_cur;
  limits[BH_RLIMIT_NOFILE * 2 + 1] = (uint64_t)root->nofile_max;
  s->rlim = REF(r);
  number->task = REF(p);
  p->pid = 1;
  p->real_parent = REF(idle);
  s->flags = SIGNAL_UNKILLABLE;
  s->tgid_pid = REF(number);
  s->pgrp = REF(get_pid(REF(number)));
  s->session = REF(get_pid(REF(number)));
  number->nr_sessions = 1;
  ns->child_reaper = REF(p);
  list_add_tail(LIST(s, pgrp), LIST(number, members));
  list_add_tail(LIST(p, sibling), LIST(idle, children));
  for (int fd = 0; fd < 3; ++fd) fd_install(p, fd, alloc_file(FILE_NULL, BH_O_RDWR));
  root->nr_threads = 1;
  root->nr_processes = 1;
  inc_nproc(AT(ucounts, AT(cred, p->cred)->ucounts));
  root->init_task = REF(p);
  container_join(AT(container, root->init_container), p);
  reserve_kill_queue();
}

void twin_boot(const uint16_t *table, uint32_t len) {
  memset(root, 0, sizeof *root);
  root->high_water = FIRST_PAGE;
  root->pid_max = BH_PID_MAX_LIMIT;
  root->threads_max = BH_PID_MAX_LIMIT + 1;
  root->container_depth_max = root->containers_max = root->containers_per_user = INT32_MAX;
  root->nofile_cur = 4096;
  root->nofile_max = BH_NR_OPEN;
  list_init(LIST(root, woken));
  list_init(LIST(root, sigwait));
  init_caches();
  root->ucounts_hash = REF(kzalloc(64 * (uint32_t)sizeof(ref)));
  root->tables = REF(kzalloc(sizeof(syscall_table)));
  root->nr_tables = 1;
  void *ops = kmalloc(len * 2);
  memcpy(ops, table, len * 2);
  AT(syscall_table, root->tables)->len = len;
  AT(syscall_table, root->tables)->ops = REF(ops);
  init_namespaces();
  init_cred();
  init_init_container();
  signal_struct *s = alloc_signal();
  task *idle = first_task(s);
  idle->real_parent = REF(idle);
  s->pgrp = s->session = s->tgid_pid = s->rlim = 0;
  root->idle_task = REF(idle);
  init_init(idle);
  root->magic = 1;
}
#endif
