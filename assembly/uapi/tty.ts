// Portable: compiled unchanged by asc and by tsc. Only `export const NAME = <integer>`.
// Terminals: commands of ioctl(2), as far as the kernel decides them, and what of termios matters.
export const TCGETS = 0x5401;
export const TCSETS = 0x5402;
export const TCSETSW = 0x5403;
export const TCSETSF = 0x5404;
export const TCSBRK = 0x5409;
export const TIOCSCTTY = 0x540e;
export const TIOCGPGRP = 0x540f;
export const TIOCSPGRP = 0x5410;
export const TIOCGWINSZ = 0x5413;
export const TIOCSWINSZ = 0x5414;
export const TIOCNOTTY = 0x5422;
export const TCSBRKP = 0x5425;
export const TIOCSBRK = 0x5427;
export const TIOCCBRK = 0x5428;
export const TIOCGSID = 0x5429;
export const TCGETS2 = -2144578518; // 0x802c542a
export const TCSETS2 = 0x402c542b;
export const TCSETSW2 = 0x402c542c;
export const TCSETSF2 = 0x402c542d;
export const TIOCGPTN = -2147199952; // 0x80045430
export const TIOCSPTLCK = 0x40045431;
export const TIOCVHANGUP = 0x5437;
export const TIOCGPTLCK = -2147199943; // 0x80045439
export const TIOCGPTPEER = 0x5441;
/** c_lflag: output of background processes stops them. */
export const TOSTOP = 0x100;
// What a host knows of a task's terminal (set_tty).
/** The descriptor is the task's controlling terminal; none: it has one. */
export const TTY_CONTROLS = 0;
/** The foreground group of the terminal is the one of that number. */
export const TTY_FOREGROUND = 1;
/** The terminal has been hung up. */
export const TTY_GONE = 2;
/** The descriptor is a terminal, whosever it is. */
export const TTY_IS_ONE = 3;
