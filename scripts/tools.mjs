// Programs of the machine that some tests compare with. Where they are missing those tests are
// skipped; a CI machine that lets us (root, Debian) gets them from its package mirror first.
import { spawnSync } from 'node:child_process';

/** Debian package of each program. */
const PACKAGES = {
  ausearch: 'auditd',
  strace: 'strace',
  cc: 'gcc',
  wasm2c: 'wabt',
  valgrind: 'valgrind',
  gdbserver: 'gdbserver',
};
const PATIENCE_MS = 120_000;

function has(command) {
  return spawnSync('sh', ['-c', `command -v ${command}`], { stdio: 'ignore' }).status === 0;
}

function apt(...args) {
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  const options = { stdio: ['ignore', 'ignore', 'inherit'], env, timeout: PATIENCE_MS };
  return spawnSync('apt-get', ['-qq', ...args], options).status === 0;
}

/** Installs what is missing, on CI machines. Never fails: tests say what they miss. */
export function installTools() {
  const missing = Object.keys(PACKAGES).filter((command) => !has(command));
  if (missing.length === 0) return;
  const may = process.env.CI && process.getuid?.() === 0 && has('apt-get');
  if (may) {
    const packages = missing.map((command) => PACKAGES[command]);
    console.error(`installing ${packages.join(' ')} ...`);
    apt('update');
    // one by one: a package that the mirror lacks keeps no other away
    for (const name of packages) apt('install', '-y', '--no-install-recommends', name);
  }
  const left = missing.filter((command) => !has(command));
  if (left.length === 0) return;
  const names = left.map((command) => `${command} (Debian package ${PACKAGES[command]})`);
  console.error(`not on this machine, tests that need it are skipped: ${names.join(', ')}`);
}
