// Network namespaces: interfaces and their addresses, and the chains on which sockets that have a
// port or a name are found. A namespace lasts as long as a process, a socket or a file is in it.
import { NULL, nil, same } from "../lib/err.ts";
import { list_at, list_head } from "../lib/list.ts";
import { get_ns, ns_common } from "../namespace/namespace.ts";
import { nsproxy } from "../namespace/nsproxy.ts";
import { root } from "../lib/root.ts";
import {
  CACHE_IFADDR,
  CACHE_NETDEV,
  kfree,
  kmalloc,
  kmem_cache_free,
  kmem_cache_init,
  kmem_cache_zalloc,
} from "../lib/slab.ts";
import { ENOMEM } from "../uapi/errno.ts";
import * as N from "../uapi/net.ts";
import { RT_SCOPE_HOST } from "../uapi/netlink.ts";
import { AF_INET, AF_INET6 } from "../uapi/socket.ts";

/** struct net - begins with the head that every namespace has. */
@unmanaged
export class net_namespace extends ns_common {
  devs: net_device; // by index, ascending; the first is the loopback; null: not asked for yet
  chains: u32; // list_head[CHAINS]: sockets with a port or name; 0: there has been no socket
  ifindex: i32; // given last
  fib: u32; // 1: there is a table of local addresses: one has been there
  port: u32; // where the search for a free port goes on
  autobind: u32; // name given last to a unix socket that had none
  portid: i32; // number given last to a netlink socket besides its process's
  dummies: u32; // interfaces made without a name
}

/** struct net_device - 80 bytes. */
@unmanaged
export class net_device {
  next: net_device;
  ifindex: i32;
  flags: u32; // IFF_*
  mtu: u32;
  type: u32; // [C] ARPHRD_*
  txqlen: u32;
  addrs: in_ifaddr; // in the order in which they came
  pad: u32;
  name0: u64; // with a NUL
  name1: u64;
  mac: u64; // six bytes

  get name(): usize {
    return changetype<usize>(this) + offsetof<net_device>("name0");
  }
}

/** struct in_ifaddr - an address of an interface, as of IPv6; 48 bytes. */
@unmanaged
export class in_ifaddr {
  next: in_ifaddr;
  family: u32; // [C]
  prefixlen: u32; // [C] bits, as the family counts them
  scope: u32; // [C] RT_SCOPE_*
  addr0: u64; // [C] in network order
  addr1: u64;
  brd: u32; // [C] broadcast address, 0: none
  peer: u32; // [C] the address at the other end; of most the address itself
}

const CHAINS: u32 = 64;
const CHAINS_BYTES: u32 = CHAINS << 3;

export function net_caches_init(): void {
  kmem_cache_init(CACHE_NETDEV, <u32>offsetof<net_device>());
  kmem_cache_init(CACHE_IFADDR, <u32>offsetof<in_ifaddr>());
}

/** The network namespace that a proxy names. */
export function net_of(ns: nsproxy): net_namespace {
  return changetype<net_namespace>(changetype<usize>(ns.net_ns));
}

export function init_net(): net_namespace {
  return net_of(changetype<nsproxy>(<usize>root().init_nsproxy));
}

/** The chain of a number or of a hash; the table is there. */
export function chain_of(net: net_namespace, hash: u32): list_head {
  const mixed = hash ^ (hash >> 6) ^ (hash >> 12);
  return list_at(<usize>net.chains, (<usize>(mixed & (CHAINS - 1))) << 3);
}

/** What sockets of a namespace need is there from now on. Return: 0, -ENOMEM. */
export function net_ready(net: net_namespace): i32 {
  if (net.chains) return 0;
  const error = net_devices(net);
  if (error) return error;
  const at = kmalloc(CHAINS_BYTES);
  if (!at) return -ENOMEM;
  for (let i: usize = 0; i < CHAINS_BYTES; i += 8) list_head.init(list_at(at, i));
  net.chains = <u32>at;
  return 0;
}

/**
 * The interfaces of a namespace are there from now on. Its loopback is down; that of the initial
 * namespace is up, as whatever started the machine has left it. Return: 0, -ENOMEM.
 */
export function net_devices(net: net_namespace): i32 {
  if (!nil(net.devs)) return 0;
  const lo = changetype<net_device>(kmem_cache_zalloc(CACHE_NETDEV));
  if (nil(lo)) return -ENOMEM;
  lo.ifindex = net.ifindex = 1;
  lo.flags = N.IFF_LOOPBACK;
  lo.type = N.ARPHRD_LOOPBACK;
  lo.mtu = N.LOOPBACK_MTU;
  lo.txqlen = 1000;
  store<u16>(lo.name, 0x6f6c);
  net.devs = lo;
  if (!same(net, init_net())) return 0;
  const error = dev_up(net, lo);
  if (!error) return 0;
  net.devs = NULL<net_device>();
  kmem_cache_free(CACHE_NETDEV, changetype<usize>(lo));
  return error;
}

/** A namespace goes: no socket is in it any more. */
export function net_exit(net: net_namespace): void {
  while (!nil(net.devs)) {
    const dev = net.devs;
    net.devs = dev.next;
    free_device(dev);
  }
  if (net.chains) kfree(net.chains, CHAINS_BYTES);
}

function free_device(dev: net_device): void {
  while (!nil(dev.addrs)) {
    const a = dev.addrs;
    dev.addrs = a.next;
    kmem_cache_free(CACHE_IFADDR, changetype<usize>(a));
  }
  kmem_cache_free(CACHE_NETDEV, changetype<usize>(dev));
}

export function dev_by_index(net: net_namespace, ifindex: i32): net_device {
  let dev = net.devs;
  while (!nil(dev) && dev.ifindex != ifindex) dev = dev.next;
  return dev;
}

/** By the 16 bytes of a name. */
export function dev_by_name(net: net_namespace, name0: u64, name1: u64): net_device {
  let dev = net.devs;
  while (!nil(dev) && (dev.name0 != name0 || dev.name1 != name1)) dev = dev.next;
  return dev;
}

/** A dummy interface with a name that nobody has. Or null. */
export function add_dummy(net: net_namespace, name0: u64, name1: u64, index: i32): net_device {
  const dev = changetype<net_device>(kmem_cache_zalloc(CACHE_NETDEV));
  if (nil(dev)) return dev;
  dev.ifindex = index > 0 ? index : net.ifindex + 1;
  while (!index && !nil(dev_by_index(net, dev.ifindex))) dev.ifindex += 1;
  net.ifindex = max(net.ifindex, dev.ifindex);
  dev.flags = N.IFF_BROADCAST | N.IFF_NOARP;
  dev.type = N.ARPHRD_ETHER;
  dev.mtu = N.ETH_MTU;
  dev.txqlen = 1000;
  dev.name0 = name0;
  dev.name1 = name1;
  // locally administered, and as unique as the index in the namespace's number
  dev.mac = (<u64>0x02) | ((<u64>bswap<u32>(net.inum)) << 8) | ((<u64>(dev.ifindex & 0xff)) << 40);
  let last = net.devs;
  while (!nil(last.next) && last.next.ifindex < dev.ifindex) last = last.next;
  dev.next = last.next;
  last.next = dev;
  return dev;
}

/** The interface goes, with its addresses. It is not the loopback, which is first. */
export function remove_device(net: net_namespace, dev: net_device): void {
  let before = net.devs;
  while (!same(before.next, dev)) before = before.next;
  before.next = dev.next;
  free_device(dev);
}

/** An address of an interface that it does not have yet. Return: 0, -ENOMEM. */
export function add_address(
  net: net_namespace,
  dev: net_device,
  family: u32,
  addr0: u64,
  addr1: u64,
  prefixlen: u32,
  scope: u32,
): in_ifaddr {
  const a = changetype<in_ifaddr>(kmem_cache_zalloc(CACHE_IFADDR));
  if (nil(a)) return a;
  a.family = family;
  a.addr0 = addr0;
  a.addr1 = addr1;
  a.prefixlen = prefixlen;
  a.scope = scope;
  a.peer = <u32>(addr1 >> 32);
  if (nil(dev.addrs)) {
    dev.addrs = a;
  } else {
    let last = dev.addrs;
    while (!nil(last.next)) last = last.next;
    last.next = a;
  }
  if (family == AF_INET) net.fib = 1;
  return a;
}

export function find_address(dev: net_device, family: u32, addr0: u64, addr1: u64): in_ifaddr {
  let a = dev.addrs;
  while (!nil(a) && (a.family != family || a.addr0 != addr0 || a.addr1 != addr1)) a = a.next;
  return a;
}

export function remove_address(dev: net_device, a: in_ifaddr): void {
  if (same(dev.addrs, a)) {
    dev.addrs = a.next;
  } else {
    let before = dev.addrs;
    while (!same(before.next, a)) before = before.next;
    before.next = a.next;
  }
  kmem_cache_free(CACHE_IFADDR, changetype<usize>(a));
}

/** Addresses of IPv4 as of IPv6: ::ffff:a.b.c.d; `be`: as it stands in memory. */
export const V4_PREFIX: u64 = 0xffff0000;
export function v4_mapped(be: u32): u64 {
  return V4_PREFIX | ((<u64>be) << 32);
}
/** 127.0.0.1 and ::1, the second half. */
export const LOOPBACK4: u64 = 0x0100007fffff0000;
export const LOOPBACK6: u64 = 0x0100000000000000;

/** The interface goes up; the loopback gets its addresses. Return: 0, -ENOMEM. */
export function dev_up(net: net_namespace, dev: net_device): i32 {
  if (dev.flags & N.IFF_LOOPBACK) {
    const had = !nil(find_address(dev, AF_INET, 0, LOOPBACK4));
    const a4 = had ? dev.addrs : add_address(net, dev, AF_INET, 0, LOOPBACK4, 8, RT_SCOPE_HOST);
    if (nil(a4)) return -ENOMEM;
    const a6 = add_address(net, dev, AF_INET6, 0, LOOPBACK6, 128, RT_SCOPE_HOST);
    if (nil(a6)) {
      if (!had) remove_address(dev, a4);
      return -ENOMEM;
    }
  }
  dev.flags |= N.IFF_UP | N.IFF_RUNNING | N.IFF_LOWER_UP;
  return 0;
}

/** It goes down: addresses of IPv4 stay, those of IPv6 go. */
export function dev_down(dev: net_device): void {
  dev.flags &= ~(<u32>(N.IFF_UP | N.IFF_RUNNING | N.IFF_LOWER_UP));
  let a = dev.addrs;
  while (!nil(a)) {
    const next = a.next;
    if (a.family == AF_INET6) remove_address(dev, a);
    a = next;
  }
}

/** Do the first `bits` bits of two addresses (as of IPv6) agree? */
function same_prefix(a0: u64, a1: u64, b0: u64, b1: u64, bits: u32): bool {
  const x0 = bswap<u64>(a0 ^ b0);
  const x1 = bswap<u64>(a1 ^ b1);
  if (!bits) return true;
  if (bits <= 64) return x0 >> (64 - bits) == 0;
  return x0 == 0 && x1 >> (128 - bits) == 0;
}

/** Bits of the prefix, the 96 of a mapped address included. */
function wide_prefix(a: in_ifaddr): u32 {
  return a.family == AF_INET ? a.prefixlen + 96 : a.prefixlen;
}

/** Is this an address of the namespace's own, of an interface that is up? */
export function is_local(net: net_namespace, addr0: u64, addr1: u64): bool {
  for (let dev = net.devs; !nil(dev); dev = dev.next) {
    if (!(dev.flags & N.IFF_UP)) continue;
    const whole = (dev.flags & N.IFF_LOOPBACK) != 0;
    for (let a = dev.addrs; !nil(a); a = a.next) {
      const bits: u32 = whole && a.family == AF_INET ? wide_prefix(a) : 128;
      if (same_prefix(a.addr0, a.addr1, addr0, addr1, bits)) return true;
    }
  }
  return false;
}

/** The interface that is up and has this address behind it, or null: nobody is there. */
export function dev_towards(net: net_namespace, addr0: u64, addr1: u64): net_device {
  for (let dev = net.devs; !nil(dev); dev = dev.next) {
    if (!(dev.flags & N.IFF_UP)) continue;
    for (let a = dev.addrs; !nil(a); a = a.next) {
      if (same_prefix(a.addr0, a.addr1, addr0, addr1, wide_prefix(a))) return dev;
    }
  }
  return NULL<net_device>();
}

/** What is sent there goes out, and is lost. */
export function is_on_link(net: net_namespace, addr0: u64, addr1: u64): bool {
  return !nil(dev_towards(net, addr0, addr1));
}

/** Is a loopback there and up? */
export function loopback_up(net: net_namespace): bool {
  return !nil(net.devs) && (net.devs.flags & N.IFF_UP) != 0;
}

export function get_net(net: net_namespace): net_namespace {
  get_ns(net);
  return net;
}
