// examples/c-host: the shipped module turned into C by wasm2c and driven from C.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';

const tools = ['wasm2c', 'make', 'cc'].filter((tool) => spawnSync(tool, ['--version']).error);
if (!existsSync('/usr/share/wabt/wasm2c')) tools.push('/usr/share/wabt/wasm2c');
const why = tools.length ? ` (skipped: ${tools.join(', ')} missing; Debian package wabt)` : '';

test.skipIf(why !== '')(`a C program hosts the kernel${why}`, { timeout: 300_000 }, () => {
  const out = mkdtempSync(join(tmpdir(), 'bulkhead-c-'));
  try {
    const args = ['-s', '-C', 'examples/c-host', `OUT=${out}`, 'CFLAGS=-O1', 'run'];
    const done = spawnSync('make', args, { encoding: 'utf8' });
    expect(done.stderr).toBe('');
    expect(done.stdout).toMatch(/fork\(\): born in the box/);
    expect(done.stdout.trim().split('\n').at(-1)).toBe('the kernel agrees with every line');
    expect(done.status).toBe(0);
  } finally {
    rmSync(out, { recursive: true, force: true });
  }
});
