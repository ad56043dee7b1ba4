// Pipes: how many bytes lie in them, who reads, who writes, who waits. As in Linux a pipe is a ring
// of slots of at most a page: a small write goes behind the last one's bytes when it fits there
// whole. The bytes themselves are nobody's business here.
import { seeded_fault } from "../lib/bug.ts";
import { nil } from "../lib/err.ts";
import { kill_fasync } from "./fasync.ts";
import { list_at, list_head } from "../lib/list.ts";
import { root } from "../lib/root.ts";
import {
  CACHE_PIPE,
  kfree,
  kmalloc,
  kmem_cache_free,
  kmem_cache_init,
  kmem_cache_zalloc,
} from "../lib/slab.ts";
import * as O from "../uapi/fcntl.ts";
import { PAGE_SIZE, PIPE_DEF_BUFFERS } from "../uapi/limits.ts";
import { POLL_IN, POLL_OUT } from "../uapi/signal.ts";
import { wake_up_poll } from "../process/waitqueue.ts";

// Seeded faults (debug builds only): small writes never share a slot; the last writer's close is
// not told.
const F_PIPE_MERGE = 140;
const F_PIPE_HANGUP = 141;

// A slot: bytes in bits 0..12, where they begin in bits 13..25, flags.
const SLOT_LEN: u32 = 0x1fff;
const SLOT_OFFSET_SHIFT: u32 = 13;
const SLOT_PACKET: u32 = 0x40000000; // O_DIRECT: what is not read at once is lost
const SLOT_MERGE: u32 = 0x80000000; // a later write may go behind its bytes

/** struct pipe_inode_info - 128 bytes with its default ring. Freed when neither end is open. */
@unmanaged
export class pipe_inode_info {
  readers: i32; // open file descriptions that read
  writers: i32;
  rd_wait_next: u32; // list_head: readers, pollers of reading ends
  rd_wait_prev: u32;
  wr_wait_next: u32; // list_head: writers, pollers of writing ends
  wr_wait_prev: u32;
  inum: u32; // [C]
  head: u32; // slot that the next write opens; counts up for ever
  tail: u32; // slot that the next read begins with
  ring_size: u32; // slots, a power of two
  slots: u32; // u32[ring_size]: behind this struct, or kmalloc'd
  bytes: u32; // in all slots
  opaque: u32; // 1: others than the kernel's tasks write and read: contents are the world's
  r_counter: u32; // of a fifo: how often it was opened for reading, for writing
  w_counter: u32;
  pad0: u32;

  get rd_wait(): list_head {
    return list_at(changetype<usize>(this), offsetof<pipe_inode_info>("rd_wait_next"));
  }
  get wr_wait(): list_head {
    return list_at(changetype<usize>(this), offsetof<pipe_inode_info>("wr_wait_next"));
  }
}
const RING_AT: usize = 64;
if (offsetof<pipe_inode_info>() != 64) ERROR("the ring begins right behind pipe_inode_info");

const READABLE: u32 = O.POLLIN | O.POLLRDNORM;
const WRITABLE: u32 = O.POLLOUT | O.POLLWRNORM;

export function pipe_caches_init(): void {
  kmem_cache_init(CACHE_PIPE, <u32>RING_AT + PIPE_DEF_BUFFERS * 4);
}

/** A pipe with one reader and one writer, or null. */
export function alloc_pipe(inum: u32): pipe_inode_info {
  const p = changetype<pipe_inode_info>(kmem_cache_zalloc(CACHE_PIPE));
  if (nil(p)) return p;
  p.readers = 1;
  p.writers = 1;
  p.inum = inum;
  p.ring_size = PIPE_DEF_BUFFERS;
  p.slots = <u32>(changetype<usize>(p) + RING_AT);
  list_head.init(p.rd_wait);
  list_head.init(p.wr_wait);
  return p;
}

function free_ring(p: pipe_inode_info): void {
  if (p.slots != <u32>(changetype<usize>(p) + RING_AT)) kfree(p.slots, p.ring_size << 2);
}

export function free_pipe(p: pipe_inode_info): void {
  free_ring(p);
  kmem_cache_free(CACHE_PIPE, changetype<usize>(p));
}

/** The last reference to one end's file is gone. */
export function pipe_release(p: pipe_inode_info, flags: u32): void {
  const access = flags & O.O_ACCMODE;
  if (access != O.O_WRONLY) p.readers -= 1;
  if (access != O.O_RDONLY) p.writers -= 1;
  if (p.readers + p.writers == 0) {
    free_pipe(p);
    return;
  }
  if (seeded_fault(F_PIPE_HANGUP)) return;
  wake_up_poll(p.rd_wait, READABLE | O.POLLERR | O.POLLHUP);
  wake_up_poll(p.wr_wait, WRITABLE | O.POLLERR | O.POLLHUP);
  if (root().nr_fasync && !p.readers != !p.writers) {
    kill_readers(p);
    kill_writers(p);
  }
}

/** SIGIO for who wants to know that there may be something to read. */
function kill_readers(p: pipe_inode_info): void {
  if (root().nr_fasync && !p.opaque) kill_fasync(p.rd_wait, POLL_IN);
}

/** The same of room: a read says so even if it found nothing, a splice where a slot is free. */
export function kill_writers(p: pipe_inode_info): void {
  if (root().nr_fasync && !p.opaque) kill_fasync(p.wr_wait, POLL_OUT);
}

function slot_at(p: pipe_inode_info, position: u32): usize {
  return p.slots + ((position & (p.ring_size - 1)) << 2);
}

export function pipe_empty(p: pipe_inode_info): bool {
  return p.head == p.tail;
}

export function pipe_full(p: pipe_inode_info): bool {
  return p.head - p.tail >= p.ring_size;
}

/** How many bytes a read of `total` takes out now, without taking them. */
export function pipe_peek(p: pipe_inode_info, total: u32): u32 {
  if (pipe_empty(p)) return 0;
  const first = load<u32>(slot_at(p, p.tail));
  if (first & SLOT_PACKET) return min(first & SLOT_LEN, total);
  let n = <u32>0;
  for (let at = p.tail; at != p.head && n < total; ++at) {
    const slot = load<u32>(slot_at(p, at));
    n += min(slot & SLOT_LEN, total - n);
    if (slot & SLOT_PACKET) break;
  }
  return n;
}

/** Takes up to `total` bytes out; wakes writers that a slot has become free for. */
export function pipe_take(p: pipe_inode_info, total: u32): u32 {
  let n: u32 = 0;
  let was_full = false;
  while (!pipe_empty(p) && n < total) {
    const at = slot_at(p, p.tail);
    const slot = load<u32>(at);
    const len = slot & SLOT_LEN;
    const part = min(len, total - n);
    n += part;
    if (part == len || slot & SLOT_PACKET) {
      // the rest of a packet that was not asked for is gone
      p.bytes -= len;
      if (pipe_full(p)) was_full = true;
      p.tail += 1;
      if (slot & SLOT_PACKET) break;
    } else {
      p.bytes -= part;
      store<u32>(at, slot - part + (part << SLOT_OFFSET_SHIFT));
    }
  }
  if (was_full) wake_up_poll(p.wr_wait, WRITABLE);
  return n;
}

/** Bytes of a write of `total` that go behind those of the last slot: its odd part, or none. */
function mergeable(p: pipe_inode_info, total: u32): u32 {
  const odd = total & (PAGE_SIZE - 1);
  if (!odd || pipe_empty(p) || seeded_fault(F_PIPE_MERGE)) return 0;
  const slot = load<u32>(slot_at(p, p.head - 1));
  if (!(slot & SLOT_MERGE)) return 0;
  const end = ((slot >> SLOT_OFFSET_SHIFT) & SLOT_LEN) + (slot & SLOT_LEN);
  return end + odd <= <u32>PAGE_SIZE ? odd : 0;
}

/** How many of `total` bytes fit in now; `first`: the write begins, and may use the last slot. */
export function pipe_room(p: pipe_inode_info, total: u32, first: bool): u32 {
  const merged = first ? mergeable(p, total) : 0;
  const free = (p.ring_size - (p.head - p.tail)) * PAGE_SIZE;
  return merged + min(free, total - merged);
}

/** Puts `n` bytes into slots of their own, no matter who is told. There is room for them. */
function append(p: pipe_inode_info, n: u32, flags: u32): void {
  p.bytes += n;
  while (n) {
    const part = min<u32>(n, PAGE_SIZE);
    store<u32>(slot_at(p, p.head), part | flags);
    p.head += 1;
    n -= part;
  }
}

/**
 * Puts as many of `total` bytes in as fit, and tells readers. `packet`: O_DIRECT. Return: how many.
 */
export function pipe_put(p: pipe_inode_info, total: u32, first: bool, packet: bool): u32 {
  const n = pipe_room(p, total, first);
  if (!n) {
    kill_readers(p);
    return 0;
  }
  const merged = first ? mergeable(p, total) : 0;
  if (merged) {
    const last = slot_at(p, p.head - 1);
    store<u32>(last, load<u32>(last) + merged);
    p.bytes += merged;
  }
  append(p, n - merged, packet ? SLOT_PACKET : SLOT_MERGE);
  wake_up_poll(p.rd_wait, READABLE);
  kill_readers(p);
  return n;
}

/** Moves up to `total` bytes of `from` to `to`: splice(2). Return: how many. */
export function pipe_move(from: pipe_inode_info, to: pipe_inode_info, total: u32): u32 {
  let n: u32 = 0;
  let was_full = false;
  const tail = from.tail;
  while (!pipe_empty(from) && !pipe_full(to) && n < total) {
    const place = slot_at(from, from.tail);
    const slot = load<u32>(place);
    const len = slot & SLOT_LEN;
    if (len <= total - n) {
      // a page that changes hands whole stays what it is
      store<u32>(slot_at(to, to.head), slot);
      to.head += 1;
      to.bytes += len;
      from.bytes -= len;
      if (pipe_full(from)) was_full = true;
      from.tail += 1;
      n += len;
    } else {
      const part = total - n;
      append(to, part, slot & SLOT_PACKET);
      from.bytes -= part;
      store<u32>(place, slot - part + (part << SLOT_OFFSET_SHIFT));
      n = total;
    }
  }
  if (n) {
    wake_up_poll(to.rd_wait, READABLE);
    kill_readers(to);
  }
  if (was_full) wake_up_poll(from.wr_wait, WRITABLE);
  if (from.tail != tail) kill_writers(from);
  return n;
}

/** Takes bytes out for a splice, of which writers hear where a slot has become free. */
export function pipe_splice(p: pipe_inode_info, total: u32): u32 {
  const tail = p.tail;
  const n = pipe_take(p, total);
  if (p.tail != tail) kill_writers(p);
  return n;
}

/** How many bytes pipe_move() or pipe_copy() would hand over now. */
export function pipe_movable(from: pipe_inode_info, to: pipe_inode_info, total: u32): u32 {
  let n: u32 = 0;
  let free = to.ring_size - (to.head - to.tail);
  for (let at = from.tail; at != from.head && free && n < total; ++at) {
    n += min(load<u32>(slot_at(from, at)) & SLOT_LEN, total - n);
    free -= 1;
  }
  return n;
}

/** Repeats up to `total` bytes of `from` in `to`: tee(2). What two pipes share nobody extends. */
export function pipe_copy(from: pipe_inode_info, to: pipe_inode_info, total: u32): u32 {
  let n: u32 = 0;
  for (let at = from.tail; at != from.head && !pipe_full(to) && n < total; ++at) {
    const slot = load<u32>(slot_at(from, at));
    const part = min(slot & SLOT_LEN, total - n);
    append(to, part, slot & SLOT_PACKET);
    n += part;
  }
  if (n) {
    wake_up_poll(to.rd_wait, READABLE);
    kill_readers(to);
  }
  return n;
}

/** Slots that the world fills: `n` bytes of a splice, in pages that nobody writes behind. */
export function pipe_fill(p: pipe_inode_info, n: u32): void {
  if (!n) return;
  append(p, n, 0);
  wake_up_poll(p.rd_wait, READABLE);
  kill_readers(p);
}

/** A ring of `slots` slots; false when memory is exhausted. What lies in the pipe fits. */
export function pipe_resize(p: pipe_inode_info, slots: u32): bool {
  if (slots == p.ring_size) return true;
  const inline = slots == PIPE_DEF_BUFFERS;
  const ring = inline ? changetype<usize>(p) + RING_AT : kmalloc(slots << 2);
  if (!ring) return false;
  const n = p.head - p.tail;
  for (let i: u32 = 0; i < n; ++i) store<u32>(ring + (i << 2), load<u32>(slot_at(p, p.tail + i)));
  free_ring(p);
  p.slots = <u32>ring;
  p.ring_size = slots;
  p.tail = 0;
  p.head = n;
  wake_up_poll(p.wr_wait, WRITABLE);
  return true;
}

/** What is ready at the end of a pipe whose file has `flags`. */
export function pipe_poll(p: pipe_inode_info, flags: u32): u32 {
  if ((flags & O.O_ACCMODE) == O.O_RDONLY) {
    const data = pipe_empty(p) ? 0 : READABLE;
    return p.writers ? data : data | O.POLLHUP;
  }
  const room = pipe_full(p) ? 0 : WRITABLE;
  return p.readers ? room : room | O.POLLERR;
}
