// Protects: what a call wrote is found in the windows of its frame, at any guest address; nothing
// is found where no window is.
import { beforeEach, expect, it } from 'vitest';
import { createKernel, type Kernel } from '../../../host/index.ts';

let k: Kernel;
beforeEach(async () => {
  k = await createKernel();
});

/** Addresses below and above what a double holds exactly, and one of the upper half. */
it.each([0x1000n, 0x7fff_ffff_f000n, 0x20_0000_0000_0001n, 0xffff_8000_0000_0000n])(
  'windows at %s',
  (at) => {
    const frame = k.frame.begin(1, 0, 0).window(at, Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8), 'rw');
    expect([...frame.output(at, 8)!]).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
    expect([...frame.output(at + 3n, 2)!]).toEqual([4, 5]);
    for (const [addr, length] of [
      [at - 1n, 1],
      [at - 4n, 8],
      [at + 1n, 8],
      [at + 8n, 1],
    ] as const) {
      expect(frame.output(addr, length)).toBeUndefined();
    }
  },
);

it('numbers and BigInts are the same address', () => {
  const frame = k.frame.begin(1, 0, 0).window(0x2000, 4, 'w').window(0x1000, 4, 'w');
  expect(frame.output(0x1000, 4)).toEqual(frame.output(0x1000n, 4));
  expect(frame.output(0x1ffe, 4)).toBeUndefined();
});
