// What changes directories: names are made, taken away, moved (fs/namei.c, fs/libfs.c). The walks
// have been made; each function checks in Linux's order, and what it does cannot fail half-way.
import { cred, in_group_p } from "../cred/cred.ts";
import * as D from "./dcache.ts";
import { dentry } from "./dcache.ts";
import { ERR_PTR, IS_ERR, nil, PTR_ERR, same } from "../lib/err.ts";
import * as I from "./inode.ts";
import { is_dir, vfs_inode } from "./inode.ts";
import * as N from "./namei.ts";
import { nameidata } from "./namei.ts";
import { is_local_mountpoint } from "./mnt-namespace.ts";
import { detach_mounts } from "./mount-tree.ts";
import * as P from "./permission.ts";
import { root } from "../lib/root.ts";
import { kfree, kmalloc } from "../lib/slab.ts";
import { CAP_FSETID } from "../uapi/capability.ts";
import * as E from "../uapi/errno.ts";
import { S_IFCHR, S_IFMT } from "../uapi/fcntl.ts";
import * as S from "../uapi/stat.ts";
import { FS_MQUEUE } from "./super.ts";
import { task_struct } from "../process/task.ts";

/** Is the last name free, and may one be made there? `directory`: slashes may follow it. */
export function filename_create(nd: nameidata, directory: bool): i32 {
  if (nd.last_type != N.LAST_NORM) return -E.EEXIST;
  const old = N.lookup_one(nd);
  if (IS_ERR(old)) return PTR_ERR(old);
  if (!nil(old)) return -E.EEXIST;
  if (!directory && nd.flags & N.LOOKUP_TRAILING) return -E.ENOENT;
  return P.mnt_want_write(nd.mnt);
}

/** The inode of something new in `dir`: owner, group and the bits that a directory hands on. */
function node_in(c: cred, dir: vfs_inode, mode: u32): vfs_inode {
  let gid = c.fsgid;
  if (dir.mode & S.S_ISGID) {
    gid = dir.gid;
    const exec = (mode & (S.S_ISGID | S.S_IXGRP)) == <u32>(S.S_ISGID | S.S_IXGRP);
    if ((mode & S_IFMT) == S.S_IFDIR) mode |= S.S_ISGID;
    else if (exec && !in_group_p(c, gid) && !P.capable_wrt_inode(c, dir, CAP_FSETID)) {
      mode &= ~(<u32>S.S_ISGID);
    }
  }
  return I.new_inode(dir.sb, mode, c.fsuid, gid);
}

/**
 * Makes a node of `mode` at the last name, which is free. Return: its dentry, without a reference;
 * ERR_PTR of ENOSPC, ENOMEM.
 */
export function vfs_make(nd: nameidata, mode: u32, rdev: u32): dentry {
  const dir = nd.dentry.inode;
  if (I.inodes_full(dir.sb)) return ERR_PTR<dentry>(-E.ENOSPC);
  if (!D.d_reserve(dir)) return ERR_PTR<dentry>(-E.ENOMEM);
  const d = D.d_alloc(nd.dentry, nd.last, <u32>nd.last_len);
  if (nil(d)) return ERR_PTR<dentry>(-E.ENOMEM);
  d.inode = node_in(nd.cred, dir, mode);
  if (nil(d.inode)) {
    D.dput(d);
    return ERR_PTR<dentry>(-E.ENOMEM);
  }
  d.inode.rdev = rdev;
  publish(d);
  return d;
}

/** A finished dentry appears in its directory. */
function publish(d: dentry): void {
  const dir = d.parent.inode;
  D.d_rehash(d);
  D.dput(d);
  if (is_dir(d.inode)) dir.nlink += 1;
  I.touch(dir);
}

/** mkdir(2) of the last name. */
export function vfs_mkdir(nd: nameidata, mode: u32): i32 {
  let bad = filename_create(nd, true);
  if (bad) return bad;
  const dir = nd.dentry.inode;
  bad = P.may_create_other(nd.cred, dir);
  if (bad) return bad;
  if (dir.nlink >= <u32>S.LINK_MAX) return -E.EMLINK;
  const d = vfs_make(nd, S.S_IFDIR | mode, 0);
  return IS_ERR(d) ? PTR_ERR(d) : 0;
}

/** mknod(2) of the last name; devices have been allowed. */
export function vfs_mknod(nd: nameidata, mode: u32, rdev: u32): i32 {
  let bad = filename_create(nd, false);
  if (bad) return bad;
  bad = P.may_create_other(nd.cred, nd.dentry.inode);
  if (bad) return bad;
  const d = vfs_make(nd, mode, rdev);
  return IS_ERR(d) ? PTR_ERR(d) : 0;
}

/** symlink(2): the last name becomes a link with the text of `len` bytes. */
export function vfs_symlink(nd: nameidata, text: usize, len: u32): i32 {
  let bad = filename_create(nd, false);
  if (bad) return bad;
  const dir = nd.dentry.inode;
  bad = P.may_create_other(nd.cred, dir);
  if (bad) return bad;
  if (I.inodes_full(dir.sb)) return -E.ENOSPC;
  if (!D.d_reserve(dir)) return -E.ENOMEM;
  const d = D.d_alloc(nd.dentry, nd.last, <u32>nd.last_len);
  if (nil(d)) return -E.ENOMEM;
  d.inode = node_in(nd.cred, dir, S.S_IFLNK | 0o777);
  if (nil(d.inode) || !I.set_link(d.inode, text, len)) {
    D.dput(d);
    return -E.ENOMEM;
  }
  publish(d);
  return 0;
}

/** link(2): another name for what `from` leads to. */
export function vfs_link(nd: nameidata, from: nameidata): i32 {
  let bad = filename_create(nd, false);
  if (bad) return bad;
  if (!same(from.mnt, nd.mnt)) return -E.EXDEV;
  const i = from.dentry.inode;
  const dir = nd.dentry.inode;
  if (!P.may_linkat(nd.cred, i)) return -E.EPERM;
  bad = P.may_create_other(nd.cred, dir);
  if (bad) return bad;
  if (is_dir(i)) return -E.EPERM;
  if (!i.nlink && !(i.state & I.I_LINKABLE)) return -E.ENOENT;
  if (i.nlink >= <u32>S.LINK_MAX) return -E.EMLINK;
  if (!D.d_reserve(dir)) return -E.ENOMEM;
  const d = D.d_alloc(nd.dentry, nd.last, <u32>nd.last_len);
  if (nil(d)) return -E.ENOMEM;
  d.inode = I.get_inode(i);
  i.nlink += 1;
  i.state &= ~I.I_LINKABLE;
  i.ctime = root().clock;
  publish(d);
  return 0;
}

/** A name of a directory that is not in use as one goes. */
function drop_name(d: dentry): void {
  const i = d.inode;
  const dir = d.parent.inode;
  if (is_dir(i)) {
    i.nlink = 0;
    i.state |= I.S_DEAD;
    dir.nlink -= 1;
  } else {
    i.nlink -= 1;
  }
  i.ctime = root().clock;
  I.touch(dir);
  detach_mounts(d);
  D.d_drop(d);
}

/** unlink(2) of the last name. */
export function vfs_unlink(p: task_struct, nd: nameidata): i32 {
  if (nd.last_type != N.LAST_NORM) return -E.EISDIR;
  let bad = P.mnt_want_write(nd.mnt);
  if (bad) return bad;
  const d = N.lookup_one(nd);
  if (nil(d)) return -E.ENOENT;
  if (IS_ERR(d)) return PTR_ERR(d);
  if (nd.flags & N.LOOKUP_TRAILING) return is_dir(d.inode) ? -E.EISDIR : -E.ENOTDIR;
  bad = P.may_delete(nd.cred, nd.dentry.inode, d, false);
  if (bad) return bad;
  if (is_local_mountpoint(p, d)) return -E.EBUSY;
  drop_name(d);
  return 0;
}

/** rmdir(2) of the last name. */
export function vfs_rmdir(p: task_struct, nd: nameidata): i32 {
  if (nd.last_type == N.LAST_DOTDOT) return -E.ENOTEMPTY;
  if (nd.last_type == N.LAST_DOT) return -E.EINVAL;
  if (nd.last_type == N.LAST_ROOT) return -E.EBUSY;
  let bad = P.mnt_want_write(nd.mnt);
  if (bad) return bad;
  const d = N.lookup_one(nd);
  if (nil(d)) return -E.ENOENT;
  if (IS_ERR(d)) return PTR_ERR(d);
  bad = P.may_delete(nd.cred, nd.dentry.inode, d, true);
  if (bad) return bad;
  if (is_local_mountpoint(p, d)) return -E.EBUSY;
  if (d.inode.nr_children) return -E.ENOTEMPTY;
  drop_name(d);
  return 0;
}

/** What can be said of a rename before the two names are looked at together. */
function may_rename(from: nameidata, to: nameidata, flags: u32): i32 {
  if (!same(from.mnt, to.mnt)) return -E.EXDEV;
  if (from.last_type != N.LAST_NORM) return -E.EBUSY;
  if (to.last_type != N.LAST_NORM) return flags & S.RENAME_NOREPLACE ? -E.EEXIST : -E.EBUSY;
  return P.mnt_want_write(from.mnt);
}

/** Slashes behind a name that is no directory, a directory that would come to lie in itself. */
function shape_of_rename(
  from: nameidata,
  to: nameidata,
  old: dentry,
  target: dentry,
  flags: u32,
): i32 {
  const exchange = (flags & S.RENAME_EXCHANGE) != 0;
  if (exchange && !is_dir(target.inode) && to.flags & N.LOOKUP_TRAILING) return -E.ENOTDIR;
  if (!is_dir(old.inode)) {
    if (from.flags & N.LOOKUP_TRAILING) return -E.ENOTDIR;
    if (!exchange && to.flags & N.LOOKUP_TRAILING) return -E.ENOTDIR;
  }
  if (D.is_subdir(to.dentry, old)) return -E.EINVAL;
  if (nil(target) || !D.is_subdir(from.dentry, target)) return 0;
  return exchange ? -E.EINVAL : -E.ENOTEMPTY;
}

/** Who may take the one name away and make or take the other. */
function permit_rename(
  from: nameidata,
  to: nameidata,
  old: dentry,
  target: dentry,
  flags: u32,
): i32 {
  const c = from.cred;
  const directory = is_dir(old.inode);
  const exchange = (flags & S.RENAME_EXCHANGE) != 0;
  let bad = P.may_delete(c, from.dentry.inode, old, directory);
  if (bad) return bad;
  if (nil(target)) {
    bad = P.may_create_other(c, to.dentry.inode);
  } else {
    const as = exchange ? is_dir(target.inode) : directory;
    bad = P.may_delete(c, to.dentry.inode, target, as);
  }
  if (bad || same(from.dentry, to.dentry)) return bad;
  // its `..` changes
  if (directory) {
    bad = P.inode_permission(c, old.inode, P.MAY_WRITE);
    if (bad) return bad;
  }
  if (exchange && is_dir(target.inode)) {
    return P.inode_permission(c, target.inode, P.MAY_WRITE);
  }
  return 0;
}

/** rename(2) and renameat2(2) of the last name of `from` to that of `to`. */
export function vfs_rename(p: task_struct, from: nameidata, to: nameidata, flags: u32): i32 {
  let bad = may_rename(from, to, flags);
  if (bad) return bad;
  const old = N.lookup_one(from);
  if (nil(old)) return -E.ENOENT;
  if (IS_ERR(old)) return PTR_ERR(old);
  const target = N.lookup_one(to);
  if (IS_ERR(target)) return PTR_ERR(target);
  if (flags & S.RENAME_NOREPLACE && !nil(target)) return -E.EEXIST;
  if (flags & S.RENAME_EXCHANGE && nil(target)) return -E.ENOENT;
  bad = shape_of_rename(from, to, old, target, flags);
  if (bad) return bad;
  if (!nil(target) && same(old.inode, target.inode)) return 0;
  bad = permit_rename(from, to, old, target, flags);
  if (bad) return bad;
  // queues keep their names
  if (to.dentry.inode.sb.type == FS_MQUEUE) return -E.EPERM;
  if (is_local_mountpoint(p, old)) return -E.EBUSY;
  if (!nil(target) && is_local_mountpoint(p, target)) return -E.EBUSY;
  const dir = to.dentry.inode;
  const exchange = (flags & S.RENAME_EXCHANGE) != 0;
  const moves = is_dir(old.inode) && !same(from.dentry, to.dentry);
  if (moves && nil(target) && dir.nlink >= <u32>S.LINK_MAX) return -E.EMLINK;
  if (exchange) {
    exchange_names(old, target);
    return 0;
  }
  if (!nil(target) && target.inode.nr_children) return -E.ENOTEMPTY;
  return move_name(from, to, old, target, (flags & S.RENAME_WHITEOUT) != 0);
}

function exchange_names(a: dentry, b: dentry): void {
  const from = a.parent.inode;
  const to = b.parent.inode;
  const da: u32 = is_dir(a.inode) ? 1 : 0;
  const db: u32 = is_dir(b.inode) ? 1 : 0;
  from.nlink += db - da;
  to.nlink += da - db;
  D.d_exchange(a, b);
  I.touch(from);
  I.touch(to);
  a.inode.ctime = b.inode.ctime = root().clock;
}

/** The change itself; first all that it needs. A whiteout stays where the name was. */
function move_name(
  from: nameidata,
  to: nameidata,
  old: dentry,
  target: dentry,
  whiteout: bool,
): i32 {
  const dir = to.dentry.inode;
  const name = kmalloc(<u32>to.last_len);
  if (!name || !D.d_reserve(dir)) {
    kfree(name, <u32>to.last_len);
    return -E.ENOMEM;
  }
  if (whiteout) {
    const bad = leave_whiteout(from);
    if (bad) {
      kfree(name, <u32>to.last_len);
      return bad;
    }
  }
  memory.copy(name, to.last, to.last_len);
  const old_dir = from.dentry.inode;
  if (!nil(target)) drop_name(target);
  if (is_dir(old.inode)) {
    old_dir.nlink -= 1;
    dir.nlink += 1;
  }
  D.d_move(old, to.dentry, name, <u32>to.last_len);
  old.inode.ctime = root().clock;
  I.touch(old_dir);
  I.touch(dir);
  return 0;
}

/** A character device 0:0 under the name that is about to move away, behind it in its bucket. */
function leave_whiteout(from: nameidata): i32 {
  const d = vfs_make(from, S_IFCHR, 0);
  return IS_ERR(d) ? PTR_ERR(d) : 0;
}
