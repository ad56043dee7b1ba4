// `bulkhead replay`: finds out the format, replays, prints.
import { ABI_NAMES, type AbiName, isAbiName } from '../syscall-abi.ts';
import { CONTAINER_OF, type ContainerOf, isContainerOf } from '../audit/containers.ts';
import { explain } from '../replay/explain.ts';
import { perturb } from '../replay/perturb.ts';
import type { Kernel } from '../kernel.ts';
import { replayTrace } from '../replay.ts';
import { agrees, type Replayed } from '../replay/result.ts';
import { runScript } from '../script/runner.ts';
import { readScript, ScriptError } from '../trace/script.ts';
import { type Style, styleFor } from '../render/style.ts';
import { renderDivergences, renderSummary } from '../render/summary.ts';
import { renderContainers, renderProcesses } from '../render/tree.ts';
import { detectFormat } from '../trace/detect.ts';
import { isLogFormat, LOG_FORMATS, type LogFormat } from '../trace/formats.ts';
import { openSource, sourceHead, SourceError, type TraceSource } from '../trace/source.ts';
import { readOptions } from './options.ts';
import { Progress } from './progress.ts';
import { TextFile } from './text-file.ts';
import { replayEach } from './replay-each.ts';
import { EXIT_DIVERGED, EXIT_INTERRUPTED, EXIT_OK, UsageError } from './status.ts';

/** Formats that are known and not read: what to record instead. */
const REMEDIES: Readonly<Record<string, string>> = {
  'perf-trace':
    'perf trace leaves arguments out; perf record -e raw_syscalls:* and perf script keep them',
  jsonl: 'JSON lines without a head {"bulkhead": 1}: not a trap script',
};
/** Formats that are read. */
const FORMATS = [...LOG_FORMATS, 'script'];

const HELP = `usage: bulkhead replay [options] FILE...

Replays a trace in the kernel and compares each result with the recording. The FILEs are one trace:
one log, or those of an strace -ff set; - is standard input. Compressed ones are read as they are.
With --each or --jobs every FILE is a trace of its own.

  --each               replays each FILE by itself, on all cores; prints in the order of the FILEs
  --jobs N             the same, N at a time

  --json               one JSON object instead of the summary
  --tree               process tree at the end
  --containers         containers at the end
  --audit FILE         writes the audit log of the replay, with the container of every event;
                       - is standard output, and there is no summary then
  --container-of KIND  pid, mnt, user or any: each new namespace of that kind makes a container,
                       in --audit and --containers
  --abi NAME           syscall table of the trace (bulkhead abi lists them)
  --format NAME        strace, audit, ausearch, ftrace, perf-script, ltrace, script; found out by
                       content otherwise
  --private-calls      the private block of calls, 1000 and up, also in a Linux table
  --explain LINE       the state before and after that line
  --perturb SEED       change recorded facts one by one: how many does the replay notice?
  --perturb-count N    how many facts to change (100)
  --no-strict          exit 0 whatever diverged
  --quiet              no summary
  --no-color           no colours (NO_COLOR is respected too)

exit status: 0 everything compared agrees, 1 divergences, 2 usage, 3 input unreadable or not a
trace, 4 internal fault, 130 interrupted
`;

const OPTIONS = {
  each: { type: 'boolean' },
  jobs: { type: 'string' },
  json: { type: 'boolean' },
  tree: { type: 'boolean' },
  containers: { type: 'boolean' },
  audit: { type: 'string' },
  'container-of': { type: 'string' },
  explain: { type: 'string' },
  perturb: { type: 'string' },
  'perturb-count': { type: 'string' },
  abi: { type: 'string' },
  format: { type: 'string' },
  'private-calls': { type: 'boolean' },
  'no-strict': { type: 'boolean' },
  quiet: { type: 'boolean' },
  'no-color': { type: 'boolean' },
  help: { type: 'boolean', short: 'h' },
} as const;
export type ReplayValues = ReturnType<typeof readOptions<typeof OPTIONS>>['values'];
type Values = ReplayValues;

function abiOf(name: string | undefined): AbiName | undefined {
  if (name === undefined) return undefined;
  if (!isAbiName(name))
    throw new UsageError(`no such ABI: ${name}; there are ${ABI_NAMES.join(', ')}`);
  return name;
}

function containerOf(kind: string | undefined): ContainerOf | undefined {
  if (kind !== undefined && !isContainerOf(kind)) {
    throw new UsageError(`--container-of takes ${CONTAINER_OF.join(', ')}, not ${kind}`);
  }
  return kind;
}

async function formatOf(source: TraceSource, values: Values): Promise<LogFormat | 'script'> {
  const wanted = values.format;
  if (wanted !== undefined && !FORMATS.includes(wanted)) {
    throw new UsageError(`no such format: ${wanted}; there are ${FORMATS.join(', ')}`);
  }
  const head = Buffer.from(await sourceHead(source)).toString('latin1');
  const format = wanted ?? detectFormat(head);
  if (format === 'script' || isLogFormat(format)) return format;
  const why = REMEDIES[format] ?? 'not a trace that is known; --format names one';
  throw new SourceError(`${source.name}: ${why}`);
}

/** Options that make a run of their own of the replay. */
const RUNS = ['audit', 'explain', 'perturb'] as const;

export async function replayCommand(args: string[]): Promise<number> {
  const { values, positionals } = readOptions(args, OPTIONS);
  if (values.help) {
    process.stdout.write(HELP);
    return EXIT_OK;
  }
  if (positionals.length === 0)
    throw new UsageError('replay needs a file, or - for standard input');
  // wrong options are told of before anything is read
  abiOf(values.abi);
  containerOf(values['container-of']);
  const [one, other] = RUNS.filter((name) => values[name] !== undefined);
  if (other) throw new UsageError(`--${one} and --${other} do not go together`);
  if (values.each || values.jobs !== undefined) return replayEach(positionals, values);
  const source = await openSource(positionals);
  const progress = new Progress(process.stderr, values.quiet === true || values.json === true);
  try {
    const format = await formatOf(source, values);
    const name = positionals.join(' ');
    if (format === 'script' && (one === 'explain' || one === 'perturb'))
      throw new UsageError(`--${one} is for logs, not for trap scripts`);
    if (format !== 'script' && values.explain !== undefined)
      return await explainLine(source, name, format, values.explain);
    if (format !== 'script' && values.perturb !== undefined)
      return await perturbFacts(source, name, format, values);
    return await replayAndPrint(source, name, format, values, progress);
  } finally {
    progress.end();
    source.close();
  }
}

async function explainLine(
  source: TraceSource,
  name: string,
  format: LogFormat,
  line: string,
): Promise<number> {
  const wanted = numberOption('explain', line);
  const text = await explain(source, name, wanted, format);
  if (!text) throw new UsageError(`--explain ${wanted}: the log has no such line`);
  console.log(text);
  return EXIT_OK;
}

async function perturbFacts(
  source: TraceSource,
  name: string,
  format: LogFormat,
  values: Values,
): Promise<number> {
  const seed = numberOption('perturb', values.perturb!);
  const wanted = numberOption('perturb-count', values['perturb-count'] ?? '100');
  const report = await perturb(source, name, seed, wanted, format);
  console.log(values.json ? JSON.stringify(report) : report.text);
  return report.share >= 0.99 || values['no-strict'] ? EXIT_OK : EXIT_DIVERGED;
}

/** What replay() may be given besides its options: progress, a way to stop it, a kernel. */
interface Surroundings {
  progress?: (share: number) => void;
  signal?: AbortSignal;
  kernel?: Kernel;
}

/** Replays one trace. Throws SourceError when there is no line of one in it. */
async function replay(
  source: TraceSource,
  name: string,
  format: LogFormat | 'script',
  values: Values,
  surroundings: Surroundings,
): Promise<Replayed> {
  const out = values.audit === undefined ? undefined : new TextFile(values.audit);
  const kind = containerOf(values['container-of']);
  let replayed: Replayed;
  try {
    const write = (text: string): void => out?.write(text);
    if (format === 'script') {
      replayed = await replayScript(source, name, out ? write : undefined);
    } else {
      const abi = abiOf(values.abi);
      const audited = out !== undefined || kind !== undefined;
      replayed = await replayTrace(source, name, {
        format,
        ...(abi ? { abi } : {}),
        ...(audited ? { audit: { write, ...(kind ? { containerOf: kind } : {}) } } : {}),
        privateCalls: values['private-calls'] === true,
        ...surroundings,
      });
    }
  } finally {
    out?.close();
  }
  const { lines } = replayed.result;
  if (format !== 'script' && lines.calls + lines.signals + lines.exits === 0) {
    throw new SourceError(`${name}: no line of a trace in it (${lines.unparsed} not understood)`);
  }
  return replayed;
}

async function replayAndPrint(
  source: TraceSource,
  name: string,
  format: LogFormat | 'script',
  values: Values,
  progress: Progress,
): Promise<number> {
  const abort = new AbortController();
  process.once('SIGINT', () => abort.abort());
  let replayed: Replayed;
  try {
    const update = (share: number): void => progress.update(share);
    const around = { progress: update, signal: abort.signal };
    replayed = await replay(source, name, format, values, around);
  } finally {
    progress.end();
    for (const warning of source.warnings) console.error(`bulkhead: ${warning}`);
  }
  const style = styleFor(process.stdout, values['no-color'] ? false : undefined);
  const text = shown(replayed, values, style);
  if (values.audit !== '-' && text) console.log(text);
  if (abort.signal.aborted) return EXIT_INTERRUPTED;
  return agrees(replayed.result) || values['no-strict'] ? EXIT_OK : EXIT_DIVERGED;
}

/** One trace of several, in the kernel of a worker. `colour`: may the text have colours? */
export async function replayOne(
  kernel: Kernel,
  name: string,
  values: Values,
  colour: boolean,
): Promise<OneReplayed> {
  const source = await openSource([name]);
  try {
    const format = await formatOf(source, values);
    const { result, ...rest } = await replay(source, name, format, values, { kernel });
    const text = shown({ result, ...rest }, values, styleFor({}, colour));
    const status = agrees(result) || values['no-strict'] ? EXIT_OK : EXIT_DIVERGED;
    const total = {
      lines: result.lines.total,
      compared: result.matched + result.diverged,
      diverged: result.diverged,
      agree: agrees(result) ? 1 : 0,
    };
    return { text, warnings: source.warnings, status, total };
  } finally {
    source.close();
  }
}

/** What a worker says of one trace. */
export interface OneReplayed {
  text: string;
  warnings: string[];
  status: number;
  total: Record<'lines' | 'compared' | 'diverged' | 'agree', number>;
}

function numberOption(name: string, text: string): number {
  if (!/^\d+$/.test(text)) throw new UsageError(`--${name} takes a number, not ${text}`);
  return Number(text);
}

/** A trap script is read whole: authors write it, machines don't. */
async function replayScript(
  source: TraceSource,
  name: string,
  audit: ((text: string) => void) | undefined,
): Promise<Replayed> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of source.files[0]!.chunks()) chunks.push(Uint8Array.from(chunk));
  try {
    const script = readScript(Buffer.concat(chunks).toString('utf8'));
    return { ...(await runScript(script, name, audit ? { audit } : {})), processes: [] };
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

/** What is printed of a replay; may be nothing. */
function shown(replayed: Replayed, values: Shown, s: Style): string {
  const { result, kernel } = replayed;
  if (values.json) return JSON.stringify(result);
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
  return parts.join('\n\n');
}
