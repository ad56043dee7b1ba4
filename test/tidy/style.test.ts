// Style is a test, not a review remark (CONTRIBUTING.md has the rules).
import ts from 'typescript';
import { expect, test } from 'vitest';
import { eachNode, kernelSources, place, type Source, sources } from './sources.ts';

const COLUMNS_MAX = 100;
const FUNCTION_LINES_MAX = 70;
const FILE_LINES_MAX = 500;
/** Tables: one row per fact, as long as there are facts. */
const TABLES = /^(host\/(abi|calls)\/\w+|assembly\/uapi\/\w+)\.ts$/;

function linesOf(source: Source, node: ts.Node): number {
  const at = (pos: number) => source.tree.getLineAndCharacterOfPosition(pos).line;
  return at(node.getEnd()) - at(node.getStart()) + 1;
}

test(`lines have at most ${COLUMNS_MAX} columns`, () => {
  const long = sources.flatMap(({ path, lines }) =>
    lines.flatMap((line, i) => ([...line].length > COLUMNS_MAX ? [`${path}:${i + 1}`] : [])),
  );
  expect(long).toEqual([]);
});

test('lines end without blanks and without tabs', () => {
  const bad = sources.flatMap(({ path, lines }) =>
    lines.flatMap((line, i) => (/[ \t]$|\t/.test(line) ? [`${path}:${i + 1}`] : [])),
  );
  expect(bad).toEqual([]);
});

test(`files have at most ${FILE_LINES_MAX} lines, tables excepted`, () => {
  const long = sources.filter((s) => s.lines.length > FILE_LINES_MAX && !TABLES.test(s.path));
  expect(long.map((s) => `${s.path}: ${s.lines.length}`)).toEqual([]);
});

test(`functions have at most ${FUNCTION_LINES_MAX} lines`, () => {
  const long: string[] = [];
  for (const source of sources.filter((s) => !s.path.endsWith('.c'))) {
    eachNode(source.tree, (node) => {
      if (!ts.isFunctionLike(node) || linesOf(source, node) <= FUNCTION_LINES_MAX) return;
      // the body of a test suite is a list of tests, the dispatch a table
      const suite = ts.isArrowFunction(node) && ts.isCallExpression(node.parent);
      if (suite && source.path.startsWith('test/')) return;
      if (isTable(node)) return;
      long.push(`${place(source, node)}: ${linesOf(source, node)}`);
    });
  }
  expect(long).toEqual([]);
});

/** True for a function whose body is one switch: it reads as a table. */
function isTable(node: ts.Node): boolean {
  const body = (node as ts.FunctionDeclaration).body;
  if (!body || !ts.isBlock(body)) return false;
  const names = body.statements.every((s) => ts.isVariableStatement(s) || ts.isSwitchStatement(s));
  return names && body.statements.filter(ts.isSwitchStatement).length === 1;
}

test('nothing is left to do later', () => {
  const words = new RegExp(
    `\\b(${['TO', 'FIX', 'XX'].map((w, i) => w + ['DO', 'ME', 'X'][i])})\\b`,
  );
  const pattern = new RegExp(words.source.replaceAll(',', '|'));
  const found = sources.flatMap(({ path, lines }) =>
    lines.flatMap((line, i) => (pattern.test(line) ? [`${path}:${i + 1}`] : [])),
  );
  expect(found).toEqual([]);
});

test('a deviation from the seed names its defect or its reason', () => {
  const bad: string[] = [];
  for (const { path, lines } of sources.filter((s) => !s.path.startsWith('test/tidy/'))) {
    lines.forEach((line, i) => {
      const at = line.indexOf('DEVIATION');
      if (at < 0 || !/^\s*(\/\/|\/?\*)/.test(line)) return;
      const tag = /^DEVIATION: (?:(D-\d+(?:, D-\d+)*) - )?\S+ \S/.exec(line.slice(at));
      const numbers = [...(tag?.[1] ?? '').matchAll(/\d+/g)].map(Number);
      if (!tag || numbers.some((n) => n < 1 || n > 37)) bad.push(`${path}:${i + 1}`);
    });
  }
  expect(bad).toEqual([]);
});

test('uapi files are portable: comments and integer constants only', () => {
  const bad: string[] = [];
  const comment = /^(\/\/.*|\/\*\*.*|\s\*.*|\s*)$/;
  const constant = /^export const [A-Z_][A-Z0-9_a-z]* = -?(0x[0-9a-f]+|\d+);( \/\/.*)?$/;
  for (const { path, lines } of sources.filter((s) => s.path.startsWith('assembly/uapi/'))) {
    if (!/[Pp]ortable/.test(lines[0] ?? '')) bad.push(`${path}:1 does not say that it is portable`);
    lines.forEach((line, i) => {
      if (!comment.test(line) && !constant.test(line)) bad.push(`${path}:${i + 1}`);
    });
  }
  expect(bad).toEqual([]);
});

test('a file begins by saying what it is', () => {
  const own = sources.filter(({ path }) => !/^test\/|\.d\.ts$/.test(path));
  const silent = own.filter(({ text }) => !/^(#!.*\n)?(\/\/|\/\*)/.test(text));
  expect(silent.map((s) => s.path)).toEqual([]);
});

test('the kernel has no managed objects, strings or closures', () => {
  const bad: string[] = [];
  const managed = new Set([
    'Array',
    'StaticArray',
    'Map',
    'Set',
    'string',
    'String',
    'ArrayBuffer',
  ]);
  for (const source of kernelSources) {
    eachNode(source.tree, (node) => {
      if (ts.isNewExpression(node)) bad.push(`${place(source, node)} new`);
      if (ts.isArrowFunction(node)) bad.push(`${place(source, node)} closure`);
      if (node.kind === ts.SyntaxKind.StringKeyword) bad.push(`${place(source, node)} string`);
      if (ts.isTypeReferenceNode(node) && managed.has(node.typeName.getText())) {
        bad.push(`${place(source, node)} ${node.typeName.getText()}`);
      }
      if (ts.isStringLiteralLike(node) && !compileTimeString(node)) {
        bad.push(`${place(source, node)} ${node.getText()}`);
      }
    });
  }
  expect(bad).toEqual([]);
});

/** Import paths and the arguments of offsetof() and ERROR() never reach the module. */
function compileTimeString(node: ts.Node): boolean {
  const { parent } = node;
  if (ts.isImportDeclaration(parent) || ts.isExportDeclaration(parent)) return true;
  return (
    ts.isCallExpression(parent) && /^(offsetof|ERROR|seq_puts)$/.test(parent.expression.getText())
  );
}

test('decorators stand on classes and their members only', () => {
  const bad: string[] = [];
  for (const source of kernelSources) {
    eachNode(source.tree, (node) => {
      if (!ts.isDecorator(node)) return;
      if (!ts.isClassDeclaration(node.parent) && !ts.isClassElement(node.parent)) {
        bad.push(place(source, node));
      }
    });
    for (const [i, line] of source.lines.entries()) {
      if (/@ts-(ignore|expect-error)/.test(line)) bad.push(`${source.path}:${i + 1}`);
    }
  }
  expect(bad).toEqual([]);
});

test('kernel files keep no state: module variables are constants', () => {
  const bad: string[] = [];
  for (const source of kernelSources) {
    for (const statement of source.tree.statements) {
      if (!ts.isVariableStatement(statement)) continue;
      if (!(statement.declarationList.flags & ts.NodeFlags.Const))
        bad.push(place(source, statement));
    }
  }
  expect(bad).toEqual([]);
});
