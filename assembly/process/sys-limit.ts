// Resource limits and accounts: prlimit64 and its relatives, getrusage, times. Time and memory that
// a process used are the world's; whose they are and where they are written is checked here.
import { cred_ns_capable } from "../cred/cred.ts";
import { nil, RET_RAW, same } from "../lib/err.ts";
import { frame } from "../lib/frame.ts";
import { find_task_by_pid_ns, task_active_pid_ns } from "./pid.ts";
import { root, SCRATCH_USER } from "../lib/root.ts";
import * as S from "./signal-struct.ts";
import { sys_world_call } from "../fs/sys-file.ts";
import { task_struct } from "./task.ts";
import { copy_from_user, copy_to_user, prepare_write } from "../lib/uaccess.ts";
import { CAP_SYS_RESOURCE } from "../uapi/capability.ts";
import * as E from "../uapi/errno.ts";
import { ASSIST_ERRNO, ASSIST_RET } from "../uapi/frame.ts";
import { RLIM_NLIMITS, RLIMIT_NOFILE } from "../uapi/resource.ts";
import { init_user_ns } from "../namespace/user-namespace.ts";

/** Where the new and the old limits of the call lie: pairs of u64. */
const NEW: usize = SCRATCH_USER;
const OLD: usize = SCRATCH_USER + 16;
/** The greatest limit that 32 bits show. */
const RLIM_INFINITY_32: u64 = 0xffffffff;

/** May `p` ask for, or change, the limits of `t`? (prlimit(2)) */
function check_prlimit_permission(p: task_struct, t: task_struct): bool {
  if (same(p, t)) return true;
  const mine = p.cred;
  const theirs = t.cred;
  const uids = mine.uid == theirs.euid && mine.uid == theirs.suid && mine.uid == theirs.uid;
  const gids = mine.gid == theirs.egid && mine.gid == theirs.sgid && mine.gid == theirs.gid;
  return (uids && gids) || cred_ns_capable(mine, theirs.user_ns, CAP_SYS_RESOURCE);
}

/** Sets the limits of `t` to those at NEW (`set`) and puts the old ones at OLD. 0 or errno. */
function do_prlimit(p: task_struct, t: task_struct, resource: u32, set: bool): i32 {
  if (resource >= <u32>RLIM_NLIMITS) return -E.EINVAL;
  const cur = S.rlimit(t.signal, <i32>resource);
  const max = S.rlimit_max(t.signal, <i32>resource);
  if (set) {
    const new_max = load<u64>(NEW, 8);
    if (load<u64>(NEW) > new_max) return -E.EINVAL;
    if (resource == RLIMIT_NOFILE && new_max > <u64>root().nofile_max) return -E.EPERM;
    const raises = new_max > max;
    if (raises && !cred_ns_capable(p.cred, init_user_ns(), CAP_SYS_RESOURCE)) return -E.EPERM;
    if (!S.set_rlimit(t.signal, <i32>resource, load<u64>(NEW), new_max)) return -E.ENOMEM;
  }
  store<u64>(OLD, cur);
  store<u64>(OLD, max, 8);
  return 0;
}

/** prlimit64(2): pid, resource, new, old. */
export function sys_prlimit64(p: task_struct, f: frame): i32 {
  const need = prepare_write(f, f.r10, 16);
  if (need) return need;
  if (f.a2) {
    const bad = copy_from_user(f, NEW, f.a2, 16);
    if (bad) return bad;
  }
  const nr = <i32>f.a0;
  const t = nr ? find_task_by_pid_ns(nr, task_active_pid_ns(p)) : p;
  if (nil(t)) return -E.ESRCH;
  if (!check_prlimit_permission(p, t)) return -E.EPERM;
  const error = do_prlimit(p, t, <u32>f.a1, f.a2 != 0);
  if (error || !f.r10) return error;
  return copy_to_user(f, f.r10, OLD, 16) ? -E.EFAULT : 0;
}

/** getrlimit(2): resource, where they go; i386 shows at most `most`. */
export function sys_getrlimit(p: task_struct, f: frame, compat: bool, most: u64): i32 {
  const bytes: u32 = compat ? 8 : 16;
  const need = prepare_write(f, f.a1, bytes);
  if (need) return need;
  const error = do_prlimit(p, p, <u32>f.a0, false);
  if (error) return error;
  if (compat) {
    for (let i: usize = 0; i < 2; ++i) {
      const value = load<u64>(OLD + (i << 3));
      store<u32>(OLD + (i << 2), <u32>(value > most ? most : value));
    }
  }
  return copy_to_user(f, f.a1, OLD, bytes) ? -E.EFAULT : 0;
}

/** setrlimit(2): resource, limits; for i386 32 ones are no limit. */
export function sys_setrlimit(p: task_struct, f: frame, compat: bool): i32 {
  const bad = copy_from_user(f, compat ? OLD : NEW, f.a1, compat ? 8 : 16);
  if (bad) return bad;
  if (compat) {
    for (let i: usize = 0; i < 2; ++i) {
      const value = <u64>load<u32>(OLD + (i << 2));
      store<u64>(NEW + (i << 3), value == RLIM_INFINITY_32 ? u64.MAX_VALUE : value);
    }
  }
  return do_prlimit(p, p, <u32>f.a0, true);
}

const RUSAGE_CHILDREN: i32 = -1;
const RUSAGE_THREAD: i32 = 1;

/** getrusage(2): who, usage. The kernel's numbers are zeros: what was used the world knows. */
export function sys_getrusage(f: frame, compat: bool): i32 {
  const who = <i32>f.a0;
  const bytes: u32 = compat ? 72 : 144;
  const need = prepare_write(f, f.a1, bytes);
  if (need) return need;
  if (who < RUSAGE_CHILDREN || who > RUSAGE_THREAD) return -E.EINVAL;
  memory.fill(SCRATCH_USER, 0, bytes);
  return copy_to_user(f, f.a1, SCRATCH_USER, bytes) ? -E.EFAULT : 0;
}

/** times(2): buffer. Return: clock ticks, the world's. */
export function sys_times(f: frame, compat: bool): i32 {
  const bytes: u32 = compat ? 16 : 32;
  const need = prepare_write(f, f.a0, bytes);
  if (need) return need;
  if (f.a0) {
    memory.fill(SCRATCH_USER, 0, bytes);
    if (copy_to_user(f, f.a0, SCRATCH_USER, bytes)) return -E.EFAULT;
  }
  if (f.assist & (ASSIST_RET | ASSIST_ERRNO)) return sys_world_call(f, 0);
  f.rax = root().clock / 10000000;
  return RET_RAW;
}
