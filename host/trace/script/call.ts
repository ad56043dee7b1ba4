// Reads the lines of a trap script that make a call.
import {
  ABI_NAMES,
  type AbiName,
  isAbiName,
  type SyscallRow,
  syscallTable,
} from '../../syscall-abi.ts';
import type { CallEvent, Gate, ScriptEvent, Trap } from './events.ts';
import {
  Fields,
  labelsIn,
  type Num,
  readNum,
  readOutputs,
  readValue,
  type Value,
} from './values.ts';

const KEYS = [
  'task',
  'call',
  'nr',
  'regs',
  'code',
  'abi',
  'args',
  'ret',
  'save',
  'out',
  'blocks',
  'child',
  'fail_alloc',
  'leaves',
  'after',
];

const GENERAL = 'ax bx cx dx si di bp sp'.split(' ');
const REGS_64 = new Set([
  ...GENERAL.map((name) => `r${name}`),
  ...'r8 r9 r10 r11 r12 r13 r14 r15 rip rflags'.split(' '),
]);
const REGS_32 = new Set([...GENERAL.map((name) => `e${name}`), 'eip', 'eflags']);

const GATES: Readonly<Record<string, Gate>> = {
  '0f05': 'syscall',
  cd80: 'int80',
  '0f34': 'sysenter',
};

/** The table that a line names. */
export function abiOf(f: Fields, otherwise: AbiName): AbiName {
  const name = f.text('abi') ?? otherwise;
  if (isAbiName(name)) return name;
  return f.fail(`no table is called "${name}"; there are ${ABI_NAMES.join(', ')}`);
}

function gateOf(f: Fields, compat: boolean): Gate {
  const code = f.text('code');
  if (code === undefined) return compat ? 'int80' : 'syscall';
  const gate = GATES[code.toLowerCase()];
  if (gate === undefined) return f.fail(`"code": "${code}" is none of 0f05, cd80, 0f34`);
  if ((gate === 'syscall') === compat) {
    f.fail(`"code": ${code} does not go with a table of ${compat ? 'i386' : 'x86-64'}`);
  }
  return gate;
}

function readRegs(f: Fields, compat: boolean): Trap {
  if (f.has('args')) f.fail('"args" goes with "call" or "nr"; "regs" has its own values');
  const gate = gateOf(f, compat);
  const fields = new Fields(f.line, '"regs"', f.get('regs'));
  const known = compat ? REGS_32 : REGS_64;
  const regs = new Map<string, Value>();
  for (const name of fields.keys()) {
    if (!known.has(name)) fields.fail(`the table's machine has no register "${name}"`);
    regs.set(name, readValue(fields, fields.get(name), name));
  }
  return { by: 'regs', regs, gate };
}

function readArgs(f: Fields): Value[] {
  const args = f.get('args');
  if (!f.has('args')) return [];
  if (!Array.isArray(args)) return f.fail('"args" is no array');
  if (args.length > 6) f.fail(`${args.length} arguments; a call has at most six`);
  return args.map((arg, i) => readValue(f, arg, `args[${i}]`));
}

interface Which {
  trap: Trap;
  name: string | undefined;
  row: SyscallRow | undefined;
}

function readWhich(f: Fields, abi: AbiName): Which {
  const ways = ['call', 'nr', 'regs'].filter((key) => f.has(key));
  if (ways.length > 1) f.fail(`"${ways.join('" and "')}": one of them names the call`);
  const table = syscallTable(abi);
  if (f.has('regs')) return { trap: readRegs(f, table.compat), name: undefined, row: undefined };
  if (f.has('code')) f.fail('"code" goes with "regs"');
  if (f.has('after')) f.fail('"after" goes with "regs"');
  const args = readArgs(f);
  if (f.has('nr')) {
    const nr = f.plain('nr') ?? 0;
    return { trap: { by: 'number', nr, args }, name: undefined, row: undefined };
  }
  const name = f.text('call') ?? '';
  const row = table.byName.get(name) ?? syscallTable(abi, true).byName.get(name);
  if (row === undefined) return f.fail(`neither ${abi} nor the private block has "${name}"`);
  return { trap: { by: 'number', nr: row.nr, args }, name, row };
}

/** The result that must come: an errno's name stands for the negative number. */
export function readRet(f: Fields): Num | undefined {
  const value = f.get('ret');
  if (value === '?') return undefined;
  const num = f.num('ret');
  const isErrno = typeof value === 'string' && /^E[A-Z0-9_]+$/.test(value);
  return isErrno && typeof num === 'bigint' ? -num : num;
}

function readFailAlloc(f: Fields): CallEvent['failAlloc'] {
  if (!f.has('fail_alloc')) return undefined;
  if (f.get('fail_alloc') === 'each') return 'each';
  const n = f.plain('fail_alloc');
  return n ? n : f.fail('"fail_alloc" is a number from 1 up, or "each"');
}

function readAfter(f: Fields): Map<string, Num> {
  const after = new Map<string, Num>();
  if (!f.has('after')) return after;
  const fields = new Fields(f.line, '"after"', f.get('after'));
  for (const name of fields.keys()) {
    if (!REGS_64.has(name) && !REGS_32.has(name)) fields.fail(`no register is called "${name}"`);
    after.set(name, readNum(fields, fields.get(name), name));
  }
  return after;
}

function name(f: Fields, key: string): string | undefined {
  const value = f.text(key);
  if (value !== undefined && !/^\w+$/.test(value)) f.fail(`"${key}": "${value}" is no name`);
  return value;
}

/** Buffers are named once in a call, and only named ones have contents to compare. */
function checkLabels(f: Fields, trap: Trap, out: CallEvent['out']): void {
  const values = trap.by === 'regs' ? [...trap.regs.values()] : trap.args;
  const labels = values.flatMap(labelsIn);
  const twice = labels.find((label, i) => labels.indexOf(label) !== i);
  if (twice !== undefined) f.fail(`two buffers are called "${twice}"`);
  const stray = [...out.keys()].find((label) => !labels.includes(label));
  if (stray !== undefined) f.fail(`"out": no buffer of this call is called "${stray}"`);
}

/** Reads a call. */
export function readCall(f: Fields, headerAbi: AbiName): CallEvent {
  f.only(...KEYS);
  const task = f.num('task') ?? f.fail('"task" is missing');
  const abi = abiOf(f, headerAbi);
  const which = readWhich(f, abi);
  const blocks = f.bool('blocks') ?? false;
  const wrong = blocks ? ['ret', 'save', 'out', 'after'].find((key) => f.has(key)) : undefined;
  if (wrong !== undefined) f.fail(`a call that sleeps has no "${wrong}"`);
  const leaves = f.text('leaves');
  if (leaves !== undefined && leaves !== 'nothing') f.fail('"leaves" is "nothing"');
  const out = readOutputs(f);
  checkLabels(f, which.trap, out);
  return {
    type: 'call',
    line: f.line,
    task,
    name: which.name,
    abi,
    privateCall: which.row !== undefined && !syscallTable(abi).byNumber.has(which.row.nr),
    trap: which.trap,
    ret: readRet(f),
    anyRet: f.get('ret') === '?',
    save: name(f, 'save'),
    child: name(f, 'child'),
    out,
    blocks,
    failAlloc: readFailAlloc(f),
    leavesNothing: leaves === 'nothing',
    after: readAfter(f),
  };
}

/** Names that a line gives to values. */
export function saves(event: ScriptEvent): string[] {
  if (event.type !== 'call') return [];
  return [event.save, event.child].filter((one) => one !== undefined);
}
