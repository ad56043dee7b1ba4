// struct cred - who a task is. Never changed while shared: prepare_creds copies, commit replaces.
import { copy_words } from "../lib/zero.ts";
import { NULL, nil, same } from "../lib/err.ts";
import { get_group_info, group_info, groups_search, put_group_info } from "./groups.ts";
import { get_ns, put_ns } from "../namespace/namespace.ts";
import { copy_keyrings, drop_keyrings } from "../keys/process-keys.ts";
import { refcount_dec_and_test, refcount_inc } from "../lib/refcount.ts";
import { root } from "../lib/root.ts";
import { CACHE_CRED, kmem_cache_alloc, kmem_cache_free, kmem_cache_init } from "../lib/slab.ts";
import { SIGNAL_NOT_DUMPABLE } from "../process/signal-struct.ts";
import { clear_pdeath_signal, task_struct } from "../process/task.ts";
import { alloc_ucounts, dec_nproc, inc_nproc, put_ucounts, ucounts } from "./ucounts.ts";
import { user_namespace } from "../namespace/user-namespace.ts";

/** All capabilities up to CAP_CHECKPOINT_RESTORE. */
export const CAP_FULL_SET: u64 = 0x1ffffffffff;

/** struct cred - 96 bytes. Ids are those of the initial user namespace (kuid_t). */
@unmanaged
export class cred {
  count: i32; // refcount_t: tasks, containers, open proc files
  uid: i32;
  gid: i32;
  suid: i32;
  sgid: i32;
  euid: i32;
  egid: i32;
  fsuid: i32;
  fsgid: i32;
  securebits: u32; // SECBIT_*
  user_ns: user_namespace; // holds a reference
  groups: group_info; // holds a reference; null: none
  cap_inheritable: u64;
  cap_permitted: u64;
  cap_effective: u64;
  cap_bset: u64;
  cap_ambient: u64;
  ucounts: ucounts; // where uid is counted in user_ns; holds a reference
  keyrings: u32; // cred_keyrings of its own, null: none (process-keys.ts)
}

export function cred_caches_init(): void {
  kmem_cache_init(CACHE_CRED, <u32>offsetof<cred>());
}

export function get_cred(c: cred): cred {
  refcount_inc(changetype<usize>(c));
  return c;
}

export function put_cred(c: cred): void {
  if (nil(c) || !refcount_dec_and_test(changetype<usize>(c))) return;
  put_group_info(c.groups);
  put_ucounts(c.ucounts);
  if (c.keyrings) drop_keyrings(c);
  put_ns(c.user_ns);
  kmem_cache_free(CACHE_CRED, changetype<usize>(c));
}

/** A private copy of `old`; null when memory is exhausted. */
export function prepare_creds(old: cred): cred {
  const c = changetype<cred>(kmem_cache_alloc(CACHE_CRED));
  if (nil(c)) return NULL<cred>();
  copy_words(changetype<usize>(c), changetype<usize>(old), <u32>offsetof<cred>());
  c.count = 1;
  get_group_info(c.groups);
  refcount_inc(changetype<usize>(c.ucounts));
  get_ns(c.user_ns);
  if (c.keyrings && !copy_keyrings(c)) {
    put_cred(c);
    return NULL<cred>();
  }
  return c;
}

/** Would a task with `old` that becomes `c` gain a capability? */
function gains_caps(old: cred, c: cred): bool {
  // a namespace below, where one has everything already, is no gain (cred_cap_issubset)
  if (same(old.user_ns, c.user_ns)) return (c.cap_permitted & ~old.cap_permitted) != 0;
  let ns = c.user_ns;
  while (ns.level > old.user_ns.level) {
    const parent = changetype<user_namespace>(ns.parent);
    if (same(parent, old.user_ns) && ns.owner == old.euid) return false;
    ns = parent;
  }
  return true;
}

/** `p` becomes `c` (its reference goes along). */
export function commit_creds(p: task_struct, c: cred): void {
  const old = p.cred;
  const ids =
    old.euid != c.euid || old.egid != c.egid || old.fsuid != c.fsuid || old.fsgid != c.fsgid;
  // whoever becomes another is not to be killed by a parent that outlives its right to (prctl(2))
  if (ids || gains_caps(old, c)) {
    clear_pdeath_signal(p);
    p.signal.flags |= SIGNAL_NOT_DUMPABLE;
  }
  replace_cred(p, c);
}

/** The same without a look at what changes: a task counts for the user that it is. */
export function replace_cred(p: task_struct, c: cred): void {
  const old = p.cred;
  if (!same(old.ucounts, c.ucounts)) {
    inc_nproc(c.ucounts);
    dec_nproc(old.ucounts);
  }
  p.cred = c;
  put_cred(old);
}

/** A cred whose uid or user namespace was changed is counted there; false: no memory. */
export function set_cred_ucounts(c: cred): bool {
  const old = c.ucounts;
  if (old.uid == c.uid && same(old.ns, c.user_ns)) return true;
  const fresh = alloc_ucounts(c.user_ns, c.uid);
  if (nil(fresh)) return false;
  c.ucounts = fresh;
  put_ucounts(old);
  return true;
}

/**
 * Makes `c` the cred that owns everything in user namespace `ns` (takes the reference). False when
 * memory is exhausted: the cred is good for nothing but to be dropped.
 */
export function set_cred_user_ns(c: cred, ns: user_namespace): bool {
  // what is counted in the old one is, while it is there
  const old_ns = c.user_ns;
  c.user_ns = ns;
  const counted = set_cred_ucounts(c);
  put_ns(old_ns);
  c.securebits = 0;
  c.cap_inheritable = 0;
  c.cap_permitted = CAP_FULL_SET;
  c.cap_effective = CAP_FULL_SET;
  c.cap_bset = CAP_FULL_SET;
  c.cap_ambient = 0;
  return counted;
}

/** Is capability `cap` in the set? */
export function cap_raised(set: u64, cap: i32): bool {
  return ((set >> cap) & 1) != 0;
}

/** capable in `ns`: by the effective set, or as the owner of a namespace below one's own. */
function has_ns_capability(c: cred, target: user_namespace, cap: i32): bool {
  let ns = target;
  while (true) {
    if (same(ns, c.user_ns)) return cap_raised(c.cap_effective, cap);
    if (ns.level <= c.user_ns.level) return false;
    if (ns.parent == <u32>changetype<usize>(c.user_ns) && ns.owner == c.euid) return true;
    ns = changetype<user_namespace>(ns.parent);
  }
}

/** The same, also by the capabilities that a supervisor lends to the call under way. */
export function cred_ns_capable(c: cred, target: user_namespace, cap: i32): bool {
  if (has_ns_capability(c, target, cap)) return true;
  const lent = root().override_cred;
  return lent != 0 && has_ns_capability(changetype<cred>(<usize>lent), target, cap);
}

/** Is the cred of group `gid`, as far as files are concerned? */
export function in_group_p(c: cred, gid: i32): bool {
  return c.fsgid == gid || groups_search(c.groups, gid);
}
