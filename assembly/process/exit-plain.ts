// The end that most processes have: one thread, no child, nothing of its own to give back, a
// parent that only waits. Both halves, exit and release, leave the same memory behind as do_exit()
// and release_task() do (a test compares them); whatever is unusual is theirs.
import { container, is_init_container } from "../container/container.ts";
import { dec_nproc } from "../cred/ucounts.ts";
import { nil, same } from "../lib/err.ts";
import { emit } from "../lib/event.ts";
import { files_struct } from "../fs/file.ts";
import { fs_struct } from "../fs/fs.ts";
import { list_head } from "../lib/list.ts";
import { nsproxy } from "../namespace/nsproxy.ts";
import { pid, unhash_in, upid_nr } from "./pid.ts";
import { root } from "../lib/root.ts";
import { sigmask } from "../signal/signal.ts";
import { action_of, SIGNAL_GROUP_EXIT, SIGNAL_IPC, signal_struct } from "./signal-struct.ts";
import { CACHE_PID, CACHE_SIGNAL, kmem_cache } from "../lib/slab.ts";
import * as T from "./task.ts";
import { cold, task_struct } from "./task.ts";
import { EVENT_EXIT, EVENT_REAP } from "../uapi/frame.ts";
import { SA_NOCLDWAIT, SIG_DFL, SIGCHLD } from "../uapi/signal.ts";
import { wake_up_all } from "./waitqueue.ts";

/** Does the parent of `p` have nothing to do but to wait? */
function is_awaited(p: task_struct, signal: signal_struct): bool {
  const parent = p.real_parent;
  const up = parent.signal;
  const k = cold(parent);
  const h = k.sighand;
  if (nil(h) || parent.state == T.TASK_ZAPPING || cold(p).exit_signal != SIGCHLD) return false;
  // a notice that is not ignored has to be written
  if (k.blocked & sigmask(SIGCHLD) || parent.flags & T.PF_TRACED) return false;
  const action = action_of(h, SIGCHLD);
  if (action.handler != SIG_DFL || action.flags & SA_NOCLDWAIT) return false;
  // else its end might orphan its process group
  return same(up.pgrp, signal.pgrp) || !same(up.session, signal.session);
}

/** Is there nothing about the end of `p` itself that do_exit() is needed for? */
function ends_plainly(p: task_struct, signal: signal_struct): bool {
  // whether a reference is the last one cannot be known beforehand when others drop theirs
  if (CONFIG_SMP) return false;
  if (CONFIG_DEBUG) {
    // a seeded fault shows where the whole way is gone
    if (root().fault) return false;
  }
  const flags = signal.flags & (SIGNAL_GROUP_EXIT | SIGNAL_IPC);
  const odd = (p.flags & T.PF_UNPLAIN) | p.kill_slot | flags;
  if (odd || !nil(signal.timers) || !list_head.empty(p.children)) return false;
  // a session leader gives its terminal up
  return !(signal.tty && same(signal.session, p.thread_pid));
}

/** Will `c` be kept alive by others when a process of `signal` leaves it? */
function outlasts(c: container, signal: signal_struct): bool {
  if (nil(c) || same(c.init, signal) || c.usage < 2) return false;
  return c.nr_members != 1 || is_init_container(c);
}

/** `p` leaves the members of `c`, which others keep alive. */
function leave(c: container, p: task_struct): void {
  c.nr_members -= 1;
  if (!is_init_container(c)) {
    const slot = p.member_slot;
    store<u32>(c.members + (slot << 2), 0);
    if (slot + 1 == c.members_len) c.members_len = slot;
  }
  c.usage -= 1;
  p.container = changetype<container>(0);
}

/** exit(2), exit_group(2) of `p`; false when the whole way has to be gone: nothing has changed. */
export function exit_plain(p: task_struct, code: i32): bool {
  const signal = p.signal;
  const number = p.thread_pid;
  if (!ends_plainly(p, signal) || same(number.ns.child_reaper, p)) return false;
  const k = cold(p);
  const files = k.files;
  const fs = k.fs;
  const ns = k.nsproxy;
  const nr_files = files.count;
  const nr_fs = fs.count;
  const nr_ns = ns.count;
  // who has the last reference gives back what it refers to
  if (nr_files < 2 || nr_fs < 2 || nr_ns < 2) return false;
  const c = p.container;
  if (!outlasts(c, signal) || !is_awaited(p, signal)) return false;
  p.flags |= T.PF_EXITING;
  signal.live = 0;
  signal.flags |= SIGNAL_GROUP_EXIT;
  signal.group_exit_code = code;
  k.exit_code = code;
  files.count = nr_files - 1;
  fs.count = nr_fs - 1;
  ns.count = nr_ns - 1;
  k.files = changetype<files_struct>(0);
  k.fs = changetype<fs_struct>(0);
  k.nsproxy = changetype<nsproxy>(0);
  leave(c, p);
  const nr = p.pid;
  emit(EVENT_EXIT, nr, code, nr, 1, 0);
  p.state = T.EXIT_ZOMBIE;
  wake_up_all(number.waitq);
  wake_up_all(p.real_parent.signal.wait_chldexit);
  return true;
}

/** May the dead process of leader `p` be released without release_task()? */
function goes_plainly(p: task_struct, signal: signal_struct, number: pid): bool {
  if (CONFIG_SMP) return false;
  if (CONFIG_DEBUG) {
    if (root().fault) return false;
  }
  if (p.flags & T.PF_RARE || signal.nr_threads != 1 || signal.sigcnt != 1) return false;
  if (number.level | (number.count - 1)) return false;
  return list_head.empty(cold(p).queue) && list_head.empty(signal.queue);
}

/** release_task() for a dead process without threads; false when that has to do it. */
export function release_plain(p: task_struct): bool {
  const signal = p.signal;
  const number = p.thread_pid;
  if (!goes_plainly(p, signal, number)) return false;
  const pgrp = signal.pgrp;
  const session = signal.session;
  if (nil(pgrp.task) || nil(session.task)) return false;
  const sighand = cold(p).sighand;
  const rlim = signal.rlim;
  const cr = p.cred;
  const nr_sighand = sighand.count;
  const nr_rlim = rlim.count;
  const nr_cred = cr.count;
  if (nr_sighand < 2 || nr_rlim < 2 || nr_cred < 2) return false;
  const r = root();
  const ns = number.ns;
  emit(EVENT_REAP, p.pid, p.real_parent.pid, 0, 0, 0);
  r.nr_threads -= 1;
  r.nr_processes -= 1;
  list_head.del(p.sibling);
  list_head.del(signal.pgrp_link);
  session.nr_sessions -= 1;
  pgrp.count -= 1;
  session.count -= 1;
  sighand.count = nr_sighand - 1;
  rlim.count = nr_rlim - 1;
  cr.count = nr_cred - 1;
  dec_nproc(cr.ucounts);
  unhash_in(ns, upid_nr(number, 0));
  ns.count -= 1;
  wake_up_all(number.waitq);
  kmem_cache.put(CACHE_SIGNAL, changetype<usize>(signal));
  task_struct.put(p);
  kmem_cache.put(CACHE_PID, changetype<usize>(number));
  return true;
}
