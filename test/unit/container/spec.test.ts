// Protects: the table of the specification in docs/containers.md: every row is pinned by a test or
// says which issue it waits for, and no test names a row that is not there.
import { spawnSync } from 'node:child_process';
import { expect, it } from 'vitest';

it('every row is pinned or waits for an issue', () => {
  const done = spawnSync(process.execPath, ['scripts/spec-table.mjs'], { encoding: 'utf8' });
  expect([done.status, done.stderr]).toEqual([0, '']);
});
