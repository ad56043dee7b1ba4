// What a script's run has found so far: counts, divergences, the last calls of each task.
import type { Kernel } from '../kernel.ts';
import { countCall, countEvent, type ReplayResult } from '../replay/result.ts';
import type { ScriptEvent } from '../trace/script.ts';
import type { Difference } from './judge.ts';

const HISTORY = 8;

/** A saved value is missing, or a task is not there: the line cannot be run. */
export class CannotRun extends Error {
  readonly difference: Difference;

  constructor(expected: string, actual: string) {
    super(actual);
    this.difference = { expected, actual };
  }
}

export class Report {
  readonly result: ReplayResult;
  readonly #kernel: Kernel;
  readonly #history = new Map<number, string[]>();
  /** the line that is being run */
  line = 0;

  constructor(kernel: Kernel, result: ReplayResult) {
    this.#kernel = kernel;
    this.result = result;
  }

  /** Counts a line that compares, and reports what differs. */
  verdict(call: string, pid: number, difference: Difference | undefined): void {
    const { result, line } = this;
    const verdict = difference ? 'diverged' : 'matched';
    result.events += 1;
    if (call === 'signal' || call === 'exit') countEvent(result, call, verdict);
    else countCall(result, call, 'emulated', verdict);
    if (!difference) return;
    const task = this.#kernel.task(pid);
    const tasks = task ? [`${pid} ${task.state} in ${task.container}, parent ${task.ppid}`] : [];
    const history = [...(this.#history.get(pid) ?? [])];
    result.divergences.push({ line, pid, call, ...difference, tasks, history });
  }

  /** Remembers what a task did. */
  note(tid: number, text: string): void {
    const history = this.#history.get(tid) ?? [];
    history.push(`${this.line}: ${text}`);
    if (history.length > HISTORY) history.shift();
    this.#history.set(tid, history);
  }
}

/** What a line is called in the counts. */
export function nameOf(event: ScriptEvent): string {
  switch (event.type) {
    case 'call':
      return event.name ?? 'call';
    case 'completes':
      return event.name;
    case 'dies':
      return 'exit';
    case 'expect':
      return `expect ${event.what}`;
    default:
      return event.type;
  }
}
