// Bytes to be read again: in memory while they are few, then in a temporary file. They are kept in
// pages, so that many small pieces cost no more than few large ones.
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';

const IN_MEMORY = 32 << 20;
const PAGE = 1 << 16;

export class Spill {
  size = 0;
  readonly #limit: number;
  readonly #page: number;
  /** pages that are not in the file: all of them, or only the last one */
  #pages: Uint8Array[] = [];
  /** how many pages stand in the file */
  #written = 0;
  #fd = -1;
  #dir = '';

  constructor(limit = IN_MEMORY, page = PAGE) {
    this.#limit = limit;
    this.#page = page;
  }

  append(bytes: Uint8Array): void {
    let done = 0;
    while (done < bytes.length) {
      const at = this.size % this.#page;
      if (at === 0) this.#newPage();
      const count = Math.min(bytes.length - done, this.#page - at);
      this.#pages.at(-1)!.set(bytes.subarray(done, done + count), at);
      done += count;
      this.size += count;
    }
  }

  /** Pieces of at most `chunk` bytes, which hold until the next one. */
  *read(from: number, to: number, chunk: number): Iterable<Uint8Array> {
    let at = from;
    const end = Math.min(to, this.size);
    while (at < end) {
      const inFile = this.#written * this.#page - at;
      const piece =
        inFile > 0
          ? this.#readFile(at, Math.min(chunk, end - at, inFile))
          : this.#readMemory(at, Math.min(chunk, end - at));
      if (piece.length === 0) return;
      at += piece.length;
      yield piece;
    }
  }

  close(): void {
    if (this.#fd >= 0) {
      fs.closeSync(this.#fd);
      fs.rmSync(this.#dir, { recursive: true, force: true });
      this.#fd = -1;
    }
    this.#pages = [];
    this.#written = 0;
    this.size = 0;
  }

  /** Before a page is begun those before it go to the file, if they are too many. */
  #newPage(): void {
    if (this.#fd >= 0 || this.size >= this.#limit) {
      if (this.#fd < 0) {
        this.#dir = fs.mkdtempSync(path.join(os.tmpdir(), 'bulkhead-'));
        this.#fd = fs.openSync(path.join(this.#dir, 'spill'), 'w+', 0o600);
      }
      for (const page of this.#pages) this.#write(page);
      this.#pages = [];
    }
    this.#pages.push(new Uint8Array(this.#page));
  }

  #write(page: Uint8Array): void {
    const at = this.#written * this.#page;
    let done = 0;
    while (done < page.length) {
      done += fs.writeSync(this.#fd, page, done, page.length - done, at + done);
    }
    this.#written += 1;
  }

  #readFile(at: number, want: number): Uint8Array {
    const piece = Buffer.allocUnsafe(want);
    return piece.subarray(0, fs.readSync(this.#fd, piece, 0, want, at));
  }

  #readMemory(at: number, want: number): Uint8Array {
    const from = at % this.#page;
    const page = this.#pages[Math.floor(at / this.#page) - this.#written]!;
    return page.subarray(from, Math.min(this.#page, from + want));
  }
}
