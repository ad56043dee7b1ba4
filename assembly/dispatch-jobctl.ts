// Terminals and System V objects: their part of the dispatch.
import { frame } from "./lib/frame.ts";
import * as M from "./ipc/sys-msg.ts";
import * as S from "./ipc/sys-sem.ts";
import * as H from "./ipc/sys-shm.ts";
import { SCRATCH_USER } from "./lib/root.ts";
import { task_struct } from "./process/task.ts";
import { sys_vhangup } from "./tty/sys-tty.ts";
import { RET_RAW } from "./lib/err.ts";
import { copy_from_user, prepare_write, put_user32 } from "./lib/uaccess.ts";
import { EINVAL, ENOSYS } from "./uapi/errno.ts";
import { IPC_64 } from "./uapi/ipc.ts";
import * as O from "./uapi/op.ts";

/** Runs operation `op` of frame `f` for `p`. Return: result, -errno, RET_*. */
export function do_op_jobctl(op: u32, p: task_struct, f: frame, compat: bool): i32 {
  const a0 = f.i0;
  const a1 = f.i1;
  const a2 = f.i2;
  switch (op) {
    case O.OP_VHANGUP:
      return sys_vhangup(p);
    case O.OP_SEMGET:
      return S.sys_semget(p, f, a0, a1, <u32>a2);
    case O.OP_SEMOP:
      return S.sys_semtimedop(p, f, a0, f.a1, <u32>a2, 0, compat);
    case O.OP_SEMTIMEDOP:
      return S.sys_semtimedop(p, f, a0, f.a1, <u32>a2, f.r10, compat);
    case O.OP_SEMCTL:
      return S.sys_semctl(p, f, a0, a1, a2 & ~IPC_64, f.r10);
    case O.OP_SHMGET:
      return H.sys_shmget(p, f, a0, f.a1, <u32>a2);
    case O.OP_SHMAT:
      return H.sys_shmat(p, f, a0, f.a1, <u32>a2);
    case O.OP_SHMDT:
      return H.sys_shmdt(p, f.a0);
    case O.OP_SHMCTL:
      return H.sys_shmctl(p, f, a0, a1 & ~IPC_64, f.a2);
    case O.OP_MSGGET:
      return M.sys_msgget(p, f, a0, <u32>a1);
    case O.OP_MSGSND:
      return M.sys_msgsnd(p, f, a0, f.a1, f.a2, <u32>f.r10);
    case O.OP_MSGRCV:
      return M.sys_msgrcv(p, f, a0, f.a1, f.a2, long_of(f.r10, compat), <u32>f.r8);
    case O.OP_MSGCTL:
      return M.sys_msgctl(p, f, a0, a1 & ~IPC_64, f.a2);
    case O.OP_IPC:
      return sys_ipc(p, f, compat);
    default:
      return -ENOSYS;
  }
}

/** A long in a register. */
function long_of(value: u64, compat: bool): i64 {
  return compat ? <i64>(<i32>value) : <i64>value;
}

/** The operation of a number of ipc(2); OP_NONE: it has none. */
function ipc_op(call: u32): u32 {
  if (call - 1 <= 3) {
    if (call == 1) return O.OP_SEMOP;
    return call == 2 ? O.OP_SEMGET : call == 3 ? O.OP_SEMCTL : O.OP_SEMTIMEDOP;
  }
  if (call - 11 <= 3) {
    if (call == 11) return O.OP_MSGSND;
    return call == 12 ? O.OP_MSGRCV : call == 13 ? O.OP_MSGGET : O.OP_MSGCTL;
  }
  if (call - 21 > 3) return O.OP_NONE;
  if (call == 21) return O.OP_SHMAT;
  return call == 22 ? O.OP_SHMDT : call == 23 ? O.OP_SHMGET : O.OP_SHMCTL;
}

/** ipc(2) of i386: which call, its three numbers, an address, one more number. */
function sys_ipc(p: task_struct, f: frame, compat: bool): i32 {
  const version = f.a0 >> 16;
  const op = ipc_op((<u32>f.a0) & 0xffff);
  if (op == O.OP_NONE) return -ENOSYS;
  const first = f.a1;
  const second = f.a2;
  const third = f.r10;
  const ptr = f.r8;
  const fifth = f.r9;
  // where the call goes on after a sleep it has arguments of its own
  f.op = op;
  if (op == O.OP_SEMOP || op == O.OP_SEMTIMEDOP || op == O.OP_MSGSND) {
    f.set_args(first, ptr, second);
    f.r10 = op == O.OP_SEMTIMEDOP ? fifth : third;
  } else if (op == O.OP_SEMCTL) {
    // the argument is a union behind an address
    const bad = ptr ? copy_from_user(f, SCRATCH_USER, ptr, 4) : -EINVAL;
    if (bad) return bad;
    f.set_args(first, second, third);
    f.r10 = <u64>load<u32>(SCRATCH_USER);
  } else if (op == O.OP_MSGRCV) {
    return ipc_msgrcv(p, f, version, ptr, fifth);
  } else if (op == O.OP_SHMAT) {
    if (version == 1) return -EINVAL;
    const need = prepare_write(f, third, 4);
    if (need) return need;
    f.set_args(first, ptr, second);
    const r = do_op_jobctl(op, p, f, compat);
    // the address goes where the third number says
    return r == RET_RAW ? put_user32(f, third, <i32>f.rax) : r;
  } else if (op == O.OP_SHMDT) {
    f.set_args(ptr, 0, 0);
  } else if (op == O.OP_SHMCTL || op == O.OP_MSGCTL) {
    f.set_args(first, second, ptr);
  } else {
    f.set_args(first, second, third);
  }
  return do_op_jobctl(op, p, f, compat);
}

/** msgrcv by ipc(2): its old form has message and type behind an address. */
function ipc_msgrcv(p: task_struct, f: frame, version: u64, ptr: u64, type: u64): i32 {
  let at = ptr;
  let want = type;
  if (!version) {
    if (!ptr) return -EINVAL;
    const bad = copy_from_user(f, SCRATCH_USER, ptr, 8);
    if (bad) return bad;
    at = <u64>load<u32>(SCRATCH_USER);
    want = <u64>load<u32>(SCRATCH_USER, 4);
  }
  f.r8 = f.r10;
  f.r10 = <u64>(<i64>(<i32>want));
  f.set_args(f.a1, at, f.a2);
  return do_op_jobctl(O.OP_MSGRCV, p, f, true);
}
