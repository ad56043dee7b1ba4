// `npm run bench`: builds, then measures (bench/README.md).
import { buildAll } from './build.mjs';
import { run } from './setup.mjs';

await buildAll();
run(process.execPath, ['dist/bench.js', ...process.argv.slice(2)]);
