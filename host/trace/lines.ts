// Lines out of chunks of bytes. Each byte becomes one character (latin1), so nothing is lost to
// an encoding, and a line that spans many chunks costs its length once.

/** A longer line is cut to its first part; no recorder writes such, and memory is finite. */
export const MAX_LINE = 64 << 20;
const KEPT_OF_TOO_LONG = 1 << 20;

export class LineSplitter {
  #carry: string[] = [];
  #carried = 0;
  #dropping = false;

  /** Complete lines that end within this chunk. */
  push(chunk: Uint8Array): string[] {
    const text = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength).toString('latin1');
    const out: string[] = [];
    let from = 0;
    for (;;) {
      const to = text.indexOf('\n', from);
      if (to < 0) break;
      out.push(
        this.#carried === 0 && !this.#dropping
          ? text.slice(from, to)
          : this.#complete(text.slice(from, to)),
      );
      from = to + 1;
    }
    if (from < text.length) this.#keep(text.slice(from));
    return out;
  }

  /** What stands behind the last newline, if anything. */
  end(): string | undefined {
    return this.#carried === 0 && !this.#dropping ? undefined : this.#complete('');
  }

  #keep(part: string): void {
    if (this.#dropping) return;
    this.#carry.push(part);
    this.#carried += part.length;
    if (this.#carried > MAX_LINE) {
      this.#carry = [this.#carry.join('').slice(0, KEPT_OF_TOO_LONG)];
      this.#carried = KEPT_OF_TOO_LONG;
      this.#dropping = true;
    }
  }

  #complete(last: string): string {
    if (!this.#dropping && last !== '') this.#carry.push(last);
    const line = this.#carry.join('');
    this.#carry = [];
    this.#carried = 0;
    this.#dropping = false;
    return line;
  }
}

/** All lines of a stream, an array for each chunk. */
export async function* lineBatches(chunks: AsyncIterable<Uint8Array>): AsyncIterable<string[]> {
  const splitter = new LineSplitter();
  for await (const chunk of chunks) {
    const lines = splitter.push(chunk);
    if (lines.length > 0) yield lines;
  }
  const rest = splitter.end();
  if (rest !== undefined) yield [rest];
}

/** As {@link lineBatches}, without waiting. */
export function* linesNow(chunks: Iterable<Uint8Array>): Iterable<string> {
  const splitter = new LineSplitter();
  for (const chunk of chunks) yield* splitter.push(chunk);
  const rest = splitter.end();
  if (rest !== undefined) yield rest;
}
