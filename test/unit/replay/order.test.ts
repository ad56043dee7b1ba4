// Protects: the order of effects inside open intervals. Each log is one that only one order fits.
import { expect, it } from 'vitest';
import { replayLog } from './log.ts';

const HANDLER = '{sa_handler=0x5000, sa_mask=[], sa_flags=SA_RESTORER, sa_restorer=0x6000}';
const RESTART = '? ERESTARTSYS (To be restarted if SA_RESTART is set)';
const THREAD = 'CLONE_VM|CLONE_FS|CLONE_FILES|CLONE_SIGHAND|CLONE_THREAD';
const FORK = 'clone(child_stack=NULL, flags=SIGCHLD)';

function child(pid: number, status: number): string {
  const info = `si_signo=SIGCHLD, si_code=CLD_EXITED, si_pid=${pid}, si_uid=0`;
  return `--- SIGCHLD {${info}, si_status=${status}, si_utime=0, si_stime=0} ---`;
}

it('a wait that a signal ended did not see the child that died behind it', async () => {
  const { wrong } = await replayLog(`
    rt_sigaction(SIGCHLD, ${HANDLER}, NULL, 8) = 0
    ${FORK} = 101
    ${FORK} = 102
    wait4(101,  <unfinished ...>
    101 exit_group(1) = ?
    102 exit_group(2) = ?
    101 +++ exited with 1 +++
    102 +++ exited with 2 +++
    <... wait4 resumed>0x7ffd00001000, 0, NULL) = ${RESTART}
    ${child(102, 2)}
    rt_sigreturn({mask=[]}) = -1 EINTR (Interrupted system call)
    wait4(101, [{WIFEXITED(s) && WEXITSTATUS(s) == 1}], 0, NULL) = 101
  `);
  expect(wrong).toEqual([]);
});

it('a call ended with EINTR is ended by a signal that another thread was to take', async () => {
  const { wrong, result } = await replayLog(`
    rt_sigaction(SIGCHLD, ${HANDLER}, NULL, 8) = 0
    clone(child_stack=0x7f0000001000, flags=${THREAD}) = 101
    ${FORK} = 102
    102 exit_group(7) = ?
    102 +++ exited with 7 +++
    101 rt_sigtimedwait([USR1], NULL, NULL, 8) = -1 EINTR (Interrupted system call)
    101 ${child(102, 7)}
  `);
  expect(wrong).toEqual([]);
  expect(result.byCall.rt_sigtimedwait?.matched).toBe(1);
});

it('forks of an inner pid namespace happen in the order of their numbers', async () => {
  const { wrong } = await replayLog(`
    clone(child_stack=NULL, flags=CLONE_NEWPID|SIGCHLD) = 101
    101 ${FORK} = 2 /* 102 in strace's PID NS */
    101 clone(child_stack=NULL, flags=SIGCHLD <unfinished ...>
    102 ${FORK} = 3 /* 103 in strace's PID NS */
    103 getpid() = 3
    101 <... clone resumed>) = 4 /* 104 in strace's PID NS */
    104 getpid() = 4
  `);
  expect(wrong).toEqual([]);
});

it("a group's signal interrupts the thread that shows it", async () => {
  const { wrong } = await replayLog(`
    rt_sigaction(SIGCHLD, ${HANDLER}, NULL, 8) = 0
    clone(child_stack=0x7f0000001000, flags=${THREAD}) = 101
    ${FORK} = 102
    101 ${FORK} = 103
    101 wait4(103,  <unfinished ...>
    102 exit_group(0) = ?
    102 +++ exited with 0 +++
    101 <... wait4 resumed>0x7ffd00001000, 0, NULL) = ${RESTART}
    ${child(102, 0)}
    ${FORK} = 104
  `);
  expect(wrong).toEqual([]);
});

it('a stop that was not told was stopped and continued while another signal waited', async () => {
  const stop = 'si_code=SI_USER, si_pid=100, si_uid=0';
  const of = 'si_signo=SIGCHLD, si_code=CLD_STOPPED, si_pid=101, si_uid=0';
  const told = `--- SIGCHLD {${of}, si_status=SIGSTOP} ---`;
  const { wrong } = await replayLog(`
    rt_sigaction(SIGCHLD, ${HANDLER}, NULL, 8) = 0
    ${FORK} = 101
    kill(101, SIGSTOP) = 0
    101 --- SIGSTOP {si_signo=SIGSTOP, ${stop}} ---
    101 --- stopped by SIGSTOP ---
    kill(101, SIGCONT) = 0
    ${told}
    101 --- SIGCONT {si_signo=SIGCONT, ${stop}} ---
    kill(101, SIGSTOP) = 0
    101 --- SIGSTOP {si_signo=SIGSTOP, ${stop}} ---
    101 --- stopped by SIGSTOP ---
    ${told}
  `);
  expect(wrong).toEqual([]);
});

it("the kernel's init outlives the log", async () => {
  const { wrong } = await replayLog(`
    1 getpid() = 1
    1 +++ killed by SIGKILL +++
    200 getppid() = 1
    200 getpid() = 200
  `);
  expect(wrong).toEqual([]);
});

it('an exit closes its last descriptors first, each by itself', async () => {
  const { wrong } = await replayLog(`
    pipe2([3, 4], 0) = 0
    pipe2([5, 6], 0) = 0
    clone(child_stack=NULL, flags=SIGCHLD) = 101
    close(4) = 0
    close(6) = 0
    poll([{fd=3, events=POLLIN}, {fd=5, events=POLLIN}], 2, -1 <unfinished ...>
    101 exit_group(0) = ?
    <... poll resumed>) = 1 ([{fd=5, revents=POLLHUP}])
    poll([{fd=3, events=POLLIN}], 1, -1) = 1 ([{fd=3, revents=POLLHUP}])
    101 +++ exited with 0 +++
    --- SIGCHLD {si_signo=SIGCHLD, si_code=CLD_EXITED, si_pid=101, si_uid=0, si_status=0} ---
  `);
  expect(wrong).toEqual([]);
});

it('the descriptor of a file without a name', async () => {
  const { wrong } = await replayLog(`
    openat(AT_FDCWD</tmp>, "/tmp/x", O_RDWR|O_CREAT, 0600) = 3</tmp/x>
    unlink("/tmp/x") = 0
    mmap(NULL, 1, PROT_READ, MAP_PRIVATE, 3</tmp/x>(deleted), 0) = 0x7f0000000000
    close(3</tmp/x>(deleted)) = 0
    openat(AT_FDCWD</tmp>, "/tmp/y", O_RDWR) = 3</tmp/y>
  `);
  expect(wrong).toEqual([]);
});
