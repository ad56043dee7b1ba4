// User and group ids. The rules of set*id without file capabilities; id maps come with the
// credentials of user namespaces, until then only the initial namespace maps.
import {
  cred,
  cred_ns_capable,
  from_kgid_munged,
  from_kuid_munged,
  prepare_creds,
  put_cred,
} from "./cred.ts";
import { nil } from "./err.ts";
import { frame } from "./frame.ts";
import { root } from "./root.ts";
import { task_struct } from "./task.ts";
import { prepare_write, put_user32 } from "./uaccess.ts";
import { CAP_SETGID, CAP_SETUID } from "./uapi/capability.ts";
import { EFAULT, EINVAL, ENOMEM, EPERM } from "./uapi/errno.ts";

export function sys_getuid(p: task_struct): i32 {
  return from_kuid_munged(p.cred.user_ns, p.cred.uid);
}
export function sys_geteuid(p: task_struct): i32 {
  return from_kuid_munged(p.cred.user_ns, p.cred.euid);
}
export function sys_getgid(p: task_struct): i32 {
  return from_kgid_munged(p.cred.user_ns, p.cred.gid);
}
export function sys_getegid(p: task_struct): i32 {
  return from_kgid_munged(p.cred.user_ns, p.cred.egid);
}

/** An id that the caller's namespace maps; -1 is "leave it" where the call allows that. */
function mapped(p: task_struct, id: i32): bool {
  return <u32>changetype<usize>(p.cred.user_ns) == root().init_user_ns && id != -1;
}

/** Capabilities follow the uids when the last zero leaves (capabilities(7)). */
function fix_caps(c: cred, old: cred): void {
  const had = old.uid == 0 || old.euid == 0 || old.suid == 0;
  const has = c.uid == 0 || c.euid == 0 || c.suid == 0;
  if (had && !has && !c.keep_caps) {
    c.cap_permitted = 0;
    c.cap_effective = 0;
    c.cap_ambient = 0;
  }
  if (old.euid == 0 && c.euid != 0) c.cap_effective = 0;
  if (old.euid != 0 && c.euid == 0) c.cap_effective = c.cap_permitted;
}

function commit(p: task_struct, c: cred): i32 {
  const old = p.cred;
  fix_caps(c, old);
  p.cred = c;
  put_cred(old);
  return 0;
}

/** setresuid(2): real, effective, saved; -1 leaves one as it is. */
export function sys_setresuid(p: task_struct, r: i32, e: i32, s: i32): i32 {
  const old = p.cred;
  if (r != -1 && !mapped(p, r)) return -EINVAL;
  if (e != -1 && !mapped(p, e)) return -EINVAL;
  if (s != -1 && !mapped(p, s)) return -EINVAL;
  if (!cred_ns_capable(old, old.user_ns, CAP_SETUID)) {
    if (r != -1 && r != old.uid && r != old.euid && r != old.suid) return -EPERM;
    if (e != -1 && e != old.uid && e != old.euid && e != old.suid) return -EPERM;
    if (s != -1 && s != old.uid && s != old.euid && s != old.suid) return -EPERM;
  }
  const c = prepare_creds(old);
  if (nil(c)) return -ENOMEM;
  if (r != -1) c.uid = r;
  if (e != -1) c.euid = e;
  if (s != -1) c.suid = s;
  c.fsuid = c.euid;
  return commit(p, c);
}

export function sys_setresgid(p: task_struct, r: i32, e: i32, s: i32): i32 {
  const old = p.cred;
  if (r != -1 && !mapped(p, r)) return -EINVAL;
  if (e != -1 && !mapped(p, e)) return -EINVAL;
  if (s != -1 && !mapped(p, s)) return -EINVAL;
  if (!cred_ns_capable(old, old.user_ns, CAP_SETGID)) {
    if (r != -1 && r != old.gid && r != old.egid && r != old.sgid) return -EPERM;
    if (e != -1 && e != old.gid && e != old.egid && e != old.sgid) return -EPERM;
    if (s != -1 && s != old.gid && s != old.egid && s != old.sgid) return -EPERM;
  }
  const c = prepare_creds(old);
  if (nil(c)) return -ENOMEM;
  if (r != -1) c.gid = r;
  if (e != -1) c.egid = e;
  if (s != -1) c.sgid = s;
  c.fsgid = c.egid;
  return commit(p, c);
}

/** setuid(2): all three for the privileged, the effective one for others. */
export function sys_setuid(p: task_struct, id: i32): i32 {
  const old = p.cred;
  if (!mapped(p, id)) return -EINVAL;
  const all = cred_ns_capable(old, old.user_ns, CAP_SETUID);
  if (!all && id != old.uid && id != old.suid) return -EPERM;
  const c = prepare_creds(old);
  if (nil(c)) return -ENOMEM;
  if (all) {
    c.uid = id;
    c.suid = id;
  }
  c.euid = id;
  c.fsuid = id;
  return commit(p, c);
}

export function sys_setgid(p: task_struct, id: i32): i32 {
  const old = p.cred;
  if (!mapped(p, id)) return -EINVAL;
  const all = cred_ns_capable(old, old.user_ns, CAP_SETGID);
  if (!all && id != old.gid && id != old.sgid) return -EPERM;
  const c = prepare_creds(old);
  if (nil(c)) return -ENOMEM;
  if (all) {
    c.gid = id;
    c.sgid = id;
  }
  c.egid = id;
  c.fsgid = id;
  return commit(p, c);
}

/** setreuid(2): the saved id follows when the real one is set or the effective one is new. */
export function sys_setreuid(p: task_struct, r: i32, e: i32): i32 {
  const old = p.cred;
  if (r != -1 && !mapped(p, r)) return -EINVAL;
  if (e != -1 && !mapped(p, e)) return -EINVAL;
  const all = cred_ns_capable(old, old.user_ns, CAP_SETUID);
  if (!all && r != -1 && r != old.uid && r != old.euid) return -EPERM;
  if (!all && e != -1 && e != old.uid && e != old.euid && e != old.suid) return -EPERM;
  const c = prepare_creds(old);
  if (nil(c)) return -ENOMEM;
  if (r != -1) c.uid = r;
  if (e != -1) c.euid = e;
  if (r != -1 || (e != -1 && e != old.uid)) c.suid = c.euid;
  c.fsuid = c.euid;
  return commit(p, c);
}

export function sys_setregid(p: task_struct, r: i32, e: i32): i32 {
  const old = p.cred;
  if (r != -1 && !mapped(p, r)) return -EINVAL;
  if (e != -1 && !mapped(p, e)) return -EINVAL;
  const all = cred_ns_capable(old, old.user_ns, CAP_SETGID);
  if (!all && r != -1 && r != old.gid && r != old.egid) return -EPERM;
  if (!all && e != -1 && e != old.gid && e != old.egid && e != old.sgid) return -EPERM;
  const c = prepare_creds(old);
  if (nil(c)) return -ENOMEM;
  if (r != -1) c.gid = r;
  if (e != -1) c.egid = e;
  if (r != -1 || (e != -1 && e != old.gid)) c.sgid = c.egid;
  c.fsgid = c.egid;
  return commit(p, c);
}

/** Three ids at three addresses: getresuid(2), getresgid(2). */
function put_three(f: frame, a: i32, b: i32, c: i32): i32 {
  const need = prepare_write(f, f.a0, 4) | prepare_write(f, f.a1, 4) | prepare_write(f, f.a2, 4);
  if (need) return need;
  if (put_user32(f, f.a0, a) || put_user32(f, f.a1, b) || put_user32(f, f.a2, c)) return -EFAULT;
  return 0;
}

export function sys_getresuid(p: task_struct, f: frame): i32 {
  const c = p.cred;
  const ns = c.user_ns;
  return put_three(
    f,
    from_kuid_munged(ns, c.uid),
    from_kuid_munged(ns, c.euid),
    from_kuid_munged(ns, c.suid),
  );
}

export function sys_getresgid(p: task_struct, f: frame): i32 {
  const c = p.cred;
  const ns = c.user_ns;
  return put_three(
    f,
    from_kgid_munged(ns, c.gid),
    from_kgid_munged(ns, c.egid),
    from_kgid_munged(ns, c.sgid),
  );
}
