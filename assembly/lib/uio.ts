// Vectors of buffers (lib/iov_iter.c): how many bytes a call is about. The buffers' contents are
// the world's; only calls that write values of the kernel's own look at the buffers themselves.
import { frame } from "./frame.ts";
import { SCRATCH_IOV } from "./root.ts";
import { copy_from_user, copy_to_user, window_unmapped } from "./uaccess.ts";
import { EFAULT, EINVAL } from "../uapi/errno.ts";
import { MAX_RW_COUNT } from "../uapi/limits.ts";
import { UIO_MAXIOV } from "../uapi/socket.ts";

/** A plain buffer as a vector of one. Return: its length, at most MAX_RW_COUNT. */
export function import_ubuf(addr: u64, len: u64): u32 {
  store<u64>(SCRATCH_IOV, addr);
  store<u64>(SCRATCH_IOV, min<u64>(len, MAX_RW_COUNT), 8);
  return <u32>load<u64>(SCRATCH_IOV, 8);
}

/**
 * The `n` buffers at `addr`, into the scratch vector in their 64-bit form.
 * Return: their bytes together, at most MAX_RW_COUNT; -EINVAL, -EFAULT, RET_NEED.
 */
export function import_iovec(f: frame, addr: u64, n: u64, compat: bool): i32 {
  if (n > <u64>UIO_MAXIOV) return -EINVAL;
  const width: u32 = compat ? 8 : 16;
  const bad = copy_from_user(f, SCRATCH_IOV, addr, <u32>n * width);
  if (bad) return bad;
  let total: u64 = 0;
  // from the last to the first: the wide form overtakes the narrow one
  for (let i = <i32>n - 1; i >= 0; --i) {
    const to = SCRATCH_IOV + ((<usize>i) << 4);
    if (!compat) continue;
    const from = SCRATCH_IOV + ((<usize>i) << 3);
    const base = load<u32>(from);
    const len = load<i32>(from, 4);
    store<u64>(to, <u64>base);
    store<i64>(to, <i64>len, 8);
  }
  for (let i: usize = 0; i < <usize>n; ++i) {
    const at = SCRATCH_IOV + (i << 4);
    const len = load<i64>(at, 8);
    if (len < 0) return -EINVAL;
    const rest = <u64>MAX_RW_COUNT - total;
    if (<u64>len > rest) store<u64>(at, rest, 8);
    total += min<u64>(<u64>len, rest);
  }
  return <i32>total;
}

/** Where buffer `i` of the scratch vector is. */
export function segment_base(i: u32): u64 {
  return load<u64>(SCRATCH_IOV + ((<usize>i) << 4));
}
export function segment_len(i: u32): u64 {
  return load<u64>(SCRATCH_IOV + ((<usize>i) << 4), 8);
}

/** Is the first byte of a transfer declared to be no memory? The log or a script says so. */
export function vector_faults(f: frame, n: u32): bool {
  for (let i: usize = 0; i < <usize>n; ++i) {
    const at = SCRATCH_IOV + (i << 4);
    if (load<u64>(at, 8)) return window_unmapped(f, load<u64>(at));
  }
  return false;
}

/** Copies `len` bytes at `from` out into the scratch vector's buffers. 0, -EFAULT, RET_NEED. */
export function copy_to_vector(f: frame, n: u32, from: usize, len: u32): i32 {
  let left = len;
  for (let i: usize = 0; i < <usize>n && left; ++i) {
    const at = SCRATCH_IOV + (i << 4);
    const part = <u32>min<u64>(load<u64>(at, 8), left);
    const bad = copy_to_user(f, load<u64>(at), from, part);
    if (bad) return bad;
    from += part;
    left -= part;
  }
  return left ? -EFAULT : 0;
}

/** Copies `len` bytes in from the scratch vector's buffers. 0, -EFAULT, RET_NEED. */
export function copy_from_vector(f: frame, n: u32, to: usize, len: u32): i32 {
  let left = len;
  for (let i: usize = 0; i < <usize>n && left; ++i) {
    const at = SCRATCH_IOV + (i << 4);
    const part = <u32>min<u64>(load<u64>(at, 8), left);
    const bad = copy_from_user(f, to, load<u64>(at), part);
    if (bad) return bad;
    to += part;
    left -= part;
  }
  return left ? -EFAULT : 0;
}
