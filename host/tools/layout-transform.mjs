// asc transform: expands texts (text-transform.mjs), and writes the layout of every @unmanaged
// class that the kernel reaches to build/layout.json. The classes are the only source;
// scripts/gen.mjs makes the rest from it.
import { mkdirSync, writeFileSync } from 'node:fs';
import { Transform } from 'assemblyscript/transform';
import { expandTexts } from './text-transform.mjs';

/** Bytes of a field by the name of its type; references are 32-bit addresses. */
const SIZES = { i8: 1, u8: 1, bool: 1, i16: 2, u16: 2, i32: 4, u32: 4, usize: 4, i64: 8, u64: 8 };

export default class LayoutTransform extends Transform {
  afterParse(parser) {
    expandTexts(parser.sources);
  }

  afterCompile() {
    // a test compiles a variant of the kernel: its layout is nobody's
    if (process.env.BULKHEAD_NO_LAYOUT) return;
    const structs = {};
    for (const [name, element] of this.program.instancesByName) {
      // a field is known by its offset; the kernel's own classes by the path
      const match = /^assembly\/.*?([a-z_]+)#([a-z_0-9]+)$/.exec(name);
      if (!match || !(element.memoryOffset >= 0)) continue;
      const [, struct, field] = match;
      const owner = element.parent;
      const type = element.type.toString();
      const known = SIZES[type] !== undefined;
      structs[struct] ??= { size: owner.nextMemoryOffset, fields: [] };
      structs[struct].fields.push({
        name: field,
        offset: element.memoryOffset,
        size: SIZES[type] ?? 4,
        type: known ? type : `*${type.replace(/^.*\//, '').replace(/ \| null$/, '')}`,
      });
    }
    for (const s of Object.values(structs)) s.fields.sort((x, y) => x.offset - y.offset);
    const sorted = Object.fromEntries(Object.entries(structs).sort(([a], [b]) => (a < b ? -1 : 1)));
    mkdirSync('build', { recursive: true });
    writeFileSync('build/layout.json', `${JSON.stringify({ structs: sorted }, null, 1)}\n`);
  }
}
