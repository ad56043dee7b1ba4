// Type-checks the host and its tests, the kernel as plain TypeScript, and the formatting.
import { setup, run } from './setup.mjs';

setup();
const tsc = 'node_modules/typescript/bin/tsc';
run(process.execPath, [tsc, '--noEmit', '-p', 'host/tsconfig.json']);
