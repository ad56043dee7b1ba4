// Events for the host: a ring in linear memory. A call makes a bounded number of them; room for
// that is checked before the call (DISP_DRAIN), so none is lost.
import { EVENT_BYTES, EVENT_RING_SIZE, kernel_event } from "./frame.ts";
import { root } from "./root.ts";
import { CACHE_CONTAINER, kmem_cache_free } from "./slab.ts";
import { EVENT_CONTAINER_FREE } from "../uapi/frame.ts";

/** A call may emit this many events. */
const EVENT_RESERVE: u32 = 32;

/** True when the ring may not hold the events of one more call. */
export function event_ring_full(): bool {
  const r = root();
  const used = r.event_tail - r.event_head + r.event_backlog;
  return used > EVENT_RING_SIZE - EVENT_RESERVE && event_ring_stays_full();
}

function event_ring_stays_full(): bool {
  const r = root();
  if (!r.event_backlog) return true;
  emit_freed();
  return r.event_tail - r.event_head > EVENT_RING_SIZE - EVENT_RESERVE || r.event_backlog != 0;
}

/**
 * Container `id` is gone; its memory, a slab object at `at`, is freed once the host can be told. As
 * many may go in one call as there are: what does not fit waits on a list in their own memory.
 */
export function emit_container_free(at: usize, id: u64): void {
  const r = root();
  store<u32>(at, 0, NEXT_AT);
  store<u64>(at, id, ID_AT);
  if (r.freed_tail) store<u32>(<usize>r.freed_tail, <u32>at, NEXT_AT);
  else r.freed_head = <u32>at;
  r.freed_tail = <u32>at;
  emit_freed();
}
const NEXT_AT: usize = 0;
const ID_AT: usize = 8;

/** Tells of the containers that are gone, as many as there is room for. */
function emit_freed(): void {
  const r = root();
  while (r.freed_head && r.event_tail - r.event_head < EVENT_RING_SIZE - EVENT_RESERVE) {
    const at: usize = r.freed_head;
    const id = load<u64>(at, ID_AT);
    r.freed_head = load<u32>(at, NEXT_AT);
    if (!r.freed_head) r.freed_tail = 0;
    kmem_cache_free(CACHE_CONTAINER, at);
    emit(EVENT_CONTAINER_FREE, 0, 0, <i32>id, <i32>(id >> 32), 0);
  }
  // a backlog makes the ring look full, so that the next call comes by here
  r.event_backlog = r.freed_head ? EVENT_RING_SIZE : 0;
}

/** Puts an event into the ring if the host asked for its kind. */
export function emit(type: i32, tid: i32, a: i32, b: i32, c: i32, addr: u64): void {
  if ((root().event_mask >> type) & 1) put_event(type, tid, a, b, c, addr);
}

function put_event(type: i32, tid: i32, a: i32, b: i32, c: i32, addr: u64): void {
  const r = root();
  const tail = r.event_tail;
  if (tail - r.event_head >= EVENT_RING_SIZE) return;
  const at = r.event_ring + (tail & (EVENT_RING_SIZE - 1)) * EVENT_BYTES;
  const e = changetype<kernel_event>(<usize>at);
  e.type = type;
  e.seq = r.event_seq;
  e.tid = tid;
  e.a = a;
  e.b = b;
  e.c = c;
  e.addr = addr;
  r.event_seq += 1;
  r.event_tail = tail + 1;
}
