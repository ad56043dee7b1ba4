// What mount(2), umount2(2), pivot_root(2) and the newer mount calls come down to
// (fs/namespace.c): each function checks in Linux's order and then cannot fail, or changes nothing.
import { cred_ns_capable } from "../cred/cred.ts";
import { d_unlinked, dentry, is_subdir } from "./dcache.ts";
import { ERR_PTR, IS_ERR, NULL, nil, PTR_ERR, same } from "../lib/err.ts";
import { fs_context, fs_options } from "./fs-context.ts";
import { parse_data, reconfigure_options } from "./fs-params.ts";
import { fs_struct, set_fs_pwd, set_fs_root } from "../fs/fs.ts";
import { is_dir, is_link } from "./inode.ts";
import * as M from "./mount.ts";
import { mnt_namespace, mount } from "./mount.ts";
import { is_ns_root, mnt_ns_of_task } from "./mnt-namespace.ts";
import * as T from "./mount-tree.ts";
import * as P from "./pnode.ts";
import { ns_common } from "../namespace/namespace.ts";
import { super_block } from "./super.ts";
import { find_ge_pid, pid_namespace, pid_nr_ns } from "../process/pid.ts";
import { root } from "../lib/root.ts";
import { cold, task_struct } from "../process/task.ts";
import { CAP_SYS_ADMIN } from "../uapi/capability.ts";
import * as E from "../uapi/errno.ts";
import * as F from "../uapi/mount.ts";
import { user_namespace } from "../namespace/user-namespace.ts";

/** May `p` change the mounts of its namespace? */
export function may_mount(p: task_struct): bool {
  const ns = cold(p).nsproxy.mnt_ns;
  if (nil(ns)) return false;
  return cred_ns_capable(p.cred, changetype<user_namespace>(ns.user_ns), CAP_SYS_ADMIN);
}

/** Is the mount in a namespace, the caller's own or that of a container that it furnishes? */
export function in_ns(m: mount, ns: mnt_namespace): bool {
  return !nil(ns) && same(m.ns, ns);
}

/** Is it in the caller's namespace? */
export function check_mnt(p: task_struct, m: mount): bool {
  return in_ns(m, mnt_ns_of_task(p));
}

/** Is it in a tree that is attached nowhere, made of nothing or in the caller's namespace? */
export function check_anonymous_mnt(p: task_struct, m: mount): bool {
  if (nil(m.ns) || !m.ns.anon) return false;
  const ns = mnt_ns_of_task(p);
  return !m.ns.origin || (!nil(ns) && m.ns.origin == ns.inum);
}

/** Is the place the root of its mount? */
export function path_mounted(m: mount, d: dentry): bool {
  return same(m.root, d);
}

/** Below `d` of `m`, is there a mount that must not be seen beneath? */
export function has_locked_children(m: mount, d: dentry): bool {
  for (let l = m.mounts.next; l !== m.mounts; l = l.next) {
    const child = mount.from_child(l);
    if (child.flags & F.MNT_LOCKED && is_subdir(child.mountpoint, d)) return true;
  }
  return false;
}

/** The mount that is uppermost at a place, or `m` itself where nothing is mounted. */
export function topmost_at(m: mount, d: dentry): mount {
  let top = m;
  let at = d;
  while (true) {
    const over = M.lookup_mnt(top, at);
    if (nil(over)) return top;
    top = over;
    at = over.root;
  }
}

/**
 * What another's namespace is given is the giver's: its flags stay, what is mounted on it too, and
 * what its new owner mounts there is seen nowhere else.
 */
export function lend_tree(p: task_struct, top: mount): void {
  const mine = changetype<ns_common>(cold(p).nsproxy.mnt_ns);
  if (!nil(mine) && mine.user_ns == top.ns.user_ns) return;
  for (let m = top; !nil(m); m = M.next_mnt(m, top)) {
    if (P.is_shared(m)) P.change_mnt_propagation(m, false, true, false);
  }
  T.lock_mnt_tree(top);
}

/** Is the place, or the mount that it is in, gone? */
export function cant_mount(m: mount, d: dentry): bool {
  return d_unlinked(d) || nil(m.ns);
}

/** Something is going to be mounted there: a place that is there, of the right kind. */
function graft_tree(p: task_struct, made: mount, m: mount, d: dentry): i32 {
  if (is_dir(d.inode) != is_dir(made.root.inode)) return -E.ENOTDIR;
  const bad = T.attach_recursive_mnt(made, m, d, 0);
  if (!bad) lend_tree(p, made);
  return bad;
}

/** A mount that could not be attached goes. Return: `error`. */
function drop_mount(made: mount, error: i32): i32 {
  if (error) M.put_tree(made);
  return error;
}

/**
 * Mounts `made`, which is attached nowhere, at a place of the namespace `ns`; `bound`: a copy of
 * what is mounted elsewhere. Takes its reference, also when it fails.
 */
export function do_add_mount(
  p: task_struct,
  ns: mnt_namespace,
  made: mount,
  m: mount,
  d: dentry,
  bound: bool,
): i32 {
  const top = topmost_at(m, d);
  const at = same(top, m) ? d : top.root;
  if (cant_mount(top, at)) return drop_mount(made, -E.ENOENT);
  if (!in_ns(top, ns)) return drop_mount(made, -E.EINVAL);
  const again = !bound && same(top.sb, made.sb) && path_mounted(top, at);
  if (again) return drop_mount(made, -E.EBUSY);
  if (is_link(made.root.inode)) return drop_mount(made, -E.EINVAL);
  return drop_mount(made, graft_tree(p, made, top, at));
}

/** May the caller copy what is there, to a place in `ns`? */
function may_copy_tree(p: task_struct, ns: mnt_namespace, m: mount): bool {
  return check_mnt(p, m) || in_ns(m, ns) || check_anonymous_mnt(p, m);
}

/**
 * A copy of what is at a place, alone or with all that is mounted below, for a place in `ns`.
 * ERR_PTR of EINVAL, EPERM, ENOMEM.
 */
export function clone_place(
  p: task_struct,
  ns: mnt_namespace,
  m: mount,
  d: dentry,
  recurse: bool,
): mount {
  if (m.flags & F.MNT_UNBINDABLE || !may_copy_tree(p, ns, m)) return ERR_PTR<mount>(-E.EINVAL);
  if (!recurse && has_locked_children(m, d)) return ERR_PTR<mount>(-E.EINVAL);
  const made = recurse ? T.copy_tree(m, d, 0) : T.clone_mnt(m, d, 0);
  if (nil(made)) return ERR_PTR<mount>(-E.ENOMEM);
  if (!IS_ERR(made)) made.flags &= ~(<u32>F.MNT_LOCKED);
  return made;
}

/** MS_BIND: what is at one place is seen at another one of `ns`, too. */
export function do_loopback(
  p: task_struct,
  ns: mnt_namespace,
  old_mnt: mount,
  old: dentry,
  m: mount,
  d: dentry,
  recurse: bool,
): i32 {
  const top = topmost_at(m, d);
  if (cant_mount(top, same(top, m) ? d : top.root)) return -E.ENOENT;
  if (!in_ns(top, ns)) return -E.EINVAL;
  const made = clone_place(p, ns, old_mnt, old, recurse);
  return IS_ERR(made) ? PTR_ERR(made) : do_add_mount(p, ns, made, m, d, true);
}

/** MS_SHARED, MS_PRIVATE, MS_SLAVE or MS_UNBINDABLE of a mount, with MS_REC of all below. */
export function do_change_type(ns: mnt_namespace, m: mount, d: dentry, flags: u32): i32 {
  if (!path_mounted(m, d)) return -E.EINVAL;
  const type = flags & ~(F.MS_REC | F.MS_SILENT);
  const one =
    type == F.MS_SHARED ||
    type == F.MS_PRIVATE ||
    type == F.MS_SLAVE ||
    type == <u32>F.MS_UNBINDABLE;
  if (!one || !in_ns(m, ns)) return -E.EINVAL;
  const unbindable = type == <u32>F.MS_UNBINDABLE;
  for (let at = m; !nil(at); at = flags & F.MS_REC ? M.next_mnt(at, m) : NULL<mount>()) {
    P.change_mnt_propagation(at, type == F.MS_SHARED, type == F.MS_SLAVE, unbindable);
  }
  return 0;
}

export const SETTABLE: u32 =
  F.MNT_READONLY |
  F.MNT_NOSUID |
  F.MNT_NODEV |
  F.MNT_NOEXEC |
  F.MNT_NOATIME |
  F.MNT_NODIRATIME |
  F.MNT_RELATIME |
  F.MNT_NOSYMFOLLOW;
const ATIME: u32 = F.MNT_NOATIME | F.MNT_NODIRATIME | F.MNT_RELATIME;

/** Would the flags take back what a more privileged namespace has fixed? */
export function can_change_locked_flags(m: mount, flags: u32): bool {
  const has = m.flags;
  if (has & F.MNT_LOCK_READONLY && !(flags & F.MNT_READONLY)) return false;
  if (has & F.MNT_LOCK_NODEV && !(flags & F.MNT_NODEV)) return false;
  if (has & F.MNT_LOCK_NOSUID && !(flags & F.MNT_NOSUID)) return false;
  if (has & F.MNT_LOCK_NOEXEC && !(flags & F.MNT_NOEXEC)) return false;
  return !(has & F.MNT_LOCK_ATIME) || (has & ATIME) == (flags & ATIME);
}

/** Would the mount become read-only while somebody writes there? */
export function has_writers(m: mount, flags: u32): bool {
  if (!(flags & F.MNT_READONLY) || m.flags & F.MNT_READONLY || m.sb.flags & F.MS_RDONLY)
    return false;
  return m.writers > 0;
}

/** MS_REMOUNT with MS_BIND: the flags (MNT_*) of one mount. */
export function do_reconfigure_mnt(ns: mnt_namespace, m: mount, d: dentry, flags: u32): i32 {
  if (!in_ns(m, ns) || !path_mounted(m, d)) return -E.EINVAL;
  if (!can_change_locked_flags(m, flags)) return -E.EPERM;
  if (has_writers(m, flags)) return -E.EBUSY;
  m.flags = (m.flags & ~SETTABLE) | (flags & SETTABLE);
  return 0;
}

/** What was said of a file system as a whole becomes so. Return: 0, -EBUSY, -EINVAL. */
export function reconfigure_super(sb: super_block, o: fs_options, fc: fs_context): i32 {
  const readonly = (o.sb_mask & F.MS_RDONLY) != 0 && (o.sb_flags & F.MS_RDONLY) != 0;
  if (readonly && !(sb.flags & F.MS_RDONLY) && sb.writers) return -E.EBUSY;
  const bad = reconfigure_options(sb, o, fc);
  if (bad) return bad;
  if (o.sb_mask & F.MS_RDONLY)
    sb.flags = (sb.flags & ~(<u32>F.MS_RDONLY)) | (o.sb_flags & F.MS_RDONLY);
  return 0;
}

/** MS_REMOUNT: the flags of the mount, and what its file system is told. */
export function do_remount(
  p: task_struct,
  ns: mnt_namespace,
  m: mount,
  d: dentry,
  flags: u32,
  o: fs_options,
): i32 {
  if (!in_ns(m, ns) || !path_mounted(m, d)) return -E.EINVAL;
  if (!can_change_locked_flags(m, flags)) return -E.EPERM;
  const bad = parse_data(o, m.sb.type, p.cred.user_ns);
  if (bad) return bad;
  if (!cred_ns_capable(p.cred, m.sb.user_ns, CAP_SYS_ADMIN)) return -E.EPERM;
  const failed = reconfigure_super(m.sb, o, NULL<fs_context>());
  if (failed) return failed;
  m.flags = (m.flags & ~SETTABLE) | (flags & SETTABLE);
  return 0;
}

/** What umount2(2) may take away. */
function can_umount(p: task_struct, m: mount, d: dentry, flags: u32): i32 {
  if (!may_mount(p)) return -E.EPERM;
  if (!path_mounted(m, d) || !check_mnt(p, m) || m.flags & F.MNT_LOCKED) return -E.EINVAL;
  const force = (flags & F.MNT_FORCE) != 0;
  const all = changetype<user_namespace>(<usize>root().init_user_ns);
  return force && !cred_ns_capable(p.cred, all, CAP_SYS_ADMIN) ? -E.EPERM : 0;
}

/** umount2(2) of what a walk has found; the walk holds no reference. */
export function path_umount(p: task_struct, m: mount, d: dentry, flags: u32): i32 {
  const bad = can_umount(p, m, d, flags);
  if (bad) return bad;
  const own_root = same(m, cold(p).fs.root_mnt);
  if (flags & F.MNT_EXPIRE) {
    if (own_root || flags & (F.MNT_FORCE | F.MNT_DETACH)) return -E.EINVAL;
    if (m.count > 1) return -E.EBUSY;
    if (!m.expiry) {
      m.expiry = 1;
      return -E.EAGAIN;
    }
  }
  if (own_root && !(flags & F.MNT_DETACH)) {
    // the root directory does not go: its file system becomes read-only
    if (!cred_ns_capable(p.cred, m.sb.user_ns, CAP_SYS_ADMIN)) return -E.EPERM;
    if (m.sb.writers && !(m.sb.flags & F.MS_RDONLY)) return -E.EBUSY;
    m.sb.flags |= F.MS_RDONLY;
    return 0;
  }
  // a namespace without mounts is none
  if (same(m.parent, m)) return -E.EINVAL;
  if (!(flags & F.MNT_DETACH) && T.propagate_mount_busy(m, 1)) return -E.EBUSY;
  T.umount_tree(m, true);
  return 0;
}

/** Does `d` in `m` lie below the place `top` in `top_mnt`? */
function is_path_reachable(m: mount, d: dentry, top_mnt: mount, top: dentry): bool {
  while (!same(m, top_mnt) && !same(m.parent, m)) {
    d = m.mountpoint;
    m = m.parent;
  }
  return same(m, top_mnt) && is_subdir(d, top);
}

/** Whoever had the one place as root or working directory has the other one. */
function chroot_fs_refs(old_mnt: mount, old: dentry, m: mount, d: dentry): void {
  const ns = changetype<pid_namespace>(<usize>root().init_pid_ns);
  let number = find_ge_pid(1, ns);
  while (!nil(number)) {
    const p = number.task;
    const fs = nil(p) ? NULL<fs_struct>() : cold(p).fs;
    if (!nil(fs)) {
      if (same(fs.root_mnt, old_mnt) && same(fs.root, old)) {
        set_fs_root(fs, m, d);
        fs.chrooted = is_ns_root(m, d) ? 0 : 1;
      }
      if (same(fs.pwd_mnt, old_mnt) && same(fs.pwd, old)) set_fs_pwd(fs, m, d);
    }
    number = find_ge_pid(pid_nr_ns(number, ns) + 1, ns);
  }
}

/** The rules of pivot_root(2). Return: 0, -EINVAL, -ENOENT, -EBUSY. */
function may_pivot(p: task_struct, m: mount, d: dentry, old_mnt: mount, old: dentry): i32 {
  const fs = cold(p).fs;
  const top = fs.root_mnt;
  if (cant_mount(old_mnt, old)) return -E.ENOENT;
  if (P.is_shared(old_mnt) || P.is_shared(m.parent) || P.is_shared(top.parent)) return -E.EINVAL;
  if (!check_mnt(p, top) || !check_mnt(p, m) || !check_mnt(p, old_mnt)) return -E.EINVAL;
  if (m.flags & F.MNT_LOCKED) return -E.EINVAL;
  if (d_unlinked(d)) return -E.ENOENT;
  if (same(m, top) || same(old_mnt, top)) return -E.EBUSY;
  if (!path_mounted(top, fs.root) || same(top.parent, top)) return -E.EINVAL;
  if (!path_mounted(m, d) || same(m.parent, m)) return -E.EINVAL;
  if (!is_path_reachable(old_mnt, old, m, d)) return -E.EINVAL;
  return is_path_reachable(m, d, top, fs.root) ? 0 : -E.EINVAL;
}

/** pivot_root(2): the mount at one place becomes the root, the old root is put at the other. */
export function do_pivot_root(p: task_struct, m: mount, d: dentry, to_mnt: mount, to: dentry): i32 {
  const old_mnt = topmost_at(to_mnt, to);
  const old = same(old_mnt, to_mnt) ? to : old_mnt.root;
  const bad = may_pivot(p, m, d, old_mnt, old);
  if (bad) return bad;
  const top = cold(p).fs.root_mnt;
  const top_root = cold(p).fs.root;
  M.path_get(top, top_root);
  const root_parent = top.parent;
  const root_place = top.mountpoint;
  M.path_get(root_parent, root_place);
  M.mnt_detach(m);
  M.mnt_detach(top);
  if (top.flags & F.MNT_LOCKED) {
    m.flags |= F.MNT_LOCKED;
    top.flags &= ~(<u32>F.MNT_LOCKED);
  }
  M.mnt_attach(top, old_mnt, old);
  M.mnt_attach(m, root_parent, root_place);
  M.path_put(root_parent, root_place);
  m.expiry = 0;
  chroot_fs_refs(top, top_root, m, d);
  M.path_put(top, top_root);
  return 0;
}
