// The alternate signal stack (sigaltstack(2)). The stack pointer is the guest's: a host that fills
// in frame.rsp is asked whether it lies on the stack; without one the kernel goes by the handlers
// that it entered with SA_ONSTACK and has not seen return.
import { seeded_fault } from "../lib/bug.ts";
import { frame } from "../lib/frame.ts";
import { SCRATCH_USER } from "../lib/root.ts";
import { PF_RARE, rare, rare_for_write, task_rare, task_struct } from "../process/task.ts";
import { copy_from_user, copy_to_user, prepare_write } from "../lib/uaccess.ts";
import { EFAULT, EINVAL, ENOMEM, EPERM } from "../uapi/errno.ts";
import { ASSIST_RET } from "../uapi/frame.ts";
import { MINSIGSTKSZ, SS_AUTODISARM, SS_DISABLE, SS_ONSTACK } from "../uapi/signal.ts";

// Seeded fault (debug builds only): a thread begins on its maker's alternate stack.
const F_ALTSTACK_CLONE = 203;

/** Does the caller run on its alternate stack? */
function on_sig_stack(k: task_rare, f: frame): bool {
  // a stack that is disarmed while in use does not count as one
  if (k.sas_flags & SS_AUTODISARM) return false;
  if (f.rsp) return f.rsp > k.sas_sp && f.rsp - k.sas_sp <= k.sas_size;
  return k.sas_on != 0 && k.sas_size != 0;
}

function sas_reset(k: task_rare): void {
  k.sas_sp = 0;
  k.sas_size = 0;
  k.sas_flags = SS_DISABLE;
  k.sas_on = 0;
}

/** exec: a new program has no alternate stack. */
export function altstack_exec(p: task_struct): void {
  if (p.flags & PF_RARE) sas_reset(rare(p));
}

/** A clone: the child has the parent's, unless it shares the memory that it lies in (clone(2)). */
export function altstack_clone(p: task_struct, parent: task_struct, shares_vm: bool): void {
  const from = rare(parent);
  if (!from.sas_size || (shares_vm && !seeded_fault(F_ALTSTACK_CLONE))) return;
  const k = rare_for_write(p);
  k.sas_sp = from.sas_sp;
  k.sas_size = from.sas_size;
  k.sas_flags = from.sas_flags;
  k.sas_on = from.sas_on;
}

/** A handler with SA_ONSTACK begins. */
export function altstack_enter(k: task_rare): void {
  if (!k.sas_size) return;
  if (k.sas_flags & SS_AUTODISARM) sas_reset(k);
  else k.sas_on = 1;
}

/** The same checks for both layouts. Return: 0, -EPERM, -EINVAL, -ENOMEM. */
function do_sigaltstack(p: task_struct, f: frame, sp: u64, size: u64, flags: u32): i32 {
  const k = rare(p);
  if (on_sig_stack(k, f)) {
    // siglongjmp leaves a handler without a return: the recorder saw that it had
    const left = !f.rsp && (f.assist & ASSIST_RET) != 0;
    if (!left) return -EPERM;
    k.sas_on = 0;
  }
  const mode = flags & ~(<u32>SS_AUTODISARM);
  if (mode != SS_DISABLE && mode != SS_ONSTACK && mode != 0) return -EINVAL;
  if (k.sas_sp == sp && k.sas_size == size && k.sas_flags == flags) return 0;
  if (mode == SS_DISABLE) {
    sp = 0;
    size = 0;
  } else if (size < <u64>MINSIGSTKSZ) {
    return -ENOMEM;
  }
  const own = rare_for_write(p);
  own.sas_sp = sp;
  own.sas_size = size;
  own.sas_flags = flags;
  return 0;
}

/** sigaltstack(2): new, old. */
export function sys_sigaltstack(p: task_struct, f: frame, compat: bool): i32 {
  const bytes: u32 = compat ? 12 : 24;
  const need = prepare_write(f, f.a1, bytes);
  if (need) return need;
  const at = SCRATCH_USER;
  const k = rare(p);
  const old_sp = k.sas_sp;
  const old_size = k.sas_size;
  let old_flags = <u32>SS_DISABLE;
  if (old_size) old_flags = on_sig_stack(k, f) ? SS_ONSTACK : 0;
  old_flags |= k.sas_flags & SS_AUTODISARM;
  if (f.a0) {
    let error = copy_from_user(f, at, f.a0, bytes);
    if (error) return error;
    const sp = compat ? <u64>load<u32>(at) : load<u64>(at);
    const size = compat ? <u64>load<u32>(at, 8) : load<u64>(at, 16);
    error = do_sigaltstack(p, f, sp, size, compat ? load<u32>(at, 4) : load<u32>(at, 8));
    if (error) return error;
  }
  if (!f.a1) return 0;
  memory.fill(at, 0, bytes);
  if (compat) {
    store<u32>(at, <u32>old_sp);
    store<u32>(at, old_flags, 4);
    store<u32>(at, <u32>old_size, 8);
  } else {
    store<u64>(at, old_sp);
    store<u32>(at, old_flags, 8);
    store<u64>(at, old_size, 16);
  }
  return copy_to_user(f, f.a1, at, bytes) ? -EFAULT : 0;
}
