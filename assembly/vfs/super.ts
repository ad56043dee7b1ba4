// struct super_block - one file system, however often it is mounted - and the table of the types
// that can be mounted (fs/super.c, fs/filesystems.c).
import { d_genocide, dentry } from "./dcache.ts";
import { ipc_namespace } from "../ipc/ipc.ts";
import { get_ns, ns_common, put_ns } from "../namespace/namespace.ts";
import { nil } from "../lib/err.ts";
import { kernel_root, root } from "../lib/root.ts";
import { kfree, kzalloc } from "../lib/slab.ts";
import { user_namespace } from "../namespace/user-namespace.ts";
import * as S from "../uapi/stat.ts";

// super_block.type: each is a row of the table below.
export const FS_ROOTFS: u32 = 1;
export const FS_RAMFS: u32 = 2;
export const FS_TMPFS: u32 = 3;
export const FS_DEVTMPFS: u32 = 4;
export const FS_PROC: u32 = 5;
export const FS_SYSFS: u32 = 6;
export const FS_MQUEUE: u32 = 7;
export const FS_LAST: u32 = 7;

// file_system_type.flags
/** Whoever is privileged in a user namespace of its own may mount it. */
export const FS_USERNS_MOUNT: u32 = 1;
/** All mounts of one user namespace show the same file system. */
export const FS_SINGLE: u32 = 2;
/** Its devices and programs are never trusted (SB_I_NODEV, SB_I_NOEXEC). */
export const FS_NODEV: u32 = 4;
export const FS_NOEXEC: u32 = 8;
/** The world has it, not a caller of mount(2). */
export const FS_INTERNAL: u32 = 16;

/** struct super_block - 68 bytes. */
@unmanaged
export class super_block {
  active: i32; // refcount_t: mounts of it, contexts that made it
  type: u32; // [C] FS_*
  flags: u32; // MS_* that concern the whole file system: MS_RDONLY
  dev: u32; // [C] minor number of its unnamed device
  magic: u32; // [C]
  root: dentry; // holds a reference
  user_ns: user_namespace; // [C] who may do what with it; holds a reference
  next: super_block; // on root.super_blocks
  ino: u32; // number of an inode given last
  nr_inodes: u32;
  max_inodes: u32; // 0: no limit of its own
  nr_pages: u32;
  max_pages: u32;
  fs_info: ns_common; // [C] of proc: the pid namespace that it shows; holds a reference
  writers: u32; // open files that may be written
  ipc: ipc_namespace; // of mqueue: whose queues; no reference, null when that is gone
  xattr_bytes: u32; // extended attributes of all its inodes
}

/** What the type with a number is allowed. */
export function fs_flags(type: u32): u32 {
  switch (type) {
    case FS_ROOTFS:
      return FS_INTERNAL;
    case FS_RAMFS:
    case FS_TMPFS:
      return FS_USERNS_MOUNT;
    case FS_DEVTMPFS:
      return FS_SINGLE;
    default:
      return FS_USERNS_MOUNT | FS_NODEV | FS_NOEXEC;
  }
}

function magic_of(type: u32): u32 {
  if (type == FS_PROC) return S.PROC_SUPER_MAGIC;
  if (type == FS_SYSFS) return S.SYSFS_MAGIC;
  if (type == FS_MQUEUE) return S.MQUEUE_MAGIC;
  return type == FS_RAMFS || type == FS_ROOTFS ? <u32>S.RAMFS_MAGIC : S.TMPFS_MAGIC;
}

/** The name of a type as a number of up to eight bytes, first byte lowest. */
export function fs_name(type: u32): u64 {
  switch (type) {
    case FS_ROOTFS:
      return 0x7366746f6f72;
    case FS_RAMFS:
      return 0x73666d6172;
    case FS_TMPFS:
      return 0x7366706d74;
    case FS_DEVTMPFS:
      return 0x7366706d74766564;
    case FS_PROC:
      return 0x636f7270;
    case FS_SYSFS:
      return 0x7366737973;
    default:
      return 0x65756575716d;
  }
}

/** The type of the name of `len` bytes at `at`; 0: there is none that may be mounted. */
export function get_fs_type(at: usize, len: i32): u32 {
  if (len < 4 || len > 8) return 0;
  let word: u64 = 0;
  for (let i = len - 1; i >= 0; --i) word = (word << 8) | (<u64>load<u8>(at + i));
  for (let type = FS_RAMFS; type <= FS_LAST; ++type) if (fs_name(type) == word) return type;
  return 0;
}

/** A file system without a root yet, with one active reference; null when memory is exhausted. */
export function alloc_super(type: u32, user_ns: user_namespace): super_block {
  const sb = changetype<super_block>(kzalloc(<u32>offsetof<super_block>()));
  if (nil(sb)) return sb;
  const r = root();
  sb.active = 1;
  sb.type = type;
  sb.magic = magic_of(type);
  r.fs_dev += 1;
  sb.dev = r.fs_dev;
  sb.max_inodes = r.fs_inodes_max;
  sb.max_pages = r.fs_pages_max;
  get_ns(user_ns);
  sb.user_ns = user_ns;
  sb.next = changetype<super_block>(<usize>r.super_blocks);
  r.super_blocks = <u32>changetype<usize>(sb);
  return sb;
}

export function get_super(sb: super_block): super_block {
  sb.active += 1;
  return sb;
}

/** Drops an active reference; with the last one everything in it goes. */
export function deactivate_super(sb: super_block): void {
  sb.active -= 1;
  if (sb.active) return;
  if (!nil(sb.root)) d_genocide(sb.root);
  let link: usize = changetype<usize>(root()) + offsetof<kernel_root>("super_blocks");
  while (load<u32>(link) != <u32>changetype<usize>(sb)) {
    link = load<u32>(link) + offsetof<super_block>("next");
  }
  store<u32>(link, <u32>changetype<usize>(sb.next));
  put_ns(sb.user_ns);
  put_ns(sb.fs_info);
  kfree(changetype<usize>(sb), <u32>offsetof<super_block>());
}

/** The one of a type that is shared, if it is there: no reference. */
export function find_super(type: u32, user_ns: user_namespace): super_block {
  let sb = changetype<super_block>(<usize>root().super_blocks);
  while (!nil(sb) && (sb.type != type || sb.user_ns !== user_ns)) sb = sb.next;
  return sb;
}
