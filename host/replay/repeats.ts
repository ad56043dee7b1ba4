// Lines that repeat, byte for byte behind the pid, of calls by which a task asks or sets something
// of its own: its signal mask, its actions, its limits. A shell makes a score of them for each
// child. The first one is decoded, run and compared as any call (execute.ts); the next ones are run
// from its stencil, and where the kernel answers and writes the same, there is nothing to decode.
// The same goes for calls in two halves, which are known by what both say together.
import * as OP from '../../assembly/uapi/op.ts';
import { DISP_DONE } from '../kernel.ts';
import type { SyscallRow, SyscallTable } from '../syscall-abi.ts';
import { hashOf, isSame } from '../trace/bytes.ts';
import { Lately } from '../trace/lately.ts';
import type { PlainCall } from '../trace/sink.ts';
import { learnSignals, lessonOf } from './adopt.ts';
import { Call, registerOf, type ReplayTask, rowOfName, shownResult } from './call.ts';
import type { Replay } from './engine.ts';
import { settleRun } from './execute.ts';
import { isListedByFile } from './listed.ts';
import { SplitCall } from '../trace/splits.ts';
import { countCall } from './result.ts';
import { finishRun, type Outcome } from './run.ts';
import type { Stencil } from './stencil.ts';

/** Calls that concern nothing but their task, so that running them is all there is to it. */
const OWN: ReadonlySet<number> = new Set([
  OP.OP_RT_SIGPROCMASK,
  OP.OP_RT_SIGACTION,
  OP.OP_SET_ROBUST_LIST,
  OP.OP_PRLIMIT64,
]);
const LIMIT = 4096;
const MAX_LENGTH = 400;

/** A call that was found to be what the log shows. */
interface Known {
  readonly row: SyscallRow;
  readonly table: SyscallTable;
  readonly stencil: Stencil;
  /** what the kernel answered and wrote */
  readonly answer: bigint;
  readonly written: Uint32Array;
  readonly register: number | bigint;
  readonly result: number | bigint | string;
  readonly lesson: number;
}

/** One that stands in one line, whose body is these bytes. */
interface KnownLine extends Known {
  readonly bytes: Uint8Array;
}

export class Repeats {
  readonly #r: Replay;
  /** nobody wants to see each line decoded, or each call executed */
  used = false;
  readonly #known = new Lately<number, KnownLine>(LIMIT);
  /** calls in two halves, by what they say */
  readonly #pairs = new WeakMap<object, Known>();
  /** where the line that is being decoded lies */
  #seq = 0;
  #bytes: Uint8Array = new Uint8Array(0);
  #from = 0;
  #to = 0;
  #hash = 0;

  constructor(r: Replay) {
    this.#r = r;
  }

  /** Is this the name of a call that may be taken? */
  takes(name: string): boolean {
    const row = rowOfName(this.#r.tables, name)[0];
    // whether it is listed is not asked for each one
    return row !== undefined && OWN.has(row.op) && !isListedByFile(name);
  }

  /** Replays a line whose body is bytes[from, to). Return: false when it must be decoded. */
  take(call: PlainCall, bytes: Uint8Array, from: number, to: number): boolean {
    // where a filter kept calls from running, each is looked at
    if (to - from > MAX_LENGTH || this.#r.index.trapped.size) return false;
    const hash = hashOf(bytes, from, to);
    const known = this.#known.get(hash);
    if (known && known.bytes.length === to - from && isSame(bytes, from, known.bytes)) {
      this.#run(call, known);
      return true;
    }
    this.#seq = call.seq;
    this.#bytes = bytes;
    this.#from = from;
    this.#to = to;
    this.#hash = hash;
    return false;
  }

  #run(call: PlainCall, known: Known): void {
    const r = this.#r;
    const task = r.task(call.pid, call.seq);
    const disposition = this.#trap(task, known);
    if (this.#agrees(disposition, known)) {
      this.#settle(task, known, call.seq, call.line);
    } else {
      const decoded = new Call(call.decode(), known.row, known.table);
      this.#differs(task, decoded, disposition, known);
    }
    r.result.events += 1;
    if (r.interruptible.size) r.settleInterrupted();
  }

  /** Runs a call whose second half has just been read. Return: false when it must be executed. */
  takePair(task: ReplayTask, call: Call): boolean {
    const known = call.shown instanceof SplitCall ? this.#pairs.get(call.shown.said) : undefined;
    if (!known || call.retKind !== 'value' || call.ret !== known.register) return false;
    if (!this.used || call.injected || this.#r.index.trapped.size) return false;
    const disposition = this.#trap(task, known);
    if (this.#agrees(disposition, known)) this.#settle(task, known, call.seq, call.line);
    else this.#differs(task, call, disposition, known);
    return true;
  }

  #trap(task: ReplayTask, known: Known): number {
    const { kernel } = this.#r;
    kernel.frame.repeat(known.stencil.image, task.pid);
    return kernel.trap();
  }

  #agrees(disposition: number, known: Known): boolean {
    const { frame } = this.#r.kernel;
    if (disposition !== DISP_DONE || frame.resultBig !== known.answer) return false;
    return frame.holds(known.written);
  }

  /** All was as it had been before. */
  #settle(task: ReplayTask, known: Known, seq: number, line: number): void {
    const r = this.#r;
    const { row } = known;
    countCall(r.result, row.name, 'emulated', 'matched', { listed: false });
    r.compared?.set(seq, 'result');
    task.lastRet = known.register;
    task.lastName = row.name;
    task.interrupted = false;
    task.lastNr = row.nr;
    task.lastTable = known.table;
    task.history.note(line, row.name, known.result);
    learnSignals(task, row.op, known.lesson);
  }

  #differs(task: ReplayTask, call: Call, disposition: number, { stencil }: Known): void {
    const { kernel } = this.#r;
    const about = { unknown: false, kind: '', stencil };
    settleRun(this.#r, task, call, finishRun(kernel, kernel.frame, disposition, about, call));
  }

  /** A call has been run and compared, and all was as the log shows. */
  matched(call: Call, { stencil, frame, rax, unseen }: Outcome): void {
    const inPair = call.shown instanceof SplitCall;
    if (!stencil || unseen || (call.seq !== this.#seq && !(inPair && this.takes(call.name))))
      return;
    const register = registerOf(call);
    if (call.retKind !== 'value' || register === undefined) return;
    const known: Known = {
      row: call.row!,
      table: call.table,
      stencil,
      answer: rax,
      written: frame.contents(),
      register,
      result: shownResult(call),
      lesson: lessonOf(call),
    };
    if (call.shown instanceof SplitCall) this.#pairs.set(call.shown.said, known);
    else this.#known.set(this.#hash, { ...known, bytes: this.#lineBytes() });
  }

  #lineBytes(): Uint8Array {
    return Uint8Array.from(this.#bytes.subarray(this.#from, this.#to));
  }
}
