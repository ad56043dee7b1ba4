// struct tty_struct - a terminal: whose session's it is, which process group of it is in the
// foreground, and who has it open. Of a pseudo-terminal one object stands for both ends. The bytes
// that pass through it are the world's (drivers/tty/tty_io.c, tty_jobctrl.c, pty.c).
import { ERR_PTR, NULL, nil, same } from "../lib/err.ts";
import { file } from "../fs/file.ts";
import { find_ge_pid, get_pid, pid, pid_namespace, pid_nr_ns, put_pid } from "../process/pid.ts";
import { kill_kernel, kill_pgrp_by, kill_pgrp_kernel } from "../signal/pgrp.ts";
import { root } from "../lib/root.ts";
import { signal_struct } from "../process/signal-struct.ts";
import { kfree, kzalloc } from "../lib/slab.ts";
import { task_struct, thread_group_leader } from "../process/task.ts";
import { ENOMEM, ENOSPC } from "../uapi/errno.ts";
import { SIGCONT, SIGHUP } from "../uapi/signal.ts";

// tty_struct.flags
/** Both ends are the kernel's: it was made by opening /dev/ptmx. */
export const TTY_PAIR: u32 = 1;
/** The other end may not be opened yet: TIOCSPTLCK. */
export const TTY_LOCKED: u32 = 2;

/** file.opaque of an open end: it is the master's. */
export const FILE_PTMX: u32 = 4;

/** kernel.pty.max */
const PTY_MAX = 4096;

/** struct tty_struct - kmalloc'd, on the chain root.ttys by number. Guarded by tasklist_lock. */
@unmanaged
export class tty_struct {
  next: tty_struct;
  index: i32; // number of the pair: /dev/pts/N; -1: not known
  flags: u32; // TTY_*
  slaves: i32; // open files of this end
  masters: i32; // of the other one
  hangups: u32; // files that were opened before the last one are hung up (file.pos)
  session: pid; // whose controlling terminal it is, null: nobody's; holds a reference
  pgrp: pid; // the foreground group, null: none, or not known; holds a reference
  c_iflag: u32; // struct termios, as TCGETS gives it
  c_oflag: u32;
  c_cflag: u32;
  c_lflag: u32;
  c_cc0: u64; // line discipline and control characters
  c_cc1: u64;
  c_cc2: u32;
  pad: u32;
  winsize: u64;
}

/** Its termios, 36 bytes. */
export function termios_of(tty: tty_struct): usize {
  return changetype<usize>(tty) + offsetof<tty_struct>("c_iflag");
}

function first_tty(): tty_struct {
  return changetype<tty_struct>(<usize>root().ttys);
}

/** The terminal that a file is an end of; null: it is none. */
export function file_tty(at: file): tty_struct {
  return changetype<tty_struct>(<usize>at.private_data);
}

/** The terminal of number `index`, or null. */
export function find_tty(index: i32): tty_struct {
  let tty = first_tty();
  while (!nil(tty) && tty.index != index) tty = tty.next;
  return tty;
}

/** Puts `tty` on the chain, which is in order of numbers. */
function link_tty(tty: tty_struct): void {
  let before = NULL<tty_struct>();
  let at = first_tty();
  while (!nil(at) && at.index < tty.index) {
    before = at;
    at = at.next;
  }
  tty.next = at;
  if (nil(before)) root().ttys = <u32>changetype<usize>(tty);
  else before.next = tty;
}

function unlink_tty(tty: tty_struct): void {
  let before = NULL<tty_struct>();
  let at = first_tty();
  while (!same(at, tty)) {
    before = at;
    at = at.next;
  }
  if (nil(before)) root().ttys = <u32>changetype<usize>(tty.next);
  else before.next = tty.next;
}

/** A terminal of number `index` that nobody has open. Null: memory is exhausted. */
export function alloc_tty(index: i32, flags: u32): tty_struct {
  const tty = changetype<tty_struct>(kzalloc(<u32>offsetof<tty_struct>()));
  if (nil(tty)) return tty;
  tty.index = index;
  tty.flags = flags;
  // ICRNL IXON; OPOST ONLCR; B38400 CS8 CREAD; ISIG ICANON IEXTEN and every echo
  tty.c_iflag = 0x500;
  tty.c_oflag = 0x5;
  tty.c_cflag = 0xbf;
  tty.c_lflag = 0x8a3b;
  // ^C ^\ DEL ^U ^D 0 1 0 ^Q ^S ^Z 0 ^R ^O ^W ^V 0 behind the line discipline 0
  tty.c_cc0 = 0x0100_0415_7f1c_0300;
  tty.c_cc1 = 0x170f_1200_1a13_1100;
  tty.c_cc2 = 0x16;
  link_tty(tty);
  root().nr_ttys += 1;
  return tty;
}

/** A new pair under the lowest free number. ERR_PTR of ENOSPC, ENOMEM. */
export function alloc_pty(): tty_struct {
  let index = 0;
  for (let at = first_tty(); !nil(at); at = at.next) if (at.index == index) index += 1;
  if (index >= PTY_MAX) return ERR_PTR<tty_struct>(-ENOSPC);
  const tty = alloc_tty(index, TTY_PAIR | TTY_LOCKED);
  return nil(tty) ? ERR_PTR<tty_struct>(-ENOMEM) : tty;
}

/** The world gave the pair another number. */
export function renumber_tty(tty: tty_struct, index: i32): void {
  if (tty.index == index) return;
  unlink_tty(tty);
  tty.index = index;
  link_tty(tty);
}

/** The controlling terminal of a process, or null. */
export function get_current_tty(s: signal_struct): tty_struct {
  return changetype<tty_struct>(<usize>(s.tty & 1 ? 0 : s.tty));
}

export function is_session_leader(s: signal_struct): bool {
  return same(s.session, s.tgid_pid);
}

/** A session leader that lost its terminal forgets which group was in the foreground then. */
function put_old_pgrp(s: signal_struct): void {
  if (!(s.tty & 1)) return;
  const old = changetype<pid>(<usize>(s.tty & ~1));
  s.tty = 0;
  put_pid(old);
}

/** The terminal is nobody's any more. */
function put_session(tty: tty_struct): void {
  const session = tty.session;
  const pgrp = tty.pgrp;
  tty.session = NULL<pid>();
  tty.pgrp = NULL<pid>();
  if (!nil(session)) put_pid(session);
  if (!nil(pgrp)) put_pid(pgrp);
}

export function set_tty_pgrp(tty: tty_struct, pgrp: pid): void {
  const old = tty.pgrp;
  tty.pgrp = get_pid(pgrp);
  if (!nil(old)) put_pid(old);
}

/** `tty` becomes the controlling terminal of the session that `s` leads. */
export function proc_set_tty(s: signal_struct, tty: tty_struct): void {
  put_session(tty);
  tty.session = get_pid(s.session);
  tty.pgrp = get_pid(s.pgrp);
  put_old_pgrp(s);
  s.tty = <u32>changetype<usize>(tty);
}

/** The process whose leader bears a number, or null. */
export function process_of(number: pid): signal_struct {
  const p = number.task;
  return nil(p) || !thread_group_leader(p) ? NULL<signal_struct>() : p.signal;
}

/** The next process at or above number `nr` whose session is `session`; null: there is none. */
function next_in_session(session: pid, nr: i32): pid {
  const all = changetype<pid_namespace>(<usize>root().init_pid_ns);
  let number = find_ge_pid(nr, all);
  while (!nil(number)) {
    const s = process_of(number);
    if (!nil(s) && same(s.session, session)) return number;
    number = find_ge_pid(pid_nr_ns(number, all) + 1, all);
  }
  return number;
}

function nr_of(number: pid): i32 {
  return pid_nr_ns(number, changetype<pid_namespace>(<usize>root().init_pid_ns));
}

/** Every process of `session` is without a terminal from now on. */
export function session_clear_tty(session: pid): void {
  let at = next_in_session(session, 1);
  while (!nil(at)) {
    const s = process_of(at);
    if (!(s.tty & 1)) s.tty = 0;
    at = next_in_session(session, nr_of(at) + 1);
  }
}

/** Nobody has it open, and it is nobody's terminal: it goes. */
function put_tty(tty: tty_struct): void {
  if (tty.slaves || tty.masters) return;
  // of a terminal of the world's others may have it open
  if (!(tty.flags & TTY_PAIR) && !nil(tty.session)) return;
  if (!nil(tty.session)) session_clear_tty(tty.session);
  put_session(tty);
  unlink_tty(tty);
  root().nr_ttys -= 1;
  kfree(changetype<usize>(tty), <u32>offsetof<tty_struct>());
}

/**
 * The line is gone: what is open is of no use any more, the session has no terminal. Its leader
 * hears of it; with `exit_session` the foreground group too. May free `tty`.
 */
export function tty_hangup(tty: tty_struct, exit_session: bool): void {
  tty.hangups += 1;
  const session = tty.session;
  const pgrp = tty.pgrp;
  if (!nil(session)) {
    let at = next_in_session(session, 1);
    while (!nil(at)) {
      const s = process_of(at);
      if (s.tty == <u32>changetype<usize>(tty)) s.tty = 0;
      if (is_session_leader(s)) {
        kill_kernel(s.leader, SIGHUP);
        kill_kernel(s.leader, SIGCONT);
        put_old_pgrp(s);
        if (!nil(pgrp) && !s.tty) s.tty = (<u32>changetype<usize>(get_pid(pgrp))) | 1;
      }
      at = next_in_session(session, nr_of(at) + 1);
    }
    if (exit_session && !nil(pgrp)) kill_pgrp_kernel(pgrp, SIGHUP);
  }
  put_session(tty);
  put_tty(tty);
}

/** The same without telling anybody. */
export function tty_lost(tty: tty_struct): void {
  tty.hangups += 1;
  if (!nil(tty.session)) session_clear_tty(tty.session);
  put_session(tty);
  put_tty(tty);
}

/** An end is opened as `at`. */
export function tty_add_file(at: file, tty: tty_struct, master: bool): void {
  at.private_data = <u32>changetype<usize>(tty);
  at.pos = tty.hangups;
  if (master) {
    at.opaque |= FILE_PTMX;
    tty.masters += 1;
  } else {
    tty.slaves += 1;
  }
}

/** The last descriptor of an open end is closed. The other end's are hung up without a master. */
export function tty_release(at: file): void {
  const tty = file_tty(at);
  if (!(at.opaque & FILE_PTMX)) {
    tty.slaves -= 1;
    put_tty(tty);
    return;
  }
  tty.masters -= 1;
  if (tty.masters) return;
  tty_hangup(tty, false);
}

/**
 * `p`'s process is done with its terminal: when its session's leader ends (`on_exit`) or says so,
 * the whole session is. The foreground group is told. May free the terminal.
 */
export function disassociate_ctty(p: task_struct, on_exit: bool): void {
  const s = p.signal;
  if (!is_session_leader(s)) return;
  if (s.tty & 1) {
    if (!on_exit) return;
    const old = changetype<pid>(<usize>(s.tty & ~1));
    s.tty = 0;
    kill_pgrp_kernel(old, SIGHUP);
    kill_pgrp_kernel(old, SIGCONT);
    put_pid(old);
    return;
  }
  const tty = get_current_tty(s);
  if (nil(tty)) return;
  const pgrp = tty.pgrp;
  if (!nil(pgrp)) {
    if (on_exit) {
      kill_pgrp_kernel(pgrp, SIGHUP);
    } else {
      kill_pgrp_by(pgrp, SIGHUP, p);
      kill_pgrp_by(pgrp, SIGCONT, p);
    }
  }
  session_clear_tty(s.session);
  put_session(tty);
  put_tty(tty);
}

/** The session of number `from` is known under another one (adopt_group). */
export function move_session(s: signal_struct, from: pid): void {
  const tty = get_current_tty(s);
  if (nil(tty) || !same(tty.session, from) || same(from, s.session)) return;
  tty.session = get_pid(s.session);
  put_pid(from);
}
