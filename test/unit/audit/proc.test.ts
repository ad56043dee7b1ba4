// Protects: loginuid and sessionid, set once and inherited; audit container ids with the rules of
// the later patches in their order, and a record of every attempt.
import { beforeEach, describe, expect, it } from 'vitest';
import * as E from '../../../assembly/uapi/errno.ts';
import { O_RDONLY, O_RDWR } from '../../../assembly/uapi/fcntl.ts';
import * as OP from '../../../assembly/uapi/op.ts';
import * as C from '../../../assembly/uapi/sched.ts';
import { USER } from '../kernel/driver.ts';
import { type AuditDriver, auditDriver } from './audit-driver.ts';

let d: AuditDriver;
beforeEach(async () => {
  d = await auditDriver();
  return () => expect(d.k.check()).toEqual([]);
});
const UNSET = '4294967295';
const THREAD = C.CLONE_VM | C.CLONE_FS | C.CLONE_FILES | C.CLONE_SIGHAND | C.CLONE_THREAD;

describe('loginuid and sessionid', () => {
  const login = (tid: number, text: string): number => d.put(tid, '/proc/self/loginuid', text);
  const ids = (tid: number): string[] => [
    d.show(tid, '/proc/self/loginuid'),
    d.show(tid, '/proc/self/sessionid'),
  ];

  it('are unset, then set once, and inherited by children, threads and programs', () => {
    expect(ids(1)).toEqual([UNSET, UNSET]);
    const child = d.fork();
    expect(login(child, '1000')).toBe(4);
    expect(ids(child)).toEqual(['1000', '1']);
    const grandchild = d.fork(child);
    const thread = d.call(child, OP.OP_CLONE, THREAD);
    d.exec(grandchild);
    expect([ids(grandchild), ids(thread)]).toEqual([
      ['1000', '1'],
      ['1000', '1'],
    ]);
    expect(ids(1)).toEqual([UNSET, UNSET]);
    expect(d.bodies('LOGIN')).toEqual([
      `pid=${child} uid=0 old-auid=${UNSET} auid=1000 tty=(none) old-ses=${UNSET} ses=1 res=1`,
    ]);
    const other = d.fork();
    login(other, '1001\n');
    expect(ids(other)).toEqual(['1001', '2']);
  });

  it('are changed again only with CAP_AUDIT_CONTROL, and only by the task itself', () => {
    const child = d.unprivileged();
    expect(login(child, '1000')).toBe(4);
    expect(login(child, '1000')).toBe(-E.EPERM);
    expect(d.bodies('LOGIN').map((body) => body.slice(-17))).toEqual([
      expect.stringContaining('ses=1 res=1'),
      expect.stringContaining('res=0'),
    ]);
    expect(d.put(1, `/proc/${child}/loginuid`, '5')).toBe(-E.EPERM);
    expect(login(1, '5')).toBe(1);
    expect(login(1, '6')).toBe(1);
    expect(login(1, UNSET)).toBe(10);
    expect(ids(1)).toEqual([UNSET, UNSET]);
  });

  it('are numbers', () => {
    for (const text of ['', 'x', '-1', '1 ', '1\n2', '0x10', '+']) {
      expect(login(1, text), text).toBe(-E.EINVAL);
    }
    expect(login(1, '4294967296')).toBe(-E.ERANGE);
    expect(login(1, '99999999999999999999999')).toBe(-E.ERANGE);
    const fd = d.open(1, '/proc/self/loginuid');
    expect(d.fault(1, OP.OP_WRITE, fd, USER, 4)).toBe(-E.EFAULT);
    expect(d.write(1, fd, '+7\n')).toBe(3);
    expect(d.read(1, fd)).toBe('7');
    expect(d.write(1, fd, '8')).toBe(-E.EINVAL);
    expect(d.put(1, '/proc/self/sessionid', '1')).toBe(-E.EINVAL);
  });

  it('are seen by everybody, in pieces if need be, until the task is gone', () => {
    const child = d.fork();
    login(child, '12345');
    const fd = d.open(1, `/proc/${child}/task/${child}/loginuid`, O_RDONLY);
    expect([d.read(1, fd, 2), d.read(1, fd, 2), d.read(1, fd, 9), d.read(1, fd)]).toEqual([
      '12',
      '34',
      '5',
      '',
    ]);
    expect(d.write(1, fd, '1')).toBe(-E.EBADF);
    d.exit(child);
    d.wait(1);
    expect(d.read(1, fd)).toBe(String(-E.ESRCH));
  });

  it("in a user namespace are that namespace's ids", () => {
    const child = d.fork();
    d.call(child, OP.OP_UNSHARE, C.CLONE_NEWUSER);
    d.map(1, child, '0 1000 10');
    expect(login(child, '5')).toBe(1);
    expect(d.show(1, `/proc/${child}/loginuid`)).toBe('1005');
    expect(login(d.fork(child), '50')).toBe(-E.EINVAL);
  });
});

describe('audit_containerid', () => {
  // spec: audit_containerid
  it('is the serial of the container until one is set by hand', () => {
    expect(d.show(1, '/proc/self/audit_containerid')).toBe('1');
    const member = d.enter(d.create('a'));
    expect(d.show(1, `/proc/${member}/audit_containerid`)).toBe('2');
    expect(d.contid(1, member, 123456)).toBe(6);
    expect(d.show(1, `/proc/${member}/audit_containerid`)).toBe('123456');
    d.lines();
    const child = d.fork(member);
    d.call(1, OP.OP_KILL, child, 0);
    expect(d.show(1, `/proc/${child}/audit_containerid`)).toBe('123456');
  });

  // spec: op=set; audit_containerid EINVAL; audit_containerid ERANGE; audit_containerid EPERM
  // spec: audit_containerid EBUSY; audit_containerid EXDEV; audit_containerid ENOTUNIQ
  // spec: audit_containerid EEXIST
  it('is refused for each reason, in this order, and every attempt is logged', () => {
    const target = d.fork();
    const attempt = (tid: number, id: number | bigint | string, pid = target): number =>
      d.contid(tid, pid, id);
    // what is no number was no attempt
    expect(attempt(1, 'x')).toBe(-E.EINVAL);
    expect(attempt(1, '18446744073709551616')).toBe(-E.ERANGE);
    expect(d.lines()).toEqual([]);
    const user = d.unprivileged();
    const kid = d.fork(user);
    expect(attempt(user, 18446744073709551615n, kid)).toBe(-E.EINVAL);
    expect(attempt(user, 50, kid)).toBe(-E.EPERM);
    expect(attempt(1, 50, user)).toBe(-E.EBUSY);
    expect(attempt(kid, 50, kid)).toBe(-E.EPERM);
    expect(attempt(1, 50, 1)).toBe(-E.EBUSY);
    const alone = d.fork();
    expect(attempt(alone, 50, alone)).toBe(-E.EXDEV);
    expect(attempt(alone, 50)).toBe(-E.EXDEV);
    expect(attempt(1, 1)).toBe(-E.ENOTUNIQ);
    expect(attempt(1, 50)).toBe(2);
    expect(attempt(1, 51)).toBe(-E.EEXIST);
    const other = d.fork();
    const theirs = d.fork(other);
    expect(attempt(other, 50, theirs)).toBe(-E.ENOTUNIQ);
    expect(d.bodies('CONTAINER_OP')).toEqual(
      [
        `opid=${kid} contid=18446744073709551615 old-contid=-1 res=0`,
        `opid=${kid} contid=50 old-contid=-1 res=0`,
        `opid=${user} contid=50 old-contid=-1 res=0`,
        `opid=${kid} contid=50 old-contid=-1 res=0`,
        'opid=1 contid=50 old-contid=-1 res=0',
        `opid=${alone} contid=50 old-contid=-1 res=0`,
        `opid=${target} contid=50 old-contid=-1 res=0`,
        `opid=${target} contid=1 old-contid=-1 res=0`,
        `opid=${target} contid=50 old-contid=-1 res=1`,
        `opid=${target} contid=51 old-contid=50 res=0`,
        `opid=${theirs} contid=50 old-contid=-1 res=0`,
      ].map((body) => `op=set ${body}`),
    );
  });

  // spec: audit_containerid EBUSY; audit_containerid ENOPROTOOPT
  it('is refused for a process with threads, and when the log was never on', async () => {
    const target = d.fork();
    d.call(target, OP.OP_CLONE, THREAD);
    expect(d.contid(1, target, 50)).toBe(-E.EBUSY);
    d = await auditDriver(null);
    expect(d.contid(1, d.fork(), 50)).toBe(-E.ENOPROTOOPT);
  });

  // spec: audit_containerid ESRCH; audit_containerid EFAULT; audit_containerid EINVAL
  it('is refused for a task that is gone, a bad address, and anywhere but at the start', () => {
    const target = d.fork();
    const fd = d.open(1, `/proc/${target}/audit_containerid`, O_RDWR);
    expect(d.fault(1, OP.OP_WRITE, fd, USER, 2)).toBe(-E.EFAULT);
    expect(d.write(1, fd, '50')).toBe(2);
    // reading goes on from there
    expect(d.read(1, fd)).toBe('50');
    expect(d.write(1, fd, '51')).toBe(-E.EINVAL);
    const again = d.open(1, `/proc/${target}/audit_containerid`, O_RDWR);
    d.exit(target);
    d.wait(1);
    expect(d.write(1, again, '52')).toBe(-E.ESRCH);
  });

  it('is given to others by its owner alone, who may be gone', () => {
    const owner = d.fork();
    const first = d.fork(owner);
    expect(d.contid(owner, first, 50)).toBe(2);
    const second = d.fork(owner);
    expect(d.contid(owner, second, 50)).toBe(2);
    const mine = d.fork();
    expect(d.contid(1, mine, 50)).toBe(-E.ENOTUNIQ);
    d.exit(owner);
    d.wait(1, owner);
    expect(d.contid(1, mine, 50)).toBe(-E.ENOTUNIQ);
    d.exit(first);
    d.exit(second);
    d.wait(1);
    d.wait(1);
    // nobody has it any more: anyone may use the number
    expect(d.contid(1, mine, 50)).toBe(2);
  });

  it('nests: whoever was put into one puts others into its own', () => {
    const outer = d.fork();
    expect(d.contid(1, outer, 50)).toBe(2);
    const inner = d.fork(outer);
    expect(d.contid(outer, inner, 60)).toBe(2);
    expect(d.contid(outer, inner, 61)).toBe(-E.EEXIST);
    const innermost = d.fork(inner);
    expect(d.contid(inner, innermost, 70)).toBe(2);
    d.lines();
    d.exit(innermost);
    expect(d.bodies('CONTAINER_OP')).toEqual([
      `op=drop opid=${innermost} contid=-1 old-contid=70,^60,^50 res=1`,
    ]);
    d.exit(outer);
    expect(d.lines()).toEqual([]);
    d.exit(inner);
    expect(d.bodies('CONTAINER_OP')).toEqual([
      `op=drop opid=${inner} contid=-1 old-contid=60,^50 res=1`,
      `op=drop opid=${inner} contid=-1 old-contid=50 res=1`,
    ]);
  });

  it('is not a number that a container gets', () => {
    d.create('a');
    expect(d.contid(1, d.fork(), 3)).toBe(1);
    d.create('b');
    expect(d.bodies('CONTAINER_OP').at(-1)).toMatch(/contid=4 .*cname="b"/);
  });

  it('nests in the container that the task is in', () => {
    const member = d.enter(d.create('a'));
    d.contid(1, member, 50);
    d.lines();
    d.exit(member);
    expect(d.bodies('CONTAINER_ID')).toEqual(['record=1 contid=50,^2,^1']);
  });
});

describe('audit_capcontainerid', () => {
  const give = (tid: number, pid: number, text = '1'): number =>
    d.put(tid, `/proc/${pid}/audit_capcontainerid`, text);
  const has = (pid: number): string => d.show(1, `/proc/${pid}/audit_capcontainerid`);

  // spec: audit_capcontainerid
  // spec: setting and reading an audit container id needs CAP_AUDIT_CONTROL
  it('lets a task set ids without a capability; children do not inherit it', () => {
    const user = d.unprivileged();
    const kid = d.fork(user);
    expect(d.contid(user, kid, 50)).toBe(-E.EPERM);
    expect(d.read(user, d.open(user, `/proc/${kid}/audit_containerid`))).toBe(String(-E.EPERM));
    expect(give(1, user)).toBe(1);
    expect([has(user), has(kid), has(d.fork(user))]).toEqual(['1', '0', '0']);
    expect(d.contid(user, kid, 50)).toBe(2);
    const deeper = d.fork(user);
    expect(give(user, deeper)).toBe(1);
    expect(give(1, user, '0')).toBe(1);
    expect(give(user, deeper, '0')).toBe(-E.EPERM);
    expect(d.bodies('SET_CAPCONTID')).toEqual([
      `opid=${user} capcontid=1 old-capcontid=0 res=1`,
      `opid=${deeper} capcontid=1 old-capcontid=0 res=1`,
      `opid=${user} capcontid=0 old-capcontid=1 res=1`,
      `opid=${deeper} capcontid=0 old-capcontid=1 res=0`,
    ]);
  });

  it('is given downwards, as 0 or 1', () => {
    const child = d.fork();
    expect(give(1, 1)).toBe(-E.EXDEV);
    expect(give(child, 1)).toBe(-E.EXDEV);
    expect(give(1, child, '2')).toBe(-E.EINVAL);
    const fd = d.open(1, `/proc/${child}/audit_capcontainerid`, O_RDWR);
    d.exit(child);
    d.wait(1);
    expect(d.write(1, fd, '1')).toBe(-E.ESRCH);
  });
});
