// struct group_info - the supplementary groups of a cred: sorted, counted, never changed. A cred
// without groups has none.
import { nil } from "../lib/err.ts";
import { refcount_dec_and_test, refcount_inc } from "../lib/refcount.ts";
import { kfree, kmalloc } from "../lib/slab.ts";

/** struct group_info - 8 bytes, then the groups (kgid_t), ascending. */
@unmanaged
export class group_info {
  usage: i32; // refcount_t: creds
  ngroups: i32;
}
const GROUPS_AT: usize = 8;

function bytes_of(n: i32): u32 {
  return <u32>(GROUPS_AT + ((<usize>n) << 2));
}

/** Room for `n` groups, to be filled and then sorted; null when memory is exhausted. */
export function groups_alloc(n: i32): group_info {
  const g = changetype<group_info>(kmalloc(bytes_of(n)));
  if (nil(g)) return g;
  g.usage = 1;
  g.ngroups = n;
  return g;
}

/** Address of the groups. */
export function groups_at(g: group_info): usize {
  return changetype<usize>(g) + GROUPS_AT;
}

export function get_group_info(g: group_info): group_info {
  if (!nil(g)) refcount_inc(changetype<usize>(g));
  return g;
}

export function put_group_info(g: group_info): void {
  if (nil(g) || !refcount_dec_and_test(changetype<usize>(g))) return;
  kfree(changetype<usize>(g), bytes_of(g.ngroups));
}

/** Sifts the group at `from` down a heap of `n`. */
function sift_down(at: usize, from: i32, n: i32): void {
  let i = from;
  while (true) {
    let child = 2 * i + 1;
    if (child >= n) return;
    const left = load<u32>(at + ((<usize>child) << 2));
    if (child + 1 < n && load<u32>(at + ((<usize>child) << 2), 4) > left) child += 1;
    const up = at + ((<usize>i) << 2);
    const down = at + ((<usize>child) << 2);
    const a = load<u32>(up);
    const b = load<u32>(down);
    if (a >= b) return;
    store<u32>(up, b);
    store<u32>(down, a);
    i = child;
  }
}

/** Ascending, as getgroups(2) shows them. */
export function groups_sort(g: group_info): void {
  const at = groups_at(g);
  const n = g.ngroups;
  for (let i = (n >> 1) - 1; i >= 0; --i) sift_down(at, i, n);
  for (let last = n - 1; last > 0; --last) {
    const end = at + ((<usize>last) << 2);
    const largest = load<u32>(at);
    store<u32>(at, load<u32>(end));
    store<u32>(end, largest);
    sift_down(at, 0, last);
  }
}

/** Is `gid` one of the groups? */
export function groups_search(g: group_info, gid: i32): bool {
  if (nil(g)) return false;
  let low = 0;
  let high = g.ngroups;
  while (low < high) {
    const mid = (low + high) >> 1;
    const at = load<u32>(groups_at(g) + ((<usize>mid) << 2));
    if (at == <u32>gid) return true;
    if (at < <u32>gid) low = mid + 1;
    else high = mid;
  }
  return false;
}
