// start_kernel: the first objects, in a memory that holds nothing yet. Two boots with the same
// parameters leave the same bytes.
import { container, container_caches_init, container_join } from "./container/container.ts";
import { cred, cred_caches_init, CAP_FULL_SET, get_cred } from "./cred/cred.ts";
import { IS_ERR, nil } from "./lib/err.ts";
import { alloc_file, alloc_files, fd_install, FILE_NULL, file_caches_init } from "./fs/file.ts";
import { boot_config, EVENT_BYTES, EVENT_RING_SIZE, MAX_TABLES } from "./lib/frame.ts";
import { alloc_fs, fs_caches_init } from "./fs/fs.ts";
import { itimer_caches_init } from "./signal/itimer.ts";
import { list_head } from "./lib/list.ts";
import { create_ns, get_ns, ns_common } from "./namespace/namespace.ts";
import {
  alloc_ucounts,
  inc_nproc,
  UCOUNTS_HASH_BYTES,
  ucounts_caches_init,
} from "./cred/ucounts.ts";
import { create_uts_ns } from "./namespace/uts.ts";
import { USERNS_SETGROUPS_ALLOWED, user_namespace } from "./namespace/user-namespace.ts";
import { get_nsproxy, nsproxy, nsproxy_caches_init } from "./namespace/nsproxy.ts";
import {
  alloc_pid,
  create_pid_namespace,
  get_pid,
  pid,
  pid_caches_init,
  pid_namespace,
} from "./process/pid.ts";
import { proc_caches_init } from "./proc/procfs.ts";
import { epoll_caches_init } from "./fs/epoll.ts";
import { inotify_caches_init } from "./fs/inotify.ts";
import { locks_caches_init } from "./fs/locks.ts";
import { pipe_caches_init } from "./fs/pipe.ts";
import { FIRST_PAGE, root, ROOT_ADDRESS, SNAPSHOT_MAGIC } from "./lib/root.ts";
import { sched_caches_init } from "./process/sched.ts";
import { reserve_kill_queue } from "./signal/signal.ts";
import { sigqueue_caches_init } from "./signal/sigqueue.ts";
import * as S from "./process/signal-struct.ts";
import {
  CACHE_CONTAINER,
  CACHE_CRED,
  CACHE_NSPROXY,
  kmalloc,
  kmalloc_init,
  kzalloc,
  kmem_cache_zalloc,
} from "./lib/slab.ts";
import { alloc_task, cold, task_struct } from "./process/task.ts";
import { keys_init } from "./keys/key.ts";
import { process_keys_init } from "./keys/process-keys.ts";
import { supervisor_caches_init } from "./container/supervisor.ts";
import { upcall_caches_init } from "./container/upcall.ts";
import { users_init } from "./cred/user.ts";
import { timerfd_caches_init } from "./fs/timerfd.ts";
import { net_caches_init } from "./net/net-namespace.ts";
import { sock_caches_init } from "./net/sock.ts";
import { dcache_init } from "./vfs/dcache.ts";
import { fs_context_caches_init } from "./vfs/fs-context.ts";
import { mount_caches_init } from "./vfs/mount.ts";
import { init_mount_tree } from "./vfs/mnt-namespace.ts";
import { waiter_caches_init } from "./process/waitqueue.ts";
import { ENOMEM } from "./uapi/errno.ts";
import { CONTAINER_FLAG_INIT_STARTED } from "./uapi/container.ts";
import { O_RDWR } from "./uapi/fcntl.ts";
import * as L from "./uapi/limits.ts";
import { MQ_BYTES_MAX } from "./uapi/mqueue.ts";
import {
  RLIM_NLIMITS,
  RLIMIT_CORE,
  RLIMIT_MSGQUEUE,
  RLIMIT_NICE,
  RLIMIT_NOFILE,
  RLIMIT_RTPRIO,
  RLIMIT_STACK,
} from "./uapi/resource.ts";
import * as C from "./uapi/sched.ts";

/** Inode numbers of the initial namespaces, as Linux has them; others count up from here. */
const INUM_IPC: u32 = 0xefffffff;
const INUM_UTS: u32 = 0xeffffffe;
const INUM_USER: u32 = 0xeffffffd;
const INUM_PID: u32 = 0xeffffffc;
const INUM_CGROUP: u32 = 0xeffffffb;
const INUM_TIME: u32 = 0xeffffffa;
const INUM_MNT: u32 = 0xeffffff8;
const INUM_NET: u32 = 0xeffffff9;
const INUM_FIRST_DYNAMIC: u32 = 0xf0000100;

const NAME_INIT_CONTAINER: u64 = 0x74696e692e; // ".init"
const NAME_INIT: u64 = 0x74696e69; // "init"

function or_default(value: i32, otherwise: i32): i32 {
  return value > 0 ? value : otherwise;
}

function set_limits(at: usize): void {
  const r = root();
  const config = changetype<boot_config>(at);
  r.pid_max = or_default(config.pid_max, L.PID_MAX_DEFAULT);
  if (r.pid_max > L.PID_MAX_LIMIT) r.pid_max = L.PID_MAX_LIMIT;
  r.threads_max = or_default(config.threads_max, L.PID_MAX_LIMIT + 1);
  r.namespaces_max = or_default(config.namespaces_max, r.threads_max >> 1);
  r.nofile_cur = or_default(config.nofile_cur, L.INR_OPEN_CUR);
  r.nofile_max = or_default(config.nofile_max, L.NR_OPEN);
  r.container_depth_max = or_default(config.container_depth_max, L.CONTAINER_DEPTH_MAX);
  r.containers_max = or_default(config.containers_max, L.PID_MAX_LIMIT);
  r.containers_per_user = or_default(config.containers_per_user, r.threads_max >> 1);
  r.no_containers = config.no_containers;
  r.proc_containers_2017 = config.proc_containers_2017;
  r.fs_pages_max = or_default(config.fs_pages_max, L.FS_PAGES_MAX);
  r.fs_inodes_max = or_default(config.fs_inodes_max, L.FS_INODES_MAX);
  r.ramfs_root = config.ramfs_root;
  r.mounts_max = or_default(config.mounts_max, L.MOUNTS_MAX);
  r.event_mask = config.event_mask;
  r.traced = config.traced;
}

function init_caches(): void {
  kmalloc_init();
  S.signal_caches_init();
  pid_caches_init();
  cred_caches_init();
  nsproxy_caches_init();
  file_caches_init();
  fs_caches_init();
  container_caches_init();
  sigqueue_caches_init();
  pipe_caches_init();
  waiter_caches_init();
  upcall_caches_init();
  supervisor_caches_init();
  ucounts_caches_init();
  proc_caches_init();
  itimer_caches_init();
  epoll_caches_init();
  inotify_caches_init();
  locks_caches_init();
  timerfd_caches_init();
  sock_caches_init();
  net_caches_init();
  sched_caches_init();
  dcache_init();
  mount_caches_init();
  fs_context_caches_init();
}

function init_ns(type: i32, inum: u32, user: user_namespace): ns_common {
  const none = changetype<ns_common>(0);
  const uts = type == C.CLONE_NEWUTS;
  const ns = uts ? create_uts_ns(user, 0, none) : create_ns(type, none, user, 0);
  ns.inum = inum;
  return ns;
}

function init_namespaces(): void {
  const r = root();
  const first = init_ns(C.CLONE_NEWUSER, INUM_USER, changetype<user_namespace>(0));
  const user = changetype<user_namespace>(changetype<usize>(first));
  user.flags = USERNS_SETGROUPS_ALLOWED;
  const pid_ns = create_pid_namespace(changetype<pid_namespace>(0), user, 0);
  pid_ns.inum = INUM_PID;
  const ns = changetype<nsproxy>(kmem_cache_zalloc(CACHE_NSPROXY));
  ns.count = 1;
  ns.mnt_ns = init_ns(C.CLONE_NEWNS, INUM_MNT, user);
  ns.uts_ns = init_ns(C.CLONE_NEWUTS, INUM_UTS, user);
  ns.ipc_ns = init_ns(C.CLONE_NEWIPC, INUM_IPC, user);
  ns.cgroup_ns = init_ns(C.CLONE_NEWCGROUP, INUM_CGROUP, user);
  ns.net_ns = init_ns(C.CLONE_NEWNET, INUM_NET, user);
  ns.time_ns = init_ns(C.CLONE_NEWTIME, INUM_TIME, user);
  ns.time_ns_for_children = get_ns(ns.time_ns);
  ns.pid_ns_for_children = pid_ns;
  r.init_user_ns = <u32>changetype<usize>(user);
  r.init_pid_ns = <u32>changetype<usize>(pid_ns);
  r.init_nsproxy = <u32>changetype<usize>(ns);
  r.inum_next = INUM_FIRST_DYNAMIC;
}

function init_cred(): void {
  const c = changetype<cred>(kmem_cache_zalloc(CACHE_CRED));
  c.count = 1;
  c.user_ns = changetype<user_namespace>(<usize>root().init_user_ns);
  get_ns(c.user_ns);
  c.ucounts = alloc_ucounts(c.user_ns, 0);
  c.cap_permitted = CAP_FULL_SET;
  c.cap_effective = CAP_FULL_SET;
  c.cap_bset = CAP_FULL_SET;
  root().init_cred = <u32>changetype<usize>(c);
}

/** init_container: ".init", id 1, started, never dead; init is the idle task's, so none. */
function init_init_container(): void {
  const r = root();
  const c = changetype<container>(kmem_cache_zalloc(CACHE_CONTAINER));
  c.usage = 1; // the pin that keeps it
  c.flags = CONTAINER_FLAG_INIT_STARTED;
  c.id = 1;
  c.cred = get_cred(changetype<cred>(<usize>r.init_cred));
  c.ns = get_nsproxy(changetype<nsproxy>(<usize>r.init_nsproxy));
  c.name0 = NAME_INIT_CONTAINER;
  list_head.init(c.children);
  list_head.init(c.child_link);
  list_head.init(c.waitq);
  r.container_id = 1;
  r.nr_containers = 1;
  r.init_container = <u32>changetype<usize>(c);
}

/** The idle task: pid 0, parent of init, in no table. */
function init_idle(): task_struct {
  const p = alloc_task();
  const s = S.alloc_signal();
  s.leader = p;
  s.live = 1;
  s.nr_threads = 1;
  s.pgrp = s.session = s.tgid_pid = changetype<pid>(0);
  s.rlim = changetype<S.rlimit_table>(0);
  p.signal = s;
  p.real_parent = p;
  p.cred = get_cred(changetype<cred>(<usize>root().init_cred));
  list_head.add_tail(cold(p).thread_node, s.threads);
  root().idle_task = <u32>changetype<usize>(p);
  return p;
}

function init_rlimits(s: S.signal_struct): void {
  s.rlim = S.alloc_rlimits();
  for (let i = 0; i < RLIM_NLIMITS; ++i) S.set_rlimit(s, i, u64.MAX_VALUE, u64.MAX_VALUE);
  S.set_rlimit(s, RLIMIT_STACK, 8 << 20, u64.MAX_VALUE);
  S.set_rlimit(s, RLIMIT_CORE, 0, u64.MAX_VALUE);
  S.set_rlimit(s, RLIMIT_NICE, 0, 0);
  S.set_rlimit(s, RLIMIT_MSGQUEUE, MQ_BYTES_MAX, MQ_BYTES_MAX);
  S.set_rlimit(s, RLIMIT_RTPRIO, 0, 0);
  S.set_rlimit(s, RLIMIT_NOFILE, root().nofile_cur, root().nofile_max);
}

/** pid 1: all capabilities, descriptors 0-2 open on the null device. */
function init_init(idle: task_struct): bool {
  const r = root();
  const p = alloc_task();
  const k = cold(p);
  const s = S.alloc_signal();
  const pid_ns = changetype<pid_namespace>(<usize>r.init_pid_ns);
  const number = alloc_pid(pid_ns, 0, 0, 0, changetype<cred>(<usize>r.init_cred));
  if (nil(p) || nil(s) || IS_ERR(number)) return false;
  p.thread_pid = number;
  p.signal = s;
  p.cred = get_cred(changetype<cred>(<usize>r.init_cred));
  k.sighand = S.alloc_sighand();
  k.fs = alloc_fs(0o022);
  k.files = alloc_files();
  k.nsproxy = get_nsproxy(changetype<nsproxy>(<usize>r.init_nsproxy));
  k.exit_signal = 17;
  k.comm0 = NAME_INIT;
  init_rlimits(s);
  number.task = p;
  p.pid = 1;
  p.real_parent = idle;
  s.leader = p;
  s.live = 1;
  s.nr_threads = 1;
  s.flags = S.SIGNAL_UNKILLABLE;
  s.tgid_pid = number;
  s.pgrp = get_pid(number);
  s.session = get_pid(number);
  number.nr_sessions = 1;
  pid_ns.child_reaper = p;
  list_head.add_tail(k.thread_node, s.threads);
  list_head.add_tail(s.pgrp_link, number.members);
  list_head.add_tail(p.sibling, idle.children);
  for (let fd = 0; fd < 3; ++fd) fd_install(p, fd, alloc_file(FILE_NULL, O_RDWR, 0), false);
  r.nr_threads = 1;
  r.nr_processes = 1;
  inc_nproc(p.cred.ucounts);
  r.init_task = <u32>changetype<usize>(p);
  container_join(changetype<container>(<usize>r.init_container), p);
  return reserve_kill_queue();
}

/** Makes the machine. `config`: address of a boot_config. Return: 0 or -ENOMEM. */
export function start_kernel(config: usize): i32 {
  const r = root();
  const used: usize =
    r.magic == SNAPSHOT_MAGIC ? r.high_water : FIRST_PAGE + offsetof<boot_config>();
  // the parameters may lie where the first pages come to be: they are read before those
  memory.fill(ROOT_ADDRESS, 0, <usize>0x3000);
  if (<u32>memory.size() < 2) return -ENOMEM;
  set_limits(config);
  // memory that is not in use yet is zero: task chunks rely on it
  memory.fill(FIRST_PAGE, 0, used - FIRST_PAGE);
  list_head.init(r.woken);
  list_head.init(r.armed);
  list_head.init(r.inflight);
  list_head.init(r.sigwait);
  list_head.init(r.timers);
  init_caches();
  process_keys_init();
  if (!keys_init() || !users_init()) return -ENOMEM;
  r.event_ring = <u32>kmalloc(EVENT_RING_SIZE * EVENT_BYTES);
  r.tables = <u32>kmalloc(MAX_TABLES * 16);
  r.ucounts_hash = <u32>kzalloc(UCOUNTS_HASH_BYTES);
  if (!r.event_ring || !r.tables || !r.ucounts_hash) return -ENOMEM;
  init_namespaces();
  init_cred();
  init_init_container();
  const idle = init_idle();
  if (!init_init(idle)) return -ENOMEM;
  const init = changetype<task_struct>(<usize>r.init_task);
  if (r.ramfs_root && !init_mount_tree(init)) return -ENOMEM;
  r.alloc_seen = 0;
  r.magic = SNAPSHOT_MAGIC;
  return 0;
}
