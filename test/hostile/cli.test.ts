// Protects: the command line against wrong input. Each mistake ends with status 2 (usage) or 3 (not
// a trace), one message that names the remedy, nothing on standard output and no stack trace.
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeAll, expect, it } from 'vitest';

const CLI = fileURLToPath(new URL('../../dist/cli.js', import.meta.url));
const TRACE = fileURLToPath(new URL('../../examples/jobs.strace.gz', import.meta.url));
const SCRIPT = fileURLToPath(new URL('../traces/script/fork-wait-orphan.jsonl', import.meta.url));
const USAGE = 2;
const UNREADABLE = 3;

let dir = '';

beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'bulkhead-cli-'));
  mkdirSync(join(dir, 'hollow'));
  writeFileSync(join(dir, 'empty.log'), '');
  writeFileSync(join(dir, 'prose.txt'), 'It was a bright cold day in April.\n'.repeat(40));
  // bytes of a fixed generator, none of which begins a known packing
  writeFileSync(
    join(dir, 'garbage.bin'),
    Uint8Array.from({ length: 8192 }, (_, i) => (i * 2654435761 + (i >>> 3) * 40503 + 7) >>> 9),
  );
  writeFileSync(join(dir, 'cut.gz'), Uint8Array.of(0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 0xff, 0xff));
  writeFileSync(join(dir, 'script.jsonl'), '{"bulkhead": 1}\nno JSON here\n');
  return () => rmSync(dir, { recursive: true });
});

interface Mistake {
  args: string[];
  status: number;
  /** what the message says, the remedy included */
  says: RegExp;
  input?: string;
}

const MISTAKES: Record<string, Mistake> = {
  'no command': { args: [], status: USAGE, says: /usage: bulkhead replay/ },
  'an unknown command': {
    args: ['frobnicate'],
    status: USAGE,
    says: /no such command: frobnicate[^]*try: bulkhead --help/,
  },
  'an unknown option in place of a command': {
    args: ['--frobnicate'],
    status: USAGE,
    says: /no such command: --frobnicate[^]*try: bulkhead --help/,
  },
  'an unknown table': { args: ['abi', 'vax'], status: USAGE, says: /vax; there are linux-x86_64/ },
  'no file': { args: ['replay'], status: USAGE, says: /needs a file, or - for standard input/ },
  'an unknown option': {
    args: ['replay', '--frobnicate', TRACE],
    status: USAGE,
    says: /'--frobnicate'[^]*try: bulkhead --help/,
  },
  'an option without its value': {
    args: ['replay', '--abi'],
    status: USAGE,
    says: /--abi[^]*try: bulkhead --help/,
  },
  'an unknown ABI': {
    args: ['replay', '--abi', 'vax', TRACE],
    status: USAGE,
    says: /no such ABI: vax; there are linux-x86_64/,
  },
  'an unknown format': {
    args: ['replay', '--format', 'pdf', TRACE],
    status: USAGE,
    says: /no such format: pdf; there are strace, audit, .*, ftrace, perf-script, ltrace, script/,
  },
  'a line that is no number': {
    args: ['replay', '--explain', 'x', TRACE],
    status: USAGE,
    says: /--explain takes a number, not x/,
  },
  'a seed that is no number': {
    args: ['replay', '--perturb', '-1.5'],
    status: USAGE,
    says: /try: bulkhead --help/,
  },
  'an unknown kind of container': {
    args: ['replay', '--container-of', 'docker', TRACE],
    status: USAGE,
    says: /--container-of takes pid, mnt, user, any, not docker/,
  },
  'an audit log of an explanation': {
    args: ['replay', '--audit', 'a.log', '--explain', '3', TRACE],
    status: USAGE,
    says: /--audit and --explain do not go together/,
  },
  'an explained script': {
    args: ['replay', '--explain', '3', SCRIPT],
    status: USAGE,
    says: /--explain is for logs, not for trap scripts/,
  },
  'an audit log in a folder that is not there': {
    args: ['replay', '--audit', 'nowhere/audit.log', TRACE],
    status: UNREADABLE,
    says: /nowhere\/audit\.log: ENOENT/,
  },
  'a missing file': {
    args: ['replay', 'nowhere.log'],
    status: UNREADABLE,
    says: /nowhere\.log: no such file/,
  },
  'a missing directory': {
    args: ['replay', 'nowhere/trace.log'],
    status: UNREADABLE,
    says: /nowhere\/trace\.log: no such file/,
  },
  'a directory without traces': {
    args: ['replay', 'hollow'],
    status: UNREADABLE,
    says: /hollow: no logs in this directory/,
  },
  'an empty file': {
    args: ['replay', 'empty.log'],
    status: UNREADABLE,
    says: /empty\.log: .*--format names one/,
  },
  'empty standard input': {
    args: ['replay', '-'],
    status: UNREADABLE,
    says: /-: .*--format names one/,
  },
  'prose on standard input': {
    args: ['replay', '-'],
    input: 'It was a bright cold day in April.\n',
    status: UNREADABLE,
    says: /not a trace that is known; --format names one/,
  },
  'standard input among files': {
    args: ['replay', '-', 'prose.txt'],
    status: UNREADABLE,
    says: /standard input cannot be one of several files/,
  },
  prose: {
    args: ['replay', 'prose.txt'],
    status: UNREADABLE,
    says: /prose\.txt: not a trace that is known; --format names one/,
  },
  'binary garbage': {
    args: ['replay', 'garbage.bin'],
    status: UNREADABLE,
    says: /garbage\.bin: not a trace that is known; --format names one/,
  },
  'binary garbage that is called a script': {
    args: ['replay', '--format', 'script', 'garbage.bin'],
    status: UNREADABLE,
    says: /garbage\.bin: line 1: no JSON/,
  },
  'a script with a broken line': {
    args: ['replay', 'script.jsonl'],
    status: UNREADABLE,
    says: /script\.jsonl: line \d+: /,
  },
  'a broken gzip': { args: ['replay', 'cut.gz'], status: UNREADABLE, says: /cut\.gz: / },
};

it.each(Object.entries(MISTAKES))('%s', (_name, mistake) => {
  const { args, input = '', status, says } = mistake;
  const run = spawnSync(process.execPath, [CLI, ...args], { cwd: dir, input, encoding: 'utf8' });
  expect(run.stderr).toMatch(says);
  expect(run.stderr).not.toMatch(/^\s+at .*:\d+|please report it|node:internal/m);
  expect({ status: run.status, signal: run.signal }).toEqual({ status, signal: null });
  expect(run.stdout).toBe('');
});

it('tells each command’s options', () => {
  for (const command of ['replay', 'stat', 'audit']) {
    const run = spawnSync(process.execPath, [CLI, command, '--help'], { encoding: 'utf8' });
    expect(run.stdout).toMatch(new RegExp(`^usage: bulkhead ${command} `));
    expect(run.status).toBe(0);
  }
});

it('writes the audit log of a trace, and of a script, where it is told to', () => {
  const to = join(dir, 'audit.log');
  for (const trace of [TRACE, SCRIPT]) {
    const file = spawnSync(process.execPath, [CLI, 'replay', '--audit', to, trace]);
    const out = spawnSync(process.execPath, [CLI, 'replay', '--audit', '-', trace]);
    expect([file.status, out.status]).toEqual([0, 0]);
    const log = readFileSync(to, 'latin1');
    expect(out.stdout.toString('latin1')).toBe(log);
    expect(log).toMatch(/^type=SYSCALL msg=audit\(\d+\.\d{3}:1\): arch=c000003e /);
  }
});
