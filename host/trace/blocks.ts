// Chunks of bytes cut into blocks of whole lines. A line that spans many chunks costs its length
// once.

/** A longer line is cut to its first part; no recorder writes such, and memory is finite. */
export const MAX_LINE = 64 << 20;
const KEPT_OF_TOO_LONG = 1 << 20;
const NEWLINE = 10;

export class BlockCutter {
  #carry: Uint8Array[] = [];
  #carried = 0;
  #dropping = false;

  /** Blocks that end with a newline which lies within this chunk. */
  push(chunk: Uint8Array): Uint8Array[] {
    const last = chunk.lastIndexOf(NEWLINE);
    if (last < 0) {
      this.#keep(chunk);
      return [];
    }
    const out: Uint8Array[] = [];
    let from = 0;
    if (this.#carried > 0 || this.#dropping) {
      from = chunk.indexOf(NEWLINE) + 1;
      out.push(this.#complete(chunk.subarray(0, from)));
    }
    if (from <= last) out.push(chunk.subarray(from, last + 1));
    if (last + 1 < chunk.length) this.#keep(chunk.subarray(last + 1));
    return out;
  }

  /** What stands behind the last newline, if anything. */
  end(): Uint8Array | undefined {
    if (this.#carried === 0 && !this.#dropping) return undefined;
    return this.#complete(new Uint8Array(0));
  }

  #keep(part: Uint8Array): void {
    if (this.#dropping) return;
    this.#carry.push(part);
    this.#carried += part.length;
    if (this.#carried > MAX_LINE) {
      this.#carry = [Buffer.concat(this.#carry).subarray(0, KEPT_OF_TOO_LONG)];
      this.#carried = KEPT_OF_TOO_LONG;
      this.#dropping = true;
    }
  }

  /** The line that was begun, with its last part. */
  #complete(part: Uint8Array): Uint8Array {
    // of a line that is too long only its newline counts
    const end = this.#dropping ? part.subarray(Math.max(0, part.length - 1)) : part;
    const line = Buffer.concat([...this.#carry, end]);
    this.#carry = [];
    this.#carried = 0;
    this.#dropping = false;
    return line;
  }
}

/** All lines of a stream, in blocks. */
export function* blocksNow(chunks: Iterable<Uint8Array>): Iterable<Uint8Array> {
  const cutter = new BlockCutter();
  for (const chunk of chunks) yield* cutter.push(chunk);
  const rest = cutter.end();
  if (rest !== undefined) yield rest;
}

/** As {@link blocksNow}, for streams. */
export async function* blocksOf(chunks: AsyncIterable<Uint8Array>): AsyncIterable<Uint8Array> {
  const cutter = new BlockCutter();
  for await (const chunk of chunks) yield* cutter.push(chunk);
  const rest = cutter.end();
  if (rest !== undefined) yield rest;
}

/** One character for each byte (latin1): nothing is lost to an encoding. */
export function textOf(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1');
}
