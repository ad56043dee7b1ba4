// What the kernel of the recording machine itself said of each run (tracepoints, process
// accounting), taken apart from the logs. Protects: the process table, ends and signals that a
// replay reports are those of the run.
import { expect, test } from 'vitest';
import { signalNumber } from '../../host/trace/values.ts';
import { replayTrace } from '../../host/replay.ts';
import type { LogFormat } from '../../host/trace/formats.ts';
import { openSource } from '../../host/trace/source.ts';
import manifest from '../traces/manifest.json' with { type: 'json' };

interface Truth {
  processes?: [pid: number, forkedBy: number, ppidAtExit: number, status: string, comm: string][];
  signals_delivered?: Record<string, number>;
}

/**
 * Accounting writes the leader's own code where wait(2) gives the group's: leaders that left before
 * their threads, and inits of namespaces that called reboot(2).
 */
const OWN_CODE = new Set([15690, 15703, 5865, 5878, 6043, 6056, 4547, 4548, 4607, 4608]);
/** The tracepoint's name of the first real-time signal is the C library's. */
const SIGRTMIN = 34;
/** Signals by which the recorder starts the program, and those that no log has lines for. */
const UNSEEN = new Set([9, 18, 19]);
/** Logs that show a part of the run only, by their options. */
const PARTIAL = new Set(['attach_bash', 'opt_nofollow_stderr', 'killstorm_60', 'ltrace_pipes']);

function statusOf(end: string): string {
  return end.startsWith('SIG') ? `sig ${signalNumber(end)}` : end;
}

/** Counts by number; tracepoints know real-time signals by number alone. */
function byNumber(counts: Record<string, number>, libc: boolean): Map<number, number> {
  const out = new Map<number, number>();
  for (const [name, count] of Object.entries(counts)) {
    const number = libc && name === 'SIGRTMIN' ? SIGRTMIN : signalNumber(name);
    if (!UNSEEN.has(number)) out.set(number, count);
  }
  return new Map([...out].sort(([a], [b]) => a - b));
}

const traces = manifest.traces.filter((one) => one.format.startsWith('strace'));
/** Other recorders whose log shows ends and signals: as they are called here. */
const OTHERS: Readonly<Record<string, LogFormat>> = {
  ftrace_pipes: 'ftrace',
  ltrace_pipes: 'ltrace',
};
traces.push(...manifest.traces.filter((one) => one.name in OTHERS));

test.each(traces)('$name', async ({ name, file, truth: facts }) => {
  const truth = facts as unknown as Truth;
  const source = await openSource([`test/traces/${file}`]);
  const { result } = await replayTrace(source, file, { format: OTHERS[name] ?? 'strace' });
  source.close();
  const ours = new Map(result.processes.map((process) => [process.pid, process]));
  const first = result.processes[0]?.pid;
  const wrong: string[] = [];
  for (const [pid, forkedBy, , status] of truth.processes ?? []) {
    const process = ours.get(pid);
    // a process that is not followed shows no end
    if (!process || process.end === '' || OWN_CODE.has(pid)) continue;
    const parent = pid === first ? forkedBy : process.ppid;
    if (statusOf(process.end) !== status || parent !== forkedBy) {
      wrong.push(`${pid}: ${status} by ${forkedBy}, replayed ${process.end} by ${process.ppid}`);
    }
  }
  expect(wrong).toEqual([]);
  if (PARTIAL.has(name)) return;
  expect(byNumber(result.signals, false)).toEqual(byNumber(truth.signals_delivered ?? {}, true));
});
