// The few parts of tar that archives of logs use: ustar, GNU and pax long names.
import type { Spill } from './spill.ts';

export interface TarMember {
  name: string;
  from: number;
  to: number;
}

/** Hands out exact numbers of bytes of a stream of chunks. */
class Feed {
  #iterator: AsyncIterator<Uint8Array>;
  #chunk: Uint8Array = new Uint8Array(0);

  constructor(chunks: AsyncIterable<Uint8Array>) {
    this.#iterator = chunks[Symbol.asyncIterator]();
  }

  /** Up to `want` bytes, as they come; an empty piece is the end. */
  async some(want: number): Promise<Uint8Array> {
    while (this.#chunk.length === 0) {
      const next = await this.#iterator.next();
      if (next.done === true) return this.#chunk;
      this.#chunk = next.value;
    }
    const piece = this.#chunk.subarray(0, want);
    this.#chunk = this.#chunk.subarray(piece.length);
    return piece;
  }

  async take(want: number, use: (piece: Uint8Array) => void): Promise<boolean> {
    let left = want;
    while (left > 0) {
      const piece = await this.some(left);
      if (piece.length === 0) return false;
      use(piece);
      left -= piece.length;
    }
    return true;
  }
}

function text(block: Uint8Array, from: number, length: number): string {
  const field = Buffer.from(block.subarray(from, from + length));
  const end = field.indexOf(0);
  return field.toString('utf8', 0, end < 0 ? length : end);
}

function size(block: Uint8Array): number {
  // base 256 for sizes that eleven octal digits cannot hold
  if (((block[124] ?? 0) & 128) !== 0) {
    let n = 0;
    for (let i = 128; i < 136; i++) n = n * 256 + (block[i] ?? 0);
    return n;
  }
  const n = parseInt(text(block, 124, 12).trim() || '0', 8);
  return Number.isNaN(n) ? -1 : n;
}

const MAX_NAME = 65536;

/** Puts the regular files of an archive into the spill, one after another. */
export async function* tarMembers(
  chunks: AsyncIterable<Uint8Array>,
  spill: Spill,
  warnings: string[],
): AsyncIterable<TarMember> {
  const feed = new Feed(chunks);
  let longName: string | undefined;
  for (;;) {
    const header: Uint8Array[] = [];
    if (!(await feed.take(512, (piece) => header.push(piece)))) break;
    const block = Buffer.concat(header);
    if (block.every((byte) => byte === 0)) return;
    const length = size(block);
    const type = String.fromCharCode(block[156] ?? 0);
    if (length < 0 || text(block, 257, 5) !== 'ustar') {
      warnings.push('the archive is damaged; what follows the damage is lost');
      return;
    }
    const isName = (type === 'L' || type === 'x') && length <= MAX_NAME;
    const isFile = type === '0' || type === '\0' || type === '7';
    const from = spill.size;
    const meta: Uint8Array[] = [];
    const whole = await feed.take(length, (piece) => {
      if (isFile) spill.append(piece);
      else if (isName) meta.push(piece);
    });
    await feed.take((512 - (length % 512)) % 512, () => undefined);
    if (isName) {
      const body = Buffer.concat(meta).toString('utf8');
      longName =
        type === 'L'
          ? body.replace(/\0.*$/s, '')
          : (/(?:^|\n)\d+ path=(.*)\n/.exec(body)?.[1] ?? longName);
    } else if (isFile) {
      const prefix = text(block, 345, 155);
      const short = text(block, 0, 100);
      yield {
        name: longName ?? (prefix === '' ? short : `${prefix}/${short}`),
        from,
        to: spill.size,
      };
      longName = undefined;
    }
    if (!whole) break;
  }
  warnings.push('the archive ends without its end mark');
}
