// What a run of the suite leaves behind, and the numbers drawn from it.
import type { Goal, VariantName } from './suite.ts';

/** The machine and the tools of a run, as far as they bear on the numbers. */
export interface Environment {
  date: string;
  cpu: string;
  cores: number;
  memoryGiB: number;
  platform: string;
  node: string;
  v8: string;
  cc: string | null;
  clang: string | null;
  wasm2c: string | null;
  /** options of the C compiler */
  flags: string | null;
  wasm: { bytes: number; sha256: string };
  /** processes that wanted a core, on average, when the run began */
  load: number;
}

/** One row of one variant: samples by round. */
export interface Row {
  bench: string;
  /** '' is the benchmark's own; others are parts of it */
  row: string;
  title: string;
  unit: string;
  variant: VariantName;
  rounds: number[][];
  /** medians of the samples of a round over native's in the same round */
  ratios?: number[];
  checksum?: string;
  /** memory of what the benchmark made: bytes in use of the machine's own, resident bytes */
  bytes?: number;
  rss?: number;
}

export interface Results {
  suite: 1;
  environment: Environment;
  settings: { rounds: number; quick: boolean };
  rows: Row[];
  /** what was left out, and why */
  skipped: { bench: string; variant: VariantName; why: string }[];
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const half = sorted.length >> 1;
  if (sorted.length === 0) return Number.NaN;
  return sorted.length % 2 ? sorted[half]! : (sorted[half - 1]! + sorted[half]!) / 2;
}

export interface Summary {
  /** median of the rounds' medians */
  value: number;
  least: number;
  /** how far the rounds' medians lie apart, as a share of the value */
  spread: number;
  /** median of the rounds' ratios to native */
  ratio: number | undefined;
}

export function summary(row: Row): Summary {
  const medians = row.rounds.map(median);
  const value = median(medians);
  return {
    value,
    least: Math.min(...row.rounds.flat()),
    spread: (Math.max(...medians) - Math.min(...medians)) / value,
    ratio: row.ratios?.length ? median(row.ratios) : undefined,
  };
}

export function rowOf(results: Results, bench: string, variant: VariantName, row = '') {
  return results.rows.find((r) => r.bench === bench && r.variant === variant && r.row === row);
}

export interface Verdict {
  goal: Goal;
  /** the ratio, or nanoseconds; undefined when it was not measured */
  got: number | undefined;
  met: boolean | undefined;
}

/** The median, over the rounds that both have, of one row's medians over another's. */
export function ratioOf(of: Row, against: Row): number {
  const n = Math.min(of.rounds.length, against.rounds.length);
  const ratios = Array.from({ length: n }, (_, i) => {
    return median(of.rounds[i]!) / median(against.rounds[i]!);
  });
  return median(ratios);
}

export function verdicts(results: Results, goals: readonly Goal[]): Verdict[] {
  return goals.map((goal) => {
    const of = rowOf(results, goal.bench, goal.of, goal.row);
    // a variant against itself: a part of the benchmark against the whole
    const row = goal.against === goal.of ? '' : goal.row;
    const against = goal.against && rowOf(results, goal.bench, goal.against, row);
    if (!of || (goal.against && !against)) return { goal, got: undefined, met: undefined };
    const got = against ? ratioOf(of, against) : summary(of).value;
    return { goal, got, met: got <= goal.most };
  });
}

export class ResultsError extends Error {}

/** Reads a file that a run has written. Throws ResultsError on anything else. */
export function parseResults(text: string, name: string): Results {
  let found: unknown;
  try {
    found = JSON.parse(text);
  } catch {
    throw new ResultsError(`${name}: not JSON`);
  }
  const results = found as Partial<Results> | null;
  const whole =
    typeof results === 'object' &&
    results?.suite === 1 &&
    Array.isArray(results.rows) &&
    results.rows.every((r) => r && typeof r.bench === 'string' && Array.isArray(r.rounds));
  if (!whole) throw new ResultsError(`${name}: no results of bulkhead bench (--json makes them)`);
  return results as Results;
}
