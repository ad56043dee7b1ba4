// First pass over a log: what a replay must know before it comes to it. A child's lines may come
// before its parent's fork returns, and options of a call may stand only in its second half.
import { isInterrupted, type SigInfoFields, type TraceLine } from './event.ts';
import type { PlainCall } from './sink.ts';
import { SignalsTaken } from './signals-taken.ts';
import { orderOverlapping, sortByBirth } from './births.ts';
import { SplitCalls } from './splits.ts';

/** A fork, vfork, clone or clone3 that made a task, by the `seq` of its first line. */
export interface ForkEntry {
  /** seq of the line where the call begins; the whole line's for calls that aren't split */
  start: number;
  /** seq of the line that shows the result; 0 when there is none */
  end: number;
  /** the parent as the recorder numbers it */
  pid: number;
  name: string;
  /** the result, in the caller's own pid namespace; 0: unknown (the call never returned) */
  ret: number;
  /** the number that clone3 asked for in the outermost namespace, 0: none */
  asked: number;
  /**
   * The child as the recorder numbers it: `ret` itself, the translation in the log, or for callers
   * in an inner pid namespace the first new task that fits (`inferred`). 0: never seen in the log.
   */
  child: number;
  inferred: boolean;
}

/** The signal that a task took right after a call that it had interrupted. */
export interface Interruption {
  signo: number;
  /** si_pid as the recorder numbers it; 0: not a process's */
  sender: number;
  info: SigInfoFields | undefined;
}

/** A task's life as the log shows it; pids may be used again, hence several per pid. */
export interface TaskSpan {
  pid: number;
  first: number;
  /** seq of its last line */
  last: number;
  /** seq of its `+++ exited`, `+++ killed` line; 0 when there is none */
  exit: number;
  /** it left by itself, as far as its last line says */
  left: boolean;
  /** the fork that made it, as far as known */
  fork: ForkEntry | undefined;
}

export interface TraceIndex {
  forks: Map<number, ForkEntry>;
  /** split calls by the seq of their first half; only names that `keep` wanted */
  splits: SplitCalls;
  /** what interrupted a call that was to be restarted, by the seq of its first half */
  interruptions: Map<number, Interruption>;
  /** calls, by the seq of their first half, behind which a filter's signal or end stands */
  trapped: Set<number>;
  /** SIGCHLD lines by the pid that took them, in order: si_code and si_pid, alternating */
  childSignals: Map<number, number[]>;
  /** where each descriptor number is first seen to be made, by whomever */
  fdsMade: Map<number, number>;
  /** what became of tasks that took signals */
  signals: SignalsTaken;
  /** who was told of a task's end, by its pid */
  parents: Map<number, number>;
  /** spans by pid, in order */
  tasks: Map<number, TaskSpan[]>;
  /** number of the first process (also where its lines don't show it); 0 when no line tells */
  firstPid: number;
  /** names of all calls that occur, with how often */
  names: Map<string, number>;
  lines: number;
}

const FORKS = new Set(['fork', 'vfork', 'clone', 'clone2', 'clone3', 'fork_into_container']);

/** Calls that make descriptors, and where those that make two show them. */
const MAKES_FDS = new Set(
  (
    'open creat openat openat2 open_by_handle_at socket accept accept4 dup dup2 dup3 fcntl ' +
    'fcntl64 pipe pipe2 socketpair epoll_create epoll_create1 eventfd eventfd2 timerfd_create ' +
    'signalfd signalfd4 inotify_init inotify_init1 pidfd_open pidfd_getfd memfd_create ' +
    'memfd_secret userfaultfd perf_event_open io_uring_setup fanotify_init open_tree fsopen ' +
    'fsmount fspick mq_open bpf landlock_create_ruleset'
  ).split(' '),
);
const PAIRS_AT: Readonly<Record<string, number>> = { pipe: 0, pipe2: 0, socketpair: 3 };

const SIGCHLD = 17;
const WAITS = new Set(['wait4', 'waitpid']);
const SIGSYS = 31;

/** Calls whose splits carry nothing that the first half doesn't say. */
const DULL = new Set([
  'futex',
  'nanosleep',
  'clock_nanosleep',
  'mmap',
  'munmap',
  'mprotect',
  'brk',
  'newfstatat',
  'fstat',
  'stat',
  'lseek',
  'getdents64',
  'exit_group',
  'exit',
  'set_robust_list',
  'rseq',
  'madvise',
]);

/** Does the first pass want to see all of a call of this name? */
export function isTelling(name: string): boolean {
  return FORKS.has(name) || MAKES_FDS.has(name) || name === 'prctl' || name === 'seccomp';
}

/** The last of the numbers that clone3(2) may ask for; a few levels may remain above it. */
function askedNumber(line: TraceLine): number {
  const list = /set_tid=\[([^\]]*)\]/.exec(line.argText)?.[1];
  const last = Number(list?.split(/[ ,]+/).at(-1) ?? 0);
  return last > 1 ? last : 0;
}

/** True if this is a call that makes a task. */
export function isForkLike(name: string): boolean {
  return FORKS.has(name);
}

/** The span in which a task is alive at `seq`. */
export function spanAt(index: TraceIndex, pid: number, seq: number): TaskSpan | undefined {
  const spans = index.tasks.get(pid);
  if (spans === undefined) return undefined;
  let found: TaskSpan | undefined;
  for (const span of spans) if (span.first <= seq || found === undefined) found = span;
  return found;
}

/** Builds an index line by line. */
export class IndexBuilder {
  readonly index: TraceIndex = {
    forks: new Map(),
    splits: new SplitCalls(),
    interruptions: new Map(),
    trapped: new Set(),
    childSignals: new Map(),
    fdsMade: new Map(),
    signals: new SignalsTaken(),
    parents: new Map(),
    tasks: new Map(),
    firstPid: 0,
    names: new Map(),
    lines: 0,
  };
  readonly #keep: (name: string) => boolean;
  readonly #attached = new Set<number>();
  #someHidden = false;
  /** calls to be restarted whose signal has not come yet, by pid */
  readonly #restarts = new Map<number, number>();
  #ordered = true;
  #lastSpan: TaskSpan | undefined;
  #filters = false;
  readonly #lastCalls = new Map<number, number>();

  /** keep: names whose split calls are wanted; default all but those that carry nothing */
  constructor(keep: (name: string) => boolean = (name) => !DULL.has(name)) {
    this.#keep = keep;
  }

  /** A call that makes no task and that nothing interrupted. */
  addPlain(call: PlainCall): void {
    this.index.lines++;
    this.#name(call.name);
    this.#span(call.pid, call.seq);
    this.index.signals.outlivedBy(call.pid);
    if (call.ret > 0 && WAITS.has(call.name)) this.index.parents.set(call.ret, call.pid);
    if (this.#restarts.size) this.#restarts.delete(call.pid);
    if (this.#filters) this.#lastCalls.set(call.pid, call.seq);
  }

  add(line: TraceLine): void {
    this.index.lines++;
    this.#task(line);
    this.index.signals.add(line);
    switch (line.kind) {
      case 'call':
        this.#name(line.name);
        this.#restart(line, line.seq);
        this.#makesFd(line, line.seq);
        this.#filtered(line, line.seq);
        if (FORKS.has(line.name)) this.#fork(line, line.seq);
        this.#waited(line);
        break;
      case 'unfinished':
        if (line.start === undefined) this.#name(line.name);
        if (line.otherPid !== 0 && line.broken && !line.detached) {
          this.#attached.add(line.otherPid);
        }
        // a fork that is never seen to return may still have made a task
        if (FORKS.has(line.name) && line.start === undefined) {
          this.#putFork(line, line.seq, 0, 0, 0);
        }
        break;
      case 'resumed':
        if (line.start === undefined) this.#name(line.name);
        if (FORKS.has(line.name)) this.#fork(line, line.start?.seq ?? line.seq);
        this.#waited(line);
        if (line.start !== undefined && this.#keep(line.name)) this.#split(line, line.start);
        this.#restart(line, line.start?.seq ?? line.seq);
        this.#makesFd(line, line.start?.seq ?? line.seq);
        this.#filtered(line, line.start?.seq ?? line.seq);
        break;
      case 'signal':
        this.#interrupt(line);
        if (line.signo === SIGSYS) this.#trap(line);
        if (line.signo === SIGCHLD) this.#childSignal(line);
        break;
      case 'killed':
        if (line.signo === SIGSYS) this.#trap(line);
        break;
      case 'attach':
        if (this.index.tasks.size === 0 && this.index.firstPid === 0) {
          this.index.firstPid = line.otherPid;
        }
        this.#attached.add(line.otherPid);
        break;
      default:
    }
  }

  /** ordered: false if lines of different files came in no particular order */
  finish(ordered = true): TraceIndex {
    this.#ordered = ordered;
    const index = this.index;
    this.#assignChildren();
    if (index.firstPid === 0) this.#findFirst();
    if (index.firstPid !== 0) this.#nameHidden(index.firstPid);
    return index;
  }

  /** The first process: shown in the first line, or the only one that nobody made. */
  #findFirst(): void {
    const children = new Set<number>(this.#attached);
    for (const fork of this.index.forks.values()) children.add(fork.child);
    let first = Infinity;
    for (const [pid, spans] of this.index.tasks) {
      const at = (spans[0] as TaskSpan).first;
      if (pid === 0 || at >= first) continue;
      if (children.has(pid) && (this.#someHidden || !this.#ordered)) continue;
      first = at;
      this.index.firstPid = pid;
    }
  }

  /** Gives the first process its number where lines didn't show it. */
  #nameHidden(firstPid: number): void {
    const { forks, tasks } = this.index;
    for (const fork of forks.values()) if (fork.pid === 0) fork.pid = firstPid;
    const hidden = tasks.get(0);
    if (hidden === undefined) return;
    tasks.delete(0);
    const known = tasks.get(firstPid) ?? [];
    const head = hidden[hidden.length - 1] as TaskSpan;
    const next = known[0];
    if (next !== undefined && head.exit === 0) {
      next.first = head.first;
      hidden.pop();
    }
    for (const span of hidden) span.pid = firstPid;
    tasks.set(firstPid, [...hidden, ...known]);
  }

  #name(name: string): void {
    this.index.names.set(name, (this.index.names.get(name) ?? 0) + 1);
  }

  /** The life that a task is in, which is seen to last up to `seq`. */
  #span(pid: number, seq: number): TaskSpan {
    // most lines are of the task of the line before
    let span = this.#lastSpan;
    if (span?.pid !== pid || span.exit !== 0) {
      let spans = this.index.tasks.get(pid);
      if (spans === undefined) this.index.tasks.set(pid, (spans = []));
      span = spans[spans.length - 1];
      if (span === undefined || span.exit !== 0) {
        span = { pid, first: seq, last: seq, exit: 0, left: false, fork: undefined };
        spans.push(span);
      }
      this.#lastSpan = span;
    }
    span.last = seq;
    return span;
  }

  #task(line: TraceLine): void {
    if (line.kind === 'other' || line.kind === 'unparsed') return;
    if (line.kind === 'attach' || line.kind === 'detach') return;
    if (line.pid === 0) this.#someHidden = true;
    const span = this.#span(line.pid, line.seq);
    if (line.kind === 'exit' || line.kind === 'killed' || line.kind === 'gone') {
      span.exit = line.seq;
      span.left = line.kind === 'exit';
    }
    // the other thread's number ends here, its task goes on under this one
    if (line.kind === 'superseded') {
      const other = this.index.tasks.get(line.otherPid);
      const last = other?.[other.length - 1];
      if (last !== undefined && last.exit === 0) last.exit = line.seq;
    }
  }

  #waited({ name, ret, pid }: TraceLine): void {
    if (WAITS.has(name) && typeof ret === 'number' && ret > 0) this.index.parents.set(ret, pid);
  }

  #fork(line: TraceLine, start: number): void {
    const failed = line.retKind === 'error' || line.retKind === 'restart';
    if (failed || (typeof line.ret === 'number' && line.ret <= 0)) {
      this.index.forks.delete(start);
      return;
    }
    const ret = typeof line.ret === 'number' ? line.ret : 0;
    const translated = line.retText.includes('/*') ? line.retDetail.pidInRecorderNs : undefined;
    this.#putFork(line, start, line.seq, ret, translated ?? 0);
  }

  #putFork(line: TraceLine, start: number, end: number, ret: number, child: number): void {
    this.index.forks.set(start, {
      start,
      end,
      pid: line.start?.pid ?? line.pid,
      name: line.name,
      ret,
      asked: askedNumber(line),
      child,
      inferred: false,
    });
  }

  #restart(line: TraceLine, start: number): void {
    if (isInterrupted(line)) this.#restarts.set(line.pid, start);
    else if (this.#restarts.size) this.#restarts.delete(line.pid);
  }

  /** Which descriptors the log shows to be made, and where that begins. */
  #makesFd(line: TraceLine, start: number): void {
    if (line.retKind !== 'value' || !MAKES_FDS.has(line.name)) return;
    const { fdsMade } = this.index;
    const put = (fd: number): void => {
      if (!fdsMade.has(fd)) fdsMade.set(fd, start);
    };
    if (line.name === 'fcntl' && !line.argText.includes('F_DUPFD')) return;
    const at = PAIRS_AT[line.name];
    if (at === undefined) {
      if (typeof line.ret === 'number') put(line.ret);
      return;
    }
    const pair = line.args[at];
    for (const item of pair?.kind === 'array' ? pair.items : []) {
      if (item.kind === 'int') put(Number(item.value));
    }
  }

  /** From the first filter of system calls on, every task's last call is remembered. */
  #filtered(line: TraceLine, start: number): void {
    if (!this.#filters) {
      const sets = line.name === 'seccomp' || line.name === 'prctl';
      this.#filters = sets && /SECCOMP|^0x16,|^0x?[01], /.test(line.argText);
    }
    if (this.#filters) this.#lastCalls.set(line.pid, start);
  }

  #trap(line: TraceLine): void {
    const last = this.#lastCalls.get(line.pid);
    if (last !== undefined) this.index.trapped.add(last);
  }

  #childSignal(line: TraceLine): void {
    const info = line.siginfo;
    if (!info) return;
    const child = info.pidInRecorderNs ?? info.pid ?? 0;
    if ((info.code ?? 0) > 0) this.index.parents.set(child, line.pid);
    let list = this.index.childSignals.get(line.pid);
    if (!list) this.index.childSignals.set(line.pid, (list = []));
    list.push(info.code ?? 0, child);
  }

  #interrupt(line: TraceLine): void {
    const start = this.#restarts.get(line.pid);
    if (start === undefined || !line.signo) return;
    this.#restarts.delete(line.pid);
    const info = line.siginfo;
    const sender = info?.pidInRecorderNs ?? info?.pid ?? 0;
    this.index.interruptions.set(start, { signo: line.signo, sender, info });
  }

  #split(line: TraceLine, start: TraceLine): void {
    this.index.splits.add(start.seq, line);
  }

  /**
   * Finds the task that each fork made. Numbers that the log itself gives come first; what is left
   * over are callers in inner pid namespaces, whose results count from 1 there.
   */
  #assignChildren(): void {
    const forks = [...this.index.forks.values()].sort((a, b) => a.start - b.start);
    const left: ForkEntry[] = [];
    for (const fork of forks) {
      if (fork.child !== 0) {
        this.#claim(fork, fork.child);
      } else if (fork.asked && this.#claim(fork, fork.asked)) {
        continue;
      } else if (fork.ret === 0 || !this.#claim(fork, fork.ret)) {
        left.push(fork);
      }
    }
    const free: TaskSpan[] = [];
    for (const spans of this.index.tasks.values()) {
      for (const span of spans) if (span.fork === undefined && span.pid !== 0) free.push(span);
    }
    const grow = sortByBirth(free);
    orderOverlapping(left);
    const open = new Set(left);
    for (const span of free) {
      for (const fork of open) {
        if (fork.start >= span.first && this.#ordered) break;
        // where no order of lines tells, a child's number is above its parent's
        if (!this.#ordered && grow && span.pid <= fork.pid) continue;
        // the child appears before its parent's call is over, or soon after
        if (fork.end === 0 && this.#lastOf(fork.pid) < fork.start) continue;
        fork.child = span.pid;
        fork.inferred = true;
        span.fork = fork;
        open.delete(fork);
        break;
      }
    }
  }

  #lastOf(pid: number): number {
    const spans = this.index.tasks.get(pid);
    return spans?.[spans.length - 1]?.last ?? 0;
  }

  /** The first span of `pid` that begins behind the fork's start and has no parent yet. */
  #claim(fork: ForkEntry, pid: number): boolean {
    const spans = this.index.tasks.get(pid);
    const span = spans?.find(
      (one) => one.fork === undefined && (one.first > fork.start || !this.#ordered),
    );
    if (span === undefined) {
      // A traced child always shows a line; without one it counts as that number, except inside
      // a pid namespace, where the number means another task.
      return false;
    }
    span.fork = fork;
    fork.child = pid;
    return true;
  }
}

/** Index of all lines of a pass. */
export async function indexForks(
  lines: AsyncIterable<TraceLine> | { batches(): AsyncIterable<TraceLine[]>; ordered?: boolean },
  keep?: (name: string) => boolean,
): Promise<TraceIndex> {
  const builder = new IndexBuilder(keep);
  if ('batches' in lines) {
    for await (const batch of lines.batches()) for (const line of batch) builder.add(line);
    return builder.finish('ordered' in lines ? lines.ordered !== false : true);
  } else {
    for await (const line of lines) builder.add(line);
  }
  return builder.finish();
}
