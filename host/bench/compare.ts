// Two runs side by side: what got slower or faster by more than chance and a threshold.
import { median, type Results, type Row, rowOf, summary } from './results.ts';

export interface Change {
  bench: string;
  row: string;
  variant: string;
  old: number;
  now: number;
  /** 0.1: a tenth slower; by the ratio to native where both runs have it */
  change: number;
  by: 'ratio' | 'time';
  /** neither run's numbers reach into the other's, and the change is above the threshold */
  clear: boolean;
}

/** One number for each round: of native where `byRatio`, else the median time. */
function points(row: Row, byRatio: boolean): number[] {
  return byRatio ? row.ratios! : row.rounds.map(median);
}

/** The middle half of the numbers; of few, all of them. */
function middle(values: number[]): [number, number] {
  const sorted = [...values].sort((a, b) => a - b);
  const cut = sorted.length >> 2;
  return [sorted[cut]!, sorted[sorted.length - 1 - cut]!];
}

function apart(a: number[], b: number[]): boolean {
  const [a0, a1] = middle(a);
  const [b0, b1] = middle(b);
  return a1 < b0 || b1 < a0;
}

export function compare(old: Results, now: Results, threshold: number): Change[] {
  return now.rows.flatMap((row) => {
    const before = rowOf(old, row.bench, row.variant, row.row);
    if (!before) return [];
    const byRatio = row.variant !== 'native' && !!before.ratios?.length && !!row.ratios?.length;
    const was = points(before, byRatio);
    const is = points(row, byRatio);
    const change = median(is) / median(was) - 1;
    // single rounds say nothing of chance: then their samples do
    const few = was.length < 3 || is.length < 3;
    const distinct =
      few && !byRatio ? apart(before.rounds.flat(), row.rounds.flat()) : apart(was, is);
    return [
      {
        bench: row.bench,
        row: row.row,
        variant: row.variant,
        old: summary(before).value,
        now: summary(row).value,
        change,
        by: byRatio ? ('ratio' as const) : ('time' as const),
        clear: Math.abs(change) > threshold && distinct,
      },
    ];
  });
}

export function compareText(changes: readonly Change[]): string {
  const lines = changes.map(({ bench, row, variant, old, now, change, by, clear }) => {
    const name = `${bench}${row ? `: ${row}` : ''}, ${variant}`;
    const percent = `${change >= 0 ? '+' : ''}${(change * 100).toFixed(1)} %`;
    const verdict = clear ? (change > 0 ? 'slower' : 'faster') : '';
    const times = `${old.toFixed(1).padStart(12)} ${now.toFixed(1).padStart(12)}`;
    const columns = [name.padEnd(36), times, percent.padStart(10), by.padEnd(6), verdict];
    return columns.join(' ').trimEnd();
  });
  const head = `${'benchmark, variant'.padEnd(36)} ${'old'.padStart(12)} ${'new'.padStart(12)}`;
  return [`${head} ${'change'.padStart(10)} by`, ...lines].join('\n');
}
