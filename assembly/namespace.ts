// What every namespace has: a count, a type, an identity (nsfs inode number), an owner. Mount,
// uts, ipc, net, cgroup, time and user namespaces are this struct; what they hold comes with the
// subsystems that need it. Pid namespaces extend it.
import { NULL, nil } from "./err.ts";
import { refcount_dec_and_test, refcount_inc } from "./refcount.ts";
import { root } from "./root.ts";
import { CACHE_NAMESPACE, kmem_cache_free, kmem_cache_zalloc } from "./slab.ts";

/** struct ns_common - head of every namespace. */
@unmanaged
export class ns_common {
  count: i32; // refcount_t: nsproxies, creds, child namespaces, open nsfs files
  type: i32; // [C] its CLONE_NEW* flag
  inum: u32; // [C] inode number in nsfs
  level: i32; // [C] depth, user and pid namespaces
  parent: u32; // [C] ns_common: parent of a user or pid namespace, holds a reference
  user_ns: u32; // [C] ns_common: owner; of a user namespace: null. Holds a reference
  owner_uid: i32; // [C] user namespaces: kuid of the creator
  owner_gid: i32;
  nr_uid_extents: u32; // user namespaces: 0 = nothing mapped
  nr_gid_extents: u32;
}

/** Fills the head of a fresh, zeroed namespace and takes its references. */
export function ns_init(ns: ns_common, type: i32, parent: ns_common, user_ns: ns_common): void {
  ns.count = 1;
  ns.type = type;
  ns.inum = root().inum_next;
  root().inum_next += 1;
  ns.parent = <u32>changetype<usize>(parent);
  ns.user_ns = <u32>changetype<usize>(user_ns);
  if (!nil(parent)) get_ns(parent);
  if (!nil(user_ns)) get_ns(user_ns);
}

/** A namespace without contents of its own; null when memory is exhausted. */
export function create_ns(type: i32, parent: ns_common, user_ns: ns_common): ns_common {
  const ns = changetype<ns_common>(kmem_cache_zalloc(CACHE_NAMESPACE));
  if (!nil(ns)) ns_init(ns, type, parent, user_ns);
  return ns;
}

export function get_ns(ns: ns_common): ns_common {
  refcount_inc(changetype<usize>(ns));
  return ns;
}

/** Drops a reference to any namespace but a pid one; climbs user namespaces in a loop. */
export function put_ns(ns: ns_common): void {
  while (!nil(ns) && refcount_dec_and_test(changetype<usize>(ns))) {
    // a user namespace has a parent, every other kind an owner
    const next = ns.parent ? ns.parent : ns.user_ns;
    kmem_cache_free(CACHE_NAMESPACE, changetype<usize>(ns));
    ns = next ? changetype<ns_common>(next) : NULL<ns_common>();
  }
}
