// struct container - tasks that live and die with one 'init' process (seed: kernel/container.c).
import {
  audit_container_dead,
  audit_container_drop,
  audit_container_kill,
} from "../audit/audit-record.ts";
import { cred, put_cred } from "../cred/cred.ts";
import { ERR_PTR, NULL, nil, same } from "../lib/err.ts";
import { emit, emit_container_free } from "../lib/event.ts";
import { key, key_put } from "../keys/key.ts";
import { list_at, list_head } from "../lib/list.ts";
import { nsproxy, put_nsproxy } from "../namespace/nsproxy.ts";
import { pid, put_pid } from "../process/pid.ts";
import { dentry } from "../vfs/dcache.ts";
import { mount, path_put } from "../vfs/mount.ts";
import { DEVICE_BYTES } from "./device.ts";
import { refcount_dec_and_test, refcount_inc } from "../lib/refcount.ts";
import { kernel_root, root } from "../lib/root.ts";
import { send_sigkill_group } from "../signal/signal.ts";
import { put_signal_struct, signal_struct } from "../process/signal-struct.ts";
import { CACHE_CONTAINER, kfree, kmalloc, kmem_cache_free, kmem_cache_init } from "../lib/slab.ts";
import { LOCK_CONTAINER, LOCK_CONTAINERS, spin_lock, spin_unlock } from "../lib/spinlock.ts";
import { supervisor } from "./supervisor.ts";
import { task_struct } from "../process/task.ts";
import {
  CONTAINER_FLAG_DEAD,
  CONTAINER_FLAG_INIT_STARTED,
  CONTAINER_FLAG_KILL_ON_CLOSE,
} from "../uapi/container.ts";
import { SIGKILL } from "../uapi/signal.ts";
import { EVENT_CONTAINER_DEAD } from "../uapi/frame.ts";
import { HOOK_CONTAINER_FREE } from "../uapi/supervise.ts";
import { seeded_fault } from "../lib/bug.ts";
import { free_uid, user_struct } from "../cred/user.ts";
import { wake_up_all } from "../process/waitqueue.ts";

/**
 * struct container.
 *
 * Lifetime: one reference per open file, one per member process, one per child container, one per
 * context of a file system that is for it (fsopen).
 * Invariant: INIT_STARTED is never cleared once a first process has entered; DEAD implies that
 * init is null; `usage` == open files + live members + children + contexts.
 */
@unmanaged
export class container {
  usage: i32; // refcount_t
  flags: u32; // [container.lock] CONTAINER_FLAG_*
  exit_code: i32; // [container.lock] init's wait status, stored before DEAD is set
  depth: i32; // [C] .init is 0
  id: u64; // [C] never reused
  init: signal_struct; // [container.lock] thread group of init, null before and after. Reference
  init_pid: pid; // [container.lock] init's number for container_wait; holds a reference
  members: u32; // [container.lock] u32[members_cap]: leaders in order of entry, 0 = left
  members_cap: u32;
  members_len: u32; // used part of the vector, tombstones included
  nr_members: u32;
  parent: container; // [C] holds a reference
  children_next: u32; // [containers] list_head of child_link
  children_prev: u32;
  child_next: u32; // [containers] list_head child_link, on parent.children
  child_prev: u32;
  cred: cred; // [C] what an entering process becomes; holds a reference
  ns: nsproxy; // [C] holds a reference
  waitq_next: u32; // list_head: pollers and waiters of the container fd
  waitq_prev: u32;
  lock: u32; // spinlock_t, LOCK_CONTAINER; a parent's before its child's
  opener_euid: i32; // [C] kuid that created it
  user: user_struct; // [C] who it is counted to; holds a reference
  nr_files: i32; // open files: one from container_create, more by container_open
  supervisor: supervisor; // who is asked about refusals in here, null: nobody. No reference
  devices: u32; // container_device[nr_devices]: what may be opened, see device.ts
  nr_devices: u32;
  restricted: u32; // 1: the list counts, 0: container_devices was never called
  keyring: key; // what its members may use, null: nothing yet; holds a reference
  hooked: u32; // 1: the container_alloc hook has said yes, so container_free is due
  root_mnt: mount; // its root directory, where a process begins; references; null: the world's
  root: dentry;
  name0: u64; // [C] char name[24], NUL padded
  name1: u64;
  name2: u64;

  get children(): list_head {
    return list_at(changetype<usize>(this), offsetof<container>("children_next"));
  }
  get child_link(): list_head {
    return list_at(changetype<usize>(this), offsetof<container>("child_next"));
  }
  get waitq(): list_head {
    return list_at(changetype<usize>(this), offsetof<container>("waitq_next"));
  }
  static from_child_link(l: list_head): container {
    return changetype<container>(changetype<usize>(l) - offsetof<container>("child_next"));
  }
}

// Seeded faults: the defects of the posted patch, by their number (debug builds only).
const D_1 = 1;
const D_3 = 3;
const D_7 = 7;
const D_9 = 9;
const D_19 = 19;

/** Has this kernel containers at all (seed: CONFIG_CONTAINERS, sys_ni)? */
export function containers_enabled(): bool {
  return CONFIG_CONTAINERS && !root().no_containers;
}

export function container_caches_init(): void {
  kmem_cache_init(CACHE_CONTAINER, <u32>offsetof<container>());
}

function lock_of(c: container): usize {
  return changetype<usize>(c) + offsetof<container>("lock");
}
function tree_lock(): usize {
  return changetype<usize>(root()) + offsetof<kernel_root>("containers_lock");
}

export function is_init_container(c: container): bool {
  return changetype<usize>(c) == <usize>root().init_container;
}

export function container_dead(c: container): bool {
  return (c.flags & CONTAINER_FLAG_DEAD) != 0;
}

/** One more open file of `c`: a reference, and what KILL_ON_CLOSE counts. */
export function get_container_file(c: container): void {
  refcount_inc(changetype<usize>(c));
  c.nr_files += 1;
}

export function get_container(c: container): container {
  refcount_inc(changetype<usize>(c));
  return c;
}

/** A container that was never published goes. Return: `error` as an ERR_PTR. */
export function free_container(c: container, error: i32): container {
  free_uid(c.user);
  path_put(c.root_mnt, c.root);
  put_cred(c.cred);
  put_nsproxy(c.ns);
  container_freed(c);
  return ERR_PTR<container>(error);
}

/**
 * The memory of `c` goes. DEVIATION: D-19 - the container_free hook runs for those alone that
 * container_alloc has seen; it cannot sleep, so it is an event.
 */
function container_freed(c: container): void {
  if ((c.hooked || seeded_fault(D_19)) && root().hooks & HOOK_CONTAINER_FREE) {
    emit_container_free(changetype<usize>(c), c.id);
  } else {
    kmem_cache_free(CACHE_CONTAINER, changetype<usize>(c));
  }
}

/** DEVIATION: D-22 - containers are counted to the user who made them. */
function uncount_container(u: user_struct): void {
  u.nr_containers -= 1;
  free_uid(u);
}

/** Drops a reference and, while that was the last one, the parent's: no recursion at any depth. */
export function put_container(c: container): void {
  while (!nil(c) && refcount_dec_and_test(changetype<usize>(c))) {
    const parent = c.parent;
    // DEVIATION: D-18 - the container leaves its parent's list before anything is freed, so that
    // no reader can find it with a count of zero.
    const lock = tree_lock();
    spin_lock(lock, LOCK_CONTAINERS);
    list_head.del(c.child_link);
    root().nr_containers -= 1;
    uncount_container(c.user);
    spin_unlock(lock, LOCK_CONTAINERS);
    path_put(c.root_mnt, c.root);
    put_cred(c.cred);
    put_nsproxy(c.ns);
    put_pid(c.init_pid);
    kfree(c.members, c.members_cap << 2);
    kfree(c.devices, c.nr_devices * DEVICE_BYTES);
    key_put(c.keyring);
    container_freed(c);
    c = parent;
  }
}

/** Room for one more member, so that joining cannot fail; false when memory is exhausted. */
export function reserve_member(c: container): bool {
  // DEVIATION: D-23 - .init keeps no list: every fork of an uncontained task would contend on it.
  if (is_init_container(c) || c.members_len < c.members_cap) return true;
  if (c.members_cap >= 16 && c.nr_members <= c.members_cap >> 1) {
    compact_members(c);
    return true;
  }
  const cap = c.members_cap ? c.members_cap << 1 : 4;
  const vector = kmalloc(cap << 2);
  if (!vector) return false;
  memory.copy(vector, c.members, c.members_len << 2);
  kfree(c.members, c.members_cap << 2);
  c.members = <u32>vector;
  c.members_cap = cap;
  return true;
}

/** Closes the gaps that leavers left; the order stays. */
function compact_members(c: container): void {
  let to: u32 = 0;
  for (let from: u32 = 0; from < c.members_len; ++from) {
    const entry = load<u32>(c.members + (from << 2));
    if (!entry) continue;
    store<u32>(c.members + (to << 2), entry);
    changetype<task_struct>(<usize>entry).member_slot = to;
    to += 1;
  }
  c.members_len = to;
}

/** `leader` joins: one more process. reserve_member() has made room. */
export function container_join(c: container, leader: task_struct): void {
  leader.container = get_container(c);
  c.nr_members += 1;
  if (is_init_container(c)) return;
  const lock = lock_of(c);
  spin_lock(lock, LOCK_CONTAINER);
  const slot = c.members_len;
  store<u32>(c.members + (slot << 2), <u32>changetype<usize>(leader));
  leader.member_slot = slot;
  c.members_len = slot + 1;
  spin_unlock(lock, LOCK_CONTAINER);
}

/** Takes `leader` off the members and drops the membership's reference. */
export function container_leave(leader: task_struct): void {
  const c = leader.container;
  c.nr_members -= 1;
  if (!is_init_container(c)) {
    const lock = lock_of(c);
    spin_lock(lock, LOCK_CONTAINER);
    const slot = leader.member_slot;
    store<u32>(c.members + (slot << 2), 0);
    // a leaver at the end frees its place at once
    if (slot + 1 == c.members_len) c.members_len = slot;
    spin_unlock(lock, LOCK_CONTAINER);
    if (c.nr_members == 0) {
      if (root().audit) audit_container_drop(c, leader.pid);
      if (container_dead(c)) wake_up_all(c.waitq);
    }
  }
  put_container(c);
}

/** exec by another thread: the new leader takes the old one's place. */
export function container_replace_leader(old: task_struct, leader: task_struct): void {
  const c = old.container;
  leader.container = c;
  if (is_init_container(c)) return;
  leader.member_slot = old.member_slot;
  store<u32>(c.members + (leader.member_slot << 2), <u32>changetype<usize>(leader));
}

/** The first process of `c`: it becomes init. */
export function container_start(c: container, init: signal_struct, number: pid): void {
  refcount_inc(changetype<usize>(init));
  c.init = init;
  put_pid(c.init_pid);
  refcount_inc(changetype<usize>(number));
  c.init_pid = number;
  c.flags |= CONTAINER_FLAG_INIT_STARTED;
}

/** Next container of the subtree of `top` in preorder, null at the end. No recursion, no stack. */
export function next_in_tree(c: container, top: container): container {
  if (!list_head.empty(c.children)) return container.from_child_link(c.children.next);
  while (!same(c, top)) {
    const next = c.child_link.next;
    if (next !== c.parent.children) return container.from_child_link(next);
    c = c.parent;
  }
  return changetype<container>(0);
}

function mark_dead(c: container, exit_code: i32): void {
  const lock = lock_of(c);
  spin_lock(lock, LOCK_CONTAINER);
  if (!container_dead(c)) {
    c.exit_code = exit_code;
    c.flags |= CONTAINER_FLAG_DEAD;
    const init = c.init;
    c.init = changetype<signal_struct>(0);
    spin_unlock(lock, LOCK_CONTAINER);
    if (!nil(init)) put_signal_struct(init);
    // DEVIATION: D-1 - the queue that poll sleeps on is woken, not the flag word's.
    if (!seeded_fault(D_1)) wake_up_all(c.waitq);
    if (!nil(c.supervisor)) wake_up_all(c.supervisor.waitq);
    return;
  }
  spin_unlock(lock, LOCK_CONTAINER);
}

/** Is `c` the container `top` or nested in it? */
export function in_tree(c: container, top: container): bool {
  while (!nil(c) && c.depth > top.depth) c = c.parent;
  return same(c, top);
}

/** SIGKILL for every member, in order of entry. */
export function kill_members(c: container): void {
  // an address outside the loop's loads: the vector does not move while signals are only marked
  const members = c.members;
  const len = c.members_len;
  for (let i: u32 = 0; i < len; ++i) {
    const entry = load<u32>(members + (i << 2));
    // DEVIATION: D-10, D-11 - a kernel signal: it also kills a nested namespace's init.
    if (entry) send_sigkill_group(changetype<task_struct>(<usize>entry));
  }
}

/**
 * The container dies: it and everything nested in it is DEAD first, top down, then every member
 * gets SIGKILL. `exit_code`: init's wait status.
 */
export function kill_container(c: container, exit_code: i32): void {
  if (root().audit && !container_dead(c)) audit_container_dead(c, exit_code);
  if (!container_dead(c)) emit(EVENT_CONTAINER_DEAD, 0, exit_code, <i32>c.id, <i32>(c.id >> 32), 0);
  // DEVIATION: D-7 - nested containers die too, and none can begin meanwhile (D-24).
  if (seeded_fault(D_7)) {
    mark_dead(c, exit_code);
    kill_members(c);
    return;
  }
  for (let at = c; !nil(at); at = next_in_tree(at, c)) mark_dead(at, exit_code);
  for (let at = c; !nil(at); at = next_in_tree(at, c)) kill_members(at);
}

/**
 * A process ends: its last thread is on its way out. If it was init, the container dies with it.
 * DEVIATION: D-8 - init is a thread group: a leader that leaves early, or an exec by another
 * thread, changes nothing. D-12 - `exit_code` is the group's, as wait4 reports it.
 */
export function exit_container(leader: task_struct, exit_code: i32): void {
  const c = leader.container;
  if (nil(c)) return;
  if (same(c.init, leader.signal) && !nil(c.init)) kill_container(c, exit_code);
  if (!seeded_fault(D_9)) container_leave(leader);
  leader.container = changetype<container>(0);
}

/**
 * An open file of the container is released.
 * DEVIATION: D-3 - KILL_ON_CLOSE takes effect at the last one, for nested containers as well.
 */
export function container_file_release(c: container): void {
  c.nr_files -= 1;
  if (c.nr_files == 0 && c.flags & CONTAINER_FLAG_KILL_ON_CLOSE && !seeded_fault(D_3)) {
    if (c.flags & CONTAINER_FLAG_INIT_STARTED && !container_dead(c)) kill_tree(c);
  }
  put_container(c);
}

/**
 * SIGKILL for all members of `c` and of what is nested in it, in order of entry. DEAD comes with
 * init's own end: its exit code is not known before.
 */
export function kill_tree(c: container): void {
  if (root().audit) audit_container_kill(NULL<task_struct>(), c, SIGKILL, false, 0);
  for (let at = c; !nil(at); at = next_in_tree(at, c)) kill_members(at);
}
