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
}

/** A line that is of no event. */
export interface StrayLine {
  line: number;
  file: number;
  text: string;
  /** printed between events by a tool, a record that came too late, or not understood */
  sort: 'separator' | 'late' | 'unparsed';
}

/** What a log consists of, in order. */
export type AuditItem =
  { event: AuditEvent; stray?: undefined } | { stray: StrayLine; event?: undefined };

/** Records that end an event: what comes behind them is another event's. */
const LAST = new Set(['PROCTITLE', 'EOE']);
/** An event that is this much older than the newest one gets no more records. */
const TIMEOUT_S = 2;
/** At most this many events are open at a time. */
const OPEN_MAX = 256;
/** An event that is larger than this is handed out as it is; what follows is late. */
const RECORDS_MAX = 512;
const TEXT_MAX = 1 << 20;
/** Serials of events that were handed out, to know a late record when it comes. */
const RECENT = 4096;

/** An event that may get more records, or a stray line in its place. */
interface Open {
  item: AuditItem;
  key: string;
  complete: boolean;
  text: number;
}

export class EventAssembler {
  readonly #open = new Map<string, Open>();
  readonly #recent = new Set<string>();
  #newest = 0;
  #strays = 0;

  /**
   * Takes a record; gives the events that are known to be whole now, in order. undefined: the
   * record is late, its event has been handed out.
   */
  add(record: AuditRecord): AuditItem[] | undefined {
    const key = `${record.node}\0${record.sec}.${record.msec}:${record.serial}`;
    let open = this.#open.get(key);
    if (open === undefined) {
      if (this.#recent.has(key)) return undefined;
      open = { item: { event: newEvent(record) }, key, complete: false, text: 0 };
      this.#open.set(key, open);
    }
    this.#keep(open, open.item.event!, record);
    // the last record's own time: one mangled time must not make everything behind it old
    this.#newest = record.sec;
    return this.#ready();
  }

  /** A line of no event keeps its place between the others. */
  addStray(stray: StrayLine): AuditItem[] {
    // what a tool prints between events ends the ones before
    if (stray.sort === 'separator') return [...this.finish(), { stray }];
    const key = `\0${++this.#strays}`;
    this.#open.set(key, { item: { stray }, key, complete: true, text: 0 });
    return this.#ready();
  }

  #keep(open: Open, event: AuditEvent, record: AuditRecord): void {
    event.records.push(record);
    open.text += record.text.length;
    if (event.records.length >= RECORDS_MAX || open.text >= TEXT_MAX) open.complete = true;
    if (record.type === 'SYSCALL' && event.syscall === undefined) event.syscall = record;
    const seen = event.syscall !== undefined || record.type === 'EOE';
    // ausearch prints an event backwards: its last record comes first there
    if (seen && event.records.some((one) => LAST.has(one.type))) open.complete = true;
    if (event.syscall === undefined && isSingle(record.type)) open.complete = true;
  }

  /** Events from the front of the queue that are complete, too old, or too many. */
  #ready(): AuditItem[] {
    const out: AuditItem[] = [];
    for (const open of this.#open.values()) {
      const old = (open.item.event?.sec ?? 0) + TIMEOUT_S < this.#newest;
      if (!open.complete && !old && this.#open.size <= OPEN_MAX) break;
      out.push(this.#take(open));
    }
    return out;
  }

  #take(open: Open): AuditItem {
    this.#open.delete(open.key);
    if (open.item.event !== undefined) this.#recent.add(open.key);
    if (this.#recent.size > RECENT) {
      for (const key of this.#recent) {
        this.#recent.delete(key);
        break;
      }
    }
    return open.item;
  }

  /** The end of the log, or of a stretch of it: what is open gets no more records. */
  finish(): AuditItem[] {
    const out: AuditItem[] = [];
    for (const open of [...this.#open.values()]) out.push(this.#take(open));
    this.#newest = 0;
    return out;
  }
}

function newEvent(record: AuditRecord): AuditEvent {
  const { node, sec, msec, serial, line, file } = record;
  return { node, sec, msec, serial, line, file, syscall: undefined, records: [] };
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
