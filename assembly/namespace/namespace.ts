// What every namespace has: a count, a type, an identity (nsfs inode number), an owner. Mount,
// cgroup and time namespaces are this struct; the others extend it.
import { IS_ERR, NULL, nil } from "../lib/err.ts";
import { net_exit, net_namespace } from "../net/net-namespace.ts";
import { ipc_exit_ns } from "../ipc/ipc-ns.ts";
import { ipc_namespace } from "../ipc/ipc.ts";
import { free_pid_table, pid_namespace } from "../process/pid.ts";
import { user_ns_keyrings_gone } from "../keys/process-keys.ts";
import { refcount_dec_and_test, refcount_inc } from "../lib/refcount.ts";
import { root } from "../lib/root.ts";
import { CACHE_NAMESPACE, kmem_cache_free, kmem_cache_zalloc } from "../lib/slab.ts";
import { dec_ucount, inc_ucount, ucounts } from "../cred/ucounts.ts";
import { ENOMEM } from "../uapi/errno.ts";
import {
  CLONE_NEWIPC,
  CLONE_NEWNET,
  CLONE_NEWNS,
  CLONE_NEWPID,
  CLONE_NEWUSER,
  CLONE_NEWUTS,
} from "../uapi/sched.ts";
import { mnt_namespace } from "../vfs/mount.ts";
import { free_mnt_ns } from "../vfs/mnt-namespace.ts";
import { free_id_maps, user_namespace } from "./user-namespace.ts";
import { free_uts_names, uts_namespace } from "./uts.ts";

/** struct ns_common - head of every namespace. */
@unmanaged
export class ns_common {
  count: i32; // refcount_t: nsproxies, creds, child namespaces, open nsfs and proc files
  type: i32; // [C] its CLONE_NEW* flag
  inum: u32; // [C] inode number in nsfs
  level: i32; // [C] depth, user and pid namespaces
  parent: u32; // [C] ns_common: parent of a user or pid namespace, holds a reference
  user_ns: u32; // [C] ns_common: owner; of a user namespace: null. Holds a reference
  ucounts: u32; // [C] ucounts: the user it is counted for; null: not counted
}

/** The bytes of the largest namespace; all kinds come from one cache. */
export const NAMESPACE_BYTES: u32 = 96;

/**
 * A namespace of `type`, its contents zero, counted for user `uid` (of the parent, if it is a user
 * namespace, else of the owner). Return: ERR_PTR of ENOSPC, ENOMEM.
 */
export function create_ns(
  type: i32,
  parent: ns_common,
  user_ns: user_namespace,
  uid: i32,
): ns_common {
  const counted = type == CLONE_NEWUSER ? changetype<user_namespace>(parent) : user_ns;
  let u = NULL<ucounts>();
  // the initial namespaces are nobody's
  if (!nil(counted) && root().magic) {
    u = inc_ucount(counted, uid, type);
    if (IS_ERR(u)) return changetype<ns_common>(changetype<usize>(u));
  }
  const ns = changetype<ns_common>(kmem_cache_zalloc(CACHE_NAMESPACE));
  if (nil(ns)) {
    dec_ucount(u, type);
    return changetype<ns_common>(<usize>-ENOMEM);
  }
  ns.count = 1;
  ns.type = type;
  ns.inum = root().inum_next;
  root().inum_next += 1;
  ns.parent = <u32>changetype<usize>(parent);
  ns.user_ns = <u32>changetype<usize>(user_ns);
  ns.ucounts = <u32>changetype<usize>(u);
  if (!nil(parent)) get_ns(parent);
  if (!nil(user_ns)) get_ns(user_ns);
  return ns;
}

export function get_ns(ns: ns_common): ns_common {
  refcount_inc(changetype<usize>(ns));
  return ns;
}

/** What a namespace consists of; its parent and owner stay. */
function free_ns(ns: ns_common): void {
  const type = ns.type;
  if (type == CLONE_NEWUSER) {
    user_ns_keyrings_gone(ns.inum);
    free_id_maps(changetype<user_namespace>(ns));
  }
  if (type == CLONE_NEWPID) free_pid_table(changetype<pid_namespace>(ns));
  else if (type == CLONE_NEWIPC) ipc_exit_ns(changetype<ipc_namespace>(ns));
  else if (type == CLONE_NEWUTS) free_uts_names(changetype<uts_namespace>(ns));
  else if (type == CLONE_NEWNET) net_exit(changetype<net_namespace>(ns));
  else if (type == CLONE_NEWNS) free_mnt_ns(changetype<mnt_namespace>(ns));
  dec_ucount(changetype<ucounts>(ns.ucounts), type);
  kmem_cache_free(CACHE_NAMESPACE, changetype<usize>(ns));
}

/** Drops a reference to a user namespace; climbs to the parents in a loop. */
function put_user_ns(ns: ns_common): void {
  while (!nil(ns) && refcount_dec_and_test(changetype<usize>(ns))) {
    const parent = changetype<ns_common>(ns.parent);
    free_ns(ns);
    ns = parent;
  }
}

/** Drops a reference to any namespace; climbs to the parents in a loop, however deep they nest. */
export function put_ns(ns: ns_common): void {
  while (!nil(ns) && refcount_dec_and_test(changetype<usize>(ns))) {
    const parent = changetype<ns_common>(ns.parent);
    const owner = changetype<ns_common>(ns.user_ns);
    // the count goes before the reference that keeps what it is kept in
    free_ns(ns);
    put_user_ns(owner);
    ns = parent;
  }
}
