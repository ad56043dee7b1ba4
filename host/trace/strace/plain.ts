// The plainest lines of a log, and by far the most: `1234  close(3) = 0`. They are read from bytes,
// without a string for each part. What is not exactly of this form is left to reader.ts, which
// reads any line; both give the same (test/unit/trace/plain.test.ts).
import { textOf } from '../blocks.ts';
import { hashOf, isSame } from '../bytes.ts';
import type { LineSink, PlainCall } from '../sink.ts';
import { StraceLine } from './line.ts';

const SPACE = 32;
const QUOTE = 34;
const OPEN = 40;
const CLOSE = 41;
const MINUS = 45;
const DOT = 46;
const EQUALS = 61;
const GREATER = 62;
const BACKSLASH = 92;

/** A number of a task has fewer digits; a longer one may be a time. */
const PID_DIGITS = 9;
/** Results of which a double holds every digit. */
const RET_DIGITS = 15;
const RET_HEX_DIGITS = 13;
/** A result with the text of an errno is shorter. */
const MAX_RESULT = 100;
/** More names than any recorder knows calls: what comes after is not one. */
const MAX_NAMES = 1024;
const MAX_NAME = 40;
const SLOTS = 4096;

/** One bit for each class of characters. */
const WORD = 1;
const UPPER_OR_DIGIT = 2;
const LOWER = 4;
const CLASSES = new Uint8Array(256);
for (let c = 48; c <= 57; ++c) CLASSES[c] = WORD | UPPER_OR_DIGIT;
for (let c = 65; c <= 90; ++c) CLASSES[c] = WORD | UPPER_OR_DIGIT;
for (let c = 97; c <= 122; ++c) CLASSES[c] = WORD | LOWER;
CLASSES[95] = WORD;

const isDigit = (c: number): boolean => c >= 48 && c <= 57;

/** A name that has come before: looked up by its bytes. */
class Name {
  readonly bytes: Uint8Array;
  readonly text: string;
  /** the sink takes such calls undecoded; or may take them by their bytes */
  readonly skipped: boolean;
  readonly byBytes: boolean;

  constructor(bytes: Uint8Array, sink: LineSink) {
    this.bytes = Uint8Array.from(bytes);
    this.text = textOf(this.bytes);
    this.skipped = sink.takesPlain?.(this.text) === true;
    this.byBytes = sink.takesBytes?.(this.text) === true;
  }

  is(bytes: Uint8Array, from: number, to: number): boolean {
    return to - from === this.bytes.length && isSame(bytes, from, this.bytes);
  }
}

/** Names by the hash of their bytes, open addressing; full of names it knows no more. */
class Names {
  readonly #slots = new Array<Name | undefined>(SLOTS).fill(undefined);
  readonly #sink: LineSink;
  #count = 0;

  constructor(sink: LineSink) {
    this.#sink = sink;
  }

  find(bytes: Uint8Array, from: number, to: number, hash: number): Name | undefined {
    let at = hash & (SLOTS - 1);
    for (;;) {
      const name = this.#slots[at];
      if (name === undefined) break;
      if (name.is(bytes, from, to)) return name;
      at = (at + 1) & (SLOTS - 1);
    }
    if (this.#count >= MAX_NAMES || to - from > MAX_NAME) return undefined;
    this.#count += 1;
    const made = new Name(bytes.subarray(from, to), this.#sink);
    this.#slots[at] = made;
    return made;
  }
}

/** Errno names, so that equal ones are one string. */
const errnos = new Names({ line: () => undefined });

export class PlainReader implements PlainCall {
  seq = 0;
  line = 0;
  pid = 0;
  name = '';
  ret = 0;
  errno = '';
  /** the sink takes it as it is */
  skipped = false;
  /** it may take it by its bytes */
  byBytes = false;
  /** where the arguments and the text of the result lie in the bytes */
  argFrom = 0;
  argTo = 0;
  retFrom = 0;
  /** where the body begins in the bytes, also of a line that is not plain; 0: no bare pid */
  body = 0;
  #text = '';
  #from = 0;
  #end = 0;
  /** the first quote at or behind wherever it was looked for last */
  #quote = -1;
  readonly #names: Names;

  constructor(sink: LineSink) {
    this.#names = new Names(sink);
  }

  /** Reads bytes[from, end). Return: whether the line is plain; else only pid and body hold. */
  read(bytes: Uint8Array, from: number, end: number): boolean {
    const body = this.#readPid(bytes, from);
    this.body = body;
    // no result ends so
    if (body === 0 || bytes[end - 1] === GREATER) return false;
    let p = body;
    while ((CLASSES[bytes[p]!]! & WORD) !== 0 && p < end) p++;
    if (p === body || bytes[p] !== OPEN || isDigit(bytes[body]!)) return false;
    const close = this.#readResult(bytes, p + 1, end);
    if (close === 0 || !this.#endsOutsideStrings(bytes, p + 1, close)) return false;
    const name = this.#names.find(bytes, body, p, hashOf(bytes, body, p));
    if (name === undefined) return false;
    this.name = name.text;
    this.skipped = name.skipped;
    this.byBytes = name.byBytes;
    this.argFrom = p + 1;
    this.argTo = close;
    this.#from = from;
    this.#end = end;
    return true;
  }

  /** The text of the bytes that `read` gets from now on. */
  setText(text: string): void {
    this.#text = text;
    this.#quote = -1;
  }

  /** False where a string is still open at `to`: the line is torn. Most lines have none. */
  #endsOutsideStrings(bytes: Uint8Array, from: number, to: number): boolean {
    if (this.#quote < from) {
      const next = bytes.indexOf(QUOTE, from);
      this.#quote = next < 0 ? bytes.length : next;
    }
    return this.#quote >= to || closesStrings(bytes, this.#quote, to);
  }

  decode(): StraceLine {
    const from = this.#from;
    const out = new StraceLine(this.#text.slice(from, this.#end), this.line, 0, this.seq);
    out.kind = 'call';
    out.pid = this.pid;
    out.pidShown = true;
    out.name = this.name;
    out.argFrom = this.argFrom - from;
    out.argTo = this.argTo - from;
    out.retKind = this.errno === '' ? 'value' : 'error';
    out.ret = this.ret;
    out.errno = this.errno === '' ? undefined : this.errno;
    out.retText = this.#text.slice(this.retFrom, this.#end);
    return out;
  }

  /** A bare number and spaces. Return: where the body begins, 0: something else stands there. */
  #readPid(bytes: Uint8Array, from: number): number {
    let p = from;
    let pid = 0;
    while (isDigit(bytes[p]!)) pid = pid * 10 + bytes[p++]! - 48;
    if (pid === 0 || p - from > PID_DIGITS || bytes[p] !== SPACE) return 0;
    while (bytes[p] === SPACE) p++;
    this.pid = pid;
    return p;
  }

  /** The result at the line's end. Return: where the `)` in front of it stands, or 0. */
  #readResult(bytes: Uint8Array, from: number, end: number): number {
    const first = Math.max(from, end - MAX_RESULT);
    let eq = end - 1;
    while (eq > first && bytes[eq] !== EQUALS) eq--;
    if (bytes[eq] !== EQUALS || bytes[eq + 1] !== SPACE || bytes[eq - 1] !== SPACE) return 0;
    this.retFrom = eq + 2;
    if (!this.#readNumber(bytes, eq + 2, end) && !this.#readErrno(bytes, eq + 2, end)) return 0;
    let p = eq - 1;
    while (p > from && bytes[p] === SPACE) p--;
    if (p < from || bytes[p] !== CLOSE) return 0;
    // behind `<unfinished ...>` the arguments end earlier
    return bytes[p - 1] === GREATER && bytes[p - 2] === DOT ? 0 : p;
  }

  /** `0`, `1234`, `0x7f0000001000`: what a double holds, and no octal. */
  #readNumber(bytes: Uint8Array, from: number, end: number): boolean {
    let p = from;
    let value = 0;
    if (bytes[p] === 48 && end - p > 1) {
      if (bytes[p + 1] !== 120 || end - p === 2 || end - p - 2 > RET_HEX_DIGITS) return false;
      for (p += 2; p < end; p++) {
        const c = bytes[p]!;
        if (isDigit(c)) value = value * 16 + c - 48;
        else if (c >= 97 && c <= 102) value = value * 16 + c - 87;
        else return false;
      }
    } else {
      if (p === end || end - p > RET_DIGITS) return false;
      for (; p < end; p++) {
        const c = bytes[p]!;
        if (!isDigit(c)) return false;
        value = value * 10 + c - 48;
      }
    }
    this.ret = value;
    this.errno = '';
    return true;
  }

  /** `-1 ENOENT (No such file or directory)`, without a remark of the recorder behind it. */
  #readErrno(bytes: Uint8Array, from: number, end: number): boolean {
    if (bytes[from] !== MINUS || bytes[from + 1] !== 49 || bytes[from + 2] !== SPACE) return false;
    const name = from + 3;
    let p = name;
    while ((CLASSES[bytes[p]!]! & UPPER_OR_DIGIT) !== 0 && p < end) p++;
    if (bytes[name] !== 69 || p - name < 2 || bytes[p] !== SPACE || bytes[p + 1] !== OPEN)
      return false;
    // a text of the C library begins with one capital letter, `(INJECTED)` has more of them
    if ((CLASSES[bytes[p + 3]!]! & (LOWER | UPPER_OR_DIGIT)) !== LOWER) return false;
    for (let q = p + 2; q < end - 1; q++) if (bytes[q] === OPEN || bytes[q] === CLOSE) return false;
    if (bytes[end - 1] !== CLOSE || end - 1 <= p + 3) return false;
    const errno = errnos.find(bytes, name, p, hashOf(bytes, name, p));
    if (errno === undefined || errno.text === 'EINTR') return false;
    if (errno.text.startsWith('ERESTART')) return false;
    this.ret = -1;
    this.errno = errno.text;
    return true;
  }
}

/** False where a string that begins at or behind `from` is still open at `to`. */
function closesStrings(bytes: Uint8Array, from: number, to: number): boolean {
  let p = from;
  while (p < to) {
    if (bytes[p++] !== QUOTE) continue;
    for (;;) {
      if (p >= to) return false;
      const c = bytes[p];
      if (c === QUOTE) break;
      p += c === BACKSLASH ? 2 : 1;
    }
    p++;
  }
  return true;
}
