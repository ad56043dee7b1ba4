// The newer mount calls, and those that furnish a container: their part of the dispatch.
import { containers_enabled } from "./container/container.ts";
import { frame } from "./lib/frame.ts";
import { task_struct } from "./process/task.ts";
import { ENOSYS } from "./uapi/errno.ts";
import * as O from "./uapi/op.ts";
import * as C from "./vfs/sys-containermount.ts";
import * as X from "./vfs/sys-fscontext.ts";
import * as M from "./vfs/sys-fsmount.ts";
import * as A from "./vfs/sys-mountattr.ts";

/** Calls about mounts by descriptors. */
export function do_op_mount(op: u32, p: task_struct, f: frame): i32 {
  switch (op) {
    case O.OP_OPEN_TREE:
      return M.sys_open_tree(p, f);
    case O.OP_MOVE_MOUNT:
      return M.sys_move_mount(p, f);
    case O.OP_FSOPEN_TODAY:
      return X.sys_fsopen(p, f);
    case O.OP_FSCONFIG:
      return X.sys_fsconfig(p, f);
    case O.OP_FSMOUNT_TODAY:
      return M.sys_fsmount(p, f);
    case O.OP_FSPICK:
      return X.sys_fspick(p, f);
    case O.OP_MOUNT_SETATTR:
      return A.sys_mount_setattr(p, f);
    case O.OP_OPEN_TREE_ATTR:
      return A.sys_open_tree_attr(p, f);
    default:
      return containers_enabled() ? do_op_furnish(op, p, f) : -ENOSYS;
  }
}

/** The calls of the proposal: ENOSYS in a kernel without containers. */
function do_op_furnish(op: u32, p: task_struct, f: frame): i32 {
  switch (op) {
    case O.OP_FSOPEN:
      return X.sys_fsopen_2017(p, f);
    case O.OP_FSMOUNT:
      return C.sys_fsmount_2017(p, f);
    case O.OP_CONTAINER_MOUNT:
      return C.sys_container_mount(p, f);
    case O.OP_CONTAINER_CHROOT:
      return C.sys_container_chroot(p, f);
    case O.OP_CONTAINER_BIND_MOUNT_ACROSS:
      return C.sys_container_bind_mount_across(p, f);
    default:
      return -ENOSYS;
  }
}
