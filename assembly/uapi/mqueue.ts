// Portable: compiled unchanged by asc and by tsc. Only `export const NAME = <integer>`.
// POSIX message queues (mq_overview(7)): limits of a namespace, and beyond which nobody goes.
export const MQ_PRIO_MAX = 32768;
export const DFLT_QUEUESMAX = 256;
export const DFLT_MSGMAX = 10;
export const DFLT_MSG = 10;
export const HARD_MSGMAX = 65536;
export const DFLT_MSGSIZEMAX = 8192;
export const DFLT_MSGSIZE = 8192;
export const HARD_MSGSIZEMAX = 16777216;
// What Linux counts for a message and for a priority, besides the bytes of a message.
export const MQ_MSG_OVERHEAD = 48;
export const MQ_NODE_BYTES = 48;
// The last byte of what a SIGEV_THREAD gets.
export const NOTIFY_NONE = 0;
export const NOTIFY_WOKENUP = 1;
export const NOTIFY_REMOVED = 2;
export const NOTIFY_COOKIE_LEN = 32;
/** Bytes that stat(2) says a queue has. */
export const FILENT_SIZE = 80;
/** RLIMIT_MSGQUEUE of the first process. */
export const MQ_BYTES_MAX = 819200;
