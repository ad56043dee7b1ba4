// Process groups as signals see them: sending to all of one, and what makes one an orphan
// (kernel/signal.c, kernel/exit.c).
import { nil, same } from "../lib/err.ts";
import { pid } from "../process/pid.ts";
import { root } from "../lib/root.ts";
import { fill_siginfo, from_ancestor_ns, scratch_siginfo, send_signal } from "./signal.ts";
import { siginfo, SIGINFO_BYTES } from "./sigqueue.ts";
import { SIGNAL_STOP_STOPPED, signal_struct } from "../process/signal-struct.ts";
import { EXIT_ZOMBIE, task_struct } from "../process/task.ts";
import { zero } from "../lib/zero.ts";
import { SI_KERNEL, SI_USER } from "../uapi/signal.ts";

/** `sig` from the kernel itself, for one process. */
export function kill_kernel(leader: task_struct, sig: i32): void {
  const info = scratch_siginfo();
  zero(changetype<usize>(info), SIGINFO_BYTES);
  info.signo = sig;
  info.code = SI_KERNEL;
  send_signal(leader, info, true, true);
}

/** The same for every process of a group. */
export function kill_pgrp_kernel(pgrp: pid, sig: i32): void {
  const head = pgrp.members;
  for (let at = head.next; at !== head; at = at.next) {
    kill_kernel(signal_struct.from_pgrp_link(at).leader, sig);
  }
}

/** `sig` for every process of a group, as if `from` had sent it: nobody asks whether it may. */
export function kill_pgrp_by(pgrp: pid, sig: i32, from: task_struct): void {
  const head = pgrp.members;
  for (let at = head.next; at !== head; at = at.next) {
    const leader = signal_struct.from_pgrp_link(at).leader;
    const info: siginfo = scratch_siginfo();
    fill_siginfo(info, sig, SI_USER, from, leader);
    send_signal(leader, info, true, from_ancestor_ns(from, leader));
  }
}

/**
 * Is `pgrp` orphaned, or would it be without `ignored` (may be null)? No member's parent is in
 * another group of the member's session (setpgid(2)).
 */
export function is_orphaned_pgrp(pgrp: pid, ignored: task_struct): bool {
  const head = pgrp.members;
  for (let at = head.next; at !== head; at = at.next) {
    const s = signal_struct.from_pgrp_link(at);
    const p = s.leader;
    if (same(p, ignored) || (p.state == EXIT_ZOMBIE && s.nr_threads == 1)) continue;
    const parent = p.real_parent;
    if (nil(parent) || <u32>changetype<usize>(parent) == root().init_task) continue;
    if (!same(parent.signal.pgrp, pgrp) && same(parent.signal.session, s.session)) return false;
  }
  return true;
}

export function has_stopped_jobs(pgrp: pid): bool {
  const head = pgrp.members;
  for (let at = head.next; at !== head; at = at.next) {
    if (signal_struct.from_pgrp_link(at).flags & SIGNAL_STOP_STOPPED) return true;
  }
  return false;
}
