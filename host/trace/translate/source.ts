// A log of another recorder, written again line by line as strace would have it: every reader and
// every message behind this one then speaks of one notation, and line numbers stay what they are.
import { LineSplitter } from '../lines.ts';
import type { SourceFile, TraceSource } from '../source.ts';

/** Turns one line into one line; '' where strace would write none. */
export interface Translator {
  line(text: string): string;
}

function* translatedNow(
  chunks: Iterable<Uint8Array>,
  translator: Translator,
): Generator<Uint8Array, void> {
  const splitter = new LineSplitter();
  for (const chunk of chunks) yield bytesOf(splitter.push(chunk), translator);
  yield restOf(splitter, translator);
}

async function* translatedLater(
  chunks: AsyncIterable<Uint8Array>,
  translator: Translator,
): AsyncGenerator<Uint8Array, void> {
  const splitter = new LineSplitter();
  for await (const chunk of chunks) yield bytesOf(splitter.push(chunk), translator);
  yield restOf(splitter, translator);
}

function restOf(splitter: LineSplitter, translator: Translator): Uint8Array {
  const rest = splitter.end();
  return bytesOf(rest === undefined ? [] : [rest], translator);
}

function bytesOf(lines: readonly string[], translator: Translator): Uint8Array {
  return Buffer.from(lines.map((line) => `${translator.line(line)}\n`).join(''), 'latin1');
}

/** The same source in strace's notation. `make`: a translator for each pass. */
export function translated(source: TraceSource, make: () => Translator): TraceSource {
  const files = source.files.map((file): SourceFile => {
    const { chunksNow } = file;
    return {
      ...file,
      chunks: () => translatedLater(file.chunks(), make()),
      chunksNow: chunksNow && ((): Iterable<Uint8Array> => translatedNow(chunksNow(), make())),
    };
  });
  return { ...source, files, close: () => source.close() };
}
