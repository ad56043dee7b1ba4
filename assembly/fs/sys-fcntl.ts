// fcntl(2): descriptors, status flags, owners, record locks, the size of pipes.
import { cred_ns_capable } from "../cred/cred.ts";
import { nil, same } from "../lib/err.ts";
import * as FD from "./file.ts";
import { file } from "./file.ts";
import { f_owner_release, fasync_insert, fasync_remove, file_f_owner_allocate } from "./fasync.ts";
import { frame } from "../lib/frame.ts";
import { list_head } from "../lib/list.ts";
import {
  find_pid_ns,
  get_pid,
  pid,
  pid_nr_ns,
  put_pid,
  task_active_pid_ns,
} from "../process/pid.ts";
import { pipe_resize } from "./pipe.ts";
import { SCRATCH_USER } from "../lib/root.ts";
import { fcntl_getlk, fcntl_setlk } from "./sys-lock.ts";
import { task_struct } from "../process/task.ts";
import { copy_from_user, copy_to_user, prepare_write } from "../lib/uaccess.ts";
import { CAP_SYS_RESOURCE } from "../uapi/capability.ts";
import * as E from "../uapi/errno.ts";
import * as O from "../uapi/fcntl.ts";
import * as F from "../uapi/frame.ts";
import { PAGE_SIZE, PIPE_MAX_SIZE } from "../uapi/limits.ts";
import { SOCK_ASYNC_NOSPACE } from "../net/sock.ts";
import { awaited_file } from "../process/waitqueue.ts";
import { init_user_ns } from "../namespace/user-namespace.ts";

/** Flags that F_SETFL changes; O_ASYNC besides: set_fasync(). */
const SETFL_MASK: u32 = O.O_APPEND | O.O_NONBLOCK | O.O_DIRECT | O.O_NOATIME;

/** What a descriptor of a mere path (O_PATH) allows. */
function allowed_on_path(cmd: i32): bool {
  switch (cmd) {
    case O.F_DUPFD:
    case O.F_DUPFD_CLOEXEC:
    case O.F_DUPFD_QUERY:
    case O.F_CREATED_QUERY:
    case O.F_GETFD:
    case O.F_SETFD:
    case O.F_GETFL:
      return true;
    default:
      return false;
  }
}

function dupfd(p: task_struct, at: file, arg: u64, cloexec: bool): i32 {
  if (<u32>arg >= <u32>FD.nofile(p)) return -E.EINVAL;
  const to = FD.get_unused_fd(p, <i32>arg);
  if (to < 0) return to;
  FD.fd_install(p, to, FD.get_file(at), cloexec);
  return to;
}

/** Can this file send SIGIO? Anonymous files but sockets and pipes can't. */
function has_fasync(at: file): bool {
  const kind = at.kind;
  const own = kind == FD.FILE_PIPE || kind == FD.FILE_SOCKET || kind == FD.FILE_INOTIFY;
  return own || kind == FD.FILE_WORLD;
}

/**
 * Puts a file on the queues of what may happen to it; of the world's files and of inotify the world
 * knows when that is. 0 or -ENOMEM.
 */
function fasync_on(at: file, fd: i32): i32 {
  if (at.kind != FD.FILE_SOCKET && at.kind != FD.FILE_PIPE) return 0;
  const had = !nil(at.f_owner);
  const fown = file_f_owner_allocate(at);
  if (nil(fown)) return -E.ENOMEM;
  const access = at.flags & O.O_ACCMODE;
  let error = 0;
  if (at.kind == FD.FILE_SOCKET) {
    at.sock.options &= ~SOCK_ASYNC_NOSPACE;
    error = fasync_insert(fown, fd, at.sock.wait);
  } else {
    if (access != O.O_WRONLY) error = fasync_insert(fown, fd, at.pipe.rd_wait);
    if (!error && access != O.O_RDONLY) error = fasync_insert(fown, fd, at.pipe.wr_wait);
  }
  if (error && had) fasync_remove(fown);
  else if (error) f_owner_release(at);
  return error;
}

/** Sets or clears O_ASYNC, by descriptor `fd`. 0, -ENOMEM; -ENOTTY: the file can't tell. */
export function set_fasync(at: file, fd: i32, on: bool): i32 {
  if (((at.flags & O.O_ASYNC) != 0) == on) return 0;
  if (!has_fasync(at)) return -E.ENOTTY;
  if (on) {
    const error = fasync_on(at, fd);
    if (error) return error;
    at.flags |= O.O_ASYNC;
  } else {
    if (!nil(at.f_owner)) fasync_remove(at.f_owner);
    at.flags &= ~O.O_ASYNC;
  }
  return 0;
}

function setfl(at: file, fd: i32, arg: u32): i32 {
  const direct = (arg & O.O_DIRECT) != 0;
  const world = at.kind == FD.FILE_WORLD;
  if (direct && !world && at.kind != FD.FILE_PIPE) return -E.EINVAL;
  const error = set_fasync(at, fd, (arg & O.O_ASYNC) != 0);
  if (error == -E.ENOMEM) return error;
  at.flags = (at.flags & ~SETFL_MASK) | (arg & SETFL_MASK);
  return 0;
}

/** Who is told of events, by a number of the caller's namespace; 0: nobody any more. */
function set_owner(p: task_struct, f: frame, at: file, type: u32, nr: i32): i32 {
  const who = nr ? find_pid_ns(nr, task_active_pid_ns(p)) : changetype<pid>(0);
  // a process that only the world knows
  if (nr && nil(who)) return f.assist & F.ASSIST_RET ? 0 : -E.ESRCH;
  const fown = file_f_owner_allocate(at);
  if (nil(fown)) return -E.ENOMEM;
  const old = fown.pid;
  fown.pid = nil(who) ? who : get_pid(who);
  if (!nil(old)) put_pid(old);
  fown.type = type;
  if (!nil(who)) {
    fown.uid = p.cred.uid;
    fown.euid = p.cred.euid;
  }
  return 0;
}

/** The owner's number in the caller's namespace; 0: none, or it is gone. */
function get_owner(p: task_struct, at: file): i32 {
  if (nil(at.f_owner) || nil(at.f_owner.pid)) return 0;
  const who = at.f_owner.pid;
  const group = at.f_owner.type == O.F_OWNER_PGRP;
  const gone = group ? list_head.empty(who.members) : nil(who.task);
  return gone ? 0 : pid_nr_ns(who, task_active_pid_ns(p));
}

function owner_type(at: file): u32 {
  return nil(at.f_owner) ? 0 : at.f_owner.type;
}

/** F_SETSIG: 0: SIGIO, which says nothing of the file. */
function setsig(at: file, sig: u64): i32 {
  if (sig > 64) return -E.EINVAL;
  const fown = file_f_owner_allocate(at);
  if (nil(fown)) return -E.ENOMEM;
  fown.signum = <i32>sig;
  return 0;
}

function setown(p: task_struct, f: frame, at: file, arg: i32): i32 {
  if (arg == i32.MIN_VALUE) return -E.EINVAL;
  if (arg < 0) return set_owner(p, f, at, O.F_OWNER_PGRP, -arg);
  return set_owner(p, f, at, O.F_OWNER_PID, arg);
}

function setown_ex(p: task_struct, f: frame, at: file, addr: u64): i32 {
  const bad = copy_from_user(f, SCRATCH_USER, addr, 8);
  if (bad) return bad;
  const type = load<u32>(SCRATCH_USER);
  if (type > <u32>O.F_OWNER_PGRP) return -E.EINVAL;
  return set_owner(p, f, at, type, load<i32>(SCRATCH_USER, 4));
}

function getown_ex(p: task_struct, f: frame, at: file, addr: u64): i32 {
  const need = prepare_write(f, addr, 8);
  if (need) return need;
  store<u32>(SCRATCH_USER, owner_type(at));
  store<i32>(SCRATCH_USER, get_owner(p, at), 4);
  return copy_to_user(f, addr, SCRATCH_USER, 8);
}

/** F_SETPIPE_SZ: up to the next power of two, never below what lies in the pipe. */
function set_pipe_size(p: task_struct, at: file, arg: u64): i32 {
  const size = <u32>arg;
  if (size > 0x80000000) return -E.EINVAL;
  let bytes: u32 = PAGE_SIZE;
  while (bytes < size) bytes <<= 1;
  const slots = bytes / <u32>PAGE_SIZE;
  if (!slots) return -E.EINVAL;
  const pipe = at.pipe;
  const large = slots > pipe.ring_size && bytes > <u32>PIPE_MAX_SIZE;
  if (large && !cred_ns_capable(p.cred, init_user_ns(), CAP_SYS_RESOURCE)) return -E.EPERM;
  if (slots < pipe.head - pipe.tail) return -E.EBUSY;
  if (!pipe_resize(pipe, slots)) return -E.ENOMEM;
  return <i32>bytes;
}

function pipe_size(p: task_struct, f: frame, at: file, cmd: i32, arg: u64): i32 {
  if (at.kind == FD.FILE_WORLD) return FD.world_result(f, -E.EBADF);
  if (at.kind != FD.FILE_PIPE) return -E.EBADF;
  if (cmd == O.F_GETPIPE_SZ) return <i32>(at.pipe.ring_size * PAGE_SIZE);
  return set_pipe_size(p, at, arg);
}

/** fcntl(2): fd, command, argument. */
export function sys_fcntl(p: task_struct, f: frame, fd: i32, cmd: i32, compat: bool): i32 {
  let at = FD.fget(p, fd);
  const arg = f.a2;
  // F_SETLKW goes on with the file that it slept for, even when it has been closed
  if (f.phase && !nil(awaited_file(p))) at = awaited_file(p);
  if (nil(at)) return -E.EBADF;
  if (at.flags & O.O_PATH && !allowed_on_path(cmd)) return -E.EBADF;
  switch (cmd) {
    case O.F_DUPFD:
    case O.F_DUPFD_CLOEXEC:
      return dupfd(p, at, arg, cmd == O.F_DUPFD_CLOEXEC);
    case O.F_DUPFD_QUERY: {
      const other = FD.fget(p, <i32>arg);
      if (nil(other)) return -E.EBADF;
      return same(other, at) ? 1 : 0;
    }
    case O.F_GETFD:
      return FD.fd_cloexec(p, fd) ? O.FD_CLOEXEC : 0;
    case O.F_SETFD:
      return FD.set_cloexec(p, fd, (arg & O.FD_CLOEXEC) != 0);
    case O.F_GETFL:
      // what a file from before the log was opened with the world knows
      if (f.assist & F.ASSIST_RET && FD.flags_unknown(at)) FD.learn_flags(at, <u32>f.assist_val);
      // whether a file of the world's can send signals at all
      if (f.assist & F.ASSIST_RET && at.kind == FD.FILE_WORLD) {
        at.flags = (at.flags & ~O.O_ASYNC) | ((<u32>f.assist_val) & O.O_ASYNC);
      }
      return <i32>at.flags;
    case O.F_SETFL:
      return setfl(at, fd, <u32>arg);
    case O.F_SETOWN:
      return setown(p, f, at, <i32>arg);
    case O.F_GETOWN: {
      const nr = get_owner(p, at);
      return owner_type(at) == O.F_OWNER_PGRP ? -nr : nr;
    }
    case O.F_SETOWN_EX:
      return setown_ex(p, f, at, arg);
    case O.F_GETOWN_EX:
      return getown_ex(p, f, at, arg);
    case O.F_SETSIG:
      return setsig(at, arg);
    case O.F_GETSIG:
      return nil(at.f_owner) ? 0 : at.f_owner.signum;
    case O.F_GETLK:
    case O.F_OFD_GETLK:
      return fcntl_getlk(p, f, at, cmd, compat);
    case O.F_SETLK:
    case O.F_SETLKW:
    case O.F_OFD_SETLK:
    case O.F_OFD_SETLKW:
      return fcntl_setlk(p, f, fd, at, cmd, compat);
    case O.F_SETPIPE_SZ:
    case O.F_GETPIPE_SZ:
      return pipe_size(p, f, at, cmd, arg);
    default:
      return FD.world_result(f, -E.EINVAL);
  }
}
