// Guest memory of a replayed call: what the log shows of it goes into windows before the trap,
// what the kernel wrote is compared afterwards. A value that the log doesn't show is unknown.
import { SI_QUEUE, SI_USER } from '../../assembly/uapi/signal.ts';
import type { Frame } from '../frame.ts';
import type { ArgNode } from '../trace/args.ts';
import { fieldOf, sigsetOf, statusOf } from '../trace/values.ts';
import { sigInfoOf } from '../trace/strace.ts';
import { compareStruct, encodeStruct, structBytes } from './structs.ts';
import { valueOf } from './value.ts';

/** Guest addresses of the windows: argument i lies here. */
const BASE = 0x7000_0000;
const STRIDE = 0x10_0000;

/** Sizes of what the pointers point at, 64-bit and compat. */
const SIZES: Record<string, readonly [number, number]> = {
  int: [4, 4],
  long: [8, 4],
  pair: [8, 8],
  sigset: [8, 8],
  sigaction: [32, 20],
  siginfo: [128, 128],
  rusage: [144, 72],
  comm: [16, 16],
  timespec: [16, 8],
};

/** What became of one argument: an address or value, or nothing that is known. */
export interface Encoded {
  value: bigint | undefined;
  /** there is memory behind it that the log doesn't show */
  unknown: boolean;
}

export const addressOf = (i: number): number => BASE + i * STRIDE;

/** Does the address stand for the memory behind some argument? */
export function isOfArgument(addr: bigint): boolean {
  return addr >= BigInt(BASE) && addr < BigInt(BASE + 6 * STRIDE);
}

/** Is this argument an address that the log prints raw? */
function isRawAddress(node: ArgNode): boolean {
  return node.kind === 'int';
}

function bytesOfAction(node: ArgNode, compat: boolean): Uint8Array | undefined {
  const handler = valueOf(fieldOf(node, 'sa_handler') ?? fieldOf(node, 'sa_sigaction'));
  const flags = valueOf(fieldOf(node, 'sa_flags'));
  const mask = sigsetOf(fieldOf(node, 'sa_mask'));
  if (handler === undefined || flags === undefined || mask === undefined) return undefined;
  const restorer = valueOf(fieldOf(node, 'sa_restorer')) ?? 0n;
  const bytes = new Uint8Array(32);
  const view = new DataView(bytes.buffer);
  if (compat) {
    view.setUint32(0, Number(BigInt.asUintN(32, handler)), true);
    view.setUint32(4, Number(BigInt.asUintN(32, flags)), true);
    view.setUint32(8, Number(BigInt.asUintN(32, restorer)), true);
    view.setBigUint64(12, BigInt.asUintN(64, mask), true);
    return bytes.subarray(0, 20);
  }
  view.setBigUint64(0, BigInt.asUintN(64, handler), true);
  view.setBigUint64(8, BigInt.asUintN(32, flags), true);
  view.setBigUint64(16, BigInt.asUintN(64, restorer), true);
  view.setBigUint64(24, BigInt.asUintN(64, mask), true);
  return bytes;
}

function bytesOfSiginfo(node: ArgNode, refused: boolean): Uint8Array | undefined {
  if (node.kind !== 'struct') return undefined;
  const info = sigInfoOf(node);
  const bytes = new Uint8Array(128);
  const view = new DataView(bytes.buffer);
  view.setInt32(0, info.signo, true);
  view.setInt32(4, info.errno ?? 0, true);
  // shown as {}: its si_signo, which nobody reads, is 0; it was a program's to send, or was not
  const hidden = refused ? SI_USER : SI_QUEUE;
  const none = node.fields.length === 0;
  view.setInt32(8, none ? hidden : (info.code ?? 0), true);
  view.setInt32(16, info.pid ?? 0, true);
  view.setInt32(20, info.uid ?? 0, true);
  view.setBigUint64(24, BigInt.asUintN(64, info.value ?? 0n), true);
  return bytes;
}

/** Seconds and nanoseconds of a timespec or, with `micro`, microseconds of a timeval. */
export function timeOf(node: ArgNode, micro = false): [sec: bigint, part: bigint] | undefined {
  const sec = valueOf(fieldOf(node, 'tv_sec'));
  const part = valueOf(fieldOf(node, micro ? 'tv_usec' : 'tv_nsec'));
  return sec === undefined || part === undefined ? undefined : [sec, part];
}

function bytesOfTimespec(node: ArgNode): Uint8Array | undefined {
  const time = timeOf(node);
  if (!time) return undefined;
  const bytes = new Uint8Array(16);
  const view = new DataView(bytes.buffer);
  view.setBigInt64(0, time[0], true);
  view.setBigInt64(8, time[1], true);
  return bytes;
}

const CLONE_ARGS = [
  'flags',
  'pidfd',
  'child_tid',
  'parent_tid',
  'exit_signal',
  'stack',
  'stack_size',
  'tls',
  'set_tid',
  'set_tid_size',
  'cgroup',
];

/** What a struct longer than the kernel's holds behind its known part: all zero, or not. */
function tailIsSet(node: ArgNode): boolean | undefined {
  if (node.kind !== 'struct') return false;
  const tail = node.fields.find((field) => field.kind === 'str');
  if (!tail) return false;
  return tail.kind === 'str' && (tail.truncated ? undefined : /[^\0]/.test(tail.value));
}

/** struct clone_args, with the numbers of set_tid in a window of their own. */
function bytesOfCloneArgs(
  frame: Frame,
  node: ArgNode,
  size: number,
  fault: boolean,
): Uint8Array | undefined {
  if (node.kind !== 'struct') return undefined;
  const bytes = new Uint8Array(Math.max(88, Math.min(size, 4096)));
  const tail = tailIsSet(node);
  // the recorder cut it off: what stands there is not known
  if (tail === undefined) return undefined;
  if (tail) bytes[bytes.length - 1] = 1;
  const view = new DataView(bytes.buffer);
  for (const [i, name] of CLONE_ARGS.entries()) {
    const field = fieldOf(node, name);
    if (!field) continue;
    let value = valueOf(field);
    if (name === 'set_tid' && field.kind === 'array') {
      const at = addressOf(9);
      const tids = new Uint8Array(field.items.length * 4);
      const tidView = new DataView(tids.buffer);
      field.items.forEach((item, j) => tidView.setInt32(j * 4, Number(valueOf(item) ?? 0n), true));
      frame.window(at, tids, 'r');
      value = BigInt(at);
    }
    if ((name === 'pidfd' || name === 'parent_tid') && value && !fault) {
      frame.window(value, 4, 'w');
    }
    if (value === undefined) return undefined;
    view.setBigUint64(i * 8, BigInt.asUintN(64, value), true);
  }
  return bytes;
}

function inputBytes(
  frame: Frame,
  type: string,
  node: ArgNode,
  compat: boolean,
  size: number,
  fault: boolean,
  refused: boolean,
): Uint8Array | undefined {
  switch (type) {
    case 'str': {
      if (node.kind !== 'str') return undefined;
      return Buffer.from(`${node.value}\0`, 'latin1');
    }
    case 'sigset': {
      const set = sigsetOf(node);
      if (set === undefined) return undefined;
      const bytes = new Uint8Array(8);
      new DataView(bytes.buffer).setBigUint64(0, BigInt.asUintN(64, set), true);
      return bytes;
    }
    case 'sigaction':
      return bytesOfAction(node, compat);
    case 'siginfo':
      return bytesOfSiginfo(node, refused);
    case 'timespec':
      return bytesOfTimespec(node);
    case 'clone_args':
      return bytesOfCloneArgs(frame, node, size, fault);
    default:
      return encodeStruct(type, node, compat);
  }
}

/** Bytes of what a pointer of this kind points at. */
function sizeOf(type: string, compat: boolean): number {
  return SIZES[type]?.[compat ? 1 : 0] ?? structBytes(type, compat) ?? 8;
}

/** Puts argument `i` into the frame, with the memory behind it. `fault`: the call was EFAULT. */
export function encodeArg(
  frame: Frame,
  i: number,
  kind: string,
  node: ArgNode | undefined,
  compat: boolean,
  fault: boolean,
  size = 0,
  refused = false,
): Encoded {
  const colon = kind.indexOf(':');
  if (colon < 0) {
    const value = valueOf(node);
    if (kind === 'addr') return { value: value ?? 0n, unknown: false };
    return { value: node ? value : 0n, unknown: node !== undefined && value === undefined };
  }
  if (!node || node.kind === 'null') return { value: 0n, unknown: false };
  const direction = kind.slice(0, colon);
  const type = kind.slice(colon + 1);
  const at = addressOf(i);
  if (direction !== 'out') {
    const bytes = inputBytes(frame, type, node, compat, size, fault, refused);
    if (bytes) {
      frame.window(at, bytes, direction === 'in' ? 'r' : 'rw');
      return { value: BigInt(at), unknown: false };
    }
    if (isRawAddress(node) && fault) frame.window(at, STRIDE, 'unmapped');
    return { value: valueOf(node) === 0n ? 0n : BigInt(at), unknown: !fault };
  }
  const raw = isRawAddress(node) ? valueOf(node) : undefined;
  if (raw === 0n) return { value: 0n, unknown: false };
  if (raw !== undefined && fault) {
    frame.window(at, STRIDE, 'unmapped');
  } else {
    frame.window(at, sizeOf(type, compat), 'w');
  }
  return { value: BigInt(at), unknown: false };
}

const hex = (v: bigint): string => `0x${BigInt.asUintN(64, v).toString(16)}`;

function compareAction(bytes: Uint8Array, node: ArgNode, compat: boolean): string | undefined {
  const expected = bytesOfAction(node, compat);
  if (!expected) return undefined;
  const words = (b: Uint8Array): bigint[] => {
    const view = new DataView(b.buffer, b.byteOffset);
    if (compat) {
      return [
        BigInt(view.getUint32(0, true)),
        BigInt(view.getUint32(4, true)),
        view.getBigUint64(12, true),
      ];
    }
    return [view.getBigUint64(0, true), view.getBigUint64(8, true), view.getBigUint64(24, true)];
  };
  const [handler, flags, mask] = words(bytes);
  const [wantHandler, wantFlags, wantMask] = words(expected);
  if (handler !== wantHandler) return `old handler ${hex(handler!)}, recorded ${hex(wantHandler!)}`;
  if (mask !== wantMask) return `old sa_mask ${hex(mask!)}, recorded ${hex(wantMask!)}`;
  if (flags !== wantFlags) return `old sa_flags ${hex(flags!)}, recorded ${hex(wantFlags!)}`;
  return undefined;
}

function compareSiginfo(bytes: Uint8Array, node: ArgNode): string | undefined {
  if (node.kind !== 'struct') return undefined;
  const info = sigInfoOf(node);
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  const checks: [string, number, number | undefined][] = [
    ['si_signo', view.getInt32(0, true), info.signo || undefined],
    ['si_code', view.getInt32(8, true), info.code],
    ['si_pid', view.getInt32(16, true), info.pid],
    ['si_uid', view.getInt32(20, true), info.uid],
    ['si_status', view.getInt32(24, true), info.status],
  ];
  for (const [name, have, want] of checks) {
    if (want !== undefined && have !== want) return `${name} ${have}, recorded ${want}`;
  }
  return undefined;
}

/**
 * Compares what the kernel wrote for an output argument with what the log shows. Return: what
 * differs, or undefined when it agrees or the log doesn't show it.
 */
export function compareOutput(
  frame: Frame,
  i: number,
  kind: string,
  node: ArgNode | undefined,
  compat: boolean,
): string | undefined {
  if (!node || node.kind === 'null' || node.kind === 'int' || node.kind === 'ellipsis')
    return undefined;
  const type = kind.slice(kind.indexOf(':') + 1);
  const bytes = frame.output(addressOf(i), sizeOf(type, compat));
  if (!bytes) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  switch (type) {
    case 'int': {
      const item = node.kind === 'array' ? node.items[0] : node;
      const status = statusOf(node) ?? statusOf(item);
      const want = status ?? Number(valueOf(item) ?? Number.NaN);
      if (Number.isNaN(want)) return undefined;
      const have = view.getInt32(0, true);
      return have === want ? undefined : `wrote ${have}, recorded ${want}`;
    }
    case 'long': {
      const item = node.kind === 'array' ? node.items[0] : node;
      const want = valueOf(item);
      if (want === undefined) return undefined;
      const have = compat ? BigInt(view.getUint32(0, true)) : view.getBigUint64(0, true);
      const same = have === BigInt.asUintN(64, want);
      return same ? undefined : `wrote ${hex(have)}, recorded ${hex(want)}`;
    }
    case 'pair': {
      if (node.kind !== 'array') return undefined;
      if (node.items.some((item) => item.kind === 'ellipsis')) return undefined;
      const want = node.items.map((item) => Number(valueOf(item) ?? -1n));
      const have = [view.getInt32(0, true), view.getInt32(4, true)];
      const same = have.every((v, j) => want[j] === v);
      return same ? undefined : `wrote [${have.join(', ')}], recorded [${want.join(', ')}]`;
    }
    case 'sigset': {
      const want = sigsetOf(node);
      if (want === undefined) return undefined;
      const have = view.getBigUint64(0, true);
      const same = have === BigInt.asUintN(64, want);
      return same ? undefined : `set ${hex(have)}, recorded ${hex(want)}`;
    }
    case 'sigaction':
      return compareAction(bytes, node, compat);
    case 'siginfo':
      return compareSiginfo(bytes, node);
    default:
      return compareStruct(type, bytes, node, compat);
  }
}
