// The proposal's example program without a C library: it makes a container, shows
// /proc/containers, starts a shell in the container and waits for it. The shell is this program
// again, under the name of bash. NR_CONTAINER_CREATE and NR_FORK_INTO_CONTAINER may be given from
// outside: 333 and 334 are the example's own numbers.
#ifndef NR_CONTAINER_CREATE
#define NR_CONTAINER_CREATE 333
#endif
#ifndef NR_FORK_INTO_CONTAINER
#define NR_FORK_INTO_CONTAINER 334
#endif

#define NR_READ 0
#define NR_WRITE 1
#define NR_OPEN 2
#define NR_CLOSE 3
#define NR_GETPID 39
#define NR_FORK 57
#define NR_EXECVE 59
#define NR_WAIT4 61
#define NR_GETUID 102
#define NR_GETPPID 110
#define NR_EXIT_GROUP 231

#define CONTAINER_NEW_EMPTY_FS_NS 0x002
#define CONTAINER_NEW_CGROUP_NS 0x004
#define CONTAINER__FLAG_MASK 0x3ff

static long call(long nr, long a, long b, long c, long d, long e) {
  register long r10 __asm__("r10") = d;
  register long r8 __asm__("r8") = e;
  long result;
  __asm__ volatile("syscall"
                   : "=a"(result)
                   : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8)
                   : "rcx", "r11", "memory");
  return result;
}

static void print(const char *text) {
  long length = 0;
  while (text[length]) ++length;
  call(NR_WRITE, 1, (long)text, length, 0, 0);
}

static void print_number(long value) {
  char text[24];
  char *at = text + sizeof text - 1;
  unsigned long rest = value < 0 ? -(unsigned long)value : (unsigned long)value;
  *at = 0;
  do *--at = (char)('0' + rest % 10);
  while (rest /= 10);
  if (value < 0) *--at = '-';
  print(at);
}

static void print_line(const char *text, long value) {
  print(text);
  print_number(value);
  print("\n");
}

static void leave(int code) {
  call(NR_EXIT_GROUP, code, 0, 0, 0, 0);
}

/** A failed call's name and errno; the program ends. */
static void fail(const char *what, long result) {
  print(what);
  print_line(": errno ", -result);
  leave(1);
}

/** What cat would do. */
static void show(const char *path) {
  char buffer[48]; // smaller than the file, so that reading goes on where it stopped
  long fd = call(NR_OPEN, (long)path, 0, 0, 0, 0);
  if (fd < 0) fail(path, fd);
  long got;
  while ((got = call(NR_READ, fd, (long)buffer, sizeof buffer, 0, 0)) > 0)
    call(NR_WRITE, 1, (long)buffer, got, 0, 0);
  call(NR_CLOSE, fd, 0, 0, 0, 0);
}

/** What system("cat ...") would do: a child shows the file, the parent waits. */
static void show_in_child(const char *path) {
  int status;
  long pid = call(NR_FORK, 0, 0, 0, 0, 0);
  if (pid < 0) fail("fork", pid);
  if (pid == 0) {
    show(path);
    leave(0);
  }
  call(NR_WAIT4, pid, (long)&status, 0, 0, 0);
}

/** What runs in the container. Returns its exit code. */
static int shell(char **env) {
  for (; *env; ++env) {
    if ((*env)[0] == 'P' && (*env)[1] == 'S' && (*env)[2] == '1') print(*env + 4);
  }
  print_line(" pid ", call(NR_GETPID, 0, 0, 0, 0, 0));
  print_line("parent ", call(NR_GETPPID, 0, 0, 0, 0, 0));
  print_line("user ", call(NR_GETUID, 0, 0, 0, 0, 0));
  show("/proc/containers");
  return 7;
}

static int run(char *self) {
  char *argv[] = {"bash", 0};
  char *env[] = {"PS1=container>", 0};
  long flags = CONTAINER__FLAG_MASK & ~(CONTAINER_NEW_EMPTY_FS_NS | CONTAINER_NEW_CGROUP_NS);
  int status;
  long fd = call(NR_CONTAINER_CREATE, (long)"foo-test", flags, 0, 0, 0);
  if (fd < 0) fail("container_create", fd);
  print_line("foo-test is descriptor ", fd);
  show_in_child("/proc/containers");
  long pid = call(NR_FORK_INTO_CONTAINER, fd, 0, 0, 0, 0);
  if (pid < 0) fail("fork_into_container", pid);
  if (pid == 0) {
    call(NR_CLOSE, fd, 0, 0, 0, 0);
    fail("execve", call(NR_EXECVE, (long)self, (long)argv, (long)env, 0, 0));
  }
  long waited = call(NR_WAIT4, pid, (long)&status, 0, 0, 0);
  if (waited != pid) fail("wait4", waited);
  print_line("bash ended with code ", status >> 8 & 0xff);
  call(NR_CLOSE, fd, 0, 0, 0, 0);
  return 0;
}

__attribute__((used)) static void start(long *stack) {
  long argc = stack[0];
  char **argv = (char **)(stack + 1);
  const char *name = argv[0];
  int is_shell = name[0] == 'b' && name[1] == 'a' && name[2] == 's' && name[3] == 'h';
  leave(is_shell ? shell(argv + argc + 1) : run(argv[0]));
}

__asm__(".globl _start\n"
        "_start:\n"
        "  mov %rsp, %rdi\n"
        "  and $-16, %rsp\n"
        "  call start\n");
