// One line of progress on a terminal, for work over a second.

const FIRST_MS = 1000;
const STEP_MS = 100;
const WIDTH = 30;

export class Progress {
  readonly #stream: NodeJS.WriteStream;
  readonly #silent: boolean;
  readonly #started = performance.now();
  #last = 0;
  #shown = false;

  constructor(stream: NodeJS.WriteStream, silent: boolean) {
    this.#stream = stream;
    this.#silent = silent || !stream.isTTY || Boolean(process.env.CI);
  }

  /** `share`: how much is done, 0..1. */
  update(share: number): void {
    if (this.#silent) return;
    const now = performance.now();
    if (now - this.#started < FIRST_MS || now - this.#last < STEP_MS) return;
    this.#last = now;
    this.#shown = true;
    const done = Math.round(share * WIDTH);
    const left = share > 0 ? ((now - this.#started) * (1 - share)) / share / 1000 : 0;
    const bar = '#'.repeat(done).padEnd(WIDTH, '.');
    this.#stream.write(`\r[${bar}] ${Math.round(share * 100)} %, ${left.toFixed(0)} s left `);
  }

  /** Takes the line away. */
  end(): void {
    if (this.#shown) this.#stream.write(`\r${' '.repeat(WIDTH + 30)}\r`);
    this.#shown = false;
  }
}
