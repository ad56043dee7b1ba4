// Protects: names are made, moved and taken away by Linux's rules, errno by errno in the order of
// the checks; what is counted (links, inodes) stays right.
import { beforeEach, describe, expect, it } from 'vitest';
import * as E from '../../../assembly/uapi/errno.ts';
import * as OP from '../../../assembly/uapi/op.ts';
import { AT_EMPTY_PATH, AT_FDCWD, O_CREAT, O_DIRECTORY } from '../../../assembly/uapi/fcntl.ts';
import * as O from '../../../assembly/uapi/fcntl.ts';
import * as S from '../../../assembly/uapi/stat.ts';
import { Fs, type Stat } from './driver.ts';

let fs: Fs;
let user: Fs;
beforeEach(async () => {
  fs = await Fs.boot();
  for (const dir of ['/d', '/d/e', '/open']) expect(fs.mkdir(dir)).toBe(0);
  fs.close(fs.open('/d/f', O_CREAT));
  fs.symlink('f', '/d/l');
  fs.chmod('/open', 0o1777);
  user = fs.fork();
  user.become(1000);
});

const nlink = (path: string): number => (fs.stat(path, false) as Stat).nlink;

describe('mkdir', () => {
  it.each([
    ['/d/x', 0],
    ['/d/x///', 0],
    ['/d/f', E.EEXIST],
    ['/d/l', E.EEXIST],
    ['/', E.EEXIST],
    ['/d/.', E.EEXIST],
    ['/d/..', E.EEXIST],
    ['/none/x', E.ENOENT],
    ['/d/f/x', E.ENOTDIR],
    ['', E.ENOENT],
    [`/d/${'x'.repeat(256)}`, E.ENAMETOOLONG],
  ])('%s', (path, errno) => {
    expect(fs.mkdir(path)).toBe(0 - errno);
    expect(fs.check()).toEqual([]);
  });

  it('counts links, and applies the umask', () => {
    expect(nlink('/d')).toBe(3);
    fs.call(OP.OP_UMASK, 0o027);
    fs.mkdir('/d/x', 0o7777);
    expect(fs.stat('/d/x')).toMatchObject({ nlink: 2, mode: 0o41750 });
    expect(nlink('/d')).toBe(4);
  });

  it('needs a directory that may be written', () => {
    expect([user.mkdir('/x'), user.mkdir('/d/e/x'), user.mkdir('/d/f')]).toEqual([
      -E.EACCES,
      -E.EACCES,
      -E.EEXIST,
    ]);
    expect(user.mkdir('/open/x')).toBe(0);
    expect(fs.stat('/open/x')).toMatchObject({ uid: 1000, gid: 1000 });
  });

  it('hands on the group of a directory that says so', () => {
    fs.chown('/open', 0, 77);
    fs.chmod('/open', 0o2777);
    user.mkdir('/open/x');
    user.close(user.open('/open/y', O_CREAT));
    expect(fs.stat('/open/x')).toMatchObject({ uid: 1000, gid: 77, mode: 0o42755 });
    expect(fs.stat('/open/y')).toMatchObject({ uid: 1000, gid: 77, mode: 0o100644 });
  });
});

describe('mknod', () => {
  it.each([
    [S.S_IFREG, 0],
    [0, 0],
    [S.S_IFIFO, 0],
    [S.S_IFSOCK, 0],
    [O.S_IFCHR, 0],
    [O.S_IFBLK, 0],
    [S.S_IFDIR, E.EPERM],
    [S.S_IFLNK, E.EINVAL],
    [0x1000 | 0x2000, E.EINVAL],
  ])('of type %i', (type, errno) => {
    expect(fs.mknod('/d/x', type | 0o666, 0x103)).toBe(0 - errno);
    if (errno) return;
    const rdev = type === O.S_IFCHR || type === O.S_IFBLK ? 0x103 : 0;
    const mode = (type || S.S_IFREG) | 0o644;
    expect(fs.stat('/d/x')).toMatchObject({ mode, rdev });
    expect(fs.check()).toEqual([]);
  });

  it('of a device needs the capability', () => {
    expect(user.mknod('/open/x', O.S_IFCHR | 0o666, 0x103)).toBe(-E.EPERM);
    expect(user.mknod('/open/x', S.S_IFIFO | 0o666)).toBe(0);
    // a name that is taken is found first
    expect(user.mknod('/open/x', O.S_IFCHR | 0o666, 0x103)).toBe(-E.EEXIST);
  });

  it('takes no slash behind the name', () => {
    expect(fs.mknod('/d/x/', S.S_IFREG)).toBe(-E.ENOENT);
    expect(fs.mknod('/d/e/', S.S_IFREG)).toBe(-E.EEXIST);
  });
});

describe('unlink and rmdir', () => {
  it.each([
    ['/d/f', 0],
    ['/d/l', 0],
    ['/d/e', E.EISDIR],
    ['/', E.EISDIR],
    ['/d/.', E.EISDIR],
    ['/d/f/', E.ENOTDIR],
    ['/d/e/', E.EISDIR],
    ['/d/x', E.ENOENT],
    ['/d/x/', E.ENOENT],
  ])('unlink %s', (path, errno) => {
    expect(fs.unlink(path)).toBe(0 - errno);
    expect(fs.check()).toEqual([]);
  });

  it.each([
    ['/d/e', 0],
    ['/d/e/', 0],
    ['/d', E.ENOTEMPTY],
    ['/d/f', E.ENOTDIR],
    ['/d/l', E.ENOTDIR],
    ['/d/x', E.ENOENT],
    ['/', E.EBUSY],
    ['/d/e/.', E.EINVAL],
    ['/d/e/..', E.ENOTEMPTY],
  ])('rmdir %s', (path, errno) => {
    expect(fs.rmdir(path)).toBe(0 - errno);
    expect(fs.check()).toEqual([]);
  });

  it('in a sticky directory are for owners', () => {
    fs.close(fs.open('/open/roots', O_CREAT));
    fs.mkdir('/open/dir');
    user.mkdir('/open/own');
    expect([user.unlink('/open/roots'), user.rmdir('/open/dir')]).toEqual([-E.EPERM, -E.EPERM]);
    expect([user.rename('/open/roots', '/open/x'), user.rmdir('/open/own')]).toEqual([-E.EPERM, 0]);
    expect(user.unlink('/d/f')).toBe(-E.EACCES);
  });

  it('are one call with a flag', () => {
    const at = (path: string, flags: number): number =>
      fs.call(OP.OP_UNLINKAT, AT_FDCWD, path, flags);
    expect([at('/d/f', 1), at('/d/f', S.AT_REMOVEDIR), at('/d/e', S.AT_REMOVEDIR)]).toEqual([
      -E.EINVAL,
      -E.ENOTDIR,
      0,
    ]);
  });

  it('leave an open file what it is', () => {
    const fd = fs.open('/d/f', O.O_RDWR);
    fs.write(fd, 'still here');
    expect(fs.unlink('/d/f')).toBe(0);
    fs.call(OP.OP_LSEEK, fd, 0, 0);
    expect(fs.read(fd, 20)).toBe('still here');
    expect(fs.fstat(fd)).toMatchObject({ nlink: 0, size: 10 });
    const { vfsInodes } = fs.k.counts();
    fs.close(fd);
    expect(fs.k.counts().vfsInodes).toBe(vfsInodes - 1);
    expect(fs.check()).toEqual([]);
  });
});

describe('link', () => {
  it.each([
    ['/d/f', '/d/x', 0],
    ['/d/l', '/d/x', 0],
    ['/d/f', '/d/l', E.EEXIST],
    ['/d/f', '/d/x/', E.ENOENT],
    ['/d/e', '/d/x', E.EPERM],
    ['/d/x', '/d/y', E.ENOENT],
    ['/d/f', '/none/y', E.ENOENT],
  ])('%s as %s', (from, to, errno) => {
    expect(fs.link(from, to)).toBe(0 - errno);
    expect(fs.check()).toEqual([]);
    if (!errno) expect(nlink(from)).toBe(2);
  });

  it('of a link is another link, unless it is to be followed', () => {
    fs.link('/d/l', '/d/x');
    expect(fs.readlink('/d/x')).toBe('f');
    const at = (flags: number): number =>
      fs.call(OP.OP_LINKAT, AT_FDCWD, '/d/l', AT_FDCWD, '/d/y', flags);
    expect([at(1), at(S.AT_SYMLINK_FOLLOW)]).toEqual([-E.EINVAL, 0]);
    expect(fs.readlink('/d/y')).toBe(-E.EINVAL);
  });

  it('gives a file without a name one', () => {
    const fd = fs.open('/d', O.O_TMPFILE | O.O_RDWR, 0o600);
    fs.write(fd, 'x');
    expect(fs.fstat(fd)).toMatchObject({ nlink: 0, mode: 0o100600 });
    const name = (of: number, to: string): number =>
      fs.call(OP.OP_LINKAT, of, '', AT_FDCWD, to, AT_EMPTY_PATH);
    expect(name(fd, '/d/t')).toBe(0);
    expect(fs.stat('/d/t')).toMatchObject({ nlink: 1, size: 1 });
    const never = fs.open('/d', O.O_TMPFILE | O.O_EXCL | O.O_RDWR, 0o600);
    expect(name(never, '/d/u')).toBe(-E.ENOENT);
    expect(fs.check()).toEqual([]);
  });

  it('is for what one might have written', () => {
    expect(user.link('/d/f', '/open/x')).toBe(-E.EPERM);
    fs.chmod('/d/f', 0o666);
    expect(user.link('/d/f', '/open/x')).toBe(0);
  });
});

describe('symlink', () => {
  it.each([
    ['text', '/d/x', 0],
    ['', '/d/x', E.ENOENT],
    ['t', '/d/f', E.EEXIST],
    ['t', '/d/x/', E.ENOENT],
    ['t'.repeat(4095), '/d/x', 0],
    ['t'.repeat(4096), '/d/x', E.ENAMETOOLONG],
  ])('%s', (text, path, errno) => {
    expect(fs.symlink(text, path)).toBe(0 - errno);
    if (!errno) expect(fs.readlink(path)).toBe(text);
    expect(fs.check()).toEqual([]);
  });

  it('is read as far as there is room', () => {
    fs.symlink('a text', '/d/x');
    const read = (path: string, size: number): number =>
      fs.call(OP.OP_READLINK, path, new Uint8Array(16), size);
    expect([read('/d/x', 3), read('/d/x', 16), read('/d/x', 0), read('/d/f', 9)]).toEqual([
      3,
      6,
      -E.EINVAL,
      -E.EINVAL,
    ]);
  });
});

describe('rename', () => {
  beforeEach(() => {
    fs.mkdir('/d/e/sub');
    fs.mkdir('/empty');
    fs.close(fs.open('/g', O_CREAT));
  });

  it.each([
    ['/d/f', '/x', 0],
    ['/d/f', '/g', 0],
    ['/d/e', '/x', 0],
    ['/d/e', '/x/', 0],
    ['/d/e', '/empty', 0],
    ['/d/f', '/d/f', 0],
    ['/d/l', '/d/ll', 0],
    ['/d/x', '/x', E.ENOENT],
    ['/d/f', '/none/x', E.ENOENT],
    ['/d/f', '/x/', E.ENOTDIR],
    ['/d/f/', '/x', E.ENOTDIR],
    ['/d/f', '/empty', E.EISDIR],
    ['/d/e', '/g', E.ENOTDIR],
    ['/d/e', '/d', E.ENOTEMPTY],
    ['/empty', '/d', E.ENOTEMPTY],
    ['/d', '/d/e/x', E.EINVAL],
    ['/d', '/d/e', E.EINVAL],
    ['/d', '/d/d', E.EINVAL],
    ['/', '/x', E.EBUSY],
    ['/d/.', '/x', E.EBUSY],
    ['/d/f', '/d/..', E.EBUSY],
  ])('%s to %s', (from, to, errno) => {
    expect(fs.rename(from, to)).toBe(0 - errno);
    expect(fs.check()).toEqual([]);
    if (errno || from === to) return;
    expect(fs.stat(from, false)).toBe(-E.ENOENT);
    expect(typeof fs.stat(to, false)).toBe('object');
  });

  it('of two names of one file does nothing', () => {
    fs.link('/d/f', '/d/ff');
    expect(fs.rename('/d/f', '/d/ff')).toBe(0);
    expect(nlink('/d/f')).toBe(2);
  });

  it('knows its flags', () => {
    const { RENAME_EXCHANGE, RENAME_NOREPLACE, RENAME_WHITEOUT } = S;
    expect(fs.rename('/d/f', '/g', RENAME_NOREPLACE)).toBe(-E.EEXIST);
    expect(fs.rename('/d/f', '/d/.', RENAME_NOREPLACE)).toBe(-E.EEXIST);
    expect(fs.rename('/d/f', '/x', 8)).toBe(-E.EINVAL);
    expect(fs.rename('/d/f', '/g', RENAME_EXCHANGE | RENAME_NOREPLACE)).toBe(-E.EINVAL);
    expect(fs.rename('/d/f', '/x', RENAME_EXCHANGE)).toBe(-E.ENOENT);
    expect(fs.rename('/d', '/d/e', RENAME_EXCHANGE)).toBe(-E.EINVAL);
    expect(fs.rename('/d/e', '/d', RENAME_EXCHANGE)).toBe(-E.EINVAL);
    expect(fs.rename('/d/e', '/g', RENAME_EXCHANGE)).toBe(0);
    expect(fs.stat('/g')).toMatchObject({ mode: 0o40755 });
    expect(fs.stat('/d/e')).toMatchObject({ mode: 0o100644 });
    expect(fs.rename('/d/f', '/x', RENAME_WHITEOUT)).toBe(0);
    expect(fs.stat('/d/f')).toMatchObject({ mode: O.S_IFCHR, rdev: 0 });
    expect(fs.check()).toEqual([]);
  });

  it('moves what `..` of a directory is', () => {
    const dir = fs.open('/d/e/sub', O_DIRECTORY);
    const before = nlink('/');
    expect(fs.rename('/d/e', '/x')).toBe(0);
    fs.call(OP.OP_FCHDIR, dir);
    expect([fs.getcwd(), nlink('/d'), nlink('/')]).toEqual(['/x/sub', 2, before + 1]);
  });

  it('needs leave in both directories', () => {
    expect(user.rename('/d/f', '/open/x')).toBe(-E.EACCES);
    user.mkdir('/open/own');
    expect(user.rename('/open/own', '/d/x')).toBe(-E.EACCES);
    user.close(user.open('/open/own/f', O_CREAT));
    expect(user.rename('/open/own/f', '/open/f')).toBe(0);
  });
});

describe('getdents', () => {
  it('shows each name once, whatever happens meanwhile', () => {
    for (let i = 0; i < 300; ++i) fs.close(fs.open(`/d/e/${i}`, O_CREAT));
    const fd = fs.open('/d/e', O_DIRECTORY);
    const seen: string[] = [];
    for (let round = 0; ; ++round) {
      const n = fs.call(OP.OP_GETDENTS64, fd, new Uint8Array(256), 256);
      if (n === 0) break;
      const b = Buffer.from(fs.out.subarray(0, n));
      for (let at = 0; at < n; at += b.readUInt16LE(at + 16)) {
        seen.push(b.subarray(at + 19, b.indexOf(0, at + 19)).toString());
      }
      fs.unlink(`/d/e/${round}`);
      fs.close(fs.open(`/d/e/late${round % 3}`, O_CREAT));
    }
    expect(new Set(seen).size).toBe(seen.length);
    expect(seen.filter((name) => /^\d+$/.test(name)).length).toBeGreaterThan(270);
    expect(fs.call(OP.OP_GETDENTS64, fd, new Uint8Array(8), 8)).toBe(0);
    fs.call(OP.OP_LSEEK, fd, 0, 0);
    expect(fs.call(OP.OP_GETDENTS64, fd, new Uint8Array(8), 8)).toBe(-E.EINVAL);
    expect(fs.call(OP.OP_GETDENTS64, 99, new Uint8Array(8), 8)).toBe(-E.EBADF);
    expect(fs.call(OP.OP_GETDENTS64, fs.open('/d/f'), new Uint8Array(8), 8)).toBe(-E.ENOTDIR);
  });
});

describe('limits', () => {
  it('of inodes are ENOSPC', async () => {
    const small = await Fs.boot({ fsInodesMax: 13 });
    expect([small.mkdir('/a'), small.mkdir('/b'), small.mkdir('/c')]).toEqual([0, 0, -E.ENOSPC]);
    expect(small.open('/f', O_CREAT)).toBe(-E.ENOSPC);
    expect(small.symlink('t', '/l')).toBe(-E.ENOSPC);
    expect([small.rmdir('/a'), small.symlink('t', '/l')]).toEqual([0, 0]);
    expect(small.check()).toEqual([]);
  });
});
