// struct user_struct - what is counted per user (kuid), whoever of the user's tasks made it:
// containers and keys. It lives while something of it is counted.
import { nil } from "../lib/err.ts";
import { refcount_dec_and_test, refcount_inc } from "../lib/refcount.ts";
import { root } from "../lib/root.ts";
import {
  CACHE_USER,
  kfree,
  kmem_cache_alloc,
  kmem_cache_free,
  kmem_cache_init,
  kzalloc,
} from "../lib/slab.ts";
import { zero } from "../lib/zero.ts";

/** struct user_struct - 32 bytes. Guarded by containers_lock. */
@unmanaged
export class user_struct {
  count: i32; // refcount_t: containers and keys that are counted here
  uid: i32; // [C] kuid
  next: user_struct; // in its bucket
  nr_containers: i32;
  nr_keys: i32;
  key_bytes: i32;
}

const FIRST_BUCKETS: u32 = 16;

/** Boot: false when memory is exhausted. */
export function users_init(): bool {
  kmem_cache_init(CACHE_USER, <u32>offsetof<user_struct>());
  return grow_buckets();
}

function bucket_of(table: usize, buckets: u32, uid: i32): usize {
  // neighbouring uids go to neighbouring buckets
  return table + ((<usize>((<u32>uid) & (buckets - 1))) << 2);
}

/** The record of `uid`, without a reference; null when nothing of it is counted. */
export function find_user(uid: i32): user_struct {
  const r = root();
  let u = changetype<user_struct>(load<u32>(bucket_of(r.users, r.user_buckets, uid)));
  while (!nil(u) && u.uid != uid) u = u.next;
  return u;
}

/** Twice the buckets; false when memory is exhausted. */
function grow_buckets(): bool {
  const r = root();
  const old = r.user_buckets;
  const buckets = old ? old << 1 : FIRST_BUCKETS;
  const table = kzalloc(buckets << 2);
  if (!table) return false;
  for (let i: u32 = 0; i < old; ++i) {
    let u = changetype<user_struct>(load<u32>(r.users + (i << 2)));
    while (!nil(u)) {
      const next = u.next;
      const to = bucket_of(table, buckets, u.uid);
      u.next = changetype<user_struct>(load<u32>(to));
      store<u32>(to, <u32>changetype<usize>(u));
      u = next;
    }
  }
  kfree(r.users, old << 2);
  r.users = <u32>table;
  r.user_buckets = buckets;
  return true;
}

/** A reference to the record of `uid`; null when memory is exhausted. */
export function alloc_uid(uid: i32): user_struct {
  const r = root();
  let u = find_user(uid);
  if (!nil(u)) {
    refcount_inc(changetype<usize>(u));
    return u;
  }
  if (r.nr_users >= r.user_buckets && !grow_buckets()) return u;
  u = changetype<user_struct>(kmem_cache_alloc(CACHE_USER));
  if (nil(u)) return u;
  zero(changetype<usize>(u), 32);
  u.count = 1;
  u.uid = uid;
  const slot = bucket_of(r.users, r.user_buckets, uid);
  u.next = changetype<user_struct>(load<u32>(slot));
  store<u32>(slot, <u32>changetype<usize>(u));
  r.nr_users += 1;
  return u;
}

export function free_uid(u: user_struct): void {
  if (nil(u) || !refcount_dec_and_test(changetype<usize>(u))) return;
  const r = root();
  const slot = bucket_of(r.users, r.user_buckets, u.uid);
  let at = changetype<user_struct>(load<u32>(slot));
  if (changetype<usize>(at) == changetype<usize>(u)) {
    store<u32>(slot, <u32>changetype<usize>(u.next));
  } else {
    while (changetype<usize>(at.next) != changetype<usize>(u)) at = at.next;
    at.next = u.next;
  }
  r.nr_users -= 1;
  kmem_cache_free(CACHE_USER, changetype<usize>(u));
}
