// Users and namespaces: capabilities, the root directory, what unshare and setns change.
import * as OP from '../../../assembly/uapi/op.ts';
import { type CallDef, own, part } from '../def.ts';

const MOUNTS = "the privilege is asked for here; what is mounted is the world's";
const UNAME = 'a replay takes release, version and machine from the recording';
const links = (op: number, args: string): CallDef =>
  part(op, 'size', args, "known of /proc/PID/ns/*; any other link is the world's", {
    class: 'assisted',
    classBy: 'byFile',
  });

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
