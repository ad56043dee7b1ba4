// Portable: compiled unchanged by asc and by tsc. Only `export const NAME = <integer>`.
// Internal operation numbers. A syscall table maps the numbers of one ABI to these.
// world_fd, world_call: the world decides success, the kernel what follows (a
// descriptor's number).
// 0 is no operation: the number is not in the table, ENOSYS.
export const OP_NONE = 0;
// processes.
export const OP_EXIT = 1;
export const OP_EXIT_GROUP = 2;
export const OP_FORK = 3;
export const OP_VFORK = 4;
export const OP_CLONE = 5;
export const OP_CLONE3 = 6;
export const OP_WAIT4 = 7;
export const OP_WAITPID = 8;
export const OP_WAITID = 9;
export const OP_EXECVE = 10;
export const OP_EXECVEAT = 11;
export const OP_RESTART_SYSCALL = 12;
// ids.
export const OP_GETPID = 13;
export const OP_GETPPID = 14;
export const OP_GETTID = 15;
export const OP_GETPGID = 16;
export const OP_GETPGRP = 17;
export const OP_SETPGID = 18;
export const OP_SETSID = 19;
export const OP_GETSID = 20;
export const OP_SET_TID_ADDRESS = 21;
export const OP_GETUID = 22;
export const OP_GETEUID = 23;
export const OP_GETGID = 24;
export const OP_GETEGID = 25;
export const OP_SETUID = 26;
export const OP_SETGID = 27;
export const OP_SETREUID = 28;
export const OP_SETREGID = 29;
export const OP_SETRESUID = 30;
export const OP_GETRESUID = 31;
export const OP_SETRESGID = 32;
export const OP_GETRESGID = 33;
export const OP_SETFSUID = 34;
export const OP_SETFSGID = 35;
export const OP_GETGROUPS = 36;
export const OP_SETGROUPS = 37;
// signals.
export const OP_KILL = 38;
export const OP_TKILL = 39;
export const OP_TGKILL = 40;
export const OP_RT_SIGQUEUEINFO = 41;
export const OP_RT_TGSIGQUEUEINFO = 42;
export const OP_RT_SIGACTION = 43;
export const OP_RT_SIGPROCMASK = 44;
export const OP_RT_SIGPENDING = 45;
export const OP_RT_SIGSUSPEND = 46;
export const OP_RT_SIGRETURN = 47;
export const OP_RT_SIGTIMEDWAIT = 48;
export const OP_PAUSE = 49;
export const OP_SIGALTSTACK = 50;
// files.
export const OP_CLOSE = 51;
export const OP_CLOSE_RANGE = 52;
export const OP_DUP = 53;
export const OP_DUP2 = 54;
export const OP_DUP3 = 55;
export const OP_FCNTL = 56;
export const OP_PIPE = 57;
export const OP_PIPE2 = 58;
export const OP_POLL = 59;
export const OP_PPOLL = 60;
export const OP_READ = 61;
export const OP_WRITE = 62;
export const OP_WORLD_FD = 63;
export const OP_WORLD_CALL = 65;
// the rest of a process.
export const OP_PRCTL = 66;
export const OP_PRLIMIT64 = 67;
export const OP_GETRLIMIT = 68;
export const OP_SETRLIMIT = 69;
export const OP_UMASK = 70;
export const OP_UNSHARE = 71;
export const OP_SETNS = 72;
// pidfds.
export const OP_PIDFD_OPEN = 73;
export const OP_PIDFD_SEND_SIGNAL = 74;
// containers.
export const OP_CONTAINER_CREATE = 75;
export const OP_FORK_INTO_CONTAINER = 76;
export const OP_CONTAINER_WAIT = 77;
export const OP_CONTAINER_KILL = 78;
export const OP_FSOPEN = 79;
export const OP_FSMOUNT = 80;
// the machine.
export const OP_REBOOT = 81;
// files as processes see them: 120 to 159.
export const FILE_OPS_FIRST = 120;
export const FILE_OPS_LAST = 159;
export const OP_READV = 120;
export const OP_WRITEV = 121;
export const OP_PREAD = 122;
export const OP_SOCKETPAIR = 124;
export const OP_SENDMSG = 125;
export const OP_RECVMSG = 126;
export const OP_SENDTO = 127;
export const OP_RECVFROM = 128;
export const OP_SHUTDOWN = 129;
export const OP_SETSOCKOPT = 130;
export const OP_GETSOCKOPT = 131;
export const OP_GETSOCKNAME = 132;
export const OP_GETPEERNAME = 133;
export const OP_EVENTFD2 = 134;
export const OP_EVENTFD = 135;
export const OP_TIMERFD_CREATE = 136;
export const OP_TIMERFD_SETTIME = 137;
export const OP_TIMERFD_GETTIME = 138;
export const OP_SIGNALFD4 = 139;
export const OP_SIGNALFD = 140;
export const OP_INOTIFY_INIT1 = 141;
export const OP_INOTIFY_INIT = 142;
export const OP_INOTIFY_ADD_WATCH = 143;
export const OP_INOTIFY_RM_WATCH = 144;
export const OP_EPOLL_CREATE1 = 145;
export const OP_EPOLL_CREATE = 146;
export const OP_EPOLL_CTL = 147;
export const OP_EPOLL_WAIT = 148;
export const OP_EPOLL_PWAIT = 149;
export const OP_EPOLL_PWAIT2 = 150;
export const OP_SELECT = 151;
export const OP_PSELECT6 = 152;
export const OP_SPLICE = 153;
export const OP_TEE = 154;
export const OP_VMSPLICE = 155;
export const OP_SENDFILE = 156;
export const OP_FLOCK = 157;
export const OP_KCMP = 158;
// pidfds, more of the processes: dispatch-process.ts.
export const PROCESS_OPS_FIRST = 82;
export const PROCESS_OPS_LAST = 119;
export const OP_PIDFD_GETFD = 82;
export const OP_SET_ROBUST_LIST = 83;
export const OP_GET_ROBUST_LIST = 84;
// the signal calls of i386 before real-time signals.
export const OP_SIGACTION = 85;
export const OP_SIGNAL = 86;
export const OP_SIGPROCMASK = 87;
export const OP_SIGPENDING = 88;
export const OP_SIGSUSPEND = 89;
export const OP_SGETMASK = 90;
export const OP_SSETMASK = 91;
// timers.
export const OP_ALARM = 92;
export const OP_GETITIMER = 93;
export const OP_SETITIMER = 94;
export const OP_TIMER_CREATE = 95;
export const OP_TIMER_SETTIME = 96;
export const OP_TIMER_SETTIME64 = 97;
export const OP_TIMER_GETTIME = 98;
export const OP_TIMER_GETTIME64 = 99;
export const OP_TIMER_GETOVERRUN = 100;
export const OP_TIMER_DELETE = 101;
// limits, priorities, scheduling.
export const OP_OLD_GETRLIMIT = 102;
export const OP_GETPRIORITY = 103;
export const OP_SETPRIORITY = 104;
export const OP_NICE = 105;
export const OP_PERSONALITY = 106;
export const OP_SCHED_SETSCHEDULER = 107;
export const OP_SCHED_GETSCHEDULER = 108;
export const OP_SCHED_SETPARAM = 109;
export const OP_SCHED_GETPARAM = 110;
export const OP_SCHED_SETATTR = 111;
export const OP_SCHED_GETATTR = 112;
export const OP_SCHED_SETAFFINITY = 113;
export const OP_SCHED_GETAFFINITY = 114;
export const OP_SCHED_GET_PRIORITY_MAX = 115;
export const OP_SCHED_GET_PRIORITY_MIN = 116;
export const OP_SCHED_RR_GET_INTERVAL = 117;
export const OP_GETRUSAGE = 118;
export const OP_TIMES = 119;
// around containers (assembly/container); up to CONTAINER_CALLS_LAST ENOSYS without them
export const CONTAINER_OPS_FIRST = 190;
export const OP_CONTAINER_OPEN = 190;
export const OP_CONTAINER_SUPERVISE = 191;
export const OP_CONTAINER_DEVICES = 192;
export const OP_CONTAINER_ADD_KEY = 193;
export const CONTAINER_CALLS_LAST = 199;
export const OP_FSTAT = 200;
export const OP_NEWFSTATAT = 201;
export const OP_STATX = 202;
export const OP_FSTATFS = 203;
export const OP_LSEEK = 204;
export const OP_IOCTL = 205;
export const OP_MMAP = 206;
export const OP_MKNOD = 207;
export const OP_MKNODAT = 208;
export const OP_ADD_KEY = 209;
export const OP_REQUEST_KEY = 210;
export const OP_KEYCTL = 211;
export const CONTAINER_OPS_LAST = 219;
// users and namespaces: assembly/dispatch-ns.ts.
export const NS_OPS_FIRST = 160;
export const OP_CAPGET = 160;
export const OP_CAPSET = 161;
export const OP_CHROOT = 162;
export const OP_OPEN = 163;
export const OP_OPENAT = 164;
export const OP_OPENAT2 = 165;
export const OP_MOUNT = 166;
export const OP_UMOUNT2 = 167;
export const OP_PIVOT_ROOT = 168;
export const OP_READLINK = 169;
export const OP_READLINKAT = 170;
export const OP_UNAME = 171;
export const OP_SETHOSTNAME = 172;
export const OP_SETDOMAINNAME = 173;
export const OP_OLDUNAME = 174;
export const OP_OLDOLDUNAME = 175;
export const NS_OPS_LAST = 189;
// terminals: assembly/dispatch-jobctl.ts.
export const JOBCTL_OPS_FIRST = 256;
export const OP_VHANGUP = 256;
export const JOBCTL_OPS_LAST = 299;
// areas have room to grow: numbers between them are no operation.
export const NR_OPS = 512;
// Added to the number of a call about ids: its old form with ids of 16 bits (i386).
export const OP_ID16 = 4096;
