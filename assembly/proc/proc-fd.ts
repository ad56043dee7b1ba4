// Links of /proc/PID/fd that are the kernel's to know: what stands behind a descriptor.
import { nil } from "../lib/err.ts";
import * as FD from "../fs/file.ts";
import { file } from "../fs/file.ts";
import { frame } from "../lib/frame.ts";
import { put_ns_link } from "../namespace/nsfs.ts";
import { proc_path } from "./procfs.ts";
import { SCRATCH_USER, SEQ_FILE } from "../lib/root.ts";
import { seq_file, seq_open, seq_put_decimal, seq_putc } from "../lib/seq-file.ts";
import { sys_world_call } from "../fs/sys-file.ts";
import { ptrace_may_access } from "../process/sys-pidfd.ts";
import { task_struct } from "../process/task.ts";
import { copy_to_user, prepare_write } from "../lib/uaccess.ts";
import * as E from "../uapi/errno.ts";

const BRACKET = 93;

/** The text of a descriptor's link at the scratch buffer. Its length, 0: the world knows it. */
export function link_text(at: file): u32 {
  const s = seq_open(changetype<seq_file>(SEQ_FILE), SCRATCH_USER, 64);
  const kind = at.kind;
  if (kind == FD.FILE_CONTAINER) {
    seq_puts(s, "container:[");
    seq_putc(seq_put_decimal(s, at.container.id, 0), BRACKET);
  } else if (kind == FD.FILE_PIPE) {
    seq_puts(s, "pipe:[");
    seq_putc(seq_put_decimal(s, at.pipe.inum, 0), BRACKET);
  } else if (kind == FD.FILE_PIDFD) {
    seq_puts(s, "anon_inode:[pidfd]");
  } else if (kind == FD.FILE_SUPERVISOR) {
    seq_puts(s, "anon_inode:[container-supervisor]");
  } else if (kind == FD.FILE_NULL) {
    seq_puts(s, "/dev/null");
  } else if (kind == FD.FILE_NSFS) {
    return <u32>(put_ns_link(SCRATCH_USER, at.ns) - SCRATCH_USER);
  }
  return s.count;
}

/** readlink(2) of /proc/PID/fd/N: for who may look into the process. */
export function proc_fd_readlink(
  p: task_struct,
  f: frame,
  to: proc_path,
  addr: u64,
  size: i32,
): i32 {
  if (size <= 0) return -E.EINVAL;
  const t = to.pid.task;
  if (nil(t)) return -E.ENOENT;
  if (!ptrace_may_access(p, t)) return -E.EACCES;
  const at = FD.fget(t, to.fd);
  if (nil(at)) return -E.ENOENT;
  const len = link_text(at);
  if (!len) return sys_world_call(f, -E.ENOSYS);
  const n = min<u32>(len, <u32>size);
  const need = prepare_write(f, addr, n);
  if (need) return need;
  return copy_to_user(f, addr, SCRATCH_USER, n) ? -E.EFAULT : <i32>n;
}
