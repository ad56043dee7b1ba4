// The records of the audit log: what a call was, what it did to containers, whom it signalled.
// Functions named audit_* are called where those things happen, and only when there is a state
// (`if (root().audit)`); while the log is off they do nothing.
import * as A from "./audit.ts";
import { audit, audit_state } from "./audit.ts";
import * as X from "./audit-context.ts";
import { audit_contobj, audit_context_of, audit_name, audit_name_bytes } from "./audit-context.ts";
import { container, next_in_tree } from "../container/container.ts";
import { NULL, nil, same } from "../lib/err.ts";
import { frame } from "../lib/frame.ts";
import { ns_common } from "../namespace/namespace.ts";
import { nsproxy } from "../namespace/nsproxy.ts";
import { pid_namespace, tgid_nr } from "../process/pid.ts";
import { cold, task_struct } from "../process/task.ts";
import * as U from "../uapi/audit.ts";
import * as C from "../uapi/sched.ts";

/** Words of a list of ids at most: containers nest 32 deep, ids set by hand as well. */
const LIST_WORDS: u32 = 136;
const CALL_WORDS: u32 = 100 + LIST_WORDS;
const NAME_WORDS: u32 = 6;

/** The state while the log is on, else null. */
function log(): audit_state {
  const a = audit();
  return nil(a) || a.enabled ? a : NULL<audit_state>();
}

/** The container that `p` is counted in, null when its process is gone. */
export function container_of_task(p: task_struct): container {
  const leader = p.signal.leader;
  return nil(leader) ? NULL<container>() : leader.container;
}

/** The ids from `o` and then `c` outwards, behind their number. */
function put_list(a: audit_state, o: audit_contobj, c: container): void {
  const count = a.at;
  A.put(a, 0);
  let n: u32 = 0;
  for (; !nil(o) && n < 64; o = o.parent) {
    A.put64(a, o.id);
    n += 1;
  }
  for (; !nil(c) && n < 64; c = c.parent) {
    A.put64(a, c.id);
    n += 1;
  }
  store<u32>(count, n);
}

function put_task_list(a: audit_state, p: task_struct): void {
  put_list(a, X.audit_contobj_of(p), container_of_task(p));
}

function put_comm(a: audit_state, p: task_struct): void {
  const k = cold(p);
  A.put64(a, k.comm0);
  A.put64(a, k.comm1);
}

function put_cname(a: audit_state, c: container): void {
  A.put64(a, c.name0);
  A.put64(a, c.name1);
  A.put64(a, c.name2);
}

/** Number of the process of `p` in the initial pid namespace. */
function tgid_of(p: task_struct): i32 {
  return tgid_nr(p.signal);
}

function put_exe(a: audit_state, p: task_struct): void {
  const ctx = audit_context_of(p);
  if (nil(ctx) || !ctx.exe) {
    A.put(a, 0);
    return;
  }
  A.put_bytes(a, audit_name_bytes(ctx.exe), changetype<audit_name>(<usize>ctx.exe).len);
}

/** The record of the call of `f`. `success`: AUDITSC_*; `exit`: its result. */
export function audit_log_call(
  a: audit_state,
  p: task_struct,
  f: frame,
  compat: bool,
  success: u32,
  exit: i64,
): void {
  if (!A.record_begin_call(a, U.AUDIT_SYSCALL, CALL_WORDS)) return;
  const c = p.cred;
  A.put(a, compat ? 1 : 0);
  A.put(a, <u32>f.orig_rax);
  A.put(a, success);
  A.put64(a, <u64>exit);
  A.put64(a, f.a0);
  A.put64(a, f.a1);
  A.put64(a, f.a2);
  A.put64(a, f.r10);
  const leader = p.signal.leader;
  const parent = leader.real_parent;
  A.put(a, nil(parent) || nil(parent.thread_pid) ? 0 : tgid_of(parent));
  A.put(a, tgid_of(p));
  A.put(a, X.audit_loginuid(p));
  A.put(a, c.uid);
  A.put(a, c.gid);
  A.put(a, c.euid);
  A.put(a, c.suid);
  A.put(a, c.fsuid);
  A.put(a, c.egid);
  A.put(a, c.sgid);
  A.put(a, c.fsgid);
  A.put(a, X.audit_sessionid(p));
  A.put(a, a.call_key);
  put_comm(a, p);
  put_exe(a, p);
  put_task_list(a, p);
  A.record_end_call(a);
}

/** The program's file: a PATH record, and the name for later records. */
export function audit_exec(p: task_struct, path: usize, len: u32): void {
  const a = log();
  if (nil(a)) return;
  X.audit_set_exe(p, path, len);
  if (!A.record_begin(a, U.AUDIT_PATH, 66)) return;
  A.put_bytes(a, path, min(len, X.AUDIT_NAME_MAX));
  A.record_end_aux(a);
}

/** A signal is about to be sent to the process of `t`, or refused. */
export function audit_signal_info(t: task_struct): void {
  const a = log();
  if (nil(a)) return;
  const leader = t.signal.leader;
  if (!A.record_begin(a, U.AUDIT_OBJ_PID, 8 + LIST_WORDS)) return;
  A.put(a, tgid_of(t));
  A.put(a, X.audit_loginuid(t));
  A.put(a, t.cred.uid);
  A.put(a, X.audit_sessionid(t));
  put_comm(a, leader);
  put_task_list(a, t);
  A.record_end_aux(a);
}

/** Type and inode number of each namespace of a container, behind their number. */
function put_namespaces(a: audit_state, ns: nsproxy, user: ns_common): void {
  A.put(a, 7);
  put_ns_id(a, C.CLONE_NEWNS, ns.mnt_ns);
  put_ns_id(a, C.CLONE_NEWUTS, ns.uts_ns);
  put_ns_id(a, C.CLONE_NEWIPC, ns.ipc_ns);
  put_ns_id(a, C.CLONE_NEWPID, changetype<ns_common>(changetype<usize>(ns.pid_ns_for_children)));
  put_ns_id(a, C.CLONE_NEWNET, ns.net_ns);
  put_ns_id(a, C.CLONE_NEWUSER, user);
  put_ns_id(a, C.CLONE_NEWCGROUP, ns.cgroup_ns);
}

function put_ns_id(a: audit_state, type: u32, ns: ns_common): void {
  A.put(a, type);
  A.put(a, nil(ns) ? 0 : ns.inum);
}

/** Begins a CONTAINER_OP: which one, on whom. */
function op_begin(a: audit_state, op: u32, opid: i32, words: u32): bool {
  a.forced = 1;
  if (!A.record_begin(a, U.AUDIT_CONTAINER_OP, 2 + words)) return false;
  A.put(a, op);
  A.put(a, opid);
  return true;
}

/** `p` made `c`. `flags`: as it asked for. */
export function audit_container_create(p: task_struct, c: container, flags: u32): void {
  const a = log();
  if (nil(a) || !op_begin(a, U.AUDIT_OP_CREATE, tgid_of(p), 5 + NAME_WORDS + 15)) return;
  A.put64(a, c.id);
  A.put64(a, c.parent.id);
  put_cname(a, c);
  A.put(a, flags);
  put_namespaces(a, c.ns, changetype<ns_common>(changetype<usize>(c.cred.user_ns)));
  A.record_end_aux(a);
}

/** `p` is born into `c`, or moved there; `from` is where it would be otherwise. */
export function audit_container_enter(
  p: task_struct,
  c: container,
  from: container,
  init: bool,
): void {
  const a = log();
  if (nil(a)) return;
  if (op_begin(a, U.AUDIT_OP_ENTER, tgid_of(p), 5)) {
    A.put64(a, c.id);
    A.put64(a, from.id);
    A.put(a, init ? 1 : 0);
    A.record_end_aux(a);
  }
  if (init) audit_virt(a, c, tgid_of(p), true);
}

/** The twin of a container's start and end that stock tools know: an event of its own. */
function audit_virt(a: audit_state, c: container, init_pid: i32, start: bool): void {
  if (!a.virt) return;
  a.forced = 1;
  if (!A.record_begin_virt(a, U.AUDIT_VIRT_CONTROL, 4 + NAME_WORDS)) return;
  A.put(a, start ? 1 : 0);
  A.put64(a, c.id);
  A.put(a, init_pid);
  put_cname(a, c);
  A.record_end_virt(a);
}

/** Processes in `top` and in what is nested in it. */
function nr_in_tree(top: container): u32 {
  let n: u32 = 0;
  for (let at = top; !nil(at); at = next_in_tree(at, top)) n += at.nr_members;
  return n;
}

/** `c` dies with its init, and so does what is nested in it. Before any of them is marked. */
export function audit_container_dead(c: container, exit_code: i32): void {
  const a = log();
  if (nil(a)) return;
  const init = nil(c.init) || nil(c.init.tgid_pid) ? 0 : tgid_nr(c.init);
  // init itself is a member until it has left
  const others = nr_in_tree(c);
  if (op_begin(a, U.AUDIT_OP_DEAD, init, 4)) {
    A.put64(a, c.id);
    A.put(a, exit_code);
    A.put(a, others > 0 ? others - 1 : 0);
    A.record_end_aux(a);
  }
  audit_virt(a, c, init, false);
  for (let at = next_in_tree(c, c); !nil(at); at = next_in_tree(at, c)) {
    if (!op_begin(a, U.AUDIT_OP_DEAD, init, 4)) break;
    A.put64(a, at.id);
    A.put(a, exit_code);
    A.put(a, at.nr_members);
    A.record_end_aux(a);
    audit_virt(a, at, 0, false);
  }
}

/** Signal `sig` goes to the processes of `c`. `p` asked for it; null: a last file was closed. */
export function audit_container_kill(
  p: task_struct,
  c: container,
  sig: i32,
  init_only: bool,
  error: i32,
): void {
  const a = log();
  if (nil(a) || !op_begin(a, U.AUDIT_OP_KILL, nil(p) ? 0 : tgid_of(p), 7)) return;
  A.put64(a, c.id);
  A.put(a, sig);
  A.put(a, init_only ? 1 : 0);
  A.put(a, init_only ? 1 : nr_in_tree(c));
  A.put(a, error ? 0 : 1);
  A.record_end_aux(a);
}

/** The last process of `c` has left it: number `opid`. */
export function audit_container_drop(c: container, opid: i32): void {
  const a = log();
  if (nil(a) || !op_begin(a, U.AUDIT_OP_DROP, opid, LIST_WORDS)) return;
  put_list(a, NULL<audit_contobj>(), c);
  A.record_end_aux(a);
}

/** The last process with audit container id `o` is on its way out. */
export function audit_contid_drop(o: audit_contobj, opid: i32): void {
  const a = log();
  if (nil(a) || !op_begin(a, U.AUDIT_OP_DROP, opid, LIST_WORDS)) return;
  put_list(a, o, NULL<container>());
  A.record_end_aux(a);
}

/** An audit container id is set for `t`, or could not be: `error`. */
export function audit_contid_set(t: task_struct, id: u64, old: audit_contobj, error: i32): void {
  const a = log();
  if (nil(a) || !op_begin(a, U.AUDIT_OP_SET, tgid_of(t), 3 + LIST_WORDS)) return;
  A.put64(a, id);
  A.put(a, error ? 0 : 1);
  put_list(a, old, NULL<container>());
  A.record_end_aux(a);
}

/** The right to set ids is given to `t`, taken from it, or refused: `error`. */
export function audit_capcontid_set(t: task_struct, value: u32, old: u32, error: i32): void {
  const a = log();
  if (nil(a) || !A.record_begin(a, U.AUDIT_SET_CAPCONTID, 4)) return;
  a.forced = 1;
  A.put(a, tgid_of(t));
  A.put(a, value);
  A.put(a, old);
  A.put(a, error ? 0 : 1);
  A.record_end_aux(a);
}

/** `p` logs in: who it was, who it is. */
export function audit_log_login(
  p: task_struct,
  old_uid: i32,
  uid: i32,
  old_ses: i32,
  ses: i32,
  error: i32,
): void {
  const a = log();
  if (nil(a) || !A.record_begin(a, U.AUDIT_LOGIN, 7)) return;
  a.forced = 1;
  A.put(a, tgid_of(p));
  A.put(a, p.cred.uid);
  A.put(a, old_uid);
  A.put(a, uid);
  A.put(a, old_ses);
  A.put(a, ses);
  A.put(a, error ? 0 : 1);
  A.record_end_aux(a);
}

/** One namespace of a transition, if it is another now. Return: its flag. */
function put_change(a: audit_state, type: u32, from: ns_common, to: ns_common): u32 {
  if (same(from, to)) return 0;
  A.put(a, type);
  A.put(a, nil(from) ? 0 : from.inum);
  A.put(a, nil(to) ? 0 : to.inum);
  return type;
}

function head(ns: pid_namespace): ns_common {
  return changetype<ns_common>(changetype<usize>(ns));
}

/**
 * setns or unshare by `p`: every namespace that is about to be another. Its container, `from`,
 * changes to `into` only where containers are made of namespaces.
 */
export function audit_namespaces(
  p: task_struct,
  from: container,
  into: container,
  old: nsproxy,
  now: nsproxy,
  old_user: ns_common,
  user: ns_common,
): void {
  const a = log();
  if (nil(a) || !op_begin(a, U.AUDIT_OP_SETNS, tgid_of(p), 6 + 24)) return;
  A.put64(a, nil(into) ? 0 : into.id);
  A.put64(a, nil(from) ? 0 : from.id);
  const types_at = a.at;
  A.put(a, 0);
  const first = a.at + 4;
  A.put(a, 0);
  let types = put_change(a, C.CLONE_NEWNS, old.mnt_ns, now.mnt_ns);
  types |= put_change(a, C.CLONE_NEWUTS, old.uts_ns, now.uts_ns);
  types |= put_change(a, C.CLONE_NEWIPC, old.ipc_ns, now.ipc_ns);
  types |= put_change(
    a,
    C.CLONE_NEWPID,
    head(old.pid_ns_for_children),
    head(now.pid_ns_for_children),
  );
  types |= put_change(a, C.CLONE_NEWNET, old.net_ns, now.net_ns);
  types |= put_change(a, C.CLONE_NEWUSER, old_user, user);
  types |= put_change(a, C.CLONE_NEWCGROUP, old.cgroup_ns, now.cgroup_ns);
  types |= put_change(a, C.CLONE_NEWTIME, old.time_ns_for_children, now.time_ns_for_children);
  store<u32>(types_at, types);
  store<u32>(first - 4, (a.at - first) / 12);
  if (types) A.record_end_aux(a);
}
