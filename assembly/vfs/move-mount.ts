// What move_mount(2) and MS_MOVE come down to (fs/namespace.c): a tree goes to another place, or
// beneath what is there; a mount joins another one's peers.
import { cred_ns_capable } from "../cred/cred.ts";
import { dentry, is_subdir } from "./dcache.ts";
import * as D from "./do-mount.ts";
import { nil, same } from "../lib/err.ts";
import { is_dir } from "./inode.ts";
import { list_head } from "../lib/list.ts";
import { lookup_mnt, mnt_namespace, mount, next_mnt } from "./mount.ts";
import { mnt_ns_of_task } from "./mnt-namespace.ts";
import { attach_recursive_mnt, TREE_BENEATH, TREE_MOVE } from "./mount-tree.ts";
import * as P from "./pnode.ts";
import { cold, task_struct } from "../process/task.ts";
import { CAP_SYS_ADMIN } from "../uapi/capability.ts";
import * as E from "../uapi/errno.ts";
import * as F from "../uapi/mount.ts";
import { user_namespace } from "../namespace/user-namespace.ts";

function has_parent(m: mount): bool {
  return !same(m.parent, m);
}

/** Is one of the mounts of a tree not to be copied? */
function has_unbindable(top: mount): bool {
  for (let m = top; !nil(m); m = next_mnt(m, top)) if (m.flags & F.MNT_UNBINDABLE) return true;
  return false;
}

/** Would what is mounted at `d` of `from` be mounted on the root of `to` as well? */
function would_overmount(from: mount, to: mount, d: dentry): bool {
  if (!P.is_shared(from) || !same(to.root, d)) return false;
  for (let m = to; !nil(m); m = m.master) if (m.group && m.group == from.group) return true;
  return false;
}

/** May something be put between `m` and what it is mounted on? */
function can_move_beneath(p: task_struct, old: mount, at: dentry, m: mount): i32 {
  if (m.flags & F.MNT_LOCKED || !nil(lookup_mnt(old, at))) return -E.EINVAL;
  const ns = mnt_ns_of_task(p);
  if (same(m, cold(p).fs.root_mnt) || (!nil(ns) && same(m.parent, ns.root))) return -E.EINVAL;
  for (let up = old; has_parent(up); up = up.parent) if (same(up, m)) return -E.EINVAL;
  if (would_overmount(m.parent, m, m.mountpoint)) return -E.EINVAL;
  const seen = D.check_mnt(p, old) && would_overmount(m.parent, old, m.mountpoint);
  return seen ? -E.EINVAL : 0;
}

/** Where may a tree go that is attached nowhere: to `ns`, or to another one of its kind? */
function may_use_mount(p: task_struct, ns: mnt_namespace, m: mount): bool {
  return D.in_ns(m, ns) || D.check_mnt(p, m) || D.check_anonymous_mnt(p, m);
}

/** Is the tree one that may move, and the place one where it may go? Return: 0 or -EINVAL. */
function may_move(p: task_struct, ns: mnt_namespace, old: mount, m: mount): bool {
  if (nil(old.ns)) return false;
  if (D.check_mnt(p, old)) {
    return has_parent(old) && !(old.flags & F.MNT_LOCKED) && D.in_ns(m, mnt_ns_of_task(p));
  }
  if (!old.ns.anon || has_parent(old) || same(old.ns, m.ns)) return false;
  return may_use_mount(p, ns, m);
}

/**
 * The tree at a place, or one that is attached nowhere, goes to a place in `ns`, the namespace that
 * the caller may change; `beneath` what is mounted there.
 */
export function do_move_mount(
  p: task_struct,
  ns: mnt_namespace,
  old: mount,
  at: dentry,
  to: mount,
  place: dentry,
  beneath: bool,
): i32 {
  if (!D.path_mounted(old, at) || is_dir(place.inode) != is_dir(at.inode)) return -E.EINVAL;
  let m = D.topmost_at(to, place);
  let d = same(m, to) ? place : m.root;
  if (beneath && (!has_parent(m) || !D.path_mounted(m, d))) return -E.EINVAL;
  if (D.cant_mount(m, beneath ? m.mountpoint : d)) return -E.ENOENT;
  const attached = has_parent(old);
  if (!may_move(p, ns, old, m)) return -E.EINVAL;
  if (attached && P.is_shared(old.parent)) return -E.EINVAL;
  if (beneath) {
    // what is on top would be lent along with it
    if (!D.in_ns(m, mnt_ns_of_task(p)) && !m.ns.anon) return -E.EINVAL;
    const bad = can_move_beneath(p, old, at, m);
    if (bad) return bad;
    d = m.mountpoint;
    m = m.parent;
  }
  if (P.is_shared(m) && has_unbindable(old)) return -E.EINVAL;
  for (let up = m; has_parent(up); up = up.parent) if (same(up, old)) return -E.ELOOP;
  const how = (attached ? TREE_MOVE : 0) | (beneath ? TREE_BENEATH : 0);
  const bad = attach_recursive_mnt(old, m, d, how);
  if (bad) return bad;
  old.expiry = 0;
  if (!attached && !old.ns.anon) D.lend_tree(p, old);
  return 0;
}

function owner_of(m: mount): user_namespace {
  return changetype<user_namespace>(<usize>m.ns.user_ns);
}

/** MOVE_MOUNT_SET_GROUP: `to`, a private mount of the same, propagates as `from` does. */
export function do_set_group(p: task_struct, from: mount, at: dentry, to: mount, d: dentry): i32 {
  if (nil(from.ns) || nil(to.ns)) return -E.EINVAL;
  if (!cred_ns_capable(p.cred, owner_of(from), CAP_SYS_ADMIN)) return -E.EPERM;
  if (!cred_ns_capable(p.cred, owner_of(to), CAP_SYS_ADMIN)) return -E.EPERM;
  if (!D.path_mounted(from, at) || !D.path_mounted(to, d)) return -E.EINVAL;
  if (!same(from.sb, to.sb) || !is_subdir(to.root, from.root)) return -E.EINVAL;
  if (D.has_locked_children(from, to.root)) return -E.EINVAL;
  if (P.is_shared(to) || P.is_slave(to)) return -E.EINVAL;
  if (!P.is_shared(from) && !P.is_slave(from)) return -E.EINVAL;
  if (P.is_slave(from)) {
    to.master = from.master;
    list_head.add(to.slave, from.slave);
  }
  if (P.is_shared(from)) {
    P.mnt_join_group(to, from);
    P.set_mnt_shared(to);
  }
  return 0;
}
