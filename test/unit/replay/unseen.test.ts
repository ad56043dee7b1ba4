// Protects: what a log does not show but by its consequences. Each log is one that a recorder wrote
// in this form, cut down to the lines that matter.
import { expect, it } from 'vitest';
import { replayLog } from './log.ts';

const FORK = 'clone(child_stack=NULL, flags=SIGCHLD)';
const THREAD = 'CLONE_VM|CLONE_FS|CLONE_FILES|CLONE_SIGHAND|CLONE_THREAD';
const NOHAND = '? ERESTARTNOHAND (To be restarted if no handler)';
const HANDLER = '{sa_handler=0x5000, sa_mask=[], sa_flags=SA_RESTORER, sa_restorer=0x6000}';
const KILLER = 'si_code=SI_USER, si_pid=100, si_uid=0';

function child(pid: number, code: string, status: string): string {
  const info = `si_signo=SIGCHLD, si_code=${code}, si_pid=${pid}, si_uid=0`;
  return `--- SIGCHLD {${info}, si_status=${status}, si_utime=0, si_stime=0} ---`;
}

it('a number that is passed over was open before, if nobody made it', async () => {
  const { wrong, result } = await replayLog(`
    openat(AT_FDCWD, "/a", O_RDONLY) = 3
    pipe2([4, 6], 0) = 0
    mmap(NULL, 1, PROT_READ, MAP_PRIVATE, 3, 0) = 0x7f0000000000
    close(3) = 0
    dup(6) = 3
    dup(6) = 7
  `);
  expect(wrong).toEqual([]);
  expect(result.reasons.adopted['descriptor that was open before']).toBe(1);
});

it('a number that somebody made before is not taken for one', async () => {
  const { wrong } = await replayLog(`
    openat(AT_FDCWD, "/a", O_RDONLY) = 3
    close(3) = 0
    mmap(NULL, 1, PROT_READ, MAP_PRIVATE, 3, 0) = 0x7f0000000000
    openat(AT_FDCWD, "/a", O_RDONLY) = 4
  `);
  expect(wrong).toEqual(['5: 4 | 3']);
});

it('an exit that had begun is not overtaken by a SIGKILL', async () => {
  const { wrong } = await replayLog(`
    ${FORK} = 101
    101 exit_group(3) = ?
    kill(101, SIGKILL) = 0
    wait4(101, 0x7ffd00001000, WNOHANG, NULL) = 0
    101 +++ exited with 3 +++
    wait4(101, [{WIFEXITED(s) && WEXITSTATUS(s) == 3}], 0, NULL) = 101
    ${child(101, 'CLD_EXITED', '3')}
  `);
  expect(wrong).toEqual([]);
});

it('a SIGKILL that was there first is not overtaken by an exit', async () => {
  const { wrong } = await replayLog(`
    ${FORK} = 101
    101 exit_group(3) = ?
    kill(101, SIGKILL) = 0
    101 +++ killed by SIGKILL +++
    wait4(101, [{WIFSIGNALED(s) && WTERMSIG(s) == SIGKILL}], 0, NULL) = 101
    ${child(101, 'CLD_KILLED', 'SIGKILL')}
  `);
  expect(wrong).toEqual([]);
});

it('a stop that a tracer saw and a continue dropped is not told', async () => {
  const { wrong } = await replayLog(`
    ${FORK} = 101
    kill(101, SIGSTOP) = 0
    101 --- SIGSTOP {si_signo=SIGSTOP, ${KILLER}} ---
    kill(101, SIGCONT) = 0
    101 --- SIGCONT {si_signo=SIGCONT, ${KILLER}} ---
    kill(101, SIGSTOP) = 0
    101 --- SIGSTOP {si_signo=SIGSTOP, ${KILLER}} ---
    101 --- stopped by SIGSTOP ---
    ${child(101, 'CLD_STOPPED', 'SIGSTOP')}
  `);
  expect(wrong).toEqual([]);
});

it('a stop signal was taken before the continue above its line', async () => {
  const { wrong, result } = await replayLog(`
    ${FORK} = 101
    kill(101, SIGSTOP) = 0
    kill(101, SIGCONT) = 0
    101 --- SIGSTOP {si_signo=SIGSTOP, ${KILLER}} ---
    101 --- SIGCONT {si_signo=SIGCONT, ${KILLER}} ---
  `);
  expect(wrong).toEqual([]);
  expect(result.signals).toEqual({ SIGSTOP: 1, SIGCONT: 1 });
});

it('a continue that was not told is seen from the death behind it', async () => {
  const { wrong } = await replayLog(`
    ${FORK} = 101
    kill(101, SIGSTOP) = 0
    101 --- SIGSTOP {si_signo=SIGSTOP, ${KILLER}} ---
    101 --- stopped by SIGSTOP ---
    kill(101, SIGCONT) = 0
    ${child(101, 'CLD_STOPPED', 'SIGSTOP')}
    101 --- SIGCONT {si_signo=SIGCONT, ${KILLER}} ---
    kill(101, SIGKILL) = 0
    101 +++ killed by SIGKILL +++
    ${child(101, 'CLD_KILLED', 'SIGKILL')}
  `);
  expect(wrong).toEqual([]);
});

it('a directory of /proc stands for its process where a signal is sent', async () => {
  const { wrong } = await replayLog(`
    ${FORK} = 101
    openat(AT_FDCWD, "/proc/101", O_RDONLY|O_DIRECTORY) = 3
    mmap(NULL, 1, PROT_READ, MAP_PRIVATE, 3, 0) = -1 ENODEV (No such device)
    pidfd_send_signal(3, SIGTERM, NULL, 0) = 0
    pidfd_getfd(3, 0, 0) = -1 EBADF (Bad file descriptor)
    101 --- SIGTERM {si_signo=SIGTERM, ${KILLER}} ---
    101 +++ killed by SIGTERM +++
    wait4(101, [{WIFSIGNALED(s) && WTERMSIG(s) == SIGTERM}], 0, NULL) = 101
    pidfd_send_signal(3, 0, NULL, 0) = -1 ESRCH (No such process)
  `);
  expect(wrong).toEqual([]);
});

it('a call that a signal from outside ends is over', async () => {
  const { wrong } = await replayLog(`
    pause() = ${NOHAND}
    --- SIGTERM {si_signo=SIGTERM, si_code=SI_USER, si_pid=77, si_uid=0} ---
    +++ killed by SIGTERM +++
  `);
  expect(wrong).toEqual([]);
});

it('a wait for signals gets the one of the sender that it shows', async () => {
  const sent = 'si_signo=SIGRT_2, si_code=SI_QUEUE, si_pid=102, si_uid=0, si_int=7, si_ptr=0x7';
  const other = sent.replace('RT_2', 'RT_3').replace('102', '100');
  const { wrong } = await replayLog(`
    ${FORK} = 101
    ${FORK} = 102
    101 rt_sigprocmask(SIG_SETMASK, [RT_2 RT_3], [], 8) = 0
    101 rt_sigtimedwait([RT_2 RT_3],  <unfinished ...>
    rt_sigqueueinfo(101, SIGRT_3, {${other}} <unfinished ...>
    102 rt_sigqueueinfo(101, SIGRT_2, {${sent}} <unfinished ...>
    101 <... rt_sigtimedwait resumed>{${sent}}, NULL, 8) = 34 (SIGRT_2)
    <... rt_sigqueueinfo resumed>) = 0
    102 <... rt_sigqueueinfo resumed>) = 0
    101 rt_sigpending([RT_3], 8) = 0
  `);
  expect(wrong).toEqual([]);
});

it('of threads that close one descriptor the one that could comes first', async () => {
  const { wrong } = await replayLog(`
    openat(AT_FDCWD, "/a", O_RDONLY) = 3
    clone(child_stack=0x7f0000001000, flags=${THREAD}) = 101
    mmap(NULL, 1, PROT_READ, MAP_PRIVATE, 3, 0) = 0x7f0000000000
    101 close(3 <unfinished ...>
    close(3 <unfinished ...>
    101 <... close resumed>) = -1 EBADF (Bad file descriptor)
    <... close resumed>) = 0
  `);
  expect(wrong).toEqual([]);
});

it('a call that a filter stopped has not run', async () => {
  const { wrong, result } = await replayLog(`
    ${FORK} = 101
    101 prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, {len=1, filter=0x7ffc1f43ab98}) = 0
    101 exit_group(0) = 231
    101 +++ killed by SIGSYS +++
    wait4(101, [{WIFSIGNALED(s) && WTERMSIG(s) == SIGSYS}], 0, NULL) = 101
  `);
  expect(wrong).toEqual([]);
  expect(result.reasons.blind['exit_group: a filter kept it from running']).toBe(1);
});

it('a filter may kill one thread', async () => {
  const { wrong } = await replayLog(`
    ${FORK} = 101
    101 prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, {len=1, filter=0x7ffc1f43ab98}) = 0
    101 clone(child_stack=0x7f0000001000, flags=${THREAD}) = 102
    102 getpid() = 39
    102 +++ killed by SIGSYS +++
    101 exit_group(42) = ?
    101 +++ exited with 42 +++
    wait4(101, [{WIFEXITED(s) && WEXITSTATUS(s) == 42}], 0, NULL) = 101
  `);
  expect(wrong).toEqual([]);
});

it("a sibling's exit_group leaves its number in calls that it kills", async () => {
  const { wrong } = await replayLog(`
    clone(child_stack=0x7f0000001000, flags=${THREAD}) = 101
    101 rt_sigprocmask(SIG_BLOCK, [USR1],  <unfinished ...>
    exit_group(0 <unfinished ...>
    101 <... rt_sigprocmask resumed>NULL, 8) = 231
    <... exit_group resumed>) = ?
    101 +++ exited with 0 +++
    +++ exited with 0 +++
  `);
  expect(wrong).toEqual([]);
});

it('of two that wait for one event it ends the one that the log shows to end first', async () => {
  const { wrong } = await replayLog(`
    pipe2([3, 4], 0) = 0
    clone(child_stack=0x7f0000001000, flags=${THREAD}) = 101
    mmap(NULL, 1, PROT_READ, MAP_PRIVATE, 3, 0) = -1 ENODEV (No such device)
    clone(child_stack=0x7f0000002000, flags=${THREAD}) = 102
    101 read(3,  <unfinished ...>
    read(3,  <unfinished ...>
    102 write(4, "a", 1) = 1
    <... read resumed>"a", 4) = 1
    102 write(4, "b", 1) = 1
    101 <... read resumed>"b", 4) = 1
  `);
  expect(wrong).toEqual([]);
});

it('a write that went in in part had begun while there was room', async () => {
  const { wrong } = await replayLog(`
    pipe2([3, 4], 0) = 0
    rt_sigaction(SIGPIPE, ${HANDLER}, NULL, 8) = 0
    mmap(NULL, 1, PROT_READ, MAP_PRIVATE, 3, 0) = -1 ENODEV (No such device)
    fcntl(4, F_SETPIPE_SZ, 4096) = 4096
    ${FORK} = 101
    close(3) = 0
    write(4, "a"..., 8192 <unfinished ...>
    101 exit_group(0) = ?
    101 +++ exited with 0 +++
    <... write resumed>) = 4096
    --- SIGPIPE {si_signo=SIGPIPE, ${KILLER}} ---
  `);
  expect(wrong).toEqual([]);
});

/** strace -e signal=none: a death that nobody asks to be told of, and one that a handler is. */
it('signals that a log leaves out are taken before the next call', async () => {
  const { wrong, adopted } = await replayLog(`
    clone(child_stack=NULL, flags=SIGCHLD) = 101
    wait4(-1,  <unfinished ...>
    101 exit_group(0) = ?
    101 +++ exited with 0 +++
    <... wait4 resumed>[{WIFEXITED(s) && WEXITSTATUS(s) == 0}], 0, NULL) = 101
    clone(child_stack=NULL, flags=SIGCHLD) = 102
    rt_sigaction(SIGUSR1, ${HANDLER}, NULL, 8) = 0
    102 kill(100, SIGUSR1) = 0
    rt_sigprocmask(SIG_BLOCK, NULL, [USR1], 8) = 0
    rt_sigreturn({mask=[]}) = 0
    rt_sigprocmask(SIG_BLOCK, NULL, [], 8) = 0
    clone(child_stack=NULL, flags=SIGCHLD) = 103
  `);
  expect(wrong).toEqual([]);
  expect(adopted['SIGCHLD, which the log does not show']).toBe(1);
  expect(adopted['SIGUSR1, which the log does not show']).toBe(1);
});

it('the return of a handler tells nothing of a call that a hidden signal ended', async () => {
  const { wrong, result } = await replayLog(`
    rt_sigaction(SIGALRM, ${HANDLER}, NULL, 8) = 0
    pause() = ? ERESTARTNOHAND (To be restarted if no handler)
    rt_sigreturn({mask=[]}) = -1 EINTR (Interrupted system call)
  `);
  expect(wrong).toEqual([]);
  expect(result.byCall.rt_sigreturn).toMatchObject({ calls: 1, predicted: 0 });
});

it('a number that cannot be free yet is no new task, and no fault', async () => {
  // the init of a pid namespace ends after everybody in it
  const { adopted } = await replayLog(`
    clone(child_stack=NULL, flags=CLONE_NEWPID|SIGCHLD) = 101
    101 ${FORK} = 2 /* 102 in strace's PID NS */
    102 getpid() = 2
    101 exit_group(0) = ?
    101 +++ exited with 0 +++
    101 getpid() = 101
  `);
  expect(adopted['number that another task bears in the kernel']).toBe(1);
});
