// Protects: the order in which the files of a set without times are read together, where one line
// needs another file's, and what that costs. Most of its tasks are not there yet, or not any more,
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

/** Replays files by the numbers of their tasks. Return: each difference, `pid line: ...`. */
async function replaySet(files: Record<number, string>): Promise<string[]> {
  const folder = mkdtempSync(join(tmpdir(), 'set-'));
  try {
    for (const [pid, text] of Object.entries(files)) {
      const lines = text
        .trim()
        .split('\n')
        .map((line) => line.trim());
      writeFileSync(join(folder, `log.${pid}`), `${lines.join('\n')}\n`);
    }
    const source = await openSource([folder]);
    const { result, kernel } = await replayTrace(source, folder);
    source.close();
    expect(kernel.check()).toEqual([]);
    return result.divergences.map((d) => `${d.pid} ${d.line}: ${d.expected} | ${d.actual}`);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

const EXEC = 'execve("/bin/x", ["x"], 0x7ffd00000000 /* 5 vars */) = 0';
const THREAD = 'CLONE_VM|CLONE_FS|CLONE_FILES|CLONE_SIGHAND|CLONE_THREAD';

it('a process is moved to a group before it executes a program, or is not any more', async () => {
  const wrong = await replaySet({
    100: `${EXEC}
      ${FORK} = 101
      setpgid(101, 101) = 0
      ${FORK} = 102
      setpgid(102, 102) = -1 EACCES (Permission denied)
      pause() = ?`,
    101: `${EXEC}
      getpgrp() = 101`,
    102: `getpid() = 102
      ${EXEC}
      getpgrp() = 100`,
  });
  // the group that the first one was in is from before the log
  expect(wrong).toEqual([]);
});

it('a group is signalled when all who show it are there', async () => {
  const taken = '--- SIGTERM {si_signo=SIGTERM, si_code=SI_USER, si_pid=100, si_uid=0} ---';
  const wrong = await replaySet({
    100: `${EXEC}
      ${FORK} = 101
      kill(-101, SIGTERM) = 0
      pause() = ?`,
    101: `setpgid(0, 0) = 0
      ${FORK} = 102
      pause() = ? ERESTARTNOHAND (To be restarted if no handler)
      ${taken}
      +++ killed by SIGTERM +++`,
    102: `pause() = ? ERESTARTNOHAND (To be restarted if no handler)
      ${taken}
      +++ killed by SIGTERM +++`,
  });
  expect(wrong).toEqual([]);
});

it('a leader goes on as the thread that executed a program', async () => {
  const wrong = await replaySet({
    100: `${EXEC}
      clone(child_stack=0x7f0000001000, flags=${THREAD}) = 101
      pause() = ?
      +++ superseded by execve in pid 101 +++
      <... execve resumed>) = 0
      gettid() = 100
      exit_group(6) = ?
      +++ exited with 6 +++`,
    101: `gettid() = 101
      access("/a", R_OK) = -1 ENOENT (No such file or directory)
      getpid() = 100
      execve("/bin/y", ["y"], 0x7ffd00000000 /* 5 vars */ <pid changed to 100 ...>`,
  });
  expect(wrong).toEqual([]);
});

it('a filter that ends its task does so before the end is waited for', async () => {
  const wrong = await replaySet({
    100: `${EXEC}
      ${FORK} = 101
      wait4(-1, [{WIFSIGNALED(s) && WTERMSIG(s) == SIGKILL}], 0, NULL) = 101`,
    101: `prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT) = 0
      getpid() = ?
      +++ killed by SIGKILL +++`,
  });
  expect(wrong).toEqual([]);
});

it('children of inner namespaces have the next numbers, never those of their elders', async () => {
  const wrong = await replaySet({
    100: `${EXEC}
      clone(child_stack=NULL, flags=CLONE_NEWPID|SIGCHLD) = 101
      wait4(101, [{WIFSIGNALED(s) && WTERMSIG(s) == SIGHUP}], 0, NULL) = 101`,
    101: `getpid() = 1
      ${FORK} = 2
      wait4(-1, ${STATUS}, 0, NULL) = 2
      reboot(LINUX_REBOOT_MAGIC1, LINUX_REBOOT_MAGIC2, LINUX_REBOOT_CMD_RESTART <unfinished ...>
      +++ killed by SIGHUP +++`,
    102: `getpid() = 2
      exit_group(0) = ?
      +++ exited with 0 +++`,
  });
  expect(wrong).toEqual([]);
});
