// Protects: handles of files: which file systems have them, who may open a file by one, that they
// name a file through renames and no other file after it.
import { beforeEach, expect, it } from 'vitest';
import * as CAP from '../../../assembly/uapi/capability.ts';
import * as E from '../../../assembly/uapi/errno.ts';
import * as O from '../../../assembly/uapi/fcntl.ts';
import * as OP from '../../../assembly/uapi/op.ts';
import { AT_SYMLINK_FOLLOW } from '../../../assembly/uapi/stat.ts';
import * as X from '../../../assembly/uapi/xattr.ts';
import { Fs } from './driver.ts';

/** Where the driver puts bytes, and behind the handle the mount's number. */
const BUFFER = 0x30000;
const MOUNT_ID = 40;

let fs: Fs;
beforeEach(async () => {
  fs = await Fs.boot();
  for (const [type, at] of [
    ['tmpfs', '/t'],
    ['ramfs', '/r'],
  ] as const) {
    fs.mkdir(at);
    fs.call(OP.OP_MOUNT, 'none', at, BUFFER, 0, 0, new Uint8Array(Buffer.from(`${type}\0`)));
  }
  return () => expect(fs.check()).toEqual([]);
});

interface Handle {
  result: number;
  bytes: Uint8Array;
  mount: number;
}

function handleOf(by: Fs, path: string, room = 64, flags = 0, dirfd = O.AT_FDCWD): Handle {
  const head = Buffer.alloc(64);
  head.writeUInt32LE(room, 0);
  const out = BUFFER + MOUNT_ID;
  const result = by.call(
    OP.OP_NAME_TO_HANDLE_AT,
    ...[dirfd, path, new Uint8Array(head), out, flags],
  );
  const bytes = by.out.slice(0, MOUNT_ID);
  return { result, bytes, mount: Buffer.from(by.out).readUInt32LE(MOUNT_ID) };
}

function open(by: Fs, bytes: Uint8Array, flags = 0, fd = O.AT_FDCWD): number {
  return by.call(OP.OP_OPEN_BY_HANDLE_AT, fd, bytes, flags);
}

function write(by: Fs, path: string, text: string): void {
  const fd = by.open(path, O.O_CREAT | O.O_WRONLY);
  by.write(fd, text);
  by.close(fd);
}

it('a handle opens its file, wherever that has moved, and nothing once it is gone', () => {
  fs.mkdir('/t/a');
  write(fs, '/t/a/f', 'text');
  const { result, bytes } = handleOf(fs, '/t/a/f');
  expect([result, Buffer.from(bytes).readUInt32LE(0), bytes[4]]).toEqual([0, 12, 1]);
  fs.mkdir('/t/b');
  fs.mkdir('/t/b/c');
  fs.rename('/t/a/f', '/t/b/c/g');
  const at = fs.open('/t');
  expect(fs.read(open(fs, bytes, 0, at), 9)).toBe('text');
  fs.chdir('/t/a');
  expect(fs.read(open(fs, bytes), 9)).toBe('text');
  fs.unlink('/t/b/c/g');
  write(fs, '/t/a/f', 'other');
  expect(open(fs, bytes, 0, at)).toBe(-E.ESTALE);
});

it('directories are opened as directories, files with the rights that they give', () => {
  fs.mkdir('/t/d');
  write(fs, '/t/d/f', 'x');
  const at = fs.open('/t');
  const d = handleOf(fs, '/t/d').bytes;
  const f = handleOf(fs, '/t/d/f').bytes;
  const dir = open(fs, d, O.O_DIRECTORY, at);
  expect(fs.read(fs.open('f', 0, 0, dir), 1)).toBe('x');
  expect(open(fs, d, O.O_WRONLY, at)).toBe(-E.EISDIR);
  expect(open(fs, f, O.O_DIRECTORY, at)).toBe(-E.ENOTDIR);
  expect(fs.read(open(fs, f, O.O_RDWR | O.O_TRUNC, at), 1)).toBe('');
});

it('links are followed only on demand, and mounts have numbers', () => {
  write(fs, '/t/f', '');
  fs.symlink('f', '/t/l');
  const own = handleOf(fs, '/t/l');
  const led = handleOf(fs, '/t/l', 64, AT_SYMLINK_FOLLOW);
  expect(led.bytes).toEqual(handleOf(fs, '/t/f').bytes);
  expect(own.bytes).not.toEqual(led.bytes);
  expect([own.mount === led.mount, own.mount > 0]).toEqual([true, true]);
  const by = handleOf(fs, '', 64, O.AT_EMPTY_PATH, fs.open('/t/f'));
  expect(by.bytes).toEqual(led.bytes);
});

it('too little room says how much is needed; other sizes are none', () => {
  write(fs, '/t/f', '');
  const small = handleOf(fs, '/t/f', 8);
  expect([small.result, Buffer.from(small.bytes).readUInt32LE(0)]).toEqual([-E.EOVERFLOW, 12]);
  expect(handleOf(fs, '/t/f', 129).result).toBe(-E.EINVAL);
  expect(handleOf(fs, '/t/f', 64, 4).result).toBe(-E.EINVAL);
  expect(handleOf(fs, '/t/no').result).toBe(-E.ENOENT);
  const { bytes } = handleOf(fs, '/t/f');
  for (const length of [0, 129]) {
    const bad = bytes.slice();
    new DataView(bad.buffer).setUint32(0, length, true);
    expect(open(fs, bad, 0, fs.open('/t'))).toBe(-E.EINVAL);
  }
  expect(open(fs, bytes, 0, 99)).toBe(-E.EBADF);
});

it('ramfs has handles to tell files apart, and none to open', () => {
  write(fs, '/r/f', '');
  expect(handleOf(fs, '/r/f').result).toBe(-E.EOPNOTSUPP);
  const told = handleOf(fs, '/r/f', 64, X.AT_HANDLE_FID);
  expect([told.result, told.bytes[4]]).toEqual([0, X.HANDLE_FID]);
  expect(open(fs, told.bytes, 0, fs.open('/r'))).toBe(-E.ESTALE);
  expect(open(fs, handleOf(fs, '/t').bytes, 0, fs.open('/r'))).toBe(-E.ESTALE);
});

it('whoever may not read everywhere may open nothing so', () => {
  write(fs, '/t/f', 'x');
  const { bytes } = handleOf(fs, '/t/f');
  const user = fs.fork();
  user.become(1000);
  const at = user.open('/t');
  expect(handleOf(user, '/t/f').bytes).toEqual(bytes);
  expect(open(user, bytes, 0, at)).toBe(-E.EPERM);
  // root of a user namespace of its own is not asked more kindly
  expect(user.call(OP.OP_UNSHARE, 0x10000000)).toBe(0);
  expect((user.k.task(user.tid)!.caps.effective >> BigInt(CAP.CAP_DAC_READ_SEARCH)) & 1n).toBe(1n);
  expect(open(user, bytes, 0, at)).toBe(-E.EPERM);
});
