// `bulkhead replay --each`: many traces, a kernel for each core, output in the arguments' order.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

const folder = mkdtempSync(join(tmpdir(), 'bulkhead-each-'));
const at = (name: string): string => join(folder, name);

function replay(...args: string[]) {
  return spawnSync(process.execPath, ['dist/cli.js', 'replay', ...args], { encoding: 'utf8' });
}

/** A shell with `n` children, all of which it waits for; `status`: what the last one says. */
function log(n: number, status = 0): string {
  const lines = ['1000 getpid() = 1000'];
  for (let i = 0; i < n; ++i) {
    const pid = 1001 + i;
    const code = i === n - 1 ? status : 0;
    lines.push(
      `1000 clone(child_stack=NULL, flags=SIGCHLD) = ${pid}`,
      `${pid} exit_group(0) = ?`,
      `${pid} +++ exited with 0 +++`,
      '1000 --- SIGCHLD {si_signo=SIGCHLD, si_code=CLD_EXITED, si_uid=0, si_status=0} ---',
      `1000 wait4(-1, [{WIFEXITED(s) && WEXITSTATUS(s) == ${code}}], 0, NULL) = ${pid}`,
    );
  }
  return `${lines.join('\n')}\n`;
}

beforeAll(() => {
  writeFileSync(at('long'), log(400));
  writeFileSync(at('short'), log(1));
  writeFileSync(at('wrong'), log(2, 9));
  writeFileSync(at('text'), 'no trace\n');
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe('--each', () => {
  test('one after the other and by themselves: the same JSON', () => {
    const names = ['long', 'short', 'wrong', 'short'].map(at);
    const parsed = (text: string): object => ({ ...JSON.parse(text), seconds: 0 });
    const together = replay('--jobs', '2', '--json', ...names);
    const single = names.map((name) => parsed(replay('--json', name).stdout));
    expect(together.stdout.trim().split('\n').map(parsed)).toEqual(single);
    expect(together.status).toBe(1);
    expect(together.stderr).toBe('');
  });

  test('summaries in the order of the arguments, then a total', () => {
    const done = replay('--each', at('long'), at('short'));
    const heads = done.stdout.match(/^\S+ {2}strace, .*$/gm);
    expect(heads?.map((head) => head.split(' ')[0])).toEqual([at('long'), at('short')]);
    expect(done.stdout.trim().split('\n').at(-1)).toMatch(
      /^2 traces, .*; 2 agree; .*, 0 diverged$/,
    );
    expect(done.status).toBe(0);
  });

  test.each<[string[], number]>([
    [['short', 'long'], 0],
    [['short', 'wrong'], 1],
    [['wrong', 'text', 'short'], 3],
    [['none', 'short'], 3],
    [['--no-strict', 'wrong', 'short'], 0],
  ])('%j gives exit status %i, the worst of all', (args, status) => {
    const done = replay('--each', ...args.map((arg) => (arg.startsWith('-') ? arg : at(arg))));
    expect(done.status).toBe(status);
    expect(done.stdout).toContain(`${at('short')}  strace`);
  });

  test('an unreadable file is told of, the others are replayed', () => {
    const done = replay('--jobs=2', at('none'), at('short'), at('text'));
    const told = done.stderr.trim().split('\n');
    expect(told[0]).toBe(`bulkhead: ${at('none')}: no such file`);
    expect(told[1]).toMatch(/^bulkhead: .*text: not a trace that is known/);
    expect(done.stdout).toContain('2 could not be replayed');
  });

  test.each<[string[], RegExp]>([
    [['--jobs', '0', 'x'], /--jobs takes a number above 0, not 0/],
    [['--jobs', 'all', 'x'], /--jobs takes a number above 0, not all/],
    [['--each', '-'], /--each reads files, not standard input/],
    [['--each', '--explain', '3', 'x'], /--explain is for one trace, not --each/],
    [['--each', '--audit', 'y', 'x'], /--audit is for one trace, not --each/],
  ])('%j is refused', (args, message) => {
    const done = replay(...args);
    expect(done.stderr).toMatch(message);
    expect(done.status).toBe(2);
  });
});
