// `npm test`: everything that must hold, in a fresh clone too. What follows `--` goes to vitest.
import { buildAll } from './build.mjs';
import { check } from './check.mjs';
import { run } from './setup.mjs';

await buildAll({ types: true, check: true });
check();
run(process.execPath, ['node_modules/vitest/vitest.mjs', 'run', ...process.argv.slice(2)]);
