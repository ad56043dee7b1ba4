// signalfd: reads take signals of the reader's own out of the queues. The set is the file's
// (file.pos); sleepers of all signalfds wait on one queue (root.sigwait), as few as they are.
import { nil } from "../lib/err.ts";
import * as FD from "./file.ts";
import { file } from "./file.ts";
import { frame } from "../lib/frame.ts";
import { root, SCRATCH_USER } from "../lib/root.ts";
import { KERNEL_ONLY, tells_file } from "../signal/signal.ts";
import { dequeue_signal, taken_signal } from "../signal/sigdeliver.ts";
import { siginfo } from "../signal/sigqueue.ts";
import { call_file } from "./sys-rw.ts";
import { task_struct } from "../process/task.ts";
import { copy_from_user } from "../lib/uaccess.ts";
import { copy_to_vector } from "../lib/uio.ts";
import * as N from "../uapi/epoll.ts";
import * as E from "../uapi/errno.ts";
import * as O from "../uapi/fcntl.ts";
import * as F from "../uapi/frame.ts";
import { SIGCHLD } from "../uapi/signal.ts";
import { signal_pending, wait_on_file, wake_up_all } from "../process/waitqueue.ts";

/** sizeof(struct signalfd_siginfo) */
const RECORD: u32 = 128;

/** signalfd4(2): fd or -1, set, its size, flags. */
export function sys_signalfd4(p: task_struct, f: frame, fd: i32, flags: u32): i32 {
  if (<u32>f.a2 != 8) return -E.EINVAL;
  const bad = copy_from_user(f, SCRATCH_USER, f.a1, 8);
  if (bad) return bad;
  const set = load<u64>(SCRATCH_USER) & ~KERNEL_ONLY;
  if (flags & ~(<u32>(N.SFD_CLOEXEC | N.SFD_NONBLOCK))) return -E.EINVAL;
  if (fd != -1) {
    const at = call_file(p, f, fd);
    if (nil(at)) return -E.EBADF;
    if (at.kind != FD.FILE_SIGNALFD) return -E.EINVAL;
    at.pos = set;
    wake_up_all(root().sigwait);
    return fd;
  }
  const made = FD.get_unused_fd(p, 0);
  if (made < 0) return made;
  const at = FD.alloc_file(FD.FILE_SIGNALFD, O.O_RDWR | (flags & N.SFD_NONBLOCK), 0);
  if (nil(at)) return -E.ENOMEM;
  at.pos = set;
  FD.fd_install(p, made, at, (flags & N.SFD_CLOEXEC) != 0);
  return made;
}

/** struct signalfd_siginfo of `info`. */
function fill_record(at: usize, info: siginfo): void {
  memory.fill(at, 0, RECORD);
  store<i32>(at, info.signo);
  store<i32>(at, info.errno, 4);
  store<i32>(at, info.code, 8);
  if (tells_file(info)) {
    store<i32>(at, <i32>info.value, 20);
    store<i32>(at, info.pid, 28);
    return;
  }
  store<i32>(at, info.pid, 12);
  store<i32>(at, info.uid, 16);
  if (info.signo == SIGCHLD) {
    store<i32>(at, info.status, 40);
  } else if (info.code < 0) {
    // queued with a value: its two readings
    store<i32>(at, <i32>info.value, 44);
    store<u64>(at, info.value, 48);
  }
}

/** As many records as there are signals and room; the first one is waited for. */
export function signalfd_read(p: task_struct, f: frame, at: file, total: u32, nr: u32): i32 {
  const most = min<u32>(total / RECORD, 32);
  if (!most) return -E.EINVAL;
  if (!signalfd_poll(p, at)) {
    if (at.flags & O.O_NONBLOCK) return -E.EAGAIN;
    if (signal_pending(p)) return -E.ERESTARTSYS;
    return wait_on_file(p, f, root().sigwait, at);
  }
  if (f.assist & F.ASSIST_PEEK) return RECORD;
  // the records are written at once: first it is seen whether they can be
  memory.fill(SCRATCH_USER, 0, RECORD);
  const bad = copy_to_vector(f, nr, SCRATCH_USER, RECORD);
  if (bad) return bad;
  let n: u32 = 0;
  for (; n < most; ++n) {
    const info = taken_signal();
    if (!dequeue_signal(p, ~at.pos, info)) break;
    fill_record(SCRATCH_USER + n * RECORD, info);
  }
  return copy_to_vector(f, nr, SCRATCH_USER, n * RECORD) ? -E.EFAULT : <i32>(n * RECORD);
}

/** Only POLLIN, as Linux has it. */
export function signalfd_poll(p: task_struct, at: file): u32 {
  return (p.pending | p.signal.shared_pending) & at.pos ? O.POLLIN : 0;
}
