// refcount_t: a counter that saturates instead of wrapping (include/linux/refcount.h).
//
//   0            the object is gone: going up from here is a bug
//   1 .. 2^31-1  references
//   negative     saturated: the object leaks, and stays valid for ever
//
// SATURATED sits in the middle of the negative half, so that a million late increments or
// decrements on any number of CPUs cannot bring the counter back to a valid value.
import { BUG, BUG_REFCOUNT_UNDERFLOW, BUG_REFCOUNT_ZERO } from "./bug.ts";

export const REFCOUNT_SATURATED: i32 = -0x40000000;

/** Takes a reference to an object that the caller already knows to be alive. `at`: its counter. */
export function refcount_inc(at: usize): void {
  const old = CONFIG_SMP ? atomic.add<i32>(at, 1) : load<i32>(at);
  if (CONFIG_DEBUG) {
    if (old == 0) BUG(BUG_REFCOUNT_ZERO);
  }
  if (CONFIG_SMP) {
    if (old < 0 || old == i32.MAX_VALUE) store<i32>(at, REFCOUNT_SATURATED);
    return;
  }
  // below zero before, or now that it wrapped: either way the sum is not positive
  const now = old + 1;
  store<i32>(at, now > 0 ? now : REFCOUNT_SATURATED);
}

/** Takes a reference unless the object is already on its way out. */
export function refcount_inc_not_zero(at: usize): bool {
  if (CONFIG_SMP) {
    let old = atomic.load<i32>(at);
    while (old != 0) {
      if (old < 0) return true;
      const seen = atomic.cmpxchg<i32>(at, old, old + 1);
      if (seen == old) return true;
      old = seen;
    }
    return false;
  }
  if (load<i32>(at) == 0) return false;
  refcount_inc(at);
  return true;
}

/**
 * The same for a reference that a task, or its number, is made with. There are at most
 * PID_MAX_LIMIT of those, too few for a counter to wrap, or to leave the saturated half.
 */
export function refcount_inc_few(at: usize): void {
  if (CONFIG_SMP || CONFIG_DEBUG) refcount_inc(at);
  else store<i32>(at, load<i32>(at) + 1);
}

/** Drops a reference; true when it was the last one and the caller must free the object. */
export function refcount_dec_and_test(at: usize): bool {
  if (CONFIG_SMP) {
    const old = atomic.sub<i32>(at, 1);
    if (old <= 0) store<i32>(at, REFCOUNT_SATURATED);
    return old == 1;
  }
  const now = load<i32>(at) - 1;
  if (CONFIG_DEBUG) {
    if (now == -1) BUG(BUG_REFCOUNT_UNDERFLOW);
  }
  store<i32>(at, now >= 0 ? now : REFCOUNT_SATURATED);
  return now == 0;
}
