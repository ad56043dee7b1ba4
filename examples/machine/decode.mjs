// Instructions as the processor wants them: decoded by iced-x86, operands as getters and setters.
import iced from 'iced-x86';
import { REG } from 'bulkhead';

const { Decoder, DecoderOptions, MemorySizeExt, Mnemonic, OpKind, Register, RegisterExt } = iced;

/** Bytes of the longest instruction. */
const LONGEST = 15;
/** The order in which the processor numbers its registers. */
const NUMBERS = 'rax rcx rdx rbx rsp rbp rsi rdi r8 r9 r10 r11 r12 r13 r14 r15'
  .split(' ')
  .map((name) => REG[name]);
const HIGH_BYTES = [Register.AH, Register.CH, Register.DH, Register.BH];

export const mask = (size) => (1n << BigInt(size * 8)) - 1n;

/** An instruction that the processor does not know, or that is none. */
export class UnknownInstruction extends Error {
  constructor(addr, bytes, what) {
    const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join(' ');
    super(`unknown instruction at 0x${addr.toString(16)}: ${hex} (${what})`);
  }
}

/** Where register `nr` of iced-x86 lies: index in Registers, bytes, bits to its right. */
function place(nr) {
  const high = HIGH_BYTES.indexOf(nr);
  if (high >= 0) return { index: NUMBERS[high], size: 1, shift: 8n };
  const index = NUMBERS[RegisterExt.number(RegisterExt.fullRegister(nr))];
  return { index, size: RegisterExt.size(nr), shift: 0n };
}

function registerOperand(nr) {
  const { index, size, shift } = place(nr);
  const all = mask(size);
  return {
    size,
    get: ({ regs }) => (regs.big(index) >> shift) & all,
    set({ regs }, value) {
      // 32 bits clear the upper half, fewer leave the rest
      const keep = size >= 4 ? 0n : regs.big(index) & ~(all << shift);
      regs.setBig(index, keep | ((value & all) << shift));
    },
  };
}

function memoryOperand(instruction) {
  const displacement = instruction.memoryDisplacement;
  const scale = BigInt(instruction.memoryIndexScale);
  const [base, index] = [instruction.memoryBase, instruction.memoryIndex];
  // relative to rip: the displacement is the address already
  const from = base === Register.None || base === Register.RIP ? undefined : place(base);
  const by = index === Register.None ? undefined : place(index);
  const wide = from?.size === 4 || by?.size === 4 ? 32 : 64;
  const size = MemorySizeExt.size(instruction.memorySize);
  const address = ({ regs }) => {
    let at = displacement;
    if (from) at += regs.big(from.index);
    if (by) at += regs.big(by.index) * scale;
    return BigInt.asUintN(wide, at);
  };
  return {
    size,
    address,
    get: (cpu) => cpu.memory.get(address(cpu), size),
    set: (cpu, value) => cpu.memory.set(address(cpu), size, value & mask(size)),
  };
}

function operand(instruction, i, size) {
  const kind = instruction.opKind(i);
  if (kind === OpKind.Register) return registerOperand(instruction.opRegister(i));
  if (kind === OpKind.Memory) return memoryOperand(instruction);
  if (kind === OpKind.NearBranch64) {
    const target = instruction.nearBranchTarget;
    return { size: 8, get: () => target };
  }
  if (kind >= OpKind.Immediate8 && kind <= OpKind.Immediate32to64) {
    const value = BigInt.asUintN(size * 8, instruction.immediate(i));
    return { size, get: () => value };
  }
  // string instructions name their memory by themselves
  return { size: MemorySizeExt.size(instruction.memorySize), get: undefined };
}

function operands(instruction) {
  const all = [];
  for (let i = 0; i < instruction.opCount; ++i) {
    all.push(operand(instruction, i, all[0]?.size || 8));
  }
  return all;
}

/** The instruction at `addr`, whose first bytes are `bytes`. Throws UnknownInstruction. */
export function decode(addr, bytes) {
  const decoder = new Decoder(64, bytes.subarray(0, LONGEST), DecoderOptions.None);
  decoder.ip = addr;
  const instruction = decoder.decode();
  try {
    const own = bytes.subarray(0, instruction.length);
    if (instruction.isInvalid) throw new UnknownInstruction(addr, own, 'no instruction');
    const name = Mnemonic[instruction.mnemonic];
    const refuse = (why) => new UnknownInstruction(addr, own, why);
    if (instruction.hasSegmentPrefix) throw refuse(`${name} with a segment`);
    const vector = (i) =>
      instruction.opKind(i) === OpKind.Register && !RegisterExt.isGPR(instruction.opRegister(i));
    for (let i = 0; i < instruction.opCount; ++i) {
      if (vector(i)) throw refuse(`${name} of a vector or system register`);
    }
    return {
      name,
      bytes: own.slice(),
      next: addr + BigInt(instruction.length),
      ops: operands(instruction),
      condition: instruction.conditionCode - 1,
      repeats: instruction.hasRepPrefix || instruction.hasRepnePrefix,
      isString: instruction.isStringInstruction,
    };
  } finally {
    instruction.free();
    decoder.free();
  }
}
