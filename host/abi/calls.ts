// What each system call is, by name: operation, arguments, result, class. The numbers are in
// numbers.ts. A name that an i386 table knows under other rules is in I386.
import * as OP from '../../assembly/uapi/op.ts';
import type { ResultKind } from './kinds.ts';

/** Who decides what a call does; see the classes of the replay. */
export type CallClass = 'emulated' | 'assisted' | 'unmodelled';

/** full: as Linux; partial: the note says what is missing; none: nothing of it is modelled. */
export type Support = 'full' | 'partial' | 'none';

/** A function that decides the class from the arguments or from the kind of file. */
export type ClassRule = 'byFile' | 'byCommand' | 'byOption';

/** Where a call that makes a descriptor says how it is opened. */
export interface NewFd {
  /** argument with the flags; undefined: the descriptor is always close-on-exec or never */
  readonly arg: number | undefined;
  /** the flags are the first 8 bytes behind that argument's address (openat2) */
  readonly indirect: boolean;
  readonly cloexec: bigint;
  readonly nonblock: bigint;
  readonly always: boolean;
}

/** One call. */
export interface CallDef {
  readonly op: number;
  readonly args: string;
  readonly result: ResultKind;
  readonly class: CallClass;
  readonly classBy?: ClassRule;
  readonly support: Support;
  readonly note: string;
  readonly newFd?: NewFd;
}

type Extra = Partial<Pick<CallDef, 'classBy' | 'support' | 'note' | 'newFd' | 'class'>>;

/** The kernel alone decides. */
function own(op: number, result: ResultKind, args = '', extra: Extra = {}): CallDef {
  return { op, args, result, class: 'emulated', support: 'full', note: '', ...extra };
}

/** The kernel decides, but not everything of the call is there. */
function part(op: number, result: ResultKind, args: string, note: string, x: Extra = {}): CallDef {
  return { op, args, result, class: 'emulated', support: 'partial', note, ...x };
}

/** The kernel has an operation for it that answers ENOSYS so far. */
function later(op: number, result: ResultKind, args: string): CallDef {
  return { op, args, result, class: 'unmodelled', support: 'none', note: 'not there yet' };
}

/** The world decides whether it succeeds, the kernel gives the descriptor. */
function opens(args: string, newFd: NewFd, extra: Extra = {}): CallDef {
  const note = 'the world decides success, the kernel the number';
  const rest = { support: 'partial', note, newFd, ...extra } as const;
  return { op: OP.OP_WORLD_FD, args, result: 'fd', class: 'assisted', ...rest };
}

const O_CLOEXEC = 0x80000n;
const O_NONBLOCK = 0x800n;
const by = (arg: number, cloexec = O_CLOEXEC, nonblock = O_NONBLOCK): NewFd => ({
  arg,
  indirect: false,
  cloexec,
  nonblock,
  always: false,
});
const HOW: NewFd = { ...by(2), indirect: true };
const PLAIN: NewFd = {
  arg: undefined,
  indirect: false,
  cloexec: 0n,
  nonblock: 0n,
  always: false,
};
const ALWAYS: NewFd = { ...PLAIN, always: true };
const REBOOT = "in the initial pid namespace the world's";
const UID32 = 'ids are 32 bits wide';

/** The calls that the kernel or the world decides. */
export const MODELLED: Readonly<Record<string, CallDef>> = {
  // processes
  exit: own(OP.OP_EXIT, 'never', 'int'),
  exit_group: own(OP.OP_EXIT_GROUP, 'never', 'int'),
  fork: own(OP.OP_FORK, 'pid'),
  vfork: own(OP.OP_VFORK, 'pid'),
  clone: own(OP.OP_CLONE, 'pid', 'flags:clone addr out:i32 addr ulong'),
  clone3: own(OP.OP_CLONE3, 'pid', 'in:clone_args@1 ulong'),
  wait4: own(OP.OP_WAIT4, 'pid', 'pid out:i32 flags:wait out:rusage', {
    note: 'rusage is all zero: no time passes in the kernel',
  }),
  waitid: own(OP.OP_WAITID, 'zero', 'op id out:siginfo flags:wait out:rusage'),
  execve: part(OP.OP_EXECVE, 'zero', 'str strs strs', "whether the file runs is the world's", {
    class: 'assisted',
  }),
  execveat: part(
    OP.OP_EXECVEAT,
    'zero',
    'dirfd str strs strs flags:at',
    "whether the file runs is the world's",
    { class: 'assisted' },
  ),
  restart_syscall: { ...later(OP.OP_RESTART_SYSCALL, 'int', ''), note: "the world's" },
  // ids
  getpid: own(OP.OP_GETPID, 'pid'),
  getppid: own(OP.OP_GETPPID, 'pid'),
  gettid: own(OP.OP_GETTID, 'pid'),
  getpgid: own(OP.OP_GETPGID, 'pid', 'pid'),
  getpgrp: own(OP.OP_GETPGRP, 'pid'),
  setpgid: own(OP.OP_SETPGID, 'zero', 'pid pid'),
  setsid: own(OP.OP_SETSID, 'pid'),
  getsid: own(OP.OP_GETSID, 'pid', 'pid'),
  set_tid_address: own(OP.OP_SET_TID_ADDRESS, 'pid', 'addr'),
  getuid: own(OP.OP_GETUID, 'id'),
  geteuid: own(OP.OP_GETEUID, 'id'),
  getgid: own(OP.OP_GETGID, 'id'),
  getegid: own(OP.OP_GETEGID, 'id'),
  setuid: own(OP.OP_SETUID, 'zero', 'id'),
  setgid: own(OP.OP_SETGID, 'zero', 'id'),
  setreuid: own(OP.OP_SETREUID, 'zero', 'id id'),
  setregid: own(OP.OP_SETREGID, 'zero', 'id id'),
  setresuid: own(OP.OP_SETRESUID, 'zero', 'id id id'),
  getresuid: own(OP.OP_GETRESUID, 'zero', 'out:i32 out:i32 out:i32'),
  setresgid: own(OP.OP_SETRESGID, 'zero', 'id id id'),
  getresgid: own(OP.OP_GETRESGID, 'zero', 'out:i32 out:i32 out:i32'),
  setfsuid: later(OP.OP_SETFSUID, 'id', 'id'),
  setfsgid: later(OP.OP_SETFSGID, 'id', 'id'),
  getgroups: later(OP.OP_GETGROUPS, 'int', 'int out:i32*0'),
  setgroups: later(OP.OP_SETGROUPS, 'zero', 'int in:i32*0'),
  // signals
  kill: own(OP.OP_KILL, 'zero', 'pid sig'),
  tkill: own(OP.OP_TKILL, 'zero', 'pid sig'),
  tgkill: own(OP.OP_TGKILL, 'zero', 'pid pid sig'),
  rt_sigqueueinfo: own(OP.OP_RT_SIGQUEUEINFO, 'zero', 'pid sig in:siginfo'),
  rt_tgsigqueueinfo: own(OP.OP_RT_TGSIGQUEUEINFO, 'zero', 'pid pid sig in:siginfo'),
  rt_sigaction: own(OP.OP_RT_SIGACTION, 'zero', 'sig in:sigaction out:sigaction ulong'),
  rt_sigprocmask: own(OP.OP_RT_SIGPROCMASK, 'zero', 'op in:sigset@3 out:sigset@3 ulong'),
  rt_sigpending: own(OP.OP_RT_SIGPENDING, 'zero', 'out:sigset@1 ulong'),
  rt_sigsuspend: own(OP.OP_RT_SIGSUSPEND, 'int', 'in:sigset@1 ulong'),
  rt_sigreturn: own(OP.OP_RT_SIGRETURN, 'int', '', { note: 'takes the saved frame of its mask' }),
  rt_sigtimedwait: own(OP.OP_RT_SIGTIMEDWAIT, 'int', 'in:sigset@3 out:siginfo in:timespec ulong'),
  pause: own(OP.OP_PAUSE, 'int'),
  sigaltstack: later(OP.OP_SIGALTSTACK, 'zero', 'in:stack out:stack'),
  // files
  close: own(OP.OP_CLOSE, 'zero', 'fd'),
  close_range: own(OP.OP_CLOSE_RANGE, 'zero', 'uint uint flags:close_range'),
  dup: own(OP.OP_DUP, 'fd', 'fd'),
  dup2: own(OP.OP_DUP2, 'fd', 'fd fd'),
  dup3: own(OP.OP_DUP3, 'fd', 'fd fd flags:open'),
  fcntl: part(OP.OP_FCNTL, 'int', 'fd op ulong', "locks, leases and seals are the world's", {
    classBy: 'byCommand',
  }),
  pipe: own(OP.OP_PIPE, 'zero', 'out:fdpair'),
  pipe2: own(OP.OP_PIPE2, 'zero', 'out:fdpair flags:open'),
  poll: part(OP.OP_POLL, 'int', 'io:pollfd*1 uint int', 'contents of pipes are not modelled', {
    class: 'assisted',
    classBy: 'byFile',
  }),
  ppoll: later(OP.OP_PPOLL, 'int', 'io:pollfd*1 uint in:timespec in:sigset@4 ulong'),
  read: part(OP.OP_READ, 'size', 'fd out:byte*2 ulong', "the bytes are the world's", {
    class: 'assisted',
    classBy: 'byFile',
  }),
  write: part(OP.OP_WRITE, 'size', 'fd in:byte*2 ulong', "the bytes are the world's", {
    class: 'assisted',
    classBy: 'byFile',
  }),
  // descriptors by the world's leave
  open: opens('str flags:open mode', by(1)),
  creat: opens('str mode', PLAIN),
  openat: opens('dirfd str flags:open mode', by(2)),
  openat2: opens('dirfd str in:open_how@3 ulong', HOW),
  open_by_handle_at: opens('dirfd addr flags:open', by(2)),
  socket: opens('op flags:sock op', by(1)),
  socketpair: {
    ...opens('op flags:sock op out:fdpair', by(1)),
    op: OP.OP_WORLD_FD_PAIR,
    result: 'zero',
  },
  accept: opens('fd addr addr', PLAIN),
  accept4: opens('fd addr addr flags:sock', by(3)),
  epoll_create: opens('int', PLAIN),
  epoll_create1: opens('flags:epoll', by(0)),
  eventfd: opens('uint', PLAIN),
  eventfd2: opens('uint flags:eventfd', by(1)),
  timerfd_create: opens('op flags:timerfd', by(1)),
  memfd_create: opens('str flags:memfd', by(1, 1n, 0n)),
  memfd_secret: opens('flags:open', by(0, O_CLOEXEC, 0n)),
  inotify_init: opens('', PLAIN),
  inotify_init1: opens('flags:inotify', by(0)),
  signalfd: opens('fd in:sigset@2 ulong', PLAIN),
  signalfd4: opens('fd in:sigset@2 ulong flags:signalfd', by(3)),
  userfaultfd: opens('flags:open', by(0)),
  perf_event_open: opens('addr pid int fd flags:perf', by(4, 8n, 0n)),
  io_uring_setup: opens('uint addr', ALWAYS),
  fanotify_init: opens('flags:fanotify flags:open', by(0, 1n, 2n)),
  pidfd_getfd: opens('fd fd uint', ALWAYS),
  open_tree: opens('dirfd str flags:open_tree', by(2, O_CLOEXEC, 0n)),
  open_tree_attr: opens('dirfd str flags:open_tree addr ulong', by(2, O_CLOEXEC, 0n)),
  fsopen: opens('str flags:fsopen', by(1, 1n, 0n)),
  fsmount: opens('fd flags:fsmount flags:mount_attr', by(1, 1n, 0n)),
  fspick: opens('dirfd str flags:fspick', by(2, 1n, 0n)),
  mq_open: opens('str flags:open mode in:mq_attr', ALWAYS),
  landlock_create_ruleset: opens('addr ulong uint', ALWAYS),
  // the rest of a process
  prctl: part(
    OP.OP_PRCTL,
    'int',
    'op ulong ulong ulong ulong',
    'options of name, subreaper, death signal, dumpable, keepcaps and no_new_privs',
    {
      classBy: 'byOption',
    },
  ),
  prlimit64: part(
    OP.OP_PRLIMIT64,
    'zero',
    'pid op in:rlimit64 out:rlimit64',
    'only RLIMIT_NOFILE has an effect',
  ),
  getrlimit: part(OP.OP_GETRLIMIT, 'zero', 'op out:rlimit', 'only RLIMIT_NOFILE has an effect'),
  setrlimit: part(OP.OP_SETRLIMIT, 'zero', 'op in:rlimit', 'only RLIMIT_NOFILE has an effect'),
  reboot: part(OP.OP_REBOOT, 'zero', 'flags:reboot flags:reboot flags:reboot addr', REBOOT),
  umask: own(OP.OP_UMASK, 'mask', 'mode'),
  unshare: part(OP.OP_UNSHARE, 'zero', 'flags:clone', 'namespaces have identities, no contents'),
  setns: later(OP.OP_SETNS, 'zero', 'fd flags:clone'),
  pidfd_open: opens('pid flags:open', { ...ALWAYS, arg: 1, nonblock: O_NONBLOCK }),
  pidfd_send_signal: later(OP.OP_PIDFD_SEND_SIGNAL, 'zero', 'fd sig in:siginfo uint'),
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

/** Calls of the 2017 proposal; fsopen and fsmount are not the calls that mainline has today. */
export const CONTAINER_CALLS: Readonly<Record<string, CallDef>> = {
  fsopen: part(OP.OP_FSOPEN, 'fd', 'str uint addr addr addr', 'no file system is registered'),
  fsmount: part(OP.OP_FSMOUNT, 'zero', 'fd str uint', 'no file system is registered'),
  container_create: own(OP.OP_CONTAINER_CREATE, 'fd', 'str flags:container ulong ulong ulong'),
  fork_into_container: own(OP.OP_FORK_INTO_CONTAINER, 'pid', 'fd'),
  container_wait: own(OP.OP_CONTAINER_WAIT, 'pid', 'fd out:i32 flags:wait out:rusage'),
  container_kill: own(OP.OP_CONTAINER_KILL, 'zero', 'fd int sig'),
  container_mount: none('zero', 'fd str str str flags:mount addr', 'before the start'),
  container_chroot: none('zero', 'fd str', 'before the start'),
  container_bind_mount_across: none('zero', 'dirfd str fd str', 'before the start'),
  container_socket: none('fd', 'fd op flags:sock op', "a socket of the container's network"),
  container_add_key: none('id', 'str str in:byte*3 ulong fd', 'a key for the members'),
  container_devices: none(
    'zero',
    'fd in:device*2 uint',
    'list of {u32 type, major; u64 minors[4]}; before the start; empty: no device',
  ),
};

function none(result: ResultKind, args: string, what: string): CallDef {
  const note = `${what}; not there yet: ENOSYS`;
  return { op: OP.OP_NONE, args, result, class: 'emulated', support: 'none', note };
}

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
const ID16 = 'ids are 16 bits wide; larger ones read as 65534';

/** What i386 tables have in another way. */
export const I386: Readonly<Record<string, Partial<CallDef>>> = {
  clone: { args: 'flags:clone addr out:i32 ulong addr' },
  waitpid: own(OP.OP_WAITPID, 'pid', 'pid out:i32 flags:wait'),
  sigreturn: own(OP.OP_RT_SIGRETURN, 'int', '', { note: 'takes the saved frame of its mask' }),
  sigaction: { note: `${OLD_MASK}; not modelled` },
  sigprocmask: { note: `${OLD_MASK}; not modelled` },
  sigpending: { note: `${OLD_MASK}; not modelled` },
  sigsuspend: { note: `${OLD_MASK}; not modelled` },
  socketcall: { note: 'many calls in one; not modelled' },
  getuid: { note: ID16 },
  geteuid: { note: ID16 },
  getgid: { note: ID16 },
  getegid: { note: ID16 },
  setuid: { note: ID16 },
  setgid: { note: ID16 },
  setreuid: { note: ID16 },
  setregid: { note: ID16 },
  setresuid: { note: ID16 },
  setresgid: { note: ID16 },
  getresuid: {
    op: OP.OP_WORLD_CALL,
    class: 'unmodelled',
    support: 'none',
    note: ID16,
    args: 'out:id16 out:id16 out:id16',
  },
  getresgid: {
    op: OP.OP_WORLD_CALL,
    class: 'unmodelled',
    support: 'none',
    note: ID16,
    args: 'out:id16 out:id16 out:id16',
  },
  getgroups: {
    op: OP.OP_WORLD_CALL,
    class: 'unmodelled',
    support: 'none',
    note: ID16,
    args: 'int out:id16*0',
  },
  setgroups: {
    op: OP.OP_WORLD_CALL,
    class: 'unmodelled',
    support: 'none',
    note: ID16,
    args: 'int in:id16*0',
  },
  setfsuid: { note: ID16 },
  setfsgid: { note: ID16 },
  getrlimit: { note: 'limits above 2^31-1 read as that; only RLIMIT_NOFILE has an effect' },
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
  fcntl64: ['fcntl', 'file positions of locks are 64 bits wide'],
  ugetrlimit: ['getrlimit', 'limits are unsigned'],
};
