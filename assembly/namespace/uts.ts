// Uts namespaces: the names of a machine (sethostname(2), uname(2)). A new one begins with the
// names of its maker's.
import { cred_ns_capable } from "../cred/cred.ts";
import { IS_ERR, nil } from "../lib/err.ts";
import { frame } from "../lib/frame.ts";
import { create_ns, ns_common, put_ns } from "./namespace.ts";
import { SCRATCH_USER } from "../lib/root.ts";
import { kfree, kzalloc } from "../lib/slab.ts";
import { cold, task_struct } from "../process/task.ts";
import { copy_from_user, copy_to_user, prepare_write } from "../lib/uaccess.ts";
import { CAP_SYS_ADMIN } from "../uapi/capability.ts";
import * as E from "../uapi/errno.ts";
import { CLONE_NEWUTS } from "../uapi/sched.ts";
import { user_namespace } from "./user-namespace.ts";

const __NEW_UTS_LEN = 64;
/** struct new_utsname: six fields of 65 bytes. */
const FIELD: usize = 65;
const UTSNAME_BYTES: u32 = 390;
const NODENAME: usize = FIELD;
const DOMAINNAME: usize = FIELD * 5;
/** Of the old calls: five fields, of nine bytes before that. */
const OLD_FIELDS: usize = 5;
const OLDOLD_FIELD: usize = 9;

/** struct uts_namespace - begins with the head that every namespace has. */
@unmanaged
export class uts_namespace extends ns_common {
  names: u32; // struct new_utsname, kmalloc'd
}

/** A namespace with the names of `old` (null: those of a machine that nobody named). ERR_PTR. */
export function create_uts_ns(user: user_namespace, uid: i32, old: ns_common): ns_common {
  const made = create_ns(CLONE_NEWUTS, changetype<ns_common>(0), user, uid);
  if (IS_ERR(made)) return made;
  const names = kzalloc(UTSNAME_BYTES);
  if (!names) {
    put_ns(made);
    return changetype<ns_common>(<usize>-E.ENOMEM);
  }
  changetype<uts_namespace>(changetype<usize>(made)).names = <u32>names;
  if (changetype<usize>(old) != 0) {
    memory.copy(names, changetype<uts_namespace>(changetype<usize>(old)).names, UTSNAME_BYTES);
  } else {
    name_machine(names);
  }
  return made;
}

/** "Linux", "(none)", "6.18.0", "#1", "x86_64", "(none)". */
function name_machine(names: usize): void {
  store<u64>(names, 0x78756e694c);
  store<u64>(names + NODENAME, 0x29656e6f6e28);
  store<u64>(names + FIELD * 2, 0x302e38312e36);
  store<u64>(names + FIELD * 3, 0x3123);
  store<u64>(names + FIELD * 4, 0x34365f363878);
  store<u64>(names + DOMAINNAME, 0x29656e6f6e28);
}

export function free_uts_names(ns: uts_namespace): void {
  kfree(ns.names, UTSNAME_BYTES);
}

function uts_of(p: task_struct): uts_namespace {
  return changetype<uts_namespace>(changetype<usize>(cold(p).nsproxy.uts_ns));
}

/** sethostname(2) and setdomainname(2): name, length. */
function set_name(p: task_struct, f: frame, field: usize): i32 {
  const ns = uts_of(p);
  const owner = changetype<user_namespace>(ns.user_ns);
  if (!cred_ns_capable(p.cred, owner, CAP_SYS_ADMIN)) return -E.EPERM;
  const len = <i32>f.a1;
  if (len < 0 || len > __NEW_UTS_LEN) return -E.EINVAL;
  const bad = copy_from_user(f, SCRATCH_USER, f.a0, <u32>len);
  if (bad) return bad;
  memory.fill(ns.names + field, 0, FIELD);
  memory.copy(ns.names + field, SCRATCH_USER, len);
  return 0;
}

/** What the host knows of a name: 1 of the domain, else of the machine; `len` bytes at `at`. */
export function adopt_name(p: task_struct, domain: i32, at: usize, len: u32): i32 {
  if (nil(p)) return -E.ESRCH;
  if (len > <u32>__NEW_UTS_LEN) return -E.EINVAL;
  const to = uts_of(p).names + (domain ? DOMAINNAME : NODENAME);
  memory.fill(to, 0, FIELD);
  memory.copy(to, at, len);
  return 0;
}

export function sys_sethostname(p: task_struct, f: frame): i32 {
  return set_name(p, f, NODENAME);
}
export function sys_setdomainname(p: task_struct, f: frame): i32 {
  return set_name(p, f, DOMAINNAME);
}

/** uname(2). */
export function sys_uname(p: task_struct, f: frame): i32 {
  const need = prepare_write(f, f.a0, UTSNAME_BYTES);
  if (need) return need;
  return copy_to_user(f, f.a0, uts_of(p).names, UTSNAME_BYTES) ? -E.EFAULT : 0;
}

/** i386's older ones: five fields, of 65 bytes or of nine. */
export function sys_olduname(p: task_struct, f: frame, field: usize): i32 {
  const names = uts_of(p).names;
  const bytes = <u32>(field * OLD_FIELDS);
  const need = prepare_write(f, f.a0, bytes);
  if (need) return need;
  memory.fill(SCRATCH_USER, 0, bytes);
  // the last byte of each field stays a NUL
  for (let i: usize = 0; i < OLD_FIELDS; ++i) {
    memory.copy(SCRATCH_USER + i * field, names + i * FIELD, field - 1);
  }
  return copy_to_user(f, f.a0, SCRATCH_USER, bytes) ? -E.EFAULT : 0;
}

export function sys_oldolduname(p: task_struct, f: frame): i32 {
  return sys_olduname(p, f, OLDOLD_FIELD);
}
