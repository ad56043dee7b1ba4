// Hosts kernel.wasm from C: boots it, forks, makes a container, kills it. examples/c-host/README.md
// has the commands. bulkhead.h is generated from the kernel's own sources.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "bulkhead.h"
#include "kernel.h" // made by wasm2c from kernel.wasm

#ifdef WABT_Z // wabt up to 1.0.32 names things so
#define CALL(name, ...) Z_kernelZ_##name(&kernel, ##__VA_ARGS__)
static Z_kernel_instance_t kernel;
#define START() (Z_kernel_init_module(), Z_kernel_instantiate(&kernel))
#define MEMORY kernel.w2c_memory.data
#else
#define CALL(name, ...) w2c_kernel_##name(&kernel, ##__VA_ARGS__)
static w2c_kernel kernel;
#define START() wasm2c_kernel_instantiate(&kernel)
#define MEMORY kernel.w2c_memory.data
#endif

#define AT(type, address) ((struct bh_##type *)(MEMORY + (address)))
#define NAME_AT 0x7000 // guest address of the only string that our tasks pass
static uint32_t frame, shown; // addresses in the kernel's memory

/** One trap by task `tid`: operation `op` with up to two arguments. Returns rax. */
static long trap(int tid, int op, uint64_t a, uint64_t b) {
  struct bh_frame *f = memset(AT(frame, frame), 0, sizeof *f);
  f->tid = tid, f->rax = op, f->rdi = a, f->rsi = b;
  f->windows = shown, f->nr_windows = 1;
  int disposition = CALL(do_syscall_64, frame);
  if (disposition != BH_DISP_DONE) printf("  (disposition %d)\n", disposition);
  return (long)AT(frame, frame)->rax; // memory may have moved during the call
}

static void expect(const char *what, long got, long wanted) {
  printf("%-44s = %ld\n", what, got);
  if (got != wanted) exit((printf("expected %ld\n", wanted), 1));
}

int main(void) {
  wasm_rt_init();
  START();
  expect("boot(defaults)", (int)CALL(boot, 0), 0);
  frame = CALL(host_alloc, sizeof(struct bh_frame) + 16);
  shown = CALL(host_alloc, 64);
  uint32_t table = CALL(host_alloc, BH_NR_OPS * 2); // number n means operation n
  for (int n = 0; n < BH_NR_OPS; n++) ((uint16_t *)(MEMORY + table))[n] = n;
  expect("register_table()", (int)CALL(register_table, table, BH_NR_OPS, 0), 0);
  strcpy((char *)MEMORY + shown + 32, "box");
  struct bh_user_window *window = AT(user_window, shown);
  window->addr = NAME_AT, window->len = 4, window->place = shown + 32;
  window->mode = BH_WINDOW_READ;

  expect("[1] fork()", trap(1, BH_OP_FORK, 0, 0), 2);
  expect("[2] container_create(\"box\", 0)", trap(2, BH_OP_CONTAINER_CREATE, NAME_AT, 0), 3);
  expect("[2] fork_into_container(3)", trap(2, BH_OP_FORK_INTO_CONTAINER, 3, 0), 3);
  expect("[3] fork(): born in the box", trap(3, BH_OP_FORK, 0, 0), 4);
  uint32_t box = AT(task_struct, CALL(task_ptr, 3))->container;
  expect("members of the box", AT(container, box)->nr_members, 2);

  expect("[1] kill(3, SIGKILL): its init", trap(1, BH_OP_KILL, 3, BH_SIGKILL), 0);
  expect("run_pending(): killed and carried off", CALL(run_pending, 100), 2);
  expect("members of the box", AT(container, box)->nr_members, 0);
  int dead = AT(container, box)->flags & BH_CONTAINER_FLAG_DEAD;
  expect("the box is dead", dead != 0, 1);
  expect("[2] wait4(-1)", trap(2, BH_OP_WAIT4, -1, 0), 3);
  expect("[2] close(3): the last reference", trap(2, BH_OP_CLOSE, 3, 0), 0);
  puts("the kernel agrees with every line");
  return 0;
}
