// Protects: the short way of a plain end and release has the effects of the whole way. A fault that
// nothing knows forces the whole way in the debug kernel.
import { describe, expect, it } from 'vitest';
import * as OP from '../../../assembly/uapi/op.ts';
import * as P from '../../../assembly/uapi/prctl.ts';
import * as C from '../../../assembly/uapi/sched.ts';
import * as N from '../../../assembly/uapi/signal.ts';
import * as W from '../../../assembly/uapi/wait.ts';
import { enableAudit } from '../../../host/audit-ring.ts';
import { createKernel } from '../../../host/index.ts';
import { Driver, longs, USER } from './driver.ts';

const NO_FAULT = 9999;
const THREAD =
  C.CLONE_VM | C.CLONE_FS | C.CLONE_FILES | C.CLONE_SIGHAND | C.CLONE_THREAD | C.CLONE_SYSVSEM;

function create(d: Driver, name: string): number {
  return d.mem(1, OP.OP_CONTAINER_CREATE, [USER, 0], new TextEncoder().encode(`${name}\0`));
}

function handler(d: Driver, tid: number, sig: number, at: number, flags = 0): void {
  d.mem(tid, OP.OP_RT_SIGACTION, [sig, USER, 0, 8], longs(at, flags, 0, 0));
}

/** What is there before a child of a task ends: [who ends, who waits for it]. */
const SCENARIOS: Record<string, (d: Driver) => [number, number]> = {
  'a child of init': (d) => [d.fork(), 1],
  'a child of a child': (d) => {
    const p = d.fork();
    return [d.fork(p), p];
  },
  'one of two members of a container': (d) => {
    const fd = create(d, 'box');
    d.call(1, OP.OP_FORK_INTO_CONTAINER, fd);
    d.call(1, OP.OP_FORK_INTO_CONTAINER, fd);
    return [d.call(1, OP.OP_FORK_INTO_CONTAINER, fd), 1];
  },
  'the init of a container': (d) => {
    const init = d.call(1, OP.OP_FORK_INTO_CONTAINER, create(d, 'box'));
    d.fork(init);
    return [init, 1];
  },
  'the last member of a container': (d) => {
    const fd = create(d, 'box');
    const p = d.call(1, OP.OP_FORK_INTO_CONTAINER, fd);
    d.call(1, OP.OP_CLOSE, fd);
    return [p, 1];
  },
  'a parent of others': (d) => {
    const p = d.fork();
    d.exit(d.fork(p));
    d.fork(p);
    return [p, 1];
  },
  'a leader of a group and session': (d) => {
    const p = d.fork();
    d.call(p, OP.OP_SETSID);
    d.fork(d.fork(p));
    return [p, 1];
  },
  'one with a thread': (d) => {
    const p = d.fork();
    d.call(p, OP.OP_CLONE, THREAD);
    return [p, 1];
  },
  'one with a signal pending': (d) => {
    const p = d.fork();
    handler(d, p, N.SIGUSR1, 0x2000);
    d.call(1, OP.OP_KILL, p, N.SIGUSR1);
    return [p, 1];
  },
  'one whose files and actions are its own': (d) => {
    const p = d.fork();
    handler(d, p, N.SIGUSR1, 0x2000);
    d.mem(p, OP.OP_PIPE2, [USER, 0], 8);
    d.call(p, OP.OP_UMASK, 0o77);
    return [p, 1];
  },
  'one with another user': (d) => [d.unprivileged(), 1],
  'one who asked for a signal': (d) => {
    const p = d.fork();
    d.call(p, OP.OP_PRCTL, P.PR_SET_PDEATHSIG, 10);
    return [p, 1];
  },
  'one whose number is held by a pidfd': (d) => {
    const p = d.fork();
    d.call(1, OP.OP_PIDFD_OPEN, p, 0);
    return [p, 1];
  },
  'a child of one who handles SIGCHLD': (d) => {
    const p = d.fork();
    handler(d, p, N.SIGCHLD, 0x2000);
    return [d.fork(p), p];
  },
  'a child of one who ignores SIGCHLD': (d) => {
    const p = d.fork();
    handler(d, p, N.SIGCHLD, N.SIG_IGN);
    return [d.fork(p), p];
  },
  'a child of one who wants no zombies': (d) => {
    const p = d.fork();
    handler(d, p, N.SIGCHLD, N.SIG_DFL, N.SA_NOCLDWAIT);
    return [d.fork(p), p];
  },
  'a child of one who blocks SIGCHLD': (d) => {
    const p = d.fork();
    d.mem(p, OP.OP_RT_SIGPROCMASK, [N.SIG_SETMASK, USER, 0, 8], longs(1n << 16n));
    return [d.fork(p), p];
  },
  'a child of one who waits': (d) => {
    const p = d.fork();
    const child = d.fork(p);
    d.wait(p);
    return [child, p];
  },
  'a clone that tells its end by another signal': (d) => {
    const p = d.fork();
    return [d.call(p, OP.OP_CLONE, N.SIGUSR2), p];
  },
  'the init of a pid namespace': (d) => {
    const init = d.call(1, OP.OP_CLONE, C.CLONE_NEWPID | N.SIGCHLD);
    d.fork(init);
    return [init, 1];
  },
  'a member of a pid namespace': (d) => {
    const init = d.call(1, OP.OP_CLONE, C.CLONE_NEWPID | N.SIGCHLD);
    d.fork(init);
    return [3, init];
  },
  'a task whose end is logged': (d) => {
    enableAudit(d.k);
    return [d.fork(), 1];
  },
};

/** Everything that can be seen of a machine. */
function seen(d: Driver) {
  expect(d.k.check()).toEqual([]);
  return {
    tasks: d.k.tasks(),
    containers: d.k.containers(),
    counts: d.k.counts(),
    events: d.k.events(),
    woken: d.k.woken(),
  };
}

async function story(whole: boolean, op: number, scenario: (d: Driver) => [number, number]) {
  const d = new Driver(await createKernel({ target: 'debug' }));
  const [child, parent] = scenario(d);
  if (whole) d.k.seedFault(NO_FAULT);
  d.call(child, op, 7);
  const dead = seen(d);
  d.k.runWoken();
  const wait = () => d.mem(parent, OP.OP_WAIT4, [-1, USER, W.WNOHANG, 0], 4);
  const results = [wait(), d.word(0), wait()];
  const released = seen(d);
  // what was given back is of use to others
  for (let i = 0; i < 3; ++i) d.exit(d.fork(), i);
  return { dead, results, released, later: [d.wait(1), d.wait(1), seen(d)] };
}

describe.each(['OP_EXIT_GROUP', 'OP_EXIT'] as const)('%s of', (op) => {
  it.each(Object.entries(SCENARIOS))('%s', async (_, scenario) => {
    const short = await story(false, OP[op], scenario);
    expect(short).toEqual(await story(true, OP[op], scenario));
  });
});
