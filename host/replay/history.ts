// The last events of a task, which a divergence shows. They are kept as parts and become text only
// there: a log of a million lines has a million events, and hardly a divergence.

/** How many of a task's last events a divergence shows. */
const LENGTH = 5;

export class History {
  readonly #lines: number[] = [];
  readonly #names: string[] = [];
  readonly #results: (number | bigint | string | undefined)[] = [];
  #next = 0;

  /** `result` is left out where the event has none. */
  note(line: number, name: string, result?: number | bigint | string): void {
    const at = this.#next % LENGTH;
    this.#lines[at] = line;
    this.#names[at] = name;
    this.#results[at] = result;
    this.#next += 1;
  }

  /** In the order in which they came. */
  texts(): string[] {
    const out: string[] = [];
    for (let i = Math.max(0, this.#next - LENGTH); i < this.#next; ++i) {
      const at = i % LENGTH;
      const result = this.#results[at];
      const tail = result === undefined ? '' : ` = ${result}`;
      out.push(`${this.#lines[at]}: ${this.#names[at]}${tail}`);
    }
    return out;
  }

  clear(): void {
    this.#next = 0;
    this.#lines.length = 0;
    this.#names.length = 0;
    this.#results.length = 0;
  }
}
