// Many calls in one crossing.
import { nil } from "./lib/err.ts";
import { frame } from "./lib/frame.ts";
import { do_syscall, task_of_frame } from "./syscall.ts";
import * as T from "./process/task.ts";
import * as F from "./uapi/frame.ts";

/** See do_syscall_batch(). */
export function do_batch(ring: usize, n: u32): u32 {
  let done: u32 = 0;
  let held = false;
  for (let i: u32 = 0; i < n; ++i) {
    const f = changetype<frame>(<usize>load<u32>(ring + (i << 2)));
    if (held) {
      const p = task_of_frame(f);
      if (!nil(p) && p.flags & T.PF_BATCH_HELD) {
        f.disposition = F.DISP_NOT_RUN;
        continue;
      }
    }
    const d = do_syscall(f);
    if (d == F.DISP_DONE) {
      done += 1;
    } else if (d == F.DISP_NEED || d == F.DISP_DRAIN) {
      held = true;
      const p = task_of_frame(f);
      if (!nil(p)) p.flags |= T.PF_BATCH_HELD;
    } else if (d == F.DISP_BUSY) {
      f.disposition = F.DISP_NOT_RUN;
    }
  }
  if (held) release_batch(ring, n);
  return done;
}

function release_batch(ring: usize, n: u32): void {
  for (let i: u32 = 0; i < n; ++i) {
    const p = task_of_frame(changetype<frame>(<usize>load<u32>(ring + (i << 2))));
    if (!nil(p)) p.flags &= ~T.PF_BATCH_HELD;
  }
}
