// Lines that are no calls: signals, ends of tasks, remarks of the recorder, its summary table.
import { signalNumber } from '../values.ts';
import type { StraceLine } from './line.ts';

/** The head of a summary table. */
const TABLE_HEAD =
  /^ *(?:%|seconds|calls|errors|syscall|name)[\w%/ -]*\b(?:syscall|name|seconds|calls)\s*$/;

/** `--- SIGX {...} ---`, `--- stopped by SIGX ---`; at = position of the dashes. */
export function readSignal(out: StraceLine, at: number): boolean {
  const s = out.text;
  const end = s.endsWith(' ---') ? s.length - 4 : -1;
  const from = at + 4;
  if (end < from) return false;
  if (s.startsWith('stopped by ', from)) {
    const name = s.slice(from + 11, end);
    if (!/^\w+$/.test(name)) return false;
    out.kind = 'stopped';
    out.name = name;
    out.signo = signalNumber(name);
    return true;
  }
  const head = /^(\w+)(?= |$)/.exec(s.slice(from, Math.min(end, from + 24)));
  if (head === null || !/^(?:SIG|[0-9])/.test(head[0])) return false;
  out.kind = 'signal';
  out.name = head[0];
  out.signo = signalNumber(head[0]);
  const brace = from + head[0].length + 1;
  if (s[brace] === '{') {
    if (s[end - 1] !== '}') return false;
    out.argFrom = brace;
    out.argTo = end;
  }
  return true;
}

/** `+++ ... +++`; at = position of the pluses. */
export function readEnd(out: StraceLine, at: number): boolean {
  const s = out.text;
  if (s.length - at > 80 || !s.endsWith(' +++')) return false;
  const inner = s.slice(at + 4, -4);
  let hit = /^exited with ([0-9]+|0x[0-9a-f]+)$/.exec(inner);
  if (hit !== null) {
    out.kind = 'exit';
    out.exitCode = Number(hit[1]);
    return true;
  }
  hit = /^killed by (\w+)( \(core dumped\))?$/.exec(inner);
  if (hit !== null) {
    out.kind = 'killed';
    out.name = hit[1] as string;
    out.signo = signalNumber(out.name);
    out.core = hit[2] !== undefined;
    return true;
  }
  hit = /^superseded by execve in pid ([0-9]+)(?:<.*>)?$/.exec(inner);
  if (hit !== null) {
    out.kind = 'superseded';
    out.otherPid = Number(hit[1]);
    return true;
  }
  return false;
}

const ATTACHED = /^(?:strace: )?Process ([0-9]+)(?:<.*>)? (attached|detached)\b/;

/** Remarks of the recorder; body = the text behind the columns. */
export function readRemark(out: StraceLine, body: string): boolean {
  if (body.length > 4096) return false;
  const hit = ATTACHED.exec(body);
  if (hit !== null) {
    out.kind = hit[2] === 'attached' ? 'attach' : 'detach';
    out.otherPid = Number(hit[1]);
    return true;
  }
  if (body.trim() === '') out.note = 'blank line';
  else if (body.startsWith('strace: ')) out.note = 'remark of the recorder';
  else if (/^\[ Process PID=[0-9]+ runs in .* mode\. \]$/.test(body)) out.note = 'personality';
  else if (/^\[ Needed to /.test(body)) out.note = 'remark of the recorder';
  else if (/^ > ?\S/.test(body) || /^ ?> .*\[0x[0-9a-f]+\]/.test(body)) out.note = 'stack frame';
  else return false;
  out.kind = 'other';
  return true;
}

/** Recognises the lines of `-c`, `-C` tables, over several lines. */
export class SummaryTable {
  inside = false;

  take(out: StraceLine): boolean {
    const s = out.text;
    if (s.length > 300) return false;
    if (this.#isTableLine(s)) {
      out.kind = 'other';
      out.note = 'summary table';
      return true;
    }
    this.inside = false;
    return false;
  }

  /** Cheap test whether a line outside of a table could begin one. */
  static mayBegin(s: string): boolean {
    const c = s.charCodeAt(0);
    return c === 37 /* % */ || c === 32 || c === 45 /* - */ || c === 83 /* S */ || c === 115;
  }

  #isTableLine(s: string): boolean {
    if (TABLE_HEAD.test(s) && / {2,}|^% time/.test(s)) {
      this.inside = true;
      return true;
    }
    if (/^System call usage summary for '.*' mode:$/.test(s)) return true;
    if (!this.inside) return false;
    if (/^[- ]+$/.test(s)) return true;
    return /^ *[0-9]+(?:\.[0-9]+)?(?: +[0-9]+(?:\.[0-9]+)?)+ +\w+$/.test(s);
  }
}
