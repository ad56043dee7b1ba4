// AF_NETLINK: names of its sockets, requests on their way to rtnetlink.ts and answers on theirs
// back. The kernel writes the answers: these messages have contents.
import { cred_ns_capable } from "../cred/cred.ts";
import { nil } from "../lib/err.ts";
import { frame } from "../lib/frame.ts";
import { list_head } from "../lib/list.ts";
import { chain_of } from "./net-namespace.ts";
import { pid_nr_ns, task_active_pid_ns } from "../process/pid.ts";
import { SCRATCH_ADDR, SCRATCH_REPLY } from "../lib/root.ts";
import { rtnetlink_rcv_msg } from "./rtnetlink.ts";
import { scm } from "./scm.ts";
import { kfree, kmalloc } from "../lib/slab.ts";
import { family_of } from "./sock-addr.ts";
import * as S from "./sock.ts";
import { sock } from "./sock.ts";
import { task_struct } from "../process/task.ts";
import { copy_from_vector } from "../lib/uio.ts";
import { CAP_NET_ADMIN } from "../uapi/capability.ts";
import * as E from "../uapi/errno.ts";
import { ASSIST_PEEK } from "../uapi/frame.ts";
import * as N from "../uapi/net.ts";
import * as L from "../uapi/netlink.ts";
import { AF_NETLINK, AF_UNSPEC } from "../uapi/socket.ts";
import { user_namespace } from "../namespace/user-namespace.ts";

/** An answer that is being written: messages in a block that becomes a message of the queue. */
@unmanaged
export class nl_reply {
  sock: sock; // who asks
  task: task_struct;
  buf: u32; // kmalloc'd, REPLY_BYTES
  len: u32; // of what is complete
  at: u32; // of what is being written
  seq: u32; // of the question
  flags: u32; // NLM_F_MULTI: part of a dump
  lost: u32; // 1: something found no room
}
/** Most bytes of one message of an answer. */
export const REPLY_BYTES: u32 = 8192;

export function reply(): nl_reply {
  return changetype<nl_reply>(SCRATCH_REPLY);
}

/** What is complete becomes a message in the queue of the socket. */
export function nl_flush(): void {
  const r = reply();
  if (!r.len) return;
  const s = r.sock;
  const len = r.len;
  r.len = 0;
  const room = s.bytes + len <= s.rcvbuf;
  const data = room ? kmalloc(len) : 0;
  const skb = data ? S.alloc_skb(s, len, 0) : changetype<S.sk_buff>(0);
  if (nil(skb)) {
    if (data) kfree(data, len);
    // as in Linux, whoever reads hears that something is missing
    s.err = E.ENOBUFS;
    r.lost = 1;
    return;
  }
  // it takes nothing of the reader's room to send
  s.wmem -= skb.truesize;
  skb.truesize = 0;
  memory.copy(data, r.buf, len);
  skb.data = <u32>data;
  S.queue_skb(s, skb);
}

/** Begins a message of `type` with a body of `bytes` bytes. Return: where the body lies. */
export function nl_begin(type: u32, bytes: u32): usize {
  const r = reply();
  if (r.len + 1024 > REPLY_BYTES) nl_flush();
  const at = r.buf + r.len;
  r.at = r.len + L.NLMSG_HDRLEN + bytes;
  store<u16>(at, <u16>type, 4);
  store<u16>(at, <u16>r.flags, 6);
  store<u32>(at, r.seq, 8);
  store<u32>(at, r.sock.num, 12);
  memory.fill(at + L.NLMSG_HDRLEN, 0, bytes);
  return at + L.NLMSG_HDRLEN;
}

export function nl_end(): void {
  const r = reply();
  store<u32>(r.buf + r.len, r.at - r.len);
  r.len = (r.at + 3) & ~3;
}

/** Room for an attribute of `bytes` bytes. Return: where its value lies. */
export function nla_reserve(type: u32, bytes: u32): usize {
  const r = reply();
  const at = r.buf + r.at;
  store<u16>(at, <u16>(4 + bytes));
  store<u16>(at, <u16>type, 2);
  const padded = (bytes + 3) & ~3;
  memory.fill(at + 4, 0, padded);
  r.at += 4 + padded;
  return at + 4;
}

export function nla_put(type: u32, from: usize, bytes: u32): void {
  memory.copy(nla_reserve(type, bytes), from, bytes);
}

export function nla_put_u32(type: u32, value: u32): void {
  store<u32>(nla_reserve(type, 4), value);
}

export function nla_put_u8(type: u32, value: u8): void {
  store<u8>(nla_reserve(type, 1), value);
}

/** NLMSG_ERROR about the request at `nlh`: an acknowledgement is the error 0. */
function netlink_ack(nlh: usize, error: i32): void {
  const r = reply();
  const whole = load<u32>(nlh);
  const more = error ? min<u32>(whole - L.NLMSG_HDRLEN, REPLY_BYTES - 2048) : 0;
  nl_flush();
  r.flags = error ? 0 : L.NLM_F_CAPPED;
  const body = nl_begin(L.NLMSG_ERROR, 4 + L.NLMSG_HDRLEN + more);
  store<i32>(body, error);
  memory.copy(body + 4, nlh, L.NLMSG_HDRLEN + more);
  nl_end();
  nl_flush();
}

/** The requests in `len` bytes at `data`, one after the other. */
function netlink_rcv(data: usize, len: u32): void {
  const r = reply();
  let at = data;
  let left = len;
  while (left >= <u32>L.NLMSG_HDRLEN) {
    const bytes = load<u32>(at);
    if (bytes < <u32>L.NLMSG_HDRLEN || bytes > left) return;
    const flags = <u32>load<u16>(at, 6);
    const type = <u32>load<u16>(at, 4);
    r.seq = load<u32>(at, 8);
    r.flags = 0;
    let error = 0;
    if (flags & L.NLM_F_REQUEST && type >= <u32>L.NLMSG_MIN_TYPE) {
      error = rtnetlink_rcv_msg(at, bytes, type, flags);
      nl_flush();
    }
    // a dump ends by itself
    const dumped = (r.flags & L.NLM_F_MULTI) != 0;
    if (error || (flags & L.NLM_F_ACK && !dumped)) netlink_ack(at, error);
    const step = min((bytes + 3) & ~3, left);
    at += step;
    left -= step;
  }
}

/** Does a socket of the namespace have this number? */
function portid_taken(s: sock, portid: u32): bool {
  const chain = chain_of(s.net, portid);
  for (let at = chain.next; at !== chain; at = at.next) {
    const other = sock.from_hash(at);
    if (other.family == AF_NETLINK && other.num == portid) return true;
  }
  return false;
}

function set_portid(s: sock, portid: u32): void {
  s.num = portid;
  list_head.add_tail(s.hash, chain_of(s.net, portid));
}

/** The number of the caller's process, or one below zero that is free. */
function netlink_autobind(p: task_struct, s: sock): void {
  let portid = pid_nr_ns(p.signal.tgid_pid, task_active_pid_ns(p));
  while (portid_taken(s, <u32>portid)) {
    s.net.portid -= 1;
    portid = s.net.portid - 4096;
  }
  set_portid(s, <u32>portid);
}

/** bind(2): struct sockaddr_nl of `len` bytes at SCRATCH_ADDR. */
export function netlink_bind(p: task_struct, s: sock, len: i32, peek: bool): i32 {
  if (len < N.SOCKADDR_NL_BYTES || family_of(len) != AF_NETLINK) return -E.EINVAL;
  const portid = load<u32>(SCRATCH_ADDR, 4);
  const groups = load<u32>(SCRATCH_ADDR, 8);
  if (s.num && portid != s.num) return -E.EINVAL;
  if (!s.num && portid && portid_taken(s, portid)) return -E.EADDRINUSE;
  if (peek) return 0;
  s.mcast = groups;
  if (s.num) return 0;
  if (portid) set_portid(s, portid);
  else netlink_autobind(p, s);
  return 0;
}

/** May a socket speak to others than the kernel? */
function may_unicast(p: task_struct, s: sock): bool {
  const owner = changetype<user_namespace>(<usize>s.net.user_ns);
  return cred_ns_capable(p.cred, owner, CAP_NET_ADMIN);
}

/** connect(2): the other end is the kernel, or whoever has a number. */
export function netlink_connect(p: task_struct, s: sock, len: i32, peek: bool): i32 {
  if (len < 2) return -E.EINVAL;
  if (family_of(len) == AF_UNSPEC) {
    if (!peek) s.dport = 0;
    return 0;
  }
  if (family_of(len) != AF_NETLINK || len < N.SOCKADDR_NL_BYTES) return -E.EINVAL;
  const to = load<u32>(SCRATCH_ADDR, 4);
  if ((to || load<u32>(SCRATCH_ADDR, 8)) && !may_unicast(p, s)) return -E.EPERM;
  if (peek) return 0;
  if (!s.num) netlink_autobind(p, s);
  s.dport = to;
  return 0;
}

/** Where a message goes: 0: the kernel; else errno. */
function netlink_target(p: task_struct, s: sock): i32 {
  const len = scm().namelen;
  let portid = s.dport;
  if (len) {
    if (len < N.SOCKADDR_NL_BYTES || family_of(len) != AF_NETLINK) return -E.EINVAL;
    portid = load<u32>(SCRATCH_ADDR, 4);
    if ((portid || load<u32>(SCRATCH_ADDR, 8)) && !may_unicast(p, s)) return -E.EPERM;
  }
  // users of this protocol have nothing to say to each other
  return portid ? -E.ECONNREFUSED : 0;
}

/** Sends `total` bytes of the vector's `nr` buffers to the kernel, which answers at once. */
export function netlink_send(p: task_struct, f: frame, s: sock, total: u32, nr: u32): i32 {
  const bad = netlink_target(p, s);
  if (bad) return bad;
  if (total > s.sndbuf - 32) return -E.EMSGSIZE;
  if (f.assist & ASSIST_PEEK) return <i32>total;
  const data = kmalloc(max<u32>(total, 16));
  if (!data) return -E.ENOMEM;
  const missing = total ? copy_from_vector(f, nr, data, total) : 0;
  const buf = missing ? 0 : kmalloc(REPLY_BYTES);
  if (!missing && !buf) {
    kfree(data, max<u32>(total, 16));
    return -E.ENOMEM;
  }
  if (!missing) {
    if (!s.num) netlink_autobind(p, s);
    const r = reply();
    r.sock = s;
    r.task = p;
    r.buf = <u32>buf;
    r.len = r.at = r.lost = 0;
    netlink_rcv(data, total);
    kfree(buf, REPLY_BYTES);
  }
  kfree(data, max<u32>(total, 16));
  return missing ? missing : <i32>total;
}

/** setsockopt(2) of level SOL_NETLINK. */
export function netlink_option(s: sock, option: i32, value: i32): i32 {
  switch (option) {
    case L.NETLINK_ADD_MEMBERSHIP:
    case L.NETLINK_DROP_MEMBERSHIP:
      if (value < 1 || value > 64) return -E.EINVAL;
      if (value > 32) return 0;
      if (option == L.NETLINK_ADD_MEMBERSHIP) s.mcast |= 1 << (value - 1);
      else s.mcast &= ~(1 << (value - 1));
      return 0;
    case L.NETLINK_PKTINFO:
    case L.NETLINK_EXT_ACK:
    case L.NETLINK_GET_STRICT_CHK:
      return 0;
    default:
      return -E.ENOPROTOOPT;
  }
}
