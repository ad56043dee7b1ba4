// Protects: who a task was before its log is learned from the first call that shows it, and is then
// compared.
import { expect, it } from 'vitest';
import { replayLog } from './log.ts';

const USER = 'user from before the log';
const CAPS = 'capabilities from before the log';

it('learns the ids of an ordinary user once', async () => {
  const { wrong, adopted } = await replayLog(`
    geteuid() = 1000
    getuid() = 1000
    getgid() = 100
    getresgid([100], [100], [100]) = 0
    setuid(0) = -1 EPERM (Operation not permitted)
    setuid(1000) = 0
    clone(child_stack=NULL, flags=SIGCHLD) = 101
    101 getuid() = 1000
    101 setresuid(-1, 5, -1) = -1 EPERM (Operation not permitted)
    101 exit_group(0) = ?
    101 +++ exited with 0 +++
    --- SIGCHLD {si_signo=SIGCHLD, si_code=CLD_EXITED, si_pid=101, si_uid=1000, si_status=0} ---
    getuid() = 1001
  `);
  expect(wrong).toEqual(['14: 1001 | 1000']);
  expect(adopted[USER]).toBe(2);
});

it('learns the sender of a signal from the signal', async () => {
  const { wrong, adopted } = await replayLog(`
    clone(child_stack=NULL, flags=SIGCHLD) = 101
    101 exit_group(0) = ?
    101 +++ exited with 0 +++
    --- SIGCHLD {si_signo=SIGCHLD, si_code=CLD_EXITED, si_pid=101, si_uid=7, si_status=0} ---
    wait4(-1, [{WIFEXITED(s) && WEXITSTATUS(s) == 0}], 0, NULL) = 101
  `);
  expect(wrong).toEqual([]);
  expect(adopted[USER]).toBe(1);
});

it('takes a refusal of what root may as a lack of privilege', async () => {
  const { wrong } = await replayLog(`
    unshare(CLONE_NEWNS) = -1 EPERM (Operation not permitted)
    unshare(CLONE_NEWUTS) = -1 EPERM (Operation not permitted)
    setgroups(0, NULL) = -1 EPERM (Operation not permitted)
  `);
  expect(wrong).toEqual([]);
});

it('learns capability sets, and keeps them through exec by the bounding set', async () => {
  const all = '1<<CAP_CHOWN|1<<CAP_SETUID|1<<CAP_SYS_ADMIN';
  const v3 = '{version=_LINUX_CAPABILITY_VERSION_3, pid=0}';
  const sets = (set: string): string => `{effective=${set}, permitted=${set}, inheritable=0}`;
  const { wrong, adopted } = await replayLog(`
    capget(${v3}, NULL) = 0
    capget(${v3}, ${sets(all)}) = 0
    execve("/bin/y", ["y"], NULL) = 0
    capget(${v3}, ${sets(all)}) = 0
    prctl(PR_CAPBSET_READ, CAP_CHOWN) = 1
    prctl(PR_CAPBSET_READ, CAP_KILL) = 0
    kill(1, 0) = 0
    setresuid(5, 5, 5) = 0
    capget(${v3}, ${sets('0')}) = 0
    capset(${v3}, ${sets('1<<CAP_CHOWN')}) = -1 EPERM (Operation not permitted)
    prctl(PR_SET_SECUREBITS, SECBIT_NOROOT) = -1 EPERM (Operation not permitted)
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, CAP_CHOWN, 0, 0) = 0
  `);
  expect(wrong).toEqual([]);
  expect(adopted[CAPS]).toBe(1);
});

it('learns the groups', async () => {
  const { wrong, adopted } = await replayLog(`
    getgroups(0, NULL) = 2
    getgroups(2, [24, 27]) = 2
    getgroups(65536, [24, 27]) = 2
    setgroups(1, [5]) = 0
    getgroups(65536, [24, 27]) = 2
  `);
  expect(wrong).toEqual(['6: 2 | 1']);
  expect(adopted['groups from before the log']).toBe(2);
});

it('expects no identity of a task after it ran a file that may have set-id bits', async () => {
  const { wrong } = await replayLog(`
    getuid() = 1000
    geteuid() = 1000
    execve("/usr/bin/sudo", ["sudo"], NULL) = 0
    geteuid() = 0
    getuid() = 1000
    setuid(0) = 0
  `);
  expect(wrong).toEqual([]);
});
