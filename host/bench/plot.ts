// Results as a picture: one group of bars for each benchmark, on a logarithmic scale. Plain SVG.
import { environmentText } from './report.ts';
import { type Results, rowOf, summary } from './results.ts';
import { type VariantName, VARIANTS } from './suite.ts';

const WIDTH = 960;
const LABELS = 210;
const BAR = 11;
const GAP = 12;
const TOP = 64;
const FONT = 'font-family="system-ui, sans-serif"';
const COLORS: Record<VariantName, string> = {
  native: '#4d4d4d',
  pointers: '#999999',
  'native-direct': '#7a7a7a',
  kernel: '#0b6e99',
  direct: '#2f8fbf',
  batch: '#58b0d8',
  'clang-wasm': '#8a5fbf',
  wasm2c: '#2e8b57',
  tuned: '#d9912b',
  objects: '#c0392b',
  real: '#222222',
};

function escape(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}

interface Bar {
  variant: VariantName;
  value: number;
}

/** Bars of nanoseconds; rows of other units are left out. */
function groupsOf(results: Results): { name: string; bars: Bar[] }[] {
  const benches = [...new Set(results.rows.filter((r) => r.unit === 'ns').map((r) => r.bench))];
  return benches.map((name) => {
    const bars = (Object.keys(VARIANTS) as VariantName[]).flatMap((variant) => {
      const row = rowOf(results, name, variant);
      return row ? [{ variant, value: summary(row).value }] : [];
    });
    return { name, bars };
  });
}

export function plot(results: Results): string {
  const groups = groupsOf(results);
  const values = groups.flatMap(({ bars }) => bars.map(({ value }) => value));
  const low = Math.floor(Math.log10(Math.min(...values, 1)));
  const high = Math.max(Math.ceil(Math.log10(Math.max(...values, 10))), low + 1);
  const room = WIDTH - LABELS - 70;
  const x = (value: number): number => LABELS + ((Math.log10(value) - low) / (high - low)) * room;
  const out: string[] = [];
  let y = TOP;
  for (const { name, bars } of groups) {
    const middle = y + (bars.length * BAR) / 2 + 4;
    out.push(`<text x="${LABELS - 8}" y="${middle}" text-anchor="end">${escape(name)}</text>`);
    for (const { variant, value } of bars) {
      const width = Math.max(1, x(value) - LABELS).toFixed(1);
      const shown = value >= 1000 ? value.toFixed(0) : value.toFixed(1);
      const size = `x="${LABELS}" y="${y}" width="${width}" height="${BAR - 1}"`;
      out.push(`<rect ${size} fill="${COLORS[variant]}"/>`);
      const at = `x="${(x(value) + 4).toFixed(1)}" y="${y + BAR - 2}" font-size="9"`;
      out.push(`<text ${at}>${shown}</text>`);
      y += BAR;
    }
    y += GAP;
  }
  const axis: string[] = [];
  for (let power = low; power <= high; ++power) {
    const at = x(10 ** power).toFixed(1);
    axis.push(`<line x1="${at}" y1="${TOP - 6}" x2="${at}" y2="${y}" stroke="#ddd"/>`);
    axis.push(`<text x="${at}" y="${TOP - 10}" text-anchor="middle">${10 ** power} ns</text>`);
  }
  const used = (Object.keys(VARIANTS) as VariantName[]).filter((name) =>
    results.rows.some(({ variant }) => variant === name),
  );
  const legend = used.map((name, i) => {
    const left = 12 + i * 86;
    const box = `<rect x="${left}" y="12" width="10" height="10" fill="${COLORS[name]}"/>`;
    return `${box}<text x="${left + 14}" y="21" font-size="9">${name}</text>`;
  });
  const foot = escape(environmentText(results.environment));
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${y + 24}" ` +
      `width="${WIDTH}" height="${y + 24}" ${FONT} font-size="11" role="img">`,
    `<title>Bulkhead's benchmarks, nanoseconds for one operation</title>`,
    `<rect width="100%" height="100%" fill="#fff"/>`,
    ...legend,
    ...axis,
    ...out,
    `<text x="12" y="${y + 14}" font-size="7" fill="#666">${foot}</text>`,
    '</svg>',
    '',
  ].join('\n');
}
