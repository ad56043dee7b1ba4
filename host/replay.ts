// Replays a recorded trace: reads it twice (an index, then line by line), runs it on a fresh
// kernel, and says where the two agree.
import type { BootConfig } from './boot.ts';
import { createKernel, type Kernel, type KernelTarget } from './kernel.ts';
import { AuditLog, type AuditOptions } from './replay/audit-log.ts';
import { Replay } from './replay/engine.ts';
import { type FirstPass, replayUnordered } from './replay/unordered.ts';
import { type Compared, newResult, type Replayed } from './replay/result.ts';
import { type AbiName, opTable, type SyscallTable, syscallTable } from './syscall-abi.ts';
import type { TraceLine } from './trace/event.ts';
import { IndexBuilder, isTelling, type TraceIndex } from './trace/index.ts';
import type { LineSink } from './trace/sink.ts';
import type { TraceSource } from './trace/source.ts';
import { type LogFormat, type LogReader, logReader, type TraceLog } from './trace/formats.ts';

/** Parameters of a kernel that a log is replayed in. */
export const REPLAY_BOOT: BootConfig = { pidMax: 4194304, events: 0 };

export interface ReplayOptions {
  /** strace unless said otherwise */
  format?: LogFormat;
  abi?: AbiName;
  target?: KernelTarget;
  /** a kernel that has just booted with REPLAY_BOOT and is used for nothing else */
  kernel?: Kernel;
  privateCalls?: boolean;
  /** called now and then with the share of the input that is read, 0..1 */
  progress?: (share: number) => void;
  /** the first pass's index, when it is known already */
  index?: TraceIndex;
  /** changes a line before it is replayed: perturbation */
  mutate?: (line: TraceLine) => void;
  /** called before and after each line */
  watch?: (line: TraceLine, replay: Replay, after: boolean) => void;
  /** gets the `seq` of the first line of what matched and could have differed */
  compared?: Map<number, Compared>;
  /** writes the audit log of the replay */
  audit?: AuditOptions;
  /** stops the replay; what was done so far is the result */
  signal?: AbortSignal;
}

function registerTables(kernel: Kernel, abi: AbiName, privateCalls: boolean) {
  const x86 = syscallTable(abi === 'linux-i386' ? 'linux-x86_64' : abi, privateCalls);
  const i386 = syscallTable('linux-i386', privateCalls);
  const index = new Map<SyscallTable, number>();
  for (const table of new Set([x86, i386])) {
    index.set(table, kernel.registerTable(opTable(table), table.compat));
  }
  return { tables: abi === 'linux-i386' ? { x86: i386, i386 } : { x86, i386 }, index };
}

/** Calls by which a log without a pid column gives its task's number away. */
const SAYS_ITS_NUMBER = new Set(['getpid', 'gettid', 'set_tid_address']);

interface Pass extends FirstPass {
  index: TraceIndex;
  ordered: boolean;
}

/** The index of forks and split calls, and how many lines each file of a set has. */
async function firstPass(
  source: TraceSource,
  reader: LogReader,
  known?: TraceIndex,
): Promise<Pass> {
  const log = reader.open();
  const counts: number[] = source.files.map(() => 0);
  let number = 0;
  const builder = new IndexBuilder();
  const sink: LineSink = {
    line(line) {
      counts[line.file] = line.line;
      if (!number && line.pid === 0 && SAYS_ITS_NUMBER.has(line.name)) number = Number(line.ret);
      builder.add(line);
    },
    takesPlain: (name) => !isTelling(name),
    plain(call) {
      counts[0] = call.line;
      builder.addPlain(call);
    },
  };
  let index = source.isSet ? undefined : known;
  if (!index) {
    await log.each(sink, () => false);
    index = builder.finish(log.ordered);
  }
  // a log without pids says its task's number where the task asks for it
  if (!index.firstPid && number > 0) index.firstPid = number;
  let sum = 0;
  const offsets = counts.map((count) => (sum += count) - count);
  return { index, ordered: log.ordered, offsets };
}

async function feedInOrder(
  log: TraceLog,
  replay: Replay,
  source: TraceSource,
  options: ReplayOptions,
): Promise<void> {
  const { mutate, watch } = options;
  const sink: LineSink = {
    line(line) {
      mutate?.(line);
      watch?.(line, replay, false);
      replay.feed(line);
      watch?.(line, replay, true);
    },
  };
  // whoever looks at lines gets all of them
  if (!mutate && !watch && !options.audit) {
    sink.takesPlain = (name) => replay.takesPlain(name);
    sink.plain = (call) => replay.feedPlain(call);
    replay.repeats.used = true;
    sink.takesBytes = (name) => replay.repeats.takes(name);
    sink.bytes = (call, bytes, from, to) => replay.repeats.take(call, bytes, from, to);
  }
  await log.each(sink, () => {
    const { done, total } = source.progress;
    options.progress?.(total > 0 ? done / total : 0);
    return options.signal?.aborted === true;
  });
}

/** Reads the log of a format as a replay in `abi` would. */
export async function readerFor(
  source: TraceSource,
  format: LogFormat,
  abi: AbiName = 'linux-x86_64',
): Promise<LogReader> {
  const x86 = syscallTable(abi === 'linux-i386' ? 'linux-x86_64' : abi);
  return logReader(source, format, { x86, i386: syscallTable('linux-i386') });
}

/** Replays a log. Never throws on what it holds. */
export async function replayTrace(
  source: TraceSource,
  name: string,
  options: ReplayOptions = {},
): Promise<Replayed> {
  const started = performance.now();
  const abi = options.abi ?? 'linux-x86_64';
  const target = options.target ?? 'release';
  const kernel = options.kernel ?? (await createKernel({ target, boot: REPLAY_BOOT }));
  const { tables, index: tableIndex } = registerTables(kernel, abi, options.privateCalls ?? false);
  const reader = await readerFor(source, options.format ?? 'strace', abi);
  const pass = await firstPass(source, reader, options.index);
  const log = reader.open({ firstPid: pass.index.firstPid });
  const result = newResult(name, reader.format, abi);
  const replay = new Replay(kernel, pass.index, result, tables, tableIndex);
  replay.traced = reader.traced;
  replay.sparse = reader.sparse;
  replay.compared = options.compared;
  if (options.audit) replay.audit = new AuditLog(kernel, options.audit, tables, replay.processes);
  if (pass.ordered || !log.cursors) {
    await feedInOrder(log, replay, source, options);
  } else {
    replay.unordered = true;
    replayUnordered(replay, log.cursors(), pass, options);
  }
  replay.finish();
  replay.audit?.settle();
  if (replay.audit) result.audit = replay.audit.counts;
  if (pass.index !== options.index) pass.index.splits.close();
  result.lines = log.lines;
  result.skipped = log.lines.unparsed;
  result.seconds = (performance.now() - started) / 1000;
  return { result, kernel, processes: replay.processes.list };
}
