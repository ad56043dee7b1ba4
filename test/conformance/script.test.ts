// Protects: trap scripts come out as they say, on every target, and what a script expects wrongly
// is reported at its line. A script that the kernel cannot follow says so, it never passes.
import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { KernelTarget } from '../../host/kernel.ts';
import { runScript } from '../../host/script/runner.ts';
import { readScript } from '../../host/trace/script.ts';

const FOLDER = 'test/traces/script';
const names = readdirSync(FOLDER).filter((name) => name.endsWith('.jsonl'));
const TARGETS: readonly KernelTarget[] = ['release', 'debug', 'smp'];

async function run(text: string, target?: KernelTarget) {
  const options = target ? { target } : {};
  const { result, kernel } = await runScript(readScript(text), 'test', options);
  expect(result.calls).toBe(result.emulated);
  expect(result.matched + result.diverged).toBe(result.calls);
  const { total, calls, signals, exits, other, unparsed } = result.lines;
  expect(calls + signals + exits + other + unparsed).toBe(total);
  return { result, kernel };
}

const script = (...lines: string[]): string => ['{"bulkhead": 1}', ...lines].join('\n');

/** Line, expected and actual of every divergence. */
async function divergences(...lines: string[]): Promise<[number, string, string][]> {
  const { result } = await run(script(...lines));
  return result.divergences.map((d) => [d.line, d.expected, d.actual]);
}

describe.each(TARGETS)('on the %s kernel', (target) => {
  it.each(names)('%s', async (name) => {
    const { result } = await run(readFileSync(`${FOLDER}/${name}`, 'utf8'), target);
    const found = result.divergences.map((d) => `${d.line}: ${d.call}: ${d.actual}`);
    expect(found).toEqual([]);
    expect(result.matched).toBeGreaterThan(0);
  });
});

const HANDLER = '0010400000000000000000040000000000204000000000000000000000000000';
const RESTART = '0010400000000000000000140000000000204000000000000000000000000000';
const FORK = '{"task": 1, "call": "fork", "ret": 2, "child": "a"}';
const handle = (action: string): string =>
  `{"task": "$a", "call": "rt_sigaction", "args": ["SIGUSR1", {"hex": "${action}"}, 0, 8],` +
  ' "ret": 0}';
const kill = (signal: string): string =>
  `{"task": 1, "call": "kill", "args": ["$a", "${signal}"], "ret": 0}`;

describe('signals', () => {
  it('end a sleep by EINTR when they are taken, not before', async () => {
    const lines = [
      FORK,
      handle(HANDLER),
      '{"task": "$a", "call": "pause", "blocks": true}',
      kill('SIGUSR1'),
      '{"task": "$a", "sleeps": true}',
      '{"task": "$a", "signal": "SIGUSR1", "info": {"code": "SI_USER", "pid": 1, "uid": 0}}',
      '{"task": "$a", "completes": "pause", "ret": "EINTR"}',
    ];
    expect(await divergences(...lines)).toEqual([]);
    expect(await divergences(...lines.slice(0, 4), lines[6]!)).toEqual([
      [6, 'a result', 'interrupted by a signal that no line takes'],
    ]);
  });

  it('begin the call again where the action says so', async () => {
    const lines = [
      FORK,
      handle(RESTART),
      '{"task": "$a", "call": "fork", "ret": 3, "child": "b"}',
      '{"task": "$a", "call": "wait4", "args": [-1, {"out": 4, "as": "ws"}], "blocks": true}',
      kill('SIGUSR1'),
      '{"task": "$a", "signal": "SIGUSR1"}',
      '{"task": "$a", "sleeps": true}',
      '{"task": "$b", "call": "exit_group", "args": [3]}',
      '{"task": "$a", "completes": "wait4", "ret": "$b", "out": {"ws": {"i32": 768}}}',
    ];
    expect(await divergences(...lines)).toEqual([]);
  });

  it('are pending while they are blocked', async () => {
    const mask = '{"hex": "0002000000000000"}';
    const set = (how: string): string =>
      `{"task": "$a", "call": "rt_sigprocmask", "args": ["${how}", ${mask}, 0, 8], "ret": 0}`;
    const pending =
      '{"task": "$a", "call": "rt_sigpending", "args": [{"out": 8, "as": "p"}, 8], "ret": 0,' +
      ' "out": {"p": {"u64": 512}}}';
    const take = '{"task": "$a", "signal": "SIGUSR1"}';
    const before = [FORK, handle(HANDLER), set('SIG_BLOCK'), kill('SIGUSR1'), pending];
    expect(await divergences(...before, set('SIG_UNBLOCK'), take)).toEqual([]);
    expect(await divergences(...before, take)).toEqual([[7, 'SIGUSR1', 'no signal']]);
  });

  it('stop and continue when they are sent', async () => {
    const wait = (option: string, status: string): string =>
      `{"task": 1, "call": "wait4", "args": ["$a", {"out": 4, "as": "ws"}, "${option}"],` +
      ` "ret": "$a", "out": {"ws": {"i32": "${status}"}}}`;
    const state = (letter: string): string =>
      `{"expect": "task", "task": "$a", "state": "${letter}"}`;
    expect(
      await divergences(
        FORK,
        '{"task": "$a", "call": "pause", "blocks": true}',
        kill('SIGSTOP'),
        state('T'),
        wait('WUNTRACED', '0x137f'),
        kill('SIGCONT'),
        state('S'),
        '{"task": "$a", "sleeps": true}',
        wait('WCONTINUED', '0xffff'),
        kill('SIGTERM'),
        '{"task": "$a", "dies": {"signal": 15}}',
        wait('WUNTRACED', '15'),
      ),
    ).toEqual([]);
  });
});

describe('threads', () => {
  const FLAGS = '"CLONE_VM|CLONE_FS|CLONE_FILES|CLONE_SIGHAND|CLONE_THREAD"';
  const thread = (pid: number, name: string): string =>
    `{"task": "$a", "call": "clone", "args": [${FLAGS}], "ret": ${pid}, "child": "${name}"}`;
  const state = (task: string, letter: string): string =>
    `{"expect": "task", "task": "${task}", "state": "${letter}"}`;

  it('stop and go on together, asleep or not', async () => {
    expect(
      await divergences(
        FORK,
        thread(3, 't'),
        '{"task": "$t", "call": "pause", "blocks": true}',
        kill('SIGSTOP'),
        state('$a', 'T'),
        state('$t', 'T'),
        kill('SIGCONT'),
        state('$a', 'R'),
        '{"task": "$t", "sleeps": true}',
      ),
    ).toEqual([]);
  });

  it('of a process that executes a program end one by one, and its number stays', async () => {
    const exec = (task: string): string =>
      `{"task": "${task}", "call": "execve", "args": [{"str": "/x"}], "blocks": true}`;
    const done = '{"task": "$a", "completes": "execve", "ret": 0}';
    expect(
      await divergences(
        FORK,
        thread(3, 't'),
        exec('$a'),
        '{"task": "$t", "dies": {"code": 0}}',
        done,
        thread(4, 'u'),
        exec('$u'),
        '{"task": "$a", "dies": {"code": 0}}',
        done,
        state('$u', 'gone'),
        '{"task": "$a", "call": "gettid", "ret": 2}',
      ),
    ).toEqual([]);
  });
});

describe('registers', () => {
  it('are compared after the call', async () => {
    const regs = (after: string): string =>
      '{"task": 1, "regs": {"rax": 39, "rip": "0x400000", "rflags": "0x246"}, "ret": 1,' +
      ` "after": ${after}}`;
    const right = '{"rcx": "0x400002", "r11": "0x246", "rip": "0x400002", "rdi": 0}';
    expect(await divergences(regs(right))).toEqual([]);
    expect(await divergences(regs('{"rcx": 0}'))).toEqual([[2, 'rcx 0', 'rcx 4194306']]);
  });

  it('of either machine may be used in one script', async () => {
    expect(
      await divergences(
        '{"task": 1, "regs": {"eax": 20, "eip": 16}, "abi": "linux-i386", "code": "0f34",' +
          ' "ret": 1, "after": {"eip": 18}}',
        '{"task": 1, "nr": 5000, "ret": "ENOSYS"}',
        '{"task": 1, "regs": {"rax": "0x100000027"}, "ret": "ENOSYS"}',
        '{"task": 1, "nr": 1000, "abi": "linux-x86_64", "ret": "ENOSYS"}',
        '{"task": 1, "call": "container_create", "abi": "linux-x86_64",' +
          ' "args": [{"str": "p"}], "ret": 3}',
      ),
    ).toEqual([]);
  });
});

describe('memory', () => {
  const create = (name: string, ret: string): string =>
    `{"task": 1, "call": "container_create", "args": [${name}, 0], "ret": "${ret}",` +
    ' "leaves": "nothing"}';

  it('ends where the script says', async () => {
    expect(
      await divergences(
        create('{"edge": "abc"}', 'EFAULT'),
        create('{"edge": "123456789012345678901234"}', 'ENAMETOOLONG'),
        create('{"bad": true}', 'EFAULT'),
        '{"task": 1, "call": "pipe", "args": [{"str": "abcdefghi"}], "ret": "EFAULT"}',
        '{"task": 1, "call": "pipe", "args": [{"out": 1, "as": "p"}], "ret": 0}',
      ),
    ).toEqual([]);
  });

  it('holds what the call wrote', async () => {
    expect(
      await divergences(
        '{"task": 1, "call": "pipe", "args": [{"out": 8, "as": "p"}], "ret": 0,' +
          ' "out": {"p": [{"i32": 3}, {"i32": 5}]}}',
        '{"task": 1, "call": "prctl", "args": ["PR_SET_NAME", {"str": "abc"}], "ret": 0}',
        '{"task": 1, "call": "prctl", "args": ["PR_GET_NAME", {"out": 16, "as": "n"}], "ret": 0,' +
          ' "out": {"n": {"str": "abc"}}}',
      ),
    ).toEqual([[2, 'p: i32 5 at 4', 'p: 4']]);
  });
});

describe('failing allocations', () => {
  const each = (call: string): string => `{"task": 1, "fail_alloc": "each", ${call}}`;

  it('leave nothing behind, one after the other', async () => {
    const lines = [
      each('"call": "container_create", "args": [{"str": "a"}, "CONTAINER_NEW_PID_NS"], "ret": 3'),
      each('"call": "fork_into_container", "args": [3], "ret": 2, "child": "i"'),
      '{"expect": "task", "task": "$i", "nspid": 1, "container": "a"}',
      each('"call": "fork", "ret": 3'),
    ];
    const { result, kernel } = await run(script(...lines));
    expect(result.divergences).toEqual([]);
    expect(kernel.target).toBe('debug');
  });

  it('need the debug kernel', async () => {
    const { result } = await run(script(each('"call": "fork", "ret": 2')), 'release');
    expect(result.divergences.map((d) => d.actual)).toEqual(['the release kernel']);
  });
});

describe('what disagrees', () => {
  it('is reported at its line', async () => {
    expect(
      await divergences(
        '{"task": 9, "call": "getpid", "ret": 9}',
        '{"task": 1, "call": "fork", "ret": 3, "child": "a"}',
        '{"task": "$a", "call": "pause", "ret": 0}',
        '{"task": "$a", "completes": "pause", "ret": 0}',
        '{"task": "$a", "dies": {"signal": 9}}',
        '{"task": "$a", "signal": "SIGUSR1"}',
        '{"task": "$a", "call": "getpid", "ret": 2}',
        '{"task": 1, "call": "getpid", "blocks": true}',
        '{"task": 1, "sleeps": true}',
        '{"expect": "task", "task": "$a", "nspid": 9}',
        '{"expect": "task", "task": "$a", "state": "gone"}',
        '{"expect": "fd", "task": 1, "fd": 9, "open": true}',
        '{"expect": "fd", "task": 1, "fd": 0, "link": "container:[*]"}',
        '{"expect": "container", "name": "nope"}',
        '{"expect": "counts", "tasks": 1}',
      ),
    ).toEqual([
      [2, 'a task', 'task 9 is gone'],
      [3, '3', '2'],
      [4, '0', 'the call sleeps'],
      [5, 'a result', 'still asleep'],
      [6, 'dies by signal 9', 'no end is pending'],
      [7, 'SIGUSR1', 'no signal'],
      [8, 'a call', 'task 2 is asleep'],
      [9, 'the call sleeps', '1'],
      [10, 'asleep', 'the task sleeps in no call'],
      [11, 'nspid 9', 'nspid 2'],
      [12, 'gone', 'state S'],
      [13, 'open true', 'open false'],
      [14, 'link container:[*]', 'link /dev/null'],
      [15, 'container nope', 'gone'],
      [16, 'tasks 1', 'tasks 2'],
    ]);
  });

  it('is a completion that no line claims', async () => {
    expect(
      await divergences(
        FORK,
        '{"task": 1, "call": "wait4", "args": [-1], "blocks": true}',
        '{"task": "$a", "call": "exit_group", "args": [0]}',
      ),
    ).toEqual([[3, 'no completion', '2, which no line claims']]);
  });

  it('is what the kernel does not have, whatever the script expects of it', async () => {
    const found = await divergences(
      '{"task": 1, "call": "openat", "args": ["AT_FDCWD", {"str": "/x"}], "ret": "ENOSYS"}',
      '{"task": 1, "call": "nanosleep", "ret": "ENOSYS"}',
      '{"task": 1, "call": "brk"}',
      '{"expect": "file", "task": 1, "path": "/proc/1/maps", "text": "x"}',
    );
    expect(found.map(([line]) => line)).toEqual([2, 3, 4, 5]);
    for (const [, , actual] of found) expect(actual).toContain('not supported by this kernel');
  });

  it('is a value that was never bound', async () => {
    expect(
      await divergences(
        '{"task": 1, "call": "fork_into_container", "args": [99], "ret": "EBADF", "child": "x"}',
        '{"task": "$x", "call": "getpid", "ret": 2}',
      ),
    ).toEqual([
      [2, 'a child', 'none'],
      [3, 'a value for $x', 'the call that saves it gave none'],
    ]);
  });
});
