// Guest memory of the calls on files: buffers, vectors, messages, sets of descriptors. What the
// log shows of it goes into windows before the trap.
import type { Frame } from '../frame.ts';
import type { ArgNode } from '../trace/args.ts';
import { fieldOf, sigsetOf } from '../trace/values.ts';
import type { Call } from './call.ts';
import { addressOf, timeOf } from './memory.ts';
import { valueOf } from './value.ts';
import { messageBytes } from './messages.ts';
import { sockaddrBytes } from './sockets.ts';

/** Room behind the arguments' own places. */
const VECTOR = 7;
/** Buffers that the kernel writes values of its own into: none of them is longer. */
const OUTPUT_MAX = 4096;
const SET_BYTES = 128;
const IOV_MAX = 1024;

/** Fills one call's frame; `known` is false when the log doesn't show what the call depends on. */
export class Buffers {
  readonly #frame: Frame;
  readonly #call: Call;
  readonly #fault: boolean;
  known = true;

  constructor(frame: Frame, call: Call) {
    this.#frame = frame;
    this.#call = call;
    this.#fault = call.errno === 'EFAULT';
  }

  node(i: number): ArgNode | undefined {
    return this.#call.args[i];
  }

  /** A number; without it the call is blind. */
  number(i: number): bigint {
    const node = this.node(i);
    const value = valueOf(node);
    if (node && value === undefined) this.known = false;
    this.#frame.setArg(i, value ?? 0n);
    return value ?? 0n;
  }

  #isNull(i: number): boolean {
    const node = this.node(i);
    return !node || node.kind === 'null' || valueOf(node) === 0n;
  }

  #put(i: number, bytes: Uint8Array | number, mode: 'r' | 'w' | 'rw'): void {
    this.#frame.window(addressOf(i), bytes, mode).setArg(i, addressOf(i));
  }

  /** An address that the log says is bad. Return: whether it is. */
  #bad(i: number): boolean {
    const raw = this.node(i)?.kind === 'int';
    if (!this.#fault || !raw) return false;
    this.#frame.window(addressOf(i), 0x10_0000, 'unmapped').setArg(i, addressOf(i));
    return true;
  }

  /** An optional structure that is read. */
  input(i: number, bytes: Uint8Array | undefined): void {
    if (this.#isNull(i)) this.#frame.setArg(i, 0);
    else if (bytes) this.#put(i, bytes, 'r');
    else if (!this.#bad(i)) this.known = false;
  }

  /** An optional structure that is written. */
  output(i: number, size: number): void {
    if (this.#isNull(i)) this.#frame.setArg(i, 0);
    else if (!this.#bad(i)) this.#put(i, size, 'w');
  }

  /** An address that only matters by being one. */
  pointer(i: number): void {
    this.#frame.setArg(i, this.#isNull(i) ? 0 : addressOf(i));
  }

  /** The address of a length, printed as `[4]` or `[128 => 2]`; `room` where it isn't shown. */
  length(i: number, room: number): void {
    const node = this.node(i);
    const shown = node?.kind === 'array' ? valueOf(node.items[0]) : undefined;
    if (this.#isNull(i) || this.#bad(i)) {
      this.output(i, 4);
      return;
    }
    const bytes = new Uint8Array(4);
    new DataView(bytes.buffer).setInt32(0, Number(shown ?? BigInt(room)), true);
    this.#put(i, bytes, 'rw');
  }

  /** A structure of `size` bytes that is read and written, filled by `put`. */
  struct(i: number, size: number, put: (view: DataView, node: ArgNode) => boolean): void {
    const node = this.node(i);
    const bytes = new Uint8Array(size);
    if (node && !this.#isNull(i) && put(new DataView(bytes.buffer), node)) {
      this.#put(i, bytes, 'rw');
    } else {
      this.input(i, undefined);
    }
  }

  /** The machine has 32-bit structures. */
  get compat(): boolean {
    return this.#call.table.compat;
  }

  get call(): Call {
    return this.#call;
  }

  /** A buffer of which only the length matters, or into which the kernel writes a value. */
  plain(i: number, length: bigint, writes: boolean): void {
    if (this.#bad(i)) return;
    this.#frame.setArg(i, addressOf(i));
    const size = Number(length < BigInt(OUTPUT_MAX) ? length : BigInt(OUTPUT_MAX));
    if (writes && size > 0) this.#frame.window(addressOf(i), size, 'w');
  }

  /** A buffer whose bytes are read or written, and don't matter. */
  room(i: number, length: bigint): void {
    if (!this.#bad(i)) this.#put(i, Number(length), 'rw');
  }

  /** A buffer with bytes that matter. */
  text(i: number): void {
    const node = this.node(i);
    if (node?.kind === 'str' && !node.truncated) {
      this.#put(i, Buffer.from(node.value, 'latin1'), 'r');
    } else if (!this.#bad(i)) {
      this.known = false;
    }
  }

  /** A string, its end included. */
  path(i: number): void {
    const node = this.node(i);
    if (node?.kind === 'str' && !node.truncated) {
      this.#put(i, Buffer.from(`${node.value}\0`, 'latin1'), 'r');
    } else if (!this.#bad(i)) {
      this.known = false;
    }
  }

  /** struct iovec[]: lengths, and addresses that nothing lies at. */
  vector(i: number, count: bigint): void {
    const node = this.node(i);
    if (node?.kind !== 'array') {
      if (this.#isNull(i) && count === 0n) this.#frame.setArg(i, 0);
      // more than the kernel takes: it does not look
      else if (count > BigInt(IOV_MAX)) this.#frame.setArg(i, addressOf(i));
      else if (!this.#bad(i)) this.known = false;
      return;
    }
    const bytes = vectorBytes(node, this.#call.table.compat, this.#fault, this.#frame);
    if (!bytes || BigInt(node.items.length) !== count) this.known = count > BigInt(IOV_MAX);
    this.#put(i, bytes ?? 16, 'r');
  }

  /** An array of pollfds. */
  pollfds(i: number, count: bigint): void {
    const node = this.node(i);
    if (this.#isNull(i)) {
      this.#frame.setArg(i, 0);
      return;
    }
    if (node?.kind !== 'array') {
      if (!this.#bad(i)) this.known = false;
      return;
    }
    const bytes = new Uint8Array(node.items.length * 8);
    const view = new DataView(bytes.buffer);
    for (const [j, item] of node.items.entries()) {
      const fd = valueOf(fieldOf(item, 'fd'));
      if (fd === undefined) {
        this.known = false;
        return;
      }
      view.setInt32(j * 8, Number(fd), true);
      view.setUint16(j * 8 + 4, Number(valueOf(fieldOf(item, 'events')) ?? 0n), true);
    }
    // the recorder cuts long arrays off: of a count that is refused anyway nothing is read
    if (BigInt(node.items.length) !== count) this.known = this.#call.errno === 'EINVAL';
    this.#put(i, bytes, 'rw');
  }

  /** A socket's name of `length` bytes. */
  sockaddr(i: number, length: bigint): void {
    const node = this.node(i);
    if (this.#isNull(i) || this.#bad(i)) {
      if (this.#isNull(i)) this.#frame.setArg(i, 0);
      return;
    }
    const bytes = node?.kind === 'struct' ? sockaddrBytes(node) : undefined;
    if (!bytes) this.known = false;
    const size = length > 0n && length <= 128n ? Number(length) : 0;
    this.#put(i, bytes?.subarray(0, size) ?? size, 'r');
  }

  /** A set of descriptors, printed as their numbers. */
  fdSet(i: number): void {
    const node = this.node(i);
    if (this.#isNull(i)) {
      this.#frame.setArg(i, 0);
      return;
    }
    if (node?.kind !== 'array' || node.truncated) {
      if (!this.#bad(i)) this.known = false;
      return;
    }
    const bytes = new Uint8Array(SET_BYTES);
    for (const item of node.items) {
      const fd = Number(valueOf(item) ?? -1n);
      if (fd < 0 || fd >= SET_BYTES * 8) this.known = false;
      else bytes[fd >> 3]! |= 1 << (fd & 7);
    }
    this.#put(i, bytes, 'rw');
  }

  /** A timespec or, with `micro`, a timeval. */
  time(i: number, micro: boolean): void {
    const node = this.node(i);
    const time = node ? timeOf(node, micro) : undefined;
    if (!time) {
      this.input(i, undefined);
      return;
    }
    const compat = this.#call.table.compat && !this.#call.name.endsWith('64');
    const bytes = new Uint8Array(compat ? 8 : 16);
    const view = new DataView(bytes.buffer);
    if (compat) {
      view.setInt32(0, Number(time[0]), true);
      view.setInt32(4, Number(time[1]), true);
    } else {
      view.setBigInt64(0, time[0], true);
      view.setBigInt64(8, time[1], true);
    }
    this.#put(i, bytes, 'r');
  }

  /** A set of signals that is the mask of this call. */
  mask(i: number, size: number): void {
    const node = this.node(i);
    const set = node ? sigsetOf(node) : undefined;
    if (set === undefined) {
      this.input(i, undefined);
    } else {
      const bytes = new Uint8Array(8);
      new DataView(bytes.buffer).setBigUint64(0, BigInt.asUintN(64, set), true);
      this.#put(i, bytes, 'r');
    }
    this.number(size);
  }

  /** pselect6's last argument: {sigmask, sigsetsize}. */
  maskPair(i: number): void {
    const node = this.node(i);
    if (this.#isNull(i)) {
      this.#frame.setArg(i, 0);
      return;
    }
    const set = node ? sigsetOf(fieldOf(node, 'sigmask')) : undefined;
    const size = valueOf(fieldOf(node, 'sigsetsize')) ?? 8n;
    const compat = this.#call.table.compat;
    const bytes = new Uint8Array(compat ? 8 : 16);
    const view = new DataView(bytes.buffer);
    const at = set === undefined ? 0 : addressOf(VECTOR);
    if (set !== undefined) {
      const mask = new Uint8Array(8);
      new DataView(mask.buffer).setBigUint64(0, BigInt.asUintN(64, set), true);
      this.#frame.window(at, mask, 'r');
    }
    if (compat) {
      view.setUint32(0, at, true);
      view.setUint32(4, Number(size), true);
    } else {
      view.setBigUint64(0, BigInt(at), true);
      view.setBigUint64(8, size, true);
    }
    this.#put(i, bytes, 'r');
  }

  /** struct msghdr with all that hangs on it. */
  message(i: number, receives: boolean): void {
    const node = this.node(i);
    if (node?.kind === 'struct') {
      const bytes = messageBytes(this.#frame, node, this.#call.table.compat, receives);
      if (bytes) {
        this.#put(i, bytes, receives ? 'rw' : 'r');
        return;
      }
    }
    // a call that failed before it looked
    if (receives && this.#call.retKind !== 'value' && !this.#fault) {
      this.#put(i, emptyMessage(this.#frame, this.#call.table.compat), 'rw');
    } else if (!this.#bad(i)) {
      this.known = false;
    }
  }
}

/** A message of one byte's room: for calls whose message the log does not show. */
function emptyMessage(frame: Frame, compat: boolean): Uint8Array {
  const node: ArgNode = { kind: 'struct', fields: [], truncated: false };
  return messageBytes(frame, node, compat, true)!;
}

/** struct iovec[] of a printed array: buffers lie where nothing is mapped. */
export function vectorBytes(
  node: ArgNode,
  compat: boolean,
  fault: boolean,
  frame: Frame,
): Uint8Array | undefined {
  if (node.kind !== 'array') return undefined;
  const width = compat ? 8 : 16;
  const bytes = new Uint8Array(Math.max(1, node.items.length) * width);
  const view = new DataView(bytes.buffer);
  const base = addressOf(VECTOR);
  if (fault) frame.window(base, 0x10_0000, 'unmapped');
  for (const [j, item] of node.items.entries()) {
    const len = valueOf(fieldOf(item, 'iov_len'));
    if (len === undefined) return undefined;
    if (compat) {
      view.setUint32(j * 8, base, true);
      view.setUint32(j * 8 + 4, Number(BigInt.asUintN(32, len)), true);
    } else {
      view.setBigUint64(j * 16, BigInt(base), true);
      view.setBigUint64(j * 16 + 8, BigInt.asUintN(64, len), true);
    }
  }
  return bytes;
}
