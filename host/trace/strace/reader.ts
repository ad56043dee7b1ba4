// Lines of strace logs, of every option style, one text at a time. Never throws.
import { textOf } from '../blocks.ts';
import type { LineSink } from '../sink.ts';
import type { StraceContext } from './context.ts';
import { type Half, Halves } from './halves.ts';
import { StraceLine } from './line.ts';
import { readEnd, readRemark, readSignal, SummaryTable } from './notes.ts';
import type { PlainReader } from './plain.ts';
import { readPrefix } from './prefix.ts';
import { findSeparator, insideString, readResult, resultAt, takeDuration } from './result.ts';
import { isWord, isWordStart } from './text.ts';
import { readTornHead, readTornTail } from './torn.ts';

const HALF_MARK = /^<(unfinished|detached|pid changed to ([0-9]+))(?: #([0-9]+))? \.\.\.>$/;

const PLAIN_MARK = '<unfinished ...>';

const LESS = 60;
const GREATER = 62;
const OPEN_PAREN = 40;
const SPACE = 32;
const NEWLINE = 10;
const RETURN = 13;

// Half a day backwards in a column of times of day means that midnight passed.
const HALF_DAY = 43200;
const DAY = 86400;

/** How one file's lines tell the task: not known yet, bare number, `[pid N]`, not at all. */
type PidStyle = 'unknown' | 'column' | 'bracket';

export interface StraceReaderOptions {
  /** index of the file among several */
  file?: number;
  /** the task of all lines: the suffix of a file of an -ff set */
  pid?: number;
  /** number of the first process, for lines that show none (known from a first pass) */
  firstPid?: number;
}

/** Reader of one file. */
export class StraceReader {
  readonly context: StraceContext;
  readonly file: number;
  readonly #filePid: number;
  #line = 0;
  #style: PidStyle = 'unknown';
  #table = new SummaryTable();
  #lastSec = -1;
  #lastNsec = 0;
  #days = 0;
  /** tasks alive, where only some lines show a pid; 0 stands for the first process */
  readonly #live = new Set<number>();
  #first: number;
  #brokenStart: StraceLine | undefined;
  readonly #halves = new Halves();

  constructor(context: StraceContext, options: StraceReaderOptions = {}) {
    this.context = context;
    this.file = options.file ?? 0;
    this.#filePid = options.pid ?? 0;
    this.#first = options.firstPid ?? 0;
    this.#live.add(this.#first);
  }

  /** The lines of a block of bytes. */
  readBlock(block: Uint8Array, plain: PlainReader, sink: LineSink): void {
    const text = textOf(block);
    plain.setText(text);
    let from = 0;
    while (from < block.length) {
      const newline = block.indexOf(NEWLINE, from);
      const to = newline < 0 ? block.length : newline;
      // only a column of pids says with each line whose it is
      const maybe = this.#style === 'column' && this.#filePid === 0 && !this.#table.inside;
      const end = block[to - 1] === RETURN && to > from ? to - 1 : to;
      if (!maybe) sink.line(this.read(text.slice(from, to)));
      else if (plain.read(block, from, end)) this.#takePlain(block, end, plain, sink);
      else sink.line(this.#readHalf(block, text, from, end, plain));
      from = to + 1;
    }
  }

  /** A plain line, for whoever takes it. */
  #takePlain(block: Uint8Array, end: number, plain: PlainReader, sink: LineSink): void {
    const { lines, calls } = this.context;
    lines.total++;
    lines.calls++;
    calls.calls++;
    calls.whole++;
    plain.seq = ++this.context.seq;
    plain.line = ++this.#line;
    if (plain.skipped) sink.plain?.(plain);
    else if (!plain.byBytes || !sink.bytes?.(plain, block, plain.body, end))
      sink.line(plain.decode());
  }

  /** A line that is not plain, and maybe half of a call that has come before. */
  #readHalf(
    block: Uint8Array,
    text: string,
    from: number,
    to: number,
    { body, pid }: PlainReader,
  ): StraceLine {
    const half = body > 0 ? this.#halves.find(block, body, to) : undefined;
    if (half !== undefined) {
      const shape = text.slice(from, to);
      return this.#repeat(new StraceLine(shape, ++this.#line, 0, ++this.context.seq), half, pid);
    }
    const line = this.read(text.slice(from, to));
    if (body > 0) this.#halves.learn(line, block, from, body, to);
    return line;
  }

  #repeat(out: StraceLine, half: Half, pid: number): StraceLine {
    const { pending } = this.context;
    out.pid = pid;
    out.pidShown = true;
    out.take(half);
    if (half.kind === 'unfinished') {
      this.#setPending(out);
    } else {
      const first = pending.get(pid);
      if (first?.name === out.name) {
        this.#join(out, first);
        pending.delete(pid);
      }
    }
    this.#count(out);
    return out;
  }

  /** One line, without its newline. */
  read(text: string): StraceLine {
    const bare = text.charCodeAt(text.length - 1) === 13 ? text.slice(0, -1) : text;
    const out = new StraceLine(bare, ++this.#line, this.file, ++this.context.seq);
    if (bare.length === 0) {
      out.kind = 'other';
      out.note = 'blank line';
    } else if (!((this.#table.inside || SummaryTable.mayBegin(bare)) && this.#table.take(out))) {
      this.#readLine(out);
    }
    this.#count(out);
    return out;
  }

  #readLine(out: StraceLine): void {
    const at = readPrefix(out);
    if (out.pidShown) {
      if (this.#style !== 'column') this.#notePid(out);
    } else if (this.#filePid !== 0) {
      out.pid = this.#filePid;
    } else {
      this.#inferPid(out);
    }
    if (out.sec >= 0) this.#unwrapTime(out);
    const lacksPid = this.#style === 'column' && !out.pidShown && this.#filePid === 0;
    if (lacksPid) {
      if (!readRemark(out, out.text.slice(at))) {
        out.note = 'no pid, in a log that shows pids';
        this.#lostLine(out, at);
      }
    } else if (!this.#readBody(out, at)) {
      this.#lostLine(out, at);
    }
    if (this.#style !== 'column' && this.#filePid === 0) this.#trackLife(out);
  }

  #readBody(out: StraceLine, at: number): boolean {
    const s = out.text;
    const c = s.charCodeAt(at);
    if (isWordStart(c)) {
      let p = at + 1;
      while (isWord(s.charCodeAt(p))) p++;
      if (s.charCodeAt(p) === OPEN_PAREN) {
        out.name = s.slice(at, p);
        return this.#readCall(out, p + 1);
      }
    } else if (c === LESS && s.startsWith('<... ', at)) {
      return this.#readResumed(out, at);
    } else if (c === 45 && s.startsWith('--- ', at)) {
      return readSignal(out, at);
    } else if (c === 43 && s.startsWith('+++ ', at)) {
      if (!readEnd(out, at)) return false;
      this.#endTask(out);
      return true;
    } else if (c === 63 && s.startsWith('???(', at)) {
      out.name = '???';
      return this.#readCall(out, at + 4);
    }
    return readRemark(out, s.slice(at));
  }

  #readCall(out: StraceLine, from: number): boolean {
    const s = out.text;
    let end = takeDuration(out, s.length);
    if (s.charCodeAt(end - 1) === GREATER && this.#takeHalf(out, from, end)) {
      out.kind = 'unfinished';
      this.#setPending(out);
      return true;
    }
    while (s.charCodeAt(end - 1) === SPACE) end--;
    const close = findSeparator(s, from, end);
    if (close < 0 || insideString(s, from, close)) {
      out.note = close < 0 ? 'no result and no mark of an unfinished call' : 'cut inside a string';
      return false;
    }
    if (!readResult(out, resultAt(s, close), end)) {
      out.note = 'the result cannot be read';
      return false;
    }
    out.kind = 'call';
    out.argFrom = from;
    out.argTo = this.#withoutMark(s, from, close);
    return true;
  }

  /** `<unfinished ...>`, `<unfinished #3 ...>`, `<detached ...>`, `<pid changed to 5 ...>`. */
  #takeHalf(out: StraceLine, from: number, end: number): boolean {
    const s = out.text;
    const open = s.lastIndexOf('<', end - 1);
    if (open < from || end - open > 40) return false;
    // the plain mark is by far the most frequent
    if (end - open !== PLAIN_MARK.length || !s.startsWith(PLAIN_MARK, open)) {
      const hit = HALF_MARK.exec(s.slice(open, end));
      if (hit === null) return false;
      if (hit[1] === 'detached') out.detached = true;
      if (hit[2] !== undefined) out.otherPid = Number(hit[2]);
      if (hit[3] !== undefined) out.callId = Number(hit[3]);
    }
    out.argFrom = from;
    out.argTo = s.charCodeAt(open - 1) === SPACE && open > from ? open - 1 : open;
    return true;
  }

  /** End of the arguments when `<unfinished ...>` stands in front of the `)` at `close`. */
  #withoutMark(s: string, from: number, close: number): number {
    if (s.charCodeAt(close - 1) !== GREATER || !s.endsWith('<unfinished ...>', close)) return close;
    return Math.max(from, s.charCodeAt(close - 17) === SPACE ? close - 17 : close - 16);
  }

  #readResumed(out: StraceLine, at: number): boolean {
    const s = out.text;
    const from = this.#readResumedHead(out, at);
    if (from === 0) {
      out.note = 'a mangled second half';
      return false;
    }
    const first = this.context.pending.get(out.pid);
    const matches = first !== undefined && first.name === out.name;
    let end = takeDuration(out, s.length);
    if (s.charCodeAt(end - 1) === GREATER && this.#takeHalf(out, from, end)) {
      out.kind = 'unfinished';
      if (matches) this.#join(out, first);
      this.#setPending(out);
      return true;
    }
    while (s.charCodeAt(end - 1) === SPACE) end--;
    const close = findSeparator(s, from, end);
    if (close < 0 || !readResult(out, resultAt(s, close), end)) {
      out.note = close < 0 ? 'a second half without a result' : 'the result cannot be read';
      return false;
    }
    out.kind = 'resumed';
    out.argFrom = from;
    out.argTo = this.#withoutMark(s, from, close);
    if (matches) {
      this.#join(out, first);
      this.context.pending.delete(out.pid);
    } else if (this.#filePid !== 0 && out.name.startsWith('execve')) {
      this.context.early.set(out.pid, out);
    }
    return true;
  }

  /** `<... name resumed>`, maybe with the call's number. Return: the position behind it, or 0. */
  #readResumedHead(out: StraceLine, at: number): number {
    const s = out.text;
    let p = at + 5;
    while (isWord(s.charCodeAt(p))) p++;
    if (p > at + 5 && p <= at + 69 && s.startsWith(' resumed>', p)) {
      out.name = s.slice(at + 5, p);
      return p + 9;
    }
    const head = /^<\.\.\. (\S{1,64}) resumed(?: #([0-9]+))?>/.exec(s.slice(at, at + 100));
    if (head === null) return 0;
    out.name = head[1] as string;
    if (head[2] !== undefined) out.callId = Number(head[2]);
    return at + head[0].length;
  }

  #join(out: StraceLine, first: StraceLine): void {
    out.before = first;
    out.start = first.start ?? first;
  }

  #setPending(out: StraceLine): void {
    const { pending, calls } = this.context;
    if (out.start === undefined && pending.has(out.pid)) calls.neverResumed++;
    if (out.detached) {
      calls.neverResumed++;
      pending.delete(out.pid);
      return;
    }
    if (out.otherPid !== 0 && !out.broken) {
      const early = this.context.early.get(out.otherPid);
      if (early?.name === out.name) {
        this.context.early.delete(out.otherPid);
        early.start = out;
        early.before = out;
        calls.calls--;
        calls.resumedAlone--;
        return;
      }
    }
    pending.set(out.pid, out);
    if (out.otherPid !== 0 && !out.broken) this.#movePending(out.pid, out.otherPid);
  }

  #movePending(from: number, to: number): void {
    const { pending, calls } = this.context;
    const line = pending.get(from);
    if (line === undefined) return;
    pending.delete(from);
    if (pending.has(to)) calls.neverResumed++;
    pending.set(to, line);
  }

  #endTask(out: StraceLine): void {
    const { pending, calls } = this.context;
    if (out.kind === 'superseded') {
      // In an -ff set without merging, the other task's file may already have moved it here.
      if (pending.has(out.otherPid)) this.#movePending(out.otherPid, out.pid);
    } else if (pending.delete(out.pid)) {
      calls.neverResumed++;
    }
  }

  /** A line that is nothing by itself: half of a line torn by other output, or lost. */
  #lostLine(out: StraceLine, at: number): void {
    const isCall = out.name !== '';
    if (this.#style !== 'column' && this.#filePid === 0) {
      if (isCall && this.#tornHead(out, at)) return;
      if (this.#brokenStart !== undefined && this.#tornTail(out)) return;
      if (this.#style === 'bracket' && !out.pidShown && !isCall) {
        out.kind = 'other';
        out.note = 'output of the traced program';
        return;
      }
    }
    out.kind = 'unparsed';
    out.retKind = 'none';
    out.ret = undefined;
    out.errno = undefined;
    if (out.note === '') out.note = 'not a line of strace';
  }

  /** A call that broke off, on a terminal that others write to as well. */
  #tornHead(out: StraceLine, at: number): boolean {
    if (!readTornHead(out, at)) return false;
    this.#brokenStart = out;
    this.#setPending(out);
    return true;
  }

  #tornTail(out: StraceLine): boolean {
    const first = this.#brokenStart as StraceLine;
    if (out.pidShown || !readTornTail(out, first)) return false;
    this.#brokenStart = undefined;
    if (out.kind === 'resumed') {
      this.#join(out, first);
      this.context.pending.delete(out.pid);
    }
    return true;
  }

  #inferPid(out: StraceLine): void {
    if (this.#style === 'column') return;
    let only = this.#first;
    if (this.#live.size === 1) for (const pid of this.#live) only = pid;
    out.pid = only;
  }

  /** A pid is shown, and it is not sure yet that all lines show one. */
  #notePid(out: StraceLine): void {
    if (out.text.charCodeAt(0) !== 91) {
      this.#style = 'column';
      return;
    }
    this.#style = 'bracket';
    if (this.#live.has(out.pid)) return;
    if (this.#first === 0 && this.#live.has(0)) {
      // The only task that was never announced is the first one.
      this.#live.delete(0);
      this.#first = out.pid;
      const half = this.context.pending.get(0);
      if (half !== undefined) this.#movePending(0, out.pid);
    }
    this.#live.add(out.pid);
  }

  #trackLife(out: StraceLine): void {
    if (out.kind === 'attach' || (out.broken && out.otherPid !== 0 && !out.detached)) {
      this.#style = 'bracket';
      // An announcement in front of everything: the recorder joined running processes.
      if (this.context.lines.calls === 0 && this.#first === 0 && this.#live.delete(0)) {
        this.#first = out.otherPid;
      }
      this.#live.add(out.otherPid);
    } else if (out.kind === 'detach') {
      this.#live.delete(out.otherPid);
    } else if (out.kind === 'exit' || out.kind === 'killed') {
      this.#live.delete(out.pid);
    }
  }

  #unwrapTime(out: StraceLine): void {
    if (out.timeKind === 'relative') {
      let nsec = this.#lastNsec + out.nsec;
      let sec = (this.#lastSec < 0 ? 0 : this.#lastSec) + out.sec;
      if (nsec >= 1e9) {
        nsec -= 1e9;
        sec++;
      }
      out.sec = sec;
      out.nsec = nsec;
    } else if (out.timeKind === 'day') {
      out.sec += this.#days * DAY;
      if (out.sec < this.#lastSec - HALF_DAY) {
        this.#days++;
        out.sec += DAY;
      }
    }
    this.#lastSec = out.sec;
    this.#lastNsec = out.nsec;
  }

  #count(out: StraceLine): void {
    const { lines, calls } = this.context;
    lines.total++;
    switch (out.kind) {
      case 'call':
        lines.calls++;
        calls.calls++;
        calls.whole++;
        break;
      case 'unfinished':
        lines.calls++;
        calls.unfinished++;
        if (out.start === undefined) calls.calls++;
        break;
      case 'resumed':
        lines.calls++;
        calls.resumed++;
        if (out.start === undefined) {
          calls.calls++;
          calls.resumedAlone++;
        }
        break;
      case 'signal':
      case 'stopped':
        lines.signals++;
        break;
      case 'exit':
      case 'killed':
      case 'superseded':
        lines.exits++;
        break;
      case 'unparsed':
        lines.unparsed++;
        break;
      default:
        lines.other++;
    }
  }
}
