// What a replay says in the end; the shape of `--json`.
import type { Kernel } from '../kernel.ts';
import type { AuditCounts } from '../audit/log.ts';
import type { LineTotals } from '../trace/event.ts';
import type { TaskView } from '../views.ts';
import type { History } from './history.ts';
import type { TreeProcess } from './processes.ts';

export type CallClass = 'emulated' | 'assisted' | 'unmodelled' | 'injected';
export type Verdict = 'matched' | 'diverged' | 'blind';

/** One place where the kernel and the recording disagree. */
export interface Divergence {
  line: number;
  pid: number;
  call: string;
  expected: string;
  actual: string;
  /** what the tasks concerned looked like */
  tasks: string[];
  /** the last events of that task */
  history: string[];
}

/** Counts of one call name; `class` is its most frequent class. */
export interface NameCounts {
  calls: number;
  class: CallClass;
  matched: number;
  diverged: number;
  blind: number;
  emulated: number;
  assisted: number;
  unmodelled: number;
  injected: number;
  /** calls outside the list of those that are about memory, time and plain files */
  outside: number;
  /** of these, calls of which at least one field was compared */
  predicted: number;
}

export interface ReplayResult {
  file: string;
  format: string;
  abi: string;
  /** lines that were calls, signals, exits or comparisons of a script */
  events: number;
  lines: LineTotals;
  calls: number;
  emulated: number;
  assisted: number;
  unmodelled: number;
  injected: number;
  matched: number;
  diverged: number;
  blind: number;
  adopted: number;
  reordered: number;
  skipped: number;
  tasks: number;
  containers: number;
  byCall: Record<string, NameCounts>;
  divergences: Divergence[];
  /** signals that the kernel's tasks took, by name */
  signals: Record<string, number>;
  /** every process of the log, in order of appearance, and how it ended */
  processes: readonly TreeProcess[];
  /** why facts were adopted, calls blind, orders changed: reason -> how often */
  reasons: {
    blind: Record<string, number>;
    adopted: Record<string, number>;
    reordered: Record<string, number>;
  };
  /** numbers of lines that could not be parsed */
  unparsedLines: number[];
  /** the audit log that was written of the replay */
  audit?: AuditCounts;
  seconds: number;
}

export function newResult(file: string, format: string, abi: string): ReplayResult {
  return {
    file,
    format,
    abi,
    events: 0,
    lines: { total: 0, calls: 0, signals: 0, exits: 0, other: 0, unparsed: 0 },
    calls: 0,
    emulated: 0,
    assisted: 0,
    unmodelled: 0,
    injected: 0,
    matched: 0,
    diverged: 0,
    blind: 0,
    adopted: 0,
    reordered: 0,
    skipped: 0,
    tasks: 0,
    containers: 0,
    byCall: {},
    divergences: [],
    signals: {},
    processes: [],
    reasons: { blind: {}, adopted: {}, reordered: {} },
    unparsedLines: [],
    seconds: 0,
  };
}

function counts(result: ReplayResult, name: string): NameCounts {
  return (result.byCall[name] ??= {
    calls: 0,
    class: 'unmodelled',
    matched: 0,
    diverged: 0,
    blind: 0,
    emulated: 0,
    assisted: 0,
    unmodelled: 0,
    injected: 0,
    outside: 0,
    predicted: 0,
  });
}

/**
 * What is compared of a call that agreed: its result, and what it wrote; of a handler's return the
 * mask alone; of what is left of an alarm whether one was set, and that it is no longer than that.
 */
export type Compared = 'result' | 'mask' | 'bounds';

/**
 * Counts one call. Unmodelled and injected calls have no verdict. `listed`: it is about memory,
 * time or a plain file; `given`: of what came of it nothing was compared.
 */
export function countCall(
  result: ReplayResult,
  name: string,
  cls: CallClass,
  verdict?: Verdict,
  { listed = false, given = false } = {},
): void {
  const entry = counts(result, name);
  entry.calls += 1;
  entry[cls] += 1;
  if (entry[cls] * 2 >= entry.calls) entry.class = cls;
  result.calls += 1;
  result[cls] += 1;
  if (!listed && cls !== 'injected') {
    entry.outside += 1;
    if (!given && (verdict === 'matched' || verdict === 'diverged')) entry.predicted += 1;
  }
  if (verdict) {
    entry[verdict] += 1;
    result[verdict] += 1;
  }
}

/** As countCall, for a call that is not modelled and listed. */
export function countListed(result: ReplayResult, name: string): void {
  const entry = counts(result, name);
  entry.calls += 1;
  entry.unmodelled += 1;
  if (entry.unmodelled * 2 >= entry.calls) entry.class = 'unmodelled';
  result.calls += 1;
  result.unmodelled += 1;
}

/** Counts a signal or exit line that was compared: in byCall alone, outside the calls. */
export function countEvent(result: ReplayResult, name: 'signal' | 'exit', verdict: Verdict): void {
  const entry = counts(result, name);
  entry.calls += 1;
  entry.class = 'emulated';
  entry.emulated += 1;
  entry[verdict] += 1;
}

export function addReason(of: Record<string, number>, reason: string): void {
  of[reason] = (of[reason] ?? 0) + 1;
}

/** Counts an adopted fact or a changed order with its reason. */
export function countReason(
  result: ReplayResult,
  what: 'adopted' | 'reordered',
  reason: string,
): void {
  result[what] += 1;
  addReason(result.reasons[what], reason);
}

/** A log, replayed. */
export interface Replayed {
  result: ReplayResult;
  /** every process of the log, dead ones included */
  processes: TreeProcess[];
  kernel: Kernel;
}

/** Did everything that was compared agree? */
export function agrees(result: ReplayResult): boolean {
  return result.divergences.length === 0;
}

const DIVERGENCES_MAX = 10000;
const TEXT_MAX = 200;

/** Writes a divergence down, with what the task looks like and what it did before. */
export function addDivergence(
  result: ReplayResult,
  about: { line: number; name: string; expected: string; actual: string; text: string },
  task: { pid: number; history: History },
  view: TaskView | undefined,
): void {
  if (result.divergences.length >= DIVERGENCES_MAX) return;
  const { line, expected, actual, text } = about;
  const state = view
    ? `${view.tid} ${view.state} ppid ${view.ppid} pgid ${view.pgid} container ${view.container} ` +
      `pending 0x${view.pending.toString(16)} blocked 0x${view.blocked.toString(16)}`
    : `${task.pid} is gone`;
  const call = text.length > TEXT_MAX ? `${text.slice(0, TEXT_MAX)}...` : text || about.name;
  const history = task.history.texts();
  result.divergences.push({ line, pid: task.pid, call, expected, actual, tasks: [state], history });
}
