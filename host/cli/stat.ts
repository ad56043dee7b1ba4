// `bulkhead stat`: of what share of the recorded calls the kernel predicts something.
import { renderStat, statReport } from '../render/stat.ts';
import { styleFor } from '../render/style.ts';
import type { ReplayResult } from '../replay/result.ts';
import { replayTrace } from '../replay.ts';
import { detectFormat } from '../trace/detect.ts';
import { isLogFormat } from '../trace/formats.ts';
import { openSource, sourceHead, SourceError } from '../trace/source.ts';
import { readOptions } from './options.ts';
import { EXIT_OK, UsageError } from './status.ts';

const HELP = `usage: bulkhead stat [options] FILE...

Replays each FILE, a log of its own, and counts by call: how many were recorded; how many are on the
list of calls that are about memory, time, names and plain files (of these nothing is asked); of how
many others at least one field - the result, an errno, a value that is written - was predicted and
compared with the recording. Calls that the recorder forged are left out.

A descriptor is a plain file unless the log or the kernel says that it is not.

  --json      one JSON object
  --no-color  no colours (NO_COLOR is respected too)

exit status: 0, 2 usage, 3 input unreadable or not a trace
`;

const OPTIONS = {
  json: { type: 'boolean' },
  'no-color': { type: 'boolean' },
  help: { type: 'boolean', short: 'h' },
} as const;

async function replayed(name: string): Promise<ReplayResult> {
  const source = await openSource([name]);
  try {
    const format = detectFormat(Buffer.from(await sourceHead(source)).toString('latin1'));
    if (!isLogFormat(format)) throw new SourceError(`${name}: not a log that is known`);
    const { result } = await replayTrace(source, name, { format });
    for (const warning of source.warnings) console.error(`bulkhead: ${warning}`);
    if (result.lines.calls === 0) throw new SourceError(`${name}: no call in it`);
    return result;
  } finally {
    source.close();
  }
}

export async function statCommand(args: string[]): Promise<number> {
  const { values, positionals } = readOptions(args, OPTIONS);
  if (values.help) {
    process.stdout.write(HELP);
    return EXIT_OK;
  }
  if (positionals.length === 0) throw new UsageError('stat needs a file');
  const results: ReplayResult[] = [];
  for (const name of positionals) results.push(await replayed(name));
  const report = statReport(results);
  const style = styleFor(process.stdout, values['no-color'] ? false : undefined);
  console.log(values.json ? JSON.stringify(report) : renderStat(report, style));
  return EXIT_OK;
}
