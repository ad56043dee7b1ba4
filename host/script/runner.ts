// Runs a trap script on a kernel and says where the two disagree.
import * as OP from '../../assembly/uapi/op.ts';
import { signalName } from '../abi/constants.ts';
import {
  createKernel,
  DISP_BUSY,
  DISP_DONE,
  DISP_EXITED,
  DISP_NOT_RUN,
  isAsleep,
  type Kernel,
  type KernelTarget,
  type SigInfo,
} from '../kernel.ts';
import { newResult, type ReplayResult } from '../replay/result.ts';
import type { CallEvent, CompletesEvent, DiesEvent, Num, SignalEvent } from '../trace/script.ts';
import type { Script, ScriptEvent } from '../trace/script.ts';
import { REG_32 } from '../x86-trap.ts';
import { argument, assist, beginCall, isSupported, lacksFile } from './calls.ts';
import { type PendingCall, settleCall, Tables, trapCall } from './calls.ts';
import {
  AuditLines,
  compareCounts,
  compareOutputs,
  type Difference,
  judge,
  NOT_SUPPORTED,
  resultText,
} from './judge.ts';
import type { Counts } from '../counts.ts';
import { CannotRun, nameOf, Report } from './report.ts';
import { Tasks } from './tasks.ts';

const FORKS: readonly number[] = [
  OP.OP_FORK,
  OP.OP_VFORK,
  OP.OP_CLONE,
  OP.OP_CLONE3,
  OP.OP_FORK_INTO_CONTAINER,
];
/** One run of a script. */
export class ScriptRun {
  readonly kernel: Kernel;
  readonly #report: Report;
  readonly #tasks: Tasks;
  readonly #tables: Tables;
  readonly #saved = new Map<string, bigint>();
  readonly #audit: AuditLines;

  constructor(kernel: Kernel, result: ReplayResult, audit = false, write?: (text: string) => void) {
    this.kernel = kernel;
    this.#report = new Report(kernel, result);
    this.#tasks = new Tasks(kernel);
    this.#tables = new Tables(kernel);
    this.#audit = new AuditLines(kernel, audit, write);
  }

  #resolve = (num: Num): bigint => {
    if (typeof num === 'bigint') return num;
    const value = this.#saved.get(num.saved);
    if (value === undefined) {
      throw new CannotRun(`a value for $${num.saved}`, 'the call that saves it gave none');
    }
    return value;
  };

  #tid(num: Num): number {
    return Number(BigInt.asIntN(32, this.#resolve(num)));
  }

  /** The task of a line that could not be run, 0 where that is what is missing. */
  #taskOf(event: ScriptEvent): number {
    const task = 'task' in event ? event.task : undefined;
    if (task === undefined) return 0;
    return Number((typeof task === 'bigint' ? task : this.#saved.get(task.saved)) ?? 0n);
  }

  /** Runs one line. */
  feed(event: ScriptEvent): void {
    this.#report.line = event.line;
    try {
      this.#run(event);
    } catch (error) {
      if (!(error instanceof CannotRun)) throw error;
      this.#report.verdict(nameOf(event), this.#taskOf(event), error.difference);
    }
    this.#tasks.settle();
    this.#audit.drain();
  }

  #run(event: ScriptEvent): void {
    switch (event.type) {
      case 'call':
        return this.#call(event);
      case 'completes':
        return this.#completes(event);
      case 'sleeps':
        return this.#sleeps(this.#tid(event.task));
      case 'signal':
        return this.#signal(event);
      case 'dies':
        return this.#dies(event);
      case 'run':
        this.kernel.runPending();
        return;
      case 'clock':
        this.kernel.clockSet(event.ns);
        return;
      case 'expect': {
        const tid = event.task === undefined ? 0 : this.#tid(event.task);
        const name = `expect ${event.what}`;
        this.#report.verdict(name, tid, judge(this.kernel, event, this.#resolve, this.#audit));
      }
    }
  }

  #call(e: CallEvent): void {
    const tid = this.#tid(e.task);
    this.#lastName = nameOf(e);
    if (!this.kernel.task(tid)) throw new CannotRun('a task', `task ${tid} is gone`);
    if (this.kernel.diesNext(tid)) this.#tasks.giveUp(tid);
    if (this.#tasks.current(tid)) throw new CannotRun('a call', `task ${tid} is asleep`);
    const difference = this.#attempts(tid, e);
    const compares =
      e.ret !== undefined ||
      e.anyRet ||
      e.blocks ||
      e.leavesNothing ||
      e.out.size + e.after.size > 0 ||
      e.failAlloc !== undefined;
    if (compares || difference) this.#report.verdict(this.#lastName, tid, difference);
  }

  #lastName = '';

  /** Makes the call once, or once for each allocation that can fail. */
  #attempts(tid: number, e: CallEvent): Difference | undefined {
    if (e.failAlloc === undefined) return this.#attempt(tid, e, 0).difference;
    if (this.kernel.target !== 'debug') {
      return { expected: 'the debug kernel', actual: `the ${this.kernel.target} kernel` };
    }
    if (e.failAlloc !== 'each') return this.#attempt(tid, e, e.failAlloc).difference;
    const tried = { ...e, ret: -12n, out: new Map(), after: new Map(), leavesNothing: true };
    const once = { ...tried, save: undefined, child: undefined, blocks: false };
    for (let n = 1; ; ++n) {
      const before = this.kernel.counts();
      const run = this.#attempt(tid, once, n, (made) => made < n);
      if (run.made < n) return this.#finish(tid, e, run.call, run.disposition, before);
      if (run.difference) {
        const { expected, actual } = run.difference;
        return { expected, actual: `${actual} when allocation ${n} fails` };
      }
    }
  }

  /** Traps once. `passes`: the run is a success that is judged elsewhere. */
  #attempt(tid: number, e: CallEvent, failAt: number, passes?: (made: number) => boolean) {
    const { kernel } = this;
    const before = kernel.counts();
    const call = beginCall(kernel, this.#tables, tid, e, this.#resolve);
    this.#lastName = call.name;
    const ret = e.ret === undefined ? undefined : this.#resolve(e.ret);
    assist(call, failAt ? undefined : ret);
    this.#tasks.children.delete(tid);
    const supported = isSupported(call);
    // the host's own frame for the time after a sleep is not to fail
    if (failAt) kernel.freeFrame(kernel.allocFrame());
    if (failAt) kernel.allocFail(failAt);
    const disposition = trapCall(kernel, call, this.#tasks.drain);
    const made = failAt ? kernel.allocCount() : 0;
    if (failAt) kernel.allocFail(0);
    const done = passes?.(made) ? undefined : this.#finish(tid, e, call, disposition, before);
    const note = call.row?.note ? `${NOT_SUPPORTED}: ${call.row.note}` : NOT_SUPPORTED;
    const difference = supported && !lacksFile(call) ? done : { expected: call.name, actual: note };
    return { call, disposition, made, difference };
  }

  /** What became of a call: results are bound and compared, sleepers kept. */
  #finish(
    tid: number,
    e: CallEvent,
    call: PendingCall,
    disposition: number,
    before: Counts,
  ): Difference | undefined {
    this.#tasks.drain();
    const child = this.#tasks.children.get(tid);
    if (e.child !== undefined && child !== undefined) this.#saved.set(e.child, BigInt(child));
    if (isAsleep(disposition)) call.state = 'asleep';
    else if (disposition === DISP_DONE) settleCall(call);
    if (call.state !== 'over') {
      // an interrupted call keeps its frame until the signal is taken
      if (this.kernel.frame === call.frame) this.kernel.frame = this.kernel.allocFrame();
      this.#tasks.add(call);
      this.#report.note(tid, `${call.name} sleeps`);
      return e.blocks ? undefined : this.#slept(e);
    }
    this.#report.note(tid, `${call.name} = ${resultText(call.result)}`);
    if (disposition !== DISP_DONE) return this.#notDone(e, disposition);
    if (e.save !== undefined) this.#saved.set(e.save, call.result);
    if (e.blocks) return { expected: 'the call sleeps', actual: resultText(call.result) };
    this.#jobControl(call);
    return this.#compare(e, call, child, before);
  }

  #slept(e: CallEvent): Difference | undefined {
    if (e.ret === undefined && !e.anyRet) return undefined;
    return { expected: this.#retText(e.ret), actual: 'the call sleeps' };
  }

  #notDone(e: CallEvent, disposition: number): Difference | undefined {
    const comparesNothing = e.ret === undefined && !e.anyRet && !e.blocks;
    if (disposition === DISP_EXITED && comparesNothing) return undefined;
    const why =
      disposition === DISP_EXITED
        ? 'the task exits'
        : disposition === DISP_BUSY
          ? 'the task is stopped or asleep'
          : disposition === DISP_NOT_RUN
            ? 'the task is dead'
            : `disposition ${disposition}`;
    return { expected: e.blocks ? 'the call sleeps' : this.#retText(e.ret), actual: why };
  }

  #retText(ret: Num | undefined): string {
    return ret === undefined ? 'a result' : resultText(this.#resolve(ret));
  }

  #compare(
    e: CallEvent,
    call: PendingCall,
    child: number | undefined,
    before: Counts,
  ): Difference | undefined {
    const ret = this.#compareRet(e.ret, call);
    if (ret) return ret;
    const out = compareOutputs(call.memory, e.out, this.#resolve);
    if (out) return out;
    for (const [name, num] of e.after) {
      const bits = name in REG_32 ? 32 : 64;
      const want = BigInt.asUintN(bits, this.#resolve(num));
      const have = BigInt.asUintN(bits, call.frame.getReg(REG_32[name] ?? name));
      if (have !== want) return { expected: `${name} ${want}`, actual: `${name} ${have}` };
    }
    if (e.child !== undefined && child === undefined) {
      const forks = call.row && FORKS.includes(call.row.op);
      return { expected: 'a child', actual: forks ? 'none' : `${call.name} makes none` };
    }
    if (!e.leavesNothing) return undefined;
    return compareCounts(before, this.kernel.counts());
  }

  #compareRet(ret: Num | undefined, call: PendingCall): Difference | undefined {
    if (ret === undefined) return undefined;
    const want = BigInt.asIntN(call.compat ? 32 : 64, this.#resolve(ret));
    if (want === call.result) return undefined;
    return { expected: resultText(want), actual: resultText(call.result) };
  }

  /** A stop signal takes effect right after it was sent. */
  #jobControl(call: PendingCall): void {
    const i = call.row?.kinds.findIndex((kind) => kind.kind === 'sig') ?? -1;
    if (i < 0 || call.result !== 0n) return;
    const op = call.row?.op;
    if (op === OP.OP_RT_SIGACTION) return;
    this.#tasks.settle();
    this.#tasks.stopTargets(Number(BigInt.asIntN(32, argument(call, i))));
  }

  #completes(e: CompletesEvent): void {
    const tid = this.#tid(e.task);
    const call = this.#tasks.oldest(tid);
    const difference = this.#judgeCompletion(e, call);
    if (call?.state === 'over') this.#tasks.claim(call);
    this.#report.verdict(e.name, tid, difference);
  }

  #judgeCompletion(e: CompletesEvent, call: PendingCall | undefined): Difference | undefined {
    if (!call) return { expected: `${e.name} completes`, actual: 'the task sleeps in no call' };
    if (call.name !== e.name) return { expected: e.name, actual: call.name };
    if (call.state === 'asleep') return { expected: 'a result', actual: 'still asleep' };
    if (call.state === 'interrupted') {
      return { expected: 'a result', actual: 'interrupted by a signal that no line takes' };
    }
    return this.#compareRet(e.ret, call) ?? compareOutputs(call.memory, e.out, this.#resolve);
  }

  #sleeps(tid: number): void {
    const call = this.#tasks.current(tid);
    const over = this.#tasks.oldest(tid);
    const actual = over
      ? `${over.name} is over: ${resultText(over.result)}`
      : 'the task sleeps in no call';
    this.#report.verdict(
      call?.name ?? 'sleeps',
      tid,
      call ? undefined : { expected: 'asleep', actual },
    );
  }

  #signal(e: SignalEvent): void {
    const tid = this.#tid(e.task);
    const difference = this.#judgeSignal(tid, e);
    this.#report.note(tid, signalName(e.signo));
    this.#report.verdict('signal', tid, difference);
  }

  #judgeSignal(tid: number, e: SignalEvent): Difference | undefined {
    const expected = signalName(e.signo);
    const task = this.kernel.task(tid);
    if (!task) return { expected, actual: 'the task is gone' };
    const end = this.kernel.diesNext(tid);
    if (end) return { expected, actual: `its end is pending (${end.kind} ${end.value})` };
    const next = this.#tasks.nextSignal(tid);
    if (next !== e.signo) return { expected, actual: next ? signalName(next) : 'no signal' };
    if (this.kernel.isBlocked(tid)) return { expected, actual: 'an uninterruptible sleep' };
    const info = this.#tasks.take(tid);
    if (!info) return { expected, actual: 'no signal is taken' };
    for (const [key, num] of e.info) {
      const want = this.#resolve(num);
      const have = BigInt(info[key as keyof SigInfo]);
      const wide = key === 'value' ? 64 : 32;
      if (BigInt.asUintN(wide, have) === BigInt.asUintN(wide, want)) continue;
      return { expected: `${expected} ${key} ${want}`, actual: `${key} ${have}` };
    }
    return undefined;
  }

  #dies(e: DiesEvent): void {
    const tid = this.#tid(e.task);
    const task = this.kernel.task(tid);
    const end = this.kernel.diesNext(tid);
    const expected = `dies by ${e.kind} ${e.value}`;
    let difference: Difference | undefined;
    if (!task || !end) {
      difference = { expected, actual: task ? 'no end is pending' : 'the task is gone' };
    } else if (end.kind !== e.kind || end.value !== e.value) {
      difference = { expected, actual: `${end.kind} ${end.value}` };
    }
    if (task && end) {
      const group = this.kernel.tasks().filter((one) => one.tgid === task.tgid);
      for (const one of group) {
        if (this.kernel.diesNext(one.tid)) this.kernel.die(one.tid, false);
      }
    }
    this.#report.verdict('exit', tid, difference);
  }

  /** The end of the script: what no line has claimed, and the checker's word. */
  finish(lines: number): void {
    for (const call of this.#tasks.unclaimed()) {
      this.#report.line = call.line;
      const actual = `${resultText(call.result)}, which no line claims`;
      this.#report.verdict(call.name, call.tid, { expected: 'no completion', actual });
    }
    this.#report.line = lines;
    const findings = this.kernel.check();
    if (findings.length > 0) {
      this.#report.verdict('expect sound', 0, { expected: 'sound', actual: findings.join('; ') });
    }
  }
}

export interface ScriptOptions {
  /** instead of the target that the script names */
  target?: KernelTarget;
  /** a kernel of the caller's, just booted, with all events on */
  kernel?: Kernel;
  /** gets the audit log of the run, in whole lines */
  audit?: (text: string) => void;
}

/** Runs a whole script. */
export async function runScript(
  script: Script,
  file: string,
  options: ScriptOptions = {},
): Promise<{ result: ReplayResult; kernel: Kernel }> {
  const started = performance.now();
  const target = options.target ?? script.target ?? (script.needsDebug ? 'debug' : 'release');
  const kernel = options.kernel ?? (await createKernel({ target }));
  const result = newResult(file, 'script', script.abi);
  const audit = script.events.some((event) => event.type === 'expect' && event.what === 'audit');
  const run = new ScriptRun(kernel, result, audit, options.audit);
  const count = (...types: string[]): number =>
    script.events.filter((event) => types.includes(event.type)).length;
  for (const event of script.events) run.feed(event);
  run.finish(script.lines.total);
  const { total, other } = script.lines;
  const calls = count('call', 'completes');
  result.lines = {
    total,
    calls,
    signals: count('signal'),
    exits: count('dies'),
    other,
    unparsed: 0,
  };
  const counts = kernel.counts();
  result.tasks = counts.tasks;
  result.containers = counts.containers;
  result.seconds = (performance.now() - started) / 1000;
  return { result, kernel };
}
