// What a pool's kernels do in the benchmark of pools: fork, exit, wait.
import type { Kernel } from '../kernel.ts';
import { KernelMachine } from './kernel-machine.ts';

/** `n` triples. Return: how many there were, and the sum of the children's numbers. */
export default function triples(kernel: Kernel, n: number): { triples: number; sum: number } {
  const m = new KernelMachine(kernel);
  let sum = 0;
  for (let i = 0; i < n; ++i) {
    const child = m.fork(1);
    m.end(child, 7);
    sum += m.wait(1, child);
  }
  return { triples: n, sum };
}
