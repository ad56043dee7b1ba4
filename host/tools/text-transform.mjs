// asc transform: texts in the kernel. A kernel without strings and data segments still has to write
// words: `seq_puts(s, "Name:")` becomes calls that store up to eight bytes each out of a number,
// `seq_put8(seq_put8(s, bytes, 8), bytes, n)`. The text has to be a literal of single bytes; the
// import of seq_put8 comes with it.
import { Node } from 'assemblyscript';

const WHOLE = 8;

/** Every node below `node` that is an object of the compiler's syntax tree. */
function* children(node) {
  for (const [name, value] of Object.entries(node)) {
    // the way up, and the text of the file
    if (name === 'parent' || name === 'range' || name === 'source') continue;
    for (const one of Array.isArray(value) ? value : [value]) {
      if (one instanceof Node) yield one;
    }
  }
}

function number(lo, hi, range) {
  return Node.createIntegerLiteralExpression(globalThis.i64_new(lo, hi), range);
}

/** Replaces a call of seq_puts by calls of seq_put8, in place. */
function expand(call) {
  const [buffer, literal] = call.args;
  const text = literal?.value;
  const { range } = call;
  if (call.args.length !== 2 || typeof text !== 'string' || text === '') {
    throw new Error(`seq_puts takes a text literal: line ${range.source.lineAt(range.start)}`);
  }
  const bytes = [...text].map((char) => char.codePointAt(0));
  if (bytes.some((byte) => byte > 126)) throw new Error(`not ASCII: ${text}`);
  let at = buffer;
  for (let i = 0; i < bytes.length; i += WHOLE) {
    const chunk = bytes.slice(i, i + WHOLE);
    const word = (from) =>
      chunk.slice(from, from + 4).reduce((w, byte, j) => w | (byte << (j * 8)), 0);
    const args = [at, number(word(0), word(4), range), number(chunk.length, 0, range)];
    if (i + WHOLE >= bytes.length) {
      call.expression = Node.createIdentifierExpression('seq_put8', range);
      call.args = args;
    } else {
      const callee = Node.createIdentifierExpression('seq_put8', range);
      at = Node.createCallExpression(callee, null, args, range);
    }
  }
}

function visit(node) {
  for (const child of children(node)) visit(child);
  if (node.expression?.text === 'seq_puts' && node.args) expand(node);
}

/** An import by names from the module of the buffers. */
function isSeqFile({ path, declarations }) {
  return declarations && /\/seq-file(\.ts)?$/.test(path?.value);
}

function imports(statement, name) {
  return statement.declarations.some((one) => one.foreignName.text === name);
}

/** Expands the texts of all sources that are the kernel's. */
export function expandTexts(sources) {
  for (const source of sources) {
    if (!source.internalPath.startsWith('assembly/')) continue;
    for (const statement of source.statements) visit(statement);
    // whoever has a buffer to write to imports something of its module
    const module = source.statements.find(isSeqFile);
    if (!module || imports(module, 'seq_put8')) continue;
    const { range } = module;
    const name = Node.createIdentifierExpression('seq_put8', range);
    module.declarations.push(Node.createImportDeclaration(name, null, range));
  }
}
