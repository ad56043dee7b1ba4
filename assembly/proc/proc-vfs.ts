// proc as a file system of the kernel's: which names there are, and their inodes. A name is made
// when it is first walked to and stays as long as it is true; one whose process or descriptor is
// gone goes when a name is next made beside it. No process ends during a call, so what the walks
// of a call have found is never among those that go.
import { containers_enabled } from "../container/container.ts";
import * as D from "../vfs/dcache.ts";
import { d_lookup, dentry } from "../vfs/dcache.ts";
import { ERR_PTR, NULL, nil, same } from "../lib/err.ts";
import { fget } from "../fs/file.ts";
import * as I from "../vfs/inode.ts";
import { I_DYNAMIC, is_dir, vfs_inode } from "../vfs/inode.ts";
import { list_head } from "../lib/list.ts";
import { detach_mounts } from "../vfs/mount-tree.ts";
import { get_ns } from "../namespace/namespace.ts";
import { find_pid_ns, pid, pid_namespace, pid_nr_ns, upid_nr } from "../process/pid.ts";
import * as P from "./procfs.ts";
import { proc_inode } from "./procfs.ts";
import { PROC_NAME, SEQ_FILE } from "../lib/root.ts";
import { seq_file, seq_open } from "../lib/seq-file.ts";
import { SIGNAL_NOT_DUMPABLE } from "../process/signal-struct.ts";
import { super_block } from "../vfs/super.ts";
import { EXIT_ZOMBIE, task_struct } from "../process/task.ts";
import { ENOENT, ENOMEM } from "../uapi/errno.ts";
import * as O from "../uapi/fcntl.ts";
import { S_IFDIR, S_IFLNK, S_IFREG } from "../uapi/stat.ts";

/** Names looked at for being out of date whenever one is made. */
const PRUNED = 4;
/** Who reads and enters a directory: all. */
const MODE_DIR: u32 = S_IFDIR | 0o555;
export const PROC_NAME_BYTES: u32 = 64;

/** What an inode of proc stands for. */
export function proc_info(i: vfs_inode): proc_inode {
  return i.proc;
}

/** The pid namespace that the file system of an inode shows. */
export function proc_pid_ns(i: vfs_inode): pid_namespace {
  return changetype<pid_namespace>(changetype<usize>(i.sb.fs_info));
}

/** The process or thread of an inode, null when it is gone. */
export function proc_task(i: vfs_inode): task_struct {
  const number = i.proc.pid;
  return nil(number) ? NULL<task_struct>() : number.task;
}

/** Name `i` in the root directory, but for processes. Return: PROC_*, 0 behind the last. */
export function root_entry(s: seq_file, i: i32): u32 {
  switch (i) {
    case 0:
      seq_puts(s, "self");
      return P.PROC_SELF;
    case 1:
      seq_puts(s, "thread-self");
      return P.PROC_THREAD_SELF;
    case 2:
      if (!containers_enabled()) return 0;
      seq_puts(s, "containers");
      return P.PROC_CONTAINERS;
    default:
      return 0;
  }
}

/** Name `i` in the directory of a process; that of a thread has all but the first. */
export function pid_entry(s: seq_file, i: i32): u32 {
  switch (i) {
    case 0:
      seq_puts(s, "task");
      return P.PROC_TASKS;
    case 1:
      seq_puts(s, "fd");
      return P.PROC_FD_DIR;
    case 2:
      seq_puts(s, "ns");
      return P.PROC_NS_DIR;
    case 3:
      seq_puts(s, "status");
      return P.PROC_STATUS;
    case 4:
      seq_puts(s, "comm");
      return P.PROC_COMM;
    case 5:
      seq_puts(s, "stat");
      return P.PROC_STAT;
    case 6:
      seq_puts(s, "cwd");
      return P.PROC_CWD_LINK;
    case 7:
      seq_puts(s, "root");
      return P.PROC_ROOT_LINK;
    case 8:
      seq_puts(s, "exe");
      return P.PROC_EXE_LINK;
    default:
      return pid_entry_of_users(s, i);
  }
}

/** The same, those of user namespaces, audit and containers. */
function pid_entry_of_users(s: seq_file, i: i32): u32 {
  switch (i) {
    case 9:
      seq_puts(s, "loginuid");
      return P.PROC_LOGINUID;
    case 10:
      seq_puts(s, "sessionid");
      return P.PROC_SESSIONID;
    case 11:
      seq_puts(s, "uid_map");
      return P.PROC_UID_MAP;
    case 12:
      seq_puts(s, "gid_map");
      return P.PROC_GID_MAP;
    case 13:
      seq_puts(s, "projid_map");
      return P.PROC_PROJID_MAP;
    case 14:
      seq_puts(s, "setgroups");
      return P.PROC_SETGROUPS;
    case 15:
      seq_puts(s, "audit_containerid");
      return P.PROC_AUDIT_CONTAINERID;
    case 16:
      seq_puts(s, "audit_capcontainerid");
      return P.PROC_AUDIT_CAPCONTAINERID;
    case 17:
      if (!containers_enabled()) return 0;
      seq_puts(s, "container");
      return P.PROC_CONTAINER;
    default:
      return 0;
  }
}

/** Name `i` in a directory of namespaces. */
export function ns_entry(s: seq_file, i: i32): u32 {
  if (i == 0) seq_puts(s, "cgroup");
  else if (i == 1) seq_puts(s, "ipc");
  else if (i == 2) seq_puts(s, "mnt");
  else if (i == 3) seq_puts(s, "net");
  else if (i == 4) seq_puts(s, "pid");
  else if (i == 5) seq_puts(s, "pid_for_children");
  else if (i == 6) seq_puts(s, "time");
  else if (i == 7) seq_puts(s, "time_for_children");
  else if (i == 8) seq_puts(s, "user");
  else if (i == 9) seq_puts(s, "uts");
  else return 0;
  return P.PROC_NS;
}

/** Name `i` of a directory whose names are fixed, at PROC_NAME. */
export function proc_entry(s: seq_file, what: u32, i: i32): u32 {
  if (what == P.PROC_ROOT) return root_entry(s, i);
  if (what == P.PROC_PID) return pid_entry(s, i);
  if (what == P.PROC_THREAD) return pid_entry(s, i + 1);
  return what == P.PROC_NS_DIR ? ns_entry(s, i) : 0;
}

function find_entry(what: u32, name: usize, len: i32): u32 {
  let found: u32 = 1;
  for (let i = 0; found; ++i) {
    const s = seq_open(changetype<seq_file>(SEQ_FILE), PROC_NAME, PROC_NAME_BYTES);
    found = proc_entry(s, what, i);
    if (s.count == <u32>len && memory.compare(PROC_NAME, name, len) == 0) break;
  }
  return found;
}

/** Type and permissions of what `what` stands for. */
export function proc_mode(what: u32): u32 {
  switch (what) {
    case P.PROC_ROOT:
    case P.PROC_PID:
    case P.PROC_THREAD:
    case P.PROC_TASKS:
      return MODE_DIR;
    case P.PROC_FD_DIR:
      return S_IFDIR | 0o500;
    case P.PROC_NS_DIR:
      return S_IFDIR | 0o511;
    case P.PROC_STATUS:
    case P.PROC_STAT:
    case P.PROC_CONTAINER:
    case P.PROC_CONTAINERS:
    case P.PROC_SESSIONID:
      return S_IFREG | 0o444;
    case P.PROC_AUDIT_CONTAINERID:
    case P.PROC_AUDIT_CAPCONTAINERID:
      return S_IFREG | 0o600;
    case P.PROC_FD:
      return S_IFLNK;
    default:
      break;
  }
  const link = what == P.PROC_NS || (what >= P.PROC_ROOT_LINK && what <= P.PROC_THREAD_SELF);
  return link ? <u32>(S_IFLNK | 0o777) : <u32>(S_IFREG | 0o644);
}

/** The number of an inode: the same whenever its name is made again. */
export function proc_ino(number: pid, what: u32, fd: i32): u32 {
  if (what == P.PROC_ROOT) return 1;
  const nr: u32 = nil(number) ? 0 : <u32>upid_nr(number, 0);
  return ((nr * 0x9e3779b1) ^ (what * 0x85ebca6b) ^ (<u32>fd * 0xc2b2ae35)) | 0x80000000;
}

/** Whose an inode is follows the process: nobody but root may look into what is not dumpable. */
function refresh(i: vfs_inode): void {
  const t = proc_task(i);
  if (nil(t)) return;
  const hidden = t.signal.flags & SIGNAL_NOT_DUMPABLE || t.state == EXIT_ZOMBIE;
  const own = i.mode == MODE_DIR || !hidden;
  i.uid = own ? t.cred.euid : 0;
  i.gid = own ? t.cred.egid : 0;
  const info = i.proc;
  if (info.what != P.PROC_FD) return;
  const flags = fget(t, info.fd).flags;
  const access = flags & O.O_ACCMODE;
  let mode: u32 = S_IFLNK;
  if (!(flags & O.O_PATH)) {
    if (access != O.O_WRONLY) mode |= 0o500;
    if (access != O.O_RDONLY) mode |= 0o300;
  }
  i.mode = mode;
}

/** Is what a name stands for still there? */
function is_true(dir: proc_inode, info: proc_inode): bool {
  if (nil(info.pid)) return true;
  const t = info.pid.task;
  if (nil(t)) return false;
  if (info.what == P.PROC_FD) return !nil(fget(t, info.fd));
  return dir.what != P.PROC_TASKS || same(dir.pid.task.signal, t.signal);
}

/** A name goes, and all names below it; what is mounted on them goes from its place. */
function invalidate(top: dentry): void {
  let d = top;
  while (true) {
    if (is_dir(d.inode) && !list_head.empty(d.inode.children)) {
      d = dentry.from_child(d.inode.children.next);
      continue;
    }
    const parent = d.parent;
    const last = same(d, top);
    if (is_dir(d.inode)) parent.inode.nlink -= 1;
    else d.inode.nlink = 0;
    detach_mounts(d);
    D.d_drop(d);
    if (last) return;
    d = parent;
  }
}

/** The oldest names of a directory go if they are out of date, and are the newest else. */
function prune(dir: vfs_inode): void {
  for (let n = 0; n < PRUNED && !list_head.empty(dir.children); ++n) {
    const d = dentry.from_child(dir.children.next);
    if (is_true(dir.proc, d.inode.proc)) {
      list_head.del(d.child);
      list_head.add_tail(d.child, dir.children);
    } else {
      invalidate(d);
    }
  }
}

/** An inode of proc without a name; null when memory is exhausted. */
function proc_new_inode(sb: super_block, what: u32, number: pid, fd: i32): vfs_inode {
  const info = P.alloc_proc_inode(what, number, fd);
  if (nil(info)) return NULL<vfs_inode>();
  const i = I.new_inode(sb, proc_mode(what), 0, 0);
  if (nil(i)) {
    P.proc_inode_release(info);
    return i;
  }
  i.proc = info;
  i.ino = proc_ino(number, what, fd);
  i.state = I_DYNAMIC;
  return i;
}

/** The root of a new proc that shows `ns`. False when memory is exhausted. */
export function proc_fill_super(sb: super_block, ns: pid_namespace): bool {
  const i = proc_new_inode(sb, P.PROC_ROOT, NULL<pid>(), 0);
  if (nil(i)) return false;
  I.iput(sb.root.inode);
  sb.root.inode = i;
  sb.max_inodes = sb.max_pages = 0;
  sb.fs_info = get_ns(ns);
  return true;
}

/** A name in a directory of proc, new. ERR_PTR of ENOMEM. */
function instantiate(dir: dentry, name: usize, len: i32, what: u32, number: pid, fd: i32): dentry {
  prune(dir.inode);
  if (!D.d_reserve(dir.inode)) return ERR_PTR<dentry>(-ENOMEM);
  const d = D.d_alloc(dir, name, <u32>len);
  if (nil(d)) return ERR_PTR<dentry>(-ENOMEM);
  d.inode = proc_new_inode(dir.inode.sb, what, number, fd);
  const made = !nil(d.inode);
  if (made) {
    D.d_rehash(d);
    if (is_dir(d.inode)) dir.inode.nlink += 1;
    refresh(d.inode);
  }
  D.dput(d);
  return made ? d : ERR_PTR<dentry>(-ENOMEM);
}

/** A process's number as a name. */
function lookup_number(dir: dentry, name: usize, len: i32): dentry {
  const number = find_pid_ns(P.number_of(name, len), proc_pid_ns(dir.inode));
  if (nil(number) || nil(number.task)) return ERR_PTR<dentry>(-ENOENT);
  const info = dir.inode.proc;
  if (info.what == P.PROC_ROOT) return instantiate(dir, name, len, P.PROC_PID, number, 0);
  if (!same(info.pid.task.signal, number.task.signal)) return ERR_PTR<dentry>(-ENOENT);
  return instantiate(dir, name, len, P.PROC_THREAD, number, 0);
}

function lookup_fd(dir: dentry, name: usize, len: i32): dentry {
  const zero = len == 1 && load<u8>(name) == 48;
  const fd = zero ? 0 : P.number_of(name, len);
  const info = dir.inode.proc;
  if ((!fd && !zero) || nil(fget(info.pid.task, fd))) return ERR_PTR<dentry>(-ENOENT);
  return instantiate(dir, name, len, P.PROC_FD, info.pid, fd);
}

/** The name of `len` bytes in a directory of proc. ERR_PTR of ENOENT, ENOMEM. */
export function proc_lookup(dir: dentry, name: usize, len: i32): dentry {
  const info = dir.inode.proc;
  const root = info.what == P.PROC_ROOT;
  if (!root && nil(proc_task(dir.inode))) return ERR_PTR<dentry>(-ENOENT);
  const old = d_lookup(dir.inode, name, <u32>len);
  if (!nil(old)) {
    if (is_true(info, old.inode.proc)) {
      refresh(old.inode);
      return old;
    }
    invalidate(old);
  }
  if (info.what == P.PROC_TASKS) return lookup_number(dir, name, len);
  if (info.what == P.PROC_FD_DIR) return lookup_fd(dir, name, len);
  const what = find_entry(info.what, name, len);
  if (what) return instantiate(dir, name, len, what, info.pid, 0);
  return root ? lookup_number(dir, name, len) : ERR_PTR<dentry>(-ENOENT);
}

/** Descriptors are open to their own process whoever owns the directory. Return: 0 or `bad`. */
export function proc_permission(p: task_struct, i: vfs_inode, bad: i32): i32 {
  const t = proc_task(i);
  return i.proc.what == P.PROC_FD_DIR && !nil(t) && same(t.signal, p.signal) ? 0 : bad;
}

/** How many links a directory of proc shows: itself, and the directories that could be in it. */
export function proc_nlink(i: vfs_inode, processes: u32): u32 {
  const what = i.proc.what;
  if (what == P.PROC_ROOT) return 2 + processes;
  if (what == P.PROC_PID) return 5;
  if (what == P.PROC_THREAD) return 4;
  const t = proc_task(i);
  return what == P.PROC_TASKS && !nil(t) ? 2 + <u32>t.signal.nr_threads : 2;
}

/** The number of a process or thread where a file system of proc is, 0: it has none there. */
export function proc_nr(i: vfs_inode, number: pid): i32 {
  return pid_nr_ns(number, proc_pid_ns(i));
}
