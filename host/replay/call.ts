// A recorded call as the replay handles it: where it stands, what it was asked, what it answered.
import type { SyscallRow, SyscallTable } from '../syscall-abi.ts';
import { errnoNumber } from '../abi/constants.ts';
import type { History } from './history.ts';
import type { KnownSet } from './known-set.ts';
import type { Namespaces } from './identities.ts';
import { hasNames, spell } from './spell.ts';
import type { ArgNode } from '../trace/args.ts';
import type { RetKind, TraceLine } from '../trace/event.ts';

/** What shows the arguments of a call: they are decoded when somebody asks for them. */
export interface ShowsArgs {
  readonly args: ArgNode[];
}

export class Call {
  seq: number;
  /** line to report */
  line: number;
  pid: number;
  name: string;
  row: SyscallRow | undefined;
  table: SyscallTable;
  /** the line, or the pair of halves, that shows the arguments */
  shown: ShowsArgs;
  retKind: RetKind;
  ret: number | bigint | undefined;
  errno: string | undefined;
  /** the line that shows the result */
  ended: TraceLine;
  /** the text behind `= ` */
  retText: string;
  injected: boolean;
  /** what it shows names namespaces by the recorder's numbers */
  names: Namespaces | undefined = undefined;
  /** the kernel has run it */
  done = false;
  /** what interrupts it is being carried out */
  settling = false;
  /** it sleeps in the kernel */
  asleep = false;
  /** what the kernel answered, once it has */
  answer: bigint | undefined = undefined;
  /** why what it shows can't be compared: it was taken from the log itself */
  blind: string | undefined = undefined;
  /** what shows the arguments of a call in two halves; undefined: its line has all of them */
  pair: { readonly argText: string } | undefined = undefined;
  readonly #first: TraceLine;

  constructor(line: TraceLine, row: SyscallRow | undefined, table: SyscallTable) {
    this.seq = line.seq;
    this.line = line.line;
    this.pid = line.pid;
    this.name = line.name;
    this.row = row;
    this.table = table;
    this.shown = line;
    this.retKind = line.retKind;
    this.ret = line.ret;
    this.errno = line.errno;
    this.ended = line;
    this.retText = line.retText;
    this.injected = line.injected;
    this.#first = line;
  }

  /** The whole call, for people and for those who look for a word in it. */
  get text(): string {
    return this.pair ? `${this.name}(${this.pair.argText})` : this.#first.text;
  }

  get args(): ArgNode[] {
    return hasNames(this.name) ? spell(this.name, this.shown.args) : this.shown.args;
  }

  /** `= 3</path>`: what the recorder says the new descriptor is. */
  get retPath(): string | undefined {
    // it stands there only where the recorder was asked for paths
    return this.ended.retText.includes('<') ? this.ended.retDetail.path : undefined;
  }
}

/** A recorded task. */
export interface ReplayTask {
  pid: number;
  /** the call whose end the log has not shown yet */
  open: Call | undefined;
  /** exit or exit_group has been called and not carried out: its code */
  exiting: { code: number; group: boolean; nr: number; table: SyscallTable } | undefined;
  /** name of an open call whose end has been settled already */
  answered: string;
  dead: boolean;
  /** its parent, and whether a SIGCHLD line told of its end */
  parent: number;
  told: boolean;
  /** a filter of system calls that it has */
  filter: 'filter' | 'strict' | undefined;
  /** a stop or continue that another dropped, which may have been taken before */
  flushed: { signo: number; sender: number } | undefined;
  /** the fatal signal that it took */
  took: number;
  /** wait status that the kernel gave its end, when it came before its line */
  ended: number | undefined;
  /** wait status of its end line */
  end: number | undefined;
  /** result register and number of the last call, for the return to user mode */
  lastRet: number | bigint;
  lastNr: number;
  lastName: string;
  /** the last call shown was interrupted by a signal */
  interrupted: boolean;
  lastTable: SyscallTable;
  readonly history: History;
  /** is its signal mask known? Those who have it from the same task find out together */
  mask: { known: boolean };
  /** facts from before the log, or that the log doesn't show */
  ppidKnown: boolean;
  groupKnown: boolean;
  sidKnown: boolean;
  readonly limitsKnown: KnownSet;
  /** which of its ids and capability sets are known: bit per field (creds.ts) */
  credKnown: number;
  bsetKnown: bigint;
  readonly actionsKnown: KnownSet;
  /** signals whose actions were set by calls that do not show them */
  readonly actionsUnseen: KnownSet;
}

/** The recorded result as the kernel's register would hold it; undefined when it isn't shown. */
export function registerOf(call: Call): number | bigint | undefined {
  switch (call.retKind) {
    case 'value':
      return call.ret;
    case 'error':
    case 'restart': {
      const errno = errnoNumber(call.errno ?? '');
      return errno === undefined ? undefined : -errno;
    }
    default:
      return undefined;
  }
}

/** As {@link registerOf}, for comparing with what the kernel answered. */
export function expectedRax(call: Call): bigint | undefined {
  const register = registerOf(call);
  return register === undefined ? undefined : BigInt(register);
}

/** The recorded result for people, as far as it has to be put together. */
export function shownResult(call: Call): number | bigint | string {
  if (call.retKind === 'error') return `-1 ${call.errno ?? ''}`;
  if (call.retKind === 'restart') return `? ${call.errno ?? ''}`;
  return call.ret ?? '?';
}

/** The recorded result for people. */
export function expectedText(call: Call): string {
  return String(shownResult(call));
}

export function failed(call: Call): boolean {
  return call.retKind === 'error' || call.retKind === 'restart';
}

/** The tables that a log's calls are of. */
export interface Tables {
  x86: SyscallTable;
  i386: SyscallTable;
}

export type RowOf = readonly [SyscallRow | undefined, SyscallTable];

const rows = new WeakMap<Tables, Map<string, RowOf>>();

/** Which table a call of this name is of, where the log shows no number. */
export function rowOfName(tables: Tables, name: string): RowOf {
  let known = rows.get(tables);
  if (!known) rows.set(tables, (known = new Map()));
  let found = known.get(name);
  if (!found) {
    const row = tables.x86.byName.get(name);
    found = row ? [row, tables.x86] : [tables.i386.byName.get(name), tables.i386];
    // names that are none come out of mangled logs, without end
    if (found[0]) known.set(name, found);
  }
  return found;
}

/** Which table a line's call is of: i386 calls stand in a log without a mark. */
export function rowOf(tables: Tables, line: TraceLine): RowOf {
  if (line.nr >= 0) {
    for (const table of [tables.x86, tables.i386]) {
      const row = table.byName.get(line.name);
      if (row?.nr === line.nr) return [row, table];
    }
  }
  return rowOfName(tables, line.name);
}
