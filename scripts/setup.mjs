// What every command needs first: a Node that is new enough, and the packages of the lock file.
// Only Node's own modules: this runs before anything is installed.
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

export const projectRoot = fileURLToPath(new URL('..', import.meta.url));
const NODE_MAJOR_MIN = 20;
const STAMP = 'node_modules/.bulkhead-lock';

/** Runs a command in the project; its failure ends this process with its exit status. */
export function run(command, args, options = {}) {
  const done = spawnSync(command, args, { cwd: projectRoot, stdio: 'inherit', ...options });
  if (done.error) throw done.error;
  if (done.status !== 0) process.exit(done.status ?? 1);
  return done;
}

/** Installs the locked packages unless that was done for this lock file. */
export function setup() {
  const major = Number(process.versions.node.split('.')[0]);
  if (major < NODE_MAJOR_MIN) {
    console.error(`Bulkhead needs Node ${NODE_MAJOR_MIN} or newer; this is ${process.version}.`);
    process.exit(2);
  }
  process.chdir(projectRoot);
  const lock = readFileSync('package-lock.json', 'utf8');
  if (existsSync(STAMP) && readFileSync(STAMP, 'utf8') === lock) return;
  console.error('installing the packages of package-lock.json ...');
  const npm = process.env.npm_execpath;
  const args = ['ci', '--no-audit', '--no-fund', '--loglevel=error'];
  if (npm?.endsWith('.js')) run(process.execPath, [npm, ...args], { stdio: ['ignore', 2, 2] });
  else run('npm', args, { stdio: ['ignore', 2, 2] });
  writeFileSync(STAMP, lock);
}
