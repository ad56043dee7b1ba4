// Which container each event of an audit log belongs to. A task's container is known when the log
// shows where it was born, or says so itself; it is followed through forks, unshare and setns.
// What the records leave open stays open, with the reason.
import { CLONE_NEWPID } from '../../assembly/uapi/sched.ts';
import type { AuditEvent } from '../trace/audit/assemble.ts';
import { callFacts, type CallFacts } from '../trace/audit/facts.ts';
import { field, numberField, untrusted } from '../trace/audit/fields.ts';
import { type AuditPlan, type Birth, type Inner, taskKey } from '../trace/audit/plan.ts';
import { type AuditContainer, type ContainerOf, Containers, flagsOf } from './containers.ts';
import { Joins } from './joins.ts';

/** Why an event cannot be attributed. */
export const REASONS = {
  before: 'the task was there before the log, or its fork is not in it',
  clone3: 'the task descends from a clone3, whose flags no record shows',
  setns: 'the task joined a namespace that no record names',
  process: 'the event names no process',
  syscall: 'the record of the call is missing',
} as const;
export type Reason = keyof typeof REASONS;

/** A task, as far as the log shows it. */
export interface AuditTask {
  pid: number;
  ppid: number;
  node: string;
  comm: string;
  container: AuditContainer | undefined;
  /** why `container` is not known */
  why: Reason;
  /** where its next children are born, when elsewhere: unshare, setns of a pid namespace */
  next: AuditContainer | undefined;
  nextWhy: Reason | undefined;
  inner: Inner;
  /** `exit 3`, `ended`; '' while it lives */
  end: string;
}

export interface AttributionOptions {
  /** namespaces that count as containers; undefined: those of the log's own records alone */
  containerOf: ContainerOf | undefined;
  /** tasks from before the log are the host's */
  assumeHost?: boolean;
  /** a clone3 whose flags are not shown makes no namespace */
  assumeClone3?: boolean;
  /** told of every task and container, for those who keep them */
  onTask?: (task: AuditTask) => void;
}

/** What is known of one event. */
export interface Attributed {
  container: AuditContainer | undefined;
  /** set where the container is not known */
  why: Reason | undefined;
  /** the event says so itself */
  told: boolean;
}

export class Attribution {
  readonly containers = new Containers();
  readonly tasks = new Map<string, AuditTask>();
  readonly #plan: AuditPlan;
  readonly #options: AttributionOptions;
  readonly #joins: Joins;
  #at = 0;

  constructor(plan: AuditPlan, options: AttributionOptions) {
    this.#plan = plan;
    this.#options = options;
    this.#joins = new Joins((node, pid) => this.tasks.get(taskKey(node, pid))?.container);
  }

  /** The next event, in order of reading. */
  add(event: AuditEvent): Attributed {
    const at = ++this.#at;
    for (const birth of this.#plan.begins.get(at) ?? []) {
      const facts = birth.event?.syscall && callFacts(birth.event.syscall);
      if (facts !== undefined) this.#born(birth, facts, birth.event!);
    }
    const facts = event.syscall && callFacts(event.syscall);
    if (facts !== undefined) this.#onCall(facts, event, at);
    const told = this.#ownRecords(event, facts?.pid);
    if (facts !== undefined) return this.#result(this.#task(event.node, facts.pid), told);
    return this.#withoutCall(event, told);
  }

  /** The container of a task that an event is about. */
  of(node: string, pid: number): Attributed {
    const task = this.tasks.get(taskKey(node, pid));
    if (task === undefined) return { container: undefined, why: 'before', told: false };
    return this.#result(task, undefined);
  }

  #result(task: AuditTask, told: AuditContainer | undefined): Attributed {
    const container = told ?? task.container;
    const why = container === undefined ? task.why : undefined;
    return { container, why, told: told !== undefined };
  }

  #withoutCall(event: AuditEvent, told: AuditContainer | undefined): Attributed {
    if (told !== undefined) return { container: told, why: undefined, told: true };
    for (const record of event.records) {
      if (record.type === 'SYSTEM_BOOT') this.#reboot(event.node);
      const pid = numberField(record, 'pid');
      if (pid !== undefined && pid > 0) return this.#result(this.#task(event.node, pid), undefined);
    }
    const lost = event.records.some((one) => /^(?:PATH|CWD|EXECVE|PROCTITLE)$/.test(one.type));
    return { container: undefined, why: lost ? 'syscall' : 'process', told: false };
  }

  #reboot(node: string): void {
    for (const [key, task] of this.tasks) {
      if (task.node !== node) continue;
      task.end ||= 'ended';
      this.tasks.delete(key);
    }
  }

  #task(node: string, pid: number): AuditTask {
    return this.tasks.get(taskKey(node, pid)) ?? this.#newTask(node, pid, 0, undefined);
  }

  #newTask(node: string, pid: number, ppid: number, from: AuditTask | undefined): AuditTask {
    const host = from === undefined && this.#options.assumeHost === true;
    const task: AuditTask = {
      pid,
      ppid,
      node,
      comm: from?.comm ?? '',
      container: host ? this.containers.get(node, '1') : from?.container,
      why: from?.why ?? 'before',
      next: undefined,
      nextWhy: undefined,
      inner: from?.inner ?? 'no',
      end: '',
    };
    this.tasks.set(taskKey(node, pid), task);
    this.#options.onTask?.(task);
    return task;
  }

  #onCall(facts: CallFacts, event: AuditEvent, at: number): void {
    const { node } = event;
    let task = this.#task(node, facts.pid);
    // an ended task's number on a task that nothing made: another one, unseen until now
    if (task.end !== '') task = this.#newTask(node, facts.pid, facts.ppid, undefined);
    if (task.ppid === 0) task.ppid = facts.ppid;
    if (facts.comm !== undefined) task.comm = facts.comm;
    const birth = this.#plan.births.get(at);
    if (birth !== undefined && birth.begin === at) this.#born(birth, facts, event);
    if (facts.name === 'exit_group') {
      task.end = `exit ${Number((facts.args[0] ?? 0n) & 0xffn)}`;
      this.#joins.forget(task);
      return;
    }
    if (facts.retKind !== 'value') return;
    if (facts.name === 'unshare') this.#unshare(task, facts, event);
    else if (facts.name === 'setns') this.#setns(task, facts);
    else this.#joins.watch(task, facts, event);
  }

  #create(parent: AuditTask, event: AuditEvent): AuditContainer {
    const container = this.containers.create(event.node, parent.container);
    container.creator = parent.pid;
    container.serial = event.serial;
    container.sec = event.sec;
    return container;
  }

  #bits(unshare = false): number {
    const { containerOf } = this.#options;
    return containerOf === undefined ? 0 : flagsOf(containerOf, unshare);
  }

  /** A task is made: in its parent's container, in the one for its children, or in a new one. */
  #born(birth: Birth, facts: CallFacts, event: AuditEvent): void {
    const parent = this.#task(event.node, birth.pid);
    if (birth.thread || birth.child === 0) return;
    const child = this.#newTask(event.node, birth.child, birth.pid, parent);
    this.#joins.inherit(parent, child);
    child.inner = birth.inner === 'unknown' ? parent.inner : birth.inner;
    if (parent.next !== undefined || parent.nextWhy !== undefined) {
      child.container = parent.next;
      child.why = parent.nextWhy ?? 'before';
    }
    const bits = this.#bits();
    if (bits === 0) return;
    const shown = facts.name !== 'clone' || facts.args[0] !== undefined;
    if (facts.name !== 'clone3' && shown) {
      const flags = facts.name === 'clone' ? Number((facts.args[0] ?? 0n) & 0xffffffffn) : 0;
      if (flags & bits) child.container = this.#create(parent, event);
      return;
    }
    this.#bornByHidden(birth, parent, child, event);
  }

  /** The flags are not shown; numbers that a task's calls return may tell its pid namespace. */
  #bornByHidden(birth: Birth, parent: AuditTask, child: AuditTask, event: AuditEvent): void {
    // the parent's container is what is missing first
    if (this.#options.assumeClone3 || child.container === undefined) return;
    if (this.#options.containerOf === 'pid' && birth.inner !== 'unknown') {
      if (birth.inner === 'no') return;
      if (parent.inner === 'no' && parent.next === undefined) {
        child.container = this.#create(parent, event);
        return;
      }
    }
    child.container = undefined;
    child.why = 'clone3';
  }

  #unshare(task: AuditTask, facts: CallFacts, event: AuditEvent): void {
    const flags = Number((facts.args[0] ?? 0n) & 0xffffffffn) & this.#bits(true);
    if (flags === 0) return;
    // a new pid namespace is for the caller's children alone
    if (flags === CLONE_NEWPID) {
      task.next = this.#create(task, event);
      task.nextWhy = undefined;
      return;
    }
    task.container = this.#create(task, event);
    task.next = undefined;
    task.nextWhy = undefined;
  }

  #setns(task: AuditTask, facts: CallFacts): void {
    const bits = this.#bits(true);
    if (bits === 0) return;
    const join = this.#joins.join(task, facts);
    if ((join.flags & bits) === 0) return;
    const childrenOnly = (join.flags & bits) === CLONE_NEWPID;
    if (childrenOnly) {
      task.next = join.container;
      task.nextWhy = join.container === undefined ? 'setns' : undefined;
    } else {
      task.container = join.container;
      task.why = 'setns';
      task.next = undefined;
      task.nextWhy = undefined;
    }
  }

  /** Records of a kernel with containers. Return: what the event says of its own task. */
  #ownRecords(event: AuditEvent, caller: number | undefined): AuditContainer | undefined {
    let told: AuditContainer | undefined;
    for (const record of event.records) {
      if (record.type === 'CONTAINER_ID') {
        const container = this.containers.read(event.node, field(record, 'contid') ?? '');
        if (field(record, 'record') === '1' || field(record, 'record') === undefined) {
          told = container;
          if (caller !== undefined) this.#task(event.node, caller).container = container;
        }
      } else if (record.type === 'CONTAINER_OP') {
        this.#onOp(record, event);
      }
    }
    return told;
  }

  #onOp(record: AuditEvent['records'][number], event: AuditEvent): void {
    const { node } = event;
    const failed = field(record, 'res') === '0';
    const op = field(record, 'op');
    const contid = this.containers.read(node, field(record, 'contid') ?? '');
    const opid = numberField(record, 'opid') ?? 0;
    if (failed || (contid === undefined && op !== 'drop')) return;
    switch (op) {
      case 'create':
        contid!.name = untrusted(record, 'cname') ?? contid!.name;
        contid!.parent ??= this.containers.read(node, field(record, 'parent-contid') ?? '');
        contid!.serial = event.serial;
        contid!.sec = event.sec;
        contid!.creator = numberField(event.syscall ?? record, 'pid') ?? 0;
        break;
      case 'enter':
      case 'set':
        if (opid > 0) this.#task(node, opid).container = contid;
        break;
      case 'dead':
        contid!.end = endOf(numberField(record, 'exit'));
        break;
      case 'drop': {
        const old = this.containers.read(node, field(record, 'old-contid') ?? '');
        if (old !== undefined) old.end ||= 'ended';
        break;
      }
      default:
    }
  }
}

/** A wait status for people. */
function endOf(status: number | undefined): string {
  if (status === undefined) return 'ended';
  return status & 0x7f ? `signal ${status & 0x7f}` : `exit ${status >> 8}`;
}
