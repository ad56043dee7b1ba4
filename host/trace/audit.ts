// Reader of audit logs: auditd's own files, the kernel log's form, ausearch's text. A record stands
// where its call ended; calls whose effect stands above them are handed out in two halves.
import type { AuditEvent, StrayLine } from './audit/assemble.ts';
import { type AuditTables, callFacts, type CallFacts, LINUX_TABLES } from './audit/facts.ts';
import { AuditLine } from './audit/line.ts';
import { type End, Lives } from './audit/lives.ts';
import { type AuditPlan, type Birth, PlanBuilder } from './audit/plan.ts';
import { AuditStream } from './audit/stream.ts';
import { type CallTotals, type LineTotals, newCallTotals, type TraceLine } from './event.ts';
import { eachLine, type LineSink } from './sink.ts';
import type { TraceSource } from './source.ts';

export { AuditStream } from './audit/stream.ts';

/** Looks through the log once; see plan.ts. */
export async function planAudit(source: TraceSource, tables = LINUX_TABLES): Promise<AuditPlan> {
  const builder = new PlanBuilder();
  for await (const batch of new AuditStream(source).batches()) {
    for (const { event } of batch) {
      if (event !== undefined) builder.add(factsOf(event, tables), event);
    }
  }
  return builder.finish();
}

function factsOf(event: AuditEvent, tables: AuditTables): CallFacts | undefined {
  return event.syscall && callFacts(event.syscall, tables);
}

/** One pass over a log; totals are right once it has ended. */
export class AuditLog {
  readonly ordered = true;
  readonly calls: CallTotals = newCallTotals();
  readonly #stream: AuditStream;
  readonly #plan: AuditPlan;
  readonly #tables: AuditTables;
  readonly #begun = new Map<number, AuditLine>();
  #lives: Lives | undefined;
  #last: AuditEvent | undefined;
  #node = '';
  #seq = 0;
  #at = 0;

  constructor(source: TraceSource, plan: AuditPlan, tables = LINUX_TABLES) {
    this.#stream = new AuditStream(source);
    this.#plan = plan;
    this.#tables = tables;
  }

  get lines(): LineTotals {
    return this.#stream.lines;
  }

  async *[Symbol.asyncIterator](): AsyncIterator<TraceLine> {
    for await (const batch of this.batches()) yield* batch;
  }

  async *batches(): AsyncIterable<TraceLine[]> {
    for await (const items of this.#stream.batches()) {
      const out: TraceLine[] = [];
      for (const item of items) {
        if (item.event === undefined) this.#stray(item.stray, out);
        else this.#onEvent(item.event, out);
      }
      yield out;
    }
    const last: TraceLine[] = [];
    if (this.#last) this.#gone(this.#lives!.endsDue(), this.#last, last);
    yield last;
  }

  async each(sink: LineSink, pause: () => boolean): Promise<void> {
    await eachLine(this.batches(), sink, pause);
  }

  #stray(stray: StrayLine, out: TraceLine[]): void {
    const record = { ...stray, sec: -1, msec: 0, serial: 0, node: '' };
    const event = { ...record, syscall: undefined, records: [] };
    const kind = stray.sort === 'unparsed' ? 'unparsed' : 'other';
    const line = new AuditLine(kind, ++this.#seq, 0, event);
    line.text = stray.text;
    line.note = stray.sort;
    out.push(line);
  }

  #onEvent(event: AuditEvent, out: TraceLine[]): void {
    const at = ++this.#at;
    const facts = factsOf(event, this.#tables);
    if (this.#lives === undefined) {
      this.#node = event.node;
      this.#lives = new Lives(this.#plan, event.node);
    }
    // several machines in one log: one of them is replayed
    if (event.node !== this.#node) return;
    this.#last = event;
    this.#gone(this.#lives.endsDue(event.sec), event, out);
    for (const birth of this.#plan.begins.get(at) ?? []) this.#begin(birth, out);
    if (facts === undefined) this.#gone(this.#lives.endsTold(event), event, out);
    else this.#onCall(facts, event, at, out);
  }

  /** The first half of a call that stands further down. */
  #begin(birth: Birth, out: TraceLine[]): void {
    const facts = birth.event && factsOf(birth.event, this.#tables);
    if (facts === undefined || birth.event!.node !== this.#node) return;
    const line = new AuditLine('unfinished', ++this.#seq, facts.pid, birth.event!, facts);
    this.#begun.set(birth.at, line);
    this.#born(birth, birth.event!, out);
    out.push(line);
    this.calls.calls += 1;
    this.calls.unfinished += 1;
  }

  #onCall(facts: CallFacts, event: AuditEvent, at: number, out: TraceLine[]): void {
    const lives = this.#lives!;
    this.#gone(lives.endsBefore(facts, at), event, out);
    const start = this.#begun.get(at);
    const line = new AuditLine(
      start === undefined ? 'call' : 'resumed',
      ++this.#seq,
      facts.pid,
      event,
      facts,
    );
    line.start = start;
    this.#begun.delete(at);
    const birth = this.#plan.births.get(at);
    if (birth !== undefined) {
      if (start === undefined) this.#born(birth, event, out);
      if (birth.child !== 0 && birth.child !== birth.ret) line.translate(birth.child);
    }
    // records name the process: which of its threads left is not shown
    const thread = facts.name === 'exit' ? lives.takeThread(facts.pid) : 0;
    if (thread !== 0) {
      line.pid = thread;
      line.pidShown = false;
    }
    out.push(line);
    if (start === undefined) {
      this.calls.calls += 1;
      this.calls.whole += 1;
    } else {
      this.calls.resumed += 1;
    }
    if (thread !== 0)
      this.#gone([{ pid: thread, signo: 0, why: 'exited', reaped: true }], event, out);
    else if (facts.name === 'exit_group' || facts.name === 'exit') {
      lives.exit(facts.pid, event.sec);
    }
  }

  #born(birth: Birth, event: AuditEvent, out: TraceLine[]): void {
    this.#gone(this.#lives!.endsBeforeBirth(birth), event, out);
    this.#lives!.born(birth);
  }

  #gone(ends: End[], event: AuditEvent, out: TraceLine[]): void {
    for (const { pid, signo, why, reaped } of ends) {
      const line = new AuditLine('gone', ++this.#seq, pid, event);
      line.signo = signo;
      line.note = why;
      line.reaped = reaped;
      out.push(line);
    }
  }
}
