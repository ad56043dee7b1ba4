// fsmount(2), open_tree(2), move_mount(2): trees of mounts by descriptors. A tree that is attached
// nowhere has an anonymous namespace to itself and goes with its last descriptor.
import { container } from "../container/container.ts";
import * as D from "./do-mount.ts";
import { dentry } from "./dcache.ts";
import { ERR_PTR, IS_ERR, NULL, nil, PTR_ERR, same } from "../lib/err.ts";
import * as FD from "../fs/file.ts";
import { file } from "../fs/file.ts";
import { frame } from "../lib/frame.ts";
import * as C from "./fs-context.ts";
import { fs_context } from "./fs-context.ts";
import { furnishable, ns_of_container } from "./furnish.ts";
import { is_dir } from "./inode.ts";
import * as L from "./lookup.ts";
import * as M from "./mount.ts";
import { mnt_namespace, mount } from "./mount.ts";
import {
  dissolve_on_fput,
  furnish_container,
  make_anon_ns,
  mnt_ns_of_task,
} from "./mnt-namespace.ts";
import { mount_too_revealing, MNT_SEEN } from "./mnt-visible.ts";
import { check_dirfd, is_worlds_file, mount_path_at, world_told } from "./mount-path.ts";
import { do_move_mount, do_set_group } from "./move-mount.ts";
import * as N from "./namei.ts";
import { VFS_PATH, VFS_PATH2 } from "../lib/root.ts";
import { context_of_fd } from "./sys-fscontext.ts";
import { sys_world_fd, worlds_error } from "../fs/sys-file.ts";
import { cold, task_struct } from "../process/task.ts";
import * as E from "../uapi/errno.ts";
import { AT_EMPTY_PATH, AT_FDCWD, O_CLOEXEC, O_PATH } from "../uapi/fcntl.ts";
import * as F from "../uapi/mount.ts";
import { AT_NO_AUTOMOUNT, AT_RECURSIVE, AT_SYMLINK_NOFOLLOW } from "../uapi/stat.ts";
import { user_namespace } from "../namespace/user-namespace.ts";

/** What any mount can be told; mount_setattr(2) knows one more. */
export const FSMOUNT_VALID: u32 =
  F.MOUNT_ATTR_RDONLY |
  F.MOUNT_ATTR_NOSUID |
  F.MOUNT_ATTR_NODEV |
  F.MOUNT_ATTR_NOEXEC |
  F.MOUNT_ATTR__ATIME |
  F.MOUNT_ATTR_NODIRATIME |
  F.MOUNT_ATTR_NOSYMFOLLOW;

/** The MNT_* of MOUNT_ATTR_*, those of access times aside. */
export function attr_flags_to_mnt_flags(attr: u64): u32 {
  let flags: u32 = 0;
  if (attr & F.MOUNT_ATTR_RDONLY) flags |= F.MNT_READONLY;
  if (attr & F.MOUNT_ATTR_NOSUID) flags |= F.MNT_NOSUID;
  if (attr & F.MOUNT_ATTR_NODEV) flags |= F.MNT_NODEV;
  if (attr & F.MOUNT_ATTR_NOEXEC) flags |= F.MNT_NOEXEC;
  if (attr & F.MOUNT_ATTR_NODIRATIME) flags |= F.MNT_NODIRATIME;
  return attr & F.MOUNT_ATTR_NOSYMFOLLOW ? flags | F.MNT_NOSYMFOLLOW : flags;
}

/** The MNT_* of what the attributes say of access times: one of three, or -EINVAL. */
export function attr_atime(attr: u64): i32 {
  switch (<u32>(attr & F.MOUNT_ATTR__ATIME)) {
    case F.MOUNT_ATTR_STRICTATIME:
      return 0;
    case F.MOUNT_ATTR_NOATIME:
      return F.MNT_NOATIME;
    case F.MOUNT_ATTR_RELATIME:
      return F.MNT_RELATIME;
    default:
      return -E.EINVAL;
  }
}

/** A tree that could not get a namespace of its own goes. Return: `error`. */
function drop_tree(made: mount, error: i32): i32 {
  M.put_tree(made);
  return error;
}

/**
 * The open file (O_PATH) of a tree that is attached nowhere, with which it goes; takes the tree's
 * reference, also when it fails. ERR_PTR of ENOMEM, ENOSPC.
 */
function open_detached(p: task_struct, made: mount, origin: u32): file {
  const owner = changetype<user_namespace>(cold(p).nsproxy.mnt_ns.user_ns);
  const bad = make_anon_ns(made, owner, p.cred.euid, origin);
  if (bad) return ERR_PTR<file>(drop_tree(made, bad));
  const at = open_path(made, made.root);
  if (nil(at)) {
    dissolve_on_fput(made);
    return ERR_PTR<file>(-E.ENOMEM);
  }
  changetype<M.vfs_file>(at.private_data).unmount = 1;
  return at;
}

/** An open file (O_PATH) of a place; null when memory is exhausted. */
function open_path(m: mount, d: dentry): file {
  const place = M.alloc_vfs_file(m, d);
  if (nil(place)) return NULL<file>();
  const at = FD.alloc_file(FD.FILE_VFS, O_PATH, changetype<usize>(place));
  if (nil(at)) M.free_vfs_file(place);
  return at;
}

/** A descriptor for an open file, which goes when there is none. Return: it, -EMFILE, -ENOMEM. */
export function install_tree(p: task_struct, at: file, cloexec: bool): i32 {
  if (IS_ERR(at)) return PTR_ERR(at);
  const fd = FD.get_unused_fd(p, 0);
  if (fd < 0) FD.fput(at);
  else FD.fd_install(p, fd, at, cloexec);
  return fd;
}

/** The mount of what a context has made, attached nowhere yet. ERR_PTR of EBUSY, EPERM, ENOMEM. */
export function mount_of_context(p: task_struct, fc: fs_context, flags: u32): mount {
  const mnt_flags = mount_too_revealing(p, fc.sb, flags);
  if (!mnt_flags) return ERR_PTR<mount>(-E.EPERM);
  if (fc.phase != C.FS_CONTEXT_AWAITING_MOUNT) return ERR_PTR<mount>(-E.EBUSY);
  const len = fc.source_len ? fc.source_len - 1 : 0;
  const made = M.alloc_mount(fc.sb, fc.sb.root, fc.source, len);
  if (nil(made)) return ERR_PTR<mount>(-E.ENOMEM);
  made.flags = mnt_flags & ~MNT_SEEN;
  return made;
}

/** fsmount(2): a context, flags, attributes. */
export function sys_fsmount(p: task_struct, f: frame): i32 {
  const flags = <u32>f.a1;
  const attr = <u32>f.a2;
  if (!D.may_mount(p)) return -E.EPERM;
  if (flags & ~(<u32>F.FSMOUNT_CLOEXEC) || attr & ~FSMOUNT_VALID) return -E.EINVAL;
  const atime = attr_atime(attr);
  if (atime < 0) return atime;
  const fc = context_of_fd(p, <i32>f.a0);
  if (IS_ERR(fc)) return is_worlds_file(p, f, <i32>f.a0) ? sys_world_fd(p, f) : PTR_ERR(fc);
  if (!fc.type) return fsmount_world(p, f, fc);
  if (nil(fc.sb)) return -E.EINVAL;
  const made = mount_of_context(p, fc, attr_flags_to_mnt_flags(attr) | (<u32>atime));
  if (IS_ERR(made)) return PTR_ERR(made);
  const fd = install_tree(p, open_detached(p, made, 0), flags != 0);
  // the context is used up, even where there is no descriptor left for what was made of it
  if (fd >= 0 || fd == -E.EMFILE) C.vfs_clean_context(fc);
  return fd;
}

/** The same of a file system of the world's: phases are the kernel's, the mount is not. */
function fsmount_world(p: task_struct, f: frame, fc: fs_context): i32 {
  const made = fc.phase == C.FS_CONTEXT_AWAITING_MOUNT;
  const early = fc.phase == C.FS_CONTEXT_CREATE_NS || fc.phase == C.FS_CONTEXT_CREATE_PARAMS;
  if (early) return -E.EINVAL;
  if (!made && fc.phase != C.FS_CONTEXT_FAILED) return -E.EBUSY;
  const fd = sys_world_fd(p, f);
  if (fd >= 0) C.vfs_clean_context(fc);
  return fd;
}

const OPEN_TREE_VALID: u32 =
  AT_EMPTY_PATH |
  AT_NO_AUTOMOUNT |
  AT_RECURSIVE |
  AT_SYMLINK_NOFOLLOW |
  F.OPEN_TREE_CLONE |
  F.OPEN_TREE_CLOEXEC;

/** A copy of the tree at a place, as open file. ERR_PTR. */
function open_detached_copy(p: task_struct, m: mount, d: dentry, recurse: bool): file {
  const made = D.clone_place(p, NULL<mnt_namespace>(), m, d, recurse);
  if (IS_ERR(made)) return changetype<file>(changetype<usize>(made));
  return open_detached(p, made, m.ns.anon ? m.ns.origin : m.ns.inum);
}

/** What open_tree_at gives where paths are the world's. */
export const WORLDS: i32 = 1;

/** Where open_tree(2) leads to, in nd_first(). Return: 0, WORLDS, or an errno. */
export function open_tree_at(p: task_struct, f: frame): i32 {
  const flags = <u32>f.a2;
  if (flags & ~OPEN_TREE_VALID) return -E.EINVAL;
  if ((flags & (AT_RECURSIVE | F.OPEN_TREE_CLONE)) == <u32>AT_RECURSIVE) return -E.EINVAL;
  if (flags & F.OPEN_TREE_CLONE && !D.may_mount(p)) return -E.EPERM;
  if (world_told(p, f)) {
    const closed = check_dirfd(p, f, <i32>f.a0, f.a1);
    return closed ? closed : WORLDS;
  }
  let lookup: u32 = flags & AT_SYMLINK_NOFOLLOW ? 0 : N.LOOKUP_FOLLOW;
  if (flags & AT_EMPTY_PATH) lookup |= N.LOOKUP_EMPTY;
  return mount_path_at(p, f, <i32>f.a0, f.a1, lookup);
}

/** The open file of what is there, or of a copy of it. ERR_PTR of EINVAL, ENOMEM, ENOSPC, EPERM. */
export function open_tree_file(p: task_struct, flags: u32): file {
  const nd = L.nd_first();
  if (flags & F.OPEN_TREE_CLONE) {
    return open_detached_copy(p, nd.mnt, nd.dentry, (flags & AT_RECURSIVE) != 0);
  }
  const at = open_path(nd.mnt, nd.dentry);
  return nil(at) ? ERR_PTR<file>(-E.ENOMEM) : at;
}

/** open_tree(2): directory, path, flags. */
export function sys_open_tree(p: task_struct, f: frame): i32 {
  const bad = open_tree_at(p, f);
  if (bad) return bad == WORLDS ? sys_world_fd(p, f) : bad;
  return install_tree(p, open_tree_file(p, <u32>f.a2), ((<u32>f.a2) & O_CLOEXEC) != 0);
}

/** How a path of move_mount(2) is walked. */
function lookup_of(follow: bool, empty: bool): u32 {
  return (follow ? N.LOOKUP_FOLLOW : 0) | (empty ? N.LOOKUP_EMPTY : 0);
}

/**
 * Is the path one that can be read, and not empty where it must not be? `world`: what is not shown
 * the world has read. Return: 0 or an errno.
 */
function check_name(f: frame, addr: u64, empty: bool, world: bool): i32 {
  if (!addr && empty) return 0;
  const len = N.getname(f, VFS_PATH2, addr);
  if (len < 0) return world ? 0 : len;
  return len || empty ? 0 : -E.ENOENT;
}

/** The namespace that the caller may change by what `dirfd` stands for. ERR_PTR. */
export function ns_of_dirfd(p: task_struct, dirfd: i32): mnt_namespace {
  const at = dirfd == AT_FDCWD ? NULL<file>() : FD.fget(p, dirfd);
  if (nil(at) || at.kind != FD.FILE_CONTAINER) return mnt_ns_of_task(p);
  const c = furnishable(p, dirfd);
  if (IS_ERR(c)) return changetype<mnt_namespace>(changetype<usize>(c));
  return ns_of_container(c);
}

/** MOVE_MOUNT_T_CONTAINER_ROOT: the tree becomes the root of a container that has none. */
function move_to_container(p: task_struct, f: frame, flags: u32, lookup: u32): i32 {
  const others: u32 =
    F.MOVE_MOUNT_T_SYMLINKS |
    F.MOVE_MOUNT_T_AUTOMOUNTS |
    F.MOVE_MOUNT_T_EMPTY_PATH |
    F.MOVE_MOUNT_SET_GROUP |
    F.MOVE_MOUNT_BENEATH;
  if (flags & others) return -E.EINVAL;
  const len = N.getname(f, VFS_PATH, f.r10);
  if (len < 0) return len;
  if (len != 1 || load<u8>(VFS_PATH) != 47) return -E.EINVAL;
  let bad = mount_path_at(p, f, <i32>f.a0, f.a1, lookup);
  if (bad) return bad;
  const m = L.nd_first().mnt;
  const d = L.nd_first().dentry;
  const c = furnishable(p, <i32>f.a2);
  if (IS_ERR(c)) return PTR_ERR(c);
  if (!is_empty_container(c)) return -E.EBUSY;
  // the patch takes any mount away from where it is; here a tree that is nobody's goes
  if (!D.check_anonymous_mnt(p, m) || !same(m.ns.root, m) || !same(m.root, d)) return -E.EINVAL;
  if (!is_dir(d.inode)) return -E.ENOTDIR;
  bad = furnish_container(c, m);
  if (!bad) D.lend_tree(p, m);
  return bad;
}

/** Has the container no mounts yet, and does it see nobody's? */
export function is_empty_container(c: container): bool {
  return nil(c.ns.mnt_ns) && c.ns.empty_mnt != 0;
}

/** move_mount(2): from where, to where, flags. */
export function sys_move_mount(p: task_struct, f: frame): i32 {
  if (!D.may_mount(p)) return -E.EPERM;
  const flags = <u32>f.r8;
  if (flags & ~(<u32>F.MOVE_MOUNT__MASK)) return -E.EINVAL;
  const both: u32 = F.MOVE_MOUNT_BENEATH | F.MOVE_MOUNT_SET_GROUP;
  if ((flags & both) == both) return -E.EINVAL;
  const from_empty = (flags & F.MOVE_MOUNT_F_EMPTY_PATH) != 0;
  const from = lookup_of((flags & F.MOVE_MOUNT_F_SYMLINKS) != 0, from_empty);
  const world = world_told(p, f);
  let bad = check_name(f, f.a1, from_empty, world);
  if (bad) return bad;
  if (flags & F.MOVE_MOUNT_T_CONTAINER_ROOT) return move_to_container(p, f, flags, from);
  const to_empty = (flags & F.MOVE_MOUNT_T_EMPTY_PATH) != 0;
  bad = check_name(f, f.r10, to_empty, world);
  if (bad) return bad;
  if (world) {
    const closed = check_dirfd(p, f, <i32>f.a2, f.r10);
    return closed ? closed : worlds_error(f);
  }
  const to = lookup_of((flags & F.MOVE_MOUNT_T_SYMLINKS) != 0, to_empty);
  const nowhere = mount_path_at(p, f, <i32>f.a2, f.r10, to);
  // a file that has no place is found to be none when both are known
  if (nowhere && nowhere != -E.EINVAL) return nowhere;
  const m = L.nd_first().mnt;
  const d = L.nd_first().dentry;
  bad = mount_path_at(p, f, <i32>f.a0, f.a1, from);
  if (bad || nowhere) return bad ? bad : nowhere;
  const nd = L.nd_first();
  if (flags & F.MOVE_MOUNT_SET_GROUP) return do_set_group(p, nd.mnt, nd.dentry, m, d);
  const ns = ns_of_dirfd(p, <i32>f.a2);
  if (IS_ERR(ns)) return PTR_ERR(ns);
  const beneath = (flags & F.MOVE_MOUNT_BENEATH) != 0;
  return do_move_mount(p, ns, nd.mnt, nd.dentry, m, d, beneath);
}
