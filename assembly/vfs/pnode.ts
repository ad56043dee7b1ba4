// Propagation (fs/pnode.c, mount_namespaces(7)): peers show each other what is mounted on one of
// them, slaves are shown it by their master, private mounts are left alone. Every walk over groups
// is a loop over their rings.
import { nil, same } from "../lib/err.ts";
import { list_head } from "../lib/list.ts";
import { mount } from "./mount.ts";
import { root } from "../lib/root.ts";
import { MNT_SHARED, MNT_UNBINDABLE } from "../uapi/mount.ts";

export function is_shared(m: mount): bool {
  return (m.flags & MNT_SHARED) != 0;
}
export function is_slave(m: mount): bool {
  return !nil(m.master);
}
export function next_peer(m: mount): mount {
  return mount.from_share(m.share.next);
}
function first_slave(m: mount): mount {
  return mount.from_slave(m.slaves.next);
}

/** `m` is shared from now on; alone in a group of its own, unless it has peers already. */
export function set_mnt_shared(m: mount): void {
  m.flags = (m.flags & ~(MNT_SHARED | MNT_UNBINDABLE)) | MNT_SHARED;
  if (m.group) return;
  root().mnt_group += 1;
  m.group = root().mnt_group;
}

/** `m` becomes a peer of `peer`, whose group is numbered. */
export function mnt_join_group(m: mount, peer: mount): void {
  m.group = peer.group;
  list_head.add(m.share, peer.share);
}

/** `m` receives from `master` from now on. */
export function mnt_set_master(m: mount, master: mount): void {
  m.master = master;
  list_head.add(m.slave, master.slaves);
}

/** The peer that takes over the slaves of `m`: one that shows the same, if there is one. */
function heir_of(m: mount): mount {
  for (let at = next_peer(m); !same(at, m); at = next_peer(at)) {
    if (same(at.root, m.root)) return at;
  }
  const peer = next_peer(m);
  return same(peer, m) ? changetype<mount>(0) : peer;
}

/** `m` leaves its peers: it receives from them, or from whom they receive, and tells nobody. */
function mnt_make_slave(m: mount): void {
  let master = m.master;
  if (is_shared(m) || !list_head.empty(m.share)) {
    const heir = heir_of(m);
    if (!nil(heir)) master = heir;
    list_head.del_init(m.share);
    m.group = 0;
    m.flags &= ~(<u32>MNT_SHARED);
  }
  while (!list_head.empty(m.slaves)) {
    const s = first_slave(m);
    list_head.del_init(s.slave);
    s.master = master;
    if (!nil(master)) list_head.add_tail(s.slave, master.slaves);
  }
  if (same(master, m.master)) return;
  if (is_slave(m)) list_head.del_init(m.slave);
  m.master = master;
  if (!nil(master)) list_head.add(m.slave, master.slaves);
}

/** Changes how `m` propagates. `type`: MS_SHARED, MS_PRIVATE, MS_SLAVE, MS_UNBINDABLE as flags. */
export function change_mnt_propagation(m: mount, shared: bool, slave: bool, unbind: bool): void {
  if (shared) {
    set_mnt_shared(m);
    return;
  }
  mnt_make_slave(m);
  if (slave) return;
  if (is_slave(m)) {
    list_head.del_init(m.slave);
    m.master = changetype<mount>(0);
  }
  if (unbind) m.flags |= MNT_UNBINDABLE;
  else m.flags &= ~(<u32>MNT_UNBINDABLE);
}

/** `m` takes no part in propagation any more. */
export function mnt_make_private(m: mount): void {
  change_mnt_propagation(m, false, false, false);
}

/** The mount after `m` among those that receive from `origin`; null: that was the last. */
export function propagation_next(m: mount, origin: mount): mount {
  // a mount that is being made has slaves, but no place yet
  if (!nil(m.ns) && !list_head.empty(m.slaves)) return first_slave(m);
  while (true) {
    const master = m.master;
    if (same(master, origin.master)) {
      const next = next_peer(m);
      return same(next, origin) ? changetype<mount>(0) : next;
    }
    const next = m.slave.next;
    if (next !== master.slaves) {
      return mount.from_slave(next);
    }
    // a master that is itself a slave goes on with its own peers
    m = master;
  }
}
