// Sets without times (`-ff`): a log whose order is known, torn into one file a task, must still be
// replayed as the kernel ran it. Protects the schedule of host/replay/unordered.ts.
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { afterAll, expect, test } from 'vitest';
import { replayTrace } from '../../host/replay.ts';
import { openSource } from '../../host/trace/source.ts';

const traces = new URL('../traces/', import.meta.url);
const root = mkdtempSync(join(tmpdir(), 'bulkhead-sets-'));
afterAll(() => rmSync(root, { recursive: true }));

/** Joins the halves of split calls and gives each task a file of its own. */
function tear(name: string): string[] {
  const text = gunzipSync(readFileSync(new URL(`${name}.strace.gz`, traces))).toString('latin1');
  const files = new Map<string, string[]>();
  const open = new Map<string, string>();
  for (const line of text.split('\n')) {
    const hit = /^(?:\[pid +)?(\d+)\]? +(?:\d+:\d+:\d+(?:\.\d+)? )?(.*)$/.exec(line);
    if (!hit) continue;
    const [, pid = '', body = ''] = hit;
    const lines = files.get(pid) ?? [];
    files.set(pid, lines);
    const resumed = /^<\.\.\. (\S+) resumed>(.*)$/.exec(body);
    const unfinished = /^(.*?) ?<unfinished \.\.\.>$/.exec(body);
    if (unfinished && !resumed) {
      open.set(pid, unfinished[1] ?? '');
      continue;
    }
    const half = open.get(pid);
    open.delete(pid);
    if (resumed) {
      const whole = (half ?? `${resumed[1]}(`) + resumed[2];
      lines.push(whole.replace(/<unfinished \.\.\.>\)?$/, ') = ?'));
      continue;
    }
    if (half !== undefined && body.startsWith('+++')) lines.push(`${half}) = ?`);
    else if (half !== undefined) open.set(pid, half);
    lines.push(body);
  }
  for (const [pid, half] of open) files.get(pid)?.push(`${half} <unfinished ...>`);
  const dir = join(root, name);
  mkdirSync(dir);
  for (const [pid, lines] of files) writeFileSync(join(dir, `t.${pid}`), `${lines.join('\n')}\n`);
  return readdirSync(dir).map((file) => join(dir, file));
}

const NAMES = [
  'chain_60',
  'forktree_5',
  'git_ops_dev',
  'killstorm_60',
  'ltp_fork01',
  'ltp_waitpid01',
  'make_fail',
  'orphan_f',
  'sh_jobs_f',
  'sh_monitor',
  'sigs_f',
  'spawns_f',
  'stopcont_f',
  'stressng_fork',
  'subreaper_f',
];

test.each(NAMES)('%s, torn into files without times', async (name) => {
  const source = await openSource(tear(name));
  const { result, kernel } = await replayTrace(source, name);
  source.close();
  expect(source.isSet).toBe(true);
  expect(result.divergences).toEqual([]);
  expect(result.matched).toBeGreaterThan(30);
  expect(kernel.check()).toEqual([]);
});
