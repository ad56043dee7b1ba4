// Protects: namespaces of a log. Files below /proc by every way of opening them, identities by the
// recorder's inode numbers, namespaces mounted at paths, and those of somebody outside.
import { expect, it } from 'vitest';
import { replayLog } from './log.ts';

const IDENTITY = 'identity of a namespace';
const FOREIGN = 'namespace from outside the log';

it('writes id maps through a directory, and where the recorder says so', async () => {
  const { wrong, result } = await replayLog(`
    clone(child_stack=NULL, flags=CLONE_NEWUSER|SIGCHLD) = 101
    openat(AT_FDCWD, "/proc/101", O_RDONLY|O_DIRECTORY) = 3
    openat(3, "uid_map", O_WRONLY) = 4
    write(4, "0 1000 10\\n", 10) = 10
    write(4, "0 1000 10\\n", 10) = -1 EINVAL (Invalid argument)
    openat(5</proc/101>, "gid_map", O_WRONLY) = 5</proc/101/gid_map>
    write(5</proc/101/gid_map>, "x", 1) = -1 EINVAL (Invalid argument)
    101 setuid(9) = 0
    101 setuid(10) = -1 EINVAL (Invalid argument)
    101 openat(AT_FDCWD, "/proc/self/uid_map", O_RDONLY) = 3
    101 read(3, "         0       1000         10"..., 4096) = 33
    101 read(3, "", 4096) = 0
  `);
  expect(wrong).toEqual([]);
  expect(result.byCall.write?.emulated).toBe(3);
  expect(result.byCall.read?.matched).toBe(2);
});

it('takes the whole lines of a map that is cut off', async () => {
  const { wrong, result } = await replayLog(`
    clone(child_stack=NULL, flags=CLONE_NEWUSER|SIGCHLD) = 101
    openat(AT_FDCWD, "/proc/101/uid_map", O_WRONLY) = 3
    write(3, "0 1000 1\\n1 100000 65536\\n65537 20"..., 49) = 49
    101 setuid(65536) = 0
  `);
  expect(wrong).toEqual([]);
  expect(result.byCall.write?.blind).toBe(1);
});

it('binds the numbers of the recording to namespaces, one to one', async () => {
  const { wrong, adopted } = await replayLog(`
    readlink("/proc/self/ns/pid", "pid:[4026531836]", 4096) = 16
    readlink("/proc/self/ns/net", "net:[4026531840]", 4096) = 16
    readlink("/proc/self/ns/net", "net:[4026531840]", 64) = 16
    unshare(CLONE_NEWNET) = 0
    readlink("/proc/self/ns/net", "net:[4026532177]", 4096) = 16
    readlink("/proc/self/ns/net", "net:[4026532178]", 4096) = 16
    openat(AT_FDCWD, "/proc/self/ns/net", O_RDONLY) = 3<net:[4026532177]>
    readlink("/proc/self/ns/nosuch", 0x7ffd00000000, 64) = -1 ENOENT (No such file or directory)
    readlink("/proc/self/exe", "/bin/x", 64) = 6
  `);
  expect(wrong).toEqual(['7: 16 | net:[4026532096], recorded net:[4026532178]']);
  expect(adopted[IDENTITY]).toBe(2);
});

it('finds a namespace that is mounted at a path', async () => {
  const { wrong } = await replayLog(`
    unshare(CLONE_NEWNET) = 0
    mount("/proc/self/ns/net", "/run/netns/a", 0x55d0, MS_BIND, NULL) = 0
    clone(child_stack=NULL, flags=CLONE_NEWNET|SIGCHLD) = 101
    101 openat(AT_FDCWD, "/run/netns/a", O_RDONLY|O_CLOEXEC) = 3
    101 setns(3, CLONE_NEWUTS) = -1 EINVAL (Invalid argument)
    101 setns(3, CLONE_NEWNET) = 0
    101 ioctl(3, NS_GET_NSTYPE) = 1073741824 (CLONE_NEWNET)
    101 ioctl(3, NS_GET_OWNER_UID, 0x7ffd00000000) = -1 EINVAL (Invalid argument)
    umount2("/run/netns/a", MNT_DETACH) = 0
    umount2("/run/netns/a", 0x100 /* MNT_??? */) = -1 EINVAL (Invalid argument)
  `);
  expect(wrong).toEqual([]);
});

it('adopts a namespace that somebody outside is in', async () => {
  const { wrong, adopted } = await replayLog(`
    openat(AT_FDCWD, "/run/netns/b", O_RDONLY|O_CLOEXEC) = 3
    setns(3, CLONE_NEWNET) = 0
    ioctl(3, NS_GET_NSTYPE) = 1073741824 (CLONE_NEWNET)
    openat(AT_FDCWD, "/run/netns/c", O_RDONLY|O_CLOEXEC) = 4<net:[4026532200]>
    setns(4<net:[4026532200]>, 0) = 0
    readlink("/proc/self/ns/net", "net:[4026532200]", 4096) = 16
  `);
  expect(wrong).toEqual([]);
  expect(adopted[FOREIGN]).toBe(2);
});

it('asks for the privilege to mount, and to change the root directory', async () => {
  const { wrong } = await replayLog(`
    setresuid(5, 5, 5) = 0
    mount("none", "/mnt", "tmpfs", 0, NULL) = -1 EPERM (Operation not permitted)
    mount("none", "/nosuch", "tmpfs", 0, NULL) = -1 ENOENT (No such file or directory)
    umount2("/mnt", 0) = -1 EPERM (Operation not permitted)
    pivot_root("/mnt", "/mnt") = -1 EPERM (Operation not permitted)
    chroot("/mnt") = -1 EPERM (Operation not permitted)
    unshare(CLONE_NEWUSER|CLONE_NEWNS) = 0
    mount("none", "/mnt", "tmpfs", 0, NULL) = 0
    chroot("/mnt") = 0
    mount("proc", "/proc", "proc", 0, NULL) = -1 EPERM (Operation not permitted)
    unshare(CLONE_NEWUSER) = -1 EPERM (Operation not permitted)
  `);
  expect(wrong).toEqual([]);
});

it('takes the name of the machine from the recording, once, and then keeps it', async () => {
  const { wrong, adopted } = await replayLog(`
    uname({sysname="Linux", nodename="box", ...}) = 0
    unshare(CLONE_NEWUTS) = 0
    sethostname("inside", 6) = 0
    uname({sysname="Linux", nodename="inside", release="5.4.0", ...}) = 0
    clone(child_stack=NULL, flags=CLONE_NEWUTS|SIGCHLD) = 101
    101 sethostname(0x7ffd00000000, 65) = -1 EINVAL (Invalid argument)
    101 uname({sysname="Linux", nodename="else", ...}) = 0
    101 uname(0x1) = -1 EFAULT (Bad address)
  `);
  expect(wrong).toEqual(['8: 0 | nodename inside, recorded else']);
  expect(adopted['name of the machine']).toBe(1);
});

it('takes the name of a machine that a namespace above owns', async () => {
  const { wrong, adopted } = await replayLog(`
    unshare(CLONE_NEWUSER) = 0
    uname({sysname="Linux", nodename="box", ...}) = 0
    sethostname("inside", 6) = -1 EPERM (Operation not permitted)
    uname({sysname="Linux", nodename="box", ...}) = 0
  `);
  expect(wrong).toEqual([]);
  expect(adopted['name of the machine']).toBe(1);
});
