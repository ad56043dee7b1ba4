// The kernel's exports, by name. A test compares this list with assembly/index.ts and the module.

/** What kernel.wasm exports besides `memory`; addresses are offsets in it. */
export interface KernelExports {
  abi_version(): number;
  boot(config: number): number;
  root_ptr(): number;
  high_water(): number;
  host_alloc(size: number): number;
  host_free(at: number, size: number): void;
  register_table(ops: number, len: number, flags: number): number;
  do_syscall_64(at: number): number;
  do_syscall_batch(ring: number, n: number): number;
  call_getpid(tid: number): number;
  call_getppid(tid: number): number;
  call_fork(tid: number): number;
  call_clone(tid: number, flags: number): number;
  call_fork_into_container(tid: number, fd: number): number;
  call_exit(tid: number, code: number): number;
  call_exit_group(tid: number, code: number): number;
  call_wait4(tid: number, pid: number, options: number): number;
  wait_status(): number;
  call_kill(tid: number, pid: number, sig: number): number;
  call_close(tid: number, fd: number): number;
  call_container_create(tid: number, name: number, flags: number): number;
  resume(tid: number): number;
  run_woken(max: number): number;
  first_woken(): number;
  exit_to_user(tid: number, at: number, want: number): number;
  next_signal(tid: number): number;
  retarget(tid: number): number;
  next_pid(tid: number): number;
  siginfo_ptr(): number;
  run_pending(max: number): number;
  fatal_pending(tid: number): number;
  die(tid: number): number;
  adopt(tid: number, parent: number, flags: number): number;
  adopt_fd(tid: number, fd: number, cloexec: number): number;
  file_event(at: number, what: number, value: number): number;
  expire(tid: number): number;
  abort_call(tid: number): number;
  set_parent(tid: number, parent: number): number;
  set_group(tid: number, pgid: number, sid: number): number;
  set_cred(tid: number, field: number, lo: number, hi: number): number;
  set_ns(tid: number, fd: number, type: number, inum: number): number;
  set_tty(tid: number, fd: number, what: number, value: number): number;
  set_memory(
    tid: number,
    what: number,
    lo: number,
    hi: number,
    n: number,
    to: number,
    up: number,
  ): number;
  set_name(tid: number, domain: number, at: number, len: number): number;
  set_core(tid: number): number;
  prefer_taken(tid: number): number;
  begin_exit(tid: number, status: number): number;
  fault(tid: number, signo: number): number;
  set_traced(tid: number, on: number): number;
  set_blocked(tid: number, lo: number, hi: number): number;
  set_temporary_mask(tid: number, lo: number, hi: number): number;
  raise(
    tid: number,
    group: number,
    signo: number,
    code: number,
    pid: number,
    uid: number,
    status: number,
    valueLo: number,
    valueHi: number,
  ): number;
  fire_timer(tid: number, id: number, times: number): number;
  hooks_set(hooks: number): void;
  upcall_answer(id: number, answer: number, error: number, lo: number, hi: number): number;
  task_ptr(tid: number): number;
  cold_ptr(task: number): number;
  rare_ptr(task: number): number;
  proc_read(tid: number, path: number, len: number, to: number, size: number): number;
  clock_set(lo: number, hi: number): void;
  alloc_fail(n: number): void;
  alloc_count(): number;
  seed_fault(id: number): void;
  audit_control(what: number, value: number): number;
}
