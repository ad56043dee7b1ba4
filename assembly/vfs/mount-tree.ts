// Trees of mounts: copied, attached where peers see it too, taken away (fs/namespace.c, pnode.c).
// What can fail is done on trees that nobody sees yet.
import { d_unlinked, dentry, is_subdir } from "./dcache.ts";
import { ERR_PTR, IS_ERR, NULL, nil, PTR_ERR, same } from "../lib/err.ts";
import { list_head } from "../lib/list.ts";
import * as M from "./mount.ts";
import { mnt_namespace, mount } from "./mount.ts";
import * as P from "./pnode.ts";
import { put_ns } from "../namespace/namespace.ts";
import { root } from "../lib/root.ts";
import { EINVAL, ENOENT, ENOMEM, ENOSPC, EPERM } from "../uapi/errno.ts";
import * as F from "../uapi/mount.ts";

// How a copy of a mount propagates.
export const CL_SLAVE: u32 = 1;
export const CL_PRIVATE: u32 = 2;
export const CL_COPY_UNBINDABLE: u32 = 4;
export const CL_MAKE_SHARED: u32 = 8;
export const CL_SHARED_TO_SLAVE: u32 = 16;

/** A copy of `old` that shows `top`, attached nowhere. Null: no memory. */
export function clone_mnt(old: mount, top: dentry, flag: u32): mount {
  const m = M.alloc_mount(old.sb, top, old.devname, old.devname_len);
  if (nil(m)) return m;
  m.flags = old.flags & ~(F.MNT_SHARED | F.MNT_UMOUNT);
  const slave = (flag & CL_SLAVE) != 0 || ((flag & CL_SHARED_TO_SLAVE) != 0 && P.is_shared(old));
  if (slave) {
    P.mnt_set_master(m, old);
  } else if (!(flag & CL_PRIVATE)) {
    if (old.group) {
      m.flags |= old.flags & F.MNT_SHARED;
      P.mnt_join_group(m, old);
    }
    if (P.is_slave(old)) {
      m.master = old.master;
      list_head.add(m.slave, old.slave);
    }
  }
  if (flag & CL_MAKE_SHARED) P.set_mnt_shared(m);
  return m;
}

/** The next mount of a tree that is not below `m`. */
function next_beside(m: mount, top: mount): mount {
  while (!same(m, top)) {
    const next = m.child.next;
    if (next !== m.parent.mounts) return mount.from_child(next);
    m = m.parent;
  }
  return NULL<mount>();
}

/**
 * A copy of the tree at `top` as far as it lies below `at`; each mount's `copy` is its copy.
 * Return: ERR_PTR of ENOMEM, EINVAL (unbindable), EPERM (unbindable, and locked).
 */
export function copy_tree(top: mount, at: dentry, flag: u32): mount {
  const all = (flag & CL_COPY_UNBINDABLE) != 0;
  if (!all && top.flags & F.MNT_UNBINDABLE) return ERR_PTR<mount>(-EINVAL);
  const made = clone_mnt(top, at, flag);
  if (nil(made)) return ERR_PTR<mount>(-ENOMEM);
  top.copy = made;
  let m = M.next_mnt(top, top);
  while (!nil(m)) {
    const outside = same(m.parent, top) && !is_subdir(m.mountpoint, at);
    if (outside || (!all && m.flags & F.MNT_UNBINDABLE)) {
      if (!outside && m.flags & F.MNT_LOCKED) {
        M.put_tree(made);
        return ERR_PTR<mount>(-EPERM);
      }
      m = next_beside(m, top);
      continue;
    }
    const q = clone_mnt(m, m.root, flag);
    if (nil(q)) {
      M.put_tree(made);
      return ERR_PTR<mount>(-ENOMEM);
    }
    m.copy = q;
    M.mnt_attach(q, m.parent.copy, m.mountpoint);
    m = M.next_mnt(m, top);
  }
  return made;
}

/** What a less privileged namespace got of a more privileged one stays as it is. */
export function lock_mnt_tree(top: mount): void {
  for (let m = top; !nil(m); m = M.next_mnt(m, top)) {
    let lock: u32 = F.MNT_LOCK_ATIME;
    if (m.flags & F.MNT_READONLY) lock |= F.MNT_LOCK_READONLY;
    if (m.flags & F.MNT_NODEV) lock |= F.MNT_LOCK_NODEV;
    if (m.flags & F.MNT_NOSUID) lock |= F.MNT_LOCK_NOSUID;
    if (m.flags & F.MNT_NOEXEC) lock |= F.MNT_LOCK_NOEXEC;
    m.flags |= lock;
    if (!same(m, top)) m.flags |= F.MNT_LOCKED;
  }
}

/** How many mounts a tree has. */
export function count_tree(top: mount): u32 {
  let n: u32 = 0;
  for (let m = top; !nil(m); m = M.next_mnt(m, top)) n += 1;
  return n;
}

/** Takes room for `n` more mounts in the namespace, until forget_copies; false: there is none. */
function take_room(ns: mnt_namespace, n: u32): bool {
  if (ns.nr_mounts + ns.pending + n > root().mounts_max) return false;
  ns.pending += n;
  return true;
}

/**
 * Does `m`, which receives from `dest`, show the place that something is mounted on? A tree that is
 * attached nowhere receives nothing.
 */
function receives(m: mount, at: dentry): bool {
  return !nil(m.ns) && !m.ns.anon && is_subdir(at, m.root);
}

/** A peer of `m` that has its copy already; null: none. */
function peer_with_copy(m: mount): mount {
  let at = m;
  do {
    if (!nil(at.ns) && !at.ns.anon && !nil(at.copy)) return at;
    at = P.next_peer(at);
  } while (!same(at, m));
  return NULL<mount>();
}

/** The copy of the tree at `source` for `m`: of its peer's copy, or as slave of its master's. */
function propagate_one(m: mount, source: mount): mount {
  const peer = peer_with_copy(m);
  if (!nil(peer)) return copy_tree(peer.copy, peer.copy.root, CL_COPY_UNBINDABLE | CL_MAKE_SHARED);
  let from = source;
  for (let up = m.master; !nil(up); up = up.master) {
    const at = peer_with_copy(up);
    if (nil(at)) continue;
    from = at.copy;
    break;
  }
  let flag = CL_COPY_UNBINDABLE | CL_SLAVE;
  if (P.is_shared(m)) flag |= CL_MAKE_SHARED;
  return copy_tree(from, from.root, flag);
}

/** Receivers have no copies: before a propagation, and after it. */
function forget_copies(dest: mount): void {
  for (let m = P.propagation_next(dest, dest); !nil(m); m = P.propagation_next(m, dest)) {
    m.copy = NULL<mount>();
    if (!nil(m.ns)) m.ns.pending = 0;
  }
  dest.copy = NULL<mount>();
  dest.ns.pending = 0;
}

/** The copies that were made for receivers of `dest` go. Return: `error`. */
function drop_copies(dest: mount, error: i32): i32 {
  while (!nil(dest.target)) {
    const made = dest.target;
    dest.target = made.mp_next;
    made.mp_next = NULL<mount>();
    M.put_tree(made);
  }
  forget_copies(dest);
  return error;
}

/**
 * A copy of the tree for each mount that receives from `dest`, on the list at dest.target.
 * Return: 0, -ENOMEM, -ENOSPC.
 */
function propagate_mnt(dest: mount, at: dentry, source: mount, n: u32): i32 {
  dest.copy = source;
  for (let m = P.propagation_next(dest, dest); !nil(m); m = P.propagation_next(m, dest)) {
    if (!receives(m, at)) continue;
    const made = take_room(m.ns, n) ? propagate_one(m, source) : ERR_PTR<mount>(-ENOSPC);
    if (IS_ERR(made)) return drop_copies(dest, PTR_ERR(made));
    m.copy = made;
    made.target = m;
    made.mp_next = dest.target;
    dest.target = made;
  }
  return 0;
}

/** All mounts of a tree are in the namespace of what it hangs on; what slipped above is already. */
function commit_tree(top: mount, ns: mnt_namespace): void {
  for (let m = top; !nil(m); m = M.next_mnt(m, top)) if (nil(m.ns)) M.mnt_add_to_ns(m, ns);
}

/** A propagated copy slips under what is mounted at its place already. */
function attach_copy(made: mount, at: dentry, from: mnt_namespace): void {
  const m = made.target;
  const above = M.lookup_mnt(m, at);
  made.target = NULL<mount>();
  M.mnt_attach(made, m, at);
  if (!nil(above)) {
    const parent = M.mnt_unlink(above);
    M.mnt_attach(above, made, made.root);
    M.mntput(parent);
  }
  commit_tree(made, m.ns);
  if (m.ns.user_ns != from.user_ns) lock_mnt_tree(made);
  made.flags &= ~(<u32>F.MNT_LOCKED);
}

/** The mounts of a tree are shared for what follows, or are again what they were. */
function share_tree(top: mount, undo: bool): void {
  for (let m = top; !nil(m); m = M.next_mnt(m, top)) {
    if (undo && m.fresh) {
      m.flags &= ~(<u32>F.MNT_SHARED);
      m.group = 0;
    } else if (!undo) {
      m.fresh = P.is_shared(m) ? 0 : 1;
      P.set_mnt_shared(m);
    }
    if (undo) m.fresh = 0;
  }
}

/** The tree leaves the anonymous namespace that it has to itself, which goes. */
export function leave_home(top: mount): void {
  const home = top.ns;
  for (let m = top; !nil(m); m = M.next_mnt(m, top)) M.mnt_del_from_ns(m);
  home.root = NULL<mount>();
  put_ns(home);
}

/** Puts `source` at its place; beneath what is mounted there, if it is to be so. */
function put_at(source: mount, dest: mount, at: dentry, beneath: bool): void {
  const above = beneath ? M.lookup_mnt(dest, at) : NULL<mount>();
  if (nil(above)) {
    M.mnt_attach(source, dest, at);
    return;
  }
  const parent = M.mnt_unlink(above);
  M.mnt_attach(source, dest, at);
  M.mnt_attach(above, source, source.root);
  M.mntput(parent);
}

/** How a tree is attached: it is in the namespace already; beneath what is mounted there. */
export const TREE_MOVE: u32 = 1;
export const TREE_BENEATH: u32 = 2;

/**
 * Attaches the tree at `source`, which is attached nowhere or moves (TREE_MOVE), at a place in
 * `dest`, and copies of it where peers and slaves of `dest` show that place. A tree in an anonymous
 * namespace leaves it. Return: 0, -ENOSPC, -ENOMEM: nothing has changed then.
 */
export function attach_recursive_mnt(source: mount, dest: mount, at: dentry, how: u32): i32 {
  // nothing could be mounted on what it shows
  if (d_unlinked(source.root)) return -ENOENT;
  const n = count_tree(source);
  const ns = dest.ns;
  const moved = (how & TREE_MOVE) != 0;
  const home = moved ? NULL<mnt_namespace>() : source.ns;
  forget_copies(dest);
  if (!moved && !take_room(ns, n)) return -ENOSPC;
  const shared = P.is_shared(dest);
  if (shared) {
    share_tree(source, false);
    const bad = propagate_mnt(dest, at, source, n);
    if (bad) {
      share_tree(source, true);
      return bad;
    }
  }
  if (moved) M.mnt_detach(source);
  if (!nil(home)) leave_home(source);
  put_at(source, dest, at, (how & TREE_BENEATH) != 0);
  if (!moved) commit_tree(source, ns);
  ns.pending = 0;
  if (!shared) return 0;
  for (let m = source; !nil(m); m = M.next_mnt(m, source)) m.fresh = 0;
  while (!nil(dest.target)) {
    const made = dest.target;
    dest.target = made.mp_next;
    made.mp_next = NULL<mount>();
    attach_copy(made, at, ns);
  }
  forget_copies(dest);
  return 0;
}

/** Takes `m` and what is on it out of its namespace, where nothing else is to be looked at. */
function umount_alone(m: mount, connected: bool): void {
  for (let at = m; !nil(at); at = M.next_mnt(at, m)) at.flags |= F.MNT_UMOUNT;
  while (true) {
    let leaf = m;
    while (true) {
      const next = first_to_leave(leaf);
      if (nil(next)) break;
      leaf = next;
    }
    leave_ns(leaf, connected);
    if (same(leaf, m)) return;
  }
}

/** A mount on `m` that is still in its namespace; null: none. */
function first_to_leave(m: mount): mount {
  for (let at = m.mounts.next; at !== m.mounts; at = at.next) {
    const child = mount.from_child(at);
    if (!nil(child.ns)) return child;
  }
  return NULL<mount>();
}

/**
 * `m` is in its namespace no more. A locked one stays where it is on its parent, so that nobody
 * looks beneath it, and so does any other when the tree stays `connected`.
 */
function leave_ns(m: mount, connected: bool): void {
  const parent = m.parent;
  P.mnt_make_private(m);
  const keeps = connected || (m.flags & F.MNT_LOCKED) != 0;
  const stays = keeps && !same(parent, m) && (parent.flags & F.MNT_UMOUNT) != 0;
  if (stays) {
    M.mnt_del_from_ns(m);
    parent.count -= 1;
    return;
  }
  M.mnt_detach(m);
  M.mnt_del_from_ns(m);
  M.mntput(m);
}

/** The mount at the place of `m` in `where`, a peer or slave of its parent; null: none. */
function counterpart(m: mount, where: mount): mount {
  return nil(where.ns) ? NULL<mount>() : M.lookup_mnt(where, m.mountpoint);
}

// mount.fresh while a tree is taken away
/** A counterpart that may go with it, */
const CANDIDATE: u32 = 2;
/** and a mount of the tree itself. */
const LEAVING: u32 = 3;

/**
 * Takes the tree out of its namespace; with `propagate` also what is mounted at the same places
 * where its parents propagate to, as far as nothing else is mounted on that.
 */
export function umount_tree(top: mount, propagate: bool): void {
  if (!propagate) {
    umount_alone(top, false);
    return;
  }
  for (let m = top; !nil(m); m = M.next_mnt(m, top)) m.fresh = LEAVING;
  const candidates = gather_candidates(top);
  while (trim_candidates(candidates)) continue;
  uncover_candidates(candidates);
  for (let m = top; !nil(m); m = M.next_mnt(m, top)) m.fresh = 0;
  // before what it may be mounted on
  umount_alone(top, false);
  take_candidates(candidates);
}

/** A tree in an anonymous namespace goes as a whole: who is still in it sees it as it was. */
export function dissolve_tree(top: mount): void {
  umount_alone(top, true);
}

/** Counterparts of all mounts of a tree, by mount.copy; each is held. */
function gather_candidates(top: mount): mount {
  let list = NULL<mount>();
  for (let m = top; !nil(m); m = M.next_mnt(m, top)) {
    const parent = m.parent;
    if (same(parent, m)) continue;
    for (let at = P.propagation_next(parent, parent); !nil(at);) {
      const child = counterpart(m, at);
      if (!nil(child) && !nil(child.ns) && !child.fresh) {
        child.fresh = CANDIDATE;
        child.copy = list;
        list = M.mntget(child);
      }
      at = P.propagation_next(at, parent);
    }
  }
  return list;
}

/** Does `m` cover the whole of what it is mounted on? */
function is_overmount(m: mount): bool {
  return same(m.mountpoint, m.parent.root);
}

/** One round over the candidates: who has to stay does. Return: whether one more is needed. */
function trim_candidates(list: mount): bool {
  let changed = false;
  for (let c = list; !nil(c); c = c.copy) {
    if (c.fresh != CANDIDATE) continue;
    let stays = c.flags & F.MNT_LOCKED && c.parent.fresh < CANDIDATE;
    let keeps = false;
    for (let l = c.mounts.next; l !== c.mounts; l = l.next) {
      const child = mount.from_child(l);
      if (child.fresh >= CANDIDATE) continue;
      keeps = true;
      if (!is_overmount(child)) stays = true;
    }
    // what stays or takes its place is on its parent, too
    for (let x = c; keeps && x.parent.fresh == CANDIDATE; x = x.parent) {
      if (is_overmount(x)) continue;
      x.parent.fresh = 0;
      changed = true;
    }
    if (!stays) continue;
    c.fresh = 0;
    changed = true;
  }
  return changed;
}

/** What covers a candidate comes to lie where that was. */
function uncover_candidates(list: mount): void {
  for (let c = list; !nil(c); c = c.copy) {
    if (c.fresh != CANDIDATE) continue;
    let l = c.mounts.next;
    while (l !== c.mounts) {
      const child = mount.from_child(l);
      l = l.next;
      if (child.fresh < CANDIDATE) reparent(child);
    }
  }
}

/** The candidates that are left go. */
function take_candidates(list: mount): void {
  for (let c = list; !nil(c); c = c.copy) {
    if (c.fresh == CANDIDATE && !nil(c.ns)) umount_alone(c, false);
  }
  while (!nil(list)) {
    const c = list;
    list = c.copy;
    c.copy = NULL<mount>();
    c.fresh = 0;
    M.mntput(c);
  }
}

/** `m` is mounted where the lowest of those below it that go is. */
function reparent(m: mount): void {
  let parent = m.parent;
  let at = m.mountpoint;
  while (parent.fresh >= CANDIDATE) {
    at = parent.mountpoint;
    parent = parent.parent;
  }
  const old = M.mnt_unlink(m);
  M.mnt_attach(m, parent, at);
  M.mntput(old);
}

/** The one mount on `m` that covers all of it; null: there is none, or are others. */
function topper_of(m: mount): mount {
  const only = !list_head.empty(m.mounts) && m.mounts.next === m.mounts.prev;
  const on = only ? mount.from_child(m.mounts.next) : NULL<mount>();
  return nil(on) || !is_overmount(on) ? NULL<mount>() : on;
}

/** Is `m`, or where it propagates a counterpart of it that would go, in use beyond `refs`? */
export function propagate_mount_busy(m: mount, refs: i32): bool {
  if (same(m.parent, m)) return m.count > refs;
  if (!list_head.empty(m.mounts) || m.count > refs) return true;
  const parent = m.parent;
  for (let at = P.propagation_next(parent, parent); !nil(at); at = P.propagation_next(at, parent)) {
    const child = counterpart(m, at);
    if (nil(child) || same(child, m)) continue;
    const covered = !nil(topper_of(child));
    if (!covered && !list_head.empty(child.mounts)) continue;
    if (child.count > (covered ? 2 : 1)) return true;
  }
  return false;
}

/** The name is gone: what is mounted on it, in namespaces that don't know, goes too. */
export function detach_mounts(d: dentry): void {
  while (!nil(d.mounts)) {
    const m = d.mounts;
    if (nil(m.ns)) {
      M.mnt_detach(m);
      M.mntput(m);
    } else {
      umount_alone(m, false);
    }
  }
}
