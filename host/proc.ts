// Files of /proc whose text the kernel writes, read without a descriptor.
import type { Kernel } from './kernel.ts';

/** The text that `tid` reads at `path`; undefined where there is no such file or task. */
export function readProc(k: Kernel, tid: number, path: string): string | undefined {
  const { exports } = k;
  const bytes = new TextEncoder().encode(path);
  const measured = place(k, bytes, 0, (at, to) => exports.proc_read(tid, at, bytes.length, to, 0));
  if (measured.result < 0) return undefined;
  const size = measured.result;
  const read = place(k, bytes, size, (at, to) =>
    exports.proc_read(tid, at, bytes.length, to, size),
  );
  return new TextDecoder('latin1').decode(read.text);
}

/** Runs with the path and `size` bytes of room in the kernel's memory. */
function place(
  k: Kernel,
  path: Uint8Array,
  size: number,
  run: (at: number, to: number) => number,
): { result: number; text: Uint8Array } {
  const block = path.length + size + 1;
  const at = k.exports.host_alloc(block) >>> 0;
  if (!at) throw new RangeError('the kernel has no memory left');
  k.refresh();
  k.u8.set(path, at);
  const result = run(at, at + path.length);
  k.refresh();
  const text = k.u8.slice(at + path.length, at + path.length + Math.max(0, Math.min(result, size)));
  k.exports.host_free(at, block);
  return { result, text };
}
