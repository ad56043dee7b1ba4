// Events for the host: a ring in linear memory. A call makes a bounded number of them; room for
// that is checked before the call (DISP_DRAIN), so none is lost.
import { EVENT_BYTES, EVENT_RING_SIZE, kernel_event } from "./frame.ts";
import { root } from "./root.ts";

/** A call may emit this many events. */
const EVENT_RESERVE: u32 = 32;

/** True when the ring may not hold the events of one more call. */
export function event_ring_full(): bool {
  const r = root();
  return r.event_tail - r.event_head > EVENT_RING_SIZE - EVENT_RESERVE;
}

/** Puts an event into the ring if the host asked for its kind. */
export function emit(type: i32, tid: i32, a: i32, b: i32, c: i32, addr: u64): void {
  const r = root();
  if (!((r.event_mask >> type) & 1)) return;
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
