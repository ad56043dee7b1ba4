// Pipes: who reads, who writes, who waits. The bytes stay with the world until pipes have
// contents of their own; what the kernel decides is EPIPE, SIGPIPE and readiness.
import { nil } from "./err.ts";
import { list_at, list_head } from "./list.ts";
import { CACHE_PIPE, kmem_cache_alloc, kmem_cache_free, kmem_cache_init } from "./slab.ts";
import { O_ACCMODE, O_RDONLY } from "./uapi/fcntl.ts";
import { wake_up_all } from "./waitqueue.ts";

/** struct pipe_inode_info - 16 bytes. Freed when neither end is open. */
@unmanaged
export class pipe_inode_info {
  readers: i32; // open file descriptions that read
  writers: i32;
  waitq_next: u32; // list_head: pollers
  waitq_prev: u32;
  inum: u32;

  get waitq(): list_head {
    return list_at(changetype<usize>(this), offsetof<pipe_inode_info>("waitq_next"));
  }
}

export function pipe_caches_init(): void {
  kmem_cache_init(CACHE_PIPE, <u32>offsetof<pipe_inode_info>());
}

/** A pipe with one reader and one writer, or null. */
export function alloc_pipe(inum: u32): pipe_inode_info {
  const p = changetype<pipe_inode_info>(kmem_cache_alloc(CACHE_PIPE));
  if (nil(p)) return p;
  p.readers = 1;
  p.writers = 1;
  p.inum = inum;
  list_head.init(p.waitq);
  return p;
}

/** The last reference to one end's file is gone. */
export function pipe_release(p: pipe_inode_info, flags: u32): void {
  if ((flags & O_ACCMODE) == O_RDONLY) p.readers -= 1;
  else p.writers -= 1;
  if (p.readers + p.writers == 0) {
    kmem_cache_free(CACHE_PIPE, changetype<usize>(p));
    return;
  }
  wake_up_all(p.waitq);
}
