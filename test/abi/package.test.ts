// The package as others see it: what package.json promises is there, loads and has types.
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import ts from 'typescript';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

interface PackageJson {
  version: string;
  bin: Record<string, string>;
  exports: Record<string, string | Record<string, string>>;
}

const pkg = JSON.parse(readFileSync('package.json', 'utf8')) as PackageJson;

test('every path that package.json names exists', () => {
  const paths = Object.values(pkg.exports).flatMap((e) =>
    typeof e === 'string' ? [e] : Object.values(e),
  );
  const missing = [...paths, ...Object.values(pkg.bin)].filter((path) => !existsSync(path));
  expect(missing).toEqual([]);
});

test('the bundle of the library loads nothing of Node before it needs it', () => {
  const tree = ts.createSourceFile(
    'index.js',
    readFileSync('dist/index.js', 'utf8'),
    ts.ScriptTarget.Latest,
  );
  const names = tree.statements
    .filter((s) => ts.isImportDeclaration(s))
    .map((s) => (s.moduleSpecifier as ts.StringLiteral).text);
  expect(names.filter((name) => name !== 'fzstd')).toEqual([]);
});

test('the command line says which version it is', () => {
  const said = execFileSync(process.execPath, ['dist/cli.js', '--version'], { encoding: 'utf8' });
  expect(said.trim()).toContain(pkg.version);
});

test('the lock file names no registry', () => {
  expect(readFileSync('package-lock.json', 'utf8').includes('"resolved"')).toBe(false);
});

const PROGRAM = `
import { createKernel, DISP_DONE, type TaskView } from 'bulkhead';

const kernel = await createKernel({ boot: { pidMax: 100 } });
kernel.frame.begin(1, 0, 3);
if (kernel.trap() !== DISP_DONE) throw new Error('fork did not return');
const child: TaskView | undefined = kernel.task(kernel.frame.result);
console.log(JSON.stringify([child?.ppid, kernel.check().length]));
`;

describe('a program of another project', () => {
  let folder = '';
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'bulkhead-user-'));
    mkdirSync(join(folder, 'node_modules'));
    symlinkSync(resolve('.'), join(folder, 'node_modules', 'bulkhead'), 'dir');
    writeFileSync(join(folder, 'package.json'), '{ "type": "module" }');
    writeFileSync(join(folder, 'main.ts'), PROGRAM);
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  test('type-checks against the declarations and runs', () => {
    const program = ts.createProgram([join(folder, 'main.ts')], {
      strict: true,
      target: ts.ScriptTarget.ES2022,
      module: ts.ModuleKind.NodeNext,
      moduleResolution: ts.ModuleResolutionKind.NodeNext,
      lib: ['lib.es2022.d.ts', 'lib.dom.d.ts'],
      types: [],
      outDir: folder,
    });
    const { diagnostics } = program.emit();
    const all = [...ts.getPreEmitDiagnostics(program), ...diagnostics];
    expect(all.map((d) => ts.flattenDiagnosticMessageText(d.messageText, '\n'))).toEqual([]);
    const options = { encoding: 'utf8', cwd: folder } as const;
    expect(execFileSync(process.execPath, ['main.js'], options).trim()).toBe('[1,0]');
  });
});
