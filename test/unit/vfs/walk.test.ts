// Protects: a path leads where Linux would lead it: dots, links, roots, limits, who may search,
// and what openat2 forbids on the way.
import { beforeEach, describe, expect, it } from 'vitest';
import * as E from '../../../assembly/uapi/errno.ts';
import * as OP from '../../../assembly/uapi/op.ts';
import * as O from '../../../assembly/uapi/fcntl.ts';
import * as S from '../../../assembly/uapi/stat.ts';
import { Fs, type Stat } from './driver.ts';

let fs: Fs;
beforeEach(async () => {
  fs = await Fs.boot();
});

const ino = (path: string): number => (fs.stat(path) as Stat).ino;

/** /a/b/c, a file /a/f and links to all of them. */
function furnish(): void {
  for (const dir of ['/a', '/a/b', '/a/b/c']) expect(fs.mkdir(dir)).toBe(0);
  fs.close(fs.open('/a/f', O.O_CREAT | O.O_WRONLY));
  expect(fs.symlink('b/c', '/a/rel')).toBe(0);
  expect(fs.symlink('/a/b', '/a/abs')).toBe(0);
  expect(fs.symlink('../..', '/a/b/up')).toBe(0);
  expect(fs.symlink('nowhere', '/a/dangling')).toBe(0);
  expect(fs.symlink('f', '/a/file')).toBe(0);
}

describe('a walk', () => {
  beforeEach(furnish);

  it.each([
    ['/a/b/../b/./c', '/a/b/c'],
    ['//a///b//c/', '/a/b/c'],
    ['/../../a/b', '/a/b'],
    ['/a/rel', '/a/b/c'],
    ['/a/abs/c', '/a/b/c'],
    ['/a/rel/..', '/a/b'],
    ['/a/abs/up/a/rel/', '/a/b/c'],
    ['/a/b/up', '/'],
    ['/a/file', '/a/f'],
  ])('leads from %s to %s', (from, to) => {
    expect(ino(from)).toBe(ino(to));
  });

  it.each([
    ['', E.ENOENT],
    ['/a/x', E.ENOENT],
    ['/a/x/y', E.ENOENT],
    ['/a/dangling', E.ENOENT],
    ['/a/f/', E.ENOTDIR],
    ['/a/f/x', E.ENOTDIR],
    ['/a/f/.', E.ENOTDIR],
    ['/a/f/..', E.ENOTDIR],
    ['/a/file/', E.ENOTDIR],
    [`/${'n'.repeat(256)}`, E.ENAMETOOLONG],
    [`/${'n'.repeat(255)}`, E.ENOENT],
    [`/${'n'.repeat(256)}/x`, E.ENAMETOOLONG],
    [`/${'./'.repeat(2100)}`, E.ENAMETOOLONG],
  ])('of %s fails', (path, errno) => {
    expect(fs.stat(path)).toBe(-errno);
  });

  it('takes a path of 4095 bytes', () => {
    const path = `${'/.'.repeat(2046)}/a`;
    expect(`${path}/`.length).toBe(4095);
    expect(ino(`${path}/`)).toBe(ino('/a'));
    expect(fs.stat(`${path}/.`)).toBe(-E.ENAMETOOLONG);
  });

  it('follows forty links and not one more', () => {
    expect(fs.symlink('/a', '/l0')).toBe(0);
    for (let i = 1; i <= 40; ++i) expect(fs.symlink(`l${i - 1}`, `/l${i}`)).toBe(0);
    expect(ino('/l39')).toBe(ino('/a'));
    expect(fs.stat('/l40')).toBe(-E.ELOOP);
    expect(fs.stat('/l40', false)).toMatchObject({ mode: 0o120777 });
  });

  it('goes round in no circle', () => {
    fs.symlink('y', '/x');
    fs.symlink('x', '/y');
    fs.symlink('self/x', '/self');
    expect([fs.stat('/x'), fs.stat('/self'), fs.open('/x', O.O_CREAT)]).toEqual(
      Array(3).fill(-E.ELOOP),
    );
  });

  it('comes through a thousand directories', () => {
    let path = '';
    for (let i = 0; i < 1000; ++i) {
      path += '/d';
      expect(fs.mkdir(path)).toBe(0);
    }
    expect(fs.stat(path)).toMatchObject({ nlink: 2 });
    expect(fs.chdir(path)).toBe(0);
    expect(fs.getcwd()).toBe(path);
    expect(fs.check()).toEqual([]);
  });

  it('needs leave to search each directory', () => {
    fs.mkdir('/shut', 0o700);
    fs.mkdir('/shut/in', 0o777);
    const user = fs.fork();
    user.become(1000);
    expect(user.stat('/shut')).toMatchObject({ uid: 0 });
    expect([user.stat('/shut/in'), user.stat('/shut/none'), user.stat('/shut/.')]).toEqual(
      Array(3).fill(-E.EACCES),
    );
    expect(fs.stat('/shut/in')).toMatchObject({ uid: 0 });
  });

  it('begins at the directory of a descriptor', () => {
    const dir = fs.open('/a/b', O.O_DIRECTORY);
    const at = (path: string, dirfd: number): number =>
      fs.call(OP.OP_NEWFSTATAT, dirfd, path, new Uint8Array(144), 0);
    expect([at('c', dir), at('../f', dir), at('/a', 99)]).toEqual([0, 0, 0]);
    expect(at('c', 99)).toBe(-E.EBADF);
    const file = fs.open('/a/f');
    expect(at('c', file)).toBe(-E.ENOTDIR);
    expect(at('', dir)).toBe(-E.ENOENT);
    expect(fs.call(OP.OP_NEWFSTATAT, file, '', new Uint8Array(144), O.AT_EMPTY_PATH)).toBe(0);
    expect(fs.rename('/a/b', '/moved')).toBe(0);
    expect(at('../moved/c', dir)).toBe(0);
  });

  it('stays in a removed directory, where nothing is', () => {
    fs.mkdir('/gone');
    fs.chdir('/gone');
    expect(fs.rmdir('/gone')).toBe(0);
    expect([fs.getcwd(), fs.mkdir('x'), fs.open('f', O.O_CREAT)]).toEqual(Array(3).fill(-E.ENOENT));
    expect(fs.stat('.')).toMatchObject({ nlink: 0 });
    expect(fs.chdir('..')).toBe(0);
    expect(fs.getcwd()).toBe('/');
    expect(fs.check()).toEqual([]);
  });
});

describe('the root directory', () => {
  beforeEach(furnish);

  it('is what chroot says', () => {
    const child = fs.fork();
    expect(child.call(OP.OP_CHROOT, '/a')).toBe(0);
    expect([child.ls('/'), child.getcwd()]).toEqual([fs.ls('/a'), '(unreachable)/']);
    expect(child.chdir('/')).toBe(0);
    expect([child.getcwd(), child.chdir('../../..'), child.getcwd()]).toEqual(['/', 0, '/']);
    // /a/b as seen from within: there is no /a
    expect(child.stat('/abs')).toBe(-E.ENOENT);
    expect(child.stat('/rel')).toMatchObject({ nlink: 2 });
    expect(fs.getcwd()).toBe('/');
  });

  it('is not left by those who chroot, unless their working directory is outside', () => {
    const child = fs.fork();
    expect(child.call(OP.OP_CHROOT, '/a/b')).toBe(0);
    expect([child.chdir('../../../../a'), child.getcwd()]).toEqual([0, '(unreachable)/a']);
    expect([child.chdir('/'), child.chdir('../../a'), child.getcwd()]).toEqual([0, -E.ENOENT, '/']);
  });

  it.each([
    ['/a/x', E.ENOENT],
    ['/a/f', E.ENOTDIR],
  ])('is not %s', (path, errno) => {
    expect(fs.call(OP.OP_CHROOT, path)).toBe(-errno);
  });

  it('is changed by the privileged', () => {
    const user = fs.fork();
    user.become(1000);
    expect(user.call(OP.OP_CHROOT, '/a')).toBe(-E.EPERM);
    expect(fs.chmod('/a/b', 0o700)).toBe(0);
    expect(user.call(OP.OP_CHROOT, '/a/b')).toBe(-E.EACCES);
  });
});

describe('links in sticky directories', () => {
  it('lead only those who own them, or where their owner owns the directory', () => {
    fs.mkdir('/tmp');
    fs.chmod('/tmp', 0o1777);
    fs.close(fs.open('/target', O.O_CREAT, 0o644));
    const user = fs.fork();
    user.become(1000);
    user.symlink('/target', '/tmp/theirs');
    fs.symlink('/target', '/tmp/roots');
    expect(user.open('/tmp/theirs')).toBeGreaterThan(0);
    expect(user.open('/tmp/roots')).toBeGreaterThan(0);
    expect(fs.open('/tmp/theirs')).toBe(-E.EACCES);
    expect(fs.readlink('/tmp/theirs')).toBe('/target');
  });
});

describe('openat2', () => {
  let dir: number;
  beforeEach(() => {
    furnish();
    dir = fs.open('/a/b', O.O_DIRECTORY);
    fs.symlink('c', '/a/b/in');
    fs.symlink('../f', '/a/b/out');
    fs.symlink('/c', '/a/b/root');
  });
  const open = (path: string, resolve: number): number => {
    const fd = fs.openat2(path, O.O_PATH, resolve, dir);
    if (fd < 0) return fd;
    const stat = fs.fstat(fd) as Stat;
    fs.close(fd);
    return stat.ino;
  };

  it.each([
    ['c', S.RESOLVE_BENEATH, '/a/b/c'],
    ['c/..', S.RESOLVE_BENEATH, '/a/b'],
    ['in', S.RESOLVE_BENEATH, '/a/b/c'],
    ['../b', S.RESOLVE_IN_ROOT, E.ENOENT],
    ['..', S.RESOLVE_IN_ROOT, '/a/b'],
    ['/c', S.RESOLVE_IN_ROOT, '/a/b/c'],
    ['root', S.RESOLVE_IN_ROOT, '/a/b/c'],
    ['out', S.RESOLVE_IN_ROOT, E.ENOENT],
    ['..', S.RESOLVE_BENEATH, E.EXDEV],
    ['c/../..', S.RESOLVE_BENEATH, E.EXDEV],
    ['/a', S.RESOLVE_BENEATH, E.EXDEV],
    ['out', S.RESOLVE_BENEATH, E.EXDEV],
    ['root', S.RESOLVE_BENEATH, E.EXDEV],
    ['in', S.RESOLVE_NO_SYMLINKS, E.ELOOP],
    ['in/.', S.RESOLVE_NO_SYMLINKS, E.ELOOP],
    ['c', S.RESOLVE_NO_SYMLINKS, '/a/b/c'],
    ['../f', S.RESOLVE_NO_XDEV, '/a/f'],
    ['in', S.RESOLVE_NO_MAGICLINKS | S.RESOLVE_CACHED, '/a/b/c'],
  ])('of %s with resolve %i leads to %s', (path, resolve, to) => {
    expect(open(path, resolve)).toBe(typeof to === 'string' ? ino(to) : -to);
  });

  it('refuses what it does not know', () => {
    const how = (flags: bigint, mode: bigint, resolve: bigint, size = 24, more = 0): number => {
      const bytes = Buffer.alloc(32);
      [flags, mode, resolve].forEach((v, i) => bytes.writeBigUInt64LE(v, i * 8));
      bytes[24] = more;
      return fs.call(OP.OP_OPENAT2, dir, 'c', new Uint8Array(bytes), size);
    };
    const refused = [
      how(0n, 0n, 64n),
      how(0n, 0o644n, 0n),
      how(1n << 32n, 0n, 0n),
      how(BigInt(O.O_PATH | O.O_RDWR), 0n, 0n),
      how(BigInt(O.O_CREAT), 0o10000n, 0n),
      how(0n, 0n, BigInt(S.RESOLVE_BENEATH | S.RESOLVE_IN_ROOT)),
      how(0n, 0n, 0n, 23),
    ];
    expect(refused).toEqual(refused.map(() => -E.EINVAL));
    expect([how(0n, 0n, 0n, 32, 1), how(0n, 0n, 0n, 4097)]).toEqual([-E.E2BIG, -E.E2BIG]);
    expect(how(0n, 0n, 0n, 32)).toBeGreaterThan(0);
    expect(how(BigInt(O.O_CREAT), 0n, BigInt(S.RESOLVE_CACHED))).toBe(-E.EAGAIN);
  });
});
