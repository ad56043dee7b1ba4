// Who takes the lines of a log: one call for each line, in order; no line outlives its turn.
import type { TraceLine } from './event.ts';

/** A whole call whose line is of the plainest form, as far as it is told without being decoded. */
export interface PlainCall {
  readonly seq: number;
  readonly line: number;
  /** never 0 */
  readonly pid: number;
  readonly name: string;
  /** the result; -1 with an errno */
  readonly ret: number;
  /** name of the errno; empty where there is none. Never EINTR, never a restart code. */
  readonly errno: string;
  /** the whole of its line */
  decode(): TraceLine;
}

export interface LineSink {
  line(line: TraceLine): void;
  /**
   * May calls of this name be told by `plain` where the line allows it? Asked once for each name.
   * Left out: every line is decoded.
   */
  takesPlain?(name: string): boolean;
  /** Gets the reader's own record, which holds until the next line. */
  plain?(call: PlainCall): void;
  /** May `bytes` take calls of this name? Asked once for each name. */
  takesBytes?(name: string): boolean;
  /**
   * Gets such a plain call with the bytes of its body, from the name to the line's end. Return:
   * whether it took the line; else it is decoded.
   */
  bytes?(call: PlainCall, bytes: Uint8Array, from: number, to: number): boolean;
}

/** Hands out lines that come in batches. `pause` is asked after each; true ends it. */
export async function eachLine(
  batches: AsyncIterable<TraceLine[]>,
  sink: LineSink,
  pause: () => boolean,
): Promise<void> {
  for await (const batch of batches) {
    for (const line of batch) sink.line(line);
    if (pause()) break;
  }
}
