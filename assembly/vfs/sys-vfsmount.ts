// mount(2), umount2(2) and pivot_root(2) in the kernel's own file systems: what is read of the
// caller's memory, which of the operations it is, and new file systems by their type.
import { container } from "../container/container.ts";
import { cred_ns_capable } from "../cred/cred.ts";
import * as D from "./do-mount.ts";
import { dentry } from "./dcache.ts";
import { ERR_PTR, IS_ERR, NULL, nil, PTR_ERR, same } from "../lib/err.ts";
import { frame } from "../lib/frame.ts";
import * as C from "./fs-context.ts";
import { fs_options } from "./fs-context.ts";
import { apply_options, parse_data } from "./fs-params.ts";
import { ipc_namespace } from "../ipc/ipc.ts";
import { mq_super } from "../ipc/mqueue.ts";
import * as L from "./lookup.ts";
import { alloc_mount, mnt_namespace, mount, put_tree } from "./mount.ts";
import * as A from "./mnt-namespace.ts";
import { mount_too_revealing, MNT_SEEN } from "./mnt-visible.ts";
import { do_move_mount } from "./move-mount.ts";
import * as N from "./namei.ts";
import { ns_common } from "../namespace/namespace.ts";
import { pid_namespace, task_active_pid_ns } from "../process/pid.ts";
import { proc_fill_super } from "../proc/proc-vfs.ts";
import { FS_DATA, FS_SOURCE, VFS_BUFFER } from "../lib/root.ts";
import * as B from "./super.ts";
import { super_block } from "./super.ts";
import { cold, task_struct } from "../process/task.ts";
import { strncpy_from_user } from "../lib/uaccess.ts";
import { CAP_SYS_ADMIN } from "../uapi/capability.ts";
import * as E from "../uapi/errno.ts";
import { AT_FDCWD, S_IFMT } from "../uapi/fcntl.ts";
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

/**
 * The namespace that a file system of the type shows: the caller's, or that of the container that
 * it is for. Null: it shows none.
 */
export function fs_shown_ns(p: task_struct, type: u32, c: container): ns_common {
  const all = nil(c) ? cold(p).nsproxy : c.ns;
  if (type == B.FS_PROC) return nil(c) ? task_active_pid_ns(p) : all.pid_ns_for_children;
  if (type == B.FS_SYSFS) return all.net_ns;
  return type == B.FS_MQUEUE ? all.ipc_ns : NULL<ns_common>();
}

/** Whose a file system is that shows a namespace: the owner's of that; else of `user_ns`. */
export function fs_owner(shown: ns_common, user_ns: user_namespace): user_namespace {
  const owner = nil(shown) ? NULL<user_namespace>() : changetype<user_namespace>(shown.user_ns);
  return nil(owner) ? user_ns : owner;
}

/** May `p` mount a file system of the type that `ns` is going to own? */
export function mount_capable(p: task_struct, type: u32, ns: user_namespace): bool {
  const anyone = (B.fs_flags(type) & B.FS_USERNS_MOUNT) != 0;
  return cred_ns_capable(p.cred, anyone ? ns : init_user_ns(), CAP_SYS_ADMIN);
}

/** Owner and mode of the root directory of a new file system. */
function own_root(p: task_struct, sb: super_block, o: fs_options): void {
  if (sb.type != B.FS_TMPFS && sb.type != B.FS_RAMFS) return;
  const i = sb.root.inode;
  i.uid = o.seen & C.SEEN_UID ? o.uid : p.cred.fsuid;
  i.gid = o.seen & C.SEEN_GID ? o.gid : p.cred.fsgid;
  if (o.seen & C.SEEN_MODE) i.mode = (i.mode & S_IFMT) | o.mode;
}

/**
 * A file system of the type for owner `ns`, which shows a namespace, with one active reference:
 * new, or that of all, unless it has to be new (`excl`). ERR_PTR of ENOMEM, EBUSY.
 */
export function vfs_get_tree(
  p: task_struct,
  type: u32,
  o: fs_options,
  ns: user_namespace,
  shown: ns_common,
  excl: bool,
): super_block {
  if (B.fs_flags(type) & B.FS_SINGLE) {
    const old = B.find_super(type, ns);
    if (!nil(old) && excl && type != B.FS_DEVTMPFS) return ERR_PTR<super_block>(-E.EBUSY);
    if (!nil(old)) return B.get_super(old);
  }
  if (type == B.FS_MQUEUE) {
    const owner = changetype<ipc_namespace>(changetype<usize>(shown));
    if (excl && !nil(owner.mq)) return ERR_PTR<super_block>(-E.EBUSY);
    const queues = mq_super(owner);
    return nil(queues) ? ERR_PTR<super_block>(-E.ENOMEM) : queues;
  }
  const sb = A.mount_nodev(type, type == B.FS_TMPFS ? 0o1777 : 0o755, ns);
  if (nil(sb)) return ERR_PTR<super_block>(-E.ENOMEM);
  own_root(p, sb, o);
  apply_options(sb, o);
  const whole = type == B.FS_DEVTMPFS ? A.make_devices(sb.root) : fill_super(sb, shown);
  if (whole) return sb;
  B.deactivate_super(sb);
  return ERR_PTR<super_block>(-E.ENOMEM);
}

/** What is in a new file system. False when memory is exhausted. */
function fill_super(sb: super_block, shown: ns_common): bool {
  return sb.type != B.FS_PROC || proc_fill_super(sb, changetype<pid_namespace>(shown));
}

/** Where a mount goes: the namespace that the caller may change, and who will own what is new. */
@unmanaged
export class mount_target {
  ns: mnt_namespace;
  user_ns: user_namespace;
  container: container; // null: the caller's own
}

/** A new file system at a place of the target. `len` bytes at FS_SOURCE say what is mounted. */
function do_new_mount(
  p: task_struct,
  t: mount_target,
  type: u32,
  flags: u32,
  len: i32,
  m: mount,
  d: dentry,
): i32 {
  const o = changetype<fs_options>(C.FS_OPTIONS);
  const bad = parse_data(o, type, p.cred.user_ns);
  if (bad) return bad;
  const shown = fs_shown_ns(p, type, t.container);
  const owner = fs_owner(shown, t.user_ns);
  if (!mount_capable(p, type, owner)) return -E.EPERM;
  const sb = vfs_get_tree(p, type, o, owner, shown, false);
  if (IS_ERR(sb)) return PTR_ERR(sb);
  const mnt_flags = mount_too_revealing(p, sb, mnt_flags_of(flags));
  const made = mnt_flags ? alloc_mount(sb, sb.root, FS_SOURCE, <u32>len) : NULL<mount>();
  B.deactivate_super(sb);
  if (nil(made)) return mnt_flags ? -E.ENOMEM : -E.EPERM;
  made.flags = mnt_flags & ~MNT_SEEN;
  return add_to_target(p, t, made, m, d, false);
}

/**
 * Mounts `made` at a place of the target; `m` null: as the root of a container that has none. What
 * is mounted on a container's root is its root from then on. `bound`: it is a part of what is
 * mounted elsewhere. Takes its reference.
 */
export function add_to_target(
  p: task_struct,
  t: mount_target,
  made: mount,
  m: mount,
  d: dentry,
  bound: bool,
): i32 {
  const c = t.container;
  if (nil(m)) {
    const bad = A.furnish_container(c, made);
    if (bad) put_tree(made);
    else D.lend_tree(p, made);
    return bad;
  }
  const bad = D.do_add_mount(p, t.ns, made, m, d, bound);
  const root = !nil(c) && same(m, c.root_mnt) && same(d, c.root);
  if (!bad && root) A.set_container_root(c, made, made.root);
  return bad;
}

/** A text of mount(2), which may be absent. Return: its length, 0; -EFAULT, -EINVAL, RET_NEED. */
function mount_string(f: frame, to: usize, addr: u64): i32 {
  if (!addr) return 0;
  const len = strncpy_from_user(f, to, addr, PAGE_SIZE);
  return len == PAGE_SIZE ? -E.EINVAL : len;
}

/** What a mount(2) is asked to do, read of the caller's memory. */
@unmanaged
export class mount_request {
  source: u64; // address
  flags: u32; // MS_*
  type: u32; // FS_*; 0: no such type
  type_len: i32;
  len: i32; // of the source, at FS_SOURCE
}

/**
 * Reads the texts of a mount: type, source and options, the last of them to FS_DATA.
 * Return: 0, -EFAULT, -EINVAL, RET_NEED.
 */
export function read_request(
  f: frame,
  r: mount_request,
  source: u64,
  type: u64,
  flags: u32,
  data: u64,
): i32 {
  r.source = source;
  r.flags = (flags & F.MS_MGC_MSK) == <u32>F.MS_MGC_VAL ? flags & ~(<u32>F.MS_MGC_MSK) : flags;
  r.type_len = mount_string(f, VFS_BUFFER, type);
  if (r.type_len < 0) return r.type_len;
  r.type = B.get_fs_type(VFS_BUFFER, r.type_len);
  r.len = mount_string(f, FS_SOURCE, source);
  if (r.len < 0) return r.len;
  store<u8>(FS_DATA, 0);
  if (!data) return 0;
  const len = strncpy_from_user(f, FS_DATA, data, PAGE_SIZE);
  store<u8>(FS_DATA + PAGE_SIZE - 1, 0);
  return len < 0 ? len : 0;
}

export const MOVES: u32 = F.MS_SHARED | F.MS_PRIVATE | F.MS_SLAVE | F.MS_UNBINDABLE;

/** Does what the flags say, to a place. The caller may change the namespace of the target. */
export function path_mount(
  p: task_struct,
  f: frame,
  r: mount_request,
  t: mount_target,
  m: mount,
  d: dentry,
): i32 {
  const flags = r.flags;
  const o = changetype<fs_options>(C.FS_OPTIONS);
  memory.fill(changetype<usize>(o), 0, offsetof<fs_options>());
  o.sb_flags = flags & (F.MS_RDONLY | F.MS_SYNCHRONOUS | F.MS_MANDLOCK | F.MS_DIRSYNC);
  if (flags & F.MS_REMOUNT) {
    const to = remount_flags(m, flags);
    if (flags & F.MS_BIND) return D.do_reconfigure_mnt(t.ns, m, d, to);
    o.sb_mask = F.MS_RDONLY | F.MS_SYNCHRONOUS | F.MS_MANDLOCK;
    return D.do_remount(p, t.ns, m, d, to, o);
  }
  if (flags & F.MS_BIND) return from_path(p, f, r, t, m, d);
  if (flags & MOVES) return D.do_change_type(t.ns, m, d, flags);
  if (flags & F.MS_MOVE) return from_path(p, f, r, t, m, d);
  if (!r.type_len) return -E.EINVAL;
  return r.type ? do_new_mount(p, t, r.type, flags, r.len, m, d) : -E.ENODEV;
}

/** mount(2): source, target, type, flags, data. */
export function vfs_mount(p: task_struct, f: frame): i32 {
  const r = changetype<mount_request>(C.MOUNT_REQUEST);
  let bad = read_request(f, r, f.a0, f.a2, <u32>f.r10, f.r8);
  if (bad) return bad;
  bad = L.user_path_at(p, f, AT_FDCWD, f.a1, N.LOOKUP_FOLLOW);
  if (bad) return bad;
  const m = L.nd_first().mnt;
  const d = L.nd_first().dentry;
  if (r.flags & (<u32>F.MS_NOUSER)) return -E.EINVAL;
  if (!D.may_mount(p)) return -E.EPERM;
  return path_mount(p, f, r, own_target(p), m, d);
}

/** The caller's own namespace, and file systems of its own. */
export function own_target(p: task_struct): mount_target {
  const t = changetype<mount_target>(C.MOUNT_TARGET);
  t.ns = A.mnt_ns_of_task(p);
  t.user_ns = p.cred.user_ns;
  t.container = NULL<container>();
  return t;
}

/** A remount that says nothing of times leaves them as they are. */
function remount_flags(m: mount, flags: u32): u32 {
  const times: u32 = F.MS_NOATIME | F.MS_NODIRATIME | F.MS_RELATIME | F.MS_STRICTATIME;
  const mnt = mnt_flags_of(flags);
  if (flags & times) return mnt;
  const atime: u32 = F.MNT_NOATIME | F.MNT_NODIRATIME | F.MNT_RELATIME;
  return (mnt & ~atime) | (m.flags & atime);
}

/** MS_BIND and MS_MOVE: the source is a path, too; of a container, in there. */
function from_path(
  p: task_struct,
  f: frame,
  r: mount_request,
  t: mount_target,
  m: mount,
  d: dentry,
): i32 {
  if (!r.source || !r.len) return -E.EINVAL;
  const bad = nil(t.container)
    ? L.user_path_at(p, f, AT_FDCWD, r.source, N.LOOKUP_FOLLOW)
    : L.container_path_at(p, f, t.container, r.source);
  if (bad) return bad;
  const nd = L.nd_first();
  if (r.flags & F.MS_BIND) {
    return D.do_loopback(p, t.ns, nd.mnt, nd.dentry, m, d, (r.flags & F.MS_REC) != 0);
  }
  return do_move_mount(p, t.ns, nd.mnt, nd.dentry, m, d, false);
}

/** umount2(2): target; its flags are known ones. */
export function vfs_umount2(p: task_struct, f: frame): i32 {
  const flags = <u32>f.a1;
  const follow: u32 = flags & F.UMOUNT_NOFOLLOW ? 0 : N.LOOKUP_FOLLOW;
  const bad = L.user_path_at(p, f, AT_FDCWD, f.a0, follow);
  if (bad) return bad;
  const nd = L.nd_first();
  // of a stack of mounts the uppermost goes, also where the path is the root itself
  const top = D.topmost_at(nd.mnt, nd.dentry);
  return D.path_umount(p, top, same(top, nd.mnt) ? nd.dentry : top.root, flags);
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
