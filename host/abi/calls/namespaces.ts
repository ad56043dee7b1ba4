// Users and namespaces: capabilities, the root directory, what unshare and setns change.
import * as OP from '../../../assembly/uapi/op.ts';
import { type CallDef, later, own, part } from '../def.ts';

/** Calls on users and namespaces; the ids themselves are in ids.ts. */
export const NAMESPACE_CALLS: Readonly<Record<string, CallDef>> = {
  capget: own(OP.OP_CAPGET, 'zero', 'io:cap_header out:cap_data'),
  capset: own(OP.OP_CAPSET, 'zero', 'io:cap_header in:cap_data'),
  chroot: part(OP.OP_CHROOT, 'zero', 'str', "whether there is such a directory is the world's", {
    class: 'assisted',
  }),
  unshare: part(OP.OP_UNSHARE, 'zero', 'flags:clone', 'namespaces have identities, no contents'),
  setns: later(OP.OP_SETNS, 'zero', 'fd flags:clone'),
};
