// What the calls on any descriptor say of a container's file: an inode of containerfs, a pseudo
// file system that nobody mounts (seed: CONTAINERFS_MAGIC). Other files are the world's.
import { container } from "./container.ts";
import { nil } from "../lib/err.ts";
import * as FD from "../fs/file.ts";
import { frame } from "../lib/frame.ts";
import { SCRATCH_USER } from "../lib/root.ts";
import { sys_world_call } from "../fs/sys-file.ts";
import { sys_ioctl } from "../fs/sys-ioctl.ts";
import { sys_lseek } from "../fs/sys-rw.ts";
import { task_struct } from "../process/task.ts";
import { access_ok, copy_from_user, copy_to_user } from "../lib/uaccess.ts";
import { CONTAINERFS_MAGIC } from "../uapi/container.ts";
import * as E from "../uapi/errno.ts";
import { AT_EMPTY_PATH } from "../uapi/fcntl.ts";
import { WINDOW_READ } from "../uapi/frame.ts";
import { PAGE_SIZE } from "../uapi/limits.ts";
import * as O from "../uapi/op.ts";
import { from_kgid_munged, from_kuid_munged } from "../namespace/user-namespace.ts";

/** Mode of an anonymous inode: no type, rw for the owner. */
const MODE: u32 = 0o600;
/** Device number of containerfs: an unnamed one. */
const DEVICE: u32 = 14;
const STATX_BASIC: u32 = 0x7ff;

/** The container of an open container file, null for any other file or none. */
function container_at(p: task_struct, fd: i32): container {
  const at = FD.fget(p, fd);
  if (nil(at) || at.kind != FD.FILE_CONTAINER) return changetype<container>(0);
  return at.container;
}

function put_buffer(f: frame, addr: u64, len: u32): i32 {
  return copy_to_user(f, addr, SCRATCH_USER, len);
}

/** struct stat of x86-64, struct stat64 of i386. */
function put_stat(p: task_struct, f: frame, c: container, addr: u64, compat: bool): i32 {
  const at = SCRATCH_USER;
  const uid = from_kuid_munged(p.cred.user_ns, c.cred.uid);
  const gid = from_kgid_munged(p.cred.user_ns, c.cred.gid);
  memory.fill(at, 0, 144);
  store<u64>(at, DEVICE);
  if (compat) {
    store<u32>(at, <u32>c.id, 12);
    store<u32>(at, MODE, 16);
    store<u32>(at, 1, 20);
    store<u32>(at, uid, 24);
    store<u32>(at, gid, 28);
    store<u32>(at, PAGE_SIZE, 52);
    store<u64>(at, c.id, 88);
    return put_buffer(f, addr, 96);
  }
  store<u64>(at, c.id, 8);
  store<u64>(at, 1, 16);
  store<u32>(at, MODE, 24);
  store<u32>(at, uid, 28);
  store<u32>(at, gid, 32);
  store<u64>(at, PAGE_SIZE, 56);
  return put_buffer(f, addr, 144);
}

/** fstat(2), fstat64: descriptor, struct. */
function sys_fstat(p: task_struct, f: frame, compat: bool): i32 {
  const c = container_at(p, <i32>f.a0);
  return nil(c) ? sys_world_call(f, -E.ENOSYS) : put_stat(p, f, c, f.a1, compat);
}

/** Is `addr` an empty path? 1, 0, -EFAULT, RET_NEED. */
function is_empty_path(f: frame, addr: u64): i32 {
  const ok = access_ok(f, addr, 1, WINDOW_READ);
  if (ok) return ok;
  copy_from_user(f, SCRATCH_USER, addr, 1);
  return load<u8>(SCRATCH_USER) ? 0 : 1;
}

/** newfstatat(2), fstatat64, statx(2) of the descriptor itself, as the C library's fstat asks. */
function sys_fstat_at(p: task_struct, f: frame, compat: bool, extended: bool): i32 {
  const c = container_at(p, <i32>f.a0);
  if (nil(c)) return sys_world_call(f, -E.ENOSYS);
  const flags = extended ? <u32>f.a2 : <u32>f.r10;
  const empty = is_empty_path(f, f.a1);
  if (empty < 0) return empty;
  if (!empty || !(flags & AT_EMPTY_PATH)) return sys_world_call(f, -E.ENOENT);
  return extended ? put_statx(p, f, c) : put_stat(p, f, c, f.a2, compat);
}

/** struct statx: the basic fields. */
function put_statx(p: task_struct, f: frame, c: container): i32 {
  const at = SCRATCH_USER;
  memory.fill(at, 0, 256);
  store<u32>(at, STATX_BASIC);
  store<u32>(at, PAGE_SIZE, 4);
  store<u32>(at, 1, 16);
  store<u32>(at, from_kuid_munged(p.cred.user_ns, c.cred.uid), 20);
  store<u32>(at, from_kgid_munged(p.cred.user_ns, c.cred.gid), 24);
  store<u16>(at, <u16>MODE, 28);
  store<u64>(at, c.id, 32);
  store<u32>(at, DEVICE, 140);
  return put_buffer(f, f.r8, 256);
}

/** fstatfs(2), fstatfs64: the magic tells a container's descriptor from any other. */
function sys_fstatfs(p: task_struct, f: frame, compat: bool): i32 {
  const c = container_at(p, <i32>f.a0);
  if (nil(c)) return sys_world_call(f, -E.ENOSYS);
  const at = SCRATCH_USER;
  memory.fill(at, 0, 120);
  if (compat) {
    // fstatfs64(fd, size, struct)
    if (f.a1 != 84) return -E.EINVAL;
    store<u32>(at, CONTAINERFS_MAGIC);
    store<u32>(at, PAGE_SIZE, 4);
    store<u32>(at, 255, 56);
    store<u32>(at, PAGE_SIZE, 60);
    return put_buffer(f, f.a2, 84);
  }
  store<u64>(at, CONTAINERFS_MAGIC);
  store<u64>(at, PAGE_SIZE, 8);
  store<u64>(at, 255, 64);
  store<u64>(at, PAGE_SIZE, 72);
  return put_buffer(f, f.a1, 120);
}

/** What none of a container's file operations can do; any other file is the world's. */
function refuse(p: task_struct, f: frame, fd: i32, error: i32): i32 {
  return nil(container_at(p, fd)) ? sys_world_call(f, -E.ENOSYS) : error;
}

/** Calls on a descriptor that a container's file answers in its own way. */
export function do_op_containerfs(op: u32, p: task_struct, f: frame, compat: bool): i32 {
  switch (op) {
    case O.OP_FSTAT:
      return sys_fstat(p, f, compat);
    case O.OP_NEWFSTATAT:
      return sys_fstat_at(p, f, compat, false);
    case O.OP_STATX:
      return sys_fstat_at(p, f, compat, true);
    case O.OP_FSTATFS:
      return sys_fstatfs(p, f, compat);
    case O.OP_LSEEK:
      return sys_lseek(p, f, <i32>f.a0);
    case O.OP_IOCTL:
      return sys_ioctl(p, f, <i32>f.a0, <u32>f.a1, compat);
    case O.OP_MMAP:
      return refuse(p, f, <i32>f.r8, -E.EACCES);
    default:
      return -E.ENOSYS;
  }
}
