// The audit log (kernel/audit.c): a ring of words in linear memory which the host drains and
// writes out as text. An event is put together in a buffer and goes into the ring whole or not at
// all; what does not fit is counted.
//
//   event:  [ words | serial lo, hi | clock lo, hi | records + (twins << 16) | left out ] record...
//   record: [ type + (words << 16) ] word...
//
// An event under construction has two parts, so that its SYSCALL record comes first although it is
// known last: the call's own, and what was added while it ran. Twins, which are events of their
// own (VIRT_CONTROL), come last and take the serials behind the event's.
import { nil, NULL } from "../lib/err.ts";
import { root } from "../lib/root.ts";
import { alloc_pages, free_pages, kzalloc, PAGE_SHIFT } from "../lib/slab.ts";
import { audit_contobj } from "./audit-context.ts";
import { ENOMEM } from "../uapi/errno.ts";

/** struct audit_state - everything of the audit log; made when it is first needed. */
@unmanaged
export class audit_state {
  enabled: u32;
  ring: u32; // u32[ring_words]
  ring_words: u32; // power of two
  ring_order: u32; // pages it takes
  head: u32; // [host] next word to drain, counted without end
  tail: u32; // next word to fill
  nr_put: u32; // events that went into the ring
  nr_taken: u32; // [host] events that were drained
  lost: u32; // events that did not
  backlog_limit: u32;
  rate_limit: u32;
  rate_count: u32; // events in the second that began at rate_from
  rate_from: u64;
  serial: u64; // last one given
  buffer: u32; // one page: the event under construction
  call_len: u32; // words of the call's own part
  aux_len: u32; // words of what was added
  virt_len: u32; // words of the twins
  nr_records: u32;
  nr_virt: u32;
  left_out: u32; // records that the event had no room for
  rec: u32; // address of the record that is being written
  at: u32; // where its next word goes
  forced: u32; // what was added is logged whatever the rules say
  call_wanted: u32; // the call is logged even when nothing was added
  call_key: u32; // key of the rule that wants it
  rules: u32; // audit_rule: first of a list
  interest: u32; // u32[AUDIT_SYSCALLS / 32]: numbers that some rule is about
  other_numbers: u32; // some rule is about numbers beyond the map
  virt: u32; // 1: twins are wanted
  session: u32; // last session id given
  contobjs: audit_contobj; // audit container ids in use: a list
  container_of: u32; // CLONE_NEW* whose new namespaces become containers
}

/** The parts of the buffer, in words. */
const CALL_AT: u32 = 0;
const AUX_AT: u32 = 512;
const VIRT_AT: u32 = 12288;
const BUFFER_END: u32 = 16384;
const HEADER_WORDS: u32 = 7;
const RING_SHIFT_DEFAULT: u32 = 18;
const RING_SHIFT_MIN: u32 = 14;
const RING_SHIFT_MAX: u32 = 26;
const NSEC_PER_SEC: u64 = 1000000000;

/** The state, or null: nothing of audit was ever asked for. One load. */
export function audit(): audit_state {
  return changetype<audit_state>(<usize>root().audit);
}

/** The state, made when there is none; null when memory is exhausted. */
export function audit_get(): audit_state {
  const have = audit();
  if (!nil(have)) return have;
  const a = changetype<audit_state>(kzalloc(<u32>offsetof<audit_state>()));
  if (nil(a)) return a;
  a.contobjs = NULL<audit_contobj>();
  root().audit = <u32>changetype<usize>(a);
  return a;
}

/** Is there a log to write to? */
export function audit_enabled(): bool {
  const a = audit();
  return !nil(a) && a.enabled != 0;
}

/** Switches the log on; `shift`: log2 of the ring's words. Return: 0 or -ENOMEM. */
export function audit_enable(shift: u32): i32 {
  const a = audit_get();
  if (nil(a)) return -ENOMEM;
  if (!a.buffer) a.buffer = <u32>alloc_pages(0);
  if (!a.interest) a.interest = <u32>kzalloc(256);
  if (!a.buffer || !a.interest) return -ENOMEM;
  if (!shift) shift = RING_SHIFT_DEFAULT;
  shift = max(RING_SHIFT_MIN, min(shift, RING_SHIFT_MAX));
  if (!a.ring || a.ring_words != 1 << shift) {
    const order = shift + 2 - PAGE_SHIFT;
    const ring = <u32>alloc_pages(order);
    if (!ring) return -ENOMEM;
    if (a.ring) free_pages(a.ring, a.ring_order);
    a.ring = ring;
    a.ring_words = 1 << shift;
    a.ring_order = order;
    a.head = 0;
    a.tail = 0;
    a.nr_taken = a.nr_put;
  }
  audit_drop(a);
  a.enabled = 1;
  return 0;
}

/** Gives up the event under construction. */
export function audit_drop(a: audit_state): void {
  a.call_len = 0;
  a.aux_len = 0;
  a.virt_len = 0;
  a.nr_records = 0;
  a.nr_virt = 0;
  a.left_out = 0;
  a.call_wanted = 0;
  a.forced = 0;
  root().audit_pending = 0;
}

/** Begins a record in the part for what a call adds. False: the event is full. */
export function record_begin(a: audit_state, type: u32, words: u32): bool {
  return begin_at(a, type, AUX_AT + a.aux_len, VIRT_AT, words);
}

/** Begins the call's own record. */
export function record_begin_call(a: audit_state, type: u32, words: u32): bool {
  return begin_at(a, type, CALL_AT + a.call_len, AUX_AT, words);
}

/** Begins a twin. */
export function record_begin_virt(a: audit_state, type: u32, words: u32): bool {
  return begin_at(a, type, VIRT_AT + a.virt_len, BUFFER_END, words);
}

function begin_at(a: audit_state, type: u32, from: u32, end: u32, words: u32): bool {
  if (from + words + 1 > end) {
    a.left_out += 1;
    return false;
  }
  a.rec = a.buffer + (from << 2);
  a.at = a.rec + 4;
  store<u32>(a.rec, type);
  return true;
}

/** Appends a word to the record. */
export function put(a: audit_state, value: u32): void {
  store<u32>(a.at, value);
  a.at += 4;
}
export function put64(a: audit_state, value: u64): void {
  store<u64>(a.at, value);
  a.at += 8;
}

/** Appends `len` bytes, filled up to whole words, behind their number. */
export function put_bytes(a: audit_state, from: usize, len: u32): void {
  put(a, len);
  const words = (len + 3) >> 2;
  if (words) store<u32>(a.at + ((words - 1) << 2), 0);
  memory.copy(a.at, from, len);
  a.at += words << 2;
}

/** The record is complete. Return: its words. */
function record_end(a: audit_state): u32 {
  const words = (a.at - a.rec) >> 2;
  root().audit_pending = 1;
  store<u32>(a.rec, load<u32>(a.rec) | (words << 16));
  return words;
}
export function record_end_aux(a: audit_state): void {
  a.aux_len += record_end(a);
  a.nr_records += 1;
}
export function record_end_call(a: audit_state): void {
  a.call_len += record_end(a);
  a.nr_records += 1;
}
export function record_end_virt(a: audit_state): void {
  a.virt_len += record_end(a);
  a.nr_virt += 1;
}

/** Does the rate limit let one more event through? */
function rate_allows(a: audit_state): bool {
  if (!a.rate_limit) return true;
  const now = root().clock;
  if (now - a.rate_from >= NSEC_PER_SEC) {
    a.rate_from = now;
    a.rate_count = 0;
  }
  if (a.rate_count >= a.rate_limit) return false;
  a.rate_count += 1;
  return true;
}

function ring_copy(a: audit_state, from: u32, words: u32): void {
  const mask = a.ring_words - 1;
  let at = a.tail;
  for (let i: u32 = 0; i < words; ++i) {
    store<u32>(a.ring + ((at & mask) << 2), load<u32>(from + (i << 2)));
    at += 1;
  }
  a.tail = at;
}

function ring_put(a: audit_state, value: u32): void {
  store<u32>(a.ring + ((a.tail & (a.ring_words - 1)) << 2), value);
  a.tail += 1;
}

/** The event goes into the ring, or is counted as lost; a new one may begin. */
export function audit_flush(a: audit_state): void {
  const words = HEADER_WORDS + a.call_len + a.aux_len + a.virt_len;
  if (words == HEADER_WORDS) return;
  // a serial is used up in any case: a gap in the log shows that something is missing
  a.serial += 1;
  const serial = a.serial;
  a.serial += <u64>a.nr_virt;
  const backlog = a.nr_put - a.nr_taken;
  const full = a.tail - a.head + words > a.ring_words;
  const limited = a.backlog_limit != 0 && backlog >= a.backlog_limit;
  if (full || limited || !rate_allows(a)) {
    a.lost += 1 + a.nr_virt;
  } else {
    const clock = root().clock;
    ring_put(a, words);
    ring_put(a, <u32>serial);
    ring_put(a, <u32>(serial >> 32));
    ring_put(a, <u32>clock);
    ring_put(a, <u32>(clock >> 32));
    ring_put(a, a.nr_records | (a.nr_virt << 16));
    ring_put(a, a.left_out);
    ring_copy(a, a.buffer + (CALL_AT << 2), a.call_len);
    ring_copy(a, a.buffer + (AUX_AT << 2), a.aux_len);
    ring_copy(a, a.buffer + (VIRT_AT << 2), a.virt_len);
    a.nr_put += 1;
  }
  audit_drop(a);
}
