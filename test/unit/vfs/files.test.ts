// Protects: open, read, write and what an inode says of itself, as Linux has them: flags and their
// exclusions, offsets and holes, fifos that wait for a partner, owners, modes, times.
import { beforeEach, describe, expect, it } from 'vitest';
import * as E from '../../../assembly/uapi/errno.ts';
import * as O from '../../../assembly/uapi/fcntl.ts';
import * as OP from '../../../assembly/uapi/op.ts';
import * as S from '../../../assembly/uapi/stat.ts';
import { Fs, SLEEPS, type Stat } from './driver.ts';

let fs: Fs;
let user: Fs;
beforeEach(async () => {
  fs = await Fs.boot({ clockNs: 5_000_000_000n });
  fs.mkdir('/d');
  fs.close(fs.open('/f', O.O_CREAT, 0o640));
  fs.symlink('f', '/l');
  fs.symlink('new', '/dangling');
  user = fs.fork();
  user.become(1000);
});

const size = (path: string): number => (fs.stat(path) as Stat).size;
const mode = (path: string): number => (fs.stat(path) as Stat).mode & 0o7777;

describe('open', () => {
  it.each([
    ['/f', O.O_RDWR, 0],
    ['/l', O.O_RDWR, 0],
    ['/l', O.O_NOFOLLOW, E.ELOOP],
    ['/l', O.O_NOFOLLOW | O.O_PATH, 0],
    ['/l', O.O_CREAT | O.O_EXCL, E.EEXIST],
    ['/dangling', O.O_RDONLY, E.ENOENT],
    ['/dangling', O.O_CREAT, 0],
    ['/dangling', O.O_CREAT | O.O_EXCL, E.EEXIST],
    ['/f', O.O_CREAT | O.O_EXCL, E.EEXIST],
    ['/x', O.O_CREAT | O.O_EXCL, 0],
    ['/x/', O.O_CREAT, E.EISDIR],
    ['/f/', O.O_CREAT, E.EISDIR],
    ['/f/', 0, E.ENOTDIR],
    ['/f', O.O_DIRECTORY, E.ENOTDIR],
    ['/l', O.O_DIRECTORY | O.O_NOFOLLOW, E.ENOTDIR],
    ['/d', 0, 0],
    ['/d', O.O_DIRECTORY, 0],
    ['/d', O.O_WRONLY, E.EISDIR],
    ['/d', O.O_TRUNC, E.EISDIR],
    ['/d', O.O_CREAT, E.EISDIR],
    ['/', O.O_CREAT, E.EISDIR],
    ['/d/.', O.O_CREAT | O.O_EXCL, E.EEXIST],
    ['/x', O.O_CREAT | O.O_DIRECTORY, E.EINVAL],
    ['/d', O.O_TMPFILE | O.O_RDWR, 0],
    ['/d', O.O_TMPFILE, E.EINVAL],
    ['/f', O.O_TMPFILE | O.O_RDWR, E.ENOTDIR],
    ['', O.O_RDONLY, E.ENOENT],
  ])('%s with flags %i', (path, flags, errno) => {
    const fd = fs.open(path, flags);
    expect(errno ? fd : Math.min(fd, 3)).toBe(errno ? -errno : 3);
    expect(fs.check()).toEqual([]);
    if (fd >= 0) fs.close(fd);
    expect(fs.check()).toEqual([]);
  });

  it('of what nobody drives fails', () => {
    expect(fs.mknod('/s', S.S_IFSOCK)).toBe(0);
    expect(fs.mknod('/blk', O.S_IFBLK, 0x800)).toBe(0);
    expect([fs.open('/s'), fs.open('/blk'), fs.open('/dev/tty')]).toEqual(Array(3).fill(-E.ENXIO));
    expect(fs.open('/s', O.O_PATH)).toBeGreaterThan(0);
  });

  it('asks for permission, but not of who makes the file', () => {
    expect([user.open('/f'), user.open('/f', O.O_WRONLY), user.open('/x', O.O_CREAT)]).toEqual(
      Array(3).fill(-E.EACCES),
    );
    expect(user.open('/tmp/own', O.O_CREAT | O.O_RDWR, 0)).toBeGreaterThan(0);
    expect(user.open('/tmp/own')).toBe(-E.EACCES);
    expect(fs.open('/tmp/own', O.O_RDWR)).toBeGreaterThan(0);
    // not O_CREAT: somebody else's file in a directory of all
    expect(fs.open('/tmp/own', O.O_RDWR | O.O_CREAT)).toBe(-E.EACCES);
    fs.chmod('/f', 0o644);
    expect(user.open('/f', O.O_NOATIME)).toBe(-E.EPERM);
  });

  it('takes the lowest descriptor before it walks', async () => {
    const small = await Fs.boot({ nofile: 3 });
    expect(small.open('/none', O.O_CREAT)).toBe(-E.EMFILE);
    expect(small.stat('/none')).toBe(-E.ENOENT);
  });

  it('with O_PATH is a place and no more', () => {
    const fd = fs.open('/f', O.O_PATH);
    expect(fs.call(OP.OP_READ, fd, new Uint8Array(1), 1)).toBe(-E.EBADF);
    expect(fs.call(OP.OP_FCHMOD, fd, 0)).toBe(-E.EBADF);
    expect(fs.call(OP.OP_FCHOWN, fd, 0, 0)).toBe(-E.EBADF);
    expect(fs.fstat(fd)).toMatchObject({ mode: 0o100640 });
    const link = fs.open('/l', O.O_PATH | O.O_NOFOLLOW);
    const read = fs.call(OP.OP_READLINKAT, link, '', new Uint8Array(9), 9);
    expect([read, fs.out[0]]).toEqual([1, 0x66]);
  });
});

describe('reading and writing', () => {
  it('has one offset for each open file', () => {
    const fd = fs.open('/f', O.O_RDWR);
    const other = fs.open('/f', O.O_RDWR);
    expect([fs.write(fd, 'hello '), fs.write(fd, 'world'), fs.read(other, 5)]).toEqual([
      6,
      5,
      'hello',
    ]);
    expect([fs.read(other, 99), fs.read(other, 99)]).toEqual([' world', '']);
    expect(fs.call(OP.OP_LSEEK, fd, -5, O.SEEK_END)).toBe(6);
    expect(fs.read(fd, 99)).toBe('world');
    const append = fs.open('/f', O.O_WRONLY | O.O_APPEND);
    expect([fs.write(append, '!'), size('/f')]).toEqual([1, 12]);
    expect(fs.call(OP.OP_READ, append, new Uint8Array(1), 1)).toBe(-E.EBADF);
    expect(fs.write(fs.open('/f'), 'x')).toBe(-E.EBADF);
  });

  it('leaves holes, which read as zeros and take no room', () => {
    const fd = fs.open('/f', O.O_RDWR);
    expect(fs.call(OP.OP_LSEEK, fd, 10_000, O.SEEK_SET)).toBe(10_000);
    expect([fs.write(fd, 'x'), size('/f')]).toEqual([1, 10_001]);
    fs.call(OP.OP_LSEEK, fd, 0, O.SEEK_SET);
    expect(fs.read(fd, 20_000)).toBe(`${'\0'.repeat(10_000)}x`);
    const seek = (from: number, whence: number): number => fs.call(OP.OP_LSEEK, fd, from, whence);
    expect([seek(0, O.SEEK_DATA), seek(0, O.SEEK_HOLE), seek(9000, O.SEEK_HOLE)]).toEqual([
      8192, 0, 10_001,
    ]);
    expect([seek(10_001, O.SEEK_DATA), seek(-1, O.SEEK_SET), seek(0, 5)]).toEqual([
      -E.ENXIO,
      -E.EINVAL,
      -E.EINVAL,
    ]);
    expect(fs.call(OP.OP_FALLOCATE, fd, 3, 8192, 4096)).toBe(0);
    expect([seek(0, O.SEEK_DATA), fs.check()]).toEqual([-E.ENXIO, []]);
  });

  it('at an offset leaves the offset alone', () => {
    const fd = fs.open('/f', O.O_RDWR);
    const at = (op: number, text: string, pos: number): number =>
      fs.call(op, fd, new Uint8Array(Buffer.from(text)), text.length, pos);
    expect([at(OP.OP_PWRITE, 'abc', 5), at(OP.OP_PREAD, '....', 4)]).toEqual([3, 4]);
    expect(Buffer.from(fs.out).toString()).toBe('\0abc');
    expect([at(OP.OP_PREAD, '.', -1), fs.read(fd, 1)]).toEqual([-E.EINVAL, '\0']);
  });

  it('ends where the file system is full', async () => {
    fs = await Fs.boot({ fsPagesMax: 2 });
    const fd = fs.open('/f', O.O_CREAT | O.O_RDWR);
    expect(fs.write(fd, 'x'.repeat(10_000))).toBe(8192);
    expect([fs.write(fd, 'x'), fs.call(OP.OP_FTRUNCATE, fd, 4096)]).toEqual([-E.ENOSPC, 0]);
    fs.call(OP.OP_LSEEK, fd, 0, O.SEEK_END);
    expect([fs.write(fd, 'x'), size('/f'), fs.check()]).toEqual([1, 4097, []]);
  });

  it('ends at RLIMIT_FSIZE, with a signal', () => {
    const limit = new Uint8Array(new BigUint64Array([10n, 10n]).buffer);
    expect(fs.call(OP.OP_PRLIMIT64, 0, 1, limit, 0)).toBe(0);
    fs.call(OP.OP_RT_SIGPROCMASK, 0, new Uint8Array(8).fill(255), 0, 8);
    const fd = fs.open('/f', O.O_RDWR);
    expect([fs.write(fd, 'x'.repeat(20)), fs.write(fd, 'x')]).toEqual([10, -E.EFBIG]);
    expect(fs.call(OP.OP_FTRUNCATE, fd, 11)).toBe(-E.EFBIG);
    expect(fs.call(OP.OP_RT_SIGPENDING, new Uint8Array(8), 8)).toBe(0);
    expect(fs.out[3]! & 1).toBe(1);
  });

  it('knows the memory devices', () => {
    const full = fs.open('/dev/full', O.O_RDWR);
    const random = fs.open('/dev/urandom');
    const none = fs.open('/dev/null', O.O_RDWR);
    expect([fs.read(full, 2), fs.write(full, 'x')]).toEqual(['\0\0', -E.ENOSPC]);
    expect([fs.read(none, 2), fs.write(none, 'xy')]).toEqual(['', 2]);
    expect(fs.read(random, 16)).not.toBe(fs.read(random, 16));
  });
});

describe('truncation', () => {
  it('forgets what it cuts off', () => {
    const fd = fs.open('/f', O.O_RDWR);
    fs.write(fd, 'secret');
    const to = (length: number): number => fs.call(OP.OP_TRUNCATE, '/f', length);
    expect([to(2), to(6), size('/f')]).toEqual([0, 0, 6]);
    fs.call(OP.OP_LSEEK, fd, 0, O.SEEK_SET);
    expect(fs.read(fd, 9)).toBe('se\0\0\0\0');
    expect([to(-1), fs.call(OP.OP_TRUNCATE, '/d', 0)]).toEqual([-E.EINVAL, -E.EISDIR]);
    expect(fs.call(OP.OP_TRUNCATE, '/dev/null', 0)).toBe(-E.EINVAL);
    expect(fs.call(OP.OP_FTRUNCATE, fs.open('/f'), 0)).toBe(-E.EINVAL);
    expect(user.call(OP.OP_TRUNCATE, '/f', 0)).toBe(-E.EACCES);
    fs.close(fs.open('/f', O.O_WRONLY | O.O_TRUNC));
    expect(size('/f')).toBe(0);
  });
});

describe('a fifo', () => {
  beforeEach(() => {
    expect(fs.mknod('/p', S.S_IFIFO | 0o666)).toBe(0);
    fs.chmod('/p', 0o666);
  });

  it('waits for its other end', () => {
    expect(user.run(OP.OP_OPENAT, O.AT_FDCWD, '/p', O.O_RDONLY | O.O_CLOEXEC, 0)).toBe(SLEEPS);
    expect(fs.check()).toEqual([]);
    const writer = fs.open('/p', O.O_WRONLY);
    expect(writer).toBe(3);
    expect(user.k.resume(user.tid)).toBe(0);
    const reader = user.k.frameOf(user.tid)!.result;
    expect([reader, fs.write(writer, 'four'), user.call(OP.OP_READ, reader, 0x9000, 9)]).toEqual([
      3, 4, 4,
    ]);
    expect([fs.close(writer), user.call(OP.OP_READ, reader, 0x9000, 9)]).toEqual([0, 0]);
    expect(user.call(OP.OP_FCNTL, reader, O.F_GETFD, 0)).toBe(1);
    expect(fs.check()).toEqual([]);
    user.close(reader);
    expect([fs.k.counts().pipes, fs.check()]).toEqual([0, []]);
  });

  it('may be given up by a signal', () => {
    expect(user.run(OP.OP_OPENAT, O.AT_FDCWD, '/p', O.O_WRONLY, 0)).toBe(SLEEPS);
    fs.call(OP.OP_KILL, user.tid, 15);
    user.k.runWoken();
    user.k.exitToUser(user.tid, user.k.frameOf(user.tid));
    expect([fs.k.counts().pipes, fs.check()]).toEqual([0, []]);
  });

  it('without waiting has readers, and no writers before them', () => {
    expect(fs.open('/p', O.O_WRONLY | O.O_NONBLOCK)).toBe(-E.ENXIO);
    expect(fs.open('/p', O.O_RDONLY | O.O_NONBLOCK)).toBe(3);
    expect(fs.open('/p', O.O_WRONLY | O.O_NONBLOCK)).toBe(4);
    expect(fs.open('/p', O.O_RDWR)).toBe(5);
    expect(fs.fstat(4)).toMatchObject({ mode: 0o10666 });
    expect(fs.unlink('/p')).toBe(0);
    for (const fd of [3, 4, 5]) fs.close(fd);
    expect([fs.k.counts().pipes, fs.check()]).toEqual([0, []]);
  });
});

describe('attributes', () => {
  it('chmod is for the owner', () => {
    expect([fs.chmod('/l', 0o604), mode('/f')]).toEqual([0, 0o604]);
    expect([user.chmod('/f', 0), fs.chmod('/none', 0)]).toEqual([-E.EPERM, -E.ENOENT]);
    user.close(user.open('/tmp/own', O.O_CREAT));
    fs.chown('/tmp/own', 1000, 50);
    // a group that one is not in
    expect([user.chmod('/tmp/own', 0o2755), mode('/tmp/own')]).toEqual([0, 0o755]);
    expect([fs.chmod('/tmp/own', 0o6755), mode('/tmp/own')]).toEqual([0, 0o6755]);
    const at = (flags: number): number => fs.call(OP.OP_FCHMODAT2, O.AT_FDCWD, '/l', 0o600, flags);
    expect([at(S.AT_SYMLINK_NOFOLLOW), at(1)]).toEqual([-E.EOPNOTSUPP, -E.EINVAL]);
  });

  it('chown is for the privileged, and takes set-id bits away', () => {
    fs.chmod('/f', 0o6755);
    expect([fs.chown('/f', 1000, -1), mode('/f')]).toEqual([0, 0o755]);
    expect(fs.stat('/f')).toMatchObject({ uid: 1000, gid: 0 });
    expect([
      user.chown('/f', 1001, -1),
      user.chown('/f', -1, 1000),
      user.chown('/f', -1, 7),
    ]).toEqual([-E.EPERM, 0, -E.EPERM]);
    expect(fs.call(OP.OP_LCHOWN, '/l', 5, 6)).toBe(0);
    expect(fs.stat('/l', false)).toMatchObject({ uid: 5, gid: 6 });
    expect(fs.stat('/f')).toMatchObject({ uid: 1000, gid: 1000 });
  });

  it('writing takes set-id bits away, unless one may set them', () => {
    fs.chmod('/f', 0o4777);
    const fd = user.open('/f', O.O_WRONLY);
    expect([user.write(fd, 'x'), mode('/f')]).toEqual([1, 0o777]);
    fs.chmod('/f', 0o4777);
    expect([fs.write(fs.open('/f', O.O_WRONLY), 'x'), mode('/f')]).toEqual([1, 0o4777]);
  });

  it('access asks with the real ids', () => {
    expect([fs.access('/f', 7), fs.access('/f', 6), fs.access('/d', 7)]).toEqual([-E.EACCES, 0, 0]);
    expect([user.access('/f', 4), user.access('/f', 0), user.access('/f', 8)]).toEqual([
      -E.EACCES,
      0,
      -E.EINVAL,
    ]);
    fs.chmod('/f', 0o600);
    const both = fs.fork();
    both.call(OP.OP_SETRESUID, 1000, 0, 0);
    const at = (flags: number): number => both.call(OP.OP_FACCESSAT2, O.AT_FDCWD, '/f', 4, flags);
    expect([at(0), at(S.AT_EACCESS), at(1)]).toEqual([-E.EACCES, 0, -E.EINVAL]);
  });

  it('times are set by who may', () => {
    const times = (by: Fs, a: [number, number], m: [number, number], path = '/f'): number => {
      const spec = new Uint8Array(new BigUint64Array([...a, ...m].map(BigInt)).buffer);
      return by.call(OP.OP_UTIMENSAT, O.AT_FDCWD, path, spec, 0);
    };
    expect([times(fs, [7, 0], [9, 1]), (fs.stat('/f') as Stat).mtime]).toEqual([0, 9]);
    expect(times(fs, [7, 1_000_000_000], [9, 1])).toBe(-E.EINVAL);
    expect(times(fs, [0, S.UTIME_OMIT], [0, S.UTIME_NOW])).toBe(0);
    expect((fs.stat('/f') as Stat).mtime).toBe(5);
    expect(times(user, [7, 0], [9, 1])).toBe(-E.EPERM);
    expect(user.call(OP.OP_UTIMENSAT, O.AT_FDCWD, '/f', 0, 0)).toBe(-E.EACCES);
    fs.chmod('/f', 0o666);
    expect(user.call(OP.OP_UTIMENSAT, O.AT_FDCWD, '/f', 0, 0)).toBe(0);
    expect(times(user, [0, S.UTIME_OMIT], [0, S.UTIME_OMIT], '/none')).toBe(0);
  });

  it('statfs and statx say where a file is', () => {
    expect(fs.call(OP.OP_STATFS, '/f', new Uint8Array(120))).toBe(0);
    expect(Buffer.from(fs.out).readUInt32LE(0)).toBe(S.TMPFS_MAGIC);
    const statx = (flags: number, mask = 0xfff): number => {
      const frame = fs.k.frame.begin(1, 0, OP.OP_STATX);
      frame.window(0x1000, Buffer.from('/f\0'), 'r').window(0x2000, 256, 'rw');
      [O.AT_FDCWD, 0x1000, flags, mask, 0x2000].forEach((v, i) => frame.setArg(i, v));
      fs.k.trap();
      fs.out = frame.output(0x2000, 256)!;
      return frame.result;
    };
    expect([statx(0), statx(0x6000), statx(1), statx(0, 0x80000000)]).toEqual([
      0,
      -E.EINVAL,
      -E.EINVAL,
      -E.EINVAL,
    ]);
    expect(statx(0)).toBe(0);
    const b = Buffer.from(fs.out);
    expect([b.readUInt16LE(28), Number(b.readBigInt64LE(112))]).toEqual([0o100640, 5]);
  });
});
