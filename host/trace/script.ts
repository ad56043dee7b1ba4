// Reader of trap scripts: register-level calls with what must come of them, one JSON object a line.
// A script is read whole before anything runs; what is wrong with it is a ScriptError that names
// the line.
import { ABI_NAMES, type AbiName, syscallTable } from '../syscall-abi.ts';
import { evaluate } from '../abi/constants.ts';
import { abiOf, readCall, readRet, saves } from './script/call.ts';
import { readExpect } from './script/expect.ts';
import type { CompletesEvent, Script, ScriptEvent, SignalEvent } from './script/events.ts';
import { Fields, type Num, readNum, readOutputs, savedIn, ScriptError } from './script/values.ts';

export { ScriptError } from './script/values.ts';
export type * from './script/events.ts';
export type { Num, Piece, Value } from './script/values.ts';

/** The newest version that this reader knows. */
export const SCRIPT_VERSION = 1;

const TARGETS = ['release', 'debug', 'smp'] as const;

interface Header {
  abi: AbiName;
  target: Script['target'];
  about: string | undefined;
}

function readHeader(f: Fields): Header {
  if (!f.has('bulkhead')) f.fail('the first line of a trap script is {"bulkhead": 1, ...}');
  const version = f.get('bulkhead');
  if (typeof version !== 'number' || !Number.isInteger(version) || version < 1) {
    f.fail('"bulkhead" is the version of the format, 1');
  }
  if (version > SCRIPT_VERSION) {
    f.fail(`version ${version} of the format; this reader knows ${SCRIPT_VERSION}`);
  }
  f.only('bulkhead', 'abi', 'target', 'about');
  const name = f.text('target');
  const target = TARGETS.find((one) => one === name);
  if (name !== undefined && target === undefined) {
    f.fail(`no kernel is called "${name}"; there are ${TARGETS.join(', ')}`);
  }
  return { abi: abiOf(f, 'howells-2017'), target, about: f.text('about') };
}

function task(f: Fields): Num {
  return f.num('task') ?? f.fail('"task" is missing');
}

function readCompletes(f: Fields): CompletesEvent {
  f.only('task', 'completes', 'ret', 'out');
  const name = f.text('completes') ?? '';
  const known = ABI_NAMES.some((abi) => syscallTable(abi, true).byName.has(name));
  if (!known) f.fail(`no table has a call "${name}"`);
  const out = readOutputs(f);
  return { type: 'completes', line: f.line, task: task(f), name, ret: readRet(f), out };
}

function readSignal(f: Fields): SignalEvent {
  f.only('task', 'signal', 'info');
  const value = f.get('signal');
  const signo = typeof value === 'string' ? evaluate(value) : readNum(f, value, 'signal');
  if (typeof signo !== 'bigint' || signo < 1n || signo > 64n) f.fail('"signal" names no signal');
  const info = new Map<string, Num>();
  if (f.has('info')) {
    const fields = new Fields(f.line, '"info"', f.get('info'));
    fields.only('signo', 'errno', 'code', 'pid', 'uid', 'status', 'value');
    for (const key of fields.keys()) info.set(key, readNum(fields, fields.get(key), key));
  }
  return { type: 'signal', line: f.line, task: task(f), signo: Number(signo), info };
}

function readDies(f: Fields): ScriptEvent {
  f.only('task', 'dies');
  const end: Fields = new Fields(f.line, '"dies"', f.get('dies'));
  end.only('signal', 'code');
  const kind = end.has('signal') ? 'signal' : 'code';
  const value = end.plain(kind);
  if (value === undefined || end.keys().length !== 1) end.fail('"dies": one of signal, code');
  return { type: 'dies', line: f.line, task: task(f), kind, value };
}

function isTrue(f: Fields, key: string): void {
  if (f.bool(key) !== true) f.fail(`"${key}" is true or not there`);
}

function readClock(f: Fields): ScriptEvent {
  f.only('clock');
  const ns = f.num('clock');
  if (typeof ns !== 'bigint' || ns < 0n) f.fail('"clock" are ns since 1970');
  return { type: 'clock', line: f.line, ns };
}

/** The readers of all lines but the first, by the key that tells them apart. */
const READERS: readonly (readonly [key: string, (f: Fields, abi: AbiName) => ScriptEvent])[] = [
  ['expect', readExpect],
  ['completes', readCompletes],
  ['signal', readSignal],
  ['dies', readDies],
  ['clock', readClock],
  [
    'sleeps',
    (f) => {
      f.only('task', 'sleeps');
      isTrue(f, 'sleeps');
      return { type: 'sleeps', line: f.line, task: task(f) };
    },
  ],
  [
    'run',
    (f) => {
      f.only('run');
      isTrue(f, 'run');
      return { type: 'run', line: f.line };
    },
  ],
  ['call', readCall],
  ['nr', readCall],
  ['regs', readCall],
];

function readEvent(f: Fields, abi: AbiName): ScriptEvent {
  const reader = READERS.find(([key]) => f.has(key))?.[1];
  if (reader === undefined) {
    return f.fail(`none of the keys ${READERS.map(([key]) => key).join(', ')}`);
  }
  return reader(f, abi);
}

/** Names of saved values that a line uses. */
function uses(event: ScriptEvent): string[] {
  const task = 'task' in event ? savedIn(event.task) : [];
  switch (event.type) {
    case 'call': {
      const { trap } = event;
      const values = trap.by === 'regs' ? [...trap.regs.values()] : trap.args;
      const nums = [event.ret, ...event.after.values(), ...pieces(event.out)];
      return [...task, ...values.flatMap(savedIn), ...nums.flatMap(savedIn)];
    }
    case 'completes':
      return [...task, ...[event.ret, ...pieces(event.out)].flatMap(savedIn)];
    case 'signal':
      return [...task, ...[...event.info.values()].flatMap(savedIn)];
    case 'expect':
      return [...task, ...[...event.numbers.values()].flatMap(savedIn)];
    default:
      return task;
  }
}

function pieces(out: CompletesEvent['out']): Num[] {
  return [...out.values()].flat().flatMap((piece) => ('value' in piece ? [piece.value] : []));
}

function parse(line: number, text: string): Fields {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new ScriptError(line, `no JSON: ${(error as Error).message}`);
  }
  return new Fields(line, 'this line', value);
}

/** Reads a script. Throws ScriptError. */
export function readScript(text: string): Script {
  const lines = text.split('\n');
  if (lines.at(-1) === '') lines.pop();
  const events: ScriptEvent[] = [];
  const saved = new Set<string>();
  let header: Header | undefined;
  lines.forEach((raw, i) => {
    if (raw.trim() === '' || raw.startsWith('#')) return;
    const f = parse(i + 1, raw);
    if (header === undefined) {
      header = readHeader(f);
      return;
    }
    const event = readEvent(f, header.abi);
    const unknown = uses(event).find((name) => !saved.has(name));
    if (unknown !== undefined) f.fail(`no earlier line saves "$${unknown}"`);
    for (const name of saves(event)) saved.add(name);
    events.push(event);
  });
  if (header === undefined) throw new ScriptError(1, 'an empty script');
  const counted = new Set(['call', 'completes', 'signal', 'dies']);
  const own = events.filter((event) => counted.has(event.type)).length;
  const { abi, target, about } = header as Header;
  const needsDebug =
    target === 'debug' || events.some((e) => e.type === 'call' && e.failAlloc !== undefined);
  const totals = { total: lines.length, other: lines.length - own };
  return { abi, target, about, events, lines: totals, needsDebug };
}
