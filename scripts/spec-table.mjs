// The table of docs/containers.md: each row of the specification with the tests that pin it. A test
// names rows in a comment above it, `// spec: KEY; KEY`; a trap script in a line `# spec: KEY`.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { isMain } from './build.mjs';
import { SPEC } from './spec-rows.mjs';

const FOLDERS = [
  'test/unit/container',
  'test/unit/audit',
  'test/unit/net',
  'test/unit/vfs',
  'test/unit/abi',
  'test/examples',
  'test/model',
  'test/conformance',
  'test/faults',
  'test/errors',
];

function* files(folder) {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) yield* files(path);
    else if (/\.(test\.ts|jsonl)$/.test(entry.name)) yield path;
  }
}

/** Title of the test that begins at or behind line `i`. */
function titleAt(lines, i) {
  const text = lines.slice(i, i + 8).join('\n');
  const open = /\b(?:it|test)(?:\.\w+)*\(/.exec(text);
  const title = /(['"`])((?:(?!\1).|\\.)*?)\1,/.exec(text.slice(open?.index ?? 0));
  return open && title ? title[2] : undefined;
}

/** Every marker: [key, file, title or undefined]. */
export function markers() {
  const found = [];
  for (const folder of FOLDERS) {
    for (const path of files(folder)) {
      const lines = readFileSync(path, 'utf8').split('\n');
      lines.forEach((line, i) => {
        const keys = /^\s*(?:\/\/|#) spec: (.*)$/.exec(line)?.[1];
        if (!keys) return;
        const title = path.endsWith('.ts') ? titleAt(lines, i + 1) : undefined;
        for (const key of keys.split(';')) found.push([key.trim(), path, title]);
      });
    }
  }
  return found;
}

/** What is wrong between rows and markers: unknown keys, rows that nothing pins. */
export function specProblems() {
  const known = new Map(SPEC.flatMap(([, rows]) => rows.map((row) => [row.key, row])));
  const all = markers();
  const pinned = new Set(all.map(([key]) => key));
  const problems = [];
  for (const [key, path, title] of all) {
    if (!known.has(key)) problems.push(`${path}: no row "${key}"`);
    if (path.endsWith('.ts') && !title) problems.push(`${path}: "${key}" stands above no test`);
  }
  for (const key of known.keys()) {
    if (!pinned.has(key)) problems.push(`nothing pins "${key}"`);
  }
  return problems;
}

function cell(text) {
  return text.replaceAll('|', '\\|').replaceAll('*', '\\*');
}

export function specTable() {
  const all = markers();
  const out = [];
  for (const [title, rows] of SPEC) {
    out.push('', `### ${title}`, '', '| row | pinned by |', '| --- | --- |');
    for (const { key, what } of rows) {
      const tests = all.filter(([k]) => k === key);
      const places = tests.map(([, path, name]) => {
        const file = path.replace(/^test\//, '').replace(/\.test\.ts$/, '');
        return name ? `${file}: ${cell(name)}` : file;
      });
      out.push(`| ${cell(key)}${what ? `: ${cell(what)}` : ''} | ${places.join('<br>')} |`);
    }
  }
  return out.slice(1).join('\n');
}

if (isMain(import.meta.url)) {
  const problems = specProblems();
  for (const problem of problems) console.error(problem);
  process.exitCode = problems.length > 0 ? 1 : 0;
}
