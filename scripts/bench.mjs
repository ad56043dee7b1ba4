// `npm run bench`: builds, then measures (bench/README.md).
import { buildAll } from './build.mjs';
import { run } from './setup.mjs';

await buildAll();
const { build } = await import('esbuild');
await build({
  entryPoints: ['bench/run.ts'],
  // beside the kernels, where host/module.ts looks for them
  outfile: 'build/bench.mjs',
  bundle: true,
  platform: 'node',
  format: 'esm',
  target: 'node20',
  external: ['fzstd'],
  logLevel: 'warning',
});
run(process.execPath, ['--expose-gc', 'build/bench.mjs', ...process.argv.slice(2)]);
