// The calls on sockets with names that may run out of memory.
import * as OP from '../../assembly/uapi/op.ts';
import type { Counts } from '../../host/index.ts';
import { type Call, type Case, FORK, USER } from './file-cases.ts';

/** What a network namespace has once a socket asked for it stays. */
const KEPT: (keyof Counts)[] = ['netDevices', 'netAddresses'];

const LO80 = new Uint8Array([2, 0, 0, 80, 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0]);
const NAME = new Uint8Array([1, 0, 0, 65]);
const socket = (family: number, type: number): Call => ({
  op: OP.OP_SOCKET,
  args: [family, type, 0],
});
const named = (op: number, fd: number, name: Uint8Array): Call => ({
  op,
  args: [fd, USER, name.length],
  memory: name,
});
const listen: Call = { op: OP.OP_LISTEN, args: [3, 8] };
const TCP = [socket(2, 1), named(OP.OP_BIND, 3, LO80), listen, socket(2, 1)];
const UNIX = [socket(1, 1), named(OP.OP_BIND, 3, NAME), listen, socket(1, 1)];
const to80 = named(OP.OP_CONNECT, 4, LO80);
const toName = named(OP.OP_CONNECT, 4, NAME);
const accept: Call = { op: OP.OP_ACCEPT, args: [3, 0, 0] };

export const NET_CASES: Record<string, Case> = {
  'the first socket': { ...socket(2, 1), copies: KEPT },
  'a socket after fork': {
    ...socket(1, 1),
    before: [socket(1, 1), FORK],
    copies: ['fdTables'],
  },
  'a name of a socket': { ...named(OP.OP_BIND, 3, NAME), before: [socket(1, 1)] },
  'connect of inet': { ...to80, before: TCP },
  'connect of unix': { ...toName, before: UNIX },
  'accept of inet': { ...accept, before: [...TCP, to80] },
  'accept of unix': { ...accept, before: [...UNIX, toName] },
  'accept that sleeps': { ...accept, before: TCP },
  'a datagram': {
    op: OP.OP_SENDTO,
    args: [4, 0x9000, 5, 0, USER, 16],
    memory: LO80,
    before: [socket(2, 2), named(OP.OP_BIND, 3, LO80), socket(2, 2)],
  },
  'a datagram to a name': {
    op: OP.OP_SENDTO,
    args: [4, 0x9000, 5, 0, USER, NAME.length],
    memory: NAME,
    before: [socket(1, 2), named(OP.OP_BIND, 3, NAME), socket(1, 2)],
  },
  'bytes of a connection': {
    op: OP.OP_WRITE,
    args: [5, 0x9000, 9],
    before: [...TCP, to80, accept],
  },
  'a socket in a container': {
    op: OP.OP_CONTAINER_SOCKET,
    args: [3, 2, 1, 0],
    memory: new Uint8Array(8),
    before: [{ op: OP.OP_CONTAINER_CREATE, args: [USER, 0x80], memory: new Uint8Array([66, 0]) }],
    copies: KEPT,
  },
};
