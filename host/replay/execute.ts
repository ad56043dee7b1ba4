// Running the calls of a log: at their end, or early when something that the log shows needs them;
// asleep in the kernel until their end; and what is made of the outcome.
import { DISP_BLOCKED, DISP_DONE } from '../kernel.ts';
import * as OP from '../../assembly/uapi/op.ts';
import {
  type Call,
  expectedRax,
  expectedText,
  failed,
  registerOf,
  type ReplayTask,
  shownResult,
} from './call.ts';
import { isInterrupted } from '../trace/event.ts';
import type { Replay } from './engine.ts';
import { leaveBefore } from './deaths.ts';
import { DECIDES_FIRST } from './fd-calls.ts';
import { worldly } from './ends.ts';
import { childOf, closeOthersFirst, expectSignal, forkOthersFirst, help, STEPS } from './order.ts';
import { isListed } from './listed.ts';
import { addReason, type CallClass, type Compared, countCall, type Verdict } from './result.ts';
import { keptFromRunning, learnFilter } from './filtered.ts';
import { hadHandler, leavesResult, restoresResult } from './handlers.ts';
import { takeHidden } from './gaps-signals.ts';
import { fireByCall } from './timers.ts';
import { isFork, judge, type Outcome, raxText, runCall, unchanged } from './run.ts';

/** A call that was run before its end line: does that line say the same? */
export function recheck(r: Replay, task: ReplayTask, call: Call): void {
  const expected = expectedRax(call);
  if (expected === undefined || call.answer === undefined || expected === call.answer) return;
  const answer = raxText(call.answer);
  r.diverge(call.line, task, call.name, expectedText(call), answer, call.text);
}

/**
 * Runs an open call before its end, because something needs it. `sleeps`: it is known to do nothing
 * else, even where it never returns.
 */
export function runNow(r: Replay, call: Call, sleeps = false): boolean {
  const task = r.tasks.get(call.pid);
  if (!task || call.done) return false;
  if (!call.row || call.injected) return false;
  const cls = r.adopter.classOf(task, call);
  if (cls === 'unmodelled' || cls === 'injected') return false;
  // calls that never return are not known to have happened, but for these
  const happens = sleeps || isFork(call.row.op) || call.row.op === OP.OP_REBOOT;
  if (call.retKind === 'unknown' && !happens) return false;
  return execute(r, task, call, 'early');
}

/** When a call is run: where it ends, before that, or where it may or may not be its turn. */
export type Moment = 'end' | 'early' | 'try';

/**
 * Runs a call and compares. Early, a result that doesn't fit is no divergence, the call waits on;
 * on trial, sleeping isn't one either. Return: whether it was run.
 */
export function execute(r: Replay, task: ReplayTask, call: Call, moment: Moment = 'end'): boolean {
  if (keptFromRunning(r, task, call)) {
    remember(r, task, call, registerOf(call) ?? 0);
    r.audit?.conclude(call);
    return true;
  }
  let cls = r.adopter.classOf(task, call);
  if (cls === 'unmodelled' || cls === 'injected') {
    learnFilter(r, task, call);
    countCall(r.result, call.name, cls, undefined, { listed: isListed(r, call) });
    remember(r, task, call, registerOf(call) ?? 0);
    r.audit?.conclude(call);
    r.files.learn(call, cls);
    return true;
  }
  const fault = recordersFault(r, call);
  if (fault) {
    countCall(r.result, call.name, cls, 'blind');
    addReason(r.result.reasons.blind, `${call.name}: ${fault}`);
    remember(r, task, call, registerOf(call) ?? 0);
    r.audit?.conclude(call);
    return true;
  }
  takeHidden(r, task, call);
  r.adopter.prepare(task, call);
  fireByCall(r, task, call);
  const unseen = r.adopter.endUnseenChild(call);
  if (isInterrupted(call)) expectSignal(r, call, moment !== 'end');
  const child = childOf(r, call);
  if (child) forkOthersFirst(r, call);
  leaveBefore(r, call);
  if (moment === 'end') {
    closeOthersFirst(r, call);
    r.flows.beforeClose(call);
  }
  const flow = r.flows.concerns(call);
  if (flow && !r.flows.settle(call, moment)) return false;
  if (moment === 'end' && r.files.leadsOut(call, () => r.flows.fits(call))) {
    cls = r.adopter.classOf(task, call);
  }
  if (flow) r.files.tell(call);
  let outcome = run(r, call, child);
  if (flow) outcome = expire(r, call, outcome);
  return settle(r, task, call, { moment, cls, child, flow, unseen }, outcome);
}

/** How a call came to be run. */
interface Circumstances {
  moment: Moment;
  cls: CallClass;
  /** number of the task that it makes, 0: none */
  child: number;
  /** it depends on what others put in or take out */
  flow: boolean;
  /** it waited for a task that is not recorded */
  unseen: boolean;
}

/** Compares what the kernel answered, and takes it back where it is not the call's turn. */
function settle(
  r: Replay,
  task: ReplayTask,
  call: Call,
  { moment, cls, child, flow, unseen }: Circumstances,
  first: Outcome,
): boolean {
  let outcome = first;
  const world = r.timers || endedByWorld(r, call);
  let wrong = outcome.unknown ? undefined : judge(call, outcome, world);
  if (wrong && moment === 'end' && !flow)
    ({ outcome, wrong } = search(r, call, child, outcome, wrong));
  const asleep = outcome.disposition === DISP_BLOCKED;
  if (moment === 'try' && wrong && unchanged(call, outcome) && !isFork(call.row!.op)) {
    unsleep(r, call, outcome);
    return false;
  }
  if (moment === 'early' && wrong && !asleep && unchanged(call, outcome)) return false;
  const keeps = isFork(call.row!.op) || (flow && r.flows.keepsPart(call));
  if (asleep && (moment === 'early' || keeps)) {
    return fallAsleep(r, task, call, moment === 'early');
  }
  call.done = true;
  if (outcome.disposition === DISP_DONE && !outcome.unknown) call.answer = outcome.rax;
  if (asleep) r.kernel.abortCall(call.pid);
  if (unseen) call.blind = 'the end of a task that is not recorded';
  conclude(r, task, call, outcome, wrong, cls);
  return true;
}

/** A call that has been run by itself at its end: the rest of `execute`. */
export function settleRun(r: Replay, task: ReplayTask, call: Call, outcome: Outcome): void {
  const alone = { moment: 'end', child: 0, flow: false, unseen: false } as const;
  settle(r, task, call, { ...alone, cls: 'emulated' }, outcome);
}

/** Runs open intervals, one after the other, until the call gives what was recorded. */
function search(
  r: Replay,
  call: Call,
  child: number,
  outcome: Outcome,
  wrong: string | undefined,
): { outcome: Outcome; wrong: string | undefined } {
  for (let tries = 0; wrong && tries < STEPS && unchanged(call, outcome); ++tries) {
    unsleep(r, call, outcome);
    if (!help(r, call, call.pid)) break;
    outcome = run(r, call, child);
    wrong = judge(call, outcome, r.timers);
    if (!wrong) r.reordered(`${call.name} needed an open call's effect`);
  }
  return { outcome, wrong };
}

/**
 * The recorder's fault: strace prints a call by x32's numbers (0x40000000 | n), which such a
 * kernel does not have, under the plain name. Evidence: errnos_f.strace, where the program says in
 * its next line that it called 0x40000000|39 and the log's line is `getpid() = -1 ENOSYS`.
 */
function isX32(call: Call): boolean {
  return call.errno === 'ENOSYS' && !call.table.compat && call.row?.support === 'full';
}

/**
 * The recorder's fault: threads that a sibling's exit_group kills inside a call are shown to return
 * its number from that call. Evidence: `<... rt_sigprocmask resumed>NULL, 8) = 231`, where 0 or an
 * error are all that call can give, in the moment in which others call exit_group (231).
 */
function isLeftover(r: Replay, call: Call): boolean {
  if (call.ret !== call.table.byName.get('exit_group')?.nr) return false;
  const group = r.kernel.task(call.pid)?.tgid;
  return [...r.living].some(
    ({ pid, exiting }) => exiting?.group && r.kernel.task(pid)?.tgid === group,
  );
}

function recordersFault(r: Replay, call: Call): string | undefined {
  if (isX32(call)) return 'ENOSYS, an x32 number under its plain name';
  return isLeftover(r, call) ? "the number of a sibling's exit_group as a result" : undefined;
}

function run(r: Replay, call: Call, child: number): Outcome {
  r.audit?.settle();
  const outcome = runCall(r, call, r.tableIndex.get(call.table) ?? 0, child);
  r.audit?.tried(call);
  return outcome;
}

/** Goes on with a call that slept and was woken. Return: its disposition. */
export function resume(r: Replay, call: Call): number {
  r.audit?.settle();
  const disposition = r.kernel.resume(call.pid);
  r.audit?.tried(call);
  return disposition;
}

/** A wait that the log shows to have timed out does so in the kernel, if nothing else ends it. */
function expire(r: Replay, call: Call, outcome: Outcome): Outcome {
  r.files.forget(call);
  if (outcome.disposition !== DISP_BLOCKED || !r.files.timesOut(call)) return outcome;
  if (!r.kernel.expire(call.pid)) return outcome;
  const disposition = resume(r, call);
  return { ...outcome, disposition, rax: outcome.frame.resultBig };
}

/** Did a signal from outside the log end this call? */
function endedByWorld(r: Replay, call: Call): boolean {
  const cause = isInterrupted(call) ? r.index.interruptions.get(call.seq) : undefined;
  return cause !== undefined && worldly(r, cause.info, cause.signo);
}

/** Sleeping is no answer yet: the attempt is taken back. */
function unsleep(r: Replay, call: Call, outcome: Outcome): void {
  if (outcome.disposition === DISP_BLOCKED && !isFork(call.row!.op)) r.kernel.abortCall(call.pid);
}

/** The call sleeps in the kernel until its end line. A vfork's child exists from here on. */
function fallAsleep(r: Replay, task: ReplayTask, call: Call, early: boolean): boolean {
  call.done = true;
  call.asleep = true;
  if (isFork(call.row!.op)) born(r, task, call);
  if (!early) wake(r, task, call);
  return true;
}

/** The end line of a call that slept. */
export function wake(r: Replay, task: ReplayTask, call: Call): void {
  const flow = r.flows.concerns(call);
  const step = (): boolean => (flow ? r.flows.help(call) : help(r, call, call.pid));
  r.flows.waking = call;
  let outcome = resumed(r, call, step);
  r.flows.waking = undefined;
  if (outcome && flow) outcome = expire(r, call, outcome);
  const { frame } = r.kernel;
  const used = outcome ?? { disposition: DISP_BLOCKED, rax: 0n, frame, unknown: false, kind: '' };
  const ended = !outcome && endedByWorld(r, call);
  const wrong = ended ? undefined : judge(call, used, r.timers);
  if (!outcome || outcome.disposition === DISP_BLOCKED) r.kernel.abortCall(call.pid);
  call.asleep = false;
  conclude(r, task, call, used, wrong, r.adopter.classOf(task, call));
}

/** Goes on with a sleeping call, as soon as it is woken; undefined: nothing wakes it. */
function resumed(r: Replay, call: Call, step: () => boolean): Outcome | undefined {
  const frame = r.kernel.frameOf(call.pid);
  const kind = r.files.kindOf(call);
  let outcome: Outcome | undefined;
  for (let tries = 0; tries < STEPS && frame; ++tries) {
    if (r.kernel.isWoken(call.pid)) {
      const disposition = resume(r, call);
      outcome = { disposition, rax: frame.resultBig, frame, unknown: false, kind };
      if (disposition !== DISP_BLOCKED) return outcome;
    } else if (!step()) {
      break;
    }
  }
  return outcome;
}

/** A call that slept and was woken goes on before its end line. Return: whether it did. */
export function goOn(r: Replay, call: Call, ipc = false): boolean {
  const task = r.tasks.get(call.pid);
  const frame = r.kernel.frameOf(call.pid);
  if (!task || !call.asleep || !frame || !r.kernel.isWoken(call.pid)) return false;
  if (!ipc && !r.flows.concerns(call)) return false;
  const disposition = resume(r, call);
  if (disposition === DISP_BLOCKED) return true;
  call.asleep = false;
  call.answer = frame.resultBig;
  const kind = r.files.kindOf(call);
  const outcome = { disposition, rax: frame.resultBig, frame, unknown: false, kind };
  const wrong = judge(call, outcome, r.timers);
  conclude(r, task, call, outcome, wrong, r.adopter.classOf(task, call));
  return true;
}

/** Verdict, counters, and the recorded outcome where the kernel's was another. */
function conclude(
  r: Replay,
  task: ReplayTask,
  call: Call,
  outcome: Outcome,
  wrong: string | undefined,
  cls: CallClass,
): void {
  r.audit?.conclude(call);
  let verdict: Verdict = outcome.unknown ? 'blind' : 'matched';
  if (outcome.unknown) addReason(r.result.reasons.blind, `${call.name}: an argument is not shown`);
  if (wrong && r.adopter.adoptFact(task, call, outcome, wrong)) {
    verdict = 'blind';
    wrong = undefined;
  }
  if (!wrong && call.blind) {
    verdict = 'blind';
    addReason(r.result.reasons.blind, `${call.name}: ${call.blind}`);
  }
  if (wrong) {
    verdict = 'diverged';
    r.diverge(call.line, task, call.name, expectedText(call), wrong, call.text);
  }
  // whether an assisted call fails, and how, is not compared, but where the kernel knew before
  const own = DECIDES_FIRST.has(call.row!.op) && !outcome.frame.heardWorld;
  const fails = cls === 'assisted' && failed(call) && !own;
  const given = !wrong && (fails || isClock(call) || isUnsaved(call, outcome));
  countCall(r.result, call.name, cls, verdict, { listed: isListed(r, call), given });
  const compared = verdict === 'matched' && !given;
  if (compared) {
    if (r.compared && !r.adopter.isFirst(task, call)) {
      r.compared.set(call.seq, comparedOf(call, outcome));
    }
    r.repeats.matched(call, outcome);
  }
  remember(r, task, call, registerOf(call) ?? outcome.rax);
  if (isFork(call.row!.op) && !call.asleep) born(r, task, call);
  if (!outcome.unknown) r.files.adoptNumbers(call, outcome.frame);
  r.adopter.learn(task, call, outcome);
  r.files.learn(call, cls);
  if (wrong) r.adopter.force(task, call, outcome);
  if (wrong || outcome.unknown) r.files.taintCall(call);
  r.flows.wakeSleepers();
}

function remember(r: Replay, task: ReplayTask, call: Call, rax: number | bigint): void {
  task.lastRet = rax;
  task.lastName = call.name;
  task.interrupted = leavesResult(r.kernel, call);
  if (call.row) {
    task.lastNr = call.row.nr;
    task.lastTable = call.table;
  }
  note(task, call, shownResult(call));
}

/** What is left of a timer is the clock's to say. */
function isClock(call: Call): boolean {
  const op = call.row!.op;
  return op === OP.OP_TIMER_GETOVERRUN && Number(call.ret ?? 0) > 0;
}

/** The return from a handler that was entered before anybody looked. */
function isUnsaved(call: Call, { frame }: Outcome): boolean {
  return call.row!.op === OP.OP_RT_SIGRETURN && !hadHandler(frame);
}

/** What of a call that agreed would not have agreed, had the log shown something else. */
function comparedOf(call: Call, { frame }: Outcome): Compared {
  const { op } = call.row!;
  if (op === OP.OP_ALARM && Number(call.ret ?? 0) > 0) return 'bounds';
  return op === OP.OP_RT_SIGRETURN && !restoresResult(frame) ? 'mask' : 'result';
}

export function note(task: ReplayTask, call: Call, result: number | bigint | string): void {
  task.history.note(call.line, call.name, result);
}

/** The child of a fork gets its record, once the kernel has made it. */
function born(r: Replay, task: ReplayTask, call: Call): void {
  const child = childOf(r, call);
  const state = child ? r.kernel.views.state(child) : undefined;
  const old = r.tasks.get(child);
  // a vfork's child may be dead when its parent goes on
  if (state && state !== 'Z' && (!old || old.dead)) {
    r.newTask(child, task);
    r.gaps.bear(child, task.pid);
  }
  // what it does with its descriptors nobody will see
  if (state && !r.index.tasks.has(child)) r.files.taintAll(child);
}
