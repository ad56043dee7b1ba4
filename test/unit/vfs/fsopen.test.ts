// Protects: a file system is configured step by step by a descriptor (fsopen, fspick, fsconfig),
// with Linux's errnos in Linux's order; its log says what went wrong; what is asked for is so.
import { beforeEach, describe, expect, it } from 'vitest';
import * as E from '../../../assembly/uapi/errno.ts';
import * as O from '../../../assembly/uapi/fcntl.ts';
import * as M from '../../../assembly/uapi/mount.ts';
import * as OP from '../../../assembly/uapi/op.ts';
import { Fs, type Stat } from './driver.ts';
import { many, Mounts } from './mount-calls.ts';

let fs: Fs;
let m: Mounts;
beforeEach(async () => {
  fs = await Fs.boot();
  m = new Mounts(fs);
  for (const dir of ['/a', '/b']) expect(fs.mkdir(dir)).toBe(0);
});

const lowly = (): Mounts => {
  const user = fs.fork();
  user.become(1000);
  return new Mounts(user);
};
const readLog = (fd: number, size = 200): string | number => {
  const n = fs.call(OP.OP_READ, fd, new Uint8Array(size), size);
  return n < 0 ? n : Buffer.from(fs.out.subarray(0, n)).toString('latin1');
};
const cloexec = (fd: number): boolean => fs.call(OP.OP_FCNTL, fd, O.F_GETFD, 0) === 1;

describe('fsopen', () => {
  it('needs the privilege, known flags and a type, in this order', () => {
    expect(lowly().open('nofs', 2)).toBe(-E.EPERM);
    expect([m.open('nofs', 2), m.open('nofs'), m.open('rootfs'), m.open('')]).toEqual([
      -E.EINVAL,
      -E.ENODEV,
      -E.ENODEV,
      -E.ENODEV,
    ]);
    expect(many(fs, OP.OP_FSOPEN_TODAY, 0, 0)).toBe(-E.EFAULT);
    expect(m.open('x'.repeat(5000))).toBe(-E.EINVAL);
  });

  it('gives a descriptor that is no plain file', () => {
    const fd = m.open('tmpfs', M.FSOPEN_CLOEXEC);
    expect([fd, cloexec(fd), fs.call(OP.OP_FCNTL, fd, O.F_GETFL, 0)]).toEqual([3, true, O.O_RDWR]);
    expect(cloexec(m.open('tmpfs'))).toBe(false);
    expect([readLog(fd), fs.write(fd, 'o size=1'), fs.call(OP.OP_LSEEK, fd, 0, 0)]).toEqual([
      -E.ENODATA,
      -E.EINVAL,
      -E.ESPIPE,
    ]);
    expect(fs.k.counts().fsContexts).toBe(2);
    expect(fs.check()).toEqual([]);
    for (const one of [fd, 4]) expect(fs.close(one)).toBe(0);
    expect(fs.k.counts().fsContexts).toBe(0);
    expect(fs.check()).toEqual([]);
  });
});

describe('fsconfig', () => {
  it.each([
    ['a negative descriptor', [-1, M.FSCONFIG_CMD_CREATE], E.EINVAL],
    ['an unknown command', [99, 77], E.EOPNOTSUPP],
    ['a flag with a value', [99, M.FSCONFIG_SET_FLAG, 'ro', 'x'], E.EINVAL],
    ['a flag without a name', [99, M.FSCONFIG_SET_FLAG], E.EINVAL],
    ['a text without one', [99, M.FSCONFIG_SET_STRING, 'size'], E.EINVAL],
    ['a text with a number', [99, M.FSCONFIG_SET_STRING, 'size', '1', 1], E.EINVAL],
    ['bytes without a length', [99, M.FSCONFIG_SET_BINARY, 'size', '1', 0], E.EINVAL],
    ['too many bytes', [99, M.FSCONFIG_SET_BINARY, 'size', '1', 1024 * 1024 + 1], E.EINVAL],
    ['a path from nowhere', [99, M.FSCONFIG_SET_PATH, 'size', '1', -1], E.EINVAL],
    ['a descriptor with a value', [99, M.FSCONFIG_SET_FD, 'size', '1', 0], E.EINVAL],
    ['a command with a name', [99, M.FSCONFIG_CMD_CREATE, 'x'], E.EINVAL],
    ['a container with a name', [99, M.FSCONFIG_SET_CONTAINER, 'x', 0, 3], E.EINVAL],
    ['a closed descriptor', [99, M.FSCONFIG_CMD_CREATE], E.EBADF],
    ['another file', [0, M.FSCONFIG_CMD_CREATE], E.EINVAL],
    ['a name that is too long', [3, M.FSCONFIG_SET_FLAG, 'x'.repeat(256)], E.EINVAL],
    ['a value that is too long', [3, M.FSCONFIG_SET_STRING, 'size', 'x'.repeat(256)], E.EINVAL],
    ['an empty path', [3, M.FSCONFIG_SET_PATH, 'size', '', O.AT_FDCWD], E.ENOENT],
    ['a file that is closed', [3, M.FSCONFIG_SET_FD, 'size', 0, 99], E.EBADF],
    ['a path where a text belongs', [3, M.FSCONFIG_SET_PATH, 'size', '/', O.AT_FDCWD], E.EINVAL],
    ['a descriptor where a text belongs', [3, M.FSCONFIG_SET_FD, 'size', 0, 3], E.EINVAL],
    ['no option', [3, M.FSCONFIG_SET_STRING, 'nosuch', '1'], E.EINVAL],
    ['reconfiguring what is not there', [3, M.FSCONFIG_CMD_RECONFIGURE], E.EBUSY],
  ] as const)('refuses %s', (_what, args, errno) => {
    expect(m.open('tmpfs')).toBe(3);
    const [fd, cmd, key, value, aux] = args as readonly [number, number, string?, string?, number?];
    expect(m.config(fd, cmd, key ?? 0, value ?? 0, aux ?? 0)).toBe(-errno);
    expect(fs.check()).toEqual([]);
  });

  it('tells in its log what went wrong, once, the newest eight lines', () => {
    const fd = m.open('tmpfs');
    expect([m.set(fd, 'nosuch', '1'), m.set(fd, 'size', 'much')]).toEqual([-E.EINVAL, -E.EINVAL]);
    expect(readLog(fd, 5)).toBe(-E.EMSGSIZE);
    expect(readLog(fd)).toMatch(/^e tmpfs: .*size$/);
    expect(readLog(fd)).toBe(-E.ENODATA);
    for (let i = 0; i < 11; ++i) m.set(fd, `no${i}`);
    const lines = Array.from({ length: 9 }, () => readLog(fd));
    expect(lines[0]).toMatch(/no3$/);
    expect(lines[7]).toMatch(/no10$/);
    expect(lines[8]).toBe(-E.ENODATA);
    m.set(fd, 'x'.repeat(250));
    expect(String(readLog(fd))).toMatch(/x{50,}$/);
    expect(fs.check()).toEqual([]);
  });

  it('takes one source, a text', () => {
    const fd = m.open('tmpfs');
    expect([m.set(fd, 'source'), m.set(fd, 'source', 'here'), m.set(fd, 'source', 'x')]).toEqual([
      -E.EINVAL,
      0,
      -E.EINVAL,
    ]);
    expect([readLog(fd), readLog(fd)].every((line) => /^e tmpfs: /.test(String(line)))).toBe(true);
    expect(fs.check()).toEqual([]);
  });

  it('goes through its phases', () => {
    const fd = m.open('tmpfs');
    expect([m.mount(fd), m.set(fd, 'size', '1M'), m.create(fd), m.create(fd)]).toEqual([
      -E.EINVAL,
      0,
      0,
      -E.EBUSY,
    ]);
    expect([m.set(fd, 'size', '2M'), m.config(fd, M.FSCONFIG_CMD_RECONFIGURE)]).toEqual([
      -E.EBUSY,
      -E.EBUSY,
    ]);
    const at = m.mount(fd, M.FSMOUNT_CLOEXEC);
    expect([at, cloexec(at), m.mount(fd)]).toEqual([4, true, -E.EBUSY]);
    // from here on it is as if it had been picked
    expect([m.create(fd), m.set(fd, 'ro'), m.config(fd, M.FSCONFIG_CMD_RECONFIGURE)]).toEqual([
      -E.EBUSY,
      0,
      0,
    ]);
    expect(m.put(at, '/a')).toBe(0);
    expect([fs.mkdir('/a/x'), fs.check()]).toEqual([-E.EROFS, []]);
  });

  it('makes a new one when it has to be new', () => {
    const excl = (type: string): number[] => {
      const fd = m.open(type);
      const r = m.config(fd, M.FSCONFIG_CMD_CREATE_EXCL);
      return [r, m.create(fd)];
    };
    expect(excl('tmpfs')).toEqual([0, -E.EBUSY]);
    expect(m.old('none', '/a', 'mqueue')).toBe(0);
    expect(excl('mqueue')).toEqual([-E.EBUSY, -E.EBUSY]);
    expect(fs.check()).toEqual([]);
  });
});

describe('options of tmpfs', () => {
  const made = (...options: [string, string?][]): Stat => {
    const fd = m.open('tmpfs');
    for (const [key, value] of options) expect([key, m.set(fd, key, value)]).toEqual([key, 0]);
    expect(m.create(fd)).toBe(0);
    const at = m.mount(fd);
    expect(m.put(at, '/a')).toBe(0);
    return fs.stat('/a') as Stat;
  };
  const fill = (): number => {
    const fd = fs.open('/a/f', O.O_CREAT | O.O_RDWR);
    let pages = 0;
    while (fs.call(OP.OP_WRITE, fd, new Uint8Array(4096), 4096) === 4096) pages += 1;
    return pages;
  };

  it('are mode and owner of its root', () => {
    expect(made(['mode', '0750'], ['uid', '7'], ['gid', '0x8'])).toMatchObject({
      mode: 0o40750,
      uid: 7,
      gid: 8,
    });
  });

  it('are by default those of all, and of who mounts it', () => {
    expect(made()).toMatchObject({ mode: 0o41777, uid: 0, gid: 0 });
  });

  it.each([
    ['12k', 3],
    ['8191', 2],
    ['0x3000', 3],
  ])('size %s is as many pages', (size, pages) => {
    made(['size', size]);
    expect(fill()).toBe(pages);
    expect(fs.check()).toEqual([]);
  });

  it('nr_blocks and nr_inodes are limits, too', () => {
    made(['nr_blocks', '2'], ['nr_inodes', '3']);
    expect([fill(), fs.mkdir('/a/d'), fs.mkdir('/a/e')]).toEqual([2, 0, -E.ENOSPC]);
  });

  it.each([
    ['mode', '9'],
    ['mode', undefined],
    ['uid', 'x'],
    ['uid', '-1'],
    ['gid', ''],
    ['size', '1z'],
    ['size', '5%x'],
    ['size', '99999999999999999999'],
    ['size', undefined],
    ['nr_inodes', '1%'],
    ['huge', 'always'],
    ['noswap', '1'],
    ['nodev', undefined],
    ['silent', undefined],
  ])('%s=%s is none', (key, value) => {
    expect(m.set(m.open('tmpfs'), key, value)).toBe(-E.EINVAL);
  });

  it.each([
    ['size', '50%'],
    ['size', ''],
    ['huge', 'never'],
    ['inode64', undefined],
    ['noswap', undefined],
    ['nolazytime', undefined],
    ['rw', undefined],
  ])('%s=%s is one', (key, value) => {
    expect(m.set(m.open('tmpfs'), key, value)).toBe(0);
  });

  it('come as a list with mount(2)', () => {
    const mount = (data: string, flags = 0): number => m.old('none', '/a', 'tmpfs', flags, data);
    expect([mount('size=1z'), mount('nosuch'), mount('mode=700,,uid=5,size=8k')]).toEqual([
      -E.EINVAL,
      -E.EINVAL,
      0,
    ]);
    expect(fs.stat('/a')).toMatchObject({ mode: 0o40700, uid: 5 });
    expect(fill()).toBe(2);
    expect([mount('size=4k', M.MS_REMOUNT), mount('size=12k', M.MS_REMOUNT)]).toEqual([
      -E.EINVAL,
      0,
    ]);
    expect(fill()).toBe(3);
    expect(m.old('none', '/b', 'tmpfs', 0, 5)).toBe(-E.EFAULT);
    expect(fs.check()).toEqual([]);
  });

  it('of other types are their own', () => {
    for (const [type, key, value, r] of [
      ['ramfs', 'mode', '700', 0],
      ['ramfs', 'whatever', 'x', 0],
      ['ramfs', 'mode', '8', -E.EINVAL],
      ['proc', 'hidepid', '2', 0],
      ['proc', 'hidepid', '3', -E.EINVAL],
      ['proc', 'subset', 'pid', 0],
      ['proc', 'gid', '5', 0],
      ['proc', 'size', '5', -E.EINVAL],
      ['sysfs', 'size', '5', -E.EINVAL],
      ['mqueue', 'mode', '5', -E.EINVAL],
    ] as const) {
      expect([type, key, value, m.set(m.open(type), key, value)]).toEqual([type, key, value, r]);
    }
  });
});

describe('fspick', () => {
  it('needs the privilege, known flags and the root of a mount', () => {
    expect(lowly().pick('/none', 16)).toBe(-E.EPERM);
    expect([m.pick('/', 16), m.pick('/none'), m.pick('/a'), m.pick('', 0)]).toEqual([
      -E.EINVAL,
      -E.ENOENT,
      -E.EINVAL,
      -E.ENOENT,
    ]);
    const fd = m.pick('/', M.FSPICK_CLOEXEC);
    expect([fd, cloexec(fd)]).toEqual([3, true]);
    expect(m.pick('', M.FSPICK_EMPTY_PATH, fs.open('/', O.O_DIRECTORY))).toBe(5);
    expect(m.pick('', M.FSPICK_EMPTY_PATH, fd)).toBe(-E.EINVAL);
    expect(m.pick('', M.FSPICK_EMPTY_PATH, 99)).toBe(-E.EBADF);
  });

  it('reconfigures, unless somebody writes', () => {
    expect(m.old('none', '/a', 'tmpfs')).toBe(0);
    const writer = fs.open('/a/f', O.O_CREAT | O.O_WRONLY);
    const fd = m.pick('/a');
    expect([m.mount(fd), m.create(fd), m.set(fd, 'ro')]).toEqual([-E.EBUSY, -E.EBUSY, 0]);
    expect(m.config(fd, M.FSCONFIG_CMD_RECONFIGURE)).toBe(-E.EBUSY);
    // a failed one is good for nothing any more
    expect([m.set(fd, 'ro'), m.config(fd, M.FSCONFIG_CMD_RECONFIGURE)]).toEqual([
      -E.EBUSY,
      -E.EBUSY,
    ]);
    fs.close(writer);
    const again = m.pick('/a');
    expect([m.set(again, 'ro'), m.config(again, M.FSCONFIG_CMD_RECONFIGURE)]).toEqual([0, 0]);
    expect([fs.mkdir('/a/x'), fs.check()]).toEqual([-E.EROFS, []]);
    expect([m.set(again, 'rw'), m.config(again, M.FSCONFIG_CMD_RECONFIGURE)]).toEqual([0, 0]);
    expect(fs.mkdir('/a/x')).toBe(0);
  });

  it('is for the owner of the file system', () => {
    const low = lowly();
    expect(low.fs.call(OP.OP_UNSHARE, 0x10000000 | 0x20000)).toBe(0);
    const fd = low.pick('/');
    expect([fd > 0, low.set(fd, 'ro'), low.config(fd, M.FSCONFIG_CMD_RECONFIGURE)]).toEqual([
      true,
      0,
      -E.EPERM,
    ]);
  });
});

describe('a read-only mount', () => {
  it('is not made of one in which somebody writes', () => {
    expect(m.old('none', '/a', 'tmpfs')).toBe(0);
    const fd = fs.open('/a/f', O.O_CREAT | O.O_RDWR);
    const again = M.MS_REMOUNT | M.MS_RDONLY;
    expect([m.old(0, '/a', 0, again | M.MS_BIND), m.old(0, '/a', 0, again)]).toEqual([
      -E.EBUSY,
      -E.EBUSY,
    ]);
    expect(fs.open('/a/f')).toBeGreaterThan(fd);
    fs.close(fd);
    expect([m.old(0, '/a', 0, again | M.MS_BIND), m.old(0, '/a', 0, again)]).toEqual([0, 0]);
    expect(fs.check()).toEqual([]);
  });
});
