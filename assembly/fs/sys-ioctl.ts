// ioctl(2), as far as it is about descriptors and files of the kernel's own.
import { nil } from "../lib/err.ts";
import * as FD from "./file.ts";
import { file } from "./file.ts";
import { frame } from "../lib/frame.ts";
import { ns_ioctl } from "../namespace/nsfs.ts";
import { SCRATCH_USER } from "../lib/root.ts";
import { set_fasync } from "./sys-fcntl.ts";
import { call_file } from "./sys-rw.ts";
import { task_struct } from "../process/task.ts";
import { copy_from_user, copy_to_user, prepare_write } from "../lib/uaccess.ts";
import * as N from "../uapi/epoll.ts";
import * as E from "../uapi/errno.ts";
import * as O from "../uapi/fcntl.ts";
import { SOCK_STREAM } from "../uapi/socket.ts";
import { tty_ioctl } from "../tty/sys-tty.ts";
import { first_skb } from "../net/sock.ts";
import { NO_IFIOCTL, sock_ioctl } from "../net/sys-ifioctl.ts";

/** FIONBIO, FIOASYNC: a status flag by the int of the argument. */
function set_status(f: frame, at: file, fd: i32, flag: u32): i32 {
  const bad = copy_from_user(f, SCRATCH_USER, f.a2, 4);
  if (bad) return bad;
  if (flag == O.O_ASYNC) return set_fasync(at, fd, load<i32>(SCRATCH_USER) != 0);
  if (load<i32>(SCRATCH_USER)) at.flags |= flag;
  else at.flags &= ~flag;
  return 0;
}

/** FIONREAD: bytes that a read would find, -1 where only the world knows. */
function readable_bytes(at: file): i32 {
  if (at.kind == FD.FILE_PIPE) return at.pipe.opaque ? -1 : <i32>at.pipe.bytes;
  if (at.kind == FD.FILE_INOTIFY) return at.inotify.queued;
  if (at.kind != FD.FILE_SOCKET || at.sock.opaque) return -1;
  if (at.sock.type == SOCK_STREAM) return <i32>at.sock.bytes;
  const skb = first_skb(at.sock);
  return nil(skb) ? 0 : <i32>skb.len;
}

/** ioctl(2): fd, command, argument. */
export function sys_ioctl(p: task_struct, f: frame, fd: i32, cmd: u32, compat: bool): i32 {
  const at = call_file(p, f, fd);
  if (nil(at)) return -E.EBADF;
  switch (cmd) {
    case N.FIOCLEX:
      return FD.set_cloexec(p, fd, true);
    case N.FIONCLEX:
      return FD.set_cloexec(p, fd, false);
    case N.FIONBIO:
      return set_status(f, at, fd, O.O_NONBLOCK);
    case N.FIOASYNC:
      if (at.kind == FD.FILE_WORLD) break;
      return set_status(f, at, fd, O.O_ASYNC);
    case N.FIONREAD: {
      const n = readable_bytes(at);
      if (n < 0) break;
      const need = prepare_write(f, f.a2, 4);
      if (need) return need;
      store<i32>(SCRATCH_USER, n);
      return copy_to_user(f, f.a2, SCRATCH_USER, 4);
    }
    default:
      break;
  }
  if (at.kind == FD.FILE_SOCKET && !at.sock.opaque) {
    const r = sock_ioctl(p, f, at.sock, cmd, compat);
    if (r != NO_IFIOCTL) return r;
  }
  if (at.kind == FD.FILE_NSFS) return ns_ioctl(p, f, at);
  if (at.kind == FD.FILE_WORLD && at.private_data) return tty_ioctl(p, f, at, <i32>cmd);
  return at.kind == FD.FILE_CONTAINER ? -E.ENOTTY : FD.world_result(f, -E.ENOTTY);
}
