// Tables of results, for a terminal.
import { type Environment, type Results, type Row, rowOf, summary, verdicts } from './results.ts';
import { GOALS, type VariantName, VARIANTS } from './suite.ts';

/** A median that is this far above the least sample was disturbed. */
const QUIET = 1.15;

const names = Object.keys(VARIANTS) as VariantName[];

function number(value: number): string {
  if (value >= 1e6) return `${(value / 1e6).toFixed(1)}M`;
  if (value >= 1000) return `${(value / 1000).toFixed(1)}k`;
  return value.toFixed(1);
}

function cell(row: Row | undefined): string {
  if (!row) return '-';
  const { value, ratio } = summary(row);
  const shown = number(value);
  return ratio === undefined || row.variant === 'native' ? shown : `${shown} ${ratio.toFixed(2)}x`;
}

/** Lines of columns: the first to the left, the others to the right. */
function table(rows: string[][]): string {
  const widths = rows[0]!.map((_, i) => Math.max(...rows.map((row) => row[i]!.length)));
  const line = (row: string[]): string =>
    row.map((text, i) => (i ? text.padStart(widths[i]!) : text.padEnd(widths[i]!))).join('  ');
  return rows.map((row) => line(row).trimEnd()).join('\n');
}

export function environmentText(e: Environment): string {
  const parts = [
    `${e.cpu}, ${e.cores} cores, ${e.memoryGiB} GiB, ${e.platform}`,
    `Node ${e.node} (V8 ${e.v8})`,
    e.cc ? `${e.cc} ${e.flags ?? ''}`.trim() : 'no C compiler',
    e.wasm2c ? `wasm2c ${e.wasm2c}` : 'no wasm2c',
    e.clang ?? 'no clang',
    `kernel.wasm ${e.wasm.bytes} bytes, sha256 ${e.wasm.sha256.slice(0, 12)}`,
    `${e.date} UTC, load ${e.load}`,
  ];
  return parts.join('; ');
}

function rowsText(results: Results): string {
  const used = names.filter((name) => results.rows.some((row) => row.variant === name));
  const keys = new Map<string, Row>();
  for (const row of results.rows) {
    const key = `${row.bench}\0${row.row}`;
    if (!keys.has(key)) keys.set(key, row);
  }
  const lines = [...keys.values()].map((first) => {
    const of = used.map((variant) => rowOf(results, first.bench, variant, first.row));
    const present = of.filter((row) => row !== undefined);
    const noisy = present.some((row) => {
      const { value, least } = summary(row);
      return value > least * QUIET;
    });
    const name = first.row ? `${first.bench}: ${first.row}` : first.bench;
    const unit = first.unit === 'ns' ? '' : ` (${first.unit})`;
    return [`${name}${unit}`, ...of.map(cell), noisy ? '~' : ''];
  });
  return table([['benchmark', ...used, ''], ...lines]);
}

function memoryText(results: Results): string {
  const rows = results.rows.filter((row) => row.bench.startsWith('memory') && row.row === '');
  if (rows.length === 0) return '';
  const mega = (bytes: number | undefined): string =>
    bytes === undefined ? '-' : `${(bytes / 1048576).toFixed(0)} MiB`;
  const lines = rows.map((row) => [`${row.bench}: ${row.variant}`, mega(row.bytes), mega(row.rss)]);
  return table([['memory', 'in use', 'resident'], ...lines]);
}

function goalsText(results: Results): string {
  const lines = verdicts(results, GOALS)
    .filter(({ got }) => got !== undefined)
    .map(({ goal, got, met }) => [
      `${goal.bench}: ${goal.of}, ${goal.text}`,
      goal.most < 1 ? (1 / got!).toFixed(2) : got!.toFixed(2),
      met ? 'met' : 'missed',
    ]);
  return lines.length ? table([['goal', 'measured', ''], ...lines]) : '';
}

function skippedText(results: Results): string {
  const why = new Map<string, VariantName>();
  for (const { variant, why: text } of results.skipped) why.set(`${variant}: ${text}`, variant);
  return [...why.keys()].map((text) => `skipped ${text}`).join('\n');
}

export function report(results: Results): string {
  const { rounds, quick } = results.settings;
  const used = names.filter((name) => results.rows.some((row) => row.variant === name));
  const head = [
    `nanoseconds for one operation, medians of ${rounds} round${rounds > 1 ? 's' : ''}; ` +
      'x: of native in the same round; ~: disturbed',
    ...(quick ? ['a smoke test: too short to compare'] : []),
  ];
  const legend = used.map((name) => `${name.padEnd(10)} ${VARIANTS[name]}`).join('\n');
  const parts = [
    environmentText(results.environment),
    head.join('\n'),
    rowsText(results),
    memoryText(results),
    quick ? '' : goalsText(results),
    skippedText(results),
    legend,
  ];
  return parts.filter(Boolean).join('\n\n');
}
