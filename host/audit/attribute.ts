// An audit log, written again with a container id on every event that can be attributed. Lines
// stay as they are; each event gets a line of its own for the id, and one for every task that it
// was aimed at. Messages of single lines get a field, since tools take no second line for them.
import type { AuditEvent } from '../trace/audit/assemble.ts';
import { numberField } from '../trace/audit/fields.ts';
import { type AuditRecord, ENRICHED } from '../trace/audit/record.ts';
import type { TraceSource } from '../trace/source.ts';
import { type Attributed, REASONS, type Reason } from './attribution.ts';
import { type AuditContainer, idList } from './containers.ts';
import { AuditScan, lookThrough, type ScanOptions } from './scan.ts';

export interface AttributeReport {
  lines: number;
  events: number;
  attributed: number;
  /** of them: events that said so themselves */
  told: number;
  unattributed: number;
  /** reason -> events */
  reasons: Partial<Record<Reason, number>>;
  /** events of each container: id (with its machine in front, when there are several) */
  byContainer: Record<string, number>;
  /** lines that are no record: they are written as they are */
  unparsed: number;
}

/** Types that tools close an event at: what follows is not of it. */
function isSingleLine(event: AuditEvent): boolean {
  return event.syscall === undefined;
}

/** The header of a record, with another type. */
function headerOf(record: AuditRecord, type: string): string {
  return record.text.slice(0, record.header).replace(/\btype=\S+ /, `type=${type} `);
}

function idLine(record: AuditRecord, container: AuditContainer, nr: number): string {
  const tail = record.form === 'interpreted' ? ' ' : '';
  return `${headerOf(record, 'CONTAINER_ID')} record=${nr} contid=${idList(container)}${tail}`;
}

/** A line with one field more: behind what its writer wrote, before the daemon's part. */
function withField(text: string, container: AuditContainer): string {
  const plain = text.replace(/\s+$/, '');
  const field = ` contid=${idList(container)}`;
  const split = plain.indexOf(ENRICHED);
  return split < 0 ? `${plain}${field}` : `${plain.slice(0, split)}${field}${plain.slice(split)}`;
}

/** Lines by number, until the event of each has been handed out. */
export class Attributer {
  readonly report: AttributeReport = {
    lines: 0,
    events: 0,
    attributed: 0,
    told: 0,
    unattributed: 0,
    reasons: {},
    byContainer: {},
    unparsed: 0,
  };
  readonly #scan: AuditScan;
  #node: string | undefined;

  constructor(scan: AuditScan) {
    this.#scan = scan;
  }

  /** The lines of one event, with what was found out. */
  event(event: AuditEvent, at: Attributed): string[] {
    this.#count(event, at);
    const { container } = at;
    if (container === undefined || at.told) return event.records.map((record) => record.text);
    if (isSingleLine(event)) {
      return event.records.map((one, i) => (i === 0 ? withField(one.text, container) : one.text));
    }
    const out: string[] = [];
    let nr = 0;
    for (const record of event.records) {
      out.push(record.text);
      if (record === event.syscall) out.push(idLine(record, container, ++nr));
      const target = record.type === 'OBJ_PID' ? this.#target(event, record) : undefined;
      if (target !== undefined) out.push(idLine(record, target, ++nr));
    }
    return out;
  }

  #target(event: AuditEvent, record: AuditRecord): AuditContainer | undefined {
    const pid = numberField(record, 'opid') ?? 0;
    return this.#scan.attribution.of(event.node, pid).container;
  }

  #count(event: AuditEvent, at: Attributed): void {
    const { report } = this;
    report.events += 1;
    this.#node ??= event.node;
    if (at.container === undefined) {
      report.unattributed += 1;
      report.reasons[at.why!] = (report.reasons[at.why!] ?? 0) + 1;
      return;
    }
    report.attributed += 1;
    if (at.told) report.told += 1;
    const id = event.node === this.#node ? at.container.id : `${event.node}:${at.container.id}`;
    report.byContainer[id] = (report.byContainer[id] ?? 0) + 1;
  }
}

/** Writes the log again. Events keep their order; interleaved records stand together. */
export async function attribute(
  source: TraceSource,
  options: ScanOptions,
  write: (text: string) => Promise<void>,
): Promise<AttributeReport> {
  const facts = await lookThrough(source);
  const scan = new AuditScan(source, facts, options);
  const attributer = new Attributer(scan);
  for await (const batch of scan.batches()) {
    let text = '';
    for (const item of batch) {
      const lines =
        item.event === undefined ? [item.stray.text] : attributer.event(item.event, item.at);
      if (item.stray?.sort === 'unparsed') attributer.report.unparsed += 1;
      for (const line of lines) text += `${line}\n`;
    }
    if (text !== '') await write(text);
  }
  attributer.report.lines = scan.lines.total;
  return attributer.report;
}

/** What the report says, for people. */
export function reportText(report: AttributeReport): string {
  const { events, attributed, unattributed, reasons, byContainer } = report;
  const ids = Object.entries(byContainer).sort((a, b) => b[1] - a[1]);
  const out = [
    `${events} events in ${report.lines} lines: ${attributed} attributed, ${unattributed} not`,
    ...ids.slice(0, 20).map(([id, n]) => `  container ${id}: ${n}`),
  ];
  if (ids.length > 20) out.push(`  ${ids.length - 20} more containers`);
  for (const [reason, n] of Object.entries(reasons)) {
    out.push(`  not attributed: ${n}, ${REASONS[reason as Reason]}`);
  }
  if (report.unparsed > 0) out.push(`  ${report.unparsed} lines are no audit record`);
  if (reasons.before) out.push("  --assume host takes tasks from before the log for the host's");
  if (reasons.clone3) out.push('  --assume clone3 takes such calls for ordinary forks');
  return out.join('\n');
}
