// Portable: compiled unchanged by asc and by tsc. Only `export const NAME = <integer>`.
// The trap interface: dispositions, frame flags, windows, assists, events.
// What became of a trap.
export const DISP_DONE = 0;
export const DISP_BLOCKED = 1;
export const DISP_EXITED = 2;
export const DISP_NEED = 3;
export const DISP_UPCALL = 4;
export const DISP_DRAIN = 5;
export const DISP_BUSY = 6;
export const DISP_NOT_RUN = 7;
/** A call that was only looked at ahead would sleep. */
export const DISP_SLEEPS = 8;
// What a typed call returns, below every errno, when it has to be a trap: nothing has changed.
export const CALL_TRAP = -0x10000;
// Window modes.
export const WINDOW_READ = 1;
export const WINDOW_WRITE = 2;
export const WINDOW_UNMAPPED = 4;
// Assists: which facts the world has decided for this call.
export const ASSIST_PID = 1;
export const ASSIST_ERRNO = 2;
export const ASSIST_RET = 4;
export const ASSIST_CLOEXEC = 8;
export const ASSIST_MASK = 16;
export const ASSIST_NONBLOCK = 32;
// what is opened is a device node: assist_mask holds mode << 48 | major << 32 | minor
export const ASSIST_DEVICE = 64;
/** Says what a call would answer now: nothing is consumed and nobody sleeps. */
export const ASSIST_PEEK = 128;
/** assist_mask holds the O_ flags of the world's new file, assist_pid which file it is. */
export const ASSIST_FILE = 256;
/** Set by the kernel: the call failed because the world said so. */
export const ASSIST_HEARD = 512;
// A table of 32-bit calls: eax ebx ecx edx esi edi ebp, 32-bit structures.
export const TABLE_COMPAT = 1;
// One step of the return to user mode (exit_to_user).
export const ACTION_NONE = 0;
export const ACTION_IGNORED = 1;
export const ACTION_HANDLED = 2;
export const ACTION_STOPPED = 3;
export const ACTION_DIED = 4;
export const ACTION_CONTINUED = 5;
// Kinds of event.
export const EVENT_FORK = 1;
export const EVENT_EXEC = 2;
export const EVENT_STORE = 3;
export const EVENT_EXIT = 4;
export const EVENT_STOP = 5;
export const EVENT_CONT = 6;
export const EVENT_CONTAINER_DEAD = 7;
export const EVENT_REAP = 8;
export const EVENT_ROBUST = 9;
export const EVENT_UPCALL = 10;
export const EVENT_CONTAINER_FREE = 11;
export const EVENT_TIMER = 12;
// What a host tells of an open file (file_event).
/** POLL* bits that are ready: of the world's files, and where contents are the world's. */
export const FILE_EVENT_READY = 1;
/** Others than the kernel's tasks write and read: lengths and readiness are the world's. */
export const FILE_EVENT_OPAQUE = 2;
/** A timerfd went off so many times. */
export const FILE_EVENT_TICKS = 3;
/** So many bytes of inotify events are ready. */
export const FILE_EVENT_QUEUED = 4;
/** In the network of this socket, the port in the upper half is the one in the lower half. */
export const FILE_EVENT_PORT = 5;
