// Containers made of namespaces, for traces of tools that know no container objects: with
// AUDIT_CTL_CONTAINER_OF, each new namespace of the wanted kinds makes a container, which is where
// its first process is born or goes. Such a container has no init: it lasts as long as it has
// members.
import { audit } from "./audit.ts";
import * as R from "./audit-record.ts";
import * as K from "../container/container.ts";
import { container } from "../container/container.ts";
import { publish } from "../container/containerfs.ts";
import { cred, get_cred } from "../cred/cred.ts";
import { ERR_PTR, IS_ERR, NULL, nil, same } from "../lib/err.ts";
import { kernel_clone_args } from "../process/fork.ts";
import { list_head } from "../lib/list.ts";
import { ns_common } from "../namespace/namespace.ts";
import { get_nsproxy, nsproxy } from "../namespace/nsproxy.ts";
import { pid_namespace, task_active_pid_ns } from "../process/pid.ts";
import { root } from "../lib/root.ts";
import { CACHE_CONTAINER, kmem_cache_zalloc } from "../lib/slab.ts";
import { cold, from_thread_node, task_struct } from "../process/task.ts";
import { CONTAINER_FLAG_INIT_STARTED } from "../uapi/container.ts";
import { ENOMEM } from "../uapi/errno.ts";
import * as C from "../uapi/sched.ts";
import { alloc_uid } from "../cred/user.ts";

const ALL: u32 =
  C.CLONE_NEWNS |
  C.CLONE_NEWUTS |
  C.CLONE_NEWIPC |
  C.CLONE_NEWPID |
  C.CLONE_NEWNET |
  C.CLONE_NEWCGROUP |
  C.CLONE_NEWUSER;

// names begin with the kind: `pid:4026532224`
const NAME_PID: u64 = 0x3a646970;
const NAME_USER: u64 = 0x3a72657375;
const NAME_MNT: u64 = 0x3a746e6d;
const NAME_UTS: u64 = 0x3a737475;
const NAME_IPC: u64 = 0x3a637069;
const NAME_NET: u64 = 0x3a74656e;
const NAME_CGROUP: u64 = 0x3a70756f726763;

/** Kind and inode number as a container's name. */
function name_it(c: container, kind: u64, len: u32, inum: u32): void {
  c.name0 = kind;
  const to = changetype<usize>(c) + offsetof<container>("name0") + len;
  let digits: u32 = 1;
  for (let rest = inum / 10; rest; rest /= 10) digits += 1;
  for (let i = digits; i > 0; --i) {
    store<u8>(to + i - 1, <u8>(48 + (inum % 10)));
    inum /= 10;
  }
}

/** Name after the most telling of the new namespaces. */
function name_by_flags(c: container, flags: u32, ns: nsproxy, cr: cred): void {
  if (flags & C.CLONE_NEWPID) name_it(c, NAME_PID, 4, ns.pid_ns_for_children.inum);
  else if (flags & C.CLONE_NEWUSER) name_it(c, NAME_USER, 5, cr.user_ns.inum);
  else if (flags & C.CLONE_NEWNS) name_it(c, NAME_MNT, 4, ns.mnt_ns.inum);
  else if (flags & C.CLONE_NEWNET) name_it(c, NAME_NET, 4, ns.net_ns.inum);
  else if (flags & C.CLONE_NEWUTS) name_it(c, NAME_UTS, 4, ns.uts_ns.inum);
  else if (flags & C.CLONE_NEWIPC) name_it(c, NAME_IPC, 4, ns.ipc_ns.inum);
  else name_it(c, NAME_CGROUP, 7, ns.cgroup_ns.inum);
}

/** A container for these namespaces, not published, with room for a member. ERR_PTR. */
function alloc_ns_container(flags: u32, ns: nsproxy, cr: cred, parent: container): container {
  const c = changetype<container>(kmem_cache_zalloc(CACHE_CONTAINER));
  if (nil(c)) return ERR_PTR<container>(-ENOMEM);
  list_head.init(c.children);
  list_head.init(c.waitq);
  c.user = alloc_uid(cr.euid);
  c.cred = get_cred(cr);
  c.ns = get_nsproxy(ns);
  if (nil(c.user) || !K.reserve_member(c)) return K.free_container(c, -ENOMEM);
  c.usage = 1;
  c.flags = CONTAINER_FLAG_INIT_STARTED;
  c.depth = parent.depth + 1;
  c.opener_euid = cr.euid;
  name_by_flags(c, flags, ns, cr);
  return c;
}

/** The outermost container that pid namespace `ns` is of, or null. */
function container_of_pid_ns(ns: pid_namespace): container {
  const top = changetype<container>(<usize>root().init_container);
  let c = K.next_in_tree(top, top);
  while (!nil(c) && !same(c.ns.pid_ns_for_children, ns)) c = K.next_in_tree(c, top);
  return c;
}

/** Where a child is born, see audit_home(); not published when it was made here. */
function home_of_child(
  p: task_struct,
  parent: task_struct,
  flags: u32,
  dest: container,
): container {
  const mask = audit().container_of;
  if (!mask) return dest;
  const ns = cold(p).nsproxy;
  if (flags & ALL & mask) return alloc_ns_container(flags & mask, ns, p.cred, dest);
  if (!(mask & C.CLONE_NEWPID)) return dest;
  const children = ns.pid_ns_for_children;
  if (same(children, task_active_pid_ns(parent))) return dest;
  // unshare or setns of the parent: the namespace is there already
  const c = container_of_pid_ns(children);
  if (nil(c)) return alloc_ns_container(C.CLONE_NEWPID, ns, p.cred, dest);
  return K.reserve_member(c) ? c : ERR_PTR<container>(-ENOMEM);
}

/**
 * The container that a child joins. `dest`: its parent's, or the one it enters. Return: that, or a
 * container of its namespaces, which args.made names as long as it is not published; ERR_PTR.
 */
export function audit_home(
  p: task_struct,
  parent: task_struct,
  args: kernel_clone_args,
  dest: container,
): container {
  if (args.flags & C.CLONE_THREAD) return dest;
  const home = home_of_child(p, parent, args.flags, dest);
  if (!IS_ERR(home) && is_unpublished(home)) args.made = home;
  return home;
}

function is_unpublished(c: container): bool {
  return c.id == 0;
}

/** It is certain that `c` is needed: it takes its place in the tree. */
function publish_home(p: task_struct, c: container, parent: container): void {
  publish(c, parent);
  R.audit_container_create(p, c, 0);
}

/** `p` is about to join `home`. `dest`: the container that its parent asked for, or null. */
export function audit_birth(
  p: task_struct,
  parent: task_struct,
  home: container,
  dest: container,
): void {
  if (!is_unpublished(home)) return;
  publish_home(p, home, nil(dest) ? R.container_of_task(parent) : dest);
}

/** `p` has joined `home`, which it `starts`, or which was `made` for it. */
export function audit_born(
  p: task_struct,
  parent: task_struct,
  home: container,
  starts: bool,
  made: bool,
): void {
  const from = R.container_of_task(parent);
  if (!same(home, from)) R.audit_container_enter(p, home, from, starts);
  // what the container was made with; its member holds it now
  if (made) K.put_container(home);
}

/** The outermost container of the namespaces that were joined: of `to` and `cr`, by `flags`. */
function container_of_joined(flags: u32, to: nsproxy, cr: cred): container {
  const top = changetype<container>(<usize>root().init_container);
  const init = changetype<nsproxy>(<usize>root().init_nsproxy);
  for (let c = K.next_in_tree(top, top); !nil(c); c = K.next_in_tree(c, top)) {
    const ns = c.ns;
    if (flags & C.CLONE_NEWUSER && same(c.cred.user_ns, cr.user_ns)) return c;
    if (flags & C.CLONE_NEWNS && is_own(ns.mnt_ns, init.mnt_ns, to.mnt_ns)) return c;
    if (flags & C.CLONE_NEWNET && is_own(ns.net_ns, init.net_ns, to.net_ns)) return c;
    if (flags & C.CLONE_NEWUTS && is_own(ns.uts_ns, init.uts_ns, to.uts_ns)) return c;
    if (flags & C.CLONE_NEWIPC && is_own(ns.ipc_ns, init.ipc_ns, to.ipc_ns)) return c;
    if (flags & C.CLONE_NEWCGROUP && is_own(ns.cgroup_ns, init.cgroup_ns, to.cgroup_ns)) return c;
  }
  return top;
}

/** Is `ns` the namespace `to`, and not the host's? */
function is_own(ns: ns_common, init: ns_common, to: ns_common): bool {
  return same(ns, to) && !same(ns, init);
}

/**
 * The caller of unshare or, with `joins`, of setns goes to the namespaces `to` and `cr`. Return:
 * the container that it goes to, null when it stays where it is; ERR_PTR.
 */
export function prepare_move(
  p: task_struct,
  flags: u32,
  to: nsproxy,
  cr: cred,
  joins: bool,
): container {
  const a = audit();
  const mask = nil(a) ? 0 : a.container_of;
  const from = R.container_of_task(p);
  // a pid namespace is for children; init stays with its container
  if (!(flags & mask & ALL & ~(<u32>C.CLONE_NEWPID)) || nil(from)) return NULL<container>();
  if (!nil(from.init) && same(from.init, p.signal)) return NULL<container>();
  if (!joins) return alloc_ns_container(flags & mask & ALL, to, cr, from);
  const c = container_of_joined(flags & mask, to, cr);
  if (same(c, from)) return NULL<container>();
  return K.reserve_member(c) ? c : ERR_PTR<container>(-ENOMEM);
}

/** `p`, its threads with it, leaves its container for `c`. */
function move_to(p: task_struct, c: container, from: container): void {
  const leader = p.signal.leader;
  K.get_container(from);
  K.container_leave(leader);
  K.container_join(c, leader);
  const head = p.signal.threads;
  for (let at = head.next; at !== head; at = at.next) from_thread_node(at).container = c;
  R.audit_container_enter(p, c, from, false);
  K.put_container(from);
}

/**
 * unshare and setns, when nothing can fail any more: `p` is about to have the namespaces `to` and
 * `cr`. `home`: as prepare_move() says.
 */
export function audit_move(p: task_struct, home: container, to: nsproxy, cr: cred): void {
  const from = R.container_of_task(p);
  const old_user = changetype<ns_common>(changetype<usize>(p.cred.user_ns));
  const user = changetype<ns_common>(changetype<usize>(cr.user_ns));
  const made = !nil(home) && is_unpublished(home);
  if (made) publish_home(p, home, from);
  R.audit_namespaces(p, from, nil(home) ? from : home, cold(p).nsproxy, to, old_user, user);
  if (nil(home)) return;
  move_to(p, home, from);
  // what the container was made with; its member holds it now
  if (made) K.put_container(home);
}
