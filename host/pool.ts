// One kernel per core: workers, each with a kernel of its own, that share nothing. Kernels that
// shared their memory would wait for each other at every lock; apart they scale with the cores.
import type { BootConfig, KernelTarget } from './boot.ts';

export interface PoolOptions {
  /** how many kernels; as many as the machine has cores by default */
  workers?: number;
  /** with which parameters each workload's kernel boots */
  boot?: BootConfig;
  target?: KernelTarget;
}

/** What a worker is told once. */
export interface WorkerData {
  boot: BootConfig | undefined;
  target: KernelTarget;
}

/** A workload, on its way to a worker. */
export interface WorkloadMessage {
  module: string;
  name: string;
  input: unknown;
}

export type WorkloadAnswer =
  { value: unknown } | { error: { name: string; message: string; stack: string | undefined } };

interface Waiting extends WorkloadMessage {
  resolve: (value: unknown) => void;
  reject: (error: Error) => void;
}

/** What a pool needs of a worker: that of Node has it. */
export interface PoolWorker {
  postMessage(message: unknown): void;
  on(event: 'message', listener: (answer: WorkloadAnswer) => void): unknown;
  on(event: 'error', listener: (error: Error) => void): unknown;
  on(event: 'exit', listener: (code: number) => void): unknown;
  ref(): void;
  unref(): void;
  terminate(): Promise<unknown>;
}

interface Slot {
  /** undefined once it is gone, until a workload needs it */
  worker: PoolWorker | undefined;
  job: Waiting | undefined;
}

/** A workload has failed in its worker; `cause` is the worker's error with its own stack. */
export class WorkloadError extends Error {
  override name = 'WorkloadError';
}

/** Adds two results: numbers, and what consists of numbers, field by field. */
function add(a: unknown, b: unknown): unknown {
  if (typeof a === 'number' && typeof b === 'number') return a + b;
  if (typeof a === 'bigint' && typeof b === 'bigint') return a + b;
  if (Array.isArray(a) && Array.isArray(b) && a.length === b.length) {
    return a.map((value, i) => add(value, b[i]));
  }
  if (typeof a === 'object' && typeof b === 'object' && a && b) {
    const left = a as Record<string, unknown>;
    const right = b as Record<string, unknown>;
    const keys = [...new Set([...Object.keys(left), ...Object.keys(right)])];
    const sum = (key: string): unknown => {
      if (!(key in left)) return right[key];
      return key in right ? add(left[key], right[key]) : left[key];
    };
    return Object.fromEntries(keys.map((key) => [key, sum(key)]));
  }
  throw new TypeError('only numbers, and objects and arrays of numbers, can be added up');
}

export class KernelPool {
  /** how many kernels there are */
  readonly size: number;
  readonly #start: () => PoolWorker;
  readonly #slots: Slot[] = [];
  readonly #queue: Waiting[] = [];
  #closed = false;

  /** Use createKernelPool(). `start` makes a worker. */
  constructor(size: number, start: () => PoolWorker) {
    this.size = size;
    this.#start = start;
    for (let i = 0; i < size; ++i) this.#slots.push({ worker: undefined, job: undefined });
    for (const slot of this.#slots) this.#open(slot);
  }

  #open(slot: Slot): PoolWorker {
    const worker = this.#start();
    slot.worker = worker;
    // an idle pool keeps no program alive
    worker.unref();
    worker.on('message', (answer: WorkloadAnswer) => this.#answered(slot, answer));
    worker.on('error', (error) => this.#lost(slot, worker, error));
    worker.on('exit', () => this.#lost(slot, worker, new Error('its worker has ended')));
    return worker;
  }

  #answered(slot: Slot, answer: WorkloadAnswer): void {
    const { job } = slot;
    slot.job = undefined;
    slot.worker?.unref();
    if ('value' in answer) job?.resolve(answer.value);
    else {
      const { name, message, stack } = answer.error;
      const cause = Object.assign(new Error(message), { name, stack });
      job?.reject(new WorkloadError(`${name}: ${message}`, { cause }));
    }
    this.#next();
  }

  /** A worker is gone: its workload fails; another one takes its place when it is needed. */
  #lost(slot: Slot, worker: PoolWorker, error: Error): void {
    if (slot.worker !== worker || this.#closed) return;
    slot.worker = undefined;
    const { job } = slot;
    slot.job = undefined;
    job?.reject(new WorkloadError(error.message, { cause: error }));
    this.#next();
  }

  #next(): void {
    for (const slot of this.#slots) {
      if (slot.job) continue;
      const job = this.#queue.shift();
      if (!job) return;
      slot.job = job;
      const worker = slot.worker ?? this.#open(slot);
      worker.ref();
      const { module, name, input } = job;
      try {
        worker.postMessage({ module, name, input } satisfies WorkloadMessage);
      } catch (error) {
        // an input that cannot be copied
        slot.job = undefined;
        worker.unref();
        job.reject(error as Error);
      }
    }
  }

  /**
   * Runs a workload: function `name` of a module, called as `(kernel, input)` in a worker, with a
   * kernel that has just booted and nobody else uses. Input and result are copied. Rejects with
   * WorkloadError when it throws, or its worker dies.
   */
  run<R = unknown>(module: URL | string, input?: unknown, name = 'default'): Promise<R> {
    if (this.#closed) return Promise.reject(new WorkloadError('the pool is closed'));
    return new Promise<unknown>((resolve, reject) => {
      this.#queue.push({ module: String(module), name, input, resolve, reject });
      this.#next();
    }) as Promise<R>;
  }

  /** The same for many inputs, as many at a time as there are kernels; results in their order. */
  map<R = unknown>(
    module: URL | string,
    inputs: Iterable<unknown>,
    name?: string,
  ): Promise<PromiseSettledResult<R>[]> {
    return Promise.allSettled(Array.from(inputs, (input) => this.run<R>(module, input, name)));
  }

  /** The same, added up: results are numbers, or objects and arrays of them. Undefined for none. */
  async sum<R = unknown>(
    module: URL | string,
    inputs: Iterable<unknown>,
    name?: string,
  ): Promise<R | undefined> {
    const all = await Promise.all(Array.from(inputs, (input) => this.run(module, input, name)));
    return (all.length ? all.reduce(add) : undefined) as R | undefined;
  }

  /** Ends the workers. Workloads that are not done yet fail. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    const waiting = [...this.#queue.splice(0), ...this.#slots.flatMap(({ job }) => job ?? [])];
    for (const { reject } of waiting) reject(new WorkloadError('the pool was closed'));
    await Promise.all(this.#slots.map(({ worker }) => worker?.terminate()));
  }
}

/** Makes a pool of kernels that share nothing, each in a worker of its own (Node only). */
export async function createKernelPool(options: PoolOptions = {}): Promise<KernelPool> {
  const { Worker } = await import('node:worker_threads');
  const { availableParallelism } = await import('node:os');
  const size = options.workers ?? availableParallelism();
  if (!Number.isInteger(size) || size < 1) throw new RangeError(`a pool of ${size} workers`);
  // sources run from host/, bundles from dist/: the worker is a bundle either way
  const script = new URL('../dist/pool-worker.js', import.meta.url);
  const workerData: WorkerData = { boot: options.boot, target: options.target ?? 'release' };
  return new KernelPool(size, () => new Worker(script, { workerData }));
}
