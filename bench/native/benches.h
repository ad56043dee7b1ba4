/* The benchmarks themselves, as DEFINITION.md has them. Included by drive.c. */

static uint32_t seed = 2463534242u;
static uint32_t xorshift(void) {
  seed ^= seed << 13;
  seed ^= seed >> 17;
  seed ^= seed << 5;
  return seed;
}

static const char *kinds[] = {"trap",      "fork",   "thread",  "kill",   "cascade",
                              "container", "enter",  "signal",  "pidns",  "full",
                              "startup",   "snapshot"};
enum {
  TRAP, FORK, THREAD, KILL, CASCADE, CONTAINER, ENTER, SIGNAL, PIDNS, FULL, STARTUP, SNAPSHOT
};
static int kind_of(const char *name) {
  for (size_t i = 0; i < sizeof kinds / sizeof *kinds; ++i)
    if (!strcmp(kinds[i], name)) return (int)i;
  return -1;
}

/* Rows of samples, nanoseconds for one operation. */
#define MAX_SAMPLES 1024
#define WARM_UP 20
static double rows[4][MAX_SAMPLES];
static int taken;
static void row(const char *name, int which, int samples) {
  printf("\"%s\":[", name);
  for (int i = 0; i < samples; ++i) printf("%s%.3f", i ? "," : "", rows[which][i]);
  printf("],");
}

static void triples(int n) {
  for (int i = 0; i < n; ++i) {
    int child = do_fork(1);
    do_end(child, 7);
    sum += (uint32_t)do_wait(1, child);
  }
}
static int *pids;
static void live_triples(int n, uint32_t live) {
  for (int i = 0; i < n; ++i) {
    uint32_t at = xorshift() % live;
    do_end(pids[at], 7);
    sum += (uint32_t)do_wait(1, pids[at]);
    pids[at] = do_fork(1);
  }
}
/* Leaves the free memory of `n` tasks in no order. */
static void shuffle(int n) {
  for (int i = 0; i < n; ++i) pids[i] = do_fork(1);
  for (int i = n - 1; i > 0; --i) {
    int at = (int)(xorshift() % (uint32_t)(i + 1));
    int other = pids[at];
    pids[at] = pids[i];
    pids[i] = other;
  }
  for (int i = 0; i < n; ++i) {
    do_end(pids[i], 0);
    sum += (uint32_t)do_wait(1, pids[i]);
  }
}
/* `total` members in containers of `members` each: killed, dead, reaped. */
static void kill_loop(int members, int total, bool shuffled) {
  int groups = total / members;
  int n = 0;
  if (shuffled) shuffle(total + groups);
  for (int g = 0; g < groups; ++g) {
    int fd = do_create(1);
    for (int i = 0; i <= members; ++i) pids[n++] = do_enter(1, fd);
    do_close(1, fd);
  }
  double t0 = now_ns();
  for (int g = 0; g < groups; ++g) do_end(pids[g * (members + 1)], 0);
  double t1 = now_ns();
  sum += (uint32_t)m_run_pending(INT32_MAX);
  double t2 = now_ns();
  for (int i = 0; i < n; ++i) sum += (uint32_t)do_wait(1, pids[i]);
  double t3 = now_ns();
  rows[0][taken] = (t1 - t0) / (groups * members);
  rows[1][taken] = (t2 - t1) / (groups * members);
  rows[2][taken] = (t3 - t2) / n;
}
/* Ends one chain. Return: ns that the end of its last task took, which frees all of it. */
static double unchain(int first, int depth) {
  if (depth > 1) {
    do_end(first, 0);
    sum += (uint32_t)m_run_pending(depth - 2);
  }
  double t0 = now_ns();
  if (depth > 1) sum += (uint32_t)m_run_pending(1);
  else do_end(first, 0);
  return now_ns() - t0;
}
/* Chains of `depth` containers, each held by the one in it alone, go one after the other. */
static void cascade(int depth, int total) {
  int chains = total / depth;
  for (int n = 0, task_ = 1; n < chains * depth; ++n) {
    if (n % depth == 0) task_ = 1;
    int fd = do_create(task_);
    pids[n] = do_enter(task_, fd);
    do_close(pids[n], fd);
    do_close(task_, fd);
    task_ = pids[n];
  }
  double time = 0;
  for (int g = 0; g < chains; ++g) time += unchain(pids[g * depth], depth);
  rows[0][taken] = time / (chains * depth);
  for (int i = 0; i < chains * depth; ++i) sum += (uint32_t)do_wait(1, pids[i]);
}
static void containers(int n) {
  for (int i = 0; i < n; ++i) {
    int fd = do_create(1);
    do_close(1, fd);
    sum += (uint32_t)fd;
  }
}
static void enters(int n, int fd) {
  for (int i = 0; i < n; ++i) {
    int child = do_enter(1, fd);
    do_end(child, 0);
    sum += (uint32_t)do_wait(1, child);
  }
}
static void signals(int n, int target) {
  for (int i = 0; i < n; ++i) {
    sum += (uint32_t)do_kill(1, target);
    sum += (uint32_t)m_exit_to_user(target, 0);
    trap(c_return, BH_OP_RT_SIGRETURN, target, 0);
  }
}
/* `task_` has number `first - 1` machine-wide; children get the numbers from `first` on. */
static void nested(int n, int task_, int first) {
  for (int i = 0; i < n; ++i) {
    int child = do_fork(task_);
    do_end(first + i, 7);
    sum += (uint32_t)do_wait(task_, child);
  }
}
static long rss(void) {
  long pages = 0;
  FILE *f = fopen("/proc/self/statm", "r");
  if (f && fscanf(f, "%*d %ld", &pages) != 1) pages = 0;
  if (f) fclose(f);
  return pages * sysconf(_SC_PAGESIZE);
}
static void full(int tasks, int boxes) {
  uint32_t before = m_high_water();
  double t0 = now_ns();
  for (int i = 0; i < boxes; ++i) {
    int fd = do_create(1);
    pids[i] = do_enter(1, fd);
    do_close(1, fd);
  }
  double t1 = now_ns();
  for (int i = boxes; i < tasks; ++i) pids[i] = do_fork(1);
  double t2 = now_ns();
  long resident = rss();
  uint32_t used = m_high_water() - before;
  for (int i = 0; i < tasks; ++i) {
    do_end(pids[i], 0);
    sum += (uint32_t)do_wait(1, pids[i]);
  }
  rows[0][taken] = (t1 - t0) / (boxes ? boxes : 1);
  rows[1][taken] = (t2 - t1) / (tasks - boxes ? tasks - boxes : 1);
  rows[2][taken] = (now_ns() - t2) / tasks;
  if (taken == 0) printf("\"rss\":%ld,\"bytes\":%u,", resident, used);
}
static void snapshot(int tasks) {
  for (int i = 0; i < tasks; ++i) pids[i] = do_fork(1);
  uint32_t size = m_high_water();
#ifdef WASM2C
  char *from = MEMORY;
#else
  char *from = M(char, BASE);
#endif
  double t0 = now_ns();
  char *copy = malloc(size);
  memcpy(copy, from, size);
  double t1 = now_ns();
  memcpy(from, copy, size);
  double t2 = now_ns();
  free(copy);
  rows[0][taken] = (t1 - t0) / (size / 1048576.0);
  rows[1][taken] = (t2 - t1) / (size / 1048576.0);
  for (int i = 0; i < tasks; ++i) {
    do_end(pids[i], 0);
    sum += (uint32_t)do_wait(1, pids[i]);
  }
}

static int setup_signal(void) {
  int target = do_fork(1);
  trap(c_action, BH_OP_RT_SIGACTION, target, BH_SIGUSR1);
  return target;
}
static int setup_nested(int levels) {
  int task_ = 1;
  for (int i = 0; i < levels; ++i) {
    do_newpid(task_);
    task_ = 2 + i;
  }
  return task_;
}

static void run_bench(int kind, int a, int b, int samples, double booted) {
  bool many = kind == FORK || (kind == CASCADE && b);
  int room = kind == KILL ? b + b / a + 1 : many ? b : a;
  pids = calloc((size_t)room + 1, sizeof *pids);
  bool shuffled = kind == KILL && samples < 0;
  if (samples < 0) samples = -samples;
  if (kind == FORK) for (int i = 0; i < b; ++i) pids[i] = do_fork(1);
  int fd = kind == ENTER ? do_create(1) : 0;
  if (kind == ENTER) do_enter(1, fd);
  int target = kind == SIGNAL ? setup_signal() : 0;
  int task_ = kind == PIDNS ? setup_nested(b) : 1;
  bool timed = kind == KILL || kind == CASCADE || kind == FULL || kind == SNAPSHOT;
  /* the first passes warm up */
  int warm = timed ? 1 : WARM_UP;
  for (int i = -warm; i < samples; ++i) {
    taken = i < 0 ? 0 : i;
    double t0 = now_ns();
    switch (kind) {
      case TRAP:
        for (int j = 0; j < a; ++j) sum += (uint32_t)do_getppid(1);
        break;
      case FORK:
        if (b) live_triples(a, (uint32_t)b);
        else triples(a);
        break;
      case THREAD:
        for (int j = 0; j < a; ++j) {
          int thread = do_thread(1);
          sum += (uint32_t)thread;
          do_end_thread(thread);
        }
        break;
      case KILL: kill_loop(a, b, shuffled); break;
      case CASCADE: cascade(a, b ? b : a); break;
      case CONTAINER: containers(a); break;
      case ENTER: enters(a, fd); break;
      case SIGNAL: signals(a, target); break;
      case PIDNS: nested(a, task_, 2 + b + (i + warm) * a); break;
      case FULL:
        if (i >= 0) full(a, b);
        break;
      case SNAPSHOT: snapshot(a); break;
      default: break;
    }
    if (!timed && i >= 0) rows[0][i] = (now_ns() - t0) / a;
  }
  if (kind == STARTUP) for (int i = 0; i < samples; ++i) rows[0][i] = booted;
  row("", 0, samples);
  if (kind == KILL) row("die", 1, samples), row("reap", 2, samples);
  if (kind == FULL) row("tasks", 1, samples), row("end", 2, samples);
  if (kind == SNAPSHOT) row("restore", 1, samples);
}
