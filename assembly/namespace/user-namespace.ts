// User namespaces: creation and its checks, ids as they show them.
import { cap_raised, cred, set_cred_user_ns } from "../cred/cred.ts";
import { IS_ERR, nil, PTR_ERR } from "../lib/err.ts";
import { fs_struct } from "../fs/fs.ts";
import { create_ns, ns_common } from "./namespace.ts";
import { root } from "../lib/root.ts";
import { rlimit, signal_struct } from "../process/signal-struct.ts";
import { clamp_limit, ucount_below_max } from "../cred/ucounts.ts";
import { free_map, INVALID_ID, map_id_down, map_id_up, uid_gid_map } from "./uid-map.ts";
import { CAP_SETFCAP } from "../uapi/capability.ts";
import { ENOMEM, EPERM, ENOSPC } from "../uapi/errno.ts";
import { OVERFLOW_GID, OVERFLOW_UID } from "../uapi/limits.ts";
import { RLIMIT_MSGQUEUE, RLIMIT_NPROC, RLIMIT_SIGPENDING } from "../uapi/resource.ts";
import { CLONE_NEWUSER } from "../uapi/sched.ts";

/** A namespace may be made in one of at most this level (user_namespaces(7)). */
const MAX_USER_NS_LEVEL = 32;

// user_namespace.flags
/** setgroups(2) may be called once the groups are mapped. */
export const USERNS_SETGROUPS_ALLOWED: u32 = 1;
/** Its maker had CAP_SETFCAP: it may map the parent's root. */
export const USERNS_PARENT_COULD_SETFCAP: u32 = 2;

/** struct user_namespace - begins with the head that every namespace has. */
@unmanaged
export class user_namespace extends ns_common {
  owner: i32; // [C] kuid and kgid of the creator
  group: i32;
  flags: u32; // USERNS_*
  nr_uids: u32; // uid_gid_map: pairs of count and address
  uids: u32;
  nr_gids: u32;
  gids: u32;
  nr_projids: u32;
  projids: u32;
  nproc_max: u32; // [C] limits of all its tasks together; all ones: none
  sigpending_max: u32;
  msgqueue_max: u32;

  get uid_map(): uid_gid_map {
    return map_at(this, offsetof<user_namespace>("nr_uids"));
  }
  get gid_map(): uid_gid_map {
    return map_at(this, offsetof<user_namespace>("nr_gids"));
  }
  get projid_map(): uid_gid_map {
    return map_at(this, offsetof<user_namespace>("nr_projids"));
  }
}

function map_at(ns: user_namespace, offset: usize): uid_gid_map {
  return changetype<uid_gid_map>(changetype<usize>(ns) + offset);
}

export function init_user_ns(): user_namespace {
  return changetype<user_namespace>(<usize>root().init_user_ns);
}

/** The initial namespace shows every id as it is. */
function is_init_user_ns(ns: user_namespace): bool {
  return <u32>changetype<usize>(ns) == root().init_user_ns;
}

/**
 * A user namespace below that of `c`, owned by its euid and egid.
 * Return: ERR_PTR of ENOSPC (too deep, too many), EPERM (chrooted, or ids without a mapping),
 * ENOMEM.
 */
function create_user_ns(c: cred, fs: fs_struct, s: signal_struct): user_namespace {
  const parent = c.user_ns;
  const error = may_create_user_ns(c, fs);
  if (error) return changetype<user_namespace>(<usize>error);
  const made = create_ns(CLONE_NEWUSER, parent, changetype<user_namespace>(0), c.euid);
  if (IS_ERR(made)) return changetype<user_namespace>(changetype<usize>(made));
  const ns = changetype<user_namespace>(changetype<usize>(made));
  ns.level = parent.level + 1;
  ns.owner = c.euid;
  ns.group = c.egid;
  set_userns_limits(ns, c, s);
  ns.flags = parent.flags & USERNS_SETGROUPS_ALLOWED;
  if (cap_raised(c.cap_effective, CAP_SETFCAP)) ns.flags |= USERNS_PARENT_COULD_SETFCAP;
  return ns;
}

/**
 * `c`, which nobody else has yet, gets a user namespace below its own. Return: 0, or the errno of
 * create_user_ns(): then `c` is good for nothing but to be dropped.
 */
export function enter_new_user_ns(c: cred, fs: fs_struct, s: signal_struct): i32 {
  const ns = create_user_ns(c, fs, s);
  if (IS_ERR(ns)) return PTR_ERR(ns);
  return set_cred_user_ns(c, ns) ? 0 : -ENOMEM;
}

/** Whoever makes a namespace can have no more in it than without it. */
export function set_userns_limits(ns: user_namespace, c: cred, s: signal_struct): void {
  const maker = changetype<user_namespace>(ns.parent);
  const root_user = c.uid == 0 && is_init_user_ns(maker);
  ns.nproc_max = root_user ? u32.MAX_VALUE : clamp_limit(rlimit(s, RLIMIT_NPROC));
  ns.sigpending_max = clamp_limit(rlimit(s, RLIMIT_SIGPENDING));
  ns.msgqueue_max = clamp_limit(rlimit(s, RLIMIT_MSGQUEUE));
}

/** The checks, in Linux's order. Return: 0, -ENOSPC, -EPERM. */
function may_create_user_ns(c: cred, fs: fs_struct): i32 {
  const ns = c.user_ns;
  if (ns.level > MAX_USER_NS_LEVEL) return -ENOSPC;
  if (!ucount_below_max(ns, c.euid, CLONE_NEWUSER)) return -ENOSPC;
  if (!nil(fs) && fs.chrooted) return -EPERM;
  if (from_kuid(ns, c.euid) == INVALID_ID || from_kgid(ns, c.egid) == INVALID_ID) return -EPERM;
  return 0;
}

/** Frees what a namespace that is going away maps. */
export function free_id_maps(ns: user_namespace): void {
  free_map(ns.uid_map);
  free_map(ns.gid_map);
  free_map(ns.projid_map);
}

/** Id `kuid` as `ns` shows it, -1 when it is not mapped. */
export function from_kuid(ns: user_namespace, kuid: i32): i32 {
  return is_init_user_ns(ns) ? kuid : map_id_up(ns.uid_map, kuid);
}
export function from_kgid(ns: user_namespace, kgid: i32): i32 {
  return is_init_user_ns(ns) ? kgid : map_id_up(ns.gid_map, kgid);
}

/** The same with the overflow id for what is not mapped. */
export function from_kuid_munged(ns: user_namespace, kuid: i32): i32 {
  const uid = from_kuid(ns, kuid);
  return uid == INVALID_ID ? OVERFLOW_UID : uid;
}
export function from_kgid_munged(ns: user_namespace, kgid: i32): i32 {
  const gid = from_kgid(ns, kgid);
  return gid == INVALID_ID ? OVERFLOW_GID : gid;
}

/** The kernel's id for id `uid` of `ns`, -1 when it has none. */
export function make_kuid(ns: user_namespace, uid: i32): i32 {
  return is_init_user_ns(ns) ? uid : map_id_down(ns.uid_map, uid);
}
export function make_kgid(ns: user_namespace, gid: i32): i32 {
  return is_init_user_ns(ns) ? gid : map_id_down(ns.gid_map, gid);
}

/** May groups be set in `ns` at all? */
export function userns_may_setgroups(ns: user_namespace): bool {
  if (is_init_user_ns(ns)) return true;
  return ns.nr_gids != 0 && (ns.flags & USERNS_SETGROUPS_ALLOWED) != 0;
}

/** Is `ns` the namespace `ancestor` or below it? */
export function in_userns(ancestor: user_namespace, ns: user_namespace): bool {
  let at = ns;
  while (at.level > ancestor.level) at = changetype<user_namespace>(at.parent);
  return changetype<usize>(at) == changetype<usize>(ancestor);
}
