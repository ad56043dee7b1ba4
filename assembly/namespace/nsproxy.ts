// struct nsproxy - the namespaces of a task, all but user and its own pid namespace. Shared by
// reference; a change makes a new one.
import { cred_ns_capable } from "../cred/cred.ts";
import { ERR_PTR, IS_ERR, NULL, nil, PTR_ERR, same } from "../lib/err.ts";
import { kernel_clone_args } from "../process/fork.ts";
import { create_ns, get_ns, ns_common, put_ns } from "./namespace.ts";
import {
  create_pid_namespace,
  pid_namespace,
  put_pid_ns,
  task_active_pid_ns,
} from "../process/pid.ts";
import { refcount_dec_and_test, refcount_inc } from "../lib/refcount.ts";
import { CACHE_NSPROXY, kmem_cache_free, kmem_cache_init, kmem_cache_zalloc } from "../lib/slab.ts";
import { CAP_SYS_ADMIN } from "../uapi/capability.ts";
import { EINVAL, ENOMEM, EPERM } from "../uapi/errno.ts";
import {
  CLONE_NEWCGROUP,
  CLONE_NEWIPC,
  CLONE_NEWNET,
  CLONE_NEWNS,
  CLONE_NEWPID,
  CLONE_NEWTIME,
  CLONE_NEWUTS,
  CLONE_SYSVSEM,
  CLONE_VM,
} from "../uapi/sched.ts";
import { cold, task_struct } from "../process/task.ts";
import { in_userns, user_namespace } from "./user-namespace.ts";
import { create_uts_ns } from "./uts.ts";
import { fs_for_write } from "../fs/fs.ts";
import { copy_mnt_ns, fs_follow_ns } from "../vfs/mnt-namespace.ts";

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

const FIRST_NS: usize = offsetof<nsproxy>("mnt_ns");
const LAST_NS: usize = offsetof<nsproxy>("time_ns_for_children");

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

/** The old namespace, or a new one when its flag is set. ERR_PTR of ENOSPC, ENOMEM. */
function copy_ns(flags: u32, type: i32, old: ns_common, user: user_namespace, uid: i32): ns_common {
  if (!(flags & type)) return get_ns(old);
  if (type == CLONE_NEWUTS) return create_uts_ns(user, uid, old);
  if (type == CLONE_NEWNS) return copy_mnt_ns(old, user, uid);
  return create_ns(type, NULL<ns_common>(), user, uid);
}

/** As for the others, with the two rules that pid namespaces have. ERR_PTR of EINVAL too. */
function copy_pid_ns(
  flags: u32,
  old: nsproxy,
  active: pid_namespace,
  user: user_namespace,
  uid: i32,
): ns_common {
  const for_children = old.pid_ns_for_children;
  if (!(flags & CLONE_NEWPID)) return get_ns(for_children);
  if (!same(active, for_children)) return ERR_PTR<ns_common>(-EINVAL);
  // the new owner must be the old one's owner or below it
  if (!in_userns(changetype<user_namespace>(for_children.user_ns), user)) {
    return ERR_PTR<ns_common>(-EINVAL);
  }
  return create_pid_namespace(for_children, user, uid);
}

/** The errno of a namespace that could not be made, else 0. */
function error_of(ns: ns_common): i32 {
  return IS_ERR(ns) ? PTR_ERR(ns) : 0;
}

/** A failed copy: what it holds already goes, and with it the proxy. */
function drop_partial(ns: nsproxy, error: i32): nsproxy {
  for (let at = FIRST_NS; at <= LAST_NS; at += 4) {
    if (IS_ERR(changetype<ns_common>(load<u32>(changetype<usize>(ns) + at)))) {
      store<u32>(changetype<usize>(ns) + at, 0);
    }
  }
  free_nsproxy(ns);
  return ERR_PTR<nsproxy>(error);
}

/**
 * A copy of `old` with a new namespace for each flag, in the order mnt, uts, ipc, pid, cgroup,
 * net, time; the first failure wins. `active` is the creator's own pid namespace, `uid` the user
 * whom the new ones are counted for, `user` their owner.
 * Return: ERR_PTR of ENOMEM, ENOSPC, EINVAL.
 */
export function create_new_namespaces(
  flags: u32,
  old: nsproxy,
  active: pid_namespace,
  user: user_namespace,
  uid: i32,
): nsproxy {
  const ns = changetype<nsproxy>(kmem_cache_zalloc(CACHE_NSPROXY));
  if (nil(ns)) return ERR_PTR<nsproxy>(-ENOMEM);
  ns.count = 1;
  if (!(flags & CLONE_NEWNS) && nil(old.mnt_ns)) ns.empty_mnt = old.empty_mnt;
  else ns.mnt_ns = copy_ns(flags, CLONE_NEWNS, old.mnt_ns, user, uid);
  let error = error_of(ns.mnt_ns);
  if (error) return drop_partial(ns, error);
  ns.uts_ns = copy_ns(flags, CLONE_NEWUTS, old.uts_ns, user, uid);
  error = error_of(ns.uts_ns);
  if (error) return drop_partial(ns, error);
  ns.ipc_ns = copy_ns(flags, CLONE_NEWIPC, old.ipc_ns, user, uid);
  error = error_of(ns.ipc_ns);
  if (error) return drop_partial(ns, error);
  const pid_ns = copy_pid_ns(flags, old, active, user, uid);
  error = error_of(pid_ns);
  if (error) return drop_partial(ns, error);
  ns.pid_ns_for_children = changetype<pid_namespace>(changetype<usize>(pid_ns));
  ns.cgroup_ns = copy_ns(flags, CLONE_NEWCGROUP, old.cgroup_ns, user, uid);
  error = error_of(ns.cgroup_ns);
  if (error) return drop_partial(ns, error);
  ns.net_ns = copy_ns(flags, CLONE_NEWNET, old.net_ns, user, uid);
  error = error_of(ns.net_ns);
  if (error) return drop_partial(ns, error);
  ns.time_ns_for_children = copy_ns(flags, CLONE_NEWTIME, old.time_ns_for_children, user, uid);
  error = error_of(ns.time_ns_for_children);
  if (error) return drop_partial(ns, error);
  ns.time_ns = get_ns(old.time_ns);
  return ns;
}

/** A new address space begins in the time namespace that was chosen for children: fork, exec. */
export function timens_on_fork(ns: nsproxy): void {
  if (same(ns.time_ns, ns.time_ns_for_children)) return;
  put_ns(ns.time_ns);
  ns.time_ns = get_ns(ns.time_ns_for_children);
}

/** Namespaces of a child: the container's, the parent's, or new ones. 0 or errno. */
export function copy_namespaces(p: task_struct, parent: task_struct, args: kernel_clone_args): i32 {
  if (!nil(args.dest)) {
    cold(p).nsproxy = get_nsproxy(args.dest.ns);
    return 0;
  }
  const flags = (args.flags & CLONE_NS_FLAGS) | args.newtime;
  const old = cold(parent).nsproxy;
  if (!flags) {
    if (args.flags & CLONE_VM || same(old.time_ns, old.time_ns_for_children)) {
      cold(p).nsproxy = get_nsproxy(old);
      return 0;
    }
  } else if (!cred_ns_capable(p.cred, p.cred.user_ns, CAP_SYS_ADMIN)) {
    return -EPERM;
  }
  // whoever makes a new one detaches from its undo list: it cannot be shared
  const ipc_sem = CLONE_NEWIPC | CLONE_SYSVSEM;
  if ((args.flags & ipc_sem) == ipc_sem) return -EINVAL;
  const active = task_active_pid_ns(parent);
  const ns = create_new_namespaces(flags, old, active, p.cred.user_ns, parent.cred.euid);
  if (IS_ERR(ns)) return PTR_ERR(ns);
  if (flags & CLONE_NEWNS && !nil(cold(p).fs.root_mnt)) {
    if (!fs_for_write(p)) {
      put_nsproxy(ns);
      return -ENOMEM;
    }
    fs_follow_ns(cold(p).fs, old.mnt_ns, ns.mnt_ns);
  }
  if (!(args.flags & CLONE_VM)) timens_on_fork(ns);
  cold(p).nsproxy = ns;
  return 0;
}
