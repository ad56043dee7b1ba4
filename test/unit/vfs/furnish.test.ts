// Protects: a container is furnished from outside before its first process, by who may, and by
// nobody afterwards: container_mount, container_chroot, container_bind_mount_across, the proposal's
// fsopen and fsmount, move_mount with its descriptor; an empty one is entered when it has a root.
import { beforeEach, describe, expect, it } from 'vitest';
import * as U from '../../../assembly/uapi/container.ts';
import * as E from '../../../assembly/uapi/errno.ts';
import * as O from '../../../assembly/uapi/fcntl.ts';
import * as M from '../../../assembly/uapi/mount.ts';
import * as OP from '../../../assembly/uapi/op.ts';
import { AT_RECURSIVE } from '../../../assembly/uapi/stat.ts';
import { type Arg, Fs } from './driver.ts';
import { many, Mounts } from './mount-calls.ts';

let fs: Fs;
let m: Mounts;
beforeEach(async () => {
  fs = await Fs.boot();
  m = new Mounts(fs);
  for (const dir of ['/box', '/box/in', '/out', '/out/deep']) expect(fs.mkdir(dir)).toBe(0);
  touch('/out/secret');
});

const touch = (path: string, by = fs): number => by.close(by.open(path, O.O_CREAT));
const create = (flags: number, by = fs): number =>
  by.call(OP.OP_CONTAINER_CREATE, 'box', flags | U.CONTAINER_FD_CLOEXEC);
const own = (): number => create(U.CONTAINER_NEW_FS_NS);
const empty = (flags = 0): number => create(U.CONTAINER_NEW_EMPTY_FS_NS | flags);
const enter = (cfd: number, by = fs): Fs => {
  const tid = by.call(OP.OP_FORK_INTO_CONTAINER, cfd);
  expect(tid).toBeGreaterThan(0);
  return fs.as(tid);
};
const cmount = (
  cfd: number,
  target: Arg,
  type: Arg = 'tmpfs',
  flags = 0,
  data: Arg = 0,
  source: Arg = 'none',
  by = fs,
): number => many(by, OP.OP_CONTAINER_MOUNT, cfd, source, target, type, flags, data);
const cchroot = (cfd: number, path: Arg, by = fs): number =>
  many(by, OP.OP_CONTAINER_CHROOT, cfd, path);
const across = (cfd: number, source: Arg, target: Arg, by = fs): number =>
  many(by, OP.OP_CONTAINER_BIND_MOUNT_ACROSS, cfd, source, target);
const fsopen = (type: Arg, cfd = -1, flags = 0, by = fs): number =>
  many(by, OP.OP_FSOPEN, type, cfd, flags);
const fsmount = (fd: number, dir: number, path: Arg, at = 0, flags = 0, by = fs): number =>
  many(by, OP.OP_FSMOUNT, fd, dir, path, at, flags);
const user = (): Fs => {
  const child = fs.fork();
  child.become(1000);
  return child;
};
/** Names in a directory but for itself and the one above. */
const ls = (by: Fs, path: string): string[] | number => {
  const names = by.ls(path);
  return typeof names === 'number' ? names : names.filter((name) => !/^\.\.?$/.test(name));
};

describe('every call that furnishes', () => {
  const calls: [string, (cfd: number, by?: Fs) => number][] = [
    ['container_mount', (cfd, by) => cmount(cfd, 0, 'tmpfs', 0, 0, 'none', by)],
    ['container_chroot', (cfd, by) => cchroot(cfd, '/', by)],
    ['container_bind_mount_across', (cfd, by) => across(cfd, '/out', 0, by)],
    ['fsopen', (cfd, by) => fsopen('tmpfs', cfd, 0, by)],
  ];

  // spec: container_mount EBADF; container_mount EINVAL; container_mount EPERM
  // spec: container_mount EBUSY; container_chroot EBADF; container_chroot EINVAL
  // spec: container_chroot EPERM; container_chroot EBUSY; container_bind_mount_across EBADF
  // spec: container_bind_mount_across EINVAL; container_bind_mount_across EPERM
  // spec: container_bind_mount_across EBUSY
  it.each(calls)('%s: a container, the right, and not too late', (_name, call) => {
    const cfd = own();
    const plain = fs.open('/out/secret');
    const low = user();
    expect([call(99), call(plain), call(99, low), call(cfd, low)]).toEqual([
      -E.EBADF,
      -E.EINVAL,
      -E.EBADF,
      -E.EPERM,
    ]);
    expect(call(cfd)).toBeGreaterThanOrEqual(0);
    expect(fs.check()).toEqual([]);
    const inside = enter(cfd);
    expect([call(cfd), call(cfd, low)]).toEqual([-E.EBUSY, -E.EPERM]);
    inside.run(OP.OP_EXIT_GROUP, 0);
    expect([call(cfd), fs.check()]).toEqual([-E.EBUSY, []]);
  });

  it.each(calls)('%s: whose descriptor it is does not say whose mounts', (_name, call) => {
    // a container without namespaces of its own: what it sees is everybody's
    const low = user();
    const cfd = create(0, low);
    expect([call(cfd, low), fs.check()]).toEqual([-E.EPERM, []]);
    const lord = create(U.CONTAINER_NEW_USER_NS | U.CONTAINER_NEW_FS_NS, low);
    expect(call(lord, low)).toBeGreaterThanOrEqual(0);
    expect([ls(fs, '/'), fs.check()]).toEqual([ls(fs, '/'), []]);
  });

  it.each(calls)('%s: nothing is begun in a dead container', (_name, call) => {
    const maker = enter(own());
    const nested = maker.call(OP.OP_CONTAINER_CREATE, 'nested', U.CONTAINER_NEW_FS_NS);
    const pidfd = fs.call(OP.OP_PIDFD_OPEN, maker.tid, 0);
    const cfd = fs.call(OP.OP_PIDFD_GETFD, pidfd, nested, 0);
    maker.run(OP.OP_EXIT_GROUP, 0);
    expect([cfd > 0, call(cfd)]).toEqual([true, -E.ECANCELED]);
  });
});

describe('container_mount', () => {
  // spec: container_mount ENODEV
  it('says what is wrong as mount(2) does', () => {
    const cfd = own();
    expect([
      cmount(cfd, '/none'),
      cmount(cfd, '/in'),
      cmount(cfd, '/out', 'nofs'),
      cmount(cfd, '/out', 0),
      cmount(cfd, '/out/secret'),
      cmount(cfd, '/out', 'tmpfs', 0, 'nosuch'),
      cmount(cfd, '/out', 'tmpfs', M.MS_NOUSER),
      cmount(cfd, ''),
      cmount(cfd, 1),
    ]).toEqual([
      -E.ENOENT,
      -E.ENOENT,
      -E.ENODEV,
      -E.EINVAL,
      -E.ENOTDIR,
      -E.EINVAL,
      -E.EINVAL,
      -E.ENOENT,
      -E.EFAULT,
    ]);
    expect(fs.check()).toEqual([]);
  });

  it('mounts in there and nowhere else, and what is on the root is the root', () => {
    const cfd = own();
    expect([cmount(cfd, '/out', 'tmpfs', M.MS_NODEV, 'mode=700'), ls(fs, '/out')]).toEqual([
      0,
      ['deep', 'secret'],
    ]);
    expect(fs.call(OP.OP_MKDIRAT, cfd, 'out/new', 0o755)).toBe(0);
    expect(cmount(cfd, '/box', 0, M.MS_BIND, 0, '/out')).toBe(0);
    expect(cmount(cfd, '/box', 0, M.MS_REMOUNT | M.MS_BIND | M.MS_RDONLY)).toBe(0);
    expect(cmount(cfd, 0, 'tmpfs')).toBe(0);
    const inside = enter(cfd);
    expect([ls(inside, '/'), ls(inside, '/..'), ls(fs, '/box')]).toEqual([[], [], ['in']]);
    expect(fs.check()).toEqual([]);
  });

  it('mounts the root of an empty container', () => {
    const cfd = empty();
    expect([cmount(cfd, '/x'), cmount(cfd, '/', 0, M.MS_BIND, 0, '/'), cmount(cfd, '/')]).toEqual([
      -E.ENOENT,
      -E.EINVAL,
      0,
    ]);
    expect(fs.call(OP.OP_MKDIRAT, cfd, '/proc', 0o755)).toBe(0);
    expect([cmount(cfd, '/proc', 'proc'), fs.check()]).toEqual([0, []]);
    const inside = enter(cfd);
    expect([inside.getcwd(), ls(inside, '/')]).toEqual(['/', ['proc']]);
    expect(fs.check()).toEqual([]);
    inside.run(OP.OP_EXIT_GROUP, 0);
    fs.close(cfd);
    expect([fs.k.counts().mounts, fs.check()]).toEqual([2, []]);
  });
});

describe('container_chroot', () => {
  // spec: container_chroot ENOENT
  it('goes on from the root that there is, and never out of it', () => {
    const cfd = own();
    fs.symlink('/in', '/box/link');
    expect([
      cchroot(cfd, '/none'),
      cchroot(cfd, ''),
      cchroot(cfd, '/out/secret'),
      cchroot(cfd, 0),
      cchroot(empty(), '/'),
    ]).toEqual([-E.ENOENT, -E.ENOENT, -E.ENOTDIR, -E.EFAULT, -E.ENOENT]);
    expect([cchroot(cfd, '/box'), cchroot(cfd, '/../../out'), cchroot(cfd, 'link/..')]).toEqual([
      0,
      -E.ENOENT,
      0,
    ]);
    expect(fs.call(OP.OP_MKDIRAT, cfd, '../made', 0o755)).toBe(0);
    const inside = enter(cfd);
    expect([ls(inside, '/'), ls(inside, '/..'), inside.chdir('../../out')]).toEqual([
      ['in', 'link', 'made'],
      ['in', 'link', 'made'],
      -E.ENOENT,
    ]);
    expect(fs.check()).toEqual([]);
  });
});

describe('container_bind_mount_across', () => {
  it("shows what is the caller's, and no more of it", () => {
    const cfd = own();
    expect([
      across(cfd, '/none', '/box'),
      across(cfd, '/out', '/none'),
      across(cfd, '/out/secret', '/box'),
      across(cfd, 0, '/box'),
    ]).toEqual([-E.ENOENT, -E.ENOENT, -E.ENOTDIR, -E.EFAULT]);
    expect(m.old('none', '/out/deep', 'tmpfs')).toBe(0);
    touch('/out/deep/hidden');
    expect(across(cfd, '/out', '/box')).toBe(0);
    expect(across(cfd, '/out/deep', '/out')).toBe(0);
    const inside = enter(cfd);
    expect([ls(inside, '/box'), ls(inside, '/box/deep'), ls(inside, '/out')]).toEqual([
      ['deep', 'secret'],
      [],
      ['hidden'],
    ]);
    expect(fs.check()).toEqual([]);
  });

  it('is the root of an empty container', () => {
    const cfd = empty();
    expect([across(cfd, '/out', '/x'), across(cfd, '/out/secret', 0)]).toEqual([
      -E.ENOENT,
      -E.ENOTDIR,
    ]);
    expect([across(cfd, '/out', 0), across(cfd, '/box', '/deep')]).toEqual([0, 0]);
    const inside = enter(cfd);
    expect([ls(inside, '/'), ls(inside, '/deep'), ls(inside, '/../..')]).toEqual([
      ['deep', 'secret'],
      ['in'],
      ['deep', 'secret'],
    ]);
    expect(fs.check()).toEqual([]);
  });

  it('refuses what must not be copied', () => {
    const cfd = own();
    expect(m.old('none', '/out', 'tmpfs')).toBe(0);
    expect(m.old(0, '/out', 0, M.MS_UNBINDABLE)).toBe(0);
    expect(across(cfd, '/out', '/box')).toBe(-E.EINVAL);
  });

  it('lends: a less privileged owner can neither change nor share it', () => {
    expect([m.old('none', '/out', 'tmpfs'), m.old(0, '/out', 0, M.MS_SHARED)]).toEqual([0, 0]);
    fs.mkdir('/out/dir');
    expect(m.old(0, '/out', 0, M.MS_REMOUNT | M.MS_BIND | M.MS_RDONLY)).toBe(0);
    const cfd = create(U.CONTAINER_NEW_USER_NS | U.CONTAINER_NEW_FS_NS);
    expect(across(cfd, '/out', '/box')).toBe(0);
    const inside = new Mounts(enter(cfd));
    expect(inside.old(0, '/box', 0, M.MS_REMOUNT | M.MS_BIND)).toBe(-E.EPERM);
    expect(inside.setattr('/box', { clear: M.MOUNT_ATTR_RDONLY })).toBe(-E.EPERM);
    expect(inside.old('none', '/box/dir', 'tmpfs')).toBe(0);
    expect(fs.fstat(fs.open('/out/dir', O.O_DIRECTORY))).toMatchObject({ mode: 0o40755 });
    expect(fs.check()).toEqual([]);
  });
});

describe("the proposal's fsopen and fsmount", () => {
  // spec: fsopen ENODEV; fsopen EPERM; fsopen EINVAL
  it('open a type, for a container or for oneself', () => {
    const low = user();
    expect([fsopen('nofs', -1, 4), fsopen('nofs'), fsopen('nofs', 99), fsopen(0)]).toEqual([
      -E.EINVAL,
      -E.ENODEV,
      -E.ENODEV,
      -E.EFAULT,
    ]);
    expect([fsopen('tmpfs', -1, 0, low), fsopen('tmpfs', 99), fsopen('tmpfs', 0)]).toEqual([
      -E.EPERM,
      -E.EBADF,
      -E.EINVAL,
    ]);
    const fd = fsopen('tmpfs', -1, O.O_CLOEXEC);
    expect([fd > 0, fs.call(OP.OP_FCNTL, fd, O.F_GETFD, 0)]).toEqual([true, 1]);
  });

  it('are configured by write(2)', () => {
    const fd = fsopen('tmpfs');
    expect(
      ['', 'o', 'o ', 'q x', 'ox', 'o nosuch', 'x y', 'x reconfigure'].map((t) => fs.write(fd, t)),
    ).toEqual([...Array(7).fill(-E.EINVAL), -E.EBUSY]);
    expect(
      ['o mode=711', 's here', 'o size=8k', 'x create', 'x create'].map((t) => fs.write(fd, t)),
    ).toEqual([10, 6, 9, 8, -E.EBUSY]);
    expect([fsmount(fd, O.AT_FDCWD, '/box'), fs.stat('/box')]).toMatchObject([
      0,
      { mode: 0o40711 },
    ]);
    expect([fs.write(fd, 'o ro'), fs.write(fd, 'x reconfigure'), fs.mkdir('/box/x')]).toEqual([
      4,
      13,
      -E.EROFS,
    ]);
    expect(fs.check()).toEqual([]);
  });

  // spec: fsmount EBADF; fsmount EPERM; fsmount EINVAL
  it('mount at a path, in a container, or as its root', () => {
    const low = user();
    const fd = fsopen('tmpfs');
    expect([
      fsmount(99, O.AT_FDCWD, '/box'),
      fsmount(0, O.AT_FDCWD, '/box'),
      fsmount(fd, O.AT_FDCWD, '/box', 1),
      fsmount(fd, O.AT_FDCWD, '/box', 0, M.MS_BIND),
      fsmount(fd, 98, 'box'),
      fsmount(fd, O.AT_FDCWD, '/none'),
    ]).toEqual([-E.EBADF, -E.EINVAL, -E.EINVAL, -E.EINVAL, -E.EBADF, -E.ENOENT]);
    const inherited = fs.fork();
    inherited.become(1000);
    expect(fsmount(fd, O.AT_FDCWD, '/box', 0, 0, inherited)).toBe(-E.EPERM);
    expect(ls(low, '/box')).toEqual(['in']);
    const cfd = empty();
    const within = fsopen('tmpfs', cfd);
    // what is meant for a container goes into that one
    expect([fsmount(within, O.AT_FDCWD, '/box'), fsmount(within, own(), '/box')]).toEqual([
      -E.EINVAL,
      -E.EINVAL,
    ]);
    expect(fsmount(within, cfd, '/', 0, M.MS_NODEV)).toBe(0);
    expect([fsmount(within, cfd, '/'), fs.call(OP.OP_MKDIRAT, cfd, 'p', 0o755)]).toEqual([
      -E.EBUSY,
      0,
    ]);
    expect(fsmount(fsopen('proc', cfd), cfd, 'p')).toBe(0);
    expect(fsmount(fd, O.AT_FDCWD, '/box')).toBe(0);
    const late = fsopen('tmpfs', cfd);
    expect(ls(enter(cfd), '/')).toEqual(['p']);
    expect([fsmount(late, cfd, '/p'), fs.check()]).toEqual([-E.EBUSY, []]);
  });
});

describe('a container by its descriptor in the calls of today', () => {
  const { FSCONFIG_SET_CONTAINER: SET, MOVE_MOUNT_F_EMPTY_PATH: EMPTY } = M;

  it('is chosen before anything else is said', () => {
    const cfd = empty();
    const fd = m.open('tmpfs');
    expect([
      m.config(fd, SET, 0, 0, 99),
      m.config(fd, SET, 0, 0, 0),
      m.config(fd, SET, 0, 0, cfd),
    ]).toEqual([-E.EBADF, -E.EINVAL, 0]);
    expect([m.config(fd, SET, 0, 0, cfd), m.create(fd)]).toEqual([-E.EBUSY, 0]);
    const late = m.open('tmpfs');
    expect([m.set(late, 'size', '1M'), m.config(late, SET, 0, 0, cfd)]).toEqual([0, -E.EBUSY]);
    expect(fs.check()).toEqual([]);
  });

  it('owns the file system that is made for it', () => {
    const cfd = create(U.CONTAINER_NEW_USER_NS | U.CONTAINER_NEW_EMPTY_FS_NS);
    const fd = m.open('tmpfs');
    expect([m.config(fd, SET, 0, 0, cfd), m.create(fd)]).toEqual([0, 0]);
    const at = m.mount(fd);
    expect(m.move(at, '', cfd, '/', EMPTY | M.MOVE_MOUNT_T_CONTAINER_ROOT)).toBe(0);
    const inside = new Mounts(enter(cfd));
    const again = inside.pick('/');
    expect([inside.set(again, 'ro'), inside.config(again, M.FSCONFIG_CMD_RECONFIGURE)]).toEqual([
      0, 0,
    ]);
    expect(fs.check()).toEqual([]);
  });

  it('gets its root by move_mount, once, of a tree that is nobody’s', () => {
    const cfd = empty();
    const root = (fd: number, path = '/', flags = 0): number =>
      m.move(fd, '', cfd, path, EMPTY | M.MOVE_MOUNT_T_CONTAINER_ROOT | flags);
    const at = m.made();
    expect([
      root(at, '/x'),
      root(at, '/', M.MOVE_MOUNT_T_EMPTY_PATH),
      root(at, '/', M.MOVE_MOUNT_BENEATH),
      root(99),
      root(fs.open('/', O.O_DIRECTORY)),
      m.move(at, '', 99, '/', EMPTY | M.MOVE_MOUNT_T_CONTAINER_ROOT),
      m.move(at, '', 0, '/', EMPTY | M.MOVE_MOUNT_T_CONTAINER_ROOT),
      m.move(at, '', own(), '/', EMPTY | M.MOVE_MOUNT_T_CONTAINER_ROOT),
    ]).toEqual([
      -E.EINVAL,
      -E.EINVAL,
      -E.EINVAL,
      -E.EBADF,
      -E.EINVAL,
      -E.EBADF,
      -E.EINVAL,
      -E.EBUSY,
    ]);
    const file = m.tree('/out/secret', M.OPEN_TREE_CLONE);
    expect([root(file), fs.call(OP.OP_FORK_INTO_CONTAINER, cfd)]).toEqual([-E.ENOTDIR, -E.ENOENT]);
    expect([root(at), root(m.made()), fs.close(at), fs.check()]).toEqual([0, -E.EBUSY, 0, []]);
    const inside = enter(cfd);
    expect([ls(inside, '/'), inside.getcwd(), root(m.made())]).toEqual([[], '/', -E.EBUSY]);
    expect(fs.check()).toEqual([]);
  });

  it('gets more by move_mount and mount_setattr, until it has begun', () => {
    const cfd = own();
    const tree = m.tree('/out', M.OPEN_TREE_CLONE | AT_RECURSIVE);
    expect(m.move(tree, '', cfd, 'box', EMPTY)).toBe(0);
    expect(m.setattr('box', { set: M.MOUNT_ATTR_RDONLY }, 0, cfd)).toBe(0);
    expect(m.move(O.AT_FDCWD, '/box', cfd, 'out')).toBe(-E.EINVAL);
    const inside = enter(cfd);
    expect([ls(inside, '/box'), inside.mkdir('/box/x'), ls(fs, '/box')]).toEqual([
      ['deep', 'secret'],
      -E.EROFS,
      ['in'],
    ]);
    expect([m.move(m.made(), '', cfd, 'box', EMPTY), m.setattr('box', { set: 2 }, 0, cfd)]).toEqual(
      [-E.EBUSY, -E.EBUSY],
    );
    expect(fs.check()).toEqual([]);
  });

  it('is for its maker and the privileged', () => {
    const cfd = own();
    const low = new Mounts(user());
    expect(low.fs.call(OP.OP_UNSHARE, 0x10000000 | 0x20000)).toBe(0);
    const at = low.made();
    expect(low.move(at, '', cfd, 'box', EMPTY)).toBe(-E.EPERM);
  });
});

describe('an empty mount namespace', () => {
  it('is never anything else: nothing leads in or out before there is a root', () => {
    const cfd = empty();
    expect(fs.call(OP.OP_FORK_INTO_CONTAINER, cfd)).toBe(-E.ENOENT);
    expect([fs.call(OP.OP_MKDIRAT, cfd, 'x', 0o755), m.tree('/', 0, cfd)]).toEqual([
      -E.ENOENT,
      -E.ENOENT,
    ]);
    expect([m.move(m.made(), '', cfd, 'x', M.MOVE_MOUNT_F_EMPTY_PATH), cchroot(cfd, '/')]).toEqual([
      -E.ENOENT,
      -E.ENOENT,
    ]);
    fs.close(cfd);
    expect(fs.check()).toEqual([]);
  });

  it('is furnished in a kernel that has no root of its own', async () => {
    fs = new Fs((await Fs.boot({ root: 'world' })).k);
    m = new Mounts(fs);
    const cfd = empty();
    expect([cmount(cfd, 0, 'tmpfs'), across(cfd, '/', '/')]).toEqual([0, -E.ENOSYS]);
    expect(fs.call(OP.OP_MKDIRAT, cfd, 'dir', 0o755)).toBe(0);
    const at = m.made();
    expect(m.move(at, '', cfd, 'dir', M.MOVE_MOUNT_F_EMPTY_PATH)).toBe(0);
    expect([m.pick('/'), m.tree('/'), m.setattr('/', { set: 1 })]).toEqual(
      Array(3).fill(-E.ENOSYS),
    );
    const inside = enter(cfd);
    expect([ls(inside, '/'), ls(inside, '/dir'), fs.check()]).toEqual([['dir'], [], []]);
    const world = create(U.CONTAINER_NEW_FS_NS);
    expect([cmount(world, '/'), cchroot(world, '/')]).toEqual([-E.EXDEV, -E.EXDEV]);
  });
});

describe('descriptors of containers and directories', () => {
  // spec: fchdir ENOTDIR
  it('fchdir takes no container', () => {
    expect(fs.call(OP.OP_FCHDIR, own())).toBe(-E.ENOTDIR);
  });
});
