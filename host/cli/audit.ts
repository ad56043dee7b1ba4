// `bulkhead audit tree` and `bulkhead audit attribute`: what an audit log says of containers.
import { closeSync, openSync, writeSync } from 'node:fs';
import { attribute, reportText } from '../audit/attribute.ts';
import { CONTAINER_OF, type ContainerOf, isContainerOf } from '../audit/containers.ts';
import type { ScanOptions } from '../audit/scan.ts';
import { auditTree } from '../audit/tree.ts';
import { renderAuditTree } from '../render/audit.ts';
import { styleFor } from '../render/style.ts';
import { openSource, SourceError, type TraceSource } from '../trace/source.ts';
import { readOptions } from './options.ts';
import { Progress } from './progress.ts';
import { EXIT_OK, UsageError } from './status.ts';

const HELP = `usage: bulkhead audit tree [options] FILE...       containers and tasks of a log
       bulkhead audit attribute [options] FILE...  the log again, with container ids

FILE is an audit log: auditd's audit.log, raw or enriched, the kernel log's form, or what ausearch
and ausearch -i print; several files are one log, - is standard input.

Records of a kernel with containers (CONTAINER_OP, CONTAINER_ID) are taken as they are. In any other
log each new namespace of one kind counts as a container, numbered from 2; 1 is the host.

  --container-of KIND  pid (default), mnt, user, any: whose new namespaces are containers
  --assume host        tasks from before the log are the host's
  --assume clone3      a clone3 makes no namespace (its flags are in no record)
  --json               tree: as JSON; attribute: the report as JSON
  -o, --output FILE    attribute: where to write the log (standard output)
  --quiet              attribute: no report
  --no-color           tree: no colours (NO_COLOR is respected too)

attribute writes its report to standard error. exit status: 0, 2 usage, 3 not an audit log
`;

const OPTIONS = {
  'container-of': { type: 'string' },
  assume: { type: 'string', multiple: true },
  json: { type: 'boolean' },
  output: { type: 'string', short: 'o' },
  quiet: { type: 'boolean' },
  'no-color': { type: 'boolean' },
  help: { type: 'boolean', short: 'h' },
} as const;

type Values = ReturnType<typeof readOptions<typeof OPTIONS>>['values'];

function kindOf(name: string | undefined): ContainerOf | undefined {
  if (name === undefined || isContainerOf(name)) return name;
  throw new UsageError(`no such kind: ${name}; there are ${CONTAINER_OF.join(', ')}`);
}

function scanOptions(values: Values, progress: Progress): ScanOptions {
  const assumed = values.assume ?? [];
  for (const one of assumed) {
    if (one !== 'host' && one !== 'clone3') {
      throw new UsageError(`--assume takes host or clone3, not ${one}`);
    }
  }
  return {
    containerOf: kindOf(values['container-of']),
    assumeHost: assumed.includes('host'),
    assumeClone3: assumed.includes('clone3'),
    progress: (share) => progress.update(share),
  };
}

export async function auditCommand(args: string[]): Promise<number> {
  const { values, positionals } = readOptions(args, OPTIONS);
  const [what, ...files] = positionals;
  if (values.help === true) {
    process.stdout.write(HELP);
    return EXIT_OK;
  }
  if (what !== 'tree' && what !== 'attribute') {
    throw new UsageError(
      `audit needs tree or attribute${what === undefined ? '' : `, not ${what}`}`,
    );
  }
  if (files.length === 0)
    throw new UsageError(`audit ${what} needs a file, or - for standard input`);
  const progress = new Progress(process.stderr, values.quiet === true);
  const options = scanOptions(values, progress);
  const source = await openSource(files);
  try {
    if (what === 'tree') await tree(source, values, options, progress);
    else await writeAgain(source, values, options, progress);
  } finally {
    progress.end();
    source.close();
  }
  return EXIT_OK;
}

function refuse(source: TraceSource, lines: number): never {
  throw new SourceError(`${source.name}: no record of an audit log in it (${lines} lines)`);
}

async function tree(
  source: TraceSource,
  values: Values,
  options: ScanOptions,
  progress: Progress,
): Promise<void> {
  const found = await auditTree(source, options);
  progress.end();
  if (found.events === 0) refuse(source, found.lines.total);
  if (values.json === true) console.log(JSON.stringify(found));
  else {
    const s = styleFor(process.stdout, values['no-color'] === true ? false : undefined);
    console.log(renderAuditTree(found, s));
  }
}

/** Resolves when the text is on its way: a slow reader holds the next one up. */
function toStdout(text: string): Promise<void> {
  return new Promise((resolve, reject) => {
    process.stdout.write(text, 'latin1', (error) => (error ? reject(error) : resolve()));
  });
}

async function writeAgain(
  source: TraceSource,
  values: Values,
  options: ScanOptions,
  progress: Progress,
): Promise<void> {
  const file = values.output === undefined ? -1 : openSync(values.output, 'w');
  const write = async (text: string): Promise<void> => {
    if (file < 0) await toStdout(text);
    else {
      const bytes = Buffer.from(text, 'latin1');
      for (let at = 0; at < bytes.length;) at += writeSync(file, bytes, at);
    }
  };
  try {
    const report = await attribute(source, options, write);
    progress.end();
    if (report.events === 0) refuse(source, report.lines);
    if (values.quiet === true) return;
    console.error(values.json === true ? JSON.stringify(report) : reportText(report));
  } finally {
    if (file >= 0) closeSync(file);
  }
}
