// Protects: what the descriptor of a container is to calls that know nothing of containers.
import { beforeEach, describe, expect, it } from 'vitest';
import { CONTAINERFS_MAGIC } from '../../../assembly/uapi/container.ts';
import * as E from '../../../assembly/uapi/errno.ts';
import { AT_EMPTY_PATH } from '../../../assembly/uapi/fcntl.ts';
import * as OP from '../../../assembly/uapi/op.ts';
import { DISP_DONE } from '../../../host/index.ts';
import { type Machine, machine, TARGETS, text, USER } from './machine.ts';

const MODE = 0o600;

describe.each(TARGETS)('on the %s kernel', (target) => {
  let m: Machine;
  let fd: number;
  const view = (): DataView => new DataView(m.out.buffer, m.out.byteOffset);

  beforeEach(async () => {
    m = await machine(target);
    m.create(1, 'first');
    fd = m.create(1, 'box');
    return () => expect(m.k.check()).toEqual([]);
  });

  // spec: read and write EBADF; lseek ESPIPE; ioctl ENOTTY; mmap EACCES
  it('cannot be read, written, sought, controlled or mapped', () => {
    expect(m.call(1, OP.OP_READ, [fd, USER, 4], 4)).toBe(-E.EBADF);
    expect(m.call(1, OP.OP_WRITE, [fd, USER, 4], 4)).toBe(-E.EBADF);
    expect(m.call(1, OP.OP_LSEEK, [fd, 0, 0])).toBe(-E.ESPIPE);
    expect(m.call(1, OP.OP_IOCTL, [fd, 0x5401, 0])).toBe(-E.ENOTTY);
    expect(m.call(1, OP.OP_MMAP, [0, 4096, 1, 1, fd, 0])).toBe(-E.EACCES);
  });

  // spec: container:[ino]; dup shares one open file
  it('is one open file to all its descriptors, with a link of its own', () => {
    m.call(1, OP.OP_DUP, [fd]);
    const links = m.k.fds(1).map((f) => f.link);
    expect(links.slice(3)).toEqual(['container:[2]', 'container:[3]', 'container:[3]']);
    const child = m.fork(1);
    expect(m.container('box')?.usage).toBe(2 - 1);
    m.exit(child);
    expect(m.container('box')?.usage).toBe(1);
  });

  // spec: fstat identity; fstatfs magic; containerfs magic
  it('has an inode: its id, mode 0600, no type', () => {
    expect(m.call(1, OP.OP_FSTAT, [fd, USER], 144)).toBe(0);
    expect([view().getBigUint64(8, true), view().getUint32(24, true)]).toEqual([3n, MODE]);
    expect(m.call(1, OP.OP_FSTATFS, [fd, USER], 120)).toBe(0);
    expect(view().getBigUint64(0, true)).toBe(BigInt(CONTAINERFS_MAGIC));
    expect(m.call(1, OP.OP_FSTAT, [fd, USER], 'unmapped')).toBe(-E.EFAULT);
    expect(m.call(1, OP.OP_FSTATFS, [fd, USER], 'unmapped')).toBe(-E.EFAULT);
    // the path is empty, the buffer lies behind it
    const at = (op: number, args: number[], path: string, size: number): DataView | number => {
      const frame = m.k.frame.begin(1, 0, op);
      args.forEach((arg, i) => frame.setArg(i, arg));
      frame.window(USER, text(path), 'r').window(USER + 16, size, 'w');
      expect(m.k.trap()).toBe(DISP_DONE);
      if (frame.result < 0) return frame.result;
      return new DataView(frame.output(USER + 16, size)!.buffer);
    };
    const stat = at(OP.OP_NEWFSTATAT, [fd, USER, USER + 16, AT_EMPTY_PATH], '', 144) as DataView;
    expect([stat.getBigUint64(8, true), stat.getUint32(24, true)]).toEqual([3n, MODE]);
    const statx = at(OP.OP_STATX, [fd, USER, AT_EMPTY_PATH, 0xfff, USER + 16], '', 256) as DataView;
    expect([statx.getBigUint64(32, true), statx.getUint16(28, true)]).toEqual([3n, MODE]);
    expect(at(OP.OP_NEWFSTATAT, [fd, USER, USER + 16, 0], '', 144)).toBe(-E.ENOENT);
  });

  // spec: the i386 layouts
  it('has the same in the structures of i386', () => {
    const table = m.k.registerTable(Uint16Array.of(0, OP.OP_FSTAT, OP.OP_FSTATFS), true);
    const call = (nr: number, ecx: number, edx: number, size: number): DataView | number => {
      const frame = m.k.frame.begin(1, table, nr).setReg('rbx', fd);
      frame.setReg('rcx', ecx).setReg('rdx', edx).window(USER, size, 'w');
      m.k.trap();
      return frame.result < 0 ? frame.result : new DataView(frame.output(USER, size)!.buffer);
    };
    const stat = call(1, USER, 0, 96) as DataView;
    expect([stat.getUint32(12, true), stat.getUint32(16, true)]).toEqual([3, MODE]);
    const statfs = call(2, 84, USER, 84) as DataView;
    expect(statfs.getUint32(0, true)).toBe(CONTAINERFS_MAGIC);
    expect(call(2, 83, USER, 84)).toBe(-E.EINVAL);
  });

  it('is not what other descriptors are: those are the world to say', () => {
    for (const op of [OP.OP_FSTAT, OP.OP_FSTATFS, OP.OP_LSEEK, OP.OP_IOCTL]) {
      const frame = m.k.frame.begin(1, 0, op).setArg(0, 0).assistRet(0);
      m.k.trap();
      expect(frame.result).toBe(0);
    }
  });
});
