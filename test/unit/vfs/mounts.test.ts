// Protects: mounts are where they were put, seen by whom they propagate to, and gone when they are
// taken away; who may do what, errno by errno; namespaces are copies, locked where they must be.
import { beforeEach, describe, expect, it } from 'vitest';
import * as E from '../../../assembly/uapi/errno.ts';
import * as M from '../../../assembly/uapi/mount.ts';
import * as O from '../../../assembly/uapi/fcntl.ts';
import * as OP from '../../../assembly/uapi/op.ts';
import * as C from '../../../assembly/uapi/sched.ts';
import { Fs, type Stat } from './driver.ts';

let fs: Fs;
beforeEach(async () => {
  fs = await Fs.boot();
  for (const dir of ['/a', '/a/x', '/b', '/c', '/put']) expect(fs.mkdir(dir)).toBe(0);
  fs.close(fs.open('/file', O.O_CREAT));
});

/** mount(2) with its four texts. */
function mount(by: Fs, source: string, target: string, type: string, flags = 0): number {
  const frame = by.k.frame.begin(by.tid, 0, OP.OP_MOUNT);
  [source, target, type].forEach((text, i) => {
    const at = 0x10000 * (i + 1);
    frame.window(at, Buffer.from(`${text}\0`, 'latin1'), 'r');
    frame.setArg(i, text === '' && i !== 1 ? 0 : at);
  });
  frame.setArg(3, flags).setArg(4, 0);
  by.k.trap();
  return frame.result;
}
const tmpfs = (target: string, flags = 0, by = fs): number =>
  mount(by, 'none', target, 'tmpfs', flags);
const bind = (from: string, to: string, flags = 0, by = fs): number =>
  mount(by, from, to, '', M.MS_BIND | flags);
const change = (target: string, flags: number, by = fs): number => mount(by, '', target, '', flags);
const umount = (target: string, flags = 0, by = fs): number =>
  by.call(OP.OP_UMOUNT2, target, flags);
const touch = (path: string, by = fs): number => by.close(by.open(path, O.O_CREAT));
const there = (path: string, by = fs): boolean => typeof by.stat(path) === 'object';

describe('mount', () => {
  it('covers a directory, and uncovers it', () => {
    touch('/a/below');
    expect(tmpfs('/a')).toBe(0);
    expect([there('/a/below'), (fs.stat('/a') as Stat).mode]).toEqual([false, 0o41777]);
    touch('/a/above');
    expect(fs.rmdir('/a')).toBe(-E.EBUSY);
    expect(fs.rename('/a', '/z')).toBe(-E.EBUSY);
    expect(fs.rename('/a/above', '/above')).toBe(-E.EXDEV);
    expect(fs.link('/a/above', '/above')).toBe(-E.EXDEV);
    expect(fs.chdir('/a')).toBe(0);
    expect([fs.getcwd(), umount('/a'), fs.chdir('..'), fs.getcwd(), umount('/a')]).toEqual([
      '/a',
      -E.EBUSY,
      0,
      '/',
      0,
    ]);
    expect([there('/a/below'), there('/a/above')]).toEqual([true, false]);
    expect(fs.check()).toEqual([]);
  });

  it.each([
    ['/none', 'tmpfs', E.ENOENT],
    ['/a', 'nofs', E.ENODEV],
    ['/a', 'rootfs', E.ENODEV],
    ['/a', '', E.EINVAL],
    ['/file', 'tmpfs', E.ENOTDIR],
  ])('on %s of a %s fails', (target, type, errno) => {
    expect(mount(fs, 'none', target, type)).toBe(-errno);
    expect(fs.check()).toEqual([]);
  });

  it('is for the privileged', () => {
    const user = fs.fork();
    user.become(1000);
    expect([tmpfs('/a', 0, user), umount('/', 0, user), bind('/a', '/b', 0, user)]).toEqual(
      Array(3).fill(-E.EPERM),
    );
    expect(tmpfs('/none', 0, user)).toBe(-E.ENOENT);
  });

  it('has flags that count', () => {
    expect(tmpfs('/a', M.MS_NODEV)).toBe(0);
    expect(fs.mknod('/a/null', O.S_IFCHR | 0o666, 0x103)).toBe(0);
    expect(fs.open('/a/null')).toBe(-E.EACCES);
    expect(change('/a', M.MS_REMOUNT | M.MS_BIND | M.MS_RDONLY)).toBe(0);
    expect([fs.mkdir('/a/d'), fs.open('/a/f', O.O_CREAT), fs.unlink('/a/null')]).toEqual(
      Array(3).fill(-E.EROFS),
    );
    expect(fs.chmod('/a/null', 0)).toBe(-E.EROFS);
    expect(change('/a/x', M.MS_REMOUNT | M.MS_BIND)).toBe(-E.ENOENT);
    expect(change('/b', M.MS_REMOUNT | M.MS_BIND)).toBe(-E.EINVAL);
    expect(change('/a', M.MS_REMOUNT | M.MS_BIND)).toBe(0);
    expect(fs.mkdir('/a/d')).toBe(0);
    expect(change('/a', M.MS_REMOUNT | M.MS_RDONLY)).toBe(0);
    expect(fs.mkdir('/a/e')).toBe(-E.EROFS);
    expect(fs.check()).toEqual([]);
  });

  it('knows devtmpfs, proc, sysfs, mqueue and ramfs', () => {
    for (const type of ['devtmpfs', 'proc', 'sysfs', 'mqueue', 'ramfs']) {
      expect(mount(fs, 'none', '/a', type), type).toBe(0);
    }
    expect(umount('/a')).toBe(0);
    expect(mount(fs, 'none', '/b', 'devtmpfs')).toBe(0);
    const fd = fs.open('/b/zero', O.O_RDWR);
    expect([fs.read(fd, 3), fs.write(fd, 'xx')]).toEqual(['\0\0\0', 2]);
    expect(fs.write(fs.open('/b/full', O.O_WRONLY), 'x')).toBe(-E.ENOSPC);
    expect(fs.check()).toEqual([]);
  });
});

describe('umount2', () => {
  beforeEach(() => {
    expect([tmpfs('/a'), fs.mkdir('/a/m'), tmpfs('/a/m')]).toEqual([0, 0, 0]);
  });

  it('refuses what is busy, no mount, or unknown', () => {
    expect([umount('/a'), umount('/b'), umount('/a', 16), umount('/none')]).toEqual([
      -E.EBUSY,
      -E.EINVAL,
      -E.EINVAL,
      -E.ENOENT,
    ]);
    const fd = fs.open('/a/m', O.O_DIRECTORY);
    expect(umount('/a/m')).toBe(-E.EBUSY);
    fs.close(fd);
    expect([umount('/a/m'), umount('/a')]).toEqual([0, 0]);
    expect(fs.k.counts().mounts).toBe(2);
  });

  it('detaches a tree that is in use', () => {
    touch('/a/m/f');
    const fd = fs.open('/a/m', O.O_DIRECTORY);
    expect(umount('/a', M.MNT_DETACH)).toBe(0);
    expect([there('/a/m'), fs.k.counts().mounts]).toEqual([false, 3]);
    expect(fs.open('f', 0, 0, fd)).toBeGreaterThan(fd);
    fs.close(fd + 1);
    expect(fs.call(OP.OP_FCHDIR, fd)).toBe(0);
    expect([fs.getcwd(), fs.chdir('..'), fs.getcwd()]).toEqual([
      '(unreachable)/',
      0,
      '(unreachable)/',
    ]);
    expect([fs.chdir('/'), fs.close(fd), fs.k.counts().mounts]).toEqual([0, 0, 2]);
    expect(fs.check()).toEqual([]);
  });

  it('expires what nobody has used since', () => {
    expect([umount('/a/m', 4), umount('/a/m', 4), umount('/a', 4 | 2)]).toEqual([
      -E.EAGAIN,
      0,
      -E.EINVAL,
    ]);
  });
});

describe('bind mounts', () => {
  it('show a directory at another place', () => {
    touch('/a/x/f');
    expect([bind('/a', '/b'), there('/b/x/f'), bind('/file', '/b/x/f')]).toEqual([0, true, 0]);
    expect([bind('/file', '/c'), bind('/c', '/file')]).toEqual([-E.ENOTDIR, -E.ENOTDIR]);
    expect([bind('', '/c'), bind('/none', '/c')]).toEqual([-E.EINVAL, -E.ENOENT]);
    expect(fs.chdir('/b/x')).toBe(0);
    expect([fs.getcwd(), fs.chdir('../..'), fs.getcwd()]).toEqual(['/b/x', 0, '/']);
    expect(fs.check()).toEqual([]);
  });

  it('take what is mounted below along when asked to', () => {
    expect([tmpfs('/a'), fs.mkdir('/a/m'), tmpfs('/a/m'), touch('/a/m/f')]).toEqual([0, 0, 0, 0]);
    expect([bind('/a', '/b'), there('/b/m/f'), umount('/b')]).toEqual([0, false, 0]);
    expect([bind('/a', '/b', M.MS_REC), there('/b/m/f')]).toEqual([0, true]);
    expect(change('/a/m', M.MS_UNBINDABLE)).toBe(0);
    expect([bind('/a/m', '/c'), bind('/a', '/c', M.MS_REC), there('/c/m/f')]).toEqual([
      -E.EINVAL,
      0,
      false,
    ]);
    expect(fs.check()).toEqual([]);
  });

  it('do not lead out of what they show', () => {
    fs.mkdir('/a/x/deep');
    expect(bind('/a/x', '/b')).toBe(0);
    expect(fs.chdir('/b/deep')).toBe(0);
    expect(fs.rename('/a/x/deep', '/c/deep')).toBe(0);
    expect([fs.chdir('..'), fs.stat('../..')]).toEqual([-E.ENOENT, -E.ENOENT]);
  });
});

describe('moving', () => {
  it('takes a tree to another place', () => {
    expect([tmpfs('/a'), fs.mkdir('/a/m'), tmpfs('/a/m'), touch('/a/m/f')]).toEqual([0, 0, 0, 0]);
    const move = (from: string, to: string): number => mount(fs, from, to, '', M.MS_MOVE);
    expect([move('/a', '/a/m'), move('/b', '/c'), move('/a', '/file')]).toEqual([
      -E.ELOOP,
      -E.EINVAL,
      -E.EINVAL,
    ]);
    expect([move('/a', '/b'), there('/b/m/f'), there('/a/m')]).toEqual([0, true, false]);
    expect(move('/', '/c')).toBe(-E.ELOOP);
    expect(fs.check()).toEqual([]);
  });
});

describe('propagation', () => {
  beforeEach(() => {
    expect([tmpfs('/a'), change('/a', M.MS_SHARED), fs.mkdir('/a/x')]).toEqual([0, 0, 0]);
    expect([bind('/a', '/b'), bind('/a', '/c')]).toEqual([0, 0]);
  });

  it('goes to peers, and back', () => {
    expect([tmpfs('/b/x'), touch('/b/x/f')]).toEqual([0, 0]);
    expect([there('/a/x/f'), there('/c/x/f')]).toEqual([true, true]);
    expect(fs.check()).toEqual([]);
    expect([umount('/a/x'), there('/b/x/f'), there('/c/x/f')]).toEqual([0, false, false]);
    expect(fs.k.counts().mounts).toBe(5);
    expect(fs.check()).toEqual([]);
  });

  it('goes to slaves, and not back', () => {
    expect(change('/c', M.MS_SLAVE)).toBe(0);
    expect([tmpfs('/a/x'), touch('/a/x/f')]).toEqual([0, 0]);
    expect([there('/b/x/f'), there('/c/x/f')]).toEqual([true, true]);
    fs.mkdir('/c/only');
    expect([tmpfs('/c/only'), touch('/c/only/f'), there('/a/only/f')]).toEqual([0, 0, false]);
    expect([umount('/b/x'), there('/a/x/f'), there('/c/x/f')]).toEqual([0, false, false]);
    expect(fs.check()).toEqual([]);
  });

  it('goes from master to shared slaves and their peers', () => {
    expect([change('/c', M.MS_SLAVE), change('/c', M.MS_SHARED), fs.mkdir('/d')]).toEqual([
      0, 0, 0,
    ]);
    expect([bind('/c', '/d'), tmpfs('/a/x'), touch('/a/x/f')]).toEqual([0, 0, 0]);
    expect(['/b', '/c', '/d'].map((at) => there(`${at}/x/f`))).toEqual([true, true, true]);
    fs.mkdir('/a/x/y');
    expect([tmpfs('/d/x/y'), touch('/d/x/y/g')]).toEqual([0, 0]);
    expect(['/a', '/b', '/c', '/d'].map((at) => there(`${at}/x/y/g`))).toEqual([
      false,
      false,
      true,
      true,
    ]);
    expect(fs.check()).toEqual([]);
  });

  it('is not for the private', () => {
    expect([change('/b', M.MS_PRIVATE), tmpfs('/a/x'), touch('/a/x/f')]).toEqual([0, 0, 0]);
    expect([there('/b/x/f'), there('/c/x/f')]).toEqual([false, true]);
    expect([umount('/c/x'), there('/a/x/f')]).toEqual([0, false]);
    expect(change('/a/x', M.MS_SHARED)).toBe(-E.EINVAL);
    expect(change('/a', M.MS_SHARED | M.MS_PRIVATE)).toBe(-E.EINVAL);
    expect(fs.check()).toEqual([]);
  });

  it('keeps a mount under a shared one from being moved', () => {
    expect(tmpfs('/a/x')).toBe(0);
    fs.mkdir('/e');
    expect(mount(fs, '/a/x', '/e', '', M.MS_MOVE)).toBe(-E.EINVAL);
  });

  it('is refused where there is no room, and nothing has changed', async () => {
    fs = await Fs.boot({ mountsMax: 6 });
    for (const dir of ['/a', '/b', '/c']) fs.mkdir(dir);
    expect([tmpfs('/a'), change('/a', M.MS_SHARED), fs.mkdir('/a/x')]).toEqual([0, 0, 0]);
    expect([bind('/a', '/b'), bind('/a', '/c'), tmpfs('/a/x')]).toEqual([0, 0, -E.ENOSPC]);
    expect([umount('/c'), tmpfs('/a/x'), umount('/a/x')]).toEqual([0, 0, 0]);
    expect(fs.check()).toEqual([]);
  });
});

describe('mount namespaces', () => {
  const unshare = (by: Fs, flags: number): number => by.call(OP.OP_UNSHARE, flags);

  it('are copies', () => {
    expect([tmpfs('/a'), touch('/a/f'), fs.chdir('/a')]).toEqual([0, 0, 0]);
    const child = fs.fork();
    expect(unshare(child, C.CLONE_NEWNS)).toBe(0);
    expect([child.getcwd(), there('/a/f', child)]).toEqual(['/a', true]);
    expect([tmpfs('/b', 0, child), touch('/b/g', child), there('/b/g')]).toEqual([0, 0, false]);
    expect([fs.chdir('/'), umount('/a'), there('/a/f', child)]).toEqual([0, 0, true]);
    expect(fs.check()).toEqual([]);
    child.run(OP.OP_EXIT_GROUP, 0);
    expect(fs.k.counts().mounts).toBe(2);
    expect(fs.check()).toEqual([]);
  });

  it('lose a mountpoint whose name goes elsewhere', () => {
    const child = fs.fork();
    expect([unshare(child, C.CLONE_NEWNS), tmpfs('/b', 0, child)]).toEqual([0, 0]);
    expect([child.rmdir('/b'), fs.rmdir('/b'), there('/b', child)]).toEqual([-E.EBUSY, 0, false]);
    expect(fs.check()).toEqual([]);
  });

  it('share what is shared, and lock what was made above them', () => {
    expect([tmpfs('/a'), change('/a', M.MS_SHARED), tmpfs('/b', M.MS_NOSUID)]).toEqual([0, 0, 0]);
    fs.mkdir('/a/x');
    const peer = fs.fork();
    const low = fs.fork();
    low.become(1000);
    expect([unshare(peer, C.CLONE_NEWNS), unshare(low, C.CLONE_NEWUSER | C.CLONE_NEWNS)]).toEqual([
      0, 0,
    ]);
    expect([tmpfs('/a/x', 0, peer), touch('/a/x/f', peer)]).toEqual([0, 0]);
    expect([there('/a/x/f'), there('/a/x/f', low)]).toEqual([true, true]);
    expect([umount('/b', 0, low), umount('/a', M.MNT_DETACH, low)]).toEqual([-E.EINVAL, -E.EINVAL]);
    expect(change('/b', M.MS_REMOUNT | M.MS_BIND, low)).toBe(-E.EPERM);
    expect(bind('/', '/c', 0, low)).toBe(-E.EINVAL);
    expect(bind('/', '/c', M.MS_REC, low)).toBe(0);
    expect([umount('/c/b', 0, low), umount('/c', M.MNT_DETACH, low)]).toEqual([-E.EINVAL, 0]);
    expect([tmpfs('/c', 0, low), there('/c/none', low), umount('/c', 0, low)]).toEqual([
      0,
      false,
      0,
    ]);
    expect(fs.check()).toEqual([]);
    for (const one of [peer, low]) one.run(OP.OP_EXIT_GROUP, 0);
    expect(fs.check()).toEqual([]);
  });

  it('are entered at their root', () => {
    const child = fs.fork();
    expect([unshare(child, C.CLONE_NEWNS), tmpfs('/b', 0, child), touch('/b/g', child)]).toEqual([
      0, 0, 0,
    ]);
    const fd = fs.call(OP.OP_PIDFD_OPEN, child.tid, 0);
    fs.chdir('/a');
    expect(fs.call(OP.OP_SETNS, fd, C.CLONE_NEWNS)).toBe(0);
    expect([fs.getcwd(), there('/b/g')]).toEqual(['/', true]);
    expect(fs.check()).toEqual([]);
  });
});

describe('pivot_root', () => {
  const pivot = (by: Fs, to: string, old: string): number => by.call(OP.OP_PIVOT_ROOT, to, old);

  it('changes the root of everybody who had it', () => {
    const other = fs.fork();
    expect([tmpfs('/a'), fs.mkdir('/a/old'), touch('/a/f')]).toEqual([0, 0, 0]);
    expect(pivot(fs, '/a', '/a/old')).toBe(0);
    expect([there('/f'), there('/old/file'), there('/f', other), fs.getcwd()]).toEqual([
      true,
      true,
      true,
      '/',
    ]);
    expect(umount('/old', M.MNT_DETACH)).toBe(0);
    expect(there('/old/file')).toBe(false);
    expect(fs.ls('/..')).toEqual(fs.ls('/'));
    expect(fs.check()).toEqual([]);
  });

  it.each([
    ['/b', '/b/put', E.ENOENT],
    ['/a', '/b', E.EBUSY],
    ['/b', '/b', E.EBUSY],
    ['/a', '/c', E.EINVAL],
    ['/', '/put', E.EBUSY],
    ['/file', '/put', E.ENOTDIR],
    ['/none', '/put', E.ENOENT],
  ])('to %s with the old one at %s fails', (to, old, errno) => {
    expect(tmpfs('/a')).toBe(0);
    expect(bind('/c', '/c')).toBe(0);
    expect(pivot(fs, to, old)).toBe(-errno);
    expect(fs.check()).toEqual([]);
  });

  it('needs the privilege, and nothing shared', () => {
    expect([tmpfs('/a'), fs.mkdir('/a/old'), change('/', M.MS_SHARED)]).toEqual([0, 0, 0]);
    expect(pivot(fs, '/a', '/a/old')).toBe(-E.EINVAL);
    const user = fs.fork();
    user.become(1000);
    expect(pivot(user, '/none', '/none')).toBe(-E.EPERM);
  });
});
