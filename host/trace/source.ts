// Bytes of traces: files of any size, standard input, gzip and zstd, tar archives, directories.
// Everything is handed out in chunks and can be read again for a second pass.
import * as fs from 'node:fs';
import * as path from 'node:path';
import { decompress, sniff } from './source/decompress.ts';
import { Spill } from './source/spill.ts';
import { tarMembers } from './source/tar.ts';

/** How much is read at a time. */
export const CHUNK = 1 << 18;

/** A trace that cannot be read at all: missing, a directory without logs, an unknown packing. */
export class SourceError extends Error {
  override name = 'SourceError';
}

/** One stream of lines. `chunks` may be called again, once an earlier run has ended. */
export interface SourceFile {
  name: string;
  /** number at the end of the name (`t.1234`, `t.1234.gz`), 0 when there is none */
  pid: number;
  /** size on disk as far as known (packed size for packed files), for progress bars; -1 unknown */
  size: number;
  chunks(): AsyncIterable<Uint8Array>;
  /** as `chunks`, where that needs no waiting; undefined for streams */
  chunksNow: (() => Iterable<Uint8Array>) | undefined;
}

/** What the arguments of a command name: one file, or a set with one file for each task. */
export interface TraceSource {
  name: string;
  files: SourceFile[];
  /** several files, one for each task */
  isSet: boolean;
  /** bytes of `size` consumed so far, for progress bars */
  progress: { done: number; total: number };
  /** what was odd about the packing (cut off, trailing garbage) */
  warnings: string[];
  /** removes spill files */
  close(): void;
}

/** The task of a file of an -ff set, from its name. */
export function pidOfName(name: string): number {
  const hit = /\.([0-9]{1,9})(?:\.(?:gz|zst))?$/.exec(name);
  return hit === null ? 0 : Number(hit[1]);
}

function* fileChunks(file: string, source: TraceSource, chunk = CHUNK): Iterable<Uint8Array> {
  let offset = 0;
  for (;;) {
    // opened anew for each piece: a set may have more files than descriptors are allowed
    const fd = fs.openSync(file, 'r');
    let piece: Uint8Array;
    try {
      const left = fs.fstatSync(fd).size - offset;
      // size 0 with content: a pipe or a file of /proc
      const want = left > 0 ? Math.min(chunk, left) : offset === 0 ? chunk : 0;
      piece = Buffer.allocUnsafe(want);
      const got = want === 0 ? 0 : fs.readSync(fd, piece, 0, want, left > 0 ? offset : null);
      piece = piece.subarray(0, got);
    } finally {
      fs.closeSync(fd);
    }
    if (piece.length === 0) return;
    offset += piece.length;
    source.progress.done += piece.length;
    yield piece;
  }
}

async function* later(chunks: Iterable<Uint8Array>): AsyncIterable<Uint8Array> {
  yield* chunks;
}

function plainFile(file: string, source: TraceSource): SourceFile {
  const now = (): Iterable<Uint8Array> => fileChunks(file, source);
  return {
    name: file,
    pid: pidOfName(file),
    size: fs.statSync(file).size,
    chunks: () => later(now()),
    chunksNow: now,
  };
}

function spilled(name: string, spill: Spill, from: number, to: number): SourceFile {
  const now = (): Iterable<Uint8Array> => spill.read(from, to, CHUNK);
  return {
    name,
    pid: pidOfName(name),
    size: to - from,
    chunks: () => later(now()),
    chunksNow: now,
  };
}

/** Reads a stream that cannot be rewound; the first run keeps what it saw for the next ones. */
function onceReadable(
  name: string,
  input: AsyncIterable<Uint8Array>,
  source: TraceSource,
  spill: Spill | undefined,
): SourceFile {
  let state: 'fresh' | 'running' | 'kept' = 'fresh';
  async function* first(): AsyncIterable<Uint8Array> {
    state = 'running';
    for await (const raw of input) {
      spill?.append(raw);
      source.progress.done += raw.length;
      yield raw;
    }
    state = 'kept';
  }
  return {
    name,
    pid: 0,
    size: -1,
    chunksNow: undefined,
    chunks() {
      if (state === 'fresh') return decompress(first(), source.warnings);
      if (state === 'running' || spill === undefined) {
        throw new SourceError(`${name} can be read only once`);
      }
      return decompress(later(spill.read(0, spill.size, CHUNK)), []);
    },
  };
}

async function headOf(chunks: AsyncIterable<Uint8Array>, want: number): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  let have = 0;
  for await (const chunk of chunks) {
    parts.push(chunk);
    have += chunk.length;
    if (have >= want) break;
  }
  return Buffer.concat(parts).subarray(0, want);
}

async function addFile(
  file: string,
  source: TraceSource,
  spill: () => Spill,
  many: boolean,
): Promise<void> {
  const plain = plainFile(file, source);
  source.progress.total += plain.size;
  const head = await headOf(plain.chunks(), 512);
  source.progress.done = 0;
  const packing = sniff(head);
  if (packing === 'unsupported') {
    throw new SourceError(`${file}: packed in a way that is not supported; unpack it first`);
  }
  const unpacked = (): AsyncIterable<Uint8Array> =>
    packing === 'none' ? plain.chunks() : decompress(plain.chunks(), source.warnings, file);
  const inner = packing === 'none' ? head : await headOf(unpacked(), 512);
  source.progress.done = 0;
  if (inner.length >= 512 && Buffer.from(inner.subarray(257, 262)).toString('latin1') === 'ustar') {
    for await (const member of tarMembers(unpacked(), spill(), source.warnings)) {
      source.files.push(spilled(member.name, spill(), member.from, member.to));
    }
    source.isSet = true;
  } else if (packing === 'none') {
    source.files.push(plain);
  } else if (many) {
    const from = spill().size;
    for await (const chunk of unpacked()) spill().append(chunk);
    source.files.push(spilled(file, spill(), from, spill().size));
  } else {
    source.files.push({ ...plain, chunks: unpacked, chunksNow: undefined });
  }
}

/** Files that a path stands for: itself, a directory's logs, or `PATH.<pid>` (strace -ff -o). */
function expand(name: string): string[] {
  const stat = fs.statSync(name, { throwIfNoEntry: false });
  if (stat !== undefined && !stat.isDirectory()) return [name];
  const dir = stat === undefined ? path.dirname(name) : name;
  if (!fs.existsSync(dir)) throw new SourceError(`${name}: no such file`);
  const files = fs
    .readdirSync(dir, { withFileTypes: true })
    .filter((entry) => !entry.isDirectory())
    .map((entry) => path.join(dir, entry.name));
  const logs = files.filter((file) => pidOfName(file) !== 0);
  const wanted =
    stat === undefined
      ? logs.filter((file) => file.startsWith(`${path.normalize(name)}.`))
      : logs.length > 0
        ? logs
        : files;
  if (wanted.length === 0) {
    throw new SourceError(
      stat === undefined ? `${name}: no such file` : `${name}: no logs in this directory`,
    );
  }
  return wanted;
}

/**
 * Opens what the arguments name. `-` is standard input. Several files, a directory or a tar archive
 * are a set with one file for each task.
 */
export async function openSource(
  names: readonly string[],
  options: { stdin?: AsyncIterable<Uint8Array>; twice?: boolean } = {},
): Promise<TraceSource> {
  let spill: Spill | undefined;
  const getSpill = (): Spill => (spill ??= new Spill());
  const source: TraceSource = {
    name: names.join(' '),
    files: [],
    isSet: false,
    progress: { done: 0, total: 0 },
    warnings: [],
    close: () => spill?.close(),
  };
  if (names.length === 0) throw new SourceError('no trace given');
  if (names.includes('-')) {
    if (names.length > 1) throw new SourceError('standard input cannot be one of several files');
    const input = options.stdin ?? (process.stdin as AsyncIterable<Uint8Array>);
    const keep = options.twice === false ? undefined : getSpill();
    source.files.push(onceReadable('-', input, source, keep));
    return source;
  }
  try {
    const files = names.flatMap(expand);
    for (const file of files) await addFile(file, source, getSpill, files.length > 1);
  } catch (error) {
    source.close();
    if (error instanceof SourceError) throw error;
    throw new SourceError(error instanceof Error ? error.message : String(error));
  }
  if (source.files.length === 0) throw new SourceError(`${source.name}: an empty archive`);
  source.isSet ||= source.files.length > 1;
  source.files.sort((a, b) => a.pid - b.pid || (a.name < b.name ? -1 : 1));
  return source;
}

/** The first `bytes` of a source, for telling its format. Standard input keeps its place. */
export async function sourceHead(source: TraceSource, bytes = 65536): Promise<Uint8Array> {
  const file = source.files[0];
  if (file === undefined) return new Uint8Array(0);
  if (file.size >= 0) {
    const done = source.progress.done;
    const head = await headOf(file.chunks(), bytes);
    source.progress.done = done;
    return head;
  }
  // A stream: take pieces off and put them back in front.
  const iterator = file.chunks()[Symbol.asyncIterator]();
  const taken: Uint8Array[] = [];
  let have = 0;
  let ended = false;
  while (have < bytes && !ended) {
    const next = await iterator.next();
    if (next.done === true) ended = true;
    else {
      taken.push(next.value);
      have += next.value.length;
    }
  }
  const again = file.chunks.bind(file);
  let used = false;
  file.chunks = (): AsyncIterable<Uint8Array> => {
    if (used) return again();
    used = true;
    return (async function* () {
      yield* taken;
      for (;;) {
        const next = await iterator.next();
        if (next.done === true) return;
        yield next.value;
      }
    })();
  };
  return Buffer.concat(taken).subarray(0, bytes);
}
