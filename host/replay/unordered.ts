// Sets without times: the order within each file is known, between files it is not. One line of
// each file in turn is replayed when the kernel's state allows what it shows: a child that is
// waited for is dead, a signal is there, a task has been forked.
import * as OP from '../../assembly/uapi/op.ts';
import type { TraceLine } from '../trace/event.ts';
import type { FileCursor } from '../trace/strace.ts';
import type { Replay } from './engine.ts';
import { deliverable, worldly } from './ends.ts';

const WAITS = new Set([OP.OP_WAIT4, OP.OP_WAITID, OP.OP_WAITPID]);

/** Numbers lines as the first pass did, file by file. */
export interface FirstPass {
  /** lines in all files before this one */
  offsets: number[];
}

function callReady(r: Replay, line: TraceLine): boolean {
  const row = r.rowOf(line);
  if (line.retKind === 'restart') return r.kernel.nextSignal(line.pid) !== 0;
  if (!row || !WAITS.has(row.op) || typeof line.ret !== 'number' || line.ret <= 0) return true;
  const child = r.kernel.task(line.ret);
  return child === undefined || child.state !== 'R';
}

/** Does the kernel's state allow what this line shows? */
function ready(r: Replay, line: TraceLine): boolean {
  const view = r.kernel.task(line.pid);
  if (!view) {
    const spans = r.index.tasks.get(line.pid);
    return spans?.[0]?.fork === undefined;
  }
  const open = r.tasks.get(line.pid)?.open;
  if (open?.asleep && !r.kernel.isWoken(line.pid)) return false;
  switch (line.kind) {
    case 'call':
      return callReady(r, line);
    case 'signal':
      return deliverable(r, line.pid, line.signo) || worldly(r, line.siginfo, line.signo);
    case 'exit':
    case 'killed': {
      const leaving = r.tasks.get(line.pid)?.exiting !== undefined;
      return leaving || view.state === 'Z' || r.kernel.exports.fatal_pending(line.pid) >= 0;
    }
    default:
      return true;
  }
}

/** Replays the files of a set together. */
export function replayUnordered(r: Replay, cursors: FileCursor[], pass: FirstPass): void {
  let live = cursors.filter((cursor) => cursor.peek() !== undefined);
  const feed = (cursor: FileCursor): void => {
    const line = cursor.take()!;
    const open = r.tasks.get(line.pid)?.open;
    if (open?.asleep) r.endOpen(open);
    r.feed(line);
  };
  while (live.length) {
    let moved = false;
    for (const cursor of live) {
      const line = cursor.peek();
      if (!line) continue;
      line.seq = (pass.offsets[line.file] ?? 0) + line.line;
      if (!ready(r, line)) continue;
      feed(cursor);
      moved = true;
    }
    live = live.filter((cursor) => cursor.peek() !== undefined);
    // nothing fits: the first line that is left is taken as it is, and may diverge
    if (!moved && live[0]) feed(live[0]);
  }
}
