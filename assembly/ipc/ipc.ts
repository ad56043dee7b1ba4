// What semaphores, message queues and shared memory have in common: a number within their
// namespace, a key, who owns them and who may do what (ipc/util.c).
import { cred_ns_capable } from "../cred/cred.ts";
import { groups_search } from "../cred/groups.ts";
import { ERR_PTR, NULL, nil } from "../lib/err.ts";
import { frame } from "../lib/frame.ts";
import { ns_common } from "../namespace/namespace.ts";
import { mq_namespace } from "./mqueue.ts";
import { nsproxy } from "../namespace/nsproxy.ts";
import { get_pid, pid, pid_nr_ns, put_pid, task_active_pid_ns } from "../process/pid.ts";
import { root, SCRATCH_USER } from "../lib/root.ts";
import { copy_to_user } from "../lib/uaccess.ts";
import { kfree, kzalloc } from "../lib/slab.ts";
import { cold, task_struct } from "../process/task.ts";
import { from_kuid_munged, make_kuid, user_namespace } from "../namespace/user-namespace.ts";
import { from_kgid_munged, make_kgid } from "../namespace/user-namespace.ts";
import { CAP_IPC_OWNER, CAP_SYS_ADMIN } from "../uapi/capability.ts";
import * as E from "../uapi/errno.ts";
import { ASSIST_PID } from "../uapi/frame.ts";
import * as I from "../uapi/ipc.ts";

// Kinds, and places in ipc_state.
export const IPC_SEM = 0;
export const IPC_MSG = 1;
export const IPC_SHM = 2;

const SEQ_SHIFT = 15;
const SEQ_MAX = 0xffff;
/** A number is not given again before so many others. */
const MIN_CYCLE = 64;
const FIRST_ENTRIES = 16;

/** struct kern_ipc_perm - head of every object; kmalloc'd. */
@unmanaged
export class kern_ipc_perm {
  id: i32; // [C] index and sequence number
  key: i32;
  uid: i32;
  gid: i32;
  cuid: i32; // [C] who made it
  cgid: i32; // [C]
  mode: u32;
  pad: u32;
}

/** struct ipc_ids - the objects of one kind by index. */
@unmanaged
export class ipc_ids {
  in_use: i32;
  seq: i32;
  last_idx: i32; // given last
  next_idx: i32; // where the search for a free one begins
  len: i32; // places
  entries: u32; // kern_ipc_perm*[len]
}
const IDS_BYTES: u32 = 24;
const STATE_BYTES: u32 = 72;

/** struct ipc_namespace - begins with the head that every namespace has. */
@unmanaged
export class ipc_namespace extends ns_common {
  state: u32; // ipc_ids[3], 0 until something is made
  mq: mq_namespace; // POSIX message queues; null until the first call on one
}

export function ipc_ns_of(p: task_struct): ipc_namespace {
  const proxy: nsproxy = cold(p).nsproxy;
  return changetype<ipc_namespace>(changetype<usize>(proxy.ipc_ns));
}

/** Objects of `kind`; null: none was ever made. */
export function ids_of(ns: ipc_namespace, kind: i32): ipc_ids {
  return changetype<ipc_ids>(ns.state ? <usize>(ns.state + <u32>kind * IDS_BYTES) : 0);
}

/** Memory of an object, a message, an undo list or an attachment: what the checker counts. */
export function ipc_alloc(bytes: u32): usize {
  const at = kzalloc(bytes);
  if (at) root().nr_ipc += 1;
  return at;
}

export function ipc_free(at: usize, bytes: u32): void {
  root().nr_ipc -= 1;
  kfree(at, bytes);
}

export function entry_at(ids: ipc_ids, index: i32): kern_ipc_perm {
  if (nil(ids) || <u32>index >= <u32>ids.len) return NULL<kern_ipc_perm>();
  return changetype<kern_ipc_perm>(<usize>load<u32>(ids.entries + (index << 2)));
}

/** The object of number `id`. ERR_PTR of EINVAL: there is none, EIDRM: that one is gone. */
export function ipc_obtain(p: task_struct, kind: i32, id: i32): kern_ipc_perm {
  if (id < 0) return ERR_PTR<kern_ipc_perm>(-E.EINVAL);
  const at = entry_at(ids_of(ipc_ns_of(p), kind), id & (I.IPCMNI - 1));
  if (nil(at)) return ERR_PTR<kern_ipc_perm>(-E.EINVAL);
  return at.id == id ? at : ERR_PTR<kern_ipc_perm>(-E.EIDRM);
}

/** The same by index: SEM_STAT and the like. ERR_PTR of EINVAL. */
export function ipc_obtain_index(p: task_struct, kind: i32, index: i32): kern_ipc_perm {
  const at = entry_at(ids_of(ipc_ns_of(p), kind), index & (I.IPCMNI - 1));
  return nil(at) || index < 0 ? ERR_PTR<kern_ipc_perm>(-E.EINVAL) : at;
}

export function ipc_find_key(ids: ipc_ids, key: i32): kern_ipc_perm {
  if (nil(ids)) return NULL<kern_ipc_perm>();
  for (let i = 0; i < ids.len; ++i) {
    const at = entry_at(ids, i);
    if (!nil(at) && at.key == key) return at;
  }
  return NULL<kern_ipc_perm>();
}

/** Highest index in use, as the INFO commands give it; 0 when there is none. */
export function ipc_max_index(ids: ipc_ids): i32 {
  if (nil(ids)) return 0;
  for (let i = ids.len - 1; i > 0; --i) if (!nil(entry_at(ids, i))) return i;
  return 0;
}

function user_ns_of(ns: ipc_namespace): user_namespace {
  return changetype<user_namespace>(<usize>ns.user_ns);
}

/** May `p` do with an object what the permission bits of `flags` ask for? 0 or -EACCES. */
export function ipcperms(p: task_struct, at: kern_ipc_perm, flags: u32): i32 {
  const c = p.cred;
  const asked = (flags >> 6) | (flags >> 3) | flags;
  let granted = at.mode;
  if (c.euid == at.cuid || c.euid == at.uid) granted >>= 6;
  else if (in_group_p(p, at.cgid) || in_group_p(p, at.gid)) granted >>= 3;
  if (!(asked & ~granted & 7)) return 0;
  return cred_ns_capable(c, user_ns_of(ipc_ns_of(p)), CAP_IPC_OWNER) ? 0 : -E.EACCES;
}

function in_group_p(p: task_struct, gid: i32): bool {
  return gid == p.cred.fsgid || groups_search(p.cred.groups, gid);
}

/** May `p` change or remove an object? 0 or -EPERM. */
export function ipc_owned(p: task_struct, at: kern_ipc_perm): i32 {
  const euid = p.cred.euid;
  if (euid == at.cuid || euid == at.uid) return 0;
  return cred_ns_capable(p.cred, user_ns_of(ipc_ns_of(p)), CAP_SYS_ADMIN) ? 0 : -E.EPERM;
}

/** Room for index `index`; false when memory is exhausted. */
function reserve(ids: ipc_ids, index: i32): bool {
  if (index < ids.len) return true;
  let len = ids.len ? ids.len : FIRST_ENTRIES;
  while (len <= index) len <<= 1;
  const entries = kzalloc((<u32>len) << 2);
  if (!entries) return false;
  memory.copy(entries, ids.entries, (<usize>ids.len) << 2);
  if (ids.entries) kfree(ids.entries, (<u32>ids.len) << 2);
  ids.entries = <u32>entries;
  ids.len = len;
  return true;
}

/** A free index: the next one in a cycle that grows with their number. */
function free_index(ids: ipc_ids): i32 {
  const end = min(max(ids.in_use + (ids.in_use >> 1), MIN_CYCLE), I.IPCMNI);
  for (let i = ids.next_idx; i < end; ++i) if (nil(entry_at(ids, i))) return i;
  for (let i = 0; i < end; ++i) if (nil(entry_at(ids, i))) return i;
  return -1;
}

/** Is the namespace one that others than the kernel's tasks may be in? */
function is_initial(ns: ipc_namespace): bool {
  const proxy = changetype<nsproxy>(<usize>root().init_nsproxy);
  return changetype<usize>(proxy.ipc_ns) == changetype<usize>(ns);
}

/**
 * Gives the new object `at` its number, its owner and its mode. In the initial namespace the world
 * may say the number. Return: the number, -ENOSPC with `limit` of them there, -ENOMEM.
 */
export function ipc_addid(
  p: task_struct,
  f: frame,
  kind: i32,
  at: kern_ipc_perm,
  key: i32,
  flags: u32,
  limit: i32,
): i32 {
  const ns = ipc_ns_of(p);
  if (!ns.state) {
    const state = kzalloc(STATE_BYTES);
    if (!state) return -E.ENOMEM;
    ns.state = <u32>state;
    for (let i = 0; i < 3; ++i) ids_of(ns, i).last_idx = -1;
  }
  const ids = ids_of(ns, kind);
  if (ids.in_use >= limit) return -E.ENOSPC;
  const told = (f.assist & ASSIST_PID) != 0 && is_initial(ns);
  const index = told ? f.assist_pid & (I.IPCMNI - 1) : free_index(ids);
  if (index < 0 || !nil(entry_at(ids, index))) return -E.ENOSPC;
  if (!reserve(ids, index)) return -E.ENOMEM;
  if (told) ids.seq = f.assist_pid >> SEQ_SHIFT;
  else if (index <= ids.last_idx) ids.seq = ids.seq >= SEQ_MAX ? 0 : ids.seq + 1;
  ids.last_idx = index;
  ids.next_idx = index + 1;
  ids.in_use += 1;
  const c = p.cred;
  at.id = (ids.seq << SEQ_SHIFT) + index;
  at.key = key;
  at.uid = c.euid;
  at.cuid = c.euid;
  at.gid = c.egid;
  at.cgid = c.egid;
  at.mode = flags & 0o777;
  store<u32>(ids.entries + (index << 2), <u32>changetype<usize>(at));
  return at.id;
}

/** The number of `at` is free again. */
export function ipc_rmid(ids: ipc_ids, at: kern_ipc_perm): void {
  store<u32>(ids.entries + ((at.id & (I.IPCMNI - 1)) << 2), 0);
  ids.in_use -= 1;
}

/**
 * What semget and the like do first: the object of `key`. Null: it is to be made.
 * ERR_PTR of ENOENT, EEXIST.
 */
export function ipc_lookup(p: task_struct, kind: i32, key: i32, flags: u32): kern_ipc_perm {
  if (key == I.IPC_PRIVATE) return NULL<kern_ipc_perm>();
  const at = ipc_find_key(ids_of(ipc_ns_of(p), kind), key);
  if (nil(at)) return flags & I.IPC_CREAT ? at : ERR_PTR<kern_ipc_perm>(-E.ENOENT);
  const only = (flags & I.IPC_CREAT) != 0 && (flags & I.IPC_EXCL) != 0;
  return only ? ERR_PTR<kern_ipc_perm>(-E.EEXIST) : at;
}

/** A field of struct pid that remembers who did something last. */
export function ipc_update_pid(field: usize, p: task_struct): void {
  const old = changetype<pid>(<usize>load<u32>(field));
  const now = p.signal.tgid_pid;
  if (changetype<usize>(old) == changetype<usize>(now)) return;
  store<u32>(field, <u32>changetype<usize>(get_pid(now)));
  if (!nil(old)) put_pid(old);
}

/** The number by which `p` knows the process of `number`, 0 when it knows none. */
export function ipc_pid_nr(p: task_struct, number: pid): i32 {
  return nil(number) ? 0 : pid_nr_ns(number, task_active_pid_ns(p));
}

export const IPC64_PERM_BYTES: u32 = 48;

/** struct ipc64_perm of x86-64 at `to`, ids as `p` sees them. */
function ipc_put_perm(p: task_struct, to: usize, at: kern_ipc_perm): void {
  const ns = p.cred.user_ns;
  memory.fill(to, 0, IPC64_PERM_BYTES);
  store<i32>(to, at.key);
  store<i32>(to, from_kuid_munged(ns, at.uid), 4);
  store<i32>(to, from_kgid_munged(ns, at.gid), 8);
  store<i32>(to, from_kuid_munged(ns, at.cuid), 12);
  store<i32>(to, from_kgid_munged(ns, at.cgid), 16);
  store<u32>(to, at.mode, 20);
  store<u16>(to, <u16>(at.id >> SEQ_SHIFT), 24);
}

/**
 * IPC_STAT and its relatives: `bytes` of the scratch buffer are cleared and begin with the
 * permissions of `at`. `any`: whoever asks may know. Return: 0 or -EACCES.
 */
export function ipc_begin_stat(p: task_struct, at: kern_ipc_perm, any: bool, bytes: u32): i32 {
  const refused = any ? 0 : ipcperms(p, at, 0o444);
  if (refused) return refused;
  memory.fill(SCRATCH_USER, 0, bytes);
  ipc_put_perm(p, SCRATCH_USER, at);
  return 0;
}

/** The structure goes to the caller. Return: 0, or but for IPC_STAT the object's id; an errno. */
export function ipc_end_stat(f: frame, at: kern_ipc_perm, addr: u64, bytes: u32, cmd: i32): i32 {
  const bad = copy_to_user(f, addr, SCRATCH_USER, bytes);
  return bad ? bad : cmd == I.IPC_STAT ? 0 : at.id;
}

/** IPC_SET: owner and mode of the struct ipc64_perm at the scratch buffer. 0 or -EINVAL. */
export function ipc_update_perm(p: task_struct, at: kern_ipc_perm): i32 {
  const ns = p.cred.user_ns;
  const uid = make_kuid(ns, load<i32>(SCRATCH_USER, 4));
  const gid = make_kgid(ns, load<i32>(SCRATCH_USER, 8));
  if (uid == -1 || gid == -1) return -E.EINVAL;
  at.uid = uid;
  at.gid = gid;
  at.mode = (at.mode & ~0o777) | (load<u32>(SCRATCH_USER, 20) & 0o777);
  return 0;
}

/** Seconds of the clock. */
export function ipc_now(): u64 {
  return root().clock / 1_000_000_000;
}
