// The repository's own sources, parsed once for the style tests.
import { readdirSync, readFileSync, statSync } from 'node:fs';
import ts from 'typescript';

export interface Source {
  path: string;
  text: string;
  lines: string[];
  tree: ts.SourceFile;
}

const FOLDERS = ['assembly', 'host', 'bench', 'test', 'scripts', 'examples'];

function walk(folder: string): string[] {
  let names: string[];
  try {
    names = readdirSync(folder);
  } catch {
    return [];
  }
  return names.flatMap((name) => {
    const path = `${folder}/${name}`;
    return statSync(path).isDirectory() ? walk(path) : [path];
  });
}

function read(path: string): Source {
  const text = readFileSync(path, 'utf8');
  const tree = ts.createSourceFile(path, text, ts.ScriptTarget.Latest, true);
  return { path, text, lines: text.split('\n'), tree };
}

/** Every hand-written source file of the repository. */
export const sources: Source[] = FOLDERS.flatMap(walk)
  .filter((path) => /\.(ts|mjs|c)$/.test(path) && !path.startsWith('host/generated/'))
  .filter((path) => !/\bkernel\.[ch]$/.test(path))
  .map(read);

/** Kernel sources that only asc compiles. */
export const kernelSources = sources.filter(
  (s) => s.path.startsWith('assembly/') && !/^assembly\/uapi\/|\.d\.ts$/.test(s.path),
);

export interface Import {
  /** file imported, from the repository's root; a package or node: name as written */
  target: string;
  names: string[];
  typeOnly: boolean;
  line: number;
}

function resolve(from: string, to: string): string {
  if (!to.startsWith('.')) return to;
  const parts = from.split('/').slice(0, -1);
  for (const part of to.split('/')) {
    if (part === '..') parts.pop();
    else if (part !== '.') parts.push(part);
  }
  return parts.join('/');
}

function importedNames(clause: ts.ImportClause | undefined): string[] {
  const bindings = clause?.namedBindings;
  if (bindings && ts.isNamedImports(bindings)) {
    return bindings.elements.map((e) => (e.propertyName ?? e.name).text);
  }
  return ['*'];
}

/** Static imports and re-exports of a file, and its `import('./x.ts')`. */
export function importsOf({ path, tree, text }: Source): Import[] {
  const found: Import[] = [];
  for (const s of tree.statements) {
    if (!ts.isImportDeclaration(s) && !ts.isExportDeclaration(s)) continue;
    if (!s.moduleSpecifier || !ts.isStringLiteral(s.moduleSpecifier)) continue;
    const clause = ts.isImportDeclaration(s) ? s.importClause : undefined;
    found.push({
      target: resolve(path, s.moduleSpecifier.text),
      names: importedNames(clause),
      typeOnly: ts.isExportDeclaration(s) ? s.isTypeOnly : clause?.isTypeOnly === true,
      line: tree.getLineAndCharacterOfPosition(s.getStart()).line + 1,
    });
  }
  for (const match of text.matchAll(/\bimport\('(\.[^']+)'\)/g)) {
    const line = text.slice(0, match.index).split('\n').length;
    found.push({ target: resolve(path, match[1] ?? ''), names: ['*'], typeOnly: false, line });
  }
  return found;
}

/** Calls `visit` for every node of the file. */
export function eachNode(tree: ts.SourceFile, visit: (node: ts.Node) => void): void {
  const go = (node: ts.Node): void => {
    visit(node);
    ts.forEachChild(node, go);
  };
  go(tree);
}

/** `path:line` of a node, as editors understand it. */
export function place(source: Source, node: ts.Node): string {
  return `${source.path}:${source.tree.getLineAndCharacterOfPosition(node.getStart()).line + 1}`;
}
