// What getdents(2) finds in a directory of a mounted proc: processes of its namespace, threads,
// descriptors, and names that are always there.
import { nil } from "../lib/err.ts";
import { fget } from "../fs/file.ts";
import { vfs_inode } from "../vfs/inode.ts";
import { find_ge_pid, pid, pid_nr_ns } from "../process/pid.ts";
import * as P from "./procfs.ts";
import { PROC_NAME_BYTES, proc_entry, proc_ino, proc_mode } from "./proc-vfs.ts";
import { proc_pid_ns, proc_task } from "./proc-vfs.ts";
import { PROC_NAME, SEQ_FILE } from "../lib/root.ts";
import { seq_file, seq_open, seq_put_decimal } from "../lib/seq-file.ts";
import { cold, from_thread_node, task_struct } from "../process/task.ts";

/** Where the processes begin in the root directory: behind all other names. */
const FIRST_PROCESS: u64 = 256;

/** struct proc_dirent - one entry; its name lies at PROC_NAME. */
@unmanaged
export class proc_dirent {
  next: u64; // where the one behind it is
  len: u32; // of the name
  ino: u32;
  type: u32; // DT_*
}

function fill(e: proc_dirent, s: seq_file, what: u32, number: pid, fd: i32, next: u64): bool {
  e.next = next;
  e.len = s.count;
  e.ino = proc_ino(number, what, fd);
  e.type = proc_mode(what) >> 12;
  return true;
}

function name_buffer(): seq_file {
  return seq_open(changetype<seq_file>(SEQ_FILE), PROC_NAME, PROC_NAME_BYTES);
}

/** Processes of the root directory, by their numbers. */
function next_process(i: vfs_inode, pos: u64, e: proc_dirent): bool {
  const ns = proc_pid_ns(i);
  let nr = pos > FIRST_PROCESS ? <i32>(pos - FIRST_PROCESS) : 1;
  for (let number = find_ge_pid(nr, ns); !nil(number); number = find_ge_pid(nr, ns)) {
    nr = pid_nr_ns(number, ns);
    const t = number.task;
    if (!nil(t) && t.signal.leader === t) {
      const s = seq_put_decimal(name_buffer(), <u64>nr, 0);
      return fill(e, s, P.PROC_PID, number, 0, FIRST_PROCESS + <u64>nr + 1);
    }
    nr += 1;
  }
  return false;
}

function next_thread(i: vfs_inode, t: task_struct, pos: u64, e: proc_dirent): bool {
  const head = t.signal.threads;
  let left = pos - 2;
  for (let at = head.next; at !== head; at = at.next) {
    if (left) {
      left -= 1;
      continue;
    }
    const number = from_thread_node(at).thread_pid;
    const s = seq_put_decimal(name_buffer(), <u64>pid_nr_ns(number, proc_pid_ns(i)), 0);
    return fill(e, s, P.PROC_THREAD, number, 0, pos + 1);
  }
  return false;
}

function next_fd(i: vfs_inode, t: task_struct, pos: u64, e: proc_dirent): bool {
  const files = cold(t).files;
  if (nil(files)) return false;
  for (let fd = <i32>(pos - 2); fd < files.max_fds; ++fd) {
    if (nil(fget(t, fd))) continue;
    const s = seq_put_decimal(name_buffer(), <u64>fd, 0);
    return fill(e, s, P.PROC_FD, i.proc.pid, fd, <u64>fd + 3);
  }
  return false;
}

/** The first entry at or behind `pos`, which is behind `.` and `..`. False: there is none. */
export function proc_next(i: vfs_inode, pos: u64, e: proc_dirent): bool {
  const what = i.proc.what;
  const t = proc_task(i);
  if (what == P.PROC_TASKS) return next_thread(i, t, pos, e);
  if (what == P.PROC_FD_DIR) return next_fd(i, t, pos, e);
  const s = name_buffer();
  const found = pos < FIRST_PROCESS ? proc_entry(s, what, <i32>pos - 2) : 0;
  if (found) return fill(e, s, found, i.proc.pid, 0, pos + 1);
  return what == P.PROC_ROOT && next_process(i, pos, e);
}

/** Can the directory be read at all? That of a process that is gone cannot. */
export function proc_readable(i: vfs_inode): bool {
  return i.proc.what == P.PROC_ROOT || !nil(proc_task(i));
}
