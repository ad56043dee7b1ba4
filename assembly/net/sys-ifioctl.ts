// ioctl(2) of sockets about interfaces (struct ifreq), as if_nametoindex and ifconfig use it.
import { cred_ns_capable } from "../cred/cred.ts";
import { nil } from "../lib/err.ts";
import { frame } from "../lib/frame.ts";
import { put_inet } from "./inet.ts";
import * as D from "./net-namespace.ts";
import { in_ifaddr, net_device, net_namespace } from "./net-namespace.ts";
import { SCRATCH_USER } from "../lib/root.ts";
import { rename_device, set_flags } from "./rtnetlink.ts";
import { sock } from "./sock.ts";
import { task_struct } from "../process/task.ts";
import { copy_from_user, copy_to_user, prepare_write } from "../lib/uaccess.ts";
import { CAP_NET_ADMIN } from "../uapi/capability.ts";
import * as E from "../uapi/errno.ts";
import * as N from "../uapi/net.ts";
import { AF_INET } from "../uapi/socket.ts";
import { user_namespace } from "../namespace/user-namespace.ts";

/** What a request is not about; less than every errno. */
export const NO_IFIOCTL: i32 = -0x20000;
/** Where the union of a struct ifreq begins. */
const VALUE: usize = SCRATCH_USER + 16;

function ifreq_bytes(compat: bool): u32 {
  return compat ? 32 : 40;
}

function may_admin(p: task_struct, net: net_namespace): bool {
  const owner = changetype<user_namespace>(<usize>net.user_ns);
  return cred_ns_capable(p.cred, owner, CAP_NET_ADMIN);
}

/** The first address of IPv4, or null. */
function first_ipv4(dev: net_device): in_ifaddr {
  let a = dev.addrs;
  while (!nil(a) && a.family != AF_INET) a = a.next;
  return a;
}

function put_ipv4(be: u32): i32 {
  put_inet(VALUE, AF_INET, 0, D.v4_mapped(be), 0);
  return 0;
}

/** An address of `dev`, its mask or its broadcast address. Return: 0, -EADDRNOTAVAIL. */
function get_address(dev: net_device, cmd: u32): i32 {
  const a = first_ipv4(dev);
  if (nil(a)) return -E.EADDRNOTAVAIL;
  if (cmd == N.SIOCGIFADDR) return put_ipv4(<u32>(a.addr1 >> 32));
  if (cmd == N.SIOCGIFBRDADDR) return put_ipv4(a.brd);
  return put_ipv4(a.prefixlen ? bswap<u32>(u32.MAX_VALUE << (32 - a.prefixlen)) : 0);
}

/** A question about `dev`, answered at VALUE. Return: 0, errno, NO_IFIOCTL. */
function ask_device(s: sock, dev: net_device, cmd: u32): i32 {
  switch (cmd) {
    case N.SIOCGIFINDEX:
      store<i32>(VALUE, dev.ifindex);
      return 0;
    case N.SIOCGIFFLAGS:
      store<u16>(VALUE, <u16>dev.flags);
      return 0;
    case N.SIOCGIFMTU:
      store<u32>(VALUE, dev.mtu);
      return 0;
    case N.SIOCGIFTXQLEN:
      store<u32>(VALUE, dev.txqlen);
      return 0;
    case N.SIOCGIFHWADDR:
      store<u64>(VALUE, (<u64>dev.type) | (dev.mac << 16));
      return 0;
    case N.SIOCGIFADDR:
    case N.SIOCGIFBRDADDR:
    case N.SIOCGIFNETMASK:
      return s.family == AF_INET ? get_address(dev, cmd) : NO_IFIOCTL;
    default:
      return NO_IFIOCTL;
  }
}

/** A change of `dev`. Return: 0, errno, NO_IFIOCTL. */
function tell_device(net: net_namespace, dev: net_device, cmd: u32): i32 {
  switch (cmd) {
    case N.SIOCSIFFLAGS:
      return set_flags(net, dev, (<u32>load<u16>(VALUE)) | (dev.flags & ~(<u32>0xffff)));
    case N.SIOCSIFMTU:
      if (load<i32>(VALUE) < 0) return -E.EINVAL;
      dev.mtu = load<u32>(VALUE);
      return 0;
    case N.SIOCSIFNAME:
      store<u8>(VALUE, 0, 15);
      end_name(VALUE);
      if (!load<u8>(VALUE)) return -E.EINVAL;
      return rename_device(net, dev, load<u64>(VALUE), load<u64>(VALUE, 8));
    default:
      return NO_IFIOCTL;
  }
}

/** Zeros behind the end of a name: names are compared whole. */
function end_name(at: usize): void {
  let n: u32 = 0;
  while (n < 15 && load<u8>(at + n)) ++n;
  memory.fill(at + n, 0, N.IFNAMSIZ - n);
}

function is_ifioctl(cmd: u32): bool {
  switch (cmd) {
    case N.SIOCGIFNAME:
    case N.SIOCGIFFLAGS:
    case N.SIOCSIFFLAGS:
    case N.SIOCGIFADDR:
    case N.SIOCGIFBRDADDR:
    case N.SIOCGIFNETMASK:
    case N.SIOCGIFMTU:
    case N.SIOCSIFMTU:
    case N.SIOCSIFNAME:
    case N.SIOCGIFHWADDR:
    case N.SIOCGIFINDEX:
    case N.SIOCGIFTXQLEN:
      return true;
    default:
      return false;
  }
}

function changes(cmd: u32): bool {
  return cmd == N.SIOCSIFFLAGS || cmd == N.SIOCSIFMTU || cmd == N.SIOCSIFNAME;
}

/** ioctl(2) of socket `s` with the argument at `addr`. Return: 0, errno, NO_IFIOCTL. */
export function sock_ioctl(p: task_struct, f: frame, s: sock, cmd: u32, compat: bool): i32 {
  const unready = D.net_devices(s.net);
  if (cmd == N.SIOCGIFCONF) return unready ? unready : get_config(f, s.net, compat);
  if (!is_ifioctl(cmd)) return NO_IFIOCTL;
  if (unready) return unready;
  const bytes = ifreq_bytes(compat);
  const bad = copy_from_user(f, SCRATCH_USER, f.a2, bytes);
  if (bad) return bad;
  const need = changes(cmd) ? 0 : prepare_write(f, f.a2, bytes);
  if (need) return need;
  if (changes(cmd) && !may_admin(p, s.net)) return -E.EPERM;
  let dev: net_device;
  if (cmd == N.SIOCGIFNAME) {
    dev = D.dev_by_index(s.net, load<i32>(VALUE));
  } else {
    end_name(SCRATCH_USER);
    dev = D.dev_by_name(s.net, load<u64>(SCRATCH_USER), load<u64>(SCRATCH_USER, 8));
  }
  if (nil(dev)) return -E.ENODEV;
  if (changes(cmd)) return tell_device(s.net, dev, cmd);
  if (cmd == N.SIOCGIFNAME) memory.copy(SCRATCH_USER, dev.name, N.IFNAMSIZ);
  const r = cmd == N.SIOCGIFNAME ? 0 : ask_device(s, dev, cmd);
  if (r) return r;
  return copy_to_user(f, f.a2, SCRATCH_USER, bytes) ? -E.EFAULT : 0;
}

/** SIOCGIFCONF: every interface with an address of IPv4, as many as there is room for. */
function get_config(f: frame, net: net_namespace, compat: bool): i32 {
  const bad = copy_from_user(f, SCRATCH_USER, f.a2, compat ? 8 : 16);
  if (bad) return bad;
  const room = load<i32>(SCRATCH_USER);
  const to = compat ? <u64>load<u32>(SCRATCH_USER, 4) : load<u64>(SCRATCH_USER, 8);
  const each = ifreq_bytes(compat);
  const need = prepare_write(f, f.a2, 4) | prepare_write(f, to, <u32>max(min(room, 4096), 0));
  if (need) return need;
  let done: u32 = 0;
  for (let dev = net.devs; !nil(dev); dev = dev.next) {
    for (let a = dev.addrs; !nil(a); a = a.next) {
      if (a.family != AF_INET) continue;
      if (to && <i32>(done + each) > room) break;
      memory.fill(SCRATCH_USER, 0, each);
      memory.copy(SCRATCH_USER, dev.name, N.IFNAMSIZ);
      put_ipv4(<u32>(a.addr1 >> 32));
      if (to && copy_to_user(f, to + done, SCRATCH_USER, each)) return -E.EFAULT;
      done += each;
    }
  }
  store<u32>(SCRATCH_USER, done);
  return copy_to_user(f, f.a2, SCRATCH_USER, 4) ? -E.EFAULT : 0;
}
