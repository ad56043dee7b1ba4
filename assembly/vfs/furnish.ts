// Who may furnish a container from outside, and until when: before its first process, whoever made
// it or is lord of it, and has the right to mount where it is going to live.
import { container, container_dead } from "../container/container.ts";
import { container_permission } from "../container/sys-container.ts";
import { cred_ns_capable } from "../cred/cred.ts";
import { ERR_PTR, IS_ERR, nil } from "../lib/err.ts";
import { container_of_fd } from "../fs/file.ts";
import { mnt_namespace } from "./mount.ts";
import { task_struct } from "../process/task.ts";
import { CAP_SYS_ADMIN } from "../uapi/capability.ts";
import { CONTAINER_FLAG_INIT_STARTED } from "../uapi/container.ts";
import { EBUSY, ECANCELED, EPERM } from "../uapi/errno.ts";
import { user_namespace } from "../namespace/user-namespace.ts";

/** The mounts that who is in the container sees; null: it has none yet. */
export function ns_of_container(c: container): mnt_namespace {
  return changetype<mnt_namespace>(changetype<usize>(c.ns.mnt_ns));
}

/** Whose capabilities count there: those of the owner of its mounts, or of who will own them. */
function owner_of(c: container): user_namespace {
  const ns = ns_of_container(c);
  return nil(ns) ? c.cred.user_ns : changetype<user_namespace>(<usize>ns.user_ns);
}

/**
 * May the caller, who needs `cap` over `ns`, change what the container stands in? The patch says
 * that nobody may once it has begun, and does nothing about it.
 * Return: 0, -EPERM, -EBUSY, -ECANCELED.
 */
export function may_furnish(p: task_struct, c: container, ns: user_namespace, cap: i32): i32 {
  const bad = container_permission(p, c);
  if (bad) return bad;
  // who holds the descriptor says nothing of the namespace, which others may share
  if (!cred_ns_capable(p.cred, ns, cap)) return -EPERM;
  if (c.flags & CONTAINER_FLAG_INIT_STARTED) return -EBUSY;
  return container_dead(c) ? -ECANCELED : 0;
}

/** The container of a descriptor, if the caller may mount there. ERR_PTR. */
export function furnishable(p: task_struct, fd: i32): container {
  const c = container_of_fd(p, fd);
  if (IS_ERR(c)) return c;
  const bad = may_furnish(p, c, owner_of(c), CAP_SYS_ADMIN);
  return bad ? ERR_PTR<container>(bad) : c;
}
