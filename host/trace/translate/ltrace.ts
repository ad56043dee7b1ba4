// Text of ltrace -S: system calls among calls of libraries, four arguments of each, as numbers.
import { MAX_ERRNO } from '../../../assembly/uapi/limits.ts';
import type { SyscallTable } from '../../syscall-abi.ts';
import { argsText, CallLines, exited, nameOf, resultText } from './notation.ts';
import type { Translator } from './source.ts';

const LINE = /^(?:\[pid (\d+)\]|(\d+)) +(?:(\d+(?::\d+)*\.\d+) +)?(.*)$/;
const CALL = /^SYS_(\w+)\((.*?)(?:\)\s*= (.*)| <(?:unfinished|no return) \.\.\.>)$/;
const RESUMED = /^<\.\.\. SYS_(\w+) resumed> ?(.*)\)\s*= (.*)$/;
const VALUE = /^(-?(?:0x[0-9a-f]+|\d+))\b/;

/** Names that ltrace has and strace doesn't use. */
const OTHER_NAMES: Readonly<Record<string, string>> = { pread: 'pread64', pwrite: 'pwrite64' };

export class LtraceTranslator implements Translator {
  readonly #calls = new CallLines();
  readonly #table: SyscallTable;

  constructor(table: SyscallTable) {
    this.#table = table;
  }

  line(text: string): string {
    const hit = LINE.exec(text.endsWith('\r') ? text.slice(0, -1) : text);
    if (!hit) return '';
    const pid = Number(hit[1] ?? hit[2]);
    const prefix = `${pid} ${hit[3] === undefined ? '' : `${hit[3]} `}`;
    const rest = hit[4]!;
    const call = CALL.exec(rest);
    if (call) return this.#call(prefix, pid, this.#name(call[1]!), call[2]!, call[3]);
    const resumed = RESUMED.exec(rest);
    if (resumed) {
      const [, name, more, result] = resumed;
      return this.#resumed(prefix, pid, this.#name(name!), more!, result!);
    }
    if (rest === '--- Called exec() ---') return this.#calls.end(prefix, pid, 'execve', 0n);
    return notice(prefix, rest);
  }

  #name(name: string): string {
    if (/^\d+$/.test(name)) return nameOf(Number(name), this.#table);
    return OTHER_NAMES[name] ?? name;
  }

  #call(prefix: string, pid: number, name: string, args: string, result?: string): string {
    const shown = argsText(args.split(', '), this.#table.byName.get(name));
    if (result === undefined) return this.#calls.begin(prefix, pid, name, shown);
    const value = valueOf(result);
    if (value === undefined) return `${prefix}${name}(${shown}) = ?`;
    return `${prefix}${name}(${shown}) = ${resultText(value)}`;
  }

  #resumed(prefix: string, pid: number, name: string, more: string, result: string): string {
    const value = valueOf(result);
    return value === undefined ? '' : this.#calls.end(prefix, pid, name, value, more.trimEnd());
  }
}

/** Errors are written with 32 bits or with 64. */
function valueOf(text: string): bigint | undefined {
  const hit = VALUE.exec(text);
  if (!hit) return undefined;
  const negative = hit[1]!.startsWith('-');
  const value = BigInt(negative ? hit[1]!.slice(1) : hit[1]!);
  if (negative) return -value;
  const narrow = BigInt.asIntN(32, value);
  const isErrno = value >> 32n === 0n && narrow < 0n && narrow >= -MAX_ERRNO;
  return isErrno ? narrow : value;
}

/** `--- SIGCHLD (Child exited) ---`, `+++ exited (status 3) +++`, `+++ killed by SIGTERM +++`. */
function notice(prefix: string, rest: string): string {
  const signal = /^--- (SIG\w+) \(.*\) ---$/.exec(rest);
  if (signal) return `${prefix}--- ${signal[1]} ---`;
  const end = /^\+\+\+ exited \(status (\d+)\) \+\+\+$/.exec(rest);
  if (end) return exited(prefix, Number(end[1]));
  const killer = /^\+\+\+ killed by (SIG\w+)/.exec(rest);
  if (killer) return `${prefix}+++ killed by ${killer[1]} +++`;
  return '';
}
