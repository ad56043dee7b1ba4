// The calls about directories that a process stands in or reads: chdir, fchdir, getcwd, chroot,
// getdents.
import { cred_ns_capable } from "../cred/cred.ts";
import { d_unlinked, dentry } from "./dcache.ts";
import { prepend_path } from "./d-path.ts";
import { fget, file } from "../fs/file.ts";
import { nil } from "../lib/err.ts";
import { frame } from "../lib/frame.ts";
import { fs_for_write, set_fs_pwd, set_fs_root } from "../fs/fs.ts";
import { I_DYNAMIC, is_dir, vfs_inode } from "./inode.ts";
import * as L from "./lookup.ts";
import * as M from "./mount.ts";
import { is_ns_root } from "./mnt-namespace.ts";
import * as N from "./namei.ts";
import { inode_permission, MAY_EXEC } from "./permission.ts";
import { proc_dirent, proc_next, proc_readable } from "../proc/proc-dir.ts";
import { PROC_NAME, root, VFS_BUFFER } from "../lib/root.ts";
import { sys_world_call } from "../fs/sys-file.ts";
import { cold, task_struct } from "../process/task.ts";
import { access_ok, copy_to_user } from "../lib/uaccess.ts";
import { CAP_SYS_CHROOT } from "../uapi/capability.ts";
import * as E from "../uapi/errno.ts";
import { AT_FDCWD, S_IFMT } from "../uapi/fcntl.ts";
import { WINDOW_WRITE } from "../uapi/frame.ts";
import { DT_DIR, PATH_MAX } from "../uapi/stat.ts";

/** Where the path of a call leads to, a directory that may be entered. */
function enterable(p: task_struct, f: frame, path: u64): i32 {
  const flags = N.LOOKUP_FOLLOW | N.LOOKUP_DIRECTORY;
  const bad = L.user_path_at(p, f, AT_FDCWD, path, flags);
  return bad ? bad : inode_permission(p.cred, L.nd_first().dentry.inode, MAY_EXEC);
}

/** chdir(2). */
export function sys_chdir(p: task_struct, f: frame): i32 {
  if (!N.has_root(p)) return sys_world_call(f, -E.ENOSYS);
  const bad = enterable(p, f, f.a0);
  if (bad) return bad;
  if (!fs_for_write(p)) return -E.ENOMEM;
  const nd = L.nd_first();
  set_fs_pwd(cold(p).fs, nd.mnt, nd.dentry);
  return 0;
}

/** fchdir(2). */
export function sys_fchdir(p: task_struct, f: frame, fd: i32): i32 {
  if (!N.has_root(p)) return sys_world_call(f, -E.ENOSYS);
  const at = fget(p, fd);
  if (nil(at)) return -E.EBADF;
  const place = L.place_of(at);
  if (nil(place) || !is_dir(place.dentry.inode)) return -E.ENOTDIR;
  const bad = inode_permission(p.cred, place.dentry.inode, MAY_EXEC);
  if (bad) return bad;
  if (!fs_for_write(p)) return -E.ENOMEM;
  set_fs_pwd(cold(p).fs, place.mnt, place.dentry);
  return 0;
}

/** chroot(2) in the kernel's file systems. */
export function vfs_chroot(p: task_struct, f: frame): i32 {
  const bad = enterable(p, f, f.a0);
  if (bad) return bad;
  if (!cred_ns_capable(p.cred, p.cred.user_ns, CAP_SYS_CHROOT)) return -E.EPERM;
  if (!fs_for_write(p)) return -E.ENOMEM;
  const nd = L.nd_first();
  const fs = cold(p).fs;
  set_fs_root(fs, nd.mnt, nd.dentry);
  fs.chrooted = is_ns_root(nd.mnt, nd.dentry) ? 0 : 1;
  return 0;
}

/** getcwd(2): address, size. Return: bytes written, the NUL included. */
export function sys_getcwd(p: task_struct, f: frame): i32 {
  if (!N.has_root(p)) return sys_world_call(f, -E.ENOSYS);
  const fs = cold(p).fs;
  if (d_unlinked(fs.pwd)) return -E.ENOENT;
  const end = VFS_BUFFER + PATH_MAX - 1;
  const at = prepend_path(VFS_BUFFER, end, fs.pwd_mnt, fs.pwd, fs.root_mnt, fs.root);
  if (!at) return -E.ENAMETOOLONG;
  store<u8>(end, 0);
  const len = <u32>(end - at) + 1;
  if (f.a1 < <u64>len) return -E.ERANGE;
  const bad = access_ok(f, f.a0, len, WINDOW_WRITE);
  if (bad) return bad;
  copy_to_user(f, f.a0, at, len);
  return <i32>len;
}

// What getdents64 and the older getdents put before a name.
const HEAD_64: u32 = 19;
const HEAD_OLD: u32 = 18;
const HEAD_OLD_32: u32 = 10;

/** Bytes of an entry whose name has `len` bytes. */
function reclen(len: u32, head: u32): u32 {
  if (head == HEAD_64) return (head + len + 8) & ~7;
  // the type is the last byte, behind the NUL
  const align: u32 = head == HEAD_OLD ? 7 : 3;
  return (head + len + 2 + align) & ~align;
}

/** One entry into the scratch buffer. Return: its length. */
function put_dirent(ino: u32, next: u64, type: u32, name: usize, len: u32, head: u32): u32 {
  const at = VFS_BUFFER;
  const n = reclen(len, head);
  memory.fill(at, 0, n);
  let text = at + head;
  if (head == HEAD_OLD_32) {
    store<u32>(at, ino);
    store<u32>(at, <u32>next, 4);
    store<u16>(at, <u16>n, 8);
  } else {
    store<u64>(at, <u64>ino);
    store<u64>(at, next, 8);
    store<u16>(at, <u16>n, 16);
  }
  if (head == HEAD_64) store<u8>(at, <u8>type, 18);
  else store<u8>(at + n - 1, <u8>type);
  memory.copy(text, name, len);
  return n;
}

/** The entry at or behind position `pos` of a directory; null: there are no more. */
function child_at(dir: vfs_inode, pos: u64): dentry {
  for (let l = dir.children.next; l !== dir.children; l = l.next) {
    const d = dentry.from_child(l);
    if (<u64>d.off >= pos) return d;
  }
  return changetype<dentry>(0);
}

/** The entry at `pos`, into the scratch buffer. Return: its length, 0 at the end. */
function entry_at(place: M.vfs_file, pos: u64, head: u32): u32 {
  const d = place.dentry;
  const dots = VFS_BUFFER + 0x800;
  store<u16>(dots, 0x2e2e);
  if (pos == 0) return put_dirent(d.inode.ino, 1, DT_DIR, dots, 1, head);
  if (pos == 1) return put_dirent(d.parent.inode.ino, 2, DT_DIR, dots, 2, head);
  if (d.inode.state & I_DYNAMIC) return proc_entry_at(d.inode, pos, head);
  const child = child_at(d.inode, pos);
  if (nil(child)) return 0;
  const i = child.inode;
  const type = (i.mode & S_IFMT) >> 12;
  return put_dirent(i.ino, <u64>child.off + 1, type, child.name, child.len, head);
}

/** The same of a directory of proc. */
function proc_entry_at(dir: vfs_inode, pos: u64, head: u32): u32 {
  const e = changetype<proc_dirent>(VFS_BUFFER + 0x800);
  if (!proc_next(dir, pos, e)) return 0;
  return put_dirent(e.ino, e.next, e.type, PROC_NAME, e.len, head);
}

/** Where the entry in the scratch buffer says that the next one is. */
function next_of(head: u32): u64 {
  return head == HEAD_OLD_32 ? <u64>load<u32>(VFS_BUFFER, 4) : load<u64>(VFS_BUFFER, 8);
}

/** getdents64(2), getdents(2): descriptor, address, bytes. */
export function sys_getdents(p: task_struct, f: frame, old: bool, compat: bool): i32 {
  const fd = <i32>f.a0;
  const at = fget(p, fd);
  const place = L.place_of(at);
  if (nil(place)) {
    if (!N.has_root(p)) return sys_world_call(f, -E.ENOSYS);
    return nil(at) ? -E.EBADF : -E.ENOTDIR;
  }
  const dir = place.dentry.inode;
  if (!is_dir(dir)) return -E.ENOTDIR;
  // a directory that has been removed has not even itself in it
  if (d_unlinked(place.dentry)) return -E.ENOENT;
  if (dir.state & I_DYNAMIC && !proc_readable(dir)) return -E.ENOENT;
  const head = old ? (compat ? HEAD_OLD_32 : HEAD_OLD) : HEAD_64;
  return read_directory(f, at, place, head, <u32>f.a2);
}

function read_directory(f: frame, at: file, place: M.vfs_file, head: u32, room: u32): i32 {
  let total: u32 = 0;
  let pos = at.pos;
  while (true) {
    const n = entry_at(place, pos, head);
    if (!n || total + n > room) {
      if (n && !total) return -E.EINVAL;
      break;
    }
    total += n;
    pos = next_of(head);
  }
  const bad = access_ok(f, f.a1, total, WINDOW_WRITE);
  if (bad) return bad;
  let done: u32 = 0;
  while (done < total) {
    const n = entry_at(place, at.pos, head);
    copy_to_user(f, f.a1 + done, VFS_BUFFER, n);
    at.pos = next_of(head);
    done += n;
  }
  place.dentry.inode.atime = root().clock;
  return <i32>total;
}
