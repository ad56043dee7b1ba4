// Protects: the names of a machine, by uts namespace; the errno order of setting them; the older
// forms of uname.
import { beforeEach, expect, it } from 'vitest';
import * as E from '../../../assembly/uapi/errno.ts';
import * as OP from '../../../assembly/uapi/op.ts';
import * as C from '../../../assembly/uapi/sched.ts';
import { SIGCHLD } from '../../../assembly/uapi/signal.ts';
import { DISP_NEED } from '../../../host/index.ts';
import { USER } from './driver.ts';
import { type NsDriver, nsDriver } from './ns-driver.ts';

let d: NsDriver;
const bytes = (s: string): Uint8Array => new TextEncoder().encode(s);
const set = (tid: number, name: string, op = OP.OP_SETHOSTNAME): number =>
  d.mem(tid, op, [USER, name.length], bytes(name));

/** Fields of a utsname of `width` bytes each. */
function uname(tid: number, op = OP.OP_UNAME, width = 65, fields = 6): string[] {
  const frame = d.k.frame.begin(tid, 0, op).setArg(0, USER);
  frame.window(USER, width * fields, 'w');
  d.k.trap();
  const all = frame.output(USER, width * fields)!;
  const field = (i: number): string =>
    new TextDecoder().decode(all.subarray(i * width, (i + 1) * width)).replace(/\0+$/, '');
  return Array.from({ length: fields }, (_, i) => field(i));
}

beforeEach(async () => {
  d = await nsDriver();
  return () => expect(d.k.check()).toEqual([]);
});

it('names the machine and the domain', () => {
  expect(uname(1)).toEqual(['Linux', '(none)', '6.18.0', '#1', 'x86_64', '(none)']);
  expect(set(1, 'a longer name than what follows')).toBe(0);
  expect(set(1, 'host')).toBe(0);
  expect(set(1, 'example.org', OP.OP_SETDOMAINNAME)).toBe(0);
  expect(uname(1).slice(1)).toEqual(['host', '6.18.0', '#1', 'x86_64', 'example.org']);
  expect(set(1, 'x'.repeat(64))).toBe(0);
  expect(uname(1)[1]).toBe('x'.repeat(64));
  expect(set(1, '')).toBe(0);
  expect(uname(1)[1]).toBe('');
});

it('gives the older calls what fits', () => {
  set(1, 'a-machine');
  expect(uname(1, OP.OP_OLDUNAME, 65, 5)[1]).toBe('a-machine');
  expect(uname(1, OP.OP_OLDOLDUNAME, 9, 5)).toEqual([
    'Linux',
    'a-machin',
    '6.18.0',
    '#1',
    'x86_64',
  ]);
});

it('refuses in this order: privilege, length, address', () => {
  const t = d.fork();
  expect(d.call(t, OP.OP_SETUID, 1000)).toBe(0);
  for (const op of [OP.OP_SETHOSTNAME, OP.OP_SETDOMAINNAME]) {
    expect(d.call(t, op, 0, 65)).toBe(-E.EPERM);
    expect(d.call(1, op, 0, 65)).toBe(-E.EINVAL);
    expect(d.call(1, op, 0, -1)).toBe(-E.EINVAL);
    const frame = d.k.frame.begin(1, 0, op).setArg(0, USER).setArg(1, 4);
    frame.window(USER, 4, 'unmapped');
    d.k.trap();
    expect(frame.result).toBe(-E.EFAULT);
    d.k.frame.begin(1, 0, op).setArg(0, USER).setArg(1, 4);
    expect(d.k.trap()).toBe(DISP_NEED);
  }
  expect(uname(1)[1]).toBe('(none)');
  for (const op of [OP.OP_UNAME, OP.OP_OLDUNAME, OP.OP_OLDOLDUNAME]) {
    const frame = d.k.frame.begin(1, 0, op).setArg(0, USER).window(USER, 390, 'unmapped');
    d.k.trap();
    expect(frame.result).toBe(-E.EFAULT);
  }
});

it('begins a namespace with the names of the old one, and then goes apart', () => {
  set(1, 'first');
  const child = d.call(1, OP.OP_CLONE, C.CLONE_NEWUTS | SIGCHLD);
  const sharer = d.fork();
  expect(uname(child)[1]).toBe('first');
  set(child, 'second');
  expect(uname(1)[1]).toBe('first');
  expect(uname(sharer)[1]).toBe('first');
  set(1, 'third');
  expect(uname(sharer)[1]).toBe('third');
  expect(d.call(sharer, OP.OP_UNSHARE, C.CLONE_NEWUTS)).toBe(0);
  set(sharer, 'fourth');
  expect([1, child, sharer].map((tid) => uname(tid)[1])).toEqual(['third', 'second', 'fourth']);
});

it('asks for the privilege in the namespace that owns the names', () => {
  const t = d.fork();
  d.call(t, OP.OP_SETUID, 1000);
  expect(d.call(t, OP.OP_UNSHARE, C.CLONE_NEWUSER)).toBe(0);
  expect(set(t, 'mine')).toBe(-E.EPERM);
  expect(d.call(t, OP.OP_UNSHARE, C.CLONE_NEWUTS)).toBe(0);
  expect(set(t, 'mine')).toBe(0);
  expect(uname(1)[1]).toBe('(none)');
});
