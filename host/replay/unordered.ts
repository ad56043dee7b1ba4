// Sets without times: the order within each file is known, between files it is not. One line of
// each file in turn is replayed as soon as the kernel's state gives what it shows: a call is tried,
// and taken back when it would sleep or answer otherwise. Ends and signals that nobody is seen to
// need yet come last, since a task that the log shows to go on had not been ended.
import * as OP from '../../assembly/uapi/op.ts';
import { isInterrupted, type TraceLine } from '../trace/event.ts';
import type { FileCursor } from '../trace/strace.ts';
import { Call, rowOf } from './call.ts';
import type { TaskView } from '../views.ts';
import type { Replay } from './engine.ts';
import { FAULTS, worldly } from './ends.ts';
import { runNow } from './execute.ts';
import { madeFds, MAKES_FD, MAKES_PAIR } from './fd-calls.ts';
import { WAITS } from './op-sets.ts';
import { numberFits } from './order.ts';
import { valueOf } from './value.ts';
import { nextFds, waitFits } from './peek.ts';
import { isFork, numberArg } from './run.ts';

/** Numbers lines as the first pass did, file by file. */
export interface FirstPass {
  /** lines in all files before this one */
  offsets: number[];
}

/** What a caller wants to see or change of each line; see ReplayOptions. */
export interface LineHooks {
  mutate?: (line: TraceLine) => void;
  watch?: (line: TraceLine, replay: Replay, after: boolean) => void;
}

/** How well the kernel's state fits what a line shows. */
type Fit =
  /** it can be replayed, or at least tried */
  | 'now'
  /** it gives others something to read: first they read what there is */
  | 'puts'
  /** it fits, but ends something: others go first */
  | 'end'
  /** it would act on a task that the log shows to go on */
  | 'soon'
  | 'no';

const SIGKILL = 9;
const SIGCHLD = 17;
const KILLS = new Map([
  [OP.OP_KILL, 0],
  [OP.OP_TKILL, 0],
  [OP.OP_TGKILL, 1],
]);

function isPending(r: Replay, pid: number, signo: number): boolean {
  const pending = r.kernel.task(pid)?.pending ?? 0n;
  return ((pending >> BigInt(signo - 1)) & 1n) === 1n;
}

class Schedule {
  readonly #r: Replay;
  readonly #pass: FirstPass;
  readonly #hooks: LineHooks;
  /** files whose tasks are there or of which no fork is known, in the set's order */
  #live: FileCursor[];
  /** the others by task: a set has far more tasks than live at once */
  readonly #unborn = new Map<number, FileCursor>();
  /** places in the set */
  readonly #places = new Map<FileCursor, number>();
  /** which of #live is being looked at */
  #at = 0;
  /** the file of each task */
  readonly #files = new Map<number, FileCursor>();
  /** tasks that have executed a program */
  readonly #executed = new Set<number>();
  /** lines that have their number and have been offered for change */
  readonly #seen = new WeakSet<TraceLine>();

  constructor(r: Replay, cursors: FileCursor[], pass: FirstPass, hooks: LineHooks) {
    this.#r = r;
    this.#pass = pass;
    this.#hooks = hooks;
    this.#live = cursors.filter((cursor) => cursor.peek() !== undefined);
    this.#live.forEach((cursor, i) => {
      const { pid } = this.#peek(cursor)!;
      this.#places.set(cursor, i);
      this.#files.set(pid, cursor);
      if (this.#isUnborn(pid)) this.#unborn.set(pid, cursor);
    });
    this.#live = this.#live.filter((cursor) => !this.#isUnborn(this.#peek(cursor)!.pid));
    r.onTask = (pid) => this.#bear(pid);
  }

  /** Is the fork of a task still to come? */
  #isUnborn(pid: number): boolean {
    const { index, kernel } = this.#r;
    if (kernel.views.state(pid) !== undefined) return false;
    return index.tasks.get(pid)?.[0]?.fork !== undefined;
  }

  /** The task is there: its file takes its place among the others. */
  #bear(pid: number): void {
    const cursor = this.#unborn.get(pid);
    if (!cursor) return;
    this.#unborn.delete(pid);
    const place = this.#places.get(cursor)!;
    let at = this.#live.length;
    while (at > 0 && this.#places.get(this.#live[at - 1]!)! > place) at -= 1;
    this.#live.splice(at, 0, cursor);
    // its turn in this round is over where it stands before the one at hand
    if (at <= this.#at) this.#at += 1;
  }

  /** Tasks that are there without having been told. Return: whether there are any. */
  #findBorn(): boolean {
    const born = [...this.#unborn.keys()].filter((pid) => !this.#isUnborn(pid));
    for (const pid of born) this.#bear(pid);
    return born.length > 0;
  }

  #peek(cursor: FileCursor): TraceLine | undefined {
    const line = cursor.peek();
    if (!line || this.#seen.has(line)) return line;
    this.#seen.add(line);
    line.seq = (this.#pass.offsets[line.file] ?? 0) + line.line;
    this.#hooks.mutate?.(line);
    return line;
  }

  /** Replays a line. Return: false when it was tried and is not the time for it. */
  #feed(cursor: FileCursor, tentative: boolean): boolean {
    const r = this.#r;
    const line = this.#peek(cursor)!;
    const open = r.tasks.get(line.pid)?.open;
    if (open?.asleep) r.endOpen(open);
    this.#hooks.watch?.(line, r, false);
    if (!r.feed(line, tentative)) return false;
    this.#hooks.watch?.(line, r, true);
    if (line.name === 'execve' && line.ret === 0) this.#executed.add(line.pid);
    if (line.kind === 'unfinished' && line.name.startsWith('execve')) this.#beginExec(line);
    cursor.take();
    return true;
  }

  run(): void {
    while (this.#live.length || this.#unborn.size) {
      let moved = false;
      for (this.#at = 0; this.#at < this.#live.length; ++this.#at) {
        const cursor = this.#live[this.#at]!;
        if (this.#fit(cursor) === 'now' && this.#feed(cursor, true)) moved = true;
      }
      if (!moved) moved = this.#put() || this.#one('end') || this.#one('soon');
      if (!moved && !this.#findBorn()) this.#force();
      this.#live = this.#live.filter((cursor) => cursor.peek() !== undefined);
    }
  }

  /** One more write, now that nobody goes on with what there is to read. */
  #put(): boolean {
    const writes = this.#live.filter((cursor) => this.#fit(cursor) === 'puts');
    return writes.some((cursor) => this.#feed(cursor, true));
  }

  /** Nothing goes on: a line is taken as it is, to be adopted or to diverge. */
  #force(): void {
    const born = this.#live.filter((cursor) => this.#r.kernel.task(this.#peek(cursor)!.pid));
    const tried = born.find((cursor) => this.#fit(cursor) === 'now');
    if (!tried && !born.length && !this.#live.length) this.#bear(this.#unborn.keys().next().value!);
    this.#feed(tried ?? born[0] ?? this.#live[0]!, false);
  }

  /** Replays one line that fits so well: what its parent shows to need, or else doesn't exclude. */
  #one(fit: Fit): boolean {
    const fitting = this.#live.filter((cursor) => this.#fit(cursor) === fit);
    const chosen =
      fitting.find((cursor) => this.#parentWants(cursor) === true) ??
      fitting.find((cursor) => this.#parentWants(cursor) === undefined) ??
      fitting[0];
    return chosen !== undefined && this.#feed(chosen, false);
  }

  /** Is the end of this task what its parent shows next? undefined: nothing is known of it. */
  #parentWants(cursor: FileCursor): boolean | undefined {
    const r = this.#r;
    const view = r.kernel.task(this.#peek(cursor)!.pid);
    const parent = view && this.#files.get(view.ppid);
    const line = parent && this.#peek(parent);
    if (!line || !view) return undefined;
    if (r.tasks.get(view.ppid)?.open?.asleep) return true;
    if (isInterrupted(line)) {
      const sender = r.index.interruptions.get(line.seq)?.sender;
      return sender === undefined ? undefined : sender === view.tgid;
    }
    if (line.kind === 'signal' && line.signo === SIGCHLD) return line.siginfo?.pid === view.tgid;
    const waits = WAITS.has(rowOf(r.tables, line)[0]?.op ?? 0) && line.retKind === 'value';
    return waits ? line.ret === view.tgid : undefined;
  }

  #fit(cursor: FileCursor): Fit {
    const r = this.#r;
    const line = this.#peek(cursor);
    if (!line) return 'no';
    const view = r.kernel.task(line.pid);
    // its fork is still to come
    if (!view) return r.index.tasks.get(line.pid)?.[0]?.fork === undefined ? 'now' : 'no';
    const open = r.tasks.get(line.pid)?.open;
    if (open?.asleep && !r.kernel.isWoken(line.pid)) return 'no';
    switch (line.kind) {
      case 'call':
        return this.#callFit(line);
      case 'signal': {
        // a stopped task takes nothing until it goes on
        if (view.state === 'T' && line.signo !== SIGKILL) return 'no';
        const child = line.signo === SIGCHLD ? r.kernel.queuedSender(line.pid, SIGCHLD) : 0;
        const from = line.siginfo?.pid ?? 0;
        // of two that died close together only one is told
        const told = child === 0 || child === from || r.tasks.get(from)?.dead === true;
        if (!told && view.nsLevel === 0) return 'no';
        // a mask that the log does not show may let it through
        const there = isPending(r, line.pid, line.signo);
        return there || worldly(r, line.siginfo, line.signo) ? 'now' : 'no';
      }
      case 'exit':
      case 'killed':
        return this.#endFit(line);
      case 'superseded':
        return this.#isSuperseded(line.otherPid, view) ? 'now' : 'no';
      default:
        return 'now';
    }
  }

  #callFit(line: TraceLine): Fit {
    const r = this.#r;
    if (line.name === 'futex') return this.#joinFit(line);
    const [row, table] = rowOf(r.tables, line);
    if (!row) return 'now';
    const call = new Call(line, row, table);
    if (isInterrupted(call)) {
      const cause = r.index.interruptions.get(line.seq);
      if (cause && worldly(r, cause.info, cause.signo)) return 'now';
      r.kernel.exports.retarget(line.pid);
      const found = WAITS.has(row.op) && !waitFits(r, call);
      // the call may wait under a mask of its own
      const there = cause ? isPending(r, line.pid, cause.signo) : r.kernel.nextSignal(line.pid) > 0;
      return there && !found ? 'now' : 'no';
    }
    if (r.flows.puts(call)) return 'puts';
    if (isFork(row.op)) return numberFits(r, call) ? 'now' : 'no';
    if (WAITS.has(row.op)) return waitFits(r, call) ? 'now' : 'no';
    if (MAKES_FD.has(row.op) || MAKES_PAIR.has(row.op)) return this.#fdFits(call) ? 'now' : 'no';
    if (row.op === OP.OP_SETPGID) return this.#groupFit(call);
    if (row.op === OP.OP_EXECVE && line.ret === 0 && this.#isMoved(line.pid)) return 'soon';
    const at = KILLS.get(row.op);
    if (at !== undefined && line.ret === 0) return this.#killFit(line, at);
    return 'now';
  }

  /** Threads share their descriptors: another one's call may have to come first. */
  #fdFits(call: Call): boolean {
    const threads = this.#r.kernel.task(call.pid)?.threads ?? 1;
    if (threads < 2 || call.retKind !== 'value') return true;
    const made = madeFds(call);
    const free = nextFds(this.#r, call.pid, made?.length ?? 0);
    return made === undefined || made.every((fd, i) => fd === free[i]);
  }

  /** A thread is joined by a futex that holds its number: not before it has ended. */
  #joinFit(line: TraceLine): Fit {
    const value = line.ret === 0 ? line.args[2] : undefined;
    const tid = value?.kind === 'int' ? Number(value.value) : 0;
    const thread = this.#r.tasks.get(tid);
    if (!thread || thread.dead || tid === line.pid) return 'now';
    const together = this.#r.kernel.task(tid)?.tgid === this.#r.kernel.task(line.pid)?.tgid;
    return together ? 'no' : 'now';
  }

  /** A signal is sent when those that get it show that they do next. */
  #killFit(line: TraceLine, at: number): Fit {
    const target = line.args[at];
    const sig = line.args[at + 1];
    const number = target?.kind === 'int' ? Number(target.value) : 0;
    const signo = Number(valueOf(sig) ?? 0n);
    if (!signo || number === line.pid) return 'now';
    if (number <= 0) return this.#takenByAll(signo, line.pid) ? 'now' : 'soon';
    const to = at === 1 ? [number] : this.#groupOf(number);
    const next = to.map((pid) => this.#takesNext(pid, signo));
    const all = signo === SIGKILL || at === 1;
    const ready = all ? next.every(Boolean) : next.some(Boolean);
    return ready || to.length === 0 ? 'now' : 'soon';
  }

  /** Is the thread that takes over a leader's number in its exec, and are all others gone? */
  #isSuperseded(thread: number, leader: TaskView): boolean {
    if (!this.#files.has(thread)) return true;
    return this.#r.tasks.get(thread)?.open !== undefined && leader.threads <= 2;
  }

  /** An exec by a thread that takes over its leader's number: it succeeds, and ends the others. */
  #beginExec(line: TraceLine): void {
    const call = this.#r.tasks.get(line.pid)?.open;
    if (!call || call.done || !line.otherPid || line.detached) return;
    [call.retKind, call.ret] = ['value', 0];
    runNow(this.#r, call);
  }

  /** Whoever shows at all to take this signal, and is not over: does each of them do so next? */
  #takenByAll(signo: number, sender: number): boolean {
    const { index, tasks } = this.#r;
    for (const pid of this.#files.keys()) {
      if (pid === sender || !index.signals.took(pid, signo) || tasks.get(pid)?.dead) continue;
      if (this.#unborn.has(pid) || !this.#takesNext(pid, signo)) return false;
    }
    return true;
  }

  /** A process is moved to a group before it executes a program; afterwards that is refused. */
  #groupFit(call: Call): Fit {
    const pid = numberArg(call, 0) ?? 0;
    if (call.errno !== 'EACCES' || !this.#files.has(pid)) return 'now';
    return this.#executed.has(pid) ? 'now' : 'soon';
  }

  /** Does somebody else show next to move this process to a group? */
  #isMoved(pid: number): boolean {
    return this.#live.some((cursor) => {
      const line = this.#peek(cursor);
      if (line?.name !== 'setpgid' || line.pid === pid || line.ret !== 0) return false;
      return Number(valueOf(line.args[0]) ?? 0n) === pid;
    });
  }

  /** Recorded threads of a process that are still there. */
  #groupOf(tgid: number): number[] {
    const out: number[] = [];
    for (const task of this.#r.living) {
      if (!task.dead && this.#r.kernel.task(task.pid)?.tgid === tgid) out.push(task.pid);
    }
    return out;
  }

  /** Is a signal, an interrupted call or the end what this task shows next? */
  #takesNext(pid: number, signo: number): boolean {
    const cursor = this.#files.get(pid);
    const line = cursor && this.#peek(cursor);
    if (!line || line.kind === 'exit' || line.kind === 'killed') return true;
    if (line.kind === 'signal') return line.signo === signo;
    return isInterrupted(line) || line.retKind === 'unknown';
  }

  #endFit(line: TraceLine): Fit {
    const r = this.#r;
    const task = r.tasks.get(line.pid);
    const view = r.kernel.task(line.pid)!;
    if (view.state === 'Z') {
      // a leader's end is shown when its last thread is gone
      return view.threads > 1 ? 'no' : 'end';
    }
    // a fault that ends its task is the CPU's doing
    if (line.kind === 'killed' && FAULTS.has(line.signo)) return 'end';
    // nor does anybody send what a filter or a reboot ends it with
    const own = task?.filter !== undefined || task?.open?.row?.op === OP.OP_REBOOT;
    if (line.kind === 'killed' && own) return 'end';
    if (!task?.exiting) return r.kernel.exports.fatal_pending(line.pid) >= 0 ? 'end' : 'no';
    if (!task.exiting.group) return this.#threadEndFit(view, task.exiting.code);
    const others = this.#groupOf(view.tgid).filter((pid) => pid !== line.pid);
    return others.every((pid) => this.#takesNext(pid, SIGKILL)) ? 'end' : 'soon';
  }

  /** A group's status is that of its last thread, and the leader's end line shows it. */
  #threadEndFit(view: TaskView, code: number): Fit {
    const leader = this.#files.get(view.tgid);
    const end = leader && this.#peek(leader);
    if (end?.kind !== 'exit' || (code & 0xff) !== end.exitCode) return 'end';
    const others = this.#groupOf(view.tgid).filter((pid) => pid !== view.tid);
    const alive = others.some((pid) => this.#r.kernel.task(pid)?.state !== 'Z');
    return alive ? 'soon' : 'end';
  }
}

/** Replays the files of a set together. */
export function replayUnordered(
  r: Replay,
  cursors: FileCursor[],
  pass: FirstPass,
  hooks: LineHooks = {},
): void {
  new Schedule(r, cursors, pass, hooks).run();
}
