// What a benchmark drives: the calls of a machine, whatever it is made of, and the checksum by
// which machines prove that they did the same work (bench/DEFINITION.md).

/** Calls are made by task `tid`, a number of the initial namespace. */
export interface Machine {
  fork(tid: number): number;
  /** a thread of the same group */
  thread(tid: number): number;
  /** a child in a pid namespace below */
  newpid(tid: number): number;
  /** exit_group(2) */
  end(tid: number, code: number): void;
  /** exit(2) of one thread */
  endThread(tid: number): void;
  /** wait4(2) for one child, not sleeping; both numbers are the caller's namespace's */
  wait(tid: number, pid: number): number;
  /** container_create; a descriptor */
  create(tid: number): number;
  close(tid: number, fd: number): void;
  /** fork_into_container */
  enter(tid: number, fd: number): number;
  /** sets a handler for SIGUSR1 */
  handle(tid: number): void;
  /** SIGUSR1 */
  kill(tid: number, pid: number): number;
  /** the return to user mode: takes the signal, enters its handler */
  deliver(tid: number): number;
  sigreturn(tid: number): void;
  getppid(tid: number): number;
  /** tasks that are marked die, in order of marking */
  runPending(max: number): number;
  checksum(sum: number): number;
  /** bytes of its own memory in use, where it has such */
  used?(): number;
  /** loops that make many calls at a time, where it has such */
  batch?: Batch;
  /** logs every call from now on; the answer takes the log's records, as text where wanted */
  audit?(): (text: boolean) => number;
  snapshot?(): Uint8Array;
  restore?(snapshot: Uint8Array): void;
}

export interface Batch {
  getppids(n: number): number;
  triples(n: number): number;
  /** `n` times: a random one of `pids` ends, is waited for, and is replaced */
  live(n: number, pids: Int32Array, random: Random): number;
}

/** Marsaglia's xorshift with 32 bits: the same numbers in every language. */
export class Random {
  #seed = 2463534242;

  next(): number {
    let x = this.#seed;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    this.#seed = x;
    return x >>> 0;
  }
}

/** What a live thread shows of itself. */
export interface Observed {
  tgid: number;
  ppid: number;
  /** in each namespace, the initial one first */
  numbers: ArrayLike<number>;
  state: number;
  status: number;
  exitSignal: number;
  /** three sets of signals, each a low and a high word */
  pending: [number, number];
  shared: [number, number];
  blocked: [number, number];
  threads: number;
  pgid: number;
  sid: number;
  uid: number;
  euid: number;
  gid: number;
  caps: [number, number];
  container: number;
  comm: [number, number];
  umask: number;
  open: number;
  nofile: number;
  handler: number;
}

export interface ObservedContainer {
  id: number;
  flags: number;
  exitCode: number;
  depth: number;
  members: number;
  files: number;
  init: number;
  initPid: number;
  openerEuid: number;
  name: [number, number];
}

export const ZOMBIE = 16;
/** "init" and "bench\0": names of the first task and of every container */
export const COMM_INIT = 0x74696e69;
export const NAME_INIT: [number, number] = [0x696e692e, 0x74];
export const NAME_BENCH: [number, number] = [0x636e6562, 0x68];
export const CAPS_FULL: [number, number] = [0xffffffff, 0x1ff];
export const HANDLER = 0x4000;
export const SIGKILL_BIT = 256;
export const SIGUSR1_BIT = 512;
export const INIT_STARTED = 1;
export const DEAD = 2;
export const PID_MAX = 4194304;
export const RESERVED_PIDS = 300;
export const NOFILE = 4096;

/** A checksum over words, in order. */
export class Hash {
  value = 0x811c9dc5;

  mix(word: number): void {
    const h = Math.imul(this.value ^ word, 0x9e3779b1);
    this.value = h ^ (h >>> 15);
  }

  mix64(words: [number, number]): void {
    this.mix(words[0]);
    this.mix(words[1]);
  }

  task(nr: number, t: Observed): void {
    this.mix(nr);
    this.mix(t.tgid);
    this.mix(t.ppid);
    this.mix(t.numbers.length - 1);
    for (let i = 0; i < t.numbers.length; ++i) this.mix(t.numbers[i]!);
    this.mix(t.state);
    this.mix(t.status);
    this.mix(t.exitSignal);
    this.mix64(t.pending);
    this.mix64(t.shared);
    this.mix64(t.blocked);
    this.mix(t.threads);
    this.mix(t.pgid);
    this.mix(t.sid);
    this.mix(t.uid);
    this.mix(t.euid);
    this.mix(t.gid);
    this.mix64(t.caps);
    this.mix(t.container);
    this.mix64(t.comm);
    this.mix(t.umask);
    this.mix(t.open);
    this.mix(t.nofile);
    this.mix(t.handler);
  }

  container(c: ObservedContainer): void {
    this.mix(c.id);
    this.mix(c.flags);
    this.mix(c.exitCode);
    this.mix(c.depth);
    this.mix(c.members);
    this.mix(c.files);
    this.mix(c.init);
    this.mix(c.initPid);
    this.mix(c.openerEuid);
    this.mix64(c.name);
  }

  /** Counts of the whole machine, and what the calls answered. */
  end(words: readonly number[]): number {
    for (const word of words) this.mix(word);
    return this.value >>> 0;
  }
}
