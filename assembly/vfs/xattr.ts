// Extended attributes of an inode: a list by name, each with its value behind it (fs/xattr.c).
// tmpfs and devtmpfs keep those of user, trusted and security; other file systems have none.
import { nil } from "../lib/err.ts";
import { vfs_inode } from "./inode.ts";
import { root } from "../lib/root.ts";
import { kfree, kmalloc } from "../lib/slab.ts";
import { FS_DEVTMPFS, FS_TMPFS } from "./super.ts";

/** struct xattr - one attribute; its name and value lie behind it. */
@unmanaged
export class xattr {
  next: xattr; // by name, bytes compared
  name_len: u32; // [C]
  value_len: u32; // [C] bytes of it
}
const HEAD: u32 = <u32>offsetof<xattr>();

// What the name begins with.
export const XATTR_NONE: u32 = 0;
export const XATTR_USER: u32 = 1;
export const XATTR_TRUSTED: u32 = 2;
export const XATTR_SECURITY: u32 = 3;

export function name_of(x: xattr): usize {
  return changetype<usize>(x) + HEAD;
}
export function value_of(x: xattr): usize {
  return name_of(x) + x.name_len;
}

/** Does the file system of the inode keep attributes? */
export function keeps_xattrs(i: vfs_inode): bool {
  return i.sb.type == FS_TMPFS || i.sb.type == FS_DEVTMPFS;
}

/** XATTR_* of the name of `len` bytes at `at`, by the prefix alone. */
export function xattr_kind(at: usize, len: u32): u32 {
  if (len >= 5 && load<u32>(at) == 0x72657375 && load<u8>(at, 4) == 46) return XATTR_USER;
  if (len >= 8 && load<u64>(at) == 0x2e64657473757274) return XATTR_TRUSTED;
  const security = len >= 9 && load<u64>(at) == 0x7974697275636573 && load<u8>(at, 8) == 46;
  return security ? XATTR_SECURITY : XATTR_NONE;
}

/** Bytes of the prefix of a kind, its dot included. */
export function prefix_bytes(kind: u32): u32 {
  return kind == XATTR_USER ? 5 : kind == XATTR_TRUSTED ? 8 : 9;
}

/** Is the name at `at` before, the same as, or behind that of `x`? */
function compare(x: xattr, at: usize, len: u32): i32 {
  const r = memory.compare(name_of(x), at, min(x.name_len, len));
  return r ? r : <i32>x.name_len - <i32>len;
}

/** The attribute of a name; null: there is none. */
export function find_xattr(i: vfs_inode, at: usize, len: u32): xattr {
  let x = i.xattrs;
  while (!nil(x) && compare(x, at, len) < 0) x = x.next;
  return nil(x) || compare(x, at, len) ? changetype<xattr>(0) : x;
}

function bytes_of(x: xattr): u32 {
  return HEAD + x.name_len + x.value_len;
}

/** May the file system hold `more` bytes of attributes besides what it holds? */
export function xattrs_fit(i: vfs_inode, more: u32): bool {
  const sb = i.sb;
  // as tmpfs has it, they take from the room of inodes, 1024 bytes each
  return !sb.max_inodes || <u64>sb.xattr_bytes + more <= (<u64>sb.max_inodes) << 10;
}

/** An attribute on no list, its value to be filled in; null: no memory. */
export function alloc_xattr(name: usize, len: u32, size: u32): xattr {
  const x = changetype<xattr>(kmalloc(HEAD + len + size));
  if (nil(x)) return x;
  x.name_len = len;
  x.value_len = size;
  memory.copy(name_of(x), name, len);
  return x;
}

export function free_xattr(x: xattr): void {
  kfree(changetype<usize>(x), bytes_of(x));
}

/** Takes the attribute of the name of `x` away, if there is one. */
export function remove_xattr(i: vfs_inode, at: usize, len: u32): void {
  const old = find_xattr(i, at, len);
  if (nil(old)) return;
  if (changetype<usize>(i.xattrs) == changetype<usize>(old)) {
    i.xattrs = old.next;
  } else {
    let before = i.xattrs;
    while (changetype<usize>(before.next) != changetype<usize>(old)) before = before.next;
    before.next = old.next;
  }
  i.sb.xattr_bytes -= bytes_of(old);
  free_xattr(old);
}

/** `x` is the attribute of its name from now on. */
export function insert_xattr(i: vfs_inode, x: xattr): void {
  const name = name_of(x);
  remove_xattr(i, name, x.name_len);
  let before = changetype<xattr>(0);
  let at = i.xattrs;
  while (!nil(at) && compare(at, name, x.name_len) < 0) {
    before = at;
    at = at.next;
  }
  x.next = at;
  if (nil(before)) i.xattrs = x;
  else before.next = x;
  i.sb.xattr_bytes += bytes_of(x);
  i.ctime = root().clock;
}

/** The inode goes. */
export function free_xattrs(i: vfs_inode): void {
  while (!nil(i.xattrs)) {
    const x = i.xattrs;
    i.xattrs = x.next;
    i.sb.xattr_bytes -= bytes_of(x);
    free_xattr(x);
  }
}
