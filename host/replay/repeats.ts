// Lines that repeat, byte for byte behind the pid, of calls by which a task asks or sets something
// of its own: its signal mask, its actions, its limits. A shell makes a score of them for each
// child. The first one is decoded, run and compared as any call (execute.ts); the next ones are run
// from its stencil, and where the kernel answers and writes the same, there is nothing to decode.
import * as OP from '../../assembly/uapi/op.ts';
import { DISP_DONE } from '../kernel.ts';
import type { SyscallRow, SyscallTable } from '../syscall-abi.ts';
import { Lately } from '../trace/lately.ts';
import type { PlainCall } from '../trace/sink.ts';
import { learnSignals, lessonOf } from './adopt.ts';
import { Call, registerOf, shownResult } from './call.ts';
import type { Replay } from './engine.ts';
import { settleRun } from './execute.ts';
import { isListedByFile } from './listed.ts';
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

/** A call that was found to be what its line shows. */
interface Known {
  readonly bytes: Uint8Array;
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

function same(bytes: Uint8Array, from: number, known: Uint8Array): boolean {
  for (let i = 0; i < known.length; ++i) if (bytes[from + i] !== known[i]) return false;
  return true;
}

function hashOf(bytes: Uint8Array, from: number, to: number): number {
  let hash = to - from;
  for (let i = from; i < to; ++i) hash = (Math.imul(hash, 31) + bytes[i]!) | 0;
  return hash;
}

export class Repeats {
  readonly #r: Replay;
  readonly #known = new Lately<number, Known>(LIMIT);
  /** where the line that is being decoded lies */
  #seq = 0;
  #bytes: Uint8Array = new Uint8Array(0);
  #from = 0;
  #to = 0;
  #hash = 0;

  constructor(r: Replay) {
    this.#r = r;
  }

  /** Replays a line whose body is bytes[from, to). Return: false when it must be decoded. */
  take(call: PlainCall, bytes: Uint8Array, from: number, to: number): boolean {
    // where a filter kept calls from running, each is looked at
    if (to - from > MAX_LENGTH || this.#r.index.trapped.size) return false;
    const hash = hashOf(bytes, from, to);
    const known = this.#known.get(hash);
    if (known && known.bytes.length === to - from && same(bytes, from, known.bytes)) {
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
    const { kernel, result } = r;
    const { row, stencil } = known;
    const task = r.task(call.pid, call.seq);
    const frame = kernel.frame.repeat(stencil.image, call.pid);
    const disposition = kernel.trap();
    const { answer, written } = known;
    if (disposition === DISP_DONE && frame.resultBig === answer && frame.holds(written)) {
      countCall(result, row.name, 'emulated', 'matched', { listed: false });
      r.compared?.add(call.seq);
      task.lastRet = known.register;
      task.lastName = row.name;
      task.interrupted = false;
      task.lastNr = row.nr;
      task.lastTable = known.table;
      task.history.note(call.line, row.name, known.result);
      learnSignals(task, row.op, known.lesson);
    } else {
      const decoded = new Call(call.decode(), row, known.table);
      const about = { unknown: false, kind: '', stencil };
      settleRun(r, task, decoded, finishRun(kernel, frame, disposition, about));
    }
    result.events += 1;
    if (r.interruptible.size) r.settleInterrupted();
  }

  /** A call has been run and compared, and all was as its line shows. */
  matched(call: Call, { stencil, frame, rax }: Outcome): void {
    if (!stencil || call.seq !== this.#seq || !OWN.has(call.row!.op)) return;
    const register = registerOf(call);
    // whether it is listed is not asked again
    if (call.retKind !== 'value' || register === undefined || isListedByFile(call.name)) return;
    this.#known.set(this.#hash, {
      bytes: Uint8Array.from(this.#bytes.subarray(this.#from, this.#to)),
      row: call.row!,
      table: call.table,
      stencil,
      answer: rax,
      written: frame.contents(),
      register,
      result: shownResult(call),
      lesson: lessonOf(call),
    });
  }
}
