// Protects: extended attributes of files in memory: which names there are, who may read and change
// them, sizes and flags as Linux has them.
import { beforeEach, describe, expect, it } from 'vitest';
import * as E from '../../../assembly/uapi/errno.ts';
import * as O from '../../../assembly/uapi/fcntl.ts';
import * as M from '../../../assembly/uapi/mount.ts';
import * as OP from '../../../assembly/uapi/op.ts';
import * as C from '../../../assembly/uapi/sched.ts';
import { SIGCHLD } from '../../../assembly/uapi/signal.ts';
import * as X from '../../../assembly/uapi/xattr.ts';
import { Fs } from './driver.ts';

let fs: Fs;
let user: Fs;
beforeEach(async () => {
  fs = await Fs.boot();
  fs.close(fs.open('/f', O.O_CREAT, 0o644));
  fs.mkdir('/d');
  fs.symlink('f', '/l');
  user = fs.fork();
  user.become(1000);
});

const bytes = (text: string): Uint8Array => new Uint8Array(Buffer.from(text));
const set = (by: Fs, path: string, name: string, value = 'v', flags = 0): number =>
  by.call(OP.OP_SETXATTR, path, name, bytes(value), value.length, flags);
const get = (by: Fs, path: string, name: string, room = 64): string | number => {
  const r = by.call(OP.OP_GETXATTR, path, name, new Uint8Array(room || 1), room);
  return r < 0 || room === 0 ? r : Buffer.from(by.out.subarray(0, r)).toString();
};
const list = (by: Fs, path: string, room = 256): string[] | number => {
  const r = by.call(OP.OP_LISTXATTR, path, new Uint8Array(room || 1), room);
  if (r < 0 || room === 0) return r;
  return Buffer.from(by.out.subarray(0, r)).toString().split('\0').slice(0, -1);
};
const remove = (by: Fs, path: string, name: string): number =>
  by.call(OP.OP_REMOVEXATTR, path, name);

describe('attributes', () => {
  it('are set, read, listed and removed', () => {
    expect([set(fs, '/f', 'user.b', 'two'), set(fs, '/f', 'user.a', '')]).toEqual([0, 0]);
    expect([get(fs, '/f', 'user.b'), get(fs, '/l', 'user.a'), get(fs, '/f', 'user.b', 0)]).toEqual([
      'two',
      '',
      3,
    ]);
    expect([list(fs, '/f'), list(fs, '/f', 0), list(fs, '/f', 13)]).toEqual([
      ['user.a', 'user.b'],
      14,
      -E.ERANGE,
    ]);
    expect([get(fs, '/f', 'user.b', 2), get(fs, '/f', 'user.c')]).toEqual([-E.ERANGE, -E.ENODATA]);
    expect(fs.check()).toEqual([]);
    expect([remove(fs, '/f', 'user.b'), remove(fs, '/f', 'user.b'), list(fs, '/f')]).toEqual([
      0,
      -E.ENODATA,
      ['user.a'],
    ]);
    expect([fs.unlink('/f'), fs.check()]).toEqual([0, []]);
  });

  it('are made or replaced as asked', () => {
    expect(set(fs, '/f', 'user.a', 'x', X.XATTR_REPLACE)).toBe(-E.ENODATA);
    expect(set(fs, '/f', 'user.a', 'x', X.XATTR_CREATE)).toBe(0);
    expect(set(fs, '/f', 'user.a', 'y', X.XATTR_CREATE)).toBe(-E.EEXIST);
    expect([set(fs, '/f', 'user.a', 'yy', X.XATTR_REPLACE), get(fs, '/f', 'user.a')]).toEqual([
      0,
      'yy',
    ]);
    expect([set(fs, '/f', 'user.a', 'x', 4), fs.check()]).toEqual([-E.EINVAL, []]);
  });

  it('are of links themselves, and of descriptors', () => {
    const value = bytes('v');
    expect(fs.call(OP.OP_LSETXATTR, '/l', 'trusted.t', value, 1, 0)).toBe(0);
    expect(fs.call(OP.OP_LSETXATTR, '/l', 'user.t', value, 1, 0)).toBe(-E.EPERM);
    expect([get(fs, '/l', 'trusted.t'), list(fs, '/f')]).toEqual([-E.ENODATA, []]);
    const fd = fs.open('/f', O.O_RDONLY);
    expect(fs.call(OP.OP_FSETXATTR, fd, 'user.fd', value, 1, 0)).toBe(0);
    expect(fs.call(OP.OP_FGETXATTR, fd, 'user.fd', new Uint8Array(1), 1)).toBe(1);
    expect(fs.call(OP.OP_FREMOVEXATTR, fd, 'user.fd')).toBe(0);
    expect(fs.call(OP.OP_FLISTXATTR, fd, new Uint8Array(1), 1)).toBe(0);
    expect(fs.call(OP.OP_FGETXATTR, fs.open('/f', O.O_PATH), 'user.fd', 0, 0)).toBe(-E.EBADF);
    expect(fs.call(OP.OP_LLISTXATTR, '/l', 0, 0)).toBe(10);
    expect([fs.call(OP.OP_LREMOVEXATTR, '/l', 'trusted.t'), fs.check()]).toEqual([0, []]);
  });

  it.each([
    ['', E.ERANGE],
    [`user.${'x'.repeat(250)}`, 0],
    [`user.${'x'.repeat(251)}`, E.ERANGE],
    ['user.', E.EINVAL],
    ['trusted.', E.EINVAL],
    ['user', E.EOPNOTSUPP],
    ['system.posix_acl_access', E.EOPNOTSUPP],
    ['other.x', E.EOPNOTSUPP],
    ['security.x', 0],
  ])('have names: %.30s', (name, errno) => {
    expect(set(fs, '/f', name)).toBe(0 - errno);
  });

  it('have a greatest size', () => {
    const big = 'x'.repeat(X.XATTR_SIZE_MAX);
    expect(fs.call(OP.OP_SETXATTR, '/f', 'user.a', bytes(big), big.length, 0)).toBe(0);
    expect(fs.call(OP.OP_SETXATTR, '/f', 'user.a', 0, big.length + 1, 0)).toBe(-E.E2BIG);
    expect([get(fs, '/f', 'user.a', 0), fs.check()]).toEqual([big.length, []]);
  });

  it('take from the room of the file system', async () => {
    fs = await Fs.boot({ fsInodesMax: 20 });
    fs.close(fs.open('/f', O.O_CREAT));
    const half = 'x'.repeat(10_000);
    expect([set(fs, '/f', 'user.a', half), set(fs, '/f', 'user.b', half)]).toEqual([0, 0]);
    expect(set(fs, '/f', 'user.c', half)).toBe(-E.ENOSPC);
    expect([remove(fs, '/f', 'user.a'), set(fs, '/f', 'user.c', half)]).toEqual([0, 0]);
  });
});

describe('who may', () => {
  it('user attributes go by the mode of the file', () => {
    set(fs, '/f', 'user.a');
    expect([get(user, '/f', 'user.a'), set(user, '/f', 'user.a')]).toEqual(['v', -E.EACCES]);
    fs.chmod('/f', 0o602);
    expect([get(user, '/f', 'user.a'), set(user, '/f', 'user.a', 'w')]).toEqual([-E.EACCES, 0]);
    expect([set(fs, '/dev/null', 'user.a'), get(fs, '/dev/null', 'user.a')]).toEqual([
      -E.EPERM,
      -E.ENODATA,
    ]);
    expect([set(user, '/tmp', 'user.a'), set(fs, '/tmp', 'user.a')]).toEqual([-E.EPERM, 0]);
  });

  it('trusted ones are for the privileged, who alone see them', () => {
    expect([set(fs, '/f', 'trusted.a'), set(user, '/f', 'trusted.a')]).toEqual([0, -E.EPERM]);
    expect([get(user, '/f', 'trusted.a'), list(user, '/f'), list(fs, '/f')]).toEqual([
      -E.ENODATA,
      [],
      ['trusted.a'],
    ]);
    const inner = user.as(user.call(OP.OP_CLONE, C.CLONE_NEWUSER | SIGCHLD));
    expect([set(inner, '/f', 'trusted.b'), set(inner, '/f', 'security.b')]).toEqual([
      -E.EPERM,
      -E.EPERM,
    ]);
  });

  it('capabilities of a file are for CAP_SETFCAP, and have a form', () => {
    const caps = (version: number, size: number): string => {
      const b = Buffer.alloc(size);
      b.writeUInt32LE(version, 0);
      return b.toString('latin1');
    };
    const name = 'security.capability';
    expect([
      set(fs, '/f', name, caps(0x2000001, 20)),
      set(fs, '/f', name, caps(0x3000000, 24)),
    ]).toEqual([0, 0]);
    expect([set(fs, '/f', name, caps(0x2000000, 24)), set(fs, '/f', name, 'x')]).toEqual([
      -E.EINVAL,
      -E.EINVAL,
    ]);
    expect([set(user, '/f', name, caps(0x2000000, 20)), remove(user, '/f', name)]).toEqual([
      -E.EPERM,
      -E.EPERM,
    ]);
    expect(remove(fs, '/f', name)).toBe(0);
  });

  it('nobody where all is read-only, and nobody where there are none', () => {
    fs.mkdir('/m');
    const mount = (type: string): number =>
      fs.call(OP.OP_MOUNT, 0, '/m', new Uint8Array(Buffer.from(`${type}\0`)), M.MS_RDONLY, 0);
    expect([mount('tmpfs'), set(fs, '/m', 'user.a'), remove(fs, '/m', 'user.a')]).toEqual([
      0,
      -E.EROFS,
      -E.EROFS,
    ]);
    fs.call(OP.OP_UMOUNT2, '/m', 0);
    expect(fs.call(OP.OP_MOUNT, 0, '/m', bytes('ramfs\0'), 0, 0)).toBe(0);
    expect([set(fs, '/m', 'user.a'), get(fs, '/m', 'user.a'), list(fs, '/m')]).toEqual([
      -E.EOPNOTSUPP,
      -E.EOPNOTSUPP,
      [],
    ]);
    expect(fs.call(OP.OP_SETXATTR, '/none', 'user.a', 0, 0, 0)).toBe(-E.ENOENT);
    expect(fs.check()).toEqual([]);
  });
});
