// POSIX message queues: files of a file system that each ipc namespace has (ipc/mqueue.c). A
// message goes to the first sleeping receiver, without standing in the queue; what a receiver
// takes makes room for the first sleeping sender.
import { dec_msgqueue, inc_msgqueue, ucounts } from "../cred/ucounts.ts";
import { ERR_PTR, NULL, nil } from "../lib/err.ts";
import { file, files_struct, fput } from "../fs/file.ts";
import { frame } from "../lib/frame.ts";
import { vfs_inode } from "../vfs/inode.ts";
import { ipc_alloc, ipc_free, ipc_namespace } from "./ipc.ts";
import { list_at, list_head } from "../lib/list.ts";
import { alloc_mount, mntput, mount } from "../vfs/mount.ts";
import { mount_nodev } from "../vfs/mnt-namespace.ts";
import { alloc_msg, free_msg, msg_msg, text_of } from "./msg.ts";
import { put_ns } from "../namespace/namespace.ts";
import { pid, put_pid } from "../process/pid.ts";
import { rlimit } from "../process/signal-struct.ts";
import { alloc_skb, queue_skb, sk_buff } from "../net/sock.ts";
import { kfree, kmalloc } from "../lib/slab.ts";
import { deactivate_super, FS_MQUEUE, super_block } from "../vfs/super.ts";
import { rare, task_struct } from "../process/task.ts";
import { copy_from_user, copy_to_user } from "../lib/uaccess.ts";
import { VFS_BUFFER } from "../lib/root.ts";
import { ENOBUFS, ENOMEM, EFAULT, EMFILE } from "../uapi/errno.ts";
import { POLLIN, POLLOUT, POLLRDNORM, POLLWRNORM } from "../uapi/fcntl.ts";
import * as Q from "../uapi/mqueue.ts";
import { RLIMIT_MSGQUEUE } from "../uapi/resource.ts";
import { user_namespace } from "../namespace/user-namespace.ts";
import { waiter, wake_up_poll, wake_up_process } from "../process/waitqueue.ts";

/** struct mq_namespace - the queues of an ipc namespace, from its first mq call on. */
@unmanaged
export class mq_namespace {
  mnt: mount; // where they are found; holds a reference
  nr_queues: u32;
  queues_max: u32; // [C] these six: what those without CAP_SYS_RESOURCE are bound to
  msg_max: u32;
  msgsize_max: u32;
  msg_default: u32;
  msgsize_default: u32;
  pad: u32;
}
const MQ_NS_BYTES: u32 = <u32>offsetof<mq_namespace>();

/** struct mqueue_inode_info - one queue; belongs to its inode. */
@unmanaged
export class mqueue_inode_info {
  maxmsg: u32; // [C] these two, but for a queue whose making the recording did not show
  msgsize: u32;
  curmsgs: u32;
  qsize: u32; // bytes of all messages
  head: msg_msg; // highest priority first, the oldest of each first
  tail: msg_msg;
  bytes: u64; // [C] what is counted for the user
  user: ucounts; // [C] whose; holds a reference
  notify: pid; // who is told of a message; holds a reference; null: nobody
  notify_files: u32; // its descriptor table: any close of the queue there ends it. No reference
  notify_how: u32; // SIGEV_*
  notify_signo: i32;
  notify_ns: user_namespace; // whose ids the signal has; holds a reference
  notify_value: u64;
  notify_sock: file; // with SIGEV_THREAD: a netlink socket; holds a reference
  unknown: u32; // 1: its attributes are to be learned
  cookie0: u64; // what goes to the socket
  cookie1: u64;
  cookie2: u64;
  cookie3: u64;
  recv_next: u32; // list_head: sleeping receivers
  recv_prev: u32;
  send_next: u32; // list_head: sleeping senders
  send_prev: u32;
  poll_next: u32; // list_head: pollers
  poll_prev: u32;

  get receivers(): list_head {
    return list_at(changetype<usize>(this), offsetof<mqueue_inode_info>("recv_next"));
  }
  get senders(): list_head {
    return list_at(changetype<usize>(this), offsetof<mqueue_inode_info>("send_next"));
  }
  get pollers(): list_head {
    return list_at(changetype<usize>(this), offsetof<mqueue_inode_info>("poll_next"));
  }
}
const MQ_BYTES: u32 = <u32>offsetof<mqueue_inode_info>();
export const COOKIE_AT: usize = offsetof<mqueue_inode_info>("cookie0");

// frame.cookie of a sleeping mq_timedsend or mq_timedreceive: 0 while it sleeps, or
/** ... it is done; a length in the lower bits */
const DONE: u32 = 0x8000_0000;
/** ... the message went to an address that is none */
const FAULTED: u32 = 0x4000_0000;

/** The queues of `ns`, made when they are first asked for; null when memory is exhausted. */
export function mq_ns_of(ns: ipc_namespace): mq_namespace {
  if (!nil(ns.mq)) return ns.mq;
  const made = changetype<mq_namespace>(ipc_alloc(MQ_NS_BYTES));
  if (nil(made)) return made;
  const sb = mount_nodev(FS_MQUEUE, 0o1777, changetype<user_namespace>(ns.user_ns));
  store<u64>(VFS_BUFFER, 0x65756575716d);
  made.mnt = nil(sb) ? NULL<mount>() : alloc_mount(sb, sb.root, VFS_BUFFER, 6);
  if (!nil(sb)) deactivate_super(sb);
  if (nil(made.mnt)) {
    ipc_free(changetype<usize>(made), MQ_NS_BYTES);
    return NULL<mq_namespace>();
  }
  made.queues_max = Q.DFLT_QUEUESMAX;
  made.msg_max = Q.DFLT_MSGMAX;
  made.msgsize_max = Q.DFLT_MSGSIZEMAX;
  made.msg_default = Q.DFLT_MSG;
  made.msgsize_default = Q.DFLT_MSGSIZE;
  sb.ipc = ns;
  sb.max_inodes = 0;
  ns.mq = made;
  return made;
}

/** Nobody is in the namespace any more: what is still open or mounted of it goes on without. */
export function mq_exit_ns(ns: ipc_namespace): void {
  const own = ns.mq;
  if (nil(own)) return;
  own.mnt.sb.ipc = NULL<ipc_namespace>();
  ns.mq = NULL<mq_namespace>();
  mntput(own.mnt);
  ipc_free(changetype<usize>(own), MQ_NS_BYTES);
}

/** What a queue is counted as, its user's limit compared. */
function bytes_of(maxmsg: u32, msgsize: u32): u64 {
  const tree = <u64>maxmsg * Q.MQ_MSG_OVERHEAD + <u64>min(maxmsg, Q.MQ_PRIO_MAX) * Q.MQ_NODE_BYTES;
  return <u64>maxmsg * msgsize + tree;
}

/**
 * A queue for an inode of `p`'s, counted for its user. `told`: whatever its limit.
 * Return: ERR_PTR of EMFILE, ENOMEM.
 */
export function alloc_mqueue(
  p: task_struct,
  maxmsg: u32,
  msgsize: u32,
  told: bool,
): mqueue_inode_info {
  const q = changetype<mqueue_inode_info>(ipc_alloc(MQ_BYTES));
  if (nil(q)) return ERR_PTR<mqueue_inode_info>(-ENOMEM);
  const bytes = bytes_of(maxmsg, msgsize);
  const limit = told ? u64.MAX_VALUE : rlimit(p.signal, RLIMIT_MSGQUEUE);
  if (!inc_msgqueue(p.cred.ucounts, bytes, limit)) {
    ipc_free(changetype<usize>(q), MQ_BYTES);
    return ERR_PTR<mqueue_inode_info>(-EMFILE);
  }
  q.maxmsg = maxmsg;
  q.msgsize = msgsize;
  q.bytes = bytes;
  q.user = p.cred.ucounts;
  list_head.init(q.receivers);
  list_head.init(q.senders);
  list_head.init(q.pollers);
  return q;
}

/** A socket that waits for the notification gets its cookie, with what has happened last. */
export function tell_socket(q: mqueue_inode_info, what: u32): void {
  const s = q.notify_sock.sock;
  const data = kmalloc(Q.NOTIFY_COOKIE_LEN);
  const skb = data ? alloc_skb(s, Q.NOTIFY_COOKIE_LEN, 0) : changetype<sk_buff>(0);
  if (nil(skb)) {
    kfree(data, Q.NOTIFY_COOKIE_LEN);
    s.err = ENOBUFS;
    return;
  }
  // it takes nothing of the reader's room to send
  s.wmem -= skb.truesize;
  skb.truesize = 0;
  memory.copy(data, changetype<usize>(q) + COOKIE_AT, Q.NOTIFY_COOKIE_LEN);
  store<u8>(data + Q.NOTIFY_COOKIE_LEN - 1, <u8>what);
  skb.data = <u32>data;
  queue_skb(s, skb);
}

/** Nobody is told any more. */
export function clear_notification(q: mqueue_inode_info): void {
  if (nil(q.notify)) return;
  put_pid(q.notify);
  put_ns(q.notify_ns);
  const sock = q.notify_sock;
  q.notify = NULL<pid>();
  q.notify_ns = NULL<user_namespace>();
  q.notify_sock = NULL<file>();
  q.notify_files = 0;
  if (!nil(sock)) fput(sock);
}

/** The same before there was a message: a socket that waits hears of it. */
export function remove_notification(q: mqueue_inode_info): void {
  if (!nil(q.notify_sock)) tell_socket(q, Q.NOTIFY_REMOVED);
  clear_notification(q);
}

/** A queue without users: its inode is gone, or never was. */
export function free_mqueue(q: mqueue_inode_info): void {
  clear_notification(q);
  while (!nil(q.head)) {
    const m = q.head;
    q.head = m.next;
    free_msg(m);
  }
  dec_msgqueue(q.user, q.bytes);
  ipc_free(changetype<usize>(q), MQ_BYTES);
}

/** The inode of a queue goes. */
export function mqueue_evict(i: vfs_inode): void {
  const ns = i.sb.ipc;
  if (!nil(ns)) ns.mq.nr_queues -= 1;
  free_mqueue(i.mq);
}

/** A descriptor of a queue is closed in table `t`: the process there is told no more. */
export function mqueue_flush(t: files_struct, q: mqueue_inode_info): void {
  if (q.notify_files == <u32>changetype<usize>(t)) remove_notification(q);
}

/** A message takes its place: behind those of its priority. */
export function mq_insert(q: mqueue_inode_info, m: msg_msg): void {
  m.next = NULL<msg_msg>();
  if (nil(q.head)) {
    q.head = q.tail = m;
  } else if (q.tail.type >= m.type) {
    q.tail.next = m;
    q.tail = m;
  } else if (m.type > q.head.type) {
    m.next = q.head;
    q.head = m;
  } else {
    let at = q.head;
    while (at.next.type >= m.type) at = at.next;
    m.next = at.next;
    at.next = m;
  }
  q.curmsgs += 1;
  q.qsize += m.len;
}

/** Takes the first message out of a queue that has one. */
export function mq_take(q: mqueue_inode_info): msg_msg {
  const m = q.head;
  q.head = m.next;
  if (nil(q.head)) q.tail = q.head;
  q.curmsgs -= 1;
  q.qsize -= m.len;
  return m;
}

function wake_with(t: task_struct, f: frame, cookie: u32): void {
  f.cookie = cookie;
  wake_up_process(t);
}

/** The first sleeper on a list whose call is not over; null: there is none. */
function first_sleeper(head: list_head): task_struct {
  for (let at = head.next; at !== head; at = at.next) {
    const t = changetype<waiter>(changetype<usize>(at)).task;
    if (!rare(t).frame.cookie) return t;
  }
  return NULL<task_struct>();
}

/** Writes a message to who receives it with frame `f`. Return: its length, -EFAULT, RET_NEED. */
export function mq_store(f: frame, m: msg_msg): i32 {
  store<u32>(VFS_BUFFER, <u32>m.type);
  const bad = f.r10 ? copy_to_user(f, f.r10, VFS_BUFFER, 4) : 0;
  if (bad) return bad;
  const r = copy_to_user(f, f.a1, text_of(m), m.len);
  return r ? r : <i32>m.len;
}

/** A new message: does a sleeping receiver take it? It is gone then. */
export function mq_pipelined_send(q: mqueue_inode_info, m: msg_msg): bool {
  const t = first_sleeper(q.receivers);
  if (nil(t)) return false;
  const f = rare(t).frame;
  const r = mq_store(f, m);
  wake_with(t, f, r < 0 ? FAULTED : DONE | (<u32>r));
  free_msg(m);
  return true;
}

/** There is room again: the message of the first sleeping sender takes it. */
export function mq_pipelined_receive(q: mqueue_inode_info): void {
  const t = first_sleeper(q.senders);
  if (nil(t)) {
    wake_up_poll(q.pollers, POLLOUT | POLLWRNORM);
    return;
  }
  const f = rare(t).frame;
  const m = alloc_msg(<u32>f.a2, <i64>(<u32>f.r10));
  if (!nil(m) && !copy_from_user(f, text_of(m), f.a1, <u32>f.a2)) {
    mq_insert(q, m);
    wake_with(t, f, DONE);
    return;
  }
  // it tries again by itself
  if (!nil(m)) free_msg(m);
  wake_up_process(t);
}

/** What a sleeping call has come to: its result; 1 << 30: it still waits. */
export function mq_status(f: frame): i32 {
  const cookie = f.cookie;
  if (!cookie) return 1 << 30;
  return cookie & FAULTED ? -EFAULT : <i32>(cookie & ~DONE);
}

/** What is ready at a queue. */
export function mqueue_poll(q: mqueue_inode_info): u32 {
  const read: u32 = q.curmsgs ? POLLIN | POLLRDNORM : 0;
  return q.curmsgs < q.maxmsg ? read | POLLOUT | POLLWRNORM : read;
}

/** The queue behind an open file of the kind. */
export function mqueue_of(at: file): mqueue_inode_info {
  return at.place.dentry.inode.mq;
}

/** A namespace's own file system, for mount(2): one more reference. Null: no memory. */
export function mq_super(ns: ipc_namespace): super_block {
  const own = mq_ns_of(ns);
  if (nil(own)) return NULL<super_block>();
  own.mnt.sb.active += 1;
  return own.mnt.sb;
}
