// The calls on paths and on files of the kernel's own file systems: their part of the dispatch.
import { frame } from "./lib/frame.ts";
import { sys_world_fd } from "./fs/sys-file.ts";
import { sys_pwrite } from "./fs/sys-rw.ts";
import { task_struct } from "./process/task.ts";
import { ENOSYS } from "./uapi/errno.ts";
import { AT_FDCWD, O_CREAT, O_TRUNC, O_WRONLY } from "./uapi/fcntl.ts";
import * as O from "./uapi/op.ts";
import { AT_REMOVEDIR, AT_SYMLINK_NOFOLLOW } from "./uapi/stat.ts";
import { has_root } from "./vfs/namei.ts";
import { vfs_open } from "./vfs/open.ts";
import * as A from "./vfs/sys-attr.ts";
import * as D from "./vfs/sys-dirs.ts";
import * as N from "./vfs/sys-names.ts";
import * as S from "./vfs/sys-stat.ts";

/** Is the operation one of these, though its number is older? */
export function is_vfs_op(op: u32): bool {
  if (op - O.VFS_OPS_FIRST <= <u32>(O.VFS_OPS_LAST - O.VFS_OPS_FIRST)) return true;
  if (op - O.OP_FSTAT <= <u32>(O.OP_FSTATFS - O.OP_FSTAT)) return true;
  return op == O.OP_MKNOD || op == O.OP_MKNODAT;
}

/** An offset or a length: of i386 in two registers. */
function wide(low: u64, high: u64, compat: bool): i64 {
  return <i64>(compat ? low | (high << 32) : low);
}

/** Names: made, taken away, moved. */
export function do_op_vfs(op: u32, p: task_struct, f: frame, compat: bool): i32 {
  const a0 = <i32>f.a0;
  const a2 = <i32>f.a2;
  switch (op) {
    case O.OP_MKDIR:
      return N.sys_mkdirat(p, f, AT_FDCWD, f.a0, <u32>f.a1);
    case O.OP_MKDIRAT:
      return N.sys_mkdirat(p, f, a0, f.a1, <u32>f.a2);
    case O.OP_MKNOD:
      return N.sys_mknodat(p, f, AT_FDCWD, f.a0, <u32>f.a1, <u32>f.a2);
    case O.OP_MKNODAT:
      return N.sys_mknodat(p, f, a0, f.a1, <u32>f.a2, <u32>f.r10);
    case O.OP_RMDIR:
      return N.sys_unlinkat(p, f, AT_FDCWD, f.a0, AT_REMOVEDIR);
    case O.OP_UNLINK:
      return N.sys_unlinkat(p, f, AT_FDCWD, f.a0, 0);
    case O.OP_UNLINKAT:
      return N.sys_unlinkat(p, f, a0, f.a1, <u32>f.a2);
    case O.OP_SYMLINK:
      return N.sys_symlinkat(p, f, f.a0, AT_FDCWD, f.a1);
    case O.OP_SYMLINKAT:
      return N.sys_symlinkat(p, f, f.a0, <i32>f.a1, f.a2);
    case O.OP_LINK:
      return N.sys_linkat(p, f, AT_FDCWD, f.a0, AT_FDCWD, f.a1, 0);
    case O.OP_LINKAT:
      return N.sys_linkat(p, f, a0, f.a1, a2, f.r10, <u32>f.r8);
    case O.OP_RENAME:
      return N.sys_renameat2(p, f, AT_FDCWD, f.a0, AT_FDCWD, f.a1, 0);
    case O.OP_RENAMEAT:
      return N.sys_renameat2(p, f, a0, f.a1, a2, f.r10, 0);
    case O.OP_RENAMEAT2:
      return N.sys_renameat2(p, f, a0, f.a1, a2, f.r10, <u32>f.r8);
    case O.OP_CREAT:
      if (!f.phase && !has_root(p)) return sys_world_fd(p, f);
      return vfs_open(p, f, AT_FDCWD, f.a0, O_CREAT | O_WRONLY | O_TRUNC, <u32>f.a1);
    case O.OP_CHDIR:
      return D.sys_chdir(p, f);
    case O.OP_FCHDIR:
      return D.sys_fchdir(p, f, a0);
    case O.OP_GETCWD:
      return D.sys_getcwd(p, f);
    case O.OP_GETDENTS64:
      return D.sys_getdents(p, f, false, compat);
    case O.OP_GETDENTS:
      return D.sys_getdents(p, f, true, compat);
    case O.OP_FSTAT:
      return S.sys_fstat(p, f, compat);
    case O.OP_NEWFSTATAT:
      return S.sys_newfstatat(p, f, compat);
    case O.OP_STATX:
      return S.sys_statx(p, f, compat);
    case O.OP_FSTATFS:
      return S.sys_fstatfs(p, f, compat);
    case O.OP_STAT:
      return S.sys_stat(p, f, true, compat);
    case O.OP_LSTAT:
      return S.sys_stat(p, f, false, compat);
    case O.OP_STATFS:
      return S.sys_statfs(p, f, compat);
    default:
      return do_op_attr(op, p, f, compat);
  }
}

/** Inodes: their contents' length, whose they are, when they were used. */
function do_op_attr(op: u32, p: task_struct, f: frame, compat: bool): i32 {
  const a0 = <i32>f.a0;
  const a1 = <i32>f.a1;
  const a2 = <i32>f.a2;
  switch (op) {
    case O.OP_TRUNCATE:
      return A.sys_truncate(p, f, wide(f.a1, f.a2, compat));
    case O.OP_FTRUNCATE:
      return A.sys_ftruncate(p, f, wide(f.a1, f.a2, compat));
    case O.OP_FALLOCATE: {
      const len = compat ? wide(f.r8, f.r9, true) : <i64>f.r10;
      return A.sys_fallocate(p, f, <u32>f.a1, wide(f.a2, f.r10, compat), len);
    }
    case O.OP_CHMOD:
      return A.sys_fchmodat(p, f, AT_FDCWD, f.a0, <u32>f.a1, 0);
    case O.OP_FCHMOD:
      return A.sys_fchmod(p, f, a0, <u32>f.a1);
    case O.OP_FCHMODAT:
      return A.sys_fchmodat(p, f, a0, f.a1, <u32>f.a2, 0);
    case O.OP_FCHMODAT2:
      return A.sys_fchmodat(p, f, a0, f.a1, <u32>f.a2, <u32>f.r10);
    case O.OP_CHOWN:
      return A.sys_fchownat(p, f, AT_FDCWD, f.a0, a1, a2, 0);
    case O.OP_LCHOWN:
      return A.sys_fchownat(p, f, AT_FDCWD, f.a0, a1, a2, AT_SYMLINK_NOFOLLOW);
    case O.OP_FCHOWN:
      return A.sys_fchown(p, f, a0, a1, a2);
    case O.OP_FCHOWNAT:
      return A.sys_fchownat(p, f, a0, f.a1, a2, <i32>f.r10, <u32>f.r8);
    case O.OP_ACCESS:
      return A.sys_faccessat(p, f, AT_FDCWD, f.a0, <u32>f.a1, 0);
    case O.OP_FACCESSAT:
      return A.sys_faccessat(p, f, a0, f.a1, <u32>f.a2, 0);
    case O.OP_FACCESSAT2:
      return A.sys_faccessat(p, f, a0, f.a1, <u32>f.a2, <u32>f.r10);
    case O.OP_UTIMENSAT:
      return A.sys_utimensat(p, f, a0, f.a1, f.a2, A.TIMES_SPEC, <u32>f.r10, compat);
    case O.OP_UTIME:
      return A.sys_utimensat(p, f, AT_FDCWD, f.a0, f.a1, A.TIMES_BUF, 0, compat);
    case O.OP_UTIMES:
      return A.sys_utimensat(p, f, AT_FDCWD, f.a0, f.a1, A.TIMES_VAL, 0, compat);
    case O.OP_FUTIMESAT:
      return A.sys_utimensat(p, f, a0, f.a1, f.a2, A.TIMES_VAL, 0, compat);
    case O.OP_PWRITE:
      return sys_pwrite(p, f, a0, compat);
    case O.OP_FSYNC:
      return A.sys_fsync(p, f);
    default:
      return -ENOSYS;
  }
}
