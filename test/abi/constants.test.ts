// Each constant of assembly/uapi has the same value in both compilers: asc's (as an exported global
// of a module made of that file alone) and TypeScript's (imported here).
import { readdirSync, readFileSync } from 'node:fs';
import asc from 'assemblyscript/asc';
import { describe, expect, test } from 'vitest';

const FOLDER = 'assembly/uapi';
const files = readdirSync(FOLDER).filter((name) => name.endsWith('.ts'));

/** Values of a file's constants as asc compiles them. */
async function compiled(file: string): Promise<Record<string, unknown>> {
  let binary: Uint8Array | undefined;
  const args = [`${FOLDER}/${file}`, '--config', 'none', '--outFile', 'out.wasm'];
  const { error, stderr } = await asc.main([...args, '--runtime', 'stub', '--noColors'], {
    readFile: (name, baseDir) => {
      try {
        return readFileSync(`${baseDir}/${name}`, 'utf8');
      } catch {
        return null;
      }
    },
    writeFile: (_name, contents) => {
      if (typeof contents !== 'string') binary = contents;
    },
    listFiles: () => [],
  });
  if (error || !binary) throw new Error(`${file}: ${stderr.toString()}`, { cause: error });
  const { instance } = await WebAssembly.instantiate(binary as BufferSource as ArrayBuffer);
  const entries = Object.entries(instance.exports).filter(
    ([, v]) => v instanceof WebAssembly.Global,
  );
  return Object.fromEntries(entries.map(([k, v]) => [k, (v as WebAssembly.Global).value]));
}

/** The same file as TypeScript sees it. */
async function imported(file: string): Promise<Record<string, number>> {
  const url = new URL(`../../${FOLDER}/${file}`, import.meta.url).href;
  return { ...((await import(/* @vite-ignore */ url)) as Record<string, number>) };
}

describe.each(files)('%s', (file) => {
  test('has equal values in asc and in TypeScript', async () => {
    const here = await imported(file);
    expect(Object.keys(here).length).toBeGreaterThan(0);
    expect(await compiled(file)).toEqual(here);
  });

  test('has only values of 32 bits', async () => {
    const here = await imported(file);
    for (const [name, value] of Object.entries(here))
      expect([name, value]).toEqual([name, value | 0]);
  });
});
