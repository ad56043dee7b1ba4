// What a script expects of the kernel between calls, and what stands in buffers afterwards.
import { AuditFormatter } from '../audit/format.ts';
import { addAuditRule, drainAudit, enableAudit } from '../audit-ring.ts';
import { errnoName } from '../abi/constants.ts';
import type { Kernel } from '../kernel.ts';
import type { ExpectEvent, Num, Piece } from '../trace/script.ts';
import type { Counts } from '../counts.ts';
import type { ContainerView, TaskView } from '../views.ts';
import type { CallMemory } from './memory.ts';

/** A difference: what the script wants and what there is. */
export interface Difference {
  readonly expected: string;
  readonly actual: string;
}

export type Resolve = (num: Num) => bigint;

export const NOT_SUPPORTED = 'not supported by this kernel';

/** A result for people: an errno's name for -4095..-1. */
export function resultText(value: bigint): string {
  return value < 0n && value >= -4095n ? errnoName(Number(-value)) : String(value);
}

function hex(bytes: Uint8Array): string {
  return [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join('');
}

function readPiece(view: DataView, at: number, type: 'i32' | 'u32' | 'i64' | 'u64'): bigint {
  switch (type) {
    case 'i32':
      return BigInt(view.getInt32(at, true));
    case 'u32':
      return BigInt(view.getUint32(at, true));
    case 'i64':
      return view.getBigInt64(at, true);
    case 'u64':
      return view.getBigUint64(at, true);
  }
}

const WIDTH = { i32: 4, u32: 4, i64: 8, u64: 8 } as const;

function wrap(value: bigint, type: 'i32' | 'u32' | 'i64' | 'u64'): bigint {
  const bits = WIDTH[type] * 8;
  return type.startsWith('i') ? BigInt.asIntN(bits, value) : BigInt.asUintN(bits, value);
}

/** Compares one piece at `at`. Return: its length, or what differs. */
function comparePiece(
  bytes: Uint8Array,
  at: number,
  piece: Piece,
  resolve: Resolve,
): number | Difference {
  const length = 'value' in piece ? WIDTH[piece.type] : piece.bytes.length;
  if (at + length > bytes.length) {
    return { expected: `${length} bytes at ${at}`, actual: `a buffer of ${bytes.length}` };
  }
  if ('value' in piece) {
    const want = wrap(resolve(piece.value), piece.type);
    const view = new DataView(bytes.buffer, bytes.byteOffset);
    const have = readPiece(view, at, piece.type);
    if (have === want) return length;
    return { expected: `${piece.type} ${want} at ${at}`, actual: String(have) };
  }
  const have = bytes.subarray(at, at + length);
  if (have.every((byte, i) => byte === piece.bytes[i])) return length;
  return { expected: hex(piece.bytes), actual: hex(have) };
}

/** Compares the buffers of a call. */
export function compareOutputs(
  memory: CallMemory,
  out: ReadonlyMap<string, readonly Piece[]>,
  resolve: Resolve,
): Difference | undefined {
  for (const [label, pieces] of out) {
    const bytes = memory.labels.get(label)?.bytes;
    if (!bytes) return { expected: `a buffer "${label}"`, actual: 'the call has none' };
    let at = 0;
    for (const piece of pieces) {
      const r = comparePiece(bytes, at, piece, resolve);
      if (typeof r !== 'number') {
        return { expected: `${label}: ${r.expected}`, actual: `${label}: ${r.actual}` };
      }
      at += r;
    }
  }
  return undefined;
}

type Facts = Readonly<Record<string, string | number | boolean | undefined>>;

/** Compares what the line names with what there is. */
function compareFacts(e: ExpectEvent, facts: Facts, resolve: Resolve): Difference | undefined {
  for (const [key, num] of e.numbers) {
    const want = resolve(num);
    const have = facts[key];
    if (have === undefined || BigInt(have) !== want) {
      return { expected: `${key} ${want}`, actual: `${key} ${have}` };
    }
  }
  for (const [key, want] of [...e.texts, ...e.flags]) {
    const have = facts[key];
    if (key === 'link' ? !linkMatches(String(want), String(have)) : have !== want) {
      return { expected: `${key} ${want}`, actual: `${key} ${have}` };
    }
  }
  return undefined;
}

/** `*` stands for any digits. */
function linkMatches(pattern: string, link: string): boolean {
  const parts = pattern.split('*').map((part) => part.replace(/[\\^$.|?*+()[\]{}]/g, '\\$&'));
  return new RegExp(`^${parts.join('[0-9]+')}$`).test(link);
}

function taskFacts(task: TaskView): Facts {
  const { state, ppid, container, containerId, uid, gid, nspid } = task;
  return { state, ppid, container, container_id: containerId, uid, gid, nspid };
}

function judgeTask(kernel: Kernel, e: ExpectEvent, resolve: Resolve): Difference | undefined {
  const task = kernel.task(Number(resolve(e.task!)));
  if (e.texts.get('state') === 'gone') {
    return task && { expected: 'gone', actual: `state ${task.state}` };
  }
  if (!task) return { expected: 'a task', actual: 'gone' };
  return compareFacts(e, taskFacts(task), resolve);
}

function containerFacts(c: ContainerView): Facts {
  const { name, id, usage, flags, members, children, parent, exitCode } = c;
  const facts = { name, id, usage, flags, members, children, parent, gone: false };
  return { ...facts, exit_code: exitCode };
}

function judgeContainer(kernel: Kernel, e: ExpectEvent, resolve: Resolve): Difference | undefined {
  const name = e.texts.get('name');
  const id = e.numbers.get('id');
  const byId = (c: ContainerView): boolean => id !== undefined && BigInt(c.id) === resolve(id);
  let found = kernel.containers().filter((c) => (name === undefined ? byId(c) : c.name === name));
  if (found.length > 1 && id !== undefined) found = found.filter(byId);
  if (e.flags.get('gone') === true) {
    return found.length > 0 ? { expected: 'gone', actual: `id ${found[0]!.id}` } : undefined;
  }
  if (found.length > 1) {
    return { expected: 'one container', actual: `${found.length} bear that name: give its id` };
  }
  const [container] = found;
  if (!container) return { expected: `container ${name ?? ''}`, actual: 'gone' };
  return compareFacts(e, containerFacts(container), resolve);
}

function judgeFile(kernel: Kernel, e: ExpectEvent, resolve: Resolve): Difference | undefined {
  const path = e.texts.get('path') ?? '';
  const tid = Number(resolve(e.task!));
  if (!kernel.task(tid)) return { expected: 'a task', actual: 'gone' };
  const have = kernel.procText(tid, path);
  if (have === undefined) return { expected: `file ${path}`, actual: NOT_SUPPORTED };
  const want = e.texts.get('text');
  const same = want === undefined ? e.match!.test(have) : want === have;
  if (same) return undefined;
  return { expected: JSON.stringify(want ?? e.match!.source), actual: JSON.stringify(have) };
}

function judgeFd(kernel: Kernel, e: ExpectEvent, resolve: Resolve): Difference | undefined {
  const tid = Number(resolve(e.task!));
  if (!kernel.task(tid)) return { expected: 'a task', actual: 'gone' };
  const fd = Number(resolve(e.numbers.get('fd')!));
  const file = kernel.fds(tid).find((one) => one.fd === fd);
  if (!file) return compareFacts(e, { fd, open: false }, resolve);
  return compareFacts(e, { fd, open: true, cloexec: file.cloexec, link: file.link }, resolve);
}

/** Records of the audit log that no line has asked for yet. */
export class AuditLines {
  readonly #kernel: Kernel;
  readonly #format = new AuditFormatter();
  readonly #write: ((text: string) => void) | undefined;
  readonly #lines: string[] = [];

  /**
   * on: the script asks for records, so the log is kept from the start; it says itself which ones.
   * write: gets the whole log, of a script that does not ask with a record of every call.
   */
  constructor(kernel: Kernel, on: boolean, write?: (text: string) => void) {
    this.#kernel = kernel;
    this.#write = write;
    if (on || write) enableAudit(kernel, { virt: true });
    if (write && !on) addAuditRule(kernel, {});
  }

  /** Takes what a line of the script has logged. */
  drain(): void {
    const lines = drainAudit(this.#kernel).flatMap((event) => this.#format.lines(event));
    if (lines.length === 0) return;
    this.#lines.push(...lines);
    this.#write?.(`${lines.join('\n')}\n`);
  }

  /** Every record since the last time. */
  take(): string[] {
    this.drain();
    return this.#lines.splice(0);
  }
}

function judgeAudit(e: ExpectEvent, lines: readonly string[]): Difference | undefined {
  const found = lines.find((line) => e.match!.test(line));
  const none = e.flags.get('none') === true;
  if ((found === undefined) === none) return undefined;
  const expected = `${none ? 'no' : 'an'} audit record ${e.match!.source}`;
  const last = lines.length > 0 ? `${lines.length} records, the last ${lines.at(-1)}` : 'no record';
  return { expected, actual: found ?? last };
}

/** Judges an expectation. Return: what differs. */
export function judge(
  kernel: Kernel,
  e: ExpectEvent,
  resolve: Resolve,
  audit: AuditLines,
): Difference | undefined {
  switch (e.what) {
    case 'task':
      return judgeTask(kernel, e, resolve);
    case 'container':
      return judgeContainer(kernel, e, resolve);
    case 'file':
      return judgeFile(kernel, e, resolve);
    case 'fd':
      return judgeFd(kernel, e, resolve);
    case 'audit':
      return judgeAudit(e, audit.take());
    case 'sound': {
      const findings = kernel.check();
      return findings.length > 0 ? { expected: 'sound', actual: findings.join('; ') } : undefined;
    }
    case 'counts':
      return compareFacts(e, { ...kernel.counts() }, resolve);
  }
}

/** Live objects that a call has left or taken away. */
export function compareCounts(before: Counts, now: Counts): Difference | undefined {
  const keys = Object.keys(before) as (keyof Counts)[];
  const other = keys.filter((key) => before[key] !== now[key]);
  if (other.length === 0) return undefined;
  const list = (counts: Counts): string => other.map((key) => `${key} ${counts[key]}`).join(', ');
  return { expected: list(before), actual: list(now) };
}
