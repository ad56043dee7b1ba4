// Structures behind pointers, as a log shows them and as bytes: what memory.ts does not treat
// itself. A field that the log does not show makes the whole structure unknown.
import type { ArgNode } from '../trace/args.ts';
import { structSize } from '../abi/kinds.ts';
import { fieldOf, sigsetOf } from '../trace/values.ts';
import { valueOf } from './value.ts';

/** A limit, which the log may print as a product: `1024*1024`. */
export function limitOf(node: ArgNode | undefined): bigint | undefined {
  const value = valueOf(node);
  if (value !== undefined || !node) return value;
  const text = 'text' in node ? String(node.text) : '';
  if (!/^\d+(\*\d+)+$/.test(text)) return undefined;
  return text.split('*').reduce((product, factor) => product * BigInt(factor), 1n);
}

/** struct rlimit: 64 bits each, or 32 of which all ones are no limit. */
function rlimit(node: ArgNode, size: number): Uint8Array | undefined {
  const cur = limitOf(fieldOf(node, 'rlim_cur'));
  const max = limitOf(fieldOf(node, 'rlim_max'));
  if (cur === undefined || max === undefined) return undefined;
  const bytes = new Uint8Array(size * 2);
  const view = new DataView(bytes.buffer);
  put(view, 0, size, cur);
  put(view, size, size, max);
  return bytes;
}

/** struct sched_attr; what the log leaves out is zero. */
function schedAttr(node: ArgNode): Uint8Array | undefined {
  const policy = valueOf(fieldOf(node, 'sched_policy'));
  if (policy === undefined) return undefined;
  const bytes = new Uint8Array(56);
  const view = new DataView(bytes.buffer);
  for (const [name, at, size] of SCHED_ATTR) {
    const field = fieldOf(node, name);
    const value = field ? valueOf(field) : 0n;
    if (value === undefined) return undefined;
    put(view, at, size, value);
  }
  return bytes;
}

const SCHED_ATTR: readonly (readonly [name: string, at: number, size: number])[] = [
  ['size', 0, 4],
  ['sched_policy', 4, 4],
  ['sched_flags', 8, 8],
  ['sched_nice', 16, 4],
  ['sched_priority', 20, 4],
  ['sched_runtime', 24, 8],
  ['sched_deadline', 32, 8],
  ['sched_period', 40, 8],
  ['sched_util_min', 48, 4],
  ['sched_util_max', 52, 4],
];

/** struct sched_param: a log shows the number in it. */
function schedParam(node: ArgNode): Uint8Array | undefined {
  const item = node.kind === 'array' ? node.items[0] : fieldOf(node, 'sched_priority');
  const value = valueOf(item);
  if (value === undefined) return undefined;
  const bytes = new Uint8Array(4);
  put(new DataView(bytes.buffer), 0, 4, value);
  return bytes;
}

/** Where a number of a structure lies: name, 64-bit offset and size, compat offset and size. */
type Field = readonly [name: string, at: number, size: number, at32: number, size32: number];

/** Structures that are nothing but numbers. */
const PLAIN: Readonly<Record<string, readonly Field[]>> = {
  stack: [
    ['ss_sp', 0, 8, 0, 4],
    ['ss_flags', 8, 4, 4, 4],
    ['ss_size', 16, 8, 8, 4],
  ],
  mount_attr: [
    ['attr_set', 0, 8, 0, 8],
    ['attr_clr', 8, 8, 8, 8],
    ['propagation', 16, 8, 16, 8],
    ['userns_fd', 24, 8, 24, 8],
  ],
};

/** A time in a structure of times: seconds, then what is smaller. */
function putTime(view: DataView, at: number, size: number, node: ArgNode | undefined): boolean {
  const sec = valueOf(fieldOf(node, 'tv_sec'));
  const fraction = valueOf(fieldOf(node, 'tv_usec') ?? fieldOf(node, 'tv_nsec'));
  if (sec === undefined || fraction === undefined) return false;
  put(view, at, size, sec);
  put(view, at + size, size, fraction);
  return true;
}

/** struct itimerval and itimerspec: the interval, then the value. */
function itimer(node: ArgNode, size: number): Uint8Array | undefined {
  const bytes = new Uint8Array(size * 4);
  const view = new DataView(bytes.buffer);
  const known =
    putTime(view, 0, size, fieldOf(node, 'it_interval')) &&
    putTime(view, size * 2, size, fieldOf(node, 'it_value'));
  return known ? bytes : undefined;
}

/** struct sigevent: the value, the signal, how, and for which thread. */
function sigevent(node: ArgNode, compat: boolean): Uint8Array | undefined {
  const signo = valueOf(fieldOf(node, 'sigev_signo'));
  const notify = valueOf(fieldOf(node, 'sigev_notify'));
  if (signo === undefined || notify === undefined) return undefined;
  const value = fieldOf(node, 'sigev_value');
  const pointer = valueOf(fieldOf(value, 'sival_ptr') ?? fieldOf(value, 'sival_int'));
  const thread = fieldOf(node, 'sigev_notify_thread_id') ?? fieldOf(node, '_sigev_un._tid');
  const bytes = new Uint8Array(64);
  const view = new DataView(bytes.buffer);
  const at = compat ? 4 : 8;
  put(view, 0, at, pointer ?? 0n);
  put(view, at, 4, signo);
  put(view, at + 4, 4, notify);
  put(view, at + 8, 4, valueOf(thread) ?? 0n);
  return bytes;
}

const ITIMERS = new Set(['itimerval', 'itimerspec', 'itimerspec64']);

/** An interval is what was set; how much of a value is left only the world knows. */
function compareItimer(view: DataView, wanted: DataView, size: number): string | undefined {
  const at = (v: DataView, i: number): bigint => get(v, i * size, size);
  for (const i of [0, 1]) {
    const [have, is] = [at(view, i), at(wanted, i)];
    if (have !== is) return `it_interval ${have}, recorded ${is}`;
  }
  const armed = (v: DataView): boolean => (at(v, 2) | at(v, 3)) !== 0n;
  // one that repeats and is just due has nothing left
  const due = (at(wanted, 0) | at(wanted, 1)) !== 0n && !armed(wanted);
  if (armed(view) === armed(wanted) || due) return undefined;
  return armed(view) ? 'armed, recorded disarmed' : 'disarmed, recorded armed';
}

const SIZES: Readonly<Record<string, readonly [number, number]>> = {
  stack: [24, 12],
  itimerval: [32, 16],
  itimerspec: [32, 16],
  itimerspec64: [32, 32],
  sigevent: [64, 64],
  oldsigset: [8, 4],
  oldsigaction: [32, 16],
};

function put(view: DataView, at: number, size: number, value: bigint): void {
  if (size === 8) view.setBigUint64(at, BigInt.asUintN(64, value), true);
  else view.setUint32(at, Number(BigInt.asUintN(32, value)), true);
}

function get(view: DataView, at: number, size: number): bigint {
  return size === 8 ? view.getBigUint64(at, true) : BigInt(view.getUint32(at, true));
}

/** sa_handler, sa_mask, sa_flags, sa_restorer of the old sigaction(2), 32 bits each. */
function oldSigaction(node: ArgNode): Uint8Array | undefined {
  const handler = valueOf(fieldOf(node, 'sa_handler') ?? fieldOf(node, 'sa_sigaction'));
  const flags = valueOf(fieldOf(node, 'sa_flags'));
  const mask = sigsetOf(fieldOf(node, 'sa_mask'));
  if (handler === undefined || flags === undefined || mask === undefined) return undefined;
  const bytes = new Uint8Array(16);
  const view = new DataView(bytes.buffer);
  const restorer = valueOf(fieldOf(node, 'sa_restorer')) ?? 0n;
  [handler, mask, flags, restorer].forEach((value, i) => put(view, i * 4, 4, value));
  return bytes;
}

/** Size of a structure that this file knows; undefined for others. */
export function structBytes(type: string, compat: boolean): number | undefined {
  return SIZES[type]?.[compat ? 1 : 0] ?? (structSize(type, compat) || undefined);
}

/** The bytes of a structure that a log shows; undefined when it does not show all of it. */
export function encodeStruct(type: string, node: ArgNode, compat: boolean): Uint8Array | undefined {
  if (type === 'oldsigaction') return oldSigaction(node);
  if (ITIMERS.has(type)) return itimer(node, structBytes(type, compat)! / 4);
  if (type === 'sigevent') return sigevent(node, compat);
  if (type === 'rlimit' || type === 'rlimit64') return rlimit(node, structBytes(type, compat)! / 2);
  if (type === 'sched_attr') return schedAttr(node);
  if (type === 'sched_param') return schedParam(node);
  // which CPUs is the world's business
  if (type === 'cpumask') return node.kind === 'array' ? new Uint8Array(8) : undefined;
  const bytes = new Uint8Array(structBytes(type, compat) ?? 0);
  const view = new DataView(bytes.buffer);
  if (type === 'oldsigset') {
    const set = sigsetOf(node);
    if (set === undefined) return undefined;
    put(view, 0, 4, set);
    return bytes;
  }
  const fields = PLAIN[type];
  if (!fields || node.kind !== 'struct') return undefined;
  for (const [name, at, size, at32, size32] of fields) {
    const value = valueOf(fieldOf(node, name));
    if (value === undefined) return undefined;
    put(view, compat ? at32 : at, compat ? size32 : size, value);
  }
  return bytes;
}

function compareWords(view: DataView, wanted: DataView, at: number[]): string | undefined {
  const off = at.find((offset) => get(view, offset, 4) !== get(wanted, offset, 4));
  if (off === undefined) return undefined;
  return `${get(view, off, 4)} at ${off}, recorded ${get(wanted, off, 4)}`;
}

function compareLimits(view: DataView, wanted: DataView, size: number): string | undefined {
  for (const [i, name] of ['soft', 'hard'].entries()) {
    const [have, is] = [get(view, i * size, size), get(wanted, i * size, size)];
    if (have !== is) return `${name} limit ${have}, recorded ${is}`;
  }
  return undefined;
}

/** What differs between the bytes that the kernel wrote and what the log shows of them. */
export function compareStruct(
  type: string,
  bytes: Uint8Array,
  node: ArgNode,
  compat: boolean,
): string | undefined {
  const want = encodeStruct(type, node, compat);
  if (!want) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  const wanted = new DataView(want.buffer);
  if (ITIMERS.has(type)) return compareItimer(view, wanted, want.length / 4);
  if (type === 'cpumask') return undefined;
  if (type === 'sched_attr') return compareWords(view, wanted, [4, 8, 16, 20]);
  if (type === 'sched_param') return compareWords(view, wanted, [0]);
  if (type.startsWith('rlimit')) return compareLimits(view, wanted, want.length / 2);
  if (type === 'oldsigset' || type === 'oldsigaction') {
    // the restorer is the C library's
    const words = type === 'oldsigset' ? 1 : 3;
    for (let i = 0; i < words; ++i) {
      const [have, is] = [get(view, i * 4, 4), get(wanted, i * 4, 4)];
      if (have !== is) return `word ${i} 0x${have.toString(16)}, recorded 0x${is.toString(16)}`;
    }
    return undefined;
  }
  for (const [name, at, size, at32, size32] of PLAIN[type] ?? []) {
    const [offset, bits] = compat ? [at32, size32] : [at, size];
    const [have, is] = [get(view, offset, bits), get(wanted, offset, bits)];
    if (have !== is) return `${name} ${have}, recorded ${is}`;
  }
  return undefined;
}
