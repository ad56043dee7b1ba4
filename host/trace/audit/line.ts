// One call of an audit log as the replay takes it. The records show four argument registers, and
// of what they point at only paths, the arguments of a program, and pairs of descriptors.
import * as FCNTL from '../../../assembly/uapi/fcntl.ts';
import * as PRCTL from '../../../assembly/uapi/prctl.ts';
import { isNarrow } from '../../abi/kinds.ts';
import type { KindDetail } from '../../syscall-abi.ts';
import type { ArgNode } from '../args.ts';
import type { LineKind, RetDetail, RetKind, TraceLine } from '../event.ts';
import { parseArgs } from '../strace/arg-parser.ts';
import type { AuditEvent } from './assemble.ts';
import type { CallFacts } from './facts.ts';
import { execArgs, field, numberField, untrusted } from './fields.ts';
import { decodeSaddr, showSaddr } from './saddr.ts';

/** See {@link TraceLine} for the fields. */
export class AuditLine implements TraceLine {
  kind: LineKind;
  line: number;
  file: number;
  seq: number;
  pid: number;
  pidShown = true;
  comm: string | undefined = undefined;
  readonly timeKind = 'epoch';
  sec: number;
  nsec: number;
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
  start: TraceLine | undefined = undefined;
  callId = -1;
  broken = false;
  signo = 0;
  readonly siginfo = undefined;
  exitCode = 0;
  core = false;
  otherPid = 0;
  detached = false;
  note = '';
  text: string;
  ppid = 0;
  reaped = false;
  readonly #facts: CallFacts | undefined;
  readonly #event: AuditEvent;
  #args: ArgNode[] | undefined = undefined;

  constructor(kind: LineKind, seq: number, pid: number, event: AuditEvent, facts?: CallFacts) {
    const record = facts?.record ?? event.records[0];
    this.kind = kind;
    this.seq = seq;
    this.pid = pid;
    this.line = record?.line ?? event.line;
    this.file = event.file;
    this.sec = event.sec;
    this.nsec = event.msec * 1_000_000;
    this.text = record?.text ?? '';
    this.#event = event;
    this.#facts = facts;
    if (facts === undefined) return;
    this.comm = facts.comm;
    this.ppid = facts.ppid;
    this.nr = facts.nr;
    this.name = facts.name;
    if (kind === 'unfinished') return;
    this.retKind = facts.retKind;
    this.ret = facts.ret;
    this.errno = facts.errno;
    this.retText = retTextOf(facts);
  }

  get args(): ArgNode[] {
    this.#args ??= this.#facts === undefined ? [] : argNodes(this.#facts, this.#event);
    return this.#args;
  }

  get argText(): string {
    return this.args.map(showNode).join(', ');
  }

  get retDetail(): RetDetail {
    return {
      path: undefined,
      note: undefined,
      noteArgs: [],
      errnoText: undefined,
      pidInRecorderNs: this.#pidInRecorderNs,
      base: 10,
    };
  }

  #pidInRecorderNs: number | undefined = undefined;

  /** A result that counts in the caller's pid namespace: what the log calls that task. */
  translate(pid: number): void {
    this.#pidInRecorderNs = pid;
    this.retText += ` /* ${pid} in auditd's PID NS */`;
  }
}

function retTextOf(facts: CallFacts): string {
  if (facts.retKind === 'error') return `-1 ${facts.errno}`;
  if (facts.retKind === 'restart') return `? ${facts.errno}`;
  return facts.retKind === 'value' ? String(facts.ret) : '?';
}

/** Options that decide what a call is: the replay knows them by name. */
const OPTIONS: Readonly<Record<string, [arg: number, names: ReadonlyMap<number, string>]>> = {
  prctl: [0, namesOf(PRCTL, 'PR_')],
  fcntl: [1, namesOf(FCNTL, 'F_')],
  fcntl64: [1, namesOf(FCNTL, 'F_')],
};

function namesOf(constants: Readonly<Record<string, number>>, prefix: string): Map<number, string> {
  const out = new Map<number, string>();
  for (const [name, value] of Object.entries(constants)) {
    if (name.startsWith(prefix) && !out.has(value)) out.set(value, name);
  }
  return out;
}

function intNode(value: bigint, base: 10 | 16): ArgNode {
  const small = value >= -9007199254740991n && value <= 9007199254740991n;
  const text = base === 16 ? `0x${value.toString(16)}` : value.toString();
  return { kind: 'int', value: small ? Number(value) : value, base, text };
}

const isPointer = (kind: KindDetail | undefined): boolean =>
  kind?.kind === 'mem' || kind?.kind === 'str' || kind?.kind === 'strs' || kind?.kind === 'addr';

function plainNode(facts: CallFacts, i: number): ArgNode {
  const value = facts.args[i];
  const kind = facts.row?.kinds[i];
  if (value === undefined) {
    const text = facts.argTexts[i] ?? '';
    return text === '' ? { kind: 'ellipsis' } : (parseArgs(text)[0] ?? { kind: 'ellipsis' });
  }
  if (isPointer(kind)) return value === 0n ? { kind: 'null' } : intNode(value, 16);
  if (kind !== undefined && isNarrow(kind)) return intNode(BigInt.asIntN(32, value), 10);
  const [arg, names] = OPTIONS[facts.name] ?? [-1, undefined];
  const option = arg === i ? names?.get(Number(value)) : undefined;
  if (option !== undefined) return { kind: 'sym', text: option };
  return intNode(value, 16);
}

function strNode(value: string): ArgNode {
  return { kind: 'str', value, truncated: false };
}

/** The one path of a call, as its caller gave it. */
function pathOf(event: AuditEvent): string | undefined {
  const paths = event.records.filter(
    (record) => record.type === 'PATH' && field(record, 'nametype') !== 'PARENT',
  );
  // tools print an event backwards
  paths.sort((a, b) => (numberField(a, 'item') ?? 0) - (numberField(b, 'item') ?? 0));
  return paths[0] && untrusted(paths[0], 'name');
}

function argNodes(facts: CallFacts, event: AuditEvent): ArgNode[] {
  const kinds = facts.row?.kinds ?? [];
  const count = Math.max(Math.min(kinds.length, 4), facts.row === undefined ? 4 : 0);
  const nodes = Array.from({ length: count }, (_, i) => plainNode(facts, i));
  const option = OPTIONS[facts.name];
  if (option !== undefined) {
    const value = facts.args[option[0]];
    const name = value === undefined ? undefined : option[1].get(Number(value));
    if (name !== undefined) nodes[option[0]] = { kind: 'sym', text: name };
  }
  const texts = kinds.flatMap((kind, i) => (kind.kind === 'str' ? [i] : []));
  const path = texts.length === 1 ? pathOf(event) : undefined;
  if (path !== undefined && texts[0]! < count) nodes[texts[0]!] = strNode(path);
  kinds.forEach((kind, i) => {
    if (i >= count || nodes[i]!.kind === 'null') return;
    if (kind.kind === 'strs') {
      const items = execArgs(event.records).map(strNode);
      // the second one is the environment, which no record has
      if (items.length > 0 && kinds.findIndex((one) => one.kind === 'strs') === i) {
        nodes[i] = { kind: 'array', items, spaced: false, negated: false, truncated: false };
      }
    } else if (kind.kind === 'mem' && kind.struct === 'fdpair') {
      nodes[i] = pairOf(event) ?? nodes[i]!;
    }
  });
  return nodes;
}

function pairOf(event: AuditEvent): ArgNode | undefined {
  const record = event.records.find((one) => one.type === 'FD_PAIR');
  const fds = record && [numberField(record, 'fd0'), numberField(record, 'fd1')];
  if (fds?.[0] === undefined || fds[1] === undefined) return undefined;
  const items = [intNode(BigInt(fds[0]), 10), intNode(BigInt(fds[1]), 10)];
  return { kind: 'array', items, spaced: false, negated: false, truncated: false };
}

function showNode(node: ArgNode): string {
  switch (node.kind) {
    case 'int':
    case 'sym':
    case 'other':
      return node.text;
    case 'str':
      return JSON.stringify(node.value);
    case 'null':
      return 'NULL';
    case 'array':
      return `[${node.items.map(showNode).join(', ')}]`;
    case 'flags':
      return node.parts.join('|');
    default:
      return '...';
  }
}

/** The address of a call on sockets, for people; undefined when no record has it. */
export function socketAddressOf(event: AuditEvent): string | undefined {
  const record = event.records.find((one) => one.type === 'SOCKADDR');
  const address = record && decodeSaddr(field(record, 'saddr'));
  return address && showSaddr(address);
}
