// poll, ppoll, select, pselect6: one scan over the files, then a sleep on all their queues.
import { nil, RET_BLOCKED, RET_SLEEPS } from "../lib/err.ts";
import * as FD from "./file.ts";
import { file } from "./file.ts";
import { frame } from "../lib/frame.ts";
import { list_head } from "../lib/list.ts";
import { file_poll, poll_queue } from "./poll.ts";
import { root, SCRATCH_USER } from "../lib/root.ts";
import { KERNEL_ONLY, recalc_sigpending } from "../signal/signal.ts";
import { kfree, kmalloc } from "../lib/slab.ts";
import {
  cold,
  PF_RESTORE_SIGMASK,
  rare,
  rare_for_write,
  TASK_INTERRUPTIBLE,
  task_struct,
} from "../process/task.ts";
import { copy_from_user, copy_to_user, prepare_write } from "../lib/uaccess.ts";
import * as E from "../uapi/errno.ts";
import * as O from "../uapi/fcntl.ts";
import * as F from "../uapi/frame.ts";
import {
  add_file_waiter,
  remove_waiters,
  restart_block,
  signal_pending,
  sleep_on,
} from "../process/waitqueue.ts";

/** A timeout that never runs out. */
export const FOR_EVER: u64 = u64.MAX_VALUE;
const MS: u64 = 1000000;

/** Nanoseconds of a timeout in milliseconds; negative: for ever. */
export function timeout_ms(ms: i32): u64 {
  return ms < 0 ? FOR_EVER : <u64>ms * MS;
}

/**
 * The timespec at `addr` (0: for ever) in nanoseconds, at SCRATCH_USER; `micro`: a timeval, whose
 * microseconds may carry over. Return: 0, -EFAULT, -EINVAL, RET_NEED.
 */
export function get_timeout(f: frame, addr: u64, compat: bool, micro: bool): i32 {
  if (!addr) {
    store<u64>(SCRATCH_USER, FOR_EVER);
    return 0;
  }
  const bad = copy_from_user(f, SCRATCH_USER, addr, compat ? 8 : 16);
  if (bad) return bad;
  const sec = compat ? <i64>load<i32>(SCRATCH_USER) : load<i64>(SCRATCH_USER);
  const part = compat ? <i64>load<i32>(SCRATCH_USER, 4) : load<i64>(SCRATCH_USER, 8);
  if (sec < 0 || part < 0) return -E.EINVAL;
  if (!micro && part > 999999999) return -E.EINVAL;
  // longer than the clock can count is for ever
  const ns = sec > 9000000000 ? FOR_EVER : <u64>sec * 1000000000 + <u64>part * (micro ? 1000 : 1);
  store<u64>(SCRATCH_USER, ns);
  return 0;
}

/**
 * The mask of one call (its guest address, 0: the task's own). It is in force until the call ends,
 * or until the handler of the signal that ended it. Return: 0, -EFAULT, -EINVAL, RET_NEED.
 */
export function set_user_sigmask(p: task_struct, f: frame, addr: u64, size: u64): i32 {
  if (!addr || f.phase) return 0;
  if (size != 8) return -E.EINVAL;
  const bad = copy_from_user(f, SCRATCH_USER, addr, 8);
  if (bad) return bad;
  const k = cold(p);
  rare_for_write(p).saved_sigmask = k.blocked;
  k.blocked = load<u64>(SCRATCH_USER) & ~KERNEL_ONLY;
  p.flags |= PF_RESTORE_SIGMASK;
  recalc_sigpending(p);
  return 0;
}

/** The call ends with `r`: the task's own mask is back, unless a signal is to be taken first. */
export function restore_sigmask_unless(p: task_struct, f: frame, r: i32, interrupted: i32): i32 {
  const keeps = r == RET_BLOCKED || (r == interrupted && !(f.assist & F.ASSIST_PEEK));
  if (keeps || !(p.flags & PF_RESTORE_SIGMASK)) return r;
  p.flags &= ~PF_RESTORE_SIGMASK;
  cold(p).blocked = rare(p).saved_sigmask;
  recalc_sigpending(p);
  return r;
}

/** Has the timeout of a sleeping call run out? A call with a timeout of zero never sleeps. */
export function timed_out(f: frame, timeout: u64): bool {
  return timeout == 0 || (f.phase != 0 && f.expired != 0);
}

/** Asleep until woken, or until the clock or the host says that the time is over. */
export function sleep_until(p: task_struct, f: frame, timeout: u64): i32 {
  if (!f.phase) {
    f.deadline = timeout == FOR_EVER ? 0 : root().clock + timeout;
    f.expired = 0;
  }
  f.phase = 1;
  return sleep_on(p, f, TASK_INTERRUPTIBLE);
}

/** Fills revents of the `n` pollfds at `fds`. Return: how many are ready. */
function poll_scan(p: task_struct, fds: usize, n: u32): i32 {
  let ready = 0;
  for (let i: u32 = 0; i < n; ++i) {
    const at = fds + (i << 3);
    const fd = load<i32>(at);
    let revents: u32 = 0;
    if (fd >= 0) {
      const asked = (<u32>load<u16>(at, 4)) | O.POLLERR | O.POLLHUP;
      const one = FD.fget(p, fd);
      const shut = nil(one) || one.flags & O.O_PATH;
      revents = shut ? O.POLLNVAL : file_poll(p, one, 0) & asked;
    }
    store<u16>(at, <u16>revents, 6);
    if (revents) ready += 1;
  }
  return ready;
}

/** Registers `p` with a file's queue; false when memory is exhausted. */
function poll_wait(p: task_struct, at: file): bool {
  const queue: list_head = nil(at) ? changetype<list_head>(0) : poll_queue(at);
  return nil(queue) || add_file_waiter(p, queue, at);
}

/** Scans, and sleeps when nothing is ready. Return: how many are; errno; RET_BLOCKED. */
function do_poll(p: task_struct, f: frame, fds: usize, n: u32, timeout: u64): i32 {
  const ready = poll_scan(p, fds, n);
  if (ready) return ready;
  // a signal counts even where there is no time to wait
  if (signal_pending(p)) return -E.ERESTARTNOHAND;
  if (timed_out(f, timeout)) return 0;
  if (f.assist & F.ASSIST_PEEK) return RET_SLEEPS;
  for (let i: u32 = 0; i < n; ++i) {
    const fd = load<i32>(fds + (i << 3));
    if (poll_wait(p, fd < 0 ? changetype<file>(0) : FD.fget(p, fd))) continue;
    remove_waiters(p);
    return -E.ENOMEM;
  }
  return sleep_until(p, f, timeout);
}

/** pollfds that fit into the scratch area; more are copied to a block of their own. */
const FEW: u32 = 448;

function poll_copied(p: task_struct, f: frame, fds: usize, n: u32, timeout: u64): i32 {
  if (f.phase) remove_waiters(p);
  const bad = copy_from_user(f, fds, f.a0, n << 3);
  if (bad) return bad;
  const need = prepare_write(f, f.a0, n << 3);
  if (need) return need;
  const r = do_poll(p, f, fds, n, timeout);
  if (r < 0) return r;
  // only what came back is written
  for (let i: u32 = 0; i < n; ++i) {
    const at = i << 3;
    if (copy_to_user(f, f.a0 + at + 6, fds + at + 6, 2)) return -E.EFAULT;
  }
  return r;
}

function do_sys_poll(p: task_struct, f: frame, timeout: u64): i32 {
  const n = <u32>f.a1;
  if (<u64>n > <u64>(<u32>FD.nofile(p))) return -E.EINVAL;
  if (n <= FEW) return poll_copied(p, f, SCRATCH_USER + 256, n, timeout);
  const fds = kmalloc(n << 3);
  if (!fds) return -E.ENOMEM;
  const r = poll_copied(p, f, fds, n, timeout);
  kfree(fds, n << 3);
  return r;
}

/** poll(2): fds, count, timeout in ms. */
export function sys_poll(p: task_struct, f: frame, ms: i32): i32 {
  const r = do_sys_poll(p, f, timeout_ms(ms));
  return r == -E.ERESTARTNOHAND ? restart_block(p, f) : r;
}

/** ppoll(2): fds, count, timeout, mask, its size. */
export function sys_ppoll(p: task_struct, f: frame, compat: bool): i32 {
  const bad = get_timeout(f, f.a2, compat, false);
  if (bad) return bad;
  const timeout = load<u64>(SCRATCH_USER);
  const bad_mask = set_user_sigmask(p, f, f.r10, f.r8);
  if (bad_mask) return bad_mask;
  const r = do_sys_poll(p, f, timeout);
  return restore_sigmask_unless(p, f, r, -E.ERESTARTNOHAND);
}

// What each of the three sets of select asks for.
const POLLIN_SET: u32 = O.POLLRDNORM | O.POLLRDBAND | O.POLLIN | O.POLLHUP | O.POLLERR;
const POLLOUT_SET: u32 = O.POLLWRBAND | O.POLLWRNORM | O.POLLOUT | O.POLLERR;
const POLLEX_SET: u32 = O.POLLPRI;
/** The six bitmaps of a select lie behind its timeout: room for 1024 descriptors, or a block. */
const SETS: usize = SCRATCH_USER + 256;
const SMALL_SET: u32 = 128;

function bit(set: usize, fd: u32): bool {
  return ((load<u8>(set + (fd >> 3)) >> (<u8>(fd & 7))) & 1) != 0;
}

function set_bit(set: usize, fd: u32): void {
  const at = set + (fd >> 3);
  store<u8>(at, (<i32>load<u8>(at)) | (1 << ((<i32>fd) & 7)));
}

/** Marks what is ready in the three result sets. Return: how many bits; -EBADF. */
function select_scan(p: task_struct, sets: usize, n: u32, bytes: u32): i32 {
  let ready = 0;
  memory.fill(sets + bytes * 3, 0, bytes * 3);
  for (let fd: u32 = 0; fd < n; ++fd) {
    const r = bit(sets, fd);
    const w = bit(sets + bytes, fd);
    const e = bit(sets + bytes * 2, fd);
    if (!r && !w && !e) continue;
    const at = FD.fget(p, <i32>fd);
    if (nil(at)) return -E.EBADF;
    const mask = file_poll(p, at, 0);
    if (r && mask & POLLIN_SET) {
      set_bit(sets + bytes * 3, fd);
      ready += 1;
    }
    if (w && mask & POLLOUT_SET) {
      set_bit(sets + bytes * 4, fd);
      ready += 1;
    }
    if (e && mask & POLLEX_SET) {
      set_bit(sets + bytes * 5, fd);
      ready += 1;
    }
  }
  return ready;
}

function do_select(p: task_struct, f: frame, sets: usize, n: u32, bytes: u32, timeout: u64): i32 {
  const ready = select_scan(p, sets, n, bytes);
  if (ready) return ready;
  // a signal counts even where there is no time to wait
  if (signal_pending(p)) return -E.ERESTARTNOHAND;
  if (timed_out(f, timeout)) return 0;
  if (f.assist & F.ASSIST_PEEK) return RET_SLEEPS;
  for (let fd: u32 = 0; fd < n; ++fd) {
    if (!bit(sets, fd) && !bit(sets + bytes, fd) && !bit(sets + bytes * 2, fd)) continue;
    if (poll_wait(p, FD.fget(p, <i32>fd))) continue;
    remove_waiters(p);
    return -E.ENOMEM;
  }
  return sleep_until(p, f, timeout);
}

/** Guest address of set `i`: second, third and fourth argument. */
function set_address(f: frame, i: u32): u64 {
  return i == 0 ? f.a1 : i == 1 ? f.a2 : f.r10;
}

function select_copied(p: task_struct, f: frame, sets: usize, n: u32, timeout: u64): i32 {
  const bytes = ((n + 63) >> 6) << 3;
  if (f.phase) remove_waiters(p);
  for (let i: u32 = 0; i < 3; ++i) {
    const addr = set_address(f, i);
    memory.fill(sets + bytes * i, 0, bytes);
    if (!addr) continue;
    const bad = copy_from_user(f, sets + bytes * i, addr, bytes);
    if (bad) return bad;
    const need = prepare_write(f, addr, bytes);
    if (need) return need;
  }
  const r = do_select(p, f, sets, n, bytes, timeout);
  if (r < 0) return r;
  for (let i: u32 = 0; i < 3; ++i) {
    const addr = set_address(f, i);
    if (addr && copy_to_user(f, addr, sets + bytes * (3 + i), bytes)) return -E.EFAULT;
  }
  return r;
}

/** As many descriptors as the caller's table has room for: those above are not looked at. */
function core_sys_select(p: task_struct, f: frame, timeout: u64): i32 {
  if (<i32>f.a0 < 0) return -E.EINVAL;
  const n = min<u32>(<u32>f.a0, FD.table_size(p));
  const bytes = ((n + 63) >> 6) << 3;
  if (bytes <= SMALL_SET) return select_copied(p, f, SETS, n, timeout);
  const sets = kmalloc(bytes * 6);
  if (!sets) return -E.ENOMEM;
  const r = select_copied(p, f, sets, n, timeout);
  kfree(sets, bytes * 6);
  return r;
}

/** select(2): count, three sets, timeout. */
export function sys_select(p: task_struct, f: frame, compat: bool): i32 {
  const bad = get_timeout(f, f.r8, compat, true);
  if (bad) return bad;
  return core_sys_select(p, f, load<u64>(SCRATCH_USER));
}

/** pselect6(2): count, three sets, timeout, address of {mask, its size}. */
export function sys_pselect6(p: task_struct, f: frame, compat: bool): i32 {
  let mask: u64 = 0;
  let size: u64 = 0;
  if (f.r9 && !f.phase) {
    const bad = copy_from_user(f, SCRATCH_USER, f.r9, compat ? 8 : 16);
    if (bad) return bad;
    mask = compat ? load<u32>(SCRATCH_USER) : load<u64>(SCRATCH_USER);
    size = compat ? load<u32>(SCRATCH_USER, 4) : load<u64>(SCRATCH_USER, 8);
  }
  const bad_time = get_timeout(f, f.r8, compat, false);
  if (bad_time) return bad_time;
  const timeout = load<u64>(SCRATCH_USER);
  const bad_mask = set_user_sigmask(p, f, mask, size);
  if (bad_mask) return bad_mask;
  const r = core_sys_select(p, f, timeout);
  return restore_sigmask_unless(p, f, r, -E.ERESTARTNOHAND);
}
