// inotify: which inode has which watch. What happens to files is the world's: it tells how many
// bytes of events lie ready (file_event), and what they are.
import { nil, same } from "../lib/err.ts";
import { file } from "./file.ts";
import { inode, put_inode } from "./locks.ts";
import {
  CACHE_INOTIFY,
  CACHE_WATCH,
  kmem_cache_free,
  kmem_cache_init,
  kmem_cache_zalloc,
} from "../lib/slab.ts";

/** struct inotify_device - 16 bytes. It lives as long as its file. */
@unmanaged
export class inotify_device {
  file: file; // [C] no reference
  watches: watch; // the newest first
  last_wd: i32; // number given last: they are not used again
  queued: i32; // bytes of events that are ready
}

/** struct watch - 16 bytes. */
@unmanaged
export class watch {
  next: watch;
  inode: inode; // holds a reference; null: the world does not say what it is
  wd: i32;
  mask: u32;
}

export function inotify_caches_init(): void {
  kmem_cache_init(CACHE_INOTIFY, <u32>offsetof<inotify_device>());
  kmem_cache_init(CACHE_WATCH, <u32>offsetof<watch>());
}

/** A device without watches, or null. */
export function alloc_inotify(): inotify_device {
  return changetype<inotify_device>(kmem_cache_zalloc(CACHE_INOTIFY));
}

function free_watch(w: watch): void {
  if (!nil(w.inode)) put_inode(w.inode);
  kmem_cache_free(CACHE_WATCH, changetype<usize>(w));
}

export function inotify_release(d: inotify_device): void {
  let w = d.watches;
  while (!nil(w)) {
    const next = w.next;
    free_watch(w);
    w = next;
  }
  kmem_cache_free(CACHE_INOTIFY, changetype<usize>(d));
}

/** The watch on an inode, or null. */
export function watch_of(d: inotify_device, i: inode): watch {
  let w = d.watches;
  while (!nil(w) && !same(w.inode, i)) w = w.next;
  return w;
}

/** The watch of number `wd`, or null. */
export function find_watch(d: inotify_device, wd: i32): watch {
  let w = d.watches;
  while (!nil(w) && w.wd != wd) w = w.next;
  return w;
}

/** A new watch, which takes over the caller's reference to `i` (or null). Return: number, 0. */
export function add_watch(d: inotify_device, i: inode, mask: u32): i32 {
  const w = changetype<watch>(kmem_cache_zalloc(CACHE_WATCH));
  if (nil(w)) return 0;
  d.last_wd += 1;
  w.wd = d.last_wd;
  w.inode = i;
  w.mask = mask;
  w.next = d.watches;
  d.watches = w;
  return w.wd;
}

/** Takes a watch away; false when there is none of that number. */
export function remove_watch(d: inotify_device, wd: i32): bool {
  const w = find_watch(d, wd);
  if (nil(w)) return false;
  if (same(d.watches, w)) {
    d.watches = w.next;
  } else {
    let at = d.watches;
    while (!same(at.next, w)) at = at.next;
    at.next = w.next;
  }
  free_watch(w);
  return true;
}
