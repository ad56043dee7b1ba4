// `npm test`: everything that must hold, in a fresh clone too. What follows `--` goes to vitest.
import { buildAll } from './build.mjs';
import { check } from './check.mjs';
import { run } from './setup.mjs';
import { installTools } from './tools.mjs';

await buildAll({ types: true, check: true });
check();
installTools();
run(process.execPath, ['node_modules/vitest/vitest.mjs', 'run', ...process.argv.slice(2)]);
