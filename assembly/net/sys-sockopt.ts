// setsockopt and getsockopt: options of level SOL_SOCKET, and the few of other levels that change
// what the kernel does. Of those that it does not know the host may have a word.
import { cred_ns_capable } from "../cred/cred.ts";
import { groups_at } from "../cred/groups.ts";
import { nil, RET_NEED } from "../lib/err.ts";
import * as FD from "../fs/file.ts";
import { frame } from "../lib/frame.ts";
import { netlink_option } from "./netlink.ts";
import { dev_by_name } from "./net-namespace.ts";
import { pid_nr_ns, task_active_pid_ns } from "../process/pid.ts";
import { SCRATCH_IOV, SCRATCH_USER } from "../lib/root.ts";
import { sock_error, sockfd_lookup } from "./sock-addr.ts";
import * as S from "./sock.ts";
import { sock } from "./sock.ts";
import { call_file } from "../fs/sys-rw.ts";
import { task_struct } from "../process/task.ts";
import { copy_from_user, copy_to_user, prepare_write } from "../lib/uaccess.ts";
import { CAP_NET_ADMIN, CAP_NET_RAW } from "../uapi/capability.ts";
import * as E from "../uapi/errno.ts";
import * as F from "../uapi/frame.ts";
import * as N from "../uapi/net.ts";
import { SOL_NETLINK } from "../uapi/netlink.ts";
import * as K from "../uapi/socket.ts";
import { from_kgid_munged, from_kuid_munged } from "../namespace/user-namespace.ts";
import { init_user_ns, user_namespace } from "../namespace/user-namespace.ts";

/** The flag of a socket that an option of level SOL_SOCKET switches; 0: none. */
function flag_of(option: i32): u32 {
  switch (option) {
    case K.SO_REUSEADDR:
      return S.SOCK_REUSEADDR;
    case K.SO_REUSEPORT:
      return S.SOCK_REUSEPORT;
    case K.SO_KEEPALIVE:
      return S.SOCK_KEEPALIVE;
    case K.SO_BROADCAST:
      return S.SOCK_BROADCAST;
    case K.SO_OOBINLINE:
      return S.SOCK_OOBINLINE;
    default:
      return 0;
  }
}

function set_flag(s: sock, flag: u32, on: bool): i32 {
  if (on) s.options |= flag;
  else s.options &= ~flag;
  return 0;
}

/** Linux doubles what is asked for, for its own bookkeeping; `force`: beyond the limit. */
function buffer_size(p: task_struct, value: i32, force: bool, least: i32): i32 {
  if (force) {
    if (!cred_ns_capable(p.cred, init_user_ns(), CAP_NET_ADMIN)) return -E.EPERM;
    const most = i32.MAX_VALUE >> 1;
    return max(min(max(value, 0), most) << 1, least);
  }
  // a negative size is a very large one
  const asked = min<u32>(<u32>value, K.SK_MEM_DEFAULT);
  return max(<i32>(asked << 1), least);
}
const SNDBUF_MIN: i32 = 4608;
const RCVBUF_MIN: i32 = 2304;

/** SO_RCVTIMEO, SO_SNDTIMEO: a struct timeval. Return: 0, -EINVAL, -EDOM, -EFAULT, RET_NEED. */
function set_timeout(f: frame, s: sock, option: i32, wide: bool): i32 {
  const bytes: u32 = wide ? 16 : 8;
  if (<u32>f.r8 < bytes) return -E.EINVAL;
  const bad = copy_from_user(f, SCRATCH_USER, f.r10, bytes);
  if (bad) return bad;
  const sec = wide ? load<i64>(SCRATCH_USER) : <i64>load<i32>(SCRATCH_USER);
  const usec = wide ? load<i64>(SCRATCH_USER, 8) : <i64>load<i32>(SCRATCH_USER, 4);
  if (usec < 0 || usec >= 1000000) return -E.EDOM;
  let ns: u64 = 0;
  // less than nothing is as good as at once
  if (sec < 0) ns = 1;
  else if (sec < 9000000000) ns = <u64>sec * 1000000000 + <u64>usec * 1000;
  if (f.assist & F.ASSIST_PEEK) return 0;
  if (option == K.SO_RCVTIMEO || option == K.SO_RCVTIMEO_NEW) s.rcvtimeo = ns;
  else s.sndtimeo = ns;
  return 0;
}

/** SO_BINDTODEVICE: the name of an interface, or nothing. */
function bind_to_device(p: task_struct, f: frame, s: sock): i32 {
  const owner = changetype<user_namespace>(<usize>s.net.user_ns);
  const may = cred_ns_capable(p.cred, owner, CAP_NET_RAW);
  if (s.ifindex && !may) return -E.EPERM;
  const len = min<u32>(<u32>f.r8, N.IFNAMSIZ - 1);
  memory.fill(SCRATCH_USER, 0, N.IFNAMSIZ);
  const bad = len ? copy_from_user(f, SCRATCH_USER, f.r10, len) : 0;
  if (bad) return bad;
  let n: u32 = 0;
  while (n < len && load<u8>(SCRATCH_USER + n)) ++n;
  memory.fill(SCRATCH_USER + n, 0, N.IFNAMSIZ - n);
  if (!n) {
    s.ifindex = 0;
    return 0;
  }
  const dev = dev_by_name(s.net, load<u64>(SCRATCH_USER), load<u64>(SCRATCH_USER, 8));
  if (nil(dev)) return -E.ENODEV;
  s.ifindex = dev.ifindex;
  return 0;
}

function is_timeout(option: i32): bool {
  if (option == K.SO_RCVTIMEO || option == K.SO_SNDTIMEO) return true;
  return option == K.SO_RCVTIMEO_NEW || option == K.SO_SNDTIMEO_NEW;
}

function set_socket_option(p: task_struct, f: frame, s: sock, compat: bool): i32 {
  const option = <i32>f.a2;
  if (option == K.SO_BINDTODEVICE) return bind_to_device(p, f, s);
  if (<i32>f.r8 < 4) return -E.EINVAL;
  const bad = copy_from_user(f, SCRATCH_USER, f.r10, 4);
  if (bad) return bad;
  if (is_timeout(option)) return set_timeout(f, s, option, !compat || option >= K.SO_RCVTIMEO_NEW);
  const value = load<i32>(SCRATCH_USER);
  const flag = flag_of(option);
  if (flag) return set_flag(s, flag, value != 0);
  switch (option) {
    case K.SO_PASSCRED:
      if (s.family != K.AF_UNIX && s.family != K.AF_NETLINK) return -E.EOPNOTSUPP;
      s.passcred = value ? 1 : 0;
      return 0;
    case K.SO_TYPE:
    case K.SO_PROTOCOL:
    case K.SO_DOMAIN:
    case K.SO_ERROR:
    case K.SO_ACCEPTCONN:
    case K.SO_PEERCRED:
    case K.SO_PEERGROUPS:
      return -E.ENOPROTOOPT;
    case K.SO_SNDBUF:
    case K.SO_SNDBUFFORCE: {
      const size = buffer_size(p, value, option == K.SO_SNDBUFFORCE, SNDBUF_MIN);
      if (size < 0) return size;
      s.sndbuf = <u32>size;
      return 0;
    }
    case K.SO_RCVBUF:
    case K.SO_RCVBUFFORCE: {
      const size = buffer_size(p, value, option == K.SO_RCVBUFFORCE, RCVBUF_MIN);
      if (size < 0) return size;
      s.rcvbuf = <u32>size;
      return 0;
    }
    case K.SO_LINGER: {
      if (<i32>f.r8 < 8) return -E.EINVAL;
      const short = copy_from_user(f, SCRATCH_USER, f.r10, 8);
      if (short) return short;
      s.linger = load<i32>(SCRATCH_USER, 4);
      return set_flag(s, S.SOCK_LINGER, load<i32>(SCRATCH_USER) != 0);
    }
    case K.SO_PRIORITY:
      s.priority = value;
      return 0;
    default:
      return FD.world_result(f, -E.ENOPROTOOPT);
  }
}

/** setsockopt(2): fd, level, option, value, its length. */
export function sys_setsockopt(p: task_struct, f: frame, fd: i32, compat: bool): i32 {
  const at = call_file(p, f, fd);
  const kind = sockfd_lookup(at);
  if (kind < 0) return kind;
  if (!kind) return FD.world_result(f, 0);
  if (<i32>f.r8 < 0) return -E.EINVAL;
  const s = at.sock;
  const level = <i32>f.a1;
  if (level == K.SOL_SOCKET) return set_socket_option(p, f, s, compat);
  if (!S.is_inet(s) && s.family != K.AF_NETLINK) return FD.world_result(f, -E.EOPNOTSUPP);
  if (s.opaque) return FD.world_result(f, 0);
  if (<i32>f.r8 < 4) return -E.EINVAL;
  const bad = copy_from_user(f, SCRATCH_USER, f.r10, 4);
  if (bad) return bad;
  const value = load<i32>(SCRATCH_USER);
  if (s.family == K.AF_NETLINK) {
    if (level != SOL_NETLINK) return -E.ENOPROTOOPT;
    return netlink_option(s, <i32>f.a2, value);
  }
  if (level == N.IPPROTO_IPV6 && <i32>f.a2 == N.IPV6_V6ONLY && s.family == K.AF_INET6) {
    if (s.num) return -E.EINVAL;
    return set_flag(s, S.SOCK_V6ONLY, value != 0);
  }
  if (level == N.IPPROTO_TCP && s.protocol == N.IPPROTO_TCP && <i32>f.a2 == N.TCP_NODELAY) {
    return set_flag(s, S.SOCK_NODELAY, value != 0);
  }
  // how packets are to look makes no difference here
  const known = level == N.IPPROTO_IP || level == N.IPPROTO_IPV6 || level == s.protocol;
  return FD.world_result(f, known ? 0 : -E.ENOPROTOOPT);
}

function put_timeout(ns: u64, wide: bool): u32 {
  const at = SCRATCH_USER;
  const sec = ns / 1000000000;
  const usec = (ns % 1000000000) / 1000;
  if (!wide) {
    store<u32>(at, <u32>sec);
    store<u32>(at, <u32>usec, 4);
    return 8;
  }
  store<u64>(at, sec);
  store<u64>(at, usec, 8);
  return 16;
}

function put_peercred(p: task_struct, s: sock): u32 {
  const at = SCRATCH_USER;
  const ns = p.cred.user_ns;
  store<i32>(at, nil(s.peer_pid) ? 0 : pid_nr_ns(s.peer_pid, task_active_pid_ns(p)));
  store<i32>(at, nil(s.peer_pid) ? -1 : from_kuid_munged(ns, s.peer_uid), 4);
  store<i32>(at, nil(s.peer_pid) ? -1 : from_kgid_munged(ns, s.peer_gid), 8);
  return 12;
}

function put_int(value: i32): u32 {
  store<i32>(SCRATCH_USER, value);
  return 4;
}

/** The value of an option at SCRATCH_USER. Return: its bytes; 0: not known here. */
function option_value(p: task_struct, f: frame, s: sock, option: i32, compat: bool): u32 {
  const flag = flag_of(option);
  if (flag) return put_int(s.options & flag ? 1 : 0);
  switch (option) {
    case K.SO_TYPE:
      return put_int(s.type);
    case K.SO_DOMAIN:
      return put_int(s.family);
    case K.SO_PROTOCOL:
      return put_int(s.protocol);
    case K.SO_ACCEPTCONN:
      return put_int(s.state == S.TCP_LISTEN ? 1 : 0);
    case K.SO_ERROR:
      return put_int(-sock_error(f, s));
    case K.SO_PASSCRED:
      return put_int(s.passcred);
    case K.SO_SNDBUF:
      return put_int(s.sndbuf);
    case K.SO_RCVBUF:
      return put_int(s.rcvbuf);
    case K.SO_PRIORITY:
      return put_int(s.priority);
    case K.SO_LINGER:
      put_int(s.options & S.SOCK_LINGER ? 1 : 0);
      store<i32>(SCRATCH_USER, s.linger, 4);
      return 8;
    case K.SO_RCVTIMEO:
    case K.SO_RCVTIMEO_NEW:
      return put_timeout(s.rcvtimeo, !compat || option == K.SO_RCVTIMEO_NEW);
    case K.SO_SNDTIMEO:
    case K.SO_SNDTIMEO_NEW:
      return put_timeout(s.sndtimeo, !compat || option == K.SO_SNDTIMEO_NEW);
    case K.SO_PEERCRED:
      return put_peercred(p, s);
    default:
      return 0;
  }
}

/** SO_PEERGROUPS: as many as there are, or ERANGE with their number. */
function get_peer_groups(p: task_struct, f: frame, s: sock, room: i32): i32 {
  if (nil(s.peer_pid)) return -E.ENODATA;
  const n: u32 = nil(s.groups) ? 0 : s.groups.ngroups;
  const bytes = n << 2;
  if (<u32>room >= bytes && prepare_write(f, f.r10, bytes) == RET_NEED) return RET_NEED;
  store<u32>(SCRATCH_USER, bytes);
  if (copy_to_user(f, f.r8, SCRATCH_USER, 4)) return -E.EFAULT;
  if (<u32>room < bytes) return -E.ERANGE;
  for (let i: u32 = 0; i < n; ++i) {
    const kgid = load<i32>(groups_at(s.groups) + (i << 2));
    store<i32>(SCRATCH_USER, from_kgid_munged(p.cred.user_ns, kgid));
    if (copy_to_user(f, f.r10 + <u64>(i << 2), SCRATCH_USER, 4)) return -E.EFAULT;
  }
  return 0;
}

/** The value of an option of another level. Return: as option_value(). */
function other_level(s: sock, level: i32, option: i32): u32 {
  if (level == N.IPPROTO_IPV6 && option == N.IPV6_V6ONLY && s.family == K.AF_INET6) {
    return put_int(s.options & S.SOCK_V6ONLY ? 1 : 0);
  }
  if (level == N.IPPROTO_TCP && option == N.TCP_NODELAY && s.protocol == N.IPPROTO_TCP) {
    return put_int(s.options & S.SOCK_NODELAY ? 1 : 0);
  }
  return 0;
}

/** getsockopt(2): fd, level, option, value, its length. */
export function sys_getsockopt(p: task_struct, f: frame, fd: i32, compat: bool): i32 {
  const at = call_file(p, f, fd);
  const kind = sockfd_lookup(at);
  if (kind < 0) return kind;
  if (!kind) return FD.world_result(f, 0);
  const s = at.sock;
  const level = <i32>f.a1;
  if (level != K.SOL_SOCKET && !S.is_inet(s)) return FD.world_result(f, -E.EOPNOTSUPP);
  const bad = copy_from_user(f, SCRATCH_IOV, f.r8, 4);
  if (bad) return bad;
  const room = load<i32>(SCRATCH_IOV);
  if (room < 0) return -E.EINVAL;
  const need = prepare_write(f, f.r8, 4);
  if (need) return need;
  const peers = level == K.SOL_SOCKET && <i32>f.a2 == K.SO_PEERGROUPS;
  if (peers && !s.opaque) return get_peer_groups(p, f, s, room);
  if (prepare_write(f, f.r10, min<u32>(room, 16)) == RET_NEED) return RET_NEED;
  const own = level == K.SOL_SOCKET;
  const bytes = own ? option_value(p, f, s, <i32>f.a2, compat) : other_level(s, level, <i32>f.a2);
  if (!bytes) return FD.world_result(f, -E.ENOPROTOOPT);
  const len = min<u32>(room, bytes);
  if (len && copy_to_user(f, f.r10, SCRATCH_USER, len)) return -E.EFAULT;
  store<i32>(SCRATCH_USER, len);
  return copy_to_user(f, f.r8, SCRATCH_USER, 4) ? -E.EFAULT : 0;
}
