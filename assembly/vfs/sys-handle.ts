// name_to_handle_at(2), open_by_handle_at(2): files by their numbers, past all directories
// (fs/fhandle.c). Of the file systems here tmpfs has handles that can be opened.
import { cred_ns_capable } from "../cred/cred.ts";
import { d_find_ino } from "./dcache.ts";
import { nil } from "../lib/err.ts";
import { frame } from "../lib/frame.ts";
import * as L from "./lookup.ts";
import * as N from "./namei.ts";
import { vfs_open_found, vfs_opened } from "./open.ts";
import { FS_TMPFS } from "./super.ts";
import { VFS_BUFFER } from "../lib/root.ts";
import { sys_world_call, sys_world_fd } from "../fs/sys-file.ts";
import { task_struct } from "../process/task.ts";
import { copy_from_user, copy_to_user, prepare_write } from "../lib/uaccess.ts";
import { init_user_ns } from "../namespace/user-namespace.ts";
import { CAP_DAC_READ_SEARCH } from "../uapi/capability.ts";
import * as E from "../uapi/errno.ts";
import { AT_EMPTY_PATH } from "../uapi/fcntl.ts";
import { AT_SYMLINK_FOLLOW } from "../uapi/stat.ts";
import * as U from "../uapi/xattr.ts";

// struct file_handle, in the scratch buffer: bytes, type, and what tmpfs puts in.
const HANDLE: usize = VFS_BUFFER;
const BYTES: usize = 0;
const TYPE: usize = 4;
const GENERATION: usize = 8;
const INO: usize = 12;
const INO_HI: usize = 16;
/** The mount's number, behind it. */
const MOUNT_ID: usize = VFS_BUFFER + 0x100;

const FLAGS: u32 = AT_SYMLINK_FOLLOW | AT_EMPTY_PATH | U.AT_HANDLE_FID | U.AT_HANDLE_MNT_ID_UNIQUE;

/** name_to_handle_at(dirfd, path, handle, mount_id, flags). */
export function sys_name_to_handle_at(p: task_struct, f: frame): i32 {
  const dirfd = <i32>f.a0;
  if (!L.vfs_owns(p, f, dirfd, f.a1)) return sys_world_call(f, -E.ENOSYS);
  const flags = <u32>f.r8;
  if (flags & ~FLAGS) return -E.EINVAL;
  const follow = flags & AT_SYMLINK_FOLLOW ? N.LOOKUP_FOLLOW : 0;
  const empty = flags & AT_EMPTY_PATH ? N.LOOKUP_EMPTY : 0;
  let bad = L.user_path_at(p, f, dirfd, f.a1, follow | empty);
  if (bad) return bad;
  const nd = L.nd_first();
  if (nd.flags & N.LOOKUP_MAGIC) return -E.EOPNOTSUPP;
  const i = nd.dentry.inode;
  const opens = i.sb.type == FS_TMPFS;
  if (!opens && !(flags & U.AT_HANDLE_FID)) return -E.EOPNOTSUPP;
  bad = copy_from_user(f, HANDLE, f.a2, U.HANDLE_HEAD);
  if (bad) return bad;
  const room = load<i32>(HANDLE, BYTES);
  if (room < 0 || room > U.MAX_HANDLE_SZ) return -E.EINVAL;
  const fits = room >= U.HANDLE_BYTES;
  const len: u32 = fits ? U.HANDLE_HEAD + U.HANDLE_BYTES : U.HANDLE_HEAD;
  const id_len: u32 = flags & U.AT_HANDLE_MNT_ID_UNIQUE ? 8 : 4;
  if (!f.r10) return -E.EFAULT;
  bad = prepare_write(f, f.a2, len);
  if (!bad) bad = prepare_write(f, f.r10, id_len);
  if (bad) return bad;
  store<u32>(HANDLE, U.HANDLE_BYTES, BYTES);
  store<u32>(HANDLE, fits ? <u32>(opens ? U.HANDLE_TYPE : U.HANDLE_FID) : U.HANDLE_INVALID, TYPE);
  // numbers are never used again, so that no generation is needed to tell who bears one
  store<u32>(HANDLE, 0, GENERATION);
  store<u32>(HANDLE, i.ino, INO);
  store<u32>(HANDLE, 0, INO_HI);
  store<u64>(MOUNT_ID, <u64>nd.mnt.id);
  bad = copy_to_user(f, f.r10, MOUNT_ID, id_len);
  if (!bad) bad = copy_to_user(f, f.a2, HANDLE, len);
  if (bad) return bad;
  return fits ? 0 : -E.EOVERFLOW;
}

/** open_by_handle_at(mount_fd, handle, flags): asks for CAP_DAC_READ_SEARCH over the machine. */
export function sys_open_by_handle_at(p: task_struct, f: frame): i32 {
  if (f.phase) return vfs_opened(p, f);
  const fd = <i32>f.a0;
  if (!L.fd_is_ours(p, fd)) return sys_world_fd(p, f);
  let bad = copy_from_user(f, HANDLE, f.a1, U.HANDLE_HEAD);
  if (bad) return bad;
  const bytes = load<i32>(HANDLE, BYTES);
  const type = load<i32>(HANDLE, TYPE);
  if (bytes <= 0 || bytes > U.MAX_HANDLE_SZ) return -E.EINVAL;
  if (type < 0 || type > U.HANDLE_TYPE_MAX) return -E.EINVAL;
  bad = L.begin_empty(p, fd, N.LOOKUP_EMPTY);
  // a file without a place has a file system without handles
  if (bad && bad != -E.ENOTDIR) return bad;
  if (!cred_ns_capable(p.cred, init_user_ns(), CAP_DAC_READ_SEARCH)) return -E.EPERM;
  const nowhere = bad != 0;
  bad = copy_from_user(f, HANDLE, f.a1, U.HANDLE_HEAD + bytes);
  if (bad) return bad;
  const nd = L.nd_first();
  const known = type == U.HANDLE_TYPE && bytes >= U.HANDLE_BYTES;
  if (nowhere || !known || nd.mnt.sb.type != FS_TMPFS) return -E.ESTALE;
  if (load<u32>(HANDLE, GENERATION) | load<u32>(HANDLE, INO_HI)) return -E.ESTALE;
  const d = d_find_ino(nd.mnt.sb.root, load<u32>(HANDLE, INO));
  if (nil(d)) return -E.ESTALE;
  N.nd_from(nd, nd.mnt, d);
  return vfs_open_found(p, f, nd, <u32>f.a2);
}
