// Results: what is drawn from samples, how two runs compare, what is refused.
import { describe, expect, test } from 'vitest';
import { compare, compareText } from '../../../host/bench/compare.ts';
import { naturalHeader } from '../../../host/bench/natural.ts';
import { plot } from '../../../host/bench/plot.ts';
import { report } from '../../../host/bench/report.ts';
import {
  median,
  parseResults,
  type Results,
  ResultsError,
  type Row,
  summary,
  verdicts,
} from '../../../host/bench/results.ts';
import { GOALS, type VariantName } from '../../../host/bench/suite.ts';

function row(variant: VariantName, rounds: number[][], ratios?: number[]): Row {
  const bench = 'fork';
  const base = { bench, row: '', title: 'fork', unit: 'ns', variant, rounds };
  return ratios ? { ...base, ratios } : base;
}

function results(kernel: number[][], native = [[10], [10], [10], [10]]): Results {
  const ratios = kernel.map((samples, i) => median(samples) / median(native[i]!));
  return {
    suite: 1,
    environment: {
      date: '2026-01-01 00:00',
      cpu: 'a <processor> & more',
      cores: 2,
      memoryGiB: 4,
      platform: 'linux x64',
      node: 'v20',
      v8: '11',
      cc: null,
      clang: null,
      wasm2c: null,
      flags: null,
      wasm: { bytes: 1, sha256: 'ab' },
      load: 0,
    },
    settings: { rounds: kernel.length, quick: false },
    rows: [row('native', native), row('kernel', kernel, ratios)],
    skipped: [{ bench: 'fork', variant: 'clang-wasm', why: 'no clang' }],
  };
}

test('a row is the median of its rounds, its ratio that of the same rounds', () => {
  const s = summary(row('kernel', [[1, 2, 9], [4], [3, 3]], [1, 2, 3]));
  expect(s).toMatchObject({ value: 3, least: 1, ratio: 2 });
  expect(s.spread).toBeCloseTo(2 / 3);
  expect(median([4, 1, 3, 2])).toBe(2.5);
  expect(median([])).toBeNaN();
});

test('a goal is met, missed, or not measured', () => {
  const of = (kernel: number): (boolean | undefined)[] =>
    verdicts(results([[kernel], [kernel]]), GOALS)
      .filter(({ goal }) => goal.bench === 'fork' && goal.against === 'native')
      .map(({ met }) => met);
  expect(of(13)).toEqual([true, undefined]);
  expect(of(15)).toEqual([false, undefined]);
  expect(report(results([[15]]))).toMatch(/fork: kernel, at most 1.4 of native +1.50 +missed/);
  expect(report(results([[13]]))).toMatch(/fork: kernel, at most 1.4 of native +1.30 +met/);
});

test('the report names what was left out, the plot escapes what it quotes', () => {
  expect(report(results([[12]]))).toContain('skipped clang-wasm: no clang');
  const svg = plot(results([[12]]));
  expect(svg).toContain('a &lt;processor&gt; &amp; more');
  expect(svg.match(/<rect x="210"/g)).toHaveLength(2);
});

describe('compare', () => {
  const old = results([[12], [12.1], [11.9], [12]]);

  test('a clear change is told from chance', () => {
    const kernel = (now: Results) => compare(old, now, 0.05).find((c) => c.variant === 'kernel')!;
    expect(kernel(results([[15], [15.1], [14.9], [15]]))).toMatchObject({ clear: true });
    expect(kernel(results([[12.2], [12.3], [12.2], [12.1]]))).toMatchObject({ clear: false });
    // far apart, but each round says something else
    expect(kernel(results([[8], [20], [9], [21]]))).toMatchObject({ clear: false });
    expect(kernel(results([[9], [9.1], [9], [9]])).change).toBeLessThan(-0.2);
  });

  test('a busier machine is no change: both sides of a ratio are slower', () => {
    const busy = results([[24], [24.2], [23.8], [24]], [[20], [20], [20], [20]]);
    const changes = compare(old, busy, 0.05);
    expect(changes.find((c) => c.variant === 'kernel')).toMatchObject({
      by: 'ratio',
      clear: false,
    });
    expect(compareText(changes)).toMatch(/fork, native.*\+100\.0 % time {3}slower/);
  });
});

test.each([
  ['nothing', ''],
  ['no JSON', '{'],
  ['null', 'null'],
  ['a list', '[]'],
  ['something else', '{"rows":[]}'],
  ['rows that are none', '{"suite":1,"rows":[{}]}'],
])('%s is refused as a file of results', (_, text) => {
  expect(() => parseResults(text, 'x.json')).toThrow(ResultsError);
  expect(() => parseResults(text, 'x.json')).toThrow(/^x\.json: /);
});

test('natural structures have pointers where the kernel has links', () => {
  const fields = [
    { name: 'count', type: 'i32', size: 4, offset: 0 },
    { name: 'task', type: '*task_struct', size: 4, offset: 4 },
    { name: 'members_next', type: 'u32', size: 4, offset: 8 },
    { name: 'unhashed', type: 'u32', size: 4, offset: 12 },
  ];
  const layout = JSON.stringify({ structs: { pid: { size: 16, fields } } });
  const header = naturalHeader(layout, '#define BH_X (1)\nstruct bh_pid { int x; };\n');
  expect(header).toContain('#define BH_X (1)');
  expect(header).toContain('int32_t count;\n  uintptr_t task;\n  uintptr_t members_next;');
  expect(header).toContain('uint32_t unhashed;');
  expect(header).not.toContain('int x;');
});
