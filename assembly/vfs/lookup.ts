// Where the path of a call begins: at the caller's root or working directory, at a directory's
// descriptor, in a container - or in the world, whose file system the kernel doesn't know.
import { container } from "../container/container.ts";
import { container_permission } from "../container/sys-container.ts";
import { nil, same } from "../lib/err.ts";
import * as FD from "../fs/file.ts";
import { file } from "../fs/file.ts";
import { frame } from "../lib/frame.ts";
import { vfs_file } from "./mount.ts";
import * as N from "./namei.ts";
import { nameidata } from "./namei.ts";
import { root, VFS_NAMEI, VFS_NAMEI2, VFS_PATH, VFS_PATH2 } from "../lib/root.ts";
import { cold, task_struct } from "../process/task.ts";
import { copy_from_user } from "../lib/uaccess.ts";
import * as E from "../uapi/errno.ts";
import { AT_FDCWD } from "../uapi/fcntl.ts";
import { RESOLVE_BENEATH, RESOLVE_IN_ROOT } from "../uapi/stat.ts";

/** The walk of a call's first path, and of its second one. */
export function nd_first(): nameidata {
  return changetype<nameidata>(VFS_NAMEI);
}
export function nd_second(): nameidata {
  return changetype<nameidata>(VFS_NAMEI2);
}

/** Where the file of a descriptor is in the kernel's file systems; null: it isn't there. */
export function place_of(at: file): vfs_file {
  if (nil(at)) return changetype<vfs_file>(0);
  if (at.kind == FD.FILE_VFS) return at.place;
  // where paths are the world's, so is what stat says of a queue
  if (at.kind == FD.FILE_MQUEUE && root().ramfs_root) return at.place;
  // a fifo that was opened by name keeps its place where other files have their offset
  if (at.kind == FD.FILE_PIPE && at.pos) return changetype<vfs_file>(<usize>at.pos);
  return changetype<vfs_file>(0);
}

/**
 * Is the path at `addr`, from the directory of `dirfd`, the kernel's business? If not, what it
 * leads to is the world's to say.
 */
export function vfs_owns(p: task_struct, f: frame, dirfd: i32, addr: u64): bool {
  if (!nil(cold(p).fs.root_mnt)) return true;
  return dirfd != AT_FDCWD && dirfd_is_ours(p, f, dirfd, addr);
}

function dirfd_is_ours(p: task_struct, f: frame, dirfd: i32, addr: u64): bool {
  const at = FD.fget(p, dirfd);
  if (nil(at)) return false;
  if (at.kind == FD.FILE_CONTAINER) {
    const c = at.container;
    return !nil(c.root_mnt) || (c.ns.empty_mnt != 0 && nil(c.ns.mnt_ns));
  }
  if (nil(place_of(at))) return false;
  return copy_from_user(f, VFS_PATH, addr, 1) != 0 || load<u8>(VFS_PATH) != 47;
}

/** The same of a call on a descriptor alone. */
export function fd_is_ours(p: task_struct, fd: i32): bool {
  return !nil(cold(p).fs.root_mnt) || !nil(place_of(FD.fget(p, fd)));
}

/** The walk stands at a container's root, and stays below it. */
function begin_in_container(p: task_struct, nd: nameidata, at: file): i32 {
  const c = at.container;
  const bad = container_permission(p, c);
  if (bad) return bad;
  if (!nd.len) return -E.EINVAL;
  // DEVIATION: D-6 - an empty mount namespace has nothing in it, whatever the caller sees
  if (nil(c.root_mnt)) return c.ns.empty_mnt ? -E.ENOENT : -E.EXDEV;
  N.nd_container(nd, c);
  return 0;
}

/** Sets up `nd`, whose path has been read, to begin at `dirfd`. Return: 0 or an errno. */
function path_init(p: task_struct, nd: nameidata, dirfd: i32): i32 {
  const absolute = nd.len > 0 && load<u8>(nd.path) == 47;
  const at = dirfd == AT_FDCWD ? changetype<file>(0) : FD.fget(p, dirfd);
  if (!nil(at) && at.kind == FD.FILE_CONTAINER) return begin_in_container(p, nd, at);
  const scoped = (nd.flags & (RESOLVE_BENEATH | RESOLVE_IN_ROOT)) != 0;
  if ((absolute && !scoped) || dirfd == AT_FDCWD) return 0;
  if (nil(at)) return -E.EBADF;
  const place = place_of(at);
  if (nil(place)) return -E.ENOTDIR;
  if (nil(nd.root_mnt)) {
    // the caller's own root is the world's: for it the top of the tree is the root
    let top = place.mnt;
    while (!same(top.parent, top)) top = top.parent;
    nd.root_mnt = top;
    nd.root = top.root;
  }
  N.nd_from(nd, place.mnt, place.dentry);
  return 0;
}

/**
 * Reads the path at `addr` and sets its walk up. `second`: it is the call's second path.
 * Return: 0, -ENOENT of an empty path, -EBADF, -ENOTDIR, -EPERM, -EFAULT and RET_NEED.
 */
export function begin_path(
  p: task_struct,
  f: frame,
  dirfd: i32,
  addr: u64,
  flags: u32,
  second: bool,
): i32 {
  const place = second ? VFS_PATH2 : VFS_PATH;
  const len = N.getname(f, place, addr);
  if (len < 0) return len;
  if (!len && !(flags & N.LOOKUP_EMPTY)) return -E.ENOENT;
  const nd = N.nd_begin(second ? VFS_NAMEI2 : VFS_NAMEI, p, place, len, flags);
  return path_init(p, nd, dirfd);
}

/**
 * The walk of no path at all from `dirfd`: a null address where AT_EMPTY_PATH allows it.
 * Return: 0 or an errno.
 */
export function begin_empty(p: task_struct, dirfd: i32, flags: u32): i32 {
  store<u8>(VFS_PATH, 0);
  return path_init(p, N.nd_begin(VFS_NAMEI, p, VFS_PATH, 0, flags), dirfd);
}

/** Where a path leads to from a container's root; null: to that. Return: 0 or an errno. */
export function container_path_at(p: task_struct, f: frame, c: container, addr: u64): i32 {
  let len = 0;
  if (addr) {
    len = N.getname(f, VFS_PATH, addr);
    if (len < 0) return len;
    if (!len) return -E.ENOENT;
  }
  // DEVIATION: D-6 - an empty mount namespace has nothing in it, whatever the caller sees
  if (nil(c.root_mnt)) return c.ns.empty_mnt ? -E.ENOENT : -E.EXDEV;
  const nd = N.nd_begin(VFS_NAMEI, p, VFS_PATH, len, N.LOOKUP_FOLLOW | N.LOOKUP_EMPTY);
  N.nd_container(nd, c);
  return N.path_lookupat(nd);
}

/** Where the path of a call leads to, in nd_first(). Return: 0 or an errno. */
export function user_path_at(p: task_struct, f: frame, dirfd: i32, addr: u64, flags: u32): i32 {
  const bad = begin_path(p, f, dirfd, addr, flags, false);
  return bad ? bad : N.path_lookupat(nd_first());
}

/** The same up to the directory of its last name. */
export function user_parent_at(p: task_struct, f: frame, dirfd: i32, addr: u64, second: bool): i32 {
  const bad = begin_path(p, f, dirfd, addr, 0, second);
  return bad ? bad : N.filename_parentat(second ? nd_second() : nd_first());
}
