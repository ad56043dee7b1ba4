// `npm test`: everything that must hold, in a fresh clone too.
import { buildAll } from './build.mjs';
import { run } from './setup.mjs';

await buildAll({ types: true });
run(process.execPath, ['scripts/gen.mjs', '--check']);
run(process.execPath, ['scripts/check.mjs']);
run(process.execPath, ['node_modules/vitest/vitest.mjs', 'run', ...process.argv.slice(2)]);
