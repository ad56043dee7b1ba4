// One benchmark of one variant, in a process of its own: makes the machine, runs, prints one line.
import { readFileSync } from 'node:fs';
import type { Outcome } from './benches.ts';
import { runBench } from './benches.ts';
import { twinKernel } from './clang-wasm.ts';
import { DirectMachine } from './direct-machine.ts';
import { benchKernel, KernelMachine } from './kernel-machine.ts';
import type { Machine } from './machine.ts';
import { ObjectMachine } from './objects.ts';
import { poolBench } from './pool-bench.ts';
import { replayBench } from './replay-bench.ts';
import type { Job } from './runner.ts';
import { TunedMachine } from './tuned.ts';

async function machineOf({ variant, program }: Job): Promise<Machine> {
  if (variant === 'objects') return new ObjectMachine();
  if (variant === 'tuned') return new TunedMachine();
  if (variant === 'clang-wasm') return twinKernel(readFileSync(program!));
  if (variant === 'direct') return new DirectMachine(await benchKernel());
  return KernelMachine.create(variant === 'batch');
}

/** From nothing to a machine that takes calls: the module read, compiled, instantiated, booted. */
async function startup(job: Job): Promise<Outcome> {
  const started = performance.now();
  const m = await machineOf(job);
  const ns = (performance.now() - started) * 1e6;
  return { checksum: m.checksum(0).toString(16).padStart(8, '0'), rows: { '': [ns] } };
}

export async function runJob(job: Job): Promise<void> {
  let outcome: Outcome;
  if (job.kind === 'startup') outcome = await startup(job);
  else if (job.kind === 'replay') outcome = await replayBench(job.task.a, job.task.samples);
  else if (job.kind === 'pool') outcome = await poolBench(job.task.a, job.task.samples);
  else outcome = runBench(await machineOf(job), job.task);
  console.log(JSON.stringify(outcome));
}
