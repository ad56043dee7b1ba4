// Unpacking of streams, found out by their first bytes. What is damaged ends the stream with a
// warning, after everything in front of the damage.
import * as zlib from 'node:zlib';
import { Readable } from 'node:stream';

export type Packing = 'none' | 'gzip' | 'zstd' | 'unsupported';

/** Packing of a stream that begins with these bytes. */
export function sniff(head: Uint8Array): Packing {
  const [a, b, c, d] = head;
  if (a === 0x1f && b === 0x8b) return 'gzip';
  if (a === 0x28 && b === 0xb5 && c === 0x2f && d === 0xfd) return 'zstd';
  const isSkippable = a !== undefined && (a & 0xf0) === 0x50 && b === 0x2a && c === 0x4d;
  if (isSkippable && d === 0x18) return 'zstd';
  const isXz = a === 0xfd && b === 0x37 && c === 0x7a;
  const isBzip2 = a === 0x42 && b === 0x5a && c === 0x68;
  const isZip = a === 0x50 && b === 0x4b && c === 3;
  const isLz4 = a === 4 && b === 0x22 && c === 0x4d;
  return isXz || isBzip2 || isZip || isLz4 ? 'unsupported' : 'none';
}

async function* gunzip(chunks: AsyncIterable<Uint8Array>): AsyncIterable<Uint8Array> {
  // The flush lets a stream that was cut off give all it has; its length tells of the cut.
  const unzip = zlib.createGunzip({ finishFlush: zlib.constants.Z_SYNC_FLUSH, chunkSize: 262144 });
  let tail = Buffer.alloc(0);
  async function* noted(): AsyncIterable<Uint8Array> {
    for await (const chunk of chunks) {
      tail = Buffer.concat([tail, chunk.subarray(-8)]).subarray(-8);
      yield chunk;
    }
  }
  const input = Readable.from(noted(), { objectMode: false });
  input.on('error', (error) => unzip.destroy(error));
  input.pipe(unzip);
  let total = 0;
  for await (const piece of unzip as AsyncIterable<Uint8Array>) {
    total += piece.length;
    yield piece;
  }
  if (tail.length < 8 || tail.readUInt32LE(4) !== total % 4294967296) {
    throw new Error('its length is not what its end says, it may be cut off');
  }
}

async function* unzstd(chunks: AsyncIterable<Uint8Array>): AsyncIterable<Uint8Array> {
  const { Decompress } = await import('fzstd');
  const out: Uint8Array[] = [];
  const stream = new Decompress((piece) => {
    if (piece.length > 0) out.push(piece);
  });
  let failed: unknown;
  for await (const chunk of chunks) {
    try {
      stream.push(chunk);
    } catch (error) {
      failed = error;
    }
    yield* out.splice(0);
    if (failed !== undefined) throw failed;
  }
  stream.push(new Uint8Array(0), true);
  yield* out.splice(0);
}

/** The unpacked stream; the same bytes when it isn't packed. */
export async function* decompress(
  chunks: AsyncIterable<Uint8Array>,
  warnings: string[],
  name = 'standard input',
): AsyncIterable<Uint8Array> {
  const iterator = chunks[Symbol.asyncIterator]();
  const head: Uint8Array[] = [];
  let have = 0;
  while (have < 4) {
    const next = await iterator.next();
    if (next.done === true) break;
    head.push(next.value);
    have += next.value.length;
  }
  async function* all(): AsyncIterable<Uint8Array> {
    yield* head;
    for (;;) {
      const next = await iterator.next();
      if (next.done === true) return;
      yield next.value;
    }
  }
  const packing = sniff(Buffer.concat(head).subarray(0, 4));
  if (packing === 'unsupported') {
    warnings.push(`${name}: packed in a way that is not supported`);
    return;
  }
  if (packing === 'none') {
    yield* all();
    return;
  }
  try {
    yield* packing === 'gzip' ? gunzip(all()) : unzstd(all());
  } catch (error) {
    warnings.push(`${name}: ${error instanceof Error ? error.message : String(error)}`);
  } finally {
    await iterator.return?.();
  }
}
