// What the lines of a trap script ask for.
import type { AbiName } from '../../syscall-abi.ts';
import type { Num, Piece, Value } from './values.ts';

/** The instruction that traps. */
export type Gate = 'syscall' | 'int80' | 'sysenter';

/** Which call is made: its number in the table, or a whole set of registers. */
export type Trap =
  | { readonly by: 'number'; readonly nr: number; readonly args: readonly Value[] }
  | { readonly by: 'regs'; readonly regs: ReadonlyMap<string, Value>; readonly gate: Gate };

export interface CallEvent {
  readonly type: 'call';
  readonly line: number;
  readonly task: Num;
  /** the name in the script, undefined where it gives a number or registers */
  readonly name: string | undefined;
  readonly abi: AbiName;
  /** the name stands in the private block of a table that has it on request only */
  readonly privateCall: boolean;
  readonly trap: Trap;
  /** undefined: not compared, or anything */
  readonly ret: Num | undefined;
  /** `"?"`: there must be a result */
  readonly anyRet: boolean;
  readonly save: string | undefined;
  readonly child: string | undefined;
  readonly out: ReadonlyMap<string, readonly Piece[]>;
  readonly blocks: boolean;
  readonly failAlloc: number | 'each' | undefined;
  readonly leavesNothing: boolean;
  readonly after: ReadonlyMap<string, Num>;
}

export interface CompletesEvent {
  readonly type: 'completes';
  readonly line: number;
  readonly task: Num;
  readonly name: string;
  readonly ret: Num | undefined;
  readonly out: ReadonlyMap<string, readonly Piece[]>;
}

export interface SignalEvent {
  readonly type: 'signal';
  readonly line: number;
  readonly task: Num;
  readonly signo: number;
  readonly info: ReadonlyMap<string, Num>;
}

export interface DiesEvent {
  readonly type: 'dies';
  readonly line: number;
  readonly task: Num;
  readonly kind: 'signal' | 'code';
  readonly value: number;
}

/** An expectation: `numbers`, `texts` and `flags` are what is compared, by its key. */
export interface ExpectEvent {
  readonly type: 'expect';
  readonly line: number;
  readonly what: 'task' | 'container' | 'file' | 'fd' | 'audit' | 'sound' | 'counts';
  readonly task: Num | undefined;
  readonly numbers: ReadonlyMap<string, Num>;
  readonly texts: ReadonlyMap<string, string>;
  readonly flags: ReadonlyMap<string, boolean>;
  readonly match: RegExp | undefined;
}

export type ScriptEvent =
  | CallEvent
  | CompletesEvent
  | SignalEvent
  | DiesEvent
  | ExpectEvent
  | { readonly type: 'sleeps'; readonly line: number; readonly task: Num }
  | { readonly type: 'run'; readonly line: number }
  | { readonly type: 'clock'; readonly line: number; readonly ns: bigint };

/** A script, read whole. */
export interface Script {
  readonly abi: AbiName;
  readonly target: 'release' | 'debug' | 'smp' | undefined;
  readonly about: string | undefined;
  readonly events: readonly ScriptEvent[];
  /** physical lines: all, and those that are neither calls, signals nor ends */
  readonly lines: { readonly total: number; readonly other: number };
  /** some call makes allocations fail: the debug kernel is needed */
  readonly needsDebug: boolean;
}
