// container_create and the file that stands for a container (seed: create_container(),
// create_container_file()).
import { find_contobj } from "../audit/audit-context.ts";
import { audit_container_create } from "../audit/audit-record.ts";
import { seeded_fault } from "../lib/bug.ts";
import * as K from "./container.ts";
import { container, free_container } from "./container.ts";
import { cred, cred_ns_capable, get_cred, prepare_creds, put_cred } from "../cred/cred.ts";
import { set_cred_ucounts } from "../cred/cred.ts";
import { ERR_PTR, IS_ERR, NULL, nil, PTR_ERR } from "../lib/err.ts";
import {
  alloc_file,
  fd_install,
  file,
  FILE_CONTAINER,
  free_file,
  get_unused_fd,
} from "../fs/file.ts";
import { frame } from "../lib/frame.ts";
import { list_head } from "../lib/list.ts";
import { ns_common, put_ns } from "../namespace/namespace.ts";
import { create_new_namespaces, get_nsproxy, nsproxy } from "../namespace/nsproxy.ts";
import { task_active_pid_ns } from "../process/pid.ts";
import { drop_keyrings } from "../keys/process-keys.ts";
import { kernel_root, root, SCRATCH_USER } from "../lib/root.ts";
import { sigmask } from "../signal/signal.ts";
import { CACHE_CONTAINER, kmem_cache_zalloc } from "../lib/slab.ts";
import { zero } from "../lib/zero.ts";
import { LOCK_CONTAINERS, spin_lock, spin_unlock } from "../lib/spinlock.ts";
import { supervisor } from "./supervisor.ts";
import { cold, task_struct } from "../process/task.ts";
import { strncpy_from_user } from "../lib/uaccess.ts";
import { CAP_SYS_ADMIN } from "../uapi/capability.ts";
import * as U from "../uapi/container.ts";
import * as E from "../uapi/errno.ts";
import { O_RDWR } from "../uapi/fcntl.ts";
import * as C from "../uapi/sched.ts";
import { SIGKILL } from "../uapi/signal.ts";
import { ANSWER_ERROR, HOOK_CONTAINER_ALLOC, UPCALL_CONTAINER_ALLOC } from "../uapi/supervise.ts";
import { ask, forget_upcall, sleep_on_upcall, upcall_of, UPCALL_ANSWERED } from "./upcall.ts";
import { alloc_uid, find_user } from "../cred/user.ts";
import { container_inherit_root } from "../vfs/mnt-namespace.ts";
import { enter_new_user_ns } from "../namespace/user-namespace.ts";

// Seeded faults (debug builds only): the posted patch's defects, by number.
const D_5 = 5;
const D_6 = 6;
const D_22 = 22;
const D_24 = 24;
const D_31 = 31;

const NEW_NS: u32 =
  U.CONTAINER_NEW_FS_NS |
  U.CONTAINER_NEW_EMPTY_FS_NS |
  U.CONTAINER_NEW_CGROUP_NS |
  U.CONTAINER_NEW_UTS_NS |
  U.CONTAINER_NEW_IPC_NS |
  U.CONTAINER_NEW_PID_NS |
  U.CONTAINER_NEW_NET_NS;

/** The CLONE_ flags that a container's namespaces come down to. */
function clone_flags(flags: u32): u32 {
  let ns: u32 = 0;
  if (flags & U.CONTAINER_NEW_FS_NS) ns |= C.CLONE_NEWNS;
  if (flags & U.CONTAINER_NEW_CGROUP_NS) ns |= C.CLONE_NEWCGROUP;
  if (flags & U.CONTAINER_NEW_UTS_NS) ns |= C.CLONE_NEWUTS;
  if (flags & U.CONTAINER_NEW_IPC_NS) ns |= C.CLONE_NEWIPC;
  if (flags & U.CONTAINER_NEW_PID_NS) ns |= C.CLONE_NEWPID;
  if (flags & U.CONTAINER_NEW_NET_NS) ns |= C.CLONE_NEWNET;
  return ns;
}

/** A name: at most 23 bytes, no slash. Into the scratch buffer. 0, errno, RET_NEED. */
function copy_name(f: frame, addr: u64): i32 {
  zero(SCRATCH_USER, U.CONTAINER_NAME_LEN);
  const len = strncpy_from_user(f, SCRATCH_USER, addr, U.CONTAINER_NAME_LEN);
  if (len < 0) return len;
  if (len >= U.CONTAINER_NAME_LEN) return -E.ENAMETOOLONG;
  for (let i = 0; i < len; ++i) {
    const byte = load<u8>(SCRATCH_USER + i);
    // DEVIATION: D-31 - control characters would forge rows of /proc/containers and of logs
    if (byte == 47) return -E.EINVAL;
    if ((byte < 32 || byte == 127) && !seeded_fault(D_31)) return -E.EINVAL;
  }
  return 0;
}

/** Is `c` already what a process of its container would become? */
function is_plain_cred(c: cred): bool {
  const uid = c.euid;
  const gid = c.egid;
  const uids = (c.uid ^ uid) | (c.suid ^ uid) | (c.fsuid ^ uid);
  return !(uids | (c.gid ^ gid) | (c.sgid ^ gid) | (c.fsgid ^ gid) | c.keyrings);
}

/** What an entering process becomes: the creator's euid everywhere, or lord of a new namespace. */
function copy_container_creds(p: task_struct, flags: u32): cred {
  const own = flags & (U.CONTAINER_NEW_USER_NS | NEW_NS);
  if (!own && is_plain_cred(p.cred)) return get_cred(p.cred);
  const c = prepare_creds(p.cred);
  if (nil(c)) return ERR_PTR<cred>(-E.ENOMEM);
  // its members begin without the creator's keys
  drop_keyrings(c);
  c.uid = c.suid = c.fsuid = c.euid;
  c.gid = c.sgid = c.fsgid = c.egid;
  if (flags & U.CONTAINER_NEW_USER_NS) {
    const error = enter_new_user_ns(c, cold(p).fs, p.signal);
    return error ? drop_cred(c, error) : c;
  }
  if (!set_cred_ucounts(c)) return drop_cred(c, -E.ENOMEM);
  // DEVIATION: D-5 - the seed tests no privilege at all
  if (seeded_fault(D_5)) return c;
  if (flags & NEW_NS && !cred_ns_capable(p.cred, c.user_ns, CAP_SYS_ADMIN)) {
    return drop_cred(c, -E.EPERM);
  }
  return c;
}

function drop_cred(c: cred, error: i32): cred {
  put_cred(c);
  return ERR_PTR<cred>(error);
}

function container_namespaces(p: task_struct, flags: u32, c: cred): nsproxy {
  const old = cold(p).nsproxy;
  if (!(flags & NEW_NS)) return get_nsproxy(old);
  const active = task_active_pid_ns(p);
  const ns = create_new_namespaces(clone_flags(flags), old, active, c.user_ns, c.euid);
  if (IS_ERR(ns) || !(flags & U.CONTAINER_NEW_EMPTY_FS_NS) || seeded_fault(D_6)) return ns;
  // DEVIATION: D-6 - an empty mount namespace is empty, not the parent's
  put_ns(ns.mnt_ns);
  ns.mnt_ns = NULL<ns_common>();
  ns.empty_mnt = 1;
  return ns;
}

/** A container for below the caller's, not yet linked, with its file's reference. ERR_PTR. */
function create_container(p: task_struct, flags: u32): container {
  const parent = p.signal.leader.container;
  const c = changetype<container>(kmem_cache_zalloc(CACHE_CONTAINER));
  if (nil(c)) return ERR_PTR<container>(-E.ENOMEM);
  c.name0 = load<u64>(SCRATCH_USER);
  c.name1 = load<u64>(SCRATCH_USER, 8);
  c.name2 = load<u64>(SCRATCH_USER, 16);
  c.user = alloc_uid(p.cred.euid);
  if (nil(c.user)) return free_container(c, -E.ENOMEM);
  const cr = copy_container_creds(p, flags);
  if (IS_ERR(cr)) return free_container(c, PTR_ERR(cr));
  c.cred = cr;
  const ns = container_namespaces(p, flags, cr);
  if (IS_ERR(ns)) return free_container(c, PTR_ERR(ns));
  c.usage = 1;
  c.nr_files = 1;
  c.depth = parent.depth + 1;
  c.ns = ns;
  container_inherit_root(c, p);
  c.opener_euid = p.cred.euid;
  if (flags & U.CONTAINER_KILL_ON_CLOSE) c.flags = U.CONTAINER_FLAG_KILL_ON_CLOSE;
  list_head.init(c.children);
  list_head.init(c.waitq);
  return c;
}

/** The last step, which cannot fail: an id, and a place under the parent. */
export function publish(c: container, parent: container): void {
  const r = root();
  const lock = changetype<usize>(r) + offsetof<kernel_root>("containers_lock");
  spin_lock(lock, LOCK_CONTAINERS);
  r.container_id += 1;
  // a number that somebody chose by hand is skipped
  while (r.audit && !nil(find_contobj(r.container_id))) r.container_id += 1;
  c.id = r.container_id;
  c.parent = K.get_container(parent);
  list_head.add_tail(c.child_link, parent.children);
  r.nr_containers += 1;
  c.user.nr_containers += 1;
  spin_unlock(lock, LOCK_CONTAINERS);
}

/** No more containers: too deep, too many in all, too many of this user's. */
function is_full(euid: i32, parent: container): bool {
  const r = root();
  if (parent.depth >= r.container_depth_max || r.nr_containers >= r.containers_max) return true;
  const u = find_user(euid);
  return !nil(u) && u.nr_containers >= r.containers_per_user;
}

/** Its place in the tree and a descriptor: all that a finished container still lacks. */
function install(p: task_struct, c: container, at: file, fd: i32, flags: u32): i32 {
  publish(c, p.signal.leader.container);
  if (root().audit) audit_container_create(p, c, flags);
  at.private_data = <u32>changetype<usize>(c);
  fd_install(p, fd, at, (flags & U.CONTAINER_FD_CLOEXEC) != 0);
  return fd;
}

/** May the caller make one more? Return: 0, -ECANCELED, -ENOSPC. */
function may_create(p: task_struct): i32 {
  const parent = p.signal.leader.container;
  // DEVIATION: D-24 - nothing begins under a container that is dead
  if (K.container_dead(parent) && !seeded_fault(D_24)) return -E.ECANCELED;
  // DEVIATION: D-22 - depth and number are limited
  if (is_full(p.cred.euid, parent) && !seeded_fault(D_22)) return -E.ENOSPC;
  return 0;
}

/** container_create(name, flags, 0, 0, 0). Checks in the order of the seed and the decisions. */
export function sys_container_create(p: task_struct, f: frame): i32 {
  if (f.phase) return create_answered(p, f);
  const flags = <u32>f.a1;
  if (!f.a0 || flags & ~(<u32>U.CONTAINER__FLAG_MASK)) return -E.EINVAL;
  if (f.a2 || f.r10 || f.r8) return -E.EINVAL;
  const both: u32 = U.CONTAINER_NEW_FS_NS | U.CONTAINER_NEW_EMPTY_FS_NS;
  if ((flags & both) == both) return -E.EINVAL;
  let bad = copy_name(f, f.a0);
  if (bad) return bad;
  bad = may_create(p);
  if (bad) return bad;
  const fd = get_unused_fd(p, 0);
  if (fd < 0) return fd;
  const at = alloc_file(FILE_CONTAINER, O_RDWR, 0);
  if (nil(at)) return -E.ENOMEM;
  const c = create_container(p, flags);
  if (IS_ERR(c)) {
    free_file(at);
    return PTR_ERR(c);
  }
  if (!(root().hooks & HOOK_CONTAINER_ALLOC)) return install(p, c, at, fd, flags);
  free_file(at);
  return ask_container_alloc(p, f, c, flags);
}

/** The container_alloc hook: the host has the last word before the container is published. */
function ask_container_alloc(p: task_struct, f: frame, c: container, flags: u32): i32 {
  const u = ask(p, UPCALL_CONTAINER_ALLOC, NULL<supervisor>());
  if (nil(u)) return PTR_ERR(free_container(c, -E.ENOMEM));
  u.container = c;
  u.flags = flags;
  f.phase = 1;
  return sleep_on_upcall(p, f, u);
}

/** container_create goes on: the host has answered, or the caller is killed. */
function create_answered(p: task_struct, f: frame): i32 {
  const u = upcall_of(p);
  if (u.state != UPCALL_ANSWERED) {
    if (!(p.pending & sigmask(SIGKILL))) return sleep_on_upcall(p, f, u);
    forget_upcall(p);
    return -E.EINTR;
  }
  const c = u.container;
  const flags = u.flags;
  const error = u.answer == ANSWER_ERROR ? -u.error : 0;
  u.container = NULL<container>();
  forget_upcall(p);
  if (error) return PTR_ERR(free_container(c, error));
  // DEVIATION: D-19 - from here on the free hook is due
  c.hooked = 1;
  // the world has gone on meanwhile
  const bad = may_create(p);
  if (bad) return PTR_ERR(free_container(c, bad));
  const fd = get_unused_fd(p, 0);
  if (fd < 0) return PTR_ERR(free_container(c, fd));
  const at = alloc_file(FILE_CONTAINER, O_RDWR, 0);
  if (nil(at)) return PTR_ERR(free_container(c, -E.ENOMEM));
  return install(p, c, at, fd, flags);
}
