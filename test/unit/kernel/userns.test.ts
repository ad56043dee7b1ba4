// Protects: user namespaces. Their id maps and setgroups with each check in its order, the ids that
// every call shows through them, who may make one, and how many there may be.
import { beforeEach, describe, expect, it } from 'vitest';
import { CAP_SETFCAP, CAP_SETUID } from '../../../assembly/uapi/capability.ts';
import { EBADF, EFAULT, EINVAL, ENOSPC, EPERM } from '../../../assembly/uapi/errno.ts';
import { O_RDONLY } from '../../../assembly/uapi/fcntl.ts';
import { SIGCHLD } from '../../../assembly/uapi/signal.ts';
import * as C from '../../../assembly/uapi/sched.ts';
import * as OP from '../../../assembly/uapi/op.ts';
import { USER } from './driver.ts';
import { type NsDriver, nsDriver } from './ns-driver.ts';

const OVERFLOW = 65534;
const NEWUSER = C.CLONE_NEWUSER;
/** Fields of a cred, as Kernel.setCred() counts them. */
const PERMITTED = 10;
const EFFECTIVE = 11;
let d: NsDriver;

/** A child of init in a user namespace of its own, nothing mapped. */
const child = (flags = 0): number => d.call(1, OP.OP_CLONE, NEWUSER | SIGCHLD | flags);

describe.each(['release', 'debug', 'smp'] as const)('%s', (target) => {
  beforeEach(async () => {
    d = await nsDriver(target);
    return () => expect(d.k.check()).toEqual([]);
  });

  it('shows the overflow ids until they are mapped', () => {
    const c = child();
    expect(d.call(c, OP.OP_GETUID)).toBe(OVERFLOW);
    expect(d.call(c, OP.OP_GETGID)).toBe(OVERFLOW);
    expect(d.put(1, `/proc/${c}/uid_map`, '0 0 1')).toBe(5);
    expect(d.put(1, `/proc/${c}/gid_map`, '7 0 1\n')).toBe(6);
    expect(d.uids(c)).toEqual([0, 0, 0]);
    expect(d.call(c, OP.OP_GETEGID)).toBe(7);
    expect(d.call(c, OP.OP_SETUID, 1)).toBe(-EINVAL);
  });

  it('maps by several extents, looked up both ways', () => {
    const c = child();
    const lines = Array.from({ length: 40 }, (_, i) => `${i * 10} ${100000 - i * 100} 10`);
    expect(d.put(1, `/proc/${c}/uid_map`, lines.join('\n'))).toBe(lines.join('\n').length);
    for (const uid of [0, 9, 10, 255, 399]) {
      expect(d.call(c, OP.OP_SETRESUID, uid, uid, uid), `${uid}`).toBe(0);
      expect(d.uids(c)).toEqual([uid, uid, uid]);
      const lower = 100000 - Math.floor(uid / 10) * 100 + (uid % 10);
      expect(d.k.task(c)!.uid).toBe(lower);
      // its capabilities left with the zero
      d.k.setCred(c, PERMITTED, 1n << BigInt(CAP_SETUID));
      d.k.setCred(c, EFFECTIVE, 1n << BigInt(CAP_SETUID));
    }
    expect(d.call(c, OP.OP_SETUID, 400)).toBe(-EINVAL);
  });
});

describe('debug', () => {
  beforeEach(async () => {
    d = await nsDriver();
    return () => expect(d.k.check()).toEqual([]);
  });

  it('takes a map once, from the beginning, with exactly three numbers a line', () => {
    const c = child();
    const path = `/proc/${c}/uid_map`;
    const bad = [
      ...['', '\n', 'x', '0', '0 0', '0 0 0', '0 0 x', '0 0 1 1', '0 0 1\n0 5 1', '0 0 2\n5 1 1'],
      ...['4294967295 0 1', '0 4294967295 1', '4294967294 0 2', '0 4294967290 7', '-1 0 1'],
      ...['0 0 1\n\n1 1 1', '0 0 1\n1 1'],
    ];
    for (const line of bad) expect(d.put(1, path, line), line).toBe(-EINVAL);
    const lines = (n: number): string =>
      Array.from({ length: n }, (_, i) => `${i} ${i} 1`).join('\n');
    expect(d.put(1, path, lines(341))).toBe(-EINVAL);
    expect(d.put(1, path, ' '.repeat(4096))).toBe(-EINVAL);
    const fd = d.open(1, path);
    expect(d.write(1, fd, lines(340))).toBe(lines(340).length);
    expect(d.write(1, fd, '0 0 1')).toBe(-EINVAL);
    expect(d.put(1, path, '0 0 1')).toBe(-EPERM);
    // one that is full comes before one that is wrong
    expect(d.put(1, path, 'x')).toBe(-EPERM);
    expect(d.fault(1, OP.OP_WRITE, d.open(1, `/proc/${c}/gid_map`), USER, 5)).toBe(-EFAULT);
    expect(d.write(1, d.open(1, `/proc/${c}/gid_map`, O_RDONLY), '0 0 1')).toBe(-EBADF);
    expect(d.put(1, '/proc/self/uid_map', '0 0 1')).toBe(-EPERM);
  });

  it('lets the unprivileged map themselves alone', () => {
    const u = d.unprivileged();
    expect(d.call(u, OP.OP_UNSHARE, NEWUSER)).toBe(0);
    expect(d.put(u, '/proc/self/uid_map', '0 999 1')).toBe(-EPERM);
    expect(d.put(u, '/proc/self/uid_map', '0 1000 2')).toBe(-EPERM);
    expect(d.put(u, '/proc/self/uid_map', '0 1000 1\n1 1001 1')).toBe(-EPERM);
    expect(d.put(u, '/proc/self/uid_map', '0 1000 1')).toBe(8);
    // groups might be dropped that keep it out of something
    expect(d.put(u, '/proc/self/gid_map', '0 1000 1')).toBe(-EPERM);
    expect(d.put(u, '/proc/self/setgroups', 'deny')).toBe(4);
    expect(d.put(u, '/proc/self/gid_map', '0 1000 1')).toBe(8);
    expect(d.call(u, OP.OP_SETGROUPS, 0, 0)).toBe(-EPERM);
    expect([d.call(u, OP.OP_GETUID), d.call(u, OP.OP_GETGID)]).toEqual([0, 0]);
  });

  it('asks the opener as well as the writer', () => {
    const c = child();
    const fd = d.open(1, `/proc/${c}/uid_map`);
    const writer = d.fork();
    d.call(writer, OP.OP_SETRESUID, 1000, 1000, 1000);
    expect(d.write(writer, fd, '0 0 10')).toBe(-EPERM);
    expect(d.write(1, fd, '0 0 10')).toBe(6);
    // opened by one who may not, written by one who may
    const other = child();
    const weak = d.call(1, OP.OP_CLONE, C.CLONE_FILES | SIGCHLD);
    d.call(weak, OP.OP_SETRESUID, 1000, 1000, 1000);
    const weakFd = d.open(weak, `/proc/${other}/uid_map`);
    expect(d.write(1, weakFd, '0 0 10')).toBe(-EPERM);
  });

  it('is written from the namespace itself or the one above, and no other', () => {
    const c = child();
    d.map(1, c, '0 0 100');
    const inner = d.call(c, OP.OP_CLONE, NEWUSER | SIGCHLD);
    expect(d.put(1, `/proc/${inner}/uid_map`, '0 0 10')).toBe(-EPERM);
    // ids that the parent does not map cannot be passed on
    expect(d.put(c, `/proc/${inner}/uid_map`, '0 95 10')).toBe(-EPERM);
    expect(d.put(c, `/proc/${inner}/uid_map`, '0 90 10')).toBe(7);
    expect(d.put(inner, '/proc/self/gid_map', '0 0 1')).toBe(-EPERM);
    expect(d.k.task(inner)!.uid).toBe(0);
    expect(d.call(inner, OP.OP_GETUID)).toBe(OVERFLOW);
  });

  it("maps the parent's root only when its maker had CAP_SETFCAP", () => {
    const caps = d.caps(1);
    const less = caps.map((set) => set & ~(1n << BigInt(CAP_SETFCAP)));
    const p = d.fork();
    expect(d.capset(p, [less[0]!, caps[1], 0n])).toBe(0);
    const c = d.call(p, OP.OP_CLONE, NEWUSER | SIGCHLD);
    expect(d.put(c, '/proc/self/uid_map', '0 0 1')).toBe(-EPERM);
    expect(d.put(p, `/proc/${c}/uid_map`, '0 0 1')).toBe(-EPERM);
    expect(d.put(p, `/proc/${c}/uid_map`, '0 1 1')).toBe(5);
  });

  it('keeps setgroups denied, below as well', () => {
    const c = child();
    const path = `/proc/${c}/setgroups`;
    for (const word of ['', 'den', 'denyx', 'allow all', 'deny\0\0\0\0']) {
      expect(d.put(1, path, word), word).toBe(-EINVAL);
    }
    expect(d.put(1, path, 'allow \n')).toBe(7);
    expect(d.read(1, d.open(1, path))).toBe('allow\n');
    expect(d.put(1, path, 'deny\n')).toBe(5);
    expect(d.put(1, path, 'allow')).toBe(-EPERM);
    expect(d.read(1, d.open(1, path))).toBe('deny\n');
    d.map(1, c, '0 0 10');
    expect(d.put(1, path, 'deny')).toBe(-EPERM);
    const inner = d.call(c, OP.OP_CLONE, NEWUSER | SIGCHLD);
    expect(d.put(c, `/proc/${inner}/setgroups`, 'allow')).toBe(-EPERM);
    expect(d.put(1, '/proc/self/setgroups', 'deny')).toBe(-EPERM);
  });

  it('shows its maps as the reader sees them', () => {
    const c = child();
    d.put(1, `/proc/${c}/uid_map`, '0 1000 10\n10 5000 1\n');
    const first = '         0       1000         10\n';
    expect(d.read(1, d.open(1, `/proc/${c}/uid_map`))).toBe(
      `${first}        10       5000          1\n`,
    );
    const fd = d.open(1, `/proc/${c}/uid_map`);
    expect([d.read(1, fd, 33), d.read(1, fd, 4), d.read(1, fd, 4096).length]).toEqual([
      first,
      '    ',
      29,
    ]);
    expect(d.read(1, d.open(1, '/proc/self/uid_map'))).toBe('         0          0 4294967295\n');
    d.put(1, `/proc/${c}/gid_map`, '0 0 1');
    expect(d.call(c, OP.OP_SETRESUID, 0, 0, 0)).toBe(0);
    const inner = d.call(c, OP.OP_CLONE, NEWUSER | SIGCHLD);
    expect(d.put(c, `/proc/${inner}/uid_map`, '5 3 1')).toBe(5);
    expect(d.read(1, d.open(1, `/proc/${inner}/uid_map`))).toContain('1003');
    expect(d.read(c, d.open(c, `/proc/${inner}/uid_map`))).toContain('         3 ');
    // project ids need no privilege, but a parent that maps them
    expect(d.put(c, `/proc/${inner}/projid_map`, '1 2 3')).toBe(-EPERM);
    expect(d.put(1, `/proc/${c}/projid_map`, '1 2 3')).toBe(5);
    expect(d.put(c, `/proc/${inner}/projid_map`, '7 1 3')).toBe(5);
  });

  it('finds its files by every name that /proc has for them', () => {
    const c = child();
    const paths = [
      `/proc/${c}/uid_map`,
      `//proc/./${c}//uid_map`,
      `/proc/${c}/task/${c}/uid_map`,
      `/proc/thread-self/uid_map`,
    ];
    for (const path of paths) d.open(1, path);
    const kinds = d.k.fds(1).map((one) => one.kind);
    expect(kinds.slice(3)).toEqual(['proc', 'proc', 'proc', 'proc']);
    const dir = d.open(1, `/proc/${c}`);
    expect(d.write(1, d.open(1, 'uid_map', undefined, dir), '0 0 1')).toBe(5);
    for (const path of ['/proc/0/uid_map', '/proc/99999/ns', '/etc/proc/1', 'proc/1', '/proc/..']) {
      const fd = d.open(1, path);
      expect(d.k.fds(1).find((one) => one.fd === fd)!.kind, path).toBe('world');
    }
  });

  it('is refused to the chrooted, the unmapped, too deep down, and beyond the limit', async () => {
    const p = d.fork();
    const chroot = (path: string): number => {
      const frame = d.k.frame.begin(p, 0, OP.OP_CHROOT).setArg(0, USER);
      frame.window(USER, new TextEncoder().encode(`${path}\0`), 'r');
      d.k.trap();
      return frame.result;
    };
    for (const path of ['/', '//', '/.', '/..', '/../.']) expect(chroot(path)).toBe(0);
    const before = d.call(p, OP.OP_CLONE, NEWUSER | SIGCHLD);
    expect(before).toBeGreaterThan(0);
    expect(chroot('/tmp')).toBe(0);
    expect(d.call(p, OP.OP_UNSHARE, NEWUSER)).toBe(-EPERM);
    expect(d.call(p, OP.OP_CLONE, NEWUSER | SIGCHLD)).toBe(-EPERM);
    expect(d.call(before, OP.OP_UNSHARE, NEWUSER)).toBe(-EPERM);
    let tid = d.fork();
    for (let level = 1; level <= 33; ++level) {
      expect(d.call(tid, OP.OP_UNSHARE, NEWUSER), `level ${level}`).toBe(0);
      expect(d.put(tid, '/proc/self/uid_map', '0 0 1')).toBe(5);
      expect(d.put(tid, '/proc/self/setgroups', 'deny')).toBe(4);
      expect(d.put(tid, '/proc/self/gid_map', '0 0 1')).toBe(5);
    }
    expect(d.call(tid, OP.OP_UNSHARE, NEWUSER)).toBe(-ENOSPC);
    d.exit(tid);
    d.wait(1, tid);
    expect(d.k.check()).toEqual([]);
    d = await nsDriver('debug', { namespacesMax: 2 });
    const one = child();
    child();
    expect(child()).toBe(-ENOSPC);
    expect(d.call(1, OP.OP_UNSHARE, C.CLONE_NEWUTS)).toBe(0);
    expect(d.call(1, OP.OP_UNSHARE, C.CLONE_NEWUTS)).toBe(0);
    // the second one replaced the first; what is made below counts for the maker of that as well
    expect(d.call(one, OP.OP_UNSHARE, C.CLONE_NEWUTS)).toBe(0);
    expect(d.call(one, OP.OP_UNSHARE, C.CLONE_NEWUTS)).toBe(-ENOSPC);
    expect(d.call(d.fork(), OP.OP_UNSHARE, C.CLONE_NEWUTS)).toBe(-ENOSPC);
    d.exit(one);
    d.wait(1, one);
    expect(child()).toBeGreaterThan(0);
  });

  it('translates the uids that signals, waits and kill show', () => {
    const c = child();
    d.map(1, c, '0 100000 1000');
    d.call(c, OP.OP_SETRESUID, 7, 7, 7);
    expect(d.k.task(c)!.uid).toBe(100007);
    // the traced see signals that they ignore
    d.k.setTraced(c, true);
    d.k.setTraced(1, true);
    const inside = d.fork(c);
    d.exit(inside, 3);
    expect(d.k.exitToUser(c).info).toMatchObject({ signo: SIGCHLD, uid: 7 });
    expect(d.call(c, OP.OP_KILL, 1, 0)).toBe(-EPERM);
    d.call(1, OP.OP_KILL, c, 10);
    expect(d.k.exitToUser(c).info).toMatchObject({ signo: 10, uid: OVERFLOW });
    d.exit(c);
    expect(d.k.exitToUser(1).info).toMatchObject({ signo: SIGCHLD, uid: 100007 });
  });
});
