// What a reader of strace lines remembers from line to line.
import type { CallTotals, LineTotals } from '../event.ts';
import { newCallTotals, newLineTotals } from '../event.ts';
import type { StraceLine } from './line.ts';

/** What the files of one log share: halves of calls, totals, the running number. */
export class StraceContext {
  seq = 0;
  readonly pending = new Map<number, StraceLine>();
  /** second halves that came before their first one: the exec of another thread, whose file of an
   *  -ff set is read later */
  readonly early = new Map<number, StraceLine>();
  readonly lines: LineTotals = newLineTotals();
  readonly calls: CallTotals = newCallTotals();

  /**
   * Call now and then: first halves may wait for millions of lines, and each would keep alive the
   * whole chunk that its text was cut from.
   */
  releaseChunks(): void {
    for (const line of this.pending.values()) line.ownText();
  }

  /** Call at the end: what is still pending was never resumed. */
  finish(): void {
    this.calls.neverResumed += this.pending.size;
    this.pending.clear();
  }
}
