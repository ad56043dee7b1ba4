// Protects: processes and containers behave as the plain model in model.ts does, whatever the order
// of forks, ends, kills, waits and closes. BULKHEAD_SEED and BULKHEAD_RUNS override.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CONTAINER_KILL_ON_CLOSE } from '../../assembly/uapi/container.ts';
import * as OP from '../../assembly/uapi/op.ts';
import { SIGKILL } from '../../assembly/uapi/signal.ts';
import { WNOHANG } from '../../assembly/uapi/wait.ts';
import { createKernel, DISP_EXITED, DISP_NOT_RUN, type Kernel } from '../../host/index.ts';
import { LIMITS, Model, NOT_RUN, type Result } from './model.ts';

const RUNS = Number(process.env['BULKHEAD_RUNS'] ?? 60);
const SEED = Number(process.env['BULKHEAD_SEED'] ?? 20170814);
/** Steps of the longest program; half of that on average. */
const STEPS = 160;
const USER = 0x1000;
const NAME = new TextEncoder().encode('box\0');

const KINDS = {
  fork: 5,
  exit: 3,
  wait: 4,
  kill: 3,
  runPending: 2,
  create: 3,
  forkInto: 6,
  close: 3,
  abandon: 3,
  dup: 2,
} as const;
type Kind = keyof typeof KINDS;

/** `who`, `what`: choices among those who are there at the time, so that programs shrink well. */
interface Step {
  kind: Kind;
  who: number;
  what: number;
}

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

function call(k: Kernel, tid: number, op: number, args: number[], memory?: Uint8Array): Result {
  const frame = k.frame.begin(tid, 0, op);
  args.forEach((arg, i) => frame.setArg(i, arg));
  if (memory) frame.window(USER, memory, 'rw');
  const disposition = k.trap();
  if (disposition === DISP_NOT_RUN) return NOT_RUN;
  return disposition === DISP_EXITED ? 0 : frame.result;
}

/** A process, mostly one that `fits`; one in sixteen times any number near. */
function choose(model: Model, n: number, fits: (pid: number) => boolean): number {
  const pids = [...model.processes.keys()];
  if (n % 16 === 15) return 1 + (n % (pids.length + 4));
  const fitting = pids.filter(fits);
  return fitting.length ? fitting[(n >>> 4) % fitting.length]! : 1;
}

/** A descriptor, mostly a container's. */
function chooseFd(model: Model, pid: number, n: number): number {
  const fds = [...(model.processes.get(pid)?.fds ?? [])];
  const held = fds.filter(([, container]) => container).map(([fd]) => fd);
  return held.length && n % 8 ? held[(n >>> 3) % held.length]! : (n >>> 3) % LIMITS.nofile;
}

/** Runs one step on both. Return: [kernel's result, model's result]. */
function run(k: Kernel, model: Model, { kind, who, what }: Step): [unknown, unknown] {
  const live = (pid: number): boolean => !model.processes.get(pid)!.dead;
  const pid = choose(model, who, live);
  switch (kind) {
    case 'fork':
      return [call(k, pid, OP.OP_FORK, []), model.fork(pid)];
    case 'exit':
      // the machine ends with its init
      if (pid === 1) return [0, 0];
      return [call(k, pid, OP.OP_EXIT_GROUP, [what]), model.exit(pid, what)];
    case 'kill': {
      const target = choose(model, what, () => true);
      return [call(k, pid, OP.OP_KILL, [target, SIGKILL]), model.kill(pid, target)];
    }
    case 'runPending': {
      const max = 1 + (what % 4);
      return [k.runPending(max), model.runPending(max)];
    }
    case 'create': {
      const killOnClose = what % 2 === 1;
      const args = [USER, killOnClose ? CONTAINER_KILL_ON_CLOSE : 0];
      const result = call(k, pid, OP.OP_CONTAINER_CREATE, args, NAME);
      return [result, model.create(pid, killOnClose)];
    }
    case 'wait': {
      const parent = (at: number): boolean =>
        live(at) && model.processes.get(at)!.children.length > 0;
      const waiter = choose(model, who, parent);
      return wait(k, model, waiter, what % 3 ? -1 : choose(model, what, () => true));
    }
    case 'abandon':
      return abandon(k, model, pid, chooseFd(model, pid, what));
    default: {
      const fd = chooseFd(model, pid, what);
      if (kind === 'forkInto')
        return [call(k, pid, OP.OP_FORK_INTO_CONTAINER, [fd]), model.forkInto(pid, fd)];
      if (kind === 'close') return [call(k, pid, OP.OP_CLOSE, [fd]), model.close(pid, fd)];
      return [call(k, pid, OP.OP_DUP, [fd]), model.dup(pid, fd)];
    }
  }
}

/** Everybody closes every descriptor of the container that `fd` is for `pid`. */
function abandon(k: Kernel, model: Model, pid: number, fd: number): [unknown, unknown] {
  const container = model.processes.get(pid)?.fds.get(fd);
  const found: Result[] = [];
  const expected: Result[] = [];
  if (!container) return [found, expected];
  for (const p of model.processes.values()) {
    for (const [at, file] of [...p.fds]) {
      if (file !== container) continue;
      found.push(call(k, p.pid, OP.OP_CLOSE, [at]));
      expected.push(model.close(p.pid, at));
    }
  }
  return [found, expected];
}

/** wait4(which, &status, WNOHANG): the status counts when a child was found. */
function wait(k: Kernel, model: Model, pid: number, which: number): [unknown, unknown] {
  const { frame } = k;
  const result = call(k, pid, OP.OP_WAIT4, [which, USER, WNOHANG, 0], new Uint8Array(4));
  const expected = model.wait(pid, which);
  if (result === NOT_RUN || result <= 0) return [result, expected];
  const status = new DataView(frame.output(USER, 4)!.buffer).getInt32(0, true);
  return [
    [result, status],
    [expected, model.waited],
  ];
}

function tasks(k: Kernel): object[] {
  return k.tasks().map(({ tid, ppid, state, containerId, exitCode }) => ({
    ...{ tid, ppid, state, containerId },
    exitCode: state === 'Z' ? exitCode : 0,
  }));
}

function containers(k: Kernel): object[] {
  return k
    .containers()
    .map(({ id, parentId, depth, flags, members, children, exitCode, usage }) => ({
      ...{ id, parentId, depth, flags, members, children, exitCode, usage },
    }));
}

function openFds(k: Kernel, model: Model): [unknown, unknown] {
  const pids = [...model.processes.keys()];
  return [
    pids.map((pid) => k.fds(pid).map((at) => at.link)),
    pids.map((pid) =>
      [...model.processes.get(pid)!.fds]
        .sort(([a], [b]) => a - b)
        .map(([, c]) => (c ? `container:[${c.id}]` : '/dev/null')),
    ),
  ];
}

/** A new machine runs the program side by side with a new model. */
function compare(k: Kernel, program: readonly Step[]): void {
  k.boot(LIMITS);
  const model = new Model(
    k.containers()[0]!.id,
    k.fds(1).map((at) => at.fd),
  );
  program.forEach((step, i) => {
    const at = `step ${i}, ${step.kind}`;
    const [found, expected] = run(k, model, step);
    expect(found, at).toEqual(expected);
    expect(tasks(k), at).toEqual(model.tasks());
    expect(containers(k), at).toEqual(model.containers());
    const [links, wanted] = openFds(k, model);
    expect(links, at).toEqual(wanted);
    expect(k.check(), at).toEqual([]);
    k.events();
  });
}

describe.each(['release', 'debug'] as const)('%s kernel', (target) => {
  it(
    `agrees with the model in ${RUNS} programs, seed ${SEED}`,
    { timeout: 7_200_000 },
    async () => {
      const k = await createKernel({ target });
      fc.assert(
        fc.property(steps, (program) => compare(k, program)),
        { numRuns: RUNS, seed: SEED },
      );
    },
  );
});
