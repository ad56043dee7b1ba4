// The epoll calls (fs/eventpoll.c): which items there are, what of them is ready, and that epoll
// files watch each other neither in a circle nor too deep.
import {
  alloc_epitem,
  alloc_eventpoll,
  ep_find,
  ep_ready,
  ep_release,
  ep_remove,
  epitem,
  eventpoll,
} from "./epoll.ts";
import { seeded_fault } from "../lib/bug.ts";
import { ep_loop_check, ep_too_many_paths } from "./eploop.ts";
import { nil, RET_SLEEPS, same } from "../lib/err.ts";
import * as FD from "./file.ts";
import { file } from "./file.ts";
import { frame } from "../lib/frame.ts";
import { list_head } from "../lib/list.ts";
import { file_can_poll, file_poll, poll_queue } from "./poll.ts";
import { SCRATCH_USER } from "../lib/root.ts";
import { call_file, end_wait } from "./sys-rw.ts";
import {
  get_timeout,
  restore_sigmask_unless,
  set_user_sigmask,
  sleep_until,
  timed_out,
  timeout_ms,
} from "./sys-poll.ts";
import { task_struct } from "../process/task.ts";
import { copy_from_user, copy_to_user, prepare_write } from "../lib/uaccess.ts";
import * as N from "../uapi/epoll.ts";
import * as E from "../uapi/errno.ts";
import * as O from "../uapi/fcntl.ts";
import * as F from "../uapi/frame.ts";
import { add_file_waiter, remove_waiters, signal_pending } from "../process/waitqueue.ts";

// Seeded fault (debug builds only): edge-triggered items are told again.
const F_EDGE = 146;

/** sizeof(struct epoll_event), which is packed */
const EVENT_BYTES: u32 = 12;

/** epoll_create1(2): flags. */
export function sys_epoll_create1(p: task_struct, flags: u32): i32 {
  if (flags & ~(<u32>N.EPOLL_CLOEXEC)) return -E.EINVAL;
  const ep = alloc_eventpoll();
  if (nil(ep)) return -E.ENOMEM;
  const at = FD.alloc_file(FD.FILE_EPOLL, O.O_RDWR, changetype<usize>(ep));
  if (nil(at)) {
    ep_release(ep);
    return -E.ENOMEM;
  }
  ep.file = at;
  const fd = FD.get_unused_fd(p, 0);
  if (fd < 0) {
    FD.fput(at);
    return fd;
  }
  FD.fd_install(p, fd, at, flags != 0);
  return fd;
}

/** epoll_create(2): a size that has to be positive and means nothing. */
export function sys_epoll_create(p: task_struct, size: i32): i32 {
  return size <= 0 ? -E.EINVAL : sys_epoll_create1(p, 0);
}

/** What of an item's events is ready. */
function item_poll(p: task_struct, item: epitem, depth: i32): u32 {
  return file_poll(p, item.file, depth) & item.events;
}

/** Is anything ready in `ep`? Items that turn out not to be leave the ready list. */
export function ep_poll(p: task_struct, ep: eventpoll, depth: i32): bool {
  if (depth > N.EP_MAX_NESTS) return false;
  const head = ep.ready;
  while (!list_head.empty(head)) {
    const item = epitem.from_rdl(head.next);
    if (item_poll(p, item, depth + 1)) return true;
    list_head.del_init(item.rdl);
  }
  return false;
}

function ep_insert(p: task_struct, ep: eventpoll, at: file, fd: i32, events: u32): i32 {
  const asked = events | N.EPOLLERR | N.EPOLLHUP;
  const item = alloc_epitem(ep, at, fd, asked, poll_queue(at));
  if (nil(item)) return -E.ENOMEM;
  if (ep_too_many_paths(ep, at)) {
    ep_remove(item);
    return -E.EINVAL;
  }
  item.data = load<u64>(SCRATCH_USER, 4);
  item.owner = <u32>changetype<usize>(p.signal);
  if (item_poll(p, item, 1)) ep_ready(item);
  return 0;
}

function ep_modify(p: task_struct, item: epitem, events: u32): i32 {
  item.events = events | N.EPOLLERR | N.EPOLLHUP;
  item.data = load<u64>(SCRATCH_USER, 4);
  if (item_poll(p, item, 1)) ep_ready(item);
  return 0;
}

/** epoll_ctl(2): epoll file, operation, descriptor, event. */
export function sys_epoll_ctl(p: task_struct, f: frame): i32 {
  const op = <i32>f.a1;
  const fd = <i32>f.a2;
  let events: u32 = 0;
  if (op != N.EPOLL_CTL_DEL) {
    const bad = copy_from_user(f, SCRATCH_USER, f.r10, EVENT_BYTES);
    if (bad) return bad;
    events = load<u32>(SCRATCH_USER);
  }
  const epf = call_file(p, f, <i32>f.a0);
  if (nil(epf)) return -E.EBADF;
  const at = call_file(p, f, fd);
  if (nil(at)) return -E.EBADF;
  // which of its files can be watched at all the world knows
  const world = at.kind == FD.FILE_WORLD || at.kind == FD.FILE_NULL;
  if (world && f.assist & F.ASSIST_ERRNO && f.assist_val == E.EPERM) return -E.EPERM;
  if (!file_can_poll(at) && !(f.assist & F.ASSIST_RET)) return -E.EPERM;
  if (same(epf, at) || epf.kind != FD.FILE_EPOLL) return -E.EINVAL;
  const nested = at.kind == FD.FILE_EPOLL;
  if (op != N.EPOLL_CTL_DEL && events & N.EPOLLEXCLUSIVE) {
    if (op == N.EPOLL_CTL_MOD) return -E.EINVAL;
    const more = events & ~(<u32>N.EPOLLEXCLUSIVE_OK_BITS);
    if (op == N.EPOLL_CTL_ADD && (nested || more)) return -E.EINVAL;
  }
  const ep = epf.eventpoll;
  if (op == N.EPOLL_CTL_ADD && nested && ep_loop_check(ep, at.eventpoll)) return -E.ELOOP;
  const item = ep_find(ep, at, fd);
  switch (op) {
    case N.EPOLL_CTL_ADD:
      return nil(item) ? ep_insert(p, ep, at, fd, events) : -E.EEXIST;
    case N.EPOLL_CTL_DEL:
      if (nil(item)) return -E.ENOENT;
      ep_remove(item);
      return 0;
    case N.EPOLL_CTL_MOD:
      if (nil(item)) return -E.ENOENT;
      return item.events & N.EPOLLEXCLUSIVE ? -E.EINVAL : ep_modify(p, item, events);
    default:
      return -E.EINVAL;
  }
}

/**
 * Hands out up to `max` ready events, in the order in which they became ready. What is told once
 * only (edge-triggered, one-shot) leaves the list, the rest goes to its end. Return: how many,
 * -EFAULT when not even one could be written.
 */
function ep_send_events(p: task_struct, f: frame, ep: eventpoll, max: u32): i32 {
  const peek = (f.assist & F.ASSIST_PEEK) != 0;
  const head = ep.ready;
  const last = head.prev;
  let n: u32 = 0;
  let at = head.next;
  while (at !== head && n < max) {
    const next = at.next;
    const end = at === last;
    const item = epitem.from_rdl(at);
    const revents = item_poll(p, item, 1);
    if (!revents) {
      if (!peek) list_head.del_init(item.rdl);
    } else {
      store<u32>(SCRATCH_USER, revents);
      store<u64>(SCRATCH_USER, item.data, 4);
      if (copy_to_user(f, f.a1 + n * EVENT_BYTES, SCRATCH_USER, EVENT_BYTES)) {
        return n ? <i32>n : -E.EFAULT;
      }
      n += 1;
      if (!peek) told(item);
    }
    if (end) break;
    at = next;
  }
  return <i32>n;
}

/** An item's event has been handed out. */
function told(item: epitem): void {
  list_head.del_init(item.rdl);
  if (item.events & N.EPOLLONESHOT) item.events &= <u32>N.EP_PRIVATE_BITS;
  else if (!(item.events & N.EPOLLET) || seeded_fault(F_EDGE)) {
    list_head.add_tail(item.rdl, item.ep.ready);
  }
}

function do_epoll_wait(p: task_struct, f: frame, fd: i32, max: i32, timeout: u64): i32 {
  const at = call_file(p, f, fd);
  if (nil(at)) return -E.EBADF;
  if (max <= 0 || max > N.EP_MAX_EVENTS) return -E.EINVAL;
  if (at.kind != FD.FILE_EPOLL) return -E.EINVAL;
  const ep = at.eventpoll;
  const some = <u32>min<i32>(max, 1024);
  const need = list_head.empty(ep.ready) ? 0 : prepare_write(f, f.a1, some * EVENT_BYTES);
  if (need) return need;
  const n = ep_send_events(p, f, ep, some);
  if (n) return n;
  if (timed_out(f, timeout)) return 0;
  if (signal_pending(p)) return -E.EINTR;
  if (f.assist & F.ASSIST_PEEK) return RET_SLEEPS;
  if (f.phase) remove_waiters(p);
  if (!add_file_waiter(p, ep.wait, at)) return -E.ENOMEM;
  return sleep_until(p, f, timeout);
}

/** epoll_wait(2): epoll file, events, their number, timeout in ms. */
export function sys_epoll_wait(p: task_struct, f: frame): i32 {
  return end_wait(p, do_epoll_wait(p, f, <i32>f.a0, <i32>f.a2, timeout_ms(<i32>f.r10)));
}

/** epoll_pwait(2): the same with a mask and its size. */
export function sys_epoll_pwait(p: task_struct, f: frame): i32 {
  const bad = set_user_sigmask(p, f, f.r8, f.r9);
  if (bad) return bad;
  const r = do_epoll_wait(p, f, <i32>f.a0, <i32>f.a2, timeout_ms(<i32>f.r10));
  return restore_sigmask_unless(p, f, end_wait(p, r), -E.EINTR);
}

/** epoll_pwait2(2): the same with a timespec. */
export function sys_epoll_pwait2(p: task_struct, f: frame): i32 {
  const bad_time = get_timeout(f, f.r10, false, false);
  if (bad_time) return bad_time;
  const timeout = load<u64>(SCRATCH_USER);
  const bad = set_user_sigmask(p, f, f.r8, f.r9);
  if (bad) return bad;
  const r = do_epoll_wait(p, f, <i32>f.a0, <i32>f.a2, timeout);
  return restore_sigmask_unless(p, f, end_wait(p, r), -E.EINTR);
}
