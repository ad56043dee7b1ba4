// Protects: a call that runs out of memory has no effect. Each allocation of each call fails in
// turn; the call says ENOMEM, nothing visible has changed, nothing leaks, and the same call then
// succeeds as if nothing had happened.
import { ENOMEM } from '../../assembly/uapi/errno.ts';
import { beforeEach, describe, expect, it } from 'vitest';
import { _LINUX_CAPABILITY_VERSION_3 as CAP3 } from '../../assembly/uapi/capability.ts';
import * as U from '../../assembly/uapi/container.ts';
import { AT_FDCWD, O_RDWR } from '../../assembly/uapi/fcntl.ts';
import { MS_BIND } from '../../assembly/uapi/mount.ts';
import { NS_GET_USERNS } from '../../assembly/uapi/nsfs.ts';
import * as OP from '../../assembly/uapi/op.ts';
import * as P from '../../assembly/uapi/prctl.ts';
import * as C from '../../assembly/uapi/sched.ts';
import { SIGCHLD } from '../../assembly/uapi/signal.ts';
import { ALL_NS } from '../unit/container/machine.ts';
import {
  createKernel,
  DISP_BLOCKED,
  DISP_DONE,
  type Counts,
  type Kernel,
} from '../../host/index.ts';
import { type Call, type Case, FILE_CASES, FORK, pipe, USER, words } from './file-cases.ts';
import { NET_CASES } from './net-cases.ts';

const SLEEPS = 'sleeps';
/** More allocations than any one call makes. */
const MOST = 64;

const text = (s: string): Uint8Array => new TextEncoder().encode(`${s}\0`);
const clone = (flags: number): Call => ({ op: OP.OP_CLONE, args: [flags] });
const create = (flags: number, name = 'box'): Call => ({
  op: OP.OP_CONTAINER_CREATE,
  args: [USER, flags],
  memory: text(name),
});
const unshare = (flags: number): Call => ({ op: OP.OP_UNSHARE, args: [flags] });

const THREAD = C.CLONE_VM | C.CLONE_FS | C.CLONE_FILES | C.CLONE_SIGHAND | C.CLONE_THREAD;
const NAMESPACES =
  C.CLONE_NEWNS |
  C.CLONE_NEWUTS |
  C.CLONE_NEWIPC |
  C.CLONE_NEWPID |
  C.CLONE_NEWNET |
  C.CLONE_NEWCGROUP;
/** SIGUSR1 is ignored from now on. */
const ignore: Call = {
  op: OP.OP_RT_SIGACTION,
  args: [10, USER, 0, 8],
  memory: words(1, 0, 0, 0, 0, 0, 0, 0),
};
const limit: Call = { op: OP.OP_PRLIMIT64, args: [0, 7, USER, 0], memory: words(64, 0, 128, 0) };
const openProc = (name: string): Call => ({
  op: OP.OP_OPENAT,
  args: [-100, USER, 0],
  memory: text(`/proc/${name}`),
});
/** add_key("user", a letter, one byte) into a keyring. */
const addKey = (ring: number, letter = 64): Call => ({
  op: OP.OP_ADD_KEY,
  args: [USER, USER + 5, USER, 1, ring],
  memory: new Uint8Array([...text('user'), letter, 0]),
});
/** What a user has without asking stays when it was made for a call that failed then. */
const KEYS = { serial: true, copies: ['keys', 'users', 'creds', 'keyrings'] as (keyof Counts)[] };
const enter = (fd: number): Call => ({ op: OP.OP_FORK_INTO_CONTAINER, args: [fd] });
/** openat of a path, made writable. */
const open = (path: string, before?: Call[]): Case => ({
  op: OP.OP_OPENAT,
  args: [AT_FDCWD, USER, O_RDWR],
  memory: text(path),
  world: true,
  ...(before ? { before } : {}),
});
/** A clone3 with flags and the address of the pidfd; the rest is zero but the exit signal. */
const clone3: Call = {
  op: OP.OP_CLONE3,
  args: [USER, C.CLONE_ARGS_SIZE_VER2],
  memory: words(C.CLONE_PIDFD, 1, USER + 96, 0, 0, 0, 0, 0, SIGCHLD, ...Array<number>(17).fill(0)),
};

const CASES: Record<string, Case> = {
  ...FILE_CASES,
  ...NET_CASES,
  fork: FORK,
  'fork by a child': { tid: 2, ...FORK, before: [FORK] },
  'fork when the kill queue is full': { ...FORK, before: Array<Call>(63).fill(FORK) },
  'fork of the first number of a new leaf': { ...FORK, before: Array<Call>(254).fill(FORK) },
  vfork: { op: OP.OP_VFORK },
  'clone of a thread': clone(THREAD),
  'clone of a thread after fork': {
    ...clone(THREAD),
    before: [FORK],
    copies: ['fdTables', 'fs', 'sighands'],
  },
  'fork by a process with threads': { ...FORK, before: [clone(THREAD)] },
  'clone with CLONE_FILES after fork': {
    ...clone(C.CLONE_FILES | SIGCHLD),
    before: [FORK],
    copies: ['fdTables'],
  },
  'clone with CLONE_FS after fork': {
    ...clone(C.CLONE_FS | SIGCHLD),
    before: [FORK],
    copies: ['fs'],
  },
  'clone with each new namespace': clone(NAMESPACES | SIGCHLD),
  'clone with a new user namespace': clone(C.CLONE_NEWUSER | SIGCHLD),
  'clone with all new namespaces': clone(NAMESPACES | C.CLONE_NEWUSER | SIGCHLD),
  'fork in a nested pid namespace': { tid: 2, ...FORK, before: [clone(NAMESPACES | SIGCHLD)] },
  'clone with a pidfd': {
    op: OP.OP_CLONE,
    args: [C.CLONE_PIDFD | SIGCHLD, 0, USER],
    memory: words(0),
  },
  'clone3 with a pidfd and cleared actions': {
    ...clone3,
    before: [ignore, FORK],
    copies: ['fdTables'],
  },
  'pidfd_open after fork': {
    op: OP.OP_PIDFD_OPEN,
    args: [2, 0],
    before: [FORK],
    copies: ['fdTables'],
  },
  'pidfd_getfd of a far descriptor': {
    op: OP.OP_PIDFD_GETFD,
    args: [3, 0, 0],
    before: [FORK, { op: OP.OP_PIDFD_OPEN, args: [2, 0] }, FORK],
    copies: ['fdTables'],
  },
  'the first setpriority': { op: OP.OP_SETPRIORITY, args: [0, 0, 5] },
  'the first personality': { op: OP.OP_PERSONALITY, args: [0x40000] },
  'fork with a niceness': { ...FORK, before: [{ op: OP.OP_SETPRIORITY, args: [0, 0, 5] }] },
  // the head of the chain of timers may be there already
  'the first alarm': { op: OP.OP_ALARM, args: [5], copies: ['itimers'] },
  setitimer: {
    op: OP.OP_SETITIMER,
    args: [2, USER, 0],
    memory: words(0, 0, 0, 0, 1, 0, 0, 0),
    copies: ['itimers'],
  },
  'dup after fork': { op: OP.OP_DUP, args: [0], before: [FORK] },
  'dup2 of a far descriptor': { op: OP.OP_DUP2, args: [0, 900] },
  'dup2 of a far descriptor after fork': {
    op: OP.OP_DUP2,
    args: [0, 900],
    before: [FORK],
    copies: ['fdTables'],
  },
  'close after fork': { op: OP.OP_CLOSE, args: [0], before: [FORK] },
  'fcntl F_DUPFD of a far descriptor': { op: OP.OP_FCNTL, args: [0, 0, 500] },
  'fcntl F_SETFD after fork': { op: OP.OP_FCNTL, args: [0, 2, 1], before: [FORK] },
  'close_range with unshare': { op: OP.OP_CLOSE_RANGE, args: [0, 9, 2], before: [FORK] },
  'umask after fork': { op: OP.OP_UMASK, args: [0o77], before: [FORK] },
  pipe2: pipe,
  container_create: create(0),
  'container_create after fork': { ...create(0), before: [FORK], copies: ['fdTables'] },
  'container_create with new namespaces': create(ALL_NS),
  'container_create with an empty file system': create(U.CONTAINER_NEW_EMPTY_FS_NS),
  'container_create with a new user namespace': create(U.CONTAINER_NEW_USER_NS),
  'container_create with everything': create(ALL_NS | U.CONTAINER_NEW_USER_NS | 0x300),
  'the first process of a container': { ...enter(3), before: [create(0)] },
  'the first process of a container with namespaces': { ...enter(3), before: [create(ALL_NS)] },
  'the second process of a container': { ...enter(3), before: [create(0), enter(3)] },
  'the fifth process of a container': {
    ...enter(3),
    before: [create(ALL_NS), ...Array<Call>(4).fill(enter(3))],
  },
  'a fork inside a container': { tid: 2, ...FORK, before: [create(ALL_NS), enter(3)] },
  'a key in a new session': { ...addKey(-3), ...KEYS },
  'a key in a new process keyring': { ...addKey(-2), ...KEYS },
  'a key for a container': {
    ...addKey(3),
    serial: true,
    op: OP.OP_CONTAINER_ADD_KEY,
    before: [create(0)],
  },
  'the seventeenth key': {
    ...addKey(-3),
    serial: true,
    before: Array.from({ length: 20 }, (_, i) => addKey(-3, 65 + i)),
  },
  'fork by a task with a process keyring': { ...FORK, before: [addKey(-2)] },
  'a thread of a thread with a keyring': { ...clone(THREAD), before: [addKey(-1)] },
  'exec by a task with a thread keyring': {
    op: OP.OP_EXECVE,
    args: [USER, 0, 0],
    memory: text('/x'),
    before: [addKey(-1), FORK],
    copies: ['fdTables'],
  },
  'setresuid by a task with a session': {
    op: OP.OP_SETRESUID,
    args: [1, 1, 1],
    before: [addKey(-3)],
  },
  'joining a session': { op: OP.OP_KEYCTL, args: [1, 0], ...KEYS },
  'opening /proc/containers': openProc('containers'),
  'opening /proc/self/status': openProc('self/status'),
  'reading /proc/containers': {
    op: OP.OP_READ,
    args: [3, USER, 64],
    memory: new Uint8Array(64),
    before: [openProc('containers')],
  },
  'a supervisor': { op: OP.OP_CONTAINER_SUPERVISE, args: [3, 0], before: [create(0)] },
  'a supervisor that reads': {
    op: OP.OP_READ,
    args: [4, USER, 80],
    memory: new Uint8Array(80),
    before: [create(0), { op: OP.OP_CONTAINER_SUPERVISE, args: [3, 0] }],
  },
  'a list of devices': {
    op: OP.OP_CONTAINER_DEVICES,
    args: [3, USER, 1],
    memory: words(0x2000, 1, 8, ...Array<number>(7).fill(0)),
    before: [create(0)],
  },
  'another file of a container': {
    op: OP.OP_CONTAINER_OPEN,
    args: [2, 0],
    before: [create(0)],
  },
  'a container of the seventeenth user': {
    tid: 18,
    ...create(0),
    before: Array.from({ length: 16 }, (_, i): Call[] => [
      FORK,
      { tid: i + 2, op: OP.OP_SETRESUID, args: [i + 1, i + 1, i + 1] },
      { tid: i + 2, ...create(0) },
    ])
      .flat()
      .concat(FORK),
    copies: ['fdTables'],
  },
  'a nested container': {
    tid: 2,
    ...create(ALL_NS, 'in'),
    before: [create(ALL_NS), enter(3)],
    copies: ['fdTables'],
  },
  'rt_sigaction after fork': { ...ignore, before: [FORK] },
  'prlimit64 after fork': { ...limit, before: [FORK] },
  'unshare of the files': { ...unshare(C.CLONE_FILES), before: [clone(C.CLONE_FILES | SIGCHLD)] },
  'unshare of the file system': { ...unshare(C.CLONE_FS), before: [clone(C.CLONE_FS | SIGCHLD)] },
  'unshare of mounts': unshare(C.CLONE_NEWNS),
  'unshare of uts': unshare(C.CLONE_NEWUTS),
  'unshare of ipc': unshare(C.CLONE_NEWIPC),
  'unshare of pids': unshare(C.CLONE_NEWPID),
  'unshare of the network': unshare(C.CLONE_NEWNET),
  'unshare of cgroups': unshare(C.CLONE_NEWCGROUP),
  'unshare of the time': unshare(C.CLONE_NEWTIME),
  'unshare of the user': unshare(C.CLONE_NEWUSER),
  'unshare of everything': {
    ...unshare(NAMESPACES | C.CLONE_NEWUSER | C.CLONE_NEWTIME | C.CLONE_FILES),
    before: [FORK],
    copies: ['fdTables', 'fs'],
  },
  'poll that sleeps': {
    op: OP.OP_POLL,
    args: [USER, 3, -1],
    memory: words(3, 1, 4, 1, 5, 1),
    before: [create(0), create(0), create(0)],
  },
  setresuid: { op: OP.OP_SETRESUID, args: [5, 5, 5] },
  setgid: { op: OP.OP_SETGID, args: [5] },
  setreuid: { op: OP.OP_SETREUID, args: [5, 5] },
  setgroups: { op: OP.OP_SETGROUPS, args: [2, USER], memory: words(2, 1) },
  'setgroups to none': { op: OP.OP_SETGROUPS, args: [0, 0] },
  capset: { op: OP.OP_CAPSET, args: [USER, USER + 8], memory: words(CAP3, 0, 1, 1, 1, 0, 0, 0) },
  'prctl of securebits': { op: OP.OP_PRCTL, args: [P.PR_SET_SECUREBITS, 1] },
  'prctl of keepcaps': { op: OP.OP_PRCTL, args: [P.PR_SET_KEEPCAPS, 1] },
  'prctl of the bounding set': { op: OP.OP_PRCTL, args: [P.PR_CAPBSET_DROP, 1] },
  'prctl of the ambient set': { op: OP.OP_PRCTL, args: [P.PR_CAP_AMBIENT, 4] },
  'exec that changes the cred': {
    op: OP.OP_EXECVE,
    args: [USER],
    memory: text('/bin/true'),
    before: [{ op: OP.OP_PRCTL, args: [P.PR_SET_KEEPCAPS, 1] }, FORK],
    copies: ['creds'],
  },
  'exec into another time': {
    op: OP.OP_EXECVE,
    args: [USER],
    memory: text('/bin/true'),
    before: [unshare(C.CLONE_NEWTIME), clone(C.CLONE_VM | SIGCHLD)],
    copies: ['nsproxies'],
  },
  'open of an id map': {
    ...open('/proc/2/uid_map', [clone(C.CLONE_NEWUSER | SIGCHLD)]),
    copies: ['fdTables'],
  },
  'write of an id map': {
    op: OP.OP_WRITE,
    args: [3, USER, 5],
    memory: text('0 0 1'),
    before: [clone(C.CLONE_NEWUSER | SIGCHLD), open('/proc/2/uid_map')],
  },
  'chroot after fork': {
    op: OP.OP_CHROOT,
    args: [USER],
    memory: text('/tmp'),
    before: [FORK],
    copies: ['fs'],
  },
  'open of a namespace': open('/proc/self/ns/net'),
  'setns by file': {
    op: OP.OP_SETNS,
    args: [3, 0],
    before: [clone(C.CLONE_NEWNET | SIGCHLD), open('/proc/2/ns/net')],
  },
  'setns to mounts after fork': {
    op: OP.OP_SETNS,
    args: [3, 0],
    before: [open('/proc/self/ns/mnt'), FORK],
    copies: ['fs'],
  },
  'setns by pidfd': {
    op: OP.OP_SETNS,
    args: [3, C.CLONE_NEWUSER | C.CLONE_NEWNS | C.CLONE_NEWNET],
    before: [clone(NAMESPACES | C.CLONE_NEWUSER | SIGCHLD), { op: OP.OP_PIDFD_OPEN, args: [2, 0] }],
    copies: ['fs'],
  },
  'ioctl for the owner of a namespace': {
    op: OP.OP_IOCTL,
    args: [3, NS_GET_USERNS],
    before: [open('/proc/self/ns/net')],
  },
  'mount of a namespace': {
    op: OP.OP_MOUNT,
    args: [USER, USER + 6, 0, MS_BIND],
    memory: text('/proc/self/ns/net'),
    world: true,
  },
  'wait4 that sleeps': { op: OP.OP_WAIT4, args: [-1, 0, 0, 0], before: [FORK] },
  'container_wait that sleeps': {
    op: OP.OP_CONTAINER_WAIT,
    args: [3, 0, 0, 0],
    before: [create(0), enter(3)],
  },
};

describe('each allocation fails in turn', () => {
  let k: Kernel;
  const run = (call: Call, failing = 0): number | string => {
    const frame = k.frame.begin(call.tid ?? 1, 0, call.op);
    (call.args ?? []).forEach((arg, i) => frame.setArg(i, arg));
    if (call.memory) frame.window(USER, call.memory, 'rw');
    if (call.world) frame.assistRet(0);
    if (call.inode) frame.assistRet(0).assistFile(2, call.inode);
    k.allocFail(failing);
    const disposition = k.trap();
    if (disposition === DISP_BLOCKED) return SLEEPS;
    expect(disposition).toBe(DISP_DONE);
    return frame.result;
  };
  const visible = (tid: number): unknown => [k.tasks(), k.containers(), k.fds(tid)];
  /** The counts now, less the copies that the failed call was free to make. */
  const counted = (copies: readonly (keyof Counts)[] = [], before: Counts): Counts => {
    const counts = k.counts();
    for (const kind of copies) counts[kind] -= Math.max(0, counts[kind] - before[kind]);
    return counts;
  };

  beforeEach(async () => {
    k = await createKernel({ target: 'debug' });
  });

  // spec: container_create ENOMEM; fork_into_container ENOMEM; container_add_key ENOMEM
  // spec: container_socket ENOMEM
  it.each(Object.entries(CASES))('%s', (_name, test) => {
    for (const call of test.before ?? []) expect(run(call)).toBeGreaterThanOrEqual(0);
    const start = k.snapshot();
    const before = k.counts();
    const shown = visible(test.tid ?? 1);
    const expected = run(test);
    const after = k.counts();
    const outcome = visible(test.tid ?? 1);
    if (expected !== SLEEPS) expect(expected).toBeGreaterThanOrEqual(0);
    let n = 1;
    for (; n < MOST; ++n) {
      k.restore(start);
      // the frame that a sleeping call leaves behind is no allocation of the call's
      k.allocFail(0);
      k.freeFrame(k.allocFrame());
      const result = run(test, n);
      if (k.allocCount() < n) {
        expect(result).toBe(expected);
        break;
      }
      const at = `allocation ${n}`;
      expect(result, at).toBe(-ENOMEM);
      expect(k.check(), at).toEqual([]);
      expect(counted(test.copies, before), at).toEqual(before);
      expect(visible(test.tid ?? 1), at).toEqual(shown);
      const again = run(test);
      if (test.serial) expect(again, at).toBeGreaterThan(0);
      else expect(again, `the call again after ${at}`).toBe(expected);
      expect(k.counts(), `counts after ${at} and the call again`).toEqual(after);
      expect(visible(test.tid ?? 1), `state after ${at} and the call again`).toEqual(outcome);
      expect(k.check()).toEqual([]);
    }
    // a call without allocations has no place here
    expect(n).toBeGreaterThan(1);
    expect(n).toBeLessThan(MOST);
  });
});
