// The calls of users and namespaces: their part of the dispatch.
import { sys_capget, sys_capset } from "./cred/capability.ts";
import { frame } from "./lib/frame.ts";
import * as I from "./cred/sys-ids.ts";
import { sys_setns } from "./namespace/setns.ts";
import { sys_mount, sys_pivot_root, sys_umount2 } from "./fs/sys-mount.ts";
import { sys_chroot, sys_open, sys_openat2, sys_readlink } from "./fs/sys-open.ts";
import { task_struct } from "./process/task.ts";
import { ENOSYS } from "./uapi/errno.ts";
import { AT_FDCWD } from "./uapi/fcntl.ts";
import { OVERFLOW_GID, OVERFLOW_UID } from "./uapi/limits.ts";
import * as O from "./uapi/op.ts";
import * as U from "./namespace/uts.ts";

/** Operations of users and namespaces. */
export function do_op_ns(op: u32, p: task_struct, f: frame): i32 {
  const a0 = <i32>f.a0;
  switch (op) {
    case O.OP_SETFSUID:
      return I.sys_setfsuid(p, a0);
    case O.OP_SETFSGID:
      return I.sys_setfsgid(p, a0);
    case O.OP_GETGROUPS:
      return I.sys_getgroups(p, f, a0, true);
    case O.OP_SETGROUPS:
      return I.sys_setgroups(p, f, a0, true);
    case O.OP_OPEN:
      return sys_open(p, f, AT_FDCWD, f.a0, <u32>f.a1, <u32>f.a2);
    case O.OP_OPENAT:
      return sys_open(p, f, a0, f.a1, <u32>f.a2, <u32>f.r10);
    case O.OP_OPENAT2:
      return sys_openat2(p, f);
    case O.OP_READLINK:
      return sys_readlink(p, f, AT_FDCWD, f.a0, f.a1, <i32>f.a2);
    case O.OP_READLINKAT:
      return sys_readlink(p, f, a0, f.a1, f.a2, <i32>f.r10);
    case O.OP_SETNS:
      return sys_setns(p, a0, <u32>f.a1);
    case O.OP_MOUNT:
      return sys_mount(p, f);
    case O.OP_UMOUNT2:
      return sys_umount2(p, f);
    case O.OP_PIVOT_ROOT:
      return sys_pivot_root(p, f);
    case O.OP_UNAME:
      return U.sys_uname(p, f);
    case O.OP_SETHOSTNAME:
      return U.sys_sethostname(p, f);
    case O.OP_SETDOMAINNAME:
      return U.sys_setdomainname(p, f);
    case O.OP_OLDUNAME:
      return U.sys_olduname(p, f, 65);
    case O.OP_OLDOLDUNAME:
      return U.sys_oldolduname(p, f);
    case O.OP_CHROOT:
      return sys_chroot(p, f);
    case O.OP_CAPGET:
      return sys_capget(p, f);
    case O.OP_CAPSET:
      return sys_capset(p, f);
    default:
      return -ENOSYS;
  }
}

/** An id argument of 16 bits; -1 stays -1. */
function low2high(id: u64): i32 {
  return <u16>id == 0xffff ? -1 : <i32>(<u16>id);
}

/** The calls about ids in their old form. */
export function do_op_id16(op: u32, p: task_struct, f: frame): i32 {
  const a0 = low2high(f.a0);
  const a1 = low2high(f.a1);
  const a2 = low2high(f.a2);
  switch (op - O.OP_ID16) {
    case O.OP_GETUID:
      return I.high2low(I.sys_getuid(p), OVERFLOW_UID);
    case O.OP_GETEUID:
      return I.high2low(I.sys_geteuid(p), OVERFLOW_UID);
    case O.OP_GETGID:
      return I.high2low(I.sys_getgid(p), OVERFLOW_GID);
    case O.OP_GETEGID:
      return I.high2low(I.sys_getegid(p), OVERFLOW_GID);
    case O.OP_SETUID:
      return I.sys_setuid(p, a0);
    case O.OP_SETGID:
      return I.sys_setgid(p, a0);
    case O.OP_SETREUID:
      return I.sys_setreuid(p, a0, a1);
    case O.OP_SETREGID:
      return I.sys_setregid(p, a0, a1);
    case O.OP_SETRESUID:
      return I.sys_setresuid(p, a0, a1, a2);
    case O.OP_GETRESUID:
      return I.sys_getresuid(p, f, false);
    case O.OP_SETRESGID:
      return I.sys_setresgid(p, a0, a1, a2);
    case O.OP_GETRESGID:
      return I.sys_getresgid(p, f, false);
    case O.OP_SETFSUID:
      return I.high2low(I.sys_setfsuid(p, a0), OVERFLOW_UID);
    case O.OP_SETFSGID:
      return I.high2low(I.sys_setfsgid(p, a0), OVERFLOW_GID);
    case O.OP_GETGROUPS:
      return I.sys_getgroups(p, f, <i32>f.a0, false);
    case O.OP_SETGROUPS:
      return I.sys_setgroups(p, f, <i32>f.a0, false);
    default:
      return -ENOSYS;
  }
}
