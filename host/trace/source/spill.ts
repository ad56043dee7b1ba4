// Bytes to be read again: in memory while they are few, then in a temporary file.
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';

const IN_MEMORY = 32 << 20;

export class Spill {
  size = 0;
  #parts: Uint8Array[] = [];
  #starts: number[] = [];
  #fd = -1;
  #dir = '';
  readonly #limit: number;

  constructor(limit = IN_MEMORY) {
    this.#limit = limit;
  }

  append(bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    if (this.#fd < 0 && this.size + bytes.length > this.#limit) this.#toFile();
    if (this.#fd >= 0) {
      let done = 0;
      while (done < bytes.length) {
        done += fs.writeSync(this.#fd, bytes, done, bytes.length - done, this.size + done);
      }
    } else {
      this.#starts.push(this.size);
      this.#parts.push(Uint8Array.from(bytes));
    }
    this.size += bytes.length;
  }

  *read(from: number, to: number, chunk: number): Iterable<Uint8Array> {
    let at = from;
    while (at < to) {
      const piece =
        this.#fd >= 0 ? this.#readFile(at, Math.min(chunk, to - at)) : this.#readMemory(at, to);
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
    this.#parts = [];
    this.#starts = [];
    this.size = 0;
  }

  #toFile(): void {
    this.#dir = fs.mkdtempSync(path.join(os.tmpdir(), 'bulkhead-'));
    this.#fd = fs.openSync(path.join(this.#dir, 'spill'), 'w+', 0o600);
    let at = 0;
    for (const part of this.#parts) {
      let done = 0;
      while (done < part.length) {
        done += fs.writeSync(this.#fd, part, done, part.length - done, at + done);
      }
      at += part.length;
    }
    this.#parts = [];
    this.#starts = [];
  }

  #readFile(at: number, want: number): Uint8Array {
    const piece = Buffer.allocUnsafe(want);
    return piece.subarray(0, fs.readSync(this.#fd, piece, 0, want, at));
  }

  #readMemory(at: number, to: number): Uint8Array {
    // last part that starts at or before `at`
    let low = 0;
    let high = this.#starts.length - 1;
    while (low < high) {
      const mid = (low + high + 1) >> 1;
      if ((this.#starts[mid] as number) <= at) low = mid;
      else high = mid - 1;
    }
    const part = this.#parts[low];
    if (part === undefined) return new Uint8Array(0);
    const start = this.#starts[low] as number;
    return part.subarray(at - start, Math.min(part.length, to - start));
  }
}
