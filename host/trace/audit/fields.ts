// Fields of a record: finding them, and what their values mean. A field is looked for where the
// kernel writes it: in front of `msg='`, behind which user programs write what they like.
import type { AuditRecord } from './record.ts';

const QUOTE = 34;

/** End of the part that the kernel wrote. */
function kernelPart(record: AuditRecord): number {
  const at = record.body.indexOf(" msg='");
  return at < 0 ? record.body.length : at;
}

/** Where the value of `name` begins in `text`, -1 when it is not there before `end`. */
function valueAt(text: string, name: string, end: number): number {
  const at = text.indexOf(` ${name}=`);
  return at < 0 || at >= end ? -1 : at + name.length + 2;
}

/** Where the next field begins behind a value that may hold spaces, as interpreted logs have. */
const NEXT_FIELD = / [a-z][a-z0-9_-]*=/g;

function interpretedEnd(text: string, from: number): number {
  NEXT_FIELD.lastIndex = from;
  const next = NEXT_FIELD.exec(text);
  return next === null ? text.length : next.index;
}

function valueFrom(text: string, from: number, interpreted: boolean): string {
  if (interpreted) return text.slice(from, interpretedEnd(text, from)).trimEnd();
  if (text.charCodeAt(from) === QUOTE) {
    const close = text.indexOf('"', from + 1);
    return text.slice(from, close < 0 ? text.length : close + 1);
  }
  const space = text.indexOf(' ', from);
  return text.slice(from, space < 0 ? text.length : space);
}

/** A field as it is written; undefined when the record has none of that name. */
export function field(record: AuditRecord, name: string): string | undefined {
  const at = valueAt(record.body, name, kernelPart(record));
  return at < 0 ? undefined : valueFrom(record.body, at, record.form === 'interpreted');
}

/** A field of what a user program wrote between the quotes of `msg='...'`. */
export function userField(record: AuditRecord, name: string): string | undefined {
  const part = record.body.slice(kernelPart(record));
  const text = part.replace(/^ msg='/, ' ').replace(/'\s*$/, '');
  const at = valueAt(text, name, text.length);
  return at < 0 ? undefined : valueFrom(text, at, record.form === 'interpreted');
}

/** A decimal field; undefined when it is missing, or no number (names in interpreted logs). */
export function numberField(record: AuditRecord, name: string): number | undefined {
  const text = field(record, name);
  return text !== undefined && /^-?\d{1,16}$/.test(text) ? Number(text) : undefined;
}

/** A user or session id: `unset` and -1 are the same as 4294967295. */
export function idField(record: AuditRecord, name: string): number | undefined {
  const text = field(record, name);
  if (text === 'unset' || text === '-1') return 0xffffffff;
  const inner = /^unknown\((\d+)\)$/.exec(text ?? '')?.[1] ?? text;
  if (inner === 'root') return 0;
  return inner !== undefined && /^\d{1,10}$/.test(inner) ? Number(inner) : undefined;
}

const HEX_PAIRS = /^(?:[0-9A-Fa-f]{2})+$/;

/** Bytes of a hexadecimal value, one character for each; undefined when it is none. */
export function unhex(text: string): string | undefined {
  return HEX_PAIRS.test(text) ? Buffer.from(text, 'hex').toString('latin1') : undefined;
}

/**
 * A string that somebody outside the kernel chose: in quotes when it is harmless, else in hex.
 * undefined: `(null)`, or no such field.
 */
export function untrusted(record: AuditRecord, name: string): string | undefined {
  const text = field(record, name);
  if (text === undefined || text === '(null)') return undefined;
  if (record.form === 'interpreted') return text;
  if (text.charCodeAt(0) === QUOTE) return text.slice(1, text.endsWith('"') ? -1 : undefined);
  return unhex(text) ?? text;
}

/** Writes a string as audit does: quoted when printable and without space and quote, else hex. */
export function encodeUntrusted(text: string): string {
  if (/^[!#-~]*$/.test(text)) return `"${text}"`;
  const pair = (char: string): string => char.charCodeAt(0).toString(16).padStart(2, '0');
  return Array.from(text, pair).join('').toUpperCase();
}

/** The command line of a PROCTITLE record; its arguments are separated by NULs. */
export function proctitle(record: AuditRecord): string[] | undefined {
  if (record.form === 'interpreted') {
    const at = record.body.indexOf(' proctitle=');
    return at < 0 ? undefined : [record.body.slice(at + 11).trimEnd()];
  }
  const text = untrusted(record, 'proctitle');
  if (text === undefined) return undefined;
  return text.replace(/\0+$/, '').split('\0');
}

/** Arguments of an EXECVE record (long ones come in pieces: `a1_len=... a1[0]=...`). */
export function execArgs(records: readonly AuditRecord[]): string[] {
  const pieces = new Map<number, string>();
  const pattern = / a(\d{1,7})(?:\[\d+\])?=("[^"]*"|\S*)/g;
  for (const record of records) {
    if (record.type !== 'EXECVE') continue;
    for (const [, index, text] of record.body.matchAll(pattern)) {
      const quoted = text!.charCodeAt(0) === QUOTE;
      const value = quoted ? text!.slice(1, -1) : (unhex(text!) ?? text!);
      pieces.set(Number(index), (pieces.get(Number(index)) ?? '') + value);
    }
  }
  return [...pieces].sort((a, b) => a[0] - b[0]).map(([, value]) => value);
}

/** arch= of the two machines whose tables are here; undefined for all others. */
export function archOf(text: string | undefined): 'x86_64' | 'i386' | undefined {
  switch (text?.toLowerCase()) {
    case 'c000003e':
    case 'x86_64':
      return 'x86_64';
    case '40000003':
    case 'i386':
    case 'i486':
    case 'i586':
    case 'i686':
      return 'i386';
    default:
      return undefined;
  }
}
