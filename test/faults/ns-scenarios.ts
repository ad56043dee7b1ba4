// Scenarios of seeded faults around users and namespaces.
import * as CAP from '../../assembly/uapi/capability.ts';
import { AT_FDCWD, O_RDWR } from '../../assembly/uapi/fcntl.ts';
import * as OP from '../../assembly/uapi/op.ts';
import * as P from '../../assembly/uapi/prctl.ts';
import { CLONE_NEWUSER } from '../../assembly/uapi/sched.ts';
import { SIGCHLD } from '../../assembly/uapi/signal.ts';
import type { Kernel } from '../../host/index.ts';

/** What the scenarios need of the machine. */
interface Machine {
  readonly k: Kernel;
  call(tid: number, op: number, args?: number[], memory?: Uint8Array): number | 'sleeps';
  want(what: string, found: unknown, wanted: unknown): void;
}

const USER = 0x1000;
const UID = 1000;
const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

/** A descriptor of a file of /proc. */
function open(m: Machine, tid: number, path: string): number {
  const frame = m.k.frame.begin(tid, 0, OP.OP_OPENAT).assistRet(0);
  frame.setArg(0, AT_FDCWD).setArg(1, USER).setArg(2, O_RDWR);
  frame.window(USER, bytes(`${path}\0`), 'r');
  m.k.trap();
  return frame.result;
}

/** A write of one text to a file of /proc. */
function put(m: Machine, tid: number, path: string, text: string): number {
  const fd = open(m, tid, path);
  const result = m.call(tid, OP.OP_WRITE, [fd, USER, text.length], bytes(text));
  m.call(tid, OP.OP_CLOSE, [fd]);
  return Number(result);
}

/** capset with version 3: the low words of the three sets. */
function capset(m: Machine, tid: number, effective: number, inheritable: number): number {
  const words = [CAP._LINUX_CAPABILITY_VERSION_3, 0, effective, effective, inheritable, 0, 0, 0];
  const memory = new Uint8Array(Int32Array.from(words).buffer);
  return Number(m.call(tid, OP.OP_CAPSET, [USER, USER + 8], memory));
}

export const NS_SCENARIOS: Record<string, (m: Machine) => void> = {
  /** whoever stops being root has no capability left */
  F_SETUID_CAPS: (m) => {
    const child = Number(m.call(1, OP.OP_FORK));
    m.call(child, OP.OP_SETRESUID, [UID, UID, UID]);
    m.want('permitted', String(m.k.task(child)?.caps.permitted), '0');
  },
  /** a locked securebit does not change */
  F_SECUREBITS: (m) => {
    const set = (bits: number): unknown => m.call(1, OP.OP_PRCTL, [P.PR_SET_SECUREBITS, bits]);
    set(CAP.SECBIT_NOROOT_LOCKED);
    m.want('change of a locked bit', set(CAP.SECBIT_NOROOT | CAP.SECBIT_NOROOT_LOCKED), -1);
  },
  /** what is no longer inheritable is no longer ambient */
  F_AMBIENT: (m) => {
    capset(m, 1, -1, 1);
    m.call(1, OP.OP_PRCTL, [P.PR_CAP_AMBIENT, P.PR_CAP_AMBIENT_RAISE, 0]);
    capset(m, 1, -1, 0);
    m.want('ambient', String(m.k.task(1)?.caps.ambient), '0');
  },
  /** an id map is written once */
  F_MAP_TWICE: (m) => {
    const child = Number(m.call(1, OP.OP_CLONE, [CLONE_NEWUSER | SIGCHLD]));
    put(m, 1, `/proc/${child}/uid_map`, '0 5 1');
    m.want('a second map', put(m, 1, `/proc/${child}/uid_map`, '0 6 1'), -1);
  },
  /** nobody gains capabilities by entering its own user namespace again */
  F_REENTER_USERNS: (m) => {
    capset(m, 1, 0, 0);
    const fd = open(m, 1, '/proc/self/ns/user');
    m.want('setns', m.call(1, OP.OP_SETNS, [fd, 0]), -22);
  },
  /** the unprivileged map nobody but themselves */
  F_MAP_ANY: (m) => {
    const child = Number(m.call(1, OP.OP_FORK));
    m.call(child, OP.OP_SETRESUID, [UID, UID, UID]);
    m.call(child, OP.OP_UNSHARE, [CLONE_NEWUSER]);
    m.want("another's id", put(m, child, '/proc/self/uid_map', '0 0 1'), -1);
  },
};
