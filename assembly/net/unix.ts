// Unix sockets that are made in pairs: what lies in each one's queue, what travels in its messages
// (open files, credentials), and the collector for files that only messages still refer to. The
// bytes themselves are nobody's business here. The calls are in sys-socket.ts.
import { seeded_fault } from "../lib/bug.ts";
import { NULL, nil } from "../lib/err.ts";
import { file, FILE_SOCKET, fput, get_file } from "../fs/file.ts";
import { list_at, list_head } from "../lib/list.ts";
import { get_pid, pid, put_pid } from "../process/pid.ts";
import { root } from "../lib/root.ts";
import {
  CACHE_FILE,
  CACHE_SKB,
  CACHE_SOCK,
  kfree,
  kmalloc,
  kmem_cache_free,
  kmem_cache_init,
  kmem_cache_zalloc,
} from "../lib/slab.ts";
import { ECONNRESET } from "../uapi/errno.ts";
import * as O from "../uapi/fcntl.ts";
import { PAGE_SIZE } from "../uapi/limits.ts";
import * as K from "../uapi/socket.ts";
import { wake_up_all, wake_up_poll } from "../process/waitqueue.ts";

// Seeded faults (debug builds only): files in flight are not counted; no ECONNRESET.
const F_INFLIGHT = 142;
const F_CONNRESET = 143;

export const RCV_SHUTDOWN: u32 = 1;
export const SEND_SHUTDOWN: u32 = 2;
export const SHUTDOWN_MASK: u32 = 3;

/** struct unix_sock - one end, 96 bytes. */
@unmanaged
export class unix_sock {
  count: i32; // references: its file, its peer, messages that it sent
  type: u32; // [C] SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET
  shutdown: u32; // RCV_SHUTDOWN, SEND_SHUTDOWN
  err: i32; // errno that the next call reports, positive
  peer: unix_sock; // holds a reference; null: gone (datagrams)
  file: file; // no reference; null: closed
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

  get queue(): list_head {
    return list_at(changetype<usize>(this), offsetof<unix_sock>("queue_next"));
  }
  get wait(): list_head {
    return list_at(changetype<usize>(this), offsetof<unix_sock>("wait_next"));
  }
  get inflight(): list_head {
    return list_at(changetype<usize>(this), offsetof<unix_sock>("inflight_next"));
  }
  static from_inflight(l: list_head): unix_sock {
    return changetype<unix_sock>(changetype<usize>(l) - offsetof<unix_sock>("inflight_next"));
  }
}

/** struct sk_buff - one message, or a piece of a stream; 48 bytes. */
@unmanaged
export class sk_buff {
  link_next: u32; // list_head on the receiver's queue
  link_prev: u32;
  len: u32; // bytes that are not read yet
  truesize: u32; // what it takes up of the sender's buffer
  sender: unix_sock; // holds a reference
  pid: pid; // who sent it, with a reference; null: not told
  uid: i32; // kuid, -1: not told
  gid: i32;
  fds: u32; // u32[nr_fds]: files in flight, each with a reference
  nr_fds: u32;

  get link(): list_head {
    return list_at(changetype<usize>(this), 0);
  }
  static at(l: list_head): sk_buff {
    return changetype<sk_buff>(changetype<usize>(l));
  }
}

const READABLE: u32 = O.POLLIN | O.POLLRDNORM | O.POLLRDBAND;
const WRITABLE: u32 = O.POLLOUT | O.POLLWRNORM | O.POLLWRBAND;

export function unix_caches_init(): void {
  kmem_cache_init(CACHE_SOCK, <u32>offsetof<unix_sock>());
  kmem_cache_init(CACHE_SKB, <u32>offsetof<sk_buff>());
}

/** An end without a peer, with one reference. Or null. */
export function alloc_sock(type: u32): unix_sock {
  const s = changetype<unix_sock>(kmem_cache_zalloc(CACHE_SOCK));
  if (nil(s)) return s;
  s.count = 1;
  s.type = type;
  s.sndbuf = K.SK_MEM_DEFAULT;
  s.rcvbuf = K.SK_MEM_DEFAULT;
  list_head.init(s.queue);
  list_head.init(s.wait);
  list_head.init(s.inflight);
  return s;
}

export function put_sock(s: unix_sock): void {
  s.count -= 1;
  if (s.count) return;
  put_pid(s.peer_pid);
  kmem_cache_free(CACHE_SOCK, changetype<usize>(s));
}

/** Two ends become a pair; `maker`, `uid`, `gid`: what SO_PEERCRED tells. */
export function unix_join(a: unix_sock, b: unix_sock, maker: pid, uid: i32, gid: i32): void {
  a.peer = b;
  b.peer = a;
  a.count += 1;
  b.count += 1;
  a.peer_pid = get_pid(maker);
  b.peer_pid = get_pid(maker);
  a.peer_uid = b.peer_uid = uid;
  a.peer_gid = b.peer_gid = gid;
}

export function connected(s: unix_sock): bool {
  return s.type != K.SOCK_DGRAM;
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
export function stream_piece(s: unix_sock, left: u32): u32 {
  return min(min(left, (s.sndbuf >> 1) - 64), SKB_MAX_HEAD + SKB_MAX_PAGES);
}

export function sock_writable(s: unix_sock): bool {
  return s.wmem << 2 <= s.sndbuf;
}

/** A message of `len` bytes with room for `nr_fds` files, on no queue. Or null. */
export function alloc_skb(s: unix_sock, len: u32, nr_fds: u32): sk_buff {
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
function sock_of(f: file): unix_sock {
  return f.kind == FILE_SOCKET ? f.sock : NULL<unix_sock>();
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
  if (sock_writable(s)) wake_up_poll(s.wait, WRITABLE);
  put_sock(s);
  put_pid(skb.pid);
  for (let i: u32 = 0; i < skb.nr_fds; ++i) fput(skb_file(skb, i));
  if (skb.nr_fds) kfree(skb.fds, skb.nr_fds << 2);
  kmem_cache_free(CACHE_SKB, changetype<usize>(skb));
}

/** Puts a message into the queue of `to` and tells its readers. */
export function queue_skb(to: unix_sock, skb: sk_buff): void {
  list_head.add_tail(skb.link, to.queue);
  to.bytes += skb.len;
  wake_up_poll(to.wait, READABLE);
}

/** The first message to be read, null when there is none. */
export function first_skb(s: unix_sock): sk_buff {
  return list_head.empty(s.queue) ? NULL<sk_buff>() : sk_buff.at(s.queue.next);
}

/** Takes a message off its queue. */
export function dequeue_skb(s: unix_sock, skb: sk_buff): void {
  list_head.del(skb.link);
  s.bytes -= skb.len;
}

/** Everything in the queue of `s` is thrown away. */
function purge(s: unix_sock): void {
  while (!list_head.empty(s.queue)) {
    const skb = sk_buff.at(s.queue.next);
    dequeue_skb(s, skb);
    free_skb(skb);
  }
}

/** One end is closed: its peer hears of it, its messages and their files are gone. */
function close_sock(s: unix_sock): void {
  const peer = s.peer;
  s.shutdown = SHUTDOWN_MASK;
  s.file = NULL<file>();
  if (!nil(peer)) {
    if (connected(s)) {
      peer.shutdown = SHUTDOWN_MASK;
      const unread = !list_head.empty(s.queue) && !seeded_fault(F_CONNRESET);
      if (unread) peer.err = ECONNRESET;
    }
    wake_up_all(peer.wait);
    s.peer = NULL<unix_sock>();
    put_sock(peer);
  }
  purge(s);
}

/**
 * The last reference to a socket's file is gone. Its queue may hold the last references to other
 * sockets: they stand in line at root.closing until this one is done with, so that a chain of any
 * length takes no stack. Then files that only messages refer to are looked for.
 */
export function unix_release(f: file): void {
  const r = root();
  const waiting = r.closing;
  f.pos = waiting;
  r.closing = <u32>changetype<usize>(f);
  if (r.closing_now) return;
  r.closing_now = 1;
  do {
    while (r.closing) {
      const at = changetype<file>(<usize>r.closing);
      r.closing = <u32>at.pos;
      const s = at.sock;
      kmem_cache_free(CACHE_FILE, changetype<usize>(at));
      close_sock(s);
      put_sock(s);
    }
  } while (unix_gc());
  r.closing_now = 0;
}

/** Subtracts (-1) or adds (1) what the queue of `s` refers to; -1 leaves the counts alone. */
function scan_queue(s: unix_sock, mark: bool): bool {
  let found = false;
  const head = s.queue;
  for (let at = head.next; at !== head; at = at.next) {
    const skb = sk_buff.at(at);
    for (let i: u32 = 0; i < skb.nr_fds; ++i) {
      const other = sock_of(skb_file(skb, i));
      if (nil(other)) continue;
      if (mark) {
        if (other.keep) continue;
        other.keep = 1;
        found = true;
      } else {
        other.scratch -= 1;
      }
    }
  }
  return found;
}

/**
 * Sockets that nothing but messages refers to, in queues that nobody can read any more, are let go.
 * A socket in flight is kept when its file has a reference that is no message's, or when a message
 * for it lies in the queue of one that is kept; sockets that are not in flight are always kept.
 * Return: whether something was found.
 */
function unix_gc(): bool {
  const head = root().inflight;
  if (list_head.empty(head)) return false;
  for (let at = head.next; at !== head; at = at.next) {
    const s = unix_sock.from_inflight(at);
    s.scratch = s.file.inflight;
    s.keep = s.file.count > s.file.inflight ? 1 : 0;
  }
  // what queues of sockets in flight refer to; the rest lies in queues that somebody can read
  for (let at = head.next; at !== head; at = at.next) {
    scan_queue(unix_sock.from_inflight(at), false);
  }
  for (let at = head.next; at !== head; at = at.next) {
    const s = unix_sock.from_inflight(at);
    if (s.scratch > 0) s.keep = 1;
  }
  for (let more = true; more;) {
    more = false;
    for (let at = head.next; at !== head; at = at.next) {
      const s = unix_sock.from_inflight(at);
      if (s.keep && scan_queue(s, true)) more = true;
    }
  }
  let freed = false;
  // purging changes the list: each time from its beginning
  for (let s = first_garbage(); !nil(s); s = first_garbage()) {
    s.count += 1;
    purge(s);
    s.keep = 1;
    put_sock(s);
    freed = true;
  }
  return freed;
}

function first_garbage(): unix_sock {
  const head = root().inflight;
  for (let at = head.next; at !== head; at = at.next) {
    const s = unix_sock.from_inflight(at);
    if (!s.keep && !list_head.empty(s.queue)) return s;
  }
  return NULL<unix_sock>();
}

/** shutdown(2): `how` as bits; the peer's other way is shut too. */
export function unix_shutdown(s: unix_sock, how: u32): void {
  s.shutdown |= how;
  const peer = s.peer;
  if (!nil(peer) && connected(s)) {
    if (how & RCV_SHUTDOWN) peer.shutdown |= SEND_SHUTDOWN;
    if (how & SEND_SHUTDOWN) peer.shutdown |= RCV_SHUTDOWN;
    wake_up_all(peer.wait);
  }
  wake_up_all(s.wait);
}

/** What is ready at a socket. */
export function unix_poll(s: unix_sock): u32 {
  let mask: u32 = 0;
  if (s.err) mask |= O.POLLERR;
  if (s.shutdown == SHUTDOWN_MASK) mask |= O.POLLHUP;
  if (s.shutdown & RCV_SHUTDOWN) mask |= O.POLLRDHUP | O.POLLIN | O.POLLRDNORM;
  if (!list_head.empty(s.queue)) mask |= O.POLLIN | O.POLLRDNORM;
  if (sock_writable(s)) mask |= O.POLLOUT | O.POLLWRNORM | O.POLLWRBAND;
  return mask;
}

/** May a message from `a` tell who sent it, because one of the two ends asks for it? */
export function passes_cred(a: unix_sock, b: unix_sock): bool {
  return (a.passcred | b.passcred) != 0;
}
