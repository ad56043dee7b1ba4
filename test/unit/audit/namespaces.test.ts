// Protects: containers that are made of namespaces: who is in which, and until when. Nothing else
// about the processes changes.
import { beforeEach, describe, expect, it } from 'vitest';
import * as OP from '../../../assembly/uapi/op.ts';
import * as C from '../../../assembly/uapi/sched.ts';
import { SIGCHLD } from '../../../assembly/uapi/signal.ts';
import { containersOfNamespaces } from '../../../host/audit-ring.ts';
import { type AuditDriver, auditDriver } from './audit-driver.ts';

const ANY =
  C.CLONE_NEWPID |
  C.CLONE_NEWNS |
  C.CLONE_NEWUSER |
  C.CLONE_NEWNET |
  C.CLONE_NEWUTS |
  C.CLONE_NEWIPC |
  C.CLONE_NEWCGROUP;
let d: AuditDriver;
const clone = (tid: number, flags: number): number => d.call(tid, OP.OP_CLONE, flags | SIGCHLD);
const unshare = (tid: number, flags: number): number => d.call(tid, OP.OP_UNSHARE, flags);
const homes = (...tids: number[]): number[] =>
  tids.map((tid) => Number(d.show(1, `/proc/${tid}/audit_containerid`)));
const ops = (): string[] => d.bodies('CONTAINER_OP').map((body) => body.replace(/ mnt=.*/, ''));

beforeEach(async () => {
  d = await auditDriver();
  containersOfNamespaces(d.k, ANY);
  return () => expect(d.k.check()).toEqual([]);
});

it('a clone into new namespaces makes one, in which its children are', () => {
  const a = clone(1, C.CLONE_NEWPID | C.CLONE_NEWNS);
  const b = d.fork(a);
  const c = clone(a, C.CLONE_NEWNET);
  expect(homes(1, a, 2, a + 1, a + 2)).toEqual([1, 2, 2, 2, 3]);
  expect([b, c]).toEqual([2, 3]);
  expect(ops()).toEqual([
    `op=create opid=${a} contid=2 parent-contid=1 cname="pid:4026532097" cflags=0`,
    `op=enter opid=${a} contid=2 old-contid=1 init=0 res=1`,
    `op=create opid=${a + 2} contid=3 parent-contid=2 cname="net:4026532098" cflags=0`,
    `op=enter opid=${a + 2} contid=3 old-contid=2 init=0 res=1`,
  ]);
});

it('lasts until its last member has left, whoever that is', () => {
  const a = clone(1, C.CLONE_NEWNS);
  const b = d.fork(a);
  d.lines();
  d.exit(a);
  expect([ops(), homes(b)]).toEqual([[], [2]]);
  d.exit(b);
  expect(ops()).toEqual([`op=drop opid=${b} contid=-1 old-contid=2,^1 res=1`]);
  expect(d.k.containers()).toHaveLength(1);
});

it('an unshare moves the caller, with its threads; of a pid namespace its next children', () => {
  const a = d.fork();
  expect(unshare(a, C.CLONE_NEWPID)).toBe(0);
  expect(homes(a)).toEqual([1]);
  const b = d.fork(a);
  const c = d.fork(a);
  expect(homes(a, b, c)).toEqual([1, 2, 2]);
  expect(unshare(a, C.CLONE_NEWUTS | C.CLONE_NEWUSER)).toBe(0);
  expect(homes(a, b)).toEqual([3, 2]);
  const thread = d.call(a, OP.OP_CLONE, C.CLONE_VM | C.CLONE_SIGHAND | C.CLONE_FS | C.CLONE_THREAD);
  expect(thread).toBeLessThan(0);
  d.exit(b);
  expect(homes(a)).toEqual([3]);
});

it('setns goes into the container of what it joins, and back', () => {
  const a = clone(1, C.CLONE_NEWNS | C.CLONE_NEWPID);
  const b = d.fork();
  const mnt = d.open(b, `/proc/${a}/ns/mnt`, 0);
  const pid = d.open(b, `/proc/${a}/ns/pid`, 0);
  const own = d.open(b, '/proc/self/ns/mnt', 0);
  expect(d.call(b, OP.OP_SETNS, pid, 0)).toBe(0);
  expect(homes(b, d.fork(b))).toEqual([1, 2]);
  expect(d.call(b, OP.OP_SETNS, mnt, 0)).toBe(0);
  expect(homes(b)).toEqual([2]);
  expect(d.call(b, OP.OP_SETNS, own, 0)).toBe(0);
  expect(homes(b)).toEqual([1]);
  expect(ops().filter((op) => op.includes('setns'))).toEqual([
    expect.stringMatching(/contid=1 old-contid=1 nstype=20000000 old-pid=/),
    expect.stringMatching(/contid=2 old-contid=1 nstype=20000 old-mnt=/),
    expect.stringMatching(/contid=1 old-contid=2 nstype=20000 old-mnt=/),
  ]);
});

it('only the wanted kinds count, and none when none is wanted', () => {
  containersOfNamespaces(d.k, C.CLONE_NEWUSER);
  const a = clone(1, C.CLONE_NEWPID | C.CLONE_NEWNS);
  const b = clone(1, C.CLONE_NEWUSER);
  expect(homes(a, b)).toEqual([1, 2]);
  containersOfNamespaces(d.k, 0);
  expect(homes(clone(1, C.CLONE_NEWUSER))).toEqual([1]);
});

it('the init of a container object stays in it', () => {
  const init = d.enter(d.create('a'));
  const member = d.enter(3);
  unshare(init, C.CLONE_NEWUTS);
  unshare(member, C.CLONE_NEWUTS);
  expect(homes(init, member)).toEqual([2, 3]);
  d.exit(init);
  // the other one is nested in it now, and dies with it
  expect(d.k.runPending()).toBe(1);
});

describe('a failed call', () => {
  it('makes none', () => {
    const user = d.unprivileged();
    expect(clone(user, C.CLONE_NEWNS)).toBeLessThan(0);
    expect(unshare(user, C.CLONE_NEWNS)).toBeLessThan(0);
    expect(d.k.containers()).toHaveLength(1);
    const container = d.create('next');
    expect(container).toBe(3);
    expect(ops()).toEqual([
      expect.stringMatching(/^op=create opid=1 contid=2 parent-contid=1 cname="next"/),
    ]);
  });
});
