// Users and namespaces: capabilities, the root directory, what unshare and setns change.
import * as OP from '../../../assembly/uapi/op.ts';
import { by, type CallDef, O_CLOEXEC, opens, own, part } from '../def.ts';

const MOUNTS = "the privilege is asked for here; what is mounted is the world's";
const UNAME = 'a replay takes release, version and machine from the recording';
const links = (op: number, args: string): CallDef =>
  part(op, 'size', args, "known of /proc/PID/ns/*; any other link is the world's", {
    class: 'assisted',
    classBy: 'byFile',
  });

const TREES = 'whether there is such a place is decided by whose file systems they are';
/** A mount call whose success is the world's in a replay, and what precedes that the kernel's. */
const onMounts = (op: number, args: string): CallDef =>
  part(op, 'zero', args, TREES, { class: 'assisted' });
const IDMAP = `${TREES}; no file system here allows ids to be mapped (MOUNT_ATTR_IDMAP: EINVAL)`;

/** Mounts by descriptors. */
export const MOUNT_CALLS: Readonly<Record<string, CallDef>> = {
  open_tree: {
    ...opens('dirfd str flags:open_tree', by(2, O_CLOEXEC, 0n), { note: TREES }),
    op: OP.OP_OPEN_TREE,
  },
  open_tree_attr: {
    ...opens('dirfd str flags:open_tree in:mount_attr@4 ulong', by(2, O_CLOEXEC, 0n)),
    op: OP.OP_OPEN_TREE_ATTR,
    note: IDMAP,
  },
  move_mount: onMounts(OP.OP_MOVE_MOUNT, 'dirfd str dirfd str flags:move_mount'),
  fsopen: { ...opens('str flags:fsopen', by(1, 1n, 0n)), op: OP.OP_FSOPEN_TODAY },
  fsconfig: onMounts(OP.OP_FSCONFIG, 'fd op str str int'),
  fsmount: {
    ...opens('fd flags:fsmount flags:mount_attr', by(1, 1n, 0n)),
    op: OP.OP_FSMOUNT_TODAY,
  },
  fspick: {
    ...opens('dirfd str flags:fspick', by(2, 1n, 0n), { note: TREES }),
    op: OP.OP_FSPICK,
  },
  mount_setattr: {
    ...onMounts(OP.OP_MOUNT_SETATTR, 'dirfd str flags:at in:mount_attr@4 ulong'),
    note: IDMAP,
  },
};

/** Calls on users and namespaces; the ids themselves are in ids.ts. */
export const NAMESPACE_CALLS: Readonly<Record<string, CallDef>> = {
  capget: own(OP.OP_CAPGET, 'zero', 'io:cap_header out:cap_data'),
  capset: own(OP.OP_CAPSET, 'zero', 'io:cap_header in:cap_data'),
  chroot: part(OP.OP_CHROOT, 'zero', 'str', "whether there is such a directory is the world's", {
    class: 'assisted',
  }),
  unshare: part(OP.OP_UNSHARE, 'zero', 'flags:clone', 'namespaces have identities, no contents'),
  setns: own(OP.OP_SETNS, 'zero', 'fd flags:clone'),
  mount: part(OP.OP_MOUNT, 'zero', 'str str str flags:mount addr', MOUNTS, { class: 'assisted' }),
  umount2: part(OP.OP_UMOUNT2, 'zero', 'str flags:umount', MOUNTS, { class: 'assisted' }),
  pivot_root: part(OP.OP_PIVOT_ROOT, 'zero', 'str str', MOUNTS, { class: 'assisted' }),
  uname: own(OP.OP_UNAME, 'zero', 'out:utsname', { note: UNAME }),
  olduname: own(OP.OP_OLDUNAME, 'zero', 'addr', { note: UNAME }),
  oldolduname: own(OP.OP_OLDOLDUNAME, 'zero', 'addr', { note: UNAME }),
  sethostname: own(OP.OP_SETHOSTNAME, 'zero', 'in:byte@1 uint'),
  setdomainname: own(OP.OP_SETDOMAINNAME, 'zero', 'in:byte@1 uint'),
  readlink: links(OP.OP_READLINK, 'str out:byte*2 int'),
  readlinkat: links(OP.OP_READLINKAT, 'dirfd str out:byte*3 int'),
};
