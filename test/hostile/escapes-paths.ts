// Attempts to get out of a container by a path: `..`, links, races, magic links, openat2's flags,
// descriptors of the outside.
import * as O from '../../assembly/uapi/fcntl.ts';
import * as OP from '../../assembly/uapi/op.ts';
import * as S from '../../assembly/uapi/stat.ts';
import { type Fs } from '../unit/vfs/driver.ts';
import {
  type Attempts,
  attempts,
  bind,
  call,
  mount,
  type Prison,
  receiveFile,
  sendFile,
} from './prison.ts';

/** A directory of the container's with a name in it that leads nowhere outside. */
function tree(by: Fs): void {
  by.mkdir('/tmp/a');
  by.mkdir('/tmp/a/b');
  by.mkdir('/tmp/a/b/c');
}

/** The path of a process's file in the outside's proc, which the container's own covers. */
function uncovered(p: Prison, file: string): string {
  p.root.call(OP.OP_UMOUNT2, '/proc', 0);
  return `/proc/1/${file}`;
}

/** open_by_handle_at(2) of a guessed inode of tmpfs, on the mount of a descriptor. */
function byHandle(by: Fs, fd: number, ino: number, size = 12): number {
  const handle = Buffer.alloc(20);
  handle.writeUInt32LE(size, 0);
  handle.writeUInt32LE(1, 4);
  handle.writeUInt32LE(ino, 12);
  return call(by, OP.OP_OPEN_BY_HANDLE_AT, fd, new Uint8Array(handle), O.O_RDONLY);
}

/** openat2(2) of a path from the container's root directory. */
function below(p: Prison, path: string, resolve: number): number {
  return p.root.openat2(path, O.O_RDONLY, resolve, p.root.open('/'));
}

const UP = '../'.repeat(12);

export const PATHS: Attempts = {
  'Paths and links': attempts(
    ['`..` at the root', 'ENOENT', (p) => p.read(p.root, '/../secret/key')],
    [
      '`..` more often than there are directories',
      'ENOENT',
      (p) => {
        p.root.chdir('/tmp');
        return p.read(p.root, `${UP}secret/key`);
      },
    ],
    ['an absolute path of the outside', 'ENOENT', (p) => p.read(p.root, '/secret/key')],
    [
      'an absolute link to it',
      'ENOENT',
      (p) => {
        p.root.symlink('/secret/key', '/tmp/l');
        return p.read(p.root, '/tmp/l');
      },
    ],
    [
      'a relative link above the root',
      'ENOENT',
      (p) => {
        p.root.symlink(`${UP}secret`, '/tmp/l');
        return p.read(p.root, '/tmp/l/key');
      },
    ],
    [
      'a link as the root directory of a chroot',
      'ENOENT',
      (p) => {
        p.root.symlink('/secret', '/tmp/l');
        return call(p.root, OP.OP_CHROOT, '/tmp/l');
      },
    ],
    [
      'a chain of links that never ends',
      'ELOOP',
      (p) => {
        p.root.symlink('/tmp/two', '/tmp/one');
        p.root.symlink('/tmp/one', '/tmp/two');
        return p.read(p.root, '/tmp/one/secret/key');
      },
    ],
    [
      '`..` from the directory of the root, by descriptor',
      'ENOENT',
      (p) => p.read(p.root, '../secret/key', p.root.open('/')),
    ],
    [
      '`..` from a directory that was removed',
      'ENOENT',
      (p) => {
        p.root.mkdir('/tmp/d');
        p.root.chdir('/tmp/d');
        p.root.rmdir('/tmp/d');
        return p.read(p.root, `${UP}secret/key`);
      },
    ],
    [
      'another name for a file of a mount that is not one’s own',
      'EXDEV',
      (p) => p.root.link('/ro/file', '/tmp/f'),
    ],
    [
      'a file of the outside moved in',
      'ENOENT',
      (p) => p.root.rename('/../secret/key', '/tmp/key'),
    ],
  ),
  'Races of two processes': attempts(
    [
      'a directory moves up while the other stands below it',
      'ENOENT',
      (p) => {
        tree(p.root);
        const other = p.helper();
        p.root.chdir('/tmp/a/b/c');
        other.rename('/tmp/a/b', '/tmp/b');
        return p.read(p.root, '../../../../secret/key');
      },
    ],
    [
      'a directory leaves what a bind mount shows, and `..` is taken from it',
      'ENOENT',
      (p) => {
        bind(p.root, '/data/sub', '/mnt');
        const other = p.helper();
        p.root.chdir('/mnt/deep');
        other.rename('/data/sub/deep', '/data/out/deep');
        return p.read(p.root, '../../secret/key');
      },
    ],
    [
      'the same by descriptor',
      'ENOENT',
      (p) => {
        bind(p.root, '/data/sub', '/mnt');
        const fd = p.root.open('/mnt/deep');
        p.helper().rename('/data/sub/deep', '/data/out/deep');
        return p.root.open('..', 0, 0, fd);
      },
    ],
    [
      'a directory becomes a link between two steps',
      'ENOENT',
      (p) => {
        tree(p.root);
        p.root.symlink('/secret', '/tmp/l');
        const other = p.helper();
        p.root.chdir('/tmp/a');
        other.rename('/tmp/a', '/tmp/l', S.RENAME_EXCHANGE);
        return p.read(p.root, '../a/key');
      },
    ],
    [
      'the same, and the walk refuses links',
      'ELOOP',
      (p) => {
        tree(p.root);
        p.root.symlink('/secret', '/tmp/l');
        const fd = p.root.open('/tmp');
        p.helper().rename('/tmp/a', '/tmp/l', S.RENAME_EXCHANGE);
        return p.root.openat2('a/b', 0, S.RESOLVE_BENEATH | S.RESOLVE_NO_SYMLINKS, fd);
      },
    ],
    [
      'the working directory is removed under a chroot',
      'ENOENT',
      (p) => {
        p.root.mkdir('/tmp/d');
        p.root.chdir('/tmp/d');
        p.helper().rmdir('/tmp/d');
        call(p.root, OP.OP_CHROOT, '.');
        return p.read(p.root, `${UP}secret/key`);
      },
    ],
  ),
  '/proc': attempts(
    ['the root of the own init', 'ENOENT', (p) => p.read(p.root, '/proc/1/root/secret/key')],
    ['`..` from it', 'ENOENT', (p) => p.read(p.root, `/proc/1/root/${UP}secret/key`)],
    [
      '`..` from the own working directory',
      'ENOENT',
      (p) => p.read(p.root, `/proc/self/cwd/${UP}secret/key`),
    ],
    ['a process that has no number here', 'ENOENT', (p) => p.read(p.root, '/proc/9/root/key')],
    [
      'a link through a magic link',
      'ENOENT',
      (p) => {
        p.root.symlink('/proc/self/root/../secret/key', '/tmp/l');
        return p.read(p.root, '/tmp/l');
      },
    ],
    [
      'the outside’s proc, uncovered: root',
      'EACCES',
      (p) => p.read(p.root, uncovered(p, 'root/secret/key')),
    ],
    ['working directory', 'EACCES', (p) => p.read(p.root, uncovered(p, 'cwd/secret/key'))],
    ['root as working directory', 'EACCES', (p) => p.root.chdir(uncovered(p, 'root'))],
    ['root bound over a directory', 'EACCES', (p) => bind(p.root, uncovered(p, 'root'), '/mnt')],
    ['text of the root link', 'EACCES', (p) => p.root.readlink(uncovered(p, 'root')) as number],
    ['descriptors', 'EACCES', (p) => p.root.open(uncovered(p, 'fd'))],
    ['a descriptor', 'EACCES', (p) => p.root.open(uncovered(p, 'fd/12'))],
    ['mount namespace', 'EACCES', (p) => p.root.open(uncovered(p, 'ns/mnt'))],
    ['id map', 'EACCES', (p) => p.root.open(uncovered(p, 'uid_map'), O.O_WRONLY)],
    [
      'a descriptor opened for more than it was',
      'EROFS',
      (p) => {
        const fd = p.root.open('/ro/file', O.O_PATH);
        return p.root.open(`/proc/self/fd/${fd}`, O.O_WRONLY);
      },
    ],
    [
      'the user’s process, by another user',
      'EACCES',
      (p) => {
        const other = p.helper();
        other.become(1001);
        return other.stat('/proc/2/root') as number;
      },
    ],
    [
      'a proc of a pid namespace that is not one’s own',
      'EPERM',
      (p) => {
        p.user.call(OP.OP_UNSHARE, 0x10020000);
        return mount(p.user, 'proc', '/mnt');
      },
    ],
  ),
  openat2: attempts(
    ['RESOLVE_BENEATH with `..`', 'EXDEV', (p) => below(p, '../secret/key', S.RESOLVE_BENEATH)],
    [
      'RESOLVE_BENEATH with `..` behind a directory',
      'EXDEV',
      (p) => below(p, 'tmp/../../secret/key', S.RESOLVE_BENEATH),
    ],
    [
      'RESOLVE_BENEATH with an absolute path',
      'EXDEV',
      (p) => below(p, '/secret/key', S.RESOLVE_BENEATH),
    ],
    [
      'RESOLVE_BENEATH with an absolute link',
      'EXDEV',
      (p) => {
        p.root.symlink('/secret/key', '/tmp/l');
        return below(p, 'tmp/l', S.RESOLVE_BENEATH);
      },
    ],
    [
      'RESOLVE_BENEATH with a magic link',
      'EXDEV',
      (p) => below(p, 'proc/self/root', S.RESOLVE_BENEATH),
    ],
    ['RESOLVE_IN_ROOT with `..`', 'ENOENT', (p) => below(p, '../secret/key', S.RESOLVE_IN_ROOT)],
    [
      'RESOLVE_IN_ROOT with a magic link',
      'EXDEV',
      (p) => below(p, '/proc/self/cwd', S.RESOLVE_IN_ROOT),
    ],
    ['RESOLVE_NO_MAGICLINKS', 'ELOOP', (p) => below(p, 'proc/1/root', S.RESOLVE_NO_MAGICLINKS)],
    ['RESOLVE_NO_SYMLINKS', 'ELOOP', (p) => below(p, 'proc/self', S.RESOLVE_NO_SYMLINKS)],
    ['RESOLVE_NO_XDEV into a mount', 'EXDEV', (p) => below(p, 'ro/file', S.RESOLVE_NO_XDEV)],
    [
      'RESOLVE_NO_XDEV through a magic link',
      'EXDEV',
      (p) => p.root.openat2('self/root', 0, S.RESOLVE_NO_XDEV, p.root.open('/proc')),
    ],
    [
      'RESOLVE_IN_ROOT together with RESOLVE_BENEATH',
      'EINVAL',
      (p) => below(p, 'tmp', S.RESOLVE_IN_ROOT | S.RESOLVE_BENEATH),
    ],
  ),
  'Descriptors that were left open': attempts(
    [
      'a file in a directory that only root outside enters',
      'EACCES',
      (p) => p.read(p.root, 'key', p.kept.closed),
    ],
    [
      'that directory as working directory',
      'EACCES',
      (p) => call(p.root, OP.OP_FCHDIR, p.kept.closed),
    ],
    ['`..` from it', 'EACCES', (p) => p.root.open('..', 0, 0, p.kept.closed)],
    [
      'a name made in a directory that all may read',
      'EACCES',
      (p) => call(p.root, OP.OP_MKDIRAT, p.kept.open, 'made', 0o755),
    ],
    [
      'a name taken away there',
      'EACCES',
      (p) => call(p.root, OP.OP_UNLINKAT, p.kept.open, 'key', 0),
    ],
    ['a file there, for writing', 'EACCES', (p) => p.root.open('key', O.O_RDWR, 0, p.kept.open)],
    ['its mode', 'EPERM', (p) => call(p.root, OP.OP_FCHMODAT, p.kept.open, 'key', 0o666)],
    ['its owner', 'EPERM', (p) => call(p.root, OP.OP_FCHOWNAT, p.kept.open, 'key', 0, 0, 0)],
    [
      'another name for it, inside',
      'EXDEV',
      (p) => call(p.root, OP.OP_LINKAT, p.kept.open, 'key', O.AT_FDCWD, '/tmp/key', 0),
    ],
    [
      'a mount on that directory',
      'EINVAL',
      (p) => {
        call(p.root, OP.OP_FCHDIR, p.kept.open);
        return mount(p.root, 'tmpfs', '.');
      },
    ],
    [
      'that directory bound inside',
      'EINVAL',
      (p) => {
        call(p.root, OP.OP_FCHDIR, p.kept.open);
        return bind(p.root, '.', '/mnt');
      },
    ],
    [
      'that directory as new root, by pivot_root',
      'EINVAL',
      (p) => {
        call(p.root, OP.OP_FCHDIR, p.kept.open);
        return call(p.root, OP.OP_PIVOT_ROOT, '.', '.');
      },
    ],
    [
      'the supervisor’s directory of /proc: root',
      'EACCES',
      (p) => p.read(p.root, 'root/secret/key', p.kept.proc),
    ],
    [
      'the container’s own descriptor with `..`',
      'ENOENT',
      (p) => p.root.open('../secret/key', 0, 0, p.kept.cfd),
    ],
    [
      'the same with an absolute path',
      'ENOENT',
      (p) => p.root.open('/secret/key', 0, 0, p.kept.cfd),
    ],
    ['the same with a magic link', 'EXDEV', (p) => p.root.open('/proc/1/root', 0, 0, p.kept.cfd)],
    [
      'another container’s descriptor',
      'EPERM',
      (p) => p.root.open('secret/key', 0, 0, p.kept.other),
    ],
  ),
  'Handles of files': attempts(
    [
      'a guessed inode, by the root directory',
      'EPERM',
      (p) => byHandle(p.root, p.root.open('/'), 2),
    ],
    ['a guessed inode, by the working directory', 'EPERM', (p) => byHandle(p.root, O.AT_FDCWD, 1)],
    [
      'a guessed inode of a tmpfs of its own',
      'EPERM',
      (p) => {
        mount(p.root, 'tmpfs', '/tmp');
        return byHandle(p.root, p.root.open('/tmp'), 1);
      },
    ],
    [
      'a guessed inode, by a directory of the outside that was sent',
      'EPERM',
      (p) => {
        sendFile(p.outer, p.kept.ours, p.outer.open('/public'));
        return byHandle(p.root, receiveFile(p.root, p.kept.theirs), 2);
      },
    ],
    ['without privilege', 'EPERM', (p) => byHandle(p.user, p.user.open('/'), 2)],
    ['of no size', 'EINVAL', (p) => byHandle(p.root, p.root.open('/'), 2, 0)],
    ['by a descriptor that is not open', 'EBADF', (p) => byHandle(p.root, 99, 2)],
  ),
};
