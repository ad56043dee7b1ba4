// mount(2), umount2(2) and pivot_root(2) in the kernel's own file systems: what is read of the
// caller's memory, which of the operations it is, and new file systems by their type.
import { cred_ns_capable } from "../cred/cred.ts";
import * as D from "./do-mount.ts";
import { dentry } from "./dcache.ts";
import { ERR_PTR, IS_ERR, NULL, nil, PTR_ERR } from "../lib/err.ts";
import { frame } from "../lib/frame.ts";
import * as L from "./lookup.ts";
import { alloc_mount, mount } from "./mount.ts";
import { make_devices, mount_nodev } from "./mnt-namespace.ts";
import { mount_too_revealing, MNT_SEEN } from "./mnt-visible.ts";
import * as N from "./namei.ts";
import { ns_common } from "../namespace/namespace.ts";
import { proc_fill_super } from "../proc/proc-vfs.ts";
import { task_active_pid_ns } from "../process/pid.ts";
import { VFS_BUFFER, VFS_PATH } from "../lib/root.ts";
import * as B from "./super.ts";
import { super_block } from "./super.ts";
import { cold, task_struct } from "../process/task.ts";
import { strncpy_from_user } from "../lib/uaccess.ts";
import { CAP_SYS_ADMIN } from "../uapi/capability.ts";
import * as E from "../uapi/errno.ts";
import { AT_FDCWD } from "../uapi/fcntl.ts";
import { PAGE_SIZE } from "../uapi/limits.ts";
import * as F from "../uapi/mount.ts";
import { init_user_ns, user_namespace } from "../namespace/user-namespace.ts";

/** The MNT_* that the MS_* of a mount(2) are. */
export function mnt_flags_of(flags: u32): u32 {
  let mnt: u32 = flags & F.MS_NOATIME ? 0 : F.MNT_RELATIME;
  if (flags & F.MS_NOSUID) mnt |= F.MNT_NOSUID;
  if (flags & F.MS_NODEV) mnt |= F.MNT_NODEV;
  if (flags & F.MS_NOEXEC) mnt |= F.MNT_NOEXEC;
  if (flags & F.MS_NOATIME) mnt |= F.MNT_NOATIME;
  if (flags & F.MS_NODIRATIME) mnt |= F.MNT_NODIRATIME;
  if (flags & F.MS_STRICTATIME) mnt &= ~(<u32>(F.MNT_RELATIME | F.MNT_NOATIME));
  if (flags & F.MS_RDONLY) mnt |= F.MNT_READONLY;
  return flags & F.MS_NOSYMFOLLOW ? mnt | F.MNT_NOSYMFOLLOW : mnt;
}

/** Whose a file system of the type is: of proc and its like, that of the namespace it shows. */
function fs_user_ns(p: task_struct, type: u32): user_namespace {
  const all = cold(p).nsproxy;
  let shown = NULL<ns_common>();
  if (type == B.FS_PROC) shown = task_active_pid_ns(p);
  else if (type == B.FS_SYSFS) shown = all.net_ns;
  else if (type == B.FS_MQUEUE) shown = all.ipc_ns;
  const owner = nil(shown) ? NULL<user_namespace>() : changetype<user_namespace>(shown.user_ns);
  return nil(owner) ? p.cred.user_ns : owner;
}

/** May `p` mount a file system of the type? Return: 0 or -EPERM. */
export function mount_capable(p: task_struct, type: u32): i32 {
  const anyone = (B.fs_flags(type) & B.FS_USERNS_MOUNT) != 0;
  const ns = anyone ? fs_user_ns(p, type) : init_user_ns();
  return cred_ns_capable(p.cred, ns, CAP_SYS_ADMIN) ? 0 : -E.EPERM;
}

/** A file system of the type with one active reference: new, or that of all. ERR_PTR of ENOMEM. */
export function vfs_get_tree(p: task_struct, type: u32, mode: u32): super_block {
  const ns = changetype<user_namespace>(cold(p).nsproxy.mnt_ns.user_ns);
  if (B.fs_flags(type) & B.FS_SINGLE) {
    const old = B.find_super(type, ns);
    if (!nil(old)) return B.get_super(old);
  }
  const sb = mount_nodev(type, mode, fs_user_ns(p, type));
  if (nil(sb)) return ERR_PTR<super_block>(-E.ENOMEM);
  const whole = type == B.FS_DEVTMPFS ? make_devices(sb.root) : fill_super(p, sb);
  if (whole) return sb;
  B.deactivate_super(sb);
  return ERR_PTR<super_block>(-E.ENOMEM);
}

/** What is in a new file system. False when memory is exhausted. */
function fill_super(p: task_struct, sb: super_block): bool {
  return sb.type != B.FS_PROC || proc_fill_super(sb, task_active_pid_ns(p));
}

/** A file system of a named type at a place. `name`: what it is mounted from, `len` bytes. */
function do_new_mount(p: task_struct, type: u32, flags: u32, len: i32, m: mount, d: dentry): i32 {
  const bad = mount_capable(p, type);
  if (bad) return bad;
  const sticky = type == B.FS_TMPFS || type == B.FS_MQUEUE;
  const sb = vfs_get_tree(p, type, sticky ? 0o1777 : 0o755);
  if (IS_ERR(sb)) return PTR_ERR(sb);
  const mnt_flags = mount_too_revealing(p, sb, mnt_flags_of(flags));
  if (!mnt_flags) {
    B.deactivate_super(sb);
    return -E.EPERM;
  }
  if (flags & F.MS_RDONLY) sb.flags |= F.MS_RDONLY;
  const made = alloc_mount(sb, sb.root, VFS_BUFFER, <u32>len);
  B.deactivate_super(sb);
  if (nil(made)) return -E.ENOMEM;
  made.flags = mnt_flags & ~MNT_SEEN;
  return D.do_add_mount(p, made, m, d);
}

/** A text of mount(2), which may be absent. Return: its length, 0; -EFAULT, -EINVAL, RET_NEED. */
function mount_string(f: frame, to: usize, addr: u64): i32 {
  if (!addr) return 0;
  const len = strncpy_from_user(f, to, addr, PAGE_SIZE);
  return len == PAGE_SIZE ? -E.EINVAL : len;
}

/** mount(2): source, target, type, flags, data. */
export function vfs_mount(p: task_struct, f: frame): i32 {
  let flags = <u32>f.r10;
  if ((flags & F.MS_MGC_MSK) == <u32>F.MS_MGC_VAL) flags &= ~(<u32>F.MS_MGC_MSK);
  const type_len = mount_string(f, VFS_BUFFER, f.a2);
  if (type_len < 0) return type_len;
  const type = B.get_fs_type(VFS_BUFFER, type_len);
  const len = mount_string(f, VFS_BUFFER, f.a0);
  if (len < 0) return len;
  const bad = L.user_path_at(p, f, AT_FDCWD, f.a1, N.LOOKUP_FOLLOW);
  if (bad) return bad;
  const m = L.nd_first().mnt;
  const d = L.nd_first().dentry;
  if (!D.may_mount(p)) return -E.EPERM;
  const moves: u32 = F.MS_SHARED | F.MS_PRIVATE | F.MS_SLAVE | F.MS_UNBINDABLE;
  if ((flags & (F.MS_REMOUNT | F.MS_BIND)) == <u32>(F.MS_REMOUNT | F.MS_BIND)) {
    return D.do_reconfigure_mnt(p, m, d, remount_flags(m, flags));
  }
  if (flags & F.MS_REMOUNT) {
    return D.do_remount(p, m, d, (flags & F.MS_RDONLY) != 0, remount_flags(m, flags));
  }
  if (flags & F.MS_BIND) return from_path(p, f, flags, m, d);
  if (flags & moves) return D.do_change_type(p, m, d, flags);
  if (flags & F.MS_MOVE) return from_path(p, f, flags, m, d);
  if (!type_len) return -E.EINVAL;
  return type ? do_new_mount(p, type, flags, len, m, d) : -E.ENODEV;
}

/** A remount that says nothing of times leaves them as they are. */
function remount_flags(m: mount, flags: u32): u32 {
  const times: u32 = F.MS_NOATIME | F.MS_NODIRATIME | F.MS_RELATIME | F.MS_STRICTATIME;
  const mnt = mnt_flags_of(flags);
  if (flags & times) return mnt;
  const atime: u32 = F.MNT_NOATIME | F.MNT_NODIRATIME | F.MNT_RELATIME;
  return (mnt & ~atime) | (m.flags & atime);
}

/** MS_BIND and MS_MOVE: the source is a path, too. */
function from_path(p: task_struct, f: frame, flags: u32, m: mount, d: dentry): i32 {
  if (!f.a0) return -E.EINVAL;
  const len = N.getname(f, VFS_PATH, f.a0);
  if (len < 0) return len;
  if (!len) return -E.EINVAL;
  const bad = L.user_path_at(p, f, AT_FDCWD, f.a0, N.LOOKUP_FOLLOW);
  if (bad) return bad;
  const nd = L.nd_first();
  if (!(flags & F.MS_BIND)) return D.do_move_mount(p, nd.mnt, nd.dentry, m, d);
  return D.do_loopback(p, nd.mnt, nd.dentry, m, d, (flags & F.MS_REC) != 0);
}

/** umount2(2): target; its flags are known ones. */
export function vfs_umount2(p: task_struct, f: frame): i32 {
  const flags = <u32>f.a1;
  const follow: u32 = flags & F.UMOUNT_NOFOLLOW ? 0 : N.LOOKUP_FOLLOW;
  const bad = L.user_path_at(p, f, AT_FDCWD, f.a0, follow);
  if (bad) return bad;
  const nd = L.nd_first();
  return D.path_umount(p, nd.mnt, nd.dentry, flags);
}

/** pivot_root(2): the new root, and where the old one goes. */
export function vfs_pivot_root(p: task_struct, f: frame): i32 {
  if (!D.may_mount(p)) return -E.EPERM;
  const flags = N.LOOKUP_FOLLOW | N.LOOKUP_DIRECTORY;
  let bad = L.user_path_at(p, f, AT_FDCWD, f.a0, flags);
  if (bad) return bad;
  const m = L.nd_first().mnt;
  const d = L.nd_first().dentry;
  bad = L.user_path_at(p, f, AT_FDCWD, f.a1, flags);
  if (bad) return bad;
  const nd = L.nd_first();
  return D.do_pivot_root(p, m, d, nd.mnt, nd.dentry);
}
