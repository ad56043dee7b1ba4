// What execve(2) asks of a file of the kernel's own file systems (fs/exec.c, fs/binfmt_*.c): that
// it is a program, who may run it, and through which interpreters. Beyond its first bytes, what is
// in it the world runs.
import { nil } from "../lib/err.ts";
import { frame } from "../lib/frame.ts";
import { find_page, is_link, is_reg, vfs_inode } from "./inode.ts";
import * as L from "./lookup.ts";
import * as N from "./namei.ts";
import { nameidata } from "./namei.ts";
import { inode_permission, MAY_EXEC } from "./permission.ts";
import { VFS_BUFFER, VFS_PATH } from "../lib/root.ts";
import { fs_flags, FS_NOEXEC } from "./super.ts";
import { task_struct } from "../process/task.ts";
import * as E from "../uapi/errno.ts";
import { AT_EMPTY_PATH } from "../uapi/fcntl.ts";
import { MNT_NOEXEC } from "../uapi/mount.ts";
import { AT_SYMLINK_NOFOLLOW } from "../uapi/stat.ts";

/** Bytes that tell what a file is (BINPRM_BUF_SIZE). */
const BUF_BYTES: u32 = 256;
const INTERPRETERS_MAX = 5;

/** May what the walk has found be run? Return: 0, -ELOOP of a link, -EACCES, -ETXTBSY. */
function may_run(nd: nameidata): i32 {
  const i = nd.dentry.inode;
  if (nd.flags & N.LOOKUP_MAGIC) return -E.EACCES;
  if (is_link(i)) return -E.ELOOP;
  const noexec = nd.mnt.flags & MNT_NOEXEC || fs_flags(nd.mnt.sb.type) & FS_NOEXEC;
  if (!is_reg(i) || noexec) return -E.EACCES;
  const bad = inode_permission(nd.cred, i, MAY_EXEC);
  return bad ? bad : i.writers ? -E.ETXTBSY : 0;
}

/** The first bytes of a file, zeros behind its end, at the scratch buffer. */
function read_head(i: vfs_inode): usize {
  const at = VFS_BUFFER;
  memory.fill(at, 0, BUF_BYTES);
  const page = find_page(i, 0);
  if (page) memory.copy(at, page, <usize>min<u64>(i.length, BUF_BYTES));
  return at;
}

/** Is it a program for the machine, of 64 or 32 bits? */
function is_elf(at: usize): bool {
  const type = load<u16>(at, 16);
  const machine = load<u16>(at, 18);
  const magic = load<u32>(at) == 0x464c457f;
  return magic && (type == 2 || type == 3) && (machine == 62 || machine == 3);
}

function is_blank(byte: u32): bool {
  return byte == 32 || byte == 9;
}

/** The interpreter that the line at `at` names, at VFS_PATH. Return: its length, -ENOEXEC. */
function interpreter_of(at: usize): i32 {
  let from: u32 = 2;
  while (from < BUF_BYTES && is_blank(load<u8>(at + from))) ++from;
  let end = from;
  while (end < BUF_BYTES) {
    const byte = <u32>load<u8>(at + end);
    if (!byte || byte == 10 || is_blank(byte)) break;
    ++end;
  }
  // a name that is cut off, and none
  if (end == BUF_BYTES || end == from) return -E.ENOEXEC;
  memory.copy(VFS_PATH, at + from, end - from);
  return <i32>(end - from);
}

/**
 * May the task run the program at the path of a call? Of paths of the world's: 0.
 * Return: 0, errno of the walk, -EINVAL, -EACCES, -ELOOP, -ENOEXEC, -ETXTBSY, RET_NEED.
 */
export function vfs_may_exec(p: task_struct, f: frame, dirfd: i32, path: u64, flags: u32): i32 {
  if (!L.vfs_owns(p, f, dirfd, path)) return 0;
  if (flags & ~(<u32>(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH))) return -E.EINVAL;
  let lookup: u32 = flags & AT_SYMLINK_NOFOLLOW ? 0 : N.LOOKUP_FOLLOW;
  if (flags & AT_EMPTY_PATH) lookup |= N.LOOKUP_EMPTY;
  let bad = L.user_path_at(p, f, dirfd, path, lookup);
  for (let depth = 0; !bad; ++depth) {
    const nd = L.nd_first();
    bad = may_run(nd);
    if (bad) break;
    if (depth > INTERPRETERS_MAX) return -E.ELOOP;
    const head = read_head(nd.dentry.inode);
    if (load<u16>(head) != 0x2123) return is_elf(head) ? 0 : -E.ENOEXEC;
    const len = interpreter_of(head);
    if (len < 0) return len;
    const next = N.nd_begin(changetype<usize>(nd), p, VFS_PATH, len, N.LOOKUP_FOLLOW);
    bad = nil(next.mnt) ? -E.ENOENT : N.path_lookupat(next);
  }
  return bad;
}
