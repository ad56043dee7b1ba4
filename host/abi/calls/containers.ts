// Containers.
import * as OP from '../../../assembly/uapi/op.ts';
import { type CallDef, own } from '../def.ts';

const FD_ONLY = "known of containers' files; any other file is the world's";
const onFd = (op: number, result: CallDef['result'], args: string): CallDef => {
  return { op, args, result, class: 'unmodelled', support: 'partial', note: FD_ONLY };
};

const onDevice = (op: number, args: string): CallDef => {
  const note = "devices need CAP_MKNOD and the container's list; the rest is the world's";
  return { op, args, result: 'zero', class: 'unmodelled', support: 'partial', note };
};

const RANDOM = "serial numbers are Linux's own, so a replay compares nothing";
const onKeys = (op: number, args: string): CallDef => {
  return { op, args, result: 'id', class: 'unmodelled', support: 'partial', note: RANDOM };
};

/** Keys and keyrings. */
export const KEY_CALLS: Readonly<Record<string, CallDef>> = {
  add_key: onKeys(OP.OP_ADD_KEY, 'str str in:byte*3 ulong id'),
  request_key: onKeys(OP.OP_REQUEST_KEY, 'str str str id'),
  keyctl: onKeys(OP.OP_KEYCTL, 'op ulong ulong ulong ulong'),
};

/** Calls on any descriptor that a container's file answers in its own way. */
export const CONTAINER_FILE_CALLS: Readonly<Record<string, CallDef>> = {
  fstat: onFd(OP.OP_FSTAT, 'zero', 'fd out:stat'),
  fstat64: onFd(OP.OP_FSTAT, 'zero', 'fd out:stat64'),
  newfstatat: onFd(OP.OP_NEWFSTATAT, 'zero', 'dirfd str out:stat flags:at'),
  fstatat64: onFd(OP.OP_NEWFSTATAT, 'zero', 'dirfd str out:stat64 flags:at'),
  statx: onFd(OP.OP_STATX, 'zero', 'dirfd str flags:at uint out:statx'),
  fstatfs: onFd(OP.OP_FSTATFS, 'zero', 'fd out:statfs'),
  fstatfs64: onFd(OP.OP_FSTATFS, 'zero', 'fd ulong out:statfs64@1'),
  lseek: { ...onFd(OP.OP_LSEEK, 'size', 'fd long op'), class: 'emulated', classBy: 'byFile' },
  ioctl: {
    ...onFd(OP.OP_IOCTL, 'int', 'fd op ulong'),
    class: 'emulated',
    classBy: 'byFile',
    note: 'FIOCLEX, FIONBIO and the like, FIONREAD; files of containers, namespaces, terminals',
  },
  mknod: onDevice(OP.OP_MKNOD, 'str mode dev'),
  mknodat: onDevice(OP.OP_MKNODAT, 'dirfd str mode dev'),
  mmap: onFd(OP.OP_MMAP, 'addr', 'addr ulong flags:prot flags:map fd ulong'),
  mmap2: onFd(OP.OP_MMAP, 'addr', 'addr ulong flags:prot flags:map fd ulong'),
};

/** Calls of the 2017 proposal; fsopen and fsmount are not the calls that mainline has today. */
export const CONTAINER_CALLS: Readonly<Record<string, CallDef>> = {
  fsopen: own(OP.OP_FSOPEN, 'fd', 'str fd flags:open', {
    note: 'type, container or -1; write(2) configures: "s SOURCE", "o KEY=VALUE", "x create"',
  }),
  fsmount: own(OP.OP_FSMOUNT, 'zero', 'fd dirfd str flags:at flags:mount', {
    note: 'context, directory or container, path, AT_*, MS_*',
  }),
  container_open: own(OP.OP_CONTAINER_OPEN, 'fd', 'ulong flags:container', {
    note: "a container by its id; it is nested in the caller's",
  }),
  container_create: own(OP.OP_CONTAINER_CREATE, 'fd', 'str flags:container ulong ulong ulong'),
  fork_into_container: own(OP.OP_FORK_INTO_CONTAINER, 'pid', 'fd'),
  container_wait: own(OP.OP_CONTAINER_WAIT, 'pid', 'fd out:i32 flags:wait out:rusage'),
  container_kill: own(OP.OP_CONTAINER_KILL, 'zero', 'fd int sig'),
  container_mount: own(OP.OP_CONTAINER_MOUNT, 'zero', 'fd str str str flags:mount str', {
    note: 'before the start; container, source, target or null for its root, type, MS_*, options',
  }),
  container_chroot: own(OP.OP_CONTAINER_CHROOT, 'zero', 'fd str', {
    note: 'before the start; from its present root on',
  }),
  container_bind_mount_across: own(OP.OP_CONTAINER_BIND_MOUNT_ACROSS, 'zero', 'fd str str', {
    note: "before the start; container, the caller's source, target in there or null for its root",
  }),
  container_socket: own(OP.OP_CONTAINER_SOCKET, 'fd', 'fd op flags:sock op', {
    note: "a socket of the caller's in the container's network",
  }),
  container_add_key: own(OP.OP_CONTAINER_ADD_KEY, 'id', 'str str in:byte*3 ulong fd', {
    note: 'a key that members use and do not see',
  }),
  container_devices: own(OP.OP_CONTAINER_DEVICES, 'zero', 'fd in:device*2 uint', {
    note: 'list of {u32 type, major; u64 minors[4]}, before the start; empty: no device',
  }),
  container_supervise: own(OP.OP_CONTAINER_SUPERVISE, 'fd', 'fd flags:container', {
    note: 'a descriptor: read gives calls that are refused with EPERM, write answers them',
  }),
};
