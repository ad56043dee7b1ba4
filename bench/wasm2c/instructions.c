/* What each operation costs in instructions: callgrind's counters are cleared before a loop and
 * written out behind it. Prints the operations' names, and how many were counted, in that order. */
#include <stdio.h>
#include <stdlib.h>
#include <valgrind/callgrind.h>

#include "machine.h"

enum { N = 2000, MEMBERS = 4000 };

static struct machine m;

#define MEASURE(name, operations, body)   \
  do {                                    \
    CALLGRIND_ZERO_STATS;                 \
    body;                                 \
    CALLGRIND_DUMP_STATS_AT(name);        \
    printf("%s %d\n", name, operations);  \
  } while (0)

static void check(int good, const char *what) {
  if (good) return;
  fprintf(stderr, "%s went wrong\n", what);
  exit(1);
}

static struct call simple(uint32_t op) {
  return machine_prepare(&m, op, 0, 0, 0);
}

static struct call create_call(int64_t name) {
  struct call c = machine_prepare(&m, BH_OP_CONTAINER_CREATE, name, 0, 0);
  machine_window(&m, c, (uint64_t)name, "bench", 6);
  return c;
}

static void fork_exit_wait(int n) {
  static struct call fork, leave, wait;
  if (!fork.at) {
    fork = simple(BH_OP_FORK);
    leave = simple(BH_OP_EXIT_GROUP);
    wait = machine_prepare(&m, BH_OP_WAIT4, -1, 0, BH_WNOHANG);
  }
  for (int i = 0; i < n; ++i) {
    int32_t child = machine_again(&m, fork, 1);
    machine_call(&m, leave, child, 7);
    check(machine_call(&m, wait, 1, child) == child, "fork, exit, wait");
  }
}

static void thread(int n) {
  uint32_t flags = BH_CLONE_VM | BH_CLONE_FS | BH_CLONE_FILES | BH_CLONE_SIGHAND |
                   BH_CLONE_THREAD | BH_CLONE_SYSVSEM;
  static struct call clone, leave;
  if (!clone.at) {
    clone = machine_prepare(&m, BH_OP_CLONE, flags, 0, 0);
    leave = simple(BH_OP_EXIT);
  }
  for (int i = 0; i < n; ++i) machine_call(&m, leave, machine_again(&m, clone, 1), 0);
}

static void getppid(int n) {
  static struct call call;
  if (!call.at) call = simple(BH_OP_GETPPID);
  for (int i = 0; i < n; ++i) machine_again(&m, call, 1);
}

static void batch(int n) {
  enum { FRAMES = 64 };
  static struct call calls[FRAMES];
  static uint32_t ring;
  if (!ring) {
    ring = KERNEL(host_alloc)(&m.kernel, FRAMES * 4);
    for (int i = 0; i < FRAMES; ++i) calls[i] = simple(BH_OP_GETPPID);
    for (int i = 0; i < FRAMES; ++i) ((uint32_t *)machine_at(&m, ring))[i] = calls[i].at;
  }
  for (int i = 0; i < n; i += FRAMES) {
    for (int j = 0; j < FRAMES; ++j) {
      ((struct bh_frame *)machine_at(&m, calls[j].at))->rax = calls[j].op;
    }
    check(KERNEL(do_syscall_batch)(&m.kernel, ring, FRAMES) == FRAMES, "batch");
  }
}

static void create_close(int n) {
  static struct call create, close;
  if (!create.at) {
    create = create_call(0x1000);
    close = simple(BH_OP_CLOSE);
  }
  for (int i = 0; i < n; ++i) {
    int32_t fd = machine_again(&m, create, 1);
    check(fd > 0 && machine_call(&m, close, 1, fd) == 0, "create, close");
  }
}

static void enter_exit_wait(int32_t fd, int n) {
  static struct call enter, leave, wait;
  if (!enter.at) {
    enter = machine_prepare(&m, BH_OP_FORK_INTO_CONTAINER, fd, 0, 0);
    leave = simple(BH_OP_EXIT_GROUP);
    wait = machine_prepare(&m, BH_OP_WAIT4, -1, 0, BH_WNOHANG);
  }
  for (int i = 0; i < n; ++i) {
    int32_t child = machine_again(&m, enter, 1);
    machine_call(&m, leave, child, 0);
    check(machine_call(&m, wait, 1, child) == child, "enter, exit, wait");
  }
}

/* SIGUSR1 to a child that has a handler for it, and its delivery. */
static void signal_handler(int n) {
  static struct call send, act;
  static int32_t child;
  if (!child) {
    child = machine_again(&m, simple(BH_OP_FORK), 1);
    send = machine_prepare(&m, BH_OP_KILL, child, BH_SIGUSR1, 0);
    act = machine_prepare(&m, BH_OP_RT_SIGACTION, BH_SIGUSR1, 0x1000, 0);
    struct bh_frame *f = machine_at(&m, act.at);
    f->r10 = 8;
    uint64_t action[4] = {0x2000, 0, 0, 0};
    machine_window(&m, act, 0x1000, (const char *)action, sizeof action);
    check(machine_again(&m, act, child) == 0, "sigaction");
  }
  for (int i = 0; i < n; ++i) {
    check(machine_again(&m, send, 1) == 0, "kill");
    check(KERNEL(exit_to_user)(&m.kernel, child, 0, 0) == BH_ACTION_HANDLED, "delivery");
    KERNEL(set_blocked)(&m.kernel, child, 0, 0);
  }
}

/* Members of a container die with its init: the marking alone, then their ends. */
static void members(int32_t init) {
  struct call leave = simple(BH_OP_EXIT_GROUP);
  MEASURE("kill loop, member", MEMBERS, machine_call(&m, leave, init, 0));
  uint32_t died = 0;
  MEASURE("death, member", MEMBERS, died = KERNEL(run_pending)(&m.kernel, 1 << 30));
  check(died == MEMBERS, "kill loop");
}

/* A chain of containers, each held by its init alone, is released by the end of the first. */
static void cascade(int levels) {
  struct call create = create_call(0x1000);
  struct call enter = simple(BH_OP_FORK_INTO_CONTAINER);
  struct call close = simple(BH_OP_CLOSE);
  int32_t first = 0;
  int32_t at = 1;
  for (int i = 0; i < levels; ++i) {
    int32_t fd = machine_again(&m, create, at);
    int32_t next = machine_call(&m, enter, at, fd);
    check(fd > 0 && next > 0, "nesting");
    machine_call(&m, close, next, fd);
    machine_call(&m, close, at, fd);
    if (!first) first = next;
    at = next;
  }
  struct call leave = simple(BH_OP_EXIT_GROUP);
  MEASURE("cascade, level", levels, {
    machine_call(&m, leave, first, 0);
    KERNEL(run_pending)(&m.kernel, 1 << 30);
  });
}

/* Audit with one rule: about a number that nobody calls. */
static void audit_on(void) {
  uint32_t at = KERNEL(host_alloc)(&m.kernel, sizeof(struct bh_audit_rule) + 256);
  KERNEL(audit_control)(&m.kernel, BH_AUDIT_CTL_ENABLE, 0);
  struct bh_audit_rule *rule = machine_at(&m, at);
  rule->action = BH_AUDIT_ALWAYS;
  uint32_t *map = (uint32_t *)&rule->map0;
  map[1000 >> 5] |= 1u << (1000 & 31);
  check(KERNEL(audit_control)(&m.kernel, BH_AUDIT_CTL_ADD_RULE, at) == 0, "audit rule");
}

int main(void) {
  machine_boot(&m, &(struct machine_config){.containers_max = 100000,
                                            .container_depth_max = 100000,
                                            .nofile = 4096});
  struct call create = create_call(0x1000);
  struct call enter = simple(BH_OP_FORK_INTO_CONTAINER);
  int32_t fd = machine_again(&m, create, 1);
  int32_t init = machine_call(&m, enter, 1, fd);
  for (int i = 0; i < MEMBERS; ++i) check(machine_call(&m, enter, 1, fd) > 0, "enter");
  int32_t other = machine_again(&m, create, 1);
  check(machine_call(&m, enter, 1, other) > 0, "enter");
  getppid(1), batch(1), fork_exit_wait(1), thread(1), create_close(1), signal_handler(1);
  enter_exit_wait(other, 1);
  MEASURE("trap getppid", N, getppid(N));
  MEASURE("batched getppid", 1984, batch(1984));
  MEASURE("fork+exit+wait", N, fork_exit_wait(N));
  MEASURE("thread+exit", N, thread(N));
  MEASURE("enter+exit+wait", N, enter_exit_wait(other, N));
  MEASURE("container create+destroy", N, create_close(N));
  MEASURE("signal to a handler", N, signal_handler(N));
  members(init);
  cascade(2000);
  audit_on();
  MEASURE("audited getppid", N, getppid(N));
  MEASURE("audited fork+exit+wait", N, fork_exit_wait(N));
  return 0;
}
