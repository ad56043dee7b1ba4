// `bulkhead bench`: runs the benchmarks, shows stored results, compares two runs.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { compare, compareText } from '../bench/compare.ts';
import { runJob } from '../bench/job.ts';
import { Toolchain } from '../bench/native.ts';
import { plot } from '../bench/plot.ts';
import { report } from '../bench/report.ts';
import { parseResults, type Results, ResultsError } from '../bench/results.ts';
import { BenchError, type Job, Runner } from '../bench/runner.ts';
import { type Bench, BENCHES, type VariantName, VARIANTS } from '../bench/suite.ts';
import { SourceError } from '../trace/source.ts';
import { readOptions } from './options.ts';
import { EXIT_DIVERGED, EXIT_FAULT, EXIT_OK, UsageError } from './status.ts';

const HELP = `usage: bulkhead bench [options] [NAME...]         run benchmarks, all by default
       bulkhead bench show [options] FILE...      results that were stored
       bulkhead bench compare [options] OLD NEW   what changed between two runs

Each variant runs in a process of its own, the variants of a benchmark in turn, round by round; they
must leave equal checksums behind. NAME is a benchmark, or the beginning of several names. Variants
whose compiler is missing are left out, and said to be.

  --rounds N        rounds (5; at most 2 with a million objects)
  --variants A,B    only these variants
  --quick           sizes of a smoke test, one round
  --full            also what needs minutes and gigabytes
  --list            names of benchmarks and variants
  --json            results as JSON, raw samples included
  -o, --output FILE write that JSON to a file, after each benchmark what there is
  --svg FILE        write a plot
  --threshold N     compare: percent that count as a change (5)
  --quiet           no progress

exit status: 0, 1 compare found something slower or checksums differ, 2 usage, 3 a file that is
unreadable or holds no results, 4 internal fault
`;

const OPTIONS = {
  rounds: { type: 'string' },
  variants: { type: 'string' },
  quick: { type: 'boolean' },
  full: { type: 'boolean' },
  list: { type: 'boolean' },
  json: { type: 'boolean' },
  output: { type: 'string', short: 'o' },
  svg: { type: 'string' },
  threshold: { type: 'string' },
  quiet: { type: 'boolean' },
  help: { type: 'boolean', short: 'h' },
} as const;

type Values = ReturnType<typeof readOptions<typeof OPTIONS>>['values'];

/** The word by which the suite starts a process of its own; the job follows. */
const JOB = '--job';

function positive(name: string, text: string | undefined, otherwise: number): number {
  if (text === undefined) return otherwise;
  const value = Number(text);
  if (!(value > 0)) throw new UsageError(`--${name} takes a number above 0, not ${text}`);
  return value;
}

function variantsOf(text: string | undefined): VariantName[] {
  const wanted = text === undefined ? [] : text.split(',').filter(Boolean);
  for (const name of wanted) {
    if (!Object.hasOwn(VARIANTS, name)) {
      throw new UsageError(
        `no such variant: ${name}; there are ${Object.keys(VARIANTS).join(', ')}`,
      );
    }
  }
  return wanted as VariantName[];
}

function benchesOf(names: string[], values: Values): Bench[] {
  for (const name of names) {
    if (!BENCHES.some((bench) => bench.name.startsWith(name))) {
      throw new UsageError(`no such benchmark: ${name}; bulkhead bench --list names them`);
    }
  }
  const starts = names.filter((name) => !BENCHES.some((bench) => bench.name === name));
  return BENCHES.filter((bench) => {
    if (names.includes(bench.name)) return true;
    if (bench.full && !values.full) return false;
    return names.length === 0 || starts.some((name) => bench.name.startsWith(name));
  });
}

function list(): void {
  for (const { name, title, full } of BENCHES) {
    console.log(`${name.padEnd(18)} ${title}${full ? ' (with --full)' : ''}`);
  }
  console.log();
  for (const [name, title] of Object.entries(VARIANTS)) console.log(`${name.padEnd(18)} ${title}`);
}

function write(file: string, text: string): void {
  try {
    writeFileSync(file, text);
  } catch (error) {
    throw new SourceError(`${file}: cannot be written (${(error as NodeJS.ErrnoException).code})`);
  }
}

function show(results: Results, values: Values): void {
  if (values.output !== undefined) write(values.output, `${JSON.stringify(results)}\n`);
  if (values.svg !== undefined) write(values.svg, plot(results));
  console.log(values.json ? JSON.stringify(results) : report(results));
}

function read(file: string): Results {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    throw new SourceError(`${file}: cannot be read (${(error as NodeJS.ErrnoException).code})`);
  }
  try {
    return parseResults(text, file);
  } catch (error) {
    if (error instanceof ResultsError) throw new SourceError(error.message);
    throw error;
  }
}

/** Several runs on one machine as one: each adds what the ones before it lack. */
function joined(files: string[]): Results {
  const [first, ...others] = files.map(read);
  for (const other of others) {
    for (const row of other.rows) {
      const { bench, variant, row: part } = row;
      const known = first!.rows.some(
        (r) => r.bench === bench && r.variant === variant && r.row === part,
      );
      if (!known) first!.rows.push(row);
    }
    first!.skipped.push(...other.skipped);
  }
  return first!;
}

function compareCommand(files: string[], values: Values): number {
  if (files.length !== 2) throw new UsageError('bench compare needs two files, the old one first');
  const threshold = positive('threshold', values.threshold, 5) / 100;
  const [old, now] = files.map(read);
  const changes = compare(old!, now!, threshold);
  if (changes.length === 0) throw new SourceError('the two runs have no benchmark in common');
  console.log(values.json ? JSON.stringify(changes) : compareText(changes));
  return changes.some(({ clear, change }) => clear && change > 0) ? EXIT_DIVERGED : EXIT_OK;
}

async function runCommand(names: string[], values: Values): Promise<number> {
  const benches = benchesOf(names, values);
  const variants = variantsOf(values.variants);
  const rounds = Math.ceil(positive('rounds', values.rounds, values.quick ? 1 : 5));
  const folder = mkdtempSync(join(tmpdir(), 'bulkhead-bench-'));
  const loud = process.stderr.isTTY && values.quiet !== true;
  const progress = (what: string): void => {
    if (loud) process.stderr.write(`\r${what.padEnd(70).slice(0, 78)}`);
  };
  const node = [process.execPath, '--max-old-space-size=16384', process.argv[1]!, 'bench', JOB];
  try {
    const partial = (results: Results): void => {
      if (values.output !== undefined) write(values.output, `${JSON.stringify(results)}\n`);
    };
    const quick = values.quick === true;
    const options = { benches, variants, rounds, quick, node, progress, partial };
    const results = await new Runner(new Toolchain(folder), options).run();
    progress('');
    if (loud) process.stderr.write('\r');
    show(results, values);
    return EXIT_OK;
  } catch (error) {
    if (!(error instanceof BenchError)) throw error;
    console.error(`bulkhead: ${error.message}`);
    return /checksum/.test(error.message) ? EXIT_DIVERGED : EXIT_FAULT;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

export async function benchCommand(args: string[]): Promise<number> {
  if (args[0] === JOB) {
    await runJob(JSON.parse(args[1] ?? '{}') as Job);
    return EXIT_OK;
  }
  const { values, positionals } = readOptions(args, OPTIONS);
  if (values.help) {
    process.stdout.write(HELP);
    return EXIT_OK;
  }
  if (values.list) {
    list();
    return EXIT_OK;
  }
  const [what, ...files] = positionals;
  if (what === 'compare') return compareCommand(files, values);
  if (what === 'show') {
    if (files.length === 0) throw new UsageError('bench show needs a file');
    show(joined(files), values);
    return EXIT_OK;
  }
  return runCommand(positionals, values);
}
