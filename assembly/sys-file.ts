// The descriptor calls: close, dup, fcntl, pipe, poll, and what the kernel adds to reads, writes
// and opens whose contents are the world's.
import { seeded_fault } from "./bug.ts";
import { container_dead } from "./container.ts";
import { nil } from "./err.ts";
import * as FD from "./file.ts";
import { file } from "./file.ts";
import { frame } from "./frame.ts";
import { fs_for_write } from "./fs.ts";
import { list_head } from "./list.ts";
import { alloc_pipe, pipe_inode_info } from "./pipe.ts";
import { proc_text_read } from "./proc-text.ts";
import { proc_is_kernels, proc_read, proc_write } from "./proc-userns.ts";
import { root, SCRATCH_USER } from "./root.ts";
import * as G from "./signal.ts";
import { CACHE_PIPE, kmem_cache_free } from "./slab.ts";
import { supervisor_poll } from "./supervisor.ts";
import { may_open_device } from "./sys-device.ts";
import { pidfd_poll } from "./sys-pidfd.ts";
import { supervisor_read, supervisor_write } from "./sys-supervise.ts";
import { cold, TASK_INTERRUPTIBLE, task_struct } from "./task.ts";
import { copy_from_user, copy_to_user, prepare_write } from "./uaccess.ts";
import * as E from "./uapi/errno.ts";
import * as O from "./uapi/fcntl.ts";
import * as F from "./uapi/frame.ts";
import { SI_USER, SIGPIPE } from "./uapi/signal.ts";
import {
  add_file_waiter,
  remove_waiters,
  restart_block,
  signal_pending,
  sleep_on,
  waited_file,
} from "./waitqueue.ts";

// Seeded fault (debug builds only): dup gives a close-on-exec descriptor.
const F_DUP_CLOEXEC = 103;

/** dup(2): the lowest free descriptor. */
export function sys_dup(p: task_struct, fd: i32): i32 {
  const f = FD.fget(p, fd);
  if (nil(f)) return -E.EBADF;
  const to = FD.get_unused_fd(p, 0);
  if (to < 0) return to;
  FD.fd_install(p, to, FD.get_file(f), seeded_fault(F_DUP_CLOEXEC));
  return to;
}

/** dup2(2): onto itself it only tests. */
export function sys_dup2(p: task_struct, from: i32, to: i32): i32 {
  if (from == to) return nil(FD.fget(p, from)) ? -E.EBADF : to;
  return dup_to(p, from, to, false);
}

export function sys_dup3(p: task_struct, from: i32, to: i32, flags: u32): i32 {
  if (flags & ~(<u32>O.O_CLOEXEC)) return -E.EINVAL;
  if (from == to) return -E.EINVAL;
  return dup_to(p, from, to, (flags & O.O_CLOEXEC) != 0);
}

function dup_to(p: task_struct, from: i32, to: i32, cloexec: bool): i32 {
  if (<u32>to >= <u32>FD.nofile(p)) return -E.EBADF;
  if (nil(FD.fget(p, from))) return -E.EBADF;
  if (!FD.files_for_write(p)) return -E.ENOMEM;
  return FD.replace_fd(p, to, FD.fget(p, from), cloexec);
}

/** Flags that F_SETFL changes. */
const SETFL_MASK: u32 = O.O_APPEND | O.O_NONBLOCK | O.O_ASYNC | O.O_DIRECT | O.O_NOATIME;

/** fcntl(2): fd, command, argument. Record locks are the world's. */
export function sys_fcntl(p: task_struct, f: frame, fd: i32, cmd: i32, arg: u64): i32 {
  const at = FD.fget(p, fd);
  if (nil(at)) return -E.EBADF;
  switch (cmd) {
    case O.F_DUPFD:
    case O.F_DUPFD_CLOEXEC: {
      if (<u32>arg >= <u32>FD.nofile(p)) return -E.EINVAL;
      const to = FD.get_unused_fd(p, <i32>arg);
      if (to < 0) return to;
      FD.fd_install(p, to, FD.get_file(at), cmd == O.F_DUPFD_CLOEXEC);
      return to;
    }
    case O.F_GETFD:
      return FD.fd_cloexec(p, fd) ? O.FD_CLOEXEC : 0;
    case O.F_SETFD:
      return FD.set_cloexec(p, fd, (arg & O.FD_CLOEXEC) != 0);
    case O.F_GETFL:
      // what a world's file was opened with the world knows
      if (f.assist & F.ASSIST_RET) at.flags = <u32>f.assist_val;
      return <i32>at.flags;
    case O.F_SETFL:
      at.flags = (at.flags & ~SETFL_MASK) | ((<u32>arg) & SETFL_MASK);
      return 0;
    case O.F_SETOWN:
      at.owner = <i32>arg;
      return 0;
    case O.F_GETOWN:
      return at.owner;
    case O.F_SETSIG:
      if (<u32>arg > 64) return -E.EINVAL;
      at.signum = <i32>arg;
      return 0;
    case O.F_GETSIG:
      return at.signum;
    default:
      return sys_world_call(f, -E.EINVAL);
  }
}

/** pipe2(2): address of two descriptors, flags. */
export function sys_pipe2(p: task_struct, f: frame, addr: u64, flags: u32): i32 {
  if (flags & ~(<u32>(O.O_CLOEXEC | O.O_NONBLOCK | O.O_DIRECT | O.O_NOTIFICATION_PIPE))) {
    return -E.EINVAL;
  }
  const need = prepare_write(f, addr, 8);
  if (need) return need;
  const pipe = alloc_pipe(root().inum_next);
  if (nil(pipe)) return -E.ENOMEM;
  const status = flags & (O.O_NONBLOCK | O.O_DIRECT);
  const reader = FD.alloc_file(FD.FILE_PIPE, O.O_RDONLY | status, changetype<usize>(pipe));
  if (nil(reader)) {
    kmem_cache_free(CACHE_PIPE, changetype<usize>(pipe));
    return -E.ENOMEM;
  }
  const writer = FD.alloc_file(FD.FILE_PIPE, O.O_WRONLY | status, changetype<usize>(pipe));
  if (nil(writer)) {
    pipe.writers = 0;
    FD.fput(reader);
    return -E.ENOMEM;
  }
  return install_pair(p, f, addr, reader, writer, (flags & O.O_CLOEXEC) != 0);
}

/** Two files at the two lowest descriptors, their numbers at `addr`; both or none. */
function install_pair(p: task_struct, f: frame, addr: u64, a: file, b: file, cloexec: bool): i32 {
  const first = FD.get_unused_fd(p, 0);
  if (first < 0) return drop_pair(a, b, first);
  FD.fd_install(p, first, a, cloexec);
  const second = FD.get_unused_fd(p, first + 1);
  if (second < 0) {
    FD.fd_take(p, first);
    return drop_pair(a, b, second);
  }
  FD.fd_install(p, second, b, cloexec);
  store<i32>(SCRATCH_USER, first);
  store<i32>(SCRATCH_USER, second, 4);
  if (copy_to_user(f, addr, SCRATCH_USER, 8)) {
    FD.fd_take(p, second);
    FD.fd_take(p, first);
    return drop_pair(a, b, -E.EFAULT);
  }
  return 0;
}

function drop_pair(a: file, b: file, error: i32): i32 {
  FD.fput(a);
  FD.fput(b);
  return error;
}

/** A call that the world answers whole: its errno, its value, or `otherwise` when it is silent. */
export function sys_world_call(f: frame, otherwise: i32): i32 {
  if (f.assist & F.ASSIST_ERRNO) return -f.assist_val;
  if (f.assist & F.ASSIST_RET) return f.assist_val;
  return otherwise;
}

/** open, socket and the like: the world lets it happen, the number is the kernel's. */
export function sys_world_fd(p: task_struct, f: frame): i32 {
  if (f.assist & F.ASSIST_ERRNO) return -f.assist_val;
  if (!(f.assist & F.ASSIST_RET)) return -E.ENOSYS;
  const refused = may_open_device(p, f);
  if (refused) return refused;
  const fd = FD.get_unused_fd(p, 0);
  if (fd < 0) return fd;
  const status: u32 = f.assist & F.ASSIST_NONBLOCK ? O.O_NONBLOCK : 0;
  const at = FD.alloc_file(FD.FILE_WORLD, O.O_RDWR | status, 0);
  if (nil(at)) return -E.ENOMEM;
  FD.fd_install(p, fd, at, (f.assist & F.ASSIST_CLOEXEC) != 0);
  return fd;
}

/** socketpair: two of the world's files. The address is the fourth argument. */
export function sys_world_fd_pair(p: task_struct, f: frame, addr: u64): i32 {
  if (f.assist & F.ASSIST_ERRNO) return -f.assist_val;
  if (!(f.assist & F.ASSIST_RET)) return -E.ENOSYS;
  const need = prepare_write(f, addr, 8);
  if (need) return need;
  const a = FD.alloc_file(FD.FILE_WORLD, O.O_RDWR, 0);
  if (nil(a)) return -E.ENOMEM;
  const b = FD.alloc_file(FD.FILE_WORLD, O.O_RDWR, 0);
  if (nil(b)) {
    FD.fput(a);
    return -E.ENOMEM;
  }
  return install_pair(p, f, addr, a, b, (f.assist & F.ASSIST_CLOEXEC) != 0);
}

/** write(2): a pipe without a reader is EPIPE and SIGPIPE; how much goes in is the world's. */
export function sys_write(p: task_struct, f: frame, fd: i32): i32 {
  const at = FD.fget(p, fd);
  if (nil(at)) return -E.EBADF;
  if (at.kind == FD.FILE_CONTAINER) return -E.EBADF;
  if (at.kind == FD.FILE_PIDFD) return -E.EINVAL;
  if (at.kind == FD.FILE_SUPERVISOR) return supervisor_write(p, f, at);
  if (at.kind == FD.FILE_PROC_TEXT) return sys_world_call(f, -E.EIO);
  if (at.kind == FD.FILE_PROC && proc_is_kernels(at.proc)) {
    return (at.flags & O.O_ACCMODE) == O.O_RDONLY ? -E.EBADF : proc_write(p, f, at);
  }
  if (at.kind == FD.FILE_PIPE) {
    if ((at.flags & O.O_ACCMODE) == O.O_RDONLY) return -E.EBADF;
    if (at.pipe.readers == 0) {
      const info = G.scratch_siginfo();
      G.fill_siginfo(info, SIGPIPE, SI_USER, p, p);
      G.send_signal(p, info, false, false);
      return -E.EPIPE;
    }
  }
  return sys_world_call(f, <i32>f.a2);
}

export function sys_read(p: task_struct, f: frame, fd: i32): i32 {
  const at = f.phase ? waited_file(p) : FD.fget(p, fd);
  if (nil(at)) return -E.EBADF;
  if (at.kind == FD.FILE_CONTAINER) return -E.EBADF;
  if (at.kind == FD.FILE_PIDFD) return -E.EINVAL;
  if (at.kind == FD.FILE_SUPERVISOR) return supervisor_read(p, f, at);
  if (at.kind == FD.FILE_PIPE && (at.flags & O.O_ACCMODE) == O.O_WRONLY) return -E.EBADF;
  if (at.kind == FD.FILE_PROC_TEXT) return proc_text_read(p, f, at);
  if (at.kind == FD.FILE_PROC && proc_is_kernels(at.proc)) {
    return (at.flags & O.O_ACCMODE) == O.O_WRONLY ? -E.EBADF : proc_read(p, f, at);
  }
  return sys_world_call(f, 0);
}

/** What is ready at a file, POLLERR and POLLHUP included. */
function vfs_poll(at: file): u32 {
  if (at.kind == FD.FILE_CONTAINER) {
    // DEVIATION: D-16 - POLLHUP: init is dead; POLLRDHUP, when asked for: all members are gone
    const c = at.container;
    if (!container_dead(c)) return 0;
    const hup = O.POLLHUP | O.POLLIN | O.POLLRDNORM;
    return c.nr_members ? hup : hup | O.POLLRDHUP;
  }
  if (at.kind == FD.FILE_PIDFD) return pidfd_poll(at.pid);
  if (at.kind == FD.FILE_SUPERVISOR) return supervisor_poll(at.supervisor);
  if (at.kind == FD.FILE_PIPE) {
    const pipe = at.pipe;
    if ((at.flags & O.O_ACCMODE) == O.O_RDONLY) return pipe.writers ? 0 : O.POLLHUP;
    return pipe.readers ? O.POLLOUT | O.POLLWRNORM : O.POLLERR | O.POLLOUT | O.POLLWRNORM;
  }
  return O.POLLIN | O.POLLOUT | O.POLLRDNORM | O.POLLWRNORM;
}

/** The queue that a change of a file's readiness wakes; null when it never changes. */
function poll_queue(at: file): list_head {
  if (at.kind == FD.FILE_CONTAINER) return at.container.waitq;
  if (at.kind == FD.FILE_PIDFD) return at.pid.waitq;
  if (at.kind == FD.FILE_SUPERVISOR) return at.supervisor.waitq;
  if (at.kind == FD.FILE_PIPE) return changetype<pipe_inode_info>(at.private_data).waitq;
  return changetype<list_head>(0);
}

/** Fills revents of `n` pollfds in the scratch buffer. Return: how many are ready. */
function poll_scan(p: task_struct, n: i32): i32 {
  let ready = 0;
  for (let i = 0; i < n; ++i) {
    const at = SCRATCH_USER + ((<usize>i) << 3);
    const fd = load<i32>(at);
    let revents: u32 = 0;
    if (fd >= 0) {
      const asked = (<u32>load<u16>(at, 4)) | O.POLLERR | O.POLLHUP;
      const file = FD.fget(p, fd);
      revents = nil(file) ? O.POLLNVAL : vfs_poll(file) & asked;
    }
    store<u16>(at, <u16>revents, 6);
    if (revents) ready += 1;
  }
  return ready;
}

/** poll(2): fds, count, timeout in ms (negative: for ever). */
export function sys_poll(p: task_struct, f: frame, timeout: i32): i32 {
  const n = <u32>f.a1;
  if (n > <u32>FD.nofile(p) || n > 512) return -E.EINVAL;
  const bad = copy_from_user(f, SCRATCH_USER, f.a0, n << 3);
  if (bad) return bad;
  const need = prepare_write(f, f.a0, n << 3);
  if (need) return need;
  if (f.phase) remove_waiters(p);
  const ready = poll_scan(p, <i32>n);
  if (ready || timeout == 0) {
    return copy_to_user(f, f.a0, SCRATCH_USER, n << 3) ? -E.EFAULT : ready;
  }
  if (signal_pending(p)) return restart_block(p, f);
  for (let i: u32 = 0; i < n; ++i) {
    const fd = load<i32>(SCRATCH_USER + (i << 3));
    const file = FD.fget(p, fd);
    if (nil(file)) continue;
    const queue = poll_queue(file);
    if (!nil(queue) && !add_file_waiter(p, queue, file)) {
      remove_waiters(p);
      return -E.ENOMEM;
    }
  }
  f.phase = 1;
  return sleep_on(p, f, TASK_INTERRUPTIBLE);
}

/** umask(2): the old mask. */
export function sys_umask(p: task_struct, mask: u32): i32 {
  const old = cold(p).fs.umask;
  if (!fs_for_write(p)) return -E.ENOMEM;
  cold(p).fs.umask = mask & 0o777;
  return <i32>old;
}
