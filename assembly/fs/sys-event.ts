// The calls of timerfd and inotify, and kcmp.
import { cred_ns_capable } from "../cred/cred.ts";
import { nil, same } from "../lib/err.ts";
import * as FD from "./file.ts";
import { file } from "./file.ts";
import { frame } from "../lib/frame.ts";
import * as I from "./inotify.ts";
import { find_inode, inode, put_inode } from "./locks.ts";
import { find_task_by_pid_ns, task_active_pid_ns } from "../process/pid.ts";
import { root, SCRATCH_USER } from "../lib/root.ts";
import { call_file } from "./sys-rw.ts";
import { cold, task_struct } from "../process/task.ts";
import * as T from "./timerfd.ts";
import { timerfd_ctx } from "./timerfd.ts";
import { copy_from_user, copy_to_user, prepare_write } from "../lib/uaccess.ts";
import { CAP_WAKE_ALARM } from "../uapi/capability.ts";
import * as N from "../uapi/epoll.ts";
import * as E from "../uapi/errno.ts";
import * as O from "../uapi/fcntl.ts";
import * as F from "../uapi/frame.ts";
import { init_user_ns } from "../namespace/user-namespace.ts";

/** A file of `kind` at the lowest descriptor; its object goes along or is the caller's again. */
function anon_file(p: task_struct, kind: u32, flags: u32, data: usize, cloexec: bool): i32 {
  const fd = FD.get_unused_fd(p, 0);
  if (fd < 0) return fd;
  const at = FD.alloc_file(kind, flags, data);
  if (nil(at)) return -E.ENOMEM;
  FD.fd_install(p, fd, at, cloexec);
  return fd;
}

/** timerfd_create(2): clock, flags. */
export function sys_timerfd_create(p: task_struct, clockid: i32, flags: u32): i32 {
  if (flags & ~(<u32>(N.TFD_CLOEXEC | N.TFD_NONBLOCK))) return -E.EINVAL;
  const alarm = clockid == N.CLOCK_REALTIME_ALARM || clockid == N.CLOCK_BOOTTIME_ALARM;
  const plain =
    clockid == N.CLOCK_REALTIME || clockid == N.CLOCK_MONOTONIC || clockid == N.CLOCK_BOOTTIME;
  if (!plain && !alarm) return -E.EINVAL;
  if (alarm && !cred_ns_capable(p.cred, init_user_ns(), CAP_WAKE_ALARM)) return -E.EPERM;
  const t = T.alloc_timerfd(clockid);
  if (nil(t)) return -E.ENOMEM;
  const status = O.O_RDWR | (flags & N.TFD_NONBLOCK);
  const cloexec = (flags & N.TFD_CLOEXEC) != 0;
  const fd = anon_file(p, FD.FILE_TIMERFD, status, changetype<usize>(t), cloexec);
  if (fd < 0) T.timerfd_release(t);
  else t.file = FD.fget(p, fd);
  return fd;
}

/** Nanoseconds of a timespec; what is longer than the clock counts is its end. */
function timespec_ns(at: usize): u64 {
  const sec = load<u64>(at);
  return sec > 9000000000 ? u64.MAX_VALUE >> 1 : sec * 1000000000 + load<u64>(at, 8);
}

function timespec_valid(at: usize): bool {
  return load<i64>(at) >= 0 && load<u64>(at, 8) < 1000000000;
}

function put_timespec(at: usize, ns: u64): void {
  store<u64>(at, ns / 1000000000);
  store<u64>(at, ns % 1000000000, 8);
}

/** What is left of a timer, and its interval, as an itimerspec at SCRATCH_USER + 64. */
function put_setting(t: timerfd_ctx): void {
  const at = SCRATCH_USER + 64;
  const now = root().clock;
  put_timespec(at, t.interval);
  // one that is due shows the least that is not nothing
  put_timespec(at + 16, !t.expires ? 0 : t.expires > now ? t.expires - now : 1);
}

function timerfd_of(at: file): i32 {
  if (nil(at)) return -E.EBADF;
  return at.kind == FD.FILE_TIMERFD ? 0 : -E.EINVAL;
}

/** timerfd_settime(2): fd, flags, new value, old value. */
export function sys_timerfd_settime(p: task_struct, f: frame): i32 {
  const at_new = SCRATCH_USER;
  const bad = copy_from_user(f, at_new, f.a2, 32);
  if (bad) return bad;
  const flags = <u32>f.a1;
  if (flags & ~(<u32>(N.TFD_TIMER_ABSTIME | N.TFD_TIMER_CANCEL_ON_SET))) return -E.EINVAL;
  if (!timespec_valid(at_new) || !timespec_valid(at_new + 16)) return -E.EINVAL;
  const at = call_file(p, f, <i32>f.a0);
  const error = timerfd_of(at);
  if (error) return error;
  const need = prepare_write(f, f.r10, 32);
  if (need) return need;
  const t = at.timerfd;
  put_setting(t);
  const value = timespec_ns(at_new + 16);
  const start = flags & N.TFD_TIMER_ABSTIME ? 0 : root().clock;
  T.timerfd_arm(t, value ? start + value : 0, timespec_ns(at_new));
  t.settime_flags = flags;
  // a time that has passed already
  T.timerfds_run(root().clock);
  if (f.r10 && copy_to_user(f, f.r10, SCRATCH_USER + 64, 32)) return -E.EFAULT;
  return 0;
}

/** timerfd_gettime(2): fd, value. */
export function sys_timerfd_gettime(p: task_struct, f: frame): i32 {
  const at = call_file(p, f, <i32>f.a0);
  const error = timerfd_of(at);
  if (error) return error;
  put_setting(at.timerfd);
  const need = prepare_write(f, f.a1, 32);
  if (need) return need;
  return copy_to_user(f, f.a1, SCRATCH_USER + 64, 32);
}

/** inotify_init1(2): flags. */
export function sys_inotify_init1(p: task_struct, flags: u32): i32 {
  if (flags & ~(<u32>(N.IN_CLOEXEC | N.IN_NONBLOCK))) return -E.EINVAL;
  const d = I.alloc_inotify();
  if (nil(d)) return -E.ENOMEM;
  const status = O.O_RDONLY | (flags & N.IN_NONBLOCK);
  const cloexec = (flags & N.IN_CLOEXEC) != 0;
  const fd = anon_file(p, FD.FILE_INOTIFY, status, changetype<usize>(d), cloexec);
  if (fd < 0) I.inotify_release(d);
  else d.file = FD.fget(p, fd);
  return fd;
}

function inotify_of(at: file): i32 {
  if (nil(at)) return -E.EBADF;
  return at.kind == FD.FILE_INOTIFY ? 0 : -E.EINVAL;
}

/** inotify_add_watch(2): fd, path, mask. What the path leads to is the world's to say. */
export function sys_inotify_add_watch(p: task_struct, f: frame): i32 {
  const mask = <u32>f.a2;
  if (!(mask & (<u32>N.ALL_INOTIFY_BITS))) return -E.EINVAL;
  const both: u32 = N.IN_MASK_ADD | N.IN_MASK_CREATE;
  if ((mask & both) == both) return -E.EINVAL;
  const at = call_file(p, f, <i32>f.a0);
  const error = inotify_of(at);
  if (error) return error;
  const known = (f.assist & F.ASSIST_FILE) != 0;
  if (f.assist & F.ASSIST_ERRNO && (f.assist_val != E.EEXIST || !known)) return -f.assist_val;
  const d = at.inotify;
  const what = known ? find_inode(<u32>f.assist_pid) : changetype<inode>(0);
  if (known && nil(what)) return -E.ENOMEM;
  let old = known ? I.watch_of(d, what) : changetype<I.watch>(0);
  // that two names are one file's the world knows
  if (nil(old) && f.assist & F.ASSIST_RET) old = I.find_watch(d, f.assist_val);
  if (!nil(old)) {
    if (known) put_inode(what);
    if (mask & N.IN_MASK_CREATE) return -E.EEXIST;
    old.mask = mask & N.IN_MASK_ADD ? old.mask | mask : mask;
    return old.wd;
  }
  const wd = I.add_watch(d, what, mask);
  if (wd) return wd;
  if (known) put_inode(what);
  return -E.ENOMEM;
}

/** inotify_rm_watch(2): fd, number. */
export function sys_inotify_rm_watch(p: task_struct, f: frame): i32 {
  const at = call_file(p, f, <i32>f.a0);
  const error = inotify_of(at);
  if (error) return error;
  return I.remove_watch(at.inotify, <i32>f.a1) ? 0 : -E.EINVAL;
}

/** Two addresses compared: 0 the same, else 1 or 2; which of these is the machine's secret. */
function compare(f: frame, a: usize, b: usize): i32 {
  if (a == b) return 0;
  if (f.assist & F.ASSIST_RET && (f.assist_val == 1 || f.assist_val == 2)) return f.assist_val;
  return a < b ? 1 : 2;
}

/** kcmp(2): two processes, what of them, two descriptors. */
export function sys_kcmp(p: task_struct, f: frame): i32 {
  const ns = task_active_pid_ns(p);
  const a = find_task_by_pid_ns(<i32>f.a0, ns);
  const b = find_task_by_pid_ns(<i32>f.a1, ns);
  if (nil(a) || nil(b)) return -E.ESRCH;
  const ka = cold(a);
  const kb = cold(b);
  switch (<i32>f.a2) {
    case O.KCMP_FILE: {
      if (nil(ka.files) || nil(kb.files)) return -E.EBADF;
      const one = FD.fget(a, <i32>f.r10);
      const other = FD.fget(b, <i32>f.r8);
      if (nil(one) || nil(other)) return -E.EBADF;
      return compare(f, changetype<usize>(one), changetype<usize>(other));
    }
    case O.KCMP_FILES: {
      // a table that is shared until one writes is two in all but name
      const apart = same(ka.files, kb.files) && !same(a, b) && !ka.files.shared;
      return compare(f, changetype<usize>(ka.files), apart ? 0 : changetype<usize>(kb.files));
    }
    case O.KCMP_FS: {
      const apart = same(ka.fs, kb.fs) && !same(a, b) && !ka.fs.shared;
      return compare(f, changetype<usize>(ka.fs), apart ? 0 : changetype<usize>(kb.fs));
    }
    case O.KCMP_SIGHAND: {
      const apart = same(ka.sighand, kb.sighand) && !same(a, b) && !ka.sighand.shared;
      return compare(f, changetype<usize>(ka.sighand), apart ? 0 : changetype<usize>(kb.sighand));
    }
    case O.KCMP_VM:
      if (same(a.signal, b.signal)) return 0;
      return FD.world_result(f, 1);
    case O.KCMP_IO:
    case O.KCMP_SYSVSEM:
      return FD.world_result(f, 0);
    case O.KCMP_EPOLL_TFD:
      return FD.world_result(f, -E.ENOENT);
    default:
      return -E.EINVAL;
  }
}
