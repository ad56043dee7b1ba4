// Protects: the tests' own eyes. Each fault that is seeded in the debug kernel (the posted patch's
// defects by number) makes a scenario fail; without it the same scenario passes.
import { readdirSync, readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import * as U from '../../assembly/uapi/container.ts';
import { POLLIN } from '../../assembly/uapi/fcntl.ts';
import * as OP from '../../assembly/uapi/op.ts';
import * as E from '../../assembly/uapi/errno.ts';
import { CLONE_NEWPID } from '../../assembly/uapi/sched.ts';
import { SIG_SETMASK, SIGKILL, SS_DISABLE } from '../../assembly/uapi/signal.ts';
import { P_ALL, WEXITED, WNOWAIT } from '../../assembly/uapi/wait.ts';
import { FILE_SCENARIOS } from './file-scenarios.ts';
import { createKernel, DISP_BLOCKED, type Kernel } from '../../host/index.ts';
import { NS_SCENARIOS } from './ns-scenarios.ts';

const USER = 0x1000;
const ASSEMBLY = new URL('../../assembly/', import.meta.url);
const FOR_EVER = -1;
const STATUS = 7;
const UID = 1000;

/** A machine, the calls of a scenario on it, and what was not as it should be. */
export class Machine {
  readonly k: Kernel;
  readonly findings: string[] = [];
  fault = 0;

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

  /** A child of init with another uid and no capability. */
  unprivileged(): number {
    const child = Number(this.call(1, OP.OP_FORK));
    this.call(child, OP.OP_SETRESUID, [UID, UID, UID]);
    return child;
  }

  /** Sets the signal mask of a task. */
  mask(tid: number, mask: bigint): void {
    const memory = new Uint8Array(BigUint64Array.of(mask).buffer);
    this.call(tid, OP.OP_RT_SIGPROCMASK, [SIG_SETMASK, USER, 0, 8], memory);
  }

  state(tid: number): string | undefined {
    return this.k.task(tid)?.state;
  }
}

const SCENARIOS: Record<string, (m: Machine) => void> = {
  ...FILE_SCENARIOS,
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
  /** new namespaces need privilege */
  D_5: (m) => {
    const user = m.unprivileged();
    m.want('create', m.create(user, 'ns', U.CONTAINER_NEW_UTS_NS), -E.EPERM);
  },
  /** an empty mount namespace cannot be entered before it has a root */
  D_6: (m) => {
    const fd = m.create(1, 'empty', U.CONTAINER_NEW_EMPTY_FS_NS);
    m.want('enter', m.enter(1, fd), -E.ENOENT);
  },
  /** a pid namespace's init inside a container dies with it */
  D_10: (m) => {
    const init = m.enter(1, m.create(1, 'outer'));
    m.call(init, OP.OP_UNSHARE, [CLONE_NEWPID]);
    const nested = Number(m.call(init, OP.OP_FORK));
    m.exit(init);
    m.k.runPending();
    m.want('nested init', m.state(nested), 'Z');
  },
  /** the container's exit code is the group's */
  D_12: (m) => {
    const init = m.enter(1, m.create(1, 'threads'));
    m.k.adopt({ pid: 50, tgid: init });
    m.call(init, OP.OP_EXIT, [1]);
    m.call(50, OP.OP_EXIT_GROUP, [STATUS]);
    m.want('exit code', m.k.containers()[1]?.exitCode, STATUS << 8);
  },
  /** a failed first entry leaves the container startable */
  D_13: (m) => {
    const fd = m.create(1, 'again');
    m.k.allocFail(3);
    m.want('first entry', m.enter(1, fd), -E.ENOMEM);
    m.k.allocFail(0);
    m.want('second entry', m.enter(1, fd) > 0, true);
  },
  /** the free hook is not run for a container that the alloc hook has not seen */
  D_19: (m) => {
    m.k.setHooks({ containerFree: true });
    m.call(1, OP.OP_CLOSE, [m.create(1, 'unseen')]);
    m.want('free hooks', m.k.events().filter((e) => e.type === 'containerFree').length, 0);
  },
  /** a nested container's list of devices does not widen the outer one's */
  F_DEVICES: (m) => {
    const list = (minor: number): Uint8Array =>
      new Uint8Array(Int32Array.of(0x2000, 1, 1 << minor, ...Array<number>(7).fill(0)).buffer);
    const outer = m.create(1, 'outer');
    m.call(1, OP.OP_CONTAINER_DEVICES, [outer, USER, 1], list(3));
    const task = m.enter(1, outer);
    const inner = m.create(task, 'inner');
    m.call(task, OP.OP_CONTAINER_DEVICES, [inner, USER, 1], list(5));
    const child = m.enter(task, inner);
    m.k.frame.begin(child, 0, OP.OP_WORLD_FD).assistRet(0).assistDevice('c', 1, 5);
    m.k.trap();
    m.want('open', m.k.frame.result, -E.EPERM);
  },
  /** what a container's keyring holds is used, not possessed: it cannot be linked elsewhere */
  F_MEMBER_KEYS: (m) => {
    const memory = new TextEncoder().encode('user\0d\0');
    const fd = m.create(1, 'keys');
    m.call(1, OP.OP_CONTAINER_ADD_KEY, [USER, USER + 5, USER, 1, fd], memory);
    const member = m.enter(1, fd);
    const linked = m.call(member, OP.OP_REQUEST_KEY, [USER, USER + 5, 0, -3], memory);
    m.want('link', linked, -E.EACCES);
  },
  /** a member does not see which container a task outside is in */
  F_SEE_ALL: (m) => {
    const member = m.enter(1, m.create(1, 'blind'));
    m.want('container', m.k.procText(member, '/proc/1/container'), '0\n');
  },
  /** containers nest to a limit */
  D_22: (m) => {
    m.k.boot({ containerDepthMax: 1 });
    m.k.seedFault(m.fault);
    const inside = m.enter(1, m.create(1, 'deep'));
    m.want('one deeper', m.create(inside, 'deeper'), -E.ENOSPC);
  },
  /** nothing begins under a dead container */
  D_24: (m) => {
    const fd = m.create(1, 'dead');
    const init = m.enter(1, fd);
    const member = m.enter(1, fd);
    m.exit(init);
    m.want('create', m.create(member, 'late'), -E.ECANCELED);
  },
  /** names hold no control characters */
  D_31: (m) => m.want('create', m.create(1, 'a\nb'), -E.EINVAL),
  /** no entry from a namespace that cannot see the child */
  D_36: (m) => {
    const plain = m.create(1, 'plain');
    const boxed = m.enter(1, m.create(1, 'boxed', U.CONTAINER_NEW_PID_NS));
    m.want('enter', m.enter(boxed, plain), -E.EINVAL);
  },
  /** no entry with less privilege than the creator's */
  D_37: (m) => {
    const fd = m.create(1, 'root');
    m.want('enter', m.enter(m.unprivileged(), fd), -E.EPERM);
  },
  /** exit gives back what the task held: the checker sees a leak */
  F_FS_LEAK: (m) => {
    m.exit(Number(m.call(1, OP.OP_FORK)));
  },
  /** a child has its parent's signal mask */
  F_MASK: (m) => {
    m.mask(1, 0x200n);
    const child = Number(m.call(1, OP.OP_FORK));
    m.want('mask', String(m.k.task(child)?.blocked), '512');
  },
  /** a duplicate is not close-on-exec */
  F_DUP_CLOEXEC: (m) => {
    m.call(1, OP.OP_DUP, [0]);
    m.want('cloexec', m.k.fds(1)[3]?.cloexec, false);
  },
  /** WNOWAIT leaves the zombie */
  F_WNOWAIT: (m) => {
    const child = Number(m.call(1, OP.OP_FORK));
    m.exit(child);
    m.call(1, OP.OP_WAITID, [P_ALL, 0, 0, WEXITED | WNOWAIT, 0]);
    m.want('zombie', m.state(child), 'Z');
  },
  /** a pidfd does not survive an exec */
  F_PIDFD_CLOEXEC: (m) => {
    const fd = Number(m.call(1, OP.OP_PIDFD_OPEN, [Number(m.call(1, OP.OP_FORK))]));
    m.want('cloexec', m.k.fds(1)[fd]?.cloexec, true);
  },
  /** a thread begins without its maker's alternate stack */
  F_ALTSTACK_CLONE: (m) => {
    const stack = new Uint8Array(BigUint64Array.of(0x8000n, 0n, 8192n).buffer);
    m.call(1, OP.OP_SIGALTSTACK, [USER, 0], stack);
    const thread = Number(m.call(1, OP.OP_CLONE, [0x10900]));
    const old = new Uint8Array(24);
    m.call(thread, OP.OP_SIGALTSTACK, [0, USER], old);
    const written = m.k.frame.output(USER, 24)!;
    m.want('flags', new DataView(written.buffer).getUint32(8, true), SS_DISABLE);
  },
  /** who was waited for does not count against RLIMIT_NPROC */
  F_NPROC: (m) => {
    const user = m.unprivileged();
    const two = new Uint8Array(BigUint64Array.of(2n, 2n).buffer);
    m.call(user, OP.OP_PRLIMIT64, [0, 6, USER, 0], two);
    for (let n = 0; n < 3; ++n) {
      const child = Number(m.call(user, OP.OP_FORK));
      m.want('forked', child > 0, true);
      m.exit(child);
      m.call(user, OP.OP_WAIT4, [child]);
    }
  },
  /** nobody without privilege is less nice than before */
  F_NICE: (m) =>
    m.want('setpriority', m.call(m.unprivileged(), OP.OP_SETPRIORITY, [0, 0, -5]), -13),
  /** alarm(0) disarms */
  F_ALARM: (m) => {
    m.call(1, OP.OP_ALARM, [5]);
    m.want('what was left', m.call(1, OP.OP_ALARM, [0]), 5);
    m.want('what is left', m.call(1, OP.OP_ALARM, [0]), 0);
  },
  /** a number is not given again while a process group bears it */
  F_PGRP_NUMBER: (m) => {
    const leader = Number(m.call(1, OP.OP_FORK));
    m.call(leader, OP.OP_SETPGID);
    m.call(leader, OP.OP_FORK);
    m.exit(leader);
    m.call(1, OP.OP_WAIT4, [leader]);
    m.want('kill of the group', m.call(1, OP.OP_KILL, [-leader, 0]), 0);
  },
  /** SIGKILL cannot be blocked */
  F_KILL_MASK: (m) => {
    m.mask(1, 1n << 8n);
    m.want('mask', String(m.k.task(1)?.blocked), '0');
  },
  ...NS_SCENARIOS,
};

/** What is wrong after the scenario of `name`, with its fault on or off. */
async function findings(name: string, fault: number): Promise<string[]> {
  const m = new Machine(await createKernel({ target: 'debug' }));
  m.fault = fault;
  m.k.seedFault(fault);
  SCENARIOS[name]!(m);
  return [...m.findings, ...m.k.check()];
}

/** The faults that the kernel knows: its constants `const D_n = n;`, and F_ for our own. */
function faults(): [string, number][] {
  const files = readdirSync(ASSEMBLY, { recursive: true, encoding: 'utf8' });
  // uapi/ has F_ constants of fcntl(2)
  const sources = files.filter((file) => file.endsWith('.ts') && !file.startsWith('uapi/'));
  return sources.flatMap((file) => {
    const text = readFileSync(new URL(file, ASSEMBLY), 'utf8');
    const found = text.matchAll(/^(?:export )?const ([DF]_\w+)(?:: i32)? = (\d+);/gm);
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
