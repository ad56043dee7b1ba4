// How each call on files is put into a frame: which argument is a number, a buffer, a structure.
import { F_RDLCK, F_UNLCK, F_WRLCK } from '../../assembly/uapi/fcntl.ts';
import * as OP from '../../assembly/uapi/op.ts';
import type { Frame } from '../frame.ts';
import type { ArgNode } from '../trace/args.ts';
import { fieldOf } from '../trace/values.ts';
import { Buffers } from './buffers.ts';
import type { Call } from './call.ts';
import { IPC_ENCODERS } from './ipc.ts';
import { MQ_ENCODERS } from './mqueue.ts';
import { timeOf } from './memory.ts';
import { valueOf } from './value.ts';
import { encodeTerminal, terminalCommand } from './terminals.ts';

const WRITES_VALUE = new Set(['eventfd', 'timerfd', 'signalfd']);

const LOCK_COMMANDS = /^F_(OFD_)?(GETLK|SETLKW?)(64)?$/;

function put64(view: DataView, at: number, node: ArgNode | undefined): boolean {
  const value = valueOf(node);
  if (value !== undefined) view.setBigInt64(at, BigInt.asIntN(64, value), true);
  return value !== undefined;
}

function put32(view: DataView, at: number, node: ArgNode | undefined): boolean {
  const value = valueOf(node);
  if (value !== undefined) view.setInt32(at, Number(BigInt.asIntN(32, value)), true);
  return value !== undefined;
}

/** struct epoll_event, packed. */
function putEvent(view: DataView, node: ArgNode): boolean {
  const data = fieldOf(node, 'data');
  const events = fieldOf(node, 'events');
  return put32(view, 0, events) && put64(view, 4, data ? fieldOf(data, 'u64') : undefined);
}

/** struct itimerspec. */
function putTimer(view: DataView, node: ArgNode): boolean {
  for (const [at, name] of [
    [0, 'it_interval'],
    [16, 'it_value'],
  ] as const) {
    const field = fieldOf(node, name);
    const time = field && timeOf(field);
    if (!time) return false;
    view.setBigInt64(at, time[0], true);
    view.setBigInt64(at + 8, time[1], true);
  }
  return true;
}

/**
 * struct flock. A log shows the one of F_GETLK as the kernel left it: what was asked for is taken
 * to be a write lock where one was found, a read lock where none was.
 */
function putLock(b: Buffers, view: DataView, node: ArgNode): boolean {
  const at = b.compat ? 4 : 8;
  const type = valueOf(fieldOf(node, 'l_type'));
  const whence = valueOf(fieldOf(node, 'l_whence'));
  if (type === undefined || whence === undefined) return false;
  const asks = /GETLK/.test(commandOf(b.call));
  const want = !asks ? Number(type) : Number(type) === F_UNLCK ? F_RDLCK : F_WRLCK;
  view.setInt16(0, want, true);
  view.setInt16(2, Number(whence), true);
  return put64(view, at, fieldOf(node, 'l_start')) && put64(view, at + 8, fieldOf(node, 'l_len'));
}

function commandOf(call: Call): string {
  const node = call.args[1];
  return node?.kind === 'sym' ? node.text : '';
}

/** fcntl's third argument is a number or a structure, as the command says. */
function encodeFcntl(b: Buffers): void {
  b.number(0);
  b.number(1);
  const command = commandOf(b.call);
  if (LOCK_COMMANDS.test(command)) {
    // a lock of an open file description is refused with a pid in it, which no log shows
    if (command.startsWith('F_OFD') && b.call.errno === 'EINVAL') b.known = false;
    b.struct(2, b.compat ? 24 : 32, (view, node) => putLock(b, view, node));
  } else if (command === 'F_SETOWN_EX') {
    b.struct(2, 8, (view, node) => {
      return put32(view, 0, fieldOf(node, 'type')) && put32(view, 4, fieldOf(node, 'pid'));
    });
  } else if (command === 'F_GETOWN_EX') {
    b.output(2, 8);
  } else if (b.node(2)) {
    b.number(2);
  }
}

/** An int behind an address, printed as `[1]`. */
function putInt(view: DataView, node: ArgNode): boolean {
  return node.kind === 'array' && put32(view, 0, node.items[0]);
}

/** pread64 and pwrite64: descriptor, buffer, bytes, offset. */
function positioned(b: Buffers): void {
  b.number(0);
  b.plain(1, b.number(2), false);
  b.number(3);
}

function encodeIoctl(b: Buffers, frame: Frame): void {
  b.number(0);
  const terminal = terminalCommand(b.call);
  if (terminal) return encodeTerminal(b, terminal, frame);
  b.number(1);
  const command = commandOf(b.call);
  if (command === 'FIONBIO' || command === 'FIOASYNC') b.struct(2, 4, putInt);
  else if (command === 'FIONREAD') b.output(2, 4);
}

function encodeEpollWait(b: Buffers): void {
  b.number(0);
  const max = b.number(2);
  b.output(1, Number(max > 0n && max < 1024n ? max : 1024n) * 12);
}

function encodeAccept(b: Buffers): void {
  b.number(0);
  b.output(1, 128);
  b.length(2, 128);
}

/** The encoders, by operation; `kind`: what the first argument's descriptor is. */
const ENCODERS: Readonly<Record<number, (b: Buffers, kind: string, frame: Frame) => void>> = {
  [OP.OP_READ]: (b, kind) => {
    b.number(0);
    b.plain(1, b.number(2), WRITES_VALUE.has(kind));
  },
  [OP.OP_WRITE]: (b, kind) => {
    b.number(0);
    const length = b.number(2);
    if (kind === 'eventfd' && length === 8n) b.text(1);
    else b.plain(1, length, false);
  },
  [OP.OP_READV]: (b) => {
    b.number(0);
    b.vector(1, b.number(2));
  },
  [OP.OP_WRITEV]: (b) => {
    b.number(0);
    b.vector(1, b.number(2));
  },
  [OP.OP_PREAD]: positioned,
  [OP.OP_PWRITE]: positioned,
  [OP.OP_SENDTO]: (b) => {
    b.number(0);
    b.plain(1, b.number(2), false);
    b.number(3);
    b.sockaddr(4, b.number(5));
  },
  [OP.OP_RECVFROM]: (b) => {
    b.number(0);
    b.plain(1, b.number(2), false);
    b.number(3);
    b.output(4, 128);
    b.length(5, 128);
  },
  [OP.OP_SOCKET]: (b) => {
    for (const i of [0, 1, 2]) b.number(i);
    // where the world lets it happen, nobody asks for names that are not known here
    if (b.call.errno === undefined) b.known = true;
  },
  [OP.OP_BIND]: (b) => {
    b.number(0);
    b.sockaddr(1, b.number(2));
  },
  [OP.OP_CONNECT]: (b) => {
    b.number(0);
    b.sockaddr(1, b.number(2));
  },
  [OP.OP_ACCEPT]: encodeAccept,
  [OP.OP_ACCEPT4]: (b) => {
    encodeAccept(b);
    b.number(3);
  },
  [OP.OP_SENDMSG]: (b) => {
    b.number(0);
    b.message(1, false);
    b.number(2);
  },
  [OP.OP_RECVMSG]: (b) => {
    b.number(0);
    b.message(1, true);
    b.number(2);
  },
  [OP.OP_POLL]: (b) => {
    b.pollfds(0, b.number(1));
    b.number(2);
  },
  [OP.OP_PPOLL]: (b) => {
    b.pollfds(0, b.number(1));
    b.time(2, false);
    b.mask(3, 4);
  },
  [OP.OP_SELECT]: (b) => {
    b.number(0);
    for (const i of [1, 2, 3]) b.fdSet(i);
    b.time(4, true);
  },
  [OP.OP_EPOLL_CTL]: (b) => {
    for (const i of [0, 1, 2]) b.number(i);
    b.struct(3, 12, putEvent);
    // what is taken away needs no event
    if (b.node(1)?.kind === 'sym' && commandOf(b.call) === 'EPOLL_CTL_DEL') b.known = true;
  },
  [OP.OP_EPOLL_WAIT]: (b) => {
    encodeEpollWait(b);
    b.number(3);
  },
  [OP.OP_EPOLL_PWAIT]: (b) => {
    encodeEpollWait(b);
    b.number(3);
    b.mask(4, 5);
  },
  [OP.OP_EPOLL_PWAIT2]: (b) => {
    encodeEpollWait(b);
    b.time(3, false);
    b.mask(4, 5);
  },
  [OP.OP_TIMERFD_SETTIME]: (b) => {
    b.number(0);
    b.number(1);
    b.struct(2, 32, putTimer);
    b.output(3, 32);
  },
  [OP.OP_TIMERFD_GETTIME]: (b) => {
    b.number(0);
    b.output(1, 32);
  },
  [OP.OP_SETSOCKOPT]: (b) => {
    for (const i of [0, 1, 2]) b.number(i);
    b.struct(3, 4, putInt);
    b.number(4);
  },
  [OP.OP_GETSOCKOPT]: (b) => {
    for (const i of [0, 1, 2]) b.number(i);
    b.output(3, 12);
    b.length(4, 12);
  },
  [OP.OP_GETSOCKNAME]: (b) => {
    b.number(0);
    b.output(1, 128);
    b.length(2, 128);
  },
  [OP.OP_GETPEERNAME]: (b) => {
    b.number(0);
    b.output(1, 128);
    b.length(2, 128);
  },
  [OP.OP_SPLICE]: (b) => {
    b.number(0);
    b.pointer(1);
    b.number(2);
    b.pointer(3);
    b.number(4);
    b.number(5);
  },
  [OP.OP_VMSPLICE]: (b) => {
    b.number(0);
    b.vector(1, b.number(2));
    b.number(3);
  },
  [OP.OP_SENDFILE]: (b) => {
    b.number(0);
    b.number(1);
    b.pointer(2);
    b.number(3);
  },
  ...IPC_ENCODERS,
  ...MQ_ENCODERS,
  [OP.OP_FCNTL]: encodeFcntl,
  [OP.OP_IOCTL]: (b, _kind, frame) => encodeIoctl(b, frame),
  [OP.OP_PSELECT6]: (b) => {
    b.number(0);
    for (const i of [1, 2, 3]) b.fdSet(i);
    b.time(4, false);
    b.maskPair(5);
  },
};

/** Has a call an encoder here? */
export function encodesFileCall(op: number): boolean {
  return ENCODERS[op] !== undefined;
}

/** Encodes a call on files. undefined: it has no encoder here; else whether all of it is known. */
export function encodeFileCall(frame: Frame, call: Call, kind: string): boolean | undefined {
  const encoder = ENCODERS[call.row!.op];
  if (!encoder) return undefined;
  const buffers = new Buffers(frame, call);
  encoder(buffers, kind, frame);
  return buffers.known;
}
