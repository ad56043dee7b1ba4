// The lines of a log as the replay takes them: beginnings and ends of calls, signals, stops, ends
// of tasks, in order, with a look at what comes next for a task. The look ahead chooses orders and
// nothing else: the kernel never sees it.
import type { TraceLine } from '../trace/event.ts';

export type EventType =
  | 'whole'
  | 'begin'
  | 'end'
  | 'signal'
  | 'stopped'
  | 'exit'
  | 'superseded'
  | 'attach'
  | 'detach'
  | 'other';

export interface LogEvent {
  type: EventType;
  line: TraceLine;
  pid: number;
}

/** How far the feed reads ahead, in events. */
const AHEAD = 32768;

const TYPES: Record<TraceLine['kind'], EventType> = {
  call: 'whole',
  unfinished: 'begin',
  resumed: 'end',
  signal: 'signal',
  stopped: 'stopped',
  exit: 'exit',
  killed: 'exit',
  superseded: 'superseded',
  attach: 'attach',
  detach: 'detach',
  other: 'other',
  unparsed: 'other',
};

export function eventOf(line: TraceLine, firstPid: number): LogEvent {
  return { type: TYPES[line.kind], line, pid: line.pid === 0 ? firstPid : line.pid };
}

/** Events of one task that were read and not handed out yet. */
class Queue {
  #items: LogEvent[] = [];
  #head = 0;

  get first(): LogEvent | undefined {
    return this.#items[this.#head];
  }

  push(event: LogEvent): void {
    this.#items.push(event);
  }

  shift(): void {
    this.#head += 1;
    if (this.#head > 512 && this.#head * 2 > this.#items.length) {
      this.#items = this.#items.slice(this.#head);
      this.#head = 0;
    }
  }

  get empty(): boolean {
    return this.#head >= this.#items.length;
  }

  *[Symbol.iterator](): Generator<LogEvent> {
    for (let i = this.#head; i < this.#items.length; ++i) yield this.#items[i]!;
  }
}

export class Feed {
  #source: AsyncIterator<LogEvent[]> | undefined;
  #ready: LogEvent[] = [];
  #at = 0;
  #queues = new Map<number, Queue>();

  constructor(source: AsyncIterable<LogEvent[]> | readonly LogEvent[]) {
    if (Symbol.asyncIterator in source) {
      this.#source = source[Symbol.asyncIterator]();
    } else {
      this.#ready = source as LogEvent[];
      for (const event of source) this.#queue(event);
    }
  }

  #queue(event: LogEvent): void {
    if (event.type === 'other') return;
    let queue = this.#queues.get(event.pid);
    if (!queue) this.#queues.set(event.pid, (queue = new Queue()));
    queue.push(event);
  }

  /** Reads ahead. Return: false when everything has been handed out. */
  async fill(): Promise<boolean> {
    if (this.#at > AHEAD) {
      this.#ready = this.#ready.slice(this.#at);
      this.#at = 0;
    }
    while (this.#source && this.#ready.length - this.#at < AHEAD) {
      const next = await this.#source.next();
      if (next.done) {
        this.#source = undefined;
        break;
      }
      for (const event of next.value) {
        this.#ready.push(event);
        this.#queue(event);
      }
    }
    return this.#at < this.#ready.length;
  }

  /** The next event, as long as enough of the log is known beyond it. */
  take(): LogEvent | undefined {
    if (this.#source && this.#ready.length - this.#at < AHEAD / 2) return undefined;
    const event = this.#ready[this.#at];
    if (!event) return undefined;
    this.#at += 1;
    if (event.type !== 'other') {
      const queue = this.#queues.get(event.pid)!;
      queue.shift();
      if (queue.empty) this.#queues.delete(event.pid);
    }
    return event;
  }

  /** The next event of a task. */
  next(pid: number): LogEvent | undefined {
    return this.#queues.get(pid)?.first;
  }

  /** All known events of a task to come. */
  upcoming(pid: number): Iterable<LogEvent> {
    return this.#queues.get(pid) ?? [];
  }
}

/** A call under way in a set of files with times: its end stands at the time of its result. */
interface PendingEnd {
  sec: number;
  nsec: number;
  event: LogEvent;
}

function later(a: PendingEnd, sec: number, nsec: number): boolean {
  return a.sec > sec || (a.sec === sec && a.nsec > nsec);
}

/** Splits calls of merged files into beginning and end, where other tasks' lines lie between. */
export async function* splitByTime(
  batches: AsyncIterable<TraceLine[]>,
  firstPid: number,
): AsyncGenerator<LogEvent[]> {
  const pending: PendingEnd[] = [];
  let out: LogEvent[] = [];
  const emit = (event: LogEvent): void => {
    const last = out[out.length - 1];
    if (event.type === 'end' && last?.type === 'begin' && last.line === event.line) {
      last.type = 'whole';
      return;
    }
    out.push(event);
  };
  for await (const batch of batches) {
    for (const line of batch) {
      const event = eventOf(line, firstPid);
      if (line.sec >= 0) {
        while (pending[0] && !later(pending[0], line.sec, line.nsec)) emit(pending.shift()!.event);
      }
      // a task's own next line ends its call, whatever the clock says
      const own = pending.findIndex((one) => one.event.pid === event.pid);
      if (own >= 0 && event.type !== 'other') emit(pending.splice(own, 1)[0]!.event);
      if (event.type !== 'whole' || line.untilSec < 0) {
        emit(event);
        continue;
      }
      emit({ ...event, type: 'begin' });
      const end = {
        sec: line.untilSec,
        nsec: line.untilNsec,
        event: { ...event, type: 'end' as const },
      };
      let at = pending.length;
      while (at > 0 && later(pending[at - 1]!, end.sec, end.nsec)) at -= 1;
      pending.splice(at, 0, end);
    }
    // the last beginning stays: its end may follow at once
    if (out.length > 1) {
      const last = out.pop()!;
      yield out;
      out = [last];
    }
  }
  for (const end of pending) emit(end.event);
  yield out;
}

/** Events of a log whose lines stand in order. */
export async function* plainEvents(
  batches: AsyncIterable<TraceLine[]>,
  firstPid: number,
): AsyncGenerator<LogEvent[]> {
  for await (const batch of batches) yield batch.map((line) => eventOf(line, firstPid));
}
