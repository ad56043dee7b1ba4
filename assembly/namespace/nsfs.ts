// Files of namespaces: what ioctl tells of them (ioctl_ns(2)) and what readlink of /proc/PID/ns/*
// gives.
import { nil, same } from "../lib/err.ts";
import * as FD from "../fs/file.ts";
import { file } from "../fs/file.ts";
import { frame } from "../lib/frame.ts";
import { get_ns, ns_common, put_ns } from "./namespace.ts";
import {
  find_task_by_pid_ns,
  pid_namespace,
  pid_nr_ns,
  task_active_pid_ns,
} from "../process/pid.ts";
import { PROC_NS, proc_path } from "../proc/procfs.ts";
import { kernel_root, root, SCRATCH_USER } from "../lib/root.ts";
import { kfree, kmalloc } from "../lib/slab.ts";
import { task_struct } from "../process/task.ts";
import { copy_to_user, prepare_write, put_user32 } from "../lib/uaccess.ts";
import * as E from "../uapi/errno.ts";
import { O_RDONLY } from "../uapi/fcntl.ts";
import * as N from "../uapi/nsfs.ts";
import * as C from "../uapi/sched.ts";
import { from_kuid_munged, in_userns, user_namespace } from "./user-namespace.ts";

/** The user namespace that owns `ns`, if the caller is in it or above; else null. */
function ns_get_owner(p: task_struct, ns: ns_common): ns_common {
  const owner = changetype<user_namespace>(ns.type == C.CLONE_NEWUSER ? ns.parent : ns.user_ns);
  if (nil(owner)) return owner;
  const mine = p.cred.user_ns;
  return owner.level >= mine.level && in_userns(mine, owner) ? owner : changetype<ns_common>(0);
}

/** The parent of a pid namespace, if the caller is in it or above; else null. */
function pidns_get_parent(p: task_struct, ns: ns_common): ns_common {
  const active = task_active_pid_ns(p);
  const parent = changetype<pid_namespace>(ns.parent);
  let at = parent;
  while (!nil(at) && !same(at, active)) at = changetype<pid_namespace>(at.parent);
  return nil(at) ? changetype<ns_common>(0) : parent;
}

/** A descriptor of a related namespace. Return: number, -EMFILE, -EPERM, -ENOMEM. */
function open_related_ns(p: task_struct, ns: ns_common): i32 {
  const fd = FD.get_unused_fd(p, 0);
  if (fd < 0) return fd;
  if (nil(ns)) return -E.EPERM;
  const at = FD.alloc_file(FD.FILE_NSFS, O_RDONLY, changetype<usize>(ns));
  if (nil(at)) return -E.ENOMEM;
  get_ns(ns);
  FD.fd_install(p, fd, at, true);
  return fd;
}

/** Numbers of a process in the namespace and in the caller's. */
function pid_in_ns(p: task_struct, ns: pid_namespace, cmd: u32, nr: i32): i32 {
  const mine = task_active_pid_ns(p);
  const inward = cmd == N.NS_GET_PID_IN_PIDNS || cmd == N.NS_GET_TGID_IN_PIDNS;
  const t = find_task_by_pid_ns(nr, inward ? mine : ns);
  if (nil(t)) return -E.ESRCH;
  const group = cmd == N.NS_GET_TGID_FROM_PIDNS || cmd == N.NS_GET_TGID_IN_PIDNS;
  const number = pid_nr_ns(group ? t.signal.tgid_pid : t.thread_pid, inward ? ns : mine);
  return number ? number : -E.ESRCH;
}

/** ioctl(2) on the file of a namespace: command, argument. */
export function ns_ioctl(p: task_struct, f: frame, at: file): i32 {
  const ns = at.ns;
  const cmd = <u32>f.a1;
  switch (cmd) {
    case N.NS_GET_USERNS:
      return open_related_ns(p, ns_get_owner(p, ns));
    case N.NS_GET_PARENT:
      if (ns.type == C.CLONE_NEWUSER) return open_related_ns(p, ns_get_owner(p, ns));
      if (ns.type != C.CLONE_NEWPID) return -E.EINVAL;
      return open_related_ns(p, pidns_get_parent(p, ns));
    case N.NS_GET_NSTYPE:
      return ns.type;
    case N.NS_GET_OWNER_UID: {
      if (ns.type != C.CLONE_NEWUSER) return -E.EINVAL;
      const need = prepare_write(f, f.a2, 4);
      if (need) return need;
      const uid = from_kuid_munged(p.cred.user_ns, changetype<user_namespace>(ns).owner);
      return put_user32(f, f.a2, uid) ? -E.EFAULT : 0;
    }
    case N.NS_GET_PID_FROM_PIDNS:
    case N.NS_GET_TGID_FROM_PIDNS:
    case N.NS_GET_PID_IN_PIDNS:
    case N.NS_GET_TGID_IN_PIDNS:
      if (ns.type != C.CLONE_NEWPID) return -E.EINVAL;
      return pid_in_ns(p, changetype<pid_namespace>(ns), cmd, <i32>f.a2);
    default:
      return -E.ENOTTY;
  }
}

/** Name of a type of namespace, up to eight bytes, little end first. */
function name_of(type: i32): u64 {
  switch (type) {
    case C.CLONE_NEWNS:
      return 0x746e6d;
    case C.CLONE_NEWUTS:
      return 0x737475;
    case C.CLONE_NEWIPC:
      return 0x637069;
    case C.CLONE_NEWUSER:
      return 0x72657375;
    case C.CLONE_NEWPID:
      return 0x646970;
    case C.CLONE_NEWNET:
      return 0x74656e;
    case C.CLONE_NEWTIME:
      return 0x656d6974;
    default:
      return 0x70756f726763;
  }
}

/** Appends a decimal number. */
function put_number(to: usize, value: u32): usize {
  let digits: usize = 1;
  for (let rest = value / 10; rest; rest /= 10) digits += 1;
  for (let i = digits; i > 0; --i) {
    store<u8>(to + i - 1, <u8>(48 + (value % 10)));
    value /= 10;
  }
  return to + digits;
}

/** The text of a namespace's link, `pid:[4026531836]`, at `to`. Return: its end. */
export function put_ns_link(to: usize, ns: ns_common): usize {
  for (let name = name_of(ns.type); name; name >>= 8) {
    store<u8>(to, <u8>name);
    to += 1;
  }
  store<u16>(to, 0x5b3a);
  to = put_number(to + 2, ns.inum);
  store<u8>(to, 93);
  return to + 1;
}

/**
 * The text that readlink gives for what a path below /proc leads to, at the scratch buffer.
 * Return: its length, -EINVAL for what is no link known here.
 */
function link_text(p: task_struct, at: proc_path): i32 {
  if (at.what != PROC_NS) return -E.EINVAL;
  return <i32>(put_ns_link(SCRATCH_USER, at.ns) - SCRATCH_USER);
}

/** readlink(2) of what `at` leads to, into `size` bytes at `addr`. */
export function proc_readlink(p: task_struct, f: frame, at: proc_path, addr: u64, size: i32): i32 {
  if (size <= 0) return -E.EINVAL;
  const len = link_text(p, at);
  if (len < 0) return len;
  const n = min(len, size);
  const need = prepare_write(f, addr, n);
  if (need) return need;
  return copy_to_user(f, addr, SCRATCH_USER, n) ? -E.EFAULT : n;
}

/** struct ns_bind - a namespace that is mounted at a path; the path's bytes follow. */
@unmanaged
export class ns_bind {
  next: ns_bind; // on root.ns_binds
  ns: ns_common; // holds a reference
  len: u32; // of the path
}
const PATH_AT: usize = 12;

/** The link that leads to the mount at the path of `len` bytes at `path`; 0 when there is none. */
function find_bind(path: usize, len: u32): usize {
  let link: usize = changetype<usize>(root()) + offsetof<kernel_root>("ns_binds");
  while (load<u32>(link)) {
    const b = changetype<ns_bind>(load<u32>(link));
    const at = changetype<usize>(b) + PATH_AT;
    if (b.len == len && memory.compare(at, path, len) == 0) return link;
    link = changetype<usize>(b);
  }
  return 0;
}

/** What `to` leads to, or else the namespace that is mounted at the path. */
export function ns_lookup(to: proc_path, path: usize, len: u32): void {
  if (to.what || !root().ns_binds) return;
  const link = find_bind(path, len);
  if (!link) return;
  to.what = PROC_NS;
  to.ns = changetype<ns_bind>(load<u32>(link)).ns;
}

/** Namespace `ns` is mounted at a path; false when memory is exhausted. */
export function ns_mount(ns: ns_common, path: usize, len: u32): bool {
  const at = kmalloc(<u32>PATH_AT + len);
  if (!at) return false;
  const r = root();
  const b = changetype<ns_bind>(at);
  b.next = changetype<ns_bind>(<usize>r.ns_binds);
  b.ns = get_ns(ns);
  b.len = len;
  memory.copy(at + PATH_AT, path, len);
  r.ns_binds = <u32>at;
  return true;
}

/** What is mounted at a path goes away. */
export function ns_umount(path: usize, len: u32): void {
  const link = find_bind(path, len);
  if (!link) return;
  const b = changetype<ns_bind>(load<u32>(link));
  store<u32>(link, <u32>changetype<usize>(b.next));
  put_ns(b.ns);
  kfree(changetype<usize>(b), <u32>PATH_AT + b.len);
}
