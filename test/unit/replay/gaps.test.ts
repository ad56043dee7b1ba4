// Protects: logs of chosen calls. What calls did that are not shown is seen by its consequences,
// and adopted; where the log has such calls, a consequence without one is a difference.
import { expect, it } from 'vitest';
import { replayLog } from './log.ts';

const FORK = 'clone(child_stack=NULL, flags=SIGCHLD)';
const HANDLER = '{sa_handler=0x5000, sa_mask=[], sa_flags=SA_RESTORER, sa_restorer=0x6000}';
const DEFAULT = '{sa_handler=SIG_DFL, sa_mask=[], sa_flags=0}';
const THREAD = 'CLONE_VM|CLONE_FS|CLONE_FILES|CLONE_SIGHAND|CLONE_THREAD';

function child(pid: number, code: string, status: string | number): string {
  const info = `si_signo=SIGCHLD, si_code=${code}, si_pid=${pid}, si_uid=0`;
  return `--- SIGCHLD {${info}, si_status=${status}, si_utime=0, si_stime=0} ---`;
}

function user(name: string, pid: number): string {
  return `--- ${name} {si_signo=${name}, si_code=SI_USER, si_pid=${pid}, si_uid=0} ---`;
}

function exited(pid: number, status: number): string {
  return `wait4(-1, [{WIFEXITED(s) && WEXITSTATUS(s) == ${status}}], 0, NULL) = ${pid}`;
}

it('ends that nobody is shown to call for are as their lines say, of threads too', async () => {
  const { wrong, adopted } = await replayLog(`
    ${FORK} = 101
    101 clone(child_stack=0x7f0000001000, flags=${THREAD}) = 102
    102 +++ exited with 0 +++
    101 +++ exited with 3 +++
    ${exited(101, 3)}
    ${child(101, 'CLD_EXITED', 3)}
  `);
  expect(wrong).toEqual([]);
  expect(adopted['an end that no shown call asked for']).toBe(2);
});

it('an end without its call is a difference where the log shows such calls', async () => {
  const { wrong } = await replayLog(`
    ${FORK} = 101
    101 +++ exited with 3 +++
    exit_group(0) = ?
    +++ exited with 0 +++
  `);
  expect(wrong).toEqual(['3: exited with 3 +++ | alive, no end pending']);
});

it('signals that a task survives had an action, those that kill it had none', async () => {
  const { wrong, adopted } = await replayLog(`
    ${FORK} = 101
    101 kill(100, SIGUSR1) = 0
    ${user('SIGUSR1', 101)}
    kill(101, SIGUSR1) = 0
    101 ${user('SIGUSR1', 100)}
    101 +++ killed by SIGUSR1 +++
    wait4(-1, [{WIFSIGNALED(s) && WTERMSIG(s) == SIGUSR1}], 0, NULL) = 101
    ${child(101, 'CLD_KILLED', 'SIGUSR1')}
  `);
  expect(wrong).toEqual([]);
  expect(adopted['action of SIGUSR1, which is not shown']).toBe(1);
});

it('signals come from calls that are not shown, between tasks that are', async () => {
  const log = (calls: string): string => `
    rt_sigaction(SIGUSR1, ${HANDLER}, NULL, 8) = 0
    ${FORK} = 101
    ${calls}
    ${user('SIGUSR1', 101)}
    rt_sigreturn({mask=[]}) = 0
  `;
  expect((await replayLog(log(''))).wrong).toEqual([]);
  const { wrong } = await replayLog(log('101 kill(101, 0) = 0'));
  expect(wrong).toEqual(['5: SIGUSR1 from 101 | not pending']);
});

it('whoever was killed in a log that shows nobody to kill, somebody killed', async () => {
  const log = (calls: string): string => `
    ${FORK} = 101
    ${calls}
    101 +++ killed by SIGKILL +++
    wait4(-1, [{WIFSIGNALED(s) && WTERMSIG(s) == SIGKILL}], 0, NULL) = 101
    ${child(101, 'CLD_KILLED', 'SIGKILL')}
  `;
  const { wrong, adopted } = await replayLog(log(''));
  expect(wrong).toEqual([]);
  expect(adopted['an end that no shown call asked for']).toBe(1);
  expect((await replayLog(log('kill(101, 0) = 0'))).wrong).toHaveLength(1);
});

it('who is told of an end, or waits for it, is the parent where forks are not shown', async () => {
  const { wrong, result } = await replayLog(`
    101 getpid() = 101
    101 exit_group(4) = ?
    101 +++ exited with 4 +++
    ${exited(101, 4)}
    ${child(101, 'CLD_EXITED', 4)}
  `);
  expect(wrong).toEqual([]);
  expect(result.byCall.wait4?.matched).toBe(1);
});

it('actions are the default ones after an exec that is not shown', async () => {
  // the log of a task that was attached to begins without one
  const { wrong, adopted } = await replayLog(
    `
    rt_sigaction(SIGUSR1, ${HANDLER}, NULL, 8) = 0
    rt_sigaction(SIGUSR1, NULL, ${DEFAULT}, 8) = 0
    rt_sigaction(SIGUSR2, ${HANDLER}, NULL, 8) = 0
    ${FORK} = 101
    kill(101, SIGUSR2) = 0
    101 ${user('SIGUSR2', 100)}
    101 +++ killed by SIGUSR2 +++
    `,
    'getpid() = 100',
  );
  expect(wrong).toEqual([]);
  expect(adopted['an exec that the log does not show']).toBe(2);
});

it('groups that the log does not show are not told by their signals', async () => {
  const { wrong, adopted } = await replayLog(`
    ${FORK} = 101
    101 kill(0, SIGTERM) = 0
    101 ${user('SIGTERM', 101)}
    101 +++ killed by SIGTERM +++
    wait4(-1, [{WIFSIGNALED(s) && WTERMSIG(s) == SIGTERM}], 0, NULL) = 101
    ${child(101, 'CLD_KILLED', 'SIGTERM')}
    ${FORK} = 102
  `);
  expect(wrong).toEqual([]);
  expect(adopted['a group that the log does not show']).toBe(1);
});

it('a task that the recorder left, or whose end it hid, ends where it is waited for', async () => {
  const { wrong, adopted } = await replayLog(`
    ${FORK} = 101
    101 execve("/bin/y", ["y"], 0x7ffd00000000 /* 5 vars */ <detached ...>
    ${exited(101, 5)}
    ${child(101, 'CLD_EXITED', 5)}
    exit_group(0) = ?
    +++ exited with 0 +++
  `);
  expect(wrong).toEqual([]);
  expect(adopted['end of a task that is not recorded']).toBe(1);
});
