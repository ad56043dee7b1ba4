// Capabilities (capabilities(7)): how they follow the ids of a process, what exec leaves of them,
// capget, capset and the options of prctl about them (security/commoncap.c).
import { seeded_fault } from "../lib/bug.ts";
import { CAP_FULL_SET, cap_raised, commit_creds, cred, cred_ns_capable } from "./cred.ts";
import { in_group_p, prepare_creds, put_cred } from "./cred.ts";
import { nil } from "../lib/err.ts";
import { frame } from "../lib/frame.ts";
import { find_task_by_pid_ns, pid_nr_ns, task_active_pid_ns } from "../process/pid.ts";
import { SCRATCH_USER } from "../lib/root.ts";
import { clear_pdeath_signal, cold, PF_NO_NEW_PRIVS, task_struct } from "../process/task.ts";
import { copy_from_user, copy_to_user, prepare_write, put_user32 } from "../lib/uaccess.ts";
import * as C from "../uapi/capability.ts";
import * as E from "../uapi/errno.ts";
import * as P from "../uapi/prctl.ts";
import { make_kuid } from "../namespace/user-namespace.ts";

// Seeded faults (debug builds only): sets that should go stay, bits that are locked change.
const F_SETUID_CAPS = 130;
const F_SECUREBITS = 131;
const F_AMBIENT = 132;

const SECURE_ALL_BITS: u32 =
  C.SECBIT_NOROOT |
  C.SECBIT_NO_SETUID_FIXUP |
  C.SECBIT_KEEP_CAPS |
  C.SECBIT_NO_CAP_AMBIENT_RAISE |
  C.SECBIT_EXEC_RESTRICT_FILE |
  C.SECBIT_EXEC_DENY_INTERACTIVE;
const SECURE_ALL_LOCKS: u32 = SECURE_ALL_BITS << 1;
const SECURE_ALL_UNPRIVILEGED: u32 = C.SECBIT_EXEC_RESTRICT_FILE | C.SECBIT_EXEC_DENY_INTERACTIVE;

/** Capabilities over files: they follow the file system id. */
const CAP_FS_SET: u64 =
  ((<u64>1) << C.CAP_CHOWN) |
  ((<u64>1) << C.CAP_MKNOD) |
  ((<u64>1) << C.CAP_DAC_OVERRIDE) |
  ((<u64>1) << C.CAP_DAC_READ_SEARCH) |
  ((<u64>1) << C.CAP_FOWNER) |
  ((<u64>1) << C.CAP_FSETID) |
  ((<u64>1) << C.CAP_LINUX_IMMUTABLE) |
  ((<u64>1) << C.CAP_MAC_OVERRIDE);

function cap_valid(cap: u64): bool {
  return cap <= <u64>C.CAP_LAST_CAP;
}

/** A new `c` in place of `old` with other user ids: the sets follow as root comes or goes. */
export function cap_fix_setuid(c: cred, old: cred): void {
  if (old.securebits & C.SECBIT_NO_SETUID_FIXUP) return;
  const zero = make_kuid(old.user_ns, 0);
  const had = old.uid == zero || old.euid == zero || old.suid == zero;
  const has = c.uid == zero || c.euid == zero || c.suid == zero;
  if (had && !has && !seeded_fault(F_SETUID_CAPS)) {
    if (!(old.securebits & C.SECBIT_KEEP_CAPS)) {
      c.cap_permitted = 0;
      c.cap_effective = 0;
    }
    c.cap_ambient = 0;
  }
  if (old.euid == zero && c.euid != zero) c.cap_effective = 0;
  if (old.euid != zero && c.euid == zero) c.cap_effective = c.cap_permitted;
}

/** The same for the file system id alone: only what is about files follows. */
export function cap_fix_setfsuid(c: cred, old: cred): void {
  if (old.securebits & C.SECBIT_NO_SETUID_FIXUP) return;
  const zero = make_kuid(old.user_ns, 0);
  if (old.fsuid == zero && c.fsuid != zero) c.cap_effective &= ~CAP_FS_SET;
  if (old.fsuid != zero && c.fsuid == zero) c.cap_effective |= c.cap_permitted & CAP_FS_SET;
}

/** Does another process see what this one does to its root directory? */
function fs_is_shared(p: task_struct): bool {
  const fs = cold(p).fs;
  return fs.shared != 0 && fs.count > p.signal.nr_threads;
}

/** Would exec leave `c` as it is? */
function cap_bprm_unchanged(c: cred): bool {
  const zero = make_kuid(c.user_ns, 0);
  if (c.suid != c.euid || c.fsuid != c.euid || c.sgid != c.egid || c.fsgid != c.egid) return false;
  if (c.uid != c.euid || c.gid != c.egid || c.securebits || c.cap_ambient) return false;
  if (c.euid != zero) return c.cap_permitted == 0 && c.cap_effective == 0;
  const full = c.cap_bset | c.cap_inheritable;
  return c.cap_permitted == full && c.cap_effective == full;
}

/** Before exec: a cred of its own where it will change. False when memory is exhausted. */
export function prepare_bprm_creds(p: task_struct): bool {
  const old = p.cred;
  if (old.count == 1 || cap_bprm_unchanged(old)) return true;
  const c = prepare_creds(old);
  if (nil(c)) return false;
  p.cred = c;
  put_cred(old);
  return true;
}

/** Exec of a file without set-id bits and capabilities: what is left of `p`'s privileges. */
export function cap_bprm_creds(p: task_struct): void {
  const c = p.cred;
  if (cap_bprm_unchanged(c)) return;
  const zero = make_kuid(c.user_ns, 0);
  const before = c.cap_permitted;
  let effective = false;
  c.cap_permitted = 0;
  if (!(c.securebits & C.SECBIT_NOROOT)) {
    // pP' = bounding | inheritable for root; the effective set is full for effective root alone
    if (c.euid == zero || c.uid == zero) c.cap_permitted = c.cap_bset | c.cap_inheritable;
    effective = c.euid == zero;
  }
  const regrouped = !in_group_p(c, c.egid);
  const gained = (c.cap_permitted & ~before) != 0;
  const no_new_privs = (p.flags & PF_NO_NEW_PRIVS) != 0;
  const euid = c.euid;
  if ((regrouped || gained) && (no_new_privs || fs_is_shared(p))) {
    if (no_new_privs || !cred_ns_capable(c, c.user_ns, C.CAP_SETUID)) {
      c.euid = c.uid;
      c.egid = c.gid;
    }
    c.cap_permitted &= before;
  }
  c.suid = c.fsuid = c.euid;
  c.sgid = c.fsgid = c.egid;
  if (regrouped) c.cap_ambient = 0;
  c.cap_permitted |= c.cap_ambient;
  c.cap_effective = effective ? c.cap_permitted : c.cap_ambient;
  c.securebits &= ~(<u32>C.SECBIT_KEEP_CAPS);
  // privileged in a way that a parent's signal must not reach any more
  const secure = c.uid != c.euid || c.gid != c.egid || regrouped || euid != c.euid;
  if (secure || (c.cap_permitted & ~before) != 0) clear_pdeath_signal(p);
}

/** Reads the header of capget and capset. Return: 32-bit words per set, errno, RET_NEED. */
function cap_header(f: frame): i32 {
  const need = prepare_write(f, f.a0, 4);
  if (need) return need;
  const bad = copy_from_user(f, SCRATCH_USER, f.a0, 4);
  if (bad) return bad;
  const version = load<i32>(SCRATCH_USER);
  if (version == C._LINUX_CAPABILITY_VERSION_1) return 1;
  if (version == C._LINUX_CAPABILITY_VERSION_2 || version == C._LINUX_CAPABILITY_VERSION_3) {
    return 2;
  }
  return put_user32(f, f.a0, C._LINUX_CAPABILITY_VERSION_3) ? -E.EFAULT : -E.EINVAL;
}

function store_caps(at: usize, half: u32, c: cred): void {
  const shift = half << 5;
  store<u32>(at, <u32>(c.cap_effective >> shift));
  store<u32>(at, <u32>(c.cap_permitted >> shift), 4);
  store<u32>(at, <u32>(c.cap_inheritable >> shift), 8);
}

/** capget(2): header, data. */
export function sys_capget(p: task_struct, f: frame): i32 {
  const words = cap_header(f);
  // without data, a wrong version is no error: it asks for the right one
  if (!f.a1) return words == -E.EINVAL || words > 0 ? 0 : words;
  if (words < 0) return words;
  const bad = copy_from_user(f, SCRATCH_USER, f.a0 + 4, 4);
  if (bad) return bad;
  const nr = load<i32>(SCRATCH_USER);
  if (nr < 0) return -E.EINVAL;
  const bytes = <u32>words * 12;
  const need = prepare_write(f, f.a1, bytes);
  if (need) return need;
  const t = nr ? find_task_by_pid_ns(nr, task_active_pid_ns(p)) : p;
  if (nil(t)) return -E.ESRCH;
  store_caps(SCRATCH_USER, 0, t.cred);
  store_caps(SCRATCH_USER + 12, 1, t.cred);
  return copy_to_user(f, f.a1, SCRATCH_USER, bytes) ? -E.EFAULT : 0;
}

/** Set `which` (0 effective, 1 permitted, 2 inheritable) of the data at the scratch buffer. */
function load_caps(which: usize, words: i32): u64 {
  const at = SCRATCH_USER + (which << 2);
  const high = words > 1 ? <u64>load<u32>(at, 12) : 0;
  return ((<u64>load<u32>(at)) | (high << 32)) & CAP_FULL_SET;
}

/** capset(2): header, data; of the caller alone. */
export function sys_capset(p: task_struct, f: frame): i32 {
  const words = cap_header(f);
  if (words < 0) return words;
  let bad = copy_from_user(f, SCRATCH_USER, f.a0 + 4, 4);
  if (bad) return bad;
  const nr = load<i32>(SCRATCH_USER);
  if (nr && nr != pid_nr_ns(p.thread_pid, task_active_pid_ns(p))) return -E.EPERM;
  bad = copy_from_user(f, SCRATCH_USER, f.a1, <u32>words * 12);
  if (bad) return bad;
  const effective = load_caps(0, words);
  const permitted = load_caps(1, words);
  const inheritable = load_caps(2, words);
  const old = p.cred;
  if (!cred_ns_capable(old, old.user_ns, C.CAP_SETPCAP)) {
    if (inheritable & ~(old.cap_inheritable | old.cap_permitted)) return -E.EPERM;
  }
  if (inheritable & ~(old.cap_inheritable | old.cap_bset)) return -E.EPERM;
  if (permitted & ~old.cap_permitted) return -E.EPERM;
  if (effective & ~permitted) return -E.EPERM;
  const c = prepare_creds(old);
  if (nil(c)) return -E.ENOMEM;
  c.cap_effective = effective;
  c.cap_permitted = permitted;
  c.cap_inheritable = inheritable;
  if (!seeded_fault(F_AMBIENT)) c.cap_ambient &= permitted & inheritable;
  commit_creds(p, c);
  return 0;
}

/** PR_SET_SECUREBITS: locked bits stay, locks are never opened. */
function set_securebits(p: task_struct, bits: u64): i32 {
  const old = p.cred;
  const now = old.securebits;
  const changed = now ^ (<u32>bits);
  if (bits & ~(<u64>(SECURE_ALL_BITS | SECURE_ALL_LOCKS))) return -E.EPERM;
  if (((now & SECURE_ALL_LOCKS) >> 1) & changed && !seeded_fault(F_SECUREBITS)) return -E.EPERM;
  if (now & SECURE_ALL_LOCKS & ~(<u32>bits)) return -E.EPERM;
  const free = SECURE_ALL_UNPRIVILEGED | (SECURE_ALL_UNPRIVILEGED << 1);
  if (changed & ~free || !changed) {
    if (!cred_ns_capable(old, old.user_ns, C.CAP_SETPCAP)) return -E.EPERM;
  }
  const c = prepare_creds(old);
  if (nil(c)) return -E.ENOMEM;
  c.securebits = <u32>bits;
  commit_creds(p, c);
  return 0;
}

/** PR_SET_KEEPCAPS. */
function set_keepcaps(p: task_struct, on: u64): i32 {
  if (on > 1) return -E.EINVAL;
  if (p.cred.securebits & C.SECBIT_KEEP_CAPS_LOCKED) return -E.EPERM;
  const c = prepare_creds(p.cred);
  if (nil(c)) return -E.ENOMEM;
  if (on) c.securebits |= C.SECBIT_KEEP_CAPS;
  else c.securebits &= ~(<u32>C.SECBIT_KEEP_CAPS);
  commit_creds(p, c);
  return 0;
}

/** PR_CAPBSET_DROP. */
function drop_bounding(p: task_struct, cap: u64): i32 {
  const old = p.cred;
  if (!cred_ns_capable(old, old.user_ns, C.CAP_SETPCAP)) return -E.EPERM;
  if (!cap_valid(cap)) return -E.EINVAL;
  const c = prepare_creds(old);
  if (nil(c)) return -E.ENOMEM;
  c.cap_bset &= ~((<u64>1) << cap);
  commit_creds(p, c);
  return 0;
}

/** PR_CAP_AMBIENT: what, capability. */
function prctl_ambient(p: task_struct, f: frame): i32 {
  const what = f.a1;
  const cap = f.a2;
  const old = p.cred;
  if (what == <u64>P.PR_CAP_AMBIENT_CLEAR_ALL) {
    if (cap | f.r10 | f.r8) return -E.EINVAL;
  } else {
    if (!cap_valid(cap) || f.r10 || f.r8) return -E.EINVAL;
    if (what == <u64>P.PR_CAP_AMBIENT_IS_SET) return cap_raised(old.cap_ambient, <i32>cap) ? 1 : 0;
    if (what == <u64>P.PR_CAP_AMBIENT_RAISE) {
      const both = old.cap_permitted & old.cap_inheritable;
      if (!cap_raised(both, <i32>cap)) return -E.EPERM;
      if (old.securebits & C.SECBIT_NO_CAP_AMBIENT_RAISE) return -E.EPERM;
    } else if (what != <u64>P.PR_CAP_AMBIENT_LOWER) {
      return -E.EINVAL;
    }
  }
  const c = prepare_creds(old);
  if (nil(c)) return -E.ENOMEM;
  if (what == <u64>P.PR_CAP_AMBIENT_CLEAR_ALL) c.cap_ambient = 0;
  else if (what == <u64>P.PR_CAP_AMBIENT_RAISE) c.cap_ambient |= (<u64>1) << cap;
  else c.cap_ambient &= ~((<u64>1) << cap);
  commit_creds(p, c);
  return 0;
}

/** The options of prctl(2) about capabilities; -ENOSYS: it is none of them. */
export function cap_task_prctl(p: task_struct, f: frame): i32 {
  const c = p.cred;
  switch (<i32>f.a0) {
    case P.PR_CAPBSET_READ:
      if (!cap_valid(f.a1)) return -E.EINVAL;
      return cap_raised(c.cap_bset, <i32>f.a1) ? 1 : 0;
    case P.PR_CAPBSET_DROP:
      return drop_bounding(p, f.a1);
    case P.PR_SET_SECUREBITS:
      return set_securebits(p, f.a1);
    case P.PR_GET_SECUREBITS:
      return <i32>c.securebits;
    case P.PR_GET_KEEPCAPS:
      return c.securebits & C.SECBIT_KEEP_CAPS ? 1 : 0;
    case P.PR_SET_KEEPCAPS:
      return set_keepcaps(p, f.a1);
    case P.PR_CAP_AMBIENT:
      return prctl_ambient(p, f);
    default:
      return -E.ENOSYS;
  }
}
