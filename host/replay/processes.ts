// Every process of a log with its end, dead ones included: what the process tree shows.
import type { TaskView } from '../views.ts';

/** A process of the tree. */
export interface TreeProcess {
  pid: number;
  ppid: number;
  comm: string;
  /** `exit 3`, `SIGKILL`, or empty while it lives */
  end: string;
  container: string;
}

export class Processes {
  /** in order of appearance; a number that is used again appears again */
  readonly list: TreeProcess[] = [];
  readonly #latest = new Map<number, TreeProcess>();

  add(pid: number, ppid: number): void {
    const process = { pid, ppid, comm: '', end: '', container: '.init' };
    this.list.push(process);
    this.#latest.set(pid, process);
  }

  /** The number of its parent, 0 when that is not known. */
  parentOf(pid: number): number {
    return this.#latest.get(pid)?.ppid ?? 0;
  }

  /** How it ended, and what the kernel says it was called. */
  end(pid: number, end: string, view: TaskView | undefined): void {
    const process = this.#latest.get(pid);
    if (!process) return;
    process.end = end;
    if (!view) return;
    process.comm = view.tgid === view.tid ? view.comm : `${view.comm} (thread)`;
  }
}
