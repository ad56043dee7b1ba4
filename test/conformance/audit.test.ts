// Protects: the audit log of a replay. For every trace: each event says which container the kernel
// had its task in, the tree rebuilt from the log alone is the kernel's, making containers of
// namespaces changes no result, and stock tools read all of it.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { auditTree } from '../../host/audit/tree.ts';
import { createKernel, type Kernel } from '../../host/kernel.ts';
import { replayTrace } from '../../host/replay.ts';
import { runScript } from '../../host/script/runner.ts';
import { detectFormat } from '../../host/trace/detect.ts';
import { type LogFormat } from '../../host/trace/formats.ts';
import { readScript } from '../../host/trace/script.ts';
import { openSource, sourceHead } from '../../host/trace/source.ts';

const TRACES = 'test/traces';
const LOGS = /\.(strace(\.gz|\.zst|-ff\.tar\.gz)|(audit|ausearch|ltrace)\.gz|ftrace\.(gz|zst))$/;
const names = readdirSync(TRACES).filter((name) => LOGS.test(name));
const INIT = '1';
const RESULTS: ReadonlySet<string> = new Set(['value', 'error', 'restart']);
const OPEN: ReadonlySet<string> = new Set(['unknown', 'unavailable']);

let folder = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'bulkhead-audit-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

/** What the kernel knew of containers while the log was written. */
class Witness {
  /** id, and the id that it is nested in */
  readonly parents = new Map<string, string>();
  /** calls of the log that have a result, and those of which it shows none */
  calls = 0;
  open = 0;
  /** events whose container is not the one that the kernel had the task in */
  readonly wrong: string[] = [];
  kernel: Kernel | undefined;

  look(): void {
    for (const { id, parentId } of this.kernel!.containers()) {
      if (String(id) !== INIT) this.parents.set(String(id), String(parentId));
    }
  }

  /** The lines of one event, as the kernel stands. */
  event(text: string): void {
    const call = /^type=SYSCALL .* pid=(\d+) .* record=1$/m.exec(text);
    if (!call) return;
    const [, inside] = /^type=CONTAINER_ID .* record=1 contid=(\d+)/m.exec(text) ?? [];
    const task = this.kernel?.task(Number(call[1]));
    // a process that has ended is in none
    if (!task || task.state === 'Z' || inside === String(task.containerId)) return;
    this.wrong.push(`task ${call[1]} is in ${task.containerId}: ${text}`);
  }
}

async function logOf(name: string) {
  const source = await openSource([`${TRACES}/${name}`]);
  const head = Buffer.from(await sourceHead(source)).toString('latin1');
  const format = detectFormat(head) as LogFormat;
  const witness = new Witness();
  const parts: string[] = [];
  const write = (text: string): void => {
    parts.push(text);
    witness.event(text);
  };
  const { result } = await replayTrace(source, name, {
    format,
    audit: { write, containerOf: 'any' },
    watch: (line, replay, after) => {
      if (after && RESULTS.has(line.retKind)) witness.calls += 1;
      // an exit has no result to be logged
      else if (after && OPEN.has(line.retKind) && !line.name.startsWith('exit')) witness.open += 1;
      witness.kernel = replay.kernel;
      witness.look();
    },
  });
  source.close();
  return { result, witness, text: parts.join('') };
}

/** The tree that a log tells of, and the tasks whose container it does not tell. */
async function rebuilt(file: string) {
  const source = await openSource([file]);
  const { containers, unknown } = await auditTree(source);
  source.close();
  const inner = containers.filter(({ id }) => id !== INIT);
  return { parents: new Map(inner.map(({ id, parent }) => [id, parent])), unknown };
}

const SCRIPTS = `${TRACES}/script`;

describe.each(readdirSync(SCRIPTS))('%s', (name) => {
  it('has a log whose tree is the kernel’s', async () => {
    const script = readScript(readFileSync(`${SCRIPTS}/${name}`, 'utf8'));
    const witness = new Witness();
    const kernel = await createKernel({ target: script.needsDebug ? 'debug' : 'release' });
    witness.kernel = kernel;
    const parts: string[] = [];
    const audit = (text: string): void => {
      parts.push(text);
      witness.look();
    };
    await runScript(script, name, { kernel, audit });
    const file = join(folder, `${name}.log`);
    writeFileSync(file, parts.join(''), 'latin1');
    const { parents } = await rebuilt(file);
    expect(parents).toEqual(witness.parents);
    const makes = /"container_create".*"ret": 3/.test(readFileSync(`${SCRIPTS}/${name}`, 'utf8'));
    if (makes) expect(parents.size).toBeGreaterThan(0);
  });
});

const hasTools = spawnSync('ausearch', ['--version']).status === 0;

describe.each(names)('%s', (name) => {
  const file = (): string => join(folder, `${name}.log`);
  let lines: string[] = [];
  let events = 0;

  it('attributes each event, and its tree is the kernel’s', async () => {
    const { result, witness, text } = await logOf(name);
    expect(result.divergences).toEqual([]);
    expect(witness.wrong).toEqual([]);
    lines = text.trimEnd().split('\n');
    events = result.audit!.events;
    const counted = Object.values(result.audit!.records).reduce((sum, n) => sum + n, 0);
    expect(counted).toBe(lines.length);
    const calls = lines.filter((line) => line.startsWith('type=SYSCALL '));
    const over = calls.filter((line) => / success=/.test(line)).length;
    expect(over).toBeGreaterThanOrEqual(witness.calls);
    expect(over).toBeLessThanOrEqual(witness.calls + witness.open);
    expect(calls.filter((line) => !/ record=1$/.test(line))).toEqual([]);
    // restart codes are EINTR to whoever reads the log
    expect(calls.filter((line) => / exit=-51[2-6] /.test(line))).toEqual([]);

    writeFileSync(file(), text, 'latin1');
    expect(await rebuilt(file())).toEqual({ parents: witness.parents, unknown: [] });
  });

  it.skipIf(!hasTools)('is read whole by ausearch and aureport (Debian package auditd)', () => {
    expectTools(file(), lines, events);
  });
});

const NUMBERS: Readonly<Record<string, string>> = { SYSCALL: '1300', VIRT_CONTROL: '2500' };

/** The type of each event's first record, by its serial number. */
function firsts(lines: readonly string[]): Map<string, string> {
  const types = new Map<string, string>();
  for (const line of lines) {
    const [, type, serial] = /^type=(\S+) msg=audit\([\d.]+:(\d+)\)/.exec(line)!;
    if (!types.has(serial!)) types.set(serial!, type!);
  }
  return types;
}

/** ausearch and aureport find every event and every line of it. */
function expectTools(file: string, lines: readonly string[], events: number): void {
  const tool = (command: string, ...args: string[]): string => {
    const done = spawnSync(command, ['-if', file, ...args], {
      encoding: 'latin1',
      maxBuffer: 1 << 28,
    });
    expect(done.stderr).toBe('');
    return done.stdout;
  };
  expect(tool('ausearch', '--raw').trim().split('\n').sort()).toEqual([...lines].sort());
  expect(tool('aureport', '--summary')).toContain(`Number of events: ${events}\n`);
  // the summary knows an event by its first record, and knows none of CONTAINER_OP
  const types = new Map<string, number>();
  for (const [, type] of firsts(lines)) types.set(type, (types.get(type) ?? 0) + 1);
  const summary = tool('aureport', '-e', '--summary');
  const counted = [...summary.matchAll(/^(\d+) {2}(\d+)$/gm)].map(([, n, type]) => [
    type,
    Number(n),
  ]);
  const known = [...types].flatMap(([type, n]) => (NUMBERS[type] ? [[NUMBERS[type], n]] : []));
  expect(new Map(counted as [string, number][])).toEqual(new Map(known as [string, number][]));
}
