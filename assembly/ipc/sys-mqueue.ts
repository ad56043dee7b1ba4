// mq_open(2), mq_unlink(2), mq_timedsend(2), mq_timedreceive(2), mq_notify(2), mq_getsetattr(2).
import { cred_ns_capable } from "../cred/cred.ts";
import { d_drop, dentry } from "../vfs/dcache.ts";
import { ERR_PTR, IS_ERR, nil, PTR_ERR, RET_SLEEPS, same } from "../lib/err.ts";
import * as FD from "../fs/file.ts";
import { file } from "../fs/file.ts";
import { frame } from "../lib/frame.ts";
import { ipc_namespace, ipc_ns_of } from "./ipc.ts";
import { list_head } from "../lib/list.ts";
import { nd_first } from "../vfs/lookup.ts";
import { alloc_vfs_file, free_vfs_file } from "../vfs/mount.ts";
import * as Q from "./mqueue.ts";
import { mq_namespace, mqueue_inode_info } from "./mqueue.ts";
import { mq_told } from "./mq-notify.ts";
import { alloc_msg, free_msg, text_of } from "./msg.ts";
import * as N from "../vfs/namei.ts";
import { nameidata } from "../vfs/namei.ts";
import { vfs_make, vfs_unlink } from "../vfs/ops.ts";
import { nsproxy } from "../namespace/nsproxy.ts";
import * as P from "../vfs/permission.ts";
import { root, VFS_BUFFER, VFS_PATH } from "../lib/root.ts";
import { super_block } from "../vfs/super.ts";
import { sys_world_fd } from "../fs/sys-file.ts";
import { call_file, end_wait } from "../fs/sys-rw.ts";
import { cold, task_struct } from "../process/task.ts";
import { access_ok, copy_from_user, copy_to_user, prepare_write } from "../lib/uaccess.ts";
import { init_user_ns } from "../namespace/user-namespace.ts";
import { CAP_SYS_RESOURCE } from "../uapi/capability.ts";
import * as E from "../uapi/errno.ts";
import * as O from "../uapi/fcntl.ts";
import * as A from "../uapi/frame.ts";
import * as M from "../uapi/mqueue.ts";
import * as S from "../uapi/stat.ts";
import { signal_pending, wait_on_file } from "../process/waitqueue.ts";

/** Flags of an open that are no part of what is open. */
const ONCE: u32 = O.O_CREAT | O.O_EXCL | O.O_NOCTTY | O.O_TRUNC | O.O_CLOEXEC;
const ATTR_BYTES: u32 = 64;
const WAITS: i32 = 1 << 30;

/** The walk stands at the directory of queues; the name of `len` bytes is at VFS_PATH. */
function at_name(p: task_struct, own: mq_namespace, len: i32): nameidata {
  const nd = N.nd_begin(changetype<usize>(nd_first()), p, VFS_PATH, len, 0);
  nd.mnt = own.mnt;
  nd.dentry = own.mnt.root;
  nd.last = <u32>VFS_PATH;
  nd.last_len = len;
  nd.last_type = N.LAST_NORM;
  return nd;
}

/** Is the name one that a queue may have? Return: its length, -ENOENT, -EACCES, -ENAMETOOLONG. */
function queue_name(f: frame, addr: u64): i32 {
  const len = N.getname(f, VFS_PATH, addr);
  if (len <= 0) return len ? len : -E.ENOENT;
  const dots = load<u8>(VFS_PATH) == 46 && (len == 1 || (len == 2 && load<u8>(VFS_PATH + 1) == 46));
  if (dots) return -E.EACCES;
  for (let i = 0; i < len; ++i) if (load<u8>(VFS_PATH + i) == 47) return -E.EACCES;
  return len > S.NAME_MAX ? -E.ENAMETOOLONG : len;
}

/** struct mq_attr at `addr`, its longs at the scratch buffer. */
function read_attr(f: frame, addr: u64, compat: bool): i32 {
  const at = VFS_BUFFER;
  const bad = copy_from_user(f, at, addr, compat ? ATTR_BYTES >> 1 : ATTR_BYTES);
  if (bad || !compat) return bad;
  for (let i = 7; i >= 0; --i) store<i64>(at + (i << 3), <i64>load<i32>(at + (i << 2)));
  return 0;
}

/** A queue may have so many messages of such a size? Return: 0, -EINVAL. */
function attr_ok(p: task_struct, ns: mq_namespace, maxmsg: i64, msgsize: i64): i32 {
  if (maxmsg <= 0 || msgsize <= 0) return -E.EINVAL;
  const free = cred_ns_capable(p.cred, init_user_ns(), CAP_SYS_RESOURCE);
  const most = free ? <i64>M.HARD_MSGMAX : <i64>ns.msg_max;
  const longest = free ? <i64>M.HARD_MSGSIZEMAX : <i64>ns.msgsize_max;
  return maxmsg > most || msgsize > longest ? -E.EINVAL : 0;
}

/**
 * A new queue at the walk's last name; with `attr` as the scratch buffer says.
 * `told`: a recording says that it was made. Return: ERR_PTR of ENOSPC, EINVAL, EMFILE, ENOMEM.
 */
export function mqueue_create(
  p: task_struct,
  nd: nameidata,
  mode: u32,
  attr: bool,
  told: bool,
): dentry {
  const sb: super_block = nd.dentry.inode.sb;
  const ns = changetype<ipc_namespace>(changetype<usize>(sb.ipc));
  // a namespace that is gone has no new queues
  if (nil(ns)) return ERR_PTR<dentry>(-E.EACCES);
  const own = ns.mq;
  const capable = cred_ns_capable(p.cred, init_user_ns(), CAP_SYS_RESOURCE);
  if (own.nr_queues >= own.queues_max && !capable && !told) return ERR_PTR<dentry>(-E.ENOSPC);
  const maxmsg = attr ? load<i64>(VFS_BUFFER, 8) : <i64>min(own.msg_max, own.msg_default);
  const size = attr ? load<i64>(VFS_BUFFER, 16) : <i64>min(own.msgsize_max, own.msgsize_default);
  const bad = told ? 0 : attr_ok(p, own, maxmsg, size);
  if (bad) return ERR_PTR<dentry>(bad);
  const q = Q.alloc_mqueue(p, <u32>maxmsg, <u32>size, told);
  if (IS_ERR(q)) return ERR_PTR<dentry>(PTR_ERR(q));
  const d = vfs_make(nd, S.S_IFREG | mode, 0);
  if (IS_ERR(d)) {
    Q.free_mqueue(q);
    return d;
  }
  q.unknown = told && !attr ? 1 : 0;
  d.inode.mq = q;
  d.inode.length = M.FILENT_SIZE;
  own.nr_queues += 1;
  return d;
}

/** The open file of a queue; null when memory is exhausted. */
export function alloc_mqueue_file(nd: nameidata, flags: u32): file {
  const place = alloc_vfs_file(nd.mnt, nd.dentry);
  if (nil(place)) return changetype<file>(0);
  const at = FD.alloc_file(FD.FILE_MQUEUE, flags & ~ONCE, changetype<usize>(place));
  if (nil(at)) free_vfs_file(place);
  return at;
}

/** Does a recording answer for the limits of the machine's own namespace? */
function is_told(p: task_struct, f: frame): bool {
  const all = changetype<nsproxy>(<usize>root().init_nsproxy);
  const initial = same(cold(p).nsproxy.ipc_ns, all.ipc_ns);
  return initial && (f.assist & (A.ASSIST_RET | A.ASSIST_ERRNO)) != 0;
}

/** The queue is there. Return: 0, -EEXIST, -EINVAL, -EACCES. */
function may_open(p: task_struct, d: dentry, flags: u32): i32 {
  const both: u32 = O.O_CREAT | O.O_EXCL;
  if ((flags & both) == both) return -E.EEXIST;
  const access = flags & O.O_ACCMODE;
  if (access == O.O_ACCMODE) return -E.EINVAL;
  const acc = access == O.O_RDONLY ? P.MAY_READ : access == O.O_WRONLY ? P.MAY_WRITE : 6;
  return P.inode_permission(p.cred, d.inode, acc);
}

/** mq_open(2): name, flags, mode, attributes. */
export function sys_mq_open(p: task_struct, f: frame, compat: bool): i32 {
  const flags = <u32>f.a1;
  if (f.r10) {
    const bad = read_attr(f, f.r10, compat);
    if (bad) return bad;
  }
  const len = queue_name(f, f.a0);
  if (len < 0 && (len < -4096 || len == -E.EFAULT || len == -E.ENOENT)) return len;
  const fd = FD.get_unused_fd(p, 0);
  if (fd < 0) return fd;
  if (len < 0) return len;
  const own = Q.mq_ns_of(ipc_ns_of(p));
  if (nil(own)) return -E.ENOMEM;
  // the scratch buffer may have served for what was made
  if (f.r10) read_attr(f, f.r10, compat);
  const nd = at_name(p, own, len);
  const old = N.lookup_one(nd);
  const made = nil(old);
  let bad = 0;
  if (made) {
    const told = is_told(p, f);
    if (told && f.assist & A.ASSIST_ERRNO) return -f.assist_val;
    // one from before the recording
    if (!(flags & O.O_CREAT)) return told ? sys_world_fd(p, f) : -E.ENOENT;
    bad = P.may_create(p.cred, nd.dentry.inode);
    if (bad) return bad;
    const mode = (<u32>f.a2) & ~cold(p).fs.umask & S.S_IALLUGO;
    const d = mqueue_create(p, nd, mode, f.r10 != 0, is_told(p, f));
    if (IS_ERR(d)) return PTR_ERR(d);
    nd.dentry = d;
  } else {
    bad = may_open(p, old, flags);
    if (bad) return bad;
    nd.dentry = old;
  }
  const at = alloc_mqueue_file(nd, flags);
  if (nil(at)) {
    if (made) mqueue_unmake(nd.dentry);
    return -E.ENOMEM;
  }
  FD.fd_install(p, fd, at, true);
  return fd;
}

/** A queue that was made for an open which then failed has never been. */
function mqueue_unmake(d: dentry): void {
  d.inode.nlink = 0;
  d_drop(d);
}

/** mq_unlink(2): name. */
export function sys_mq_unlink(p: task_struct, f: frame): i32 {
  const len = queue_name(f, f.a0);
  if (len < 0) return len;
  const own = Q.mq_ns_of(ipc_ns_of(p));
  return nil(own) ? -E.ENOMEM : vfs_unlink(p, at_name(p, own, len));
}

/** The open queue of a call; null: EBADF. */
function mq_file(p: task_struct, f: frame): file {
  const at = call_file(p, f, <i32>f.a0);
  return nil(at) || at.kind != FD.FILE_MQUEUE ? changetype<file>(0) : at;
}

/** The timeout at `addr`, into frame.deadline. Return: 0, -EINVAL, -EFAULT, RET_NEED. */
function prepare_timeout(f: frame, addr: u64, compat: bool): i32 {
  f.deadline = 0;
  f.expired = 0;
  if (!addr) return 0;
  const bad = copy_from_user(f, VFS_BUFFER, addr, compat ? 8 : 16);
  if (bad) return bad;
  const sec = compat ? <i64>load<i32>(VFS_BUFFER) : load<i64>(VFS_BUFFER);
  const nsec = compat ? <i64>load<i32>(VFS_BUFFER, 4) : load<i64>(VFS_BUFFER, 8);
  if (sec < 0 || nsec < 0 || nsec >= 1_000_000_000) return -E.EINVAL;
  // the end of time is as good as none
  const ns = sec > 9_000_000_000 ? 0 : <u64>sec * 1_000_000_000 + <u64>nsec;
  f.deadline = ns || sec ? ns : 1;
  return 0;
}

/** Sleeps on a list of the queue until the deadline, if there is one. */
function wq_sleep(p: task_struct, f: frame, at: file, queue: list_head): i32 {
  if (f.assist & A.ASSIST_PEEK) return RET_SLEEPS;
  if (signal_pending(p)) return -E.ERESTARTSYS;
  if (f.deadline && f.deadline <= root().clock) return -E.ETIMEDOUT;
  f.cookie = 0;
  return wait_on_file(p, f, queue, at);
}

/** A sleeping call goes on. Return: its end, or WAITS: it looks again. */
function wq_resumed(p: task_struct, f: frame): i32 {
  const r = Q.mq_status(f);
  if (r != WAITS) return r;
  if (signal_pending(p)) return -E.ERESTARTSYS;
  return f.expired ? -E.ETIMEDOUT : WAITS;
}

/** A call with a timeout begins, or goes on. Return: its end, or WAITS: it looks at the queue. */
function wq_begin(p: task_struct, f: frame, compat: bool): i32 {
  if (f.phase) {
    const r = wq_resumed(p, f);
    return r == WAITS ? r : end_wait(p, r);
  }
  const bad = prepare_timeout(f, f.r8, compat);
  return bad ? bad : WAITS;
}

/** mq_timedsend(2): queue, message, bytes, priority, timeout. */
export function sys_mq_timedsend(p: task_struct, f: frame, compat: bool): i32 {
  const r = wq_begin(p, f, compat);
  return r == WAITS ? end_wait(p, do_send(p, f)) : r;
}

function do_send(p: task_struct, f: frame): i32 {
  if (<u32>f.r10 >= <u32>M.MQ_PRIO_MAX) return -E.EINVAL;
  const at = mq_file(p, f);
  if (nil(at) || (at.flags & O.O_ACCMODE) == O.O_RDONLY) return -E.EBADF;
  const q = Q.mqueue_of(at);
  if (f.a2 > <u64>q.msgsize) return -E.EMSGSIZE;
  const len = <u32>f.a2;
  const unread = access_ok(f, f.a1, len, A.WINDOW_READ);
  if (unread) return unread;
  if (q.curmsgs >= q.maxmsg) {
    return at.flags & O.O_NONBLOCK ? -E.EAGAIN : wq_sleep(p, f, at, q.senders);
  }
  if (f.assist & A.ASSIST_PEEK) return 0;
  const m = alloc_msg(len, <i64>(<u32>f.r10));
  if (nil(m)) return -E.ENOMEM;
  if (copy_from_user(f, text_of(m), f.a1, len)) {
    free_msg(m);
    return -E.EFAULT;
  }
  if (!Q.mq_pipelined_send(q, m)) {
    Q.mq_insert(q, m);
    mq_told(p, q);
  }
  touch(at);
  return 0;
}

function touch(at: file): void {
  const i = at.place.dentry.inode;
  i.atime = i.mtime = i.ctime = root().clock;
}

/** mq_timedreceive(2): queue, message, room, where its priority goes, timeout. */
export function sys_mq_timedreceive(p: task_struct, f: frame, compat: bool): i32 {
  const r = wq_begin(p, f, compat);
  return r == WAITS ? end_wait(p, do_receive(p, f)) : r;
}

function do_receive(p: task_struct, f: frame): i32 {
  const at = mq_file(p, f);
  if (nil(at) || (at.flags & O.O_ACCMODE) == O.O_WRONLY) return -E.EBADF;
  const q = Q.mqueue_of(at);
  if (f.a2 < <u64>q.msgsize && !q.unknown) return -E.EMSGSIZE;
  // what is written must be there, whoever writes it
  const len = q.curmsgs ? q.head.len : <u32>min<u64>(f.a2, q.msgsize);
  let need = access_ok(f, f.a1, len, A.WINDOW_WRITE);
  if (need < -4096) return need;
  need = f.r10 ? access_ok(f, f.r10, 4, A.WINDOW_WRITE) : 0;
  if (need < -4096) return need;
  if (!q.curmsgs) {
    return at.flags & O.O_NONBLOCK ? -E.EAGAIN : wq_sleep(p, f, at, q.receivers);
  }
  if (f.assist & A.ASSIST_PEEK) return <i32>len;
  const m = Q.mq_take(q);
  Q.mq_pipelined_receive(q);
  touch(at);
  // as in Linux, a message that could not be stored is gone
  const r = Q.mq_store(f, m);
  free_msg(m);
  return r;
}

/** Attributes as mq_getattr(3) shows them, into the second half of the scratch buffer. */
function put_attr(q: mqueue_inode_info, flags: u32, compat: bool): usize {
  const at = VFS_BUFFER + ATTR_BYTES;
  const w: usize = compat ? 4 : 8;
  memory.fill(at, 0, ATTR_BYTES);
  store<u32>(at, flags & O.O_NONBLOCK);
  store<u32>(at + w, q.maxmsg);
  store<u32>(at + 2 * w, q.msgsize);
  store<u32>(at + 3 * w, q.curmsgs);
  return at;
}

/** mq_getsetattr(2): queue, new attributes, where the old ones go. */
export function sys_mq_getsetattr(p: task_struct, f: frame, compat: bool): i32 {
  if (f.a1) {
    const bad = read_attr(f, f.a1, compat);
    if (bad) return bad;
    if (load<u64>(VFS_BUFFER) & ~(<u64>O.O_NONBLOCK)) return -E.EINVAL;
  }
  const at = mq_file(p, f);
  if (nil(at)) return -E.EBADF;
  const bytes: u32 = compat ? ATTR_BYTES >> 1 : ATTR_BYTES;
  const need = f.a2 ? prepare_write(f, f.a2, bytes) : 0;
  if (need && need < -4096) return need;
  const q = Q.mqueue_of(at);
  learn_attr(q, f);
  const old = put_attr(q, at.flags, compat);
  if (f.a1) {
    at.flags = (at.flags & ~(<u32>O.O_NONBLOCK)) | (load<u32>(VFS_BUFFER) & O.O_NONBLOCK);
  }
  return f.a2 && copy_to_user(f, f.a2, old, bytes) ? -E.EFAULT : 0;
}

/** The attributes of a queue that a recording made without naming them: they are seen now. */
function learn_attr(q: mqueue_inode_info, f: frame): void {
  if (!q.unknown || !f.assist_mask) return;
  q.unknown = 0;
  q.maxmsg = <u32>f.assist_mask;
  q.msgsize = <u32>(f.assist_mask >> 32);
}
