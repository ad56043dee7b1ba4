// Protects: typed calls do what the traps of their names do, byte for byte, and where they cannot
// they say so and change nothing.
import { describe, expect, it } from 'vitest';
import * as E from '../../../assembly/uapi/errno.ts';
import { CALL_TRAP } from '../../../assembly/uapi/frame.ts';
import * as OP from '../../../assembly/uapi/op.ts';
import * as C from '../../../assembly/uapi/sched.ts';
import * as N from '../../../assembly/uapi/signal.ts';
import { WNOHANG } from '../../../assembly/uapi/wait.ts';
import { enableAudit } from '../../../host/audit-ring.ts';
import { FRAME_BLOCK } from '../../../host/frame.ts';
import { createKernel, DISP_DONE, DISP_EXITED } from '../../../host/index.ts';
import type { BootConfig, Kernel, KernelTarget } from '../../../host/index.ts';
import { Driver, USER } from './driver.ts';

const THREAD =
  C.CLONE_VM | C.CLONE_FS | C.CLONE_FILES | C.CLONE_SIGHAND | C.CLONE_THREAD | C.CLONE_SYSVSEM;

type Step = [call: keyof typeof CALLS, tid: number, ...args: number[]];

/** A machine with a block for names, which both ways of calling have. */
class Machine extends Driver {
  readonly name: number;

  constructor(k: Kernel) {
    super(k);
    this.name = k.exports.host_alloc(24);
    k.refresh();
    k.u8.set(new TextEncoder().encode('box\0'), this.name);
  }

  trap(tid: number, op: number, ...args: number[]): number {
    const frame = this.k.frame.begin(tid, 0, op);
    args.forEach((arg, i) => frame.setArg(i, arg));
    if (op === OP.OP_CONTAINER_CREATE) {
      frame.setArg(0, USER).window(USER, new TextEncoder().encode('box\0'), 'r');
    }
    const disposition = this.k.trap();
    expect([DISP_DONE, DISP_EXITED]).toContain(disposition);
    return disposition === DISP_EXITED ? 0 : frame.result;
  }
}

/** Each typed call, and the trap that does the same. */
const CALLS = {
  call_getpid: [OP.OP_GETPID],
  call_getppid: [OP.OP_GETPPID],
  call_fork: [OP.OP_FORK],
  call_clone: [OP.OP_CLONE],
  call_fork_into_container: [OP.OP_FORK_INTO_CONTAINER],
  call_exit: [OP.OP_EXIT],
  call_exit_group: [OP.OP_EXIT_GROUP],
  call_wait4: [OP.OP_WAIT4],
  call_kill: [OP.OP_KILL],
  call_close: [OP.OP_CLOSE],
  call_container_create: [OP.OP_CONTAINER_CREATE],
} as const;

function byCall(m: Machine, [name, tid, ...args]: Step): number {
  const given = name === 'call_container_create' ? [m.name, ...args] : args;
  const call = m.k.exports[name] as (...words: number[]) => number;
  const result = call(tid, ...given);
  m.k.refresh();
  return result;
}

function byTrap(m: Machine, [name, tid, ...args]: Step): number {
  const op = CALLS[name][0];
  if (name === 'call_container_create') return m.trap(tid, op, 0, ...args);
  if (name === 'call_wait4') return m.trap(tid, op, args[0]!, 0, args[1]!, 0);
  return m.trap(tid, op, ...args);
}

/** The kernel's memory but for the frames and buffers of the calls. */
function image(k: Kernel): Buffer {
  k.refresh();
  const bytes = Buffer.from(k.u8.slice(0, k.exports.high_water() >>> 0));
  bytes.fill(0, k.frame.address, k.frame.address + FRAME_BLOCK);
  bytes.fill(0, 0x1000, 0x10000);
  return bytes;
}

async function machine(target: KernelTarget, boot: BootConfig = {}): Promise<Machine> {
  return new Machine(await createKernel({ target, boot }));
}

const STORY: Step[] = [
  ['call_getpid', 1],
  ['call_fork', 1],
  ['call_fork', 2],
  ['call_getppid', 3],
  ['call_clone', 2, THREAD],
  ['call_clone', 2, N.SIGCHLD],
  ['call_clone', 2, C.CLONE_NEWPID | N.SIGCHLD],
  ['call_getpid', 6],
  ['call_clone', 2, C.CLONE_THREAD],
  ['call_exit', 4, 3],
  ['call_wait4', 2, -1, WNOHANG],
  ['call_exit_group', 3, 0x107],
  ['call_wait4', 2, 3, 0],
  ['call_wait4', 2, 3, 0],
  ['call_container_create', 1, 0],
  ['call_container_create', 1, 0],
  ['call_container_create', 1, 0x8000],
  ['call_fork_into_container', 1, 3],
  ['call_fork_into_container', 1, 3],
  ['call_fork_into_container', 1, 0],
  ['call_getppid', 7],
  ['call_close', 1, 3],
  ['call_close', 1, 3],
  ['call_exit', 8, 1],
  ['call_wait4', 1, -1, WNOHANG],
  ['call_exit_group', 7, 0],
  ['call_wait4', 1, -1, WNOHANG],
  ['call_kill', 1, 5, 0],
  ['call_kill', 1, 999, N.SIGTERM],
  ['call_kill', 1, 5, N.SIGKILL],
  ['call_kill', 1, 5, 77],
];

describe.each(['release', 'debug'] as const)('%s: typed calls', (target) => {
  it('do what traps do', async () => {
    const a = await machine(target);
    const b = await machine(target);
    for (const step of STORY) {
      const expected = byTrap(b, step);
      expect([step, byCall(a, step)]).toEqual([step, expected]);
      expect(image(a.k).equals(image(b.k)), `memory after ${step.join(' ')}`).toBe(true);
    }
    expect(a.k.events()).toEqual(b.k.events());
    expect(a.k.check()).toEqual([]);
  });

  it('tell the status of the child that was waited for', async () => {
    const m = await machine(target);
    const e = m.k.exports;
    for (const pid of [-1, 3]) {
      const child = e.call_fork(1);
      e.call_exit_group(child, 9);
      expect([e.call_wait4(1, pid, 0), e.wait_status()]).toEqual([child, 0x900]);
    }
  });
});

/** What keeps a call from being made without a frame. */
const REFUSED: Record<string, (m: Machine) => Step> = {
  'there is no such task': () => ['call_getpid', 99],
  'the task is dead': (m) => {
    m.exit(m.fork());
    return ['call_fork', 2];
  },
  'the task sleeps': (m) => {
    m.call(1, OP.OP_PAUSE);
    return ['call_getppid', 1];
  },
  'the call would sleep': (m) => {
    m.fork();
    return ['call_wait4', 1, -1, 0];
  },
  'the call would sleep for one child': (m) => {
    m.fork();
    return ['call_wait4', 1, 2, 0];
  },
  'the flags need memory': () => ['call_clone', 1, C.CLONE_PIDFD],
  'the flags need an address': () => ['call_clone', 1, C.CLONE_CHILD_CLEARTID],
  'the flags make the caller wait': () => ['call_clone', 1, C.CLONE_VFORK | C.CLONE_VM],
  'calls are logged': (m) => {
    enableAudit(m.k);
    return ['call_fork', 1];
  },
  'the host wants to be asked': (m) => {
    m.k.setHooks({ containerAlloc: true });
    return ['call_container_create', 1, 0];
  },
  'a supervisor may have a word': (m) => {
    m.trap(1, OP.OP_CONTAINER_CREATE, 0, 0);
    const member = m.call(1, OP.OP_FORK_INTO_CONTAINER, 3);
    m.call(1, OP.OP_CONTAINER_SUPERVISE, 3, 0);
    m.unprivileged(1000, member);
    return ['call_kill', 3, 1, N.SIGTERM];
  },
  'events have to be taken first': (m) => {
    while (m.k.exports.call_fork(1) > 0);
    m.k.refresh();
    return ['call_fork', 1];
  },
};

describe('a typed call has to be a trap when', () => {
  it.each(Object.entries(REFUSED))('%s', async (_, prepare) => {
    const m = await machine('release', { pidMax: 4096 });
    const step = prepare(m);
    const before = image(m.k);
    expect(byCall(m, step)).toBe(CALL_TRAP);
    expect(image(m.k).equals(before)).toBe(true);
    expect(m.k.check()).toEqual([]);
  });
});

it('containers that are not there are ENOSYS', async () => {
  const m = await machine('release', { containers: false });
  expect(byCall(m, ['call_container_create', 1, 0])).toBe(-E.ENOSYS);
  expect(byCall(m, ['call_fork_into_container', 1, 3])).toBe(-E.ENOSYS);
});
