// mq_notify(2): one process is told when a message comes to a queue that was empty, once.
import { nil, same } from "../lib/err.ts";
import * as FD from "../fs/file.ts";
import { file, own_table } from "../fs/file.ts";
import { frame } from "../lib/frame.ts";
import { clear_notification, COOKIE_AT, mqueue_inode_info, mqueue_of } from "./mqueue.ts";
import { remove_notification, tell_socket } from "./mqueue.ts";
import { get_ns } from "../namespace/namespace.ts";
import { get_pid, ns_of_pid, pid_nr_ns } from "../process/pid.ts";
import { SCRATCH_USER } from "../lib/root.ts";
import * as G from "../signal/signal.ts";
import { call_file } from "../fs/sys-rw.ts";
import { cold, task_struct } from "../process/task.ts";
import { copy_from_user } from "../lib/uaccess.ts";
import { from_kuid_munged, user_namespace } from "../namespace/user-namespace.ts";
import * as E from "../uapi/errno.ts";
import { POLLIN, POLLRDNORM } from "../uapi/fcntl.ts";
import { ASSIST_PEEK } from "../uapi/frame.ts";
import * as M from "../uapi/mqueue.ts";
import { SI_MESGQ } from "../uapi/signal.ts";
import { AF_NETLINK } from "../uapi/socket.ts";
import { SIGEV_NONE, SIGEV_SIGNAL, SIGEV_THREAD } from "../uapi/time.ts";
import { wake_up_poll } from "../process/waitqueue.ts";

/** The process that asked for it hears of a message by `p`; then it is told no more. */
function notify(p: task_struct, q: mqueue_inode_info): void {
  const t: task_struct = q.notify.task;
  if (q.notify_how == SIGEV_THREAD) {
    tell_socket(q, M.NOTIFY_WOKENUP);
  } else if (q.notify_how == SIGEV_SIGNAL && q.notify_signo && !nil(t)) {
    const info = G.scratch_siginfo();
    G.fill_siginfo(info, q.notify_signo, SI_MESGQ, p, t);
    info.pid = pid_nr_ns(p.signal.tgid_pid, ns_of_pid(q.notify));
    info.uid = from_kuid_munged(q.notify_ns, p.cred.uid);
    info.value = q.notify_value;
    G.send_signal(t, info, true, false);
  }
  clear_notification(q);
}

/** A message by `p` has come into the queue, and nobody took it at once. */
export function mq_told(p: task_struct, q: mqueue_inode_info): void {
  if (!nil(q.notify) && q.curmsgs == 1) notify(p, q);
  wake_up_poll(q.pollers, POLLIN | POLLRDNORM);
}

/** The socket of a SIGEV_THREAD; null: it is none. */
function netlink_file(p: task_struct, fd: i32): file {
  const at = FD.fget(p, fd);
  const good = !nil(at) && at.kind == FD.FILE_SOCKET && at.sock.family == AF_NETLINK;
  return good ? at : changetype<file>(0);
}

/** What a struct sigevent in SCRATCH_USER asks for. Return: 0, -EINVAL, -EBADF, -EFAULT. */
function check_sigevent(p: task_struct, f: frame, how: u32, signo: i32): i32 {
  if (how != SIGEV_NONE && how != SIGEV_SIGNAL && how != SIGEV_THREAD) return -E.EINVAL;
  if (how == SIGEV_SIGNAL && <u32>signo > 64) return -E.EINVAL;
  if (how != SIGEV_THREAD) return 0;
  const at = SCRATCH_USER + 64;
  const bad = copy_from_user(f, at, load<u64>(SCRATCH_USER), M.NOTIFY_COOKIE_LEN);
  if (bad) return bad;
  if (nil(FD.fget(p, signo))) return -E.EBADF;
  return nil(netlink_file(p, signo)) ? -E.EINVAL : 0;
}

/** mq_notify(2): queue, sigevent; without one the process is told no more. */
export function sys_mq_notify(p: task_struct, f: frame, compat: bool): i32 {
  let how: u32 = 0;
  let signo = 0;
  if (f.a1) {
    const bad = copy_from_user(f, SCRATCH_USER, f.a1, compat ? 12 : 16);
    if (bad) return bad;
    if (compat) {
      memory.copy(SCRATCH_USER + 8, SCRATCH_USER + 4, 8);
      store<u32>(SCRATCH_USER, 0, 4);
    }
    signo = load<i32>(SCRATCH_USER, 8);
    how = load<u32>(SCRATCH_USER, 12);
    const refused = check_sigevent(p, f, how, signo);
    if (refused) return refused;
  }
  const at = call_file(p, f, <i32>f.a0);
  if (nil(at) || at.kind != FD.FILE_MQUEUE) return -E.EBADF;
  const q = mqueue_of(at);
  const mine = !nil(q.notify) && same(q.notify, p.signal.tgid_pid);
  if (f.a1 && !nil(q.notify)) return -E.EBUSY;
  if (f.assist & ASSIST_PEEK) return 0;
  if (!f.a1) {
    if (mine) remove_notification(q);
    return 0;
  }
  // the table that the queue is open in is the process's own from now on
  if (!own_table(p)) return -E.ENOMEM;
  register(p, q, how, signo);
  return 0;
}

function register(p: task_struct, q: mqueue_inode_info, how: u32, signo: i32): void {
  q.notify = get_pid(p.signal.tgid_pid);
  q.notify_files = <u32>changetype<usize>(cold(p).files);
  q.notify_how = how;
  q.notify_signo = signo;
  q.notify_value = load<u64>(SCRATCH_USER);
  q.notify_ns = changetype<user_namespace>(changetype<usize>(get_ns(p.cred.user_ns)));
  if (how != SIGEV_THREAD) return;
  q.notify_sock = FD.get_file(netlink_file(p, signo));
  memory.copy(changetype<usize>(q) + COOKIE_AT, SCRATCH_USER + 64, M.NOTIFY_COOKIE_LEN);
}
