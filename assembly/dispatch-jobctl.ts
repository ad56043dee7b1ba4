// Terminals: their part of the dispatch.
import { frame } from "./lib/frame.ts";
import { task_struct } from "./process/task.ts";
import { sys_vhangup } from "./tty/sys-tty.ts";
import { ENOSYS } from "./uapi/errno.ts";
import * as O from "./uapi/op.ts";

/** Runs operation `op` of frame `f` for `p`. Return: result, -errno, RET_*. */
export function do_op_jobctl(op: u32, p: task_struct, f: frame, compat: bool): i32 {
  switch (op) {
    case O.OP_VHANGUP:
      return sys_vhangup(p);
    default:
      return -ENOSYS;
  }
}
