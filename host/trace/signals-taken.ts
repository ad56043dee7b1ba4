// What became of tasks that took signals, as their next lines show it: for logs that do not say
// which signals have handlers, or who was in a group that was signalled.
import { SIGCHLD, SIGCONT, SIGURG, SIGWINCH } from '../../assembly/uapi/signal.ts';
import type { TraceLine } from './event.ts';

const NONE: ReadonlySet<number> = new Set();
/** Nobody ends by them who has said nothing of them. */
export const HARMLESS: ReadonlySet<number> = new Set([SIGCHLD, SIGCONT, SIGURG, SIGWINCH]);

function put(sets: Map<number, Set<number>>, pid: number, signo: number): void {
  const set = sets.get(pid);
  if (set) set.add(signo);
  else sets.set(pid, new Set([signo]));
}

export class SignalsTaken {
  /** numbers of all signals that lines show */
  readonly shown = new Set<number>();
  readonly #taken = new Map<number, Set<number>>();
  readonly #survived = new Map<number, Set<number>>();
  /** signal lines, by `seq`, whose task was killed by that signal in its next line */
  readonly fatal = new Set<number>();
  /** the signal line that is the last one of a task so far */
  readonly #last = new Map<number, { signo: number; seq: number }>();

  add(line: TraceLine): void {
    if (this.#last.size) this.#follow(line);
    if (line.kind !== 'signal') return;
    const { pid, signo, seq } = line;
    this.shown.add(signo);
    put(this.#taken, pid, signo);
    this.#last.set(pid, { signo, seq });
  }

  /** A call of this task, of which nothing else matters here. */
  outlivedBy(pid: number): void {
    const last = this.#last.size ? this.#last.get(pid) : undefined;
    if (!last) return;
    this.#last.delete(pid);
    if (!HARMLESS.has(last.signo)) put(this.#survived, pid, last.signo);
  }

  #follow(line: TraceLine): void {
    const last = this.#last.get(line.pid);
    if (line.kind === 'killed' && last?.signo === line.signo) this.fatal.add(last.seq);
    if (line.kind === 'killed' || line.kind === 'stopped' || line.kind === 'gone')
      this.#last.delete(line.pid);
    else this.outlivedBy(line.pid);
  }

  /** Does any line show that this task took `signo`? */
  took(pid: number, signo: number): boolean {
    return this.#taken.get(pid)?.has(signo) ?? false;
  }

  /** Signals that would end or stop it, which it took and went on. */
  survivedBy(pid: number): ReadonlySet<number> {
    return this.#survived.get(pid) ?? NONE;
  }
}
