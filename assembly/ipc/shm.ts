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
import { IPC_PRIVATE, SHM_DEST } from "../uapi/ipc.ts";

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

/** struct shm_attach - a process has a segment at an address. */
@unmanaged
export class shm_attach {
  next: shm_attach; // root.shm_attaches
  shp: shmid_kernel; // counted in its nattch
  owner: signal_struct; // goes with it, or with its exec
  pad: u32;
  addr: u64;
}
const ATTACH_BYTES: u32 = 24;

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
function attach(owner: signal_struct, shp: shmid_kernel, addr: u64): bool {
  const a = changetype<shm_attach>(B.ipc_alloc(ATTACH_BYTES));
  if (nil(a)) return false;
  a.shp = shp;
  a.owner = owner;
  a.addr = addr;
  a.next = first();
  root().shm_attaches = <u32>changetype<usize>(a);
  owner.flags |= SIGNAL_SHM;
  shp.nattch += 1;
  get_ns(shp.ns);
  return true;
}

/** `p` attaches `shp` at `addr`. */
export function shm_open(p: task_struct, shp: shmid_kernel, addr: u64): bool {
  if (!attach(p.signal, shp, addr)) return false;
  shp.atime = B.ipc_now();
  touched(p, shp);
  return true;
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
    if (!same(a.owner, owner) || (addr && a.addr != addr)) {
      before = a;
      a = next;
      continue;
    }
    if (nil(before)) root().shm_attaches = <u32>changetype<usize>(next);
    else before.next = next;
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
    done += 1;
    a = next;
  }
  return done;
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
    if (!attach(s, a.shp, a.addr)) return false;
  }
  return true;
}

/** The fork has failed. */
export function uncopy_shm(s: signal_struct): void {
  if (s.flags & SIGNAL_SHM) shm_close(NULL<task_struct>(), s, 0);
}
