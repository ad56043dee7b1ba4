// mount_setattr(2), open_tree_attr(2): flags, access times and propagation of a mount or of all of
// a tree, which change for all or for none.
import * as D from "./do-mount.ts";
import { cred_ns_capable } from "../cred/cred.ts";
import { dentry } from "./dcache.ts";
import { IS_ERR, NULL, nil, PTR_ERR, same } from "../lib/err.ts";
import * as FD from "../fs/file.ts";
import { frame } from "../lib/frame.ts";
import * as L from "./lookup.ts";
import { mnt_namespace, mount, next_mnt, vfs_file } from "./mount.ts";
import { check_dirfd, mount_path_at, world_told } from "./mount-path.ts";
import * as N from "./namei.ts";
import * as P from "./pnode.ts";
import { SCRATCH_USER } from "../lib/root.ts";
import { sys_world_fd, worlds_error } from "../fs/sys-file.ts";
import { attr_atime, attr_flags_to_mnt_flags, FSMOUNT_VALID, ns_of_dirfd } from "./sys-fsmount.ts";
import { install_tree, open_tree_at, open_tree_file, WORLDS } from "./sys-fsmount.ts";
import { mnt_ns_of_task } from "./mnt-namespace.ts";
import { task_struct } from "../process/task.ts";
import { access_ok, copy_from_user } from "../lib/uaccess.ts";
import { CAP_SYS_ADMIN } from "../uapi/capability.ts";
import * as E from "../uapi/errno.ts";
import { AT_EMPTY_PATH, O_CLOEXEC } from "../uapi/fcntl.ts";
import { WINDOW_READ } from "../uapi/frame.ts";
import { PAGE_SIZE } from "../uapi/limits.ts";
import * as F from "../uapi/mount.ts";
import { CLONE_NEWUSER } from "../uapi/sched.ts";
import { AT_NO_AUTOMOUNT, AT_RECURSIVE, AT_SYMLINK_NOFOLLOW } from "../uapi/stat.ts";
import { init_user_ns, user_namespace } from "../namespace/user-namespace.ts";

/** struct mount_attr - as the caller gives it. */
@unmanaged
class mount_attr {
  attr_set: u64;
  attr_clr: u64;
  propagation: u64;
  userns_fd: u64;
}

/** struct mount_kattr - what is going to change. */
@unmanaged
class mount_kattr {
  set: u32; // MNT_*
  clear: u32;
  propagation: u32; // one of MS_SHARED, MS_PRIVATE, MS_SLAVE, MS_UNBINDABLE, or none
  idmap: u32; // 1: ids are to be mapped anew
  recurse: u32;
}
const KATTR: usize = SCRATCH_USER + 64;

const VALID: u64 = FSMOUNT_VALID | F.MOUNT_ATTR_IDMAP;
const PROPAGATION: u64 = F.MS_UNBINDABLE | F.MS_PRIVATE | F.MS_SLAVE | F.MS_SHARED;

/** MOUNT_ATTR_IDMAP. `replace`: the mount is one that nobody has seen. */
function build_mount_idmapped(p: task_struct, a: mount_attr, k: mount_kattr, replace: bool): i32 {
  if (!((a.attr_set | a.attr_clr) & F.MOUNT_ATTR_IDMAP)) return 0;
  if (a.attr_clr & F.MOUNT_ATTR_IDMAP) {
    if (!replace) return -E.EINVAL;
    // no mount has its ids mapped: there is nothing to be taken back
    if (!(a.attr_set & F.MOUNT_ATTR_IDMAP)) return 0;
  }
  if (a.userns_fd > <u64>i32.MAX_VALUE) return -E.EINVAL;
  const at = FD.fget(p, <i32>a.userns_fd);
  if (nil(at)) return -E.EBADF;
  if (at.kind != FD.FILE_NSFS || at.ns.type != CLONE_NEWUSER) return -E.EINVAL;
  const ns = changetype<user_namespace>(changetype<usize>(at.ns));
  if (same(ns, init_user_ns())) return -E.EPERM;
  if (!cred_ns_capable(p.cred, ns, CAP_SYS_ADMIN)) return -E.EPERM;
  k.idmap = 1;
  return 0;
}

function build_mount_kattr(p: task_struct, a: mount_attr, k: mount_kattr, replace: bool): i32 {
  if (a.propagation & ~PROPAGATION) return -E.EINVAL;
  if (popcnt<u64>(a.propagation) > 1) return -E.EINVAL;
  if ((a.attr_set | a.attr_clr) & ~VALID) return -E.EINVAL;
  k.propagation = <u32>a.propagation;
  k.set = attr_flags_to_mnt_flags(a.attr_set);
  k.clear = attr_flags_to_mnt_flags(a.attr_clr);
  // the three of access times exclude each other: one is set where all are cleared
  const clears = a.attr_clr & F.MOUNT_ATTR__ATIME;
  if (clears) {
    if (clears != <u64>F.MOUNT_ATTR__ATIME) return -E.EINVAL;
    const atime = attr_atime(a.attr_set);
    if (atime < 0) return atime;
    k.clear |= F.MNT_RELATIME | F.MNT_NOATIME;
    k.set |= <u32>atime;
  } else if (a.attr_set & F.MOUNT_ATTR__ATIME) {
    return -E.EINVAL;
  }
  return build_mount_idmapped(p, a, k, replace);
}

/** What is behind the known part of the structure must be zero. Return: 0, -E2BIG, -EFAULT. */
function check_rest(f: frame, addr: u64, size: u32): i32 {
  for (let at: u32 = F.MOUNT_ATTR_SIZE_VER0; at < size; ++at) {
    const bad = copy_from_user(f, SCRATCH_USER, addr + at, 1);
    if (bad) return bad;
    if (load<u8>(SCRATCH_USER)) return -E.E2BIG;
  }
  return copy_from_user(f, SCRATCH_USER, addr, F.MOUNT_ATTR_SIZE_VER0);
}

/** There is something to change; what, is not shown: the world has judged it. */
const WANTED: i32 = 1;
const UNSEEN: i32 = 2;

/** Reads what is wanted into the mount_kattr. Return: WANTED, UNSEEN, 0 of nothing, an errno. */
function wants_mount_setattr(
  p: task_struct,
  f: frame,
  addr: u64,
  size: u64,
  recurse: bool,
  replace: bool,
): i32 {
  if (size > <u64>PAGE_SIZE) return -E.E2BIG;
  if (size < <u64>F.MOUNT_ATTR_SIZE_VER0) return -E.EINVAL;
  if (!D.may_mount(p)) return -E.EPERM;
  if (world_told(p, f) && access_ok(f, addr, <u32>size, WINDOW_READ) != 0) return UNSEEN;
  const bad = check_rest(f, addr, <u32>size);
  if (bad) return bad;
  const a = changetype<mount_attr>(SCRATCH_USER);
  const k = changetype<mount_kattr>(KATTR);
  memory.fill(KATTR, 0, offsetof<mount_kattr>());
  k.recurse = recurse ? 1 : 0;
  if (!a.attr_set && !a.attr_clr && !a.propagation) return 0;
  const wrong = build_mount_kattr(p, a, k, replace);
  return wrong ? wrong : WANTED;
}

function recalc_flags(k: mount_kattr, m: mount): u32 {
  return (m.flags & ~k.clear) | k.set;
}

/** May all of it change? Return: 0, -EPERM, -EINVAL, -EBUSY. */
function mount_setattr_prepare(k: mount_kattr, top: mount): i32 {
  for (let m = top; !nil(m); m = next_mnt(m, top)) {
    if (!D.can_change_locked_flags(m, recalc_flags(k, m))) return -E.EPERM;
    // no type of this kernel has FS_ALLOW_IDMAP: ids are mapped anew nowhere
    if (k.idmap == 1) return -E.EINVAL;
    if (D.has_writers(m, k.set)) return -E.EBUSY;
    if (!k.recurse) break;
  }
  return 0;
}

/** Changes the mount whose root the place is, and those below it. `ns`: where the caller may. */
function do_mount_setattr(ns: mnt_namespace, m: mount, d: dentry): i32 {
  const k = changetype<mount_kattr>(KATTR);
  if (!D.path_mounted(m, d) || nil(m.ns)) return -E.EINVAL;
  const loose = same(m.parent, m) && m.ns.anon;
  if (!loose && !D.in_ns(m, ns)) return -E.EINVAL;
  const bad = mount_setattr_prepare(k, m);
  if (bad) return bad;
  for (let at = m; !nil(at); at = k.recurse ? next_mnt(at, m) : NULL<mount>()) {
    at.flags = recalc_flags(k, at);
    const how = k.propagation;
    if (!how) continue;
    const unbindable = how == <u32>F.MS_UNBINDABLE;
    P.change_mnt_propagation(at, how == F.MS_SHARED, how == F.MS_SLAVE, unbindable);
  }
  return 0;
}

/** mount_setattr(2): directory, path, flags, structure, its size. */
export function sys_mount_setattr(p: task_struct, f: frame): i32 {
  const flags = <u32>f.a2;
  const known: u32 = AT_EMPTY_PATH | AT_RECURSIVE | AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT;
  if (flags & ~known) return -E.EINVAL;
  const r = wants_mount_setattr(p, f, f.r10, f.r8, (flags & AT_RECURSIVE) != 0, false);
  if (r <= 0) return r;
  const fd = <i32>f.a0;
  if (world_told(p, f)) {
    const closed = r == UNSEEN ? 0 : check_dirfd(p, f, fd, f.a1);
    return closed ? closed : worlds_error(f);
  }
  let lookup: u32 = flags & AT_SYMLINK_NOFOLLOW ? 0 : N.LOOKUP_FOLLOW;
  if (flags & AT_EMPTY_PATH) lookup |= N.LOOKUP_EMPTY;
  const bad = mount_path_at(p, f, fd, f.a1, lookup);
  if (bad) return bad;
  const m = L.nd_first().mnt;
  const d = L.nd_first().dentry;
  const ns = ns_of_dirfd(p, fd);
  return IS_ERR(ns) ? PTR_ERR(ns) : do_mount_setattr(ns, m, d);
}

/** open_tree_attr(2): directory, path, flags of open_tree(2); structure, its size. */
export function sys_open_tree_attr(p: task_struct, f: frame): i32 {
  const flags = <u32>f.a2;
  const addr = f.r10;
  if (!addr && f.r8) return -E.EINVAL;
  const bad = open_tree_at(p, f);
  if (bad) return bad == WORLDS ? sys_world_fd(p, f) : bad;
  const at = open_tree_file(p, flags);
  if (IS_ERR(at)) return PTR_ERR(at);
  if (addr) {
    let r = wants_mount_setattr(p, f, addr, f.r8, (flags & AT_RECURSIVE) != 0, true);
    if (r > 0) {
      const place = changetype<vfs_file>(at.private_data);
      r = do_mount_setattr(mnt_ns_of_task(p), place.mnt, place.dentry);
    }
    if (r < 0) {
      FD.fput(at);
      return r;
    }
  }
  return install_tree(p, at, (flags & O_CLOEXEC) != 0);
}
