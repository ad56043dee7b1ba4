// Protects: the short way of a plain fork leaves the very memory that the whole way leaves. The
// whole way is clone(SIGCHLD), which is the same call and never takes the short one.
import { describe, expect, it } from 'vitest';
import * as E from '../../../assembly/uapi/errno.ts';
import { CONTAINER_NEW_PID_NS } from '../../../assembly/uapi/container.ts';
import { F_SETLK, F_WRLCK } from '../../../assembly/uapi/fcntl.ts';
import * as OP from '../../../assembly/uapi/op.ts';
import * as P from '../../../assembly/uapi/prctl.ts';
import { RLIMIT_NPROC } from '../../../assembly/uapi/resource.ts';
import * as C from '../../../assembly/uapi/sched.ts';
import * as N from '../../../assembly/uapi/signal.ts';
import { FRAME_BLOCK } from '../../../host/frame.ts';
import { createKernel } from '../../../host/index.ts';
import type { BootConfig, KernelTarget } from '../../../host/index.ts';
import { enableAudit } from '../../../host/audit-ring.ts';
import { AuditDriver } from '../audit/audit-driver.ts';
import { NsDriver } from './ns-driver.ts';
import { Driver, longs, USER } from './driver.ts';

const THREAD =
  C.CLONE_VM | C.CLONE_FS | C.CLONE_FILES | C.CLONE_SIGHAND | C.CLONE_THREAD | C.CLONE_SYSVSEM;

type Fork = (d: Driver, parent: number) => number;
const SHORT: Fork = (d, parent) => d.call(parent, OP.OP_FORK);
const WHOLE: Fork = (d, parent) => d.call(parent, OP.OP_CLONE, N.SIGCHLD);

function create(d: Driver, name: string, flags = 0): number {
  return d.mem(1, OP.OP_CONTAINER_CREATE, [USER, flags], new TextEncoder().encode(`${name}\0`));
}

/** What a scenario does before the two forks, and in what machine; it names the parent. */
interface Scenario {
  boot?: BootConfig;
  prepare?: (d: Driver) => number;
  result?: number;
}

const SCENARIOS: Record<string, Scenario> = {
  'by init': {},
  'by a child of a child': { prepare: (d) => d.fork(d.fork()) },
  'after others have come and gone': {
    prepare: (d) => {
      for (let i = 0; i < 5; ++i) d.fork();
      for (const pid of [4, 2, 6]) d.exit(pid, 3);
      while (d.call(1, OP.OP_WAIT4, -1, 0, 1, 0) > 0);
      return 3;
    },
  },
  'by a session leader with a mask, a name and a death signal': {
    prepare: (d) => {
      const p = d.fork();
      d.call(p, OP.OP_SETSID);
      d.mem(p, OP.OP_RT_SIGPROCMASK, [N.SIG_SETMASK, USER, 0, 8], longs(0x5500));
      d.mem(p, OP.OP_PRCTL, [P.PR_SET_NAME, USER], new TextEncoder().encode('some name\0'));
      d.call(p, OP.OP_PRCTL, P.PR_SET_PDEATHSIG, 10);
      d.call(p, OP.OP_PRCTL, P.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
      return p;
    },
  },
  'below a subreaper, traced': {
    prepare: (d) => {
      const p = d.fork();
      d.call(p, OP.OP_PRCTL, P.PR_SET_CHILD_SUBREAPER, 1);
      d.k.setTraced(p, true);
      return p;
    },
  },
  'on an alternate stack': {
    prepare: (d) => {
      d.mem(1, OP.OP_SIGALTSTACK, [USER, 0], longs(0x8000, 0, 8192));
      return 1;
    },
  },
  'by a thread': { prepare: (d) => d.call(d.fork(), OP.OP_CLONE, THREAD) },
  'by one who shares files and actions': {
    prepare: (d) => d.call(1, OP.OP_CLONE, C.CLONE_FILES | C.CLONE_FS | N.SIGCHLD),
  },
  'with the files of one who has left them': {
    prepare: (d) => {
      const p = d.call(1, OP.OP_CLONE, C.CLONE_FILES | C.CLONE_FS | N.SIGCHLD);
      d.exit(p);
      return 1;
    },
  },
  'in a container': {
    prepare: (d) => d.call(1, OP.OP_FORK_INTO_CONTAINER, create(d, 'box')),
  },
  'in a container that has to grow': {
    prepare: (d) => {
      const fd = create(d, 'box');
      let p = 0;
      for (let i = 0; i < 4; ++i) p = d.call(1, OP.OP_FORK_INTO_CONTAINER, fd);
      return p;
    },
  },
  'in a dead container': {
    prepare: (d) => {
      const init = d.call(1, OP.OP_FORK_INTO_CONTAINER, create(d, 'box'));
      const member = d.fork(init);
      d.exit(init);
      return member;
    },
    result: -E.ECANCELED,
  },
  'in a pid namespace': {
    prepare: (d) => d.call(1, OP.OP_CLONE, C.CLONE_NEWPID | N.SIGCHLD),
  },
  'with a signal to be taken first': {
    prepare: (d) => {
      const p = d.fork();
      d.call(1, OP.OP_KILL, p, N.SIGTERM);
      return p;
    },
  },
  'where the numbers end': {
    boot: { pidMax: 310 },
    prepare: (d) => {
      while (d.fork() !== 309);
      for (const pid of [301, 302]) d.exit(pid);
      while (d.call(1, OP.OP_WAIT4, -1, 0, 1, 0) > 0);
      return 5;
    },
  },
  'without a number left': {
    boot: { pidMax: 301 },
    prepare: (d) => {
      while (d.fork() > 0);
      return 1;
    },
    result: -E.EAGAIN,
  },
  'by a user with as many tasks as it may have': {
    prepare: (d) => {
      const p = d.unprivileged();
      d.mem(p, OP.OP_PRLIMIT64, [0, RLIMIT_NPROC, USER, 0], longs(1, 1));
      return p;
    },
    result: -E.EAGAIN,
  },
  'by a user with room for more tasks': { prepare: (d) => d.unprivileged() },
  'by one of low priority that keeps its memory to itself': {
    prepare: (d) => {
      const p = d.fork();
      d.call(p, OP.OP_SETPRIORITY, 0, 0, 5);
      d.call(p, OP.OP_PRCTL, P.PR_SET_DUMPABLE, 0);
      return p;
    },
  },
  'by the owner of record locks': {
    prepare: (d) => {
      const fd = new NsDriver(d.k).open(1, '/tmp/file');
      const lock = longs(F_WRLCK, 0, 0, 0);
      if (d.mem(1, OP.OP_FCNTL, [fd, F_SETLK, USER], lock) !== 0) throw new Error('no lock');
      return 1;
    },
  },
  'by one with an audit id, with audit on': {
    prepare: (d) => {
      enableAudit(d.k);
      const driver = new AuditDriver(d.k);
      if (driver.contid(1, d.fork(), 7) < 0) throw new Error('no id');
      return 2;
    },
  },
  'with as many threads as there may be': {
    boot: { threadsMax: 3 },
    prepare: (d) => d.fork() + d.fork() - 3,
    result: -E.EAGAIN,
  },
};

/** The kernel's memory but for the frame and the buffers of the call under way. */
function image(d: Driver): Buffer {
  const k = d.k;
  k.refresh();
  const bytes = Buffer.from(k.u8.slice(0, k.exports.high_water() >>> 0));
  bytes.fill(0, k.frame.address, k.frame.address + FRAME_BLOCK);
  bytes.fill(0, 0x1000, 0x10000);
  return bytes;
}

async function after(target: KernelTarget, scenario: Scenario, fork: Fork) {
  const d = new Driver(await createKernel({ target, boot: scenario.boot ?? {} }));
  const parent = scenario.prepare?.(d) ?? 1;
  const results = [fork(d, parent), fork(d, parent)];
  expect(d.k.check()).toEqual([]);
  const events = d.k.events();
  return { results, events, bytes: image(d) };
}

describe.each(['release', 'debug'] as const)('%s: fork', (target) => {
  it.each(Object.entries(SCENARIOS))('%s', async (_, scenario) => {
    const short = await after(target, scenario, SHORT);
    const whole = await after(target, scenario, WHOLE);
    expect(short.results).toEqual(whole.results);
    if (scenario.result !== undefined) expect(short.results[0]).toBe(scenario.result);
    expect(short.events).toEqual(whole.events);
    expect(short.bytes.equals(whole.bytes)).toBe(true);
  });
});

describe('fork_into_container', () => {
  /** A container, with its init when `started`: its descriptor. */
  const box = (d: Driver, started: boolean): number => {
    const fd = create(d, 'box');
    if (started) d.call(1, OP.OP_FORK_INTO_CONTAINER, fd);
    return fd;
  };
  const ENTRIES: Record<string, (d: Driver) => number> = {
    'of one that runs': (d) => box(d, true),
    'of one that begins': (d) => box(d, false),
    'of one that is dead': (d) => {
      const fd = box(d, true);
      d.exit(2);
      return fd;
    },
    'of another user': (d) => {
      d.call(1, OP.OP_SETRESUID, -1, 1000, 0);
      const fd = box(d, true);
      d.call(1, OP.OP_SETRESUID, -1, 0, 0);
      return fd;
    },
    'with a pid namespace of its own': (d) => create(d, 'ns', CONTAINER_NEW_PID_NS),
    'while audit is on': (d) => {
      enableAudit(d.k);
      return box(d, true);
    },
  };

  it.each(Object.entries(ENTRIES))('%s', async (_, prepare) => {
    // a fault that nothing knows forces the whole way
    const run = async (fault: number) => {
      const d = new Driver(await createKernel({ target: 'debug' }));
      const fd = prepare(d);
      d.k.seedFault(fault);
      const results = [1, 2].map(() => d.call(1, OP.OP_FORK_INTO_CONTAINER, fd));
      d.k.seedFault(0);
      expect(d.k.check()).toEqual([]);
      return { results, events: d.k.events(), bytes: image(d) };
    };
    const [short, whole] = [await run(0), await run(9999)];
    expect(short.results).toEqual(whole.results);
    expect(short.events).toEqual(whole.events);
    expect(short.bytes.equals(whole.bytes)).toBe(true);
  });
});
