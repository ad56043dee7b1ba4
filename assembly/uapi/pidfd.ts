// Portable: compiled unchanged by asc and by tsc. Only `export const NAME = <integer>`.
export const PIDFD_NONBLOCK = 0x800;
export const PIDFD_THREAD = 0x80;
export const PIDFD_SIGNAL_THREAD = 1;
export const PIDFD_SIGNAL_THREAD_GROUP = 2;
export const PIDFD_SIGNAL_PROCESS_GROUP = 4;
export const PIDFD_SELF_THREAD = -10000;
export const PIDFD_SELF_THREAD_GROUP = -10001;
