// `npm run bench -- [options] [NAME...]`: builds what is stale, then `bulkhead bench`.
import { resolve } from 'node:path';
import { buildAll } from './build.mjs';
import { run } from './setup.mjs';

// npm runs this in the project's folder; file names are meant from where the user stands
const from = process.env.INIT_CWD ?? process.cwd();
const isFile = /^[^-].*\.(json|svg)$/;
const args = process.argv.slice(2).map((arg) => (isFile.test(arg) ? resolve(from, arg) : arg));
await buildAll();
run(process.execPath, ['dist/cli.js', 'bench', ...args]);
