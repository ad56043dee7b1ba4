// Runs benchmarks: each variant in a fresh process, the variants of a benchmark in turn, round by
// round. All must leave the same checksum behind.
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { arch, cpus, loadavg, platform, totalmem } from 'node:os';
import type { Outcome, Task } from './benches.ts';
import type { Built, Toolchain } from './native.ts';
import { type Environment, median, type Results, type Row } from './results.ts';
import { type Bench, taskOf, type VariantName, variantsOf } from './suite.ts';

export interface RunOptions {
  benches: readonly Bench[];
  /** all when empty */
  variants: readonly VariantName[];
  rounds: number;
  quick: boolean;
  /** the command line that runs a variant in Node; the task follows as JSON */
  node: readonly string[];
  /** told what runs now */
  progress: (what: string) => void;
  /** gets what there is after each benchmark: a long run may be cut off */
  partial?: (results: Results) => void;
}

/** Seconds that one process may take. */
const LIMIT = 600;

export class BenchError extends Error {}

/** Runs a program to its end. Return: its last line as JSON. */
function runProcess(command: string, args: readonly string[]): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    let out = '';
    let told = '';
    const timer = setTimeout(() => child.kill(), LIMIT * 1000);
    child.stdout.on('data', (chunk) => (out += chunk));
    child.stderr.on('data', (chunk) => (told += chunk));
    child.on('error', (error) => {
      clearTimeout(timer);
      reject(new BenchError(error.message));
    });
    child.on('close', (status, signal) => {
      clearTimeout(timer);
      const last = out.trim().split('\n').at(-1) ?? '';
      if (status !== 0) {
        const how = signal ?? `status ${status}`;
        reject(new BenchError(`${how}: ${(told.trim() || last).slice(0, 500)}`));
      } else {
        resolve(JSON.parse(last));
      }
    });
  });
}

type Raw = Record<string, number[] | number | string>;

/** What a C program prints: rows by name, and a few numbers among them. */
function outcomeOf(raw: Raw): Outcome {
  const { checksum = '', bytes, rss, ...rows } = raw;
  return {
    checksum: String(checksum),
    rows: rows as Record<string, number[]>,
    ...(bytes === undefined ? {} : { bytes: Number(bytes) }),
    ...(rss === undefined ? {} : { rss: Number(rss) }),
  };
}

export class Runner {
  readonly #tools: Toolchain;
  readonly #options: RunOptions;
  readonly #built = new Map<VariantName, Built | undefined>();
  readonly #results: Results;

  constructor(tools: Toolchain, options: RunOptions) {
    this.#tools = tools;
    this.#options = options;
    const { rounds, quick } = options;
    const environment = this.#environment();
    this.#results = { suite: 1, environment, settings: { rounds, quick }, rows: [], skipped: [] };
  }

  #environment(): Environment {
    const wasm = this.#tools.wasmBytes;
    return {
      date: new Date().toISOString().slice(0, 16).replace('T', ' '),
      cpu: cpus()[0]?.model.trim() ?? 'unknown',
      cores: cpus().length,
      memoryGiB: Math.round(totalmem() / 2 ** 30),
      platform: `${platform()} ${arch()}`,
      node: process.version,
      v8: process.versions.v8,
      cc: this.#tools.cc?.version ?? null,
      clang: this.#tools.clang?.version ?? null,
      wasm2c: this.#tools.wasm2c?.version ?? null,
      flags: null,
      wasm: {
        bytes: wasm.length,
        sha256: createHash('sha256').update(wasm).digest('hex'),
      },
      load: Number(loadavg()[0]!.toFixed(1)),
    };
  }

  #build(variant: VariantName): Built | undefined {
    if (!this.#built.has(variant)) {
      this.#options.progress(`compiling ${variant}`);
      const built = this.#tools.build(variant);
      if (built && 'flags' in built) this.#results.environment.flags ??= built.flags ?? null;
      this.#built.set(variant, built);
    }
    return this.#built.get(variant);
  }

  /** One process. */
  async #once(bench: Bench, variant: VariantName): Promise<Outcome> {
    const task = taskOf(bench, this.#options.quick);
    const built = this.#build(variant);
    if (built && 'program' in built && variant !== 'clang-wasm') {
      if (variant === 'real') {
        const args = [task.a, task.samples].map(String);
        return outcomeOf((await runProcess(built.program, args)) as Raw);
      }
      const samples = task.shuffled ? -task.samples : task.samples;
      const args = [bench.kind, task.a, task.b, samples].map(String);
      return outcomeOf((await runProcess(built.program, args)) as Raw);
    }
    const [command, ...first] = this.#options.node;
    const job: Job = { variant, kind: bench.kind, task };
    if (built && 'program' in built) job.program = built.program;
    return (await runProcess(command!, [...first, JSON.stringify(job)])) as Outcome;
  }

  /** The variants that this machine can run `bench` with. */
  #variants(bench: Bench): VariantName[] {
    const wanted = this.#options.variants;
    return variantsOf(bench).filter((variant) => {
      if (wanted.length && !wanted.includes(variant)) return false;
      const built = this.#build(variant);
      if (!built || !('skipped' in built)) return true;
      this.#results.skipped.push({ bench: bench.name, variant, why: built.skipped });
      return false;
    });
  }

  #keep(bench: Bench, variant: VariantName, outcome: Outcome, round: number): void {
    for (const [name, samples] of Object.entries(outcome.rows)) {
      const same = (r: Row): boolean =>
        r.bench === bench.name && r.variant === variant && r.row === name;
      let row = this.#results.rows.find(same);
      if (!row) {
        const { title, unit = 'ns' } = bench;
        row = { bench: bench.name, row: name, title, unit, variant, rounds: [] };
        this.#results.rows.push(row);
      }
      row.rounds[round] = samples;
      if (outcome.checksum) row.checksum = outcome.checksum;
      if (name === '' && outcome.bytes !== undefined) row.bytes = outcome.bytes;
      if (name === '' && outcome.rss !== undefined) row.rss = outcome.rss;
    }
  }

  async #bench(bench: Bench): Promise<void> {
    const variants = this.#variants(bench);
    const rounds = bench.heavy ? Math.min(2, this.#options.rounds) : this.#options.rounds;
    let first: { variant: VariantName; checksum: string } | undefined;
    for (let round = 0; round < rounds; ++round) {
      for (const variant of variants) {
        this.#options.progress(`${bench.name}: round ${round + 1} of ${rounds}, ${variant}`);
        let outcome: Outcome;
        try {
          outcome = await this.#once(bench, variant);
        } catch (error) {
          throw new BenchError(`${bench.name}, ${variant}: ${(error as Error).message}`);
        }
        this.#keep(bench, variant, outcome, round);
        const { checksum } = outcome;
        if (!checksum) continue;
        first ??= { variant, checksum };
        if (first.checksum !== checksum) {
          throw new BenchError(
            `${bench.name}: ${variant} left checksum ${checksum}, ` +
              `${first.variant} ${first.checksum}: they did not do the same work`,
          );
        }
      }
    }
  }

  #ratios(): void {
    const { rows } = this.#results;
    for (const row of rows) {
      const native = rows.find(
        (r) => r.variant === 'native' && r.bench === row.bench && r.row === row.row,
      );
      if (!native) continue;
      row.ratios = row.rounds.map((samples, i) => median(samples) / median(native.rounds[i]!));
    }
  }

  async run(): Promise<Results> {
    for (const bench of this.#options.benches) {
      await this.#bench(bench);
      this.#ratios();
      this.#options.partial?.(this.#results);
    }
    return this.#results;
  }
}

/** What a variant's process in Node is told. */
export interface Job {
  variant: VariantName;
  kind: Bench['kind'];
  task: Task;
  /** clang's module */
  program?: string;
}
