// struct vfs_inode - a file of a file system in memory (fs/ramfs): what it is, whose, what is in
// it. Contents lie in pages of 4 KiB that are there once written; a hole reads as zeros.
import { nil } from "../lib/err.ts";
import { mqueue_evict, mqueue_inode_info } from "../ipc/mqueue.ts";
import { list_at, list_head } from "../lib/list.ts";
import { root } from "../lib/root.ts";
import {
  CACHE_VFS_INODE,
  kfree,
  kmalloc,
  kmem_cache_free,
  kmem_cache_init,
  kmem_cache_zalloc,
  kzalloc,
} from "../lib/slab.ts";
import { proc_inode, proc_inode_release } from "../proc/procfs.ts";
import { super_block } from "./super.ts";
import { free_xattrs, xattr } from "./xattr.ts";
import { EFBIG, ENOMEM, ENOSPC } from "../uapi/errno.ts";
import { S_IFMT } from "../uapi/fcntl.ts";
import { PAGE_SIZE } from "../uapi/limits.ts";
import { S_IFDIR, S_IFLNK, S_IFREG } from "../uapi/stat.ts";

// vfs_inode.state
/** The directory has been removed: nothing is made in it any more. */
export const S_DEAD: u32 = 1;
/** Has no name, and may be given one (O_TMPFILE). */
export const I_LINKABLE: u32 = 2;
/** Of proc: names and texts are made when they are asked for. */
export const I_DYNAMIC: u32 = 4;

/** Pages of a file: positions end where u32 page numbers times four would. */
const PAGES_LAST: u64 = 0x0fffffff;

/** struct vfs_inode - 120 bytes. */
@unmanaged
export class vfs_inode {
  count: i32; // refcount_t: dentries
  mode: u32; // type and permissions
  uid: i32; // kuid_t
  gid: i32; // kgid_t
  nlink: u32;
  rdev: u32; // of a device node: major << 20 | minor
  ino: u32; // [C]
  sb: super_block; // [C] no reference: it outlives its inodes
  length: u64; // bytes
  atime: u64; // ns since 1970
  mtime: u64;
  ctime: u64;
  btime: u64; // [C]
  data: u32; // file: pages; directory: hash of names; link: its text; fifo: pipe; socket: who
  cap: u32; // words there; of a link: bytes
  nr_pages: u32;
  child_next: u32; // list_head: names of a directory, oldest first
  child_prev: u32;
  nr_children: u32;
  next_off: u32; // place in the directory that the next name gets
  state: u32; // S_DEAD, I_LINKABLE, I_DYNAMIC
  proc: proc_inode; // of proc: what it stands for; belongs to it
  mq: mqueue_inode_info; // of a message queue; belongs to it
  xattrs: xattr; // extended attributes, by their names; belong to it
  writers: u32; // open files that may write to it

  get children(): list_head {
    return list_at(changetype<usize>(this), offsetof<vfs_inode>("child_next"));
  }
  get type(): u32 {
    return this.mode & S_IFMT;
  }
}

export function inode_caches_init(): void {
  kmem_cache_init(CACHE_VFS_INODE, <u32>offsetof<vfs_inode>());
}

export function is_dir(i: vfs_inode): bool {
  return (i.mode & S_IFMT) == S_IFDIR;
}
export function is_reg(i: vfs_inode): bool {
  return (i.mode & S_IFMT) == S_IFREG;
}
export function is_link(i: vfs_inode): bool {
  return (i.mode & S_IFMT) == S_IFLNK;
}

/** May the file system hold one more inode? */
export function inodes_full(sb: super_block): bool {
  return sb.max_inodes != 0 && sb.nr_inodes >= sb.max_inodes;
}

/** A new inode with one reference and no name; the caller has asked inodes_full. Or null. */
export function new_inode(sb: super_block, mode: u32, uid: i32, gid: i32): vfs_inode {
  const i = changetype<vfs_inode>(kmem_cache_zalloc(CACHE_VFS_INODE));
  if (nil(i)) return i;
  i.count = 1;
  i.mode = mode;
  i.uid = uid;
  i.gid = gid;
  i.nlink = 1;
  i.sb = sb;
  sb.ino += 1;
  i.ino = sb.ino;
  sb.nr_inodes += 1;
  i.btime = i.atime = i.mtime = i.ctime = root().clock;
  list_head.init(i.children);
  if (is_dir(i)) {
    i.nlink = 2;
    i.next_off = 3; // behind `.` and `..`
  }
  return i;
}

export function get_inode(i: vfs_inode): vfs_inode {
  i.count += 1;
  return i;
}

/** Drops a reference; with the last one the contents go. */
export function iput(i: vfs_inode): void {
  i.count -= 1;
  if (i.count) return;
  const type = i.type;
  if (type == S_IFREG) truncate_pages(i, 0);
  if (type == S_IFREG || type == S_IFDIR) kfree(i.data, i.cap << 2);
  else if (type == S_IFLNK) kfree(i.data, i.cap);
  if (!nil(i.xattrs)) free_xattrs(i);
  if (!nil(i.mq)) mqueue_evict(i);
  if (!nil(i.proc)) proc_inode_release(i.proc);
  i.sb.nr_inodes -= 1;
  kmem_cache_free(CACHE_VFS_INODE, changetype<usize>(i));
}

/** Its contents, or the names in it, have changed. */
export function touch(i: vfs_inode): void {
  i.mtime = i.ctime = root().clock;
}

/** The text of a symbolic link; false when memory is exhausted. */
export function set_link(i: vfs_inode, text: usize, len: u32): bool {
  const at = kmalloc(len);
  if (!at) return false;
  memory.copy(at, text, len);
  i.data = <u32>at;
  i.cap = len;
  i.length = len;
  return true;
}

function page_slot(i: vfs_inode, index: u32): usize {
  return i.data + ((<usize>index) << 2);
}

/** The page with a number, 0 where there is a hole. */
export function find_page(i: vfs_inode, index: u32): usize {
  return index < i.cap ? load<u32>(page_slot(i, index)) : 0;
}

/** Room in the table for page `index`; false when memory is exhausted. */
function expand_table(i: vfs_inode, index: u32): bool {
  if (index < i.cap) return true;
  let cap: u32 = i.cap ? i.cap : 4;
  while (cap <= index) cap <<= 1;
  const at = kzalloc(cap << 2);
  if (!at) return false;
  if (i.cap) {
    memory.copy(at, i.data, (<usize>i.cap) << 2);
    kfree(i.data, i.cap << 2);
  }
  i.data = <u32>at;
  i.cap = cap;
  return true;
}

/** Makes page `index` there. Return: 0, -ENOSPC, -ENOMEM, -EFBIG. */
export function grab_page(i: vfs_inode, index: u64): i32 {
  if (index > PAGES_LAST) return -EFBIG;
  const at = <u32>index;
  if (find_page(i, at)) return 0;
  const sb = i.sb;
  if (sb.max_pages && sb.nr_pages >= sb.max_pages) return -ENOSPC;
  if (!expand_table(i, at)) return -ENOMEM;
  const page = kzalloc(PAGE_SIZE);
  if (!page) return -ENOMEM;
  store<u32>(page_slot(i, at), <u32>page);
  i.nr_pages += 1;
  sb.nr_pages += 1;
  return 0;
}

function drop_page(i: vfs_inode, index: u32): void {
  const page = find_page(i, index);
  if (!page) return;
  kfree(page, PAGE_SIZE);
  store<u32>(page_slot(i, index), 0);
  i.nr_pages -= 1;
  i.sb.nr_pages -= 1;
}

/** Bytes [from, to) of a page become zeros. */
function clear_part(i: vfs_inode, index: u32, from: u32, to: u32): void {
  const page = find_page(i, index);
  if (page && to > from) memory.fill(page + from, 0, to - from);
}

/** Drops what lies behind `size`, the rest of its page included. */
export function truncate_pages(i: vfs_inode, size: u64): void {
  const keep = (size + PAGE_SIZE - 1) / PAGE_SIZE;
  for (let index = i.cap; <u64>index > keep; --index) drop_page(i, index - 1);
  const within = <u32>(size % PAGE_SIZE);
  if (within) clear_part(i, <u32>(size / PAGE_SIZE), within, PAGE_SIZE);
}

/** Bytes [from, to) become a hole. */
export function punch_hole(i: vfs_inode, from: u64, to: u64): void {
  const end = min<u64>(to, <u64>i.cap * PAGE_SIZE);
  let at = from;
  while (at < end) {
    const index = <u32>(at / PAGE_SIZE);
    const begin = <u32>(at % PAGE_SIZE);
    const stop = <u32>min<u64>(PAGE_SIZE, end - <u64>index * PAGE_SIZE);
    if (!begin && stop == PAGE_SIZE) drop_page(i, index);
    else clear_part(i, index, begin, stop);
    at = <u64>(index + 1) * PAGE_SIZE;
  }
}
