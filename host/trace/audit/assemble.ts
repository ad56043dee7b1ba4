// Events out of records. Records of one event share machine, time and serial; the records of
// several events may come between each other. What is kept is bounded whatever the log holds.
import { ownCopy } from '../strace/text.ts';
import { type AuditRecord, parseRecord } from './record.ts';

export interface AuditEvent {
  node: string;
  sec: number;
  msec: number;
  serial: number;
  /** line of its first record */
  line: number;
  file: number;
  /** the record of its call, if it has one */
  syscall: AuditRecord | undefined;
  /** all records in the order in which they stand, as far as they are kept */
  records: AuditRecord[];
  /** records that were too many to be kept */
  dropped: number;
}

/** Records that end an event: what comes behind them is another event's. */
const LAST = new Set(['PROCTITLE', 'EOE']);
/** An event that is this much older than the newest one gets no more records. */
const TIMEOUT_S = 2;
/** At most this many events are open at a time. */
const OPEN_MAX = 256;
/** At most this much of one event is kept. */
const RECORDS_MAX = 512;
const TEXT_MAX = 1 << 20;
/** Serials of events that were handed out, to know a late record when it comes. */
const RECENT = 4096;

interface Open {
  event: AuditEvent;
  key: string;
  complete: boolean;
  text: number;
}

export class EventAssembler {
  /** records that came after their event had been handed out */
  late = 0;
  readonly #open = new Map<string, Open>();
  readonly #recent = new Set<string>();
  #newest = 0;

  /** Takes a record; gives the events that are known to be whole now, in order. */
  add(record: AuditRecord): AuditEvent[] {
    const key = `${record.node}\0${record.sec}.${record.msec}:${record.serial}`;
    let open = this.#open.get(key);
    if (open === undefined) {
      if (this.#recent.has(key)) {
        this.late += 1;
        return [];
      }
      open = { event: newEvent(record), key, complete: false, text: 0 };
      this.#open.set(key, open);
    }
    this.#keep(open, record);
    // the last record's own time: one mangled time must not make everything behind it old
    this.#newest = record.sec;
    return this.#ready();
  }

  #keep(open: Open, record: AuditRecord): void {
    const { event } = open;
    const room = event.records.length < RECORDS_MAX && open.text < TEXT_MAX;
    if (room || record.type === 'SYSCALL') {
      event.records.push(record);
      open.text += record.text.length;
    } else {
      event.dropped += 1;
    }
    if (record.type === 'SYSCALL' && event.syscall === undefined) event.syscall = record;
    const seen = event.syscall !== undefined || record.type === 'EOE';
    // ausearch prints an event backwards: its last record comes first there
    if (seen && event.records.some((one) => LAST.has(one.type))) open.complete = true;
    if (event.syscall === undefined && isSingle(record.type)) open.complete = true;
  }

  /** Events from the front of the queue that are complete, too old, or too many. */
  #ready(): AuditEvent[] {
    const out: AuditEvent[] = [];
    for (const open of this.#open.values()) {
      const old = open.event.sec + TIMEOUT_S < this.#newest;
      if (!open.complete && !old && this.#open.size <= OPEN_MAX) break;
      out.push(this.#take(open));
    }
    return out;
  }

  #take(open: Open): AuditEvent {
    this.#open.delete(open.key);
    this.#recent.add(open.key);
    if (this.#recent.size > RECENT) {
      for (const key of this.#recent) {
        this.#recent.delete(key);
        break;
      }
    }
    return open.event;
  }

  /** The end of the log, or of a stretch of it: what is open gets no more records. */
  finish(): AuditEvent[] {
    const out: AuditEvent[] = [];
    for (const open of [...this.#open.values()]) out.push(this.#take(open));
    this.#newest = 0;
    return out;
  }
}

function newEvent(record: AuditRecord): AuditEvent {
  const { node, sec, msec, serial, line, file } = record;
  return { node, sec, msec, serial, line, file, syscall: undefined, records: [], dropped: 0 };
}

/** Types of which an event has one record: messages of user programs and of the daemon. */
function isSingle(type: string): boolean {
  return /^(?:USER|CRED|DAEMON|SERVICE|SYSTEM|ROLE|GRP|ACCT|ADD_|DEL_|VIRT|CRYPTO|LOGIN$)/.test(
    type,
  );
}

/** A copy of an event that does not keep alive the text around it. */
export function keptEvent(event: AuditEvent): AuditEvent {
  const own = (record: AuditRecord): AuditRecord =>
    parseRecord(ownCopy(record.text), record.line, record.file) ?? record;
  const records = event.records.map(own);
  const syscall = records[event.records.indexOf(event.syscall!)];
  return { ...event, records, syscall };
}
