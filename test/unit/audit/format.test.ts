// Protects: lines of the audit log that audit tools have to read: command lines of any length and
// content, numbers of calls that no table has, the order of an event's records.
import { expect, it } from 'vitest';
import * as U from '../../../assembly/uapi/audit.ts';
import { AuditFormatter } from '../../../host/audit/format.ts';
import { execArgs } from '../../../host/trace/audit/fields.ts';
import { parseRecord } from '../../../host/trace/audit/record.ts';

/** Longest line that ausearch reads (audit-userspace, MAX_AUDIT_MESSAGE_LENGTH). */
const LINE_MAX = 8970;

/** A SYSCALL record as the kernel writes it: number `nr`, of process 7. */
function syscall(nr: number): Uint32Array {
  const words = new Uint32Array(34);
  words.set([0, nr, U.AUDITSC_SUCCESS]);
  words[14] = 7;
  return words;
}

function linesOf(nr: number, argv?: readonly string[]): string[] {
  const format = new AuditFormatter({ argvOf: () => argv });
  const path = Uint32Array.of(4, 0x6e69622f); // "/bin"
  return format.lines({
    serial: 1n,
    clockNs: 0n,
    leftOut: 0,
    records: [
      { type: U.AUDIT_SYSCALL, words: syscall(nr) },
      { type: U.AUDIT_PATH, words: path },
    ],
    twins: [],
  });
}

const bodies = (lines: readonly string[], type: string): string[] =>
  lines
    .filter((line) => line.startsWith(`type=${type} `))
    .map((line) => line.slice(line.indexOf('): ') + 3));

it('a new program has its arguments, between the call and the command line', () => {
  const lines = linesOf(59, ['sh', '-c', 'exit 3']);
  expect(lines.map((line) => /^type=(\w+)/.exec(line)![1])).toEqual([
    'SYSCALL',
    'EXECVE',
    'PATH',
    'PROCTITLE',
  ]);
  expect(bodies(lines, 'EXECVE')).toEqual(['argc=3 a0="sh" a1="-c" a2=657869742033']);
  expect(bodies(lines, 'PROCTITLE')).toEqual(['proctitle=7368002D63006578697420' + '33']);
});

it.each([
  ['many', Array.from({ length: 3000 }, (_, i) => `argument${i}`)],
  ['a long one', ['sh', 'x'.repeat(20_000), 'y']],
  ['a long one in hexadecimal', ['sh', 'x y'.repeat(7000)]],
])('%s: arguments are in as many lines as tools can read', (_, argv) => {
  const lines = linesOf(59, argv);
  expect(Math.max(...lines.map((line) => line.length))).toBeLessThan(LINE_MAX);
  const records = lines
    .filter((line) => line.startsWith('type=EXECVE '))
    .map((line) => parseRecord(line, 1, 0)!);
  expect(records.length).toBeGreaterThan(1);
  expect(execArgs(records)).toEqual(argv);
  expect(bodies(lines, 'PROCTITLE')[0]!.length).toBeLessThan(300);
});

it('a number that no table has is signed', () => {
  expect(bodies(linesOf(0xffffffff), 'SYSCALL')[0]).toContain(' syscall=-1 ');
});
