// Tasks that the host knows of before the kernel does: those of a recorded trace that begin
// outside of it. They are forked from a task that is there, under a forced number.
import { CAP_FULL_SET, cred, prepare_creds, put_cred } from "../cred/cred.ts";
import { replace_cred, set_cred_ucounts } from "../cred/cred.ts";
import { IS_ERR, NULL, nil, PTR_ERR, same } from "../lib/err.ts";
import { copy_process, kernel_clone_args } from "./fork.ts";
import { list_head } from "../lib/list.ts";
import { alloc_file, fd_install, fget, file, FILE_FLAGS_UNKNOWN } from "../fs/file.ts";
import { FILE_NSFS, FILE_WORLD, get_unused_fd } from "../fs/file.ts";
import { create_ns, get_ns, ns_common } from "../namespace/namespace.ts";
import {
  create_pid_namespace,
  find_ge_pid,
  find_task_by_pid_ns,
  get_pid,
  pid,
  pid_namespace,
  pid_nr_ns,
  task_active_pid_ns,
} from "./pid.ts";
import { ns_of_type } from "../proc/procfs.ts";
import { CLONE_ARGS, root } from "../lib/root.ts";
import { change_pgrp, change_session } from "./sys-process.ts";
import { PF_EXITING, PF_TRACED, rare_for_write, task_struct, TIF_SIGPENDING } from "./task.ts";
import * as Y from "../tty/tty.ts";
import { tty_struct } from "../tty/tty.ts";
import { TTY_CONTROLS, TTY_FOREGROUND, TTY_GONE, TTY_IS_ONE } from "../uapi/tty.ts";
import { EBADF, EINVAL, EMFILE, ENOMEM, ESRCH } from "../uapi/errno.ts";
import { O_RDWR } from "../uapi/fcntl.ts";
import * as C from "../uapi/sched.ts";
import { SIGCHLD } from "../uapi/signal.ts";
import { refcount_inc } from "../lib/refcount.ts";
import { dec_nproc, inc_nproc, put_ucounts } from "../cred/ucounts.ts";
import { user_namespace } from "../namespace/user-namespace.ts";
import { create_uts_ns } from "../namespace/uts.ts";

export function find_task(nr: i32): task_struct {
  return find_task_by_pid_ns(nr, changetype<pid_namespace>(<usize>root().init_pid_ns));
}

/** A task that still has files and namespaces; null: its number is nobody's, or a dead one's. */
export function living_task(tid: i32): task_struct {
  const p = find_task(tid);
  return nil(p) || p.flags & PF_EXITING ? NULL<task_struct>() : p;
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
    replace_cred(p, own);
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

/** Descriptor `fd` of `p` is a file of the world's. Return: `fd`, -ESRCH, -EMFILE, -ENOMEM. */
export function adopt_file(p: task_struct, fd: i32, cloexec: bool): i32 {
  if (nil(p)) return -ESRCH;
  const got = get_unused_fd(p, fd);
  if (got != fd) return got < 0 ? got : -EMFILE;
  const at = alloc_file(FILE_WORLD, O_RDWR, 0);
  if (nil(at)) return -ENOMEM;
  at.opaque = FILE_FLAGS_UNKNOWN;
  fd_install(p, fd, at, cloexec);
  return fd;
}

/** `p`'s process joins the group and session that bear the numbers of `group` and `session`. */
export function adopt_group(p: task_struct, group: task_struct, session: task_struct): i32 {
  if (nil(p) || nil(group) || nil(session)) return -ESRCH;
  change_pgrp(p.signal, group.thread_pid);
  const before = p.signal.session;
  change_session(p.signal, session.thread_pid);
  Y.move_session(p.signal, before);
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
    if (field == 0) return recount(p.cred);
  } else if (field == CRED_IDS) {
    p.cred.securebits = <u32>value;
  } else {
    const at = offsetof<cred>("cap_inheritable") + ((<usize>(field - CRED_IDS - 1)) << 3);
    store<u64>(c + at, value & CAP_FULL_SET);
  }
  return 0;
}

/** The tasks of a cred whose uid turned out otherwise count for that user. 0 or -ENOMEM. */
function recount(c: cred): i32 {
  const old = c.ucounts;
  refcount_inc(changetype<usize>(old));
  const done = set_cred_ucounts(c);
  const all = changetype<pid_namespace>(<usize>root().init_pid_ns);
  let number = done ? find_ge_pid(1, all) : NULL<pid>();
  while (!nil(number)) {
    const t = number.task;
    if (!nil(t) && same(t.cred, c)) {
      inc_nproc(c.ucounts);
      dec_nproc(old);
    }
    number = find_ge_pid(pid_nr_ns(number, all) + 1, all);
  }
  put_ucounts(old);
  return done ? 0 : -ENOMEM;
}

/** The namespace of `type` with inode number `inum` that some task is in, or null. */
function ns_by_inum(type: i32, inum: u32): ns_common {
  const all = changetype<pid_namespace>(<usize>root().init_pid_ns);
  let number = find_ge_pid(1, all);
  while (!nil(number)) {
    const t = number.task;
    const ns = nil(t) ? NULL<ns_common>() : ns_of_type(t, type);
    if (!nil(ns) && ns.inum == inum) return ns;
    number = find_ge_pid(pid_nr_ns(number, all) + 1, all);
  }
  return NULL<ns_common>();
}

/**
 * Descriptor `fd` of `p` is the file of a namespace of `type`: that with number `inum`, or one
 * that no task of the recording is in. Return: 0, -ESRCH, -EBADF, -EINVAL, -ENOSPC, -ENOMEM.
 */
export function adopt_ns(p: task_struct, fd: i32, type: i32, inum: u32): i32 {
  if (nil(p)) return -ESRCH;
  const at = fget(p, fd);
  if (nil(at)) return -EBADF;
  if (at.kind != FILE_WORLD || nil(ns_of_type(p, type))) return -EINVAL;
  const known = inum ? ns_by_inum(type, inum) : NULL<ns_common>();
  let ns = known;
  if (!nil(known)) {
    get_ns(known);
  } else {
    const user = p.cred.user_ns;
    if (type == C.CLONE_NEWUSER) ns = create_ns(type, user, changetype<user_namespace>(0), 0);
    else if (type == C.CLONE_NEWPID) ns = create_pid_namespace(task_active_pid_ns(p), user, 0);
    else if (type == C.CLONE_NEWUTS) ns = create_uts_ns(user, 0, NULL<ns_common>());
    else ns = create_ns(type, NULL<ns_common>(), user, 0);
    if (IS_ERR(ns)) return PTR_ERR(ns);
    if (type == C.CLONE_NEWUSER) ns.level = user.level + 1;
  }
  at.kind = FILE_NSFS;
  at.private_data = <u32>changetype<usize>(ns);
  return 0;
}

/**
 * What a host knows of `p`'s terminal; `what`: TTY_*, `value`: a group's number. Return: 0, -ESRCH,
 * -EBADF, -EINVAL where it does not fit what is known, -ENOMEM.
 */
export function adopt_tty(p: task_struct, fd: i32, what: i32, value: i32): i32 {
  if (nil(p)) return -ESRCH;
  const s = p.signal;
  let tty = Y.get_current_tty(s);
  if (what == TTY_GONE) {
    if (nil(tty)) return -EINVAL;
    // whom it told of that, and when, the recording shows
    Y.tty_lost(tty);
    return 0;
  }
  if (what == TTY_FOREGROUND) {
    const group = find_task(value);
    if (nil(group) || nil(tty)) return -EINVAL;
    Y.set_tty_pgrp(tty, group.thread_pid);
    return 0;
  }
  const at = fd < 0 ? NULL<file>() : fget(p, fd);
  if (fd >= 0 && (nil(at) || at.kind != FILE_WORLD)) return -EBADF;
  if (!nil(at) && at.private_data) {
    tty = Y.file_tty(at);
    if (what != TTY_CONTROLS || s.tty || !nil(tty.session)) return -EINVAL;
    share_tty(s.session, tty);
    tty.session = get_pid(s.session);
    return 0;
  }
  if (what == TTY_IS_ONE || nil(tty)) tty = Y.alloc_tty(-1, 0);
  if (nil(tty)) return -ENOMEM;
  if (what == TTY_CONTROLS && !s.tty) {
    // those of its session have had it as well
    share_tty(s.session, tty);
    tty.session = get_pid(s.session);
  }
  if (!nil(at)) Y.tty_add_file(at, tty, false);
  return 0;
}

/** `tty` is the terminal of every process of a session. */
function share_tty(session: pid, tty: tty_struct): void {
  const all = changetype<pid_namespace>(<usize>root().init_pid_ns);
  let number = find_ge_pid(1, all);
  while (!nil(number)) {
    const one = Y.process_of(number);
    if (!nil(one) && same(one.session, session)) one.tty = <u32>changetype<usize>(tty);
    number = find_ge_pid(pid_nr_ns(number, all) + 1, all);
  }
}
