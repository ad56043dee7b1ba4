// `npm run soak`: the random suites for long, or the named ones. BULKHEAD_RUNS and BULKHEAD_SEED
// override.
import { buildAll } from './build.mjs';
import { run } from './setup.mjs';

await buildAll();
const env = { BULKHEAD_RUNS: '20000', ...process.env };
const named = process.argv.slice(2);
const suites = named.length > 0 ? named : ['test/model', 'test/hostile'];
// a soak takes as long as it takes
const args = ['run', '--testTimeout=0', ...suites];
run(process.execPath, ['node_modules/vitest/vitest.mjs', ...args], { env });
