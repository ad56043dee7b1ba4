// Halves of calls that come again byte for byte behind the pid: `close(3 <unfinished ...>`,
// `<... close resumed>) = 0`. A log of many tasks has little else. What the reader found in one of
// them is taken for the next; both give the same (test/unit/trace/plain.test.ts).
import { hashOf, isSame } from '../bytes.ts';
import { StraceLine } from './line.ts';
import type { RetKind } from '../event.ts';

const LESS = 60;
/** Longer ones hardly come twice. */
const MAX_LENGTH = 300;
/** Slots of the table; what falls into a slot drives out what was there. */
const SLOTS = 4096;
/** More first halves than these are not told apart for one second half. */
const MAX_JOINED = 64;

/** Half of a call, as far as it does not depend on where it stands. */
export class Half {
  readonly bytes: Uint8Array;
  readonly kind: 'unfinished' | 'resumed';
  readonly name: string;
  /** where the arguments lie, from the body's first byte on */
  readonly argFrom: number;
  readonly argTo: number;
  readonly argText: string;
  readonly retKind: RetKind;
  readonly ret: number | bigint | undefined;
  readonly errno: string | undefined;
  readonly retText: string;
  /** the arguments of whole calls that this is the second half of, by their first one */
  readonly #joined = new Map<Half, string>();

  constructor(line: StraceLine, body: number, bytes: Uint8Array) {
    this.bytes = Uint8Array.from(bytes);
    this.kind = line.kind as 'unfinished' | 'resumed';
    this.name = line.name;
    this.argFrom = line.argFrom - body;
    this.argTo = line.argTo - body;
    this.argText = line.text.slice(line.argFrom, line.argTo);
    this.retKind = line.retKind;
    this.ret = line.ret;
    this.errno = line.errno;
    this.retText = line.retText;
  }

  /** Arguments of the call that began with `first`. One string for all such calls. */
  joined(first: Half): string {
    let text = this.#joined.get(first);
    if (text === undefined) {
      if (this.#joined.size >= MAX_JOINED) this.#joined.clear();
      this.#joined.set(first, (text = first.argText + this.argText));
    }
    return text;
  }
}

/** Does nothing but its bytes make the line what it is? */
function isBare(line: StraceLine, first: number): boolean {
  if (line.kind === 'unfinished') {
    if (line.broken || line.detached || line.otherPid !== 0 || first === LESS) return false;
  } else if (line.kind !== 'resumed' || line.injected || line.delayed) {
    return false;
  }
  const columns = line.comm !== undefined || line.timeKind !== 'none' || line.ip !== undefined;
  return (
    !columns && line.nr < 0 && line.callId < 0 && line.note === '' && Number.isNaN(line.duration)
  );
}

export class Halves {
  readonly #slots = new Array<Half | undefined>(SLOTS).fill(undefined);
  /** hashes that came lately: most halves never come again and are not worth a copy */
  readonly #seen = new Int32Array(SLOTS);
  #hash = 0;

  /** The half whose bytes are those of bytes[body, end), if it is known. */
  find(bytes: Uint8Array, body: number, end: number): Half | undefined {
    if (end - body > MAX_LENGTH) return undefined;
    this.#hash = hashOf(bytes, body, end);
    const found = this.#slots[this.#hash & (SLOTS - 1)];
    if (found?.bytes.length !== end - body || !isSame(bytes, body, found.bytes)) return undefined;
    return found;
  }

  /** Keeps what `line` turned out to be, right after `find` did not know bytes[body, end). */
  learn(line: StraceLine, bytes: Uint8Array, from: number, body: number, end: number): void {
    if (end - body > MAX_LENGTH || !isBare(line, bytes[body]!)) return;
    const at = this.#hash & (SLOTS - 1);
    if (this.#seen[at] === this.#hash) {
      this.#slots[at] = new Half(line, body - from, bytes.subarray(body, end));
    }
    this.#seen[at] = this.#hash;
  }
}
