// Mangled audit logs: whatever the bytes, no exception, every line counted once, a sound kernel.
import * as fs from 'node:fs';
import * as zlib from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { AuditStream } from '../../host/trace/audit.ts';
import { replayTrace } from '../../host/replay.ts';
import { sourceOf } from '../unit/audit/records.ts';

const SEED = 20210113;
const RUNS = Number(process.env['BULKHEAD_RUNS'] ?? 300);
const LOGS = ['audit_pipes.audit.gz', 'audit_pipes_i.ausearch.gz'].map((name) =>
  zlib
    .gunzipSync(fs.readFileSync(`test/traces/${name}`))
    .toString('latin1')
    .split('\n')
    .slice(0, -1),
);

async function digest(lines: string[]): Promise<void> {
  const { result, kernel } = await replayTrace(sourceOf(lines), 'mangled', { format: 'audit' });
  const { total, calls, signals, exits, other, unparsed } = result.lines;
  expect(total).toBe(lines.length);
  expect(calls + signals + exits + other + unparsed).toBe(total);
  expect(result.emulated + result.assisted + result.unmodelled + result.injected).toBe(
    result.calls,
  );
  expect(result.matched + result.diverged + result.blind).toBe(result.emulated + result.assisted);
  expect(kernel.check()).toEqual([]);
}

const slice = fc.tuple(fc.nat(1), fc.nat(700), fc.integer({ min: 1, max: 60 }));
const linesOf = ([which, from, count]: [number, number, number]): string[] => {
  const log = LOGS[which]!;
  return log.slice(from % log.length, (from % log.length) + count);
};

describe('mangled audit logs', () => {
  it('survive lines that are lost, doubled and moved', async () => {
    await fc.assert(
      fc.asyncProperty(slice, fc.infiniteStream(fc.nat(1 << 20)), async (where, dice) => {
        const lines = linesOf(where);
        const roll = (n: number): number => (dice.next().value as number) % Math.max(n, 1);
        for (let i = 0; i < 12 && lines.length > 1; ++i) {
          const line = lines[roll(lines.length)]!;
          if (roll(3) === 0) lines.splice(roll(lines.length), 1);
          else lines.splice(roll(lines.length), roll(2), line);
        }
        await digest(lines);
      }),
      { seed: SEED, numRuns: Math.ceil(RUNS / 8) },
    );
  });

  it('survive numbers that are others', async () => {
    const number = fc.oneof(
      fc.constantFrom('0', '-1', '4294967295', '18446744073709551615', '4194304', '26970', 'x', ''),
      fc.integer().map(String),
    );
    await fc.assert(
      fc.asyncProperty(
        slice,
        fc.array(number, { minLength: 8, maxLength: 8 }),
        async (at, swap) => {
          let n = 0;
          const lines = linesOf(at).map((line) =>
            line.replace(
              /(pid|exit|syscall|a0|a2|fd0|items|:)=?(?:[0-9a-f]+)/g,
              (all, name: string) => (++n % 5 === 0 ? `${name}=${swap[n % 8]!}` : all),
            ),
          );
          await digest(lines);
        },
      ),
      { seed: SEED, numRuns: Math.ceil(RUNS / 5) },
    );
  });

  it('survive any bytes', async () => {
    const text = fc
      .uint8Array({ maxLength: 400 })
      .map((bytes) => Buffer.from(bytes).toString('latin1').replaceAll('\n', ' '));
    const line = fc.oneof(
      text,
      text.map((tail) => `type=SYSCALL msg=audit(1.000:1): arch=c000003e syscall=56 ${tail}`),
      text.map((tail) => `node=${tail} type=EXECVE msg=audit(1.000:1): a0=${tail}`),
    );
    await fc.assert(fc.asyncProperty(fc.array(line, { maxLength: 12 }), digest), {
      seed: SEED,
      numRuns: Math.ceil(RUNS / 3),
    });
  });

  it('are read in time and space that a long line cannot blow up', async () => {
    const long = 'x'.repeat(3 << 20);
    const hostile = [
      `type=SYSCALL msg=audit(1.000:1): ${' '.repeat(1 << 20)}pid=7`,
      `type=EXECVE msg=audit(1.000:1): ${'a1='.repeat(1 << 19)}`,
      `type=${long} msg=audit(1.000:1): `,
      `node=${long}`,
      `${'kernel: '.repeat(1 << 17)}type=SYSCALL msg=audit(1.000:1): pid=1`,
      `type=CWD msg=audit(1.000:1): cwd="${long}"`,
      `type=PROCTITLE msg=audit(1.000:1): proctitle=${'41'.repeat(1 << 20)}`,
    ];
    const started = performance.now();
    await digest(hostile);
    expect(performance.now() - started).toBeLessThan(5000);
  });

  it('keep at most a handful of events in memory', async () => {
    const never = Array.from({ length: 5000 }, (_, i) => `type=CWD msg=audit(9.000:${i}): cwd="/"`);
    let most = 0;
    let events = 0;
    for await (const batch of new AuditStream(sourceOf(never)).batches()) {
      most = Math.max(most, batch.length);
      events += batch.filter((item) => item.event !== undefined).length;
    }
    expect(events).toBe(5000);
    expect(most).toBeLessThan(5000);
  });
});
