// Attempts to get out of a container by mounts: what is covered, what is locked, propagation,
// pivot_root, chroot, devices.
import * as O from '../../assembly/uapi/fcntl.ts';
import * as M from '../../assembly/uapi/mount.ts';
import * as OP from '../../assembly/uapi/op.ts';
import * as C from '../../assembly/uapi/sched.ts';
import { type Attempts, attempts, bind, call, mount, type Prison, remount } from './prison.ts';

const RO = '/ro';
const LOCKED = M.MS_RDONLY | M.MS_NOSUID | M.MS_NODEV | M.MS_NOEXEC;
const UP = '../'.repeat(12);
const OWN = C.CLONE_NEWUSER | C.CLONE_NEWNS;

const umount = (p: Prison, path: string, flags = 0): number =>
  call(p.root, OP.OP_UMOUNT2, path, flags);
const move = (p: Prison, from: string, to: string): number =>
  call(p.root, OP.OP_MOUNT, from, to, 0, M.MS_MOVE, 0);
const propagation = (p: Prison, path: string, flags: number): number =>
  call(p.root, OP.OP_MOUNT, 0, path, 0, flags, 0);
/** A flag of a locked mount is left out. */
const without = (p: Prison, flag: number): number =>
  remount(p.root, RO, M.MS_BIND | (LOCKED & ~flag));

/** The container's root with a new tmpfs as its root directory, the old one at /old. */
function pivot(p: Prison): void {
  mount(p.root, 'tmpfs', '/mnt');
  p.root.mkdir('/mnt/old');
  call(p.root, OP.OP_PIVOT_ROOT, '/mnt', '/mnt/old');
  p.root.chdir('/');
}

export const MOUNTS: Attempts = {
  'What is covered or locked': attempts(
    ['umount of what covers a directory', 'EINVAL', (p) => umount(p, '/data/masked')],
    ['the same, detached', 'EINVAL', (p) => umount(p, '/data/masked', M.MNT_DETACH)],
    ['umount of a mount that was given', 'EINVAL', (p) => umount(p, RO)],
    ['umount of the root', 'EINVAL', (p) => umount(p, '/', M.MNT_DETACH)],
    ['a covered directory bound without its cover', 'EINVAL', (p) => bind(p.root, '/data', '/mnt')],
    [
      'the covered file in a copy of the tree',
      'ENOENT',
      (p) => {
        bind(p.root, '/data', '/mnt', M.MS_REC);
        return p.read(p.root, '/mnt/masked/key');
      },
    ],
    [
      'umount of the cover in the copy',
      'EINVAL',
      (p) => {
        bind(p.root, '/data', '/mnt', M.MS_REC);
        return umount(p, '/mnt/masked');
      },
    ],
    ['the cover moved away', 'EINVAL', (p) => move(p, '/data/masked', '/mnt')],
    [
      'umount of it in a mount namespace of one’s own',
      'EINVAL',
      (p) => {
        call(p.root, OP.OP_UNSHARE, C.CLONE_NEWNS);
        return umount(p, '/data/masked');
      },
    ],
    [
      'umount of a mount of the outer owner in a user namespace of one’s own',
      'EINVAL',
      (p) => {
        mount(p.root, 'tmpfs', '/mnt');
        call(p.root, OP.OP_UNSHARE, OWN);
        return umount(p, '/mnt');
      },
    ],
    ['the covered directory renamed', 'EBUSY', (p) => p.root.rename('/data/masked', '/data/x')],
    [
      'the covered directory removed',
      'EPERM',
      (p) => {
        call(p.root, OP.OP_UNSHARE, C.CLONE_NEWNS);
        p.root.chmod('/data', 0o1777);
        p.user.chdir('/data');
        return p.user.rmdir('masked');
      },
    ],
    ['a read-only mount made writable', 'EPERM', (p) => without(p, M.MS_RDONLY)],
    ['nosuid taken from it', 'EPERM', (p) => without(p, M.MS_NOSUID)],
    ['nodev taken from it', 'EPERM', (p) => without(p, M.MS_NODEV)],
    ['noexec taken from it', 'EPERM', (p) => without(p, M.MS_NOEXEC)],
    ['the file system behind it made writable', 'EPERM', (p) => remount(p.root, RO, LOCKED)],
    [
      'nodev taken from a copy of it',
      'EPERM',
      (p) => {
        bind(p.root, RO, '/mnt');
        return remount(p.root, '/mnt', M.MS_BIND | (LOCKED & ~M.MS_NODEV));
      },
    ],
    ['a file in it, for writing', 'EROFS', (p) => p.root.open(`${RO}/file`, O.O_WRONLY)],
    ['a name made in it', 'EROFS', (p) => p.root.mkdir(`${RO}/x`)],
    ['a device in it', 'EACCES', (p) => p.root.open(`${RO}/null`, O.O_RDWR)],
  ),
  'New mounts': attempts(
    ['by who has no capability', 'EPERM', (p) => mount(p.user, 'tmpfs', '/tmp')],
    [
      'devtmpfs, which has the devices of the machine',
      'EPERM',
      (p) => mount(p.root, 'devtmpfs', '/mnt'),
    ],
    ['sysfs where none is seen', 'EPERM', (p) => mount(p.root, 'sysfs', '/sys')],
    ['a file system that is not there', 'ENODEV', (p) => mount(p.root, 'ext4', '/mnt')],
    ['rootfs, which is below all roots', 'ENODEV', (p) => mount(p.root, 'rootfs', '/mnt')],
    [
      'a mount seen outside by propagation',
      'ENOENT',
      (p) => {
        p.root.mkdir('/tmp/made');
        mount(p.root, 'tmpfs', '/tmp/made');
        return p.outer.stat('/box/tmp/made') as number;
      },
    ],
    [
      'the same after the root was made shared',
      'ENOENT',
      (p) => {
        propagation(p, '/', M.MS_SHARED | M.MS_REC);
        mount(p.root, 'tmpfs', '/dev');
        p.root.mkdir('/dev/made');
        return p.outer.stat('/dev/made') as number;
      },
    ],
    [
      'a device made in a bind mount of the outside’s /dev',
      'EACCES',
      (p) => p.root.mkdir('/dev/made'),
    ],
    [
      'a mount in place of the container’s root',
      'EINVAL',
      (p) => call(p.root, OP.OP_PIVOT_ROOT, '/', '/'),
    ],
    [
      'an old root moved over the new one',
      'EINVAL',
      (p) => {
        pivot(p);
        return move(p, '/old/data/masked', '/');
      },
    ],
  ),
  Roots: attempts(
    ['chroot by who has no capability', 'EPERM', (p) => call(p.user, OP.OP_CHROOT, '/tmp')],
    [
      'chroot in a chroot, `..` from the directory left outside',
      'ENOENT',
      (p) => {
        call(p.root, OP.OP_CHROOT, '/tmp');
        return p.read(p.root, `${UP}secret/key`);
      },
    ],
    [
      'the same, and chroot to what is reached',
      'ENOENT',
      (p) => {
        call(p.root, OP.OP_CHROOT, '/tmp');
        p.root.chdir(UP);
        call(p.root, OP.OP_CHROOT, '.');
        return p.read(p.root, '/secret/key');
      },
    ],
    [
      'chroot, and back to a directory by its descriptor',
      'ENOENT',
      (p) => {
        const fd = p.root.open('/');
        call(p.root, OP.OP_CHROOT, '/tmp');
        call(p.root, OP.OP_FCHDIR, fd);
        return p.read(p.root, `${UP}secret/key`);
      },
    ],
    [
      'a user namespace from within a chroot',
      'EPERM',
      (p) => {
        call(p.root, OP.OP_CHROOT, '/tmp');
        return call(p.root, OP.OP_UNSHARE, C.CLONE_NEWUSER);
      },
    ],
    [
      'pivot_root by who has no capability',
      'EPERM',
      (p) => call(p.user, OP.OP_PIVOT_ROOT, '/ro', '/ro'),
    ],
    [
      'pivot_root to a directory that is no mount',
      'EINVAL',
      (p) => call(p.root, OP.OP_PIVOT_ROOT, '/tmp', '/tmp'),
    ],
    [
      'pivot_root to a mount that is locked',
      'EINVAL',
      (p) => call(p.root, OP.OP_PIVOT_ROOT, '/data/masked', '/data/masked'),
    ],
    [
      'the outside below the old root, after pivot_root',
      'ENOENT',
      (p) => {
        pivot(p);
        return p.read(p.root, `/old/${UP}secret/key`);
      },
    ],
    [
      'the rest below the new root, when the old one is gone',
      'ENOENT',
      (p) => {
        pivot(p);
        umount(p, '/old', M.MNT_DETACH);
        return p.read(p.root, `${UP}secret/key`);
      },
    ],
    [
      'a working directory in what was detached',
      'ENOENT',
      (p) => {
        pivot(p);
        p.root.chdir('/old/data');
        umount(p, '/old', M.MNT_DETACH);
        return p.read(p.root, `${UP}secret/key`);
      },
    ],
  ),
  Devices: attempts(
    [
      'the memory of the machine',
      'EPERM',
      (p) => p.root.mknod('/tmp/mem', O.S_IFCHR | 0o600, 0x101),
    ],
    ['a disk', 'EPERM', (p) => p.root.mknod('/tmp/disk', O.S_IFBLK | 0o600, 0x800)],
    [
      'a device that would be allowed',
      'EPERM',
      (p) => p.root.mknod('/tmp/null', O.S_IFCHR | 0o666, 0x103),
    ],
    [
      'a node that is there and not on the container’s list',
      'EPERM',
      (p) => p.root.open('/dev/zero'),
    ],
    [
      'the same from a container in it',
      'EPERM',
      (p) => {
        const fd = p.root.call(OP.OP_CONTAINER_CREATE, 'nested', 0);
        const list = new Uint8Array(
          new Uint32Array([O.S_IFCHR, 1, 0xff, 0, 0, 0, 0, 0, 0, 0]).buffer,
        );
        call(p.root, OP.OP_CONTAINER_DEVICES, fd, list, 1);
        return p.forkInto(fd).open('/dev/zero');
      },
    ],
    [
      'the list of the own container',
      'EBUSY',
      (p) => call(p.root, OP.OP_CONTAINER_DEVICES, p.kept.cfd, 0, 0),
    ],
    [
      'a device that is moved to where devices are allowed',
      'EXDEV',
      (p) => p.root.rename(`${RO}/null`, '/tmp/null'),
    ],
  ),
};
