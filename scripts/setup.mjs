// What every command needs first: a Node that is new enough, and the packages of the lock file.
// Only Node's own modules: this runs before anything is installed.
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

export const projectRoot = fileURLToPath(new URL('..', import.meta.url));
const NODE_MAJOR_MIN = 20;

/** Runs a command in the project; its failure ends this process with its exit status. */
export function run(command, args, options = {}) {
  const done = spawnSync(command, args, { cwd: projectRoot, stdio: 'inherit', ...options });
  if (done.error) throw done.error;
  if (done.status !== 0) process.exit(done.status ?? 1);
  return done;
}

/** Runs a Node script beside others; resolves with its output, rejects when it fails. */
export function runAside(args) {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, args, { cwd: projectRoot });
    let output = '';
    child.stdout.on('data', (chunk) => (output += chunk));
    child.stderr.on('data', (chunk) => (output += chunk));
    child.on('error', reject);
    child.on('close', (status) => {
      if (status === 0) resolve(output);
      else reject(new Error(`node ${args.join(' ')} failed (${status})\n${output}`));
    });
  });
}

function packagesOf(lockFile) {
  return JSON.parse(readFileSync(lockFile, 'utf8')).packages;
}

/** True when node_modules holds what the lock file asks for (npm keeps its own list there). */
function isInstalled() {
  const listed = 'node_modules/.package-lock.json';
  if (!existsSync(listed)) return false;
  const have = packagesOf(listed);
  return Object.entries(packagesOf('package-lock.json')).every(([path, wanted]) => {
    if (path === '') return true;
    // packages for other platforms are optional and stay away
    if (!have[path]) return wanted.optional === true;
    return have[path].version === wanted.version && existsSync(`${path}/package.json`);
  });
}

/** Checks Node's version, goes to the project's folder and installs what is missing there. */
export function setup() {
  const major = Number(process.versions.node.split('.')[0]);
  if (major < NODE_MAJOR_MIN) {
    console.error(`Bulkhead needs Node ${NODE_MAJOR_MIN} or newer; this is ${process.version}.`);
    process.exit(2);
  }
  process.chdir(projectRoot);
  if (isInstalled()) return;
  console.error('installing the packages of package-lock.json ...');
  // production settings of the environment would leave the compilers out
  const args = ['ci', '--include=dev', '--no-audit', '--no-fund', '--loglevel=error'];
  const npm = process.env.npm_execpath;
  if (npm?.endsWith('.js')) run(process.execPath, [npm, ...args], { stdio: ['ignore', 2, 2] });
  else run('npm', args, { stdio: ['ignore', 2, 2], shell: process.platform === 'win32' });
}
