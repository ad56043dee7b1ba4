// Characters, escapes and numbers as strace writes them.

/** A copy of latin1 text that does not keep alive the string it was cut from. */
export function ownCopy(text: string): string {
  return Buffer.from(text, 'latin1').toString('latin1');
}

export function isDigit(c: number): boolean {
  return c >= 48 && c <= 57;
}
export function isHex(c: number): boolean {
  return (c >= 48 && c <= 57) || (c >= 97 && c <= 102) || (c >= 65 && c <= 70);
}
export function isWordStart(c: number): boolean {
  return (c >= 65 && c <= 90) || (c >= 97 && c <= 122) || c === 95;
}
export function isWord(c: number): boolean {
  return isWordStart(c) || isDigit(c);
}

const SIMPLE_ESCAPES: Record<string, number> = {
  a: 7,
  b: 8,
  t: 9,
  n: 10,
  v: 11,
  f: 12,
  r: 13,
  e: 27,
};

/** Resolves the escapes between two quotes; `text` is what stands between them. */
export function unescapeString(text: string): string {
  if (!text.includes('\\')) return text;
  const out: string[] = [];
  let i = 0;
  while (i < text.length) {
    const slash = text.indexOf('\\', i);
    if (slash < 0 || slash === text.length - 1) {
      out.push(text.slice(i));
      break;
    }
    if (slash > i) out.push(text.slice(i, slash));
    i = slash + 1;
    const ch = text[i] as string;
    const code = text.charCodeAt(i);
    if (code >= 48 && code <= 55) {
      let n = 0;
      let end = i;
      while (end < i + 3 && text.charCodeAt(end) >= 48 && text.charCodeAt(end) <= 55) {
        n = n * 8 + text.charCodeAt(end++) - 48;
      }
      out.push(String.fromCharCode(n & 255));
      i = end;
    } else if (ch === 'x' && isHex(text.charCodeAt(i + 1))) {
      const len = isHex(text.charCodeAt(i + 2)) ? 2 : 1;
      out.push(String.fromCharCode(parseInt(text.slice(i + 1, i + 1 + len), 16)));
      i += 1 + len;
    } else {
      const simple = SIMPLE_ESCAPES[ch];
      out.push(simple === undefined ? ch : String.fromCharCode(simple));
      i++;
    }
  }
  return out.join('');
}

// No recorder writes longer ones, and converting a megabyte of digits takes long.
const LONGEST_INTEGER = 64;

/** A number of few digits without a leading zero, as nearly all are; -1: something else. */
function smallDecimal(text: string): number {
  if (text.length > 9 || (text.charCodeAt(0) === 48 && text.length > 1)) return -1;
  let value = 0;
  for (let i = 0; i < text.length; ++i) {
    const c = text.charCodeAt(i);
    if (!isDigit(c)) return -1;
    value = value * 10 + c - 48;
  }
  return text.length > 0 ? value : -1;
}

/** A number's value, exact; undefined if the text is no integer of strace's notation. */
export function parseInteger(text: string): number | bigint | undefined {
  const small = smallDecimal(text);
  if (small >= 0) return small;
  if (text.length > LONGEST_INTEGER) return undefined;
  const neg = text.startsWith('-');
  const body = neg ? text.slice(1) : text;
  let value: number | bigint;
  if (/^0[xX][0-9a-fA-F]+$/.test(body)) {
    value = body.length <= 14 ? parseInt(body, 16) : BigInt(body);
  } else if (/^0[0-7]+$/.test(body)) {
    value = body.length <= 17 ? parseInt(body, 8) : BigInt(`0o${body.slice(1)}`);
  } else if (/^[0-9]+$/.test(body)) {
    value = body.length <= 15 ? Number(body) : BigInt(body);
  } else {
    return undefined;
  }
  if (typeof value === 'bigint' && value <= 9007199254740991n) value = Number(value);
  return neg ? (value === 0 ? 0 : -value) : value;
}
