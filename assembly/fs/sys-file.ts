// The descriptor calls: dup, pipe, and what the kernel adds to the opening of the world's files.
import { seeded_fault } from "../lib/bug.ts";
import { nil } from "../lib/err.ts";
import * as FD from "./file.ts";
import { file } from "./file.ts";
import { frame } from "../lib/frame.ts";
import { fs_for_write } from "./fs.ts";
import { find_inode } from "./locks.ts";
import { alloc_pipe, free_pipe } from "./pipe.ts";
import { root, SCRATCH_USER } from "../lib/root.ts";
import { may_open_device } from "../container/sys-device.ts";
import { cold, task_struct } from "../process/task.ts";
import { copy_to_user, prepare_write } from "../lib/uaccess.ts";
import * as E from "../uapi/errno.ts";
import * as O from "../uapi/fcntl.ts";
import * as F from "../uapi/frame.ts";

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
    free_pipe(pipe);
    return -E.ENOMEM;
  }
  const writer = FD.alloc_file(FD.FILE_PIPE, O.O_WRONLY | status, changetype<usize>(pipe));
  if (nil(writer)) {
    pipe.writers = 0;
    FD.fput(reader);
    return -E.ENOMEM;
  }
  const error = install_pair(p, f, addr, reader, writer, (flags & O.O_CLOEXEC) != 0);
  if (!error) root().inum_next += 1;
  return error;
}

/** Two files at the two lowest descriptors, their numbers at `addr`; both or none. */
export function install_pair(
  p: task_struct,
  f: frame,
  addr: u64,
  a: file,
  b: file,
  cloexec: bool,
): i32 {
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
  return FD.world_result(f, otherwise);
}

/** A file of the world's; what it was opened with and what it is where the host tells. */
export function alloc_world_file(f: frame, flags: u32, known: bool): file {
  const told = (f.assist & F.ASSIST_FILE) != 0;
  const at = FD.alloc_file(FD.FILE_WORLD, told ? <u32>f.assist_mask : flags, 0);
  if (nil(at)) return at;
  if (!told && !known) at.opaque = FD.FILE_FLAGS_UNKNOWN;
  if (!told || !f.assist_pid) return at;
  at.inode = find_inode(<u32>f.assist_pid);
  if (!nil(at.inode)) return at;
  FD.fput(at);
  return changetype<file>(0);
}

/** The errno with which the world lets the call fail; 0: with none. */
export function worlds_error(f: frame): i32 {
  if (!(f.assist & F.ASSIST_ERRNO)) return 0;
  f.assist |= F.ASSIST_HEARD;
  return -f.assist_val;
}

/** open, socket and the like: the world lets it happen, the number is the kernel's. */
export function sys_world_fd(p: task_struct, f: frame): i32 {
  const error = worlds_error(f);
  if (error) return error;
  if (!(f.assist & F.ASSIST_RET)) return -E.ENOSYS;
  const refused = may_open_device(p, f);
  if (refused) return refused;
  const fd = FD.get_unused_fd(p, 0);
  if (fd < 0) return fd;
  const status: u32 = f.assist & F.ASSIST_NONBLOCK ? O.O_NONBLOCK : 0;
  const at = alloc_world_file(f, O.O_RDWR | status, false);
  if (nil(at)) return -E.ENOMEM;
  FD.fd_install(p, fd, at, (f.assist & F.ASSIST_CLOEXEC) != 0);
  return fd;
}

/** umask(2): the old mask. */
export function sys_umask(p: task_struct, mask: u32): i32 {
  const old = cold(p).fs.umask;
  if (!fs_for_write(p)) return -E.ENOMEM;
  cold(p).fs.umask = mask & 0o777;
  return <i32>old;
}
