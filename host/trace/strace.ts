// Reader of strace logs: one file, or a set with one file for each task.
import type { CallTotals, LineTotals, TraceLine } from './event.ts';
import { blocksNow, blocksOf } from './blocks.ts';
import { lineBatches, linesNow } from './lines.ts';
import { eachLine, type LineSink } from './sink.ts';
import type { SourceFile, TraceSource } from './source.ts';
import { mergeByTime } from './strace/merge.ts';
import { StraceContext } from './strace/context.ts';
import { PlainReader } from './strace/plain.ts';
import { StraceReader } from './strace/reader.ts';

export { StraceContext } from './strace/context.ts';
export { StraceReader } from './strace/reader.ts';
export { sigInfoOf } from './strace/line.ts';
export { parseArgs } from './strace/arg-parser.ts';

export interface StraceOptions {
  /** number of the first process, for logs in which not all lines show a pid (index: firstPid) */
  firstPid?: number;
}

/**
 * One pass over a log. Iterate it for single lines, or `batches()` for arrays of lines (faster);
 * totals are right once the pass has ended. Make a new one for another pass.
 */
export class StraceLog implements AsyncIterable<TraceLine> {
  readonly source: TraceSource;
  /**
   * False for a set without times: lines then come file by file, and the order between lines of
   * different files is unknown. Use `cursors()` to choose that order.
   * Known once the first batch has been read.
   */
  ordered = true;
  readonly #context = new StraceContext();
  readonly #options: StraceOptions;

  constructor(source: TraceSource, options: StraceOptions = {}) {
    this.source = source;
    this.#options = options;
  }

  get lines(): LineTotals {
    return this.#context.lines;
  }

  get calls(): CallTotals {
    return this.#context.calls;
  }

  async *[Symbol.asyncIterator](): AsyncIterator<TraceLine> {
    for await (const batch of this.batches()) yield* batch;
  }

  async *batches(): AsyncIterable<TraceLine[]> {
    if (this.source.isSet) {
      const cursors = this.cursors();
      this.ordered = cursors.every((cursor) => cursor.hasTimes);
      yield* this.ordered ? mergeByTime(cursors, this.#context) : this.#oneByOne(cursors);
    } else {
      const file = this.source.files[0] as SourceFile;
      const reader = this.#reader(file, 0);
      if (file.chunksNow !== undefined) {
        // no waiting between chunks of a plain file, except for those who listen to the loop
        for (const batch of batchesOf(linesNow(file.chunksNow()), reader)) {
          yield batch;
          this.#context.releaseChunks();
        }
      } else {
        for await (const texts of lineBatches(file.chunks())) {
          const batch: TraceLine[] = [];
          for (const text of texts) batch.push(reader.read(text));
          yield batch;
          this.#context.releaseChunks();
        }
      }
    }
    this.#context.finish();
  }

  /** Hands every line to `sink`. `pause` is asked now and then; true ends the pass. */
  async each(sink: LineSink, pause: () => boolean): Promise<void> {
    if (this.source.isSet) {
      await eachLine(this.batches(), sink, pause);
      return;
    }
    const file = this.source.files[0] as SourceFile;
    const reader = this.#reader(file, 0);
    const plain = new PlainReader(sink);
    const take = (block: Uint8Array): boolean => {
      reader.readBlock(block, plain, sink);
      this.#context.releaseChunks();
      return pause();
    };
    if (file.chunksNow !== undefined) {
      // no waiting between chunks of a plain file
      for (const block of blocksNow(file.chunksNow())) if (take(block)) break;
    } else {
      for await (const block of blocksOf(file.chunks())) if (take(block)) break;
    }
    this.#context.finish();
  }

  /** One cursor for each file of a set, for consumers that choose the order themselves. */
  cursors(): FileCursor[] {
    return this.source.files.map((file, index) => new FileCursor(file, this.#reader(file, index)));
  }

  #reader(file: SourceFile, index: number): StraceReader {
    return new StraceReader(this.#context, { file: index, pid: file.pid, ...this.#options });
  }

  async *#oneByOne(cursors: FileCursor[]): AsyncIterable<TraceLine[]> {
    for (const cursor of cursors) {
      let batch: TraceLine[] = [];
      for (let line = cursor.take(); line !== undefined; line = cursor.take()) {
        batch.push(line);
        if (batch.length === BATCH) {
          yield batch;
          batch = [];
        }
      }
      if (batch.length > 0) yield batch;
    }
  }
}

const BATCH = 4096;

function* batchesOf(texts: Iterable<string>, reader: StraceReader): Iterable<TraceLine[]> {
  let batch: TraceLine[] = [];
  for (const text of texts) {
    batch.push(reader.read(text));
    if (batch.length === BATCH) {
      yield batch;
      batch = [];
    }
  }
  if (batch.length > 0) yield batch;
}

/** Lines of one file of a set, with a look at the next one. */
export class FileCursor {
  readonly file: SourceFile;
  readonly #reader: StraceReader;
  readonly #lines: Iterator<string>;
  #next: TraceLine | undefined;
  #begun = false;

  constructor(file: SourceFile, reader: StraceReader) {
    this.file = file;
    this.#reader = reader;
    if (file.chunksNow === undefined) throw new Error(`${file.name}: not readable piece by piece`);
    this.#lines = linesNow(file.chunksNow())[Symbol.iterator]();
  }

  /** The next line, which stays where it is. Its `seq` isn't final until it is taken in a merge. */
  peek(): TraceLine | undefined {
    if (!this.#begun) {
      this.#begun = true;
      this.#advance();
    }
    return this.#next;
  }

  take(): TraceLine | undefined {
    const line = this.peek();
    this.#advance();
    return line;
  }

  /** True for times that those of other files can be compared with. */
  get hasTimes(): boolean {
    const line = this.peek();
    return line === undefined || line.timeKind === 'day' || line.timeKind === 'epoch';
  }

  #advance(): void {
    const next = this.#lines.next();
    this.#next = next.done === true ? undefined : this.#reader.read(next.value);
  }
}

/** All lines of a source, in order (see {@link StraceLog.ordered}). */
export async function* readStrace(
  source: TraceSource,
  options: StraceOptions = {},
): AsyncIterable<TraceLine> {
  yield* new StraceLog(source, options);
}
