// Protects: the trap interface: what each disposition means and that `need` and `not_run` change
// nothing, batches, events, i386 frames, upper halves of 32-bit arguments.
import { beforeEach, describe, expect, it } from 'vitest';
import * as E from '../../../assembly/uapi/errno.ts';
import * as OP from '../../../assembly/uapi/op.ts';
import {
  createKernel,
  DISP_BLOCKED,
  DISP_BUSY,
  DISP_DONE,
  DISP_DRAIN,
  DISP_NEED,
  DISP_NOT_RUN,
  type Kernel,
} from '../../../host/index.ts';

const TEXT = new TextEncoder();

describe.each(['release', 'debug'] as const)('%s kernel', (target) => {
  let k: Kernel;

  beforeEach(async () => {
    k = await createKernel({ target });
    return () => expect(k.check()).toEqual([]);
  });

  it('asks for guest memory and changes nothing until it has it', () => {
    const before = k.counts();
    const frame = k.frame.begin(1, 0, OP.OP_CONTAINER_CREATE).setArg(0, 0x5000);
    expect(k.trap()).toBe(DISP_NEED);
    expect([frame.needAddr, k.counts()]).toEqual([0x5000n, before]);
    frame.window(0x5000, TEXT.encode('na'), 'r');
    expect(k.trap()).toBe(DISP_NEED);
    expect(frame.needAddr).toBe(0x5002n);
    frame.window(0x5002, TEXT.encode('me\0'), 'r');
    expect(k.trap()).toBe(DISP_DONE);
    expect(k.containers()[1]?.name).toBe('name');
  });

  it('is EFAULT where the host says that nothing is mapped', () => {
    const frame = k.frame.begin(1, 0, OP.OP_PIPE2).setArg(0, 0x5000);
    frame.window(0x5000, 8, 'unmapped');
    expect(k.trap()).toBe(DISP_DONE);
    expect(frame.result).toBe(-E.EFAULT);
    expect(k.fds(1)).toHaveLength(3);
  });

  it('does not run a task that is not there, asleep or dead', () => {
    k.frame.begin(77, 0, OP.OP_GETPID);
    expect(k.trap()).toBe(DISP_NOT_RUN);
    k.frame.begin(1, 0, OP.OP_PAUSE);
    expect(k.trap()).toBe(DISP_BLOCKED);
    k.frame.begin(1, 0, OP.OP_GETPID);
    expect(k.trap()).toBe(DISP_BUSY);
    k.abortCall(1);
    expect(k.trap()).toBe(DISP_DONE);
  });

  it('says when its event ring is full, and loses nothing', () => {
    let disposition = DISP_DONE;
    let forks = 0;
    while (disposition === DISP_DONE && forks < 5000) {
      k.frame.begin(1, 0, OP.OP_FORK);
      disposition = k.trap();
      if (disposition === DISP_DONE) forks += 1;
    }
    expect(disposition).toBe(DISP_DRAIN);
    expect(k.events().filter((event) => event.type === 'fork')).toHaveLength(forks);
    expect(k.trap()).toBe(DISP_DONE);
  });

  it('runs batches: after a frame that needs something, the same task waits', () => {
    k.frame.begin(1, 0, OP.OP_FORK);
    k.trap();
    const frames = [1, 1, 2, 1].map((tid) => k.allocFrame().begin(tid, 0, OP.OP_GETPID));
    frames[0]!.begin(1, 0, OP.OP_PIPE2).setArg(0, 0x9000);
    expect(k.batch(frames)).toBe(1);
    const dispositions = frames.map((frame) => frame.disposition);
    expect(dispositions).toEqual([DISP_NEED, DISP_NOT_RUN, DISP_DONE, DISP_NOT_RUN]);
    expect(frames[2]!.result).toBe(2);
    frames[0]!.window(0x9000, 8, 'w');
    frames[1]!.begin(1, 0, OP.OP_GETPID);
    expect(k.batch(frames.slice(0, 2))).toBe(2);
    for (const frame of frames) k.freeFrame(frame);
  });

  it('tells what happened, in order', () => {
    for (const [tid, op] of [
      [1, OP.OP_FORK],
      [2, OP.OP_EXIT_GROUP],
      [1, OP.OP_WAIT4],
    ] as const) {
      k.frame.begin(tid, 0, op).setArg(0, op === OP.OP_EXIT_GROUP ? 3 : -1);
      k.trap();
    }
    const events = k.events();
    expect(events.map((event) => event.type)).toEqual(['fork', 'exit', 'reap']);
    expect(events[1]).toMatchObject({ tid: 2, code: 0x300, groupDead: true });
  });

  it('ignores the upper half of 32-bit arguments, and knows no number above 32 bits', () => {
    const frame = k.frame.begin(1, 0, OP.OP_GETPGID).setArg(0, 0x1234_0000_0000n);
    k.trap();
    expect(frame.result).toBe(1);
    frame.begin(1, 0, OP.OP_GETPID).setReg('rax', BigInt(OP.OP_GETPID) + (1n << 32n));
    k.trap();
    expect(frame.result).toBe(-E.ENOSYS);
  });

  it('takes i386 registers from a 32-bit table', () => {
    const ops = new Uint16Array(400);
    ops[20] = OP.OP_GETPID;
    ops[6] = OP.OP_CLOSE;
    const table = k.registerTable(ops, true);
    const frame = k.frame.begin(1, table, 6);
    frame.setReg('rbx', 2);
    k.trap();
    expect(frame.result).toBe(0);
    expect(k.fds(1).map((fd) => fd.fd)).toEqual([0, 1]);
  });
});
