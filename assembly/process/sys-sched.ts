// Niceness, scheduling policies, personality: what a task may set of itself and of others, and what
// it is told. Which CPUs there are, and whether a cgroup allows real-time, is the world's.
import { seeded_fault } from "../lib/bug.ts";
import { cred, cred_ns_capable } from "../cred/cred.ts";
import { nil, RET_RAW } from "../lib/err.ts";
import { frame } from "../lib/frame.ts";
import { list_head } from "../lib/list.ts";
import {
  find_ge_pid,
  find_pid_ns,
  find_task_by_pid_ns,
  pid_nr_ns,
  task_active_pid_ns,
} from "./pid.ts";
import { SCRATCH_USER } from "../lib/root.ts";
import * as H from "./sched.ts";
import { rlimit, signal_struct } from "./signal-struct.ts";
import { sys_world_call } from "../fs/sys-file.ts";
import { from_thread_node, task_struct } from "./task.ts";
import { access_ok, copy_from_user, copy_to_user, prepare_write } from "../lib/uaccess.ts";
import { CAP_SYS_NICE } from "../uapi/capability.ts";
import * as E from "../uapi/errno.ts";
import { WINDOW_READ } from "../uapi/frame.ts";
import { RLIMIT_NICE, RLIMIT_RTPRIO } from "../uapi/resource.ts";
import * as C from "../uapi/sched.ts";
import { init_user_ns, make_kuid } from "../namespace/user-namespace.ts";

// Seeded fault (debug builds only): anybody may be nicer to himself.
const F_NICE = 206;

/** The task of a pid argument (0: the caller), or null. */
function task_of(p: task_struct, nr: i32): task_struct {
  return nr ? find_task_by_pid_ns(nr, task_active_pid_ns(p)) : p;
}

function capable_nice(p: task_struct): bool {
  return cred_ns_capable(p.cred, init_user_ns(), CAP_SYS_NICE);
}

/** Is `nice` within RLIMIT_NICE of `t`, or the caller above it? */
function can_nice(p: task_struct, t: task_struct, nice: i32): bool {
  if (seeded_fault(F_NICE)) return true;
  return <u64>(20 - nice) <= rlimit(t.signal, RLIMIT_NICE) || capable_nice(p);
}

/** setpriority(2) on one task. `error`: what came before. */
function set_one_prio(p: task_struct, t: task_struct, nice: i32, error: i32): i32 {
  const mine = p.cred;
  const theirs = t.cred;
  const owner = theirs.uid == mine.euid || theirs.euid == mine.euid;
  if (!owner && !cred_ns_capable(mine, theirs.user_ns, CAP_SYS_NICE)) return -E.EPERM;
  if (nice < H.task_nice(t) && !can_nice(p, t, nice)) return -E.EACCES;
  if (nice != H.task_nice(t)) {
    const s = H.sched_for_write(t);
    if (nil(s)) return -E.ENOMEM;
    s.nice = nice;
  }
  return error == -E.ESRCH ? 0 : error;
}

/** One task of those that getpriority and setpriority name. `set`: -100 asks. */
function one_prio(p: task_struct, t: task_struct, set: i32, result: i32): i32 {
  if (set != ASK) return set_one_prio(p, t, set, result);
  const prio = 20 - H.task_nice(t);
  return prio > result ? prio : result;
}
const ASK: i32 = -100;

/** All threads of a group. */
function group_prio(p: task_struct, s: signal_struct, set: i32, result: i32): i32 {
  const head = s.threads;
  for (let at = head.next; at !== head; at = at.next) {
    result = one_prio(p, from_thread_node(at), set, result);
  }
  return result;
}

/** All tasks of the user, as far as the caller's pid namespace has them. */
function user_prio(p: task_struct, uid: i32, set: i32): i32 {
  const ns = task_active_pid_ns(p);
  let result = -E.ESRCH;
  let number = find_ge_pid(1, ns);
  while (!nil(number)) {
    const t = number.task;
    if (!nil(t) && t.cred.uid == uid) result = one_prio(p, t, set, result);
    number = find_ge_pid(pid_nr_ns(number, ns) + 1, ns);
  }
  return result;
}

/** Whom getpriority(2) and setpriority(2) mean, and what becomes of it. */
function do_prio(p: task_struct, which: i32, who: i32, set: i32): i32 {
  if (which < C.PRIO_PROCESS || which > C.PRIO_USER) return -E.EINVAL;
  if (which == C.PRIO_PROCESS) {
    const t = task_of(p, who);
    return nil(t) ? -E.ESRCH : one_prio(p, t, set, -E.ESRCH);
  }
  if (which == C.PRIO_USER) {
    const uid = who ? make_kuid(p.cred.user_ns, who) : p.cred.uid;
    return uid == -1 ? -E.ESRCH : user_prio(p, uid, set);
  }
  const pgrp = who ? find_pid_ns(who, task_active_pid_ns(p)) : p.signal.pgrp;
  let result = -E.ESRCH;
  if (nil(pgrp)) return result;
  const head: list_head = pgrp.members;
  for (let at = head.next; at !== head; at = at.next) {
    result = group_prio(p, signal_struct.from_pgrp_link(at), set, result);
  }
  return result;
}

/** getpriority(2): which, who. Return: 20 less the least niceness. */
export function sys_getpriority(p: task_struct, which: i32, who: i32): i32 {
  return do_prio(p, which, who, ASK);
}

function clamp(value: i32, low: i32, high: i32): i32 {
  return value < low ? low : value > high ? high : value;
}

/** setpriority(2): which, who, nice. */
export function sys_setpriority(p: task_struct, which: i32, who: i32, nice: i32): i32 {
  return do_prio(p, which, who, clamp(nice, -20, 19));
}

/** nice(2). */
export function sys_nice(p: task_struct, increment: i32): i32 {
  const step = clamp(increment, -40, 40);
  const nice = clamp(H.task_nice(p) + step, -20, 19);
  if (step < 0 && !can_nice(p, p, nice)) return -E.EPERM;
  const s = H.sched_for_write(p);
  if (nil(s)) return -E.ENOMEM;
  s.nice = nice;
  return 0;
}

/** personality(2): all ones only asks. Return: what it was. */
export function sys_personality(p: task_struct, f: frame, persona: u32): i32 {
  const old = H.task_personality(p);
  if (persona != u32.MAX_VALUE && persona != old) {
    const s = H.sched_for_write(p);
    if (nil(s)) return -E.ENOMEM;
    s.personality = persona;
  }
  // with bit 31 it is a large number and no errno
  f.rax = old;
  return RET_RAW;
}

/** What a task is to be scheduled like; the policy without SCHED_RESET_ON_FORK. */
@unmanaged
class sched_request {
  policy: i32; // -1: as it is
  priority: u32;
  nice: i32;
  reset: u32;
  runtime: u64;
  deadline: u64;
  period: u64;
}
const REQUEST: usize = SCRATCH_USER + 512;

function request(): sched_request {
  return changetype<sched_request>(REQUEST);
}

function fair_policy(policy: i32): bool {
  return policy == C.SCHED_NORMAL || policy == C.SCHED_BATCH;
}

function valid_policy(policy: i32): bool {
  if (fair_policy(policy) || H.rt_policy(policy)) return true;
  return policy == C.SCHED_IDLE || policy == C.SCHED_DEADLINE;
}

/** Are the three times of SCHED_DEADLINE in order? */
function checkparam_dl(a: sched_request): bool {
  const period = a.period ? a.period : a.deadline;
  if (!a.deadline || a.deadline >> 63 || period >> 63) return false;
  if (a.runtime < 1024 || a.runtime > a.deadline || a.deadline > period) return false;
  // between 100 us and about 4 s, as the sysctls are by default
  return period >= 100000 && period <= 4194304000;
}

/** Does `a` need privilege, for `t` to have it? (sched(7)) */
function needs_nice_cap(p: task_struct, t: task_struct, a: sched_request, policy: i32): bool {
  const now = H.task_policy(t);
  const s = H.sched_of(t);
  if (fair_policy(policy) && a.nice < H.task_nice(t)) {
    if (<u64>(20 - a.nice) > rlimit(t.signal, RLIMIT_NICE)) return true;
  }
  if (H.rt_policy(policy)) {
    const limit = rlimit(t.signal, RLIMIT_RTPRIO);
    if (policy != now && !limit) return true;
    const priority: u32 = nil(s) ? 0 : s.rt_priority;
    if (a.priority > priority && <u64>a.priority > limit) return true;
  }
  if (policy == C.SCHED_DEADLINE) return true;
  if (now == C.SCHED_IDLE && policy != C.SCHED_IDLE) {
    if (<u64>(20 - H.task_nice(t)) > rlimit(t.signal, RLIMIT_NICE)) return true;
  }
  if (!same_owner(p.cred, t.cred)) return true;
  return !nil(s) && s.reset_on_fork != 0 && !a.reset;
}

function same_owner(mine: cred, theirs: cred): bool {
  return mine.euid == theirs.euid || mine.euid == theirs.uid;
}

/** Sets what request() says; a cgroup without real-time is the world's to say. */
function set_scheduler(p: task_struct, t: task_struct, f: frame): i32 {
  const a = request();
  let policy = a.policy;
  const s = H.sched_of(t);
  if (policy < 0) {
    policy = H.task_policy(t);
    a.reset = nil(s) ? 0 : s.reset_on_fork;
  } else if (!valid_policy(policy)) {
    return -E.EINVAL;
  }
  if (a.priority > 99) return -E.EINVAL;
  if (policy == C.SCHED_DEADLINE && !checkparam_dl(a)) return -E.EINVAL;
  if (H.rt_policy(policy) != (a.priority != 0)) return -E.EINVAL;
  if (needs_nice_cap(p, t, a, policy) && !capable_nice(p)) return -E.EPERM;
  const subset = (t.cred.cap_permitted & ~p.cred.cap_permitted) == 0;
  if (!subset && !cred_ns_capable(p.cred, t.cred.user_ns, CAP_SYS_NICE)) return -E.EPERM;
  const world = sys_world_call(f, 0);
  if (world < 0) return world;
  const to = H.sched_for_write(t);
  if (nil(to)) return -E.ENOMEM;
  to.policy = policy;
  to.rt_priority = a.priority;
  to.reset_on_fork = a.reset;
  if (fair_policy(policy)) to.nice = a.nice;
  to.runtime = a.runtime;
  to.deadline = a.deadline;
  to.period = a.period;
  return 0;
}

/** sched_setscheduler(2), and sched_setparam(2) with policy -1. */
export function sys_sched_setscheduler(
  p: task_struct,
  f: frame,
  nr: i32,
  policy: i32,
  param: u64,
): i32 {
  if (!param || nr < 0) return -E.EINVAL;
  const bad = copy_from_user(f, SCRATCH_USER, param, 4);
  if (bad) return bad;
  const t = task_of(p, nr);
  if (nil(t)) return -E.ESRCH;
  const a = request();
  memory.fill(REQUEST, 0, offsetof<sched_request>());
  a.priority = load<u32>(SCRATCH_USER);
  a.nice = H.task_nice(t);
  a.policy = policy;
  if (policy >= 0 && policy & C.SCHED_RESET_ON_FORK) {
    a.reset = 1;
    a.policy = policy & ~C.SCHED_RESET_ON_FORK;
  }
  return set_scheduler(p, t, f);
}

/** sched_getscheduler(2). */
export function sys_sched_getscheduler(p: task_struct, nr: i32): i32 {
  if (nr < 0) return -E.EINVAL;
  const t = task_of(p, nr);
  if (nil(t)) return -E.ESRCH;
  const s = H.sched_of(t);
  const reset = !nil(s) && s.reset_on_fork != 0;
  return H.task_policy(t) | (reset ? C.SCHED_RESET_ON_FORK : 0);
}

/** sched_getparam(2). */
export function sys_sched_getparam(p: task_struct, f: frame, nr: i32, param: u64): i32 {
  if (!param || nr < 0) return -E.EINVAL;
  const need = prepare_write(f, param, 4);
  if (need) return need;
  const t = task_of(p, nr);
  if (nil(t)) return -E.ESRCH;
  const s = H.sched_of(t);
  store<u32>(SCRATCH_USER, nil(s) ? 0 : s.rt_priority);
  return copy_to_user(f, param, SCRATCH_USER, 4) ? -E.EFAULT : 0;
}

const ATTR_SIZE_VER0: u32 = 48;
const ATTR_SIZE: u32 = 56;
const FLAG_RESET_ON_FORK: u64 = 1;
const FLAG_KEEP_POLICY: u64 = 8;
const FLAG_KEEP_PARAMS: u64 = 16;
const FLAG_UTIL_CLAMP: u64 = 96;
const FLAGS_ALL: u64 = 0x7f;

/** A struct that is too long, or too short: its right size is written where it was. */
function bad_attr_size(f: frame, addr: u64): i32 {
  store<u32>(SCRATCH_USER, ATTR_SIZE);
  copy_to_user(f, addr, SCRATCH_USER, 4);
  return -E.E2BIG;
}

/** struct sched_attr into SCRATCH_USER. Return: 0, RET_NEED, -EFAULT, -E2BIG, -EINVAL. */
function copy_attr(f: frame, addr: u64): i32 {
  const at = SCRATCH_USER;
  let bad = copy_from_user(f, at, addr, 4);
  if (bad) return bad;
  let size = load<u32>(at);
  if (!size) size = ATTR_SIZE_VER0;
  if (size < ATTR_SIZE_VER0 || size > 4096) return bad_attr_size(f, addr);
  for (let i = ATTR_SIZE; i < size; ++i) {
    bad = copy_from_user(f, at, addr + i, 1);
    if (bad) return bad;
    if (load<u8>(at)) return bad_attr_size(f, addr);
  }
  memory.fill(at, 0, ATTR_SIZE);
  bad = copy_from_user(f, at, addr, min<u32>(size, ATTR_SIZE));
  if (bad) return bad;
  if (load<u64>(at, 8) & FLAG_UTIL_CLAMP && size < ATTR_SIZE) return -E.EINVAL;
  return 0;
}

/** sched_setattr(2): pid, attr, flags. */
export function sys_sched_setattr(p: task_struct, f: frame): i32 {
  const nr = <i32>f.a0;
  if (!f.a1 || nr < 0 || <u32>f.a2) return -E.EINVAL;
  const bad = copy_attr(f, f.a1);
  if (bad) return bad;
  const at = SCRATCH_USER;
  const flags = load<u64>(at, 8);
  if (load<i32>(at, 4) < 0) return -E.EINVAL;
  const t = task_of(p, nr);
  if (nil(t)) return -E.ESRCH;
  const a = request();
  const s = H.sched_of(t);
  const keep = (flags & FLAG_KEEP_PARAMS) != 0;
  a.policy = flags & FLAG_KEEP_POLICY ? -1 : load<i32>(at, 4);
  a.reset = flags & FLAG_RESET_ON_FORK ? 1 : 0;
  a.nice = keep ? H.task_nice(t) : clamp(load<i32>(at, 16), -20, 19);
  a.priority = keep ? (nil(s) ? 0 : s.rt_priority) : load<u32>(at, 20);
  a.runtime = load<u64>(at, 24);
  a.deadline = load<u64>(at, 32);
  a.period = load<u64>(at, 40);
  if (a.policy >= 0 && !valid_policy(a.policy)) return -E.EINVAL;
  if (flags & ~FLAGS_ALL) return -E.EINVAL;
  return set_scheduler(p, t, f);
}

/** sched_getattr(2): pid, attr, size, flags. */
export function sys_sched_getattr(p: task_struct, f: frame): i32 {
  const nr = <i32>f.a0;
  const size = <u32>f.a2;
  if (!f.a1 || nr < 0 || size > 4096 || size < ATTR_SIZE_VER0 || <u32>f.r10) return -E.EINVAL;
  const need = prepare_write(f, f.a1, min<u32>(size, ATTR_SIZE));
  if (need) return need;
  const t = task_of(p, nr);
  if (nil(t)) return -E.ESRCH;
  const at = SCRATCH_USER;
  const s = H.sched_of(t);
  memory.fill(at, 0, ATTR_SIZE);
  const policy = H.task_policy(t);
  store<u32>(at, min<u32>(size, ATTR_SIZE));
  store<i32>(at, policy, 4);
  if (!nil(s)) {
    store<u64>(at, s.reset_on_fork ? FLAG_RESET_ON_FORK : 0, 8);
    if (policy == C.SCHED_DEADLINE) {
      store<u64>(at, s.runtime, 24);
      store<u64>(at, s.deadline, 32);
      store<u64>(at, s.period, 40);
    } else if (H.rt_policy(policy)) {
      store<u32>(at, s.rt_priority, 20);
    } else {
      store<i32>(at, s.nice, 16);
    }
  }
  // how far it may be clamped the world knows
  store<u32>(at, 1024, 52);
  return copy_to_user(f, f.a1, at, min<u32>(size, ATTR_SIZE)) ? -E.EFAULT : 0;
}

/** sched_get_priority_max(2) and _min(2): of real-time policies `rt`, of others 0. */
export function sys_sched_get_priority(policy: i32, rt: i32): i32 {
  if (H.rt_policy(policy)) return rt;
  return valid_policy(policy) || policy == C.SCHED_EXT ? 0 : -E.EINVAL;
}

/** sched_setaffinity(2): pid, size, mask. Whether a CPU of the mask is there the world says. */
export function sys_sched_setaffinity(p: task_struct, f: frame): i32 {
  const bytes = min<u32>(<u32>f.a1, 1024);
  const bad = access_ok(f, f.a2, bytes, WINDOW_READ);
  if (bad) return bad;
  const t = task_of(p, <i32>f.a0);
  if (nil(t)) return -E.ESRCH;
  if (!same_owner(p.cred, t.cred)) {
    if (!cred_ns_capable(p.cred, t.cred.user_ns, CAP_SYS_NICE)) return -E.EPERM;
  }
  return sys_world_call(f, 0);
}

/** sched_getaffinity(2): pid, size, mask. The CPUs are the world's; without its word it is one. */
export function sys_sched_getaffinity(p: task_struct, f: frame, compat: bool): i32 {
  const size = <u32>f.a1;
  const word: u32 = compat ? 4 : 8;
  if (!size || size & (word - 1)) return -E.EINVAL;
  const need = prepare_write(f, f.a2, word);
  if (need) return need;
  if (nil(task_of(p, <i32>f.a0))) return -E.ESRCH;
  const world = sys_world_call(f, <i32>word);
  if (world < 0) return world;
  store<u64>(SCRATCH_USER, 1);
  return copy_to_user(f, f.a2, SCRATCH_USER, word) ? -E.EFAULT : world;
}

/** sched_rr_get_interval(2): pid, where a struct timespec goes. */
export function sys_sched_rr_get_interval(p: task_struct, f: frame, compat: bool): i32 {
  const nr = <i32>f.a0;
  const bytes: u32 = compat ? 8 : 16;
  const need = prepare_write(f, f.a1, bytes);
  if (need) return need;
  if (nr < 0) return -E.EINVAL;
  const t = task_of(p, nr);
  if (nil(t)) return -E.ESRCH;
  memory.fill(SCRATCH_USER, 0, 16);
  const slice = H.task_policy(t) == C.SCHED_RR ? 100000000 : 0;
  if (compat) store<u32>(SCRATCH_USER, slice, 4);
  else store<u64>(SCRATCH_USER, slice, 8);
  return copy_to_user(f, f.a1, SCRATCH_USER, bytes) ? -E.EFAULT : 0;
}
