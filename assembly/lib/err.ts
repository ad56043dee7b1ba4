// Errors inside the kernel: a negative errno, or a pointer that holds one (include/linux/err.h).
import { MAX_ERRNO } from "../uapi/limits.ts";

/** A null struct pointer. */
export function NULL<T>(): T {
  return changetype<T>(0);
}

/** True for a null struct pointer. */
export function nil<T>(p: T): bool {
  return changetype<usize>(p) == 0;
}

/** Identity of two struct pointers. */
export function same<T>(a: T, b: T): bool {
  return changetype<usize>(a) == changetype<usize>(b);
}

/** Carries a negative errno in a pointer. Kernel memory stays below 4 GiB - 4 KiB for this. */
export function ERR_PTR<T>(error: i32): T {
  return changetype<T>(<usize>error);
}

/** True for a pointer made by ERR_PTR. */
export function IS_ERR<T>(p: T): bool {
  return <u32>changetype<usize>(p) >= <u32>-MAX_ERRNO;
}

/** The negative errno in such a pointer. */
export function PTR_ERR<T>(p: T): i32 {
  return <i32>changetype<usize>(p);
}

// What a syscall returns instead of a result when it does not end: below every errno.
/** The task went to sleep; it keeps its frame. */
export const RET_BLOCKED: i32 = -0x10000;
/** Guest memory is missing: need_addr and need_len of the frame say which. Nothing has changed. */
export const RET_NEED: i32 = -0x10001;
/** The caller is gone. */
export const RET_EXITED: i32 = -0x10002;
/** rax has been written already (rt_sigreturn restores a 64-bit value). */
export const RET_RAW: i32 = -0x10003;
/** The task went to sleep until the host has answered an upcall. */
export const RET_UPCALL: i32 = -0x10004;
/** A call that is only looked at ahead (ASSIST_PEEK) would sleep. Nothing has changed. */
export const RET_SLEEPS: i32 = -0x10005;
