// The plainest lines take a way of their own through the reader, halves of calls that come again
// another, and calls that the kernel has no part in one through the replay: whichever way a line
// takes, everything about it is the same.
import * as fs from 'node:fs';
import * as path from 'node:path';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { replayTrace } from '../../../host/replay.ts';
import { blocksNow } from '../../../host/trace/blocks.ts';
import type { SigInfoFields, TraceLine } from '../../../host/trace/event.ts';
import { linesNow } from '../../../host/trace/lines.ts';
import type { LineSink, PlainCall } from '../../../host/trace/sink.ts';
import { openSource, type TraceSource } from '../../../host/trace/source.ts';
import { StraceContext, StraceReader } from '../../../host/trace/strace.ts';
import { PlainReader } from '../../../host/trace/strace/plain.ts';

const DIR = fileURLToPath(new URL('../../traces', import.meta.url));
const FILES = fs
  .readdirSync(DIR)
  .filter((name) => /\.strace\.(gz|zst)$/.test(name))
  .map((name) => path.join(DIR, name));

/** Everything that a line says. */
function facts(line: TraceLine): Record<string, unknown> {
  const { kind, seq, pid, pidShown, comm, timeKind, sec, nsec, duration, nr, ip, name } = line;
  const { retKind, ret, errno, retText, injected, delayed, note, text, argText, file } = line;
  const own = { kind, seq, pid, pidShown, comm, timeKind, sec, nsec, duration, nr, ip, name, file };
  const start = line.start?.seq;
  return {
    ...own,
    line: line.line,
    start,
    retKind,
    ret,
    errno,
    retText,
    injected,
    delayed,
    note,
    text,
    argText,
    args: line.args,
    info: line.siginfo && { ...shownInfo(line.siginfo), fields: line.siginfo.fields },
  };
}

/** What a signal line tells, whatever kind of object holds it. */
function shownInfo(info: SigInfoFields): object {
  const { signo, code, codeName, errno, pid, uid, status, value, pidInRecorderNs } = info;
  return { signo, code, codeName, errno, pid, uid, status, value, pidInRecorderNs };
}

/** What a plain call is told to be, of a line that has been decoded. */
function plainFacts(line: TraceLine): Omit<PlainCall, 'decode'> {
  const { seq, pid, name, errno } = line;
  return { seq, line: line.line, pid, name, ret: Number(line.ret), errno: errno ?? '' };
}

interface Read {
  facts: object[];
  plain: number;
  totals: unknown;
}

/** Reads by texts, and so that plain calls are told as such where `plain` holds their numbers. */
function readTexts(bytes: Uint8Array, plain: ReadonlySet<number> = new Set()): Read {
  const context = new StraceContext();
  const reader = new StraceReader(context);
  const out: Read['facts'] = [];
  for (const text of linesNow([bytes])) {
    const line = reader.read(text);
    out.push(plain.has(line.seq) ? plainFacts(line) : facts(line));
  }
  return { facts: out, plain: plain.size, totals: [context.lines, context.calls] };
}

/** Reads from bytes, in blocks cut from chunks of this size. */
function readBytes(bytes: Uint8Array, takes: boolean, chunk: number): [Read, Set<number>] {
  const context = new StraceContext();
  const reader = new StraceReader(context);
  const out: Read['facts'] = [];
  const plain = new Set<number>();
  const sink: LineSink = {
    line: (line) => out.push(facts(line)),
    takesPlain: () => takes,
    plain({ seq, line, pid, name, ret, errno }) {
      plain.add(seq);
      out.push({ seq, line, pid, name, ret, errno });
    },
  };
  const own = new PlainReader(sink);
  const chunks = function* (): Iterable<Uint8Array> {
    for (let i = 0; i < bytes.length; i += chunk) yield bytes.subarray(i, i + chunk);
  };
  for (const block of blocksNow(chunks())) reader.readBlock(block, own, sink);
  return [{ facts: out, plain: plain.size, totals: [context.lines, context.calls] }, plain];
}

function expectSame(bytes: Uint8Array, chunk = 4096): number {
  const [decoded] = readBytes(bytes, false, chunk);
  expect(decoded).toEqual(readTexts(bytes));
  const [told, plain] = readBytes(bytes, true, chunk);
  expect(told).toEqual(readTexts(bytes, plain));
  return plain.size;
}

async function bytesOf(source: TraceSource): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  for await (const chunk of source.files[0]!.chunks()) parts.push(chunk);
  return Buffer.concat(parts);
}

const HEAD = '7  close(3) = 0\n';
/** Lines that are nearly of the plain form, and some that are. */
const LINES = [
  'close(3) = 0',
  'close(3)                = 0',
  'close(3)= 0',
  'close(3) =0',
  'close(3) = ',
  'close() = 00',
  'umask(022) = 022',
  'brk(NULL) = 0x55d0c0ffee00',
  'brk(NULL) = 0x',
  'brk(NULL) = 0xABC',
  'mmap(NULL) = 0xffffffffffffff',
  'read(3, "a = 1) = 2", 10) = 10',
  'read(3, "a\\"b", 10) = 10',
  'read(3, "torn) = 5',
  'read(3, "torn\\") = 5',
  'read(3</a.>) = 5',
  'read(3</a>) = 5',
  'read(3<unfinished ...>) = 5',
  'read(3, <unfinished ...>) = ?',
  'access("/x", R_OK) = -1 ENOENT (No such file or directory)',
  'access("/x", R_OK) = -1 ENOENT (No such file or directory) (INJECTED)',
  'access("/x", R_OK) = -1 ENOENT (INJECTED)',
  'access("/x", R_OK) = -1 EIO (Input/output error)',
  'pause() = -1 EINTR (Interrupted system call)',
  'x() = -1 E (Odd)',
  'x() = -1 (errno 512)',
  'x() = -1',
  'x() = ? ERESTARTSYS (To be restarted if SA_RESTART is set)',
  'exit_group(0) = ?',
  'poll([{fd=3}], 1, 0) = 1 ([{fd=3, revents=POLLIN}])',
  'openat(AT_FDCWD, "/x") = 3</x>',
  'close(3) = 0 <0.000012>',
  'close(3) = 12345678901234567890',
  '1close(3) = 0',
  '_x9(a) = 7',
  'close(3) = 0 ',
  'close = 0',
  ') = 0',
  '',
  '<... close resumed>) = 0',
  '12:00:01 close(3) = 0',
  '[  3] close(3) = 0',
];

describe('plain lines', () => {
  const files = FILES.filter((file) => fs.statSync(file).size < 50_000);
  it.each(files.map((file) => [path.basename(file), file]))('%s', async (_, file) => {
    const source = await openSource([file]);
    const bytes = await bytesOf(source);
    source.close();
    expectSame(bytes);
  });

  it('are told apart from those that only look like it', () => {
    for (const pid of ['7  ', '0 ', '1234567890 ', '7<sh> ', '[pid 7] ', '']) {
      for (const end of ['\n', '\r\n', '']) {
        for (const text of LINES) expectSame(Buffer.from(`${HEAD}${pid}${text}${end}`, 'latin1'));
      }
    }
    const all = LINES.map((text) => `7  ${text}\n`).join('');
    expect(expectSame(Buffer.from(HEAD + all, 'latin1'))).toBeGreaterThan(8);
    for (const chunk of [1, 2, 3, 7, 64]) expectSame(Buffer.from(HEAD + all, 'latin1'), chunk);
  });

  it('and mangled ones are the same on both ways', () => {
    const arb = fc.tuple(
      fc.constantFrom(...LINES),
      fc.array(fc.tuple(fc.nat(60), fc.nat(255)), { maxLength: 4 }),
      fc.nat(80),
    );
    const property = fc.property(fc.array(arb, { maxLength: 12 }), fc.nat(40), (lines, chunk) => {
      const mangled = lines.map(([text, changes, length]) => {
        const bytes = Buffer.from(`7  ${text}`.slice(0, length + 3), 'latin1');
        for (const [at, byte] of changes) if (at < bytes.length) bytes[at] = byte;
        return Buffer.concat([bytes, Buffer.from('\n')]);
      });
      expectSame(Buffer.concat([Buffer.from(HEAD), ...mangled]), chunk + 1);
    });
    fc.assert(property, { numRuns: 500, seed: 20170523 });
  });
});

/** Halves, whole calls between them, and lines that end what has begun. */
const HALVES = [
  'close(3 <unfinished ...>',
  'close(4 <unfinished ...>',
  '<... close resumed>) = 0',
  '<... close resumed>) = -1 EBADF (Bad file descriptor)',
  '<... close resumed>) = ? ERESTARTSYS (To be restarted if SA_RESTART is set)',
  '<... close resumed>) = 0 (INJECTED)',
  '<... close resumed>) = 0 <0.000012>',
  '<... close resumed> <unfinished ...>',
  'rt_sigprocmask(SIG_BLOCK, [],  <unfinished ...>',
  'rt_sigprocmask(SIG_BLOCK, NULL,  <unfinished ...>',
  '<... rt_sigprocmask resumed>NULL, 8) = 0',
  '<... rt_sigprocmask resumed>[], 8) = 0',
  'wait4(-1,  <unfinished ...>',
  '<... wait4 resumed>[{WIFEXITED(s) && WEXITSTATUS(s) == 0}], 0, NULL) = 9',
  'close(3 <detached ...>',
  'execve("/a", [], 0 /* 0 vars */ <pid changed to 8 ...>',
  'close(3 <unfinished #2 ...>',
  'getpid() = 7',
  '--- SIGCHLD {si_signo=SIGCHLD, si_code=CLD_EXITED, si_pid=9, si_uid=0, si_status=0} ---',
  '--- SIGCHLD {si_signo=SIGCHLD, si_code=CLD_EXITED, si_pid=10, si_uid=0, si_status=0} ---',
  "--- SIGCHLD {si_signo=SIGCHLD, si_code=CLD_EXITED, si_pid=9 /* 3 in strace's PID NS */} ---",
  '--- SIGALRM {si_signo=SIGALRM, si_code=SI_KERNEL} ---',
  '+++ exited with 0 +++',
];

describe('halves of calls', () => {
  const arb = fc.array(fc.tuple(fc.constantFrom(7, 8, 9), fc.nat(HALVES.length - 1)), {
    minLength: 60,
    maxLength: 200,
    size: 'max',
  });

  it('that come again are read as they were the first time', () => {
    const property = fc.property(arb, fc.nat(400), fc.boolean(), (lines, chunk, carriage) => {
      const text = lines
        .map(([pid, i]) => `${pid}  ${HALVES[i]}${carriage ? '\r' : ''}\n`)
        .join('');
      expectSame(Buffer.from(HEAD + text, 'latin1'), chunk + 1);
    });
    fc.assert(property, { numRuns: 200, seed: 20170524 });
  });
});

describe('a replay', () => {
  it.each(FILES.map((file) => [path.basename(file), file]))(
    'counts the same whether lines are decoded or not: %s',
    async (_, file) => {
      const source = await openSource([file]);
      const quick = (await replayTrace(source, file)).result;
      // whoever watches sees every line decoded
      let watched = 0;
      const watch = (): void => void (watched += 1);
      const slow = (await replayTrace(source, file, { watch })).result;
      source.close();
      expect(watched).toBe(2 * slow.lines.total);
      expect({ ...quick, seconds: 0 }).toEqual({ ...slow, seconds: 0 });
    },
  );
});
