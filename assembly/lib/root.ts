// The kernel's only global state: one struct at a fixed address. Module globals would be neither
// shared between CPUs nor part of a snapshot.
//
//   0x000000  never used: a null pointer faults in the checker
//   0x000400  kernel_root
//   0x010000  pages of 64 KiB, handed out upwards (slab.ts); high_water ends the used part

import { list_head } from "./list.ts";

export const ROOT_ADDRESS: usize = 0x400;
export const FIRST_PAGE: usize = 0x10000;
export const SNAPSHOT_MAGIC: u32 = 0x4b4c4842; // "BHLK"

/** struct kernel_root - everything that has no owner. Fields are guarded as tagged. */
@unmanaged
export class kernel_root {
  magic: u32; // [C] SNAPSHOT_MAGIC once booted
  layout_hash: u32; // [C] set by the host: a snapshot of another layout is refused
  high_water: u32; // [page_lock] end of the used memory, bytes
  bug: i32; // reason of a BUG, 0 = none
  fault: i32; // seeded fault switched on (debug), 0 = none
  alloc_seen: u32; // allocations in this call (debug)
  alloc_fail_at: u32; // which of them fails, 0 = none (debug)
  page_lock: u32; // spinlock_t
  // [C] boot parameters, see boot_config
  pid_max: i32;
  threads_max: i32;
  nofile_cur: i32;
  nofile_max: i32;
  container_depth_max: i32;
  containers_max: i32;
  namespaces_max: i32; // of each type, for each user of the initial user namespace
  event_mask: u32;
  traced: u32;
  // clock, ns since 1970
  clock: u64;
  // counters that have no cache of their own
  nr_threads: i32; // [tasklist]
  nr_processes: i32; // [tasklist]
  nr_containers: i32; // [containers]
  inum_next: u32; // next nsfs inode number
  container_id: u64; // [containers] last id given; .init is 1, ids are never reused
  // [C] initial objects
  init_task: u32;
  idle_task: u32;
  init_container: u32;
  init_pid_ns: u32;
  init_user_ns: u32;
  init_nsproxy: u32;
  init_cred: u32;
  null_file: u32;
  // tasks with a fatal end pending, in order of marking: a ring of task addresses
  kill_queue: u32; // kmalloc'd u32[kill_capacity], grown by fork so that marking cannot fail
  kill_capacity: u32; // power of two
  kill_head: u32; // position of the next task to die
  kill_tail: u32; // position of the next one marked
  // woken tasks, in order of waking
  woken_next: u32; // list_head
  woken_prev: u32;
  // event ring (kernel to host)
  event_ring: u32; // event[EVENT_RING_SIZE]
  event_head: u32; // host takes from here
  event_tail: u32; // kernel puts here
  event_seq: u32;
  event_backlog: u32; // not 0: containers are gone that the ring had no room for
  freed_head: u32; // their memory, oldest first
  freed_tail: u32;
  // keys
  keys: u32; // by serial: key[key_buckets], chained
  key_buckets: u32;
  nr_keys: u32;
  key_serial: i32; // given last
  user_keyrings: u32; // user_keyrings: those that users have without asking
  // upcalls and hooks
  upcalls_next: u32; // list_head: questions to the host
  upcalls_prev: u32;
  upcall_id: u32; // given last
  hooks: u32; // HOOK_*: what the host wants to be asked and told
  nr_supervisors: u32;
  override_cred: u32; // with whose capabilities a granted call is made, 0: its own alone
  // syscall tables: number -> operation
  nr_tables: u32;
  tables: u32; // syscall_table[MAX_TABLES]
  // users' counts of namespaces
  ucounts_hash: u32; // chains of ucounts
  ns_binds: u32; // ns_bind: namespaces that are mounted
  // locks of the two global lists
  tasklist_lock: u32; // spinlock_t
  containers_lock: u32; // spinlock_t
  // what is counted per user: user_struct* [user_buckets], a power of two
  users: u32; // [containers]
  user_buckets: u32;
  nr_users: u32;
  containers_per_user: i32; // [C] boot parameter
  no_containers: u32; // [C] boot parameter
  // timers of processes that are armed (itimer.ts)
  armed_next: u32; // list_head
  armed_prev: u32;
  proc_containers_2017: u32; // [C] boot parameter: /proc/containers as the first posting has it
  audit: u32; // struct audit_state; 0: nothing of audit was ever asked for
  // debug lockdep: classes held by CPU 0
  held_locks: u32;
  // free pages by order
  free_pages0: u32;
  // files in messages between sockets
  nr_inflight: u32; // how many there are
  inflight_next: u32; // list_head: sockets among them
  inflight_prev: u32;
  closing: u32; // socket files that are being closed, by file.pos
  closing_now: u32; // 1: somebody works them off
  // signalfds: readers and pollers, of any process
  sigwait_next: u32; // list_head
  sigwait_prev: u32;
  // timerfds that are armed
  timers_next: u32; // list_head
  timers_prev: u32;
  ep_walk: u32; // walks over nested epoll files so far (eploop.ts)
  inodes: u32; // inodes that locks or watches know, by inode.next
  audit_pending: u32; // 1: there are audit records that the call under way has to log, or drop
  ttys: u32; // terminals, by tty_struct.next
  nr_ttys: u32;
  nr_fasync: u32; // places of files with O_ASYNC on queues (fasync.ts)
  // file systems (assembly/vfs)
  super_blocks: u32; // super_block, by super_block.next
  ramfs_root: u32; // [C] boot parameter: the first process has a root of the kernel's
  fs_pages_max: u32; // [C] boot parameter: pages of 4 KiB in one file system
  fs_inodes_max: u32; // [C] boot parameter: inodes in one file system
  mounts_max: u32; // [C] boot parameter: mounts in one namespace
  mnt_id: i32; // given last
  mnt_group: i32; // number of a peer group given last
  fs_dev: u32; // number of an unnamed device given last
  fs_random: u64; // state of /dev/random
  sem_undos: u32; // by sem_undo.next
  shm_attaches: u32; // by shm_attach.next
  nr_ipc: u32; // objects of System V, messages, undo lists, attachments

  /** List of questions to the host. */
  get upcalls(): list_head {
    return changetype<list_head>(changetype<usize>(this) + offsetof<kernel_root>("upcalls_next"));
  }
  /** List of armed timers. */
  get armed(): list_head {
    return changetype<list_head>(changetype<usize>(this) + offsetof<kernel_root>("armed_next"));
  }
  get inflight(): list_head {
    return changetype<list_head>(changetype<usize>(this) + offsetof<kernel_root>("inflight_next"));
  }
  get sigwait(): list_head {
    return changetype<list_head>(changetype<usize>(this) + offsetof<kernel_root>("sigwait_next"));
  }
  get timers(): list_head {
    return changetype<list_head>(changetype<usize>(this) + offsetof<kernel_root>("timers_next"));
  }
  /** List of woken tasks. */
  get woken(): list_head {
    return changetype<list_head>(changetype<usize>(this) + offsetof<kernel_root>("woken_next"));
  }
}

/** The root. Its address is a constant, so field accesses fold into the load's offset. */
export function root(): kernel_root {
  return changetype<kernel_root>(ROOT_ADDRESS);
}

/** Free lists of pages by order follow the root, then the slab caches. */
export const PAGE_LISTS: usize = 0x800;
/** Buffers of the call under way: one call at a time runs on a CPU. */
export const SCRATCH_SIGINFO: usize = 0x1000;
export const SCRATCH_TAKEN: usize = 0x1040;
export const SCRATCH_USER: usize = 0x1100;
export const SCRATCH_USER_BYTES: u32 = 0x1000;
export const CLONE_ARGS: usize = 0x2200;
export const PROC_PATH: usize = 0x2340;
/** Of a search through keyrings: where it stands on each level; what is searched for; a type. */
export const KEYRING_STACK: usize = 0x2500;
export const KEYRING_SEARCH: usize = 0x2540;
export const KEY_TYPE_NAME: usize = 0x2580;
/** Of a text of /proc that is being written. */
export const SEQ_FILE: usize = 0x25c0;
/** A message's header and what its control part says (scm.ts). */
export const SCRATCH_SCM: usize = 0x2800;
/** The address that a call on a socket is about, and one that it gives. */
export const SCRATCH_ADDR: usize = 0x2d00;
export const SCRATCH_NAME: usize = 0x2d90;
export const SCRATCH_INET: usize = 0x2e20;
export const SCRATCH_REPLY: usize = 0x2e40;
/** Two paths of a call, where their walks stand, and what is written out to the caller. */
export const VFS_PATH: usize = 0x8000;
export const VFS_PATH2: usize = 0x9000;
export const VFS_NAMEI: usize = 0xa000;
export const VFS_NAMEI2: usize = 0xa400;
export const VFS_BUFFER: usize = 0xb000;
/** Behind the first walk: the text of a link of proc, and a name of it that is being written. */
export const PROC_LINK: usize = 0xa200;
export const PROC_NAME: usize = 0xa280;
/** Options and source of a mount, a page each; and what is parsed of them (fs-context.ts). */
export const FS_DATA: usize = 0xd000;
export const FS_SOURCE: usize = 0xe000;
export const FS_PARAMS: usize = 0x2f00;
/** struct iovec[UIO_MAXIOV]. */
export const SCRATCH_IOV: usize = 0x4000;
/** Frame and window of a typed call (calls.ts). */
export const CALL_FRAME: usize = 0x2600;
export const CALL_WINDOW: usize = 0x2720;

if (offsetof<kernel_root>() > <usize>0x400) ERROR("kernel_root outgrew its place");
