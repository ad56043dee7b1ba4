// Protects: containers behave as the plain model in containers-model.ts does, whatever the order of
// calls: creation with every flag, entry, ends, kills, waits, polls, descriptors that are copied
// and sent, threads, exec, keys, devices, supervision. BULKHEAD_SEED and BULKHEAD_RUNS override.
import fc from 'fast-check';
import { expect, it } from 'vitest';
import * as OP from '../../assembly/uapi/op.ts';
import { SIGKILL } from '../../assembly/uapi/signal.ts';
import { AF_UNIX, SOCK_DGRAM, SOCK_NONBLOCK } from '../../assembly/uapi/socket.ts';
import { WNOHANG } from '../../assembly/uapi/wait.ts';
import { type Counts, createKernel, type Kernel } from '../../host/index.ts';
import { trap, USER } from '../unit/trap.ts';
import { tree } from './container-objects.ts';
import { Driver, type Kind, KINDS, type Step } from './containers-driver.ts';
import { LIMITS, Model } from './containers-model.ts';

const RUNS = Number(process.env['BULKHEAD_RUNS'] ?? 400);
const SEED = Number(process.env['BULKHEAD_SEED'] ?? 20170522);
/** Steps of all programs together: 20,000 in a test, 1,000,000 in a soak. */
const ALL_STEPS = RUNS * 50;
/** Steps of the longest program; half of that on average. */
const STEPS = 400;
/** Steps from one look at the whole state, and one of the invariant checker, to the next. */
const COMPARE_EVERY = 4;
const CHECK_EVERY = 16;

const steps = fc.array(
  fc.record({
    kind: fc.oneof(
      ...Object.entries(KINDS).map(([kind, weight]) => ({
        arbitrary: fc.constant(kind as Kind),
        weight,
      })),
    ),
    who: fc.nat(0xffff),
    what: fc.nat(0xffff),
  }),
  { maxLength: STEPS, size: 'max' },
);

/** Processes as both show them, threads counted. */
function processes(k: Kernel): object[] {
  return k
    .tasks()
    .filter(({ tid, tgid }) => tid === tgid)
    .map(({ tid, ppid, state, containerId, euid, threads, exitCode }) => ({
      ...{ tid, ppid, containerId, euid, threads, dead: state === 'Z' },
      exitCode: containerId === 0 ? exitCode : 0,
    }));
}

function expectedProcesses(model: Model): object[] {
  return [...model.processes.values()].map((p) => ({
    ...{ tid: p.pid, ppid: p.parent?.pid ?? 0, containerId: p.container?.id ?? 0 },
    ...{ euid: p.cred.euid, threads: p.unreleased },
    dead: p.threads[0]?.tid !== p.pid,
    exitCode: p.container ? 0 : p.status,
  }));
}

function containers(k: Kernel): object[] {
  return k
    .containers()
    .map(({ id, parentId, depth, flags, members, children, exitCode, usage }) => ({
      ...{ id, parentId, depth, flags, members, children, exitCode, usage },
    }));
}

function expectedContainers(model: Model): object[] {
  return tree(model.root).map((c) => {
    const [members, children] = [c.members.length, c.children.length];
    const held = c.files + (c.requests ? 1 : 0) + (c === model.root ? 1 : 0);
    return {
      ...{ id: c.id, parentId: c.parent?.id ?? 0, depth: c.depth, flags: c.flags, members },
      ...{ children, exitCode: c.exitCode, usage: members + children + held },
    };
  });
}

function descriptors(k: Kernel, model: Model): [unknown, unknown] {
  const all = [...model.processes.values()].filter((p) => p.threads.length);
  const found = all.map((p) =>
    k.fds(p.threads[0]!.tid).map(({ fd, cloexec, kind }) => `${fd} ${kind} ${cloexec}`),
  );
  const kinds = {
    other: 'null',
    socket: 'socket',
    container: 'container',
    supervisor: 'supervisor',
  };
  const expected = all.map((p) =>
    [...p.fds]
      .sort(([a], [b]) => a - b)
      .map(([fd, { file, cloexec }]) => `${fd} ${kinds[file.kind]} ${cloexec}`),
  );
  return [found, expected];
}

const byTid = (list: object[]): object[] =>
  (list as { tid: number }[]).toSorted((a, b) => a.tid - b.tid);

/** The machine as a program finds it: its init has a socket pair. */
function boot(k: Kernel): Model {
  k.boot(LIMITS);
  trap(k, 1, OP.OP_SOCKETPAIR, [AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, USER], 8);
  const model = new Model(
    k.containers()[0]!.id,
    k.fds(1).map((at) => at.fd),
  );
  for (const fd of [3, 4]) model.first.fds.get(fd)!.file.kind = 'socket';
  return model;
}

/** Everybody is killed and waited for, everything closed: what is there then. */
function settle(k: Kernel): Counts {
  const tids = (mine: boolean): number[] =>
    k
      .tasks()
      .filter(({ tgid, state }) => (tgid === 1) === mine && (!mine || state !== 'Z'))
      .map(({ tid }) => tid);
  for (const tid of tids(true)) if (k.isBlocked(tid) || k.isWoken(tid)) k.abortCall(tid);
  const [survivor] = tids(true);
  if (trap(k, survivor!, OP.OP_EXECVE, [USER, 0, 0], 8).kind === 'sleeps') {
    k.runPending();
    k.resume(survivor!);
  }
  for (let i = 0; i < 100 && tids(false).length; ++i) {
    for (const tid of tids(false)) trap(k, 1, OP.OP_KILL, [tid, SIGKILL]);
    k.runPending();
    for (const tid of tids(false)) trap(k, 1, OP.OP_WAIT4, [tid, 0, WNOHANG, 0]);
    k.events();
  }
  trap(k, 1, OP.OP_CLOSE_RANGE, [0, 9999, 0]);
  return k.counts();
}

/** expect() writes what differs, which takes long also where nothing does. */
function same(found: unknown, expected: unknown, at: string): void {
  if (JSON.stringify(found) !== JSON.stringify(expected)) expect(found, at).toEqual(expected);
}

function compareState(k: Kernel, model: Model, at: string): void {
  same(byTid(processes(k)), byTid(expectedProcesses(model)), at);
  same(containers(k), expectedContainers(model), at);
  const [found, expected] = descriptors(k, model);
  same(found, expected, at);
}

/** A new machine runs the program side by side with a new model. */
function compare(k: Kernel, program: readonly Step[], empty: Counts, fault = 0): void {
  const model = boot(k);
  k.seedFault(fault);
  const driver = new Driver(k, model);
  program.forEach((step, i) => {
    const at = `step ${i}, ${step.kind}`;
    const pairs = [driver.run(step), ...driver.wake()];
    for (const [found, expected] of pairs) same(found, expected, at);
    if (i % COMPARE_EVERY === 0) compareState(k, model, at);
    if (i % CHECK_EVERY === 0) expect(k.check(), at).toEqual([]);
    k.events();
  });
  compareState(k, model, 'at the end');
  expect(settle(k), 'what is left').toEqual(empty);
  expect(k.check(), 'at the end').toEqual([]);
}

async function machine(): Promise<[Kernel, Counts]> {
  const k = await createKernel({ target: 'debug' });
  boot(k);
  return [k, settle(k)];
}

// spec: random programs of all calls
it(
  `agrees with the model in ${ALL_STEPS} steps, seed ${SEED}`,
  { timeout: 7_200_000 },
  async () => {
    const [k, empty] = await machine();
    let left = ALL_STEPS;
    const counted = fc.property(steps, (program) => {
      left -= program.length;
      compare(k, program, empty);
    });
    for (let seed = SEED; left > 0; ++seed) fc.assert(counted, { numRuns: 20, seed });
  },
);

// the posted patch’s defects, by number
it.each([1, 3, 5, 6, 7, 9, 10, 22, 36, 37])('notices the seeded fault %i', async (fault) => {
  const [k, empty] = await machine();
  const property = fc.property(steps, (program) => compare(k, program, empty, fault));
  const found = fc.check(property, { numRuns: 400, seed: 1, endOnFailure: true });
  expect(found.failed).toBe(true);
});
