// Names of sockets on their way in and out, and which socket a descriptor is.
import { nil, RET_BLOCKED, RET_NEED } from "../lib/err.ts";
import * as FD from "../fs/file.ts";
import { file } from "../fs/file.ts";
import { frame } from "../lib/frame.ts";
import { is_any, is_mapped, put_inet } from "./inet.ts";
import { root, SCRATCH_ADDR, SCRATCH_NAME, SCRATCH_USER } from "../lib/root.ts";
import { sk_buff, sock, unix_address } from "./sock.ts";
import { signal_pending, wait_on_file } from "../process/waitqueue.ts";
import { task_struct } from "../process/task.ts";
import { copy_from_user, copy_to_user, prepare_write } from "../lib/uaccess.ts";
import * as E from "../uapi/errno.ts";
import * as O from "../uapi/fcntl.ts";
import * as F from "../uapi/frame.ts";
import { MAX_ERRNO } from "../uapi/limits.ts";
import * as N from "../uapi/net.ts";
import * as K from "../uapi/socket.ts";
import { V4_PREFIX } from "./net-namespace.ts";

/** The socket behind a descriptor is the kernel's: 1; the world's: 0; -EBADF, -ENOTSOCK. */
export function sockfd_lookup(at: file): i32 {
  if (nil(at)) return -E.EBADF;
  if (at.kind == FD.FILE_SOCKET) return 1;
  return at.kind == FD.FILE_WORLD ? 0 : -E.ENOTSOCK;
}

/** The pending error of a socket, told once: a negative errno or 0. */
export function sock_error(f: frame, s: sock): i32 {
  const error = s.err;
  if (!(f.assist & F.ASSIST_PEEK)) s.err = 0;
  return -error;
}

export function nonblock(at: file, flags: u32): bool {
  return ((at.flags & O.O_NONBLOCK) | (flags & K.MSG_DONTWAIT)) != 0;
}

/**
 * The world has let something happen that the kernel has no reason for: what `s` is connected to
 * lies outside, and from now on the socket is the world's.
 */
export function or_worlds(f: frame, s: sock, r: i32): i32 {
  const errno = r < 0 && r >= -MAX_ERRNO;
  if (!errno || !(f.assist & F.ASSIST_RET) || f.assist & F.ASSIST_PEEK) return r;
  s.opaque = 1;
  return f.assist_val;
}

/** A name that the caller gives, to SCRATCH_ADDR. Return: 0, -EINVAL, -EFAULT, RET_NEED. */
export function move_addr_to_kernel(f: frame, addr: u64, len: i32): i32 {
  if (len < 0 || len > K.SOCKADDR_STORAGE_BYTES) return -E.EINVAL;
  memory.fill(SCRATCH_ADDR, 0, K.SOCKADDR_STORAGE_BYTES + 4);
  return len ? copy_from_user(f, SCRATCH_ADDR, addr, <u32>len) : 0;
}

/** Family of the name at SCRATCH_ADDR. */
export function family_of(len: i32): u32 {
  return len >= 2 ? load<u16>(SCRATCH_ADDR) : 0;
}

/** A unix name as others see it, at SCRATCH_NAME. Return: its bytes. */
function put_unix(a: unix_address): u32 {
  store<u16>(SCRATCH_NAME, K.AF_UNIX);
  if (nil(a)) return 2;
  memory.copy(SCRATCH_NAME + 2, a.at, a.len);
  if (!load<u8>(a.at)) return 2 + a.len;
  store<u8>(SCRATCH_NAME + 2 + a.len, 0);
  return 3 + a.len;
}

function put_netlink(portid: u32, groups: u32): u32 {
  memory.fill(SCRATCH_NAME, 0, N.SOCKADDR_NL_BYTES);
  store<u16>(SCRATCH_NAME, K.AF_NETLINK);
  store<u32>(SCRATCH_NAME, portid, 4);
  store<u32>(SCRATCH_NAME, groups, 8);
  return N.SOCKADDR_NL_BYTES;
}

/** An address as a socket of `family` shows it: a wildcard is the family's own. */
function put_inet_of(s: sock, addr0: u64, addr1: u64, port: u32): u32 {
  const any = is_any(addr0, addr1) && !is_mapped(addr0, addr1);
  const mapped = s.family == K.AF_INET && any ? V4_PREFIX : addr1;
  return put_inet(SCRATCH_NAME, s.family, addr0, mapped, port);
}

/** The name of `s`, or of its peer, at SCRATCH_NAME. Return: its bytes, -ENOTCONN. */
export function sock_name(s: sock, peer: bool): i32 {
  switch (s.family) {
    case K.AF_UNIX:
      if (peer && nil(s.peer)) return -E.ENOTCONN;
      return <i32>put_unix(peer ? s.peer.addr : s.addr);
    case K.AF_NETLINK:
      return <i32>(peer ? put_netlink(s.dport, 0) : put_netlink(s.num, s.mcast));
    case K.AF_INET:
    case K.AF_INET6:
      if (peer && !s.dport) return -E.ENOTCONN;
      if (peer) return <i32>put_inet_of(s, s.daddr0, s.daddr1, s.dport);
      return <i32>put_inet_of(s, s.saddr0, s.saddr1, s.num);
    default:
      return peer ? -E.EOPNOTSUPP : <i32>put_packet(s);
  }
}

/** struct sockaddr_ll, with the protocol and interface of a packet socket. */
function put_packet(s: sock): u32 {
  memory.fill(SCRATCH_NAME, 0, 20);
  store<u16>(SCRATCH_NAME, <u16>s.family);
  store<u16>(SCRATCH_NAME, <u16>s.protocol, 2);
  store<u32>(SCRATCH_NAME, s.ifindex, 4);
  return 18;
}

/** The name of whoever sent a message to `s`, at SCRATCH_NAME. Return: its bytes, 0: none. */
export function sender_name(s: sock, skb: sk_buff): u32 {
  switch (s.family) {
    case K.AF_UNIX:
      return nil(skb.sender.addr) ? 0 : put_unix(skb.sender.addr);
    case K.AF_NETLINK:
      return put_netlink(0, 0);
    case K.AF_INET:
    case K.AF_INET6:
      return s.type == K.SOCK_STREAM ? 0 : put_inet_of(s, skb.src0, skb.src1, skb.port);
    default:
      return 0;
  }
}

/** Guest memory for a name at `addr`, whose room is the int at `lenp`. 0 or RET_NEED. */
export function prepare_name(f: frame, addr: u64, lenp: u64): i32 {
  if (!addr || !lenp) return 0;
  const bad = copy_from_user(f, SCRATCH_USER, lenp, 4);
  // a bad address is found when the name is written
  if (bad) return bad == RET_NEED ? bad : 0;
  const need = prepare_write(f, lenp, 4);
  if (need) return need;
  const room = load<i32>(SCRATCH_USER);
  if (room <= 0) return 0;
  return prepare_write(f, addr, min<u32>(room, K.SOCKADDR_STORAGE_BYTES));
}

/** The name of `len` bytes at SCRATCH_NAME goes out to `addr`. Return: 0, -EFAULT, -EINVAL. */
export function move_addr_to_user(f: frame, len: u32, addr: u64, lenp: u64): i32 {
  if (copy_from_user(f, SCRATCH_USER, lenp, 4)) return -E.EFAULT;
  const room = load<i32>(SCRATCH_USER);
  if (room < 0) return -E.EINVAL;
  const part = min<u32>(room, len);
  if (part && copy_to_user(f, addr, SCRATCH_NAME, part)) return -E.EFAULT;
  store<u32>(SCRATCH_USER, len);
  return copy_to_user(f, lenp, SCRATCH_USER, 4) ? -E.EFAULT : 0;
}

/**
 * Sleeps until something changes at `s`, `timeout` ns at most (0: for ever). Return: RET_BLOCKED,
 * RET_SLEEPS, -EAGAIN: the time is over, -ERESTARTSYS, -EINTR, -ENOMEM.
 */
export function wait_on_sock(p: task_struct, f: frame, at: file, timeout: u64): i32 {
  // the shortest time is none at all
  if ((f.phase && f.expired) || timeout == 1) return -E.EAGAIN;
  if (signal_pending(p)) return timeout ? -E.EINTR : -E.ERESTARTSYS;
  const begins = f.phase == 0;
  const r = wait_on_file(p, f, at.sock.wait, at);
  if (r == RET_BLOCKED && begins) {
    f.deadline = timeout ? root().clock + timeout : 0;
    f.expired = 0;
  }
  return r;
}
