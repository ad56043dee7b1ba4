// Lines out of chunks of bytes, as texts.
import { BlockCutter, blocksNow, blocksOf, textOf } from './blocks.ts';

/** The lines of a block, without their newlines. */
function linesIn(block: Uint8Array): string[] {
  const lines = textOf(block).split('\n');
  if (lines.at(-1) === '') lines.pop();
  return lines;
}

export class LineSplitter {
  readonly #cutter = new BlockCutter();

  /** Complete lines that end within this chunk. */
  push(chunk: Uint8Array): string[] {
    return this.#cutter.push(chunk).flatMap(linesIn);
  }

  /** What stands behind the last newline, if anything. */
  end(): string | undefined {
    const rest = this.#cutter.end();
    return rest === undefined ? undefined : textOf(rest);
  }
}

/** All lines of a stream, an array for each block. */
export async function* lineBatches(chunks: AsyncIterable<Uint8Array>): AsyncIterable<string[]> {
  for await (const block of blocksOf(chunks)) yield linesIn(block);
}

/** As {@link lineBatches}, without waiting. */
export function* linesNow(chunks: Iterable<Uint8Array>): Iterable<string> {
  for (const block of blocksNow(chunks)) yield* linesIn(block);
}
