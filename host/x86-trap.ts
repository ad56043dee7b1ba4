// The machine's side of a system call: which instruction traps, what it does to the registers, how
// they get into the kernel's frame and back. Registers are pairs of 32-bit words in the order of
// struct pt_regs, so that a whole set is one copy and no BigInt is made for any of them.
import { DISP_BLOCKED, DISP_DONE, DISP_NEED, DISP_UPCALL } from '../assembly/uapi/frame.ts';
import type { Frame } from './frame.ts';
import { layout } from './generated/layout.ts';
import type { Kernel, SignalAction } from './kernel.ts';
import { type AbiName, opTable, type SyscallTable, syscallTable } from './syscall-abi.ts';

const L = layout.frame;

/** The instruction that traps: `0f 05`, `cd 80`, `0f 34`. */
export type Gate = 'syscall' | 'int80' | 'sysenter';

/** All three are two bytes long. */
export const GATE_BYTES = 2;

/** Recognises the instruction at rip; undefined for any other. */
export function gateAt(code: Uint8Array): Gate | undefined {
  if (code[0] === 0x0f && code[1] === 0x05) return 'syscall';
  if (code[0] === 0xcd && code[1] === 0x80) return 'int80';
  if (code[0] === 0x0f && code[1] === 0x34) return 'sysenter';
  return undefined;
}

/** Index of each register: the kernel's order, 64 bits each. */
export const REG = {
  r15: 0,
  r14: 1,
  r13: 2,
  r12: 3,
  rbp: 4,
  rbx: 5,
  r11: 6,
  r10: 7,
  r9: 8,
  r8: 9,
  rax: 10,
  rcx: 11,
  rdx: 12,
  rsi: 13,
  rdi: 14,
  orig_rax: 15,
  rip: 16,
  cs: 17,
  rflags: 18,
  rsp: 19,
  ss: 20,
} as const;

export type RegName = keyof typeof REG;
export const NR_REGS = 21;

/** The i386 names. */
export const REG_32: Readonly<Record<string, RegName>> = {
  eax: 'rax',
  ebx: 'rbx',
  ecx: 'rcx',
  edx: 'rdx',
  esi: 'rsi',
  edi: 'rdi',
  ebp: 'rbp',
  esp: 'rsp',
  eip: 'rip',
  eflags: 'rflags',
};

/** Index of a register by either of its names. */
export function regIndex(name: string): number | undefined {
  const wide = REG_32[name] ?? name;
  return Object.hasOwn(REG, wide) ? REG[wide as RegName] : undefined;
}

/** A task's registers. */
export class Registers {
  /** low and high half of each, in the order of REG */
  readonly words = new Uint32Array(NR_REGS * 2);

  lo(reg: number): number {
    return this.words[reg * 2]!;
  }

  hi(reg: number): number {
    return this.words[reg * 2 + 1]!;
  }

  set(reg: number, lo: number, hi = 0): this {
    this.words[reg * 2] = lo;
    this.words[reg * 2 + 1] = hi;
    return this;
  }

  /** For everything that isn't hot. */
  big(reg: number): bigint {
    return (BigInt(this.hi(reg)) << 32n) | BigInt(this.lo(reg));
  }

  setBig(reg: number, value: bigint): this {
    return this.set(reg, Number(value & 0xffffffffn), Number((value >> 32n) & 0xffffffffn));
  }
}

/** What the instruction itself does: rip goes on, `syscall` keeps rip and rflags in rcx and r11. */
export function enterGate(regs: Registers, gate: Gate): void {
  const { words } = regs;
  const at = REG.rip * 2;
  const low = words[at]! + GATE_BYTES;
  words[at] = low;
  if (low > 0xffffffff && gate === 'syscall') words[at + 1]! += 1;
  if (gate !== 'syscall') return;
  words.copyWithin(REG.rcx * 2, at, at + 2);
  words.copyWithin(REG.r11 * 2, REG.rflags * 2, REG.rflags * 2 + 2);
}

/** Copies registers into a frame that begin() has cleared. */
export function loadFrame(kernel: Kernel, frame: Frame, regs: Registers): void {
  kernel.u32.set(regs.words, frame.address >>> 2);
}

/** Copies registers back, orig_rax included. */
export function storeFrame(kernel: Kernel, frame: Frame, regs: Registers): void {
  const at = frame.address >>> 2;
  regs.words.set(kernel.u32.subarray(at, at + NR_REGS * 2));
}

/** A guest's memory as its owner shows it. */
export interface GuestMemory {
  /** a copy of `len` bytes at `addr`; undefined when any of them is unmapped */
  read(addr: bigint, len: number): Uint8Array | undefined;
  /** false when any of the bytes cannot be written */
  write(addr: bigint, bytes: Uint8Array): boolean;
  /** left out: what can be read can be written */
  writable?(addr: bigint, len: number): boolean;
}

/** A call that is on its way: what was shown of the guest's memory. */
interface Shown {
  readonly addr: bigint;
  readonly bytes: Uint8Array;
}

/** The 32-bit table that goes with a 64-bit one. */
const COMPAT: Readonly<Record<AbiName, AbiName>> = {
  'linux-x86_64': 'linux-i386',
  'linux-i386': 'linux-i386',
  'howells-2017': 'howells-2017-i386',
  'howells-2017-example': 'howells-2017-i386',
  'howells-2017-i386': 'howells-2017-i386',
};

const PAGE = 4096n;
const EFAULT = 14;

/** The argument registers, in order. */
const ARGS_64 = [REG.rdi, REG.rsi, REG.rdx, REG.r10, REG.r8, REG.r9] as const;
const ARGS_32 = [REG.rbx, REG.rcx, REG.rdx, REG.rsi, REG.rdi, REG.rbp] as const;

/** A call that a task stands before. */
export interface TrapCall {
  readonly tid: number;
  readonly nr: number;
  /** in the table of the instruction; undefined: no call has the number */
  readonly name: string | undefined;
  /** the six argument registers */
  readonly args: readonly bigint[];
}

export interface TrapOptions {
  /** howells-2017 where nothing else is said */
  abi?: AbiName;
  /** the private block of calls also in a Linux table */
  privateCalls?: boolean;
  /** what the world says of a call before it runs: facts for the frame, as Frame.assistErrno */
  world?: (call: TrapCall, frame: Frame) => void;
}

/**
 * Runs the calls of an emulated processor: `step` where a task stands before a trapping
 * instruction, `finish` when its sleeping call is over.
 */
export class X86Trap {
  readonly #kernel: Kernel;
  readonly #tables = new Map<Gate, { table: SyscallTable; index: number }>();
  readonly #shown = new Map<number, Shown[]>();
  readonly #world: TrapOptions['world'];

  constructor(kernel: Kernel, options: TrapOptions = {}) {
    this.#kernel = kernel;
    this.#world = options.world;
    const abi = options.abi ?? 'howells-2017';
    const register = (name: AbiName): { table: SyscallTable; index: number } => {
      const table = syscallTable(name, options.privateCalls);
      return { table, index: kernel.registerTable(opTable(table), table.compat) };
    };
    const compat = register(COMPAT[abi]);
    this.#tables.set('int80', compat).set('sysenter', compat);
    if (!syscallTable(abi).compat) this.#tables.set('syscall', register(abi));
  }

  /** The call that `tid` stands before; undefined where no instruction that traps is at rip. */
  callAt(tid: number, regs: Registers, memory: GuestMemory): TrapCall | undefined {
    const code = memory.read(regs.big(REG.rip), GATE_BYTES);
    const gate = code && gateAt(code);
    return gate && this.#call(tid, regs, gate);
  }

  #call(tid: number, regs: Registers, gate: Gate): TrapCall | undefined {
    const known = this.#tables.get(gate);
    if (!known) return undefined;
    const nr = regs.lo(REG.rax);
    const args = (gate === 'syscall' ? ARGS_64 : ARGS_32).map((reg) => regs.big(reg));
    return { tid, nr, name: known.table.byNumber.get(nr)?.name, args };
  }

  /**
   * Runs the call that `tid` stands before. Return: the disposition, or -1 where no instruction
   * that traps stands at rip (nothing is changed then). After DISP_DONE registers and memory have
   * the result; after DISP_BLOCKED they get it from finish().
   */
  step(tid: number, regs: Registers, memory: GuestMemory): number {
    const kernel = this.#kernel;
    const code = memory.read(regs.big(REG.rip), GATE_BYTES);
    const gate = code && gateAt(code);
    const known = gate && this.#tables.get(gate);
    if (!gate || !known) return -1;
    const before = regs.words.slice();
    enterGate(regs, gate);
    const frame = kernel.frame.begin(tid, known.index, 0);
    loadFrame(kernel, frame, regs);
    if (gate === 'sysenter' && !this.#sixthArgument(frame, regs, memory)) {
      regs.set(REG.rax, -EFAULT);
      return DISP_DONE;
    }
    const call = this.#world && this.#call(tid, regs, gate);
    if (call) this.#world?.(call, frame);
    const shown: Shown[] = [];
    let disposition = kernel.trap();
    while (disposition === DISP_NEED) {
      this.#show(frame, memory, shown);
      disposition = kernel.trap();
    }
    if (disposition === DISP_DONE) {
      this.#store(frame, regs, memory, shown);
    } else if (disposition === DISP_BLOCKED || disposition === DISP_UPCALL) {
      this.#shown.set(tid, shown);
    } else {
      regs.words.set(before);
    }
    return disposition;
  }

  /** After Kernel.resume() gave DISP_DONE: the result gets into registers and memory. */
  finish(tid: number, regs: Registers, memory: GuestMemory): void {
    const frame = this.#kernel.frameOf(tid);
    if (frame) this.#store(frame, regs, memory, this.#shown.get(tid) ?? []);
    this.#shown.delete(tid);
  }

  /**
   * One step of the return to user mode, as Kernel.exitToUser: an interrupted call is set up to
   * begin again, or is EINTR. What a handler's frame looks like is the host's to write.
   */
  exitToUser(tid: number, regs: Registers, gate: Gate = 'syscall'): SignalAction {
    const kernel = this.#kernel;
    const frame = kernel.frame.begin(tid, this.#tables.get(gate)?.index ?? 0, 0);
    loadFrame(kernel, frame, regs);
    const action = kernel.exitToUser(tid, frame);
    storeFrame(kernel, frame, regs);
    return action;
  }

  /** sysenter: ebp points at the stack, where the sixth argument lies. */
  #sixthArgument(frame: Frame, regs: Registers, memory: GuestMemory): boolean {
    const bytes = memory.read(BigInt(regs.lo(REG.rbp)), 4);
    if (!bytes) return false;
    frame.setRegHalves(L.rbp, new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true), 0);
    return true;
  }

  /** Shows what the call needs; where not all of it is mapped, as far as the page goes. */
  #show(frame: Frame, memory: GuestMemory, shown: Shown[]): void {
    const addr = frame.needAddr;
    const page = Math.min(frame.needLen, Number(PAGE - (addr % PAGE)));
    // what was shown and is needed again cannot be written
    const again = shown.some((one) => one.addr === addr);
    const bytes = again ? undefined : (memory.read(addr, frame.needLen) ?? memory.read(addr, page));
    if (!bytes) {
      frame.window(addr, page, 'unmapped');
      return;
    }
    const writable = memory.writable?.(addr, bytes.length) ?? true;
    frame.window(addr, bytes, writable ? 'rw' : 'r');
    shown.push({ addr, bytes });
  }

  #store(frame: Frame, regs: Registers, memory: GuestMemory, shown: readonly Shown[]): void {
    storeFrame(this.#kernel, frame, regs);
    for (const { addr, bytes } of shown) {
      const now = frame.output(addr, bytes.length);
      if (now && now.some((byte, i) => byte !== bytes[i])) memory.write(addr, now);
    }
  }
}
