// Numbers out of argument trees: signals, sets, wait statuses, flag words. Constants that the
// kernel knows come from assembly/uapi; callers hand in further names.
import * as sig from '../../assembly/uapi/signal.ts';
import type { ArgNode } from './args.ts';

/** Resolves the name of a constant; undefined if it isn't known. */
export type Resolver = (name: string) => number | bigint | undefined;

const SIGNALS = new Map<string, number>([
  ['SIGCLD', 17],
  ['SIGPOLL', 29],
  ['SIGIOT', 6],
]);
for (const [name, value] of Object.entries(sig)) {
  if (/^SIG[A-Z0-9]+$/.test(name) && value >= 1 && value <= 64) SIGNALS.set(name, value);
}
const SIGNAL_NAMES = new Map<number, string>();
for (const [name, value] of SIGNALS) {
  if (!['SIGCLD', 'SIGPOLL', 'SIGIOT', 'SIGRTMIN', 'SIGRTMAX'].includes(name)) {
    SIGNAL_NAMES.set(value, name);
  }
}

/** si_code names that aren't among the kernel's own constants; sigaction(2). */
const CODES = new Map<string, number>(
  Object.entries({
    SI_DETHREAD: -7,
    SI_ASYNCNL: -60,
    ILL_ILLOPC: 1,
    ILL_ILLOPN: 2,
    ILL_ILLADR: 3,
    ILL_ILLTRP: 4,
    ILL_PRVOPC: 5,
    ILL_PRVREG: 6,
    ILL_COPROC: 7,
    ILL_BADSTK: 8,
    FPE_INTDIV: 1,
    FPE_INTOVF: 2,
    FPE_FLTDIV: 3,
    FPE_FLTOVF: 4,
    FPE_FLTUND: 5,
    FPE_FLTRES: 6,
    FPE_FLTINV: 7,
    FPE_FLTSUB: 8,
    SEGV_BNDERR: 3,
    SEGV_PKUERR: 4,
    BUS_ADRALN: 1,
    BUS_ADRERR: 2,
    BUS_OBJERR: 3,
    BUS_MCEERR_AR: 4,
    BUS_MCEERR_AO: 5,
    TRAP_BRKPT: 1,
    TRAP_TRACE: 2,
    TRAP_BRANCH: 3,
    TRAP_HWBKPT: 4,
    POLL_IN: 1,
    POLL_OUT: 2,
    POLL_MSG: 3,
    POLL_ERR: 4,
    POLL_PRI: 5,
    POLL_HUP: 6,
    SYS_USER_DISPATCH: 2,
  }),
);
for (const [name, value] of Object.entries(sig)) {
  if (/^(SI|CLD|SEGV|ILL|FPE|BUS|TRAP|POLL|SYS)_/.test(name)) CODES.set(name, value);
}

/**
 * Number of a signal by any name a recorder uses (`SIGCHLD`, `CHLD`, `SIGRT_3`, `RTMIN`); 0 when
 * there is none. Real-time names count from 32, as in the kernel: `SIGRT_32` is signal 64.
 */
export function signalNumber(name: string): number {
  const known = SIGNALS.get(name) ?? SIGNALS.get(`SIG${name}`);
  if (known !== undefined) return known;
  const rt = /^(?:SIG)?RT_([0-9]{1,2})$/.exec(name);
  if (rt !== null) {
    const n = Number(rt[1]);
    return n <= 32 ? 32 + n : 0;
  }
  const plain = /^(?:SIG)?([0-9]{1,2})$/.exec(name);
  return plain !== null && Number(plain[1]) <= 64 ? Number(plain[1]) : 0;
}

/** Name of a signal as strace 6 prints it. */
export function signalName(signo: number): string {
  const name = SIGNAL_NAMES.get(signo);
  if (name !== undefined) return name;
  if (signo === 32) return 'SIGRTMIN';
  return signo > 32 && signo <= 64 ? `SIGRT_${signo - 32}` : String(signo);
}

/** Number of an si_code by its name. */
export function codeNumber(name: string): number | undefined {
  return CODES.get(name);
}

/** The wait status that the text between a decoded status' braces stands for. */
export function waitStatusOf(text: string): number | undefined {
  const exited = /WEXITSTATUS\(s\) == ([0-9]+)/.exec(text);
  if (exited !== null) return (Number(exited[1]) & 255) << 8;
  const killed = /WTERMSIG\(s\) == (\w+)/.exec(text);
  if (killed !== null) {
    const signo = signalNumber(killed[1] as string);
    if (signo === 0) return undefined;
    return signo | (text.includes('WCOREDUMP(s)') ? 128 : 0);
  }
  const stopped = /WSTOPSIG\(s\) == (\w+)(?: \| (0x[0-9a-f]+))?/.exec(text);
  if (stopped !== null) {
    const signo = signalNumber(stopped[1] as string);
    if (signo === 0) return undefined;
    return ((signo | Number(stopped[2] ?? 0)) << 8) | 0x7f;
  }
  return text.includes('WIFCONTINUED(s)') ? 0xffff : undefined;
}

function partValue(part: string | number | bigint, resolve: Resolver): number | bigint | undefined {
  if (typeof part !== 'string') return part;
  const shift = /^([0-9]+)<<(\w+)$/.exec(part);
  if (shift !== null) {
    const by = /^[0-9]+$/.test(shift[2] as string) ? Number(shift[2]) : resolve(shift[2] as string);
    return by === undefined ? undefined : BigInt(shift[1] as string) << BigInt(by);
  }
  return resolve(part);
}

/**
 * The number that a node stands for: an int, NULL, a constant or an or-ed word. undefined when a
 * name is unknown, or the node is no number. Signal names resolve without a resolver.
 */
export function numberOf(
  node: ArgNode | undefined,
  resolve?: Resolver,
): number | bigint | undefined {
  const find: Resolver = (name) => resolve?.(name) ?? (signalNumber(name) || undefined);
  switch (node?.kind) {
    case 'int':
      return node.value;
    case 'null':
      return 0;
    case 'sym':
      return find(node.text);
    case 'flags': {
      let sum = 0n;
      for (const part of node.parts) {
        const value = partValue(part, find);
        if (value === undefined) return undefined;
        sum |= BigInt(value);
      }
      return sum <= 9007199254740991n && sum >= -9007199254740991n ? Number(sum) : sum;
    }
    default:
      return undefined;
  }
}

/** As {@link numberOf}, but always a bigint. */
export function bigOf(node: ArgNode | undefined, resolve?: Resolver): bigint | undefined {
  const value = numberOf(node, resolve);
  return value === undefined ? undefined : BigInt(value);
}

/** As {@link numberOf}, when a double holds it exactly. */
export function smallOf(node: ArgNode | undefined, resolve?: Resolver): number | undefined {
  const value = numberOf(node, resolve);
  return typeof value === 'number' ? value : undefined;
}

/** A signal set (`[CHLD INT]`, `~[KILL STOP]`, `[]`) as its 64-bit mask; bit n-1 is signal n. */
export function sigsetOf(node: ArgNode | undefined): bigint | undefined {
  if (node?.kind !== 'array' || node.truncated) return undefined;
  let mask = 0n;
  for (const item of node.items) {
    const text = item.kind === 'sym' ? item.text : item.kind === 'int' ? item.text : '';
    const signo = signalNumber(text);
    if (signo === 0) {
      // -X raw shows a set as one hexadecimal word in brackets
      if (item.kind === 'int' && item.base === 16 && node.items.length === 1) {
        return BigInt.asUintN(64, BigInt(item.value));
      }
      return undefined;
    }
    mask |= 1n << BigInt(signo - 1);
  }
  return node.negated ? BigInt.asUintN(64, ~mask) : mask;
}

/** Members of a set of small numbers (`[3 4]`, as fd_set is shown). */
export function numberSetOf(node: ArgNode | undefined): number[] | undefined {
  if (node?.kind !== 'array') return undefined;
  const out: number[] = [];
  for (const item of node.items) {
    const value = smallOf(item);
    if (value === undefined) return undefined;
    out.push(value);
  }
  return out;
}

/** The stored wait status: `[{WIFEXITED(s) ...}]` or `[0]`. undefined for a bare address. */
export function statusOf(node: ArgNode | undefined): number | undefined {
  if (node?.kind !== 'array' || node.items.length !== 1) return undefined;
  const item = node.items[0] as ArgNode;
  if (item.kind === 'status') return item.value;
  return item.kind === 'int' && typeof item.value === 'number' ? item.value : undefined;
}

/** A field of a struct, or of an argument list, by its name. */
export function fieldOf(
  node: ArgNode | readonly ArgNode[] | undefined,
  name: string,
): ArgNode | undefined {
  if (node === undefined) return undefined;
  const list = 'kind' in node ? (node.kind === 'struct' ? node.fields : []) : node;
  return list.find((field) => field.name === name);
}

/** The bytes of a string node. */
export function bytesOf(node: ArgNode | undefined): Uint8Array | undefined {
  if (node?.kind !== 'str') return undefined;
  const out = new Uint8Array(node.value.length);
  for (let i = 0; i < out.length; i++) out[i] = node.value.charCodeAt(i);
  return out;
}

/** `5 in strace's PID NS` (a pid translation comment) as its number. */
export function translatedPid(comment: string | undefined): number | undefined {
  if (comment === undefined) return undefined;
  const hit = /(?:^|; )([0-9]+) in \S+ PID NS$/.exec(comment);
  return hit === null ? undefined : Number(hit[1]);
}
