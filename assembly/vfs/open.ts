// open(2), openat(2), openat2(2) in the kernel's file systems (fs/open.c, fs/namei.c): flags, the
// last name, who may, and what the descriptor then stands for.
import { device_allowed } from "../container/device.ts";
import * as D from "./dcache.ts";
import { IS_ERR, nil, PTR_ERR, RET_BLOCKED } from "../lib/err.ts";
import { fifo_join, fifo_pipe, fifo_unused } from "./fifo.ts";
import * as FD from "../fs/file.ts";
import { file } from "../fs/file.ts";
import { frame } from "../lib/frame.ts";
import * as I from "./inode.ts";
import { is_dir, is_reg } from "./inode.ts";
import { alloc_mqueue_file, mqueue_create } from "../ipc/sys-mqueue.ts";
import * as L from "./lookup.ts";
import { alloc_vfs_file, count_writer, free_vfs_file, mount, vfs_file } from "./mount.ts";
import * as N from "./namei.ts";
import { nameidata } from "./namei.ts";
import { vfs_make } from "./ops.ts";
import * as P from "./permission.ts";
import { proc_open } from "../proc/proc-open.ts";
import { magic_file, magic_ns } from "../proc/proc-links.ts";
import { proc_permission } from "../proc/proc-vfs.ts";
import { get_ns } from "../namespace/namespace.ts";
import { VFS_BUFFER } from "../lib/root.ts";
import { cold, task_struct } from "../process/task.ts";
import * as E from "../uapi/errno.ts";
import * as O from "../uapi/fcntl.ts";
import { MNT_NODEV } from "../uapi/mount.ts";
import * as S from "../uapi/stat.ts";
import { awaited_file, remove_waiters, signal_pending } from "../process/waitqueue.ts";
import { wait_on_file } from "../process/waitqueue.ts";
import { fs_flags, FS_MQUEUE, FS_NODEV } from "./super.ts";

const VALID: u32 =
  O.O_ACCMODE |
  O.O_CREAT |
  O.O_EXCL |
  O.O_NOCTTY |
  O.O_TRUNC |
  O.O_APPEND |
  O.O_NONBLOCK |
  O.O_SYNC |
  O.O_ASYNC |
  O.O_DIRECT |
  O.O_LARGEFILE |
  O.O_DIRECTORY |
  O.O_NOFOLLOW |
  O.O_NOATIME |
  O.O_CLOEXEC |
  O.O_PATH |
  O.O_TMPFILE;
const PATH_FLAGS: u32 = O.O_DIRECTORY | O.O_NOFOLLOW | O.O_PATH | O.O_CLOEXEC;
/** O_TMPFILE without O_DIRECTORY, which is always with it. */
const TMPFILE_BIT: u32 = O.O_TMPFILE & ~O.O_DIRECTORY;
/** Flags of an open that are no part of what is open. */
const ONCE: u32 = O.O_CREAT | O.O_EXCL | O.O_NOCTTY | O.O_TRUNC | O.O_CLOEXEC;
const RESOLVE_ALL: u32 = 63;

/** What open(2) does with flags that it doesn't know, and with a mode that nobody asked for. */
export function vfs_open(
  p: task_struct,
  f: frame,
  dirfd: i32,
  path: u64,
  flags: u32,
  mode: u32,
): i32 {
  flags &= VALID;
  if (flags & O.O_PATH) flags &= PATH_FLAGS;
  const makes = (flags & (O.O_CREAT | TMPFILE_BIT)) != 0;
  return do_open(p, f, dirfd, path, flags, makes ? mode & S.S_IALLUGO : 0, 0);
}

/** openat2(2): it knows all it is given, or refuses. The structure has been read. */
export function vfs_openat2(
  p: task_struct,
  f: frame,
  dirfd: i32,
  path: u64,
  flags: u64,
  mode: u64,
  resolve: u64,
): i32 {
  if (flags & ~(<u64>VALID) || resolve & ~(<u64>RESOLVE_ALL)) return -E.EINVAL;
  const scope: u32 = S.RESOLVE_BENEATH | S.RESOLVE_IN_ROOT;
  if (((<u32>resolve) & scope) == scope) return -E.EINVAL;
  const makes = (flags & (<u64>(O.O_CREAT | TMPFILE_BIT))) != 0;
  if (makes ? mode & ~(<u64>S.S_IALLUGO) : mode) return -E.EINVAL;
  if (flags & O.O_PATH && flags & ~(<u64>PATH_FLAGS)) return -E.EINVAL;
  if (resolve & S.RESOLVE_CACHED && (makes || flags & O.O_TRUNC)) return -E.EAGAIN;
  return do_open(p, f, dirfd, path, <u32>flags, <u32>mode, <u32>resolve);
}

/** What is wanted of the file: MAY_READ, MAY_WRITE. */
function acc_mode(flags: u32): u32 {
  if (flags & O.O_PATH) return 0;
  const access = flags & O.O_ACCMODE;
  let acc = access == O.O_RDONLY ? P.MAY_READ : access == O.O_WRONLY ? P.MAY_WRITE : 6;
  if (flags & O.O_TRUNC) acc |= P.MAY_WRITE;
  return acc;
}

/** Which flags exclude each other. Return: 0 or -EINVAL. */
function check_flags(flags: u32): i32 {
  const both: u32 = O.O_CREAT | O.O_DIRECTORY;
  if (flags & TMPFILE_BIT) {
    if ((flags & (both | TMPFILE_BIT)) != <u32>O.O_TMPFILE) return -E.EINVAL;
    return acc_mode(flags) & P.MAY_WRITE ? 0 : -E.EINVAL;
  }
  return (flags & both) == both ? -E.EINVAL : 0;
}

function do_open(
  p: task_struct,
  f: frame,
  dirfd: i32,
  path: u64,
  flags: u32,
  mode: u32,
  resolve: u32,
): i32 {
  if (f.phase) return vfs_opened(p, f);
  let bad = check_flags(flags);
  if (bad) return bad;
  let lookup = resolve;
  if (flags & O.O_DIRECTORY) lookup |= N.LOOKUP_DIRECTORY;
  if (!(flags & O.O_NOFOLLOW) && !(flags & O.O_CREAT && flags & O.O_EXCL)) {
    lookup |= N.LOOKUP_FOLLOW;
  }
  bad = L.begin_path(p, f, dirfd, path, lookup, false);
  if (bad) return bad;
  const fd = FD.get_unused_fd(p, 0);
  if (fd < 0) return fd;
  const nd = L.nd_first();
  if (flags & TMPFILE_BIT) return do_tmpfile(p, nd, fd, flags, mode);
  if (flags & O.O_PATH) {
    bad = N.path_lookupat(nd);
    return bad ? bad : open_file(p, f, nd, fd, flags);
  }
  const made = open_last(p, nd, flags, mode);
  if (made < 0) return made;
  if (nd.flags & N.LOOKUP_MAGIC) return open_magic(p, nd.dentry, nd.flags, fd, flags);
  bad = made ? 0 : may_open_last(p, nd, flags);
  if (bad) return bad;
  if (flags & O.O_TRUNC && !made) truncate_found(nd.dentry.inode);
  const r = open_file(p, f, nd, fd, flags);
  if (r < 0 && made) unmake(nd.dentry);
  return r;
}

function truncate_found(i: I.vfs_inode): void {
  if (!is_reg(i)) return;
  I.truncate_pages(i, 0);
  i.length = 0;
  I.touch(i);
}

/** open_by_handle_at(2) has found what `nd` stands at: it is opened as by its name. */
export function vfs_open_found(p: task_struct, f: frame, nd: nameidata, flags: u32): i32 {
  flags &= VALID;
  if (flags & O.O_PATH) flags &= PATH_FLAGS;
  if (flags & (O.O_CREAT | TMPFILE_BIT)) return flags & O.O_CREAT ? -E.EISDIR : -E.EOPNOTSUPP;
  if (flags & O.O_DIRECTORY) nd.flags |= N.LOOKUP_DIRECTORY;
  const fd = FD.get_unused_fd(p, 0);
  if (fd < 0) return fd;
  if (!(flags & O.O_PATH)) {
    const bad = may_open_last(p, nd, flags);
    if (bad) return bad;
    if (flags & O.O_TRUNC) truncate_found(nd.dentry.inode);
  }
  return open_file(p, f, nd, fd, flags);
}

/** A file that was made for an open which then failed has never been. */
function unmake(d: D.dentry): void {
  d.inode.nlink = 0;
  D.d_drop(d);
}

const MADE: i32 = 1;

/** To the last name, which is made if it may be. Return: 0, MADE, or an errno. */
function open_last(p: task_struct, nd: nameidata, flags: u32, mode: u32): i32 {
  let bad = N.filename_parentat(nd);
  if (bad) return bad;
  const creates = (flags & O.O_CREAT) != 0;
  while (nd.last_type != N.LAST_ROOT) {
    if (nd.last_type == N.LAST_NORM && creates) {
      if (nd.flags & N.LOOKUP_TRAILING) return -E.EISDIR;
      const there = N.lookup_one(nd);
      if (nil(there)) return create_last(p, nd, mode);
      if (IS_ERR(there)) return PTR_ERR(there);
    } else if (nd.flags & N.LOOKUP_TRAILING) {
      nd.flags |= N.LOOKUP_DIRECTORY;
    }
    const dir = nd.dentry.inode;
    bad = N.step_last(nd);
    if (bad == N.STEP_AGAIN) continue;
    if (bad) return bad;
    if (!creates) return 0;
    if (flags & O.O_EXCL) return -E.EEXIST;
    if (is_dir(nd.dentry.inode)) return -E.EISDIR;
    return P.may_create_in_sticky(p.cred, dir, nd.dentry.inode) ? 0 : -E.EACCES;
  }
  if (!creates) return 0;
  return flags & O.O_EXCL ? -E.EEXIST : -E.EISDIR;
}

function create_last(p: task_struct, nd: nameidata, mode: u32): i32 {
  let bad = P.mnt_want_write(nd.mnt);
  if (!bad) bad = P.may_create(p.cred, nd.dentry.inode);
  if (bad) return bad;
  mode &= ~cold(p).fs.umask & S.S_IALLUGO;
  const queue = nd.dentry.inode.sb.type == FS_MQUEUE;
  const d = queue ? mqueue_create(p, nd, mode, false, false) : vfs_make(nd, S.S_IFREG | mode, 0);
  if (IS_ERR(d)) return PTR_ERR(d);
  nd.dentry = d;
  return MADE;
}

/** A file without a name, in the directory that the path leads to. */
function do_tmpfile(p: task_struct, nd: nameidata, fd: i32, flags: u32, mode: u32): i32 {
  nd.flags |= N.LOOKUP_DIRECTORY;
  let bad = N.path_lookupat(nd);
  if (!bad) bad = P.mnt_want_write(nd.mnt);
  if (bad) return bad;
  const dir = nd.dentry.inode;
  bad = P.inode_permission(p.cred, dir, P.MAY_WRITE | P.MAY_EXEC);
  if (!bad && dir.state & I.I_DYNAMIC) bad = -E.EOPNOTSUPP;
  if (bad) return bad;
  if (!P.fsuidgid_has_mapping(p.cred, dir.sb)) return -E.EOVERFLOW;
  if (I.inodes_full(dir.sb)) return -E.ENOSPC;
  store<u16>(VFS_BUFFER, 0x2331);
  const d = D.d_alloc(nd.dentry, VFS_BUFFER, 2);
  if (nil(d)) return -E.ENOMEM;
  const perms = mode & ~cold(p).fs.umask & S.S_IALLUGO;
  d.inode = I.new_inode(dir.sb, S.S_IFREG | perms, p.cred.fsuid, p.cred.fsgid);
  if (nil(d.inode)) {
    D.dput(d);
    return -E.ENOMEM;
  }
  d.inode.nlink = 0;
  if (!(flags & O.O_EXCL)) d.inode.state |= I.I_LINKABLE;
  const at = alloc_open(nd.mnt, d, flags);
  D.dput(d);
  if (nil(at)) return -E.ENOMEM;
  FD.fd_install(p, fd, at, (flags & O.O_CLOEXEC) != 0);
  return fd;
}

/** Device nodes: not where the mount says so, and not what the containers around forbid. */
function may_open_dev(p: task_struct, m: mount, i: I.vfs_inode): i32 {
  if (m.flags & MNT_NODEV || fs_flags(m.sb.type) & FS_NODEV) return -E.EACCES;
  const c = p.signal.leader.container;
  return device_allowed(c, i.type, i.rdev >> 20, i.rdev & 0xfffff) ? 0 : -E.EPERM;
}

/** May what was found be opened so? Return: 0 or an errno. */
function may_open_last(p: task_struct, nd: nameidata, flags: u32): i32 {
  const i = nd.dentry.inode;
  const acc = acc_mode(flags);
  if (nd.flags & N.LOOKUP_DIRECTORY && !is_dir(i)) return -E.ENOTDIR;
  const truncates = flags & O.O_TRUNC && is_reg(i);
  let bad = truncates ? P.mnt_want_write(nd.mnt) : 0;
  if (bad) return bad;
  switch (i.type) {
    case S.S_IFLNK:
      return -E.ELOOP;
    case S.S_IFDIR:
      if (acc & P.MAY_WRITE) return -E.EISDIR;
      break;
    case O.S_IFCHR:
    case O.S_IFBLK:
      bad = may_open_dev(p, nd.mnt, i);
      if (bad) return bad;
      break;
    default:
      break;
  }
  bad = P.inode_permission(p.cred, i, acc);
  if (bad && i.state & I.I_DYNAMIC) bad = proc_permission(p, i, bad);
  if (bad) return bad;
  if (flags & O.O_NOATIME && !P.inode_owner_or_capable(p.cred, i)) return -E.EPERM;
  if (is_reg(i) && acc & P.MAY_WRITE) return P.mnt_want_write(nd.mnt);
  return 0;
}

/** The open file of a dentry; null when memory is exhausted. */
function alloc_open(m: mount, d: D.dentry, flags: u32): file {
  const place = alloc_vfs_file(m, d);
  if (nil(place)) return changetype<file>(0);
  if (is_reg(d.inode) && acc_mode(flags & ~(<u32>O.O_TRUNC)) & P.MAY_WRITE) count_writer(place);
  const at = FD.alloc_file(FD.FILE_VFS, flags & ~ONCE, changetype<usize>(place));
  if (nil(at)) free_vfs_file(place);
  return at;
}

/** Has the device a driver? Memory devices have. */
function has_driver(i: I.vfs_inode): bool {
  if (i.type != O.S_IFCHR || i.rdev >> 20 != 1) return false;
  const minor = i.rdev & 0xfffff;
  return minor == 3 || minor == 5 || minor == 7 || minor == 8 || minor == 9;
}

/** The descriptor for what the walk has found. */
function open_file(p: task_struct, f: frame, nd: nameidata, fd: i32, flags: u32): i32 {
  const i = nd.dentry.inode;
  if (!(flags & O.O_PATH)) {
    if (i.type == S.S_IFIFO) return open_fifo(p, f, nd, fd, flags);
    if (i.type == S.S_IFSOCK) return -E.ENXIO;
    const device = i.type == O.S_IFCHR || i.type == O.S_IFBLK;
    if (device && !has_driver(i)) return -E.ENXIO;
  }
  const queue = !nil(i.mq) && !(flags & O.O_PATH);
  const at = queue ? alloc_mqueue_file(nd, flags) : alloc_open(nd.mnt, nd.dentry, flags);
  if (nil(at)) return -E.ENOMEM;
  const contents = i.state & I.I_DYNAMIC && is_reg(i) && !(flags & O.O_PATH);
  if (contents && !proc_open(p, i, changetype<vfs_file>(<usize>at.private_data))) {
    FD.fput(at);
    return -E.ENOMEM;
  }
  FD.fd_install(p, fd, at, (flags & O.O_CLOEXEC) != 0);
  return fd;
}

/** What a magic link of proc leads to and has no place: opened once more, if it can be. */
function open_magic(p: task_struct, link: D.dentry, lookup: u32, fd: i32, flags: u32): i32 {
  if (lookup & N.LOOKUP_DIRECTORY) return -E.ENOTDIR;
  const ns = magic_ns(link);
  let at = changetype<file>(0);
  if (!nil(ns)) {
    at = FD.alloc_file(FD.FILE_NSFS, flags & ~ONCE, changetype<usize>(ns));
    if (!nil(at)) get_ns(ns);
  } else {
    const old = magic_file(link.inode);
    if (old.kind != FD.FILE_PIPE && old.kind != FD.FILE_NULL) return -E.ENXIO;
    at = FD.alloc_file(old.kind, flags & ~ONCE, <usize>old.private_data);
    if (!nil(at) && old.kind == FD.FILE_PIPE) fifo_join(old.pipe, flags);
  }
  if (nil(at)) return -E.ENOMEM;
  FD.fd_install(p, fd, at, (flags & O.O_CLOEXEC) != 0);
  return fd;
}

/** fifo(7): without O_NONBLOCK an end waits for the other one. */
function open_fifo(p: task_struct, f: frame, nd: nameidata, fd: i32, flags: u32): i32 {
  const access = flags & O.O_ACCMODE;
  const pipe = fifo_pipe(nd.dentry.inode);
  if (nil(pipe)) return -E.ENOMEM;
  const alone = access == O.O_WRONLY ? !pipe.readers : access == O.O_RDONLY && !pipe.writers;
  if (alone && access == O.O_WRONLY && flags & O.O_NONBLOCK) {
    fifo_unused(nd.dentry.inode);
    return -E.ENXIO;
  }
  const place = alloc_vfs_file(nd.mnt, nd.dentry);
  const at = nil(place)
    ? changetype<file>(0)
    : FD.alloc_file(FD.FILE_PIPE, flags & ~ONCE, changetype<usize>(pipe));
  if (nil(at)) {
    if (!nil(place)) free_vfs_file(place);
    fifo_unused(nd.dentry.inode);
    return -E.ENOMEM;
  }
  at.pos = changetype<usize>(place);
  fifo_join(pipe, flags);
  if (!alone || flags & O.O_NONBLOCK) {
    FD.fd_install(p, fd, at, (flags & O.O_CLOEXEC) != 0);
    return fd;
  }
  const reads = access == O.O_RDONLY;
  f.cookie = reads ? pipe.w_counter : pipe.r_counter;
  // the close-on-exec flag travels with the frame
  f.deadline = 0;
  const r = wait_on_file(p, f, reads ? pipe.rd_wait : pipe.wr_wait, at);
  if (r == RET_BLOCKED) f.phase = flags & O.O_CLOEXEC ? 2 : 1;
  FD.fput(at);
  return r;
}

/** An open of a fifo goes on: its partner has come, or a signal. */
export function vfs_opened(p: task_struct, f: frame): i32 {
  const at = awaited_file(p);
  const pipe = at.pipe;
  const reads = (at.flags & O.O_ACCMODE) == O.O_RDONLY;
  const came = reads ? pipe.w_counter != f.cookie : pipe.r_counter != f.cookie;
  if (!came) {
    if (!signal_pending(p)) {
      const phase = f.phase;
      const r = wait_on_file(p, f, reads ? pipe.rd_wait : pipe.wr_wait, at);
      f.phase = phase;
      return r;
    }
    remove_waiters(p);
    return -E.ERESTARTSYS;
  }
  const fd = FD.get_unused_fd(p, 0);
  if (fd >= 0) FD.fd_install(p, fd, FD.get_file(at), f.phase == 2);
  remove_waiters(p);
  return fd;
}
