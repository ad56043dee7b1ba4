// Generated files are what their sources say now, and what the running kernel does.
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { layout } from '../../host/generated/layout.ts';
import { createKernel } from '../../host/index.ts';

interface LayoutJson {
  structs: Record<
    string,
    { size: number; fields: { name: string; offset: number; size: number; type: string }[] }
  >;
}

const json = JSON.parse(readFileSync('include/layout.json', 'utf8')) as LayoutJson;

test('generated files are fresh', () => {
  const done = spawnSync(process.execPath, ['scripts/gen.mjs', '--check'], { encoding: 'utf8' });
  expect(done.stderr).toBe('');
  expect(done.status).toBe(0);
});

test.each(['host/generated/layout.ts', 'include/bulkhead.h'])('%s says so in line 1', (path) => {
  expect(readFileSync(path, 'utf8').split('\n', 1)[0]).toMatch(/Generated .*Do not edit/);
});

test('the hot task record is one cache line', () => {
  expect(layout.task_struct.size).toBe(64);
});

describe.each(Object.entries(json.structs))('struct %s', (_name, struct) => {
  test('has fields that neither overlap nor reach beyond it', () => {
    let end = 0;
    for (const field of struct.fields) {
      expect(field.offset).toBeGreaterThanOrEqual(end);
      expect(field.offset % field.size).toBe(0);
      end = field.offset + field.size;
    }
    expect(struct.size).toBeGreaterThanOrEqual(end);
  });
});

test.each(['release', 'debug', 'smp'] as const)(
  'the %s kernel uses that layout',
  async (target) => {
    const kernel = await createKernel({ target });
    const word = (at: number) => new DataView(kernel.memory.buffer).getUint32(at, true);
    const root = kernel.exports.root_ptr();
    const init = word(root + layout.kernel_root.init_task);
    expect(word(init + layout.task_struct.pid)).toBe(1);
    expect(kernel.exports.task_ptr(1)).toBe(init);
    const cold = kernel.exports.cold_ptr(init);
    expect(word(cold + layout.task_cold.exit_signal)).toBe(17);
    const container = word(init + layout.task_struct.container);
    expect(container).toBe(word(root + layout.kernel_root.init_container));
  },
);

const cc = spawnSync('cc', ['--version']).status === 0;
test.skipIf(!cc)(`the C header compiles${cc ? '' : ' (skipped: no C compiler here)'}`, () => {
  const args = ['-std=c11', '-Wall', '-Werror', '-fsyntax-only', '-x', 'c', 'include/bulkhead.h'];
  const done = spawnSync('cc', args, { encoding: 'utf8' });
  expect(done.stderr).toBe('');
});
