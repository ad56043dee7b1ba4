// What opens a descriptor by the world's leave.
import * as OP from '../../../assembly/uapi/op.ts';
import { type CallDef, opens, by, HOW, PLAIN, ALWAYS, O_CLOEXEC } from '../def.ts';

/** Calls that make a descriptor of something the kernel does not know. */
export const OPENING_CALLS: Readonly<Record<string, CallDef>> = {
  open: { ...opens('str flags:open mode', by(1)), op: OP.OP_OPEN },
  creat: { ...opens('str mode', PLAIN), op: OP.OP_CREAT },
  openat: { ...opens('dirfd str flags:open mode', by(2)), op: OP.OP_OPENAT },
  openat2: { ...opens('dirfd str in:open_how@3 ulong', HOW), op: OP.OP_OPENAT2 },
  open_by_handle_at: {
    ...opens('dirfd addr flags:open', by(2)),
    op: OP.OP_OPEN_BY_HANDLE_AT,
    note: "the world's, or a tmpfs of the kernel's with CAP_DAC_READ_SEARCH over the machine",
  },
  memfd_create: opens('str flags:memfd', by(1, 1n, 0n)),
  memfd_secret: opens('flags:open', by(0, O_CLOEXEC, 0n)),
  userfaultfd: opens('flags:open', by(0)),
  perf_event_open: opens('addr pid int fd flags:perf', by(4, 8n, 0n)),
  io_uring_setup: opens('uint addr', ALWAYS),
  fanotify_init: opens('flags:fanotify flags:open', by(0, 1n, 2n)),
  landlock_create_ruleset: opens('addr ulong uint', ALWAYS),
};
