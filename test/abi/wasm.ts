// Just enough of the WebAssembly binary format to look at what a module is made of.

export interface WasmSection {
  id: number;
  /** offset of the contents */
  at: number;
  size: number;
}

export const SECTION_IMPORT = 2;
export const SECTION_GLOBAL = 6;
export const SECTION_START = 8;
export const SECTION_DATA = 11;

function leb(bytes: Uint8Array, at: number): { value: number; next: number } {
  let value = 0;
  let shift = 0;
  for (let next = at; ; ++next) {
    const byte = bytes[next] ?? 0;
    value += (byte & 0x7f) * 2 ** shift;
    shift += 7;
    if (byte < 0x80) return { value, next: next + 1 };
  }
}

export function sections(bytes: Uint8Array): WasmSection[] {
  const found: WasmSection[] = [];
  for (let at = 8; at < bytes.length;) {
    const { value: size, next } = leb(bytes, at + 1);
    found.push({ id: bytes[at] ?? 0, at: next, size });
    at = next + size;
  }
  return found;
}

/** Number of globals that code can change: state that a snapshot of the memory would miss. */
export function mutableGlobals(bytes: Uint8Array): number {
  const section = sections(bytes).find((s) => s.id === SECTION_GLOBAL);
  if (!section) return 0;
  const { value: count, next } = leb(bytes, section.at);
  let at = next;
  let changeable = 0;
  for (let i = 0; i < count; ++i) {
    if (bytes[at + 1] === 1) changeable += 1;
    // type, mutability, then a constant expression: opcode, operand, end
    const opcode = bytes[at + 2];
    if (opcode !== 0x41 && opcode !== 0x42) throw new Error(`global ${i}: opcode ${opcode}`);
    at = leb(bytes, at + 3).next + 1;
  }
  return changeable;
}
