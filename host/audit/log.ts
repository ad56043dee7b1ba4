// An audit log that is being written: events get their place in it, a time and a serial number.
import type { RingEvent } from '../audit-ring.ts';
import * as U from '../../assembly/uapi/audit.ts';
import { AuditFormatter, type FormatOptions } from './format.ts';

/** What a log holds so far. */
export interface AuditCounts {
  events: number;
  /** lines by type */
  records: Record<string, number>;
}

const TYPE = /^type=(\S+)/;

export class AuditLogWriter {
  readonly counts: AuditCounts = { events: 0, records: {} };
  readonly #format: AuditFormatter;
  readonly #write: (text: string) => void;
  #serial = 0n;
  #clock = 0n;

  /** `write` gets whole lines, of one event or several. */
  constructor(write: (text: string) => void, options: FormatOptions = {}) {
    this.#write = write;
    this.#format = new AuditFormatter(options);
  }

  /** Time of what comes next, in nanoseconds since 1970; a log's time never runs backwards. */
  set clockNs(ns: bigint) {
    if (ns > this.#clock) this.#clock = ns;
  }

  put(event: RingEvent): void {
    const lines = this.#format.lines({ ...event, serial: this.#serial + 1n, clockNs: this.#clock });
    const events = 1 + event.twins.length;
    if (lines.length === 0) return;
    this.#serial += BigInt(events);
    this.counts.events += events;
    for (const line of lines) {
      const type = TYPE.exec(line)?.[1] ?? '?';
      this.counts.records[type] = (this.counts.records[type] ?? 0) + 1;
    }
    this.#write(`${lines.join('\n')}\n`);
  }
}

/** The event without the record of a call: what it did is left. undefined: nothing is. */
export function withoutCall(event: RingEvent): RingEvent | undefined {
  const records = event.records.filter((record) => record.type !== U.AUDIT_SYSCALL);
  return records.length + event.twins.length > 0 ? { ...event, records } : undefined;
}
