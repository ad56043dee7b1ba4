// Memory. Pages of 64 KiB come from a bump pointer and from free lists by order; fixed-size
// objects come from slab caches that carve pages; odd sizes from kmalloc's power-of-two caches.
// A freed object's first word links the free list. Every allocation may fail: null.
import { zero } from "./zero.ts";
import { BUG, BUG_DOUBLE_FREE } from "./bug.ts";
import { LOCK_PAGES, spin_lock, spin_unlock } from "./spinlock.ts";
import { FIRST_PAGE, kernel_root, PAGE_LISTS, root } from "./root.ts";
import { SLAB_CACHES } from "../uapi/limits.ts";

export const PAGE_SHIFT: u32 = 16;
export const PAGE_BYTES: u32 = 1 << PAGE_SHIFT;
const MAX_ORDER: u32 = 15;
/** memory.grow step: a grow costs 20 us, whatever its size. */
const GROW_PAGES: u32 = 256;
/** ERR_PTR needs the last 4 KiB of the address space; a whole page is simpler. */
const LAST_PAGE: u32 = 65535;
const POISON: u8 = 0x6b;
const FRESH: u8 = 0xa5;

// Slab caches, by object. The names of the host's counts follow these.
export const CACHE_SIGNAL = 0;
export const CACHE_PID = 1;
export const CACHE_PID_BIG = 2;
export const CACHE_CONTAINER = 3;
export const CACHE_CRED = 4;
export const CACHE_NSPROXY = 5;
export const CACHE_NAMESPACE = 6;
export const CACHE_FILE = 7;
export const CACHE_FILES = 8;
export const CACHE_SIGHAND = 9;
export const CACHE_FS = 10;
export const CACHE_RLIMITS = 11;
export const CACHE_SIGQUEUE = 12;
export const CACHE_PIPE = 13;
export const CACHE_WAITER = 14;
export const CACHE_SIGFRAME = 15;
export const CACHE_TASK = 16;
/** kmalloc caches: 16 bytes .. 32 KiB. */
export const CACHE_KMALLOC = 17;
/** Behind the kmalloc caches: what was added later. */
export const CACHE_USER = 29;
export const CACHE_KEY = 30;
export const CACHE_UPCALL = 31;
export const CACHE_SUPERVISOR = 32;
export const CACHE_KEYRINGS = 33;
export const CACHE_ITIMER = 34;
export const CACHE_PROC_TEXT = 35;
export const CACHE_UCOUNTS = 36;
export const CACHE_PROC_FILE = 37;
export const CACHE_SCHED = 38;
export const CACHE_SOCK = 40;
export const CACHE_SKB = 41;
export const CACHE_EVENTPOLL = 42;
export const CACHE_EPITEM = 43;
export const CACHE_INODE = 44;
export const CACHE_FILE_LOCK = 45;
export const CACHE_TIMERFD = 46;
export const CACHE_INOTIFY = 47;
export const CACHE_WATCH = 48;
export const CACHE_DENTRY = 50;
export const CACHE_VFS_INODE = 51;
export const CACHE_MOUNT = 52;
export const CACHE_NETDEV = 53;
export const CACHE_IFADDR = 54;
export const CACHE_UNIX_ADDRESS = 55;
export const CACHE_FS_CONTEXT = 56;
export const NR_CACHES = 57;
const KMALLOC_MIN_SHIFT: u32 = 4;
const KMALLOC_MAX_SHIFT: u32 = 15;

/** struct kmem_cache - one size of object. 32 bytes. */
@unmanaged
export class kmem_cache {
  free: u32; // [PAGES] first free object; its first word is the next
  bump: u32; // [PAGES] next object of the newest page that was never used
  bump_end: u32; // [PAGES]
  object_size: u32; // [C] bytes
  live: u32; // [PAGES] objects in use
  pages: u32; // [PAGES] pages taken
  pad0: u32;
  pad1: u32;

  /** kmem_cache_alloc(), written out where fork is. */
  @inline static get(id: i32): usize {
    const c = cache_at(id);
    const object: usize = c.free;
    if (CONFIG_DEBUG || !object) return kmem_cache_alloc(id);
    c.free = load<u32>(object);
    c.live += 1;
    return object;
  }

  /** kmem_cache_free(), written out where exit is. */
  @inline static put(id: i32, object: usize): void {
    if (CONFIG_DEBUG) {
      kmem_cache_free(id, object);
    } else {
      const c = cache_at(id);
      store<u32>(object, c.free);
      c.free = <u32>object;
      c.live -= 1;
    }
  }
}

export function cache_at(id: i32): kmem_cache {
  return changetype<kmem_cache>(<usize>(SLAB_CACHES + (id << 5)));
}

/** Sets up one cache; `size` is rounded up to 16 bytes. Boot only. */
export function kmem_cache_init(id: i32, size: u32): void {
  cache_at(id).object_size = (size + 15) & ~15;
}

/** Debug: counts this allocation and says whether it is the one that must fail. */
function should_fail(): bool {
  if (CONFIG_DEBUG) {
    const r = root();
    const seen = r.alloc_seen + 1;
    r.alloc_seen = seen;
    return seen == r.alloc_fail_at;
  }
  return false;
}

/** 64 KiB << order, aligned to 64 KiB, not cleared when it was used before. Null when exhausted. */
function pages_take(order: u32): usize {
  const list = PAGE_LISTS + ((<usize>order) << 2);
  const reused = load<u32>(list);
  if (reused) {
    store<u32>(list, load<u32>(reused));
    return reused;
  }
  const r = root();
  const at = r.high_water;
  const first = at >> PAGE_SHIFT;
  const end = first + (1 << order);
  if (end > LAST_PAGE) return 0;
  const have = <u32>memory.size();
  if (end > have) {
    let want = end - have;
    if (want < GROW_PAGES) want = GROW_PAGES;
    if (have + want > LAST_PAGE + 1) want = LAST_PAGE + 1 - have;
    if (memory.grow(want) < 0) {
      if (memory.grow(end - have) < 0) return 0;
    }
  }
  r.high_water = end << PAGE_SHIFT;
  return at;
}

/** Pages of the given order (0..15), cleared by nobody. */
export function alloc_pages(order: u32): usize {
  if (order > MAX_ORDER) return 0;
  const r = root();
  const lock = changetype<usize>(r) + offsetof<kernel_root>("page_lock");
  spin_lock(lock, LOCK_PAGES);
  const at = pages_take(order);
  spin_unlock(lock, LOCK_PAGES);
  return at;
}

export function free_pages(at: usize, order: u32): void {
  const list = PAGE_LISTS + ((<usize>order) << 2);
  store<u32>(at, load<u32>(list));
  store<u32>(list, at);
}

/**
 * Where the objects of a cache begin in its first page: another line for each cache, else what is
 * in use all the time would lie at the same offsets of all pages, in the same cache sets, where
 * processors mistake a store to one object for a load of another.
 */
function colour_of(c: kmem_cache): u32 {
  if (c.pages || c.object_size > COLOURED_MAX) return 0;
  const id = <u32>((changetype<usize>(c) - SLAB_CACHES) >> 5);
  return (id * COLOUR_STEP) & (COLOURS - 1);
}
const COLOURED_MAX: u32 = 1024;
const COLOURS: u32 = 4096;
/** 9 lines of 64 bytes: 64 caches take 64 different lines. */
const COLOUR_STEP: u32 = 576;

/** A new page for the cache's bump allocation; false when there is none. */
function cache_grow(c: kmem_cache): bool {
  const page = alloc_pages(0);
  if (!page) return false;
  const room = PAGE_BYTES - colour_of(c);
  c.bump = page + PAGE_BYTES - room;
  c.bump_end = page + PAGE_BYTES - (room % c.object_size);
  c.pages += 1;
  return true;
}

/** One object of cache `id`, contents undefined. Null when memory is exhausted. */
export function kmem_cache_alloc(id: i32): usize {
  if (should_fail()) return 0;
  const c = cache_at(id);
  let object: usize = c.free;
  if (object) {
    c.free = load<u32>(object);
  } else {
    object = c.bump;
    if (object == c.bump_end) {
      if (!cache_grow(c)) return 0;
      object = c.bump;
    }
    c.bump = object + c.object_size;
  }
  c.live += 1;
  // what is used before it is set must not look like zeros, nor like something freed
  if (CONFIG_DEBUG) memory.fill(object, FRESH, c.object_size);
  return object;
}

/** The same, all zero. */
export function kmem_cache_zalloc(id: i32): usize {
  const object = kmem_cache_alloc(id);
  if (object) zero(object, cache_at(id).object_size);
  return object;
}

export function kmem_cache_free(id: i32, object: usize): void {
  const c = cache_at(id);
  if (CONFIG_DEBUG) {
    if (load<u8>(object, 12) == POISON && load<u32>(object, 12) == 0x6b6b6b6b) BUG(BUG_DOUBLE_FREE);
    memory.fill(object, POISON, c.object_size);
  }
  store<u32>(object, c.free);
  c.free = object;
  c.live -= 1;
}

/** log2 of the block that holds `size` bytes. */
function kmalloc_shift(size: u32): u32 {
  if (size <= 1 << KMALLOC_MIN_SHIFT) return KMALLOC_MIN_SHIFT;
  return 32 - clz(size - 1);
}

/** A block of at least `size` bytes; null when exhausted. Free it with the same size. */
export function kmalloc(size: u32): usize {
  const shift = kmalloc_shift(size);
  if (shift <= KMALLOC_MAX_SHIFT) {
    return kmem_cache_alloc(CACHE_KMALLOC + <i32>(shift - KMALLOC_MIN_SHIFT));
  }
  if (should_fail()) return 0;
  return alloc_pages(shift - PAGE_SHIFT);
}

export function kzalloc(size: u32): usize {
  const at = kmalloc(size);
  if (at) memory.fill(at, 0, size);
  return at;
}

export function kfree(at: usize, size: u32): void {
  if (!at) return;
  const shift = kmalloc_shift(size);
  if (shift <= KMALLOC_MAX_SHIFT) {
    kmem_cache_free(CACHE_KMALLOC + <i32>(shift - KMALLOC_MIN_SHIFT), at);
    return;
  }
  free_pages(at, shift - PAGE_SHIFT);
}

/** Boot: the kmalloc caches. The object caches are set up by their owners. */
export function kmalloc_init(): void {
  root().high_water = <u32>FIRST_PAGE;
  for (let shift = KMALLOC_MIN_SHIFT; shift <= KMALLOC_MAX_SHIFT; ++shift) {
    kmem_cache_init(CACHE_KMALLOC + <i32>(shift - KMALLOC_MIN_SHIFT), 1 << shift);
  }
}
