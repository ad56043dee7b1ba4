// One line of an audit log as a record: header, type, time, serial, body. Four forms are read: the
// daemon's own (`type=SYSCALL msg=audit(1.002:3): ...`), the kernel log's (`audit: type=1300
// audit(1.002:3): ...`), and what `ausearch` and `ausearch -i` print. Nothing here throws.
import * as AUDIT from '../../../assembly/uapi/audit.ts';

/** How a record is written. */
export type RecordForm = 'raw' | 'kernel' | 'interpreted';

export interface AuditRecord {
  form: RecordForm;
  /** name of the machine, '' where the log is of one */
  node: string;
  /** name of the type: `SYSCALL`; numbers become names where they have one */
  type: string;
  /** seconds since 1970, and milliseconds; a date without a zone counts as UTC */
  sec: number;
  msec: number;
  serial: number;
  /** length of the header within `text` */
  header: number;
  /** fields, with a space in front of each; without what the daemon added */
  body: string;
  /** what the daemon added behind the separator of enriched logs; '' when nothing */
  tail: string;
  /** 1-based physical line, index of its file */
  line: number;
  file: number;
  text: string;
}

/** Separates what the kernel wrote from what the daemon added. */
export const ENRICHED = '\x1d';
/** A header stands in front; what comes later is somebody's data. */
const HEADER_MAX = 700;

const TYPES = new Map<number, string>();
for (const [name, value] of Object.entries(AUDIT)) {
  if (value >= 1000 && value < 3000) TYPES.set(value, name.slice('AUDIT_'.length));
}

/** Name of a type's number, `UNKNOWN[n]` when it has none. */
export function typeName(type: number): string {
  return TYPES.get(type) ?? `UNKNOWN[${type}]`;
}

/**
 * What may stand in front: a syslog or journal prefix that ends with the name of the program, a
 * kernel's clock in brackets, `node=`. Whatever a line holds behind its header is not looked at.
 */
const HEADER = new RegExp(
  '^(?:<\\d{1,3}>)?' +
    '(?:[^=]{0,200}?\\b(?:kernel|auditd|audispd|audisp-syslog|audisp-remote)(?:\\[\\d+\\])?: )?' +
    '(?:\\[ *\\d+\\.\\d+\\](?:\\[[^\\]]{0,20}\\])? )?' +
    '(?:audit: )?' +
    '(?:node=(\\S{1,255}) )?' +
    'type=(\\S{1,60}) (msg=)?audit\\(([^()]{3,60}):(\\d{1,20})\\)( ?):',
);

const EPOCH = /^(\d{1,12})\.(\d{1,3})$/;
const DATE =
  /^(\d{1,4})([-./])(\d{1,2})\2(\d{1,4}) (\d{1,2}):(\d{2}):(\d{2})(?:\.(\d{1,3}))?( [AP]M)?/;

function fullYear(year: number): number {
  return year >= 100 ? year : year + 2000;
}

/** Seconds since 1970 of a date as a locale may print it; the zone is not shown, UTC is assumed. */
function parseDate(text: string): [number, number] | undefined {
  const hit = DATE.exec(text);
  if (hit === null) return undefined;
  const [a, b, c] = [Number(hit[1]), Number(hit[3]), Number(hit[4])] as const;
  let [year, month, day] = [c, a, b];
  if (hit[1]!.length === 4) [year, month, day] = [a, b, c];
  else if (hit[2] === '.' || a > 12) [year, month, day] = [c, b, a];
  let hour = Number(hit[5]);
  if (hit[9] !== undefined) hour = (hour % 12) + (hit[9] === ' PM' ? 12 : 0);
  const [minute, second] = [Number(hit[6]), Number(hit[7])];
  if (month < 1 || month > 12 || day < 1 || day > 31) return undefined;
  if (hour > 23 || minute > 59 || second > 60) return undefined;
  const at = Date.UTC(fullYear(year), month - 1, day, hour, minute, second);
  if (at < 0) return undefined;
  return [at / 1000, Number((hit[8] ?? '0').padEnd(3, '0'))];
}

function parseTime(text: string): [number, number] | undefined {
  const epoch = EPOCH.exec(text);
  if (epoch !== null) return [Number(epoch[1]), Number(epoch[2])];
  return parseDate(text);
}

function parseType(text: string): string {
  const number = /^(?:UNKNOWN\[)?(\d{1,9})\]?$/.exec(text)?.[1];
  return number === undefined ? text : typeName(Number(number));
}

/** Reads a line. undefined: it is no record. */
export function parseRecord(text: string, line: number, file: number): AuditRecord | undefined {
  const hit = HEADER.exec(text.length > HEADER_MAX ? text.slice(0, HEADER_MAX) : text);
  if (hit === null) return undefined;
  const [header, node, type, msg, time, serial, gap] = hit;
  const when = parseTime(time!);
  if (when === undefined) return undefined;
  const interpreted = gap === ' ' || !EPOCH.test(time!);
  let body = text.slice(header.length).replace(/\r$/, '');
  let tail = '';
  const split = body.indexOf(ENRICHED);
  if (split >= 0) {
    tail = ` ${body.slice(split + 1)}`;
    body = body.slice(0, split);
  }
  return {
    form: interpreted ? 'interpreted' : msg === undefined ? 'kernel' : 'raw',
    node: node ?? '',
    type: parseType(type!),
    sec: when[0],
    msec: when[1],
    serial: Number(serial),
    header: header.length,
    body: body.startsWith(' ') ? body : ` ${body}`,
    tail,
    line,
    file,
    text,
  };
}

/** Lines that tools print between events. */
export function isSeparator(text: string): boolean {
  return /^(?:-{4,}|time->.*|<no matches>|)\s*$/.test(text);
}
