// Signals of faults: what they override.
import { unshare_sighand } from "../process/exec.ts";
import { action_of, sighand_must_copy, SIGNAL_UNKILLABLE } from "../process/signal-struct.ts";
import { cold, PF_TRACED, task_struct } from "../process/task.ts";
import { sigmask } from "./signal.ts";
import { SIG_DFL, SIG_IGN } from "../uapi/signal.ts";

/** SIGILL SIGTRAP SIGBUS SIGFPE SIGSEGV SIGSYS. */
const FAULTS: u64 = 0x400004d8;

export function is_fault(signo: i32): bool {
  return ((FAULTS >> (signo - 1)) & 1) != 0;
}

/** A fault cannot be ignored, put off, or survived by being an init. */
export function unprotect(p: task_struct, signo: i32): void {
  const k = cold(p);
  const blocked = (k.blocked & sigmask(signo)) != 0;
  const handler = action_of(k.sighand, signo).handler;
  if (blocked || handler == SIG_IGN) {
    if (sighand_must_copy(k.sighand) && !unshare_sighand(p)) return;
    action_of(k.sighand, signo).handler = SIG_DFL;
    k.blocked &= ~sigmask(signo);
  } else if (handler != SIG_DFL) {
    return;
  }
  if (!(p.flags & PF_TRACED)) p.signal.flags &= ~SIGNAL_UNKILLABLE;
}
