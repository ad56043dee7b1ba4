/* The C twin's open files and descriptor tables. */
#ifndef TWIN_FILES_H
#define TWIN_FILES_H
#include "objects.h"

#define FILE_NULL 1
#define FILE_CONTAINER 4
#define INLINE_FDS 32
#define FD_CLOEXEC_BIT 1u
static void container_file_release(container *c);

static file *alloc_file(uint32_t kind, uint32_t flags) {
  file *f = cache_zalloc(CACHE_FILE);
  if (!f) return f;
  f->count = 1;
  f->kind = kind;
  f->flags = flags;
  list_init(LIST(f, wait));
  return f;
}
static void fput(file *f) {
  if (!refcount_dec_and_test(&f->count)) return;
  if (f->items || f->inode) NOT_IN_TWIN();
  if (f->kind == FILE_CONTAINER) container_file_release(AT(container, f->private_data));
  else if (f->kind != FILE_NULL) NOT_IN_TWIN();
  cache_free(CACHE_FILE, f);
}
static files_struct *alloc_files(void) {
  files_struct *t = cache_zalloc(CACHE_FILES);
  if (!t) return t;
  t->count = 1;
  t->max_fds = INLINE_FDS;
  t->fds = REF(t + 1);
  return t;
}
static inline ref *slots(files_struct *t) { return AT(ref, t->fds); }
static inline file *file_of(ref slot) { return AT(file, slot & ~(ref)FD_CLOEXEC_BIT); }
static void free_slots(files_struct *t) {
  if (t->fds != REF(t + 1)) kfree(slots(t), (uint32_t)t->max_fds * (uint32_t)sizeof(ref));
}
static bool expand_files(files_struct *t, int fd) {
  if (fd < t->max_fds) return true;
  int max = t->max_fds;
  while (max <= fd) max <<= 1;
  ref *fds = kzalloc((uint32_t)max * (uint32_t)sizeof(ref));
  if (!fds) return false;
  memcpy(fds, slots(t), (uint32_t)t->max_fds * sizeof(ref));
  free_slots(t);
  t->fds = REF(fds);
  t->max_fds = max;
  return true;
}
static files_struct *dup_files(files_struct *old) {
  files_struct *t = alloc_files();
  if (!t || !expand_files(t, old->max_fds - 1)) return NULL;
  t->next_fd = old->next_fd;
  for (int fd = 0; fd < old->max_fds; ++fd) {
    ref slot = slots(old)[fd];
    if (!slot) continue;
    refcount_inc(&file_of(slot)->count);
    slots(t)[fd] = slot;
  }
  return t;
}
static inline void filp_close(files_struct *t, file *f) {
  if (t->locks && f->inode) NOT_IN_TWIN();
  fput(f);
}
static void put_files(files_struct *t) {
  if (!t || !refcount_dec_and_test(&t->count)) return;
  for (int fd = 0; fd < t->max_fds; ++fd)
    if (slots(t)[fd]) filp_close(t, file_of(slots(t)[fd]));
  free_slots(t);
  cache_free(CACHE_FILES, t);
}
static bool files_for_write(task *p) {
  files_struct *t = AT(files_struct, cold(p)->files);
  if (t->count == 1 || t->shared) return true;
  files_struct *copy = dup_files(t);
  if (!copy) return false;
  cold(p)->files = REF(copy);
  put_files(t);
  return true;
}
static inline file *fget(task *p, int fd) {
  files_struct *t = AT(files_struct, cold(p)->files);
  if (!t || (uint32_t)fd >= (uint32_t)t->max_fds) return NULL;
  return file_of(slots(t)[fd]);
}
static int get_unused_fd(task *p, int from) {
  if (!files_for_write(p)) return -BH_ENOMEM;
  files_struct *t = AT(files_struct, cold(p)->files);
  int fd = from > t->next_fd ? from : t->next_fd;
  while (fd < t->max_fds && slots(t)[fd]) ++fd;
  uint64_t limit = ((uint64_t *)(void *)(AT(rlimit_table, AT(signal_struct, p->signal)->rlim) + 1))
      [BH_RLIMIT_NOFILE * 2];
  if ((uint64_t)fd >= limit) return -BH_EMFILE;
  return expand_files(t, fd) ? fd : -BH_ENOMEM;
}
static void fd_install(task *p, int fd, file *f) {
  files_struct *t = AT(files_struct, cold(p)->files);
  slots(t)[fd] = REF(f);
  if (fd == t->next_fd) t->next_fd = fd + 1;
}
static int close_fd(task *p, int fd) {
  if (!fget(p, fd)) return -BH_EBADF;
  if (!files_for_write(p)) return -BH_ENOMEM;
  files_struct *t = AT(files_struct, cold(p)->files);
  file *f = file_of(slots(t)[fd]);
  slots(t)[fd] = 0;
  if (fd < t->next_fd) t->next_fd = fd;
  filp_close(t, f);
  return 0;
}
#endif
