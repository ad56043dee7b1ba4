// Guest memory of a script's task: every text and buffer lies in pages of its own, nothing else is
// mapped.
import type { Frame } from '../frame.ts';
import type { Num, Value } from '../trace/script.ts';

const PAGE = 4096;
/** Below 2^31, so that both machines can hold the addresses. */
const FIRST = 0x1000_0000;
const LAST = 0x7000_0000;

/** Mapped pages and what lies in them. */
interface Area {
  readonly from: number;
  readonly to: number;
  readonly addr: number;
  readonly bytes: Uint8Array;
  readonly writable: boolean;
}

/** A buffer with its content: the first one, or what the call left. */
export interface Buffer {
  readonly addr: number;
  readonly bytes: Uint8Array;
}

/** The memory that one call's values lie in. */
export class CallMemory {
  /** buffers by the names that the script gave them */
  readonly labels = new Map<string, Buffer>();
  readonly #areas: Area[] = [];
  readonly #shown = new Set<number>();
  #next = FIRST;

  /** Address space for `bytes` bytes in whole pages, with an unmapped page behind them. */
  #take(bytes: number): number {
    const at = this.#next;
    this.#next += (Math.max(1, Math.ceil(bytes / PAGE)) + 1) * PAGE;
    if (this.#next > LAST) throw new RangeError("a call's buffers do not fit into its memory");
    return at;
  }

  #map(bytes: Uint8Array, writable: boolean, edge: boolean): number {
    const from = this.#take(bytes.length);
    const to = from + Math.max(1, Math.ceil(bytes.length / PAGE)) * PAGE;
    const addr = edge ? to - bytes.length : from;
    this.#areas.push({ from, to, addr, bytes, writable });
    return addr;
  }

  /** The number that goes into the register. */
  place(value: Value, resolve: (num: Num) => bigint): bigint {
    switch (value.kind) {
      case 'number':
        return resolve(value.value);
      case 'bad':
        return BigInt(this.#take(1));
      case 'memory': {
        const addr = this.#map(value.bytes, value.writable, value.edge);
        const { bytes, label } = value;
        if (label !== undefined) this.labels.set(label, { addr, bytes });
        return BigInt(addr);
      }
      case 'list': {
        const bytes = new Uint8Array(value.items.length * 8);
        const view = new DataView(bytes.buffer);
        value.items.forEach((item, i) => {
          view.setBigUint64(i * 8, BigInt.asUintN(64, this.place(item, resolve)), true);
        });
        return BigInt(this.#map(bytes, false, false));
      }
    }
  }

  /**
   * The call needs guest memory: as much of it as lies in one area, or the news that there is none.
   * What is needed again although it has been shown cannot be written.
   */
  answer(frame: Frame): void {
    const addr = frame.needAddr;
    const at = Number(addr);
    const area = this.#areas.find((one) => at >= one.from && at < one.to);
    const again = this.#shown.has(at) || frame.output(addr, 1) !== undefined;
    if (!area || again) {
      const len = area ? Math.min(frame.needLen, area.to - at) : frame.needLen;
      frame.window(addr, Math.max(1, len), 'unmapped');
      return;
    }
    this.#shown.add(at);
    const end = Math.min(Math.max(at + frame.needLen, area.addr + area.bytes.length), area.to);
    const image = new Uint8Array(end - at);
    for (let i = 0; i < image.length; ++i) image[i] = area.bytes[at + i - area.addr] ?? 0;
    frame.window(addr, image, area.writable ? 'rw' : 'r');
  }

  /** The call is over: its frame may go, the contents of named buffers stay. */
  settle(frame: Frame): void {
    for (const [label, { addr, bytes }] of this.labels) {
      this.labels.set(label, { addr, bytes: frame.output(addr, bytes.length) ?? bytes });
    }
  }
}
