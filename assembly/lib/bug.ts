// A broken invariant is a trap, never an errno: the host sees a KernelPanic with the reason.
import { root } from "./root.ts";

// Why the kernel stopped; the host prints the name. Keep in step with host/errno.ts.
export const BUG_LIST_CORRUPT = 1;
export const BUG_REFCOUNT_ZERO = 2;
export const BUG_REFCOUNT_UNDERFLOW = 3;
export const BUG_LOCK_ORDER = 4;
export const BUG_LOCK_HELD = 5;
export const BUG_LOCK_NOT_HELD = 6;
export const BUG_DOUBLE_FREE = 7;
export const BUG_BAD_STATE = 8;

/** Stops the kernel: the reason is left in the root for the host, then wasm traps. */
export function BUG(reason: i32): void {
  root().bug = reason;
  unreachable();
}

/** A check that only the debug target pays for. */
export function BUG_ON(condition: bool, reason: i32): void {
  if (CONFIG_DEBUG) {
    if (condition) BUG(reason);
  }
}

/**
 * True when the seeded fault `id` is switched on. Test builds (debug) prove with it that the
 * suites notice a broken kernel; in the other targets it is false at compile time.
 */
export function seeded_fault(id: i32): bool {
  if (CONFIG_DEBUG) return root().fault == id;
  return false;
}
