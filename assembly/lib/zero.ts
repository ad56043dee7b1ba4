// Clearing and copying small objects. memory.fill and memory.copy are calls out of the compiled
// code in V8 (tens of ns); for an object of a few cache lines plain loads and stores win.

/** Clears `bytes` (a multiple of 8) at `at` (aligned to 8). */
export function zero(at: usize, bytes: u32): void {
  const end = at + bytes;
  while (at + 32 <= end) {
    store<u64>(at, 0);
    store<u64>(at, 0, 8);
    store<u64>(at, 0, 16);
    store<u64>(at, 0, 24);
    at += 32;
  }
  while (at < end) {
    store<u64>(at, 0);
    at += 8;
  }
}

/** Copies `bytes` (a multiple of 8) to `to`; both aligned to 8, and apart. */
export function copy_words(to: usize, from: usize, bytes: u32): void {
  const end = from + bytes;
  while (from < end) {
    store<u64>(to, load<u64>(from));
    to += 8;
    from += 8;
  }
}
