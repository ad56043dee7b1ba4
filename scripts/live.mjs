// `npm run live`: records programs of this machine with strace and replays the logs at once.
// Says how many runs matched in full; keeps the logs of the others.
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { buildAll } from './build.mjs';

const USAGE = `npm run live -- [--runs N] [--only NAME] [--strace OPTIONS] [--keep]

  --runs N           runs of each program (20)
  --only NAME        shell, make, python or node
  --strace=OPTIONS   how to record ("-f")
  --keep             keep every log, not only those that diverge`;

function readOptions() {
  try {
    return parseArgs({
      options: {
        runs: { type: 'string', default: '20' },
        only: { type: 'string' },
        strace: { type: 'string', default: '-f' },
        keep: { type: 'boolean', default: false },
        help: { type: 'boolean', default: false },
      },
    }).values;
  } catch (error) {
    console.error(`${error.message.split('\n')[0]}\n\n${USAGE}`);
    process.exit(2);
  }
}

const values = readOptions();
const here = resolve('test/live');
const PROGRAMS = [
  ['shell', 'sh', () => [join(here, 'shell.sh')]],
  [
    'make',
    'make',
    (dir) => ['-s', '-j4', '-C', dir, '-f', join(here, 'Makefile'), `OUT=${dir}/out`],
  ],
  ['python', 'python3', () => [join(here, 'pool.py')]],
  ['node', process.execPath, () => [join(here, 'tree.mjs')]],
];

function has(program, args) {
  const { error, status } = spawnSync(program, args, { stdio: 'ignore' });
  return error === undefined && status === 0;
}

/** Records one run and replays it. Return: the replay's JSON. */
function once(dir, program, args) {
  mkdirSync(join(dir, 'out'), { recursive: true });
  const log = join(dir, 'log.strace');
  const options = values.strace.split(' ').filter(Boolean);
  const quiet = { stdio: 'ignore', cwd: dir };
  const record = spawnSync('strace', [...options, '-o', log, program, ...args(dir)], quiet);
  if (record.error) throw record.error;
  const logs = options.includes('-ff') ? ['log.strace.*'] : ['log.strace'];
  const files = spawnSync('sh', ['-c', `ls ${logs.join(' ')}`], { cwd: dir, encoding: 'utf8' });
  const names = files.stdout
    .trim()
    .split('\n')
    .map((name) => join(dir, name));
  const flags = ['replay', '--json', '--no-strict'];
  const replay = spawnSync(process.execPath, ['dist/cli.js', ...flags, ...names], {
    encoding: 'utf8',
    maxBuffer: 1 << 28,
  });
  if (replay.status !== 0) throw new Error(`replay of ${log}: ${replay.stderr}`);
  return JSON.parse(replay.stdout);
}

function measure(root, name, program, args) {
  const sum = { whole: 0, compared: 0, diverged: 0, blind: 0, examples: [] };
  const runs = Number(values.runs);
  for (let run = 0; run < runs; ++run) {
    const dir = join(root, `${name}-${run}`);
    mkdirSync(dir);
    const result = once(dir, program, args);
    sum.compared += result.matched + result.diverged;
    sum.diverged += result.diverged;
    sum.blind += result.blind;
    const whole = result.divergences.length === 0;
    if (whole) sum.whole += 1;
    else sum.examples.push([dir, result.divergences[0]]);
    if (whole && !values.keep) rmSync(dir, { recursive: true });
  }
  console.log(
    `${name.padEnd(8)} ${String(sum.whole).padStart(3)} of ${runs} runs matched in full; ` +
      `${sum.compared} calls compared, ${sum.diverged} diverged, ${sum.blind} blind`,
  );
  for (const [dir, first] of sum.examples.slice(0, 3)) {
    const { line, pid, call, expected, actual } = first;
    console.log(`         ${dir}: line ${line}, pid ${pid}: ${call.slice(0, 100)}`);
    console.log(`           recorded ${expected}, kernel ${actual}`);
  }
  return sum.whole === runs;
}

if (values.help) {
  console.log(USAGE);
} else if (!has('strace', ['-o', '/dev/null', 'true'])) {
  console.log('skipped: strace is not there, or may not trace here (Debian: apt install strace)');
} else {
  await buildAll();
  const root = mkdtempSync(join(tmpdir(), 'bulkhead-live-'));
  let whole = true;
  for (const [name, program, args] of PROGRAMS) {
    if (values.only && values.only !== name) continue;
    if (!has(program, ['--version']) && name !== 'shell')
      console.log(`${name}: skipped, no ${program}`);
    else whole = measure(root, name, program, args) && whole;
  }
  if (whole && !values.keep) rmSync(root, { recursive: true });
  else console.log(`logs: ${root}`);
  process.exitCode = whole ? 0 : 1;
}
