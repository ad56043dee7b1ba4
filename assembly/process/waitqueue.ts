// Sleeping. There is no kernel stack: a call that must wait registers waiters on queues, marks its
// task asleep and returns RET_BLOCKED; the task keeps its frame. A wake-up puts the task on the
// woken list; the host lets it go on with resume(), which runs the call again from its start.
import { ep_poll_callback, epitem } from "../fs/epoll.ts";
import { NULL, nil, RET_BLOCKED, RET_SLEEPS, same } from "../lib/err.ts";
import { file, fput, get_file } from "../fs/file.ts";
import { frame } from "../lib/frame.ts";
import { list_at, list_head } from "../lib/list.ts";
import { root } from "../lib/root.ts";
import { signal_struct } from "./signal-struct.ts";
import { CACHE_WAITER, kmem_cache_alloc, kmem_cache_free, kmem_cache_init } from "../lib/slab.ts";
import { cold, PF_RARE, PF_WOKEN, rare, rare_for_write, task_struct } from "./task.ts";
import { TASK_INTERRUPTIBLE, TASK_KILLABLE, TASK_RUNNING, TIF_SIGPENDING } from "./task.ts";
import { ENOMEM, ERESTART_RESTARTBLOCK } from "../uapi/errno.ts";
import { POLLIN } from "../uapi/fcntl.ts";
import { ASSIST_PEEK } from "../uapi/frame.ts";
import { OP_RT_SIGTIMEDWAIT } from "../uapi/op.ts";

/** struct waiter - one task on one queue, or one item of an epoll file; 32 bytes. */
@unmanaged
export class waiter {
  link_next: u32; // list_head on the queue
  link_prev: u32;
  task: task_struct; // null: this is the first part of an epitem
  next: waiter; // the same task's next waiter
  file: file; // [C] whose queue it is, null: no file's. Holds a reference while asleep
  lock_owner: u32; // waits for a record lock: for whom (locks.ts); 0 otherwise
  lock_blocker: u32; // ... and who holds it
}

export function waiter_caches_init(): void {
  kmem_cache_init(CACHE_WAITER, <u32>offsetof<waiter>());
}

/** Registers `p` on `queue`; false when memory is exhausted. */
export function add_waiter(p: task_struct, queue: list_head): bool {
  const w = changetype<waiter>(kmem_cache_alloc(CACHE_WAITER));
  if (nil(w)) return false;
  const k = rare_for_write(p);
  w.task = p;
  w.file = NULL<file>();
  w.lock_owner = 0;
  w.lock_blocker = 0;
  w.next = changetype<waiter>(k.waiters);
  k.waiters = <u32>changetype<usize>(w);
  list_head.add_tail(list_at(changetype<usize>(w), 0), queue);
  return true;
}

/** The same on a queue of `f`, which stays open meanwhile, whoever closes its descriptors. */
export function add_file_waiter(p: task_struct, queue: list_head, f: file): bool {
  if (!add_waiter(p, queue)) return false;
  changetype<waiter>(<usize>rare(p).waiters).file = get_file(f);
  return true;
}

/** The file that the sleeping call of `p` waits on. */
export function waited_file(p: task_struct): file {
  return changetype<waiter>(<usize>rare(p).waiters).file;
}

/** The same, null when it waits on none. */
export function awaited_file(p: task_struct): file {
  if (!(p.flags & PF_RARE) || !rare(p).waiters) return NULL<file>();
  return waited_file(p);
}

/** Says for whom the sleep of `p` asks for a record lock, and who holds it. */
export function set_blocker(p: task_struct, owner: u32, blocker: u32): void {
  const w = changetype<waiter>(<usize>rare(p).waiters);
  w.lock_owner = owner;
  w.lock_blocker = blocker;
}

/** Takes `p` off every queue. */
export function remove_waiters(p: task_struct): void {
  if (!(p.flags & PF_RARE)) return;
  const k = rare(p);
  let w = changetype<waiter>(k.waiters);
  k.waiters = 0;
  while (!nil(w)) {
    const next = w.next;
    const held = w.file;
    list_head.del(list_at(changetype<usize>(w), 0));
    kmem_cache_free(CACHE_WAITER, changetype<usize>(w));
    if (!nil(held)) fput(held);
    w = next;
  }
}

/** Puts the caller to sleep in its present call. `state`: interruptible or killable. */
export function sleep_on(p: task_struct, f: frame, state: u32): i32 {
  p.state = state;
  rare_for_write(p).frame = f;
  return RET_BLOCKED;
}

/**
 * The call of `f` was interrupted: restart_syscall(2) goes on with it unless a handler runs first.
 * Return: -ERESTART_RESTARTBLOCK.
 */
export function restart_block(p: task_struct, f: frame): i32 {
  const k = rare_for_write(p);
  k.restart_op = f.op;
  k.restart_a0 = f.a0;
  k.restart_a1 = <u32>f.a1;
  k.restart_a2 = <u32>f.a2;
  return -ERESTART_RESTARTBLOCK;
}

/** Sleeps on one queue until woken or signalled; -ENOMEM when it cannot be registered. */
export function wait_on(p: task_struct, f: frame, queue: list_head): i32 {
  if (!add_waiter(p, queue)) return -ENOMEM;
  return sleep_on(p, f, TASK_INTERRUPTIBLE);
}

/**
 * Sleeps on a queue of `at`, where a call that goes on finds it by awaited_file(); a call that is
 * only looked at ahead doesn't. Return: RET_BLOCKED, RET_SLEEPS, -ENOMEM.
 */
export function wait_on_file(p: task_struct, f: frame, queue: list_head, at: file): i32 {
  if (f.assist & ASSIST_PEEK) return RET_SLEEPS;
  if (nil(awaited_file(p)) && !add_file_waiter(p, queue, at)) return -ENOMEM;
  f.phase = 1;
  return sleep_on(p, f, TASK_INTERRUPTIBLE);
}

/** Ends the sleep of `p`: it waits on the woken list until the host resumes it. */
export function wake_up_process(p: task_struct): void {
  const state = p.state;
  if (state != TASK_INTERRUPTIBLE && state != TASK_KILLABLE) return;
  p.state = TASK_RUNNING;
  p.flags |= PF_WOKEN;
  list_head.add_tail(rare_for_write(p).woken, root().woken);
}

/** Takes `p` off the woken list: it is resumed, or it dies. */
export function clear_woken(p: task_struct): void {
  if (!(p.flags & PF_WOKEN)) return;
  p.flags &= ~PF_WOKEN;
  list_head.del(rare(p).woken);
}

/** Wakes every task that sleeps on `queue`. Their waiters stay until they run. */
export function wake_up_all(queue: list_head): void {
  if (!list_head.empty(queue)) wake_up_poll(queue, 0);
}

/**
 * The same, with what has become ready (POLL*; 0: anything): epoll items that don't ask for it
 * take no notice. Of exclusive items one with a sleeper behind it is enough. What an item wakes
 * may be another epoll file's item; those nest four deep at most.
 */
export function wake_up_poll(queue: list_head, key: u32): void {
  let exclusive = false;
  let at = queue.next;
  while (at !== queue) {
    const next = at.next;
    const w = changetype<waiter>(changetype<usize>(at));
    if (nil(w.task)) {
      const item = changetype<epitem>(changetype<usize>(at));
      if (ep_poll_callback(item, key, exclusive)) exclusive = true;
    } else {
      wake_up_process(w.task);
    }
    at = next;
  }
}

/** A signal has become pending for the group `signal`: sleepers of its signalfds hear of it. */
export function signalfd_notify(signal: signal_struct): void {
  const queue = root().sigwait;
  let at = queue.next;
  while (at !== queue) {
    const next = at.next;
    const w = changetype<waiter>(changetype<usize>(at));
    if (nil(w.task)) {
      const item = changetype<epitem>(changetype<usize>(at));
      if (item.owner == <u32>changetype<usize>(signal)) ep_poll_callback(item, POLLIN, false);
    } else if (same(w.task.signal, signal)) {
      wake_up_process(w.task);
    }
    at = next;
  }
}

/** True when `p` has a signal to take before it goes on. */
export function signal_pending(p: task_struct): bool {
  return (p.flags & TIF_SIGPENDING) != 0;
}

/** The sleeping call of `p` is over without a result: an observation of the host. */
export function abort_sleep(p: task_struct): void {
  remove_waiters(p);
  clear_woken(p);
  if (p.state == TASK_INTERRUPTIBLE || p.state == TASK_KILLABLE) p.state = TASK_RUNNING;
  if (!(p.flags & PF_RARE)) return;
  const k = rare(p);
  // sigtimedwait lets its set through only while it sleeps
  if (!nil(k.frame) && k.frame.op == OP_RT_SIGTIMEDWAIT && k.frame.phase) {
    cold(p).blocked = k.saved_sigmask;
    k.frame.phase = 0;
  }
  const child = k.vfork_child;
  if (!nil(child)) {
    rare(child).vfork_parent = changetype<task_struct>(0);
    k.vfork_child = changetype<task_struct>(0);
  }
}
