// User and group ids of a process: every get and set call, translated through the id maps of its
// user namespace; the supplementary groups (kernel/sys.c, kernel/groups.c, kernel/uid16.c).
import { cap_fix_setfsuid, cap_fix_setuid } from "./capability.ts";
import { commit_creds, cred, cred_ns_capable, prepare_creds, put_cred } from "./cred.ts";
import { set_cred_ucounts } from "./cred.ts";
import { nil } from "../lib/err.ts";
import { frame } from "../lib/frame.ts";
import * as G from "./groups.ts";
import { SCRATCH_USER } from "../lib/root.ts";
import { rlimit } from "../process/signal-struct.ts";
import { PF_NPROC_EXCEEDED, task_struct } from "../process/task.ts";
import {
  access_ok,
  copy_from_user,
  copy_to_user,
  prepare_write,
  put_user32,
} from "../lib/uaccess.ts";
import { CAP_SETGID, CAP_SETUID } from "../uapi/capability.ts";
import { nproc_over } from "./ucounts.ts";
import { RLIMIT_NPROC } from "../uapi/resource.ts";
import { EFAULT, EINVAL, ENOMEM, EPERM } from "../uapi/errno.ts";
import { WINDOW_READ } from "../uapi/frame.ts";
import { NGROUPS_MAX, OVERFLOW_GID, OVERFLOW_UID } from "../uapi/limits.ts";
import * as U from "../namespace/user-namespace.ts";

/** "Leave it": -1 where a call sets several ids. */
const KEEP: i32 = -1;

export function sys_getuid(p: task_struct): i32 {
  return U.from_kuid_munged(p.cred.user_ns, p.cred.uid);
}
export function sys_geteuid(p: task_struct): i32 {
  return U.from_kuid_munged(p.cred.user_ns, p.cred.euid);
}
export function sys_getgid(p: task_struct): i32 {
  return U.from_kgid_munged(p.cred.user_ns, p.cred.gid);
}
export function sys_getegid(p: task_struct): i32 {
  return U.from_kgid_munged(p.cred.user_ns, p.cred.egid);
}

/** Is an id that is to be set without a meaning in the caller's namespace? */
function bad_uid(c: cred, id: i32): bool {
  return id != KEEP && U.make_kuid(c.user_ns, id) == -1;
}
function bad_gid(c: cred, id: i32): bool {
  return id != KEEP && U.make_kgid(c.user_ns, id) == -1;
}

function may_setuid(c: cred): bool {
  return cred_ns_capable(c, c.user_ns, CAP_SETUID);
}
function may_setgid(c: cred): bool {
  return cred_ns_capable(c, c.user_ns, CAP_SETGID);
}

/** `p` becomes `c`, a copy of its cred with other user ids. */
function commit_uids(p: task_struct, c: cred): i32 {
  if (!set_cred_ucounts(c)) {
    put_cred(c);
    return -ENOMEM;
  }
  cap_fix_setuid(c, p.cred);
  // a user with too many tasks is only refused when it calls exec
  const limit = rlimit(p.signal, RLIMIT_NPROC);
  if (c.uid != 0 && nproc_over(c.ucounts, limit, 0)) p.flags |= PF_NPROC_EXCEEDED;
  else p.flags &= ~PF_NPROC_EXCEEDED;
  commit_creds(p, c);
  return 0;
}

/** The kernel's id for one that is set, -1 for one that stays. */
function kuid_of(c: cred, id: i32): i32 {
  return id == KEEP ? KEEP : U.make_kuid(c.user_ns, id);
}
function kgid_of(c: cred, id: i32): i32 {
  return id == KEEP ? KEEP : U.make_kgid(c.user_ns, id);
}

/** setresuid(2): real, effective, saved; -1 leaves one as it is. */
export function sys_setresuid(p: task_struct, ruid: i32, euid: i32, suid: i32): i32 {
  const old = p.cred;
  if (bad_uid(old, ruid) || bad_uid(old, euid) || bad_uid(old, suid)) return -EINVAL;
  const r = kuid_of(old, ruid);
  const e = kuid_of(old, euid);
  const s = kuid_of(old, suid);
  const same_r = r == KEEP || r == old.uid;
  const same_e = e == KEEP || (e == old.euid && e == old.fsuid);
  if (same_r && same_e && (s == KEEP || s == old.suid)) return 0;
  if (!may_setuid(old)) {
    if (r != KEEP && r != old.uid && r != old.euid && r != old.suid) return -EPERM;
    if (e != KEEP && e != old.uid && e != old.euid && e != old.suid) return -EPERM;
    if (s != KEEP && s != old.uid && s != old.euid && s != old.suid) return -EPERM;
  }
  const c = prepare_creds(old);
  if (nil(c)) return -ENOMEM;
  if (r != KEEP) c.uid = r;
  if (e != KEEP) c.euid = e;
  if (s != KEEP) c.suid = s;
  c.fsuid = c.euid;
  return commit_uids(p, c);
}

export function sys_setresgid(p: task_struct, rgid: i32, egid: i32, sgid: i32): i32 {
  const old = p.cred;
  if (bad_gid(old, rgid) || bad_gid(old, egid) || bad_gid(old, sgid)) return -EINVAL;
  const r = kgid_of(old, rgid);
  const e = kgid_of(old, egid);
  const s = kgid_of(old, sgid);
  const same_r = r == KEEP || r == old.gid;
  const same_e = e == KEEP || (e == old.egid && e == old.fsgid);
  if (same_r && same_e && (s == KEEP || s == old.sgid)) return 0;
  if (!may_setgid(old)) {
    if (r != KEEP && r != old.gid && r != old.egid && r != old.sgid) return -EPERM;
    if (e != KEEP && e != old.gid && e != old.egid && e != old.sgid) return -EPERM;
    if (s != KEEP && s != old.gid && s != old.egid && s != old.sgid) return -EPERM;
  }
  const c = prepare_creds(old);
  if (nil(c)) return -ENOMEM;
  if (r != KEEP) c.gid = r;
  if (e != KEEP) c.egid = e;
  if (s != KEEP) c.sgid = s;
  c.fsgid = c.egid;
  commit_creds(p, c);
  return 0;
}

/** setuid(2): all three for the privileged, the effective one for others. */
export function sys_setuid(p: task_struct, uid: i32): i32 {
  const old = p.cred;
  const id = U.make_kuid(old.user_ns, uid);
  if (id == -1) return -EINVAL;
  const all = may_setuid(old);
  if (!all && id != old.uid && id != old.suid) return -EPERM;
  const c = prepare_creds(old);
  if (nil(c)) return -ENOMEM;
  if (all) c.uid = c.suid = id;
  c.euid = c.fsuid = id;
  return commit_uids(p, c);
}

export function sys_setgid(p: task_struct, gid: i32): i32 {
  const old = p.cred;
  const id = U.make_kgid(old.user_ns, gid);
  if (id == -1) return -EINVAL;
  const all = may_setgid(old);
  if (!all && id != old.gid && id != old.sgid) return -EPERM;
  const c = prepare_creds(old);
  if (nil(c)) return -ENOMEM;
  if (all) c.gid = c.sgid = id;
  c.egid = c.fsgid = id;
  commit_creds(p, c);
  return 0;
}

/** setreuid(2): the saved id follows when the real one is set or the effective one is new. */
export function sys_setreuid(p: task_struct, ruid: i32, euid: i32): i32 {
  const old = p.cred;
  if (bad_uid(old, ruid) || bad_uid(old, euid)) return -EINVAL;
  const r = kuid_of(old, ruid);
  const e = kuid_of(old, euid);
  const all = may_setuid(old);
  if (!all && r != KEEP && r != old.uid && r != old.euid) return -EPERM;
  if (!all && e != KEEP && e != old.uid && e != old.euid && e != old.suid) return -EPERM;
  const c = prepare_creds(old);
  if (nil(c)) return -ENOMEM;
  if (r != KEEP) c.uid = r;
  if (e != KEEP) c.euid = e;
  if (r != KEEP || (e != KEEP && e != old.uid)) c.suid = c.euid;
  c.fsuid = c.euid;
  return commit_uids(p, c);
}

export function sys_setregid(p: task_struct, rgid: i32, egid: i32): i32 {
  const old = p.cred;
  if (bad_gid(old, rgid) || bad_gid(old, egid)) return -EINVAL;
  const r = kgid_of(old, rgid);
  const e = kgid_of(old, egid);
  const all = may_setgid(old);
  if (!all && r != KEEP && r != old.gid && r != old.egid) return -EPERM;
  if (!all && e != KEEP && e != old.gid && e != old.egid && e != old.sgid) return -EPERM;
  const c = prepare_creds(old);
  if (nil(c)) return -ENOMEM;
  if (r != KEEP) c.gid = r;
  if (e != KEEP) c.egid = e;
  if (r != KEEP || (e != KEEP && e != old.gid)) c.sgid = c.egid;
  c.fsgid = c.egid;
  commit_creds(p, c);
  return 0;
}

/** setfsuid(2): never fails; the id that was. */
export function sys_setfsuid(p: task_struct, uid: i32): i32 {
  const old = p.cred;
  const before = U.from_kuid_munged(old.user_ns, old.fsuid);
  const id = U.make_kuid(old.user_ns, uid);
  if (id == -1 || id == old.fsuid) return before;
  const own = id == old.uid || id == old.euid || id == old.suid;
  if (!own && !may_setuid(old)) return before;
  const c = prepare_creds(old);
  if (nil(c)) return before;
  c.fsuid = id;
  cap_fix_setfsuid(c, old);
  commit_creds(p, c);
  return before;
}

export function sys_setfsgid(p: task_struct, gid: i32): i32 {
  const old = p.cred;
  const before = U.from_kgid_munged(old.user_ns, old.fsgid);
  const id = U.make_kgid(old.user_ns, gid);
  if (id == -1 || id == old.fsgid) return before;
  const own = id == old.gid || id == old.egid || id == old.sgid;
  if (!own && !may_setgid(old)) return before;
  const c = prepare_creds(old);
  if (nil(c)) return before;
  c.fsgid = id;
  commit_creds(p, c);
  return before;
}

/** An id in 16 bits: one that does not fit is the overflow id. */
export function high2low(id: i32, overflow: i32): i32 {
  return id & ~0xffff ? overflow : id;
}

/** Three ids at three addresses: getresuid(2), getresgid(2); `wide`: of 32 bits. */
function put_three(f: frame, a: i32, b: i32, c: i32, wide: bool, overflow: i32): i32 {
  const bytes: u32 = wide ? 4 : 2;
  const first = prepare_write(f, f.a0, bytes);
  const need = first | prepare_write(f, f.a1, bytes) | prepare_write(f, f.a2, bytes);
  if (need) return need;
  if (wide) {
    const bad = put_user32(f, f.a0, a) || put_user32(f, f.a1, b) || put_user32(f, f.a2, c);
    return bad ? -EFAULT : 0;
  }
  store<u16>(SCRATCH_USER, <u16>high2low(a, overflow));
  store<u16>(SCRATCH_USER, <u16>high2low(b, overflow), 2);
  store<u16>(SCRATCH_USER, <u16>high2low(c, overflow), 4);
  if (copy_to_user(f, f.a0, SCRATCH_USER, 2)) return -EFAULT;
  if (copy_to_user(f, f.a1, SCRATCH_USER + 2, 2)) return -EFAULT;
  return copy_to_user(f, f.a2, SCRATCH_USER + 4, 2) ? -EFAULT : 0;
}

export function sys_getresuid(p: task_struct, f: frame, wide: bool): i32 {
  const c = p.cred;
  const ns = c.user_ns;
  const ruid = U.from_kuid_munged(ns, c.uid);
  const euid = U.from_kuid_munged(ns, c.euid);
  return put_three(f, ruid, euid, U.from_kuid_munged(ns, c.suid), wide, OVERFLOW_UID);
}

export function sys_getresgid(p: task_struct, f: frame, wide: bool): i32 {
  const c = p.cred;
  const ns = c.user_ns;
  const rgid = U.from_kgid_munged(ns, c.gid);
  const egid = U.from_kgid_munged(ns, c.egid);
  return put_three(f, rgid, egid, U.from_kgid_munged(ns, c.sgid), wide, OVERFLOW_GID);
}

/** Groups that pass through the scratch buffer at once. */
const CHUNK = 1024;

/** getgroups(2): room, list; `wide`: of 32 bits. */
export function sys_getgroups(p: task_struct, f: frame, room: i32, wide: bool): i32 {
  if (room < 0) return -EINVAL;
  const ns = p.cred.user_ns;
  const groups = p.cred.groups;
  const n = nil(groups) ? 0 : groups.ngroups;
  if (!room) return n;
  if (n > room) return -EINVAL;
  const shift: u32 = wide ? 2 : 1;
  const need = prepare_write(f, f.a1, (<u32>n) << shift);
  if (need) return need;
  for (let from = 0; from < n; from += CHUNK) {
    const run = min(CHUNK, n - from);
    for (let i = 0; i < run; ++i) {
      const kgid = load<i32>(G.groups_at(groups) + ((<usize>(from + i)) << 2));
      const gid = U.from_kgid_munged(ns, kgid);
      const at = SCRATCH_USER + ((<usize>i) << shift);
      if (wide) store<i32>(at, gid);
      else store<u16>(at, <u16>high2low(gid, OVERFLOW_GID));
    }
    const to = f.a1 + ((<u64>from) << shift);
    if (copy_to_user(f, to, SCRATCH_USER, (<u32>run) << shift)) return -EFAULT;
  }
  return n;
}

/** The `n` groups at the caller's list, as the kernel has them. 0, errno, RET_NEED. */
function groups_from_user(p: task_struct, f: frame, g: G.group_info, wide: bool): i32 {
  const ns = p.cred.user_ns;
  const shift: u32 = wide ? 2 : 1;
  for (let from = 0; from < g.ngroups; from += CHUNK) {
    const run = min(CHUNK, g.ngroups - from);
    const bad = copy_from_user(f, SCRATCH_USER, f.a1 + ((<u64>from) << shift), (<u32>run) << shift);
    if (bad) return bad;
    for (let i = 0; i < run; ++i) {
      const at = SCRATCH_USER + ((<usize>i) << shift);
      const kgid = U.make_kgid(ns, wide ? load<i32>(at) : <i32>load<u16>(at));
      if (kgid == -1) return -EINVAL;
      store<i32>(G.groups_at(g) + ((<usize>(from + i)) << 2), kgid);
    }
  }
  return 0;
}

/** setgroups(2): number, list. */
export function sys_setgroups(p: task_struct, f: frame, n: i32, wide: bool): i32 {
  const old = p.cred;
  if (!may_setgid(old) || !U.userns_may_setgroups(old.user_ns)) return -EPERM;
  if (<u32>n > <u32>NGROUPS_MAX) return -EINVAL;
  let groups = changetype<G.group_info>(0);
  if (n) {
    const need = access_ok(f, f.a1, (<u32>n) << (wide ? 2 : 1), WINDOW_READ);
    if (need < -4096) return need;
    groups = G.groups_alloc(n);
    if (nil(groups)) return -ENOMEM;
    const bad = groups_from_user(p, f, groups, wide);
    if (bad) {
      G.put_group_info(groups);
      return bad;
    }
    G.groups_sort(groups);
  }
  const c = prepare_creds(old);
  if (nil(c)) {
    G.put_group_info(groups);
    return -ENOMEM;
  }
  G.put_group_info(c.groups);
  c.groups = groups;
  commit_creds(p, c);
  return 0;
}
