/*
 * What the machine's own kernel takes for fork + _exit + waitpid, which does far more than
 * bookkeeping: address spaces, page tables, scheduling. `real N SAMPLES` prints one line of JSON.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}
int main(int argc, char **argv) {
  if (argc != 3) return fputs("usage: real N SAMPLES\n", stderr), 2;
  int n = atoi(argv[1]);
  int samples = atoi(argv[2]);
  printf("{\"\":[");
  for (int i = -1; i < samples; ++i) {
    double t0 = now_ns();
    for (int j = 0; j < n; ++j) {
      pid_t child = fork();
      if (child < 0) return perror("fork"), 3;
      if (!child) _exit(7);
      if (waitpid(child, NULL, 0) != child) return perror("waitpid"), 3;
    }
    if (i >= 0) printf("%s%.1f", i ? "," : "", (now_ns() - t0) / n);
    fflush(stdout);
  }
  printf("]}\n");
  return 0;
}
