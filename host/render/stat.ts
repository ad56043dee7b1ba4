// What share of the recorded calls the kernel predicts something of, call by call.
import type { NameCounts, ReplayResult } from '../replay/result.ts';
import { count, type Style } from './style.ts';

/** Counts of one call name, or of all; the shape of `stat --json`. */
export interface Foreseen {
  /** recorded calls, those that the recorder forged left out */
  recorded: number;
  /** calls about memory, time and plain files, which are left to the world by agreement */
  listed: number;
  /** the others */
  outside: number;
  /** of the others, calls of which at least one field was compared */
  predicted: number;
}

export interface StatReport extends Foreseen {
  /** predicted / outside, 0 to 1 */
  share: number;
  byCall: Record<string, Foreseen>;
}

const NOT_CALLS = new Set(['signal', 'exit']);

function add(to: Foreseen, n: NameCounts): void {
  const recorded = n.calls - n.injected;
  to.recorded += recorded;
  to.listed += recorded - n.outside;
  to.outside += n.outside;
  to.predicted += n.predicted;
}

const none = (): Foreseen => ({ recorded: 0, listed: 0, outside: 0, predicted: 0 });

/** The counts of several replays together. */
export function statReport(results: readonly ReplayResult[]): StatReport {
  const all = none();
  const byCall: Record<string, Foreseen> = {};
  for (const { byCall: names } of results) {
    for (const [name, n] of Object.entries(names)) {
      // lines about signals and ends are counted under names that are no calls
      if (NOT_CALLS.has(name) && n.outside === 0) continue;
      add((byCall[name] ??= none()), n);
      add(all, n);
    }
  }
  return { ...all, share: all.outside ? all.predicted / all.outside : 1, byCall };
}

function percent(part: number, whole: number): string {
  return whole ? `${((100 * part) / whole).toFixed(1)} %` : '-';
}

/** The table, the calls that lower the share most at its top. */
export function renderStat(report: StatReport, s: Style): string {
  const rows = Object.entries(report.byCall)
    .filter(([, n]) => n.outside > 0)
    .sort(
      ([, a], [, b]) =>
        b.outside - b.predicted - (a.outside - a.predicted) || b.outside - a.outside,
    );
  const out = [s.bold(`  ${'call'.padEnd(24)} recorded   on list   outside predicted    share`)];
  for (const [name, n] of rows) {
    const numbers = [n.recorded, n.listed, n.outside, n.predicted]
      .map((value) => String(value).padStart(9))
      .join(' ');
    const line = `  ${name.padEnd(23)} ${numbers} ${percent(n.predicted, n.outside).padStart(8)}`;
    out.push(n.predicted === n.outside ? line : s.warn(line));
  }
  const { predicted, outside, listed } = report;
  out.push(
    '',
    `${s.bold(percent(predicted, outside))} of ${count(outside)} calls have a predicted field`,
    s.dim(`${count(listed)} more calls are about memory, time, names and plain files`),
  );
  return out.join('\n');
}
