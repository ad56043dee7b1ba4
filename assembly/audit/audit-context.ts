// What audit knows of a task: who logged in, its session, its program, its audit container id. A
// task without a context has logged in nobody and has no id; forks share a context until written.
import { audit, audit_get, audit_state } from "./audit.ts";
import { NULL, nil, same } from "../lib/err.ts";
import { audit_contid_drop } from "./audit-record.ts";
import { get_pid, pid, put_pid, tgid_nr } from "../process/pid.ts";
import { refcount_dec_and_test, refcount_inc } from "../lib/refcount.ts";
import { root } from "../lib/root.ts";
import { kfree, kmalloc } from "../lib/slab.ts";
import { PF_AUDIT, rare, rare_for_write, task_struct } from "../process/task.ts";
import { AUDIT_SID_UNSET, AUDIT_UID_UNSET } from "../uapi/audit.ts";

/**
 * struct audit_contobj - an audit container id that was set by hand. It lives as long as a context
 * or a nested id refers to it; the number may be used again when it is gone.
 */
@unmanaged
export class audit_contobj {
  count: i32; // refcount_t: contexts, nested ids
  depth: i32; // [C] how many ids it is nested in
  id: u64; // [C]
  parent: audit_contobj; // [C] the id that it was set within; holds a reference
  owner: pid; // [C] who used the id first: that process alone gives it to others. Reference
  next: audit_contobj; // on audit_state.contobjs
}

/** struct audit_context - shared by forks; a private copy is made before a change. */
@unmanaged
export class audit_context {
  count: i32; // refcount_t: tasks
  loginuid: i32; // kuid, AUDIT_UID_UNSET: nobody
  sessionid: i32; // AUDIT_SID_UNSET: none
  capcontid: u32; // 1: may set ids without CAP_AUDIT_CONTROL; not inherited
  cont: audit_contobj; // null: none. Holds a reference
  exe: u32; // audit_name: program that was started; 0: not known. Holds a reference
}

/** struct audit_name - a string that contexts share. */
@unmanaged
export class audit_name {
  count: i32; // refcount_t
  len: u32; // bytes behind the struct
}
const NAME_HEAD: u32 = 8;
export const AUDIT_NAME_MAX: u32 = 255;
const CONTEXT_BYTES: u32 = 24;
const CONTOBJ_BYTES: u32 = 32;

if (offsetof<audit_context>() > CONTEXT_BYTES) ERROR("audit_context outgrew its block");
if (offsetof<audit_contobj>() > CONTOBJ_BYTES) ERROR("audit_contobj outgrew its block");

/** The context of `p`, null when nothing of it was ever set. */
export function audit_context_of(p: task_struct): audit_context {
  return p.flags & PF_AUDIT
    ? changetype<audit_context>(<usize>rare(p).audit)
    : NULL<audit_context>();
}

export function audit_loginuid(p: task_struct): i32 {
  const ctx = audit_context_of(p);
  return nil(ctx) ? AUDIT_UID_UNSET : ctx.loginuid;
}
export function audit_sessionid(p: task_struct): i32 {
  const ctx = audit_context_of(p);
  return nil(ctx) ? AUDIT_SID_UNSET : ctx.sessionid;
}
/** The innermost id that was set for `p`, or null. */
export function audit_contobj_of(p: task_struct): audit_contobj {
  const ctx = audit_context_of(p);
  return nil(ctx) ? NULL<audit_contobj>() : ctx.cont;
}

export function get_contobj(o: audit_contobj): audit_contobj {
  if (!nil(o)) refcount_inc(changetype<usize>(o));
  return o;
}

/**
 * Drops a reference to an id and, while that was the last one, to what it is nested in. `opid`:
 * the process that had it.
 */
export function put_contobj(o: audit_contobj, opid: i32): void {
  while (!nil(o) && refcount_dec_and_test(changetype<usize>(o))) {
    const parent = o.parent;
    audit_contid_drop(o, opid);
    unlink_contobj(audit(), o);
    put_pid(o.owner);
    kfree(changetype<usize>(o), CONTOBJ_BYTES);
    o = parent;
  }
}

function unlink_contobj(a: audit_state, o: audit_contobj): void {
  let before = NULL<audit_contobj>();
  let at = a.contobjs;
  while (!same(at, o)) {
    before = at;
    at = at.next;
  }
  if (nil(before)) a.contobjs = o.next;
  else before.next = o.next;
}

/** The id object of number `id`, or null. */
export function find_contobj(id: u64): audit_contobj {
  const a = audit();
  let o = nil(a) ? NULL<audit_contobj>() : a.contobjs;
  while (!nil(o) && o.id != id) o = o.next;
  return o;
}

/** A new id, nested in `parent`, owned by `owner`; null when memory is exhausted. */
export function alloc_contobj(id: u64, parent: audit_contobj, owner: pid): audit_contobj {
  const a = audit_get();
  if (nil(a)) return NULL<audit_contobj>();
  const o = changetype<audit_contobj>(kmalloc(CONTOBJ_BYTES));
  if (nil(o)) return o;
  o.count = 1;
  o.id = id;
  o.parent = get_contobj(parent);
  o.depth = nil(parent) ? 0 : parent.depth + 1;
  o.owner = get_pid(owner);
  o.next = a.contobjs;
  a.contobjs = o;
  return o;
}

function name_put(name: u32): void {
  if (!name || !refcount_dec_and_test(<usize>name)) return;
  kfree(<usize>name, NAME_HEAD + changetype<audit_name>(<usize>name).len);
}

/** A context that is `p`'s alone and may be changed; null when memory is exhausted. */
export function audit_context_for_write(p: task_struct): audit_context {
  // what a context refers to needs the state; forks look at it only when it is there
  if (nil(audit_get())) return NULL<audit_context>();
  const old = audit_context_of(p);
  if (!nil(old) && old.count == 1) return old;
  const ctx = changetype<audit_context>(kmalloc(CONTEXT_BYTES));
  if (nil(ctx)) return ctx;
  ctx.count = 1;
  if (nil(old)) {
    ctx.loginuid = AUDIT_UID_UNSET;
    ctx.sessionid = AUDIT_SID_UNSET;
    ctx.capcontid = 0;
    ctx.cont = NULL<audit_contobj>();
    ctx.exe = 0;
  } else {
    ctx.loginuid = old.loginuid;
    ctx.sessionid = old.sessionid;
    ctx.capcontid = old.capcontid;
    ctx.cont = get_contobj(old.cont);
    ctx.exe = old.exe;
    if (ctx.exe) refcount_inc(<usize>ctx.exe);
    old.count -= 1;
  }
  rare_for_write(p).audit = <u32>changetype<usize>(ctx);
  p.flags |= PF_AUDIT;
  return ctx;
}

/** A fork: the child shares its parent's context, without the right to set ids. 0 or -ENOMEM. */
export function audit_inherit(p: task_struct, parent: task_struct): bool {
  const ctx = audit_context_of(parent);
  if (nil(ctx)) return true;
  refcount_inc(changetype<usize>(ctx));
  rare_for_write(p).audit = <u32>changetype<usize>(ctx);
  p.flags |= PF_AUDIT;
  if (!ctx.capcontid) return true;
  const own = audit_context_for_write(p);
  if (nil(own)) {
    audit_free(p);
    return false;
  }
  own.capcontid = 0;
  return true;
}

/** `p` is on its way out, or was never born. */
export function audit_free(p: task_struct): void {
  const ctx = audit_context_of(p);
  p.flags &= ~PF_AUDIT;
  if (nil(ctx)) return;
  rare(p).audit = 0;
  if (!refcount_dec_and_test(changetype<usize>(ctx))) return;
  name_put(ctx.exe);
  put_contobj(ctx.cont, tgid_nr(p.signal));
  kfree(changetype<usize>(ctx), CONTEXT_BYTES);
}

/** An exec: the program's name, as far as memory is there to note it. */
export function audit_set_exe(p: task_struct, from: usize, len: u32): void {
  len = min(len, AUDIT_NAME_MAX);
  const name = changetype<audit_name>(kmalloc(NAME_HEAD + len));
  if (nil(name)) return;
  const ctx = audit_context_for_write(p);
  if (nil(ctx)) {
    kfree(changetype<usize>(name), NAME_HEAD + len);
    return;
  }
  name.count = 1;
  name.len = len;
  memory.copy(changetype<usize>(name) + NAME_HEAD, from, len);
  name_put(ctx.exe);
  ctx.exe = <u32>changetype<usize>(name);
}

/** Address of the bytes of a name. */
export function audit_name_bytes(name: u32): usize {
  return <usize>name + NAME_HEAD;
}

/** Is the number an audit container id of today, or the serial of a container? */
export function contid_in_use(id: u64): bool {
  return id <= root().container_id || !nil(find_contobj(id));
}
