// Portable: compiled unchanged by asc and by tsc. Only `export const NAME = <integer>`.
// Commands of ioctl_ns(2).
export const NS_GET_USERNS = 0xb701;
export const NS_GET_PARENT = 0xb702;
export const NS_GET_NSTYPE = 0xb703;
export const NS_GET_OWNER_UID = 0xb704;
// 0x8004b706 and on as 32-bit values.
export const NS_GET_PID_FROM_PIDNS = -0x7ffb48fa;
export const NS_GET_TGID_FROM_PIDNS = -0x7ffb48f9;
export const NS_GET_PID_IN_PIDNS = -0x7ffb48f8;
export const NS_GET_TGID_IN_PIDNS = -0x7ffb48f7;
