// Runs of bytes that are looked up again: by a hash, then byte for byte.

/** A hash of bytes[from, to), of 32 bits; the low ones are as good as any. */
export function hashOf(bytes: Uint8Array, from: number, to: number): number {
  let hash = to - from;
  for (let i = from; i < to; ++i) hash = (Math.imul(hash, 31) + bytes[i]!) | 0;
  return hash ^ (hash >>> 15);
}

/** Do the bytes from `from` on begin with `known`? */
export function isSame(bytes: Uint8Array, from: number, known: Uint8Array): boolean {
  for (let i = 0; i < known.length; ++i) if (bytes[from + i] !== known[i]) return false;
  return true;
}
