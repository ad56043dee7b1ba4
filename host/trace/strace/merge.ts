// The files of an -ff set in the order of their times.
import type { TraceLine } from '../event.ts';
import type { FileCursor } from '../strace.ts';
import type { StraceContext } from './context.ts';

const BATCH = 4096;

function before(a: TraceLine, b: TraceLine): boolean {
  if (a.sec !== b.sec) return a.sec < b.sec;
  if (a.nsec !== b.nsec) return a.nsec < b.nsec;
  return a.file < b.file;
}

/** Sinks the root of a heap of cursors to its place. */
function sink(heap: FileCursor[], from: number): void {
  let at = from;
  for (;;) {
    let least = at;
    for (let child = 2 * at + 1; child <= 2 * at + 2 && child < heap.length; child++) {
      const a = (heap[child] as FileCursor).peek() as TraceLine;
      if (before(a, (heap[least] as FileCursor).peek() as TraceLine)) least = child;
    }
    if (least === at) return;
    const moved = heap[at] as FileCursor;
    heap[at] = heap[least] as FileCursor;
    heap[least] = moved;
    at = least;
  }
}

/** When a call was over: by its own duration, or when its task did the next thing. */
function setUntil(line: TraceLine, next: TraceLine | undefined): void {
  if (line.kind !== 'call' || line.sec < 0) return;
  if (line.duration >= 0) {
    const whole = Math.floor(line.duration);
    const nsec = line.nsec + Math.round((line.duration - whole) * 1e9);
    line.untilSec = line.sec + whole + (nsec >= 1e9 ? 1 : 0);
    line.untilNsec = nsec >= 1e9 ? nsec - 1e9 : nsec;
  } else if (next !== undefined && next.sec >= 0) {
    line.untilSec = next.sec;
    line.untilNsec = next.nsec;
  }
}

/** Lines of all cursors by time; lines of one file keep their order whatever their times say. */
export function* mergeByTime(cursors: FileCursor[], context: StraceContext): Iterable<TraceLine[]> {
  const heap = cursors.filter((cursor) => cursor.peek() !== undefined);
  for (let i = (heap.length >> 1) - 1; i >= 0; i--) sink(heap, i);
  let seq = 0;
  let batch: TraceLine[] = [];
  while (heap.length > 0) {
    const top = heap[0] as FileCursor;
    const line = top.take() as TraceLine;
    const next = top.peek();
    line.seq = ++seq;
    setUntil(line, next);
    batch.push(line);
    if (batch.length === BATCH) {
      yield batch;
      batch = [];
    }
    if (next === undefined) {
      const last = heap.pop() as FileCursor;
      if (heap.length > 0) heap[0] = last;
    } else if (next.sec < 0) {
      // no time of its own: goes with the line before
      next.sec = line.sec;
      next.nsec = line.nsec;
      next.timeKind = line.timeKind;
    } else if (next.sec < line.sec || (next.sec === line.sec && next.nsec < line.nsec)) {
      continue;
    }
    if (heap.length > 0) sink(heap, 0);
  }
  if (batch.length > 0) yield batch;
  context.seq = seq;
}
