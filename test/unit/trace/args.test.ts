import { describe, expect, it } from 'vitest';
import { parseArgs } from '../../../host/trace/strace/arg-parser.ts';
import { parseInteger, unescapeString } from '../../../host/trace/strace/text.ts';
import {
  bytesOf,
  fieldOf,
  numberOf,
  numberSetOf,
  signalName,
  signalNumber,
  sigsetOf,
  statusOf,
  translatedPid,
} from '../../../host/trace/values.ts';

describe('argument notation', () => {
  it('reads numbers in all bases, exactly', () => {
    expect(parseInteger('18446744073709551615')).toBe(18446744073709551615n);
    expect(parseInteger('0x7ffc321d8340')).toBe(0x7ffc321d8340);
    expect(parseInteger('0644')).toBe(420);
    expect(parseInteger('-1')).toBe(-1);
    expect(parseInteger('0')).toBe(0);
    expect(parseInteger('12ab')).toBeUndefined();
    const [limit] = parseArgs('rlim_cur=8192*1024');
    expect(limit).toMatchObject({ kind: 'int', value: 8388608, name: 'rlim_cur' });
  });

  it('reads strings: escapes, truncation, quotes inside', () => {
    expect(unescapeString('\\177ELF\\2\\1\\0\\x41\\n')).toBe('\x7fELF\x02\x01\0A\n');
    const [a, b, c] = parseArgs('"a \\"b\\", c"..., "x) = 5", @"abstract"');
    expect(a).toMatchObject({ kind: 'str', value: 'a "b", c', truncated: true });
    expect(b).toMatchObject({ kind: 'str', value: 'x) = 5', truncated: false });
    expect(c).toMatchObject({ kind: 'str', value: '\0abstract' });
    expect(bytesOf(a)?.length).toBe(8);
  });

  it('reads flag words, comments and shifts', () => {
    const [a, b, c] = parseArgs(
      'CLONE_CHILD_SETTID|SIGCHLD, 0x1200000 /* A|B */|17 /* SIGCHLD */, ' + '1<<CAP_CHOWN|1<<3',
    );
    expect(a).toMatchObject({ kind: 'flags', parts: ['CLONE_CHILD_SETTID', 'SIGCHLD'] });
    expect(numberOf(a, (name) => (name === 'CLONE_CHILD_SETTID' ? 0x1000000 : undefined))).toBe(
      0x1000011,
    );
    expect(numberOf(a)).toBeUndefined();
    expect(numberOf(b)).toBe(0x1200011);
    expect(numberOf(c, () => 0)).toBe(9);
  });

  it('reads descriptors with paths and pids with names', () => {
    const [a, b, c] = parseArgs(
      '3</dev/pts/0<char 136:0>>, -100 /* AT_FDCWD */</tmp/x>, ' +
        '4<TCP:[127.0.0.1:5->127.0.0.1:6]>',
    );
    expect(a).toMatchObject({ value: 3, path: '/dev/pts/0<char 136:0>' });
    expect(b).toMatchObject({ value: -100, comment: 'AT_FDCWD', path: '/tmp/x' });
    expect(c).toMatchObject({ value: 4, path: 'TCP:[127.0.0.1:5->127.0.0.1:6]' });
  });

  it('reads structs, arrays, out parts and calls', () => {
    const args = parseArgs(
      '{flags=CLONE_PARENT_SETTID, exit_signal=SIGCHLD, stack=NULL} ' +
        '=> {parent_tid=[123]}, 88, [{fd=3, events=POLLIN}, ...], makedev(0x1, 0x3), [28 => 16]',
    );
    expect(args.length).toBe(5);
    expect(fieldOf(args[0], 'exit_signal')).toMatchObject({ kind: 'sym', text: 'SIGCHLD' });
    expect(fieldOf(args[0], 'stack')?.kind).toBe('null');
    expect(numberSetOf(fieldOf(args[0]?.out, 'parent_tid'))).toEqual([123]);
    expect(args[2]).toMatchObject({ kind: 'array', truncated: true });
    expect(args[3]).toMatchObject({ kind: 'fn', fn: 'makedev' });
    expect(args[4]).toMatchObject({ kind: 'array', items: [{ value: 28, out: { value: 16 } }] });
  });

  it('reads signal sets', () => {
    const set = (text: string): bigint | undefined => sigsetOf(parseArgs(text)[0]);
    expect(set('[]')).toBe(0n);
    expect(set('[CHLD]')).toBe(1n << 16n);
    expect(set('[HUP INT]')).toBe(3n);
    expect(set('~[]')).toBe(0xffffffffffffffffn);
    expect(set('~[KILL STOP]')).toBe(0xfffffffffffbfeffn);
    expect(set('[RTMIN RT_1 RT_32]')).toBe((3n << 31n) | (1n << 63n));
    expect(set('0x7ffe')).toBeUndefined();
    expect(numberSetOf(parseArgs('[3 4]')[0])).toEqual([3, 4]);
  });

  it('reads wait statuses', () => {
    const status = (text: string): number | undefined => statusOf(parseArgs(text)[0]);
    expect(status('[{WIFEXITED(s) && WEXITSTATUS(s) == 3}]')).toBe(0x300);
    expect(status('[{WIFSIGNALED(s) && WTERMSIG(s) == SIGKILL}]')).toBe(9);
    expect(status('[{WIFSIGNALED(s) && WTERMSIG(s) == SIGSEGV && WCOREDUMP(s)}]')).toBe(11 | 128);
    expect(status('[{WIFSTOPPED(s) && WSTOPSIG(s) == SIGSTOP}]')).toBe(0x137f);
    expect(status('[{WIFCONTINUED(s)}]')).toBe(0xffff);
    expect(status('0x7ffe0')).toBeUndefined();
  });

  it('knows signals by all their names', () => {
    expect(signalNumber('SIGCHLD')).toBe(17);
    expect(signalNumber('SIGRTMIN')).toBe(32);
    expect(signalNumber('SIGRT_32')).toBe(64);
    expect(signalNumber('SIGNONE')).toBe(0);
    for (let n = 1; n <= 64; n++) expect(signalNumber(signalName(n))).toBe(n);
  });

  it('reads pid translations', () => {
    const [pid] = parseArgs("2 /* 4575 in strace's PID NS */");
    expect(translatedPid(pid?.comment)).toBe(4575);
  });
});
