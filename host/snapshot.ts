// Snapshots: the kernel's memory up to its high-water mark behind a header that says of what build
// and size it is.
import type { Kernel } from './kernel.ts';

const MAGIC = 0x50534842;
const VERSION = 1;
const HEADER = 32;

export function takeSnapshot(k: Kernel): Uint8Array {
  const size = k.exports.high_water() >>> 0;
  const out = new Uint8Array(HEADER + size);
  const header = new DataView(out.buffer);
  header.setUint32(0, MAGIC, true);
  header.setUint32(4, VERSION, true);
  header.setUint32(8, k.exports.abi_version(), true);
  header.setUint32(12, size, true);
  header.setUint32(16, k.frame.address, true);
  out.set(k.u8.subarray(0, size), HEADER);
  return out;
}

/** Return: address of the frame that was the kernel's current one. Throws RangeError. */
export function restoreSnapshot(k: Kernel, snapshot: Uint8Array): number {
  const header = new DataView(snapshot.buffer, snapshot.byteOffset, snapshot.byteLength);
  const valid =
    snapshot.length >= HEADER &&
    header.getUint32(0, true) === MAGIC &&
    header.getUint32(4, true) === VERSION &&
    header.getUint32(8, true) === k.exports.abi_version() &&
    header.getUint32(12, true) + HEADER === snapshot.length;
  if (!valid) throw new RangeError('not a snapshot of this kernel: magic, version or size differ');
  const size = header.getUint32(12, true);
  const used = k.exports.high_water() >>> 0;
  const missing = Math.ceil((size - k.memory.buffer.byteLength) / 65536);
  if (missing > 0) k.memory.grow(missing);
  k.refresh();
  k.u8.set(snapshot.subarray(HEADER), 0);
  // memory that is not in use yet is zero: the kernel relies on it
  if (used > size) k.u8.fill(0, size, used);
  return header.getUint32(16, true);
}
