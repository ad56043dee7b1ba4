// The right end of a call line: duration, separator, result.
import type { StraceLine } from './line.ts';
import { isDigit, parseInteger } from './text.ts';

const SPACE = 32;
const CLOSE_PAREN = 41;
const GREATER = 62;

/** Takes `<0.000012>` off the end of text[0, end); returns the new end. */
export function takeDuration(out: StraceLine, end: number): number {
  const s = out.text;
  if (s.charCodeAt(end - 1) !== GREATER) return end;
  const open = s.lastIndexOf('<', end - 1);
  if (open < 1 || end - open > 24 || s.charCodeAt(open - 1) !== SPACE) return end;
  if (!isDigit(s.charCodeAt(open + 1))) return end;
  const inner = s.slice(open + 1, end - 1);
  if (!/^[0-9]+(?:\.[0-9]+)?$/.test(inner)) return end;
  out.duration = Number(inner);
  let p = open - 1;
  while (p > 0 && s.charCodeAt(p - 1) === SPACE) p--;
  return p;
}

/** True if position `at` lies within a string that began at or behind `from`. */
export function insideString(s: string, from: number, at: number): boolean {
  let p = s.indexOf('"', from);
  while (p >= 0 && p < at) {
    let q = p + 1;
    for (;;) {
      q = s.indexOf('"', q);
      if (q < 0 || q >= at) return true;
      let slashes = 0;
      while (s.charCodeAt(q - 1 - slashes) === 92 && q - 1 - slashes > p) slashes++;
      q++;
      if (slashes % 2 === 0) break;
    }
    p = s.indexOf('"', q);
  }
  return false;
}

/**
 * Finds the last `)   = ` in text[from, end). Returns the position of the `)`, or -1; the result
 * starts at `resultAt(text, found)`.
 */
export function findSeparator(s: string, from: number, end: number): number {
  let eq = end;
  for (;;) {
    eq = s.lastIndexOf('= ', eq - 1);
    if (eq <= from) return -1;
    if (s.charCodeAt(eq - 1) !== SPACE) continue;
    let p = eq - 1;
    while (p > from && s.charCodeAt(p) === SPACE) p--;
    if (p >= from && s.charCodeAt(p) === CLOSE_PAREN) return p;
    // the spaces need not be looked at again
    eq = p + 1;
  }
}

/** Where the result begins, behind the separator at `close`. */
export function resultAt(s: string, close: number): number {
  return s.indexOf('= ', close) + 2;
}

function takeMarks(out: StraceLine): void {
  const text = out.retText;
  if (text.charCodeAt(text.length - 1) !== CLOSE_PAREN) return;
  if (text.includes('(INJECTED)')) out.injected = true;
  if (text.includes('(DELAYED)')) out.delayed = true;
  if (text.includes('(INJECTED: args')) out.injected = true;
}

/** Reads the result in text[from, end). False if that is no result. */
export function readResult(out: StraceLine, from: number, end: number): boolean {
  const s = out.text;
  out.retText = s.slice(from, end);
  // by far the most frequent results
  if (end - from === 1 && s.charCodeAt(from) >= 48 && s.charCodeAt(from) <= 57) {
    out.retKind = 'value';
    out.ret = s.charCodeAt(from) - 48;
    return true;
  }
  takeMarks(out);
  const text = out.retText;
  if (text.charCodeAt(0) === 63 /* ? */) {
    if (text === '?') out.retKind = 'unknown';
    else if (text.startsWith('? <unavailable>')) out.retKind = 'unavailable';
    else if (text.startsWith('? ERESTART')) {
      out.retKind = 'restart';
      out.errno = /^\? (\w+)/.exec(text)?.[1];
    } else if (text.startsWith('? ')) {
      out.retKind = 'unknown';
    } else {
      return false;
    }
    return true;
  }
  const number = /^-?(?:0x[0-9a-f]+|[0-9]+)(?=$|[ <])/.exec(text)?.[0];
  if (number === undefined) return false;
  out.ret = parseInteger(number) ?? (/^[0-9]+$/.test(number) ? Number(number) : undefined);
  out.retKind = 'value';
  if (out.ret === -1) {
    const name = /^-1 (?:(E[A-Z0-9_]+)|\(errno ([0-9]+)\))/.exec(text);
    if (name !== null) {
      out.retKind = 'error';
      out.errno = name[1] ?? name[2];
      // printed raw, a restart looks like an error
      if (out.errno?.startsWith('ERESTART')) {
        out.retKind = 'restart';
        out.ret = undefined;
      }
    }
  }
  return true;
}
