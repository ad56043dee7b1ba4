// Paths and what lies behind them: the file systems in the kernel's memory. A replay has the
// recorded machine's instead, and so nothing of these calls to compare.
import * as OP from '../../../assembly/uapi/op.ts';
import type { CallDef } from '../def.ts';

const NOTE = "file systems in the kernel's memory; in a replay the paths are the world's";
const onPath = (op: number, args: string, result: CallDef['result'] = 'zero'): CallDef => {
  return { op, args, result, class: 'unmodelled', support: 'partial', note: NOTE };
};

/** Extended attributes, handles. */
const XATTRS: Readonly<Record<string, CallDef>> = {
  setxattr: onPath(OP.OP_SETXATTR, 'str str addr ulong uint'),
  lsetxattr: onPath(OP.OP_LSETXATTR, 'str str addr ulong uint'),
  fsetxattr: onPath(OP.OP_FSETXATTR, 'fd str addr ulong uint'),
  getxattr: onPath(OP.OP_GETXATTR, 'str str out:byte@3 ulong', 'size'),
  lgetxattr: onPath(OP.OP_LGETXATTR, 'str str out:byte@3 ulong', 'size'),
  fgetxattr: onPath(OP.OP_FGETXATTR, 'fd str out:byte@3 ulong', 'size'),
  listxattr: onPath(OP.OP_LISTXATTR, 'str out:byte@2 ulong', 'size'),
  llistxattr: onPath(OP.OP_LLISTXATTR, 'str out:byte@2 ulong', 'size'),
  flistxattr: onPath(OP.OP_FLISTXATTR, 'fd out:byte@2 ulong', 'size'),
  removexattr: onPath(OP.OP_REMOVEXATTR, 'str str'),
  lremovexattr: onPath(OP.OP_LREMOVEXATTR, 'str str'),
  fremovexattr: onPath(OP.OP_FREMOVEXATTR, 'fd str'),
  name_to_handle_at: onPath(OP.OP_NAME_TO_HANDLE_AT, 'dirfd str addr addr flags:at'),
};

/** Names in directories. */
const NAMES: Readonly<Record<string, CallDef>> = {
  mkdir: onPath(OP.OP_MKDIR, 'str mode'),
  mkdirat: onPath(OP.OP_MKDIRAT, 'dirfd str mode'),
  rmdir: onPath(OP.OP_RMDIR, 'str'),
  unlink: onPath(OP.OP_UNLINK, 'str'),
  unlinkat: onPath(OP.OP_UNLINKAT, 'dirfd str flags:unlink'),
  symlink: onPath(OP.OP_SYMLINK, 'str str'),
  symlinkat: onPath(OP.OP_SYMLINKAT, 'str dirfd str'),
  link: onPath(OP.OP_LINK, 'str str'),
  linkat: onPath(OP.OP_LINKAT, 'dirfd str dirfd str flags:at'),
  rename: onPath(OP.OP_RENAME, 'str str'),
  renameat: onPath(OP.OP_RENAMEAT, 'dirfd str dirfd str'),
  renameat2: onPath(OP.OP_RENAMEAT2, 'dirfd str dirfd str flags:rename'),
};

/** Where a process stands, and what it reads there. */
const DIRECTORIES: Readonly<Record<string, CallDef>> = {
  chdir: onPath(OP.OP_CHDIR, 'str'),
  fchdir: onPath(OP.OP_FCHDIR, 'fd'),
  getcwd: onPath(OP.OP_GETCWD, 'out:byte@1 ulong', 'size'),
  getdents: onPath(OP.OP_GETDENTS, 'fd out:byte*2 uint', 'size'),
  getdents64: onPath(OP.OP_GETDENTS64, 'fd out:byte*2 uint', 'size'),
};

/** What an inode says of itself. */
const ATTRIBUTES: Readonly<Record<string, CallDef>> = {
  stat: onPath(OP.OP_STAT, 'str out:stat'),
  lstat: onPath(OP.OP_LSTAT, 'str out:stat'),
  stat64: onPath(OP.OP_STAT, 'str out:stat64'),
  lstat64: onPath(OP.OP_LSTAT, 'str out:stat64'),
  statfs: onPath(OP.OP_STATFS, 'str out:statfs'),
  statfs64: onPath(OP.OP_STATFS, 'str ulong out:statfs64@1'),
  access: onPath(OP.OP_ACCESS, 'str mode'),
  faccessat: onPath(OP.OP_FACCESSAT, 'dirfd str mode'),
  faccessat2: onPath(OP.OP_FACCESSAT2, 'dirfd str mode flags:at'),
  chmod: onPath(OP.OP_CHMOD, 'str mode'),
  fchmod: onPath(OP.OP_FCHMOD, 'fd mode'),
  fchmodat: onPath(OP.OP_FCHMODAT, 'dirfd str mode'),
  fchmodat2: onPath(OP.OP_FCHMODAT2, 'dirfd str mode flags:at'),
  chown: onPath(OP.OP_CHOWN, 'str id id'),
  lchown: onPath(OP.OP_LCHOWN, 'str id id'),
  fchown: onPath(OP.OP_FCHOWN, 'fd id id'),
  fchownat: onPath(OP.OP_FCHOWNAT, 'dirfd str id id flags:at'),
  utime: onPath(OP.OP_UTIME, 'str in:utimbuf'),
  utimes: onPath(OP.OP_UTIMES, 'str addr'),
  futimesat: onPath(OP.OP_FUTIMESAT, 'dirfd str addr'),
  utimensat: onPath(OP.OP_UTIMENSAT, 'dirfd str addr flags:at'),
  truncate: onPath(OP.OP_TRUNCATE, 'str long'),
  ftruncate: onPath(OP.OP_FTRUNCATE, 'fd long'),
  truncate64: onPath(OP.OP_TRUNCATE, 'str uint uint'),
  ftruncate64: onPath(OP.OP_FTRUNCATE, 'fd uint uint'),
  fallocate: onPath(OP.OP_FALLOCATE, 'fd op long long'),
  fsync: onPath(OP.OP_FSYNC, 'fd'),
  fdatasync: onPath(OP.OP_FSYNC, 'fd'),
};

export const VFS_CALLS: Readonly<Record<string, CallDef>> = {
  ...XATTRS,
  ...NAMES,
  ...DIRECTORIES,
  ...ATTRIBUTES,
};
