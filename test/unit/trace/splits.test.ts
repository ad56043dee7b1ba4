// Calls in two halves: what the first pass keeps of them, and how little that is in memory.
import { describe, expect, it } from 'vitest';
import { SplitCalls } from '../../../host/trace/splits.ts';
import { StraceContext, StraceReader } from '../../../host/trace/strace.ts';

/** The second half of a call, as the reader joins it with the first one. */
function halves(name: string, first: string, rest: string) {
  const reader = new StraceReader(new StraceContext());
  reader.read(`7  ${name}(${first} <unfinished ...>`);
  const line = reader.read(`7  <... ${name} resumed>${rest}`);
  expect(line.kind).toBe('resumed');
  return line;
}

describe('split calls', () => {
  it('are found by their first half, with all that both halves say', () => {
    const splits = new SplitCalls();
    splits.add(3, halves('read', '3, ', '"a\\0b\xff", 16) = 4'));
    splits.add(9, halves('wait4', '-1, ', '0x7ffc, 0, NULL) = ? ERESTARTSYS (To be restarted)'));
    splits.add(5, halves('kill', '4, ', 'SIGTERM) = -1 ESRCH (No such process)'));
    splits.add(70, halves('mmap', 'NULL, ', '4096) = 0xffffffffff600000'));
    splits.add(71, halves('exit', '0', ') = ?'));
    expect(splits.get(3)).toMatchObject({
      argText: '3, "a\\0b\xff", 16',
      retKind: 'value',
      ret: 4,
    });
    expect(splits.get(3)?.args.map((node) => node.kind)).toEqual(['int', 'str', 'int']);
    expect(splits.get(9)).toMatchObject({ retKind: 'restart', errno: 'ERESTARTSYS' });
    expect(splits.get(9)?.ret).toBeUndefined();
    expect(splits.get(5)).toMatchObject({ retKind: 'error', ret: -1, errno: 'ESRCH' });
    expect(splits.get(5)?.retText).toBe('-1 ESRCH (No such process)');
    expect(splits.get(70)?.ret).toBe(0xffffffffff600000n);
    expect(splits.get(71)).toMatchObject({ retKind: 'unknown', argText: '0' });
    for (const seq of [1, 2, 4, 8, 72, 3 + 4096]) expect(splits.get(seq)).toBeUndefined();
    expect(splits.size).toBe(5);
    splits.close();
  });

  it('cost a few bytes each in the tables, whether they repeat or not', () => {
    const splits = new SplitCalls();
    const count = 50_000;
    for (let i = 1; i <= count; ++i) {
      const text = i % 2 ? 'the same' : `another, ${i}`;
      splits.add(i * 17, halves('write', '1, ', `"${text}") = ${i % 2}`));
    }
    expect(splits.size).toBe(count);
    expect(splits.tableBytes / count).toBeLessThanOrEqual(64);
    for (let i = count; i >= 1; i -= 7) {
      const text = i % 2 ? 'the same' : `another, ${i}`;
      expect(splits.get(i * 17)?.argText).toBe(`1, "${text}"`);
    }
    expect(splits.get(17)?.args).toBe(splits.get(3 * 17)?.args);
    expect(splits.get(17)?.retText).toBe('1');
    splits.close();
  });
});
