// Pieces of strace's notation, as its options -n and -e raw=all write them: calls whose arguments
// are bare numbers.
import { MAX_ERRNO } from '../../../assembly/uapi/limits.ts';
import { errnoName, signalName } from '../../abi/constants.ts';
import type { SyscallRow, SyscallTable } from '../../syscall-abi.ts';
import { isForkLike } from '../index.ts';

const ARGS = 6;

/** How a call's result is written: a value, an errno, or a restart code. */
export function resultText(result: bigint): string {
  const value = BigInt.asIntN(64, result);
  if (value >= 0n || value < -MAX_ERRNO) return String(value);
  const name = errnoName(Number(-value)) ?? `ERRNO_${-value}`;
  return name.startsWith('ERESTART') ? `? ${name}` : `-1 ${name}`;
}

/** Arguments that the call has, where our table says; registers hold more than that. */
export function argsText(args: readonly string[], row: SyscallRow | undefined): string {
  return args.slice(0, argCount(row)).join(', ');
}

function argCount(row: SyscallRow | undefined): number {
  if (row?.class === 'emulated') return row.args.length;
  return Math.max(row?.args.length ?? 0, row?.kinds.length ?? 0) || ARGS;
}

export function nameOf(nr: number, table: SyscallTable): string {
  return table.byNumber.get(nr)?.name ?? `syscall_0x${nr.toString(16)}`;
}

/** Lines of one task's calls. */
export class CallLines {
  readonly #open = new Set<number>();

  begin(prefix: string, pid: number, name: string, args: string): string {
    if (name === 'exit' || name === 'exit_group') return `${prefix}${name}(${args}) = ?`;
    this.#open.add(pid);
    return `${prefix}${name}(${args} <unfinished ...>`;
  }

  /** `more`: arguments that were not shown where the call began. */
  end(prefix: string, pid: number, name: string, result: bigint, more = ''): string {
    // a child's own return from the call that made it; a call from before the log
    const known = this.#open.delete(pid);
    if (!known && (result === 0n || isForkLike(name))) return '';
    return `${prefix}<... ${name} resumed>${more}) = ${resultText(result)}`;
  }
}

export const exited = (prefix: string, code: number): string =>
  `${prefix}+++ exited with ${code} +++`;

export const killed = (prefix: string, signo: number): string =>
  `${prefix}+++ killed by ${signalName(signo)} +++`;
