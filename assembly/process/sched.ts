// How a task is scheduled and what kind of program it runs, where that is not the default: policy,
// priority, niceness, personality, timer slack. Nothing schedules by it: it is kept and told.
import { nil } from "../lib/err.ts";
import {
  CACHE_SCHED,
  kmem_cache_alloc,
  kmem_cache_free,
  kmem_cache_init,
  kmem_cache_zalloc,
} from "../lib/slab.ts";
import { PF_RARE, rare, rare_for_write, task_struct } from "./task.ts";
import { SCHED_DEADLINE, SCHED_FIFO, SCHED_NORMAL, SCHED_RR } from "../uapi/sched.ts";

/** struct task_sched - what a task has that is not the default, 56 bytes. */
@unmanaged
export class task_sched {
  policy: i32; // SCHED_*
  nice: i32; // -20..19
  rt_priority: u32; // 1..99 of SCHED_FIFO and SCHED_RR
  reset_on_fork: u32;
  personality: u32;
  pad: u32;
  slack: u64; // ns by which timers may be late; 0: slack_default
  slack_default: u64; // what the parent had; 0: 50 us
  runtime: u64; // of SCHED_DEADLINE, ns
  deadline: u64;
  period: u64;
}

/** Timer slack of whoever never set one, ns. */
const SLACK_DEFAULT: u64 = 50000;

export function sched_caches_init(): void {
  kmem_cache_init(CACHE_SCHED, <u32>offsetof<task_sched>());
}

/** The record of `p`, null while everything is the default. */
export function sched_of(p: task_struct): task_sched {
  return p.flags & PF_RARE ? rare(p).sched : changetype<task_sched>(0);
}

/** The record of `p`, made when there is none; null when memory is exhausted. */
export function sched_for_write(p: task_struct): task_sched {
  const k = rare_for_write(p);
  if (nil(k.sched)) k.sched = changetype<task_sched>(kmem_cache_zalloc(CACHE_SCHED));
  return k.sched;
}

export function task_nice(p: task_struct): i32 {
  const s = sched_of(p);
  return nil(s) ? 0 : s.nice;
}

export function task_policy(p: task_struct): i32 {
  const s = sched_of(p);
  return nil(s) ? SCHED_NORMAL : s.policy;
}

export function task_personality(p: task_struct): u32 {
  const s = sched_of(p);
  return nil(s) ? 0 : s.personality;
}

export function task_slack(p: task_struct): u64 {
  const s = sched_of(p);
  if (nil(s)) return SLACK_DEFAULT;
  if (s.slack) return s.slack;
  return s.slack_default ? s.slack_default : SLACK_DEFAULT;
}

export function rt_policy(policy: i32): bool {
  return policy == SCHED_FIFO || policy == SCHED_RR;
}

/** A child has what its parent has, but for what is reset on fork; false: no memory. */
export function sched_fork(p: task_struct, parent: task_struct): bool {
  const from = rare(parent).sched;
  if (nil(from)) return true;
  const s = changetype<task_sched>(kmem_cache_alloc(CACHE_SCHED));
  if (nil(s)) return false;
  memory.copy(changetype<usize>(s), changetype<usize>(from), offsetof<task_sched>());
  s.slack_default = task_slack(parent);
  s.slack = 0;
  if (s.reset_on_fork) {
    const special = rt_policy(s.policy) || s.policy == SCHED_DEADLINE;
    if (special) s.policy = SCHED_NORMAL;
    if (special || s.nice < 0) s.nice = 0;
    s.rt_priority = 0;
    s.reset_on_fork = 0;
  }
  rare_for_write(p).sched = s;
  return true;
}

/** The task is gone. */
export function sched_free(p: task_struct): void {
  const s = rare(p).sched;
  if (nil(s)) return;
  rare(p).sched = changetype<task_sched>(0);
  kmem_cache_free(CACHE_SCHED, changetype<usize>(s));
}
