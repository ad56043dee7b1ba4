// The syscall tables: which number is which call in which ABI, which operation of the kernel runs
// it, what its arguments are, and what a replay may compare. A number alone means nothing: 333 to
// 335 are three different things in the proposal's table, in its example and in today's Linux.
import * as OP from '../assembly/uapi/op.ts';
import {
  ALIASES,
  type CallDef,
  CONTAINER_CALLS,
  I386,
  MODELLED,
  UNIMPLEMENTED,
  UNMODELLED,
} from './abi/calls.ts';
import { type ArgKind as KindDetail, parseKinds, shortKind } from './abi/kinds.ts';
import * as N from './abi/numbers.ts';

export type { CallClass, ClassRule, NewFd, Support } from './abi/calls.ts';
export type { MemoryKind, ResultKind } from './abi/kinds.ts';
export type { KindDetail };

/** Kind of an argument in short: `pid`, `out:int`, `in:sigset`, `in:str`. */
export type ArgKind = string;

export type AbiName =
  'linux-x86_64' | 'linux-i386' | 'howells-2017' | 'howells-2017-example' | 'howells-2017-i386';

/** One row of a table. */
export interface SyscallRow extends Omit<CallDef, 'args'> {
  readonly nr: number;
  readonly name: string;
  /** what the kernel looks at; nothing of a call that makes a descriptor by the world's leave */
  readonly args: readonly ArgKind[];
  /** the same with everything that is known: sets of flags, lengths */
  readonly kinds: readonly KindDetail[];
}

export interface SyscallTable {
  readonly name: AbiName;
  /** 32-bit registers and structures */
  readonly compat: boolean;
  /** in order of number */
  readonly rows: readonly SyscallRow[];
  readonly byNumber: ReadonlyMap<number, SyscallRow>;
  /** a name with two numbers leads to the table's own, not to the private block */
  readonly byName: ReadonlyMap<string, SyscallRow>;
}

interface Recipe {
  readonly compat: boolean;
  readonly linux: readonly string[];
  /** the proposal's own rows */
  readonly proposal: string;
}

const V4_12: Recipe = { compat: false, linux: [N.X86_64_V4_12], proposal: N.HOWELLS_2017 };

const RECIPES: Readonly<Record<AbiName, Recipe>> = {
  'linux-x86_64': {
    compat: false,
    linux: [N.X86_64_V4_12, N.X86_64_LATER, N.COMMON_LATER],
    proposal: '',
  },
  'linux-i386': {
    compat: true,
    linux: [N.I386_V4_12, N.I386_LATER, N.COMMON_LATER],
    proposal: '',
  },
  'howells-2017': V4_12,
  'howells-2017-example': { ...V4_12, proposal: N.HOWELLS_2017_EXAMPLE },
  'howells-2017-i386': {
    compat: true,
    linux: [N.I386_V4_12],
    proposal: N.HOWELLS_2017_I386,
  },
};

export const ABI_NAMES = Object.keys(RECIPES) as readonly AbiName[];

export function isAbiName(name: string): name is AbiName {
  return Object.hasOwn(RECIPES, name);
}

/** What Linux's call `name` is on x86-64 or, with `compat`, on i386. */
function linuxCall(name: string, compat: boolean): CallDef {
  if (UNIMPLEMENTED.has(name)) {
    const note = 'Linux has the number and no code: ENOSYS';
    return { ...UNMODELLED, op: OP.OP_NONE, class: 'emulated', support: 'full', note };
  }
  const alias = compat ? ALIASES[name] : undefined;
  if (alias) return { ...(MODELLED[alias[0]] ?? UNMODELLED), note: alias[1] };
  const base = MODELLED[name] ?? UNMODELLED;
  const other = compat ? I386[name] : undefined;
  return other ? { ...base, ...other } : base;
}

function containerCall(name: string): CallDef {
  const call = CONTAINER_CALLS[name];
  if (!call) throw new Error(`the proposal has no call ${name}`);
  return call;
}

function row(nr: number, name: string, call: CallDef): SyscallRow {
  const kinds = parseKinds(call.args);
  const args = call.op === OP.OP_WORLD_FD ? [] : kinds.map(shortKind);
  return { ...call, nr, name, kinds, args };
}

function build(name: AbiName, privateCalls: boolean): SyscallTable {
  const { compat, linux, proposal } = RECIPES[name];
  const byNumber = new Map<number, SyscallRow>();
  for (const [nr, call] of linux.flatMap((list) => [...N.numbered(list)])) {
    byNumber.set(nr, row(nr, call, linuxCall(call, compat)));
  }
  const own = [...N.numbered(proposal)];
  if (privateCalls) own.push(...N.numbered(N.PRIVATE_BLOCK));
  for (const [nr, call] of own) byNumber.set(nr, row(nr, call, containerCall(call)));
  const rows = [...byNumber.values()].sort((a, b) => a.nr - b.nr);
  const byName = new Map<string, SyscallRow>();
  for (const one of rows) if (!byName.has(one.name)) byName.set(one.name, one);
  return { name, compat, rows, byNumber, byName };
}

const cache = new Map<string, SyscallTable>();

/**
 * The table of an ABI. The proposal's tables have the private block (1000 and up); `privateCalls`
 * puts it into a Linux table too, where such numbers are ENOSYS otherwise.
 */
export function syscallTable(name: AbiName, privateCalls = false): SyscallTable {
  const withPrivate = privateCalls || RECIPES[name].proposal !== '';
  const key = `${name} ${withPrivate}`;
  let table = cache.get(key);
  if (!table) {
    table = build(name, withPrivate);
    cache.set(key, table);
  }
  return table;
}

/** Number -> operation, as Kernel.registerTable takes it. */
export function opTable(table: SyscallTable): Uint16Array {
  const last = table.rows.at(-1)?.nr ?? 0;
  const ops = new Uint16Array(last + 1);
  for (const one of table.rows) ops[one.nr] = one.op;
  return ops;
}

const OP_NAMES = new Map<number, string>();
for (const [name, value] of Object.entries(OP)) {
  if (name.startsWith('OP_')) OP_NAMES.set(value, name.slice(3).toLowerCase());
}

/** Name of an operation of the kernel (`wait4`, `setuid16`), or its decimal. */
export function opName(op: number): string {
  const old = (op & OP.OP_ID16) !== 0;
  const name = OP_NAMES.get(old ? op & ~OP.OP_ID16 : op);
  return name ? (old ? `${name}16` : name) : String(op);
}
