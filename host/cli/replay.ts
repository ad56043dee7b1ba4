// `bulkhead replay`: finds out the format, replays, prints.
import { ABI_NAMES, type AbiName, isAbiName } from '../syscall-abi.ts';
import { explain } from '../replay/explain.ts';
import { perturb } from '../replay/perturb.ts';
import { replayTrace } from '../replay.ts';
import { agrees, type Replayed } from '../replay/result.ts';
import { runScript } from '../script/runner.ts';
import { readScript, ScriptError } from '../trace/script.ts';
import { styleFor } from '../render/style.ts';
import { renderDivergences, renderSummary } from '../render/summary.ts';
import { renderContainers, renderProcesses } from '../render/tree.ts';
import { detectFormat } from '../trace/detect.ts';
import { isLogFormat, LOG_FORMATS } from '../trace/formats.ts';
import { openSource, sourceHead, SourceError, type TraceSource } from '../trace/source.ts';
import { readOptions } from './options.ts';
import { Progress } from './progress.ts';
import { EXIT_DIVERGED, EXIT_INTERRUPTED, EXIT_OK, UsageError } from './status.ts';

/** Formats that are read. */
const FORMATS = [...LOG_FORMATS, 'script'];

const OPTIONS = {
  json: { type: 'boolean' },
  tree: { type: 'boolean' },
  containers: { type: 'boolean' },
  explain: { type: 'string' },
  perturb: { type: 'string' },
  'perturb-count': { type: 'string' },
  abi: { type: 'string' },
  format: { type: 'string' },
  'private-calls': { type: 'boolean' },
  'no-strict': { type: 'boolean' },
  quiet: { type: 'boolean' },
  'no-color': { type: 'boolean' },
} as const;

function abiOf(name: string | undefined): AbiName | undefined {
  if (name === undefined) return undefined;
  if (!isAbiName(name))
    throw new UsageError(`no such ABI: ${name}; there are ${ABI_NAMES.join(', ')}`);
  return name;
}

export async function replayCommand(args: string[]): Promise<number> {
  const { values, positionals } = readOptions(args, OPTIONS);
  if (positionals.length === 0)
    throw new UsageError('replay needs a file, or - for standard input');
  const abi = abiOf(values.abi);
  const abort = new AbortController();
  process.once('SIGINT', () => abort.abort());
  const source = await openSource(positionals);
  const progress = new Progress(process.stderr, values.quiet === true || values.json === true);
  try {
    if (values.format !== undefined && !FORMATS.includes(values.format)) {
      throw new UsageError(`no such format: ${values.format}; there are ${FORMATS.join(', ')}`);
    }
    const format =
      values.format ?? detectFormat(Buffer.from(await sourceHead(source)).toString('latin1'));
    if (format === 'script') {
      const replayed = await replayScript(source, positionals[0]!);
      print(replayed, values);
      return agrees(replayed.result) || values['no-strict'] ? EXIT_OK : EXIT_DIVERGED;
    }
    if (!isLogFormat(format)) {
      const why =
        format === 'unknown' ? 'not a trace that is known' : `format ${format} is not read yet`;
      throw new SourceError(`${positionals[0]}: ${why}; --format names one`);
    }
    const name = positionals.join(' ');
    if (values.explain !== undefined) {
      const wanted = numberOption('explain', values.explain);
      const text = await explain(source, name, wanted, format);
      if (!text) throw new UsageError(`--explain ${wanted}: the log has no such line`);
      console.log(text);
      return EXIT_OK;
    }
    if (values.perturb !== undefined) {
      const seed = numberOption('perturb', values.perturb);
      const wanted = numberOption('perturb-count', values['perturb-count'] ?? '100');
      const report = await perturb(source, name, seed, wanted, format);
      console.log(values.json ? JSON.stringify(report) : report.text);
      return report.share >= 0.99 || values['no-strict'] ? EXIT_OK : EXIT_DIVERGED;
    }
    const replayed = await replayTrace(source, name, {
      format,
      ...(abi ? { abi } : {}),
      privateCalls: values['private-calls'] === true,
      progress: (share) => progress.update(share),
      signal: abort.signal,
    });
    progress.end();
    for (const warning of source.warnings) console.error(`bulkhead: ${warning}`);
    const { lines } = replayed.result;
    if (lines.calls + lines.signals + lines.exits === 0) {
      throw new SourceError(`${name}: no line of a trace in it (${lines.unparsed} not understood)`);
    }
    print(replayed, values);
    if (abort.signal.aborted) return EXIT_INTERRUPTED;
    return agrees(replayed.result) || values['no-strict'] ? EXIT_OK : EXIT_DIVERGED;
  } finally {
    progress.end();
    source.close();
  }
}

function numberOption(name: string, text: string): number {
  if (!/^\d+$/.test(text)) throw new UsageError(`--${name} takes a number, not ${text}`);
  return Number(text);
}

/** A trap script is read whole: authors write it, machines don't. */
async function replayScript(source: TraceSource, name: string): Promise<Replayed> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of source.files[0]!.chunks()) chunks.push(Uint8Array.from(chunk));
  try {
    const script = readScript(Buffer.concat(chunks).toString('utf8'));
    return { ...(await runScript(script, name)), processes: [] };
  } catch (error) {
    if (error instanceof ScriptError) throw new SourceError(`${name}: ${error.message}`);
    throw error;
  }
}

interface Shown {
  json?: boolean | undefined;
  tree?: boolean | undefined;
  containers?: boolean | undefined;
  quiet?: boolean | undefined;
  'no-color'?: boolean | undefined;
}

function print(replayed: Replayed, values: Shown): void {
  const { result, kernel } = replayed;
  if (values.json) {
    console.log(JSON.stringify(result));
    return;
  }
  const s = styleFor(process.stdout, values['no-color'] ? false : undefined);
  const parts: string[] = [];
  if (result.divergences.length) parts.push(renderDivergences(result, s));
  if (!values.quiet) parts.push(renderSummary(result, s));
  if (values.tree && replayed.processes.length) {
    parts.push(`${s.bold('processes')}\n${renderProcesses(replayed.processes, s)}`);
  }
  if (values.containers) {
    parts.push(`${s.bold('containers')}\n${renderContainers(kernel.containers(), s)}`);
    const text = kernel.procText(1, '/proc/containers') ?? '';
    parts.push(`${s.dim('/proc/containers, as pid 1 reads it')}\n${text.trimEnd()}`);
  }
  if (parts.length) console.log(parts.join('\n\n'));
}
