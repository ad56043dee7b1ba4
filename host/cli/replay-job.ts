// The workload of `bulkhead replay --each`: one trace in a worker's kernel.
import type { Kernel } from '../kernel.ts';
import { type OneReplayed, replayOne } from './replay.ts';
import type { ReplayJob } from './replay-each.ts';

export default function replayJob(kernel: Kernel, job: ReplayJob): Promise<OneReplayed> {
  return replayOne(kernel, job.name, job.values, job.colour);
}
