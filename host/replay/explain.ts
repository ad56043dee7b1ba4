// `--explain LINE`: what the kernel's state was before and after a line of the log.
import type { TaskView } from '../views.ts';
import type { LogFormat } from '../trace/formats.ts';
import type { TraceSource } from '../trace/source.ts';
import { replayTrace } from '../replay.ts';
import type { Replay } from './engine.ts';

function show(view: TaskView): string {
  const set = (mask: bigint): string => `0x${mask.toString(16)}`;
  return (
    `  ${view.tid} ${view.comm} state ${view.state} ppid ${view.ppid} pgid ${view.pgid} ` +
    `sid ${view.sid} threads ${view.threads} container ${view.container || '-'} ` +
    `blocked ${set(view.blocked)} pending ${set(view.pending)}`
  );
}

/** The task of the line, its parent, its children. */
function concerned(replay: Replay, pid: number): TaskView[] {
  const all = replay.kernel.tasks();
  const self = all.find((t) => t.tid === pid);
  return all.filter((t) => t.tid === pid || t.tid === self?.ppid || t.ppid === pid);
}

/** A text for people: state before, verdict, state after. Empty when there is no such line. */
export async function explain(
  source: TraceSource,
  name: string,
  wanted: number,
  format: LogFormat = 'strace',
): Promise<string> {
  const out: string[] = [];
  let before = { matched: 0, diverged: 0, blind: 0, divergences: 0 };
  await replayTrace(source, name, {
    format,
    watch: (line, replay, after) => {
      if (line.line !== wanted) return;
      const r = replay.result;
      const views = concerned(replay, line.pid).map(show);
      if (!after) {
        before = { ...r, divergences: r.divergences.length };
        out.push(line.text, '', 'before', ...views, `  open calls: ${openCalls(replay)}`);
        return;
      }
      out.push('after', ...views, '', verdict(replay, before));
    },
  });
  return out.join('\n');
}

function openCalls(replay: Replay): string {
  const open = [...replay.living].filter((t) => t.open && !t.dead);
  return open.map((t) => `${t.pid} ${t.open!.name} (line ${t.open!.line})`).join(', ') || 'none';
}

function verdict(
  replay: Replay,
  before: { matched: number; diverged: number; blind: number; divergences: number },
): string {
  const r = replay.result;
  const found = r.divergences.slice(before.divergences);
  if (found.length) {
    const text = found.map((d) => `recorded ${d.expected}, the kernel says ${d.actual}`);
    return `diverged: ${text.join('; ')}`;
  }
  if (r.matched > before.matched) return 'matched: the kernel answered what was recorded';
  if (r.blind > before.blind) return 'blind: the call depends on what the log does not show';
  return 'nothing was compared: the line begins something, or touches no state of the kernel';
}
