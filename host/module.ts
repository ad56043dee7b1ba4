// Finds and compiles the kernel's module.
import type { KernelTarget } from './kernel.ts';

const FILES: Record<KernelTarget, string> = {
  release: 'kernel.wasm',
  debug: 'kernel.debug.wasm',
  smp: 'kernel.smp.wasm',
};

const cache = new Map<KernelTarget, Promise<WebAssembly.Module>>();

/** The module given, or the one that ships beside this code; compiled once per target. */
export async function loadModule(
  target: KernelTarget,
  given?: BufferSource | WebAssembly.Module,
): Promise<WebAssembly.Module> {
  if (given instanceof WebAssembly.Module) return given;
  if (given) return WebAssembly.compile(given);
  let module = cache.get(target);
  if (!module) {
    module = readShipped(FILES[target]).then((bytes) => WebAssembly.compile(bytes));
    cache.set(target, module);
  }
  return module;
}

/** dist/ and build/ lie side by side; sources run from host/ find the same folder. */
async function readShipped(name: string): Promise<BufferSource> {
  const url = new URL(`../build/${name}`, import.meta.url);
  if (url.protocol !== 'file:') return (await fetch(url)).arrayBuffer();
  const { readFile } = await import('node:fs/promises');
  try {
    return await readFile(url);
  } catch (cause) {
    throw new Error(`${url.pathname} is missing: run npm run build`, { cause });
  }
}
