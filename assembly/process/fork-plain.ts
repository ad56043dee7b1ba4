// The fork that most forks are: no flag, nothing shared for good, a number at hand. It leaves the
// same memory behind as copy_process() does (a test compares the two), in a fraction of its
// instructions. Whatever is unusual is copy_process()'s.
import {
  container,
  container_dead,
  container_join,
  is_init_container,
} from "../container/container.ts";
import { get_cred } from "../cred/cred.ts";
import { inc_nproc } from "../cred/ucounts.ts";
import { NULL, nil } from "../lib/err.ts";
import { has_rare_heritage, too_many } from "./clone-parts.ts";
import { attach_process } from "./fork.ts";
import { inherit_signal } from "./fork-share.ts";
import { get_fs } from "../fs/fs.ts";
import { list_head } from "../lib/list.ts";
import { get_nsproxy } from "../namespace/nsproxy.ts";
import { give_next, new_struct_pid, next_at_hand, pid, pid_namespace } from "./pid.ts";
import { has_private_keyrings } from "../keys/process-keys.ts";
import { refcount_inc } from "../lib/refcount.ts";
import { root } from "../lib/root.ts";
import { alloc_signal, signal_struct } from "./signal-struct.ts";
import { CACHE_SIGNAL, kmem_cache_free } from "../lib/slab.ts";
import * as T from "./task.ts";
import { cold, task_struct } from "./task.ts";
import { ENOMEM } from "../uapi/errno.ts";
import { SIGCHLD } from "../uapi/signal.ts";

/** Is there nothing about a fork of `parent` into `dest` that copy_process() is needed for? */
function is_plain(parent: task_struct, dest: container, ns: pid_namespace): bool {
  const r = root();
  if (CONFIG_DEBUG) {
    // a seeded fault shows where the whole way is gone
    if (r.fault) return false;
  }
  const k = cold(parent);
  const shared = k.files.shared | k.files.locks | k.fs.shared | k.sighand.shared;
  if (shared | ns.dying | (<u32>ns.level) | (parent.flags & T.TIF_SIGPENDING)) return false;
  if (parent.flags & T.PF_RARE && has_rare_heritage(parent)) return false;
  if (parent.cred.keyrings && has_private_keyrings(parent.cred)) return false;
  if (parent.cred.uid != 0 && too_many(parent, parent)) return false;
  if (container_dead(dest) || nil(ns.child_reaper)) return false;
  const threads = r.nr_threads;
  if (threads >= r.threads_max || <u32>threads >= r.kill_capacity) return false;
  return is_init_container(dest) || dest.members_len < dest.members_cap;
}

/** What the child has of its parent's, all of it shared until one of them writes. */
function share(p: task_struct, parent: task_struct): void {
  const k = cold(p);
  const from = cold(parent);
  p.cred = get_cred(parent.cred);
  k.sighand = from.sighand;
  refcount_inc(changetype<usize>(from.sighand));
  k.files = from.files;
  refcount_inc(changetype<usize>(from.files));
  k.fs = get_fs(from.fs);
  k.nsproxy = get_nsproxy(from.nsproxy);
  k.blocked = from.blocked;
  k.comm0 = from.comm0;
  k.comm1 = from.comm1;
}

/**
 * A child of `parent` as fork(2) makes it. Null when copy_process() has to make it, ERR_PTR of
 * ENOMEM; nothing has changed then.
 */
export function fork_plain(parent: task_struct): task_struct {
  const dest = parent.signal.leader.container;
  const ns = cold(parent).nsproxy.pid_ns_for_children;
  if (!is_plain(parent, dest, ns)) return NULL<task_struct>();
  const slot = next_at_hand(ns);
  if (!slot) return NULL<task_struct>();
  const p = T.alloc_task();
  const signal = nil(p) ? NULL<signal_struct>() : alloc_signal();
  const number = nil(signal) ? NULL<pid>() : new_struct_pid(0);
  if (nil(number)) {
    if (!nil(signal)) kmem_cache_free(CACHE_SIGNAL, changetype<usize>(signal));
    if (!nil(p)) T.free_task(p);
    return changetype<task_struct>(<usize>-ENOMEM);
  }
  share(p, parent);
  inherit_signal(p, signal, parent.signal);
  p.flags = T.PF_FORKNOEXEC | (parent.flags & T.PF_INHERITED);
  cold(p).exit_signal = SIGCHLD;
  p.pid = give_next(ns, slot, number);
  p.thread_pid = number;
  number.task = p;
  p.real_parent = parent;
  list_head.add_tail(cold(p).thread_node, signal.threads);
  root().nr_threads += 1;
  inc_nproc(p.cred.ucounts);
  attach_process(p, parent);
  container_join(dest, p);
  return p;
}
