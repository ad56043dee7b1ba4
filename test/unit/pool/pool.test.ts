// A pool of kernels in workers: results in order, sums, fresh kernels, failures that stay apart.
import { availableParallelism } from 'node:os';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createKernelPool, type KernelPool, WorkloadError } from '../../../host/index.ts';

const WORK = new URL('./workloads.mjs', import.meta.url);

interface Forks {
  tasks: number;
  last: number;
  list: number[];
}

describe('a pool of two', () => {
  let pool: KernelPool;
  beforeAll(async () => {
    pool = await createKernelPool({ workers: 2, boot: { pidMax: 1000 } });
  });
  afterAll(() => pool.close());

  test('every workload has a kernel that has just booted', async () => {
    expect(pool.size).toBe(2);
    const results = await pool.map<Forks>(WORK, [1, 2, 3, 4, 5]);
    const values = results.map((r) => (r.status === 'fulfilled' ? r.value : undefined));
    expect(values.map((v) => v?.tasks)).toEqual([2, 3, 4, 5, 6]);
    expect(values.map((v) => v?.last)).toEqual([2, 3, 4, 5, 6]);
  });

  test('boot parameters are the pool’s', async () => {
    const { tasks } = await pool.run<Forks>(WORK, 1200);
    expect(tasks).toBe(999);
  });

  test('results come in the order of the inputs, whoever is first', async () => {
    const results = await pool.map<number>(WORK, [60, 1, 30, 0], 'later');
    expect(results).toEqual([60, 1, 30, 0].map((value) => ({ status: 'fulfilled', value })));
  });

  test('sums add up field by field', async () => {
    expect(await pool.sum(WORK, [1, 2, 3])).toEqual({ tasks: 9, last: 9, list: [6, 3] });
    expect(await pool.sum(WORK, [], 'later')).toBeUndefined();
    await expect(pool.sum(WORK, [1], 'fail')).rejects.toThrow('on purpose');
  });

  test('a workload that throws fails alone, with its own error as the cause', async () => {
    const [bad, good] = await pool
      .map(WORK, [1], 'fail')
      .then(async (r) => [r[0]!, await pool.run<Forks>(WORK, 1)]);
    const { reason } = bad as PromiseRejectedResult;
    expect(reason).toBeInstanceOf(WorkloadError);
    expect(reason.message).toBe('RangeError: on purpose');
    expect(reason.cause).toMatchObject({ name: 'RangeError', message: 'on purpose' });
    expect(reason.cause.stack).toContain('workloads.mjs');
    expect(good).toMatchObject({ tasks: 2 });
  });

  test('a worker that ends is replaced', async () => {
    for (const one of await pool.map(WORK, [0, 1, 2], 'end')) {
      expect(one).toMatchObject({ status: 'rejected', reason: expect.any(WorkloadError) });
    }
    expect(await pool.run<Forks>(WORK, 2)).toMatchObject({ tasks: 3 });
  });

  test.each<[string, () => Promise<unknown>, RegExp]>([
    ['a module that is not there', () => pool.run(new URL('./none.mjs', WORK)), /none\.mjs/],
    ['an export that is not there', () => pool.run(WORK, 0, 'nobody'), /exports no nobody\(\)/],
    ['an export that cannot be called', () => pool.run(WORK, 0, 'notAFunction'), /exports no/],
    ['a result that cannot be copied', () => pool.run(WORK, 0, 'uncopied'), /could not be cloned/],
    ['an input that cannot be copied', () => pool.run(WORK, () => 1), /could not be cloned/],
  ])('%s fails', async (_, run, message) => {
    await expect(run()).rejects.toThrow(message);
    expect(await pool.run<Forks>(WORK, 1)).toMatchObject({ tasks: 2 });
  });

  test('what cannot be added is refused', async () => {
    const mixed = pool.sum(new URL('data:text/javascript,export default (k, i) => i'), [1, 'a']);
    await expect(mixed).rejects.toThrow(/only numbers/);
  });
});

test('a closed pool runs nothing, and what it was running fails', async () => {
  const pool = await createKernelPool({ workers: 1 });
  const running = [5000, 5000].map((ms) => pool.run(WORK, ms, 'later'));
  const ends = Promise.allSettled(running);
  await pool.close();
  await pool.close();
  expect((await ends).map(({ status }) => status)).toEqual(['rejected', 'rejected']);
  await expect(pool.run(WORK, 1)).rejects.toThrow('the pool is closed');
});

test('a pool has a kernel for each core, or as many as are asked for', async () => {
  const pool = await createKernelPool();
  expect(pool.size).toBe(availableParallelism());
  await pool.close();
  for (const workers of [0, -1, 1.5, Number.NaN]) {
    await expect(createKernelPool({ workers })).rejects.toThrow(RangeError);
  }
});
