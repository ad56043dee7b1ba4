// Portable: compiled unchanged by asc and by tsc. Only `export const NAME = <integer>`.
// stat(2), statx(2), inode(7), path_resolution(7), openat2(2), rename(2), utimensat(2), statfs(2).
// Types of file, beside those that fcntl.ts has.
export const S_IFIFO = 0x1000;
export const S_IFDIR = 0x4000;
export const S_IFREG = 0x8000;
export const S_IFLNK = 0xa000;
export const S_IFSOCK = 0xc000;
export const S_ISUID = 0x800;
export const S_ISGID = 0x400;
export const S_ISVTX = 0x200;
export const S_IXGRP = 0x8;
/** All permission bits, with and without those three. */
export const S_IALLUGO = 0xfff;
export const S_IRWXUGO = 0x1ff;
export const S_IXUGO = 0x49;
// access(2).
export const R_OK = 4;
export const W_OK = 2;
export const X_OK = 1;
// What the calls with a directory's descriptor take.
export const AT_SYMLINK_NOFOLLOW = 0x100;
export const AT_REMOVEDIR = 0x200;
export const AT_EACCESS = 0x200;
export const AT_SYMLINK_FOLLOW = 0x400;
export const AT_NO_AUTOMOUNT = 0x800;
export const AT_STATX_SYNC_TYPE = 0x6000;
export const AT_RECURSIVE = 0x8000;
export const RENAME_NOREPLACE = 1;
export const RENAME_EXCHANGE = 2;
export const RENAME_WHITEOUT = 4;
export const RESOLVE_NO_XDEV = 1;
export const RESOLVE_NO_MAGICLINKS = 2;
export const RESOLVE_NO_SYMLINKS = 4;
export const RESOLVE_BENEATH = 8;
export const RESOLVE_IN_ROOT = 16;
export const RESOLVE_CACHED = 32;
// open_how grows: its first size.
export const OPEN_HOW_SIZE_VER0 = 24;
export const PATH_MAX = 4096;
export const NAME_MAX = 255;
/** How many symbolic links one walk follows. */
export const MAXSYMLINKS = 40;
/** How many names an inode has at most. */
export const LINK_MAX = 65000;
export const UTIME_NOW = 0x3fffffff;
export const UTIME_OMIT = 0x3ffffffe;
export const STATX_BASIC_STATS = 0x7ff;
export const STATX_BTIME = 0x800;
export const STATX_MNT_ID = 0x1000;
export const STATX__RESERVED = -0x80000000;
export const STATX_ATTR_MOUNT_ROOT = 0x2000;
// What getdents64(2) calls the types: the type of st_mode, twelve bits down.
export const DT_DIR = 4;
// statfs(2): which file system it is.
export const RAMFS_MAGIC = -0x7a7ba70a;
export const TMPFS_MAGIC = 0x01021994;
export const PROC_SUPER_MAGIC = 0x9fa0;
export const SYSFS_MAGIC = 0x62656572;
export const MQUEUE_MAGIC = 0x19800202;
// fallocate(2).
export const FALLOC_FL_KEEP_SIZE = 1;
export const FALLOC_FL_PUNCH_HOLE = 2;
