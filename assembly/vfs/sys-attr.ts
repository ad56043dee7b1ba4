// The calls that ask and change what an inode says of itself: access, chmod, chown, utimensat,
// truncate, fallocate.
import { cred, in_group_p } from "../cred/cred.ts";
import { nil } from "../lib/err.ts";
import * as FD from "../fs/file.ts";
import { file } from "../fs/file.ts";
import { frame } from "../lib/frame.ts";
import * as I from "./inode.ts";
import { is_dir, is_link, is_reg, vfs_inode } from "./inode.ts";
import * as L from "./lookup.ts";
import { mount } from "./mount.ts";
import * as N from "./namei.ts";
import * as P from "./permission.ts";
import { root, VFS_BUFFER } from "../lib/root.ts";
import { vfs_truncate } from "./rw.ts";
import { sys_world_call } from "../fs/sys-file.ts";
import { task_struct } from "../process/task.ts";
import { copy_from_user } from "../lib/uaccess.ts";
import { CAP_CHOWN, CAP_FSETID, SECBIT_NO_SETUID_FIXUP } from "../uapi/capability.ts";
import * as E from "../uapi/errno.ts";
import * as O from "../uapi/fcntl.ts";
import { PAGE_SIZE } from "../uapi/limits.ts";
import { MNT_NOEXEC } from "../uapi/mount.ts";
import * as S from "../uapi/stat.ts";
import { from_kgid, from_kuid, make_kgid, make_kuid } from "../namespace/user-namespace.ts";
import { INVALID_ID } from "../namespace/uid-map.ts";

const NSEC: u64 = 1000000000;

function world(f: frame): i32 {
  return sys_world_call(f, -E.ENOSYS);
}

/** LOOKUP_* of the flags that most calls take. */
function lookup_flags(flags: u32): u32 {
  const follow: u32 = flags & S.AT_SYMLINK_NOFOLLOW ? 0 : N.LOOKUP_FOLLOW;
  return flags & O.AT_EMPTY_PATH ? follow | N.LOOKUP_EMPTY : follow;
}

/** The ids and capabilities that access(2) asks with, at the end of the scratch buffer. */
function real_cred(p: task_struct): cred {
  const at = VFS_BUFFER + 0xf00;
  memory.copy(at, changetype<usize>(p.cred), offsetof<cred>());
  const c = changetype<cred>(at);
  c.fsuid = c.uid;
  c.fsgid = c.gid;
  if (!(c.securebits & SECBIT_NO_SETUID_FIXUP)) {
    const superuser = make_kuid(c.user_ns, 0) == c.uid;
    c.cap_effective = superuser ? c.cap_permitted : 0;
  }
  return c;
}

/** access(2), faccessat(2), faccessat2(2): directory, path, mode, flags. */
export function sys_faccessat(
  p: task_struct,
  f: frame,
  dirfd: i32,
  path: u64,
  mode: u32,
  flags: u32,
): i32 {
  if (!L.vfs_owns(p, f, dirfd, path)) return world(f);
  if (mode & ~7) return -E.EINVAL;
  const known: u32 = S.AT_EACCESS | S.AT_SYMLINK_NOFOLLOW | O.AT_EMPTY_PATH;
  if (flags & ~known) return -E.EINVAL;
  let bad = L.begin_path(p, f, dirfd, path, lookup_flags(flags), false);
  if (bad) return bad;
  const nd = L.nd_first();
  if (!(flags & S.AT_EACCESS)) nd.cred = real_cred(p);
  bad = N.path_lookupat(nd);
  if (bad) return bad;
  const i = nd.dentry.inode;
  if (mode & S.X_OK && is_reg(i) && nd.mnt.flags & MNT_NOEXEC) return -E.EACCES;
  bad = P.inode_permission(nd.cred, i, mode);
  if (bad || !(mode & S.W_OK)) return bad;
  // devices, fifos and sockets may be written to wherever they are
  return is_reg(i) || is_dir(i) ? P.mnt_want_write(nd.mnt) : 0;
}

/** chmod of what a walk or a descriptor gave. */
function chmod_common(p: task_struct, m: mount, i: vfs_inode, mode: u32): i32 {
  const bad = P.mnt_want_write(m);
  if (bad) return bad;
  if (i.state & I.I_DYNAMIC) return -E.EPERM;
  if (is_link(i)) return -E.EOPNOTSUPP;
  if (!P.inode_owner_or_capable(p.cred, i)) return -E.EPERM;
  let bits = mode & S.S_IALLUGO;
  if (!in_group_p(p.cred, i.gid) && !P.capable_wrt_inode(p.cred, i, CAP_FSETID)) {
    bits &= ~(<u32>S.S_ISGID);
  }
  i.mode = (i.mode & O.S_IFMT) | bits;
  i.ctime = root().clock;
  return 0;
}

/** chmod(2), fchmodat(2), fchmodat2(2). */
export function sys_fchmodat(
  p: task_struct,
  f: frame,
  dirfd: i32,
  path: u64,
  mode: u32,
  flags: u32,
): i32 {
  if (!L.vfs_owns(p, f, dirfd, path)) return world(f);
  if (flags & ~(<u32>(S.AT_SYMLINK_NOFOLLOW | O.AT_EMPTY_PATH))) return -E.EINVAL;
  const bad = L.user_path_at(p, f, dirfd, path, lookup_flags(flags));
  if (bad) return bad;
  const nd = L.nd_first();
  return chmod_common(p, nd.mnt, nd.dentry.inode, mode);
}

/** The open file of a descriptor that is more than a place; null: EBADF. */
function real_file(p: task_struct, fd: i32): file {
  const at = FD.fget(p, fd);
  return !nil(at) && at.flags & O.O_PATH ? changetype<file>(0) : at;
}

/** fchmod(2). */
export function sys_fchmod(p: task_struct, f: frame, fd: i32, mode: u32): i32 {
  if (!L.fd_is_ours(p, fd)) return world(f);
  const at = real_file(p, fd);
  if (nil(at)) return -E.EBADF;
  const place = L.place_of(at);
  return nil(place) ? world(f) : chmod_common(p, place.mnt, place.dentry.inode, mode);
}

/** May the owner become `uid`, the group `gid` (kernel ids)? -1: it stays. */
function chown_ok(c: cred, i: vfs_inode, uid: i32, gid: i32): bool {
  const all = P.capable_wrt_inode(c, i, CAP_CHOWN);
  if (uid != -1 && !all && (c.fsuid != i.uid || uid != i.uid)) return false;
  if (gid == -1 || all) return true;
  return c.fsuid == i.uid && (gid == i.gid || in_group_p(c, gid));
}

function chown_common(p: task_struct, m: mount, i: vfs_inode, user: i32, group: i32): i32 {
  const c = p.cred;
  const uid = user == -1 ? -1 : make_kuid(c.user_ns, user);
  const gid = group == -1 ? -1 : make_kgid(c.user_ns, group);
  const bad = P.mnt_want_write(m);
  if (bad) return bad;
  if ((user != -1 && uid == -1) || (group != -1 && gid == -1)) return -E.EINVAL;
  if (uid != -1 && from_kuid(i.sb.user_ns, uid) == INVALID_ID) return -E.EOVERFLOW;
  if (gid != -1 && from_kgid(i.sb.user_ns, gid) == INVALID_ID) return -E.EOVERFLOW;
  if (!chown_ok(c, i, uid, gid)) return -E.EPERM;
  if (!is_dir(i)) {
    const exec = (i.mode & S.S_IXGRP) != 0;
    const keeps = in_group_p(c, i.gid) || P.capable_wrt_inode(c, i, CAP_FSETID);
    i.mode &= ~(<u32>S.S_ISUID);
    if (exec || !keeps) i.mode &= ~(<u32>S.S_ISGID);
  }
  if (uid != -1) i.uid = uid;
  if (gid != -1) i.gid = gid;
  i.ctime = root().clock;
  return 0;
}

/** chown(2), lchown(2), fchownat(2). */
export function sys_fchownat(
  p: task_struct,
  f: frame,
  dirfd: i32,
  path: u64,
  user: i32,
  group: i32,
  flags: u32,
): i32 {
  if (!L.vfs_owns(p, f, dirfd, path)) return world(f);
  if (flags & ~(<u32>(S.AT_SYMLINK_NOFOLLOW | O.AT_EMPTY_PATH))) return -E.EINVAL;
  const bad = L.user_path_at(p, f, dirfd, path, lookup_flags(flags));
  if (bad) return bad;
  const nd = L.nd_first();
  return chown_common(p, nd.mnt, nd.dentry.inode, user, group);
}

/** fchown(2). */
export function sys_fchown(p: task_struct, f: frame, fd: i32, user: i32, group: i32): i32 {
  if (!L.fd_is_ours(p, fd)) return world(f);
  const at = real_file(p, fd);
  if (nil(at)) return -E.EBADF;
  const place = L.place_of(at);
  return nil(place) ? world(f) : chown_common(p, place.mnt, place.dentry.inode, user, group);
}

// Kinds of time that a call gives: two timespecs, two timevals, one struct utimbuf.
export const TIMES_SPEC: u32 = 0;
export const TIMES_VAL: u32 = 1;
export const TIMES_BUF: u32 = 2;
const NOW: u64 = u64.MAX_VALUE;
const OMIT: u64 = u64.MAX_VALUE - 1;

/** One time of two, as nanoseconds, NOW or OMIT. */
function one_time(sec: u64, part: u64, kind: u32): u64 {
  if (kind == TIMES_BUF) return sec * NSEC;
  if (kind == TIMES_VAL) return sec * NSEC + part * 1000;
  if (part == <u64>S.UTIME_NOW) return NOW;
  return part == <u64>S.UTIME_OMIT ? OMIT : sec * NSEC + part;
}

function valid_part(part: u64, kind: u32): bool {
  if (kind == TIMES_BUF) return true;
  if (kind == TIMES_VAL) return part < 1000000;
  return part < NSEC || part == <u64>S.UTIME_NOW || part == <u64>S.UTIME_OMIT;
}

/** The two times at `addr`, into the scratch buffer. Return: 0, -EINVAL, -EFAULT, RET_NEED. */
function read_times(f: frame, addr: u64, kind: u32, compat: bool): i32 {
  const w: u32 = compat ? 4 : 8;
  const at = VFS_BUFFER + 0x40;
  const bad = copy_from_user(f, at, addr, kind == TIMES_BUF ? 2 * w : 4 * w);
  if (bad) return bad;
  for (let i: u32 = 0; i < 2; ++i) {
    const from = at + i * (kind == TIMES_BUF ? w : 2 * w);
    const sec = compat ? <u64>load<u32>(from) : load<u64>(from);
    let part: u64 = 0;
    if (kind != TIMES_BUF) part = compat ? <u64>load<u32>(from + w) : load<u64>(from + w);
    if (!valid_part(part, kind)) return -E.EINVAL;
    store<u64>(VFS_BUFFER + (i << 3), one_time(sec, part, kind));
  }
  return 0;
}

/** Sets the times of an inode to those of the scratch buffer. 0, -EROFS, -EACCES, -EPERM. */
function vfs_utimes(p: task_struct, m: mount, i: vfs_inode, both_now: bool): i32 {
  const bad = P.mnt_want_write(m);
  if (bad) return bad;
  if (both_now) {
    if (!P.inode_owner_or_capable(p.cred, i)) {
      const denied = P.inode_permission(p.cred, i, P.MAY_WRITE);
      if (denied) return denied;
    }
  } else if (!P.inode_owner_or_capable(p.cred, i)) {
    return -E.EPERM;
  }
  const now = root().clock;
  const atime = load<u64>(VFS_BUFFER);
  const mtime = load<u64>(VFS_BUFFER, 8);
  if (atime != OMIT) i.atime = atime == NOW ? now : atime;
  if (mtime != OMIT) i.mtime = mtime == NOW ? now : mtime;
  i.ctime = now;
  return 0;
}

/** utimensat(2) and the older forms: directory, path, times, their kind, flags. */
export function sys_utimensat(
  p: task_struct,
  f: frame,
  dirfd: i32,
  path: u64,
  times: u64,
  kind: u32,
  flags: u32,
  compat: bool,
): i32 {
  const by_fd = !path && dirfd != O.AT_FDCWD && kind != TIMES_BUF;
  if (!(by_fd ? L.fd_is_ours(p, dirfd) : L.vfs_owns(p, f, dirfd, path))) return world(f);
  store<u64>(VFS_BUFFER, NOW);
  store<u64>(VFS_BUFFER, NOW, 8);
  let bad = times ? read_times(f, times, kind, compat) : 0;
  if (bad) return bad;
  const a = load<u64>(VFS_BUFFER);
  const b = load<u64>(VFS_BUFFER, 8);
  if (a == OMIT && b == OMIT) return 0;
  const both_now = a == NOW && b == NOW;
  if (by_fd) {
    if (flags) return -E.EINVAL;
    const at = real_file(p, dirfd);
    if (nil(at)) return -E.EBADF;
    const place = L.place_of(at);
    return nil(place) ? world(f) : vfs_utimes(p, place.mnt, place.dentry.inode, both_now);
  }
  if (flags & ~(<u32>(S.AT_SYMLINK_NOFOLLOW | O.AT_EMPTY_PATH))) return -E.EINVAL;
  bad = L.user_path_at(p, f, dirfd, path, lookup_flags(flags));
  if (bad) return bad;
  const nd = L.nd_first();
  return vfs_utimes(p, nd.mnt, nd.dentry.inode, both_now);
}

/** truncate(2): path, length. */
export function sys_truncate(p: task_struct, f: frame, length: i64): i32 {
  if (!N.has_root(p)) return world(f);
  if (length < 0) return -E.EINVAL;
  let bad = L.user_path_at(p, f, O.AT_FDCWD, f.a0, N.LOOKUP_FOLLOW);
  if (bad) return bad;
  const nd = L.nd_first();
  const i = nd.dentry.inode;
  if (is_dir(i)) return -E.EISDIR;
  if (!is_reg(i)) return -E.EINVAL;
  bad = P.mnt_want_write(nd.mnt);
  if (!bad) bad = P.inode_permission(p.cred, i, P.MAY_WRITE);
  return bad ? bad : vfs_truncate(p, i, <u64>length);
}

function may_write(at: file): bool {
  return (at.flags & O.O_ACCMODE) != O.O_RDONLY;
}

/** ftruncate(2): descriptor, length. */
export function sys_ftruncate(p: task_struct, f: frame, length: i64): i32 {
  const fd = <i32>f.a0;
  if (!L.fd_is_ours(p, fd)) return world(f);
  if (length < 0) return -E.EINVAL;
  const at = real_file(p, fd);
  if (nil(at)) return -E.EBADF;
  const place = L.place_of(at);
  if (nil(place)) return at.kind == FD.FILE_WORLD ? world(f) : -E.EINVAL;
  const i = place.dentry.inode;
  return is_reg(i) && may_write(at) ? vfs_truncate(p, i, <u64>length) : -E.EINVAL;
}

/** fallocate(2): descriptor, mode, offset, length. */
export function sys_fallocate(p: task_struct, f: frame, mode: u32, offset: i64, len: i64): i32 {
  const fd = <i32>f.a0;
  if (!L.fd_is_ours(p, fd)) return world(f);
  const at = real_file(p, fd);
  if (nil(at)) return -E.EBADF;
  const place = L.place_of(at);
  if (nil(place) && at.kind == FD.FILE_WORLD) return world(f);
  if (offset < 0 || len <= 0) return -E.EINVAL;
  const both: u32 = S.FALLOC_FL_KEEP_SIZE | S.FALLOC_FL_PUNCH_HOLE;
  if (mode & ~both || (mode & both) == <u32>S.FALLOC_FL_PUNCH_HOLE) return -E.EOPNOTSUPP;
  if (!may_write(at)) return -E.EBADF;
  if (at.kind == FD.FILE_PIPE) return -E.ESPIPE;
  if (nil(place) || !is_reg(place.dentry.inode)) return -E.ENODEV;
  const i = place.dentry.inode;
  const end = offset + len;
  if (end < 0) return -E.EFBIG;
  if (mode & S.FALLOC_FL_PUNCH_HOLE) I.punch_hole(i, <u64>offset, <u64>end);
  else {
    const last = (<u64>end - 1) / PAGE_SIZE;
    for (let n = <u64>offset / PAGE_SIZE; n <= last; ++n) {
      const bad = I.grab_page(i, n);
      if (bad) return bad;
    }
    if (!(mode & S.FALLOC_FL_KEEP_SIZE) && <u64>end > i.length) i.length = <u64>end;
  }
  I.touch(i);
  return 0;
}

/** fsync(2) and the like: there is nothing to wait for. */
export function sys_fsync(p: task_struct, f: frame): i32 {
  const fd = <i32>f.a0;
  if (!L.fd_is_ours(p, fd)) return world(f);
  const at = real_file(p, fd);
  if (nil(at)) return -E.EBADF;
  const place = L.place_of(at);
  if (nil(place)) return at.kind == FD.FILE_WORLD ? world(f) : -E.EINVAL;
  const i = place.dentry.inode;
  return is_reg(i) || is_dir(i) ? 0 : -E.EINVAL;
}
