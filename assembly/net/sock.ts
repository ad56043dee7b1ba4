// struct sock - one end of a communication - and struct sk_buff, what lies in its queue. Of the
// bytes only their number is kept; messages of netlink, which the kernel writes itself, have
// contents. What a family makes of it is in unix.ts, inet.ts, netlink.ts.
import { seeded_fault } from "../lib/bug.ts";
import { NULL, nil } from "../lib/err.ts";
import { kill_fasync } from "../fs/fasync.ts";
import { file, FILE_SOCKET, fput, get_file } from "../fs/file.ts";
import { group_info, put_group_info } from "../cred/groups.ts";
import { list_at, list_head } from "../lib/list.ts";
import { get_ns, put_ns } from "../namespace/namespace.ts";
import { net_namespace } from "./net-namespace.ts";
import { pid, put_pid } from "../process/pid.ts";
import { refcount_dec_and_test, refcount_inc } from "../lib/refcount.ts";
import { root } from "../lib/root.ts";
import {
  CACHE_SKB,
  CACHE_SOCK,
  CACHE_UNIX_ADDRESS,
  kfree,
  kmalloc,
  kmem_cache_free,
  kmem_cache_init,
  kmem_cache_zalloc,
} from "../lib/slab.ts";
import { rare } from "../process/task.ts";
import * as O from "../uapi/fcntl.ts";
import { vfs_file } from "../vfs/mount.ts";
import { PAGE_SIZE } from "../uapi/limits.ts";
import { OP_READ, OP_READV, OP_RECVFROM, OP_RECVMMSG, OP_RECVMSG } from "../uapi/op.ts";
import { POLL_IN, POLL_OUT } from "../uapi/signal.ts";
import * as K from "../uapi/socket.ts";
import { waiter, wake_up_poll } from "../process/waitqueue.ts";

// Seeded fault (debug builds only): files in flight are not counted.
const F_INFLIGHT = 142;

export const RCV_SHUTDOWN: u32 = 1;
export const SEND_SHUTDOWN: u32 = 2;
export const SHUTDOWN_MASK: u32 = 3;

// sock.state, with Linux's numbers
export const TCP_ESTABLISHED: u32 = 1;
export const TCP_SYN_SENT: u32 = 2;
export const TCP_CLOSE: u32 = 7;
export const TCP_LISTEN: u32 = 10;

// sock.options
export const SOCK_REUSEADDR: u32 = 1;
export const SOCK_REUSEPORT: u32 = 2;
export const SOCK_KEEPALIVE: u32 = 4;
export const SOCK_BROADCAST: u32 = 8;
export const SOCK_V6ONLY: u32 = 16;
export const SOCK_NODELAY: u32 = 32;
export const SOCK_LINGER: u32 = 64;
export const SOCK_OOBINLINE: u32 = 128;
/** The port was chosen by bind(2): it stays when the connection is undone. */
export const SOCK_BINDPORT: u32 = 256;
/** connect(2) has gone without the connection; the next one tells of it. */
export const SOCK_CONNECTING: u32 = 1024;
/** A file with O_ASYNC has found no room: it is to be told of some. */
export const SOCK_ASYNC_NOSPACE: u32 = 1 << 16;
/** Its address was chosen by bind(2). */
export const SOCK_ADDR_BOUND: u32 = 2048;
/** Whoever opened it had CAP_NET_ADMIN over its namespace. */
export const SOCK_OPENER_ADMIN: u32 = 4096;

/** struct unix_address - the name of a unix socket; shared by a listener and its connections. */
@unmanaged
export class unix_address {
  count: i32; // refcount_t: sockets
  len: u32; // bytes of the name: a path without its NUL, or an abstract name with its first NUL
  name0: u64; // 108 bytes, with room for a NUL

  get at(): usize {
    return changetype<usize>(this) + offsetof<unix_address>("name0");
  }
}
export const UNIX_PATH_MAX: u32 = 108;

/** struct sock - one end, 272 bytes. */
@unmanaged
export class sock {
  count: i32; // references: its file, its peer, messages that it sent, a listener's queue
  type: u32; // [C] SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET, SOCK_RAW
  shutdown: u32; // RCV_SHUTDOWN, SEND_SHUTDOWN
  err: i32; // errno that the next call reports, positive
  peer: sock; // holds a reference; null: gone (datagrams), or none yet
  file: file; // no reference; null: closed, or not accepted yet
  queue_next: u32; // list_head: messages that came, first to be read first
  queue_prev: u32;
  wait_next: u32; // list_head: readers, writers, pollers
  wait_prev: u32;
  wmem: u32; // what its messages under way take up of sndbuf
  sndbuf: u32;
  rcvbuf: u32;
  bytes: u32; // in the queue
  passcred: u32; // SO_PASSCRED
  opaque: u32; // 1: others than the kernel's tasks write and read: contents are the world's
  peer_pid: pid; // SO_PEERCRED: who made the pair; holds a reference
  peer_uid: i32; // of the initial user namespace
  peer_gid: i32;
  inflight_next: u32; // list_head on root.inflight, while messages refer to its file
  inflight_prev: u32;
  scratch: i32; // of the collector: references not explained yet
  keep: u32; // of the collector: 1: reachable
  family: u32; // [C] AF_*
  protocol: i32; // [C]
  state: u32; // TCP_*
  options: u32; // SOCK_*
  net: net_namespace; // [C] holds a reference
  addr: unix_address; // its name (unix); holds a reference
  hash_next: u32; // list_head on a chain of its namespace, once it has a name or port
  hash_prev: u32;
  qlen: u32; // messages in the queue
  backlog: u32; // of a listener: how many connections may wait; of datagrams: messages
  nr_children: u32; // connections that wait in `children`
  children_next: u32; // list_head: connections that nobody has accepted; each holds a reference
  children_prev: u32;
  pending_next: u32; // list_head: sockets that wait for room here; no references
  pending_prev: u32;
  link_next: u32; // list_head on another's children or pending
  link_prev: u32;
  parent: sock; // whose list that is; no reference; null: on none
  num: u32; // inet: its port; netlink: its number
  dport: u32; // inet: the other end's port
  saddr0: u64; // inet: its address as of IPv6, in network order
  saddr1: u64;
  daddr0: u64;
  daddr1: u64;
  rcvtimeo: u64; // ns; 0: for ever
  sndtimeo: u64;
  groups: group_info; // SO_PEERGROUPS; holds a reference
  uid: i32; // [C] kuid of its maker
  mcast: u32; // netlink: groups that it listens to
  ifindex: u32; // SO_BINDTODEVICE
  linger: i32; // seconds
  priority: i32;
  node: vfs_file; // where the node of its path is, in a file system of the kernel's; owned

  get queue(): list_head {
    return list_at(changetype<usize>(this), offsetof<sock>("queue_next"));
  }
  get wait(): list_head {
    return list_at(changetype<usize>(this), offsetof<sock>("wait_next"));
  }
  get inflight(): list_head {
    return list_at(changetype<usize>(this), offsetof<sock>("inflight_next"));
  }
  get hash(): list_head {
    return list_at(changetype<usize>(this), offsetof<sock>("hash_next"));
  }
  get children(): list_head {
    return list_at(changetype<usize>(this), offsetof<sock>("children_next"));
  }
  get pending(): list_head {
    return list_at(changetype<usize>(this), offsetof<sock>("pending_next"));
  }
  get link(): list_head {
    return list_at(changetype<usize>(this), offsetof<sock>("link_next"));
  }
  static from_inflight(l: list_head): sock {
    return changetype<sock>(changetype<usize>(l) - offsetof<sock>("inflight_next"));
  }
  static from_hash(l: list_head): sock {
    return changetype<sock>(changetype<usize>(l) - offsetof<sock>("hash_next"));
  }
  static from_link(l: list_head): sock {
    return changetype<sock>(changetype<usize>(l) - offsetof<sock>("link_next"));
  }
}

/** struct sk_buff - one message, or a piece of a stream; 64 bytes. */
@unmanaged
export class sk_buff {
  link_next: u32; // list_head on the receiver's queue
  link_prev: u32;
  len: u32; // bytes that are not read yet
  truesize: u32; // what it takes up of the sender's buffer
  sender: sock; // holds a reference
  pid: pid; // who sent it, with a reference; null: not told
  uid: i32; // kuid, -1: not told
  gid: i32;
  fds: u32; // u32[nr_fds]: files in flight, each with a reference
  nr_fds: u32;
  data: u32; // its contents, where the kernel wrote them: kmalloc'd, `len` bytes
  port: u32; // inet: where it came from
  src0: u64;
  src1: u64;

  get link(): list_head {
    return list_at(changetype<usize>(this), 0);
  }
  static at(l: list_head): sk_buff {
    return changetype<sk_buff>(changetype<usize>(l));
  }
}

export const READABLE: u32 = O.POLLIN | O.POLLRDNORM | O.POLLRDBAND;
export const WRITABLE: u32 = O.POLLOUT | O.POLLWRNORM | O.POLLWRBAND;

export function sock_caches_init(): void {
  kmem_cache_init(CACHE_SOCK, <u32>offsetof<sock>());
  kmem_cache_init(CACHE_SKB, <u32>offsetof<sk_buff>());
  kmem_cache_init(CACHE_UNIX_ADDRESS, <u32>offsetof<unix_address>("name0") + UNIX_PATH_MAX + 4);
}

/** An end without a peer, in namespace `net`, with one reference. Or null. */
export function alloc_sock(net: net_namespace, family: u32, type: u32): sock {
  const s = changetype<sock>(kmem_cache_zalloc(CACHE_SOCK));
  if (nil(s)) return s;
  s.count = 1;
  s.type = type;
  s.family = family;
  s.state = TCP_CLOSE;
  s.sndbuf = K.SK_MEM_DEFAULT;
  s.rcvbuf = K.SK_MEM_DEFAULT;
  s.peer_uid = s.peer_gid = -1;
  get_ns(net);
  s.net = net;
  list_head.init(s.queue);
  list_head.init(s.wait);
  list_head.init(s.inflight);
  list_head.init(s.hash);
  list_head.init(s.children);
  list_head.init(s.pending);
  list_head.init(s.link);
  return s;
}

export function put_sock(s: sock): void {
  s.count -= 1;
  if (s.count) return;
  put_pid(s.peer_pid);
  put_group_info(s.groups);
  put_address(s.addr);
  put_ns(s.net);
  kmem_cache_free(CACHE_SOCK, changetype<usize>(s));
}

/** A name of `len` bytes at `from`. Or null. */
export function alloc_address(from: usize, len: u32): unix_address {
  const a = changetype<unix_address>(kmem_cache_zalloc(CACHE_UNIX_ADDRESS));
  if (nil(a)) return a;
  a.count = 1;
  a.len = len;
  memory.copy(a.at, from, len);
  return a;
}

export function get_address(a: unix_address): unix_address {
  if (!nil(a)) refcount_inc(changetype<usize>(a));
  return a;
}

export function put_address(a: unix_address): void {
  if (nil(a) || !refcount_dec_and_test(changetype<usize>(a))) return;
  kmem_cache_free(CACHE_UNIX_ADDRESS, changetype<usize>(a));
}

/** Is it of a family whose sockets the network between namespaces carries? */
export function is_inet(s: sock): bool {
  return s.family == K.AF_INET || s.family == K.AF_INET6;
}

/** Does it stand for a connection, once it has one? */
export function connected(s: sock): bool {
  return s.type == K.SOCK_STREAM || s.type == K.SOCK_SEQPACKET;
}

/** Puts `s` on a list of `parent`: what waits for it there, or is to be accepted. */
export function enlist(s: sock, parent: sock, list: list_head): void {
  list_head.add_tail(s.link, list);
  s.parent = parent;
}

export function unlist(s: sock): void {
  list_head.del_init(s.link);
  s.parent = NULL<sock>();
}

// What one message takes up, as Linux 6.18 on x86-64 counts: a struct sk_buff, a head of a size
// that the allocator has with the shared info at its end, and pages for what is above 16 KiB.
const SKB_BYTES: u32 = 256;
const SHARED_INFO: u32 = 320;
const SMALL_HEAD: u32 = 640;
const SKB_MAX_HEAD: u32 = 16384 - SHARED_INFO;
const SKB_MAX_PAGES: u32 = 32768;

export function skb_truesize(size: u32): u32 {
  let pages: u32 = 0;
  if (size > SKB_MAX_HEAD) {
    const over = (size - SKB_MAX_HEAD + PAGE_SIZE - 1) & ~(<u32>PAGE_SIZE - 1);
    pages = over < size ? over : size;
  }
  const head = ((size - pages + 63) & ~63) + SHARED_INFO;
  let object = SMALL_HEAD;
  if (head > SMALL_HEAD) for (object = 1024; object < head; object <<= 1);
  return SKB_BYTES + object + ((pages + PAGE_SIZE - 1) & ~(<u32>PAGE_SIZE - 1));
}

/** Bytes of a stream that go into one message. */
export function stream_piece(s: sock, left: u32): u32 {
  return min(min(left, (s.sndbuf >> 1) - 64), SKB_MAX_HEAD + SKB_MAX_PAGES);
}

export function sock_writable(s: sock): bool {
  return s.wmem << 2 <= s.sndbuf;
}

/** A message of `len` bytes with room for `nr_fds` files, on no queue. Or null. */
export function alloc_skb(s: sock, len: u32, nr_fds: u32): sk_buff {
  const skb = changetype<sk_buff>(kmem_cache_zalloc(CACHE_SKB));
  if (nil(skb)) return skb;
  if (nr_fds) {
    skb.fds = <u32>kmalloc(nr_fds << 2);
    if (!skb.fds) {
      kmem_cache_free(CACHE_SKB, changetype<usize>(skb));
      return NULL<sk_buff>();
    }
  }
  skb.nr_fds = nr_fds;
  skb.len = len;
  skb.uid = skb.gid = -1;
  skb.truesize = skb_truesize(len);
  skb.sender = s;
  s.count += 1;
  s.wmem += skb.truesize;
  return skb;
}

/** The socket behind a file that a message refers to, or null. */
export function sock_of(f: file): sock {
  return f.kind == FILE_SOCKET ? f.sock : NULL<sock>();
}

/** File `f` goes into slot `i` of a message, with a reference of its own. */
export function skb_attach(skb: sk_buff, i: u32, f: file): void {
  store<u32>(skb.fds + (i << 2), <u32>changetype<usize>(get_file(f)));
  root().nr_inflight += 1;
  if (seeded_fault(F_INFLIGHT)) return;
  f.inflight += 1;
  const s = sock_of(f);
  if (!nil(s) && f.inflight == 1) list_head.add_tail(s.inflight, root().inflight);
}

export function skb_file(skb: sk_buff, i: u32): file {
  return changetype<file>(<usize>load<u32>(skb.fds + (i << 2)));
}

/** The files of a message are in flight no longer; their references are the caller's. */
function land(skb: sk_buff): void {
  for (let i: u32 = 0; i < skb.nr_fds; ++i) {
    const f = skb_file(skb, i);
    if (!f.inflight) continue;
    f.inflight -= 1;
    const s = sock_of(f);
    if (!nil(s) && f.inflight == 0) list_head.del_init(s.inflight);
  }
  root().nr_inflight -= skb.nr_fds;
}

/** The files of a piece are with its reader; the rest of its bytes stays. */
export function skb_drop_files(skb: sk_buff): void {
  const n = skb.nr_fds;
  if (!n) return;
  land(skb);
  skb.nr_fds = 0;
  for (let i: u32 = 0; i < n; ++i) fput(skb_file(skb, i));
  kfree(skb.fds, n << 2);
}

/** Frees a message that is on no queue, and drops what it refers to. */
export function free_skb(skb: sk_buff): void {
  land(skb);
  const s = skb.sender;
  s.wmem -= skb.truesize;
  if (sock_writable(s)) {
    wake_up_poll(s.wait, WRITABLE);
    if (root().nr_fasync && !(s.shutdown & SEND_SHUTDOWN)) wake_space(s);
  }
  put_sock(s);
  put_pid(skb.pid);
  for (let i: u32 = 0; i < skb.nr_fds; ++i) fput(skb_file(skb, i));
  if (skb.nr_fds) kfree(skb.fds, skb.nr_fds << 2);
  if (skb.data) kfree(skb.data, skb.len);
  kmem_cache_free(CACHE_SKB, changetype<usize>(skb));
}

/** Puts a message into the queue of `to` and tells its readers. */
export function queue_skb(to: sock, skb: sk_buff): void {
  list_head.add_tail(skb.link, to.queue);
  to.bytes += skb.len;
  to.qlen += 1;
  wake_up_poll(to.wait, READABLE);
  sock_wake_data(to, POLL_IN);
}

/** Tells of `reason` (POLL_*) whoever wants signals of `s`. */
export function sock_wake_async(s: sock, reason: i32): void {
  if (root().nr_fasync && !s.opaque) kill_fasync(s.wait, reason);
}

/** The same of what a reader waits for: a stream's that sleeps for it makes the signal needless. */
export function sock_wake_data(s: sock, reason: i32): void {
  if (!root().nr_fasync) return;
  if (s.type == K.SOCK_STREAM && reader_sleeps(s.wait)) return;
  sock_wake_async(s, reason);
}

/** Does a task stand on the queue whose call reads? */
function reader_sleeps(queue: list_head): bool {
  for (let at = queue.next; at !== queue; at = at.next) {
    const p = changetype<waiter>(changetype<usize>(at)).task;
    if (nil(p) || nil(rare(p).frame)) continue;
    const op = rare(p).frame.op;
    if (op == OP_READ || op == OP_READV || op == OP_RECVFROM) return true;
    if (op == OP_RECVMSG || op == OP_RECVMMSG) return true;
  }
  return false;
}

/** `s` has found no room: it hears when there is some. */
export function sock_nospace(s: sock): void {
  if (root().nr_fasync) s.options |= SOCK_ASYNC_NOSPACE;
}

function wake_space(s: sock): void {
  if (!(s.options & SOCK_ASYNC_NOSPACE)) return;
  s.options &= ~SOCK_ASYNC_NOSPACE;
  sock_wake_async(s, POLL_OUT);
}

/** The first message to be read, null when there is none. */
export function first_skb(s: sock): sk_buff {
  return list_head.empty(s.queue) ? NULL<sk_buff>() : sk_buff.at(s.queue.next);
}

/** Whoever waits for room at `s` looks again. */
export function wake_pending(s: sock): void {
  while (!list_head.empty(s.pending)) {
    const other = sock.from_link(s.pending.next);
    unlist(other);
    wake_up_poll(other.wait, WRITABLE);
  }
}

/** Takes a message off its queue. */
export function dequeue_skb(s: sock, skb: sk_buff): void {
  list_head.del(skb.link);
  s.bytes -= skb.len;
  s.qlen -= 1;
  if (s.state != TCP_LISTEN) wake_pending(s);
}

/** Everything in the queue of `s` is thrown away. */
export function purge(s: sock): void {
  while (!list_head.empty(s.queue)) {
    const skb = sk_buff.at(s.queue.next);
    dequeue_skb(s, skb);
    free_skb(skb);
  }
}
