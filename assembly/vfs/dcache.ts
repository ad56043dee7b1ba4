// struct dentry - a name in a directory (fs/dcache.c). Every name of a file system in memory has
// one for as long as it is there; a file that is open keeps its own after that.
import { nil, same } from "../lib/err.ts";
import { inode_caches_init, iput, is_dir, vfs_inode } from "./inode.ts";
import { list_at, list_head } from "../lib/list.ts";
import { mount } from "./mount.ts";
import {
  CACHE_DENTRY,
  kfree,
  kmalloc,
  kmem_cache_free,
  kmem_cache_init,
  kmem_cache_zalloc,
  kzalloc,
} from "../lib/slab.ts";

/** struct dentry - 64 bytes. */
@unmanaged
export class dentry {
  count: i32; // refcount_t: being in its directory, dentries in it, mounts, paths that are kept
  parent: dentry; // holds a reference; of a root: itself, without one
  inode: vfs_inode; // holds a reference
  name: u32; // [with the directory] kmalloc'd bytes, no NUL
  len: u32;
  hash: u32;
  chain: dentry; // next in its bucket of the directory
  child_next: u32; // list_head: on parent.inode.children
  child_prev: u32;
  off: u32; // where getdents finds it: grows with its age in the directory
  hashed: u32; // 1: it is in its directory
  mounts: mount; // what is mounted on it, in any namespace, by mount.mp_next; no reference

  get child(): list_head {
    return list_at(changetype<usize>(this), offsetof<dentry>("child_next"));
  }
  static from_child(l: list_head): dentry {
    return changetype<dentry>(changetype<usize>(l) - offsetof<dentry>("child_next"));
  }
}

export function dcache_init(): void {
  kmem_cache_init(CACHE_DENTRY, <u32>offsetof<dentry>());
  inode_caches_init();
}

export function dget(d: dentry): dentry {
  d.count += 1;
  return d;
}

/** Drops a reference; climbs to the parents in a loop. */
export function dput(d: dentry): void {
  while (!nil(d)) {
    d.count -= 1;
    if (d.count) return;
    const parent = d.parent;
    const top = same(parent, d);
    if (!nil(d.inode)) iput(d.inode);
    kfree(d.name, d.len);
    kmem_cache_free(CACHE_DENTRY, changetype<usize>(d));
    if (top) return;
    d = parent;
  }
}

/** The root of a file system: takes the reference to the inode. Null, and it stays: no memory. */
export function d_make_root(inode: vfs_inode): dentry {
  const d = changetype<dentry>(kmem_cache_zalloc(CACHE_DENTRY));
  if (nil(d)) return d;
  d.count = 1;
  d.parent = d;
  d.inode = inode;
  list_head.init(d.child);
  return d;
}

/** A name below `parent` that is not there yet, with one reference; null: no memory. */
export function d_alloc(parent: dentry, name: usize, len: u32): dentry {
  const d = changetype<dentry>(kmem_cache_zalloc(CACHE_DENTRY));
  if (nil(d)) return d;
  d.name = <u32>kmalloc(len);
  if (!d.name) {
    kmem_cache_free(CACHE_DENTRY, changetype<usize>(d));
    return changetype<dentry>(0);
  }
  memory.copy(d.name, name, len);
  d.len = len;
  d.hash = name_hash(name, len);
  d.count = 1;
  d.parent = dget(parent);
  list_head.init(d.child);
  return d;
}

function name_hash(name: usize, len: u32): u32 {
  let h: u32 = 0x811c9dc5;
  for (let i: u32 = 0; i < len; ++i) h = (h ^ load<u8>(name + i)) * 0x01000193;
  return h ^ (h >> 15);
}

function bucket_of(dir: vfs_inode, hash: u32): usize {
  return dir.data + ((<usize>(hash & (dir.cap - 1))) << 2);
}

/** The name of `len` bytes in a directory, without a reference; null when it is not there. */
export function d_lookup(dir: vfs_inode, name: usize, len: u32): dentry {
  if (!dir.cap) return changetype<dentry>(0);
  const hash = name_hash(name, len);
  let d = changetype<dentry>(<usize>load<u32>(bucket_of(dir, hash)));
  while (!nil(d)) {
    if (d.hash == hash && d.len == len && memory.compare(d.name, name, len) == 0) return d;
    d = d.chain;
  }
  return d;
}

/** Makes room for one more name; false when memory is exhausted. */
export function d_reserve(dir: vfs_inode): bool {
  if (dir.nr_children < dir.cap << 1) return true;
  const cap: u32 = dir.cap ? dir.cap << 1 : 4;
  const at = kzalloc(cap << 2);
  if (!at) return false;
  kfree(dir.data, dir.cap << 2);
  dir.data = <u32>at;
  dir.cap = cap;
  for (let l = dir.children.next; l !== dir.children; l = l.next) {
    hash_in(dir, dentry.from_child(l));
  }
  return true;
}

function hash_in(dir: vfs_inode, d: dentry): void {
  const bucket = bucket_of(dir, d.hash);
  d.chain = changetype<dentry>(<usize>load<u32>(bucket));
  store<u32>(bucket, <u32>changetype<usize>(d));
}

/** Puts `d`, whose parent is the directory, into it: one more reference. Room is there. */
export function d_rehash(d: dentry): void {
  const dir = d.parent.inode;
  hash_in(dir, d);
  list_head.add_tail(d.child, dir.children);
  dir.nr_children += 1;
  d.off = dir.next_off;
  dir.next_off += 1;
  d.hashed = 1;
  dget(d);
}

function unhash(d: dentry): void {
  const dir = d.parent.inode;
  let link = bucket_of(dir, d.hash);
  while (load<u32>(link) != <u32>changetype<usize>(d)) {
    link = load<u32>(link) + offsetof<dentry>("chain");
  }
  store<u32>(link, <u32>changetype<usize>(d.chain));
  list_head.del_init(d.child);
  dir.nr_children -= 1;
  d.hashed = 0;
}

/** Takes `d` out of its directory, and the reference that this was. */
export function d_drop(d: dentry): void {
  if (!d.hashed) return;
  unhash(d);
  dput(d);
}

/** Is it gone from its directory? A root never is. */
export function d_unlinked(d: dentry): bool {
  return !d.hashed && !same(d.parent, d);
}

/** Gives `d` the place and name of `len` bytes at `name` in `to`; both are in memory already. */
export function d_move(d: dentry, to: dentry, name: usize, len: u32): void {
  unhash(d);
  const old = d.parent;
  if (!same(old, to)) {
    d.parent = dget(to);
    dput(old);
  }
  kfree(d.name, d.len);
  d.name = <u32>name;
  d.len = len;
  d.hash = name_hash(name, len);
  d_rehash(d);
  d.count -= 1;
}

/** Two names change places. */
export function d_exchange(a: dentry, b: dentry): void {
  unhash(a);
  unhash(b);
  const parent = a.parent;
  a.parent = b.parent;
  b.parent = parent;
  const name = a.name;
  const len = a.len;
  const hash = a.hash;
  a.name = b.name;
  a.len = b.len;
  a.hash = b.hash;
  b.name = name;
  b.len = len;
  b.hash = hash;
  d_rehash(a);
  d_rehash(b);
  a.count -= 1;
  b.count -= 1;
}

/** Is `d` the dentry `top` or below it? */
export function is_subdir(d: dentry, top: dentry): bool {
  while (!same(d, top)) {
    if (same(d.parent, d)) return false;
    d = d.parent;
  }
  return true;
}

/** The name of inode `ino` at or below the root of a file system; null: it has none. */
export function d_find_ino(top: dentry, ino: u32): dentry {
  let d = top;
  while (true) {
    if (d.inode.ino == ino) return d;
    const children = d.inode.children;
    if (is_dir(d.inode) && !list_head.empty(children)) {
      d = dentry.from_child(children.next);
      continue;
    }
    // the next one behind it, or behind one that it is in
    while (!same(d, top) && d.child.next === d.parent.inode.children) d = d.parent;
    if (same(d, top)) return changetype<dentry>(0);
    d = dentry.from_child(d.child.next);
  }
  return changetype<dentry>(0);
}

/** Everything below and including the root of a file system goes; nobody uses it. */
export function d_genocide(top: dentry): void {
  let d = top;
  while (true) {
    const children = d.inode.children;
    if (!list_head.empty(children)) {
      d = dentry.from_child(children.next);
      continue;
    }
    if (same(d, top)) break;
    const parent = d.parent;
    d_drop(d);
    d = parent;
  }
  dput(top);
}
