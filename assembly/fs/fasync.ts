// Signals of open files that became ready (fs/fcntl.c): who is told of a file, and which files are
// told of, on the queues that their events wake.
import { nil } from "../lib/err.ts";
import { epitem } from "./epoll.ts";
import { file } from "./file.ts";
import { list_at, list_head } from "../lib/list.ts";
import { pid, put_pid } from "../process/pid.ts";
import { root } from "../lib/root.ts";
import { signal_struct } from "../process/signal-struct.ts";
import { has_own_codes, scratch_siginfo, send_signal } from "../signal/signal.ts";
import { SIGINFO_BYTES } from "../signal/sigqueue.ts";
import { kfree, kzalloc } from "../lib/slab.ts";
import { zero } from "../lib/zero.ts";
import { task_struct } from "../process/task.ts";
import { ENOMEM } from "../uapi/errno.ts";
import * as O from "../uapi/fcntl.ts";
import * as N from "../uapi/signal.ts";
import { waiter } from "../process/waitqueue.ts";

/** struct fown_struct - kmalloc'd: whom a file tells, and how. It lives as long as the file. */
@unmanaged
export class fown_struct {
  pid: pid; // holds a reference; null: nobody
  type: u32; // F_OWNER_*
  signum: i32; // F_SETSIG; 0: SIGIO, which says nothing of the file
  uid: i32; // kuids of whoever set the owner
  euid: i32;
  fasync: fasync_struct; // its places on queues while it has O_ASYNC, by fasync_struct.next
}

/**
 * struct fasync_struct - kmalloc'd: a file with O_ASYNC on a queue that its events wake. There it
 * begins like an epoll item that asks for nothing; no such item is without its epoll file.
 */
@unmanaged
export class fasync_struct {
  link_next: u32; // list_head
  link_prev: u32;
  task: task_struct; // [C] null
  fown: fown_struct; // [C] no reference
  fd: i32; // [C] descriptor that asked for it
  next: fasync_struct;
  pad0: u64;
  ep: u32; // [C] 0
  pad1: u32;
  pad2: u64;
  events: u32; // [C] 0
}
if (offsetof<fasync_struct>("task") != offsetof<epitem>("task")) ERROR("as of epitem");
if (offsetof<fasync_struct>("ep") != offsetof<epitem>("ep")) ERROR("as of epitem");
if (offsetof<fasync_struct>("events") != offsetof<epitem>("events")) ERROR("as of epitem");

/** What POLL_IN and its successors say in si_band. */
function band_of(reason: i32): u32 {
  if (reason == N.POLL_IN) return O.POLLIN | O.POLLRDNORM;
  if (reason == N.POLL_OUT) return O.POLLOUT | O.POLLWRNORM | O.POLLWRBAND;
  return reason == N.POLL_ERR ? O.POLLERR : O.POLLHUP | O.POLLERR;
}

/** The record of whom `at` tells, made where there is none; null when memory is exhausted. */
export function file_f_owner_allocate(at: file): fown_struct {
  if (nil(at.f_owner)) {
    at.f_owner = changetype<fown_struct>(kzalloc(<u32>offsetof<fown_struct>()));
  }
  return at.f_owner;
}

/** Takes a file off the queues; false: it stood on none. */
export function fasync_remove(fown: fown_struct): bool {
  let fa = fown.fasync;
  if (nil(fa)) return false;
  fown.fasync = changetype<fasync_struct>(0);
  while (!nil(fa)) {
    const next = fa.next;
    list_head.del(list_at(changetype<usize>(fa), 0));
    kfree(changetype<usize>(fa), <u32>offsetof<fasync_struct>());
    root().nr_fasync -= 1;
    fa = next;
  }
  return true;
}

/** Puts a file on one queue more, by descriptor `fd`. 0 or -ENOMEM. */
export function fasync_insert(fown: fown_struct, fd: i32, queue: list_head): i32 {
  const fa = changetype<fasync_struct>(kzalloc(<u32>offsetof<fasync_struct>()));
  if (nil(fa)) return -ENOMEM;
  fa.fown = fown;
  fa.fd = fd;
  fa.next = fown.fasync;
  fown.fasync = fa;
  list_head.add_tail(list_at(changetype<usize>(fa), 0), queue);
  root().nr_fasync += 1;
  return 0;
}

/** A file with an owner is closed. */
export function f_owner_release(at: file): void {
  const fown = at.f_owner;
  fasync_remove(fown);
  if (!nil(fown.pid)) put_pid(fown.pid);
  at.f_owner = changetype<fown_struct>(0);
  kfree(changetype<usize>(fown), <u32>offsetof<fown_struct>());
}

/** May the one who set the owner send `p` a signal? */
function sigio_perm(p: task_struct, fown: fown_struct): bool {
  const c = p.cred;
  const euid = fown.euid;
  if (euid == 0 || euid == c.suid || euid == c.uid) return true;
  return fown.uid == c.suid || fown.uid == c.uid;
}

function send_sigio_to_task(p: task_struct, fown: fown_struct, fd: i32, reason: i32): void {
  if (!sigio_perm(p, fown)) return;
  const group = fown.type != O.F_OWNER_TID;
  const info = scratch_siginfo();
  const signum = fown.signum;
  zero(changetype<usize>(info), SIGINFO_BYTES);
  if (signum) {
    info.signo = signum;
    // where positive codes mean something else the code says only what kind of signal it is
    const other = signum != N.SIGIO && has_own_codes(signum);
    info.code = other ? N.SI_SIGIO : reason;
    // si_band and si_fd lie where a signal with a value has its sender and the value
    info.pid = <i32>band_of(reason);
    info.value = <u32>fd;
    if (send_signal(p, info, group, false) == 0) return;
    zero(changetype<usize>(info), SIGINFO_BYTES);
  }
  info.signo = N.SIGIO;
  info.code = N.SI_KERNEL;
  send_signal(p, info, group, true);
}

function send_sigio(fown: fown_struct, fd: i32, reason: i32): void {
  const who = fown.pid;
  if (nil(who)) return;
  if (fown.type != O.F_OWNER_PGRP) {
    const p: task_struct = who.task;
    if (!nil(p)) send_sigio_to_task(p, fown, fd, reason);
    return;
  }
  const head = who.members;
  for (let at = head.next; at !== head; at = at.next) {
    send_sigio_to_task(signal_struct.from_pgrp_link(at).leader, fown, fd, reason);
  }
}

/**
 * Tells the owners of the files with O_ASYNC on `queue` that `reason` (POLL_*) has come about.
 * The caller has seen that there are such files at all: root().nr_fasync.
 */
export function kill_fasync(queue: list_head, reason: i32): void {
  for (let at = queue.next; at !== queue; at = at.next) {
    const fa = changetype<fasync_struct>(changetype<usize>(at));
    if (!nil(changetype<waiter>(changetype<usize>(at)).task) || fa.ep) continue;
    send_sigio(fa.fown, fa.fd, reason);
  }
}
