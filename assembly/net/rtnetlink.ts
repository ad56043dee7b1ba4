// NETLINK_ROUTE: the interfaces, addresses and routes of a network namespace, listed, made and
// removed. Interfaces besides the loopback are dummies.
import { cred_ns_capable } from "../cred/cred.ts";
import { nil, same } from "../lib/err.ts";
import * as D from "./net-namespace.ts";
import { in_ifaddr, net_device, net_namespace } from "./net-namespace.ts";
import {
  nl_begin,
  nl_end,
  nl_flush,
  nla_put,
  nla_put_u32,
  nla_put_u8,
  nla_reserve,
  reply,
} from "./netlink.ts";
import { SOCK_OPENER_ADMIN } from "./sock.ts";
import { CAP_NET_ADMIN } from "../uapi/capability.ts";
import * as E from "../uapi/errno.ts";
import * as N from "../uapi/net.ts";
import * as L from "../uapi/netlink.ts";
import { AF_INET, AF_INET6, AF_UNSPEC } from "../uapi/socket.ts";
import { user_namespace } from "../namespace/user-namespace.ts";

const KIND_DUMMY: u64 = 0x796d6d7564; // "dummy"
const NOQUEUE: u64 = 0x65756575716f6e; // "noqueue"
const NOOP: u32 = 0x706f6f6e; // "noop"
const NAME_DUMMY: u64 = 0x796d6d7564;
const NAME_DUMMY_BYTES: u32 = 5;

/** Value of attribute `type` among `len` bytes at `at`; 0: not there. Its length: attr_len(). */
function attr(at: usize, len: u32, type: u32): usize {
  let left = len;
  while (left >= 4) {
    const bytes = <u32>load<u16>(at);
    if (bytes < 4 || bytes > left) return 0;
    if (((<u32>load<u16>(at, 2)) & L.NLA_TYPE_MASK) == type) return at + 4;
    const step = min((bytes + 3) & ~3, left);
    at += step;
    left -= step;
  }
  return 0;
}

function attr_len(value: usize): u32 {
  return <u32>load<u16>(value - 4) - 4;
}

/** Who asks may change what is in the namespace, and whoever opened the socket might too. */
function may_change(): bool {
  const r = reply();
  const s = r.sock;
  const owner = changetype<user_namespace>(<usize>s.net.user_ns);
  if (!(s.options & SOCK_OPENER_ADMIN)) return false;
  return cred_ns_capable(r.task.cred, owner, CAP_NET_ADMIN);
}

function put_name(dev: net_device, type: u32): void {
  let n: u32 = 0;
  while (load<u8>(dev.name + n)) ++n;
  nla_put(type, dev.name, n + 1);
}

/** RTM_NEWLINK about an interface. */
function fill_link(dev: net_device): void {
  const body = nl_begin(L.RTM_NEWLINK, L.IFINFOMSG_BYTES);
  const up = (dev.flags & N.IFF_UP) != 0;
  const lo = (dev.flags & N.IFF_LOOPBACK) != 0;
  store<u16>(body, <u16>dev.type, 2);
  store<i32>(body, dev.ifindex, 4);
  store<u32>(body, dev.flags, 8);
  put_name(dev, L.IFLA_IFNAME);
  nla_put_u32(L.IFLA_TXQLEN, dev.txqlen);
  nla_put_u8(L.IFLA_OPERSTATE, <u8>(up ? L.IF_OPER_UNKNOWN : L.IF_OPER_DOWN));
  nla_put_u8(L.IFLA_LINKMODE, 0);
  nla_put_u32(L.IFLA_MTU, dev.mtu);
  if (up) store<u64>(nla_reserve(L.IFLA_QDISC, 8), NOQUEUE);
  else store<u32>(nla_reserve(L.IFLA_QDISC, 5), NOOP);
  store<u32>(nla_reserve(L.IFLA_ADDRESS, 6), <u32>dev.mac);
  const r = reply();
  store<u16>(r.buf + r.at - 4, <u16>(dev.mac >> 32));
  const brd = nla_reserve(L.IFLA_BROADCAST, 6);
  if (!lo) memory.fill(brd, 0xff, 6);
  if (!lo) {
    const info = nla_reserve(L.IFLA_LINKINFO, 12);
    store<u16>(info, 10);
    store<u16>(info, L.IFLA_INFO_KIND, 2);
    store<u32>(info, <u32>KIND_DUMMY, 4);
    store<u16>(info, <u16>(KIND_DUMMY >> 32), 8);
  }
  nl_end();
}

/** RTM_NEWADDR about an address of `dev`. */
function fill_address(dev: net_device, a: in_ifaddr): void {
  const body = nl_begin(L.RTM_NEWADDR, L.IFADDRMSG_BYTES);
  store<u8>(body, <u8>a.family);
  store<u8>(body, <u8>a.prefixlen, 1);
  store<u8>(body, L.IFA_F_PERMANENT, 2);
  store<u8>(body, <u8>a.scope, 3);
  store<i32>(body, dev.ifindex, 4);
  if (a.family == AF_INET) {
    nla_put_u32(L.IFA_ADDRESS, a.peer);
    nla_put_u32(L.IFA_LOCAL, <u32>(a.addr1 >> 32));
    if (a.brd) nla_put_u32(L.IFA_BROADCAST, a.brd);
    put_name(dev, L.IFA_LABEL);
  } else {
    const at = nla_reserve(L.IFA_ADDRESS, 16);
    store<u64>(at, a.addr0);
    store<u64>(at, a.addr1, 8);
  }
  nla_put_u32(L.IFA_FLAGS, L.IFA_F_PERMANENT);
  nl_end();
}

/** RTM_NEWROUTE: where `a` itself leads, or with `link` what is behind its interface. */
function fill_route(net: net_namespace, dev: net_device, a: in_ifaddr, link: bool): void {
  const body = nl_begin(L.RTM_NEWROUTE, L.RTMSG_BYTES);
  const four = a.family == AF_INET;
  const lo = (dev.flags & N.IFF_LOOPBACK) != 0;
  const table = link ? L.RT_TABLE_MAIN : L.RT_TABLE_LOCAL;
  const bits: u32 = link || (lo && four) ? a.prefixlen : four ? 32 : 128;
  store<u8>(body, <u8>a.family);
  store<u8>(body, <u8>bits, 1);
  store<u8>(body, <u8>table, 4);
  store<u8>(body, L.RTPROT_KERNEL, 5);
  const scope = !four ? L.RT_SCOPE_UNIVERSE : link ? L.RT_SCOPE_LINK : L.RT_SCOPE_HOST;
  store<u8>(body, <u8>scope, 6);
  store<u8>(body, <u8>(link ? L.RTN_UNICAST : L.RTN_LOCAL), 7);
  nla_put_u32(L.RTA_TABLE, table);
  if (four) {
    const own = <u32>(a.addr1 >> 32);
    const mask = bits ? bswap<u32>(u32.MAX_VALUE << (32 - bits)) : 0;
    nla_put_u32(L.RTA_DST, own & mask);
    nla_put_u32(L.RTA_PREFSRC, own);
  } else {
    const at = nla_reserve(L.RTA_DST, 16);
    const high = bits >= 64 ? u64.MAX_VALUE : bits ? u64.MAX_VALUE << (64 - bits) : 0;
    const low = bits == 128 ? u64.MAX_VALUE : bits <= 64 ? 0 : u64.MAX_VALUE << (128 - bits);
    store<u64>(at, a.addr0 & bswap<u64>(high));
    store<u64>(at, a.addr1 & bswap<u64>(low), 8);
    nla_put_u32(L.RTA_PRIORITY, link ? 256 : 0);
  }
  nla_put_u32(L.RTA_OIF, dev.ifindex);
  nl_end();
}

/** Everything of one kind, in parts, and NLMSG_DONE behind it as a message of its own. */
function dump(net: net_namespace, type: u32, family: u32): i32 {
  reply().flags = L.NLM_F_MULTI;
  for (let dev = net.devs; !nil(dev); dev = dev.next) {
    if (type == L.RTM_GETLINK) {
      fill_link(dev);
      continue;
    }
    const up = (dev.flags & N.IFF_UP) != 0;
    for (let a = dev.addrs; !nil(a); a = a.next) {
      if (family != AF_UNSPEC && a.family != family) continue;
      if (type == L.RTM_GETADDR) {
        fill_address(dev, a);
      } else if (up) {
        const all: u32 = a.family == AF_INET ? 32 : 128;
        const lo = (dev.flags & N.IFF_LOOPBACK) != 0;
        if (a.prefixlen < all && !lo) fill_route(net, dev, a, true);
        fill_route(net, dev, a, false);
      }
    }
  }
  nl_flush();
  nl_begin(L.NLMSG_DONE, 4);
  nl_end();
  nl_flush();
  return 0;
}

/** The 16 bytes of a name at `value`, into two words at `to`. Return: 0, -EINVAL. */
function read_name(value: usize, to: usize): i32 {
  const len = attr_len(value);
  let n: u32 = 0;
  while (n < len && load<u8>(value + n)) ++n;
  if (!n || n >= <u32>N.IFNAMSIZ) return -E.EINVAL;
  memory.fill(to, 0, N.IFNAMSIZ);
  for (let i: u32 = 0; i < n; ++i) {
    const byte = load<u8>(value + i);
    // a slash, a colon and blanks would make it something else
    if (byte == 47 || byte == 58 || byte <= 32) return -E.EINVAL;
    store<u8>(to + i, byte);
  }
  const dots = load<u16>(to) == 0x2e || (load<u16>(to) == 0x2e2e && !load<u8>(to, 2));
  return dots ? -E.EINVAL : 0;
}

/** Where a name that is read lies: behind what is being answered. */
function name_place(): usize {
  return changetype<usize>(reply()) + 32;
}

/** The interface that a message about links names: by index, else by name. Null: none. */
function named_device(net: net_namespace, at: usize, attrs: usize, len: u32): net_device {
  const index = load<i32>(at, L.NLMSG_HDRLEN + 4);
  if (index) return D.dev_by_index(net, index);
  const value = attr(attrs, len, L.IFLA_IFNAME);
  if (!value || read_name(value, name_place())) return changetype<net_device>(0);
  return D.dev_by_name(net, load<u64>(name_place()), load<u64>(name_place(), 8));
}

function get_link(net: net_namespace, at: usize, attrs: usize, len: u32): i32 {
  if (!load<i32>(at, L.NLMSG_HDRLEN + 4) && !attr(attrs, len, L.IFLA_IFNAME)) return -E.EINVAL;
  const dev = named_device(net, at, attrs, len);
  if (nil(dev)) return -E.ENODEV;
  fill_link(dev);
  return 0;
}

/** Sets what flags, name and size say. Return: 0, errno. */
function change_link(net: net_namespace, dev: net_device, at: usize, attrs: usize, len: u32): i32 {
  const mtu = attr(attrs, len, L.IFLA_MTU);
  if (mtu && attr_len(mtu) < 4) return -E.ERANGE;
  const name = attr(attrs, len, L.IFLA_IFNAME);
  if (name) {
    const bad = read_name(name, name_place());
    if (bad) return bad;
    const error = rename_device(net, dev, load<u64>(name_place()), load<u64>(name_place(), 8));
    if (error) return error;
  }
  if (mtu) dev.mtu = load<u32>(mtu);
  const flags = load<u32>(at, L.NLMSG_HDRLEN + 8);
  const change = load<u32>(at, L.NLMSG_HDRLEN + 12);
  return set_flags(net, dev, change ? (dev.flags & ~change) | (flags & change) : dev.flags);
}

/** Another name. Return: 0, -EEXIST. */
export function rename_device(net: net_namespace, dev: net_device, n0: u64, n1: u64): i32 {
  if (dev.name0 == n0 && dev.name1 == n1) return 0;
  if (!nil(D.dev_by_name(net, n0, n1))) return -E.EEXIST;
  dev.name0 = n0;
  dev.name1 = n1;
  return 0;
}

/** Flags of an interface as a user sets them: up or down, and how it listens. 0, -ENOMEM. */
export function set_flags(net: net_namespace, dev: net_device, flags: u32): i32 {
  const keep: u32 = N.IFF_PROMISC | N.IFF_ALLMULTI | N.IFF_NOARP | N.IFF_NOTRAILERS;
  if (flags & N.IFF_UP && !(dev.flags & N.IFF_UP)) {
    const error = D.dev_up(net, dev);
    if (error) return error;
  } else if (!(flags & N.IFF_UP) && dev.flags & N.IFF_UP) {
    D.dev_down(dev);
  }
  dev.flags = (dev.flags & ~keep) | (flags & keep);
  return 0;
}

/** A name of the kernel's choice: dummy0 and so on. */
function choose_name(net: net_namespace): void {
  const at = name_place();
  for (let n: u32 = 0; ; ++n) {
    store<u64>(at, NAME_DUMMY);
    store<u64>(at, 0, 8);
    let digits: u32 = 1;
    for (let rest = n / 10; rest; rest /= 10) digits += 1;
    let rest = n;
    for (let i = digits; i > 0; --i) {
      store<u8>(at + NAME_DUMMY_BYTES + i - 1, <u8>(48 + (rest % 10)));
      rest /= 10;
    }
    if (nil(D.dev_by_name(net, load<u64>(at), load<u64>(at, 8)))) return;
  }
}

/** A new interface. Return: 0, errno. */
function create_link(net: net_namespace, at: usize, attrs: usize, len: u32): i32 {
  const info = attr(attrs, len, L.IFLA_LINKINFO);
  const kind = info ? attr(info, attr_len(info), L.IFLA_INFO_KIND) : 0;
  if (!kind) return -E.EOPNOTSUPP;
  let n: u32 = 0;
  let text: u64 = 0;
  for (; n < min<u32>(attr_len(kind), 8) && load<u8>(kind + n); ++n) {
    text |= (<u64>load<u8>(kind + n)) << (n << 3);
  }
  if (text != KIND_DUMMY) return -E.EOPNOTSUPP;
  const index = load<i32>(at, L.NLMSG_HDRLEN + 4);
  if (index < 0) return -E.EINVAL;
  const name = attr(attrs, len, L.IFLA_IFNAME);
  if (name) {
    const bad = read_name(name, name_place());
    if (bad) return bad;
  } else {
    choose_name(net);
  }
  const dev = D.add_dummy(net, load<u64>(name_place()), load<u64>(name_place(), 8), index);
  if (nil(dev)) return -E.ENOMEM;
  const flags = load<u32>(at, L.NLMSG_HDRLEN + 8);
  const error = set_flags(net, dev, flags | (dev.flags & N.IFF_NOARP));
  if (error) D.remove_device(net, dev);
  return error;
}

function new_link(net: net_namespace, at: usize, attrs: usize, len: u32, flags: u32): i32 {
  const name = attr(attrs, len, L.IFLA_IFNAME);
  if (name) {
    const bad = read_name(name, name_place());
    if (bad) return bad;
  }
  const dev = named_device(net, at, attrs, len);
  if (!nil(dev)) {
    if (flags & L.NLM_F_EXCL) return -E.EEXIST;
    return change_link(net, dev, at, attrs, len);
  }
  if (!(flags & L.NLM_F_CREATE)) return -E.ENODEV;
  return create_link(net, at, attrs, len);
}

function del_link(net: net_namespace, at: usize, attrs: usize, len: u32): i32 {
  if (!load<i32>(at, L.NLMSG_HDRLEN + 4) && !attr(attrs, len, L.IFLA_IFNAME)) return -E.EINVAL;
  const dev = named_device(net, at, attrs, len);
  if (nil(dev)) return -E.ENODEV;
  if (same(dev, net.devs)) return -E.EOPNOTSUPP;
  D.remove_device(net, dev);
  return 0;
}

/** RTM_NEWADDR, RTM_DELADDR: an address of an interface. */
function change_address(net: net_namespace, at: usize, attrs: usize, len: u32, add: bool): i32 {
  const family: u32 = load<u8>(at, L.NLMSG_HDRLEN);
  const prefixlen: u32 = load<u8>(at, L.NLMSG_HDRLEN + 1);
  const four = family == AF_INET;
  if (!four && family != AF_INET6) return -E.EOPNOTSUPP;
  const local = attr(attrs, len, L.IFA_LOCAL);
  const address = attr(attrs, len, L.IFA_ADDRESS);
  const own = local ? local : address;
  const bytes: u32 = four ? 4 : 16;
  if (!own || attr_len(own) < bytes || (add && four && !local)) return -E.EINVAL;
  if (address && attr_len(address) < bytes) return -E.EINVAL;
  if (prefixlen > bytes << 3) return -E.EINVAL;
  const dev = D.dev_by_index(net, load<i32>(at, L.NLMSG_HDRLEN + 4));
  if (nil(dev)) return -E.ENODEV;
  const addr0: u64 = four ? 0 : load<u64>(own);
  const addr1 = four ? D.v4_mapped(load<u32>(own)) : load<u64>(own, 8);
  const there = D.find_address(dev, family, addr0, addr1);
  if (!add) {
    if (nil(there)) return -E.EADDRNOTAVAIL;
    D.remove_address(dev, there);
    return 0;
  }
  if (!nil(there)) return -E.EEXIST;
  const scope = four ? <u32>load<u8>(at, L.NLMSG_HDRLEN + 3) : scope_of(addr0, addr1);
  const a = D.add_address(net, dev, family, addr0, addr1, prefixlen, scope);
  if (nil(a)) return -E.ENOMEM;
  if (four && address) a.peer = load<u32>(address);
  const brd = attr(attrs, len, L.IFA_BROADCAST);
  if (four && brd && attr_len(brd) >= 4) a.brd = load<u32>(brd);
  return 0;
}

/** Of IPv6 the address itself says how far it reaches. */
function scope_of(addr0: u64, addr1: u64): u32 {
  if (addr0 == 0 && addr1 == D.LOOPBACK6) return L.RT_SCOPE_HOST;
  return (addr0 & 0xc0ff) == 0x80fe ? L.RT_SCOPE_LINK : L.RT_SCOPE_UNIVERSE;
}

/** RTM_GETROUTE about one destination. */
function get_route(net: net_namespace, at: usize, attrs: usize, len: u32): i32 {
  const family: u32 = load<u8>(at, L.NLMSG_HDRLEN);
  if (family != AF_INET && family != AF_INET6) return -E.EOPNOTSUPP;
  const dst = attr(attrs, len, L.RTA_DST);
  const bytes: u32 = family == AF_INET ? 4 : 16;
  if (!dst || attr_len(dst) < bytes) return -E.EINVAL;
  const addr0: u64 = family == AF_INET ? 0 : load<u64>(dst);
  const addr1 = family == AF_INET ? D.v4_mapped(load<u32>(dst)) : load<u64>(dst, 8);
  const local = D.is_local(net, addr0, addr1);
  if (!local && !D.is_on_link(net, addr0, addr1)) return -E.ENETUNREACH;
  const dev = local ? net.devs : D.dev_towards(net, addr0, addr1);
  const body = nl_begin(L.RTM_NEWROUTE, L.RTMSG_BYTES);
  store<u8>(body, <u8>family);
  store<u8>(body, <u8>(bytes << 3), 1);
  store<u8>(body, <u8>(local ? L.RT_TABLE_LOCAL : L.RT_TABLE_MAIN), 4);
  store<u8>(body, <u8>(local ? L.RTN_LOCAL : L.RTN_UNICAST), 7);
  nla_put(L.RTA_DST, dst, bytes);
  nla_put_u32(L.RTA_OIF, dev.ifindex);
  nl_end();
  return 0;
}

/** Bytes of the body that messages of a kind begin with. */
function body_bytes(type: u32): u32 {
  const subject = (type - L.RTM_NEWLINK) >> 2;
  if (subject == 0) return L.IFINFOMSG_BYTES;
  return subject == 1 ? L.IFADDRMSG_BYTES : L.RTMSG_BYTES;
}

/** The request of `bytes` bytes at `at`. Return: 0 or errno. */
export function rtnetlink_rcv_msg(at: usize, bytes: u32, type: u32, flags: u32): i32 {
  if (type > <u32>L.RTM_MAX) return -E.EOPNOTSUPP;
  const r = reply();
  const net = r.sock.net;
  if (bytes < <u32>L.NLMSG_HDRLEN + 1) return 0;
  // of each four types the third one asks
  const asks = (type & 3) == 2;
  if (!asks && !may_change()) return -E.EPERM;
  if (type > <u32>L.RTM_GETROUTE || (type & 3) == 3) {
    if (type != L.RTM_SETLINK) return -E.EOPNOTSUPP;
  }
  if (asks && flags & L.NLM_F_DUMP) return dump(net, type, load<u8>(at, L.NLMSG_HDRLEN));
  const body = body_bytes(type);
  const head = <u32>L.NLMSG_HDRLEN + body;
  if (bytes < head) return -E.EINVAL;
  const attrs = at + head;
  const len = bytes - head;
  switch (type) {
    case L.RTM_GETLINK:
      return get_link(net, at, attrs, len);
    case L.RTM_NEWLINK:
      return new_link(net, at, attrs, len, flags);
    case L.RTM_SETLINK:
      return new_link(net, at, attrs, len, flags & ~(<u32>(L.NLM_F_CREATE | L.NLM_F_EXCL)));
    case L.RTM_DELLINK:
      return del_link(net, at, attrs, len);
    case L.RTM_NEWADDR:
      return change_address(net, at, attrs, len, true);
    case L.RTM_DELADDR:
      return change_address(net, at, attrs, len, false);
    case L.RTM_GETROUTE:
      return get_route(net, at, attrs, len);
    default:
      // single addresses, and routes by hand
      return -E.EOPNOTSUPP;
  }
}
