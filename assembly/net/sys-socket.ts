// The socket calls on unix sockets that were made in pairs; other sockets are the world's.
import { nil, RET_BLOCKED, RET_NEED, RET_SLEEPS } from "../lib/err.ts";
import * as FD from "../fs/file.ts";
import { file } from "../fs/file.ts";
import { frame } from "../lib/frame.ts";
import { get_pid, pid_nr_ns, task_active_pid_ns } from "../process/pid.ts";
import { SCRATCH_IOV, SCRATCH_USER } from "../lib/root.ts";
import * as M from "./scm.ts";
import { install_pair } from "../fs/sys-file.ts";
import { broken_pipe, call_file, end_wait } from "../fs/sys-rw.ts";
import { task_struct } from "../process/task.ts";
import { copy_from_user, copy_to_user, prepare_write } from "../lib/uaccess.ts";
import { import_ubuf, vector_faults } from "../lib/uio.ts";
import * as E from "../uapi/errno.ts";
import * as O from "../uapi/fcntl.ts";
import * as F from "../uapi/frame.ts";
import * as K from "../uapi/socket.ts";
import * as U from "./unix.ts";
import { sk_buff, unix_sock } from "./unix.ts";
import { signal_pending, wait_on_file } from "../process/waitqueue.ts";
import { from_kgid_munged, from_kuid_munged } from "../namespace/user-namespace.ts";

/** socketpair(2): family, type, protocol, address. Families but AF_UNIX are the world's. */
export function sys_socketpair(p: task_struct, f: frame): i32 {
  const flags = (<u32>f.a1) & ~(<u32>K.SOCK_TYPE_MASK);
  if (flags & ~(<u32>(K.SOCK_CLOEXEC | K.SOCK_NONBLOCK))) return -E.EINVAL;
  const need = prepare_write(f, f.r10, 8);
  if (need) return need;
  const room = FD.room_for(p, 2);
  if (room < 0) return room;
  const family = <i32>f.a0;
  if (family != K.AF_UNIX) {
    if (<u32>family >= <u32>K.AF_MAX) return -E.EAFNOSUPPORT;
    return FD.world_result(f, -E.EOPNOTSUPP);
  }
  const type = (<u32>f.a1) & K.SOCK_TYPE_MASK;
  if (type >= <u32>K.SOCK_MAX) return -E.EINVAL;
  const protocol = <i32>f.a2;
  if (protocol && protocol != K.AF_UNIX) return -E.EPROTONOSUPPORT;
  const known = type == K.SOCK_STREAM || type == K.SOCK_DGRAM || type == K.SOCK_SEQPACKET;
  if (!known && type != K.SOCK_RAW) return -E.ESOCKTNOSUPPORT;
  return make_pair(p, f, type == K.SOCK_RAW ? K.SOCK_DGRAM : type, flags);
}

/** A socket with a file of its own, or null. */
function socket_file(type: u32, status: u32): file {
  const s = U.alloc_sock(type);
  if (nil(s)) return changetype<file>(0);
  const at = FD.alloc_file(FD.FILE_SOCKET, O.O_RDWR | status, changetype<usize>(s));
  if (nil(at)) U.put_sock(s);
  else s.file = at;
  return at;
}

function make_pair(p: task_struct, f: frame, type: u32, flags: u32): i32 {
  const status = flags & K.SOCK_NONBLOCK;
  const a = socket_file(type, status);
  if (nil(a)) return -E.ENOMEM;
  const b = socket_file(type, status);
  if (nil(b)) {
    FD.fput(a);
    return -E.ENOMEM;
  }
  U.unix_join(a.sock, b.sock, p.signal.tgid_pid, p.cred.euid, p.cred.egid);
  return install_pair(p, f, f.r10, a, b, (flags & K.SOCK_CLOEXEC) != 0);
}

/** The socket behind a descriptor is the kernel's: 1; the world's: 0; -EBADF, -ENOTSOCK. */
function sockfd_lookup(at: file): i32 {
  if (nil(at)) return -E.EBADF;
  if (at.kind == FD.FILE_SOCKET) return 1;
  return at.kind == FD.FILE_WORLD ? 0 : -E.ENOTSOCK;
}

/** The pending error of a socket, told once: a negative errno or 0. */
function sock_error(f: frame, s: unix_sock): i32 {
  const error = s.err;
  if (!(f.assist & F.ASSIST_PEEK)) s.err = 0;
  return -error;
}

function nonblock(at: file, flags: u32): bool {
  return ((at.flags & O.O_NONBLOCK) | (flags & K.MSG_DONTWAIT)) != 0;
}

/** A piece of `len` bytes for the peer; the first one takes files and credentials along. */
function send_piece(p: task_struct, s: unix_sock, len: u32, first: bool): i32 {
  const m = M.scm();
  const nr_fds = first ? m.nr_fds : 0;
  if (nr_fds && M.too_many_in_flight(p)) return -E.ETOOMANYREFS;
  const skb = U.alloc_skb(s, len, nr_fds);
  if (nil(skb)) return -E.ENOMEM;
  if (m.has_cred) {
    skb.pid = get_pid(m.pid);
    skb.uid = m.uid;
    skb.gid = m.gid;
  } else if (U.passes_cred(s, s.peer)) {
    skb.pid = get_pid(p.signal.tgid_pid);
    skb.uid = p.cred.uid;
    skb.gid = p.cred.gid;
  }
  if (nr_fds) M.scm_attach(skb);
  U.queue_skb(s.peer, skb);
  return 0;
}

/** Sends `total` bytes of a stream. What went before an error counts. */
function stream_send(p: task_struct, f: frame, at: file, total: u32, flags: u32): i32 {
  const s = at.sock;
  if (M.scm().namelen) return -E.EISCONN;
  const peek = (f.assist & F.ASSIST_PEEK) != 0;
  let wmem = s.wmem;
  let sent = f.cookie;
  while (sent < total || s.shutdown & U.SEND_SHUTDOWN) {
    if (s.shutdown & U.SEND_SHUTDOWN) {
      if (!sent && !(flags & K.MSG_NOSIGNAL)) return broken_pipe(p, f, 0);
      return sent ? <i32>sent : -E.EPIPE;
    }
    if (s.err) return sent ? <i32>sent : sock_error(f, s);
    if (wmem >= s.sndbuf) {
      if (nonblock(at, flags)) return sent ? <i32>sent : -E.EAGAIN;
      if (signal_pending(p)) return sent ? <i32>sent : -E.ERESTARTSYS;
      if (peek) return RET_SLEEPS;
      f.cookie = sent;
      return wait_on_file(p, f, s.wait, at);
    }
    const piece = U.stream_piece(s, total - sent);
    if (!peek) {
      const error = send_piece(p, s, piece, sent == 0);
      if (error) return sent ? <i32>sent : error;
    }
    wmem += U.skb_truesize(piece);
    sent += piece;
  }
  return <i32>sent;
}

/** Sends one message of `total` bytes, whole or not at all. */
function dgram_send(p: task_struct, f: frame, at: file, total: u32, flags: u32): i32 {
  const s = at.sock;
  const m = M.scm();
  if (m.namelen) return FD.world_result(f, -E.ECONNREFUSED);
  if (!U.connected(s) && nil(s.peer)) return -E.ENOTCONN;
  if (total > s.sndbuf - 32) return -E.EMSGSIZE;
  if (s.err) return sock_error(f, s);
  if (s.shutdown & U.SEND_SHUTDOWN) return -E.EPIPE;
  if (s.wmem >= s.sndbuf) {
    if (nonblock(at, flags)) return -E.EAGAIN;
    if (signal_pending(p)) return -E.ERESTARTSYS;
    return wait_on_file(p, f, s.wait, at);
  }
  const peer = s.peer;
  if (nil(peer.file)) {
    if (!(f.assist & F.ASSIST_PEEK)) {
      s.peer = changetype<unix_sock>(0);
      U.put_sock(peer);
    }
    return -E.ECONNREFUSED;
  }
  if (peer.shutdown & U.RCV_SHUTDOWN) return -E.EPIPE;
  if (f.assist & F.ASSIST_PEEK) return <i32>total;
  const error = send_piece(p, s, total, true);
  return error ? error : <i32>total;
}

function sock_send(p: task_struct, f: frame, at: file, total: u32, nr: u32, flags: u32): i32 {
  const s = at.sock;
  if (s.opaque) return FD.world_result(f, <i32>total);
  if (total && vector_faults(f, nr)) return -E.EFAULT;
  if (flags & K.MSG_OOB) return -E.EOPNOTSUPP;
  if (s.type == K.SOCK_STREAM) return stream_send(p, f, at, total, flags);
  return dgram_send(p, f, at, total, flags);
}

/** write(2) on a socket: no flags, nothing travels along. */
export function socket_write(p: task_struct, f: frame, at: file, total: u32, nr: u32): i32 {
  M.scm_init();
  return sock_send(p, f, at, total, nr, 0);
}

/** Nothing is there to be read. Return: 0 at the end, an error, or the sleep. */
function wait_for_data(p: task_struct, f: frame, at: file, flags: u32): i32 {
  const s = at.sock;
  if (s.err) return sock_error(f, s);
  if (U.connected(s) && s.shutdown & U.RCV_SHUTDOWN) return 0;
  if (nonblock(at, flags)) return -E.EAGAIN;
  if (s.shutdown & U.RCV_SHUTDOWN) return 0;
  if (signal_pending(p)) return -E.ERESTARTSYS;
  return wait_on_file(p, f, s.wait, at);
}

/**
 * Reads up to `size` bytes of a stream from what lies there. Pieces of different writers are not
 * read together where the reader asks who wrote; after files the read ends.
 */
function stream_take(s: unix_sock, size: u32, consume: bool, have: u32): u32 {
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
      U.dequeue_skb(s, skb);
      if (!files) U.free_skb(skb);
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
  const peek = (f.assist & F.ASSIST_PEEK) != 0;
  const consume = !peek && !(flags & K.MSG_PEEK);
  let copied = f.cookie;
  copied += stream_take(s, total - copied, consume, copied);
  const target = flags & K.MSG_WAITALL && !(flags & K.MSG_PEEK) ? total : 1;
  const enough = copied >= target || !nil(M.scm().carrier);
  if (enough || (!total && !nil(U.first_skb(s)))) return <i32>copied;
  f.cookie = copied;
  const r = wait_for_data(p, f, at, flags);
  return r == RET_BLOCKED || r == RET_SLEEPS || !copied ? r : <i32>copied;
}

/** Receives one message: what does not fit into `total` bytes is lost. */
function dgram_recv(p: task_struct, f: frame, at: file, total: u32, flags: u32): i32 {
  const s = at.sock;
  const m = M.scm();
  if (flags & K.MSG_OOB) return -E.EOPNOTSUPP;
  if (s.err) return sock_error(f, s);
  const skb = U.first_skb(s);
  if (nil(skb)) return wait_for_data(p, f, at, flags);
  const len = skb.len;
  if (len > total) m.flags |= K.MSG_TRUNC;
  M.scm_set_writer(skb);
  if (skb.nr_fds) m.carrier = skb;
  if (!(f.assist & F.ASSIST_PEEK) && !(flags & K.MSG_PEEK)) {
    U.dequeue_skb(s, skb);
    if (!skb.nr_fds) U.free_skb(skb);
  }
  return flags & K.MSG_TRUNC ? <i32>len : <i32>min(len, total);
}

/** Receives; files that came along lie with scm().carrier, a message of its own or still queued. */
function sock_recv(p: task_struct, f: frame, at: file, total: u32, nr: u32, flags: u32): i32 {
  const s = at.sock;
  if (s.opaque) return FD.world_result(f, 0);
  const ready = !nil(U.first_skb(s)) && total != 0;
  if (ready && vector_faults(f, nr)) return -E.EFAULT;
  if (s.type == K.SOCK_STREAM) return stream_recv(p, f, at, total, flags);
  return dgram_recv(p, f, at, total, flags);
}

/** Nobody wants the files that came, or they are installed: their message lets go of them. */
function drop_carrier(s: unix_sock, flags: u32): void {
  const m = M.scm();
  const skb = m.carrier;
  if (nil(skb)) return;
  m.carrier = changetype<sk_buff>(0);
  if (flags & K.MSG_PEEK) return;
  if (skb.len && s.type == K.SOCK_STREAM) U.skb_drop_files(skb);
  else U.free_skb(skb);
}

/** read(2) on a socket: what comes along is dropped. */
export function socket_read(p: task_struct, f: frame, at: file, total: u32, nr: u32): i32 {
  if (!total) return 0;
  M.scm_init();
  const r = sock_recv(p, f, at, total, nr, 0);
  if (!(f.assist & F.ASSIST_PEEK)) drop_carrier(at.sock, 0);
  return r;
}

/** sendto(2): fd, buffer, bytes, flags, address, its length. */
export function sys_sendto(p: task_struct, f: frame, fd: i32): i32 {
  const at = call_file(p, f, fd);
  const kind = sockfd_lookup(at);
  if (kind < 0) return kind;
  if (!kind) return FD.world_result(f, <i32>f.a2);
  const m = M.scm_init();
  if (f.r8) m.namelen = <i32>f.r9;
  const total = import_ubuf(f.a1, f.a2);
  return end_wait(p, sock_send(p, f, at, total, 1, <u32>f.r10));
}

/** recvfrom(2): fd, buffer, bytes, flags, address, its length. The sender has no name. */
export function sys_recvfrom(p: task_struct, f: frame, fd: i32): i32 {
  const at = call_file(p, f, fd);
  const kind = sockfd_lookup(at);
  if (kind < 0) return kind;
  if (!kind) return FD.world_result(f, 0);
  const need = f.r8 ? prepare_write(f, f.r9, 4) : 0;
  if (need) return need;
  M.scm_init();
  const r = sock_recv(p, f, at, import_ubuf(f.a1, f.a2), 1, <u32>f.r10);
  if (f.assist & F.ASSIST_PEEK) return r;
  drop_carrier(at.sock, <u32>f.r10);
  if (r >= 0 && f.r8 && f.r9) {
    store<i32>(SCRATCH_USER, 0);
    if (copy_to_user(f, f.r9, SCRATCH_USER, 4)) return end_wait(p, -E.EFAULT);
  }
  return end_wait(p, r);
}

/** sendmsg(2): fd, message, flags. */
export function sys_sendmsg(p: task_struct, f: frame, fd: i32, compat: bool): i32 {
  const at = call_file(p, f, fd);
  const kind = sockfd_lookup(at);
  if (kind < 0) return kind;
  if (!kind) return FD.world_result(f, 0);
  const bad = M.import_msghdr(f, f.a1, compat);
  if (bad) return end_wait(p, bad);
  const error = M.scm_send(p, f);
  if (error) return end_wait(p, error);
  const m = M.scm();
  return end_wait(p, sock_send(p, f, at, m.total, <u32>m.iovlen, <u32>f.a2));
}

/** recvmsg(2): fd, message, flags. */
export function sys_recvmsg(p: task_struct, f: frame, fd: i32, compat: bool): i32 {
  const at = call_file(p, f, fd);
  const kind = sockfd_lookup(at);
  if (kind < 0) return kind;
  if (!kind) return FD.world_result(f, 0);
  const bad = M.import_msghdr(f, f.a1, compat);
  if (bad) return end_wait(p, bad);
  const need = M.scm_prepare(f, f.a1);
  if (need) return need;
  const m = M.scm();
  // descriptors need a table that may be written; what is left to fail is a lack of numbers
  if (m.control && !FD.files_for_write(p)) return end_wait(p, -E.ENOMEM);
  const flags = <u32>f.a2;
  m.flags = flags & K.MSG_CMSG_CLOEXEC;
  const control = m.control;
  const r = sock_recv(p, f, at, m.total, <u32>m.iovlen, flags);
  if (f.assist & F.ASSIST_PEEK) return r;
  if (r < 0) return end_wait(p, r);
  const s = at.sock;
  const lost = M.scm_recv(p, f, s, (flags & K.MSG_CMSG_CLOEXEC) != 0);
  drop_carrier(s, flags);
  if (lost || M.put_msghdr(f, f.a1, control)) return end_wait(p, -E.EFAULT);
  return end_wait(p, r);
}

/** shutdown(2): fd, how. */
export function sys_shutdown(p: task_struct, f: frame, fd: i32, how: i32): i32 {
  const at = call_file(p, f, fd);
  const kind = sockfd_lookup(at);
  if (kind < 0) return kind;
  if (!kind) return FD.world_result(f, 0);
  if (<u32>how > <u32>K.SHUT_RDWR) return -E.EINVAL;
  U.unix_shutdown(at.sock, <u32>how + 1);
  return 0;
}

/** setsockopt(2): fd, level, option, value, its length. */
export function sys_setsockopt(p: task_struct, f: frame, fd: i32): i32 {
  const at = call_file(p, f, fd);
  const kind = sockfd_lookup(at);
  if (kind < 0) return kind;
  if (!kind) return FD.world_result(f, 0);
  if (<i32>f.r8 < 0) return -E.EINVAL;
  if (<i32>f.a1 != K.SOL_SOCKET) return FD.world_result(f, -E.EOPNOTSUPP);
  if (<i32>f.r8 < 4) return -E.EINVAL;
  const bad = copy_from_user(f, SCRATCH_USER, f.r10, 4);
  if (bad) return bad;
  const value = load<i32>(SCRATCH_USER);
  const s = at.sock;
  switch (<i32>f.a2) {
    case K.SO_PASSCRED:
      s.passcred = value ? 1 : 0;
      return 0;
    case K.SO_TYPE:
    case K.SO_PROTOCOL:
    case K.SO_DOMAIN:
    case K.SO_ERROR:
      return -E.ENOPROTOOPT;
    case K.SO_SNDBUF:
      // Linux doubles what is asked for, for its own bookkeeping
      s.sndbuf = <u32>max(min(value, K.SK_MEM_DEFAULT) << 1, 4608);
      return 0;
    case K.SO_RCVBUF:
      s.rcvbuf = <u32>max(min(value, K.SK_MEM_DEFAULT) << 1, 2304);
      return 0;
    default:
      return FD.world_result(f, 0);
  }
}

/** The value of an option at SCRATCH_USER. Return: its bytes; 0: not known here. */
function option_value(p: task_struct, f: frame, s: unix_sock, option: i32): u32 {
  const at = SCRATCH_USER;
  switch (option) {
    case K.SO_TYPE:
      store<i32>(at, s.type);
      return 4;
    case K.SO_DOMAIN:
      store<i32>(at, K.AF_UNIX);
      return 4;
    case K.SO_PROTOCOL:
    case K.SO_ACCEPTCONN:
      store<i32>(at, 0);
      return 4;
    case K.SO_ERROR:
      store<i32>(at, -sock_error(f, s));
      return 4;
    case K.SO_PASSCRED:
      store<i32>(at, s.passcred);
      return 4;
    case K.SO_SNDBUF:
      store<i32>(at, s.sndbuf);
      return 4;
    case K.SO_RCVBUF:
      store<i32>(at, s.rcvbuf);
      return 4;
    case K.SO_PEERCRED:
      store<i32>(at, pid_nr_ns(s.peer_pid, task_active_pid_ns(p)));
      store<i32>(at, from_kuid_munged(p.cred.user_ns, s.peer_uid), 4);
      store<i32>(at, from_kgid_munged(p.cred.user_ns, s.peer_gid), 8);
      return 12;
    default:
      return 0;
  }
}

/** getsockopt(2): fd, level, option, value, its length. */
export function sys_getsockopt(p: task_struct, f: frame, fd: i32): i32 {
  const at = call_file(p, f, fd);
  const kind = sockfd_lookup(at);
  if (kind < 0) return kind;
  if (!kind) return FD.world_result(f, 0);
  if (<i32>f.a1 != K.SOL_SOCKET) return FD.world_result(f, -E.EOPNOTSUPP);
  const bad = copy_from_user(f, SCRATCH_IOV, f.r8, 4);
  if (bad) return bad;
  const room = load<i32>(SCRATCH_IOV);
  if (room < 0) return -E.EINVAL;
  const need = prepare_write(f, f.r8, 4);
  if (need) return need;
  if (prepare_write(f, f.r10, min<u32>(room, 12)) == RET_NEED) return RET_NEED;
  const bytes = option_value(p, f, at.sock, <i32>f.a2);
  if (!bytes) return FD.world_result(f, -E.ENOPROTOOPT);
  const len = min<u32>(room, bytes);
  if (copy_to_user(f, f.r10, SCRATCH_USER, len)) return -E.EFAULT;
  store<i32>(SCRATCH_USER, len);
  return copy_to_user(f, f.r8, SCRATCH_USER, 4) ? -E.EFAULT : 0;
}

/** getsockname(2), and with `peer` getpeername(2): the family, and no name. */
export function sys_getsockname(p: task_struct, f: frame, fd: i32, peer: bool): i32 {
  const at = call_file(p, f, fd);
  const kind = sockfd_lookup(at);
  if (kind < 0) return kind;
  if (!kind) return FD.world_result(f, 0);
  if (peer && nil(at.sock.peer)) return -E.ENOTCONN;
  const bad = copy_from_user(f, SCRATCH_USER, f.a2, 4);
  if (bad) return bad;
  const room = load<i32>(SCRATCH_USER);
  if (room < 0) return -E.EINVAL;
  const need = prepare_write(f, f.a2, 4) | prepare_write(f, f.a1, min<u32>(room, 2));
  if (need) return need;
  store<u16>(SCRATCH_USER, K.AF_UNIX);
  if (copy_to_user(f, f.a1, SCRATCH_USER, min<u32>(room, 2))) return -E.EFAULT;
  store<i32>(SCRATCH_USER, 2);
  return copy_to_user(f, f.a2, SCRATCH_USER, 4) ? -E.EFAULT : 0;
}
