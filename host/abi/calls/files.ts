// Descriptors and open files.
import * as OP from '../../../assembly/uapi/op.ts';
import { type CallDef, own, part } from '../def.ts';

const TIME = 'how much time has passed is what the host says';

/** Of pipes, sockets, counters and the like the kernel knows how many bytes there are. */
const onFile = (op: number, result: CallDef['result'], args: string): CallDef =>
  part(op, result, args, "the bytes of the world's files are the world's", { classBy: 'byFile' });

const onReady = (op: number, args: string): CallDef =>
  part(op, 'int', args, "readiness of the world's files and how long it takes are the world's", {
    class: 'assisted',
    classBy: 'byFile',
  });

/** Calls on descriptors that are open. */
export const FILE_CALLS: Readonly<Record<string, CallDef>> = {
  close: own(OP.OP_CLOSE, 'zero', 'fd'),
  close_range: own(OP.OP_CLOSE_RANGE, 'zero', 'uint uint flags:close_range'),
  dup: own(OP.OP_DUP, 'fd', 'fd'),
  dup2: own(OP.OP_DUP2, 'fd', 'fd fd'),
  dup3: own(OP.OP_DUP3, 'fd', 'fd fd flags:open'),
  fcntl: part(
    OP.OP_FCNTL,
    'int',
    'fd op ulong',
    "leases, seals and hints are the world's, as is SIGIO of terminals and inotify",
    {
      classBy: 'byCommand',
    },
  ),
  pipe: own(OP.OP_PIPE, 'zero', 'out:fdpair'),
  pipe2: own(OP.OP_PIPE2, 'zero', 'out:fdpair flags:open'),
  poll: onReady(OP.OP_POLL, 'io:pollfd*1 uint int'),
  ppoll: onReady(OP.OP_PPOLL, 'io:pollfd*1 uint in:timespec in:sigset@4 ulong'),
  select: onReady(OP.OP_SELECT, 'int io:fdset io:fdset io:fdset io:timeval'),
  pselect6: onReady(OP.OP_PSELECT6, 'int io:fdset io:fdset io:fdset io:timespec in:pselect_set'),
  read: onFile(OP.OP_READ, 'size', 'fd out:byte*2 ulong'),
  write: onFile(OP.OP_WRITE, 'size', 'fd in:byte*2 ulong'),
  readv: onFile(OP.OP_READV, 'size', 'fd in:iovec*2 ulong'),
  writev: onFile(OP.OP_WRITEV, 'size', 'fd in:iovec*2 ulong'),
  pread64: onFile(OP.OP_PREAD, 'size', 'fd out:byte*2 ulong long'),
  pwrite64: onFile(OP.OP_PWRITE, 'size', 'fd in:byte*2 ulong long'),
  splice: onFile(OP.OP_SPLICE, 'size', 'fd addr fd addr ulong flags:splice'),
  tee: onFile(OP.OP_TEE, 'size', 'fd fd ulong flags:splice'),
  vmsplice: onFile(OP.OP_VMSPLICE, 'size', 'fd in:iovec*2 ulong flags:splice'),
  sendfile: onFile(OP.OP_SENDFILE, 'size', 'fd fd addr ulong'),
  vhangup: own(OP.OP_VHANGUP, 'zero'),
  flock: part(OP.OP_FLOCK, 'zero', 'fd flags:lock', 'files that the world names', {
    classBy: 'byFile',
  }),
  kcmp: part(OP.OP_KCMP, 'int', 'pid pid op ulong ulong', "the order of two is the machine's"),
};

/** Calls of epoll, eventfd, timerfd, signalfd, inotify. */
export const EVENT_CALLS: Readonly<Record<string, CallDef>> = {
  epoll_create: own(OP.OP_EPOLL_CREATE, 'fd', 'int'),
  epoll_create1: own(OP.OP_EPOLL_CREATE1, 'fd', 'flags:epoll'),
  epoll_ctl: part(
    OP.OP_EPOLL_CTL,
    'zero',
    'fd op fd in:epoll_event',
    "which of its files can be watched is the world's",
    { classBy: 'byFile' },
  ),
  epoll_wait: onReady(OP.OP_EPOLL_WAIT, 'fd out:epoll_event*2 int int'),
  epoll_pwait: onReady(OP.OP_EPOLL_PWAIT, 'fd out:epoll_event*2 int int in:sigset@5 ulong'),
  epoll_pwait2: onReady(
    OP.OP_EPOLL_PWAIT2,
    'fd out:epoll_event*2 int in:timespec64 in:sigset@5 ulong',
  ),
  eventfd: own(OP.OP_EVENTFD, 'fd', 'uint'),
  eventfd2: own(OP.OP_EVENTFD2, 'fd', 'uint flags:eventfd'),
  timerfd_create: own(OP.OP_TIMERFD_CREATE, 'fd', 'op flags:timerfd'),
  timerfd_settime: part(
    OP.OP_TIMERFD_SETTIME,
    'zero',
    'fd flags:timerfd_time in:itimerspec out:itimerspec',
    TIME,
  ),
  timerfd_gettime: part(OP.OP_TIMERFD_GETTIME, 'zero', 'fd out:itimerspec', TIME),
  signalfd: own(OP.OP_SIGNALFD, 'fd', 'fd in:sigset@2 ulong'),
  signalfd4: own(OP.OP_SIGNALFD4, 'fd', 'fd in:sigset@2 ulong flags:signalfd'),
  inotify_init: own(OP.OP_INOTIFY_INIT, 'fd'),
  inotify_init1: own(OP.OP_INOTIFY_INIT1, 'fd', 'flags:inotify'),
  inotify_add_watch: part(
    OP.OP_INOTIFY_ADD_WATCH,
    'int',
    'fd str flags:inotify_mask',
    'the world decides success, the kernel the number',
    { class: 'assisted' },
  ),
  inotify_rm_watch: own(OP.OP_INOTIFY_RM_WATCH, 'zero', 'fd int'),
};
