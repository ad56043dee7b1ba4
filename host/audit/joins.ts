// Which namespace a setns joined. The call names a descriptor; what that descriptor is, the log
// shows where it was opened (/proc/PID/ns/KIND, pidfd_open), duplicated, inherited and closed.
import * as FCNTL from '../../assembly/uapi/fcntl.ts';
import type { AuditEvent } from '../trace/audit/assemble.ts';
import type { CallFacts } from '../trace/audit/facts.ts';
import { resultNumber } from '../trace/audit/facts.ts';
import { untrusted } from '../trace/audit/fields.ts';
import type { AuditTask } from './attribution.ts';
import { type AuditContainer, flagsOf, NAMESPACES } from './containers.ts';

/** What a descriptor leads into. */
interface Target {
  /** CLONE_NEW* of the namespace; 0: a process, with all of its namespaces */
  flags: number;
  container: AuditContainer | undefined;
}

/** Descriptors of namespaces and processes that one task has. */
type Table = ReadonlyMap<number, Target>;

const NS_PATH = /^\/proc\/(self|thread-self|\d{1,7})(?:\/task\/\d{1,7})?\/ns\/(\w+)$/;
/** A task with more of them than that loses the rest: the log decides how many it opens. */
const TARGETS_MAX = 64;

export class Joins {
  readonly #tables = new Map<AuditTask, Table>();
  readonly #containerOf: (node: string, pid: number) => AuditContainer | undefined;

  constructor(containerOf: (node: string, pid: number) => AuditContainer | undefined) {
    this.#containerOf = containerOf;
  }

  #set(task: AuditTask, fd: number, target: Target | undefined): void {
    const old = this.#tables.get(task);
    if (target === undefined && !old?.has(fd)) return;
    // tables are shared with children until written
    const table = new Map(old);
    if (target === undefined) table.delete(fd);
    else if (table.size < TARGETS_MAX) table.set(fd, target);
    if (table.size === 0) this.#tables.delete(task);
    else this.#tables.set(task, table);
  }

  inherit(parent: AuditTask, child: AuditTask): void {
    const table = this.#tables.get(parent);
    if (table !== undefined) this.#tables.set(child, table);
  }

  forget(task: AuditTask): void {
    this.#tables.delete(task);
  }

  /** A call that succeeded and may make, copy or close such a descriptor. */
  watch(task: AuditTask, facts: CallFacts, event: AuditEvent): void {
    const [a0, a1] = facts.args;
    const ret = resultNumber(facts);
    const first = Number(BigInt.asIntN(32, a0 ?? -1n));
    switch (facts.name) {
      case 'open':
      case 'openat':
      case 'openat2':
        this.#set(task, ret, this.#opened(task, event));
        break;
      case 'pidfd_open':
        this.#set(task, ret, { flags: 0, container: this.#containerOf(task.node, first) });
        break;
      case 'dup':
        this.#copy(task, first, ret);
        break;
      case 'dup2':
      case 'dup3':
        this.#copy(task, first, Number(BigInt.asIntN(32, a1 ?? -1n)));
        break;
      case 'fcntl': {
        const command = Number(a1 ?? -1n);
        if (command === FCNTL.F_DUPFD || command === FCNTL.F_DUPFD_CLOEXEC) {
          this.#copy(task, first, ret);
        }
        break;
      }
      case 'close':
        this.#set(task, first, undefined);
        break;
      default:
    }
  }

  #copy(task: AuditTask, from: number, to: number): void {
    this.#set(task, to, this.#tables.get(task)?.get(from));
  }

  #opened(task: AuditTask, event: AuditEvent): Target | undefined {
    for (const record of event.records) {
      const hit = record.type === 'PATH' && NS_PATH.exec(untrusted(record, 'name') ?? '');
      if (!hit) continue;
      const flags = NAMESPACES[hit[2]!];
      if (flags === undefined) continue;
      const own = hit[1]!.endsWith('self') || Number(hit[1]) === task.pid;
      const container = own ? task.container : this.#containerOf(task.node, Number(hit[1]));
      return { flags, container };
    }
    return undefined;
  }

  /** What a setns joined: the kinds of namespace, and the container that they are of. */
  join(task: AuditTask, facts: CallFacts): Target {
    const asked = Number((facts.args[1] ?? 0n) & 0xffffffffn);
    const target = this.#tables.get(task)?.get(Number(BigInt.asIntN(32, facts.args[0] ?? -1n)));
    const flags = asked || target?.flags || flagsOf('any', true);
    return { flags, container: target?.container };
  }
}
