// Attempts to get out of a container by mounts that are descriptors, and by the calls that furnish
// a container from outside.
import { AT_EMPTY_PATH, AT_FDCWD } from '../../assembly/uapi/fcntl.ts';
import * as M from '../../assembly/uapi/mount.ts';
import * as OP from '../../assembly/uapi/op.ts';
import { type Fs } from '../unit/vfs/driver.ts';
import { type Attempts, attempts, call, cstr, type Prison } from './prison.ts';

const CLONE = M.OPEN_TREE_CLONE;
const NO_KEY = 0;

/** open_tree(2) of a path of the container's. */
const tree = (by: Fs, path: string, flags = CLONE): number =>
  call(by, OP.OP_OPEN_TREE, AT_FDCWD, path, flags);
/** move_mount(2) from one path to another. */
const move = (p: Prison, from: string, to: string, flags = 0): number =>
  call(p.root, OP.OP_MOVE_MOUNT, AT_FDCWD, from, AT_FDCWD, to, flags);
/** mount_setattr(2) that takes an attribute away. */
const clear = (p: Prison, path: string, attr: number): number => {
  const bytes = new Uint8Array(new BigUint64Array([0n, BigInt(attr), 0n, 0n]).buffer);
  return call(p.root, OP.OP_MOUNT_SETATTR, AT_FDCWD, path, 0, bytes, 32);
};
/** A file system that is made by fsopen(2): how that ends. */
const create = (p: Prison, type: string): number => {
  const fd = call(p.root, OP.OP_FSOPEN_TODAY, type, 0);
  return fd < 0 ? fd : call(p.root, OP.OP_FSCONFIG, fd, M.FSCONFIG_CMD_CREATE, NO_KEY, 0, 0);
};

export const TREES: Attempts = {
  'Mounts by descriptors': attempts(
    ['a copy of a covered tree without its cover', 'EINVAL', (p) => tree(p.root, '/data')],
    [
      'a copy of a directory of the outside',
      'EINVAL',
      (p) => call(p.root, OP.OP_OPEN_TREE, p.kept.open, '', CLONE | AT_EMPTY_PATH),
    ],
    ['a copy, by who has no capability', 'EPERM', (p) => tree(p.user, '/tmp')],
    ['the cover moved away', 'EINVAL', (p) => move(p, '/data/masked', '/mnt')],
    [
      'a mount of one’s own moved to a directory of the outside',
      'EINVAL',
      (p) => {
        const fd = tree(p.root, '/tmp');
        const both = M.MOVE_MOUNT_F_EMPTY_PATH | M.MOVE_MOUNT_T_EMPTY_PATH;
        return call(p.root, OP.OP_MOVE_MOUNT, fd, '', p.kept.open, '', both);
      },
    ],
    [
      'a mount slipped beneath the root',
      'EINVAL',
      (p) => move(p, '/ro', '/', M.MOVE_MOUNT_BENEATH),
    ],
    ['a read-only mount made writable', 'EPERM', (p) => clear(p, '/ro', M.MOUNT_ATTR_RDONLY)],
    ['nosuid taken from it', 'EPERM', (p) => clear(p, '/ro', M.MOUNT_ATTR_NOSUID)],
    ['nodev taken from it', 'EPERM', (p) => clear(p, '/ro', M.MOUNT_ATTR_NODEV)],
    ['devtmpfs, which has the devices of the machine', 'EPERM', (p) => create(p, 'devtmpfs')],
    [
      'a context of a file system, by who has no capability',
      'EPERM',
      (p) => call(p.user, OP.OP_FSOPEN_TODAY, 'tmpfs', 0),
    ],
    [
      'the file system of a mount picked, to make it writable',
      'EPERM',
      (p) => {
        const fd = call(p.root, OP.OP_FSPICK, AT_FDCWD, '/ro', 0);
        return fd < 0
          ? fd
          : call(p.root, OP.OP_FSCONFIG, fd, M.FSCONFIG_CMD_RECONFIGURE, NO_KEY, 0, 0);
      },
    ],
  ),
  'Furnishing a container from inside': attempts(
    [
      'a mount into the running container',
      'EBUSY',
      (p) => call(p.root, OP.OP_CONTAINER_MOUNT, p.kept.cfd, 0, '/mnt', cstr('tmpfs'), 0, 0),
    ],
    [
      'another root for it',
      'EBUSY',
      (p) => call(p.root, OP.OP_CONTAINER_CHROOT, p.kept.cfd, '/tmp'),
    ],
    [
      'a directory bound into it across',
      'EBUSY',
      (p) => call(p.root, OP.OP_CONTAINER_BIND_MOUNT_ACROSS, p.kept.cfd, '/tmp', '/mnt'),
    ],
    [
      'a mount into another container',
      'EPERM',
      (p) => call(p.root, OP.OP_CONTAINER_MOUNT, p.kept.other, 0, '/mnt', cstr('tmpfs'), 0, 0),
    ],
    [
      'another root for another container',
      'EPERM',
      (p) => call(p.root, OP.OP_CONTAINER_CHROOT, p.kept.other, '/tmp'),
    ],
    [
      'a directory bound into another container',
      'EPERM',
      (p) => call(p.root, OP.OP_CONTAINER_BIND_MOUNT_ACROSS, p.kept.other, '/tmp', '/'),
    ],
  ),
};
