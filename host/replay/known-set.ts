// Which of a task's facts are known. A child knows what its parent knew, and most never learn more:
// the set is shared until one of the two does.

export class KnownSet {
  #set: Set<number>;
  #shared: boolean;

  constructor(from?: KnownSet) {
    if (from) from.#shared = true;
    this.#set = from ? from.#set : new Set();
    this.#shared = from !== undefined;
  }

  has(fact: number): boolean {
    return this.#set.has(fact);
  }

  add(fact: number): void {
    if (this.#set.has(fact)) return;
    if (this.#shared) this.#set = new Set(this.#set);
    this.#shared = false;
    this.#set.add(fact);
  }
}
