// Lines that repeat are compared every time, and what a replay reads and keeps grows with the log
// by no more than it must.
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { writeLog } from '../../../host/bench/replay-bench.ts';
import { replayTrace } from '../../../host/replay.ts';
import { IndexBuilder, isTelling } from '../../../host/trace/index.ts';
import { openSource } from '../../../host/trace/source.ts';
import { StraceLog } from '../../../host/trace/strace.ts';
import { replayLog } from './log.ts';

const BLOCK = '100 rt_sigprocmask(SIG_BLOCK, [CHLD], [], 8) = 0';
const CLEAR = '100 rt_sigprocmask(SIG_SETMASK, [], NULL, 8) = 0';
const ACTION =
  '100 rt_sigaction(SIGINT, {sa_handler=SIG_IGN, sa_mask=[], sa_flags=0}, ' +
  '{sa_handler=SIG_IGN, sa_mask=[], sa_flags=0}, 8) = 0';
const LIMIT =
  '100 prlimit64(0, RLIMIT_STACK, NULL, {rlim_cur=8192*1024, rlim_max=RLIM64_INFINITY}) = 0';
const round = [BLOCK, CLEAR, ACTION, LIMIT];
const rounds = (count: number): string[] => Array.from({ length: count }, () => round).flat();

describe('lines that repeat', () => {
  it('match as often as they come', async () => {
    const { result, wrong } = await replayLog(rounds(50).join('\n'));
    expect(wrong).toEqual([]);
    expect(result.byCall['rt_sigprocmask']).toMatchObject({ calls: 100, matched: 100 });
    expect(result.byCall['prlimit64']).toMatchObject({ calls: 50, emulated: 50 });
    expect(result.events).toBe(201);
  });

  it('are told from one that differs in a digit', async () => {
    const lines = rounds(20);
    lines[62] = ACTION.replace('{sa_handler=SIG_IGN', '{sa_handler=SIG_DFL');
    lines[75] = LIMIT.replace('8192', '4096');
    const { wrong, adopted } = await replayLog(lines.join('\n'));
    // an action that is set differently is not the one that the next line shows as the old one; a
    // limit that differs is taken for one from before the log, and the next line is not true then
    expect(wrong.map((text) => text.split(':')[0])).toEqual(['68', '81']);
    expect(adopted['limit from before the log']).toBe(1);
  });

  it('diverge where the same line is not true any more', async () => {
    const lines = rounds(20);
    lines.splice(40, 0, '100 rt_sigprocmask(SIG_BLOCK, [USR1], [], 8) = 0');
    const { wrong, result } = await replayLog(lines.join('\n'));
    expect(wrong).toHaveLength(1);
    expect(wrong[0]).toMatch(/^43: 0 \| set 0x200, recorded 0x0/);
    expect(result.divergences[0]?.history).toContain('42: rt_sigprocmask = 0');
  });
});

describe('calls in two halves that repeat', () => {
  const HALF = '100 rt_sigprocmask(SIG_BLOCK, [CHLD],  <unfinished ...>';
  const REST = '100 <... rt_sigprocmask resumed>[CHLD], 8) = 0';
  const OTHER = '101 getpid() = 101';
  const pairs = (count: number): string[] =>
    Array.from({ length: count }, () => [HALF, OTHER, REST]).flat();
  const START = [
    '100 clone(child_stack=NULL, flags=SIGCHLD) = 101',
    '100 rt_sigprocmask(SIG_SETMASK, [CHLD], NULL, 8) = 0',
  ];

  it('match as often as they come', async () => {
    const { result, wrong } = await replayLog([...START, ...pairs(20)].join('\n'));
    expect(wrong).toEqual([]);
    expect(result.byCall['rt_sigprocmask']).toMatchObject({ calls: 21, matched: 21 });
  });

  it('are told from one with another result, and from one that is not true any more', async () => {
    const lines = [...START, ...pairs(20)];
    lines[31] = REST.replace('= 0', '= 14');
    lines.splice(44, 0, '100 rt_sigprocmask(SIG_SETMASK, [], NULL, 8) = 0');
    const { wrong } = await replayLog(lines.join('\n'));
    expect(wrong.map((text) => text.split(':')[0])).toEqual(['33', '49']);
  });
});

describe('what a replay of a shell loop reads and keeps', () => {
  async function measure(programs: number) {
    const folder = mkdtempSync(join(tmpdir(), 'bulkhead-'));
    try {
      const path = join(folder, 'log.strace');
      const lines = writeLog(path, programs * 32);
      const source = await openSource([path]);
      const builder = new IndexBuilder();
      let decoded = 0;
      const sink = {
        line: (line: Parameters<IndexBuilder['add']>[0]) => {
          decoded += 1;
          builder.add(line);
        },
        takesPlain: (name: string) => !isTelling(name),
        plain: (call: Parameters<IndexBuilder['addPlain']>[0]) => builder.addPlain(call),
      };
      await new StraceLog(source).each(sink, () => false);
      const { splits } = builder.finish();
      let read = 0;
      const { chunksNow } = source.files[0]!;
      source.files[0]!.chunksNow = function* () {
        for (const chunk of chunksNow!()) {
          read += chunk.length;
          yield chunk;
        }
      };
      const { result } = await replayTrace(source, path);
      source.close();
      expect(result.divergences).toEqual([]);
      expect(result.lines.total).toBe(lines);
      const size = statSync(path).size;
      return { lines, decoded, splits: splits.size, table: splits.tableBytes, read: read / size };
    } finally {
      rmSync(folder, { recursive: true });
    }
  }

  it('is each byte twice, four lines of ten, and a few bytes for a split call', async () => {
    const one = await measure(500);
    const two = await measure(1000);
    expect(one.read).toBe(2);
    expect(two.read).toBe(2);
    expect(one.decoded / one.lines).toBeLessThan(0.4);
    expect(two.decoded - one.decoded).toBeLessThanOrEqual(one.decoded);
    expect(two.splits).toBe(2 * one.splits);
    expect(two.table / two.splits).toBeLessThanOrEqual(64);
  });
});
