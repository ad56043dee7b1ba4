// A file of a mounted proc is opened: what it will show is the same as behind a path of the
// world's /proc (sys-open.ts), so the same records stand behind it.
import * as FD from "../fs/file.ts";
import { nil } from "../lib/err.ts";
import { vfs_inode } from "../vfs/inode.ts";
import { vfs_file } from "../vfs/mount.ts";
import * as P from "./procfs.ts";
import { proc_path } from "./procfs.ts";
import { proc_pid_ns } from "./proc-vfs.ts";
import { PROC_PATH } from "../lib/root.ts";
import { task_struct } from "../process/task.ts";

/** Puts what the file needs at its place; the place owns it. False when memory is exhausted. */
export function proc_open(p: task_struct, i: vfs_inode, place: vfs_file): bool {
  const to = changetype<proc_path>(PROC_PATH);
  to.what = i.proc.what;
  to.pid = i.proc.pid;
  if (P.proc_is_text(to.what)) {
    const text = P.alloc_proc_text(to);
    if (nil(text)) return false;
    text.ns = proc_pid_ns(i);
    place.data = <u32>changetype<usize>(text);
    place.kind = FD.FILE_PROC_TEXT;
    return true;
  }
  const data = P.alloc_proc_file(p, to);
  if (nil(data)) return false;
  place.data = <u32>changetype<usize>(data);
  place.kind = FD.FILE_PROC;
  return true;
}
