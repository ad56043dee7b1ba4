// Values of a trap script: what stands for an argument, a register, a result, a buffer's content.
import { evaluate, errnoNumber } from '../../abi/constants.ts';

/** What is wrong with a line of a script, so that it cannot be run. */
export class ScriptError extends Error {
  readonly line: number;

  constructor(line: number, message: string) {
    super(`line ${line}: ${message}`);
    this.name = 'ScriptError';
    this.line = line;
  }
}

/** A number, or the name of a saved one. */
export type Num = bigint | { readonly saved: string };

/** An argument or a register. */
export type Value =
  | { readonly kind: 'number'; readonly value: Num }
  /** the address of these bytes */
  | {
      readonly kind: 'memory';
      readonly bytes: Uint8Array;
      readonly writable: boolean;
      /** the bytes end exactly where the mapped memory ends */
      readonly edge: boolean;
      readonly label: string | undefined;
    }
  /** an address that nothing is mapped at */
  | { readonly kind: 'bad' }
  /** the address of an array of 64-bit values */
  | { readonly kind: 'list'; readonly items: readonly Value[] };

/** What must stand in an output buffer, piece by piece. */
export type Piece =
  | { readonly type: 'i32' | 'u32' | 'i64' | 'u64'; readonly value: Num }
  | { readonly type: 'str' | 'hex'; readonly bytes: Uint8Array };

/** An object of the script with the place where it stands. */
export class Fields {
  readonly line: number;
  readonly where: string;
  readonly #fields: Readonly<Record<string, unknown>>;

  constructor(line: number, where: string, value: unknown) {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) {
      throw new ScriptError(line, `${where} is no object`);
    }
    this.line = line;
    this.where = where;
    this.#fields = value as Record<string, unknown>;
  }

  fail(message: string): never {
    throw new ScriptError(this.line, message);
  }

  has(key: string): boolean {
    return Object.hasOwn(this.#fields, key);
  }

  get(key: string): unknown {
    return this.has(key) ? this.#fields[key] : undefined;
  }

  keys(): string[] {
    return Object.keys(this.#fields);
  }

  /** Fails on a key that is not one of these. */
  only(...known: string[]): void {
    const stray = this.keys().find((key) => !known.includes(key));
    if (stray !== undefined) this.fail(`unknown key "${stray}" in ${this.where}`);
  }

  text(key: string): string | undefined {
    const value = this.get(key);
    if (!this.has(key)) return undefined;
    return typeof value === 'string' ? value : this.fail(`"${key}" is no text`);
  }

  bool(key: string): boolean | undefined {
    const value = this.get(key);
    if (!this.has(key)) return undefined;
    return typeof value === 'boolean' ? value : this.fail(`"${key}" is neither true nor false`);
  }

  num(key: string): Num | undefined {
    return this.has(key) ? readNum(this, this.get(key), key) : undefined;
  }

  /** A number that names nothing saved. */
  plain(key: string): number | undefined {
    const value = this.num(key);
    if (value === undefined) return undefined;
    if (typeof value !== 'bigint' || value < 0n || value > 0xffffffffn) {
      this.fail(`"${key}" is no number of 32 bits`);
    }
    return Number(value);
  }
}

const MIN = -(1n << 63n);
const MAX = (1n << 64n) - 1n;
const NUMBER = /^-?(?:0[xX][0-9a-fA-F]+|[0-9]+)$/;

function parseNumber(text: string): bigint | undefined {
  if (!NUMBER.test(text)) return undefined;
  return text.startsWith('-') ? -BigInt(text.slice(1)) : BigInt(text);
}

/** Value of a name of the field (`SIGCHLD`, `EINVAL`), or of several joined by `|`. */
function symbol(text: string): bigint | undefined {
  let sum = 0n;
  for (const part of text.split('|')) {
    const name = part.trim();
    const errno = errnoNumber(name);
    const value = errno === undefined ? evaluate(name) : BigInt(errno);
    if (value === undefined) return undefined;
    sum |= value;
  }
  return sum;
}

/** Reads a number in any of its forms. */
export function readNum(at: Fields, value: unknown, what: string): Num {
  let result: bigint | undefined;
  if (typeof value === 'number') {
    if (!Number.isInteger(value)) at.fail(`"${what}": ${value} is no integer`);
    if (!Number.isSafeInteger(value)) {
      at.fail(`"${what}": an integer beyond 2^53 must be written as a string`);
    }
    result = BigInt(value);
  } else if (typeof value === 'string') {
    if (/^\$./.test(value)) return { saved: value.slice(1) };
    result = parseNumber(value) ?? symbol(value);
    if (result === undefined) at.fail(`"${what}": "${value}" is no number and no known name`);
  } else {
    return at.fail(`"${what}" is no number`);
  }
  if (result < MIN || result > MAX) at.fail(`"${what}": ${result} does not fit into 64 bits`);
  return result;
}

function readHex(at: Fields, text: string): Uint8Array {
  if (!/^(?:[0-9a-fA-F]{2})*$/.test(text)) at.fail(`"${text}" are no hexadecimal bytes`);
  return Uint8Array.from(Buffer.from(text, 'hex'));
}

const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text);

function withNul(text: string): Uint8Array {
  const bytes = utf8(text);
  const all = new Uint8Array(bytes.length + 1);
  all.set(bytes);
  return all;
}

/** How large an output buffer may be. */
const OUT_MAX = 1 << 24;

function readOut(f: Fields): Value {
  f.only('out', 'as');
  const size = f.plain('out') ?? 0;
  if (size > OUT_MAX) f.fail(`"out": a buffer of ${size} bytes is too large`);
  const label = f.text('as');
  return { kind: 'memory', bytes: new Uint8Array(size), writable: true, edge: false, label };
}

function readInout(f: Fields): Value {
  f.only('inout', 'as');
  const bytes = readHex(f, f.text('inout') ?? '');
  return { kind: 'memory', bytes, writable: true, edge: false, label: f.text('as') };
}

function readList(f: Fields): Value {
  f.only('list');
  const items = f.get('list');
  if (!Array.isArray(items)) f.fail('"list" is no array');
  return { kind: 'list', items: items.map((item, i) => readValue(f, item, `list item ${i}`)) };
}

function constant(bytes: Uint8Array, edge = false): Value {
  return { kind: 'memory', bytes, writable: false, edge, label: undefined };
}

/** Reads an argument or a register. */
export function readValue(at: Fields, value: unknown, what: string): Value {
  if (typeof value !== 'object' || value === null) {
    return { kind: 'number', value: readNum(at, value, what) };
  }
  const f = new Fields(at.line, `"${what}"`, value);
  if (f.has('out')) return readOut(f);
  if (f.has('inout')) return readInout(f);
  if (f.has('list')) return readList(f);
  f.only('str', 'hex', 'edge', 'bad');
  if (f.keys().length !== 1) f.fail(`"${what}": one of str, hex, out, inout, bad, edge, list`);
  if (f.has('str')) return constant(withNul(f.text('str') ?? ''));
  if (f.has('hex')) return constant(readHex(f, f.text('hex') ?? ''));
  if (f.has('edge')) return constant(utf8(f.text('edge') ?? ''), true);
  if (f.bool('bad') !== true) f.fail('"bad" is true or not there');
  return { kind: 'bad' };
}

/** Reads one piece of what must stand in a buffer. */
function readPiece(at: Fields, value: unknown, label: string): Piece {
  const f = new Fields(at.line, `what must stand in "${label}"`, value);
  f.only('i32', 'u32', 'i64', 'u64', 'str', 'hex');
  const type = f.keys()[0];
  if (f.keys().length !== 1 || type === undefined) {
    return f.fail(`"${label}": one of i32, u32, i64, u64, str, hex`);
  }
  if (type === 'str') return { type, bytes: withNul(f.text(type) ?? '') };
  if (type === 'hex') return { type, bytes: readHex(f, f.text(type) ?? '') };
  return { type: type as 'i32', value: readNum(f, f.get(type), type) };
}

/** Reads `out`: what must stand in which buffer. */
export function readOutputs(at: Fields): Map<string, Piece[]> {
  const outputs = new Map<string, Piece[]>();
  if (!at.has('out')) return outputs;
  const f = new Fields(at.line, '"out"', at.get('out'));
  for (const label of f.keys()) {
    const value = f.get(label);
    const pieces = Array.isArray(value) ? value : [value];
    outputs.set(
      label,
      pieces.map((piece) => readPiece(f, piece, label)),
    );
  }
  return outputs;
}

/** Names of saved values that a value refers to. */
export function savedIn(value: Value | Num | undefined): string[] {
  if (value === undefined || typeof value === 'bigint') return [];
  if ('saved' in value) return [value.saved];
  if (value.kind === 'number') return savedIn(value.value);
  return value.kind === 'list' ? value.items.flatMap(savedIn) : [];
}

/** Names that a value gives to buffers. */
export function labelsIn(value: Value): string[] {
  if (value.kind === 'memory') return value.label === undefined ? [] : [value.label];
  return value.kind === 'list' ? value.items.flatMap(labelsIn) : [];
}
