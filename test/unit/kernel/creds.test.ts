// Protects: ids and capabilities of a process. Every set call with its rules, what the sets become
// when root comes and goes, at exec, in a namespace; securebits with their locks; capget and capset
// in each version; the old calls with ids of 16 bits.
import { beforeEach, describe, expect, it } from 'vitest';
import * as CAP from '../../../assembly/uapi/capability.ts';
import { EFAULT, EINVAL, EPERM, ESRCH } from '../../../assembly/uapi/errno.ts';
import * as OP from '../../../assembly/uapi/op.ts';
import * as P from '../../../assembly/uapi/prctl.ts';
import { CLONE_NEWUSER } from '../../../assembly/uapi/sched.ts';
import { SIGCHLD, SIGCONT, SIGUSR1 } from '../../../assembly/uapi/signal.ts';
import { USER, words } from './driver.ts';
import { type NsDriver, nsDriver } from './ns-driver.ts';

const FULL = (1n << 41n) - 1n;
const bit = (cap: number): bigint => 1n << BigInt(cap);
const SETPCAP = bit(CAP.CAP_SETPCAP);
const V1 = CAP._LINUX_CAPABILITY_VERSION_1;
const V2 = CAP._LINUX_CAPABILITY_VERSION_2;
const V3 = CAP._LINUX_CAPABILITY_VERSION_3;
/** Fields of a cred, as Kernel.setCred() counts them. */
const INHERITABLE = 9;
let d: NsDriver;
const prctl = (tid: number, ...args: number[]): number => d.call(tid, OP.OP_PRCTL, ...args);

beforeEach(async () => {
  d = await nsDriver();
  return () => expect(d.k.check()).toEqual([]);
});

describe('ids', () => {
  it('setuid sets three for the privileged, one for others', () => {
    const p = d.fork();
    expect(d.call(p, OP.OP_SETRESUID, -1, 5, 6)).toBe(0);
    expect(d.call(p, OP.OP_SETUID, 7)).toBe(-EPERM);
    expect(d.call(p, OP.OP_SETUID, 6)).toBe(0);
    expect(d.uids(p)).toEqual([0, 6, 6]);
    expect(d.call(p, OP.OP_SETUID, 0)).toBe(0);
    expect(d.call(p, OP.OP_SETUID, 9)).toBe(0);
    expect(d.uids(p)).toEqual([9, 9, 9]);
    expect(d.call(p, OP.OP_SETUID, 0)).toBe(-EPERM);
    expect(d.call(p, OP.OP_SETUID, -1)).toBe(-EINVAL);
  });

  it('setgid and setregid leave the capabilities alone', () => {
    const p = d.fork();
    expect(d.call(p, OP.OP_SETGID, 5)).toBe(0);
    expect(d.gids(p)).toEqual([5, 5, 5]);
    expect(d.call(p, OP.OP_SETREGID, -1, 8)).toBe(0);
    expect(d.gids(p)).toEqual([5, 8, 8]);
    expect(d.call(p, OP.OP_SETRESGID, 1, 2, 3)).toBe(0);
    expect(d.gids(p)).toEqual([1, 2, 3]);
    expect(d.caps(p)).toEqual([FULL, FULL, 0n]);
    for (const op of [OP.OP_SETGID, OP.OP_SETUID]) expect(d.call(p, op, -1)).toBe(-EINVAL);
  });

  it('setreuid moves the saved id when the real one is set or the effective one is new', () => {
    const p = d.fork();
    d.call(p, OP.OP_SETRESUID, 1, 2, 3);
    expect(d.call(p, OP.OP_SETREUID, -1, 1)).toBe(0);
    expect(d.uids(p)).toEqual([1, 1, 3]);
    expect(d.call(p, OP.OP_SETREUID, 3, -1)).toBe(-EPERM);
    expect(d.call(p, OP.OP_SETREUID, -1, 3)).toBe(0);
    expect(d.uids(p)).toEqual([1, 3, 3]);
    expect(d.call(p, OP.OP_SETREUID, 3, 1)).toBe(0);
    expect(d.uids(p)).toEqual([3, 1, 1]);
  });

  it('setresuid gives each id to each of them, and does nothing for nothing', () => {
    const u = d.unprivileged();
    const before = d.k.counts().creds;
    expect(d.call(u, OP.OP_SETRESUID, -1, -1, -1)).toBe(0);
    expect(d.call(u, OP.OP_SETRESUID, 1000, 1000, 1000)).toBe(0);
    expect(d.k.counts().creds).toBe(before);
    expect(d.call(u, OP.OP_SETRESUID, -1, 1001, -1)).toBe(-EPERM);
    expect(d.call(u, OP.OP_SETRESUID, -1, -1, 0)).toBe(-EPERM);
  });

  it('setfsuid never fails and takes the capabilities over files along', () => {
    const p = d.fork();
    expect(d.call(p, OP.OP_SETFSUID, 5)).toBe(0);
    expect(d.call(p, OP.OP_SETFSUID, -1)).toBe(5);
    const chown = bit(CAP.CAP_CHOWN);
    expect(d.caps(p)[0] & chown).toBe(0n);
    expect(d.caps(p)[0] & bit(CAP.CAP_SYS_ADMIN)).not.toBe(0n);
    expect(d.call(p, OP.OP_SETFSUID, 0)).toBe(5);
    expect(d.caps(p)[0] & chown).toBe(chown);
    const u = d.unprivileged();
    expect(d.call(u, OP.OP_SETFSUID, 0)).toBe(1000);
    expect(d.call(u, OP.OP_SETFSUID, -1)).toBe(1000);
    expect(d.call(u, OP.OP_SETFSGID, 7)).toBe(1000);
    expect(d.call(p, OP.OP_SETFSGID, 7)).toBe(0);
    expect(d.call(p, OP.OP_SETFSGID, -1)).toBe(7);
    // the effective id takes it back
    d.call(p, OP.OP_SETRESGID, -1, 0, -1);
    expect(d.call(p, OP.OP_SETFSGID, -1)).toBe(0);
  });

  it('sorts groups, and says how many there are', () => {
    const p = d.fork();
    expect(d.mem(p, OP.OP_SETGROUPS, [3, USER], words(30, 10, 20))).toBe(0);
    expect(d.call(p, OP.OP_GETGROUPS, 0, 0)).toBe(3);
    expect(d.mem(p, OP.OP_GETGROUPS, [3, USER], 12)).toBe(3);
    expect([d.word(0), d.word(1), d.word(2)]).toEqual([10, 20, 30]);
    expect(d.call(p, OP.OP_GETGROUPS, 2, USER)).toBe(-EINVAL);
    expect(d.call(p, OP.OP_GETGROUPS, -1, USER)).toBe(-EINVAL);
    expect(d.fault(p, OP.OP_GETGROUPS, 3, USER)).toBe(-EFAULT);
    expect(d.fault(p, OP.OP_SETGROUPS, 3, USER)).toBe(-EFAULT);
    expect(d.call(p, OP.OP_SETGROUPS, 65537, USER)).toBe(-EINVAL);
    expect(d.call(p, OP.OP_SETGROUPS, -1, USER)).toBe(-EINVAL);
    expect(d.mem(p, OP.OP_SETGROUPS, [1, USER], words(-1))).toBe(-EINVAL);
    const many = Array.from({ length: 3000 }, (_, i) => (i * 7919) % 3001);
    expect(d.mem(p, OP.OP_SETGROUPS, [3000, USER], words(...many))).toBe(0);
    expect(d.mem(p, OP.OP_GETGROUPS, [65536, USER], 12000)).toBe(3000);
    const sorted = many.toSorted((a, b) => a - b);
    expect([0, 1, 1500, 2999].map((i) => d.word(i))).toEqual(
      [0, 1, 1500, 2999].map((i) => sorted[i]),
    );
    expect(d.call(p, OP.OP_SETGROUPS, 0, 0)).toBe(0);
    expect(d.call(p, OP.OP_GETGROUPS, 0, 0)).toBe(0);
    expect(d.call(d.unprivileged(), OP.OP_SETGROUPS, 70000, 0)).toBe(-EPERM);
  });

  it('forgets the parent death signal when it becomes someone else', () => {
    const p = d.fork();
    prctl(p, P.PR_SET_PDEATHSIG, SIGUSR1);
    d.call(p, OP.OP_SETRESGID, 0, 0, 9);
    d.mem(p, OP.OP_PRCTL, [P.PR_GET_PDEATHSIG, USER], 4);
    expect(d.word(0)).toBe(SIGUSR1);
    d.call(p, OP.OP_SETUID, 9);
    d.mem(p, OP.OP_PRCTL, [P.PR_GET_PDEATHSIG, USER], 4);
    expect(d.word(0)).toBe(0);
  });

  it('has the old calls with ids of 16 bits', () => {
    const table = d.k.registerTable(
      Uint16Array.from({ length: OP.NR_OPS }, (_, i) => i | OP.OP_ID16),
      true,
    );
    const call = (op: number, args: number[], memory?: Uint8Array): number => {
      const frame = d.k.frame.begin(1, table, op);
      args.forEach((arg, i) => frame.setArg(i, arg));
      if (memory) frame.window(USER, memory, 'rw');
      d.k.trap();
      if (memory) d.out = frame.output(USER, memory.length)!;
      return frame.result;
    };
    const half = (i: number): number => new Uint16Array(d.out.slice().buffer)[i]!;
    d.call(1, OP.OP_SETRESUID, 70000, 0, 8);
    expect(call(OP.OP_GETUID, [])).toBe(65534);
    expect(call(OP.OP_GETEUID, [])).toBe(0);
    expect(call(OP.OP_GETRESUID, [USER, USER + 2, USER + 4], words(0, 0))).toBe(0);
    expect([half(0), half(1), half(2)]).toEqual([65534, 0, 8]);
    expect(call(OP.OP_SETRESUID, [0xffff, 0x10000, 0xffff])).toBe(0);
    expect(d.uids(1)).toEqual([70000, 0, 8]);
    expect(call(OP.OP_SETRESGID, [1, 2, 3])).toBe(0);
    expect(call(OP.OP_GETRESGID, [USER, USER + 2, USER + 4], words(0, 0))).toBe(0);
    expect([half(0), half(1), half(2)]).toEqual([1, 2, 3]);
    expect([call(OP.OP_GETGID, []), call(OP.OP_GETEGID, [])]).toEqual([1, 2]);
    expect(call(OP.OP_SETFSUID, [5])).toBe(0);
    expect(call(OP.OP_SETFSGID, [5])).toBe(2);
    expect(call(OP.OP_SETREUID, [0, 0])).toBe(0);
    expect(call(OP.OP_SETREGID, [4, 0xffff])).toBe(0);
    expect(call(OP.OP_SETGROUPS, [2, USER], words(3 | (2 << 16)))).toBe(0);
    expect(call(OP.OP_GETGROUPS, [2, USER], words(0))).toBe(2);
    expect([half(0), half(1)]).toEqual([2, 3]);
    expect(call(OP.OP_SETUID, [0xffff])).toBe(-EINVAL);
    expect(call(OP.OP_SETGID, [6])).toBe(0);
    expect(d.gids(1)).toEqual([6, 6, 6]);
  });
});

describe('capability sets', () => {
  it('go with the last zero, unless they are kept', () => {
    const p = d.fork();
    d.call(p, OP.OP_SETRESUID, -1, 5, -1);
    expect(d.caps(p)).toEqual([0n, FULL, 0n]);
    d.call(p, OP.OP_SETRESUID, -1, 0, -1);
    expect(d.caps(p)).toEqual([FULL, FULL, 0n]);
    expect(prctl(p, P.PR_SET_KEEPCAPS, 1)).toBe(0);
    d.call(p, OP.OP_SETUID, 5);
    expect(d.caps(p)).toEqual([0n, FULL, 0n]);
    expect(prctl(p, P.PR_GET_KEEPCAPS)).toBe(1);
    expect(d.exec(p)).toBe(0);
    expect(d.caps(p)).toEqual([0n, 0n, 0n]);
    expect(prctl(p, P.PR_GET_KEEPCAPS)).toBe(0);
    expect(prctl(p, P.PR_SET_KEEPCAPS, 2)).toBe(-EINVAL);
    const q = d.fork();
    d.call(q, OP.OP_SETUID, 5);
    expect(d.caps(q)).toEqual([0n, 0n, 0n]);
    const r = d.fork();
    expect(prctl(r, P.PR_SET_SECUREBITS, CAP.SECBIT_NO_SETUID_FIXUP)).toBe(0);
    d.call(r, OP.OP_SETRESUID, 5, 5, 5);
    expect(d.caps(r)).toEqual([FULL, FULL, 0n]);
  });

  it('come back to root at exec, bounded', () => {
    const p = d.fork();
    const some = bit(CAP.CAP_KILL) | SETPCAP;
    expect(d.capset(p, [some, some, 0n])).toBe(0);
    expect(prctl(p, P.PR_CAPBSET_DROP, CAP.CAP_SYS_BOOT)).toBe(0);
    expect(prctl(p, P.PR_CAPBSET_READ, CAP.CAP_SYS_BOOT)).toBe(0);
    d.exec(p);
    const bounded = FULL & ~bit(CAP.CAP_SYS_BOOT);
    expect(d.caps(p)).toEqual([bounded, bounded, 0n]);
    // real root alone is permitted, but not effective
    d.call(p, OP.OP_SETRESUID, 0, 5, 5);
    d.exec(p);
    expect(d.caps(p)).toEqual([0n, bounded, 0n]);
    expect(d.uids(p)).toEqual([0, 5, 5]);
    const q = d.fork();
    expect(prctl(q, P.PR_SET_SECUREBITS, CAP.SECBIT_NOROOT)).toBe(0);
    d.exec(q);
    expect(d.caps(q)).toEqual([0n, 0n, 0n]);
  });

  it('do not come back under no_new_privs', () => {
    const p = d.fork();
    expect(d.capset(p, [SETPCAP, SETPCAP, 0n])).toBe(0);
    expect(prctl(p, P.PR_SET_NO_NEW_PRIVS, 1)).toBe(0);
    expect(prctl(p, P.PR_GET_NO_NEW_PRIVS)).toBe(1);
    expect(prctl(p, P.PR_GET_NO_NEW_PRIVS, 1)).toBe(-EINVAL);
    d.exec(p);
    expect(d.caps(p)).toEqual([SETPCAP, SETPCAP, 0n]);
    const child = d.fork(p);
    expect(prctl(child, P.PR_GET_NO_NEW_PRIVS)).toBe(1);
  });

  it('are ambient through exec as long as they are permitted and inheritable', () => {
    const p = d.fork();
    const kill = bit(CAP.CAP_KILL);
    const raise = (cap: number): number => prctl(p, P.PR_CAP_AMBIENT, P.PR_CAP_AMBIENT_RAISE, cap);
    const isSet = (cap: number): number => prctl(p, P.PR_CAP_AMBIENT, P.PR_CAP_AMBIENT_IS_SET, cap);
    expect(raise(CAP.CAP_KILL)).toBe(-EPERM);
    expect(d.capset(p, [FULL, FULL, kill])).toBe(0);
    expect(raise(41)).toBe(-EINVAL);
    expect(prctl(p, P.PR_CAP_AMBIENT, P.PR_CAP_AMBIENT_RAISE, CAP.CAP_KILL, 1)).toBe(-EINVAL);
    expect(prctl(p, P.PR_CAP_AMBIENT, 9, CAP.CAP_KILL)).toBe(-EINVAL);
    expect(prctl(p, P.PR_CAP_AMBIENT, P.PR_CAP_AMBIENT_CLEAR_ALL, 1)).toBe(-EINVAL);
    expect(raise(CAP.CAP_KILL)).toBe(0);
    expect([isSet(CAP.CAP_KILL), isSet(CAP.CAP_CHOWN)]).toEqual([1, 0]);
    expect(prctl(p, P.PR_SET_KEEPCAPS, 1)).toBe(0);
    // an old program that drops root with KEEPCAPS still drops what is ambient
    d.call(p, OP.OP_SETRESUID, 5, 5, 5);
    expect(isSet(CAP.CAP_KILL)).toBe(0);
    expect(d.capset(p, [kill, kill, kill])).toBe(0);
    expect(raise(CAP.CAP_KILL)).toBe(0);
    d.exec(p);
    expect(d.caps(p)).toEqual([kill, kill, kill]);
    expect(prctl(p, P.PR_CAP_AMBIENT, P.PR_CAP_AMBIENT_LOWER, CAP.CAP_KILL)).toBe(0);
    expect(isSet(CAP.CAP_KILL)).toBe(0);
    expect(raise(CAP.CAP_KILL)).toBe(0);
    expect(d.capset(p, [kill, kill, 0n])).toBe(0);
    expect(isSet(CAP.CAP_KILL)).toBe(0);
    const q = d.fork();
    expect(d.capset(q, [FULL, FULL, kill])).toBe(0);
    expect(prctl(q, P.PR_SET_SECUREBITS, CAP.SECBIT_NO_CAP_AMBIENT_RAISE)).toBe(0);
    expect(prctl(q, P.PR_CAP_AMBIENT, P.PR_CAP_AMBIENT_RAISE, CAP.CAP_KILL)).toBe(-EPERM);
  });

  it('shrink by capset, each by its rule', () => {
    const p = d.fork();
    const some = bit(CAP.CAP_KILL);
    expect(d.capset(p, [FULL, some, 0n])).toBe(-EPERM);
    expect(d.capset(p, [some, some, FULL])).toBe(0);
    expect(d.capset(p, [0n, some | SETPCAP, 0n])).toBe(-EPERM);
    // what is bounded away cannot be made inheritable, whoever asks
    const q = d.fork();
    prctl(q, P.PR_CAPBSET_DROP, CAP.CAP_CHOWN);
    expect(d.capset(q, [FULL, FULL, bit(CAP.CAP_CHOWN)])).toBe(-EPERM);
    expect(d.capset(q, [some, some, some])).toBe(0);
    expect(d.capset(q, [some, some, some | bit(CAP.CAP_FOWNER)])).toBe(-EPERM);
    expect(prctl(q, P.PR_CAPBSET_DROP, 99)).toBe(-EPERM);
    expect(prctl(1, P.PR_CAPBSET_DROP, 99)).toBe(-EINVAL);
    expect(prctl(1, P.PR_CAPBSET_READ, 41)).toBe(-EINVAL);
  });

  it('are shown by capget in each version', () => {
    const other = d.fork();
    d.k.setCred(other, INHERITABLE, bit(CAP.CAP_SYSLOG) | 1n);
    const get = (version: number, pid: number): number =>
      d.mem(1, OP.OP_CAPGET, [USER, USER + 8], words(version, pid, 0, 0, 0, 0, 0, 0));
    expect(get(V1, other)).toBe(0);
    expect([d.word(2), d.word(4), d.word(5)]).toEqual([-1, 1, 0]);
    for (const version of [V2, V3]) {
      expect(get(version, other)).toBe(0);
      expect([d.word(4), d.word(7)]).toEqual([1, 1 << (CAP.CAP_SYSLOG - 32)]);
    }
    expect(get(1, 0)).toBe(-EINVAL);
    expect(d.word(0)).toBe(V3);
    expect(get(V3, -1)).toBe(-EINVAL);
    expect(get(V3, 99)).toBe(-ESRCH);
    expect(d.mem(1, OP.OP_CAPGET, [USER, 0], words(1, 0))).toBe(0);
    expect(d.word(0)).toBe(V3);
    expect(d.fault(1, OP.OP_CAPGET, USER, 0)).toBe(-EFAULT);
    const set = (version: number, pid: number): number =>
      d.mem(other, OP.OP_CAPSET, [USER, USER + 8], words(version, pid, 1, 1, 1, 0, 0, 0));
    expect(set(V3, 1)).toBe(-EPERM);
    expect(set(5, 0)).toBe(-EINVAL);
    expect(set(V1, other)).toBe(0);
    expect(d.caps(other)).toEqual([1n, 1n, 1n]);
  });

  it('obey locks: a locked bit stays, a lock is never opened', () => {
    const p = d.fork();
    const set = (bits: number): number => prctl(p, P.PR_SET_SECUREBITS, bits);
    expect(set(0x10000)).toBe(-EPERM);
    expect(set(CAP.SECBIT_NOROOT | CAP.SECBIT_KEEP_CAPS_LOCKED)).toBe(0);
    expect(prctl(p, P.PR_GET_SECUREBITS)).toBe(CAP.SECBIT_NOROOT | CAP.SECBIT_KEEP_CAPS_LOCKED);
    expect(prctl(p, P.PR_SET_KEEPCAPS, 1)).toBe(-EPERM);
    expect(set(CAP.SECBIT_KEEP_CAPS | CAP.SECBIT_KEEP_CAPS_LOCKED)).toBe(-EPERM);
    expect(set(CAP.SECBIT_NOROOT)).toBe(-EPERM);
    expect(set(CAP.SECBIT_NOROOT_LOCKED | CAP.SECBIT_KEEP_CAPS_LOCKED)).toBe(0);
    // bits that user space keeps for itself need no privilege, a call that changes nothing does
    const u = d.unprivileged();
    const free = CAP.SECBIT_EXEC_RESTRICT_FILE;
    expect(prctl(u, P.PR_SET_SECUREBITS, 0)).toBe(-EPERM);
    expect(prctl(u, P.PR_SET_SECUREBITS, free | CAP.SECBIT_NOROOT)).toBe(-EPERM);
    expect(prctl(u, P.PR_SET_SECUREBITS, free | CAP.SECBIT_EXEC_RESTRICT_FILE_LOCKED)).toBe(0);
    expect(prctl(u, P.PR_SET_SECUREBITS, CAP.SECBIT_EXEC_RESTRICT_FILE_LOCKED)).toBe(-EPERM);
  });

  it('are full in a new user namespace, and worth nothing outside', () => {
    const u = d.unprivileged();
    expect(prctl(u, P.PR_SET_SECUREBITS, CAP.SECBIT_EXEC_RESTRICT_FILE)).toBe(0);
    expect(d.call(u, OP.OP_UNSHARE, CLONE_NEWUSER)).toBe(0);
    expect(d.caps(u)).toEqual([FULL, FULL, 0n]);
    expect(prctl(u, P.PR_GET_SECUREBITS)).toBe(0);
    expect(d.call(u, OP.OP_KILL, 1, SIGUSR1)).toBe(-EPERM);
    // the same session lets a SIGCONT through
    expect(d.call(u, OP.OP_KILL, 1, SIGCONT)).toBe(0);
    // without a map there is no root: exec leaves nothing
    d.exec(u);
    expect(d.caps(u)).toEqual([0n, 0n, 0n]);
    // whoever made it owns it
    const c = d.call(1, OP.OP_CLONE, CLONE_NEWUSER | SIGCHLD);
    expect(d.call(1, OP.OP_KILL, c, SIGUSR1)).toBe(0);
  });
});
