/* See machine.h. */
#include "machine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "wasm-rt-impl.h"

static void fail(const char *what) {
  fprintf(stderr, "%s failed\n", what);
  exit(1);
}

void machine_boot(struct machine *m, const struct machine_config *config) {
  memset(m, 0, sizeof *m);
  wasm_rt_init();
#ifdef WABT_OLD_NAMES
  Z_kernel_init_module();
  Z_kernel_instantiate(&m->kernel);
#else
  wasm2c_kernel_instantiate(&m->kernel);
#endif
  m->memory = KERNEL(memory)(&m->kernel);
  struct bh_boot_config *boot = machine_at(m, 0x10000);
  memset(boot, 0, sizeof *boot);
  boot->pid_max = BH_PID_MAX_LIMIT;
  boot->containers_max = config->containers_max;
  boot->container_depth_max = config->container_depth_max;
  boot->nofile_cur = boot->nofile_max = config->nofile;
  if (KERNEL(boot)(&m->kernel, 0x10000)) fail("boot");
  /* a table that maps each number to itself */
  uint32_t table = KERNEL(host_alloc)(&m->kernel, 2 * BH_NR_OPS);
  if (!table) fail("host_alloc");
  uint16_t *ops = machine_at(m, table);
  for (uint32_t i = 0; i < BH_NR_OPS; ++i) ops[i] = (uint16_t)i;
  if ((int32_t)KERNEL(register_table)(&m->kernel, table, BH_NR_OPS, 0)) fail("register_table");
}

struct call machine_prepare(struct machine *m, uint32_t op, int64_t a0, int64_t a1, int64_t a2) {
  uint32_t room = sizeof(struct bh_frame) + sizeof(struct bh_user_window) + 256;
  struct call c = {KERNEL(host_alloc)(&m->kernel, room), op};
  if (!c.at) fail("host_alloc");
  struct bh_frame *f = machine_at(m, c.at);
  f->tid = 1;
  f->rax = op;
  f->rdi = (uint64_t)a0;
  f->rsi = (uint64_t)a1;
  f->rdx = (uint64_t)a2;
  f->windows = c.at + sizeof(struct bh_frame);
  return c;
}

void machine_window(struct machine *m, struct call c, uint64_t addr, const char *text,
                    uint32_t len) {
  struct bh_frame *f = machine_at(m, c.at);
  struct bh_user_window *w = machine_at(m, f->windows);
  uint32_t place = f->windows + sizeof *w;
  memcpy(machine_at(m, place), text, len);
  w->addr = addr;
  w->len = len;
  w->place = place;
  w->mode = BH_WINDOW_READ;
  f->nr_windows = 1;
}
