// What paths below /proc stand for: processes, their namespaces and their id maps. The world says
// whether an open succeeds; which file it gave is found here, since a write to it is the kernel's.
import { containers_enabled } from "../container/container.ts";
import { cred, get_cred, put_cred } from "../cred/cred.ts";
import { NULL, nil } from "../lib/err.ts";
import { get_ns, ns_common, put_ns } from "../namespace/namespace.ts";
import {
  find_pid_ns,
  get_pid,
  pid,
  pid_namespace,
  put_pid,
  task_active_pid_ns,
} from "../process/pid.ts";
import {
  CACHE_PROC_FILE,
  CACHE_PROC_TEXT,
  kfree,
  kmalloc,
  kmem_cache_alloc,
  kmem_cache_free,
  kmem_cache_init,
  kmem_cache_zalloc,
} from "../lib/slab.ts";
import { cold, task_struct } from "../process/task.ts";
import * as C from "../uapi/sched.ts";
import { user_namespace } from "../namespace/user-namespace.ts";

// proc_file.what
export const PROC_ROOT: u32 = 1;
export const PROC_PID: u32 = 2;
export const PROC_TASKS: u32 = 3;
export const PROC_NS_DIR: u32 = 4;
export const PROC_UID_MAP: u32 = 5;
export const PROC_GID_MAP: u32 = 6;
export const PROC_PROJID_MAP: u32 = 7;
export const PROC_SETGROUPS: u32 = 8;
/** Not a proc_file: a namespace (nsfs.ts). */
export const PROC_NS: u32 = 9;
/** From here on not proc_files either: texts that the kernel writes (proc-text.ts). */
export const PROC_CONTAINERS: u32 = 10;
export const PROC_CONTAINER: u32 = 11;
export const PROC_STATUS: u32 = 12;
export const PROC_STAT: u32 = 13;
export const PROC_COMM: u32 = 14;
/** Descriptors: a directory, and a link in it. */
export const PROC_FD_DIR: u32 = 15;
export const PROC_FD: u32 = 16;
// known only where proc is mounted in the kernel's file systems (proc-vfs.ts)
export const PROC_ROOT_LINK: u32 = 17;
export const PROC_CWD_LINK: u32 = 18;
export const PROC_EXE_LINK: u32 = 19;
export const PROC_SELF: u32 = 20;
export const PROC_THREAD_SELF: u32 = 21;
/** The directory of one thread. */
export const PROC_THREAD: u32 = 22;
// files of audit (proc-audit.ts), which are proc_files again
export const PROC_LOGINUID: u32 = 32;
export const PROC_SESSIONID: u32 = 33;
export const PROC_AUDIT_CONTAINERID: u32 = 34;
export const PROC_AUDIT_CAPCONTAINERID: u32 = 35;

/** Is it a text that the kernel writes? */
export function proc_is_text(what: u32): bool {
  return what >= PROC_CONTAINERS && what < PROC_FD_DIR;
}

/** Is it a file whose contents, or directory whose files, are the kernel's? */
export function proc_is_known(what: u32): bool {
  return (what != 0 && what < PROC_FD_DIR) || what >= PROC_LOGINUID;
}

/** struct proc_file - an open file of /proc, 16 bytes. */
@unmanaged
export class proc_file {
  what: u32; // [C] PROC_*
  pid: pid; // [C] whose it is; holds a reference; null: nobody's
  user_ns: user_namespace; // [C] of an id map: that of the process when opened. Reference
  cred: cred; // [C] who opened it; holds a reference
}

/** What a path leads to. */
@unmanaged
export class proc_path {
  what: u32; // PROC_*; 0: nothing that is known here
  pid: pid; // no reference
  ns: ns_common; // with PROC_NS; no reference
  fd: i32; // with PROC_FD
}

export function proc_caches_init(): void {
  kmem_cache_init(CACHE_PROC_FILE, <u32>offsetof<proc_file>());
  kmem_cache_init(CACHE_PROC_TEXT, <u32>offsetof<proc_text_file>());
}

/** A file for what `at` leads to, opened by `p`; null when memory is exhausted. */
export function alloc_proc_file(p: task_struct, at: proc_path): proc_file {
  const f = changetype<proc_file>(kmem_cache_alloc(CACHE_PROC_FILE));
  if (nil(f)) return f;
  f.what = at.what;
  f.pid = nil(at.pid) ? at.pid : get_pid(at.pid);
  f.user_ns = NULL<user_namespace>();
  if (at.what >= PROC_UID_MAP) {
    f.user_ns = at.pid.task.cred.user_ns;
    get_ns(f.user_ns);
  }
  f.cred = get_cred(p.cred);
  return f;
}

/** The last reference to the open file is gone. */
export function proc_release(f: proc_file): void {
  put_pid(f.pid);
  put_ns(f.user_ns);
  put_cred(f.cred);
  kmem_cache_free(CACHE_PROC_FILE, changetype<usize>(f));
}

/** struct proc_text_file - an open file of such a text; belongs to its file. */
@unmanaged
export class proc_text_file {
  what: u32; // [C] PROC_*
  pid: pid; // [C] whose it is; holds a reference; null: nobody's
  text: u32; // what the reader saw when it began at the first byte
  len: u32;
  ns: pid_namespace; // [C] whose numbers it has: the mount's, which holds it; null: the reader's
}

/** struct proc_inode - what an inode of proc stands for; belongs to it. */
@unmanaged
export class proc_inode {
  what: u32; // [C] PROC_*
  pid: pid; // [C] whose it is; holds a reference; null: nobody's
  fd: i32; // [C] of PROC_FD
  pad: u32;
}

/** Null when memory is exhausted. */
export function alloc_proc_inode(what: u32, number: pid, fd: i32): proc_inode {
  const info = changetype<proc_inode>(kmalloc(<u32>offsetof<proc_inode>()));
  if (nil(info)) return info;
  info.what = what;
  info.pid = nil(number) ? number : get_pid(number);
  info.fd = fd;
  info.pad = 0;
  return info;
}

export function proc_inode_release(info: proc_inode): void {
  put_pid(info.pid);
  kfree(changetype<usize>(info), <u32>offsetof<proc_inode>());
}

/** A file for what `at` leads to; null when memory is exhausted. */
export function alloc_proc_text(at: proc_path): proc_text_file {
  const f = changetype<proc_text_file>(kmem_cache_zalloc(CACHE_PROC_TEXT));
  if (nil(f)) return f;
  f.what = at.what;
  if (at.what != PROC_CONTAINERS) f.pid = get_pid(at.pid);
  return f;
}

export function proc_text_release(f: proc_text_file): void {
  put_pid(f.pid);
  kfree(f.text, f.len);
  kmem_cache_free(CACHE_PROC_TEXT, changetype<usize>(f));
}

/** Up to eight bytes of a name as a number, little end first. */
function word_at(at: usize, len: i32): u64 {
  let word: u64 = 0;
  for (let i = min(len, 8) - 1; i >= 0; --i) word = (word << 8) | (<u64>load<u8>(at + i));
  return word;
}

/** Is the name that of these up to sixteen bytes? */
function is(at: usize, len: i32, want: i32, low: u64, high: u64): bool {
  return len == want && word_at(at, len) == low && (len <= 8 || word_at(at + 8, len - 8) == high);
}

/** The decimal number that a name is, 0 when it is none. */
export function number_of(at: usize, len: i32): i32 {
  if (len > 7 || load<u8>(at) == 48) return 0;
  let nr = 0;
  for (let i = 0; i < len; ++i) {
    const digit = <i32>load<u8>(at + i) - 48;
    if (digit < 0 || digit > 9) return 0;
    nr = nr * 10 + digit;
  }
  return nr;
}

/** The process that `p` reaches as `nr`: in its own pid namespace, else in one above. */
function pid_of(p: task_struct, nr: i32): pid {
  let ns = task_active_pid_ns(p);
  while (nr && !nil(ns)) {
    const number = find_pid_ns(nr, ns);
    if (!nil(number) && !nil(number.task)) return number;
    ns = changetype<pid_namespace>(ns.parent);
  }
  return NULL<pid>();
}

/** A name in the root of /proc. */
function step_root(p: task_struct, to: proc_path, at: usize, len: i32): void {
  let number = NULL<pid>();
  if (is(at, len, 10, 0x656e6961746e6f63, 0x7372)) {
    to.what = containers_enabled() ? PROC_CONTAINERS : 0;
    return;
  }
  if (is(at, len, 4, 0x666c6573, 0)) number = p.signal.tgid_pid;
  else if (is(at, len, 11, 0x732d646165726874, 0x666c65)) number = p.thread_pid;
  else number = pid_of(p, number_of(at, len));
  to.what = nil(number) ? 0 : PROC_PID;
  to.pid = number;
}

/** The files of audit in the directory of a process or thread. */
function audit_file(at: usize, len: i32): u32 {
  if (is(at, len, 8, 0x6469756e69676f6c, 0)) return PROC_LOGINUID;
  if (is(at, len, 9, 0x696e6f6973736573, 0x64)) return PROC_SESSIONID;
  if (
    len == 17 &&
    load<u8>(at + 16) == 0x64 &&
    is(at, 16, 16, 0x6f635f7469647561, 0x6972656e6961746e)
  ) {
    return PROC_AUDIT_CONTAINERID;
  }
  if (len != 20 || load<u32>(at + 16) != 0x64697265) return 0;
  return is(at, 16, 16, 0x61635f7469647561, 0x6e6961746e6f6370) ? PROC_AUDIT_CAPCONTAINERID : 0;
}

/** A name in the directory of a process or thread. */
function step_pid(to: proc_path, at: usize, len: i32): void {
  if (is(at, len, 2, 0x736e, 0)) to.what = PROC_NS_DIR;
  else if (is(at, len, 4, 0x6b736174, 0)) to.what = PROC_TASKS;
  else if (is(at, len, 7, 0x70616d5f646975, 0)) to.what = PROC_UID_MAP;
  else if (is(at, len, 7, 0x70616d5f646967, 0)) to.what = PROC_GID_MAP;
  else if (is(at, len, 10, 0x6d5f64696a6f7270, 0x7061)) to.what = PROC_PROJID_MAP;
  else if (is(at, len, 9, 0x70756f7267746573, 0x73)) to.what = PROC_SETGROUPS;
  else if (is(at, len, 2, 0x6466, 0)) to.what = PROC_FD_DIR;
  else if (is(at, len, 4, 0x74617473, 0)) to.what = PROC_STAT;
  else if (is(at, len, 4, 0x6d6d6f63, 0)) to.what = PROC_COMM;
  else if (is(at, len, 6, 0x737574617473, 0)) to.what = PROC_STATUS;
  else if (is(at, len, 9, 0x656e6961746e6f63, 0x72) && containers_enabled()) {
    to.what = PROC_CONTAINER;
  } else to.what = audit_file(at, len);
}

/** The namespace of a type that `t` is in, null for no type and for the dead. */
export function ns_of_type(t: task_struct, type: i32): ns_common {
  const ns = cold(t).nsproxy;
  if (type == C.CLONE_NEWUSER) return t.cred.user_ns;
  if (type == C.CLONE_NEWPID) return task_active_pid_ns(t);
  if (nil(ns)) return NULL<ns_common>();
  if (type == C.CLONE_NEWNS) return ns.mnt_ns;
  if (type == C.CLONE_NEWUTS) return ns.uts_ns;
  if (type == C.CLONE_NEWIPC) return ns.ipc_ns;
  if (type == C.CLONE_NEWNET) return ns.net_ns;
  if (type == C.CLONE_NEWCGROUP) return ns.cgroup_ns;
  return type == C.CLONE_NEWTIME ? ns.time_ns : NULL<ns_common>();
}

/** The namespace of task `t` that a name in its ns directory is, or null. */
export function ns_by_name(t: task_struct, at: usize, len: i32): ns_common {
  const ns = cold(t).nsproxy;
  if (is(at, len, 4, 0x72657375, 0)) return ns_of_type(t, C.CLONE_NEWUSER);
  if (is(at, len, 3, 0x746e6d, 0)) return ns_of_type(t, C.CLONE_NEWNS);
  if (is(at, len, 3, 0x737475, 0)) return ns_of_type(t, C.CLONE_NEWUTS);
  if (is(at, len, 3, 0x637069, 0)) return ns_of_type(t, C.CLONE_NEWIPC);
  if (is(at, len, 3, 0x74656e, 0)) return ns_of_type(t, C.CLONE_NEWNET);
  if (is(at, len, 3, 0x646970, 0)) return ns_of_type(t, C.CLONE_NEWPID);
  if (is(at, len, 6, 0x70756f726763, 0)) return ns_of_type(t, C.CLONE_NEWCGROUP);
  if (is(at, len, 4, 0x656d6974, 0)) return ns_of_type(t, C.CLONE_NEWTIME);
  if (nil(ns)) return NULL<ns_common>();
  if (is(at, len, 16, 0x5f726f665f646970, 0x6e6572646c696863)) {
    // a namespace without its first process cannot be entered by name yet
    const children = ns.pid_ns_for_children;
    return nil(children.child_reaper) ? NULL<ns_common>() : children;
  }
  const first = len == 17 && load<u8>(at + 16) == 110;
  if (first && is(at, 16, 16, 0x726f665f656d6974, 0x6572646c6968635f)) {
    return ns.time_ns_for_children;
  }
  return NULL<ns_common>();
}

/** One name further. */
function step(p: task_struct, to: proc_path, at: usize, len: i32): void {
  const what = to.what;
  if (what == PROC_ROOT) {
    step_root(p, to, at, len);
  } else if (what == PROC_PID) {
    step_pid(to, at, len);
  } else if (what == PROC_TASKS) {
    to.pid = pid_of(p, number_of(at, len));
    to.what = nil(to.pid) ? 0 : PROC_PID;
  } else if (what == PROC_FD_DIR) {
    const zero = len == 1 && load<u8>(at) == 48;
    to.fd = zero ? 0 : number_of(at, len);
    to.what = zero || to.fd ? PROC_FD : 0;
  } else if (what == PROC_NS_DIR && !nil(to.pid.task)) {
    to.ns = ns_by_name(to.pid.task, at, len);
    to.what = nil(to.ns) ? 0 : PROC_NS;
  } else {
    to.what = 0;
  }
}

/**
 * Where the path of `len` bytes at `at` leads to. `to` is where it begins: what a directory's
 * descriptor stands for; absolute paths begin at the root, of which only /proc is known. A path
 * with `..` in it is not followed.
 */
export function proc_walk(p: task_struct, to: proc_path, at: usize, len: i32): void {
  const absolute = len > 0 && load<u8>(at) == 47;
  if (absolute) to.what = 0;
  let first = absolute;
  for (let i = 0; i < len;) {
    let end = i;
    while (end < len && load<u8>(at + end) != 47) ++end;
    const name = at + i;
    const n = end - i;
    const dot = n == 1 && load<u8>(name) == 46;
    if (n && !dot) {
      if (n == 2 && load<u16>(name) == 0x2e2e) to.what = 0;
      else if (first) to.what = is(name, n, 4, 0x636f7270, 0) ? PROC_ROOT : 0;
      else step(p, to, name, n);
      first = false;
      if (!to.what) return;
    }
    i = end + 1;
  }
}
