// Protects: every number of every table is the call that the ABI gives it, and what the rows say
// can be used (kinds parse, operations exist, lookups agree).
import { existsSync, readFileSync } from 'node:fs';
import { describe, expect, it, test } from 'vitest';
import * as OP from '../../../assembly/uapi/op.ts';
import { memorySize, parseKinds, showKind, SIZES, structSize } from '../../../host/abi/kinds.ts';
import {
  ABI_NAMES,
  type AbiName,
  isAbiName,
  opName,
  opTable,
  syscallTable,
} from '../../../host/syscall-abi.ts';

const nameOf = (abi: AbiName, nr: number): string | undefined =>
  syscallTable(abi).byNumber.get(nr)?.name;

/** Numbers of this machine's headers; their Linux may be older than the tables. */
function header(bits: 32 | 64): [nr: number, name: string][] {
  const path = `/usr/include/x86_64-linux-gnu/asm/unistd_${bits}.h`;
  if (!existsSync(path)) return [];
  const text = readFileSync(path, 'utf8');
  return [...text.matchAll(/^#define __NR_(\w+) (\d+)$/gm)].map((m) => [Number(m[2]), m[1]!]);
}

describe.each([
  ['linux-x86_64', 64],
  ['linux-i386', 32],
] as const)('%s', (abi, bits) => {
  const numbers = header(bits);
  test.skipIf(numbers.length === 0)('has the numbers of the headers', () => {
    const wrong = numbers.filter(([nr, name]) => nameOf(abi, nr) !== name);
    expect(wrong).toEqual([]);
    const known = new Set(numbers.map(([nr]) => nr));
    const last = Math.max(...known);
    const more = syscallTable(abi).rows.filter((row) => row.nr <= last && !known.has(row.nr));
    // entered only from trampolines, and not in every header
    const late = new Set(['uretprobe', 'uprobe']);
    expect(more.map((row) => row.name).filter((name) => !late.has(name))).toEqual([]);
  });
});

describe('333 to 335', () => {
  // spec: D-33
  it.each([
    ['linux-x86_64', 'io_pgetevents', 'rseq', 'uretprobe'],
    ['howells-2017', 'fsopen', 'fsmount', 'container_create'],
    ['howells-2017-example', 'container_create', 'fork_into_container', undefined],
  ] as const)('mean in %s: %s, %s, %s', (abi, ...names) => {
    expect([333, 334, 335].map((nr) => nameOf(abi, nr))).toEqual(names);
  });

  it('are 385 to 387 in the i386 table of the proposal', () => {
    const names = [385, 386, 387].map((nr) => nameOf('howells-2017-i386', nr));
    expect(names).toEqual(['fsopen', 'fsmount', 'container_create']);
  });

  it("keep the proposal's fsopen apart from today's", () => {
    const op = (abi: AbiName): number | undefined => syscallTable(abi).byName.get('fsopen')?.op;
    expect(op('howells-2017')).toBe(OP.OP_FSOPEN);
    expect(op('linux-x86_64')).toBe(OP.OP_FSOPEN_TODAY);
  });
});

describe('the tables of the proposal', () => {
  it('end where Linux 4.12 ended', () => {
    expect(nameOf('howells-2017', 332)).toBe('statx');
    expect(nameOf('howells-2017-i386', 384)).toBe('arch_prctl');
    for (const abi of ['howells-2017', 'howells-2017-example', 'howells-2017-i386'] as const) {
      expect(syscallTable(abi).byName.has('clone3')).toBe(false);
      expect(nameOf(abi, 424)).toBeUndefined();
    }
  });
});

describe('the private block', () => {
  it('stands in the tables of the proposal, in those of Linux on request', () => {
    for (const abi of ABI_NAMES) {
      const linux = abi.startsWith('linux');
      expect(syscallTable(abi).byNumber.has(1000)).toBe(!linux);
      const create = syscallTable(abi, true).byName.get('container_create');
      expect(create?.op).toBe(OP.OP_CONTAINER_CREATE);
      if (linux) expect(create?.nr).toBeGreaterThanOrEqual(1000);
    }
  });

  it("yields to a table's own number", () => {
    expect(syscallTable('howells-2017').byName.get('container_create')?.nr).toBe(335);
    expect(syscallTable('howells-2017-example').byName.get('fork_into_container')?.nr).toBe(334);
  });
});

describe.each(ABI_NAMES)('%s', (abi) => {
  const table = syscallTable(abi, true);

  it('lists every number once, in order', () => {
    const numbers = table.rows.map((row) => row.nr);
    expect(numbers).toEqual([...new Set(numbers)].sort((a, b) => a - b));
    expect(table.byNumber.size).toBe(table.rows.length);
  });

  it('gives the kernel operations that it has', () => {
    const ops = opTable(table);
    for (const row of table.rows) {
      expect(ops[row.nr], row.name).toBe(row.op);
      expect(row.op & ~OP.OP_ID16).toBeLessThan(OP.NR_OPS);
      expect(opName(row.op)).toMatch(/^[a-z][a-z0-9_]*$/);
    }
    expect(ops.reduce((n, op) => n + (op ? 1 : 0), 0)).toBe(
      table.rows.filter((row) => row.op !== OP.OP_NONE).length,
    );
  });

  it('has rows that make sense', () => {
    for (const row of table.rows) {
      expect(row.kinds.length, row.name).toBeLessThanOrEqual(6);
      for (const kind of row.kinds) {
        if (kind.kind === 'mem') expect(Object.keys(SIZES), row.name).toContain(kind.struct);
      }
      if (row.support === 'none' && row.op !== OP.OP_WORLD_CALL) {
        expect(row.note, row.name).not.toBe('');
      }
      if (row.support === 'partial') expect(row.note, row.name).not.toBe('');
      if (row.newFd?.arg !== undefined) expect(row.newFd.arg).toBeLessThan(row.kinds.length);
    }
  });
});

describe('kinds of arguments', () => {
  it('are written as they are read', () => {
    const text = 'pid out:i32 flags:wait in:sigset@3 io:pollfd*1 str';
    expect(parseKinds(text).map(showKind).join(' ')).toBe(text);
  });

  it('know their sizes in both machines', () => {
    expect([structSize('sigaction', false), structSize('sigaction', true)]).toEqual([32, 20]);
    expect([structSize('rusage', false), structSize('rusage', true)]).toEqual([144, 72]);
    const [pollfd, sigset] = parseKinds('io:pollfd*1 in:sigset@3');
    const args = (arg: number): number => [0, 3, 0, 8][arg]!;
    if (pollfd?.kind !== 'mem' || sigset?.kind !== 'mem') throw new Error('not memory');
    expect(memorySize(pollfd, false, args)).toBe(24);
    expect(memorySize(sigset, false, args)).toBe(8);
  });
});

test('names of tables', () => {
  expect(isAbiName('howells-2017')).toBe(true);
  expect(isAbiName('toString')).toBe(false);
});
