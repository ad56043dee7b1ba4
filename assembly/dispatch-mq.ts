// POSIX message queues: their part of the dispatch.
import { frame } from "./lib/frame.ts";
import { sys_mq_notify } from "./ipc/mq-notify.ts";
import * as M from "./ipc/sys-mqueue.ts";
import { task_struct } from "./process/task.ts";
import { ENOSYS } from "./uapi/errno.ts";
import * as O from "./uapi/op.ts";

export function do_op_mq(op: u32, p: task_struct, f: frame, compat: bool): i32 {
  switch (op) {
    case O.OP_MQ_OPEN:
      return M.sys_mq_open(p, f, compat);
    case O.OP_MQ_UNLINK:
      return M.sys_mq_unlink(p, f);
    case O.OP_MQ_TIMEDSEND:
      return M.sys_mq_timedsend(p, f, compat);
    case O.OP_MQ_TIMEDRECEIVE:
      return M.sys_mq_timedreceive(p, f, compat);
    case O.OP_MQ_NOTIFY:
      return sys_mq_notify(p, f, compat);
    case O.OP_MQ_GETSETATTR:
      return M.sys_mq_getsetattr(p, f, compat);
    default:
      return -ENOSYS;
  }
}
