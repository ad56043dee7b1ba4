// struct cred - who a task is. Never changed while shared: prepare_creds copies, commit replaces.
import { NULL, nil, same } from "./err.ts";
import { get_ns, ns_common, put_ns } from "./namespace.ts";
import { refcount_dec_and_test, refcount_inc } from "./refcount.ts";
import { root } from "./root.ts";
import { CACHE_CRED, kmem_cache_alloc, kmem_cache_free, kmem_cache_init } from "./slab.ts";
import { OVERFLOW_GID, OVERFLOW_UID } from "./uapi/limits.ts";

/** All capabilities up to CAP_CHECKPOINT_RESTORE. */
export const CAP_FULL_SET: u64 = 0x1ffffffffff;

/** struct cred - 96 bytes. Ids are those of the initial user namespace (kuid_t). */
@unmanaged
export class cred {
  count: i32; // refcount_t: tasks, containers
  uid: i32;
  gid: i32;
  suid: i32;
  sgid: i32;
  euid: i32;
  egid: i32;
  fsuid: i32;
  fsgid: i32;
  securebits: u32;
  user_ns: ns_common; // holds a reference
  keep_caps: u32;
  cap_inheritable: u64;
  cap_permitted: u64;
  cap_effective: u64;
  cap_bset: u64;
  cap_ambient: u64;
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
  put_ns(c.user_ns);
  kmem_cache_free(CACHE_CRED, changetype<usize>(c));
}

/** A private copy of `old`; null when memory is exhausted. */
export function prepare_creds(old: cred): cred {
  const c = changetype<cred>(kmem_cache_alloc(CACHE_CRED));
  if (nil(c)) return NULL<cred>();
  memory.copy(changetype<usize>(c), changetype<usize>(old), offsetof<cred>());
  c.count = 1;
  get_ns(c.user_ns);
  return c;
}

/** Makes `c` the cred that owns everything in the fresh user namespace `ns` (takes the ref). */
export function set_cred_user_ns(c: cred, ns: ns_common): void {
  put_ns(c.user_ns);
  c.user_ns = ns;
  c.securebits = 0;
  c.cap_inheritable = 0;
  c.cap_permitted = CAP_FULL_SET;
  c.cap_effective = CAP_FULL_SET;
  c.cap_bset = CAP_FULL_SET;
  c.cap_ambient = 0;
}

/** capable in `ns`: by the effective set, or as the owner of a namespace below one's own. */
function has_ns_capability(c: cred, target: ns_common, cap: i32): bool {
  let ns = target;
  while (true) {
    if (same(ns, c.user_ns)) return ((c.cap_effective >> cap) & 1) != 0;
    if (ns.level <= c.user_ns.level) return false;
    if (ns.parent == <u32>changetype<usize>(c.user_ns) && ns.owner_uid == c.euid) return true;
    ns = changetype<ns_common>(ns.parent);
  }
}

/** The same, also by the capabilities that a supervisor lends to the call under way. */
export function cred_ns_capable(c: cred, target: ns_common, cap: i32): bool {
  if (has_ns_capability(c, target, cap)) return true;
  const lent = root().override_cred;
  return lent != 0 && has_ns_capability(changetype<cred>(<usize>lent), target, cap);
}

/** Id `kuid` as `ns` shows it, -1 when unmapped. Only the initial namespace maps (identity). */
export function from_kuid(ns: ns_common, kuid: i32): i32 {
  return <u32>changetype<usize>(ns) == root().init_user_ns ? kuid : -1;
}

export function from_kuid_munged(ns: ns_common, kuid: i32): i32 {
  const uid = from_kuid(ns, kuid);
  return uid == -1 ? OVERFLOW_UID : uid;
}

export function from_kgid_munged(ns: ns_common, kgid: i32): i32 {
  const gid = from_kuid(ns, kgid);
  return gid == -1 ? OVERFLOW_GID : gid;
}
