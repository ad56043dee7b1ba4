// Calls that belong together, by what they do to processes.
import * as OP from '../../assembly/uapi/op.ts';

/** Calls that wait for a child. */
export const WAITS: ReadonlySet<number> = new Set([OP.OP_WAIT4, OP.OP_WAITID, OP.OP_WAITPID]);
/** Calls that send a signal to processes. */
export const SENDS: ReadonlySet<number> = new Set([
  OP.OP_KILL,
  OP.OP_TKILL,
  OP.OP_TGKILL,
  OP.OP_RT_SIGQUEUEINFO,
  OP.OP_RT_TGSIGQUEUEINFO,
  OP.OP_PIDFD_SEND_SIGNAL,
]);
