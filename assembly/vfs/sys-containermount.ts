// The container is furnished from outside, before its first process: container_mount,
// container_chroot, container_bind_mount_across, and fsmount as the proposal has it (seed: future
// development).
import { container } from "../container/container.ts";
import * as D from "./do-mount.ts";
import { dentry } from "./dcache.ts";
import { IS_ERR, NULL, nil, PTR_ERR, same } from "../lib/err.ts";
import { container_of_fd, fget, FILE_CONTAINER } from "../fs/file.ts";
import { frame } from "../lib/frame.ts";
import * as C from "./fs-context.ts";
import { fs_context } from "./fs-context.ts";
import { furnishable, may_furnish, ns_of_container } from "./furnish.ts";
import * as L from "./lookup.ts";
import { mount } from "./mount.ts";
import { set_container_root } from "./mnt-namespace.ts";
import { mount_path_at } from "./mount-path.ts";
import * as N from "./namei.ts";
import { inode_permission, MAY_EXEC } from "./permission.ts";
import { is_dir } from "./inode.ts";
import { VFS_PATH } from "../lib/root.ts";
import { context_of_fd, vfs_cmd_create } from "./sys-fscontext.ts";
import { is_empty_container, mount_of_context } from "./sys-fsmount.ts";
import * as V from "./sys-vfsmount.ts";
import { mount_request, mount_target } from "./sys-vfsmount.ts";
import { deactivate_super, super_block } from "./super.ts";
import { task_struct } from "../process/task.ts";
import { CAP_SYS_CHROOT } from "../uapi/capability.ts";
import * as E from "../uapi/errno.ts";
import { AT_FDCWD } from "../uapi/fcntl.ts";
import * as F from "../uapi/mount.ts";
import { AT_NO_AUTOMOUNT, AT_SYMLINK_NOFOLLOW } from "../uapi/stat.ts";

/** A container's namespace, and file systems that belong to its lord. */
function target_of(c: container): mount_target {
  const t = changetype<mount_target>(C.MOUNT_TARGET);
  t.ns = ns_of_container(c);
  t.user_ns = c.cred.user_ns;
  t.container = c;
  return t;
}

/** Is the path the root of a container, whatever is in it? 1, 0, or an errno. */
function names_root(f: frame, addr: u64): i32 {
  if (!addr) return 1;
  const len = N.getname(f, VFS_PATH, addr);
  if (len < 0) return len;
  return len == 1 && load<u8>(VFS_PATH) == 47 ? 1 : 0;
}

/**
 * Where something is going to be mounted in a container, in nd_first(): `mnt` null means as the
 * root of one that has none. Return: 0 or an errno.
 */
function target_path(p: task_struct, f: frame, c: container, addr: u64): i32 {
  if (!is_empty_container(c)) return L.container_path_at(p, f, c, addr);
  const root = names_root(f, addr);
  if (root <= 0) return root ? root : -E.ENOENT;
  L.nd_first().mnt = NULL<mount>();
  L.nd_first().dentry = NULL<dentry>();
  return 0;
}

/** container_mount(cfd, source, target, type, flags, data): target null is the root. */
export function sys_container_mount(p: task_struct, f: frame): i32 {
  const c = furnishable(p, <i32>f.a0);
  if (IS_ERR(c)) return PTR_ERR(c);
  const r = changetype<mount_request>(C.MOUNT_REQUEST);
  let bad = V.read_request(f, r, f.a1, f.r10, <u32>f.r8, f.r9);
  if (bad) return bad;
  bad = target_path(p, f, c, f.a2);
  if (bad) return bad;
  if (r.flags & (<u32>F.MS_NOUSER)) return -E.EINVAL;
  const m = L.nd_first().mnt;
  // of nothing there is nothing to be bound, moved or changed
  const changes: u32 = F.MS_REMOUNT | F.MS_BIND | F.MS_MOVE | V.MOVES;
  if (nil(m) && r.flags & changes) return -E.EINVAL;
  return V.path_mount(p, f, r, target_of(c), m, L.nd_first().dentry);
}

/** container_chroot(cfd, path): from its present root on. */
export function sys_container_chroot(p: task_struct, f: frame): i32 {
  const c = container_of_fd(p, <i32>f.a0);
  if (IS_ERR(c)) return PTR_ERR(c);
  let bad = may_furnish(p, c, c.cred.user_ns, CAP_SYS_CHROOT);
  if (bad) return bad;
  if (!f.a1) return -E.EFAULT;
  bad = L.container_path_at(p, f, c, f.a1);
  if (bad) return bad;
  const nd = L.nd_first();
  if (!is_dir(nd.dentry.inode)) return -E.ENOTDIR;
  bad = inode_permission(p.cred, nd.dentry.inode, MAY_EXEC);
  if (bad) return bad;
  set_container_root(c, nd.mnt, nd.dentry);
  return 0;
}

/**
 * container_bind_mount_across(cfd, source, target): what the caller sees at `source` is seen in the
 * container at `target`, too; null is its root.
 */
export function sys_container_bind_mount_across(p: task_struct, f: frame): i32 {
  const c = furnishable(p, <i32>f.a0);
  if (IS_ERR(c)) return PTR_ERR(c);
  let bad = mount_path_at(p, f, AT_FDCWD, f.a1, N.LOOKUP_FOLLOW);
  if (bad) return bad;
  const old_mnt = L.nd_first().mnt;
  const old = L.nd_first().dentry;
  bad = target_path(p, f, c, f.a2);
  if (bad) return bad;
  const m = L.nd_first().mnt;
  const d = L.nd_first().dentry;
  if (nil(m) && !is_dir(old.inode)) return -E.ENOTDIR;
  const made = D.clone_place(p, ns_of_container(c), old_mnt, old, false);
  if (IS_ERR(made)) return PTR_ERR(made);
  // what is bound may be the very file system that it is bound upon
  return V.add_to_target(p, target_of(c), made, m, d, true);
}

/** The place that the proposal's fsmount names. Return: 0 or an errno. */
function fsmount_place(p: task_struct, f: frame, c: container, lookup: u32): i32 {
  if (!nil(c)) return target_path(p, f, c, f.a2);
  return mount_path_at(p, f, <i32>f.a1, f.a2, lookup);
}

/**
 * fsmount(2) as the proposal has it: a context, directory or container, path, how it is walked,
 * MS_* flags. What is not made yet is made now.
 */
export function sys_fsmount_2017(p: task_struct, f: frame): i32 {
  const fc = context_of_fd(p, <i32>f.a0);
  if (IS_ERR(fc)) return PTR_ERR(fc);
  const at = <u32>f.r10;
  const flags = <u32>f.r8;
  const known: u32 =
    F.MS_RDONLY |
    F.MS_NOSUID |
    F.MS_NODEV |
    F.MS_NOEXEC |
    F.MS_NOATIME |
    F.MS_NODIRATIME |
    F.MS_RELATIME |
    F.MS_STRICTATIME;
  const walk: u32 = AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT;
  if (at & ~walk || flags & ~known) return -E.EINVAL;
  let c = NULL<container>();
  const dir = fget(p, <i32>f.a1);
  // where the context says in which container, the caller's own directories are no place for it
  if (!nil(dir) && dir.kind == FILE_CONTAINER) c = furnishable(p, <i32>f.a1);
  else if (!D.may_mount(p)) return -E.EPERM;
  if (IS_ERR(c)) return PTR_ERR(c);
  if (!nil(fc.container) && !same(fc.container, c)) return -E.EINVAL;
  let bad = fsmount_place(p, f, c, at & AT_SYMLINK_NOFOLLOW ? 0 : N.LOOKUP_FOLLOW);
  if (bad) return bad;
  const m = L.nd_first().mnt;
  const d = L.nd_first().dentry;
  const creates = fc.phase == C.FS_CONTEXT_CREATE_PARAMS;
  if (creates) {
    bad = vfs_cmd_create(p, f, fc, false);
    if (bad) return bad;
  }
  if (nil(fc.sb)) return -E.EINVAL;
  const made = mount_of_context(p, fc, V.mnt_flags_of(flags));
  if (IS_ERR(made)) return uncreate(fc, creates, PTR_ERR(made));
  const t = nil(c) ? V.own_target(p) : target_of(c);
  bad = V.add_to_target(p, t, made, m, d, false);
  if (bad) return uncreate(fc, creates, bad);
  C.vfs_clean_context(fc);
  return 0;
}

/** What a call made and could not mount has not been made. Return: `error`. */
function uncreate(fc: fs_context, created: bool, error: i32): i32 {
  if (!created) return error;
  deactivate_super(fc.sb);
  fc.sb = NULL<super_block>();
  fc.phase = C.FS_CONTEXT_CREATE_PARAMS;
  return error;
}
