// Protects: a container's descriptor is a root, not only a beginning (D-28): nothing leads out of
// it; an empty mount namespace is empty (D-6); who enters stands at the container's root.
import { beforeEach, describe, expect, it } from 'vitest';
import * as U from '../../../assembly/uapi/container.ts';
import * as E from '../../../assembly/uapi/errno.ts';
import * as O from '../../../assembly/uapi/fcntl.ts';
import * as OP from '../../../assembly/uapi/op.ts';
import * as S from '../../../assembly/uapi/stat.ts';
import { Fs, type Stat } from './driver.ts';

let fs: Fs;
/** descriptor of a container whose root is /box */
let box: number;
beforeEach(async () => {
  fs = await Fs.boot();
  for (const dir of ['/box', '/box/in', '/out']) expect(fs.mkdir(dir)).toBe(0);
  fs.close(fs.open('/out/secret', O.O_CREAT));
  fs.symlink('/out/secret', '/box/abs');
  fs.symlink('../out/secret', '/box/rel');
  fs.symlink('/in', '/box/inside');
  const maker = fs.fork();
  expect(maker.call(OP.OP_CHROOT, '/box')).toBe(0);
  expect(maker.chdir('/')).toBe(0);
  const made = maker.call(OP.OP_CONTAINER_CREATE, 'box', U.CONTAINER_NEW_FS_NS);
  const pidfd = fs.call(OP.OP_PIDFD_OPEN, maker.tid, 0);
  box = fs.call(OP.OP_PIDFD_GETFD, pidfd, made, 0);
  expect(box).toBeGreaterThan(0);
});

const at = (path: string): number => fs.call(OP.OP_NEWFSTATAT, box, path, new Uint8Array(144), 0);

describe("a container's descriptor", () => {
  it.each([
    ['in', 0],
    ['/in', 0],
    ['../in', 0],
    ['in/../../../../in', 0],
    ['inside', 0],
    ['/', 0],
    ['abs', E.ENOENT],
    ['rel', E.ENOENT],
    ['../out/secret', E.ENOENT],
    ['/out/secret', E.ENOENT],
    ['in/../../out/secret', E.ENOENT],
    ['', E.EINVAL],
  ])('leads at %s nowhere outside', (path, errno) => {
    const r = at(path);
    expect(path === '' ? (r < 0 ? -errno : r) : r).toBe(0 - errno);
  });

  // spec: D-28; openat mkdirat mknodat with a container as dirfd
  it('confines every call with a directory', () => {
    const { OP_MKDIRAT, OP_UNLINKAT, OP_OPENAT, OP_SYMLINKAT, OP_LINKAT, OP_RENAMEAT2 } = OP;
    expect(fs.call(OP_MKDIRAT, box, '../../made', 0o755)).toBe(0);
    expect(fs.stat('/box/made')).toMatchObject({ mode: 0o40755 });
    expect(fs.call(OP_OPENAT, box, '/../file', O.O_CREAT, 0o644)).toBeGreaterThan(0);
    expect(fs.stat('/box/file')).toMatchObject({ mode: 0o100644 });
    expect(fs.call(OP_SYMLINKAT, '/out', box, '/../link')).toBe(0);
    expect(fs.readlink('/box/link')).toBe('/out');
    expect(fs.call(OP_OPENAT, box, 'link/secret', 0, 0)).toBe(-E.ENOENT);
    expect(fs.call(OP_LINKAT, box, '../file', box, '../../file2', 0)).toBe(0);
    expect(fs.call(OP_RENAMEAT2, box, '/file2', box, '../in/file3', 0)).toBe(0);
    expect(fs.call(OP_UNLINKAT, box, '/../in/file3', 0)).toBe(0);
    expect(fs.call(OP.OP_MKNODAT, box, '../p', S.S_IFIFO | 0o600, 0)).toBe(0);
    expect((fs.stat('/box/p') as Stat).mode).toBe(0o10600);
    expect(fs.call(OP.OP_READLINKAT, box, '/../abs', new Uint8Array(20), 20)).toBe(11);
    expect(fs.call(OP.OP_FCHOWNAT, box, '/../abs', 1, 1, 0)).toBe(-E.ENOENT);
    expect(fs.call(OP.OP_FACCESSAT, box, 'rel', 0)).toBe(-E.ENOENT);
    expect(fs.call(OP.OP_FCHMODAT, box, '../../in', 0o700)).toBe(0);
    expect(fs.openat2('../out', 0, S.RESOLVE_NO_XDEV, box)).toBe(-E.ENOENT);
    expect(fs.check()).toEqual([]);
  });

  it('is for its maker and the privileged', () => {
    const user = fs.fork();
    user.become(1000);
    expect(user.call(OP.OP_MKDIRAT, box, 'x', 0)).toBe(-E.EPERM);
  });

  it('gives who enters its root', () => {
    const inside = fs.as(fs.call(OP.OP_FORK_INTO_CONTAINER, box));
    expect([inside.getcwd(), inside.ls('/..'), inside.stat('/out')]).toEqual([
      '/',
      fs.ls('/box'),
      -E.ENOENT,
    ]);
    expect([inside.open('/abs'), inside.open('/rel'), inside.chdir('../../out')]).toEqual(
      Array(3).fill(-E.ENOENT),
    );
    expect(fs.check()).toEqual([]);
  });
});

describe('an empty mount namespace', () => {
  it('has nothing in it, whatever its maker sees', () => {
    const fd = fs.call(OP.OP_CONTAINER_CREATE, 'empty', U.CONTAINER_NEW_EMPTY_FS_NS);
    expect(fd).toBeGreaterThan(0);
    expect(fs.call(OP.OP_OPENAT, fd, '/', O.O_PATH, 0)).toBe(-E.ENOENT);
    expect(fs.call(OP.OP_MKDIRAT, fd, 'x', 0o755)).toBe(-E.ENOENT);
    expect(fs.call(OP.OP_FORK_INTO_CONTAINER, fd)).toBe(-E.ENOENT);
    expect(fs.check()).toEqual([]);
  });
});
