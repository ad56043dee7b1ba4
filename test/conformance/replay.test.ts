// Protects: a recorded trace gives in the kernel what Linux gave. Every trace is read whole, its
// counters add up, and no more calls diverge than the table says, each of which waits for a
// subsystem that is not there yet.
import { existsSync, readdirSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { replayTrace } from '../../host/replay.ts';
import type { ReplayResult } from '../../host/replay/result.ts';
import { openSource } from '../../host/trace/source.ts';
import known from './known-divergences.json' with { type: 'json' };

const TRACES = 'test/traces';
const names = readdirSync(TRACES).filter((name) => /\.strace(\.gz|\.zst|-ff\.tar\.gz)$/.test(name));
const budget = known as Record<string, number>;

async function replay(path: string): Promise<{ result: ReplayResult; findings: string[] }> {
  const source = await openSource([path]);
  const { result, kernel } = await replayTrace(source, path);
  source.close();
  return { result, findings: kernel.check() };
}

describe.each(names)('%s', (name) => {
  it('is read whole, adds up, and diverges where it is known to', async () => {
    const { result, findings } = await replay(`${TRACES}/${name}`);
    const { lines } = result;
    expect(lines.calls + lines.signals + lines.exits + lines.other + lines.unparsed).toBe(
      lines.total,
    );
    expect(lines.unparsed).toBe(0);
    const { emulated, assisted, unmodelled, injected, matched, diverged, blind } = result;
    expect(emulated + assisted + unmodelled + injected).toBe(result.calls);
    expect(matched + diverged + blind).toBe(emulated + assisted);
    expect(findings).toEqual([]);
    expect(result.divergences.length).toBeLessThanOrEqual(budget[name] ?? 0);
  });
});

describe('the shipped example', () => {
  it('matches whole', async () => {
    expect(existsSync('examples/jobs.strace.gz')).toBe(true);
    const { result } = await replay('examples/jobs.strace.gz');
    expect(result.divergences).toEqual([]);
    expect(result.matched).toBeGreaterThan(700);
  });
});
