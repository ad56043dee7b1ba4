// The calls of a log that stand there in two halves, by the number of their first half. A log has
// one in a dozen lines: what is kept of each are a few numbers in tables; what it says is kept once
// for all that say the same, and not among the objects of the heap.
import type { ArgNode } from './args.ts';
import type { RetKind, TraceLine } from './event.ts';
import { Lately } from './lately.ts';
import { textOf } from './blocks.ts';
import { Spill } from './source/spill.ts';
import { parseArgs } from './strace/arg-parser.ts';

/** What a call in two halves says; many calls share one. */
class Said {
  readonly argText: string;
  readonly retKind: RetKind;
  readonly ret: number | bigint | undefined;
  readonly errno: string | undefined;
  readonly retText: string;
  #args: ArgNode[] | undefined = undefined;

  /** From the text of `recordOf`. */
  constructor(record: string) {
    // no part of a line has a newline
    const [retKind, ret, errno, retText, argText] = record.split('\n');
    this.retKind = retKind as RetKind;
    this.ret = !ret ? undefined : ret.endsWith('n') ? BigInt(ret.slice(0, -1)) : Number(ret);
    this.errno = errno || undefined;
    this.retText = retText!;
    this.argText = argText!;
  }

  get args(): ArgNode[] {
    return (this.#args ??= parseArgs(this.argText));
  }
}

/** The whole of a call in two halves. */
export class SplitCall {
  readonly #said: Said;
  readonly ret: number | bigint | undefined;

  /** `number`: its result, where that is all that is shown of it. */
  constructor(said: Said, number: number) {
    this.#said = said;
    this.ret = Number.isNaN(number) ? said.ret : number;
  }

  /** the same for calls that say the same, results that are plain numbers aside */
  get said(): object {
    return this.#said;
  }

  /** complete argument text, both halves joined */
  get argText(): string {
    return this.#said.argText;
  }

  get args(): ArgNode[] {
    return this.#said.args;
  }

  get retKind(): RetKind {
    return this.#said.retKind;
  }

  get errno(): string | undefined {
    return this.#said.errno;
  }

  get retText(): string {
    return this.#said.retText || String(this.ret);
  }
}

/** A result that is a plain number stands in the tables: numbers of tasks are all different. */
function numberOf(line: TraceLine): number {
  const { ret } = line;
  const plain = line.retKind === 'value' && typeof ret === 'number' && line.retText === String(ret);
  return plain ? ret : Number.NaN;
}

function recordOf(line: TraceLine): string {
  const { ret } = line;
  const number = ret === undefined ? '' : typeof ret === 'bigint' ? `${ret}n` : ret;
  return `${line.retKind}\n${number}\n${line.errno ?? ''}\n${line.retText}\n${line.argText}`;
}

/** Records that came lately, to see that the same one comes again. */
const LATELY = 4096;
/** A longer one hardly does. */
const MAX_SHARED = 600;
const FIRST_SLOTS = 1024;
const SLOT = 3;

export class SplitCalls {
  /** open addressing, side by side: number of the first half (0: free), record, second half */
  #slots = new Uint32Array(SLOT * FIRST_SLOTS);
  /** the result of each slot's call, NaN where the record has it */
  #numbers = new Float64Array(FIRST_SLOTS);
  #count = 0;
  /** where each record begins; the last entry is where the next one will */
  #begins = new Float64Array(FIRST_SLOTS);
  #records = 0;
  readonly #texts = new Spill();
  readonly #written = new Lately<string, number>(LATELY);
  /** of those with a plain number as their result, by the arguments alone */
  readonly #writtenPlain = new Lately<string, number>(LATELY);
  readonly #read = new Lately<number, Said>(LATELY);

  get size(): number {
    return this.#count;
  }

  /** Bytes of the tables: what grows with the log, in memory. */
  get tableBytes(): number {
    return this.#slots.byteLength + this.#numbers.byteLength + this.#begins.byteLength;
  }

  /** `line` ends the call whose first half has number `start`. */
  add(start: number, line: TraceLine): void {
    const number = numberOf(line);
    const plain = !Number.isNaN(number);
    const key = plain ? line.argText : recordOf(line);
    const known = plain ? this.#writtenPlain : this.#written;
    const shared = key.length <= MAX_SHARED;
    let id = shared ? known.get(key) : undefined;
    if (id === undefined) {
      id = this.#write(plain ? `value\n\n\n\n${key}` : key);
      if (shared) known.set(key, id);
    }
    if (2 * (this.#count + 1) > this.#slots.length / SLOT) this.#grow();
    const at = this.#find(start);
    if (this.#slots[at] === 0) this.#count += 1;
    this.#slots[at] = start;
    this.#slots[at + 1] = id;
    this.#slots[at + 2] = line.seq;
    this.#numbers[at / SLOT] = number;
  }

  /** Number of the second half of the call whose first one is `start`; 0: not known. */
  endOf(start: number): number {
    return this.#slots[this.#find(start) + 2]!;
  }

  get(start: number): SplitCall | undefined {
    const at = this.#find(start);
    if (this.#slots[at] === 0) return undefined;
    const id = this.#slots[at + 1]!;
    let found = this.#read.get(id);
    if (!found) this.#read.set(id, (found = new Said(this.#recordAt(id))));
    return new SplitCall(found, this.#numbers[at / SLOT]!);
  }

  close(): void {
    this.#texts.close();
  }

  #write(record: string): number {
    const id = this.#records++;
    this.#texts.append(Buffer.from(record, 'latin1'));
    if (this.#records === this.#begins.length) {
      const wider = new Float64Array(2 * this.#begins.length);
      wider.set(this.#begins);
      this.#begins = wider;
    }
    this.#begins[this.#records] = this.#texts.size;
    return id;
  }

  #recordAt(id: number): string {
    const [from, to] = [this.#begins[id]!, this.#begins[id + 1]!];
    let text = '';
    for (const piece of this.#texts.read(from, to, to - from)) text += textOf(piece);
    return text;
  }

  /** The slot of a number, or the free one where it would stand. */
  #find(start: number): number {
    const mask = this.#slots.length / SLOT - 1;
    let i = (Math.imul(start, 0x9e3779b1) >>> 7) & mask;
    for (; ; i = (i + 1) & mask) {
      const number = this.#slots[SLOT * i];
      if (number === 0 || number === start) return SLOT * i;
    }
  }

  #grow(): void {
    const old = this.#slots;
    const numbers = this.#numbers;
    this.#slots = new Uint32Array(2 * old.length);
    this.#numbers = new Float64Array(2 * numbers.length);
    for (let i = 0; i < old.length; i += SLOT) {
      if (old[i] === 0) continue;
      const at = this.#find(old[i]!);
      this.#slots[at] = old[i]!;
      this.#slots[at + 1] = old[i + 1]!;
      this.#slots[at + 2] = old[i + 2]!;
      this.#numbers[at / SLOT] = numbers[i / SLOT]!;
    }
  }
}
