// This kernel as a machine: a call is a few stores into a frame that was laid out once, and one
// crossing; or many such frames in one crossing.
import { AuditFormatter } from '../audit/format.ts';
import { addAuditRule, drainAudit, enableAudit } from '../audit-ring.ts';
import * as OP from '../../assembly/uapi/op.ts';
import * as C from '../../assembly/uapi/sched.ts';
import { layout } from '../generated/layout.ts';
import { createKernel, type Kernel } from '../kernel.ts';
import { type Batch, Hash, type Machine, type Observed, PID_MAX, type Random } from './machine.ts';

/** Room for what is logged between two looks: 4 MiB. */
const RING_SHIFT = 20;

const L = layout.frame;
const NAME_AT = 0x1000;
const ACTION_AT = 0x2000;
const HANDLER = 0x4000;
const WNOHANG = 1;
const SIGUSR1 = 10;
const SIGCHLD = 17;
/** What the threads of a group share. */
export const THREAD_FLAGS =
  C.CLONE_VM | C.CLONE_FS | C.CLONE_FILES | C.CLONE_SIGHAND | C.CLONE_THREAD | C.CLONE_SYSVSEM;
/** Triples, or other calls, of one crossing. */
const BATCH_TRIPLES = 21;
const BATCH_CALLS = 64;

/** One call, ready to be made again and again. */
class Prepared {
  readonly #k: Kernel;
  readonly #word: number;
  readonly #address: number;
  readonly #op: number;
  readonly #trap: (at: number) => number;

  constructor(k: Kernel, op: number, ...args: number[]) {
    const frame = k.allocFrame().begin(1, 0, op);
    args.forEach((arg, i) => frame.setArg(i, arg));
    this.#k = k;
    this.#op = op;
    this.#trap = k.exports.do_syscall_64;
    this.#address = frame.address;
    this.#word = frame.address >>> 2;
  }

  /** Shows the call bytes of the guest's memory. */
  window(at: number, bytes: Uint8Array): this {
    const k = this.#k;
    const place = k.exports.host_alloc(layout.user_window.size + bytes.length) >>> 0;
    k.refresh();
    const W = layout.user_window;
    const words: [number, number][] = [
      [W.addr, at],
      [W.len, bytes.length],
      [W.place, place + W.size],
      [W.mode, 1],
    ];
    for (const [offset, value] of words) k.u32[(place + offset) >>> 2] = value;
    k.u8.set(bytes, place + W.size);
    k.u32[this.#word + (L.windows >>> 2)] = place;
    k.u32[this.#word + (L.nr_windows >>> 2)] = 1;
    return this;
  }

  /** Makes the call as task `tid` with first argument `arg`. Return: low half of rax. */
  call(tid: number, arg: number): number {
    const u32 = this.#k.u32;
    const word = this.#word;
    u32[word + (L.tid >>> 2)] = tid;
    u32[word + (L.rdi >>> 2)] = arg;
    u32[word + (L.rax >>> 2)] = this.#op;
    u32[word + (L.rax >>> 2) + 1] = 0;
    this.#trap(this.#address);
    if (u32.length === 0) this.#k.refresh();
    return this.#k.u32[word + (L.rax >>> 2)]! | 0;
  }
}

/** Many calls a crossing. The numbers of children are known beforehand: the next ones. */
class KernelBatch implements Batch {
  readonly #k: Kernel;
  readonly #m: KernelMachine;
  readonly #words: Int32Array;
  readonly #ring: number;

  constructor(k: Kernel, m: KernelMachine) {
    this.#k = k;
    this.#m = m;
    const frames = Array.from({ length: BATCH_CALLS }, () => k.allocFrame().begin(1, 0, 0));
    this.#ring = k.exports.host_alloc(BATCH_CALLS * 4) >>> 0;
    k.refresh();
    frames.forEach((frame, i) => (k.u32[(this.#ring >>> 2) + i] = frame.address));
    this.#words = Int32Array.from(frames, (frame) => frame.address >>> 2);
  }

  /** Lays frame `i` out; what stays the same from batch to batch is written once. */
  #lay(i: number, op: number, tid: number, a0: number, a2: number): void {
    const word = this.#words[i]!;
    const u32 = this.#k.u32;
    u32[word + (L.rax >>> 2)] = op;
    u32[word + (L.tid >>> 2)] = tid;
    u32[word + (L.rdi >>> 2)] = a0;
    u32[word + (L.rdx >>> 2)] = a2;
  }

  #run(n: number): Uint32Array {
    this.#k.exports.do_syscall_batch(this.#ring, n);
    if (this.#k.u32.length === 0) this.#k.refresh();
    return this.#k.u32;
  }

  getppids(n: number): number {
    const words = this.#words;
    for (let i = 0; i < BATCH_CALLS; ++i) this.#lay(i, OP.OP_GETPPID, 1, 0, 0);
    let sum = 0;
    for (let left = n; left > 0; left -= BATCH_CALLS) {
      const many = Math.min(left, BATCH_CALLS);
      const u32 = this.#k.u32;
      for (let i = 0; i < many; ++i) u32[words[i]! + (L.rax >>> 2)] = OP.OP_GETPPID;
      const done = this.#run(many);
      for (let i = 0; i < many; ++i) sum = (sum + done[words[i]! + (L.rax >>> 2)]!) | 0;
    }
    return sum;
  }

  triples(n: number): number {
    const words = this.#words;
    for (let i = 0; i < BATCH_TRIPLES; ++i) {
      this.#lay(i * 3, OP.OP_FORK, 1, 0, 0);
      this.#lay(i * 3 + 1, OP.OP_EXIT_GROUP, 1, 7, 0);
      this.#lay(i * 3 + 2, OP.OP_WAIT4, 1, 0, WNOHANG);
    }
    let sum = 0;
    for (let left = n; left > 0;) {
      const many = Math.min(left, BATCH_TRIPLES);
      const first = this.#k.exports.next_pid(1);
      if (first + many >= PID_MAX) {
        sum = (sum + this.#m.triple()) | 0;
        left -= 1;
        continue;
      }
      const u32 = this.#k.u32;
      for (let i = 0; i < many; ++i) {
        u32[words[i * 3]! + (L.rax >>> 2)] = OP.OP_FORK;
        u32[words[i * 3 + 1]! + (L.tid >>> 2)] = first + i;
        u32[words[i * 3 + 2]! + (L.rax >>> 2)] = OP.OP_WAIT4;
        u32[words[i * 3 + 2]! + (L.rdi >>> 2)] = first + i;
      }
      const done = this.#run(many * 3);
      for (let i = 0; i < many; ++i) sum = (sum + done[words[i * 3 + 2]! + (L.rax >>> 2)]!) | 0;
      left -= many;
    }
    return sum;
  }

  /** Runs the triples laid out, and puts the new children where the old ones were. */
  #replace(places: Int32Array, many: number, pids: Int32Array): number {
    const done = this.#run(many * 3);
    let sum = 0;
    for (let i = 0; i < many; ++i) {
      sum = (sum + done[this.#words[i * 3 + 1]! + (L.rax >>> 2)]!) | 0;
      pids[places[i]!] = done[this.#words[i * 3 + 2]! + (L.rax >>> 2)]!;
    }
    return sum;
  }

  live(n: number, pids: Int32Array, random: Random): number {
    const words = this.#words;
    for (let i = 0; i < BATCH_TRIPLES; ++i) {
      this.#lay(i * 3, OP.OP_EXIT_GROUP, 1, 7, 0);
      this.#lay(i * 3 + 1, OP.OP_WAIT4, 1, 0, WNOHANG);
      this.#lay(i * 3 + 2, OP.OP_FORK, 1, 0, 0);
    }
    const places = new Int32Array(BATCH_TRIPLES);
    let many = 0;
    let sum = 0;
    for (let i = 0; i < n; ++i) {
      const at = random.next() % pids.length;
      // whom this batch replaces has no number yet
      if (many === BATCH_TRIPLES || places.subarray(0, many).includes(at)) {
        sum = (sum + this.#replace(places, many, pids)) | 0;
        many = 0;
      }
      const u32 = this.#k.u32;
      const pid = pids[at]!;
      u32[words[many * 3]! + (L.tid >>> 2)] = pid;
      u32[words[many * 3 + 1]! + (L.rax >>> 2)] = OP.OP_WAIT4;
      u32[words[many * 3 + 1]! + (L.rdi >>> 2)] = pid;
      u32[words[many * 3 + 2]! + (L.rax >>> 2)] = OP.OP_FORK;
      places[many++] = at;
    }
    return (sum + this.#replace(places, many, pids)) | 0;
  }
}

/** A kernel without limits in a benchmark's way. */
export function benchKernel(): Promise<Kernel> {
  const many = 0x7fffffff;
  const boot = {
    events: 0,
    pidMax: PID_MAX,
    nofile: 4096,
    containerDepthMax: many,
    containersMax: many,
    containersPerUser: many,
  };
  return createKernel({ boot });
}

export class KernelMachine implements Machine {
  readonly kernel: Kernel;
  readonly #fork: Prepared;
  readonly #thread: Prepared;
  readonly #newpid: Prepared;
  readonly #end: Prepared;
  readonly #endThread: Prepared;
  readonly #wait: Prepared;
  readonly #create: Prepared;
  readonly #close: Prepared;
  readonly #enter: Prepared;
  readonly #action: Prepared;
  readonly #kill: Prepared;
  readonly #return: Prepared;
  readonly #getppid: Prepared;
  batch?: Batch;

  constructor(kernel: Kernel, batches = false) {
    this.kernel = kernel;
    const k = kernel;
    const action = new Uint8Array(32);
    new DataView(action.buffer).setUint32(0, HANDLER, true);
    this.#fork = new Prepared(k, OP.OP_FORK);
    this.#thread = new Prepared(k, OP.OP_CLONE);
    this.#newpid = new Prepared(k, OP.OP_CLONE);
    this.#end = new Prepared(k, OP.OP_EXIT_GROUP);
    this.#endThread = new Prepared(k, OP.OP_EXIT);
    this.#wait = new Prepared(k, OP.OP_WAIT4, 0, 0, WNOHANG, 0);
    this.#create = new Prepared(k, OP.OP_CONTAINER_CREATE).window(NAME_AT, BENCH);
    this.#close = new Prepared(k, OP.OP_CLOSE);
    this.#enter = new Prepared(k, OP.OP_FORK_INTO_CONTAINER);
    this.#action = new Prepared(k, OP.OP_RT_SIGACTION, 0, ACTION_AT, 0, 8);
    this.#action.window(ACTION_AT, action);
    this.#kill = new Prepared(k, OP.OP_KILL, 0, SIGUSR1);
    this.#return = new Prepared(k, OP.OP_RT_SIGRETURN);
    this.#getppid = new Prepared(k, OP.OP_GETPPID);
    if (batches) this.batch = new KernelBatch(k, this);
  }

  static async create(batches = false): Promise<KernelMachine> {
    return new KernelMachine(await benchKernel(), batches);
  }

  fork(tid: number): number {
    return this.#fork.call(tid, 0);
  }
  thread(tid: number): number {
    return this.#thread.call(tid, THREAD_FLAGS);
  }
  newpid(tid: number): number {
    return this.#newpid.call(tid, C.CLONE_NEWPID | SIGCHLD);
  }
  end(tid: number, code: number): void {
    this.#end.call(tid, code);
  }
  endThread(tid: number): void {
    this.#endThread.call(tid, 0);
  }
  wait(tid: number, pid: number): number {
    return this.#wait.call(tid, pid);
  }
  create(tid: number): number {
    return this.#create.call(tid, NAME_AT);
  }
  close(tid: number, fd: number): void {
    this.#close.call(tid, fd);
  }
  enter(tid: number, fd: number): number {
    return this.#enter.call(tid, fd);
  }
  handle(tid: number): void {
    this.#action.call(tid, SIGUSR1);
  }
  kill(tid: number, pid: number): number {
    return this.#kill.call(tid, pid);
  }
  deliver(tid: number): number {
    return this.kernel.exports.exit_to_user(tid, 0, 0);
  }
  sigreturn(tid: number): void {
    this.#return.call(tid, 0);
  }
  getppid(tid: number): number {
    return this.#getppid.call(tid, 0);
  }
  runPending(max: number): number {
    return this.kernel.runPending(max);
  }
  used(): number {
    return this.kernel.exports.high_water() >>> 0;
  }
  audit(): (text: boolean) => number {
    enableAudit(this.kernel, { ringShift: RING_SHIFT });
    addAuditRule(this.kernel, {});
    const format = new AuditFormatter();
    return (text) => {
      let records = 0;
      for (const event of drainAudit(this.kernel)) {
        records += text ? format.lines(event).length : event.records.length;
      }
      return records;
    };
  }
  snapshot(): Uint8Array {
    return this.kernel.snapshot();
  }
  restore(snapshot: Uint8Array): void {
    this.kernel.restore(snapshot);
  }
  triple(): number {
    const child = this.fork(1);
    this.end(child, 7);
    return this.wait(1, child);
  }

  checksum(sum: number): number {
    return new KernelReader(this.kernel).checksum(sum);
  }
}

const BENCH = new TextEncoder().encode('bench\0');

/** Reads what the checksum is over straight from the kernel's memory. */
class KernelReader {
  readonly #k: Kernel;

  constructor(k: Kernel) {
    k.refresh();
    this.#k = k;
  }

  #word(at: number): number {
    return this.#k.u32[at >>> 2]!;
  }
  #pair(at: number): [number, number] {
    return [this.#word(at), this.#word(at + 4)];
  }
  /** Number of a struct pid at each level. */
  #numbers(pid: number): number[] {
    const level = this.#word(pid + layout.pid.level);
    const first = pid + layout.pid.size;
    return Array.from({ length: level + 1 }, (_, i) => this.#word(first + i * 8));
  }
  #number(pid: number): number {
    return pid ? this.#word(pid + layout.pid.size) : 0;
  }
  #open(files: number): number {
    const F = layout.files_struct;
    const fds = this.#word(files + F.fds);
    let n = 0;
    for (let fd = this.#word(files + F.max_fds) - 1; fd >= 0; --fd) {
      if (this.#word(fds + fd * 4)) n += 1;
    }
    return n;
  }

  #task(p: number): Observed {
    const T = layout.task_struct;
    const K = layout.task_cold;
    const S = layout.signal_struct;
    const R = layout.cred;
    const k = this.#k.exports.cold_ptr(p) >>> 0;
    const s = this.#word(p + T.signal);
    const cred = this.#word(p + T.cred);
    const state = this.#word(p + T.state);
    const zombie = state === 16;
    const parent = this.#word(this.#word(p + T.real_parent) + T.signal);
    const home = this.#word(this.#word(s + S.leader) + T.container);
    const actions = this.#word(k + K.sighand) + layout.sighand_struct.size;
    const limits = this.#word(s + S.rlim) + layout.rlimit_table.size;
    return {
      tgid: this.#number(this.#word(s + S.tgid_pid)),
      ppid: this.#number(this.#word(parent + S.tgid_pid)),
      numbers: this.#numbers(this.#word(p + T.thread_pid)),
      state,
      status: zombie ? this.#word(s + S.group_exit_code) : 0,
      exitSignal: this.#word(k + K.exit_signal),
      pending: this.#pair(p + T.pending),
      shared: this.#pair(s + S.shared_pending),
      blocked: this.#pair(k + K.blocked),
      threads: this.#word(s + S.nr_threads),
      pgid: this.#number(this.#word(s + S.pgrp)),
      sid: this.#number(this.#word(s + S.session)),
      uid: this.#word(cred + R.uid),
      euid: this.#word(cred + R.euid),
      gid: this.#word(cred + R.gid),
      caps: this.#pair(cred + R.cap_effective),
      container: home ? this.#word(home + layout.container.id) : 0,
      comm: this.#pair(k + K.comm0),
      umask: zombie ? 0 : this.#word(this.#word(k + K.fs) + layout.fs_struct.umask),
      open: zombie ? 0 : this.#open(this.#word(k + K.files)),
      nofile: this.#word(limits + 7 * 16),
      handler: this.#word(actions + (SIGUSR1 - 1) * layout.k_sigaction.size),
    };
  }

  #container(at: number, hash: Hash): void {
    const C = layout.container;
    const init = this.#word(at + C.init);
    hash.container({
      id: this.#word(at + C.id),
      flags: this.#word(at + C.flags),
      exitCode: this.#word(at + C.exit_code),
      depth: this.#word(at + C.depth),
      members: this.#word(at + C.nr_members),
      files: this.#word(at + C.nr_files),
      init: init ? this.#number(this.#word(init + layout.signal_struct.tgid_pid)) : 0,
      initPid: this.#number(this.#word(at + C.init_pid)),
      openerEuid: this.#word(at + C.opener_euid),
      name: this.#pair(at + C.name0),
    });
  }

  /** In preorder, .init first. */
  #containers(hash: Hash): void {
    const C = layout.container;
    const top = this.#word(this.#k.exports.root_ptr() + layout.kernel_root.init_container);
    for (let at = top; ;) {
      this.#container(at, hash);
      let next = this.#word(at + C.children_next);
      while (next === at + C.children_next) {
        if (at === top) return;
        next = this.#word(at + C.child_next);
        at = this.#word(at + C.parent);
      }
      at = next - C.child_next;
    }
  }

  checksum(sum: number): number {
    const hash = new Hash();
    const { exports } = this.#k;
    for (let nr = 1; nr < PID_MAX; ++nr) {
      const at = exports.task_ptr(nr) >>> 0;
      if (at) hash.task(nr, this.#task(at));
    }
    this.#containers(hash);
    const root = exports.root_ptr() >>> 0;
    const R = layout.kernel_root;
    const ucounts = this.#word(this.#word(root + R.init_cred) + layout.cred.ucounts);
    return hash.end([
      this.#word(root + R.nr_processes),
      this.#word(root + R.nr_threads),
      this.#word(root + R.nr_containers),
      this.#word(this.#word(root + R.init_pid_ns) + layout.pid_namespace.last),
      this.#word(ucounts + layout.ucounts.processes),
      sum,
    ]);
  }
}
