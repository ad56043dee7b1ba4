/* What a benchmark leaves behind, as one number over observable values. Included by drive.c. */

static uint32_t hash = 0x811c9dc5u;
static inline void mix(uint32_t word) {
  hash = (hash ^ word) * 0x9e3779b1u;
  hash ^= hash >> 15;
}
static inline void mix64(uint64_t value) {
  mix((uint32_t)value);
  mix((uint32_t)(value >> 32));
}
static task *task_at(int nr) {
#ifdef WASM2C
  uint32_t at = CALL(task_ptr, (uint32_t)nr);
  return at ? M(task, at) : NULL;
#else
  return find_task(nr, AT(pid_namespace, root->init_pid_ns));
#endif
}
static task_cold *cold_at(task *p) {
#ifdef WASM2C
  return M(task_cold, CALL(cold_ptr, (uint32_t)((char *)p - MEMORY)));
#else
  return cold(p);
#endif
}
static int number(ref at) { return at ? upid_of(M(pid, at), 0)->nr : 0; }

static void mix_task(int nr, task *p) {
  task_cold *k = cold_at(p);
  signal_struct *s = M(signal_struct, p->signal);
  pid *own = M(pid, p->thread_pid);
  task *parent = M(task, p->real_parent);
  bool zombie = p->state == 16;
  mix((uint32_t)nr);
  mix((uint32_t)number(s->tgid_pid));
  mix((uint32_t)number(M(signal_struct, parent->signal)->tgid_pid));
  mix((uint32_t)own->level);
  for (int i = 0; i <= own->level; ++i) mix((uint32_t)upid_of(own, i)->nr);
  mix(p->state);
  mix((uint32_t)(zombie ? s->group_exit_code : 0));
  mix((uint32_t)k->exit_signal);
  mix64(p->pending);
  mix64(s->shared_pending);
  mix64(k->blocked);
  mix((uint32_t)s->nr_threads);
  mix((uint32_t)number(s->pgrp));
  mix((uint32_t)number(s->session));
  cred *c = M(cred, p->cred);
  mix((uint32_t)c->uid);
  mix((uint32_t)c->euid);
  mix((uint32_t)c->gid);
  mix64(c->cap_effective);
  task *leader = M(task, s->leader);
  mix(leader->container ? (uint32_t)M(container, leader->container)->id : 0);
  mix64(k->comm0);
  mix(zombie ? 0 : M(fs_struct, k->fs)->umask);
  uint32_t open = 0;
  if (!zombie) {
    files_struct *t = M(files_struct, k->files);
    for (int fd = 0; fd < t->max_fds; ++fd) open += M(ref, t->fds)[fd] != 0;
  }
  mix(open);
  mix((uint32_t)M(uint64_t, s->rlim + sizeof(rlimit_table))[BH_RLIMIT_NOFILE * 2]);
  k_sigaction *actions = M(k_sigaction, k->sighand + sizeof(sighand));
  mix((uint32_t)actions[BH_SIGUSR1 - 1].handler);
}
static void mix_container(container *c) {
  mix((uint32_t)c->id);
  mix(c->flags);
  mix((uint32_t)c->exit_code);
  mix((uint32_t)c->depth);
  mix(c->nr_members);
  mix((uint32_t)c->nr_files);
  mix(c->init ? (uint32_t)number(M(signal_struct, c->init)->tgid_pid) : 0);
  mix((uint32_t)number(c->init_pid));
  mix((uint32_t)c->opener_euid);
  mix64(c->name0);
}
static uint32_t checksum(void) {
  for (int nr = 1; nr < BH_PID_MAX_LIMIT; ++nr) {
    task *p = task_at(nr);
    if (p) mix_task(nr, p);
  }
  /* containers in preorder; .init is the first */
  ref at = ROOT.init_container;
  for (;;) {
    mix_container(M(container, at));
    ref next = M(container, at)->children_next;
    ref head = at + offsetof(container, children_next);
    while (next == head) {
      if (at == ROOT.init_container) goto done;
      next = M(container, at)->child_next;
      at = M(container, at)->parent;
      head = at + offsetof(container, children_next);
    }
    at = next - offsetof(container, child_next);
  }
done:
  mix((uint32_t)ROOT.nr_processes);
  mix((uint32_t)ROOT.nr_threads);
  mix((uint32_t)ROOT.nr_containers);
  mix((uint32_t)M(pid_namespace, ROOT.init_pid_ns)->last);
  cred *c = M(cred, ROOT.init_cred);
  mix(M(ucounts, c->ucounts)->processes);
  mix(sum);
  return hash;
}
