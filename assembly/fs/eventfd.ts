// eventfd: a counter in the file itself (file.pos), its sleepers on the file's own queue.
import { seeded_fault } from "../lib/bug.ts";
import { nil } from "../lib/err.ts";
import * as FD from "./file.ts";
import { file } from "./file.ts";
import { frame } from "../lib/frame.ts";
import { SCRATCH_USER } from "../lib/root.ts";
import { task_struct } from "../process/task.ts";
import { copy_from_vector, copy_to_vector } from "../lib/uio.ts";
import * as N from "../uapi/epoll.ts";
import * as E from "../uapi/errno.ts";
import * as O from "../uapi/fcntl.ts";
import * as F from "../uapi/frame.ts";
import { signal_pending, wait_on_file, wake_up_poll } from "../process/waitqueue.ts";

// Seeded fault (debug builds only): a semaphore gives everything at once.
const F_SEMAPHORE = 144;

/** eventfd2(2): first value, flags. */
export function sys_eventfd2(p: task_struct, count: u32, flags: u32): i32 {
  if (flags & ~(<u32>(N.EFD_SEMAPHORE | N.EFD_CLOEXEC | N.EFD_NONBLOCK))) return -E.EINVAL;
  const fd = FD.get_unused_fd(p, 0);
  if (fd < 0) return fd;
  const status = O.O_RDWR | (flags & N.EFD_NONBLOCK);
  const at = FD.alloc_file(FD.FILE_EVENTFD, status, flags & N.EFD_SEMAPHORE);
  if (nil(at)) return -E.ENOMEM;
  at.pos = count;
  FD.fd_install(p, fd, at, (flags & N.EFD_CLOEXEC) != 0);
  return fd;
}

/** Eight bytes: the counter, or 1 of a semaphore's. */
export function eventfd_read(p: task_struct, f: frame, at: file, total: u32, nr: u32): i32 {
  if (total < 8) return -E.EINVAL;
  if (FD.is_opaque(at)) return FD.world_result(f, 8);
  if (!at.pos) {
    if (at.flags & O.O_NONBLOCK) return -E.EAGAIN;
    if (signal_pending(p)) return -E.ERESTARTSYS;
    return wait_on_file(p, f, at.wait, at);
  }
  const one = at.private_data != 0 && !seeded_fault(F_SEMAPHORE);
  const value: u64 = one ? 1 : at.pos;
  store<u64>(SCRATCH_USER, value);
  // as in Linux the value is gone even where it cannot be written
  const bad = copy_to_vector(f, nr, SCRATCH_USER, 8);
  if (bad && bad != -E.EFAULT) return bad;
  if (f.assist & F.ASSIST_PEEK) return bad ? bad : 8;
  at.pos -= value;
  wake_up_poll(at.wait, O.POLLOUT);
  return bad ? bad : 8;
}

/** Adds eight bytes' value; sleeps while the counter would pass its end. */
export function eventfd_write(p: task_struct, f: frame, at: file, total: u32, nr: u32): i32 {
  if (total != 8) return -E.EINVAL;
  const bad = copy_from_vector(f, nr, SCRATCH_USER, 8);
  if (bad) return bad;
  const value = load<u64>(SCRATCH_USER);
  if (value == u64.MAX_VALUE) return -E.EINVAL;
  if (FD.is_opaque(at)) return FD.world_result(f, 8);
  if (u64.MAX_VALUE - at.pos <= value) {
    if (at.flags & O.O_NONBLOCK) return -E.EAGAIN;
    if (signal_pending(p)) return -E.ERESTARTSYS;
    return wait_on_file(p, f, at.wait, at);
  }
  if (f.assist & F.ASSIST_PEEK) return 8;
  at.pos += value;
  wake_up_poll(at.wait, O.POLLIN);
  return 8;
}

export function eventfd_poll(at: file): u32 {
  let mask: u32 = 0;
  if (at.pos > 0) mask |= O.POLLIN;
  if (at.pos == u64.MAX_VALUE) mask |= O.POLLERR;
  if (u64.MAX_VALUE - 1 > at.pos) mask |= O.POLLOUT;
  return mask;
}
