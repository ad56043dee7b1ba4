// Upcalls: a call that needs the word of somebody else (an LSM hook of the host's, a supervisor's
// override of EPERM) sleeps killably with a copy of what it was asked; the answer wakes it.
import { container, free_container } from "./container.ts";
import { cred, get_cred, put_cred } from "../cred/cred.ts";
import { NULL, nil, RET_BLOCKED, RET_UPCALL } from "../lib/err.ts";
import { emit } from "../lib/event.ts";
import { frame } from "../lib/frame.ts";
import { list_at, list_head } from "../lib/list.ts";
import { root } from "../lib/root.ts";
import { CACHE_UPCALL, kmem_cache_free, kmem_cache_init, kmem_cache_zalloc } from "../lib/slab.ts";
import { supervisor } from "./supervisor.ts";
import { PF_RARE, rare, rare_for_write, TASK_KILLABLE, task_struct } from "../process/task.ts";
import { EINVAL, ENOENT } from "../uapi/errno.ts";
import { EVENT_UPCALL } from "../uapi/frame.ts";
import { ANSWER_ERROR, ANSWER_GRANT, ANSWER_VALUE } from "../uapi/supervise.ts";
import { sleep_on, wake_up_all, wake_up_process } from "../process/waitqueue.ts";

// state
export const UPCALL_PENDING: u32 = 0;
/** A supervisor has read it. */
export const UPCALL_RECEIVED: u32 = 1;
export const UPCALL_ANSWERED: u32 = 2;

/** struct upcall - one question. Its task holds it (task_rare.upcall) and frees it. */
@unmanaged
export class upcall {
  link_next: u32; // list_head: root.upcalls or supervisor.requests, in order of asking
  link_prev: u32;
  id: u32; // [C] never 0
  kind: u32; // [C] UPCALL_*
  task: task_struct; // [C] who sleeps for the answer
  state: u32;
  answer: u32; // ANSWER_*, once answered
  error: i32; // positive errno of ANSWER_ERROR
  value: i64;
  cred: cred; // ANSWER_GRANT: with whose capabilities; holds a reference
  supervisor: supervisor; // [C] whom it is put to, null: the host
  container: container; // [C] UPCALL_CONTAINER_ALLOC: not published yet, belongs to the upcall
  op: u32; // [C] UPCALL_REFUSED: which call, with which arguments
  nr: u32;
  flags: u32; // [C] of container_create; SUPERVISOR_COMPAT
  a0: u64;
  a1: u64;
  a2: u64;
  a3: u64;
  a4: u64;
  a5: u64;

  get link(): list_head {
    return list_at(changetype<usize>(this), offsetof<upcall>("link_next"));
  }
}

export function upcall_caches_init(): void {
  kmem_cache_init(CACHE_UPCALL, <u32>offsetof<upcall>());
  list_head.init(root().upcalls);
}

/** The question that `p` waits for the answer of, or null. */
export function upcall_of(p: task_struct): upcall {
  return p.flags & PF_RARE ? changetype<upcall>(<usize>rare(p).upcall) : NULL<upcall>();
}

/** A question of `p` to `to` (null: the host); null when memory is exhausted. */
export function ask(p: task_struct, kind: u32, to: supervisor): upcall {
  const u = changetype<upcall>(kmem_cache_zalloc(CACHE_UPCALL));
  if (nil(u)) return u;
  const r = root();
  r.upcall_id += 1;
  if (!r.upcall_id) r.upcall_id = 1;
  u.id = r.upcall_id;
  u.kind = kind;
  u.task = p;
  u.supervisor = to;
  rare_for_write(p).upcall = <u32>changetype<usize>(u);
  list_head.add_tail(u.link, nil(to) ? r.upcalls : to.requests);
  if (nil(to)) emit(EVENT_UPCALL, p.pid, <i32>u.id, <i32>kind, 0, 0);
  else wake_up_all(to.waitq);
  return u;
}

/** Puts `p` to sleep until its question is answered; only a fatal signal ends that sleep. */
export function sleep_on_upcall(p: task_struct, f: frame, u: upcall): i32 {
  f.cookie = u.id;
  sleep_on(p, f, TASK_KILLABLE);
  return nil(u.supervisor) ? RET_UPCALL : RET_BLOCKED;
}

/** The question of `p` is done with, answered or not: it goes, with what belongs to it. */
export function forget_upcall(p: task_struct): void {
  const u = upcall_of(p);
  if (nil(u)) return;
  rare(p).upcall = 0;
  list_head.del(u.link);
  put_cred(u.cred);
  if (!nil(u.container)) free_container(u.container, 0);
  kmem_cache_free(CACHE_UPCALL, changetype<usize>(u));
}

/** The question `id` on the list `head` that has no answer yet, or null. */
export function find_upcall(head: list_head, id: u32): upcall {
  for (let at = head.next; at !== head; at = at.next) {
    const u = changetype<upcall>(changetype<usize>(at));
    if (u.id == id && u.state != UPCALL_ANSWERED) return u;
  }
  return NULL<upcall>();
}

/**
 * Answers `u`; `by`: with whose capabilities an ANSWER_GRANT makes the call. Return: 0 or -EINVAL.
 */
export function answer_upcall(u: upcall, answer: u32, error: i32, value: i64, by: cred): i32 {
  if (answer > <u32>ANSWER_GRANT) return -EINVAL;
  if (answer == ANSWER_ERROR && (error < 1 || error > 4095)) return -EINVAL;
  if (answer == ANSWER_VALUE && value < 0 && value >= -4095) return -EINVAL;
  u.answer = answer;
  u.error = error;
  u.value = value;
  if (answer == ANSWER_GRANT) u.cred = get_cred(by);
  u.state = UPCALL_ANSWERED;
  wake_up_process(u.task);
  return 0;
}

/** The host's answer to question `id`. Return: 0, -ENOENT when there is none, -EINVAL. */
export function host_answer(id: u32, answer: u32, error: i32, value: i64): i32 {
  const r = root();
  const u = find_upcall(r.upcalls, id);
  if (nil(u)) return -ENOENT;
  return answer_upcall(u, answer, error, value, changetype<cred>(<usize>r.init_cred));
}
