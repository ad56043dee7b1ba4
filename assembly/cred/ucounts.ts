// What is counted by user: namespaces (user/max_*_namespaces), tasks (RLIMIT_NPROC), queued signals
// (RLIMIT_SIGPENDING), POSIX message queues (RLIMIT_MSGQUEUE). Each is counted for its user in the
// user namespace, and for that namespace's own maker in every one above it.
import { ERR_PTR, NULL, nil, same } from "../lib/err.ts";
import { get_ns, put_ns } from "../namespace/namespace.ts";
import { refcount_dec_and_test, refcount_inc } from "../lib/refcount.ts";
import { root } from "../lib/root.ts";
import { CACHE_UCOUNTS, kmem_cache_free, kmem_cache_init, kmem_cache_zalloc } from "../lib/slab.ts";
import { user_namespace } from "../namespace/user-namespace.ts";
import { ENOMEM, ENOSPC } from "../uapi/errno.ts";

/** struct ucounts - what user `uid` has in user namespace `ns`. */
@unmanaged
export class ucounts {
  count: i32; // refcount_t: creds, namespaces and queued signals that are counted here
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
  processes: u32; // tasks
  sigpending: u32; // queued signals, timers of timer_create(2)
  msgqueue: u64; // bytes of POSIX message queues
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
export function alloc_ucounts(ns: user_namespace, uid: i32): ucounts {
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

export function put_ucounts(u: ucounts): void {
  if (nil(u) || !refcount_dec_and_test(changetype<usize>(u))) return;
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
  const first = alloc_ucounts(ns, uid);
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

/** One more task for the user. */
export function inc_nproc(u: ucounts): void {
  for (let at = u; !nil(at); at = above(at)) at.processes += 1;
}

export function dec_nproc(u: ucounts): void {
  for (let at = u; !nil(at); at = above(at)) at.processes -= 1;
}

/** Would `more` tasks be more than `limit` allows, or than a namespace on the way up does? */
export function nproc_over(u: ucounts, limit: u64, more: u32): bool {
  let most = limit;
  for (let at = u; !nil(at); at = above(at)) {
    if (<u64>(at.processes + more) > most) return true;
    most = limit_of(at.ns.nproc_max);
  }
  return false;
}

/** A namespace's limit: all ones is none. */
function limit_of(max: u32): u64 {
  return max == u32.MAX_VALUE ? u64.MAX_VALUE : <u64>max;
}

/** What a namespace's tasks may have together, as its maker might alone. `limit`: all ones: any. */
export function clamp_limit(limit: u64): u32 {
  return limit >= <u64>u32.MAX_VALUE ? u32.MAX_VALUE : <u32>limit;
}

function undo_sigpending(from: ucounts, to: ucounts): void {
  for (let at = from; !same(at, to); at = above(at)) at.sigpending -= 1;
}

/**
 * One more queued signal for the user, who keeps the record and its namespace alive meanwhile.
 * `always`: no limit holds. Return: false when there are too many.
 */
export function inc_sigpending(u: ucounts, limit: u64, always: bool): bool {
  let most = always ? u64.MAX_VALUE : limit;
  for (let at = u; !nil(at); at = above(at)) {
    if (<u64>at.sigpending >= most) {
      undo_sigpending(u, at);
      return false;
    }
    at.sigpending += 1;
    if (!always) most = limit_of(at.ns.sigpending_max);
  }
  refcount_inc(changetype<usize>(u));
  get_ns(u.ns);
  return true;
}

/** A queued signal is taken, or dropped. */
export function dec_sigpending(u: ucounts): void {
  const ns = u.ns;
  undo_sigpending(u, NULL<ucounts>());
  put_ucounts(u);
  put_ns(ns);
}

function undo_msgqueue(from: ucounts, to: ucounts, bytes: u64): void {
  for (let at = from; !same(at, to); at = above(at)) at.msgqueue -= bytes;
}

/** The same of the bytes of a message queue. */
export function inc_msgqueue(u: ucounts, bytes: u64, limit: u64): bool {
  let most = limit;
  for (let at = u; !nil(at); at = above(at)) {
    if (at.msgqueue + bytes > most) {
      undo_msgqueue(u, at, bytes);
      return false;
    }
    at.msgqueue += bytes;
    most = limit_of(at.ns.msgqueue_max);
  }
  refcount_inc(changetype<usize>(u));
  get_ns(u.ns);
  return true;
}

export function dec_msgqueue(u: ucounts, bytes: u64): void {
  const ns = u.ns;
  undo_msgqueue(u, NULL<ucounts>(), bytes);
  put_ucounts(u);
  put_ns(ns);
}
