// `--perturb SEED`: does the replay notice when the log lies? Recorded facts are changed one by
// one, each in a replay of its own; a replay that echoes its log would notice none.
import type { TraceLine } from '../trace/event.ts';
import type { LogFormat } from '../trace/formats.ts';
import { indexForks } from '../trace/index.ts';
import type { TraceSource } from '../trace/source.ts';
import { readerFor, replayTrace } from '../replay.ts';
import type { Compared } from './result.ts';

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

/** Results that the log forces on the kernel: numbers of new tasks. */
const FORCED = /^(fork|vfork|clone|clone2|clone3|fork_into_container)$/;
/** Decimal facts inside a line's text. */
const SIGNAL_FACT = /si_(?:pid|status)=\d+/g;
const WAIT_FACT = /WEXITSTATUS\(s\) == \d+/g;

/** Another number in the place of the last digit of one of the facts: the text keeps its length. */
function changeText(line: TraceLine, fact: RegExp, pick: number): Change | undefined {
  const facts = [...line.text.matchAll(fact)];
  const hit = facts[pick % (facts.length || 1)];
  if (!hit) return undefined;
  const at = hit.index + hit[0].length - 1;
  const digit = (Number(line.text[at]) + 1 + (pick % 8)) % 10;
  const text = line.text.slice(0, at) + String(digit) + line.text.slice(at + 1);
  const what = `${hit[0]} -> ${hit[0].slice(0, -1)}${digit}`;
  return { seq: line.seq, line: line.line, what, apply: (l) => (l.text = text) };
}

/** A signal more in the mask that a handler's return restores, or one less. */
function changeMask(line: TraceLine): Change | undefined {
  const mask = /mask=~?\[([^\]]*)\]/.exec(line.argText);
  if (!mask) return undefined;
  const names = mask[1]!.split(' ');
  const more = names.includes('URG') ? names.filter((name) => name !== 'URG') : ['URG', ...names];
  const now = mask[0].replace(/\[.*/, `[${more.join(' ').trim()}]`);
  const value = line.argText.replace(mask[0], now);
  return {
    seq: line.seq,
    line: line.line,
    what: `${mask[0]} -> ${now}`,
    apply: (l) => Object.defineProperty(l, 'argText', { value }),
  };
}

/** More than any timer is set to. */
const AGES = 1_000_000_000;

/** What can be changed on a line, or nothing. */
function changeOf(line: TraceLine, pick: number, part: Compared): Change | undefined {
  const at = { seq: line.seq, line: line.line };
  // of a call in two halves the first shows the mask
  if (part === 'mask') return line.kind === 'call' ? changeMask(line) : undefined;
  if (part === 'bounds' && typeof line.ret === 'number') {
    const ret = AGES + line.ret;
    return { ...at, what: `${line.name} = ${line.ret} -> ${ret}`, apply: (l) => (l.ret = ret) };
  }
  if (line.kind === 'signal') return changeText(line, SIGNAL_FACT, pick);
  if (line.kind === 'exit') {
    const code = (line.exitCode + 1 + (pick % 200)) & 0xff;
    const what = `exit code ${line.exitCode} -> ${code}`;
    return { ...at, what, apply: (l) => (l.exitCode = code) };
  }
  if (line.kind === 'killed') {
    const signo = 1 + ((line.signo + (pick % 30)) % 31);
    const what = `killed by ${line.signo} -> ${signo}`;
    return { ...at, what, apply: (l) => (l.signo = signo) };
  }
  if (line.kind !== 'call' && line.kind !== 'resumed') return undefined;
  if (FORCED.test(line.name) || line.injected) return undefined;
  if (line.kind === 'call' && line.name === 'wait4' && pick & 1) {
    const change = changeText(line, WAIT_FACT, pick >>> 1);
    if (change) return change;
  }
  if (line.retKind === 'value' && typeof line.ret === 'number') {
    const before = line.ret;
    const ret = before + 1 + (pick % 5);
    return { ...at, what: `${line.name} = ${before} -> ${ret}`, apply: (l) => (l.ret = ret) };
  }
  if (line.retKind === 'error') {
    const errno = line.errno === 'EBADF' ? 'EINVAL' : 'EBADF';
    const what = `${line.name} ${line.errno} -> ${errno}`;
    return { ...at, what, apply: (l) => (l.errno = errno) };
  }
  return undefined;
}

/** Every fact that a replay compares, with something else in its place. */
async function changesOf(
  batches: AsyncIterable<TraceLine[]>,
  compared: ReadonlyMap<number, Compared>,
  next: () => number,
): Promise<Change[]> {
  const changes: Change[] = [];
  for await (const batch of batches) {
    for (const line of batch) {
      const part = compared.get(line.start?.seq ?? line.seq);
      const change = part && changeOf(line, next(), part);
      if (change) changes.push(change);
    }
  }
  return changes;
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
  const compared = new Map<number, Compared>();
  const base = (await replayTrace(source, name, { index, format, compared })).result;
  const log = reader.open({ firstPid: index.firstPid });
  const changes = await changesOf(log.batches(), compared, next);
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
    // lines of another file of a set have numbers of their own
    const elsewhere = change.seq !== change.line;
    const seen = result.divergences.some((d) => {
      const near = d.line >= change.line && d.line <= change.line + NEAR;
      return near ? !known.has(d.line) : elsewhere && base.divergences.length === 0;
    });
    if (seen) noticed += 1;
    else missed.push(`line ${change.line}: ${change.what}`);
  }
  index.splits.close();
  const share = count ? noticed / count : 1;
  const text = [
    `${name}: ${noticed} of ${count} changed facts noticed (${(100 * share).toFixed(1)} %)`,
    ...missed.slice(0, 20).map((m) => `  missed ${m}`),
  ].join('\n');
  return { changed: count, noticed, share, missed, text };
}
