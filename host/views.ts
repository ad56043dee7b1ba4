// Typed readers over the kernel's memory, by the generated layout: what a debugger, a test or a
// summary wants to know. They only read.
import { countObjects, type Counts } from './counts.ts';
import { layout as L } from './generated/layout.ts';
import { type FileKind, kindOf } from './file-views.ts';
import { SIGRTMAX } from '../assembly/uapi/signal.ts';
import type { Kernel } from './kernel.ts';

/** The capability sets of a task. */
export interface CapsView {
  inheritable: bigint;
  permitted: bigint;
  effective: bigint;
  bounding: bigint;
  ambient: bigint;
}

/** A thread. Numbers are those of the initial pid namespace unless said otherwise. */
export interface TaskView {
  tid: number;
  tgid: number;
  /** number in the task's own pid namespace */
  nspid: number;
  /** 0 when the parent is the idle task */
  ppid: number;
  pgid: number;
  sid: number;
  /** as in /proc/PID/stat: running, sleeping, stopped, zombie */
  state: 'R' | 'S' | 'T' | 'Z';
  container: string;
  containerId: number;
  uid: number;
  gid: number;
  euid: number;
  /** depth of its user namespace */
  userNsLevel: number;
  caps: CapsView;
  comm: string;
  /** wait status, once dead */
  exitCode: number;
  blocked: bigint;
  /** thread-directed and group signals that are pending */
  pending: bigint;
  nsLevel: number;
  traced: boolean;
  threads: number;
}

export interface ContainerView {
  id: number;
  name: string;
  nameBytes: Uint8Array;
  usage: number;
  /** 1 started, 2 dead, 4 kill on close */
  flags: number;
  members: number;
  children: number;
  parentId: number;
  parent: string;
  exitCode: number;
  depth: number;
}

export interface FdView {
  fd: number;
  open: true;
  cloexec: boolean;
  /** as readlink of /proc/PID/fd/N shows it */
  link: string;
  kind: FileKind;
}

/** Names of the types of namespace in nsfs, by CLONE_NEW* flag. */
const NS_NAMES: Readonly<Record<number, string>> = {
  0x80: 'time',
  0x20000: 'mnt',
  0x2000000: 'cgroup',
  0x4000000: 'uts',
  0x8000000: 'ipc',
  0x10000000: 'user',
  0x20000000: 'pid',
  0x40000000: 'net',
};
const nsLink = (type: number, inum: number): string => `${NS_NAMES[type]}:[${inum}]`;
const TEXTS: Readonly<Record<number, string>> = {
  10: 'containers',
  11: 'container',
  12: 'status',
  13: 'stat',
  14: 'comm',
};

const STATE_STOPPED = 4;
const STATE_SLEEP = 1 | 2;
const STATE_DYING = 8 | 16;
const FLAG_TRACED = 4;
const FLAG_WOKEN = 8;
const UPIDS = 40;
const FDS_END = 1;
/** Where the parts of a task's chunk begin (assembly/process/task.ts). */
const COLD_PART = 0x10040;
const RARE_PART = 0x20080;

export class Views {
  readonly #k: Kernel;

  constructor(kernel: Kernel) {
    this.#k = kernel;
  }

  /** The u32 at an address. */
  byte(at: number): number {
    return this.#k.u8[at]!;
  }

  word(at: number): number {
    return this.#k.u32[at >>> 2]!;
  }

  /** The u64 at an address. */
  wide(at: number): bigint {
    return (BigInt(this.word(at + 4)) << 32n) | BigInt(this.word(at));
  }

  root(field: keyof typeof L.kernel_root): number {
    return this.word(this.#k.exports.root_ptr() + L.kernel_root[field]);
  }

  /** Address of a field of the root. */
  rootAt(field: keyof typeof L.kernel_root): number {
    return this.#k.exports.root_ptr() + L.kernel_root[field];
  }

  cold(task: number): number {
    return task + COLD_PART;
  }

  /** Struct pids that are in use in the pid namespace at `ns`, in order of number. */
  *pids(ns: number): Generator<number> {
    const table = this.word(ns + L.pid_namespace.table);
    const leaves = this.word(ns + L.pid_namespace.nr_leaves);
    for (let i = 0; i < leaves; ++i) {
      const leaf = this.word(table + i * 8);
      if (!leaf || !this.word(table + i * 8 + 4)) continue;
      for (let j = 0; j < 256; ++j) {
        const pid = this.word(leaf + j * 4);
        if (pid) yield pid;
      }
    }
  }

  /** Addresses of all threads. */
  *taskAddresses(): Generator<number> {
    this.#k.refresh();
    for (const pid of this.pids(this.root('init_pid_ns'))) {
      const task = this.word(pid + L.pid.task);
      if (task) yield task;
    }
  }

  #nr(pid: number, level = 0): number {
    return pid ? this.word(pid + UPIDS + level * 8) : 0;
  }

  /** As latin1; without an array for a few bytes. */
  #latin1(at: number, max: number): string {
    const { u8 } = this.#k;
    let text = '';
    for (let i = at; i < at + max && u8[i] !== 0; ++i) text += String.fromCharCode(u8[i]!);
    return text;
  }

  #text(at: number, max: number): Uint8Array {
    const bytes = this.#k.u8.slice(at, at + max);
    const end = bytes.indexOf(0);
    return end < 0 ? bytes : bytes.subarray(0, end);
  }

  #state(task: number): TaskView['state'] {
    const state = this.word(task + L.task_struct.state);
    if (state & STATE_DYING) return 'Z';
    if (state & STATE_STOPPED) return 'T';
    return state & STATE_SLEEP ? 'S' : 'R';
  }

  task(tid: number): TaskView | undefined {
    this.#k.refresh();
    const at = this.#k.exports.task_ptr(tid) >>> 0;
    return at ? this.taskAt(at) : undefined;
  }

  /** Of {@link task} the state alone. */
  state(tid: number): TaskView['state'] | undefined {
    this.#k.refresh();
    const at = this.#k.exports.task_ptr(tid) >>> 0;
    return at ? this.#state(at) : undefined;
  }

  /** Does signal `signo` wait for `tid` or its group, and does the mask let it through? */
  deliverable(tid: number, signo: number): boolean {
    this.#k.refresh();
    const at = this.#k.exports.task_ptr(tid) >>> 0;
    if (!at) return false;
    const half = (signo - 1) & 32 ? 4 : 0;
    const signal = this.word(at + L.task_struct.signal);
    const own = this.word(at + L.task_struct.pending + half);
    const shared = this.word(signal + L.signal_struct.shared_pending + half);
    const blocked = this.word(this.cold(at) + L.task_cold.blocked + half);
    return ((own | shared) & ~blocked & (1 << ((signo - 1) & 31))) !== 0;
  }

  taskAt(at: number): TaskView {
    const T = L.task_struct;
    const cold = this.cold(at);
    const signal = this.word(at + T.signal);
    const pid = this.word(at + T.thread_pid);
    const level = this.word(pid + L.pid.level);
    const parent = this.word(at + T.real_parent);
    const container = this.word(at + T.container);
    const cred = this.word(at + T.cred);
    const status = this.word(signal + L.signal_struct.flags) & 1;
    const exit = status
      ? this.word(signal + L.signal_struct.group_exit_code)
      : this.word(cold + L.task_cold.exit_code);
    return {
      tid: this.word(at + T.pid),
      tgid: this.#tgid(at),
      nspid: this.#nr(pid, level),
      ppid: this.#tgid(parent),
      pgid: this.#nr(this.word(signal + L.signal_struct.pgrp)),
      sid: this.#nr(this.word(signal + L.signal_struct.session)),
      state: this.#state(at),
      container: container ? this.#name(container) : '',
      containerId: container ? this.#id(container) : 0,
      uid: this.word(cred + L.cred.uid),
      gid: this.word(cred + L.cred.gid),
      euid: this.word(cred + L.cred.euid),
      userNsLevel: this.word(this.word(cred + L.cred.user_ns) + L.ns_common.level),
      caps: {
        inheritable: this.wide(cred + L.cred.cap_inheritable),
        permitted: this.wide(cred + L.cred.cap_permitted),
        effective: this.wide(cred + L.cred.cap_effective),
        bounding: this.wide(cred + L.cred.cap_bset),
        ambient: this.wide(cred + L.cred.cap_ambient),
      },
      comm: this.#latin1(cold + L.task_cold.comm0, 16),
      exitCode: exit,
      blocked: this.wide(cold + L.task_cold.blocked),
      pending: this.wide(at + T.pending) | this.wide(signal + L.signal_struct.shared_pending),
      nsLevel: level,
      traced: (this.word(at + T.flags) & FLAG_TRACED) !== 0,
      threads: this.word(signal + L.signal_struct.nr_threads),
    };
  }

  tasks(): TaskView[] {
    return [...this.taskAddresses()].map((at) => this.taskAt(at));
  }

  /** Numbers of the threads of the group of `tid`. */
  threads(tid: number): number[] {
    const at = this.#k.exports.task_ptr(tid) >>> 0;
    if (!at) return [];
    const head = this.word(at + L.task_struct.signal) + L.signal_struct.threads_next;
    const tids: number[] = [];
    for (let link = this.word(head); link !== head; link = this.word(link)) {
      const cold = link - L.task_cold.thread_next;
      tids.push(this.word(this.hot(cold) + L.task_struct.pid));
    }
    return tids;
  }

  /** si_pid of the first queued signal `signo` of the group of `tid`. */
  queuedSender(tid: number, signo: number): number {
    const at = this.#k.exports.task_ptr(tid) >>> 0;
    if (!at) return 0;
    const head = this.word(at + L.task_struct.signal) + L.signal_struct.queue_next;
    for (let link = this.word(head); link !== head; link = this.word(link)) {
      if (this.word(link + L.sigqueue.signo) === signo) return this.word(link + L.sigqueue.pid);
    }
    return 0;
  }

  hot(cold: number): number {
    return cold - COLD_PART;
  }

  rare(task: number): number {
    return task + (task & 0xffff) + RARE_PART;
  }

  #hotOfRare(rare: number): number {
    const chunk = (rare & ~0x3ffff) >>> 0;
    return chunk + (rare - chunk - RARE_PART) / 2;
  }

  /** Number of the group of the task at `at`; 0 for the idle task. */
  #tgid(at: number): number {
    return this.#nr(this.word(this.word(at + L.task_struct.signal) + L.signal_struct.tgid_pid));
  }

  isWoken(tid: number): boolean {
    const at = this.#k.exports.task_ptr(tid) >>> 0;
    return at !== 0 && (this.word(at + L.task_struct.flags) & FLAG_WOKEN) !== 0;
  }

  isBlocked(tid: number): boolean {
    const at = this.#k.exports.task_ptr(tid) >>> 0;
    return at !== 0 && (this.word(at + L.task_struct.state) & STATE_SLEEP) !== 0;
  }

  woken(): number[] {
    const head = this.#k.exports.root_ptr() + L.kernel_root.woken_next;
    const tids: number[] = [];
    for (let link = this.word(head); link !== head; link = this.word(link)) {
      tids.push(this.word(this.#hotOfRare(link - L.task_rare.woken_next) + L.task_struct.pid));
    }
    return tids;
  }

  /** Frames that sleeping or woken tasks own: [tid, address]. */
  *keptFrames(): Generator<[number, number]> {
    for (const at of this.taskAddresses()) {
      const asleep = this.word(at + L.task_struct.state) & STATE_SLEEP;
      if (!asleep && !(this.word(at + L.task_struct.flags) & FLAG_WOKEN)) continue;
      const frame = this.word(this.rare(at) + L.task_rare.frame);
      if (frame) yield [this.word(at + L.task_struct.pid), frame];
    }
  }

  #id(container: number): number {
    return Number(this.wide(container + L.container.id));
  }

  #name(container: number): string {
    const at = container + L.container.name0;
    const text = this.#latin1(at, 24);
    return ASCII.test(text) ? text : utf8.decode(this.#text(at, 24));
  }

  /** Addresses of all containers, parents before their children. */
  *containerAddresses(): Generator<number> {
    this.#k.refresh();
    const stack = [this.root('init_container')];
    for (let at = stack.pop(); at !== undefined; at = stack.pop()) {
      yield at;
      const children = [...this.#childContainers(at)];
      stack.push(...children.reverse());
    }
  }

  *#childContainers(at: number): Generator<number> {
    const head = at + L.container.children_next;
    for (let link = this.word(head); link !== head; link = this.word(link)) {
      yield link - L.container.child_next;
    }
  }

  containers(): ContainerView[] {
    return [...this.containerAddresses()].map((at) => this.#container(at));
  }

  #container(at: number): ContainerView {
    const C = L.container;
    const parent = this.word(at + C.parent);
    return {
      id: this.#id(at),
      name: this.#name(at),
      nameBytes: this.#text(at + C.name0, 24),
      usage: this.word(at + C.usage) | 0,
      flags: this.word(at + C.flags),
      members: this.word(at + C.nr_members),
      children: [...this.#childContainers(at)].length,
      parentId: parent ? this.#id(parent) : 0,
      parent: parent ? this.#name(parent) : '',
      exitCode: this.word(at + C.exit_code) | 0,
      depth: this.word(at + C.depth),
    };
  }

  #files(tid: number): number {
    this.#k.refresh();
    const task = this.#k.exports.task_ptr(tid) >>> 0;
    return task ? this.word(this.cold(task) + L.task_cold.files) : 0;
  }

  /** Do other tasks see what happens to this one's descriptors? */
  sharesFiles(tid: number): boolean {
    const files = this.#files(tid);
    const F = L.files_struct;
    return files !== 0 && this.word(files + F.shared) !== 0 && this.word(files + F.count) > 1;
  }

  /** What a signal does to a task, as rt_sigaction(2) tells it on x86-64; zeros where unknown. */
  action(tid: number, signo: number): Uint8Array {
    this.#k.refresh();
    const task = this.#k.exports.task_ptr(tid) >>> 0;
    const size = L.k_sigaction.size;
    const bytes = new Uint8Array(size);
    const table = task ? this.word(this.cold(task) + L.task_cold.sighand) : 0;
    if (!table || signo < 1 || signo > SIGRTMAX) return bytes;
    const at = table + L.sighand_struct.size + (signo - 1) * size;
    return this.#k.u8.slice(at, at + size);
  }

  fds(tid: number): FdView[] {
    const files = this.#files(tid);
    if (!files) return [];
    const slots = this.word(files + L.files_struct.fds);
    const max = this.word(files + L.files_struct.max_fds);
    const fds: FdView[] = [];
    for (let fd = 0; fd < max; ++fd) {
      const slot = this.word(slots + fd * 4);
      if (!slot) continue;
      const file = slot & ~FDS_END;
      const kind = kindOf(this.word(file + L.file.kind));
      fds.push({ fd, open: true, cloexec: (slot & 1) !== 0, link: this.#link(file, kind), kind });
    }
    return fds;
  }

  #link(file: number, kind: FdView['kind']): string {
    const data = this.word(file + L.file.private_data);
    switch (kind) {
      case 'null':
        return '/dev/null';
      case 'pipe':
        return `pipe:[${this.word(data + L.pipe_inode_info.inum)}]`;
      case 'container':
        return `container:[${this.#id(data)}]`;
      case 'supervisor':
        return 'anon_inode:[container-supervisor]';
      case 'pidfd':
        return 'anon_inode:[pidfd]';
      case 'text':
        return this.#textPath(data);
      case 'nsfs':
        return nsLink(this.word(data + L.ns_common.type), this.word(data + L.ns_common.inum));
      case 'epoll':
        return 'anon_inode:[eventpoll]';
      case 'inotify':
        return 'anon_inode:inotify';
      case 'eventfd':
      case 'timerfd':
      case 'signalfd':
        return `anon_inode:[${kind}]`;
      case 'socket':
        return 'socket:[?]';
      default:
        return '?';
    }
  }

  /** Where a text of /proc was opened. */
  #textPath(at: number): string {
    const what = this.word(at + L.proc_text_file.what);
    const number = this.#nr(this.word(at + L.proc_text_file.pid));
    const name = TEXTS[what] ?? '?';
    return number ? `/proc/${number}/${name}` : `/proc/${name}`;
  }

  counts(): Counts {
    this.#k.refresh();
    return countObjects(this);
  }
}

const utf8 = new TextDecoder();
const ASCII = /^[\0-\x7f]*$/;
