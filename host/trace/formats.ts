// The formats of logs that a replay reads: how each is opened, and what its recorder shows.
import { AuditLog, planAudit } from './audit.ts';
import type { AuditTables } from './audit/facts.ts';
import type { CallTotals, LineTotals, TraceLine } from './event.ts';
import type { LineSink } from './sink.ts';
import type { TraceSource } from './source.ts';
import { type FileCursor, StraceLog } from './strace.ts';
import { eventsOf, FtraceTranslator } from './translate/ftrace.ts';
import { LtraceTranslator } from './translate/ltrace.ts';
import { translated } from './translate/source.ts';

/** One pass over a log. Make a new one for another pass. */
export interface TraceLog {
  /** false: lines of different files come in no particular order, see `cursors` */
  readonly ordered: boolean;
  /** right once the pass has ended */
  readonly lines: LineTotals;
  readonly calls: CallTotals;
  batches(): AsyncIterable<TraceLine[]>;
  /** every line in its turn; `pause` is asked now and then, true ends the pass */
  each(sink: LineSink, pause: () => boolean): Promise<void>;
  /** one for each file of a set, for consumers that choose the order themselves */
  cursors?(): FileCursor[];
}

/** Reads one log as often as it is asked to. */
export interface LogReader {
  readonly format: LogFormat;
  /** a tracer held the recorded tasks, which changes what some calls do */
  readonly traced: boolean;
  /** the log shows neither signals nor wait statuses, and ends only where they were called for */
  readonly sparse: boolean;
  open(options?: { firstPid?: number }): TraceLog;
}

export const LOG_FORMATS = [
  'strace',
  'audit',
  'ausearch',
  'ftrace',
  'perf-script',
  'ltrace',
] as const;
export type LogFormat = (typeof LOG_FORMATS)[number];

export function isLogFormat(name: string): name is LogFormat {
  return (LOG_FORMATS as readonly string[]).includes(name);
}

/** Prepares a source for reading; some formats need a look through all of it first. */
export async function logReader(
  source: TraceSource,
  format: LogFormat,
  tables: AuditTables,
): Promise<LogReader> {
  if (format === 'strace') {
    const open = (options = {}): TraceLog => new StraceLog(source, options);
    return { format, traced: true, sparse: false, open };
  }
  if (format === 'ltrace') {
    const inStrace = translated(source, () => new LtraceTranslator(tables.x86));
    const open = (options = {}): TraceLog => new StraceLog(inStrace, options);
    return { format, traced: true, sparse: false, open };
  }
  if (format === 'ftrace' || format === 'perf-script') {
    const shows = await eventsOf(source);
    const inStrace = translated(source, () => new FtraceTranslator(tables.x86, shows));
    const open = (options = {}): TraceLog => new StraceLog(inStrace, options);
    return { format, traced: false, sparse: !shows.ends || !shows.signals, open };
  }
  const plan = await planAudit(source, tables);
  const open = (): TraceLog => new AuditLog(source, plan, tables);
  return { format, traced: false, sparse: true, open };
}
