// Mount namespaces: the tree that a process sees, and how mounts leave it (fs/namespace.c).
import { dentry, d_make_root } from "./dcache.ts";
import { nil, same } from "../lib/err.ts";
import { set_fs_pwd, set_fs_root } from "../fs/fs.ts";
import { iput, new_inode } from "./inode.ts";
import { list_head } from "../lib/list.ts";
import * as M from "./mount.ts";
import { mnt_namespace, mount } from "./mount.ts";
import { mnt_make_private } from "./pnode.ts";
import { alloc_super, deactivate_super, FS_ROOTFS, FS_TMPFS, fs_name } from "./super.ts";
import { super_block } from "./super.ts";
import { VFS_BUFFER } from "../lib/root.ts";
import { cold, task_struct } from "../process/task.ts";
import { MNT_LOCKED, MNT_UMOUNT } from "../uapi/mount.ts";
import { S_IFDIR } from "../uapi/stat.ts";
import { user_namespace } from "../namespace/user-namespace.ts";

/** The mount namespace of a task; null when it is the world's, or empty. */
export function mnt_ns_of_task(p: task_struct): mnt_namespace {
  const ns = changetype<mnt_namespace>(changetype<usize>(cold(p).nsproxy.mnt_ns));
  return nil(ns) || nil(ns.root) ? changetype<mnt_namespace>(0) : ns;
}

/** Is something mounted there that the caller sees? */
export function is_local_mountpoint(p: task_struct, d: dentry): bool {
  const ns = mnt_ns_of_task(p);
  for (let m = d.mounts; !nil(m); m = m.mp_next) if (same(m.ns, ns) && !nil(ns)) return true;
  return false;
}

/**
 * Takes the tree of mounts at `top` out of its namespace. What others still refer to stays; a
 * locked mount stays where it is on its parent, so that nobody looks beneath it.
 */
export function umount_tree(top: mount): void {
  let m = top;
  while (!nil(m)) {
    m.flags |= MNT_UMOUNT;
    m = M.next_mnt(m, top);
  }
  // leaves first: a mount has its mounts taken off before it goes itself
  while (true) {
    m = top;
    while (!list_head.empty(m.mounts)) {
      const next = first_to_leave(m);
      if (nil(next)) break;
      m = next;
    }
    leave_ns(m);
    if (same(m, top)) return;
  }
}

/** A mount on `m` that is still in its namespace; null: none. */
function first_to_leave(m: mount): mount {
  for (let at = m.mounts.next; at !== m.mounts; at = at.next) {
    const child = mount.from_child(at);
    if (!nil(child.ns)) return child;
  }
  return changetype<mount>(0);
}

/** `m` is in its namespace no more. */
function leave_ns(m: mount): void {
  const parent = m.parent;
  mnt_make_private(m);
  const connected = m.flags & MNT_LOCKED && !same(parent, m) && parent.flags & MNT_UMOUNT;
  if (!nil(m.ns)) M.mnt_del_from_ns(m);
  if (connected) return;
  M.mnt_detach(m);
  M.mntput(m);
}

/** The name is gone: what is mounted on it, in namespaces that don't know, goes too. */
export function detach_mounts(d: dentry): void {
  while (!nil(d.mounts)) {
    const m = d.mounts;
    if (nil(m.ns)) {
      M.mnt_detach(m);
      M.mntput(m);
    } else {
      umount_tree(m);
    }
  }
}

/** A namespace is gone: its mounts go. */
export function free_mnt_ns(ns: mnt_namespace): void {
  if (nil(ns.root)) return;
  umount_tree(ns.root);
}

/** A file system of a type with an empty root directory, one active reference. Null: no memory. */
export function mount_nodev(type: u32, mode: u32, user_ns: user_namespace): super_block {
  const sb = alloc_super(type, user_ns);
  if (nil(sb)) return sb;
  const i = new_inode(sb, S_IFDIR | mode, 0, 0);
  if (!nil(i)) {
    sb.root = d_make_root(i);
    if (nil(sb.root)) iput(i);
  }
  if (!nil(sb.root)) return sb;
  deactivate_super(sb);
  return changetype<super_block>(0);
}

/** A mount of a new file system; null when memory is exhausted. */
function mount_of(type: u32, mode: u32, user_ns: user_namespace): mount {
  const sb = mount_nodev(type, mode, user_ns);
  if (nil(sb)) return changetype<mount>(0);
  store<u64>(VFS_BUFFER, fs_name(type));
  const m = M.alloc_mount(sb, sb.root, VFS_BUFFER, type == FS_ROOTFS ? 6 : 5);
  deactivate_super(sb);
  return m;
}

/** `m` is the root of a namespace that has none. */
export function mnt_ns_set_root(ns: mnt_namespace, m: mount): void {
  list_head.init(ns.mounts);
  ns.root = m;
  M.mnt_add_to_ns(m, ns);
}

/**
 * Boot: the first process has a root of the kernel's, on top of a rootfs that never goes, as Linux
 * has it. False when there is no memory for it.
 */
export function init_mount_tree(p: task_struct): bool {
  const user_ns = p.cred.user_ns;
  const rootfs = mount_of(FS_ROOTFS, 0o755, user_ns);
  const top = mount_of(FS_TMPFS, 0o755, user_ns);
  if (nil(rootfs) || nil(top)) return false;
  const ns = changetype<mnt_namespace>(changetype<usize>(cold(p).nsproxy.mnt_ns));
  mnt_ns_set_root(ns, rootfs);
  M.mnt_attach(top, rootfs, rootfs.root);
  M.mnt_add_to_ns(top, ns);
  set_fs_root(cold(p).fs, top, top.root);
  set_fs_pwd(cold(p).fs, top, top.root);
  return true;
}
