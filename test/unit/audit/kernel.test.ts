// Protects: what the kernel's audit log says of containers, calls, signals and namespaces; which
// calls it logs; that it can be neither flooded nor lose anything silently.
import { beforeEach, describe, expect, it } from 'vitest';
import * as OP from '../../../assembly/uapi/op.ts';
import * as C from '../../../assembly/uapi/sched.ts';
import { SIGCHLD, SIGKILL, SIGTERM } from '../../../assembly/uapi/signal.ts';
import {
  CONTAINER_KILL_ON_CLOSE,
  CONTAINER_NEW_PID_NS,
  CONTAINER_NEW_UTS_NS,
} from '../../../assembly/uapi/container.ts';
import {
  addAuditRule,
  auditStatus,
  clearAuditRules,
  disableAudit,
  drainAudit,
  enableAudit,
  logPacket,
} from '../../../host/audit-ring.ts';
import { createKernel } from '../../../host/index.ts';
import { type AuditDriver, auditDriver, bodiesOf } from './audit-driver.ts';

let d: AuditDriver;
beforeEach(async () => {
  d = await auditDriver();
  d.k.clockSet(1500000000123456789n);
  return () => expect(d.k.check()).toEqual([]);
});
const T = (serial: number): string => `msg=audit(1500000000.123:${serial}):`;

describe('the life of a container', () => {
  // spec: op=create; op=enter; op=dead; op=drop
  it('is told by create, enter, dead and drop', () => {
    const cfd = d.create('foo-test', CONTAINER_NEW_UTS_NS);
    expect(d.lines()).toEqual([
      `type=SYSCALL ${T(1)} arch=c000003e syscall=${OP.OP_CONTAINER_CREATE} success=yes exit=3 ` +
        'a0=1000 a1=8 a2=0 a3=0 items=0 ppid=0 pid=1 auid=4294967295 uid=0 gid=0 euid=0 suid=0 ' +
        'fsuid=0 egid=0 sgid=0 fsgid=0 tty=(none) ses=4294967295 comm="init" exe="?" key=(null) ' +
        'record=1',
      `type=CONTAINER_ID ${T(1)} record=1 contid=1`,
      `type=CONTAINER_OP ${T(1)} op=create opid=1 contid=2 parent-contid=1 cname="foo-test" ` +
        'cflags=8 mnt=4:4026531832 uts=4:4026532096 ipc=4:4026531839 pid=4:4026531836 ' +
        'net=4:4026531833 user=4:4026531837 cgroup=4:4026531835 res=1',
      `type=PROCTITLE ${T(1)} proctitle="init"`,
    ]);
    const init = d.enter(cfd);
    const member = d.enter(cfd);
    expect(d.bodies('CONTAINER_OP')).toEqual([
      `op=enter opid=${init} contid=2 old-contid=1 init=1 res=1`,
      `op=enter opid=${member} contid=2 old-contid=1 init=0 res=1`,
    ]);
    d.fork(member);
    expect(d.lines()).toEqual([]);
    d.exit(init, 7);
    const dead = d.lines();
    expect(bodiesOf(dead, 'CONTAINER_OP')).toEqual([
      `op=dead opid=${init} contid=2 exit=1792 killed=2 res=1`,
    ]);
    // the event of the exit: no result, but who it was
    expect(dead[0]).toMatch(new RegExp(`syscall=${OP.OP_EXIT_GROUP} a0=7 .* pid=${init} `));
    expect(bodiesOf(dead, 'CONTAINER_ID')).toEqual(['record=1 contid=2,^1']);
    d.k.runPending();
    expect(d.bodies('CONTAINER_OP')).toEqual([
      `op=drop opid=${member + 1} contid=-1 old-contid=2,^1 res=1`,
    ]);
  });

  // spec: CONTAINER_ID
  it('that nests another one: the inner dies with it, and has a list of ids', () => {
    const outer = d.enter(d.create('outer'));
    const cfd = d.create('in "quotes"', 0, outer);
    const inner = d.enter(cfd, outer);
    d.lines();
    d.call(inner, OP.OP_KILL, inner, 0);
    d.exit(outer, 0);
    const lines = d.lines();
    expect(bodiesOf(lines, 'CONTAINER_OP')).toEqual([
      `op=dead opid=${outer} contid=2 exit=0 killed=1 res=1`,
      `op=dead opid=${outer} contid=3 exit=0 killed=1 res=1`,
      `op=drop opid=${outer} contid=-1 old-contid=2,^1 res=1`,
    ]);
    d.k.runPending();
    expect(d.bodies('CONTAINER_OP')).toEqual([
      `op=drop opid=${inner} contid=-1 old-contid=3,^2,^1 res=1`,
    ]);
  });

  // spec: op=kill
  it('ends by a kill that somebody asked for, or by the last close', () => {
    const cfd = d.create('a', CONTAINER_KILL_ON_CLOSE);
    d.enter(cfd);
    d.enter(cfd);
    d.lines();
    d.call(1, OP.OP_CONTAINER_KILL, cfd, 1, 0);
    expect(d.bodies('CONTAINER_OP')).toEqual([
      'op=kill opid=1 contid=2 sig=0 initonly=1 killed=1 res=1',
    ]);
    for (const tid of [2, 3]) d.call(tid, OP.OP_CLOSE, cfd);
    d.call(1, OP.OP_CLOSE, cfd);
    expect(d.bodies('CONTAINER_OP')).toEqual([
      'op=kill opid=0 contid=2 sig=9 initonly=0 killed=2 res=1',
    ]);
    d.k.runPending();
    expect(bodiesOf(d.lines(), 'CONTAINER_OP').map((body) => body.split(' ')[0])).toEqual([
      'op=dead',
      'op=drop',
    ]);
  });

  it('gives serials that are never used twice', () => {
    for (let i = 0; i < 5; ++i) d.call(1, OP.OP_CLOSE, d.create(`c${i}`));
    const ids = d.bodies('CONTAINER_OP').map((body) => /contid=(\d+)/.exec(body)![1]);
    expect(ids).toEqual(['2', '3', '4', '5', '6']);
  });

  it('has twins that stock tools know, with serials of their own', async () => {
    d = await auditDriver({ virt: true });
    const cfd = d.create('two words', CONTAINER_NEW_PID_NS);
    const init = d.enter(cfd);
    d.exit(init, 0);
    const virt = d.lines().filter((line) => line.startsWith('type=VIRT_CONTROL'));
    expect(virt.map((line) => line.replace(/^.*audit\(0\.000:/, ''))).toEqual([
      "3): pid=1 uid=0 auid=4294967295 ses=4294967295 msg='virt=container op=start " +
        'reason=booted vm=74776F20776F726473 uuid=00000000-0000-0000-0000-000000000002 ' +
        `vm-pid=${init} exe="/sbin/init" hostname=? addr=? terminal=? res=success'`,
      "5): pid=1 uid=0 auid=4294967295 ses=4294967295 msg='virt=container op=stop " +
        'reason=shutdown vm=74776F20776F726473 uuid=00000000-0000-0000-0000-000000000002 ' +
        `vm-pid=${init} exe="/sbin/init" hostname=? addr=? terminal=? res=success'`,
    ]);
  });
});

describe('namespaces that a member changes', () => {
  // spec: op=setns; D-26
  it('are a transition, which names each that differs', () => {
    const member = d.enter(d.create('a'));
    d.lines();
    d.call(member, OP.OP_UNSHARE, C.CLONE_NEWUTS | C.CLONE_NEWPID);
    expect(d.bodies('CONTAINER_OP')).toEqual([
      `op=setns opid=${member} contid=2 old-contid=2 nstype=24000000 old-uts=4:4026531838 ` +
        'uts=4:4026532096 old-pid=4:4026531836 pid=4:4026532097 res=1',
    ]);
    const fd = d.open(member, '/proc/1/ns/uts', 0);
    expect(d.call(member, OP.OP_SETNS, fd, 0)).toBe(0);
    expect(d.bodies('CONTAINER_OP')).toEqual([
      `op=setns opid=${member} contid=2 old-contid=2 nstype=4000000 old-uts=4:4026532096 ` +
        'uts=4:4026531838 res=1',
    ]);
    expect(d.call(member, OP.OP_UNSHARE, C.CLONE_FILES)).toBe(0);
    const user = d.unprivileged();
    expect(d.call(user, OP.OP_UNSHARE, C.CLONE_NEWUTS)).toBeLessThan(0);
    expect(d.lines()).toEqual([]);
    expect(d.call(user, OP.OP_UNSHARE, C.CLONE_NEWUSER)).toBe(0);
    expect(d.bodies('CONTAINER_OP')).toEqual([
      expect.stringMatching(/contid=1 old-contid=1 nstype=10000000 old-user=\S+ user=\S+ res=1$/),
    ]);
  });
});

describe('calls', () => {
  const log = (rule: Parameters<typeof addAuditRule>[1]): void => addAuditRule(d.k, rule);
  const calls = (): string[] => d.bodies('SYSCALL').map((body) => /syscall=(\d+)/.exec(body)![1]!);

  it('are logged by number, process, user, result and container, the first rule deciding', () => {
    const member = d.enter(d.create('a'));
    const nested = d.enter(d.create('b', 0, member), member);
    const user = d.unprivileged();
    d.lines();
    const count = (
      rule: Parameters<typeof addAuditRule>[1],
      ...before: (typeof rule)[]
    ): string => {
      clearAuditRules(d.k);
      for (const one of [...before, rule]) log(one);
      d.lines();
      for (const tid of [1, member, nested, user]) {
        d.call(tid, OP.OP_GETPID);
        d.call(tid, OP.OP_CLOSE, 99);
      }
      return d
        .bodies('SYSCALL')
        .map((body) => `${/ pid=(\d+)/.exec(body)![1]}:${/success=(\w)/.exec(body)![1]}`)
        .join(' ');
    };
    const [m, n, u] = [member, nested, user];
    expect(count({ syscalls: [OP.OP_GETPID] })).toBe(`1:y ${m}:y ${n}:y ${u}:y`);
    expect(count({ success: false })).toBe(`1:n ${m}:n ${n}:n ${u}:n`);
    expect(count({ contid: 2, success: true })).toBe(`${m}:y ${n}:y`);
    expect(count({ contid: 3n, syscalls: [OP.OP_CLOSE] })).toBe(`${n}:n`);
    expect(count({ contid: 4 })).toBe('');
    expect(count({ uid: 1000 })).toBe(`${u}:y ${u}:n`);
    expect(count({ uid: 0, pid: 1, not: ['pid'], success: true })).toBe(`${m}:y ${n}:y`);
    expect(count({ exit: -9, loginuid: -1, pid: 1 })).toBe('1:n');
    expect(count({ arch: 'i386' })).toBe('');
    expect(count({ success: true }, { action: 'never', contid: 1n, not: ['contid'] })).toBe(
      `1:y ${m}:y ${n}:y ${u}:y`,
    );
    expect(count({ success: true }, { action: 'never', contid: 2 })).toBe(`1:y ${u}:y`);
  });

  it('bear the key of their rule, and say which program it is', () => {
    log({ syscalls: [OP.OP_GETPID], key: 2 });
    const child = d.fork();
    d.exec(child);
    d.call(child, OP.OP_GETPID);
    const grandchild = d.fork(child);
    d.call(grandchild, OP.OP_GETPID);
    const found = bodiesOf(d.lines({ keys: ['first', 'a key'] }), 'SYSCALL');
    expect(found).toHaveLength(2);
    for (const body of found) {
      expect(body).toContain('comm="true" exe="/bin/true" key=61206B6579 record=1');
    }
  });

  it('that execute a program or signal somebody have companions', () => {
    log({ syscalls: [OP.OP_EXECVE, OP.OP_KILL] });
    const member = d.enter(d.create('a'));
    d.lines();
    d.exec(member);
    d.call(1, OP.OP_KILL, member, SIGTERM);
    const types = d.lines().map((line) => line.replace(/ msg=audit\(\S+ /, ' '));
    expect(types.filter((line) => !line.startsWith('type=SYSCALL'))).toEqual([
      'type=CONTAINER_ID record=1 contid=2,^1',
      'type=PATH item=0 name="/bin/true" nametype=NORMAL',
      'type=PROCTITLE proctitle="true"',
      'type=CONTAINER_ID record=1 contid=1',
      `type=OBJ_PID opid=${member} oauid=-1 ouid=0 oses=-1 ocomm="true" record=2`,
      'type=CONTAINER_ID record=2 contid=2,^1',
      'type=PROCTITLE proctitle="init"',
    ]);
    expect(types.filter((line) => line.includes('items=1'))).toHaveLength(1);
  });

  it('of which no rule speaks leave nothing, not even their companions', () => {
    const child = d.fork();
    d.call(1, OP.OP_KILL, child, SIGKILL);
    d.k.runPending();
    log({ syscalls: [OP.OP_GETPID] });
    d.call(1, OP.OP_GETPID);
    expect(d.lines().map((line) => line.split(' ')[0])).toEqual([
      'type=SYSCALL',
      'type=CONTAINER_ID',
      'type=PROCTITLE',
    ]);
    expect(auditStatus(d.k)).toMatchObject({ put: 1, lost: 0, backlog: 0 });
  });

  it('that sleep are logged when they are over, those that never return when they begin', () => {
    log({});
    const child = d.fork();
    d.lines();
    expect(d.wait(1, child)).toBeLessThan(-4999);
    expect(d.lines()).toEqual([]);
    d.exit(child, 3);
    expect(calls()).toEqual([String(OP.OP_EXIT_GROUP)]);
    expect(d.resume(1)).toBe(child);
    const [wait] = d.bodies('SYSCALL');
    expect(wait).toContain(
      `syscall=${OP.OP_WAIT4} success=yes exit=${child} a0=${child.toString(16)} `,
    );
  });

  it('of i386 have its arch', () => {
    const table = d.k.registerTable(Uint16Array.of(0, OP.OP_GETPID), true);
    log({ arch: 'i386' });
    d.k.frame.begin(1, table, 1);
    d.k.trap();
    d.call(1, OP.OP_GETPID);
    expect(d.bodies('SYSCALL').map((body) => body.slice(0, 25))).toEqual([
      'arch=40000003 syscall=1 s',
    ]);
  });

  it('beyond the map of numbers are logged by rules for all of them', () => {
    log({ syscalls: [2047] });
    d.k.frame.begin(1, 0, 1_000_000);
    d.k.trap();
    expect(d.lines()).toEqual([]);
    log({});
    d.k.frame.begin(1, 0, 1_000_000);
    d.k.trap();
    expect(d.bodies('SYSCALL')[0]).toMatch(/syscall=1000000 success=no exit=-38 /);
    expect(() => log({ syscalls: [2048] })).toThrow(/cannot name syscall 2048/);
  });
});

describe('too much', () => {
  const flood = (n: number): void => {
    for (let i = 0; i < n; ++i) d.call(1, OP.OP_GETPID);
  };

  it('in a second is left out and counted, and leaves a gap in the serials', () => {
    enableAudit(d.k, { rateLimit: 3 });
    addAuditRule(d.k, {});
    flood(5);
    d.k.clockSet(1500000001123456789n);
    flood(1);
    expect(auditStatus(d.k)).toEqual({ put: 4, lost: 2, backlog: 4 });
    expect(drainAudit(d.k).map((event) => Number(event.serial))).toEqual([1, 2, 3, 6]);
  });

  it('for the host to drain is left out and counted', () => {
    enableAudit(d.k, { backlogLimit: 2 });
    addAuditRule(d.k, {});
    flood(4);
    expect(auditStatus(d.k)).toEqual({ put: 2, lost: 2, backlog: 2 });
    expect(drainAudit(d.k)).toHaveLength(2);
    flood(1);
    expect(auditStatus(d.k)).toEqual({ put: 3, lost: 2, backlog: 1 });
  });

  it('for the ring is left out and counted; what is drained stays whole around its end', () => {
    enableAudit(d.k, { ringShift: 14 });
    addAuditRule(d.k, {});
    flood(2000);
    const { put, lost } = auditStatus(d.k);
    expect(put).toBeGreaterThan(100);
    expect(put + lost).toBe(2000);
    drainAudit(d.k);
    for (let round = 0; round < 20; ++round) {
      flood(100);
      const lines = d.lines();
      expect(lines).toHaveLength(300);
      expect(lines.every((line) => line.includes('pid=1 ') || !line.includes('SYSCALL'))).toBe(
        true,
      );
    }
  });

  it('for one event is left out: a signal to thousands', () => {
    for (let i = 0; i < 1500; ++i) d.fork();
    addAuditRule(d.k, { syscalls: [OP.OP_KILL] });
    expect(d.call(1, OP.OP_KILL, -1, 0)).toBe(0);
    const lines = d.lines();
    const found = bodiesOf(lines, 'OBJ_PID').length;
    expect(found).toBeGreaterThan(500);
    expect(bodiesOf(lines, 'KERNEL_OTHER')).toEqual([`op=truncated left-out=${1500 - found}`]);
    expect(lines.at(-1)).toContain('PROCTITLE');
  });
});

describe('events without a task', () => {
  const packet = (netns: number): void =>
    logPacket(d.k, {
      netns,
      mark: 16,
      proto: 17,
      source: Uint8Array.of(10, 0, 0, 1),
      destination: Uint8Array.of(10, 0, 0, 2),
    });

  // spec: containers of a network namespace
  it('belong to every container of their network namespace', () => {
    const a = d.enter(d.create('a'));
    d.enter(d.create('b', 0, a), a);
    d.create('net', 0x80);
    d.lines();
    packet(4026531833);
    const lines = d.lines();
    expect(lines.map((line) => line.replace(/ msg=audit\(\S+/, ''))).toEqual([
      'type=NETFILTER_PKT mark=0x10 saddr=10.0.0.1 daddr=10.0.0.2 proto=17 ' +
        'net=4:4026531833 record=1',
      'type=CONTAINER_ID record=1 contid=1,2,^1,3,^2,^1',
    ]);
    packet(4026532096);
    expect(d.bodies('CONTAINER_ID')).toEqual(['record=1 contid=4,^1']);
    packet(77);
    expect(d.bodies('NETFILTER_PKT')).toEqual([
      'mark=0x10 saddr=10.0.0.1 daddr=10.0.0.2 proto=17 net=4:77',
    ]);
  });
});

describe('the log', () => {
  it('costs no memory and says nothing while nobody asked for it', async () => {
    d = await auditDriver(null);
    d.enter(d.create('a'));
    expect(d.lines()).toEqual([]);
    expect(auditStatus(d.k)).toEqual({ put: 0, lost: 0, backlog: 0 });
    expect(() => addAuditRule(d.k, {})).toThrow(RangeError);
  });

  it('can be switched off and on again', () => {
    disableAudit(d.k);
    d.create('a');
    expect(d.lines()).toEqual([]);
    enableAudit(d.k);
    d.create('b');
    expect(d.bodies('CONTAINER_OP')[0]).toMatch(/contid=3 .*cname="b"/);
  });

  it('is part of a snapshot', async () => {
    addAuditRule(d.k, { syscalls: [OP.OP_GETPID] });
    d.create('a');
    const snapshot = d.k.snapshot();
    const other = await createKernel({ target: 'debug' });
    other.restore(snapshot);
    expect(drainAudit(other)).toEqual(drainAudit(d.k));
    other.frame.begin(1, 0, OP.OP_GETPID);
    other.trap();
    expect(drainAudit(other).map((event) => Number(event.serial))).toEqual([2]);
    expect(other.check()).toEqual([]);
  });

  it('of two equal runs is equal', async () => {
    const run = async (): Promise<string[]> => {
      const one = await auditDriver({ virt: true }, 'release');
      addAuditRule(one.k, {});
      const init = one.enter(one.create('x', CONTAINER_NEW_PID_NS));
      one.call(init, OP.OP_CLONE, C.CLONE_NEWUTS | SIGCHLD);
      one.exit(init, 1);
      one.k.runPending();
      return one.lines();
    };
    expect(await run()).toEqual(await run());
  });
});
