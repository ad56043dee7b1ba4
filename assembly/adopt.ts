// Tasks that the host knows of before the kernel does: those of a recorded trace that begin
// outside of it. They are forked from a task that is there, under a forced number.
import { CAP_FULL_SET, cred, prepare_creds, put_cred } from "./cred.ts";
import { IS_ERR, NULL, nil, PTR_ERR, same } from "./err.ts";
import { copy_process, kernel_clone_args } from "./fork.ts";
import { list_head } from "./list.ts";
import { find_task_by_pid_ns, pid_namespace } from "./pid.ts";
import { CLONE_ARGS, root } from "./root.ts";
import { change_pgrp, change_session } from "./sys-process.ts";
import { PF_EXITING, PF_TRACED, rare_for_write, task_struct, TIF_SIGPENDING } from "./task.ts";
import { EINVAL, ENOMEM, ESRCH } from "./uapi/errno.ts";
import * as C from "./uapi/sched.ts";
import { SIGCHLD } from "./uapi/signal.ts";

export function find_task(nr: i32): task_struct {
  return find_task_by_pid_ns(nr, changetype<pid_namespace>(<usize>root().init_pid_ns));
}

/**
 * A task of number `nr`, child of `parent` or, with `thread`, a thread of its group.
 * Return: 0, -EEXIST when the number is taken, -ESRCH without such a parent, -ENOMEM.
 */
export function adopt_task(nr: i32, parent: i32, thread: bool, traced: bool): i32 {
  const from = find_task(parent);
  if (nil(from) || from.flags & PF_EXITING) return -ESRCH;
  const args = changetype<kernel_clone_args>(CLONE_ARGS);
  memory.fill(CLONE_ARGS, 0, offsetof<kernel_clone_args>());
  args.exit_signal = SIGCHLD;
  args.forced_pid = nr;
  if (thread) {
    args.flags = C.CLONE_THREAD | C.CLONE_SIGHAND | C.CLONE_VM | C.CLONE_FILES | C.CLONE_FS;
  }
  // who it is may turn out otherwise, without changing its parent: a process has a cred of its own
  let own = NULL<cred>();
  if (!thread) {
    own = prepare_creds(from.cred);
    if (nil(own)) return -ENOMEM;
  }
  // what is pending for the parent is no reason not to know the child
  const pending = from.flags & TIF_SIGPENDING;
  from.flags &= ~TIF_SIGPENDING;
  const p = copy_process(from, args);
  from.flags |= pending;
  if (IS_ERR(p)) {
    put_cred(own);
    return PTR_ERR(p);
  }
  if (!thread) {
    put_cred(p.cred);
    p.cred = own;
  }
  rare_for_write(p).adopted = 1;
  if (traced) p.flags |= PF_TRACED;
  else p.flags &= ~PF_TRACED;
  return 0;
}

/** `p`'s process becomes a child of `parent`: what a recording shows of the world outside it. */
export function adopt_parent(p: task_struct, parent: task_struct): i32 {
  if (nil(p) || nil(parent) || same(p.signal, parent.signal)) return -ESRCH;
  const leader = p.signal.leader;
  list_head.del(leader.sibling);
  leader.real_parent = parent;
  list_head.add_tail(leader.sibling, parent.children);
  return 0;
}

/** `p`'s process joins the group and session that bear the numbers of `group` and `session`. */
export function adopt_group(p: task_struct, group: task_struct, session: task_struct): i32 {
  if (nil(p) || nil(group) || nil(session)) return -ESRCH;
  change_pgrp(p.signal, group.thread_pid);
  change_session(p.signal, session.thread_pid);
  return 0;
}

/** Ids and capability sets of struct cred, as set_cred() counts them. */
const CRED_IDS = 8;
const CRED_SETS = 6;

/**
 * What a recording shows of who `p` is: field `field` of its cred (0 to 7: uid, gid, suid, sgid,
 * euid, egid, fsuid, fsgid as the initial namespace has them; 8: securebits; 9 to 13: inheritable,
 * permitted, effective, bounding, ambient). Whoever shares the cred has had it from before as well.
 */
export function adopt_cred(p: task_struct, field: i32, value: u64): i32 {
  if (nil(p)) return -ESRCH;
  if (field < 0 || field >= CRED_IDS + CRED_SETS) return -EINVAL;
  const c = changetype<usize>(p.cred);
  if (field < CRED_IDS) {
    store<i32>(c + offsetof<cred>("uid") + ((<usize>field) << 2), <i32>value);
  } else if (field == CRED_IDS) {
    p.cred.securebits = <u32>value;
  } else {
    const at = offsetof<cred>("cap_inheritable") + ((<usize>(field - CRED_IDS - 1)) << 3);
    store<u64>(c + at, value & CAP_FULL_SET);
  }
  return 0;
}
