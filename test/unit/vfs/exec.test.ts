// Protects: execve of files in memory: what is no program is none, who may not run it cannot, and
// scripts run by the interpreters that they name.
import { beforeEach, describe, expect, it } from 'vitest';
import * as E from '../../../assembly/uapi/errno.ts';
import * as O from '../../../assembly/uapi/fcntl.ts';
import * as M from '../../../assembly/uapi/mount.ts';
import * as OP from '../../../assembly/uapi/op.ts';
import * as S from '../../../assembly/uapi/stat.ts';
import { Fs } from './driver.ts';

const ELF = `\x7fELF\x02\x01\x01${'\0'.repeat(9)}\x02\0\x3e\0${'\0'.repeat(44)}`;
let fs: Fs;
beforeEach(async () => {
  fs = await Fs.boot();
  make('/bin/prog', ELF);
});

function make(path: string, text: string, mode = 0o755): void {
  const fd = fs.open(path, O.O_CREAT | O.O_WRONLY, mode);
  fs.write(fd, text);
  fs.close(fd);
}
const exec = (path: string, by = fs): number => by.call(OP.OP_EXECVE, path, 0, 0);
const execAt = (dirfd: number, path: string, flags: number): number =>
  fs.call(OP.OP_EXECVEAT, dirfd, path, 0, 0, flags);

describe('execve', () => {
  it.each([
    ['', E.ENOEXEC],
    ['text', E.ENOEXEC],
    [ELF, 0],
    [ELF.replace('\x3e', '\xb7'), E.ENOEXEC],
    [ELF.replace('\x02\0\x3e', '\x04\0\x3e'), E.ENOEXEC],
    ['#!/bin/prog\n', 0],
    ['#! \t/bin/prog -x\nrest', 0],
    ['#!/bin/prog', 0],
    ['#!/bin/none\n', E.ENOENT],
    ['#!/bin\n', E.EACCES],
    ['#!\n', E.ENOEXEC],
    [`#!/${'x'.repeat(300)}\n`, E.ENOEXEC],
  ])('of %j', (text, errno) => {
    make('/tmp/file', text);
    expect(exec('/tmp/file')).toBe(0 - errno);
    expect(fs.check()).toEqual([]);
  });

  it('follows at most five interpreters', () => {
    make('/tmp/s1', '#!/bin/prog\n');
    for (let i = 2; i < 8; ++i) make(`/tmp/s${i}`, `#!/tmp/s${i - 1}\n`);
    expect([exec('/tmp/s5'), exec('/tmp/s6'), exec('/tmp/s7')]).toEqual([0, -E.ELOOP, -E.ELOOP]);
  });

  it('is for who may', () => {
    make('/tmp/plain', ELF, 0o644);
    make('/tmp/own', ELF, 0o700);
    const user = fs.fork();
    user.become(1000);
    expect([exec('/tmp/plain'), exec('/tmp/own', user), exec('/bin/prog', user)]).toEqual([
      -E.EACCES,
      -E.EACCES,
      0,
    ]);
    expect([exec('/bin'), exec('/dev/null'), exec('/none'), exec('/bin/prog/x')]).toEqual([
      -E.EACCES,
      -E.EACCES,
      -E.ENOENT,
      -E.ENOTDIR,
    ]);
  });

  it('is not of what is being written, nor from a mount without programs', () => {
    const fd = fs.open('/bin/prog', O.O_WRONLY);
    expect(exec('/bin/prog')).toBe(-E.ETXTBSY);
    fs.close(fd);
    expect(exec('/bin/prog')).toBe(0);
    fs.call(OP.OP_MOUNT, '/bin', '/bin', 0, M.MS_BIND, 0);
    fs.call(OP.OP_MOUNT, 0, '/bin', 0, M.MS_REMOUNT | M.MS_BIND | M.MS_NOEXEC, 0);
    make('/tmp/script', '#!/bin/prog\n');
    expect([exec('/bin/prog'), exec('/tmp/script')]).toEqual([-E.EACCES, -E.EACCES]);
  });

  it('of a descriptor, of a path from one, and not of links', () => {
    fs.symlink('/bin/prog', '/tmp/l');
    const dir = fs.open('/bin');
    const file = fs.open('/bin/prog', O.O_PATH);
    expect([execAt(dir, 'prog', 0), execAt(file, '', O.AT_EMPTY_PATH)]).toEqual([0, 0]);
    expect(execAt(O.AT_FDCWD, '/tmp/l', S.AT_SYMLINK_NOFOLLOW)).toBe(-E.ELOOP);
    expect([execAt(O.AT_FDCWD, '/tmp/l', 0), execAt(file, '', 0)]).toEqual([0, -E.ENOENT]);
    expect(execAt(O.AT_FDCWD, '/tmp/l', 0x8000)).toBe(-E.EINVAL);
    expect(fs.check()).toEqual([]);
  });
});
