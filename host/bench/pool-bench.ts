// One kernel against two in workers of their own, on the same work each: what a second core adds.
import { createKernelPool, type KernelPool } from '../pool.ts';
import type { Outcome } from './benches.ts';

const WORKLOAD = new URL('../dist/bench-workload.js', import.meta.url);

interface Took {
  /** nanoseconds for one triple, all workers taken together */
  wall: number;
  /** ... of processor time */
  cpu: number;
}

async function timed(pool: KernelPool, n: number, workers: number): Promise<Took> {
  const used = process.cpuUsage();
  const started = performance.now();
  const inputs = Array.from({ length: workers }, () => n);
  const done = await pool.sum<{ triples: number; sum: number }>(WORKLOAD, inputs);
  if (done?.triples !== n * workers) throw new Error('a workload got lost');
  const wall = ((performance.now() - started) * 1e6) / done.triples;
  const { user, system } = process.cpuUsage(used);
  return { wall, cpu: ((user + system) * 1000) / done.triples };
}

/** Alternates: one worker, then two. */
export async function poolBench(n: number, samples: number): Promise<Outcome> {
  const pool = await createKernelPool({ workers: 2, boot: { events: 0, pidMax: 4194304 } });
  const names = ['', 'two kernels', 'cpu', 'cpu, two kernels'] as const;
  const rows: Record<string, number[]> = Object.fromEntries(names.map((name) => [name, []]));
  try {
    for (let pass = 0; pass <= samples; ++pass) {
      const one = await timed(pool, n, 1);
      const two = await timed(pool, n, 2);
      if (!pass) continue;
      const samples = [one.wall, two.wall, one.cpu, two.cpu];
      names.forEach((name, i) => rows[name]!.push(samples[i]!));
    }
  } finally {
    await pool.close();
  }
  return { checksum: '', rows };
}
