// Epoll files that watch epoll files: no circle, no chain of more than EP_MAX_NESTS, and not so
// many ways from one file upwards that a wake-up would take for ever. Each walk has a number, so
// that it comes to no epoll file twice.
import { seeded_fault } from "../lib/bug.ts";
import { epitem, eventpoll } from "./epoll.ts";
import { nil, same } from "../lib/err.ts";
import { file, FILE_EPOLL } from "./file.ts";
import { root, SCRATCH_USER } from "../lib/root.ts";
import { EP_MAX_NESTS } from "../uapi/epoll.ts";

// Seeded fault (debug builds only): circles are allowed.
const F_LOOP = 147;
const TOO_DEEP: i32 = EP_MAX_NESTS + 1;

function new_walk(): u32 {
  root().ep_walk += 1;
  return root().ep_walk;
}

/**
 * How deep epoll files watch each other from `ep` down, TOO_DEEP where `from` is reached. The
 * recursion is as deep as chains are let in, which is EP_MAX_NESTS.
 */
function depth_below(ep: eventpoll, from: eventpoll, walk: u32, level: i32): i32 {
  if (same(ep, from) || level > EP_MAX_NESTS) return TOO_DEEP;
  if (ep.walk == walk) return ep.depth;
  let deepest = 0;
  const head = ep.items;
  for (let at = head.next; at !== head; at = at.next) {
    const watched = epitem.from_item(at).file;
    if (watched.kind != FILE_EPOLL) continue;
    const below = depth_below(watched.eventpoll, from, walk, level + 1) + 1;
    if (below > deepest) deepest = below;
  }
  ep.walk = walk;
  ep.depth = deepest;
  return deepest;
}

/** How long the longest chain of epoll files is that watches `ep`. */
function depth_above(ep: eventpoll, walk: u32, level: i32): i32 {
  if (level > EP_MAX_NESTS) return TOO_DEEP;
  if (ep.walk == walk) return ep.depth;
  let highest = 0;
  for (let item = ep.file.items; !nil(item); item = item.file_next) {
    const above = depth_above(item.ep, walk, level + 1) + 1;
    if (above > highest) highest = above;
  }
  ep.walk = walk;
  ep.depth = highest;
  return highest;
}

/** Would `ep` watching `to` close a circle, or make a chain too long? */
export function ep_loop_check(ep: eventpoll, to: eventpoll): bool {
  if (seeded_fault(F_LOOP)) return false;
  const below = depth_below(to, ep, new_walk(), 0);
  if (below > EP_MAX_NESTS) return true;
  return below + 1 + depth_above(ep, new_walk(), 0) > EP_MAX_NESTS;
}

/** Counts of ways by their length, and how many Linux allows; directly as many as one likes. */
const PATHS: usize = SCRATCH_USER + 64;

function path_limit(length: i32): u32 {
  if (length == 1) return 500;
  if (length == 2) return 100;
  return length == 3 ? 50 : 10;
}

/** Counts the ways from a file up to epoll files that nobody watches; true: too many. */
function count_paths(watched: file, length: i32): bool {
  if (length > EP_MAX_NESTS) return true;
  for (let item = watched.items; !nil(item); item = item.file_next) {
    const above = item.ep.file;
    if (!nil(above.items)) {
      if (count_paths(above, length + 1)) return true;
    } else if (length) {
      const at = PATHS + ((<usize>length) << 2);
      const n = load<u32>(at) + 1;
      store<u32>(at, n);
      if (n > path_limit(length)) return true;
    }
  }
  return false;
}

function too_many(watched: file): bool {
  memory.fill(PATHS, 0, 32);
  return count_paths(watched, 0);
}

/** The same for every file that is watched from `ep` down. */
function too_many_below(ep: eventpoll, walk: u32): bool {
  if (ep.walk == walk) return false;
  ep.walk = walk;
  const head = ep.items;
  for (let at = head.next; at !== head; at = at.next) {
    const watched = epitem.from_item(at).file;
    const bad =
      watched.kind == FILE_EPOLL ? too_many_below(watched.eventpoll, walk) : too_many(watched);
    if (bad) return true;
  }
  return false;
}

/** `ep` watches `to` from now on: are there too many ways from what lies below upwards? */
export function ep_too_many_paths(ep: eventpoll, to: file): bool {
  if (to.kind == FILE_EPOLL) return too_many_below(to.eventpoll, new_walk());
  // a way of length one is always allowed
  return !nil(ep.file.items) && too_many(to);
}
