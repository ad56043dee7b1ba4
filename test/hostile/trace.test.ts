// Mangled logs: whatever the bytes, no exception, and every line counted in exactly one sort.
import * as fs from 'node:fs';
import * as path from 'node:path';
import { fileURLToPath } from 'node:url';
import * as zlib from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { detectFormat } from '../../host/trace/detect.ts';
import { IndexBuilder } from '../../host/trace/index.ts';
import { LineSplitter } from '../../host/trace/lines.ts';
import { StraceContext, StraceReader } from '../../host/trace/strace.ts';
import { parseArgs } from '../../host/trace/strace/arg-parser.ts';

const DIR = fileURLToPath(new URL('../traces', import.meta.url));
const SEED = 20170523;
const RUNS = Number(process.env['BULKHEAD_RUNS'] ?? 300);

const NAMES = ['sh_jobs_f', 'threads_12', 'pidns_3_trans', 'opt_C_summary', 'ltp_dup202', 'sigs_f'];
const STYLES = ['terminal', 'comm-paths', 'ip-number', 'stacks', 'relative-and-day'];
const LOGS = [
  ...NAMES.map((name) => `${name}.strace.gz`),
  ...STYLES.map((name) => `styles/${name}.strace.gz`),
].map((name) => zlib.gunzipSync(fs.readFileSync(path.join(DIR, name))));

/** Reads bytes to the end and through every getter; checks the accounts. */
function digest(bytes: Uint8Array, chunk = 65536): StraceContext {
  const context = new StraceContext();
  const reader = new StraceReader(context);
  const builder = new IndexBuilder();
  const splitter = new LineSplitter();
  let lines = 0;
  const take = (text: string): void => {
    const line = reader.read(text);
    lines++;
    expect(line.line).toBe(lines);
    void line.args;
    void line.siginfo;
    void line.retDetail;
    builder.add(line);
  };
  for (let i = 0; i < bytes.length; i += chunk) {
    for (const text of splitter.push(bytes.subarray(i, i + chunk))) take(text);
  }
  const rest = splitter.end();
  if (rest !== undefined) take(rest);
  context.finish();
  builder.finish();
  const { total, calls, signals, exits, other, unparsed } = context.lines;
  let newlines = 0;
  for (const byte of bytes) if (byte === 10) newlines++;
  const expected = newlines + (bytes.length > 0 && bytes[bytes.length - 1] !== 10 ? 1 : 0);
  expect(total).toBe(expected);
  expect(calls + signals + exits + other + unparsed).toBe(total);
  const sum = context.calls;
  expect(sum.whole + sum.unfinished + sum.resumed).toBe(calls);
  expect(sum.neverResumed).toBeGreaterThanOrEqual(0);
  return context;
}

describe('mangled logs', () => {
  it('survives a cut at any byte', () => {
    fc.assert(
      fc.property(
        fc.nat(LOGS.length - 1),
        fc.double({ min: 0, max: 1, noNaN: true }),
        (which, at) => {
          const log = LOGS[which] as Buffer;
          const from = Math.floor(at * log.length);
          const context = digest(log.subarray(0, from));
          // only the last line can have suffered
          expect(context.lines.unparsed).toBeLessThanOrEqual(1);
          digest(log.subarray(from, from + 20000));
        },
      ),
      { seed: SEED, numRuns: Math.ceil(RUNS / 4) },
    );
  });

  it('survives every cut inside of single lines', () => {
    const lines = LOGS.flatMap((log) => log.toString('latin1').split('\n').slice(0, 25));
    for (const line of new Set(lines)) {
      for (let i = 0; i <= line.length; i += 1 + (line.length >> 6)) {
        digest(Buffer.from(line.slice(0, i), 'latin1'));
        digest(Buffer.from(line.slice(i), 'latin1'));
      }
    }
  });

  it('survives bytes changed, removed, doubled and swapped', () => {
    const edit = fc.record({
      at: fc.double({ min: 0, max: 1, noNaN: true }),
      kind: fc.nat(3),
      byte: fc.nat(255),
      length: fc.integer({ min: 1, max: 300 }),
    });
    fc.assert(
      fc.property(
        fc.nat(LOGS.length - 1),
        fc.array(edit, { minLength: 1, maxLength: 40 }),
        fc.nat(4000),
        (which, edits, from) => {
          let log: Uint8Array = (LOGS[which] as Buffer).subarray(from, from + 30000);
          for (const { at, kind, byte, length } of edits) {
            const p = Math.floor(at * log.length);
            const head = log.subarray(0, p);
            const part = log.subarray(p, p + length);
            const tail = log.subarray(p + length);
            const behind = log.subarray(p + 1);
            if (kind === 0) log = Buffer.concat([head, Uint8Array.of(byte), behind]);
            else if (kind === 1) log = Buffer.concat([head, tail]);
            else if (kind === 2) log = Buffer.concat([head, part, part, tail]);
            else log = Buffer.concat([tail, part, head]);
          }
          digest(log, 1 + (from % 5000));
        },
      ),
      { seed: SEED, numRuns: RUNS },
    );
  });

  it('survives random bytes and random strace-like words', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 3000 }), (bytes) => {
        digest(bytes, 100);
        detectFormat(Buffer.from(bytes).toString('latin1'));
      }),
      { seed: SEED, numRuns: RUNS },
    );
    const word = fc.constantFrom(
      '1 ',
      '[pid 2] ',
      'read(',
      '"',
      ')',
      ' = ',
      '<... ',
      ' resumed>',
      ' <unfinished ...>',
      '--- SIGCHLD {',
      '} ---',
      '+++ ',
      'exited with 1 +++',
      '[',
      ']',
      '{',
      '}',
      ', ',
      '=> ',
      '|',
      '0x1',
      '-1',
      'NULL',
      '\\',
      '\n',
      '/* ',
      ' */',
      '~[',
      '<',
      '>',
      '@"',
      '...',
      'strace: Process 3 attached',
      '(',
      '1<<',
      '12:00:01 ',
      '% time calls syscall',
      '?',
      ' ',
    );
    fc.assert(
      fc.property(fc.array(word, { maxLength: 60 }), (words) => {
        const text = words.join('');
        digest(Buffer.from(text, 'latin1'));
        parseArgs(text);
        detectFormat(text);
      }),
      { seed: SEED, numRuns: RUNS * 10 },
    );
  });
});

describe('huge lines', () => {
  const MEGABYTES = 8 << 20;
  const units = [
    'a',
    '"',
    '\\"',
    '[',
    '{',
    '=> ',
    '<',
    '(',
    'a(',
    '0x1|',
    '/* ',
    'A=',
    ', ',
    '= ',
    ') = ',
    ' ',
    '[1]=',
    '...',
    '<... ',
    'x(1, ',
    '"", ',
    '|',
    '1<<',
    '~[',
    '9',
    '/**/',
    '"a',
    '0 ',
  ];
  it.each(units)(
    'of %j',
    (unit) => {
      for (const [head, tail] of [
        ['1 read(', ') = 0'],
        ['', ''],
        ['1 --- SIGCHLD {', '} ---'],
        ['1 read(3', ' <unfinished ...>'],
        ['1 <... read resumed>', ') = 0'],
      ] as const) {
        const body = unit.repeat(Math.ceil((MEGABYTES >> 3) / unit.length));
        const begin = performance.now();
        digest(Buffer.from(`${head}${body}${tail}\n`, 'latin1'));
        // linear work takes a fraction of this; quadratic work would take hours
        expect(performance.now() - begin).toBeLessThan(20000);
      }
    },
    120000,
  );

  it('keeps a whole call of many megabytes', () => {
    const text = 'x'.repeat(MEGABYTES);
    const context = new StraceContext();
    const line = new StraceReader(context).read(`1 write(1, "${text}", ${text.length}) = 5`);
    expect(line).toMatchObject({ kind: 'call', ret: 5 });
    expect(line.args[1]).toMatchObject({ kind: 'str', value: text });
  });
});
