// The events that a recorded trace consists of. Readers of every format produce these, the replay
// consumes them. Nothing here knows the kernel.
import type { ArgNode } from './args.ts';

/**
 * What one physical line of a trace is.
 *
 * - `call`       a whole call: `name(args) = ret`
 * - `unfinished` the first half of a call (`<unfinished ...>`), or a line that broke off because
 *                somebody else wrote to the same terminal (`broken` is then true)
 * - `resumed`    the second half (`<... name resumed>`), `start` is the first half when known
 * - `signal`     `--- SIGX {...} ---`; see {@link TraceLine.siginfo}
 * - `stopped`    `--- stopped by SIGX ---`: the task stops; `signo`, `sigName`
 * - `exit`       `+++ exited with N +++`; `exitCode`
 * - `killed`     `+++ killed by SIGX (core dumped) +++`; `signo`, `sigName`, `core`
 * - `superseded` `+++ superseded by execve in pid N +++`; `otherPid` = N. The line's pid is the
 *                leader's, whose identity task N takes over; N's own execve resumes under `pid`.
 * - `gone`       no line of the file's own: its records show that the task has ended; `signo` is
 *                the signal that did it, 0 when how is not known
 * - `attach`     `strace: Process N attached`; `otherPid` = N
 * - `detach`     `strace: Process N detached`; `otherPid` = N
 * - `other`      understood, but not an event: summary table, stack frames, blank lines, remarks of
 *                the recorder, output of the traced program; `note` says which
 * - `unparsed`   nothing of the above; `note` says why
 */
export type LineKind =
  | 'call'
  | 'unfinished'
  | 'resumed'
  | 'signal'
  | 'stopped'
  | 'exit'
  | 'killed'
  | 'superseded'
  | 'gone'
  | 'attach'
  | 'detach'
  | 'other'
  | 'unparsed';

/** How a call ended, as far as the line shows it. */
export type RetKind =
  /** no result on this line (an unfinished half, or no call at all) */
  | 'none'
  /** `= N`, `= 0xN`: `ret` holds it, non-negative or negative without a name */
  | 'value'
  /** `= -1 EXXX (text)`: `errno` is the name, `ret` is -1 */
  | 'error'
  /** `= ? ERESTARTSYS (...)`: `errno` is the restart code's name */
  | 'restart'
  /** `= ?`: the call never returned, or the recorder did not see it */
  | 'unknown'
  /** `= ? <unavailable>`: the task was gone before the recorder could ask */
  | 'unavailable';

/** What the time column counts from. */
export type TimeKind = 'none' | 'day' | 'epoch' | 'relative';

/** A decoded signal description, from the braces of a signal line. */
export interface SigInfoFields {
  signo: number;
  /** si_code as a number; undefined when the name is not known */
  code: number | undefined;
  codeName: string | undefined;
  errno: number | undefined;
  pid: number | undefined;
  uid: number | undefined;
  /** exit code or signal number of a SIGCHLD */
  status: number | undefined;
  /** si_value as an integer (si_int or the pointer), when shown */
  value: bigint | undefined;
  /** the recorder's number in the comment behind si_pid, with pid translation */
  pidInRecorderNs: number | undefined;
  /** every field by its name */
  fields: Map<string, ArgNode>;
}

/** The parts of a result behind the number; decoded on demand. */
export interface RetDetail {
  /** `= 3</path>`: what the recorder says the descriptor is */
  path: string | undefined;
  /** text in parentheses after a success (`Timeout`, `[{fd=4, revents=POLLIN}]`, `flags O_RDWR`) */
  note: string | undefined;
  /** that text decoded */
  noteArgs: ArgNode[];
  /** text in parentheses after an errno name (`No such file or directory`) */
  errnoText: string | undefined;
  /** the returned pid as the recorder numbers it, from the comment of pid translation */
  pidInRecorderNs: number | undefined;
  /** octal result (umask) */
  base: 8 | 10 | 16;
}

/**
 * One physical line of a trace. All lines have all fields (one hidden class: the reader makes
 * millions of them). What is costly to decode is a getter and is decoded when asked for.
 *
 * For a `resumed` line `argText` and `args` are complete: the first half's text joined with this
 * line's. For an `unfinished` line they are what stood there. To know what an unfinished call will
 * answer, ask the index of the first pass (`indexForks`) by the unfinished line's number.
 */
export interface TraceLine {
  kind: LineKind;
  /** 1-based number of the physical line within its file */
  line: number;
  /** index into the names of the source's files (0 for a single file) */
  file: number;
  /**
   * 1-based number over all files, in the order in which lines are handed out; equal to `line` for
   * a single file. Keys of the first pass's index use it.
   */
  seq: number;
  /**
   * The task, as the recorder numbers it. 0: not shown and not known, which means the first process
   * of the log (`firstPid` of the index is its number if any line tells).
   */
  pid: number;
  /** the parent, where a recorder shows it with each call; 0: not shown */
  ppid?: number;
  /** `gone`: nothing is left of the task, its parent has waited for it */
  reaped?: boolean;
  /** false when `pid` did not stand in the line but was inferred (file name, only task left) */
  pidShown: boolean;
  /** `<comm>` behind the pid */
  comm: string | undefined;
  timeKind: TimeKind;
  /** seconds and nanoseconds of the time column; sec is -1 when there is none. Times of day are
   *  unwrapped over midnight; relative ones are summed up. */
  sec: number;
  nsec: number;
  /**
   * Calls of a merged -ff set: the time by which the call was over (its own duration, or else the
   * next line of that task). Such lines stand where the call began, though they show its result.
   * -1 elsewhere.
   */
  untilSec: number;
  untilNsec: number;
  /** seconds spent in the call (`<0.000012>`), NaN when absent */
  duration: number;
  /** number of the call in the task's ABI (`[  56]`), -1 when absent */
  nr: number;
  /** instruction pointer of -i, undefined when absent */
  ip: string | undefined;
  /** name of the call; of signal, stopped and killed lines the signal's name; else '' */
  name: string;
  /** text between the parentheses, as described above */
  readonly argText: string;
  /** decoded arguments (cached). Never throws: what isn't understood is an `other` node. */
  readonly args: ArgNode[];

  retKind: RetKind;
  /** the result; a bigint where a double would round. undefined when there is none */
  ret: number | bigint | undefined;
  /** name of the errno or of the restart code */
  errno: string | undefined;
  /** the recorder forged the result */
  injected: boolean;
  /** the recorder delayed the call */
  delayed: boolean;
  /** the text behind `= `, without the duration */
  retText: string;
  readonly retDetail: RetDetail;

  /** `resumed`: the first half, undefined when the log has none (attach, cut logs) */
  start: TraceLine | undefined;
  /** `unfinished` and `resumed`: number of `<unfinished #N ...>`, -1 when absent */
  callId: number;
  /** `unfinished`: the line broke off rather than being marked */
  broken: boolean;

  /** `signal`, `stopped`, `killed`: the signal's number (0: unknown name) */
  signo: number;
  /** `signal`: decoded braces; undefined when there are none */
  readonly siginfo: SigInfoFields | undefined;
  /** `exit`: N of `exited with N` */
  exitCode: number;
  /** `killed`: with `(core dumped)` */
  core: boolean;
  /** `superseded`, `attach`, `detach`; an `unfinished` line with `<pid changed to N ...>` (exec by
   *  another thread: the second half stands under pid N); a `broken` line in whose middle a remark
   *  about task N stands (not necessarily a child of this line's task) */
  otherPid: number;
  /** `<detached ...>` stands at the end: the recorder let the task go in the middle of this call */
  detached: boolean;
  /** `other` and `unparsed`: what it is, or why it isn't understood */
  note: string;
  /** the whole line as it stands in the file, one character for each byte (latin1) */
  text: string;
}

/** How many lines of each sort a reader has handed out. total is the sum of the others. */
export interface LineTotals {
  total: number;
  /** physical lines that are calls or halves of calls (call, unfinished, resumed) */
  calls: number;
  /** signal and stopped lines */
  signals: number;
  /** exit, killed and superseded lines */
  exits: number;
  /** attach, detach and other lines */
  other: number;
  unparsed: number;
}

/** Sums besides the lines themselves. */
export interface CallTotals {
  /** calls, each counted once: where it is whole or first seen */
  calls: number;
  whole: number;
  unfinished: number;
  resumed: number;
  /** second halves without a first one */
  resumedAlone: number;
  /** first halves that were never resumed (known at the end) */
  neverResumed: number;
}

/** Was the call ended by a signal? A handler's return shows what it ended, not what ended it. */
export function isInterrupted(call: {
  retKind: RetKind;
  errno: string | undefined;
  name: string;
}): boolean {
  if (call.retKind === 'restart') return true;
  return call.errno === 'EINTR' && !/^(rt_)?sigreturn$/.test(call.name);
}

/** Fresh, empty totals. */
export function newLineTotals(): LineTotals {
  return { total: 0, calls: 0, signals: 0, exits: 0, other: 0, unparsed: 0 };
}

/** Totals of calls before the first one. */
export function newCallTotals(): CallTotals {
  return { calls: 0, whole: 0, unfinished: 0, resumed: 0, resumedAlone: 0, neverResumed: 0 };
}
