// Loads a static x86-64 ELF file: its segments, and the stack that a program finds at its start.
import { Memory } from './memory.mjs';

const STACK_TOP = 0x7fff_ffff_f000n;
const STACK_SIZE = 0x10000;
const PT_LOAD = 1;
const PT_INTERP = 3;
const AT_PAGESZ = 6n;
const LITTLE_64 = Buffer.from('\x7fELF\x02\x01');
const [ET_EXEC, EM_X86_64] = [2, 62];

/** The parts of an ELF file that say what lies where. Throws where this is no such program. */
export function readElf(file) {
  const wrong = (why) => new Error(`not a program for this machine: ${why}`);
  if (!LITTLE_64.equals(file.subarray(0, 6))) throw wrong('no 64-bit little-endian ELF file');
  if (file.readUInt16LE(18) !== EM_X86_64) throw wrong('not for x86-64');
  if (file.readUInt16LE(16) !== ET_EXEC) throw wrong('not static at fixed addresses (-no-pie)');
  const at = Number(file.readBigUInt64LE(32));
  const [size, count] = [file.readUInt16LE(54), file.readUInt16LE(56)];
  const headers = Array.from({ length: count }, (_, i) => at + i * size);
  const types = headers.map((header) => file.readUInt32LE(header));
  if (types.includes(PT_INTERP)) throw wrong('it needs a dynamic linker (-static)');
  const segments = headers
    .filter((_, i) => types[i] === PT_LOAD)
    .map((header) => {
      const flags = file.readUInt32LE(header + 4);
      const word = (offset) => file.readBigUInt64LE(header + offset);
      const from = Number(word(8));
      const bytes = file.subarray(from, from + Number(word(32)));
      const rights = { write: (flags & 2) !== 0, run: (flags & 1) !== 0 };
      return { addr: word(16), bytes, size: Number(word(40)), ...rights };
    });
  return { entry: file.readBigUInt64LE(24), segments };
}

/** Memory, entry and stack pointer of a program that begins. */
export function loadProgram(file, argv, env) {
  const { entry, segments } = readElf(file);
  const memory = new Memory();
  for (const { addr, bytes, size, write, run } of segments) {
    memory.map(addr, size, { write, run });
    memory.load(addr, bytes);
  }
  memory.map(STACK_TOP - BigInt(STACK_SIZE), STACK_SIZE, { write: true });
  return { memory, rip: entry, rsp: fillStack(memory, argv, env) };
}

/** argc, argv, env and the auxiliary vector. Return: the stack pointer. */
function fillStack(memory, argv, env) {
  let top = STACK_TOP;
  const place = (text) => {
    const bytes = Buffer.from(`${text}\0`, 'latin1');
    top -= BigInt(bytes.length);
    memory.load(top, bytes);
    return top;
  };
  const args = argv.map(place);
  const vars = env.map(place);
  const words = [BigInt(args.length), ...args, 0n, ...vars, 0n, AT_PAGESZ, 4096n, 0n, 0n];
  const rsp = (top - BigInt(words.length * 8)) & ~15n;
  words.forEach((word, i) => memory.set(rsp + BigInt(i * 8), 8, word));
  return rsp;
}
