// Links of a mounted proc: where self leads to, and the magic ones, which are the places that a
// process has open, not texts: a walk jumps there (fs/proc/base.c, nd_jump_link).
import { NULL, nil, same } from "../lib/err.ts";
import { dentry, d_unlinked } from "../vfs/dcache.ts";
import { prepend_path } from "../vfs/d-path.ts";
import * as FD from "../fs/file.ts";
import { file } from "../fs/file.ts";
import { frame } from "../lib/frame.ts";
import { vfs_inode } from "../vfs/inode.ts";
import { place_of } from "../vfs/lookup.ts";
import { mount, vfs_file } from "../vfs/mount.ts";
import { LOOKUP_MAGIC, nameidata, STEP_LINK } from "../vfs/namei.ts";
import { put_ns_link } from "../namespace/nsfs.ts";
import { ns_common } from "../namespace/namespace.ts";
import { link_text } from "./proc-fd.ts";
import * as P from "./procfs.ts";
import { proc_nr, proc_task } from "./proc-vfs.ts";
import { PROC_LINK, SCRATCH_USER, SEQ_FILE, VFS_BUFFER } from "../lib/root.ts";
import { seq_file, seq_open, seq_put_decimal } from "../lib/seq-file.ts";
import { ptrace_may_access_as } from "../process/sys-pidfd.ts";
import { cold, task_struct } from "../process/task.ts";
import { copy_to_user, prepare_write } from "../lib/uaccess.ts";
import * as E from "../uapi/errno.ts";
import * as S from "../uapi/stat.ts";

/** The text of self or thread-self for `p`, at PROC_LINK. Return: its length, -ENOENT. */
function self_text(p: task_struct, i: vfs_inode): i32 {
  const nr = proc_nr(i, p.signal.tgid_pid);
  if (!nr) return -E.ENOENT;
  const s = seq_open(changetype<seq_file>(SEQ_FILE), PROC_LINK, 64);
  seq_put_decimal(s, <u64>nr, 0);
  if (i.proc.what == P.PROC_THREAD_SELF) {
    seq_puts(s, "/task/");
    seq_put_decimal(s, <u64>proc_nr(i, p.thread_pid), 0);
  }
  return <i32>s.count;
}

/** The file behind a descriptor's link; null: it is closed, or the link is another one. */
export function magic_file(i: vfs_inode): file {
  const t = proc_task(i);
  if (i.proc.what != P.PROC_FD || nil(t)) return NULL<file>();
  return FD.fget(t, i.proc.fd);
}

/** The namespace behind a link; null: there is none, or the link is another one. */
export function magic_ns(d: dentry): ns_common {
  const t = proc_task(d.inode);
  if (d.inode.proc.what != P.PROC_NS || nil(t)) return NULL<ns_common>();
  return P.ns_by_name(t, d.name, <i32>d.len);
}

/** The place behind a magic link: its mount and dentry here. Null: it has none. */
function magic_mnt(i: vfs_inode): mount {
  const t = proc_task(i);
  const what = i.proc.what;
  if (nil(t)) return NULL<mount>();
  if (what == P.PROC_FD) {
    const place: vfs_file = place_of(FD.fget(t, i.proc.fd));
    return nil(place) ? NULL<mount>() : place.mnt;
  }
  const fs = cold(t).fs;
  if (nil(fs)) return NULL<mount>();
  if (what == P.PROC_ROOT_LINK) return fs.root_mnt;
  return what == P.PROC_CWD_LINK ? fs.pwd_mnt : NULL<mount>();
}

/** The other half of it, when it has one. */
function magic_dentry(i: vfs_inode): dentry {
  const t = proc_task(i);
  const what = i.proc.what;
  if (what == P.PROC_FD) return place_of(FD.fget(t, i.proc.fd)).dentry;
  return what == P.PROC_ROOT_LINK ? cold(t).fs.root : cold(t).fs.pwd;
}

/** Is there something behind the link that has no place: a pipe, a socket, a namespace? */
function is_placeless(d: dentry): bool {
  return !nil(magic_file(d.inode)) || !nil(magic_ns(d));
}

/** May what is behind the link be reached? Return: 0, -EACCES. */
function magic_access(nd: nameidata, i: vfs_inode): i32 {
  const t = proc_task(i);
  if (nil(t)) return -E.EACCES;
  return ptrace_may_access_as(nd.task, t, nd.cred) ? 0 : -E.EACCES;
}

/**
 * A walk meets link `d` and follows it. Return: STEP_LINK with the text of self, 0 when the walk
 * stands behind the link, -EACCES, -ENOENT, -ELOOP and -EXDEV of openat2(2).
 */
export function proc_get_link(nd: nameidata, d: dentry): i32 {
  const i = d.inode;
  const what = i.proc.what;
  if (what == P.PROC_SELF || what == P.PROC_THREAD_SELF) {
    const len = self_text(nd.task, i);
    if (len < 0) return len;
    nd.link = <u32>PROC_LINK;
    nd.link_len = len;
    return STEP_LINK;
  }
  const bad = magic_access(nd, i);
  if (bad) return bad;
  const m = magic_mnt(i);
  if (nil(m) && !is_placeless(d)) return -E.ENOENT;
  if (nd.flags & S.RESOLVE_NO_MAGICLINKS) return -E.ELOOP;
  if (nd.flags & S.RESOLVE_NO_XDEV && !same(m, nd.mnt)) return -E.EXDEV;
  if (nd.flags & (S.RESOLVE_BENEATH | S.RESOLVE_IN_ROOT)) return -E.EXDEV;
  if (nil(m)) {
    nd.dentry = d;
    nd.flags |= LOOKUP_MAGIC;
  } else {
    nd.mnt = m;
    nd.dentry = magic_dentry(i);
  }
  return 0;
}

/** The path of a place as `p` sees it, into the scratch buffer's end. Return: where it begins. */
function place_text(p: task_struct, m: mount, d: dentry): usize {
  const fs = cold(p).fs;
  let end = VFS_BUFFER + S.PATH_MAX;
  if (d_unlinked(d)) {
    end -= 10;
    const s = seq_open(changetype<seq_file>(SEQ_FILE), end, 10);
    seq_puts(s, " (deleted)");
  }
  const at = prepend_path(VFS_BUFFER, end, m, d, fs.root_mnt, fs.root);
  // what the root does not lead to is told without saying so
  return at && load<u8>(at) == 40 ? at + 13 : at;
}

/** The text of a file that has no place and that no recording tells of. Return: its length. */
function anonymous_text(at: file): i32 {
  const known = link_text(at);
  if (known) return <i32>known;
  const s = seq_open(changetype<seq_file>(SEQ_FILE), SCRATCH_USER, 64);
  const kind = at.kind;
  if (kind == FD.FILE_SOCKET) seq_puts(s, "socket:[1]");
  else if (kind == FD.FILE_EVENTFD) seq_puts(s, "anon_inode:[eventfd]");
  else if (kind == FD.FILE_EPOLL) seq_puts(s, "anon_inode:[eventpoll]");
  else if (kind == FD.FILE_TIMERFD) seq_puts(s, "anon_inode:[timerfd]");
  else if (kind == FD.FILE_SIGNALFD) seq_puts(s, "anon_inode:[signalfd]");
  else seq_puts(s, "anon_inode:inotify");
  return <i32>s.count;
}

/** readlink(2) of link `d` of proc, at which the walk stands. */
export function proc_readlink_at(
  p: task_struct,
  f: frame,
  nd: nameidata,
  addr: u64,
  size: i32,
): i32 {
  const d = nd.dentry;
  const i = d.inode;
  const what = i.proc.what;
  let at = PROC_LINK;
  let len = 0;
  if (what == P.PROC_SELF || what == P.PROC_THREAD_SELF) {
    len = self_text(p, i);
  } else {
    len = magic_access(nd, i);
    if (len) return len;
    const m = magic_mnt(i);
    const ns = magic_ns(d);
    if (!nil(m)) {
      at = place_text(p, m, magic_dentry(i));
      len = at ? <i32>(VFS_BUFFER + S.PATH_MAX - at) : -E.ENAMETOOLONG;
    } else if (!nil(ns)) {
      at = SCRATCH_USER;
      len = <i32>(put_ns_link(at, ns) - at);
    } else if (!nil(magic_file(i))) {
      at = SCRATCH_USER;
      len = anonymous_text(magic_file(i));
    } else {
      len = -E.ENOENT;
    }
  }
  if (len < 0) return len;
  const n = min(len, size);
  const need = prepare_write(f, addr, n);
  if (need) return need;
  return copy_to_user(f, addr, at, n) ? -E.EFAULT : n;
}
