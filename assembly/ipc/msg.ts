// Message queues: messages in order, who waits for one, who waits for room (ipc/msg.c). A message
// goes to the first sleeping receiver that wants it, without standing in the queue.
import { NULL, nil } from "../lib/err.ts";
import { frame } from "../lib/frame.ts";
import * as B from "./ipc.ts";
import { ipc_namespace, kern_ipc_perm } from "./ipc.ts";
import { list_at, list_head } from "../lib/list.ts";
import { pid, put_pid } from "../process/pid.ts";
import { rare, task_struct } from "../process/task.ts";
import { copy_to_user } from "../lib/uaccess.ts";
import * as E from "../uapi/errno.ts";
import { TABLE_COMPAT } from "../uapi/frame.ts";
import * as I from "../uapi/ipc.ts";
import { waiter, wake_up_process } from "../process/waitqueue.ts";
import { root } from "../lib/root.ts";
import { syscall_table } from "../lib/frame.ts";

/** struct msg_queue. */
@unmanaged
export class msg_queue extends kern_ipc_perm {
  ns: ipc_namespace; // [C] no reference: it goes with its namespace
  cbytes: u32; // bytes in it
  qnum: u32; // messages in it
  qbytes: u32; // limit of both
  stime: u64; // seconds
  rtime: u64;
  ctime: u64;
  lspid: pid; // who sent last; holds a reference
  lrpid: pid; // who received last; holds a reference
  head: msg_msg; // oldest message
  tail: msg_msg;
  recv_next: u32; // list_head: sleeping receivers
  recv_prev: u32;
  send_next: u32; // list_head: sleeping senders
  send_prev: u32;

  get receivers(): list_head {
    return list_at(changetype<usize>(this), offsetof<msg_queue>("recv_next"));
  }
  get senders(): list_head {
    return list_at(changetype<usize>(this), offsetof<msg_queue>("send_next"));
  }
}
const MSQ_BYTES: u32 = <u32>offsetof<msg_queue>();

/** struct msg_msg - its text lies behind it. */
@unmanaged
export class msg_msg {
  next: msg_msg;
  len: u32; // [C]
  type: i64; // [C]
}
const MSG_BYTES: u32 = 16;

// frame.cookie of a sleeping msgrcv: 0 while it sleeps, or
/** ... an errno in the lower bits */
const FAILED: u32 = 0x4000_0000;
/** ... a length in the lower bits */
const RECEIVED: u32 = 0x8000_0000;

export function alloc_queue(p: task_struct): msg_queue {
  const q = changetype<msg_queue>(B.ipc_alloc(MSQ_BYTES));
  if (nil(q)) return q;
  q.ns = B.ipc_ns_of(p);
  q.qbytes = I.MSGMNB;
  q.ctime = B.ipc_now();
  list_head.init(q.receivers);
  list_head.init(q.senders);
  return q;
}

/** A queue that has never had a number. */
export function free_queue(q: msg_queue): void {
  B.ipc_free(changetype<usize>(q), MSQ_BYTES);
}

export function alloc_msg(len: u32, type: i64): msg_msg {
  const m = changetype<msg_msg>(B.ipc_alloc(MSG_BYTES + len));
  if (nil(m)) return m;
  m.len = len;
  m.type = type;
  return m;
}

export function free_msg(m: msg_msg): void {
  B.ipc_free(changetype<usize>(m), MSG_BYTES + m.len);
}

export function text_of(m: msg_msg): usize {
  return changetype<usize>(m) + MSG_BYTES;
}

export function sent_by(p: task_struct, q: msg_queue): void {
  B.ipc_update_pid(changetype<usize>(q) + offsetof<msg_queue>("lspid"), p);
  q.stime = B.ipc_now();
}

export function received_by(p: task_struct, q: msg_queue): void {
  B.ipc_update_pid(changetype<usize>(q) + offsetof<msg_queue>("lrpid"), p);
  q.rtime = B.ipc_now();
}

/** Is a message of `type` one that was asked for by `want` and `flags`? */
function fits(type: i64, want: i64, flags: u32): bool {
  if (!want) return true;
  if (want < 0) return type <= (want == i64.MIN_VALUE ? i64.MAX_VALUE : -want);
  return flags & I.MSG_EXCEPT ? type != want : type == want;
}

/** The message that is asked for: the first, or for a negative type the one of the lowest type. */
export function find_msg(q: msg_queue, want: i64, flags: u32): msg_msg {
  let found = NULL<msg_msg>();
  let index: i64 = 0;
  for (let m = q.head; !nil(m); m = m.next) {
    if (flags & I.MSG_COPY) {
      if (index == want) return m;
      index += 1;
      continue;
    }
    if (!fits(m.type, want, flags)) continue;
    if (want >= 0) return m;
    if (nil(found) || found.type > m.type) found = m;
  }
  return found;
}

export function add_msg(q: msg_queue, m: msg_msg): void {
  m.next = NULL<msg_msg>();
  if (nil(q.head)) q.head = m;
  else q.tail.next = m;
  q.tail = m;
  q.cbytes += m.len;
  q.qnum += 1;
}

export function unlink_msg(q: msg_queue, m: msg_msg): void {
  let before = NULL<msg_msg>();
  let at = q.head;
  while (changetype<usize>(at) != changetype<usize>(m)) {
    before = at;
    at = at.next;
  }
  if (nil(before)) q.head = m.next;
  else before.next = m.next;
  if (nil(m.next)) q.tail = before;
  q.cbytes -= m.len;
  q.qnum -= 1;
}

/** Is a frame of a 32-bit table's? Its longs have 32 bits. */
export function is_compat(f: frame): bool {
  const table = changetype<syscall_table>(<usize>(root().tables + (f.table << 4)));
  return (table.flags & TABLE_COMPAT) != 0;
}

/** Hands a message to the caller of frame `f`. Return: its length, -EFAULT, RET_NEED. */
export function put_msg(f: frame, addr: u64, size: u64, m: msg_msg): i32 {
  const wide: u32 = is_compat(f) ? 4 : 8;
  const bad = copy_to_user(f, addr, changetype<usize>(m) + offsetof<msg_msg>("type"), wide);
  if (bad) return bad;
  const len = <u32>min<u64>(size, m.len);
  const r = copy_to_user(f, addr + wide, text_of(m), len);
  return r ? r : <i32>len;
}

function wake_with(t: task_struct, f: frame, cookie: u32): void {
  f.cookie = cookie;
  wake_up_process(t);
}

/** A new message: does a sleeping receiver take it? Return: whether it is gone. */
export function pipelined_send(q: msg_queue, m: msg_msg): bool {
  const head = q.receivers;
  let at = head.next;
  while (at !== head) {
    const t = changetype<waiter>(changetype<usize>(at)).task;
    at = at.next;
    const f = rare(t).frame;
    if (f.cookie || !fits(m.type, <i64>f.r10, <u32>f.r8)) continue;
    if (m.len > f.a2 && !((<u32>f.r8) & I.MSG_NOERROR)) {
      wake_with(t, f, FAILED | E.E2BIG);
      continue;
    }
    const r = put_msg(f, f.a1, f.a2, m);
    wake_with(t, f, r < 0 ? FAILED | E.EFAULT : RECEIVED | (<u32>r));
    received_by(t, q);
    free_msg(m);
    return true;
  }
  return false;
}

/** What a sleeping msgrcv has come to; 1 << 30: it still waits. */
export function receive_status(f: frame): i32 {
  const cookie = f.cookie;
  if (!cookie) return 1 << 30;
  return cookie & FAILED ? -(<i32>(cookie & ~FAILED)) : <i32>(cookie & ~RECEIVED);
}

/** Everybody on `head` wakes up; with `gone` the queue is no more. */
function wake_waiters(head: list_head, gone: bool): void {
  let at = head.next;
  while (at !== head) {
    const next = at.next;
    const t = changetype<waiter>(changetype<usize>(at)).task;
    if (gone) {
      // the waiter goes when its task runs: on no list by then
      list_head.del_init(at);
      if (!rare(t).frame.cookie) rare(t).frame.cookie = FAILED | E.EIDRM;
    }
    wake_up_process(t);
    at = next;
  }
}

/** There is room: senders try again. */
export function wake_senders(q: msg_queue): void {
  wake_waiters(q.senders, false);
}

export function freeque(q: msg_queue): void {
  wake_waiters(q.receivers, true);
  wake_waiters(q.senders, true);
  while (!nil(q.head)) {
    const m = q.head;
    q.head = m.next;
    free_msg(m);
  }
  put_pid(q.lspid);
  put_pid(q.lrpid);
  B.ipc_rmid(B.ids_of(q.ns, B.IPC_MSG), q);
  free_queue(q);
}
