// What crosses the boundary: trap frames, user windows, boot parameters, events. The host fills a
// frame and calls do_syscall_64 once; everything a call needs of the guest lies in its windows.

/** struct pt_regs in the kernel's order, then what the trap interface adds. 272 bytes. */
@unmanaged
export class frame {
  r15: u64;
  r14: u64;
  r13: u64;
  r12: u64;
  rbp: u64;
  rbx: u64;
  r11: u64;
  r10: u64;
  r9: u64;
  r8: u64;
  rax: u64;
  rcx: u64;
  rdx: u64;
  rsi: u64;
  rdi: u64;
  orig_rax: u64;
  rip: u64;
  cs: u64;
  eflags: u64;
  rsp: u64;
  ss: u64;
  args: u32; // set by the kernel: where the first three arguments lie, the third one first
  tid: i32; // who traps: number in the initial pid namespace
  disposition: i32; // DISP_*
  table: u32; // which syscall table rax is a number of
  windows: u32; // user_window[nr_windows]
  nr_windows: u32;
  need_addr: u64; // DISP_NEED: this guest memory is missing
  need_len: u32;
  assist: u32; // ASSIST_*: facts that the world decided
  assist_pid: i32;
  assist_val: i32;
  assist_mask: u64;
  phase: u32; // 0: the call begins; else where it goes on after a sleep
  cookie: u32; // of the sleeping call
  op: u32; // OP_* of the call
  expired: u32; // of a sleeping call with a timeout: 1: its time is over
  arg2: u64; // arguments that do not lie in registers as they are (32-bit calls, restarts)
  arg1: u64;
  arg0: u64;
  deadline: u64; // of a sleeping call with a timeout: when it is over; 0: never

  // The first three arguments, wherever the table's convention has them. The host writes halves,
  // and a wide load right behind two narrow stores has to wait until they have left the store
  // buffer: they are read as halves, too.
  get a0(): u64 {
    return load_halves(this.args, 16);
  }
  get a1(): u64 {
    return load_halves(this.args, 8);
  }
  get a2(): u64 {
    return load_halves(this.args, 0);
  }
  /** ... as 32-bit numbers */
  get i0(): i32 {
    return load<i32>(this.args, 16);
  }
  get i1(): i32 {
    return load<i32>(this.args, 8);
  }
  get i2(): i32 {
    return load<i32>(this.args, 0);
  }
  set_args(a0: u64, a1: u64, a2: u64): void {
    this.arg0 = a0;
    this.arg1 = a1;
    this.arg2 = a2;
    this.args = <u32>(changetype<usize>(this) + offsetof<frame>("arg2"));
  }
}

function load_halves(at: usize, offset: usize): u64 {
  return (<u64>load<u32>(at + offset)) | ((<u64>load<u32>(at + offset, 4)) << 32);
}
export const FRAME_BYTES: u32 = 272;
if (offsetof<frame>() > 272) ERROR("the frame outgrew its slot");

/** A piece of guest memory that the host shows to the kernel. 24 bytes. */
@unmanaged
export class user_window {
  addr: u64; // guest address
  len: u32; // bytes
  place: u32; // where these bytes lie in linear memory
  mode: u32; // WINDOW_READ, WINDOW_WRITE, WINDOW_UNMAPPED
  pad: u32;
}

/** Boot parameters; 0 takes the default. */
@unmanaged
export class boot_config {
  pid_max: i32;
  threads_max: i32;
  nofile_cur: i32;
  nofile_max: i32;
  container_depth_max: i32;
  containers_max: i32;
  event_mask: u32; // bit per EVENT_*
  traced: u32; // 1: new tasks are traced
  containers_per_user: i32;
  no_containers: u32; // 1: as if built without CONFIG_CONTAINERS
  proc_containers_2017: u32; // 1: /proc/containers without the ids
  namespaces_max: i32; // user/max_*_namespaces
  ramfs_root: u32; // 1: the first process has a root directory of the kernel's
  fs_pages_max: i32; // pages and inodes of one file system
  fs_inodes_max: i32;
  mounts_max: i32; // of one namespace
}

/** One event, 32 bytes. */
@unmanaged
export class kernel_event {
  type: u32; // EVENT_*
  seq: u32;
  tid: i32;
  a: i32;
  b: i32;
  c: i32;
  addr: u64;
}
export const EVENT_BYTES: u32 = 32;
export const EVENT_RING_SIZE: u32 = 2048;

/** One table: number -> operation. */
@unmanaged
export class syscall_table {
  ops: u32; // u16[len]
  len: u32;
  flags: u32; // TABLE_COMPAT
  pad: u32;
}
export const MAX_TABLES: u32 = 16;
/** In an entry of a table: the operation, and whether some audit rule is about the number. */
export const ENTRY_OP: u32 = 0x7fff;
export const ENTRY_AUDITED: u32 = 0x8000;
