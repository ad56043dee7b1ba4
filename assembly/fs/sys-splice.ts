// splice, tee, vmsplice and sendfile, as far as pipes take part: how many bytes go in and out.
// What the other side takes or gives the world says.
import { nil, RET_SLEEPS, same } from "../lib/err.ts";
import * as FD from "./file.ts";
import { file } from "./file.ts";
import { frame } from "../lib/frame.ts";
import * as P from "./pipe.ts";
import { broken_pipe, end_wait } from "./sys-rw.ts";
import { task_struct } from "../process/task.ts";
import { import_iovec } from "../lib/uio.ts";
import * as E from "../uapi/errno.ts";
import * as O from "../uapi/fcntl.ts";
import * as F from "../uapi/frame.ts";
import { MAX_RW_COUNT, PAGE_SIZE } from "../uapi/limits.ts";
import { remove_waiters, signal_pending, wait_on_file } from "../process/waitqueue.ts";

const SPLICE_F_ALL: u32 = O.SPLICE_F_MOVE | O.SPLICE_F_NONBLOCK | O.SPLICE_F_MORE | O.SPLICE_F_GIFT;

function io_file(p: task_struct, fd: i32): file {
  const at = FD.fget(p, fd);
  return !nil(at) && at.flags & O.O_PATH ? changetype<file>(0) : at;
}

function is_pipe(at: file): bool {
  return at.kind == FD.FILE_PIPE;
}

/** Is a file open the wrong way round? Of the world's only what is known counts. */
function wrong_mode(at: file, mode: u32): bool {
  return (at.flags & O.O_ACCMODE) == mode && !FD.flags_unknown(at);
}

function opaque(at: file): bool {
  return is_pipe(at) && at.pipe.opaque != 0;
}

function peeks(f: frame): bool {
  return (f.assist & F.ASSIST_PEEK) != 0;
}

/** Something to read in `from`? Return: 1, 0 at the end, errno, the sleep. */
function wait_readable(p: task_struct, f: frame, from: file, flags: u32): i32 {
  const pipe = from.pipe;
  if (!P.pipe_empty(pipe)) return 1;
  if (!pipe.writers) return 0;
  if (flags & O.SPLICE_F_NONBLOCK) return -E.EAGAIN;
  if (signal_pending(p)) return -E.ERESTARTSYS;
  if (peeks(f)) return RET_SLEEPS;
  remove_waiters(p);
  return wait_on_file(p, f, pipe.rd_wait, from);
}

/** A free slot in `to`? Return: 1, errno, the sleep. */
function wait_writable(p: task_struct, f: frame, to: file, flags: u32): i32 {
  const pipe = to.pipe;
  if (!pipe.readers) return broken_pipe(p, f, 0);
  if (!P.pipe_full(pipe)) return 1;
  if (flags & O.SPLICE_F_NONBLOCK) return -E.EAGAIN;
  if (signal_pending(p)) return -E.ERESTARTSYS;
  if (peeks(f)) return RET_SLEEPS;
  remove_waiters(p);
  return wait_on_file(p, f, pipe.wr_wait, to);
}

function pipe_to_pipe(
  p: task_struct,
  f: frame,
  from: file,
  to: file,
  len: u32,
  flags: u32,
  copy: bool,
): i32 {
  if (same(from.pipe, to.pipe)) return -E.EINVAL;
  if (opaque(from) || opaque(to)) return FD.world_result(f, 0);
  const nonblock = ((from.flags | to.flags) & O.O_NONBLOCK) != 0;
  const how = nonblock ? flags | O.SPLICE_F_NONBLOCK : flags;
  const readable = wait_readable(p, f, from, how);
  if (readable <= 0) return readable;
  const writable = wait_writable(p, f, to, how);
  if (writable <= 0) return writable;
  if (peeks(f)) return <i32>P.pipe_movable(from.pipe, to.pipe, len);
  if (copy) return <i32>P.pipe_copy(from.pipe, to.pipe, len);
  return <i32>P.pipe_move(from.pipe, to.pipe, len);
}

/** Out of a pipe: as much as the world took, of what there is. */
function pipe_to_world(p: task_struct, f: frame, from: file, len: u32, flags: u32): i32 {
  const n = FD.world_result(f, <i32>P.pipe_peek(from.pipe, len));
  if (n < 0 || opaque(from)) return n;
  if (n == 0 && !from.pipe.writers) return 0;
  const readable = wait_readable(p, f, from, flags);
  if (readable <= 0) return readable;
  const part = P.pipe_peek(from.pipe, min<u32>(<u32>n, len));
  return peeks(f) ? <i32>part : <i32>P.pipe_splice(from.pipe, part);
}

/** Into a pipe: as much as the world gave, as far as there is room. */
function world_to_pipe(p: task_struct, f: frame, to: file, len: u32, flags: u32): i32 {
  const n = FD.world_result(f, 0);
  if (n <= 0 || opaque(to)) return n;
  const writable = wait_writable(p, f, to, flags);
  if (writable <= 0) return writable;
  const slots = to.pipe.ring_size - (to.pipe.head - to.pipe.tail);
  const part = min<u32>(min<u32>(<u32>n, len), slots * PAGE_SIZE);
  if (!peeks(f)) P.pipe_fill(to.pipe, part);
  return <i32>part;
}

function clamp(len: u64): u32 {
  return <u32>min<u64>(len, MAX_RW_COUNT);
}

/** splice(2): from, its offset, to, its offset, bytes, flags. */
export function sys_splice(p: task_struct, f: frame): i32 {
  const len = clamp(f.r8);
  const flags = <u32>f.r9;
  if (!len) return 0;
  if (flags & ~SPLICE_F_ALL) return -E.EINVAL;
  const from = io_file(p, <i32>f.a0);
  const to = io_file(p, <i32>f.a2);
  if (nil(from) || nil(to)) return end_wait(p, -E.EBADF);
  if (is_pipe(from) && f.a1) return -E.ESPIPE;
  if (is_pipe(to) && f.r10) return -E.ESPIPE;
  if (wrong_mode(from, O.O_WRONLY) || wrong_mode(to, O.O_RDONLY)) return -E.EBADF;
  if (is_pipe(from) && is_pipe(to)) {
    return end_wait(p, pipe_to_pipe(p, f, from, to, len, flags, false));
  }
  if (is_pipe(from)) return end_wait(p, pipe_to_world(p, f, from, len, flags));
  if (is_pipe(to)) return end_wait(p, world_to_pipe(p, f, to, len, flags));
  return from.kind == FD.FILE_WORLD || to.kind == FD.FILE_WORLD
    ? FD.world_result(f, -E.EINVAL)
    : -E.EINVAL;
}

/** tee(2): from, to, bytes, flags. */
export function sys_tee(p: task_struct, f: frame): i32 {
  const len = clamp(f.a2);
  const flags = <u32>f.r10;
  if (flags & ~SPLICE_F_ALL) return -E.EINVAL;
  if (!len) return 0;
  const from = io_file(p, <i32>f.a0);
  const to = io_file(p, <i32>f.a1);
  if (nil(from) || nil(to)) return end_wait(p, -E.EBADF);
  if (wrong_mode(from, O.O_WRONLY) || wrong_mode(to, O.O_RDONLY)) return -E.EBADF;
  if (!is_pipe(from) || !is_pipe(to)) return FD.world_result(f, -E.EINVAL);
  return end_wait(p, pipe_to_pipe(p, f, from, to, len, flags, true));
}

/** vmsplice(2): fd, buffers, their number, flags. Into a pipe, or out of one. */
export function sys_vmsplice(p: task_struct, f: frame, compat: bool): i32 {
  const flags = <u32>f.r10;
  if (flags & ~SPLICE_F_ALL) return -E.EINVAL;
  const at = io_file(p, <i32>f.a0);
  if (nil(at)) return -E.EBADF;
  const total = import_iovec(f, f.a1, f.a2, compat);
  if (total <= 0) return total;
  if (!is_pipe(at)) return FD.world_result(f, -E.EBADF);
  if (opaque(at)) return FD.world_result(f, total);
  const how = at.flags & O.O_NONBLOCK ? flags | O.SPLICE_F_NONBLOCK : flags;
  const len = <u32>total;
  if ((at.flags & O.O_ACCMODE) == O.O_RDONLY) {
    const readable = wait_readable(p, f, at, how);
    if (readable <= 0) return end_wait(p, readable);
    const n = peeks(f) ? P.pipe_peek(at.pipe, len) : P.pipe_splice(at.pipe, len);
    return end_wait(p, <i32>n);
  }
  const writable = wait_writable(p, f, at, how);
  if (writable <= 0) return end_wait(p, writable);
  const slots = at.pipe.ring_size - (at.pipe.head - at.pipe.tail);
  const part = min<u32>(len, slots * PAGE_SIZE);
  if (!peeks(f)) P.pipe_fill(at.pipe, part);
  return end_wait(p, <i32>part);
}

/** sendfile(2): to, from, offset, bytes. The source is a file of the world's. */
export function sys_sendfile(p: task_struct, f: frame): i32 {
  const from = io_file(p, <i32>f.a1);
  const to = io_file(p, <i32>f.a0);
  if (nil(from) || nil(to)) return end_wait(p, -E.EBADF);
  if (wrong_mode(from, O.O_WRONLY) || wrong_mode(to, O.O_RDONLY)) return -E.EBADF;
  if (from.kind != FD.FILE_WORLD && from.kind != FD.FILE_NULL) {
    return f.a2 ? -E.ESPIPE : -E.EINVAL;
  }
  if (!is_pipe(to)) return FD.world_result(f, 0);
  const how = to.flags & O.O_NONBLOCK ? <u32>O.SPLICE_F_NONBLOCK : 0;
  return end_wait(p, world_to_pipe(p, f, to, clamp(f.r10), how));
}
