// `bulkhead bench` as a user runs it: a smoke test of the whole, and its errors.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import type { Results } from '../../../host/bench/results.ts';
import { BENCHES } from '../../../host/bench/suite.ts';

const folder = mkdtempSync(join(tmpdir(), 'bulkhead-bench-test-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const at = (name: string): string => join(folder, name);

function bench(...args: string[]) {
  return spawnSync(process.execPath, ['dist/cli.js', 'bench', ...args], { encoding: 'utf8' });
}

const hasC = !spawnSync('cc', ['--version']).error;

describe('--quick', { timeout: 300_000 }, () => {
  const kinds = ['fork-10k', 'thread', 'kill-10-shuffled', 'cascade-1000', 'cascade-1'];
  const names = [
    ...kinds,
    'kill-1',
    'container',
    'enter',
    'signal',
    'pidns-4',
    'trap',
    'memory',
    'snapshot',
    'replay',
    'startup',
  ];
  const made = bench(
    '--quick',
    '-o',
    at('a.json'),
    '--svg',
    at('a.svg'),
    ...names,
    '--variants',
    ['native,pointers,native-direct,kernel,direct,batch'].join(),
  );

  test('runs every kind of benchmark; equal checksums', () => {
    expect(made.stderr).toBe('');
    expect(made.status).toBe(0);
    const results = JSON.parse(readFileSync(at('a.json'), 'utf8')) as Results;
    for (const name of names) {
      const rows = results.rows.filter(({ bench, row }) => bench === name && row === '');
      expect(rows.map(({ variant }) => variant)).toContain('kernel');
      expect(new Set(rows.map(({ checksum }) => checksum)).size).toBe(1);
    }
    expect(results.rows.flatMap(({ rounds }) => rounds.flat()).every((ns) => ns >= 0)).toBe(true);
  });

  test.skipIf(!hasC)(`the C twin is in step${hasC ? '' : ' (skipped: no cc)'}`, () => {
    const results = JSON.parse(readFileSync(at('a.json'), 'utf8')) as Results;
    expect(results.skipped).toEqual([]);
    const native = results.rows.filter(({ variant }) => variant === 'native');
    expect(new Set(native.map((row) => row.bench)).size).toBe(names.length - 1);
    expect(native.every((row) => row.ratios?.every((ratio) => ratio === 1))).toBe(true);
  });

  test('names no path and no host', () => {
    const text = readFileSync(at('a.json'), 'utf8');
    expect(text).not.toContain(folder);
    expect(text).not.toMatch(/\/(home|work|tmp|usr)\b/);
    expect(readFileSync(at('a.svg'), 'utf8')).toMatch(/^<svg [\s\S]*<\/svg>\n$/);
  });

  test('stored results are shown and compared', () => {
    expect(bench('show', at('a.json')).stdout).toMatch(/^kill-10-shuffled: reap /m);
    const same = bench('compare', at('a.json'), at('a.json'));
    expect(same.stdout).toMatch(/container, kernel +[\d.]+ +[\d.]+ +\+0\.0 %/);
    expect(same.status).toBe(0);
  });

  test('compare exits with 1 when something is clearly slower', () => {
    const results = JSON.parse(readFileSync(at('a.json'), 'utf8')) as Results;
    for (const row of results.rows) {
      row.rounds = row.rounds.map((samples) => samples.map((ns) => ns * 50));
      if (row.ratios) row.ratios = row.ratios.map((ratio) => ratio * 50);
    }
    writeFileSync(at('slow.json'), JSON.stringify(results));
    const slower = bench('compare', at('a.json'), at('slow.json'));
    expect(slower.status).toBe(1);
    expect(slower.stdout).toContain('slower');
    expect(bench('compare', at('slow.json'), at('a.json')).status).toBe(0);
  });
});

describe('errors', () => {
  writeFileSync(at('other.json'), '{"suite":2}');
  writeFileSync(at('text'), 'hello\n');
  test.each<[string[], number, RegExp]>([
    [['--bogus'], 2, /Unknown option '--bogus'/],
    [['nonsense'], 2, /no such benchmark: nonsense/],
    [['--variants', 'native,cobol'], 2, /no such variant: cobol; there are native, /],
    [['--rounds', 'many'], 2, /--rounds takes a number above 0, not many/],
    [['--rounds=-1'], 2, /--rounds takes a number above 0/],
    [['compare', 'a.json'], 2, /compare needs two files/],
    [['compare', at('none.json'), at('other.json')], 3, /none\.json: cannot be read \(ENOENT\)/],
    [['compare', at('other.json'), at('other.json')], 3, /other\.json: no results of bulkhead/],
    [['compare', at('text'), at('text')], 3, /text: not JSON/],
    [['show'], 2, /show needs a file/],
    [['show', folder], 3, /cannot be read \(EISDIR\)/],
  ])('%j', (args, status, message) => {
    const done = bench(...args);
    expect(done.stderr).toMatch(message);
    expect(done.stderr).not.toMatch(/internal fault/);
    expect(done.status).toBe(status);
  });

  test('--help and --list know every benchmark and option', () => {
    const help = bench('--help').stdout;
    for (const option of ['--rounds', '--variants', '--quick', '--full', '--svg', '--threshold']) {
      expect(help).toContain(option);
    }
    const list = bench('--list').stdout;
    for (const { name } of BENCHES) expect(list).toMatch(new RegExp(`^${name} `, 'm'));
  });
});
