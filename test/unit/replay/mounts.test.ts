// Protects: the newer mount calls of a log. What the recorded machine's disk decides is taken from
// the log; numbers of descriptors, phases and what is refused before any path are the kernel's.
import { expect, it } from 'vitest';
import { replayLog } from './log.ts';

/** struct mount_attr, as strace shows it. */
const attr = (set: string, propagation = '0'): string =>
  `{attr_set=${set}, attr_clr=0, propagation=${propagation}, userns_fd=0}`;
const share = (result: Awaited<ReturnType<typeof replayLog>>['result'], name: string): number[] => {
  const { outside, predicted } = result.byCall[name]!;
  return [predicted, outside];
};

it('follows a file system from fsopen to its place', async () => {
  const { wrong, result } = await replayLog(`
    fsopen("ext4", FSOPEN_CLOEXEC) = 3
    fsconfig(3, FSCONFIG_SET_STRING, "source", "/dev/disk/by-id/very-long-name-of-a-d"..., 0) = 0
    fsconfig(3, FSCONFIG_SET_FLAG, "nosuch", NULL, 0) = -1 EINVAL (Invalid argument)
    fsmount(3, 0, 0) = -1 EINVAL (Invalid argument)
    fsconfig(3, FSCONFIG_CMD_RECONFIGURE, NULL, NULL, 0) = -1 EBUSY (Device or resource busy)
    fsconfig(3, FSCONFIG_CMD_CREATE, NULL, NULL, 0) = 0
    fsconfig(3, FSCONFIG_CMD_CREATE, NULL, NULL, 0) = -1 EBUSY (Device or resource busy)
    fsmount(3, FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID) = 4
    fsmount(3, 0, 0) = -1 EBUSY (Device or resource busy)
    fcntl(4, F_GETFD) = 0x1 (flags FD_CLOEXEC)
    move_mount(4, "", AT_FDCWD, "/mnt", MOVE_MOUNT_F_EMPTY_PATH) = 0
    move_mount(4, "", AT_FDCWD, "/mnt", 0) = -1 ENOENT (No such file or directory)
    fspick(AT_FDCWD, "/mnt", FSPICK_CLOEXEC) = 5
    fsconfig(5, FSCONFIG_CMD_CREATE, NULL, NULL, 0) = -1 EBUSY (Device or resource busy)
    fsconfig(5, FSCONFIG_CMD_RECONFIGURE, NULL, NULL, 0) = 0
    read(3, 0x7ffd00000000, 1024) = -1 ENODATA (No data available)
    close(3) = 0
    fsconfig(3, FSCONFIG_CMD_CREATE, NULL, NULL, 0) = -1 EBADF (Bad file descriptor)
    fsconfig(4, FSCONFIG_CMD_CREATE, NULL, NULL, 1) = -1 EINVAL (Invalid argument)
  `);
  expect(wrong).toEqual([]);
  // of the options only that there is one is known
  expect(share(result, 'fsconfig')).toEqual([8, 9]);
  expect(share(result, 'fsmount')).toEqual([3, 3]);
  expect(share(result, 'move_mount')).toEqual([2, 2]);
  expect(share(result, 'fspick')).toEqual([1, 1]);
});

it('sees what cannot be so', async () => {
  const { wrong } = await replayLog(`
    fsopen("ext4", 0) = 3
    fsmount(3, 0, 0) = 4
    fsopen("ext4", 0x8 /* FSOPEN_??? */) = -1 ENODEV (No such device)
    open_tree(AT_FDCWD, "/", OPEN_TREE_CLONE) = 9
    move_mount(-1, "x", -1, "y", 0) = -1 ENOENT (No such file or directory)
    mount_setattr(-1, "/", 0, NULL, 0) = 0
  `);
  expect(wrong).toEqual([
    '3: 4 | -1 EINVAL',
    '4: -1 ENODEV | -1 EINVAL',
    '6: -1 ENOENT | -1 EBADF',
    '7: 0 | -1 EINVAL',
  ]);
});

it('asks for the privilege first', async () => {
  const { wrong, result } = await replayLog(`
    setresuid(1000, 1000, 1000) = 0
    fsopen("nofs", 0) = -1 EPERM (Operation not permitted)
    open_tree(AT_FDCWD, "/nowhere", OPEN_TREE_CLONE) = -1 EPERM (Operation not permitted)
    open_tree(AT_FDCWD, "/nowhere", 0) = -1 ENOENT (No such file or directory)
    mount_setattr(AT_FDCWD, "/", 0, ${attr('0x40000000')}, 32) = -1 EPERM (Operation not permitted)
    mount_setattr(AT_FDCWD, "/", 0, ${attr('MOUNT_ATTR_RDONLY')}, 5000) = -1 E2BIG (Too long)
    pivot_root("/a", "/b") = -1 EPERM (Operation not permitted)
    umount2("/a", 0x10 /* MNT_??? */) = -1 EINVAL (Invalid argument)
  `);
  expect(wrong).toEqual([]);
  expect(share(result, 'fsopen')).toEqual([1, 1]);
  expect(share(result, 'open_tree')).toEqual([1, 2]);
  expect(share(result, 'mount_setattr')).toEqual([2, 2]);
  expect(share(result, 'pivot_root')).toEqual([1, 1]);
  expect(share(result, 'umount2')).toEqual([1, 1]);
});

it('judges attributes by what is shown of them', async () => {
  const { wrong, result } = await replayLog(`
    mount_setattr(3, "", AT_EMPTY_PATH, ${attr('MOUNT_ATTR_NODEV', 'MS_PRIVATE')}, 32) = 0
    mount_setattr(3, "", AT_EMPTY_PATH, 0x7ffd00000000, 32) = 0
    mount_setattr(3, "", AT_EMPTY_PATH, 0x7ffd00000000, 32) = -1 EINVAL (Invalid argument)
    mount_setattr(3, "", AT_EMPTY_PATH, 0x7ffd00000000, 8) = -1 EINVAL (Invalid argument)
    mount_setattr(3, "", 0, ${attr('MOUNT_ATTR_NOATIME')}, 32) = -1 EINVAL (Invalid argument)
  `);
  expect(wrong).toEqual([]);
  expect(result.byCall.mount_setattr).toMatchObject({ calls: 5, diverged: 0, blind: 0 });
});
