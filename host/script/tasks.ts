// The tasks of a script between its lines: sleeping calls that wake up, signals that are taken,
// stops that take effect, calls that begin again.
import * as OP from '../../assembly/uapi/op.ts';
import {
  SIGCONT,
  SIGRTMAX,
  SIGSTOP,
  SIGTSTP,
  SIGTTIN,
  SIGTTOU,
} from '../../assembly/uapi/signal.ts';
import type { Frame } from '../frame.ts';
import { DISP_DONE, DISP_EXITED, isAsleep, type Kernel, type SigInfo } from '../kernel.ts';
import { type PendingCall, settleCall, trapCall } from './calls.ts';

const STOPS: readonly number[] = [SIGSTOP, SIGTSTP, SIGTTIN, SIGTTOU];
/** Enough for every return to user mode: there are 64 signals. */
const STEPS = 130;

export class Tasks {
  readonly #kernel: Kernel;
  /** calls that no line has claimed yet, oldest first, by task */
  readonly #calls = new Map<number, PendingCall[]>();
  /** signals that were taken before their line came */
  readonly #early = new Map<number, SigInfo[]>();
  readonly #stopped = new Set<number>();
  /** children by the task that made them last */
  readonly children = new Map<number, number>();

  constructor(kernel: Kernel) {
    this.#kernel = kernel;
  }

  /** A call went to sleep, or was interrupted on the way to it. */
  add(call: PendingCall): void {
    const calls = this.#calls.get(call.tid);
    if (calls) calls.push(call);
    else this.#calls.set(call.tid, [call]);
  }

  /** The call of `tid` that is not over. */
  current(tid: number): PendingCall | undefined {
    return this.#calls.get(tid)?.find((call) => call.state !== 'over');
  }

  /** The oldest call of `tid` that is over, or else the sleeping one. */
  oldest(tid: number): PendingCall | undefined {
    return this.#calls.get(tid)?.[0];
  }

  /** A line has claimed the call. */
  claim(call: PendingCall): void {
    const calls = this.#calls.get(call.tid)?.filter((one) => one !== call) ?? [];
    if (calls.length > 0) this.#calls.set(call.tid, calls);
    else this.#calls.delete(call.tid);
  }

  /** Calls that are over and that no line has claimed. */
  unclaimed(): PendingCall[] {
    return [...this.#calls.values()].flat().filter((call) => call.state === 'over');
  }

  /** Takes the events out of the kernel's ring. */
  drain = (): void => {
    for (const event of this.#kernel.events()) {
      if (event.type === 'fork') this.children.set(event.tid, event.pid);
      if (event.type === 'exec' && event.oldTid !== event.tid) this.#rename(event);
      if (event.type === 'exit') this.#forget(event.tid);
    }
  };

  #rename({ tid, oldTid }: { tid: number; oldTid: number }): void {
    const calls = this.#calls.get(oldTid);
    if (!calls) return;
    this.#calls.delete(oldTid);
    for (const call of calls) call.tid = tid;
    this.#calls.set(tid, calls);
  }

  /** The task is dead: what it slept in never completes. */
  #forget(tid: number): void {
    const over = this.#calls.get(tid)?.filter((call) => call.state === 'over') ?? [];
    if (over.length > 0) this.#calls.set(tid, over);
    else this.#calls.delete(tid);
    this.#stopped.delete(tid);
    this.#early.delete(tid);
  }

  /** Everything that follows from the last line by itself. */
  settle(): void {
    for (let i = 0; i < STEPS && this.#settleOnce(); ++i);
    this.drain();
  }

  #settleOnce(): boolean {
    const kernel = this.#kernel;
    this.drain();
    let moved = false;
    for (const tid of kernel.woken()) {
      if (kernel.diesNext(tid)) continue;
      this.#resume(tid);
      moved = true;
    }
    for (const tid of this.#stopped) {
      if (kernel.task(tid)?.state === 'T') continue;
      this.#stopped.delete(tid);
      // its parent learns of the going on when it returns to user mode; no signal is taken
      kernel.exitToUser(tid, undefined, SIGRTMAX);
      moved = true;
    }
    for (const call of [...this.#calls.values()].flat()) {
      if (call.state === 'interrupted' && this.#restartUnsignalled(call)) moved = true;
    }
    return moved;
  }

  /** A woken task goes on with its call. */
  #resume(tid: number): void {
    const disposition = this.#kernel.resume(tid);
    const call = this.current(tid);
    if (!call) return;
    if (disposition === DISP_DONE) settleCall(call);
    else if (disposition === DISP_EXITED) this.claim(call);
  }

  /** A task that is to die gives up its sleep, so that it can make a call on its way. */
  giveUp(tid: number): void {
    if (this.#kernel.isWoken(tid)) this.#resume(tid);
    const call = this.current(tid);
    if (call?.state === 'interrupted') this.claim(call);
  }

  /** What interrupted the call is not there any more: it begins again. */
  #restartUnsignalled(call: PendingCall): boolean {
    const kernel = this.#kernel;
    const { tid } = call;
    if (kernel.diesNext(tid) || kernel.task(tid)?.state !== 'R') return false;
    if (kernel.nextSignal(tid) !== 0) return false;
    const rip = call.frame.getReg('rip');
    for (let i = 0; i < STEPS; ++i) {
      const { action } = kernel.exitToUser(tid, call.frame);
      if (action === 'stopped') this.#stopped.add(tid);
      if (action !== 'continued') break;
    }
    this.#again(call, rip);
    return true;
  }

  /** The return to user mode has decided: EINTR, or the call is made again. */
  #again(call: PendingCall, rip: bigint): void {
    if (call.frame.getReg('rip') === rip) {
      settleCall(call);
      return;
    }
    // the trapping instruction runs once more, and steps over itself
    call.frame.setReg('rip', rip);
    const disposition = trapCall(this.#kernel, call, this.drain);
    if (isAsleep(disposition)) call.state = 'asleep';
    else settleCall(call);
  }

  /**
   * Takes the next signal of `tid`, runs its handler's return, and ends or repeats the call that it
   * interrupted. `want`: that signal only.
   */
  take(tid: number, want = 0): SigInfo | undefined {
    const early = this.#early.get(tid)?.shift();
    if (early) return early;
    const kernel = this.#kernel;
    const call = this.current(tid);
    const frame = call?.state === 'interrupted' ? call.frame : this.#blankFrame(tid);
    const rip = frame.getReg('rip');
    let taken: SigInfo | undefined;
    for (let i = 0; i < STEPS && !taken; ++i) {
      const { action, info } = kernel.exitToUser(tid, frame, want);
      if (info.signo !== 0) taken = info;
      if (action === 'stopped') this.#stopped.add(tid);
      if (action === 'handled') this.#returnFromHandler(tid, frame);
      if (action === 'none' || action === 'died') break;
    }
    if (call?.frame === frame) {
      if (taken && frame.getReg('rip') !== rip) this.#again(call, rip);
      else if (taken) settleCall(call);
    } else {
      kernel.freeFrame(frame);
    }
    return taken;
  }

  #blankFrame(tid: number): Frame {
    return this.#kernel.allocFrame().begin(tid, 0, 0);
  }

  /** The handler returns at once: mask and registers are what they were. */
  #returnFromHandler(tid: number, to: Frame): void {
    const frame = this.#kernel.frame.begin(tid, 0, OP.OP_RT_SIGRETURN);
    if (this.#kernel.trap() !== DISP_DONE) return;
    to.setReg('rax', frame.getReg('rax')).setReg('rip', frame.getReg('rip'));
  }

  /** A stop signal was sent: its targets return to user mode now, where it takes effect. */
  stopTargets(signo: number): void {
    if (!STOPS.includes(signo)) return;
    const kernel = this.#kernel;
    const bit = 1n << BigInt(signo - 1);
    const tasks = kernel.tasks();
    const hit = tasks.filter((task) => (task.pending & ~task.blocked & bit) !== 0n);
    const groups = new Set(hit.map((task) => task.tgid));
    for (const task of tasks) {
      if (!groups.has(task.tgid) || kernel.diesNext(task.tid) || task.state === 'Z') continue;
      // the stop of another thread has woken it
      if (kernel.isWoken(task.tid)) this.#resume(task.tid);
      if (kernel.isBlocked(task.tid)) continue;
      const info = this.take(task.tid, signo);
      // a handler or a mask kept it from stopping: its line comes later
      if (info && kernel.task(task.tid)?.state !== 'T') this.#keepEarly(task.tid, info);
    }
  }

  #keepEarly(tid: number, info: SigInfo): void {
    const early = this.#early.get(tid);
    if (early) early.push(info);
    else this.#early.set(tid, [info]);
  }

  /** The signal that take() would give, 0 when there is none. */
  nextSignal(tid: number): number {
    const early = this.#early.get(tid)?.[0];
    return early ? early.signo : this.#kernel.nextSignal(tid);
  }
}

/** Does this signal end or begin a stop? */
export function isJobControl(signo: number): boolean {
  return signo === SIGCONT || STOPS.includes(signo);
}
