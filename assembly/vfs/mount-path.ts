// Where the paths of the mount calls lead: into the kernel's file systems; or they are the world's,
// whose word the host brings.
import { nil } from "../lib/err.ts";
import { fget, FILE_WORLD } from "../fs/file.ts";
import { frame } from "../lib/frame.ts";
import * as L from "./lookup.ts";
import * as N from "./namei.ts";
import { task_struct } from "../process/task.ts";
import { copy_from_user } from "../lib/uaccess.ts";
import { VFS_PATH } from "../lib/root.ts";
import * as E from "../uapi/errno.ts";
import { AT_FDCWD } from "../uapi/fcntl.ts";
import { ASSIST_ERRNO, ASSIST_RET } from "../uapi/frame.ts";

/** Are the caller's paths the world's, and has it spoken? */
export function world_told(p: task_struct, f: frame): bool {
  return !N.has_root(p) && (f.assist & (ASSIST_ERRNO | ASSIST_RET)) != 0;
}

/** Is what a descriptor stands for the world's to know, as far as anybody does? */
export function is_worlds_file(p: task_struct, f: frame, fd: i32): bool {
  if (!world_told(p, f)) return false;
  const at = fget(p, fd);
  return nil(at) ? (f.assist & ASSIST_RET) != 0 : at.kind == FILE_WORLD;
}

/**
 * Where a path of the world's begins: at a descriptor that is not open it does not, whatever there
 * is. Return: 0 or -EBADF.
 */
export function check_dirfd(p: task_struct, f: frame, dirfd: i32, addr: u64): i32 {
  if (!(f.assist & ASSIST_ERRNO) || dirfd == AT_FDCWD || !nil(fget(p, dirfd))) return 0;
  const absolute = copy_from_user(f, VFS_PATH, addr, 1) != 0 || load<u8>(VFS_PATH) == 47;
  return absolute ? 0 : -E.EBADF;
}

/** Is no path given, where that is allowed? 1, 0, -EFAULT, RET_NEED. */
function is_empty(f: frame, addr: u64, lookup: u32): i32 {
  if (!(lookup & N.LOOKUP_EMPTY)) return 0;
  if (!addr) return 1;
  const bad = copy_from_user(f, VFS_PATH, addr, 1);
  return bad ? bad : load<u8>(VFS_PATH) ? 0 : 1;
}

/**
 * Where the path at `addr` leads to from the directory of `dirfd`, in nd_first(). Return: 0 or an
 * errno: -EINVAL of a descriptor that has no place in the file systems, -ENOSYS of the world's.
 */
export function mount_path_at(p: task_struct, f: frame, dirfd: i32, addr: u64, lookup: u32): i32 {
  const empty = is_empty(f, addr, lookup);
  if (empty < 0) return empty;
  if (empty && dirfd != AT_FDCWD) {
    const at = fget(p, dirfd);
    if (nil(at)) return -E.EBADF;
    if (nil(L.place_of(at))) return -E.EINVAL;
  }
  if (!L.vfs_owns(p, f, dirfd, addr)) {
    const open = dirfd == AT_FDCWD || !nil(fget(p, dirfd));
    return open ? -E.ENOSYS : -E.EBADF;
  }
  if (!empty) return L.user_path_at(p, f, dirfd, addr, lookup);
  const bad = L.begin_empty(p, dirfd, lookup);
  return bad ? bad : N.path_lookupat(L.nd_first());
}
