// What each call is, by name, for every table: operation, arguments, who decides, how complete.
import * as OP from '../../assembly/uapi/op.ts';

/**
 * What an argument is. `in:`, `out:` and `inout:` are addresses of guest memory of that type; the
 * size of `buf` stands in the argument whose index follows.
 */
export type ArgKind =
  | 'int'
  | 'uint'
  | 'long'
  | 'fd'
  | 'pid'
  | 'sig'
  | 'addr'
  | 'flags'
  | 'in:str'
  | 'in:sigset'
  | 'in:sigaction'
  | 'in:siginfo'
  | 'in:rlimit'
  | 'in:timespec'
  | 'in:clone_args'
  | 'out:int'
  | 'out:pair'
  | 'out:sigset'
  | 'out:sigaction'
  | 'out:siginfo'
  | 'out:rusage'
  | 'out:rlimit'
  | 'out:comm'
  | 'inout:pollfds';

export interface CallDefinition {
  /** OP_* of the kernel, OP_NONE when it has none */
  op: number;
  args: readonly ArgKind[];
  class: 'emulated' | 'assisted' | 'unmodelled';
  /** the function that decides the class by what the call acts on */
  classBy?: 'byFile' | 'byCommand' | 'byOption';
  support: 'full' | 'partial' | 'none';
  note?: string;
}

type Row = [op: number, args: string, cls: 'e' | 'a', note?: string];

const CLASSES = { e: 'emulated', a: 'assisted' } as const;

/** A file whose contents are the world's; the number of its descriptor is the kernel's. */
const WORLD_FD = "success is the world's, the descriptor's number the kernel's";

const ROWS: Record<string, Row> = {
  exit: [OP.OP_EXIT, 'int', 'e'],
  exit_group: [OP.OP_EXIT_GROUP, 'int', 'e'],
  fork: [OP.OP_FORK, '', 'e'],
  vfork: [OP.OP_VFORK, '', 'e'],
  clone: [OP.OP_CLONE, 'flags addr out:int addr addr', 'e'],
  clone3: [OP.OP_CLONE3, 'in:clone_args uint', 'e'],
  wait4: [OP.OP_WAIT4, 'pid out:int flags out:rusage', 'e', "the rusage is the world's"],
  waitpid: [OP.OP_WAITPID, 'pid out:int flags', 'e'],
  waitid: [OP.OP_WAITID, 'int pid out:siginfo flags out:rusage', 'e'],
  execve: [
    OP.OP_EXECVE,
    'in:str addr addr',
    'a',
    "the file is the world's, the effect the kernel's",
  ],
  execveat: [OP.OP_EXECVEAT, 'fd in:str addr addr flags', 'a'],
  getpid: [OP.OP_GETPID, '', 'e'],
  getppid: [OP.OP_GETPPID, '', 'e'],
  gettid: [OP.OP_GETTID, '', 'e'],
  getpgid: [OP.OP_GETPGID, 'pid', 'e'],
  getpgrp: [OP.OP_GETPGRP, '', 'e'],
  setpgid: [OP.OP_SETPGID, 'pid pid', 'e'],
  setsid: [OP.OP_SETSID, '', 'e'],
  getsid: [OP.OP_GETSID, 'pid', 'e'],
  set_tid_address: [OP.OP_SET_TID_ADDRESS, 'addr', 'e'],
  getuid: [OP.OP_GETUID, '', 'e'],
  geteuid: [OP.OP_GETEUID, '', 'e'],
  getgid: [OP.OP_GETGID, '', 'e'],
  getegid: [OP.OP_GETEGID, '', 'e'],
  setuid: [OP.OP_SETUID, 'int', 'e'],
  setgid: [OP.OP_SETGID, 'int', 'e'],
  setreuid: [OP.OP_SETREUID, 'int int', 'e'],
  setregid: [OP.OP_SETREGID, 'int int', 'e'],
  setresuid: [OP.OP_SETRESUID, 'int int int', 'e'],
  setresgid: [OP.OP_SETRESGID, 'int int int', 'e'],
  getresuid: [OP.OP_GETRESUID, 'out:int out:int out:int', 'e'],
  getresgid: [OP.OP_GETRESGID, 'out:int out:int out:int', 'e'],
  kill: [OP.OP_KILL, 'pid sig', 'e'],
  tkill: [OP.OP_TKILL, 'pid sig', 'e'],
  tgkill: [OP.OP_TGKILL, 'pid pid sig', 'e'],
  rt_sigqueueinfo: [OP.OP_RT_SIGQUEUEINFO, 'pid sig in:siginfo', 'e'],
  rt_tgsigqueueinfo: [OP.OP_RT_TGSIGQUEUEINFO, 'pid pid sig in:siginfo', 'e'],
  rt_sigaction: [OP.OP_RT_SIGACTION, 'sig in:sigaction out:sigaction uint', 'e'],
  rt_sigprocmask: [OP.OP_RT_SIGPROCMASK, 'flags in:sigset out:sigset uint', 'e'],
  rt_sigpending: [OP.OP_RT_SIGPENDING, 'out:sigset uint', 'e'],
  rt_sigsuspend: [OP.OP_RT_SIGSUSPEND, 'in:sigset uint', 'e'],
  rt_sigreturn: [OP.OP_RT_SIGRETURN, '', 'e'],
  rt_sigtimedwait: [OP.OP_RT_SIGTIMEDWAIT, 'in:sigset out:siginfo in:timespec uint', 'e'],
  pause: [OP.OP_PAUSE, '', 'e'],
  close: [OP.OP_CLOSE, 'fd', 'e'],
  close_range: [OP.OP_CLOSE_RANGE, 'uint uint flags', 'e'],
  dup: [OP.OP_DUP, 'fd', 'e'],
  dup2: [OP.OP_DUP2, 'fd fd', 'e'],
  dup3: [OP.OP_DUP3, 'fd fd flags', 'e'],
  fcntl: [
    OP.OP_FCNTL,
    'fd flags long',
    'e',
    "record locks and the flags of a world's file are the world's",
  ],
  pipe: [OP.OP_PIPE, 'out:pair', 'e'],
  pipe2: [OP.OP_PIPE2, 'out:pair flags', 'e'],
  poll: [
    OP.OP_POLL,
    'inout:pollfds uint int',
    'a',
    "readiness of the world's files is the world's",
  ],
  read: [OP.OP_READ, 'fd addr uint', 'a', "bytes are the world's"],
  write: [OP.OP_WRITE, 'fd addr uint', 'a', "EPIPE and SIGPIPE are the kernel's"],
  prctl: [
    OP.OP_PRCTL,
    'flags addr addr addr addr',
    'e',
    'subreaper, pdeathsig, name, no_new_privs',
  ],
  prlimit64: [
    OP.OP_PRLIMIT64,
    'pid flags in:rlimit out:rlimit',
    'e',
    'what was set before the trace is adopted',
  ],
  getrlimit: [OP.OP_GETRLIMIT, 'flags out:rlimit', 'e'],
  setrlimit: [OP.OP_SETRLIMIT, 'flags in:rlimit', 'e'],
  umask: [OP.OP_UMASK, 'int', 'e'],
  unshare: [OP.OP_UNSHARE, 'flags', 'e'],
  reboot: [OP.OP_REBOOT, 'flags flags flags addr', 'e', "in the initial namespace the world's"],
  container_create: [OP.OP_CONTAINER_CREATE, 'in:str flags long long long', 'e'],
  fork_into_container: [OP.OP_FORK_INTO_CONTAINER, 'fd', 'e'],
  container_wait: [OP.OP_CONTAINER_WAIT, 'fd out:int flags out:rusage', 'e'],
  container_kill: [OP.OP_CONTAINER_KILL, 'fd int sig', 'e'],
  fsopen_2017: [OP.OP_FSOPEN, 'in:str fd flags', 'e', 'no file system is there yet: ENODEV'],
  fsmount_2017: [OP.OP_FSMOUNT, 'fd fd in:str flags flags', 'e', 'no context can be: EBADF'],
  socketpair: [OP.OP_WORLD_FD_PAIR, 'int int int out:pair', 'a', WORLD_FD],
};

/** Calls that make a descriptor by the world's leave. */
const WORLD_FD_CALLS =
  'open openat openat2 creat socket accept accept4 epoll_create epoll_create1 eventfd eventfd2 ' +
  'timerfd_create memfd_create inotify_init inotify_init1 signalfd signalfd4 userfaultfd ' +
  'perf_event_open io_uring_setup fanotify_init pidfd_open pidfd_getfd fspick open_tree fsopen ' +
  'fsmount open_by_handle_at memfd_secret landlock_create_ruleset';

/** Rows whose class depends on what they act on. */
const CLASS_BY: Record<string, CallDefinition['classBy']> = {
  read: 'byFile',
  write: 'byFile',
  poll: 'byFile',
  fcntl: 'byCommand',
  prctl: 'byOption',
};

const PARTIAL = new Set(['prctl', 'poll', 'fcntl', 'unshare', 'setuid', 'setgid', 'fsopen_2017']);

function definitions(): Record<string, CallDefinition> {
  const all: Record<string, CallDefinition> = {};
  for (const [name, [op, args, cls, note]] of Object.entries(ROWS)) {
    const kinds = (args ? args.split(' ') : []) as ArgKind[];
    const support = PARTIAL.has(name) ? 'partial' : 'full';
    all[name] = { op, args: kinds, class: CLASSES[cls], support, ...(note ? { note } : {}) };
    const by = CLASS_BY[name];
    if (by) all[name].classBy = by;
  }
  for (const name of WORLD_FD_CALLS.split(' ')) {
    all[name] = {
      op: OP.OP_WORLD_FD,
      args: [],
      class: 'assisted',
      support: 'partial',
      note: WORLD_FD,
    };
  }
  // other names of the same calls, on i386
  all.fcntl64 = all.fcntl!;
  all.ugetrlimit = all.getrlimit!;
  for (const name of ['setuid', 'setgid', 'getuid', 'getgid', 'geteuid', 'getegid']) {
    all[`${name}32`] = all[name]!;
  }
  for (const name of ['setreuid', 'setregid', 'setresuid', 'setresgid', 'getresuid', 'getresgid']) {
    all[`${name}32`] = all[name]!;
  }
  return all;
}

/** Every call that a table can name and this project knows more of than the name. */
export const DEFINITIONS: Readonly<Record<string, CallDefinition>> = definitions();
