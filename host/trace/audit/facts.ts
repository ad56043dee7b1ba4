// What a SYSCALL record says of its call. The numbers of calls become names by our own tables.
import { PID_MAX_LIMIT } from '../../../assembly/uapi/limits.ts';
import { errnoName, evaluate } from '../../abi/constants.ts';
import { syscallTable, type SyscallRow, type SyscallTable } from '../../syscall-abi.ts';
import type { RetKind } from '../event.ts';
import { archOf, field, idField, numberField, untrusted } from './fields.ts';
import type { AuditRecord } from './record.ts';

/** The tables that numbers are looked up in. */
export interface AuditTables {
  x86: SyscallTable;
  i386: SyscallTable;
}

export const LINUX_TABLES: AuditTables = {
  x86: syscallTable('linux-x86_64'),
  i386: syscallTable('linux-i386'),
};

/** One call, as its record shows it. */
export interface CallFacts {
  record: AuditRecord;
  /** process: threads are not told apart */
  pid: number;
  /** parent, 0 when it is not shown (or outside the recorder's pid namespace) */
  ppid: number;
  /** table of the machine; undefined: not one of ours, `name` says which */
  table: SyscallTable | undefined;
  row: SyscallRow | undefined;
  nr: number;
  name: string;
  /** registers a0..a3; undefined where the text is not a number */
  args: (bigint | undefined)[];
  /** as written */
  argTexts: string[];
  retKind: RetKind;
  ret: number | bigint | undefined;
  errno: string | undefined;
  /** uid, gid, euid, suid, fsuid, egid, sgid, fsgid, as far as they are numbers */
  uid: number | undefined;
  auid: number | undefined;
  ses: number | undefined;
  comm: string | undefined;
}

const MAX_ERRNO = 4095;

function bigOrNumber(text: string): number | bigint | undefined {
  if (!/^(?:-?\d{1,20}|0x[0-9a-f]{1,16})$/i.test(text)) return undefined;
  const big = BigInt(text);
  return big >= -9007199254740991n && big <= 9007199254740991n ? Number(big) : big;
}

type Result = Pick<CallFacts, 'retKind' | 'ret' | 'errno'>;

function failure(errno: string): Result {
  const restart = errno.startsWith('ERESTART');
  return { retKind: restart ? 'restart' : 'error', ret: restart ? undefined : -1, errno };
}

/** `exit=`: decimal; in interpreted logs a name for errors. Without it the call did not return. */
function resultOf(record: AuditRecord): Result {
  const text = field(record, 'exit');
  const name = /^(E[A-Z0-9_]{1,30})(?:\(|$)/.exec(text ?? '')?.[1];
  if (name !== undefined) return failure(name);
  const value = text === undefined ? undefined : bigOrNumber(text);
  if (value === undefined) return { retKind: 'unknown', ret: undefined, errno: undefined };
  if (typeof value === 'number' && value < 0 && value >= -MAX_ERRNO) {
    if (field(record, 'success') !== 'yes') return failure(errnoName(value));
  }
  return { retKind: 'value', ret: value, errno: undefined };
}

const X32 = 0x40000000;

function callOf(
  record: AuditRecord,
  tables: AuditTables,
): Pick<CallFacts, 'table' | 'row' | 'nr' | 'name'> {
  const arch = archOf(field(record, 'arch'));
  const table = arch === undefined ? undefined : arch === 'i386' ? tables.i386 : tables.x86;
  const text = field(record, 'syscall') ?? '';
  const nr = /^\d{1,10}$/.test(text) ? Number(text) : -1;
  if (table === undefined) return { table, row: undefined, nr, name: `${text}@other` };
  if (nr < 0) {
    const row = table.byName.get(text);
    return { table, row, nr: row?.nr ?? -1, name: text === '' ? '?' : text };
  }
  // x32 has numbers of its own behind this bit, most of them the same calls
  if (table === tables.x86 && nr >= X32)
    return { table, row: undefined, nr, name: `x32_${nr - X32}` };
  const row = table.byNumber.get(nr);
  return { table, row, nr, name: row?.name ?? `syscall_${nr}` };
}

/** A register: hex in raw logs; in interpreted ones with 0x, or as names of bits. */
function argOf(record: AuditRecord, text: string): bigint | undefined {
  if (record.form !== 'interpreted') {
    return /^[0-9a-f]{1,16}$/i.test(text) ? BigInt(`0x${text}`) : undefined;
  }
  return /^[\w|]{1,300}$/.test(text) ? evaluate(text) : undefined;
}

/** What a SYSCALL record says; undefined when it does not name a process. */
export function callFacts(record: AuditRecord, tables = LINUX_TABLES): CallFacts | undefined {
  const pid = numberField(record, 'pid');
  if (pid === undefined || pid <= 0 || pid > PID_MAX_LIMIT) return undefined;
  const argTexts = ['a0', 'a1', 'a2', 'a3'].map((name) => field(record, name) ?? '');
  return {
    record,
    pid,
    ppid: Math.max(numberField(record, 'ppid') ?? 0, 0),
    ...callOf(record, tables),
    args: argTexts.map((text) => argOf(record, text)),
    argTexts,
    ...resultOf(record),
    uid: idField(record, 'uid'),
    auid: idField(record, 'auid'),
    ses: idField(record, 'ses'),
    comm: untrusted(record, 'comm'),
  };
}

/** Number of a successful call's result that is one; 0 for all others. */
export function resultNumber(facts: CallFacts): number {
  return facts.retKind === 'value' && typeof facts.ret === 'number' ? facts.ret : 0;
}
