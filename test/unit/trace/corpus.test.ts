// Every recorded strace log: no line unaccounted for, and the counts of an independent counter.
import * as fs from 'node:fs';
import * as path from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { detectFormat } from '../../../host/trace/detect.ts';
import { indexForks } from '../../../host/trace/index.ts';
import { openSource, sourceHead } from '../../../host/trace/source.ts';
import { StraceLog } from '../../../host/trace/strace.ts';
import type { ArgNode } from '../../../host/trace/args.ts';
import type { LineKind } from '../../../host/trace/event.ts';

const DIR = fileURLToPath(new URL('../../traces', import.meta.url));

interface Entry {
  file: string;
  name: string;
  format: string;
  lines: number;
  tasks_in_log?: number;
  counts?: Record<string, number>;
  truth?: { processes?: [number, number, number, string, string][] };
}
const manifest = JSON.parse(fs.readFileSync(path.join(DIR, 'manifest.json'), 'utf8')) as {
  traces: Entry[];
};
const strace = manifest.traces.filter((entry) => entry.format.startsWith('strace'));

/** Texts that argument decoding did not understand. */
function strangeNodes(nodes: ArgNode[], into: string[]): void {
  for (const node of nodes) {
    if (node.kind === 'other') into.push(node.text);
    if (node.kind === 'array') strangeNodes(node.items, into);
    if (node.kind === 'struct') strangeNodes(node.fields, into);
    if (node.kind === 'fn') strangeNodes(node.args, into);
    if (node.out !== undefined) strangeNodes([node.out], into);
  }
}

async function facts(file: string): Promise<{
  kinds: Partial<Record<LineKind, number>>;
  unparsed: string[];
  strange: string[];
  log: StraceLog;
  index: Awaited<ReturnType<typeof indexForks>>;
}> {
  const source = await openSource([file]);
  const index = await indexForks(new StraceLog(source));
  const log = new StraceLog(source, { firstPid: index.firstPid });
  const kinds: Partial<Record<LineKind, number>> = {};
  const unparsed: string[] = [];
  const strange: string[] = [];
  for await (const batch of log.batches()) {
    for (const line of batch) {
      kinds[line.kind] = (kinds[line.kind] ?? 0) + 1;
      if (line.kind === 'unparsed') unparsed.push(`${line.line}: ${line.text}`);
      strangeNodes(line.args, strange);
    }
  }
  source.close();
  expect(source.warnings).toEqual([]);
  return { kinds, unparsed, strange, log, index };
}

/** `<... resuming interrupted X ...>` is what strace shows for arguments it doesn't have. */
function isExplained(text: string): boolean {
  return text.startsWith('<... resuming interrupted ');
}

describe.each(strace)('$name', (entry) => {
  it('is read completely', async () => {
    const { kinds, unparsed, strange, log, index } = await facts(path.join(DIR, entry.file));
    const counts = entry.counts ?? {};
    expect(unparsed).toEqual([]);
    expect(strange.filter((text) => !isExplained(text))).toEqual([]);
    const { total, calls, signals, exits, other } = log.lines;
    expect(total).toBe(entry.lines);
    expect(calls + signals + exits + other).toBe(total);
    // One line of that log has `???` for a number and was left out by the counter.
    const extra = entry.name === 'i386_m32_n' ? 1 : 0;
    expect(log.calls.calls).toBe((counts['calls'] ?? 0) + extra);
    expect(log.lines.other).toBe((counts['other'] ?? 0) - extra);
    // The counter did not take `<pid changed to N ...>` for a first half.
    const isSet = entry.file.includes('.tar.');
    const changed = isSet ? (counts['superseded'] ?? 0) : 0;
    expect(kinds.unfinished ?? 0).toBe((counts['unfinished'] ?? 0) + changed);
    expect(kinds.resumed ?? 0).toBe(counts['resumed'] ?? 0);
    expect(kinds.signal ?? 0).toBe(counts['signals'] ?? 0);
    expect(kinds.stopped ?? 0).toBe(counts['stops'] ?? 0);
    expect(kinds.exit ?? 0).toBe(counts['exits'] ?? 0);
    expect(kinds.killed ?? 0).toBe(counts['killed'] ?? 0);
    expect(kinds.superseded ?? 0).toBe(counts['superseded'] ?? 0);
    const forks = [...index.forks.values()].filter((fork) => fork.ret > 0);
    expect(forks.length).toBe(counts['forks'] ?? 0);
    if ((entry.tasks_in_log ?? 0) > 0) {
      expect([...index.tasks.values()].flat().length).toBe(entry.tasks_in_log);
    }
  });

  it('has the parents that the kernel saw', async () => {
    const { index } = await facts(path.join(DIR, entry.file));
    for (const [pid, parent] of entry.truth?.processes ?? []) {
      const spans = index.tasks.get(pid) ?? [];
      // forks by a thread count for its process in the truth, whose first task is the first pid
      const ok =
        spans.length === 0 ||
        pid === index.firstPid ||
        spans.some(
          (span) =>
            span.fork?.pid === parent || (span.fork !== undefined && parent === index.firstPid),
        );
      expect(ok, `${pid} forked by ${parent}`).toBe(true);
    }
  });
});

describe('option styles', () => {
  const dir = path.join(DIR, 'styles');
  it.each(fs.readdirSync(dir))('%s', async (name) => {
    const { unparsed, strange, log, index } = await facts(path.join(dir, name));
    expect(unparsed).toEqual([]);
    expect(strange.filter((text) => !isExplained(text))).toEqual([]);
    if (name.startsWith('counts') || name.startsWith('attach')) return;
    // the same script every time: five forks by the first shell, all of whose results are known
    const forks = [...index.forks.values()].filter((fork) => fork.child !== 0);
    expect(forks.length).toBe(5);
    expect(new Set(forks.map((fork) => fork.pid))).toEqual(new Set([index.firstPid]));
    expect(index.tasks.size).toBe(6);
    expect(log.calls.resumedAlone).toBe(0);
  });
});

describe('formats', () => {
  const names: Record<string, string> = {
    audit: 'audit',
    ausearch: 'ausearch',
    ftrace: 'ftrace',
    perfscript: 'perf-script',
    perftrace: 'perf-trace',
    ltrace: 'ltrace',
    strace: 'strace',
    'strace-ff': 'strace',
  };
  it.each(manifest.traces)('$file', async ({ file }) => {
    const source = await openSource([path.join(DIR, file)]);
    const head = Buffer.from(await sourceHead(source)).toString('latin1');
    source.close();
    const suffix = file.split('.')[1] as string;
    expect(detectFormat(head)).toBe(names[suffix]);
  });
  it('tells scripts by their first line', () => {
    for (const file of fs.readdirSync(path.join(DIR, 'script'))) {
      const text = fs.readFileSync(path.join(DIR, 'script', file), 'latin1');
      expect(detectFormat(text)).toBe('script');
    }
    expect(detectFormat('{"a": 1}\n')).toBe('jsonl');
    expect(detectFormat('hello\n')).toBe('unknown');
    expect(detectFormat('')).toBe('unknown');
  });
});
