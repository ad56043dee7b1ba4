// A file that a command writes piece by piece; `-` is standard output.
import { closeSync, openSync, writeSync } from 'node:fs';
import { SourceError } from '../trace/source.ts';

const BATCH = 1 << 16;

export class TextFile {
  readonly #fd: number;
  readonly #name: string;
  #waiting: string[] = [];
  #length = 0;

  /** Opens it anew. Throws SourceError when that cannot be done. */
  constructor(name: string) {
    this.#name = name;
    this.#fd = name === '-' ? process.stdout.fd : this.#try(() => openSync(name, 'w'));
  }

  #try<T>(run: () => T): T {
    try {
      return run();
    } catch (error) {
      throw new SourceError(`${this.#name}: ${(error as Error).message}`);
    }
  }

  /** Text whose characters are bytes. */
  write(text: string): void {
    this.#waiting.push(text);
    this.#length += text.length;
    if (this.#length >= BATCH) this.#flush();
  }

  #flush(): void {
    const bytes = Buffer.from(this.#waiting.join(''), 'latin1');
    this.#waiting = [];
    this.#length = 0;
    for (let at = 0; at < bytes.length;) {
      try {
        at += writeSync(this.#fd, bytes, at);
      } catch (error) {
        const { code } = error as NodeJS.ErrnoException;
        // whoever reads standard output may stop reading; or it is slow
        if (code === 'EPIPE') return;
        if (code !== 'EAGAIN') throw new SourceError(`${this.#name}: ${(error as Error).message}`);
      }
    }
  }

  close(): void {
    if (this.#length > 0) this.#flush();
    if (this.#name !== '-') closeSync(this.#fd);
  }
}
