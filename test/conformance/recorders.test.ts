// Protects: logs of recorders other than strace. They show raw arguments, so less is compared; what
// is compared agrees, every line is accounted for, and each end comes out as the machine had it.
import { describe, expect, it } from 'vitest';
import { replayTrace } from '../../host/replay.ts';
import type { LogFormat } from '../../host/trace/formats.ts';
import { detectFormat } from '../../host/trace/detect.ts';
import { openSource, sourceHead } from '../../host/trace/source.ts';

interface Expected {
  file: string;
  format: LogFormat;
  /** calls that are compared and agree, at least */
  matched: number;
  tasks: number;
  /** differences whose cause the log does not show */
  diverged?: number;
}

const LOGS: readonly Expected[] = [
  { file: 'ftrace_pipes.ftrace.gz', format: 'ftrace', matched: 610, tasks: 22 },
  { file: 'ftrace_syscalls_jobs.ftrace.gz', format: 'ftrace', matched: 340, tasks: 17 },
  { file: 'ftrace_forkbomb.ftrace.zst', format: 'ftrace', matched: 4050, tasks: 1001 },
  // perf's own descriptors, which the program inherits, are in no line: a pipe is another one
  {
    file: 'perfscript_pipes.perfscript.gz',
    format: 'perf-script',
    matched: 600,
    tasks: 22,
    diverged: 1,
  },
  { file: 'ltrace_pipes.ltrace.gz', format: 'ltrace', matched: 360, tasks: 25 },
];

describe.each(LOGS)('$file', ({ file, format, matched, tasks, diverged = 0 }) => {
  it('is told from its text, read whole and agrees', async () => {
    const source = await openSource([`test/traces/${file}`]);
    const head = Buffer.from(await sourceHead(source)).toString('latin1');
    expect(detectFormat(head)).toBe(format);
    const { result, kernel } = await replayTrace(source, file, { format });
    source.close();
    expect(result.lines.unparsed).toBe(0);
    expect(result.divergences.length).toBeLessThanOrEqual(diverged);
    expect(result.matched).toBeGreaterThanOrEqual(matched);
    expect(result.tasks).toBe(tasks);
    expect(kernel.check()).toEqual([]);
  });
});
