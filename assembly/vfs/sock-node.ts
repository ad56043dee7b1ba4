// Nodes of sockets that are bound to a path: what net's bind(2) and connect(2) ask of the file
// system. Only for tasks whose root is the kernel's (has_root); other paths are the world's.
import { dentry, dget, dput } from "./dcache.ts";
import { ERR_PTR, IS_ERR, PTR_ERR, nil } from "../lib/err.ts";
import { alloc_vfs_file, free_vfs_file, vfs_file } from "./mount.ts";
import * as L from "./lookup.ts";
import * as N from "./namei.ts";
import * as V from "./ops.ts";
import { inode_permission, may_create, MAY_WRITE } from "./permission.ts";
import { cold, task_struct } from "../process/task.ts";
import * as E from "../uapi/errno.ts";
import { S_IFSOCK, S_IRWXUGO } from "../uapi/stat.ts";

/**
 * Makes the node at a path of `len` bytes in kernel memory; it stands for `sock` as long as that
 * lives. Return: where it is, for vfs_release_sock(); ERR_PTR of EADDRINUSE, or what mknod says.
 */
export function vfs_mknod_sock(p: task_struct, path: usize, len: i32, sock: u32): vfs_file {
  const nd = N.nd_begin(changetype<usize>(L.nd_first()), p, path, len, 0);
  let bad = N.filename_parentat(nd);
  if (bad) return ERR_PTR<vfs_file>(bad);
  bad = V.filename_create(nd, false);
  if (bad == -E.EEXIST) bad = -E.EADDRINUSE;
  if (!bad) bad = may_create(p.cred, nd.dentry.inode);
  if (bad) return ERR_PTR<vfs_file>(bad);
  const place = alloc_vfs_file(nd.mnt, nd.dentry);
  if (nil(place)) return ERR_PTR<vfs_file>(-E.ENOMEM);
  const d = V.vfs_make(nd, S_IFSOCK | (S_IRWXUGO & ~cold(p).fs.umask), 0);
  if (IS_ERR(d)) {
    free_vfs_file(place);
    return ERR_PTR<vfs_file>(PTR_ERR(d));
  }
  d.inode.data = sock;
  // the record was made for the directory, so that nothing can fail any more
  move_place(place, d);
  return place;
}

function move_place(place: vfs_file, d: dentry): void {
  dget(d);
  dput(place.dentry);
  place.dentry = d;
}

/** The socket that was bound to the node is gone; the node stays until it is unlinked. */
export function vfs_release_sock(place: vfs_file): void {
  place.dentry.inode.data = 0;
  free_vfs_file(place);
}

/**
 * What the node at a path stands for. Return: the `sock` that was given; 0: nobody listens there
 * any more, or it is no socket (ECONNREFUSED); a negative errno of the walk or of the permission.
 */
export function vfs_find_sock(p: task_struct, path: usize, len: i32): i32 {
  const nd = N.nd_begin(changetype<usize>(L.nd_first()), p, path, len, N.LOOKUP_FOLLOW);
  const bad = N.path_lookupat(nd);
  if (bad) return bad;
  const i = nd.dentry.inode;
  const denied = inode_permission(p.cred, i, MAY_WRITE);
  if (denied) return denied;
  return i.type == S_IFSOCK ? <i32>i.data : 0;
}
