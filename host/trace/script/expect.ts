// Reads the lines of a trap script that look at the kernel between calls.
import type { ExpectEvent } from './events.ts';
import { Fields, type Num } from './values.ts';

interface Keys {
  readonly task: boolean;
  readonly numbers: readonly string[];
  readonly texts: readonly string[];
  readonly flags: readonly string[];
  readonly match: boolean;
}

const NOTHING: Keys = { task: false, numbers: [], texts: [], flags: [], match: false };

/** What each sort of expectation may compare. */
const SORTS: Readonly<Record<ExpectEvent['what'], Keys>> = {
  task: {
    ...NOTHING,
    task: true,
    numbers: ['ppid', 'container_id', 'uid', 'gid', 'nspid'],
    texts: ['state', 'container'],
  },
  container: {
    ...NOTHING,
    numbers: ['usage', 'flags', 'members', 'children', 'exit_code', 'id'],
    texts: ['name', 'parent'],
    flags: ['gone'],
  },
  file: { ...NOTHING, task: true, texts: ['path', 'text'], match: true },
  fd: { ...NOTHING, task: true, numbers: ['fd'], texts: ['link'], flags: ['open', 'cloexec'] },
  audit: { ...NOTHING, flags: ['none'], match: true },
  sound: NOTHING,
  counts: { ...NOTHING, numbers: ['tasks', 'containers', 'files', 'nsproxies', 'creds'] },
};

const STATES = ['R', 'S', 'T', 'Z', 'gone'];

function readMatch(f: Fields): RegExp | undefined {
  const source = f.text('match');
  if (source === undefined) return undefined;
  try {
    return new RegExp(source, 'u');
  } catch (error) {
    return f.fail(`"match": ${(error as Error).message}`);
  }
}

function check(f: Fields, what: ExpectEvent['what']): void {
  const missing = (key: string): never => f.fail(`expect ${what}: "${key}" is missing`);
  if (SORTS[what].task && !f.has('task')) missing('task');
  if (what === 'task') {
    const state = f.text('state');
    if (state !== undefined && !STATES.includes(state)) f.fail(`no state is called "${state}"`);
  }
  if (what === 'container' && !f.has('name') && !f.has('id')) missing('name');
  if (what === 'fd' && !f.has('fd')) missing('fd');
  if (what === 'audit' && !f.has('match')) missing('match');
  if (what !== 'file') return;
  if (!f.has('path')) missing('path');
  if (f.has('text') === f.has('match')) f.fail('expect file: one of "text", "match"');
}

/** Reads an expectation. */
export function readExpect(f: Fields): ExpectEvent {
  const name = f.text('expect') ?? '';
  if (!Object.hasOwn(SORTS, name)) {
    f.fail(`nothing to expect is called "${name}"; there are ${Object.keys(SORTS).join(', ')}`);
  }
  const what = name as ExpectEvent['what'];
  const keys = SORTS[what];
  const more = [...(keys.task ? ['task'] : []), ...(keys.match ? ['match'] : [])];
  f.only('expect', ...more, ...keys.numbers, ...keys.texts, ...keys.flags);
  check(f, what);
  const numbers = new Map<string, Num>();
  const texts = new Map<string, string>();
  const flags = new Map<string, boolean>();
  for (const key of f.keys()) {
    if (keys.numbers.includes(key)) numbers.set(key, f.num(key) ?? 0n);
    if (keys.texts.includes(key)) texts.set(key, f.text(key) ?? '');
    if (keys.flags.includes(key)) flags.set(key, f.bool(key) ?? false);
  }
  const task = f.num('task');
  return { type: 'expect', line: f.line, what, task, numbers, texts, flags, match: readMatch(f) };
}
