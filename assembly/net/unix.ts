// Unix sockets: pairs, names, connections that wait to be accepted, what a close does to the other
// end, and the collector for files that only messages still refer to. Inet sockets close here too.
import { seeded_fault } from "../lib/bug.ts";
import { cred } from "../cred/cred.ts";
import { get_group_info } from "../cred/groups.ts";
import { NULL, nil, same } from "../lib/err.ts";
import { file } from "../fs/file.ts";
import { list_head } from "../lib/list.ts";
import { chain_of, net_namespace } from "./net-namespace.ts";
import { get_pid, pid } from "../process/pid.ts";
import { root } from "../lib/root.ts";
import { CACHE_FILE, kmem_cache_free } from "../lib/slab.ts";
import {
  alloc_sock,
  connected,
  enlist,
  first_skb,
  get_address,
  is_inet,
  purge,
  put_sock,
  RCV_SHUTDOWN,
  SEND_SHUTDOWN,
  SHUTDOWN_MASK,
  sk_buff,
  skb_file,
  sock,
  sock_of,
  sock_wake_async,
  sock_wake_data,
  sock_writable,
  TCP_CLOSE,
  TCP_ESTABLISHED,
  TCP_LISTEN,
  TCP_SYN_SENT,
  unix_address,
  unlist,
  wake_pending,
} from "./sock.ts";
import { ECONNREFUSED, ECONNRESET, EPIPE } from "../uapi/errno.ts";
import * as O from "../uapi/fcntl.ts";
import { POLL_ERR, POLL_HUP, POLL_IN } from "../uapi/signal.ts";
import * as K from "../uapi/socket.ts";
import { free_vfs_file, vfs_file } from "../vfs/mount.ts";
import { wake_up_all, wake_up_poll } from "../process/waitqueue.ts";

// Seeded fault (debug builds only): no ECONNRESET.
const F_CONNRESET = 143;

const READ_NORMAL: u32 = O.POLLIN | O.POLLRDNORM;

/** Two ends become a connection. */
export function join(a: sock, b: sock): void {
  a.peer = b;
  b.peer = a;
  a.count += 1;
  b.count += 1;
  a.state = b.state = TCP_ESTABLISHED;
}

/** Who `s` says its maker is, to whoever is connected to it. */
export function set_peercred(s: sock, maker: pid, c: cred): void {
  s.peer_pid = get_pid(maker);
  s.peer_uid = c.euid;
  s.peer_gid = c.egid;
  s.groups = get_group_info(c.groups);
}

/** Two ends become a pair; SO_PEERCRED of both tells of their maker. */
export function unix_join(a: sock, b: sock, maker: pid, c: cred): void {
  join(a, b);
  set_peercred(a, maker, c);
  set_peercred(b, maker, c);
}

/** What a listener told of itself when it began to listen, its connections tell too. */
function copy_peercred(to: sock, from: sock): void {
  to.peer_pid = get_pid(from.peer_pid);
  to.peer_uid = from.peer_uid;
  to.peer_gid = from.peer_gid;
  to.groups = get_group_info(from.groups);
}

/** The end that accept(2) will give for a connection to `listener`. Or null. */
export function new_child(listener: sock): sock {
  const child = alloc_sock(listener.net, listener.family, listener.type);
  if (nil(child)) return child;
  child.protocol = listener.protocol;
  child.uid = listener.uid;
  child.options = listener.options;
  child.sndbuf = listener.sndbuf;
  child.rcvbuf = listener.rcvbuf;
  child.passcred = listener.passcred;
  child.num = listener.num;
  return child;
}

/** Can one more connection wait to be accepted? */
export function has_room(listener: sock): bool {
  return listener.nr_children <= listener.backlog;
}

/** Puts a connection into the queue of a listener, which keeps the reference of its maker. */
export function queue_child(listener: sock, child: sock): void {
  enlist(child, listener, listener.children);
  listener.nr_children += 1;
  wake_up_poll(listener.wait, READ_NORMAL);
  sock_wake_data(listener, POLL_IN);
}

/** `s` is connected to a unix listener with room. `child` is new. */
export function unix_connect_stream(s: sock, listener: sock, child: sock): void {
  child.addr = get_address(listener.addr);
  join(s, child);
  copy_peercred(s, listener);
  queue_child(listener, child);
}

/** The next connection to be accepted leaves the queue; its reference is the caller's. */
export function take_child(listener: sock): sock {
  if (list_head.empty(listener.children)) return NULL<sock>();
  const child = sock.from_link(listener.children.next);
  unlist(child);
  listener.nr_children -= 1;
  return child;
}

/**
 * The socket of a unix name among those of `net`. Abstract names are of one `type`: the same one
 * may be another's of another type; 0: any. Null: nobody has it.
 */
export function find_unix(net: net_namespace, name: usize, len: u32, type: u32): sock {
  const chain = chain_of(net, name_hash(name, len));
  for (let at = chain.next; at !== chain; at = at.next) {
    const s = sock.from_hash(at);
    if (s.family != K.AF_UNIX || s.addr.len != len || (type && s.type != type)) continue;
    if (memory.compare(s.addr.at, name, len) == 0) return s;
  }
  return NULL<sock>();
}

function name_hash(name: usize, len: u32): u32 {
  let h: u32 = len;
  for (let i: u32 = 0; i < len; ++i) h = h * 31 + load<u8>(name + i);
  return h;
}

/**
 * `s` has the name `a`, whose reference it takes over, in the names of `net`. Of several of the
 * same path the newest is found.
 */
export function set_name(s: sock, a: unix_address, net: net_namespace): void {
  s.addr = a;
  list_head.add(s.hash, chain_of(net, name_hash(a.at, a.len)));
}

/** The far end of an inet connection is told that nothing comes any more, or that all is lost. */
function close_inet_peer(s: sock, peer: sock, reset: bool): void {
  if (!reset) {
    peer_finishes(peer);
    return;
  }
  peer.err = peer.shutdown & RCV_SHUTDOWN ? EPIPE : ECONNRESET;
  peer.shutdown = SHUTDOWN_MASK;
  peer.state = TCP_CLOSE;
  sock_wake_async(peer, POLL_ERR);
}

/** `s` hears over the network that nothing more will come. */
function peer_finishes(s: sock): void {
  if (s.shutdown & RCV_SHUTDOWN) return;
  s.shutdown |= RCV_SHUTDOWN;
  // the end is told as such, and as something that came
  sock_wake_data(s, s.shutdown == SHUTDOWN_MASK ? POLL_HUP : POLL_IN);
  sock_wake_data(s, POLL_IN);
}

/** The far end of `s` hears that it is closed; `embryo`: nobody had accepted it. */
function close_peer(s: sock, embryo: bool): void {
  const peer = s.peer;
  if (nil(peer)) return;
  s.peer = NULL<sock>();
  if (connected(s)) {
    const unread = (!list_head.empty(s.queue) || embryo) && !seeded_fault(F_CONNRESET);
    if (is_inet(s)) {
      if (peer.state == TCP_ESTABLISHED) close_inet_peer(s, peer, unread);
    } else {
      sock_wake_data(peer, POLL_HUP);
      peer.shutdown = SHUTDOWN_MASK;
      if (unread) peer.err = ECONNRESET;
    }
  }
  wake_up_all(peer.wait);
  put_sock(peer);
}

/** Those that wait for room at `s` wait in vain. */
function refuse_pending(s: sock): void {
  while (!list_head.empty(s.pending)) {
    const other = sock.from_link(s.pending.next);
    unlist(other);
    if (other.state == TCP_SYN_SENT) {
      other.state = TCP_CLOSE;
      other.err = ECONNREFUSED;
    }
    wake_up_all(other.wait);
  }
}

/** A listener listens no more: connections that nobody accepted are reset. */
export function stop_listening(s: sock): void {
  for (let child = take_child(s); !nil(child); child = take_child(s)) {
    child.shutdown = SHUTDOWN_MASK;
    close_peer(child, true);
    child.state = TCP_CLOSE;
    list_head.del_init(child.hash);
    purge(child);
    put_sock(child);
  }
  refuse_pending(s);
}

/** The node of its path stays until it is unlinked, and leads to nobody. */
function release_node(s: sock): void {
  const node = s.node;
  if (nil(node)) return;
  s.node = NULL<vfs_file>();
  node.dentry.inode.data = 0;
  free_vfs_file(node);
}

/** One end is closed: its peer hears of it, its messages and their files are gone. */
function close_sock(s: sock): void {
  s.shutdown = SHUTDOWN_MASK;
  s.file = NULL<file>();
  if (!nil(s.parent)) unlist(s);
  if (s.state == TCP_LISTEN) stop_listening(s);
  close_peer(s, false);
  s.state = TCP_CLOSE;
  list_head.del_init(s.hash);
  release_node(s);
  purge(s);
  refuse_pending(s);
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

/** Subtracts or, with `mark`, keeps what the queue of `s` refers to. Return: was one marked? */
function scan_queue(s: sock, mark: bool): bool {
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

/** The same for `s` and, when it listens, for the connections that wait in it. */
function scan(s: sock, mark: bool): bool {
  let found = scan_queue(s, mark);
  const head = s.children;
  for (let at = head.next; at !== head; at = at.next) {
    if (scan_queue(sock.from_link(at), mark)) found = true;
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
    const s = sock.from_inflight(at);
    s.scratch = s.file.inflight;
    s.keep = s.file.count > s.file.inflight ? 1 : 0;
  }
  // what queues of sockets in flight refer to; the rest lies in queues that somebody can read
  for (let at = head.next; at !== head; at = at.next) {
    scan(sock.from_inflight(at), false);
  }
  for (let at = head.next; at !== head; at = at.next) {
    const s = sock.from_inflight(at);
    if (s.scratch > 0) s.keep = 1;
  }
  for (let more = true; more;) {
    more = false;
    for (let at = head.next; at !== head; at = at.next) {
      const s = sock.from_inflight(at);
      if (s.keep && scan(s, true)) more = true;
    }
  }
  let freed = false;
  // purging changes the list: each time from its beginning
  for (let s = first_garbage(); !nil(s); s = first_garbage()) {
    s.count += 1;
    purge_all(s);
    s.keep = 1;
    put_sock(s);
    freed = true;
  }
  return freed;
}

/** Empties the queue of `s` and those of the connections that wait in it. */
function purge_all(s: sock): void {
  purge(s);
  const head = s.children;
  for (let at = head.next; at !== head; at = at.next) purge(sock.from_link(at));
}

function holds_messages(s: sock): bool {
  if (!list_head.empty(s.queue)) return true;
  const head = s.children;
  for (let at = head.next; at !== head; at = at.next) {
    if (!nil(first_skb(sock.from_link(at)))) return true;
  }
  return false;
}

function first_garbage(): sock {
  const head = root().inflight;
  for (let at = head.next; at !== head; at = at.next) {
    const s = sock.from_inflight(at);
    if (!s.keep && holds_messages(s)) return s;
  }
  return NULL<sock>();
}

/** shutdown(2): `how` as bits; what the peer could do over that way it can't any more. */
export function sock_shutdown(s: sock, how: u32): void {
  s.shutdown |= how;
  const peer = s.peer;
  if (!nil(peer) && connected(s)) {
    // of inet only the end of what is sent crosses the network
    if (!is_inet(s)) {
      if (how & RCV_SHUTDOWN) peer.shutdown |= SEND_SHUTDOWN;
      if (how & SEND_SHUTDOWN) peer.shutdown |= RCV_SHUTDOWN;
      if (how == SHUTDOWN_MASK) sock_wake_data(peer, POLL_HUP);
      else if (how & SEND_SHUTDOWN) sock_wake_data(peer, POLL_IN);
    } else if (how & SEND_SHUTDOWN) {
      peer_finishes(peer);
    }
    wake_up_all(peer.wait);
  }
  if (how & RCV_SHUTDOWN) wake_pending(s);
  wake_up_all(s.wait);
}

/** Is the queue of datagrams at `to` full for a sender that is not its peer? */
export function dgram_full(s: sock, to: sock): bool {
  return !same(to.peer, s) && to.qlen > to.backlog;
}

/** What is ready at a socket. */
export function sock_poll(s: sock): u32 {
  if (s.state == TCP_LISTEN) return list_head.empty(s.children) ? 0 : READ_NORMAL;
  let mask: u32 = 0;
  const stream = connected(s);
  if (s.err) mask |= O.POLLERR;
  if (s.shutdown == SHUTDOWN_MASK) mask |= O.POLLHUP;
  if (stream && s.state == TCP_CLOSE) mask |= O.POLLHUP;
  if (s.shutdown & RCV_SHUTDOWN) mask |= O.POLLRDHUP | READ_NORMAL;
  if (s.state == TCP_SYN_SENT) return mask;
  if (!list_head.empty(s.queue)) mask |= READ_NORMAL;
  if (stream && is_inet(s)) {
    const shut = (s.shutdown & SEND_SHUTDOWN) != 0;
    if (shut || sock_writable(s)) mask |= O.POLLOUT | O.POLLWRNORM;
  } else if (sock_writable(s)) {
    mask |= O.POLLOUT | O.POLLWRNORM | O.POLLWRBAND;
  }
  return mask;
}

/** May a message from `a` tell who sent it, because one of the two ends asks for it? */
export function passes_cred(a: sock, b: sock): bool {
  return (a.passcred | b.passcred) != 0;
}

/** `s` becomes unconnected again: datagrams. */
export function unix_disconnect(s: sock): void {
  const peer = s.peer;
  s.peer = NULL<sock>();
  if (!nil(peer)) put_sock(peer);
}

/** The connection of `s` is undone: the other end is told that all is lost. */
export function abort_connection(s: sock): void {
  if (!nil(s.parent)) unlist(s);
  close_peer(s, true);
  purge(s);
}

/** Others have a hand in `s`, in its peer, and in the connections that wait in it. */
export function opaque_sock(s: sock): void {
  s.opaque = 1;
  if (!nil(s.peer)) s.peer.opaque = 1;
  const head = s.children;
  for (let at = head.next; at !== head; at = at.next) {
    const child = sock.from_link(at);
    child.opaque = 1;
    if (!nil(child.peer)) child.peer.opaque = 1;
  }
}
