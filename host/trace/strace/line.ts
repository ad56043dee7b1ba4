// One physical line of an strace log. Filled by reader.ts; decodes the costly parts on demand.
import type { ArgNode, StructNode } from '../args.ts';
import type { LineKind, RetDetail, RetKind, SigInfoFields, TimeKind, TraceLine } from '../event.ts';
import { codeNumber, fieldOf, numberOf, signalNumber, smallOf, translatedPid } from '../values.ts';
import { parseArgs, parseOnce } from './arg-parser.ts';
import type { Half } from './halves.ts';
import { Lately } from '../lately.ts';
import { isDigit, ownCopy } from './text.ts';

const NO_ARGS: ArgNode[] = [];

/** See {@link TraceLine} for the public fields. */
export class StraceLine implements TraceLine {
  kind: LineKind = 'unparsed';
  line: number;
  file: number;
  seq: number;
  pid = 0;
  pidShown = false;
  comm: string | undefined = undefined;
  timeKind: TimeKind = 'none';
  sec = -1;
  nsec = 0;
  untilSec = -1;
  untilNsec = 0;
  duration = NaN;
  nr = -1;
  ip: string | undefined = undefined;
  name = '';
  retKind: RetKind = 'none';
  ret: number | bigint | undefined = undefined;
  errno: string | undefined = undefined;
  injected = false;
  delayed = false;
  retText = '';
  start: StraceLine | undefined = undefined;
  callId = -1;
  broken = false;
  signo = 0;
  exitCode = 0;
  core = false;
  otherPid = 0;
  detached = false;
  note = '';
  text: string;

  /** where this line's own argument text (or a signal's braces) lies in `text` */
  argFrom = 0;
  argTo = 0;
  /** the line whose argument text stands before this one's; for resumed lines */
  before: StraceLine | undefined = undefined;

  /** what it shares with all lines that say the same of half a call */
  #half: Half | undefined = undefined;
  #args: ArgNode[] | undefined = undefined;
  #siginfo: SigInfoFields | null | undefined = undefined;
  #ownsText = false;

  constructor(text: string, line: number, file: number, seq: number) {
    this.text = text;
    this.line = line;
    this.file = file;
    this.seq = seq;
  }

  /** Replaces the text by a copy that does not share memory with its neighbours. */
  ownText(): void {
    if (this.#ownsText) return;
    this.text = ownCopy(this.text);
    this.retText = '';
    this.#ownsText = true;
  }

  /** Takes over what is known of its half of a call. The text ends where that half's bytes do. */
  take(half: Half): void {
    const body = this.text.length - half.bytes.length;
    this.kind = half.kind;
    this.name = half.name;
    this.argFrom = body + half.argFrom;
    this.argTo = body + half.argTo;
    this.retKind = half.retKind;
    this.ret = half.ret;
    this.errno = half.errno;
    this.retText = half.retText;
    this.#half = half;
  }

  get argText(): string {
    const half = this.#half;
    if (half !== undefined) {
      if (this.before === undefined) return half.argText;
      const first = this.before.#half;
      if (first !== undefined && this.before.before === undefined) return half.joined(first);
    }
    const own = this.text.slice(this.argFrom, this.argTo);
    return this.before === undefined ? own : this.before.argText + own;
  }

  get args(): ArgNode[] {
    if (this.#args === undefined) {
      const isCall = this.kind === 'call' || this.kind === 'unfinished' || this.kind === 'resumed';
      this.#args = isCall ? parseArgs(this.argText) : NO_ARGS;
    }
    return this.#args;
  }

  get siginfo(): SigInfoFields | undefined {
    if (this.kind !== 'signal' || this.argTo <= this.argFrom) return undefined;
    this.#siginfo ??= readSigInfo(this.text.slice(this.argFrom, this.argTo)) ?? null;
    return this.#siginfo ?? undefined;
  }

  get retDetail(): RetDetail {
    return parseRetDetail(this.retText, this.retKind);
  }
}

const SENDER = 'si_pid=';
const COMMA = 44;
/** Signals that came lately, by all but the number of who sent them. */
const signals = new Lately<string, SigInfoFields>(256);

function parseSigInfo(text: string): SigInfoFields | undefined {
  const node = parseOnce(text)[0];
  return node?.kind === 'struct' ? sigInfoOf(node) : undefined;
}

/** Reads the braces of a signal line. Most differ from one before in nothing but the sender. */
function readSigInfo(text: string): SigInfoFields | undefined {
  const from = text.indexOf(SENDER) + SENDER.length;
  let to = from;
  let pid = 0;
  while (isDigit(text.charCodeAt(to))) pid = pid * 10 + text.charCodeAt(to++) - 48;
  // a comment behind the number is the sender's too
  if (from < SENDER.length || to === from || text.charCodeAt(to) !== COMMA)
    return parseSigInfo(text);
  const key = text.slice(0, from) + text.slice(to);
  let known = signals.get(key);
  if (!known) {
    known = parseSigInfo(ownCopy(text));
    if (known?.pid !== pid) return known;
    signals.set(key, known);
  }
  return new SentBy(known, pid, text);
}

/** As another signal, but of this sender. */
class SentBy implements SigInfoFields {
  readonly signo: number;
  readonly code: number | undefined;
  readonly codeName: string | undefined;
  readonly errno: number | undefined;
  readonly uid: number | undefined;
  readonly status: number | undefined;
  readonly value: bigint | undefined;
  readonly pidInRecorderNs: number | undefined;
  readonly pid: number;
  readonly #text: string;

  constructor(known: SigInfoFields, pid: number, text: string) {
    this.signo = known.signo;
    this.code = known.code;
    this.codeName = known.codeName;
    this.errno = known.errno;
    this.uid = known.uid;
    this.status = known.status;
    this.value = known.value;
    this.pidInRecorderNs = known.pidInRecorderNs;
    this.pid = pid;
    this.#text = text;
  }

  get fields(): Map<string, ArgNode> {
    return parseSigInfo(this.#text)!.fields;
  }
}

/** Raw numbers of ints are printed without a sign. */
function signed(value: number | undefined): number | undefined {
  return value === undefined ? undefined : value | 0;
}

/** The fields of a siginfo as strace shows them, wherever it does (signal lines, waitid, ...). */
export function sigInfoOf(node: StructNode): SigInfoFields {
  const fields = new Map<string, ArgNode>();
  for (const field of node.fields) {
    if (field.name !== undefined) fields.set(field.name, field);
  }
  const code = fields.get('si_code');
  const codeName = code?.kind === 'sym' ? code.text : code?.comment;
  const pid = fields.get('si_pid');
  const status = fields.get('si_status');
  const value = fields.get('si_value') ?? fields.get('si_int');
  const shownValue =
    value?.kind === 'struct' ? (fieldOf(value, 'sival_ptr') ?? fieldOf(value, 'sival_int')) : value;
  const asInt =
    fields.get('si_int') ?? (value?.kind === 'struct' ? fieldOf(value, 'sival_int') : undefined);
  const big = numberOf(shownValue) ?? numberOf(asInt);
  return {
    signo: smallOf(fields.get('si_signo')) ?? 0,
    code: code?.kind === 'sym' ? codeNumber(code.text) : signed(smallOf(code)),
    codeName,
    errno: smallOf(fields.get('si_errno')),
    pid: smallOf(pid),
    uid: smallOf(fields.get('si_uid')),
    status: status?.kind === 'sym' ? signalNumber(status.text) : smallOf(status),
    value: big === undefined ? undefined : BigInt(big),
    pidInRecorderNs: translatedPid(pid?.comment),
    fields,
  };
}

/** Decodes the text behind `= `. */
export function parseRetDetail(retText: string, kind: RetKind): RetDetail {
  const text = retText.replace(/ \((?:INJECTED|DELAYED)\)/g, '');
  const out: RetDetail = {
    path: undefined,
    note: undefined,
    noteArgs: NO_ARGS,
    errnoText: undefined,
    pidInRecorderNs: undefined,
    base: 10,
  };
  const number = /^-?(?:0x[0-9a-f]+|[0-9]+)/.exec(text)?.[0] ?? '';
  if (number.includes('x')) out.base = 16;
  else if (/^-?0[0-7]/.test(number)) out.base = 8;
  let rest = text.slice(number.length);
  if (rest.startsWith('<')) {
    const node = parseArgs(number + rest)[0];
    if (node?.path !== undefined) {
      out.path = node.path;
      rest = rest.slice(node.path.length + 2);
    }
  }
  const comment = /^ \/\* (.*?) \*\//.exec(rest);
  if (comment !== null) {
    out.pidInRecorderNs = translatedPid(comment[1]);
    rest = rest.slice(comment[0].length);
  }
  const open = rest.indexOf('(');
  const close = rest.lastIndexOf(')');
  if (open >= 0 && close > open) {
    const inner = rest.slice(open + 1, close);
    if (kind === 'error' || kind === 'restart') {
      out.errnoText = inner;
    } else {
      out.note = inner;
      out.noteArgs = parseArgs(inner.replace(/^flags /, ''));
    }
  }
  return out;
}
