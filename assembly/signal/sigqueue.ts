// Queued siginfo, and the saved frames that rt_sigreturn goes back to.
import { NULL, nil } from "../lib/err.ts";
import { itimer_taken, k_itimer } from "./itimer.ts";
import { list_head } from "../lib/list.ts";
import {
  CACHE_SIGFRAME,
  CACHE_SIGQUEUE,
  kmem_cache_alloc,
  kmem_cache_free,
  kmem_cache_init,
} from "../lib/slab.ts";
import { rlimit } from "../process/signal-struct.ts";
import { dec_sigpending, inc_sigpending, ucounts } from "../cred/ucounts.ts";
import { copy_words, zero } from "../lib/zero.ts";
import { RLIMIT_SIGPENDING } from "../uapi/resource.ts";
import { PF_RARE, rare, rare_for_write, task_rare, task_struct } from "../process/task.ts";

/** struct kernel_siginfo - what a signal carries; pids and uids as the receiver sees them. */
@unmanaged
export class siginfo {
  signo: i32;
  errno: i32;
  code: i32;
  pid: i32;
  uid: i32;
  status: i32;
  value: u64; // sival, or the address of a fault
}
export const SIGINFO_BYTES: u32 = 32;

/** struct sigqueue - one queued signal, 48 bytes. */
@unmanaged
export class sigqueue {
  link_next: u32; // [sighand] list_head on a task's or a group's queue
  link_prev: u32;
  user: ucounts; // whose count of pending signals it is in; holds a reference
  timer: k_itimer; // whose signal it is; null: it is freed when taken
  signo: i32; // from here on a siginfo
  errno: i32;
  code: i32;
  pid: i32;
  uid: i32;
  status: i32;
  value: u64;

  get link(): list_head {
    return changetype<list_head>(changetype<usize>(this));
  }
  get info(): siginfo {
    return changetype<siginfo>(changetype<usize>(this) + offsetof<sigqueue>("signo"));
  }
}

/** A saved user frame: what rt_sigreturn restores. 64 bytes, newest first on the task. */
@unmanaged
export class sigframe {
  next: sigframe;
  restart: i32; // syscall restart that this frame carries, 0 = none
  mask: u64;
  rax: u64;
  orig_rax: u64;
  rip: u64;
  sas_sp: u64; // alternate stack at that time
  sas_size: u64;
  sas_flags: u32;
  sas_on: u32;
}

export function sigqueue_caches_init(): void {
  kmem_cache_init(CACHE_SIGQUEUE, <u32>offsetof<sigqueue>());
  kmem_cache_init(CACHE_SIGFRAME, <u32>offsetof<sigframe>());
}

/**
 * An entry that counts for the user of `p`, as long as that one's are within RLIMIT_SIGPENDING;
 * `always`: whatever the limit. Null: too many, or memory is exhausted.
 */
export function sigqueue_alloc(p: task_struct, always: bool): sigqueue {
  const user = p.cred.ucounts;
  if (!inc_sigpending(user, rlimit(p.signal, RLIMIT_SIGPENDING), always)) return NULL<sigqueue>();
  const q = changetype<sigqueue>(kmem_cache_alloc(CACHE_SIGQUEUE));
  if (nil(q)) {
    dec_sigpending(user);
    return q;
  }
  q.user = user;
  return q;
}

export function sigqueue_free(q: sigqueue): void {
  dec_sigpending(q.user);
  kmem_cache_free(CACHE_SIGQUEUE, changetype<usize>(q));
}

/** Queues a copy of `info` for `p` on `head`; false: the signal is pending without it. */
export function queue_siginfo(p: task_struct, head: list_head, info: siginfo, always: bool): bool {
  const q = sigqueue_alloc(p, always);
  if (nil(q)) return false;
  q.timer = changetype<k_itimer>(0);
  copy_words(changetype<usize>(q.info), changetype<usize>(info), SIGINFO_BYTES);
  list_head.add_tail(q.link, head);
  return true;
}

/**
 * Takes the first queued `sig` off `head` into `info`; without one, info says only the number.
 * Return: whether another one of the same number is queued.
 */
export function collect_signal(head: list_head, sig: i32, info: siginfo): bool {
  let first = changetype<sigqueue>(0);
  let more = false;
  for (let at = head.next; at !== head; at = at.next) {
    const q = changetype<sigqueue>(changetype<usize>(at));
    if (q.signo != sig) continue;
    if (!nil(first)) {
      more = true;
      break;
    }
    first = q;
  }
  if (nil(first)) {
    zero(changetype<usize>(info), SIGINFO_BYTES);
    info.signo = sig;
    return false;
  }
  copy_words(changetype<usize>(info), changetype<usize>(first.info), SIGINFO_BYTES);
  list_head.del(first.link);
  if (nil(first.timer)) sigqueue_free(first);
  else itimer_taken(first, info);
  return more;
}

/** Drops every queued signal of `mask` from `head`. */
export function flush_sigqueue_mask(head: list_head, mask: u64): void {
  let at = head.next;
  while (at !== head) {
    const next = at.next;
    const q = changetype<sigqueue>(changetype<usize>(at));
    if ((mask >> (q.signo - 1)) & 1) {
      list_head.del(at);
      if (nil(q.timer)) sigqueue_free(q);
      else q.link_next = 0;
    }
    at = next;
  }
}

/** Forgets all saved frames of `p`: exec, exit. */
export function drop_sigframes(p: task_struct): void {
  if (!(p.flags & PF_RARE)) return;
  const k = rare(p);
  let f = changetype<sigframe>(k.sigframes);
  k.sigframes = 0;
  while (!nil(f)) {
    const next = f.next;
    kmem_cache_free(CACHE_SIGFRAME, changetype<usize>(f));
    f = next;
  }
}

/** fork without CLONE_VM: the child has the same stack, so it has the same frames. */
export function copy_sigframes(from: task_struct, to: task_struct): bool {
  let tail: usize = changetype<usize>(rare_for_write(to)) + offsetof<task_rare>("sigframes");
  for (let f = changetype<sigframe>(rare(from).sigframes); !nil(f); f = f.next) {
    const fresh = kmem_cache_alloc(CACHE_SIGFRAME);
    if (!fresh) {
      drop_sigframes(to);
      return false;
    }
    copy_words(fresh, changetype<usize>(f), offsetof<sigframe>());
    store<u32>(tail, <u32>fresh);
    store<u32>(fresh, 0);
    tail = fresh;
  }
  return true;
}
