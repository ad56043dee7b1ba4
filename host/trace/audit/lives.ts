// Which tasks of an audit log live, as far as its records determine it. The log has no record of
// an end by signal: a task that was waited for has ended, and so has one whose child has another
// parent now, or that a signal did not find.
import { WCONTINUED, WEXITED, WNOHANG, WSTOPPED, WUNTRACED } from '../../../assembly/uapi/wait.ts';
import { type CallFacts, resultNumber } from './facts.ts';
import { field, numberField } from './fields.ts';
import type { AuditEvent } from './assemble.ts';
import { actsAfter, type AuditPlan, type Birth } from './plan.ts';

/** A task as the log shows it so far. */
interface Known {
  ppid: number;
  threads: Set<number>;
  children: Set<number>;
  /** numbers of children in the task's own pid namespace, where they are others */
  local: Map<number, number> | undefined;
  /** second in which it called exit_group; -1 before */
  exited: number;
}

/** An end that the records determine. */
export interface End {
  pid: number;
  /** the signal that caused it, 0 when that is not known */
  signo: number;
  why: string;
  /** nothing is left of it */
  reaped: boolean;
}

const P_PID = 1;
/** An exit is over after this many seconds, whether its parent waits or not. */
const EXIT_S = 2;
const WCLONE = 0x8000_0000;

export class Lives {
  readonly #plan: AuditPlan;
  readonly #node: string;
  readonly #tasks = new Map<number, Known>();
  /** tasks that called exit_group and may still be on their way, in order */
  readonly #leaving = new Set<number>();

  constructor(plan: AuditPlan, node: string) {
    this.#plan = plan;
    this.#node = node;
  }

  #task(pid: number): Known {
    let task = this.#tasks.get(pid);
    if (task === undefined) {
      task = { ppid: 0, threads: new Set(), children: new Set(), local: undefined, exited: -1 };
      this.#tasks.set(pid, task);
    }
    return task;
  }

  /** A call made a task. */
  born(birth: Birth): void {
    const parent = this.#task(birth.pid);
    if (birth.thread) {
      parent.threads.add(birth.ret);
      return;
    }
    const { child, ret } = birth;
    if (child === 0) return;
    this.#leaving.delete(child);
    if (child !== ret) (parent.local ??= new Map()).set(ret, child);
    this.#tasks.delete(child);
    this.#task(child).ppid = birth.pid;
    parent.children.add(child);
  }

  /** Number of one thread besides the first, taken out; 0: there is none. */
  takeThread(pid: number): number {
    const threads = this.#tasks.get(pid)?.threads;
    for (const tid of threads ?? []) {
      threads!.delete(tid);
      return tid;
    }
    return 0;
  }

  /** A program's start ends all other threads. */
  endThreads(pid: number): End[] {
    const threads = this.#tasks.get(pid)?.threads;
    if (threads === undefined || threads.size === 0) return [];
    const ends = [...threads].map((tid) => ({
      pid: tid,
      signo: 0,
      why: 'thread of an exec',
      reaped: true,
    }));
    threads.clear();
    return ends;
  }

  /** The task has called exit_group; whoever waits for it may see that later than others' ends. */
  exit(pid: number, sec: number): void {
    this.#task(pid).exited = sec;
    this.#leaving.add(pid);
  }

  /** Exits that are over by now. Without a time: all of them. */
  endsDue(sec = Infinity): End[] {
    const ends: End[] = [];
    for (const pid of this.#leaving) {
      const since = this.#tasks.get(pid)?.exited ?? -Infinity;
      if (since + EXIT_S > sec && sec >= since) break;
      ends.push(...this.end(pid, 0, 'exited'));
    }
    return ends;
  }

  /** A number that is used again: its last bearer is gone. */
  endsBeforeBirth(birth: Birth): End[] {
    const { child, thread } = birth;
    return !thread && this.#tasks.has(child)
      ? this.end(child, 0, 'its number is used again', true)
      : [];
  }

  /** The task and its threads are gone. */
  end(pid: number, signo: number, why: string, reaped = false): End[] {
    const task = this.#tasks.get(pid);
    this.#leaving.delete(pid);
    this.#tasks.delete(pid);
    this.#tasks.get(task?.ppid ?? 0)?.children.delete(pid);
    const threads = [...(task?.threads ?? [])].map((tid) => ({
      pid: tid,
      signo,
      why,
      reaped: true,
    }));
    // the first thread's end is the process's, the others' follow from it
    return [{ pid, signo, why, reaped }, ...threads];
  }

  /** A task that has no record behind `at` and is known. */
  #quiet(pid: number, at: number): boolean {
    return this.#tasks.has(pid) && !actsAfter(this.#plan, this.#node, pid, at);
  }

  /** Ends that a call's record proves, which came before its result. */
  endsBefore(facts: CallFacts, at: number): End[] {
    const ends = this.#parentGone(facts, at);
    const task = this.#task(facts.pid);
    switch (facts.name) {
      case 'wait4':
      case 'waitpid':
        ends.push(...this.#waited(facts, task, at));
        break;
      case 'waitid':
        ends.push(...this.#waitedById(facts, task, at));
        break;
      case 'kill':
        if (facts.errno === 'ESRCH' && task.local === undefined) {
          const target = Number(BigInt.asIntN(32, facts.args[0] ?? 0n));
          if (target > 0 && this.#quiet(target, at)) {
            ends.push(...this.end(target, 0, 'a signal did not find it', true));
          }
        }
        break;
      case 'execve':
      case 'execveat':
        if (facts.retKind === 'value') ends.push(...this.endThreads(facts.pid));
        break;
      default:
    }
    return ends;
  }

  #parentGone(facts: CallFacts, at: number): End[] {
    const task = this.#task(facts.pid);
    const old = task.ppid;
    if (facts.ppid === 0 || old === facts.ppid) return [];
    task.ppid = facts.ppid;
    this.#tasks.get(old)?.children.delete(facts.pid);
    this.#tasks.get(facts.ppid)?.children.add(facts.pid);
    return this.#quiet(old, at) ? this.end(old, 0, 'its child has another parent') : [];
  }

  #waited(facts: CallFacts, task: Known, at: number): End[] {
    const options = Number(BigInt.asUintN(32, facts.args[2] ?? 0n));
    if (facts.errno === 'ECHILD') {
      const any = BigInt.asIntN(32, facts.args[0] ?? 0n) === -1n && !(options & WCLONE);
      const gone = any ? [...task.children].filter((pid) => this.#quiet(pid, at)) : [];
      return gone.flatMap((pid) => this.end(pid, 0, 'its parent has no child', true));
    }
    const ret = resultNumber(facts);
    if (ret <= 0) return [];
    // a child that does something later was stopped or continued, or is traced
    const child = task.local?.get(ret) ?? ret;
    const stop = (options & (WUNTRACED | WCONTINUED)) !== 0;
    const why = stop ? 'waited for, and not seen again' : 'waited for';
    return this.#quiet(child, at) ? this.end(child, 0, why) : [];
  }

  #waitedById(facts: CallFacts, task: Known, at: number): End[] {
    const [which, id, , options] = facts.args.map((arg) => Number(arg ?? 0n));
    const exited = (options! & (WEXITED | WSTOPPED | WCONTINUED | WNOHANG)) === WEXITED;
    if (which !== P_PID || !exited || facts.ret !== 0) return [];
    const child = task.local?.get(id!) ?? id!;
    return this.#quiet(child, at) ? this.end(child, 0, 'waited for') : [];
  }

  /** Ends that an event without a call tells of. */
  endsTold(event: AuditEvent): End[] {
    for (const record of event.records) {
      const pid = numberField(record, 'pid') ?? 0;
      const signo = numberField(record, 'sig') ?? 0;
      if (record.type === 'SYSTEM_BOOT') {
        return [...this.#tasks.keys()].flatMap((one) => this.end(one, 0, 'the machine restarted'));
      }
      if (pid <= 0 || signo <= 0 || signo > 64 || !this.#tasks.has(pid)) continue;
      if (record.type === 'ANOM_ABEND') return this.end(pid, signo, 'ended abnormally');
      const kills = /^0x(?:80000000|0+)$/.test(field(record, 'code') ?? '');
      if (record.type === 'SECCOMP' && kills) {
        const whole = this.#tasks.get(pid)!.threads.size === 0;
        if (whole) return this.end(pid, signo, 'a filter ended it');
      }
    }
    return [];
  }
}
