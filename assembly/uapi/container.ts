// Portable: compiled unchanged by asc and by tsc. Only `export const NAME = <integer>`.
// Flags of container_create and state bits of a container (seed: uapi/linux/container.h and
// include/linux/container.h).
export const CONTAINER_NEW_FS_NS = 0x1;
export const CONTAINER_NEW_EMPTY_FS_NS = 0x2;
export const CONTAINER_NEW_CGROUP_NS = 0x4;
export const CONTAINER_NEW_UTS_NS = 0x8;
export const CONTAINER_NEW_IPC_NS = 0x10;
export const CONTAINER_NEW_USER_NS = 0x20;
export const CONTAINER_NEW_PID_NS = 0x40;
export const CONTAINER_NEW_NET_NS = 0x80;
export const CONTAINER_KILL_ON_CLOSE = 0x100;
export const CONTAINER_FD_CLOEXEC = 0x200;
export const CONTAINER__FLAG_MASK = 0x3ff;
// State bits, shown in hex by /proc/containers.
export const CONTAINER_FLAG_INIT_STARTED = 1;
export const CONTAINER_FLAG_DEAD = 2;
export const CONTAINER_FLAG_KILL_ON_CLOSE = 4;
// char name[24], its NUL included.
export const CONTAINER_NAME_LEN = 24;
// container_devices takes at most this many entries.
export const CONTAINER_DEVICES_MAX = 256;
export const CONTAINERFS_MAGIC = 0x636f6e74;
