// Keyrings: links to keys, at most one of a type and description in each, and searching them.
import { container } from "../container/container.ts";
import { cred } from "../cred/cred.ts";
import { ERR_PTR, nil, same } from "../lib/err.ts";
import * as X from "./key.ts";
import { key } from "./key.ts";
import { KEYRING_STACK } from "../lib/root.ts";
import { kfree, kmalloc } from "../lib/slab.ts";
import * as E from "../uapi/errno.ts";
import * as K from "../uapi/keyctl.ts";

/** What is searched for, by whom. */
@unmanaged
export class keyring_search {
  type: u32;
  desc: u32;
  desc_len: u32;
  cred: cred;
  box: container; // the searcher's container
  possessed: u32; // what is found through the keyrings searched is possessed
  flags: u32; // SEARCH_*
  target: key; // this very key instead of a type and a description; null: none
  error: i32; // the best reason why nothing was found
}

/** Whether the key is still good does not matter. */
export const SEARCH_NO_STATE_CHECK: u32 = 1;
/** The searcher needs no permission: members of a container use what its keyring holds. */
export const SEARCH_NO_PERMISSION: u32 = 2;

function link_at(keyring: key, i: u32): key {
  return changetype<key>(load<u32>(keyring.payload + (i << 2)));
}

/** Position of the link to a key of that type and description, or the number of links. */
export function find_link(keyring: key, type: u32, desc: usize, desc_len: u32): u32 {
  let i: u32 = 0;
  while (i < keyring.datalen && !X.key_matches(link_at(keyring, i), type, desc, desc_len)) ++i;
  return i;
}

/** Position of the link to `k`, or the number of links. */
function find_key(keyring: key, k: key): u32 {
  let i: u32 = 0;
  while (i < keyring.datalen && !same(link_at(keyring, i), k)) ++i;
  return i;
}

/** Is `k` linked in `keyring` itself? */
export function is_linked(keyring: key, k: key): bool {
  return find_key(keyring, k) < keyring.datalen;
}

/** Is `target` linked in `keyring` or in what is linked there? 1, 0, -ELOOP when too deep. */
function reaches(keyring: key, target: key): i32 {
  let depth: usize = 0;
  store<u32>(KEYRING_STACK, <u32>changetype<usize>(keyring));
  store<u32>(KEYRING_STACK, 0, 4);
  while (true) {
    const frame = KEYRING_STACK + (depth << 3);
    const at = changetype<key>(load<u32>(frame));
    const i = load<u32>(frame, 4);
    if (i == at.datalen) {
      if (!depth) return 0;
      depth -= 1;
      continue;
    }
    store<u32>(frame, i + 1, 4);
    const link = link_at(at, i);
    if (same(link, target)) return 1;
    if (link.type != X.KEY_TYPE_KEYRING) continue;
    if (depth + 1 == <usize>K.KEYRING_SEARCH_MAX_DEPTH) return -E.ELOOP;
    depth += 1;
    store<u32>(frame, <u32>changetype<usize>(link), 8);
    store<u32>(frame, 0, 12);
  }
}

/** Room for one more link; -EDQUOT, -ENOMEM, or 0 with the owner charged. */
function reserve_link(keyring: key): i32 {
  const error = X.key_payload_reserve(keyring, K.KEY_QUOTA_LINK_BYTES);
  if (error) return error;
  if (keyring.datalen < keyring.capacity) return 0;
  const capacity = keyring.capacity ? keyring.capacity << 1 : 4;
  const links = kmalloc(capacity << 2);
  if (!links) {
    X.key_payload_reserve(keyring, -K.KEY_QUOTA_LINK_BYTES);
    return -E.ENOMEM;
  }
  memory.copy(links, keyring.payload, keyring.datalen << 2);
  kfree(keyring.payload, keyring.capacity << 2);
  keyring.payload = <u32>links;
  keyring.capacity = capacity;
  return 0;
}

/**
 * Links `k` into `keyring`, in the place of one of the same type and description. Return: 0,
 * -EDEADLK (a keyring would hold itself), -ELOOP, -EDQUOT, -ENOMEM, -EPERM (restricted),
 * -EKEYREVOKED.
 */
export function key_link(keyring: key, k: key): i32 {
  const bad = X.key_validate(keyring);
  if (bad) return bad;
  if (keyring.flags & X.KEY_FLAG_RESTRICTED) return -E.EPERM;
  if (k.type == X.KEY_TYPE_KEYRING) {
    if (same(k, keyring)) return -E.EDEADLK;
    const cycle = reaches(k, keyring);
    if (cycle) return cycle > 0 ? -E.EDEADLK : cycle;
  }
  const i = find_link(keyring, k.type, k.desc, k.desc_len);
  if (i < keyring.datalen) {
    const old = link_at(keyring, i);
    store<u32>(keyring.payload + (i << 2), <u32>changetype<usize>(X.key_get(k)));
    X.key_put(old);
    return 0;
  }
  const error = reserve_link(keyring);
  if (error) return error;
  store<u32>(keyring.payload + (keyring.datalen << 2), <u32>changetype<usize>(X.key_get(k)));
  keyring.datalen += 1;
  return 0;
}

function unlink_at(keyring: key, i: u32): void {
  const k = link_at(keyring, i);
  const n = keyring.datalen - 1;
  // the order of the others stays
  for (; i < n; ++i)
    store<u32>(keyring.payload + (i << 2), load<u32>(keyring.payload + (i << 2), 4));
  keyring.datalen = n;
  X.key_payload_reserve(keyring, -K.KEY_QUOTA_LINK_BYTES);
  X.key_put(k);
}

/** Takes `k` out of `keyring`. 0 or -ENOENT. */
export function key_unlink(keyring: key, k: key): i32 {
  const i = find_key(keyring, k);
  if (i == keyring.datalen) return -E.ENOENT;
  unlink_at(keyring, i);
  return 0;
}

/** Takes every key out. */
export function keyring_clear(keyring: key): void {
  while (keyring.datalen) unlink_at(keyring, keyring.datalen - 1);
}

/** Moves `k` from one keyring to another. With `excl` -EEXIST where its like is there already. */
export function key_move(k: key, from: key, to: key, excl: bool): i32 {
  if (same(from, to)) return 0;
  if (find_key(from, k) == from.datalen) return -E.ENOENT;
  if (excl && find_link(to, k.type, k.desc, k.desc_len) < to.datalen) return -E.EEXIST;
  const error = key_link(to, k);
  if (error) return error;
  return key_unlink(from, k);
}

/** Is `k` what is searched for, and may it be found? Notes why not. */
function is_found(s: keyring_search, k: key): bool {
  if (!nil(s.target)) {
    if (!same(k, s.target)) return false;
  } else if (!X.key_matches(k, s.type, s.desc, s.desc_len)) {
    return false;
  }
  const bad = s.flags & SEARCH_NO_STATE_CHECK ? 0 : X.key_validate(k);
  if (bad) {
    if (bad != -E.ENOKEY || s.error == -E.EAGAIN) s.error = bad;
    return false;
  }
  if (s.flags & SEARCH_NO_PERMISSION) return true;
  if (X.key_permission(k, s.possessed != 0, s.cred, s.box, K.KEY_NEED_SEARCH)) {
    if (s.error == -E.EAGAIN) s.error = -E.EACCES;
    return false;
  }
  return true;
}

function may_descend(s: keyring_search, keyring: key): bool {
  if (X.key_validate(keyring)) return false;
  if (s.flags & SEARCH_NO_PERMISSION) return true;
  return !X.key_permission(keyring, s.possessed != 0, s.cred, s.box, K.KEY_NEED_SEARCH);
}

/**
 * Searches `keyring`, which may be searched, and those linked in it: its own links first, then
 * each keyring in order, at most KEYRING_SEARCH_MAX_DEPTH deep. Return: the key without a
 * reference, or ERR_PTR of the best reason.
 */
export function keyring_search_tree(s: keyring_search, keyring: key): key {
  s.error = -E.EAGAIN;
  if (is_found(s, keyring)) return keyring;
  let depth: usize = 0;
  store<u32>(KEYRING_STACK, <u32>changetype<usize>(keyring));
  store<u32>(KEYRING_STACK, 0, 4);
  let at = keyring;
  let fresh = true;
  while (true) {
    if (fresh) {
      for (let i: u32 = 0; i < at.datalen; ++i)
        if (is_found(s, link_at(at, i))) return link_at(at, i);
      fresh = false;
    }
    const frame = KEYRING_STACK + (depth << 3);
    const i = load<u32>(frame, 4);
    if (i == at.datalen) {
      if (!depth) return ERR_PTR<key>(s.error);
      depth -= 1;
      at = changetype<key>(load<u32>(frame - 8));
      continue;
    }
    store<u32>(frame, i + 1, 4);
    const link = link_at(at, i);
    if (link.type != X.KEY_TYPE_KEYRING || !may_descend(s, link)) continue;
    if (depth + 1 == <usize>K.KEYRING_SEARCH_MAX_DEPTH) continue;
    depth += 1;
    store<u32>(frame, <u32>changetype<usize>(link), 8);
    store<u32>(frame, 0, 12);
    at = link;
    fresh = true;
  }
}

/** A keyring of that name; ERR_PTR of EDQUOT, ENOMEM. */
export function keyring_alloc(desc: usize, desc_len: u32, c: cred, perm: u32): key {
  return X.key_alloc(X.KEY_TYPE_KEYRING, desc, desc_len, c, perm);
}
