// Protects: how lines of other recorders become strace's. Each line stays one line, so that numbers
// in messages are those of the file; what strace has no line for becomes an empty one.
import { describe, expect, it } from 'vitest';
import { LINUX_TABLES } from '../../../host/trace/audit/facts.ts';
import { FtraceTranslator } from '../../../host/trace/translate/ftrace.ts';
import { LtraceTranslator } from '../../../host/trace/translate/ltrace.ts';
import { translated } from '../../../host/trace/translate/source.ts';
import { sourceOf } from '../audit/records.ts';

const ALL = { ends: true, signals: true };
const ftrace = (lines: string[], shows = ALL): string[] => {
  const translator = new FtraceTranslator(LINUX_TABLES.x86, shows);
  return lines.map((line) => translator.line(line));
};
const ltrace = (...lines: string[]): string[] => {
  const translator = new LtraceTranslator(LINUX_TABLES.x86);
  return lines.map((line) => translator.line(line));
};
const at = (event: string, task = 'sh-42'): string => `  ${task}  [000] .....  1.500000: ${event}`;

describe('ftrace', () => {
  it('names calls, drops registers that are no arguments, and tells errors', () => {
    expect(
      ftrace([
        at('sys_enter: NR 33 (a, 1, 0, 0, 2, 5647)'),
        at('sys_exit: NR 33 = 1'),
        at('sys_enter: NR 3 (a, 1, 0, 0, 2, 5647)'),
        at('sys_exit: NR 3 = -9'),
        at('sys_enter: NR 61 (ffffffff, 0, 0, 0, 0, 0)'),
        at('sys_exit: NR 61 = -512'),
      ]),
    ).toEqual([
      '42 1.500000 dup2(0xa, 0x1 <unfinished ...>',
      '42 1.500000 <... dup2 resumed>) = 1',
      '42 1.500000 close(0xa <unfinished ...>',
      '42 1.500000 <... close resumed>) = -1 EBADF',
      '42 1.500000 wait4(0xffffffff, 0, 0, 0 <unfinished ...>',
      '42 1.500000 <... wait4 resumed>) = ? ERESTARTSYS',
    ]);
  });

  it('finds the task behind a name with spaces, dashes and brackets', () => {
    expect(ftrace([at('sys_enter: NR 39 ()', 'a b-7 [x]-43')])).toEqual([
      '43 1.500000 getpid( <unfinished ...>',
    ]);
  });

  it('shows no return of a child from the call that made it', () => {
    expect(ftrace([at('sys_exit: NR 56 = 0')])).toEqual(['']);
  });

  it('takes the events that each call has of its own', () => {
    expect(
      ftrace([at('sys_newuname(name: 0x7ffc)'), at('sys_newuname -> 0xfffffffffffffff2')]),
    ).toEqual([
      '42 1.500000 uname(0x7ffc <unfinished ...>',
      '42 1.500000 <... uname resumed>) = -1 EFAULT',
    ]);
  });

  it('ends a process where it tells its parent, with the code that it called exit with', () => {
    expect(
      ftrace([
        at('sys_enter: NR 231 (3, 0, 0, 0, 0, 0)'),
        at('sched_process_exit: comm=sh pid=42 prio=120 group_dead=true'),
        at('signal_generate: sig=17 errno=0 code=1 comm=sh pid=41 grp=1 res=0'),
        at('signal_deliver: sig=17 errno=0 code=1 sa_handler=5600 sa_flags=0', 'sh-41'),
      ]),
    ).toEqual([
      '42 1.500000 exit_group(0x3) = ?',
      '',
      '42 1.500000 +++ exited with 3 +++',
      '41 1.500000 --- SIGCHLD {si_signo=17, si_code=1, si_pid=42} ---',
    ]);
  });

  it('knows the signal that was sent on as SIGKILL', () => {
    expect(
      ftrace([
        at('signal_generate: sig=15 errno=0 code=0 comm=sh pid=42 grp=1 res=0', 'sh-41'),
        at('signal_deliver: sig=9 errno=0 code=0 sa_handler=0 sa_flags=0'),
        at('sched_process_exit: comm=sh pid=42 prio=120 group_dead=true'),
        at('signal_generate: sig=17 errno=0 code=2 comm=sh pid=41 grp=1 res=0'),
      ]).at(-1),
    ).toBe('42 1.500000 +++ killed by SIGTERM +++');
  });

  it('says nothing of an end whose cause is not among the events', () => {
    const end = at('sched_process_exit: comm=sh pid=42 prio=120 group_dead=true');
    expect(ftrace([end], { ends: true, signals: false })).toEqual(['']);
  });

  it('takes perf script, and leaves what it does not know to be counted', () => {
    const perf = 'bash 42/43 [001]  1.5: raw_syscalls:sys_enter: NR 39 (0, 0)';
    expect(ftrace([perf, '# tracer: nop', '', 'mangled'])).toEqual([
      '42 1.5 getpid( <unfinished ...>',
      '',
      '',
      'mangled',
    ]);
  });
});

describe('ltrace', () => {
  it('keeps system calls and drops those of libraries', () => {
    expect(
      ltrace(
        '7 strcmp("a", "b") = -1',
        '7 SYS_close(3) = 0',
        '7 SYS_access("/x", 04) = -2',
        '7 SYS_wait4(0xffffffff, 0x7ffd, 1, 0) = 0xfffffff6',
        '7 SYS_pread(3, 0x7ffd, 784, 64) = 784',
        '7 SYS_334(0x7f82, 32, 0, 0x53053053) = 0',
      ),
    ).toEqual([
      '',
      '7 close(3) = 0',
      '7 access("/x", 04) = -1 ENOENT',
      '7 wait4(0xffffffff, 0x7ffd, 1, 0) = -1 ECHILD',
      '7 pread64(3, 0x7ffd, 784, 64) = 784',
      '7 rseq(0x7f82, 32, 0, 0x53053053) = 0',
    ]);
  });

  it('joins halves, a program’s start among them', () => {
    expect(
      ltrace(
        '7 SYS_read(3 <unfinished ...>',
        '7 <... SYS_read resumed> , "x", 832) = 1',
        '7 SYS_execve("/bin/true", 0x5, 0x6 <unfinished ...>',
        '7 --- Called exec() ---',
      ),
    ).toEqual([
      '7 read(3 <unfinished ...>',
      '7 <... read resumed>, "x", 832) = 1',
      '7 execve("/bin/true", 0x5, 0x6 <unfinished ...>',
      '7 <... execve resumed>) = 0',
    ]);
  });

  it('takes signals and ends', () => {
    expect(
      ltrace(
        '7 --- SIGCHLD (Child exited) ---',
        '7 SYS_exit_group(3 <no return ...>',
        '7 +++ exited (status 3) +++',
        '8 +++ killed by SIGTERM +++',
      ),
    ).toEqual([
      '7 --- SIGCHLD ---',
      '7 exit_group(3) = ?',
      '7 +++ exited with 3 +++',
      '8 +++ killed by SIGTERM +++',
    ]);
  });
});

it('a translated source has as many lines as its own, wherever its chunks end', async () => {
  const source = sourceOf(['7 SYS_close(3) = 0', '', '7 SYS_close(4) = 0']);
  const whole = Buffer.concat([...source.files[0]!.chunksNow!()]);
  async function* bytes(): AsyncIterable<Uint8Array> {
    for (const byte of whole) yield Uint8Array.of(byte);
  }
  const files = [{ ...source.files[0]!, chunks: bytes, chunksNow: undefined }];
  const make = (): LtraceTranslator => new LtraceTranslator(LINUX_TABLES.x86);
  for (const one of [source, { ...source, files }]) {
    const parts: Uint8Array[] = [];
    for await (const chunk of translated(one, make).files[0]!.chunks()) parts.push(chunk);
    expect(Buffer.concat(parts).toString()).toBe('7 close(3) = 0\n\n7 close(4) = 0\n');
  }
});
