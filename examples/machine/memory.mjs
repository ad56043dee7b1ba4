// A process's memory: pages with rights. A copy shares the pages that nobody can write.
const PAGE = 4096;
export const PAGE_SIZE = PAGE;

/** Memory that is not there, or not for this use: SIGSEGV for the program. */
export class Fault extends Error {
  constructor(addr, what) {
    super(`${what} at 0x${addr.toString(16)}`);
    this.addr = addr;
  }
}

export class Memory {
  /** @type {Map<bigint, { bytes: Uint8Array, write: boolean, run: boolean, code: Map }>} */
  #pages = new Map();

  /** Maps the pages around `addr`..`addr + len`; what is there already gains rights. */
  map(addr, len, { write = false, run = false } = {}) {
    const end = addr + BigInt(len);
    for (let nr = addr / 4096n; nr * 4096n < end; ++nr) {
      const page = this.#pages.get(nr);
      // `code`: decoded instructions of a page that nobody can write
      if (!page) this.#pages.set(nr, { bytes: new Uint8Array(PAGE), write, run, code: new Map() });
      else Object.assign(page, { write: page.write || write, run: page.run || run });
    }
  }

  /** What fork gives a child. */
  copy() {
    const to = new Memory();
    for (const [nr, page] of this.#pages) {
      to.#pages.set(
        nr,
        page.write ? { ...page, bytes: page.bytes.slice(), code: new Map() } : page,
      );
    }
    return to;
  }

  /** Pieces of `len` bytes at `addr` by page; undefined when one is missing. */
  #pieces(addr, len, write) {
    const pieces = [];
    for (let at = addr, left = len; left > 0;) {
      const page = this.#pages.get(BigInt.asUintN(64, at) / 4096n);
      if (!page || (write && !page.write)) return undefined;
      const from = Number(at % 4096n);
      const size = Math.min(left, PAGE - from);
      pieces.push(page.bytes.subarray(from, from + size));
      at += BigInt(size);
      left -= size;
    }
    return pieces;
  }

  // What Bulkhead asks of a guest's memory (GuestMemory).

  read(addr, len) {
    const pieces = this.#pieces(addr, len, false);
    return pieces && Uint8Array.from(pieces.flatMap((piece) => [...piece]));
  }

  writable(addr, len) {
    return this.#pieces(addr, len, true) !== undefined;
  }

  write(addr, bytes) {
    const pieces = this.#pieces(addr, bytes.length, true);
    if (!pieces) return false;
    let from = 0;
    for (const piece of pieces) {
      piece.set(bytes.subarray(from, from + piece.length));
      from += piece.length;
    }
    return true;
  }

  // What the processor and the loader ask.

  /** Puts bytes where a program could not: loading. */
  load(addr, bytes) {
    let from = 0;
    for (const piece of this.#pieces(addr, bytes.length, false)) {
      piece.set(bytes.subarray(from, from + piece.length));
      from += piece.length;
    }
  }

  /** An unsigned number of `size` bytes. */
  get(addr, size) {
    const bytes = this.read(BigInt.asUintN(64, addr), size);
    if (!bytes) throw new Fault(addr, 'a read');
    let value = 0n;
    for (let i = size - 1; i >= 0; --i) value = (value << 8n) | BigInt(bytes[i]);
    return value;
  }

  set(addr, size, value) {
    const bytes = new Uint8Array(size);
    for (let i = 0; i < size; ++i) bytes[i] = Number((value >> BigInt(8 * i)) & 0xffn);
    if (!this.write(BigInt.asUintN(64, addr), bytes)) throw new Fault(addr, 'a write');
  }

  /** The bytes up to the next zero byte. Throws a Fault where memory ends before it. */
  text(addr) {
    const bytes = [];
    for (let at = addr; ; ++at) {
      const byte = Number(this.get(at, 1));
      if (byte === 0) return Buffer.from(bytes).toString('latin1');
      bytes.push(byte);
    }
  }

  /** The page to execute at, for its decoded instructions. Throws a Fault. */
  pageToRun(addr) {
    const page = this.#pages.get(addr / 4096n);
    if (!page?.run) throw new Fault(addr, 'a jump');
    return page;
  }
}
