// struct task_struct - one thread. Split in three records of the same index:
//
//   chunk of 256 KiB:  [ 1021 hot records, 64 bytes each | 1021 cold, 64 | 1021 rare, 128 ]
//
// The hot record is one cache line and holds what the kill loop and wait walk over; wider records
// cost them five times more. cold(p) and rare(p) find the others by arithmetic.
import { container } from "../container/container.ts";
import { cred } from "../cred/cred.ts";
import { NULL, nil } from "../lib/err.ts";
import { files_struct } from "../fs/file.ts";
import { frame } from "../lib/frame.ts";
import { fs_struct } from "../fs/fs.ts";
import { list_at, list_head } from "../lib/list.ts";
import { nsproxy } from "../namespace/nsproxy.ts";
import { pid } from "./pid.ts";
import { PAGE_LISTS, root } from "../lib/root.ts";
import { task_sched } from "./sched.ts";
import { sighand_struct, signal_struct } from "./signal-struct.ts";
import { alloc_pages, cache_at, CACHE_TASK, kfree, kmalloc, kmem_cache } from "../lib/slab.ts";

// state
export const TASK_RUNNING: u32 = 0;
export const TASK_INTERRUPTIBLE: u32 = 1;
/** Sleeps until woken or killed: vfork, the exec that waits for its threads. */
export const TASK_KILLABLE: u32 = 2;
export const TASK_STOPPED: u32 = 4;
/** pid-namespace init that waits for the last process of its namespace. */
export const TASK_ZAPPING: u32 = 8;
export const EXIT_ZOMBIE: u32 = 16;

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
/** Traced: the tracer sees the stop signal that was taken (stop_signo); the stop comes after. */
export const JOBCTL_STOP_DEQUEUED: u32 = 0x1000;
/** All of a stop that is still to come. */
export const JOBCTL_STOP: u32 = JOBCTL_STOP_PENDING | JOBCTL_STOP_CONSUME | JOBCTL_STOP_DEQUEUED;
/** In a group of more than one thread: the kill loop must look at the group. */
export const PF_THREADED: u32 = 0x200;

/** A frame of this task in the batch under way was not run to its end: later ones wait. */
export const PF_BATCH_HELD: u32 = 0x400;
/** The rare record names an audit context. Implies PF_RARE. */
export const PF_AUDIT: u32 = 0x1000000;
/** Became a user that had more tasks than it may have: exec looks again. */
export const PF_NPROC_EXCEEDED: u32 = 0x800;
/** What a child has of its parent's flags. */
export const PF_INHERITED: u32 = PF_TRACED | PF_NO_NEW_PRIVS;
/** The rare record may hold something. */
export const PF_RARE: u32 = 0x80000000;
/** What of these makes the end of a task a special one. */
export const PF_UNPLAIN: u32 =
  PF_EXITING | PF_RARE | PF_THREADED | TIF_SIGPENDING | JOBCTL_STOP_PENDING;

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

  /** Room for a task. 0 when memory is exhausted. */
  @inline static record(): usize {
    const c = cache_at(CACHE_TASK);
    const at: usize = c.free;
    if (!at) return new_task_record();
    c.free = load<u32>(at);
    c.live += 1;
    return at;
  }

  /**
   * A task that nothing is known of yet. What every fork sets is undefined in it; the rest is zero,
   * its lists are empty but for those that a live task is on: siblings and threads.
   */
  @inline static init(p: task_struct): void {
    const k = cold(p);
    store<u64>(changetype<usize>(p), 0, offsetof<task_struct>("state")); // TASK_RUNNING, and flags
    p.pending = 0;
    p.kill_slot = 0;
    p.container = changetype<container>(0);
    list_head.init(p.children);
    k.exit_code = 0;
    list_head.init(k.queue);
  }

  /** Gives the record back; its rare part is clean. */
  @inline static put(p: task_struct): void {
    const c = cache_at(CACHE_TASK);
    p.pid = 0;
    store<u32>(changetype<usize>(p), c.free);
    c.free = <u32>changetype<usize>(p);
    c.live -= 1;
  }

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

/**
 * Cold record: one more line, what fork, exit and wait touch besides the hot one. It lies at a
 * constant distance from it, so that a field of it is one load.
 */
@unmanaged
export class task_cold {
  exit_code: i32; // wait status form
  exit_signal: i32; // -1: a thread, tells nobody
  thread_next: u32; // [tasklist] list_head thread_node, on signal.threads
  thread_prev: u32;
  sighand: sighand_struct; // holds a reference
  files: files_struct; // holds a reference
  fs: fs_struct; // holds a reference
  nsproxy: nsproxy; // holds a reference
  blocked: u64; // [sighand] signal mask
  queue_next: u32; // list_head pending.list: sigqueue entries
  queue_prev: u32;
  comm0: u64;
  comm1: u64;

  get thread_node(): list_head {
    return list_at(changetype<usize>(this), offsetof<task_cold>("thread_next"));
  }
  get queue(): list_head {
    return list_at(changetype<usize>(this), offsetof<task_cold>("queue_next"));
  }
}
if (offsetof<task_cold>() != 64) ERROR("the cold task record must be one cache line");

/**
 * Rare record: 128 bytes, what most tasks never use. It is all zero while PF_RARE is clear, so
 * that neither fork nor exit has to look at it. New fields for single features go here.
 */
@unmanaged
export class task_rare {
  pdeath_signal: i32;
  vfork_parent: task_struct; // sleeps until this child execs or exits
  saved_sigmask: u64; // mask to come back to, with PF_RESTORE_SIGMASK
  clear_child_tid: u64; // guest address
  frame: frame; // the sleeping or just completed call's frame, owned by the task
  waiters: u32; // first waiter of the sleeping call
  woken_next: u32; // list_head on root.woken, with PF_WOKEN
  woken_prev: u32;
  sigframes: u32; // stack of saved frames, newest first
  vfork_child: task_struct; // whom a vfork sleeps for
  adopted: u32; // 1: came from outside (adopt), 0: forked
  fatal_signo: i32; // traced: the fatal signal that was taken; the death itself comes later
  sas_flags: u32;
  sas_on: u32; // 1: a handler runs on the alternate stack
  robust_list: u64; // guest address of the head, 0: none
  sas_sp: u64; // alternate signal stack; size 0: none
  sas_size: u64;
  restart_a0: u64; // arguments of the call that restart_syscall(2) goes on with
  restart_a1: u32;
  restart_a2: u32;
  restart_op: u32; // OP_* of it, 0: none
  audit: u32; // audit_context, with PF_AUDIT; holds a reference
  upcall: u32; // struct upcall that the task sleeps for the answer of, or was granted
  sched: task_sched; // policy, niceness, personality; null: all the default
  stop_signo: i32; // with JOBCTL_STOP_DEQUEUED

  get woken(): list_head {
    return list_at(changetype<usize>(this), offsetof<task_rare>("woken_next"));
  }
}
const RARE_BYTES: u32 = 128;
if (offsetof<task_rare>() > 128) ERROR("the rare task record outgrew its slot");

// A chunk of 256 KiB: hot records in its first page, cold and rare ones behind. Each part begins
// one line later in its page than the one before, so that the records of a task fall into different
// cache sets and a store to one is not mistaken for a load of another.
const CHUNK_ORDER = 2;
const CHUNK_TASKS: usize = 1021;
const COLD_PART: usize = 0x10040;
const RARE_PART: usize = 0x20080;
if (RARE_PART + CHUNK_TASKS * 128 > 0x40000) ERROR("the rare records outgrew their chunk");

/** The cold record of `p`. */
export function cold(p: task_struct): task_cold {
  return changetype<task_cold>(changetype<usize>(p) + COLD_PART);
}

/** The rare record of `p`, to be read. */
export function rare(p: task_struct): task_rare {
  const at = changetype<usize>(p);
  return changetype<task_rare>(at + (at & 0xffff) + RARE_PART);
}

/** The rare record of `p`, to be written: from now on exit and fork have to look at it. */
export function rare_for_write(p: task_struct): task_rare {
  p.flags |= PF_RARE;
  return rare(p);
}

/** The death of `p`'s parent is no longer told to it. */
export function clear_pdeath_signal(p: task_struct): void {
  if (p.flags & PF_RARE) rare(p).pdeath_signal = 0;
}

export function from_thread_node(l: list_head): task_struct {
  const at = changetype<usize>(l) - offsetof<task_cold>("thread_next");
  return changetype<task_struct>(at - COLD_PART);
}
export function from_woken(l: list_head): task_struct {
  const at = changetype<usize>(l) - offsetof<task_rare>("woken_next");
  const chunk = at & ~0x3ffff;
  return changetype<task_struct>(chunk + ((at - chunk - RARE_PART) >> 1));
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

/** A new chunk for the cache's bump allocation; false when memory is exhausted. */
function task_cache_grow(c: kmem_cache): bool {
  const fresh = root().high_water;
  const chunk = alloc_task_chunk();
  if (!chunk) return false;
  // rare records begin as zeros: fresh memory is, what was used before is not
  if (chunk < <usize>fresh) memory.fill(chunk + RARE_PART, 0, CHUNK_TASKS * RARE_BYTES);
  c.bump = <u32>chunk;
  c.bump_end = <u32>(chunk + CHUNK_TASKS * TASK_BYTES);
  c.pages += 4;
  return true;
}

/** A task record as it comes, not through the free list. 0 when memory is exhausted. */
function new_task_record(): usize {
  const c = cache_at(CACHE_TASK);
  if (c.bump == c.bump_end && !task_cache_grow(c)) return 0;
  const at: usize = c.bump;
  c.bump = <u32>(at + TASK_BYTES);
  c.live += 1;
  return at;
}

/** A task record for task_struct.init(). Null when memory is exhausted. */
export function alloc_task(): task_struct {
  if (CONFIG_DEBUG) {
    // counts as an allocation like any other
    const probe = kmalloc(16);
    if (!probe) return NULL<task_struct>();
    kfree(probe, 16);
  }
  const p = changetype<task_struct>(task_struct.record());
  if (!nil(p)) task_struct.init(p);
  return p;
}

export function free_task(p: task_struct): void {
  if (p.flags & PF_RARE) memory.fill(changetype<usize>(rare(p)), 0, RARE_BYTES);
  task_struct.put(p);
}

/** Leader of the thread group. */
export function thread_group_leader(p: task_struct): bool {
  return cold(p).exit_signal >= 0;
}
