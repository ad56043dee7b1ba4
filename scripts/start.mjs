// `npm start`: a recorded shell session, re-executed; then the example program of the proposal.
import { buildAll } from './build.mjs';
import { run } from './setup.mjs';

await buildAll();
for (const trace of ['examples/jobs.strace.gz', 'examples/seed-example.jsonl']) {
  console.log(`\n$ bulkhead replay --tree --containers ${trace}\n`);
  run(process.execPath, ['dist/cli.js', 'replay', '--tree', '--containers', trace]);
}
