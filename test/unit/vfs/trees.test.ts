// Protects: trees of mounts behind descriptors (fsmount, open_tree, move_mount, mount_setattr):
// they are attached nowhere until they are moved, go with their last descriptor, and every rule
// says its errno in Linux's order.
import { beforeEach, describe, expect, it } from 'vitest';
import * as E from '../../../assembly/uapi/errno.ts';
import * as O from '../../../assembly/uapi/fcntl.ts';
import * as M from '../../../assembly/uapi/mount.ts';
import * as OP from '../../../assembly/uapi/op.ts';
import { CLONE_NEWNET, CLONE_NEWNS, CLONE_NEWUSER } from '../../../assembly/uapi/sched.ts';
import { AT_RECURSIVE, AT_SYMLINK_NOFOLLOW } from '../../../assembly/uapi/stat.ts';
import { Fs } from './driver.ts';
import { type Attr, attrBytes, many, Mounts } from './mount-calls.ts';

const { OPEN_TREE_CLONE } = M;
let fs: Fs;
let m: Mounts;
beforeEach(async () => {
  fs = await Fs.boot();
  m = new Mounts(fs);
  for (const dir of ['/a', '/a/x', '/b', '/c', '/put']) expect(fs.mkdir(dir)).toBe(0);
  fs.close(fs.open('/file', O.O_CREAT));
});
const mounts = (): number => fs.k.counts().mounts;
const touch = (path: string, by = fs): number => by.close(by.open(path, O.O_CREAT));
const there = (path: string, by = fs): boolean => typeof by.stat(path) === 'object';
const bind = (from: string, to: string, flags = 0): number => m.old(from, to, 0, M.MS_BIND | flags);
const change = (path: string, flags: number, by = m): number => by.old(0, path, 0, flags);
const lowly = (): Mounts => {
  const user = fs.fork();
  user.become(1000);
  return new Mounts(user);
};

describe('fsmount', () => {
  it('needs the privilege, known flags and a context that has made something', () => {
    expect(lowly().mount(99, 2)).toBe(-E.EPERM);
    expect([m.mount(99, 2), m.mount(99, 0, 0x100), m.mount(99, 0, 0x30), m.mount(99)]).toEqual([
      -E.EINVAL,
      -E.EINVAL,
      -E.EINVAL,
      -E.EBADF,
    ]);
    expect([m.mount(0), m.mount(m.open('tmpfs'))]).toEqual([-E.EINVAL, -E.EINVAL]);
  });

  it('gives a tree that goes with its last descriptor', () => {
    const before = fs.k.counts();
    const at = m.made();
    expect([mounts(), fs.call(OP.OP_FCNTL, at, O.F_GETFL, 0)]).toEqual([3, O.O_PATH]);
    expect(fs.call(OP.OP_MKDIRAT, at, 'dir', 0o755)).toBe(0);
    expect(fs.call(OP.OP_OPENAT, at, '../../etc', 0, 0)).toBe(-E.ENOENT);
    const other = fs.call(OP.OP_DUP, at);
    expect([fs.close(at), mounts(), fs.check()]).toEqual([0, 3, []]);
    const inside = fs.call(OP.OP_OPENAT, other, 'dir', O.O_DIRECTORY, 0);
    expect([inside > 0, fs.close(other)]).toEqual([true, 0]);
    // what is still open is there, and nothing can be done with the tree any more
    expect([m.move(inside, '..', O.AT_FDCWD, '/a'), fs.check()]).toEqual([-E.EINVAL, []]);
    fs.close(inside);
    expect(fs.k.counts()).toEqual(before);
  });

  it('has the attributes that were asked for', () => {
    const at = m.made('tmpfs', M.MOUNT_ATTR_RDONLY | M.MOUNT_ATTR_NODEV);
    expect([m.put(at, '/a'), fs.mkdir('/a/y')]).toEqual([0, -E.EROFS]);
  });
});

describe('move_mount', () => {
  it('says what is wrong in order', () => {
    expect(lowly().move(99, '', 99, '', 8)).toBe(-E.EPERM);
    const { MOVE_MOUNT_BENEATH, MOVE_MOUNT_SET_GROUP } = M;
    expect(m.move(99, '', 99, '', 8)).toBe(-E.EINVAL);
    expect(m.move(99, '', 99, '', MOVE_MOUNT_BENEATH | MOVE_MOUNT_SET_GROUP)).toBe(-E.EINVAL);
    expect(m.move(99, '', 99, '', 0)).toBe(-E.ENOENT);
    expect(m.move(99, 'x', 99, '', 0)).toBe(-E.ENOENT);
    expect(m.move(99, 'x', O.AT_FDCWD, '/none')).toBe(-E.ENOENT);
    expect(m.move(99, 'x', O.AT_FDCWD, '/a')).toBe(-E.EBADF);
    expect(m.move(-1, 'x', -1, 'y')).toBe(-E.EBADF);
    expect(many(fs, OP.OP_MOVE_MOUNT, 3, 0, O.AT_FDCWD, '/a', 0)).toBe(-E.EFAULT);
    const at = m.made();
    expect(many(fs, OP.OP_MOVE_MOUNT, at, 0, O.AT_FDCWD, '/a', M.MOVE_MOUNT_F_EMPTY_PATH)).toBe(0);
  });

  it('attaches a tree once', () => {
    const at = m.made();
    expect([m.put(at, '/file'), m.put(at, '/none'), m.put(at, '/a')]).toEqual([
      -E.EINVAL,
      -E.ENOENT,
      0,
    ]);
    expect([m.put(at, '/a'), fs.close(at), there('/a/x'), mounts(), fs.check()]).toEqual([
      -E.ELOOP,
      0,
      false,
      3,
      [],
    ]);
    expect([m.move(O.AT_FDCWD, '/a', O.AT_FDCWD, '/b'), there('/a/x')]).toEqual([0, true]);
    expect([fs.call(OP.OP_UMOUNT2, '/b', 0), mounts()]).toEqual([0, 2]);
  });

  it('takes neither what has no name any more nor a place that has none', () => {
    const gone = m.tree('/c', OPEN_TREE_CLONE);
    expect([fs.rmdir('/c'), m.put(gone, '/a'), fs.check()]).toEqual([0, -E.ENOENT, []]);
    const at = m.made();
    const place = fs.open('/b', O.O_DIRECTORY);
    expect([fs.rmdir('/b'), m.move(at, '', place, '.', M.MOVE_MOUNT_F_EMPTY_PATH)]).toEqual([
      0,
      -E.ENOENT,
    ]);
  });

  it('is used up by fsmount, even where there is no descriptor left', () => {
    const fd = m.open('tmpfs');
    expect(m.create(fd)).toBe(0);
    while (fs.call(OP.OP_DUP, 0) >= 0);
    expect([m.mount(fd), fs.close(20), m.mount(fd), fs.check()]).toEqual([
      -E.EMFILE,
      0,
      -E.EBUSY,
      [],
    ]);
  });

  it('and configuring take no descriptor that is a place alone', () => {
    const at = m.made();
    expect([m.mount(at), m.create(at)]).toEqual([-E.EBADF, -E.EBADF]);
  });

  it('attaches a tree to another one that is attached nowhere', () => {
    const [outer, inner] = [m.made(), m.made()];
    expect(fs.call(OP.OP_MKDIRAT, outer, 'in', 0o755)).toBe(0);
    expect(fs.call(OP.OP_MKDIRAT, inner, 'deep', 0o755)).toBe(0);
    expect(m.move(inner, '', outer, 'in', M.MOVE_MOUNT_F_EMPTY_PATH)).toBe(0);
    expect(m.move(inner, '', outer, 'in/deep', M.MOVE_MOUNT_F_EMPTY_PATH)).toBe(-E.EINVAL);
    expect([fs.close(inner), mounts(), fs.check()]).toEqual([0, 4, []]);
    expect(m.move(outer, '', outer, 'in', M.MOVE_MOUNT_F_EMPTY_PATH)).toBe(-E.EINVAL);
    expect([m.put(outer, '/a'), there('/a/in/deep'), fs.close(outer)]).toEqual([0, true, 0]);
    expect([mounts(), fs.check()]).toEqual([4, []]);
    expect([fs.call(OP.OP_UMOUNT2, '/a', M.MNT_DETACH), mounts()]).toEqual([0, 2]);
  });

  it('takes the uppermost place of a stack', () => {
    const [one, two] = [m.made(), m.made()];
    expect([m.put(one, '/a'), m.put(two, '/a'), fs.mkdir('/a/two')]).toEqual([0, 0, 0]);
    expect([fs.call(OP.OP_UMOUNT2, '/a', 0), there('/a/two')]).toEqual([-E.EBUSY, true]);
    fs.close(two);
    expect([fs.call(OP.OP_UMOUNT2, '/a', 0), there('/a/two'), fs.check()]).toEqual([0, false, []]);
    // also of what lies over the root, which a path does not lead to
    expect([m.put(m.made(), '/'), fs.call(OP.OP_UMOUNT2, '/', M.MNT_EXPIRE)]).toEqual([
      0,
      -E.EBUSY,
    ]);
    expect(fs.call(OP.OP_UMOUNT2, '/', M.MNT_DETACH)).toBe(0);
    expect([there('/a'), fs.check()]).toEqual([true, []]);
  });

  it('refuses what is shared above, unbindable below, or of a place that is no mount', () => {
    expect([m.put(m.made(), '/a'), change('/a', M.MS_SHARED), fs.mkdir('/a/y')]).toEqual([0, 0, 0]);
    expect(m.put(m.made(), '/a/y')).toBe(0);
    expect(m.move(O.AT_FDCWD, '/a/y', O.AT_FDCWD, '/b')).toBe(-E.EINVAL);
    expect(m.move(O.AT_FDCWD, '/b', O.AT_FDCWD, '/c')).toBe(-E.EINVAL);
    expect([m.put(m.made(), '/b'), change('/b', M.MS_UNBINDABLE)]).toEqual([0, 0]);
    expect(m.move(O.AT_FDCWD, '/b', O.AT_FDCWD, '/a')).toBe(-E.EINVAL);
    expect(fs.check()).toEqual([]);
  });

  it('is seen by peers of the place, and by none that is attached nowhere', () => {
    expect([m.put(m.made(), '/a'), change('/a', M.MS_SHARED), fs.mkdir('/a/y')]).toEqual([0, 0, 0]);
    expect(bind('/a', '/b')).toBe(0);
    // a copy of a shared mount is its peer: mounting it on itself must not go on for ever
    const copy = m.tree('/a', OPEN_TREE_CLONE);
    expect([m.put(copy, '/a/y'), there('/b/y/y'), there('/a/y/y')]).toEqual([0, true, true]);
    expect(fs.check()).toEqual([]);
    // a tree that is attached nowhere receives nothing
    const free = m.tree('/b', OPEN_TREE_CLONE);
    fs.mkdir('/a/z');
    expect(m.put(m.made(), '/a/z')).toBe(0);
    touch('/a/z/f');
    expect(fs.call(OP.OP_FACCESSAT, free, 'z/f', 0)).toBe(-E.ENOENT);
    expect(fs.check()).toEqual([]);
    fs.close(free);
    expect(fs.check()).toEqual([]);
  });

  it('is refused where there is no room, and nothing has changed', async () => {
    fs = await Fs.boot({ mountsMax: 3 });
    m = new Mounts(fs);
    for (const dir of ['/a', '/b']) fs.mkdir(dir);
    const [one, two] = [m.made(), m.made()];
    expect([m.put(one, '/a'), m.put(two, '/b'), fs.check()]).toEqual([0, -E.ENOSPC, []]);
    expect([fs.call(OP.OP_UMOUNT2, '/a', M.MNT_DETACH), m.put(two, '/b')]).toEqual([0, 0]);
    expect(fs.check()).toEqual([]);
  });
});

describe('MOVE_MOUNT_BENEATH', () => {
  const { MOVE_MOUNT_BENEATH } = M;
  it('puts a tree between a mount and its place', () => {
    const [top, below] = [m.made(), m.made()];
    expect([m.put(top, '/a'), touch('/a/top')]).toEqual([0, 0]);
    expect(fs.call(OP.OP_MKDIRAT, below, 'below', 0o755)).toBe(0);
    expect([
      m.put(below, '/b', MOVE_MOUNT_BENEATH),
      m.put(below, '/a', MOVE_MOUNT_BENEATH),
    ]).toEqual([-E.EINVAL, 0]);
    expect([there('/a/top'), there('/a/below'), fs.check()]).toEqual([true, false, []]);
    for (const fd of [top, below]) fs.close(fd);
    expect([fs.call(OP.OP_UMOUNT2, '/a', 0), there('/a/below')]).toEqual([0, true]);
    expect([fs.call(OP.OP_UMOUNT2, '/a', 0), there('/a/x'), fs.check()]).toEqual([0, true, []]);
  });

  it('never goes beneath the root, or where copies would cover it', () => {
    const at = m.made();
    expect(m.put(at, '/', MOVE_MOUNT_BENEATH)).toBe(-E.EINVAL);
    expect([change('/', M.MS_SHARED), bind('/b', '/b')]).toEqual([0, 0]);
    expect([m.put(at, '/b', MOVE_MOUNT_BENEATH), mounts()]).toEqual([-E.EINVAL, 4]);
    expect(fs.check()).toEqual([]);
  });
});

describe('MOVE_MOUNT_SET_GROUP', () => {
  const group = (from: string, to: string, by = m): number =>
    by.move(O.AT_FDCWD, from, O.AT_FDCWD, to, M.MOVE_MOUNT_SET_GROUP);

  it('makes a private mount propagate as another one of the same does', () => {
    expect([m.put(m.made(), '/a'), fs.mkdir('/a/y'), bind('/a', '/b')]).toEqual([0, 0, 0]);
    expect([group('/a', '/b'), change('/a', M.MS_SHARED), group('/a', '/b')]).toEqual([
      -E.EINVAL,
      0,
      0,
    ]);
    expect([m.put(m.made(), '/a/y'), touch('/a/y/f'), there('/b/y/f')]).toEqual([0, 0, true]);
    expect([group('/a', '/b'), group('/a/y', '/b'), group('/a', '/c')]).toEqual([
      -E.EINVAL,
      -E.EINVAL,
      -E.EINVAL,
    ]);
    expect(fs.check()).toEqual([]);
  });

  it('takes over a master, too', () => {
    expect([m.put(m.made(), '/a'), fs.mkdir('/a/y'), change('/a', M.MS_SHARED)]).toEqual([0, 0, 0]);
    expect([bind('/a', '/b'), change('/b', M.MS_SLAVE), bind('/a', '/c')]).toEqual([0, 0, 0]);
    expect([change('/c', M.MS_PRIVATE), group('/b', '/c'), m.put(m.made(), '/a/y')]).toEqual([
      0, 0, 0,
    ]);
    touch('/a/y/f');
    expect([there('/b/y/f'), there('/c/y/f'), fs.check()]).toEqual([true, true, []]);
  });
});

describe('open_tree', () => {
  it('says what is wrong in order', () => {
    expect(m.tree('/', 4)).toBe(-E.EINVAL);
    expect(m.tree('/', AT_RECURSIVE)).toBe(-E.EINVAL);
    const low = lowly();
    expect([low.tree('/none', OPEN_TREE_CLONE), low.tree('/none'), low.tree('/a') > 0]).toEqual([
      -E.EPERM,
      -E.ENOENT,
      true,
    ]);
    expect([m.tree('x', 0, 99), m.tree(''), m.tree('', O.AT_EMPTY_PATH)]).toEqual([
      -E.EBADF,
      -E.ENOENT,
      3,
    ]);
  });

  it('is a place, or a copy of what is there', () => {
    expect([m.put(m.made(), '/a'), fs.mkdir('/a/m'), m.put(m.made(), '/a/m')]).toEqual([0, 0, 0]);
    touch('/a/m/f');
    fs.symlink('/a', '/link');
    const place = m.tree('/link', AT_SYMLINK_NOFOLLOW | M.OPEN_TREE_CLOEXEC);
    expect(fs.fstat(place)).toMatchObject({ mode: 0o120777 });
    const one = m.tree('/link', OPEN_TREE_CLONE);
    const all = m.tree('/a', OPEN_TREE_CLONE | AT_RECURSIVE);
    expect([mounts(), fs.check()]).toEqual([7, []]);
    expect([m.put(one, '/b'), m.put(all, '/c')]).toEqual([0, 0]);
    expect([there('/b/m/f'), there('/c/m/f'), fs.check()]).toEqual([false, true, []]);
  });

  it('copies no unbindable mount, and a tree without those below', () => {
    expect([m.put(m.made(), '/a'), fs.mkdir('/a/m'), m.put(m.made(), '/a/m')]).toEqual([0, 0, 0]);
    expect(change('/a/m', M.MS_UNBINDABLE)).toBe(0);
    expect(m.tree('/a/m', OPEN_TREE_CLONE)).toBe(-E.EINVAL);
    const all = m.tree('/a', OPEN_TREE_CLONE | AT_RECURSIVE);
    expect([m.put(all, '/b'), mounts(), fs.check()]).toEqual([0, 5, []]);
  });

  it('copies a copy, but no tree of another namespace', () => {
    expect(m.put(m.made(), '/a')).toBe(0);
    touch('/a/f');
    const first = m.tree('/a', OPEN_TREE_CLONE);
    const second = m.tree('', OPEN_TREE_CLONE | O.AT_EMPTY_PATH, first);
    expect(fs.call(OP.OP_FACCESSAT, second, 'f', 0)).toBe(0);
    const child = fs.fork();
    expect(child.call(OP.OP_UNSHARE, CLONE_NEWNS)).toBe(0);
    const there = new Mounts(child);
    expect([
      there.tree('', OPEN_TREE_CLONE | O.AT_EMPTY_PATH, first),
      there.put(first, '/b'),
    ]).toEqual([-E.EINVAL, 0]);
    expect(fs.check()).toEqual([]);
  });

  it('is a tree whose uncovered places stay covered when it is gone', () => {
    expect([m.put(m.made(), '/a'), fs.mkdir('/a/m'), touch('/a/m/secret')]).toEqual([0, 0, 0]);
    expect(m.put(m.made(), '/a/m')).toBe(0);
    const all = m.tree('/a', OPEN_TREE_CLONE | AT_RECURSIVE);
    const inside = fs.call(OP.OP_OPENAT, all, '.', O.O_DIRECTORY, 0);
    fs.close(all);
    expect(fs.call(OP.OP_FACCESSAT, inside, 'm/secret', 0)).toBe(-E.ENOENT);
    expect(fs.check()).toEqual([]);
    fs.close(inside);
    expect(fs.check()).toEqual([]);
  });
});

describe('mount_setattr', () => {
  const raw = (a: Attr, size: number, bytes = attrBytes(a, Math.max(size, 32))): number =>
    many(fs, OP.OP_MOUNT_SETATTR, O.AT_FDCWD, '/', 0, bytes, size);

  it('says what is wrong in order', () => {
    const low = lowly();
    expect(many(low.fs, OP.OP_MOUNT_SETATTR, -1, '/', 1, 0, 0)).toBe(-E.EINVAL);
    expect(many(low.fs, OP.OP_MOUNT_SETATTR, -1, '/', 0, 0, 31)).toBe(-E.EINVAL);
    expect(many(low.fs, OP.OP_MOUNT_SETATTR, -1, '/', 0, 0, 4097)).toBe(-E.E2BIG);
    expect(many(low.fs, OP.OP_MOUNT_SETATTR, -1, '/', 0, 0, 32)).toBe(-E.EPERM);
    expect(many(fs, OP.OP_MOUNT_SETATTR, -1, '/', 0, 0, 32)).toBe(-E.EFAULT);
    expect([raw({}, 40), raw({}, 33, new Uint8Array(33).fill(1, 32))]).toEqual([0, -E.E2BIG]);
    // nothing is asked for: the path is not looked at
    expect([m.setattr('/none', {}), m.setattr('/none', { set: 1 })]).toEqual([0, -E.ENOENT]);
    expect([m.setattr('x', { set: 1 }, 0, 99), m.setattr('/a', { set: 1 })]).toEqual([
      -E.EBADF,
      -E.EINVAL,
    ]);
  });

  it.each([
    { propagation: 1 },
    { propagation: M.MS_SHARED | M.MS_SLAVE },
    { set: 0x400000 },
    { clear: 0x400000 },
    { set: M.MOUNT_ATTR_NOATIME },
    { clear: 0x10 },
    { clear: 0x70, set: 0x30 },
    { clear: M.MOUNT_ATTR_IDMAP },
    { set: M.MOUNT_ATTR_IDMAP, userns: 0 },
    { set: M.MOUNT_ATTR_IDMAP, userns: 0x80000000 },
  ])('%j is nothing that can be', (a) => {
    expect(m.setattr('/', a)).toBe(-E.EINVAL);
  });

  it('sets and clears, for one or for all of a tree', () => {
    expect([m.put(m.made(), '/a'), fs.mkdir('/a/m'), m.put(m.made(), '/a/m')]).toEqual([0, 0, 0]);
    expect([m.setattr('/a', { set: 1 }), fs.mkdir('/a/n'), fs.mkdir('/a/m/n')]).toEqual([
      0,
      -E.EROFS,
      0,
    ]);
    expect(m.setattr('/a', { set: 1 }, AT_RECURSIVE)).toBe(0);
    expect(fs.mkdir('/a/m/o')).toBe(-E.EROFS);
    expect(m.setattr('/a', { clear: 1, propagation: M.MS_SHARED }, AT_RECURSIVE)).toBe(0);
    expect([fs.mkdir('/a/m/o'), bind('/a', '/b'), fs.mkdir('/a/n')]).toEqual([0, 0, 0]);
    expect([m.put(m.made(), '/a/n'), touch('/a/n/f'), there('/b/n/f')]).toEqual([0, 0, true]);
    expect(m.setattr('/a', { clear: 0x70, set: M.MOUNT_ATTR_NOATIME })).toBe(0);
    expect(fs.check()).toEqual([]);
  });

  it('changes all or nothing: one that is written keeps the others as they are', () => {
    expect([m.put(m.made(), '/a'), fs.mkdir('/a/m'), m.put(m.made(), '/a/m')]).toEqual([0, 0, 0]);
    const fd = fs.open('/a/m/f', O.O_CREAT | O.O_WRONLY);
    expect([m.setattr('/a', { set: 1 }, AT_RECURSIVE), fs.mkdir('/a/n')]).toEqual([-E.EBUSY, 0]);
    fs.close(fd);
    expect(m.setattr('/a', { set: 1 }, AT_RECURSIVE)).toBe(0);
  });

  it('is for a tree that is attached nowhere, too, and not for another namespace', () => {
    const at = m.made();
    expect(m.setattr('', { set: 1 }, O.AT_EMPTY_PATH, at)).toBe(0);
    expect(fs.call(OP.OP_MKDIRAT, at, 'x', 0)).toBe(-E.EROFS);
    const root = fs.open('/', O.O_PATH);
    const child = fs.fork();
    expect(child.call(OP.OP_UNSHARE, CLONE_NEWNS)).toBe(0);
    expect(new Mounts(child).setattr('', { set: 1 }, O.AT_EMPTY_PATH, root)).toBe(-E.EINVAL);
  });

  it('leaves what a more privileged namespace has fixed', () => {
    expect(m.put(m.made('tmpfs', M.MOUNT_ATTR_NOSUID), '/a')).toBe(0);
    const low = lowly();
    expect(low.fs.call(OP.OP_UNSHARE, CLONE_NEWUSER | CLONE_NEWNS)).toBe(0);
    expect([
      low.setattr('/a', { clear: M.MOUNT_ATTR_NOSUID }),
      low.setattr('/a', { set: 1 }),
    ]).toEqual([-E.EPERM, 0]);
  });

  it('maps no ids, and says so after all that is wrong with the namespace', () => {
    const { MOUNT_ATTR_IDMAP } = M;
    expect(m.setattr('/', { set: MOUNT_ATTR_IDMAP, userns: 99 })).toBe(-E.EBADF);
    const at = m.made();
    const own = fs.fork();
    expect(own.call(OP.OP_UNSHARE, CLONE_NEWUSER)).toBe(0);
    const pidfd = fs.call(OP.OP_PIDFD_OPEN, own.tid, 0);
    const PIDFD_GET_USER_NAMESPACE = 0xff09;
    const userns = fs.call(OP.OP_IOCTL, pidfd, PIDFD_GET_USER_NAMESPACE, 0);
    const asked = userns > 0 ? userns : pidfd;
    expect(m.setattr('', { set: MOUNT_ATTR_IDMAP, userns: asked }, O.AT_EMPTY_PATH, at)).toBe(
      -E.EINVAL,
    );
  });
});

describe('open_tree_attr', () => {
  const tree = (path: string, flags: number, a: Attr | number, size = 32): number =>
    many(
      fs,
      OP.OP_OPEN_TREE_ATTR,
      O.AT_FDCWD,
      path,
      flags,
      typeof a === 'number' ? a : attrBytes(a),
      size,
    );

  it('copies and changes in one', () => {
    expect([tree('/', OPEN_TREE_CLONE, 0, 32), tree('/none', OPEN_TREE_CLONE, 0, 0)]).toEqual([
      -E.EINVAL,
      -E.ENOENT,
    ]);
    expect([tree('/', OPEN_TREE_CLONE, { set: 0x400000 }), mounts()]).toEqual([-E.EINVAL, 2]);
    const fd = tree('/', OPEN_TREE_CLONE, { set: M.MOUNT_ATTR_RDONLY });
    expect([fd > 0, m.put(fd, '/a'), fs.mkdir('/a/new')]).toEqual([true, 0, -E.EROFS]);
    expect([tree('/', 0, 0, 0) > 0, fs.check()]).toEqual([true, []]);
  });
});

describe('sysfs in a user namespace', () => {
  it('is mounted where all of it is seen already', () => {
    const low = lowly();
    expect(low.fs.call(OP.OP_UNSHARE, CLONE_NEWUSER | CLONE_NEWNET | CLONE_NEWNS)).toBe(0);
    expect([low.old('none', '/a', 'sysfs'), low.old('none', '/a', 'tmpfs')]).toEqual([-E.EPERM, 0]);
    expect(m.old('none', '/proc', 'sysfs')).toBe(0);
    const now = lowly();
    expect(now.fs.call(OP.OP_UNSHARE, CLONE_NEWUSER | CLONE_NEWNET | CLONE_NEWNS)).toBe(0);
    const fd = now.open('sysfs');
    expect([now.old('none', '/a', 'sysfs'), now.create(fd), now.mount(fd) > 0]).toEqual([
      0,
      0,
      true,
    ]);
    expect(change('/proc', M.MS_REMOUNT | M.MS_BIND | M.MS_RDONLY)).toBe(0);
    const later = lowly();
    expect(later.fs.call(OP.OP_UNSHARE, CLONE_NEWUSER | CLONE_NEWNET | CLONE_NEWNS)).toBe(0);
    expect([
      later.old('none', '/a', 'sysfs'),
      later.old('none', '/a', 'sysfs', M.MS_RDONLY),
    ]).toEqual([-E.EPERM, 0]);
    expect(fs.check()).toEqual([]);
  });
});
