// The replay: line by line, each recorded pid a task of the kernel. A call that the log shows in
// two halves is an open interval: it is run at its end, or earlier when something else that the
// log shows needs it. A death is such an interval too, from exit_group to its `+++` line.
import * as OP from '../../assembly/uapi/op.ts';
import type { Kernel } from '../kernel.ts';
import type { SyscallTable } from '../syscall-abi.ts';
import { isInterrupted, type TraceLine } from '../trace/event.ts';
import type { TraceIndex } from '../trace/index.ts';
import type { PlainCall } from '../trace/sink.ts';
import { SplitCall } from '../trace/splits.ts';
import { adoptTask } from './adopt-task.ts';
import { Adopter } from './adopt.ts';
import type { AuditLog } from './audit-log.ts';
import { Call, type ReplayTask, rowOf, type Tables } from './call.ts';
import { exitNow } from './deaths.ts';
import { onExitLine, onSignalLine, onSuperseded } from './ends.ts';
import { execute, note, recheck, runNow, wake } from './execute.ts';
import { Files } from './files.ts';
import { Flows } from './flows.ts';
import { Gaps } from './gaps.ts';
import { History } from './history.ts';
import { KnownSet } from './known-set.ts';
import { MergedEnds } from './merged.ts';
import { closeOpenCalls, numberFits, TIMERS, WAITS } from './order.ts';
import { Namespaces } from './identities.ts';
import { feedPlain, takesPlain } from './plain.ts';
import { Processes } from './processes.ts';
import {
  addDivergence,
  type Compared,
  countCall,
  countReason,
  type ReplayResult,
} from './result.ts';
import { isFork } from './run.ts';
import { Repeats } from './repeats.ts';
import { Stencils } from './stencil.ts';
import { beforeKill, checkParent, closeLives, onGone } from './sparse.ts';

const UNNUMBERED = 4_194_303;
/** exitToUser: let a due stop happen, take no signal. */
const STOP_ONLY = -2;
export class Replay {
  readonly kernel: Kernel;
  readonly index: TraceIndex;
  readonly result: ReplayResult;
  /** the last task of each number, dead or alive */
  readonly tasks = new Map<number, ReplayTask>();
  /** those that have not ended */
  readonly living = new Set<ReplayTask>();
  readonly adopter: Adopter;
  readonly files: Files;
  /** the log that is written of it, if one is */
  audit: AuditLog | undefined;
  readonly flows = new Flows(this);
  readonly stencils = new Stencils();
  readonly repeats = new Repeats(this);
  /** every process, in order of appearance, with its end */
  readonly processes = new Processes();
  readonly tables: Tables;
  readonly tableIndex = new Map<SyscallTable, number>();
  #first = true;
  readonly merged: MergedEnds;
  /** where what was compared and matched is noted, by line */
  compared: Map<number, Compared> | undefined;
  /** the log begins in the middle of its first task's life */
  attached = false;
  /** lines of different files come in an order of the replay's own choice */
  unordered = false;
  /** a tracer held the recorded tasks */
  traced = true;
  /** the log shows no signals, and of ends only what was called for */
  sparse = false;
  readonly namespaces: Namespaces;
  #gaps: Gaps | undefined;
  readonly timers: boolean;
  readonly #childSignals = new Map<number, number>();
  /** tasks whose parents are being looked for */
  readonly #adopting = new Set<number>();
  /** told of each task that gets a record */
  onTask: ((pid: number) => void) | undefined = undefined;
  /** open calls that a signal is known to end */
  readonly interruptible = new Set<Call>();

  constructor(
    kernel: Kernel,
    index: TraceIndex,
    result: ReplayResult,
    tables: Tables,
    tableIndex: Map<SyscallTable, number>,
  ) {
    this.kernel = kernel;
    this.index = index;
    this.result = result;
    this.tables = tables;
    this.tableIndex = tableIndex;
    this.adopter = new Adopter(this);
    this.namespaces = new Namespaces(kernel);
    this.files = new Files(this);
    this.merged = new MergedEnds((call) => this.endOpen(call));
    this.timers = TIMERS.some((name) => index.names.has(name)) || !index.names.has('mmap');
  }

  /**
   * One line of the log. `tentative`: a call that would sleep or answer otherwise is taken back.
   * Return: whether the line was replayed.
   */
  feed(line: TraceLine, tentative = false): boolean {
    // a log without pids is of one task; it gets the number that no log gives
    if (line.seq === 1) this.attached = line.name !== 'execve';
    if (line.pid === 0) line.pid = this.index.firstPid || UNNUMBERED;
    this.audit?.at(line);
    this.merged.endDue(line);
    const taken = this.#feed(line, tentative);
    if (this.interruptible.size) this.settleInterrupted();
    this.flows.stir(line);
    this.audit?.settle();
    return taken;
  }

  /** May whole calls of this name come by `feedPlain`? */
  takesPlain(name: string): boolean {
    return takesPlain(this, name);
  }

  /** A whole call that need not be decoded. */
  feedPlain(call: PlainCall): void {
    if (call.seq === 1) this.attached = call.name !== 'execve';
    feedPlain(this, call);
  }

  #feed(line: TraceLine, tentative: boolean): boolean {
    switch (line.kind) {
      case 'call':
        if (!this.#onCall(line, tentative)) return false;
        this.result.events += 1;
        break;
      case 'unfinished':
        if (!line.start) this.#onUnfinished(line);
        break;
      case 'resumed':
        this.result.events += 1;
        this.#onResumed(line);
        break;
      case 'signal':
        this.result.events += 1;
        this.task(line.pid, line.seq);
        onSignalLine(this, line);
        break;
      case 'stopped':
        this.kernel.exitToUser(this.task(line.pid, line.seq).pid, undefined, STOP_ONLY);
        break;
      case 'exit':
      case 'killed':
        this.result.events += 1;
        this.task(line.pid, line.seq);
        onExitLine(this, line);
        break;
      case 'superseded':
        onSuperseded(this, line);
        break;
      case 'gone':
        onGone(this, line);
        break;
      case 'unparsed':
        if (this.result.unparsedLines.length < 1000) this.result.unparsedLines.push(line.line);
        break;
      default:
        break;
    }
    return true;
  }

  /** The recorded task of a pid, with a kernel task behind it. */
  task(pid: number, seq: number): ReplayTask {
    let task = this.tasks.get(pid);
    if (task && !task.dead) return task;
    const parent = this.#openForkOf(pid, seq);
    if (parent) {
      runNow(this, parent);
      task = this.tasks.get(pid);
      if (task && !task.dead) return task;
    }
    const maker = this.gaps.parentOf(pid);
    if (maker && !this.#adopting.has(pid)) {
      this.#adopting.add(pid);
      this.task(maker, seq);
      this.#adopting.delete(pid);
    }
    task = this.newTask(pid, undefined, maker);
    this.#adopt(pid, maker);
    this.gaps.bear(pid, maker);
    return task;
  }

  /** The open call whose child this pid is, by the index of the first pass. */
  #openForkOf(pid: number, seq: number): Call | undefined {
    for (const task of this.living) {
      const open = task.open;
      if (!open || open.done || !open.row || !isFork(open.row.op)) continue;
      if (this.index.forks.get(open.seq)?.child === pid && open.seq <= seq) return open;
    }
    return undefined;
  }

  /** A record for a new task; what it inherits of knowledge is its parent's. */
  newTask(pid: number, parent?: ReplayTask, ppid = parent?.pid ?? 0): ReplayTask {
    const known = parent !== undefined;
    const task: ReplayTask = {
      pid,
      open: undefined,
      exiting: undefined,
      answered: '',
      dead: false,
      parent: parent?.pid ?? 0,
      told: false,
      flushed: undefined,
      filter: parent?.filter,
      took: 0,
      end: undefined,
      ended: undefined,
      lastRet: 0n,
      lastNr: 0,
      lastName: '',
      interrupted: false,
      lastTable: this.tables.x86,
      history: new History(),
      mask: parent?.mask ?? { known: false },
      ppidKnown: known,
      groupKnown: parent?.groupKnown ?? false,
      sidKnown: parent?.sidKnown ?? false,
      limitsKnown: new KnownSet(parent?.limitsKnown),
      credKnown: parent?.credKnown ?? 0,
      bsetKnown: parent?.bsetKnown ?? 0n,
      actionsKnown: new KnownSet(parent?.actionsKnown),
      actionsUnseen: new KnownSet(parent?.actionsUnseen),
    };
    this.enter(task);
    this.result.tasks += 1;
    this.processes.add(pid, ppid);
    this.onTask?.(pid);
    return task;
  }

  /** A task from outside the log: it appears under its recorded number. */
  #adopt(pid: number, parent: number): void {
    // the recorder's init is the kernel's
    if (pid === 1) this.kernel.exports.set_traced(pid, this.traced ? 1 : 0);
    else {
      if (this.kernel.task(pid)) this.adopter.removeStale(pid);
      const alive = (this.kernel.views.state(parent) ?? 'Z') !== 'Z';
      const ppid = alive ? parent : 1;
      if (!adoptTask(this.kernel, { pid, traced: this.traced, ppid })) {
        this.adopted('number that another task bears in the kernel');
        return;
      }
    }
    this.adopted(this.#first ? 'first process' : 'task whose fork the log does not show');
    this.#first = false;
  }

  /** What the log leaves out. */
  get gaps(): Gaps {
    return (this.#gaps ??= new Gaps(this));
  }

  /** Where the SIGCHLD line at hand stands in the index's list of `pid`. */
  childSignal(pid: number): number {
    const at = this.#childSignals.get(pid) ?? 0;
    this.#childSignals.set(pid, at + 2);
    return at;
  }

  /** Puts a task in the place of whatever bore its number. */
  enter(task: ReplayTask): void {
    const before = this.tasks.get(task.pid);
    if (before) this.living.delete(before);
    this.tasks.set(task.pid, task);
    this.living.add(task);
  }

  /** The end of a task; what led to it is not asked for any more. */
  bury(task: ReplayTask): void {
    task.dead = true;
    task.history.clear();
    this.living.delete(task);
  }

  adopted(reason: string): void {
    countReason(this.result, 'adopted', reason);
  }

  reordered(reason: string): void {
    countReason(this.result, 'reordered', reason);
  }

  #callOf(line: TraceLine): Call {
    const [row, table] = rowOf(this.tables, line);
    return new Call(line, row, table);
  }

  #onCall(line: TraceLine, tentative: boolean): boolean {
    const task = this.task(line.pid, line.seq);
    const call = this.#callOf(line);
    if (this.sparse) {
      checkParent(this, task, line);
      beforeKill(this, call);
    }
    if (line.untilSec >= 0 && !this.#isExit(call)) {
      if (task.open) this.merged.end(task.open);
      task.open = call;
      this.merged.add(call, line);
      this.#begin(call);
      return true;
    }
    if (this.#isExit(call)) {
      this.#beginExit(task, call);
      return true;
    }
    if (!this.unordered || !call.row || !isFork(call.row.op))
      return execute(this, task, call, tentative ? 'try' : 'end');
    // a vfork's end is wherever its child lets go
    task.open = call;
    this.#begin(call);
    if (!call.asleep) this.endOpen(call);
    return true;
  }

  #isExit(call: Call): boolean {
    // one that came back did not end its task: a filter kept it from running
    if (call.retKind === 'value') return false;
    return call.row?.op === OP.OP_EXIT || call.row?.op === OP.OP_EXIT_GROUP;
  }

  #beginExit(task: ReplayTask, call: Call): void {
    const code = Number(call.args[0]?.kind === 'int' ? call.args[0].value : 0);
    const { op, nr } = call.row!;
    task.exiting = { code, group: op === OP.OP_EXIT_GROUP, nr, table: call.table };
    countCall(this.result, call.name, 'emulated', 'matched');
    note(task, call, '?');
    // a leader's end is shown when its last thread is gone, but it has left by then
    const view = this.kernel.task(task.pid);
    if (!task.exiting.group && view && view.threads > 1 && view.tid === view.tgid)
      exitNow(this, task);
  }

  /** The end of a call that was open: it runs now, or goes on where it slept. */
  endOpen(call: Call): void {
    const task = this.tasks.get(call.pid);
    if (!task || task.open !== call) return;
    task.open = undefined;
    if (!call.done) execute(this, task, call);
    else if (call.asleep) wake(this, task, call);
  }

  #onUnfinished(line: TraceLine): void {
    const task = this.task(line.pid, line.seq);
    const call = this.#callOf(line);
    const split = this.index.splits.get(line.seq);
    if (split) {
      call.shown = split;
      call.retKind = split.retKind;
      call.ret = split.ret;
      call.errno = split.errno;
      call.retText = split.retText;
      call.pair = split;
    } else {
      call.retKind = 'unknown';
    }
    if (this.#isExit(call)) {
      this.#beginExit(task, call);
      return;
    }
    if (this.sparse) beforeKill(this, call);
    task.open = call;
    this.#begin(call);
  }

  /** What a call does where it begins. */
  #begin(call: Call): void {
    // a fork that succeeded did so before any signal came: it runs where it begins
    if (call.row && isFork(call.row.op) && call.retKind === 'value' && !call.injected) {
      if (numberFits(this, call)) runNow(this, call);
    }
    if (call.row && WAITS.has(call.row.op) && call.ret === 0) runNow(this, call);
    if (isInterrupted(call)) this.interruptible.add(call);
    this.flows.begin(call);
  }

  /** Calls that a signal is known to end do so as soon as it is there, before anything else. */
  settleInterrupted(): void {
    for (const call of this.interruptible) {
      const task = this.tasks.get(call.pid);
      if (task?.open !== call || (call.done && !call.asleep)) this.interruptible.delete(call);
      else if (!this.kernel.nextSignal(call.pid)) continue;
      else if (call.asleep) wake(this, task, call);
      else runNow(this, call);
    }
  }

  #onResumed(line: TraceLine): void {
    const task = this.task(line.pid, line.seq);
    const open = task.open;
    task.open = undefined;
    if (task.answered === line.name) {
      task.answered = '';
      return;
    }
    if (!open || open.name !== line.name) {
      const call = this.#callOf(line);
      if (!this.#isExit(call)) execute(this, task, call);
      return;
    }
    // both halves stand in the index already
    if (!(open.shown instanceof SplitCall)) open.shown = open.pair = line;
    open.retKind = line.retKind;
    open.ret = line.ret;
    open.errno = line.errno;
    open.ended = line;
    open.retText = line.retText;
    open.line = line.line;
    open.injected = line.injected;
    if (!open.done && this.repeats.takePair(task, open)) return;
    if (!open.done) execute(this, task, open);
    else if (open.asleep) wake(this, task, open);
    else recheck(this, task, open);
  }

  diverge(
    line: number,
    task: ReplayTask,
    name: string,
    expected: string,
    actual: string,
    text: string,
  ): void {
    const view = this.kernel.task(task.pid);
    const about = { line, name, expected, actual, text };
    addDivergence(this.result, about, task, view);
  }

  /** The end of the log. */
  finish(): ReplayResult {
    this.merged.endAll();
    closeOpenCalls(this);
    this.result.processes = this.processes.list;
    if (this.sparse) closeLives(this);
    this.result.containers = this.kernel.counts().containers;
    return this.result;
  }
}
