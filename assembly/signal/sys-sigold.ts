// The signal calls that i386 had before real-time signals: masks of 32 bits (kernel/signal.c).
import { RET_RAW } from "../lib/err.ts";
import { frame } from "../lib/frame.ts";
import { SCRATCH_USER } from "../lib/root.ts";
import { KERNEL_ONLY, recalc_sigpending } from "./signal.ts";
import { k_sigaction } from "../process/signal-struct.ts";
import { do_sigaction, do_sigsuspend, set_current_blocked } from "./sys-signal.ts";
import { cold, task_struct } from "../process/task.ts";
import { copy_from_user, copy_to_user, prepare_write, put_user32 } from "../lib/uaccess.ts";
import { EFAULT, EINVAL } from "../uapi/errno.ts";
import * as N from "../uapi/signal.ts";

/** sigaction(2) of i386: handler, mask, flags, restorer, a word each. */
export function sys_sigaction(p: task_struct, f: frame): i32 {
  const set = f.a1;
  const old = f.a2;
  const from = SCRATCH_USER + 32;
  const act = changetype<k_sigaction>(SCRATCH_USER);
  if (set) {
    const bad = copy_from_user(f, from, set, 16);
    if (bad) return bad;
    act.handler = load<u32>(from);
    act.mask = load<u32>(from, 4);
    act.flags = load<u32>(from, 8);
    act.restorer = load<u32>(from, 12);
  }
  const need = prepare_write(f, old, 16);
  if (need) return need;
  const before = changetype<k_sigaction>(SCRATCH_USER + 128);
  const error = do_sigaction(p, <i32>f.a0, set ? act : changetype<k_sigaction>(0), before);
  if (error || !old) return error;
  store<u32>(from, <u32>before.handler);
  store<u32>(from, <u32>before.mask, 4);
  store<u32>(from, <u32>before.flags, 8);
  store<u32>(from, <u32>before.restorer, 12);
  return copy_to_user(f, old, from, 16) ? -EFAULT : 0;
}

/** signal(2): a handler that runs once, without blocking its signal. Return: the old one. */
export function sys_signal(p: task_struct, f: frame): i32 {
  const act = changetype<k_sigaction>(SCRATCH_USER);
  const before = changetype<k_sigaction>(SCRATCH_USER + 128);
  act.handler = <u64>(<u32>f.a1);
  act.flags = <u64>(<u32>(N.SA_RESETHAND | N.SA_NODEFER));
  act.restorer = 0;
  act.mask = 0;
  const error = do_sigaction(p, <i32>f.a0, act, before);
  if (error) return error;
  f.rax = before.handler;
  return RET_RAW;
}

/** sigprocmask(2) of i386: the upper half of the mask stays as it is. */
export function sys_sigprocmask(p: task_struct, f: frame): i32 {
  const need = prepare_write(f, f.a2, 4);
  if (need) return need;
  const k = cold(p);
  const old = k.blocked;
  if (f.a1) {
    const bad = copy_from_user(f, SCRATCH_USER, f.a1, 4);
    if (bad) return bad;
    const set = <u64>load<u32>(SCRATCH_USER);
    const how = <i32>f.a0;
    let blocked = old;
    if (how == N.SIG_BLOCK) blocked |= set;
    else if (how == N.SIG_UNBLOCK) blocked &= ~set;
    else if (how == N.SIG_SETMASK) blocked = (old & ~(<u64>u32.MAX_VALUE)) | set;
    else return -EINVAL;
    set_current_blocked(p, blocked);
  }
  return f.a2 && put_user32(f, f.a2, <i32>old) ? -EFAULT : 0;
}

/** sigpending(2) of i386. */
export function sys_sigpending(p: task_struct, f: frame): i32 {
  const pending = (p.pending | p.signal.shared_pending) & cold(p).blocked;
  store<u32>(SCRATCH_USER, <u32>pending);
  return copy_to_user(f, f.a0, SCRATCH_USER, 4);
}

/** sigsuspend(2) of i386: the mask is the third argument itself. */
export function sys_sigsuspend(p: task_struct, f: frame): i32 {
  return do_sigsuspend(p, f, <u64>(<u32>f.a2));
}

/** sgetmask(2): the lower half of the mask. */
export function sys_sgetmask(p: task_struct, f: frame): i32 {
  f.rax = <u64>(<u32>cold(p).blocked);
  return RET_RAW;
}

/** ssetmask(2): sets the lower half, clears the upper one. Return: the old lower half. */
export function sys_ssetmask(p: task_struct, f: frame): i32 {
  const k = cold(p);
  f.rax = <u64>(<u32>k.blocked);
  k.blocked = (<u64>(<u32>f.a0)) & ~KERNEL_ONLY;
  recalc_sigpending(p);
  return RET_RAW;
}
