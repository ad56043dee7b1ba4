// msgget(2), msgsnd(2), msgrcv(2), msgctl(2).
import { cred_ns_capable } from "../cred/cred.ts";
import { IS_ERR, nil, PTR_ERR, RET_SLEEPS } from "../lib/err.ts";
import { frame } from "../lib/frame.ts";
import * as B from "./ipc.ts";
import { list_head } from "../lib/list.ts";
import { SCRATCH_USER } from "../lib/root.ts";
import * as M from "./msg.ts";
import { msg_queue } from "./msg.ts";
import { task_struct } from "../process/task.ts";
import { access_ok, copy_from_user, copy_to_user } from "../lib/uaccess.ts";
import { init_user_ns } from "../namespace/user-namespace.ts";
import { CAP_SYS_RESOURCE } from "../uapi/capability.ts";
import * as E from "../uapi/errno.ts";
import { ASSIST_PEEK, WINDOW_READ, WINDOW_WRITE } from "../uapi/frame.ts";
import * as I from "../uapi/ipc.ts";
import { remove_waiters, signal_pending, wait_on } from "../process/waitqueue.ts";

const MSQID_DS_BYTES: u32 = 120;
const MSGINFO_BYTES: u32 = 32;
const WAITS: i32 = 1 << 30;

/** msgget(2): key, flags. */
export function sys_msgget(p: task_struct, f: frame, key: i32, flags: u32): i32 {
  const at = B.ipc_lookup(p, B.IPC_MSG, key, flags);
  if (IS_ERR(at)) return PTR_ERR(at);
  if (!nil(at)) {
    const refused = B.ipcperms(p, at, flags);
    return refused ? refused : at.id;
  }
  const q = M.alloc_queue(p);
  if (nil(q)) return -E.ENOMEM;
  const id = B.ipc_addid(p, f, B.IPC_MSG, q, key, flags, I.MSGMNI);
  if (id < 0) M.free_queue(q);
  return id;
}

/** Sleeps in a queue; -ERESTARTNOHAND when a signal is there already. */
function sleep(p: task_struct, f: frame, queue: list_head): i32 {
  if (f.assist & ASSIST_PEEK) return RET_SLEEPS;
  if (signal_pending(p)) return -E.ERESTARTNOHAND;
  f.cookie = 0;
  const r = wait_on(p, f, queue);
  f.phase = r == -E.ENOMEM ? 0 : 1;
  return r;
}

function has_room(q: msg_queue, len: u32): bool {
  return len + q.cbytes <= q.qbytes && 1 + q.qnum <= q.qbytes;
}

/** The type in front of a message's text. Return: 0, -EINVAL, -EFAULT, RET_NEED. */
function check_type(f: frame, addr: u64): i32 {
  const compat = M.is_compat(f);
  const bad = copy_from_user(f, SCRATCH_USER, addr, compat ? 4 : 8);
  if (bad) return bad;
  if (compat) store<i64>(SCRATCH_USER, <i64>load<i32>(SCRATCH_USER));
  return 0;
}

/** msgsnd(2): queue, message, bytes of its text, flags. */
export function sys_msgsnd(
  p: task_struct,
  f: frame,
  msqid: i32,
  addr: u64,
  size: u64,
  flags: u32,
): i32 {
  if (f.phase) {
    const gone = M.receive_status(f);
    remove_waiters(p);
    if (gone != WAITS) return gone;
    if (signal_pending(p)) return -E.ERESTARTNOHAND;
  }
  const bad = check_type(f, addr);
  if (bad) return bad;
  const type = load<i64>(SCRATCH_USER);
  if (size > <u64>I.MSGMAX || msqid < 0 || type < 1) return -E.EINVAL;
  const len = <u32>size;
  const text = addr + (M.is_compat(f) ? 4 : 8);
  const unread = access_ok(f, text, len, WINDOW_READ);
  if (unread) return unread;
  const at = B.ipc_obtain(p, B.IPC_MSG, msqid);
  if (IS_ERR(at)) return PTR_ERR(at);
  const q = changetype<msg_queue>(at);
  const refused = B.ipcperms(p, q, 0o222);
  if (refused) return refused;
  if (!has_room(q, len)) return flags & I.IPC_NOWAIT ? -E.EAGAIN : sleep(p, f, q.senders);
  if (f.assist & ASSIST_PEEK) return 0;
  const m = M.alloc_msg(len, type);
  if (nil(m)) return -E.ENOMEM;
  copy_from_user(f, M.text_of(m), text, len);
  M.sent_by(p, q);
  if (!M.pipelined_send(q, m)) M.add_msg(q, m);
  return 0;
}

/** msgrcv(2): queue, message, room for its text, type, flags. */
export function sys_msgrcv(
  p: task_struct,
  f: frame,
  msqid: i32,
  addr: u64,
  size: u64,
  type: i64,
  flags: u32,
): i32 {
  if (f.phase) {
    const r = M.receive_status(f);
    remove_waiters(p);
    if (r != WAITS) return r;
    if (signal_pending(p)) return -E.ERESTARTNOHAND;
  }
  if (msqid < 0 || <i64>size < 0) return -E.EINVAL;
  if (flags & I.MSG_COPY && (flags & I.MSG_EXCEPT || !(flags & I.IPC_NOWAIT))) return -E.EINVAL;
  const at = B.ipc_obtain(p, B.IPC_MSG, msqid);
  if (IS_ERR(at)) return PTR_ERR(at);
  const q = changetype<msg_queue>(at);
  const refused = B.ipcperms(p, q, 0o444);
  if (refused) return refused;
  const m = M.find_msg(q, type, flags);
  if (nil(m)) return flags & I.IPC_NOWAIT ? -E.ENOMSG : sleep(p, f, q.receivers);
  if (size < m.len && !(flags & I.MSG_NOERROR)) return -E.E2BIG;
  // of a copy no part is made
  if (size < m.len && flags & I.MSG_COPY) return -E.EINVAL;
  if (f.assist & ASSIST_PEEK) return <i32>min<u64>(size, m.len);
  const wide: u32 = M.is_compat(f) ? 4 : 8;
  const need = access_ok(f, addr, wide + <u32>min<u64>(size, m.len), WINDOW_WRITE);
  if (need < -4096) return need;
  const r = M.put_msg(f, addr, size, m);
  if (flags & I.MSG_COPY) return r;
  // as in Linux, a message that could not be stored is gone
  M.unlink_msg(q, m);
  M.free_msg(m);
  M.received_by(p, q);
  M.wake_senders(q);
  return r;
}

/** IPC_STAT and its relatives: struct msqid64_ds. */
function msgctl_stat(p: task_struct, f: frame, q: msg_queue, addr: u64, cmd: i32): i32 {
  const refused = B.ipc_begin_stat(p, q, cmd == I.MSG_STAT_ANY, MSQID_DS_BYTES);
  if (refused) return refused;
  const at = SCRATCH_USER;
  store<u64>(at, q.stime, 48);
  store<u64>(at, q.rtime, 56);
  store<u64>(at, q.ctime, 64);
  store<u64>(at, q.cbytes, 72);
  store<u64>(at, q.qnum, 80);
  store<u64>(at, q.qbytes, 88);
  store<i32>(at, B.ipc_pid_nr(p, q.lspid), 96);
  store<i32>(at, B.ipc_pid_nr(p, q.lrpid), 100);
  return B.ipc_end_stat(f, q, addr, MSQID_DS_BYTES, cmd);
}

/** IPC_INFO, MSG_INFO: struct msginfo; the highest index in use. */
function msgctl_info(p: task_struct, f: frame, addr: u64, cmd: i32): i32 {
  const ids = B.ids_of(B.ipc_ns_of(p), B.IPC_MSG);
  let messages = 0;
  let bytes = 0;
  for (let i = 0; !nil(ids) && i < ids.len; ++i) {
    const one = changetype<msg_queue>(B.entry_at(ids, i));
    if (nil(one)) continue;
    messages += <i32>one.qnum;
    bytes += <i32>one.cbytes;
  }
  const info = cmd == I.MSG_INFO;
  const at = SCRATCH_USER;
  memory.fill(at, 0, MSGINFO_BYTES);
  store<i32>(at, info ? (nil(ids) ? 0 : ids.in_use) : (I.MSGMNI * I.MSGMNB) / 1024); // msgpool
  store<i32>(at, info ? messages : I.MSGMNB, 4); // msgmap
  store<i32>(at, I.MSGMAX, 8);
  store<i32>(at, I.MSGMNB, 12);
  store<i32>(at, I.MSGMNI, 16);
  store<i32>(at, 16, 20); // msgssz
  store<i32>(at, info ? bytes : I.MSGMNB, 24); // msgtql
  store<u16>(at, 0xffff, 28); // msgseg
  const bad = copy_to_user(f, addr, at, MSGINFO_BYTES);
  return bad ? bad : B.ipc_max_index(ids);
}

/** IPC_SET, IPC_RMID. */
function msgctl_down(p: task_struct, f: frame, q: msg_queue, addr: u64, cmd: i32): i32 {
  const refused = B.ipc_owned(p, q);
  if (refused) return refused;
  if (cmd == I.IPC_RMID) {
    M.freeque(q);
    return 0;
  }
  const bad = copy_from_user(f, SCRATCH_USER, addr, MSQID_DS_BYTES);
  if (bad) return bad;
  const qbytes = load<u64>(SCRATCH_USER, 88);
  if (qbytes > <u64>I.MSGMNB && !cred_ns_capable(p.cred, init_user_ns(), CAP_SYS_RESOURCE)) {
    return -E.EPERM;
  }
  const r = B.ipc_update_perm(p, q);
  if (r) return r;
  q.qbytes = <u32>min<u64>(qbytes, u32.MAX_VALUE >> 1);
  q.ctime = B.ipc_now();
  M.wake_senders(q);
  return 0;
}

/** msgctl(2): queue, command, buffer. */
export function sys_msgctl(p: task_struct, f: frame, msqid: i32, cmd: i32, addr: u64): i32 {
  if (cmd < 0 || msqid < 0) return -E.EINVAL;
  if (cmd == I.IPC_INFO || cmd == I.MSG_INFO) return msgctl_info(p, f, addr, cmd);
  if (cmd == I.IPC_SET) {
    const bad = access_ok(f, addr, MSQID_DS_BYTES, WINDOW_READ);
    if (bad) return bad;
  }
  const indexed = cmd == I.MSG_STAT || cmd == I.MSG_STAT_ANY;
  const at = indexed ? B.ipc_obtain_index(p, B.IPC_MSG, msqid) : B.ipc_obtain(p, B.IPC_MSG, msqid);
  if (IS_ERR(at)) return PTR_ERR(at);
  const q = changetype<msg_queue>(at);
  switch (cmd) {
    case I.IPC_STAT:
    case I.MSG_STAT:
    case I.MSG_STAT_ANY:
      return msgctl_stat(p, f, q, addr, cmd);
    case I.IPC_SET:
    case I.IPC_RMID:
      return msgctl_down(p, f, q, addr, cmd);
    default:
      return -E.EINVAL;
  }
}
