// Record locks (fcntl) and flock(2). Which inode a file is the world says; of a file that it says
// nothing about, locks are the world's.
import { nil, RET_BLOCKED, same } from "../lib/err.ts";
import * as FD from "./file.ts";
import { file } from "./file.ts";
import { frame } from "../lib/frame.ts";
import * as L from "./locks.ts";
import { vfs_inode } from "../vfs/inode.ts";
import { place_of } from "../vfs/lookup.ts";
import { file_lock } from "./locks.ts";
import { get_pid, pid_nr_ns, task_active_pid_ns } from "../process/pid.ts";
import { SCRATCH_USER } from "../lib/root.ts";
import { call_file, end_wait } from "./sys-rw.ts";
import { cold, task_struct } from "../process/task.ts";
import { copy_from_user, copy_to_user, prepare_write } from "../lib/uaccess.ts";
import * as E from "../uapi/errno.ts";
import * as O from "../uapi/fcntl.ts";
import { awaited_file, set_blocker, signal_pending } from "../process/waitqueue.ts";
import { wait_on_file } from "../process/waitqueue.ts";

/** struct flock as asked for, in one form for both machines. */
@unmanaged
export class flock_request {
  type: i32;
  whence: i32;
  start: u64;
  end: u64; // inclusive
  pid: i32;
}
const REQUEST: usize = SCRATCH_USER + 128;

function request(): flock_request {
  return changetype<flock_request>(REQUEST);
}

/** Bytes of struct flock; compat calls have the form with 64-bit offsets (fcntl64). */
function flock_bytes(compat: bool): u32 {
  return compat ? 24 : 32;
}

function is_ofd(cmd: i32): bool {
  return cmd == O.F_OFD_GETLK || cmd == O.F_OFD_SETLK || cmd == O.F_OFD_SETLKW;
}

/** The inode of an open file of the kernel's file systems; null: it is another's. */
function vfs_inode_of(at: file): vfs_inode {
  const place = place_of(at);
  return nil(place) ? changetype<vfs_inode>(0) : place.dentry.inode;
}

/** Locks on a file of the kernel's file systems are its inode's. -ENOMEM, 0. */
function bind_inode(at: file): i32 {
  const i = vfs_inode_of(at);
  if (!nil(at.inode) || nil(i)) return 0;
  // its address, far above the numbers that a host gives; the file holds the inode
  at.inode = L.find_inode(<u32>changetype<usize>(i));
  return nil(at.inode) ? -E.ENOMEM : 0;
}

/** Where a lock counts from. -1: only the world knows. */
function lock_base(at: file, whence: i32): i64 {
  if (whence == O.SEEK_SET) return 0;
  const i = vfs_inode_of(at);
  if (nil(i)) return -1;
  return whence == O.SEEK_CUR ? <i64>at.pos : <i64>i.length;
}

/** Reads struct flock at `addr`. Return: 0, 1: only the world knows where it begins, errno. */
function get_flock(f: frame, at: file, addr: u64, compat: bool): i32 {
  const bad = copy_from_user(f, SCRATCH_USER, addr, flock_bytes(compat));
  if (bad) return bad;
  const r = request();
  const from = SCRATCH_USER + (compat ? 4 : 8);
  r.type = load<i16>(SCRATCH_USER);
  r.whence = load<i16>(SCRATCH_USER, 2);
  let start = load<i64>(from);
  const len = load<i64>(from, 8);
  r.pid = load<i32>(from, 16);
  if (<u32>r.whence > <u32>O.SEEK_END) return -E.EINVAL;
  const base = lock_base(at, r.whence);
  if (base < 0) return 1;
  if (start > i64.MAX_VALUE - base) return -E.EOVERFLOW;
  start += base;
  if (start < 0) return -E.EINVAL;
  r.start = <u64>start;
  r.end = L.OFFSET_MAX;
  if (len > 0) {
    if (len - 1 > i64.MAX_VALUE - start) return -E.EOVERFLOW;
    r.end = <u64>(start + len - 1);
  } else if (len < 0) {
    if (start + len < 0) return -E.EINVAL;
    r.end = <u64>(start - 1);
    r.start = <u64>(start + len);
  }
  if (<u32>r.type > <u32>O.F_UNLCK) return -E.EINVAL;
  return 0;
}

/** A lock as the request says. Null when memory is exhausted. */
function new_lock(p: task_struct, at: file, ofd: bool): file_lock {
  const l = L.alloc_lock();
  if (nil(l)) return l;
  const r = request();
  l.kind = ofd ? L.FL_OFD : L.FL_POSIX;
  l.owner = ofd ? <u32>changetype<usize>(at) : <u32>changetype<usize>(cold(p).files);
  l.type = r.type;
  l.start = r.start;
  l.end = r.end;
  if (!ofd) l.pid = get_pid(p.signal.tgid_pid);
  return l;
}

/** F_GETLK: the first lock in the way, or F_UNLCK. */
export function fcntl_getlk(p: task_struct, f: frame, at: file, cmd: i32, compat: bool): i32 {
  const ofd = is_ofd(cmd);
  const error = get_flock(f, at, f.a2, compat);
  if (error < 0) return error;
  const bad = bind_inode(at);
  if (bad) return bad;
  if (nil(at.inode) || error) return FD.world_result(f, 0);
  const r = request();
  if (r.type == O.F_UNLCK && !ofd) return -E.EINVAL;
  if (ofd && r.pid) return -E.EINVAL;
  const bytes = flock_bytes(compat);
  const need = prepare_write(f, f.a2, bytes);
  if (need) return need;
  const want = new_lock(p, at, ofd);
  if (nil(want)) return -E.ENOMEM;
  const other = L.posix_conflict(at.inode, want);
  L.free_lock(want);
  const to = SCRATCH_USER + (compat ? 4 : 8);
  if (nil(other)) {
    store<i16>(SCRATCH_USER, O.F_UNLCK);
  } else {
    store<i16>(SCRATCH_USER, <i16>other.type);
    store<i16>(SCRATCH_USER, O.SEEK_SET, 2);
    store<u64>(to, other.start);
    store<u64>(to, other.end == L.OFFSET_MAX ? 0 : other.end - other.start + 1, 8);
    store<i32>(to, nil(other.pid) ? -1 : pid_nr_ns(other.pid, task_active_pid_ns(p)), 16);
  }
  return copy_to_user(f, f.a2, SCRATCH_USER, bytes);
}

/** F_SETLK and F_SETLKW. */
export function fcntl_setlk(
  p: task_struct,
  f: frame,
  fd: i32,
  present: file,
  cmd: i32,
  compat: bool,
): i32 {
  const awaited = f.phase ? awaited_file(p) : present;
  const at = nil(awaited) ? present : awaited;
  const error = get_flock(f, at, f.a2, compat);
  if (error < 0) return end_wait(p, error);
  const bad = bind_inode(at);
  if (bad) return end_wait(p, bad);
  if (nil(at.inode) || error) return end_wait(p, FD.world_result(f, 0));
  const ofd = is_ofd(cmd);
  const mode = at.flags & O.O_ACCMODE;
  const r = request();
  if (!L.lock_mode_ok(r.type, mode != O.O_WRONLY, mode != O.O_RDONLY)) return -E.EBADF;
  if (ofd && r.pid) return -E.EINVAL;
  // the table is the owner: from now on it is this process's own
  if (!ofd && !FD.own_table(p)) return end_wait(p, -E.ENOMEM);
  const result = take_lock(p, f, at, ofd, cmd == O.F_SETLKW || cmd == O.F_OFD_SETLKW);
  if (result || ofd || r.type == O.F_UNLCK) return end_wait(p, result);
  // closed while the call slept: a lock that no close would ever take away
  if (!same(FD.fget(p, fd), at)) {
    L.locks_remove_posix(at.inode, <u32>changetype<usize>(cold(p).files));
    return end_wait(p, -E.EBADF);
  }
  return end_wait(p, 0);
}

/** Takes or, with `waits`, sleeps for a record lock. */
function take_lock(p: task_struct, f: frame, at: file, ofd: bool, waits: bool): i32 {
  const want = new_lock(p, at, ofd);
  if (nil(want)) return -E.ENOMEM;
  const other =
    want.type == O.F_UNLCK ? changetype<file_lock>(0) : L.posix_conflict(at.inode, want);
  if (nil(other)) {
    const spare = L.alloc_lock();
    if (nil(spare)) {
      L.free_lock(want);
      return -E.ENOMEM;
    }
    L.posix_apply(at.inode, want, spare);
    return 0;
  }
  const owner = want.owner;
  L.free_lock(want);
  if (!waits) return -E.EAGAIN;
  if (!ofd && L.posix_deadlock(owner, other.owner)) return -E.EDEADLK;
  if (signal_pending(p)) return -E.ERESTARTSYS;
  const r = wait_on_file(p, f, at.inode.wait, at);
  if (r == RET_BLOCKED && !ofd) set_blocker(p, owner, other.owner);
  return r;
}

/** flock(2): fd, operation. */
export function sys_flock(p: task_struct, f: frame, fd: i32, cmd: i32): i32 {
  if (cmd & O.LOCK_MAND) return -E.EOPNOTSUPP;
  const how = cmd & ~O.LOCK_NB;
  if (how != O.LOCK_SH && how != O.LOCK_EX && how != O.LOCK_UN) return -E.EINVAL;
  const at = call_file(p, f, fd);
  if (nil(at)) return -E.EBADF;
  const bad = bind_inode(at);
  if (bad) return end_wait(p, bad);
  if (nil(at.inode)) return end_wait(p, FD.world_result(f, 0));
  const want = L.alloc_lock();
  if (nil(want)) return end_wait(p, -E.ENOMEM);
  want.owner = <u32>changetype<usize>(at);
  want.kind = L.FL_FLOCK;
  want.type = how == O.LOCK_SH ? O.F_RDLCK : how == O.LOCK_EX ? O.F_WRLCK : O.F_UNLCK;
  if (want.type == O.F_UNLCK || nil(L.flock_conflict(at.inode, want))) {
    if (L.flock_held(at.inode, want.owner) == want.type) L.free_lock(want);
    else L.flock_apply(at.inode, want);
    return end_wait(p, 0);
  }
  // a lock that is converted is lost first, even where the new one does not come
  if (L.flock_held(at.inode, want.owner) != <u32>O.F_UNLCK) {
    want.type = O.F_UNLCK;
    L.flock_apply(at.inode, want);
  } else {
    L.free_lock(want);
  }
  if (cmd & O.LOCK_NB) return end_wait(p, -E.EAGAIN);
  if (signal_pending(p)) return end_wait(p, -E.ERESTARTSYS);
  return end_wait(p, wait_on_file(p, f, at.inode.wait, at));
}
