// Protects: what a handler's return restores is compared: the mask that the kernel saved, the
// register where a call's end had filled it; stale frames that siglongjmp leaves; calls whose
// memory the log does not show, of which the answer is compared.
import { expect, it } from 'vitest';
import { perturb } from '../../../host/replay/perturb.ts';
import { openSource } from '../../../host/trace/source.ts';
import { replayLog } from './log.ts';

const HANDLER = '{sa_handler=0x5000, sa_mask=[], sa_flags=SA_RESTORER, sa_restorer=0x6000}';
const ACT = `rt_sigaction(SIGUSR1, ${HANDLER}, NULL, 8) = 0`;
const USR1 = '--- SIGUSR1 {si_signo=SIGUSR1, si_code=SI_USER, si_pid=100, si_uid=0} ---';

it('the mask, and the result of the call by which the signal was sent', async () => {
  const log = (mask: string, ret: string): string => `
    ${ACT}
    rt_sigprocmask(SIG_SETMASK, [TERM], NULL, 8) = 0
    kill(100, SIGUSR1) = 0
    ${USR1}
    getpid() = 100
    rt_sigreturn({mask=${mask}}) = ${ret}
    rt_sigprocmask(SIG_BLOCK, NULL, [TERM], 8) = 0
  `;
  const { wrong, result } = await replayLog(log('[TERM]', '0'));
  expect(wrong).toEqual([]);
  expect(result.byCall.rt_sigreturn).toMatchObject({ matched: 1, predicted: 1 });
  expect((await replayLog(log('[TERM HUP]', '0'))).wrong[0]).toMatch(/^7: 0 \| mask 0x4000, /);
  expect((await replayLog(log('[TERM]', '5'))).wrong).toEqual(['7: 5 | restores 0']);
});

it('what the program had in the register nobody compares', async () => {
  const { wrong, result } = await replayLog(`
    ${ACT}
    rt_sigprocmask(SIG_BLOCK, NULL, [], 8) = 0
    clone(child_stack=NULL, flags=SIGCHLD) = 101
    101 kill(100, SIGUSR1) = 0
    --- SIGUSR1 {si_signo=SIGUSR1, si_code=SI_USER, si_pid=101, si_uid=0} ---
    rt_sigreturn({mask=[]}) = 12345
  `);
  expect(wrong).toEqual([]);
  expect(result.byCall.rt_sigreturn).toMatchObject({ predicted: 1 });
});

it('two signals at once: the second finds the first handler at its beginning', async () => {
  const { wrong } = await replayLog(`
    ${ACT}
    rt_sigaction(SIGUSR2, ${HANDLER}, NULL, 8) = 0
    rt_sigprocmask(SIG_SETMASK, [USR1 USR2], NULL, 8) = 0
    kill(100, SIGUSR1) = 0
    kill(100, SIGUSR2) = 0
    rt_sigprocmask(SIG_SETMASK, [], [USR1 USR2], 8) = 0
    ${USR1}
    ${USR1.replaceAll('USR1', 'USR2')}
    rt_sigreturn({mask=[USR1]}) = 0
    rt_sigreturn({mask=[]}) = 0
  `);
  expect(wrong).toEqual([]);
});

it('frames that siglongjmp leaves are passed over', async () => {
  const { wrong } = await replayLog(`
    ${ACT}
    rt_sigprocmask(SIG_SETMASK, [HUP], NULL, 8) = 0
    kill(100, SIGUSR1) = 0
    ${USR1}
    rt_sigprocmask(SIG_SETMASK, [INT], [HUP USR1], 8) = 0
    kill(100, SIGUSR1) = 0
    ${USR1}
    rt_sigprocmask(SIG_SETMASK, [TERM], [INT USR1], 8) = 0
    rt_sigreturn({mask=[HUP]}) = 0
  `);
  expect(wrong).toEqual([]);
});

it('a mask from before the log is learned by the first return', async () => {
  const { wrong, adopted } = await replayLog(`
    ${ACT}
    kill(100, SIGUSR1) = 0
    ${USR1}
    rt_sigreturn({mask=[HUP]}) = 0
    rt_sigprocmask(SIG_BLOCK, NULL, [HUP], 8) = 0
  `);
  expect(wrong).toEqual([]);
  expect(adopted['signal mask from before the log']).toBe(1);
});

it('the answer of calls whose memory is not shown', async () => {
  const { wrong, result } = await replayLog(`
    rt_sigprocmask(0x2, 0x7ffe10, 0x7ffe20, 0x8) = 0
    rt_sigaction(0xa, 0x7ffe10, 0, 0x8) = 0
    rt_sigaction(0x9, 0x7ffe10, 0, 0x8) = -1 EINVAL (Invalid argument)
    rt_sigaction(0xa, 0x7ffe10, 0, 0x7) = 0
    rt_sigprocmask(0x7, 0x7ffe10, 0, 0x8) = 0
    rt_sigprocmask(0, 0x10, 0, 0x8) = -1 EFAULT (Bad address)
  `);
  expect(wrong).toEqual(['5: 0 | -1 EINVAL', '6: 0 | -1 EINVAL']);
  expect(result.byCall.rt_sigaction).toMatchObject({ predicted: 3, blind: 0 });
});

it('an alarm has no more left than it was set to', async () => {
  const { wrong, result } = await replayLog(`
    alarm(30) = 0
    alarm(20) = 25
    alarm(10) = 21
    alarm(0) = 10
    alarm(0) = 3
  `);
  expect(wrong).toEqual(['4: 21 | 20', '6: 3 | 0']);
  expect(result.byCall.alarm).toMatchObject({ predicted: 5 });
});

it('commands in numbers are those of that name', async () => {
  const { wrong, result } = await replayLog(`
    fcntl(0, 0, 10) = 10
    fcntl(10, 0x2, 0x1) = 0
    fcntl(10, 0x1) = 0x1
    prctl(0xf, 0x7ffe00) = 0
    close(10) = 0
    fcntl(10, 0x1) = -1 EBADF (Bad file descriptor)
  `);
  expect(wrong).toEqual([]);
  expect(result.byCall.fcntl).toMatchObject({ emulated: 4, matched: 4 });
});

it('changed masks are noticed', async () => {
  const source = await openSource(['test/traces/sigs_f.strace.gz']);
  const report = await perturb(source, 'sigs', 5, 60);
  source.close();
  expect(report.changed).toBe(60);
  expect(report.missed).toEqual([]);
});
