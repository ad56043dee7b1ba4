// The machines of the benchmarks: kernel, tuned and idiomatic objects leave the same checksum
// behind, and one that does something else does not.
import { describe, expect, test } from 'vitest';
import { type Kind, runBench, type Task } from '../../../host/bench/benches.ts';
import { DirectMachine } from '../../../host/bench/direct-machine.ts';
import { benchKernel, KernelMachine } from '../../../host/bench/kernel-machine.ts';
import type { Machine } from '../../../host/bench/machine.ts';
import { ObjectMachine } from '../../../host/bench/objects.ts';
import { TunedMachine } from '../../../host/bench/tuned.ts';

function task(kind: Kind, a: number, b = 0, shuffled = false): Task {
  return { kind, a, b, shuffled, samples: 2 };
}

const TASKS: [string, Task][] = [
  ['trap', task('trap', 100)],
  ['fork', task('fork', 100)],
  ['fork among others', task('fork', 200, 50)],
  ['thread', task('thread', 50)],
  ['kill', task('kill', 10, 40)],
  ['kill, shuffled', task('kill', 10, 40, true)],
  ['cascade', task('cascade', 12)],
  ['cascades, one container each', task('cascade', 1, 12)],
  ['cascades', task('cascade', 4, 12)],
  ['container', task('container', 20)],
  ['enter', task('enter', 20)],
  ['signal', task('signal', 20)],
  ['pid namespaces', task('pidns', 20, 5)],
  ['full', task('full', 60, 20)],
];

describe.each(TASKS)('%s', (_, job) => {
  test('every machine does the same', async () => {
    const kernel = runBench(await KernelMachine.create(), job);
    const direct = new DirectMachine(await benchKernel());
    const others: Machine[] = [direct, new TunedMachine(), new ObjectMachine()];
    for (const m of others) expect(runBench(m, job).checksum).toBe(kernel.checksum);
    expect(Object.values(kernel.rows).every((row) => row.length === job.samples)).toBe(true);
  });
});

test.each(['trap', 'fork'] as const)('batches of %s do what single calls do', async (kind) => {
  for (const job of [task(kind, 100), task(kind, 150, kind === 'fork' ? 8 : 0)]) {
    const single = await KernelMachine.create();
    const many = await KernelMachine.create(true);
    expect(runBench(many, job).checksum).toBe(runBench(single, job).checksum);
    expect(many.kernel.check()).toEqual([]);
  }
});

test('the kernel is sound after every benchmark, and goes back to a snapshot', async () => {
  for (const [, job] of TASKS) {
    const m = await KernelMachine.create();
    runBench(m, job);
    expect(m.kernel.check()).toEqual([]);
  }
  const outcome = runBench(await KernelMachine.create(), task('snapshot', 30));
  expect(outcome.rows.restore).toHaveLength(2);
});

test.each<[string, (m: ObjectMachine) => void]>([
  ['another exit code', (m) => m.end(m.fork(1), 8)],
  ['one task more', (m) => m.fork(1)],
  ['a handler', (m) => m.handle(m.fork(1))],
  ['a container', (m) => m.create(1)],
  ['a pending signal', (m) => m.kill(1, m.fork(1))],
])('the checksum tells of %s', (_, change) => {
  const plain = new ObjectMachine();
  plain.end(plain.fork(1), 7);
  const other = new ObjectMachine();
  change(other);
  expect(other.checksum(0)).not.toBe(plain.checksum(0));
});
