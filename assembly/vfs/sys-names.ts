// The calls that make, take away and move names: mkdir, mknod, symlink, link, unlink, rmdir,
// rename, readlink. Where paths are the world's, so is the answer.
import { cred_ns_capable } from "../cred/cred.ts";
import { device_allowed } from "../container/device.ts";
import { frame } from "../lib/frame.ts";
import { I_DYNAMIC, is_link } from "./inode.ts";
import * as L from "./lookup.ts";
import * as N from "./namei.ts";
import * as V from "./ops.ts";
import { may_create } from "./permission.ts";
import { proc_readlink_at } from "../proc/proc-links.ts";
import { root, VFS_PATH } from "../lib/root.ts";
import { sys_mknod } from "../container/sys-device.ts";
import { sys_world_call } from "../fs/sys-file.ts";
import { cold, task_struct } from "../process/task.ts";
import { copy_to_user, prepare_write } from "../lib/uaccess.ts";
import { CAP_DAC_READ_SEARCH, CAP_MKNOD } from "../uapi/capability.ts";
import * as E from "../uapi/errno.ts";
import { AT_EMPTY_PATH, S_IFBLK, S_IFCHR, S_IFMT } from "../uapi/fcntl.ts";
import * as S from "../uapi/stat.ts";
import { init_user_ns } from "../namespace/user-namespace.ts";

function world(f: frame): i32 {
  return sys_world_call(f, -E.ENOSYS);
}

function umasked(p: task_struct, mode: u32): u32 {
  return mode & ~cold(p).fs.umask;
}

/** mkdir(2), mkdirat(2). */
export function sys_mkdirat(p: task_struct, f: frame, dirfd: i32, path: u64, mode: u32): i32 {
  if (!L.vfs_owns(p, f, dirfd, path)) return world(f);
  const bad = L.user_parent_at(p, f, dirfd, path, false);
  if (bad) return bad;
  return V.vfs_mkdir(L.nd_first(), umasked(p, mode & (S.S_IRWXUGO | S.S_ISVTX)));
}

/** What mknod(2) may make. Return: 0, -EPERM of a directory, -EINVAL. */
function may_mknod(mode: u32): i32 {
  switch (mode & S_IFMT) {
    case 0:
    case S.S_IFREG:
    case S_IFCHR:
    case S_IFBLK:
    case S.S_IFIFO:
    case S.S_IFSOCK:
      return 0;
    case S.S_IFDIR:
      return -E.EPERM;
    default:
      return -E.EINVAL;
  }
}

/** Of a device: the privilege, and the lists of the containers around. 0:0 is a whiteout. */
export function may_make_device(p: task_struct, mode: u32, rdev: u32): i32 {
  const type = mode & S_IFMT;
  if (type != S_IFCHR && type != S_IFBLK) return 0;
  if (type == S_IFCHR && !rdev) return 0;
  if (!cred_ns_capable(p.cred, init_user_ns(), CAP_MKNOD)) return -E.EPERM;
  const c = p.signal.leader.container;
  return device_allowed(c, type, rdev >> 20, rdev & 0xfffff) ? 0 : -E.EPERM;
}

/** A device number as calls have it: major << 20 | minor in the kernel. */
function decode_dev(dev: u32): u32 {
  return (((dev >> 8) & 0xfff) << 20) | (dev & 0xff) | ((dev >> 12) & 0xfff00);
}

/** mknod(2), mknodat(2). */
export function sys_mknodat(
  p: task_struct,
  f: frame,
  dirfd: i32,
  path: u64,
  mode: u32,
  dev: u32,
): i32 {
  if (!L.vfs_owns(p, f, dirfd, path)) return sys_mknod(p, f, mode, dev);
  let bad = may_mknod(mode);
  if (bad) return bad;
  bad = L.user_parent_at(p, f, dirfd, path, false);
  if (bad) return bad;
  const nd = L.nd_first();
  const type = mode & S_IFMT ? mode & S_IFMT : <u32>S.S_IFREG;
  const device = type == S_IFCHR || type == S_IFBLK;
  const rdev = device ? decode_dev(dev) : 0;
  if (device) {
    bad = V.filename_create(nd, false);
    if (!bad) bad = may_create(p.cred, nd.dentry.inode);
    if (!bad) bad = may_make_device(p, type, rdev);
    if (bad) return bad;
  }
  return V.vfs_mknod(nd, umasked(p, mode & S.S_IALLUGO) | type, rdev);
}

/** symlink(2), symlinkat(2): text, directory, path. */
export function sys_symlinkat(p: task_struct, f: frame, text: u64, dirfd: i32, path: u64): i32 {
  if (!L.vfs_owns(p, f, dirfd, path)) return world(f);
  const len = N.getname(f, VFS_PATH, text);
  if (len < 0) return len;
  if (!len) return -E.ENOENT;
  const bad = L.user_parent_at(p, f, dirfd, path, true);
  return bad ? bad : V.vfs_symlink(L.nd_second(), VFS_PATH, <u32>len);
}

/** link(2), linkat(2): from directory and path, to directory and path, flags. */
export function sys_linkat(
  p: task_struct,
  f: frame,
  olddir: i32,
  old: u64,
  newdir: i32,
  path: u64,
  flags: u32,
): i32 {
  if (!L.vfs_owns(p, f, newdir, path)) return world(f);
  if (flags & ~(<u32>(S.AT_SYMLINK_FOLLOW | AT_EMPTY_PATH))) return -E.EINVAL;
  let lookup: u32 = flags & S.AT_SYMLINK_FOLLOW ? N.LOOKUP_FOLLOW : 0;
  if (flags & AT_EMPTY_PATH) {
    if (!cred_ns_capable(p.cred, init_user_ns(), CAP_DAC_READ_SEARCH)) return -E.ENOENT;
    lookup |= N.LOOKUP_EMPTY;
  }
  let bad = L.user_path_at(p, f, olddir, old, lookup);
  if (bad) return bad;
  bad = L.user_parent_at(p, f, newdir, path, true);
  return bad ? bad : V.vfs_link(L.nd_second(), L.nd_first());
}

/** unlink(2), unlinkat(2). */
export function sys_unlinkat(p: task_struct, f: frame, dirfd: i32, path: u64, flags: u32): i32 {
  if (!L.vfs_owns(p, f, dirfd, path)) return world(f);
  if (flags & ~(<u32>S.AT_REMOVEDIR)) return -E.EINVAL;
  return flags & S.AT_REMOVEDIR ? do_rmdir(p, f, dirfd, path) : do_unlink(p, f, dirfd, path);
}

function do_unlink(p: task_struct, f: frame, dirfd: i32, path: u64): i32 {
  const bad = L.user_parent_at(p, f, dirfd, path, false);
  return bad ? bad : V.vfs_unlink(p, L.nd_first());
}

function do_rmdir(p: task_struct, f: frame, dirfd: i32, path: u64): i32 {
  const bad = L.user_parent_at(p, f, dirfd, path, false);
  return bad ? bad : V.vfs_rmdir(p, L.nd_first());
}

/** rename(2), renameat(2), renameat2(2). */
export function sys_renameat2(
  p: task_struct,
  f: frame,
  olddir: i32,
  old: u64,
  newdir: i32,
  path: u64,
  flags: u32,
): i32 {
  if (!L.vfs_owns(p, f, olddir, old)) return world(f);
  const known: u32 = S.RENAME_NOREPLACE | S.RENAME_EXCHANGE | S.RENAME_WHITEOUT;
  if (flags & ~known) return -E.EINVAL;
  const alone: u32 = S.RENAME_NOREPLACE | S.RENAME_WHITEOUT;
  if (flags & S.RENAME_EXCHANGE && flags & alone) return -E.EINVAL;
  let bad = L.user_parent_at(p, f, olddir, old, false);
  if (bad) return bad;
  bad = L.user_parent_at(p, f, newdir, path, true);
  return bad ? bad : V.vfs_rename(p, L.nd_first(), L.nd_second(), flags);
}

/** readlink(2), readlinkat(2) of a path of the kernel's. */
export function vfs_readlinkat(
  p: task_struct,
  f: frame,
  dirfd: i32,
  path: u64,
  addr: u64,
  size: i32,
): i32 {
  if (size <= 0) return -E.EINVAL;
  const bad = L.user_path_at(p, f, dirfd, path, N.LOOKUP_EMPTY);
  if (bad) return bad;
  const nd = L.nd_first();
  const i = nd.dentry.inode;
  // an empty path is about a descriptor, and of a link none is opened but with O_PATH
  if (!is_link(i)) return nd.len ? -E.EINVAL : -E.ENOENT;
  if (i.state & I_DYNAMIC) return proc_readlink_at(p, f, nd, addr, size);
  const n = min(<i32>i.cap, size);
  const need = prepare_write(f, addr, n);
  if (need) return need;
  i.atime = root().clock;
  return copy_to_user(f, addr, i.data, n) ? -E.EFAULT : n;
}
