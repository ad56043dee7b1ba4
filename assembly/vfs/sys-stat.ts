// stat(2) and its relatives, statx(2), statfs(2) of what is in the kernel's file systems.
import { do_op_containerfs } from "../container/containerfs-stat.ts";
import { dentry } from "./dcache.ts";
import { nil, same } from "../lib/err.ts";
import * as FD from "../fs/file.ts";
import { file } from "../fs/file.ts";
import { frame } from "../lib/frame.ts";
import { I_DYNAMIC, is_dir, is_reg, vfs_inode } from "./inode.ts";
import * as L from "./lookup.ts";
import { mount } from "./mount.ts";
import * as N from "./namei.ts";
import { magic_file, magic_ns } from "../proc/proc-links.ts";
import { proc_nlink } from "../proc/proc-vfs.ts";
import { root, VFS_BUFFER } from "../lib/root.ts";
import { sys_world_call } from "../fs/sys-file.ts";
import { task_struct } from "../process/task.ts";
import { copy_to_user, prepare_write } from "../lib/uaccess.ts";
import * as E from "../uapi/errno.ts";
import { AT_EMPTY_PATH, AT_FDCWD, S_IFCHR } from "../uapi/fcntl.ts";
import { ASSIST_ERRNO, ASSIST_RET } from "../uapi/frame.ts";
import { PAGE_SIZE } from "../uapi/limits.ts";
import * as MT from "../uapi/mount.ts";
import * as S from "../uapi/stat.ts";
import { from_kgid_munged, from_kuid_munged } from "../namespace/user-namespace.ts";

/** Minor number of the device on which files of namespaces lie. */
const NSFS_DEV: u32 = 4;
const NSEC: u64 = 1000000000;

/** struct kstat - what there is to say of a file, at the end of the scratch buffer. */
@unmanaged
class kstat {
  ino: u64;
  length: u64;
  blocks: u64;
  atime: u64;
  mtime: u64;
  ctime: u64;
  btime: u64;
  dev: u32; // minor of an unnamed device
  mode: u32;
  nlink: u32;
  uid: u32;
  gid: u32;
  rdev: u32;
  mnt_id: u32;
  at_root: u32; // 1: it is the root of its mount
}
const KSTAT: usize = VFS_BUFFER + 0xf00;

function kst(): kstat {
  return changetype<kstat>(KSTAT);
}

/** What is known of an inode, its owner as the caller sees it. */
function fill_kstat(p: task_struct, m: mount, d: dentry): void {
  const i = d.inode;
  const k = kst();
  k.ino = i.ino;
  k.length = i.length;
  k.blocks = is_reg(i) ? <u64>i.nr_pages * (PAGE_SIZE >> 9) : 0;
  k.atime = i.atime;
  k.mtime = i.mtime;
  k.ctime = i.ctime;
  k.btime = i.btime;
  k.dev = i.sb.dev;
  k.mode = i.mode;
  k.nlink = i.nlink;
  k.uid = from_kuid_munged(p.cred.user_ns, i.uid);
  k.gid = from_kgid_munged(p.cred.user_ns, i.gid);
  k.rdev = i.rdev;
  k.mnt_id = <u32>m.id;
  k.at_root = same(m.root, d) ? 1 : 0;
  if (i.state & I_DYNAMIC && is_dir(i)) k.nlink = proc_nlink(i, <u32>root().nr_processes);
}

/** What is behind a magic link of proc and has no place. */
function fill_magic(d: dentry): void {
  const ns = magic_ns(d);
  if (nil(ns)) {
    fill_anonymous(magic_file(d.inode));
    return;
  }
  const k = kst();
  memory.fill(KSTAT, 0, offsetof<kstat>());
  k.mode = S.S_IFREG | 0o444;
  k.nlink = 1;
  k.dev = NSFS_DEV;
  k.ino = ns.inum;
}

/** The same of what has no place in a file system: pipes, sockets, anonymous inodes. */
function fill_anonymous(at: file): void {
  const k = kst();
  memory.fill(KSTAT, 0, offsetof<kstat>());
  k.mode = 0o600;
  k.nlink = 1;
  k.dev = 1;
  k.ino = 1;
  if (at.kind == FD.FILE_PIPE) {
    k.mode = S.S_IFIFO | 0o600;
    k.ino = at.pipe.inum;
  } else if (at.kind == FD.FILE_SOCKET) {
    k.mode = S.S_IFSOCK | 0o777;
  } else if (at.kind == FD.FILE_NULL) {
    k.mode = S_IFCHR | 0o666;
    k.rdev = (1 << 20) | 3;
  }
}

/** A device number as stat(2) shows it. */
function encode_dev(dev: u32): u32 {
  const minor = dev & 0xfffff;
  return (minor & 0xff) | ((dev >> 20) << 8) | ((minor & ~0xff) << 12);
}

function put_time(at: usize, ns: u64): void {
  store<u64>(at, ns / NSEC);
  store<u64>(at, ns % NSEC, 8);
}

function put_time32(at: usize, ns: u64): void {
  store<u32>(at, <u32>(ns / NSEC));
  store<u32>(at, <u32>(ns % NSEC), 4);
}

/** struct stat of x86-64, struct stat64 of i386, from the kstat. */
function cp_stat(f: frame, addr: u64, compat: bool): i32 {
  const k = kst();
  const at = VFS_BUFFER;
  const need = prepare_write(f, addr, compat ? 96 : 144);
  if (need) return need;
  memory.fill(at, 0, 144);
  store<u64>(at, encode_dev(k.dev));
  if (compat) {
    store<u32>(at, <u32>k.ino, 12);
    store<u32>(at, k.mode, 16);
    store<u32>(at, k.nlink, 20);
    store<u32>(at, k.uid, 24);
    store<u32>(at, k.gid, 28);
    store<u64>(at, encode_dev(k.rdev), 32);
    store<u64>(at, k.length, 44);
    store<u32>(at, PAGE_SIZE, 52);
    store<u64>(at, k.blocks, 56);
    put_time32(at + 64, k.atime);
    put_time32(at + 72, k.mtime);
    put_time32(at + 80, k.ctime);
    store<u64>(at, k.ino, 88);
    return copy_to_user(f, addr, at, 96);
  }
  store<u64>(at, k.ino, 8);
  store<u64>(at, k.nlink, 16);
  store<u32>(at, k.mode, 24);
  store<u32>(at, k.uid, 28);
  store<u32>(at, k.gid, 32);
  store<u64>(at, encode_dev(k.rdev), 40);
  store<u64>(at, k.length, 48);
  store<u64>(at, PAGE_SIZE, 56);
  store<u64>(at, k.blocks, 64);
  put_time(at + 72, k.atime);
  put_time(at + 88, k.mtime);
  put_time(at + 104, k.ctime);
  return copy_to_user(f, addr, at, 144);
}

/** What the path of a call leads to, or the file of its descriptor, into the kstat. */
function vfs_statx(p: task_struct, f: frame, dirfd: i32, path: u64, flags: u32): i32 {
  let lookup: u32 = flags & S.AT_SYMLINK_NOFOLLOW ? 0 : N.LOOKUP_FOLLOW;
  if (flags & AT_EMPTY_PATH) lookup |= N.LOOKUP_EMPTY;
  const bad = L.user_path_at(p, f, dirfd, path, lookup);
  const nd = L.nd_first();
  if (bad == -E.ENOTDIR && flags & AT_EMPTY_PATH && !nd.len) return vfs_fstat(p, dirfd);
  if (bad) return bad;
  if (nd.flags & N.LOOKUP_MAGIC) fill_magic(nd.dentry);
  else fill_kstat(p, nd.mnt, nd.dentry);
  return 0;
}

/** The file of a descriptor into the kstat. */
function vfs_fstat(p: task_struct, fd: i32): i32 {
  const at = FD.fget(p, fd);
  if (nil(at)) return -E.EBADF;
  const place = L.place_of(at);
  if (nil(place)) fill_anonymous(at);
  else fill_kstat(p, place.mnt, place.dentry);
  return 0;
}

/** stat(2), lstat(2). */
export function sys_stat(p: task_struct, f: frame, follow: bool, compat: bool): i32 {
  if (!N.has_root(p)) return sys_world_call(f, -E.ENOSYS);
  const bad = vfs_statx(p, f, AT_FDCWD, f.a0, follow ? 0 : S.AT_SYMLINK_NOFOLLOW);
  return bad ? bad : cp_stat(f, f.a1, compat);
}

/** fstat(2). A container's file has its own answer. */
export function sys_fstat(p: task_struct, f: frame, compat: bool): i32 {
  const fd = <i32>f.a0;
  const at = FD.fget(p, fd);
  if (!nil(at) && at.kind == FD.FILE_CONTAINER) return do_op_containerfs(f.op, p, f, compat);
  const told = (f.assist & (ASSIST_RET | ASSIST_ERRNO)) != 0;
  if (nil(L.place_of(at)) && (told || !N.has_root(p))) return sys_world_call(f, -E.ENOSYS);
  const bad = vfs_fstat(p, fd);
  return bad ? bad : cp_stat(f, f.a1, compat);
}

/** newfstatat(2), fstatat64. */
export function sys_newfstatat(p: task_struct, f: frame, compat: bool): i32 {
  const dirfd = <i32>f.a0;
  if (!L.vfs_owns(p, f, dirfd, f.a1) || is_container_itself(p, f, dirfd)) {
    return do_op_containerfs(f.op, p, f, compat);
  }
  const flags = <u32>f.r10;
  const known: u32 =
    S.AT_SYMLINK_NOFOLLOW | S.AT_NO_AUTOMOUNT | AT_EMPTY_PATH | S.AT_STATX_SYNC_TYPE;
  if (flags & ~known) return -E.EINVAL;
  const bad = vfs_statx(p, f, dirfd, f.a1, flags);
  return bad ? bad : cp_stat(f, f.a2, compat);
}

/** Is the call about a container's descriptor, not about a path below it? */
function is_container_itself(p: task_struct, f: frame, dirfd: i32): bool {
  const at = dirfd == AT_FDCWD ? changetype<file>(0) : FD.fget(p, dirfd);
  if (nil(at) || at.kind != FD.FILE_CONTAINER) return false;
  return N.getname(f, VFS_BUFFER, f.a1) == 0;
}

function put_statx_time(at: usize, ns: u64): void {
  store<u64>(at, ns / NSEC);
  store<u32>(at, <u32>(ns % NSEC), 8);
}

/** statx(2): directory, path, flags, mask, struct. */
export function sys_statx(p: task_struct, f: frame, compat: bool): i32 {
  const dirfd = <i32>f.a0;
  if (!L.vfs_owns(p, f, dirfd, f.a1) || is_container_itself(p, f, dirfd)) {
    return do_op_containerfs(f.op, p, f, compat);
  }
  const flags = <u32>f.a2;
  const sync: u32 = S.AT_STATX_SYNC_TYPE;
  const known: u32 = S.AT_SYMLINK_NOFOLLOW | S.AT_NO_AUTOMOUNT | AT_EMPTY_PATH | sync;
  if ((<u32>f.r10) & S.STATX__RESERVED || (flags & sync) == sync) return -E.EINVAL;
  if (flags & ~known) return -E.EINVAL;
  const bad = vfs_statx(p, f, dirfd, f.a1, flags);
  if (bad) return bad;
  const need = prepare_write(f, f.r8, 256);
  if (need) return need;
  const at = VFS_BUFFER;
  const k = kst();
  memory.fill(at, 0, 256);
  store<u32>(at, S.STATX_BASIC_STATS | S.STATX_BTIME | S.STATX_MNT_ID);
  store<u32>(at, PAGE_SIZE, 4);
  store<u64>(at, k.at_root ? <u64>S.STATX_ATTR_MOUNT_ROOT : 0, 8);
  store<u32>(at, k.nlink, 16);
  store<u32>(at, k.uid, 20);
  store<u32>(at, k.gid, 24);
  store<u16>(at, <u16>k.mode, 28);
  store<u64>(at, k.ino, 32);
  store<u64>(at, k.length, 40);
  store<u64>(at, k.blocks, 48);
  store<u64>(at, <u64>S.STATX_ATTR_MOUNT_ROOT, 56);
  put_statx_time(at + 64, k.atime);
  put_statx_time(at + 80, k.btime);
  put_statx_time(at + 96, k.ctime);
  put_statx_time(at + 112, k.mtime);
  store<u32>(at, k.rdev >> 20, 128);
  store<u32>(at, k.rdev & 0xfffff, 132);
  store<u32>(at, k.dev, 140);
  store<u64>(at, k.mnt_id, 144);
  return copy_to_user(f, f.r8, at, 256);
}

/** The flags of a mount as statfs(2) shows them; ST_VALID says that they are meant. */
function st_flags(m: mount): u32 {
  let st: u32 = 0x20;
  if (m.flags & MT.MNT_READONLY || m.sb.flags & MT.MS_RDONLY) st |= 1;
  if (m.flags & MT.MNT_NOSUID) st |= 2;
  if (m.flags & MT.MNT_NODEV) st |= 4;
  if (m.flags & MT.MNT_NOEXEC) st |= 8;
  if (m.flags & MT.MNT_NOATIME) st |= 0x400;
  if (m.flags & MT.MNT_NODIRATIME) st |= 0x800;
  if (m.flags & MT.MNT_RELATIME) st |= 0x1000;
  return m.flags & MT.MNT_NOSYMFOLLOW ? st | 0x2000 : st;
}

function put_statfs(f: frame, addr: u64, m: mount, compat: bool): i32 {
  const need = prepare_write(f, addr, compat ? 84 : 120);
  if (need) return need;
  const sb = m.sb;
  const at = VFS_BUFFER;
  const w: usize = compat ? 4 : 8;
  memory.fill(at, 0, 120);
  store<u32>(at, sb.magic);
  store<u32>(at + w, PAGE_SIZE);
  const counts = at + 2 * w;
  store<u64>(counts, sb.max_pages);
  store<u64>(counts, sb.max_pages - sb.nr_pages, 8);
  store<u64>(counts, sb.max_pages - sb.nr_pages, 16);
  store<u64>(counts, sb.max_inodes, 24);
  store<u64>(counts, sb.max_inodes - sb.nr_inodes, 32);
  store<u32>(counts, sb.dev, 40);
  const rest = counts + 48;
  store<u32>(rest, S.NAME_MAX);
  store<u32>(rest + w, PAGE_SIZE);
  store<u32>(rest + 2 * w, st_flags(m));
  return copy_to_user(f, addr, at, compat ? 84 : 120);
}

/** statfs(2); of i386 statfs64, whose second argument is the size of the structure. */
export function sys_statfs(p: task_struct, f: frame, compat: bool): i32 {
  if (!N.has_root(p)) return sys_world_call(f, -E.ENOSYS);
  if (compat && f.a1 != 84) return -E.EINVAL;
  const bad = L.user_path_at(p, f, AT_FDCWD, f.a0, N.LOOKUP_FOLLOW);
  return bad ? bad : put_statfs(f, compat ? f.a2 : f.a1, L.nd_first().mnt, compat);
}

/** fstatfs(2), fstatfs64. */
export function sys_fstatfs(p: task_struct, f: frame, compat: bool): i32 {
  const place = L.place_of(FD.fget(p, <i32>f.a0));
  if (nil(place)) return do_op_containerfs(f.op, p, f, compat);
  if (compat && f.a1 != 84) return -E.EINVAL;
  return put_statfs(f, compat ? f.a2 : f.a1, place.mnt, compat);
}

/** The inode of an open file of the kernel's file systems; null: it is another kind. */
export function inode_of_file(at: file): vfs_inode {
  const place = L.place_of(at);
  return nil(place) ? changetype<vfs_inode>(0) : place.dentry.inode;
}
