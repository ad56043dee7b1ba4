// Protects: what a host knows of a task that is dead changes nothing: it has no files any more, no
// namespaces, no memory.
import { expect, it } from 'vitest';
import * as OP from '../../../assembly/uapi/op.ts';
import { createKernel } from '../../../host/index.ts';
import { trap } from '../trap.ts';

it('descriptors, names and terminals of a dead task are refused', async () => {
  const k = await createKernel({ target: 'debug' });
  const child = trap(k, 1, OP.OP_FORK, []);
  const pid = child.kind === 'done' ? child.result : 0;
  trap(k, pid, OP.OP_EXIT_GROUP, [0]);
  const before = k.counts();
  expect([k.adoptFd(pid, 5), k.setName(pid, 'name', false)]).toEqual([false, false]);
  expect([k.exports.set_tty(pid, 0, 0, 0), k.exports.set_ns(pid, 0, 0, 0)]).toEqual([-3, -3]);
  expect(k.exports.set_memory(pid, 0, 0, 0, 0, 0, 0)).toBe(-3);
  expect([k.check(), k.counts()]).toEqual([[], before]);
});
