// Files of /proc whose text the kernel writes: /proc/containers, PID/container, status, stat, comm.
// What a reader sees is what it may: its own container and what is nested in it.
import { seeded_fault } from "../lib/bug.ts";
import { container, containers_enabled, in_tree } from "../container/container.ts";
import { cred } from "../cred/cred.ts";
import { NULL, nil, same } from "../lib/err.ts";
import { file } from "../fs/file.ts";
import { frame } from "../lib/frame.ts";
import { groups_at } from "../cred/groups.ts";
import { pid, pid_namespace, pid_nr_ns } from "../process/pid.ts";
import { task_active_pid_ns, upid_nr } from "../process/pid.ts";
import * as P from "./procfs.ts";
import { PROC_PATH, root, SCRATCH_USER, SEQ_FILE } from "../lib/root.ts";
import * as Q from "../lib/seq-file.ts";
import { seq_file, seq_putc } from "../lib/seq-file.ts";
import { action_of } from "../process/signal-struct.ts";
import { sigmask } from "../signal/signal.ts";
import { kfree, kmalloc } from "../lib/slab.ts";
import { sys_world_call } from "../fs/sys-file.ts";
import {
  cold,
  EXIT_ZOMBIE,
  PF_NO_NEW_PRIVS,
  TASK_KILLABLE,
  TASK_RUNNING,
  TASK_STOPPED,
  task_cold,
  task_struct,
} from "../process/task.ts";
import { copy_from_user, copy_to_user, prepare_write } from "../lib/uaccess.ts";
import { EBADF, EFAULT, EINVAL, ENOENT, ENOMEM, ESRCH } from "../uapi/errno.ts";
import { O_ACCMODE, O_WRONLY, SEEK_CUR, SEEK_SET } from "../uapi/fcntl.ts";
import { ASSIST_ERRNO, ASSIST_RET } from "../uapi/frame.ts";
import { SIG_DFL, SIG_IGN } from "../uapi/signal.ts";
import { from_kgid_munged, from_kuid_munged } from "../namespace/user-namespace.ts";

// Seeded fault (debug builds only): everybody sees everybody's container.
const F_SEE_ALL = 192;

const TAB = 9;
const NEWLINE = 10;
const SPACE = 32;

/**
 * A container's name such that nothing in a row can be taken for something else: what is no
 * letter, digit or sign of ASCII stands as `\ooo`, so does a first `<`; an empty name is `\000`.
 * Return: how wide it is.
 */
function put_name(s: seq_file, c: container): u32 {
  const from = s.count;
  const name = changetype<usize>(c) + offsetof<container>("name0");
  for (let i: usize = 0; i < 24; ++i) {
    const byte = <u32>load<u8>(name + i);
    if (!byte) break;
    const plain = byte > <u32>SPACE && byte < 127 && byte != 92 && !(i == 0 && byte == 60);
    if (plain) seq_putc(s, byte);
    else Q.seq_put_octal(s, byte);
  }
  if (s.count == from) Q.seq_put_octal(s, 0);
  return s.count - from;
}

/** A row of /proc/containers, as `reader` sees it. */
function put_container(s: seq_file, c: container, reader: task_struct, own: bool): void {
  let width: u32 = 9;
  if (own) seq_puts(s, "<current>");
  else width = put_name(s, c);
  for (; width < 24; ++width) seq_putc(s, SPACE);
  if (!root().proc_containers_2017) Q.seq_put_decimal(seq_putc(s, SPACE), c.id, 12);
  Q.seq_put_decimal(seq_putc(s, SPACE), <u64>(<u32>c.usage), 3);
  Q.seq_put_digits(seq_putc(s, SPACE), c.flags, 4, 2);
  const ns = reader.cred.user_ns;
  const uid = <u32>from_kuid_munged(ns, c.cred.uid);
  const gid = <u32>from_kgid_munged(ns, c.cred.gid);
  Q.seq_put_decimal(seq_putc(s, SPACE), <u64>uid, 5);
  Q.seq_put_decimal(seq_putc(s, SPACE), <u64>gid, 5);
  seq_putc(s, NEWLINE);
}

/** /proc/containers: the reader's own container, then those that are directly in it. */
function show_containers(s: seq_file, reader: task_struct): void {
  if (root().proc_containers_2017) seq_puts(s, "NAME                     USE FL OWNER GROUP\n");
  else seq_puts(s, "NAME                               ID USE FL OWNER GROUP\n");
  const own = reader.signal.leader.container;
  if (nil(own)) return;
  put_container(s, own, reader, true);
  const head = own.children;
  for (let at = head.next; at !== head; at = at.next) {
    put_container(s, container.from_child_link(at), reader, false);
  }
}

/** PID/container: id and name; 0 for a container that the reader is not in or above, and none. */
function show_container(s: seq_file, t: task_struct, reader: task_struct): void {
  const c = t.signal.leader.container;
  const seen = seeded_fault(F_SEE_ALL) || in_tree(c, reader.signal.leader.container);
  if (nil(c) || !seen) {
    seq_puts(s, "0\n");
    return;
  }
  Q.seq_put_decimal(s, c.id, 0);
  put_name(seq_putc(s, SPACE), c);
  seq_putc(s, NEWLINE);
}

/** The task's name; with `escape`, line ends and backslashes in C's manner. */
function put_comm(s: seq_file, t: task_struct, escape: bool): void {
  const comm = changetype<usize>(cold(t)) + offsetof<task_cold>("comm0");
  for (let i: usize = 0; i < 16; ++i) {
    const byte = <u32>load<u8>(comm + i);
    if (!byte) break;
    if (escape && byte == NEWLINE) seq_puts(s, "\\n");
    else if (escape && byte == 92) seq_puts(s, "\\\\");
    else seq_putc(s, byte);
  }
}

/** State letter: R S D T Z. */
function state_of(t: task_struct): u32 {
  if (t.state == EXIT_ZOMBIE) return 90;
  if (t.state == TASK_STOPPED) return 84;
  if (t.state == TASK_KILLABLE) return 68;
  return t.state == TASK_RUNNING ? 82 : 83;
}

function put_state(s: seq_file, t: task_struct): void {
  const state = state_of(t);
  seq_putc(s, state);
  if (state == 90) seq_puts(s, " (zombie)\n");
  else if (state == 84) seq_puts(s, " (stopped)\n");
  else if (state == 68) seq_puts(s, " (disk sleep)\n");
  else if (state == 82) seq_puts(s, " (running)\n");
  else seq_puts(s, " (sleeping)\n");
}

/** Numbers of `p` from the reader's namespace down to its own. */
function put_numbers(s: seq_file, p: pid, ns: pid_namespace): void {
  for (let level = ns.level; level <= p.level; ++level) {
    seq_putc(s, TAB);
    Q.seq_put_decimal(s, <u64>(<u32>upid_nr(p, level)), 0);
  }
  seq_putc(s, NEWLINE);
}

function put_ids(s: seq_file, a: i32, b: i32, c: i32, d: i32): void {
  Q.seq_put_decimal(seq_putc(s, TAB), <u64>(<u32>a), 0);
  Q.seq_put_decimal(seq_putc(s, TAB), <u64>(<u32>b), 0);
  Q.seq_put_decimal(seq_putc(s, TAB), <u64>(<u32>c), 0);
  Q.seq_put_decimal(seq_putc(s, TAB), <u64>(<u32>d), 0);
  seq_putc(s, NEWLINE);
}

function put_number(s: seq_file, value: i32): void {
  seq_putc(Q.seq_put_signed(s, value), NEWLINE);
}

function put_mask(s: seq_file, mask: u64): void {
  seq_putc(Q.seq_put_digits(s, mask, 4, 16), NEWLINE);
}

/** Signals that `t` ignores, or with `caught` has handlers for. */
function action_mask(t: task_struct, caught: bool): u64 {
  const sighand = cold(t).sighand;
  if (nil(sighand)) return 0;
  let mask: u64 = 0;
  for (let sig = 1; sig <= 64; ++sig) {
    const handler = action_of(sighand, sig).handler;
    const hit = caught ? handler != SIG_DFL && handler != SIG_IGN : handler == SIG_IGN;
    if (hit) mask |= sigmask(sig);
  }
  return mask;
}

/** Number of the parent's process as `ns` sees it, 0 when it has none there. */
function ppid_of(t: task_struct, ns: pid_namespace): i32 {
  return pid_nr_ns(t.signal.leader.real_parent.signal.tgid_pid, ns);
}

function show_ids(s: seq_file, t: task_struct, reader: task_struct): void {
  const c: cred = t.cred;
  const ns = reader.cred.user_ns;
  seq_puts(s, "Uid:");
  put_ids(
    s,
    from_kuid_munged(ns, c.uid),
    from_kuid_munged(ns, c.euid),
    from_kuid_munged(ns, c.suid),
    from_kuid_munged(ns, c.fsuid),
  );
  seq_puts(s, "Gid:");
  put_ids(
    s,
    from_kgid_munged(ns, c.gid),
    from_kgid_munged(ns, c.egid),
    from_kgid_munged(ns, c.sgid),
    from_kgid_munged(ns, c.fsgid),
  );
  seq_puts(s, "FDSize:\t");
  put_number(s, nil(cold(t).files) ? 0 : cold(t).files.max_fds);
  seq_puts(s, "Groups:\t");
  const n = nil(c.groups) ? 0 : c.groups.ngroups;
  for (let i = 0; i < n; ++i) {
    const gid = from_kgid_munged(ns, load<i32>(groups_at(c.groups) + ((<usize>i) << 2)));
    seq_putc(Q.seq_put_decimal(s, <u64>(<u32>gid), 0), SPACE);
  }
  seq_putc(s, NEWLINE);
}

function show_signals(s: seq_file, t: task_struct): void {
  const signal = t.signal;
  seq_puts(s, "Threads:\t");
  put_number(s, signal.nr_threads);
  seq_puts(s, "SigPnd:\t");
  put_mask(s, t.pending);
  seq_puts(s, "ShdPnd:\t");
  put_mask(s, signal.shared_pending);
  seq_puts(s, "SigBlk:\t");
  put_mask(s, cold(t).blocked);
  seq_puts(s, "SigIgn:\t");
  put_mask(s, action_mask(t, false));
  seq_puts(s, "SigCgt:\t");
  put_mask(s, action_mask(t, true));
  const c: cred = t.cred;
  seq_puts(s, "CapInh:\t");
  put_mask(s, c.cap_inheritable);
  seq_puts(s, "CapPrm:\t");
  put_mask(s, c.cap_permitted);
  seq_puts(s, "CapEff:\t");
  put_mask(s, c.cap_effective);
  seq_puts(s, "CapBnd:\t");
  put_mask(s, c.cap_bset);
  seq_puts(s, "CapAmb:\t");
  put_mask(s, c.cap_ambient);
  seq_puts(s, "NoNewPrivs:\t");
  put_number(s, t.flags & PF_NO_NEW_PRIVS ? 1 : 0);
}

/** PID/status: the lines of Linux's that are the kernel's to know, then the container. */
function show_status(s: seq_file, t: task_struct, reader: task_struct, ns: pid_namespace): void {
  const signal = t.signal;
  seq_puts(s, "Name:\t");
  put_comm(s, t, true);
  seq_puts(s, "\nUmask:\t");
  Q.seq_put_digits(s, nil(cold(t).fs) ? 0 : cold(t).fs.umask, 3, 4);
  seq_puts(s, "\nState:\t");
  put_state(s, t);
  seq_puts(s, "Tgid:\t");
  put_number(s, pid_nr_ns(signal.tgid_pid, ns));
  seq_puts(s, "Ngid:\t0\nPid:\t");
  put_number(s, pid_nr_ns(t.thread_pid, ns));
  seq_puts(s, "PPid:\t");
  put_number(s, ppid_of(t, ns));
  seq_puts(s, "TracerPid:\t0\n");
  show_ids(s, t, reader);
  seq_puts(s, "NStgid:");
  put_numbers(s, signal.tgid_pid, ns);
  seq_puts(s, "NSpid:");
  put_numbers(s, t.thread_pid, ns);
  seq_puts(s, "NSpgid:");
  put_numbers(s, signal.pgrp, ns);
  seq_puts(s, "NSsid:");
  put_numbers(s, signal.session, ns);
  seq_puts(s, "Kthread:\t0\n");
  show_signals(s, t);
  if (!containers_enabled()) return;
  seq_puts(s, "Container:\t");
  show_container(s, t, reader);
}

/** `n` fields of zero. */
function put_zeros(s: seq_file, n: i32): void {
  for (let i = 0; i < n; ++i) seq_puts(s, " 0");
}

function put_field(s: seq_file, value: u64): void {
  Q.seq_put_decimal(seq_putc(s, SPACE), value, 0);
}

/** PID/stat: the 52 fields of Linux; what no time or memory is kept of is 0. */
function show_stat(s: seq_file, t: task_struct, reader: task_struct, ns: pid_namespace): void {
  const signal = t.signal;
  Q.seq_put_signed(s, pid_nr_ns(t.thread_pid, ns));
  seq_puts(s, " (");
  put_comm(s, t, false);
  seq_puts(s, ") ");
  seq_putc(s, state_of(t));
  put_field(s, ppid_of(t, ns));
  put_field(s, pid_nr_ns(signal.pgrp, ns));
  put_field(s, pid_nr_ns(signal.session, ns));
  // no terminal, flags, faults, times; priority 20, nice 0
  seq_puts(s, " 0 -1");
  put_zeros(s, 9);
  seq_puts(s, " 20 0");
  put_field(s, signal.nr_threads);
  put_zeros(s, 4);
  put_field(s, u64.MAX_VALUE);
  put_zeros(s, 5);
  put_field(s, t.pending & 0x7fffffff);
  put_field(s, cold(t).blocked & 0x7fffffff);
  put_field(s, action_mask(t, false) & 0x7fffffff);
  put_field(s, action_mask(t, true) & 0x7fffffff);
  put_zeros(s, 3);
  Q.seq_put_signed(seq_putc(s, SPACE), cold(t).exit_signal);
  put_zeros(s, 13);
  // how it ended is for who may trace it
  const seen = same(t.signal, reader.signal) || reader.cred.cap_effective != 0;
  put_field(s, seen && t.state == EXIT_ZOMBIE ? <u64>cold(t).exit_code : 0);
  seq_putc(s, NEWLINE);
}

/** Writes what `reader` reads from file `what` of process or thread `t`, numbers as in `ns`. */
function show(
  s: seq_file,
  what: u32,
  t: task_struct,
  reader: task_struct,
  ns: pid_namespace,
): void {
  if (what == P.PROC_CONTAINERS) {
    show_containers(s, reader);
  } else if (what == P.PROC_CONTAINER) {
    show_container(s, t, reader);
  } else if (what == P.PROC_STATUS) {
    show_status(s, t, reader, ns);
  } else if (what == P.PROC_STAT) {
    show_stat(s, t, reader, ns);
  } else {
    put_comm(s, t, false);
    seq_putc(s, NEWLINE);
  }
}

/**
 * The text that `reader` reads from file `what` of `number` (null: nobody's), with the numbers of
 * `ns` (null: its own), into `size` bytes at `buf`.
 * Return: its whole length, or -ESRCH when the process is gone.
 */
export function proc_text(
  what: u32,
  number: pid,
  reader: task_struct,
  ns: pid_namespace,
  buf: usize,
  size: u32,
): i32 {
  const t = nil(number) ? NULL<task_struct>() : number.task;
  if (nil(t) && what != P.PROC_CONTAINERS) return -ESRCH;
  const s = Q.seq_open(changetype<seq_file>(SEQ_FILE), buf, size);
  show(s, what, t, reader, nil(ns) ? task_active_pid_ns(reader) : ns);
  return <i32>s.count;
}

/** The text that `reader` reads at a path; -ENOENT when the kernel writes no such file. */
export function read_proc_path(
  reader: task_struct,
  path: usize,
  len: u32,
  buf: usize,
  size: u32,
): i32 {
  const to = changetype<P.proc_path>(PROC_PATH);
  to.what = 0;
  to.pid = NULL<pid>();
  P.proc_walk(reader, to, path, <i32>len);
  if (!P.proc_is_text(to.what)) return -ENOENT;
  const number = to.what == P.PROC_CONTAINERS ? NULL<pid>() : to.pid;
  return proc_text(to.what, number, reader, NULL<pid_namespace>(), buf, size);
}

/** The text as it is now: rows do not shift under who reads on. 0, -ESRCH, -ENOMEM. */
function take_text(f: P.proc_text_file, reader: task_struct): i32 {
  const len = proc_text(f.what, f.pid, reader, f.ns, 0, 0);
  if (len < 0) return len;
  const text = kmalloc(len);
  if (!text) return -ENOMEM;
  proc_text(f.what, f.pid, reader, f.ns, text, len);
  kfree(f.text, f.len);
  f.text = <u32>text;
  f.len = len;
  return 0;
}

/** read(2): the text from the file's position on. What a recording says goes before it. */
export function proc_text_read(p: task_struct, f: frame, at: file): i32 {
  if (f.assist & (ASSIST_RET | ASSIST_ERRNO)) return sys_world_call(f, 0);
  if ((at.flags & O_ACCMODE) == O_WRONLY) return -EBADF;
  const own = at.proc_text;
  if (at.pos == 0 || !own.text) {
    const error = take_text(own, p);
    if (error) return error;
  }
  if (at.pos >= <u64>own.len) return 0;
  const left = own.len - <u32>at.pos;
  const n = f.a2 < <u64>left ? <u32>f.a2 : left;
  const need = prepare_write(f, f.a1, n);
  if (need) return need;
  if (n && copy_to_user(f, f.a1, own.text + <u32>at.pos, n)) return -EFAULT;
  at.pos += n;
  return <i32>n;
}

/** write(2): a process gives itself a name; nothing else is written to. */
export function proc_text_write(p: task_struct, f: frame, at: file): i32 {
  const own = at.proc_text;
  const t = own.what == P.PROC_COMM ? own.pid.task : NULL<task_struct>();
  if (nil(t) || !same(t.signal, p.signal)) return -EINVAL;
  const n = <u32>min<u64>(f.a2, 15);
  const bad = copy_from_user(f, SCRATCH_USER, f.a1, n);
  if (bad) return bad;
  const k = cold(t);
  k.comm0 = k.comm1 = 0;
  memory.copy(changetype<usize>(k) + offsetof<task_cold>("comm0"), SCRATCH_USER, n);
  return <i32>f.a2;
}

/** lseek(2): from the beginning or from where one is. */
export function proc_text_seek(at: file, offset: i64, whence: i32): i32 {
  const to = whence == SEEK_CUR ? <i64>at.pos + offset : offset;
  if ((whence != SEEK_SET && whence != SEEK_CUR) || to < 0 || to > <i64>i32.MAX_VALUE)
    return -EINVAL;
  at.pos = <u64>to;
  return <i32>to;
}
