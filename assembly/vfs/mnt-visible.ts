// Who mounts proc or sysfs in a user namespace of its own may see no more of it than it sees
// already (mount_too_revealing() of fs/namespace.c).
import { nil, same } from "../lib/err.ts";
import { vfs_inode, is_dir } from "./inode.ts";
import { mount } from "./mount.ts";
import { mnt_ns_of_task } from "./mnt-namespace.ts";
import { FS_PROC, FS_SYSFS, super_block } from "./super.ts";
import { task_struct } from "../process/task.ts";
import * as F from "../uapi/mount.ts";
import { init_user_ns, user_namespace } from "../namespace/user-namespace.ts";

/** Set in what mount_too_revealing gives, whatever flags there are. */
export const MNT_SEEN: u32 = F.MNT_UMOUNT;

const LOCKS: u32 = F.MNT_LOCK_READONLY | F.MNT_LOCK_ATIME;
const ATIME: u32 = F.MNT_NOATIME | F.MNT_NODIRATIME | F.MNT_RELATIME;

/** Nothing will ever be in the directory: what lies over it covers nothing. */
function is_permanently_empty(i: vfs_inode): bool {
  return is_dir(i) && i.sb.type == FS_SYSFS && !i.nr_children;
}

/** Does a mount that stays where it is cover a part of what `m` shows? */
function is_covered(m: mount): bool {
  for (let l = m.mounts.next; l !== m.mounts; l = l.next) {
    const child = mount.from_child(l);
    if (child.flags & F.MNT_LOCKED && !is_permanently_empty(child.mountpoint.inode)) return true;
  }
  return false;
}

/** Would a new mount with `flags` show what `m` shows, no more? */
function is_as_open(m: mount, flags: u32): bool {
  const locked = m.sb.flags & F.MS_RDONLY ? m.flags | F.MNT_LOCK_READONLY : m.flags;
  if (locked & F.MNT_LOCK_READONLY && !(flags & F.MNT_READONLY)) return false;
  if (locked & F.MNT_LOCK_ATIME && (m.flags & ATIME) != (flags & ATIME)) return false;
  return !is_covered(m);
}

/**
 * May `p` mount the new file system with these flags? Return: the flags, with the locks of what it
 * sees already, and MNT_SEEN; 0: it would reveal something.
 */
export function mount_too_revealing(p: task_struct, sb: super_block, flags: u32): u32 {
  const ns = mnt_ns_of_task(p);
  const all = nil(ns) || same(changetype<user_namespace>(ns.user_ns), init_user_ns());
  if (all || (sb.type != FS_PROC && sb.type != FS_SYSFS)) return flags | MNT_SEEN;
  for (let l = ns.mounts.next; l !== ns.mounts; l = l.next) {
    const m = mount.from_ns(l);
    if (m.sb.type != sb.type || !same(m.root, m.sb.root)) continue;
    if (!is_as_open(m, flags)) continue;
    const rdonly = m.sb.flags & F.MS_RDONLY ? <u32>F.MNT_LOCK_READONLY : 0;
    return flags | ((m.flags | rdonly) & LOCKS) | MNT_SEEN;
  }
  return 0;
}
