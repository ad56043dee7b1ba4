// struct fs_struct - root directory, working directory, umask: shared until written. Directories
// of the world's file system have no place here: both are null then.
import { NULL, nil } from "../lib/err.ts";
import { refcount_dec_and_test, refcount_inc } from "../lib/refcount.ts";
import { cold, task_struct } from "../process/task.ts";
import { container } from "../container/container.ts";
import { dentry } from "../vfs/dcache.ts";
import { mount, path_get, path_put } from "../vfs/mount.ts";
import { CACHE_FS, kmem_cache_alloc, kmem_cache_free, kmem_cache_init } from "../lib/slab.ts";

/** struct fs_struct - 32 bytes. */
@unmanaged
export class fs_struct {
  count: i32; // refcount_t: tasks
  shared: u32; // 1: CLONE_FS, the sharers see each other's writes
  umask: u32;
  chrooted: u32; // 1: the root is not that of the mount namespace
  root_mnt: mount; // null: the world's; else all four hold references
  root: dentry;
  pwd_mnt: mount;
  pwd: dentry;
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
  fs.root_mnt = NULL<mount>();
  fs.root = NULL<dentry>();
  fs.pwd_mnt = NULL<mount>();
  fs.pwd = NULL<dentry>();
  return fs;
}

export function get_fs(fs: fs_struct): fs_struct {
  refcount_inc(changetype<usize>(fs));
  return fs;
}

export function put_fs(fs: fs_struct): void {
  if (nil(fs)) return;
  if (refcount_dec_and_test(changetype<usize>(fs))) {
    if (!nil(fs.root_mnt)) put_fs_paths(fs);
    kmem_cache_free(CACHE_FS, changetype<usize>(fs));
  }
}

function put_fs_paths(fs: fs_struct): void {
  path_put(fs.root_mnt, fs.root);
  path_put(fs.pwd_mnt, fs.pwd);
}

/** The directory becomes the root: references to it are taken, the old one's dropped. */
export function set_fs_root(fs: fs_struct, m: mount, d: dentry): void {
  path_get(m, d);
  path_put(fs.root_mnt, fs.root);
  fs.root_mnt = m;
  fs.root = d;
}

/** The same of the working directory. */
export function set_fs_pwd(fs: fs_struct, m: mount, d: dentry): void {
  path_get(m, d);
  path_put(fs.pwd_mnt, fs.pwd);
  fs.pwd_mnt = m;
  fs.pwd = d;
}

/** Both of the kernel's are dropped: what is seen is the world's again. */
export function clear_fs_paths(fs: fs_struct): void {
  if (nil(fs.root_mnt)) return;
  put_fs_paths(fs);
  fs.root_mnt = NULL<mount>();
  fs.root = NULL<dentry>();
  fs.pwd_mnt = NULL<mount>();
  fs.pwd = NULL<dentry>();
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
  if (nil(fs)) return fs;
  fs.chrooted = old.chrooted;
  if (nil(old.root_mnt)) return fs;
  set_fs_root(fs, old.root_mnt, old.root);
  set_fs_pwd(fs, old.pwd_mnt, old.pwd);
  return fs;
}

/** Root and working directory of a process that enters a container. Null: no memory. */
export function container_fs(c: container, umask: u32): fs_struct {
  const fs = alloc_fs(umask);
  if (nil(fs) || nil(c.root_mnt)) return fs;
  set_fs_root(fs, c.root_mnt, c.root);
  set_fs_pwd(fs, c.root_mnt, c.root);
  return fs;
}
