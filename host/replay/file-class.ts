// Who decides a call on files: the kernel, where it knows what is behind every descriptor; the
// world, where it knows none; both, where some are the world's.
import * as OP from '../../assembly/uapi/op.ts';
import type { FileView } from '../file-views.ts';
import type { Kernel } from '../kernel.ts';
import type { ArgNode } from '../trace/args.ts';
import { fieldOf } from '../trace/values.ts';
import type { Call } from './call.ts';
import { valueOf } from './value.ts';
import type { CallClass } from './result.ts';
import { classOfName, classOfSocket, NAME_CALLS } from './sockets.ts';
import { classByTerminal } from './terminals.ts';

/** Calls that transfer bytes or ask about one file. */
const ON_ONE = new Set([
  OP.OP_READ,
  OP.OP_WRITE,
  OP.OP_READV,
  OP.OP_WRITEV,
  OP.OP_PREAD,
  OP.OP_PWRITE,
  OP.OP_LSEEK,
  OP.OP_SENDTO,
  OP.OP_RECVFROM,
  OP.OP_SENDMSG,
  OP.OP_RECVMSG,
  OP.OP_SHUTDOWN,
  OP.OP_SETSOCKOPT,
  OP.OP_GETSOCKOPT,
  OP.OP_GETSOCKNAME,
  OP.OP_GETPEERNAME,
]);
const ON_SETS = new Set([OP.OP_POLL, OP.OP_PPOLL, OP.OP_SELECT, OP.OP_PSELECT6]);
export const EPOLL_WAITS: ReadonlySet<number> = new Set([
  OP.OP_EPOLL_WAIT,
  OP.OP_EPOLL_PWAIT,
  OP.OP_EPOLL_PWAIT2,
]);
/** Which two arguments of a call between two files are their descriptors. */
const BETWEEN = new Map<number, readonly [number, number]>([
  [OP.OP_SPLICE, [0, 2]],
  [OP.OP_TEE, [0, 1]],
  [OP.OP_SENDFILE, [0, 1]],
  [OP.OP_VMSPLICE, [0, 0]],
]);
const OWN_IOCTLS = /^FIO(CLEX|NCLEX|NBIO)$/;
const SEEK_CUR = 1n;
const SEEK_END = 2n;
const LOCK_COMMANDS = /^F_(OFD_)?(GETLK|SETLKW?)(64)?$/;
/** Commands of fcntl that the kernel decides. */
const FCNTL =
  /^F_(DUPFD(_CLOEXEC|_QUERY)?|[GS]ETFD|[GS]ETFL|[GS]ETOWN(_EX)?|[GS]ETSIG|[GS]ETPIPE_SZ)$/;

/** Kinds of which the kernel knows no contents here; of namespaces' files see identities.ts. */
export const WORLDS: ReadonlySet<string> = new Set(['world', 'null', 'proc', 'nsfs', 'text']);

/** Is a file the world's: nothing of its contents or readiness is the kernel's to say? */
export function isWorlds(file: FileView): boolean {
  return file.opaque || WORLDS.has(file.kind);
}

export function fdOf(node: ArgNode | undefined): number {
  const value = valueOf(node);
  return value === undefined ? -1 : Number(BigInt.asIntN(32, value));
}

/** Descriptors that a poll or select asks about; undefined: not all of them are shown. */
export function askedFds(call: Call): number[] | undefined {
  const op = call.row!.op;
  if (op === OP.OP_POLL || op === OP.OP_PPOLL) {
    const node = call.args[0];
    if (node?.kind === 'null') return [];
    if (node?.kind !== 'array' || node.truncated) return undefined;
    return node.items.map((item) => fdOf(fieldOf(item, 'fd'))).filter((fd) => fd >= 0);
  }
  const fds = new Set<number>();
  for (const set of call.args.slice(1, 4)) {
    if (set?.kind !== 'array') continue;
    if (set.truncated) return undefined;
    for (const item of set.items) fds.add(fdOf(item));
  }
  return [...fds].filter((fd) => fd >= 0);
}

/** What a descriptor table has room for at first. */
const NR_OPEN_DEFAULT = 64;

/** Does a select name a descriptor beyond that, which only a larger table is searched for? */
export function isBeyondTable(call: Call): boolean {
  return call.errno === 'EBADF' && (askedFds(call) ?? []).some((fd) => fd >= NR_OPEN_DEFAULT);
}

/** By the kinds of several files: closed ones are the kernel's to see. */
function classOfMany(files: readonly (FileView | undefined)[]): CallClass {
  const worlds = files.filter((file) => file && isWorlds(file)).length;
  if (worlds === 0) return 'emulated';
  return worlds === files.length ? 'unmodelled' : 'assisted';
}

function classOfOne(file: FileView | undefined, call: Call): CallClass {
  // a descriptor that is not open, or not that way round, is all that matters
  if (!file) return call.errno === 'EBADF' ? 'emulated' : 'unmodelled';
  if (file.kind === 'inotify') return 'assisted';
  if (!isWorlds(file)) return file.kind === 'timerfd' ? 'assisted' : 'emulated';
  if (call.errno === 'EPIPE' && file.kind === 'pipe') return 'emulated';
  return 'unmodelled';
}

/** How large the buffers of a TCP socket are is the machine's to say. */
function isTcpBuffer(file: FileView | undefined, call: Call): boolean {
  const op = call.row!.op;
  if (op !== OP.OP_SETSOCKOPT && op !== OP.OP_GETSOCKOPT) return false;
  const option = call.args[2];
  const buffer = option?.kind === 'sym' && /^SO_(SND|RCV)BUF/.test(option.text);
  return buffer && file?.socket !== undefined && file.socket.family !== 1;
}

/** An epoll file: what it watches, which may be other epoll files. */
function classOfWait(kernel: Kernel, call: Call): CallClass {
  const ep = kernel.file(call.pid, fdOf(call.args[0]));
  if (!ep) return call.errno === 'EBADF' ? 'emulated' : 'unmodelled';
  if (ep.kind !== 'epoll') return isWorlds(ep) ? 'unmodelled' : 'emulated';
  const items = kernel.openFiles.epollItems(ep);
  const worldly = items.some((item) => isWorlds(item.file) || item.file.kind === 'epoll');
  return worldly ? 'assisted' : 'emulated';
}

function classOfControl(kernel: Kernel, call: Call): CallClass {
  const ep = kernel.file(call.pid, fdOf(call.args[0]));
  const file = kernel.file(call.pid, fdOf(call.args[2]));
  if (ep?.kind === 'world') return 'unmodelled';
  return file && (file.kind === 'world' || file.kind === 'null') ? 'assisted' : 'emulated';
}

/** The class of a call by what its descriptors are; undefined: no rule. */
export function classByFile(kernel: Kernel, call: Call): CallClass {
  const op = call.row!.op;
  const at = (i: number): FileView | undefined => kernel.file(call.pid, fdOf(call.args[i]));
  const byTerminal = classByTerminal(kernel, call, at(0));
  if (byTerminal) return byTerminal;
  if (ON_ONE.has(op)) return isTcpBuffer(at(0), call) ? 'unmodelled' : classOfOne(at(0), call);
  if (ON_SETS.has(op)) {
    const fds = askedFds(call);
    return fds ? classOfMany(fds.map((fd) => kernel.file(call.pid, fd))) : 'emulated';
  }
  if (EPOLL_WAITS.has(op)) return classOfWait(kernel, call);
  if (op === OP.OP_EPOLL_CTL) return classOfControl(kernel, call);
  const pair = BETWEEN.get(op);
  if (pair) {
    const files = pair.map(at);
    const pipes = files.filter((file) => file?.kind === 'pipe' && !file.opaque).length;
    if (pipes === 0) return files.every(Boolean) ? 'unmodelled' : 'emulated';
    return pipes === files.length && op !== OP.OP_VMSPLICE ? 'emulated' : 'assisted';
  }
  if (op === OP.OP_FLOCK) return at(0)?.inode || !at(0) ? 'emulated' : 'unmodelled';
  if (op === OP.OP_SOCKET) return classOfSocket(call);
  if (NAME_CALLS.has(op)) return classOfName(at(0), call);
  if (op === OP.OP_SOCKETPAIR) {
    const family = call.args[0];
    const unix = family?.kind === 'sym' && /^(AF|PF)_(UNIX|LOCAL)$/.test(family.text);
    return unix ? 'emulated' : 'assisted';
  }
  if (op === OP.OP_IOCTL) return classOfIoctl(at(0), call);
  return 'unmodelled';
}

function classOfIoctl(file: FileView | undefined, call: Call): CallClass {
  if (!file) return call.errno === 'EBADF' ? 'emulated' : 'unmodelled';
  const command = call.args[1];
  if (command?.kind !== 'sym') return 'unmodelled';
  if (OWN_IOCTLS.test(command.text)) return 'emulated';
  if (command.text === 'FIOASYNC') return isWorlds(file) ? 'unmodelled' : 'emulated';
  // how many events of what length wait at an inotify file, the world's names say
  const counted = !isWorlds(file) && file.kind !== 'inotify';
  return command.text === 'FIONREAD' && counted ? 'emulated' : 'unmodelled';
}

/** The class of an fcntl by its command, and for locks by the file. */
export function classByCommand(kernel: Kernel, call: Call): CallClass {
  const command = call.args[1];
  const file = kernel.file(call.pid, fdOf(call.args[0]));
  const text = command?.kind === 'sym' ? command.text : '';
  if (!file && call.errno === 'EBADF') return 'emulated';
  if (LOCK_COMMANDS.test(text)) {
    // where a file ends, or its offset is, the world knows
    const whence = valueOf(fieldOf(call.args[2], 'l_whence')) ?? 0n;
    const placed = whence !== SEEK_CUR && whence !== SEEK_END;
    return file?.inode && placed ? 'emulated' : 'unmodelled';
  }
  if (/PIPE_SZ$/.test(text)) return file && isWorlds(file) ? 'unmodelled' : 'emulated';
  return FCNTL.test(text) ? 'emulated' : 'unmodelled';
}
