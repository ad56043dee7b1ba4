// socketcall(2) of i386: every call on sockets behind one number, its arguments in memory.
import { frame } from "../lib/frame.ts";
import { SCRATCH_USER } from "../lib/root.ts";
import * as K from "./sys-socket.ts";
import * as M from "./sys-message.ts";
import { sys_getsockopt, sys_setsockopt } from "./sys-sockopt.ts";
import { task_struct } from "../process/task.ts";
import { copy_from_user } from "../lib/uaccess.ts";
import { EINVAL } from "../uapi/errno.ts";
import * as S from "../uapi/socket.ts";

/** How many arguments call `n` has. */
function arguments_of(n: u32): u32 {
  switch (n) {
    case S.SYS_LISTEN:
    case S.SYS_SHUTDOWN:
      return 2;
    case S.SYS_SOCKETPAIR:
    case S.SYS_SEND:
    case S.SYS_RECV:
    case S.SYS_ACCEPT4:
    case S.SYS_SENDMMSG:
      return 4;
    case S.SYS_SETSOCKOPT:
    case S.SYS_GETSOCKOPT:
    case S.SYS_RECVMMSG:
      return 5;
    case S.SYS_SENDTO:
    case S.SYS_RECVFROM:
      return 6;
    default:
      return 3;
  }
}

/** Puts the arguments where the call that is meant looks for them. */
function spread(f: frame, n: u32): void {
  const at = SCRATCH_USER;
  f.set_args(load<u32>(at), load<u32>(at, 4), n > 2 ? load<u32>(at, 8) : 0);
  f.r10 = n > 3 ? load<u32>(at, 12) : 0;
  f.r8 = n > 4 ? load<u32>(at, 16) : 0;
  f.r9 = n > 5 ? load<u32>(at, 20) : 0;
}

/** socketcall(2): which call, address of its arguments. */
export function sys_socketcall(p: task_struct, f: frame, compat: bool): i32 {
  // the registers keep what the caller wrote: a call that goes on begins here again
  const call = <u32>f.rbx;
  const addr = <u64>(<u32>f.rcx);
  if (call < 1 || call > <u32>S.SYS_SENDMMSG) return -EINVAL;
  const n = arguments_of(call);
  const bad = copy_from_user(f, SCRATCH_USER, addr, n << 2);
  if (bad) return bad;
  spread(f, n);
  const r = run(p, f, call, compat);
  f.set_args(call, addr, <u32>f.rdx);
  f.r10 = <u32>f.rsi;
  f.r8 = <u32>f.rdi;
  f.r9 = <u32>f.rbp;
  return r;
}

function run(p: task_struct, f: frame, call: u32, compat: bool): i32 {
  const fd = <i32>f.a0;
  switch (call) {
    case S.SYS_SOCKET:
      return K.sys_socket(p, f);
    case S.SYS_BIND:
      return K.sys_bind(p, f, fd);
    case S.SYS_CONNECT:
      return K.sys_connect(p, f, fd);
    case S.SYS_LISTEN:
      return K.sys_listen(p, f, fd);
    case S.SYS_ACCEPT:
      return K.sys_accept4(p, f, fd, 0);
    case S.SYS_ACCEPT4:
      return K.sys_accept4(p, f, fd, <u32>f.r10);
    case S.SYS_GETSOCKNAME:
      return K.sys_getsockname(p, f, fd, false);
    case S.SYS_GETPEERNAME:
      return K.sys_getsockname(p, f, fd, true);
    case S.SYS_SOCKETPAIR:
      return K.sys_socketpair(p, f);
    case S.SYS_SEND:
    case S.SYS_SENDTO:
      return M.sys_sendto(p, f, fd);
    case S.SYS_RECV:
    case S.SYS_RECVFROM:
      return M.sys_recvfrom(p, f, fd);
    case S.SYS_SHUTDOWN:
      return K.sys_shutdown(p, f, fd, <i32>f.a1);
    case S.SYS_SETSOCKOPT:
      return sys_setsockopt(p, f, fd, compat);
    case S.SYS_GETSOCKOPT:
      return sys_getsockopt(p, f, fd, compat);
    case S.SYS_SENDMSG:
      return M.sys_sendmsg(p, f, fd, compat);
    case S.SYS_RECVMSG:
      return M.sys_recvmsg(p, f, fd, compat);
    case S.SYS_RECVMMSG:
      return M.sys_recvmmsg(p, f, fd, compat);
    default:
      return M.sys_sendmmsg(p, f, fd, compat);
  }
}
