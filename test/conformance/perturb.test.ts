// A replay that echoed its log would agree with everything. Protects the comparison itself: facts
// of recorded logs are changed one by one, and nearly all changes must be noticed near their line.
import { expect, test } from 'vitest';
import { perturb } from '../../host/replay/perturb.ts';
import { openSource } from '../../host/trace/source.ts';

const NAMES = [
  'sh_jobs_f.strace.gz',
  'killstorm_60.strace.gz',
  'py_mp_fork.strace.gz',
  'stopcont_f.strace.gz',
  'subreaper_f.strace.gz',
  'pidfd_f.strace.gz',
  'sh_pipes_ff.strace-ff.tar.gz',
];
const CHANGES = 60;

test.each(NAMES)('%s: changed facts are noticed', async (name) => {
  const source = await openSource([`test/traces/${name}`]);
  const report = await perturb(source, name, 11, CHANGES);
  source.close();
  expect(report.changed).toBeGreaterThan(20);
  expect(report.missed.length, report.missed.join('\n')).toBeLessThanOrEqual(1);
});

test('the same seed changes the same facts', async () => {
  const source = await openSource(['test/traces/orphan_f.strace.gz']);
  const first = await perturb(source, 'orphan', 3, 10);
  const again = await perturb(source, 'orphan', 3, 10);
  source.close();
  expect(again).toEqual(first);
});
