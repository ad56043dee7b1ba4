// A worker of a pool: one kernel, booted anew for each workload.
import { parentPort, workerData } from 'node:worker_threads';
import { createKernel, type Kernel } from './kernel.ts';
import type { WorkerData, WorkloadAnswer, WorkloadMessage } from './pool.ts';

type Workload = (kernel: Kernel, input: unknown) => unknown;

const { boot, target } = workerData as WorkerData;
let kernel: Kernel | undefined;

/** The kernel of the last workload, started again; after a failure a new one. */
async function freshKernel(): Promise<Kernel> {
  const options = { target, ...(boot ? { boot } : {}) };
  if (kernel) kernel.boot(boot);
  else kernel = await createKernel(options);
  return kernel;
}

async function answer({ module, name, input }: WorkloadMessage): Promise<WorkloadAnswer> {
  try {
    const exported = ((await import(module)) as Record<string, unknown>)[name];
    if (typeof exported !== 'function') throw new TypeError(`${module} exports no ${name}()`);
    return { value: await (exported as Workload)(await freshKernel(), input) };
  } catch (thrown) {
    kernel = undefined;
    const error = thrown instanceof Error ? thrown : new Error(String(thrown));
    return { error: { name: error.name, message: error.message, stack: error.stack } };
  }
}

parentPort!.on('message', async (message: WorkloadMessage) => {
  const reply = await answer(message);
  try {
    parentPort!.postMessage(reply);
  } catch (error) {
    const { name, message: text, stack } = error as Error;
    parentPort!.postMessage({ error: { name, message: text, stack } } satisfies WorkloadAnswer);
  }
});
