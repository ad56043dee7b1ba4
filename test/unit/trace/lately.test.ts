// What is remembered of repeating texts: bounded, and never another text's tree.
import { describe, expect, it } from 'vitest';
import { History } from '../../../host/replay/history.ts';
import { Lately } from '../../../host/trace/lately.ts';
import { parseArgs } from '../../../host/trace/strace.ts';

describe('what came lately', () => {
  it('is bounded, whatever comes', () => {
    const lately = new Lately<number, number>(100);
    for (let i = 0; i < 10_000; ++i) {
      lately.set(i, i);
      expect(lately.size).toBeLessThanOrEqual(200);
    }
    expect(lately.get(9_999)).toBe(9_999);
    expect(lately.get(1)).toBeUndefined();
  });

  it('keeps what is asked for', () => {
    const lately = new Lately<string, number>(10);
    lately.set('asked for', 1);
    for (let i = 0; i < 1000; ++i) {
      lately.set(`passing ${i}`, i);
      expect(lately.get('asked for')).toBe(1);
    }
  });

  it('gives the same tree for the same text, and another for another', () => {
    const text = 'SIG_BLOCK, [CHLD], [], 8';
    const tree = parseArgs(text);
    expect(parseArgs(`${text} `.trim())).toBe(tree);
    expect(parseArgs('SIG_BLOCK, [INT], [], 8')).not.toEqual(tree);
    for (let i = 0; i < 20_000; ++i) parseArgs(`${i}, [CHLD]`);
    expect(parseArgs(text)).toEqual(tree);
  });
});

describe('the last events of a task', () => {
  it('are five, in order', () => {
    const history = new History();
    expect(history.texts()).toEqual([]);
    for (let i = 1; i <= 12; ++i) history.note(i, 'close', i === 11 ? '-1 EBADF' : 0);
    history.note(13, 'SIGCHLD');
    expect(history.texts()).toEqual([
      '9: close = 0',
      '10: close = 0',
      '11: close = -1 EBADF',
      '12: close = 0',
      '13: SIGCHLD',
    ]);
    history.clear();
    expect(history.texts()).toEqual([]);
  });
});
