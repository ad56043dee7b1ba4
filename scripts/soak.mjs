// `npm run soak`: the random suites for long. BULKHEAD_RUNS and BULKHEAD_SEED override.
import { buildAll } from './build.mjs';
import { run } from './setup.mjs';

await buildAll();
const env = { BULKHEAD_RUNS: '20000', ...process.env };
const vitest = ['node_modules/vitest/vitest.mjs', 'run', 'test/model', 'test/hostile'];
run(process.execPath, [...vitest, ...process.argv.slice(2)], { env });
