// Calls of a merged -ff set stand where they began, with the time by which they were over: their
// ends, in order of time.
import type { TraceLine } from '../trace/event.ts';
import type { Call } from './call.ts';

export class MergedEnds {
  #open: { call: Call; until: number }[] = [];
  readonly #end: (call: Call) => void;

  constructor(end: (call: Call) => void) {
    this.#end = end;
  }

  add(call: Call, line: TraceLine): void {
    const until = line.untilSec + line.untilNsec / 1e9;
    // few are open at a time, and most end last
    let at = this.#open.length;
    while (at > 0 && this.#open[at - 1]!.until > until) at -= 1;
    this.#open.splice(at, 0, { call, until });
  }

  /** This call ends now: its task goes on. */
  end(call: Call): void {
    this.#open = this.#open.filter((open) => open.call !== call);
    this.#end(call);
  }

  /** Calls whose time is over when `line` begins. */
  endDue(line: TraceLine): void {
    if (this.#open.length === 0) return;
    const now = line.sec + line.nsec / 1e9;
    while (this.#open[0] && this.#open[0].until <= now) this.end(this.#open[0].call);
  }

  endAll(): void {
    while (this.#open[0]) this.end(this.#open[0].call);
  }
}
