// Protects: the file system of POSIX message queues: what it lists, what can be made, whose it is.
import { beforeEach, describe, expect, it } from 'vitest';
import * as E from '../../../assembly/uapi/errno.ts';
import * as O from '../../../assembly/uapi/fcntl.ts';
import * as OP from '../../../assembly/uapi/op.ts';
import * as C from '../../../assembly/uapi/sched.ts';
import { SIGCHLD } from '../../../assembly/uapi/signal.ts';
import { Fs } from '../vfs/driver.ts';
import { getattr, open, send, small } from './queues.ts';

let fs: Fs;
beforeEach(async () => {
  fs = await Fs.boot();
});

describe('as a file system', () => {
  beforeEach(() => {
    fs.mkdir('/mq');
    expect(fs.call(OP.OP_MOUNT, 0, '/mq', new Uint8Array(Buffer.from('mqueue\0')), 0, 0)).toBe(0);
  });

  it('lists the queues of the namespace', () => {
    const fd = small(fs, 'one');
    send(fs, fd, 'abc');
    expect(fs.ls('/mq')).toEqual(['.', '..', 'one']);
    expect(fs.stat('/mq')).toMatchObject({ mode: 0o41777 });
    expect(fs.stat('/mq/one')).toMatchObject({ mode: 0o100600, size: 80 });
    expect(fs.read(fs.open('/mq/one'), 99)).toMatch(
      /^QSIZE:3 +NOTIFY:0 +SIGNO:0 +NOTIFY_PID:0 +\n$/,
    );
    expect([fs.fstat(fd), fs.check()]).toEqual([fs.stat('/mq/one'), []]);
    expect([fs.unlink('/mq/one'), open(fs, 'one', O.O_RDONLY)]).toEqual([0, -E.ENOENT]);
  });

  it('makes queues, and nothing else', () => {
    const fd = fs.open('/mq/two', O.O_CREAT | O.O_RDWR);
    expect([send(fs, fd, 'x'), getattr(fs, fd)]).toEqual([0, [0, 10, 8192, 1]]);
    expect(open(fs, 'two', O.O_RDONLY)).toBeGreaterThan(0);
    expect([fs.mkdir('/mq/d'), fs.symlink('a', '/mq/l'), fs.link('/mq/two', '/mq/three')]).toEqual([
      -E.EPERM,
      -E.EPERM,
      -E.EPERM,
    ]);
    expect([fs.rename('/mq/two', '/mq/three'), fs.check()]).toEqual([-E.EPERM, []]);
  });

  it('is one for all mounts, and outlives the namespace empty-handed', () => {
    fs.mkdir('/again');
    fs.call(OP.OP_MOUNT, 0, '/again', new Uint8Array(Buffer.from('mqueue\0')), 0, 0);
    small(fs, 'q');
    expect(fs.ls('/again')).toEqual(['.', '..', 'q']);
    const inner = fs.as(fs.call(OP.OP_CLONE, C.CLONE_NEWIPC | SIGCHLD));
    fs.mkdir('/inner');
    const mqueue = new Uint8Array(Buffer.from('mqueue\0'));
    expect(inner.call(OP.OP_MOUNT, 0, '/inner', mqueue, 0, 0)).toBe(0);
    const fd = small(inner, 'mine');
    expect([inner.ls('/inner'), fs.ls('/mq')]).toEqual([
      ['.', '..', 'mine'],
      ['.', '..', 'q'],
    ]);
    inner.close(fd);
    inner.run(OP.OP_EXIT, 0);
    fs.call(OP.OP_WAIT4, inner.tid, 0, 0, 0);
    expect([fs.ls('/inner'), fs.open('/inner/x', O.O_CREAT)]).toEqual([
      ['.', '..', 'mine'],
      -E.EACCES,
    ]);
    expect([fs.call(OP.OP_UMOUNT2, '/inner', 0), fs.check()]).toEqual([0, []]);
  });

  it('is for who owns the namespace', () => {
    fs.become(1000);
    const inner = fs.as(fs.call(OP.OP_CLONE, C.CLONE_NEWUSER | C.CLONE_NEWNS | SIGCHLD));
    const mqueue = new Uint8Array(Buffer.from('mqueue\0'));
    expect(inner.call(OP.OP_MOUNT, 0, '/mq', mqueue, 0, 0)).toBe(-E.EPERM);
    inner.call(OP.OP_UNSHARE, C.CLONE_NEWIPC);
    expect(inner.call(OP.OP_MOUNT, 0, '/mq', mqueue, 0, 0)).toBe(0);
    expect(fs.check()).toEqual([]);
  });
});
