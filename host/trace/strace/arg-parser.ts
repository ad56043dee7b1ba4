// Decoding of strace's argument notation into a tree. Total: any text gives some tree, in linear
// time, and what isn't understood becomes an `other` node that keeps its text.
import type { ArgNode, FlagsNode, IntNode } from '../args.ts';
import { Lately } from '../lately.ts';
import {
  isDigit,
  isHex,
  isWord,
  isWordStart,
  ownCopy,
  parseInteger,
  unescapeString,
} from './text.ts';
import { waitStatusOf } from '../values.ts';

/** Behind the path of a file whose name is gone. */
const DELETED = '(deleted)';

// Deeper nesting than any recorder writes; beyond it the rest is kept as text.
const MAX_DEPTH = 40;

const QUOTE = 34;
const QUOTE_CHAR = '"';
const COMMA = 44;
const SPACE = 32;

class ArgParser {
  readonly s: string;
  pos = 0;
  depth = 0;

  constructor(s: string) {
    this.s = s;
  }

  spaces(): void {
    while (this.s.charCodeAt(this.pos) === SPACE) this.pos++;
  }

  comment(): string | undefined {
    if (!this.s.startsWith('/*', this.pos)) return undefined;
    let end = this.s.indexOf('*/', this.pos + 2);
    if (end < 0) end = this.s.length;
    const text = this.s.slice(this.pos + 2, end).trim();
    this.pos = Math.min(end + 2, this.s.length);
    return text;
  }

  /** A list up to `close` ('' = to the end). Commas, or in arrays spaces, separate. */
  list(close: string, into: ArgNode[]): { spaced: boolean; truncated: boolean } {
    let spaced = false;
    let truncated = false;
    for (;;) {
      this.spaces();
      if (this.pos >= this.s.length) break;
      if (this.s[this.pos] === close) {
        this.pos++;
        break;
      }
      if (this.s.charCodeAt(this.pos) === COMMA) {
        this.pos++;
        continue;
      }
      const before = this.pos;
      const node = this.item(close);
      if (node.kind === 'ellipsis') truncated = true;
      into.push(node);
      if (this.pos === before) this.pos++;
      const c = this.s.charCodeAt(this.pos);
      if (c === SPACE && close === ']') {
        this.spaces();
        const next = this.s.charCodeAt(this.pos);
        if (next !== COMMA && next !== 93 && next === next) spaced = true;
      }
    }
    return { spaced, truncated };
  }

  /** One element: name, value, comment, out part. */
  item(close: string): ArgNode {
    const lead = this.comment();
    if (lead !== undefined) this.spaces();
    const name = this.fieldName();
    const node = this.value(close);
    if (name !== undefined) node.name = name;
    if (lead !== undefined) node.comment = lead;
    this.tail(node, close);
    return node;
  }

  fieldName(): string | undefined {
    let p = this.pos;
    if (this.s[p] === '[') {
      // `[3]=value` or `[0x1 /* X */]=value`, an element of a sparse array
      const head = this.s.slice(p + 1, p + 64);
      const end = head.indexOf(']=');
      const name = head.slice(0, end);
      if (end < 0 || /[[\]{},"]/.test(name)) return undefined;
      this.pos = p + end + 3;
      return name;
    }
    if (!isWordStart(this.s.charCodeAt(p))) return undefined;
    while (isWord(this.s.charCodeAt(p)) || this.s[p] === '.') p++;
    if (this.s[p] !== '=' || this.s[p + 1] === '=' || this.s[p + 1] === '>') return undefined;
    const name = this.s.slice(this.pos, p);
    this.pos = p + 1;
    return name;
  }

  /** What may follow a value: comment, `=> out`, or junk up to the next separator. */
  tail(node: ArgNode, close: string): void {
    for (;;) {
      const mark = this.pos;
      this.spaces();
      const comment = this.comment();
      if (comment !== undefined) {
        node.comment = node.comment === undefined ? comment : `${node.comment}; ${comment}`;
        continue;
      }
      if (this.s.startsWith('=>', this.pos)) {
        this.pos += 2;
        this.spaces();
        if (this.depth < MAX_DEPTH) {
          this.depth++;
          node.out = this.item(close);
          this.depth--;
        }
        return;
      }
      this.pos = mark;
      return;
    }
  }

  value(close: string): ArgNode {
    const c = this.s.charCodeAt(this.pos);
    if (c === QUOTE) return this.string();
    if (c === 123 /* { */ || c === 91 /* [ */) return this.nested(c);
    if (c === 126 /* ~ */ && this.s[this.pos + 1] === '[') {
      this.pos++;
      const node = this.nested(91);
      if (node.kind === 'array') node.negated = true;
      return node;
    }
    if (c === 46 && this.s.startsWith('...', this.pos)) {
      this.pos += 3;
      return { kind: 'ellipsis' };
    }
    if (isDigit(c) || (c === 45 && isDigit(this.s.charCodeAt(this.pos + 1)))) {
      return this.numberOrFlags(close);
    }
    if (isWordStart(c)) return this.wordOrFlags(close);
    if (c === 64 && this.s[this.pos + 1] === QUOTE_CHAR) {
      this.pos++;
      const node = this.string();
      if (node.kind === 'str') node.value = `\0${node.value}`;
      return node;
    }
    return this.junk(close, this.pos);
  }

  string(): ArgNode {
    const start = this.pos + 1;
    let p = start;
    for (;;) {
      const quote = this.s.indexOf('"', p);
      if (quote < 0) {
        this.pos = this.s.length;
        return { kind: 'str', value: unescapeString(this.s.slice(start)), truncated: true };
      }
      let slashes = 0;
      while (quote - 1 - slashes >= start && this.s.charCodeAt(quote - 1 - slashes) === 92) {
        slashes++;
      }
      p = quote + 1;
      if (slashes % 2 === 0) break;
    }
    const value = unescapeString(this.s.slice(start, p - 1));
    const truncated = this.s.startsWith('...', p);
    this.pos = truncated ? p + 3 : p;
    return { kind: 'str', value, truncated };
  }

  nested(open: number): ArgNode {
    if (this.depth >= MAX_DEPTH) {
      const text = this.s.slice(this.pos);
      this.pos = this.s.length;
      return { kind: 'other', text };
    }
    if (open === 123 && this.s.startsWith('{WIF', this.pos)) return this.status();
    this.depth++;
    this.pos++;
    const items: ArgNode[] = [];
    const { spaced, truncated } = this.list(open === 123 ? '}' : ']', items);
    this.depth--;
    if (open === 123) return { kind: 'struct', fields: items, truncated };
    return { kind: 'array', items, spaced, negated: false, truncated };
  }

  status(): ArgNode {
    let end = this.s.indexOf('}', this.pos);
    if (end < 0) end = this.s.length;
    const text = this.s.slice(this.pos + 1, end);
    this.pos = Math.min(end + 1, this.s.length);
    return { kind: 'status', text, value: waitStatusOf(text) };
  }

  path(node: ArgNode): void {
    if (this.s[this.pos] !== '<') return;
    // A path may hold `<` and `>` of its own (sockets print `<TCP:[a->b]>`): brackets balance,
    // an arrow doesn't count.
    let open = 0;
    let p = this.pos;
    for (; p < this.s.length; p++) {
      const c = this.s[p];
      if (c === '<') open++;
      else if (c === '>' && this.s[p - 1] !== '-' && --open === 0) break;
    }
    node.path = this.s.slice(this.pos + 1, p);
    this.pos = Math.min(p + 1, this.s.length);
    // said of files without a name any more
    if (this.s.startsWith(DELETED, this.pos)) this.pos += DELETED.length;
  }

  numberText(): string {
    const start = this.pos;
    if (this.s[this.pos] === '-') this.pos++;
    if (this.s[this.pos] === '0' && this.s[this.pos + 1] === 'x') {
      this.pos += 2;
      while (isHex(this.s.charCodeAt(this.pos))) this.pos++;
    } else {
      while (isDigit(this.s.charCodeAt(this.pos))) this.pos++;
    }
    return this.s.slice(start, this.pos);
  }

  numberOrFlags(close: string): ArgNode {
    const start = this.pos;
    const text = this.numberText();
    const value = parseInteger(text);
    if (value === undefined) return this.junk(close, start);
    if (this.s.startsWith('<<', this.pos)) return this.flags([this.shift(text)]);
    if (this.s.startsWith('*1024', this.pos)) {
      // resource limits: `8192*1024`
      this.pos += 5;
      const product = BigInt(value) * 1024n;
      const whole = product <= 9007199254740991n ? Number(product) : product;
      return { kind: 'int', value: whole, base: 10, text: `${text}*1024` };
    }
    const octal = text.length > 1 && text[0] === '0' && text[1] !== 'x';
    const base = text.includes('x') ? 16 : octal ? 8 : 10;
    const node: IntNode = { kind: 'int', value, base, text };
    this.path(node);
    if (this.s[this.pos] === '|') return this.flags([value]);
    if (this.s.startsWith(' /*', this.pos)) {
      const mark = this.pos++;
      node.comment = this.comment() as string;
      if (this.s[this.pos] === '|') return this.flags([value]);
      if (node.comment === '') this.pos = mark;
      this.path(node);
    }
    return this.finishAtom(node, close, start);
  }

  /** Behind the number of `1<<NAME`: the whole as one text. */
  shift(text: string): string {
    const start = this.pos;
    this.pos += 2;
    while (isWord(this.s.charCodeAt(this.pos))) this.pos++;
    return text + this.s.slice(start, this.pos);
  }

  wordOrFlags(close: string): ArgNode {
    const start = this.pos;
    while (isWord(this.s.charCodeAt(this.pos))) this.pos++;
    const word = this.s.slice(start, this.pos);
    if (this.s[this.pos] === '(') return this.fnCall(word);
    if (this.s[this.pos] === '|') return this.flags([word]);
    const node: ArgNode = word === 'NULL' ? { kind: 'null' } : { kind: 'sym', text: word };
    this.path(node);
    return this.finishAtom(node, close, start);
  }

  /** Behind `first|`: more names and numbers, each maybe with a comment. */
  flags(parts: (string | number | bigint)[]): ArgNode {
    let comment: string | undefined;
    while (this.s[this.pos] === '|') {
      this.pos++;
      const c = this.s.charCodeAt(this.pos);
      if (isWordStart(c)) {
        const start = this.pos;
        while (isWord(this.s.charCodeAt(this.pos))) this.pos++;
        // `makedev(..)`-like parts and S_IFREG|0644 alike: a call is kept as its text
        if (this.s[this.pos] === '(') {
          const end = this.s.indexOf(')', this.pos);
          this.pos = end < 0 ? this.s.length : end + 1;
        }
        parts.push(this.s.slice(start, this.pos));
      } else if (isDigit(c) || c === 45) {
        const before = this.pos;
        const text = this.numberText();
        const value = parseInteger(text);
        if (this.s.startsWith('<<', this.pos)) parts.push(this.shift(text));
        else if (value !== undefined) parts.push(value);
        else if (this.pos === before) break;
      } else {
        break;
      }
      if (this.s.startsWith(' /*', this.pos)) {
        this.pos++;
        comment = this.comment();
      }
    }
    const node: FlagsNode = { kind: 'flags', parts };
    if (comment !== undefined) node.comment = comment;
    return node;
  }

  fnCall(fn: string): ArgNode {
    if (this.depth >= MAX_DEPTH) return this.junk('', this.pos);
    this.depth++;
    this.pos++;
    const args: ArgNode[] = [];
    this.list(')', args);
    this.depth--;
    return { kind: 'fn', fn, args };
  }

  /** An atom must end at a separator; if not, the whole stretch is something else. */
  finishAtom(node: ArgNode, close: string, start: number): ArgNode {
    const c = this.s[this.pos];
    if (c === undefined || c === ',' || c === ' ' || c === close) return node;
    if (c === '}' || c === ']' || c === ')') return node;
    return this.junk(close, start);
  }

  /** Keeps the text up to the next comma or closing bracket outside of quotes. */
  junk(close: string, start: number): ArgNode {
    for (; this.pos < this.s.length; this.pos++) {
      const c = this.s[this.pos];
      if (c === QUOTE_CHAR) {
        this.string();
        this.pos--;
      } else if (c === ',' || (close !== '' && c === close)) {
        break;
      }
    }
    return { kind: 'other', text: this.s.slice(start, this.pos) };
  }
}

/** Longer texts hardly come twice. */
const MAX_KEPT = 400;
const NONE: ArgNode[] = [];
/** Trees of texts that came lately. They are cut from copies, so that no chunk is kept alive. */
const trees = new Lately<string, ArgNode[]>(4096);

/** As {@link parseArgs}, for texts that do not come twice. */
export function parseOnce(text: string): ArgNode[] {
  const out: ArgNode[] = [];
  new ArgParser(text).list('', out);
  return out;
}

/** The text is an address, maybe with plain numbers behind it: it hardly comes twice. */
function isFleeting(text: string): boolean {
  if (text.charCodeAt(0) !== 48 || text.charCodeAt(1) !== 120) return false;
  let p = 2;
  while (isHex(text.charCodeAt(p))) ++p;
  for (; p < text.length; ++p) {
    const c = text.charCodeAt(p);
    if (c !== COMMA && c !== SPACE && !isDigit(c)) return false;
  }
  return true;
}

/** Decodes the text between a call's parentheses. Nobody changes a tree: others may share it. */
export function parseArgs(text: string): ArgNode[] {
  if (text === '') return NONE;
  if (text.length > MAX_KEPT || isFleeting(text)) return parseOnce(text);
  const known = trees.get(text);
  if (known) return known;
  const own = ownCopy(text);
  const tree = parseOnce(own);
  trees.set(own, tree);
  return tree;
}
