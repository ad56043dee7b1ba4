// struct task_struct - one thread. Split in two records of the same index:
//
//   chunk of 256 KiB (64 KiB aligned):  [ 1024 hot records, 64 bytes each | 1024 cold, 192 each ]
//
// The hot record is one cache line and holds what fork, kill and wait walk over; wider records
// cost the kill loop five times more. cold(p) finds the other half by arithmetic.
import { zero } from "./zero.ts";
import { container } from "./container.ts";
import { cred } from "./cred.ts";
import { NULL } from "./err.ts";
import { files_struct } from "./file.ts";
import { frame } from "./frame.ts";
import { fs_struct } from "./fs.ts";
import { list_at, list_head } from "./list.ts";
import { nsproxy } from "./nsproxy.ts";
import { pid } from "./pid.ts";
import { PAGE_LISTS, root } from "./root.ts";
import { sighand_struct, signal_struct } from "./signal-struct.ts";
import { alloc_pages, cache_at, CACHE_TASK, kfree, kmalloc } from "./slab.ts";

// state
export const TASK_RUNNING: u32 = 0;
export const TASK_INTERRUPTIBLE: u32 = 1;
/** Sleeps until woken or killed: vfork, the exec that waits for its threads. */
export const TASK_KILLABLE: u32 = 2;
export const TASK_STOPPED: u32 = 4;
/** pid-namespace init that waits for the last process of its namespace. */
export const TASK_ZAPPING: u32 = 8;
export const EXIT_ZOMBIE: u32 = 16;
export const TASK_DEAD: u32 = 32;

// flags
export const PF_EXITING: u32 = 0x1;
export const PF_FORKNOEXEC: u32 = 0x2;
export const PF_TRACED: u32 = 0x4;
/** A sleeping call was woken and waits for resume(). */
export const PF_WOKEN: u32 = 0x8;
/** pending or shared_pending may hold a signal that is not blocked. */
export const TIF_SIGPENDING: u32 = 0x10;
export const PF_RESTORE_SIGMASK: u32 = 0x20;
/** This thread has still to stop for the group's stop. */
export const JOBCTL_STOP_PENDING: u32 = 0x40;
/** ... and is counted in group_stop_count. */
export const JOBCTL_STOP_CONSUME: u32 = 0x80;
export const PF_NO_NEW_PRIVS: u32 = 0x100;
/** In a group of more than one thread: the kill loop must look at the group. */
export const PF_THREADED: u32 = 0x200;

/** A frame of this task in the batch under way was not run to its end: later ones wait. */
export const PF_BATCH_HELD: u32 = 0x400;

/** Hot record: exactly 64 bytes. Guarded by tasklist_lock unless tagged. */
@unmanaged
export class task_struct {
  state: u32;
  flags: u32;
  pending: u64; // [sighand] thread-directed signals, bit signo - 1
  kill_slot: u32; // position + 1 in the kill queue, 0 = not marked
  pid: i32; // [C] number in the initial pid namespace
  thread_pid: pid; // holds a reference until release_task
  real_parent: task_struct; // no reference: reparented before the parent goes
  sibling_next: u32; // list_head sibling, on real_parent.children
  sibling_prev: u32;
  children_next: u32; // list_head children
  children_prev: u32;
  signal: signal_struct; // counted in signal.sigcnt
  container: container; // [container.lock] counted per process, held by the leader
  member_slot: u32; // [container.lock] position in container.members
  cred: cred; // holds a reference

  get children(): list_head {
    return list_at(changetype<usize>(this), offsetof<task_struct>("children_next"));
  }
  get sibling(): list_head {
    return list_at(changetype<usize>(this), offsetof<task_struct>("sibling_next"));
  }
  static from_sibling(l: list_head): task_struct {
    return changetype<task_struct>(changetype<usize>(l) - offsetof<task_struct>("sibling_next"));
  }
}
export const TASK_BYTES: u32 = 64;
if (offsetof<task_struct>() != 64) ERROR("the hot task record must be one cache line");

/** Cold record: 192 bytes, same index. */
@unmanaged
export class task_cold {
  tgid: i32; // number of the group's leader, initial pid namespace
  exit_code: i32; // wait status form
  exit_signal: i32; // -1: a thread, tells nobody
  pdeath_signal: i32;
  group_leader: task_struct;
  thread_next: u32; // [tasklist] list_head thread_node, on signal.threads
  thread_prev: u32;
  sighand: sighand_struct; // holds a reference
  files: files_struct; // holds a reference
  fs: fs_struct; // holds a reference
  nsproxy: nsproxy; // holds a reference
  vfork_parent: task_struct; // sleeps until this child execs or exits
  blocked: u64; // [sighand] signal mask
  saved_sigmask: u64; // mask to come back to, with PF_RESTORE_SIGMASK
  clear_child_tid: u64; // guest address
  queue_next: u32; // list_head pending.list: sigqueue entries
  queue_prev: u32;
  frame: frame; // the sleeping or just completed call's frame, owned by the task
  waiters: u32; // first waiter of the sleeping call
  woken_next: u32; // list_head on root.woken
  woken_prev: u32;
  sigframes: u32; // stack of saved frames, newest first
  vfork_child: task_struct; // whom a vfork sleeps for
  comm0: u64;
  comm1: u64;
  adopted: u32; // 1: came from outside (adopt), 0: forked
  fatal_signo: i32; // traced: the fatal signal that was taken; the death itself comes later
  sas_flags: u32;
  start_seq: u64;
  pad0: u64;
  pad1: u64;

  get thread_node(): list_head {
    return list_at(changetype<usize>(this), offsetof<task_cold>("thread_next"));
  }
  get queue(): list_head {
    return list_at(changetype<usize>(this), offsetof<task_cold>("queue_next"));
  }
  get woken(): list_head {
    return list_at(changetype<usize>(this), offsetof<task_cold>("woken_next"));
  }
}
/** What of the cold record is in use: the rest of its slot is never read. */
const COLD_USED: usize = (offsetof<task_cold>() + 7) & ~7;
if (offsetof<task_cold>() > 192) ERROR("the cold task record outgrew its slot");

const CHUNK_ORDER = 2;
const HOT_PART: usize = 0x10000;

/** The cold half of `p`. */
export function cold(p: task_struct): task_cold {
  const at = changetype<usize>(p);
  const index64 = at & 0xffff;
  return changetype<task_cold>((at & ~0xffff) + HOT_PART + index64 * 3);
}

/** The task of a cold record. */
export function hot(c: task_cold): task_struct {
  const at = changetype<usize>(c);
  const chunk = at & ~0x3ffff;
  return changetype<task_struct>(chunk + (at - chunk - HOT_PART) / 3);
}

export function from_thread_node(l: list_head): task_struct {
  return hot(changetype<task_cold>(changetype<usize>(l) - offsetof<task_cold>("thread_next")));
}
export function from_woken(l: list_head): task_struct {
  return hot(changetype<task_cold>(changetype<usize>(l) - offsetof<task_cold>("woken_next")));
}

/** 256 KiB aligned to its size; the pages skipped for it serve smaller requests. */
function alloc_task_chunk(): usize {
  // pages handed out one by one until the next is aligned are kept, not lost
  while (true) {
    const r = root();
    if ((r.high_water & 0x3ffff) == 0) return alloc_pages(CHUNK_ORDER);
    const page = take_top_page();
    if (!page) return 0;
  }
}

/** Moves the bump pointer by one page and leaves that page on the free list of order 0. */
function take_top_page(): usize {
  const at = root().high_water;
  const order0 = PAGE_LISTS;
  const saved = load<u32>(order0);
  store<u32>(order0, 0);
  const page = alloc_pages(0);
  store<u32>(order0, saved);
  if (!page) return 0;
  store<u32>(page, saved);
  store<u32>(order0, <u32>page);
  return at;
}

/** A task record, both halves cleared, with empty lists. Null when memory is exhausted. */
export function alloc_task(): task_struct {
  if (CONFIG_DEBUG) {
    // counts as an allocation like any other
    const probe = kmalloc(16);
    if (!probe) return NULL<task_struct>();
    kfree(probe, 16);
  }
  const c = cache_at(CACHE_TASK);
  let at: usize = c.free;
  if (at) {
    c.free = load<u32>(at);
  } else {
    at = c.bump;
    if (at == c.bump_end) {
      const chunk = alloc_task_chunk();
      if (!chunk) return NULL<task_struct>();
      at = chunk;
      c.bump_end = <u32>(chunk + HOT_PART);
      c.pages += 4;
    }
    c.bump = <u32>(at + 64);
  }
  c.live += 1;
  const p = changetype<task_struct>(at);
  zero(at, 64);
  const k = cold(p);
  zero(changetype<usize>(k), <u32>COLD_USED);
  list_head.init(p.children);
  list_head.init(p.sibling);
  list_head.init(k.thread_node);
  list_head.init(k.queue);
  list_head.init(k.woken);
  return p;
}

export function free_task(p: task_struct): void {
  const c = cache_at(CACHE_TASK);
  p.state = TASK_DEAD;
  p.pid = 0;
  store<u32>(changetype<usize>(p), c.free);
  c.free = <u32>changetype<usize>(p);
  c.live -= 1;
}

/** Leader of the thread group. */
export function thread_group_leader(p: task_struct): bool {
  return cold(p).exit_signal >= 0;
}
