// setxattr(2), getxattr(2), listxattr(2), removexattr(2) and their forms for links and descriptors.
import { cred, cred_ns_capable } from "../cred/cred.ts";
import { nil } from "../lib/err.ts";
import { fget } from "../fs/file.ts";
import { frame } from "../lib/frame.ts";
import { is_dir, is_reg, vfs_inode } from "./inode.ts";
import * as L from "./lookup.ts";
import { mount } from "./mount.ts";
import { LOOKUP_FOLLOW, LOOKUP_MAGIC } from "./namei.ts";
import * as P from "./permission.ts";
import { root, VFS_BUFFER } from "../lib/root.ts";
import { task_struct } from "../process/task.ts";
import { access_ok, copy_from_user, copy_to_user, strncpy_from_user } from "../lib/uaccess.ts";
import { init_user_ns } from "../namespace/user-namespace.ts";
import { sys_world_call } from "../fs/sys-file.ts";
import { CAP_SETFCAP, CAP_SYS_ADMIN } from "../uapi/capability.ts";
import * as E from "../uapi/errno.ts";
import { AT_FDCWD, O_PATH } from "../uapi/fcntl.ts";
import { WINDOW_READ, WINDOW_WRITE } from "../uapi/frame.ts";
import { S_ISVTX } from "../uapi/stat.ts";
import * as U from "../uapi/xattr.ts";
import * as X from "./xattr.ts";
import { xattr } from "./xattr.ts";

/** Which file a call is about: by path, by path without following a link, by descriptor. */
export const XATTR_PATH: i32 = 0;
export const XATTR_LINK: i32 = 1;
export const XATTR_FD: i32 = 2;

/** struct xattr_place - the file of a call, at a fixed place behind the name. */
@unmanaged
class xattr_place {
  mnt: mount;
  inode: vfs_inode;
}
const PLACE: usize = VFS_BUFFER + 0x200;

function place(): xattr_place {
  return changetype<xattr_place>(PLACE);
}

/** Is the file the kernel's to know? */
function owns(p: task_struct, f: frame, how: i32): bool {
  if (how == XATTR_FD) return L.fd_is_ours(p, <i32>f.a0);
  return L.vfs_owns(p, f, AT_FDCWD, f.a0);
}

/** Finds the file of the call. Return: 0, an errno of the walk, -EBADF. */
function find_place(p: task_struct, f: frame, how: i32): i32 {
  const to = place();
  if (how == XATTR_FD) {
    const at = fget(p, <i32>f.a0);
    if (nil(at) || at.flags & O_PATH) return -E.EBADF;
    const v = L.place_of(at);
    if (nil(v)) return -E.EOPNOTSUPP;
    to.mnt = v.mnt;
    to.inode = v.dentry.inode;
    return 0;
  }
  const bad = L.user_path_at(p, f, AT_FDCWD, f.a0, how == XATTR_PATH ? LOOKUP_FOLLOW : 0);
  if (bad) return bad;
  const nd = L.nd_first();
  if (nd.flags & LOOKUP_MAGIC) return -E.EOPNOTSUPP;
  to.mnt = nd.mnt;
  to.inode = nd.dentry.inode;
  return 0;
}

/** The attribute's name, at the scratch buffer. Return: its length, -ERANGE, -EFAULT, RET_NEED. */
function read_name(f: frame): i32 {
  const len = strncpy_from_user(f, VFS_BUFFER, f.a1, U.XATTR_NAME_MAX + 1);
  return len == 0 || len > U.XATTR_NAME_MAX ? -E.ERANGE : len;
}

/** May the attribute be read, or with `write` changed? Return: 0, -EPERM, -ENODATA, -EACCES. */
function xattr_permission(c: cred, i: vfs_inode, kind: u32, write: bool): i32 {
  if (kind == X.XATTR_SECURITY) return 0;
  if (kind == X.XATTR_TRUSTED) {
    if (!cred_ns_capable(c, init_user_ns(), CAP_SYS_ADMIN)) return write ? -E.EPERM : -E.ENODATA;
  } else if (kind == X.XATTR_USER) {
    if (!is_reg(i) && !is_dir(i)) return write ? -E.EPERM : -E.ENODATA;
    const sticky = is_dir(i) && (i.mode & S_ISVTX) != 0;
    if (sticky && write && !P.inode_owner_or_capable(c, i)) return -E.EPERM;
  }
  return P.inode_permission(c, i, write ? P.MAY_WRITE : P.MAY_READ);
}

/** Is it security.capability? */
function is_caps(len: u32): bool {
  const at = VFS_BUFFER;
  if (len != 19) return false;
  return load<u64>(at, 9) == 0x696c696261706163 && load<u16>(at, 17) == 0x7974;
}

/** What security attributes ask for besides. `x`: the value, null: it is to be removed. */
function security_check(c: cred, i: vfs_inode, len: u32, x: xattr): i32 {
  if (!is_caps(len)) {
    return cred_ns_capable(c, i.sb.user_ns, CAP_SYS_ADMIN) ? 0 : -E.EPERM;
  }
  if (!nil(x)) {
    const at = X.value_of(x);
    const version = x.value_len >= 4 ? load<u32>(at) & (<u32>U.VFS_CAP_REVISION_MASK) : 0;
    const two = x.value_len == U.XATTR_CAPS_SZ_2 && version == U.VFS_CAP_REVISION_2;
    const three = x.value_len == U.XATTR_CAPS_SZ_3 && version == U.VFS_CAP_REVISION_3;
    if (!two && !three) return -E.EINVAL;
  }
  return P.capable_wrt_inode(c, i, CAP_SETFCAP) ? 0 : -E.EPERM;
}

/** Does the file system keep an attribute of that name? Return: 0, -EOPNOTSUPP, -EINVAL. */
function resolve_name(i: vfs_inode, kind: u32, len: u32): i32 {
  if (kind == X.XATTR_NONE || !X.keeps_xattrs(i)) return -E.EOPNOTSUPP;
  return len == X.prefix_bytes(kind) ? -E.EINVAL : 0;
}

/** setxattr(2): file, name, value, its size, flags. */
export function sys_setxattr(p: task_struct, f: frame, how: i32): i32 {
  if (!owns(p, f, how)) return sys_world_call(f, -E.ENOSYS);
  const flags = <u32>f.r8;
  if (flags & ~(<u32>(U.XATTR_CREATE | U.XATTR_REPLACE))) return -E.EINVAL;
  const len = read_name(f);
  if (len < 0) return len;
  if (f.r10 > <u64>U.XATTR_SIZE_MAX) return -E.E2BIG;
  const size = <u32>f.r10;
  const unread = access_ok(f, f.a2, size, WINDOW_READ);
  if (unread) return unread;
  let bad = find_place(p, f, how);
  if (!bad) bad = P.mnt_want_write(place().mnt);
  if (bad) return bad;
  const x = X.alloc_xattr(VFS_BUFFER, <u32>len, size);
  if (nil(x)) return -E.ENOMEM;
  bad = size ? copy_from_user(f, X.value_of(x), f.a2, size) : 0;
  if (!bad) bad = set_checked(p.cred, place().inode, x, flags);
  if (bad) X.free_xattr(x);
  return bad;
}

/** The checks in Linux's order, then `x` is the inode's. */
function set_checked(c: cred, i: vfs_inode, x: xattr, flags: u32): i32 {
  const len = x.name_len;
  const kind = X.xattr_kind(VFS_BUFFER, len);
  const security = kind == X.XATTR_SECURITY;
  let bad = 0;
  if (security && is_caps(len)) bad = security_check(c, i, len, x);
  if (!bad) bad = xattr_permission(c, i, kind, true);
  if (!bad && security && !is_caps(len)) bad = security_check(c, i, len, x);
  if (!bad) bad = resolve_name(i, kind, len);
  if (bad) return bad;
  const old = X.find_xattr(i, VFS_BUFFER, len);
  if (!nil(old) && flags & U.XATTR_CREATE) return -E.EEXIST;
  if (nil(old) && flags & U.XATTR_REPLACE) return -E.ENODATA;
  if (!X.xattrs_fit(i, len + x.value_len)) return -E.ENOSPC;
  X.insert_xattr(i, x);
  return 0;
}

/** getxattr(2): file, name, where the value goes, room there; none: how much is needed. */
export function sys_getxattr(p: task_struct, f: frame, how: i32): i32 {
  if (!owns(p, f, how)) return sys_world_call(f, -E.ENOSYS);
  const len = read_name(f);
  if (len < 0) return len;
  let bad = find_place(p, f, how);
  if (bad) return bad;
  const i = place().inode;
  const kind = X.xattr_kind(VFS_BUFFER, <u32>len);
  bad = xattr_permission(p.cred, i, kind, false);
  if (!bad) bad = resolve_name(i, kind, <u32>len);
  if (bad) return bad;
  const x = X.find_xattr(i, VFS_BUFFER, <u32>len);
  if (nil(x)) return -E.ENODATA;
  if (!f.r10) return <i32>x.value_len;
  if (<u64>x.value_len > f.r10) return -E.ERANGE;
  const need = access_ok(f, f.a2, x.value_len, WINDOW_WRITE);
  if (need) return need;
  return copy_to_user(f, f.a2, X.value_of(x), x.value_len) ? -E.EFAULT : <i32>x.value_len;
}

/** Is the name shown to who has these rights? */
function is_listed(c: cred, x: xattr): bool {
  if (X.xattr_kind(X.name_of(x), x.name_len) != X.XATTR_TRUSTED) return true;
  return cred_ns_capable(c, init_user_ns(), CAP_SYS_ADMIN);
}

/** listxattr(2): file, where the names go, room there; none: how much is needed. */
export function sys_listxattr(p: task_struct, f: frame, how: i32): i32 {
  if (!owns(p, f, how)) return sys_world_call(f, -E.ENOSYS);
  const bad = find_place(p, f, how);
  if (bad) return bad;
  const first = place().inode.xattrs;
  let total: u32 = 0;
  for (let x = first; !nil(x); x = x.next) if (is_listed(p.cred, x)) total += x.name_len + 1;
  if (!f.a2 || !total) return <i32>total;
  if (<u64>total > f.a2) return -E.ERANGE;
  const need = access_ok(f, f.a1, total, WINDOW_WRITE);
  if (need) return need;
  let to = f.a1;
  for (let x = first; !nil(x); x = x.next) {
    if (!is_listed(p.cred, x)) continue;
    memory.copy(VFS_BUFFER, X.name_of(x), x.name_len);
    store<u8>(VFS_BUFFER + x.name_len, 0);
    if (copy_to_user(f, to, VFS_BUFFER, x.name_len + 1)) return -E.EFAULT;
    to += x.name_len + 1;
  }
  return <i32>total;
}

/** removexattr(2): file, name. */
export function sys_removexattr(p: task_struct, f: frame, how: i32): i32 {
  if (!owns(p, f, how)) return sys_world_call(f, -E.ENOSYS);
  const len = read_name(f);
  if (len < 0) return len;
  let bad = find_place(p, f, how);
  if (!bad) bad = P.mnt_want_write(place().mnt);
  if (bad) return bad;
  const i = place().inode;
  const kind = X.xattr_kind(VFS_BUFFER, <u32>len);
  bad = xattr_permission(p.cred, i, kind, true);
  if (!bad && kind == X.XATTR_SECURITY) {
    bad = security_check(p.cred, i, <u32>len, changetype<xattr>(0));
  }
  if (!bad) bad = resolve_name(i, kind, <u32>len);
  if (bad) return bad;
  if (nil(X.find_xattr(i, VFS_BUFFER, <u32>len))) return -E.ENODATA;
  X.remove_xattr(i, VFS_BUFFER, <u32>len);
  i.ctime = root().clock;
  return 0;
}
