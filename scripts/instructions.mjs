// `npm run instructions`: builds, then counts the instructions of each operation (bench/README.md).
import { buildAll } from './build.mjs';

await buildAll();
const { build } = await import('esbuild');
await build({
  entryPoints: ['bench/instructions.ts'],
  outfile: 'build/instructions.mjs',
  bundle: true,
  platform: 'node',
  format: 'esm',
  target: 'node20',
  logLevel: 'warning',
});
const { report } = await import('../build/instructions.mjs');
report(process.argv.slice(2));
