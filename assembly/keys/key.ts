// struct key - a named secret, or a keyring of others (security/keys). Found by serial number,
// counted to a user, permitted by four classes of bits. One call at a time touches keys.
import { container } from "../container/container.ts";
import { cred, in_group_p } from "../cred/cred.ts";
import { ERR_PTR, NULL, nil, same } from "../lib/err.ts";
import { refcount_dec_and_test, refcount_inc } from "../lib/refcount.ts";
import { root } from "../lib/root.ts";
import {
  CACHE_KEY,
  kfree,
  kmalloc,
  kmem_cache_free,
  kmem_cache_init,
  kmem_cache_zalloc,
  kzalloc,
} from "../lib/slab.ts";
import { EACCES, EDQUOT, EKEYEXPIRED, EKEYREVOKED, ENOKEY, ENOMEM } from "../uapi/errno.ts";
import * as K from "../uapi/keyctl.ts";
import { alloc_uid, free_uid, user_struct } from "../cred/user.ts";

// type
export const KEY_TYPE_KEYRING: u32 = 1;
export const KEY_TYPE_USER: u32 = 2;
/** As user, but user space never reads it back. */
export const KEY_TYPE_LOGON: u32 = 3;
/** As user, up to a MiB. */
export const KEY_TYPE_BIG: u32 = 4;

// flags
export const KEY_FLAG_REVOKED: u32 = 1;
export const KEY_FLAG_INVALIDATED: u32 = 2;
/** A keyring that takes no more links (KEYCTL_RESTRICT_KEYRING). */
export const KEY_FLAG_RESTRICTED: u32 = 4;
/** One of the keyrings that a user has without asking. */
export const KEY_FLAG_UID_KEYRING: u32 = 8;

/** struct key. Lifetime: keyrings that link it, tasks' creds, containers, calls under way. */
@unmanaged
export class key {
  usage: i32; // refcount_t
  serial: i32; // [C]
  next: key; // in its bucket of the serial table; while being freed: next one to go
  type: u32; // [C] KEY_TYPE_*
  uid: i32; // kuid, kgid
  gid: i32;
  perm: u32; // KEY_*: possessor, user, group, others
  flags: u32; // KEY_FLAG_*
  user: user_struct; // whom it is counted to; holds a reference
  quotalen: i32; // bytes that it counts
  desc: u32; // [C] bytes of the description, no NUL among them
  desc_len: u32; // [C]
  payload: u32; // bytes; of a keyring: key[capacity]
  datalen: u32; // used bytes; of a keyring: links
  capacity: u32; // allocated bytes; of a keyring: room for links
  grants: u32; // key_grant: what containers may besides; null: nothing
  expiry: u64; // ns since 1970, 0: never
  ns: u32; // [C] inode number of the user namespace that its name is known in
}

/** struct key_grant - what the members of one container may do with one key. */
@unmanaged
export class key_grant {
  next: key_grant;
  perm: u32; // KEY_NEED_*
  container: u64; // its id: a grant outlives the container, to nobody's use
}
const GRANT_BYTES: u32 = 16;

const FIRST_BUCKETS: u32 = 16;
/** Where the walk over serial numbers begins. */
const FIRST_SERIAL = 0x1f123bb5;

/** Boot: false when memory is exhausted. */
export function keys_init(): bool {
  kmem_cache_init(CACHE_KEY, <u32>offsetof<key>());
  root().key_serial = FIRST_SERIAL;
  return grow_buckets();
}

function bucket_of(table: usize, buckets: u32, serial: i32): usize {
  return table + ((<usize>((<u32>serial) & (buckets - 1))) << 2);
}

function grow_buckets(): bool {
  const r = root();
  const old = r.key_buckets;
  const buckets = old ? old << 1 : FIRST_BUCKETS;
  const table = kzalloc(buckets << 2);
  if (!table) return false;
  for (let i: u32 = 0; i < old; ++i) {
    let k = changetype<key>(load<u32>(r.keys + (i << 2)));
    while (!nil(k)) {
      const next = k.next;
      const to = bucket_of(table, buckets, k.serial);
      k.next = changetype<key>(load<u32>(to));
      store<u32>(to, <u32>changetype<usize>(k));
      k = next;
    }
  }
  kfree(r.keys, old << 2);
  r.keys = <u32>table;
  r.key_buckets = buckets;
  return true;
}

/** The key of a serial number, without a reference; null when there is none. */
export function key_lookup(serial: i32): key {
  const r = root();
  let k = changetype<key>(load<u32>(bucket_of(r.keys, r.key_buckets, serial)));
  while (!nil(k) && k.serial != serial) k = k.next;
  return k;
}

/** A positive number that no key has. Deterministic: equal input leaves equal memory. */
function new_serial(): i32 {
  const r = root();
  let serial = r.key_serial;
  do {
    // a full-period walk over 31 bits: neighbours are far apart, as random numbers would be
    serial = (serial * 1103515245 + 12345) & 0x7fffffff;
  } while (serial < 3 || !nil(key_lookup(serial)));
  r.key_serial = serial;
  return serial;
}

function quota_keys(uid: i32): i32 {
  return uid ? K.KEY_QUOTA_KEYS : K.KEY_QUOTA_ROOT_KEYS;
}
function quota_bytes(uid: i32): i32 {
  return uid ? K.KEY_QUOTA_BYTES : K.KEY_QUOTA_ROOT_BYTES;
}

/** Counts `bytes` more (or less) to the owner of `k`. Return: 0 or -EDQUOT. */
export function key_payload_reserve(k: key, bytes: i32): i32 {
  const u = k.user;
  if (bytes > 0 && u.key_bytes + bytes > quota_bytes(u.uid)) return -EDQUOT;
  u.key_bytes += bytes;
  k.quotalen += bytes;
  return 0;
}

/** A key with one reference and an empty payload; `desc` is copied. ERR_PTR: EDQUOT, ENOMEM. */
export function key_alloc(type: u32, desc: usize, desc_len: u32, c: cred, perm: u32): key {
  const r = root();
  const uid = c.fsuid;
  if (r.nr_keys >= r.key_buckets && !grow_buckets()) return ERR_PTR<key>(-ENOMEM);
  const u = alloc_uid(uid);
  if (nil(u)) return ERR_PTR<key>(-ENOMEM);
  const quotalen = <i32>desc_len + 1;
  if (u.nr_keys >= quota_keys(uid) || u.key_bytes + quotalen > quota_bytes(uid)) {
    free_uid(u);
    return ERR_PTR<key>(-EDQUOT);
  }
  const k = changetype<key>(kmem_cache_zalloc(CACHE_KEY));
  const copy = kmalloc(desc_len + 1);
  if (nil(k) || !copy) {
    if (!nil(k)) kmem_cache_free(CACHE_KEY, changetype<usize>(k));
    kfree(copy, desc_len + 1);
    free_uid(u);
    return ERR_PTR<key>(-ENOMEM);
  }
  memory.copy(copy, desc, desc_len);
  k.usage = 1;
  k.serial = new_serial();
  k.type = type;
  k.uid = uid;
  k.gid = c.fsgid;
  k.perm = perm;
  k.user = u;
  k.quotalen = quotalen;
  k.desc = <u32>copy;
  k.desc_len = desc_len;
  k.ns = c.user_ns.inum;
  u.nr_keys += 1;
  u.key_bytes += quotalen;
  const slot = bucket_of(r.keys, r.key_buckets, k.serial);
  k.next = changetype<key>(load<u32>(slot));
  store<u32>(slot, <u32>changetype<usize>(k));
  r.nr_keys += 1;
  return k;
}

export function key_get(k: key): key {
  refcount_inc(changetype<usize>(k));
  return k;
}

/** Takes `k` out of the serial table. */
function unhash(k: key): void {
  const r = root();
  const slot = bucket_of(r.keys, r.key_buckets, k.serial);
  const first = changetype<key>(load<u32>(slot));
  if (same(first, k)) {
    store<u32>(slot, <u32>changetype<usize>(k.next));
  } else {
    let at = first;
    while (!same(at.next, k)) at = at.next;
    at.next = k.next;
  }
  r.nr_keys -= 1;
}

/** Drops a reference; keyrings that go drop their links' in a loop, however deep they nest. */
export function key_put(k: key): void {
  if (nil(k) || !refcount_dec_and_test(changetype<usize>(k))) return;
  unhash(k);
  k.next = NULL<key>();
  let last = k;
  while (!nil(k)) {
    if (k.type == KEY_TYPE_KEYRING) {
      for (let i: u32 = 0; i < k.datalen; ++i) {
        const link = changetype<key>(load<u32>(k.payload + (i << 2)));
        if (!refcount_dec_and_test(changetype<usize>(link))) continue;
        unhash(link);
        link.next = NULL<key>();
        last.next = link;
        last = link;
      }
    }
    const next = k.next;
    key_free(k);
    k = next;
  }
}

function key_free(k: key): void {
  const u = k.user;
  u.nr_keys -= 1;
  u.key_bytes -= k.quotalen;
  free_uid(u);
  kfree(k.desc, k.desc_len + 1);
  free_payload(k);
  let grant = changetype<key_grant>(k.grants);
  while (!nil(grant)) {
    const next = grant.next;
    kfree(changetype<usize>(grant), GRANT_BYTES);
    grant = next;
  }
  kmem_cache_free(CACHE_KEY, changetype<usize>(k));
}

export function free_payload(k: key): void {
  kfree(k.payload, k.type == KEY_TYPE_KEYRING ? k.capacity << 2 : k.capacity);
}

/** Gives `c` permissions on `k`, instead of those it had. False: memory is exhausted. */
export function grant_to_container(k: key, c: container, perm: u32): bool {
  let grant = changetype<key_grant>(k.grants);
  while (!nil(grant) && grant.container != c.id) grant = grant.next;
  if (nil(grant)) {
    grant = changetype<key_grant>(kmalloc(GRANT_BYTES));
    if (nil(grant)) return false;
    grant.next = changetype<key_grant>(k.grants);
    grant.container = c.id;
    k.grants = <u32>changetype<usize>(grant);
  }
  grant.perm = perm;
  return true;
}

/** What members of `c` were granted on `k`. */
function granted_perm(k: key, c: container): u32 {
  let grant = changetype<key_grant>(k.grants);
  while (!nil(grant) && grant.container != c.id) grant = grant.next;
  return nil(grant) ? 0 : grant.perm;
}

/** May a task with cred `c`, a member of `box`, use `k` so (KEY_NEED_*)? 0 or -EACCES. */
export function key_permission(k: key, possessed: bool, c: cred, box: container, need: u32): i32 {
  let perm = k.perm;
  if (k.uid == c.fsuid) perm = k.perm >> 16;
  else if (k.gid != -1 && k.perm & 0x3f00 && in_group_p(c, k.gid)) perm = k.perm >> 8;
  if (possessed) perm |= k.perm >> 24;
  if (k.grants) perm |= granted_perm(k, box);
  return (perm & need) == need ? 0 : -EACCES;
}

/** Is the key good for use? 0, -ENOKEY, -EKEYREVOKED, -EKEYEXPIRED. */
export function key_validate(k: key): i32 {
  if (k.flags & KEY_FLAG_INVALIDATED) return -ENOKEY;
  if (k.flags & KEY_FLAG_REVOKED) return -EKEYREVOKED;
  if (k.expiry && root().clock >= k.expiry) return -EKEYEXPIRED;
  return 0;
}

/** Is it of that type and description? */
export function key_matches(k: key, type: u32, desc: usize, desc_len: u32): bool {
  if (k.type != type || k.desc_len != desc_len) return false;
  return memory.compare(k.desc, desc, desc_len) == 0;
}
