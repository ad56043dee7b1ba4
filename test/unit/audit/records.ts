// Audit logs for tests, written as the daemon writes them.
import type { TraceSource } from '../../../host/trace/source.ts';

export interface CallParts {
  pid: number;
  ppid?: number;
  /** number of the call */
  nr: number;
  args?: readonly number[];
  /** undefined: the call did not return */
  exit?: number;
  sec?: number;
  node?: string;
}

/** A SYSCALL record. */
export function syscall(serial: number, parts: CallParts): string {
  const { pid, ppid = 1, nr, args = [], exit, sec = 1000, node } = parts;
  const hex = [0, 1, 2, 3].map(
    (i) => `a${i}=${BigInt.asUintN(64, BigInt(args[i] ?? 0)).toString(16)}`,
  );
  const result = exit === undefined ? '' : ` success=${exit < 0 ? 'no' : 'yes'} exit=${exit}`;
  return (
    `${node === undefined ? '' : `node=${node} `}type=SYSCALL msg=audit(${sec}.000:${serial}): ` +
    `arch=c000003e syscall=${nr}${result} ${hex.join(' ')} items=0 ppid=${ppid} pid=${pid} ` +
    'auid=1000 uid=0 gid=0 euid=0 suid=0 fsuid=0 egid=0 sgid=0 fsgid=0 tty=(none) ses=3 ' +
    'comm="x" exe="/bin/x" key=(null)'
  );
}

/** The last record of an event. */
export function proctitle(serial: number, sec = 1000): string {
  return `type=PROCTITLE msg=audit(${sec}.000:${serial}): proctitle="x"`;
}

/** Events of one call each, serials from 1. */
export function calls(...parts: CallParts[]): string[] {
  return parts.flatMap((one, i) => [syscall(i + 1, one), proctitle(i + 1, one.sec)]);
}

/** A source that holds these lines. */
export function sourceOf(lines: readonly string[], name = 'audit.log'): TraceSource {
  const bytes = Buffer.from(lines.map((line) => `${line}\n`).join(''), 'latin1');
  const chunksNow = (): Iterable<Uint8Array> => [bytes];
  async function* chunks(): AsyncIterable<Uint8Array> {
    yield bytes;
  }
  return {
    name,
    files: [{ name, pid: 0, size: bytes.length, chunks, chunksNow }],
    isSet: false,
    progress: { done: 0, total: bytes.length },
    warnings: [],
    close: () => undefined,
  };
}

export const NR = {
  close: 3,
  clone: 56,
  fork: 57,
  vfork: 58,
  execve: 59,
  exit: 60,
  wait4: 61,
  kill: 62,
  exit_group: 231,
  waitid: 247,
  unshare: 272,
  setns: 308,
  clone3: 435,
} as const;
