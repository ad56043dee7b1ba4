// The syscall tables: which number is which call in which ABI, which operation of the kernel runs
// it, what its arguments are, and what a replay may compare. A number alone means nothing: 333 to
// 335 are three different things in the proposal's table, in its example and in today's Linux.
import * as OP from '../../assembly/uapi/op.ts';
import {
  I386_LAST_2017,
  I386_NUMBERS,
  type NumberRun,
  X86_64_LAST_2017,
  X86_64_NUMBERS,
} from './numbers.ts';
import { DEFINITIONS, type CallDefinition } from './definitions.ts';

export type AbiName =
  'linux-x86_64' | 'linux-i386' | 'howells-2017' | 'howells-2017-example' | 'howells-2017-i386';

/** Who decides a call: the kernel alone, the world one thing of it, or nobody here. */
export type CallClass = 'emulated' | 'assisted' | 'unmodelled';

/** One row of a table. */
export interface SyscallRow extends CallDefinition {
  nr: number;
  name: string;
}

export interface SyscallTable {
  name: AbiName;
  compat: boolean;
  rows: readonly SyscallRow[];
  byNumber: ReadonlyMap<number, SyscallRow>;
  byName: ReadonlyMap<string, SyscallRow>;
}

export const ABI_NAMES: readonly AbiName[] = [
  'linux-x86_64',
  'linux-i386',
  'howells-2017',
  'howells-2017-example',
  'howells-2017-i386',
];

/** Calls that the proposal describes without a number, in the private block of its tables. */
export const PRIVATE_BLOCK: readonly NumberRun[] = [
  [
    1000,
    'container_create fork_into_container container_wait container_kill container_mount ' +
      'container_chroot container_bind_mount_across container_socket container_add_key ' +
      'container_devices',
  ],
];

/** What a call is that no definition names: counted, never sent to the kernel. */
const UNMODELLED: CallDefinition = {
  op: OP.OP_NONE,
  args: [],
  class: 'unmodelled',
  support: 'none',
};

interface Recipe {
  compat: boolean;
  numbers: readonly NumberRun[];
  last: number;
  /** the proposal's own rows; they replace what is there */
  own: readonly NumberRun[];
  privateBlock: boolean;
}

const ALL = Number.POSITIVE_INFINITY;
const RECIPES: Record<AbiName, Recipe> = {
  'linux-x86_64': {
    compat: false,
    numbers: X86_64_NUMBERS,
    last: ALL,
    own: [],
    privateBlock: false,
  },
  'linux-i386': { compat: true, numbers: I386_NUMBERS, last: ALL, own: [], privateBlock: false },
  'howells-2017': {
    compat: false,
    numbers: X86_64_NUMBERS,
    last: X86_64_LAST_2017,
    own: [[333, 'fsopen_2017 fsmount_2017 container_create']],
    privateBlock: true,
  },
  'howells-2017-example': {
    compat: false,
    numbers: X86_64_NUMBERS,
    last: X86_64_LAST_2017,
    own: [[333, 'container_create fork_into_container']],
    privateBlock: true,
  },
  'howells-2017-i386': {
    compat: true,
    numbers: I386_NUMBERS,
    last: I386_LAST_2017,
    own: [[385, 'fsopen_2017 fsmount_2017 container_create']],
    privateBlock: true,
  },
};

function* expand(runs: readonly NumberRun[], last = ALL): Generator<[number, string]> {
  for (const [first, names] of runs) {
    let nr = first;
    for (const name of names.split(' ')) {
      if (nr <= last) yield [nr, name];
      nr += 1;
    }
  }
}

function build(name: AbiName, recipe: Recipe, privateCalls: boolean): SyscallTable {
  const byNumber = new Map<number, SyscallRow>();
  const add = (nr: number, key: string): void => {
    const definition = DEFINITIONS[key] ?? UNMODELLED;
    byNumber.set(nr, { ...definition, nr, name: key.replace(/_2017$/, '') });
  };
  for (const [nr, key] of expand(recipe.numbers, recipe.last)) add(nr, key);
  for (const [nr, key] of expand(recipe.own)) add(nr, key);
  if (recipe.privateBlock || privateCalls) {
    for (const [nr, key] of expand(PRIVATE_BLOCK)) add(nr, key);
  }
  const rows = [...byNumber.values()].sort((a, b) => a.nr - b.nr);
  const byName = new Map<string, SyscallRow>();
  // the lowest number of a name is the one that the table itself gives it
  for (const row of rows) if (!byName.has(row.name)) byName.set(row.name, row);
  return { name, compat: recipe.compat, rows, byNumber, byName };
}

const cache = new Map<string, SyscallTable>();

/**
 * The table of an ABI. `privateCalls` puts the private block (1000 and up) into a Linux table too,
 * where such numbers are ENOSYS otherwise.
 */
export function syscallTable(name: AbiName, privateCalls = false): SyscallTable {
  const key = `${name} ${privateCalls}`;
  let table = cache.get(key);
  if (!table) {
    table = build(name, RECIPES[name], privateCalls);
    cache.set(key, table);
  }
  return table;
}

/** Number -> operation, as Kernel.registerTable takes it. */
export function opTable(table: SyscallTable): Uint16Array {
  const last = table.rows[table.rows.length - 1]?.nr ?? 0;
  const ops = new Uint16Array(last + 1);
  for (const row of table.rows) ops[row.nr] = row.op;
  return ops;
}

export function isAbiName(name: string): name is AbiName {
  return (ABI_NAMES as readonly string[]).includes(name);
}
