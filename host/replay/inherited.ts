// Descriptors that the first process got from whoever ran the recorder. No line shows them but by
// what is missing: a new descriptor gets the lowest free number, so one that was passed over was
// open, unless some line shows how it came to be so.
import { INR_OPEN_MAX } from '../../assembly/uapi/limits.ts';
import type { Call } from './call.ts';
import type { Replay } from './engine.ts';

/** Does the log say, up to the end of this call, that anybody made descriptor `fd`? */
function wasMade(r: Replay, call: Call, fd: number): boolean {
  const first = r.index.fdsMade.get(fd);
  if (first === undefined) return false;
  return first <= (r.index.splits.endOf(call.seq) || call.seq);
}

/**
 * Adopts the numbers that a call passed over which made `made`, its search having begun at `from`.
 */
export function adoptInherited(r: Replay, call: Call, made: readonly number[], from: number): void {
  const open = (fd: number): boolean => r.kernel.file(call.pid, fd) !== undefined;
  let at = from;
  for (const fd of made) {
    if (fd > INR_OPEN_MAX || open(fd)) return;
    for (; at < fd; ++at) {
      if (open(at)) continue;
      if (wasMade(r, call, at)) return;
      if (r.kernel.adoptFd(call.pid, at)) r.adopted('descriptor that was open before');
    }
    at = fd + 1;
  }
}
