// Lines of an audit log, or of several that are one log (audit.log.1, audit.log), as events, with
// every physical line accounted for.
import { type LineTotals, newLineTotals } from '../event.ts';
import { lineBatches, linesNow } from '../lines.ts';
import type { SourceFile, TraceSource } from '../source.ts';
import { type AuditItem, EventAssembler } from './assemble.ts';
import { type AuditRecord, isSeparator, parseRecord } from './record.ts';

const HEAD = 1 << 16;

async function* chunksOf(file: SourceFile): AsyncIterable<string[]> {
  if (file.chunksNow === undefined) {
    yield* lineBatches(file.chunks());
    return;
  }
  let batch: string[] = [];
  for (const text of linesNow(file.chunksNow())) {
    batch.push(text);
    if (batch.length === 4096) {
      yield batch;
      batch = [];
    }
  }
  yield batch;
}

/** Time of the first record of a file; Infinity when its beginning has none. */
async function beginOf(file: SourceFile): Promise<number> {
  let read = 0;
  for await (const texts of chunksOf(file)) {
    for (const text of texts) {
      const record = parseRecord(text, 0, 0);
      if (record !== undefined) return record.sec + record.msec / 1000;
      read += text.length;
    }
    if (read > HEAD) break;
  }
  return Infinity;
}

/** The files of a log in the order of their times: rotated ones are named backwards. */
export async function filesInOrder(source: TraceSource): Promise<SourceFile[]> {
  const { files } = source;
  if (files.length === 1) return files;
  const done = source.progress.done;
  const begins = new Map<SourceFile, number>();
  for (const file of files) begins.set(file, await beginOf(file));
  source.progress.done = done;
  return [...files].sort((a, b) => begins.get(a)! - begins.get(b)! || (a.name < b.name ? -1 : 1));
}

/** One pass over a log. */
export class AuditStream {
  readonly lines: LineTotals = newLineTotals();
  readonly #assembler = new EventAssembler();
  readonly #source: TraceSource;
  /** the node whose calls count as calls; others' are other lines */
  #node: string | undefined;

  constructor(source: TraceSource) {
    this.#source = source;
  }

  /** Every line as part of an event or stray; a batch for each piece of input. */
  async *batches(): AsyncIterable<AuditItem[]> {
    const files = await filesInOrder(this.#source);
    for (const file of files) {
      const index = this.#source.files.indexOf(file);
      let line = 0;
      for await (const texts of chunksOf(file)) {
        const out: AuditItem[] = [];
        for (const text of texts) this.#line(text, ++line, index, out);
        yield out;
      }
    }
    yield this.#assembler.finish();
  }

  #line(text: string, line: number, file: number, out: AuditItem[]): void {
    const { lines } = this;
    lines.total += 1;
    const record = parseRecord(text, line, file);
    if (record === undefined) {
      const sort = isSeparator(text) ? 'separator' : 'unparsed';
      if (sort === 'separator') lines.other += 1;
      else lines.unparsed += 1;
      out.push(...this.#assembler.addStray({ line, file, text, sort }));
      return;
    }
    this.#count(record);
    const late = { line, file, text, sort: 'late' } as const;
    out.push(...(this.#assembler.add(record) ?? this.#assembler.addStray(late)));
  }

  #count(record: AuditRecord): void {
    this.#node ??= record.node;
    const call = record.type === 'SYSCALL' && record.node === this.#node;
    if (call) this.lines.calls += 1;
    else this.lines.other += 1;
  }
}
