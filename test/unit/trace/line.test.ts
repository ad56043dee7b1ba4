import { describe, expect, it } from 'vitest';
import { StraceContext, StraceReader } from '../../../host/trace/strace.ts';
import type { StraceLine } from '../../../host/trace/strace/line.ts';

/** Reads lines as one log. */
function read(text: string, options = {}): { lines: StraceLine[]; context: StraceContext } {
  const context = new StraceContext();
  const reader = new StraceReader(context, options);
  const lines = text.split('\n').map((line) => reader.read(line));
  context.finish();
  return { lines, context };
}

function one(text: string): StraceLine {
  return read(text).lines[0] as StraceLine;
}

describe('columns in front', () => {
  const cases: [string, object][] = [
    ['12 close(3) = 0', { pid: 12, sec: -1, nr: -1 }],
    ['[pid    12] close(3) = 0', { pid: 12 }],
    ['[pid 12<ba sh>] close(3) = 0', { pid: 12, comm: 'ba sh' }],
    ['close(3) = 0', { pid: 0, pidShown: false }],
    ['12 01:02:03 close(3) = 0', { pid: 12, sec: 3723, nsec: 0, timeKind: 'day' }],
    ['01:02:03.5 close(3) = 0', { pid: 0, sec: 3723, nsec: 500000000 }],
    ['1700000000.000000001 close(3) = 0', { sec: 1700000000, nsec: 1, timeKind: 'epoch' }],
    ['1700000000 close(3) = 0', { pid: 0, sec: 1700000000 }],
    ['12      0.000131 close(3) = 0', { pid: 12, sec: 0, nsec: 131000, timeKind: 'relative' }],
    ['     0.000131 close(3) = 0', { pid: 0, nsec: 131000 }],
    ['12 01:02:03 (+     0.000131) close(3) = 0', { pid: 12, sec: 3723 }],
    ['12 [   3] [00007f05f76e5ad7] close(3) = 0', { nr: 3, ip: '00007f05f76e5ad7' }],
    ['[   3] close(3) = 0', { pid: 0, nr: 3 }],
    ['12 [????????????????] close(3) = 0', { ip: '????????????????' }],
  ];
  it.each(cases)('%s', (text, want) => {
    expect(one(text)).toMatchObject({ kind: 'call', name: 'close', argText: '3', ret: 0, ...want });
  });

  it('sums relative times and unwraps midnight', () => {
    const relative = read('1      0.600000 a() = 0\n1      0.600000 b() = 0').lines[1];
    expect(relative).toMatchObject({ sec: 1, nsec: 200000000 });
    const day = read('1 23:59:59 a() = 0\n1 00:00:01 b() = 0').lines[1];
    expect(day).toMatchObject({ sec: 86401 });
  });
});

describe('results', () => {
  it('reads values, errors and restarts', () => {
    expect(one('1 a() = -1 ENOENT (No such file or directory)')).toMatchObject({
      retKind: 'error',
      ret: -1,
      errno: 'ENOENT',
    });
    expect(one('1 a() = -1 (errno 999)')).toMatchObject({ retKind: 'error', errno: '999' });
    expect(one('1 a()    = ?')).toMatchObject({ retKind: 'unknown', ret: undefined });
    expect(one('1 a() = ? <unavailable>').retKind).toBe('unavailable');
    expect(one('1 a() = ? ERESTARTSYS (To be restarted if SA_RESTART is set)')).toMatchObject({
      retKind: 'restart',
      errno: 'ERESTARTSYS',
    });
    expect(one('1 mmap() = 0x7fcd0542c000').ret).toBe(0x7fcd0542c000);
    expect(one('1 a() = 18446744073709551615').ret).toBe(18446744073709551615n);
    expect(one('1 a() = 3 <0.000012>')).toMatchObject({ ret: 3, duration: 0.000012 });
  });

  it('reads what stands behind a value', () => {
    expect(one('1 openat() = 3</tmp/a b>').retDetail.path).toBe('/tmp/a b');
    const poll = one('1 poll() = 1 ([{fd=4, revents=POLLIN}])').retDetail;
    expect(poll.noteArgs[0]).toMatchObject({ kind: 'array' });
    expect(
      one('1 fcntl(1, F_GETFL) = 0x8002 (flags O_RDWR|O_LARGEFILE)').retDetail.noteArgs[0],
    ).toMatchObject({ kind: 'flags', parts: ['O_RDWR', 'O_LARGEFILE'] });
    expect(one("1 getpid() = 2 /* 4574 in strace's PID NS */").retDetail.pidInRecorderNs).toBe(
      4574,
    );
    expect(
      one('1 clone() = -1 EAGAIN (Resource temporarily unavailable) (INJECTED)'),
    ).toMatchObject({ injected: true, errno: 'EAGAIN' });
    expect(one('1 umask(022) = 077')).toMatchObject({ ret: 63, retDetail: { base: 8 } });
  });

  it('is not fooled by strings that look like results', () => {
    expect(one('1 write(1, "a) = -1 EPERM\\n", 14) = 14')).toMatchObject({ ret: 14 });
    expect(one('1 write(1, "a) = 3').kind).toBe('unparsed');
    expect(one('1 write(1, "(x <unfinished ...>", 19) = 19').kind).toBe('call');
  });
});

describe('halves of calls', () => {
  it('joins arguments', () => {
    const { lines, context } = read(
      '1 wait4(-1,  <unfinished ...>\n2 exit_group(3) = ?\n' +
        '2 +++ exited with 3 +++\n' +
        '1 <... wait4 resumed>[{WIFEXITED(s) && WEXITSTATUS(s) == 3}], 0, NULL) = 2',
    );
    expect(lines[0]).toMatchObject({ kind: 'unfinished', name: 'wait4', argText: '-1, ' });
    expect(lines[3]).toMatchObject({
      kind: 'resumed',
      ret: 2,
      argText: '-1, [{WIFEXITED(s) && WEXITSTATUS(s) == 3}], 0, NULL',
    });
    expect(lines[3]?.start).toBe(lines[0]);
    expect(lines[3]?.args.length).toBe(4);
    expect(context.lines).toMatchObject({ total: 4, calls: 3, exits: 1, unparsed: 0 });
    expect(context.calls).toMatchObject({ calls: 2, whole: 1, neverResumed: 0, resumedAlone: 0 });
  });

  it('takes numbered, lone and doubly unfinished halves', () => {
    const { lines, context } = read(
      '1 read(0,  <unfinished #7 ...>\n' +
        '1 <... read resumed #7> <unfinished ...>\n1 <... read resumed>"", 1) = 0\n' +
        '2 <... read resumed>"x", 1) = 1\n3 read(0,  <unfinished ...>) = ?\n' +
        '4 read(0,  <detached ...>',
    );
    expect(lines.map((line) => line.kind)).toEqual([
      'unfinished',
      'unfinished',
      'resumed',
      'resumed',
      'call',
      'unfinished',
    ]);
    expect(lines[0]?.callId).toBe(7);
    expect(lines[2]).toMatchObject({ argText: '0, "", 1', start: lines[0] });
    expect(lines[4]).toMatchObject({ retKind: 'unknown', argText: '0, ' });
    expect(lines[5]).toMatchObject({ detached: true });
    expect(context.calls).toMatchObject({ calls: 4, resumedAlone: 1, neverResumed: 1 });
  });

  it('follows an exec by another thread to the leader', () => {
    const { lines } = read(
      '5 execve("/bin/echo", [], 0x1 <unfinished ...>\n' +
        '3 +++ superseded by execve in pid 5 +++\n3 <... execve resumed>) = 0',
    );
    expect(lines[1]).toMatchObject({ kind: 'superseded', pid: 3, otherPid: 5 });
    expect(lines[2]?.start).toBe(lines[0]);
    const moved = read('5 execve("/bin/echo", [] <pid changed to 3 ...>').lines[0];
    expect(moved).toMatchObject({ kind: 'unfinished', otherPid: 3 });
  });
});

describe('signals, ends, remarks', () => {
  it('reads siginfo', () => {
    const line = one(
      '1 --- SIGCHLD {si_signo=SIGCHLD, si_code=CLD_KILLED, si_pid=5, si_uid=0, ' +
        'si_status=SIGKILL, si_utime=0, si_stime=0 /* 0.01 s */} ---',
    );
    expect(line).toMatchObject({ kind: 'signal', signo: 17, name: 'SIGCHLD' });
    expect(line.siginfo).toMatchObject({ signo: 17, code: 2, pid: 5, uid: 0, status: 9 });
    const queued = one(
      '1 --- SIGRT_1 {si_signo=SIGRT_1, si_code=SI_QUEUE, si_pid=5, si_uid=0, ' +
        'si_value={sival_int=7, sival_ptr=0x700000007}} ---',
    );
    expect(queued.siginfo).toMatchObject({ signo: 33, code: -1, value: 0x700000007n });
    const raw = one('1 --- SIGCHLD {si_signo=17, si_code=0x1, si_pid=5, si_status=2} ---');
    expect(raw.siginfo).toMatchObject({ signo: 17, code: 1, status: 2 });
    expect(one('1 --- stopped by SIGTTIN ---')).toMatchObject({ kind: 'stopped', signo: 21 });
  });

  it('reads ends', () => {
    expect(one('1 +++ exited with 256 +++')).toMatchObject({ kind: 'exit', exitCode: 256 });
    expect(one('1 +++ killed by SIGSEGV (core dumped) +++')).toMatchObject({
      kind: 'killed',
      signo: 11,
      core: true,
    });
  });

  it('tells remarks, tables and stacks from damage', () => {
    expect(one('strace: Process 77 attached')).toMatchObject({ kind: 'attach', otherPid: 77 });
    expect(one('strace: Process 77 detached')).toMatchObject({ kind: 'detach', otherPid: 77 });
    expect(one('1 [ Process PID=1 runs in 32 bit mode. ]').kind).toBe('other');
    expect(one(' > /usr/lib/libc.so.6(__read+0x1d) [0xe2b4d]').kind).toBe('other');
    const table = read(
      '% time     seconds  usecs/call     calls    errors syscall\n' +
        '------ ----------- ----------- --------- --------- ----------------\n' +
        ' 68.10    0.005206         578         9         4 wait4\n' +
        '100.00    0.007645          12       600        79 total\n1 close(3) = 0',
    ).lines;
    expect(table.map((line) => line.kind)).toEqual(['other', 'other', 'other', 'other', 'call']);
    expect(read('1 close(3) = 0\nclose(4) = 0').lines[1]).toMatchObject({ kind: 'unparsed' });
    expect(one('1 mumble').kind).toBe('unparsed');
  });
});

describe('logs on a terminal', () => {
  it('mends lines torn by a remark', () => {
    const { lines, context } = read(
      'clone(child_stack=NULL, flags=SIGCHLDstrace: Process 9 attached\n' +
        ', child_tidptr=0x10) = 9\n[pid     9] exit_group(0) = ?\n' +
        '[pid     8] wait4(-1, NULL, 0, NULL) = 9\n' +
        '[pid     9] +++ exited with 0 +++\ngetpid() = 8',
    );
    expect(lines[0]).toMatchObject({ kind: 'unfinished', broken: true, otherPid: 9 });
    expect(lines[1]).toMatchObject({
      kind: 'resumed',
      name: 'clone',
      ret: 9,
      argText: 'child_stack=NULL, flags=SIGCHLD, child_tidptr=0x10',
    });
    expect(lines[5]).toMatchObject({ pid: 8, pidShown: false });
    expect(context.lines.unparsed).toBe(0);
  });

  it('mends writes with their own output inside', () => {
    const { lines } = read('[pid  5] write(1, "a\\n3\\n", 4a\n3\n) = 4\n[pid  5] close(1) = 0');
    expect(lines.map((line) => line.kind)).toEqual(['unfinished', 'other', 'resumed', 'call']);
    expect(lines[2]).toMatchObject({ name: 'write', ret: 4, argText: '1, "a\\n3\\n", 4' });
  });
});
