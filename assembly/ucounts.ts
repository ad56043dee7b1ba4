// Counts of namespaces by user: each is counted for who made it in the owning user namespace, and
// for that namespace's own maker in every one above it (user/max_*_namespaces).
import { ERR_PTR, NULL, nil, same } from "./err.ts";
import { refcount_dec_and_test, refcount_inc } from "./refcount.ts";
import { root } from "./root.ts";
import { CACHE_UCOUNTS, kmem_cache_free, kmem_cache_init, kmem_cache_zalloc } from "./slab.ts";
import { user_namespace } from "./user-namespace.ts";
import { ENOMEM, ENOSPC } from "./uapi/errno.ts";

/** struct ucounts - what user `uid` has in user namespace `ns`. */
@unmanaged
export class ucounts {
  count: i32; // refcount_t: the namespaces that are counted here
  next: u32; // hash chain
  ns: user_namespace; // [C] no reference: whoever is counted here holds one
  uid: i32; // [C] kuid
  nr0: u32; // one counter for each type of namespace, in the order of their flags
  nr1: u32;
  nr2: u32;
  nr3: u32;
  nr4: u32;
  nr5: u32;
  nr6: u32;
  nr7: u32;
}

const HASH_SHIFT: u32 = 6;
export const UCOUNTS_HASH_BYTES: u32 = 4 << HASH_SHIFT;

export function ucounts_caches_init(): void {
  kmem_cache_init(CACHE_UCOUNTS, <u32>offsetof<ucounts>());
}

/** Head of the hash chain of a user. */
function chain_of(ns: user_namespace, uid: i32): usize {
  const key = ((<u32>changetype<usize>(ns)) >> 4) + <u32>uid;
  return root().ucounts_hash + (((key * 0x9e3779b1) >> (32 - HASH_SHIFT)) << 2);
}

/** Address of the counter for a type of namespace (its CLONE_NEW* flag). */
function counter_of(u: ucounts, type: i32): usize {
  // NEWTIME is bit 7, NEWNS 17, NEWCGROUP to NEWNET 25 to 30
  const bit = ctz(type);
  const index: usize = bit == 7 ? 0 : bit == 17 ? 1 : <usize>(bit - 23);
  return changetype<usize>(u) + offsetof<ucounts>("nr0") + (index << 2);
}

/** The record of a user, or null. */
function find_ucounts(ns: user_namespace, uid: i32): ucounts {
  let u = changetype<ucounts>(load<u32>(chain_of(ns, uid)));
  while (!nil(u) && (u.uid != uid || !same(u.ns, ns))) u = changetype<ucounts>(u.next);
  return u;
}

/** The same with a reference, made when it is missing; null when memory is exhausted. */
function get_ucounts(ns: user_namespace, uid: i32): ucounts {
  let u = find_ucounts(ns, uid);
  if (!nil(u)) {
    refcount_inc(changetype<usize>(u));
    return u;
  }
  u = changetype<ucounts>(kmem_cache_zalloc(CACHE_UCOUNTS));
  if (nil(u)) return u;
  u.count = 1;
  u.ns = ns;
  u.uid = uid;
  const chain = chain_of(ns, uid);
  u.next = load<u32>(chain);
  store<u32>(chain, <u32>changetype<usize>(u));
  return u;
}

function put_ucounts(u: ucounts): void {
  if (!refcount_dec_and_test(changetype<usize>(u))) return;
  let link = chain_of(u.ns, u.uid);
  while (load<u32>(link) != <u32>changetype<usize>(u)) {
    link = <usize>load<u32>(link) + offsetof<ucounts>("next");
  }
  store<u32>(link, u.next);
  kmem_cache_free(CACHE_UCOUNTS, changetype<usize>(u));
}

/** The record that `u`'s namespace is itself counted in; null at the top. */
function above(u: ucounts): ucounts {
  return changetype<ucounts>(u.ns.ucounts);
}

/** Only the initial namespace has a limit of its own: further down it is 2^31-1. */
function max_of(u: ucounts): u32 {
  return nil(above(u)) ? <u32>root().namespaces_max : <u32>i32.MAX_VALUE;
}

/** May user `uid` of `ns` have one more namespace of a type? */
export function ucount_below_max(ns: user_namespace, uid: i32, type: i32): bool {
  let u = find_ucounts(ns, uid);
  if (nil(u)) u = changetype<ucounts>(ns.ucounts);
  for (; !nil(u); u = above(u)) if (load<u32>(counter_of(u, type)) >= max_of(u)) return false;
  return root().namespaces_max > 0;
}

function uncount(from: ucounts, to: ucounts, type: i32): void {
  for (let u = from; !same(u, to); u = above(u)) {
    const at = counter_of(u, type);
    store<u32>(at, load<u32>(at) - 1);
  }
}

/**
 * One more namespace of a type for user `uid` of `ns`. Return: the record, which the namespace
 * keeps; ERR_PTR of ENOSPC (too many), ENOMEM.
 */
export function inc_ucount(ns: user_namespace, uid: i32, type: i32): ucounts {
  const first = get_ucounts(ns, uid);
  if (nil(first)) return ERR_PTR<ucounts>(-ENOMEM);
  for (let u = first; !nil(u); u = above(u)) {
    const at = counter_of(u, type);
    if (load<u32>(at) >= max_of(u)) {
      uncount(first, u, type);
      put_ucounts(first);
      return ERR_PTR<ucounts>(-ENOSPC);
    }
    store<u32>(at, load<u32>(at) + 1);
  }
  return first;
}

/** A namespace is gone. */
export function dec_ucount(u: ucounts, type: i32): void {
  if (nil(u)) return;
  uncount(u, NULL<ucounts>(), type);
  put_ucounts(u);
}
