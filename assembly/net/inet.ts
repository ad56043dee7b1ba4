// AF_INET and AF_INET6 over the loopback: addresses, ports, who listens where. What goes to an
// address of the namespace's own arrives at once; beyond it there is nobody.
import { cred_ns_capable } from "../cred/cred.ts";
import { NULL, nil, same } from "../lib/err.ts";
import { list_head } from "../lib/list.ts";
import {
  chain_of,
  is_local,
  is_on_link,
  LOOPBACK4,
  LOOPBACK6,
  loopback_up,
  net_namespace,
  V4_PREFIX,
  v4_mapped,
} from "./net-namespace.ts";
import { SCRATCH_ADDR, SCRATCH_INET } from "../lib/root.ts";
import * as S from "./sock.ts";
import { sock } from "./sock.ts";
import { task_struct } from "../process/task.ts";
import { has_room, join, new_child, queue_child } from "./unix.ts";
import { CAP_NET_BIND_SERVICE } from "../uapi/capability.ts";
import * as E from "../uapi/errno.ts";
import * as N from "../uapi/net.ts";
import { POLL_OUT } from "../uapi/signal.ts";
import * as K from "../uapi/socket.ts";
import { user_namespace } from "../namespace/user-namespace.ts";

/** A destination or name of inet: the address as of IPv6 in network order, the port as a number. */
@unmanaged
export class inet_addr {
  addr0: u64;
  addr1: u64;
  port: u32;
  family: u32; // as the caller wrote it
}

/** The one that the call under way is about. */
export function the_inet(): inet_addr {
  return changetype<inet_addr>(SCRATCH_INET);
}

function be16(at: usize): u32 {
  return ((<u32>load<u8>(at)) << 8) | load<u8>(at, 1);
}

export function is_mapped(addr0: u64, addr1: u64): bool {
  return addr0 == 0 && (addr1 & 0xffffffff) == V4_PREFIX;
}

/** No address: of IPv6, or of IPv4 in its mapped form. */
export function is_any(addr0: u64, addr1: u64): bool {
  return addr0 == 0 && (addr1 == 0 || addr1 == V4_PREFIX);
}

/** struct sockaddr of `len` bytes at SCRATCH_ADDR. Return: 0, -EINVAL, -EAFNOSUPPORT. */
export function parse_inet(s: sock, len: i32): i32 {
  const to = the_inet();
  const at = SCRATCH_ADDR;
  const family: u32 = len >= 2 ? load<u16>(at) : 0;
  to.family = family;
  // datagrams of IPv6 go to addresses of IPv4 too
  if (s.family == K.AF_INET6 && (family != K.AF_INET || S.connected(s))) {
    if (len < N.SIN6_LEN_RFC2133) return -E.EINVAL;
    to.port = be16(at + 2);
    to.addr0 = load<u64>(at, 8);
    to.addr1 = load<u64>(at, 16);
    return family == K.AF_INET6 ? 0 : -E.EAFNOSUPPORT;
  }
  if (len < N.SOCKADDR_IN_BYTES) return -E.EINVAL;
  to.port = be16(at + 2);
  to.addr0 = 0;
  to.addr1 = v4_mapped(load<u32>(at, 4));
  return family == K.AF_INET ? 0 : -E.EAFNOSUPPORT;
}

/** Writes an address as `family` shows it. Return: its bytes. */
export function put_inet(at: usize, family: u32, addr0: u64, addr1: u64, port: u32): u32 {
  memory.fill(at, 0, N.SOCKADDR_IN6_BYTES);
  store<u16>(at, <u16>family);
  store<u8>(at, <u8>(port >> 8), 2);
  store<u8>(at, <u8>port, 3);
  if (family == K.AF_INET) {
    store<u32>(at, <u32>(addr1 >> 32), 4);
    return N.SOCKADDR_IN_BYTES;
  }
  store<u64>(at, addr0, 8);
  store<u64>(at, addr1, 16);
  return N.SOCKADDR_IN6_BYTES;
}

/** Does `s` have a place where packets to this address arrive, as far as its family goes? */
function takes_family(s: sock, mapped: bool): bool {
  if (s.family == K.AF_INET) return mapped;
  return !mapped || !(s.options & S.SOCK_V6ONLY);
}

function same_kind(a: sock, b: sock): bool {
  return S.is_inet(a) && a.type == b.type && a.protocol == b.protocol && same(a.net, b.net);
}

/** Can two sockets get the same packets: is the place of one within the place of the other? */
function overlap(a: sock, b: sock): bool {
  const any_a = is_any(a.saddr0, a.saddr1);
  const any_b = is_any(b.saddr0, b.saddr1);
  if (!any_a && !any_b) return a.saddr0 == b.saddr0 && a.saddr1 == b.saddr1;
  if (any_a && any_b) {
    if (a.family == b.family) return true;
    const six = a.family == K.AF_INET6 ? a : b;
    return !(six.options & S.SOCK_V6ONLY);
  }
  const wide = any_a ? a : b;
  const exact = any_a ? b : a;
  return takes_family(wide, is_mapped(exact.saddr0, exact.saddr1));
}

/** May two sockets with the same port be side by side? */
function tolerates(a: sock, b: sock): bool {
  const both = a.options & b.options;
  if (both & S.SOCK_REUSEPORT && a.uid == b.uid) return true;
  if (!(both & S.SOCK_REUSEADDR)) return false;
  return !S.connected(a) || (a.state != S.TCP_LISTEN && b.state != S.TCP_LISTEN);
}

/** Is port `num` taken, for `s` at its present address? */
export function port_conflict(s: sock, num: u32): bool {
  const chain = chain_of(s.net, num);
  for (let at = chain.next; at !== chain; at = at.next) {
    const other = sock.from_hash(at);
    if (other.num != num || same(other, s) || !same_kind(other, s)) continue;
    if (overlap(s, other) && !tolerates(s, other)) return true;
  }
  return false;
}

export function hash_port(s: sock, num: u32): void {
  list_head.del_init(s.hash);
  s.num = num;
  list_head.add_tail(s.hash, chain_of(s.net, num));
}

/** `s` gets a port that is free. Return: 0, -EADDRINUSE: none is. */
export function autobind_port(s: sock): i32 {
  const span: u32 = N.LOCAL_PORT_LAST - N.LOCAL_PORT_FIRST + 1;
  for (let i: u32 = 0; i < span; ++i) {
    const num = N.LOCAL_PORT_FIRST + ((s.net.port + i) % span);
    if (port_conflict(s, num)) continue;
    s.net.port = (s.net.port + i + 1) % span;
    hash_port(s, num);
    return 0;
  }
  return -E.EADDRINUSE;
}

/**
 * The kernel that the host follows has chosen another number than port `from`: sockets that got it
 * without asking for it, and those that are connected to it, have port `to`. Return: 0, -EINVAL.
 */
export function rename_port(about: sock, from: u32, to: u32): i32 {
  if (!to || !about.net.chains) return -E.EINVAL;
  const chain = chain_of(about.net, from);
  let at = chain.next;
  let renamed = false;
  while (at !== chain) {
    const s = sock.from_hash(at);
    at = at.next;
    if (s.num != from || !same_kind(s, about) || s.options & S.SOCK_BINDPORT) continue;
    hash_port(s, to);
    renamed = true;
    if (!nil(s.peer) && s.peer.dport == from) s.peer.dport = to;
  }
  return renamed ? 0 : -E.EINVAL;
}

/** Can a socket be bound to this address? */
function may_bind_to(net: net_namespace, to: inet_addr): bool {
  if (is_any(to.addr0, to.addr1)) return true;
  if (!is_mapped(to.addr0, to.addr1)) return is_local(net, to.addr0, to.addr1);
  const first = (<u32>(to.addr1 >> 32)) & 0xff;
  // multicast, and the broadcast address; before there is a table of local addresses, all
  if (!net.fib || (first >= 224 && first < 240)) return true;
  return <u32>(to.addr1 >> 32) == u32.MAX_VALUE || is_local(net, to.addr0, to.addr1);
}

/** bind(2) of an inet socket to the address of `len` bytes at SCRATCH_ADDR. */
export function inet_bind(p: task_struct, s: sock, len: i32, peek: bool): i32 {
  const bad = parse_inet(s, len);
  const to = the_inet();
  // what IPv4 calls AF_UNSPEC is the wildcard
  const unspec = s.family == K.AF_INET && to.family == K.AF_UNSPEC && is_any(to.addr0, to.addr1);
  if (bad && !(bad == -E.EAFNOSUPPORT && unspec)) return bad;
  if (s.family == K.AF_INET6) {
    if (len < N.SIN6_LEN_RFC2133) return -E.EINVAL;
    if (to.family != K.AF_INET6) return -E.EAFNOSUPPORT;
    if (s.options & S.SOCK_V6ONLY && is_mapped(to.addr0, to.addr1)) return -E.EINVAL;
  }
  if (!may_bind_to(s.net, to)) return -E.EADDRNOTAVAIL;
  const owner = changetype<user_namespace>(<usize>s.net.user_ns);
  if (
    to.port &&
    to.port < <u32>N.PROT_SOCK &&
    !cred_ns_capable(p.cred, owner, CAP_NET_BIND_SERVICE)
  ) {
    return -E.EACCES;
  }
  if (s.state != S.TCP_CLOSE || s.num) return -E.EINVAL;
  const old0 = s.saddr0;
  const old1 = s.saddr1;
  s.saddr0 = to.addr0;
  s.saddr1 = to.addr1;
  const taken = to.port != 0 && port_conflict(s, to.port);
  if (taken || peek) {
    s.saddr0 = old0;
    s.saddr1 = old1;
    return taken ? -E.EADDRINUSE : 0;
  }
  if (to.port) hash_port(s, to.port);
  else if (autobind_port(s)) return -E.EADDRINUSE;
  s.options |= S.SOCK_ADDR_BOUND | (to.port ? S.SOCK_BINDPORT : 0);
  return 0;
}

/** How well a socket fits a packet from src to dst: 0: not at all. */
function score(s: sock, to: inet_addr, src0: u64, src1: u64, sport: u32): i32 {
  if (!takes_family(s, is_mapped(to.addr0, to.addr1))) return 0;
  let points = 1;
  if (!is_any(s.saddr0, s.saddr1)) {
    if (s.saddr0 != to.addr0 || s.saddr1 != to.addr1) return 0;
    points += 2;
  }
  if (!s.dport) return points;
  if (s.dport != sport || s.daddr0 != src0 || s.daddr1 != src1) return 0;
  return points + 4;
}

/** Who gets a packet that `from` sends to `to`: a listener, or a socket of datagrams. */
export function find_receiver(from: sock, to: inet_addr, src0: u64, src1: u64): sock {
  const chain = chain_of(from.net, to.port);
  const stream = S.connected(from);
  let best = NULL<sock>();
  let points = 0;
  for (let at = chain.next; at !== chain; at = at.next) {
    const s = sock.from_hash(at);
    if (s.num != to.port || !same_kind(s, from)) continue;
    if (stream && s.state != S.TCP_LISTEN) continue;
    if (!stream && s.shutdown & S.RCV_SHUTDOWN) continue;
    const here = score(s, to, src0, src1, from.num);
    if (here <= points) continue;
    best = s;
    points = here;
  }
  return best;
}

/** What becomes of something that is sent to an address. */
export const ROUTE_LOCAL: i32 = 0;
/** Nobody answers: it is lost. */
export const ROUTE_LOST: i32 = 1;

/** The way to `to` for `s`, its wildcard made the loopback. ROUTE_*, ENETUNREACH and the like. */
export function route(s: sock, to: inet_addr): i32 {
  const net = s.net;
  if (is_any(to.addr0, to.addr1)) {
    to.addr1 = s.family == K.AF_INET || to.addr1 == V4_PREFIX ? LOOPBACK4 : LOOPBACK6;
  }
  const mapped = is_mapped(to.addr0, to.addr1);
  if (mapped && s.family == K.AF_INET6 && s.options & S.SOCK_V6ONLY) return -E.ENETUNREACH;
  if (is_local(net, to.addr0, to.addr1)) return loopback_up(net) ? ROUTE_LOCAL : ROUTE_LOST;
  if (is_on_link(net, to.addr0, to.addr1)) return ROUTE_LOST;
  const loop6 = to.addr0 == 0 && to.addr1 == LOOPBACK6;
  return loop6 ? -E.EADDRNOTAVAIL : -E.ENETUNREACH;
}

/** The address that a socket without one sends from: the loopback's, or the destination itself. */
export function source_for(s: sock, to: inet_addr): u64 {
  if (!is_any(s.saddr0, s.saddr1)) return s.saddr1;
  const four = is_mapped(to.addr0, to.addr1) && ((<u32>(to.addr1 >> 32)) & 0xff) == 127;
  return four ? LOOPBACK4 : to.addr1;
}
export function source_for0(s: sock, to: inet_addr): u64 {
  return is_any(s.saddr0, s.saddr1) ? to.addr0 : s.saddr0;
}

/** `s` is connected to `to`, from its own address or the one that leads there. */
export function set_peer_address(s: sock, to: inet_addr): void {
  const src0 = source_for0(s, to);
  s.saddr1 = source_for(s, to);
  s.saddr0 = src0;
  s.daddr0 = to.addr0;
  s.daddr1 = to.addr1;
  s.dport = to.port;
}

/** `s` is no longer connected; what was not bound by hand is free again. */
export function inet_disconnect(s: sock): void {
  s.daddr0 = s.daddr1 = 0;
  s.dport = 0;
  if (!(s.options & S.SOCK_ADDR_BOUND)) s.saddr0 = s.saddr1 = 0;
  if (s.options & S.SOCK_BINDPORT) return;
  list_head.del_init(s.hash);
  s.num = 0;
}

/** `s` and a new end in the queue of `listener` are connected. Return: 0, -ENOMEM. */
export function establish(s: sock, listener: sock): i32 {
  const child = new_child(listener);
  if (nil(child)) return -E.ENOMEM;
  child.saddr0 = s.daddr0;
  child.saddr1 = s.daddr1;
  child.daddr0 = s.saddr0;
  child.daddr1 = s.saddr1;
  child.dport = s.num;
  hash_port(child, listener.num);
  join(s, child);
  // the answer comes before the listener hears of the connection
  S.sock_wake_async(s, POLL_OUT);
  queue_child(listener, child);
  return 0;
}

/** A listener has room: whoever waits longest gets in. Without memory it waits on. */
export function admit_pending(listener: sock): sock {
  if (!S.is_inet(listener) || list_head.empty(listener.pending) || !has_room(listener)) {
    return NULL<sock>();
  }
  const s = sock.from_link(listener.pending.next);
  if (establish(s, listener)) return NULL<sock>();
  // establish() has put the new end, not `s`, onto a list
  S.unlist(s);
  return s;
}
