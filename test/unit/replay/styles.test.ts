// Protects: logs in styles that show less or show it otherwise: numbers for names, chosen calls,
// handlers that are not shown. Cut down from recordings of programs in the style of test suites.
import { expect, it } from 'vitest';
import { replayLog } from './log.ts';

const FORK = 'clone(child_stack=NULL, flags=SIGCHLD)';
const RESTARTS = '-1 ERESTARTNOHAND (Unknown error 514)';

it('codes of signals without a sign, restarts as errors', async () => {
  const { wrong } = await replayLog(`
    rt_sigaction(0xc, 0x7ffe10, 0, 0x8) = 0
    tgkill(100, 100, 0xc) = 0
    --- SIGUSR2 {si_signo=12, si_code=0xfffffffa, si_pid=100, si_uid=0} ---
    rt_sigreturn({mask=[]}) = 0
    ${FORK} = 101
    pause() = ${RESTARTS}
    101 kill(100, 12) = 0
    --- SIGUSR2 {si_signo=12, si_code=0, si_pid=101, si_uid=0} ---
    rt_sigreturn({mask=[]}) = -1 EINTR (Interrupted system call)
    101 exit_group(0) = ?
    101 +++ exited with 0 +++
    --- SIGCHLD {si_signo=17, si_code=0x1, si_pid=101, si_uid=0, si_status=0} ---
    exit_group(0) = ?
    +++ exited with 0 +++
  `);
  expect(wrong).toEqual([]);
});

it('what calls that are left out have done to groups, ids and parents', async () => {
  const { wrong, adopted } = await replayLog(`
    ${FORK} = 101
    101 ${FORK} = 102
    kill(-101, SIGTERM) = 0
    102 --- SIGTERM {si_signo=SIGTERM, si_code=SI_USER, si_pid=100, si_uid=0} ---
    102 +++ killed by SIGTERM +++
    101 --- SIGTERM {si_signo=SIGTERM, si_code=SI_USER, si_pid=100, si_uid=0} ---
    101 +++ killed by SIGTERM +++
    --- SIGCHLD {si_signo=SIGCHLD, si_code=CLD_KILLED, si_pid=101, si_uid=7, si_status=SIGTERM} ---
    wait4(-1, [{WIFSIGNALED(s) && WTERMSIG(s) == SIGTERM}], 0, NULL) = 101
    wait4(-1, [{WIFSIGNALED(s) && WTERMSIG(s) == SIGTERM}], 0, NULL) = 102
  `);
  expect(wrong).toEqual([]);
  expect(adopted['a process group that the log does not show']).toBe(1);
  expect(adopted['a subreaper that the log does not show']).toBe(1);
});

it('a full table tells the limit', async () => {
  const { wrong } = await replayLog(`
    dup(0) = 3
    dup(0) = -1 EMFILE (Too many open files)
    close(3) = 0
    dup(0) = 3
    pipe([4, 5]) = -1 EMFILE (Too many open files)
  `);
  expect(wrong).toEqual([]);
});

it('a watch of a file that another name had', async () => {
  const { wrong } = await replayLog(`
    brk(NULL) = 0x1000
    inotify_init1(IN_NONBLOCK) = 3
    inotify_add_watch(3, "d", IN_CREATE) = 1
    inotify_add_watch(3, "d", IN_DELETE) = 1
    inotify_add_watch(3, "e", IN_DELETE) = 2
    inotify_add_watch(3, "d", IN_DELETE|IN_MASK_CREATE) = -1 EEXIST (File exists)
    inotify_rm_watch(3, 1) = 0
    inotify_rm_watch(3, 1) = -1 EINVAL (Invalid argument)
  `);
  expect(wrong).toEqual([]);
});

it('who is stopped and takes a signal was continued', async () => {
  const { wrong, adopted } = await replayLog(`
    kill(100, SIGSTOP) = 0
    --- SIGSTOP {si_signo=SIGSTOP, si_code=SI_USER, si_pid=100, si_uid=0} ---
    --- stopped by SIGSTOP ---
    --- SIGTERM {si_signo=SIGTERM, si_code=SI_USER, si_pid=9, si_uid=0} ---
    +++ killed by SIGTERM +++
  `);
  expect(wrong).toEqual([]);
  expect(adopted['a continue from outside the log']).toBe(1);
});

it('a write that went in came before its reader was closed', async () => {
  const { wrong } = await replayLog(`
    pipe2([3, 4], 0) = 0
    ${FORK} = 101
    101 close(4) = 0
    close(3) = 0
    101 close(3 <unfinished ...>
    write(4, "xx", 2 <unfinished ...>
    101 <... close resumed>) = 0
    <... write resumed>) = 2
    write(4, "xx", 2) = -1 EPIPE (Broken pipe)
  `);
  expect(wrong).toEqual([]);
});

it('a bad address is the last word, offsets that stay, copies that are whole', async () => {
  const { wrong } = await replayLog(`
    waitid(P_ALL, 0, 0x8, WNOHANG|WEXITED, NULL) = -1 EFAULT (Bad address)
    waitid(P_ALL, 0, NULL, WNOHANG|WEXITED, NULL) = -1 ECHILD (No child processes)
    waitid(0x9, 0, {}, WEXITED, NULL) = -1 EINVAL (Invalid argument)
    timerfd_create(CLOCK_MONOTONIC, 0) = 3
    lseek(3, 5, SEEK_SET) = 0
    eventfd2(0, 0) = 4
    lseek(4, 5, SEEK_SET) = 0
    msgget(IPC_PRIVATE, IPC_CREAT|0600) = 3
    msgsnd(3, {mtype=1, mtext="12345678"}, 8, 0) = 0
    msgrcv(3, 0x7ffe00, 2, 0, MSG_NOERROR|MSG_COPY|IPC_NOWAIT) = -1 EINVAL (Invalid argument)
    select(90, [88], NULL, NULL, {tv_sec=0, tv_usec=0}) = -1 EBADF (Bad file descriptor)
  `);
  expect(wrong).toEqual([]);
});

it('a namespace of somebody outside has names', async () => {
  const { wrong, adopted } = await replayLog(`
    openat(AT_FDCWD, "/proc/7/ns/uts", O_RDONLY) = 3
    setns(3, CLONE_NEWUTS) = 0
    uname({sysname="Linux", nodename="there", ...}) = 0
    uname({sysname="Linux", nodename="there", ...}) = 0
  `);
  expect(wrong).toEqual([]);
  expect(adopted['name of the machine']).toBe(1);
});
