// Guest memory. A call sees only the windows of its frame: a range that no window holds is asked
// for with RET_NEED before anything changes, a range declared unmapped is EFAULT.
import { NULL, nil, RET_NEED } from "./err.ts";
import { frame, user_window } from "./frame.ts";
import { EFAULT } from "../uapi/errno.ts";
import { WINDOW_READ, WINDOW_UNMAPPED, WINDOW_WRITE } from "../uapi/frame.ts";

const WINDOW_BYTES: usize = 24;

/** The window that holds the byte at `addr`, with one of `modes`; null when there is none. */
function window_at(f: frame, addr: u64, modes: u32): user_window {
  let w: usize = f.windows;
  for (let i: u32 = 0; i < f.nr_windows; ++i) {
    const window = changetype<user_window>(w);
    if (window.mode & modes && addr - window.addr < <u64>window.len) return window;
    w += WINDOW_BYTES;
  }
  return NULL<user_window>();
}

function need(f: frame, addr: u64, len: u32): i32 {
  f.need_addr = addr;
  f.need_len = len;
  return RET_NEED;
}

/**
 * Is [addr, addr+len) readable (WINDOW_READ) or writable (WINDOW_WRITE)?
 * Return: 0, -EFAULT, RET_NEED.
 */
export function access_ok(f: frame, addr: u64, len: u32, mode: u32): i32 {
  let at = addr;
  let left = len;
  while (left) {
    const w = window_at(f, at, mode | WINDOW_UNMAPPED);
    if (nil(w)) return need(f, at, left);
    if (w.mode & WINDOW_UNMAPPED) return -EFAULT;
    const rest = w.len - <u32>(at - w.addr);
    if (rest >= left) return 0;
    at += rest;
    left -= rest;
  }
  return 0;
}

/** Copies guest bytes into kernel memory. Return: 0, -EFAULT, RET_NEED. */
export function copy_from_user(f: frame, to: usize, addr: u64, len: u32): i32 {
  const ok = access_ok(f, addr, len, WINDOW_READ);
  if (ok) return ok;
  let at = addr;
  let left = len;
  while (left) {
    const w = window_at(f, at, WINDOW_READ);
    const skip = <u32>(at - w.addr);
    const n = min<u32>(w.len - skip, left);
    memory.copy(to, w.place + skip, n);
    to += n;
    at += n;
    left -= n;
  }
  return 0;
}

/**
 * Copies kernel bytes into guest memory. As in Linux, a fault in the middle leaves what was
 * written before it. Return: 0, -EFAULT; RET_NEED when the caller has not asked with access_ok.
 */
export function copy_to_user(f: frame, addr: u64, from: usize, len: u32): i32 {
  let at = addr;
  let left = len;
  while (left) {
    const w = window_at(f, at, WINDOW_WRITE | WINDOW_UNMAPPED);
    if (nil(w)) return need(f, at, left);
    if (w.mode & WINDOW_UNMAPPED) return -EFAULT;
    const skip = <u32>(at - w.addr);
    const n = min<u32>(w.len - skip, left);
    memory.copy(w.place + skip, from, n);
    from += n;
    at += n;
    left -= n;
  }
  return 0;
}

/** Does the host say that there is no memory at `addr`? */
export function window_unmapped(f: frame, addr: u64): bool {
  return !nil(window_at(f, addr, WINDOW_UNMAPPED));
}

export function put_user32(f: frame, addr: u64, value: i32): i32 {
  const w = window_at(f, addr, WINDOW_WRITE | WINDOW_UNMAPPED);
  if (!nil(w) && w.mode & WINDOW_WRITE && w.len - <u32>(addr - w.addr) >= 4) {
    store<i32>(w.place + <u32>(addr - w.addr), value);
    return 0;
  }
  // a value that straddles windows goes byte by byte
  for (let i = 0; i < 4; ++i) {
    const b = window_at(f, addr + i, WINDOW_WRITE | WINDOW_UNMAPPED);
    if (nil(b)) return need(f, addr, 4);
    if (b.mode & WINDOW_UNMAPPED) return -EFAULT;
    store<u8>(b.place + <u32>(addr + i - b.addr), value >> (i << 3));
  }
  return 0;
}

/**
 * May the call write `len` bytes at an optional address (0: nothing to write)? A bad address is
 * no error yet: calls such as wait4 find out after their work. Return: 0 or RET_NEED.
 */
export function prepare_write(f: frame, addr: u64, len: u32): i32 {
  if (!addr) return 0;
  return access_ok(f, addr, len, WINDOW_WRITE) == RET_NEED ? RET_NEED : 0;
}

/**
 * A string of at most `max` bytes, its NUL included, into `to`.
 * Return: its length, `max` when there is no NUL in that many bytes, -EFAULT, RET_NEED.
 */
export function strncpy_from_user(f: frame, to: usize, addr: u64, max: u32): i32 {
  let n: u32 = 0;
  while (n < max) {
    const w = window_at(f, addr + n, WINDOW_READ | WINDOW_UNMAPPED);
    if (nil(w)) return need(f, addr + n, max - n);
    if (w.mode & WINDOW_UNMAPPED) return -EFAULT;
    const skip = <u32>(addr + n - w.addr);
    const run = min<u32>(w.len - skip, max - n);
    for (let i: u32 = 0; i < run; ++i) {
      const byte = load<u8>(w.place + skip + i);
      store<u8>(to + n + i, byte);
      if (!byte) return <i32>(n + i);
    }
    n += run;
  }
  return <i32>max;
}
