// Portable: compiled unchanged by asc and by tsc. Only `export const NAME = <integer>`.
// Options and id types of wait4(2) and waitid(2).
export const WNOHANG = 1;
export const WUNTRACED = 2;
export const WSTOPPED = 2;
export const WEXITED = 4;
export const WCONTINUED = 8;
export const WNOWAIT = 16777216;
export const __WNOTHREAD = 536870912;
export const __WALL = 1073741824;
export const __WCLONE = -0x80000000;
export const P_ALL = 0;
export const P_PID = 1;
export const P_PGID = 2;
export const P_PIDFD = 3;
