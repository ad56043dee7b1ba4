// timerfd: when it goes off next, how often it did. The clock is the kernel's own (clock_set); a
// host that knows better tells of expirations itself (file_event).
import { nil } from "../lib/err.ts";
import { file } from "./file.ts";
import { frame } from "../lib/frame.ts";
import { list_at, list_head } from "../lib/list.ts";
import { root, SCRATCH_USER } from "../lib/root.ts";
import { CACHE_TIMERFD, kmem_cache_free, kmem_cache_init, kmem_cache_zalloc } from "../lib/slab.ts";
import { task_struct } from "../process/task.ts";
import { copy_to_vector } from "../lib/uio.ts";
import * as E from "../uapi/errno.ts";
import * as O from "../uapi/fcntl.ts";
import * as F from "../uapi/frame.ts";
import { signal_pending, wait_on_file, wake_up_poll } from "../process/waitqueue.ts";

/** struct timerfd_ctx - 48 bytes. It lives as long as its file. */
@unmanaged
export class timerfd_ctx {
  expires: u64; // on the kernel's clock; 0: disarmed
  interval: u64; // ns; 0: once
  ticks: u64; // expirations that nobody has read
  link_next: u32; // list_head on root.timers, while armed
  link_prev: u32;
  file: file; // [C] no reference
  clockid: i32; // [C]
  settime_flags: u32;
  pad: u32;

  get link(): list_head {
    return list_at(changetype<usize>(this), offsetof<timerfd_ctx>("link_next"));
  }
  static at(l: list_head): timerfd_ctx {
    return changetype<timerfd_ctx>(changetype<usize>(l) - offsetof<timerfd_ctx>("link_next"));
  }
}

export function timerfd_caches_init(): void {
  kmem_cache_init(CACHE_TIMERFD, <u32>offsetof<timerfd_ctx>());
}

/** A timer that is not armed, or null. */
export function alloc_timerfd(clockid: i32): timerfd_ctx {
  const t = changetype<timerfd_ctx>(kmem_cache_zalloc(CACHE_TIMERFD));
  if (nil(t)) return t;
  t.clockid = clockid;
  list_head.init(t.link);
  return t;
}

export function timerfd_release(t: timerfd_ctx): void {
  list_head.del(t.link);
  kmem_cache_free(CACHE_TIMERFD, changetype<usize>(t));
}

/** Arms or, with 0, disarms it; what it had counted is forgotten. */
export function timerfd_arm(t: timerfd_ctx, expires: u64, interval: u64): void {
  list_head.del_init(t.link);
  t.ticks = 0;
  t.expires = expires;
  t.interval = interval;
  if (expires) list_head.add_tail(t.link, root().timers);
}

/** It went off `n` times. */
export function timerfd_fire(t: timerfd_ctx, n: u64): void {
  if (!n || !t.expires) return;
  t.ticks += n;
  if (t.interval) {
    t.expires += t.interval * n;
  } else {
    t.expires = 0;
    list_head.del_init(t.link);
  }
  wake_up_poll(t.file.wait, O.POLLIN);
}

/** How often an armed timer has gone off by `now`, without the times that were counted. */
function due(t: timerfd_ctx, now: u64): u64 {
  if (!t.expires || now < t.expires) return 0;
  return t.interval ? 1 + (now - t.expires) / t.interval : 1;
}

/** The clock has moved on to `now`. */
export function timerfds_run(now: u64): void {
  const head = root().timers;
  let at = head.next;
  while (at !== head) {
    const next = at.next;
    const t = timerfd_ctx.at(at);
    timerfd_fire(t, due(t, now));
    at = next;
  }
}

/** Eight bytes: how often it went off since the last read. */
export function timerfd_read(p: task_struct, f: frame, at: file, total: u32, nr: u32): i32 {
  if (total < 8) return -E.EINVAL;
  const t = at.timerfd;
  if (!t.ticks) {
    if (at.flags & O.O_NONBLOCK) return -E.EAGAIN;
    if (signal_pending(p)) return -E.ERESTARTSYS;
    return wait_on_file(p, f, at.wait, at);
  }
  store<u64>(SCRATCH_USER, t.ticks);
  const bad = copy_to_vector(f, nr, SCRATCH_USER, 8);
  if (bad && bad != -E.EFAULT) return bad;
  if (!(f.assist & F.ASSIST_PEEK)) t.ticks = 0;
  return bad ? bad : 8;
}
