// struct pid - a process number as every namespace on the way to the root sees it - and the pid
// namespaces. A number is found through a two-level table: an array of leaves, 256 numbers each.
import { seeded_fault } from "../lib/bug.ts";
import { cred, cred_ns_capable } from "../cred/cred.ts";
import { IS_ERR, NULL, nil, same } from "../lib/err.ts";
import { list_at, list_head } from "../lib/list.ts";
import { create_ns, get_ns, NAMESPACE_BYTES, ns_common, put_ns } from "../namespace/namespace.ts";
import { refcount_dec_and_test, refcount_inc, refcount_inc_few } from "../lib/refcount.ts";
import { root } from "../lib/root.ts";
import { signal_struct } from "./signal-struct.ts";
import {
  CACHE_NAMESPACE,
  CACHE_PID,
  CACHE_PID_BIG,
  kfree,
  kmem_cache_alloc,
  kmem_cache_free,
  kmem_cache_init,
  kzalloc,
} from "../lib/slab.ts";
import { task_struct } from "./task.ts";
import { CAP_CHECKPOINT_RESTORE, CAP_SYS_ADMIN } from "../uapi/capability.ts";
import { EAGAIN, EEXIST, EINVAL, ENOMEM, ENOSPC, EPERM } from "../uapi/errno.ts";
import { user_namespace } from "../namespace/user-namespace.ts";
import { RESERVED_PIDS } from "../uapi/limits.ts";
import { CLONE_NEWPID, MAX_PID_NS_LEVEL } from "../uapi/sched.ts";

/** struct pid - 40 bytes, then one upid per level. Small ones hold three levels. */
@unmanaged
export class pid {
  count: i32; // refcount_t: the task, groups and sessions named by it, pidfds, a container
  level: i32; // [C] depth of the deepest namespace it has a number in
  task: task_struct; // [tasklist] thread of this number, null once released
  ns: pid_namespace; // [C] the deepest one it has a number in; holds a reference
  members_next: u32; // list_head: process group of this number, signal_struct.pgrp_link
  members_prev: u32;
  waitq_next: u32; // list_head: pollers of a pidfd
  waitq_prev: u32;
  nr_sessions: i32; // groups whose session this is
  unhashed: u32; // 1: out of every table, the number may be given again

  /** A number that nothing bears yet; the namespaces are the caller's to set. */
  @inline static init(p: pid, level: i32): void {
    // pairs of fields, the lower one first
    const at = changetype<usize>(p);
    store<u64>(at, 1 | ((<u64>level) << 32), offsetof<pid>("count"));
    p.task = changetype<task_struct>(0);
    list_head.init(p.members);
    list_head.init(p.waitq);
    store<u64>(at, 0, offsetof<pid>("nr_sessions")); // and unhashed
  }

  get members(): list_head {
    return list_at(changetype<usize>(this), offsetof<pid>("members_next"));
  }
  get waitq(): list_head {
    return list_at(changetype<usize>(this), offsetof<pid>("waitq_next"));
  }
}
const UPIDS_AT: usize = 40;
const SMALL_LEVELS = 3;

/** Number of `p` at `level`. */
export function upid_nr(p: pid, level: i32): i32 {
  return load<i32>(changetype<usize>(p) + UPIDS_AT + ((<usize>level) << 3));
}
/** Namespace of `p` at `level`. */
export function upid_ns(p: pid, level: i32): pid_namespace {
  return changetype<pid_namespace>(
    load<u32>(changetype<usize>(p) + UPIDS_AT + ((<usize>level) << 3), 4),
  );
}
function set_upid(p: pid, level: i32, nr: i32, ns: pid_namespace): void {
  const at = changetype<usize>(p) + UPIDS_AT + ((<usize>level) << 3);
  store<i32>(at, nr);
  store<u32>(at, <u32>changetype<usize>(ns), 4);
}

/** struct pid_namespace - begins with the head that every namespace has. */
@unmanaged
export class pid_namespace extends ns_common {
  child_reaper: task_struct; // [tasklist] its init, null before the first fork and after the end
  table: u32; // leaf[nr_leaves]: u32 address, u32 numbers in use
  nr_leaves: i32;
  last: i32; // cursor: the number given last
  nr_hashed: i32; // numbers in use
  dying: u32; // 1: init has exited, no new process
  reboot: i32;
}

// Seeded fault (debug builds only): a number is free although a process group bears it.
const F_PGRP_NUMBER = 202;

const LEAF_SHIFT = 8;
const LEAF_NUMBERS = 256;
const LEAF_BYTES: u32 = 1024;
const FIRST_LEAVES = 4;

export function pid_caches_init(): void {
  kmem_cache_init(CACHE_PID, 40 + SMALL_LEVELS * 8);
  kmem_cache_init(CACHE_PID_BIG, 40 + (MAX_PID_NS_LEVEL + 2) * 8);
  kmem_cache_init(CACHE_NAMESPACE, NAMESPACE_BYTES);
}

/**
 * A pid namespace under `parent` (null: the initial one), made by user `uid`.
 * Return: ERR_PTR of ENOSPC (too deep, too many), ENOMEM.
 */
export function create_pid_namespace(
  parent: pid_namespace,
  user_ns: user_namespace,
  uid: i32,
): pid_namespace {
  const level = nil(parent) ? 0 : parent.level + 1;
  if (level > MAX_PID_NS_LEVEL) return changetype<pid_namespace>(<usize>-ENOSPC);
  const ns = create_ns(CLONE_NEWPID, parent, user_ns, uid);
  if (!IS_ERR(ns)) ns.level = level;
  return changetype<pid_namespace>(changetype<usize>(ns));
}

/** The numbers of a namespace that is going away: all are free by now. */
export function free_pid_table(ns: pid_namespace): void {
  for (let i = 0; i < ns.nr_leaves; ++i) kfree(load<u32>(ns.table + (i << 3)), LEAF_BYTES);
  kfree(ns.table, (<u32>ns.nr_leaves) << 3);
}

/** Drops a reference. */
export function put_pid_ns(ns: pid_namespace): void {
  put_ns(ns);
}

/** Makes room for number `nr`; false when memory is exhausted. */
function reserve_leaf(ns: pid_namespace, nr: i32): bool {
  const index = nr >> LEAF_SHIFT;
  if (index >= ns.nr_leaves) {
    let leaves = ns.nr_leaves ? ns.nr_leaves : FIRST_LEAVES;
    while (leaves <= index) leaves <<= 1;
    const table = kzalloc((<u32>leaves) << 3);
    if (!table) return false;
    memory.copy(table, ns.table, ns.nr_leaves << 3);
    kfree(ns.table, (<u32>ns.nr_leaves) << 3);
    ns.table = <u32>table;
    ns.nr_leaves = leaves;
  }
  const slot = slot_of(ns, nr);
  if (load<u32>(slot)) return true;
  const leaf = kzalloc(LEAF_BYTES);
  if (!leaf) return false;
  store<u32>(slot, <u32>leaf);
  return true;
}

/** Address of the slot of the leaf that `nr` is in; the table must reach it. */
function slot_of(ns: pid_namespace, nr: i32): usize {
  return ns.table + ((nr >> LEAF_SHIFT) << 3);
}

/** Address of the entry of `nr` in `leaf`. */
function entry_in(leaf: usize, nr: i32): usize {
  return leaf + ((nr & (LEAF_NUMBERS - 1)) << 2);
}

/** The struct pid of number `nr` in `ns`, or null. */
export function find_pid_ns(nr: i32, ns: pid_namespace): pid {
  // a negative number is beyond every table
  if (<u32>(nr >> LEAF_SHIFT) >= <u32>ns.nr_leaves) return NULL<pid>();
  const leaf = load<u32>(slot_of(ns, nr));
  return leaf ? changetype<pid>(load<u32>(entry_in(leaf, nr))) : NULL<pid>();
}

/** Next free number after the cursor, wrapping once; -EAGAIN when all are in use. */
function next_free(ns: pid_namespace): i32 {
  const max = root().pid_max;
  let nr = ns.last + 1;
  let wrapped = false;
  while (true) {
    if (nr >= max) {
      if (wrapped) return -EAGAIN;
      wrapped = true;
      nr = RESERVED_PIDS;
      if (nr >= max) nr = 1;
    }
    if (nr >> LEAF_SHIFT >= ns.nr_leaves) return nr;
    const slot = slot_of(ns, nr);
    const leaf = load<u32>(slot);
    if (!leaf) return nr;
    // a full leaf is skipped whole
    if (load<i32>(slot, 4) < LEAF_NUMBERS) {
      if (!load<u32>(entry_in(leaf, nr))) return nr;
      nr += 1;
    } else {
      nr = (nr | (LEAF_NUMBERS - 1)) + 1;
    }
  }
}

function hash_number(ns: pid_namespace, nr: i32, p: pid): void {
  const slot = slot_of(ns, nr);
  store<u32>(entry_in(load<u32>(slot), nr), <u32>changetype<usize>(p));
  store<u32>(slot, load<u32>(slot, 4) + 1, 4);
  ns.nr_hashed += 1;
}

/** Number `nr` of `ns` is free again. */
export function unhash_in(ns: pid_namespace, nr: i32): void {
  const slot = slot_of(ns, nr);
  store<u32>(entry_in(load<u32>(slot), nr), 0);
  store<u32>(slot, load<u32>(slot, 4) - 1, 4);
  ns.nr_hashed -= 1;
}

/**
 * The slot of the number after the cursor, if that number is free and its leaf is there, as it is
 * nearly always; 0 else.
 */
export function next_at_hand(ns: pid_namespace): usize {
  const nr = ns.last + 1;
  if (nr >= root().pid_max || nr >> LEAF_SHIFT >= ns.nr_leaves) return 0;
  const slot = slot_of(ns, nr);
  const leaf = load<u32>(slot);
  return leaf && !load<u32>(entry_in(leaf, nr)) ? slot : 0;
}

/** Gives `p` that number, `slot` being what next_at_hand() has said. Return: the number. */
function take_next(ns: pid_namespace, slot: usize, p: pid): i32 {
  const nr = ns.last + 1;
  store<u32>(entry_in(load<u32>(slot), nr), <u32>changetype<usize>(p));
  store<u32>(slot, load<u32>(slot, 4) + 1, 4);
  ns.nr_hashed += 1;
  ns.last = nr;
  return nr;
}

/** The same for a whole struct pid of the initial namespace. */
export function give_next(ns: pid_namespace, slot: usize, p: pid): i32 {
  const nr = take_next(ns, slot, p);
  set_upid(p, 0, nr, ns);
  p.ns = ns;
  refcount_inc_few(changetype<usize>(ns));
  return nr;
}

/**
 * Gives `p` number `nr` of `ns`, 0 for the next free one. `keep`: the cursor stays. `forced`: the
 * recorder saw the number given, so a group that bears it without a process is gone there.
 * Return: the number, -EAGAIN (all are in use), -EEXIST, -ENOMEM.
 */
function take_number(ns: pid_namespace, nr: i32, p: pid, keep: bool, forced: bool): i32 {
  if (nr > 0) {
    const old = find_pid_ns(nr, ns);
    if (!nil(old) && forced && nil(old.task)) unhash_pid(old);
    else if (!nil(old)) return -EEXIST;
  } else {
    nr = next_free(ns);
    if (nr < 0) return nr;
  }
  if (!reserve_leaf(ns, nr)) return -ENOMEM;
  if (!keep) ns.last = nr;
  hash_number(ns, nr, p);
  return nr;
}

/**
 * A struct pid with a number in `ns` and in each of its ancestors. `forced` names the number in
 * the initial namespace (0: the kernel chooses); wanted[] of clone3 set_tid, innermost first, is
 * at `wanted`, `nr_wanted` entries, each of which `who` has to have the privilege for.
 * Return: ERR_PTR of EAGAIN (numbers exhausted), EEXIST (a wanted one is taken), EINVAL, EPERM,
 * ENOMEM.
 */
export function alloc_pid(
  ns: pid_namespace,
  forced: i32,
  wanted: usize,
  nr_wanted: i32,
  who: cred,
): pid {
  const level = ns.level;
  if (nr_wanted > level + 1) return changetype<pid>(<usize>-EINVAL);
  const p = new_struct_pid(level);
  if (nil(p)) return changetype<pid>(<usize>-ENOMEM);
  let at = ns;
  for (let i = level; i >= 0; --i) {
    const depth = level - i;
    const chosen = depth < nr_wanted;
    const known = !chosen && i == 0 && forced > 0;
    let nr: i32 = 0;
    if (chosen) {
      nr = load<i32>(wanted + ((<usize>depth) << 2));
      if (nr < 1 || nr >= root().pid_max) return undo_alloc(p, i, -EINVAL);
      // number 1 is a namespace's init and nobody else
      if (nr != 1 && nil(at.child_reaper)) return undo_alloc(p, i, -EINVAL);
      if (!may_choose_pid(who, at)) return undo_alloc(p, i, -EPERM);
    }
    let given: i32 = 0;
    const slot = chosen || known ? 0 : next_at_hand(at);
    if (slot) given = take_next(at, slot, p);
    if (!given) given = take_number(at, known ? forced : nr, p, chosen, known);
    if (given < 0) return undo_alloc(p, i, given);
    set_upid(p, i, given, at);
    at = changetype<pid_namespace>(at.parent);
  }
  p.ns = ns;
  get_ns(ns);
  return p;
}

/** May `who` choose numbers in `ns`? */
function may_choose_pid(who: cred, ns: pid_namespace): bool {
  const owner = changetype<user_namespace>(ns.user_ns);
  if (cred_ns_capable(who, owner, CAP_CHECKPOINT_RESTORE)) return true;
  return cred_ns_capable(who, owner, CAP_SYS_ADMIN);
}

function new_struct_pid(level: i32): pid {
  const p = changetype<pid>(kmem_cache_alloc(level < SMALL_LEVELS ? CACHE_PID : CACHE_PID_BIG));
  if (!nil(p)) pid.init(p, level);
  return p;
}

function undo_alloc(p: pid, failed_level: i32, error: i32): pid {
  for (let i = p.level; i > failed_level; --i) {
    const ns = upid_ns(p, i);
    const nr = upid_nr(p, i);
    unhash_in(ns, nr);
    // a cursor that this call moved goes back, so that the retry gets the same number
    if (ns.last == nr) ns.last = nr - 1;
  }
  kmem_cache_free(p.level < SMALL_LEVELS ? CACHE_PID : CACHE_PID_BIG, changetype<usize>(p));
  return changetype<pid>(<usize>error);
}

/**
 * A thread, a group or a session has left `p`. The number is free once nothing bears it; until
 * then kill(2) and setpgid(2) find the group. Return: whether it has become free.
 */
export function pid_detached(p: pid): bool {
  if (!nil(p.task) || p.unhashed) return false;
  const borne = p.nr_sessions != 0 || !list_head.empty(p.members);
  if (borne && !seeded_fault(F_PGRP_NUMBER)) return false;
  unhash_pid(p);
  return true;
}

/** The number that `ns` would give next, without giving it; -EAGAIN when all are in use. */
export function next_pid_nr(ns: pid_namespace): i32 {
  return next_free(ns);
}

/** Takes the numbers out of every table. The struct lives on while referenced. */
export function unhash_pid(p: pid): void {
  p.unhashed = 1;
  for (let i = 0; i <= p.level; ++i) unhash_in(upid_ns(p, i), upid_nr(p, i));
}

/** After a failed fork: as if the numbers had never been given. */
export function rewind_pid(p: pid): void {
  for (let i = 0; i <= p.level; ++i) {
    const ns = upid_ns(p, i);
    const nr = upid_nr(p, i);
    if (ns.last == nr) ns.last = nr - 1;
  }
}

export function get_pid(p: pid): pid {
  refcount_inc(changetype<usize>(p));
  return p;
}

export function put_pid(p: pid): void {
  if (nil(p) || !refcount_dec_and_test(changetype<usize>(p))) return;
  const ns = p.ns;
  kmem_cache_free(p.level < SMALL_LEVELS ? CACHE_PID : CACHE_PID_BIG, changetype<usize>(p));
  put_pid_ns(ns);
}

/** Number of `p` as `ns` sees it, 0 when it has none there. */
export function pid_nr_ns(p: pid, ns: pid_namespace): i32 {
  if (nil(p)) return 0;
  if (same(p.ns, ns)) return upid_nr(p, p.level);
  if (ns.level > p.level || !same(upid_ns(p, ns.level), ns)) return 0;
  return upid_nr(p, ns.level);
}

/** The namespace a task's own number belongs to. */
export function ns_of_pid(p: pid): pid_namespace {
  return p.ns;
}

export function task_active_pid_ns(p: task_struct): pid_namespace {
  return ns_of_pid(p.thread_pid);
}

/** Number of a thread group in the initial namespace; 0 for the idle task's. */
export function tgid_nr(signal: signal_struct): i32 {
  const number = signal.tgid_pid;
  return nil(number) ? 0 : upid_nr(number, 0);
}

/** The task of number `nr` in `ns`, or null. */
export function find_task_by_pid_ns(nr: i32, ns: pid_namespace): task_struct {
  const p = find_pid_ns(nr, ns);
  return nil(p) ? NULL<task_struct>() : p.task;
}

/** Next struct pid in use with a number >= `nr` in `ns`, null at the end. For kill(-1). */
export function find_ge_pid(nr: i32, ns: pid_namespace): pid {
  while (nr >> LEAF_SHIFT < ns.nr_leaves) {
    const slot = slot_of(ns, nr);
    if (load<u32>(slot) && load<u32>(slot, 4)) {
      const p = load<u32>(entry_in(load<u32>(slot), nr));
      if (p) return changetype<pid>(p);
      nr += 1;
    } else {
      nr = (nr | (LEAF_NUMBERS - 1)) + 1;
    }
  }
  return NULL<pid>();
}
