// What stands in front of a call: pid, comm, time, call number, instruction pointer.
import type { StraceLine } from './line.ts';

const SPACE = 32;
const COLON = 58;
const DOT = 46;
const BRACKET = 91;
const LESS = 60;

/** pid_max has at most 7 digits; a longer leading integer is a time since the epoch. */
const EPOCH_DIGITS = 10;

function digitsEnd(s: string, from: number): number {
  let p = from;
  for (;;) {
    const c = s.charCodeAt(p);
    if (c < 48 || c > 57 || c !== c) return p;
    p++;
  }
}

function skipSpaces(s: string, from: number): number {
  let p = from;
  while (s.charCodeAt(p) === SPACE) p++;
  return p;
}

function toInt(s: string, from: number, to: number): number {
  let n = 0;
  for (let p = from; p < to; p++) n = n * 10 + s.charCodeAt(p) - 48;
  return n;
}

/** `[pid  1234]` or `[pid 1234<comm>]` at `from`; the position behind it, or `from`. */
function bracketPid(s: string, from: number, out: StraceLine): number {
  const digits = skipSpaces(s, from + 4);
  let p = digitsEnd(s, digits);
  if (p === digits || p - digits >= EPOCH_DIGITS) return from;
  const pid = toInt(s, digits, p);
  let comm: string | undefined;
  if (s.charCodeAt(p) === LESS) {
    const end = commEnd(s, p, '>]');
    if (end < 0) return from;
    comm = s.slice(p + 1, end);
    p = end + 1;
  }
  if (s[p] !== ']') return from;
  out.pid = pid;
  out.pidShown = true;
  out.comm = comm;
  return skipSpaces(s, p + 1);
}

/** End of a comm that starts behind `<` at `from`: at most 16 bytes, escaped up to 4 each. */
function commEnd(s: string, from: number, close: string): number {
  const end = s.slice(from, from + 70).indexOf(close);
  return end < 0 ? -1 : from + end;
}

/** Fraction digits at `from` as nanoseconds; the position behind them. */
function fraction(s: string, from: number, out: StraceLine): number {
  const end = digitsEnd(s, from);
  let n = toInt(s, from, Math.min(end, from + 9));
  for (let i = end - from; i < 9; i++) n *= 10;
  out.nsec = n;
  return end;
}

/** A time column at `from`; the position behind it, or `from` when there is none. */
function timeColumn(s: string, from: number, out: StraceLine): number {
  const first = digitsEnd(s, from);
  if (first === from) return from;
  const c = s.charCodeAt(first);
  let p = first;
  if (c === COLON) {
    const m = digitsEnd(s, first + 1);
    if (m !== first + 3 || s.charCodeAt(m) !== COLON) return from;
    p = digitsEnd(s, m + 1);
    if (p !== m + 3) return from;
    const sec = toInt(s, from, first) * 3600 + toInt(s, first + 1, m) * 60 + toInt(s, m + 1, p);
    if (s.charCodeAt(p) === DOT) p = fraction(s, p + 1, out);
    if (s.charCodeAt(p) !== SPACE) return from;
    out.sec = sec;
    out.timeKind = 'day';
  } else if (c === DOT || c === SPACE) {
    if (c === DOT) p = fraction(s, first + 1, out);
    if (s.charCodeAt(p) !== SPACE) return from;
    out.sec = toInt(s, from, first);
    out.timeKind = first - from >= EPOCH_DIGITS ? 'epoch' : 'relative';
  } else {
    return from;
  }
  p = skipSpaces(s, p);
  // -r together with an absolute time: `(+     0.000123) `
  if (s.startsWith('(+', p)) {
    const close = s.slice(p, p + 40).indexOf(')');
    if (close > 0) p = skipSpaces(s, p + close + 1);
  }
  return p;
}

/** `[  59] ` and `[00007f0af64b5000] ` at `from`; the position behind them. */
function numberColumns(s: string, from: number, out: StraceLine): number {
  let p = from;
  while (s.charCodeAt(p) === BRACKET) {
    const close = s.slice(p, p + 24).indexOf(']');
    if (close < 0) return p;
    const inner = s.slice(p + 1, p + close).trimStart();
    if (inner.length >= 8 && /^(?:[0-9a-f]+|\?+)$/.test(inner)) out.ip = inner;
    else if (/^[0-9]{1,7}$/.test(inner)) out.nr = Number(inner);
    else if (/^(?:0x[0-9a-f]+|\?+)$/.test(inner)) out.nr = inner[0] === '?' ? -1 : Number(inner);
    else return p;
    p = skipSpaces(s, p + close + 1);
  }
  return p;
}

/** Reads all columns in front of the body into `out`; returns where the body starts. */
export function readPrefix(out: StraceLine): number {
  const s = out.text;
  let p = 0;
  let c = s.charCodeAt(0);
  if (c === BRACKET && s.startsWith('[pid ')) {
    p = bracketPid(s, 0, out);
  } else if (c >= 48 && c <= 57) {
    const end = digitsEnd(s, 0);
    const after = s.charCodeAt(end);
    if (end < EPOCH_DIGITS && (after === SPACE || after === LESS)) {
      out.pid = toInt(s, 0, end);
      out.pidShown = true;
      p = end;
      if (after === LESS) {
        const close = commEnd(s, end, '> ');
        if (close > 0) {
          out.comm = s.slice(end + 1, close);
          p = close + 1;
        }
      }
      p = skipSpaces(s, p);
    }
  } else if (c === SPACE) {
    // only a relative time is indented; everything else that is belongs to the body
    const q = skipSpaces(s, 0);
    p = timeColumn(s, q, out);
    return p === q ? 0 : numberColumns(s, p, out);
  }
  c = s.charCodeAt(p);
  if (c >= 48 && c <= 57) p = timeColumn(s, p, out);
  if (s.charCodeAt(p) === BRACKET) p = numberColumns(s, p, out);
  return p;
}
