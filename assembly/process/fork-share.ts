// What a clone shares with its parent, or takes a copy of: cred, descriptors, directories, signal
// actions, the thread group (kernel/fork.c: the copy_ functions).
import { get_cred, prepare_creds, put_cred } from "../cred/cred.ts";
import { IS_ERR, nil, PTR_ERR } from "../lib/err.ts";
import { dup_files, put_files } from "../fs/file.ts";
import { kernel_clone_args } from "./fork.ts";
import { container } from "../container/container.ts";
import { container_fs, copy_fs_struct, get_fs, put_fs } from "../fs/fs.ts";
import {
  drop_private_keyrings,
  fork_keyrings,
  has_private_keyrings,
} from "../keys/process-keys.ts";
import { pid } from "./pid.ts";
import { refcount_inc, refcount_inc_few } from "../lib/refcount.ts";
import * as S from "./signal-struct.ts";
import { cold, task_struct } from "./task.ts";
import * as E from "../uapi/errno.ts";
import * as C from "../uapi/sched.ts";
import { enter_new_user_ns } from "../namespace/user-namespace.ts";

/** A failed clone: the parent shares again what it had taken copies of. */
export function share_again(parent: task_struct, args: kernel_clone_args): void {
  const k = cold(parent);
  if (!nil(args.old_files)) {
    put_files(k.files);
    k.files = args.old_files;
  }
  if (!nil(args.old_fs)) {
    put_fs(k.fs);
    k.fs = args.old_fs;
  }
  if (!nil(args.old_sighand)) {
    S.put_sighand(k.sighand);
    k.sighand = args.old_sighand;
  }
}

/** A clone that succeeded: the shares that the parent gave up go. */
export function drop_shares(args: kernel_clone_args): void {
  if (!nil(args.old_files)) put_files(args.old_files);
  if (!nil(args.old_fs)) put_fs(args.old_fs);
  if (!nil(args.old_sighand)) S.put_sighand(args.old_sighand);
}

/** The child's cred: the parent's, the container's, or a new one in a new user namespace. */
export function copy_creds(p: task_struct, parent: task_struct, args: kernel_clone_args): i32 {
  if (!nil(args.dest)) {
    p.cred = get_cred(args.dest.cred);
    return 0;
  }
  const old = parent.cred;
  if (!(args.flags & C.CLONE_NEWUSER)) {
    if (!old.keyrings || !has_private_keyrings(old)) {
      p.cred = get_cred(old);
      return 0;
    }
    const own = fork_keyrings(old, (args.flags & C.CLONE_THREAD) != 0);
    if (IS_ERR(own)) return PTR_ERR(own);
    p.cred = own;
    return 0;
  }
  const fresh = prepare_creds(old);
  if (nil(fresh)) return -E.ENOMEM;
  drop_private_keyrings(fresh);
  const error = enter_new_user_ns(fresh, cold(parent).fs, parent.signal);
  if (error) {
    put_cred(fresh);
    return error;
  }
  p.cred = fresh;
  return 0;
}

/** Descriptor table: shared for good, or until one of the two writes. */
export function copy_files(p: task_struct, parent: task_struct, args: kernel_clone_args): i32 {
  const files = cold(parent).files;
  const special = files.shared | files.locks;
  if (args.flags & C.CLONE_FILES || special) return copy_shared_files(p, parent, args);
  refcount_inc(changetype<usize>(files));
  cold(p).files = files;
  return 0;
}

function copy_shared_files(p: task_struct, parent: task_struct, args: kernel_clone_args): i32 {
  const files = cold(parent).files;
  if (args.flags & C.CLONE_FILES) {
    let own = files;
    if (files.count > 1 && !files.shared) {
      own = dup_files(files);
      if (nil(own)) return -E.ENOMEM;
      args.old_files = files;
      cold(parent).files = own;
    }
    own.shared = 1;
    refcount_inc(changetype<usize>(own));
    cold(p).files = own;
    return 0;
  }
  // a table that owns record locks stays with its process
  if ((files.shared && files.count > 1) || files.locks) {
    const copy = dup_files(files);
    if (nil(copy)) return -E.ENOMEM;
    cold(p).files = copy;
    return 0;
  }
  files.shared = 0;
  refcount_inc(changetype<usize>(files));
  cold(p).files = files;
  return 0;
}

export function copy_fs(p: task_struct, parent: task_struct, args: kernel_clone_args): i32 {
  const fs = cold(parent).fs;
  if (!nil(args.dest)) return enter_fs(p, parent, args.dest);
  if (args.flags & C.CLONE_FS || fs.shared) return copy_shared_fs(p, parent, args);
  cold(p).fs = get_fs(fs);
  return 0;
}

/** Who enters a container stands at its root, if that is the kernel's. */
function enter_fs(p: task_struct, parent: task_struct, c: container): i32 {
  const old = cold(parent).fs;
  const ours = !nil(c.root_mnt) || !nil(old.root_mnt);
  // who shared it may be gone
  if (old.count == 1) old.shared = 0;
  const fs = ours ? container_fs(c, old.umask) : old.shared ? copy_fs_struct(old) : get_fs(old);
  cold(p).fs = fs;
  return nil(fs) ? -E.ENOMEM : 0;
}

function copy_shared_fs(p: task_struct, parent: task_struct, args: kernel_clone_args): i32 {
  const fs = cold(parent).fs;
  if (args.flags & C.CLONE_FS) {
    if (fs.count > 1 && !fs.shared) {
      const own = copy_fs_struct(fs);
      if (nil(own)) return -E.ENOMEM;
      args.old_fs = fs;
      cold(parent).fs = own;
    }
    cold(parent).fs.shared = 1;
    cold(p).fs = get_fs(cold(parent).fs);
    return 0;
  }
  if (fs.shared && fs.count > 1) {
    const copy = copy_fs_struct(fs);
    if (nil(copy)) return -E.ENOMEM;
    cold(p).fs = copy;
    return 0;
  }
  fs.shared = 0;
  cold(p).fs = get_fs(fs);
  return 0;
}

export function copy_sighand(p: task_struct, parent: task_struct, args: kernel_clone_args): i32 {
  const h = cold(parent).sighand;
  if (args.flags & C.CLONE_SIGHAND || args.flags_hi & C.CLONE_CLEAR_SIGHAND_HI || h.shared) {
    return copy_shared_sighand(p, parent, args);
  }
  refcount_inc(changetype<usize>(h));
  cold(p).sighand = h;
  return 0;
}

function copy_shared_sighand(p: task_struct, parent: task_struct, args: kernel_clone_args): i32 {
  let h = cold(parent).sighand;
  if (args.flags & C.CLONE_SIGHAND) {
    if (S.sighand_must_copy(h)) {
      const own = S.copy_sighand(h);
      if (nil(own)) return -E.ENOMEM;
      args.old_sighand = h;
      cold(parent).sighand = own;
      h = own;
    }
    h.shared = 1;
    refcount_inc(changetype<usize>(h));
    cold(p).sighand = h;
    return 0;
  }
  const clear = (args.flags_hi & C.CLONE_CLEAR_SIGHAND_HI) != 0;
  if (clear || (h.shared && h.count > 1)) {
    const copy = S.copy_sighand(h);
    if (nil(copy)) return -E.ENOMEM;
    if (clear) S.clear_handlers(copy);
    cold(p).sighand = copy;
    return 0;
  }
  h.shared = 0;
  refcount_inc(changetype<usize>(h));
  cold(p).sighand = h;
  return 0;
}

export function copy_signal(p: task_struct, parent: task_struct, flags: u32): i32 {
  if (flags & C.CLONE_THREAD) {
    p.signal = parent.signal;
    return 0;
  }
  const s = S.alloc_signal();
  if (nil(s)) return -E.ENOMEM;
  inherit_signal(p, s, parent.signal);
  // a clone that fails is asked for its number, too
  s.tgid_pid = changetype<pid>(0);
  return 0;
}

/** `s` becomes the group of its first thread `p`, a child of group `old`. */
export function inherit_signal(p: task_struct, s: S.signal_struct, old: S.signal_struct): void {
  s.rlim = old.rlim;
  refcount_inc_few(changetype<usize>(s.rlim));
  s.leader = p;
  const subreaper = S.SIGNAL_HAS_SUBREAPER | S.SIGNAL_CHILD_SUBREAPER;
  if (old.flags & (subreaper | S.SIGNAL_NOT_DUMPABLE)) {
    if (old.flags & subreaper) s.flags |= S.SIGNAL_HAS_SUBREAPER;
    s.flags |= old.flags & S.SIGNAL_NOT_DUMPABLE;
  }
  // what a session leader remembers of a lost terminal is its own
  const tty = old.tty;
  if (tty && !(tty & 1)) s.tty = tty;
  p.signal = s;
}
