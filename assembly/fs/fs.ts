// struct fs_struct - root directory, working directory, umask: shared until written. What the
// directories are comes with the file systems; here they are identities.
import { nil } from "../lib/err.ts";
import { refcount_dec_and_test, refcount_inc } from "../lib/refcount.ts";
import { cold, task_struct } from "../process/task.ts";
import { CACHE_FS, kmem_cache_alloc, kmem_cache_free, kmem_cache_init } from "../lib/slab.ts";

/** struct fs_struct - 16 bytes. */
@unmanaged
export class fs_struct {
  count: i32; // refcount_t: tasks
  shared: u32; // 1: CLONE_FS, the sharers see each other's writes
  umask: u32;
  chrooted: u32;
}

export function fs_caches_init(): void {
  kmem_cache_init(CACHE_FS, <u32>offsetof<fs_struct>());
}

export function alloc_fs(umask: u32): fs_struct {
  const fs = changetype<fs_struct>(kmem_cache_alloc(CACHE_FS));
  if (nil(fs)) return fs;
  fs.count = 1;
  fs.shared = 0;
  fs.umask = umask;
  fs.chrooted = 0;
  return fs;
}

export function get_fs(fs: fs_struct): fs_struct {
  refcount_inc(changetype<usize>(fs));
  return fs;
}

export function put_fs(fs: fs_struct): void {
  if (nil(fs)) return;
  if (refcount_dec_and_test(changetype<usize>(fs))) {
    kmem_cache_free(CACHE_FS, changetype<usize>(fs));
  }
}

/** Do others than `p` see what it does to its directories? */
export function fs_is_shared(p: task_struct): bool {
  const fs = cold(p).fs;
  return fs.shared != 0 && fs.count > 1;
}

/** The caller's, private for writing; false when memory is exhausted. */
export function fs_for_write(p: task_struct): bool {
  const k = cold(p);
  const old = k.fs;
  if (old.count == 1 || old.shared) return true;
  const own = copy_fs_struct(old);
  if (nil(own)) return false;
  k.fs = own;
  put_fs(old);
  return true;
}

/** A private copy; null when memory is exhausted. Keeps the old reference. */
export function copy_fs_struct(old: fs_struct): fs_struct {
  const fs = alloc_fs(old.umask);
  if (!nil(fs)) fs.chrooted = old.chrooted;
  return fs;
}
