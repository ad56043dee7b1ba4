// Protects: signals of inet sockets with O_ASYNC: a connection's begin, data and end, its refusal,
// datagrams, in the order in which a recorded program took them.
import { beforeEach, expect, it } from 'vitest';
import * as E from '../../../assembly/uapi/errno.ts';
import * as O from '../../../assembly/uapi/fcntl.ts';
import * as OP from '../../../assembly/uapi/op.ts';
import * as S from '../../../assembly/uapi/signal.ts';
import * as K from '../../../assembly/uapi/socket.ts';
import { in4, type Net, net, USER } from './machine.ts';
import { words } from '../trap.ts';

const LO = '127.0.0.1';
const RT = 40;

let n: Net;
beforeEach(async () => {
  n = await net();
  n.mem(1, OP.OP_RT_SIGACTION, [RT, USER, 0, 8], words(0x1000, 0, 0, 0, 0, 0, 0, 0));
  return () => expect(n.k.check()).toEqual([]);
});

function async(fd: number): number {
  n.call(1, OP.OP_FCNTL, fd, O.F_SETOWN, 1);
  n.call(1, OP.OP_FCNTL, fd, O.F_SETSIG, RT);
  n.call(1, OP.OP_FCNTL, fd, O.F_SETFL, O.O_ASYNC);
  return fd;
}
/** [si_code, si_fd] of what is taken. */
function taken(): number[][] {
  const all: number[][] = [];
  for (let step = 0; step < 20; ++step) {
    const { info } = n.k.exitToUser(1);
    if (!info.signo) return all;
    all.push([info.code, Number(info.value)]);
    n.call(1, OP.OP_RT_SIGRETURN);
  }
  return all;
}
const write = (fd: number, count: number): number =>
  n.mem(1, OP.OP_WRITE, [fd, USER, count], new Uint8Array(count));

it('a connection: both ends are told, and the signal ends the wait for it', () => {
  const s = async(n.server(K.AF_INET, in4(LO, 0)));
  const name = in4(LO, n.portOf(s));
  const c = async(n.tcp());
  expect(n.connect(c, name)).toBe(-E.ERESTARTSYS);
  expect(taken()).toEqual([
    [S.POLL_OUT, c],
    [S.POLL_IN, s],
  ]);
  expect(n.connect(c, name)).toBe(0);
  const a = async(n.accept(s));
  write(c, 3);
  expect(taken()).toEqual([[S.POLL_IN, a]]);
  n.mem(1, OP.OP_READ, [a, USER, 9], 9);
  n.call(1, OP.OP_SHUTDOWN, c, 1);
  expect(taken()).toEqual([
    [S.POLL_IN, a],
    [S.POLL_IN, a],
  ]);
  n.close(a);
  expect(taken()).toEqual([
    [S.POLL_HUP, c],
    [S.POLL_IN, c],
  ]);
});

it('a refused connection and a lost datagram are errors', () => {
  const gone = n.server(K.AF_INET, in4(LO, 0));
  const name = in4(LO, n.portOf(gone));
  n.close(gone);
  const c = async(n.tcp());
  expect(n.connect(c, name)).toBe(-E.ERESTARTSYS);
  expect(taken()).toEqual([[S.POLL_ERR, c]]);
  expect(n.connect(c, name)).toBe(-E.ECONNREFUSED);
  const u = async(n.socket(K.AF_INET, K.SOCK_DGRAM));
  n.connect(u, name);
  write(u, 1);
  expect(taken()).toEqual([[S.POLL_ERR, u]]);
});
