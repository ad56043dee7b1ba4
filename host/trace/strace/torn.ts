// Lines torn in two on a terminal: strace writes the first half of a call before it is over, and
// the traced program's output or strace's own remarks come in between.
import type { StraceLine } from './line.ts';
import { findSeparator, readResult, resultAt, takeDuration } from './result.ts';
import { unescapeString } from './text.ts';

const REMARK = /^strace: Process ([0-9]+)(?:<.*?>)? (attached|detached)/;
const WRITERS = /^(?:write|writev|pwrite64|pwritev|sendto|sendmsg|sendfile|splice|ioctl)$/;

/** End of the arguments of `write(1, "text", 4` in front of the text itself. */
function endOfWrite(s: string, from: number): number {
  const hit = /^[0-9]+(?:<[^"]*>)?, "((?:[^"\\]|\\.)*)"(\.\.\.)?, ([0-9]+)/.exec(s.slice(from));
  if (hit === null) return s.length;
  const digits = hit[3] as string;
  // digits of the output may follow the count without a gap
  const count = hit[2] === undefined ? String(unescapeString(hit[1] as string).length) : digits;
  const behind = digits.startsWith(count) ? digits.length - count.length : 0;
  return from + hit[0].length - behind;
}

/** `name(args` without an end; `at` is where the name stands. */
export function readTornHead(out: StraceLine, at: number): boolean {
  const s = out.text;
  if (s[at] === '<') return false;
  const from = at + out.name.length + 1;
  const remark = s.indexOf('strace: Process ', from);
  let to = s.length;
  if (remark >= 0) {
    const hit = REMARK.exec(s.slice(remark, remark + 80));
    if (hit === null) return false;
    out.otherPid = Number(hit[1]);
    out.detached = hit[2] === 'detached';
    to = remark;
  } else if (WRITERS.test(out.name)) {
    if (out.name === 'write') to = endOfWrite(s, from);
  } else {
    return false;
  }
  out.kind = 'unfinished';
  out.broken = true;
  out.note = '';
  out.duration = NaN;
  out.argFrom = from;
  out.argTo = to;
  return true;
}

/** The rest of the line that began with `first`. */
export function readTornTail(out: StraceLine, first: StraceLine): boolean {
  const s = out.text;
  if (/^ ?<(?:unfinished(?: #[0-9]+)?|detached) \.\.\.>$/.test(s)) {
    out.kind = 'other';
    out.note = 'end of a torn line';
    return true;
  }
  let end = takeDuration(out, s.length);
  while (s.charCodeAt(end - 1) === 32) end--;
  const close = findSeparator(s, -1, end);
  if (close < 0 || !readResult(out, resultAt(s, close), end)) return false;
  out.kind = 'resumed';
  out.broken = true;
  out.note = '';
  out.name = first.name;
  out.pid = first.pid;
  // Behind a remark the arguments go on; in front of the end of a write stands its output.
  out.argFrom = first.otherPid !== 0 ? 0 : close;
  out.argTo = close;
  return true;
}
