// struct mount - a file system, or a part of one, at a place - and struct mnt_namespace, the tree
// of mounts that a process sees (fs/mount.h). How they are moved about is namei's and
// namespace's business; here are their links and references.
import { dentry, dget, dput } from "./dcache.ts";
import { nil, same } from "../lib/err.ts";
import { list_at, list_head } from "../lib/list.ts";
import { ns_common } from "../namespace/namespace.ts";
import { root } from "../lib/root.ts";
import {
  CACHE_MOUNT,
  kfree,
  kmalloc,
  kmem_cache_free,
  kmem_cache_init,
  kmem_cache_zalloc,
} from "../lib/slab.ts";
import { deactivate_super, get_super, super_block } from "./super.ts";
import { dissolve_on_fput } from "./mnt-namespace.ts";
import { mnt_make_private } from "./pnode.ts";
import { MNT_UMOUNT } from "../uapi/mount.ts";

/**
 * struct mount - 120 bytes.
 *
 * Lifetime: one reference for being in a namespace or for being attached to a parent in none, one
 * per mount on it, one per path that is kept: open files, root and working directories, containers.
 * A locked mount stays on its parent when both are taken out of a namespace (MNT_UMOUNT): it goes
 * with it, and has no reference to it.
 */
@unmanaged
export class mount {
  count: i32; // refcount_t
  flags: u32; // MNT_*
  parent: mount; // holds a reference; of a tree's root: itself, without one
  mountpoint: dentry; // in the parent; holds a reference; null: none
  root: dentry; // [C] what of the file system it shows; holds a reference
  sb: super_block; // [C] holds an active reference
  ns: mnt_namespace; // no reference; null: in none
  id: i32; // [C]
  mp_next: mount; // on mountpoint.mounts
  mounts_next: u32; // list_head: mounts on it, by child_next
  mounts_prev: u32;
  child_next: u32; // list_head: on parent.mounts
  child_prev: u32;
  ns_next: u32; // list_head: on ns.mounts
  ns_prev: u32;
  share_next: u32; // list_head: its peers, in a ring without a head
  share_prev: u32;
  slaves_next: u32; // list_head: those that receive from it, by slave_next
  slaves_prev: u32;
  slave_next: u32; // list_head: on master.slaves
  slave_prev: u32;
  master: mount; // whom it receives from; no reference: its end makes it choose another
  group: i32; // number of its peer group, 0: none
  copy: mount; // while a tree is copied or propagated: the copy made of it or for it
  expiry: u32; // 1: the next MNT_EXPIRE takes it away
  devname: u32; // kmalloc'd bytes: what it was mounted from
  devname_len: u32;
  target: mount; // of a copy that is to be attached: where; the next one is mp_next
  fresh: u32; // 1: shared for the attachment under way; 2, 3: to be taken away (umount_tree)
  writers: u32; // open files of it that may be written

  get mounts(): list_head {
    return list_at(changetype<usize>(this), offsetof<mount>("mounts_next"));
  }
  get child(): list_head {
    return list_at(changetype<usize>(this), offsetof<mount>("child_next"));
  }
  get ns_link(): list_head {
    return list_at(changetype<usize>(this), offsetof<mount>("ns_next"));
  }
  get share(): list_head {
    return list_at(changetype<usize>(this), offsetof<mount>("share_next"));
  }
  get slaves(): list_head {
    return list_at(changetype<usize>(this), offsetof<mount>("slaves_next"));
  }
  get slave(): list_head {
    return list_at(changetype<usize>(this), offsetof<mount>("slave_next"));
  }
  static from_child(l: list_head): mount {
    return changetype<mount>(changetype<usize>(l) - offsetof<mount>("child_next"));
  }
  static from_ns(l: list_head): mount {
    return changetype<mount>(changetype<usize>(l) - offsetof<mount>("ns_next"));
  }
  static from_share(l: list_head): mount {
    return changetype<mount>(changetype<usize>(l) - offsetof<mount>("share_next"));
  }
  static from_slave(l: list_head): mount {
    return changetype<mount>(changetype<usize>(l) - offsetof<mount>("slave_next"));
  }
}

/** struct mnt_namespace - begins with the head that every namespace has. */
@unmanaged
export class mnt_namespace extends ns_common {
  root: mount; // holds the reference that being in the namespace is; null: the world's mounts
  mounts_next: u32; // list_head: all mounts in it, oldest first; one reference each
  mounts_prev: u32;
  nr_mounts: u32;
  pending: u32; // mounts that the attachment under way is going to add
  anon: u32; // [C] 1: holds a tree that is attached nowhere, which is its only reference
  origin: u32; // [C] of such a one: inum of the namespace that it was copied from, 0: none

  get mounts(): list_head {
    return list_at(changetype<usize>(this), offsetof<mnt_namespace>("mounts_next"));
  }
}

/** struct vfs_file - where the file of an open descriptor is; 16 bytes, belongs to its file. */
@unmanaged
export class vfs_file {
  mnt: mount; // holds a reference
  dentry: dentry; // holds a reference
  data: u32; // of proc: proc_text_file or proc_file, which belongs to it
  kind: u32; // of `data`: FILE_PROC, FILE_PROC_TEXT; 0: there is none
  unmount: u32; // 1: the tree below goes with it, if it is attached nowhere then
  writer: u32; // 1: counted as writer by the mount and by its file system
}

export function mount_caches_init(): void {
  kmem_cache_init(CACHE_MOUNT, <u32>offsetof<mount>());
}

/** A mount of `sb` that shows `top`, attached nowhere, with one reference. Null: no memory. */
export function alloc_mount(sb: super_block, top: dentry, name: usize, len: u32): mount {
  const m = changetype<mount>(kmem_cache_zalloc(CACHE_MOUNT));
  if (nil(m)) return m;
  if (len) {
    m.devname = <u32>kmalloc(len);
    if (!m.devname) {
      kmem_cache_free(CACHE_MOUNT, changetype<usize>(m));
      return changetype<mount>(0);
    }
    memory.copy(m.devname, name, len);
    m.devname_len = len;
  }
  const r = root();
  r.mnt_id += 1;
  m.id = r.mnt_id;
  m.count = 1;
  m.parent = m;
  m.root = dget(top);
  m.sb = get_super(sb);
  list_head.init(m.mounts);
  list_head.init(m.child);
  list_head.init(m.ns_link);
  list_head.init(m.share);
  list_head.init(m.slaves);
  list_head.init(m.slave);
  return m;
}

export function mntget(m: mount): mount {
  m.count += 1;
  return m;
}

/** Puts `m` at a place of `parent`: references to both. */
export function mnt_attach(m: mount, parent: mount, mountpoint: dentry): void {
  m.parent = mntget(parent);
  m.mountpoint = dget(mountpoint);
  m.mp_next = mountpoint.mounts;
  mountpoint.mounts = m;
  list_head.add_tail(m.child, parent.mounts);
}

/** Takes `m` from its place. Return: its old parent, with the reference that `m` had; or null. */
export function mnt_unlink(m: mount): mount {
  const parent = m.parent;
  if (same(parent, m)) return changetype<mount>(0);
  const at = m.mountpoint;
  if (same(at.mounts, m)) {
    at.mounts = m.mp_next;
  } else {
    let before = at.mounts;
    while (!same(before.mp_next, m)) before = before.mp_next;
    before.mp_next = m.mp_next;
  }
  list_head.del_init(m.child);
  m.mp_next = changetype<mount>(0);
  m.mountpoint = changetype<dentry>(0);
  m.parent = m;
  dput(at);
  return parent;
}

/**
 * The same, and the parent's reference goes. What stayed on its parent when both were taken out of
 * a namespace has none.
 */
export function mnt_detach(m: mount): void {
  const connected = m.flags & MNT_UMOUNT && nil(m.ns);
  const parent = mnt_unlink(m);
  if (!nil(parent) && !connected) mntput(parent);
}

/** A tree that nobody has seen goes, the caller's reference to its top with it. */
export function put_tree(top: mount): void {
  while (!list_head.empty(top.mounts)) {
    let leaf = top;
    while (!list_head.empty(leaf.mounts)) leaf = mount.from_child(leaf.mounts.next);
    mnt_detach(leaf);
    mntput(leaf);
  }
  mntput(top);
}

/** A mount that nothing refers to any more, and that nothing is mounted on. */
function free_mount(m: mount): void {
  mnt_make_private(m);
  dput(m.root);
  kfree(m.devname, m.devname_len);
  const sb = m.sb;
  kmem_cache_free(CACHE_MOUNT, changetype<usize>(m));
  deactivate_super(sb);
}

/**
 * Drops a reference. With the last one the mount goes, and what was left on it when it was taken
 * out of its namespace: in a loop, however deep that is.
 */
export function mntput(m: mount): void {
  if (nil(m)) return;
  m.count -= 1;
  if (m.count) return;
  let todo = m;
  todo.mp_next = changetype<mount>(0);
  while (!nil(todo)) {
    const dead = todo;
    todo = dead.mp_next;
    while (!list_head.empty(dead.mounts)) {
      const child = mount.from_child(dead.mounts.next);
      mnt_unlink(child);
      // its reference for being attached
      child.count -= 1;
      if (!child.count) {
        child.mp_next = todo;
        todo = child;
      }
    }
    free_mount(dead);
  }
}

/** What is mounted at a place, without a reference; null: nothing. */
export function lookup_mnt(parent: mount, at: dentry): mount {
  let m = at.mounts;
  while (!nil(m) && !same(m.parent, parent)) m = m.mp_next;
  return m;
}

export function path_get(m: mount, d: dentry): void {
  mntget(m);
  dget(d);
}

/** Drops what a kept path holds; of one that leads nowhere, nothing. */
export function path_put(m: mount, d: dentry): void {
  if (nil(m)) return;
  dput(d);
  mntput(m);
}

/** Is the mount in the tree of a namespace of the kernel's? */
export function mnt_ns_of(m: mount): mnt_namespace {
  return m.flags & MNT_UMOUNT ? changetype<mnt_namespace>(0) : m.ns;
}

/** The next mount of the tree below `top`, in depth-first order; null: that was the last. */
export function next_mnt(m: mount, top: mount): mount {
  if (!list_head.empty(m.mounts)) return mount.from_child(m.mounts.next);
  while (!same(m, top)) {
    const next = m.child.next;
    if (next !== m.parent.mounts) return mount.from_child(next);
    m = m.parent;
  }
  return changetype<mount>(0);
}

/** `m` joins a namespace: the reference that it was made with is the namespace's. */
export function mnt_add_to_ns(m: mount, ns: mnt_namespace): void {
  m.ns = ns;
  list_head.add_tail(m.ns_link, ns.mounts);
  ns.nr_mounts += 1;
}

/** `m` leaves its namespace; the reference is the caller's again. */
export function mnt_del_from_ns(m: mount): void {
  list_head.del_init(m.ns_link);
  m.ns.nr_mounts -= 1;
  m.ns = changetype<mnt_namespace>(0);
}

/** Where the file of a descriptor is: takes a reference to both. Null: no memory. */
export function alloc_vfs_file(m: mount, d: dentry): vfs_file {
  const v = changetype<vfs_file>(kmalloc(<u32>offsetof<vfs_file>()));
  if (nil(v)) return v;
  v.mnt = mntget(m);
  v.dentry = dget(d);
  v.data = v.kind = 0;
  v.unmount = v.writer = 0;
  return v;
}

/** The file may be written: until it is closed, its mount cannot become read-only. */
export function count_writer(v: vfs_file): void {
  v.writer = 1;
  v.mnt.writers += 1;
  v.mnt.sb.writers += 1;
  v.dentry.inode.writers += 1;
}

export function free_vfs_file(v: vfs_file): void {
  if (v.writer) {
    v.mnt.writers -= 1;
    v.mnt.sb.writers -= 1;
    v.dentry.inode.writers -= 1;
  }
  if (v.unmount) dissolve_on_fput(v.mnt);
  path_put(v.mnt, v.dentry);
  kfree(changetype<usize>(v), <u32>offsetof<vfs_file>());
}
