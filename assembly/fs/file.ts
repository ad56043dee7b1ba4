// struct file - an open file description - and descriptor tables. A table is shared by reference
// after fork and copied by whoever writes first; CLONE_FILES shares it for good.
import { container, container_file_release } from "../container/container.ts";
import { ep_release, epitem, eventpoll, eventpoll_release } from "./epoll.ts";
import { ERR_PTR, NULL, nil } from "../lib/err.ts";
import { ns_common, put_ns } from "../namespace/namespace.ts";
import { frame } from "../lib/frame.ts";
import { inotify_device, inotify_release } from "./inotify.ts";
import { inode, known_inode, locks_release, locks_remove_posix } from "./locks.ts";
import { mqueue_flush, mqueue_of } from "../ipc/mqueue.ts";
import { f_owner_release, fown_struct } from "./fasync.ts";
import { list_at, list_head } from "../lib/list.ts";
import { pid, put_pid } from "../process/pid.ts";
import { pipe_inode_info, pipe_release } from "./pipe.ts";
import { proc_file, proc_release, proc_text_file, proc_text_release } from "../proc/procfs.ts";
import { refcount_dec_and_test, refcount_inc } from "../lib/refcount.ts";
import { root } from "../lib/root.ts";
import { rlimit } from "../process/signal-struct.ts";
import {
  CACHE_FILE,
  CACHE_FILES,
  kfree,
  kmem_cache_free,
  kmem_cache_init,
  kmem_cache_zalloc,
  kzalloc,
} from "../lib/slab.ts";
import { supervisor, supervisor_release } from "../container/supervisor.ts";
import { cold, task_struct } from "../process/task.ts";
import { timerfd_ctx, timerfd_release } from "./timerfd.ts";
import { tty_release } from "../tty/tty.ts";
import { EBADF, EINVAL, EMFILE, ENOMEM } from "../uapi/errno.ts";
import { CLOSE_RANGE_CLOEXEC, CLOSE_RANGE_UNSHARE } from "../uapi/fcntl.ts";
import { ASSIST_ERRNO, ASSIST_RET } from "../uapi/frame.ts";
import { RLIMIT_NOFILE } from "../uapi/resource.ts";
import { sock } from "../net/sock.ts";
import { unix_release } from "../net/unix.ts";
import { fifo_release } from "../vfs/fifo.ts";
import { fs_context, put_fs_context } from "../vfs/fs-context.ts";
import { free_vfs_file, vfs_file } from "../vfs/mount.ts";

// file.kind
export const FILE_NULL: u32 = 1;
/** The world's: a plain file, a socket, anything whose contents the kernel does not know. */
export const FILE_WORLD: u32 = 2;
export const FILE_PIPE: u32 = 3;
export const FILE_CONTAINER: u32 = 4;
export const FILE_PIDFD: u32 = 5;
export const FILE_SUPERVISOR: u32 = 6;
export const FILE_PROC: u32 = 24;
/** A file of /proc whose text the kernel writes. */
export const FILE_PROC_TEXT: u32 = 30;
export const FILE_NSFS: u32 = 25;
/** A POSIX message queue. */
export const FILE_MQUEUE: u32 = 31;
/** A file of the kernel's own file systems (assembly/vfs). */
export const FILE_VFS: u32 = 26;
/** A file system that is being configured (fsopen, fspick). */
export const FILE_FSCONTEXT: u32 = 27;

// kinds of its own that share readiness with others (poll.ts) count from here
export const FILE_EVENTFD: u32 = 16;
export const FILE_TIMERFD: u32 = 17;
export const FILE_SIGNALFD: u32 = 18;
export const FILE_INOTIFY: u32 = 19;
export const FILE_EPOLL: u32 = 20;
export const FILE_SOCKET: u32 = 21;

// file.opaque
/** Others than the kernel's tasks have a hand in it: contents and readiness are the world's. */
export const FILE_OPAQUE: u32 = 1;
/** What it was opened with is not known. */
export const FILE_FLAGS_UNKNOWN: u32 = 2;

/** struct file - 64 bytes. */
@unmanaged
export class file {
  count: i32; // refcount_t: descriptor tables, sleeping calls, messages in flight
  kind: u32; // [C] FILE_*
  flags: u32; // O_* as F_GETFL gives them
  private_data: u32; // [C] pipe, pid, socket, ...: holds a reference; a world's file: its terminal
  pos: u64; // offset, counter, set; a terminal's hangups when opened; a fifo's vfs_file
  f_owner: fown_struct; // [C] once made: who is told of events; owned; null: nobody ever was
  pad0: u32;
  pad1: u32;
  inode: inode; // what locks are taken on; holds a reference; null: the world's business
  items: epitem; // epoll items that watch this file, by epitem.file_next; no reference
  inflight: i32; // of count: references held by messages between sockets
  wait_next: u32; // list_head: pollers and readers of kinds without a queue of their own
  wait_prev: u32;
  events: u32; // POLL* bits that the host says are ready, where it says so
  opaque: u32; // FILE_OPAQUE, FILE_FLAGS_UNKNOWN

  get container(): container {
    return changetype<container>(this.private_data);
  }
  get place(): vfs_file {
    return changetype<vfs_file>(this.private_data);
  }
  get pipe(): pipe_inode_info {
    return changetype<pipe_inode_info>(this.private_data);
  }
  get pid(): pid {
    return changetype<pid>(this.private_data);
  }
  /** What a file of proc holds, wherever it was opened. */
  get proc_data(): u32 {
    const data = this.private_data;
    return this.kind == FILE_VFS ? changetype<vfs_file>(data).data : data;
  }
  /** FILE_PROC or FILE_PROC_TEXT of a file of proc, wherever it was opened; else 0. */
  get proc_kind(): u32 {
    const kind = this.kind;
    if (kind == FILE_VFS) return changetype<vfs_file>(this.private_data).kind;
    return kind == FILE_PROC || kind == FILE_PROC_TEXT ? kind : 0;
  }
  get proc_text(): proc_text_file {
    return changetype<proc_text_file>(this.proc_data);
  }
  get supervisor(): supervisor {
    return changetype<supervisor>(this.private_data);
  }
  get proc(): proc_file {
    return changetype<proc_file>(this.proc_data);
  }
  get ns(): ns_common {
    return changetype<ns_common>(this.private_data);
  }
  get sock(): sock {
    return changetype<sock>(this.private_data);
  }
  get eventpoll(): eventpoll {
    return changetype<eventpoll>(this.private_data);
  }
  get fs_context(): fs_context {
    return changetype<fs_context>(this.private_data);
  }
  get timerfd(): timerfd_ctx {
    return changetype<timerfd_ctx>(this.private_data);
  }
  get inotify(): inotify_device {
    return changetype<inotify_device>(this.private_data);
  }
  get wait(): list_head {
    return list_at(changetype<usize>(this), offsetof<file>("wait_next"));
  }
}
if (offsetof<file>() != 64) ERROR("struct file is one cache line");

const INLINE_FDS = 32;
/** struct files_struct - 32 bytes, then 32 slots; more are kmalloc'd. */
@unmanaged
export class files_struct {
  count: i32; // refcount_t: tasks
  shared: u32; // 1: CLONE_FILES, the sharers see each other's writes
  max_fds: i32;
  next_fd: i32; // no free descriptor below this
  fds: u32; // slots: address of the file | 1 when close-on-exec
  lock: u32; // spinlock_t, LOCK_FILES
  locks: u32; // 1: owner of record locks: never shared until written (own_table)
  pad: u32;
}
const FDS_AT: usize = 32;
const FD_CLOEXEC_BIT: u32 = 1;

export function file_caches_init(): void {
  kmem_cache_init(CACHE_FILE, <u32>offsetof<file>());
  kmem_cache_init(CACHE_FILES, <u32>FDS_AT + INLINE_FDS * 4);
}

/** A file with one reference, which takes over the caller's reference to `data`. Or null. */
export function alloc_file(kind: u32, flags: u32, data: usize): file {
  const f = changetype<file>(kmem_cache_zalloc(CACHE_FILE));
  if (nil(f)) return f;
  f.count = 1;
  f.kind = kind;
  f.flags = flags;
  f.private_data = <u32>data;
  list_head.init(f.wait);
  return f;
}

export function get_file(f: file): file {
  refcount_inc(changetype<usize>(f));
  return f;
}

/** A file of the kernel's file systems goes, with what proc has put there. */
function vfs_release(f: file): void {
  const place = f.place;
  if (place.kind == FILE_PROC) proc_release(f.proc);
  else if (place.kind == FILE_PROC_TEXT) proc_text_release(f.proc_text);
  free_vfs_file(place);
}

/** Drops a reference; the last one releases what the file stands for. */
export function fput(f: file): void {
  if (!refcount_dec_and_test(changetype<usize>(f))) return;
  if (!nil(f.items)) eventpoll_release(f);
  if (!nil(f.f_owner)) f_owner_release(f);
  if (!nil(f.inode)) locks_release(f);
  const kind = f.kind;
  if (kind == FILE_PIPE) {
    if (f.pos) fifo_release(f);
    else pipe_release(f.pipe, f.flags);
  } else if (kind == FILE_VFS || kind == FILE_MQUEUE) vfs_release(f);
  else if (kind == FILE_FSCONTEXT) put_fs_context(f.fs_context);
  else if (kind == FILE_CONTAINER) container_file_release(f.container);
  else if (kind == FILE_PIDFD) put_pid(f.pid);
  else if (kind == FILE_SUPERVISOR) supervisor_release(f.supervisor);
  else if (kind == FILE_PROC) proc_release(f.proc);
  else if (kind == FILE_PROC_TEXT) proc_text_release(f.proc_text);
  else if (kind == FILE_NSFS) put_ns(f.ns);
  else if (kind == FILE_EPOLL) ep_release(f.eventpoll);
  else if (kind == FILE_TIMERFD) timerfd_release(f.timerfd);
  else if (kind == FILE_INOTIFY) inotify_release(f.inotify);
  else if (kind == FILE_WORLD) {
    if (f.private_data) tty_release(f);
  } else if (kind == FILE_SOCKET) {
    // a socket's messages may hold the last reference to further sockets: no recursion
    unix_release(f);
    return;
  }
  kmem_cache_free(CACHE_FILE, changetype<usize>(f));
}

export function flags_unknown(f: file): bool {
  return (f.opaque & FILE_FLAGS_UNKNOWN) != 0;
}

/** The world says what a file was opened with. */
export function learn_flags(f: file, flags: u32): void {
  f.flags = flags;
  f.opaque &= ~FILE_FLAGS_UNKNOWN;
}

/** Do others than the kernel's tasks have a hand in a file? */
export function is_opaque(f: file): bool {
  return (f.opaque & FILE_OPAQUE) != 0;
}

/** Frees a file that was never published: what it would have stood for is not there. */
export function free_file(f: file): void {
  kmem_cache_free(CACHE_FILE, changetype<usize>(f));
}

/** An empty table, or null. */
export function alloc_files(): files_struct {
  const t = changetype<files_struct>(kmem_cache_zalloc(CACHE_FILES));
  if (nil(t)) return t;
  t.count = 1;
  t.max_fds = INLINE_FDS;
  t.fds = <u32>(changetype<usize>(t) + FDS_AT);
  return t;
}

function slot_of(t: files_struct, fd: i32): usize {
  return t.fds + ((<usize>fd) << 2);
}

function free_slots(t: files_struct): void {
  if (t.fds != <u32>(changetype<usize>(t) + FDS_AT)) kfree(t.fds, (<u32>t.max_fds) << 2);
}

/** Makes room for descriptor `fd`; false when memory is exhausted. */
function expand_files(t: files_struct, fd: i32): bool {
  if (fd < t.max_fds) return true;
  let max = t.max_fds;
  while (max <= fd) max <<= 1;
  const fds = kzalloc((<u32>max) << 2);
  if (!fds) return false;
  memory.copy(fds, t.fds, (<usize>t.max_fds) << 2);
  free_slots(t);
  t.fds = <u32>fds;
  t.max_fds = max;
  return true;
}

/** A private copy of `old`, every file with one more reference. Or null. */
export function dup_files(old: files_struct): files_struct {
  const t = alloc_files();
  if (nil(t)) return t;
  if (!expand_files(t, old.max_fds - 1)) {
    kmem_cache_free(CACHE_FILES, changetype<usize>(t));
    return NULL<files_struct>();
  }
  t.next_fd = old.next_fd;
  for (let fd = 0; fd < old.max_fds; ++fd) {
    const slot = load<u32>(slot_of(old, fd));
    if (!slot) continue;
    get_file(changetype<file>(<usize>(slot & ~FD_CLOEXEC_BIT)));
    store<u32>(slot_of(t, fd), slot);
  }
  return t;
}

/** What locks on the file are taken on: another open file of the same inode may have some. */
function locked_inode(f: file): inode {
  if (!nil(f.inode) || f.kind != FILE_VFS) return f.inode;
  return known_inode(<u32>changetype<usize>(f.place.dentry.inode));
}

/** A descriptor of table `t` is closed: what the process had locked there goes, then the file. */
function filp_close(t: files_struct, f: file): void {
  // a process that is told of messages has a table of its own, as one with locks
  if (t.locks) {
    if (f.kind == FILE_MQUEUE) mqueue_flush(t, mqueue_of(f));
    const i = locked_inode(f);
    if (!nil(i)) locks_remove_posix(i, <u32>changetype<usize>(t));
  }
  fput(f);
}

export function put_files(t: files_struct): void {
  if (nil(t) || !refcount_dec_and_test(changetype<usize>(t))) return;
  for (let fd = 0; fd < t.max_fds; ++fd) {
    const slot = load<u32>(slot_of(t, fd));
    if (slot) filp_close(t, changetype<file>(<usize>(slot & ~FD_CLOEXEC_BIT)));
  }
  free_slots(t);
  kmem_cache_free(CACHE_FILES, changetype<usize>(t));
}

/** The caller's table, private for writing; false when memory is exhausted. */
export function files_for_write(p: task_struct): bool {
  const t = cold(p).files;
  if (t.count == 1 || t.shared) return true;
  return unshare_files(p);
}

/** The same, and it stays so: the table is going to own record locks. */
export function own_table(p: task_struct): bool {
  if (!files_for_write(p)) return false;
  cold(p).files.locks = 1;
  return true;
}

/** Gives `p` a table of its own, whatever it shared. */
export function unshare_files(p: task_struct): bool {
  const t = cold(p).files;
  if (t.count == 1) {
    t.shared = 0;
    return true;
  }
  const copy = dup_files(t);
  if (nil(copy)) return false;
  cold(p).files = copy;
  put_files(t);
  return true;
}

/** How many descriptors the table has room for now, as Linux counts them at least. */
export function table_size(p: task_struct): u32 {
  return max<u32>(cold(p).files.max_fds, 64);
}

/** The open file of a descriptor, without a reference; null when it is not open. */
export function fget(p: task_struct, fd: i32): file {
  const t = cold(p).files;
  if (nil(t) || <u32>fd >= <u32>t.max_fds) return NULL<file>();
  return changetype<file>(<usize>(load<u32>(slot_of(t, fd)) & ~FD_CLOEXEC_BIT));
}

export function fd_cloexec(p: task_struct, fd: i32): bool {
  return (load<u32>(slot_of(cold(p).files, fd)) & FD_CLOEXEC_BIT) != 0;
}

/** Sets or clears close-on-exec; -ENOMEM when the table cannot be made private. */
export function set_cloexec(p: task_struct, fd: i32, on: bool): i32 {
  if (fd_cloexec(p, fd) == on) return 0;
  if (!files_for_write(p)) return -ENOMEM;
  const slot = slot_of(cold(p).files, fd);
  const value = load<u32>(slot);
  store<u32>(slot, on ? value | FD_CLOEXEC_BIT : value & ~FD_CLOEXEC_BIT);
  return 0;
}

/** Limit on descriptor numbers: the smaller of RLIMIT_NOFILE and 2^31-1. */
export function nofile(p: task_struct): i32 {
  const limit = rlimit(p.signal, RLIMIT_NOFILE);
  return limit > <u64>i32.MAX_VALUE ? i32.MAX_VALUE : <i32>limit;
}

/**
 * Lowest free descriptor at or above `from`, with room made for it; nothing is stored yet.
 * Return: number, -EMFILE, -ENOMEM.
 */
export function get_unused_fd(p: task_struct, from: i32): i32 {
  if (!files_for_write(p)) return -ENOMEM;
  const t = cold(p).files;
  let fd = from > t.next_fd ? from : t.next_fd;
  while (fd < t.max_fds && load<u32>(slot_of(t, fd))) ++fd;
  if (fd >= nofile(p)) return -EMFILE;
  if (!expand_files(t, fd)) return -ENOMEM;
  return fd;
}

/** Are there `n` free descriptors? Return: 0, -EMFILE, -ENOMEM. */
export function room_for(p: task_struct, n: i32): i32 {
  let fd = -1;
  for (let i = 0; i < n; ++i) {
    fd = get_unused_fd(p, fd + 1);
    if (fd < 0) return fd;
  }
  return 0;
}

/** Puts a file (its reference goes along) at a descriptor that get_unused_fd gave. */
export function fd_install(p: task_struct, fd: i32, f: file, cloexec: bool): void {
  const t = cold(p).files;
  store<u32>(slot_of(t, fd), (<u32>changetype<usize>(f)) | (cloexec ? FD_CLOEXEC_BIT : 0));
  if (fd == t.next_fd) t.next_fd = fd + 1;
}

/** Takes the file out of an open descriptor; the caller gets its reference. Table is private. */
export function fd_take(p: task_struct, fd: i32): file {
  const t = cold(p).files;
  const slot = slot_of(t, fd);
  const f = changetype<file>(<usize>(load<u32>(slot) & ~FD_CLOEXEC_BIT));
  store<u32>(slot, 0);
  if (fd < t.next_fd) t.next_fd = fd;
  return f;
}

/** close(2). Return: 0, -EBADF, -ENOMEM. */
export function close_fd(p: task_struct, fd: i32): i32 {
  if (nil(fget(p, fd))) return -EBADF;
  if (!files_for_write(p)) return -ENOMEM;
  filp_close(cold(p).files, fd_take(p, fd));
  return 0;
}

/** exec: closes what is marked so. The table is private already. */
export function do_close_on_exec(p: task_struct): void {
  const t = cold(p).files;
  for (let fd = 0; fd < t.max_fds; ++fd) {
    const slot = load<u32>(slot_of(t, fd));
    if (slot & FD_CLOEXEC_BIT) filp_close(t, fd_take(p, fd));
  }
}

/** close_range(2). Return: 0, -EINVAL, -ENOMEM. */
export function close_range(p: task_struct, first: u32, last: u32, flags: u32): i32 {
  if (flags & ~(<u32>(CLOSE_RANGE_UNSHARE | CLOSE_RANGE_CLOEXEC))) return -EINVAL;
  if (first > last) return -EINVAL;
  if (flags & CLOSE_RANGE_UNSHARE) {
    if (!unshare_files(p)) return -ENOMEM;
  } else if (!files_for_write(p)) {
    return -ENOMEM;
  }
  const t = cold(p).files;
  for (let fd = first; fd <= last && fd < <u32>t.max_fds; ++fd) {
    const slot = load<u32>(slot_of(t, fd));
    if (!slot) continue;
    if (flags & CLOSE_RANGE_CLOEXEC) store<u32>(slot_of(t, fd), slot | FD_CLOEXEC_BIT);
    else filp_close(t, fd_take(p, fd));
  }
  return 0;
}

/** Puts a second reference to `f` at `to`, closing what was there. Table is private. */
export function replace_fd(p: task_struct, to: i32, f: file, cloexec: bool): i32 {
  const t = cold(p).files;
  if (!expand_files(t, to)) return -ENOMEM;
  get_file(f);
  const old = fget(p, to);
  fd_install(p, to, f, cloexec);
  if (!nil(old)) filp_close(t, old);
  return to;
}

/** Opens the null device at the lowest descriptor: boot and adoption. ERR_PTR of nothing: errno. */
export function null_file(): file {
  return get_file(changetype<file>(root().null_file));
}

/** The container of a descriptor. ERR_PTR of EBADF, or EINVAL when it is no container. */
export function container_of_fd(p: task_struct, fd: i32): container {
  const f = fget(p, fd);
  if (nil(f)) return ERR_PTR<container>(-EBADF);
  return f.kind == FILE_CONTAINER ? f.container : ERR_PTR<container>(-EINVAL);
}

/** What the world answers: its errno, its value, or `otherwise` when it is silent. */
export function world_result(f: frame, otherwise: i32): i32 {
  if (f.assist & ASSIST_ERRNO) return -f.assist_val;
  if (f.assist & ASSIST_RET) return f.assist_val;
  return otherwise;
}
