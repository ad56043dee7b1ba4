// Replays a few lines of a log that stand in a test.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { replayTrace } from '../../../host/replay.ts';
import type { ReplayResult } from '../../../host/replay/result.ts';
import { openSource } from '../../../host/trace/source.ts';

export interface Replayed {
  result: ReplayResult;
  /** `line: expected | actual` of every divergence */
  wrong: string[];
  adopted: Record<string, number>;
}

const EXEC = 'execve("/bin/x", ["x"], 0x7ffd00000000 /* 5 vars */) = 0';

/** Every line is of task 100 unless it begins with a number. `first` is one more, in front. */
export async function replayLog(text: string, first = EXEC): Promise<Replayed> {
  const lines = text
    .trim()
    .split('\n')
    .map((line) => line.trim())
    .map((line) => (/^\d+ /.test(line) ? line : `100 ${line}`));
  const folder = mkdtempSync(join(tmpdir(), 'log-'));
  try {
    const path = join(folder, 'log.strace');
    writeFileSync(path, `100 ${first}\n${lines.join('\n')}\n`);
    const source = await openSource([path]);
    const { result, kernel } = await replayTrace(source, path);
    source.close();
    const findings = kernel.check();
    if (findings.length) throw new Error(findings.join('; '));
    const wrong = result.divergences.map((d) => `${d.line}: ${d.expected} | ${d.actual}`);
    return { result, wrong, adopted: result.reasons.adopted };
  } finally {
    rmSync(folder, { recursive: true });
  }
}
