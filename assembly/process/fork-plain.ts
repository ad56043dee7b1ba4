// The fork that most forks are: no flag, nothing shared for good, a number at hand. It leaves the
// same memory behind as copy_process() does (a test compares the two), in a fraction of its
// instructions. Whatever is unusual is copy_process()'s.
import {
  container,
  container_dead,
  container_join,
  is_init_container,
} from "../container/container.ts";
import { inc_nproc } from "../cred/ucounts.ts";
import { NULL, nil } from "../lib/err.ts";
import { cred } from "../cred/cred.ts";
import { nsproxy } from "../namespace/nsproxy.ts";
import { has_rare_heritage, too_many } from "./clone-parts.ts";
import { inherit_signal } from "./fork-share.ts";
import { list_head } from "../lib/list.ts";
import { give_next, next_at_hand, pid, pid_namespace } from "./pid.ts";
import { has_private_keyrings } from "../keys/process-keys.ts";
import { refcount_inc_few } from "../lib/refcount.ts";
import { root } from "../lib/root.ts";
import { SIGNAL_SHM, signal_struct } from "./signal-struct.ts";
import { CACHE_PID, CACHE_SIGNAL, kmem_cache, kmem_cache_free } from "../lib/slab.ts";
import * as T from "./task.ts";
import { alloc_task, cold, task_struct } from "./task.ts";
import { ENOMEM } from "../uapi/errno.ts";
import { SIGCHLD } from "../uapi/signal.ts";

/** Has a process that enters `into` nothing to do but to join? Its first one starts it. */
function enters_plainly(parent: task_struct, into: container): bool {
  if (root().audit || into.cred.uid != 0) return false;
  // it stands at the container's root, where the kernel has one
  if (!nil(into.root_mnt) || !nil(cold(parent).fs.root_mnt)) return false;
  return !nil(into.init) || is_init_container(into);
}

/** May `parent` hand its cred on as it is? */
function shares_cred(parent: task_struct): bool {
  const cr = parent.cred;
  if (cr.keyrings && has_private_keyrings(cr)) return false;
  return cr.uid == 0 || !too_many(parent, parent);
}

/** Is there nothing about a fork of `parent` into `dest` that copy_process() is needed for? */
function is_plain(parent: task_struct, dest: container, ns: pid_namespace): bool {
  const r = root();
  if (CONFIG_DEBUG) {
    // a seeded fault shows where the whole way is gone
    if (r.fault) return false;
  }
  const k = cold(parent);
  const attached = parent.signal.flags & SIGNAL_SHM;
  const shared = k.files.shared | k.files.locks | k.fs.shared | k.sighand.shared | attached;
  if (shared | ns.dying | (<u32>ns.level) | (parent.flags & T.TIF_SIGPENDING)) return false;
  if (parent.flags & T.PF_RARE && has_rare_heritage(parent)) return false;
  if (container_dead(dest) || nil(ns.child_reaper)) return false;
  const threads = r.nr_threads;
  if (threads >= r.threads_max || <u32>threads >= r.kill_capacity) return false;
  return is_init_container(dest) || dest.members_len < dest.members_cap;
}

/** What the child has of its parent's, all of it shared until one of them writes. */
function share(p: task_struct, parent: task_struct, cr: cred, ns: nsproxy): void {
  const k = cold(p);
  const from = cold(parent);
  const sighand = from.sighand;
  const files = from.files;
  const fs = from.fs;
  refcount_inc_few(changetype<usize>(cr));
  refcount_inc_few(changetype<usize>(sighand));
  refcount_inc_few(changetype<usize>(files));
  refcount_inc_few(changetype<usize>(fs));
  refcount_inc_few(changetype<usize>(ns));
  p.cred = cr;
  k.sighand = sighand;
  k.files = files;
  k.fs = fs;
  k.nsproxy = ns;
  k.blocked = from.blocked;
  k.comm0 = from.comm0;
  k.comm1 = from.comm1;
}

/** No memory: what there is of the records goes back. */
function give_back(at: usize, signal: usize): task_struct {
  if (signal) kmem_cache_free(CACHE_SIGNAL, signal);
  if (at) task_struct.put(changetype<task_struct>(at));
  return changetype<task_struct>(<usize>-ENOMEM);
}

/** The group of the child `p`, and the group and session that it is born into. */
function join_groups(signal: signal_struct, p: task_struct, old: signal_struct): void {
  const k = cold(p);
  const pgrp = old.pgrp;
  const session = old.session;
  p.signal = signal;
  signal_struct.init(signal, 1);
  inherit_signal(p, signal, old);
  // the only thread
  const head = signal.threads;
  const node = k.thread_node;
  head.next = node;
  head.prev = node;
  node.next = head;
  node.prev = head;
  refcount_inc_few(changetype<usize>(pgrp));
  refcount_inc_few(changetype<usize>(session));
  signal.pgrp = pgrp;
  signal.session = session;
  session.nr_sessions += 1;
  list_head.add_tail(signal.pgrp_link, pgrp.members);
}

/** A child of `parent` as fork(2) makes it; see new_child(). */
export function fork_plain(parent: task_struct): task_struct {
  if (!shares_cred(parent)) return NULL<task_struct>();
  const dest = parent.signal.leader.container;
  return new_child(parent, dest, parent.cred, cold(parent).nsproxy);
}

/** ... and as fork_into_container() does. */
export function enter_plain(parent: task_struct, into: container): task_struct {
  if (!enters_plainly(parent, into)) return NULL<task_struct>();
  return new_child(parent, into, into.cred, into.ns);
}

/**
 * A child of `parent` in `dest`. Null when copy_process() has to make it, ERR_PTR of ENOMEM;
 * nothing has changed then.
 */
function new_child(parent: task_struct, dest: container, cr: cred, proxy: nsproxy): task_struct {
  const ns = proxy.pid_ns_for_children;
  if (!is_plain(parent, dest, ns)) return NULL<task_struct>();
  const slot = next_at_hand(ns);
  if (!slot) return NULL<task_struct>();
  const at = CONFIG_DEBUG ? changetype<usize>(alloc_task()) : task_struct.record();
  if (!at) return give_back(0, 0);
  const group = kmem_cache.get(CACHE_SIGNAL);
  if (!group) return give_back(at, 0);
  const number = changetype<pid>(kmem_cache.get(CACHE_PID));
  if (nil(number)) return give_back(at, group);
  const r = root();
  const p = changetype<task_struct>(at);
  task_struct.init(p);
  share(p, parent, cr, proxy);
  join_groups(changetype<signal_struct>(group), p, parent.signal);
  pid.init(number, 0);
  number.task = p;
  p.pid = give_next(ns, slot, number);
  p.thread_pid = number;
  p.signal.tgid_pid = number;
  p.flags = T.PF_FORKNOEXEC | (parent.flags & T.PF_INHERITED);
  cold(p).exit_signal = SIGCHLD;
  p.real_parent = parent;
  list_head.add_tail(p.sibling, parent.children);
  r.nr_threads += 1;
  r.nr_processes += 1;
  inc_nproc(cr.ucounts);
  container_join(dest, p);
  return p;
}
