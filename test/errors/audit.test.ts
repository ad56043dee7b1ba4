// Protects: audit's own allocations fail without a trace; forks, writes to /proc and containers of
// namespaces that run out of memory change nothing, and succeed when they are made again.
import { describe, expect, it } from 'vitest';
import { ENOMEM } from '../../assembly/uapi/errno.ts';
import * as OP from '../../assembly/uapi/op.ts';
import * as C from '../../assembly/uapi/sched.ts';
import { SIGCHLD } from '../../assembly/uapi/signal.ts';
import { containersOfNamespaces, drainAudit } from '../../host/audit-ring.ts';
import { type AuditDriver, auditDriver } from '../unit/audit/audit-driver.ts';

const ANY = C.CLONE_NEWPID | C.CLONE_NEWNS | C.CLONE_NEWUSER;
const write =
  (path: string, data: string) =>
  (d: AuditDriver): (() => number) => {
    const fd = d.open(1, path);
    return () => d.write(1, fd, data);
  };

/** What comes before; gives the call. */
const CASES: Record<string, (d: AuditDriver) => () => number> = {
  'a fork of a task with a context': (d) => {
    d.put(1, '/proc/self/loginuid', '7');
    return () => d.fork();
  },
  'a fork of a task that may set ids': (d) => {
    const child = d.fork();
    d.put(1, `/proc/${child}/audit_capcontainerid`, '1');
    return () => d.fork(child);
  },
  'a login': write('/proc/self/loginuid', '7'),
  'a login of a task that shares its context': (d) => {
    d.put(1, '/proc/self/loginuid', '7');
    d.fork();
    return write('/proc/self/loginuid', '8')(d);
  },
  'an id': (d) => write(`/proc/${d.fork()}/audit_containerid`, '50')(d),
  'the right to set ids': (d) => write(`/proc/${d.fork()}/audit_capcontainerid`, '1')(d),
  'a container': (d) => () => d.create('box'),
  'a clone whose namespaces make a container': (d) => {
    containersOfNamespaces(d.k, ANY);
    return () => d.call(1, OP.OP_CLONE, C.CLONE_NEWPID | C.CLONE_NEWNS | SIGCHLD);
  },
  'an unshare that makes a container': (d) => {
    containersOfNamespaces(d.k, ANY);
    const child = d.fork();
    return () => d.call(child, OP.OP_UNSHARE, C.CLONE_NEWNS | C.CLONE_NEWUSER);
  },
  'a fork into the container of a pid namespace': (d) => {
    containersOfNamespaces(d.k, ANY);
    const child = d.fork();
    d.call(child, OP.OP_UNSHARE, C.CLONE_NEWPID);
    return () => d.fork(child);
  },
  'a setns into a container': (d) => {
    containersOfNamespaces(d.k, ANY);
    const other = d.call(1, OP.OP_CLONE, C.CLONE_NEWNS | SIGCHLD);
    const fd = d.open(1, `/proc/${other}/ns/mnt`, 0);
    return () => d.call(1, OP.OP_SETNS, fd, 0);
  },
};

describe('each allocation in turn', () => {
  // spec: audit_containerid ENOMEM
  it.each(Object.entries(CASES))('%s', async (_, prepare) => {
    const d = await auditDriver();
    const call = prepare(d);
    drainAudit(d.k);
    const before = d.k.counts();
    let failed = 0;
    let result = -ENOMEM;
    for (let n = 1; n < 64 && result === -ENOMEM; ++n) {
      d.k.allocFail(n);
      result = call();
      d.k.allocFail(0);
      expect(d.k.check()).toEqual([]);
      if (result !== -ENOMEM) break;
      failed += 1;
      const now = d.k.counts();
      expect({ ...now, creds: 0, files: 0, sighands: 0, fs: 0 }).toEqual({
        ...before,
        creds: 0,
        files: 0,
        sighands: 0,
        fs: 0,
      });
    }
    expect(failed).toBeGreaterThan(0);
    expect(result).toBeGreaterThanOrEqual(0);
  });

  it("of a program's name: the log does without it", async () => {
    const d = await auditDriver();
    for (let n = 1; n <= 2; ++n) {
      d.k.allocFail(n);
      expect(d.exec(1)).toBe(0);
      d.k.allocFail(0);
      d.create('a');
      expect(d.lines().find((line) => line.includes('SYSCALL'))).toContain(' exe="?" ');
      expect(d.k.check()).toEqual([]);
    }
    d.exec(1);
    d.create('a');
    expect(d.lines().find((line) => line.includes('SYSCALL'))).toContain(' exe="/bin/true" ');
  });
});
