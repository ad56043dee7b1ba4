// The calls that send and receive: read, write, sendto, recvfrom, sendmsg, recvmsg and their forms
// for several messages.
import { RET_BLOCKED, RET_NEED, RET_SLEEPS } from "../lib/err.ts";
import * as FD from "../fs/file.ts";
import { file } from "../fs/file.ts";
import { frame } from "../lib/frame.ts";
import { root, SCRATCH_USER } from "../lib/root.ts";
import * as M from "./scm.ts";
import * as A from "./sock-addr.ts";
import { sockfd_lookup } from "./sock-addr.ts";
import { sock } from "./sock.ts";
import { call_file, end_wait } from "../fs/sys-rw.ts";
import { drop_carrier, sock_recv, sock_send } from "./sys-sockio.ts";
import { task_struct } from "../process/task.ts";
import { copy_from_user, copy_to_user, prepare_write } from "../lib/uaccess.ts";
import { import_ubuf } from "../lib/uio.ts";
import * as E from "../uapi/errno.ts";
import * as F from "../uapi/frame.ts";
import * as K from "../uapi/socket.ts";
import { remove_waiters } from "../process/waitqueue.ts";

const NSEC: u64 = 1_000_000_000;

/** write(2) on a socket: no flags, nothing travels along. */
export function socket_write(p: task_struct, f: frame, at: file, total: u32, nr: u32): i32 {
  M.scm_init();
  return sock_send(p, f, at, total, nr, 0);
}

/** read(2) on a socket: what comes along is dropped. */
export function socket_read(p: task_struct, f: frame, at: file, total: u32, nr: u32): i32 {
  if (!total) return 0;
  M.scm_init();
  const r = sock_recv(p, f, at, total, nr, 0);
  if (!(f.assist & F.ASSIST_PEEK)) drop_carrier(at.sock, 0);
  return r;
}

/** sendto(2): fd, buffer, bytes, flags, name, its length. */
export function sys_sendto(p: task_struct, f: frame, fd: i32): i32 {
  const at = call_file(p, f, fd);
  const kind = sockfd_lookup(at);
  if (kind < 0) return kind;
  if (!kind) return FD.world_result(f, <i32>f.a2);
  const m = M.scm_init();
  if (f.r8) {
    m.namelen = <i32>f.r9;
    const bad = A.move_addr_to_kernel(f, f.r8, m.namelen);
    if (bad) return end_wait(p, bad);
  }
  const total = import_ubuf(f.a1, f.a2);
  const r = sock_send(p, f, at, total, 1, <u32>f.r10);
  return end_wait(p, A.or_worlds(f, at.sock, r));
}

/** recvfrom(2): fd, buffer, bytes, flags, room for the sender's name, its length. */
export function sys_recvfrom(p: task_struct, f: frame, fd: i32): i32 {
  const at = call_file(p, f, fd);
  const kind = sockfd_lookup(at);
  if (kind < 0) return kind;
  if (!kind) return FD.world_result(f, 0);
  const need = A.prepare_name(f, f.r8, f.r9);
  if (need) return need;
  const m = M.scm_init();
  const r = sock_recv(p, f, at, import_ubuf(f.a1, f.a2), 1, <u32>f.r10);
  if (f.assist & F.ASSIST_PEEK || r == RET_NEED) return r;
  drop_carrier(at.sock, <u32>f.r10);
  if (r >= 0 && f.r8) {
    const bad = A.move_addr_to_user(f, m.from_len, f.r8, f.r9);
    if (bad) return end_wait(p, bad);
  }
  return end_wait(p, r);
}

/** Do control messages mean something to this socket? */
function has_control(s: sock): bool {
  return s.family == K.AF_UNIX || s.family == K.AF_NETLINK;
}

/** Sends the message whose header is at `addr`. */
function send_message(
  p: task_struct,
  f: frame,
  at: file,
  addr: u64,
  flags: u32,
  compat: bool,
): i32 {
  const bad = M.import_msghdr(f, addr, compat);
  if (bad) return bad;
  const m = M.scm();
  if (m.namelen) {
    m.namelen = min(m.namelen, K.SOCKADDR_STORAGE_BYTES);
    const unnamed = A.move_addr_to_kernel(f, m.name, m.namelen);
    if (unnamed) return unnamed;
  }
  const error = has_control(at.sock) ? M.scm_send(p, f) : 0;
  if (error) return error;
  const r = sock_send(p, f, at, m.total, <u32>m.iovlen, flags);
  return A.or_worlds(f, at.sock, r);
}

/** sendmsg(2): fd, message, flags. */
export function sys_sendmsg(p: task_struct, f: frame, fd: i32, compat: bool): i32 {
  const at = call_file(p, f, fd);
  const kind = sockfd_lookup(at);
  if (kind < 0) return kind;
  if (!kind) return FD.world_result(f, 0);
  return end_wait(p, send_message(p, f, at, f.a1, <u32>f.a2, compat));
}

/** Receives into the message whose header is at `addr`. */
function recv_message(
  p: task_struct,
  f: frame,
  at: file,
  addr: u64,
  flags: u32,
  compat: bool,
): i32 {
  const bad = M.import_msghdr(f, addr, compat);
  if (bad) return bad;
  const need = M.scm_prepare(f, addr);
  if (need) return need;
  const m = M.scm();
  // descriptors need a table that may be written; what is left to fail is a lack of numbers
  if (m.control && !FD.files_for_write(p)) return -E.ENOMEM;
  m.flags = flags & K.MSG_CMSG_CLOEXEC;
  const control = m.control;
  const r = sock_recv(p, f, at, m.total, <u32>m.iovlen, flags);
  if (f.assist & F.ASSIST_PEEK || r < 0) return r;
  const s = at.sock;
  const lost = M.scm_recv(p, f, s, (flags & K.MSG_CMSG_CLOEXEC) != 0);
  drop_carrier(s, flags);
  return lost || M.put_msghdr(f, addr, control) ? -E.EFAULT : r;
}

/** recvmsg(2): fd, message, flags. */
export function sys_recvmsg(p: task_struct, f: frame, fd: i32, compat: bool): i32 {
  const at = call_file(p, f, fd);
  const kind = sockfd_lookup(at);
  if (kind < 0) return kind;
  if (!kind) return FD.world_result(f, 0);
  const r = recv_message(p, f, at, f.a1, <u32>f.a2, compat);
  return r == RET_NEED ? r : end_wait(p, r);
}

/** Bytes of struct mmsghdr, and where its msg_len is. */
function mmsg_bytes(compat: bool): u32 {
  return compat ? 32 : 64;
}
function mmsg_len_at(compat: bool): u32 {
  return compat ? 28 : 56;
}

/** One call's worth of message `i`. The place where its length goes is looked at first. */
function one_message(
  p: task_struct,
  f: frame,
  at: file,
  i: u32,
  flags: u32,
  compat: bool,
  receives: bool,
): i32 {
  const addr = f.a1 + <u64>(i * mmsg_bytes(compat));
  const len_at = addr + mmsg_len_at(compat);
  const need = prepare_write(f, len_at, 4);
  if (need) return need;
  const r = receives
    ? recv_message(p, f, at, addr, flags, compat)
    : send_message(p, f, at, addr, flags, compat);
  if (r < 0 || f.assist & F.ASSIST_PEEK) return r;
  store<i32>(SCRATCH_USER, r);
  return copy_to_user(f, len_at, SCRATCH_USER, 4) ? -E.EFAULT : r;
}

// frame.phase of a sleeping call of several messages: how many are done, how many there are
const DONE_SHIFT: u32 = 8;
const ALL_SHIFT: u32 = 19;
const NR_MASK: u32 = 0x7ff;
if (<u32>K.UIO_MAXIOV > NR_MASK) ERROR("the number of messages has no room in the phase");

/** It sleeps in the message that comes next; `end`: the moment behind its time, 0: it has any. */
function asleep(f: frame, done: u32, all: u32, end: u64): void {
  f.phase = 1 | (done << DONE_SHIFT) | (all << ALL_SHIFT);
  f.set_args(f.a0, f.a1, end);
}

/** What is left until the moment before `end` goes back to the caller, as recvmmsg(2) has it. */
function put_timeout(f: frame, end: u64, compat: bool): i32 {
  const left = end > root().clock + 1 ? end - 1 - root().clock : 0;
  const at = SCRATCH_USER;
  if (compat) {
    store<u32>(at, <u32>(left / NSEC));
    store<u32>(at, <u32>(left % NSEC), 4);
  } else {
    store<u64>(at, left / NSEC);
    store<u64>(at, left % NSEC, 8);
  }
  return copy_to_user(f, f.r8, at, compat ? 8 : 16);
}

/** The moment behind the end of a timeout, at the scratch buffer. 0, -EINVAL, -EFAULT, RET_NEED. */
function read_timeout(f: frame, compat: bool): i32 {
  const at = SCRATCH_USER;
  const bad = copy_from_user(f, at, f.r8, compat ? 8 : 16);
  if (bad) return bad;
  const need = prepare_write(f, f.r8, compat ? 8 : 16);
  if (need) return need;
  const sec = compat ? <i64>load<i32>(at) : load<i64>(at);
  const nsec = compat ? <i64>load<i32>(at, 4) : load<i64>(at, 8);
  if (sec < 0 || nsec < 0 || nsec >= <i64>NSEC) return -E.EINVAL;
  const forever = sec > 8_000_000_000;
  store<u64>(at, forever ? u64.MAX_VALUE : root().clock + <u64>sec * NSEC + <u64>nsec + 1);
  return 0;
}

/** The call of several messages ends: those that are done count, else how the next one failed. */
function end_messages(p: task_struct, f: frame, s: sock, done: u32, r: i32, receives: bool): i32 {
  // as in Linux, the next call hears of the error
  if (receives && done && r < 0 && r != -E.EAGAIN && r > -4096) s.err = -r;
  return end_wait(p, done ? <i32>done : r);
}

/** The messages from where the call stands. */
function many_messages(p: task_struct, f: frame, fd: i32, compat: bool, receives: bool): i32 {
  const resumed = f.phase;
  let end: u64 = 0;
  if (receives && f.r8 && !resumed) {
    const bad = read_timeout(f, compat);
    if (bad) return bad;
    end = load<u64>(SCRATCH_USER);
  }
  const at = call_file(p, f, fd);
  const kind = sockfd_lookup(at);
  if (kind < 0) return kind;
  if (!kind || at.sock.opaque) return FD.world_result(f, 0);
  const all = resumed ? resumed >> ALL_SHIFT : min<u32>(<u32>f.a2, K.UIO_MAXIOV);
  let done = (resumed >> DONE_SHIFT) & NR_MASK;
  if (resumed) {
    end = f.a2;
    f.phase = 1;
  }
  const flags = (<u32>f.r10) & ~(<u32>K.MSG_WAITFORONE);
  const one = receives && ((<u32>f.r10) & K.MSG_WAITFORONE) != 0;
  while (done < all) {
    const later: u32 = done && one ? K.MSG_DONTWAIT : 0;
    const r = one_message(p, f, at, done, flags | later, compat, receives);
    if (r == RET_NEED && !done) return r;
    if (r == RET_BLOCKED) asleep(f, done, all, end);
    if (r == RET_BLOCKED || r == RET_SLEEPS) return r;
    if (r < 0) return end_messages(p, f, at.sock, done, r, receives);
    done += 1;
    if (f.assist & F.ASSIST_PEEK) break;
    remove_waiters(p);
    f.phase = 0;
    f.cookie = 0;
    // what has gone in part is the last one
    if (!receives && <u32>r < M.scm().total) break;
    if (end && end <= root().clock + 1) break;
  }
  const peek = (f.assist & F.ASSIST_PEEK) != 0;
  if (end && done && !peek && put_timeout(f, end, compat)) return end_wait(p, -E.EFAULT);
  return end_wait(p, <i32>done);
}

/** sendmmsg(2): fd, messages, their number, flags. */
export function sys_sendmmsg(p: task_struct, f: frame, fd: i32, compat: bool): i32 {
  return many_messages(p, f, fd, compat, false);
}

/**
 * recvmmsg(2): fd, messages, their number, flags, timeout. It waits for all of them, or with
 * MSG_WAITFORONE for the first; the timeout is looked at after each.
 */
export function sys_recvmmsg(p: task_struct, f: frame, fd: i32, compat: bool): i32 {
  return many_messages(p, f, fd, compat, true);
}
