// What each system call is, by name: operation, arguments, result, class. The numbers are in
// numbers.ts. A name that an i386 table knows under other rules is in I386.
import * as OP from '../../assembly/uapi/op.ts';
import { CONTAINER_FILE_CALLS, KEY_CALLS } from './calls/containers.ts';
import { EVENT_CALLS, FILE_CALLS } from './calls/files.ts';
import { IPC_CALLS } from './calls/ipc.ts';
import { LIMIT_CALLS } from './calls/limits.ts';
import { ID_CALLS } from './calls/ids.ts';
import { MOUNT_CALLS, NAMESPACE_CALLS } from './calls/namespaces.ts';
import { OPENING_CALLS } from './calls/opens.ts';
import { PROCESS_CALLS, TIMER_CALLS } from './calls/process.ts';
import { SOCKET_CALLS } from './calls/sockets.ts';
import { OLD_SIGNAL_CALLS, SIGNAL_CALLS } from './calls/signals.ts';
import { VFS_CALLS } from './calls/vfs.ts';
import { type CallDef, own } from './def.ts';

export { CONTAINER_CALLS } from './calls/containers.ts';
export type { CallClass, CallDef, ClassRule, NewFd, Support } from './def.ts';

const UID32 = 'ids are 32 bits wide';

/** The calls that the kernel or the world decides. */
export const MODELLED: Readonly<Record<string, CallDef>> = {
  ...PROCESS_CALLS,
  ...LIMIT_CALLS,
  ...TIMER_CALLS,
  ...ID_CALLS,
  ...NAMESPACE_CALLS,
  ...MOUNT_CALLS,
  ...SIGNAL_CALLS,
  ...FILE_CALLS,
  ...EVENT_CALLS,
  ...IPC_CALLS,
  ...SOCKET_CALLS,
  ...OPENING_CALLS,
  ...CONTAINER_FILE_CALLS,
  ...KEY_CALLS,
  ...VFS_CALLS,
};

/** What a call is of which only the name matters here. */
export const UNMODELLED: CallDef = {
  op: OP.OP_WORLD_CALL,
  args: '',
  result: 'int',
  class: 'unmodelled',
  support: 'none',
  note: '',
};

/** Linux has these numbers and no code behind them. */
export const UNIMPLEMENTED: ReadonlySet<string> = new Set([
  'create_module',
  'get_kernel_syms',
  'query_module',
  'nfsservctl',
  'getpmsg',
  'putpmsg',
  'afs_syscall',
  'tuxcall',
  'security',
  'epoll_ctl_old',
  'epoll_wait_old',
  'vserver',
  'break',
  'stty',
  'gtty',
  'ftime',
  'prof',
  'lock',
  'mpx',
  'ulimit',
  'profil',
  'idle',
  'bdflush',
]);

const OLD_MASK = 'masks are 32 bits wide';
const OLD_STRUCT = { op: OP.OP_WORLD_CALL, support: 'none', note: 'an old layout' } as const;
const OLD_IDS = { op: OP.OP_WORLD_CALL, support: 'none', note: 'ids are 16 bits wide' } as const;
const OLD_LENGTH = {
  op: OP.OP_WORLD_CALL,
  support: 'none',
  note: 'lengths are 32 bits wide',
} as const;
const ID16 = 'ids are 16 bits wide; larger ones read as 65534';

/** The old form of a call about ids. */
function id16(op: number, args?: string): Partial<CallDef> {
  return { op: op | OP.OP_ID16, note: ID16, ...(args === undefined ? {} : { args }) };
}

/** What i386 tables have in another way. */
export const I386: Readonly<Record<string, Partial<CallDef>>> = {
  clone: { args: 'flags:clone addr out:i32 ulong addr' },
  waitpid: own(OP.OP_WAITPID, 'pid', 'pid out:i32 flags:wait'),
  sigreturn: own(OP.OP_RT_SIGRETURN, 'int', '', { note: 'takes the saved frame of its mask' }),
  ...Object.fromEntries(
    Object.entries(OLD_SIGNAL_CALLS).map(([name, call]) => [name, { ...call, note: OLD_MASK }]),
  ),
  select: { ...UNMODELLED, args: 'in:select_args', note: 'one structure; not modelled' },
  timerfd_settime: { ...UNMODELLED, note: 'times are 32 bits wide; not modelled' },
  timerfd_gettime: { ...UNMODELLED, note: 'times are 32 bits wide; not modelled' },
  getuid: id16(OP.OP_GETUID),
  geteuid: id16(OP.OP_GETEUID),
  getgid: id16(OP.OP_GETGID),
  getegid: id16(OP.OP_GETEGID),
  setuid: id16(OP.OP_SETUID),
  setgid: id16(OP.OP_SETGID),
  setreuid: id16(OP.OP_SETREUID),
  setregid: id16(OP.OP_SETREGID),
  setresuid: id16(OP.OP_SETRESUID),
  setresgid: id16(OP.OP_SETRESGID),
  setfsuid: id16(OP.OP_SETFSUID),
  setfsgid: id16(OP.OP_SETFSGID),
  getresuid: id16(OP.OP_GETRESUID, 'out:id16 out:id16 out:id16'),
  getresgid: id16(OP.OP_GETRESGID, 'out:id16 out:id16 out:id16'),
  getgroups: id16(OP.OP_GETGROUPS, 'int out:id16*0'),
  setgroups: id16(OP.OP_SETGROUPS, 'int in:id16*0'),
  fstat: OLD_STRUCT,
  stat: OLD_STRUCT,
  lstat: OLD_STRUCT,
  statfs: OLD_STRUCT,
  chown: OLD_IDS,
  lchown: OLD_IDS,
  fchown: OLD_IDS,
  truncate: OLD_LENGTH,
  ftruncate: OLD_LENGTH,
  fstatfs: OLD_STRUCT,
  mmap: { ...OLD_STRUCT, args: 'addr' },
  getrlimit: { op: OP.OP_OLD_GETRLIMIT, note: 'limits above 2^31-1 read as that' },
};

/** i386 names of calls that are the same as another one. */
export const ALIASES: Readonly<Record<string, readonly [of: string, note: string]>> = {
  getuid32: ['getuid', UID32],
  geteuid32: ['geteuid', UID32],
  getgid32: ['getgid', UID32],
  getegid32: ['getegid', UID32],
  setuid32: ['setuid', UID32],
  setgid32: ['setgid', UID32],
  setreuid32: ['setreuid', UID32],
  setregid32: ['setregid', UID32],
  setresuid32: ['setresuid', UID32],
  getresuid32: ['getresuid', UID32],
  setresgid32: ['setresgid', UID32],
  getresgid32: ['getresgid', UID32],
  setfsuid32: ['setfsuid', UID32],
  setfsgid32: ['setfsgid', UID32],
  getgroups32: ['getgroups', UID32],
  setgroups32: ['setgroups', UID32],
  chown32: ['chown', UID32],
  lchown32: ['lchown', UID32],
  fchown32: ['fchown', UID32],
  timerfd_settime64: ['timerfd_settime', 'times are 64 bits wide'],
  timerfd_gettime64: ['timerfd_gettime', 'times are 64 bits wide'],
  _newselect: ['select', 'as select of x86-64'],
  fcntl64: ['fcntl', 'file positions of locks are 64 bits wide'],
  ugetrlimit: ['getrlimit', 'limits are unsigned'],
};
