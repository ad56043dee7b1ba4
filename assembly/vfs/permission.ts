// Who may do what with an inode (fs/namei.c, path_resolution(7)): by fsuid, fsgid, groups and
// capabilities in a user namespace that knows the file's owner.
import { cred, cred_ns_capable, in_group_p } from "../cred/cred.ts";
import { dentry } from "./dcache.ts";
import { I_DYNAMIC, is_dir, is_link, is_reg, S_DEAD, vfs_inode } from "./inode.ts";
import { mount } from "./mount.ts";
import { from_kgid, from_kuid } from "../namespace/user-namespace.ts";
import { FS_MQUEUE, super_block } from "./super.ts";
import { INVALID_ID } from "../namespace/uid-map.ts";
import * as C from "../uapi/capability.ts";
import * as E from "../uapi/errno.ts";
import { MNT_READONLY, MS_RDONLY } from "../uapi/mount.ts";
import * as S from "../uapi/stat.ts";
import { same } from "../lib/err.ts";

export const MAY_EXEC: u32 = 1;
export const MAY_WRITE: u32 = 2;
export const MAY_READ: u32 = 4;

/** Is the capability good for this inode: does the caller's namespace know who owns it? */
export function capable_wrt_inode(c: cred, i: vfs_inode, cap: i32): bool {
  if (from_kuid(c.user_ns, i.uid) == INVALID_ID) return false;
  if (from_kgid(c.user_ns, i.gid) == INVALID_ID) return false;
  return cred_ns_capable(c, c.user_ns, cap);
}

/** Owner of the file, or as good as. */
export function inode_owner_or_capable(c: cred, i: vfs_inode): bool {
  if (c.fsuid == i.uid) return true;
  return from_kuid(c.user_ns, i.uid) != INVALID_ID && cred_ns_capable(c, c.user_ns, C.CAP_FOWNER);
}

/** By mode and capabilities alone. Return: 0 or -EACCES. */
function generic_permission(c: cred, i: vfs_inode, mask: u32): i32 {
  let mode = i.mode;
  if (c.fsuid == i.uid) mode >>= 6;
  else if (((mode >> 3) ^ mode) & mask && in_group_p(c, i.gid)) mode >>= 3;
  if (!(mask & ~mode & 7)) return 0;
  const all = capable_wrt_inode(c, i, C.CAP_DAC_OVERRIDE);
  if (is_dir(i)) {
    if (!(mask & MAY_WRITE) && capable_wrt_inode(c, i, C.CAP_DAC_READ_SEARCH)) return 0;
    return all ? 0 : -E.EACCES;
  }
  if (mask == MAY_READ && capable_wrt_inode(c, i, C.CAP_DAC_READ_SEARCH)) return 0;
  if (!(mask & MAY_EXEC) || i.mode & S.S_IXUGO) return all ? 0 : -E.EACCES;
  return -E.EACCES;
}

/** Return: 0, -EROFS of a file system that is read-only as a whole, -EACCES. */
export function inode_permission(c: cred, i: vfs_inode, mask: u32): i32 {
  if (mask & MAY_WRITE && i.sb.flags & MS_RDONLY) {
    if (is_reg(i) || is_dir(i) || is_link(i)) return -E.EROFS;
  }
  return generic_permission(c, i, mask);
}

/** May something be changed in this mount? Return: 0 or -EROFS. */
export function mnt_want_write(m: mount): i32 {
  return m.flags & MNT_READONLY || m.sb.flags & MS_RDONLY ? -E.EROFS : 0;
}

/** Can the caller's ids own something there? */
export function fsuidgid_has_mapping(c: cred, sb: super_block): bool {
  if (from_kuid(sb.user_ns, c.fsuid) == INVALID_ID) return false;
  return from_kgid(sb.user_ns, c.fsgid) != INVALID_ID;
}

/** May a name be made in the directory? Return: 0, -ENOENT, -EOVERFLOW, -EACCES, -EROFS. */
export function may_create(c: cred, dir: vfs_inode): i32 {
  if (dir.state & S_DEAD) return -E.ENOENT;
  if (!fsuidgid_has_mapping(c, dir.sb)) return -E.EOVERFLOW;
  return inode_permission(c, dir, MAY_WRITE | MAY_EXEC);
}

/** The same of what is no plain file: a file system of queues has none of those. */
export function may_create_other(c: cred, dir: vfs_inode): i32 {
  const bad = may_create(c, dir);
  return !bad && dir.sb.type == FS_MQUEUE ? -E.EPERM : bad;
}

/** In a directory with the sticky bit only owners take names away. */
function check_sticky(c: cred, dir: vfs_inode, i: vfs_inode): bool {
  if (!(dir.mode & S.S_ISVTX) || i.uid == c.fsuid || dir.uid == c.fsuid) return false;
  return !capable_wrt_inode(c, i, C.CAP_FOWNER);
}

/** May the name be taken away, that of a directory or of something else? */
export function may_delete(c: cred, dir: vfs_inode, victim: dentry, directory: bool): i32 {
  const bad = inode_permission(c, dir, MAY_WRITE | MAY_EXEC);
  if (bad) return bad;
  if (check_sticky(c, dir, victim.inode)) return -E.EPERM;
  if (directory) {
    if (!is_dir(victim.inode)) return -E.ENOTDIR;
    if (same(victim.parent, victim)) return -E.EBUSY;
  } else if (is_dir(victim.inode)) {
    return -E.EISDIR;
  }
  if (dir.state & S_DEAD) return -E.ENOENT;
  // names of proc are nobody's to take away
  return dir.state & I_DYNAMIC ? -E.EPERM : 0;
}

/** protected_symlinks: a link in a sticky directory of all leads only its owner's followers. */
export function may_follow_link(c: cred, dir: vfs_inode, link: vfs_inode): bool {
  const shared: u32 = S.S_ISVTX | 2;
  if (c.fsuid == link.uid || (dir.mode & shared) != shared) return true;
  return dir.uid == link.uid;
}

/** protected_hardlinks: only what one could have written and read gets another name. */
export function may_linkat(c: cred, i: vfs_inode): bool {
  if (inode_owner_or_capable(c, i)) return true;
  if (!is_reg(i) || i.mode & S.S_ISUID) return false;
  const sgid: u32 = S.S_ISGID | S.S_IXGRP;
  if ((i.mode & sgid) == sgid) return false;
  return inode_permission(c, i, MAY_READ | MAY_WRITE) == 0;
}

/** protected_fifos, protected_regular: O_CREAT takes no stranger's file in a shared directory. */
export function may_create_in_sticky(c: cred, dir: vfs_inode, i: vfs_inode): bool {
  if (!(dir.mode & S.S_ISVTX) || i.uid == dir.uid || i.uid == c.fsuid) return true;
  if (i.type != S.S_IFREG && i.type != S.S_IFIFO) return true;
  return (dir.mode & 2) == 0;
}
