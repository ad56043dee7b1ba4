// The objects behind epoll: an eventpoll with its items, each on the queue of the file that it
// watches. The calls are in sys-epoll.ts.
import { NULL, nil } from "../lib/err.ts";
import { file } from "./file.ts";
import { list_at, list_head } from "../lib/list.ts";
import {
  CACHE_EPITEM,
  CACHE_EVENTPOLL,
  kmem_cache_free,
  kmem_cache_init,
  kmem_cache_zalloc,
} from "../lib/slab.ts";
import { task_struct } from "../process/task.ts";
import { EPOLLEXCLUSIVE, EPOLLIN, EPOLLOUT, EP_PRIVATE_BITS } from "../uapi/epoll.ts";
import { POLLIN, POLLRDNORM } from "../uapi/fcntl.ts";
import { wake_up_poll } from "../process/waitqueue.ts";

/** struct eventpoll - what an epoll file stands for, 48 bytes. It lives as long as its file. */
@unmanaged
export class eventpoll {
  rdl_next: u32; // list_head: items that may be ready, in the order in which they became it
  rdl_prev: u32;
  wait_next: u32; // list_head: sleepers in epoll_wait, pollers of the epoll file
  wait_prev: u32;
  items_next: u32; // list_head: all items
  items_prev: u32;
  file: file; // [C] its own file; no reference
  walk: u32; // number of the last walk over nested epoll files that came here (eploop.ts)
  depth: i32; // what that walk found out

  get ready(): list_head {
    return list_at(changetype<usize>(this), offsetof<eventpoll>("rdl_next"));
  }
  get wait(): list_head {
    return list_at(changetype<usize>(this), offsetof<eventpoll>("wait_next"));
  }
  get items(): list_head {
    return list_at(changetype<usize>(this), offsetof<eventpoll>("items_next"));
  }
}

/**
 * struct epitem - one descriptor that an epoll file watches, 80 bytes. It goes with the open file
 * that it watches, or with the epoll file.
 */
@unmanaged
export class epitem {
  link_next: u32; // list_head on the file's queue: it begins like a waiter, without a task
  link_prev: u32;
  task: task_struct; // [C] null
  owner: u32; // [C] thread group that added it: whose signals a signalfd's item is about
  rdl_next: u32; // list_head on ep.ready; empty: not there
  rdl_prev: u32;
  item_next: u32; // list_head on ep.items
  item_prev: u32;
  ep: eventpoll; // [C]
  file: file; // [C] no reference: its release takes the item along
  file_next: epitem; // the next item of the same file
  fd: i32; // [C]
  events: u32; // EPOLL* as asked for; only private bits left: disabled by one-shot
  data: u64;

  get link(): list_head {
    return list_at(changetype<usize>(this), offsetof<epitem>("link_next"));
  }
  get rdl(): list_head {
    return list_at(changetype<usize>(this), offsetof<epitem>("rdl_next"));
  }
  get item(): list_head {
    return list_at(changetype<usize>(this), offsetof<epitem>("item_next"));
  }
  static from_rdl(l: list_head): epitem {
    return changetype<epitem>(changetype<usize>(l) - offsetof<epitem>("rdl_next"));
  }
  static from_item(l: list_head): epitem {
    return changetype<epitem>(changetype<usize>(l) - offsetof<epitem>("item_next"));
  }
}

export function epoll_caches_init(): void {
  kmem_cache_init(CACHE_EVENTPOLL, <u32>offsetof<eventpoll>());
  kmem_cache_init(CACHE_EPITEM, <u32>offsetof<epitem>());
}

/** An eventpoll without items, or null. */
export function alloc_eventpoll(): eventpoll {
  const ep = changetype<eventpoll>(kmem_cache_zalloc(CACHE_EVENTPOLL));
  if (nil(ep)) return ep;
  list_head.init(ep.ready);
  list_head.init(ep.wait);
  list_head.init(ep.items);
  return ep;
}

/**
 * An item on every list but the ready one. `queue`: that of `f`, null: it has none. The newest is
 * told first, but of exclusive ones the oldest. Null when memory is exhausted.
 */
export function alloc_epitem(
  ep: eventpoll,
  f: file,
  fd: i32,
  events: u32,
  queue: list_head,
): epitem {
  const item = changetype<epitem>(kmem_cache_zalloc(CACHE_EPITEM));
  if (nil(item)) return item;
  item.ep = ep;
  item.file = f;
  item.fd = fd;
  item.file_next = f.items;
  f.items = item;
  list_head.init(item.rdl);
  list_head.add_tail(item.item, ep.items);
  item.events = events;
  if (nil(queue)) list_head.init(item.link);
  else if (events & EPOLLEXCLUSIVE) list_head.add_tail(item.link, queue);
  else list_head.add(item.link, queue);
  return item;
}

/** The item of descriptor `fd` with its file in `ep`, or null. */
export function ep_find(ep: eventpoll, f: file, fd: i32): epitem {
  let item = f.items;
  while (!nil(item)) {
    if (item.fd == fd && changetype<usize>(item.ep) == changetype<usize>(ep)) return item;
    item = item.file_next;
  }
  return NULL<epitem>();
}

/** Takes an item off every list and frees it. */
export function ep_remove(item: epitem): void {
  const f = item.file;
  if (changetype<usize>(f.items) == changetype<usize>(item)) {
    f.items = item.file_next;
  } else {
    let at = f.items;
    while (changetype<usize>(at.file_next) != changetype<usize>(item)) at = at.file_next;
    at.file_next = item.file_next;
  }
  list_head.del(item.link);
  list_head.del(item.rdl);
  list_head.del(item.item);
  kmem_cache_free(CACHE_EPITEM, changetype<usize>(item));
}

/** The last reference to `f` is gone: nobody watches it any more. */
export function eventpoll_release(f: file): void {
  while (!nil(f.items)) ep_remove(f.items);
}

/** The epoll file is gone. */
export function ep_release(ep: eventpoll): void {
  while (!list_head.empty(ep.items)) ep_remove(epitem.from_item(ep.items.next));
  kmem_cache_free(CACHE_EVENTPOLL, changetype<usize>(ep));
}

/** Puts an item at the end of the ready list, unless it stands there, and wakes who waits. */
export function ep_ready(item: epitem): void {
  const ep = item.ep;
  if (list_head.empty(item.rdl)) list_head.add_tail(item.rdl, ep.ready);
  wake_up_poll(ep.wait, POLLIN | POLLRDNORM);
}

/**
 * Something happened at the file of `item` (`key`: POLL*, 0: anything). `taken`: another exclusive
 * item has a sleeper for it already. Return: whether this one, exclusive, has.
 */
export function ep_poll_callback(item: epitem, key: u32, taken: bool): bool {
  const exclusive = (item.events & EPOLLEXCLUSIVE) != 0;
  if (exclusive && taken) return false;
  if (!(item.events & ~EP_PRIVATE_BITS)) return false;
  if (key && !(key & item.events)) return false;
  const sleeper = !list_head.empty(item.ep.wait);
  ep_ready(item);
  if (!exclusive || !sleeper) return false;
  const way = key & (EPOLLIN | EPOLLOUT);
  return way == 0 || (way & item.events) != 0;
}
