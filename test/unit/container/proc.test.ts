// Protects: files of /proc that tasks open and read: what the kernel writes into them, that no name
// forges a row, and that nobody sees a container that is not its own or nested in it.
import { beforeEach, describe, expect, it } from 'vitest';
import * as U from '../../../assembly/uapi/container.ts';
import * as E from '../../../assembly/uapi/errno.ts';
import { AT_FDCWD, O_CLOEXEC, O_WRONLY } from '../../../assembly/uapi/fcntl.ts';
import * as OP from '../../../assembly/uapi/op.ts';
import * as C from '../../../assembly/uapi/sched.ts';
import { SIGSTOP, SIGUSR1 } from '../../../assembly/uapi/signal.ts';
import { fine, type Machine, machine, SLEEPS, text, USER, words } from './machine.ts';

const HEAD = 'NAME                               ID USE FL OWNER GROUP';
let m: Machine;

beforeEach(async () => {
  m = await machine();
  return () => expect(m.k.check()).toEqual([]);
});

const open = (tid: number, path: string, flags = 0) =>
  m.call(tid, OP.OP_OPENAT, [AT_FDCWD, USER, flags], text(path));

/** Reads to the end, `size` bytes at a time. */
function drain(tid: number, fd: number, size: number): string {
  let all = '';
  for (;;) {
    const n = fine(m.call(tid, OP.OP_READ, [fd, USER, size], size));
    if (n === 0) return all;
    all += new TextDecoder('latin1').decode(m.out.subarray(0, n));
  }
}

/** What `tid` reads at a path; an errno where it cannot be opened. */
function read(tid: number, path: string, size = 4096): string | number {
  const fd = open(tid, path);
  if (typeof fd !== 'number' || fd < 0) return fd as number;
  const all = drain(tid, fd, size);
  m.close(tid, fd);
  return all;
}

const lines = (tid: number, path = '/proc/containers'): string[] =>
  String(read(tid, path)).split('\n').slice(1, -1);
/** A line of PID/status. */
const status = (tid: number, of: number | string, key: string): string | undefined =>
  new RegExp(`^${key}:\t(.*)$`, 'm').exec(String(read(tid, `/proc/${of}/status`)))?.[1];

describe('/proc/containers', () => {
  // spec: /proc/containers of 2019
  it("has the reader's own container and those directly in it", () => {
    const a = m.create(1, 'a', U.CONTAINER_KILL_ON_CLOSE);
    const init = m.enter(1, a);
    m.create(init, 'in a');
    m.create(1, 'b');
    const [own, ...rest] = String(read(1, '/proc/containers')).split('\n').slice(1);
    expect(String(read(1, '/proc/containers')).split('\n')[0]).toBe(HEAD);
    expect(own).toMatch(/^<current> {27}1 +\d+ 01 {5}0 {5}0$/);
    expect(rest).toEqual([
      'a                                   2   3 05     0     0',
      'b                                   4   1 00     0     0',
      '',
    ]);
    expect(lines(init)).toEqual([
      '<current>                           2   3 05     0     0',
      'in\\040a                             3   1 00     0     0',
    ]);
  });

  // spec: /proc/containers of 2017
  it('has no ids as the first posting had it, where the machine is booted so', async () => {
    m = await machine('debug', { procContainers: 2017 });
    m.create(1, 'a');
    expect(String(read(1, '/proc/containers')).split('\n')).toEqual([
      'NAME                     USE FL OWNER GROUP',
      '<current>                  3 01     0     0',
      'a                          1 00     0     0',
      '',
    ]);
  });

  // spec: D-31; no row is forged
  it('shows no name as anything but one word in the first column', () => {
    const names = ['<current>', 'a b', '', '\\040', 'ff\u00a0x', 'a  9  9 09 9 9', '<', 'x<y>'];
    for (const name of names) m.create(1, name);
    const rows = lines(1).slice(1);
    expect(rows.map((row) => row.split(/ +/).length)).toEqual(names.map(() => 6));
    expect(rows.map((row) => row.split(' ')[0])).toEqual([
      '\\074current>',
      'a\\040b',
      '\\000',
      '\\134040',
      'ff\\302\\240x',
      'a\\040\\0409\\040\\0409\\04009\\0409\\0409',
      '\\074',
      'x<y>',
    ]);
  });

  it('shows owners as the reader maps them', () => {
    const task = m.enter(1, m.create(1, 'own', U.CONTAINER_NEW_USER_NS));
    expect(lines(task)[0]).toMatch(/65534 65534$/);
  });

  it('is read in pieces of any size, and rows do not shift meanwhile', () => {
    for (let i = 0; i < 50; ++i) m.create(1, `c${i}`);
    const whole = read(1, '/proc/containers');
    for (const size of [1, 7, 64, 1000]) {
      expect(String(read(1, '/proc/containers', size)).length).toBe(String(whole).length);
    }
    const fd = fine(open(1, '/proc/containers'));
    const first = fine(m.call(1, OP.OP_READ, [fd, USER, 100], 100));
    for (let i = 0; i < 20; ++i) m.close(1, 3 + i);
    const rest = drain(1, fd, 100);
    expect(first + rest.length).toBe(String(whole).length);
    expect(rest).toContain('c49');
    expect(rest.match(/^c\d+ /gm)?.length).toBe(50);
    // from the beginning it is new
    expect(m.call(1, OP.OP_LSEEK, [fd, 0, 0])).toBe(0);
    expect(drain(1, fd, 4096).match(/^c\d+ /gm)?.length).toBe(30);
  });

  // spec: no task sees a container that it should not
  it('of a descriptor that was passed on shows what the reader may see', () => {
    m.create(1, 'secret');
    const fd = fine(open(1, '/proc/containers'));
    const member = m.enter(1, m.create(1, 'box'));
    expect(drain(member, fd, 4096)).not.toContain('secret');
  });
});

describe('PID/container', () => {
  // spec: /proc/PID/container; D-25
  it('names the container of a process to who is in it or above', () => {
    const box = m.create(1, 'my box');
    const init = m.enter(1, box);
    const inner = m.enter(init, m.create(init, 'inner'));
    const other = m.enter(1, m.create(1, 'other'));
    expect(read(1, '/proc/self/container')).toBe('1 .init\n');
    expect(read(1, `/proc/${init}/container`)).toBe('2 my\\040box\n');
    expect(read(1, `/proc/${inner}/container`)).toBe('3 inner\n');
    expect(read(init, `/proc/${inner}/container`)).toBe('3 inner\n');
    expect(read(inner, '/proc/self/container')).toBe('3 inner\n');
    for (const [reader, of] of [
      [inner, init],
      [inner, 1],
      [init, 1],
      [other, init],
      [init, other],
    ]) {
      expect(read(reader!, `/proc/${of}/container`)).toBe('0\n');
      expect(status(reader!, of!, 'Container')).toBe('0');
    }
    m.exit(inner);
    expect(read(1, `/proc/${inner}/container`)).toBe('0\n');
  });
});

describe('PID/status and PID/stat', () => {
  // spec: /proc/PID/status
  it('say who a process is, as the reader numbers it', () => {
    const box = m.create(1, 'box', U.CONTAINER_NEW_PID_NS);
    const init = m.enter(1, box);
    expect(m.fork(init)).toBe(2);
    const child = init + 1;
    m.call(child, OP.OP_SETRESUID, [1, 2, 3]);
    const at = (tid: number, of: number | string, key: string) => status(tid, of, key);
    expect([at(1, child, 'Pid'), at(1, child, 'PPid'), at(1, child, 'NSpid')]).toEqual([
      String(child),
      String(init),
      `${child}\t2`,
    ]);
    expect([at(child, 'self', 'Pid'), at(child, 'self', 'PPid')]).toEqual(['2', '1']);
    expect([at(init, 1, 'PPid'), at(init, 1, 'NSpid')]).toEqual(['0', '1']);
    expect(at(1, child, 'Uid')).toBe('1\t2\t3\t2');
    expect(at(1, child, 'Container')).toBe('2 box');
    expect([at(1, 1, 'Umask'), at(1, 1, 'Threads'), at(1, 1, 'FDSize')]).toEqual([
      '0022',
      '1',
      '32',
    ]);
    expect(at(1, 1, 'CapEff')).toBe('000001ffffffffff');
    expect(at(1, child, 'CapEff')).toBe('0000000000000000');
  });

  it('say what it does', () => {
    const p = m.fork(1);
    const state = () => [status(1, p, 'State'), String(read(1, `/proc/${p}/stat`)).split(' ')[2]];
    expect(state()).toEqual(['R (running)', 'R']);
    const action = words(1, 0, 0, 0, 0, 0, 0, 0);
    m.call(p, OP.OP_RT_SIGACTION, [SIGUSR1, USER, 0, 8], action);
    m.call(p, OP.OP_RT_SIGPROCMASK, [0, USER, 0, 8], words(1 << 11, 0));
    m.kill(1, p, 12);
    expect(['SigIgn', 'SigBlk', 'ShdPnd'].map((key) => status(1, p, key))).toEqual([
      '0000000000000200',
      '0000000000000800',
      '0000000000000800',
    ]);
    expect(m.call(p, OP.OP_PAUSE)).toBe(SLEEPS);
    expect(state()).toEqual(['S (sleeping)', 'S']);
    m.k.abortCall(p);
    m.kill(1, p, SIGSTOP);
    m.k.exitToUser(p);
    expect(state()).toEqual(['T (stopped)', 'T']);
    const v = m.fork(1);
    expect(m.call(v, OP.OP_VFORK)).toBe(SLEEPS);
    expect(status(1, v, 'State')).toBe('D (disk sleep)');
    const z = m.fork(1);
    m.exit(z, 3);
    expect(status(1, z, 'State')).toBe('Z (zombie)');
    expect(
      String(read(1, `/proc/${z}/stat`))
        .trimEnd()
        .split(' ')
        .at(-1),
    ).toBe('768');
    expect(
      String(read(m.user(7), `/proc/${z}/stat`))
        .trimEnd()
        .split(' ')
        .at(-1),
    ).toBe('0');
  });

  // spec: /proc/PID/stat
  it('stat has its 52 fields, whatever the name', () => {
    const p = m.fork(1);
    m.call(p, OP.OP_PRCTL, [15, USER], text('a) R\n\\'));
    const stat = String(read(1, `/proc/${p}/stat`));
    expect(stat.startsWith(`${p} (a) R\n\\) R 1 1 1 0 -1 `)).toBe(true);
    expect(
      stat
        .slice(stat.lastIndexOf(')') + 2)
        .trimEnd()
        .split(' ').length,
    ).toBe(50);
    expect(status(1, p, 'Name')).toBe('a) R\\n\\\\');
    expect(read(1, `/proc/${p}/comm`)).toBe('a) R\n\\\n');
  });

  it('threads have files of their own', () => {
    const p = m.fork(1);
    const flags = C.CLONE_VM | C.CLONE_FS | C.CLONE_FILES | C.CLONE_SIGHAND | C.CLONE_THREAD;
    const t = fine(m.clone(p, flags));
    const path = `${p}/task/${t}`;
    expect([status(1, path, 'Pid'), status(1, path, 'Tgid')]).toEqual([String(t), String(p)]);
    expect(status(1, p, 'Threads')).toBe('2');
  });
});

describe('files', () => {
  it('of nobody, of the dead, and with wrong modes', async () => {
    const p = m.fork(1);
    const fd = fine(open(1, `/proc/${p}/status`, O_CLOEXEC));
    expect(m.k.fds(1).at(-1)).toMatchObject({ fd, cloexec: true, link: `/proc/${p}/status` });
    expect(m.call(1, OP.OP_READ, [fd, USER, 10], 'unmapped')).toBe(-E.EFAULT);
    m.exit(p);
    m.wait(1, p);
    expect(m.call(1, OP.OP_READ, [fd, USER, 10], 10)).toBe(-E.ESRCH);
    expect(open(1, '/proc/999/status')).toBe(-E.ENOSYS);
    const written = fine(open(1, '/proc/containers', O_WRONLY));
    expect(m.call(1, OP.OP_READ, [written, USER, 10], 10)).toBe(-E.EBADF);
    expect(m.call(1, OP.OP_WRITE, [written, USER, 10], 10)).toBe(-E.EIO);
    expect(m.call(1, OP.OP_LSEEK, [written, -1, 0])).toBe(-E.EINVAL);
    m.k.allocFail(2);
    expect(open(1, '/proc/containers')).toBe(-E.ENOMEM);
    m = await machine('debug', { containers: false });
    expect([open(1, '/proc/containers'), open(1, '/proc/self/container')]).toEqual([
      -E.ENOSYS,
      -E.ENOSYS,
    ]);
    expect(read(1, '/proc/self/status')).not.toContain('Container');
    expect(read(1, '/proc/self/comm')).toBe('init\n');
  });

  // spec: container:[ino]
  it('links of descriptors name what they are', () => {
    const fd = m.create(1, 'box');
    const link = (tid: number, path: string): string | number => {
      const memory = new Uint8Array(128);
      memory.set(text(path));
      const n = m.call(tid, OP.OP_READLINK, [USER, USER + 64, 64], memory);
      if (typeof n !== 'number' || n < 0) return n as number;
      return new TextDecoder().decode(m.out.subarray(64, 64 + n));
    };
    expect(link(1, `/proc/self/fd/${fd}`)).toBe('container:[2]');
    expect(link(1, '/proc/self/fd/0')).toBe('/dev/null');
    expect(link(1, '/proc/self/fd/99')).toBe(-E.ENOENT);
    const user = m.user(1000);
    expect(link(user, `/proc/1/fd/${fd}`)).toBe(-E.EACCES);
    const child = m.fork(1);
    expect(link(1, `/proc/${child}/fd/${fd}`)).toBe('container:[2]');
  });

  it('are read without a descriptor by the host', () => {
    m.create(1, 'box');
    expect(m.k.procText(1, '/proc/containers')).toBe(read(1, '/proc/containers'));
    expect(m.k.procText(1, '/proc/self/comm')).toBe('init\n');
    for (const path of ['/proc/meminfo', '/etc/passwd', '']) {
      expect(m.k.procText(1, path)).toBeUndefined();
    }
    expect(m.k.procText(99, '/proc/containers')).toBeUndefined();
  });
});
