// Protects: proc as a file system: the processes of its pid namespace and no others, texts, and
// magic links, which lead where the process is, for who may look into it.
import { beforeEach, describe, expect, it } from 'vitest';
import * as E from '../../../assembly/uapi/errno.ts';
import * as O from '../../../assembly/uapi/fcntl.ts';
import * as M from '../../../assembly/uapi/mount.ts';
import * as OP from '../../../assembly/uapi/op.ts';
import * as C from '../../../assembly/uapi/sched.ts';
import * as S from '../../../assembly/uapi/stat.ts';
import { SIGCHLD } from '../../../assembly/uapi/signal.ts';
import { Fs, type Stat } from './driver.ts';

const PR_SET_DUMPABLE = 4;
let fs: Fs;
let user: Fs;
const cstr = (text: string): Uint8Array => new Uint8Array(Buffer.from(`${text}\0`));
const mount = (by: Fs, type: string, at: string, flags = 0): number =>
  by.call(OP.OP_MOUNT, 0, at, cstr(type), flags, 0);
beforeEach(async () => {
  fs = await Fs.boot();
  expect(mount(fs, 'proc', '/proc')).toBe(0);
  fs.mkdir('/d');
  fs.close(fs.open('/d/f', O.O_CREAT));
  user = fs.fork();
  user.become(1000);
  expect(user.call(OP.OP_PRCTL, PR_SET_DUMPABLE, 1)).toBe(0);
});

const read = (by: Fs, path: string): string | number => {
  const fd = by.open(path);
  if (fd < 0) return fd;
  const text = by.read(fd, 4096);
  by.close(fd);
  return text;
};

describe('the tree', () => {
  it('has the processes of the namespace, and self', () => {
    expect(fs.ls('/proc')).toEqual(['.', '..', 'self', 'thread-self', 'containers', '1', '2']);
    expect([fs.readlink('/proc/self'), user.readlink('/proc/self')]).toEqual(['1', '2']);
    expect(user.readlink('/proc/thread-self')).toBe('2/task/2');
    expect(fs.stat('/proc/3')).toBe(-E.ENOENT);
    expect(fs.stat('/proc/02')).toBe(-E.ENOENT);
    expect(fs.stat('/proc/2')).toMatchObject({ mode: 0o40555, uid: 1000, gid: 1000, nlink: 5 });
    expect(fs.check()).toEqual([]);
  });

  it('has the same files for each process', () => {
    const names = fs.ls('/proc/2') as string[];
    expect(names.slice(0, 11)).toEqual([
      '.',
      '..',
      'task',
      'fd',
      'ns',
      'status',
      'comm',
      'stat',
      'cwd',
      'root',
      'exe',
    ]);
    for (const name of names.slice(2)) {
      expect(typeof fs.stat(`/proc/2/${name}`, false), name).toBe('object');
    }
    expect(fs.ls('/proc/2/task/2')).toEqual(names.filter((name) => name !== 'task'));
    expect(fs.ls('/proc/2/task')).toEqual(['.', '..', '2']);
    expect(fs.stat('/proc/2/task/1')).toBe(-E.ENOENT);
    expect(fs.check()).toEqual([]);
  });

  it('numbers its inodes as getdents does', () => {
    const fd = fs.open('/proc/2');
    fs.call(OP.OP_GETDENTS64, fd, new Uint8Array(4096), 4096);
    const b = Buffer.from(fs.out);
    const status = b.indexOf('status\0') - 19;
    expect((fs.stat('/proc/2/status') as Stat).ino).toBe(Number(b.readBigUInt64LE(status)));
  });

  it('forgets who is gone', () => {
    const child = fs.fork();
    const path = `/proc/${child.tid}`;
    const dir = fs.open(path);
    const status = fs.open(`${path}/status`);
    expect(fs.chdir(path)).toBe(0);
    expect([fs.getcwd(), typeof fs.stat('status')]).toEqual([path, 'object']);
    child.run(OP.OP_EXIT, 0);
    expect(fs.readlink('cwd')).toBe(-E.ENOENT);
    expect(fs.call(OP.OP_WAIT4, child.tid, 0, 0, 0)).toBe(child.tid);
    expect([fs.stat(path), fs.stat('status'), fs.ls('.')]).toEqual([
      -E.ENOENT,
      -E.ENOENT,
      -E.ENOENT,
    ]);
    expect(fs.call(OP.OP_READ, status, new Uint8Array(9), 9)).toBe(-E.ESRCH);
    expect(fs.call(OP.OP_GETDENTS64, dir, new Uint8Array(99), 99)).toBe(-E.ENOENT);
    expect(fs.getcwd()).toBe(-E.ENOENT);
    expect([fs.chdir('..'), fs.getcwd(), fs.check()]).toEqual([0, '/proc', []]);
  });

  it('keeps no names of those who are gone', () => {
    for (let i = 0; i < 50; ++i) {
      const child = fs.fork();
      expect(typeof fs.stat(`/proc/${child.tid}/fd`)).toBe('object');
      child.run(OP.OP_EXIT, 0);
      fs.call(OP.OP_WAIT4, child.tid, 0, 0, 0);
    }
    expect(fs.k.counts().dentries).toBeLessThan(40);
    expect(fs.check()).toEqual([]);
  });

  it('is not to be changed', () => {
    expect([fs.mkdir('/proc/x'), fs.mkdir('/proc/self/x'), fs.mkdir('/proc/1')]).toEqual([
      -E.ENOENT,
      -E.ENOENT,
      -E.EEXIST,
    ]);
    expect([fs.open('/proc/x', O.O_CREAT), fs.symlink('a', '/proc/x')]).toEqual([
      -E.ENOENT,
      -E.ENOENT,
    ]);
    expect([fs.unlink('/proc/self/status'), fs.rmdir('/proc/1')]).toEqual([-E.EPERM, -E.EPERM]);
    expect([user.unlink('/proc/self/status'), fs.rename('/proc/1', '/d/x')]).toEqual([
      -E.EACCES,
      -E.EXDEV,
    ]);
    expect(fs.rename('/proc/1/stat', '/proc/1/status')).toBe(-E.EPERM);
    expect([fs.chmod('/proc/1/status', 0o777), fs.link('/proc/1/status', '/proc/1/x')]).toEqual([
      -E.EPERM,
      -E.ENOENT,
    ]);
    expect(fs.open('/proc/self', O.O_TMPFILE | O.O_RDWR)).toBe(-E.EOPNOTSUPP);
    expect(fs.check()).toEqual([]);
  });
});

describe('texts', () => {
  it('are those of /proc elsewhere', () => {
    expect(read(fs, '/proc/2/status')).toContain('\nUid:\t1000\t1000\t1000\t1000\n');
    expect(read(user, '/proc/thread-self/stat')).toMatch(/^2 \(/);
    expect(read(fs, '/proc/self/uid_map')).toBe('         0          0 4294967295\n');
    expect(read(fs, '/proc/containers')).toMatch(/^NAME/);
    expect(fs.check()).toEqual([]);
  });

  it('are read at any offset', () => {
    const fd = fs.open('/proc/1/status');
    expect(fs.call(OP.OP_PREAD, fd, new Uint8Array(4), 4, 5)).toBe(4);
    const part = Buffer.from(fs.out).toString();
    expect([fs.read(fd, 5), fs.read(fd, 4)]).toEqual(['Name:', part]);
    expect(fs.call(OP.OP_LSEEK, fd, 0, O.SEEK_SET)).toBe(0);
    expect([fs.read(fd, 5), fs.call(OP.OP_LSEEK, fd, 0, O.SEEK_END)]).toEqual(['Name:', -E.EINVAL]);
    expect(fs.fstat(fd)).toMatchObject({ mode: 0o100444, size: 0 });
  });

  it('name a process, for itself', () => {
    const fd = user.open('/proc/self/comm', O.O_RDWR);
    expect([user.write(fd, 'worker'), read(fs, '/proc/2/comm')]).toEqual([6, 'worker\n']);
    expect(fs.write(fs.open('/proc/2/comm', O.O_WRONLY), 'x')).toBe(-E.EINVAL);
    expect(fs.write(fs.open('/proc/2/status', O.O_WRONLY), 'x')).toBe(-E.EINVAL);
    expect(user.open('/proc/1/comm', O.O_WRONLY)).toBe(-E.EACCES);
  });

  it('map ids of a user namespace', () => {
    const inner = user.as(user.call(OP.OP_CLONE, C.CLONE_NEWUSER | SIGCHLD));
    const fd = user.open(`/proc/${inner.tid}/uid_map`, O.O_WRONLY);
    expect(user.write(fd, '0 1000 1')).toBe(8);
    expect(inner.call(OP.OP_GETUID)).toBe(0);
    expect(read(inner, '/proc/self/uid_map')).toBe('         0       1000          1\n');
    expect(fs.check()).toEqual([]);
  });
});

describe('magic links', () => {
  beforeEach(() => {
    fs.mkdir('/jail');
    fs.close(fs.open('/jail/g', O.O_CREAT));
  });

  it('lead where the process is', () => {
    const child = fs.fork();
    child.chdir('/d');
    child.call(OP.OP_CHROOT, '/jail');
    const at = `/proc/${child.tid}`;
    expect([fs.readlink(`${at}/cwd`), fs.readlink(`${at}/root`)]).toEqual(['/d', '/jail']);
    expect([fs.ls(`${at}/root/`), typeof fs.stat(`${at}/root/g`)]).toEqual([
      ['.', '..', 'g'],
      'object',
    ]);
    expect((fs.stat(`${at}/cwd/f`) as Stat).ino).toBe((fs.stat('/d/f') as Stat).ino);
    expect((fs.stat(`${at}/root/..`) as Stat).ino).toBe((fs.stat('/') as Stat).ino);
    expect(fs.stat(`${at}/root`, false)).toMatchObject({ mode: 0o120777 });
    expect(fs.readlink(`${at}/exe`)).toBe(-E.ENOENT);
    expect([fs.chdir(`${at}/cwd`), fs.getcwd(), fs.check()]).toEqual([0, '/d', []]);
  });

  it('of descriptors open what they stand for once more', () => {
    const fd = fs.open('/d/f', O.O_RDWR);
    fs.write(fd, 'hello');
    expect(read(fs, `/proc/self/fd/${fd}`)).toBe('hello');
    expect(fs.readlink(`/proc/self/fd/${fd}`)).toBe('/d/f');
    expect(fs.stat(`/proc/self/fd/${fd}`, false)).toMatchObject({ mode: 0o120700 });
    fs.unlink('/d/f');
    expect(fs.readlink(`/proc/self/fd/${fd}`)).toBe('/d/f (deleted)');
    expect(read(fs, `/proc/self/fd/${fd}`)).toBe('hello');
    const dir = fs.open('/d', O.O_PATH);
    expect(fs.stat(`/proc/self/fd/${dir}/..`)).toEqual(fs.stat('/'));
    expect(fs.ls('/proc/self/fd')).toContain(String(fd));
    fs.close(fd);
    expect([fs.stat(`/proc/self/fd/${fd}`), fs.check()]).toEqual([-E.ENOENT, []]);
  });

  it('lead to what has no name, too', () => {
    fs.call(OP.OP_PIPE2, new Uint8Array(8), 0);
    const [r, w] = new Int32Array(fs.out.slice().buffer);
    const again = fs.open(`/proc/self/fd/${w}`, O.O_WRONLY);
    expect([fs.write(again, 'abc'), fs.read(r!, 9).length]).toEqual([3, 3]);
    expect(fs.readlink(`/proc/self/fd/${r}`)).toMatch(/^pipe:\[\d+\]$/);
    expect(fs.stat(`/proc/self/fd/${r}`)).toMatchObject({ mode: 0o10600 });
    const both = fs.open(`/proc/self/fd/${r}`, O.O_RDWR);
    for (const fd of [r!, w!, again, both]) {
      expect(fs.check()).toEqual([]);
      fs.close(fd);
    }
    const sock = fs.call(OP.OP_SOCKET, 1, 1, 0);
    expect([fs.open(`/proc/self/fd/${sock}`), fs.chdir(`/proc/self/fd/${sock}`)]).toEqual([
      -E.ENXIO,
      -E.ENOTDIR,
    ]);
    expect([fs.k.counts().pipes, fs.check()]).toEqual([0, []]);
  });

  it('of namespaces are for setns', () => {
    const child = fs.as(fs.call(OP.OP_CLONE, C.CLONE_NEWUTS | SIGCHLD));
    const link = `/proc/${child.tid}/ns/uts`;
    expect(fs.readlink(link)).toMatch(/^uts:\[\d+\]$/);
    expect(fs.readlink(link)).not.toBe(fs.readlink('/proc/self/ns/uts'));
    const fd = fs.open(link);
    expect([fs.call(OP.OP_SETNS, fd, C.CLONE_NEWUTS), fs.readlink('/proc/1/ns/uts')]).toEqual([
      0,
      fs.readlink(link),
    ]);
    const ino = Number(/\d+/.exec(String(fs.readlink(link)))![0]);
    expect(fs.stat(link)).toMatchObject({ ino, mode: 0o100444 });
    expect((fs.ls('/proc/self/ns') as string[]).length).toBe(12);
    expect(fs.check()).toEqual([]);
  });

  it('are for who may look into the process', () => {
    const link = (name: string): number => user.stat(`/proc/1/${name}`) as number;
    expect([link('root'), link('cwd'), link('ns/mnt'), link('fd/0')]).toEqual([
      -E.EACCES,
      -E.EACCES,
      -E.EACCES,
      -E.EACCES,
    ]);
    expect([user.readlink('/proc/1/root'), user.readlink('/proc/1/ns/mnt')]).toEqual([
      -E.EACCES,
      -E.EACCES,
    ]);
    expect([user.ls('/proc/1/fd'), typeof user.ls('/proc/1/ns')]).toEqual([-E.EACCES, 'number']);
    expect(typeof user.stat('/proc/self/root')).toBe('object');
    // not dumpable: only itself looks in, and who may trace it
    expect(user.call(OP.OP_PRCTL, PR_SET_DUMPABLE, 0)).toBe(0);
    const other = fs.fork();
    other.become(1000);
    expect([other.stat('/proc/2/root'), other.ls('/proc/2/fd')]).toEqual([-E.EACCES, -E.EACCES]);
    expect([typeof user.ls('/proc/2/fd'), typeof fs.stat('/proc/2/root')]).toEqual([
      'object',
      'object',
    ]);
  });

  it.each([
    ['/proc/self/root', S.RESOLVE_NO_MAGICLINKS, E.ELOOP],
    ['/proc/self/fd/9', S.RESOLVE_NO_MAGICLINKS, E.ELOOP],
    ['/proc/self/ns/mnt', S.RESOLVE_NO_MAGICLINKS, E.ELOOP],
    ['/proc/self/status', S.RESOLVE_NO_MAGICLINKS, 0],
    ['/proc/self/status', S.RESOLVE_NO_SYMLINKS, E.ELOOP],
    ['/proc/1/status', S.RESOLVE_NO_SYMLINKS, 0],
    ['/proc/1/root', S.RESOLVE_NO_SYMLINKS, E.ELOOP],
    ['proc/self/root', S.RESOLVE_BENEATH, E.EXDEV],
    ['proc/self/cwd', S.RESOLVE_BENEATH, E.EXDEV],
    ['proc/self/status', S.RESOLVE_BENEATH, 0],
    ['/proc/self/root', S.RESOLVE_IN_ROOT, E.EXDEV],
    ['/proc/self/ns/mnt', S.RESOLVE_IN_ROOT, E.EXDEV],
    ['/proc/self/status', S.RESOLVE_IN_ROOT, 0],
    ['/proc/1/root', S.RESOLVE_NO_XDEV, E.EXDEV],
  ])('%s with RESOLVE flags %i', (path, resolve, errno) => {
    fs.call(OP.OP_DUP2, fs.open('/d'), 9);
    const r = fs.openat2(path, O.O_RDONLY, resolve);
    expect(r < 0 ? -r : 0).toBe(errno);
    expect(fs.check()).toEqual([]);
  });

  it('do not leave the mount with RESOLVE_NO_XDEV', () => {
    const dir = fs.open('/proc');
    expect(fs.openat2('1/root', 0, S.RESOLVE_NO_XDEV, dir)).toBe(-E.EXDEV);
    expect(fs.openat2('1/ns/mnt', 0, S.RESOLVE_NO_XDEV, dir)).toBe(-E.EXDEV);
    expect(fs.openat2('1/status', 0, S.RESOLVE_NO_XDEV, dir)).toBeGreaterThan(0);
    const own = fs.open('/proc/1');
    expect(fs.openat2(`1/fd/${own}`, 0, S.RESOLVE_NO_XDEV, dir)).toBeGreaterThan(0);
  });
});

describe('in namespaces', () => {
  const FLAGS = C.CLONE_NEWNS | C.CLONE_NEWPID | SIGCHLD;

  it('shows those of the pid namespace of who mounted it', () => {
    const inner = fs.as(fs.call(OP.OP_CLONE, FLAGS));
    expect(inner.readlink('/proc/self')).toBe(String(inner.tid));
    expect(mount(inner, 'proc', '/d')).toBe(0);
    expect([inner.readlink('/d/self'), inner.ls('/d')]).toEqual([
      '1',
      ['.', '..', 'self', 'thread-self', 'containers', '1'],
    ]);
    expect(read(inner, '/d/1/status')).toContain('\nPid:\t1\n');
    // the outer proc shows it with its outer number
    expect(read(inner, `/proc/${inner.tid}/status`)).toContain(`\nPid:\t${inner.tid}\n`);
    // who is not in there is nobody there
    const link = `/proc/${inner.tid}/root/d`;
    expect([fs.stat(`${link}/2`), fs.readlink(`${link}/self`), fs.ls(`${link}/self/`)]).toEqual([
      -E.ENOENT,
      -E.ENOENT,
      -E.ENOENT,
    ]);
    expect(fs.check()).toEqual([]);
  });

  it('is empty when the namespace is', () => {
    const inner = fs.as(fs.call(OP.OP_CLONE, FLAGS));
    mount(inner, 'proc', '/d');
    const dir = fs.open(`/proc/${inner.tid}/root/d`);
    expect(fs.stat(`/proc/${inner.tid}/root/d/1/status`)).toMatchObject({ mode: 0o100444 });
    inner.run(OP.OP_EXIT, 0);
    fs.call(OP.OP_WAIT4, inner.tid, 0, 0, 0);
    expect(fs.call(OP.OP_NEWFSTATAT, dir, '1', new Uint8Array(144), 0)).toBe(-E.ENOENT);
    expect(fs.check()).toEqual([]);
    fs.close(dir);
    expect(fs.check()).toEqual([]);
  });

  const enter = (flags: number): Fs => user.as(user.call(OP.OP_CLONE, flags | SIGCHLD));
  const OWN = C.CLONE_NEWUSER | C.CLONE_NEWNS;

  it('mounts for who owns the pid namespace', () => {
    expect(mount(user, 'proc', '/d')).toBe(-E.EPERM);
    expect(mount(enter(OWN), 'proc', '/d')).toBe(-E.EPERM);
    expect(mount(enter(OWN | C.CLONE_NEWPID), 'proc', '/d')).toBe(0);
    expect(fs.check()).toEqual([]);
  });

  it('reveals nothing that was covered', () => {
    fs.mkdir('/cover');
    expect(fs.call(OP.OP_MOUNT, '/cover', '/proc/1/task', 0, M.MS_BIND, 0)).toBe(0);
    expect(mount(enter(OWN | C.CLONE_NEWPID), 'proc', '/d')).toBe(-E.EPERM);
    expect(fs.call(OP.OP_UMOUNT2, '/proc/1/task', 0)).toBe(0);
    expect(mount(enter(OWN | C.CLONE_NEWPID), 'proc', '/d')).toBe(0);
    expect(fs.check()).toEqual([]);
  });

  it('stays read-only where it was', () => {
    const ro = M.MS_REMOUNT | M.MS_BIND | M.MS_RDONLY;
    expect(fs.call(OP.OP_MOUNT, 0, '/proc', 0, ro, 0)).toBe(0);
    const inner = enter(OWN | C.CLONE_NEWPID);
    expect(mount(inner, 'proc', '/d')).toBe(-E.EPERM);
    expect(mount(inner, 'proc', '/d', M.MS_RDONLY)).toBe(0);
    expect(inner.call(OP.OP_MOUNT, 0, '/d', 0, M.MS_REMOUNT | M.MS_BIND, 0)).toBe(-E.EPERM);
    expect(fs.check()).toEqual([]);
  });

  it('needs one to be seen', () => {
    expect(mount(enter(OWN | C.CLONE_NEWNET), 'sysfs', '/d')).toBe(-E.EPERM);
    fs.mkdir('/sys');
    expect(mount(fs, 'sysfs', '/sys')).toBe(0);
    expect(mount(enter(OWN | C.CLONE_NEWNET), 'sysfs', '/d')).toBe(0);
    expect(mount(enter(OWN), 'sysfs', '/d')).toBe(-E.EPERM);
  });

  it('lets mounts on it go with the process', () => {
    const child = fs.fork();
    expect(fs.call(OP.OP_MOUNT, '/d', `/proc/${child.tid}/fd`, 0, M.MS_BIND, 0)).toBe(0);
    expect(fs.ls(`/proc/${child.tid}/fd`)).toEqual(['.', '..', 'f']);
    child.run(OP.OP_EXIT, 0);
    const had = fs.k.counts().mounts;
    fs.call(OP.OP_WAIT4, child.tid, 0, 0, 0);
    expect(fs.stat(`/proc/${child.tid}`)).toBe(-E.ENOENT);
    expect(fs.k.counts().mounts).toBe(had - 1);
    expect(fs.check()).toEqual([]);
  });
});
