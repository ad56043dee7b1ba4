// The calls on sockets that have names: their part of the dispatch.
import { do_op_files } from "./dispatch-files.ts";
import { frame } from "./lib/frame.ts";
import * as K from "./net/sys-socket.ts";
import * as M from "./net/sys-message.ts";
import { socketcall_begin, socketcall_end } from "./net/sys-socketcall.ts";
import { task_struct } from "./process/task.ts";
import { ENOSYS } from "./uapi/errno.ts";
import * as O from "./uapi/op.ts";

/** Runs operation `op` of frame `f` for `p`. Return: result, -errno, RET_*. */
export function do_op_net(op: u32, p: task_struct, f: frame, compat: bool): i32 {
  const fd = <i32>f.a0;
  switch (op) {
    case O.OP_SOCKET:
      return K.sys_socket(p, f);
    case O.OP_BIND:
      return K.sys_bind(p, f, fd);
    case O.OP_CONNECT:
      return K.sys_connect(p, f, fd);
    case O.OP_LISTEN:
      return K.sys_listen(p, f, fd);
    case O.OP_ACCEPT:
      return K.sys_accept4(p, f, fd, 0);
    case O.OP_ACCEPT4:
      return K.sys_accept4(p, f, fd, <u32>f.r10);
    case O.OP_SENDMMSG:
      return M.sys_sendmmsg(p, f, fd, compat);
    case O.OP_RECVMMSG:
      return M.sys_recvmmsg(p, f, fd, compat);
    case O.OP_SOCKETCALL:
      return do_socketcall(p, f, compat);
    case O.OP_CONTAINER_SOCKET:
      return K.sys_container_socket(p, f);
    default:
      return -ENOSYS;
  }
}

/** socketcall(2): the call that is meant, as if it had come by its own number. */
function do_socketcall(p: task_struct, f: frame, compat: bool): i32 {
  const op = socketcall_begin(f);
  if (op < 0) return op;
  const own = op >= O.NET_OPS_FIRST && op <= O.NET_OPS_LAST;
  const r = own ? do_op_net(<u32>op, p, f, compat) : do_op_files(<u32>op, p, f, compat);
  socketcall_end(f);
  return r;
}
