// Fifos: pipes that are opened by name. The pipe is there as long as somebody has it open.
import { nil } from "../lib/err.ts";
import { file } from "../fs/file.ts";
import { vfs_inode } from "./inode.ts";
import { free_vfs_file, vfs_file } from "./mount.ts";
import { alloc_pipe, free_pipe, pipe_inode_info, pipe_release } from "../fs/pipe.ts";
import { O_ACCMODE, O_RDONLY, O_RDWR, O_WRONLY } from "../uapi/fcntl.ts";
import { wake_up_all } from "../process/waitqueue.ts";

/** The pipe of a fifo, made if nobody has it open; null when memory is exhausted. */
export function fifo_pipe(i: vfs_inode): pipe_inode_info {
  if (i.data) return changetype<pipe_inode_info>(<usize>i.data);
  const pipe = alloc_pipe(i.ino);
  if (nil(pipe)) return pipe;
  pipe.readers = 0;
  pipe.writers = 0;
  i.data = <u32>changetype<usize>(pipe);
  return pipe;
}

/** One more end is open: whoever waits for a partner has one. */
export function fifo_join(pipe: pipe_inode_info, flags: u32): void {
  const access = flags & O_ACCMODE;
  if (access != O_WRONLY) {
    pipe.readers += 1;
    pipe.r_counter += 1;
    wake_up_all(pipe.wr_wait);
  }
  if (access != O_RDONLY) {
    pipe.writers += 1;
    pipe.w_counter += 1;
    wake_up_all(pipe.rd_wait);
  }
}

/** The last reference to the file of an opened fifo is gone. */
export function fifo_release(f: file): void {
  const place = changetype<vfs_file>(<usize>f.pos);
  const pipe = f.pipe;
  const both = (f.flags & O_ACCMODE) == O_RDWR;
  const mine = both ? 2 : 1;
  if (pipe.readers + pipe.writers == mine) place.dentry.inode.data = 0;
  pipe_release(pipe, f.flags);
  free_vfs_file(place);
}

/** An open has failed: a pipe that nobody uses goes. */
export function fifo_unused(i: vfs_inode): void {
  const pipe = changetype<pipe_inode_info>(<usize>i.data);
  if (nil(pipe) || pipe.readers || pipe.writers) return;
  i.data = 0;
  free_pipe(pipe);
}
