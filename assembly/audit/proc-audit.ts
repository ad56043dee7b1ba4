// /proc/PID/{loginuid,sessionid,audit_containerid,audit_capcontainerid}: who logged in, and the ids
// that audit people give to containers by hand, with the rules of the later patches.
import { audit, audit_get } from "./audit.ts";
import * as X from "./audit-context.ts";
import { audit_contobj } from "./audit-context.ts";
import {
  audit_capcontid_set,
  audit_contid_set,
  audit_log_login,
  container_of_task,
} from "./audit-record.ts";
import { cred_ns_capable } from "../cred/cred.ts";
import { nil, NULL, same } from "../lib/err.ts";
import { file } from "../fs/file.ts";
import { frame } from "../lib/frame.ts";
import { list_head } from "../lib/list.ts";
import { pid } from "../process/pid.ts";
import {
  PROC_AUDIT_CAPCONTAINERID,
  PROC_AUDIT_CONTAINERID,
  PROC_LOGINUID,
  PROC_SESSIONID,
  proc_file,
} from "../proc/procfs.ts";
import { root, SCRATCH_USER } from "../lib/root.ts";
import { task_struct } from "../process/task.ts";
import { copy_from_user, copy_to_user, prepare_write } from "../lib/uaccess.ts";
import { AUDIT_SID_UNSET, AUDIT_UID_UNSET } from "../uapi/audit.ts";
import { CAP_AUDIT_CONTROL } from "../uapi/capability.ts";
import * as E from "../uapi/errno.ts";
import { from_kuid, init_user_ns, make_kuid } from "../namespace/user-namespace.ts";

/** Digits of the longest number that is read, with a sign and a newline. */
const NUMBER_BYTES: u32 = 22;
const UNSET: u64 = u64.MAX_VALUE;

/**
 * The decimal number of the `len` bytes at `at`, at most `max`, into the scratch buffer's start.
 * Return: 0, -EINVAL, -ERANGE.
 */
function parse_number(at: usize, len: u32, max: u64): i32 {
  let i: u32 = 0;
  if (len && load<u8>(at) == 43) i = 1;
  let value: u64 = 0;
  let digits: u32 = 0;
  for (; i < len; ++i) {
    const byte = load<u8>(at + i);
    if (byte == 10 && i + 1 == len) break;
    if (byte == 0) break;
    if (byte < 48 || byte > 57) return -E.EINVAL;
    const digit = <u64>(byte - 48);
    if (value > (max - digit) / 10) return -E.ERANGE;
    value = value * 10 + digit;
    digits += 1;
  }
  if (!digits) return -E.EINVAL;
  store<u64>(SCRATCH_USER, value);
  return 0;
}

/** The number that a write holds, into the scratch buffer's start. 0, errno, RET_NEED. */
function number_from_user(f: frame, max: u64): i32 {
  const len = f.a2 < <u64>NUMBER_BYTES ? <u32>f.a2 : NUMBER_BYTES;
  const bad = copy_from_user(f, SCRATCH_USER + 16, f.a1, len);
  return bad ? bad : parse_number(SCRATCH_USER + 16, len, max);
}

/** May `p` set and see ids? By capability, or because somebody who may said so. */
function may_set_contid(p: task_struct): bool {
  if (cred_ns_capable(p.cred, init_user_ns(), CAP_AUDIT_CONTROL)) return true;
  const ctx = X.audit_context_of(p);
  return !nil(ctx) && ctx.capcontid != 0;
}

/** Is the process of `t` below that of `p`? */
function is_descendant(p: task_struct, t: task_struct): bool {
  if (same(p.signal, t.signal)) return false;
  let at = t.signal.leader.real_parent;
  while (!nil(at) && !same(at, at.real_parent)) {
    if (same(at.signal, p.signal)) return true;
    at = at.signal.leader.real_parent;
  }
  return false;
}

function is_owner(p: task_struct, o: audit_contobj): bool {
  return same(o.owner, p.signal.tgid_pid);
}

/** May an id be set within the one that there is: does its owner stand above the writer? */
function is_nesting(p: task_struct, o: audit_contobj): bool {
  if (is_owner(p, o)) return false;
  const owner = o.owner.task;
  return !nil(owner) && is_descendant(owner, p);
}

/** The tests in their order. Return: 0 or a negative errno. */
function may_set(p: task_struct, t: task_struct, id: u64, old: audit_contobj): i32 {
  if (id == UNSET) return -E.EINVAL;
  if (!may_set_contid(p)) return -E.EPERM;
  const leader = t.signal.leader;
  if (!list_head.empty(leader.children) || t.signal.nr_threads > 1) return -E.EBUSY;
  if (!is_descendant(p, t)) return -E.EXDEV;
  if (!nil(old) && !is_nesting(p, old)) return -E.EEXIST;
  if (id <= root().container_id) return -E.ENOTUNIQ;
  const used = X.find_contobj(id);
  if (!nil(used) && !is_owner(p, used)) return -E.ENOTUNIQ;
  if (!nil(old) && old.depth >= root().container_depth_max) return -E.ENOSPC;
  return 0;
}

/** `id` becomes the audit container id of `t`. The record is written whatever comes of it. */
function set_contid(p: task_struct, t: task_struct, id: u64): i32 {
  if (nil(audit())) return -E.ENOPROTOOPT;
  const old = X.get_contobj(X.audit_contobj_of(t));
  let error = may_set(p, t, id, old);
  if (!error) error = install_contid(p, t, id, old);
  audit_contid_set(t, id, old, error);
  X.put_contobj(old, t.pid);
  return error;
}

function install_contid(p: task_struct, t: task_struct, id: u64, old: audit_contobj): i32 {
  const ctx = X.audit_context_for_write(t);
  if (nil(ctx)) return -E.ENOMEM;
  const used = X.find_contobj(id);
  const o = nil(used) ? X.alloc_contobj(id, old, p.signal.tgid_pid) : X.get_contobj(used);
  if (nil(o)) return -E.ENOMEM;
  const before = ctx.cont;
  ctx.cont = o;
  X.put_contobj(before, t.pid);
  return 0;
}

/** The right to set ids, for a descendant. */
function set_capcontid(p: task_struct, t: task_struct, value: u32): i32 {
  if (nil(audit())) return -E.ENOPROTOOPT;
  const ctx = X.audit_context_of(t);
  const old = nil(ctx) ? 0 : ctx.capcontid;
  let error = 0;
  if (!may_set_contid(p)) error = -E.EPERM;
  else if (value > 1) error = -E.EINVAL;
  else if (!is_descendant(p, t)) error = -E.EXDEV;
  if (!error) {
    const own = X.audit_context_for_write(t);
    if (nil(own)) error = -E.ENOMEM;
    else own.capcontid = value;
  }
  audit_capcontid_set(t, value, old, error);
  return error;
}

/** loginuid: a task sets its own, once; again only with CAP_AUDIT_CONTROL. */
function set_loginuid(p: task_struct, f: file, value: u32): i32 {
  const unset = <i32>value == AUDIT_UID_UNSET;
  const pf = changetype<proc_file>(f.private_data);
  const uid = unset ? AUDIT_UID_UNSET : make_kuid(pf.cred.user_ns, <i32>value);
  if (!unset && uid == -1) return -E.EINVAL;
  const old = X.audit_loginuid(p);
  const old_ses = X.audit_sessionid(p);
  let error = 0;
  if (old != AUDIT_UID_UNSET && !cred_ns_capable(p.cred, init_user_ns(), CAP_AUDIT_CONTROL)) {
    error = -E.EPERM;
  }
  let ses = AUDIT_SID_UNSET;
  if (!error) {
    const ctx = X.audit_context_for_write(p);
    if (nil(ctx)) return -E.ENOMEM;
    if (!unset) {
      const a = audit_get();
      a.session += 1;
      ses = <i32>a.session;
    }
    ctx.loginuid = uid;
    ctx.sessionid = ses;
  }
  audit_log_login(p, old, uid, old_ses, ses, error);
  return error;
}

/** write(2) to one of the files. */
export function proc_audit_write(p: task_struct, f: frame, at: file): i32 {
  const pf = at.proc;
  const number: pid = pf.pid;
  const t = nil(number) ? NULL<task_struct>() : number.task;
  const what = pf.what;
  if (what == PROC_SESSIONID) return -E.EINVAL;
  if (nil(t)) return what == PROC_LOGINUID ? -E.EPERM : -E.ESRCH;
  if (what == PROC_LOGINUID && !same(t, p)) return -E.EPERM;
  if (at.pos) return -E.EINVAL;
  const bad = number_from_user(f, what == PROC_AUDIT_CONTAINERID ? UNSET : 0xffffffff);
  if (bad) return bad;
  const value = load<u64>(SCRATCH_USER);
  let error: i32;
  if (what == PROC_LOGINUID) error = set_loginuid(p, at, <u32>value);
  else if (what == PROC_AUDIT_CONTAINERID) error = set_contid(p, t, value);
  else error = set_capcontid(p, t, <u32>value);
  return error ? error : <i32>f.a2;
}

/** Decimal digits of `value` at the scratch buffer. Return: how many. */
function put_decimal(value: u64): u32 {
  let digits: u32 = 1;
  for (let rest = value / 10; rest; rest /= 10) digits += 1;
  for (let i = digits; i > 0; --i) {
    store<u8>(SCRATCH_USER + i - 1, <u8>(48 + <u32>(value % 10)));
    value /= 10;
  }
  return digits;
}

/** The id that counts for `t`: the one set by hand, else its container's serial. */
function effective_contid(t: task_struct): u64 {
  const o = X.audit_contobj_of(t);
  if (!nil(o)) return o.id;
  const c = container_of_task(t);
  return nil(c) ? UNSET : c.id;
}

/** read(2) of one of the files. */
export function proc_audit_read(p: task_struct, f: frame, at: file): i32 {
  const pf = at.proc;
  const number: pid = pf.pid;
  const t = nil(number) ? NULL<task_struct>() : number.task;
  if (nil(t)) return -E.ESRCH;
  const room = f.a2 > 32 ? 32 : <u32>f.a2;
  const need = prepare_write(f, f.a1, room);
  if (need) return need;
  let value: u64 = 0;
  if (pf.what == PROC_LOGINUID) {
    const uid = X.audit_loginuid(t);
    value = <u64>(<u32>(uid == AUDIT_UID_UNSET ? uid : from_kuid(pf.cred.user_ns, uid)));
  } else if (pf.what == PROC_SESSIONID) {
    value = <u64>(<u32>X.audit_sessionid(t));
  } else {
    if (!may_set_contid(p)) return -E.EPERM;
    const ctx = X.audit_context_of(t);
    if (pf.what == PROC_AUDIT_CAPCONTAINERID) value = nil(ctx) ? 0 : <u64>ctx.capcontid;
    else value = effective_contid(t);
  }
  const len = put_decimal(value);
  if (at.pos >= <u64>len) return 0;
  const skip = <u32>at.pos;
  const n = min(len - skip, room);
  if (n && copy_to_user(f, f.a1, SCRATCH_USER + skip, n)) return -E.EFAULT;
  at.pos += n;
  return <i32>n;
}
