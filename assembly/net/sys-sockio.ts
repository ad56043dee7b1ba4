// Sending and receiving. Of the bytes their number counts; what travels along with them, files and
// credentials, is in scm.ts.
import { nil, RET_BLOCKED, RET_SLEEPS, same } from "../lib/err.ts";
import * as FD from "../fs/file.ts";
import { file } from "../fs/file.ts";
import { frame } from "../lib/frame.ts";
import * as I from "./inet.ts";
import { netlink_send } from "./netlink.ts";
import { get_pid } from "../process/pid.ts";
import * as M from "./scm.ts";
import * as A from "./sock-addr.ts";
import { nonblock, sock_error, wait_on_sock } from "./sock-addr.ts";
import * as S from "./sock.ts";
import { sk_buff, sock } from "./sock.ts";
import { broken_pipe } from "../fs/sys-rw.ts";
import { task_struct } from "../process/task.ts";
import { copy_to_vector, vector_faults } from "../lib/uio.ts";
import * as E from "../uapi/errno.ts";
import * as F from "../uapi/frame.ts";
import * as N from "../uapi/net.ts";
import { POLL_ERR } from "../uapi/signal.ts";
import * as K from "../uapi/socket.ts";
import * as U from "./unix.ts";
import { found, unix_autobind, unix_target, wait_for_room } from "./unix-name.ts";
import { wake_up_all } from "../process/waitqueue.ts";

/** Puts a piece of `len` bytes into the queue of `to`; the `first` takes files along. */
function send_piece(p: task_struct, s: sock, to: sock, len: u32, first: bool): i32 {
  const m = M.scm();
  const nr_fds = first ? m.nr_fds : 0;
  if (nr_fds && M.too_many_in_flight(p)) return -E.ETOOMANYREFS;
  const skb = S.alloc_skb(s, len, nr_fds);
  if (nil(skb)) return -E.ENOMEM;
  if (m.has_cred) {
    skb.pid = get_pid(m.pid);
    skb.uid = m.uid;
    skb.gid = m.gid;
  } else if (U.passes_cred(s, to)) {
    skb.pid = get_pid(p.signal.tgid_pid);
    skb.uid = p.cred.uid;
    skb.gid = p.cred.gid;
  }
  if (nr_fds) M.scm_attach(skb);
  S.queue_skb(to, skb);
  return 0;
}

/** Why a stream takes nothing before its first byte: 0, or an errno (-EPIPE: with a signal). */
function stream_unready(s: sock): i32 {
  if (s.family == K.AF_UNIX) {
    if (M.scm().namelen) return s.state == S.TCP_ESTABLISHED ? -E.EISCONN : -E.EOPNOTSUPP;
    return nil(s.peer) && s.state != S.TCP_ESTABLISHED ? -E.ENOTCONN : 0;
  }
  return s.state == S.TCP_ESTABLISHED || s.err || s.state == S.TCP_SYN_SENT ? 0 : -E.EPIPE;
}

/** Does the other end of an inet connection throw away what comes? */
function peer_is_gone(s: sock): bool {
  if (!S.is_inet(s)) return false;
  const peer = s.peer;
  return nil(peer) || (nil(peer.file) && nil(peer.parent)) || peer.shutdown == S.SHUTDOWN_MASK;
}

/** The first piece to somebody who is gone still goes out; the answer is a reset. */
function write_to_gone(s: sock): void {
  s.err = s.shutdown & S.RCV_SHUTDOWN ? E.EPIPE : E.ECONNRESET;
  s.shutdown = S.SHUTDOWN_MASK;
  s.state = S.TCP_CLOSE;
  wake_up_all(s.wait);
  S.sock_wake_async(s, POLL_ERR);
}

/** What a stream that cannot send says. `sent`: what went before counts. */
function stream_error(p: task_struct, f: frame, s: sock, sent: u32, flags: u32): i32 {
  if (sent) return <i32>sent;
  const error = S.is_inet(s) && s.err ? sock_error(f, s) : -E.EPIPE;
  if (error != -E.EPIPE || flags & K.MSG_NOSIGNAL) return error;
  return broken_pipe(p, f, 0);
}

/** Sends `total` bytes of a stream. What went before an error counts. */
function stream_send(p: task_struct, f: frame, at: file, total: u32, flags: u32): i32 {
  const s = at.sock;
  // how much a network takes at once the host may know better
  if (S.is_inet(s) && f.assist & F.ASSIST_ERRNO) return -f.assist_val;
  const told = S.is_inet(s) && (f.assist & F.ASSIST_RET) != 0;
  if (told) total = min<u32>(total, f.assist_val);
  let sent = f.cookie;
  const unready = sent ? 0 : stream_unready(s);
  if (unready == -E.EPIPE) return stream_error(p, f, s, 0, flags);
  if (unready) return unready;
  const peek = (f.assist & F.ASSIST_PEEK) != 0;
  let wmem = s.wmem;
  while (sent < total || s.shutdown & S.SEND_SHUTDOWN) {
    if (s.shutdown & S.SEND_SHUTDOWN) return stream_error(p, f, s, sent, flags);
    if (s.err) return sent ? <i32>sent : sock_error(f, s);
    if ((wmem >= s.sndbuf && !told) || s.state == S.TCP_SYN_SENT) {
      if (!peek) S.sock_nospace(s);
      if (nonblock(at, flags)) return sent ? <i32>sent : -E.EAGAIN;
      const r = wait_on_sock(p, f, at, s.sndtimeo);
      if (r == RET_BLOCKED) f.cookie = sent;
      return r == RET_BLOCKED || r == RET_SLEEPS || !sent ? r : <i32>sent;
    }
    if (peer_is_gone(s)) {
      if (!peek) write_to_gone(s);
      return <i32>total;
    }
    const piece = S.stream_piece(s, total - sent);
    if (!peek) {
      const error = send_piece(p, s, s.peer, piece, sent == 0);
      if (error) return sent ? <i32>sent : error;
    }
    wmem += S.skb_truesize(piece);
    sent += piece;
  }
  return <i32>sent;
}

/** Room in the sender's own buffer for one message: 0, or the errno or sleep. */
function wait_wmem(p: task_struct, f: frame, at: file, flags: u32): i32 {
  const s = at.sock;
  if (s.wmem < s.sndbuf) return 0;
  if (!(f.assist & F.ASSIST_PEEK)) S.sock_nospace(s);
  return nonblock(at, flags) ? -E.EAGAIN : wait_on_sock(p, f, at, s.sndtimeo);
}

/** Sends one unix message of `total` bytes, whole or not at all. */
function unix_dgram_send(p: task_struct, f: frame, at: file, total: u32, flags: u32): i32 {
  const s = at.sock;
  const m = M.scm();
  if (f.phase && !nil(s.parent)) S.unlist(s);
  const stream = S.connected(s);
  if (stream) {
    if (s.state != S.TCP_ESTABLISHED) return -E.ENOTCONN;
    m.namelen = 0;
  }
  let to = s.peer;
  if (m.namelen) {
    const lost = unix_target(p, f, s, m.namelen);
    if (lost) return lost;
    to = found();
  } else if (nil(to)) {
    return -E.ENOTCONN;
  }
  if (total > s.sndbuf - 32) return -E.EMSGSIZE;
  if (s.err) return sock_error(f, s);
  if (s.shutdown & S.SEND_SHUTDOWN) return -E.EPIPE;
  const full = wait_wmem(p, f, at, flags);
  if (full) return full;
  if (nil(to.file) && nil(to.parent)) {
    if (!(f.assist & F.ASSIST_PEEK) && !m.namelen) U.unix_disconnect(s);
    return -E.ECONNREFUSED;
  }
  if (!stream && !nil(to.peer) && !same(to.peer, s)) return -E.EPERM;
  if (to.shutdown & S.RCV_SHUTDOWN) return -E.EPIPE;
  if (!stream && U.dgram_full(s, to)) {
    return nonblock(at, flags) ? -E.EAGAIN : wait_for_room(p, f, at, to);
  }
  if (f.assist & F.ASSIST_PEEK) return <i32>total;
  if (s.passcred) {
    const unbound = unix_autobind(s);
    if (unbound) return unbound;
  }
  const error = send_piece(p, s, to, total, true);
  return error ? error : <i32>total;
}

/** Where a message of inet goes: the name that the call gives, or the peer. 0 or errno. */
function udp_target(s: sock): i32 {
  const m = M.scm();
  const to = I.the_inet();
  if (!m.namelen) {
    if (!s.dport && s.state != S.TCP_ESTABLISHED) return -E.EDESTADDRREQ;
    to.addr0 = s.daddr0;
    to.addr1 = s.daddr1;
    to.port = s.dport;
    return 0;
  }
  const bad = I.parse_inet(s, m.namelen);
  if (bad) return bad;
  return to.port || s.type == K.SOCK_RAW ? 0 : -E.EINVAL;
}

function is_broadcast(to: I.inet_addr): bool {
  return I.is_mapped(to.addr0, to.addr1) && <u32>(to.addr1 >> 32) == u32.MAX_VALUE;
}

/** Sends one message of inet. Nobody hears of one that is lost but a socket that is connected. */
function udp_send(p: task_struct, f: frame, at: file, total: u32, flags: u32): i32 {
  const s = at.sock;
  if (total > 0xffff) return -E.EMSGSIZE;
  const bad = udp_target(s);
  if (bad) return bad;
  const to = I.the_inet();
  if (is_broadcast(to) && !(s.options & S.SOCK_BROADCAST)) return -E.EACCES;
  const way = I.route(s, to);
  if (way < 0) return way;
  const four = I.is_mapped(to.addr0, to.addr1);
  if (total > <u32>(four ? N.UDP_MAX : N.UDP6_MAX)) return -E.EMSGSIZE;
  if (s.err) return sock_error(f, s);
  if (s.shutdown & S.SEND_SHUTDOWN) return -E.EPIPE;
  const full = wait_wmem(p, f, at, flags);
  if (full || f.assist & F.ASSIST_PEEK) return full ? full : <i32>total;
  if (!s.num && s.type == K.SOCK_DGRAM && I.autobind_port(s)) return -E.EAGAIN;
  if (way == I.ROUTE_LOST || s.type == K.SOCK_RAW) return <i32>total;
  return udp_deliver(s, to, total);
}

function udp_deliver(s: sock, to: I.inet_addr, total: u32): i32 {
  const src0 = I.source_for0(s, to);
  const src1 = I.source_for(s, to);
  const receiver = I.find_receiver(s, to, src0, src1);
  if (nil(receiver)) {
    if (s.dport == to.port && s.daddr1 == to.addr1) {
      s.err = E.ECONNREFUSED;
      wake_up_all(s.wait);
      S.sock_wake_async(s, POLL_ERR);
    }
    return <i32>total;
  }
  // more than its buffer holds is lost
  if (receiver.bytes + S.skb_truesize(total) > receiver.rcvbuf && receiver.qlen) return <i32>total;
  const skb = S.alloc_skb(s, total, 0);
  if (nil(skb)) return -E.ENOMEM;
  skb.src0 = src0;
  skb.src1 = src1;
  skb.port = s.num;
  S.queue_skb(receiver, skb);
  return <i32>total;
}

/** Sends what lies in the `nr` buffers of the scratch vector, to the name at SCRATCH_ADDR. */
export function sock_send(
  p: task_struct,
  f: frame,
  at: file,
  total: u32,
  nr: u32,
  flags: u32,
): i32 {
  const s = at.sock;
  if (s.opaque) return FD.world_result(f, <i32>total);
  if (total && vector_faults(f, nr)) return -E.EFAULT;
  if (flags & K.MSG_OOB) return -E.EOPNOTSUPP;
  if (s.type == K.SOCK_STREAM) return stream_send(p, f, at, total, flags);
  switch (s.family) {
    case K.AF_UNIX:
      return unix_dgram_send(p, f, at, total, flags);
    case K.AF_NETLINK:
      return netlink_send(p, f, s, total, nr);
    case K.AF_PACKET:
      return M.scm().namelen ? -E.ENXIO : -E.ENOTCONN;
    default:
      return udp_send(p, f, at, total, flags);
  }
}

/** Nothing is there to be read. Return: 0 at the end, an error, or the sleep. */
function wait_for_data(p: task_struct, f: frame, at: file, flags: u32): i32 {
  const s = at.sock;
  if (s.err) return sock_error(f, s);
  const shut = (s.shutdown & S.RCV_SHUTDOWN) != 0;
  if (S.connected(s) && shut) return 0;
  if (S.connected(s) && s.state == S.TCP_CLOSE) return -E.ENOTCONN;
  if (nonblock(at, flags)) return -E.EAGAIN;
  if (shut) return 0;
  return wait_on_sock(p, f, at, s.rcvtimeo);
}

/** Whoever reads may want to know who sent this: its name goes to SCRATCH_NAME. */
function note_sender(s: sock, skb: sk_buff): void {
  M.scm().from_len = A.sender_name(s, skb);
}

/**
 * Reads up to `size` bytes of a stream from what lies there. Pieces of different writers are not
 * read together where the reader asks who wrote; after files the read ends.
 */
function stream_take(s: sock, size: u32, consume: bool, have: u32): u32 {
  const m = M.scm();
  let copied: u32 = 0;
  let at = s.queue.next;
  while (at !== s.queue) {
    const skb = sk_buff.at(at);
    if (m.has_cred) {
      if (!M.scm_same_writer(skb)) break;
    } else if (s.passcred) {
      M.scm_set_writer(skb);
    }
    if (!have && !copied && !m.has_cred) {
      m.pid = skb.pid;
      m.uid = skb.uid;
      m.gid = skb.gid;
    }
    if (!have && !copied) note_sender(s, skb);
    const next = at.next;
    const part = min(skb.len, size - copied);
    copied += part;
    const files = skb.nr_fds != 0;
    // they come with the first byte, wherever the rest stays
    if (files) m.carrier = skb;
    if (consume) {
      s.bytes -= part;
      skb.len -= part;
      if (skb.len) break;
      S.dequeue_skb(s, skb);
      if (!files) S.free_skb(skb);
    } else if (part < skb.len) {
      break;
    }
    if (files || copied == size) break;
    at = next;
  }
  return copied;
}

function stream_recv(p: task_struct, f: frame, at: file, total: u32, flags: u32): i32 {
  const s = at.sock;
  if (flags & K.MSG_OOB) return -E.EINVAL;
  if (s.family == K.AF_UNIX && s.state != S.TCP_ESTABLISHED) return -E.EINVAL;
  if (s.state == S.TCP_LISTEN) return -E.ENOTCONN;
  // how much of it has arrived the host may know better
  if (S.is_inet(s) && f.assist & F.ASSIST_RET) total = min<u32>(total, f.assist_val);
  const peek = (f.assist & F.ASSIST_PEEK) != 0;
  const consume = !peek && !(flags & K.MSG_PEEK);
  let copied = f.cookie;
  copied += stream_take(s, total - copied, consume, copied);
  const target = flags & K.MSG_WAITALL && !(flags & K.MSG_PEEK) ? total : 1;
  const enough = copied >= target || !nil(M.scm().carrier);
  if (enough || (!total && !nil(S.first_skb(s)))) return <i32>copied;
  f.cookie = copied;
  const r = wait_for_data(p, f, at, flags);
  return r == RET_BLOCKED || r == RET_SLEEPS || !copied ? r : <i32>copied;
}

/** Receives one message: what does not fit into `total` bytes is lost. */
function dgram_recv(p: task_struct, f: frame, at: file, total: u32, nr: u32, flags: u32): i32 {
  const s = at.sock;
  const m = M.scm();
  if (flags & K.MSG_OOB) return -E.EOPNOTSUPP;
  if (S.connected(s) && s.state != S.TCP_ESTABLISHED) return -E.ENOTCONN;
  if (s.err) return sock_error(f, s);
  const skb = S.first_skb(s);
  if (nil(skb)) return wait_for_data(p, f, at, flags);
  const len = skb.len;
  if (skb.data) {
    const bad = copy_to_vector(f, nr, skb.data, min(len, total));
    if (bad) return bad;
  }
  if (len > total) m.flags |= K.MSG_TRUNC;
  note_sender(s, skb);
  M.scm_set_writer(skb);
  if (skb.nr_fds) m.carrier = skb;
  if (!(f.assist & F.ASSIST_PEEK) && !(flags & K.MSG_PEEK)) {
    S.dequeue_skb(s, skb);
    if (!skb.nr_fds) S.free_skb(skb);
  }
  return flags & K.MSG_TRUNC ? <i32>len : <i32>min(len, total);
}

/** Receives; files that came along lie with scm().carrier, a message of its own or still queued. */
export function sock_recv(
  p: task_struct,
  f: frame,
  at: file,
  total: u32,
  nr: u32,
  flags: u32,
): i32 {
  const s = at.sock;
  if (s.opaque) return FD.world_result(f, 0);
  const ready = !nil(S.first_skb(s)) && total != 0;
  if (ready && vector_faults(f, nr)) return -E.EFAULT;
  if (s.type == K.SOCK_STREAM) return stream_recv(p, f, at, total, flags);
  return dgram_recv(p, f, at, total, nr, flags);
}

/** Nobody wants the files that came, or they are installed: their message lets go of them. */
export function drop_carrier(s: sock, flags: u32): void {
  const m = M.scm();
  const skb = m.carrier;
  if (nil(skb)) return;
  m.carrier = changetype<sk_buff>(0);
  if (flags & K.MSG_PEEK) return;
  if (skb.len && s.type == K.SOCK_STREAM) S.skb_drop_files(skb);
  else S.free_skb(skb);
}
