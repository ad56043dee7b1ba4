// Portable: compiled unchanged by asc and by tsc. Only `export const NAME = <integer>`.
// Limits and defaults of Linux; those marked (boot) are defaults of a boot parameter.
// (boot) kernel.pid_max on a small machine, and its ceiling.
export const PID_MAX_DEFAULT = 32768;
export const PID_MAX_LIMIT = 4194304;
// First number after a wrap of the pid cursor.
export const RESERVED_PIDS = 300;
// (boot) soft and hard RLIMIT_NOFILE, and fs.nr_open.
export const INR_OPEN_CUR = 1024;
export const INR_OPEN_MAX = 4096;
export const NR_OPEN = 1048576;
// (boot) .init is depth 0; a container may be this deep.
export const CONTAINER_DEPTH_MAX = 32;
// The largest errno: results in -4095..-1 are errors.
export const MAX_ERRNO = 4095;
export const OVERFLOW_UID = 65534;
export const OVERFLOW_GID = 65534;
export const PIPE_DEF_BUFFERS = 16;
export const PAGE_SIZE = 4096;
// Groups of a process, setgroups(2); extents of an id map, user_namespaces(7).
export const NGROUPS_MAX = 65536;
export const UID_GID_MAP_MAX_EXTENTS = 340;
/** Most bytes that one call transfers. */
export const MAX_RW_COUNT = 0x7ffff000;
/** fs.pipe-max-size: what may be asked for without CAP_SYS_RESOURCE. */
export const PIPE_MAX_SIZE = 1048576;
// (boot) Pages and inodes of one file system in memory, mounts of one namespace (fs.mount-max).
export const FS_PAGES_MAX = 65536;
export const FS_INODES_MAX = 262144;
export const MOUNTS_MAX = 100000;
// Where the slab caches' heads lie: a host counts live objects there.
export const SLAB_CACHES = 0x840;
