// Sockets.
import * as OP from '../../../assembly/uapi/op.ts';
import { by, type CallDef, opens, part, PLAIN } from '../def.ts';

const WORLDS = "sockets whose other end lies outside are the world's";
const onSocket = (op: number, result: CallDef['result'], args: string, note = WORLDS): CallDef =>
  part(op, result, args, note, { classBy: 'byFile' });

/** Calls that a replay leaves to the world. */
const apart = (op: number, result: CallDef['result'], args: string, note = WORLDS): CallDef => {
  return { op, args, result, class: 'unmodelled', support: 'partial', note };
};
const OWN = { class: 'emulated', classBy: 'byFile' } as const;

/** Calls that make and connect sockets, and those on sockets that are there. */
export const SOCKET_CALLS: Readonly<Record<string, CallDef>> = {
  socket: {
    ...opens('op flags:sock op', by(1), { note: 'unix, inet, inet6, netlink (route), packet' }),
    ...OWN,
    op: OP.OP_SOCKET,
  },
  socketpair: part(
    OP.OP_SOCKETPAIR,
    'zero',
    'op flags:sock op out:fdpair',
    "families but AF_UNIX are the world's",
    { classBy: 'byFile' },
  ),
  bind: onSocket(OP.OP_BIND, 'zero', 'fd in:byte@2 int'),
  connect: onSocket(OP.OP_CONNECT, 'zero', 'fd in:byte@2 int'),
  listen: onSocket(OP.OP_LISTEN, 'zero', 'fd int'),
  accept: { ...opens('fd addr addr', PLAIN, { note: WORLDS }), ...OWN, op: OP.OP_ACCEPT },
  accept4: {
    ...opens('fd addr addr flags:sock', by(3), { note: WORLDS }),
    ...OWN,
    op: OP.OP_ACCEPT4,
  },
  sendto: onSocket(OP.OP_SENDTO, 'size', 'fd in:byte*2 ulong flags:msg addr int'),
  recvfrom: onSocket(OP.OP_RECVFROM, 'size', 'fd out:byte*2 ulong flags:msg addr addr'),
  sendmsg: onSocket(OP.OP_SENDMSG, 'size', 'fd in:msghdr flags:msg'),
  recvmsg: onSocket(OP.OP_RECVMSG, 'size', 'fd io:msghdr flags:msg'),
  sendmmsg: apart(OP.OP_SENDMMSG, 'int', 'fd io:mmsghdr*2 uint flags:msg'),
  recvmmsg: apart(
    OP.OP_RECVMMSG,
    'int',
    'fd io:mmsghdr*2 uint flags:msg in:timespec',
    'waits for the first message and takes what is there of the rest',
  ),
  shutdown: onSocket(OP.OP_SHUTDOWN, 'zero', 'fd op'),
  setsockopt: onSocket(OP.OP_SETSOCKOPT, 'zero', 'fd op op in:byte*4 int'),
  getsockopt: onSocket(OP.OP_GETSOCKOPT, 'zero', 'fd op op addr io:i32'),
  getsockname: onSocket(OP.OP_GETSOCKNAME, 'zero', 'fd addr io:i32'),
  getpeername: onSocket(OP.OP_GETPEERNAME, 'zero', 'fd addr io:i32'),
  socketcall: apart(OP.OP_SOCKETCALL, 'int', 'op addr', 'every call on sockets in one'),
};
