// Mount namespaces: the tree that a process sees, and how mounts leave it (fs/namespace.c).
import { d_alloc, dentry, d_make_root, dput, d_rehash, d_reserve } from "./dcache.ts";
import { IS_ERR, NULL, nil, PTR_ERR, same } from "../lib/err.ts";
import { clear_fs_paths, fs_struct, set_fs_pwd, set_fs_root } from "../fs/fs.ts";
import { iput, is_dir, new_inode } from "./inode.ts";
import { list_head } from "../lib/list.ts";
import * as M from "./mount.ts";
import { mnt_namespace, mount } from "./mount.ts";
import { CL_COPY_UNBINDABLE, CL_SHARED_TO_SLAVE, copy_tree } from "./mount-tree.ts";
import { count_tree, dissolve_tree, leave_home } from "./mount-tree.ts";
import { lock_mnt_tree, umount_tree } from "./mount-tree.ts";
import { container } from "../container/container.ts";
import { create_ns, ns_common, put_ns } from "../namespace/namespace.ts";
import { CLONE_NEWNS } from "../uapi/sched.ts";
import { alloc_super, deactivate_super, FS_ROOTFS, FS_TMPFS, fs_name } from "./super.ts";
import { super_block } from "./super.ts";
import { root, VFS_BUFFER } from "../lib/root.ts";
import { cold, task_struct } from "../process/task.ts";
import { ENOSPC } from "../uapi/errno.ts";
import { S_IFCHR } from "../uapi/fcntl.ts";
import { S_IFDIR } from "../uapi/stat.ts";
import { user_namespace } from "../namespace/user-namespace.ts";

// Names of the first files, first byte lowest.
const NAME_NULL: u64 = 0x6c6c756e;
const NAME_ZERO: u64 = 0x6f72657a;
const NAME_FULL: u64 = 0x6c6c7566;
const NAME_RANDOM: u64 = 0x6d6f646e6172;
const NAME_URANDOM: u64 = 0x6d6f646e617275;
const NAME_TTY: u64 = 0x797474;
const NAME_BIN: u64 = 0x6e6962;
const NAME_DEV: u64 = 0x766564;
const NAME_PROC: u64 = 0x636f7270;
const NAME_TMP: u64 = 0x706d74;

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

/** A namespace is gone: its mounts go. */
export function free_mnt_ns(ns: mnt_namespace): void {
  if (nil(ns.root)) return;
  umount_tree(ns.root, false);
}

/**
 * A tree that is attached nowhere gets an anonymous namespace, which goes with it, for owner
 * `user_ns`. Takes the tree's reference. Return: 0, -ENOMEM, -ENOSPC: the caller keeps it then.
 */
export function make_anon_ns(top: mount, user_ns: user_namespace, uid: i32, origin: u32): i32 {
  const made = create_ns(CLONE_NEWNS, NULL<ns_common>(), user_ns, uid);
  if (IS_ERR(made)) return PTR_ERR(made);
  const ns = changetype<mnt_namespace>(changetype<usize>(made));
  ns.anon = 1;
  ns.origin = origin;
  list_head.init(ns.mounts);
  ns.root = top;
  for (let m = top; !nil(m); m = M.next_mnt(m, top)) M.mnt_add_to_ns(m, ns);
  return 0;
}

/** The last descriptor of a tree goes; if it is still attached nowhere, so does the tree. */
export function dissolve_on_fput(m: mount): void {
  const ns = m.ns;
  if (nil(ns) || !ns.anon || !same(ns.root, m)) return;
  dissolve_tree(m);
  ns.root = NULL<mount>();
  put_ns(ns);
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

/** Boot: a name of up to eight bytes in a directory; its dentry, or null. */
function make_at(dir: dentry, name: u64, mode: u32, rdev: u32): dentry {
  store<u64>(VFS_BUFFER, name);
  let len: u32 = 8;
  while (!load<u8>(VFS_BUFFER + len - 1)) len -= 1;
  if (nil(dir) || !d_reserve(dir.inode)) return NULL<dentry>();
  const d = d_alloc(dir, VFS_BUFFER, len);
  if (nil(d)) return d;
  d.inode = new_inode(dir.inode.sb, mode, 0, 0);
  if (!nil(d.inode)) {
    d.inode.rdev = rdev;
    if (is_dir(d.inode)) dir.inode.nlink += 1;
    d_rehash(d);
  }
  const made = !nil(d.inode);
  dput(d);
  return made ? d : NULL<dentry>();
}

/** Memory devices and the terminal of a process, as every /dev has them. */
export function make_devices(dev: dentry): bool {
  const mode: u32 = S_IFCHR | 0o666;
  if (nil(make_at(dev, NAME_NULL, mode, (1 << 20) | 3))) return false;
  if (nil(make_at(dev, NAME_ZERO, mode, (1 << 20) | 5))) return false;
  if (nil(make_at(dev, NAME_FULL, mode, (1 << 20) | 7))) return false;
  if (nil(make_at(dev, NAME_RANDOM, mode, (1 << 20) | 8))) return false;
  if (nil(make_at(dev, NAME_URANDOM, mode, (1 << 20) | 9))) return false;
  return !nil(make_at(dev, NAME_TTY, mode, 5 << 20));
}

/** What a root directory has at least: /bin /dev /proc /tmp. */
function furnish_root(top: dentry): bool {
  if (nil(make_at(top, NAME_BIN, S_IFDIR | 0o755, 0))) return false;
  const dev = make_at(top, NAME_DEV, S_IFDIR | 0o755, 0);
  if (nil(dev) || !make_devices(dev)) return false;
  if (nil(make_at(top, NAME_PROC, S_IFDIR | 0o555, 0))) return false;
  return !nil(make_at(top, NAME_TMP, S_IFDIR | 0o1777, 0));
}

/**
 * Boot: the first process has a root of the kernel's, on top of a rootfs that never goes, as Linux
 * has it. False when there is no memory for it.
 */
export function init_mount_tree(p: task_struct): bool {
  const user_ns = p.cred.user_ns;
  const rootfs = mount_of(FS_ROOTFS, 0o755, user_ns);
  const top = mount_of(FS_TMPFS, 0o755, user_ns);
  if (nil(rootfs) || nil(top) || !furnish_root(top.root)) return false;
  const ns = changetype<mnt_namespace>(changetype<usize>(cold(p).nsproxy.mnt_ns));
  mnt_ns_set_root(ns, rootfs);
  M.mnt_attach(top, rootfs, rootfs.root);
  M.mnt_add_to_ns(top, ns);
  set_fs_root(cold(p).fs, top, top.root);
  set_fs_pwd(cold(p).fs, top, top.root);
  return true;
}

/** Is the directory the root of its mount namespace, with all that is mounted on it? */
export function is_ns_root(m: mount, d: dentry): bool {
  if (nil(m.ns)) return false;
  const top = topmost(m.ns);
  return same(m, top) && same(d, top.root);
}

/** What is mounted last on the root of a namespace. */
function topmost(ns: mnt_namespace): mount {
  let top = ns.root;
  while (true) {
    const over = M.lookup_mnt(top, top.root);
    if (nil(over)) return top;
    top = over;
  }
}

/**
 * CLONE_NEWNS: a copy of all mounts, for owner `user_ns` and counted for `uid`. Whose owner is
 * another gets what is shared as slaves, and what there is locked. ERR_PTR of ENOMEM, ENOSPC.
 */
export function copy_mnt_ns(old: ns_common, user_ns: user_namespace, uid: i32): ns_common {
  const made = create_ns(CLONE_NEWNS, NULL<ns_common>(), user_ns, uid);
  const from = changetype<mnt_namespace>(changetype<usize>(old));
  if (IS_ERR(made) || nil(from) || nil(from.root)) return made;
  const foreign = from.user_ns != <u32>changetype<usize>(user_ns);
  const flag = foreign ? CL_COPY_UNBINDABLE | CL_SHARED_TO_SLAVE : CL_COPY_UNBINDABLE;
  const top = copy_tree(from.root, from.root.root, flag);
  if (IS_ERR(top)) {
    put_ns(made);
    return changetype<ns_common>(changetype<usize>(top));
  }
  if (foreign) lock_mnt_tree(top);
  const ns = changetype<mnt_namespace>(changetype<usize>(made));
  list_head.init(ns.mounts);
  ns.root = top;
  for (let m = top; !nil(m); m = M.next_mnt(m, top)) M.mnt_add_to_ns(m, ns);
  return made;
}

/** The directories of `fs` in namespace `from` become those of the copy just made of it. */
export function fs_follow_ns(fs: fs_struct, from: ns_common, to: ns_common): void {
  if (nil(fs.root_mnt) || same(from, to)) return;
  const old = changetype<mnt_namespace>(changetype<usize>(from));
  if (same(fs.root_mnt.ns, old)) set_fs_root(fs, fs.root_mnt.copy, fs.root);
  if (same(fs.pwd_mnt.ns, old)) set_fs_pwd(fs, fs.pwd_mnt.copy, fs.pwd);
}

/** setns(2): root and working directory of `fs` are the root of the namespace. */
export function fs_enter_ns(fs: fs_struct, to: ns_common): void {
  const ns = changetype<mnt_namespace>(changetype<usize>(to));
  fs.chrooted = 0;
  if (nil(ns) || nil(ns.root)) {
    clear_fs_paths(fs);
    return;
  }
  const top = topmost(ns);
  set_fs_root(fs, top, top.root);
  set_fs_pwd(fs, top, top.root);
}

/** A new container stands where its maker stands, in the namespace that it was given. */
export function container_inherit_root(c: container, p: task_struct): void {
  const fs = cold(p).fs;
  if (nil(fs.root_mnt) || nil(c.ns.mnt_ns)) return;
  const copied = !same(c.ns.mnt_ns, cold(p).nsproxy.mnt_ns);
  const ns = changetype<mnt_namespace>(changetype<usize>(cold(p).nsproxy.mnt_ns));
  c.root_mnt = copied && same(fs.root_mnt.ns, ns) ? fs.root_mnt.copy : fs.root_mnt;
  c.root = fs.root;
  M.path_get(c.root_mnt, c.root);
}

/** A container has another root directory. */
export function set_container_root(c: container, m: mount, d: dentry): void {
  M.path_get(m, d);
  M.path_put(c.root_mnt, c.root);
  c.root_mnt = m;
  c.root = d;
}

/**
 * `m`, which is attached nowhere, is the root of a container that has none: it gets a namespace
 * of its own. Takes the mount's reference. Return: 0, -ENOMEM, -ENOSPC: the caller keeps it then.
 */
export function furnish_container(c: container, m: mount): i32 {
  if (count_tree(m) > root().mounts_max) return -ENOSPC;
  const made = create_ns(CLONE_NEWNS, NULL<ns_common>(), c.cred.user_ns, c.cred.euid);
  if (IS_ERR(made)) return PTR_ERR(made);
  if (!nil(m.ns)) leave_home(m);
  const ns = changetype<mnt_namespace>(changetype<usize>(made));
  list_head.init(ns.mounts);
  ns.root = m;
  for (let at = m; !nil(at); at = M.next_mnt(at, m)) M.mnt_add_to_ns(at, ns);
  c.ns.mnt_ns = made;
  set_container_root(c, m, m.root);
  return 0;
}
