/*
 * The benchmarks of DEFINITION.md, in C: for the twin, by frames or with -DDIRECT by typed calls,
 * and with -DWASM2C for the shipped module after wasm2c.
 * `drive KIND A B SAMPLES` prints one line of JSON.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>
#include "objects.h"
#ifdef WASM2C
#include "kernel.h"
#ifdef WABT_Z /* wabt up to 1.0.32 names things so */
#define CALL(name, ...) Z_kernelZ_##name(&kernel, ##__VA_ARGS__)
static Z_kernel_instance_t kernel;
#define START() (Z_kernel_init_module(), Z_kernel_instantiate(&kernel))
#else
#define CALL(name, ...) w2c_kernel_##name(&kernel, ##__VA_ARGS__)
static w2c_kernel kernel;
#define START() wasm2c_kernel_instantiate(&kernel)
#endif
#define MEMORY ((char *)kernel.w2c_memory.data)
#define ROOT (*(kernel_root *)(void *)(MEMORY + CALL(root_ptr)))
#else
#include "twin.h"
#define MEMORY ((char *)0)
#define ROOT (*root)
#endif
#define M(type, link) ((type *)(void *)(MEMORY + (uintptr_t)(link)))
#define NAME_AT 0x1000
#define ACTION_AT 0x2000
#define HANDLER 0x4000

typedef uint32_t call; /* a frame laid out once, and made again and again */
static ref shown;
static uint32_t name_place; /* where the name of containers lies */
static uint32_t sum;

static double now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

/* ---- the machine */

static uint32_t m_alloc(uint32_t size) {
#ifdef WASM2C
  return CALL(host_alloc, size);
#else
  return REF(twin_alloc(size));
#endif
}
static inline int m_trap(call at) {
#ifdef WASM2C
  return (int)CALL(do_syscall_64, at);
#else
  return twin_trap(M(frame, at));
#endif
}
static int m_run_pending(int max) {
#ifdef WASM2C
  return (int)CALL(run_pending, (uint32_t)max);
#else
  return twin_run_pending(max);
#endif
}
static int m_exit_to_user(int tid, call at) {
#ifdef WASM2C
  return (int)CALL(exit_to_user, (uint32_t)tid, at, 0);
#else
  return twin_exit_to_user(tid, M(frame, at));
#endif
}
static uint32_t m_high_water(void) {
#ifdef WASM2C
  return CALL(high_water);
#else
  return twin_high_water() - BASE;
#endif
}
static void machine(void) {
  static uint16_t ops[BH_NR_OPS];
  for (int i = 0; i < BH_NR_OPS; ++i) ops[i] = (uint16_t)i;
#ifdef WASM2C
  wasm_rt_init();
  START();
  uint32_t at = 0x10000;
  struct bh_boot_config *config = M(struct bh_boot_config, at);
  memset(config, 0, sizeof *config);
  config->pid_max = BH_PID_MAX_LIMIT;
  config->nofile_cur = 4096;
  config->container_depth_max = config->containers_max = INT32_MAX;
  config->containers_per_user = INT32_MAX;
  if (CALL(boot, at)) exit(3);
  uint32_t table = m_alloc(sizeof ops);
  memcpy(M(char, table), ops, sizeof ops);
  CALL(register_table, table, BH_NR_OPS, 0);
#else
  int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE;
  void *want = (void *)(uintptr_t)BASE;
  if (mmap(want, BASE_END - BASE, PROT_READ | PROT_WRITE, flags, -1, 0) != want) {
    fputs("no memory below 4 GiB to be had here\n", stderr);
    exit(3);
  }
  twin_boot(ops, BH_NR_OPS);
#endif
  shown = m_alloc(2 * (uint32_t)sizeof(user_window) + 96);
  user_window *w = M(user_window, shown);
  ref bytes = shown + 2 * (ref)sizeof(user_window);
  w[0].addr = NAME_AT, w[0].len = 6, w[0].place = bytes, w[0].mode = BH_WINDOW_READ;
  w[1].addr = ACTION_AT, w[1].len = 32, w[1].place = bytes + 32, w[1].mode = BH_WINDOW_READ;
  name_place = (uint32_t)bytes;
  memcpy(M(char, bytes), "bench", 6);
  *M(uint64_t, bytes + 32) = HANDLER;
}

/* ---- calls */

static call prepare(uint32_t op) {
  call at = m_alloc(sizeof(frame));
  frame *f = M(frame, at);
  memset(f, 0, sizeof *f);
  f->op = op;
  f->orig_rax = op;
  f->rax = op;
  f->windows = shown;
  f->nr_windows = 2;
  f->tid = 1;
  return at;
}
static inline int trap(call at, uint32_t op, int tid, int64_t a0) {
  frame *f = M(frame, at);
  f->tid = tid;
  f->rdi = (uint64_t)a0;
  f->rax = op;
  m_trap(at);
  return (int)M(frame, at)->rax;
}
static call c_fork, c_thread, c_newpid, c_exit, c_exit_thread, c_wait, c_create, c_close, c_enter;
static call c_kill, c_action, c_return, c_getppid;

static void prepare_all(void) {
  c_fork = prepare(BH_OP_FORK);
  c_thread = prepare(BH_OP_CLONE);
  c_newpid = prepare(BH_OP_CLONE);
  c_exit = prepare(BH_OP_EXIT_GROUP);
  c_exit_thread = prepare(BH_OP_EXIT);
  c_wait = prepare(BH_OP_WAIT4);
  M(frame, c_wait)->rdx = BH_WNOHANG;
  c_create = prepare(BH_OP_CONTAINER_CREATE);
  c_close = prepare(BH_OP_CLOSE);
  c_enter = prepare(BH_OP_FORK_INTO_CONTAINER);
  c_kill = prepare(BH_OP_KILL);
  M(frame, c_kill)->rsi = BH_SIGUSR1;
  c_action = prepare(BH_OP_RT_SIGACTION);
  M(frame, c_action)->rsi = ACTION_AT;
  M(frame, c_action)->r10 = 8;
  c_return = prepare(BH_OP_RT_SIGRETURN);
  c_getppid = prepare(BH_OP_GETPPID);
}
#define THREAD_FLAGS                                                                              \
  (BH_CLONE_VM | BH_CLONE_FS | BH_CLONE_FILES | BH_CLONE_SIGHAND | BH_CLONE_THREAD |              \
   BH_CLONE_SYSVSEM)
#ifdef DIRECT
static inline int do_fork(int tid) { return twin_call_fork(tid); }
static inline int do_thread(int tid) { return twin_call_clone(tid, THREAD_FLAGS); }
static inline int do_newpid(int tid) { return twin_call_clone(tid, BH_CLONE_NEWPID | BH_SIGCHLD); }
static inline void do_end(int tid, int code) { twin_call_exit_group(tid, code); }
static inline void do_end_thread(int tid) { twin_call_exit(tid, 0); }
static inline int do_wait(int tid, int n) { return twin_call_wait4(tid, n, BH_WNOHANG); }
static inline int do_create(int tid) { return twin_call_create(tid, name_place, 0); }
static inline void do_close(int tid, int fd) { twin_call_close(tid, fd); }
static inline int do_enter(int tid, int fd) { return twin_call_enter(tid, fd); }
static inline int do_kill(int tid, int to) { return twin_call_kill(tid, to, BH_SIGUSR1); }
static inline int do_getppid(int tid) { return twin_call_getppid(tid); }
#else
static inline int do_fork(int tid) { return trap(c_fork, BH_OP_FORK, tid, 0); }
static inline int do_thread(int tid) { return trap(c_thread, BH_OP_CLONE, tid, THREAD_FLAGS); }
static inline int do_newpid(int tid) {
  return trap(c_newpid, BH_OP_CLONE, tid, BH_CLONE_NEWPID | BH_SIGCHLD);
}
static inline void do_end(int tid, int code) { trap(c_exit, BH_OP_EXIT_GROUP, tid, code); }
static inline void do_end_thread(int tid) { trap(c_exit_thread, BH_OP_EXIT, tid, 0); }
static inline int do_wait(int tid, int pid_) { return trap(c_wait, BH_OP_WAIT4, tid, pid_); }
static inline int do_create(int tid) {
  return trap(c_create, BH_OP_CONTAINER_CREATE, tid, NAME_AT);
}
static inline void do_close(int tid, int fd) { trap(c_close, BH_OP_CLOSE, tid, fd); }
static inline int do_enter(int tid, int fd) {
  return trap(c_enter, BH_OP_FORK_INTO_CONTAINER, tid, fd);
}
static inline int do_kill(int tid, int to) { return trap(c_kill, BH_OP_KILL, tid, to); }
static inline int do_getppid(int tid) { return trap(c_getppid, BH_OP_GETPPID, tid, 0); }
#endif

#include "benches.h"
#include "checksum.h"

int main(int argc, char **argv) {
  if (argc != 5) return fputs("usage: drive KIND A B SAMPLES\n", stderr), 2;
  double begun = now_ns();
  machine();
  prepare_all();
  double booted = now_ns() - begun;
  int kind = kind_of(argv[1]);
  if (kind < 0) return fprintf(stderr, "no such kind of benchmark: %s\n", argv[1]), 2;
  printf("{");
  run_bench(kind, atoi(argv[2]), atoi(argv[3]), atoi(argv[4]), booted);
  printf("\"checksum\":\"%08x\"}\n", (unsigned)checksum());
  return 0;
}
