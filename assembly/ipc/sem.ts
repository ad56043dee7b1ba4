// Semaphore sets: their values, who waits for them, and what is undone at a process's end
// (ipc/sem.c). A sleeping semop keeps its operations in its frame; whoever changes a value carries
// out the first ones that can be, in the order in which they came, for those that sleep.
import { NULL, nil, same } from "../lib/err.ts";
import { frame } from "../lib/frame.ts";
import { kern_ipc_perm, ipc_alloc, ipc_free, ipc_now, ipc_update_pid } from "./ipc.ts";
import { ids_of, IPC_SEM, ipc_namespace, ipc_rmid } from "./ipc.ts";
import { list_at, list_head } from "../lib/list.ts";
import { pid, put_pid } from "../process/pid.ts";
import { root, SCRATCH_IOV } from "../lib/root.ts";
import { SIGNAL_SEM_UNDO, signal_struct } from "../process/signal-struct.ts";
import { rare, task_struct } from "../process/task.ts";
import { copy_from_user } from "../lib/uaccess.ts";
import * as E from "../uapi/errno.ts";
import { IPC_NOWAIT, SEM_UNDO, SEMVMX } from "../uapi/ipc.ts";
import { waiter, wake_up_process } from "../process/waitqueue.ts";

/** struct sem_array - a set; the sems lie behind it: value, struct pid of who changed it last. */
@unmanaged
export class sem_array extends kern_ipc_perm {
  ns: ipc_namespace; // [C] no reference: it goes with its namespace
  nsems: i32; // [C]
  wait_next: u32; // list_head: sleeping semops, oldest first
  wait_prev: u32;
  otime: u64; // seconds
  ctime: u64;

  get waiters(): list_head {
    return list_at(changetype<usize>(this), offsetof<sem_array>("wait_next"));
  }
}
const SEM_BYTES: u32 = 8;
export const SEMBUF_BYTES: u32 = 6;

/** struct sem_undo - what the end of `owner` adds to the values: one i16 for each behind it. */
@unmanaged
export class sem_undo {
  next: sem_undo; // root.sem_undos
  sma: sem_array; // goes with it
  owner: signal_struct; // goes with it
}
const UNDO_AT: usize = 12;

// frame.cookie of a sleeping semop
/** It sleeps. */
const PENDING: u32 = 0;
/** It has been carried out. */
const DONE: u32 = 1;
// else an errno

function bytes_of(nsems: i32): u32 {
  return <u32>offsetof<sem_array>() + <u32>nsems * SEM_BYTES;
}

export function alloc_sem_array(nsems: i32): sem_array {
  const sma = changetype<sem_array>(ipc_alloc(bytes_of(nsems)));
  if (nil(sma)) return sma;
  sma.nsems = nsems;
  sma.ctime = ipc_now();
  list_head.init(sma.waiters);
  return sma;
}

/** A set that has never had a number. */
export function free_sem_array(sma: sem_array): void {
  ipc_free(changetype<usize>(sma), bytes_of(sma.nsems));
}

/** Address of semaphore `i`: its value, then its pid. */
export function sem_at(sma: sem_array, i: i32): usize {
  return changetype<usize>(sma) + offsetof<sem_array>() + <usize>(<u32>i * SEM_BYTES);
}
export function semval(sma: sem_array, i: i32): i32 {
  return load<i32>(sem_at(sma, i));
}
export function sempid(sma: sem_array, i: i32): pid {
  return changetype<pid>(<usize>load<u32>(sem_at(sma, i), 4));
}
function set_sempid(sma: sem_array, i: i32, p: task_struct): void {
  ipc_update_pid(sem_at(sma, i) + 4, p);
}

function adj_at(un: sem_undo, i: i32): usize {
  return changetype<usize>(un) + UNDO_AT + ((<usize>i) << 1);
}

function first_undo(): sem_undo {
  return changetype<sem_undo>(<usize>root().sem_undos);
}

export function find_undo(s: signal_struct, sma: sem_array): sem_undo {
  let un = first_undo();
  while (!nil(un) && !(same(un.owner, s) && same(un.sma, sma))) un = un.next;
  return un;
}

function undo_bytes(nsems: i32): u32 {
  return <u32>UNDO_AT + ((<u32>nsems) << 1);
}

/** The undo list of `s` for a set, made when there is none; null: memory is exhausted. */
export function find_alloc_undo(s: signal_struct, sma: sem_array): sem_undo {
  const old = find_undo(s, sma);
  if (!nil(old)) return old;
  const un = changetype<sem_undo>(ipc_alloc(undo_bytes(sma.nsems)));
  if (nil(un)) return un;
  un.sma = sma;
  un.owner = s;
  un.next = first_undo();
  root().sem_undos = <u32>changetype<usize>(un);
  s.flags |= SIGNAL_SEM_UNDO;
  return un;
}

/** Frees the undo lists of `owner`, or of `sma`: whichever is not null. */
function drop_undos(owner: signal_struct, sma: sem_array): void {
  let before = NULL<sem_undo>();
  let un = first_undo();
  while (!nil(un)) {
    const next = un.next;
    if (same(un.owner, owner) || same(un.sma, sma)) {
      if (nil(before)) root().sem_undos = <u32>changetype<usize>(next);
      else before.next = next;
      ipc_free(changetype<usize>(un), undo_bytes(un.sma.nsems));
    } else {
      before = un;
    }
    un = next;
  }
}

/** A value has been set: what was to be undone of it is not any more. */
export function clear_undos(sma: sem_array, i: i32): void {
  for (let un = first_undo(); !nil(un); un = un.next) {
    if (same(un.sma, sma)) store<i16>(adj_at(un, i), 0);
  }
}

/** Takes the first `n` of the operations at `sops` back. */
function undo_ops(sma: sem_array, un: sem_undo, sops: usize, n: i32): void {
  for (let i = n - 1; i >= 0; --i) {
    const op = sops + <usize>(<u32>i * SEMBUF_BYTES);
    const num = <i32>load<u16>(op);
    const change = <i32>load<i16>(op, 2);
    store<i32>(sem_at(sma, num), semval(sma, num) - change);
    if (load<u16>(op, 4) & SEM_UNDO) {
      store<i16>(adj_at(un, num), <i16>(load<i16>(adj_at(un, num)) + change));
    }
  }
}

/**
 * Carries out all of the `n` operations at `sops`, or none. Return: 0, 1 when they have to wait,
 * -EAGAIN, -ERANGE. `look`: in any case none.
 */
export function perform_semop(
  p: task_struct,
  sma: sem_array,
  un: sem_undo,
  sops: usize,
  n: i32,
  look: bool,
): i32 {
  for (let i = 0; i < n; ++i) {
    const op = sops + <usize>(<u32>i * SEMBUF_BYTES);
    const num = <i32>load<u16>(op);
    const change = <i32>load<i16>(op, 2);
    const flags = <i32>load<u16>(op, 4);
    const value = semval(sma, num) + change;
    let r = 0;
    if ((!change && value) || value < 0) r = flags & IPC_NOWAIT ? -E.EAGAIN : 1;
    else if (value > SEMVMX) r = -E.ERANGE;
    else if (flags & SEM_UNDO && !nil(un)) {
      const adj = <i32>load<i16>(adj_at(un, num)) - change;
      if (adj < -SEMVMX - 1 || adj > SEMVMX) r = -E.ERANGE;
      else store<i16>(adj_at(un, num), <i16>adj);
    }
    if (r) {
      undo_ops(sma, un, sops, i);
      return r;
    }
    store<i32>(sem_at(sma, num), value);
  }
  if (look) {
    undo_ops(sma, un, sops, n);
    return 0;
  }
  for (let i = 0; i < n; ++i) {
    set_sempid(sma, <i32>load<u16>(sops + <usize>(<u32>i * SEMBUF_BYTES)), p);
  }
  return 0;
}

/** Does any of the operations change a value? */
export function alters(sops: usize, n: i32): bool {
  for (let i = 0; i < n; ++i) if (load<i16>(sops + <usize>(<u32>i * SEMBUF_BYTES), 2)) return true;
  return false;
}

function ends(t: task_struct, f: frame, cookie: u32): void {
  f.cookie = cookie;
  wake_up_process(t);
}

/** Values have changed: sleeping operations that can be carried out now are, oldest first. */
export function update_queue(sma: sem_array): void {
  const head = sma.waiters;
  let at = head.next;
  while (at !== head) {
    const t = changetype<waiter>(changetype<usize>(at)).task;
    at = at.next;
    const f = rare(t).frame;
    if (f.cookie != PENDING || f.expired) continue;
    const n = <i32>f.a2;
    // they were read when it went to sleep; the scratch buffer is the caller's
    if (copy_from_user(f, SCRATCH_IOV, f.a1, <u32>n * SEMBUF_BYTES)) continue;
    const un = find_undo(t.signal, sma);
    const r = perform_semop(t, sma, un, SCRATCH_IOV, n, false);
    if (r > 0) continue;
    ends(t, f, r ? <u32>-r : DONE);
    if (r || !alters(SCRATCH_IOV, n)) continue;
    // others may be able to go on now
    sma.otime = ipc_now();
    at = head.next;
  }
  if (root().clock) sma.otime = ipc_now();
}

/** How many sleeping operations wait for semaphore `num` to grow, or with `zero` to be zero. */
export function count_waiting(sma: sem_array, num: i32, zero: bool): i32 {
  let count = 0;
  const head = sma.waiters;
  for (let at = head.next; at !== head; at = at.next) {
    const f = rare(changetype<waiter>(changetype<usize>(at)).task).frame;
    const n = <i32>f.a2;
    if (f.cookie != PENDING || copy_from_user(f, SCRATCH_IOV, f.a1, <u32>n * SEMBUF_BYTES))
      continue;
    count += blocks_on(sma, SCRATCH_IOV, n, num, zero);
  }
  return count;
}

/** Is it semaphore `num` that the operations wait for? 0 or 1. */
function blocks_on(sma: sem_array, sops: usize, n: i32, num: i32, zero: bool): i32 {
  for (let i = 0; i < n; ++i) {
    const op = sops + <usize>(<u32>i * SEMBUF_BYTES);
    const change = <i32>load<i16>(op, 2);
    const value = semval(sma, <i32>load<u16>(op));
    if (change ? value + change >= 0 : value == 0) continue;
    return <i32>load<u16>(op) == num && (change == 0) == zero ? 1 : 0;
  }
  return 0;
}

/** What a sleeping semop has come to: 1 when it still waits. */
export function semop_status(f: frame): i32 {
  if (f.cookie == PENDING) return 1;
  return f.cookie == DONE ? 0 : -(<i32>f.cookie);
}

/** The set is removed: who waits for it hears of it, what was to be undone is forgotten. */
export function freeary(sma: sem_array): void {
  const head = sma.waiters;
  while (!list_head.empty(head)) {
    const at = head.next;
    const t = changetype<waiter>(changetype<usize>(at)).task;
    // the waiter goes when its task runs: on no list by then
    list_head.del_init(at);
    if (rare(t).frame.cookie == PENDING) ends(t, rare(t).frame, E.EIDRM);
  }
  drop_undos(NULL<signal_struct>(), sma);
  for (let i = 0; i < sma.nsems; ++i) {
    const last = sempid(sma, i);
    if (!nil(last)) put_pid(last);
  }
  ipc_rmid(ids_of(sma.ns, IPC_SEM), sma);
  ipc_free(changetype<usize>(sma), bytes_of(sma.nsems));
}

/** The end of the last thread of `p`'s process, or its move to another namespace: exit_sem. */
export function exit_sem(p: task_struct): void {
  const s = p.signal;
  for (let un = first_undo(); !nil(un); un = un.next) {
    if (!same(un.owner, s)) continue;
    const sma = un.sma;
    for (let i = 0; i < sma.nsems; ++i) {
      const adj = <i32>load<i16>(adj_at(un, i));
      if (!adj) continue;
      store<i16>(adj_at(un, i), 0);
      store<i32>(sem_at(sma, i), max(0, min(SEMVMX, semval(sma, i) + adj)));
      set_sempid(sma, i, p);
    }
    update_queue(sma);
  }
  drop_undos(s, NULL<sem_array>());
  s.flags &= ~SIGNAL_SEM_UNDO;
}
