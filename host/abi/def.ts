// What the tables say of one call, and the words in which they say it.
import * as OP from '../../assembly/uapi/op.ts';
import type { ResultKind } from './kinds.ts';

/** Who decides what a call does; see the classes of the replay. */
export type CallClass = 'emulated' | 'assisted' | 'unmodelled';

/** full: as Linux; partial: the note says what is missing; none: nothing of it is modelled. */
export type Support = 'full' | 'partial' | 'none';

/** A function that decides the class from the arguments or from the kind of file. */
export type ClassRule = 'byFile' | 'byCommand' | 'byOption';

/** Where a call that makes a descriptor says how it is opened. */
export interface NewFd {
  /** argument with the flags; undefined: the descriptor is always close-on-exec or never */
  readonly arg: number | undefined;
  /** the flags are the first 8 bytes behind that argument's address (openat2) */
  readonly indirect: boolean;
  readonly cloexec: bigint;
  readonly nonblock: bigint;
  readonly always: boolean;
}

/** One call. */
export interface CallDef {
  readonly op: number;
  readonly args: string;
  readonly result: ResultKind;
  readonly class: CallClass;
  readonly classBy?: ClassRule;
  readonly support: Support;
  readonly note: string;
  readonly newFd?: NewFd;
}

export type Extra = Partial<Pick<CallDef, 'classBy' | 'support' | 'note' | 'newFd' | 'class'>>;

/** The kernel alone decides. */
export function own(op: number, result: ResultKind, args = '', extra: Extra = {}): CallDef {
  return { op, args, result, class: 'emulated', support: 'full', note: '', ...extra };
}

/** The kernel decides, but not everything of the call is there. */
export function part(
  op: number,
  result: ResultKind,
  args: string,
  note: string,
  x: Extra = {},
): CallDef {
  return { op, args, result, class: 'emulated', support: 'partial', note, ...x };
}

/** The kernel has an operation for it that answers ENOSYS so far. */
export function later(op: number, result: ResultKind, args: string): CallDef {
  return { op, args, result, class: 'unmodelled', support: 'none', note: 'not there yet' };
}

/** The world decides whether it succeeds, the kernel gives the descriptor. */
export function opens(args: string, newFd: NewFd, extra: Extra = {}): CallDef {
  const note = 'the world decides success, the kernel the number';
  const rest = { support: 'partial', note, newFd, ...extra } as const;
  return { op: OP.OP_WORLD_FD, args, result: 'fd', class: 'assisted', ...rest };
}

export const O_CLOEXEC = 0x80000n;
export const O_NONBLOCK = 0x800n;
export const by = (arg: number, cloexec = O_CLOEXEC, nonblock = O_NONBLOCK): NewFd => ({
  arg,
  indirect: false,
  cloexec,
  nonblock,
  always: false,
});
export const HOW: NewFd = { ...by(2), indirect: true };
export const PLAIN: NewFd = {
  arg: undefined,
  indirect: false,
  cloexec: 0n,
  nonblock: 0n,
  always: false,
};
export const ALWAYS: NewFd = { ...PLAIN, always: true };
