// Protects: a kernel without containers, built or booted so: every call of theirs is ENOSYS, all
// the rest is as with them.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { tmpdir } from 'node:os';
import { describe, expect, it } from 'vitest';
import * as E from '../../../assembly/uapi/errno.ts';
import * as OP from '../../../assembly/uapi/op.ts';
import { createKernel, type Kernel } from '../../../host/index.ts';
import { opTable, syscallTable } from '../../../host/syscall-abi.ts';
import { fine, Machine, SLEEPS, USER, words } from './machine.ts';

/** A kernel that is built without CONFIG_CONTAINERS. */
async function build(): Promise<Kernel> {
  const folder = mkdtempSync(join(tmpdir(), 'bulkhead-'));
  try {
    const out = join(folder, 'kernel.wasm');
    const { entries, options, targets } = JSON.parse(readFileSync('asconfig.json', 'utf8'));
    const use = [...options.use, ...targets.debug.use, 'CONFIG_CONTAINERS=0'];
    const rest = ['--runtime', 'stub', '--noAssert', '--initialMemory', '32', '--outFile', out];
    const flags = [...use.flatMap((one: string) => ['--use', one]), '--disableWarning', ...rest];
    execFileSync(
      process.execPath,
      [
        'node_modules/assemblyscript/bin/asc.js',
        ...entries,
        '--config',
        'none',
        '--transform',
        './host/tools/layout-transform.mjs',
        ...flags,
      ],
      { env: { ...process.env, BULKHEAD_NO_LAYOUT: '1' } },
    );
    return await createKernel({ target: 'debug', wasm: readFileSync(out) });
  } finally {
    rmSync(folder, { recursive: true });
  }
}

const KERNELS: [string, () => Promise<Kernel>][] = [
  ['booted', () => createKernel({ target: 'debug', boot: { containers: false } })],
  ['built', build],
];

describe.each(KERNELS)('%s without containers', (_how, make) => {
  // spec: container_create ENOSYS; fork_into_container ENOSYS; container_wait ENOSYS
  // spec: container_kill ENOSYS; container_open ENOSYS; container_supervise ENOSYS
  // spec: container_devices ENOSYS; container_add_key ENOSYS; container_socket ENOSYS
  it('answers ENOSYS to all of their calls', async () => {
    const m = new Machine(await make());
    const calls = syscallTable('howells-2017').rows.filter((row) => row.nr >= 1000);
    const table = m.k.registerTable(opTable(syscallTable('howells-2017')));
    expect(calls.length).toBeGreaterThan(8);
    for (const { nr } of calls) {
      m.k.frame.begin(1, table, nr).setArg(0, USER).window(USER, 64, 'r');
      m.k.trap();
      expect(m.k.frame.result, `nr ${nr}`).toBe(-E.ENOSYS);
    }
    expect(m.k.counts().containers).toBe(1);
  });

  it('runs everything else', async () => {
    const m = new Machine(await make());
    const child = m.fork(1);
    expect(m.call(child, OP.OP_GETPPID)).toBe(1);
    expect(fine(m.call(1, OP.OP_PIPE2, [USER, 0], words(0, 0)))).toBe(0);
    expect(m.wait(1, child)).toBe(SLEEPS);
    m.exit(child, 3);
    expect([m.resume(1), m.word(0)]).toEqual([child, 3 << 8]);
    expect(m.k.check()).toEqual([]);
  });
});
