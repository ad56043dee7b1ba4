// Opening by name. Whether there is such a file is the world's to say; whether it is one of
// those that the kernel knows (/proc/PID/ns/*, id maps) is found here.
import { nil } from "../lib/err.ts";
import * as FD from "./file.ts";
import { file } from "./file.ts";
import { frame, syscall_table } from "../lib/frame.ts";
import { fs_for_write } from "./fs.ts";
import { get_ns } from "../namespace/namespace.ts";
import { ns_lookup, proc_readlink } from "../namespace/nsfs.ts";
import { pid } from "../process/pid.ts";
import { proc_fd_readlink } from "../proc/proc-fd.ts";
import * as P from "../proc/procfs.ts";
import { proc_path } from "../proc/procfs.ts";
import { PROC_PATH, root, SCRATCH_USER, SCRATCH_USER_BYTES } from "../lib/root.ts";
import { may_open_device } from "../container/sys-device.ts";
import { alloc_world_file, sys_world_call } from "./sys-file.ts";
import { cold, task_struct } from "../process/task.ts";
import { NO_TTY, tty_by_name, tty_open } from "../tty/sys-tty.ts";
import { copy_from_user, strncpy_from_user } from "../lib/uaccess.ts";
import { CAP_SYS_CHROOT } from "../uapi/capability.ts";
import { cred_ns_capable } from "../cred/cred.ts";
import * as E from "../uapi/errno.ts";
import * as O from "../uapi/fcntl.ts";
import * as F from "../uapi/frame.ts";
import { PAGE_SIZE } from "../uapi/limits.ts";
import { OPEN_HOW_SIZE_VER0 } from "../uapi/stat.ts";
import { vfs_owns } from "../vfs/lookup.ts";
import { has_root } from "../vfs/namei.ts";
import { vfs_open, vfs_openat2 } from "../vfs/open.ts";
import { vfs_chroot } from "../vfs/sys-dirs.ts";
import { vfs_readlinkat } from "../vfs/sys-names.ts";

/** Flags of an open that are no part of what is open. */
const ONCE: u32 = O.O_CREAT | O.O_EXCL | O.O_NOCTTY | O.O_TRUNC | O.O_CLOEXEC;

/** Where the path at the scratch buffer leads from the directory of `dirfd`. */
export function lookup(p: task_struct, dirfd: i32, len: i32): proc_path {
  const to = changetype<proc_path>(PROC_PATH);
  to.what = 0;
  to.pid = changetype<pid>(0);
  const dir = dirfd == O.AT_FDCWD ? changetype<file>(0) : FD.fget(p, dirfd);
  if (!nil(dir) && dir.kind == FD.FILE_PROC) {
    to.what = dir.proc.what;
    to.pid = dir.proc.pid;
  }
  P.proc_walk(p, to, SCRATCH_USER, len);
  ns_lookup(to, SCRATCH_USER, <u32>len);
  return to;
}

/** readlink(2) and readlinkat(2): of a namespace's file it is the kernel's answer. */
export function sys_readlink(
  p: task_struct,
  f: frame,
  dirfd: i32,
  path: u64,
  addr: u64,
  size: i32,
): i32 {
  if (vfs_owns(p, f, dirfd, path)) return vfs_readlinkat(p, f, dirfd, path, addr, size);
  const len = strncpy_from_user(f, SCRATCH_USER, path, SCRATCH_USER_BYTES);
  if (len < 0) return len;
  const to = lookup(p, dirfd, len);
  if (to.what == P.PROC_FD) return proc_fd_readlink(p, f, to, addr, size);
  if (to.what != P.PROC_NS) return sys_world_call(f, -E.ENOSYS);
  return proc_readlink(p, f, to, addr, size);
}

/** Does the call come from a 32-bit table? */
function is_compat(f: frame): bool {
  const table = changetype<syscall_table>(<usize>(root().tables + (f.table << 4)));
  return (table.flags & F.TABLE_COMPAT) != 0;
}

/** The open file of what a path leads to; null when memory is exhausted. */
function open_file(p: task_struct, f: frame, to: proc_path, flags: u32): file {
  if (to.what == P.PROC_NS) {
    const file = FD.alloc_file(FD.FILE_NSFS, flags, changetype<usize>(to.ns));
    if (!nil(file)) get_ns(to.ns);
    return file;
  }
  if (!P.proc_is_known(to.what)) return alloc_world_file(f, flags, true);
  if (P.proc_is_text(to.what)) {
    const text = P.alloc_proc_text(to);
    if (nil(text)) return changetype<file>(0);
    const file = FD.alloc_file(FD.FILE_PROC_TEXT, flags, changetype<usize>(text));
    if (nil(file)) P.proc_text_release(text);
    return file;
  }
  const data = P.alloc_proc_file(p, to);
  if (nil(data)) return changetype<file>(0);
  const file = FD.alloc_file(FD.FILE_PROC, flags, changetype<usize>(data));
  if (nil(file)) P.proc_release(data);
  return file;
}

/** open(2), openat(2): directory, path, flags, mode of a new file. */
export function sys_open(
  p: task_struct,
  f: frame,
  dirfd: i32,
  path: u64,
  flags: u32,
  mode: u32,
): i32 {
  if (f.phase || vfs_owns(p, f, dirfd, path)) return vfs_open(p, f, dirfd, path, flags, mode);
  return open_world(p, f, dirfd, path, flags);
}

/** A path of the world's, or of /proc there: flags as far as they are known. */
function open_world(p: task_struct, f: frame, dirfd: i32, path: u64, flags: u32): i32 {
  if (flags & O.O_PATH) flags &= O.O_PATH | O.O_DIRECTORY | O.O_NOFOLLOW | O.O_CLOEXEC;
  else if (!is_compat(f)) flags |= O.O_LARGEFILE;
  if (f.assist & F.ASSIST_ERRNO) return -f.assist_val;
  const len = strncpy_from_user(f, SCRATCH_USER, path, SCRATCH_USER_BYTES);
  if (len < 0) return len;
  const to = lookup(p, dirfd, len);
  // what the kernel writes itself is there whether the world says so or not
  const silent = !(f.assist & F.ASSIST_RET);
  if (silent && (to.what < P.PROC_UID_MAP || !P.proc_is_known(to.what))) return -E.ENOSYS;
  const refused = may_open_device(p, f);
  if (refused) return refused;
  const terminal = flags & O.O_PATH ? NO_TTY : tty_by_name(len);
  const fd = FD.get_unused_fd(p, 0);
  if (fd < 0) return fd;
  if (f.assist & F.ASSIST_NONBLOCK) flags |= O.O_NONBLOCK;
  const at = open_file(p, f, to, flags & ~ONCE);
  if (nil(at)) return -E.ENOMEM;
  const error = terminal == NO_TTY ? 0 : tty_open(p, at, terminal, flags);
  if (error) {
    FD.fput(at);
    return error;
  }
  const cloexec = silent ? flags & O.O_CLOEXEC : f.assist & F.ASSIST_CLOEXEC;
  FD.fd_install(p, fd, at, cloexec != 0);
  return fd;
}

/** openat2(2): directory, path, how, size; of a path of the world's only the flags matter. */
export function sys_openat2(p: task_struct, f: frame): i32 {
  if (f.r10 < <u64>OPEN_HOW_SIZE_VER0) return -E.EINVAL;
  const dirfd = <i32>f.a0;
  const ours = f.phase || vfs_owns(p, f, dirfd, f.a1);
  const size: u64 = ours ? f.r10 : 8;
  if (size > <u64>PAGE_SIZE) return -E.E2BIG;
  const how = SCRATCH_USER;
  const bad = copy_from_user(f, how, f.a2, <u32>size);
  if (bad) return bad;
  if (!ours) return open_world(p, f, dirfd, f.a1, load<u32>(how));
  // what a later kernel would know must not be asked for
  for (let i = OPEN_HOW_SIZE_VER0; i < <i32>size; ++i) if (load<u8>(how + i)) return -E.E2BIG;
  return vfs_openat2(p, f, dirfd, f.a1, load<u64>(how), load<u64>(how, 8), load<u64>(how, 16));
}

/** Does a path lead to the root directory, whatever directories there are? */
function names_root(at: usize, len: i32): bool {
  if (!len || load<u8>(at) != 47) return false;
  for (let i = 0; i < len; ++i) {
    const byte = load<u8>(at + i);
    if (byte != 47 && byte != 46) return false;
    // three dots are a name
    if (byte == 46 && i + 2 < len && load<u16>(at + i + 1) == 0x2e2e) return false;
  }
  return true;
}

/** chroot(2): the world says whether there is such a directory. */
export function sys_chroot(p: task_struct, f: frame): i32 {
  if (has_root(p)) return vfs_chroot(p, f);
  const len = strncpy_from_user(f, SCRATCH_USER, f.a0, SCRATCH_USER_BYTES);
  if (len < -4096) return len;
  if (f.assist & F.ASSIST_ERRNO && f.assist_val != E.EPERM) return -f.assist_val;
  if (len < 0) return len;
  if (!cred_ns_capable(p.cred, p.cred.user_ns, CAP_SYS_CHROOT)) return -E.EPERM;
  if (!fs_for_write(p)) return -E.ENOMEM;
  if (!names_root(SCRATCH_USER, len)) cold(p).fs.chrooted = 1;
  return 0;
}
