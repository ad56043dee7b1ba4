// fsopen(2), fspick(2), fsconfig(2): a file system is configured step by step, by a descriptor that
// stands for it. Errors in Linux's order; what went wrong with an option, read(2) tells.
import { container, get_container } from "../container/container.ts";
import * as D from "./do-mount.ts";
import { ERR_PTR, IS_ERR, NULL, nil, PTR_ERR } from "../lib/err.ts";
import * as FD from "../fs/file.ts";
import { file } from "../fs/file.ts";
import { frame } from "../lib/frame.ts";
import * as C from "./fs-context.ts";
import { alloc_fs_context, fs_context } from "./fs-context.ts";
import * as P from "./fs-params.ts";
import { fs_parameter } from "./fs-params.ts";
import { furnishable } from "./furnish.ts";
import * as L from "./lookup.ts";
import { check_dirfd, is_worlds_file, mount_path_at, world_told } from "./mount-path.ts";
import * as N from "./namei.ts";
import { FS_DATA, FS_SOURCE, SEQ_FILE, VFS_BUFFER, VFS_PATH } from "../lib/root.ts";
import { seq_file, seq_open } from "../lib/seq-file.ts";
import * as B from "./super.ts";
import { worlds_error } from "../fs/sys-file.ts";
import { user_namespace } from "../namespace/user-namespace.ts";
import { fs_owner, fs_shown_ns, mount_capable, vfs_get_tree } from "./sys-vfsmount.ts";
import { task_struct } from "../process/task.ts";
import { copy_from_user, copy_to_user, strncpy_from_user } from "../lib/uaccess.ts";
import { CAP_SYS_ADMIN } from "../uapi/capability.ts";
import * as E from "../uapi/errno.ts";
import { AT_FDCWD, O_CLOEXEC, O_PATH, O_RDWR } from "../uapi/fcntl.ts";
import { PAGE_SIZE } from "../uapi/limits.ts";
import * as F from "../uapi/mount.ts";
import { cred_ns_capable } from "../cred/cred.ts";

/** The longest key and value, their NUL included. */
const KEY_MAX: u32 = 256;
const KEY: usize = FS_SOURCE;
const VALUE: usize = FS_DATA;

/**
 * The descriptor of a context, which goes when there is none to be had. Return: it, -EMFILE,
 * -ENOMEM.
 */
function fscontext_create_fd(p: task_struct, fc: fs_context, cloexec: bool): i32 {
  const fd = FD.get_unused_fd(p, 0);
  const at =
    fd < 0 ? NULL<file>() : FD.alloc_file(FD.FILE_FSCONTEXT, O_RDWR, changetype<usize>(fc));
  if (nil(at)) {
    C.put_fs_context(fc);
    return fd < 0 ? fd : -E.ENOMEM;
  }
  FD.fd_install(p, fd, at, cloexec);
  return fd;
}

/** The type of the name at `addr`. Return: FS_*, -EFAULT, -EINVAL, -ENODEV, RET_NEED. */
function user_fs_type(f: frame, addr: u64): i32 {
  const len = strncpy_from_user(f, VFS_BUFFER, addr, PAGE_SIZE);
  if (len < 0) return len;
  if (len == PAGE_SIZE) return -E.EINVAL;
  const type = B.get_fs_type(VFS_BUFFER, len);
  return type ? <i32>type : -E.ENODEV;
}

/** fsopen(2): name of a type, flags. */
export function sys_fsopen(p: task_struct, f: frame): i32 {
  if (!D.may_mount(p)) return -E.EPERM;
  const flags = <u32>f.a1;
  if (flags & ~(<u32>F.FSOPEN_CLOEXEC)) return -E.EINVAL;
  const world = world_told(p, f);
  const type = world ? worlds_error(f) : user_fs_type(f, f.a0);
  if (type < 0) return type;
  const fc = alloc_fs_context(<u32>type, C.FS_CONTEXT_CREATE_NS);
  if (nil(fc)) return -E.ENOMEM;
  belongs(p, fc, p.cred.user_ns);
  return fscontext_create_fd(p, fc, flags != 0);
}

/** A context is the opener's, or that of the container which it is for. */
function belongs(p: task_struct, fc: fs_context, user_ns: user_namespace): void {
  const shown = fs_shown_ns(p, fc.type, fc.container);
  C.fs_context_belongs(fc, fs_owner(shown, user_ns), shown);
}

/**
 * fsopen(2) as the proposal has it: name of a type, a container or -1, flags. The descriptor is
 * configured by write(2).
 */
export function sys_fsopen_2017(p: task_struct, f: frame): i32 {
  const fd = <i32>f.a1;
  const flags = <u32>f.a2;
  if (flags & ~(<u32>(O_CLOEXEC | F.FSOPEN_CLOEXEC))) return -E.EINVAL;
  const type = user_fs_type(f, f.a0);
  if (type < 0) return type;
  let c = NULL<container>();
  if (fd != -1) {
    c = furnishable(p, fd);
    if (IS_ERR(c)) return PTR_ERR(c);
  } else if (!D.may_mount(p)) {
    return -E.EPERM;
  }
  const fc = alloc_fs_context(<u32>type, C.FS_CONTEXT_CREATE_PARAMS);
  if (nil(fc)) return -E.ENOMEM;
  fc.by_write = 1;
  if (!nil(c)) fc.container = get_container(c);
  belongs(p, fc, nil(c) ? p.cred.user_ns : c.cred.user_ns);
  return fscontext_create_fd(p, fc, flags != 0);
}

/** fspick(2): directory, path, flags. */
export function sys_fspick(p: task_struct, f: frame): i32 {
  if (!D.may_mount(p)) return -E.EPERM;
  const flags = <u32>f.a2;
  const known: u32 =
    F.FSPICK_CLOEXEC | F.FSPICK_SYMLINK_NOFOLLOW | F.FSPICK_NO_AUTOMOUNT | F.FSPICK_EMPTY_PATH;
  if (flags & ~known) return -E.EINVAL;
  let fc = NULL<fs_context>();
  if (world_told(p, f)) {
    const closed = check_dirfd(p, f, <i32>f.a0, f.a1);
    const bad = closed ? closed : worlds_error(f);
    if (bad) return bad;
    fc = alloc_fs_context(0, C.FS_CONTEXT_RECONF_PARAMS);
  } else {
    let lookup: u32 = flags & F.FSPICK_SYMLINK_NOFOLLOW ? 0 : N.LOOKUP_FOLLOW;
    if (flags & F.FSPICK_EMPTY_PATH) lookup |= N.LOOKUP_EMPTY;
    const bad = mount_path_at(p, f, <i32>f.a0, f.a1, lookup);
    if (bad) return bad;
    const nd = L.nd_first();
    if (!D.path_mounted(nd.mnt, nd.dentry)) return -E.EINVAL;
    const sb = nd.mnt.sb;
    fc = alloc_fs_context(sb.type, C.FS_CONTEXT_RECONF_PARAMS);
    if (!nil(fc)) fc.sb = B.get_super(sb);
  }
  return nil(fc) ? -E.ENOMEM : fscontext_create_fd(p, fc, (flags & F.FSPICK_CLOEXEC) != 0);
}

/** Makes the file system. Return: 0, -EBUSY, -EPERM, -ENOMEM, or the world's word. */
export function vfs_cmd_create(p: task_struct, f: frame, fc: fs_context, excl: bool): i32 {
  if (fc.phase != C.FS_CONTEXT_CREATE_PARAMS && fc.phase != C.FS_CONTEXT_CREATE_NS) return -E.EBUSY;
  let bad = 0;
  if (fc.type) {
    if (!mount_capable(p, fc.type, fc.user_ns)) return -E.EPERM;
    const sb = vfs_get_tree(p, fc.type, fc, fc.user_ns, fc.shown, excl);
    if (IS_ERR(sb)) bad = PTR_ERR(sb);
    else fc.sb = sb;
    if (bad == -E.EBUSY) C.logfc(fc, C.LOG_REUSED, 0, 0);
  } else {
    bad = worlds_error(f);
    // the one refusal that leaves it as it was
    if (bad == -E.EPERM) return bad;
  }
  // a file system for which there was no memory can be asked for again
  if (bad != -E.ENOMEM) fc.phase = bad ? C.FS_CONTEXT_FAILED : C.FS_CONTEXT_AWAITING_MOUNT;
  return bad;
}

function vfs_cmd_reconfigure(p: task_struct, f: frame, fc: fs_context): i32 {
  if (fc.phase != C.FS_CONTEXT_RECONF_PARAMS) return -E.EBUSY;
  let bad = 0;
  if (nil(fc.sb)) bad = worlds_error(f);
  else if (!cred_ns_capable(p.cred, fc.sb.user_ns, CAP_SYS_ADMIN)) bad = -E.EPERM;
  else bad = D.reconfigure_super(fc.sb, fc, fc);
  if (bad) fc.phase = C.FS_CONTEXT_FAILED;
  else C.vfs_clean_context(fc);
  return bad;
}

/** One option. */
function set_param(p: task_struct, f: frame, fc: fs_context): i32 {
  if (fc.phase == C.FS_CONTEXT_CREATE_NS) fc.phase = C.FS_CONTEXT_CREATE_PARAMS;
  else if (fc.phase != C.FS_CONTEXT_CREATE_PARAMS && fc.phase != C.FS_CONTEXT_RECONF_PARAMS) {
    return -E.EBUSY;
  }
  if (!fc.type) return worlds_error(f);
  const param = changetype<fs_parameter>(C.FS_PARAMETER);
  return P.vfs_parse_fs_param(fc, fc.type, p.cred.user_ns, param, fc);
}

/** Do the arguments go with the command? Return: 0, -EINVAL, -EOPNOTSUPP. */
function check_arguments(cmd: u32, key: u64, value: u64, aux: i32): i32 {
  switch (cmd) {
    case F.FSCONFIG_SET_FLAG:
      return !key || value || aux ? -E.EINVAL : 0;
    case F.FSCONFIG_SET_STRING:
      return !key || !value || aux ? -E.EINVAL : 0;
    case F.FSCONFIG_SET_BINARY:
      return !key || !value || aux <= 0 || aux > 1024 * 1024 ? -E.EINVAL : 0;
    case F.FSCONFIG_SET_PATH:
    case F.FSCONFIG_SET_PATH_EMPTY:
      return !key || !value || (aux != AT_FDCWD && aux < 0) ? -E.EINVAL : 0;
    case F.FSCONFIG_SET_FD:
      return !key || value || aux < 0 ? -E.EINVAL : 0;
    case F.FSCONFIG_SET_CONTAINER:
      return key || value || aux < 0 ? -E.EINVAL : 0;
    case F.FSCONFIG_CMD_CREATE:
    case F.FSCONFIG_CMD_CREATE_EXCL:
    case F.FSCONFIG_CMD_RECONFIGURE:
      return key || value || aux ? -E.EINVAL : 0;
    default:
      return -E.EOPNOTSUPP;
  }
}

/** A text of at most 255 bytes. Return: its length, -EINVAL, -EFAULT, RET_NEED. */
function short_text(f: frame, to: usize, addr: u64): i32 {
  const len = strncpy_from_user(f, to, addr, KEY_MAX);
  return len == <i32>KEY_MAX ? -E.EINVAL : len;
}

/** Reads key and value of a command that has them. Return: 0 or an errno. */
function read_param(p: task_struct, f: frame, cmd: u32, aux: i32): i32 {
  const param = changetype<fs_parameter>(C.FS_PARAMETER);
  const key_len = short_text(f, KEY, f.a2);
  if (key_len < 0) return key_len;
  param.key = <u32>KEY;
  param.key_len = <u32>key_len;
  param.value = <u32>VALUE;
  param.value_len = 0;
  param.type = cmd == F.FSCONFIG_SET_FLAG ? P.VALUE_FLAG : P.VALUE_OTHER;
  if (cmd == F.FSCONFIG_SET_STRING) {
    const len = short_text(f, VALUE, f.r10);
    if (len < 0) return len;
    param.type = P.VALUE_STRING;
    param.value_len = <u32>len;
  } else if (cmd == F.FSCONFIG_SET_BINARY) {
    // it is of no use to these types, whatever it is; but it has to be there
    for (let at: u32 = 0; at < <u32>aux; at += PAGE_SIZE) {
      const part = min<u32>(PAGE_SIZE, <u32>aux - at);
      const bad = copy_from_user(f, VALUE, f.r10 + at, part);
      if (bad) return bad;
    }
  } else if (cmd == F.FSCONFIG_SET_PATH || cmd == F.FSCONFIG_SET_PATH_EMPTY) {
    const len = N.getname(f, VFS_PATH, f.r10);
    if (len < 0) return len;
    if (!len && cmd == F.FSCONFIG_SET_PATH) return -E.ENOENT;
  } else if (cmd == F.FSCONFIG_SET_FD && nil(FD.fget(p, aux))) {
    return -E.EBADF;
  }
  return 0;
}

/** FSCONFIG_SET_CONTAINER: before anything else was said. */
function set_container(p: task_struct, fc: fs_context, fd: i32): i32 {
  const c = FD.container_of_fd(p, fd);
  const nothing = IS_ERR(c) && PTR_ERR(c) == -E.EBADF;
  if (nothing) return -E.EBADF;
  if (fc.phase != C.FS_CONTEXT_CREATE_NS || !nil(fc.container)) return -E.EBUSY;
  const may = furnishable(p, fd);
  if (IS_ERR(may)) return PTR_ERR(may);
  fc.container = get_container(may);
  belongs(p, fc, may.cred.user_ns);
  return 0;
}

/** The context of a descriptor. ERR_PTR of EBADF, EINVAL. */
export function context_of_fd(p: task_struct, fd: i32): fs_context {
  const at = FD.fget(p, fd);
  // a place alone (O_PATH) is no open file
  if (nil(at) || at.flags & O_PATH) return ERR_PTR<fs_context>(-E.EBADF);
  return at.kind == FD.FILE_FSCONTEXT ? at.fs_context : ERR_PTR<fs_context>(-E.EINVAL);
}

/** fsconfig(2): descriptor, command, key, value, and what goes with it. */
export function sys_fsconfig(p: task_struct, f: frame): i32 {
  const fd = <i32>f.a0;
  const cmd = <u32>f.a1;
  const aux = <i32>f.r8;
  if (fd < 0) return -E.EINVAL;
  const bad = check_arguments(cmd, f.a2, f.r10, aux);
  if (bad) return bad;
  const fc = context_of_fd(p, fd);
  if (IS_ERR(fc)) return is_worlds_file(p, f, fd) ? worlds_error(f) : PTR_ERR(fc);
  const world = !fc.type;
  if (f.a2 && !world) {
    const unread = read_param(p, f, cmd, aux);
    if (unread) return unread;
  }
  if (fc.phase == C.FS_CONTEXT_AWAITING_RECONF) fc.phase = C.FS_CONTEXT_RECONF_PARAMS;
  switch (cmd) {
    case F.FSCONFIG_CMD_CREATE:
    case F.FSCONFIG_CMD_CREATE_EXCL:
      return vfs_cmd_create(p, f, fc, cmd == F.FSCONFIG_CMD_CREATE_EXCL);
    case F.FSCONFIG_CMD_RECONFIGURE:
      return vfs_cmd_reconfigure(p, f, fc);
    case F.FSCONFIG_SET_CONTAINER:
      return set_container(p, fc, aux);
    default:
      return set_param(p, f, fc);
  }
}

/** read(2) of a context: the oldest line of its log, which is gone then. */
export function fscontext_read(f: frame, at: file): i32 {
  const fc = at.fs_context;
  if (C.fc_log_empty(fc)) return fc.type ? -E.ENODATA : FD.world_result(f, -E.ENODATA);
  const s = seq_open(changetype<seq_file>(SEQ_FILE), VFS_BUFFER, PAGE_SIZE);
  C.fc_log_take(fc, s);
  if (<u64>s.count > f.a2) return -E.EMSGSIZE;
  const bad = copy_to_user(f, f.a1, VFS_BUFFER, s.count);
  return bad ? bad : <i32>s.count;
}

const CMD_SOURCE: u32 = 0x73; // s SOURCE
const CMD_DEVICE: u32 = 0x64; // d SOURCE
const CMD_OPTION: u32 = 0x6f; // o KEY[=VALUE]
const CMD_EXECUTE: u32 = 0x78; // x create, x reconfigure
const CREATE: u64 = 0x657461657263;
const RECONFIG: u64 = 0x6769666e6f636572;

/**
 * write(2) to a context of the proposal's fsopen: a letter, a space, and what it is about. Contexts
 * of today's know no write.
 */
export function fscontext_write(p: task_struct, f: frame, at: file): i32 {
  const fc = at.fs_context;
  if (!fc.by_write) return -E.EINVAL;
  if (f.a2 < 3 || f.a2 >= <u64>PAGE_SIZE) return -E.EINVAL;
  const total = <u32>f.a2;
  const bad = copy_from_user(f, FS_DATA, f.a1, total);
  if (bad) return bad;
  store<u8>(FS_DATA + total, 0);
  const cmd = <u32>load<u8>(FS_DATA);
  if (load<u8>(FS_DATA + 1) != 32) return -E.EINVAL;
  if (fc.phase == C.FS_CONTEXT_AWAITING_RECONF) fc.phase = C.FS_CONTEXT_RECONF_PARAMS;
  let r = -E.EINVAL;
  if (cmd == CMD_EXECUTE) {
    if (P.is_text(FS_DATA + 2, total - 2, CREATE, 0)) r = vfs_cmd_create(p, f, fc, false);
    else if (P.is_text(FS_DATA + 2, total - 2, RECONFIG, 0x657275))
      r = vfs_cmd_reconfigure(p, f, fc);
  } else if (cmd == CMD_OPTION || cmd == CMD_SOURCE || cmd == CMD_DEVICE) {
    write_param(cmd == CMD_OPTION, total);
    r = set_param(p, f, fc);
  }
  return r ? r : <i32>total;
}

/** The option that a write is about. */
function write_param(named: bool, total: u32): void {
  const param = changetype<fs_parameter>(C.FS_PARAMETER);
  param.key = <u32>(FS_DATA + 2);
  if (!named) {
    store<u64>(KEY, P.SOURCE);
    param.key = <u32>KEY;
    param.key_len = 6;
    param.value = <u32>(FS_DATA + 2);
    param.value_len = total - 2;
    param.type = P.VALUE_STRING;
    return;
  }
  let equal: u32 = 2;
  while (equal < total && load<u8>(FS_DATA + equal) != 61) ++equal;
  param.key_len = equal - 2;
  param.type = equal < total ? P.VALUE_STRING : P.VALUE_FLAG;
  param.value = <u32>(FS_DATA + equal + 1);
  param.value_len = equal < total ? total - equal - 1 : 0;
}
