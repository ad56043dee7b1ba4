// Protects: the tests' own eyes. Each fault that is seeded in the debug kernel (the posted patch's
// defects by number) makes a scenario fail; without it the same scenario passes.
import { readdirSync, readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import * as U from '../../assembly/uapi/container.ts';
import { POLLIN } from '../../assembly/uapi/fcntl.ts';
import * as OP from '../../assembly/uapi/op.ts';
import { SIGKILL } from '../../assembly/uapi/signal.ts';
import { createKernel, DISP_BLOCKED, type Kernel } from '../../host/index.ts';

const USER = 0x1000;
const ASSEMBLY = new URL('../../assembly/', import.meta.url);
const FOR_EVER = -1;
const STATUS = 7;

/** A machine, the calls of a scenario on it, and what was not as it should be. */
class Machine {
  readonly k: Kernel;
  readonly findings: string[] = [];

  constructor(k: Kernel) {
    this.k = k;
  }

  call(tid: number, op: number, args: number[] = [], memory?: Uint8Array): number | 'sleeps' {
    const frame = this.k.frame.begin(tid, 0, op);
    args.forEach((arg, i) => frame.setArg(i, arg));
    if (memory) frame.window(USER, memory, 'rw');
    return this.k.trap() === DISP_BLOCKED ? 'sleeps' : frame.result;
  }

  create(tid: number, name: string, flags = 0): number {
    const memory = new TextEncoder().encode(`${name}\0`);
    return Number(this.call(tid, OP.OP_CONTAINER_CREATE, [USER, flags], memory));
  }

  enter(tid: number, fd: number): number {
    return Number(this.call(tid, OP.OP_FORK_INTO_CONTAINER, [fd]));
  }

  exit(tid: number): void {
    this.call(tid, OP.OP_EXIT_GROUP, [STATUS]);
  }

  want(what: string, found: unknown, wanted: unknown): void {
    if (JSON.stringify(found) === JSON.stringify(wanted)) return;
    this.findings.push(`${what}: ${JSON.stringify(found)}, not ${JSON.stringify(wanted)}`);
  }

  state(tid: number): string | undefined {
    return this.k.task(tid)?.state;
  }
}

const SCENARIOS: Record<string, (m: Machine) => void> = {
  /** whoever polls a container is woken when its init ends, members left or not */
  D_1: (m) => {
    const fd = m.create(1, 'polled');
    const init = m.enter(1, fd);
    m.enter(1, fd);
    const pollfd = new Uint8Array(Int32Array.of(fd, POLLIN).buffer);
    m.want(
      'poll of a live container',
      m.call(1, OP.OP_POLL, [USER, 1, FOR_EVER], pollfd),
      'sleeps',
    );
    m.exit(init);
    m.want('woken by the end of init', m.k.woken(), [1]);
  },
  /** the last close of a container with KILL_ON_CLOSE kills what is in it */
  D_3: (m) => {
    const fd = m.create(1, 'closed', U.CONTAINER_KILL_ON_CLOSE);
    const init = m.enter(1, fd);
    const member = m.enter(1, fd);
    // both children have a copy of the descriptor
    for (const tid of [init, member, 1]) m.call(tid, OP.OP_CLOSE, [fd]);
    m.want('killed by the close', m.k.runPending(), 2);
    for (const tid of [init, member]) m.want(`state of ${tid}`, m.state(tid), 'Z');
    m.want('how init ended', m.k.task(init)?.exitCode, SIGKILL);
  },
  /** a container that dies takes nested ones along */
  D_7: (m) => {
    const outer = m.enter(1, m.create(1, 'outer'));
    const inner = m.enter(outer, m.create(outer, 'inner'));
    m.exit(outer);
    const dead = U.CONTAINER_FLAG_INIT_STARTED | U.CONTAINER_FLAG_DEAD;
    m.want(
      'flags',
      m.k.containers().map((c) => c.flags & ~U.CONTAINER_FLAG_KILL_ON_CLOSE),
      [1, dead, dead],
    );
    m.k.runPending();
    m.want('state in the nested container', m.state(inner), 'Z');
  },
  /** who ends leaves its container */
  D_9: (m) => {
    const fd = m.create(1, 'left');
    m.enter(1, fd);
    const member = m.enter(1, fd);
    m.exit(member);
    m.want('members', m.k.containers()[1]?.members, 1);
  },
};

/** What is wrong after the scenario of `name`, with its fault on or off. */
async function findings(name: string, fault: number): Promise<string[]> {
  const m = new Machine(await createKernel({ target: 'debug' }));
  m.k.seedFault(fault);
  SCENARIOS[name]!(m);
  return [...m.findings, ...m.k.check()];
}

/** The faults that the kernel knows: its constants `const D_n = n;`. */
function faults(): [string, number][] {
  const sources = readdirSync(ASSEMBLY).filter((file) => file.endsWith('.ts'));
  return sources.flatMap((file) => {
    const text = readFileSync(new URL(file, ASSEMBLY), 'utf8');
    const found = text.matchAll(/^(?:export )?const (D_\w+)(?:: i32)? = (\d+);/gm);
    return [...found].map((hit): [string, number] => [hit[1]!, Number(hit[2])]);
  });
}

it('every seeded fault has a scenario', () => {
  const known = faults().map(([name]) => name);
  expect(known.sort()).toEqual(Object.keys(SCENARIOS).sort());
});

it.each(faults())('%s is caught', async (name, fault) => {
  expect(await findings(name, 0), 'without the fault').toEqual([]);
  expect(await findings(name, fault), 'with the fault').not.toEqual([]);
});
