// mount, umount2, pivot_root: what a mount shows is the world's. The kernel asks for the privilege,
// and remembers which namespaces are mounted where (ip-netns(8)).
import { nil } from "../lib/err.ts";
import { frame } from "../lib/frame.ts";
import { ns_common } from "../namespace/namespace.ts";
import { ns_mount, ns_umount } from "../namespace/nsfs.ts";
import { PROC_NS } from "../proc/procfs.ts";
import { SCRATCH_USER, SCRATCH_USER_BYTES } from "../lib/root.ts";
import { worlds_error } from "./sys-file.ts";
import { lookup } from "./sys-open.ts";
import { task_struct } from "../process/task.ts";
import { strncpy_from_user } from "../lib/uaccess.ts";
import * as E from "../uapi/errno.ts";
import { AT_FDCWD } from "../uapi/fcntl.ts";
import * as M from "../uapi/mount.ts";
import { may_mount } from "../vfs/do-mount.ts";
import { has_root } from "../vfs/namei.ts";
import { vfs_mount, vfs_pivot_root, vfs_umount2 } from "../vfs/sys-vfsmount.ts";

/** mount(2): source, target, type, flags. */
export function sys_mount(p: task_struct, f: frame): i32 {
  if (has_root(p)) return vfs_mount(p, f);
  const flags = <u32>f.r10;
  const world = worlds_error(f);
  // a path that leads nowhere is found before the privilege is asked for
  if (world && world != -E.EPERM) return world;
  let ns = changetype<ns_common>(0);
  if (flags & M.MS_BIND && f.a0) {
    const len = strncpy_from_user(f, SCRATCH_USER, f.a0, SCRATCH_USER_BYTES);
    if (len < 0) return len;
    const to = lookup(p, AT_FDCWD, len);
    if (to.what == PROC_NS) ns = to.ns;
  }
  let len = 0;
  if (!nil(ns)) {
    len = strncpy_from_user(f, SCRATCH_USER, f.a1, SCRATCH_USER_BYTES);
    if (len < 0) return len;
  }
  if (!may_mount(p)) return -E.EPERM;
  if (world) return world;
  if (!nil(ns) && !ns_mount(ns, SCRATCH_USER, <u32>len)) return -E.ENOMEM;
  return 0;
}

/** umount2(2): target, flags. */
export function sys_umount2(p: task_struct, f: frame): i32 {
  const known: u32 = M.MNT_FORCE | M.MNT_DETACH | M.MNT_EXPIRE | M.UMOUNT_NOFOLLOW;
  if ((<u32>f.a1) & ~known) return -E.EINVAL;
  if (has_root(p)) return vfs_umount2(p, f);
  const world = worlds_error(f);
  if (world && world != -E.EPERM) return world;
  const len = strncpy_from_user(f, SCRATCH_USER, f.a0, SCRATCH_USER_BYTES);
  if (len < 0) return len;
  if (!may_mount(p)) return -E.EPERM;
  if (world) return world;
  ns_umount(SCRATCH_USER, <u32>len);
  return 0;
}

/** pivot_root(2): the privilege first, the rest is the world's. */
export function sys_pivot_root(p: task_struct, f: frame): i32 {
  if (has_root(p)) return vfs_pivot_root(p, f);
  return may_mount(p) ? worlds_error(f) : -E.EPERM;
}
