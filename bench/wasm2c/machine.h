/* A kernel that wasm2c has turned into C, driven as a host drives it: frames laid out once, a call
 * is a few stores and one crossing. */
#ifndef BULKHEAD_MACHINE_H
#define BULKHEAD_MACHINE_H
#include <stdint.h>

#include "bulkhead.h"
#include "kernel.h"

/* wabt names what it exports one way until 1.0.32 and another since; the runner knows which. */
#ifdef WABT_OLD_NAMES
typedef Z_kernel_instance_t kernel_instance;
#define KERNEL(name) Z_kernelZ_##name
#else
typedef w2c_kernel kernel_instance;
#define KERNEL(name) w2c_kernel_##name
#endif

struct machine {
  kernel_instance kernel;
  wasm_rt_memory_t *memory;
};

/* One call, ready to be made again and again. */
struct call {
  uint32_t at; /* frame */
  uint32_t op;
};

/* What a machine is booted with beside the defaults; 0: those. */
struct machine_config {
  int32_t containers_max;
  int32_t container_depth_max;
  int32_t nofile;
};

/* Instantiates and boots; numbers up to PID_MAX_LIMIT. Ends the program when it cannot. */
void machine_boot(struct machine *m, const struct machine_config *config);

/* What lies at `at` of the kernel's memory. It moves when the memory grows. */
static inline void *machine_at(struct machine *m, uint32_t at) {
  return m->memory->data + at;
}

/* A frame for operation `op` by init, its arguments given. */
struct call machine_prepare(struct machine *m, uint32_t op, int64_t a0, int64_t a1, int64_t a2);

/* Shows `len` bytes of a string to the call as guest memory at `addr`. */
void machine_window(struct machine *m, struct call c, uint64_t addr, const char *text,
                    uint32_t len);

/* Makes the call for `tid` with first argument `a0`. Return: its result. */
static inline int32_t machine_call(struct machine *m, struct call c, int32_t tid, int64_t a0) {
  struct bh_frame *f = machine_at(m, c.at);
  f->tid = tid;
  f->rdi = (uint64_t)a0;
  f->rax = c.op;
  KERNEL(do_syscall_64)(&m->kernel, c.at);
  return (int32_t)((struct bh_frame *)machine_at(m, c.at))->rax;
}

/* The same, with the arguments as they are. */
static inline int32_t machine_again(struct machine *m, struct call c, int32_t tid) {
  struct bh_frame *f = machine_at(m, c.at);
  f->tid = tid;
  f->rax = c.op;
  KERNEL(do_syscall_64)(&m->kernel, c.at);
  return (int32_t)((struct bh_frame *)machine_at(m, c.at))->rax;
}

#endif
