// Terminals in calls: opening them by name, job control at reads, writes and settings, ioctl(2),
// vhangup(2). The order of the checks is that of drivers/tty/tty_jobctrl.c and pty.c.
import { cred_ns_capable } from "../cred/cred.ts";
import { IS_ERR, NULL, nil, PTR_ERR, same } from "../lib/err.ts";
import * as FD from "../fs/file.ts";
import { file } from "../fs/file.ts";
import { frame } from "../lib/frame.ts";
import { find_pid_ns, pid, pid_nr_ns, task_active_pid_ns } from "../process/pid.ts";
import { is_orphaned_pgrp, kill_pgrp_kernel } from "../signal/pgrp.ts";
import { list_head } from "../lib/list.ts";
import { SCRATCH_USER } from "../lib/root.ts";
import { sig_handler, sigmask } from "../signal/signal.ts";
import { signal_struct } from "../process/signal-struct.ts";
import { cold, task_struct, TIF_SIGPENDING } from "../process/task.ts";
import * as Y from "./tty.ts";
import { tty_struct } from "./tty.ts";
import { copy_from_user, copy_to_user } from "../lib/uaccess.ts";
import { init_user_ns } from "../namespace/user-namespace.ts";
import { CAP_SYS_ADMIN, CAP_SYS_TTY_CONFIG } from "../uapi/capability.ts";
import * as E from "../uapi/errno.ts";
import * as O from "../uapi/fcntl.ts";
import * as F from "../uapi/frame.ts";
import { SIG_IGN, SIGTTIN, SIGTTOU, SIGWINCH } from "../uapi/signal.ts";
import * as N from "../uapi/tty.ts";

// What a path names, besides numbers of pairs.
/** No terminal. */
export const NO_TTY = -1;
/** /dev/tty */
const CURRENT_TTY = -2;
/** /dev/ptmx */
const NEW_PTY = -3;

/** "/dev/", as five bytes in a register. */
const DEV: u64 = 0x2f_7665_642f;

function capable(p: task_struct, cap: i32): bool {
  return cred_ns_capable(p.cred, init_user_ns(), cap);
}

/** Do `len` bytes at `at` spell `text`? */
function is_text(at: usize, text: u64, len: i32): bool {
  const rest: u64 = 64 - (len << 3);
  return (load<u64>(at) ^ text) << rest == 0;
}

/** What terminal the path of `len` bytes at the scratch buffer names. */
export function tty_by_name(len: i32): i32 {
  if (len < 8 || !is_text(SCRATCH_USER, DEV, 5)) return NO_TTY;
  const at = SCRATCH_USER + 5;
  if (len == 8 && is_text(at, 0x79_7474, 3)) return CURRENT_TTY;
  if (len == 9 && is_text(at, 0x786d_7470, 4)) return NEW_PTY;
  if (len < 10 || !is_text(at, 0x2f73_7470, 4)) return NO_TTY;
  if (len == 13 && is_text(at + 4, 0x786d_7470, 4)) return NEW_PTY;
  let index = 0;
  for (let i = 9; i < len; ++i) {
    const digit = <i32>load<u8>(SCRATCH_USER + i) - 48;
    if (digit < 0 || digit > 9 || index > 99_999) return NO_TTY;
    index = index * 10 + digit;
  }
  return index;
}

/** A session leader without a terminal gets the one that it opens, if that is nobody's. */
function open_proc_set_tty(p: task_struct, tty: tty_struct, flags: u32): void {
  const s = p.signal;
  if (flags & O.O_NOCTTY || !Y.is_session_leader(s)) return;
  if (!nil(Y.get_current_tty(s)) || !nil(tty.session)) return;
  // who may only write to it does not get to read its input that way
  if ((flags & O.O_ACCMODE) != O.O_WRONLY) Y.proc_set_tty(s, tty);
}

/** The end of a pair that is not its master's. Return: 0 or -EIO. */
function open_slave(p: task_struct, at: file, tty: tty_struct, flags: u32): i32 {
  if (tty.flags & Y.TTY_PAIR && (tty.flags & Y.TTY_LOCKED || tty.masters != 1)) return -E.EIO;
  Y.tty_add_file(at, tty, false);
  open_proc_set_tty(p, tty, flags);
  return 0;
}

/** The world has let `at` be opened, a terminal by `name`. 0, -ENXIO, -EIO, -ENOSPC, -ENOMEM. */
export function tty_open(p: task_struct, at: file, name: i32, flags: u32): i32 {
  if (name == CURRENT_TTY) {
    const tty = Y.get_current_tty(p.signal);
    if (nil(tty)) return -E.ENXIO;
    Y.tty_add_file(at, tty, false);
    return 0;
  }
  if (name == NEW_PTY) {
    const tty = Y.alloc_pty();
    if (IS_ERR(tty)) return PTR_ERR(tty);
    Y.tty_add_file(at, tty, true);
    return 0;
  }
  let tty = Y.find_tty(name);
  if (nil(tty)) tty = Y.alloc_tty(name, 0);
  return nil(tty) ? -E.ENOMEM : open_slave(p, at, tty, flags);
}

/** Does `p` take no notice of `sig`? */
function is_ignored(p: task_struct, sig: i32): bool {
  return (cold(p).blocked & sigmask(sig)) != 0 || sig_handler(p, sig) == SIG_IGN;
}

/**
 * May `p` use `tty` now, or does its group have to be in the foreground first? `sig`: what stops
 * it otherwise. Return: 0, -EIO, -ERESTARTSYS.
 */
function check_change(p: task_struct, f: frame, tty: tty_struct, sig: i32): i32 {
  const s = p.signal;
  if (!same(Y.get_current_tty(s), tty)) return 0;
  if (nil(tty.pgrp) || same(s.pgrp, tty.pgrp)) return 0;
  if (is_ignored(p, sig)) return sig == SIGTTIN ? -E.EIO : 0;
  if (is_orphaned_pgrp(s.pgrp, NULL<task_struct>())) return -E.EIO;
  if (!(f.assist & F.ASSIST_PEEK)) {
    kill_pgrp_kernel(s.pgrp, sig);
    p.flags |= TIF_SIGPENDING;
  }
  return -E.ERESTARTSYS;
}

/** Has the line of an open end been hung up since it was opened? */
function hung_up(at: file): bool {
  return !(at.opaque & Y.FILE_PTMX) && <u32>at.pos != Y.file_tty(at).hangups;
}

/** A read of a terminal: the bytes are the world's. */
export function tty_read(p: task_struct, f: frame, at: file): i32 {
  if (at.opaque & Y.FILE_PTMX) return FD.world_result(f, 0);
  if (hung_up(at)) return 0;
  const r = check_change(p, f, Y.file_tty(at), SIGTTIN);
  return r ? r : FD.world_result(f, 0);
}

/** A write of `total` bytes to a terminal. */
export function tty_write(p: task_struct, f: frame, at: file, total: i32): i32 {
  if (at.opaque & Y.FILE_PTMX) return FD.world_result(f, total);
  if (hung_up(at)) return -E.EIO;
  const tty = Y.file_tty(at);
  const r = tty.c_lflag & N.TOSTOP ? check_change(p, f, tty, SIGTTOU) : 0;
  return r ? r : FD.world_result(f, total);
}

/** An int for the caller. */
function put_int(f: frame, value: i32): i32 {
  store<i32>(SCRATCH_USER, value);
  return copy_to_user(f, f.a2, SCRATCH_USER, 4);
}

/** A number of `p`'s namespace; 0: it has none there. */
function nr_for(p: task_struct, number: pid): i32 {
  return nil(number) ? 0 : pid_nr_ns(number, task_active_pid_ns(p));
}

/** TIOCSCTTY: the terminal becomes that of the caller's session. */
function tiocsctty(p: task_struct, at: file, tty: tty_struct, force: u64): i32 {
  const s = p.signal;
  const leader = Y.is_session_leader(s);
  if (leader && same(s.session, tty.session)) return 0;
  if (!leader || !nil(Y.get_current_tty(s))) return -E.EPERM;
  if (!nil(tty.session)) {
    // a terminal that is another session's is only stolen by who may do anything
    if (force != 1 || !capable(p, CAP_SYS_ADMIN)) return -E.EPERM;
    Y.session_clear_tty(tty.session);
  }
  if ((at.flags & O.O_ACCMODE) == O.O_WRONLY && !capable(p, CAP_SYS_ADMIN)) return -E.EPERM;
  Y.proc_set_tty(s, tty);
  return 0;
}

/** TIOCNOTTY: the caller gives its terminal up; a session leader does so for all of its session. */
function tiocnotty(p: task_struct, tty: tty_struct): i32 {
  if (!same(Y.get_current_tty(p.signal), tty)) return -E.ENOTTY;
  if (Y.is_session_leader(p.signal)) Y.disassociate_ctty(p, false);
  else p.signal.tty = 0;
  return 0;
}

/** TIOCSPGRP: another group comes to the foreground. */
function tiocspgrp(p: task_struct, f: frame, tty: tty_struct): i32 {
  const s = p.signal;
  const changed = check_change(p, f, tty, SIGTTOU);
  if (changed == -E.EIO) return -E.ENOTTY;
  if (changed) return changed;
  const bad = copy_from_user(f, SCRATCH_USER, f.a2, 4);
  if (bad) return bad;
  const nr = load<i32>(SCRATCH_USER);
  if (nr < 0) return -E.EINVAL;
  if (!same(Y.get_current_tty(s), tty) || !same(tty.session, s.session)) return -E.ENOTTY;
  const pgrp = find_pid_ns(nr, task_active_pid_ns(p));
  if (nil(pgrp)) return -E.ESRCH;
  if (!same(session_of_pgrp(pgrp), s.session)) return -E.EPERM;
  Y.set_tty_pgrp(tty, pgrp);
  return 0;
}

/** The session that a group is in; of a number that names none, that of its process. */
function session_of_pgrp(pgrp: pid): pid {
  if (!list_head.empty(pgrp.members)) {
    return signal_struct.from_pgrp_link(pgrp.members.next).session;
  }
  return nil(pgrp.task) ? NULL<pid>() : pgrp.task.signal.session;
}

/** TIOCGPGRP, TIOCGSID: of one's own terminal, or through the master of any. */
function tioc_get(p: task_struct, f: frame, tty: tty_struct, own: bool, sid: bool): i32 {
  if (own && !same(Y.get_current_tty(p.signal), tty)) return -E.ENOTTY;
  if (sid && nil(tty.session)) return -E.ENOTTY;
  return put_int(f, nr_for(p, sid ? tty.session : tty.pgrp));
}

/** TIOCGPTPEER: opens the other end. */
function ptm_open_peer(p: task_struct, tty: tty_struct, flags: u32): i32 {
  const fd = FD.get_unused_fd(p, 0);
  if (fd < 0) return fd;
  const at = FD.alloc_file(FD.FILE_WORLD, flags & ~(<u32>(O.O_NOCTTY | O.O_CLOEXEC)), 0);
  if (nil(at)) return -E.ENOMEM;
  const error = open_slave(p, at, tty, flags);
  if (error) {
    FD.fput(at);
    return error;
  }
  FD.fd_install(p, fd, at, (flags & O.O_CLOEXEC) != 0);
  return fd;
}

/** What only the master's end of a pair answers. */
function ptmx_ioctl(p: task_struct, f: frame, tty: tty_struct, cmd: i32): i32 {
  switch (cmd) {
    case N.TIOCGPTN:
      if (f.assist & F.ASSIST_PID) Y.renumber_tty(tty, f.assist_pid);
      return put_int(f, tty.index);
    case N.TIOCGPTLCK:
      return put_int(f, tty.flags & Y.TTY_LOCKED ? 1 : 0);
    case N.TIOCSPTLCK: {
      const bad = copy_from_user(f, SCRATCH_USER, f.a2, 4);
      if (bad) return bad;
      if (load<i32>(SCRATCH_USER)) tty.flags |= Y.TTY_LOCKED;
      else tty.flags &= ~Y.TTY_LOCKED;
      return 0;
    }
    default:
      return ptm_open_peer(p, tty, <u32>f.a2);
  }
}

/** Settings: who changes them has to be in the foreground. */
function set_termios(p: task_struct, f: frame, tty: tty_struct): i32 {
  const r = check_change(p, f, tty, SIGTTOU);
  if (r) return r;
  const bad = copy_from_user(f, SCRATCH_USER, f.a2, 36);
  if (!bad) memory.copy(Y.termios_of(tty), SCRATCH_USER, 36);
  return bad;
}

/** struct termios, or with `wide` termios2 with the speeds behind it. */
function get_termios(f: frame, tty: tty_struct, wide: bool): i32 {
  memory.copy(SCRATCH_USER, Y.termios_of(tty), 36);
  store<u32>(SCRATCH_USER, 38400, 36);
  store<u32>(SCRATCH_USER, 38400, 40);
  return copy_to_user(f, f.a2, SCRATCH_USER, wide ? 44 : 36);
}

/** ioctl(2) on an end of a terminal. */
export function tty_ioctl(p: task_struct, f: frame, at: file, cmd: i32): i32 {
  const tty = Y.file_tty(at);
  const master = (at.opaque & Y.FILE_PTMX) != 0;
  if (hung_up(at)) return cmd == N.TIOCSPGRP ? -E.ENOTTY : -E.EIO;
  switch (cmd) {
    case N.TIOCSCTTY:
      return tiocsctty(p, at, tty, f.a2);
    case N.TIOCNOTTY:
      return master ? -E.ENOTTY : tiocnotty(p, tty);
    case N.TIOCSPGRP:
      return tiocspgrp(p, f, tty);
    case N.TIOCGPGRP:
      return tioc_get(p, f, tty, !master, false);
    case N.TIOCGSID:
      return tioc_get(p, f, tty, !master, true);
    case N.TIOCVHANGUP:
      if (!capable(p, CAP_SYS_ADMIN)) return -E.EPERM;
      if (!master) Y.tty_hangup(tty, false);
      return 0;
    case N.TIOCGPTN:
    case N.TIOCSPTLCK:
    case N.TIOCGPTLCK:
    case N.TIOCGPTPEER:
      return master ? ptmx_ioctl(p, f, tty, cmd) : -E.ENOTTY;
    case N.TCGETS:
      return get_termios(f, tty, false);
    case N.TCGETS2:
      return get_termios(f, tty, true);
    case N.TCSETS:
    case N.TCSETSW:
    case N.TCSETSF:
    case N.TCSETS2:
    case N.TCSETSW2:
    case N.TCSETSF2:
      return set_termios(p, f, tty);
    case N.TIOCGWINSZ:
      store<u64>(SCRATCH_USER, tty.winsize);
      return copy_to_user(f, f.a2, SCRATCH_USER, 8);
    case N.TIOCSWINSZ: {
      const bad = copy_from_user(f, SCRATCH_USER, f.a2, 8);
      if (bad || load<u64>(SCRATCH_USER) == tty.winsize) return bad;
      tty.winsize = load<u64>(SCRATCH_USER);
      if (!nil(tty.pgrp)) kill_pgrp_kernel(tty.pgrp, SIGWINCH);
      return 0;
    }
    case N.TCSBRK:
    case N.TCSBRKP:
    case N.TIOCSBRK:
    case N.TIOCCBRK: {
      const r = master ? 0 : check_change(p, f, tty, SIGTTOU);
      return r ? r : FD.world_result(f, 0);
    }
    default:
      return FD.world_result(f, -E.ENOTTY);
  }
}

/** vhangup(2): the line of the caller's terminal. */
export function sys_vhangup(p: task_struct): i32 {
  if (!capable(p, CAP_SYS_TTY_CONFIG)) return -E.EPERM;
  const tty = Y.get_current_tty(p.signal);
  if (!nil(tty)) Y.tty_hangup(tty, false);
  return 0;
}
