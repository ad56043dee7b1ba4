// What the threads of a group share (signal_struct) and the table of signal actions
// (sighand_struct). Both are counted; the action table and the limits are shared between
// processes until one of them writes.
import { k_itimer } from "../signal/itimer.ts";
import { list_at, list_head } from "../lib/list.ts";
import { pid } from "./pid.ts";
import { refcount_dec_and_test, refcount_inc } from "../lib/refcount.ts";
import {
  CACHE_RLIMITS,
  CACHE_SIGHAND,
  CACHE_SIGNAL,
  kmem_cache_alloc,
  kmem_cache_free,
  kmem_cache_init,
  kmem_cache_zalloc,
} from "../lib/slab.ts";
import { task_struct } from "./task.ts";
import { RLIM_NLIMITS } from "../uapi/resource.ts";
import { SIG_IGN } from "../uapi/signal.ts";

// signal_struct.flags
export const SIGNAL_GROUP_EXIT: u32 = 0x1;
export const SIGNAL_STOP_STOPPED: u32 = 0x2;
export const SIGNAL_STOP_CONTINUED: u32 = 0x4;
/** The parent has still to be told of a stop or a continue. */
export const SIGNAL_CLD_STOPPED: u32 = 0x8;
export const SIGNAL_CLD_CONTINUED: u32 = 0x10;
/** Init of the machine or of a pid namespace. */
export const SIGNAL_UNKILLABLE: u32 = 0x20;
export const SIGNAL_CHILD_SUBREAPER: u32 = 0x40;
/** Some ancestor is a subreaper: exit has to look for it. */
export const SIGNAL_HAS_SUBREAPER: u32 = 0x80;
/** No core, and nobody may look into it: prctl(PR_SET_DUMPABLE), or its ids changed. */
export const SIGNAL_NOT_DUMPABLE: u32 = 0x100;
/** Something of a semaphore is to be undone at its end; it has shared memory attached. */
export const SIGNAL_SEM_UNDO: u32 = 0x200;
export const SIGNAL_SHM: u32 = 0x400;
export const SIGNAL_IPC: u32 = SIGNAL_SEM_UNDO | SIGNAL_SHM;

/** struct rlimit_table - 16 pairs of soft and hard limit, copied when written. */
@unmanaged
export class rlimit_table {
  count: i32; // refcount_t: signal_structs
  pad: i32;
}
const RLIMITS_AT: usize = 8;

/** struct signal_struct - one per thread group. Guarded by tasklist_lock. */
@unmanaged
export class signal_struct {
  sigcnt: i32; // refcount_t: threads, the container whose init this is
  live: i32; // threads that have not begun to exit
  nr_threads: i32; // threads not yet released
  flags: u32;
  group_exit_code: i32; // wait status; while stopping: the signal
  group_stop_count: i32;
  leader: task_struct;
  exec_task: task_struct; // the thread whose exec waits for the others
  shared_pending: u64; // [sighand]
  queue_next: u32; // list_head: sigqueue entries of shared_pending
  queue_prev: u32;
  threads_next: u32; // list_head of task_cold.thread_node, leader first
  threads_prev: u32;
  pgrp: pid; // holds a reference
  session: pid; // holds a reference
  pgrp_next: u32; // list_head on pgrp.members
  pgrp_prev: u32;
  wait_next: u32; // list_head wait_chldexit: waiters
  wait_prev: u32;
  rlim: rlimit_table; // holds a reference
  tgid_pid: pid; // the leader's struct pid; no reference, the leader has it
  timers: k_itimer; // head of its chain of timers, null until the first
  // controlling terminal, 0: none; no reference, it is cleared before the terminal goes (tty.ts).
  // Of a session leader whose terminal was hung up: the foreground group of then, a struct pid
  // with a reference, with bit 0 set
  tty: u32;

  /**
   * A group of `threads` threads that are not on its list yet. Its leader, limits, group and
   * session are the caller's to set; what is not set by either is undefined.
   */
  @inline static init(s: signal_struct, threads: i32): void {
    // pairs of fields, the lower one first
    const at = changetype<usize>(s);
    store<u64>(at, 1 | ((<u64>threads) << 32), offsetof<signal_struct>("sigcnt"));
    store<u64>(at, threads, offsetof<signal_struct>("nr_threads")); // and flags
    store<u64>(at, 0, offsetof<signal_struct>("group_exit_code")); // and group_stop_count
    s.exec_task = changetype<task_struct>(0);
    s.shared_pending = 0;
    store<u64>(at, 0, offsetof<signal_struct>("timers")); // and tty
    list_head.init(s.queue);
    list_head.init(s.threads);
    list_head.init(s.wait_chldexit);
  }

  get threads(): list_head {
    return list_at(changetype<usize>(this), offsetof<signal_struct>("threads_next"));
  }
  get queue(): list_head {
    return list_at(changetype<usize>(this), offsetof<signal_struct>("queue_next"));
  }
  get pgrp_link(): list_head {
    return list_at(changetype<usize>(this), offsetof<signal_struct>("pgrp_next"));
  }
  get wait_chldexit(): list_head {
    return list_at(changetype<usize>(this), offsetof<signal_struct>("wait_next"));
  }
  static from_pgrp_link(l: list_head): signal_struct {
    return changetype<signal_struct>(changetype<usize>(l) - offsetof<signal_struct>("pgrp_next"));
  }
}

/** struct k_sigaction - 32 bytes, as rt_sigaction(2) passes it on x86-64. */
@unmanaged
export class k_sigaction {
  handler: u64;
  flags: u64;
  restorer: u64;
  mask: u64;
}
export const SIGACTION_BYTES: u32 = 32;

/** struct sighand_struct - count, then 64 actions. */
@unmanaged
export class sighand_struct {
  count: i32; // refcount_t
  shared: u32; // 1: CLONE_SIGHAND, the sharers see each other's writes
  lock: u32; // spinlock_t, LOCK_SIGHAND
  pad: u32;
}
const ACTIONS_AT: usize = 16;
const SIGHAND_BYTES: u32 = 16 + 64 * 32;

export function signal_caches_init(): void {
  kmem_cache_init(CACHE_SIGNAL, <u32>offsetof<signal_struct>());
  kmem_cache_init(CACHE_SIGHAND, SIGHAND_BYTES);
  kmem_cache_init(CACHE_RLIMITS, 8 + RLIM_NLIMITS * 16);
}

/** A group without threads. */
export function alloc_signal(): signal_struct {
  const s = changetype<signal_struct>(kmem_cache_alloc(CACHE_SIGNAL));
  if (changetype<usize>(s) != 0) signal_struct.init(s, 0);
  return s;
}

export function get_signal_struct(s: signal_struct): void {
  refcount_inc(changetype<usize>(s));
}

export function put_signal_struct(s: signal_struct): void {
  if (!refcount_dec_and_test(changetype<usize>(s))) return;
  put_rlimits(s.rlim);
  kmem_cache_free(CACHE_SIGNAL, changetype<usize>(s));
}

/** Action of signal `sig` (1..64). */
export function action_of(h: sighand_struct, sig: i32): k_sigaction {
  return changetype<k_sigaction>(changetype<usize>(h) + ACTIONS_AT + ((<usize>(sig - 1)) << 5));
}

export function alloc_sighand(): sighand_struct {
  const h = changetype<sighand_struct>(kmem_cache_zalloc(CACHE_SIGHAND));
  if (changetype<usize>(h) != 0) h.count = 1;
  return h;
}

export function put_sighand(h: sighand_struct): void {
  if (refcount_dec_and_test(changetype<usize>(h))) {
    kmem_cache_free(CACHE_SIGHAND, changetype<usize>(h));
  }
}

/** A private copy of `h`; null when memory is exhausted. Drops no reference. */
export function copy_sighand(h: sighand_struct): sighand_struct {
  const copy = changetype<sighand_struct>(kmem_cache_alloc(CACHE_SIGHAND));
  if (changetype<usize>(copy) == 0) return copy;
  memory.copy(changetype<usize>(copy), changetype<usize>(h), SIGHAND_BYTES);
  copy.count = 1;
  copy.shared = 0;
  copy.lock = 0;
  return copy;
}

export function alloc_rlimits(): rlimit_table {
  const r = changetype<rlimit_table>(kmem_cache_zalloc(CACHE_RLIMITS));
  if (changetype<usize>(r) != 0) r.count = 1;
  return r;
}

export function put_rlimits(r: rlimit_table): void {
  if (changetype<usize>(r) == 0) return;
  if (refcount_dec_and_test(changetype<usize>(r))) {
    kmem_cache_free(CACHE_RLIMITS, changetype<usize>(r));
  }
}

/** Soft limit `resource`; all ones is no limit. */
export function rlimit(s: signal_struct, resource: i32): u64 {
  return load<u64>(changetype<usize>(s.rlim) + RLIMITS_AT + ((<usize>resource) << 4));
}
export function rlimit_max(s: signal_struct, resource: i32): u64 {
  return load<u64>(changetype<usize>(s.rlim) + RLIMITS_AT + ((<usize>resource) << 4), 8);
}

/** Sets both limits, on a private copy of the table. 0 or false when memory is exhausted. */
export function set_rlimit(s: signal_struct, resource: i32, cur: u64, max: u64): bool {
  let r = s.rlim;
  if (r.count != 1) {
    const copy = alloc_rlimits();
    if (changetype<usize>(copy) == 0) return false;
    memory.copy(
      changetype<usize>(copy) + RLIMITS_AT,
      changetype<usize>(r) + RLIMITS_AT,
      RLIM_NLIMITS * 16,
    );
    put_rlimits(r);
    s.rlim = copy;
    r = copy;
  }
  const at = changetype<usize>(r) + RLIMITS_AT + ((<usize>resource) << 4);
  store<u64>(at, cur);
  store<u64>(at, max, 8);
  return true;
}

/** The threads of one group share their action table's writes only with CLONE_SIGHAND. */
export function sighand_must_copy(h: sighand_struct): bool {
  return h.count != 1 && h.shared == 0;
}

/** Caught signals go back to their default, ignored ones stay: exec, CLONE_CLEAR_SIGHAND. */
export function clear_handlers(h: sighand_struct): void {
  for (let sig = 1; sig <= 64; ++sig) {
    const a = action_of(h, sig);
    if (a.handler != SIG_IGN) a.handler = 0;
    a.flags = 0;
    a.restorer = 0;
    a.mask = 0;
  }
}
