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
import { ns_common } from "../namespace/namespace.ts";
import { nsproxy } from "../namespace/nsproxy.ts";
import { pid, unhash_in, upid_nr } from "./pid.ts";
import { refcount_dec } from "../lib/refcount.ts";
import { root } from "../lib/root.ts";
import { sig_ignored } from "../signal/signal.ts";
import { action_of, SIGNAL_GROUP_EXIT, SIGNAL_IPC, signal_struct } from "./signal-struct.ts";
import { CACHE_PID, CACHE_SIGNAL, kmem_cache } from "../lib/slab.ts";
import * as T from "./task.ts";
import { cold, task_struct } from "./task.ts";
import { EVENT_EXIT, EVENT_REAP } from "../uapi/frame.ts";
import { SA_NOCLDWAIT, SIG_IGN, SIGCHLD } from "../uapi/signal.ts";
import { wake_up_all } from "./waitqueue.ts";

/** Has somebody else a reference to the counted object at `at`? */
function is_shared(at: usize): bool {
  return load<i32>(at) > 1;
}

/** Does the parent of `p` have nothing to do but to wait? */
function is_awaited(p: task_struct, signal: signal_struct): bool {
  const parent = p.real_parent;
  const up = parent.signal;
  const h = cold(parent).sighand;
  if (nil(h) || parent.state == T.TASK_ZAPPING || cold(p).exit_signal != SIGCHLD) return false;
  const action = action_of(h, SIGCHLD);
  if (action.handler == SIG_IGN || action.flags & SA_NOCLDWAIT) return false;
  if (!sig_ignored(parent, SIGCHLD, false)) return false;
  // else its end might orphan its process group
  return same(up.pgrp, signal.pgrp) || !same(up.session, signal.session);
}

/** Is there nothing about the end of `p` that do_exit() is needed for? */
function ends_plainly(p: task_struct, signal: signal_struct): bool {
  // whether a reference is the last one cannot be known beforehand when others drop theirs
  if (CONFIG_SMP) return false;
  if (CONFIG_DEBUG) {
    // a seeded fault shows where the whole way is gone
    if (root().fault) return false;
  }
  if (p.flags & T.PF_UNPLAIN || p.kill_slot || signal.flags & (SIGNAL_GROUP_EXIT | SIGNAL_IPC)) {
    return false;
  }
  if (!nil(signal.timers) || !list_head.empty(p.children)) return false;
  // a session leader gives its terminal up
  if (signal.tty && same(signal.session, p.thread_pid)) return false;
  const k = cold(p);
  if (!is_shared(changetype<usize>(k.files)) || !is_shared(changetype<usize>(k.fs))) return false;
  if (!is_shared(changetype<usize>(k.nsproxy))) return false;
  const c = p.container;
  if (nil(c) || same(c.init, signal) || !is_shared(changetype<usize>(c))) return false;
  if (c.nr_members == 1 && !is_init_container(c)) return false;
  return !same(p.thread_pid.ns.child_reaper, p) && is_awaited(p, signal);
}

/** `p` leaves the members of `c`, which others keep alive. */
function leave(c: container, p: task_struct): void {
  c.nr_members -= 1;
  if (!is_init_container(c)) {
    const slot = p.member_slot;
    store<u32>(c.members + (slot << 2), 0);
    if (slot + 1 == c.members_len) c.members_len = slot;
  }
  refcount_dec(changetype<usize>(c));
  p.container = changetype<container>(0);
}

/** exit(2), exit_group(2) of `p`; false when the whole way has to be gone: nothing has changed. */
export function exit_plain(p: task_struct, code: i32): bool {
  const signal = p.signal;
  if (!ends_plainly(p, signal)) return false;
  const k = cold(p);
  p.flags |= T.PF_EXITING;
  signal.live = 0;
  signal.flags |= SIGNAL_GROUP_EXIT;
  signal.group_exit_code = code;
  k.exit_code = code;
  refcount_dec(changetype<usize>(k.files));
  k.files = changetype<files_struct>(0);
  refcount_dec(changetype<usize>(k.fs));
  k.fs = changetype<fs_struct>(0);
  refcount_dec(changetype<usize>(k.nsproxy));
  k.nsproxy = changetype<nsproxy>(0);
  leave(p.container, p);
  emit(EVENT_EXIT, p.pid, code, p.pid, 1, 0);
  p.state = T.EXIT_ZOMBIE;
  wake_up_all(p.thread_pid.waitq);
  wake_up_all(p.real_parent.signal.wait_chldexit);
  return true;
}

/** May the dead process of leader `p` be released without release_task()? */
function goes_plainly(p: task_struct, signal: signal_struct, number: pid): bool {
  const k = cold(p);
  if (CONFIG_SMP) return false;
  if (CONFIG_DEBUG) {
    if (root().fault) return false;
  }
  if (p.flags & T.PF_RARE || signal.nr_threads != 1 || signal.sigcnt != 1) return false;
  if (number.level | (number.count - 1)) return false;
  if (!list_head.empty(k.queue) || !list_head.empty(signal.queue)) return false;
  if (nil(signal.pgrp.task) || nil(signal.session.task)) return false;
  return (
    is_shared(changetype<usize>(k.sighand)) &&
    is_shared(changetype<usize>(p.cred)) &&
    is_shared(changetype<usize>(signal.rlim))
  );
}

/** release_task() for a dead process without threads; false when that has to do it. */
export function release_plain(p: task_struct): bool {
  const signal = p.signal;
  const number = p.thread_pid;
  if (!goes_plainly(p, signal, number)) return false;
  const r = root();
  const ns = number.ns;
  emit(EVENT_REAP, p.pid, p.real_parent.pid, 0, 0, 0);
  r.nr_threads -= 1;
  r.nr_processes -= 1;
  list_head.del(p.sibling);
  list_head.del(signal.pgrp_link);
  signal.session.nr_sessions -= 1;
  refcount_dec(changetype<usize>(signal.pgrp));
  refcount_dec(changetype<usize>(signal.session));
  refcount_dec(changetype<usize>(cold(p).sighand));
  dec_nproc(p.cred.ucounts);
  refcount_dec(changetype<usize>(p.cred));
  refcount_dec(changetype<usize>(signal.rlim));
  unhash_in(ns, upid_nr(number, 0));
  refcount_dec(changetype<usize>(ns));
  wake_up_all(number.waitq);
  kmem_cache.put(CACHE_SIGNAL, changetype<usize>(signal));
  task_struct.put(p);
  kmem_cache.put(CACHE_PID, changetype<usize>(number));
  return true;
}
