// Protects: the whole life of processes and containers through the public API, on every target:
// fork, wait, kill, orphans, a container whose init's end takes its members along.
import { beforeEach, describe, expect, it } from 'vitest';
import * as OP from '../../../assembly/uapi/op.ts';
import {
  createKernel,
  DISP_BLOCKED,
  DISP_DONE,
  DISP_EXITED,
  type Kernel,
} from '../../../host/index.ts';

describe.each(['release', 'debug', 'smp'] as const)('%s kernel', (target) => {
  let k: Kernel;
  const call = (tid: number, op: number, ...args: number[]): number => {
    k.frame.begin(tid, 0, op);
    args.forEach((arg, i) => k.frame.setArg(i, arg));
    const frame = k.frame;
    const disposition = k.trap();
    if (disposition === DISP_BLOCKED) return Number.NaN;
    return disposition === DISP_DONE ? frame.result : -1000 - disposition;
  };
  const create = (tid: number, name: string, flags = 0): number => {
    k.frame.begin(tid, 0, OP.OP_CONTAINER_CREATE).setArg(0, 0x1000).setArg(1, flags);
    k.frame.window(0x1000, new TextEncoder().encode(`${name}\0`), 'r');
    expect(k.trap()).toBe(DISP_DONE);
    return k.frame.result;
  };

  beforeEach(async () => {
    k = await createKernel({ target });
    return () => expect(k.check()).toEqual([]);
  });

  it('forks, exits and is waited for', () => {
    expect(call(1, OP.OP_FORK)).toBe(2);
    expect(call(2, OP.OP_GETPPID)).toBe(1);
    expect(call(1, OP.OP_WAIT4, -1, 0, 0, 0)).toBeNaN();
    expect(call(2, OP.OP_EXIT_GROUP, 7)).toBe(-1000 - DISP_EXITED);
    expect(k.woken()).toEqual([1]);
    expect(k.resume(1)).toBe(DISP_DONE);
    expect(k.frameOf(1)?.result).toBe(2);
    expect(k.counts().tasks).toBe(1);
  });

  it('gives orphans to init', () => {
    call(1, OP.OP_FORK);
    call(2, OP.OP_FORK);
    call(2, OP.OP_EXIT_GROUP, 0);
    expect(call(3, OP.OP_GETPPID)).toBe(1);
  });

  it('kills what is in a container whose init ends, nested containers too', () => {
    const before = k.counts();
    const fd = create(1, 'outer');
    expect(call(1, OP.OP_FORK_INTO_CONTAINER, fd)).toBe(2);
    const inner = create(2, 'inner');
    expect(call(2, OP.OP_FORK_INTO_CONTAINER, inner)).toBe(3);
    expect(call(3, OP.OP_FORK)).toBe(4);
    call(2, OP.OP_EXIT_GROUP, 0);
    expect(k.containers().map((c) => c.flags)).toEqual([1, 3, 3]);
    expect(call(4, OP.OP_FORK)).toBe(-125);
    expect(k.runPending()).toBe(2);
    for (const pid of [2, 3, 4]) expect(call(1, OP.OP_WAIT4, pid, 0, 0, 0)).toBe(pid);
    expect(call(1, OP.OP_CLOSE, fd)).toBe(0);
    expect(k.counts()).toEqual(before);
  });

  it('goes back to a snapshot', () => {
    call(1, OP.OP_FORK);
    const snapshot = k.snapshot();
    const before = k.tasks();
    call(2, OP.OP_EXIT_GROUP, 1);
    call(1, OP.OP_FORK);
    k.restore(snapshot);
    expect(k.tasks()).toEqual(before);
    expect(() => k.restore(snapshot.subarray(1))).toThrow(/not a snapshot/);
  });

  it('leaves the same bytes for the same calls', async () => {
    const other = await createKernel({ target });
    for (const kernel of [k, other]) {
      kernel.frame.begin(1, 0, OP.OP_FORK);
      kernel.trap();
    }
    expect(Buffer.from(k.snapshot()).equals(Buffer.from(other.snapshot()))).toBe(true);
  });
});
