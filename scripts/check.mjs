// Types of the host, its tests and the benchmarks; the kernel as plain TypeScript; formatting.
import { isMain } from './build.mjs';
import { run, setup } from './setup.mjs';

export function check() {
  setup();
  const tsc = 'node_modules/typescript/bin/tsc';
  run(process.execPath, [tsc, '--noEmit', '-p', 'tsconfig.json']);
  run(process.execPath, [tsc, '--noEmit', '-p', 'assembly/tsconfig.json']);
  const prettier = 'node_modules/prettier/bin/prettier.cjs';
  run(process.execPath, [prettier, '--check', '--log-level', 'warn', '.']);
}

if (isMain(import.meta.url)) check();
