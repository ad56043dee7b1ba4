// What read(2) of a message queue says of it.
import { nil } from "../lib/err.ts";
import { file } from "../fs/file.ts";
import { frame } from "../lib/frame.ts";
import { mqueue_inode_info, mqueue_of } from "./mqueue.ts";
import { pid, upid_nr } from "../process/pid.ts";
import { SCRATCH_USER, SEQ_FILE } from "../lib/root.ts";
import { seq_file, seq_open, seq_put_decimal, seq_putc } from "../lib/seq-file.ts";
import { copy_to_user, prepare_write } from "../lib/uaccess.ts";
import { EFAULT } from "../uapi/errno.ts";
import { SIGEV_SIGNAL } from "../uapi/time.ts";

/** A number, and spaces up to `width` columns. */
function put_left(s: seq_file, value: u64, width: u32): void {
  const from = s.count;
  seq_put_decimal(s, value, 0);
  while (s.count - from < width) seq_putc(s, 32);
}

function put_text(s: seq_file, q: mqueue_inode_info): void {
  const number: pid = q.notify;
  const told = !nil(number);
  seq_puts(s, "QSIZE:");
  put_left(s, q.qsize, 10);
  seq_puts(s, " NOTIFY:");
  put_left(s, told ? q.notify_how : 0, 5);
  seq_puts(s, " SIGNO:");
  put_left(s, told && q.notify_how == SIGEV_SIGNAL ? q.notify_signo : 0, 5);
  seq_puts(s, " NOTIFY_PID:");
  put_left(s, told ? upid_nr(number, number.level) : 0, 6);
  seq_putc(s, 10);
}

/** read(2): the text from the file's position on. */
export function mqueue_read(f: frame, at: file): i32 {
  const s = seq_open(changetype<seq_file>(SEQ_FILE), SCRATCH_USER, 128);
  put_text(s, mqueue_of(at));
  if (at.pos >= <u64>s.count) return 0;
  const n = <u32>min<u64>(f.a2, s.count - at.pos);
  const need = prepare_write(f, f.a1, n);
  if (need) return need;
  if (n && copy_to_user(f, f.a1, SCRATCH_USER + <u32>at.pos, n)) return -EFAULT;
  at.pos += n;
  return <i32>n;
}
