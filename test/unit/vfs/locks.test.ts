// Protects: record locks and flock on files of the kernel's own file systems: they are the inode's,
// by whatever name it was opened.
import { beforeEach, describe, expect, it } from 'vitest';
import * as E from '../../../assembly/uapi/errno.ts';
import * as O from '../../../assembly/uapi/fcntl.ts';
import * as OP from '../../../assembly/uapi/op.ts';
import { Fs, SLEEPS } from './driver.ts';

let fs: Fs;
let other: Fs;
let fd: number;
beforeEach(async () => {
  fs = await Fs.boot();
  fs.close(fs.open('/f', O.O_CREAT));
  fs.link('/f', '/g');
  fs.close(fs.open('/h', O.O_CREAT));
  other = fs.fork();
  fd = fs.open('/f', O.O_RDWR);
});

/** struct flock. */
const lock = (
  type: number,
  start: number,
  len: number,
  whence: number = O.SEEK_SET,
): Uint8Array => {
  const b = Buffer.alloc(32);
  b.writeInt16LE(type, 0);
  b.writeInt16LE(whence, 2);
  b.writeBigInt64LE(BigInt(start), 8);
  b.writeBigInt64LE(BigInt(len), 16);
  return new Uint8Array(b);
};
const set = (
  by: Fs,
  at: number,
  type: number,
  start: number,
  len: number,
  whence?: number,
  cmd: number = O.F_SETLK,
): number | typeof SLEEPS => by.run(OP.OP_FCNTL, at, cmd, lock(type, start, len, whence));
/** Type, start and length of what is in the way of a write lock. */
const inTheWay = (by: Fs, at: number, start: number, len: number): number[] => {
  expect(by.call(OP.OP_FCNTL, at, O.F_GETLK, lock(O.F_WRLCK, start, len))).toBe(0);
  const b = Buffer.from(by.out);
  return [b.readInt16LE(0), Number(b.readBigInt64LE(8)), Number(b.readBigInt64LE(16))];
};

describe('record locks', () => {
  it('stand in the way of others, under each name', () => {
    const at = other.open('/g', O.O_RDWR);
    expect(set(fs, fd, O.F_WRLCK, 10, 5)).toBe(0);
    expect(set(other, at, O.F_RDLCK, 14, 1)).toBe(-E.EAGAIN);
    expect([set(other, at, O.F_RDLCK, 15, 1), inTheWay(other, at, 0, 0)]).toEqual([
      0,
      [O.F_WRLCK, 10, 5],
    ]);
    expect(set(other, other.open('/h', O.O_RDWR), O.F_WRLCK, 10, 5)).toBe(0);
    expect(fs.check()).toEqual([]);
  });

  it('count from where the file stands, and from its end', () => {
    fs.write(fd, '0123456789');
    const at = other.open('/f', O.O_RDWR);
    expect(set(fs, fd, O.F_WRLCK, -4, 2, O.SEEK_CUR)).toBe(0);
    expect(inTheWay(other, at, 0, 0)).toEqual([O.F_WRLCK, 6, 2]);
    expect(set(other, at, O.F_WRLCK, -2, 1, O.SEEK_END)).toBe(0);
    expect(inTheWay(fs, fd, 8, 1)).toEqual([O.F_WRLCK, 8, 1]);
    expect([
      set(fs, fd, O.F_WRLCK, -11, 1, O.SEEK_END),
      set(fs, fd, O.F_WRLCK, Number.MAX_SAFE_INTEGER, 1, O.SEEK_END),
    ]).toEqual([-E.EINVAL, 0]);
  });

  it('are waited for, and go with any close', () => {
    const at = other.open('/f', O.O_RDWR);
    expect(set(fs, fd, O.F_WRLCK, 0, 0)).toBe(0);
    expect(set(other, at, O.F_WRLCK, 0, 0, O.SEEK_SET, O.F_SETLKW)).toBe(SLEEPS);
    fs.close(fs.open('/g'));
    expect([fs.k.resume(other.tid), fs.k.frameOf(other.tid)!.result]).toEqual([0, 0]);
    expect([inTheWay(fs, fd, 0, 0), fs.check()]).toEqual([[O.F_WRLCK, 0, 0], []]);
    other.run(OP.OP_EXIT, 0);
    expect([inTheWay(fs, fd, 0, 0)[0], fs.check()]).toEqual([O.F_UNLCK, []]);
    fs.close(fd);
    expect([fs.k.counts().inodes, fs.k.counts().fileLocks]).toEqual([0, 0]);
  });

  it('need a descriptor that is open for it', () => {
    expect(set(fs, fs.open('/f'), O.F_WRLCK, 0, 0)).toBe(-E.EBADF);
    expect(set(fs, fs.open('/f', O.O_PATH), O.F_RDLCK, 0, 0)).toBe(-E.EBADF);
  });
});

describe('flock', () => {
  const flock = (by: Fs, at: number, how: number): number => by.call(OP.OP_FLOCK, at, how);

  it('is of the open file', () => {
    const at = other.open('/g');
    expect([flock(fs, fd, O.LOCK_EX), flock(other, at, O.LOCK_SH | O.LOCK_NB)]).toEqual([
      0,
      -E.EAGAIN,
    ]);
    expect(flock(fs, fs.open('/f'), O.LOCK_SH | O.LOCK_NB)).toBe(-E.EAGAIN);
    const copy = fs.call(OP.OP_DUP, fd);
    fs.close(fd);
    expect(flock(other, at, O.LOCK_SH | O.LOCK_NB)).toBe(-E.EAGAIN);
    fs.close(copy);
    expect([flock(other, at, O.LOCK_SH | O.LOCK_NB), fs.check()]).toEqual([0, []]);
  });

  it('is of directories, too', () => {
    const at = fs.open('/dev');
    expect([flock(fs, at, O.LOCK_EX), flock(other, other.open('/dev'), 5)]).toEqual([0, -E.EAGAIN]);
    expect([flock(fs, fs.open('/f', O.O_PATH), O.LOCK_EX), fs.check()]).toEqual([-E.EBADF, []]);
  });
});
