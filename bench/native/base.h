/*
 * The ground of the C twin: memory, lists, references, slab caches, guest memory. Structures are
 * the kernel's own (include/bulkhead.h), so the twin is compiled anew with every change of them.
 *
 * A link is a 32-bit address: all memory lies below 4 GiB. With -DNATURAL links are pointers and
 * the structures are those of natural.h, which the suite writes from include/layout.json.
 */
#ifndef TWIN_BASE_H
#define TWIN_BASE_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#ifdef __wasm__
/* no C library there: clang makes instructions of these */
#define memcpy __builtin_memcpy
#define memset __builtin_memset
#else
#include <string.h>
#endif
#ifdef NATURAL
#include "natural.h"
typedef uintptr_t ref;
#else
#include "bulkhead.h"
typedef uint32_t ref;
#endif

typedef struct bh_kernel_root kernel_root;
typedef struct bh_kmem_cache kmem_cache;
typedef struct bh_list_head list_head;
typedef struct bh_task_struct task;
typedef struct bh_task_cold task_cold;
typedef struct bh_task_rare task_rare;
typedef struct bh_signal_struct signal_struct;
typedef struct bh_sighand_struct sighand;
typedef struct bh_k_sigaction k_sigaction;
typedef struct bh_sigqueue sigqueue;
typedef struct bh_siginfo siginfo;
typedef struct bh_sigframe sigframe;
typedef struct bh_pid pid;
typedef struct bh_pid_namespace pid_namespace;
typedef struct bh_ns_common ns_common;
typedef struct bh_user_namespace user_namespace;
typedef struct bh_nsproxy nsproxy;
typedef struct bh_cred cred;
typedef struct bh_ucounts ucounts;
typedef struct bh_user_struct user_struct;
typedef struct bh_file file;
typedef struct bh_files_struct files_struct;
typedef struct bh_fs_struct fs_struct;
typedef struct bh_rlimit_table rlimit_table;
typedef struct bh_container container;
typedef struct bh_waiter waiter;
typedef struct bh_frame frame;
typedef struct bh_user_window user_window;
typedef struct bh_kernel_clone_args clone_args;
typedef struct bh_wait_opts wait_opts;
typedef struct bh_syscall_table syscall_table;

/* Where memory begins; everything the kernel has follows. */
#ifdef __wasm__
#define BASE 0x100000u
#else
#define BASE 0x10000000u
#endif
#define BASE_END 0xffff0000u
#define PAGE_SHIFT 16
#define PAGE_BYTES (1u << PAGE_SHIFT)

/* a link as a pointer, a pointer as a link */
#define AT(type, link) ((type *)(uintptr_t)(link))
#define REF(pointer) ((ref)(uintptr_t)(pointer))
#define LIST(object, field) ((list_head *)(void *)&(object)->field##_next)
#define ENTRY(type, link, field) ((type *)(void *)((char *)(link) - offsetof(type, field##_next)))
#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

#define root ((kernel_root *)(uintptr_t)BASE)
#define page_lists ((ref *)(uintptr_t)(BASE + 0x800))
#define caches ((kmem_cache *)(uintptr_t)(BASE + 0x900))
#define SCRATCH_INFO AT(siginfo, BASE + 0x1000)
#define SCRATCH_TAKEN AT(siginfo, BASE + 0x1040)
#define SCRATCH_USER (BASE + 0x1100u)
#define CLONE_ARGS AT(clone_args, BASE + 0x2200)
#define WAIT_OPTS AT(wait_opts, BASE + 0x2340)
#define FIRST_PAGE (BASE + 0x10000u)

/* What a benchmark never reaches, because no call of it makes such an object. */
#define NOT_IN_TWIN() __builtin_trap()

enum {
  CACHE_SIGNAL,
  CACHE_PID,
  CACHE_PID_BIG,
  CACHE_CONTAINER,
  CACHE_CRED,
  CACHE_NSPROXY,
  CACHE_NAMESPACE,
  CACHE_FILE,
  CACHE_FILES,
  CACHE_SIGHAND,
  CACHE_FS,
  CACHE_RLIMITS,
  CACHE_SIGQUEUE,
  CACHE_WAITER,
  CACHE_SIGFRAME,
  CACHE_TASK,
  CACHE_USER,
  CACHE_UCOUNTS,
  CACHE_KMALLOC,
  NR_CACHES = CACHE_KMALLOC + 12
};
#define KMALLOC_MIN_SHIFT 4
#define KMALLOC_MAX_SHIFT 15

/* ---- lists */

static inline void list_init(list_head *head) {
  head->next = REF(head);
  head->prev = REF(head);
}
static inline bool list_empty(list_head *head) { return head->next == REF(head); }
static inline void list_add_tail(list_head *entry, list_head *head) {
  list_head *prev = AT(list_head, head->prev);
  head->prev = REF(entry);
  entry->next = REF(head);
  entry->prev = REF(prev);
  prev->next = REF(entry);
}
static inline void list_del(list_head *entry) {
  list_head *next = AT(list_head, entry->next);
  list_head *prev = AT(list_head, entry->prev);
  next->prev = REF(prev);
  prev->next = REF(next);
}
static inline void list_del_init(list_head *entry) {
  list_del(entry);
  list_init(entry);
}
#define list_each(at, head)                                                                       \
  for (list_head *at = AT(list_head, (head)->next); at != (head); at = AT(list_head, at->next))

/* ---- references: saturate instead of wrapping */

#define REFCOUNT_SATURATED (-0x40000000)
static inline void refcount_inc(int32_t *count) {
  int32_t now = (int32_t)((uint32_t)*count + 1);
  *count = now > 0 ? now : REFCOUNT_SATURATED;
}
static inline bool refcount_dec_and_test(int32_t *count) {
  int32_t now = (int32_t)((uint32_t)*count - 1);
  *count = now >= 0 ? now : REFCOUNT_SATURATED;
  return now == 0;
}

/* ---- pages and slab caches */

static inline void zero(void *at, uint32_t bytes) { memset(at, 0, bytes); }

static void *alloc_pages(uint32_t order) {
  ref *list = &page_lists[order];
  if (*list) {
    ref *reused = AT(ref, *list);
    *list = *reused;
    return reused;
  }
  uint32_t at = root->high_water;
  uint64_t end = (uint64_t)at + ((uint64_t)PAGE_BYTES << order);
  if (end > BASE_END) return NULL;
#ifdef __wasm__
  uint32_t have = __builtin_wasm_memory_size(0);
  uint32_t want = (uint32_t)(end >> PAGE_SHIFT);
  if (want > have) {
    uint32_t more = want - have < 256 ? 256 : want - have;
    if (__builtin_wasm_memory_grow(0, more) == (size_t)-1) return NULL;
  }
#endif
  root->high_water = (uint32_t)end;
  return AT(void, at);
}
static void free_pages(void *at, uint32_t order) {
  *(ref *)at = page_lists[order];
  page_lists[order] = REF(at);
}

static void cache_init(int id, uint32_t size) { caches[id].object_size = (size + 15) & ~15u; }

static __attribute__((noinline)) bool cache_grow(kmem_cache *c) {
  void *page = alloc_pages(0);
  if (!page) return false;
  c->bump = REF(page);
  c->bump_end = REF(page) + PAGE_BYTES - PAGE_BYTES % c->object_size;
  c->pages += 1;
  return true;
}
static inline void *cache_alloc(int id) {
  kmem_cache *c = &caches[id];
  ref object = c->free;
  if (object) {
    c->free = *AT(ref, object);
  } else {
    object = c->bump;
    if (object == c->bump_end) {
      if (!cache_grow(c)) return NULL;
      object = c->bump;
    }
    c->bump = object + c->object_size;
  }
  c->live += 1;
  return AT(void, object);
}
static inline void *cache_zalloc(int id) {
  void *object = cache_alloc(id);
  if (object) zero(object, caches[id].object_size);
  return object;
}
static inline void cache_free(int id, void *object) {
  kmem_cache *c = &caches[id];
  *(ref *)object = c->free;
  c->free = REF(object);
  c->live -= 1;
}

static inline uint32_t kmalloc_shift(uint32_t size) {
  if (size <= 1u << KMALLOC_MIN_SHIFT) return KMALLOC_MIN_SHIFT;
  return 32 - (uint32_t)__builtin_clz(size - 1);
}
static inline int kmalloc_cache(uint32_t shift) {
  return CACHE_KMALLOC + (int)shift - KMALLOC_MIN_SHIFT;
}
static void *kmalloc(uint32_t size) {
  uint32_t shift = kmalloc_shift(size);
  if (shift <= KMALLOC_MAX_SHIFT) return cache_alloc(kmalloc_cache(shift));
  return alloc_pages(shift - PAGE_SHIFT);
}
static void *kzalloc(uint32_t size) {
  void *at = kmalloc(size);
  if (at) memset(at, 0, size);
  return at;
}
static void kfree(void *at, uint32_t size) {
  if (!at) return;
  uint32_t shift = kmalloc_shift(size);
  if (shift <= KMALLOC_MAX_SHIFT) cache_free(kmalloc_cache(shift), at);
  else free_pages(at, shift - PAGE_SHIFT);
}

/* ---- events: none is asked for, but each is tested for */

static inline void emit(int type) {
  if (unlikely((root->event_mask >> type) & 1)) NOT_IN_TWIN();
}
#define EVENT_RING_SIZE 2048u
#define EVENT_RESERVE 32u
static inline bool event_ring_full(void) {
  return root->event_tail - root->event_head + root->event_backlog >
         EVENT_RING_SIZE - EVENT_RESERVE;
}

/* ---- the arguments of a frame: in its registers, the third one first */

static inline uint64_t arg(frame *f, int i) { return AT(uint64_t, f->args)[2 - i]; }

/* ---- guest memory: the windows of a frame */

#define RET_NEED (-4096 - 3)
#define RET_EXITED (-4096 - 2)
#define RET_BLOCKED (-4096 - 1)
#define RET_RAW (-4096 - 4)

static user_window *window_at(frame *f, uint64_t addr, uint32_t modes) {
  user_window *w = AT(user_window, f->windows);
  for (uint32_t i = 0; i < f->nr_windows; ++i, ++w)
    if (w->mode & modes && addr - w->addr < (uint64_t)w->len) return w;
  return NULL;
}
/* One window holds what a benchmark's call reads: never more than one piece. */
static int copy_from_user(frame *f, void *to, uint64_t addr, uint32_t len) {
  user_window *w = window_at(f, addr, BH_WINDOW_READ | BH_WINDOW_UNMAPPED);
  if (!w) return RET_NEED;
  if (w->mode & BH_WINDOW_UNMAPPED) return -BH_EFAULT;
  uint32_t skip = (uint32_t)(addr - w->addr);
  if (w->len - skip < len) return RET_NEED;
  memcpy(to, AT(char, w->place + skip), len);
  return 0;
}
static int strncpy_from_user(frame *f, char *to, uint64_t addr, uint32_t max) {
  for (uint32_t n = 0; n < max;) {
    user_window *w = window_at(f, addr + n, BH_WINDOW_READ | BH_WINDOW_UNMAPPED);
    if (!w) return RET_NEED;
    if (w->mode & BH_WINDOW_UNMAPPED) return -BH_EFAULT;
    uint32_t skip = (uint32_t)(addr + n - w->addr);
    const char *from = AT(char, w->place + skip);
    for (uint32_t rest = w->len - skip; rest && n < max; --rest, ++n) {
      to[n] = *from;
      if (!*from++) return (int)n;
    }
  }
  return (int)max;
}
#endif
