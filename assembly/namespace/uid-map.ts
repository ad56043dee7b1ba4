// Id maps of user namespaces: up to 340 extents, looked up by binary search beyond five.
//
//   extents:  nr x uid_gid_extent, ascending by `first`; with more than five a second copy follows,
//             ascending by `lower_first`
import { kfree, kmalloc } from "../lib/slab.ts";

/** struct uid_gid_extent - `count` ids from `first` on are the kernel's from `lower_first` on. */
@unmanaged
export class uid_gid_extent {
  first: u32;
  lower_first: u32;
  count: u32;
}
export const EXTENT_BYTES: u32 = 12;

/** struct uid_gid_map - 8 bytes inside a user namespace; written once. */
@unmanaged
export class uid_gid_map {
  nr_extents: u32; // 0: nothing is mapped
  extents: u32; // kmalloc'd
}

const UID_GID_MAP_MAX_BASE_EXTENTS: u32 = 5;
const FIRST: usize = 0;
const LOWER_FIRST: usize = 4;

/** No id: the value of (uid_t)-1. */
export const INVALID_ID: i32 = -1;

function bytes_of(nr: u32): u32 {
  return nr > UID_GID_MAP_MAX_BASE_EXTENTS ? nr * EXTENT_BYTES * 2 : nr * EXTENT_BYTES;
}

/** The extent whose ids, counted from `field` on, hold all from `id` to `last`; 0 when none. */
function find_extent(at: usize, nr: u32, field: usize, id: u32, last: u32): usize {
  let low: u32 = 0;
  let high = nr;
  while (low < high) {
    const mid = (low + high) >> 1;
    const extent = at + mid * EXTENT_BYTES;
    const first = load<u32>(extent + field);
    if (id < first) {
      high = mid;
    } else if (id - first < load<u32>(extent, 8)) {
      return last - first < load<u32>(extent, 8) && last >= id ? extent : 0;
    } else {
      low = mid + 1;
    }
  }
  return 0;
}

/** Ids `id` to `id + count - 1`, all in one extent, as the kernel has them; -1 when not mapped. */
export function map_id_range_down(map: uid_gid_map, id: u32, count: u32): i32 {
  const nr = map.nr_extents;
  const extent = find_extent(map.extents, nr, FIRST, id, id + count - 1);
  if (!extent) return INVALID_ID;
  return <i32>(id - load<u32>(extent, FIRST) + load<u32>(extent, LOWER_FIRST));
}

export function map_id_down(map: uid_gid_map, id: u32): i32 {
  return map_id_range_down(map, id, 1);
}

/** The kernel's id `id` as the map shows it, -1 when it does not. */
export function map_id_up(map: uid_gid_map, id: u32): i32 {
  const nr = map.nr_extents;
  let at: usize = map.extents;
  if (nr > UID_GID_MAP_MAX_BASE_EXTENTS) {
    at += nr * EXTENT_BYTES;
    const extent = find_extent(at, nr, LOWER_FIRST, id, id);
    if (!extent) return INVALID_ID;
    return <i32>(id - load<u32>(extent, LOWER_FIRST) + load<u32>(extent, FIRST));
  }
  for (let i: u32 = 0; i < nr; ++i) {
    const offset = id - load<u32>(at, LOWER_FIRST);
    if (id >= load<u32>(at, LOWER_FIRST) && offset < load<u32>(at, 8)) {
      return <i32>(offset + load<u32>(at, FIRST));
    }
    at += EXTENT_BYTES;
  }
  return INVALID_ID;
}

function overlaps(a: u32, b: u32, count_a: u32, count_b: u32): bool {
  return a <= b + (count_b - 1) && b <= a + (count_a - 1);
}

/** Does `e` share an id, above or below, with one of the `nr` extents at `at`? */
export function mappings_overlap(at: usize, nr: u32, e: uid_gid_extent): bool {
  for (let i: u32 = 0; i < nr; ++i) {
    const other = changetype<uid_gid_extent>(at + i * EXTENT_BYTES);
    if (overlaps(e.first, other.first, e.count, other.count)) return true;
    if (overlaps(e.lower_first, other.lower_first, e.count, other.count)) return true;
  }
  return false;
}

/** Ascending by the u32 at `field`: few extents, most of them in order already. */
function sort_extents(at: usize, nr: u32, field: usize): void {
  for (let i: u32 = 1; i < nr; ++i) {
    const from = at + i * EXTENT_BYTES;
    const key = load<u32>(from + field);
    const a = load<u32>(from);
    const b = load<u32>(from, 4);
    const c = load<u32>(from, 8);
    let to = from;
    while (to > at && load<u32>(to - EXTENT_BYTES + field) > key) {
      memory.copy(to, to - EXTENT_BYTES, EXTENT_BYTES);
      to -= EXTENT_BYTES;
    }
    store<u32>(to, a);
    store<u32>(to, b, 4);
    store<u32>(to, c, 8);
  }
}

/** Makes the `nr` extents at `at` the map's own; false when memory is exhausted. */
export function install_map(map: uid_gid_map, at: usize, nr: u32): bool {
  const own = kmalloc(bytes_of(nr));
  if (!own) return false;
  memory.copy(own, at, nr * EXTENT_BYTES);
  sort_extents(own, nr, FIRST);
  if (nr > UID_GID_MAP_MAX_BASE_EXTENTS) {
    const reverse = own + nr * EXTENT_BYTES;
    memory.copy(reverse, own, nr * EXTENT_BYTES);
    sort_extents(reverse, nr, LOWER_FIRST);
  }
  map.extents = <u32>own;
  map.nr_extents = nr;
  return true;
}

export function free_map(map: uid_gid_map): void {
  kfree(map.extents, bytes_of(map.nr_extents));
}
