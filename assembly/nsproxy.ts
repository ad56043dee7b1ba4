// struct nsproxy - the namespaces of a task, all but user and its own pid namespace. Shared by
// reference; a change makes a new one.
import { cred } from "./cred.ts";
import { ERR_PTR, IS_ERR, NULL, nil, PTR_ERR, same } from "./err.ts";
import { create_ns, get_ns, ns_common, put_ns } from "./namespace.ts";
import { create_pid_namespace, pid_namespace, put_pid_ns } from "./pid.ts";
import { refcount_dec_and_test, refcount_inc } from "./refcount.ts";
import { CACHE_NSPROXY, kmem_cache_free, kmem_cache_init, kmem_cache_zalloc } from "./slab.ts";
import { EINVAL, ENOMEM } from "./uapi/errno.ts";
import {
  CLONE_NEWCGROUP,
  CLONE_NEWIPC,
  CLONE_NEWNET,
  CLONE_NEWNS,
  CLONE_NEWPID,
  CLONE_NEWTIME,
  CLONE_NEWUTS,
} from "./uapi/sched.ts";

/** struct nsproxy - 40 bytes; every field holds a reference. */
@unmanaged
export class nsproxy {
  count: i32; // refcount_t: tasks, containers
  mnt_ns: ns_common; // null: an empty mount namespace that has no root yet
  uts_ns: ns_common;
  ipc_ns: ns_common;
  pid_ns_for_children: pid_namespace;
  cgroup_ns: ns_common;
  net_ns: ns_common;
  time_ns: ns_common;
  time_ns_for_children: ns_common;
  empty_mnt: u32; // 1: made with CONTAINER_NEW_EMPTY_FS_NS
}

/** All namespace flags but CLONE_NEWUSER. CLONE_NEWTIME shares a bit with CSIGNAL. */
export const CLONE_NS_FLAGS: u32 =
  CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWPID | CLONE_NEWCGROUP | CLONE_NEWNET;

export function nsproxy_caches_init(): void {
  kmem_cache_init(CACHE_NSPROXY, <u32>offsetof<nsproxy>());
}

export function get_nsproxy(ns: nsproxy): nsproxy {
  refcount_inc(changetype<usize>(ns));
  return ns;
}

export function put_nsproxy(ns: nsproxy): void {
  if (nil(ns) || !refcount_dec_and_test(changetype<usize>(ns))) return;
  free_nsproxy(ns);
}

function free_nsproxy(ns: nsproxy): void {
  put_ns(ns.mnt_ns);
  put_ns(ns.uts_ns);
  put_ns(ns.ipc_ns);
  put_pid_ns(ns.pid_ns_for_children);
  put_ns(ns.cgroup_ns);
  put_ns(ns.net_ns);
  put_ns(ns.time_ns);
  put_ns(ns.time_ns_for_children);
  kmem_cache_free(CACHE_NSPROXY, changetype<usize>(ns));
}

/** The old namespace, or a new one when its flag is set; null when memory is exhausted. */
function copy_ns(flag: bool, old: ns_common, type: i32, user_ns: ns_common): ns_common {
  return flag ? create_ns(type, NULL<ns_common>(), user_ns) : get_ns(old);
}

/** As for the others, with the two rules that pid namespaces have. ERR_PTR. */
function copy_pid_ns(
  flag: bool,
  old: nsproxy,
  active: pid_namespace,
  user: ns_common,
): pid_namespace {
  const for_children = old.pid_ns_for_children;
  if (!flag) return changetype<pid_namespace>(get_ns(changetype<ns_common>(for_children)));
  if (!same(active, for_children)) return ERR_PTR<pid_namespace>(-EINVAL);
  // the new owner must be the old one's owner or below it
  let ns = user;
  while (!nil(ns) && changetype<usize>(ns) != <usize>for_children.user_ns) {
    ns = changetype<ns_common>(ns.parent);
  }
  if (nil(ns)) return ERR_PTR<pid_namespace>(-EINVAL);
  return create_pid_namespace(for_children, user);
}

/**
 * A copy of `old` with a new namespace for each flag, in the order mnt, uts, ipc, pid, cgroup,
 * net, time; the first failure wins. `active` is the creator's own pid namespace.
 * Return: ERR_PTR of ENOMEM, ENOSPC, EINVAL.
 */
export function create_new_namespaces(
  flags: u32,
  old: nsproxy,
  active: pid_namespace,
  c: cred,
): nsproxy {
  const user = c.user_ns;
  const ns = changetype<nsproxy>(kmem_cache_zalloc(CACHE_NSPROXY));
  if (nil(ns)) return ERR_PTR<nsproxy>(-ENOMEM);
  ns.count = 1;
  let error = 0;
  if (!(flags & CLONE_NEWNS) && nil(old.mnt_ns)) ns.empty_mnt = old.empty_mnt;
  else ns.mnt_ns = copy_ns((flags & CLONE_NEWNS) != 0, old.mnt_ns, CLONE_NEWNS, user);
  if (nil(ns.mnt_ns) && !ns.empty_mnt) error = -ENOMEM;
  if (!error) {
    ns.uts_ns = copy_ns((flags & CLONE_NEWUTS) != 0, old.uts_ns, CLONE_NEWUTS, user);
    if (nil(ns.uts_ns)) error = -ENOMEM;
  }
  if (!error) {
    ns.ipc_ns = copy_ns((flags & CLONE_NEWIPC) != 0, old.ipc_ns, CLONE_NEWIPC, user);
    if (nil(ns.ipc_ns)) error = -ENOMEM;
  }
  if (!error) {
    const pid_ns = copy_pid_ns((flags & CLONE_NEWPID) != 0, old, active, user);
    if (IS_ERR(pid_ns)) error = PTR_ERR(pid_ns);
    else ns.pid_ns_for_children = pid_ns;
  }
  if (!error) {
    ns.cgroup_ns = copy_ns((flags & CLONE_NEWCGROUP) != 0, old.cgroup_ns, CLONE_NEWCGROUP, user);
    if (nil(ns.cgroup_ns)) error = -ENOMEM;
  }
  if (!error) {
    ns.net_ns = copy_ns((flags & CLONE_NEWNET) != 0, old.net_ns, CLONE_NEWNET, user);
    if (nil(ns.net_ns)) error = -ENOMEM;
  }
  if (!error) {
    const time = copy_ns(
      (flags & CLONE_NEWTIME) != 0,
      old.time_ns_for_children,
      CLONE_NEWTIME,
      user,
    );
    if (nil(time)) error = -ENOMEM;
    ns.time_ns_for_children = time;
    ns.time_ns = get_ns(old.time_ns);
  }
  if (error) {
    free_nsproxy(ns);
    return ERR_PTR<nsproxy>(error);
  }
  return ns;
}
