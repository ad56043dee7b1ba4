// User namespaces: creation and its checks. Id maps come with credentials.
import { cred, from_kuid } from "./cred.ts";
import { nil } from "./err.ts";
import { fs_struct } from "./fs.ts";
import { create_ns, ns_common } from "./namespace.ts";
import { EPERM, ENOMEM, ENOSPC } from "./uapi/errno.ts";
import { CLONE_NEWUSER } from "./uapi/sched.ts";

/** A namespace may be made in one of at most this level (user_namespaces(7)). */
const MAX_USER_NS_LEVEL = 32;

/**
 * A user namespace below that of `c`, owned by its euid and egid.
 * Return: ERR_PTR of ENOSPC (too deep), EPERM (chrooted, or ids without a mapping), ENOMEM.
 */
export function create_user_ns(c: cred, fs: fs_struct): ns_common {
  const parent = c.user_ns;
  if (parent.level > MAX_USER_NS_LEVEL) return changetype<ns_common>(<usize>-ENOSPC);
  if (!nil(fs) && fs.chrooted) return changetype<ns_common>(<usize>-EPERM);
  if (from_kuid(parent, c.euid) == -1 || from_kuid(parent, c.egid) == -1) {
    return changetype<ns_common>(<usize>-EPERM);
  }
  const ns = create_ns(CLONE_NEWUSER, parent, changetype<ns_common>(0));
  if (nil(ns)) return changetype<ns_common>(<usize>-ENOMEM);
  ns.level = parent.level + 1;
  ns.owner_uid = c.euid;
  ns.owner_gid = c.egid;
  return ns;
}
