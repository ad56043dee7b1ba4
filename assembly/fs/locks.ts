// Inodes as far as processes meet at them (fs/locks.c): record locks of processes, of open file
// descriptions (OFD), and flock. Which file a descriptor is the world says by a number.
import { seeded_fault } from "../lib/bug.ts";
import { NULL, nil, same } from "../lib/err.ts";
import { file } from "./file.ts";
import { list_at, list_head } from "../lib/list.ts";
import { get_pid, pid, put_pid } from "../process/pid.ts";
import { root } from "../lib/root.ts";
import {
  CACHE_FILE_LOCK,
  CACHE_INODE,
  kmem_cache_free,
  kmem_cache_init,
  kmem_cache_zalloc,
} from "../lib/slab.ts";
import { F_RDLCK, F_UNLCK, F_WRLCK } from "../uapi/fcntl.ts";
import { waiter, wake_up_all } from "../process/waitqueue.ts";

// Seeded fault (debug builds only): closing a descriptor keeps the process's locks.
const F_CLOSE_LOCKS = 145;

/** struct inode - identity of a file that locks or watches know, 32 bytes. */
@unmanaged
export class inode {
  count: i32; // references: open files, watches
  id: u32; // [C] number that the world gave it
  next: inode; // on root.inodes
  posix: file_lock; // record locks, by owner and start
  flock: file_lock; // whole-file locks
  wait_next: u32; // list_head: who wants a lock
  wait_prev: u32;
  pad: u32;

  get wait(): list_head {
    return list_at(changetype<usize>(this), offsetof<inode>("wait_next"));
  }
}

export const FL_POSIX: u32 = 1;
export const FL_OFD: u32 = 2;
export const FL_FLOCK: u32 = 4;
export const OFFSET_MAX: u64 = 0x7fffffffffffffff;

/** struct file_lock - 48 bytes. */
@unmanaged
export class file_lock {
  next: file_lock;
  owner: u32; // descriptor table of a process, or the file of an OFD lock or a flock; no reference
  kind: u32; // FL_*
  type: u32; // F_RDLCK, F_WRLCK; F_UNLCK in a request
  start: u64;
  end: u64; // inclusive
  pid: pid; // who took a record lock; holds a reference
  pad: u32;
}

export function locks_caches_init(): void {
  kmem_cache_init(CACHE_INODE, <u32>offsetof<inode>());
  kmem_cache_init(CACHE_FILE_LOCK, <u32>offsetof<file_lock>());
}

/** The inode of a number, without a reference; null: no lock or watch knows it. */
export function known_inode(id: u32): inode {
  let i = changetype<inode>(<usize>root().inodes);
  while (!nil(i) && i.id != id) i = i.next;
  return i;
}

/** The same with one more reference, made if need be. Null when memory is exhausted. */
export function find_inode(id: u32): inode {
  const r = root();
  let i = known_inode(id);
  if (!nil(i)) {
    i.count += 1;
    return i;
  }
  i = changetype<inode>(kmem_cache_zalloc(CACHE_INODE));
  if (nil(i)) return i;
  i.count = 1;
  i.id = id;
  list_head.init(i.wait);
  i.next = changetype<inode>(<usize>r.inodes);
  r.inodes = <u32>changetype<usize>(i);
  return i;
}

export function put_inode(i: inode): void {
  i.count -= 1;
  if (i.count) return;
  const r = root();
  if (r.inodes == <u32>changetype<usize>(i)) {
    r.inodes = <u32>changetype<usize>(i.next);
  } else {
    let at = changetype<inode>(<usize>r.inodes);
    while (!same(at.next, i)) at = at.next;
    at.next = i.next;
  }
  kmem_cache_free(CACHE_INODE, changetype<usize>(i));
}

export function alloc_lock(): file_lock {
  return changetype<file_lock>(kmem_cache_zalloc(CACHE_FILE_LOCK));
}

export function free_lock(l: file_lock): void {
  if (nil(l)) return;
  put_pid(l.pid);
  kmem_cache_free(CACHE_FILE_LOCK, changetype<usize>(l));
}

function conflicts(l: file_lock, want: file_lock): bool {
  if (l.owner == want.owner && l.kind == want.kind) return false;
  return l.type == F_WRLCK || want.type == F_WRLCK;
}

/** The first lock of another owner that stands in the way of `want`, or null. */
export function posix_conflict(i: inode, want: file_lock): file_lock {
  let l = i.posix;
  while (!nil(l)) {
    if (l.start <= want.end && want.start <= l.end && conflicts(l, want)) return l;
    l = l.next;
  }
  return l;
}

export function flock_conflict(i: inode, want: file_lock): file_lock {
  let l = i.flock;
  while (!nil(l) && !conflicts(l, want)) l = l.next;
  return l;
}

/**
 * Would waiting for a lock of `blocker` never end, because `blocker` waits in turn, directly or
 * over others, for one of `owner`? Linux follows ten steps.
 */
export function posix_deadlock(owner: u32, blocker: u32): bool {
  let who = blocker;
  for (let steps = 0; steps < 10; ++steps) {
    if (who == owner) return true;
    who = blocked_by(who);
    if (!who) return false;
  }
  return false;
}

/** Whose record lock a sleeping task of `owner` waits for; 0: none sleeps so. */
function blocked_by(owner: u32): u32 {
  let i = changetype<inode>(<usize>root().inodes);
  while (!nil(i)) {
    const head = i.wait;
    for (let at = head.next; at !== head; at = at.next) {
      const w = changetype<waiter>(changetype<usize>(at));
      if (w.lock_owner == owner) return w.lock_blocker;
    }
    i = i.next;
  }
  return 0;
}

function same_owner(l: file_lock, want: file_lock): bool {
  return l.owner == want.owner && l.kind == want.kind;
}

/**
 * Puts `want` in place (F_UNLCK: takes that range away): what its owner held there gives way, and
 * neighbours of the same type become one. Nothing is in the way. `spare`: a lock for the case that
 * one is cut in two. `want` and `spare` are the list's or freed afterwards.
 */
export function posix_apply(i: inode, want: file_lock, spare: file_lock): void {
  let before = NULL<file_lock>();
  let l = i.posix;
  while (!nil(l)) {
    const next = l.next;
    let drop = false;
    if (same_owner(l, want)) {
      const joins = l.type == want.type;
      // neighbours count as touching only where they may become one
      const from = joins && want.start > 0 ? want.start - 1 : want.start;
      const to = joins && want.end < OFFSET_MAX ? want.end + 1 : want.end;
      if (l.start <= to && from <= l.end) {
        if (joins) {
          if (l.start < want.start) want.start = l.start;
          if (l.end > want.end) want.end = l.end;
          drop = true;
        } else if (l.start < want.start && l.end > want.end) {
          memory.copy(changetype<usize>(spare), changetype<usize>(l), offsetof<file_lock>());
          get_pid_of(spare);
          spare.start = want.end + 1;
          l.end = want.start - 1;
          l.next = spare;
          spare.next = next;
          before = spare;
          spare = NULL<file_lock>();
          l = next;
          continue;
        } else if (l.start < want.start) {
          l.end = want.start - 1;
        } else if (l.end > want.end) {
          l.start = want.end + 1;
        } else {
          drop = true;
        }
      }
    }
    if (drop) {
      if (nil(before)) i.posix = next;
      else before.next = next;
      free_lock(l);
    } else {
      before = l;
    }
    l = next;
  }
  if (!nil(spare)) free_lock(spare);
  if (want.type == F_UNLCK) {
    free_lock(want);
  } else {
    want.next = NULL<file_lock>();
    if (nil(before)) i.posix = want;
    else before.next = want;
  }
  wake_up_all(i.wait);
}

function get_pid_of(l: file_lock): void {
  if (!nil(l.pid)) get_pid(l.pid);
}

/** flock(2): `want` replaces what its file held; F_UNLCK: nothing does. */
export function flock_apply(i: inode, want: file_lock): void {
  remove_locks(i, false, want.owner, FL_FLOCK);
  if (want.type == F_UNLCK) {
    free_lock(want);
  } else {
    want.next = i.flock;
    i.flock = want;
  }
  wake_up_all(i.wait);
}

/** Does this file hold a flock, and of which type? F_UNLCK: none. */
export function flock_held(i: inode, owner: u32): u32 {
  let l = i.flock;
  while (!nil(l)) {
    if (l.owner == owner) return l.type;
    l = l.next;
  }
  return F_UNLCK;
}

/** Takes away every lock of `owner` of that kind. Return: whether there was one. */
function remove_locks(i: inode, posix: bool, owner: u32, kind: u32): bool {
  let before = NULL<file_lock>();
  let l = posix ? i.posix : i.flock;
  let found = false;
  while (!nil(l)) {
    const next = l.next;
    if (l.owner == owner && l.kind == kind) {
      if (!nil(before)) before.next = next;
      else if (posix) i.posix = next;
      else i.flock = next;
      free_lock(l);
      found = true;
    } else {
      before = l;
    }
    l = next;
  }
  return found;
}

/** A process has closed a descriptor of `i`: all its record locks there are gone, as POSIX says. */
export function locks_remove_posix(i: inode, owner: u32): void {
  if (nil(i.posix) || seeded_fault(F_CLOSE_LOCKS)) return;
  if (remove_locks(i, true, owner, FL_POSIX)) wake_up_all(i.wait);
}

/** The last reference to a file is gone, and with it what it held. */
export function locks_release(f: file): void {
  const i = f.inode;
  const owner = <u32>changetype<usize>(f);
  const had = remove_locks(i, true, owner, FL_OFD);
  if (remove_locks(i, false, owner, FL_FLOCK) || had) wake_up_all(i.wait);
  f.inode = NULL<inode>();
  put_inode(i);
}

/** F_RDLCK needs a file that reads, F_WRLCK one that writes: false where it can't. */
export function lock_mode_ok(type: u32, readable: bool, writable: bool): bool {
  if (type == F_RDLCK) return readable;
  return type != F_WRLCK || writable;
}
