// `npm run replay -- FILE...`: builds what is stale, then the command line of dist/cli.js.
import { resolve } from 'node:path';
import { buildAll } from './build.mjs';
import { run } from './setup.mjs';

// npm runs this in the project's folder; file names are meant from where the user stands
const from = process.env.INIT_CWD ?? process.cwd();
const args = process.argv.slice(2).map((arg) => (arg.startsWith('-') ? arg : resolve(from, arg)));
await buildAll();
run(process.execPath, ['dist/cli.js', 'replay', ...args]);
