// Protects: a long run that is cut off loses nothing: after each benchmark there are results.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { Toolchain } from '../../../host/bench/native.ts';
import { Runner } from '../../../host/bench/runner.ts';
import { BENCHES } from '../../../host/bench/suite.ts';

test('results are handed out after each benchmark', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'bulkhead-runner-'));
  try {
    const seen: string[] = [];
    const runner = new Runner(new Toolchain(folder), {
      benches: BENCHES.filter(({ name }) => name === 'fork' || name === 'trap'),
      variants: ['tuned'],
      rounds: 1,
      quick: true,
      node: [process.execPath, 'dist/cli.js', 'bench', '--job'],
      progress: () => undefined,
      partial: ({ rows }) => void seen.push(rows.map(({ bench }) => bench).join()),
    });
    await runner.run();
    expect(seen).toEqual(['fork', 'fork,trap']);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
