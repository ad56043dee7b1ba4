// Shared memory: segments and who has them attached where (ipc/shm.c). Where memory lies is the
// world's to say; the kernel counts.
import { NULL, nil, same } from "../lib/err.ts";
import * as B from "./ipc.ts";
import { ipc_namespace, kern_ipc_perm } from "./ipc.ts";
import { get_ns, put_ns } from "../namespace/namespace.ts";
import { pid, put_pid } from "../process/pid.ts";
import { root } from "../lib/root.ts";
import { SIGNAL_SHM, signal_struct } from "../process/signal-struct.ts";
import { task_struct } from "../process/task.ts";
import { ENOMEM, ESRCH } from "../uapi/errno.ts";
import {
  IPC_PRIVATE,
  MEMORY_LOCK,
  MEMORY_MOVE,
  MEMORY_PROTECT,
  MEMORY_UNMAP,
  SHM_DEST,
  SHM_VM_ADVICE,
  SHM_VM_LOCKED,
  SHM_VM_PROT,
} from "../uapi/ipc.ts";

/** struct shmid_kernel - a segment. */
@unmanaged
export class shmid_kernel extends kern_ipc_perm {
  ns: ipc_namespace; // [C] attachments hold references to it
  nattch: i32;
  segsz: u64; // [C] bytes
  atime: u64; // seconds
  dtime: u64;
  ctime: u64;
  cprid: pid; // who made it; holds a reference
  lprid: pid; // who attached or detached it last; holds a reference
}
const SHM_BYTES: u32 = <u32>offsetof<shmid_kernel>();

/**
 * struct shm_attach - a process has a segment, or pages of it, at an address: one for each
 * vm_area_struct, which parts of an attachment become when they are locked or protected by
 * themselves. They never become one again.
 */
@unmanaged
export class shm_attach {
  next: shm_attach; // root.shm_attaches
  shp: shmid_kernel; // counted in its nattch
  owner: signal_struct; // goes with it, or with its exec
  vm_flags: u32; // SHM_VM_*
  first: u32; // pages of the segment that it has: the first one, and how many
  pages: u32;
  addr: u64; // where the segment's beginning is, or would be
}
const ATTACH_BYTES: u32 = 32;
const PAGE_SHIFT: u64 = 12;

function first(): shm_attach {
  return changetype<shm_attach>(<usize>root().shm_attaches);
}

export function alloc_segment(p: task_struct, size: u64): shmid_kernel {
  const shp = changetype<shmid_kernel>(B.ipc_alloc(SHM_BYTES));
  if (nil(shp)) return shp;
  shp.ns = B.ipc_ns_of(p);
  shp.segsz = size;
  shp.ctime = B.ipc_now();
  return shp;
}

/** A segment that has never had a number. */
export function free_segment(shp: shmid_kernel): void {
  B.ipc_free(changetype<usize>(shp), SHM_BYTES);
}

export function set_creator(p: task_struct, shp: shmid_kernel): void {
  B.ipc_update_pid(changetype<usize>(shp) + offsetof<shmid_kernel>("cprid"), p);
}

function touched(p: task_struct, shp: shmid_kernel): void {
  B.ipc_update_pid(changetype<usize>(shp) + offsetof<shmid_kernel>("lprid"), p);
}

function shm_destroy(shp: shmid_kernel): void {
  put_pid(shp.cprid);
  put_pid(shp.lprid);
  B.ipc_rmid(B.ids_of(shp.ns, B.IPC_SHM), shp);
  free_segment(shp);
}

/** IPC_RMID: now, or when nobody has it attached any more. */
export function shm_rmid(shp: shmid_kernel): void {
  if (!shp.nattch) {
    shm_destroy(shp);
    return;
  }
  shp.mode |= SHM_DEST;
  shp.key = IPC_PRIVATE;
}

/** One more process has `shp`; false when memory is exhausted. */
function attach(owner: signal_struct, shp: shmid_kernel, addr: u64): shm_attach {
  const a = changetype<shm_attach>(B.ipc_alloc(ATTACH_BYTES));
  if (nil(a)) return a;
  a.shp = shp;
  a.owner = owner;
  a.addr = addr;
  a.pages = <u32>((shp.segsz + (1 << PAGE_SHIFT) - 1) >> PAGE_SHIFT);
  a.next = first();
  root().shm_attaches = <u32>changetype<usize>(a);
  owner.flags |= SIGNAL_SHM;
  shp.nattch += 1;
  get_ns(shp.ns);
  return a;
}

/** `p` attaches `shp` at `addr`. */
export function shm_open(p: task_struct, shp: shmid_kernel, addr: u64, vm_flags: u32): bool {
  const a = attach(p.signal, shp, addr);
  if (nil(a)) return false;
  a.vm_flags = vm_flags;
  shp.atime = B.ipc_now();
  touched(p, shp);
  return true;
}

/** Takes one attachment away, which stands behind `before`; `p` as for shm_close(). */
function detach(p: task_struct, before: shm_attach, a: shm_attach): void {
  if (nil(before)) root().shm_attaches = <u32>changetype<usize>(a.next);
  else before.next = a.next;
  const shp = a.shp;
  const ns = shp.ns;
  B.ipc_free(changetype<usize>(a), ATTACH_BYTES);
  if (!nil(p)) {
    shp.dtime = B.ipc_now();
    touched(p, shp);
  }
  shp.nattch -= 1;
  if (!shp.nattch && shp.mode & SHM_DEST) shm_destroy(shp);
  put_ns(ns);
}

/**
 * Takes the attachments of `owner` at `addr` (0: all of them) away; `p`: who does so, null for a
 * fork that fails. Return: how many.
 */
export function shm_close(p: task_struct, owner: signal_struct, addr: u64): i32 {
  let done = 0;
  let before = NULL<shm_attach>();
  let a = first();
  while (!nil(a)) {
    const next = a.next;
    if (same(a.owner, owner) && (!addr || a.addr == addr)) {
      detach(p, before, a);
      done += 1;
    } else {
      before = a;
    }
    a = next;
  }
  return done;
}

function start_of(a: shm_attach): u64 {
  return a.addr + ((<u64>a.first) << PAGE_SHIFT);
}

function end_of(a: shm_attach): u64 {
  return start_of(a) + ((<u64>a.pages) << PAGE_SHIFT);
}

/** Cuts an attachment in two at `at`, within it; the second part is a new one. */
function split(p: task_struct, a: shm_attach, at: u64): bool {
  const b = attach(a.owner, a.shp, a.addr);
  if (nil(b)) return false;
  const pages = <u32>((at - start_of(a)) >> PAGE_SHIFT);
  b.vm_flags = a.vm_flags;
  b.first = a.first + pages;
  b.pages = a.pages - pages;
  a.pages = pages;
  touched(p, a.shp);
  return true;
}

/** Does `p` have a part of this in [from, to)? */
function concerns(p: task_struct, a: shm_attach, from: u64, to: u64): bool {
  return same(a.owner, p.signal) && start_of(a) < to && end_of(a) > from;
}

/** Cuts what of `p` lies across the borders of [from, to). False: memory is exhausted. */
function split_at_borders(p: task_struct, from: u64, to: u64, mask: u32, flags: u32): bool {
  // new parts stand in front of the list: those of the first round are seen by the second
  for (let round = 0; round < 2; ++round) {
    const at = round ? to : from;
    for (let a = first(); !nil(a); a = a.next) {
      if (!concerns(p, a, from, to) || start_of(a) >= at || end_of(a) <= at) continue;
      if (mask && (a.vm_flags & mask) == flags) continue;
      if (!split(p, a, at)) return false;
    }
  }
  return true;
}

/** munmap(2), or something mapped in its place: what `p` has in [from, to) is gone. */
export function shm_unmap(p: task_struct, from: u64, to: u64): bool {
  if (!split_at_borders(p, from, to, 0, 0)) return false;
  let before = NULL<shm_attach>();
  let a = first();
  while (!nil(a)) {
    const next = a.next;
    if (concerns(p, a, from, to)) detach(p, before, a);
    else before = a;
    a = next;
  }
  return true;
}

/** mlock(2), mprotect(2) and the like: flags of what `p` has in [from, to) become others. */
function shm_change(p: task_struct, from: u64, to: u64, mask: u32, flags: u32): bool {
  if (!split_at_borders(p, from, to, mask, flags)) return false;
  for (let a = first(); !nil(a); a = a.next) {
    if (concerns(p, a, from, to)) a.vm_flags = (a.vm_flags & ~mask) | flags;
  }
  return true;
}

/** mremap(2): what `p` has in [from, to) lies at `at` now. */
function shm_move(p: task_struct, from: u64, to: u64, at: u64): bool {
  if (!split_at_borders(p, from, to, 0, 0)) return false;
  for (let a = first(); !nil(a); a = a.next) {
    if (concerns(p, a, from, to)) a.addr = a.addr - from + at;
  }
  return true;
}

/**
 * What became of `pages` pages of memory of `p`, as the host knows: they are gone, or lie at
 * `value`, or are locked or protected otherwise. Return: 0, -ESRCH or -ENOMEM.
 */
export function adopt_memory(p: task_struct, what: i32, from: u64, pages: u32, value: u64): i32 {
  if (nil(p)) return -ESRCH;
  const to = from + ((<u64>pages) << PAGE_SHIFT);
  const flags = <u32>value;
  let done: bool = true;
  if (what == MEMORY_UNMAP) done = shm_unmap(p, from, to);
  else if (what == MEMORY_MOVE) done = shm_move(p, from, to, value);
  else if (what == MEMORY_LOCK) done = shm_change(p, from, to, SHM_VM_LOCKED, flags);
  else if (what == MEMORY_PROTECT) done = shm_change(p, from, to, SHM_VM_PROT, flags << 1);
  else done = shm_change(p, from, to, flags & SHM_VM_ADVICE, flags & SHM_VM_ADVICE);
  return done ? 0 : -ENOMEM;
}

/** exec, or the end of the process: its memory is gone. */
export function exit_shm(p: task_struct): void {
  shm_close(p, p.signal, 0);
  p.signal.flags &= ~SIGNAL_SHM;
}

/** fork: the child has what its parent has. False when memory is exhausted: see uncopy_shm(). */
export function copy_shm(parent: task_struct, s: signal_struct): bool {
  for (let a = first(); !nil(a); a = a.next) {
    if (!same(a.owner, parent.signal)) continue;
    const b = attach(s, a.shp, a.addr);
    if (nil(b)) return false;
    b.vm_flags = a.vm_flags & ~SHM_VM_LOCKED;
    b.first = a.first;
    b.pages = a.pages;
    a.shp.atime = B.ipc_now();
    touched(parent, a.shp);
  }
  return true;
}

/** The fork has failed. */
export function uncopy_shm(s: signal_struct): void {
  if (s.flags & SIGNAL_SHM) shm_close(NULL<task_struct>(), s, 0);
}
