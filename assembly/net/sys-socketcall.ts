// socketcall(2) of i386: every call on sockets behind one number, its arguments in memory.
import { frame } from "../lib/frame.ts";
import { SCRATCH_USER } from "../lib/root.ts";
import { copy_from_user } from "../lib/uaccess.ts";
import { EINVAL } from "../uapi/errno.ts";
import * as O from "../uapi/op.ts";
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

/** The operation of call `n`, 1 to SYS_SENDMMSG; send and recv name nobody. */
function op_of(n: u32): i32 {
  switch (n) {
    case S.SYS_SOCKET:
      return O.OP_SOCKET;
    case S.SYS_BIND:
      return O.OP_BIND;
    case S.SYS_CONNECT:
      return O.OP_CONNECT;
    case S.SYS_LISTEN:
      return O.OP_LISTEN;
    case S.SYS_ACCEPT:
      return O.OP_ACCEPT;
    case S.SYS_GETSOCKNAME:
      return O.OP_GETSOCKNAME;
    case S.SYS_GETPEERNAME:
      return O.OP_GETPEERNAME;
    case S.SYS_SOCKETPAIR:
      return O.OP_SOCKETPAIR;
    case S.SYS_SEND:
    case S.SYS_SENDTO:
      return O.OP_SENDTO;
    case S.SYS_RECV:
    case S.SYS_RECVFROM:
      return O.OP_RECVFROM;
    case S.SYS_SHUTDOWN:
      return O.OP_SHUTDOWN;
    case S.SYS_SETSOCKOPT:
      return O.OP_SETSOCKOPT;
    case S.SYS_GETSOCKOPT:
      return O.OP_GETSOCKOPT;
    case S.SYS_SENDMSG:
      return O.OP_SENDMSG;
    case S.SYS_RECVMSG:
      return O.OP_RECVMSG;
    case S.SYS_ACCEPT4:
      return O.OP_ACCEPT4;
    case S.SYS_RECVMMSG:
      return O.OP_RECVMMSG;
    default:
      return O.OP_SENDMMSG;
  }
}

/**
 * socketcall(2), which call, address of its arguments: puts them where that call looks for them.
 * Return: its operation, -EINVAL, -EFAULT, RET_NEED.
 */
export function socketcall_begin(f: frame): i32 {
  const call = <u32>f.rbx;
  if (call < 1 || call > <u32>S.SYS_SENDMMSG) return -EINVAL;
  const n = arguments_of(call);
  const at = SCRATCH_USER;
  const bad = copy_from_user(f, at, <u64>(<u32>f.rcx), n << 2);
  if (bad) return bad;
  f.set_args(load<u32>(at), load<u32>(at, 4), n > 2 ? load<u32>(at, 8) : 0);
  f.r10 = n > 3 ? load<u32>(at, 12) : 0;
  f.r8 = n > 4 ? load<u32>(at, 16) : 0;
  f.r9 = n > 5 ? load<u32>(at, 20) : 0;
  return op_of(call);
}

/** The arguments are the caller's own again: the audit log shows those. */
export function socketcall_end(f: frame): void {
  f.set_args(<u32>f.rbx, <u32>f.rcx, <u32>f.rdx);
  f.r10 = <u32>f.rsi;
  f.r8 = <u32>f.rdi;
  f.r9 = <u32>f.rbp;
}
