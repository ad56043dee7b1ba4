// Protects: the hot paths: no operation costs more than 3 % more instructions than the committed
// count, and audit that has nothing to log costs at most 3 %. Counting needs wasm2c, cc and
// valgrind; counts of other versions of those are not compared.
import { beforeAll, describe, expect, it } from 'vitest';
import { committed, countInstructions, missingTools, tools } from '../../bench/instructions.ts';
import { type Counts, TOLERANCE } from '../../bench/instructions.ts';

const missing = missingTools();
const held = committed();
const comparable = JSON.stringify(tools()) === JSON.stringify(toolsOf(held));

function toolsOf({ compiler, wasm2c }: typeof held): ReturnType<typeof tools> {
  return { compiler, wasm2c };
}

const title = missing.length ? `(skipped: no ${missing.join(', no ')})` : 'of the release kernel';

describe.skipIf(missing.length > 0)(`instructions ${title}`, () => {
  let counts: Counts;

  beforeAll(() => {
    counts = countInstructions();
  });

  it('are counted for every operation that has a committed number', () => {
    expect(Object.keys(counts)).toEqual(Object.keys(held.counts));
  });

  it.skipIf(!comparable)(
    comparable ? 'have not risen' : `are compared with ${held.compiler}, ${held.wasm2c} only`,
    () => {
      const risen = Object.entries(counts).filter(
        ([name, count]) => count > held.counts[name]! * TOLERANCE,
      );
      expect(risen).toEqual([]);
    },
  );

  it.each(['getppid', 'fork+exit+wait'])('of %s rise little when a rule speaks of others', (op) => {
    const plain = counts[op === 'getppid' ? 'trap getppid' : op]!;
    expect(counts[`audited ${op}`]! / plain).toBeLessThanOrEqual(TOLERANCE);
  });
});
