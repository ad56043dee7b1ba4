// Sockets in a replay: names as the log shows them; which sockets the kernel decides alone, and
// when something shows that the other end of one lies outside the log.
import { FILE_EVENT_OPAQUE, FILE_EVENT_PORT } from '../../assembly/uapi/frame.ts';
import * as OP from '../../assembly/uapi/op.ts';
import * as K from '../../assembly/uapi/socket.ts';
import type { FileView } from '../file-views.ts';
import type { Frame } from '../frame.ts';
import type { Kernel } from '../kernel.ts';
import type { ArgNode } from '../trace/args.ts';
import { fieldOf } from '../trace/values.ts';
import type { Call } from './call.ts';
import { addressOf } from './memory.ts';
import { valueOf } from './value.ts';
import type { CallClass } from './result.ts';

/** Calls on a socket's name and its connections. */
export const NAME_CALLS: ReadonlySet<number> = new Set([
  OP.OP_BIND,
  OP.OP_CONNECT,
  OP.OP_LISTEN,
  OP.OP_ACCEPT,
  OP.OP_ACCEPT4,
]);
const ACCEPTS: ReadonlySet<number> = new Set([OP.OP_ACCEPT, OP.OP_ACCEPT4]);
const SENDS: ReadonlySet<number> = new Set([
  OP.OP_WRITE,
  OP.OP_WRITEV,
  OP.OP_SENDTO,
  OP.OP_SENDMSG,
]);
const TRANSFERS: ReadonlySet<number> = new Set([
  ...SENDS,
  OP.OP_READ,
  OP.OP_READV,
  OP.OP_RECVFROM,
  OP.OP_RECVMSG,
]);
const LISTEN = 10;
const INET: readonly number[] = [K.AF_INET, K.AF_INET6];

/** Text behind `fn("...")`, which may stand without a name: inet_pton(AF_INET6, "::1", ...). */
function textOf(node: ArgNode, fn: string): string | undefined {
  if (node.kind !== 'struct') return undefined;
  for (const field of node.fields) {
    if (field.kind !== 'fn' || field.fn !== fn) continue;
    const text = field.args.find((arg) => arg.kind === 'str');
    if (text?.kind === 'str') return text.value;
  }
  return undefined;
}

function portOf(node: ArgNode): number | undefined {
  const field = fieldOf(node, 'sin_port') ?? fieldOf(node, 'sin6_port');
  const value = field?.kind === 'fn' ? valueOf(field.args[0]) : undefined;
  return value === undefined ? undefined : Number(value);
}

/** The 16 bytes of an IPv6 address; undefined: not one. */
function bytes6(text: string): number[] | undefined {
  const [head = '', tail] = text.split('::');
  const words = (part: string): number[] =>
    part === ''
      ? []
      : part.split(':').flatMap((word) => {
          if (word.includes('.')) return word.split('.').map(Number);
          const n = Number.parseInt(word, 16);
          return [n >> 8, n & 255];
        });
  const front = words(head);
  const back = words(tail ?? '');
  const gap = 16 - front.length - back.length;
  if (gap < 0 || (tail === undefined && gap > 0)) return undefined;
  return [...front, ...Array<number>(gap).fill(0), ...back];
}

/** struct sockaddr of a printed one; undefined: the log doesn't show all of it. */
export function sockaddrBytes(node: ArgNode): Uint8Array | undefined {
  const family = Number(valueOf(fieldOf(node, 'sa_family')) ?? -1n);
  const bytes = new Uint8Array(K.SOCKADDR_STORAGE_BYTES);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, family & 0xffff, true);
  if (family === K.AF_UNIX) {
    const path = fieldOf(node, 'sun_path');
    if (path === undefined) return bytes;
    if (path.kind !== 'str' || path.truncated) return undefined;
    bytes.set(Buffer.from(path.value, 'latin1').subarray(0, 126), 2);
    return bytes;
  }
  if (family === K.AF_UNSPEC) return bytes;
  if (!INET.includes(family)) return undefined;
  const port = portOf(node);
  if (port === undefined) return undefined;
  view.setUint16(2, port, false);
  if (family === K.AF_INET) {
    const host = textOf(node, 'inet_addr');
    if (host === undefined) return undefined;
    bytes.set(host.split('.').map(Number), 4);
    return bytes;
  }
  const host = textOf(node, 'inet_pton');
  const six = host === undefined ? undefined : bytes6(host);
  if (!six) return undefined;
  bytes.set(six, 8);
  return bytes;
}

/** Errnos that socket(2) owes to nothing but its arguments and the caller's table. */
const OWN_ERRNOS = /^(EINVAL|EPROTONOSUPPORT|ESOCKTNOSUPPORT|EMFILE)$/;

/** Does the kernel decide this socket(2) alone? Others are the world's. */
export function classOfSocket(call: Call): CallClass {
  const family = valueOf(call.args[0]);
  if (call.errno === 'EAFNOSUPPORT') {
    return family !== undefined && family >= BigInt(K.AF_MAX) ? 'emulated' : 'assisted';
  }
  if (family === undefined || ![K.AF_UNIX, ...INET].includes(Number(family))) return 'assisted';
  if (call.errno) return OWN_ERRNOS.test(call.errno) ? 'emulated' : 'assisted';
  if (/\b(SOCK_(RAW|PACKET|RDM|DCCP))\b/.test(call.text)) return 'assisted';
  const protocol = call.args[2];
  const named = protocol?.kind === 'sym' ? protocol.text : '';
  const known = valueOf(protocol) === 0n || /^IPPROTO_(IP|TCP|UDP)$/.test(named);
  return known ? 'emulated' : 'assisted';
}

/** Is it a socket of which the kernel knows everything? */
function isOwn(file: FileView | undefined): boolean {
  return file?.kind === 'socket' && !file.opaque;
}

/** The class of bind, connect, listen, accept by what their descriptor is. */
export function classOfName(file: FileView | undefined, call: Call): CallClass {
  if (!file) return call.errno === 'EBADF' ? 'emulated' : 'unmodelled';
  if (isOwn(file)) return 'emulated';
  if (file.kind === 'socket' || file.kind === 'world') {
    return ACCEPTS.has(call.row!.op) ? 'assisted' : 'unmodelled';
  }
  return call.errno === 'ENOTSOCK' ? 'emulated' : 'unmodelled';
}

/** Is a socket known to others than the log's tasks: by a path, or in the machine's own network? */
function isPublic(file: FileView): boolean {
  const { socket } = file;
  return socket !== undefined && (socket.initialNet || socket.path);
}

/** Can somebody outside reach it by its name? */
function isReachable(file: FileView): boolean {
  const { socket } = file;
  if (!isOwn(file) || !socket || !isPublic(file)) return false;
  if (socket.state === LISTEN) return true;
  const known = socket.named || INET.includes(socket.family);
  return socket.type === K.SOCK_DGRAM && known;
}

/** Names of a path: `sun_path="/..."`; an abstract one begins with a NUL. */
function namesPath(call: Call): boolean {
  return [call.args[1], call.args[4]].some((node) => {
    const path = node && fieldOf(node, 'sun_path');
    return path?.kind === 'str' && path.value !== '' && !path.value.startsWith('\0');
  });
}

/** How much of a stream's buffers is free, beyond what one call writes, is the machine's. */
function isShort(call: Call): boolean {
  if (call.errno !== undefined) return call.errno === 'EAGAIN';
  const length = valueOf(call.args[2]);
  return typeof call.ret === 'number' && length !== undefined && BigInt(call.ret) < length;
}

/** Bytes that a stream takes at once, whatever its buffers. */
const AT_ONCE = 16384n;

/**
 * How much of a large write a TCP connection takes, and how much of it has arrived when somebody
 * reads, is the network's: what the log shows is taken, as far as it is there.
 */
export function isNetworks(file: FileView | undefined, call: Call): boolean {
  if (!file?.socket || !isOwn(file) || file.socket.type !== K.SOCK_STREAM) return false;
  const op = call.row!.op;
  if (!INET.includes(file.socket.family) || !TRANSFERS.has(op)) return false;
  if (SENDS.has(op)) return isShort(call) || (call.ret !== undefined && BigInt(call.ret) > AT_ONCE);
  return typeof call.ret === 'number' && call.ret > 0 && isShort(call);
}

/** A write of which the network takes as much as the log shows, whenever it is run. */
export function isLargeSend(file: FileView | undefined, call: Call): boolean {
  return SENDS.has(call.row!.op) && isNetworks(file, call);
}

/** Which of a call's files have an other end that may lie outside. */
export function outsiders(
  kernel: Kernel,
  call: Call,
  fds: readonly number[],
  one: FileView | undefined,
): FileView[] {
  const op = call.row!.op;
  if (NAME_CALLS.has(op)) {
    if (!one?.socket || !isOwn(one)) return [];
    return isPublic(one) || namesPath(call) ? [one] : [];
  }
  if (TRANSFERS.has(op)) {
    if (!one?.socket || !isOwn(one)) return [];
    if (isReachable(one) || (one.socket.type === K.SOCK_DGRAM && namesPath(call))) return [one];
    return [];
  }
  return fds
    .map((fd) => kernel.file(call.pid, fd))
    .filter((file): file is FileView => file !== undefined && isReachable(file));
}

/**
 * Whose connection is accepted first, where several came at once, no log tells: they and the
 * listener are the world's from then on.
 */
export function isAmbiguous(file: FileView | undefined, call: Call): boolean {
  if (!ACCEPTS.has(call.row!.op) || !file || !isOwn(file)) return false;
  return (file.socket?.children ?? 0) > 1;
}

/** A call's other end lies outside: what it acts on is the world's from now on. */
export function giveUp(
  kernel: Kernel,
  call: Call,
  files: readonly FileView[],
  whole = false,
): void {
  if (NAME_CALLS.has(call.row!.op) && !whole) return;
  for (const file of files) kernel.fileEvent(file, FILE_EVENT_OPAQUE);
}

/** Where a call leaves the name of an inet socket. */
const NAME_AT = new Map([
  [OP.OP_GETSOCKNAME, 1],
  [OP.OP_GETPEERNAME, 1],
  [OP.OP_ACCEPT, 1],
  [OP.OP_ACCEPT4, 1],
  [OP.OP_RECVFROM, 4],
]);

/** Ports of the recorded kernel's choice are adopted at their first sight. Return: was one? */
export function adoptPort(kernel: Kernel, call: Call, frame: Frame): boolean {
  const at = NAME_AT.get(call.row!.op);
  const node = at === undefined ? undefined : call.args[at];
  if (at === undefined || node?.kind !== 'struct') return false;
  const want = portOf(node);
  const bytes = frame.output(addressOf(at), 4);
  const file = kernel.file(call.pid, Number(valueOf(call.args[0]) ?? -1n));
  if (!want || !bytes || !file || !isOwn(file) || !INET.includes(bytes[0]! | (bytes[1]! << 8)))
    return false;
  const have = (bytes[2]! << 8) | bytes[3]!;
  if (!have || have === want) return false;
  return kernel.fileEvent(file, FILE_EVENT_PORT, ((have << 16) | want) >>> 0);
}

const ABOUT_LOOPBACK: ReadonlySet<number> = new Set([OP.OP_CONNECT, OP.OP_SENDTO, OP.OP_SENDMSG]);
const SIOCSIFFLAGS = 0x8914;

/**
 * Messages that set the loopback of a new namespace up are not read here: the first packet that
 * gets through tells of it. Return: may it be so?
 */
export function needsLoopback(file: FileView | undefined, call: Call): boolean {
  if (!file?.socket || !isOwn(file) || file.socket.initialNet) return false;
  if (!ABOUT_LOOPBACK.has(call.row!.op) || !INET.includes(file.socket.family)) return false;
  return call.errno !== 'ENETUNREACH' && call.errno !== 'EADDRNOTAVAIL';
}

/** The caller's network namespace has its loopback up from now on. Return: whether it worked. */
export function setLoopback(kernel: Kernel, call: Call): boolean {
  const begin = (op: number): Frame => kernel.frame.begin(call.pid, 0, op);
  begin(OP.OP_SOCKET).setArg(0, K.AF_INET).setArg(1, K.SOCK_DGRAM);
  kernel.trap();
  const fd = kernel.frame.result;
  if (fd < 0) return false;
  const request = new Uint8Array(40);
  request.set([0x6c, 0x6f]);
  request[16] = 1;
  begin(OP.OP_IOCTL)
    .setArg(0, fd)
    .setArg(1, SIOCSIFFLAGS)
    .setArg(2, addressOf(0))
    .window(addressOf(0), request, 'rw');
  kernel.trap();
  const done = kernel.frame.result === 0;
  begin(OP.OP_CLOSE).setArg(0, fd);
  kernel.trap();
  return done;
}
