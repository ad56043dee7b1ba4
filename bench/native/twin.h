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
#endif
