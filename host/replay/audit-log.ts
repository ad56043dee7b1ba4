// The audit log of a replay. A call is logged when it is known that it happened so: what an attempt
// logged that was taken back is forgotten. Calls that the kernel has no part in are logged as they
// were recorded, so that the log has every call of the trace.
import * as OP from '../../assembly/uapi/op.ts';
import * as U from '../../assembly/uapi/audit.ts';
import { MAX_ERRNO } from '../../assembly/uapi/limits.ts';
import {
  addAuditRule,
  containersOfNamespaces,
  drainAudit,
  enableAudit,
  type RingEvent,
} from '../audit-ring.ts';
import { type ContainerOf, flagsOf } from '../audit/containers.ts';
import { type AuditCounts, AuditLogWriter, withoutCall } from '../audit/log.ts';
import type { Kernel } from '../kernel.ts';
import type { SyscallTable } from '../syscall-abi.ts';
import type { TraceLine } from '../trace/event.ts';
import { type Call, expectedRax, type Tables } from './call.ts';
import { addressOf } from './memory.ts';
import { valueOf } from './value.ts';
import type { Processes } from './processes.ts';

export interface AuditOptions {
  /** gets the lines of the log, whole ones */
  write: (text: string) => void;
  /** each new namespace of this kind makes a container */
  containerOf?: ContainerOf;
}

/** Room for the events of one call with all that it kills: 4 MiB of words. */
const RING_SHIFT = 20;
/** Numbers that a table for recorded calls has; what lies beyond is ENOSYS everywhere. */
const NUMBERS = 1024;
/** Word of a SYSCALL record where the result begins. */
const EXIT_WORD = 3;
const UNKNOWN_NAME = /^syscall_(0x[0-9a-f]+|\d+)$/;

export class AuditLog {
  readonly #kernel: Kernel;
  readonly #writer: AuditLogWriter;
  readonly #parents: Processes;
  /** what the last attempt at a call logged */
  readonly #attempts = new Map<Call, RingEvent[]>();
  readonly #argv = new Map<number, readonly string[]>();
  /** tables in which each number is a call that the world answers */
  readonly #world = new Map<SyscallTable, number>();

  constructor(kernel: Kernel, options: AuditOptions, tables: Tables, processes: Processes) {
    this.#kernel = kernel;
    this.#parents = processes;
    this.#writer = new AuditLogWriter(options.write, { argvOf: (pid) => this.#argvOf(pid) });
    enableAudit(kernel, { ringShift: RING_SHIFT, virt: true });
    addAuditRule(kernel, {});
    if (options.containerOf) containersOfNamespaces(kernel, flagsOf(options.containerOf));
    const ops = new Uint16Array(NUMBERS).fill(OP.OP_WORLD_CALL);
    for (const table of new Set([tables.x86, tables.i386])) {
      this.#world.set(table, kernel.registerTable(ops, table.compat));
    }
  }

  get counts(): AuditCounts {
    return this.#writer.counts;
  }

  /** The time of the line under way is that of what follows. No times: a millisecond a line. */
  at(line: TraceLine): void {
    this.#writer.clockNs =
      line.sec >= 0
        ? BigInt(line.sec) * 1_000_000_000n + BigInt(line.nsec)
        : BigInt(line.seq) * 1_000_000n;
  }

  /**
   * What else has happened is logged: containers that were made or ended. Calls that only the
   * replay made are not.
   */
  settle(): void {
    for (const event of drainAudit(this.#kernel)) {
      const left = withoutCall(event);
      if (left) this.#writer.put(left);
    }
  }

  /** A call has been tried: what it logged is its own, what an earlier try logged is void. */
  tried(call: Call): void {
    this.#attempts.set(call, drainAudit(this.#kernel));
  }

  /** An exit has been carried out. */
  exited(): void {
    for (const event of drainAudit(this.#kernel)) this.#writer.put(event);
  }

  /** What the kernel has just logged is nothing that the recorded task did. */
  drop(): void {
    drainAudit(this.#kernel);
  }

  /** The call happened as it was last tried, or else as it was recorded. */
  conclude(call: Call): void {
    this.settle();
    const events = this.#attempts.get(call) ?? [];
    this.#attempts.delete(call);
    if (call.row?.op === OP.OP_EXECVE || call.row?.op === OP.OP_EXECVEAT) this.#exec(call);
    const own = events.some((event) => event.records[0]?.type === U.AUDIT_SYSCALL);
    for (const event of own ? events : [...events, ...this.#recorded(call)]) {
      this.#writer.put(event);
    }
  }

  /** What the kernel would log of a call that it is not asked about. */
  #recorded(call: Call): RingEvent[] {
    const table = this.#world.get(call.table);
    const unknown = UNKNOWN_NAME.exec(call.name)?.[1];
    const number = unknown === undefined ? undefined : Number(BigInt.asIntN(32, BigInt(unknown)));
    const nr = call.row?.nr ?? number;
    const result = expectedRax(call);
    if (table === undefined || nr === undefined || result === undefined) return [];
    const frame = this.#kernel.frame.begin(call.pid, table, nr);
    call.args.slice(0, 4).forEach((arg, i) => frame.setArg(i, valueOf(arg) ?? addressOf(i)));
    if (result < 0n && result >= -MAX_ERRNO) frame.assistErrno(Number(-result));
    else frame.assistRet(0);
    this.#kernel.trap();
    const events = drainAudit(this.#kernel);
    const words = events[0]?.records[0]?.words;
    if (words && result > 0n) {
      words[EXIT_WORD] = Number(result & 0xffffffffn);
      words[EXIT_WORD + 1] = Number(result >> 32n);
    }
    return events;
  }

  #exec(call: Call): void {
    if (call.retKind !== 'value') return;
    const list = call.args.find((arg) => arg.kind === 'array');
    if (list?.kind !== 'array') return;
    this.#argv.set(
      call.pid,
      list.items.flatMap((item) => (item.kind === 'str' ? [item.value] : [])),
    );
  }

  /** The command line of a process: its own, or that of the nearest parent that is known. */
  #argvOf(pid: number): readonly string[] | undefined {
    for (let at = pid, steps = 0; at > 0 && steps < 64; ++steps) {
      const argv = this.#argv.get(at);
      if (argv) return argv;
      at = this.#parents.parentOf(at);
    }
    return undefined;
  }
}
