/* What the benchmarks' driver calls of the C twin. */
#ifndef TWIN_H
#define TWIN_H
#include <stdint.h>
struct bh_frame;
struct bh_task_struct;
struct bh_task_cold;
struct bh_kernel_root;
void twin_boot(const uint16_t *table, uint32_t len);
void *twin_alloc(uint32_t size);
int twin_trap(struct bh_frame *f);
int twin_run_pending(int max);
int twin_exit_to_user(int tid, struct bh_frame *f);
uint32_t twin_batch(const uint32_t *ring, uint32_t n);
uint32_t twin_high_water(void);
uint16_t *twin_ops(void);
struct bh_kernel_root *twin_root(void);
struct bh_task_struct *twin_task(int nr);
struct bh_task_cold *twin_cold(struct bh_task_struct *p);
int twin_next_pid(int tid);

int twin_call_getppid(int tid);
int twin_call_fork(int tid);
int twin_call_clone(int tid, uint32_t flags);
int twin_call_enter(int tid, int fd);
int twin_call_exit(int tid, int code);
int twin_call_exit_group(int tid, int code);
int twin_call_wait4(int tid, int child, int options);
int twin_call_kill(int tid, int to, int sig);
int twin_call_close(int tid, int fd);
int twin_call_create(int tid, uint32_t name, uint32_t flags);
#endif
