// read, write and their vector forms: what a file's kind makes of them. The bytes of the world's
// files are the world's; of pipes and sockets the kernel knows how many there are.
import { nil, RET_BLOCKED, RET_SLEEPS } from "../lib/err.ts";
import { eventfd_read, eventfd_write } from "./eventfd.ts";
import * as FD from "./file.ts";
import { file } from "./file.ts";
import { frame } from "../lib/frame.ts";
import { mqueue_read } from "../ipc/mqueue-text.ts";
import { kill_writers, pipe_peek, pipe_put, pipe_room, pipe_take } from "./pipe.ts";
import * as G from "../signal/signal.ts";
import { proc_text_read, proc_text_seek, proc_text_write } from "../proc/proc-text.ts";
import { proc_is_kernels, proc_read, proc_write } from "../proc/proc-userns.ts";
import { signalfd_read } from "./signalfd.ts";
import { sys_world_call } from "./sys-file.ts";
import { socket_read, socket_write } from "../net/sys-message.ts";
import { supervisor_read, supervisor_write } from "../container/sys-supervise.ts";
import { task_struct } from "../process/task.ts";
import { timerfd_read } from "./timerfd.ts";
import { tty_read, tty_write } from "../tty/sys-tty.ts";
import { import_iovec, import_ubuf, segment_base, segment_len, vector_faults } from "../lib/uio.ts";
import * as E from "../uapi/errno.ts";
import * as O from "../uapi/fcntl.ts";
import * as F from "../uapi/frame.ts";
import { SI_USER, SIGPIPE } from "../uapi/signal.ts";
import * as V from "../vfs/rw.ts";
import { fscontext_read, fscontext_write } from "../vfs/sys-fscontext.ts";
import {
  awaited_file,
  remove_waiters,
  signal_pending,
  wait_on_file,
} from "../process/waitqueue.ts";

/** The open file of a call that goes on, or of descriptor `fd`; null: not open, or a mere path. */
export function call_file(p: task_struct, f: frame, fd: i32): file {
  if (f.phase) {
    const awaited = awaited_file(p);
    if (!nil(awaited)) return awaited;
  }
  f.cookie = 0;
  const at = FD.fget(p, fd);
  return !nil(at) && at.flags & O.O_PATH ? changetype<file>(0) : at;
}

/** The call of `p` ends with `r`, unless that is a sleep: it waits for nothing any more. */
export function end_wait(p: task_struct, r: i32): i32 {
  if (r != RET_BLOCKED) remove_waiters(p);
  return r;
}

/** SIGPIPE for the caller; what was written before counts. */
export function broken_pipe(p: task_struct, f: frame, done: i32): i32 {
  if (!(f.assist & F.ASSIST_PEEK)) {
    const info = G.scratch_siginfo();
    G.fill_siginfo(info, SIGPIPE, SI_USER, p, p);
    G.send_signal(p, info, false, false);
  }
  return done ? done : -E.EPIPE;
}

function pipe_read(p: task_struct, f: frame, at: file, total: u32, nr: u32): i32 {
  const pipe = at.pipe;
  if (pipe.opaque) return sys_world_call(f, 0);
  if (!total) return 0;
  const n = pipe_peek(pipe, total);
  if (n) {
    if (vector_faults(f, nr)) return -E.EFAULT;
    if (f.assist & F.ASSIST_PEEK) return <i32>n;
    const taken = <i32>pipe_take(pipe, total);
    kill_writers(pipe);
    return taken;
  }
  if (!pipe.writers) return 0;
  if (at.flags & O.O_NONBLOCK) {
    if (!(f.assist & F.ASSIST_PEEK)) kill_writers(pipe);
    return -E.EAGAIN;
  }
  if (signal_pending(p)) return -E.ERESTARTSYS;
  return wait_on_file(p, f, pipe.rd_wait, at);
}

function pipe_write(p: task_struct, f: frame, at: file, total: u32, nr: u32): i32 {
  const pipe = at.pipe;
  const done = f.cookie;
  if (!total) return 0;
  if (!pipe.readers) return broken_pipe(p, f, <i32>done);
  if (pipe.opaque) return sys_world_call(f, <i32>total);
  if (vector_faults(f, nr)) return -E.EFAULT;
  const first = f.phase == 0;
  const peek = (f.assist & F.ASSIST_PEEK) != 0;
  const packet = (at.flags & O.O_DIRECT) != 0;
  const more = peek
    ? pipe_room(pipe, total - done, first)
    : pipe_put(pipe, total - done, first, packet);
  const sum = <i32>(done + more);
  if (<u32>sum == total) return sum;
  if (at.flags & O.O_NONBLOCK) return sum ? sum : -E.EAGAIN;
  if (signal_pending(p)) return sum ? sum : -E.ERESTARTSYS;
  if (peek) return RET_SLEEPS;
  f.cookie = <u32>sum;
  return wait_on_file(p, f, pipe.wr_wait, at);
}

/** Files that know nothing of vectors: one transfer for each buffer, as long as they are filled. */
function by_segment(p: task_struct, f: frame, at: file, nr: u32, write: bool): i32 {
  const a0 = f.a0;
  const a1 = f.a1;
  const a2 = f.a2;
  const kind = at.proc_kind;
  let done = 0;
  for (let i: u32 = 0; i < nr; ++i) {
    f.set_args(a0, segment_base(i), segment_len(i));
    if (!f.a2 && nr > 1) continue;
    let n: i32;
    if (kind == FD.FILE_PROC) n = write ? proc_write(p, f, at) : proc_read(p, f, at);
    else if (kind) n = write ? proc_text_write(p, f, at) : proc_text_read(p, f, at);
    else if (at.kind == FD.FILE_FSCONTEXT)
      n = write ? fscontext_write(p, f, at) : fscontext_read(f, at);
    else if (at.kind == FD.FILE_MQUEUE) n = mqueue_read(f, at);
    else n = write ? supervisor_write(p, f, at) : supervisor_read(p, f, at);
    if (n >= 0) done += n;
    else if (!done) done = n;
    if (n != <i32>f.a2 || at.kind == FD.FILE_SUPERVISOR || at.kind == FD.FILE_FSCONTEXT) break;
  }
  f.set_args(a0, a1, a2);
  return done;
}

/** A read of `total` bytes into the `nr` buffers of the scratch vector. */
function vfs_read(p: task_struct, f: frame, at: file, total: u32, nr: u32): i32 {
  if ((at.flags & O.O_ACCMODE) == O.O_WRONLY) return -E.EBADF;
  switch (at.kind) {
    case FD.FILE_PIPE:
      return pipe_read(p, f, at, total, nr);
    case FD.FILE_SOCKET:
      return socket_read(p, f, at, total, nr);
    case FD.FILE_EVENTFD:
      return eventfd_read(p, f, at, total, nr);
    case FD.FILE_TIMERFD:
      return timerfd_read(p, f, at, total, nr);
    case FD.FILE_SIGNALFD:
      return signalfd_read(p, f, at, total, nr);
    case FD.FILE_SUPERVISOR:
    case FD.FILE_PROC_TEXT:
    case FD.FILE_FSCONTEXT:
      return by_segment(p, f, at, nr, false);
    case FD.FILE_PROC:
      if (proc_is_kernels(at.proc)) return by_segment(p, f, at, nr, false);
      return sys_world_call(f, 0);
    case FD.FILE_CONTAINER:
      return -E.EBADF;
    case FD.FILE_MQUEUE:
      return by_segment(p, f, at, nr, false);
    case FD.FILE_PIDFD:
    case FD.FILE_NSFS:
    case FD.FILE_EPOLL:
      return -E.EINVAL;
    case FD.FILE_WORLD:
      return at.private_data ? tty_read(p, f, at) : sys_world_call(f, 0);
    case FD.FILE_VFS:
      if (at.proc_kind) return by_segment(p, f, at, nr, false);
      return V.vfs_file_read(f, at, total, nr);
    default:
      return sys_world_call(f, 0);
  }
}

function vfs_write(p: task_struct, f: frame, at: file, total: u32, nr: u32): i32 {
  if ((at.flags & O.O_ACCMODE) == O.O_RDONLY && at.kind != FD.FILE_WORLD) return -E.EBADF;
  switch (at.kind) {
    case FD.FILE_PIPE:
      return pipe_write(p, f, at, total, nr);
    case FD.FILE_SOCKET:
      return socket_write(p, f, at, total, nr);
    case FD.FILE_EVENTFD:
      return eventfd_write(p, f, at, total, nr);
    case FD.FILE_SUPERVISOR:
    case FD.FILE_FSCONTEXT:
      return by_segment(p, f, at, nr, true);
    case FD.FILE_PROC_TEXT:
      return sys_world_call(f, -E.EIO);
    case FD.FILE_PROC:
      if (proc_is_kernels(at.proc)) return by_segment(p, f, at, nr, true);
      return sys_world_call(f, <i32>total);
    case FD.FILE_CONTAINER:
      return -E.EBADF;
    case FD.FILE_PIDFD:
    case FD.FILE_NSFS:
    case FD.FILE_EPOLL:
    case FD.FILE_TIMERFD:
    case FD.FILE_SIGNALFD:
    case FD.FILE_MQUEUE:
      return -E.EINVAL;
    case FD.FILE_INOTIFY:
      return -E.EBADF;
    case FD.FILE_WORLD:
      return at.private_data ? tty_write(p, f, at, <i32>total) : sys_world_call(f, <i32>total);
    case FD.FILE_VFS:
      if (at.proc_kind) return by_segment(p, f, at, nr, true);
      return V.vfs_file_write(p, f, at, total, nr);
    default:
      return sys_world_call(f, <i32>total);
  }
}

/** read(2): fd, buffer, bytes. */
export function sys_read(p: task_struct, f: frame, fd: i32): i32 {
  const at = call_file(p, f, fd);
  if (nil(at)) return -E.EBADF;
  return end_wait(p, vfs_read(p, f, at, import_ubuf(f.a1, f.a2), 1));
}

/** write(2): fd, buffer, bytes. */
export function sys_write(p: task_struct, f: frame, fd: i32): i32 {
  const at = call_file(p, f, fd);
  if (nil(at)) return -E.EBADF;
  return end_wait(p, vfs_write(p, f, at, import_ubuf(f.a1, f.a2), 1));
}

/** readv(2): fd, buffers, their number. */
export function sys_readv(p: task_struct, f: frame, fd: i32, compat: bool): i32 {
  const at = call_file(p, f, fd);
  if (nil(at)) return -E.EBADF;
  if ((at.flags & O.O_ACCMODE) == O.O_WRONLY) return -E.EBADF;
  const total = import_iovec(f, f.a1, f.a2, compat);
  if (total < 0) return end_wait(p, total);
  return end_wait(p, vfs_read(p, f, at, <u32>total, <u32>f.a2));
}

/** writev(2): fd, buffers, their number. */
export function sys_writev(p: task_struct, f: frame, fd: i32, compat: bool): i32 {
  const at = call_file(p, f, fd);
  if (nil(at)) return -E.EBADF;
  const total = import_iovec(f, f.a1, f.a2, compat);
  if (total < 0) return end_wait(p, total);
  return end_wait(p, vfs_write(p, f, at, <u32>total, <u32>f.a2));
}

function is_proc(at: file): bool {
  return at.kind == FD.FILE_PROC || at.kind == FD.FILE_PROC_TEXT;
}

/** Does a file have an offset? Those of the kernel's own kinds have none. */
function seekable(at: file): bool {
  const kind = at.kind;
  return kind == FD.FILE_WORLD || kind == FD.FILE_NULL || is_proc(at);
}

/** pread64(2): fd, buffer, bytes, offset; one below zero is EINVAL before all else. */
export function sys_pread(p: task_struct, f: frame, fd: i32, compat: bool): i32 {
  return pread_or_pwrite(p, f, fd, compat, false);
}

/** pwrite64(2). */
export function sys_pwrite(p: task_struct, f: frame, fd: i32, compat: bool): i32 {
  return pread_or_pwrite(p, f, fd, compat, true);
}

/** A read or write of a file of proc elsewhere than at its offset, which stays. */
function proc_at(p: task_struct, f: frame, at: file, pos: u64, write: bool): i32 {
  const access = at.flags & O.O_ACCMODE;
  if (access == (write ? <u32>O.O_RDONLY : <u32>O.O_WRONLY)) return -E.EBADF;
  const own = at.pos;
  at.pos = pos;
  import_ubuf(f.a1, f.a2);
  const n = by_segment(p, f, at, 1, write);
  at.pos = own;
  return n;
}

function pread_or_pwrite(p: task_struct, f: frame, fd: i32, compat: bool, write: bool): i32 {
  const at = call_file(p, f, fd);
  const pos = compat ? f.r10 | (f.r8 << 32) : f.r10;
  if (<i64>pos < 0) return -E.EINVAL;
  if (nil(at)) return -E.EBADF;
  if (at.kind == FD.FILE_VFS && at.proc_kind) return proc_at(p, f, at, pos, write);
  if (at.kind == FD.FILE_VFS) {
    const n = import_ubuf(f.a1, f.a2);
    return write ? V.vfs_file_pwrite(p, f, at, pos, n) : V.vfs_file_pread(f, at, pos, n);
  }
  if (at.kind == FD.FILE_NSFS) return -E.EINVAL;
  return seekable(at) ? sys_world_call(f, 0) : -E.ESPIPE;
}

/** Files that let themselves be moved about in, and stay where they are. */
function stays_at_zero(kind: u32): bool {
  const counts = kind == FD.FILE_EVENTFD || kind == FD.FILE_TIMERFD || kind == FD.FILE_SIGNALFD;
  return counts || kind == FD.FILE_INOTIFY || kind == FD.FILE_EPOLL;
}

/** lseek(2): fd, offset, whence. Where a file ends is the world's to know. */
export function sys_lseek(p: task_struct, f: frame, fd: i32): i32 {
  const at = call_file(p, f, fd);
  if (nil(at)) return -E.EBADF;
  if (<u32>f.a2 > <u32>O.SEEK_HOLE) return -E.EINVAL;
  if (at.kind == FD.FILE_VFS) {
    if (at.proc_kind) return proc_text_seek(at, <i64>f.a1, <i32>f.a2);
    return V.vfs_file_lseek(f, at, <i64>f.a1, <i32>f.a2);
  }
  if (at.kind == FD.FILE_PROC_TEXT && !(f.assist & (F.ASSIST_RET | F.ASSIST_ERRNO))) {
    return proc_text_seek(at, <i64>f.a1, <i32>f.a2);
  }
  if (stays_at_zero(at.kind)) return 0;
  return seekable(at) ? sys_world_call(f, 0) : -E.ESPIPE;
}
