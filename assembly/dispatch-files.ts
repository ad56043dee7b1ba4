// The calls on files, descriptors and sockets beyond the most frequent ones: their part of the
// dispatch.
import { sys_eventfd2 } from "./fs/eventfd.ts";
import { frame } from "./lib/frame.ts";
import { sys_signalfd4 } from "./fs/signalfd.ts";
import * as P from "./fs/sys-epoll.ts";
import * as V from "./fs/sys-event.ts";
import { sys_flock } from "./fs/sys-lock.ts";
import * as L from "./fs/sys-poll.ts";
import * as W from "./fs/sys-rw.ts";
import * as M from "./net/sys-message.ts";
import * as K from "./net/sys-socket.ts";
import * as Y from "./net/sys-sockopt.ts";
import * as S from "./fs/sys-splice.ts";
import { task_struct } from "./process/task.ts";
import { ENOSYS } from "./uapi/errno.ts";
import * as O from "./uapi/op.ts";

/** Runs operation `op` of frame `f` for `p`. Return: result, -errno, RET_*. */
export function do_op_files(op: u32, p: task_struct, f: frame, compat: bool): i32 {
  const a0 = <i32>f.a0;
  const a1 = <i32>f.a1;
  const a2 = <i32>f.a2;
  switch (op) {
    case O.OP_POLL:
      return L.sys_poll(p, f, a2);
    case O.OP_PPOLL:
      return L.sys_ppoll(p, f, compat);
    case O.OP_SELECT:
      return L.sys_select(p, f, compat);
    case O.OP_PSELECT6:
      return L.sys_pselect6(p, f, compat);
    case O.OP_READV:
      return W.sys_readv(p, f, a0, compat);
    case O.OP_WRITEV:
      return W.sys_writev(p, f, a0, compat);
    case O.OP_PREAD:
      return W.sys_pread(p, f, a0, compat);
    case O.OP_SOCKETPAIR:
      return K.sys_socketpair(p, f);
    case O.OP_SENDMSG:
      return M.sys_sendmsg(p, f, a0, compat);
    case O.OP_RECVMSG:
      return M.sys_recvmsg(p, f, a0, compat);
    case O.OP_SENDTO:
      return M.sys_sendto(p, f, a0);
    case O.OP_RECVFROM:
      return M.sys_recvfrom(p, f, a0);
    case O.OP_SHUTDOWN:
      return K.sys_shutdown(p, f, a0, a1);
    case O.OP_SETSOCKOPT:
      return Y.sys_setsockopt(p, f, a0, compat);
    case O.OP_GETSOCKOPT:
      return Y.sys_getsockopt(p, f, a0, compat);
    case O.OP_GETSOCKNAME:
      return K.sys_getsockname(p, f, a0, false);
    case O.OP_GETPEERNAME:
      return K.sys_getsockname(p, f, a0, true);
    case O.OP_EVENTFD2:
      return sys_eventfd2(p, <u32>a0, <u32>a1);
    case O.OP_EVENTFD:
      return sys_eventfd2(p, <u32>a0, 0);
    case O.OP_TIMERFD_CREATE:
      return V.sys_timerfd_create(p, a0, <u32>a1);
    case O.OP_TIMERFD_SETTIME:
      return V.sys_timerfd_settime(p, f);
    case O.OP_TIMERFD_GETTIME:
      return V.sys_timerfd_gettime(p, f);
    case O.OP_SIGNALFD4:
      return sys_signalfd4(p, f, a0, <u32>f.r10);
    case O.OP_SIGNALFD:
      return sys_signalfd4(p, f, a0, 0);
    case O.OP_INOTIFY_INIT1:
      return V.sys_inotify_init1(p, <u32>a0);
    case O.OP_INOTIFY_INIT:
      return V.sys_inotify_init1(p, 0);
    case O.OP_INOTIFY_ADD_WATCH:
      return V.sys_inotify_add_watch(p, f);
    case O.OP_INOTIFY_RM_WATCH:
      return V.sys_inotify_rm_watch(p, f);
    case O.OP_EPOLL_CREATE1:
      return P.sys_epoll_create1(p, <u32>a0);
    case O.OP_EPOLL_CREATE:
      return P.sys_epoll_create(p, a0);
    case O.OP_EPOLL_CTL:
      return P.sys_epoll_ctl(p, f);
    case O.OP_EPOLL_WAIT:
      return P.sys_epoll_wait(p, f);
    case O.OP_EPOLL_PWAIT:
      return P.sys_epoll_pwait(p, f);
    case O.OP_EPOLL_PWAIT2:
      return P.sys_epoll_pwait2(p, f);
    case O.OP_SPLICE:
      return S.sys_splice(p, f);
    case O.OP_TEE:
      return S.sys_tee(p, f);
    case O.OP_VMSPLICE:
      return S.sys_vmsplice(p, f, compat);
    case O.OP_SENDFILE:
      return S.sys_sendfile(p, f);
    case O.OP_FLOCK:
      return sys_flock(p, f, a0, a1);
    case O.OP_KCMP:
      return V.sys_kcmp(p, f);
    default:
      return -ENOSYS;
  }
}
