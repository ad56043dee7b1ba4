// The calls that make, name and connect sockets. Families that the kernel does not know, and
// sockets that the host says are the world's, are the world's.
import { container_permission } from "../container/sys-container.ts";
import { containers_enabled } from "../container/container.ts";
import { cred_ns_capable } from "../cred/cred.ts";
import { IS_ERR, nil, PTR_ERR, RET_SLEEPS } from "../lib/err.ts";
import * as FD from "../fs/file.ts";
import { file } from "../fs/file.ts";
import { frame } from "../lib/frame.ts";
import * as I from "./inet.ts";
import { net_namespace, net_of, net_ready } from "./net-namespace.ts";
import { netlink_bind, netlink_connect } from "./netlink.ts";
import { SCRATCH_ADDR } from "../lib/root.ts";
import * as A from "./sock-addr.ts";
import { sockfd_lookup } from "./sock-addr.ts";
import * as S from "./sock.ts";
import { sock } from "./sock.ts";
import { install_pair, sys_world_fd } from "../fs/sys-file.ts";
import { call_file, end_wait } from "../fs/sys-rw.ts";
import { cold, task_struct } from "../process/task.ts";
import { prepare_write } from "../lib/uaccess.ts";
import { CAP_NET_ADMIN, CAP_NET_RAW } from "../uapi/capability.ts";
import * as E from "../uapi/errno.ts";
import * as O from "../uapi/fcntl.ts";
import * as F from "../uapi/frame.ts";
import * as N from "../uapi/net.ts";
import { MAX_LINKS, NETLINK_ROUTE } from "../uapi/netlink.ts";
import { POLL_ERR } from "../uapi/signal.ts";
import * as K from "../uapi/socket.ts";
import * as U from "./unix.ts";
import { unix_bind, unix_connect } from "./unix-name.ts";
import { user_namespace } from "../namespace/user-namespace.ts";
import { signal_pending, wake_up_all, wake_up_poll } from "../process/waitqueue.ts";

function may(p: task_struct, net: net_namespace, cap: i32): bool {
  return cred_ns_capable(p.cred, changetype<user_namespace>(<usize>net.user_ns), cap);
}

/** The checks of a unix socket: 0 or errno. */
function unix_kind(type: u32, protocol: i32): i32 {
  if (protocol && protocol != K.AF_UNIX) return -E.EPROTONOSUPPORT;
  const known = type == K.SOCK_STREAM || type == K.SOCK_DGRAM || type == K.SOCK_SEQPACKET;
  return known || type == K.SOCK_RAW ? 0 : -E.ESOCKTNOSUPPORT;
}

/** The protocol of an inet socket, or errno. */
function inet_kind(p: task_struct, net: net_namespace, type: u32, protocol: i32, six: bool): i32 {
  if (<u32>protocol >= <u32>N.IPPROTO_MAX) return -E.EINVAL;
  switch (type) {
    case K.SOCK_STREAM:
      return !protocol || protocol == N.IPPROTO_TCP ? N.IPPROTO_TCP : -E.EPROTONOSUPPORT;
    case K.SOCK_DGRAM:
      // which groups may ping is nobody
      if (protocol == (six ? N.IPPROTO_ICMPV6 : N.IPPROTO_ICMP)) return -E.EACCES;
      return !protocol || protocol == N.IPPROTO_UDP ? N.IPPROTO_UDP : -E.EPROTONOSUPPORT;
    case K.SOCK_RAW:
      if (!protocol) return -E.EPROTONOSUPPORT;
      return may(p, net, CAP_NET_RAW) ? protocol : -E.EPERM;
    default:
      return -E.ESOCKTNOSUPPORT;
  }
}

/** What socket(2) says to family, type and protocol: the protocol that it will be, or errno. */
function kind_of(p: task_struct, net: net_namespace, family: u32, type: u32, protocol: i32): i32 {
  if (family >= <u32>K.AF_MAX) return -E.EAFNOSUPPORT;
  if (type >= <u32>K.SOCK_MAX) return -E.EINVAL;
  switch (family) {
    case K.AF_UNIX: {
      const bad = unix_kind(type, protocol);
      return bad ? bad : 0;
    }
    case K.AF_INET:
      return inet_kind(p, net, type, protocol, false);
    case K.AF_INET6:
      return inet_kind(p, net, type, protocol, true);
    case K.AF_NETLINK:
      if (type != K.SOCK_RAW && type != K.SOCK_DGRAM) return -E.ESOCKTNOSUPPORT;
      if (<u32>protocol >= <u32>MAX_LINKS) return -E.EPROTONOSUPPORT;
      return protocol == NETLINK_ROUTE ? 0 : -E.EPROTONOSUPPORT;
    case K.AF_PACKET:
      if (!may(p, net, CAP_NET_RAW)) return -E.EPERM;
      if (type == K.SOCK_DGRAM || type == K.SOCK_RAW) return protocol & 0xffff;
      return -E.ESOCKTNOSUPPORT;
    default:
      return -E.EAFNOSUPPORT;
  }
}

/** A socket with a file of its own, or null. */
function socket_file(p: task_struct, net: net_namespace, family: u32, type: u32, nb: u32): file {
  const s = S.alloc_sock(net, family, type);
  if (nil(s)) return changetype<file>(0);
  s.uid = p.cred.euid;
  s.backlog = N.MAX_DGRAM_QLEN;
  if (family == K.AF_NETLINK && may(p, net, CAP_NET_ADMIN)) s.options |= S.SOCK_OPENER_ADMIN;
  if (S.is_inet(s) && type == K.SOCK_STREAM) {
    s.sndbuf = K.TCP_SNDBUF_DEFAULT;
    s.rcvbuf = K.TCP_RCVBUF_DEFAULT;
  }
  const at = FD.alloc_file(FD.FILE_SOCKET, O.O_RDWR | nb, changetype<usize>(s));
  if (nil(at)) S.put_sock(s);
  else s.file = at;
  return at;
}

/** A socket in namespace `net`: family, type with flags, protocol. Return: descriptor, errno. */
function make_socket(p: task_struct, net: net_namespace, family: i32, how: u32, proto: i32): i32 {
  const flags = how & ~(<u32>K.SOCK_TYPE_MASK);
  if (flags & ~(<u32>(K.SOCK_CLOEXEC | K.SOCK_NONBLOCK))) return -E.EINVAL;
  let type = how & K.SOCK_TYPE_MASK;
  const protocol = kind_of(p, net, <u32>family, type, proto);
  if (protocol < 0) return protocol;
  if (family == K.AF_UNIX && type == K.SOCK_RAW) type = K.SOCK_DGRAM;
  const bad = net_ready(net);
  if (bad) return bad;
  const at = socket_file(p, net, <u32>family, type, flags & K.SOCK_NONBLOCK);
  if (nil(at)) return -E.ENOMEM;
  at.sock.protocol = protocol;
  const fd = FD.get_unused_fd(p, 0);
  if (fd < 0) FD.fput(at);
  else FD.fd_install(p, fd, at, (flags & K.SOCK_CLOEXEC) != 0);
  return fd;
}

/** socket(2): family, type, protocol. */
export function sys_socket(p: task_struct, f: frame): i32 {
  if (f.assist & (F.ASSIST_ERRNO | F.ASSIST_RET)) return sys_world_fd(p, f);
  return make_socket(p, net_of(cold(p).nsproxy), <i32>f.a0, <u32>f.a1, <i32>f.a2);
}

/**
 * container_socket(cfd, family, type, protocol): a socket of the caller's in the container's
 * network. DEVIATION: D-29 - the patch series drops the namespace on the way.
 */
export function sys_container_socket(p: task_struct, f: frame): i32 {
  if (!containers_enabled()) return -E.ENOSYS;
  const c = FD.container_of_fd(p, <i32>f.a0);
  if (IS_ERR(c)) return PTR_ERR(c);
  const bad = container_permission(p, c);
  if (bad) return bad;
  return make_socket(p, net_of(c.ns), <i32>f.a1, <u32>f.a2, <i32>f.r10);
}

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
  const bad = unix_kind(type, <i32>f.a2);
  if (bad) return bad;
  return make_pair(p, f, type == K.SOCK_RAW ? K.SOCK_DGRAM : type, flags);
}

function make_pair(p: task_struct, f: frame, type: u32, flags: u32): i32 {
  const status = flags & K.SOCK_NONBLOCK;
  const net = net_of(cold(p).nsproxy);
  const a = socket_file(p, net, K.AF_UNIX, type, status);
  if (nil(a)) return -E.ENOMEM;
  const b = socket_file(p, net, K.AF_UNIX, type, status);
  if (nil(b)) {
    FD.fput(a);
    return -E.ENOMEM;
  }
  U.unix_join(a.sock, b.sock, p.signal.tgid_pid, p.cred);
  return install_pair(p, f, f.r10, a, b, (flags & K.SOCK_CLOEXEC) != 0);
}

/** bind(2): fd, name, its length. */
export function sys_bind(p: task_struct, f: frame, fd: i32): i32 {
  const at = call_file(p, f, fd);
  const kind = sockfd_lookup(at);
  if (kind < 0) return kind;
  if (!kind || at.sock.opaque) return FD.world_result(f, 0);
  const len = <i32>f.a2;
  const bad = A.move_addr_to_kernel(f, f.a1, len);
  if (bad) return bad;
  const ready = net_ready(at.sock.net);
  if (ready) return ready;
  if (f.assist & F.ASSIST_ERRNO) return -f.assist_val;
  return A.or_worlds(f, at.sock, do_bind(p, f, at.sock, len));
}

function do_bind(p: task_struct, f: frame, s: sock, len: i32): i32 {
  const peek = (f.assist & F.ASSIST_PEEK) != 0;
  switch (s.family) {
    case K.AF_UNIX:
      return unix_bind(p, f, s, len);
    case K.AF_INET:
    case K.AF_INET6:
      return I.inet_bind(p, s, len, peek);
    case K.AF_NETLINK:
      return netlink_bind(p, s, len, peek);
    default:
      if (len < 20) return -E.EINVAL;
      s.ifindex = load<u32>(SCRATCH_ADDR, 4);
      return 0;
  }
}

/** listen(2): fd, backlog. */
export function sys_listen(p: task_struct, f: frame, fd: i32): i32 {
  const at = call_file(p, f, fd);
  const kind = sockfd_lookup(at);
  if (kind < 0) return kind;
  if (!kind || at.sock.opaque) return FD.world_result(f, 0);
  const s = at.sock;
  if (f.assist & F.ASSIST_ERRNO) return -f.assist_val;
  if (!S.connected(s)) return -E.EOPNOTSUPP;
  const backlog = min<u32>(<u32>f.a1, N.SOMAXCONN);
  if (s.family == K.AF_UNIX && nil(s.addr)) return -E.EINVAL;
  if (s.state != S.TCP_CLOSE && s.state != S.TCP_LISTEN) return -E.EINVAL;
  if (f.assist & F.ASSIST_PEEK) return 0;
  if (s.family == K.AF_UNIX) {
    if (nil(s.peer_pid)) U.set_peercred(s, p.signal.tgid_pid, p.cred);
  } else if (s.state == S.TCP_CLOSE) {
    const error = start_listening(s);
    if (error) return error;
  }
  s.state = S.TCP_LISTEN;
  s.backlog = backlog;
  wake_up_all(s.wait);
  S.wake_pending(s);
  return 0;
}

/** An inet socket needs its port, and to have it alone among listeners. 0, -EADDRINUSE, -ENOMEM. */
function start_listening(s: sock): i32 {
  const bad = net_ready(s.net);
  if (bad) return bad;
  if (!s.num && I.autobind_port(s)) return -E.EADDRINUSE;
  s.state = S.TCP_LISTEN;
  if (!I.port_conflict(s, s.num)) return 0;
  s.state = S.TCP_CLOSE;
  return -E.EADDRINUSE;
}

/** connect(2): fd, name, its length. */
export function sys_connect(p: task_struct, f: frame, fd: i32): i32 {
  const at = call_file(p, f, fd);
  const kind = sockfd_lookup(at);
  if (kind < 0) return kind;
  if (!kind || at.sock.opaque) return FD.world_result(f, 0);
  const bad = A.move_addr_to_kernel(f, f.a1, <i32>f.a2);
  if (bad) return end_wait(p, bad);
  if (f.assist & F.ASSIST_ERRNO) return end_wait(p, -f.assist_val);
  const ready = net_ready(at.sock.net);
  if (ready) return end_wait(p, ready);
  return end_wait(p, A.or_worlds(f, at.sock, do_connect(p, f, at, <i32>f.a2)));
}

function do_connect(p: task_struct, f: frame, at: file, len: i32): i32 {
  const s = at.sock;
  const peek = (f.assist & F.ASSIST_PEEK) != 0;
  switch (s.family) {
    case K.AF_UNIX:
      return unix_connect(p, f, at, len);
    case K.AF_NETLINK:
      return netlink_connect(p, s, len, peek);
    case K.AF_INET:
    case K.AF_INET6:
      if (len < 2) return -E.EINVAL;
      if (A.family_of(len) == K.AF_UNSPEC) return peek ? 0 : inet_unconnect(s);
      if (S.connected(s)) return tcp_connect(p, f, at, len);
      return udp_connect(s, len, peek);
    default:
      return -E.EOPNOTSUPP;
  }
}

function inet_unconnect(s: sock): i32 {
  if (S.connected(s)) {
    if (s.state == S.TCP_LISTEN) U.stop_listening(s);
    else U.abort_connection(s);
    s.shutdown = 0;
    s.err = 0;
    s.options &= ~S.SOCK_CONNECTING;
  }
  s.state = S.TCP_CLOSE;
  I.inet_disconnect(s);
  wake_up_all(s.wait);
  return 0;
}

function udp_connect(s: sock, len: i32, peek: bool): i32 {
  const bad = I.parse_inet(s, len);
  if (bad) return bad;
  const to = I.the_inet();
  const way = I.route(s, to);
  if (way < 0) return way;
  if (peek) return 0;
  if (!s.num && s.type == K.SOCK_DGRAM && I.autobind_port(s)) return -E.EAGAIN;
  // a second connect begins from the address that bind gave
  if (s.dport && !(s.options & S.SOCK_ADDR_BOUND)) s.saddr0 = s.saddr1 = 0;
  I.set_peer_address(s, to);
  s.state = S.TCP_ESTABLISHED;
  return 0;
}

/** A connect(2) that began before this one: what became of it. */
function tcp_connecting(p: task_struct, f: frame, at: file): i32 {
  const s = at.sock;
  if (s.state == S.TCP_SYN_SENT) {
    if (!f.phase) return A.nonblock(at, 0) ? -E.EALREADY : A.wait_on_sock(p, f, at, s.sndtimeo);
    const r = A.wait_on_sock(p, f, at, s.sndtimeo);
    return r == -E.EAGAIN ? -E.EINPROGRESS : r;
  }
  const peek = (f.assist & F.ASSIST_PEEK) != 0;
  if (!peek) s.options &= ~S.SOCK_CONNECTING;
  if (s.state == S.TCP_ESTABLISHED) return 0;
  const error = A.sock_error(f, s);
  if (!peek) {
    I.inet_disconnect(s);
    s.shutdown = 0;
  }
  return error ? error : -E.ECONNABORTED;
}

function tcp_connect(p: task_struct, f: frame, at: file, len: i32): i32 {
  const s = at.sock;
  if (s.options & S.SOCK_CONNECTING) return tcp_connecting(p, f, at);
  // one that was reset counts as connected until it is disconnected
  if (s.state != S.TCP_CLOSE || s.dport) return -E.EISCONN;
  const bad = I.parse_inet(s, len);
  if (bad) return bad;
  const to = I.the_inet();
  const way = I.route(s, to);
  if (way < 0) return way;
  const waits = !A.nonblock(at, 0);
  const listener = way == I.ROUTE_LOCAL ? I.find_receiver(s, to, 0, 0) : changetype<sock>(0);
  const full = way == I.ROUTE_LOST || (!nil(listener) && !U.has_room(listener));
  if (f.assist & F.ASSIST_PEEK) {
    if (!waits) return -E.EINPROGRESS;
    return full ? RET_SLEEPS : nil(listener) ? -E.ECONNREFUSED : 0;
  }
  const old0 = s.saddr0;
  const old1 = s.saddr1;
  const had_port = s.num != 0;
  if (!had_port && I.autobind_port(s)) return -E.EADDRNOTAVAIL;
  I.set_peer_address(s, to);
  s.err = 0;
  if (full) {
    s.state = S.TCP_SYN_SENT;
    s.options |= S.SOCK_CONNECTING;
    if (!nil(listener)) S.enlist(s, listener, listener.pending);
    return waits ? A.wait_on_sock(p, f, at, s.sndtimeo) : -E.EINPROGRESS;
  }
  if (nil(listener)) {
    S.sock_wake_async(s, POLL_ERR);
    if (waits && !signal_pending(p)) {
      I.inet_disconnect(s);
      return -E.ECONNREFUSED;
    }
    refuse_later(s);
    return waits ? A.wait_on_sock(p, f, at, s.sndtimeo) : -E.EINPROGRESS;
  }
  const worlds = !nil(listener) && listener.opaque;
  const error = worlds ? lead_out(s) : I.establish(s, listener);
  if (error) {
    s.dport = 0;
    s.daddr0 = s.daddr1 = 0;
    s.saddr0 = old0;
    s.saddr1 = old1;
    if (!had_port) I.inet_disconnect(s);
    return error;
  }
  s.sndbuf = max<u32>(s.sndbuf, K.TCP_SNDBUF_CONNECTED);
  if (!worlds) s.peer.sndbuf = max<u32>(s.peer.sndbuf, K.TCP_SNDBUF_CONNECTED);
  if (waits && (worlds || !signal_pending(p))) return 0;
  // a signal ends even the wait for an answer that is there: the next connect(2) tells of it
  s.options |= S.SOCK_CONNECTING;
  wake_up_poll(s.wait, S.WRITABLE);
  return waits ? A.wait_on_sock(p, f, at, s.sndtimeo) : -E.EINPROGRESS;
}

/** Whoever accepts at the other end is the world's: so is `s` from now on. Return: 0. */
function lead_out(s: sock): i32 {
  s.opaque = 1;
  s.state = S.TCP_ESTABLISHED;
  return 0;
}

/** The answer is there at once, but connect(2) has not waited for it. */
function refuse_later(s: sock): void {
  s.err = E.ECONNREFUSED;
  s.options |= S.SOCK_CONNECTING;
  s.shutdown = S.SHUTDOWN_MASK;
  wake_up_all(s.wait);
}

/** accept(2), accept4(2): fd, room for a name, its length, flags. */
export function sys_accept4(p: task_struct, f: frame, fd: i32, flags: u32): i32 {
  const at = call_file(p, f, fd);
  if (nil(at)) return -E.EBADF;
  if (flags & ~(<u32>(K.SOCK_CLOEXEC | K.SOCK_NONBLOCK))) return end_wait(p, -E.EINVAL);
  const kind = sockfd_lookup(at);
  if (kind == 0 || (kind > 0 && at.sock.opaque)) return sys_world_fd(p, f);
  const unused = FD.get_unused_fd(p, 0);
  if (unused < 0) return end_wait(p, unused);
  if (kind < 0) return end_wait(p, kind);
  const need = A.prepare_name(f, f.a1, f.a2);
  if (need) return need;
  return end_wait(p, do_accept(p, f, at, flags, unused));
}

function do_accept(p: task_struct, f: frame, at: file, flags: u32, fd: i32): i32 {
  const s = at.sock;
  if (!S.connected(s)) return -E.EOPNOTSUPP;
  if (s.state != S.TCP_LISTEN) return -E.EINVAL;
  if (f.assist & F.ASSIST_ERRNO) return -f.assist_val;
  if (!s.nr_children) {
    // somebody from outside
    if (f.assist & F.ASSIST_RET) return sys_world_fd(p, f);
    if (A.nonblock(at, 0)) return -E.EAGAIN;
    if (s.family == K.AF_UNIX && s.shutdown & S.RCV_SHUTDOWN) return -E.EINVAL;
    return A.wait_on_sock(p, f, at, s.rcvtimeo);
  }
  if (f.assist & F.ASSIST_PEEK) return fd;
  const status: u32 = flags & K.SOCK_NONBLOCK;
  const made = FD.alloc_file(FD.FILE_SOCKET, O.O_RDWR | status, 0);
  if (nil(made)) return -E.ENOMEM;
  const child = U.take_child(s);
  made.private_data = <u32>changetype<usize>(child);
  child.file = made;
  const next = I.admit_pending(s);
  if (!nil(next)) wake_up_poll(next.wait, S.WRITABLE);
  if (s.family == K.AF_UNIX) S.wake_pending(s);
  if (f.a1) {
    const len = A.sock_name(child, true);
    // the other end is gone already
    if (len < 0) {
      FD.fput(made);
      return -E.ECONNABORTED;
    }
    const bad = A.move_addr_to_user(f, <u32>len, f.a1, f.a2);
    if (bad) {
      FD.fput(made);
      return bad;
    }
  }
  FD.fd_install(p, fd, made, (flags & K.SOCK_CLOEXEC) != 0);
  return fd;
}

/** shutdown(2): fd, how. */
export function sys_shutdown(p: task_struct, f: frame, fd: i32, how: i32): i32 {
  const at = call_file(p, f, fd);
  const kind = sockfd_lookup(at);
  if (kind < 0) return kind;
  if (!kind || at.sock.opaque) return FD.world_result(f, 0);
  const s = at.sock;
  if (s.family == K.AF_NETLINK || s.family == K.AF_PACKET) return -E.EOPNOTSUPP;
  if (<u32>how > <u32>K.SHUT_RDWR) return -E.EINVAL;
  const bits = <u32>how + 1;
  const peek = (f.assist & F.ASSIST_PEEK) != 0;
  if (!S.is_inet(s)) {
    if (!peek) U.sock_shutdown(s, bits);
    return 0;
  }
  if (s.state == S.TCP_LISTEN || s.state == S.TCP_SYN_SENT) {
    if (s.state == S.TCP_LISTEN && !(bits & S.RCV_SHUTDOWN)) return 0;
    return peek ? 0 : inet_unconnect(s);
  }
  const r = s.state == S.TCP_CLOSE ? -E.ENOTCONN : 0;
  if (!peek) U.sock_shutdown(s, bits);
  return r;
}

/** getsockname(2), and with `peer` getpeername(2): fd, room for the name, its length. */
export function sys_getsockname(p: task_struct, f: frame, fd: i32, peer: bool): i32 {
  const at = call_file(p, f, fd);
  const kind = sockfd_lookup(at);
  if (kind < 0) return kind;
  if (!kind || at.sock.opaque) return FD.world_result(f, 0);
  const s = at.sock;
  const far = peer && S.is_inet(s) && s.type == K.SOCK_STREAM && s.state != S.TCP_ESTABLISHED;
  if (far) return -E.ENOTCONN;
  const need = A.prepare_name(f, f.a1, f.a2);
  if (need) return need;
  const len = A.sock_name(s, peer);
  return len < 0 ? len : A.move_addr_to_user(f, <u32>len, f.a1, f.a2);
}
