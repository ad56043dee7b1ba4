// Extended attributes and handles of files: their part of the dispatch.
import { frame } from "./lib/frame.ts";
import { task_struct } from "./process/task.ts";
import { ENOSYS } from "./uapi/errno.ts";
import * as O from "./uapi/op.ts";
import { sys_name_to_handle_at, sys_open_by_handle_at } from "./vfs/sys-handle.ts";
import * as X from "./vfs/sys-xattr.ts";

export function do_op_xattr(op: u32, p: task_struct, f: frame): i32 {
  switch (op) {
    case O.OP_SETXATTR:
      return X.sys_setxattr(p, f, X.XATTR_PATH);
    case O.OP_LSETXATTR:
      return X.sys_setxattr(p, f, X.XATTR_LINK);
    case O.OP_FSETXATTR:
      return X.sys_setxattr(p, f, X.XATTR_FD);
    case O.OP_GETXATTR:
      return X.sys_getxattr(p, f, X.XATTR_PATH);
    case O.OP_LGETXATTR:
      return X.sys_getxattr(p, f, X.XATTR_LINK);
    case O.OP_FGETXATTR:
      return X.sys_getxattr(p, f, X.XATTR_FD);
    case O.OP_LISTXATTR:
      return X.sys_listxattr(p, f, X.XATTR_PATH);
    case O.OP_LLISTXATTR:
      return X.sys_listxattr(p, f, X.XATTR_LINK);
    case O.OP_FLISTXATTR:
      return X.sys_listxattr(p, f, X.XATTR_FD);
    case O.OP_NAME_TO_HANDLE_AT:
      return sys_name_to_handle_at(p, f);
    case O.OP_OPEN_BY_HANDLE_AT:
      return sys_open_by_handle_at(p, f);
    case O.OP_REMOVEXATTR:
      return X.sys_removexattr(p, f, X.XATTR_PATH);
    case O.OP_LREMOVEXATTR:
      return X.sys_removexattr(p, f, X.XATTR_LINK);
    case O.OP_FREMOVEXATTR:
      return X.sys_removexattr(p, f, X.XATTR_FD);
    default:
      return -ENOSYS;
  }
}
