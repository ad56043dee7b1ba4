// Processes that share nothing, wait for each other and are killed: for the example machine.
#define NR_READ 0
#define NR_WRITE 1
#define NR_CLOSE 3
#define NR_PIPE 22
#define NR_GETPID 39
#define NR_FORK 57
#define NR_WAIT4 61
#define NR_KILL 62
#define NR_EXIT_GROUP 231
#define SIGKILL 9
#define SIGCONT 18
#define SIGSTOP 19
#define WUNTRACED 2
#define WCONTINUED 8

static long call(long nr, long a, long b, long c) {
  register long r10 __asm__("r10") = 0;
  long result;
  __asm__ volatile("syscall"
                   : "=a"(result)
                   : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10)
                   : "rcx", "r11", "memory");
  return result;
}

static void say(const char *text, long value) {
  char line[64];
  int at = 0;
  while (*text) line[at++] = *text++;
  line[at++] = ' ';
  char digits[20];
  int n = 0;
  if (value < 0) line[at++] = '-', value = -value;
  do digits[n++] = (char)('0' + value % 10);
  while (value /= 10);
  while (n) line[at++] = digits[--n];
  line[at++] = '\n';
  call(NR_WRITE, 1, (long)line, at);
}

static volatile int shared = 1;

__attribute__((used)) static void start(void) {
  int fds[2], status = 0, more;
  char byte = 0;
  call(NR_PIPE, (long)fds, 0, 0);
  long child = call(NR_FORK, 0, 0, 0);
  if (child == 0) {
    shared = 2;
    say("child", call(NR_GETPID, 0, 0, 0));
    // the parent sleeps in its read by now
    for (volatile int i = 0; i < 30000; ++i) continue;
    call(NR_WRITE, fds[1], (long)"x", 1);
    // nobody will write: only a signal ends this
    call(NR_CLOSE, fds[1], 0, 0);
    int other[2];
    call(NR_PIPE, (long)other, 0, 0);
    call(NR_READ, other[0], (long)&byte, 1);
    call(NR_EXIT_GROUP, 99, 0, 0);
  }
  say("read", call(NR_READ, fds[0], (long)&byte, 1));
  say("byte", byte);
  say("own memory", shared);
  say("stop", call(NR_KILL, child, SIGSTOP, 0));
  say("stopped", call(NR_WAIT4, child, (long)&status, WUNTRACED));
  say("status", status);
  say("continue", call(NR_KILL, child, SIGCONT, 0));
  say("continued", call(NR_WAIT4, child, (long)&status, WCONTINUED));
  say("kill", call(NR_KILL, child, SIGKILL, 0));
  say("wait4", call(NR_WAIT4, child, (long)&status, 0));
  say("status", status);
  say("nobody", call(NR_WAIT4, -1, (long)&more, 0));
  say("no call", call(9999, 0, 0, 0));
  say("bad address", call(NR_PIPE, 16, 0, 0));
  call(NR_EXIT_GROUP, 3, 0, 0);
}

__asm__(".globl _start\n_start:\n  and $-16, %rsp\n  call start\n");
