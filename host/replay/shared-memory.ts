// Memory calls that matter to attached System V segments: where they lie the world says, but how
// often a segment is attached counts the pieces into which such calls cut what lies there.
import {
  MEMORY_ADVISE,
  MEMORY_LOCK,
  MEMORY_MOVE,
  MEMORY_PROTECT,
  MEMORY_UNMAP,
} from '../../assembly/uapi/ipc.ts';
import type { Kernel } from '../kernel.ts';
import { type Call, expectedRax, failed } from './call.ts';
import { callText } from './run.ts';
import { valueOf } from './value.ts';

const PAGE = 4096;
const TWO32 = 0x1_0000_0000;
const PROTS = { PROT_READ: 1, PROT_WRITE: 2, PROT_EXEC: 4 } as const;
/** Advice that becomes a flag of the memory, and which. */
const ADVICE = new Map([
  ['MADV_DONTFORK', 0x10],
  ['MADV_WIPEONFORK', 0x20],
  ['MADV_DONTDUMP', 0x40],
  ['MADV_HUGEPAGE', 0x80],
  ['MADV_SEQUENTIAL', 0x100],
  ['MADV_RANDOM', 0x200],
]);
const CALLS: ReadonlySet<string> = new Set([
  'mmap',
  'mmap2',
  'munmap',
  'mremap',
  'mprotect',
  'pkey_mprotect',
  'mlock',
  'mlock2',
  'munlock',
  'madvise',
]);

/** May a call of this name concern what is attached? */
export function touchesMemory(name: string): boolean {
  return CALLS.has(name);
}

function protOf(call: Call): number {
  const text = callText(call);
  let prot = 0;
  for (const [name, bit] of Object.entries(PROTS)) if (text.includes(name)) prot |= bit;
  return prot;
}

/** Tells the kernel of a call on memory. */
export function learnMemory(kernel: Kernel, call: Call): void {
  if (failed(call)) return;
  const at = (i: number): number => Number(valueOf(call.args[i]) ?? 0n);
  const rounded = (length: number): number => Math.ceil(length / PAGE) * PAGE;
  const tell = (what: number, value: number, from = at(0), length = at(1)): void => {
    const start = Math.floor(from / PAGE) * PAGE;
    const pages = rounded(from - start + length) / PAGE;
    const high = (at: number): number => Math.floor(at / TWO32);
    const { exports } = kernel;
    exports.set_memory(call.pid, what, start >>> 0, high(start), pages, value >>> 0, high(value));
  };
  switch (call.name) {
    case 'mmap':
    case 'mmap2':
      if (/\bMAP_FIXED\b/.test(callText(call))) tell(MEMORY_UNMAP, 0);
      return;
    case 'munmap':
      return tell(MEMORY_UNMAP, 0);
    case 'mremap': {
      const to = Number(expectedRax(call) ?? 0n);
      if (at(2) < at(1)) tell(MEMORY_UNMAP, 0, at(0) + rounded(at(2)), at(1) - rounded(at(2)));
      if (to !== at(0)) tell(MEMORY_MOVE, to, at(0), Math.min(at(1), at(2)));
      return;
    }
    case 'mlock':
    case 'mlock2':
      return tell(MEMORY_LOCK, 1);
    case 'munlock':
      return tell(MEMORY_LOCK, 0);
    case 'madvise': {
      const advice = call.args[2]?.kind === 'sym' ? ADVICE.get(call.args[2].text) : undefined;
      if (advice) tell(MEMORY_ADVISE, advice);
      return;
    }
    default:
      tell(MEMORY_PROTECT, protOf(call));
  }
}
