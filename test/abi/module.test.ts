// What the three modules are made of: imports, exports, sections; and that everybody who names the
// exports (assembly/index.ts, the host's interface, the C header) names the same ones.
import { readFileSync } from 'node:fs';
import ts from 'typescript';
import { describe, expect, test } from 'vitest';
import { mutableGlobals, SECTION_DATA, SECTION_START, sections } from './wasm.ts';

const FILES = {
  release: 'build/kernel.wasm',
  debug: 'build/kernel.debug.wasm',
  smp: 'build/kernel.smp.wasm',
} as const;

interface Signature {
  name: string;
  parameters: number;
}

function parse(path: string): ts.SourceFile {
  return ts.createSourceFile(path, readFileSync(path, 'utf8'), ts.ScriptTarget.Latest);
}

/** Functions that assembly/index.ts exports, in order. */
function declaredExports(): Signature[] {
  return parse('assembly/index.ts').statements.flatMap((statement) => {
    if (!ts.isFunctionDeclaration(statement) || !statement.name) return [];
    const exported = statement.modifiers?.some((m) => m.kind === ts.SyntaxKind.ExportKeyword);
    return exported ? [{ name: statement.name.text, parameters: statement.parameters.length }] : [];
  });
}

/** Members of the host's KernelExports interface, in order. */
function hostInterface(): Signature[] {
  const source = parse('host/exports.ts');
  const found = source.statements.find(
    (s): s is ts.InterfaceDeclaration =>
      ts.isInterfaceDeclaration(s) && s.name.text === 'KernelExports',
  );
  return (found?.members ?? ([] as ts.TypeElement[])).flatMap((member) =>
    ts.isMethodSignature(member)
      ? [{ name: (member.name as ts.Identifier).text, parameters: member.parameters.length }]
      : [],
  );
}

/** Function types of the C header, in order. */
function headerPrototypes(): Signature[] {
  const text = readFileSync('include/bulkhead.h', 'utf8');
  return [...text.matchAll(/^typedef \w+ bh_(\w+)_fn\((.*)\);$/gm)].map((match) => ({
    name: match[1] ?? '',
    parameters: match[2] === 'void' ? 0 : (match[2] ?? '').split(',').length,
  }));
}

describe.each(Object.entries(FILES))('the %s module', (target, file) => {
  const bytes = readFileSync(file);
  const module = new WebAssembly.Module(bytes);

  test('imports nothing, or the shared memory alone', () => {
    const imports = WebAssembly.Module.imports(module);
    const wanted = target === 'smp' ? [{ module: 'env', name: 'memory', kind: 'memory' }] : [];
    expect(imports).toEqual(wanted);
  });

  test('exports the functions of assembly/index.ts and its memory', async () => {
    const exports = WebAssembly.Module.exports(module);
    const functions = exports.filter((e) => e.kind === 'function').map((e) => e.name);
    expect(functions).toEqual(declaredExports().map((e) => e.name));
    const others = exports.filter((e) => e.kind !== 'function').map((e) => e.name);
    expect(others).toEqual(['memory']);
  });

  test('takes as many parameters as declared', async () => {
    const memory = new WebAssembly.Memory({ initial: 32, maximum: 65536, shared: true });
    const imports: WebAssembly.Imports = target === 'smp' ? { env: { memory } } : {};
    const instance = await WebAssembly.instantiate(module, imports);
    for (const { name, parameters } of declaredExports()) {
      const exported = instance.exports[name] as (...values: number[]) => number;
      expect([name, exported.length]).toEqual([name, parameters]);
    }
  });

  test('has no start function, no data and no state outside its memory', () => {
    const ids = sections(bytes).map((s) => s.id);
    expect(ids).not.toContain(SECTION_START);
    expect(ids).not.toContain(SECTION_DATA);
    expect(mutableGlobals(bytes)).toBe(0);
  });
});

test("the host's interface names the exports in their order", () => {
  expect(hostInterface()).toEqual(declaredExports());
});

test('the C header names the exports in their order', () => {
  expect(headerPrototypes()).toEqual(declaredExports());
});
