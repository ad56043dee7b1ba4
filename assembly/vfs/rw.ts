// Reading and writing what lies in the kernel's file systems: files in pages, memory devices.
// Nothing is copied before all the guest memory that the call needs is there.
import { nil, RET_RAW } from "../lib/err.ts";
import { file } from "../fs/file.ts";
import { frame } from "../lib/frame.ts";
import * as I from "./inode.ts";
import { is_dir, is_reg, vfs_inode } from "./inode.ts";
import { place_of } from "./lookup.ts";
import { capable_wrt_inode, mnt_want_write } from "./permission.ts";
import { root, VFS_BUFFER } from "../lib/root.ts";
import * as G from "../signal/signal.ts";
import { rlimit } from "../process/signal-struct.ts";
import { task_struct } from "../process/task.ts";
import { access_ok, copy_from_user, copy_to_user } from "../lib/uaccess.ts";
import { segment_base, segment_len } from "../lib/uio.ts";
import { CAP_FSETID } from "../uapi/capability.ts";
import * as E from "../uapi/errno.ts";
import * as O from "../uapi/fcntl.ts";
import { WINDOW_READ, WINDOW_WRITE } from "../uapi/frame.ts";
import { PAGE_SIZE } from "../uapi/limits.ts";
import { RLIMIT_FSIZE } from "../uapi/resource.ts";
import { SI_USER, SIGXFSZ } from "../uapi/signal.ts";
import * as S from "../uapi/stat.ts";

// Minor numbers of the memory devices (major 1).
const DEV_NULL: u32 = 3;
const DEV_ZERO: u32 = 5;
const DEV_FULL: u32 = 7;

/** Is the memory for the first `total` bytes of the scratch vector there? 0, -EFAULT, RET_NEED. */
function vector_ok(f: frame, nr: u32, total: u32, mode: u32): i32 {
  let left = total;
  for (let i: u32 = 0; i < nr && left; ++i) {
    const n = <u32>min<u64>(segment_len(i), left);
    const bad = access_ok(f, segment_base(i), n, mode);
    if (bad) return bad;
    left -= n;
  }
  return 0;
}

/** The page with zeros that holes read as: a part of the scratch buffer. */
function zeros(): usize {
  memory.fill(VFS_BUFFER, 0, PAGE_SIZE);
  return VFS_BUFFER;
}

/** `n` bytes of a file from `pos` on, into guest memory at `addr`. */
function copy_out(f: frame, i: vfs_inode, pos: u64, addr: u64, n: u32): void {
  while (n) {
    const offset = <u32>(pos % PAGE_SIZE);
    const part = min<u32>(n, PAGE_SIZE - offset);
    const page = I.find_page(i, <u32>(pos / PAGE_SIZE));
    copy_to_user(f, addr, page ? page + offset : zeros(), part);
    pos += part;
    addr += part;
    n -= part;
  }
}

/** A read of at most `total` bytes at `pos`. Return: how many, errno, RET_NEED. */
function reg_read(f: frame, i: vfs_inode, pos: u64, total: u32, nr: u32): i32 {
  if (pos >= i.length) return 0;
  const n = <u32>min<u64>(total, i.length - pos);
  const bad = vector_ok(f, nr, n, WINDOW_WRITE);
  if (bad) return bad;
  let left = n;
  for (let s: u32 = 0; s < nr && left; ++s) {
    const part = <u32>min<u64>(segment_len(s), left);
    copy_out(f, i, pos, segment_base(s), part);
    pos += part;
    left -= part;
  }
  return <i32>n;
}

/** One step of a generator that needs no more than to differ: /dev/random. */
function next_random(): u64 {
  const r = root();
  let x = r.fs_random ? r.fs_random : r.clock | 1;
  x ^= x << 13;
  x ^= x >> 7;
  x ^= x << 17;
  r.fs_random = x;
  return x;
}

/** A page of what a device gives, in the scratch buffer. */
function device_page(minor: u32): usize {
  if (minor == DEV_ZERO || minor == DEV_FULL) return zeros();
  for (let at: usize = 0; at < <usize>PAGE_SIZE; at += 8)
    store<u64>(VFS_BUFFER + at, next_random());
  return VFS_BUFFER;
}

function device_read(f: frame, i: vfs_inode, total: u32, nr: u32): i32 {
  const minor = i.rdev & 0xfffff;
  if (minor == DEV_NULL) return 0;
  const bad = vector_ok(f, nr, total, WINDOW_WRITE);
  if (bad) return bad;
  for (let s: u32 = 0; s < nr; ++s) {
    let addr = segment_base(s);
    let left = <u32>segment_len(s);
    while (left) {
      const part = min<u32>(left, PAGE_SIZE);
      copy_to_user(f, addr, device_page(minor), part);
      addr += part;
      left -= part;
    }
  }
  return <i32>total;
}

/** read(2) and readv(2): `total` bytes into the `nr` buffers of the scratch vector. */
export function vfs_file_read(f: frame, at: file, total: u32, nr: u32): i32 {
  const i = place_of(at).dentry.inode;
  if (is_dir(i)) return -E.EISDIR;
  if (!is_reg(i)) return device_read(f, i, total, nr);
  const n = reg_read(f, i, at.pos, total, nr);
  if (n <= 0) return n;
  at.pos += <u64>n;
  touch_atime(at, i);
  return n;
}

function touch_atime(at: file, i: vfs_inode): void {
  if (!(at.flags & O.O_NOATIME) && !mnt_want_write(place_of(at).mnt)) i.atime = root().clock;
}

/** Who writes to a file that makes its users somebody else takes that from it. */
export function file_remove_privs(p: task_struct, i: vfs_inode): void {
  const sgid: u32 = S.S_ISGID | S.S_IXGRP;
  let kill: u32 = i.mode & S.S_ISUID;
  if ((i.mode & sgid) == sgid) kill |= S.S_ISGID;
  if (kill && !capable_wrt_inode(p.cred, i, CAP_FSETID)) i.mode &= ~kill;
}

/** A file may not grow beyond RLIMIT_FSIZE: the signal that says so. Return: -EFBIG. */
export function file_too_big(p: task_struct): i32 {
  const info = G.scratch_siginfo();
  G.fill_siginfo(info, SIGXFSZ, SI_USER, p, p);
  G.send_signal(p, info, false, false);
  return -E.EFBIG;
}

/** How many of `total` bytes the limit allows from `pos` on; -EFBIG: none. */
function within_limit(p: task_struct, pos: u64, total: u32): i32 {
  const limit = rlimit(p.signal, RLIMIT_FSIZE);
  if (limit == u64.MAX_VALUE) return <i32>total;
  if (pos >= limit) return file_too_big(p);
  return <i32>min<u64>(total, limit - pos);
}

/** Pages for [pos, pos + n). Return: how many bytes there is room for, or an errno if none. */
function grab_pages(i: vfs_inode, pos: u64, n: u32): i32 {
  let done: u32 = 0;
  while (done < n) {
    const bad = I.grab_page(i, (pos + done) / PAGE_SIZE);
    if (bad) return done ? <i32>done : bad;
    done += min<u32>(n - done, PAGE_SIZE - <u32>((pos + done) % PAGE_SIZE));
  }
  return <i32>done;
}

function copy_in(f: frame, i: vfs_inode, pos: u64, addr: u64, n: u32): void {
  while (n) {
    const offset = <u32>(pos % PAGE_SIZE);
    const part = min<u32>(n, PAGE_SIZE - offset);
    copy_from_user(f, I.find_page(i, <u32>(pos / PAGE_SIZE)) + offset, addr, part);
    pos += part;
    addr += part;
    n -= part;
  }
}

function reg_write(p: task_struct, f: frame, i: vfs_inode, pos: u64, total: u32, nr: u32): i32 {
  if (!total) return 0;
  const bad = vector_ok(f, nr, total, WINDOW_READ);
  if (bad) return bad;
  let n = within_limit(p, pos, total);
  if (n > 0) n = grab_pages(i, pos, <u32>n);
  if (n <= 0) return n;
  file_remove_privs(p, i);
  let left = <u32>n;
  let to = pos;
  for (let s: u32 = 0; s < nr && left; ++s) {
    const part = <u32>min<u64>(segment_len(s), left);
    copy_in(f, i, to, segment_base(s), part);
    to += part;
    left -= part;
  }
  if (to > i.length) i.length = to;
  I.touch(i);
  return n;
}

/** write(2) and writev(2). */
export function vfs_file_write(p: task_struct, f: frame, at: file, total: u32, nr: u32): i32 {
  const i = place_of(at).dentry.inode;
  if (!is_reg(i)) return (i.rdev & 0xfffff) == DEV_FULL ? -E.ENOSPC : <i32>total;
  if (at.flags & O.O_APPEND) at.pos = i.length;
  const n = reg_write(p, f, i, at.pos, total, nr);
  if (n > 0) at.pos += <u64>n;
  return n;
}

/** pread64(2): the bytes at `pos`; the file's own offset stays. */
export function vfs_file_pread(f: frame, at: file, pos: u64, total: u32): i32 {
  if ((at.flags & O.O_ACCMODE) == O.O_WRONLY) return -E.EBADF;
  const i = place_of(at).dentry.inode;
  if (is_dir(i)) return -E.EISDIR;
  return is_reg(i) ? reg_read(f, i, pos, total, 1) : device_read(f, i, total, 1);
}

/** pwrite64(2); with O_APPEND it goes to the end all the same. */
export function vfs_file_pwrite(p: task_struct, f: frame, at: file, pos: u64, total: u32): i32 {
  if ((at.flags & O.O_ACCMODE) == O.O_RDONLY) return -E.EBADF;
  const i = place_of(at).dentry.inode;
  if (!is_reg(i)) return (i.rdev & 0xfffff) == DEV_FULL ? -E.ENOSPC : <i32>total;
  return reg_write(p, f, i, at.flags & O.O_APPEND ? i.length : pos, total, 1);
}

/** The first byte at or behind `pos` that lies in a page, or in a hole. */
function seek_data(i: vfs_inode, pos: u64, data: bool): u64 {
  while (pos < i.length) {
    const there = I.find_page(i, <u32>(pos / PAGE_SIZE)) != 0;
    if (there == data) return pos;
    pos = (pos / PAGE_SIZE + 1) * PAGE_SIZE;
  }
  return i.length;
}

/** lseek(2). Return: the new offset, or RET_RAW where it has more than 31 bits. */
export function vfs_file_lseek(f: frame, at: file, offset: i64, whence: i32): i32 {
  const i = place_of(at).dentry.inode;
  let to = offset;
  if (!is_reg(i) && !is_dir(i)) {
    to = 0;
  } else if (whence == O.SEEK_CUR) {
    to += <i64>at.pos;
  } else if (whence != O.SEEK_SET) {
    if (is_dir(i)) return -E.EINVAL;
    if (whence == O.SEEK_END) {
      to += <i64>i.length;
    } else {
      if (offset < 0 || <u64>offset >= i.length) return -E.ENXIO;
      const data = whence == O.SEEK_DATA;
      to = <i64>seek_data(i, <u64>offset, data);
      if (data && <u64>to == i.length) return -E.ENXIO;
    }
  }
  if (to < 0) return -E.EINVAL;
  at.pos = <u64>to;
  if (to <= <i64>i32.MAX_VALUE) return <i32>to;
  f.rax = <u64>to;
  return RET_RAW;
}

/** Is the file one of the kernel's file systems', whatever it is? */
export function is_vfs(at: file): bool {
  return !nil(place_of(at));
}

/** truncate(2) and ftruncate(2) of a regular file that may be written. */
export function vfs_truncate(p: task_struct, i: vfs_inode, size: u64): i32 {
  if (size > i.length && size > rlimit(p.signal, RLIMIT_FSIZE)) return file_too_big(p);
  if (size < i.length) I.truncate_pages(i, size);
  i.length = size;
  file_remove_privs(p, i);
  I.touch(i);
  return 0;
}
