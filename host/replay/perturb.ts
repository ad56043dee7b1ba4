// `--perturb SEED`: does the replay notice when the log lies? Recorded facts are changed one by
// one, each in a replay of its own; a replay that echoes its log would notice none.
import type { TraceLine } from '../trace/event.ts';
import { indexForks } from '../trace/index.ts';
import type { LogFormat } from '../trace/formats.ts';
import type { TraceSource } from '../trace/source.ts';
import { readerFor, replayTrace } from '../replay.ts';

/** Calls whose results the kernel predicts whatever the world does. */
const PREDICTED = new Set([
  'wait4',
  'waitid',
  'kill',
  'tgkill',
  'tkill',
  'getpid',
  'gettid',
  'getppid',
  'getpgid',
  'getpgrp',
  'getsid',
  'setpgid',
  'setsid',
  'dup',
  'dup2',
  'dup3',
  'close',
  'rt_sigaction',
  'rt_sigprocmask',
  'pipe',
  'pipe2',
  'set_tid_address',
]);

/** A divergence this many lines behind the changed one still counts as noticed. */
const NEAR = 40;

interface Change {
  seq: number;
  line: number;
  what: string;
  apply: (line: TraceLine) => void;
}

export interface PerturbReport {
  changed: number;
  noticed: number;
  share: number;
  missed: string[];
  text: string;
}

/** xorshift32 */
function random(seed: number): () => number {
  let x = seed | 0 || 1;
  return () => {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    return x >>> 0;
  };
}

/** What can be changed on a line, or nothing. */
function changeOf(line: TraceLine, pick: number): Change | undefined {
  const at = { seq: line.seq, line: line.line };
  if (line.kind === 'exit') {
    const code = (line.exitCode + 1 + (pick % 200)) & 0xff;
    if (code === line.exitCode) return undefined;
    return {
      ...at,
      what: `exit code ${line.exitCode} -> ${code}`,
      apply: (l) => (l.exitCode = code),
    };
  }
  if (line.kind !== 'call' && line.kind !== 'resumed') return undefined;
  if (!PREDICTED.has(line.name) || line.injected) return undefined;
  if (line.retKind === 'value' && typeof line.ret === 'number') {
    const before = line.ret;
    const ret = before + 1 + (pick % 5);
    return { ...at, what: `${line.name} = ${before} -> ${ret}`, apply: (l) => (l.ret = ret) };
  }
  if (line.retKind === 'error') {
    const errno = line.errno === 'EBADF' ? 'EINVAL' : 'EBADF';
    return {
      ...at,
      what: `${line.name} ${line.errno} -> ${errno}`,
      apply: (l) => (l.errno = errno),
    };
  }
  return undefined;
}

/** Changes `wanted` facts, one replay each. */
export async function perturb(
  source: TraceSource,
  name: string,
  seed: number,
  wanted: number,
  format: LogFormat = 'strace',
): Promise<PerturbReport> {
  const next = random(seed);
  const reader = await readerFor(source, format);
  const index = await indexForks(reader.open());
  const changes: Change[] = [];
  for await (const batch of reader.open({ firstPid: index.firstPid }).batches()) {
    for (const line of batch) {
      const change = changeOf(line, next());
      if (change) changes.push(change);
    }
  }
  const base = (await replayTrace(source, name, { index, format })).result;
  const known = new Set(base.divergences.map((d) => d.line));
  const missed: string[] = [];
  let noticed = 0;
  const count = Math.min(wanted, changes.length);
  for (let i = 0; i < count; ++i) {
    const change = changes.splice(next() % changes.length, 1)[0]!;
    const { result } = await replayTrace(source, name, {
      index,
      format,
      mutate: (line) => {
        if (line.seq === change.seq) change.apply(line);
      },
    });
    const seen = result.divergences.some(
      (d) => !known.has(d.line) && d.line >= change.line && d.line <= change.line + NEAR,
    );
    if (seen) noticed += 1;
    else missed.push(`line ${change.line}: ${change.what}`);
  }
  const share = count ? noticed / count : 1;
  const text = [
    `${name}: ${noticed} of ${count} changed facts noticed (${(100 * share).toFixed(1)} %)`,
    ...missed.slice(0, 20).map((m) => `  missed ${m}`),
  ].join('\n');
  return { changed: count, noticed, share, missed, text };
}
