// Which calls are logged (kernel/auditsc.c, auditfilter.c): rules in order, the first that matches
// decides. A map of the numbers that rules are about keeps every other call out of here.
import * as A from "./audit.ts";
import { audit, audit_state } from "./audit.ts";
import * as X from "./audit-context.ts";
import { audit_log_call, container_of_task } from "./audit-record.ts";
import { container, next_in_tree } from "../container/container.ts";
import { nil, same, RET_BLOCKED, RET_EXITED, RET_NEED, RET_RAW, RET_UPCALL } from "../lib/err.ts";
import { ENTRY_AUDITED, ENTRY_OP, frame, syscall_table } from "../lib/frame.ts";
import { find_ge_pid, pid_namespace, pid_nr_ns, tgid_nr } from "../process/pid.ts";
import { root } from "../lib/root.ts";
import { kfree, kmalloc } from "../lib/slab.ts";
import { cold, task_struct } from "../process/task.ts";
import * as U from "../uapi/audit.ts";
import { EINTR, EINVAL, ENOMEM, ERESTART_RESTARTBLOCK, ERESTARTSYS } from "../uapi/errno.ts";
import { MAX_ERRNO } from "../uapi/limits.ts";

/** struct audit_rule - copied from what the host hands in. All of its fields must match. */
@unmanaged
export class audit_rule {
  next: u32; // kernel's
  action: u32; // AUDIT_ALWAYS, AUDIT_NEVER
  fields: u32; // AUDIT_FIELD_*: which of the following count
  negated: u32; // those that must not be equal
  key: u32; // number that records of this rule bear, 0: none
  uid: i32;
  loginuid: i32;
  success: u32; // AUDITSC_*
  pid: i32; // of the process
  exit: i32;
  compat: u32;
  all: u32; // 1: every number, whatever the map says
  contid: u64; // the task is in it, or in what is nested in it
  map0: u64; // first of 32: a bit for each syscall number
}
const MAP_AT: usize = offsetof<audit_rule>("map0");
const MAP_WORDS: u32 = 64;
const RULE_BYTES: u32 = <u32>MAP_AT + MAP_WORDS * 4;

/** struct audit_packet - an event that no task is behind: traffic of a network namespace. */
@unmanaged
export class audit_packet {
  inum: u32; // inode number of the network namespace
  mark: u32;
  proto: u32;
  family: u32; // 2 or 10
  saddr0: u64; // network byte order
  saddr1: u64;
  daddr0: u64;
  daddr1: u64;
}

/** Adds a copy of the rule at `at`, behind the others. Return: 0, -ENOMEM, -EINVAL. */
export function audit_add_rule(at: usize): i32 {
  const a = audit();
  if (nil(a) || !a.interest) return -EINVAL;
  const from = changetype<audit_rule>(at);
  if (from.action != U.AUDIT_ALWAYS && from.action != U.AUDIT_NEVER) return -EINVAL;
  const rule = kmalloc(RULE_BYTES);
  if (!rule) return -ENOMEM;
  memory.copy(rule, at, RULE_BYTES);
  store<u32>(rule, 0);
  let link = changetype<usize>(a) + offsetof<audit_state>("rules");
  while (load<u32>(link)) link = <usize>load<u32>(link);
  store<u32>(link, <u32>rule);
  for (let i: u32 = 0; i < MAP_WORDS; ++i) {
    const bits = from.all ? 0xffffffff : load<u32>(at + MAP_AT + (i << 2));
    store<u32>(a.interest + (i << 2), load<u32>(a.interest + (i << 2)) | bits);
  }
  if (from.all) a.other_numbers = 1;
  audit_mark_tables();
  return 0;
}

/** No rules any more. */
export function audit_clear_rules(): void {
  const a = audit();
  if (nil(a)) return;
  while (a.rules) {
    const rule = a.rules;
    a.rules = load<u32>(rule);
    kfree(<usize>rule, RULE_BYTES);
  }
  if (a.interest) memory.fill(a.interest, 0, MAP_WORDS << 2);
  a.other_numbers = 0;
  audit_mark_tables();
}

/** Marks, in the tables of the dispatch, the numbers that some rule is about. */
export function audit_mark_tables(): void {
  const r = root();
  const a = audit();
  if (nil(a) || !a.interest) return;
  for (let i: u32 = 0; i < r.nr_tables; ++i) {
    const table = changetype<syscall_table>(<usize>(r.tables + (i << 4)));
    for (let nr: u32 = 0; nr < table.len; ++nr) {
      const at = table.ops + (nr << 1);
      const op = load<u16>(at) & ENTRY_OP;
      store<u16>(at, <u16>(interesting(a, nr) ? op | ENTRY_AUDITED : op));
    }
  }
}

/** Is `p` in the container, or audit container id, of number `id`, or in what is nested in it? */
export function in_contid(p: task_struct, id: u64): bool {
  for (let o = X.audit_contobj_of(p); !nil(o); o = o.parent) if (o.id == id) return true;
  for (let c = container_of_task(p); !nil(c); c = c.parent) if (c.id == id) return true;
  return false;
}

function field_equal(r: audit_rule, field: u32, p: task_struct, success: u32, exit: i64): bool {
  switch (field) {
    case U.AUDIT_FIELD_CONTID:
      return in_contid(p, r.contid);
    case U.AUDIT_FIELD_UID:
      return p.cred.uid == r.uid;
    case U.AUDIT_FIELD_LOGINUID:
      return X.audit_loginuid(p) == r.loginuid;
    case U.AUDIT_FIELD_SUCCESS:
      return success == r.success;
    case U.AUDIT_FIELD_PID:
      return tgid_nr(p.signal) == r.pid;
    default:
      return exit == <i64>r.exit && success != U.AUDITSC_INVALID;
  }
}

function rule_matches(
  r: audit_rule,
  p: task_struct,
  nr: u32,
  compat: bool,
  success: u32,
  exit: i64,
): bool {
  if (!r.all) {
    if (nr >= <u32>U.AUDIT_SYSCALLS) return false;
    const word = load<u32>(changetype<usize>(r) + MAP_AT + ((nr >> 5) << 2));
    if (!((word >> (nr & 31)) & 1)) return false;
  }
  if (r.fields & U.AUDIT_FIELD_ARCH && (r.compat != 0) != compat) return false;
  for (let field: u32 = 1; field < <u32>U.AUDIT_FIELD_ARCH; field <<= 1) {
    if (!(r.fields & field)) continue;
    const want = (r.negated & field) == 0;
    if (field_equal(r, field, p, success, exit) != want) return false;
  }
  return true;
}

/** What the rules say of a call. Return: its key + 1, 0: it is not logged. */
function audit_filter(
  a: audit_state,
  p: task_struct,
  nr: u32,
  compat: bool,
  success: u32,
  exit: i64,
): u32 {
  for (let at = a.rules; at; at = load<u32>(at)) {
    const r = changetype<audit_rule>(<usize>at);
    if (!rule_matches(r, p, nr, compat, success, exit)) continue;
    return r.action == U.AUDIT_ALWAYS ? r.key + 1 : 0;
  }
  return 0;
}

/** Is any rule about this number? What most calls get to see of audit. */
function interesting(a: audit_state, nr: u32): bool {
  if (nr >= <u32>U.AUDIT_SYSCALLS) return a.other_numbers != 0;
  return ((load<u32>(a.interest + ((nr >> 5) << 2)) >> (nr & 31)) & 1) != 0;
}

/** A call is over, asleep, or cannot go on: `r` as do_op() gives it. */
export function audit_syscall_exit(p: task_struct, f: frame, compat: bool, r: i32): void {
  const a = audit();
  if (nil(a) || !a.enabled) return;
  const nr = <u32>f.orig_rax;
  const forced = a.forced != 0;
  if (!forced && !interesting(a, nr)) {
    if (a.aux_len) A.audit_drop(a);
    return;
  }
  // an exit was logged when it began
  if (r == RET_EXITED) return;
  const asleep = r == RET_BLOCKED || r == RET_UPCALL;
  // what needs memory has done nothing, what sleeps is not over
  if (r == RET_NEED || (asleep && !forced)) {
    A.audit_drop(a);
    return;
  }
  let exit: i64 = r;
  let success: u32 = U.AUDITSC_INVALID;
  if (r == RET_RAW) exit = <i64>f.rax;
  // restart codes are between the kernel and itself
  if (exit <= -ERESTARTSYS && exit >= -ERESTART_RESTARTBLOCK) exit = -EINTR;
  if (!asleep) {
    success = exit < 0 && exit >= -MAX_ERRNO ? U.AUDITSC_FAILURE : U.AUDITSC_SUCCESS;
  }
  const wanted = audit_filter(a, p, nr, compat, success, exit);
  if (!wanted && !forced) {
    A.audit_drop(a);
    return;
  }
  a.call_key = wanted ? wanted - 1 : 0;
  audit_log_call(a, p, f, compat, success, exit);
  A.audit_flush(a);
}

/** Would an end that nothing but its call is logged of be passed over? */
export function audit_exit_unseen(f: frame): bool {
  const a = audit();
  return nil(a) || !a.enabled || !interesting(a, <u32>f.orig_rax);
}

/** exit or exit_group begins: who makes it is known now, what comes of it is added to it. */
export function audit_exit_call(p: task_struct, f: frame, compat: bool): void {
  const a = audit();
  if (nil(a) || !a.enabled) return;
  const nr = <u32>f.orig_rax;
  const key = audit_filter(a, p, nr, compat, U.AUDITSC_INVALID, 0);
  a.call_wanted = key ? 1 : 0;
  a.call_key = key ? key - 1 : 0;
  audit_log_call(a, p, f, compat, U.AUDITSC_INVALID, 0);
}

/** A task has ended: by a call, or outside of any. What that added is an event. */
export function audit_exit_done(): void {
  const a = audit();
  if (!a.enabled) return;
  if (a.forced || a.call_wanted) A.audit_flush(a);
  else A.audit_drop(a);
}

/** What was added outside of calls: an event of its own. */
export function audit_done(): void {
  const a = audit();
  if (!nil(a) && a.enabled) A.audit_flush(a);
}

/** Has some task of the network namespace the audit container id `o` itself? */
function contobj_in_net(o: X.audit_contobj, inum: u32): bool {
  const ns = changetype<pid_namespace>(<usize>root().init_pid_ns);
  let number = find_ge_pid(1, ns);
  while (!nil(number)) {
    const t = number.task;
    if (!nil(t) && !nil(cold(t).nsproxy) && same(X.audit_contobj_of(t), o)) {
      if (cold(t).nsproxy.net_ns.inum == inum) return true;
    }
    number = find_ge_pid(pid_nr_ns(number, ns) + 1, ns);
  }
  return false;
}

/** A packet: attributed to every container that lives in its network namespace. */
export function audit_log_packet(at: usize): i32 {
  const a = audit();
  if (nil(a) || !a.enabled) return -EINVAL;
  const p = changetype<audit_packet>(at);
  if (!A.record_begin(a, U.AUDIT_NETFILTER_PKT, 1024)) return -EINVAL;
  A.put(a, p.inum);
  A.put(a, p.mark);
  A.put(a, p.proto);
  A.put(a, p.family);
  for (let i: usize = 0; i < 4; ++i) {
    A.put64(a, load<u64>(at + offsetof<audit_packet>("saddr0") + (i << 3)));
  }
  const count = a.at;
  A.put(a, 0);
  // pairs of id and depth in the list: 0 begins a new one, others are ancestors
  let n: u32 = 0;
  for (let o = a.contobjs; !nil(o) && n < 200; o = o.next) {
    if (!contobj_in_net(o, p.inum)) continue;
    let up = o;
    for (let depth: u32 = 0; !nil(up) && n < 240; ++depth) {
      put_pair(a, up.id, depth);
      n += 1;
      up = up.parent;
    }
  }
  const top = changetype<container>(<usize>root().init_container);
  for (let c = top; !nil(c) && n < 200; c = next_in_tree(c, top)) {
    if (nil(c.ns) || c.ns.net_ns.inum != p.inum) continue;
    let up = c;
    for (let depth: u32 = 0; !nil(up) && n < 240; ++depth) {
      put_pair(a, up.id, depth);
      n += 1;
      up = up.parent;
    }
  }
  store<u32>(count, n);
  A.record_end_aux(a);
  A.audit_flush(a);
  return 0;
}

function put_pair(a: audit_state, id: u64, depth: u32): void {
  A.put64(a, id);
  A.put(a, depth);
}

/** The host's orders; see AUDIT_CTL_*. Return: 0 or a negative errno. */
export function audit_ctl(what: i32, value: u32): i32 {
  if (what == U.AUDIT_CTL_ENABLE) return A.audit_enable(value);
  if (what == U.AUDIT_CTL_ADD_RULE) return audit_add_rule(<usize>value);
  if (what == U.AUDIT_CTL_PACKET) return audit_log_packet(<usize>value);
  const a = A.audit_get();
  if (nil(a)) return -ENOMEM;
  switch (what) {
    case U.AUDIT_CTL_DISABLE:
      a.enabled = 0;
      A.audit_drop(a);
      return 0;
    case U.AUDIT_CTL_BACKLOG_LIMIT:
      a.backlog_limit = value;
      return 0;
    case U.AUDIT_CTL_RATE_LIMIT:
      a.rate_limit = value;
      return 0;
    case U.AUDIT_CTL_VIRT:
      a.virt = value;
      return 0;
    case U.AUDIT_CTL_CLEAR_RULES:
      audit_clear_rules();
      return 0;
    case U.AUDIT_CTL_CONTAINER_OF:
      a.container_of = value;
      return 0;
    default:
      return -EINVAL;
  }
}
