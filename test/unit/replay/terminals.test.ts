// Protects: what a replay knows of a terminal. One from before the log is adopted at its first
// sight and compared from then on; who is stopped in the background is the kernel's to say.
import { expect, it } from 'vitest';
import { replayLog } from './log.ts';

const START = `
  getppid() = 50
  openat(AT_FDCWD, "/dev/tty", O_RDWR|O_NONBLOCK) = 3
  ioctl(3, TIOCGPGRP, [50]) = 0
  setpgid(0, 100) = 0
  rt_sigprocmask(SIG_BLOCK, [TTOU], [], 8) = 0
  ioctl(3, TIOCSPGRP, [100]) = 0
  rt_sigprocmask(SIG_SETMASK, [], [TTOU], 8) = 0
  ioctl(3, TIOCGPGRP, [100]) = 0
`;
const JOB = `
  clone(child_stack=NULL, flags=SIGCHLD) = 101
  setpgid(101, 101) = 0
`;

it('a terminal from before the log is adopted once', async () => {
  const { wrong, adopted } = await replayLog(`
    ${START}
    ioctl(3, SNDCTL_TMR_STOP or TCSETSW, {c_lflag=ISIG|ICANON|ECHO, ...}) = 0
    ioctl(3, TIOCSPGRP, [50]) = 0
    setpgid(0, 50) = 0
  `);
  expect(wrong).toEqual([]);
  expect(adopted).toMatchObject({
    'terminal from before the log': 1,
    'foreground group from before the log': 1,
  });
});

it('its foreground group is compared afterwards', async () => {
  const { wrong } = await replayLog(`
    ${START}
    ioctl(3, TIOCGPGRP, [99]) = 0
    ioctl(3, TIOCSPGRP, [77]) = 0
  `);
  expect(wrong).toEqual(['11: 0 | 100, recorded 99', '12: 0 | -1 ESRCH']);
});

it('a reader in the background is stopped by the kernel', async () => {
  const { wrong, result } = await replayLog(
    `
    ${START}
    ${JOB}
    101 read(0, 0x7ffd0000, 8) = ? ERESTARTSYS (To be restarted if SA_RESTART is set)
    101 --- SIGTTIN {si_signo=SIGTTIN, si_code=SI_KERNEL} ---
    101 --- stopped by SIGTTIN ---
    100 wait4(-1, [{WIFSTOPPED(s) && WSTOPSIG(s) == SIGTTIN}], WSTOPPED, NULL) = 101
  `.replace('101 read', '101 ioctl(0, TIOCGPGRP, [100]) = 0\n    101 read'),
  );
  expect(wrong).toEqual([]);
  expect(result.byCall.read).toMatchObject({ emulated: 1, matched: 1 });
  expect(result.reasons.adopted['signal raised by the world']).toBeUndefined();
});

it('a read that should have been stopped is noticed', async () => {
  const { wrong } = await replayLog(`
    ${START}
    ${JOB}
    101 read(3, "x", 8) = 1
  `);
  expect(wrong).toEqual(['15: 1 | -1 ERESTARTSYS']);
});

it('without a terminal /dev/tty cannot be opened', async () => {
  const missing = 'openat(AT_FDCWD, "/dev/tty", O_RDWR) = -1 ENXIO (No such device or address)';
  expect((await replayLog(missing)).wrong).toEqual([]);
  const { adopted, wrong } = await replayLog(`
    ${START}
    write(3, "x", 1) = -1 EIO (Input/output error)
    ioctl(3, TIOCSPGRP, [100]) = -1 ENOTTY (Inappropriate ioctl for device)
    ${missing}
    openat(AT_FDCWD, "/etc/passwd", O_RDONLY) = 4
  `);
  expect(wrong).toEqual([]);
  expect(adopted).toMatchObject({ 'a terminal that was hung up': 1 });
});

it('a pair of the log has the number that the world gave', async () => {
  const { wrong, result } = await replayLog(`
    openat(AT_FDCWD, "/dev/ptmx", O_RDWR|O_NOCTTY) = 3
    ioctl(3, TIOCSPTLCK, [0]) = 0
    ioctl(3, TIOCGPTN, [4]) = 0
    openat(AT_FDCWD, "/dev/pts/4", O_RDWR|O_NOCTTY) = 4
    clone(child_stack=NULL, flags=SIGCHLD) = 101
    101 setsid() = 101
    101 ioctl(4, TIOCSCTTY, 0) = 0
    101 ioctl(4, TIOCGPGRP, [101]) = 0
    101 ioctl(4, TIOCNOTTY) = 0
    101 --- SIGHUP {si_signo=SIGHUP, si_code=SI_USER, si_pid=101, si_uid=0} ---
    101 +++ killed by SIGHUP +++
    --- SIGCHLD {si_signo=SIGCHLD, si_code=CLD_KILLED, si_pid=101, si_uid=0, si_status=SIGHUP} ---
  `);
  expect(wrong).toEqual([]);
  expect(result.byCall.ioctl).toMatchObject({ emulated: 5, matched: 5 });
});
