// Protects: socketcall(2) of i386: each of its numbers is the call of that name, with as many
// arguments out of memory as that call has; a receive that waits goes on with the same ones.
import { beforeEach, expect, it } from 'vitest';
import * as E from '../../../assembly/uapi/errno.ts';
import * as OP from '../../../assembly/uapi/op.ts';
import * as K from '../../../assembly/uapi/socket.ts';
import {
  addAuditRule,
  AuditFormatter,
  createKernel,
  DISP_BLOCKED,
  DISP_DONE,
  drainAudit,
  enableAudit,
  type Kernel,
} from '../../../host/index.ts';

const ARGS = 0x1000;
const NAME = 0x2000;
const BUFFER = 0x3000;

let k: Kernel;
let table = 0;
beforeEach(async () => {
  k = await createKernel();
  table = k.registerTable(Uint16Array.of(0, OP.OP_SOCKETCALL, OP.OP_FORK), true);
  return () => expect(k.check()).toEqual([]);
});

/** The call's result, 'sleeps', or its disposition where it is neither. */
function socketcall(call: number, args: number[], name?: Uint8Array, tid = 1) {
  const frame = k.frame.begin(tid, table, 1).setArg(0, call).setArg(1, ARGS);
  frame.window(ARGS, new Uint8Array(Int32Array.from(args).buffer), 'r');
  if (name) frame.window(NAME, name, 'rw');
  frame.window(BUFFER, new Uint8Array(64), 'rw');
  const disposition = k.trap();
  if (disposition === DISP_BLOCKED) return 'sleeps';
  return disposition === DISP_DONE ? frame.result : `disposition ${disposition}`;
}

/** A listener with an abstract name, and who connected to it. */
function pair(): { a: number; b: number } {
  const name = new Uint8Array([K.AF_UNIX, 0, 0, 120]);
  const listener = socketcall(K.SYS_SOCKET, [K.AF_UNIX, K.SOCK_STREAM, 0]) as number;
  expect(socketcall(K.SYS_BIND, [listener, NAME, 4], name)).toBe(0);
  expect(socketcall(K.SYS_LISTEN, [listener, 5])).toBe(0);
  const a = socketcall(K.SYS_SOCKET, [K.AF_UNIX, K.SOCK_STREAM, 0]) as number;
  expect(socketcall(K.SYS_CONNECT, [a, NAME, 4], name)).toBe(0);
  const b = socketcall(K.SYS_ACCEPT4, [listener, 0, 0, K.SOCK_NONBLOCK]) as number;
  expect(b).toBe(a + 1);
  return { a, b };
}

it('connects, sends and receives', () => {
  const { a, b } = pair();
  expect(socketcall(K.SYS_RECV, [b, BUFFER, 8, 0])).toBe(-E.EAGAIN);
  expect(socketcall(K.SYS_SEND, [a, BUFFER, 5, 0])).toBe(5);
  expect(socketcall(K.SYS_RECVFROM, [b, BUFFER, 3, 0, 0, 0])).toBe(3);
  expect(socketcall(K.SYS_RECV, [b, BUFFER, 8, 0])).toBe(2);
  expect(socketcall(K.SYS_SHUTDOWN, [a, 1])).toBe(0);
  expect(socketcall(K.SYS_RECV, [b, BUFFER, 8, 0])).toBe(0);
  const length = new Uint8Array(Int32Array.of(16).buffer);
  expect(socketcall(K.SYS_GETPEERNAME, [a, BUFFER, NAME], length)).toBe(0);
  expect(new Int32Array(length.slice().buffer)[0]).toBe(16);
});

it('a receive that waits goes on with its own arguments', () => {
  const { a, b } = pair();
  const child = k.frame.begin(1, table, 2);
  expect(k.trap()).toBe(DISP_DONE);
  const other = child.result;
  expect(socketcall(K.SYS_RECV, [a, BUFFER, 8, 0], undefined, other)).toBe('sleeps');
  const frame = k.frameOf(other)!;
  expect(socketcall(K.SYS_SENDTO, [b, BUFFER, 4, 0, 0, 0])).toBe(4);
  expect(k.resume(other)).toBe(DISP_DONE);
  expect(frame.result).toBe(4);
});

it('the audit log has its own arguments', () => {
  enableAudit(k);
  addAuditRule(k, {});
  expect(socketcall(K.SYS_SOCKET, [K.AF_UNIX, K.SOCK_DGRAM, 0])).toBe(3);
  const [line] = drainAudit(k).flatMap((event) => new AuditFormatter().lines(event));
  expect(line).toContain(' success=yes exit=3 a0=1 a1=1000 ');
});

it('numbers that it has not, and arguments that are not there', () => {
  expect(socketcall(0, [])).toBe(-E.EINVAL);
  expect(socketcall(K.SYS_SENDMMSG + 1, [0, 0, 0])).toBe(-E.EINVAL);
  const frame = k.frame.begin(1, table, 1).setArg(0, K.SYS_SOCKET).setArg(1, ARGS);
  frame.window(ARGS, 4096, 'unmapped');
  expect([k.trap(), frame.result]).toEqual([DISP_DONE, -E.EFAULT]);
});
