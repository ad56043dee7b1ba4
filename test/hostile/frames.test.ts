// Protects: no frame, however wild, panics the kernel or breaks an invariant.
import { expect, it } from 'vitest';
import { NR_OPS } from '../../assembly/uapi/op.ts';
import { createKernel, DISP_NEED } from '../../host/index.ts';

const RUNS = Number(process.env.BULKHEAD_RUNS ?? 300) * 200;
const SEED = Number(process.env.BULKHEAD_SEED ?? 20170814);

/** xorshift32: the same frames for the same seed. */
function random(seed: number): () => number {
  let x = seed | 0 || 1;
  return () => {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    return x >>> 0;
  };
}

it.each(['release', 'debug'] as const)(`${RUNS} random frames on the %s kernel`, async (target) => {
  const k = await createKernel({ target, boot: { pidMax: 600, nofile: 64 } });
  const next = random(SEED);
  const small = (): number => [next() % 8, next() % 64, -1, next(), -(next() % 300)][next() % 5]!;
  let done = 0;
  for (let i = 0; i < RUNS; ++i) {
    const frame = k.frame.begin(1 + (next() % 12), 0, next() % (NR_OPS + 2));
    for (let a = 0; a < 6; ++a) frame.setArg(a, small());
    frame.window(next() % 64, 256, 'rw');
    let disposition = k.trap();
    if (disposition === DISP_NEED) {
      frame.window(frame.needAddr, Math.min(frame.needLen, 64), next() % 2 ? 'unmapped' : 'rw');
      disposition = k.trap();
    }
    if (disposition === 0) done += 1;
    // a machine whose init is gone or stopped has nothing left to try: the next one
    const init = k.task(1)?.state;
    if (init === 'Z' || init === 'T') {
      expect(k.check(), `machine that ended at frame ${i}`).toEqual([]);
      k.boot({ pidMax: 600, nofile: 64 });
      continue;
    }
    k.abortCall(1 + (next() % 40));
    if (init === 'S' && next() % 4 === 0) k.abortCall(1);
    if (next() % 4 === 0) k.exitToUser(1 + (next() % 40));
    if (next() % 16 === 0) k.runPending(2);
    if (next() % 16 === 0) k.runWoken(4);
    if (i % 64 === 0) k.events();
    if (i % (target === 'debug' ? 500 : 2000) === 0)
      expect(k.check(), `after frame ${i}`).toEqual([]);
  }
  expect(k.check()).toEqual([]);
  expect(done).toBeGreaterThan(RUNS / 50);
});
