// `bulkhead replay --each`: every file is a trace of its own; a kernel for each core replays them.
import { availableParallelism } from 'node:os';
import { createKernelPool, type KernelPool, WorkloadError } from '../pool.ts';
import { count } from '../render/style.ts';
import { REPLAY_BOOT } from '../replay.ts';
import { Progress } from './progress.ts';
import type { OneReplayed, ReplayValues } from './replay.ts';
import { EXIT_FAULT, EXIT_INTERRUPTED, EXIT_UNREADABLE, UsageError } from './status.ts';

/** What a worker is asked for. */
export interface ReplayJob {
  name: string;
  values: ReplayValues;
  colour: boolean;
}

const JOB = new URL('../dist/replay-job.js', import.meta.url);

/** Options that are about one trace, or one place to write to. */
const SINGLE = ['audit', 'explain', 'perturb', 'perturb-count'] as const;

function jobsOf(values: ReplayValues): number {
  const text = values.jobs;
  if (text === undefined) return availableParallelism();
  if (!/^[1-9]\d{0,3}$/.test(text))
    throw new UsageError(`--jobs takes a number above 0, not ${text}`);
  return Number(text);
}

function check(files: readonly string[], values: ReplayValues): void {
  for (const name of SINGLE) {
    if (values[name] !== undefined) throw new UsageError(`--${name} is for one trace, not --each`);
  }
  if (files.includes('-')) throw new UsageError('--each reads files, not standard input');
}

/** What went wrong with one trace, as it would be told if it were the only one. */
function failure(error: unknown): { text: string; status: number } {
  const cause = error instanceof WorkloadError ? (error.cause as Error) : (error as Error);
  if (cause.name === 'SourceError') return { text: cause.message, status: EXIT_UNREADABLE };
  return {
    text: `internal fault, please report it\n${cause.stack ?? cause.message}`,
    status: EXIT_FAULT,
  };
}

interface Totals {
  traces: number;
  agree: number;
  lines: number;
  compared: number;
  diverged: number;
  failed: number;
}

function totalText(t: Totals): string {
  const parts = [
    `${count(t.traces)} traces, ${count(t.lines)} lines`,
    `${count(t.agree)} agree`,
    `${count(t.compared)} calls compared, ${count(t.diverged)} diverged`,
  ];
  if (t.failed) parts.push(`${count(t.failed)} could not be replayed`);
  return parts.join('; ');
}

/** Prints each result as soon as those before it are printed. Return: exit status. */
async function printAll(
  pool: KernelPool,
  files: readonly string[],
  values: ReplayValues,
): Promise<number> {
  const colour =
    !values['no-color'] && process.stdout.isTTY === true && !process.env.NO_COLOR ? true : false;
  const progress = new Progress(process.stderr, values.quiet === true || values.json === true);
  const total: Totals = { traces: 0, agree: 0, lines: 0, compared: 0, diverged: 0, failed: 0 };
  let status = 0;
  let done = 0;
  const running = files.map((name) => {
    const job: ReplayJob = { name, values: { ...values }, colour };
    const result = pool.run<OneReplayed>(JOB, job);
    const finished = (): void => progress.update(++done / files.length);
    result.then(finished, finished);
    return result;
  });
  let printed = false;
  for (const result of running) {
    total.traces += 1;
    try {
      const one = await result;
      progress.end();
      for (const warning of one.warnings) console.error(`bulkhead: ${warning}`);
      // a blank line between summaries; JSON is one object a line
      if (one.text) console.log(printed && !values.json ? `\n${one.text}` : one.text);
      printed ||= one.text !== '';
      status = Math.max(status, one.status);
      total.agree += one.total.agree;
      total.lines += one.total.lines;
      total.compared += one.total.compared;
      total.diverged += one.total.diverged;
    } catch (error) {
      progress.end();
      const { text, status: failed } = failure(error);
      console.error(`bulkhead: ${text}`);
      status = Math.max(status, failed);
      total.failed += 1;
    }
  }
  if (!values.json && !values.quiet) console.log(`\n${totalText(total)}`);
  return status;
}

/** Exit status: the worst of what each trace by itself would have given. */
export async function replayEach(files: readonly string[], values: ReplayValues): Promise<number> {
  check(files, values);
  const workers = Math.min(jobsOf(values), files.length);
  const pool = await createKernelPool({ workers, boot: REPLAY_BOOT });
  process.once('SIGINT', () => {
    void pool.close().then(() => process.exit(EXIT_INTERRUPTED));
  });
  try {
    return await printAll(pool, files, values);
  } finally {
    await pool.close();
  }
}
