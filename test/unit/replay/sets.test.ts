// Protects: what a set without times costs. Most of its tasks are not there yet, or not any more,
// at any moment: looking at them again and again would cost the square of their number.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, vi } from 'vitest';
import { replayTrace } from '../../../host/replay.ts';
import { openSource } from '../../../host/trace/source.ts';
import { FileCursor } from '../../../host/trace/strace.ts';

const STATUS = '[{WIFEXITED(s) && WEXITSTATUS(s) == 0}]';
const FORK = 'clone(child_stack=NULL, flags=SIGCHLD)';

/** The files of a shell that runs `children` programs, one after the other. */
function writeSet(folder: string, children: number): number {
  mkdirSync(folder);
  const own = ['execve("/bin/x", ["x"], 0x7ffd00000000 /* 5 vars */) = 0'];
  for (let child = 101; child <= 100 + children; ++child) {
    const info = `si_signo=SIGCHLD, si_code=CLD_EXITED, si_pid=${child}, si_uid=0, si_status=0`;
    own.push(`${FORK} = ${child}`, `wait4(-1, ${STATUS}, 0, NULL) = ${child}`);
    own.push(`--- SIGCHLD {${info}} ---`);
    const lines = [`getpid() = ${child}`, 'exit_group(0) = ?', '+++ exited with 0 +++'];
    writeFileSync(join(folder, `log.${child}`), `${lines.join('\n')}\n`);
  }
  own.push('exit_group(0) = ?', '+++ exited with 0 +++');
  writeFileSync(join(folder, 'log.100'), `${own.join('\n')}\n`);
  return own.length + 3 * children;
}

/** How often a line is looked at, on average. */
async function looks(folder: string, children: number): Promise<number> {
  const lines = writeSet(folder, children);
  const source = await openSource([folder]);
  const peek = vi.spyOn(FileCursor.prototype, 'peek');
  const { result } = await replayTrace(source, folder);
  const count = peek.mock.calls.length;
  peek.mockRestore();
  source.close();
  expect([result.lines.total, result.diverged, result.adopted]).toEqual([lines, 0, 1]);
  return count / lines;
}

it('is in proportion to its lines, however many tasks it has', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'set-'));
  try {
    const few = await looks(join(folder, 'few'), 20);
    const many = await looks(join(folder, 'many'), 400);
    expect(many).toBeLessThan(1.5 * few);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
