// Protects: names of unix sockets that are nodes of the kernel's own file system: made by bind,
// found by connect, with the permissions of the path.
import { beforeEach, expect, it } from 'vitest';
import * as E from '../../../assembly/uapi/errno.ts';
import * as OP from '../../../assembly/uapi/op.ts';
import * as K from '../../../assembly/uapi/socket.ts';
import { createKernel } from '../../../host/index.ts';
import { Net, un, USER } from './machine.ts';

let n: Net;
beforeEach(async () => {
  n = new Net(await createKernel({ target: 'debug', boot: { root: 'ramfs' } }));
  return () => expect(n.k.check()).toEqual([]);
});

const unlink = (path: string): number =>
  n.mem(1, OP.OP_UNLINKAT, [-100, USER, 0], new TextEncoder().encode(`${path}\0`));

it('a node is made once, and leads to the socket as long as that is there', () => {
  const s = n.server(K.AF_UNIX, un('/sock'));
  expect(n.bind(n.unix(), un('/sock'))).toBe(-E.EADDRINUSE);
  expect(n.bind(n.unix(), un('/none/sock'))).toBe(-E.ENOENT);
  expect(n.connect(n.unix(), un('/sock'))).toBe(0);
  expect(n.connect(n.unix(K.SOCK_DGRAM), un('/sock'))).toBe(-E.EPROTOTYPE);
  expect(n.connect(n.unix(), un('/gone'))).toBe(-E.ENOENT);
  expect(n.connect(n.unix(), un('/'))).toBe(-E.ECONNREFUSED);
  n.close(s);
  expect(n.connect(n.unix(), un('/sock'))).toBe(-E.ECONNREFUSED);
  expect(n.bind(n.unix(), un('/sock'))).toBe(-E.EADDRINUSE);
  expect(unlink('/sock')).toBe(0);
  expect(n.server(K.AF_UNIX, un('/sock'))).toBeGreaterThan(0);
});

it('a node that is unlinked leads nowhere, and its socket goes on', () => {
  const s = n.server(K.AF_UNIX, un('/sock'));
  n.connect(n.unix(), un('/sock'));
  unlink('/sock');
  expect(n.connect(n.unix(), un('/sock'))).toBe(-E.ENOENT);
  expect(n.accept(s)).toBeGreaterThan(s);
});

it('connecting needs the right to write', () => {
  n.server(K.AF_UNIX, un('/sock'));
  const user = n.as(n.unprivileged());
  // made with umask 022
  expect(user.connect(user.unix(), un('/sock'))).toBe(-E.EACCES);
  expect(user.bind(user.unix(), un('/mine'))).toBe(-E.EACCES);
});

it('datagrams go there', () => {
  const a = n.unix(K.SOCK_DGRAM);
  expect(n.bind(a, un('/log'))).toBe(0);
  expect(n.sendTo(n.unix(K.SOCK_DGRAM), 5, un('/log'))).toBe(5);
  expect(n.recv(a, 9)).toBe(5);
});
