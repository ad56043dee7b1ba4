// The benchmarks themselves, as bench/DEFINITION.md has them; bench/native/benches.h is the same
// in C. A process runs one of them on one machine.
import { type Machine, Random } from './machine.ts';

export type Kind =
  | 'trap'
  | 'fork'
  | 'thread'
  | 'kill'
  | 'cascade'
  | 'container'
  | 'enter'
  | 'signal'
  | 'pidns'
  | 'full'
  | 'snapshot'
  | 'audit';

/** What is to be run: a kind, its two numbers, how many samples after the one that warms up. */
export interface Task {
  kind: Kind;
  a: number;
  b: number;
  shuffled: boolean;
  samples: number;
}

export interface Outcome {
  checksum: string;
  /** nanoseconds for one operation, by row; '' is the benchmark's own */
  rows: Record<string, number[]>;
  /** bytes of memory that the machine uses for what the benchmark made; resident bytes */
  bytes?: number | undefined;
  rss?: number | undefined;
}

/** Passes that are not kept: compilers and caches need them. */
const WARM_UP = 20;
/** Kinds whose passes make and unmake whole machines: one is enough. */
const LONG: readonly Kind[] = ['kill', 'cascade', 'full', 'snapshot'];

/** Rows of `audit`: records taken as they are, and as an audit log's lines. */
const LOGS: readonly [row: string, text: boolean][] = [
  ['', false],
  ['text', true],
];
/** Triples from one look into the log to the next. */
const DRAIN_EVERY = 256;

const now = (): number => performance.now() * 1e6;

/** Runs one benchmark; every method is one of its loops. */
class Run {
  readonly m: Machine;
  readonly random = new Random();
  readonly rows: Record<string, number[]> = {};
  pids = new Int32Array(0);
  sum = 0;
  warmUp = 1;
  bytes: number | undefined;
  rss: number | undefined;
  log: ((text: boolean) => number) | undefined;

  constructor(m: Machine) {
    this.m = m;
  }

  add(value: number): void {
    this.sum = (this.sum + value) | 0;
  }
  /** Of the pass that warms up, nothing is kept. */
  sample(row: string, ns: number, pass: number): void {
    if (pass > 0) (this.rows[row] ??= []).push(ns);
  }

  traps(n: number): void {
    const { m } = this;
    if (m.batch) return this.add(m.batch.getppids(n));
    let sum = 0;
    for (let i = 0; i < n; ++i) sum += m.getppid(1);
    this.add(sum);
  }

  triples(n: number): void {
    const { m } = this;
    if (m.batch) return this.add(m.batch.triples(n));
    let sum = 0;
    for (let i = 0; i < n; ++i) {
      const child = m.fork(1);
      m.end(child, 7);
      sum = (sum + m.wait(1, child)) | 0;
    }
    this.add(sum);
  }

  live(n: number): void {
    const { m, pids, random } = this;
    if (m.batch) return this.add(m.batch.live(n, pids, random));
    let sum = 0;
    for (let i = 0; i < n; ++i) {
      const at = random.next() % pids.length;
      const pid = pids[at]!;
      m.end(pid, 7);
      sum = (sum + m.wait(1, pid)) | 0;
      pids[at] = m.fork(1);
    }
    this.add(sum);
  }

  threads(n: number): void {
    const { m } = this;
    for (let i = 0; i < n; ++i) {
      const thread = m.thread(1);
      this.add(thread);
      m.endThread(thread);
    }
  }

  /** Leaves the free memory of `n` tasks in no order. */
  shuffle(n: number): void {
    const { m, pids, random } = this;
    for (let i = 0; i < n; ++i) pids[i] = m.fork(1);
    for (let i = n - 1; i > 0; --i) {
      const at = random.next() % (i + 1);
      const other = pids[at]!;
      pids[at] = pids[i]!;
      pids[i] = other;
    }
    this.reapAll(n);
  }

  reapAll(n: number): void {
    const { m, pids } = this;
    for (let i = 0; i < n; ++i) {
      m.end(pids[i]!, 0);
      this.add(m.wait(1, pids[i]!));
    }
  }

  /** `total` members in containers of `members` each: killed, dead, reaped. */
  kill(members: number, total: number, shuffled: boolean, pass: number): void {
    const { m, pids } = this;
    const groups = Math.floor(total / members);
    let n = 0;
    if (shuffled) this.shuffle(total + groups);
    for (let g = 0; g < groups; ++g) {
      const fd = m.create(1);
      for (let i = 0; i <= members; ++i) pids[n++] = m.enter(1, fd);
      m.close(1, fd);
    }
    const t0 = now();
    for (let g = 0; g < groups; ++g) m.end(pids[g * (members + 1)]!, 0);
    const t1 = now();
    this.add(m.runPending(0x7fffffff));
    const t2 = now();
    for (let i = 0; i < n; ++i) this.add(m.wait(1, pids[i]!));
    const t3 = now();
    this.sample('', (t1 - t0) / (groups * members), pass);
    this.sample('die', (t2 - t1) / (groups * members), pass);
    this.sample('reap', (t3 - t2) / n, pass);
  }

  /** Chains of `depth` containers, each held by the one in it alone, go one after the other. */
  cascade(depth: number, total: number, pass: number): void {
    const { m, pids } = this;
    const chains = Math.floor(total / depth);
    for (let n = 0, task = 1; n < chains * depth; ++n) {
      if (n % depth === 0) task = 1;
      const fd = m.create(task);
      pids[n] = m.enter(task, fd);
      m.close(pids[n]!, fd);
      m.close(task, fd);
      task = pids[n]!;
    }
    let time = 0;
    for (let g = 0; g < chains; ++g) time += this.unchain(pids[g * depth]!, depth);
    this.sample('', time / (chains * depth), pass);
    for (let i = 0; i < chains * depth; ++i) this.add(m.wait(1, pids[i]!));
  }

  /** Ends one chain. Return: ns that the end of its last task took, which frees all of it. */
  unchain(first: number, depth: number): number {
    const { m } = this;
    if (depth > 1) {
      m.end(first, 0);
      this.add(m.runPending(depth - 2));
    }
    const t0 = now();
    if (depth > 1) this.add(m.runPending(1));
    else m.end(first, 0);
    return now() - t0;
  }

  containers(n: number): void {
    const { m } = this;
    for (let i = 0; i < n; ++i) {
      const fd = m.create(1);
      m.close(1, fd);
      this.add(fd);
    }
  }

  enters(n: number, fd: number): void {
    const { m } = this;
    for (let i = 0; i < n; ++i) {
      const child = m.enter(1, fd);
      m.end(child, 0);
      this.add(m.wait(1, child));
    }
  }

  signals(n: number, target: number): void {
    const { m } = this;
    for (let i = 0; i < n; ++i) {
      this.add(m.kill(1, target));
      this.add(m.deliver(target));
      m.sigreturn(target);
    }
  }

  /** `task` is the newest of all; its children get the numbers from `first` on. */
  nested(n: number, task: number, first: number): void {
    const { m } = this;
    for (let i = 0; i < n; ++i) {
      const child = m.fork(task);
      m.end(first + i, 7);
      this.add(m.wait(task, child));
    }
  }

  full(tasks: number, boxes: number, pass: number): void {
    const { m, pids } = this;
    const before = m.used?.() ?? 0;
    const t0 = now();
    for (let i = 0; i < boxes; ++i) {
      const fd = m.create(1);
      pids[i] = m.enter(1, fd);
      m.close(1, fd);
    }
    const t1 = now();
    for (let i = boxes; i < tasks; ++i) pids[i] = m.fork(1);
    const t2 = now();
    this.rss ??= process.memoryUsage.rss();
    if (m.used) this.bytes ??= m.used() - before;
    const t3 = now();
    this.reapAll(tasks);
    const t4 = now();
    this.sample('', (t1 - t0) / (boxes || 1), pass);
    this.sample('tasks', (t2 - t1) / (tasks - boxes || 1), pass);
    this.sample('end', (t4 - t3) / tasks, pass);
  }

  snapshot(tasks: number, pass: number): void {
    const { m, pids } = this;
    if (!m.snapshot || !m.restore || !m.used) throw new Error('this machine takes no snapshots');
    for (let i = 0; i < tasks; ++i) pids[i] = m.fork(1);
    const mega = m.used() / 1048576;
    const t0 = now();
    const taken = m.snapshot();
    const t1 = now();
    m.restore(taken);
    const t2 = now();
    this.sample('', (t1 - t0) / mega, pass);
    this.sample('restore', (t2 - t1) / mega, pass);
    this.reapAll(tasks);
  }

  /** Triples whose calls are all logged: what a record costs, the call that it is of included. */
  audit(n: number, pass: number): void {
    const { m } = this;
    if (!m.audit) throw new Error('this machine keeps no audit log');
    const take = (this.log ??= m.audit());
    for (const [row, text] of LOGS) {
      let records = 0;
      const t0 = now();
      for (let i = 1; i <= n; ++i) {
        this.triples(1);
        if (i % DRAIN_EVERY === 0 || i === n) records += take(text);
      }
      this.sample(row, (now() - t0) / records, pass);
    }
  }

  /** Makes what stays for all passes. Return: a descriptor or a task, by kind. */
  setup({ kind, a, b }: Task): number {
    const { m } = this;
    const many = kind === 'fork' || (kind === 'cascade' && b > 0);
    const room = kind === 'kill' ? b + Math.floor(b / a) : many ? b : a;
    this.pids = new Int32Array(room);
    if (kind === 'fork') for (let i = 0; i < b; ++i) this.pids[i] = m.fork(1);
    if (kind === 'enter') {
      const fd = m.create(1);
      m.enter(1, fd);
      return fd;
    }
    if (kind === 'signal') {
      const target = m.fork(1);
      m.handle(target);
      return target;
    }
    let task = 1;
    for (let i = 0; kind === 'pidns' && i < b; ++i) {
      m.newpid(task);
      task = 2 + i;
    }
    return task;
  }

  pass(task: Task, made: number, pass: number): void {
    const { kind, a, b } = task;
    if (kind === 'kill') return this.kill(a, b, task.shuffled, pass);
    if (kind === 'cascade') return this.cascade(a, b || a, pass);
    if (kind === 'full') return pass > 0 ? this.full(a, b, pass) : undefined;
    if (kind === 'snapshot') return this.snapshot(a, pass);
    if (kind === 'audit') return this.audit(a, pass);
    const t0 = now();
    if (kind === 'trap') this.traps(a);
    else if (kind === 'fork') b ? this.live(a) : this.triples(a);
    else if (kind === 'thread') this.threads(a);
    else if (kind === 'container') this.containers(a);
    else if (kind === 'enter') this.enters(a, made);
    else if (kind === 'signal') this.signals(a, made);
    else this.nested(a, made, 2 + b + (pass + this.warmUp - 1) * a);
    this.sample('', (now() - t0) / a, pass);
  }
}

export function runBench(m: Machine, task: Task): Outcome {
  const run = new Run(m);
  const made = run.setup(task);
  run.warmUp = LONG.includes(task.kind) ? 1 : WARM_UP;
  for (let pass = 1 - run.warmUp; pass <= task.samples; ++pass) run.pass(task, made, pass);
  const checksum = m.checksum(run.sum).toString(16).padStart(8, '0');
  return { checksum, rows: run.rows, bytes: run.bytes, rss: run.rss };
}
